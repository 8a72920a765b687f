//! How a provider's key is sent: in one of the usual ways, or in a header that the row names.
//!
//! A fault repeats nothing of what stood there, since it may be the key itself.

use super::NamedAuth;
use super::additions::{is_credential, is_owned};
use super::fault::{Faults, Path, list_valid};
use super::json::Node;
use super::raw;
use super::read::Read;
use super::scalar::Shape;

/// How a provider's key is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthStyle {
    /// No key, for a model server of one's own.
    None,
    /// In a header of this name, behind the prefix.
    Header { name: String, prefix: String },
}

impl AuthStyle {
    fn header(name: &str, prefix: &str) -> Self {
        Self::Header { name: name.to_owned(), prefix: prefix.to_owned() }
    }
}

impl From<NamedAuth> for AuthStyle {
    fn from(named: NamedAuth) -> Self {
        match named {
            NamedAuth::Bearer => Self::header("authorization", "Bearer "),
            NamedAuth::XApiKey => Self::header("x-api-key", ""),
            NamedAuth::ApiKey => Self::header("api-key", ""),
            NamedAuth::None => Self::None,
        }
    }
}

/// A way to send a key, as an operator writes it.
#[derive(Debug)]
pub enum AuthForm {
    Named(NamedAuth),
    Header(Box<raw::KeyHeader>),
}

impl AuthForm {
    /// Nothing if a part of it is faulty.
    pub fn build(self) -> Option<AuthStyle> {
        match self {
            AuthForm::Named(named) => Some(named.into()),
            AuthForm::Header(header) => {
                Some(AuthStyle::Header { name: header.header.given()?.0, prefix: header.prefix.given()?.0 })
            }
        }
    }

    /// The name of the header, if it is one of the row's own.
    pub fn own_header(&self) -> Option<&str> {
        match self {
            AuthForm::Named(_) => None,
            AuthForm::Header(header) => header.header.as_given().map(|name| name.0.as_str()),
        }
    }
}

impl Read for AuthForm {
    fn expected() -> String {
        format!("{} or an object with header and prefix", NamedAuth::expected())
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        match node {
            Node::Object(_) => raw::KeyHeader::read(node, path, faults).map(|header| Self::Header(Box::new(header))),
            Node::Text(name) => {
                let named = NamedAuth::ALL.iter().copied().find(|named| named.as_str() == name);
                if named.is_none() {
                    let valid = list_valid(NamedAuth::ALL.iter().map(|named| named.as_str()));
                    faults.note(path, format!("unknown value; {valid}, or an object with header and prefix"));
                }
                named.map(Self::Named)
            }
            _ => {
                faults.note(path, super::read::wrong_type::<Self>(node));
                None
            }
        }
    }
}

/// The name of a header that may carry a key, in lower case.
#[derive(Clone, Debug)]
pub struct KeyHeaderName(String);

impl KeyHeaderName {
    const SHAPE: Shape = super::additions::HEADER_SHAPE;
    /// What a dialect itself says in every request.
    const OTHER: &str = "anthropic-version";
}

impl Read for KeyHeaderName {
    fn expected() -> String {
        "the name of a header in lower case, of 2 to 64 characters from [a-z0-9-], such as x-goog-api-key".to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        match node {
            Node::Text(name) if is_owned(name) || *name == Self::OTHER => {
                faults.note(path, "a header of the gateway's own; valid: any other, such as x-goog-api-key");
            }
            Node::Text(name) if Self::SHAPE.matches(name) => return Some(Self(name.to_string())),
            Node::Text(_) => faults.note(path, format!("expected {}", Self::expected())),
            _ => faults.note(path, super::read::wrong_type::<Self>(node)),
        }
        None
    }
}

/// What stands before a key in its header, perhaps nothing.
#[derive(Clone, Debug)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    const SHAPE: Shape = Shape { first: "A-Za-z", rest: "A-Za-z0-9 =:-", min: 1, max: 32 };
}

impl Read for KeyPrefix {
    fn expected() -> String {
        "a string of at most 32 characters from [A-Za-z0-9 =:-], the first of them from [A-Za-z], such as \"Bearer \""
            .to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        match node {
            Node::Text(prefix) if prefix.is_empty() || Self::SHAPE.matches(prefix) => {
                return Some(Self(prefix.to_string()));
            }
            Node::Text(_) => faults.note(path, format!("expected {}", Self::expected())),
            _ => faults.note(path, super::read::wrong_type::<Self>(node)),
        }
        None
    }
}

/// What is wrong with a row's other header of this name: the key would take its place.
pub fn header_fault(name: &str, auth: Option<&AuthForm>) -> Option<&'static str> {
    // A usual header of a key is refused by its name already.
    let is_keys = auth.and_then(AuthForm::own_header) == Some(name) && !is_credential(name);
    is_keys.then_some("the header that carries the key; valid: any other")
}

#[cfg(feature = "schema")]
mod described {
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    use super::{AuthForm, KeyHeaderName, KeyPrefix, NamedAuth, raw};
    use crate::policy::additions::described::{inline_types, owned};

    inline_types! {
        AuthForm = |generator| json_schema!({
            "anyOf": [generator.subschema_for::<NamedAuth>(), generator.subschema_for::<raw::KeyHeader>()],
        });
        KeyHeaderName = |_generator| json_schema!({
            "type": "string", "pattern": KeyHeaderName::SHAPE.pattern(),
            "not": { "anyOf": [owned(), { "const": KeyHeaderName::OTHER }] },
        });
        KeyPrefix = |_generator| json_schema!({
            "type": "string", "pattern": format!("^$|{}", KeyPrefix::SHAPE.pattern()),
        });
    }
}
