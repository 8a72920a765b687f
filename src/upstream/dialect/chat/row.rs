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
        let rows = [&self.provider.unsupported_fields, &self.model.unsupported_fields];
        rows.into_iter().flatten().any(|field| field == name)
    }

    /// Whether they take the field at the top level.
    pub fn takes(&self, name: &str) -> bool {
        let is_known = match &self.provider.fields {
            Some(fields) => OWNED_FIELDS.contains(&name) || fields.iter().any(|field| field == name),
            None => is_published(name),
        };
        !self.lacks(name) && (is_known || self.adds(name))
    }

    /// Whether they take the field, which may be one below the top level (`response_format.schema`), beside those of the
    /// published API.
    pub fn adds(&self, name: &str) -> bool {
        self.provider.extra_fields.allow(name) || self.model.extra_fields.allow(name)
    }
}
