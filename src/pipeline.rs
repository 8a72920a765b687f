//! One request from receipt to log line, top to bottom: look up who asks and by which policy, decide the tier, plan its
//! candidates, ask them, pass the answer on, settle.
//!
//! Each step takes the earlier steps' results and returns the next one's input. What they learn is noted in the [`Visit`], and
//! every path ends in [`settle`]: one answer and one log line.

use std::cell::RefCell;
use std::rc::Rc;

use http::header::{HeaderMap, ORIGIN};
use http::{Method, StatusCode};

use crate::admit::auth::{self, Presented};
use crate::admit::look_ups::{self, Gathered, Shared, Wanted, body_deadline};
use crate::admit::memory::Memory;
use crate::attempt::engine::Attempts;
use crate::attempt::{self, Answer, CommitAt, Job, Prepared, Request};
use crate::decide::case::{Case, Chosen};
use crate::decide::{ClassifierUse, Decision};
use crate::door::call_tags::FoundTags;
use crate::door::headers::{self, RouteHeaders};
use crate::door::route::{self, Route};
use crate::door::upload::Upload;
use crate::door::{chat, cors, messages};
use crate::error::{Error, Kind};
use crate::platform::allowance::Allowance;
use crate::platform::{Platform, Received};
use crate::policy::Candidate;
use crate::pop::health::{self, Found};
use crate::pop::hedge;
use crate::record::{Reason, Record};
use crate::relay::hop::{self, Foreign};
use crate::relay::{self, Relayed};
use crate::report::{self, Asked};
use crate::upstream::keyring::Keyring;
use crate::visit::Visit;
use crate::visit::settle::{Ending, Settled, settle};
use crate::wire::ask::Ask;
use crate::wire::call_tag::CallTags;
use crate::wire::door::Door;
use crate::wire::media;
use crate::wire::transfer::Transfer;

/// Serves one request.
pub fn handle<P: Platform>(platform: &P, memory: &Memory, received: Received<P::Body>) {
    let keyring = Keyring::new(platform, memory.secret_store.get());
    let mut visit = Visit::new(&keyring, memory, Record::received(&received));
    let settled = serve(&mut visit, received).unwrap_or_else(Settled::failed);
    let afterwards = visit.take_afterwards();
    settle(visit, settled);
    afterwards.into_iter().for_each(|work| work(platform));
    memory.secret_store.set(keyring.used());
}

fn serve<P: Platform>(visit: &mut Visit<'_, P>, received: Received<P::Body>) -> Result<Settled, Error> {
    let Received { method, path, query, headers: client_headers, mut body, sandbox_age, .. } = received;
    let door = route::door(&path, &client_headers);
    visit.note(|record| record.door = door);
    if method == Method::POST && path == hop::PATH {
        return hop::serve(visit, body, sandbox_age).map_err(|Foreign| {
            admit_origin(visit, &client_headers);
            route::unknown(&path)
        });
    }
    let route = match route::find(&method, &path) {
        Ok(route) => route,
        Err(error) => {
            admit_origin(visit, &client_headers);
            return Err(error);
        }
    };
    let presented = auth::presented(&client_headers);
    let is_keyless = matches!(presented, Presented::Nothing);
    let route_headers = headers::parse_route_headers(&client_headers);
    // A body that nobody can read is not read.
    let content = headers::check_content(&client_headers);
    let body =
        (route.takes_body() && content.is_ok()).then(|| Upload::new(&mut body, media::content_length(&client_headers)));
    let shared = if route.looks_at_pop() { Shared::Wanted } else { Shared::Ignored };
    let mut found = look_ups::look_up(visit.platform, visit.memory, Wanted { presented, body, shared });
    visit.note_found(&found);
    for chore in std::mem::take(&mut found.chores) {
        visit.leave(move |platform| chore.perform(platform));
    }
    if is_keyless && !route.needs_key() {
        // A key that is presented and refused changes nothing about the answer, but is logged.
        visit.note(|record| record.refusal = None);
    }
    if let Ok(in_force) = found.policy.in_force() {
        visit.add_headers(cors::of_answer(&in_force.policy, &client_headers));
    }
    match route {
        Route::Preflight | Route::Health | Route::Hello | Route::Models | Route::Model(_) => {
            report::answer(visit, found, &Asked { route, query: query.as_deref(), client_headers: &client_headers })
        }
        Route::ChatCompletions | Route::Messages | Route::CountTokens | Route::Decision => {
            let policy = Rc::clone(&found.policy.in_force()?.policy);
            let allowance = Allowance::new(&policy.platform, sandbox_age);
            let until = body_deadline(&policy, route_headers.as_ref().ok(), &allowance);
            let gathered = found.gather(visit.platform, until)?;
            let bytes_received = gathered.body.len() as u64;
            visit.note(|record| record.bytes_received = bytes_received);
            let gathered = gathered.decoded(content?)?;
            let route_headers = route_headers?;
            let query = query.as_deref();
            let terms =
                Terms { route, query, route_headers: &route_headers, client_headers: &client_headers, allowance };
            let ask = parse(door, &gathered.body)?;
            let keys = || CallTags::new(&visit.keyring.token_roots());
            let Some(tags) = FoundTags::of(&ask, &gathered.body, keys) else {
                return converse(visit, &gathered, &ask, terms);
            };
            drop(ask);
            let gathered = gathered.untagged(&tags);
            let ask = parse(door, &gathered.body)?;
            converse(visit, &gathered, &ask, terms)
        }
    }
}

fn parse(door: Door, body: &[u8]) -> Result<Ask<'_>, Error> {
    match door {
        Door::Chat => chat::parse(body),
        Door::Messages => messages::parse(body),
    }
}

/// What is known of a request beside its body.
struct Terms<'t> {
    route: Route,
    query: Option<&'t str>,
    route_headers: &'t RouteHeaders,
    client_headers: &'t HeaderMap,
    allowance: Allowance,
}

/// Answers a request that was read in the body that was gathered.
fn converse<P: Platform>(
    visit: &mut Visit<'_, P>,
    gathered: &Gathered,
    ask: &Ask<'_>,
    terms: Terms<'_>,
) -> Result<Settled, Error> {
    let Terms { route, query, route_headers, client_headers, allowance } = terms;
    let case = Case::new(visit.platform, gathered, route_headers, ask);
    case.note(visit);
    let request = Request { ask, client_headers, timeout: route_headers.timeout, allowance, pinned: None };
    match route {
        Route::Decision if route::lets_classify(query) => explain(visit, &case, ClassifierUse::Asked),
        Route::Decision => explain(visit, &case, ClassifierUse::Skipped),
        Route::CountTokens => count_tokens(visit, &case.of_any_length(), request),
        _ => complete(visit, &case, request),
    }
}

/// Lets a browser read that there is nothing where it asked. For others no store is asked, since scanners come for nothing else.
fn admit_origin<P: Platform>(visit: &mut Visit<'_, P>, client_headers: &HeaderMap) {
    if !client_headers.contains_key(ORIGIN) {
        return;
    }
    let wanted = Wanted { presented: Presented::Nothing, body: None, shared: Shared::Ignored };
    let found = look_ups::look_up(visit.platform, visit.memory, wanted);
    if let Ok(in_force) = found.policy.in_force() {
        visit.add_headers(cors::of_answer(&in_force.policy, client_headers));
    }
}

/// The decision and the plan, as JSON; no candidate is asked.
fn explain<P: Platform>(
    visit: &mut Visit<'_, P>,
    case: &Case<'_>,
    classifier: ClassifierUse,
) -> Result<Settled, Error> {
    let chosen = case.choose(visit, classifier, &|_| ())?;
    visit.note_reasons(chosen.plan.keeps_maker.then_some(Reason::ToolLoop));
    Ok(Settled::answer(StatusCode::OK, report::decision(case.policy, &chosen, visit.known())))
}

/// How many tokens the request has, for the candidates that would be asked first; also of one that none of them can carry, since
/// clients ask in order to know that.
fn count_tokens<P: Platform>(
    visit: &mut Visit<'_, P>,
    case: &Case<'_>,
    request: Request<'_>,
) -> Result<Settled, Error> {
    visit.note(|record| record.stream = false);
    let counted = match case.choose(visit, ClassifierUse::Skipped, &|_| ()) {
        Ok(Chosen { plan, decision }) => {
            visit.note_reasons(plan.keeps_maker.then_some(Reason::ToolLoop));
            let request = Request { pinned: decision.pinned, ..request };
            let job = Job::new(visit.keyring, case.policy, plan.tier, request);
            attempt::count::count(visit, &job, &plan.candidates)?
        }
        Err(error) if matches!(error.kind, Kind::NoCapableCandidate(_)) => None,
        Err(error) => return Err(error),
    };
    visit.note_reasons(counted.is_none().then_some(Reason::Estimated));
    let tokens = counted.unwrap_or(request.ask.features.input_tokens);
    Ok(Settled::answer(StatusCode::OK, report::token_count(tokens)))
}

/// Asks candidates until one serves, and passes its answer on.
fn complete<P: Platform>(visit: &mut Visit<'_, P>, case: &Case<'_>, request: Request<'_>) -> Result<Settled, Error> {
    let (policy, keyring) = (case.policy, visit.keyring);
    let guessed = RefCell::new(None);
    let Chosen { plan, decision } = case.choose(visit, ClassifierUse::Asked, &|guess| {
        guessed.replace(prepare(keyring, case, request, guess));
    })?;
    let request = Request { pinned: decision.pinned, ..request };
    let job = Job::new(keyring, policy, plan.tier, request);
    let guessed = guessed.into_inner();
    let known = guessed.as_ref().filter(|guessed| guessed.candidates == plan.candidates).map(|guessed| &guessed.found);
    let found = known.cloned().unwrap_or_else(|| look_up(visit.platform, case, &plan.candidates));
    let ranking = attempt::rank(policy, &plan.candidates, &found, job.allowance.attempts);
    let leads = ranking.queue.candidates().next() == plan.candidates.first();
    visit.note_reasons((plan.keeps_maker && leads).then_some(Reason::ToolLoop));
    visit.note_reasons(ranking.is_changed.then_some(Reason::CandidateCooling));
    visit.note(|record| record.cooling = ranking.cooling);
    if job.hedge_after().is_some() {
        let share = policy.health.hedge_share;
        visit.leave(move |platform| hedge::count(platform, share));
    }
    match (job.told, job.commit_at, job.tier.early_head) {
        (Transfer::Stream, CommitAt::Whole, _) => visit.keep_alive(),
        (Transfer::Stream, CommitAt::FirstPiece, Some(silence)) => visit.keep_alive_at(silence),
        (Transfer::Stream, CommitAt::FirstPiece, None) | (Transfer::Whole, ..) => {}
    }
    let prepared = guessed.and_then(|guessed| guessed.prepared);
    let mut attempts = Attempts::new(&job, visit, ranking.queue, prepared);
    let committed = match attempts.run() {
        Ok(committed) => committed,
        Err(stop) => return Ok(Settled { facts: None, ending: stop.into() }),
    };
    let (serving, facts, ending) = match committed.answer {
        Answer::Whole { body, facts } => (committed.serving, facts, Ending::Answer(StatusCode::OK, body)),
        Answer::Stream(stream) => {
            let Relayed { serving, facts, ending } = relay::run(&mut attempts, committed.serving, stream);
            (serving, facts, ending)
        }
    };
    // What was left to the platform was good as far as it was seen.
    if ending.is_good() {
        visit.leave(move |platform| serving.witness.was_whole(platform));
    }
    Ok(Settled { facts: Some(facts), ending })
}

/// What was done for a guess while the classifier was thinking.
struct Guessed<P: Platform> {
    candidates: Vec<Candidate>,
    /// What this POP knows of them.
    found: Vec<Found>,
    /// The first one, ready to be asked.
    prepared: Option<Prepared<P>>,
}

fn look_up<P: Platform>(platform: &P, case: &Case<'_>, candidates: &[Candidate]) -> Vec<Found> {
    health::look_up(platform, case.index, &attempt::health_names(case.policy, candidates))
}

/// Gets the first candidate of a guess ready; not for a large body, which might have to be encoded a second time beside that.
fn prepare<P: Platform>(
    keyring: &Keyring<'_, P>,
    case: &Case<'_>,
    request: Request<'_>,
    guess: &Decision,
) -> Option<Guessed<P>> {
    let plan = case.plan(guess).ok().filter(|plan| plan.tier == guess.tier && !request.ask.is_large())?;
    let job = Job::new(keyring, case.policy, plan.tier, Request { pinned: guess.pinned, ..request });
    let found = look_up(keyring.platform(), case, &plan.candidates);
    let ranking = attempt::rank(case.policy, &plan.candidates, &found, job.allowance.attempts);
    let prepared =
        ranking.queue.candidates().next().and_then(|first| attempt::prepare(&job, first, &job.options()).ok());
    Some(Guessed { candidates: plan.candidates, found, prepared })
}
