//! Names of properties that the Messages API does not take in the schemas of tools, and what stands for them.
//!
//! Only what a request's schemas name is renamed, and only that comes back: a table of the request says it, not the form of a
//! name. In the inputs of earlier calls, where the API takes any name, the same names are renamed, and no others.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::halves::{self, Part};
use crate::upstream::dialect::stand_ins::{Form, StandIns};
use crate::wire::json::{decoded, quoted};
use crate::wire::walk::string_end;

/// The names that the API takes.
const FORM: Form = Form { limit: 64, marks: b"_.-" };

/// What stands in a request for the names of its properties.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PropertyNames(StandIns);

impl PropertyNames {
    /// What stands for these `names`, as they are written, each something that is no name in `known`; nothing if all may go up
    /// as they are.
    pub fn of<'n>(names: &[&'n str], known: impl Iterator<Item = &'n str>) -> Option<Self> {
        let taken: BTreeSet<Cow<'_, str>> = known.flat_map(member_names).map(key).collect();
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

/// The inside of a JSON string, written in one way whatever its escapes: the same for the same name. Half of a surrogate pair
/// stays a code.
pub fn key(json: &str) -> Cow<'_, str> {
    let inside = inside(json);
    if !inside.contains('\\') {
        return inside.into();
    }
    let parts = halves::parts(inside).map(|part| match part {
        Part::Whole(text) => match decoded(&format!("\"{text}\"")) {
            Some(text) => self::inside(&quoted(&text)).to_owned(),
            None => text.to_owned(),
        },
        Part::Lone(code) => code.to_ascii_lowercase(),
    });
    parts.collect::<String>().into()
}

fn inside(json: &str) -> &str {
    json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(json)
}

/// Whether the API takes no property of a name; one that is written with escapes may be one that it takes.
pub fn is_odd(inside: &str) -> bool {
    inside.is_empty() || !FORM.takes(inside.as_bytes())
}

/// Whether JSON has, at any depth, a name of a member that would be none of a property. JSON Schema's own words count as plain.
/// The JSON must be valid.
pub fn may_be_odd(json: &str) -> bool {
    // A known word of JSON Schema is written without escapes.
    member_names(json).map(inside).any(|name| is_odd(name) && !is_word(name))
}

fn is_word(name: &str) -> bool {
    matches!(name, "$ref" | "$defs" | "$schema" | "$id" | "$comment" | "$anchor")
}

/// The names of all members, at any depth, as they are written, with their quotes.
fn member_names(json: &str) -> impl Iterator<Item = &str> {
    let bytes = json.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
            let (start, end) = (at + found, string_end(bytes, at + found));
            at = end;
            if json.get(end..).is_some_and(|rest| rest.trim_ascii_start().starts_with(':')) {
                return json.get(start..end);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_found_whatever_stands_around_them() {
        for (json, expected) in [
            (r##"{"$schema":"x y","properties":{"a":{"$ref":"#/$defs/b c"}},"required":["a"]}"##, false),
            (r#"{"description":"\"$top\": 5","enum":["a b"]}"#, false),
            (r#"{"properties":{"$top" : {}}}"#, true),
            (r#"{"properties":{"":{}}}"#, true),
            (r#"{"properties":{"a\u0062":{}}}"#, true),
        ] {
            assert_eq!(may_be_odd(json), expected, "{json}");
        }
    }

    #[test]
    fn every_name_goes_up_in_a_form_that_the_api_takes_and_comes_back() {
        let long = format!("\"{}\"", "x".repeat(65));
        let all = ["\"$top\"", "\"größe\"", "\"温度\"", "\"\"", r#""a\"b""#, r#""\ud83d""#, r#""\ud83e""#, &long];
        let names = PropertyNames::of(&all, std::iter::empty()).expect("odd names");
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
        assert_eq!(PropertyNames::of(&[r#""a\u0062""#], std::iter::empty()), None);
    }

    #[test]
    fn what_stands_for_a_name_is_no_name_of_the_request() {
        let first = FORM.stand_in("$top", 0);
        let known = format!(r#"{{"a":[{{"{first}" :1}}]}}"#);
        let names = PropertyNames::of(&["\"$top\""], [known.as_str()].into_iter()).expect("odd names");
        assert_eq!(names.written("$top"), Some(FORM.stand_in("$top", 1).as_str()));
        assert_eq!(names.restored(&first), None);
    }
}
