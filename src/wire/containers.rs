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
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::wire::json::{fields_named, object_fields};

    #[test]
    fn what_has_been_found_valid_is_not_read_once_more() {
        assert_eq!(found_valid("no JSON").get(), "no JSON");
    }

    fn any_value() -> impl Strategy<Value = &'static str> {
        select(vec!["null", "-1.5e3", "true", r#""a}\"]""#, r#"{"a":[2, 3]}"#, "[ ]", "{}", r#"[{"b" : "]"}]"#])
    }

    fn any_member() -> impl Strategy<Value = String> {
        let name = select(vec![r#""a""#, r#""b""#, r#""\u0061""#, r#""\ud83d""#, r#""a\"b""#, r#""""#]);
        (name, any_value()).prop_map(|(name, value)| format!("{name} :{value}"))
    }

    proptest! {
        #[test]
        fn an_object_is_opened_as_a_reader_of_json_opens_it(of in vec(any_member(), 0..5)) {
            let json = format!("{{ {} }}", of.join(" , "));
            let value = serde_json::from_str::<&RawValue>(&json).expect("JSON");
            let shown = |fields: Vec<Field<'_>>| format!("{fields:?}");
            prop_assert_eq!(members(value).map(shown), object_fields(&json).ok().map(shown));
            // A name with half of a pair ends the other reading.
            if let Ok(read) = fields_named(&json, &["a", "b"]) {
                let found = members_named(value, &["a", "b"]).expect("an object");
                prop_assert_eq!(format!("{found:?}"), format!("{read:?}"));
            }
            prop_assert!(elements(value).is_none());
        }

        #[test]
        fn an_array_is_opened_as_a_reader_of_json_opens_it(of in vec(any_value(), 0..5)) {
            let json = format!("[ {} ]", of.join(" , "));
            let value = serde_json::from_str::<&RawValue>(&json).expect("JSON");
            let shown = |values: Vec<&RawValue>| format!("{values:?}");
            prop_assert_eq!(elements(value).map(shown), serde_json::from_str(&json).ok().map(shown));
            prop_assert!(members(value).is_none() && members_named(value, &["a"]).is_none());
        }
    }
}
