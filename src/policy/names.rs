//! The policy's enumerations: what each value means, and how it is written in documents, headers and logs.

use std::fmt;

use super::fault::{Faults, Path, list_valid};
use super::json::Node;
use super::read::{Read, wrong_type};

macro_rules! names {
    ($($(#[$doc:meta])* $type:ident { $($(#[$meaning:meta])* $variant:ident = $name:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$meaning])* $variant,)*
        }

        impl $type {
            /// Every value, in the order of its declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is written in a policy.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }

        impl Read for $type {
            fn expected() -> String {
                format!("one of {}", [$($name),*].join(", "))
            }

            fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
                let Some(name) = node.as_text() else {
                    faults.note(path, wrong_type::<Self>(node));
                    return None;
                };
                let value = Self::ALL.iter().copied().find(|value| value.as_str() == name);
                if value.is_none() {
                    faults.note(path, format!("unknown value; {}", list_valid([$($name),*].into_iter())));
                }
                value
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "enum": [$($name),*] })
            }
        }
    )*};
}

names! {
    /// Whether a client must present a key.
    Auth {
        Required = "required",
        /// Requests without a key are served as the client `anonymous`; a key that is presented is still checked.
        Optional = "optional",
    }

    /// The usual ways to send a provider's key.
    NamedAuth {
        /// `authorization: Bearer KEY`.
        Bearer = "bearer",
        /// `x-api-key: KEY`.
        XApiKey = "x-api-key",
        /// `api-key: KEY`, as Azure takes it.
        ApiKey = "api-key",
        /// No key, for a model server of one's own.
        None = "none",
    }

    /// A wire format of providers.
    Dialect {
        OpenaiChat = "openai-chat",
        AnthropicMessages = "anthropic-messages",
        OpenaiResponses = "openai-responses",
    }

    /// OpenAI's `reasoning_effort`.
    Effort {
        None = "none",
        Minimal = "minimal",
        Low = "low",
        Medium = "medium",
        High = "high",
        Xhigh = "xhigh",
        Max = "max",
    }

    /// Whether prompts are marked for the provider's cache.
    PromptCache {
        /// Where they are likely to come again and the price says that it pays.
        Auto = "auto",
        /// Wherever they are long enough.
        Always = "always",
        Never = "never",
    }

    /// A named deviation of a provider from its dialect; `docs/dialects.md` has a line for each, with its source.
    Quirk {
        /// Tool-call deltas may lack their index (Gemini).
        ToolDeltaWithoutIndex = "tool_delta_without_index",
        /// The role `developer` is not known; `system` is sent (Mercury).
        NoDeveloperRole = "no_developer_role",
        /// `stop` must be an array (Mercury).
        StopArray = "stop_array",
        /// Messages may have no `name` (Groq).
        NoMessageName = "no_message_name",
        /// The limit on the answer is called `max_tokens` only (Mistral).
        MaxTokens = "max_tokens",
        /// `seed` is called `random_seed` (Mistral).
        RandomSeed = "random_seed",
        /// `tool_choice` knows `any` instead of `required` (Mistral).
        ToolChoiceAny = "tool_choice_any",
        /// `finish_reason` may be `model_length`, or `error` (Mistral).
        FinishReasons = "finish_reasons",
        /// The id of a tool call has nine letters and digits (Mistral).
        ShortToolIds = "short_tool_ids",
        /// Content of answers may be an array of thoughts and texts (Mistral).
        ThinkingParts = "thinking_parts",
        /// A call of the present turn needs a thought signature; one that another model made gets the documented value (Gemini).
        ThoughtSignatures = "thought_signatures",
        /// The same, with the signature in another place (Vertex).
        VertexSignatures = "vertex_signatures",
        /// While it thinks, calls need the reasoning that led to them; where it is missing, thinking is switched off (DeepSeek).
        ReasoningWithCalls = "reasoning_with_calls",
        /// A user turn may not follow a tool's result; an assistant message is put between them (Mistral).
        NoUserAfterTool = "no_user_after_tool",
        /// A conversation ends with the user's turn or a result; one that ends with an answer gets such a turn (Gemini).
        EndsWithUser = "ends_with_user",
        /// A function must have `parameters`, if only of an empty object (Mistral).
        ToolParameters = "tool_parameters",
    }

    /// How a model is given the beginning of its answer: always as a last message of the assistant.
    Prefill {
        /// As it is (vLLM, Ollama, older Claude models).
        Message = "message",
        /// With `"prefix": true` in it (Mistral, DeepSeek).
        Prefix = "prefix",
    }

    /// What follows when a provider, or the model, refuses what the text asks for.
    OnRefusal {
        /// The client is told.
        End = "end",
        /// The next candidate is asked.
        Next = "next",
    }

    /// What becomes of a stream that breaks after its client has some of it.
    Resume {
        Off = "off",
        Replay = "replay",
        Continue = "continue",
    }

    /// How a tier's streams are passed on; `docs/reliability.md` says what each costs.
    StreamMode {
        Guarded = "guarded",
        Hold = "hold",
        Handoff = "handoff",
    }

    /// How a provider is asked for the answer of a client that wants it whole; `docs/reliability.md` says what each costs.
    WholeMode {
        /// For a whole answer.
        Asked = "asked",
        /// For a stream, which is gathered.
        Streamed = "streamed",
    }

    /// How a model of the Messages API is told to think, or not to.
    Thinking {
        /// It never thinks and takes no effort.
        None = "none",
        /// It always thinks; it is told only how much.
        Always = "always",
        /// It always thinks, and a client of the Messages API may ask it to think only between calls of tools.
        BetweenTools = "between_tools",
        /// It thinks unless that is switched off.
        Optional = "optional",
        /// It thinks only when adaptive thinking is asked for.
        Adaptive = "adaptive",
        /// It thinks within a budget of tokens and takes no effort.
        Budget = "budget",
    }
}
