//! What one provider takes, refuses and adds, as data.

/// What only the Messages dialect asks of a model.
mod claude;
mod known;

pub use claude::{Claude, ClaudeSampling, ForcedTools, Thinking};
pub use known::{Known, Object};

/// Everything that makes one simulated provider differ from another.
#[derive(Clone)]
pub struct Profile {
    pub name: String,
    pub dialect: Dialect,
    /// The key a request must carry; without one, every request is let in.
    pub key: Option<String>,
    /// The models there are; an empty list takes any model and refuses nothing.
    pub models: Vec<Model>,
    /// Top-level request fields that are a 400 whenever they are given.
    pub refused_fields: &'static [&'static str],
    /// The fields that are known; others are a 400 even where they are null.
    pub known: Known,
    pub quirks: &'static [Quirk],
    pub answers: Answers,
    /// Sent with every answer; some of them must not get through a gateway.
    pub headers: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    OpenAiChat,
    AnthropicMessages,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Answers {
    /// Says who answers, how often it did, and what it was asked.
    Varied,
    /// Always this text, and no request is examined: for benchmarks.
    Constant(String),
}

#[derive(Clone)]
pub struct Model {
    pub id: String,
    /// Prompts above this, estimated at four bytes a token, overflow.
    pub context_tokens: usize,
    /// The reasoning efforts it takes; an empty list means that it does not reason and the field is ignored.
    pub efforts: &'static [&'static str],
    pub tools: Tools,
    pub sampling: Sampling,
    /// What the Messages dialect asks of it; there `tools` and `sampling` are not looked at.
    pub claude: Claude,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tools {
    Always,
    /// Only with the effort `none`; leaving the effort out is not enough.
    WithoutReasoning,
    Never,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Sampling {
    Free,
    /// Sampling fields are refused while the model reasons, and `max_tokens` always.
    WithoutReasoning,
    /// A temperature out of range is replaced, and the answer says so in a `warning`.
    TemperatureWithin(f64, f64),
}

/// Deviations from what the dialect's first provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    /// Errors come inside a JSON array, with numeric code and a `status` word.
    ArrayErrors,
    /// A tool call streams in one piece without index or id, and its finish reason is `stop`.
    WholeToolCalls,
    /// Tool calls carry a thought signature that must come back with the first call of each step of the present turn.
    ThoughtSignatures,
    /// Ids of calls have 40 characters at most.
    IdsOfForty,
    /// Ids of calls have nine letters and digits.
    IdsOfNine,
    /// Names of functions have 1 to 64 characters from `[a-zA-Z0-9_-]`.
    PlainNames,
    /// An empty list of calls, or of tools, is refused.
    NoEmptyLists,
    /// While it thinks, which is unless `thinking` says otherwise, calls must come back with their `reasoning_content`.
    ReasoningWithCalls,
    /// A user turn may not follow a tool's result, nor an instruction a result or an answer, and no instruction stands at the end.
    NoUserAfterTool,
    /// An assistant message at the end needs `"prefix": true`.
    PrefixedPrefill,
    /// Models that reason, by their name or because they are asked to, answer with content that is an array: first what they
    /// think, then the text.
    ThinkingParts,
    /// The limit on the answer is `max_tokens` only; the newer name is passed over.
    OnlyMaxTokens,
    /// The key comes as `api-key`.
    ApiKeyHeader,
    /// A conversation without a user turn is refused.
    NeedsUserTurn,
    /// A conversation that ends with an assistant message, or with instructions behind one, is refused instead of gone on with.
    NoPrefill,
    /// Behind an assistant message at the end comes another one, instead of the rest of it.
    AnswersAnew,
    /// Tools are functions: the older form, custom tools, a choice of some, and calls of these kinds are refused.
    FunctionToolsOnly,
    /// A function must have parameters.
    ToolParameters,
    NoDeveloperRole,
    StopArrayOnly,
    NoImages,
    /// `stream_options` without `stream` is refused.
    StreamOptionsOnlyWithStream,
    /// Requests for a tier and a confidence are answered as the gateway's classifier.
    Classifies,
}

const OPENAI_HEADERS: &[(&str, &str)] = &[
    ("openai-organization", "org-simulated"),
    ("openai-processing-ms", "12"),
    ("openai-version", "2020-10-01"),
    ("x-ratelimit-limit-requests", "5000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "4999"),
    ("x-ratelimit-remaining-tokens", "1999000"),
    ("x-ratelimit-reset-requests", "12ms"),
    ("x-ratelimit-reset-tokens", "30ms"),
    ("server", "simulated-edge"),
    ("set-cookie", "__simulated=1; path=/; HttpOnly"),
];
const ANTHROPIC_HEADERS: &[(&str, &str)] = &[
    ("anthropic-organization-id", "org-simulated"),
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2026-11-22T12:00:00Z"),
    ("anthropic-ratelimit-input-tokens-limit", "2000000"),
    ("anthropic-ratelimit-input-tokens-remaining", "1999000"),
    ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T12:00:00Z"),
    ("anthropic-ratelimit-output-tokens-limit", "400000"),
    ("anthropic-ratelimit-output-tokens-remaining", "399000"),
    ("anthropic-ratelimit-output-tokens-reset", "2026-11-22T12:00:00Z"),
    ("server", "simulated-edge"),
    ("set-cookie", "__simulated=1; path=/; HttpOnly"),
];

impl Profile {
    /// A provider of the Messages dialect that takes any model and refuses nothing that is well formed.
    pub fn generic_messages(name: &str) -> Self {
        Self { dialect: Dialect::AnthropicMessages, headers: ANTHROPIC_HEADERS, ..Self::generic(name) }
    }

    /// A provider that takes any model and refuses nothing that is well formed.
    pub fn generic(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            dialect: Dialect::OpenAiChat,
            key: None,
            models: Vec::new(),
            refused_fields: &[],
            known: Known::default(),
            quirks: &[],
            answers: Answers::Varied,
            headers: OPENAI_HEADERS,
        }
    }

    pub fn with_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// For benchmarks: one small text for every request, examined for nothing but the key.
    pub fn with_constant_answer(self, text: &str) -> Self {
        Self { answers: Answers::Constant(text.to_owned()), ..self }
    }

    /// Limits every model of the list to this context.
    pub fn with_context_tokens(mut self, tokens: usize) -> Self {
        for model in &mut self.models {
            model.context_tokens = tokens;
        }
        self
    }

    pub fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }
}

impl Model {
    /// A model that refuses nothing.
    pub fn plain(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            context_tokens: usize::MAX,
            efforts: &[],
            tools: Tools::Always,
            sampling: Sampling::Free,
            claude: Claude::DEFAULT,
        }
    }
}
