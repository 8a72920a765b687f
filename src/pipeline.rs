//! One request from receipt to log line: the flow of design.md §2, top to bottom.
//!
//! Each step takes the earlier steps' results and returns the next one's input; what is known so far is also noted in the
//! [`Record`], from which the response headers and the log line are made. Every path ends in one answer and one line.

use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::attempt::{self, Answer, Committed, Job, Prepared};
use crate::auth;
use crate::chat::ChatRequest;
use crate::classify::{self, breaker};
use crate::decide::{self, Decision};
use crate::error::{Error, Kind};
use crate::headers::{self, RouteHeaders};
use crate::intake::{self, Gathered, Wanted};
use crate::memory::Memory;
use crate::plan::{self, Plan};
use crate::platform::{Platform, Received, ResponseHead};
use crate::policy::rules::{self, Bounds, Facts};
use crate::policy::{Candidate, Classifier, Policy, TierId};
use crate::record::{ClassifierRecord, Reason, Record, Served};
use crate::relay::{self, Relay};
use crate::route::{self, Route};
use crate::{blame, cors, dialect, log, report};

/// An answer that is ready to be sent.
enum Reply<P: Platform> {
    Json(StatusCode, Vec<u8>),
    Empty(StatusCode),
    Completion(Box<Completion<P>>),
}

/// A candidate's answer, and when it must have ended.
struct Completion<P: Platform> {
    committed: Committed<P>,
    total: Duration,
    price: Option<crate::policy::Price>,
}

/// Serves one request.
pub fn handle<P: Platform>(platform: &P, memory: &mut Memory, received: Received<P::Body>) {
    let mut record = Record::received(&received);
    let mut extra = HeaderMap::new();
    let reply = serve(platform, memory, received, &mut record, &mut extra);
    respond(platform, memory, reply, record, extra);
}

/// `extra` receives the headers that the answer carries whatever it is.
fn serve<P: Platform>(
    platform: &P,
    memory: &mut Memory,
    received: Received<P::Body>,
    record: &mut Record,
    extra: &mut HeaderMap,
) -> Result<Reply<P>, Error> {
    let Received { method, path, query, headers: client_headers, mut body, time_left, .. } = received;
    let route = route::find(&method, &path)?;
    let presented = auth::presented(&client_headers);
    match route {
        Route::Preflight | Route::Health => {
            let mut wanted = Wanted { presented, body: None, content_length: None, breaker: route == Route::Health };
            let found = intake::look_up(platform, memory, &mut wanted, record)?;
            cors::answer_headers(&found.policy.policy, &client_headers, extra);
            if route == Route::Preflight {
                cors::preflight_headers(extra);
                return Ok(Reply::Empty(StatusCode::NO_CONTENT));
            }
            // A bad key changes nothing about the gateway's health.
            record.refusal = None;
            let inspector = found.client.as_ref().is_ok_and(|client| client.may_inspect);
            Ok(Reply::Json(StatusCode::OK, report::health(&found.policy, inspector)))
        }
        Route::Models | Route::Model(_) => {
            let mut wanted = Wanted { presented, body: None, content_length: None, breaker: false };
            let found = intake::look_up(platform, memory, &mut wanted, record)?;
            cors::answer_headers(&found.policy.policy, &client_headers, extra);
            let client = found.client?;
            let body = match route {
                Route::Model(name) => report::model(&found.policy.policy, &client, &name)?,
                _ => report::models(&found.policy.policy, &client),
            };
            Ok(Reply::Json(StatusCode::OK, body))
        }
        Route::ChatCompletions | Route::Decision => {
            let route_headers = headers::parse_route_headers(&client_headers);
            let mut wanted = Wanted {
                presented,
                body: (method == Method::POST).then_some(&mut body),
                content_length: headers::content_length(&client_headers),
                breaker: route_headers.as_ref().is_ok_and(|headers| headers.tier.is_none()),
            };
            let found = intake::look_up(platform, memory, &mut wanted, record)?;
            cors::answer_headers(&found.policy.policy, &client_headers, extra);
            let gathered = found.gather(platform, wanted, record)?;
            let route_headers = route_headers?;
            let call = Call { platform, route_headers: &route_headers, client_headers: &client_headers, time_left };
            if route == Route::Decision {
                let ask = query.as_deref().is_none_or(|query| !query.split('&').any(|pair| pair == "classify=false"));
                return call.explain(memory, &gathered, ask, record);
            }
            call.complete(memory, &gathered, record)
        }
    }
}

/// What the steps of a chat completion share.
struct Call<'a, P: Platform> {
    platform: &'a P,
    route_headers: &'a RouteHeaders,
    client_headers: &'a HeaderMap,
    /// How long the platform lets this request run.
    time_left: Duration,
}

impl<P: Platform> Call<'_, P> {
    fn complete(&self, memory: &mut Memory, gathered: &Gathered, record: &mut Record) -> Result<Reply<P>, Error> {
        let policy = &*gathered.policy.policy;
        let request = ChatRequest::parse(&gathered.body)?;
        let (decision, plan, prepared) = self.decide(memory, gathered, &request, true, record)?;
        note_decision(policy, &decision, &plan, record);

        let job = self.job(policy, plan.tier, &request);
        let committed = attempt::run(&job, &plan.candidates, prepared, record)
            .map_err(|failure| blame::error(&failure, &policy.health))?;
        let model = policy.model(committed.candidate.model);
        let provider = policy.provider(model.provider);
        record.served = Some(Served { provider: provider.name.clone(), model: model.name.clone() });
        Ok(Reply::Completion(Box::new(Completion { committed, total: job.total, price: model.price })))
    }

    /// The decision and the plan, as JSON; no candidate is asked.
    fn explain(
        &self,
        memory: &mut Memory,
        gathered: &Gathered,
        ask: bool,
        record: &mut Record,
    ) -> Result<Reply<P>, Error> {
        let policy = &*gathered.policy.policy;
        let request = ChatRequest::parse(&gathered.body)?;
        let (decision, plan, _) = self.decide(memory, gathered, &request, ask, record)?;
        note_decision(policy, &decision, &plan, record);
        Ok(Reply::Json(StatusCode::OK, report::decision(policy, &decision, &plan, record)))
    }

    /// The tier and its candidates; also the first of them, if it was prepared beside the classifier's call.
    fn decide(
        &self,
        memory: &mut Memory,
        gathered: &Gathered,
        request: &ChatRequest<'_>,
        ask: bool,
        record: &mut Record,
    ) -> Result<(Decision, Plan, Option<Prepared<P>>), Error> {
        let policy = &*gathered.policy.policy;
        let client = &*gathered.client;
        record.requested_model = Some(request.model.chars().take(128).collect());
        record.stream = request.stream;
        record.tags.extend(self.route_headers.tags.clone());
        if self.route_headers.affinity.is_some() {
            record.reason(Reason::AffinityInvalid);
        }
        let started = self.platform.elapsed();
        let asks_country = policy.rules.iter().any(|rule| rule.when.country.is_some());
        let country = asks_country.then(|| self.platform.country()).flatten();
        let bounds = rules::bounds(
            policy,
            &Facts {
                client: &client.id,
                country: country.as_deref(),
                has_tools: request.features.has_tools,
                has_images: request.features.has_images,
                client_tiers: client.tiers.as_deref(),
            },
        );
        let random = self.platform.random();
        let plan = |decision: &Decision| plan::plan(policy, decision, &request.features, &bounds, random);

        let decided = decide::without_asking(policy, client, self.route_headers, request, &bounds)?;
        let (decision, prepared) = match (decided, &policy.classifier) {
            (Some(decision), _) => (decision, None),
            (None, Some(classifier)) if ask => {
                let question = Question { call: self, policy, classifier, request, bounds: &bounds };
                question.ask(memory, gathered.breaker, &plan, record)?
            }
            (None, _) => (decide::by_default(policy, &bounds, Reason::ClassifierOff)?, None),
        };
        record.timings.decide = Some(self.platform.elapsed() - started);
        let plan = plan(&decision)?;
        Ok((decision, plan, prepared))
    }

    fn job<'b>(&'b self, policy: &'b Policy, tier: TierId, request: &'b ChatRequest<'b>) -> Job<'b, P> {
        let tier = policy.tier(tier);
        let allowed = tier.deadlines.total.min(self.time_left);
        let total = self.route_headers.timeout.map_or(allowed, |asked| asked.min(allowed));
        Job { platform: self.platform, policy, tier, request, client_headers: self.client_headers, total }
    }
}

/// A question to the classifier.
struct Question<'a, P: Platform> {
    call: &'a Call<'a, P>,
    policy: &'a Policy,
    classifier: &'a Classifier,
    request: &'a ChatRequest<'a>,
    bounds: &'a Bounds,
}

impl<P: Platform> Question<'_, P> {
    /// Asks, if that is allowed and the breaker lets it; prepares the default tier's first candidate meanwhile.
    fn ask(
        &self,
        memory: &mut Memory,
        state: breaker::State,
        plan: &impl Fn(&Decision) -> Result<Plan, Error>,
        record: &mut Record,
    ) -> Result<(Decision, Option<Prepared<P>>), Error> {
        let Question { call: Call { platform, .. }, policy, classifier, request, bounds } = *self;
        let by_default = |reason| decide::by_default(policy, bounds, reason);
        if !bounds.allows_provider(policy.model(classifier.model).provider) {
            return Ok((by_default(Reason::ClassifierNotAllowed)?, None));
        }
        let state = match state.permit(&classifier.breaker, platform.unix_time()) {
            breaker::Permit::Call => state,
            breaker::Permit::Denied => return Ok((by_default(Reason::ClassifierBreakerOpen)?, None)),
            breaker::Permit::Probe(meanwhile) => {
                intake::store_breaker(*platform, memory, meanwhile);
                meanwhile
            }
        };
        let failed = |memory: &mut Memory| {
            let state = state.failed(&classifier.breaker, platform.unix_time());
            intake::store_breaker(*platform, memory, state);
        };

        let sent = match classify::start(*platform, policy, classifier, request) {
            Ok(sent) => sent,
            Err((reason, counts)) => {
                if counts {
                    failed(memory);
                }
                return Ok((by_default(reason)?, None));
            }
        };
        let prepared = self.prepare_default(plan);
        let outcome = classify::finish(*platform, policy, classifier, sent);
        record.classifier = Some(self.classifier_record(&outcome));
        if outcome.failed {
            failed(memory);
        } else if state != breaker::State::default() {
            intake::store_breaker(*platform, memory, state.succeeded());
        }

        let decision = match outcome.reply {
            Ok(reply) => decide::classified(policy, bounds, &reply, classifier.min_confidence)?,
            Err(reason) => by_default(reason)?,
        };
        // Deadlines and timeouts are the tier's, so what was prepared is of use to that tier only.
        let prepared = prepared.filter(|(tier, _)| *tier == decision.tier).map(|(_, prepared)| prepared);
        Ok((decision, prepared))
    }

    fn prepare_default(&self, plan: &impl Fn(&Decision) -> Result<Plan, Error>) -> Option<(TierId, Prepared<P>)> {
        // Which reason it has does not matter: this decision is only a guess.
        let guess = decide::by_default(self.policy, self.bounds, Reason::ClassifierTimeout).ok()?;
        let plan = plan(&guess).ok().filter(|plan| plan.tier == guess.tier)?;
        let first: &Candidate = plan.candidates.first()?;
        let job = self.call.job(self.policy, plan.tier, self.request);
        attempt::prepare(&job, first).ok().map(|prepared| (plan.tier, prepared))
    }

    fn classifier_record(&self, outcome: &classify::Outcome) -> ClassifierRecord {
        let model = self.policy.model(self.classifier.model);
        ClassifierRecord {
            provider: self.policy.provider(model.provider).name.clone(),
            model: model.name.clone(),
            duration: outcome.duration,
            usage: outcome.usage,
            cost: outcome.usage.zip(model.price).map(|(usage, price)| usage.cost(&price)),
        }
    }
}

fn note_decision(policy: &Policy, decision: &Decision, plan: &Plan, record: &mut Record) {
    record.tier = Some(policy.tier(plan.tier).name.clone());
    record.source = Some(decision.source);
    record.confidence = decision.confidence;
    for reason in decision.reasons.iter().chain(&plan.reasons) {
        record.reason(*reason);
    }
}

/// Sends the answer and writes the log line: before a whole answer, since a client that has left ends the sandbox at the
/// send, and after a stream.
fn respond<P: Platform>(
    platform: &P,
    memory: &mut Memory,
    reply: Result<Reply<P>, Error>,
    mut record: Record,
    mut extra: HeaderMap,
) {
    extra.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (status, body) = match reply {
        Ok(Reply::Completion(completion)) => {
            let Completion { committed, total, price } = *completion;
            headers::forward_downstream(&committed.headers, &mut extra);
            match committed.answer {
                Answer::Whole { body, whole } => {
                    record.cost = whole.usage.zip(price).map(|(usage, price)| usage.cost(&price));
                    record.usage = whole.usage;
                    record.response_model = whole.model;
                    record.finish_reasons = whole.finish_reasons;
                    (StatusCode::OK, body)
                }
                Answer::Stream { body, decoder, stream, held } => {
                    record.status = StatusCode::OK.as_u16();
                    let head = head(&record, StatusCode::OK, dialect::EVENT_STREAM, extra);
                    record.timings.first_byte = Some(platform.elapsed());
                    let downstream = platform.start_response(head);
                    let relay = Relay { upstream: body, downstream, decoder, stream };
                    let ended = relay::run(platform, relay, &held, total);
                    note_end(&mut record, ended, price);
                    return write_log(platform, memory, record);
                }
            }
        }
        Ok(Reply::Json(status, body)) => (status, body),
        Ok(Reply::Empty(status)) => (status, Vec::new()),
        Err(error) => {
            record.failed(&error);
            headers::error_headers(&error, &mut extra);
            (error.kind.status(), error.body())
        }
    };
    record.status = status.as_u16();
    record.bytes_sent = body.len() as u64;
    record.timings.first_byte = Some(platform.elapsed());
    record.timings.total = record.timings.first_byte;
    let head = head(&record, status, dialect::JSON, extra);
    write_log(platform, memory, record);
    platform.respond(head, body);
}

fn head(record: &Record, status: StatusCode, content_type: &'static str, extra: HeaderMap) -> ResponseHead {
    let mut headers = extra;
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers::response_headers(record, &mut headers);
    ResponseHead { status, headers }
}

fn note_end(record: &mut Record, ended: relay::Ended, price: Option<crate::policy::Price>) {
    record.bytes_sent = ended.bytes_sent;
    record.usage = ended.stream.usage;
    record.cost = ended.stream.usage.zip(price).map(|(usage, price)| usage.cost(&price));
    record.response_model = ended.stream.model;
    record.finish_reasons = ended.stream.finish_reasons;
    match ended.result {
        Ok(()) => {}
        Err(relay::Failure::ClientGone) => record.client_closed = true,
        Err(relay::Failure::Error(error)) => record.failed(&error),
    }
}

fn write_log<P: Platform>(platform: &P, memory: &mut Memory, mut record: Record) {
    record.timings.total.get_or_insert(platform.elapsed());
    let vcpu_ms = platform.vcpu_ms();
    let since_last = vcpu_ms.saturating_sub(memory.vcpu_ms);
    memory.vcpu_ms = vcpu_ms;
    platform.log(&log::line(&record, platform.unix_time(), since_last));
}

/// The line and the answer for a request that a panic ended; `answered` says whether the client has a head already.
pub fn after_panic(record: &mut Record, answered: bool) -> Option<(ResponseHead, Vec<u8>)> {
    let error = Error::new(Kind::Internal, "The gateway failed; the request id is in x-route-id.");
    record.failed(&error);
    if answered {
        return None;
    }
    record.status = error.kind.status().as_u16();
    let body = error.body();
    record.bytes_sent = body.len() as u64;
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some((head(record, error.kind.status(), dialect::JSON, headers), body))
}
