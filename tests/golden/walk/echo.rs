//! An answer on its way to the client, and what the client makes of it for the history.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tiergate::door::answer::AnswerOptions;
use tiergate::door::delivery::{self, Delivery};
use tiergate::upstream::dialect::{self, DecodeOptions, Heard, Recipient, Stream};
use tiergate::upstream::sealer::Sealer;
use tiergate::wire::ask::Ask;
use tiergate::wire::call_tag::CallTagger;
use tiergate::wire::door::Door;
use tiergate::wire::piece::Said;
use tiergate::wire::seal::is_token;
use tiergate::wire::sse::Decoder;

use super::agent::flipped;
use super::gathered::of_events;
use super::script::{ChatClient, Form, Step, Wire};
use super::station::Station;

/// How an answer is delivered, and to what request.
pub struct Delivered<'a> {
    pub recipient: Recipient<'a>,
    pub ask: &'a Ask<'a>,
    pub sealer: Option<Rc<Sealer>>,
    pub tagger: Option<Rc<CallTagger>>,
    pub wire: &'a Wire,
}

impl Delivered<'_> {
    /// The message that the SDK of the client's API makes of it.
    pub fn echo(&self, station: &Station, step: &Step, number: usize) -> Value {
        let reading = DecodeOptions {
            sealer: self.sealer.clone(),
            ..DecodeOptions::of(&self.recipient, self.ask, Duration::from_secs(1_790_000_000))
        };
        let options = AnswerOptions::of(self.ask, self.recipient.provider.show_reasoning);
        match self.wire.form {
            Form::Whole => {
                let upstream = station.whole(step, number, self.wire).into_bytes();
                let came = dialect::mend_answer(&reading, upstream);
                let pieces = dialect::decode_answer(&reading, &came).unwrap_or_else(|defect| panic!("{defect:?}"));
                let said = Said { dialect: reading.dialect, pieces: &pieces, came: None };
                let encoded = delivery::encode_answer(&options, &said, self.tagger.clone());
                let body = encoded.or_else(|| dialect::pass_answer(&reading, &came)).unwrap_or_else(|| came.clone());
                let body = serde_json::from_slice(&body).expect("JSON");
                match options.door {
                    Door::Chat => of_completion(&body),
                    Door::Messages => body,
                }
            }
            Form::Streamed => {
                let stream = station.stream(step, number, self.wire);
                let delivery = Delivery::stream(options, None).tagged(self.tagger.clone());
                let delivered = deliver(reading, delivery, &self.wire.cuts.bytes(stream.as_bytes()));
                match options.door {
                    Door::Chat => of_chunks(&delivered),
                    Door::Messages => of_events(&delivered),
                }
            }
        }
    }
}

/// What the client gets of a stream.
fn deliver(reading: DecodeOptions, mut delivery: Delivery, pieces: &[&[u8]]) -> String {
    let mut stream = Stream::new(&reading).expect("the dialect should be built");
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.space().extend_from_slice(piece);
        while let Some(event) = decoder.next_event().expect("short events") {
            let data = stream.data(&event);
            let mut pieces = Vec::new();
            if stream.take(&data, &mut pieces).expect("an answer") == Heard::Pieces {
                let passed = stream.pass(&data);
                let said = Said { dialect: stream.dialect(), pieces: &pieces, came: passed.as_it_came() };
                delivery.take(&said, &mut out);
            }
        }
    }
    assert!(stream.is_finished());
    delivery.end(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// All fields that an SDK knows of a message are in its model, and so in what it sends back.
fn with_nulls(mut message: Value) -> Value {
    let fields = message.as_object_mut().expect("an object");
    for name in ["content", "refusal", "annotations", "audio", "function_call", "tool_calls"] {
        fields.entry(name).or_insert(Value::Null);
    }
    message
}

fn of_completion(completion: &Value) -> Value {
    with_nulls(completion["choices"][0]["message"].clone())
}

/// Joins the deltas of a stream, as OpenAI's SDK does: texts are joined, lists by their items' index.
fn of_chunks(stream: &str) -> Value {
    let mut message = Value::Object(Map::new());
    for data in stream.split_terminator("\n\n").filter_map(|event| event.strip_prefix("data: ")) {
        if data != "[DONE]" {
            let chunk: Value = serde_json::from_str(data).expect("JSON");
            join(&mut message, chunk["choices"][0]["delta"].clone());
        }
    }
    with_nulls(message)
}

fn join(known: &mut Value, delta: Value) {
    match (known, delta) {
        (_, Value::Null) => {}
        (known @ Value::Null, delta) => *known = delta,
        (Value::Object(known), Value::Object(delta)) => {
            for (name, value) in delta {
                match name.as_str() {
                    "index" | "type" | "role" => {
                        known.insert(name, value);
                    }
                    _ => join(known.entry(name).or_insert(Value::Null), value),
                }
            }
        }
        (Value::String(known), Value::String(delta)) => known.push_str(&delta),
        (Value::Array(known), Value::Array(delta)) => {
            for item in delta {
                let index = item["index"].clone();
                match known.iter_mut().find(|known| !index.is_null() && known["index"] == index) {
                    Some(known) => join(known, item),
                    None => known.push(item),
                }
            }
        }
        (known, delta) => *known = json!(delta),
    }
}

impl ChatClient {
    /// A message of the SDK's as the client keeps it.
    pub fn keep(self, message: &Value) -> Value {
        let only = |names: &[&str]| {
            let fields = message.as_object().expect("an object").iter();
            let kept = fields.filter(|(name, value)| names.contains(&name.as_str()) && !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        match self {
            Self::WithNulls => message.clone(),
            Self::WithoutNulls => without_nulls(message),
            Self::DropsReasoning => only(&["role", "content", "refusal", "tool_calls"]),
            Self::KeepsDetails => only(&["role", "content", "refusal", "tool_calls", "reasoning_details"]),
            Self::Forges(seed) => {
                let mut kept = only(&["role", "content", "refusal", "tool_calls", "reasoning_details"]);
                let forge = |at: usize, value: &mut Value| {
                    let text = value.as_str().filter(|text| !text.is_empty());
                    if let Some(text) = text.filter(|_| !(seed + at).is_multiple_of(4)) {
                        *value = json!(flipped(text, seed + at));
                    }
                };
                for (at, detail) in kept["reasoning_details"].as_array_mut().into_iter().flatten().enumerate() {
                    let name = if detail["data"].is_string() { "data" } else { "signature" };
                    if detail[name].as_str().is_some_and(is_token) {
                        forge(at, &mut detail[name]);
                    }
                }
                for (at, call) in kept["tool_calls"].as_array_mut().into_iter().flatten().enumerate() {
                    forge(at, &mut call["id"]);
                }
                without_nulls(&kept)
            }
            Self::Merges => {
                let mut kept = only(&["role", "content", "refusal", "tool_calls"]);
                kept["content"] = json!([{"type": "text", "text": kept["content"].as_str().unwrap_or_default()}]);
                for call in kept["tool_calls"].as_array_mut().into_iter().flatten() {
                    call.as_object_mut()
                        .expect("an object")
                        .retain(|name, _| name != "index" && name != "extra_content");
                }
                kept
            }
        }
    }

    /// The history as the client sends it.
    pub fn send(self, messages: &[Value]) -> Vec<Value> {
        let mut sent: Vec<Value> = Vec::new();
        for message in messages {
            match sent.last_mut().filter(|last| self == Self::Merges && are_of_one_speaker(last, message)) {
                Some(last) => {
                    let more = [parts(last), parts(message)].concat();
                    last["content"] = json!(more);
                }
                None => sent.push(message.clone()),
            }
        }
        sent
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn are_of_one_speaker(last: &Value, message: &Value) -> bool {
    let is_mere_text = |message: &Value| ["tool_calls", "refusal", "name"].iter().all(|name| message[*name].is_null());
    last["role"] == message["role"] && last["role"] != "tool" && is_mere_text(last) && is_mere_text(message)
}

fn parts(message: &Value) -> Vec<Value> {
    match &message["content"] {
        Value::Array(parts) => parts.clone(),
        Value::Null => Vec::new(),
        text => vec![json!({"type": "text", "text": text})],
    }
}
