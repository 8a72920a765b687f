//! Asks candidates until one begins to answer: one at a time, or two while a hedge runs.
//!
//! Nothing is sent to the client here: a stream is held until its first piece of an answer (or until it is whole, as
//! [`Goal`] says), a whole answer until it decodes, so that every failure before that leaves the next candidate free to
//! serve. `outcome` judges failures, `queue` says who is next, `health` remembers them for the POP.

pub mod answer_stream;
pub mod blame;
mod exchange;
pub mod outcome;
pub mod queue;

use std::time::Duration;

use http::{HeaderMap, Method};

use self::answer_stream::AnswerStream;
use self::exchange::{Carrying, Exchange, Step};
use crate::admit::look_ups;
use crate::admit::memory::Memory;
use crate::attempt::outcome::{Outcome, Verdict, judge};
use crate::attempt::queue::{Bounds, Next, Queue};
use crate::door::chat::Ask;
use crate::door::chat::answer::AnswerOptions;
use crate::door::repair::Repair;
use crate::platform::{ClientGone, Platform, UpstreamRequest};
use crate::policy::{Candidate, Policy, Resume, Tier};
use crate::pop::health::{Cooling, Standing};
use crate::record::{AttemptRecord, Record};
use crate::secret::Secret;
use crate::upstream::dialect::{self, DecodeOptions, EncodeOptions, Encoded};
use crate::upstream::headers;
use crate::upstream::keyring::Keyring;
use crate::wire::facts::AnswerFacts;
use crate::wire::media;

/// Outcomes of an attempt that another one's answer ended: its connection was closed, or could not be, since no head had
/// come (the platform cannot cancel such a request).
const CLOSED: &str = "closed";
const ABANDONED: &str = "abandoned";

/// What all attempts at one request share.
pub struct Job<'a, P: Platform> {
    pub platform: &'a P,
    pub keyring: &'a Keyring<'a, P>,
    pub policy: &'a Policy,
    pub tier: &'a Tier,
    pub request: &'a Ask<'a>,
    pub client_headers: &'a HeaderMap,
    /// When the answer must have ended, on [`Platform::elapsed`]'s clock.
    pub total: Duration,
    /// Whether the platform may send on what is left of a stream after `total`.
    pub may_hand_over: bool,
    pub goal: Goal,
}

/// What an attempt must bring before the client gets any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    WholeAnswer,
    FirstPiece,
    WholeStream,
}

/// A candidate that can be sent to at once.
pub struct Prepared<P: Platform> {
    pub candidate: Candidate,
    backend: P::Backend,
    request: UpstreamRequest,
    secret: Option<Secret<String>>,
    dropped: Vec<String>,
}

/// An answer that has begun, or is whole, as the [`Goal`] was.
pub struct Committed<P: Platform> {
    pub candidate: Candidate,
    pub headers: HeaderMap,
    pub answer: Answer<P>,
}

pub enum Answer<P: Platform> {
    Whole { body: Vec<u8>, facts: AnswerFacts },
    Stream(Box<AnswerStream<P>>),
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Stop {
    /// No candidate is left.
    Failed(Box<Failure>),
    ClientGone,
}

/// The failure that says most, of a request that no candidate served.
#[derive(Debug)]
pub struct Failure {
    pub outcome: Outcome,
    /// The policy's name of the provider.
    pub provider: String,
    /// When a candidate is expected back, from now.
    pub back: Option<Duration>,
}

/// What happens while attempts run: something for the client that waits.
pub trait Meanwhile {
    /// When [`Meanwhile::tick`] is due, on [`Platform::elapsed`]'s clock; nothing if never.
    fn due(&self) -> Option<Duration>;
    fn tick(&mut self, record: &mut Record) -> Result<(), ClientGone>;
}

/// Nothing happens meanwhile.
pub struct Quiet;

impl Meanwhile for Quiet {
    fn due(&self) -> Option<Duration> {
        None
    }

    fn tick(&mut self, _: &mut Record) -> Result<(), ClientGone> {
        Ok(())
    }
}

/// Gets key, address and body of `candidate` ready.
pub fn prepare<P: Platform>(
    job: &Job<'_, P>,
    candidate: &Candidate,
    asking: &EncodeOptions,
) -> Result<Prepared<P>, Outcome> {
    let provider = job.policy.provider_of(candidate.model);
    let (path, Encoded { body, dropped }) = dialect::encode_request(job.policy, candidate, job.request, asking)?;
    let permit = job.keyring.permit(provider, path).map_err(Outcome::NoSecret)?;
    let deadlines = &job.tier.deadlines;
    let target = dialect::target(provider, &permit, deadlines.connect, deadlines.idle);
    let backend = job.platform.backend(&target).map_err(Outcome::Send)?;
    let accept = if job.request.stream { media::EVENT_STREAM } else { media::JSON };
    let secret = permit.secret;
    let mut request_headers = dialect::request_headers(provider, secret.as_ref(), accept);
    headers::forward_upstream(job.client_headers, &mut request_headers);
    let url = format!("{}{path}", provider.base_url);
    let request = UpstreamRequest { method: Method::POST, url, headers: request_headers, body };
    Ok(Prepared { candidate: candidate.clone(), backend, request, secret, dropped })
}

/// The attempts at one request.
pub struct Attempts<'a, P: Platform> {
    pub job: &'a Job<'a, P>,
    pub queue: Queue,
    pub asking: EncodeOptions,
    /// What the client has of an answer that broke.
    pub repair: Option<Repair>,
    pub memory: &'a mut Memory,
    /// The candidate that was prepared beside the classifier's call.
    pub prepared: Option<Prepared<P>>,
    pub hedged: bool,
}

/// An attempt under way.
struct Attempt<P: Platform> {
    begun: Begun,
    exchange: Exchange<P>,
    dropped: Vec<String>,
}

#[derive(Clone, Copy)]
struct Begun {
    /// In the queue.
    place: usize,
    started: Duration,
    hedge: bool,
}

/// What the attempts of one run have come to.
struct Run<'r, P: Platform> {
    active: Vec<Attempt<P>>,
    failure: Option<Failure>,
    /// When each candidate that failed last is expected back, on the request's clock, by its place.
    back: Vec<(usize, Duration)>,
    /// On the request's clock.
    started: Duration,
    record: &'r mut Record,
}

impl<P: Platform> Attempts<'_, P> {
    /// Asks until one answers.
    ///
    /// # Errors
    /// The failure that says most, if none of them answers.
    pub fn run(&mut self, record: &mut Record, meanwhile: &mut impl Meanwhile) -> Result<Committed<P>, Stop> {
        let job = self.job;
        let started = job.platform.elapsed();
        let mut run = Run { active: Vec::with_capacity(2), failure: None, back: Vec::new(), started, record };
        loop {
            let now = job.platform.elapsed();
            if meanwhile.due().is_some_and(|due| due <= now) {
                meanwhile.tick(run.record).map_err(|ClientGone| Stop::ClientGone)?;
            }
            if run.active.is_empty() {
                // The first attempt is made whatever the time, so that there is something to tell.
                match self.queue.next(now) {
                    Next::Ask(place) if now < job.total || run.failure.is_none() => {
                        self.start(place, false, &mut run);
                    }
                    Next::SleepUntil(time) if time < job.total => {
                        let wake = meanwhile.due().map_or(time, |due| due.min(time));
                        job.platform.sleep(wake.saturating_sub(now));
                    }
                    Next::Ask(_) | Next::SleepUntil(_) | Next::Nothing => return Err(Stop::Failed(run.give_up(now))),
                }
                continue;
            }
            if let Some(position) = self.expired(now, &mut run) {
                let step = run.active[position].exchange.expire(job);
                match self.settle(position, step, &mut run) {
                    Some(committed) => return Ok(committed),
                    None => continue,
                }
            }
            if self.hedge_due(&run).is_some_and(|due| due <= now) {
                self.hedge(&mut run);
                continue;
            }
            let wake = [Some(self.next_deadline(&run)), self.hedge_due(&run), meanwhile.due()];
            let wake = wake.into_iter().flatten().min().unwrap_or(job.total);
            let waits: Vec<_> = run.active.iter().filter_map(|attempt| attempt.exchange.wait()).collect();
            let ready = job.platform.wait_first(&waits, Some(wake.saturating_sub(now)));
            drop(waits);
            let Some(ready) = ready else { continue };
            let step = run.active[ready].exchange.advance(job);
            if let Some(committed) = self.settle(ready, step, &mut run) {
                return Ok(committed);
            }
        }
    }

    /// Takes the end of the attempt at `position`, if it is one.
    fn settle(&mut self, position: usize, step: Step<P>, run: &mut Run<'_, P>) -> Option<Committed<P>> {
        match step? {
            Ok((headers, answer)) => {
                let attempt = run.active.remove(position);
                Some(self.commit(attempt, headers, answer, run))
            }
            Err(outcome) => {
                let Attempt { begun, exchange, .. } = run.active.remove(position);
                self.judge(begun, exchange.request_id(), outcome, run);
                None
            }
        }
    }

    /// Starts the candidate at `place`; says whether a request was sent.
    fn start(&mut self, place: usize, hedge: bool, run: &mut Run<'_, P>) -> bool {
        let job = self.job;
        let candidate = self.queue.candidate(place).clone();
        let begun = Begun { place, started: job.platform.elapsed(), hedge };
        let prepared = match self.prepared.take().filter(|prepared| prepared.candidate == candidate) {
            Some(prepared) => Ok(prepared),
            None => prepare(job, &candidate, &self.asking),
        };
        let Prepared { backend, request, secret, dropped, .. } = match prepared {
            Ok(prepared) => prepared,
            Err(outcome) => {
                self.queue.passed_over(place);
                run.note(job, &candidate, begun, outcome.label());
                if let (Outcome::NoSecret(_), Some(attempt)) = (&outcome, run.record.attempts.last_mut()) {
                    attempt.missing_entry = Some(job.policy.provider_of(candidate.model).secret.clone());
                }
                run.keep_failure(job, &candidate, outcome);
                return false;
            }
        };
        if self.queue.standing(place) == Standing::ProbeDue {
            let name = name(job.policy, &candidate);
            look_ups::update_pop(job.platform, self.memory, |pop, now| {
                pop.health.probes(&name, &job.policy.health, now);
            });
        }
        self.queue.asked(place, begun.started);
        if let Some(secret) = &secret {
            run.record.keys.add(secret);
        }
        match job.platform.send(&backend, request) {
            Ok(pending) => {
                let provider = job.policy.provider_of(candidate.model);
                let may_be_repaired = || (job.tier.resume != Resume::Off).then(Repair::default);
                let carrying = Carrying {
                    decode: DecodeOptions::of(provider, job.request, job.platform.unix_time()),
                    encode: AnswerOptions::of(job.request, provider.show_reasoning),
                    repair: self.repair.clone().or_else(may_be_repaired),
                    keeps_timeouts: job.platform.keeps_timeouts(&backend),
                };
                let exchange = Exchange::new(pending, job, carrying);
                run.active.push(Attempt { begun, exchange, dropped });
                true
            }
            Err(error) => {
                self.judge(begun, None, Outcome::Send(error), run);
                false
            }
        }
    }

    /// An attempt whose time is over. The first-token deadline never cuts the last candidate: another must be under way, or
    /// is started first; if there is none, the last one gets what is left of the total. A large request has one at a time.
    fn expired(&mut self, now: Duration, run: &mut Run<'_, P>) -> Option<usize> {
        let job = self.job;
        let position = run.active.iter().position(|attempt| attempt.deadline(job) <= now)?;
        let exchange = &run.active[position].exchange;
        let may_go_on = run.active.len() == 1 && !exchange.is_decided() && !exchange.has_begun();
        if now < job.total && may_go_on && job.request.is_large() {
            // There is no room for a second one beside it, so it goes on unless another can take its place.
            if self.queue.fresh().is_none() {
                run.active[position].exchange.extend(job.total);
                return None;
            }
        } else if now < job.total && may_go_on {
            let mut started = false;
            while let (false, Some(place)) = (started, self.queue.fresh()) {
                started = self.start(place, false, run);
            }
            if !started {
                run.active[position].exchange.extend(job.total);
                return None;
            }
        }
        Some(position)
    }

    fn next_deadline(&self, run: &Run<'_, P>) -> Duration {
        run.active.iter().map(|attempt| attempt.deadline(self.job)).min().unwrap_or(self.job.total)
    }

    /// When a second candidate is started beside the one that is under way; nothing if none is to be.
    fn hedge_due(&self, run: &Run<'_, P>) -> Option<Duration> {
        let may_hedge = self.job.request.stream && !self.hedged && !self.job.request.is_large();
        let after = self.job.tier.hedge_after.filter(|_| may_hedge)?;
        match &run.active[..] {
            [only] if !only.exchange.has_begun() => Some(only.begun.started + after),
            _ => None,
        }
    }

    fn hedge(&mut self, run: &mut Run<'_, P>) {
        self.hedged = true;
        let share = self.job.policy.health.hedge_share;
        let Some(place) = self.queue.fresh().filter(|place| self.queue.standing(*place) == Standing::Healthy) else {
            return;
        };
        let mut allowed = false;
        look_ups::update_pop(self.job.platform, self.memory, |pop, _| allowed = pop.hedges.take(share));
        if allowed {
            self.start(place, true, run);
        }
    }

    fn judge(&mut self, begun: Begun, request_id: Option<String>, outcome: Outcome, run: &mut Run<'_, P>) {
        let job = self.job;
        let candidate = self.queue.candidate(begun.place).clone();
        let now = job.platform.elapsed();
        let (verdict, cooling) = judge(&outcome);
        run.note(job, &candidate, begun, outcome.label());
        run.name_last(request_id);
        // While another attempt is under way nobody waits to ask the same candidate again.
        let applied = match verdict {
            Verdict::Retry | Verdict::Wait(_) if !run.active.is_empty() => Verdict::Next,
            other => other,
        };
        let bounds = Bounds { now, total: job.total, retries: job.tier.retries, random: job.platform.random() };
        let again = self.queue.failed(begun.place, applied, bounds);
        if !again && cooling != Cooling::None {
            let name = name(job.policy, &candidate);
            look_ups::update_pop(job.platform, self.memory, |pop, now| {
                pop.health.failed(&name, cooling, &job.policy.health, now);
            });
        }
        let back = match verdict {
            Verdict::Wait(delay) => Some(delay),
            Verdict::Retry => Some(job.policy.health.cooldown),
            Verdict::Next if outcome.may_pass() => Some(job.policy.health.cooldown),
            Verdict::Next | Verdict::NextLarger | Verdict::GiveUp => None,
        };
        run.back.retain(|(place, _)| *place != begun.place);
        run.back.extend(back.map(|back| (begun.place, now + back)));
        run.keep_failure(job, &candidate, outcome);
        if verdict == Verdict::GiveUp {
            // Every candidate would say the same, the other one under way too.
            run.abandon(&self.queue, job);
        }
    }

    fn commit(
        &mut self,
        attempt: Attempt<P>,
        headers: HeaderMap,
        answer: Answer<P>,
        run: &mut Run<'_, P>,
    ) -> Committed<P> {
        let job = self.job;
        run.abandon(&self.queue, job);
        let place = attempt.begun.place;
        let candidate = self.queue.candidate(place).clone();
        run.note(job, &candidate, attempt.begun, attempt.exchange.status().as_u16().to_string());
        run.name_last(attempt.exchange.request_id());
        if self.queue.standing(place) != Standing::Healthy {
            let name = name(job.policy, &candidate);
            look_ups::update_pop(job.platform, self.memory, |pop, _| {
                pop.health.succeeded(&name);
            });
        }
        run.record.dropped = attempt.dropped;
        run.record.timings.upstream = Some(job.platform.elapsed() - run.started);
        Committed { candidate, headers, answer }
    }
}

impl<P: Platform> Attempt<P> {
    fn deadline(&self, job: &Job<'_, P>) -> Duration {
        self.exchange.deadline().min(job.total)
    }
}

impl<P: Platform> Run<'_, P> {
    fn give_up(&mut self, now: Duration) -> Box<Failure> {
        let failure = self.failure.take().expect("a plan should have at least one candidate");
        let back = self.back.iter().map(|(_, back)| back.saturating_sub(now)).min();
        Box::new(Failure { back, ..failure })
    }

    /// Of several failures the last that came from a provider is told.
    fn keep_failure(&mut self, job: &Job<'_, P>, candidate: &Candidate, outcome: Outcome) {
        if self.failure.is_none() || !outcome.is_unsent() {
            let provider = job.policy.provider_of(candidate.model).name.clone();
            self.failure = Some(Failure { outcome, provider, back: None });
        }
    }

    fn note(&mut self, job: &Job<'_, P>, candidate: &Candidate, begun: Begun, outcome: String) {
        let model = job.policy.model(candidate.model);
        self.record.attempts.push(AttemptRecord {
            provider: job.policy.provider(model.provider).name.clone(),
            model: model.name.clone(),
            outcome,
            duration: job.platform.elapsed() - begun.started,
            hedge: begun.hedge,
            ..AttemptRecord::default()
        });
    }

    /// Adds the provider's own name for the request to the attempt that was noted last.
    fn name_last(&mut self, request_id: Option<String>) {
        if let Some(attempt) = self.record.attempts.last_mut() {
            attempt.request_id = request_id;
        }
    }

    /// Ends what is still under way: a connection whose head has arrived is closed, another cannot be.
    fn abandon(&mut self, queue: &Queue, job: &Job<'_, P>) {
        for attempt in std::mem::take(&mut self.active) {
            let outcome = if attempt.exchange.has_head() { CLOSED } else { ABANDONED };
            self.note(job, queue.candidate(attempt.begun.place), attempt.begun, outcome.to_owned());
            self.name_last(attempt.exchange.request_id());
        }
    }
}

/// Whether an attempt with this outcome was given up for another one's answer.
pub fn is_given_up(outcome: &str) -> bool {
    matches!(outcome, CLOSED | ABANDONED)
}

/// The name under which a candidate's health is kept.
pub fn name(policy: &Policy, candidate: &Candidate) -> String {
    let model = policy.model(candidate.model);
    format!("{}/{}", policy.provider(model.provider).name, model.name)
}
