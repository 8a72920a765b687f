//! An answer on its way to the client, and what the client's SDK makes of it for the history.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tiergate::door::chat::answer::AnswerOptions;
use tiergate::door::delivery::{self, Delivery};
use tiergate::upstream::dialect::{self, DecodeOptions, Heard, Recipient, Stream};
use tiergate::upstream::sealer::Sealer;
use tiergate::wire::ask::Ask;
use tiergate::wire::piece::Said;
use tiergate::wire::sse::Decoder;

use super::answer::Step;
use super::station::Station;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Whole,
    Streamed,
}

impl Form {
    pub fn other(self) -> Self {
        match self {
            Self::Whole => Self::Streamed,
            Self::Streamed => Self::Whole,
        }
    }
}

/// How an answer is delivered, and to what request.
pub struct Delivered<'a> {
    pub recipient: Recipient<'a>,
    pub ask: &'a Ask<'a>,
    pub sealer: Option<Rc<Sealer>>,
    pub form: Form,
}

impl Delivered<'_> {
    /// The message that the client appends to its history.
    pub fn echo(&self, station: &Station, step: &Step, number: usize) -> Value {
        let reading = DecodeOptions {
            sealer: self.sealer.clone(),
            ..DecodeOptions::of(&self.recipient, self.ask, Duration::from_secs(1_790_000_000))
        };
        let options = AnswerOptions::of(self.ask, self.recipient.provider.show_reasoning);
        match self.form {
            Form::Whole => {
                let upstream = station.whole(step, number).to_string().into_bytes();
                let came = dialect::mend_answer(&reading, upstream);
                let pieces = dialect::decode_answer(&reading, &came).unwrap_or_else(|defect| panic!("{defect:?}"));
                let said = Said { dialect: reading.dialect, pieces: &pieces, came: None };
                let body = delivery::encode_answer(&options, &said).unwrap_or(came.clone());
                of_completion(&serde_json::from_slice(&body).expect("JSON"))
            }
            Form::Streamed => of_chunks(&deliver(reading, options, &station.events(step, number))),
        }
    }
}

/// What the client gets of a stream.
fn deliver(reading: DecodeOptions, options: AnswerOptions, events: &[String]) -> String {
    let mut stream = Stream::new(&reading).expect("the dialect should be built");
    let (mut delivery, mut decoder, mut out) = (Delivery::new(options, None), Decoder::default(), Vec::new());
    decoder.space().extend_from_slice(events.concat().as_bytes());
    while let Some(event) = decoder.next_event().expect("short events") {
        let data = stream.data(&event);
        let mut pieces = Vec::new();
        if stream.take(&data, &mut pieces).expect("an answer") == Heard::Pieces {
            let said = Said { dialect: stream.dialect(), pieces: &pieces, came: data.as_it_came() };
            delivery.take(&said, &mut out);
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
