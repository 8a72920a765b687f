//! JSON that nobody here knows, joined over the events of a stream, as it would stand in a whole answer.
//!
//! Lists of a choice go on from event to event, so they are appended to each other. What cannot be joined is what it was last.
//! The entries of `reasoning_details` (OpenRouter) come in parts that name theirs by type and number.

use serde_json::value::RawValue;

use crate::wire::carried::carried;
use crate::wire::containers::members;
use crate::wire::json::{Field, JsonString, field, given, quoted, whole};

/// About how many bytes a value takes that says nothing.
pub const ITEM_BYTES: usize = 64;
/// What of an entry of `reasoning_details` comes in parts.
const PARTIAL: [&str; 3] = ["text", "summary", "data"];

/// The members of an object, in the order in which they came first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinedFields {
    list: Vec<JoinedField>,
}

carried!(JoinedFields { list });

#[derive(Clone, Debug, PartialEq, Eq)]
struct JoinedField {
    name: String,
    /// As JSON.
    value: String,
}

carried!(JoinedField { name, value });

/// The entries of `reasoning_details`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinedDetails {
    entries: Vec<Detail>,
    /// About how many bytes they take.
    bytes: usize,
}

carried!(JoinedDetails { entries, bytes });

#[derive(Clone, Debug, PartialEq, Eq)]
struct Detail {
    /// The number that the entry has of its own; one without is never joined.
    index: Option<u64>,
    fields: JoinedFields,
}

carried!(Detail { index, fields });

impl JoinedFields {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The value of this name, as JSON.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.iter().map(|JoinedField { name, value }| (name.as_str(), value.as_str()))
    }

    /// Takes a value in place of the one of its name.
    pub fn replace(&mut self, name: &str, value: &RawValue) {
        let slot = self.slot(name);
        slot.clear();
        slot.push_str(value.get());
    }

    /// Takes a value: one list goes on where another ended, any other value takes the place of the one of its name.
    pub fn join(&mut self, name: &str, value: &RawValue) {
        let known = self.slot(name);
        let Some(more) = list(value.get()).filter(|_| list(known).is_some()) else {
            return self.replace(name, value);
        };
        if list(known).is_some_and(|known| known.trim().is_empty()) {
            return self.replace(name, value);
        }
        if !more.trim().is_empty() {
            known.pop();
            known.push(',');
            known.push_str(more);
            known.push(']');
        }
    }

    /// Takes a text: one text goes on where another ended, and takes the place of any other value of its name.
    pub fn append_text(&mut self, name: &str, more: &JsonString<'_>) {
        let known = self.slot(name);
        if !known.starts_with('"') {
            return self.replace(name, more.raw());
        }
        known.pop();
        known.push_str(more.inside());
        known.push('"');
    }

    /// Takes the members of an object, each as [`JoinedFields::join`] does; false if `object` is none.
    pub fn join_members(&mut self, object: &RawValue) -> bool {
        let Some(fields) = members(object) else { return false };
        let fields = fields.iter().filter(|field| given(Some(field.value)).is_some());
        fields.for_each(|Field { name, value }| self.join(name, value));
        true
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.list.iter().map(|field| ITEM_BYTES + field.name.len() + field.value.len()).sum()
    }

    /// Appends the members to `out`, the first without a comma before it.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (position, (name, value)) in self.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write_member(name, value, out);
        }
    }

    fn slot(&mut self, name: &str) -> &mut String {
        let position = self.list.iter().position(|field| field.name == name).unwrap_or_else(|| {
            self.list.push(JoinedField { name: name.to_owned(), value: String::new() });
            self.list.len() - 1
        });
        &mut self.list[position].value
    }
}

impl JoinedDetails {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes an entry, or a part of one that is known.
    pub fn join(&mut self, parts: &[Field<'_>]) {
        let (index, kind) = (field(parts, "index").and_then(whole), field(parts, "type").map(RawValue::get));
        let is_same = |known: &Detail| index.is_some() && known.index == index && known.fields.get("type") == kind;
        let position = self.entries.iter().rposition(is_same).unwrap_or_else(|| {
            self.entries.push(Detail { index, fields: JoinedFields::default() });
            self.bytes += ITEM_BYTES;
            self.entries.len() - 1
        });
        let entry = &mut self.entries[position];
        self.bytes -= entry.fields.bytes();
        parts.iter().for_each(|part| entry.take(part));
        self.bytes += entry.fields.bytes();
    }

    /// Appends the entries as a list to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (position, entry) in self.entries.iter().enumerate() {
            out.extend_from_slice(if position == 0 { b"[{" } else { b",{" });
            entry.fields.write(out);
            out.push(b'}');
        }
        out.extend_from_slice(if self.entries.is_empty() { b"[]" } else { b"]" });
    }
}

impl Detail {
    fn take(&mut self, Field { name, value }: &Field<'_>) {
        let more = JsonString::read(value).filter(|_| PARTIAL.contains(&name.as_ref()));
        match more {
            Some(more) => self.fields.append_text(name, &more),
            // What a part does not say, another may have said.
            None if self.fields.get(name).is_none() || given(Some(value)).is_some() => {
                self.fields.replace(name, value);
            }
            None => {}
        }
    }
}

/// Appends a name and its value, which is JSON.
pub fn write_member(name: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(quoted(name).as_bytes());
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
}

/// What stands in a list; nothing for any other value.
fn list(json: &str) -> Option<&str> {
    json.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::containers::found_valid;

    #[test]
    fn lists_go_on_and_what_is_no_list_is_what_it_was_last() {
        for (values, expected) in [
            (&["[1]", "[2,3]"][..], "[1,2,3]"),
            (&["[]", "[ ]", "[1]"], "[1]"),
            (&["[1]", "[\n]"], "[1]"),
            (&["[ {\"a\":[1]} ]", "[\"]\"]"], r#"[ {"a":[1]} ,"]"]"#),
            (&["[1]", "7"], "7"),
            (&["7", "[1]"], "[1]"),
            (&["{\"a\":1}", "{\"b\":2}"], "{\"b\":2}"),
            (&["\"a\"", "\"b\""], "\"b\""),
        ] {
            let mut fields = JoinedFields::default();
            values.iter().for_each(|value| fields.join("x", found_valid(value)));
            assert_eq!(fields.get("x"), Some(expected), "{values:?}");
            assert_eq!(fields.bytes(), ITEM_BYTES + 1 + expected.len());
        }
    }

    #[test]
    fn parts_of_a_detail_find_theirs_by_type_and_number() {
        for (parts, expected) in [
            (
                &[r#"{"type":"t","text":"a\"","index":0}"#, r#"{"type":"t","text":"b","index":0}"#][..],
                r#"[{"type":"t","text":"a\"b","index":0}]"#,
            ),
            (
                &[r#"{"type":"t","text":"a","index":0}"#, r#"{"type":"u","data":"b","index":0}"#],
                r#"[{"type":"t","text":"a","index":0},{"type":"u","data":"b","index":0}]"#,
            ),
            (
                &[r#"{"type":"t","text":"a"}"#, r#"{"type":"t","text":"b"}"#],
                r#"[{"type":"t","text":"a"},{"type":"t","text":"b"}]"#,
            ),
            (
                &[r#"{"index":1,"signature":null,"id":"x"}"#, r#"{"index":1,"signature":"s","id":null}"#],
                r#"[{"index":1,"signature":"s","id":"x"}]"#,
            ),
            (&[r#"{"index":1,"text":7}"#, r#"{"index":1,"text":"a"}"#], r#"[{"index":1,"text":"a"}]"#),
            (&[], "[]"),
        ] {
            let mut details = JoinedDetails::default();
            parts.iter().for_each(|part| details.join(&members(found_valid(part)).expect("an object")));
            let mut out = Vec::new();
            details.write(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
            let counted = details.entries.iter().map(|entry| ITEM_BYTES + entry.fields.bytes()).sum::<usize>();
            assert_eq!(details.bytes(), counted);
        }
    }
}
