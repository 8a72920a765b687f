//! Names of properties that the Messages API does not take in the schemas of tools, and what stands for them.
//!
//! Only what a request's schemas name is renamed, and only that comes back: a table of the request says it, not the form of a
//! name. In the inputs of earlier calls, where the API takes any name, the same names are renamed, and no others.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::upstream::dialect::stand_ins::{Form, StandIns};
use crate::wire::carried::Carried;
use crate::wire::halves::{self, Stretch};
use crate::wire::json::{decoded, quoted};
use crate::wire::walk::{Walk, inside, string_end};

/// The names that the API takes.
const FORM: Form = Form { limit: MAX_BYTES, marks: b"_.-" };
/// The longest name that the API takes.
pub const MAX_BYTES: usize = 64;

/// What stands in a request for the names of its properties.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PropertyNames(StandIns);

impl PropertyNames {
    /// What stands for these `names`, as they are written, and is none of the keys that are `taken`; nothing if all may go up as
    /// they are.
    pub fn of(names: &[&str], taken: &BTreeSet<Cow<'_, str>>) -> Option<Self> {
        let mut stand_ins = StandIns::default();
        for name in names.iter().map(|name| key(name)).filter(|name| is_odd(name)) {
            stand_ins.add(&name, FORM, |stand_in| taken.contains(stand_in));
        }
        (!stand_ins.is_empty()).then_some(Self(stand_ins))
    }

    /// What stands for the name with this key; nothing if it stands for itself.
    pub fn written(&self, key: &str) -> Option<&str> {
        self.0.written(key)
    }

    /// The key of the name that one stands for; nothing if it stands for itself.
    pub fn restored(&self, stand_in: &str) -> Option<&str> {
        self.0.restored(stand_in)
    }
}

impl Carried for PropertyNames {
    fn to_json(&self) -> Value {
        self.0.to_json()
    }

    fn from_json(json: Value) -> Option<Self> {
        Carried::from_json(json).map(Self)
    }
}

/// The inside of a JSON string, written in one way whatever its escapes: the same for the same name. Half of a surrogate pair
/// stays a code.
pub fn key(json: &str) -> Cow<'_, str> {
    let written = inside(json);
    if !written.contains('\\') {
        return written.into();
    }
    let parts = halves::parts(written).map(|part| match part {
        Stretch::Whole(text) => match decoded(&format!("\"{text}\"")) {
            Some(text) => inside(&quoted(&text)).to_owned(),
            None => text.to_owned(),
        },
        Stretch::Lone(code) => code.to_ascii_lowercase(),
    });
    parts.collect::<String>().into()
}

/// Whether the API takes no property of a name; one that is written with escapes may be one that it takes.
pub fn is_odd(inside: &str) -> bool {
    inside.is_empty() || !FORM.takes(inside.as_bytes())
}

/// Whether a member of `properties`, at any depth of JSON, has a name that the API may not take. The JSON must be valid.
pub fn may_be_odd(json: &str) -> bool {
    // Most requests have no such name anywhere, which is seen at a glance.
    let is_odd = |string: &Written<'_>| string.is_name() && is_odd(inside(string.written)) && !string.is_keyword();
    strings(json).any(|string| is_odd(&string)) && Search { walk: Walk::new(json) }.finds(Holder::Other)
}

/// What holds a member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Properties,
    Other,
}

struct Search<'a> {
    walk: Walk<'a>,
}

impl Search<'_> {
    /// Goes past a value, or up to a name.
    fn finds(&mut self, holder: Holder) -> bool {
        if self.walk.pass(b'[') {
            while self.walk.element() {
                if self.finds(Holder::Other) {
                    return true;
                }
            }
            return false;
        }
        if !self.walk.pass(b'{') {
            self.walk.value();
            return false;
        }
        while let Some(name) = self.walk.name() {
            if holder == Holder::Properties && is_odd(inside(name)) {
                return true;
            }
            let is_named = decoded(name).is_some_and(|name| name == "properties");
            if self.finds(if is_named { Holder::Properties } else { Holder::Other }) {
                return true;
            }
        }
        false
    }
}

/// The names of all members of JSON, at any depth, as they are written.
pub fn member_names(json: &str) -> impl Iterator<Item = &str> {
    strings(json).filter(Written::is_name).map(|string| string.written)
}

/// All strings of JSON, at any depth, as they are written.
pub fn texts(json: &str) -> impl Iterator<Item = &str> {
    strings(json).map(|string| string.written)
}

struct Written<'a> {
    /// With its quotes.
    written: &'a str,
    behind: &'a str,
}

impl Written<'_> {
    fn is_name(&self) -> bool {
        self.behind.trim_ascii_start().starts_with(':')
    }

    /// Whether it is a name that JSON Schema has for a text. A property of that name has no text behind it.
    fn is_keyword(&self) -> bool {
        let value = self.behind.trim_ascii_start().strip_prefix(':').map(str::trim_ascii_start);
        matches!(inside(self.written), "$ref" | "$schema" | "$id" | "$comment" | "$anchor")
            && value.is_some_and(|value| value.starts_with('"'))
    }
}

fn strings(json: &str) -> impl Iterator<Item = Written<'_>> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + memchr::memchr(b'"', bytes.get(at..)?)?;
        at = string_end(bytes, start);
        Some(Written { written: json.get(start..at)?, behind: json.get(at..)? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_found_whatever_stands_around_them() {
        for (json, expected) in [
            (
                r##"{"$schema":"x y","properties":{"a":{"$ref":"#/$defs/b c"}},"required":["a"],"$defs":{"b c":{}}}"##,
                false,
            ),
            (r#"{"description":"\"$top\": 5","enum":["a b"],"default":{"a b":1}}"#, false),
            (r#"[{"function":{"parameters":{"properties":{"$top" : {}}}}}]"#, true),
            (r#"{"items":[{"properties":{"a":true,"":{}}}]}"#, true),
            (r#"{"properties":{"a\u0062":{}}}"#, true),
            (r#"{"\u0070roperties":{"$ref":{}}}"#, true),
            (r#"{"properties":{"a":{"properties":{"$defs":{}}}}}"#, true),
        ] {
            assert_eq!(may_be_odd(json), expected, "{json}");
        }
    }

    #[test]
    fn every_name_goes_up_in_a_form_that_the_api_takes_and_comes_back() {
        let long = format!("\"{}\"", "x".repeat(65));
        let all = ["\"$top\"", "\"größe\"", "\"温度\"", "\"\"", r#""a\"b""#, r#""\ud83d""#, r#""\ud83e""#, &long];
        let names = PropertyNames::of(&all, &BTreeSet::new()).expect("odd names");
        let mut seen = BTreeSet::new();
        for name in all {
            let written = names.written(&key(name)).expect("another name").to_owned();
            assert!(!is_odd(&written), "{name}: {written}");
            assert_eq!(names.restored(&written), Some(key(name).as_ref()));
            assert!(seen.insert(written), "{name}");
        }
        assert_eq!(names.written("$top"), Some("_top_81bf98e409"));
        assert_eq!(names.written(&key(r#""\u0024top""#)), names.written("$top"), "however it is written");
        assert_eq!(names.written(&key(r#""\uD83D""#)), names.written(&key(r#""\ud83d""#)));
        assert_eq!(names.restored("Start_x0020_Date"), None, "what looks like a form of another name is none");
        assert_eq!(PropertyNames::of(&[r#""a\u0062""#], &BTreeSet::new()), None);
    }

    #[test]
    fn what_stands_for_a_name_is_no_other_of_the_request() {
        let first = FORM.stand_in("$top", 0);
        let json = format!(r#"{{"a":["{first}",{{"b" :"c"}}]}}"#);
        assert_eq!(member_names(&json).collect::<Vec<_>>(), ["\"a\"", "\"b\""]);
        let names = PropertyNames::of(&["\"$top\""], &texts(&json).map(key).collect()).expect("odd names");
        assert_eq!(names.written("$top"), Some(FORM.stand_in("$top", 1).as_str()));
        assert_eq!(names.restored(&first), None);
    }
}
