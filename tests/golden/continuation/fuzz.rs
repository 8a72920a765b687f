//! Streams of any events, continued anywhere.

use std::rc::Rc;

use proptest::prelude::*;
use serde_json::value::RawValue;
use tiergate::door::answer::{AnswerOptions, CallShape};
use tiergate::door::repair::Repair;
use tiergate::policy::{Dialect, Quirk};
use tiergate::secret::Secret;
use tiergate::upstream::dialect::DecodeOptions;
use tiergate::upstream::dialect::chat::Mends;
use tiergate::upstream::dialect::tool_names::ToolNames;
use tiergate::upstream::sealer::Sealer;
use tiergate::wire::door::Door;

use super::{End, Holding, Source, sources};

/// Parts of a JSON string's inside.
fn inside() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        " ",
        "\\n",
        "\u{e9}",
        "\u{1F600}",
        "\u{2028}",
        "\\ud83d",
        "\\ude00",
        "\\ud83d\\ude00",
        "\\\"",
        "\\\\",
        "{",
        "}",
        ":",
        "\\u0061",
        "input",
        "\\\"input\\\"",
    ]);
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

/// A chunk of the chat API, with texts and parts of calls.
fn any_chunk() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a_b", "run", "ru", "n", "other", ""]);
    let reason = prop::sample::select(vec!["null", "null", "\"stop\"", "\"tool_calls\"", "\"model_length\"", "\"\""]);
    let call =
        (0..2_u8, name, inside(), prop::sample::select(vec!["c", "d", ""])).prop_map(|(index, name, inside, id)| {
            let tool = format!(r#"{{"name":"{name}","arguments":"{inside}"}}"#);
            format!(
                r#""tool_calls":[{{"index":{index},"id":"{id}","type":"function","extra":[1.5],"function":{tool}}}]"#
            )
        });
    let delta = prop_oneof![
        3 => inside().prop_map(|inside| format!(r#""content":"{inside}""#)),
        1 => inside().prop_map(|inside| format!(r#""reasoning_content":"{inside}""#)),
        2 => call,
    ];
    (0..5_u8, delta, reason).prop_map(|(choice, delta, reason)| {
        let choice = choice / 4;
        format!(r#"data: {{"id":"x","model":"m","choices":[{{"index":{choice},"delta":{{{delta}}},"finish_reason":{reason}}}]}}"#)
    })
}

/// An event of the Messages API.
fn any_event() -> impl Strategy<Value = String> {
    let block = prop::sample::select(vec![
        r#"{"type":"text","text":""}"#,
        r#"{"type":"thinking","thinking":"","signature":""}"#,
        r#"{"type":"redacted_thinking","data":"s"}"#,
        r#"{"type":"tool_use","id":"c","name":"a_b","input":{}}"#,
        r#"{"type":"tool_use","id":"d","name":"run","input":{"input":"x"}}"#,
    ]);
    let delta = (prop::sample::select(vec!["text", "thinking", "partial_json", "signature"]), inside());
    let delta = delta.prop_map(|(field, inside)| {
        let kind = if field == "partial_json" { "input_json" } else { field };
        format!(r#"{{"type":"{kind}_delta","{field}":"{inside}"}}"#)
    });
    let event = prop_oneof![
        2 => (0..3_u8, block).prop_map(|(index, block)| {
            format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#)
        }),
        5 => (0..3_u8, delta).prop_map(|(index, delta)| {
            format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#)
        }),
        2 => (0..3_u8).prop_map(|index| format!(r#"{{"type":"content_block_stop","index":{index}}}"#)),
        1 => Just(r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":7}}"#.to_owned()),
        1 => Just(r#"{"type":"ping"}"#.to_owned()),
    ];
    event.prop_map(|event| format!("event: e\ndata: {event}"))
}

/// A stream of any events, in lines that end in any way, and where it is continued.
pub fn any_source() -> impl Strategy<Value = (Source, Vec<prop::sample::Index>)> {
    let events = prop_oneof![
        3 => prop::collection::vec(any_chunk(), 0..10).prop_map(|events| (Dialect::OpenaiChat, events)),
        2 => prop::collection::vec(any_event(), 0..12).prop_map(|events| (Dialect::AnthropicMessages, events)),
    ];
    let beside = prop::sample::select(vec!["", ": comment", "data: no JSON", "id: 7", "data: {\"choices\":[]}"]);
    let line_end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let end = prop::sample::select(vec![End::Clean, End::AtItsLength, End::Short, End::Broken]);
    let shape = (any::<[bool; 7]>(), beside, line_end, end, 0..40_usize);
    let places = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    (events, shape, places).prop_map(|((dialect, events), shape, places)| {
        let ([is_marked, is_ended, mends, renames, repairs, shows, is_chat], beside, line_end, end, lost) = shape;
        let done = match dialect {
            Dialect::AnthropicMessages => "data: {\"type\":\"message_stop\"}",
            Dialect::OpenaiChat | Dialect::OpenaiResponses => "data: [DONE]",
        };
        let start = r#"data: {"type":"message_start","message":{"id":"m","model":"m","usage":{"input_tokens":3}}}"#;
        let start = (dialect == Dialect::AnthropicMessages).then_some(start);
        let first = events.len() / 2;
        let lines = start.into_iter().chain(events[..first].iter().map(String::as_str)).chain([beside]);
        let lines = lines.chain(events[first..].iter().map(String::as_str)).chain(is_ended.then_some(done));
        let text: String = lines.flat_map(|line| [line, "\n\n"]).collect();
        let mut wire =
            format!("{}{}", if is_marked { "\u{feff}" } else { "" }, text.replace('\n', line_end)).into_bytes();
        if !is_ended {
            wire.truncate(wire.len().saturating_sub(lost));
        }
        let root = Secret::new("a-root-of-enough-characters".to_owned());
        let mut decode = DecodeOptions::plain(dialect, 7);
        if dialect == Dialect::AnthropicMessages {
            decode.sealer = Sealer::of_origin(["d", "p", "m"], std::slice::from_ref(&root)).map(Rc::new);
        }
        if mends {
            decode.mends = Mends::of(Quirk::ALL);
        }
        if renames {
            decode.names = odd_names(dialect);
        }
        let door = if is_chat { Door::Chat } else { Door::Messages };
        let encode = AnswerOptions { door, includes_usage: true, calls: CallShape::ToolCalls, shows_reasoning: shows };
        let repair = repairs.then(Repair::default);
        let name = String::from_utf8_lossy(&wire).into_owned();
        (Source { name, wire, end, decode, encode, repair, root: Some(root) }, places)
    })
}

/// The names of tools for which others stand that begin alike.
fn odd_names(dialect: Dialect) -> ToolNames {
    let tools = r#"[{"function":{"name":"a.b"}},{"function":{"name":"a.bc"}}]"#.to_owned();
    let tools = RawValue::from_string(tools).expect("JSON");
    ToolNames::of_fields([Some(&tools), None], dialect)
}

#[test]
fn what_is_kept_back_is_told_at_the_end_elsewhere() {
    let call = r#"{"index":0,"id":"c","type":"function","function":{"name":"a_b","arguments":""}}"#;
    let choice = format!(r#"{{"index":0,"delta":{{"tool_calls":[{call}]}},"finish_reason":"tool_calls"}}"#);
    let event = format!("data: {{\"id\":\"x\",\"model\":\"m\",\"created\":7,\"choices\":[{choice}]}}\n\n");
    let dialect = Dialect::OpenaiChat;
    for (end, more) in [(End::Clean, ""), (End::Clean, "data: [DONE]\n\n"), (End::Broken, "data: [DONE]\n\n")] {
        let source = Source {
            name: format!("{end:?} {more:?}"),
            wire: format!("{event}{more}").into(),
            end,
            decode: DecodeOptions { names: odd_names(dialect), ..DecodeOptions::plain(dialect, 7) },
            encode: AnswerOptions {
                door: Door::Chat,
                includes_usage: true,
                calls: CallShape::ToolCalls,
                shows_reasoning: true,
            },
            repair: None,
            root: None,
        };
        for place in 1..=source.wire.len() {
            source.check(&[place], Holding::Nothing);
        }
    }
}

/// A stream of a case with its events in any order, some of them more than once and some not at all, and where it is continued.
fn shuffled() -> impl Strategy<Value = (Source, Vec<prop::sample::Index>)> {
    let sources = sources();
    let indices = |size: std::ops::Range<usize>| prop::collection::vec(any::<prop::sample::Index>(), size);
    let end = prop::sample::select(vec![End::Clean, End::Broken]);
    (0..sources.len(), indices(1..16), end, any::<bool>(), indices(1..4)).prop_map(
        move |(number, events, end, repairs, places)| {
            let source = &sources[number];
            let text = std::str::from_utf8(&source.wire).expect("text");
            let known: Vec<&str> = text.split_inclusive("\n\n").collect();
            // The first one says what the rest is about.
            let events = events.iter().map(|event| known[event.index(known.len())]);
            let wire = known[..1].iter().copied().chain(events).collect::<String>().into_bytes();
            let repair = repairs.then(Repair::default);
            (Source { wire, end, repair, ..source.named("shuffled") }, places)
        },
    )
}

/// Continues a stream at some of its places, in their order.
fn check(source: &Source, places: &[prop::sample::Index]) {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(source.wire.len() + 1)).collect();
    places.sort_unstable();
    source.check(&places, Holding::Nothing);
    source.check(&places, Holding::All);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn streams_of_any_events_go_on((source, places) in any_source()) {
        check(&source, &places);
    }

    #[test]
    fn events_of_the_cases_go_on_in_any_order((source, places) in shuffled()) {
        check(&source, &places);
    }
}
