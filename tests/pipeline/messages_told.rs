//! What a client of the Messages API is told: counts and who counted, errors by their meaning, names of its own API, models page by
//! page, and answers of its own API in full.

use http::Method;
use serde_json::{Value, json};

use crate::fake::Reply;
use crate::scenario::{FIRST, SECOND, Scenario, answer, client, json_reply, policy, reply, stream};

const PATH: &str = "/v1/messages";
const COUNT: &str = "/v1/messages/count_tokens";

fn body(more: Value) -> Value {
    let mut body = json!({"model": "small", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}]});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

/// A policy whose first provider speaks the client's own API.
fn own() -> Value {
    let mut policy = policy();
    policy["providers"]["first"]["dialect"] = json!("anthropic-messages");
    policy
}

fn asking(path: &str, policy: Value, more: Value) -> Scenario {
    Scenario::new().path(Method::POST, path).policy(policy).ask(body(more))
}

/// Who answered, after which attempts, and why.
fn who(scenario: &Scenario) -> [String; 4] {
    ["x-route-provider", "x-route-model", "x-route-attempts", "x-route-reason"]
        .map(|name| scenario.response_header(name))
}

fn refusal(status: u16, kind: &str, message: &str) -> Reply {
    json_reply(status, json!({"type": "error", "error": {"type": kind, "message": message}}))
}

#[test]
fn a_count_says_who_counted() {
    let counted = asking(COUNT, own(), json!({"stream": true}))
        .provider(FIRST, json_reply(200, json!({"input_tokens": 4711})))
        .run();
    assert_eq!(counted.json(), json!({"input_tokens": 4711}));
    assert_eq!(who(&counted), ["first", "plain", "first/plain:200", ""]);
    assert_eq!(counted.log()["attempts"][0]["outcome"], "200", "{}", counted.log());
    assert_eq!(counted.log()["cost_usd"], Value::Null, "a count is free");
    let estimated = asking(COUNT, policy(), json!({})).run();
    assert_eq!(who(&estimated), ["", "", "", "estimated"]);
    assert_eq!(estimated.log()["reason"], json!(["estimated"]), "{}", estimated.log());
    for (outcome, reply) in [
        ("404", json_reply(404, json!({}))),
        ("404", refusal(404, "not_found_error", "model: first-upstream")),
        ("429", refusal(429, "rate_limit_error", "Slow down.")),
        ("500", refusal(500, "api_error", "Oh.")),
        ("529", refusal(529, "overloaded_error", "Overloaded")),
        ("401", refusal(401, "authentication_error", "invalid x-api-key")),
        ("400", refusal(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")),
        ("undecodable", json_reply(200, json!({"tokens": 1}))),
        ("timeout", json_reply(200, json!({"input_tokens": 1})).after(4_000)),
    ] {
        let scenario = asking(COUNT, own(), json!({"stream": true})).provider(FIRST, reply).run();
        assert_eq!((scenario.status(), scenario.json()), (200, estimated.json()), "{outcome}");
        assert_eq!(who(&scenario), ["", "", &format!("first/plain:{outcome}"), "estimated"]);
    }
}

#[test]
fn a_request_that_is_none_is_none_for_a_count_too() {
    let fault = "messages.0.content.0: unexpected `hologram`";
    for (path, status) in [(PATH, 400), (COUNT, 400), (COUNT, 422)] {
        let scenario =
            asking(path, own(), json!({})).provider(FIRST, refusal(status, "invalid_request_error", fault)).run();
        assert_eq!(scenario.status(), 400, "{path}: {}", scenario.text());
        assert_eq!(scenario.json()["error"], json!({"type": "invalid_request_error", "message": fault}), "{path}");
        assert_eq!(scenario.response_header("x-route-attempts"), format!("first/plain:{status}"));
    }
    let keyed = refusal(400, "invalid_request_error", "bad field for super5ecretkey12345");
    let masked = asking(COUNT, own(), json!({})).provider(FIRST, keyed).run();
    assert_eq!(masked.json()["error"]["message"], "bad field for [masked]");
}

#[test]
fn a_prompt_above_every_context_is_counted_all_the_same() {
    let long = json!({"messages": [{"role": "user", "content": "word ".repeat(15_000)}]});
    let mut small = own();
    for model in ["plain", "one", "two"] {
        small["models"][model]["context"] = json!(2_000);
    }
    let refused = asking(PATH, small.clone(), long.clone()).run();
    assert_eq!(refused.status(), 400, "{}", refused.text());
    let counted = asking(COUNT, small.clone(), long.clone())
        .provider(FIRST, json_reply(200, json!({"input_tokens": 15_003})))
        .run();
    assert_eq!((counted.status(), counted.json()), (200, json!({"input_tokens": 15_003})));
    assert_eq!(who(&counted)[..2], ["first", "plain"]);
    small["providers"]["first"]["dialect"] = json!("openai-chat");
    let estimated = asking(COUNT, small.clone(), long).run();
    assert!(estimated.json()["input_tokens"].as_u64().is_some_and(|tokens| tokens > 15_000), "{}", estimated.text());
    let large = asking(COUNT, own(), json!({"max_tokens": 1_000_000_000}))
        .provider(FIRST, json_reply(200, json!({"input_tokens": 9})))
        .run();
    assert_eq!(large.json(), json!({"input_tokens": 9}), "what the answer may have is not counted");
    let nobody = json!({"tools": [{"name": "f", "input_schema": {"type": "object"}}], "messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}]}]});
    let nobody = asking(COUNT, policy(), nobody).run();
    assert_eq!(
        (nobody.status(), who(&nobody)),
        (200, ["", "", "", "estimated"].map(String::from)),
        "{}",
        nobody.text()
    );
}

#[test]
fn state_of_unknown_origin_is_counted_where_it_is_sent() {
    let messages = json!([{"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "EqQB"}, {"type": "text", "text": "a"}]},
        {"role": "user", "content": "Go on."}]);
    let mut policy = own();
    for model in ["plain", "one"] {
        policy["models"][model]["thinking"] = json!("adaptive");
    }
    for (pinned, is_sent) in [(true, true), (false, false)] {
        for (path, reply) in [
            (COUNT, json_reply(200, json!({"input_tokens": 9}))),
            (
                PATH,
                json_reply(
                    200,
                    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                "content": [{"type": "text", "text": "a"}], "usage": {"input_tokens": 9, "output_tokens": 1}}),
                ),
            ),
        ] {
            let more = json!({"messages": messages, "thinking": {"type": "adaptive"}});
            let scenario = asking(path, policy.clone(), more).client(client(json!({"may_pin": true})));
            let scenario = if pinned { scenario.header("x-route-model", "plain") } else { scenario };
            let scenario = scenario.provider(FIRST, reply).run();
            assert_eq!(scenario.status(), 200, "{}", scenario.text());
            let sent = scenario.sent_to(FIRST);
            let has_thought = sent["messages"][1]["content"][0]["type"] == "thinking";
            assert_eq!(has_thought, is_sent, "{path} {pinned}: {sent}");
        }
    }
}

#[test]
fn errors_have_the_type_of_their_meaning() {
    let overloaded = |status| refusal(status, "overloaded_error", "Overloaded");
    for (policy, reply, status, kind) in [
        (own(), overloaded(529), 529, "overloaded_error"),
        (own(), overloaded(200), 529, "overloaded_error"),
        (
            policy(),
            json_reply(503, json!({"error": {"message": "The model is overloaded.", "status": "UNAVAILABLE"}})),
            529,
            "overloaded_error",
        ),
        (
            policy(),
            json_reply(503, json!({"error": {"message": "x", "code": "server_is_overloaded"}})),
            529,
            "overloaded_error",
        ),
        (own(), refusal(429, "rate_limit_error", "Slow down."), 429, "rate_limit_error"),
        (own(), refusal(500, "api_error", "Oh."), 502, "api_error"),
        (policy(), reply(503, "text/html", vec!["<html>"]), 502, "api_error"),
        (own(), json_reply(200, json!({"type": "message"})).after(11_000), 504, "timeout_error"),
        (own(), refusal(404, "not_found_error", "model: first-upstream"), 502, "api_error"),
        (own(), refusal(401, "authentication_error", "invalid x-api-key"), 502, "api_error"),
        (own(), refusal(402, "billing_error", "Your credit balance is too low."), 503, "billing_error"),
    ] {
        let scenario = asking(PATH, policy, json!({})).provider(FIRST, reply).run();
        let error = scenario.json();
        assert_eq!((scenario.status(), error["error"]["type"].as_str()), (status, Some(kind)), "{error}");
    }
}

#[test]
fn a_stream_ends_with_the_type_of_what_broke_it() {
    let begun = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"half"}}"#,
    ];
    let event = |data: &str| {
        let value: Value = serde_json::from_str(data).expect("JSON");
        format!("event: {}\ndata: {data}\n\n", value["type"].as_str().expect("a type"))
    };
    let begun: String = begun.iter().map(|data| event(data)).collect();
    let error = |kind: &str| event(&json!({"type": "error", "error": {"type": kind, "message": "x"}}).to_string());
    for (last, kind) in [
        (error("overloaded_error"), "overloaded_error"),
        (error("rate_limit_error"), "rate_limit_error"),
        (error("api_error"), "api_error"),
        (String::new(), "api_error"),
    ] {
        let broken = stream(vec![&begun, &last]);
        let scenario = asking(PATH, own(), json!({"stream": true})).provider(FIRST, broken).run();
        let text = scenario.text();
        let ending = text.rsplit("event: error\ndata: ").next().unwrap_or_default();
        let ending: Value = serde_json::from_str(ending.trim()).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(ending["error"]["type"], kind, "{text}");
        assert_eq!(scenario.log()["error.type"], "stream_broken");
    }
}

#[test]
fn what_was_left_out_has_the_names_of_the_clients_api() {
    let mut policy = policy();
    policy["providers"]["first"]["unsupported_fields"] =
        json!(["stop", "user", "parallel_tool_calls", "response_format", "tools.function.strict"]);
    let model = policy["models"]["plain"].as_object_mut().expect("a model");
    model.extend(json!({"tools": true, "json_schema": true, "vision": true, "sampling": false, "forced_tools": false, "context": 100_000}).as_object().expect("an object").clone());
    model.insert("efforts".to_owned(), json!({"low": "low"}));
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    let more = json!({
        "max_tokens": 1_000_000, "stop_sequences": ["X"], "temperature": 0.5, "metadata": {"user_id": "u"},
        "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": true}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
        "messages": [{"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "See."}, image]}]}],
    });
    let mut fits = policy;
    fits["models"]["plain"]["context"] = json!(2_000_000);
    let scenario = asking(PATH, fits, more).provider(FIRST, answer("hi")).run();
    assert_eq!(scenario.status(), 200, "{}", scenario.text());
    let dropped = scenario.response_header("x-route-dropped");
    let mut names: Vec<&str> = dropped.split(',').collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "max_tokens",
            "messages.content.image",
            "metadata.user_id",
            "output_config.effort",
            "output_config.format",
            "stop_sequences",
            "temperature",
            "tool_choice",
            "tool_choice.disable_parallel_tool_use",
            "tools.strict",
        ]
    );
}

#[test]
fn models_are_listed_page_by_page() {
    let list = |query: &str| {
        let path = format!("/v1/models{query}");
        Scenario::new().path(Method::GET, &path).header("anthropic-version", "2023-06-01").run()
    };
    for (query, ids, has_more) in [
        ("?limit=1000", &["auto", "small", "large", "claude-auto", "claude-small", "claude-large"][..], false),
        ("?limit=2", &["auto", "small"], true),
        ("?limit=2&after_id=claude-auto", &["claude-small", "claude-large"], false),
        ("?before_id=large&limit=1", &["small"], true),
        ("?after_id=claude-large", &[], false),
    ] {
        let answer = list(query).json();
        let listed: Vec<&str> =
            answer["data"].as_array().expect("models").iter().filter_map(|model| model["id"].as_str()).collect();
        assert_eq!((&listed[..], &answer["has_more"]), (ids, &json!(has_more)), "{query}");
        assert_eq!(
            (answer["first_id"].as_str(), answer["last_id"].as_str()),
            (ids.first().copied(), ids.last().copied())
        );
    }
    for (query, param) in [("?limit=0", "limit"), ("?limit=ten", "limit"), ("?after_id=gpt-1", "after_id")] {
        let refused = list(query);
        assert_eq!((refused.status(), &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
        assert!(refused.json()["error"]["message"].as_str().is_some_and(|message| message.contains(param)));
        let chat = Scenario::new().path(Method::GET, &format!("/v1/models{query}")).run();
        assert_eq!((chat.status(), &chat.json()["error"]["param"]), (400, &json!(param)));
    }
    for name in ["auto", "claude-auto", "small", "claude-small"] {
        let one = Scenario::new().path(Method::GET, &format!("/v1/models/{name}")).run();
        let listed = list("").json()["data"][0].clone();
        let mut expected = listed;
        expected["id"] = json!(name);
        expected["display_name"] = json!(name);
        assert_eq!(one.json(), expected, "{name}");
    }
}

#[test]
fn a_long_answer_of_the_same_api_has_all_that_its_provider_would_have_sent_whole() {
    let found = json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []});
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "container": {"id": "c"},
        "content": [found, {"type": "text", "text": "It is.", "citations": [{"type": "web_search_result_location"}]}],
        "stop_reason": "end_turn", "stop_sequence": null, "context_management": {"applied_edits": []},
        "usage": {"input_tokens": 9, "output_tokens": 4, "server_tool_use": {"web_search_requests": 1}, "service_tier": "standard"}});
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
            "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1, "service_tier": "standard"}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": found}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "", "citations": []}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": {"type": "web_search_result_location"}}}),
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "It is."}}),
        json!({"type": "content_block_stop", "index": 1}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null, "container": {"id": "c"}},
            "usage": {"output_tokens": 4, "server_tool_use": {"web_search_requests": 1}}, "context_management": {"applied_edits": []}}),
        json!({"type": "message_stop"}),
    ];
    let events: Vec<String> = events
        .iter()
        .map(|data| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type")))
        .collect();
    let more = json!({"max_tokens": 32_000, "tools": [{"type": "web_search_20250305", "name": "web_search"}]});
    let mut policy = own();
    policy["models"]["plain"].as_object_mut().expect("a model").extend(
        json!({"tools": true, "max_output": 64_000, "context": 200_000}).as_object().expect("an object").clone(),
    );
    let streamed = stream(events.iter().map(String::as_str).collect());
    // Some send a whole body whatever they are asked for.
    for reply in [streamed, json_reply(200, message.clone())] {
        let scenario = asking(PATH, policy.clone(), more.clone()).provider(FIRST, reply).run();
        assert_eq!(scenario.sent_to(FIRST)["stream"], true);
        assert_eq!(scenario.json(), message);
        let log = scenario.log();
        assert_eq!((&log["gen_ai.usage.input_tokens"], &log["gen_ai.usage.output_tokens"]), (&json!(9), &json!(4)));
    }
    let cut = stream(events[..events.len() - 2].iter().map(String::as_str).collect());
    policy["tiers"][0]["candidates"] = json!([{"model": "plain"}, {"model": "two"}]);
    policy["models"]["two"]["max_output"] = json!(64_000);
    policy["models"]["two"]["context"] = json!(200_000);
    let other = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let scenario = asking(PATH, policy, more).provider(FIRST, cut).provider(SECOND, stream(vec![other])).run();
    assert_eq!(
        scenario.json()["content"],
        json!([{"type": "text", "text": "hi", "citations": null}]),
        "{}",
        scenario.text()
    );
}

#[test]
fn what_a_summary_stands_for_is_neither_sent_nor_counted() {
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    let summed = |summary: Value| {
        json!({"messages": [
            {"role": "user", "content": [{"type": "text", "text": "word ".repeat(15_000)}, image]},
            {"role": "assistant", "content": [{"type": "compaction", "content": summary}, {"type": "text", "text": "Well."}]},
            {"role": "user", "content": "Go on."},
        ]})
    };
    let scenario = asking(PATH, policy(), summed(json!("They said a word."))).provider(FIRST, answer("hi")).run();
    assert_eq!(scenario.status(), 200, "{}", scenario.text());
    assert_eq!(scenario.response_header("x-route-model"), "plain", "which has no room for all, and sees no images");
    let sent = scenario.sent_to(FIRST)["messages"].clone();
    assert_eq!(
        sent,
        json!([
            {"role": "user", "content": "The conversation until here, in short:\n\nThey said a word."},
            {"role": "assistant", "content": "Well."},
            {"role": "user", "content": "Go on."},
        ])
    );
    let failed = asking(PATH, policy(), summed(Value::Null)).provider(FIRST, answer("hi")).run();
    assert_eq!((failed.status(), failed.response_header("x-route-tier").as_str()), (200, "large"), "{}", failed.text());
    assert_eq!(failed.sent_to(FIRST)["messages"].as_array().map(Vec::len), Some(3));
}

/// A provider that prints the key it got, where it says nothing of an answer.
#[test]
fn an_event_that_is_none_of_the_answer_shows_no_key() {
    const KEY: &str = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().expect("a type"));
    let started = json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1}}});
    let events = [
        event(started),
        event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
        event(json!({"type": "ping", "debug": KEY})),
        event(json!({"type": "ping", "x": 1})),
        event(json!({"type": "vendor_debug", "authorization": format!("Bearer {KEY}")})),
        event(json!({"type": "vendor_news", "x": 1})),
        event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}})),
        event(json!({"type": "content_block_stop", "index": 0})),
        event(
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 4}}),
        ),
        event(json!({"type": "message_stop"})),
    ];
    let reply = stream(events.iter().map(String::as_str).collect());
    let scenario = asking(PATH, own(), json!({"stream": true})).provider(FIRST, reply).run();
    let text = scenario.text();
    assert!(!text.contains("sk-ant") && !text.contains("vendor_debug"), "{text}");
    for kept in ["event: ping\n", "\"x\":1", "vendor_news", "message_stop"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
}
