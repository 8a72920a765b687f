//! One request from receipt to log line, top to bottom: look up who asks and by which policy, decide the tier, plan its
//! candidates, ask them, pass the answer on, settle.
//!
//! Each step takes the earlier steps' results and returns the next one's input. What they learn is noted in the [`Visit`], and
//! every path ends in [`settle`]: one answer and one log line.

use std::cell::RefCell;
use std::rc::Rc;

use http::StatusCode;

use crate::admit::auth::{self, Presented};
use crate::admit::look_ups::{self, Gathered, Shared, Wanted, body_deadline};
use crate::admit::memory::Memory;
use crate::attempt::engine::Attempts;
use crate::attempt::{self, Answer, Goal, Job, Prepared, Request};
use crate::decide::plan::{self, Plan};
use crate::decide::{self, Classifier, Decision, Question};
use crate::door::chat::Ask;
use crate::door::cors;
use crate::door::headers::{self, RouteHeaders};
use crate::door::route::{self, Route};
use crate::door::upload::Upload;
use crate::error::Error;
use crate::mask::keys::without_known_shapes;
use crate::platform::{Platform, Received};
use crate::policy::rules::{self, Bounds, Facts};
use crate::pop::hedge::Bucket;
use crate::record::{Reason, Record};
use crate::relay::{self, Relayed};
use crate::report;
use crate::upstream::keyring::Keyring;
use crate::visit::Visit;
use crate::visit::settle::{Ending, Served, Settled, settle};
use crate::wire::media;

/// The longest name of a requested model that is logged, in bytes.
const MAX_LOGGED_MODEL_BYTES: usize = 128;

/// Serves one request.
pub fn handle<P: Platform>(platform: &P, memory: &Memory, received: Received<P::Body>) {
    let keyring = Keyring::new(platform, memory.secret_store.get());
    let mut visit = Visit::new(&keyring, memory, Record::received(&received));
    let settled = serve(&mut visit, received).unwrap_or_else(Settled::failed);
    settle(visit, settled);
    memory.secret_store.set(keyring.used());
    look_ups::do_chores(platform, memory);
}

fn serve<P: Platform>(visit: &mut Visit<'_, P>, received: Received<P::Body>) -> Result<Settled, Error> {
    let Received { method, path, query, headers: client_headers, mut body, time_left, .. } = received;
    let route = route::find(&method, &path)?;
    let presented = auth::presented(&client_headers);
    let is_keyless = matches!(presented, Presented::Nothing);
    let route_headers = headers::parse_route_headers(&client_headers);
    // A body that nobody can read is not read.
    let content = headers::check_content(&client_headers);
    let body =
        (route.takes_body() && content.is_ok()).then(|| Upload::new(&mut body, media::content_length(&client_headers)));
    let shared = if route.looks_at_pop() { Shared::Wanted } else { Shared::Ignored };
    let found = look_ups::look_up(visit.platform, visit.memory, Wanted { presented, body, shared });
    visit.note_found(&found);
    if is_keyless && !route.needs_key() {
        // A key that is presented and refused changes nothing about the answer, but is logged.
        visit.note(|record| record.refusal = None);
    }
    if let Ok(in_force) = found.policy.in_force() {
        visit.add_headers(cors::of_answer(&in_force.policy, &client_headers));
    }
    match route {
        Route::Preflight => {
            visit.add_headers(cors::of_preflight(&found.policy.in_force()?.policy, &client_headers));
            Ok(Settled::answer(StatusCode::NO_CONTENT, Vec::new()))
        }
        Route::Health => {
            let inspector = found.client.client.as_ref().is_ok_and(|client| client.may_inspect);
            let secrets = inspector.then(|| visit.keyring.inspect());
            let (status, body) = report::health(&found, secrets, visit.platform.unix_time());
            Ok(Settled::answer(status, body))
        }
        Route::Models | Route::Model(_) => {
            let policy = &found.policy.in_force()?.policy;
            let client = found.client.client?;
            let body = match route {
                Route::Model(name) => report::model(policy, &client, &name)?,
                _ => report::models(policy, &client),
            };
            Ok(Settled::answer(StatusCode::OK, body))
        }
        Route::ChatCompletions | Route::Decision => {
            let policy = found.policy.in_force()?.policy.clone();
            let until = body_deadline(&policy, route_headers.as_ref().ok(), time_left);
            let gathered = found.gather(visit.platform, until)?;
            let bytes_received = gathered.body.len() as u64;
            visit.note(|record| record.bytes_received = bytes_received);
            content?;
            let route_headers = route_headers?;
            let ask = Ask::parse(&gathered.body)?;
            let request =
                Request { ask: &ask, client_headers: &client_headers, timeout: route_headers.timeout, time_left };
            note_request(visit, &ask, &route_headers);
            let bounds = bounds(visit.platform, &gathered, &ask);
            let random = visit.platform.random();
            let case = Case { gathered: &gathered, route_headers: &route_headers, request, bounds, random };
            match route {
                Route::Decision if route::lets_classify(query.as_deref()) => case.explain(visit, Classifier::Asked),
                Route::Decision => case.explain(visit, Classifier::Skipped),
                _ => case.complete(visit),
            }
        }
    }
}

/// What the steps of a request for a completion share.
struct Case<'a> {
    gathered: &'a Gathered,
    route_headers: &'a RouteHeaders,
    request: Request<'a>,
    bounds: Bounds,
    /// Draws from splits.
    random: u64,
}

impl Case<'_> {
    /// Asks candidates until one serves, and passes its answer on.
    fn complete<P: Platform>(&self, visit: &mut Visit<'_, P>) -> Result<Settled, Error> {
        let policy = &self.gathered.policy.policy;
        let keyring = visit.keyring;
        let prepared = RefCell::new(None);
        let (_, plan) = self.decide(visit, Classifier::Asked, &|guess| {
            prepared.replace(self.prepare(keyring, guess));
        })?;
        let job = Job::new(keyring, policy, plan.tier, self.request);
        let ranking = attempt::rank(policy, &plan.candidates, &self.gathered.pop.health, visit.platform.unix_time());
        visit.note_reasons(ranking.is_changed.then_some(Reason::CandidateCooling));
        visit.note(|record| record.cooling = ranking.cooling);
        if job.may_hedge() && Bucket::counts(visit.platform.random()) {
            visit.update_pop(|pop, _| pop.hedges.add(policy.health.hedge_share));
        }
        if job.goal == Goal::WholeStream {
            visit.keep_alive();
        }
        let mut attempts = Attempts::new(&job, visit, ranking.queue, prepared.into_inner());
        let committed = match attempts.run() {
            Ok(committed) => committed,
            Err(stop) => return Ok(Settled { served: None, ending: stop.into() }),
        };
        let (candidate, facts, ending) = match committed.answer {
            Answer::Whole { body, whole } => (committed.candidate, whole.told, Ending::Answer(StatusCode::OK, body)),
            Answer::Stream(stream) => {
                let Relayed { candidate, facts, ending } = relay::run(&mut attempts, committed.candidate, stream);
                (candidate, facts, ending)
            }
        };
        Ok(Settled { served: Some(Served { policy: Rc::clone(policy), model: candidate.model, facts }), ending })
    }

    /// The decision and the plan, as JSON; no candidate is asked.
    fn explain<P: Platform>(&self, visit: &mut Visit<'_, P>, classifier: Classifier) -> Result<Settled, Error> {
        let (decision, plan) = self.decide(visit, classifier, &|_| ())?;
        let body = report::decision(&self.gathered.policy.policy, &decision, &plan, visit.known());
        Ok(Settled::answer(StatusCode::OK, body))
    }

    /// The tier and its candidates. `meanwhile` gets the default tier while the classifier is thinking.
    fn decide<P: Platform>(
        &self,
        visit: &mut Visit<'_, P>,
        classifier: Classifier,
        meanwhile: &dyn Fn(&Decision),
    ) -> Result<(Decision, Plan), Error> {
        let Gathered { policy, client, pop, .. } = self.gathered;
        let policy = &*policy.policy;
        let started = visit.platform.elapsed();
        let question = Question {
            policy,
            client,
            headers: self.route_headers,
            ask: self.request.ask,
            bounds: &self.bounds,
            pop,
            classifier,
            meanwhile,
        };
        let decision = decide::decide(&question, visit)?;
        let took = visit.platform.elapsed() - started;
        visit.note(|record| record.timings.decide = Some(took));
        let plan = self.plan(&decision)?;
        visit.note(|record| {
            record.tier = Some(policy.tier(plan.tier).name.clone());
            record.source = Some(decision.source);
            record.confidence = decision.confidence;
        });
        visit.note_reasons(decision.reasons.iter().chain(&plan.reasons).copied());
        Ok((decision, plan))
    }

    fn plan(&self, decision: &Decision) -> Result<Plan, Error> {
        let draw = plan::Draw { bounds: &self.bounds, random: self.random };
        plan::plan(&self.gathered.policy.policy, decision, &self.request.ask.features, &draw)
    }

    /// The first candidate of a guess, ready to be asked; not of a large body, which might have to be encoded a second time
    /// beside that.
    fn prepare<P: Platform>(&self, keyring: &Keyring<'_, P>, guess: &Decision) -> Option<Prepared<P>> {
        let Gathered { policy, pop, .. } = self.gathered;
        let plan = self.plan(guess).ok().filter(|plan| plan.tier == guess.tier && !self.request.ask.is_large())?;
        let job = Job::new(keyring, &policy.policy, plan.tier, self.request);
        let ranking = attempt::rank(&policy.policy, &plan.candidates, &pop.health, keyring.platform().unix_time());
        attempt::prepare(&job, ranking.queue.first()?, &job.options()).ok()
    }
}

/// What the policy's rules and the client's rights allow for this request.
fn bounds<P: Platform>(platform: &P, gathered: &Gathered, ask: &Ask<'_>) -> Bounds {
    let Gathered { policy, client, .. } = gathered;
    let asks_country = policy.policy.rules.iter().any(|rule| rule.when.asks_country());
    let country = asks_country.then(|| platform.country()).flatten();
    let facts = Facts {
        client: &client.id,
        country: country.as_deref(),
        has_tools: ask.features.has_tools,
        has_images: ask.features.has_media,
        client_tiers: client.tiers.as_deref(),
    };
    rules::bounds(&policy.policy, &facts)
}

fn note_request<P: Platform>(visit: &mut Visit<'_, P>, ask: &Ask<'_>, headers: &RouteHeaders) {
    let bare = |text: &String| without_known_shapes(text, text.len());
    visit.note(|record| {
        record.requested_model = Some(without_known_shapes(&ask.model, MAX_LOGGED_MODEL_BYTES));
        record.stream = ask.stream;
        for (name, value) in &headers.tags {
            // The operator's tag of the same name wins.
            record.tags.entry(bare(name)).or_insert_with(|| bare(value));
        }
    });
    visit.note_reasons(headers.affinity.is_some().then_some(Reason::AffinityInvalid));
}
