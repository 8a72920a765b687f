//! Ids of tool calls as providers take them: at most forty characters, as OpenAI has them, or nine letters and digits, as
//! Mistral wants them.
//!
//! Another id becomes the beginning of its hash. A call and its results name the same id, so they still belong together, in
//! every request anew, and nothing has to be translated back: what a provider itself names it takes.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::wire::json;

const CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The form of ids that a provider takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdForm {
    /// At most forty characters.
    Forty,
    /// Nine letters and digits.
    Nine,
}

impl IdForm {
    /// The JSON of an id in this form; nothing for one that has it, and for what is no text.
    pub fn shorten(self, value: &RawValue) -> Option<String> {
        let id = json::text(value)?;
        let fits = match self {
            Self::Forty => id.chars().count() <= 40,
            Self::Nine => id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        };
        (!fits).then(|| self.derive(&id))
    }

    /// The JSON of an id in this form that follows from `text`.
    pub fn derive(self, text: &str) -> String {
        let (prefix, length) = match self {
            Self::Forty => ("call_", 24),
            Self::Nine => ("", 9),
        };
        let hash = Sha256::digest(text.as_bytes());
        let short = hash.iter().take(length).map(|&byte| char::from(CHARACTERS[usize::from(byte) % CHARACTERS.len()]));
        format!("\"{prefix}{}\"", short.collect::<String>())
    }
}
