//! A request that came in other words, in those of Chat Completions: what the neutral content of a chat request says, put into
//! the dialect again by the gateway, says the same.

use proptest::prelude::*;
use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::policy::parse::parse;
use tiergate::policy::{Candidate, Entry, Policy};
use tiergate::upstream::dialect::{self, CannotEncode, EncodeOptions};
use tiergate::wire::ask::{Api, Ask, Features, Neutral};

pub fn policy(model: Value) -> (Policy, Candidate) {
    let mut row = json!({
        "provider": "only", "id": "model-1", "context": 200_000, "max_output": 64_000,
        "tools": true, "vision": true, "json_schema": true,
    });
    row.as_object_mut().expect("an object").extend(model.as_object().expect("an object").clone());
    let document = json!({
        "version": "1", "default_tier": "only",
        "tiers": [{
            "name": "only", "description": "Everything.", "candidates": [{"model": "model"}],
            "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
        }],
        "models": {"model": row},
        "providers": {"only": {"base_url": "https://api.example.com/v1", "dialect": "openai-chat"}},
    });
    let policy = parse(document.to_string().as_bytes()).expect("valid");
    let Entry::One(candidate) = policy.tiers[0].candidates[0].clone() else { panic!("one candidate") };
    (policy, candidate)
}

/// What goes up for the content of a chat request, as if it had come in no words of this dialect.
fn built(request: &Value, model: Value) -> Result<(Value, Vec<String>), Option<String>> {
    let body = request.to_string();
    let asked = chat::parse(body.as_bytes()).expect("a valid request");
    let content = asked.content().expect("valid content").into_owned();
    let ask = Ask {
        api: Api::Gateway,
        fields: Vec::new(),
        model: asked.model.clone(),
        turns: Vec::new(),
        stream: asked.stream,
        include_usage: false,
        legacy_calls: false,
        features: Features::default(),
        bytes: body.len(),
        neutral: Neutral::Made(Box::new(content)),
    };
    let (policy, candidate) = policy(model);
    match dialect::encode_request(&policy, &candidate, &ask, &EncodeOptions::default()) {
        Ok(encoded) => Ok((serde_json::from_slice(&encoded.body).expect("JSON"), encoded.dropped)),
        Err(CannotEncode::Unfit(error)) => Err(error.param),
        Err(CannotEncode::Unavailable(dialect)) => panic!("{dialect} should be built"),
    }
}

#[test]
fn every_part_of_a_request_comes_back() {
    let parameters = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "number"}}});
    let grammar = json!({"type": "grammar", "grammar": {"definition": "start: \"a\"", "syntax": "lark"}});
    let request = json!({
        "messages": [
            {"role": "system", "content": "Be \"brief\"."},
            {"role": "user", "name": "ada", "content": [
                {"type": "text", "text": "What is this?\n"},
                {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            ]},
            {"role": "assistant", "content": "Let me see.", "tool_calls": [
                {"type": "function", "id": "call_1", "function": {"name": "look", "arguments": "{ \"a\":  1 }"}},
                {"type": "custom", "id": "call_2", "custom": {"name": "run", "input": "a\\b \"c\""}},
            ]},
            {"role": "tool", "tool_call_id": "call_2", "content": "second"},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            {"role": "user", "content": "Go on."},
        ],
        "tools": [
            {"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": parameters, "strict": false}},
            {"type": "custom", "custom": {"name": "run", "description": "Runs.", "format": grammar}},
        ],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "look"}}, {"type": "custom", "custom": {"name": "run"}}]}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": parameters, "strict": true}},
        "max_completion_tokens": 50, "temperature": 0.30, "top_p": 0.5, "stop": ["a", "b"], "seed": 7, "n": 2,
        "frequency_penalty": 0.5, "presence_penalty": 0.25, "logit_bias": {"1": 2}, "logprobs": true, "top_logprobs": 3,
        "parallel_tool_calls": false, "reasoning_effort": "low", "verbosity": "low", "user": "u",
        "prompt_cache_key": "k", "metadata": {"a": "b"}, "service_tier": "flex", "store": true, "stream": true,
    });
    let (mut sent, dropped) = built(&request, json!({})).expect("all of it can be said");
    assert_eq!(sent["model"].take(), "model-1");
    sent.as_object_mut().expect("an object").remove("model");
    assert_eq!(sent, request);
    assert_eq!(dropped, Vec::<String>::new());
}

#[test]
fn what_has_no_word_is_named_or_refused() {
    let with = |more: Value| {
        let mut request = json!({"messages": [{"role": "user", "content": "Hi"}]});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        request
    };
    let dropped = |more: Value, model: Value| built(&with(more), model).expect("it can be carried").1;
    assert_eq!(dropped(json!({"unheard_of": 1}), json!({})), ["unheard_of"]);
    assert_eq!(
        dropped(json!({"response_format": {"type": "json_object"}}), json!({"json_schema": false})),
        ["response_format"]
    );
    assert_eq!(dropped(json!({"tools": [{"type": "web_search"}]}), json!({})), ["tools"]);
    assert_eq!(dropped(json!({"temperature": 1.5}), json!({"sampling": false})), ["temperature"]);
    let echoed = json!([{"role": "assistant", "content": "x", "reasoning_content": "y"}]);
    assert_eq!(dropped(json!({"messages": echoed}), json!({})), ["messages.reasoning_content"]);
    for (part, place) in [
        (json!({"type": "file", "file": {"file_id": "f"}}), "file.file_id"),
        (json!({"type": "file", "file": {"file_data": "https://a.example/"}}), "file.file_data"),
    ] {
        let messages = json!([{"role": "user", "content": [part]}]);
        let place = format!("messages[0].content[0].{place}");
        assert_eq!(built(&with(json!({"messages": messages})), json!({})), Err(Some(place)));
    }
}

#[test]
fn images_of_results_follow_behind_all_results() {
    let image = json!({"type": "image_url", "image_url": {"url": "https://a.example/b.png"}});
    let call = |id: &str| json!({"type": "function", "id": id, "function": {"name": "f", "arguments": "{}"}});
    let request = json!({"messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "seen"}, image]},
        {"role": "tool", "tool_call_id": "b", "content": "done"},
        {"role": "assistant", "content": "So it is."},
    ]});
    let (sent, _) = built(&request, json!({})).expect("all of it can be said");
    let expected = json!([
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "seen"}]},
        {"role": "tool", "tool_call_id": "b", "content": "done"},
        {"role": "user", "content": [image]},
        {"role": "assistant", "content": "So it is."},
    ]);
    assert_eq!(sent["messages"].as_array().map(|messages| &messages[2..]), expected.as_array().map(Vec::as_slice));
}

proptest! {
    #[test]
    fn any_text_comes_back(text in ".{0,80}", id in ".{0,40}", arguments in ".{1,80}") {
        let request = json!({"messages": [
            {"role": "user", "content": text},
            {"role": "assistant", "content": null, "tool_calls": [
                {"type": "function", "id": id, "function": {"name": "f", "arguments": arguments}}]},
            {"role": "tool", "tool_call_id": id, "content": text},
        ]});
        let (sent, _) = built(&request, json!({})).expect("all of it can be said");
        let spoken = if arguments.trim().is_empty() { "{}" } else { arguments.as_str() };
        let mut expected = request["messages"].clone();
        expected[1]["tool_calls"][0]["function"]["arguments"] = spoken.into();
        prop_assert_eq!(&sent["messages"], &expected);
    }
}
