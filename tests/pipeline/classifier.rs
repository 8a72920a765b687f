//! The classifier as a candidate: its question is put, and its reply read, as its provider's row and its model's say.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scenario::{CLASSIFIER, FIRST, Scenario, answer, json_reply, policy, verdict};

/// The policy with other rows for the classifier's provider and model.
fn asked_by(provider: Value, model: Value) -> Value {
    let mut policy = policy();
    for (row, changes) in [(("providers", "classifier"), provider), (("models", "judge"), model)] {
        let row = policy[row.0][row.1].as_object_mut().unwrap();
        row.extend(changes.as_object().unwrap().clone());
        row.retain(|_, value| !value.is_null());
    }
    policy
}

fn message(text: &str, more: Value) -> crate::fake::Reply {
    let mut message = json!({
        "id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "thinking", "thinking": "", "signature": "s"}, {"type": "text", "text": text}],
        "usage": {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 9},
    });
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json_reply(200, message)
}

#[test]
fn a_claude_model_decides() {
    let provider = json!({"dialect": "anthropic-messages", "auth": "x-api-key"});
    let model = json!({"sampling": false, "thinking": "optional", "efforts": null});
    let reply = message(r#"{"tier":"small","confidence":0.9}"#, json!({}));
    let scenario = Scenario::new()
        .policy(asked_by(provider, model))
        .provider(CLASSIFIER, reply)
        .provider(FIRST, answer("hi"))
        .run();
    assert_eq!(scenario.response_header("x-route-source"), "classifier");
    assert_eq!(scenario.response_header("x-route-tier"), "small");
    let sent = scenario.sent_to(CLASSIFIER);
    assert_eq!((&sent["max_tokens"], &sent["thinking"]["type"]), (&json!(200), &json!("disabled")));
    let format = &sent["output_config"]["format"];
    assert_eq!(format["schema"]["properties"]["tier"]["enum"], json!(["small", "large"]));
    assert_eq!(sent["messages"].as_array().map(Vec::len), Some(1), "the prompt adds no message");
    let system = sent["system"][0]["text"].as_str().unwrap();
    assert!(system.contains("- small: Work for small.\n"), "{system}");
    {
        let sent = scenario.fake.sent.borrow();
        assert!(sent[0].url.ends_with("/v1/messages"), "{}", sent[0].url);
        assert_eq!(sent[0].headers["anthropic-version"], "2023-06-01");
    }
    let log = scenario.log();
    assert_eq!(log["classifier"]["gen_ai.usage.input_tokens"], 100);
}

#[test]
fn a_claude_models_cut_or_foreign_reply_is_none() {
    let rows = || asked_by(json!({"dialect": "anthropic-messages"}), json!({"efforts": null}));
    for (name, reply) in [
        ("cut", message(r#"{"tier":"small"}"#, json!({"stop_reason": "max_tokens"}))),
        ("refused", message("I would rather not.", json!({"stop_reason": "refusal"}))),
        ("of another API", verdict("small", 0.9)),
    ] {
        let scenario = Scenario::new().policy(rows()).provider(CLASSIFIER, reply).provider(FIRST, answer("hi")).run();
        assert_eq!(scenario.response_header("x-route-reason"), "classifier_invalid", "{name}");
    }
}

#[test]
fn rows_shape_the_question() {
    type Case = (&'static str, Value, Value, fn(&Value));
    let cases: [Case; 6] = [
        (
            "the least effort in the row's words",
            json!({}),
            json!({"efforts": {"high": "much", "low": "little"}}),
            |sent| {
                assert_eq!(
                    (&sent["reasoning_effort"], &sent["max_completion_tokens"]),
                    (&json!("little"), &json!(1_000))
                );
            },
        ),
        ("no effort where nobody knows the words", json!({}), json!({"efforts": null}), |sent| {
            assert_eq!(sent["reasoning_effort"], Value::Null);
        }),
        ("the limit's older name", json!({"quirks": ["max_tokens"]}), json!({}), |sent| {
            assert_eq!((&sent["max_tokens"], &sent["max_completion_tokens"]), (&json!(200), &Value::Null));
        }),
        (
            "fields that the provider lacks",
            json!({"unsupported_fields": ["max_completion_tokens"]}),
            json!({}),
            |sent| {
                assert_eq!(sent["max_completion_tokens"], Value::Null);
            },
        ),
        ("words in place of a schema", json!({}), json!({"json_schema": false}), |sent| {
            assert_eq!(sent["response_format"], Value::Null);
            let system: Vec<_> =
                sent["messages"].as_array().unwrap().iter().filter(|m| m["role"] == "system").collect();
            let last = system.last().unwrap()["content"].as_str().unwrap();
            assert!(last.contains("JSON Schema") && last.contains(r#""enum":["small","large"]"#), "{last}");
        }),
        (
            "words to a Claude model",
            json!({"dialect": "anthropic-messages"}),
            json!({"json_schema": false, "efforts": null}),
            |sent| {
                assert_eq!(sent["output_config"], json!({"effort": "low"}));
                let system = sent["system"].as_array().unwrap().last().unwrap()["text"].as_str().unwrap();
                assert!(system.contains(r#""enum":["small","large"]"#), "{system}");
            },
        ),
    ];
    for (name, provider, model, check) in cases {
        let scenario = Scenario::new()
            .policy(asked_by(provider, model))
            .provider(CLASSIFIER, verdict("small", 0.9))
            .provider(FIRST, answer("hi"))
            .run();
        println!("{name}");
        check(&scenario.sent_to(CLASSIFIER));
    }
}

#[test]
fn a_reply_is_found_in_prose() {
    let prose = "Of {small, large} I take:\n```json\n{\"tier\": \"small\", \"confidence\": 0.8}\n```\nas {asked}.";
    let scenario = Scenario::new().provider(CLASSIFIER, answer(prose)).provider(FIRST, answer("hi")).run();
    assert_eq!(scenario.response_header("x-route-tier"), "small");
    assert_eq!(scenario.response_header("x-route-confidence"), "0.80");
}

#[test]
fn a_classifier_that_a_client_did_not_wait_for_has_shown_nothing() {
    use crate::fake::Reply;
    let asking = |scenario: Scenario| scenario.provider(CLASSIFIER, Reply::Never).new_sandbox();
    let served = |scenario: Scenario| asking(scenario).provider(FIRST, answer("hi"));
    let second = Duration::from_secs(1);
    let scenario = served(served(Scenario::new()).run()).again_after(second);
    let scenario = asking(scenario.header("x-route-timeout-ms", "200")).again_after(second);
    assert_eq!(scenario.response_header("x-route-reason"), "classifier_timeout");
    let scenario = served(scenario.without_header("x-route-timeout-ms")).again_after(second);
    // The third that says something.
    let scenario = scenario.new_sandbox().provider(FIRST, answer("hi")).again_after(second);
    assert_eq!(scenario.response_header("x-route-reason"), "classifier_breaker_open");
}
