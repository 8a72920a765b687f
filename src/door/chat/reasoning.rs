//! The state of a model's reasoning as a chat client gets it and sends it back: `reasoning_details`, as OpenRouter has it.
//!
//! A thought is one entry with its text and a token as its `signature`; one that may not be told is one with a token as its
//! `data`. What other gateways and providers put there is theirs.

use serde_json::value::RawValue;

use crate::wire::ask::items::{Binding, Reasoning};
use crate::wire::containers::{elements, members_named};
use crate::wire::json::{JsonString, text};
use crate::wire::seal::{SealKind, Sealed, is_token};

/// The field of an answer's message, or delta, and of a message that comes back.
pub const FIELD: &str = "reasoning_details";
/// What else of an answer says what was thought, and is said in [`FIELD`] too.
pub const COPIES: [&str; 2] = ["reasoning_content", "reasoning"];

/// How Anthropic's thoughts are called there.
const FORMAT: &str = "anthropic-claude-v1";

/// What came back of the thoughts of a message.
pub struct Details<'a> {
    /// Each with its token.
    pub thoughts: Vec<Reasoning<'a>>,
    /// Whether there is nothing else.
    pub is_whole: bool,
}

/// The thoughts of a message that came back; nothing if none has a token.
pub fn read(details: &RawValue) -> Option<Details<'_>> {
    let entries = elements(details)?;
    let count = entries.len();
    let thoughts: Vec<Reasoning<'_>> = entries.into_iter().filter_map(entry).collect();
    let is_whole = thoughts.len() == count;
    (!thoughts.is_empty()).then_some(Details { thoughts, is_whole })
}

fn entry(entry: &RawValue) -> Option<Reasoning<'_>> {
    let names = ["type", "text", "signature", "data"];
    let [kind, thought, signature, data] = members_named(entry, &names)?;
    let (kind, token, text) = match kind.and_then(text).as_deref() {
        Some("reasoning.text") => (SealKind::Signature, signature, thought),
        Some("reasoning.encrypted") => (SealKind::Redacted, data, None),
        Some(_) | None => return None,
    };
    let token = token.and_then(self::text).filter(|token| is_token(token))?;
    let text = text.and_then(JsonString::read).unwrap_or(JsonString::empty());
    let sealed = Some(Sealed { kind, text, token });
    Some(Reasoning { summary: Vec::new(), text: Vec::new(), sealed, bound_to: Binding::Turn })
}

/// Appends an entry to `out`; `index` is which of its choice's it is.
pub fn write(sealed: &Sealed<'_>, index: u64, out: &mut Vec<u8>) {
    let (kind, state) = match sealed.kind {
        SealKind::Signature => ("reasoning.text", "signature"),
        SealKind::Redacted => ("reasoning.encrypted", "data"),
    };
    out.extend_from_slice(format!(r#"{{"type":"{kind}","#).as_bytes());
    if sealed.kind == SealKind::Signature {
        out.extend_from_slice(format!(r#""text":{},"#, sealed.text.get()).as_bytes());
    }
    let token = JsonString::encode(&sealed.token);
    out.extend_from_slice(format!(r#""{state}":{},"format":"{FORMAT}","index":{index}}}"#, token.get()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_entries_with_a_token_are_read() {
        for (details, expected) in [
            (r#"[{"type":"reasoning.text","text":"a\n","signature":"tgs1_x"}]"#, "Signature a\\n tgs1_x"),
            (r#"[{"type":"reasoning.text","signature":"tgs1_x"}]"#, "Signature  tgs1_x"),
            (r#"[{"type":"reasoning.encrypted","data":"tgs1_x","text":"a"}]"#, "Redacted  tgs1_x"),
            (r#"[{"type":"reasoning.text","text":"a","signature":"EqQB"}]"#, ""),
            (r#"[{"type":"reasoning.text","text":"a"}]"#, ""),
            (r#"[{"type":"reasoning.text","text":"a","signature":null,"data":"tgs1_x"}]"#, ""),
            (r#"[{"type":"reasoning.summary","summary":"a"},7,null,"tgs1_x",{"type":7}]"#, ""),
            (r#"{"type":"reasoning.text"}"#, ""),
            ("7", ""),
        ] {
            let details: Box<RawValue> = serde_json::from_str(details).expect("JSON");
            let thoughts = read(&details).map(|details| details.thoughts).unwrap_or_default();
            let read: Vec<String> = thoughts
                .iter()
                .filter_map(|reasoning| reasoning.sealed.as_ref())
                .map(|sealed| format!("{:?} {} {}", sealed.kind, sealed.text.inside(), sealed.token))
                .collect();
            assert_eq!(read.join(","), expected, "{details}");
        }
    }

    #[test]
    fn what_others_put_beside_it_is_noticed() {
        for (others, expected) in
            [("", true), (r#",{"type":"reasoning.text","signature":"EqQB"}"#, false), (",7", false)]
        {
            let details = format!(r#"[{{"type":"reasoning.text","text":"a","signature":"tgs1_x"}}{others}]"#);
            let details: Box<RawValue> = serde_json::from_str(&details).expect("JSON");
            assert_eq!(read(&details).map(|details| details.is_whole), Some(expected), "{details}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for kind in [SealKind::Signature, SealKind::Redacted] {
            let text = if kind == SealKind::Signature { "a \"thought\"" } else { "" };
            let sealed = Sealed { kind, text: JsonString::encode(text), token: "tgs1_\"\\".into() };
            let mut out = vec![b'['];
            write(&sealed, 1, &mut out);
            out.push(b']');
            let json = String::from_utf8(out).expect("UTF-8");
            let details: Box<RawValue> = serde_json::from_str(&json).expect("JSON");
            let read = read(&details).expect("a thought");
            assert!(read.is_whole);
            assert_eq!(read.thoughts.first().and_then(|reasoning| reasoning.sealed.as_ref()), Some(&sealed), "{json}");
        }
    }
}
