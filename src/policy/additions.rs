//! What a provider's row adds to every request: headers, a query, and fields of the body.
//!
//! No credential is among the headers, or in the query: keys are the Secret Store's, and whoever can write a policy must not be able to send one.

use super::extra;
use super::fault::{Faults, Path};
use super::json::Node;
use super::read::{Read, wrong_type};
use super::scalar::Shape;

/// Headers that are the gateway's, or the transport's.
const OWNED_HEADERS: [&str; 16] = [
    "accept",
    "accept-encoding",
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
];
/// What the names of such headers begin with.
const OWNED_BEGINNINGS: [&str; 2] = ["proxy-", "x-route-"];
/// What the names of headers, and of a query's parameters, end with that carry credentials.
const CREDENTIALS: [&str; 10] =
    ["auth", "authorization", "credential", "credentials", "key", "password", "secret", "sig", "signature", "token"];
const IS_CREDENTIAL: &str =
    "the name of a credential; valid: another name, with the key in the Secret Store and its header in auth";

/// What the name of a header looks like.
pub const HEADER_SHAPE: Shape = Shape { first: "a-z", rest: "a-z0-9-", min: 2, max: 64 };

/// Whether a header is the gateway's, or the transport's.
pub fn is_owned(name: &str) -> bool {
    OWNED_HEADERS.contains(&name) || OWNED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Whether what has this name is a credential, as far as its name tells.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CREDENTIALS.iter().any(|ending| name.ends_with(ending))
}

/// The name of a header, in lower case.
#[derive(Clone, Debug)]
pub struct HeaderField;

impl Read for HeaderField {
    fn expected() -> String {
        "the name of a header in lower case, of 2 to 64 characters from [a-z0-9-]".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        match node {
            Node::Text(name) if is_owned(name) => {
                faults.note(path, "a header of the gateway's own; valid: any other, such as anthropic-beta");
            }
            Node::Text(name) if is_credential(name) => faults.note(path, IS_CREDENTIAL),
            Node::Text(name) if HEADER_SHAPE.matches(name) => return Some(Self),
            Node::Text(_) => faults.note(path, format!("expected {}", Self::expected())),
            _ => faults.note(path, wrong_type::<Self>(node)),
        }
        None
    }
}

/// The name of a parameter in a query.
#[derive(Clone, Debug)]
pub struct QueryField;

impl QueryField {
    const SHAPE: Shape = Shape { first: "A-Za-z0-9_", rest: "A-Za-z0-9_.-", min: 1, max: 64 };
}

impl Read for QueryField {
    fn expected() -> String {
        "the name of a parameter such as api-version, of 1 to 64 characters from [A-Za-z0-9_.-]".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        match node {
            Node::Text(name) if is_credential(name) => faults.note(path, IS_CREDENTIAL),
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

impl Defaults {
    /// Fields, beside the gateway's own, that what the client or another row says decides, under whichever name.
    const DECIDED: [&str; 7] = [
        "function_call",
        "functions",
        "max_completion_tokens",
        "max_tokens",
        "n",
        "reasoning_effort",
        "stream_options",
    ];

    /// All that a row may not add.
    fn refused() -> Vec<&'static str> {
        super::OWNED_FIELDS.into_iter().chain(Self::DECIDED).collect()
    }
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
            } else if Self::refused().iter().any(|refused| refused.eq_ignore_ascii_case(name)) {
                let refused = Self::refused().join(", ");
                faults.note(&path, format!("what client, model and gateway decide; valid: any field but {refused}"));
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
pub mod described {
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde_json::{Value, json};

    use super::{
        CREDENTIALS, Defaults, HEADER_SHAPE, HeaderField, HeaderText, OWNED_BEGINNINGS, OWNED_HEADERS, QueryField,
    };
    use crate::policy::extra;

    /// Implements `JsonSchema` for types that have no definition of their own.
    macro_rules! inline_types {
        ($($type:ty = |$generator:ident| $schema:expr;)*) => {$(
            impl JsonSchema for $type {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($type).into()
                }

                fn inline_schema() -> bool {
                    true
                }

                fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                    $schema
                }
            }
        )*};
    }
    pub(in crate::policy) use inline_types;

    /// What the gateway's own headers are.
    pub fn owned() -> Value {
        json!({ "anyOf": [{ "enum": OWNED_HEADERS }, { "pattern": format!("^({})", OWNED_BEGINNINGS.join("|")) }] })
    }

    /// What the names of credentials are, in any case.
    fn credential() -> Value {
        let any_case = |ending: &&str| -> String {
            ending.chars().map(|letter| format!("[{letter}{}]", letter.to_ascii_uppercase())).collect()
        };
        let endings: Vec<String> = CREDENTIALS.iter().map(any_case).collect();
        json!({ "pattern": format!("({})$", endings.join("|")) })
    }

    inline_types! {
        HeaderField = |_generator| json_schema!({
            "type": "string", "pattern": HEADER_SHAPE.pattern(), "not": { "anyOf": [owned(), credential()] },
        });
        HeaderText = |_generator| json_schema!({ "type": "string", "pattern": HeaderText::SHAPE.pattern() });
        QueryField = |_generator| json_schema!({
            "type": "string", "pattern": QueryField::SHAPE.pattern(), "not": credential(),
        });
        Defaults = |_generator| json_schema!({
            "type": "object", "minProperties": 1,
            "propertyNames": { "pattern": extra::SHAPE.pattern(), "not": { "enum": Defaults::refused() } },
            "additionalProperties": { "not": { "type": "null" } },
        });
    }
}
