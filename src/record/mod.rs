//! What is known about one request: filled step by step, shown in the response headers and in the log line.
//!
//! A record holds no prompt and no answer, and keys only to find what repeats them. Steps add to it and read nothing back
//! from it.

pub mod estimate;
pub mod line;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use crate::error::Error;
use crate::mask::keys::{Keys, without_known_shapes};
use crate::platform::Received;
use crate::policy::{ModelId, Policy, Price};
use crate::wire::carried::carried;
use crate::wire::door::Door;
use crate::wire::usage::{Tally, Usage};

const MAX_PATH_BYTES: usize = 1_000;
/// HTTP bounds no method; those that are registered have 17 letters at most.
const MAX_METHOD_BYTES: usize = 32;

/// A word of the documentation that says what happened: of this program, or as a record holds it that another execution began.
pub type Word = Cow<'static, str>;

/// How a tier was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionSource {
    Header,
    Model,
    Rule,
    Classifier,
    Default,
}

carried!(DecisionSource = Header | Model | Rule | Classifier | Default);

impl DecisionSource {
    pub fn as_str(self) -> &'static str {
        match self {
            DecisionSource::Header => "header",
            DecisionSource::Model => "model",
            DecisionSource::Rule => "rule",
            DecisionSource::Classifier => "classifier",
            DecisionSource::Default => "default",
        }
    }
}

/// Something worth knowing about why this tier and this candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    AffinityInvalid,
    CandidateCooling,
    ClassifierBreakerOpen,
    ClassifierError,
    ClassifierInvalid,
    ClassifierNoSecret,
    ClassifierNotAllowed,
    ClassifierOff,
    ClassifierTimeout,
    ClientStale,
    ContextTooLong,
    Estimated,
    ForcedToolsWeaker,
    LowConfidence,
    NeedsAudio,
    NeedsFiles,
    NeedsJsonSchema,
    NeedsPart,
    NeedsTools,
    NeedsVideo,
    NeedsVision,
    PolicyStale,
    ProviderNotAllowed,
    TierBounded,
    ToolLoop,
}

carried!(
    Reason = AffinityInvalid
        | CandidateCooling
        | ClassifierBreakerOpen
        | ClassifierError
        | ClassifierInvalid
        | ClassifierNoSecret
        | ClassifierNotAllowed
        | ClassifierOff
        | ClassifierTimeout
        | ClientStale
        | ContextTooLong
        | Estimated
        | ForcedToolsWeaker
        | LowConfidence
        | NeedsAudio
        | NeedsFiles
        | NeedsJsonSchema
        | NeedsPart
        | NeedsTools
        | NeedsVideo
        | NeedsVision
        | PolicyStale
        | ProviderNotAllowed
        | TierBounded
        | ToolLoop
);

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::AffinityInvalid => "affinity_invalid",
            Reason::CandidateCooling => "candidate_cooling",
            Reason::ClassifierBreakerOpen => "classifier_breaker_open",
            Reason::ClassifierError => "classifier_error",
            Reason::ClassifierInvalid => "classifier_invalid",
            Reason::ClassifierNoSecret => "classifier_no_secret",
            Reason::ClassifierNotAllowed => "classifier_not_allowed",
            Reason::ClassifierOff => "classifier_off",
            Reason::ClassifierTimeout => "classifier_timeout",
            Reason::ClientStale => "client_stale",
            Reason::ContextTooLong => "context_too_long",
            Reason::Estimated => "estimated",
            Reason::ForcedToolsWeaker => "forced_tools_weaker",
            Reason::LowConfidence => "low_confidence",
            Reason::NeedsAudio => "needs_audio",
            Reason::NeedsFiles => "needs_files",
            Reason::NeedsJsonSchema => "needs_json_schema",
            Reason::NeedsPart => "needs_part",
            Reason::NeedsTools => "needs_tools",
            Reason::NeedsVideo => "needs_video",
            Reason::NeedsVision => "needs_vision",
            Reason::PolicyStale => "policy_stale",
            Reason::ProviderNotAllowed => "provider_not_allowed",
            Reason::TierBounded => "tier_bounded",
            Reason::ToolLoop => "tool_loop",
        }
    }
}

/// Everything that headers and the log line say. It is carried without the keys: another execution looks for those of the Secret
/// Store before it writes the log line.
#[derive(Clone, Debug, Default)]
pub struct Record {
    pub id: String,
    pub method: String,
    pub path: String,
    /// The API that the client speaks.
    pub door: Door,
    pub pop: String,
    /// The client whose key was presented, also of one that may not be used any more.
    pub client: Option<String>,
    /// Why a key was refused.
    pub refusal: Option<Word>,
    /// The id in a key that was not found to be this client's, so that anybody may have written it.
    pub claimed_client: Option<String>,
    /// The client's tags and those of `x-route-tags`.
    pub tags: BTreeMap<String, String>,
    /// The policy's label and the beginning of its document's digest.
    pub policy: Option<String>,
    pub requested_model: Option<String>,
    pub stream: bool,
    pub tier: Option<String>,
    pub source: Option<DecisionSource>,
    pub reasons: Vec<Reason>,
    /// The policy's rules that the request met, by name.
    pub rules: Vec<String>,
    /// The classifier's, 0 to 1.
    pub confidence: Option<f64>,
    pub classifier: Option<ClassifierRecord>,
    /// The length of the request, as far as it was read, estimated from its bytes.
    pub input_tokens: Option<u64>,
    pub attempts: Vec<AttemptRecord>,
    /// The attempt whose answer the client gets, by its place.
    pub serving: Option<usize>,
    /// Candidates that came last because they failed lately, as `provider/model`.
    pub cooling: Vec<String>,
    /// The candidate whose answer the client gets.
    pub served: Option<ModelNames>,
    /// Request fields that the serving model does not take.
    pub dropped: Vec<String>,
    pub timings: Timings,
    /// What the answer that served used, as far as it is known.
    pub tally: Tally,
    pub finish_reasons: Vec<String>,
    /// The model as the provider names it in its answer.
    pub response_model: Option<String>,
    /// US dollars.
    pub cost: Option<f64>,
    /// Whether the cost is by the bytes that were seen, since nobody has counted the tokens.
    pub cost_is_estimated: bool,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub status: u16,
    /// The error's code, also one that ended a stream.
    pub error: Option<Word>,
    pub client_closed: bool,
    /// Whether the rest of the stream was left to the platform; usage and end are not known then.
    pub handed_off: bool,
    /// How many streams took the place of one that broke.
    pub resumed: u32,
    /// How many executions have gone on with the answer after the first.
    pub continued: u32,
    /// What is wrong with the Secret Store's entry for all places.
    pub secret_fault: Option<String>,
    /// Stream events that were no part of an answer and went no further.
    pub ignored_events: u32,
    /// What the attempts were sent with.
    pub keys: Keys,
}

carried!(Record {
    id, method, path, door, pop, client, refusal, claimed_client, tags, policy, requested_model, stream, tier, source,
    reasons, rules, confidence, classifier, input_tokens, attempts, serving, cooling, served, dropped, timings,
    tally, finish_reasons, response_model, cost, cost_is_estimated, bytes_received, bytes_sent, status, error, client_closed,
    handed_off, resumed, continued, secret_fault, ignored_events
} without { keys });

/// A candidate by its names in the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelNames {
    pub provider: String,
    pub model: String,
}

carried!(ModelNames { provider, model });

/// One attempt at a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    pub names: ModelNames,
    /// What its tokens cost, if the policy says so.
    pub price: Option<Price>,
    pub end: AttemptEnd,
    /// When it was started, on the request's clock. The other times count from here.
    pub started: Duration,
    /// To its end, of a stream that serves to the end of the stream.
    pub duration: Duration,
    /// To the head of the provider's answer, if one came.
    pub head: Option<Duration>,
    /// To the first piece of a stream's answer, if one came.
    pub first_piece: Option<Duration>,
    /// Whether it was started beside another one.
    pub hedge: bool,
    /// What the provider's error means, if it ended with one.
    pub meaning: Option<Word>,
    /// The provider's own name for the request.
    pub request_id: Option<String>,
    /// The Secret Store's entry that was not there.
    pub missing_entry: Option<String>,
    pub billing: Billing,
    /// What is known of what it used.
    pub tally: Tally,
    /// US dollars that it may have cost although it did not serve; not part of `cost`.
    pub estimate: Option<f64>,
}

carried!(AttemptRecord {
    names,
    price,
    end,
    started,
    duration,
    head,
    first_piece,
    hedge,
    meaning,
    request_id,
    missing_entry,
    billing,
    tally,
    estimate
});

/// Whether a provider may ask money for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billing {
    /// It was not reached, or it refused.
    Free,
    /// It may have worked, whatever came of it.
    Possible,
    /// It serves: what it costs is what the request costs.
    Served,
}

carried!(Billing = Free | Possible | Served);

impl AttemptRecord {
    /// An attempt at `model` that was started at `started` and has ended in no time, with nothing.
    pub fn new(policy: &Policy, model: ModelId, started: Duration) -> Self {
        Self {
            names: ModelNames::of(policy, model),
            price: policy.model(model).price,
            end: AttemptEnd::Abandoned,
            started,
            duration: Duration::ZERO,
            head: None,
            first_piece: None,
            hedge: false,
            meaning: None,
            request_id: None,
            missing_entry: None,
            billing: Billing::Free,
            tally: Tally::default(),
            estimate: None,
        }
    }
}

/// How an attempt ended; as text, a status or a name such as `timeout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// The provider's status, of an answer that served or of a refusal.
    Status(StatusCode),
    /// What went wrong, by its name in the documentation.
    Failed(Word),
    /// Another attempt's answer came first, and the connection was closed.
    Closed,
    /// Another attempt's answer came first, before this one had a head: the platform cannot cancel such a request.
    Abandoned,
    /// A probe whose race another attempt won; what comes of it shows in the candidate's standing.
    Probing,
}

carried!(AttemptEnd = Status(status) | Failed(name) | Closed | Abandoned | Probing);

impl AttemptEnd {
    /// Whether it is an answer that served.
    pub fn is_answer(&self) -> bool {
        matches!(self, AttemptEnd::Status(status) if status.is_success())
    }
}

impl fmt::Display for AttemptEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AttemptEnd::Status(status) => write!(formatter, "{}", status.as_u16()),
            AttemptEnd::Failed(name) => formatter.write_str(name),
            AttemptEnd::Closed => formatter.write_str("closed"),
            AttemptEnd::Abandoned => formatter.write_str("abandoned"),
            AttemptEnd::Probing => formatter.write_str("probing"),
        }
    }
}

/// The classifier's call, if there was one.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierRecord {
    pub names: ModelNames,
    pub duration: Duration,
    pub usage: Option<Usage>,
    pub cost: Option<f64>,
}

carried!(ClassifierRecord { names, duration, usage, cost });

/// Durations from receipt, unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Until the client was known.
    pub auth: Option<Duration>,
    /// Until the policy was known.
    pub policy: Option<Duration>,
    /// The decision alone: from the parsed request to the tier.
    pub decide: Option<Duration>,
    /// From the first attempt to the first byte of the answer that serves.
    pub upstream: Option<Duration>,
    /// Until the first byte went to the client.
    pub first_byte: Option<Duration>,
    pub total: Option<Duration>,
}

carried!(Timings { auth, policy, decide, upstream, first_byte, total });

impl Record {
    /// What is known when a request arrives.
    pub fn received<B>(received: &Received<B>) -> Self {
        Record {
            id: received.id.clone(),
            method: without_known_shapes(received.method.as_str(), MAX_METHOD_BYTES),
            // Whoever mistakes the path for the place of a key should not find it in the log.
            path: without_known_shapes(&received.path, MAX_PATH_BYTES),
            pop: received.pop.clone(),
            ..Record::default()
        }
    }

    /// Adds a reason once.
    pub fn reason(&mut self, reason: Reason) {
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Notes the attempt whose answer the client gets.
    pub fn serves(&mut self, attempt: AttemptRecord) {
        self.serving = Some(self.attempts.len());
        self.attempts.push(AttemptRecord { billing: Billing::Served, ..attempt });
    }

    /// The attempt that serves has ended at `now`, on the request's clock; nothing serves from here on.
    pub fn end_serving(&mut self, now: Duration, tally: Tally) -> Option<&mut AttemptRecord> {
        let attempt = self.serving.take().and_then(|place| self.attempts.get_mut(place))?;
        attempt.duration = now.saturating_sub(attempt.started);
        attempt.tally = tally;
        Some(attempt)
    }

    pub fn failed(&mut self, error: &Error) {
        self.error = Some(error.kind.code().into());
    }

    /// Hides every text that client or provider wrote and that holds a part of a key. For the log line alone: no header
    /// may be made from the record after this, since it would tell a client which of its words share something with a key.
    pub fn hide_keys(&mut self) {
        let Some(keys) = std::mem::take(&mut self.keys).forms() else { return };
        let texts = [self.claimed_client.as_mut(), self.requested_model.as_mut(), self.response_model.as_mut()];
        let request_ids = self.attempts.iter_mut().filter_map(|attempt| attempt.request_id.as_mut());
        texts
            .into_iter()
            .flatten()
            .chain([&mut self.method, &mut self.path])
            .chain(&mut self.finish_reasons)
            .chain(&mut self.dropped)
            .chain(request_ids)
            .for_each(|text| keys.hide(text));
        for (mut name, mut value) in std::mem::take(&mut self.tags) {
            keys.hide(&mut name);
            keys.hide(&mut value);
            self.tags.insert(name, value);
        }
    }
}

impl ModelNames {
    pub fn of(policy: &Policy, model: ModelId) -> Self {
        let model = policy.model(model);
        ModelNames { provider: policy.provider(model.provider).name.clone(), model: model.name.clone() }
    }
}

impl fmt::Display for ModelNames {
    /// `provider/model`, under which a candidate's health is kept, too.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.provider, self.model)
    }
}

#[cfg(test)]
mod tests;
