//! The providers that are known, a row each. The facts are those of the providers' documentation and of reports as of
//! November 2026; a row changes when its provider's behaviour does.

use crate::profile::{Claude, ClaudeSampling, ForcedTools, Known, Model, Profile, Quirk, Sampling, Thinking, Tools};

const OPENAI_EFFORTS: &[&str] = &["none", "low", "medium", "high", "xhigh", "max"];
const OPENAI_EFFORTS_WITHOUT_NONE: &[&str] = &["low", "medium", "high", "xhigh", "max"];
const GEMINI_EFFORTS: &[&str] = &["minimal", "low", "medium", "high"];
const MERCURY_EFFORTS: &[&str] = &["instant", "low", "medium", "high"];

const PLAIN_HEADERS: &[(&str, &str)] =
    &[("server", "simulated-edge"), ("set-cookie", "__simulated=1; path=/; HttpOnly")];

impl Profile {
    /// OpenAI. That `gpt-6.2-sol` refuses the effort `none`, and so tools, is the careful reading: no report says.
    pub fn openai() -> Self {
        let reasoning = |id: &str, efforts, tools| Model {
            id: id.to_owned(),
            context_tokens: 1_050_000,
            efforts,
            tools,
            sampling: Sampling::WithoutReasoning,
            claude: Claude::DEFAULT,
        };
        let with_none = |id| reasoning(id, OPENAI_EFFORTS, Tools::WithoutReasoning);
        let without_none = |id| reasoning(id, OPENAI_EFFORTS_WITHOUT_NONE, Tools::Never);
        Self {
            models: vec![
                with_none("gpt-6-luna"),
                with_none("gpt-6-sol"),
                without_none("gpt-6-astra"),
                without_none("gpt-6.1-sol"),
                without_none("gpt-6.2-sol"),
                without_none("gpt-6.2-astra"),
                with_none("gpt-5.6-luna"),
                with_none("gpt-5.6-terra"),
                with_none("gpt-5.6-sol"),
            ],
            quirks: &[
                Quirk::StreamOptionsOnlyWithStream,
                Quirk::AnswersAnew,
                Quirk::IdsOfForty,
                Quirk::PlainNames,
                Quirk::NoEmptyLists,
            ],
            known: Known::OPENAI,
            ..Self::generic("openai")
        }
    }

    /// Azure's endpoint v1, whose models are the deployments of a resource.
    pub fn azure() -> Self {
        Self {
            quirks: &[
                Quirk::AnswersAnew,
                Quirk::IdsOfForty,
                Quirk::PlainNames,
                Quirk::NoEmptyLists,
                Quirk::ApiKeyHeader,
            ],
            known: Known::OPENAI,
            ..Self::generic("azure")
        }
    }

    pub fn mistral() -> Self {
        Self {
            quirks: &[
                Quirk::NoDeveloperRole,
                Quirk::IdsOfNine,
                Quirk::PlainNames,
                Quirk::NoUserAfterTool,
                Quirk::PrefixedPrefill,
                Quirk::ThinkingParts,
                Quirk::FunctionToolsOnly,
                Quirk::ToolParameters,
            ],
            known: Known::MISTRAL,
            headers: PLAIN_HEADERS,
            ..Self::generic("mistral")
        }
    }

    pub fn groq() -> Self {
        Self { quirks: &[Quirk::PlainNames, Quirk::FunctionToolsOnly], known: Known::GROQ, ..Self::generic("groq") }
    }

    pub fn cerebras() -> Self {
        Self {
            refused_fields: &[
                "frequency_penalty",
                "presence_penalty",
                "logit_bias",
                "parallel_tool_calls",
                "service_tier",
            ],
            quirks: &[Quirk::FunctionToolsOnly],
            known: Known::CEREBRAS,
            headers: PLAIN_HEADERS,
            ..Self::generic("cerebras")
        }
    }

    pub fn deepseek() -> Self {
        Self {
            quirks: &[
                Quirk::NoDeveloperRole,
                Quirk::PlainNames,
                Quirk::NoEmptyLists,
                Quirk::ReasoningWithCalls,
                Quirk::OnlyMaxTokens,
                Quirk::PrefixedPrefill,
                Quirk::FunctionToolsOnly,
            ],
            headers: PLAIN_HEADERS,
            ..Self::generic("deepseek")
        }
    }

    /// xAI, as its reasoning models are.
    pub fn xai() -> Self {
        Self {
            refused_fields: &["frequency_penalty", "presence_penalty", "stop", "logit_bias"],
            quirks: &[Quirk::FunctionToolsOnly],
            headers: PLAIN_HEADERS,
            ..Self::generic("xai")
        }
    }

    pub fn together() -> Self {
        Self { quirks: &[Quirk::FunctionToolsOnly], headers: PLAIN_HEADERS, ..Self::generic("together") }
    }

    pub fn fireworks() -> Self {
        Self { quirks: &[Quirk::FunctionToolsOnly], headers: PLAIN_HEADERS, ..Self::generic("fireworks") }
    }

    pub fn openrouter() -> Self {
        Self { headers: PLAIN_HEADERS, ..Self::generic("openrouter") }
    }

    pub fn vllm() -> Self {
        Self { quirks: &[Quirk::FunctionToolsOnly], headers: PLAIN_HEADERS, ..Self::generic("vllm") }
    }

    pub fn ollama() -> Self {
        Self {
            quirks: &[Quirk::OnlyMaxTokens, Quirk::FunctionToolsOnly],
            headers: PLAIN_HEADERS,
            ..Self::generic("ollama")
        }
    }

    /// Gemini behind its OpenAI-compatible endpoint.
    pub fn google() -> Self {
        let model = |id: &str| Model { context_tokens: 1_000_000, efforts: GEMINI_EFFORTS, ..Model::plain(id) };
        Self {
            models: vec![model("gemini-3.8-flash"), model("gemini-3.5-flash-lite"), model("gemini-3.1-pro-preview")],
            quirks: &[
                Quirk::ArrayErrors,
                Quirk::WholeToolCalls,
                Quirk::ThoughtSignatures,
                Quirk::NeedsUserTurn,
                Quirk::NoPrefill,
                Quirk::FunctionToolsOnly,
            ],
            known: Known::GOOGLE,
            headers: PLAIN_HEADERS,
            ..Self::generic("google")
        }
    }

    /// Inception: Mercury as a model, and as the gateway's classifier.
    pub fn inception() -> Self {
        let model = |id: &str, context_tokens| Model {
            context_tokens,
            efforts: MERCURY_EFFORTS,
            sampling: Sampling::TemperatureWithin(0.5, 1.0),
            ..Model::plain(id)
        };
        Self {
            models: vec![model("mercury-2", 128_000), model("mercury-2.5", 260_000), model("mercury-3", 1_000_000)],
            refused_fields: &[
                "top_p",
                "n",
                "seed",
                "frequency_penalty",
                "presence_penalty",
                "logit_bias",
                "logprobs",
                "top_logprobs",
            ],
            quirks: &[
                Quirk::NoDeveloperRole,
                Quirk::StopArrayOnly,
                Quirk::NoImages,
                Quirk::NoPrefill,
                Quirk::FunctionToolsOnly,
                Quirk::Classifies,
            ],
            headers: PLAIN_HEADERS,
            ..Self::generic("inception")
        }
    }

    /// The name of [`Profile::anthropic`].
    pub const ANTHROPIC: &str = "anthropic";

    /// Anthropic with its own dialect.
    pub fn anthropic() -> Self {
        Self { models: claude_models(), ..Self::generic_messages(Self::ANTHROPIC) }
    }
}

const UP_TO_HIGH: &[&str] = &["low", "medium", "high"];
const WITHOUT_XHIGH: &[&str] = &["low", "medium", "high", "max"];
const ALL: &[&str] = &["low", "medium", "high", "xhigh", "max"];

/// Models of version 5 and later.
const FIVE: Claude = Claude {
    max_output: 128_000,
    thinking: Thinking::Always,
    shows_thinking: false,
    forced_tools: ForcedTools::Taken,
    sampling: ClaudeSampling::Defaults,
    prefill: false,
    system_turns: true,
    binds_thinking: false,
};
/// Versions 4.7 and 4.8.
const FOUR_EIGHT: Claude = Claude { thinking: Thinking::Adaptive, ..FIVE };
const FOUR_SIX: Claude = Claude {
    thinking: Thinking::AdaptiveOrBudget,
    shows_thinking: true,
    forced_tools: ForcedTools::NotWithBudget,
    sampling: ClaudeSampling::One,
    system_turns: false,
    ..FIVE
};
const FOUR_FIVE: Claude = Claude {
    max_output: 64_000,
    thinking: Thinking::Budget,
    sampling: ClaudeSampling::Taken,
    prefill: true,
    ..FOUR_SIX
};

const REFUSES_FORCING: Claude = Claude { forced_tools: ForcedTools::Refused, binds_thinking: true, ..FIVE };

fn claude_models() -> Vec<Model> {
    let model = |id: &str, context_tokens, efforts, claude| Model {
        id: id.to_owned(),
        context_tokens,
        efforts,
        tools: Tools::Always,
        sampling: Sampling::Free,
        claude,
    };
    let large = |id, claude| model(id, 1_000_000, ALL, claude);
    let between_tools = Claude { thinking: Thinking::AlwaysOrBetweenTools, ..REFUSES_FORCING };
    let up_to_high = Claude { thinking: Thinking::Default { disabled_at: UP_TO_HIGH }, ..FIVE };
    let any_effort = Claude { thinking: Thinking::Default { disabled_at: ALL }, system_turns: false, ..FIVE };
    vec![
        large("claude-opus-5-5", REFUSES_FORCING),
        large("claude-sonnet-5-5", between_tools),
        model("claude-haiku-5-5", 200_000, ALL, Claude { binds_thinking: true, ..up_to_high }),
        large("claude-fable-5-2", REFUSES_FORCING),
        large("claude-fable-5-1", REFUSES_FORCING),
        large("claude-fable-5", FIVE),
        large("claude-opus-5", up_to_high),
        large("claude-sonnet-5", any_effort),
        large("claude-opus-4-8", FOUR_EIGHT),
        large("claude-opus-4-7", Claude { system_turns: false, ..FOUR_EIGHT }),
        model("claude-opus-4-6", 1_000_000, WITHOUT_XHIGH, FOUR_SIX),
        model("claude-sonnet-4-6", 1_000_000, WITHOUT_XHIGH, FOUR_SIX),
        model("claude-opus-4-5", 200_000, UP_TO_HIGH, FOUR_FIVE),
        model("claude-sonnet-4-5", 200_000, &[], FOUR_FIVE),
        model("claude-haiku-4-5", 200_000, &[], FOUR_FIVE),
    ]
}
