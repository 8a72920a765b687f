//! The calls of translated answers say in their ids who made them: later requests of the loop go there, and nobody sees the tag.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Reply};
use crate::scenario::{FIRST, ROOT, SECOND, Scenario, answer, client, json_reply, policy, secret_of, stream};

const LATER: Duration = Duration::from_millis(1);
const OLD: &str = "root-of-2025-0123456789abcdefghijklmnop";
const OLDEST: &str = "root-of-2024-0123456789abcdefghijklmnop";
const MARK: &str = "_tg1";

/// The tier `large` with the model of the provider `second` before or behind the other one.
fn ordered(models: [&str; 2]) -> Value {
    let mut policy = policy();
    policy["tiers"][1]["candidates"] = json!(models.map(|model| json!({"model": model})));
    policy
}

/// The Secret Store with these roots, the newest first.
fn rooted(scenario: Scenario, roots: &[&str]) -> Scenario {
    let places = [FIRST, SECOND].map(|host| format!("\"https://{host}\":{}", json!(secret_of(host))));
    let roots: Vec<String> = roots.iter().enumerate().map(|(at, root)| format!("\"{at}\":{}", json!(root))).collect();
    scenario.secret("tiergate", &format!("{{{},\"hmac\":{{{}}}}}", places.join(","), roots.join(",")))
}

/// A whole answer of the chat API that makes these calls.
fn calling(ids: &[&str]) -> Reply {
    let call = |id: &&str| json!({"id": id, "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(call).collect::<Vec<_>>()});
    let choice = json!({"index": 0, "finish_reason": "tool_calls", "message": message});
    json_reply(200, json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}))
}

fn question() -> Value {
    json!({"role": "user", "content": "Look."})
}

fn body(messages: &[Value], more: Value) -> Value {
    let tool = json!({"name": "look", "input_schema": {"type": "object"}});
    let mut body = json!({"model": "large", "max_tokens": 100, "tools": [tool], "messages": messages});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// A step of a loop: what a call and its result have as ids.
fn step(ids: &[&str]) -> Vec<Value> {
    let call = |id: &&str| json!({"type": "tool_use", "id": id, "name": "look", "input": {}});
    let result = |id: &&str| json!({"type": "tool_result", "tool_use_id": id, "content": "seen"});
    vec![
        question(),
        json!({"role": "assistant", "content": ids.iter().map(call).collect::<Vec<_>>()}),
        json!({"role": "user", "content": ids.iter().map(result).collect::<Vec<_>>()}),
    ]
}

/// An agent whose client may pin.
fn agent(models: [&str; 2]) -> Scenario {
    let scenario = Scenario::new().policy(ordered(models)).client(client(json!({"may_pin": true})));
    rooted(scenario, &[ROOT]).path(Method::POST, "/v1/messages")
}

/// The id of a call `call_1` of the provider `second`, tagged with a root.
fn tagged_with(root: &str) -> String {
    let scenario = rooted(agent(["two", "one"]), &[root]).ask(body(&[question()], json!({})));
    let scenario = scenario.provider(SECOND, calling(&["call_1"])).run();
    let id = scenario.json()["content"][0]["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("call_1_tg1") && id.len() == "call_1".len() + 18, "{id}");
    id
}

fn tagged() -> String {
    tagged_with(ROOT)
}

/// Who was asked in which order, and why.
fn told(scenario: &Scenario) -> (Vec<String>, String) {
    assert_eq!(scenario.status(), 200, "{}", scenario.text());
    (scenario.asked(), scenario.response_header("x-route-reason"))
}

/// The ids of the calls and of the results that went to a provider of the chat API.
fn ids_at(scenario: &Scenario, host: &str) -> Vec<String> {
    let sent = scenario.sent_to(host);
    let messages = sent["messages"].as_array().expect("messages").iter();
    let ids = messages.flat_map(|message| {
        let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["id"]);
        calls.chain(Some(&message["tool_call_id"])).filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    });
    ids.collect()
}

#[test]
fn a_step_stays_with_who_made_the_call_and_shows_it_its_own_id() {
    let id = tagged();
    let scenario = agent(["one", "two"]).ask(body(&step(&[&id]), json!({}))).provider(SECOND, answer("Seen.")).run();
    assert_eq!(told(&scenario), (vec![SECOND.to_owned()], "tool_loop".to_owned()));
    assert_eq!(ids_at(&scenario, SECOND), ["call_1", "call_1"]);
    assert_eq!(scenario.log()["reason"], json!(["tool_loop"]), "{}", scenario.log());
}

#[test]
fn nothing_is_said_where_the_order_was_so_already() {
    let id = tagged();
    let scenario = agent(["two", "one"]).ask(body(&step(&[&id]), json!({}))).provider(SECOND, answer("Seen.")).run();
    assert_eq!(told(&scenario), (vec![SECOND.to_owned()], String::new()));
}

#[test]
fn who_fails_is_followed_by_the_others_which_see_the_plain_id() {
    let id = tagged();
    let busy = json_reply(500, json!({"error": {"message": "busy"}}));
    let scenario = agent(["one", "two"]).ask(body(&step(&[&id]), json!({})));
    let scenario = scenario.provider(SECOND, busy).provider(FIRST, answer("Seen.")).run();
    assert_eq!(told(&scenario), (vec![SECOND.to_owned(), FIRST.to_owned()], "tool_loop".to_owned()));
    assert_eq!(ids_at(&scenario, FIRST), ["call_1", "call_1"]);
    let scenario = scenario.provider(FIRST, answer("Seen.")).again_after(LATER);
    let (asked, reasons) = told(&scenario);
    assert_eq!((asked.len(), reasons.as_str()), (3, "candidate_cooling"), "it is not healthy any more: {asked:?}");
}

#[test]
fn only_the_last_turns_results_bind() {
    let id = tagged();
    let mut messages = step(&[&id]);
    messages.push(json!({"role": "assistant", "content": "Seen."}));
    messages.push(question());
    let scenario = agent(["one", "two"]).ask(body(&messages, json!({}))).provider(FIRST, answer("So.")).run();
    assert_eq!(told(&scenario), (vec![FIRST.to_owned()], String::new()));
    assert_eq!(ids_at(&scenario, FIRST), ["call_1", "call_1"], "the tag is taken off all the same");
}

#[test]
fn a_tag_widens_neither_rules_nor_pins_nor_tiers() {
    let id = tagged();
    let mut ruled = ordered(["one", "two"]);
    ruled["rules"] = json!([{"name": "at first", "when": {}, "then": {"providers": ["first"]}}]);
    let ask = |policy: Value, more: Value| {
        agent(["one", "two"]).policy(policy).ask(body(&step(&[&id]), more)).provider(FIRST, answer("Seen."))
    };
    let pinned = ask(ordered(["one", "two"]), json!({})).header("x-route-model", "one").run();
    let small = ask(ordered(["one", "two"]), json!({"tools": null, "model": "small"})).run();
    let mut small_with_tools = ordered(["one", "two"]);
    small_with_tools["models"]["plain"]["tools"] = json!(true);
    for scenario in [ask(ruled, json!({})).run(), pinned, ask(small_with_tools, json!({"model": "small"})).run(), small]
    {
        let (asked, reasons) = told(&scenario);
        assert_eq!((asked, reasons.contains("tool_loop")), (vec![FIRST.to_owned()], false), "{reasons}");
        assert_eq!(ids_at(&scenario, FIRST), ["call_1", "call_1"]);
    }
}

#[test]
fn what_is_forged_foreign_or_too_old_is_taken_off_and_not_believed() {
    let (id, foreign) = (tagged(), tagged_with("another-root-0123456789abcdefghijklmnop"));
    let forged: Vec<String> = (0..id.len())
        .map(|at| {
            let mut bytes = id.clone().into_bytes();
            bytes[at] = if bytes[at] == b'a' { b'b' } else { b'a' };
            String::from_utf8(bytes).expect("ASCII")
        })
        .collect();
    for other in forged.iter().chain([&foreign]) {
        let scenario = agent(["one", "two"]).ask(body(&step(&[other]), json!({}))).provider(FIRST, answer("x")).run();
        assert_eq!(told(&scenario), (vec![FIRST.to_owned()], String::new()), "{other}");
        let plain = if other.contains(MARK) { &other[..6] } else { other };
        assert_eq!(ids_at(&scenario, FIRST), [plain, plain]);
    }
    for (roots, is_known) in [(&[ROOT, OLD][..], true), (&[OLD, OLDEST], true), (&[ROOT], false)] {
        let id = tagged_with(OLD);
        let scenario = rooted(agent(["one", "two"]), roots).ask(body(&step(&[&id]), json!({})));
        let scenario = scenario.provider(FIRST, answer("x")).provider(SECOND, answer("x")).run();
        let expected = if is_known { SECOND } else { FIRST };
        assert_eq!(scenario.asked(), [expected], "{roots:?}");
        assert_eq!(ids_at(&scenario, expected), ["call_1", "call_1"], "{roots:?}");
    }
}

#[test]
fn a_split_is_drawn_behind_who_made_the_call() {
    let id = tagged();
    let mut split = ordered(["one", "two"]);
    for (weights, moves) in [([1_000, 1], true), ([1, 1_000], false)] {
        let members = [("one", weights[0]), ("two", weights[1])];
        split["tiers"][1]["candidates"] =
            json!([{"split": members.map(|(model, weight)| json!({"model": model, "weight": weight}))}]);
        let scenario = agent(["one", "two"]).policy(split.clone()).ask(body(&step(&[&id]), json!({})));
        let scenario = scenario.provider(SECOND, answer("Seen.")).run();
        assert_eq!(told(&scenario), (vec![SECOND.to_owned()], if moves { "tool_loop" } else { "" }.to_owned()));
    }
}

#[test]
fn the_plan_that_is_shown_is_the_same() {
    let id = tagged();
    let scenario = agent(["one", "two"]).path(Method::POST, "/v1/route").header("anthropic-version", "2023-06-01");
    let shown = scenario.ask(body(&step(&[&id]), json!({}))).run().json();
    let models: Vec<&Value> = shown["candidates"].as_array().unwrap().iter().map(|shown| &shown["model"]).collect();
    assert_eq!((models, &shown["reason"]), (vec![&json!("two"), &json!("one")], &json!(["tool_loop"])), "{shown}");
}

/// The policy in which the provider `second` speaks the Messages API.
fn with_anthropic(models: [&str; 2]) -> Value {
    let mut policy = ordered(models);
    let row = json!({"dialect": "anthropic-messages", "auth": "x-api-key"});
    policy["providers"]["second"].as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
    policy
}

fn message(blocks: Value, stop_reason: &str) -> Reply {
    json_reply(
        200,
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": stop_reason, "content": blocks,
            "usage": {"input_tokens": 9, "output_tokens": 9},
        }),
    )
}

#[test]
fn what_goes_out_as_it_came_has_no_tag_and_may_go_anywhere() {
    let calls = json!([{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]);
    let own = agent(["two", "one"]).policy(with_anthropic(["two", "one"])).ask(body(&[question()], json!({})));
    let own = own.provider(SECOND, message(calls, "tool_use")).run();
    assert_eq!(own.json()["content"][0]["id"], "toolu_1");
    let chat = rooted(Scenario::new().policy(ordered(["one", "two"])), &[ROOT]);
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
    let chat = chat.ask(json!({"model": "large", "messages": [question()], "tools": [tool]}));
    let chat = chat.provider(FIRST, calling(&["call_1"])).run();
    assert_eq!(chat.json()["choices"][0]["message"]["tool_calls"][0]["id"], "call_1");
    // A call of another API's model in the history of one that gets the client's own bytes.
    let id = tagged();
    let scenario = agent(["two", "one"]).policy(with_anthropic(["two", "one"])).ask(body(&step(&[&id]), json!({})));
    let seen = message(json!([{"type": "text", "text": "Seen."}]), "end_turn");
    let sent = scenario.provider(SECOND, seen).run().sent_to(SECOND);
    assert_eq!(
        (&sent["messages"][1]["content"][0]["id"], &sent["messages"][2]["content"][0]["tool_use_id"]),
        (&json!("call_1"), &json!("call_1"))
    );
}

#[test]
fn a_chat_client_gets_tags_from_models_of_another_api() {
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
    let ask = |messages: &[Value], stream: bool| json!({"model": "large", "messages": messages, "tools": [tool], "stream": stream});
    let chat = |models| rooted(Scenario::new().policy(with_anthropic(models)), &[ROOT]);
    let calls = json!([{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]);
    let whole = chat(["two", "one"]).ask(ask(&[question()], false)).provider(SECOND, message(calls, "tool_use")).run();
    let told_whole = whole.json()["choices"][0]["message"].clone();
    let id = told_whole["tool_calls"][0]["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("toolu_1_tg1"), "{id}");
    let events = [
        json!({"type": "message_start", "message": {"id": "m1", "model": "m"}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}}),
        json!({"type": "message_stop"}),
    ];
    let events: Vec<String> =
        events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).collect();
    let streamed = chat(["two", "one"]).ask(ask(&[question()], true));
    let streamed = streamed.provider(SECOND, stream(events.iter().map(String::as_str).collect())).run();
    assert_eq!(streamed.text().matches(&format!("\"id\":\"{id}\"")).count(), 1, "{}", streamed.text());
    let result = json!({"role": "tool", "tool_call_id": id, "content": "seen"});
    let seen = message(json!([{"type": "text", "text": "Seen."}]), "end_turn");
    let next = chat(["one", "two"])
        .ask(ask(&[question(), told_whole.clone(), result.clone()], false))
        .provider(SECOND, seen)
        .run();
    assert_eq!(told(&next), (vec![SECOND.to_owned()], "tool_loop".to_owned()));
    let sent = next.sent_to(SECOND);
    assert!(!sent.to_string().contains(MARK) && sent.to_string().contains("\"toolu_1\""), "{sent}");
    let mut elsewhere = with_anthropic(["one", "two"]);
    elsewhere["rules"] = json!([{"name": "at first", "when": {}, "then": {"providers": ["first"]}}]);
    let own = chat(["one", "two"])
        .policy(elsewhere)
        .ask(ask(&[question(), told_whole, result], false))
        .provider(FIRST, answer("Seen."))
        .run();
    assert_eq!(ids_at(&own, FIRST), ["toolu_1", "toolu_1"]);
}

#[test]
fn without_a_root_there_is_no_tag() {
    let scenario = Scenario::new().policy(ordered(["two", "one"])).path(Method::POST, "/v1/messages");
    let scenario = scenario.ask(body(&[question()], json!({}))).provider(SECOND, calling(&["call_1"])).run();
    assert_eq!(scenario.json()["content"][0]["id"], "call_1");
    let id = tagged();
    let scenario = scenario.ask(body(&step(&[&id]), json!({}))).provider(SECOND, answer("x")).again_after(LATER);
    assert_eq!(ids_at(&scenario, SECOND), ["call_1", "call_1"], "of a time when there was one");
}

#[test]
fn ids_that_no_api_would_take_with_a_tag_have_none() {
    let (longest, longer) = ("a".repeat(46), "b".repeat(47));
    let scenario = agent(["two", "one"]).ask(body(&[question()], json!({})));
    let scenario = scenario.provider(SECOND, calling(&[&longest, &longer])).run();
    let content = scenario.json()["content"].clone();
    let ids: Vec<String> = [0, 1].map(|at| content[at]["id"].as_str().expect("an id").to_owned()).into();
    assert_eq!((ids[0].len(), &ids[1]), (64, &longer), "{ids:?}");
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let scenario = agent(["one", "two"]).ask(body(&step(&ids), json!({}))).provider(SECOND, answer("x")).run();
    assert_eq!(told(&scenario), (vec![SECOND.to_owned()], "tool_loop".to_owned()));
    let plain = agent(["two", "one"]).ask(body(&step(&[&longest, &longer]), json!({}))).provider(SECOND, answer("x"));
    assert_eq!(ids_at(&scenario, SECOND), ids_at(&plain.run(), SECOND));
}

/// A call whose stream breaks inside it is made again by whoever takes its place, and is that one's.
#[test]
fn a_call_of_a_stream_that_took_the_place_of_another_is_its_own() {
    let mut policy = ordered(["one", "two"]);
    policy["tiers"][1]["resume"] = json!("replay");
    let text = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"So\"}}]}\n\n";
    let call = |id: &str| {
        let call = json!({"index": 0, "id": id, "type": "function", "function": {"name": "look", "arguments": "{}"}});
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}))
    };
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    let Reply::Answer { delay, status, headers, mut chunks } = stream(vec![text, &call("call_0")]) else {
        unreachable!()
    };
    chunks.push(Chunk { delay: Duration::ZERO, bytes: Err(ReadError) });
    let broken = Reply::Answer { delay, status, headers, chunks };
    let whole = stream(vec![text, &call("call_1"), end]);
    let scenario = agent(["one", "two"]).policy(policy).ask(body(&[question()], json!({"stream": true})));
    let scenario = scenario.provider(FIRST, broken).provider(SECOND, whole).run();
    let text = scenario.text();
    assert!(text.contains(&format!("\"id\":\"{}\"", tagged())) && !text.contains("call_0"), "{text}");
}

/// Another execution makes the same tags, also for a client that gets the answer whole.
#[test]
fn a_call_after_continuations_has_the_same_tag() {
    let mut policy = ordered(["two", "one"]);
    policy["platform"] = json!({"events": 10});
    policy["tiers"][1]["deadlines"]["total_ms"] = json!(1_800_000);
    let word = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"w \"}}]}\n\n";
    let call = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"look\",\"arguments\":\"{}\"}}]}}]}\n\n";
    let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    for (more, executions) in [(json!({"stream": true}), 4), (json!({"max_tokens": 64_000}), 4)] {
        let mut parts = vec![word; 35];
        parts.extend([call, end]);
        let scenario = Scenario::new().policy(policy.clone()).continues().path(Method::POST, "/v1/messages");
        let scenario = scenario.ask(body(&[question()], more)).provider(SECOND, stream(parts)).run();
        let text = scenario.text();
        assert!(text.contains(&format!("\"id\":\"{}\"", tagged())), "{text}");
        assert!(scenario.log()["continued"].as_u64().is_some_and(|hops| hops + 1 >= executions), "{}", scenario.log());
    }
}
