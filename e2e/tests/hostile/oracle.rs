//! Whether a provider's answer was whole, by a strict rule that shares no code with the gateway.
//!
//! A stream is whole if no event before its end was an error or unreadable, and every choice that said anything has a
//! reason for its end that is no empty word, and after which it said no more. A whole body is whole if all its bytes came, and they are an answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::reply::Dialect;

/// What an answer said, and whether it came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub is_whole: bool,
    /// Why it is not whole, if it is not.
    pub why: &'static str,
    /// The text of each choice, arguments of calls after it.
    pub text: BTreeMap<u64, String>,
}

/// What a provider's stream said.
pub fn stream(dialect: Dialect, body: &[u8]) -> Verdict {
    let mut reading = DecodeOptions::default();
    let (events, rest) = events(body);
    for event in &events {
        if reading.take(dialect, event) == Next::Stop {
            return reading.verdict();
        }
    }
    // An event whose empty line was lost counts if it can be read; what broke off in the middle says nothing.
    if let Some(event) = rest.filter(|event| parse(&event.data).is_some_and(|value| !is_error(event, &value))) {
        reading.take(dialect, &event);
    }
    reading.verdict()
}

/// What a provider's whole body said.
pub fn whole(dialect: Dialect, body: &[u8], is_cut: bool) -> Verdict {
    let Some(value) = parse(&String::from_utf8_lossy(body)).filter(|_| !is_cut) else { return Verdict::default() };
    let mut reading = DecodeOptions::default();
    let is_answer = match dialect {
        Dialect::Chat => {
            let choices = value["choices"].as_array().map(Vec::as_slice).unwrap_or_default();
            for choice in choices {
                reading.say(index(choice), &choice["message"]);
            }
            !choices.is_empty()
                && choices.iter().all(|choice| choice["message"].is_object() && choice["error"].is_null())
        }
        Dialect::Messages => {
            let blocks = value["content"].as_array();
            for block in blocks.into_iter().flatten().filter(|block| block["type"] == "text") {
                reading.add(0, block["text"].as_str().unwrap_or_default());
            }
            blocks.is_some()
        }
    };
    let is_whole = is_answer && value["error"].is_null();
    Verdict { is_whole, why: "it is no answer", text: reading.text }
}

/// What a client understood of chunks or of a whole answer of the gateway's.
pub fn client_text(body: &str, streams: bool) -> BTreeMap<u64, String> {
    let mut reading = DecodeOptions::default();
    if streams {
        for event in events(body.as_bytes()).0 {
            for choice in parse(&event.data).iter().flat_map(|value| value["choices"].as_array()).flatten() {
                reading.say(index(choice), &choice["delta"]);
            }
        }
    } else {
        for choice in parse(body).iter().flat_map(|value| value["choices"].as_array()).flatten() {
            reading.say(index(choice), &choice["message"]);
        }
    }
    reading.text
}

/// One event of a stream: the lines that matter.
#[derive(Debug)]
struct Event {
    name: String,
    data: String,
}

/// The events of a stream, and what came after the last empty line.
fn events(body: &[u8]) -> (Vec<Event>, Option<Event>) {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let mut events: Vec<Option<Event>> = text.split("\n\n").map(event).collect();
    let rest = events.pop().flatten();
    (events.into_iter().flatten().collect(), rest)
}

fn event(block: &str) -> Option<Event> {
    let values = |field: &str| {
        let lines = block.split('\n').filter_map(|line| line.strip_prefix(field)).filter(|rest| {
            // `data` alone is a field without a value, `database` is another field.
            rest.is_empty() || rest.starts_with(':')
        });
        let values =
            lines.map(|rest| rest.strip_prefix(':').map_or("", |value| value.strip_prefix(' ').unwrap_or(value)));
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    let data = values("data");
    (!data.is_empty()).then(|| Event { name: values("event").pop().unwrap_or_default(), data: data.join("\n") })
}

/// An object; nothing else can be an answer. Half a surrogate pair is JSON, though this library takes none.
fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(&text.replace("\\ud800", "\\ufffd")).ok().filter(Value::is_object)
}

fn index(choice: &Value) -> u64 {
    choice["index"].as_u64().unwrap_or_default()
}

fn is_error(event: &Event, value: &Value) -> bool {
    let of_choices = value["choices"].as_array().into_iter().flatten().any(|choice| !choice["error"].is_null());
    let is_nothing_else = value["choices"].is_null() && value["type"].is_null();
    let is_bare = ["message", "detail", "errors"].iter().any(|name| !value[*name].is_null());
    !value["error"].is_null()
        || of_choices
        || value["type"] == "error"
        || value["object"] == "error"
        || event.name == "error"
        || (is_nothing_else && is_bare)
}

fn is_reason(value: &Value) -> bool {
    value.as_str().is_some_and(|reason| !reason.trim().is_empty() && reason.trim() != "null")
}

#[derive(PartialEq)]
enum Next {
    Go,
    Stop,
}

#[derive(Default)]
struct DecodeOptions {
    text: BTreeMap<u64, String>,
    spoke: BTreeSet<u64>,
    finished: BTreeSet<u64>,
    broken: Option<&'static str>,
}

impl DecodeOptions {
    fn take(&mut self, dialect: Dialect, event: &Event) -> Next {
        if event.data.trim() == "[DONE]" && dialect == Dialect::Chat {
            return Next::Stop;
        }
        if !event.data.trim_start().starts_with('{') {
            return Next::Go;
        }
        let Some(value) = parse(&event.data) else {
            self.broken = Some("an event cannot be read");
            return Next::Stop;
        };
        if is_error(event, &value) {
            self.broken = Some("an event is an error");
            return Next::Stop;
        }
        match dialect {
            Dialect::Chat => {
                for choice in value["choices"].as_array().into_iter().flatten() {
                    self.say(index(choice), &choice["delta"]);
                    if is_reason(&choice["finish_reason"]) {
                        self.finished.insert(index(choice));
                    }
                }
                Next::Go
            }
            Dialect::Messages => self.take_message(&value),
        }
    }

    fn take_message(&mut self, value: &Value) -> Next {
        match value["type"].as_str().unwrap_or_default() {
            "message_stop" => return Next::Stop,
            "message_delta" if is_reason(&value["delta"]["stop_reason"]) => {
                self.finished.insert(0);
            }
            "content_block_start" if value["content_block"]["type"] == "text" => {
                self.add(0, value["content_block"]["text"].as_str().unwrap_or_default());
            }
            "content_block_delta" if value["delta"]["type"] == "text_delta" => {
                self.add(0, value["delta"]["text"].as_str().unwrap_or_default());
            }
            _ => {}
        }
        Next::Go
    }

    /// Takes the text of a message or a delta, and the arguments of its calls.
    fn say(&mut self, index: u64, message: &Value) {
        self.add(index, message["content"].as_str().unwrap_or_default());
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.add(index, call["function"]["arguments"].as_str().unwrap_or_default());
        }
    }

    fn add(&mut self, index: u64, text: &str) {
        if !text.is_empty() {
            // What more of the answer follows was not its end.
            self.finished.remove(&index);
            self.spoke.insert(index);
            self.text.entry(index).or_default().push_str(text);
        }
    }

    fn verdict(self) -> Verdict {
        let why = match self.broken {
            Some(why) => why,
            None if self.finished.is_empty() => "no reason for the end",
            None if !self.spoke.is_subset(&self.finished) => "a choice without a reason for its end",
            None => "",
        };
        Verdict { is_whole: why.is_empty(), why, text: self.text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::{self, Said};

    fn good(dialect: Dialect) -> Vec<String> {
        let said = Said::new("All is well.").in_dialect(dialect);
        let mut events = reply::events(dialect, &said);
        events.push(reply::done(dialect).to_owned());
        events
    }

    #[test]
    fn a_good_stream_is_whole_and_no_beginning_of_it_is() {
        for dialect in [Dialect::Chat, Dialect::Messages] {
            let bytes = good(dialect).concat();
            let verdict = stream(dialect, bytes.as_bytes());
            assert_eq!((verdict.is_whole, verdict.text[&0].as_str()), (true, "All is well."));
            let reason = if dialect == Dialect::Chat { "\"stop\"" } else { "\"end_turn\"" };
            let finish = bytes.find(reason).expect("the reason for the end");
            for cut in 0..finish {
                assert!(!stream(dialect, &bytes.as_bytes()[..cut]).is_whole, "{}", &bytes[..cut]);
            }
            assert_eq!(stream(dialect, bytes.replace('\n', "\r\n").as_bytes()), verdict);
            assert_eq!(stream(dialect, bytes.replace('\n', "\r").as_bytes()), verdict);
        }
    }

    #[test]
    fn what_breaks_a_stream_is_seen() {
        for (dialect, reason) in [(Dialect::Chat, "\"stop\""), (Dialect::Messages, "\"end_turn\"")] {
            for empty in ["\"\"", "null", "\" \"", "\"null\"", "false", "7"] {
                let bytes = good(dialect).concat().replace(reason, empty);
                assert!(!stream(dialect, bytes.as_bytes()).is_whole, "{empty}");
            }
            for error in [
                "data: {\"error\":{\"message\":\"x\"}}\n\n",
                "data: {\"message\":\"x\",\"code\":\"y\"}\n\n",
                "data: {\"detail\":\"x\"}\n\n",
                "data: {\"errors\":[]}\n\n",
                "event: error\ndata: {\"a\":1}\n\n",
                "data: {\"choices\":\n\n",
            ] {
                let mut events = good(dialect);
                events.insert(3, error.to_owned());
                assert!(!stream(dialect, events.concat().as_bytes()).is_whole, "{error}");
            }
        }
        let mut two = good(Dialect::Chat);
        two[2] = two[2].replace("\"index\":0", "\"index\":1");
        assert!(
            !stream(Dialect::Chat, two.concat().as_bytes()).is_whole,
            "a choice that spoke and did not finish: {two:?}"
        );
    }

    #[test]
    fn a_whole_body_is_judged_by_all_of_it() {
        for dialect in [Dialect::Chat, Dialect::Messages] {
            let body = reply::whole(dialect, &Said::new("All is well.")).to_string();
            let verdict = whole(dialect, body.as_bytes(), false);
            assert_eq!((verdict.is_whole, verdict.text[&0].as_str()), (true, "All is well."));
            assert!(!whole(dialect, body.as_bytes(), true).is_whole);
            for cut in 0..body.len() {
                assert!(!whole(dialect, &body.as_bytes()[..cut], false).is_whole);
            }
            assert!(!whole(dialect, b"{\"error\":{\"message\":\"x\"},\"choices\":[],\"content\":[]}", false).is_whole);
        }
        let chunks = good(Dialect::Chat).concat();
        assert_eq!(client_text(&chunks, true)[&0], "All is well.");
    }
}
