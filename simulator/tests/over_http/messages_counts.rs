//! The small paths of the Messages API: how many tokens a request has, and the greeting of clients that warm up.

use serde_json::{Value, json};
use tiergate_simulator::{Profile, Simulator};

use crate::messages::{request, weather_tool};
use crate::{KEY, start, start_scripted, url};

async fn count(simulator: &Simulator, body: &Value) -> (u16, Value) {
    let request = reqwest::Client::new().post(url(simulator, "/v1/messages/count_tokens?beta=true"));
    let request = request.header("x-api-key", KEY).header("anthropic-version", "2023-06-01");
    let response = request.json(body).send().await.unwrap();
    assert!(response.headers().contains_key("request-id"));
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A request to count is one without what only an answer needs.
fn question(text: &str, more: &Value) -> Value {
    let mut body = request("claude-opus-5-5", text, more);
    body.as_object_mut().unwrap().remove("max_tokens");
    body
}

#[tokio::test]
async fn more_is_counted_as_more() {
    // A step of a script is for answers.
    let simulator = start_scripted(Profile::anthropic(), "status=500").await;
    let more = [json!({}), json!({"system": "Be brief."}), json!({"system": "Be brief.", "tools": weather_tool()})];
    let mut counted = 0;
    for more in more {
        let (status, answer) = count(&simulator, &question("hi", &more)).await;
        let tokens = answer["input_tokens"].as_u64().unwrap_or_default();
        assert_eq!((status, answer.as_object().unwrap().len()), (200, 1), "{answer}");
        assert!(tokens > counted, "{answer}");
        counted = tokens;
    }
    let long = question(&"word ".repeat(1_000_000), &json!({}));
    assert!(count(&simulator, &long).await.1["input_tokens"].as_u64().unwrap() > 1_000_000, "however long");
}

#[tokio::test]
async fn what_cannot_be_counted_is_said() {
    let simulator = start(Profile::anthropic()).await;
    let cases = [
        (json!({"stream": true}), 400, "stream: Extra inputs are not permitted"),
        (json!({"max_tokens": 1}), 400, "max_tokens: Extra inputs are not permitted"),
        (json!({"messages": []}), 400, "messages"),
        (json!({"model": "claude-1"}), 404, "model: claude-1"),
        (json!({"context_management": {"edits": []}}), 400, "context_management: Extra inputs"),
    ];
    for (more, expected, problem) in cases {
        let mut body = question("hi", &json!({}));
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        let (status, answer) = count(&simulator, &body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(problem), "{answer}");
    }
}

#[tokio::test]
async fn a_greeting_needs_no_key() {
    let simulator = start(Profile::anthropic()).await;
    let response = reqwest::Client::new().head(url(&simulator, "/api/hello")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let chat = start(Profile::openai()).await;
    let response = reqwest::Client::new().head(url(&chat, "/api/hello")).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 404);
}
