//! The message that Anthropic's SDKs gather from a stream: blocks by their index, texts joined, inputs read at the end.

use serde_json::{Value, json};

/// What the stream says, which must be whole and in the order that the SDKs rely on.
pub fn of_events(stream: &str) -> Value {
    let (mut message, mut inputs, mut is_whole) = (Value::Null, Vec::new(), false);
    for event in stream.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').expect("a name and data");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        let kind = data["type"].as_str().expect("a type");
        assert_eq!(name, format!("event: {kind}"));
        assert!(!is_whole, "nothing follows the end: {event}");
        let index = || usize::try_from(data["index"].as_u64().expect("an index")).expect("a small one");
        match kind {
            "ping" => {}
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                let blocks = message["content"].as_array_mut().expect("a message that has begun");
                assert_eq!(index(), blocks.len(), "blocks begin in their order: {stream}");
                blocks.push(data["content_block"].clone());
                inputs.push(String::new());
            }
            "content_block_delta" => {
                let delta = &data["delta"];
                let (member, name) = match delta["type"].as_str().expect("a type") {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "signature_delta" => ("signature", "signature"),
                    "input_json_delta" => {
                        inputs[index()].push_str(delta["partial_json"].as_str().expect("a text"));
                        continue;
                    }
                    other => panic!("{other}"),
                };
                let block = &mut message["content"][index()];
                let known =
                    if member == "signature" { "" } else { block[member].as_str().expect("a block of the kind") };
                block[member] = json!(format!("{known}{}", delta[name].as_str().expect("a text")));
            }
            "content_block_stop" => {
                let input = inputs[index()].trim();
                if !input.is_empty() {
                    message["content"][index()]["input"] = serde_json::from_str(input).expect("JSON");
                }
            }
            "message_delta" => {
                for (name, value) in data["delta"].as_object().expect("an object") {
                    message[name] = value.clone();
                }
            }
            "message_stop" => is_whole = true,
            other => panic!("{other}"),
        }
    }
    assert!(is_whole, "{stream}");
    message
}
