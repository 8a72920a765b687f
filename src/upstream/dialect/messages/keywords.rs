//! The words of JSON Schema, by what may stand behind them (draft 2020-12, which the Messages API demands, and what earlier drafts
//! say otherwise).

use serde_json::value::RawValue;

use crate::wire::containers::elements;
use crate::wire::json::text;

/// What stands behind a word of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// Schemas by the names of properties.
    Properties,
    /// What each property demands: a schema, or, in earlier drafts, names of others.
    Dependencies,
    /// The names of others that each property demands.
    NamesByName,
    /// Schemas by other names.
    Definitions,
    Schema,
    /// A schema that decides by not being met: a weaker one would say more.
    Condition,
    /// A schema, or one for each element.
    Items,
    /// Schemas, at least one.
    Schemas,
    /// The schema of properties' names.
    NameSchema,
    /// Names of properties.
    Names,
    /// A type, or several.
    Types,
    /// Any values, in an array.
    Values,
    /// Any values, in an array, of which there must be one to choose.
    Choices,
    Reference,
    /// One that may lead to an anchor further out than the one that it names.
    DynamicReference,
    /// Which property tells what an object is (OpenAPI).
    Discriminator,
    /// A name for references, or the URL of the schema.
    Anchor,
    Url,
    /// Which draft it is.
    Draft,
    /// What only a schema of schemas has use for.
    Vocabulary,
    Text,
    Flag,
    /// A whole number that is not negative.
    Count,
    Number,
    PositiveNumber,
    /// A number, or whether the limit of the same kind is one that may not be reached.
    ExclusiveLimit,
    /// Anything, also null.
    Any,
}

impl Keyword {
    pub fn of(word: &str) -> Self {
        match word {
            "properties" => Self::Properties,
            "dependentSchemas" | "dependencies" => Self::Dependencies,
            "dependentRequired" => Self::NamesByName,
            "$defs" | "definitions" | "patternProperties" => Self::Definitions,
            "additionalItems"
            | "unevaluatedItems"
            | "contains"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "contentSchema"
            | "then"
            | "else" => Self::Schema,
            "not" | "if" => Self::Condition,
            "items" => Self::Items,
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => Self::Schemas,
            "propertyNames" => Self::NameSchema,
            "required" => Self::Names,
            "type" => Self::Types,
            "enum" => Self::Choices,
            "examples" => Self::Values,
            "$ref" => Self::Reference,
            "$dynamicRef" => Self::DynamicReference,
            "discriminator" => Self::Discriminator,
            "$anchor" | "$dynamicAnchor" | "$recursiveAnchor" => Self::Anchor,
            "$id" => Self::Url,
            "$schema" => Self::Draft,
            "$vocabulary" => Self::Vocabulary,
            "title" | "description" | "format" | "pattern" | "$comment" | "$recursiveRef" | "contentEncoding"
            | "contentMediaType" => Self::Text,
            "deprecated" | "readOnly" | "writeOnly" | "uniqueItems" => Self::Flag,
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minContains"
            | "maxContains" => Self::Count,
            "minimum" | "maximum" => Self::Number,
            "multipleOf" => Self::PositiveNumber,
            "exclusiveMinimum" | "exclusiveMaximum" => Self::ExclusiveLimit,
            _ => Self::Any,
        }
    }

    /// Whether it may be a word of [`FORMER`], or beside one.
    pub fn has_changed(self) -> bool {
        use Keyword::{Dependencies, ExclusiveLimit, Items, Number, Schema, Schemas};
        matches!(self, Items | Schema | Schemas | Dependencies | Number | ExclusiveLimit)
    }
}

/// What joins schemas, and may not stand at the root of a tool's.
pub const JOINTS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// Whether a type is that of objects, perhaps among others.
pub fn is_object(kind: &RawValue) -> bool {
    let is_object = |kind: &RawValue| text(kind).is_some_and(|kind| kind == "object");
    elements(kind).map_or_else(|| is_object(kind), |kinds| kinds.into_iter().any(is_object))
}

/// Whether an anchor may have a name.
pub fn is_anchor(name: &str) -> bool {
    name.starts_with(|first: char| first == '_' || first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Whether JSON is a number.
pub fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Whether JSON is a whole number that is not negative.
pub fn is_count(json: &str) -> bool {
    is_number(json) && json.parse::<f64>().is_ok_and(|number| number >= 0.0 && number.fract() == 0.0)
}

/// What a schema of the draft that the API demands may say of its draft.
pub const DRAFT: &str = "2020-12";

/// The types that JSON Schema has, as they are written.
pub const TYPES: [&str; 7] =
    [r#""string""#, r#""number""#, r#""integer""#, r#""boolean""#, r#""object""#, r#""array""#, r#""null""#];

/// A word that an earlier draft says for another one of today, or that says too much where a part of it says less.
#[derive(Clone, Copy, Debug)]
pub struct Former {
    pub word: &'static str,
    pub today: &'static str,
    /// What must stand there, and mean what it once did.
    pub beside: &'static str,
    /// What may not stand there.
    pub instead: &'static str,
}

/// An array of `items` leaves the rest to `additionalItems`; a limit may only be said to be exclusive. Of `oneOf` no more than one
/// may fit, so once one of its branches allows more it stands for `anyOf`.
pub const FORMER: [Former; 6] = [
    Former { word: "oneOf", today: "anyOf", beside: "oneOf", instead: "anyOf" },
    Former { word: "items", today: "prefixItems", beside: "items", instead: "prefixItems" },
    Former { word: "additionalItems", today: "items", beside: "items", instead: "prefixItems" },
    Former { word: "dependencies", today: "dependentSchemas", beside: "dependencies", instead: "dependentSchemas" },
    Former { word: "minimum", today: "exclusiveMinimum", beside: "exclusiveMinimum", instead: "exclusiveMinimum" },
    Former { word: "maximum", today: "exclusiveMaximum", beside: "exclusiveMaximum", instead: "exclusiveMaximum" },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_earlier_drafts_are_known_as_changed() {
        for Former { word, today, beside, instead } in FORMER {
            for word in [word, today, beside, instead] {
                assert!(Keyword::of(word).has_changed(), "{word}");
            }
        }
    }
}
