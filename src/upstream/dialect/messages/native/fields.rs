//! What the rows of provider and model say of the fields of a client that speaks this API itself.
//!
//! Nothing but what a row excludes is left out: a field that nobody here knows may be the newest one of the API.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ObjectEdit, OpenedObject, list};

/// The fields that no request can do without, or that mean something which leaving them out would change.
const OWNED: [&str; 7] = ["max_tokens", "messages", "model", "stream", "system", "tool_choice", "tools"];

/// Whether provider and model take a field at the top level.
pub fn takes(recipient: &Recipient<'_>, name: &str) -> bool {
    let is_known = match &recipient.provider.fields {
        Some(fields) => OWNED.contains(&name) || fields.iter().any(|field| field == name) || recipient.adds(name),
        None => true,
    };
    is_known && !recipient.lacks(name)
}

/// A value at `path` without what the rows exclude below it; as it came, if that is nothing.
pub fn pruned<'x>(recipient: &Recipient<'_>, path: &str, value: &'x RawValue, dropped: &mut Dropped) -> Cow<'x, str> {
    let raw = value.get();
    if !recipient.lacks_below(&format!("{path}.")) {
        return Cow::Borrowed(raw);
    }
    if raw.starts_with('[') {
        let items = list(value, |item| Ok(Some(pruned(recipient, path, item.raw, dropped))));
        return items.ok().flatten().unwrap_or(Cow::Borrowed(raw));
    }
    let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(value) else { return Cow::Borrowed(raw) };
    for field in &fields {
        let path = format!("{path}.{}", field.name);
        match recipient.lacks(&path) {
            true => edit.lose(field, format_args!("{path}"), dropped),
            false => edit.put(field, pruned(recipient, &path, field.value, dropped)),
        }
    }
    edit.finish()
}
