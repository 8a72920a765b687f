//! Streams whose calls have other names for the client, in whatever parts they come.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::policy::Dialect;
use crate::upstream::dialect::chat::held_calls::MAX_WAITING_BYTES;
use crate::wire::chat::MAX_CHOICES;

fn names() -> ToolNames {
    let tools = r#"[{"function":{"name":"a.b"}},{"function":{"name":"a.b.c"}},{"custom":{"name":"d e"}},{"function":{"name":"plain"}}]"#;
    let tools = serde_json::from_str(tools).expect("JSON");
    ToolNames::of_fields([Some(tools), None], Dialect::OpenaiChat)
}

/// The calls that a client of the stream gets: name and input of each, by index.
fn told(events: &[Value]) -> Vec<String> {
    let mut names = CallNames::new(names(), CustomNames::default());
    let mut calls: Vec<String> = Vec::new();
    let end = b"[DONE]".to_vec();
    for data in events.iter().map(|event| event.to_string().into_bytes()).chain([end]) {
        let data = names.chunk(&data).unwrap_or(data);
        let Ok(event) = serde_json::from_slice::<Value>(&data) else { continue };
        for part in event["choices"][0]["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(part["index"].as_u64().expect("an index")).expect("small");
            assert!(index <= calls.len(), "calls begin in order: {event}");
            if index == calls.len() {
                assert!(part["id"].is_string() && part["function"]["name"].is_string(), "{event}");
                calls.push(String::new());
            }
            for name in ["name", "arguments"] {
                calls[index].push_str(part["function"][name].as_str().unwrap_or_default());
            }
        }
    }
    assert!(names.held.is_empty(), "nothing is kept back at the end");
    calls
}

fn event(delta: Value, finish_reason: Value) -> Value {
    json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})
}

fn part(index: usize, function: Value) -> Value {
    let mut part = json!({"index": index, "function": function});
    if part["function"]["name"].is_string() {
        part["id"] = json!(format!("call_{index}"));
    }
    event(json!({"tool_calls": [part]}), Value::Null)
}

#[test]
fn names_come_back_wherever_a_stream_splits_them() {
    let end = event(json!({}), json!("tool_calls"));
    for name in ["a.b", "a.b.c", "plain"] {
        let sent = names().write(name.into()).into_owned();
        for first in 0..=sent.len() {
            for second in first..=sent.len() {
                let parts = [&sent[..first], &sent[first..second], &sent[second..]];
                let mut events: Vec<Value> =
                    parts.iter().map(|name| part(0, json!({"name": name, "arguments": ""}))).collect();
                events.push(part(0, json!({"arguments": "{\"a\":"})));
                events.push(part(0, json!({"arguments": "1}"})));
                events.push(end.clone());
                assert_eq!(told(&events), [format!("{name}{{\"a\":1}}")], "{parts:?}");
            }
        }
    }
}

#[test]
fn a_name_that_begins_as_one_that_matters_stays_one_call() {
    let (end, custom) = (event(json!({}), json!("tool_calls")), CustomNames::new(["patch".to_owned()].into()));
    for name in ["a_x", "pain", "a", "patch", "patches"] {
        let mut pieces = name.chars().map(|piece| part(0, json!({"name": piece, "arguments": ""})));
        let first = pieces.next().into_iter();
        let rest = pieces.map(|mut event| {
            // As providers do that say id and type once.
            event["choices"][0]["delta"]["tool_calls"][0].as_object_mut().expect("a call").remove("id");
            event
        });
        let mut names = CallNames::new(names(), custom.clone());
        let (mut came, mut calls) = (String::new(), 0);
        for event in first.chain(rest).chain([end.clone()]) {
            let data = event.to_string().into_bytes();
            let data = names.chunk(&data).unwrap_or(data);
            let event: Value = serde_json::from_slice(&data).expect("JSON");
            let parts = event["choices"][0]["delta"]["tool_calls"].as_array().cloned().unwrap_or_default();
            assert!(parts.len() <= 1, "{name}: {parts:?}");
            calls += parts.iter().filter(|part| part["id"].is_string()).count();
            came.extend(parts.iter().filter_map(|part| part["function"]["name"].as_str()));
        }
        assert_eq!((came.as_str(), calls), (name, 1));
    }
}

#[test]
fn a_reason_that_more_of_a_call_follows_is_none() {
    let sent = names().write("a.b".into()).into_owned();
    for reason in [json!(""), json!(" null"), json!("tool_calls"), json!("stop"), Value::Null, json!(7)] {
        let part = |name: &str| {
            let mut part = part(0, json!({"name": name, "arguments": ""}));
            part["choices"][0]["finish_reason"] = reason.clone();
            part
        };
        let usage = || json!({"choices": [], "usage": {}});
        let end = || event(json!({}), json!("tool_calls"));
        for (first, second, rest, expected) in [
            ("", &sent[..], vec![end()], "a.b"),
            (&sent[..2], &sent[2..], vec![end()], "a.b"),
            (&sent[..2], &sent[2..], vec![usage()], "a.b"),
            (&sent[..2], &sent[2..], vec![], "a.b"),
            ("a", "_", vec![event(json!({}), Value::Null)], "a_"),
            ("a", "_", vec![event(Value::Null, json!("")), usage()], "a_"),
            ("a", "_", vec![usage()], "a_"),
            ("a", "_", vec![], "a_"),
        ] {
            let events: Vec<Value> = [part(first), part(second)].into_iter().chain(rest).collect();
            assert_eq!(told(&events), [expected], "{events:?}");
        }
    }
}

#[test]
fn the_reason_comes_once_and_no_call_behind_it() {
    let call = |name: &str| json!([{"index": 0, "id": "c", "function": {"name": name, "arguments": ""}}]);
    let input = || json!([{"index": 0, "function": {"arguments": "{}"}}]);
    let event =
        |delta: Value, reason: &Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    let (reason, null) = (json!("tool_calls"), Value::Null);
    let usage = || json!({"choices": [], "usage": {}});
    for events in [
        vec![event(json!({"tool_calls": call("a_b")}), &reason)],
        vec![event(json!({"tool_calls": call("a_b")}), &reason), usage()],
        vec![event(json!({"tool_calls": call("a_b")}), &reason), event(json!({}), &null)],
        vec![event(json!({"tool_calls": call("a_b")}), &reason), event(json!({}), &reason)],
        vec![event(json!({"tool_calls": call("a_b")}), &reason), event(json!({"tool_calls": input()}), &reason)],
        vec![event(json!({"tool_calls": call("a_b")}), &reason), event(json!({"tool_calls": input()}), &null)],
        vec![event(json!({"tool_calls": call("a_b")}), &reason), event(json!({"tool_calls": input()}), &null), usage()],
        vec![event(json!({"function_call": {"name": "a_b", "arguments": ""}}), &reason)],
        // Nothing is kept back of these.
        vec![event(json!({"tool_calls": call("look")}), &reason)],
        vec![event(json!({"tool_calls": call("a_b")}), &null), event(json!({}), &reason)],
    ] {
        let mut names = CallNames::new(names(), CustomNames::default());
        let mut chunks: Vec<Value> = Vec::new();
        for data in events.iter().map(Value::to_string).chain(["[DONE]".to_owned()]) {
            let data = names.chunk(data.as_bytes()).unwrap_or(data.into_bytes());
            chunks.extend(serde_json::from_slice::<Value>(&data));
        }
        let choices: Vec<&Value> =
            chunks.iter().flat_map(|chunk| chunk["choices"].as_array().expect("a list")).collect();
        let at = choices.iter().position(|choice| choice["finish_reason"] == reason).expect("a reason");
        let says_more = |choice: &&&Value| {
            !choice["finish_reason"].is_null() || !choice["delta"].as_object().is_none_or(Map::is_empty)
        };
        assert_eq!(choices[at + 1..].iter().find(says_more), None, "{events:?}");
        let has_name = |choice: &&Value| choice["delta"].to_string().contains("\"name\"");
        assert_eq!(choices.iter().copied().filter(has_name).count(), 1, "{events:?}");
        assert!(!names.keeps_any());
    }
}

#[test]
fn what_is_told_at_the_end_has_its_reason() {
    let part = |choice: u64, calls: Value, reason: Value| {
        json!({"id": "i", "model": "m", "usage": null,
            "choices": [{"index": choice, "finish_reason": reason, "delta": calls}]})
    };
    let call = || json!({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "a_", "arguments": ""}}]});
    let told = |choice: u64| json!({"index": choice, "finish_reason": "tool_calls", "delta": call()});
    let chunk = |names: &mut CallNames, data: &str| -> Value {
        serde_json::from_slice(&names.chunk(data.as_bytes()).expect("another chunk")).expect("JSON")
    };
    for (last, expected) in [
        ("[DONE]", json!({"id": "i", "model": "m", "choices": [told(0), told(1)]})),
        (r#"{"choices":[],"usage":{}}"#, json!({"choices": [told(0), told(1)], "usage": {}})),
    ] {
        let mut names = CallNames::new(names(), CustomNames::default());
        for choice in [0, 1] {
            let came = part(choice, call(), json!("tool_calls"));
            assert_eq!(chunk(&mut names, &came.to_string()), part(choice, json!({}), Value::Null));
        }
        assert_eq!(chunk(&mut names, last), expected);
        assert_eq!(names.chunk(b"[DONE]"), None);
    }
}

#[test]
fn reasons_are_kept_back_of_so_many_choices() {
    let mut names = CallNames::new(ToolNames::none(Dialect::OpenaiChat), CustomNames::new(["run".to_owned()].into()));
    for number in 0..2 * MAX_CHOICES {
        let call = json!({"index": 0, "id": "c", "function": {"name": "run", "arguments": "{}"}});
        let choice = json!({"index": number, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"});
        let chunk = names.chunk(json!({"choices": [choice]}).to_string().as_bytes());
        assert_eq!(chunk.is_some(), number < MAX_CHOICES);
    }
    assert_eq!(names.reasons.len() as u64, MAX_CHOICES);
}

#[test]
fn the_name_of_a_call_in_each_of_the_most_choices_comes_back() {
    let mut names = CallNames::new(names(), CustomNames::default());
    let sent = names.names.tools.write("a.b".into()).into_owned();
    let mut told = String::new();
    for (name, number) in
        [&sent[..3], &sent[3..]].into_iter().flat_map(|name| (0..MAX_CHOICES).map(move |at| (name, at)))
    {
        let call = json!({"index": 0, "id": "c", "function": {"name": name, "arguments": ""}});
        let chunk = json!({"choices": [{"index": number, "delta": {"tool_calls": [call]}}]}).to_string();
        let chunk = names.chunk(chunk.as_bytes()).unwrap_or(chunk.into_bytes());
        told.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
    assert_eq!(told.matches(r#""name":"a.b""#).count() as u64, MAX_CHOICES, "{told}");
}

#[test]
fn choices_in_which_nothing_changes_stay_as_they_are() {
    let mut names = CallNames::new(names(), CustomNames::default());
    let sent = names.names.tools.write("a.b".into()).into_owned();
    let chunk = |name: &str| {
        json!({"choices": [
            {"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "c", "function": {"name": name, "arguments": "{}"}}]}},
            {"index": 1, "finish_reason": "stop"},
            {"index": 2, "delta": null, "finish_reason": "stop"},
            {"index": 3, "message": {"content": "x"}},
            7,
        ]})
    };
    let told = names.chunk(chunk(&sent).to_string().as_bytes()).expect("another chunk");
    assert_eq!(serde_json::from_slice::<Value>(&told).expect("JSON"), chunk("a.b"));
}

#[test]
fn calls_whose_name_may_go_on_are_told_when_the_choice_ends() {
    let sent = |name: &'static str| names().write(name.into()).into_owned();
    let whole = |index, name| part(index, json!({"name": sent(name), "arguments": ""}));
    let end = event(json!({}), json!("tool_calls"));
    assert_eq!(told(&[whole(0, "a.b"), whole(1, "a.b.c"), end.clone()]), ["a.b", "a.b.c"]);
    let beginning = |index| part(index, json!({"name": "a_b", "arguments": ""}));
    assert_eq!(told(&[beginning(0), beginning(1), end.clone()]), ["a_b", "a_b"]);
    let both = json!({"tool_calls": [
        {"index": 0, "id": "c", "function": {"name": sent("a.b"), "arguments": "{}"}},
        {"index": 1, "id": "d", "function": {"name": "a_", "arguments": ""}},
    ]});
    assert_eq!(told(&[event(both, json!("stop"))]), ["a.b{}", "a_"]);
}

/// The events of parallel calls with these names, their parts in turns: of each name so many bytes at a time, then the
/// input in two parts.
fn in_turns(calls: &[(&str, usize)], part: impl Fn(usize, Value) -> Value) -> Vec<Value> {
    let parts = |(name, size): &(&str, usize)| -> Vec<Value> {
        let pieces = name.as_bytes().chunks(*size).map(|piece| std::str::from_utf8(piece).expect("ASCII"));
        let names = pieces.map(|piece| json!({"name": piece, "arguments": ""}));
        names.chain(["{", "}"].map(|input| json!({"arguments": input}))).collect()
    };
    let calls: Vec<Vec<Value>> = calls.iter().map(parts).collect();
    let most = calls.iter().map(Vec::len).max().unwrap_or_default();
    let turns = (0..most).flat_map(|turn| calls.iter().enumerate().map(move |(at, parts)| (at, parts.get(turn))));
    turns.filter_map(|(at, function)| Some(part(at, function?.clone()))).collect()
}

#[test]
fn the_names_of_calls_whose_parts_come_in_turns_come_back() {
    let sent = |name: &'static str| names().write(name.into()).into_owned();
    let (first, second) = (sent("a.b"), sent("a.b.c"));
    // Each part says which call it is of, and of what type, as some providers do.
    let labelled = |index: usize, function: Value| {
        let part = json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": function});
        event(json!({"tool_calls": [part]}), Value::Null)
    };
    let with_reason = |index: usize, function: Value| {
        let mut event = labelled(index, function);
        event["choices"][0]["finish_reason"] = json!("tool_calls");
        event
    };
    let end = || event(json!({}), json!("tool_calls"));
    for size in 1..=first.len() {
        for other in [1, 5, 8, 30] {
            for (calls, expected) in [
                (vec![(&*first, size), (&*second, other)], vec!["a.b{}", "a.b.c{}"]),
                (vec![(&*first, size), ("plain", other)], vec!["a.b{}", "plain{}"]),
                (vec![("plain", other), (&*first, size)], vec!["plain{}", "a.b{}"]),
                (vec![(&*first, size), ("pl", 2), (&*second, other)], vec!["a.b{}", "pl{}", "a.b.c{}"]),
                (vec![("a_", 1), (&*first, size)], vec!["a_{}", "a.b{}"]),
            ] {
                for events in [in_turns(&calls, labelled), in_turns(&calls, with_reason), in_turns(&calls, part)] {
                    let events: Vec<Value> = events.into_iter().chain([end()]).collect();
                    assert_eq!(told(&events), expected, "{events:?}");
                }
            }
        }
    }
}

#[test]
fn what_waits_for_the_name_of_another_call_is_bounded() {
    let mut names = CallNames::new(names(), CustomNames::default());
    let mut chunk = |event: Value| names.chunk(event.to_string().as_bytes());
    assert!(chunk(part(0, json!({"name": "a_", "arguments": ""}))).is_some());
    assert!(chunk(part(1, json!({"name": "look", "arguments": ""}))).is_some());
    let long = "x".repeat(MAX_WAITING_BYTES + 1);
    let told: Value =
        serde_json::from_slice(&chunk(part(1, json!({"arguments": long}))).expect("another chunk")).expect("JSON");
    let calls = &told["choices"][0]["delta"]["tool_calls"];
    assert_eq!((&calls[0]["function"]["name"], &calls[1]["function"]["name"]), (&json!("a_"), &json!("look")));
    assert_eq!(calls[1]["function"]["arguments"], long);
    assert!(names.held.is_empty());
}

#[test]
fn the_name_of_a_call_of_the_older_form_comes_back_too() {
    let sent = names().write("a.b".into()).into_owned();
    let part = |call: Value| event(json!({"function_call": call}), Value::Null);
    let end = || event(json!({}), json!("function_call"));
    for (events, expected) in [
        (vec![part(json!({"name": sent, "arguments": ""})), part(json!({"arguments": "{}"})), end()], "a.b{}"),
        (vec![part(json!({"name": &sent[..3], "arguments": ""})), part(json!({"name": &sent[3..]})), end()], "a.b"),
        (vec![part(json!({"name": "a_", "arguments": ""})), end()], "a_"),
        (vec![part(json!({"name": "plain", "arguments": "{}"})), end()], "plain{}"),
    ] {
        let mut names = CallNames::new(names(), CustomNames::default());
        let mut told = String::new();
        for event in events {
            let data = event.to_string().into_bytes();
            let data = names.chunk(&data).unwrap_or(data);
            let event: Value = serde_json::from_slice(&data).expect("JSON");
            let call = &event["choices"][0]["delta"]["function_call"];
            told.extend(["name", "arguments"].into_iter().filter_map(|name| call[name].as_str()));
        }
        assert_eq!(told, expected);
    }
}

#[test]
fn what_has_no_other_name_passes_as_it_came() {
    let mut names = CallNames::new(names(), CustomNames::default());
    for data in [
        r#"{"choices":[{"index":0,"delta":{"content":"a_b"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"plain","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"name\""}}]}}]}"#,
        "[DONE]",
        r#"{"error":{"name":"a_b"}}"#,
        r#"{"choices":["name",{"delta":"name"},{"delta":{"tool_calls":["name",7,{}],"function_call":null}},{"delta":{"function_call":["name"]}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":["name"],"function_call":{"name":7}},"finish_reason":"stop"}]}"#,
    ] {
        assert_eq!(names.chunk(data.as_bytes()), None, "{data}");
    }
}

#[test]
fn names_in_whole_answers_come_back_in_every_form_of_a_call() {
    let names = names();
    let sent = |name: &'static str| names.write(name.into()).into_owned();
    let body = |first: &str, second: &str, third: &str| {
        json!({"choices": [{"message": {"content": null, "function_call": {"name": first, "arguments": "{}"}, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": second, "arguments": "{}"}},
            {"id": "d", "type": "custom", "custom": {"name": third, "input": "x"}},
        ]}}]})
    };
    for (mut came, expected, is_changed) in [
        (body(&sent("a.b"), &sent("a.b.c"), &sent("d e")), body("a.b", "a.b.c", "d e"), true),
        (body("x", "y", &sent("d e")), body("x", "y", "d e"), true),
        (body("x", "y", "z"), body("x", "y", "z"), false),
    ] {
        assert_eq!(restore_answer(&names, &mut came), is_changed, "{expected}");
        assert_eq!(came, expected);
    }
}

/// A call as it is drawn: its name for the client, how many bytes of the one that stands for it each part has, and its input.
#[derive(Clone, Debug)]
struct DrawnCall {
    name: &'static str,
    sizes: Vec<usize>,
    input: Vec<&'static str>,
}

impl DrawnCall {
    /// Its functions part by part, the first with a name.
    fn parts(&self) -> Vec<Value> {
        let sent = names().write(self.name.into()).into_owned();
        let (mut rest, mut sizes) = (sent.as_str(), self.sizes.iter().cycle());
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((*sizes.next().expect("a size")).min(rest.len()));
            parts.push(json!({"name": piece, "arguments": ""}));
            rest = behind;
        }
        parts.extend(self.input.iter().map(|input| json!({"arguments": input})));
        parts
    }
}

fn drawn_call() -> impl Strategy<Value = DrawnCall> {
    let name = select(vec!["a.b", "a.b.c", "d e", "plain", "a_", "a", "other"]);
    let input = prop::collection::vec(select(vec!["", "{", "\"name\"", "}"]), 0..4);
    (name, prop::collection::vec(1..30_usize, 1..4), input).prop_map(|(name, sizes, input)| DrawnCall {
        name,
        sizes,
        input,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parallel_calls_come_whole_and_in_order_whatever_order_their_parts_have(
        calls in prop::collection::vec(drawn_call(), 1..5),
        turns in prop::collection::vec(any::<prop::sample::Index>(), 80),
        labels in prop::collection::vec(any::<bool>(), 80),
    ) {
        let mut left: Vec<(usize, std::vec::IntoIter<Value>)> =
            calls.iter().map(|call| call.parts().into_iter()).enumerate().collect();
        // Calls begin in their order.
        let mut functions: Vec<(usize, Value)> = Vec::new();
        let mut begun = 0;
        for turn in &turns {
            left.retain(|(_, parts)| parts.len() > 0);
            let ready = left.iter().filter(|(at, _)| *at <= begun).count();
            if ready == 0 {
                break;
            }
            let (at, parts) = &mut left[turn.index(ready)];
            begun = begun.max(*at + 1);
            functions.push((*at, parts.next().expect("a part")));
        }
        functions.extend(left.into_iter().flat_map(|(at, parts)| parts.map(move |part| (at, part))));
        let mut labelled = vec![false; calls.len()];
        let events = functions.into_iter().zip(labels.iter().cycle()).map(|((at, function), is_labelled)| {
            let mut part = json!({"index": at, "function": function});
            if *is_labelled || !std::mem::replace(&mut labelled[at], true) {
                part["id"] = json!(format!("call_{at}"));
                part["type"] = json!("function");
            }
            event(json!({"tool_calls": [part]}), Value::Null)
        });
        let events: Vec<Value> = events.chain([event(json!({}), json!("tool_calls"))]).collect();
        let expected: Vec<String> = calls.iter().map(|call| format!("{}{}", call.name, call.input.concat())).collect();
        prop_assert_eq!(told(&events), expected);
    }
}
