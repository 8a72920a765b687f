//! A path that a provider's row puts in place of its dialect's own.
//!
//! `{model}` in it stands for the model's id, percent-encoded. No id may lead out of the place that the path names, so there an
//! id has the characters that a base URL's path has, and `/` between them.

use std::fmt::Write;

use super::base_url::is_plain_segment;
use super::fault::{Faults, Path};
use super::json::Node;
use super::read::{Read, wrong_type};

const MODEL: &str = "{model}";
const MAX_BYTES: usize = 256;

/// A path below a base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate(String);

impl PathTemplate {
    #[cfg(feature = "schema")]
    const PATTERN: &str = r"^(/([A-Za-z0-9._~:@=+,-]|\{model\})+)+$";

    /// Nothing if it is no path of plain segments.
    pub fn parse(text: &str) -> Option<Self> {
        let segments = text.strip_prefix('/').filter(|_| text.len() <= MAX_BYTES)?;
        let is_plain = |segment: &str| is_plain_segment(&segment.replace(MODEL, "m"));
        segments.split('/').all(is_plain).then(|| Self(text.to_owned()))
    }

    /// Whether the model's id is a part of it.
    pub fn has_model(&self) -> bool {
        self.0.contains(MODEL)
    }

    /// The path for the model with this id.
    pub fn expand(&self, id: &str) -> String {
        self.0.replace(MODEL, &percent_encoded(id))
    }

    /// Whether an id may stand in a path.
    pub fn takes(id: &str) -> bool {
        id.split('/').all(is_plain_segment)
    }
}

/// A text as a part of a segment of a path, or of a query: all but letters, digits and `-._~` is encoded.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("a string should be writable"),
        }
    }
    encoded
}

impl Read for PathTemplate {
    fn expected() -> String {
        "a path such as /openai/deployments/{model}/chat/completions, of at most 256 bytes, its segments from \
         [A-Za-z0-9._~:@=+,-] and {model}, none of them empty or only dots"
            .to_owned()
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Some(text) = node.as_text() else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        let template = Self::parse(text);
        if template.is_none() {
            faults.note(path, format!("expected {}", Self::expected()));
        }
        template
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PathTemplate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PathTemplate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": Self::PATTERN, "maxLength": MAX_BYTES })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_id_stands_in_the_path_and_leads_nowhere_else() {
        for (template, id, expected) in [
            ("/openai/deployments/{model}/chat/completions", "gpt-6", "/openai/deployments/gpt-6/chat/completions"),
            ("/m/{model}:generate", "a/b:c@1=2+3,4", "/m/a%2Fb%3Ac%401%3D2%2B3%2C4:generate"),
            ("/chat", "gpt-6", "/chat"),
        ] {
            assert!(PathTemplate::takes(id), "{id}");
            assert_eq!(PathTemplate::parse(template).map(|path| path.expand(id)).as_deref(), Some(expected));
        }
        for id in ["..", ".", "a/../b", "a//b", "/a", "a/", "a%2e", "a\\b", "a?b", "a#b", "{model}"] {
            assert!(!PathTemplate::takes(id), "{id}");
        }
        for template in ["", "/", "chat", "/a/", "//a", "/../a", "/a?b=c", "/a#b", "/{id}", "/{model", "/a%2fb", "/a b"]
        {
            assert_eq!(PathTemplate::parse(template), None, "{template}");
        }
    }
}
