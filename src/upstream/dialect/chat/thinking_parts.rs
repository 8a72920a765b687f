//! Content that is an array of texts and thoughts, in the form that clients of OpenAI's API read.

use serde_json::{Map, Value};

/// What an array of parts says.
#[derive(Default)]
struct ThoughtAndText {
    text: Option<String>,
    thought: String,
}

/// Puts what a message, or a delta, thinks into `reasoning_content`, and its texts into one. Content of another form stays as it
/// came.
pub fn flatten(message: &mut Map<String, Value>) {
    let Some(ThoughtAndText { text, thought }) =
        message.get("content").and_then(Value::as_array).and_then(|parts| read(parts))
    else {
        return;
    };
    message.insert("content".to_owned(), text.map_or(Value::Null, Value::String));
    if !thought.is_empty() {
        message.entry("reasoning_content").or_insert(Value::String(thought));
    }
}

/// Nothing if there is a part of another form.
fn read(parts: &[Value]) -> Option<ThoughtAndText> {
    let mut said = ThoughtAndText::default();
    for part in parts {
        match part.get("type")?.as_str()? {
            "text" => said.text.get_or_insert_default().push_str(part.get("text")?.as_str()?),
            "thinking" => match part.get("thinking")? {
                Value::String(thought) => said.thought.push_str(thought),
                thoughts => {
                    for thought in thoughts.as_array()? {
                        said.thought.push_str(thought.get("text")?.as_str()?);
                    }
                }
            },
            _ => return None,
        }
    }
    Some(said)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_and_thoughts_are_told_apart() {
        let thinking =
            json!({"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]});
        let text = |text: &str| json!({"type": "text", "text": text});
        for (content, expected) in [
            (json!([thinking, text("a"), text("b")]), json!({"content": "ab", "reasoning_content": "hm"})),
            (json!([{"type": "thinking", "thinking": "hm"}]), json!({"content": null, "reasoning_content": "hm"})),
            (json!([{"type": "thinking", "thinking": []}, text("")]), json!({"content": ""})),
            (json!([]), json!({"content": null})),
            (json!("[]"), json!({"content": "[]"})),
            (json!(null), json!({"content": null})),
            (json!([text("a"), {"type": "reference"}]), json!({"content": [text("a"), {"type": "reference"}]})),
            (json!([{"type": "text"}]), json!({"content": [{"type": "text"}]})),
        ] {
            let mut message = json!({"content": content});
            flatten(message.as_object_mut().expect("an object"));
            assert_eq!(message, expected);
        }
    }
}
