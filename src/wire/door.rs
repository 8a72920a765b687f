//! Which API a client speaks.

use crate::policy::Dialect;
use crate::wire::carried::carried;
use crate::wire::sse;

/// The API in whose words a client asks and is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door {
    /// OpenAI's Chat Completions, and all that is the gateway's own.
    #[default]
    Chat,
    /// Anthropic's Messages.
    Messages,
}

carried!(Door = Chat | Messages);

impl Door {
    /// Its name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Door::Chat => "chat",
            Door::Messages => "messages",
        }
    }

    /// The dialect whose answers its clients read as they come.
    pub fn dialect(self) -> Dialect {
        match self {
            Door::Chat => Dialect::OpenaiChat,
            Door::Messages => Dialect::AnthropicMessages,
        }
    }

    /// What keeps the connection of a stream open while there is nothing to say.
    pub fn keep_alive(self) -> &'static [u8] {
        match self {
            Door::Chat => sse::COMMENT,
            Door::Messages => sse::PING,
        }
    }
}
