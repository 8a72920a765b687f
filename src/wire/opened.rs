//! Objects and arrays of JSON that has been found valid, opened without being read once more: what holds most of a request is
//! looked into level by level.

use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, MapDeserializer};
use serde_json::value::RawValue;

use super::json::{Field, readable};
use super::walk::Walk;

/// A part of JSON that has been found valid, such as a [`Walk`] gives, as a value.
pub fn found_valid(json: &str) -> &RawValue {
    // What serde_json reads raw values by: what stands behind this key is taken as it is. Should a later version read them in
    // another way, the part is read once more.
    const RAW: &str = "$serde_json::private::RawValue";
    let entry = [(RAW, BorrowedStrDeserializer::<serde_json::Error>::new(json))];
    let value = <&RawValue>::deserialize(MapDeserializer::new(entry.into_iter()));
    value.or_else(|_| serde_json::from_str(json)).unwrap_or(RawValue::NULL)
}

/// The fields of an object, in order, their values raw; nothing for any other value.
pub fn members(json: &RawValue) -> Option<Vec<Field<'_>>> {
    let mut walk = Walk::new(json.get());
    if !walk.pass(b'{') {
        return None;
    }
    let mut fields = Vec::with_capacity(8);
    while let Some(name) = walk.name() {
        fields.push(Field { name: readable(name), value: found_valid(walk.value()) });
    }
    Some(fields)
}

/// The elements of an array; nothing for any other value.
pub fn elements(json: &RawValue) -> Option<Vec<&RawValue>> {
    let mut walk = Walk::new(json.get());
    if !walk.pass(b'[') {
        return None;
    }
    let mut elements = Vec::new();
    while walk.element() {
        elements.push(found_valid(walk.value()));
    }
    Some(elements)
}

/// The values of an object's fields of these names, of a name that comes twice the last; a null is nothing. Nothing for any
/// other value.
pub fn members_named<'a, const N: usize>(json: &'a RawValue, names: &[&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    let mut walk = Walk::new(json.get());
    if !walk.pass(b'{') {
        return None;
    }
    let mut values = [None; N];
    while let Some(name) = walk.name() {
        let (name, value) = (readable(name), walk.value());
        if let Some(position) = names.iter().position(|known| *known == name) {
            values[position] = Some(value).filter(|value| *value != "null").map(found_valid);
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::json::{fields_named, object_fields};

    #[test]
    fn what_has_been_found_valid_is_not_read_once_more() {
        assert_eq!(found_valid("no JSON").get(), "no JSON");
    }

    proptest! {
        #[test]
        fn a_value_is_opened_as_a_reader_of_json_opens_it(json in r#"[{\[]?( ?("[ab]": ?)?("[a}\]]"|1|null|\{"a":\[2, 3\]\}|\[\]),?){0,4}[}\]]?"#) {
            if let Ok(value) = serde_json::from_str::<&RawValue>(&json) {
                let read = object_fields(&json).ok();
                let shown = |fields: Vec<Field<'_>>| format!("{fields:?}");
                prop_assert_eq!(members(value).map(shown), read.map(shown));
                let shown = |values: Vec<&RawValue>| format!("{values:?}");
                prop_assert_eq!(elements(value).map(shown), serde_json::from_str(&json).ok().map(shown));
                let shown = |values: [Option<&RawValue>; 2]| format!("{values:?}");
                let names = ["a", "b"];
                prop_assert_eq!(members_named(value, &names).map(shown), fields_named(&json, &names).ok().map(shown));
            }
        }
    }
}
