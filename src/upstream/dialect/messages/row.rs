//! What the rows of provider and model say of the fields of a request that was translated: what they refuse is left out, what they
//! add stands behind the rest, so that everything before it is the same with and without them.

use super::native::{pruned, takes};
use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::object_writer::ObjectWriter;
use crate::wire::ask::content::Setting;
use crate::wire::containers::{found_valid, members};

/// The body as provider and model take it; `extras` are those of the client's fields that the API has no word for and they take
/// byte for byte.
pub fn adapt(recipient: &Recipient<'_>, body: Vec<u8>, extras: &[&Setting<'_>], dropped: &mut Dropped) -> Vec<u8> {
    if !recipient.excludes_any() && recipient.provider.body.is_empty() && extras.is_empty() {
        return body;
    }
    let Some(fields) = std::str::from_utf8(&body).ok().and_then(|body| members(found_valid(body))) else { return body };
    let mut writer = ObjectWriter::with_capacity(body.len() + 256);
    for field in fields {
        match takes(recipient, &field.name) {
            true => writer.field(&field.name, pruned(recipient, &field.name, field.value, dropped).as_bytes()),
            false => dropped.note(&field.name),
        }
    }
    for Setting { name, value, .. } in extras {
        match writer.has(name) {
            true => dropped.note(name),
            false => writer.field(name, value.get()),
        }
    }
    writer.add_missing(&recipient.provider.body);
    writer.finish()
}
