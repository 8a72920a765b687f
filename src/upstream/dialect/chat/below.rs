//! The published API below the top level of a request: of the objects in a field only what it has there goes up, and what the
//! provider's row adds.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ObjectEdit, OpenedObject, list};
use crate::wire::chat::{CACHE_MARK, fields_at};
use crate::wire::json::is_null;

/// Takes out of values what their recipient does not know.
pub struct Pruner<'a, 'd> {
    pub recipient: &'a Recipient<'a>,
    /// Whether the recipient's row adds the field at a path.
    pub is_added: &'a dyn Fn(&str) -> bool,
    pub dropped: &'d mut Dropped,
}

impl Pruner<'_, '_> {
    /// The value at `path` without the fields, at any depth, that the recipient does not know; as it came, if it knows all.
    pub fn prune<'x>(&mut self, path: &str, value: &'x RawValue) -> Cow<'x, str> {
        let raw = value.get();
        let Some(known) = fields_at(path) else { return Cow::Borrowed(raw) };
        if raw.starts_with('[') {
            let items = list(value, |item| Ok(Some(self.prune(path, item.raw))));
            return items.ok().flatten().unwrap_or(Cow::Borrowed(raw));
        }
        if !raw.starts_with('{') {
            return Cow::Borrowed(raw);
        }
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(value) else { return Cow::Borrowed(raw) };
        for field in &fields {
            let path = format!("{path}.{}", field.name);
            let name = field.name.as_ref();
            let is_refused = self.recipient.lacks(&path) || name == CACHE_MARK && !self.recipient.takes_cache_marks();
            let is_known = known.contains(&name) && !is_refused;
            if !is_null(field.value) && (is_known || (self.is_added)(&path)) {
                edit.put(field, self.prune(&path, field.value));
                continue;
            }
            edit.lose(field, format_args!("{path}"), self.dropped);
        }
        edit.finish()
    }
}

/// The last name of a path.
pub fn leaf(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
