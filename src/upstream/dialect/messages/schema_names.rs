//! Schemas of tools with the names of their properties as the Messages API takes them ([`super::property_names`]), wherever a schema
//! has such a name.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::property_names::write;
use crate::wire::json::{Field, object_fields, quoted, text};

/// How deep schemas are looked into.
const MAX_DEPTH: usize = 64;

/// A schema with its properties' names as the API takes them. Nothing if it is nested too deep.
pub fn escape_schema(schema: &str) -> Option<String> {
    let mut out = String::with_capacity(schema.len() + 64);
    Schema { out: &mut out }.write(schema, 0)?;
    Some(out)
}

/// What holds a schema, or several in an array.
const HOLDERS: [&str; 15] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "contentSchema",
    "not",
    "if",
    "then",
    "else",
    "anyOf",
    "oneOf",
    "allOf",
];

/// Whether a value is a list of texts, perhaps an empty one.
fn is_names(value: &RawValue) -> bool {
    value.get().starts_with('[') && serde_json::from_str::<Vec<Cow<'_, str>>>(value.get()).is_ok()
}

/// A reference into the schema, its properties as the API takes them.
fn pointer(reference: &str) -> Cow<'_, str> {
    /// What a part of a pointer is.
    enum Part {
        Word,
        Property,
        Name,
    }
    let Some(path) = reference.strip_prefix("#/") else { return reference.into() };
    let mut next = Part::Word;
    let mut written = "#".to_owned();
    for part in path.split('/') {
        written.push('/');
        next = match next {
            Part::Property => {
                let name = unescaped(part);
                let renamed = write(&name);
                written.push_str(if renamed == name { part } else { &renamed });
                Part::Word
            }
            Part::Name => {
                written.push_str(part);
                Part::Word
            }
            Part::Word => {
                written.push_str(part);
                match part {
                    "properties" | "dependentSchemas" | "dependencies" => Part::Property,
                    "$defs" | "definitions" | "patternProperties" => Part::Name,
                    // Places in an array are no words either, and no names.
                    _ => Part::Word,
                }
            }
        };
    }
    written.into()
}

/// A part of a pointer in a URL, without its escapes.
fn unescaped(part: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (bytes, mut at) = (part.as_bytes(), 0);
    let mut read = Vec::with_capacity(bytes.len());
    while let Some(byte) = bytes.get(at) {
        let code = digit(bytes.get(at + 1)).zip(digit(bytes.get(at + 2))).filter(|_| *byte == b'%');
        let code = code.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        read.push(code.unwrap_or(*byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&read).replace("~1", "/").replace("~0", "~")
}

struct Schema<'o> {
    out: &'o mut String,
}

impl Schema<'_> {
    fn write(&mut self, json: &str, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        if json.starts_with('[') {
            let schemas: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            self.out.push('[');
            for (at, schema) in schemas.into_iter().enumerate() {
                self.separate(at);
                self.write(schema.get(), depth + 1)?;
            }
            self.out.push(']');
            return Some(());
        }
        if !json.starts_with('{') {
            self.out.push_str(json);
            return Some(());
        }
        self.out.push('{');
        for (at, Field { name, value }) in object_fields(json).ok()?.into_iter().enumerate() {
            self.separate(at);
            self.name(&name)?;
            match name.as_ref() {
                "properties" | "dependentSchemas" | "dependentRequired" | "dependencies" => {
                    self.named(value, depth, write)?;
                }
                "$defs" | "definitions" | "patternProperties" => self.named(value, depth, |name| name.into())?,
                "required" => self.list(value)?,
                "propertyNames" => self.naming(value, depth)?,
                "$ref" => self.text(value, pointer)?,
                name if HOLDERS.contains(&name) => self.write(value.get(), depth + 1)?,
                _ => self.out.push_str(value.get()),
            }
        }
        self.out.push('}');
        Some(())
    }

    /// Writes an object of schemas, its names as `rename` has them.
    fn named(&mut self, value: &RawValue, depth: usize, rename: fn(&str) -> Cow<'_, str>) -> Option<()> {
        let Ok(fields) = object_fields(value.get()) else {
            self.out.push_str(value.get());
            return Some(());
        };
        self.out.push('{');
        for (at, Field { name, value }) in fields.into_iter().enumerate() {
            self.separate(at);
            self.name(&rename(&name))?;
            // What a property depends on may be a list of others.
            match is_names(value) {
                true => self.list(value)?,
                false => self.write(value.get(), depth + 1)?,
            }
        }
        self.out.push('}');
        Some(())
    }

    /// Writes a schema of properties' names.
    fn naming(&mut self, value: &RawValue, depth: usize) -> Option<()> {
        let Ok(fields) = object_fields(value.get()) else { return self.write(value.get(), depth + 1) };
        self.out.push('{');
        for (at, Field { name, value }) in fields.into_iter().enumerate() {
            self.separate(at);
            self.name(&name)?;
            match name.as_ref() {
                "enum" => self.list(value)?,
                "const" => self.text(value, write)?,
                "$ref" => self.text(value, pointer)?,
                _ => self.out.push_str(value.get()),
            }
        }
        self.out.push('}');
        Some(())
    }

    /// Writes an array of properties' names.
    fn list(&mut self, value: &RawValue) -> Option<()> {
        let Ok(names) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
            self.out.push_str(value.get());
            return Some(());
        };
        self.out.push('[');
        for (at, name) in names.into_iter().enumerate() {
            self.separate(at);
            self.text(name, write)?;
        }
        self.out.push(']');
        Some(())
    }

    /// Writes a text as `rename` has it, and anything else as it is.
    fn text(&mut self, value: &RawValue, rename: fn(&str) -> Cow<'_, str>) -> Option<()> {
        match text(value) {
            Some(text) => self.out.push_str(&quoted(&rename(&text))),
            None => self.out.push_str(value.get()),
        }
        Some(())
    }

    fn separate(&mut self, at: usize) {
        if at > 0 {
            self.out.push(',');
        }
    }

    fn name(&mut self, name: &str) -> Option<()> {
        self.out.push_str(&quoted(name));
        self.out.push(':');
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_renamed_at_their_properties_only() {
        let schema = r##"{"type":"object","properties":{"$top":{"const":{"a b":1}},"c":{"items":{"properties":{"d e":{}}}}},"required":["$top"],"$defs":{"f g":{}},"dependentRequired":{"$top":["d e"]}}"##;
        let expected = r##"{"type":"object","properties":{"_x24_top":{"const":{"a b":1}},"c":{"items":{"properties":{"d_x20_e":{}}}}},"required":["_x24_top"],"$defs":{"f g":{}},"dependentRequired":{"_x24_top":["d_x20_e"]}}"##;
        assert_eq!(escape_schema(schema).as_deref(), Some(expected));
        for (schema, expected) in [
            (
                r##"{"properties":{"$top":{"$ref":"#/properties/%24end"}}}"##,
                r##"{"properties":{"_x24_top":{"$ref":"#/properties/_x24_end"}}}"##,
            ),
            (
                r##"{"$ref":"#/$defs/$a/properties/properties/anyOf/0/properties/a~1b"}"##,
                r##"{"$ref":"#/$defs/$a/properties/properties/anyOf/0/properties/a_x2f_b"}"##,
            ),
            (
                r#"{"patternProperties":{"^a b":{"properties":{"a b":{}}}}}"#,
                r#"{"patternProperties":{"^a b":{"properties":{"a_x20_b":{}}}}}"#,
            ),
            (
                r#"{"dependencies":{"a b":["c d"],"e f":{"required":["g h"]}}}"#,
                r#"{"dependencies":{"a_x20_b":["c_x20_d"],"e_x20_f":{"required":["g_x20_h"]}}}"#,
            ),
            (
                r#"{"propertyNames":{"enum":["a b"],"const":"a b","pattern":"a b"}}"#,
                r#"{"propertyNames":{"enum":["a_x20_b"],"const":"a_x20_b","pattern":"a b"}}"#,
            ),
            (
                r#"{"dependentRequired":[],"properties":[],"required":{}}"#,
                r#"{"dependentRequired":[],"properties":[],"required":{}}"#,
            ),
        ] {
            assert_eq!(escape_schema(schema).as_deref(), Some(expected), "{schema}");
        }
    }
}
