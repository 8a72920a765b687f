//! Asks candidates until one begins to answer: one at a time, or two while a hedge runs.

use std::time::Duration;

use crate::attempt::exchange::{Advance, Arrival, Carrying, Exchange, Terms};
use crate::attempt::outcome::{ExpectedBack, Outcome, Verdict, judge};
use crate::attempt::queue::{Next, Queue, RetryLimits};
use crate::attempt::{Committed, Failure, Job, Prepared, Stop, client_error, health_name, prepare};
use crate::door::chat::answer::AnswerOptions;
use crate::door::repair::Repair;
use crate::platform::{ClientGone, Platform};
use crate::policy::{Candidate, Resume};
use crate::pop::health::{Cooling, Setback, Standing};
use crate::record::{AttemptEnd, AttemptRecord, ModelNames};
use crate::upstream::dialect::{DecodeOptions, EncodeOptions};
use crate::upstream::headers;
use crate::visit::Visit;

/// The attempts at one request.
pub struct Attempts<'a, 'v, P: Platform> {
    pub job: &'a Job<'a, P>,
    /// The request under way, which notes the attempts.
    pub visit: &'a mut Visit<'v, P>,
    queue: Queue,
    options: EncodeOptions,
    /// What the client has of an answer that broke, or what such a repair would need; nothing where the tier wants none.
    repair: Option<Repair>,
    /// The candidate that was prepared while the classifier was thinking.
    prepared: Option<Prepared<P>>,
    /// Whether the one hedge of this request was started, or tried.
    hedged: bool,
}

/// An attempt under way.
struct Attempt<P: Platform> {
    launch: Launch,
    exchange: Exchange<P>,
    dropped: Vec<String>,
}

/// The start of an attempt.
#[derive(Clone, Copy)]
struct Launch {
    /// The candidate's place in the queue.
    place: usize,
    started: Duration,
    occasion: Occasion,
}

/// Why an attempt was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    /// Its turn had come.
    Turn,
    /// The one before it was slow.
    Hedge,
}

/// How an attempt that was noted ended.
struct Ended {
    end: AttemptEnd,
    /// The provider's own name for the request.
    request_id: Option<String>,
    missing_entry: Option<String>,
}

impl Ended {
    fn of<P: Platform>(end: AttemptEnd, exchange: &Exchange<P>) -> Self {
        Self { end, request_id: exchange.request_id(), missing_entry: None }
    }
}

/// An attempt that came to nothing.
struct FailedAttempt {
    launch: Launch,
    outcome: Outcome,
    /// The provider's own name for the request.
    request_id: Option<String>,
}

/// What the attempts of one run have come to.
struct Run<P: Platform> {
    active: Vec<Attempt<P>>,
    /// The failure that says most so far.
    failure: Option<Failure>,
    /// When each candidate that failed last is expected back, on the request's clock, by its place.
    back: Vec<(usize, Duration)>,
    /// When the run began, on the request's clock.
    started: Duration,
}

impl<'a, 'v, P: Platform> Attempts<'a, 'v, P> {
    pub fn new(job: &'a Job<'a, P>, visit: &'a mut Visit<'v, P>, queue: Queue, prepared: Option<Prepared<P>>) -> Self {
        let repair = (job.tier.resume != Resume::Off).then(Repair::default);
        Self { job, visit, queue, options: job.options(), repair, prepared, hedged: false }
    }

    /// Whether there is a candidate that was not asked yet.
    pub fn has_fresh(&self) -> bool {
        self.queue.fresh().is_some()
    }

    /// From now on the candidates are asked to go on after `text`; those that cannot are passed over.
    pub fn continue_after(&mut self, text: &str) {
        let policy = self.job.policy;
        self.queue.retain(|candidate| policy.model(candidate.model).prefill.is_some());
        self.options.begun = Some(text.into());
    }

    /// Takes in what the client has of an answer that broke, which the next one is joined to.
    pub fn join(&mut self, repair: Repair) {
        self.repair = Some(repair);
    }

    /// Asks until one answers, and notes each attempt and the one that serves.
    ///
    /// # Errors
    /// The failure that says most, if none of them answers.
    pub fn run(&mut self) -> Result<Committed<P>, Stop> {
        let job = self.job;
        let started = job.platform.elapsed();
        let mut run = Run { active: Vec::with_capacity(2), failure: None, back: Vec::new(), started };
        loop {
            let now = job.platform.elapsed();
            if self.visit.comment_due().is_some_and(|due| due <= now) {
                self.visit.send_comment().map_err(|ClientGone| Stop::ClientGone)?;
            }
            if run.active.is_empty() {
                // The first attempt is made whatever the time, so that there is something to tell.
                match self.queue.next(now) {
                    Next::Ask(place) if now < job.total || run.failure.is_none() => {
                        self.start(place, Occasion::Turn, &mut run);
                    }
                    Next::SleepUntil(time) if time < job.total => {
                        let wake = self.visit.comment_due().map_or(time, |due| due.min(time));
                        job.platform.sleep(wake.saturating_sub(now));
                    }
                    Next::Ask(_) | Next::SleepUntil(_) | Next::Nothing => {
                        return Err(Stop::Failed(client_error::of(job.policy, &run.give_up(now))));
                    }
                }
                continue;
            }
            if let Some(position) = self.expired(now, &mut run) {
                let advance = run.active[position].exchange.expire(job.platform);
                match self.take(position, advance, &mut run) {
                    Some(committed) => return Ok(committed),
                    None => continue,
                }
            }
            if self.hedge_due(&run).is_some_and(|due| due <= now) {
                self.hedge(&mut run);
                continue;
            }
            let wake = [Some(self.next_deadline(&run)), self.hedge_due(&run), self.visit.comment_due()];
            let wake = wake.into_iter().flatten().min().unwrap_or(job.total);
            let waits: Vec<_> = run.active.iter().filter_map(|attempt| attempt.exchange.wait()).collect();
            let ready = job.platform.wait_first(&waits, Some(wake.saturating_sub(now)));
            drop(waits);
            let Some(ready) = ready else { continue };
            let advance = run.active[ready].exchange.advance(job.platform);
            if let Some(committed) = self.take(ready, advance, &mut run) {
                return Ok(committed);
            }
        }
    }

    /// Takes the end of the attempt at `position`, if it is one.
    fn take(&mut self, position: usize, advance: Advance<P>, run: &mut Run<P>) -> Option<Committed<P>> {
        match advance? {
            Ok(arrival) => {
                let attempt = run.active.remove(position);
                Some(self.commit(attempt, arrival, run))
            }
            Err(outcome) => {
                let Attempt { launch, exchange, .. } = run.active.remove(position);
                let failed = FailedAttempt { launch, outcome, request_id: exchange.request_id() };
                self.fail(failed, run);
                None
            }
        }
    }

    /// Starts the candidate at `place`; says whether a request was sent.
    fn start(&mut self, place: usize, occasion: Occasion, run: &mut Run<P>) -> bool {
        let job = self.job;
        let candidate = self.queue.candidate(place).clone();
        let launch = Launch { place, started: job.platform.elapsed(), occasion };
        let prepared = match self.prepared.take().filter(|prepared| prepared.is_for(job, &candidate)) {
            Some(prepared) => Ok(prepared),
            None => prepare(job, &candidate, &self.options),
        };
        let Prepared { backend, request, secret, dropped, .. } = match prepared {
            Ok(prepared) => prepared,
            Err(outcome) => {
                self.queue.passed_over(place);
                let entry = || job.policy.provider_of(candidate.model).secret.clone();
                let missing_entry = matches!(outcome, Outcome::NoSecret(_)).then(entry);
                self.note(&candidate, launch, Ended { end: outcome.end(), request_id: None, missing_entry });
                run.keep_failure(job, &candidate, outcome);
                return false;
            }
        };
        if self.queue.standing(place) == Standing::ProbeDue {
            let name = health_name(job.policy, &candidate);
            self.visit.update_pop(|pop, now| pop.health.probes(&name, &job.policy.health, now));
        }
        self.queue.asked(place, launch.started);
        if let Some(secret) = &secret {
            self.visit.note_key(secret);
        }
        match job.platform.send(&backend, request) {
            Ok(pending) => {
                let provider = job.policy.provider_of(candidate.model);
                let carrying = Carrying {
                    decode: DecodeOptions::of(provider, job.ask, job.platform.unix_time()),
                    encode: AnswerOptions::of(job.ask, provider.show_reasoning),
                    repair: self.repair.clone(),
                    keeps_timeouts: job.platform.keeps_timeouts(&backend),
                };
                let exchange = Exchange::new(pending, launch.started, Terms::of(job), carrying);
                run.active.push(Attempt { launch, exchange, dropped });
                true
            }
            Err(error) => {
                self.fail(FailedAttempt { launch, outcome: Outcome::Send(error), request_id: None }, run);
                false
            }
        }
    }

    /// An attempt whose time is over. The first-token deadline never cuts the last candidate: another must be under way, or
    /// is started first; if there is none, the last one gets what is left of the total. A large request has one at a time.
    fn expired(&mut self, now: Duration, run: &mut Run<P>) -> Option<usize> {
        let job = self.job;
        let position = run.active.iter().position(|attempt| attempt.deadline(job) <= now)?;
        let exchange = &run.active[position].exchange;
        let may_go_on = run.active.len() == 1 && !exchange.outcome_is_known() && !exchange.has_begun();
        if now < job.total && may_go_on && job.ask.is_large() {
            // There is no room for a second one beside it, so it goes on unless another can take its place.
            if !self.has_fresh() {
                run.active[position].exchange.extend(job.total);
                return None;
            }
        } else if now < job.total && may_go_on {
            let mut started = false;
            while let (false, Some(place)) = (started, self.queue.fresh()) {
                started = self.start(place, Occasion::Turn, run);
            }
            if !started {
                run.active[position].exchange.extend(job.total);
                return None;
            }
        }
        Some(position)
    }

    fn next_deadline(&self, run: &Run<P>) -> Duration {
        run.active.iter().map(|attempt| attempt.deadline(self.job)).min().unwrap_or(self.job.total)
    }

    /// When a second candidate is started beside the one that is under way; nothing if none is to be.
    fn hedge_due(&self, run: &Run<P>) -> Option<Duration> {
        let may_hedge = self.job.ask.stream && !self.hedged && !self.job.ask.is_large();
        let after = self.job.tier.hedge_after.filter(|_| may_hedge)?;
        match &run.active[..] {
            [only] if !only.exchange.has_begun() => Some(only.launch.started + after),
            _ => None,
        }
    }

    fn hedge(&mut self, run: &mut Run<P>) {
        self.hedged = true;
        let share = self.job.policy.health.hedge_share;
        let Some(place) = self.queue.fresh().filter(|place| self.queue.standing(*place) == Standing::Healthy) else {
            return;
        };
        let mut allowed = false;
        self.visit.update_pop(|pop, _| allowed = pop.hedges.take(share));
        if allowed {
            self.start(place, Occasion::Hedge, run);
        }
    }

    /// An attempt came to nothing: the table says what follows.
    fn fail(&mut self, failed: FailedAttempt, run: &mut Run<P>) {
        let FailedAttempt { launch, outcome, request_id } = failed;
        let job = self.job;
        let candidate = self.queue.candidate(launch.place).clone();
        let now = job.platform.elapsed();
        let judgement = judge(&outcome, job.tier.on_refusal);
        self.note(&candidate, launch, Ended { end: outcome.end(), request_id, missing_entry: None });
        // While another attempt is under way nobody waits to ask the same candidate again.
        let applied = match judgement.verdict {
            Verdict::Retry | Verdict::Wait(_) if !run.active.is_empty() => Verdict::Next,
            other => other,
        };
        let limits = RetryLimits { now, total: job.total, retries: job.tier.retries, random: job.platform.random() };
        let again = self.queue.failed(launch.place, applied, limits);
        if !again && judgement.cooling != Cooling::None {
            let name = health_name(job.policy, &candidate);
            let cooling = judgement.cooling;
            self.visit.update_pop(|pop, at| pop.health.failed(&name, Setback { cooling, at }, &job.policy.health));
        }
        run.back.retain(|(place, _)| *place != launch.place);
        match judgement.expected_back {
            ExpectedBack::Never => {}
            ExpectedBack::AfterCooldown => run.back.push((launch.place, now + job.policy.health.cooldown)),
            ExpectedBack::After(delay) => run.back.push((launch.place, now + delay)),
        }
        run.keep_failure(job, &candidate, outcome);
        if judgement.verdict == Verdict::GiveUp {
            // Every candidate would say the same, the other one under way too.
            self.abandon(run);
        }
    }

    fn commit(&mut self, attempt: Attempt<P>, arrival: Arrival<P>, run: &mut Run<P>) -> Committed<P> {
        let Attempt { launch, exchange, dropped } = attempt;
        let job = self.job;
        self.abandon(run);
        let candidate = self.queue.candidate(launch.place).clone();
        self.note(&candidate, launch, Ended::of(AttemptEnd::Status(exchange.status()), &exchange));
        if self.queue.standing(launch.place) != Standing::Healthy {
            let name = health_name(job.policy, &candidate);
            self.visit.update_pop(|pop, _| {
                pop.health.succeeded(&name);
            });
        }
        let upstream = job.platform.elapsed() - run.started;
        self.visit.note(|record| {
            record.dropped = dropped;
            record.timings.upstream = Some(upstream);
            record.served = Some(ModelNames::of(job.policy, candidate.model));
        });
        self.visit.add_headers(headers::rate_limits(&arrival.headers));
        Committed { candidate, answer: arrival.answer }
    }

    fn note(&mut self, candidate: &Candidate, launch: Launch, ended: Ended) {
        let Ended { end, request_id, missing_entry } = ended;
        self.visit.note_attempt(AttemptRecord {
            candidate: candidate.model,
            names: ModelNames::of(self.job.policy, candidate.model),
            end,
            duration: self.job.platform.elapsed() - launch.started,
            hedge: launch.occasion == Occasion::Hedge,
            request_id,
            missing_entry,
            estimate: None,
        });
    }

    /// Ends what is still under way: a connection whose head has arrived is closed, another cannot be.
    fn abandon(&mut self, run: &mut Run<P>) {
        for Attempt { launch, exchange, .. } in std::mem::take(&mut run.active) {
            let end = if exchange.has_head() { AttemptEnd::Closed } else { AttemptEnd::Abandoned };
            let candidate = self.queue.candidate(launch.place).clone();
            self.note(&candidate, launch, Ended::of(end, &exchange));
        }
    }
}

impl<P: Platform> Attempt<P> {
    fn deadline(&self, job: &Job<'_, P>) -> Duration {
        self.exchange.deadline().min(job.total)
    }
}

impl<P: Platform> Run<P> {
    fn give_up(&mut self, now: Duration) -> Failure {
        let failure = self.failure.take().expect("a plan should have at least one candidate");
        let back = self.back.iter().map(|(_, back)| back.saturating_sub(now)).min();
        Failure { back, ..failure }
    }

    /// Keeps the failure that the client is told: the last one that came from a provider, else the first.
    fn keep_failure(&mut self, job: &Job<'_, P>, candidate: &Candidate, outcome: Outcome) {
        if self.failure.is_none() || !outcome.is_unsent() {
            let provider = job.policy.provider_of(candidate.model).name.clone();
            self.failure = Some(Failure { outcome, provider, back: None });
        }
    }
}
