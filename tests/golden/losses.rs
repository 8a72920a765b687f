//! Nothing is lost in silence: a member that no API knows, put into any object of the cases' requests, goes up or is named.

use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::upstream::dialect::{self, EncodeOptions, Encoded};

use crate::case::{Case, FOLDERS, cases};

/// A member that no API has.
const STRANGER: &str = "zz_stranger";

/// An object of a request: its JSON pointer, and its path without positions.
struct Found {
    pointer: String,
    path: String,
}

/// Every object at or below `value`, which stands at `found`.
fn objects(value: &Value, found: Found, all: &mut Vec<Found>) {
    let Found { pointer, path } = &found;
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                objects(value, Found { pointer, path }, all);
            }
            all.push(found);
        }
        Value::Array(elements) => {
            for (at, value) in elements.iter().enumerate() {
                objects(value, Found { pointer: format!("{pointer}/{at}"), path: path.clone() }, all);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What goes up for a request of a case; nothing where it cannot be carried.
fn encode(case: &Case, request: &Value) -> Option<Encoded> {
    let policy = case.policy();
    let body = request.to_string();
    let request = chat::parse(body.as_bytes()).ok()?;
    let options = EncodeOptions { counts_usage: true, ..EncodeOptions::default() };
    dialect::encode_request(&policy, &case.candidate(&policy), &request, &options).ok()
}

/// Whether what is named says of the path, or of what holds it, that it did not go up.
fn tells(dropped: &[String], path: &str) -> bool {
    // What a tool's schema loses is named alike in both of its forms.
    let of_tool = path.replacen("tools.function.parameters", "tools.parameters", 1);
    let is_at_or_above =
        |name: &str, path: &str| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    dropped.iter().any(|name| name == "other" || is_at_or_above(name, path) || is_at_or_above(name, &of_tool))
}

#[test]
fn a_member_that_nobody_knows_goes_up_or_is_named_at_any_depth() {
    let mut tried = 0;
    for (dialect, folder, _) in FOLDERS {
        for path in cases(folder) {
            let case = Case::read(dialect, &path);
            let request = case.value("request");
            let Some(before) = encode(&case, &request) else { continue };
            let mut found = Vec::new();
            objects(&request, Found { pointer: String::new(), path: String::new() }, &mut found);
            // Tools that the client itself excludes stay out.
            let narrows = request["tool_choice"].is_object() || request["function_call"].is_object();
            let holds_tools = |path: &str| path.starts_with("tools") || path.starts_with("functions");
            found.retain(|Found { path, .. }| !narrows || !holds_tools(path));
            for Found { pointer, path } in found {
                let mut request = request.clone();
                request.pointer_mut(&pointer).expect("an object")[STRANGER] = json!(1);
                let Some(encoded) = encode(&case, &request) else { continue };
                tried += 1;
                if String::from_utf8(encoded.body).expect("UTF-8").contains(STRANGER) {
                    continue;
                }
                // What says that something was moved or weakened does not say that a part of it was left out.
                let is_loss = |name: &String| {
                    !["messages", "response_format"].contains(&name.as_str()) || !before.dropped.contains(name)
                };
                let dropped: Vec<String> = encoded.dropped.into_iter().filter(is_loss).collect();
                // What is left out as a whole is named by its kind.
                let object = request.pointer(&pointer).expect("an object");
                if object["type"].as_str().is_some_and(|kind| dropped.contains(&format!("{path}.{kind}"))) {
                    continue;
                }
                let path = if path.is_empty() { STRANGER.to_owned() } else { format!("{path}.{STRANGER}") };
                assert!(tells(&dropped, &path), "{}: {path} is not among {dropped:?}", case.name);
            }
        }
    }
    assert!(tried > 1_000, "only {tried}");
}
