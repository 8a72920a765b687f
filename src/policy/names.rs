//! How the policy's enumerations are written, in documents, headers and logs.

use std::fmt;

use super::fault::{Faults, Path, list_valid};
use super::json::Node;
use super::read::{Read, wrong_type};
use super::{Auth, AuthStyle, Dialect, Effort, Prefill, Quirk, Resume, StreamMode, Thinking};

macro_rules! names {
    ($($type:ident { $($variant:ident = $name:literal,)* })*) => {$(
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
    Auth { Required = "required", Optional = "optional", }
    AuthStyle { Bearer = "bearer", XApiKey = "x-api-key", ApiKey = "api-key", None = "none", }
    Dialect {
        OpenaiChat = "openai-chat",
        AnthropicMessages = "anthropic-messages",
        OpenaiResponses = "openai-responses",
    }
    Effort {
        None = "none",
        Minimal = "minimal",
        Low = "low",
        Medium = "medium",
        High = "high",
        Xhigh = "xhigh",
        Max = "max",
    }
    Quirk {
        ArrayErrors = "array_errors",
        ToolDeltaWithoutIndex = "tool_delta_without_index",
        NoDeveloperRole = "no_developer_role",
        StopArray = "stop_array",
        NoMessageName = "no_message_name",
        MaxTokens = "max_tokens",
        RandomSeed = "random_seed",
        ToolChoiceAny = "tool_choice_any",
        FinishReasons = "finish_reasons",
        ShortToolIds = "short_tool_ids",
    }
    Prefill { Message = "message", Prefix = "prefix", }
    Resume { Off = "off", Replay = "replay", Continue = "continue", }
    StreamMode { Guarded = "guarded", Hold = "hold", Handoff = "handoff", }
    Thinking {
        None = "none",
        Always = "always",
        Optional = "optional",
        Adaptive = "adaptive",
        Budget = "budget",
    }
}
