//! The user's turns that the gateway adds where a conversation has none and its recipient wants one.

/// Stands before an answer, or alone, where the user has said nothing.
pub const OPENING: &str = "Begin.";
/// Stands behind an answer that the model may not take up.
pub const CONTINUE: &str = "Continue.";

/// What a conversation ends with, but for instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastTurn {
    /// There is nothing but instructions.
    Nothing,
    /// An answer without calls.
    Answer { can_go_on: bool },
    /// What the user said, what a call came to, or calls, behind which only their results may stand.
    Open,
}

impl LastTurn {
    /// What the user says behind it, so that the model may speak.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Self::Nothing => Some(OPENING),
            Self::Answer { can_go_on: false } => Some(CONTINUE),
            Self::Answer { can_go_on: true } | Self::Open => None,
        }
    }
}
