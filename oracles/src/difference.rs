//! Where two forms differ.

use serde_json::Value;

/// One place where the gateway says something else than another translator.
#[derive(Debug, PartialEq)]
pub struct Difference {
    /// As `calls[1].input`.
    pub path: String,
    /// What the gateway says there; null if nothing.
    pub ours: Value,
    pub theirs: Value,
}

/// All places where the two differ, each as deep as it can be told.
pub fn between(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare("", [ours, theirs], &mut differences);
    differences
}

fn compare(path: &str, both: [&Value; 2], differences: &mut Vec<Difference>) {
    match both {
        [Value::Object(ours), Value::Object(theirs)] => {
            let more = theirs.keys().filter(|name| !ours.contains_key(*name));
            for name in ours.keys().chain(more) {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let at = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                compare(&below, [&at(ours), &at(theirs)], differences);
            }
        }
        [Value::Array(ours), Value::Array(theirs)] if ours.len() == theirs.len() => {
            for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                compare(&format!("{path}[{at}]"), [ours, theirs], differences);
            }
        }
        [ours, theirs] if is_same(ours, theirs) => {}
        [ours, theirs] => {
            differences.push(Difference { path: path.to_owned(), ours: ours.clone(), theirs: theirs.clone() });
        }
    }
}

/// Numbers are the same in whatever way they are written.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(ours), Some(theirs)) => ours.total_cmp(&theirs).is_eq(),
        _ => ours == theirs,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_place_is_told_apart() {
        let ours = json!({"a": 1, "b": [1, {"c": "x"}], "d": [1], "e": "ours"});
        let theirs = json!({"a": 1.0, "b": [2, {"c": "y"}], "d": [1, 2], "f": null});
        let found: Vec<_> = between(&ours, &theirs)
            .into_iter()
            .map(|difference| format!("{} {} {}", difference.path, difference.ours, difference.theirs))
            .collect();
        assert_eq!(found, ["b[0] 1 2", "b[1].c \"x\" \"y\"", "d [1] [1,2]", "e \"ours\" null"]);
    }
}
