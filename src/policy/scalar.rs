//! The strings, numbers and flags that a policy is made of, each with its bounds.
//!
//! A bound is part of the type, so the reader, the message of a fault and the JSON Schema all state the same one.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::fault::{Faults, Path};
use super::json::Node;
use super::read::{Read, wrong_type};

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub struct Integer<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Integer<MIN, MAX> {
    pub fn millis(self) -> Duration {
        Duration::from_millis(self.0)
    }

    pub fn seconds(self) -> Duration {
        Duration::from_secs(self.0)
    }

    /// For types whose `MAX` fits into 32 bits.
    pub fn small(self) -> u32 {
        const { assert!(MAX <= u32::MAX as u64) };
        self.0 as u32
    }
}

impl<const MIN: u64, const MAX: u64> Read for Integer<MIN, MAX> {
    fn expected() -> String {
        format!("an integer from {MIN} to {MAX}")
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Node::Number(number) = *node else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        if number.fract() != 0.0 || number < MIN as f64 || number > MAX as f64 {
            faults.note(path, format!("expected {}, found {number}", Self::expected()));
            return None;
        }
        Some(Integer(number as u64))
    }
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct Fraction(pub f64);

impl Read for Fraction {
    fn expected() -> String {
        "a number from 0 to 1".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        read_number::<Self>(node, 0.0..=1.0, path, faults).map(Fraction)
    }
}

/// US dollars, not negative.
#[derive(Clone, Copy, Debug)]
pub struct Dollars(pub f64);

impl Read for Dollars {
    fn expected() -> String {
        "a number of at least 0".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        read_number::<Self>(node, 0.0..=f64::MAX, path, faults).map(Dollars)
    }
}

fn read_number<T: Read>(node: &Node, range: RangeInclusive<f64>, path: &Path, faults: &mut Faults) -> Option<f64> {
    match *node {
        Node::Number(number) if range.contains(&number) => return Some(number),
        Node::Number(number) => faults.note(path, format!("expected {}, found {number}", T::expected())),
        _ => faults.note(path, wrong_type::<T>(node)),
    }
    None
}

impl Read for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Node::Flag(flag) = node else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        Some(*flag)
    }
}

/// Any string: `$schema`, and references, whose one fault is that nothing has the name.
impl Read for String {
    fn expected() -> String {
        "a string".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let text = node.as_text().map(str::to_owned);
        if text.is_none() {
            faults.note(path, wrong_type::<Self>(node));
        }
        text
    }
}

/// Text for people or for a prompt: not empty, at most `MAX` characters.
#[derive(Clone, Debug)]
pub struct Text<const MAX: usize>(pub String);

impl<const MAX: usize> Read for Text<MAX> {
    fn expected() -> String {
        format!("a string of 1 to {MAX} characters")
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Some(text) = node.as_text() else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        let length = text.chars().count();
        if !(1..=MAX).contains(&length) {
            faults.note(path, format!("expected {}, found {length} characters", Self::expected()));
            return None;
        }
        Some(Text(text.to_owned()))
    }
}

/// What a word may look like. `first` and `rest` are character classes as a regular expression writes them between its
/// brackets (`a-z0-9._-`), from which both the check and the schema's pattern are made.
pub struct Shape {
    pub first: &'static str,
    pub rest: &'static str,
    pub min: usize,
    pub max: usize,
}

impl Shape {
    pub fn matches(&self, word: &str) -> bool {
        let mut bytes = word.bytes();
        (self.min..=self.max).contains(&word.len())
            && bytes.next().is_some_and(|byte| is_in_class(self.first, byte))
            && bytes.all(|byte| is_in_class(self.rest, byte))
    }

    #[cfg(feature = "schema")]
    pub fn pattern(&self) -> String {
        format!("^[{}][{}]{{{},{}}}$", self.first, self.rest, self.min - 1, self.max - 1)
    }

    fn describe(&self) -> String {
        let Shape { first, rest, min, max } = self;
        let length = if min == max { format!("{min}") } else { format!("{min} to {max}") };
        let start = if first == rest { String::new() } else { format!(", the first of them from [{first}]") };
        format!("a string of {length} characters from [{rest}]{start}")
    }
}

/// Whether a character class such as `a-z0-9._-` holds a byte.
fn is_in_class(class: &str, byte: u8) -> bool {
    let mut rest = class.as_bytes();
    loop {
        rest = match rest {
            [low, b'-', high, ..] if (*low..=*high).contains(&byte) => return true,
            [_, b'-', _, after @ ..] => after,
            [one, ..] if *one == byte => return true,
            [_, after @ ..] => after,
            [] => return false,
        }
    }
}

/// Declares words: the name of the type, the class of its first and of its other characters, its shortest and longest length.
macro_rules! words {
    ($($(#[doc = $text:literal])* $name:ident: $first:literal $rest:literal $min:literal $max:literal;)*) => {$(
        $(#[doc = $text])*
        #[derive(Clone, Debug)]
        pub struct $name(String);

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl $name {
            pub const SHAPE: Shape = Shape { first: $first, rest: $rest, min: $min, max: $max };
        }

        impl Read for $name {
            fn expected() -> String {
                Self::SHAPE.describe()
            }

            fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
                match node {
                    Node::Text(word) if Self::SHAPE.matches(word) => return Some(Self(word.to_string())),
                    Node::Text(_) => faults.note(path, format!("expected {}", Self::expected())),
                    _ => faults.note(path, wrong_type::<Self>(node)),
                }
                None
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": Self::SHAPE.pattern() })
            }
        }
    )*};
}

words! {
    /// A response header carries it, hence visible ASCII.
    Version: "!-~" "!-~" 1 64;
    /// Sent in headers, and in the classifier's schema.
    TierName: "a-z0-9" "a-z0-9._-" 1 64;
    /// Sent in headers; wide enough for providers' own names (`meta-llama/Llama-4:free`).
    ModelName: "A-Za-z0-9" "A-Za-z0-9._:/-" 1 128;
    /// Stands before the first `/` of an attempt in `x-route-attempts`.
    ProviderName: "a-z0-9" "a-z0-9._-" 1 64;
    /// A provider's own name for a model.
    UpstreamModel: "!-~" "!-~" 1 256;
    /// A provider's own word for an effort.
    UpstreamEffort: "a-z" "a-z0-9_-" 1 32;
    /// A field of OpenAI's chat completion request, with its path if it is below the top level.
    FieldName: "a-z" "a-z0-9_." 1 64;
    /// The id in a client's key.
    ClientId: "a-z0-9-" "a-z0-9-" 1 64;
    /// An entry of the Secret Store; IPv6 hosts have colons.
    SecretName: "A-Za-z0-9:" "A-Za-z0-9._:-" 1 255;
}

/// What follows `HOST__` in the name of a secret.
pub const SECRET_LABEL: Shape = Shape { first: "A-Za-z0-9._-", rest: "A-Za-z0-9._-", min: 1, max: 64 };

/// `*`, or an origin as browsers send it.
#[derive(Clone, Debug)]
pub struct Origin(pub String);

impl Origin {
    #[cfg(feature = "schema")]
    pub const PATTERN: &str = r"^(\*|[a-z][a-z0-9+.-]*://[\]\[a-z0-9.:-]+)$";
}

impl Read for Origin {
    fn expected() -> String {
        "\"*\" or an origin such as https://app.example.com, in lower case and without a path".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Some(text) = node.as_text() else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        let is_origin = text.split_once("://").is_some_and(|(scheme, authority)| {
            scheme.starts_with(|c: char| c.is_ascii_lowercase())
                && scheme.bytes().all(|byte| is_in_class("a-z0-9+.-", byte))
                && !authority.is_empty()
                && authority.bytes().all(|byte| is_in_class("][a-z0-9.:-", byte))
        });
        if text != "*" && !is_origin {
            faults.note(path, format!("expected {}", Self::expected()));
            return None;
        }
        Some(Origin(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_match_whole_words() {
        let cases: &[(Shape, &str, bool)] = &[
            (TierName::SHAPE, "fast", true),
            (TierName::SHAPE, "0.a_b-c", true),
            (TierName::SHAPE, "", false),
            (TierName::SHAPE, "-fast", false),
            (TierName::SHAPE, "Fast", false),
            (TierName::SHAPE, "fast tier", false),
            (TierName::SHAPE, "fa/st", false),
            (TierName::SHAPE, "fást", false),
            (Version::SHAPE, "2026-11-22.1", true),
            (Version::SHAPE, "~!", true),
            (Version::SHAPE, "a b", false),
            (Version::SHAPE, "a\n", false),
            (ModelName::SHAPE, "meta-llama/Llama-4:free", true),
            (ModelName::SHAPE, "a,b", false),
        ];
        for (shape, word, expected) in cases {
            assert_eq!(shape.matches(word), *expected, "{word:?} for {}", shape.describe());
        }
        assert!(TierName::SHAPE.matches(&"a".repeat(64)) && !TierName::SHAPE.matches(&"a".repeat(65)));
    }
}
