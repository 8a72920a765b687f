//! Names of called functions. A model may have made one up, which the next provider would refuse where it is no plain name.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::edit::string;
use super::tools::tool_name;
use crate::wire::json::text;

/// The longest name that every provider takes.
const MAX_CHARS: usize = 64;

/// The names of a request's tools, read only if a call has another one than every provider takes.
#[derive(Default)]
pub struct CalledNames<'a> {
    tools: Option<&'a RawValue>,
    names: OnceCell<BTreeSet<Cow<'a, str>>>,
}

impl<'a> CalledNames<'a> {
    pub fn of(tools: Option<&'a RawValue>) -> Self {
        Self { tools, names: OnceCell::new() }
    }

    /// The name of a called function as it goes up. One that a tool of the request has stays: whoever takes the tool takes it.
    pub fn sent<'x>(&self, name: &'x RawValue) -> Cow<'x, str> {
        let as_it_came = Cow::Borrowed(name.get());
        let Some(called) = text(name).filter(|name| !is_plain(name)) else { return as_it_came };
        let names = self.names.get_or_init(|| {
            let tools = self.tools.and_then(|tools| serde_json::from_str::<Vec<&RawValue>>(tools.get()).ok());
            tools.unwrap_or_default().into_iter().filter_map(tool_name).collect()
        });
        if names.contains(called.as_ref()) {
            return as_it_came;
        }
        let plain = |character: char| if is_plain_character(character) { character } else { '_' };
        let mended: String = called.chars().take(MAX_CHARS).map(plain).collect();
        Cow::Owned(string(if mended.is_empty() { "_" } else { &mended }))
    }
}

fn is_plain_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

fn is_plain(name: &str) -> bool {
    (1..=MAX_CHARS).contains(&name.len()) && name.chars().all(is_plain_character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_no_tools_change() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("JSON");
        let tools = raw(r#"[{"type":"function","function":{"name":"fs.read"}}]"#);
        let names = CalledNames::of(Some(&tools));
        let long = format!("\"{}\"", "x".repeat(70));
        let short = format!("\"{}\"", "x".repeat(64));
        for (name, expected) in [
            (r#""look""#, r#""look""#),
            (r#""fs.read""#, r#""fs.read""#),
            (r#""functions.look:0""#, r#""functions_look_0""#),
            (r#""\u00fc""#, r#""_""#),
            (r#""""#, r#""_""#),
            (long.as_str(), short.as_str()),
            ("7", "7"),
        ] {
            assert_eq!(names.sent(&raw(name)), expected, "{name}");
        }
    }
}
