//! JSON of a client that is written anew only where something in it changes, so that all else stays byte for byte.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::error::Error;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::containers::{elements, members};
use crate::wire::json::{Field, is_null, quoted, says_nothing};

/// An object under way from a client to a provider.
pub struct ObjectEdit<'x> {
    raw: &'x str,
    members: Vec<Member<'x>>,
    is_changed: bool,
}

struct Member<'x> {
    name: Cow<'x, str>,
    value: Cow<'x, str>,
}

/// An object, opened.
pub struct OpenedObject<'x> {
    pub fields: Vec<Field<'x>>,
    pub edit: ObjectEdit<'x>,
}

impl<'x> ObjectEdit<'x> {
    /// Opens an object; nothing if `raw` is none.
    pub fn open(raw: &'x RawValue) -> Option<OpenedObject<'x>> {
        let fields = members(raw)?;
        let edit = ObjectEdit { raw: raw.get(), members: Vec::with_capacity(fields.len() + 1), is_changed: false };
        Some(OpenedObject { fields, edit })
    }

    /// A field stays as it is; null is not given, and not all providers take it for that.
    pub fn keep(&mut self, field: &Field<'x>) {
        if is_null(field.value) {
            return self.leave();
        }
        self.put(field, Cow::Borrowed(field.value.get()));
    }

    /// A field stays, with this value.
    pub fn put(&mut self, field: &Field<'x>, value: Cow<'x, str>) {
        self.is_changed |= matches!(value, Cow::Owned(_));
        self.members.push(Member { name: field.name.clone(), value });
    }

    /// A field stays, with another name and this value.
    pub fn put_as(&mut self, name: &'static str, value: impl Into<Cow<'x, str>>) {
        self.members.push(Member { name: name.into(), value: value.into() });
        self.is_changed = true;
    }

    /// A field is left out.
    pub fn leave(&mut self) {
        self.is_changed = true;
    }

    /// A field is left out, and named if it says something.
    pub fn lose(&mut self, field: &Field<'_>, path: fmt::Arguments<'_>, dropped: &mut Dropped) {
        if !says_nothing(field.value) {
            dropped.note(&path.to_string());
        }
        self.leave();
    }

    /// A field comes to the others, or in place of the one of this name.
    pub fn add(&mut self, name: &'static str, value: String) {
        self.members.retain(|member| member.name != name);
        self.members.push(Member { name: name.into(), value: value.into() });
        self.is_changed = true;
    }

    /// An item comes to a list, which may be missing.
    pub fn add_to_list(&mut self, name: &'static str, item: &str) {
        let list = self.members.iter().find(|member| member.name == name).map(|member| member.value.as_ref());
        let known = list.and_then(|list| list.trim_end().strip_suffix(']'));
        let list = known.map_or_else(|| format!("[{item}]"), |list| format!("{list},{item}]"));
        self.add(name, list);
    }

    /// The object: as it came, if nothing changed.
    pub fn finish(self) -> Cow<'x, str> {
        if !self.is_changed {
            return Cow::Borrowed(self.raw);
        }
        let mut json = String::with_capacity(self.raw.len());
        json.push('{');
        for (position, Member { name, value }) in self.members.iter().enumerate() {
            if position > 0 {
                json.push(',');
            }
            json.push_str(&quoted(name));
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
        Cow::Owned(json)
    }
}

/// An item of an array, as an editor sees it.
pub struct ListItem<'x> {
    pub position: usize,
    pub raw: &'x RawValue,
}

/// An array whose items go through `edit`, which may leave one out; nothing if none is left. What is no array stays.
///
/// # Errors
/// What `edit` says.
pub fn list<'x>(
    raw: &'x RawValue,
    mut edit: impl FnMut(ListItem<'x>) -> Result<Option<Cow<'x, str>>, Error>,
) -> Result<Option<Cow<'x, str>>, Error> {
    let Some(items) = elements(raw) else { return Ok(Some(Cow::Borrowed(raw.get()))) };
    let count = items.len();
    let mut edited = Vec::with_capacity(count);
    for (position, raw) in items.into_iter().enumerate() {
        edited.extend(edit(ListItem { position, raw })?);
    }
    if edited.is_empty() {
        return Ok(None);
    }
    if edited.len() == count && edited.iter().all(|item| matches!(item, Cow::Borrowed(_))) {
        return Ok(Some(Cow::Borrowed(raw.get())));
    }
    Ok(Some(Cow::Owned(format!("[{}]", edited.join(",")))))
}
