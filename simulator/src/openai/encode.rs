//! Writes what is said as a `chat.completion` or as the events of a stream.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::profile::{Profile, Quirk};
use crate::reply::{Event, Piece};
use crate::said::{Call, Ending, REFUSAL, Said};

pub const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

pub struct Encoder<'a> {
    pub profile: &'a Profile,
    pub model: &'a str,
    pub call: u64,
    pub prompt_tokens: usize,
    pub reasoning_tokens: usize,
    pub include_usage: bool,
    /// Content is an array, and what the model thinks the first of its parts.
    pub shows_thought: bool,
    pub warning: Option<String>,
}

impl Encoder<'_> {
    pub fn whole(&self, choices: &[Said]) -> Bytes {
        let choice = |(index, said): (usize, &Said)| {
            let mut message = json!({"role": "assistant", "content": said.pieces.concat(), "refusal": null});
            if said.pieces.is_empty() && (!said.calls.is_empty() || said.ending == Ending::Refused) {
                message["content"] = Value::Null;
            }
            if self.shows_thought {
                let text = message["content"].as_str().map(text_part);
                message["content"] = std::iter::once(thinking_part()).chain(text).collect();
            }
            if said.ending == Ending::Refused {
                message["refusal"] = json!(REFUSAL);
            }
            if !said.calls.is_empty() {
                let calls = said.calls.iter().enumerate().map(|(number, call)| self.tool_call(number, call));
                message["tool_calls"] = calls.collect();
            }
            json!({
                "index": index,
                "message": message,
                "logprobs": null,
                "finish_reason": self.finish_reason(said),
            })
        };
        let mut answer = self.head("chat.completion");
        answer["choices"] = choices.iter().enumerate().map(choice).collect();
        answer["usage"] = self.usage(choices);
        to_bytes(&answer)
    }

    pub fn events(&self, choices: &[Said]) -> Vec<Event> {
        let mut events = Vec::new();
        for index in 0..choices.len() {
            let delta = json!({"role": "assistant", "content": "", "refusal": null});
            let mut chunk = self.chunk(index, delta, Value::Null);
            if let (0, Some(warning)) = (index, &self.warning) {
                chunk["warning"] = json!(warning);
            }
            events.push(Event { piece: Piece::Opening, frame: frame(&chunk) });
        }
        for (index, said) in choices.iter().enumerate() {
            let thought = self.shows_thought.then(|| json!({"content": [thinking_part()]}));
            let text = |piece: &String| match self.shows_thought {
                true => json!({"content": [text_part(piece)]}),
                false => json!({"content": piece}),
            };
            let texts = thought.into_iter().chain(said.pieces.iter().map(text));
            let calls = said.calls.iter().enumerate().flat_map(|(number, call)| self.tool_deltas(number, call));
            let refusal = (said.ending == Ending::Refused).then(|| json!({"refusal": REFUSAL}));
            for delta in texts.chain(calls).chain(refusal) {
                let frame = frame(&self.chunk(index, delta, Value::Null));
                events.push(Event { piece: Piece::Content, frame });
            }
        }
        for (index, said) in choices.iter().enumerate() {
            let chunk = self.chunk(index, json!({}), json!(self.finish_reason(said)));
            events.push(Event { piece: Piece::Closing, frame: frame(&chunk) });
        }
        if self.include_usage {
            let mut chunk = self.head("chat.completion.chunk");
            chunk["choices"] = json!([]);
            chunk["usage"] = self.usage(choices);
            events.push(Event { piece: Piece::Usage, frame: frame(&chunk) });
        }
        events.push(Event { piece: Piece::End, frame: DONE });
        events
    }

    fn head(&self, object: &str) -> Value {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut head = json!({
            "id": format!("chatcmpl-{}-{}", self.profile.name, self.call),
            "object": object,
            "created": created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
        });
        if let ("chat.completion", Some(warning)) = (object, &self.warning) {
            head["warning"] = json!(warning);
        }
        head
    }

    fn chunk(&self, index: usize, delta: Value, finish_reason: Value) -> Value {
        let mut chunk = self.head("chat.completion.chunk");
        chunk["choices"] = json!([
            {"index": index, "delta": delta, "logprobs": null, "finish_reason": finish_reason},
        ]);
        if self.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn usage(&self, choices: &[Said]) -> Value {
        let said_bytes: usize = choices.iter().map(Said::bytes).sum();
        let completion = said_bytes.div_ceil(4) + self.reasoning_tokens;
        // Providers cache prompts from 1024 tokens on, in steps of 128.
        let cached = if self.prompt_tokens >= 1024 { self.prompt_tokens / 2 / 128 * 128 } else { 0 };
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        })
    }

    fn finish_reason<'s>(&self, said: &'s Said) -> &'s str {
        match &said.ending {
            Ending::Named(word) => word,
            Ending::Limit => "length",
            Ending::Calls if !self.profile.has(Quirk::WholeToolCalls) => "tool_calls",
            Ending::Whole | Ending::Stopped(_) | Ending::Calls | Ending::Refused => "stop",
        }
    }

    fn tool_call(&self, number: usize, call: &Call) -> Value {
        let mut value = json!({
            "id": format!("call_{}_{}_{number}", self.profile.name, self.call),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments()},
        });
        if self.profile.has(Quirk::ThoughtSignatures) {
            let signature = format!("c2ltdWxhdGVk{:04}", self.call);
            value["extra_content"] = json!({"google": {"thought_signature": signature}});
        }
        value
    }

    /// First the call's name with empty arguments, then the arguments in pieces; or all at once and without index.
    fn tool_deltas(&self, number: usize, call: &Call) -> Vec<Value> {
        let mut opening = self.tool_call(number, call);
        if self.profile.has(Quirk::WholeToolCalls) {
            opening["id"] = json!("");
            return vec![json!({"tool_calls": [opening]})];
        }
        opening["index"] = json!(number);
        opening["function"]["arguments"] = json!("");
        let mut deltas = vec![json!({"tool_calls": [opening]})];
        let piece = |piece: &String| json!({"tool_calls": [{"index": number, "function": {"arguments": piece}}]});
        deltas.extend(call.pieces.iter().map(piece));
        deltas
    }
}

/// What a model thinks, as a part of its content.
fn thinking_part() -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": "What is asked is clear."}], "closed": true})
}

fn text_part(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

pub fn to_bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string().into_bytes())
}

pub fn frame(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n").into_bytes())
}
