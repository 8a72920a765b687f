//! A provider's stream by itself: what it says of its progress, and that any bytes are taken.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tiergate::platform::ReadError;
use tiergate::policy::Dialect;
use tiergate::upstream::coding::PlainBody;
use tiergate::upstream::dialect::DecodeOptions;
use tiergate::upstream::dialect::tool_names::ToolNames;
use tiergate::upstream::stream::{AFTER_FINISH, Break, Progress, ProviderStream};
use tiergate::wire::piece::{AnswerItem, Piece, Said, Weight};

use crate::fake::{Chunk, Fake};

const IDLE: Duration = Duration::from_secs(7);

fn open(fake: &Fake, dialect: Dialect, parts: &[&[u8]], coding: &'static str) -> ProviderStream<Fake> {
    open_parts(fake, dialect, parts.iter().map(|part| Ok(part.to_vec())).collect(), coding)
}

/// A stream whose client has a tool that the provider knows by a name that begins as `a_b`.
fn open_parts(
    fake: &Fake,
    dialect: Dialect,
    parts: Vec<Result<Vec<u8>, ReadError>>,
    coding: &'static str,
) -> ProviderStream<Fake> {
    let chunks = parts.into_iter().map(|bytes| Chunk { delay: Duration::ZERO, bytes }).collect();
    let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
    let body = PlainBody::new(fake.body(chunks), &headers).unwrap_or_else(|_| panic!("{coding} should be known"));
    let mut options = DecodeOptions::plain(dialect, 7);
    let tools = RawValue::from_string(r#"[{"function":{"name":"a.b"}}]"#.to_owned()).expect("JSON");
    options.names = ToolNames::of_fields([Some(&tools), None], dialect);
    ProviderStream::new(body, options, None).expect("the dialect should be built")
}

fn weigh(said: &Said<'_>) -> Weight {
    if said.pieces.iter().any(Piece::says_something) { Weight::Answer } else { Weight::Nothing }
}

fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

#[test]
fn a_reason_that_is_held_back_ends_the_answer_with_the_end_marker_and_not_with_a_break() {
    let call = json!({"index": 0, "id": "c", "function": {"name": "a_b", "arguments": ""}});
    let call = json!({"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    let call = event(&call.to_string());
    let done = event("[DONE]");
    let is_finish = |piece: &Piece<'_>| matches!(piece, Piece::Finish { .. });
    for (name, end, expected) in [
        ("the marker", Some(Ok(done.into_bytes())), Ok(Progress::Ended)),
        ("the body's end", None, Ok(Progress::Ended)),
        ("a break", Some(Err(ReadError)), Err(Break::Cut)),
    ] {
        let fake = Fake::default();
        let parts = [Some(Ok(call.clone().into_bytes())), end];
        let mut stream = open_parts(&fake, Dialect::OpenaiChat, parts.into_iter().flatten().collect(), "identity");
        let mut finishes = 0;
        let mut tell = |said: &Said<'_>| {
            finishes += said.pieces.iter().filter(|piece| is_finish(piece)).count();
            weigh(said)
        };
        assert_eq!(stream.read(&fake, &mut tell), Ok(Progress::Preamble), "{name}");
        assert_eq!(stream.read(&fake, &mut tell), expected, "{name}");
        assert_eq!(finishes, usize::from(expected.is_ok()), "{name}");
    }
}

#[test]
fn what_is_no_piece_shows_that_the_model_works() {
    let choice = |delta: &str| event(&format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#));
    for (dialect, data, is_alive) in [
        (Dialect::OpenaiChat, ": keep-alive\n\n".to_owned(), true),
        (Dialect::OpenaiChat, choice(r#"{"role":"assistant","content":""}"#), true),
        (Dialect::OpenaiChat, choice("{}"), true),
        (Dialect::OpenaiChat, event("not JSON"), false),
        (Dialect::OpenaiChat, choice(r#"{"content":"Hi"}"#), false),
        (Dialect::OpenaiChat, "data: {\"cho".to_owned(), false),
        (Dialect::AnthropicMessages, event(r#"{"type":"message_start","message":{"id":"m"}}"#), true),
        (Dialect::AnthropicMessages, event(r#"{"type":"ping"}"#), true),
    ] {
        let fake = Fake::default();
        let mut stream = open(&fake, dialect, &[data.as_bytes(), b": later\n\n"], "identity");
        stream.read(&fake, &mut weigh).expect("a good beginning");
        assert_eq!((stream.take_alive(), stream.take_alive()), (is_alive, false), "{data}");
        assert_eq!(stream.bytes, data.len() as u64);
    }
}

#[test]
fn how_long_more_is_awaited_depends_on_how_the_reason_came() {
    let text = |reason| event(&json!({"choices": [{"delta": {"content": "a"}, "finish_reason": reason}]}).to_string());
    let alone = event(&json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}).to_string());
    let (said, both) = (text(None), text(Some("stop")));
    let part = |call: Value, reason| {
        event(&json!({"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": reason}]}).to_string())
    };
    let call = part(json!({"index": 0, "id": "c", "function": {"name": "a_", "arguments": ""}}), Some("stop"));
    let more = part(json!({"index": 0, "function": {"name": "b"}}), Some("stop"));
    for (events, expected) in [
        (vec![&said], None),
        (vec![&said, &alone], Some(AFTER_FINISH)),
        (vec![&both], Some(IDLE)),
        (vec![&both, &alone], Some(AFTER_FINISH)),
        (vec![&both, &said], None),
        (vec![&both, &both], None),
        (vec![&both, &both, &alone], None),
        // A reason that is held back is none the less one.
        (vec![&call], Some(IDLE)),
        (vec![&call, &alone], Some(IDLE)),
        (vec![&call, &more], None),
        (vec![&call, &more, &alone], None),
    ] {
        let fake = Fake::default();
        let parts: Vec<&[u8]> = events.iter().map(|event| event.as_bytes()).chain([&b": later\n\n"[..]]).collect();
        let mut stream = open(&fake, Dialect::OpenaiChat, &parts, "identity");
        for _ in &events {
            stream.read(&fake, &mut weigh).expect("a good event");
        }
        assert_eq!(stream.settles_in(IDLE), expected, "{events:?}");
    }
}

#[test]
fn a_call_whose_name_may_go_on_is_told_where_nothing_more_comes() {
    let tools = RawValue::from_string(r#"[{"function":{"name":"a.b"}}]"#.to_owned()).expect("JSON");
    let call = json!({"index": 0, "id": "c", "function": {"name": "a_", "arguments": ""}});
    let delta = json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]});
    let delta = event(&delta.to_string());
    let usage = event(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#);
    for rest in ["", "data: [DONE]\n\n", &usage, ": comment\n\n"] {
        for cut in [0, 1] {
            let fake = Fake::default();
            let whole = format!("{delta}{rest}");
            let options = DecodeOptions {
                names: ToolNames::of_fields([Some(&tools), None], Dialect::OpenaiChat),
                ..DecodeOptions::plain(Dialect::OpenaiChat, 7)
            };
            let chunks =
                vec![Chunk { delay: Duration::ZERO, bytes: Ok(whole.as_bytes()[..whole.len() - cut].to_vec()) }];
            let body = PlainBody::new(fake.body(chunks), &HeaderMap::new()).unwrap_or_else(|_| panic!("no coding"));
            let mut stream = ProviderStream::new(body, options, None).expect("the dialect should be built");
            let mut names = Vec::new();
            let mut tell = |said: &Said<'_>| {
                names.extend(said.pieces.iter().filter_map(|piece| match piece {
                    Piece::Begin { item: AnswerItem::Call(call), .. } => {
                        call.name.as_ref().map(|name| name.get().to_owned())
                    }
                    _ => None,
                }));
                weigh(said)
            };
            while stream.read(&fake, &mut tell).expect("a good stream") != Progress::Ended {}
            assert_eq!(names, [r#""a_""#], "{whole}");
            assert!(stream.is_finished(), "{whole}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_taken(
        beginning in prop::sample::select(&["", "data: ", "data: {\"choices\":[{\"delta\":", "{\"choices\":[", "\u{FEFF}", "\x1F", "event: "][..]),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        text in "[{}\\[\\]\":,a-z0-9\\\\ \n]{0,80}",
        size in 1_usize..80,
        coding in prop::sample::select(&["identity", "gzip", "deflate"][..]),
        is_text: bool,
    ) {
        let rest = if is_text { text.into_bytes() } else { bytes };
        let body = [beginning.as_bytes(), &rest].concat();
        for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages] {
            let parts: Vec<&[u8]> = body.chunks(size).collect();
            let fake = Fake::default();
            let mut stream = open(&fake, dialect, &parts, coding);
            let ended = loop {
                match stream.read(&fake, &mut weigh) {
                    Ok(Progress::Ended) => break Ok(()),
                    Ok(Progress::Preamble | Progress::Begun) => {}
                    Err(broken) => break Err(broken),
                }
            };
            prop_assert!(ended.is_err() || stream.has_begun(), "nothing is no answer");
            prop_assert!(ended != Err(Break::TooLong));
        }
    }
}
