//! What the simulator of the Messages dialect makes of thoughts that come back.

use serde_json::{Value, json};
use tiergate_simulator::Profile;

use crate::messages::{request, weather_tool};
use crate::{ask, start, stream};

/// The thought that came back.
const BLOCK: &str = "/messages/1/content/0";

/// What a client makes of a request.
type Change = fn(&mut Value);

#[tokio::test]
async fn thinking_comes_back_as_it_was_given_or_not_at_all() {
    let manual = json!({"tools": weather_tool(), "thinking": {"type": "enabled", "budget_tokens": 1024}});
    let simulator = start(Profile::anthropic()).await;
    let (_, answer) = ask(&simulator, &request("claude-sonnet-4-5", "get_weather", &manual)).await;
    let (thinking, call) = (&answer["content"][0], &answer["content"][1]);
    assert_eq!(thinking["type"], "thinking", "{answer}");
    let mut altered = thinking.clone();
    altered["thinking"] = json!("something else");
    for (content, manual_status, plain_status) in
        // What another model thought is passed over.
        [(json!([thinking, call]), 200, 200), (json!([altered, call]), 400, 200), (json!([call]), 400, 200)]
    {
        let messages = json!([
            {"role": "user", "content": "get_weather"}, {"role": "assistant", "content": content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "rain"}]},
        ]);
        for (model, more, expected) in
            [("claude-sonnet-4-5", &manual, manual_status), ("claude-opus-5-5", &json!({}), plain_status)]
        {
            let mut body = request(model, "", more);
            body["messages"] = messages.clone();
            let (status, answer) = ask(&simulator, &body).await;
            assert_eq!(status, expected, "{model} {content}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_signature_holds_for_one_text_and_one_conversation() {
    let simulator = start(Profile::anthropic()).await;
    let shown = json!({"tools": weather_tool(), "thinking": {"type": "adaptive", "display": "summarized"}});
    let first = request("claude-opus-5-5", "get_weather", &shown);
    let (_, answer) = ask(&simulator, &first).await;
    let (thinking, call) = (&answer["content"][0], &answer["content"][1]);
    let with = |change: Change| {
        let mut body = first.clone();
        let result = json!([{"type": "tool_result", "tool_use_id": call["id"], "content": "rain"}]);
        body["messages"].as_array_mut().unwrap().extend([
            json!({"role": "assistant", "content": [thinking, call]}),
            json!({"role": "user", "content": result}),
        ]);
        change(&mut body);
        body
    };
    let cases: [(&str, Change); 9] = [
        ("", |_| {}),
        // A deferred tool is read where a reference to it stands.
        ("", |body| {
            let late = json!({"name": "late", "input_schema": {"type": "object"}, "defer_loading": true});
            body["tools"].as_array_mut().unwrap().insert(0, late);
        }),
        ("", |body| body["messages"][0]["content"] = json!([{"type": "text", "text": "get_weather"}])),
        ("cannot be modified", |body| body.pointer_mut(BLOCK).unwrap()["thinking"] = json!("something else")),
        ("Invalid `signature`", |body| body.pointer_mut(BLOCK).unwrap()["signature"] = json!("c2ln")),
        ("signature", |body| drop(body.pointer_mut(BLOCK).unwrap().as_object_mut().unwrap().remove("signature"))),
        ("bound to a different conversation", |body| body["tools"][0]["description"] = json!("Another one.")),
        ("bound to a different conversation", |body| body["messages"][0]["content"] = json!("get_weather now")),
        // A beta that the request does not name.
        ("Extra inputs", |body| body["thinking"]["block_binding"] = json!({"prefix_mismatch_behavior": "drop_block"})),
    ];
    for (problem, change) in cases {
        let body = with(change);
        let (status, answer) = ask(&simulator, &body).await;
        assert_eq!(status, if problem.is_empty() { 200 } else { 400 }, "{problem}: {answer}");
        assert!(answer.to_string().contains(problem), "{problem}: {answer}");
    }
}

#[tokio::test]
async fn what_another_organisation_signed_is_foreign() {
    let (ours, theirs) = (start(Profile::anthropic()).await, start(Profile::generic_messages("another")).await);
    for script in ["", "redacted"] {
        let field = if script.is_empty() { "signature" } else { "data" };
        ours.script(script).unwrap();
        theirs.script(script).unwrap();
        let first = request("claude-opus-5-5", "hi", &json!({"thinking": {"type": "adaptive"}}));
        for (simulator, expected) in [(&ours, 200), (&theirs, 400)] {
            let (_, answer) = ask(simulator, &first).await;
            let mut body = first.clone();
            body["messages"].as_array_mut().unwrap().extend([
                json!({"role": "assistant", "content": answer["content"]}),
                json!({"role": "user", "content": "And now?"}),
            ]);
            let (status, answer) = ask(&ours, &body).await;
            assert_eq!(status, expected, "{script}: {answer}");
            assert_eq!(answer.to_string().contains(&format!("Invalid `{field}`")), expected == 400, "{answer}");
        }
    }
}

#[tokio::test]
async fn redacted_thoughts_come_whole_and_streamed_and_bound_to_their_place() {
    let simulator = start(Profile::anthropic()).await;
    simulator.script("redacted x2").unwrap();
    let first = request("claude-opus-5-5", "hi", &json!({}));
    let (_, answer) = ask(&simulator, &first).await;
    let block = &answer["content"][0];
    assert_eq!((&block["type"], block.as_object().unwrap().len()), (&json!("redacted_thinking"), 2), "{answer}");
    let mut streamed = first.clone();
    streamed["stream"] = json!(true);
    let (events, _) = stream(&simulator, &streamed).await;
    assert!(events.contains(&block.to_string()), "{events}");
    assert!(!events.contains("signature_delta"), "{events}");

    let mut signature = block.clone();
    signature["type"] = json!("thinking");
    signature["thinking"] = json!("");
    signature["signature"] = signature.as_object_mut().unwrap().remove("data").unwrap();
    for (thought, question, expected) in [
        (block, "hi", ""),
        (block, "hello", "bound to a different conversation"),
        (&signature, "hi", "cannot be modified"),
    ] {
        let mut body = first.clone();
        body["messages"] = json!([
            {"role": "user", "content": question},
            {"role": "assistant", "content": [thought, answer["content"][1]]},
            {"role": "user", "content": "And now?"},
        ]);
        let (status, answer) = ask(&simulator, &body).await;
        assert_eq!(status, if expected.is_empty() { 200 } else { 400 }, "{expected}: {answer}");
        assert!(answer.to_string().contains(expected), "{expected}: {answer}");
    }
}
