//! What is carried comes back as it was, and nothing else is taken for it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;

use super::*;
use crate::wire::json::JsonString;

#[derive(Clone, Debug, Default, PartialEq)]
struct Thing {
    number: u32,
    list: Vec<Kind>,
    left: bool,
}

carried!(Thing { number, list } without { left });

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Empty,
    Pair(u64, Option<u64>),
    Named { what: String },
}

carried!(Kind = Empty | Pair(first, second) | Named { what });

fn returned<T: Carried>(value: &T) -> Option<T> {
    read(&write(value))
}

fn comes_back<T: Carried + PartialEq + Debug>(values: impl IntoIterator<Item = T>) {
    for value in values {
        assert_eq!(returned(&value).as_ref(), Some(&value));
    }
}

#[test]
fn values_come_back_as_they_were() {
    comes_back([false, true]);
    comes_back([0, u64::MAX]);
    comes_back([0, 1 << 127, u128::MAX]);
    comes_back([0.1 + 0.2, f64::MIN_POSITIVE, 1e308, -0.0, f64::INFINITY]);
    comes_back(["", "\u{0}\u{fffd}\u{1F600}\"\\"].map(str::to_owned));
    comes_back([None, Some(None), Some(Some(7_u32))]);
    comes_back([(0..=255).collect::<Vec<u8>>(), Vec::new()]);
    comes_back([BTreeMap::from([(7_u64, vec![true]), (8, Vec::new())]), BTreeMap::new()]);
    comes_back([Duration::MAX, Duration::new(1, 999_999_999), Duration::ZERO]);
    comes_back([Kind::Empty, Kind::Pair(1, None), Kind::Pair(1, Some(2)), Kind::Named { what: "x".to_owned() }]);
    let thing = Thing { number: 7, list: vec![Kind::Empty], left: true };
    assert_eq!(returned(&thing), Some(Thing { left: false, ..thing }), "what is left out begins anew");
    assert!(returned(&f64::NAN).is_some_and(f64::is_nan));
}

#[test]
fn json_of_others_comes_back_whatever_it_is() {
    for json in [r#""\ud83d""#, r#""\u0061\/""#, "\"\"", "\"\u{2028}\""] {
        let text = JsonString::parse(json.to_owned()).expect("a JSON string");
        assert_eq!(returned(&text).as_ref().map(JsonString::get), Some(json));
    }
    assert!(JsonString::parse("7".to_owned()).is_none());
    let deep = format!("{}7{}", "[".repeat(127), "]".repeat(127));
    for json in ["[1.50,\"\\ude00\"]", "{\"a\": 1, \"a\": 2}", &deep] {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        assert_eq!(returned(&raw).as_deref().map(RawValue::get), Some(json));
    }
    let deep: Value = serde_json::from_str(&deep).expect("JSON");
    comes_back([deep, json!({"n": [0.1, 1e300, u64::MAX, i64::MIN]}), Value::Null]);
}

#[test]
fn nothing_else_is_taken_for_it() {
    let written = json!({"number": 7, "list": [["Empty"], ["Pair", 1, [2]], ["Named", "x"]]});
    assert!(Thing::from_json(written.clone()).is_some());
    for (name, pointer, other) in [
        ("another type", "/number", json!("7")),
        ("a number that is too large", "/number", json!(1_u64 << 32)),
        ("a number below", "/number", json!(-1)),
        ("a fraction", "/number", json!(7.5)),
        ("nothing", "/number", Value::Null),
        ("no list", "/list", json!({})),
        ("no variant", "/list/0", json!("Empty")),
        ("another variant", "/list/0", json!(["Full"])),
        ("a variant without a name", "/list/0", json!([])),
        ("a part more", "/list/0", json!(["Empty", 1])),
        ("a part less", "/list/1", json!(["Pair", 1])),
        ("two in place of one", "/list/1/2", json!([2, 3])),
        ("none in place of one", "/list/1/2", json!([])),
        ("a field more", "", json!({"number": 7, "list": [], "left": true})),
        ("a field less", "", json!({"number": 7})),
        ("no fields", "", json!([7, []])),
    ] {
        let mut changed = written.clone();
        *changed.pointer_mut(pointer).expect("a place") = other;
        assert_eq!(Thing::from_json(changed), None, "{name}");
    }
    for bytes in [&b""[..], b"{", b"{}", b"\xFF", br#"{"number":7,"list":[]}x"#] {
        assert_eq!(read::<Thing>(bytes), None, "{bytes:?}");
    }
    assert_eq!(Vec::<u8>::from_json(json!("\u{100}")), None, "no byte");
}
