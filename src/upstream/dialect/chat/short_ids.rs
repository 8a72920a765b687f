//! Ids of tool calls as Mistral takes them: nine letters and digits.
//!
//! Another id becomes the beginning of its hash. A call and its results name the same id, so they still belong together, in
//! every request anew, and nothing has to be translated back: what Mistral itself names is short.

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::wire::json::{Field, object_fields};

const LENGTH: usize = 9;
const CHARACTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The JSON of a message's field with short ids; nothing for a field without ids, and for one that cannot be read.
pub fn field(field: &Field<'_>) -> Option<String> {
    match field.name.as_ref() {
        "tool_call_id" => id(field.value),
        "tool_calls" => {
            let calls: Vec<&RawValue> = serde_json::from_str(field.value.get()).ok()?;
            let calls: Option<Vec<String>> = calls.into_iter().map(call).collect();
            Some(format!("[{}]", calls?.join(",")))
        }
        _ => None,
    }
}

fn call(call: &RawValue) -> Option<String> {
    let mut members = Vec::new();
    for field in object_fields(call.get()).ok()? {
        let short = if field.name == "id" { id(field.value) } else { None };
        let value = short.as_deref().unwrap_or(field.value.get());
        members.push(format!("{}:{value}", serde_json::to_string(&field.name).ok()?));
    }
    Some(format!("{{{}}}", members.join(",")))
}

/// The short form of a JSON string.
fn id(value: &RawValue) -> Option<String> {
    let id: String = serde_json::from_str(value.get()).ok()?;
    if id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let hash = Sha256::digest(id.as_bytes());
    let short = hash.iter().take(LENGTH).map(|&byte| char::from(CHARACTERS[usize::from(byte) % CHARACTERS.len()]));
    Some(format!("\"{}\"", short.collect::<String>()))
}
