//! The input of a call of a message, part by part: a JSON object, which is what clients of the Messages API read.
//!
//! What begins as an object goes out as it comes, also where the model then writes no JSON. What is none, but for nothing and null,
//! stands in an object, as in a whole answer ([`crate::wire::call::input_object`]), and so does the text for a custom tool. Nothing
//! is held but what may still become either.

use std::borrow::Cow;

use crate::wire::call::{CallKind, unparsed_beginning, unparsed_end, without_blanks};
use crate::wire::carried::carried;
use crate::wire::halves::HeldHalf;
use crate::wire::json::{JsonString, quoted};
use crate::wire::walk::inside;

/// The longest text that is held, in bytes. White space that is longer begins no object.
const MAX_UNDECIDED_BYTES: usize = 4_096;
/// What stands around the text of a custom tool's input, which the API knows as the one property of an object.
const CUSTOM_BEGINNING: &str = r#"{"input":""#;
const CUSTOM_END: &str = r#""}"#;

/// How far the input of a call is told.
#[derive(Clone, Debug, PartialEq)]
pub struct CallInput {
    form: Form,
    half: HeldHalf,
}

carried!(CallInput { form, half });

#[derive(Clone, Debug, PartialEq)]
enum Form {
    /// Nothing is told yet: this text, which is the inside of a JSON string, may become an object, or be null.
    Undecided(String),
    Object,
    /// The text, of which so many bytes have come, is no object.
    Unparsed(usize),
    /// The text is for a custom tool.
    Custom {
        has_begun: bool,
    },
}

carried!(Form = Undecided(held) | Object | Unparsed(bytes) | Custom { has_begun });

/// What a text that has only begun may become.
enum Beginning<'t> {
    Undecided,
    /// The object, without what stands before it.
    Object(&'t str),
    Other,
}

impl CallInput {
    pub fn new(kind: CallKind) -> Self {
        let form = match kind {
            CallKind::Function | CallKind::Legacy => Form::Undecided(String::new()),
            CallKind::Custom => Form::Custom { has_begun: false },
        };
        Self { form, half: HeldHalf::default() }
    }

    /// What the next part of the input brings, as a JSON string; nothing if it has to wait for more.
    pub fn take<'p>(&mut self, part: &'p JsonString<'_>) -> Option<Cow<'p, str>> {
        if part.inside().starts_with('{') && *self == Self::new(CallKind::Function) {
            self.form = Form::Object;
        }
        if self.form == Form::Object {
            return match self.half.take(part.inside()) {
                Cow::Borrowed(_) => Some(part.get().into()),
                Cow::Owned(inside) => (!inside.is_empty()).then(|| format!("\"{inside}\"").into()),
            };
        }
        let inside = self.half.take(part.inside());
        self.tell(&inside).map(Cow::Owned)
    }

    /// What is left to be told where the input ends, as a JSON string.
    pub fn end(&mut self) -> Option<String> {
        let half = self.half.end();
        let more = half.and_then(|half| match self.form {
            Form::Object => Some(format!("\"{half}\"")),
            Form::Undecided(_) | Form::Unparsed(_) | Form::Custom { .. } => self.tell(half),
        });
        let end = match &self.form {
            Form::Object => None,
            Form::Undecided(held) => {
                let text = JsonString::join(held);
                let decoded = text.decode().unwrap_or_default();
                let says_nothing = matches!(without_blanks(&decoded), "" | "null");
                (!says_nothing).then(|| unparsed_beginning(held) + &unparsed_end(text.text_bytes()))
            }
            Form::Unparsed(bytes) => Some(unparsed_end(*bytes)),
            Form::Custom { has_begun: true } => Some(CUSTOM_END.to_owned()),
            Form::Custom { has_begun: false } => Some(format!("{CUSTOM_BEGINNING}{CUSTOM_END}")),
        };
        match (more, end.map(|end| quoted(&end))) {
            (Some(more), Some(end)) => Some(format!("\"{}{}\"", inside(&more), inside(&end))),
            (more, end) => more.or(end),
        }
    }

    /// What of a text in which no half is missing is told, as a JSON string.
    fn tell(&mut self, inside: &str) -> Option<String> {
        if inside.is_empty() {
            return None;
        }
        match &mut self.form {
            Form::Object => Some(format!("\"{inside}\"")),
            Form::Unparsed(bytes) => {
                *bytes += JsonString::join(inside).text_bytes();
                Some(quoted(inside))
            }
            Form::Custom { has_begun } => {
                let beginning = if std::mem::replace(has_begun, true) { "" } else { CUSTOM_BEGINNING };
                Some(quoted(&format!("{beginning}{inside}")))
            }
            Form::Undecided(held) => {
                held.push_str(inside);
                let text = JsonString::join(held);
                let decoded = text.decode().unwrap_or_default();
                let (form, told) = match beginning(&decoded) {
                    Beginning::Undecided => return None,
                    Beginning::Object(object) => (Form::Object, quoted(object)),
                    Beginning::Other => (Form::Unparsed(text.text_bytes()), quoted(&unparsed_beginning(held))),
                };
                self.form = form;
                Some(told)
            }
        }
    }
}

/// What a text may become. It does not depend on how the text is cut into parts.
fn beginning(text: &str) -> Beginning<'_> {
    let rest = text.trim_start_matches([' ', '\n', '\r', '\t']);
    let may_be_null = "null".starts_with(rest) || without_blanks(rest) == "null";
    match rest.starts_with('{') {
        true if text.len() - rest.len() <= MAX_UNDECIDED_BYTES => Beginning::Object(rest),
        false if may_be_null && text.len() <= MAX_UNDECIDED_BYTES => Beginning::Undecided,
        true | false => Beginning::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::wire::call::input_object;
    use crate::wire::carried;
    use crate::wire::json::decoded;

    /// What is told of an input in these parts, between which it is carried.
    fn told(kind: CallKind, parts: &[&str]) -> String {
        let (mut input, mut told) = (CallInput::new(kind), String::new());
        for part in parts {
            let part = JsonString::join(part);
            let more = input.take(&part).map(Cow::into_owned);
            told += &decoded(&more.unwrap_or("\"\"".to_owned())).expect("a whole text");
            input = carried::read(&carried::write(&input)).expect("an input");
        }
        told + &decoded(&input.end().unwrap_or("\"\"".to_owned())).expect("a whole text")
    }

    /// Where the inside of a JSON string may be cut: not within an escape.
    fn cuts(inside: &str) -> Vec<usize> {
        let is_cut =
            |at: &usize| inside.is_char_boundary(*at) && JsonString::parse(format!("\"{}\"", &inside[..*at])).is_some();
        (0..=inside.len()).filter(is_cut).collect()
    }

    fn at_every_split(kind: CallKind, inside: &str, mut check: impl FnMut(&str)) {
        for at in cuts(inside) {
            for then in cuts(inside).into_iter().filter(|then| *then >= at) {
                check(&told(kind, &[&inside[..at], &inside[at..then], &inside[then..]]));
            }
        }
    }

    #[test]
    fn an_input_is_an_object_at_every_split() {
        for inside in [
            "",
            r" \n\u0020",
            "null",
            r"\tnull\n",
            "nul",
            "nullable",
            "null null",
            "[1,2]",
            r#"\"{}\""#,
            "7",
            "true",
            "not JSON",
            r"\u006eull",
            r#" \ud83d\ude00{\"a\":1}"#,
            r"\ud83d",
            r"x\ude00\ud83d\\",
            r"\u00a0{}",
            "\u{3000}\u{e9}",
        ] {
            let mut held = HeldHalf::default();
            let whole = held.take(inside) + held.end().unwrap_or_default();
            let expected: Value = serde_json::from_str(&input_object(&JsonString::join(&whole))).expect("JSON");
            at_every_split(CallKind::Function, inside, |told| {
                let told: Value = serde_json::from_str(if told.is_empty() { "{}" } else { told }).expect("JSON");
                assert_eq!(told, expected, "{inside}");
            });
        }
    }

    #[test]
    fn what_begins_as_an_object_is_told_as_it_comes() {
        for inside in [
            r#"{\"a\":\"\ud83d\ude00\"}"#,
            r#" \n{\"a\":1} "#,
            r#"\u007b\u007d"#,
            r"{'a': 1,}",
            r#"{\"a\":"#,
            r#"{\"\u00e9\":\"\\ud83d\\n\"}"#,
        ] {
            let text = JsonString::join(inside);
            let text = text.decode().expect("a text");
            at_every_split(CallKind::Function, inside, |told| assert_eq!(told, text.trim_start(), "{inside}"));
        }
        let mut input = CallInput::new(CallKind::Function);
        let text = JsonString::encode("{\"a\"");
        assert_eq!(input.take(&text).as_deref(), Some(text.get()));
        assert!(matches!(input.take(&text), Some(Cow::Borrowed(_))));
    }

    #[test]
    fn white_space_is_held_so_far_however_it_comes() {
        for (blanks, is_object) in [(MAX_UNDECIDED_BYTES, true), (MAX_UNDECIDED_BYTES + 1, false)] {
            let inside = " ".repeat(blanks) + "{}";
            for at in [0, 1, 100, blanks - 1, blanks, blanks + 1] {
                let told = told(CallKind::Function, &[&inside[..at], &inside[at..]]);
                assert_eq!(told == "{}", is_object, "{blanks} at {at}");
                assert!(serde_json::from_str::<Value>(&told).expect("JSON").is_object());
            }
        }
    }

    #[test]
    fn the_text_for_a_custom_tool_stands_in_an_object() {
        for (inside, expected) in
            [("", ""), ("null", "null"), (r#"{\"a\""#, r#"{"a""#), (r"a\n\ud83d\ude00\ud83d", "a\n\u{1F600}\u{fffd}")]
        {
            at_every_split(CallKind::Custom, inside, |told| {
                let told: Value = serde_json::from_str(told).expect("JSON");
                assert_eq!(told, serde_json::json!({ "input": expected }), "{inside}");
            });
        }
    }
}
