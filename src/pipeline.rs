//! One request from receipt to log line: the flow of design.md §2, top to bottom.
//!
//! Each step takes the earlier steps' results and returns the next one's input; what is known so far is also noted in the
//! [`Record`], from which the response headers and the log line are made. Every path ends in one answer and one line.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use crate::admit::auth::{self, Presented};
use crate::admit::look_ups::{self, Gathered, Wanted};
use crate::admit::memory::{Memory, PopState};
use crate::attempt::blame;
use crate::attempt::queue::Queue;
use crate::attempt::{self, Answer, Attempts, Committed, Goal, Job, Prepared, Quiet, Stop};
use crate::decide::classifier;
use crate::decide::plan::{self, Plan};
use crate::decide::{self, Decision};
use crate::door::answer_headers;
use crate::door::chat::Ask;
use crate::door::cors;
use crate::door::headers::{self, RouteHeaders};
use crate::door::route::{self, Route};
use crate::door::upload::Upload;
use crate::error::{Error, Kind};
use crate::mask::keys::without_known_shapes;
use crate::platform::{Platform, Received, ResponseHead};
use crate::policy::rules::{self, Bounds, Facts};
use crate::policy::{Classifier, ModelId, Policy, StreamMode, TierId};
use crate::pop::breaker;
use crate::pop::health::Standing;
use crate::pop::hedge::Bucket;
use crate::record::line;
use crate::record::{ClassifierRecord, Reason, Record, Served, Usage};
use crate::relay::keep_alive::Waiting;
use crate::relay::{self, Relay};
use crate::report;
use crate::upstream;
use crate::upstream::dialect::EncodeOptions;
use crate::upstream::keyring::Keyring;
use crate::wire::facts::AnswerFacts;
use crate::wire::media;

/// Of what a client names as its model.
const MAX_LOGGED_MODEL_BYTES: usize = 128;

/// An answer.
enum Reply {
    Json(StatusCode, Vec<u8>),
    Empty(StatusCode),
    /// One that has been sent.
    Streamed,
}

/// Serves one request.
pub fn handle<P: Platform>(platform: &P, memory: &mut Memory, received: Received<P::Body>) {
    let mut record = Record::received(&received);
    let mut extra = HeaderMap::new();
    let keyring = Keyring::new(platform, memory.secret_store);
    let reply = serve(&keyring, memory, received, &mut record, &mut extra);
    memory.secret_store = keyring.used();
    record.secret_fault = keyring.fault();
    respond(platform, memory, reply, record, extra);
    look_ups::do_chores(platform, memory);
}

/// `extra` receives the headers that the answer carries whatever it is.
fn serve<P: Platform>(
    keyring: &Keyring<'_, P>,
    memory: &mut Memory,
    received: Received<P::Body>,
    record: &mut Record,
    extra: &mut HeaderMap,
) -> Result<Reply, Error> {
    let Received { method, path, query, headers: client_headers, mut body, time_left, .. } = received;
    let platform = keyring.platform();
    let route = route::find(&method, &path)?;
    let presented = auth::presented(&client_headers);
    match route {
        Route::Preflight | Route::Health => {
            let keyless = matches!(presented, Presented::Nothing);
            let mut wanted = Wanted { presented, body: None, pop: route == Route::Health };
            let found = look_ups::look_up(platform, memory, &mut wanted, record)?;
            if keyless {
                // None is asked for here. One that is presented and refused changes nothing about the answer, but is logged.
                record.refusal = None;
            }
            let in_force = found.policy.in_force();
            if let Ok(in_force) = &in_force {
                cors::answer_headers(&in_force.policy, &client_headers, extra);
            }
            if route == Route::Preflight {
                in_force?;
                cors::preflight_headers(extra);
                return Ok(Reply::Empty(StatusCode::NO_CONTENT));
            }
            let inspector = found.client.as_ref().is_ok_and(|client| client.may_inspect);
            let secrets = inspector.then(|| keyring.inspect());
            let (status, body) = report::health(&found, secrets, platform.unix_time());
            Ok(Reply::Json(status, body))
        }
        Route::Models | Route::Model(_) => {
            let mut wanted = Wanted { presented, body: None, pop: false };
            let found = look_ups::look_up(platform, memory, &mut wanted, record)?;
            let policy = &found.policy.in_force()?.policy;
            cors::answer_headers(policy, &client_headers, extra);
            let client = found.client?;
            let body = match route {
                Route::Model(name) => report::model(policy, &client, &name)?,
                _ => report::models(policy, &client),
            };
            Ok(Reply::Json(StatusCode::OK, body))
        }
        Route::ChatCompletions | Route::Decision => {
            let route_headers = headers::parse_route_headers(&client_headers);
            // A body that nobody can read is not read.
            let content = headers::check_content(&client_headers);
            let mut wanted = Wanted {
                presented,
                body: (method == Method::POST && content.is_ok())
                    .then(|| Upload::new(&mut body, media::content_length(&client_headers))),
                pop: true,
            };
            let found = look_ups::look_up(platform, memory, &mut wanted, record)?;
            let policy = &found.policy.in_force()?.policy;
            cors::answer_headers(policy, &client_headers, extra);
            let until = body_deadline(policy, route_headers.as_ref().ok(), time_left);
            let gathered = found.gather(platform, wanted.body, until, record)?;
            content?;
            let route_headers = route_headers?;
            let (route_headers, client_headers) = (&route_headers, &client_headers);
            let call = Call { platform, keyring, route_headers, client_headers, time_left };
            if route == Route::Decision {
                let ask = query.as_deref().is_none_or(|query| !query.split('&').any(|pair| pair == "classify=false"));
                return call.explain(memory, &gathered, ask, record);
            }
            call.complete(memory, &gathered, record, extra)
        }
    }
}

/// Until when a body may arrive: as long as the request may take in all, whichever tier it will be for.
fn body_deadline(policy: &Policy, asked: Option<&RouteHeaders>, time_left: Duration) -> Duration {
    let tier = asked.and_then(|asked| policy.tier_named(asked.tier.as_deref()?));
    let tiers = tier.map_or(&policy.tiers[..], |tier| std::slice::from_ref(policy.tier(tier)));
    let longest = tiers.iter().map(|tier| tier.deadlines.total).max().unwrap_or_default();
    let timeout = asked.and_then(|asked| asked.timeout).unwrap_or(longest);
    longest.min(timeout).min(time_left)
}

/// What the steps of a chat completion share.
struct Call<'a, P: Platform> {
    platform: &'a P,
    keyring: &'a Keyring<'a, P>,
    route_headers: &'a RouteHeaders,
    client_headers: &'a HeaderMap,
    /// How long the platform lets this request run.
    time_left: Duration,
}

impl<P: Platform> Call<'_, P> {
    fn complete(
        &self,
        memory: &mut Memory,
        gathered: &Gathered,
        record: &mut Record,
        extra: &mut HeaderMap,
    ) -> Result<Reply, Error> {
        let policy = &*gathered.policy.policy;
        let request = Ask::parse(&gathered.body)?;
        let (decision, plan, prepared) = self.decide(memory, gathered, &request, true, record)?;
        note_decision(policy, &decision, &plan, record);

        let job = self.job(policy, plan.tier, &request);
        let queue = self.queue(policy, &plan, &gathered.pop, record);
        self.count_for_hedges(&job, memory);
        let asking = asking(&job);
        let repair = None;
        let mut attempts = Attempts { job: &job, queue, asking, repair, memory, prepared, hedged: false };
        if job.goal == Goal::WholeStream {
            return self.hold(attempts, record, extra);
        }
        let committed = attempts.run(record, &mut Quiet).map_err(|stop| refused(policy, stop))?;
        record.served = Some(Served::of(policy, &committed.candidate));
        upstream::headers::forward_downstream(&committed.headers, extra);
        match committed.answer {
            Answer::Whole { body, facts } => {
                note_told(policy, committed.candidate.model, facts, record);
                Ok(Reply::Json(StatusCode::OK, body))
            }
            Answer::Stream(answer) => {
                let downstream =
                    self.platform.start_response(answer_headers::stream_head(self.platform.elapsed(), record, extra));
                let relay = Relay { downstream, answer, candidate: committed.candidate };
                let end = relay::run(&mut attempts, relay, record);
                note_end(policy, end, record);
                Ok(Reply::Streamed)
            }
        }
    }

    /// A stream that goes out when it is whole, so that failover is possible to its end; meanwhile the client is kept
    /// waiting with comments.
    fn hold(&self, mut attempts: Attempts<'_, P>, record: &mut Record, extra: &mut HeaderMap) -> Result<Reply, Error> {
        let policy = attempts.job.policy;
        let mut waiting = Waiting::new(self.platform, extra);
        let result = attempts.run(record, &mut waiting);
        let (started, mut bytes_sent) = waiting.into_parts();
        let end = match (result, started) {
            (Ok(Committed { candidate, headers, answer: Answer::Stream(answer) }), started) => {
                record.served = Some(Served::of(policy, &candidate));
                let downstream = started.unwrap_or_else(|| {
                    upstream::headers::forward_downstream(&headers, extra);
                    self.platform.start_response(answer_headers::stream_head(self.platform.elapsed(), record, extra))
                });
                let relay = Relay { downstream, answer, candidate };
                let end = relay::run(&mut attempts, relay, record);
                relay::Ended { bytes_sent: bytes_sent + end.bytes_sent, ..end }
            }
            (Ok(Committed { answer: Answer::Whole { .. }, .. }), _) => {
                return Err(Error::new(Kind::Internal, "A stream was asked for, and something else came."));
            }
            (Err(Stop::ClientGone), _) => relay::Ended::failed(Err(relay::Failure::ClientGone), bytes_sent),
            (Err(stop), None) => return Err(refused(policy, stop)),
            (Err(stop), Some(downstream)) => {
                let result = relay::fail(self.platform, downstream, refused(policy, stop), &mut bytes_sent);
                relay::Ended::failed(result, bytes_sent)
            }
        };
        note_end(policy, end, record);
        Ok(Reply::Streamed)
    }

    /// The plan's candidates, those that failed lately last.
    fn queue(&self, policy: &Policy, plan: &Plan, pop: &PopState, record: &mut Record) -> Queue {
        let now = self.platform.unix_time();
        let ranked = plan.candidates.iter().map(|candidate| {
            let name = attempt::name(policy, candidate);
            let standing = pop.health.standing(&name, now);
            if standing == Standing::Cooling {
                record.cooling.push(name);
            }
            (candidate.clone(), standing, policy.model(candidate.model).context)
        });
        let queue = Queue::new(ranked);
        if !queue.candidates().eq(&plan.candidates) {
            record.reason(Reason::CandidateCooling);
        }
        queue
    }

    /// Counts a request that may be hedged, by sample.
    fn count_for_hedges(&self, job: &Job<'_, P>, memory: &mut Memory) {
        let share = job.policy.health.hedge_share;
        if job.request.stream && job.tier.hedge_after.is_some() && Bucket::counts(self.platform.random()) {
            look_ups::update_pop(self.platform, memory, |pop, _| pop.hedges.add(share));
        }
    }

    /// The decision and the plan, as JSON; no candidate is asked.
    fn explain(
        &self,
        memory: &mut Memory,
        gathered: &Gathered,
        ask: bool,
        record: &mut Record,
    ) -> Result<Reply, Error> {
        let policy = &*gathered.policy.policy;
        let request = Ask::parse(&gathered.body)?;
        let (decision, plan, _) = self.decide(memory, gathered, &request, ask, record)?;
        note_decision(policy, &decision, &plan, record);
        Ok(Reply::Json(StatusCode::OK, report::decision(policy, &decision, &plan, record)))
    }

    /// The tier and its candidates; also the first of them, if it was prepared beside the classifier's call.
    fn decide(
        &self,
        memory: &mut Memory,
        gathered: &Gathered,
        request: &Ask<'_>,
        ask: bool,
        record: &mut Record,
    ) -> Result<(Decision, Plan, Option<Prepared<P>>), Error> {
        let policy = &*gathered.policy.policy;
        let client = &*gathered.client;
        record.requested_model = Some(without_known_shapes(&request.model, MAX_LOGGED_MODEL_BYTES));
        record.stream = request.stream;
        let bare = |text: &String| without_known_shapes(text, text.len());
        for (name, value) in &self.route_headers.tags {
            // The operator's tag of the same name wins.
            record.tags.entry(bare(name)).or_insert_with(|| bare(value));
        }
        if self.route_headers.affinity.is_some() {
            record.reason(Reason::AffinityInvalid);
        }
        let started = self.platform.elapsed();
        let asks_country = policy.rules.iter().any(|rule| rule.when.asks_country());
        let country = asks_country.then(|| self.platform.country()).flatten();
        let bounds = rules::bounds(
            policy,
            &Facts {
                client: &client.id,
                country: country.as_deref(),
                has_tools: request.features.has_tools,
                has_images: request.features.has_media,
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
                question.ask(memory, &gathered.pop, &plan, record)?
            }
            (None, _) => (decide::by_default(policy, &bounds, Reason::ClassifierOff)?, None),
        };
        record.timings.decide = Some(self.platform.elapsed() - started);
        let plan = plan(&decision)?;
        Ok((decision, plan, prepared))
    }

    fn job<'b>(&'b self, policy: &'b Policy, tier: TierId, request: &'b Ask<'b>) -> Job<'b, P> {
        let tier = policy.tier(tier);
        let allowed = tier.deadlines.total.min(self.time_left);
        let total = self.route_headers.timeout.map_or(allowed, |asked| asked.min(allowed));
        let goal = match (request.stream, tier.stream) {
            (false, _) => Goal::WholeAnswer,
            (true, StreamMode::Hold) => Goal::WholeStream,
            (true, StreamMode::Guarded | StreamMode::Handoff) => Goal::FirstPiece,
        };
        // A client that asked for less time wants an end, not a longer answer.
        let may_hand_over = self.route_headers.timeout.is_none();
        let Call { platform, keyring, client_headers, .. } = *self;
        Job { platform, keyring, policy, tier, request, client_headers, total, may_hand_over, goal }
    }
}

/// A stream that is handed to the platform passes as it comes, a usage chunk too, so only the client's own wish counts then.
fn asking<P: Platform>(job: &Job<'_, P>) -> EncodeOptions {
    EncodeOptions { counts_usage: job.tier.stream != StreamMode::Handoff || job.goal == Goal::WholeAnswer, begun: None }
}

/// A question to the classifier.
struct Question<'a, P: Platform> {
    call: &'a Call<'a, P>,
    policy: &'a Policy,
    classifier: &'a Classifier,
    request: &'a Ask<'a>,
    bounds: &'a Bounds,
}

impl<P: Platform> Question<'_, P> {
    /// Asks, if that is allowed and the breaker lets it; prepares the default tier's first candidate meanwhile, unless the body
    /// is so large that it might have to be encoded a second time beside that.
    fn ask(
        &self,
        memory: &mut Memory,
        pop: &PopState,
        plan: &impl Fn(&Decision) -> Result<Plan, Error>,
        record: &mut Record,
    ) -> Result<(Decision, Option<Prepared<P>>), Error> {
        let Question { call: Call { platform, .. }, policy, classifier, request, bounds } = *self;
        let by_default = |reason| decide::by_default(policy, bounds, reason);
        if !bounds.allows_provider(policy.model(classifier.model).provider) {
            return Ok((by_default(Reason::ClassifierNotAllowed)?, None));
        }
        match pop.breaker.permit(&classifier.breaker, platform.unix_time()) {
            breaker::Permit::Call => {}
            breaker::Permit::Denied => return Ok((by_default(Reason::ClassifierBreakerOpen)?, None)),
            breaker::Permit::Probe(meanwhile) => {
                look_ups::update_pop(*platform, memory, |pop, _| pop.breaker = meanwhile);
            }
        }
        let failed = |memory: &mut Memory| {
            look_ups::update_pop(*platform, memory, |pop, now| {
                pop.breaker = pop.breaker.failed(&classifier.breaker, now);
            });
        };

        let sent = match classifier::start(self.call.keyring, policy, classifier, request) {
            Ok(sent) => sent,
            Err((reason, counts)) => {
                if counts {
                    failed(memory);
                }
                return Ok((by_default(reason)?, None));
            }
        };
        let prepared = self.prepare_default(pop, plan);
        let outcome = classifier::finish(*platform, policy, classifier, sent);
        record.classifier = Some(self.classifier_record(&outcome));
        if outcome.failed {
            failed(memory);
        } else if pop.breaker != breaker::State::default() {
            look_ups::update_pop(*platform, memory, |pop, _| pop.breaker = pop.breaker.succeeded());
        }

        let decision = match outcome.reply {
            Ok(reply) => decide::classified(policy, bounds, &reply, classifier.min_confidence)?,
            Err(reason) => by_default(reason)?,
        };
        // Deadlines and timeouts are the tier's, so what was prepared is of use to that tier only.
        let prepared = prepared.filter(|(tier, _)| *tier == decision.tier).map(|(_, prepared)| prepared);
        Ok((decision, prepared))
    }

    fn prepare_default(
        &self,
        pop: &PopState,
        plan: &impl Fn(&Decision) -> Result<Plan, Error>,
    ) -> Option<(TierId, Prepared<P>)> {
        // Which reason it has does not matter: this decision is only a guess.
        if self.request.is_large() {
            return None;
        }
        let guess = decide::by_default(self.policy, self.bounds, Reason::ClassifierTimeout).ok()?;
        let plan = plan(&guess).ok().filter(|plan| plan.tier == guess.tier)?;
        // What its noting says is said again when the plan is made for good.
        let queue = self.call.queue(self.policy, &plan, pop, &mut Record::default());
        let job = self.call.job(self.policy, plan.tier, self.request);
        let prepared = attempt::prepare(&job, queue.first()?, &asking(&job));
        prepared.ok().map(|prepared| (plan.tier, prepared))
    }

    fn classifier_record(&self, outcome: &classifier::Outcome) -> ClassifierRecord {
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
    reply: Result<Reply, Error>,
    mut record: Record,
    mut extra: HeaderMap,
) {
    let (status, body) = match reply {
        Ok(Reply::Streamed) => return write_log(platform, memory, record),
        Ok(Reply::Json(status, body)) => (status, body),
        Ok(Reply::Empty(status)) => (status, Vec::new()),
        Err(error) => {
            record.failed(&error);
            answer_headers::error_headers(&error, &mut extra);
            (error.kind.status(), error.body())
        }
    };
    record.status = status.as_u16();
    record.bytes_sent = body.len() as u64;
    record.timings.first_byte = Some(platform.elapsed());
    record.timings.total = record.timings.first_byte;
    let head = answer_headers::head(&record, status, media::JSON, extra);
    write_log(platform, memory, record);
    platform.respond(head, body);
}

fn note_end(policy: &Policy, ended: relay::Ended, record: &mut Record) {
    record.bytes_sent = ended.bytes_sent;
    record.handed_off = ended.handed_off;
    if let Some(served) = record.served.clone()
        && let Some(model) = policy.model_named(&served.model)
    {
        note_told(policy, model, ended.told, record);
    }
    match ended.result {
        Ok(()) => {}
        Err(relay::Failure::ClientGone) => record.client_closed = true,
        Err(relay::Failure::Error(error)) => record.failed(&error),
    }
}

/// What the answer told about itself, and what it cost; also what those that were given up may have cost.
fn note_told(policy: &Policy, served: ModelId, told: AnswerFacts, record: &mut Record) {
    let price = |model: ModelId, usage: &Usage| policy.model(model).price.map(|price| usage.cost(&price));
    record.cost = told.usage.and_then(|usage| price(served, &usage));
    for attempt in record.attempts.iter_mut().filter(|attempt| attempt::is_given_up(&attempt.outcome)) {
        let model = policy.model_named(&attempt.model);
        attempt.estimate = told.usage.zip(model).and_then(|(usage, model)| price(model, &usage));
    }
    record.usage = told.usage;
    record.response_model = told.model;
    record.finish_reasons = told.finish_reasons;
}

/// The client's error for attempts that came to nothing.
fn refused(policy: &Policy, stop: Stop) -> Error {
    match stop {
        Stop::Failed(failure) => blame::error(policy, &failure),
        // Nobody is there to read it.
        Stop::ClientGone => Error::new(Kind::Internal, "The client has left."),
    }
}

fn write_log<P: Platform>(platform: &P, memory: &mut Memory, mut record: Record) {
    record.timings.total.get_or_insert(platform.elapsed());
    let vcpu_ms = platform.vcpu_ms();
    let since_last = vcpu_ms.saturating_sub(memory.vcpu_ms);
    memory.vcpu_ms = vcpu_ms;
    record.hide_keys();
    platform.log(&line::line(&record, platform.unix_time(), since_last));
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
    Some((answer_headers::head(record, error.kind.status(), media::JSON, HeaderMap::new()), body))
}
