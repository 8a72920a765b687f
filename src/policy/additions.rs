//! What a provider's row adds to every request: headers, and fields of the body.
//!
//! No credential is among the headers: keys are the Secret Store's, and whoever can write a policy must not be able to send one.

use super::extra;
use super::fault::{Faults, Path};
use super::json::Node;
use super::read::{Read, wrong_type};
use super::scalar::Shape;

/// The beginnings and names of headers that are the gateway's, the transport's, or carry credentials.
const OWNED_HEADERS: [&str; 19] = [
    "accept",
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-api-key",
];

/// The name of a header, in lower case.
#[derive(Clone, Debug)]
pub struct HeaderField;

impl HeaderField {
    const SHAPE: Shape = Shape { first: "a-z", rest: "a-z0-9-", min: 2, max: 64 };
}

impl Read for HeaderField {
    fn expected() -> String {
        "the name of a header in lower case, of 2 to 64 characters from [a-z0-9-]".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        match node {
            Node::Text(name) if OWNED_HEADERS.contains(&&**name) || name.starts_with("proxy-") => {
                faults.note(path, "a header of the gateway's own; valid: any other, such as anthropic-beta");
            }
            Node::Text(name) if Self::SHAPE.matches(name) => return Some(Self),
            Node::Text(_) => faults.note(path, format!("expected {}", Self::expected())),
            _ => faults.note(path, wrong_type::<Self>(node)),
        }
        None
    }
}

/// The value of a header.
#[derive(Clone, Debug)]
pub struct HeaderText(String);

impl HeaderText {
    const SHAPE: Shape = Shape { first: "!-~", rest: " -~", min: 1, max: 1024 };
}

impl From<HeaderText> for String {
    fn from(text: HeaderText) -> Self {
        text.0
    }
}

impl Read for HeaderText {
    fn expected() -> String {
        "a string of 1 to 1024 visible ASCII characters".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        match node {
            Node::Text(text) if Self::SHAPE.matches(text) => return Some(Self(text.to_string())),
            // A key that was pasted here by mistake is not repeated.
            Node::Text(_) => faults.note(path, format!("expected {}", Self::expected())),
            _ => faults.note(path, wrong_type::<Self>(node)),
        }
        None
    }
}

/// Fields of a request's body, with their values as JSON.
#[derive(Clone, Debug)]
pub struct Defaults(pub Vec<DefaultField>);

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultField {
    pub name: String,
    pub json: String,
}

impl Read for Defaults {
    fn expected() -> String {
        "a non-empty object of fields such as top_k".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Node::Object(entries) = node else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        if entries.is_empty() {
            faults.note(path, format!("empty; expected {}", Self::expected()));
            return None;
        }
        let mut defaults: Vec<DefaultField> = Vec::new();
        for (name, value) in entries {
            let path = path.field(name);
            if !extra::SHAPE.matches(name) {
                faults.note(&path, "not the name of a field; expected letters, digits, _, . and -");
            } else if super::OWNED_FIELDS.contains(&&**name) {
                faults.note(&path, "a field of every request; valid: any other field");
            } else if *value == Node::Null {
                faults.note(&path, "expected a value, found null");
            } else if defaults.iter().any(|known| known.name == **name) {
                faults.note(&path, "duplicate key; valid: each key once");
            } else {
                defaults.push(DefaultField {
                    name: name.to_string(),
                    json: serde_json::Value::from(value.clone()).to_string(),
                });
                continue;
            }
            return None;
        }
        Some(Self(defaults))
    }
}

#[cfg(feature = "schema")]
mod described {
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{Defaults, HeaderField, HeaderText, OWNED_HEADERS};
    use crate::policy::{OWNED_FIELDS, extra};

    macro_rules! inline {
        ($($type:ty = $schema:expr;)*) => {$(
            impl JsonSchema for $type {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($type).into()
                }

                fn inline_schema() -> bool {
                    true
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    $schema
                }
            }
        )*};
    }

    inline! {
        HeaderField = json_schema!({
            "type": "string", "pattern": HeaderField::SHAPE.pattern(),
            "not": { "anyOf": [{ "enum": OWNED_HEADERS }, { "pattern": "^proxy-" }] },
        });
        HeaderText = json_schema!({ "type": "string", "pattern": HeaderText::SHAPE.pattern() });
        Defaults = json_schema!({
            "type": "object", "minProperties": 1,
            "propertyNames": { "pattern": extra::SHAPE.pattern(), "not": { "enum": OWNED_FIELDS } },
            "additionalProperties": { "not": { "type": "null" } },
        });
    }
}
