//! What a provider knows of a request below its top level, and at it.

/// The fields that a provider takes; where there is no list, any.
#[derive(Clone, Copy, Default)]
pub struct Known {
    /// Of a request.
    pub request: Option<&'static [&'static str]>,
    /// Of messages.
    pub messages: Option<&'static [&'static str]>,
    /// Kinds of parts, and their fields beside `type` and the one that is called as they are.
    pub parts: Option<&'static [&'static str]>,
    /// Of calls.
    pub calls: Option<&'static [&'static str]>,
    /// Of what a tool's `function` holds.
    pub functions: Option<&'static [&'static str]>,
    /// Kinds of parts in the result of a tool.
    pub results: Option<&'static [&'static str]>,
    /// Of further objects.
    pub objects: &'static [Object],
}

/// The fields of an object below the top level of a request.
pub struct Object {
    /// The names on the way to it; what is in a list is where the list is.
    pub path: &'static str,
    pub fields: &'static [&'static str],
}

const fn object(path: &'static str, fields: &'static [&'static str]) -> Object {
    Object { path, fields }
}

/// What stands below the top level in the published API, where messages, parts, calls and tools have no list of their own.
const OBJECTS: &[Object] = &[
    object("audio", &["voice", "format"]),
    object("audio.voice", &["id"]),
    object("function_call", &["name"]),
    object("functions", &["name", "description", "parameters"]),
    object("messages.audio", &["id"]),
    object("messages.content.file", &["file_data", "file_id", "filename"]),
    object("messages.content.image_url", &["url", "detail"]),
    object("messages.content.input_audio", &["data", "format"]),
    object("messages.content.prompt_cache_breakpoint", &["mode"]),
    object("messages.function_call", &["name", "arguments"]),
    object("messages.tool_calls.custom", &["name", "input"]),
    object("messages.tool_calls.function", &["name", "arguments"]),
    object("moderation", &["model", "policy"]),
    object("moderation.policy", &["input", "output"]),
    object("moderation.policy.input", &["mode"]),
    object("moderation.policy.output", &["mode"]),
    object("prediction", &["type", "content"]),
    object("prediction.content", &["type", "text", "prompt_cache_breakpoint"]),
    object("prompt_cache_options", &["ttl", "mode"]),
    object("response_format", &["type", "json_schema"]),
    object("response_format.json_schema", &["name", "description", "schema", "strict"]),
    object("stream_options", &["include_usage", "include_obfuscation"]),
    object("tool_choice", &["type", "function", "custom", "allowed_tools"]),
    object("tool_choice.allowed_tools", &["mode", "tools"]),
    object("tool_choice.allowed_tools.tools", &["type", "function", "custom"]),
    object("tool_choice.allowed_tools.tools.custom", &["name"]),
    object("tool_choice.allowed_tools.tools.function", &["name"]),
    object("tool_choice.custom", &["name"]),
    object("tool_choice.function", &["name"]),
    object("tools.custom", &["name", "description", "format"]),
    object("tools.custom.format", &["type", "grammar"]),
    object("tools.custom.format.grammar", &["definition", "syntax"]),
    object("web_search_options", &["search_context_size", "user_location"]),
    object("web_search_options.user_location", &["type", "approximate"]),
    object("web_search_options.user_location.approximate", &["country", "region", "city", "timezone"]),
];

/// A result that is more than text is refused where the provider is known to, or does not say that it takes it.
const TEXTS: Option<&[&str]> = Some(&["text"]);
const PARTS: &[&str] = &["text", "image_url", "input_audio", "file", "refusal"];
const CALLS: &[&str] = &["id", "type", "function", "custom"];
const FUNCTIONS: &[&str] = &["name", "description", "parameters", "strict"];

impl Known {
    /// OpenAI's. That echoed `annotations` are taken is what its SDKs' own examples do.
    pub const OPENAI: Self = Self {
        request: None,
        messages: Some(&[
            "role",
            "content",
            "name",
            "refusal",
            "audio",
            "annotations",
            "function_call",
            "tool_calls",
            "tool_call_id",
        ]),
        parts: Some(&["text", "image_url", "input_audio", "file", "refusal", "prompt_cache_breakpoint"]),
        calls: Some(CALLS),
        functions: Some(FUNCTIONS),
        results: TEXTS,
        objects: OBJECTS,
    };

    /// Google's layer for OpenAI's clients: only what it lists at the top, and anything in messages.
    pub const GOOGLE: Self = Self {
        request: Some(&[
            "model",
            "messages",
            "stream",
            "stream_options",
            "tools",
            "tool_choice",
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "top_p",
            "n",
            "stop",
            "response_format",
            "reasoning_effort",
            "extra_body",
        ]),
        messages: None,
        parts: Some(PARTS),
        calls: None,
        functions: Some(FUNCTIONS),
        results: TEXTS,
        objects: OBJECTS,
    };

    pub const MISTRAL: Self = Self {
        request: Some(&[
            "model",
            "messages",
            "stream",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "max_tokens",
            "temperature",
            "top_p",
            "n",
            "stop",
            "random_seed",
            "presence_penalty",
            "frequency_penalty",
            "response_format",
            "prediction",
            "reasoning_effort",
            "safe_prompt",
            "prompt_mode",
        ]),
        messages: Some(&["role", "content", "tool_calls", "tool_call_id", "prefix"]),
        parts: Some(&["text", "image_url", "input_audio", "file", "thinking", "closed"]),
        calls: Some(&["id", "type", "function", "index"]),
        functions: Some(FUNCTIONS),
        results: TEXTS,
        objects: OBJECTS,
    };

    pub const GROQ: Self = Self {
        request: Some(&[
            "model",
            "messages",
            "stream",
            "stream_options",
            "tools",
            "tool_choice",
            "parallel_tool_calls",
            "max_tokens",
            "max_completion_tokens",
            "temperature",
            "top_p",
            "seed",
            "stop",
            "user",
            "presence_penalty",
            "frequency_penalty",
            "response_format",
            "reasoning_effort",
            "reasoning_format",
            "include_reasoning",
            "service_tier",
        ]),
        messages: Some(&["role", "content", "reasoning", "tool_calls", "tool_call_id"]),
        parts: Some(&["text", "image_url"]),
        calls: Some(&["id", "type", "function"]),
        functions: Some(FUNCTIONS),
        results: TEXTS,
        objects: OBJECTS,
    };

    pub const CEREBRAS: Self = Self {
        request: None,
        messages: Some(&["role", "content", "name", "tool_calls", "tool_call_id"]),
        parts: Some(&["text"]),
        calls: Some(&["id", "type", "function"]),
        functions: Some(FUNCTIONS),
        results: TEXTS,
        objects: OBJECTS,
    };
}
