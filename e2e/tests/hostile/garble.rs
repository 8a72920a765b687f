//! Answers of providers, broken in the ways of networks, proxies and half-made servers.

mod framing;

use serde_json::{Value, json};

use self::framing::{frame_stream, frame_whole};
use crate::random::Random;
use crate::reply::{self, Dialect, Reply, Said};

/// An answer on the wire, and what of it is known.
#[derive(Clone, Debug)]
pub struct Garbled {
    pub reply: Reply,
    /// The bytes of the body that a reader gets.
    pub body: Vec<u8>,
    /// Whether the transfer breaks off.
    pub is_cut: bool,
    /// Whether nothing is wrong with it, so that it must arrive.
    pub is_good: bool,
    pub name: String,
}

/// The text that every answer says.
pub const TEXT: &str = "One two three, ä € and \"four\" five.";

/// An answer with some faults, streamed or whole.
pub fn garbled(dialect: Dialect, streams: bool, random: &mut Random) -> Garbled {
    let faults = random.below(4);
    let made = if streams { stream_body(dialect, faults, random) } else { whole_body(dialect, faults, random) };
    let Made { bytes: mut body, mut names, mut is_good } = made;
    if faults > 0 && random.once_in(3) {
        is_good = false;
        names.push(break_bytes(&mut body, random));
    }
    let made = body.len();
    let (reply, body, is_cut, framing) = if streams { frame_stream(body, random) } else { frame_whole(body, random) };
    is_good &= !is_cut && body.len() == made;
    names.push(framing);
    Garbled { reply, body, is_cut, is_good, name: names.join(", ") }
}

fn said(dialect: Dialect) -> Said {
    Said::new(TEXT).in_dialect(dialect)
}

/// A body with faults.
struct Made {
    bytes: Vec<u8>,
    /// What is wrong with it.
    names: Vec<String>,
    is_good: bool,
}

fn stream_body(dialect: Dialect, faults: usize, random: &mut Random) -> Made {
    let (mut names, mut is_good) = (Vec::new(), true);
    let mut events = reply::events(dialect, &said(dialect));
    events.push(reply::done(dialect).to_owned());
    for _ in 0..faults {
        let (name, keeps) = break_events(&mut events, dialect, random);
        is_good &= keeps;
        names.push(name);
    }
    let text = events.concat();
    let text = match random.below(6) {
        0 => text.replace('\n', "\r\n"),
        1 => text.replace("data: ", "data:"),
        2 => format!("\u{FEFF}{text}"),
        3 if random.once_in(4) => text.replace('\n', "\r"),
        _ => text,
    };
    Made { bytes: text.into_bytes(), names, is_good }
}

/// Breaks something in the events; true if the answer is still a good one.
fn break_events(events: &mut Vec<String>, dialect: Dialect, random: &mut Random) -> (String, bool) {
    if events.is_empty() {
        return ("nothing".to_owned(), true);
    }
    let at = random.below(events.len());
    let last_reason = events.iter().rposition(|event| event.contains("\"stop\"") || event.contains("\"end_turn\""));
    match random.below(22) {
        0 => {
            events.remove(at);
            (format!("event {at} is missing"), false)
        }
        1 => {
            events.insert(at, events[at].clone());
            (format!("event {at} comes twice"), false)
        }
        2 => {
            events.truncate(at);
            (format!("nothing from event {at} on"), false)
        }
        3 => {
            let other = random.below(events.len());
            events.swap(at, other);
            (format!("events {at} and {other} change places"), false)
        }
        4 => {
            events[at] = events[at].trim_end().to_owned();
            (format!("event {at} runs into the next"), false)
        }
        5 => {
            events[at] = events[at].replacen("\n\n", "\n", 1);
            (format!("event {at} lacks its empty line"), false)
        }
        6 => {
            events.insert(at, "data: [DONE]\n\n".to_owned());
            (format!("[DONE] at event {at}"), false)
        }
        7 => {
            events.retain(|event| !event.contains("[DONE]") && !event.contains("message_stop"));
            ("no end marker".to_owned(), false)
        }
        8 | 9 => {
            let word =
                *random.pick(&["\"\"", "null", "\"null\"", "\" \"", "false", "0", "[]", "\"other\"", "\"length\""]);
            for event in events.iter_mut() {
                for reason in ["\"stop\"", "\"end_turn\""] {
                    *event = event.replace(&format!("reason\":{reason}"), &format!("reason\":{word}"));
                }
            }
            (format!("the reason for the end is {word}"), false)
        }
        10 => {
            let word = *random.pick(&["\"\"", "\"null\"", "\"stop\"", "\" \"", "false"]);
            events[at] = events[at].replace("reason\":null", &format!("reason\":{word}"));
            (format!("event {at} has the reason {word}"), false)
        }
        11 => {
            let error = *random.pick(&ERRORS);
            events.insert(at, error.to_owned());
            (format!("{} at event {at}", error.trim()), false)
        }
        12 => {
            let data = *random.pick(&[
                "data: hello\n\n",
                "data: \n\n",
                "data\n\n",
                "data: 7\n\n",
                "data: null\n\n",
                "data: []\n\n",
            ]);
            events.insert(at, data.to_owned());
            (format!("{} at event {at}", data.trim()), false)
        }
        13 => {
            let comment = *random.pick(&[": ping\n\n", ":\n\n", "id: 7\n\n", "retry: 10\n\n", "event: x\n\n", "\n\n"]);
            events.insert(at, comment.to_owned());
            (format!("{comment:?} at event {at}"), true)
        }
        14 => {
            events[at] = format!(": beside\nid: 3\n{}", events[at]);
            (format!("lines beside event {at}"), true)
        }
        15 => {
            let from =
                *random.pick(&["\"index\":0", "\"delta\":", "\"choices\":", "\"content\":", "\"type\":", "\"text\":"]);
            let to =
                *random.pick(&["\"index\":1", "\"index\":\"0\"", "\"delta\":null,\"x\":", "\"x\":", "\"index\":-1"]);
            events[at] = events[at].replacen(from, to, 1);
            (format!("{from} is {to} in event {at}"), false)
        }
        16 => {
            events[at] = events[at].replacen("\",\"", "\",\ndata: \"", 1);
            (format!("event {at} has two data lines"), true)
        }
        17 => {
            let value = *random.pick(&[
                "{\"prompt_tokens\":-1}",
                "{\"prompt_tokens\":1.5,\"completion_tokens\":\"2\"}",
                "[]",
                "\"\"",
                "0",
            ]);
            events[at] = events[at].replacen("data: {", &format!("data: {{\"usage\":{value},"), 1);
            (format!("event {at} has the usage {value}"), false)
        }
        18 => {
            if let Some(reason) = last_reason {
                let said = reply::events(dialect, &Said::new(" And more.").in_dialect(dialect));
                events.insert(reason + 1, said[said.len().saturating_sub(4)].clone());
            }
            ("an event after the end".to_owned(), false)
        }
        19 => {
            if let Some(reason) = last_reason {
                events.insert(reason, events[reason].clone());
            }
            ("the end comes twice".to_owned(), false)
        }
        20 => {
            let more = *random.pick(&["\\ud800", "\\u0000", "\\ud83d\\ude00", "\u{FFFD}"]);
            events[at] = events[at].replacen("ee", more, 1);
            (format!("{more} in event {at}"), false)
        }
        _ => {
            let cut = random.below(events[at].len());
            let cut = events[at].floor_char_boundary(cut);
            events[at] = format!("{}\n\n", events[at][..cut].trim_end());
            (format!("event {at} is cut at {cut}"), false)
        }
    }
}

const ERRORS: [&str; 9] = [
    "data: {\"error\":{\"message\":\"busy\",\"code\":503}}\n\n",
    "data: {\"error\":\"busy\"}\n\n",
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n",
    "event: error\ndata: {\"message\":\"busy\",\"code\":\"x\"}\n\n",
    "data: {\"message\":\"busy\",\"code\":\"x\"}\n\n",
    "data: {\"detail\":\"busy\"}\n\n",
    "data: {\"errors\":[{\"message\":\"busy\"}]}\n\n",
    "data: {\"object\":\"error\",\"message\":\"busy\",\"code\":500}\n\n",
    "data: [{\"error\":{\"code\":503,\"message\":\"busy\"}}]\n\n",
];

fn whole_body(dialect: Dialect, faults: usize, random: &mut Random) -> Made {
    let mut value = reply::whole(dialect, &said(dialect));
    let names = (0..faults).map(|_| break_value(&mut value, random)).collect();
    Made { bytes: value.to_string().into_bytes(), names, is_good: faults == 0 }
}

/// Replaces, removes or doubles something anywhere in a value.
pub fn break_value(value: &mut Value, random: &mut Random) -> String {
    let wrong = [
        json!(null),
        json!(""),
        json!(0),
        json!(-1),
        json!(1.5),
        json!([]),
        json!({}),
        json!(true),
        json!("x"),
        json!(u64::MAX),
        json!("\u{0}"),
        json!({"error": {"message": "x"}}),
        json!([[[]]]),
    ];
    let replaced = random.pick(&wrong).clone();
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let names: Vec<String> = fields.keys().cloned().collect();
            let name = random.pick(&names).clone();
            match random.below(6) {
                0 => {
                    fields.remove(&name);
                    format!("without {name}")
                }
                1 => {
                    let moved = fields.remove(&name).unwrap_or_default();
                    fields.insert(format!("{name}x"), moved);
                    format!("{name} has another name")
                }
                2 => {
                    let what = format!("{name} is {replaced}");
                    fields.insert(name, replaced);
                    what
                }
                _ => {
                    let inner = fields.get_mut(&name).map(|inner| break_value(inner, random)).unwrap_or_default();
                    format!("{name}.{inner}")
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = random.below(items.len());
            match random.below(5) {
                0 => {
                    items.remove(at);
                    format!("[{at}] is missing")
                }
                1 => {
                    items.insert(at, items[at].clone());
                    format!("[{at}] comes twice")
                }
                2 => {
                    let what = format!("[{at}] is {replaced}");
                    items[at] = replaced;
                    what
                }
                _ => format!("[{at}].{}", break_value(&mut items[at], random)),
            }
        }
        other => {
            let what = format!("{replaced} in place of {other}");
            *other = replaced;
            what
        }
    }
}

/// Breaks some bytes, whatever they mean.
pub fn break_bytes(body: &mut Vec<u8>, random: &mut Random) -> String {
    if body.is_empty() {
        return "empty".to_owned();
    }
    let at = random.below(body.len());
    match random.below(5) {
        0 => {
            body[at] ^= 1 << random.below(8);
            format!("byte {at} is flipped")
        }
        1 => {
            body.remove(at);
            format!("byte {at} is missing")
        }
        2 => {
            body.insert(at, *random.pick(b"\0\n\r\"{}[]:,\xFF\xC3 "));
            format!("a byte before {at}")
        }
        3 => {
            let end = (at + random.below(200)).min(body.len());
            body.drain(at..end);
            format!("nothing from {at} to {end}")
        }
        _ => {
            let end = (at + random.below(200)).min(body.len());
            let again = body[at..end].to_vec();
            body.splice(at..at, again);
            format!("{at} to {end} comes twice")
        }
    }
}
