//! The words of JSON Schema, by what may stand behind them (draft 2020-12, which the Messages API demands, and what earlier drafts
//! say otherwise).

/// What stands behind a word of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyword {
    /// Schemas by the names of properties.
    Properties,
    /// What each property demands: a schema, or names of others.
    Dependencies,
    /// Schemas by other names.
    Definitions,
    Schema,
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
    Reference,
    Text,
    Flag,
    /// A whole number that is not negative.
    Count,
    Number,
    /// A number, or whether the limit of the same kind is one that may not be reached.
    ExclusiveLimit,
    /// Anything, also null.
    Any,
}

impl Keyword {
    pub fn of(word: &str) -> Self {
        match word {
            "properties" => Self::Properties,
            "dependentSchemas" | "dependentRequired" | "dependencies" => Self::Dependencies,
            "$defs" | "definitions" | "patternProperties" => Self::Definitions,
            "additionalItems"
            | "unevaluatedItems"
            | "contains"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "contentSchema"
            | "not"
            | "if"
            | "then"
            | "else" => Self::Schema,
            "items" => Self::Items,
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => Self::Schemas,
            "propertyNames" => Self::NameSchema,
            "required" => Self::Names,
            "type" => Self::Types,
            "enum" | "examples" => Self::Values,
            "$ref" => Self::Reference,
            "title" | "description" | "format" | "pattern" | "$id" | "$schema" | "$anchor" | "$comment"
            | "$dynamicRef" | "$dynamicAnchor" | "contentEncoding" | "contentMediaType" => Self::Text,
            "deprecated" | "readOnly" | "writeOnly" | "uniqueItems" => Self::Flag,
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minContains"
            | "maxContains" => Self::Count,
            "minimum" | "maximum" | "multipleOf" => Self::Number,
            "exclusiveMinimum" | "exclusiveMaximum" => Self::ExclusiveLimit,
            _ => Self::Any,
        }
    }

    /// Whether it may be one of the words of [`FORMER`], or one beside it.
    pub fn may_be_former(self) -> bool {
        matches!(self, Self::Items | Self::Schema | Self::Number | Self::ExclusiveLimit)
    }
}

/// The types that JSON Schema has, as they are written.
pub const TYPES: [&str; 7] =
    [r#""string""#, r#""number""#, r#""integer""#, r#""boolean""#, r#""object""#, r#""array""#, r#""null""#];

/// A word that says something else of another one beside it than it does today.
#[derive(Clone, Copy, Debug)]
pub struct Former {
    pub word: &'static str,
    /// The one beside it, and what that is called today.
    pub other: &'static str,
    pub today: &'static str,
}

/// An array of `items` leaves the rest to `additionalItems`; a limit may only be said to be exclusive.
pub const FORMER: [Former; 3] = [
    Former { word: "items", other: "additionalItems", today: "items" },
    Former { word: "exclusiveMinimum", other: "minimum", today: "exclusiveMinimum" },
    Former { word: "exclusiveMaximum", other: "maximum", today: "exclusiveMaximum" },
];
