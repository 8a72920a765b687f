//! What a provider of the walk answers, on the wire, in its own dialect.

use serde_json::{Value, json};
use tiergate_simulator::{Dialect, sign_thought};

use super::station::Station;

/// What one answer says.
#[derive(Clone, Default)]
pub struct Step {
    pub thinks: bool,
    /// What the Messages API gives with its thought.
    pub signature: Option<String>,
    pub text: Option<String>,
    /// Names and arguments.
    pub calls: Vec<(String, String)>,
    pub refusal: Option<String>,
}

pub const THOUGHT: &str = "Let me think.";

fn extend(object: &mut Value, more: &Value) {
    let more = more.as_object().expect("an object").clone();
    object.as_object_mut().expect("an object").extend(more);
}

fn two_halves(text: &str) -> [&str; 2] {
    let (first, second) = text.split_at(text.len() / 2);
    [first, second]
}

impl Station {
    /// The body of a whole answer, the one of this number in its conversation.
    pub fn whole(&self, step: &Step, number: usize) -> Value {
        match self.profile.dialect {
            Dialect::OpenAiChat => self.completion(step, number),
            Dialect::AnthropicMessages => message(step, number),
        }
    }

    /// The events of a streamed answer.
    pub fn events(&self, step: &Step, number: usize) -> Vec<String> {
        match self.profile.dialect {
            Dialect::OpenAiChat => self.chunks(step, number),
            Dialect::AnthropicMessages => message_events(step, number),
        }
    }

    /// What stands for the thought of an answer to this request; nothing where none does.
    pub fn sign(&self, step: &Step, upstream: &Value) -> Option<String> {
        match self.profile.dialect {
            Dialect::AnthropicMessages if step.thinks => sign_thought(upstream, THOUGHT),
            Dialect::AnthropicMessages | Dialect::OpenAiChat => None,
        }
    }

    fn call(&self, step: &Step, number: usize, at: usize) -> Value {
        let (name, arguments) = &step.calls[at];
        let id = self.id.map_or_else(String::new, |id| format!("{id}{:09}", 10 * number + at));
        let mut call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        extend(&mut call, &self.call_echoes);
        call
    }

    /// The API has a field for refusals; others say it in words.
    fn refuses_in_a_field(&self) -> bool {
        self.echoes.get("refusal").is_some()
    }

    fn completion(&self, step: &Step, number: usize) -> Value {
        let mut message = json!({"role": "assistant", "content": step.text});
        extend(&mut message, &self.echoes);
        match &step.refusal {
            Some(refusal) if self.refuses_in_a_field() => message["refusal"] = json!(refusal),
            Some(refusal) => message["content"] = json!(refusal),
            None => {}
        }
        match self.thoughts {
            Some(field) if step.thinks => message[field] = json!(THOUGHT),
            None if step.thinks && self.name == "mistral" && step.text.is_some() => {
                message["content"] = json!([
                    {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                    {"type": "text", "text": step.text},
                ]);
            }
            Some(_) | None => {}
        }
        let calls: Vec<Value> = (0..step.calls.len()).map(|at| self.call(step, number, at)).collect();
        let reason = if calls.is_empty() { "stop" } else { "tool_calls" };
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        json!({
            "id": format!("chatcmpl-{number}"), "object": "chat.completion", "created": 1_790_000_000, "model": "m",
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
        })
    }

    fn chunks(&self, step: &Step, number: usize) -> Vec<String> {
        let mut first = json!({"role": "assistant", "content": ""});
        extend(&mut first, &self.echoes);
        let mut deltas = vec![first];
        if let Some(field) = self.thoughts.filter(|_| step.thinks) {
            deltas.extend(two_halves(THOUGHT).map(|half| json!({field: half})));
        }
        let said = step.text.as_deref().or(step.refusal.as_deref().filter(|_| !self.refuses_in_a_field()));
        deltas.extend(said.into_iter().flat_map(two_halves).map(|half| json!({"content": half})));
        let refusal = step.refusal.as_deref().filter(|_| self.refuses_in_a_field());
        deltas.extend(refusal.into_iter().flat_map(two_halves).map(|half| json!({"refusal": half})));
        for at in 0..step.calls.len() {
            let mut call = self.call(step, number, at);
            if self.id.is_none() {
                // All at once, as Gemini does.
                deltas.push(json!({"tool_calls": [call]}));
                continue;
            }
            call["index"] = json!(at);
            let arguments = std::mem::replace(&mut call["function"]["arguments"], json!(""));
            deltas.push(json!({"tool_calls": [call]}));
            let halves = two_halves(arguments.as_str().unwrap_or_default());
            deltas.extend(halves.map(|half| json!({"tool_calls": [{"index": at, "function": {"arguments": half}}]})));
        }
        let reason = if step.calls.is_empty() { "stop" } else { "tool_calls" };
        let chunk = |delta: Value, reason: Value| {
            let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
            let chunk = json!({
                "id": format!("chatcmpl-{number}"), "object": "chat.completion.chunk", "created": 1_790_000_000,
                "model": "m", "choices": [choice],
            });
            format!("data: {chunk}\n\n")
        };
        let mut events: Vec<String> = deltas.into_iter().map(|delta| chunk(delta, Value::Null)).collect();
        events.push(chunk(json!({}), json!(reason)));
        events.push("data: [DONE]\n\n".to_owned());
        events
    }
}

fn blocks(step: &Step, number: usize) -> Vec<Value> {
    let thought = step.thinks.then(|| json!({"type": "thinking", "thinking": THOUGHT, "signature": step.signature}));
    let text = step.text.as_ref().map(|text| json!({"type": "text", "text": text}));
    let calls = step.calls.iter().enumerate().map(|(at, (name, arguments))| {
        let input: Value = serde_json::from_str(arguments).expect("JSON");
        json!({"type": "tool_use", "id": format!("toolu_{:09}", 10 * number + at), "name": name, "input": input})
    });
    thought.into_iter().chain(text).chain(calls).collect()
}

fn stop(step: &Step) -> Value {
    let reason = match step {
        Step { refusal: Some(_), .. } => "refusal",
        Step { calls, .. } if !calls.is_empty() => "tool_use",
        Step { .. } => "end_turn",
    };
    let details = step.refusal.as_ref().map(|refusal| json!({"category": "cyber", "explanation": refusal}));
    json!({"stop_reason": reason, "stop_sequence": null, "stop_details": details})
}

fn message(step: &Step, number: usize) -> Value {
    let mut message = json!({
        "id": format!("msg_{number}"), "type": "message", "role": "assistant", "model": "claude", "content": blocks(step, number),
        "usage": {"input_tokens": 9, "output_tokens": 9},
    });
    extend(&mut message, &stop(step));
    message
}

fn message_events(step: &Step, number: usize) -> Vec<String> {
    let mut start = message(&Step::default(), number);
    start["stop_reason"] = Value::Null;
    let mut events = vec![json!({"type": "message_start", "message": start})];
    for (index, mut block) in blocks(step, number).into_iter().enumerate() {
        let mut deltas = Vec::new();
        let fields = [
            ("text", "text_delta", "text"),
            ("thinking", "thinking_delta", "thinking"),
            ("signature", "signature_delta", "signature"),
        ];
        for (field, kind, name) in fields {
            if let Some(text) = block.get(field).and_then(Value::as_str).map(str::to_owned) {
                block[field] = json!("");
                deltas.push(json!({"type": kind, name: text}));
            }
        }
        if let Some(input) = block.get("input").map(Value::to_string) {
            block["input"] = json!({});
            deltas.extend(two_halves(&input).map(|half| json!({"type": "input_json_delta", "partial_json": half})));
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        events.extend(
            deltas.into_iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": stop(step), "usage": {"output_tokens": 9}}));
    events.push(json!({"type": "message_stop"}));
    let wire = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    events.iter().map(wire).collect()
}
