//! Asks candidates until one begins to answer: in the queue's order, and beside each other where one keeps the client waiting.

use std::time::Duration;

use crate::attempt::answer_stream::Opening;
use crate::attempt::exchange::{Advance, Arrival, Carrying, Exchange, Sighting, Terms};
use crate::attempt::outcome::{ExpectedBack, Judgement, Outcome, Verdict, judge};
use crate::attempt::probe;
use crate::attempt::queue::{Next, Queue, RetryLimits};
use crate::attempt::race::{Attempt, Launch, Occasion, Race, Win};
use crate::attempt::witness::Witness;
use crate::attempt::{Committed, Failure, Job, Prepared, Serving, Stop, client_error, prepare};
use crate::door::answer::AnswerOptions;
use crate::door::repair::Repair;
use crate::error::{Error, Kind, Retry};
use crate::platform::{ClientGone, Platform};
use crate::policy::{OnRefusal, Resume};
use crate::pop::health::{self, Stage, Standing};
use crate::pop::hedge;
use crate::record::{AttemptEnd, AttemptRecord, Billing, ModelNames};
use crate::upstream::dialect::{DecodeOptions, EncodeOptions, Recipient};
use crate::upstream::headers;
use crate::upstream::keyring::NoSecret;
use crate::visit::Visit;
use crate::wire::transfer::Transfer;

/// The CPU time is looked at once in so many steps, since looking takes some too.
const STEPS_PER_LOOK: u32 = 16;

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

/// An attempt that came to nothing.
struct FailedAttempt {
    launch: Launch,
    outcome: Outcome,
    sighting: Sighting,
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
        let mut race = Race::new(job.platform.elapsed());
        let mut steps = 0;
        loop {
            let now = job.platform.elapsed();
            if self.visit.comment_due().is_some_and(|due| due <= now)
                && let Err(ClientGone) = self.visit.send_comment(job.total.min(job.allowance.ends))
            {
                self.abandon(&mut race);
                return Err(Stop::ClientGone);
            }
            steps += 1;
            if now >= job.ends() || self.is_spent(&race, steps) {
                return self.end_at_limit(race);
            }
            if let Some((place, occasion)) = self.next_start(now, &race) {
                self.start(place, occasion, &mut race);
                continue;
            }
            if race.is_empty() {
                match self.queue.next(now) {
                    Next::SleepUntil(time) => job.platform.sleep(self.wakes_at(now, &race).min(time) - now),
                    Next::Ask(_) | Next::Nothing => return Err(self.failed(race)),
                }
                continue;
            }
            let ended = race.ended(now).or_else(|| self.replaced(now, &race));
            let (position, advance) = match ended {
                Some(position) => (position, race.active[position].exchange.expire(job.platform)),
                None => match race.wait(job.platform, self.wakes_at(now, &race) - now) {
                    Some(position) => (position, race.active[position].exchange.advance(job.platform)),
                    None => continue,
                },
            };
            if let Some(committed) = self.take(position, advance, &mut race) {
                return Ok(committed);
            }
        }
    }

    /// Who is to be started now, if anybody is, and why.
    fn next_start(&mut self, now: Duration, race: &Race<P>) -> Option<(usize, Occasion)> {
        if race.is_empty() {
            return match self.queue.next(now) {
                Next::Ask(place) => Some((place, Occasion::Turn)),
                Next::SleepUntil(_) | Next::Nothing => None,
            };
        }
        if !race.has_room() || self.job.ask.is_large() {
            None
        } else if race.is_late(now) {
            self.queue.fresh().map(|place| (place, Occasion::Late))
        } else if race.is_lone_probe() {
            self.queue.fresh_healthy().map(|place| (place, Occasion::Company))
        } else if self.hedge_at(race).is_some_and(|due| due <= now) {
            self.hedged = true;
            let place = self.queue.fresh_healthy()?;
            hedge::take(self.job.platform, self.job.policy.health.hedge_share).then_some((place, Occasion::Hedge))
        } else {
            None
        }
    }

    /// When a second candidate is started beside one that shows no sign of life; nothing if none is to be.
    fn hedge_at(&self, race: &Race<P>) -> Option<Duration> {
        race.hedge_at(self.job.hedge_after().filter(|_| !self.hedged)?)
    }

    /// The attempt at a large request whose place the next candidate takes, since it is late and there is no room for two.
    fn replaced(&self, now: Duration, race: &Race<P>) -> Option<usize> {
        (self.job.ask.is_large() && race.is_late(now) && self.has_fresh()).then_some(0)
    }

    /// The next time at which something is to be done, later than `now`.
    fn wakes_at(&self, now: Duration, race: &Race<P>) -> Duration {
        let times = [race.wakes_at(now), self.hedge_at(race), self.visit.comment_due()];
        let next = times.into_iter().flatten().filter(|time| *time > now).min();
        next.map_or(self.job.ends(), |time| time.min(self.job.ends()))
    }

    /// Takes the end of the attempt at `position`, if it is one.
    fn take(&mut self, position: usize, advance: Advance<P>, race: &mut Race<P>) -> Option<Committed<P>> {
        match advance {
            Some(Ok(Arrival { opening: Opening::Refusal, .. })) if self.asks_on_after_a_refusal(race) => {
                let Attempt { launch, exchange, .. } = race.active.remove(position);
                let refused = FailedAttempt { launch, outcome: Outcome::ModelRefused, sighting: exchange.sighting() };
                self.fail(refused, race);
                None
            }
            Some(Ok(arrival)) => {
                let attempt = race.active.remove(position);
                Some(self.commit(attempt, arrival, race))
            }
            Some(Err(outcome)) => {
                let Attempt { launch, exchange, .. } = race.active.remove(position);
                self.fail(FailedAttempt { launch, outcome, sighting: exchange.sighting() }, race);
                None
            }
            None => {
                // An answer that is held has won when it begins.
                if race.active.len() > 1 && race.active[position].exchange.has_begun() {
                    let winner = race.active.remove(position);
                    self.drop_losers(winner.launch, race, winner.exchange.has_begun());
                    race.active.push(winner);
                }
                None
            }
        }
    }

    /// Whether another candidate may answer in place of one that refuses; the last one's refusal is the client's answer.
    fn asks_on_after_a_refusal(&self, race: &Race<P>) -> bool {
        let has_another = race.active.len() > 1 || self.queue.fresh().is_some();
        self.job.tier.on_refusal == OnRefusal::Next && has_another && self.job.platform.elapsed() < self.job.ends()
    }

    /// Starts the candidate at `place`.
    fn start(&mut self, place: usize, occasion: Occasion, race: &mut Race<P>) {
        let job = self.job;
        let candidate = self.queue.candidate(place).clone();
        let is_probe = self.queue.standing(place) == Standing::ProbeDue;
        if is_probe && !self.queue.is_elected(place) {
            let (name, found) = (job.health_name(&candidate), self.queue.found(place));
            if !health::elect_probe(job.platform, &name, found, job.own_time()) {
                self.queue.leave_to_another(place);
                return;
            }
            self.queue.elected(place);
        }
        let (started, began) = (job.platform.elapsed(), job.platform.unix_time());
        let launch = Launch { place, started, began, occasion, is_probe };
        let prepared = match self.prepared.take().filter(|prepared| prepared.is_for(job, &candidate)) {
            Some(prepared) => Ok(prepared),
            None => prepare(job, &candidate, &self.options),
        };
        let Prepared { backend, request, secret, dropped, keys, hidden, cut_after, .. } = match prepared {
            Ok(prepared) => prepared,
            Err(outcome) => {
                self.queue.passed_over(place);
                let entry = || job.policy.provider_of(candidate.model).secret.clone();
                let missing_entry = matches!(outcome, Outcome::NoSecret(NoSecret::Missing)).then(entry);
                let unsent = self.record(launch, outcome.end(), Sighting::default());
                self.visit.note_attempt(AttemptRecord { missing_entry, billing: Billing::Free, ..unsent });
                self.witness(launch).says_nothing(job.platform);
                race.keep_failure(job.failure_of(&candidate, outcome));
                return;
            }
        };
        self.queue.asked(place, started);
        let sent = job.platform.send(&backend, request);
        // While the provider works, since it takes some time.
        if let Some(secret) = &secret {
            self.visit.note_key(secret);
        }
        match sent {
            Ok(pending) => {
                let recipient = Recipient::of(job.policy, &candidate);
                let mut repair = self.repair.clone();
                if let Some(repair) = &mut repair {
                    repair.hides(&hidden);
                }
                let carrying = Carrying {
                    decode: DecodeOptions { sealer: keys.sealer, ..DecodeOptions::of(&recipient, job.ask, began) },
                    encode: AnswerOptions::of(job.ask, recipient.provider.show_reasoning),
                    tagger: keys.tagger,
                    told: job.told,
                    repair,
                    cut_after: job.platform.keeps_timeouts(&backend).then_some(cut_after),
                };
                let exchange = Exchange::new(pending, started, Terms::of(job), carrying);
                race.active.push(Attempt { launch, exchange, dropped });
            }
            Err(error) => {
                self.fail(FailedAttempt { launch, outcome: Outcome::Send(error), sighting: Sighting::default() }, race);
            }
        }
    }

    /// An attempt came to nothing: the table says what follows.
    fn fail(&mut self, failed: FailedAttempt, race: &mut Race<P>) {
        let FailedAttempt { launch, outcome, sighting } = failed;
        let Launch { place, .. } = launch;
        let job = self.job;
        let candidate = self.queue.candidate(place).clone();
        let now = job.platform.elapsed();
        let took = now - launch.started;
        let billing = outcome.billing(took, &sighting.tally);
        let failed = self.record(launch, outcome.end(), sighting);
        let meaning = outcome.meaning().map(|meaning| meaning.as_str().into());
        self.visit.note_attempt(AttemptRecord { billing, meaning, ..failed });
        let is_stale = outcome.is_stale_connection(took) && self.queue.note_stale(place);
        let Judgement { verdict, expected_back, .. } = judge(&outcome, job.tier.on_refusal);
        race.keep_failure(job.failure_of(&candidate, outcome.clone()));
        if is_stale && race.is_empty() && self.queue.resend(place, now) {
            return;
        }
        // While another attempt is under way nobody waits to ask the same candidate again.
        let applied = match verdict {
            Verdict::Retry | Verdict::Wait(_) if !race.is_empty() => Verdict::Next,
            other => other,
        };
        let limits = RetryLimits {
            now,
            total: job.ends(),
            retries: job.tier.retries,
            wait: job.tier.wait,
            random: job.platform.random(),
        };
        if !self.queue.failed(place, applied, limits) {
            let witness = self.witness(launch);
            match is_stale {
                true => witness.says_nothing(job.platform),
                false => witness.failed(job.platform, &outcome, Stage::BeforeBegin),
            }
        }
        race.back.retain(|(other, _)| *other != place);
        match expected_back {
            ExpectedBack::Never => {}
            ExpectedBack::AfterCooldown => race.back.push((place, now + job.policy.health.cooldown)),
            ExpectedBack::After(delay) => race.back.push((place, now + delay)),
        }
    }

    /// Who tells the POP of an attempt.
    fn witness(&self, launch: Launch) -> Witness {
        let Launch { place, began, is_probe, .. } = launch;
        let (job, found) = (self.job, self.queue.found(place));
        let health_name = job.health_name(self.queue.candidate(place));
        Witness { health_name, found, began, is_probe, settings: job.policy.health.clone() }
    }

    fn commit(&mut self, attempt: Attempt<P>, arrival: Arrival<P>, race: &mut Race<P>) -> Committed<P> {
        let Attempt { launch, exchange, dropped } = attempt;
        let job = self.job;
        self.drop_losers(launch, race, arrival.has_begun());
        let candidate = self.queue.candidate(launch.place).clone();
        let answering = self.record(launch, AttemptEnd::Status(exchange.status()), exchange.sighting());
        self.visit.note_serving(answering);
        let serving = Serving { candidate, witness: self.witness(launch) };
        if arrival.has_begun() {
            serving.witness.has_begun(job.platform);
        }
        let upstream = job.platform.elapsed() - race.started;
        self.visit.note(|record| {
            record.dropped = dropped;
            record.ignored_events += arrival.ignored;
            record.timings.upstream = Some(upstream);
            record.served = Some(ModelNames::of(job.policy, serving.candidate.model));
        });
        self.visit.add_headers(headers::rate_limits(&arrival.headers));
        Committed { serving, answer: arrival.answer }
    }

    /// An attempt that has ended so, which may be billed.
    fn record(&self, launch: Launch, end: AttemptEnd, sighting: Sighting) -> AttemptRecord {
        let Sighting { request_id, head, first_piece, tally } = sighting;
        let candidate = self.queue.candidate(launch.place);
        let since = |time: Duration| time.saturating_sub(launch.started);
        AttemptRecord {
            end,
            duration: since(self.job.platform.elapsed()),
            head: head.map(since),
            first_piece: first_piece.map(since),
            hedge: launch.occasion != Occasion::Turn,
            request_id,
            billing: Billing::Possible,
            tally,
            ..AttemptRecord::new(self.job.policy, candidate.model, launch.started)
        }
    }

    /// Ends what is still under way, since an attempt that was launched so has begun: a connection whose head has arrived is
    /// closed, another cannot be. A probe goes on to its own end after the answer.
    fn drop_losers(&mut self, winner: Launch, race: &mut Race<P>, has_begun: bool) {
        let job = self.job;
        let win = Win { started: winner.started, at: job.platform.elapsed() };
        for loser in std::mem::take(&mut race.active) {
            let launch = loser.launch;
            let is_late = loser.exchange.late_at().is_some_and(|late| late <= win.at);
            let end = match launch.is_probe {
                true => AttemptEnd::Probing,
                false if is_late => Outcome::Timeout.end(),
                false => loser.given_up(),
            };
            let lost = self.record(launch, end, loser.exchange.sighting());
            self.visit.note_attempt(lost);
            let witness = self.witness(launch);
            if launch.is_probe {
                let allowance = job.allowance.until(job.total);
                self.visit.leave(move |platform| probe::follow(platform, loser.exchange, &witness, &allowance));
                continue;
            }
            // One that is only left to another execution has shown nothing of the others.
            if has_begun && loser.was_late(win, job.own_time()) {
                witness.was_late(job.platform);
            }
            if !is_late {
                self.queue.lost(launch.place);
            }
        }
    }

    /// Ends what is still under way, since the client has left.
    fn abandon(&mut self, race: &mut Race<P>) {
        for attempt in std::mem::take(&mut race.active) {
            let left = self.record(attempt.launch, attempt.given_up(), attempt.exchange.sighting());
            self.visit.note_attempt(left);
        }
    }

    /// Whether this execution has used up what it may. The CPU time is looked at once in so many steps.
    fn is_spent(&self, race: &Race<P>, steps: u32) -> bool {
        let allowance = &self.job.allowance;
        // With a whole answer nobody could go on, so it has all there is.
        self.job.asked == Transfer::Stream
            && (race
                .active
                .iter()
                .any(|attempt| attempt.exchange.can_be_left() && allowance.is_full(attempt.exchange.events()))
                || (steps.is_multiple_of(STEPS_PER_LOOK) && allowance.is_cpu_spent(self.job.platform)))
    }

    /// The time of the request, or of this execution, is over. Another execution may go on with a stream; else what has come
    /// until now has to do.
    fn end_at_limit(&mut self, mut race: Race<P>) -> Result<Committed<P>, Stop> {
        let goes_on = self.job.goes_on();
        if let Some(position) = race.liveliest().filter(|_| goes_on) {
            let mut attempt = race.active.remove(position);
            if let Some(arrival) = attempt.exchange.leave() {
                return Ok(self.commit(attempt, arrival, &mut race));
            }
        }
        while let Some(attempt) = race.active.first_mut() {
            let advance = attempt.exchange.expire(self.job.platform);
            if let Some(committed) = self.take(0, advance, &mut race) {
                return Ok(committed);
            }
        }
        Err(self.failed(race))
    }

    /// What the client is told.
    fn failed(&self, race: Race<P>) -> Stop {
        let back = race.back_in(self.job.platform.elapsed());
        let Some(failure) = race.failure else {
            let message = "The time of this request, or what the platform allows for it, was over before any candidate had answered.";
            return Stop::Failed(Error::new(Kind::ProviderTimeout, message).with_retry(Retry::Never));
        };
        Stop::Failed(client_error::of(self.job.policy, self.job.ask.door(), &Failure { back, ..failure }))
    }
}
