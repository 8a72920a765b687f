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
}

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
        messages: Some(&["role", "content", "name", "tool_calls", "tool_call_id", "prefix"]),
        parts: Some(&["text", "image_url", "input_audio", "file", "thinking"]),
        calls: Some(&["id", "type", "function", "index"]),
        functions: Some(FUNCTIONS),
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
    };

    pub const CEREBRAS: Self = Self {
        request: None,
        messages: Some(&["role", "content", "name", "tool_calls", "tool_call_id"]),
        parts: Some(&["text"]),
        calls: Some(&["id", "type", "function"]),
        functions: Some(FUNCTIONS),
    };
}
