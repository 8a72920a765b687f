//! The older form of tools, as the newer one: functions and a choice of one become tools, the call of a message one of
//! `tool_calls`, and a message of the role `function` the result of that call.
//!
//! In the older form calls have no ids. One gets what follows from its name and place, so it is the same in every request.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use super::short_ids::IdForm;
use crate::wire::containers::{elements, found_valid, members_named};
use crate::wire::json;

/// The calls of a conversation whose results may follow, by their names.
#[derive(Default)]
pub struct OlderCalls {
    ids: HashMap<String, String>,
}

impl OlderCalls {
    /// The id, as JSON, of the call in the message at `position`.
    pub fn begin(&mut self, call: &RawValue, position: usize, form: IdForm) -> String {
        let name = members_named(call, &["name"]).and_then(|[name]| json::text(name?)).unwrap_or_default();
        let id = id(&name, position, form);
        self.ids.insert(name.into_owned(), id.clone());
        id
    }

    /// The id, as JSON, of the call that the result of `name` in the message at `position` belongs to; of none, an id of its own.
    pub fn end(&self, name: &str, position: usize, form: IdForm) -> String {
        self.ids.get(name).cloned().unwrap_or_else(|| id(name, position, form))
    }
}

fn id(name: &str, position: usize, form: IdForm) -> String {
    form.derive(&format!("function {name} {position}"))
}

/// A function as a tool.
pub fn tool(function: &str) -> String {
    format!(r#"{{"type":"function","function":{function}}}"#)
}

/// A choice of a function as one of a tool; words are the same in both.
pub fn choice(choice: Cow<'_, str>) -> Cow<'_, str> {
    if choice.starts_with('{') { tool(&choice).into() } else { choice }
}

/// Content of nothing but texts as one, since results of the older form have no parts.
pub fn text(content: &str) -> Option<String> {
    let parts = elements(found_valid(content))?;
    let texts = parts.into_iter().map(|part| {
        let [kind, text] = members_named(part, &["type", "text"])?;
        text.filter(|_| kind.is_some_and(|kind| kind.get() == r#""text""#)).and_then(json::text)
    });
    let texts: Vec<Cow<'_, str>> = texts.collect::<Option<_>>()?;
    Some(json::quoted(&texts.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> Box<RawValue> {
        RawValue::from_string(format!(r#"{{"name":"{name}","arguments":"{{}}"}}"#)).expect("JSON")
    }

    #[test]
    fn a_result_has_the_id_of_the_last_call_of_its_name() {
        for form in [IdForm::Forty, IdForm::Nine] {
            let mut calls = OlderCalls::default();
            let first = calls.begin(&call("f"), 1, form);
            assert_eq!(calls.end("f", 2, form), first);
            let (other, second) = (calls.begin(&call("g"), 3, form), calls.begin(&call("f"), 5, form));
            assert_eq!((calls.end("g", 6, form), calls.end("f", 7, form)), (other, second.clone()));
            assert_ne!(first, second);
            assert_eq!(OlderCalls::default().begin(&call("f"), 1, form), first, "the same in every request");
            assert_ne!(calls.end("h", 8, form), second);
        }
    }

    #[test]
    fn only_texts_become_one() {
        for (content, expected) in [
            (r#"[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#, Some(r#""a\nb""#)),
            (r#"[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}}]"#, None),
            (r#"[{"type":"text"}]"#, None),
            (r#""a""#, None),
            ("null", None),
        ] {
            assert_eq!(text(content).as_deref(), expected, "{content}");
        }
    }
}
