//! The validated policy: what the operator decides, as plain values that cannot be inconsistent.
//!
//! `raw` holds the document as it is written; `parse` turns bytes into a [`Policy`] or into all the faults at once.
//! Nothing outside this folder sees a raw document. References between parts are indices that `parse` has checked, so
//! looking one up cannot fail. `docs/policy.md` describes the parts for operators.

mod additions;
mod base_url;
mod build;
pub mod country;
pub mod extra;
pub mod fault;
pub(crate) mod json;
mod key_header;
mod names;
pub mod parse;
pub mod path_template;
mod provider;
mod raw;
mod read;
pub mod rules;
mod scalar;
#[cfg(feature = "schema")]
pub mod schema;
mod scope;
pub mod warnings;

use std::time::Duration;

use path_template::PathTemplate;

pub use additions::DefaultField;
pub use key_header::AuthStyle;
pub use names::{
    Auth, Dialect, Effort, NamedAuth, OnRefusal, Prefill, PromptCache, Quirk, Resume, StreamMode, Thinking, WholeMode,
};
pub use provider::{OWNED_FIELDS, is_decided_in_messages};

/// OpenRouter's, vLLM's and others' type of a part with a film, which a row lists among its `part_fields`.
pub const VIDEO_PART: &str = "video_url";

/// The shipped policy, for tests and tools. No guest has it: without a policy in its store the gateway serves nobody.
#[cfg(any(test, feature = "schema"))]
pub fn default_policy() -> Policy {
    let parsed = parse::parse(include_bytes!("../../policy/default.json"));
    parsed.expect("the shipped policy should parse; a test shows that it does")
}

/// A position in [`Policy::tiers`], which is ordered from cheap to capable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TierId(pub(crate) usize);

/// A position in [`Policy::models`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub(crate) usize);

/// A position in [`Policy::providers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(pub(crate) usize);

/// The whole validated policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The operator's label for this version, shown in `x-route-policy`.
    pub version: String,
    pub default_tier: TierId,
    /// How long a parsed policy, and a client's entry, may be used before KV is asked again.
    pub ttl: Duration,
    pub limits: Limits,
    pub platform: PlatformLimits,
    pub health: HealthSettings,
    pub auth: Auth,
    /// What requests without a key may use; all where it is absent.
    pub anonymous: Option<Anonymous>,
    /// Origins that a browser may call from, as sent in `Origin`; `*` allows every one.
    pub cors_origins: Vec<String>,
    pub classifier: Option<Classifier>,
    pub tiers: Vec<Tier>,
    pub models: Vec<Model>,
    pub providers: Vec<Provider>,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// The largest request body that is read, in bytes.
    pub body_bytes: usize,
}

/// What the platform lets one execution use, and how many executions one answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformLimits {
    /// CPU time, in milliseconds.
    pub cpu_ms: u64,
    /// From an execution's start to its end.
    pub wall: Duration,
    /// Requests to backends.
    pub sends: u32,
    /// Events of a stream after which another execution goes on; nothing where CPU time alone decides.
    pub events: Option<u32>,
    /// How many executions may go on with an answer after the first.
    pub max_hops: u32,
}

impl PlatformLimits {
    /// Those of a paid account.
    pub const PAID: Self = Self { cpu_ms: 50, wall: Duration::from_secs(120), sends: 32, events: None, max_hops: 12 };
}

/// Cool-downs of failing candidates, and how many second requests may be started.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthSettings {
    /// Failures in a row after which a candidate cools down; at least 1.
    pub failures: u32,
    pub cooldown: Duration,
    pub max_cooldown: Duration,
    /// After a refused key, an exhausted quota, or a model that is not there.
    pub auth_cooldown: Duration,
    /// Hedges, as a share of the streamed requests that may be hedged; 0 to 1.
    pub hedge_share: f64,
}

/// What the client of requests without a key may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anonymous {
    /// By name; all where none are named.
    pub tiers: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Classifier {
    pub model: ModelId,
    pub timeout: Duration,
    /// Below this the default tier serves; 0 to 1.
    pub min_confidence: f64,
    /// How much of the last user turn the classifier may see, in bytes.
    pub excerpt_bytes: usize,
    pub breaker: Breaker,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    /// Consecutive failures that open it.
    pub failures: u32,
    /// How long it stays open before one probe.
    pub open: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    pub name: String,
    /// What belongs here, in the words that the classifier's prompt uses.
    pub description: String,
    /// At least one.
    pub candidates: Vec<Entry>,
    pub deadlines: Deadlines,
    /// Further attempts on the same candidate.
    pub retries: u32,
    pub hedge_after: Option<Duration>,
    /// How long a rate limit's end is waited for although others could answer.
    pub wait: Duration,
    /// When the client of a stream that has not begun gets its head.
    pub early_head: Option<Duration>,
    pub on_refusal: OnRefusal,
    pub stream: StreamMode,
    pub whole: WholeMode,
    pub resume: Resume,
}

/// One place in a tier's order of candidates.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    One(Candidate),
    /// One is drawn by weight; if it fails its siblings come before the next entry.
    Split(Vec<Weighted>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    pub candidate: Candidate,
    /// At least 1.
    pub weight: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub model: ModelId,
    /// Sent as `reasoning_effort` in place of what the client asked for.
    pub effort: Option<Effort>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Deadlines {
    pub connect: Duration,
    /// Until the first piece of an answer that its provider streams.
    pub first_token: Duration,
    /// One attempt at an answer that its provider sends whole; half of `total` where the policy names none.
    pub response: Duration,
    /// Between two reads of a stream.
    pub idle: Duration,
    /// From receipt of the request to the end of its answer.
    pub total: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The policy's name for it.
    pub name: String,
    pub provider: ProviderId,
    /// The provider's name for it, sent as `model`.
    pub id: String,
    /// Tokens of input and output together.
    pub context: u64,
    /// Tokens of output.
    pub max_output: u64,
    pub tools: bool,
    /// The only effort at which this model takes function tools; sent when a request has tools.
    pub tools_effort: Option<Effort>,
    /// Whether `tool_choice` may force a call.
    pub forced_tools: bool,
    pub vision: bool,
    pub files: bool,
    /// Whether it takes audio, and answers with it.
    pub audio: bool,
    pub video: bool,
    pub json_schema: bool,
    /// Whether it takes sampling parameters and `max_tokens`; otherwise they are dropped, or renamed.
    pub sampling: bool,
    /// Whether it takes only one of `temperature` and `top_p` at a time.
    pub sampling_exclusive: bool,
    /// The provider's words for efforts. Where there are none, the dialect's own are sent; an effort that is missing among
    /// those that are given is dropped.
    pub efforts: Option<Vec<(Effort, String)>>,
    pub thinking: Thinking,
    /// Whether it shows its thinking only when a summary of it is asked for.
    pub thinking_display: bool,
    /// Sent as `max_tokens` where the client names no limit and the dialect demands one.
    pub default_max_tokens: u64,
    /// Whether and how it goes on with an answer that was begun.
    pub prefill: Option<Prefill>,
    /// Whether system messages may stand between the others; otherwise they are moved to the beginning.
    pub system_turns: bool,
    pub prompt_cache: PromptCache,
    /// Tokens from which a stable beginning of the prompt is marked for the provider's cache.
    pub prompt_cache_min: u64,
    /// Request fields that it refuses beside those of its provider.
    pub unsupported_fields: Vec<String>,
    /// Request fields that it takes beside those of its provider.
    pub extra_fields: Names,
    pub price: Option<Price>,
}

/// US dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    pub input: f64,
    /// `input` where the policy names none.
    pub cached_input: f64,
    /// Input that the provider puts into its cache; `input` where the policy names none.
    pub cache_write: f64,
    pub output: f64,
    pub long: Option<LongPrice>,
}

/// What the tokens of one request cost, in US dollars per million.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    pub input: f64,
    pub cached_input: f64,
    pub cache_write: f64,
    pub output: f64,
}

/// The prices of a request with a long prompt, for all of its tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongPrice {
    /// They hold for a prompt with more tokens than this.
    pub above_tokens: u64,
    pub input: f64,
    pub cached_input: f64,
    pub cache_write: f64,
    pub output: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    pub name: String,
    pub base_url: BaseUrl,
    pub dialect: Dialect,
    pub auth: AuthStyle,
    /// The Secret Store entry; always named after `base_url.host`, so that no policy sends one host's key to another.
    pub secret: String,
    /// In place of the dialect's own path.
    pub path: Option<PathTemplate>,
    /// Percent-encoded; empty where there is none, and without a credential.
    pub query: String,
    /// How many connections a backend may have; 0 is no limit.
    pub max_connections: u32,
    /// The platform's own where there is none.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Headers of every request, none of which is a credential.
    pub headers: Vec<Header>,
    /// Fields that every request has unless its client gives them.
    pub body: Vec<DefaultField>,
    /// Whether clients see the thinking that a dialect translates, as `reasoning_content`.
    pub show_reasoning: bool,
    pub quirks: Vec<Quirk>,
    /// The only fields of the published API that it takes; all where none are named.
    pub fields: Option<Vec<String>>,
    /// Request fields that it refuses, those below the top level with their path; they are left out.
    pub unsupported_fields: Vec<String>,
    /// Request fields that it takes beside those of the published API.
    pub extra_fields: Names,
    /// What messages may carry beside that.
    pub message_fields: Names,
    /// What parts of a content may carry, and be, beside that ([`VIDEO_PART`]).
    pub part_fields: Names,
    /// What tools and calls may carry, and be, beside that.
    pub tool_fields: Names,
}

/// When TCP asks whether a silent connection still stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Seconds without data after which it asks.
    pub time_s: u32,
    /// Seconds between two questions.
    pub interval_s: Option<u32>,
    /// Questions without an answer after which the connection is dead.
    pub probes: Option<u32>,
}

/// A header that a row adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// Names of fields that are none of the published API; `*` among them stands for any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

impl Names {
    pub fn allow(&self, name: &str) -> bool {
        extra::SHAPE.matches(name) && self.0.iter().any(|known| known == name || known == extra::ANY)
    }

    pub fn allow_any(&self) -> bool {
        self.0.iter().any(|known| known == extra::ANY)
    }
}

/// Where a provider is reached: `https`, or `http` to loopback only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    pub tls: bool,
    /// Lower case, without port or brackets.
    pub host: String,
    pub port: u16,
    /// Without a trailing slash; empty or starting with one.
    pub path: String,
}

/// A bound, or a decision, that holds for the requests it matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub name: String,
    pub when: Condition,
    pub then: Effect,
}

/// All that are given must hold; the lists match any of their members.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    pub client: Option<Vec<String>>,
    /// ISO 3166-1 alpha-2, upper case, or `unknown`.
    pub country: Option<Vec<String>>,
    /// Countries in the same form, none of which may be the client's.
    pub not_country: Option<Vec<String>>,
    pub has_tools: Option<bool>,
    pub has_images: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effect {
    /// Decides the tier, after header and model.
    pub tier: Option<TierId>,
    pub min_tier: Option<TierId>,
    pub max_tier: Option<TierId>,
    /// The only providers that may see the request.
    pub providers: Option<Vec<ProviderId>>,
}

impl Price {
    /// The prices of a request whose prompt has so many tokens.
    pub fn rates(&self, input_tokens: u64) -> Rates {
        match self.long {
            Some(LongPrice { above_tokens, input, cached_input, cache_write, output })
                if input_tokens > above_tokens =>
            {
                Rates { input, cached_input, cache_write, output }
            }
            Some(_) | None => {
                let Self { input, cached_input, cache_write, output, long: _ } = *self;
                Rates { input, cached_input, cache_write, output }
            }
        }
    }
}

impl Rates {
    /// Whether a prompt that is put into the cache and comes once more costs less than one that comes twice without it.
    pub fn repay_caching(self) -> bool {
        self.cache_write + self.cached_input < 2.0 * self.input
    }
}

impl Policy {
    pub fn tier(&self, id: TierId) -> &Tier {
        &self.tiers[id.0]
    }

    pub fn model(&self, id: ModelId) -> &Model {
        &self.models[id.0]
    }

    pub fn provider(&self, id: ProviderId) -> &Provider {
        &self.providers[id.0]
    }

    /// The provider that serves a model.
    pub fn provider_of(&self, id: ModelId) -> &Provider {
        self.provider(self.model(id).provider)
    }

    /// All tiers, cheap to capable.
    pub fn tier_ids(&self) -> impl DoubleEndedIterator<Item = TierId> + use<> {
        (0..self.tiers.len()).map(TierId)
    }

    /// All models, in the policy's order.
    pub fn model_ids(&self) -> impl Iterator<Item = ModelId> + use<> {
        (0..self.models.len()).map(ModelId)
    }

    pub fn tier_named(&self, name: &str) -> Option<TierId> {
        self.tiers.iter().position(|tier| tier.name == name).map(TierId)
    }

    pub fn model_named(&self, name: &str) -> Option<ModelId> {
        self.models.iter().position(|model| model.name == name).map(ModelId)
    }
}
