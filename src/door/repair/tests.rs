//! Streams that break and what takes their place, piece by piece.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::door::answer::{AnswerOptions, CallShape};
use crate::door::delivery::Delivery;
use crate::policy::Dialect;
use crate::upstream::dialect::{DecodeOptions, Heard, Stream};
use crate::wire::door::Door;
use crate::wire::sse::Decoder;

const OPTIONS: AnswerOptions =
    AnswerOptions { door: Door::Chat, includes_usage: false, calls: CallShape::ToolCalls, shows_reasoning: true };

/// A provider's stream on its way to a client.
struct Passage {
    stream: Stream,
    delivery: Delivery,
}

impl Passage {
    fn new(dialect: Dialect, repair: Repair) -> Self {
        let options = DecodeOptions::plain(dialect, 7);
        let stream = Stream::new(&options).expect("the dialect should be built");
        Self { stream, delivery: Delivery::stream(OPTIONS, Some(repair)) }
    }

    fn first() -> Self {
        Self::new(Dialect::OpenaiChat, Repair::default())
    }

    /// One that takes the place of this one.
    fn replaced(&self, dialect: Dialect, restart: fn(&mut Repair)) -> Self {
        let mut repair = self.repair();
        restart(&mut repair);
        Self::new(dialect, repair)
    }

    fn replayed(&self) -> Self {
        self.replaced(Dialect::OpenaiChat, Repair::replay)
    }

    fn repair(&self) -> Repair {
        self.delivery.repair().expect("a stream that can be repaired")
    }

    /// What the client gets for the events, unless they differ.
    fn pass(&mut self, events: &[String]) -> Result<String, Differs> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        decoder.space().extend_from_slice(events.concat().as_bytes());
        while let Some(event) = decoder.next_event().expect("short events") {
            let data = self.stream.data(&event);
            let mut pieces = Vec::new();
            assert_eq!(self.stream.take(&data, &mut pieces), Ok(Heard::Pieces));
            let passed = self.stream.pass(&data);
            let said = Said { dialect: self.stream.dialect(), pieces: &pieces, came: passed.as_it_came() };
            self.delivery.take(&said, &mut out);
        }
        if self.delivery.has_differed() { Err(Differs) } else { Ok(String::from_utf8(out).expect("text")) }
    }

    /// What the client gets for the events, the last of which end the answer, without the end marker.
    fn pass_all(&mut self, events: &[String]) -> Result<String, Differs> {
        let passed = self.pass(events)?;
        assert!(self.stream.is_finished());
        let mut out = Vec::new();
        self.delivery.end(&mut out);
        let end = String::from_utf8(out).expect("text");
        if self.delivery.has_differed() { Err(Differs) } else { Ok(passed + end.trim_end_matches("data: [DONE]\n\n")) }
    }
}

fn chunk(id: &str, delta: Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!("data: {}\n\n", json!({"id": id, "created": 7, "choices": [choice]}))
}

fn text(id: &str, content: &str) -> String {
    chunk(id, json!({"content": content}), None)
}

fn role(id: &str) -> String {
    chunk(id, json!({"role": "assistant", "content": ""}), None)
}

fn call(id: &str, arguments: &str) -> String {
    let call = json!([{"index": 0, "id": "call", "function": {"name": "f", "arguments": arguments}}]);
    chunk(id, json!({"tool_calls": call}), None)
}

fn chunks(events: &str) -> Vec<Value> {
    let data = events.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.map(|data| serde_json::from_str::<Value>(data).expect("JSON")).collect()
}

/// All content that a client of these events has.
fn content(events: &str) -> String {
    let chunks = chunks(events).into_iter();
    chunks.map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_stream_that_does_not_break_is_left_alone() {
    let events = [role("a"), text("a", "Hel"), text("a", "lo")];
    let mut first = Passage::first();
    assert_eq!(first.pass(&events).as_deref(), Ok(events.concat().as_str()));
    assert_eq!((first.repair().text(), first.repair().is_transparent()), ("Hello", true));
}

#[test]
fn a_replay_is_swallowed_as_far_as_it_was_delivered() {
    let mut first = Passage::first();
    let before = first.pass(&[role("a"), text("a", "Hello wo")]).expect("no replay");
    let mut second = first.replayed();
    let events = [role("b"), text("b", "Hel"), text("b", "lo "), text("b", "world"), text("b", "!")];
    let after = second.pass(&events).expect("the same text");
    assert_eq!(content(&(before + &after)), "Hello world!");
    assert!(!after.contains("\"b\"") && !after.contains("role"), "one identity, one role: {after}");
    let end = second.pass_all(&[chunk("b", json!({}), Some("stop"))]).expect("an end");
    assert!(end.contains("\"stop\""), "{end}");
}

#[test]
fn a_replay_that_breaks_is_replayed_too() {
    let mut first = Passage::first();
    let mut all = first.pass(&[role("a"), text("a", "Hello")]).expect("no replay");
    let mut second = first.replayed();
    all += &second.pass(&[role("b"), text("b", "Hello wo")]).expect("the same text");
    let mut third = second.replayed();
    all += &third.pass(&[role("c"), text("c", "Hello world")]).expect("the same text");
    assert_eq!(content(&all), "Hello world");
    assert!(chunks(&all).iter().all(|chunk| chunk["id"] == "a"), "{all}");
}

#[test]
fn the_first_difference_ends_it() {
    for events in [
        vec![text("b", "Help")],
        vec![text("b", "Hel"), chunk("b", json!({}), Some("stop"))],
        vec![text("b", "Hel"), call("b", "{}")],
        vec![chunk("b", json!({"reasoning_content": "hm"}), None)],
    ] {
        let mut first = Passage::first();
        first.pass(&[role("a"), text("a", "Hello")]).expect("no replay");
        assert_eq!(first.replayed().pass(&events), Err(Differs), "{events:?}");
    }
}

#[test]
fn a_continuation_goes_on() {
    let mut first = Passage::first();
    let before = first.pass(&[role("a"), text("a", "Hello ")]).expect("no replay");
    let mut second = first.replaced(Dialect::OpenaiChat, Repair::go_on);
    let after = second.pass(&[role("b"), text("b", "world")]).expect("new text");
    assert_eq!(content(&(before + &after)), "Hello world");
}

#[test]
fn white_space_that_the_provider_was_not_shown_is_not_said_twice() {
    for (delivered, unseen, continuation, expected) in [
        ("Hello ", " ", " world", "Hello world"),
        ("Hello ", " ", "world", "Hello world"),
        ("One.\n\n", "\n\n", "\n\nTwo.", "One.\n\nTwo."),
        ("Hello ", "", " world", "Hello  world"),
    ] {
        for place in 0..=continuation.len() {
            let mut first = Passage::first();
            let before = first.pass(&[role("a"), text("a", delivered)]).expect("no replay");
            let mut repair = first.repair();
            repair.go_on();
            repair.hides(unseen);
            let mut second = Passage::new(Dialect::OpenaiChat, repair);
            let (one, two) = continuation.split_at(place);
            let after = second.pass(&[role("b"), text("b", one), text("b", two)]).expect("new text");
            assert_eq!(content(&(before + &after)), expected, "{one:?} {two:?}");
            assert_eq!(second.repair().text(), expected);
        }
    }
}

#[test]
fn an_answer_is_joined_across_dialects() {
    let mut first = Passage::first();
    let mut all = first.pass(&[role("a"), text("a", "He\u{e4}l")]).expect("no replay");
    let mut second = first.replaced(Dialect::AnthropicMessages, Repair::replay);
    let delta = json!({"type": "text_delta", "text": "He\u{e4}lo"}).to_string().replace('\u{e4}', "\\u00e4");
    let events = [
        r#"{"type":"message_start","message":{"id":"msg_1","model":"m"}}"#.to_owned(),
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
        format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#),
        r#"{"type":"content_block_stop","index":0}"#.to_owned(),
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#.to_owned(),
    ];
    let events = events.map(|data| format!("data: {data}\n\n"));
    let after = second.pass_all(&events).expect("the same text");
    all += &after;
    assert_eq!(content(&all), "He\u{e4}lo");
    assert!(chunks(&all).iter().all(|chunk| chunk["id"] == "a"), "{all}");
    assert_eq!(chunks(&after).last().expect("a chunk")["choices"][0]["finish_reason"], "stop");
}

#[test]
fn nothing_of_an_unfinished_tool_call_is_delivered() {
    let mut first = Passage::first();
    let before = first.pass(&[role("a"), text("a", "Look:"), call("a", "{\"x\":")]).expect("no replay");
    assert!(!before.contains("tool_calls") && !first.repair().is_transparent());
    let mut second = first.replayed();
    let events = [role("b"), text("b", "Look:"), call("b", "{}"), chunk("b", json!({}), Some("tool_calls"))];
    let after = second.pass_all(&events).expect("the same text");
    assert_eq!(after.matches("tool_calls").count(), 2, "the call and the reason: {after}");
    assert!(second.delivery.repair().is_none(), "a delivered call is not joined");
}

#[test]
fn a_reason_to_finish_in_every_chunk_ends_no_replay() {
    let stopping = |id: &str, content: &str| chunk(id, json!({"content": content}), Some("stop"));
    let mut first = Passage::first();
    let before = first.pass(&[role("a"), stopping("a", "One "), stopping("a", "two")]).expect("no replay");
    let mut second = first.replayed();
    let events = [role("b"), stopping("b", "One "), stopping("b", "two "), stopping("b", "three")];
    let after = second.pass_all(&events).expect("the same text");
    assert_eq!(content(&(before + &after)), "One two three");
    let reasons = |text: &str| text.matches("\"finish_reason\":\"stop\"").count();
    let last = after.split_terminator("\n\n").last().unwrap_or_default();
    assert_eq!((reasons(&after), reasons(last)), (1, 1), "one reason, at the end: {after}");
    let mut all_known = first.replayed();
    let again = all_known.pass_all(&[role("b"), stopping("b", "One two")]).expect("the same text");
    assert_eq!(reasons(&again), 1, "{again}");
    let mut short = first.replayed();
    assert_eq!(short.pass_all(&[role("b"), stopping("b", "One ")]), Err(Differs), "it ends before the first broke");
}

#[test]
fn what_stands_beside_a_text_is_repaired_with_it() {
    let thought = |id: &str, text: &str, details: &str| {
        chunk(id, json!({"reasoning": text, "reasoning_details": [{"type": "reasoning.text", "text": details}]}), None)
    };
    let mut first = Passage::first();
    first.pass(&[role("a"), thought("a", "Hm", "Hm")]).expect("no replay");
    let after = first.replayed().pass(&[role("b"), thought("b", "Hm", "Hm"), thought("b", ", so", ", so")]);
    let after = after.expect("the same thought");
    assert_eq!(after.matches("reasoning_details").count(), 1, "{after}");
    let mut image = Passage::first();
    image.pass(&[role("a"), chunk("a", json!({"images": [{"url": "x"}]}), None)]).expect("no replay");
    assert!(image.delivery.repair().is_none(), "an image cannot be compared");
}

#[test]
fn several_choices_are_not_repaired() {
    let mut first = Passage::first();
    let other = text("a", "x").replace("\"index\":0", "\"index\":1");
    assert_eq!(first.pass(std::slice::from_ref(&other)), Ok(other));
    assert!(first.delivery.repair().is_none());
}

#[test]
fn what_nobody_here_knows_survives_a_repair() {
    let mut first = Passage::first();
    first.pass(&[role("a"), text("a", "Hello")]).expect("no replay");
    let choice = json!({
        "index": 0,
        "delta": {"content": "Hello!", "annotations": [{"url": "x"}]},
        "logprobs": {"content": []},
        "finish_reason": null,
    });
    let event = json!({"id": "b", "model": "m", "system_fingerprint": "fp", "choices": [choice]});
    let call = json!([{"index": 3, "id": "c", "type": "custom", "custom": {"name": "n", "input": "i"}, "extra": 1}]);
    let events = [
        format!("data: {event}\n\n"),
        chunk("b", json!({"tool_calls": call}), None),
        chunk("b", json!({}), Some("tool_calls")),
    ];
    let after = chunks(&first.replayed().pass_all(&events).expect("the same text"));
    assert_eq!(after.len(), 3, "{after:?}");
    let expected = json!({"content": "!", "annotations": [{"url": "x"}]});
    assert_eq!((&after[0]["choices"][0]["delta"], &after[0]["model"]), (&expected, &json!("m")));
    assert_eq!((&after[0]["system_fingerprint"], &after[0]["id"]), (&json!("fp"), &json!("a")));
    assert_eq!(after[0]["choices"][0]["logprobs"], json!({"content": []}));
    let mut expected = call.clone();
    expected[0]["index"] = 0.into();
    assert_eq!(after[1]["choices"][0]["delta"]["tool_calls"], expected);
}

fn cuts(text: &str, at: &[usize]) -> Vec<String> {
    let mut cuts: Vec<usize> = at.iter().map(|at| at % (text.len() + 1)).chain([0, text.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| text[pair[0]..pair[1]].to_owned()).collect()
}

proptest! {
    #[test]
    fn a_replay_in_any_pieces_gives_the_whole_text(
        whole in "[a-c \"\\\\]{1,60}", broken_at in 0_usize..60, first in proptest::collection::vec(0_usize..60, 0..6),
        second in proptest::collection::vec(0_usize..60, 0..6),
    ) {
        let delivered = &whole[..broken_at % (whole.len() + 1)];
        let events = |id: &str, text_: &str, at: &[usize]| {
            cuts(text_, at).iter().map(|piece| text(id, piece)).collect::<Vec<_>>()
        };
        let mut passage = Passage::first();
        let before = passage.pass(&events("a", delivered, &first)).expect("no replay");
        let after = passage.replayed().pass(&events("b", &whole, &second)).expect("the same text");
        prop_assert_eq!(content(&(before + &after)), whole);
    }
}
