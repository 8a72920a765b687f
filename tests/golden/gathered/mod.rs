//! An answer that is gathered from a stream, beside what a client of the stream puts together, and (`tables`) beside the same
//! answer as a whole body; however the stream is cut, and with what has been gathered written down and read again in between.

mod own;
mod properties;
mod tables;

use serde_json::{Value, json};
use tiergate::door::answer::AnswerOptions;
use tiergate::door::chat::gathered::Gathered;
use tiergate::door::delivery::Delivery;
use tiergate::policy::Dialect;
use tiergate::upstream::dialect::{DecodeOptions, Heard, Stream};
use tiergate::wire::carried;
use tiergate::wire::piece::Said;
use tiergate::wire::sse::Decoder;
use tiergate_simulator::description;

use crate::case::{Case, FOLDERS, Ways, cases};

/// Reads a stream that came in these parts, and gives `tell` what it says; whether it became whole.
pub fn read(reading: &DecodeOptions, parts: &[&[u8]], mut tell: impl FnMut(&Said<'_>)) -> bool {
    let mut stream = Stream::new(reading).expect("the dialect should be built");
    let mut decoder = Decoder::default();
    for part in parts {
        decoder.space().extend_from_slice(part);
        while let Some(event) = decoder.next_event().expect("short events") {
            let data = stream.data(&event);
            let mut pieces = Vec::new();
            match stream.take(&data, &mut pieces) {
                Ok(Heard::Pieces) => {
                    tell(&Said { dialect: stream.dialect(), pieces: &pieces, came: stream.pass(&data).as_it_came() });
                }
                Ok(Heard::Foreign) => {}
                Ok(Heard::End) => return stream.is_finished(),
                Err(_) => return false,
            }
        }
    }
    if let Some(rest) = stream.rest() {
        let mut pieces = Vec::new();
        if stream.take(&rest, &mut pieces).is_err() {
            return false;
        }
        tell(&Said { dialect: reading.dialect, pieces: &pieces, came: stream.pass(&rest).as_it_came() });
    }
    stream.is_finished()
}

/// The completion that a client gets of a stream; nothing if the stream does not become whole.
fn gathered(Ways { reading, options }: &Ways, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let (mut delivery, mut out) = (Delivery::whole(*options), Vec::new());
    let is_whole = read(reading, parts, |said| {
        delivery.take(said, &mut out);
    });
    assert!(out.is_empty(), "nothing goes out before the end");
    delivery.end(&mut out);
    is_whole.then_some(out)
}

/// What a client of the stream puts together, as official SDKs do it.
#[derive(Default)]
struct Accumulated {
    texts: [String; 4],
    details: Vec<Value>,
    /// Each call's id, name and input.
    calls: Vec<[String; 3]>,
    finish_reason: Value,
    usage: Value,
    id: Value,
}

const TEXTS: [&str; 4] = ["content", "refusal", "reasoning_content", "reasoning"];

impl Accumulated {
    fn of_stream(Ways { reading, options }: &Ways, wire: &[u8]) -> Self {
        let options = AnswerOptions { includes_usage: true, ..*options };
        let (mut delivery, mut out) = (Delivery::stream(options, None), Vec::new());
        read(reading, &[wire], |said| {
            delivery.take(said, &mut out);
        });
        delivery.end(&mut out);
        let mut accumulated = Self::default();
        for event in String::from_utf8(out).expect("UTF-8").split("\n\n") {
            if let Some(data) = event.strip_prefix("data: ").filter(|data| data.starts_with('{')) {
                accumulated.take(&serde_json::from_str(data).expect("JSON"));
            }
        }
        accumulated
    }

    fn take(&mut self, chunk: &Value) {
        let set = |slot: &mut Value, value: &Value| {
            if !value.is_null() && value != "" {
                slot.clone_from(value);
            }
        };
        set(&mut self.usage, &chunk["usage"]);
        if self.id.is_null() {
            set(&mut self.id, &chunk["id"]);
        }
        let choice = &chunk["choices"][0];
        set(&mut self.usage, &choice["usage"]);
        if choice["finish_reason"].as_str().is_some_and(|reason| reason.trim() != "null") {
            set(&mut self.finish_reason, &choice["finish_reason"]);
        }
        let delta = &choice["delta"];
        for (text, name) in self.texts.iter_mut().zip(TEXTS) {
            text.push_str(delta[name].as_str().unwrap_or_default());
        }
        // The thoughts of a content that is a list are read as such.
        for part in delta["content"].as_array().into_iter().flatten() {
            self.texts[0].push_str(part["text"].as_str().unwrap_or_default());
            let thoughts = part["thinking"].as_array().into_iter().flatten();
            thoughts.for_each(|thought| self.texts[2].push_str(thought["text"].as_str().unwrap_or_default()));
        }
        self.details.extend(delta["reasoning_details"].as_array().cloned().unwrap_or_default());
        let newer = delta["tool_calls"].as_array().cloned().unwrap_or_default();
        let older = delta.get("function_call").map(|tool| json!({"index": 0, "function": tool}));
        for (place, part) in newer.into_iter().chain(older).enumerate() {
            let index = part["index"].as_u64().map_or(place, |index| index as usize);
            if self.calls.len() <= index {
                self.calls.resize(index + 1, Default::default());
            }
            let tool = if part["custom"].is_object() { &part["custom"] } else { &part["function"] };
            let [id, name, input] = &mut self.calls[index];
            for (slot, part) in [(id, &part["id"]), (name, &tool["name"])] {
                // Some name a call again with every fragment of it.
                slot.push_str(part.as_str().filter(|part| part != slot).unwrap_or_default());
            }
            input.push_str(tool["arguments"].as_str().or(tool["input"].as_str()).unwrap_or_default());
        }
    }

    fn of_completion(completion: &Value) -> Self {
        let mut accumulated = Self::default();
        let choice = &completion["choices"][0];
        let chunk = json!({
            "id": completion["id"], "usage": completion["usage"],
            "choices": [{"delta": choice["message"], "finish_reason": choice["finish_reason"]}],
        });
        accumulated.take(&chunk);
        accumulated
    }

    fn shown(&self) -> Value {
        let Self { texts, details, calls, finish_reason, usage, id } = self;
        json!({"texts": texts, "details": details, "calls": calls, "finish": finish_reason, "usage": usage, "id": id})
    }
}

#[test]
fn what_is_gathered_of_a_case_is_what_a_client_of_its_stream_puts_together() {
    let mut whole_streams = 0;
    for (dialect, folder, _) in FOLDERS {
        for path in cases(folder) {
            let case = Case::read(dialect, &path);
            let Some(events) = case.events() else { continue };
            let (ways, wire) = (case.ways(), events.concat());
            let Some(body) = gathered(&ways, &[wire.as_bytes()]) else { continue };
            whole_streams += 1;
            for at in 0..=wire.len() {
                let (head, tail) = wire.as_bytes().split_at(at);
                assert_eq!(gathered(&ways, &[head, tail]).as_deref(), Some(&body[..]), "{} split at {at}", case.name);
            }
            let completion: Value = serde_json::from_slice(&body).expect("JSON");
            let mut read = Accumulated::of_completion(&completion);
            let expected = Accumulated::of_stream(&ways, wire.as_bytes());
            if expected.id.is_null() {
                assert!(read.id.take().as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{}", case.name);
            }
            assert_eq!(read.shown(), expected.shown(), "{}: {completion}", case.name);
            if dialect != Dialect::OpenaiChat {
                let faults = description::faults("CreateChatCompletionResponse", &completion);
                assert!(faults.is_empty(), "{}: {faults:?}", case.name);
            }
        }
    }
    assert!(whole_streams > 40, "most cases' streams should become whole: {whole_streams}");
}

#[test]
fn an_answer_is_gathered_on_from_what_was_written_down() {
    for (dialect, folder, _) in FOLDERS {
        for path in cases(folder) {
            let case = Case::read(dialect, &path);
            let Some(events) = case.events() else { continue };
            let (Ways { reading, options }, wire) = (case.ways(), events.concat());
            let (mut gathered, mut carried) = (Gathered::default(), Gathered::default());
            read(&reading, &[wire.as_bytes()], |said| {
                gathered.take(&options, said);
                carried.take(&options, said);
                carried = carried::read(&carried::write(&carried)).expect("what was written down");
            });
            assert_eq!(carried, gathered, "{}", case.name);
        }
    }
}
