//! What a request of the Messages dialect may hold only with a beta, and betas that a script refuses.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tiergate_simulator::{Profile, Simulator};

use crate::messages::request;
use crate::{KEY, start, url};

/// The simulator's problem with a request whose `anthropic-beta` is this; empty if there is none.
async fn problem(simulator: &Simulator, betas: &[&str], body: &Value) -> String {
    let mut headers = HeaderMap::new();
    for beta in betas {
        headers.append("anthropic-beta", beta.parse().unwrap());
    }
    headers.insert("anthropic-version", "2023-06-01".parse().unwrap());
    let request = reqwest::Client::new().post(url(simulator, "/v1/messages?beta=true")).bearer_auth(KEY);
    let response = request.headers(headers).json(body).send().await.unwrap();
    let status = response.status().as_u16();
    let answer: Value = response.json().await.unwrap();
    match status {
        200 => String::new(),
        400 => answer["error"]["message"].as_str().unwrap().to_owned(),
        status => panic!("{status}: {answer}"),
    }
}

#[tokio::test]
async fn fields_of_a_beta_need_its_name() {
    let simulator = start(Profile::anthropic()).await;
    let system = |more: Value| {
        let mut message = json!({"role": "system", "content": [{"type": "text", "text": "Be brief."}]});
        more.as_object().unwrap().iter().for_each(|(name, value)| message[name] = value.clone());
        json!({"messages": [{"role": "user", "content": "hi"}, message]})
    };
    let change = json!({"type": "tool_removal", "tool": {"type": "tool_reference", "name": "get_weather"}});
    let cases = [
        (json!({"context_management": {"edits": []}}), "context_management", "context-management-2025-06-27"),
        (
            system(json!({"output_config": {"effort": "low"}})),
            "messages.1.output_config",
            "per-turn-control-2026-07-01",
        ),
        // It says nothing and only sets what holds from there on.
        (
            system(json!({"content": [], "output_config": {"effort": "low"}})),
            "messages.1.output_config",
            "per-turn-control-2026-07-01",
        ),
        (system(json!({"content": [change]})), "messages.1.content.0", "mid-conversation-tool-changes-2026-07-01"),
        (
            json!({"thinking": {"type": "adaptive", "display": "updates"}}),
            "thinking.display",
            "thinking-display-updates-2026-08-18",
        ),
        (
            json!({"thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "error"}}}),
            "thinking.block_binding",
            "thinking-binding-controls-2026-08-01",
        ),
    ];
    for (more, place, beta) in cases {
        let body = request("claude-opus-5-5", "hi", &more);
        for betas in [&[][..], &["other-2026-01-01"]] {
            let expected = format!("{place}: Extra inputs are not permitted");
            assert_eq!(problem(&simulator, betas, &body).await, expected, "{betas:?}");
        }
        for betas in [&[beta][..], &["other-2026-01-01", beta], &[&format!("other-2026-01-01, {beta}")]] {
            assert_eq!(problem(&simulator, betas, &body).await, "", "{betas:?}");
        }
    }
}

#[tokio::test]
async fn a_conversation_that_the_server_would_hold_is_refused_so_that_clients_go_on_without() {
    let simulator = start(Profile::anthropic()).await;
    let body = request("claude-opus-5-5", "hi", &json!({"thread": {"type": "create"}}));
    assert_eq!(problem(&simulator, &[], &body).await, "thread: Extra inputs are not permitted");
    let request = reqwest::Client::new().post(url(&simulator, "/v1/messages")).bearer_auth(KEY);
    let request =
        request.header("anthropic-version", "2023-06-01").header("anthropic-beta", "message-threads-2026-08-12");
    let response = request.json(&body).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 400);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["error"]["details"]["error_code"], "thread_unsupported_request", "{answer}");
}

#[tokio::test]
async fn a_script_refuses_a_beta_by_its_name() {
    let simulator = start(Profile::anthropic()).await;
    let body = request("claude-opus-5-5", "hi", &json!({}));
    for (beta, is_refused) in [("new-2026-10-01", true), ("new-2026-10-02", false)] {
        simulator.script("refuse-beta=new-2026-10-01").unwrap();
        let problem = problem(&simulator, &["old-2025-01-01", beta], &body).await;
        assert_eq!(
            problem.contains(&format!("Unexpected value(s) `{beta}` for the `anthropic-beta` header")),
            is_refused
        );
        assert_eq!(problem.is_empty(), !is_refused, "{problem}");
    }
}
