//! JSON laid out for people, with its order kept.

use serde_json::value::RawValue;
use tiergate::wire::json::object_fields;

/// `json` on as few lines as are readable, indented by `depth`; what fits into `width` stays on one line.
pub fn lay_out(json: &str, depth: usize, width: usize) -> String {
    let line = on_one_line(json);
    if line.len() + 2 * depth <= width {
        return line;
    }
    let indent = "  ".repeat(depth + 1);
    let (open, parts, close) = match parts(json) {
        Parts::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", lay_out(value, depth + 1, width)));
            ('{', fields.collect::<Vec<_>>(), '}')
        }
        Parts::Array(items) => ('[', items.iter().map(|item| lay_out(item, depth + 1, width)).collect(), ']'),
        Parts::Leaf => return line,
    };
    let parts: Vec<String> = parts.into_iter().map(|part| format!("{indent}{part}")).collect();
    format!("{open}\n{}\n{}{close}", parts.join(",\n"), "  ".repeat(depth))
}

/// `json` without any space, as APIs send it.
pub fn compact(json: &str) -> String {
    match parts(json) {
        Parts::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}:{}", compact(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Parts::Array(items) => format!("[{}]", items.iter().map(|item| compact(item)).collect::<Vec<_>>().join(",")),
        Parts::Leaf => json.trim().to_owned(),
    }
}

/// `json` on one line.
pub fn on_one_line(json: &str) -> String {
    match parts(json) {
        Parts::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}: {}", on_one_line(value)));
            let fields = fields.collect::<Vec<_>>().join(", ");
            if fields.is_empty() { "{}".to_owned() } else { format!("{{ {fields} }}") }
        }
        Parts::Array(items) => {
            format!("[{}]", items.iter().map(|item| on_one_line(item)).collect::<Vec<_>>().join(", "))
        }
        Parts::Leaf => json.trim().to_owned(),
    }
}

enum Parts {
    Object(Vec<(String, String)>),
    Array(Vec<String>),
    Leaf,
}

fn parts(json: &str) -> Parts {
    let json = json.trim();
    if json.starts_with('{') {
        let fields = object_fields(json).expect("an object");
        let text = |name: &str| serde_json::to_string(name).expect("a string");
        Parts::Object(fields.iter().map(|field| (text(&field.name), field.value.get().to_owned())).collect())
    } else if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json).expect("an array");
        Parts::Array(items.iter().map(|item| item.get().to_owned()).collect())
    } else {
        Parts::Leaf
    }
}
