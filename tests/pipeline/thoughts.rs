//! The state of a model's reasoning, from its provider to the client and back: with which secrets it is sealed, and what
//! becomes of it where another model answers, a stream breaks, or there is no secret.

use std::time::Duration;

use serde_json::{Value, json};
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Reply};
use crate::scenario::{FIRST, SECOND, Scenario, answer, chunk, json_reply, policy, secret_of, stream};

const LATER: Duration = Duration::from_millis(1);
const STATE: &str = "EqQBCkYIBxgCKkBt";

/// The tier `large` with a model that thinks at the first provider, and another one at the second.
fn thinking_policy(provider: Value) -> Value {
    let mut policy = policy();
    let more = json!({"dialect": "anthropic-messages", "auth": "x-api-key", "show_reasoning": true});
    for more in [more, provider] {
        policy["providers"]["first"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    let model = json!({"id": "claude-opus-5-5", "thinking": "always", "thinking_display": true, "sampling": false});
    policy["models"]["one"].as_object_mut().unwrap().extend(model.as_object().unwrap().clone());
    policy
}

fn asking(messages: &[Value], more: Value) -> Value {
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
    let mut body = json!({"model": "x", "messages": messages, "tools": [tool]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn thinker(policy: Value) -> Scenario {
    let question = json!({"role": "user", "content": "Look."});
    Scenario::new().policy(policy).header("x-route-tier", "large").ask(asking(&[question], json!({})))
}

/// An answer with a thought before `block`.
fn thought(text: &str, block: Value) -> Reply {
    let stop_reason = if block["type"] == "tool_use" { "tool_use" } else { "end_turn" };
    let thought = json!({"type": "thinking", "thinking": text, "signature": format!("{STATE}{text}")});
    json_reply(
        200,
        json!({
            "id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": stop_reason,
            "content": [thought, block], "usage": {"input_tokens": 9, "output_tokens": 9},
        }),
    )
}

fn said(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn message(scenario: &Scenario) -> Value {
    assert_eq!(scenario.status(), 200, "{}", scenario.text());
    scenario.json()["choices"][0]["message"].clone()
}

/// What goes up of a history with one answered question, and what is said to be left out.
fn sent_with(scenario: Scenario, earlier: &Value) -> (Vec<Value>, String) {
    let messages =
        [json!({"role": "user", "content": "Look."}), earlier.clone(), json!({"role": "user", "content": "Why?"})];
    let scenario = scenario.ask(asking(&messages, json!({}))).provider(FIRST, thought("Why.", said("So.")));
    let scenario = scenario.again_after(LATER);
    assert_eq!(scenario.status(), 200, "{}", scenario.text());
    let content = scenario.sent_to(FIRST)["messages"][1]["content"].as_array().unwrap().clone();
    (content, scenario.response_header("x-route-dropped"))
}

#[test]
fn a_loop_of_tools_goes_on_thinking_through_two_turns() {
    let mut messages = vec![json!({"role": "user", "content": "Look."})];
    let mut scenario = thinker(thinking_policy(json!({})));
    let mut expected = Vec::new();
    for turn in 0..2 {
        let (before, after) = (format!("Thought {turn}a"), format!("Thought {turn}b"));
        let call = json!({"type": "tool_use", "id": format!("toolu_{turn}"), "name": "look", "input": {}});
        for (text, block) in [(&before, call), (&after, said("Seen."))] {
            let body = asking(&messages, json!({}));
            scenario = scenario.ask(body).provider(FIRST, thought(text, block.clone())).again_after(LATER);
            assert_eq!(scenario.response_header("x-route-dropped"), "", "{text}");
            let sent = scenario.sent_to(FIRST);
            let blocks =
                sent["messages"].as_array().unwrap().iter().flat_map(|turn| turn["content"].as_array().unwrap());
            let thoughts: Vec<Value> = blocks.filter(|block| block["type"] == "thinking").cloned().collect();
            assert_eq!(thoughts, expected, "{sent}");
            expected.push(json!({"type": "thinking", "thinking": text, "signature": format!("{STATE}{text}")}));
            messages.push(message(&scenario));
            if block["type"] == "tool_use" {
                messages.push(json!({"role": "tool", "tool_call_id": block["id"], "content": "x"}));
            }
        }
        messages.push(json!({"role": "user", "content": "Again."}));
    }
}

#[test]
fn an_altered_token_is_left_out_and_named() {
    let scenario = thinker(thinking_policy(json!({}))).provider(FIRST, thought("hm", said("Seen."))).run();
    let earlier = message(&scenario);
    let (content, dropped) = sent_with(scenario, &earlier);
    assert_eq!((content.len(), dropped.as_str()), (2, ""), "{content:?}");
    let mut altered = earlier;
    altered["reasoning_details"][0]["text"] = json!("ha");
    let (content, dropped) = sent_with(thinker(thinking_policy(json!({}))), &altered);
    assert_eq!((content, dropped.as_str()), (vec![said("Seen.")], "messages.reasoning_details"));
}

#[test]
fn another_providers_model_gets_no_token() {
    let scenario = thinker(thinking_policy(json!({}))).provider(FIRST, thought("hm", said("Seen."))).run();
    let earlier = message(&scenario);
    assert!(earlier["reasoning_details"][0]["signature"].is_string(), "{earlier}");
    let messages = [json!({"role": "user", "content": "Look."}), earlier, json!({"role": "user", "content": "Why?"})];
    let busy = json_reply(500, json!({"type": "error", "error": {"type": "api_error", "message": "busy"}}));
    let scenario = scenario.ask(asking(&messages, json!({}))).provider(FIRST, busy).provider(SECOND, answer("So."));
    let scenario = scenario.again_after(LATER);
    assert_eq!(scenario.sent_to(SECOND)["messages"][1], json!({"role": "assistant", "content": "Seen."}));
    assert!(scenario.response_header("x-route-dropped").contains("messages.reasoning_details"));
}

/// An entry for all places, with these roots.
fn places(roots: Value) -> String {
    let keys = [FIRST, SECOND].map(|host| (format!("https://{host}"), json!(secret_of(host))));
    let mut places: serde_json::Map<String, Value> = keys.into_iter().collect();
    if !roots.is_null() {
        places.insert("hmac".to_owned(), roots);
    }
    Value::Object(places).to_string()
}

#[test]
fn a_token_is_sealed_with_the_operators_root_or_else_with_the_providers_key() {
    let (old, new) = ("old-root-0123456789abcdefghijklmno", "new-root-0123456789abcdefghijklmno");
    let with = |entry: Option<Value>| {
        let scenario = thinker(thinking_policy(json!({})));
        entry.into_iter().fold(scenario, |scenario, roots| scenario.secret("tiergate", &places(roots)))
    };
    let earlier = |entry: Option<Value>| message(&with(entry).provider(FIRST, thought("hm", said("Seen."))).run());
    let kept = |entry: Option<Value>, earlier: &Value| sent_with(with(entry), earlier).0.len() == 2;
    let (by_key, by_old) = (earlier(None), earlier(Some(json!({"a": old}))));
    assert_eq!(by_key, earlier(Some(Value::Null)), "the same key, in either layout");
    for (entry, keeps_key, keeps_old) in [
        (None, true, false),
        (Some(Value::Null), true, false),
        (Some(json!({"a": old})), false, true),
        (Some(json!({"b": new, "a": old})), false, true),
        (Some(json!({"b": new})), false, false),
    ] {
        assert_eq!((kept(entry.clone(), &by_key), kept(entry, &by_old)), (keeps_key, keeps_old));
    }
}

/// Where only the row's own path is a place with a key.
#[test]
fn a_row_with_a_path_of_its_own_seals_with_the_key_of_that_place() {
    let listed = json!({format!("https://{FIRST}/v1/eu"): secret_of(FIRST)}).to_string();
    let scenario = || thinker(thinking_policy(json!({"path": "/eu/messages"}))).secret("tiergate", &listed);
    let earlier = message(&scenario().provider(FIRST, thought("hm", said("Seen."))).run());
    let (content, dropped) = sent_with(scenario(), &earlier);
    assert_eq!((&content[0]["thinking"], content.len(), dropped.as_str()), (&json!("hm"), 2, ""), "{content:?}");
}

#[test]
fn without_a_secret_no_token_goes_down() {
    let policy = thinking_policy(json!({"auth": "none"}));
    let scenario = thinker(policy).secret(FIRST, "").provider(FIRST, thought("hm", said("Seen."))).run();
    let message = message(&scenario);
    assert_eq!((message.get("reasoning_details"), &message["reasoning_content"]), (None, &json!("hm")), "{message}");
}

fn event(data: &Value) -> Chunk {
    chunk(&format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()))
}

/// A stream with a hidden thought of this state, as far as its text.
fn begun(state: &str) -> Vec<Chunk> {
    let delta = |index: u64, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    [
        json!({"type": "message_start", "message": {"id": "m1", "model": "m"}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        delta(0, json!({"type": "signature_delta", "signature": state})),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        delta(1, json!({"type": "text_delta", "text": "See"})),
    ]
    .iter()
    .map(event)
    .collect()
}

fn reply(chunks: Vec<Chunk>) -> Reply {
    let Reply::Answer { delay, status, headers, .. } = stream(Vec::new()) else { unreachable!("an answer") };
    Reply::Answer { delay, status, headers, chunks }
}

#[test]
fn a_long_secret_thought_is_no_failure() {
    let state = "x".repeat(300_000);
    let mut chunks = begun(&state);
    chunks.push(event(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})));
    chunks.push(event(&json!({"type": "message_stop"})));
    let question = json!({"role": "user", "content": "Look."});
    let scenario = thinker(thinking_policy(json!({})))
        .ask(asking(&[question], json!({"stream": true})))
        .provider(FIRST, reply(chunks))
        .run();
    let text = scenario.text();
    assert!(text.contains(&state) && text.contains(r#""content":"See""#) && text.ends_with("data: [DONE]\n\n"));
    assert_eq!(text.matches("reasoning_details").count(), 1);
}

/// The client has the state of the first answer, whose text goes on; that of another model would not belong to it.
#[test]
fn a_stream_that_takes_the_place_of_another_brings_no_state() {
    let mut broken = begun("first");
    broken.push(Chunk { delay: Duration::ZERO, bytes: Err(ReadError) });
    let mut whole = begun("second");
    whole.push(event(&json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})));
    whole.push(event(&json!({"type": "message_stop"})));
    let mut policy = thinking_policy(json!({}));
    policy["tiers"][1]["resume"] = json!("replay");
    policy["providers"]["second"] = policy["providers"]["first"].clone();
    policy["providers"]["second"]["base_url"] = json!(format!("https://{SECOND}/v1"));
    policy["models"]["two"] = policy["models"]["one"].clone();
    policy["models"]["two"]["provider"] = json!("second");
    let question = json!({"role": "user", "content": "Look."});
    let scenario = thinker(policy)
        .ask(asking(&[question], json!({"stream": true})))
        .provider(FIRST, reply(broken))
        .provider(SECOND, reply(whole))
        .run();
    let text = scenario.text();
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!((text.matches("_first\"").count(), text.matches("_second\"").count()), (1, 0), "{text}");
}

/// What a client of the Messages API gets of a model that thinks in fields of the chat API, and what the models are sent then.
#[test]
fn an_agents_tools_loop_keeps_what_a_chat_provider_wants_back_over_a_failover() {
    let mut policy = policy();
    let rows = [
        ("first", json!({"quirks": ["reasoning_with_calls"], "message_fields": ["reasoning_content"]})),
        ("second", json!({"quirks": ["thought_signatures"], "tool_fields": ["extra_content"]})),
    ];
    for (provider, row) in rows {
        policy["providers"][provider].as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
    }
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let thinking = |message: Value| {
        json_reply(
            200,
            json!({
                "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
            }),
        )
    };
    let ask = |content: Option<&Value>| {
        let mut messages = vec![json!({"role": "user", "content": "Look."})];
        if let Some(content) = content {
            let result = json!({"type": "tool_result", "tool_use_id": "call_1", "content": "seen"});
            messages.extend([
                json!({"role": "assistant", "content": content}),
                json!({"role": "user", "content": [result]}),
            ]);
        }
        let tool = json!({"name": "look", "input_schema": {"type": "object"}});
        json!({"model": "large", "max_tokens": 100, "tools": [tool], "messages": messages})
    };
    let scenario = Scenario::new().policy(policy).path(http::Method::POST, "/v1/messages").ask(ask(None));
    let told = thinking(json!({"content": null, "reasoning_content": "Hm", "tool_calls": [call]}));
    let scenario = scenario.provider(FIRST, told).run();
    let content = scenario.json()["content"].clone();
    assert_eq!((&content[0]["type"], &content[0]["thinking"]), (&json!("thinking"), &json!("")), "{content}");
    assert!(content[0]["signature"].as_str().is_some_and(|token| token.starts_with("tgs1_")), "{content}");
    assert_eq!(content[1]["id"], "call_1", "{content}");

    let scenario = scenario.ask(ask(Some(&content))).provider(FIRST, answer("Seen.")).again_after(LATER);
    let sent = scenario.sent_to(FIRST);
    assert_eq!(sent["messages"][1]["reasoning_content"], "Hm", "{sent}");
    assert_eq!((&sent["thinking"], scenario.response_header("x-route-dropped").as_str()), (&Value::Null, ""), "{sent}");

    let busy = json_reply(500, json!({"error": {"message": "busy"}}));
    let scenario = scenario.provider(FIRST, busy).provider(SECOND, answer("Seen.")).again_after(LATER);
    assert_eq!(scenario.status(), 200, "{}", scenario.text());
    let sent = scenario.sent_to(SECOND)["messages"][1].clone();
    assert_eq!(sent["reasoning_content"], Value::Null, "{sent}");
    let escape = json!({"google": {"thought_signature": "skip_thought_signature_validator"}});
    assert_eq!(sent["tool_calls"][0]["extra_content"], escape, "{sent}");
    assert_eq!(scenario.response_header("x-route-dropped"), "messages.content.thinking");
}
