//! What the model thought in earlier answers, as a client of this API sends it back: blocks of thinking whose state is the
//! gateway's token, or came from elsewhere.
//!
//! A token is opened for its own origin only. What no token shows to be this model's is left out, unless the client asks for
//! this very model or nothing is ever sealed here.

use serde_json::value::RawValue;

use crate::upstream::dialect::UnsealedState;
use crate::upstream::sealer::{Opened, Sealer, Thought};
use crate::wire::json::{Field, JsonString, field, has_escaped_letters, quoted, text};
use crate::wire::seal::{SealKind, is_token};

/// The type of a block with a thought that may have a text.
pub const THINKING: &str = "thinking";
/// The type of one without.
pub const REDACTED: &str = "redacted_thinking";

/// What of a request decides about states.
#[derive(Clone, Copy)]
pub struct States<'s> {
    pub sealer: Option<&'s Sealer>,
    pub unsealed: UnsealedState,
}

/// What becomes of a thought.
#[derive(Debug)]
pub enum Fate<'x> {
    /// It stays as it came.
    Kept,
    /// It is the model's thought, whose token becomes this state, as JSON.
    Opened { token: &'x RawValue, state: String },
    /// It is another model's thought, or nobody's.
    Foreign,
    /// It may be the model's thought, and is not as it was.
    Altered,
}

/// Where a block keeps its state.
pub struct StatePlace<'x> {
    pub kind: SealKind,
    /// Nothing where it has none.
    pub state: Option<&'x RawValue>,
    /// What is thought, as far as it is told.
    text: Option<&'x RawValue>,
    is_repeated: bool,
}

impl<'x> StatePlace<'x> {
    /// Nothing if the block holds no thought.
    pub fn find(fields: &[Field<'x>]) -> Option<Self> {
        let (kind, name) = match text(field(fields, "type")?)?.as_ref() {
            THINKING => (SealKind::Signature, "signature"),
            REDACTED => (SealKind::Redacted, "data"),
            _ => return None,
        };
        let told = match kind {
            SealKind::Signature => field(fields, THINKING),
            SealKind::Redacted => None,
        };
        let is_repeated = fields.iter().filter(|field| field.name == name).count() > 1;
        Some(Self { kind, state: field(fields, name), text: told, is_repeated })
    }

    /// What is thought; empty where nothing is told.
    pub fn text(&self) -> JsonString<'x> {
        match JsonString::read_some(self.text) {
            Some(text) => text,
            None => JsonString::empty(),
        }
    }

    fn fate(&self, states: States<'_>) -> Fate<'x> {
        let given = self.state.and_then(|state| Some((state, text(state)?))).filter(|(_, state)| !state.is_empty());
        let is_sent = states.unsealed == UnsealedState::Sent;
        match given {
            // Nobody can tell which of them is meant.
            _ if self.is_repeated => Fate::Altered,
            // Where states are sealed no thought of the model's own is without one.
            None if is_sent && states.sealer.is_none() => Fate::Kept,
            // What a model says in another API comes so.
            None => Fate::Foreign,
            Some((token, state)) if is_token(&state) => self.open(states.sealer, token, &state),
            Some(_) if is_sent || states.sealer.is_none() => Fate::Kept,
            Some(_) => Fate::Altered,
        }
    }

    fn open(&self, sealer: Option<&Sealer>, token: &'x RawValue, sealed: &str) -> Fate<'x> {
        let Some(sealer) = sealer else { return Fate::Foreign };
        let thought = self.text();
        let Some(thought) = thought.decode() else { return Fate::Altered };
        match sealer.open(Thought { kind: self.kind, text: &thought }, sealed) {
            Opened::State(state) => Fate::Opened { token, state: quoted(state) },
            Opened::Foreign => Fate::Foreign,
            Opened::Altered => Fate::Altered,
        }
    }
}

/// What becomes of a block that has these fields; nothing if it is no thought.
pub fn fate<'x>(block: &[Field<'x>], states: States<'_>) -> Option<Fate<'x>> {
    StatePlace::find(block).map(|place| place.fate(states))
}

/// Whether JSON may hold thoughts. Quick, for what is looked into only then.
pub fn may_hold_thoughts(json: &str) -> bool {
    // Both types end so.
    memchr::memmem::find(json.as_bytes(), b"thinking\"").is_some() || has_escaped_letters(json.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::wire::containers::members;
    use crate::wire::json::Json;

    const ORIGIN: [&str; 3] = ["anthropic-messages", "anthropic", "claude"];
    const ROOT: &str = "a-root-of-enough-characters";

    fn sealer(origin: [&str; 3], root: &str) -> Sealer {
        Sealer::of_origin(origin, &[Secret::new(root.to_owned())]).expect("a root")
    }

    fn token(origin: [&str; 3], root: &str, kind: SealKind, text: &str) -> String {
        sealer(origin, root).seal(Thought { kind, text }, "c2ln+/==").expect("a token")
    }

    /// What becomes of a block, in a word; the sealed state where a token is opened.
    fn shown(block: &str, states: States<'_>) -> String {
        let block = Json::borrow(block).expect("JSON");
        match fate(&members(block.raw()).unwrap_or_default(), states) {
            None => "no thought".to_owned(),
            Some(Fate::Kept) => "kept".to_owned(),
            Some(Fate::Opened { state, .. }) => state,
            Some(Fate::Foreign) => "foreign".to_owned(),
            Some(Fate::Altered) => "altered".to_owned(),
        }
    }

    #[test]
    fn a_state_goes_up_only_to_its_origin() {
        let own = token(ORIGIN, ROOT, SealKind::Signature, "hm\n");
        let redacted = token(ORIGIN, ROOT, SealKind::Redacted, "");
        let other_model = token(["anthropic-messages", "anthropic", "claude-2"], ROOT, SealKind::Signature, "hm\n");
        let other_root = token(ORIGIN, "another-root-of-enough-characters", SealKind::Signature, "hm\n");
        let mut forged = own.clone();
        forged.replace_range(25..26, if &own[25..26] == "0" { "1" } else { "0" });
        let thinking =
            |text: &str, state: &str| format!(r#"{{"type":"thinking","thinking":"{text}","signature":"{state}"}}"#);
        let sealer = sealer(ORIGIN, ROOT);
        let opened = "\"c2ln+/==\"";
        // With a root; where the client asks for this model; without a root.
        for (block, expected) in [
            (thinking("hm\\n", &own), [opened, opened, "foreign"]),
            (thinking("hm\\u000a", &own), [opened, opened, "foreign"]),
            (
                format!(r#"{{"\u0074ype":"thinkin\u0067","thinking":"hm\n","signature":"{own}"}}"#),
                [opened, opened, "foreign"],
            ),
            (thinking("hm", &own), ["altered", "altered", "foreign"]),
            (thinking("hm\\ud83d", &own), ["altered", "altered", "foreign"]),
            (thinking("hm\\n", &forged), ["altered", "altered", "foreign"]),
            (thinking("hm\\n", &own[..own.len() - 2]), ["altered", "altered", "foreign"]),
            (thinking("hm\\n", &other_model), ["foreign", "foreign", "foreign"]),
            (thinking("hm\\n", &other_root), ["foreign", "foreign", "foreign"]),
            (thinking("hm\\n", "tgs1_"), ["foreign", "foreign", "foreign"]),
            (thinking("hm\\n", "EqQB"), ["altered", "kept", "kept"]),
            (thinking("hm\\n", ""), ["foreign", "foreign", "foreign"]),
            (r#"{"type":"thinking","thinking":"hm"}"#.to_owned(), ["foreign", "foreign", "foreign"]),
            (format!(r#"{{"type":"redacted_thinking","data":"{redacted}"}}"#), [opened, opened, "foreign"]),
            (format!(r#"{{"type":"redacted_thinking","data":"{own}"}}"#), ["altered", "altered", "foreign"]),
            (r#"{"type":"redacted_thinking","data":"EqQB"}"#.to_owned(), ["altered", "kept", "kept"]),
            (format!(r#"{{"type":"thinking","thinking":"hm\n","signature":"x","signature":"{own}"}}"#), ["altered"; 3]),
            (format!(r#"{{"type":"text","text":"hm","signature":"{own}"}}"#), ["no thought"; 3]),
            (r#""thinking""#.to_owned(), ["no thought"; 3]),
        ] {
            let (rooted, rootless) = (Some(&sealer), None);
            for ((sealer, unsealed), expected) in
                [(rooted, UnsealedState::LeftOut), (rooted, UnsealedState::Sent), (rootless, UnsealedState::LeftOut)]
                    .into_iter()
                    .zip(expected)
            {
                assert_eq!(shown(&block, States { sealer, unsealed }), expected, "{block} {unsealed:?}");
            }
        }
    }
}
