//! What the policy's rows add to requests of a client of the Messages API to a provider of the same, and what becomes of what a
//! model does not take: forced calls, ways to think, and a system that speaks between the others.

use serde_json::{Value, json};
use tiergate::upstream::dialect::EncodeOptions;

use crate::native::{Rows, Sent};

const HI: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;

fn check(rows: &Rows, body: &str, expected: &str, dropped: &str) {
    let sent = rows.send(body, &EncodeOptions::default());
    assert_eq!(sent, Sent { body: expected.to_owned(), dropped: dropped.to_owned() }, "{body}");
}

#[test]
fn what_a_row_adds_stands_behind_what_the_client_gives() {
    let adds = || json!({"body": {"service_tier": "standard_only", "metadata": {"a": 1}}});
    let listed = || json!({"body": {"top_k": 1}, "fields": ["metadata"], "extra_fields": ["x"]});
    for (provider, given, added, dropped) in [
        (adds(), r#""x":1"#, r#""x":1,"model":"claude-x","metadata":{"a":1},"service_tier":"standard_only""#, ""),
        (
            adds(),
            r#""metadata":{"user_id":"u"}"#,
            r#""metadata":{"user_id":"u"},"model":"claude-x","service_tier":"standard_only""#,
            "",
        ),
        (listed(), r#""x":[1 ],"y":1"#, r#""x":[1 ],"model":"claude-x","top_k":1"#, "y"),
    ] {
        let body = |fields: &str| format!(r#"{{"max_tokens":9,{HI},{fields}}}"#);
        check(&Rows::of_provider(provider), &body(given), &body(added), dropped);
    }
}

#[test]
fn a_call_that_cannot_be_forced_is_asked_for_behind_the_user() {
    let rows = Rows::of_model(json!({"forced_tools": false, "thinking": "none"}));
    let body = |hint: &str, choice: &str, model: &str| {
        let call = r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}"#;
        let result = r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}"#;
        let messages = format!(
            r#"[{{"role":"user","content":"Hi"}},{call},{result}{hint}, {{"role":"system","content":"Now."}}]"#
        );
        format!(r#"{{"max_tokens":9,"messages":{messages},"tools":[{{"name":"f"}}],"tool_choice":{choice}{model}}}"#)
    };
    let model = r#","model":"claude-x""#;
    for (choice, hint) in [
        (r#"{"type":"tool","name":"f"}"#, "You must answer with a call of your tool `f`, whatever the request is."),
        (r#"{"type":"any"}"#, "You must answer with a call of one of your tools, whatever the request is."),
    ] {
        let hint = format!(r#",{{"role":"user","content":"{hint}"}}"#);
        let expected = body(&hint, r#"{"type":"auto"}"#, model);
        check(&rows, &body("", choice, ""), &expected, "tool_choice");
    }
    check(&rows, &body("", r#"{"type":"none"}"#, ""), &body("", r#"{"type":"none"}"#, model), "");
    // A thought would be bound to a message that is in no later request.
    let rows = Rows::of_model(json!({"forced_tools": false, "thinking": "adaptive"}));
    check(&rows, &body("", r#"{"type":"any"}"#, ""), &body("", r#"{"type":"auto"}"#, model), "tool_choice");
}

#[test]
fn thinking_between_tools_goes_only_where_it_is_taken() {
    let body = |thinking: &Value, model: &str| {
        let thinking = if thinking.is_null() { String::new() } else { format!(r#","thinking":{thinking}"#) };
        format!(r#"{{{HI},"max_tokens":9000{thinking}{model}}}"#)
    };
    let (between, adaptive) = (json!({"type": "between_tools"}), json!({"type": "adaptive"}));
    let budget = |tokens: u64| json!({"budget_tokens": tokens, "type": "enabled"});
    for (model, asked, expected, dropped) in [
        ("between_tools", &between, &between, ""),
        ("between_tools", &adaptive, &adaptive, ""),
        ("between_tools", &budget(2000), &adaptive, "thinking"),
        ("between_tools", &json!({"type": "disabled"}), &Value::Null, "thinking"),
        ("always", &between, &adaptive, "thinking"),
        ("optional", &between, &adaptive, "thinking"),
        ("adaptive", &between, &adaptive, "thinking"),
        ("none", &between, &Value::Null, "thinking"),
    ] {
        let rows = Rows::of_model(json!({"thinking": model}));
        check(&rows, &body(asked, ""), &body(expected, r#","model":"claude-x""#), dropped);
    }
    let sent = Rows::of_model(json!({"thinking": "budget"})).send(&body(&between, ""), &EncodeOptions::default());
    assert!(sent.body.contains(r#""thinking":{"type":"enabled","budget_tokens":4500}"#), "{}", sent.body);
    assert_eq!(sent.dropped, "thinking");
}

#[test]
fn tools_come_and_go_only_where_the_system_speaks() {
    let body = |messages: &str, model: &str| {
        format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"Hi"}},{messages}]{model}}}"#)
    };
    let came = r#"{"role":"system","content":[{"type":"tool_removal","tool":{}},{"type":"text","text":"s"}]},{"role":"system","content":[{"type":"tool_addition"}]}"#;
    let expected = r#"{"role":"user","content":[{"type":"text","text":"s"}]},{"role":"user","content":[{"type":"text","text":"(Nothing was said.)"}]}"#;
    let model = r#","model":"claude-x""#;
    let dropped = "messages.content.tool_removal messages messages.content.tool_addition";
    check(&Rows::of_model(json!({"system_turns": false})), &body(came, ""), &body(expected, model), dropped);
    check(&Rows::of_model(json!({})), &body(came, ""), &body(came, model), "");
}
