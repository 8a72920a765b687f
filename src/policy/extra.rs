//! Names of request fields that a provider takes beside those of the published API.

use super::fault::{Faults, Path};
use super::json::Node;
use super::read::{Read, wrong_type};
use super::scalar::Shape;

/// Stands for every field.
pub const ANY: &str = "*";

/// What a field may be called to be passed on: a client's own name of another shape never is.
pub const SHAPE: Shape = Shape { first: "A-Za-z_", rest: "A-Za-z0-9._-", min: 1, max: 64 };

/// A field, or [`ANY`].
#[derive(Clone, Debug)]
pub struct ExtraField(String);

impl AsRef<str> for ExtraField {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<ExtraField> for String {
    fn from(field: ExtraField) -> Self {
        field.0
    }
}

impl Read for ExtraField {
    fn expected() -> String {
        "\"*\" or a field such as top_k, of 1 to 64 characters from [A-Za-z0-9._-], the first of them a letter or _"
            .to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        match node {
            Node::Text(name) if name == ANY || SHAPE.matches(name) => return Some(Self(name.clone().into_owned())),
            Node::Text(_) => faults.note(path, format!("expected {}", Self::expected())),
            _ => faults.note(path, wrong_type::<Self>(node)),
        }
        None
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ExtraField {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExtraField".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": format!(r"^\*$|{}", SHAPE.pattern()) })
    }
}
