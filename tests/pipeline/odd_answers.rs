//! Answers that are not sent as they should be: other codings and content types, odd fields, early reasons to finish.

use std::time::Duration;

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use serde_json::{Value, json};
use tiergate::platform::ReadError;

use crate::fake::{Chunk, Reply};
use crate::scenario::{CLASSIFIER, FIRST, SECOND, Scenario, answer, chunk, gzip, json_reply, reply, stream, verdict};

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const HEL: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n";
const LO: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":null}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn asking() -> Scenario {
    Scenario::new().header("x-route-tier", "large")
}

fn streaming() -> Scenario {
    asking().ask(json!({"stream": true, "messages": [{"role": "user", "content": "Hello"}]}))
}

/// Answers with these bytes, in parts of `size`.
fn bytes(headers: &[(&'static str, &str)], body: &[u8], size: usize) -> Reply {
    let chunks = body.chunks(size).map(|part| Chunk { delay: Duration::ZERO, bytes: Ok(part.to_vec()) });
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned()));
    Reply::Answer { delay: Duration::ZERO, status: 200, headers: headers.collect(), chunks: chunks.collect() }
}

fn with_status(reply: Reply, status: u16) -> Reply {
    match reply {
        Reply::Answer { delay, headers, chunks, .. } => Reply::Answer { delay, status, headers, chunks },
        other => other,
    }
}

fn body_of(reply: Reply) -> Vec<u8> {
    let Reply::Answer { chunks, .. } = reply else { panic!("an answer") };
    chunks.into_iter().flat_map(|chunk| chunk.bytes.expect("bytes")).collect()
}

#[test]
fn no_coding_is_asked_for() {
    let scenario = asking().provider(FIRST, answer("Hi")).run();
    assert_eq!(scenario.fake.sent.borrow()[0].headers["accept-encoding"], "identity");
}

#[test]
fn a_coded_answer_is_decoded() {
    let plain = body_of(answer("Hello"));
    let whole = [ROLE, HEL, LO, STOP, DONE].concat();
    type Compress = fn(&[u8]) -> Vec<u8>;
    let codings: [(&str, Compress); 4] = [
        ("gzip", gzip),
        ("X-GZip, identity", gzip),
        ("deflate", |plain| compress_to_vec_zlib(plain, 6)),
        ("Deflate", |plain| compress_to_vec(plain, 6)),
    ];
    for (name, compress) in codings {
        for size in [1, 7, 10_000] {
            let compressed = compress(&plain);
            let length = compressed.len().to_string();
            for headers in
                [&[("content-encoding", name)][..], &[("content-encoding", name), ("content-length", &length)]]
            {
                let scenario = asking().provider(FIRST, bytes(headers, &compressed, size)).run();
                assert_eq!((scenario.status(), scenario.text().into_bytes()), (200, plain.clone()), "{name}");
                assert_eq!(scenario.response_header("x-route-attempts"), "first/one:200");
            }
            let scenario = streaming()
                .provider(FIRST, bytes(&[("content-encoding", name)], &compress(whole.as_bytes()), size))
                .run();
            assert_eq!(scenario.text(), whole, "{name}");
            assert!(scenario.fake.answer.borrow().finished);
        }
    }
}

#[test]
fn a_coded_answer_that_is_cut_or_damaged_is_passed_over() {
    let whole = gzip([ROLE, HEL, LO, STOP, DONE].concat().as_bytes());
    let answered = gzip(&body_of(answer("Hello")));
    let other = || answer("Other");
    let changed = [&answered[..answered.len() - 8], &[0; 8]].concat();
    for (body, outcome) in [
        (changed, "undecodable"),
        (answered[..answered.len() - 20].to_vec(), "broken"),
        (b"\x1F\x8B\x07no gzip at all".to_vec(), "undecodable"),
        (gzip(&vec![b' '; 40 << 20]), "too_large"),
    ] {
        let scenario = asking().provider(FIRST, bytes(&[("content-encoding", "gzip")], &body, 32_768));
        let scenario = scenario.provider(SECOND, other()).run();
        assert_eq!(scenario.response_header("x-route-attempts"), format!("first/one:{outcome},second/two:200"));
    }
    let bomb = [b"data: {".to_vec(), vec![b' '; 40 << 20]].concat();
    for (body, outcome) in [(whole[..14].to_vec(), "broken"), (gzip(&bomb), "too_large")] {
        let scenario = streaming().provider(FIRST, bytes(&[("content-encoding", "gzip")], &body, 32_768));
        let scenario = scenario.provider(SECOND, stream(vec![ROLE, HEL, STOP, DONE])).run();
        assert_eq!(scenario.response_header("x-route-attempts"), format!("first/one:{outcome},second/two:200"));
    }
}

#[test]
fn another_coding_is_passed_over_with_its_own_label() {
    for scenario in [asking().provider(SECOND, answer("Other")), streaming().provider(SECOND, stream(vec![HEL, STOP]))]
    {
        let scenario =
            scenario.provider(FIRST, bytes(&[("content-encoding", "br")], b"\x0B\x02\x80hello\x03", 100)).run();
        assert_eq!(scenario.status(), 200);
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:unknown_coding,second/two:200");
    }
}

#[test]
fn the_words_of_a_coded_error_are_read() {
    let error = json!({"error": {"message": "bad temperature", "type": "invalid_request_error"}}).to_string();
    let refused = with_status(bytes(&[("content-encoding", "gzip")], &gzip(error.as_bytes()), 10), 400);
    let scenario = asking().provider(FIRST, refused.clone()).provider(SECOND, refused).run();
    assert_eq!(scenario.status(), 400);
    assert!(scenario.text().contains("temperature"), "{}", scenario.text());
    // Of a coding that nobody knows the status is enough.
    let limited = with_status(bytes(&[("content-encoding", "br"), ("retry-after", "20")], b"\x0B", 10), 429);
    let scenario = asking().provider(FIRST, limited).provider(SECOND, answer("Other")).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:429,second/two:200");
}

#[test]
fn a_coded_stream_is_handed_to_nobody() {
    let mut policy = crate::scenario::policy();
    policy["tiers"][1]["stream"] = json!("handoff");
    let whole = [ROLE, HEL, LO, STOP, DONE].concat();
    let reply = bytes(&[("content-encoding", "gzip")], &gzip(whole.as_bytes()), 20);
    let scenario = streaming().policy(policy).provider(FIRST, reply).run();
    assert_eq!(scenario.text(), whole);
    assert!(scenario.fake.events.borrow().iter().all(|event| *event != crate::fake::Event::HandedOver));
}

#[test]
fn a_coded_reply_of_the_classifier_is_read() {
    let coded = bytes(&[("content-encoding", "gzip")], &gzip(&body_of(verdict("small", 0.9))), 9);
    let scenario = Scenario::new().provider(CLASSIFIER, coded).provider(FIRST, answer("Hi")).run();
    assert_eq!(scenario.response_header("x-route-tier"), "small");
    let unknown = bytes(&[("content-encoding", "br")], b"\x0B", 9);
    let scenario = Scenario::new().provider(CLASSIFIER, unknown).provider(FIRST, answer("Hi")).run();
    assert_eq!(scenario.response_header("x-route-tier"), "large");
    let no_text =
        b"{\"choices\":[{\"message\":{\"content\":\"{\\\"tier\\\":\\\"small\\\"} \xFF\"},\"finish_reason\":\"stop\"}]}";
    let scenario = Scenario::new().provider(CLASSIFIER, bytes(&[], no_text, 99)).provider(FIRST, answer("Hi")).run();
    assert_eq!(scenario.response_header("x-route-tier"), "large", "bytes that are no UTF-8 decide nothing");
}

#[test]
fn a_stream_is_known_by_what_it_is() {
    let whole = [": hello\n\n", ROLE, HEL, LO, STOP, DONE].concat();
    let expected = [ROLE, HEL, LO, STOP, DONE].concat();
    for headers in [
        &[("content-type", "text/plain")][..],
        &[],
        &[("content-type", "application/json")],
        &[("content-type", "TEXT/EVENT-STREAM")],
    ] {
        for size in [1, 3, 10_000] {
            for before in ["", "\u{FEFF}", "\n\n", "event: message\n", "retry: 1\n", "id: 1\n"] {
                let body = format!("{before}{whole}");
                let scenario = streaming().provider(FIRST, bytes(headers, body.as_bytes(), size)).run();
                assert_eq!(scenario.text(), expected, "{headers:?} {before:?}");
                assert_eq!(scenario.response_header("content-type"), "text/event-stream");
            }
        }
    }
}

#[test]
fn what_is_no_stream_is_known_too() {
    let error = r#" {"error":{"message":"no","code":503}}"#;
    for content_type in ["text/event-stream", "application/json", "text/plain"] {
        for (body, outcome) in [
            ("<html>Bad gateway</html>", "undecodable"),
            ("Internal error: no", "undecodable"),
            ("{}", "undecodable"),
            (r#"{"choices":[]}"#, "undecodable"),
            (error, "error_in_200"),
            (r#"[{"error":{"message":"no","code":503}}]"#, "error_in_200"),
            (r#""overloaded""#, "error_in_200"),
            ("", "broken"),
            ("dat", "broken"),
        ] {
            let scenario = streaming().provider(FIRST, reply(200, content_type, vec![body]));
            let scenario = scenario.provider(SECOND, stream(vec![HEL, STOP, DONE])).run();
            let attempts = scenario.response_header("x-route-attempts");
            assert_eq!(attempts, format!("first/one:{outcome},second/two:200"), "{content_type} {body:?}");
        }
    }
    // The other way round.
    for content_type in ["text/event-stream", "text/html"] {
        let reply =
            reply(200, content_type, vec!["\u{FEFF}", std::str::from_utf8(&body_of(answer("Hi"))).expect("text")]);
        assert_eq!(asking().provider(FIRST, reply).run().json()["choices"][0]["message"]["content"], "Hi");
    }
    let scenario = asking().provider(FIRST, stream(vec![ROLE, HEL, STOP, DONE])).provider(SECOND, answer("Hi")).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:undecodable,second/two:200");
}

#[test]
fn a_whole_answer_in_place_of_a_stream_is_streamed() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let message = json!({"role": "assistant", "content": "Hello", "reasoning_content": "Hm", "tool_calls": [call]});
    let whole = json!({
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    });
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "Hi"}]});
    let scenario = asking().ask(asked).provider(FIRST, json_reply(200, whole.clone())).run();
    let text = scenario.text();
    let chunks: Vec<Value> = text
        .split_terminator("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    let told = |pointer: &str| {
        chunks.iter().filter_map(|chunk| chunk.pointer(pointer)).find(|value| !value.is_null() && *value != "").cloned()
    };
    assert_eq!(told("/choices/0/delta/content"), Some(json!("Hello")));
    assert_eq!(told("/choices/0/delta/reasoning_content"), Some(json!("Hm")));
    assert_eq!(told("/choices/0/delta/tool_calls/0/function/name"), Some(json!("f")));
    assert_eq!(told("/choices/0/finish_reason"), Some(json!("tool_calls")));
    assert_eq!(told("/usage/completion_tokens"), Some(json!(2)));
    assert!(text.ends_with(DONE) && chunks.iter().all(|chunk| chunk["id"] == "c1"), "{text}");
    let mut policy = crate::scenario::policy();
    policy["providers"]["first"] = json!({"base_url": format!("https://{FIRST}"), "dialect": "anthropic-messages"});
    let message = json!({
        "id": "m1", "model": "m", "stop_reason": "tool_use",
        "content": [{"type": "text", "text": "Hello"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
    });
    let text = streaming().policy(policy.clone()).provider(FIRST, json_reply(200, message)).run().text();
    for part in
        [r#""content":"Hello""#, r#""name":"f","arguments":"{\"a\":1}""#, r#""finish_reason":"tool_calls""#, DONE]
    {
        assert_eq!(text.matches(part).count(), 1, "{part}: {text}");
    }
    let error = json_reply(200, json!([{"error": {"message": "no", "type": "overloaded_error"}}]));
    let scenario = streaming().policy(policy).provider(FIRST, error).provider(SECOND, stream(vec![HEL, STOP]));
    assert_eq!(scenario.run().response_header("x-route-attempts"), "first/one:error_in_200,second/two:200");
    let mut unfinished = whole;
    unfinished["choices"][0]["finish_reason"] = Value::Null;
    let scenario = streaming().provider(FIRST, json_reply(200, unfinished)).provider(SECOND, stream(vec![HEL, STOP]));
    assert_eq!(scenario.run().response_header("x-route-attempts"), "first/one:broken,second/two:200");
}

#[test]
fn bytes_that_are_no_text_are_undecodable() {
    let bad = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xFF\"},\"finish_reason\":\"stop\"}]}\n\n";
    for body in [&bad[..], b"data: \xFF\n\n"] {
        let scenario = streaming().provider(FIRST, bytes(&[], body, 99)).provider(SECOND, stream(vec![HEL, STOP]));
        assert_eq!(scenario.run().response_header("x-route-attempts"), "first/one:undecodable,second/two:200");
    }
    let whole = b"{\"choices\":[{\"message\":{\"content\":\"\xC3\x28\"},\"finish_reason\":\"stop\"}]}";
    let scenario = asking().provider(FIRST, bytes(&[], whole, 99)).provider(SECOND, answer("Hi")).run();
    assert_eq!(scenario.response_header("x-route-attempts"), "first/one:undecodable,second/two:200");
}

#[test]
fn what_came_in_a_few_bytes_waits_for_no_more() {
    let long = HEL.replace("Hel", &"Hel".repeat(1 << 20));
    let whole = gzip([ROLE, HEL, &long, LO, STOP, DONE].concat().as_bytes());
    // The end of the body is late, and nothing is missing but the checksum.
    for stream in ["guarded", "hold"] {
        let mut policy = crate::scenario::policy();
        policy["tiers"][1]["stream"] = json!(stream);
        let (data, trailer) = whole.split_at(whole.len() - 8);
        let chunks = [(0, data), (60, trailer)]
            .map(|(seconds, bytes)| Chunk { delay: Duration::from_secs(seconds), bytes: Ok(bytes.to_vec()) });
        let headers = vec![("content-type", "text/event-stream".to_owned()), ("content-encoding", "gzip".to_owned())];
        let reply = Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks: chunks.into() };
        let scenario = streaming().policy(policy).provider(FIRST, reply).run();
        assert!(scenario.text() == [ROLE, HEL, &long, LO, STOP, DONE].concat(), "{stream}: {}", scenario.log());
        assert_eq!(scenario.log()["duration_ms"]["total"], 0.0, "{stream}");
    }
}

#[test]
fn an_event_with_a_mark_passes_without_it() {
    let marked = HEL.replace("data: ", "data: \u{FEFF}");
    let scenario = streaming().provider(FIRST, stream(vec![ROLE, &marked, LO, STOP, DONE])).run();
    assert_eq!(scenario.text(), [ROLE, HEL, LO, STOP, DONE].concat());
}

fn early(text: &str, reason: &str) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":\"{reason}\"}}]}}\n\n"
    )
}

fn later(seconds: u64, text: &str) -> Chunk {
    Chunk { delay: Duration::from_secs(seconds), bytes: Ok(text.into()) }
}

fn parts(parts: Vec<Chunk>) -> Reply {
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    Reply::Answer { delay: Duration::ZERO, status: 200, headers, chunks: parts }
}

#[test]
fn a_reason_in_every_chunk_ends_nothing_by_silence() {
    for reason in ["", "null", " ", "stop"] {
        let (one, two) = (early("One ", reason), early("two.", reason));
        let whole = [&one, &two, STOP].concat();
        let served = parts(vec![chunk(&one), later(3, &two), later(3, STOP), chunk(DONE)]);
        let scenario = streaming().provider(FIRST, served).run();
        assert_eq!(scenario.text(), whole + DONE, "{reason:?}");
        assert_eq!(scenario.log()["gen_ai.response.finish_reasons"], json!(["stop"]));
        // Cut where more was to come.
        for end in [Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }, later(20, "")] {
            let scenario = streaming().provider(FIRST, parts(vec![chunk(&one), later(3, &two), chunk(HEL), end])).run();
            assert!(!scenario.text().contains("[DONE]"), "{reason:?}: {}", scenario.text());
            assert!(!scenario.fake.answer.borrow().finished);
        }
    }
    for end in [Chunk { delay: Duration::ZERO, bytes: Err(ReadError) }, later(20, "")] {
        let cut = parts(vec![chunk(&early("One ", "stop")), later(1, &early("two", "stop")), end]);
        let scenario = streaming().provider(FIRST, cut).run();
        assert!(
            !scenario.text().contains("[DONE]"),
            "a reason that came before says nothing of the last: {}",
            scenario.text()
        );
    }
}

#[test]
fn a_stream_that_is_held_is_not_cut_at_an_early_reason() {
    let mut policy = crate::scenario::policy();
    policy["tiers"][1]["stream"] = json!("hold");
    let (one, two) = (early("One ", "stop"), early("two.", "stop"));
    let whole = [one.as_str(), &two, STOP].concat();
    let served = parts(vec![chunk(&one), later(3, &two), later(3, STOP), chunk(DONE)]);
    let scenario = streaming().policy(policy.clone()).provider(FIRST, served).run();
    assert_eq!(scenario.text(), whole + DONE);
    let stalled = parts(vec![chunk(&one), later(1, &two), later(20, "")]);
    let scenario = streaming().policy(policy).provider(FIRST, stalled).provider(SECOND, stream(vec![HEL, STOP, DONE]));
    assert_eq!(scenario.run().response_header("x-route-attempts"), "first/one:timeout,second/two:200");
}

#[test]
fn a_whole_answer_is_whole_at_the_limit_of_the_cpu() {
    let call = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\n\n";
    for resume in ["off", "replay"] {
        let mut policy = crate::scenario::policy();
        policy["tiers"][1]["resume"] = json!(resume);
        // The CPU is looked at before the sixteenth read after the first piece, when only the end marker is missing.
        let reads = [vec![ROLE, HEL], vec![LO; 13], vec![call, STOP]].concat();
        let scenario = streaming().policy(policy);
        scenario.fake.vcpu_ms.set(40);
        let chunks = reads.iter().map(|text| chunk(text)).chain([later(600, "")]).collect();
        let scenario = scenario.provider(FIRST, parts(chunks)).run();
        assert_eq!(scenario.text(), reads.concat() + DONE, "{resume}");
        assert!(scenario.fake.answer.borrow().finished);
    }
}

#[test]
fn usage_is_told_although_the_end_marker_never_came() {
    let mut policy = crate::scenario::policy();
    policy["providers"]["first"] = json!({"base_url": format!("https://{FIRST}"), "dialect": "anthropic-messages"});
    let asked = json!({"stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "Hi"}]});
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default());
    for usage in [json!({"output_tokens": 4}), json!({"input_tokens": 0, "output_tokens": 4})] {
        let start = json!({"type": "message_start", "message": {"id": "m1", "model": "m", "usage": {"input_tokens": 120, "output_tokens": 1}}});
        let events = [
            event(start),
            event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})),
            event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "A"}})),
            event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage})),
        ];
        let stop = event(json!({"type": "message_stop"}));
        for end in ["", stop.as_str()] {
            let served = stream(vec![&events.concat(), end]);
            let scenario = asking().policy(policy.clone()).ask(asked.clone()).provider(FIRST, served).run();
            let text = scenario.text();
            let last = text.trim_end_matches(DONE).split("data: ").last().unwrap_or_default().to_owned();
            let last: Value = serde_json::from_str(&last).expect("a chunk of usage");
            assert_eq!(
                (&last["usage"]["prompt_tokens"], &last["usage"]["completion_tokens"]),
                (&json!(120), &json!(4))
            );
            assert_eq!((text.matches("\"stop\"").count(), last["choices"].clone()), (1, json!([])), "{text}");
            assert_eq!(scenario.log()["gen_ai.usage.input_tokens"], 120);
        }
    }
}

#[test]
fn a_large_event_passes() {
    let image = |bytes: usize| {
        let url = format!("data:image/png;base64,{}", "A".repeat(bytes));
        let delta =
            json!({"role": "assistant", "content": "", "images": [{"type": "image_url", "image_url": {"url": url}}]});
        format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
    };
    for events in [vec![image(100_000)], vec![HEL.to_owned(), image(1_500_000)], vec![image(1_500_000), image(100_000)]]
    {
        let events: Vec<&str> = events.iter().map(String::as_str).chain([STOP, DONE]).collect();
        let scenario = streaming().provider(FIRST, stream(events.clone())).run();
        assert_eq!(scenario.text(), events.concat());
    }
}
