//! What lets an answer be repeated by, or gone on with at, another provider.

use serde_json::{Value, json};
use tiergate_simulator::{Profile, Quirk};

use crate::{ask, chunks, request, start, start_scripted, stream, streamed_text, weather_tool};

const TEXT: &str = "text=\"one two three, äöü\"";

fn content(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn two_providers_can_say_the_same_in_other_pieces() {
    let body = request("m", "hello", &json!({"stream": true}));
    let mut counts = Vec::new();
    for (name, words) in [("first", "chunk=3"), ("second", "chunk=4"), ("third", "events=2"), ("fourth", "")] {
        let simulator = start_scripted(Profile::generic(name), &format!("{TEXT} {words}")).await;
        let (text, _) = stream(&simulator, &body).await;
        let chunks = chunks(&text);
        assert_eq!(streamed_text(&chunks), "one two three, äöü", "{words}");
        counts.push(chunks.len() - 2);
    }
    assert_eq!(counts, [7, 5, 2, 4]);
}

#[tokio::test]
async fn a_call_can_be_scripted_with_and_without_text() {
    let simulator = start(Profile::generic("any")).await;
    let body = request("m", "hello", &json!({"tools": weather_tool()}));
    let cases = [
        ("call=get_weather", Value::Null, "get_weather", None),
        ("text=\"let me see\" call=get_weather arguments=\"\"", json!("let me see"), "get_weather", Some("")),
        ("call=other arguments=\"[1\"", Value::Null, "other", Some("[1")),
        ("call=other", Value::Null, "other", Some("{}")),
    ];
    for (script, text, name, arguments) in cases {
        simulator.script(script).unwrap();
        let (_, answer) = ask(&simulator, &body).await;
        let message = &answer["choices"][0]["message"];
        assert_eq!((&message["content"], &answer["choices"][0]["finish_reason"]), (&text, &json!("tool_calls")));
        let function = &message["tool_calls"][0]["function"];
        assert_eq!(function["name"], name, "{script}");
        match arguments {
            Some(arguments) => assert_eq!(function["arguments"], arguments, "{script}"),
            None => assert!(function["arguments"].as_str().is_some_and(|text| text.contains("\"city\"")), "{script}"),
        }
    }
}

#[tokio::test]
async fn an_assistant_message_at_the_end_is_gone_on_with() {
    let simulator = start(Profile::generic("any")).await;
    let cases = [
        (json!({"role": "assistant", "content": "one two "}), "three, äöü"),
        (json!({"role": "assistant", "content": "one t", "prefix": true}), "wo three, äöü"),
        (json!({"role": "assistant", "content": [{"type": "text", "text": "one"}]}), " two three, äöü"),
        (json!({"role": "assistant", "content": "something else"}), "one two three, äöü"),
        (json!({"role": "user", "content": "one"}), "one two three, äöü"),
    ];
    for (last, rest) in cases {
        simulator.script(&format!("{TEXT} x2")).unwrap();
        let messages = json!({"messages": [{"role": "user", "content": "count"}, last], "stream": true});
        let mut body = request("m", "", &messages);
        let (text, _) = stream(&simulator, &body).await;
        assert_eq!(streamed_text(&chunks(&text)), rest, "{last}");
        body["stream"] = json!(false);
        assert_eq!(content(&ask(&simulator, &body).await.1), rest, "{last}");
    }
}

#[tokio::test]
async fn a_provider_that_does_not_go_on_refuses() {
    let last = json!({"role": "assistant", "content": "one"});
    let messages = json!({"messages": [{"role": "user", "content": "count"}, last]});
    let refusing = Profile { quirks: &[Quirk::NoPrefill], ..Profile::generic("any") };
    let instructed =
        json!({"messages": [{"role": "user", "content": "count"}, last, {"role": "system", "content": "x"}]});
    for (profile, model) in
        [(refusing, "m"), (Profile::google(), "gemini-3.8-flash"), (Profile::inception(), "mercury-2")]
    {
        for messages in [&messages, &instructed] {
            let simulator = start_scripted(profile.clone(), TEXT).await;
            let (status, answer) = ask(&simulator, &request(model, "", messages)).await;
            assert_eq!(status, 400, "{model}: {answer}");
            assert!(answer.to_string().contains("go on with an assistant message"), "{model}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_answers_anew_says_all_of_its_answer() {
    let last = json!({"role": "assistant", "content": "one"});
    let messages = json!({"messages": [{"role": "user", "content": "count"}, last]});
    for (profile, model) in [(Profile::openai(), "gpt-6-sol"), (Profile::azure(), "m")] {
        let simulator = start_scripted(profile, TEXT).await;
        assert_eq!(content(&ask(&simulator, &request(model, "", &messages)).await.1), "one two three, äöü", "{model}");
    }
}

#[tokio::test]
async fn mistral_refuses_an_order_of_its_own() {
    let said_by = |role: &str| json!({"role": role, "content": "x"});
    let (user, system) = (said_by("user"), said_by("system"));
    let result = json!({"role": "tool", "content": "x", "tool_call_id": "123456789"});
    let answer = said_by("assistant");
    let begun = json!({"role": "assistant", "content": "x", "prefix": true});
    let simulator = start(Profile::mistral()).await;
    for (messages, expected) in [
        (json!([user, answer, result, user]), Some("'user' after role 'tool'")),
        (json!([user, answer, system, user]), Some("'system' after role 'assistant'")),
        (json!([user, answer, result, system, user]), Some("'system' after role 'tool'")),
        (json!([user, system]), Some("Expected last role")),
        (json!([system]), Some("Expected last role")),
        (json!([user, answer]), Some("Expected last role")),
        (json!([user, begun]), None),
        (json!([user, answer, result]), None),
        (json!([system, user, system, user]), None),
    ] {
        let (status, answer) = ask(&simulator, &request("m", "", &json!({"messages": messages}))).await;
        let said = answer.to_string();
        assert_eq!(status, if expected.is_some() { 400 } else { 200 }, "{messages}: {said}");
        assert!(expected.is_none_or(|expected| said.contains(expected)), "{messages}: {said}");
    }
}
