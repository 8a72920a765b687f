//! Messages that go up as they came, because a look at them says that every provider takes them so: opened, as a message is
//! that says a null more, they would be no other.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::policy::parse::parse;
use tiergate::policy::{Entry, Policy, Quirk};
use tiergate::upstream::dialect::{self, EncodeOptions};

/// A row of a provider and of its model, as far as they say anything of messages.
fn any_policy() -> impl Strategy<Value = Value> {
    let quirks: Vec<&str> = Quirk::ALL.iter().map(|quirk| quirk.as_str()).collect();
    let count = quirks.len();
    let unsupported = vec![
        "messages.refusal",
        "messages.name",
        "messages.content.image_url.detail",
        "messages.content.file.filename",
        "messages.content.input_audio.format",
        "functions",
    ];
    let added = || subsequence(vec!["*", "cache_control", "video_url", "index"], 0..=2);
    let prefill = select(vec![Value::Null, json!("message"), json!("prefix")]);
    (subsequence(quirks, 0..=count), subsequence(unsupported, 0..=6), added(), added(), prefill).prop_map(
        |(quirks, unsupported, part_fields, message_fields, prefill)| {
            let mut model = json!({
                "provider": "only", "id": "m", "context": 200_000, "max_output": 64_000, "vision": true, "files": true,
                "audio": true, "video": true,
            });
            if !prefill.is_null() {
                model["prefill"] = prefill;
            }
            json!({
                "version": "1", "default_tier": "only",
                "tiers": [{
                    "name": "only", "description": "Everything.", "candidates": [{"model": "model"}],
                    "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
                }],
                "models": {"model": model},
                "providers": {"only": {
                    "base_url": "https://api.example.com/v1", "dialect": "openai-chat", "quirks": quirks,
                    "unsupported_fields": unsupported, "part_fields": part_fields, "message_fields": message_fields,
                }},
            })
        },
    )
}

fn any_part() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"type": "text", "text": "Hi \"]}"}),
        json!({"text": "", "type": "text"}),
        json!({"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}),
        json!({"type": "text", "text": "Hi", "index": null}),
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
        json!({"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}),
        json!({"type": "image_url", "image_url": {"url": "https://x", "detail": null}}),
        json!({"type": "image_url", "image_url": {"url": "https://x", "format": "png"}}),
        json!({"image_url": {"detail": "auto", "url": "https://x"}, "type": "image_url", "index": 0}),
        json!({"type": "file", "file": {"filename": "a", "file_data": "data:text/plain;base64,AAAA"}}),
        json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
        json!({"type": "video_url", "video_url": {"url": "https://x"}}),
        json!({"type": "refusal", "refusal": "No."}),
        json!({"type": "thinking", "thinking": "Hm."}),
    ])
}

fn any_message() -> impl Strategy<Value = Value> {
    let role = select(vec!["system", "developer", "user", "user", "assistant", "assistant"]);
    let content = prop_oneof![
        2 => select(vec![json!("Hi"), json!(""), json!("a\u{0}\"b\\"), Value::Null]),
        3 => prop::collection::vec(any_part(), 0..4).prop_map(Value::from),
    ];
    let more = select(vec![
        json!({}),
        json!({}),
        json!({}),
        json!({"name": "ada"}),
        json!({"name": null}),
        json!({"refusal": "No."}),
        json!({"tool_calls": []}),
        json!({"index": 0}),
    ]);
    (role, content, more).prop_map(|(role, content, more)| {
        let mut message = json!({"role": role, "content": content});
        message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        message
    })
}

/// What goes up for these messages and what is named as left out, or what is said instead; nothing for what the door refuses.
fn encoded(policy: &Policy, messages: &[Value]) -> Option<Result<(Value, Vec<String>), String>> {
    let Entry::One(candidate) = &policy.tiers[0].candidates[0] else { panic!("one candidate") };
    let body = json!({ "messages": messages }).to_string();
    let request = chat::parse(body.as_bytes()).ok()?;
    let encoded = dialect::encode_request(policy, candidate, &request, &EncodeOptions::default());
    Some(encoded.map_err(|error| format!("{error:?}")).map(|encoded| {
        let sent: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        (sent["messages"].clone(), encoded.dropped)
    }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_not_opened_is_what_it_would_be_opened(
        document in any_policy(),
        messages in prop::collection::vec(any_message(), 1..4),
    ) {
        let policy = parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"));
        let mut opened = messages.clone();
        opened.iter_mut().for_each(|message| message["x"] = Value::Null);
        prop_assert_eq!(encoded(&policy, &messages), encoded(&policy, &opened));
    }
}
