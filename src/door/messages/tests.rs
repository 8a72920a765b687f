//! What requests are refused for, what is seen of the others, and what their neutral content is.

use serde_json::value::RawValue;

use super::*;
use crate::error::Kind;
use crate::wire::ask::items::{ItemKind, PartKind};
use crate::wire::ask::turns::Role;

fn fault(body: &str) -> (Kind, Option<String>) {
    let error = parse(body.as_bytes()).expect_err(body);
    (error.kind, error.param)
}

#[test]
fn bad_bodies_name_the_place() {
    for (body, param) in [
        ("{}", "messages"),
        (r#"{"messages":null}"#, "messages"),
        (r#"{"messages":[]}"#, "messages"),
        (r#"{"messages":"hi"}"#, "messages"),
        (r#"{"messages":[1]}"#, "messages[0]"),
        (r#"{"messages":[{"content":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"role":"tool","content":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"role":7,"content":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"role":"user"}]}"#, "messages[0].content"),
        (r#"{"messages":[{"role":"user","content":null}]}"#, "messages[0].content"),
        (r#"{"messages":[{"role":"user","content":"x"},{"role":"user","content":7}]}"#, "messages[1].content"),
        (r#"{"messages":[{"role":"user","role":"user","content":"x"}]}"#, "messages[0].role"),
        (r#"{"messages":[{"Role":"user","content":"x"}]}"#, "messages[0].Role"),
        (r#"{"messages":[{"role":"user","content":["x"]}]}"#, "messages[0].content[0]"),
        (r#"{"messages":[{"role":"user","content":[{"text":"x"}]}]}"#, "messages[0].content[0].type"),
        (r#"{"messages":[{"role":"user","content":[{"type":7}]}]}"#, "messages[0].content[0].type"),
        (r#"{"messages":[{"role":"user","content":[{"type":"Text","text":"x"}]}]}"#, "messages[0].content[0].type"),
        (r#"{"messages":[{"role":"user","content":[{"type":"text"}]}]}"#, "messages[0].content[0].text"),
        (r#"{"messages":[{"role":"user","content":[{"type":"text","text":7}]}]}"#, "messages[0].content[0].text"),
        (r#"{"messages":[{"role":"user","content":[{"type":"text","Text":"x"}]}]}"#, "messages[0].content[0].Text"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{}]}]}]}"#,
            "messages[0].content[0].content[0].type",
        ),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":7}]}]}"#,
            "messages[0].content[0].content",
        ),
        (r#"{"messages":[{"role":"user","content":"x"}],"system":7}"#, "system"),
        (r#"{"messages":[{"role":"user","content":"x"}],"system":[{"type":"text"}]}"#, "system[0].text"),
        (r#"{"messages":[{"role":"user","content":"x"}],"stream":"yes"}"#, "stream"),
        (r#"{"messages":[{"role":"user","content":"x"}],"max_tokens":-1}"#, "max_tokens"),
        (r#"{"messages":[{"role":"user","content":"x"}],"model":7}"#, "model"),
        (r#"{"model":"a","\u006dodel":"b","messages":[{"role":"user","content":"x"}]}"#, "model"),
        (r#"{"messages":[{"role":"user","content":"x"}],"Stream":true}"#, "Stream"),
        (r#"{"messages":[{"role":"user","content":"x"}],"zebra":1,"zebra":3}"#, "zebra"),
    ] {
        assert_eq!(fault(body), (Kind::InvalidRequest, Some(param.to_owned())), "{body}");
    }
    for body in ["", "{", "[]", "\"text\"", "{} x", r#"{"messages":[{"role":"user","content":"x"}],"\ud800":1}"#] {
        assert_eq!(fault(body), (Kind::InvalidJson, None), "{body}");
    }
}

/// The place of what keeps the content from being read.
fn content_fault(fields: &str) -> Option<String> {
    let body = format!("{{{fields}}}");
    let ask = parse(body.as_bytes()).expect(&body);
    let fault = ask.content().err();
    fault.map(|fault| fault.place)
}

#[test]
fn what_another_api_could_not_be_told_names_the_place() {
    let user = r#""messages":[{"role":"user","content":"x"}]"#;
    for (fields, place) in [
        (r#""messages":[{"role":"system","content":[]}]"#.to_owned(), "messages"),
        (format!(r#"{user},"tools":[7]"#), "tools[0]"),
        (format!(r#"{user},"tools":[{{"input_schema":{{}}}}]"#), "tools[0].name"),
        (format!(r#"{user},"output_config":{{"format":7}}"#), "output_config.format"),
        (format!(r#"{user},"output_config":{{"format":{{"type":"xml"}}}}"#), "output_config.format"),
        (format!(r#"{user},"system":[{{"type":"tool_use"}}]"#), "system[0].type"),
        (r#""messages":[{"role":"user","content":[{"type":"tool_use"}]}]"#.to_owned(), "messages[0].content[0].type"),
        (
            r#""messages":[{"role":"assistant","content":[{"type":"tool_result"}]}]"#.to_owned(),
            "messages[0].content[0].type",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"tool_result"}]}]"#.to_owned(),
            "messages[0].content[0].tool_use_id",
        ),
        (
            r#""messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"","input":{}}]}]"#
                .to_owned(),
            "messages[0].content[0].name",
        ),
        (r#""messages":[{"role":"user","content":[{"type":"image"}]}]"#.to_owned(), "messages[0].content[0].source"),
        (
            r#""messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[
                {"type":"image","source":{"type":"base64","data":"AA=="}}]}]}]"#
                .to_owned(),
            "messages[0].content[0].content[0].source.media_type",
        ),
    ] {
        assert_eq!(content_fault(&fields).as_deref(), Some(place), "{fields}");
    }
}

const REQUEST: &str = r#"{
    "model": "auto", "max_tokens": 12, "stream": true, "unknown_field": [1],
    "system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2"}, {"type": "text", "text": "Be \"brief\"."}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}], "tool_choice": {"type": "any"},
    "output_config": {"format": {"type": "json_schema", "schema": {}}},
    "messages": [
        {"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "text", "text": "what is"}, {"text": "this", "type": "text"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"tool_use_id": "a", "type": "tool_result", "content": [{"type": "text", "text": "done"}]}]},
        {"role": "system", "content": "Be quick.", "output_config": {"effort": "low"}}
    ]}"#;

#[test]
fn features_and_turns_are_seen() {
    let ask = parse(REQUEST.as_bytes()).expect("valid");
    assert_eq!(ask.model, "auto");
    assert!(ask.stream && ask.include_usage);
    let expected = Features {
        has_tools: true,
        forced_tools: true,
        has_images: true,
        has_files: false,
        has_audio: false,
        has_video: false,
        has_media: true,
        json_schema: true,
        input_tokens: ask.features.input_tokens,
        max_output: Some(12),
    };
    assert_eq!(ask.features, expected);
    assert!((1_500..1_600).contains(&ask.features.input_tokens), "{}", ask.features.input_tokens);
    let turns: Vec<(Role, Vec<&str>)> = ask.turns.iter().map(|turn| (turn.role, turn.texts().collect())).collect();
    let expected = [
        (Role::System, vec![r#""Be \"brief\".""#]),
        (Role::User, vec![r#""what is""#, r#""this""#]),
        (Role::Assistant, vec![]),
        (Role::Tool, vec![r#""done""#]),
        (Role::System, vec![r#""Be quick.""#]),
    ];
    assert_eq!(turns, expected);
    assert_eq!(ask.field("unknown_field").map(RawValue::get), Some("[1]"));
}

#[test]
fn a_system_prompt_that_is_only_the_attribution_is_no_turn() {
    for (system, turns) in [
        (r#""""#, 2),
        (r#""Be brief.""#, 2),
        ("[]", 1),
        ("null", 1),
        (r#"[{"type":"text","text":"x-anthropic-billing-header: a"}]"#, 1),
        (r#"[{"type":"text","text":"Be brief."},{"type":"text","text":"x-anthropic-billing-header: a"}]"#, 2),
    ] {
        let body = format!(r#"{{"system":{system},"messages":[{{"role":"user","content":"x"}}]}}"#);
        assert_eq!(parse(body.as_bytes()).expect("valid").turns.len(), turns, "{system}");
    }
}

#[test]
fn documents_are_files_unless_they_are_texts() {
    for (source, has_files, least) in [
        (r#"{"type":"base64","media_type":"application/pdf","data":"JVBERi0="}"#, true, 1_500),
        (r#"{"type":"url","url":"https://a.example/b.pdf"}"#, true, 1_500),
        (r#"{"type":"file","file_id":"file_1"}"#, true, 1_500),
        (r#"{"type":"text","media_type":"text/plain","data":"0123456789012345678901234567890123456789"}"#, false, 10),
        (
            r#"{"type":"content","content":[{"type":"text","text":"0123456789012345678901234567890123456789"}]}"#,
            false,
            10,
        ),
    ] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"document","source":{source}}}]}}]}}"#);
        let features = parse(body.as_bytes()).expect("valid").features;
        assert_eq!((features.has_files, features.has_media), (has_files, has_files), "{source}");
        assert!((least..least + 20).contains(&features.input_tokens), "{source}: {}", features.input_tokens);
    }
}

#[test]
fn a_call_keeps_an_input_that_is_an_object_as_it_was_written_and_a_token_its_thought() {
    let body = r#"{"messages":[{"role":"assistant","content":[
        {"type":"thinking","thinking":"hm","signature":"tgs1_x"}, {"type":"redacted_thinking","data":"tgs1_y"},
        {"type":"thinking","thinking":"foreign","signature":"EqQB"}, {"type":"redacted_thinking","data":"EqQB"},
        {"type":"text","text":"a"}, {"type":"text","text":"b"},
        {"type":"tool_use","id":"1","name":"f","input":{ "z":1,  "a":[] }},
        {"type":"tool_use","id":"2","name":"f","input":{},"caller":{"type":"direct"}},
        {"type":"tool_use","id":"4","name":"f","input":null},{"type":"tool_use","id":"5","name":"f","input":[1]},
        {"type":"server_tool_use","id":"3","name":"web_search","input":{}}, {"type":"text","text":"c"}]}]}"#;
    let ask = parse(body.as_bytes()).expect("valid");
    let content = ask.content().expect("content");
    let said: Vec<String> = content
        .items
        .iter()
        .map(|item| match &item.kind {
            ItemKind::Reasoning(reasoning) => {
                let sealed = reasoning.sealed.as_ref().expect("a token");
                format!("{:?} {} {}", sealed.kind, sealed.text.inside(), sealed.token)
            }
            ItemKind::Text { parts, .. } => {
                let texts = parts.iter().map(|part| match &part.kind {
                    PartKind::Text(text) => text.inside(),
                    other => panic!("{other:?}"),
                });
                texts.collect::<Vec<_>>().join("+")
            }
            ItemKind::Call(call) => format!("{} {}", call.id, call.payload.value),
            ItemKind::Opaque { word, .. } => (*word).to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "Signature hm tgs1_x",
        "Redacted  tgs1_y",
        "a+b",
        r#"1 { "z":1,  "a":[] }"#,
        "2 {}",
        "4 {}",
        r#"5 {"__unparsedToolInput":{"raw":"[1]","len":3}}"#,
        "server_tool_use",
        "c",
    ];
    assert_eq!(said, expected);
    let unread: Vec<String> = content.unread.paths().collect();
    assert_eq!(unread, ["messages.content.thinking", "messages.content.redacted_thinking"]);
}
