//! Calls of the chat API for clients of the Messages API: whatever their inputs are and however they come, a stream says what a whole
//! answer says.

use proptest::prelude::*;
use serde_json::{Value, json};
use tiergate::door::delivery::{self, Delivery};
use tiergate::policy::Dialect;
use tiergate::upstream::dialect;
use tiergate::wire::json::JsonString;
use tiergate::wire::piece::Said;

use super::tables::ways;
use super::{Passing, deliver, valid};
use crate::case::Ways;
use crate::continuation::{End, Holding, Source};

/// A call, its input as the inside of a JSON string.
#[derive(Clone, Debug)]
struct Call {
    id: String,
    name: &'static str,
    form: Form,
    input: String,
}

/// In which form of the chat API it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Function,
    Custom,
}

impl Call {
    /// All of it, or a part of its input, as the API writes it.
    fn json(&self, index: usize, part: Part<'_>) -> String {
        let (kind, field) = match self.form {
            Form::Function => ("function", "arguments"),
            Form::Custom => ("custom", "input"),
        };
        let name = json!(self.name);
        let head = format!(r#""index":{index},"id":"{}","type":"{kind}""#, self.id);
        match part {
            Part::First(input) => format!(r#"{{{head},"{kind}":{{"name":{name},"{field}":"{input}"}}}}"#),
            Part::Next(input) => format!(r#"{{"index":{index},"{kind}":{{"{field}":"{input}"}}}}"#),
        }
    }
}

enum Part<'i> {
    First(&'i str),
    Next(&'i str),
}

/// Where the inside of a JSON string may be cut: not within an escape.
fn cuts(inside: &str) -> Vec<usize> {
    let is_cut =
        |at: &usize| inside.is_char_boundary(*at) && JsonString::parse(format!("\"{}\"", &inside[..*at])).is_some();
    (0..=inside.len()).filter(is_cut).collect()
}

/// An answer with calls: how each input is cut, in which order the parts come, and why it ended.
#[derive(Debug)]
struct Answer {
    calls: Vec<Call>,
    events: Vec<String>,
    reason: &'static str,
}

impl Answer {
    /// The calls in parts that are cut at `cut` and come in the order of `order`.
    fn new(calls: Vec<Call>, cut: &[prop::sample::Index], order: &[usize], reason: &'static str) -> Self {
        let mut parts: Vec<Vec<String>> = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            let places = cuts(&call.input);
            let mut at: Vec<usize> = cut.iter().map(|cut| places[cut.index(places.len())]).collect();
            at.extend([0, call.input.len()]);
            at.sort_unstable();
            let next = at.windows(2).skip(1).map(|at| call.json(index, Part::Next(&call.input[at[0]..at[1]])));
            let first = call.json(index, Part::First(&call.input[at[0]..at[1]]));
            parts.push([first].into_iter().chain(next).rev().collect());
        }
        let mut events = Vec::new();
        // Calls begin in their order.
        let mut begun = 0;
        for turn in order.iter().copied().chain(0..).take_while(|turn| *turn < 1_000) {
            if parts.iter().all(Vec::is_empty) {
                break;
            }
            let turn = (turn % parts.len()).min(begun);
            if let Some(part) = parts[turn].pop() {
                begun = begun.max(turn + 1);
                events.push(format!(r#"{{"tool_calls":[{part}]}}"#));
            }
        }
        Self { calls, events, reason }
    }

    fn wire(&self) -> String {
        let chunk = |delta: &str, reason: &str| {
            format!(
                "data: {{\"id\":\"c\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{reason}}}]}}\n\n"
            )
        };
        let events = self.events.iter().map(|delta| chunk(delta, "null"));
        events.chain([chunk("{}", &format!("\"{}\"", self.reason)), "data: [DONE]\n\n".to_owned()]).collect()
    }

    fn body(&self) -> String {
        let calls = self.calls.iter().enumerate().map(|(index, call)| call.json(index, Part::First(&call.input)));
        let calls: Vec<String> = calls.collect();
        let message = format!(r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#, calls.join(","));
        format!(
            r#"{{"id":"c","created":7,"model":"m","choices":[{{"index":0,"message":{message},"finish_reason":"{}"}}]}}"#,
            self.reason
        )
    }

    /// What the client gets of the whole answer; nothing where it is a broken one.
    fn whole(&self, Ways { reading, options }: &Ways) -> Option<Value> {
        let body = self.body();
        let pieces = dialect::decode_answer(reading, body.as_bytes()).ok()?;
        let said = Said { dialect: reading.dialect, pieces: &pieces, came: None };
        let body = delivery::encode_answer(options, &said, None).expect("a translation");
        Some(serde_json::from_slice(&body).expect("JSON"))
    }

    fn source(&self, ways: &Ways) -> Source {
        Source {
            name: self.wire(),
            wire: self.wire().into(),
            end: End::Clean,
            decode: ways.reading.clone(),
            encode: ways.options,
            repair: None,
            root: None,
        }
    }

    fn check(&self) -> Result<(), String> {
        let ways = ways(Dialect::OpenaiChat);
        let (wire, whole) = (self.wire(), self.whole(&ways));
        let at = wire.len() / 3;
        for parts in [vec![wire.as_bytes()], vec![&wire.as_bytes()[..at], &wire.as_bytes()[at..]]] {
            let get = |delivery| deliver(&ways, delivery, &parts, Passing::AsItCame);
            let streamed = get(Delivery::stream(ways.options, None));
            let streamed = streamed.map(|streamed| {
                objects(&streamed)?;
                valid::message(&streamed)
            });
            if streamed.clone().transpose()? != whole {
                return Err(format!("{streamed:?}\n{whole:?}"));
            }
            let gathered = get(Delivery::whole(ways.options));
            let gathered: Option<Value> = gathered.map(|body| serde_json::from_str(&body).expect("JSON"));
            if gathered != whole {
                return Err(format!("gathered {gathered:?}\n{whole:?}"));
            }
        }
        Ok(())
    }
}

/// Whether each input that a client puts together begins as an object, as far as any comes.
fn objects(stream: &str) -> Result<(), String> {
    let mut begun = std::collections::BTreeSet::new();
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(data).map_err(|error| format!("{error}: {data}"))?;
        if let Some(part) = event["delta"]["partial_json"].as_str()
            && begun.insert(event["index"].to_string())
            && !part.starts_with('{')
        {
            return Err(format!("no object begins: {data}"));
        }
    }
    Ok(())
}

fn any_input() -> impl Strategy<Value = String> {
    let known = vec![
        "",
        " ",
        "null",
        "nul",
        r"\n null\t",
        "[1,2]",
        "7",
        "true",
        r#"\"text\""#,
        "not JSON",
        "[",
        r"\u00a0{}",
        "{}",
        r" \n{}\n",
        r#"{\"a\":1}"#,
        r#"{\"a\":\"b"#,
        r#"{\"a\":[1,{\"b\":null}]}"#,
        r#"{\"a\":1,}"#,
        r"{'a': 1}",
        r#"{\"a\":1}{\"a\":1}"#,
        r#"{\"a\":\"\ud83d\ude00\\n\\\"}\"}"#,
        r#"\u007b\"\\ud83d\\ude00\":1}"#,
        r"{\ud83d",
        r"\ude00\ud83d",
        "\u{feff}{}",
        "\u{1F600}",
    ];
    let part = vec![
        "{", "}", "[", "]", r#"\""#, r"\\", ":", ",", "a", " ", r"\n", "1", r"\ud83d", r"\ude00", "null", r"\u007b",
    ];
    let parts = prop::collection::vec(prop::sample::select(part), 0..12).prop_map(|parts| parts.concat());
    prop_oneof![3 => prop::sample::select(known).prop_map(str::to_owned), 2 => parts]
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let form = prop_oneof![5 => Just(Form::Function), 1 => Just(Form::Custom)];
    let name = prop::sample::select(&["f", "look", "fg"][..]);
    let id = prop::sample::select(&["c", "d", "a.b", ""][..]);
    let call =
        (id, name, form, any_input()).prop_map(|(id, name, form, input)| Call { id: id.to_owned(), name, form, input });
    let calls = prop::collection::vec(call, 1..4);
    let cut = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let reason = prop::sample::select(&["tool_calls", "stop", "length", "eos"][..]);
    (calls, cut, prop::collection::vec(0..4_usize, 0..12), reason)
        .prop_map(|(calls, cut, order, reason)| Answer::new(calls, &cut, &order, reason))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_of_any_calls_says_what_the_whole_answer_says(answer in any_answer(), places in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        prop_assert_eq!(answer.check(), Ok(()), "{}", answer.wire());
        let source = answer.source(&ways(Dialect::OpenaiChat));
        let mut places: Vec<usize> = places.iter().map(|place| place.index(source.wire.len() + 1)).collect();
        places.sort_unstable();
        source.check(&places, Holding::Nothing);
    }
}

/// A stream of one call goes on at every byte.
#[test]
fn inputs_of_every_form_go_on_at_every_place() {
    for input in ["", " null ", "nul", "[1,2]", r#" {\"a\":\"\ud83d\ude00\"}"#, r"x\ud83d", r#"{\"a\":\"b"#, r"{'a'"] {
        for form in [Form::Function, Form::Custom] {
            let call = Call { id: "c".to_owned(), name: "f", form, input: input.to_owned() };
            let places = cuts(input).len();
            let parts: String = (0..places.saturating_sub(1))
                .map(|at| (cuts(input)[at], cuts(input)[at + 1]))
                .map(|(from, to)| call.json(0, Part::Next(&input[from..to])))
                .map(|part| format!("{part}\n"))
                .collect();
            let first = [call.json(0, Part::First(""))];
            let events = first.iter().map(String::as_str).chain(parts.lines());
            let events = events.map(|part| format!(r#"{{"tool_calls":[{part}]}}"#)).collect();
            let answer = Answer { calls: vec![call], events, reason: "tool_calls" };
            assert_eq!(answer.check(), Ok(()), "{input}");
            let source = answer.source(&ways(Dialect::OpenaiChat));
            source.check(&(1..source.wire.len()).collect::<Vec<_>>(), Holding::Nothing);
            for place in (1..source.wire.len()).step_by(11) {
                source.check(&[place], Holding::Nothing);
            }
        }
    }
}

/// The content that a client puts together of these deltas, streamed at any split.
fn content(deltas: &[&str], reason: &'static str) -> Value {
    let events = deltas.iter().map(|delta| (*delta).to_owned()).collect();
    let (answer, ways) = (Answer { calls: Vec::new(), events, reason }, ways(Dialect::OpenaiChat));
    let wire = answer.wire();
    let message = |parts: &[&[u8]]| {
        let streamed = deliver(&ways, Delivery::stream(ways.options, None), parts, Passing::AsItCame);
        let gathered = deliver(&ways, Delivery::whole(ways.options), parts, Passing::AsItCame).expect("a whole answer");
        let message = valid::message(&streamed.expect("a whole stream")).expect("a message");
        assert_eq!(message, serde_json::from_str::<Value>(&gathered).expect("JSON"), "{deltas:?}");
        message
    };
    let whole = message(&[wire.as_bytes()]);
    for at in (0..wire.len()).step_by(13) {
        let (head, tail) = wire.as_bytes().split_at(at);
        assert_eq!(message(&[head, tail]), whole, "{deltas:?} at {at}");
    }
    whole["content"].clone()
}

#[test]
fn a_character_that_two_deltas_share_is_one() {
    let text = |text: &str| json!({"type": "text", "text": text, "citations": null});
    let thought = |text: &str| json!({"type": "thinking", "thinking": text, "signature": ""});
    let call = |input: Value| json!({"type": "tool_use", "id": "c", "name": "f", "input": input, "caller": {"type": "direct"}});
    let begin = r#"{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{\"a\":\"\ud83d"}}]}"#;
    let end = r#"{"tool_calls":[{"index":0,"function":{"arguments":"\ude00\"}"}}]}"#;
    let lone = r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]}"#;
    for (deltas, expected) in [
        (&[r#"{"content":"a\ud83d"}"#, r#"{"content":"\ude00b"}"#][..], json!([text("a\u{1F600}b")])),
        (&[r#"{"content":"\ud83d"}"#, r#"{"content":"\ude00"}"#], json!([text("\u{1F600}")])),
        (&[r#"{"content":"a\ud83d"}"#, r#"{"content":"b\ude00"}"#], json!([text("a\u{fffd}b\u{fffd}")])),
        (&[r#"{"content":"a\ud83d"}"#], json!([text("a\u{fffd}")])),
        (
            &[
                r#"{"reasoning":"a\ud83d"}"#,
                r#"{"reasoning":"\ude00"}"#,
                r#"{"reasoning":"\ud83d"}"#,
                r#"{"content":"b"}"#,
            ],
            json!([thought("a\u{1F600}\u{fffd}"), text("b")]),
        ),
        (&[begin, end], json!([call(json!({"a": "\u{1F600}"}))])),
        (&[begin, lone], json!([call(json!({"a": "\u{fffd}"}))])),
        (&[r#"{"content":"\ud83d"}"#, begin, end], json!([text("\u{fffd}"), call(json!({"a": "\u{1F600}"}))])),
    ] {
        assert_eq!(content(deltas, "stop"), expected, "{deltas:?}");
    }
}

#[test]
fn parts_of_calls_find_theirs_however_these_are_named() {
    let part = |head: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        format!(r#"{{"tool_calls":[{{{head}"type":"function","function":{function}}}]}}"#)
    };
    let (x, y) = (json!({"x": 1}), json!({"y": 2}));
    for (what, parts, expected) in [
        (
            "an id with every part, and no number",
            [
                part(r#""id":"a","#, "f", r#"{"x":"#),
                part(r#""id":"b","#, "g", r#"{"y":"#),
                part(r#""id":"a","#, "", "1}"),
                part(r#""id":"b","#, "", "2}"),
            ],
            json!([["a", "f", x], ["b", "g", y]]),
        ),
        (
            "the same id twice",
            [
                part(r#""index":0,"id":"a","#, "f", r#"{"x":"#),
                part(r#""index":1,"id":"a","#, "g", r#"{"y":"#),
                part(r#""index":0,"#, "", "1}"),
                part(r#""index":1,"id":"a","#, "g", "2}"),
            ],
            json!([["a", "f", x], [null, "g", y]]),
        ),
        (
            "an id that comes late",
            [
                part(r#""index":0,"#, "f", r#"{"x":"#),
                part(r#""index":1,"#, "g", r#"{"y":"#),
                part(r#""index":0,"id":"a","#, "", "1}"),
                part(r#""index":1,"id":"a","#, "g", "2}"),
            ],
            json!([[null, "f", x], [null, "g", y]]),
        ),
        (
            "a name that comes late",
            [
                part(r#""index":0,"id":"a","#, "", r#"{"x":"#),
                part(r#""index":0,"#, "f", "1}"),
                part(r#""index":1,"id":"b","#, "", r#"{"y":"#),
                part(r#""index":1,"#, "g", "2}"),
            ],
            json!([["a", "f", x], ["b", "g", y]]),
        ),
        (
            "one number for all, and no ids",
            [
                part(r#""index":0,"#, "f", r#"{"x":"#),
                part(r#""index":0,"#, "f", "1}"),
                part(r#""index":0,"#, "g", r#"{"y":"#),
                part(r#""index":0,"#, "", "2}"),
            ],
            json!([[null, "f", x], [null, "g", y]]),
        ),
    ] {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let content = content(&parts, "tool_calls");
        let blocks = content.as_array().expect("blocks").iter();
        let is_made = |id: &Value| id.as_str().is_some_and(|id| id.starts_with("toolu_"));
        let calls: Vec<Value> = blocks
            .map(|call| {
                let id = if is_made(&call["id"]) { Value::Null } else { call["id"].clone() };
                json!([id, call["name"], call["input"]])
            })
            .collect();
        assert_eq!(Value::from(calls), expected, "{what}");
    }
}
