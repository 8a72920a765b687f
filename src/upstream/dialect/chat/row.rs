//! What the rows of provider and model say of a request's fields.

use crate::policy::{OWNED_FIELDS, Quirk};
use crate::upstream::dialect::Recipient;
use crate::wire::chat::is_published;

impl Recipient<'_> {
    pub fn has(&self, quirk: Quirk) -> bool {
        self.provider.quirks.contains(&quirk)
    }

    /// Whether provider or model refuses the field, which may be one below the top level (`messages.refusal`).
    pub fn lacks(&self, name: &str) -> bool {
        self.lacking().any(|field| field == name)
    }

    /// Whether they refuse any field at the places that begin so.
    pub fn lacks_below(&self, beginning: &str) -> bool {
        self.lacking().any(|field| field.starts_with(beginning))
    }

    /// Whether they refuse any field at all.
    pub fn excludes_any(&self) -> bool {
        self.provider.fields.is_some() || self.lacking().next().is_some()
    }

    fn lacking(&self) -> impl Iterator<Item = &str> {
        let rows = [&self.provider.unsupported_fields, &self.model.unsupported_fields];
        rows.into_iter().flatten().map(AsRef::as_ref)
    }

    /// Whether they take the field at the top level.
    pub fn takes(&self, name: &str) -> bool {
        let is_known = match &self.provider.fields {
            Some(fields) => OWNED_FIELDS.contains(&name) || fields.iter().any(|field| field == name),
            None => is_published(name),
        };
        !self.lacks(name) && (is_known || self.adds(name))
    }

    /// Whether they take marks up to where the prompt is to be cached, which go where a request's options for that go.
    pub fn takes_cache_marks(&self) -> bool {
        self.takes("prompt_cache_options")
    }

    /// Whether they take the older form of tools: functions, calls and results without ids. Else these become tools.
    pub fn takes_functions(&self) -> bool {
        self.takes("functions")
    }

    /// Whether they take custom tools. Else these become functions.
    pub fn takes_custom_tools(&self) -> bool {
        !self.lacks("tools.custom")
    }

    /// Whether they take a choice of some of the tools. Else only these go up.
    pub fn takes_allowed_tools(&self) -> bool {
        !self.lacks("tool_choice.allowed_tools")
    }

    /// Whether they take the field, which may be one below the top level (`response_format.schema`), beside those of the
    /// published API.
    pub fn adds(&self, name: &str) -> bool {
        self.provider.extra_fields.allow(name) || self.model.extra_fields.allow(name)
    }
}
