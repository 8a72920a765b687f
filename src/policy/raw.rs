//! The document as an operator writes it; `build` turns it into the validated policy.
//!
//! The comments here are the descriptions in `policy/policy.schema.json`, so they speak to operators.

#![expect(dead_code, reason = "`$schema` and `note` are read only to be checked")]

use super::additions::{Defaults, HeaderField, HeaderText, QueryField};
use super::country::Country;
use super::extra::ExtraField;
use super::key_header::{AuthForm, KeyHeaderName, KeyPrefix};
use super::path_template::PathTemplate;
use super::read::{List, Map, object};
use super::scalar::{
    ClientId, Dollars, FieldName, Fraction, Integer, ModelName, Origin, ProviderName, SecretName, Text, TierName,
    UpstreamEffort, UpstreamModel, Version,
};
use super::{
    Auth, BaseUrl, Dialect, Effort, OnRefusal, Prefill, PromptCache, Quirk, Resume, StreamMode, Thinking, WholeMode,
};
use crate::policy::json::Node;

/// No longer than an execution of a paid account lasts.
pub type Millis = Integer<1, 120_000>;
/// An answer may take more than one execution.
pub type AnswerMillis = Integer<1, 1_800_000>;
/// An hour at most.
pub type Seconds = Integer<1, 3_600>;
pub type Tokens = Integer<1, 1_000_000_000>;

/// The largest body that still fits, decoded and encoded anew, into the 128 MB of an execution.
pub const MAX_BODY_BYTES: u64 = 32 << 20;

object! {
    /// The policy of a tiergate service: which tiers there are, which models serve them, and how.
    Policy {
        /// Where this schema lies, for editors; without effect.
        optional schema as "$schema": String,
        /// A remark for people; without effect.
        optional note: Text<2000>,
        /// The label of this version, shown in x-route-policy and in the log.
        required version: Version,
        /// The name of the tier that serves where nothing else decides.
        required default_tier: String,
        /// Seconds after which a parsed policy or a client's entry is read anew.
        optional policy_ttl_s: Seconds = 5,
        /// Bounds on requests.
        optional limits: Limits = Node::Object(Vec::new()),
        /// What the Fastly account lets one execution use.
        optional platform: Platform = Node::Object(Vec::new()),
        /// Cool-downs of failing candidates.
        optional health: Health = Node::Object(Vec::new()),
        /// Whether a client must present a key.
        optional auth: Auth = "required",
        /// What requests without a key may use, where auth is optional; without it everything.
        optional anonymous: Anonymous,
        /// Origins that browsers may call from; * allows every one.
        optional cors_origins: List<Origin, 0> = Node::List(Vec::new()),
        /// The model that assigns tiers; without it the default tier serves.
        optional classifier: Classifier,
        /// The tiers, from cheap to capable.
        required tiers: List<Tier, 1>,
        /// The models, by the names that tiers use.
        required models: Map<ModelName, Model>,
        /// The providers, by the names that models use.
        required providers: Map<ProviderName, Provider>,
        /// Bounds and decisions for the requests that match.
        optional rules: List<Rule, 0> = Node::List(Vec::new()),
    }

    /// Bounds on requests.
    Limits {
        /// The largest request body, in bytes.
        optional body_bytes: Integer<1, MAX_BODY_BYTES> = 10_485_760,
    }

    /// What the Fastly account lets one execution use, and how many executions one answer may take.
    Platform {
        /// Milliseconds of CPU time: 50.
        optional cpu_ms: Integer<10, 10_000> = 50,
        /// Seconds from start to end: 120, and 60 with a trial account.
        optional wall_s: Integer<10, 3_600> = 120,
        /// Requests to backends: 32, and 10 with a trial account.
        optional sends: Integer<4, 1_000> = 32,
        /// Events of a stream after which another execution goes on; without it as many as fit into cpu_ms.
        optional events: Integer<1, 1_000_000>,
        /// How many executions may go on with an answer after the first; the platform allows 20 in a chain.
        optional max_hops: Integer<0, 18> = 12,
    }

    /// Cool-downs of failing candidates.
    Health {
        /// Failures in a row, of different requests, after which a candidate cools down.
        optional failures: Integer<1, 100> = 3,
        /// Seconds of the first cool-down; it doubles with each further failure.
        optional cooldown_s: Seconds = 5,
        /// Seconds beyond which it does not double.
        optional max_cooldown_s: Seconds = 120,
        /// Seconds after a refused key or an exhausted quota.
        optional auth_cooldown_s: Integer<1, 86_400> = 300,
        /// The share of streamed requests that may be hedged, 0 to 1.
        optional hedge_share: Fraction = Node::Number(0.05),
    }

    /// What requests without a key may use.
    Anonymous {
        /// The names of tiers; without it every tier.
        optional tiers: List<String, 1>,
    }

    /// The model that assigns tiers.
    Classifier {
        /// The name of a model.
        required model: String,
        /// Milliseconds after which the default tier serves.
        required timeout_ms: Integer<1, 30_000>,
        /// Confidence below which the default tier serves.
        required min_confidence: Fraction,
        /// How many bytes of the last user turn it may see.
        required excerpt_bytes: Integer<1, 65_536>,
        /// When to stop asking it for a while.
        required breaker: Breaker,
    }

    /// When to stop asking the classifier for a while.
    Breaker {
        /// Consecutive failures that open the breaker.
        required failures: Integer<1, 100>,
        /// Seconds that it stays open before one probe.
        required open_s: Seconds,
    }

    /// One tier.
    Tier {
        /// Its name, in headers and as a model name that applications may send; no model may have it.
        required name: TierName,
        /// What belongs here; the classifier decides by it.
        required description: Text<2000>,
        /// Who may answer, in order of preference.
        required candidates: List<Entry, 1>,
        /// How long to wait for what.
        required deadlines: Deadlines,
        /// Further attempts on the same candidate.
        optional retries: Integer<0, 3> = 0,
        /// Milliseconds without a first piece after which a second candidate is started.
        optional hedge_after_ms: Millis,
        /// Milliseconds that a rate limit's end is waited for, although others could answer.
        optional wait_ms: Integer<0, 60_000> = 0,
        /// Milliseconds without a first piece after which a stream's client gets its head and comments; 0 for never.
        optional early_head_ms: Integer<0, 120_000> = 45_000,
        /// What happens when a provider, or the model, refuses what the text asks for.
        optional on_refusal: OnRefusal = "end",
        /// How streams are relayed; handoff only where every candidate is openai-chat.
        optional stream: StreamMode = "guarded",
        /// How a provider is asked for an answer that the client wants whole.
        optional whole: WholeMode = "asked",
        /// What happens to a stream that breaks after its first piece.
        optional resume: Resume = "off",
    }

    /// One place in the order of candidates: a model, or a split between several. Exactly one of model and split.
    Entry {
        /// The name of a model.
        optional model: String,
        /// The reasoning effort to ask for, in place of what the client asked for.
        optional effort: Effort,
        /// Models among which one is drawn by weight.
        optional split: List<Member, 1>,
    }

    /// One model of a split.
    Member {
        /// The name of a model.
        required model: String,
        /// Its share, relative to the other weights.
        required weight: Integer<1, 10_000>,
        /// The reasoning effort to ask for, in place of what the client asked for.
        optional effort: Effort,
    }

    /// How long to wait for what, in milliseconds; none may exceed total_ms.
    Deadlines {
        /// Until a provider's connection stands.
        optional connect_ms: Millis = 1000,
        /// Until the first piece of an answer that its provider streams.
        required first_token_ms: Millis,
        /// For one attempt at an answer that its provider sends whole; half of total_ms where it is absent.
        optional response_ms: Millis,
        /// Between two reads of a stream.
        required idle_ms: Millis,
        /// From receipt of the request to the end of its answer; beyond wall_s only with a continuation.
        required total_ms: AnswerMillis,
    }

    /// A model and what it can do.
    Model {
        /// The name of a provider.
        required provider: String,
        /// The provider's name for the model.
        required id: UpstreamModel,
        /// Tokens of input and output together.
        required context: Tokens,
        /// Tokens of output; at most context.
        required max_output: Tokens,
        /// Whether it takes function tools.
        optional tools: bool = false,
        /// The only reasoning effort at which it takes tools; sent with every request that has tools.
        optional tools_effort: Effort,
        /// Whether tool_choice may force a call.
        optional forced_tools: bool = true,
        /// Whether it takes images.
        optional vision: bool = false,
        /// Whether it takes files, such as PDFs.
        optional files: bool = false,
        /// Whether it takes audio, and answers with audio if that is asked for.
        optional audio: bool = false,
        /// Whether it takes video, where the provider's `part_fields` has `video_url` too.
        optional video: bool = false,
        /// Whether it takes response_format json_schema.
        optional json_schema: bool = false,
        /// Whether it takes temperature and the like, and max_tokens under that name.
        optional sampling: bool = true,
        /// Whether it takes only one of temperature and top_p at a time; then temperature is sent.
        optional sampling_exclusive: bool = false,
        /// The provider's words for the reasoning efforts; one that is not listed is dropped. Without it, the dialect's own words.
        optional efforts: Map<Effort, UpstreamEffort>,
        /// How a model of anthropic-messages thinks: never, always, always but perhaps only between calls of tools, unless switched off, when asked for, within a budget.
        optional thinking: Thinking = "always",
        /// Whether it shows its thinking only when a summary of it is asked for.
        optional thinking_display: bool = false,
        /// The limit on the answer's tokens where the client names none and anthropic-messages demands one; room for thinking included.
        optional default_max_tokens: Tokens,
        /// How the model goes on with an answer that was begun: given as a last message, or as one with "prefix": true.
        optional prefill: Prefill,
        /// Whether system messages may stand between the others; otherwise they are moved to the beginning.
        optional system_turns: bool = false,
        /// Whether prompts are marked for the cache of anthropic-messages: where it pays by the price, always, never; always where only prompt_cache_min is given, else where it pays.
        optional prompt_cache: PromptCache,
        /// Tokens from which a stable beginning of the prompt is marked for the cache; 1024 where it is absent.
        optional prompt_cache_min: Tokens,
        /// Request fields that it refuses beside those of its provider's row.
        optional unsupported_fields: List<FieldName, 0> = Node::List(Vec::new()),
        /// Request fields that it takes beside those of its provider's row; * for whatever a client sends.
        optional extra_fields: List<ExtraField, 0> = Node::List(Vec::new()),
        /// What it costs; without it the log has no cost.
        optional price: Price,
    }

    /// US dollars per million tokens.
    Price {
        /// Input.
        required input: Dollars,
        /// Input that the provider had cached; the price of input where it is absent.
        optional cached_input: Dollars,
        /// Input that the provider puts into its cache; the price of input where it is absent.
        optional cache_write: Dollars,
        /// Output.
        required output: Dollars,
        /// What all tokens of a request with a long prompt cost; without it the same.
        optional long: LongPrice,
    }

    /// US dollars per million tokens of a request with a long prompt.
    LongPrice {
        /// They hold for prompts with more tokens than this.
        required above_tokens: Tokens,
        /// Input.
        required input: Dollars,
        /// Input that the provider had cached; the price of input where it is absent.
        optional cached_input: Dollars,
        /// Input that the provider puts into its cache; the price of input where it is absent.
        optional cache_write: Dollars,
        /// Output.
        required output: Dollars,
    }

    /// Where models are served.
    Provider {
        /// What stands before /chat/completions or /v1/messages; https, or http to a loopback host.
        required base_url: BaseUrl,
        /// The wire format.
        required dialect: Dialect,
        /// The header that carries the key, by a usual name or by its own.
        optional auth: AuthForm = "bearer",
        /// The Secret Store entry with the key: HOST of base_url, or HOST__LABEL; HOST where it is absent.
        optional secret: SecretName,
        /// Headers of every request, such as anthropic-beta; never credentials.
        optional headers: Map<HeaderField, HeaderText>,
        /// What stands in place of the dialect's own path below base_url, with {model} for the model's id, such as /openai/deployments/{model}/chat/completions.
        optional path: PathTemplate,
        /// The query of every request, such as api-version; never credentials.
        optional query: Map<QueryField, Text<256>>,
        /// How many connections one POP may have to the host for requests with the same deadlines; 0 for no limit.
        optional max_connections: Integer<0, 100_000> = 0,
        /// When TCP asks whether a silent connection still stands; without it the platform decides.
        optional tcp_keepalive: TcpKeepalive,
        /// Fields that a request has unless the client gives them, with their values.
        optional body: Defaults,
        /// Whether clients see the thinking of anthropic-messages, as reasoning_content.
        optional show_reasoning: bool = false,
        /// Deviations from the dialect.
        optional quirks: List<Quirk, 0> = Node::List(Vec::new()),
        /// The only request fields of OpenAI's API that it takes, for openai-chat; without it all of them. Others are left out, and named in x-route-dropped.
        optional fields: List<FieldName, 0>,
        /// Request fields that it refuses, also below the top level (messages.refusal, tools.strict); they are left out, and named in x-route-dropped.
        optional unsupported_fields: List<FieldName, 0> = Node::List(Vec::new()),
        /// Request fields that it takes beside those of OpenAI's API, byte for byte; * for whatever a client sends. Others are left out, and named in x-route-dropped.
        optional extra_fields: List<ExtraField, 0> = Node::List(Vec::new()),
        /// Fields that its messages may have beside those of OpenAI's API, such as reasoning_content; * for any.
        optional message_fields: List<ExtraField, 0> = Node::List(Vec::new()),
        /// Fields, and types, that parts of a message's content may have beside those of OpenAI's API; * for any.
        optional part_fields: List<ExtraField, 0> = Node::List(Vec::new()),
        /// Fields, and types, that tools and calls may have beside those of OpenAI's API, such as extra_content; * for any.
        optional tool_fields: List<ExtraField, 0> = Node::List(Vec::new()),
    }

    /// A header that carries a key.
    KeyHeader {
        /// Its name, in lower case; none of the gateway's own.
        required header: KeyHeaderName,
        /// What stands before the key, such as Bearer and a space; may be empty.
        optional prefix: KeyPrefix = "",
    }

    /// When TCP asks whether a silent connection still stands.
    TcpKeepalive {
        /// Seconds without data after which it asks.
        required time_s: Integer<1, 7_200>,
        /// Seconds between two questions; the platform's own where it is absent.
        optional interval_s: Integer<1, 7_200>,
        /// Questions without an answer after which the connection is dead; the platform's own where it is absent.
        optional probes: Integer<1, 100>,
    }

    /// A bound, or a decision, for the requests that match.
    Rule {
        /// Its name, in the log.
        required name: Text<100>,
        /// What must hold; empty matches every request.
        required when: Condition,
        /// What then holds.
        required then: Effect,
    }

    /// All that are given must hold; a list holds if one of its members does.
    Condition {
        /// Ids of clients.
        optional client: List<ClientId, 1>,
        /// Countries of the client's address, ISO 3166-1 alpha-2, or unknown.
        optional country: List<Country, 1>,
        /// Countries that the client's address must not be of; an unknown one is of none of them, unless unknown is listed.
        optional not_country: List<Country, 1>,
        /// Whether the request has tools.
        optional has_tools: bool,
        /// Whether the request has images, files, audio or video.
        optional has_images: bool,
    }

    /// What a rule does; at least one of them.
    Effect (min 1) {
        /// The tier that serves, unless the client named one.
        optional tier: String,
        /// The least capable tier that may serve.
        optional min_tier: String,
        /// The most capable tier that may serve.
        optional max_tier: String,
        /// The only providers that may see the request.
        optional providers: List<String, 1>,
    }
}
