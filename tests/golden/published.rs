//! What the published API has below the top level goes up, at every depth, and nothing else does.

use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::upstream::dialect::{self, EncodeOptions};
use tiergate_simulator::{Known, Profile, judge_chat_request};

use crate::built::policy;

/// A value with every field of the object at `path`, and of those on the way there one.
fn holding(path: &str, fields: &[&str]) -> Value {
    let object: serde_json::Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), json!("1"))).collect();
    path.rsplit('.').fold(Value::Object(object), |inner, name| match name {
        "tools" | "functions" => json!({name: [inner]}),
        _ => json!({name: inner}),
    })
}

/// What stands at `path`, the first item of a list counting as the list.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, name| {
        let value = value.get(name)?;
        if value.is_array() { value.get(0) } else { Some(value) }
    })
}

#[test]
fn published_fields_pass_at_every_depth_and_others_do_not() {
    let (policy, candidate) = policy(json!({}));
    let profile = Profile { models: Vec::new(), ..Profile::openai() };
    for object in Known::OPENAI.objects {
        // Of messages the other tests tell.
        if object.path.starts_with("messages") || object.path.starts_with("tools") {
            continue;
        }
        let mut fields = object.fields.to_vec();
        let known = holding(object.path, &fields);
        fields.push("x");
        for (given, drops) in
            [(&known, Vec::new()), (&holding(object.path, &fields), vec![format!("{}.x", object.path)])]
        {
            let mut request = json!({"messages": [{"role": "user", "content": "Hi"}], "stream": true});
            // Choices go up beside what there is to choose from.
            request["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
            request["functions"] = json!([{"name": "f"}]);
            request.as_object_mut().expect("an object").extend(given.as_object().expect("an object").clone());
            let body = request.to_string();
            let ask = chat::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error:?}"));
            let encoded = dialect::encode_request(&policy, &candidate, &ask, &EncodeOptions::default());
            let encoded = encoded.unwrap_or_else(|error| panic!("{body}: {error:?}"));
            let sent: Value = serde_json::from_slice(&encoded.body).expect("JSON");
            assert_eq!(at(&sent, object.path), at(&known, object.path), "{body}");
            assert_eq!(encoded.dropped, drops, "{body}");
            let refused = judge_chat_request(&profile, &sent).err().unwrap_or_default();
            assert!(!refused.contains("Unknown parameter"), "{body}: {refused}");
        }
    }
}
