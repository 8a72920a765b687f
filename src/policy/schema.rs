//! The JSON Schema of a policy document, made from the raw types; never part of the guest.
//!
//! It says what one field can tell: types, names, ranges, enumerations. References between parts are the parser's.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map as Object, Value, json};

use super::BaseUrl;
use super::json::Node;
use super::raw;
use super::read::{List, Map};
use super::scalar::{Dollars, Fraction, Integer, Origin, Text};

/// The schema, as `policy/policy.schema.json` holds it.
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<raw::Policy>().to_value();
    schema["title"] = "tiergate policy".into();
    // The parser checks this where it builds an entry, for a message of its own.
    let one_of = json!([{ "required": ["model"] }, { "required": ["split"], "properties": { "effort": false } }]);
    schema["$defs"]["Entry"]["oneOf"] = one_of;
    schema.sort_all_objects();
    schema
}

/// A field of a raw object.
pub struct Property {
    pub name: &'static str,
    pub description: &'static str,
    pub required: bool,
    pub default: Option<Node<'static>>,
    pub schema: Schema,
}

pub fn describe_object(description: &str, minimum: usize, properties: impl IntoIterator<Item = Property>) -> Schema {
    let mut required = Vec::new();
    let mut described = Object::new();
    for mut property in properties {
        if property.required {
            required.push(property.name);
        }
        property.schema.insert("description".to_owned(), property.description.trim().into());
        if let Some(default) = property.default {
            property.schema.insert("default".to_owned(), default.into());
        }
        described.insert(property.name.to_owned(), property.schema.to_value());
    }
    let mut schema = json_schema!({
        "type": "object",
        "description": description.trim(),
        "properties": described,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if minimum > 0 {
        schema.insert("minProperties".to_owned(), minimum.into());
    }
    schema
}

/// Implements `JsonSchema` for types that are too small for a definition of their own.
macro_rules! inline {
    ($(<$($parameter:ident: $bound:ty),*> $type:ty = |$generator:ident| $schema:tt;)*) => {$(
        impl<$(const $parameter: $bound),*> JsonSchema for $type {
            inline!(@methods $type, $generator, $schema);
        }
    )*};
    (@methods $type:ty, $generator:ident, $schema:tt) => {
        fn schema_name() -> Cow<'static, str> {
            std::any::type_name::<$type>().into()
        }

        fn inline_schema() -> bool {
            true
        }

        fn json_schema($generator: &mut SchemaGenerator) -> Schema {
            json_schema!($schema)
        }
    };
}

inline! {
    <MIN: u64, MAX: u64> Integer<MIN, MAX> = |_generator| { "type": "integer", "minimum": MIN, "maximum": MAX };
    <MAX: usize> Text<MAX> = |_generator| { "type": "string", "minLength": 1, "maxLength": MAX };
    <> Fraction = |_generator| { "type": "number", "minimum": 0, "maximum": 1 };
    <> Dollars = |_generator| { "type": "number", "minimum": 0 };
    <> Origin = |_generator| { "type": "string", "pattern": (Origin::PATTERN) };
    <> BaseUrl = |_generator| { "type": "string", "pattern": (BaseUrl::PATTERN) };
}

impl<T: JsonSchema, const MIN: usize> JsonSchema for List<T, MIN> {
    inline!(@methods List<T, MIN>, generator, { "type": "array", "minItems": MIN, "items": generator.subschema_for::<T>() });
}

impl<K: JsonSchema, V: JsonSchema> JsonSchema for Map<K, V> {
    inline!(@methods Map<K, V>, generator, {
        "type": "object",
        "minProperties": 1,
        "propertyNames": generator.subschema_for::<K>(),
        "additionalProperties": generator.subschema_for::<V>(),
    });
}
