//! What all attempts at a request share: the job, a candidate's request made ready, the order of candidates.
//!
//! `engine` asks candidates until one begins to answer, `race` holds those under way, `exchange` is one of them, `probe` follows
//! one that finds out if its candidate works again, `queue` says who is next, `outcome` judges failures, `witness` tells the POP
//! of them, `client_error` puts the last one in the client's terms. Nothing of an answer goes to the client from here: a stream
//! is held until its first piece (or until it is whole, as [`CommitAt`] says), or gathered until it can be told as a whole
//! answer, and a whole answer is held until it decodes, so that every failure before that leaves the next candidate free to serve.

pub mod answer_stream;
pub mod client_error;
pub mod count;
pub mod engine;
pub mod exchange;
pub mod outcome;
mod probe;
pub mod queue;
mod race;
pub mod witness;

use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, Method};

use crate::attempt::answer_stream::{AnswerStream, StreamKeys};
use crate::attempt::outcome::Outcome;
use crate::attempt::queue::{Contender, Queue};
use crate::attempt::witness::Witness;
use crate::door::answer::can_gather;
use crate::error::Error;
use crate::platform::allowance::Allowance;
use crate::platform::{Platform, UpstreamRequest};
use crate::policy::{Candidate, ModelId, Policy, Provider, StreamMode, Tier, TierId, WholeMode};
use crate::pop::health::{Found, Standing};
use crate::record::ModelNames;
use crate::secret::Secret;
use crate::upstream::address::Address;
use crate::upstream::dialect::{self, EncodeOptions, Encoded, Recipient, UnsealedState, head};
use crate::upstream::headers;
use crate::upstream::keyring::{Keyring, Permit};
use crate::upstream::sealer::Sealer;
use crate::visit::settle::Ending;
use crate::wire::ask::Ask;
use crate::wire::call_tag::{CallTagger, CallTags, Origin};
use crate::wire::door::Door;
use crate::wire::facts::AnswerFacts;
use crate::wire::media;
use crate::wire::transfer::Transfer;

/// The most tokens that a model surely says in the time of one execution.
const MOST_TOKENS_AT_ONCE: u64 = 8_192;

/// What the client asked for, and how much time it gives.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub ask: &'a Ask<'a>,
    pub client_headers: &'a HeaderMap,
    /// How long the client waits at most, if it says so.
    pub timeout: Option<Duration>,
    /// What the platform lets this execution use.
    pub allowance: Allowance,
    /// The model that the client demands, if any.
    pub pinned: Option<ModelId>,
}

/// What all attempts at one request share.
pub struct Job<'a, P: Platform> {
    pub platform: &'a P,
    pub keyring: &'a Keyring<'a, P>,
    pub policy: &'a Policy,
    pub tier: &'a Tier,
    tier_id: TierId,
    /// What the client asks for.
    pub ask: &'a Ask<'a>,
    pub client_headers: &'a HeaderMap,
    /// When the answer must have ended, on [`Platform::elapsed`]'s clock.
    pub total: Duration,
    /// What this execution may use for it.
    pub allowance: Allowance,
    /// Whether the client leaves it to the gateway how long the answer may take.
    pub is_patient: bool,
    /// In which form providers are asked for the answer.
    pub asked: Transfer,
    /// In which form the client gets it.
    pub told: Transfer,
    pub commit_at: CommitAt,
    pinned: Option<ModelId>,
}

/// When an answer is committed: what an attempt must bring before the client gets any of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAt {
    /// The first piece of an answer.
    FirstPiece,
    /// All of it.
    Whole,
}

impl<'a, P: Platform> Job<'a, P> {
    pub fn new(keyring: &'a Keyring<'a, P>, policy: &'a Policy, tier: TierId, request: Request<'a>) -> Self {
        let Request { ask, client_headers, timeout, allowance, pinned } = request;
        let tier_id = tier;
        let tier = policy.tier(tier_id);
        Self {
            platform: keyring.platform(),
            keyring,
            policy,
            tier,
            tier_id,
            ask,
            client_headers,
            total: timeout.map_or(tier.deadlines.total, |asked| asked.min(tier.deadlines.total)),
            allowance,
            is_patient: timeout.is_none(),
            asked: match (ask.transfer(), tier.whole) {
                (Transfer::Whole, WholeMode::Streamed) if can_gather(ask) => Transfer::Stream,
                (Transfer::Whole, WholeMode::Asked) if outlasts_an_execution(ask) && can_gather(ask) => {
                    Transfer::Stream
                }
                (asked, WholeMode::Asked | WholeMode::Streamed) => asked,
            },
            told: ask.transfer(),
            commit_at: match (ask.transfer(), tier.stream) {
                (Transfer::Whole, _) | (Transfer::Stream, StreamMode::Hold) => CommitAt::Whole,
                (Transfer::Stream, StreamMode::Guarded | StreamMode::Handoff) => CommitAt::FirstPiece,
            },
            pinned,
        }
    }

    /// When this execution must have an answer, or have handed it on to another one.
    pub fn ends(&self) -> Duration {
        let own = match self.asked {
            Transfer::Whole => self.allowance.ends,
            Transfer::Stream => self.allowance.hands_on_at(),
        };
        own.min(self.total)
    }

    /// How long a candidate may take to begin, or for an answer that it sends whole, before it is late.
    pub fn own_time(&self) -> Duration {
        match self.asked {
            Transfer::Whole => self.tier.deadlines.response,
            Transfer::Stream => self.tier.deadlines.first_token,
        }
    }

    /// The name under which the candidate's health is kept.
    pub fn health_name(&self, candidate: &Candidate) -> String {
        health_name(self.policy, candidate)
    }

    fn failure_of(&self, candidate: &Candidate, outcome: Outcome) -> Failure {
        let provider = self.policy.provider_of(candidate.model).name.clone();
        Failure { outcome, provider, back: None }
    }

    /// After how long without a sign of life a second candidate may be asked beside the first; nothing if never.
    pub fn hedge_after(&self) -> Option<Duration> {
        self.tier.hedge_after.filter(|_| self.asked == Transfer::Stream && !self.ask.is_large())
    }

    /// How the request is to be put.
    pub fn options(&self) -> EncodeOptions {
        EncodeOptions { transfer: Some(self.asked), ..EncodeOptions::default() }
    }

    /// Whether a candidate's stream is asked for its usage, whatever the client wants. One that the platform sends to its end
    /// passes as it comes, usage too, and a client that did not ask for any may stumble over it.
    fn counts_usage(&self, candidate: &Candidate) -> bool {
        let (dialect, tokens) =
            (self.policy.provider_of(candidate.model).dialect, self.policy.model(candidate.model).max_output);
        let tokens = self.ask.features.max_output.map_or(tokens, |asked| asked.min(tokens));
        let is_own = dialect == self.ask.door().dialect();
        let may_be_handed_over = self.commit_at == CommitAt::FirstPiece && is_own && self.is_patient;
        match self.tier.stream {
            _ if !may_be_handed_over => true,
            StreamMode::Handoff => false,
            StreamMode::Guarded | StreamMode::Hold => {
                self.allowance.fits(tokens.saturating_mul(self.ask.choices().into())) || self.goes_on()
            }
        }
    }

    /// Whether another execution may go on with a stream when this one is at its end.
    pub fn goes_on(&self) -> bool {
        self.asked == Transfer::Stream
            && self.allowance.has_hops()
            && self.platform.elapsed() < self.total
            && self.keyring.continuation().is_some()
    }

    /// All headers of a request to `provider`.
    fn request_headers(&self, provider: &Provider, secret: Option<&Secret<String>>, accept: &'static str) -> HeaderMap {
        let mut request_headers = head::request_headers(provider, secret, accept);
        request_headers.extend(headers::trace_context(self.client_headers));
        head::forward_headers(provider, self.ask, self.client_headers, &mut request_headers);
        request_headers
    }

    /// What becomes of state of unknown origin in a request to the candidate.
    fn unsealed(&self, candidate: &Candidate) -> UnsealedState {
        match self.pinned == Some(candidate.model) {
            true => UnsealedState::Sent,
            false => UnsealedState::LeftOut,
        }
    }

    /// What seals the state of the candidate's reasoning for the client, and opens it; nothing where there is no such state,
    /// or no secret for it. `permit` lets requests go to the candidate.
    fn sealer(&self, candidate: &Candidate, permit: &Permit) -> Option<Rc<Sealer>> {
        if !dialect::seals_thoughts(&Recipient::of(self.policy, candidate), self.ask.api) {
            return None;
        }
        Sealer::new(self.policy, candidate.model, &self.keyring.roots(permit)).map(Rc::new)
    }

    /// What tags the candidate's calls for the client; nothing where its answers go out as they come, there can be no call, or
    /// there is no secret for it.
    fn tagger(&self, candidate: &Candidate) -> Option<Rc<CallTagger>> {
        let is_translated = self.policy.provider_of(candidate.model).dialect != self.ask.door().dialect();
        if !is_translated || !self.ask.features.has_tools {
            return None;
        }
        CallTags::new(&self.keyring.token_roots())?.tagger(Origin::of_model(self.policy, candidate.model))
    }
}

/// Whether a client of the Messages API leaves room for an answer that takes longer than an execution lasts: agents ask so, without
/// a stream, where a stream has failed them.
fn outlasts_an_execution(ask: &Ask<'_>) -> bool {
    ask.door() == Door::Messages && ask.features.max_output.is_some_and(|tokens| tokens > MOST_TOKENS_AT_ONCE)
}

/// A candidate that can be sent to at once.
pub struct Prepared<P: Platform> {
    /// The tier that it was prepared for, whose deadlines and timeouts it has.
    tier: TierId,
    candidate: Candidate,
    backend: P::Backend,
    request: UpstreamRequest,
    secret: Option<Secret<String>>,
    dropped: Vec<String>,
    keys: StreamKeys,
    /// White space at the end of what an answer began that the provider is not shown.
    hidden: String,
    /// After how much silence the platform ends an answer of the backend.
    cut_after: Duration,
}

impl<P: Platform> Prepared<P> {
    fn is_for(&self, job: &Job<'_, P>, candidate: &Candidate) -> bool {
        self.tier == job.tier_id && self.candidate == *candidate
    }
}

/// An answer that has begun, or is whole, as [`CommitAt`] says.
pub struct Committed<P: Platform> {
    pub serving: Serving,
    pub answer: Answer<P>,
}

/// Who serves.
#[derive(Clone, Debug)]
pub struct Serving {
    pub candidate: Candidate,
    pub witness: Witness,
}

/// What an attempt brought for the client, in the form in which it gets it.
pub enum Answer<P: Platform> {
    Whole { body: Vec<u8>, facts: AnswerFacts },
    Stream(Box<AnswerStream<P>>),
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Stop {
    /// No candidate is left; what the client is to be told.
    Failed(Error),
    ClientGone,
}

impl From<Stop> for Ending {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Failed(error) => Ending::Failed(error),
            Stop::ClientGone => Ending::ClientGone,
        }
    }
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

/// Gets key, address and body of `candidate` ready.
pub fn prepare<P: Platform>(
    job: &Job<'_, P>,
    candidate: &Candidate,
    options: &EncodeOptions,
) -> Result<Prepared<P>, Outcome> {
    let provider = job.policy.provider_of(candidate.model);
    let Address { path, url } = Address::of(job.policy, candidate.model);
    let permit = job.keyring.permit(provider, &path).map_err(Outcome::NoSecret)?;
    let sealer = job.sealer(candidate, &permit);
    let counts_usage = job.counts_usage(candidate);
    let unsealed = job.unsealed(candidate);
    let options = EncodeOptions { sealer: sealer.clone(), counts_usage, unsealed, ..options.clone() };
    let Encoded { body, dropped, hidden } = dialect::encode_request(job.policy, candidate, job.ask, &options)?;
    let cut_after = platform_patience(job.own_time().max(job.tier.deadlines.idle));
    let target = dialect::target(provider, &permit, job.tier.deadlines.connect, cut_after);
    let backend = job.platform.backend(&target).map_err(Outcome::Send)?;
    let accept = match job.asked {
        Transfer::Whole => media::JSON,
        Transfer::Stream => media::EVENT_STREAM,
    };
    let secret = permit.secret;
    let headers = job.request_headers(provider, secret.as_ref(), accept);
    let request = UpstreamRequest { method: Method::POST, url, headers, body };
    Ok(Prepared {
        tier: job.tier_id,
        candidate: candidate.clone(),
        backend,
        request,
        secret,
        dropped,
        keys: StreamKeys { sealer, tagger: job.tagger(candidate) },
        hidden,
        cut_after,
    })
}

/// The time between two reads after which the platform ends an answer that should not be silent for longer than `silence`: one
/// of few, since a service has few backends, and each needs its own.
fn platform_patience(silence: Duration) -> Duration {
    let steps = [15, 30, 60].map(Duration::from_secs);
    steps.into_iter().find(|step| silence <= *step).unwrap_or(Duration::from_secs(120))
}

/// The candidates of a plan in the order in which they are asked.
pub struct Ranking {
    pub queue: Queue,
    /// Those that come last because they failed lately, as `provider/model`.
    pub cooling: Vec<String>,
    /// Whether failures of late changed the plan's order.
    pub is_changed: bool,
}

/// Ranks the candidates of a plan by what this POP knows of each; `attempts` of them may be asked.
pub fn rank(policy: &Policy, candidates: &[Candidate], found: &[Found], attempts: u32) -> Ranking {
    let mut cooling = Vec::new();
    let ranked = candidates.iter().zip(found).map(|(candidate, found)| {
        let (model, standing) = (policy.model(candidate.model), found.standing);
        if standing == Standing::Cooling {
            cooling.push(health_name(policy, candidate));
        }
        let (provider, context) = (model.provider, model.context);
        Contender { candidate: candidate.clone(), provider, found: *found, standing, context }
    });
    let queue = Queue::new(ranked, attempts);
    let is_changed = !queue.candidates().eq(candidates);
    Ranking { queue, cooling, is_changed }
}

/// The name under which a candidate's health is kept.
pub fn health_name(policy: &Policy, candidate: &Candidate) -> String {
    ModelNames::of(policy, candidate.model).to_string()
}

/// The names of [`health_name`] of several candidates.
pub fn health_names(policy: &Policy, candidates: &[Candidate]) -> Vec<String> {
    candidates.iter().map(|candidate| health_name(policy, candidate)).collect()
}
