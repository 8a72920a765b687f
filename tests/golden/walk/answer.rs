//! What a provider of the walk answers, on the wire, in its own dialect.

use serde_json::{Value, json};
use tiergate::wire::usage::Usage;
use tiergate_simulator::{Dialect, sign_hidden_thought, sign_thought};

use super::script::{CallKind, Cuts, Ending, Fragments, Ids, Step, Wire};
use super::station::{Reasons, Station, Thoughts};

fn extend(object: &mut Value, more: &Value) {
    let more = more.as_object().expect("an object").clone();
    object.as_object_mut().expect("an object").extend(more);
}

impl Station {
    /// The body of a whole answer, the one of this number in its conversation.
    pub fn whole(&self, step: &Step, number: usize, wire: &Wire) -> String {
        let body = match self.profile.dialect {
            Dialect::OpenAiChat => self.completion(step, number),
            Dialect::AnthropicMessages => message(step, number),
        };
        wire.spelling.write(&body)
    }

    /// A streamed answer.
    pub fn stream(&self, step: &Step, number: usize, wire: &Wire) -> String {
        let write = |event: &Value| wire.spelling.write(event);
        match self.profile.dialect {
            Dialect::OpenAiChat => {
                let chunks = self.chunks(step, number, &wire.cuts);
                let events: String = chunks.iter().map(|chunk| format!("data: {}\n\n", write(chunk))).collect();
                format!("{events}data: [DONE]\n\n")
            }
            Dialect::AnthropicMessages => {
                let name = |event: &Value| event["type"].as_str().unwrap_or_default().to_owned();
                let events = message_events(step, number, &wire.cuts);
                events.iter().map(|event| format!("event: {}\ndata: {}\n\n", name(event), write(event))).collect()
            }
        }
    }

    /// The step as this station takes it after this request: whether it thinks, and what stands for the thought.
    pub fn take(&self, step: &Step, upstream: &Value) -> Step {
        let step =
            &Step { is_hidden: step.is_hidden && self.profile.dialect == Dialect::AnthropicMessages, ..step.clone() };
        let thought = step.thought.clone().filter(|_| self.thinks(upstream));
        let signature = match (self.profile.dialect, &thought) {
            (Dialect::AnthropicMessages, Some(_)) if step.is_hidden => sign_hidden_thought(upstream),
            (Dialect::AnthropicMessages, Some(thought)) => sign_thought(upstream, thought),
            (Dialect::AnthropicMessages | Dialect::OpenAiChat, _) => None,
        };
        Step { thought, signature, ..step.clone() }
    }

    fn call(&self, step: &Step, number: usize, at: usize) -> Value {
        let call = &step.calls[at];
        let number = match step.ids {
            Ids::Unique => 10 * number + at,
            Ids::OfTheAnswer => at,
        };
        let id = self.id.map_or_else(String::new, |id| format!("{id}{number:09}"));
        let mut written = match call.kind {
            CallKind::Function => {
                let function = json!({"name": call.name, "arguments": call.payload});
                json!({"id": id, "type": "function", "function": function})
            }
            CallKind::Custom => {
                json!({"id": id, "type": "custom", "custom": {"name": call.name, "input": call.payload}})
            }
        };
        extend(&mut written, &self.call_echoes);
        written
    }

    /// The API has a field for refusals; others say it in words.
    pub fn refuses_in_a_field(&self) -> bool {
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
        match (self.thoughts, &step.thought) {
            (Thoughts::Field(field), Some(thought)) => message[field] = json!(thought),
            (Thoughts::Parts, Some(thought)) => {
                let text = message["content"].take();
                let thought = json!({"type": "thinking", "thinking": [{"type": "text", "text": thought}]});
                message["content"] = match text.is_string() {
                    true => json!([thought, {"type": "text", "text": text}]),
                    false => json!([thought]),
                };
            }
            (Thoughts::Nowhere | Thoughts::Blocks(_), _) | (_, None) => {}
        }
        let calls: Vec<Value> = (0..step.calls.len()).map(|at| self.call(step, number, at)).collect();
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        let reason = finish_reason(step);
        json!({
            "id": format!("chatcmpl-{number}"), "object": "chat.completion", "created": 1_790_000_000, "model": "m",
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
            "usage": tokens(step),
        })
    }

    fn chunks(&self, step: &Step, number: usize, cuts: &Cuts) -> Vec<Value> {
        let mut first = json!({"role": "assistant", "content": ""});
        extend(&mut first, &self.echoes);
        let mut deltas = vec![first];
        for thought in step.thought.iter().flat_map(|thought| cuts.text(thought)) {
            match self.thoughts {
                Thoughts::Field(field) => deltas.push(json!({field: thought})),
                Thoughts::Parts => {
                    let thought = json!({"type": "thinking", "thinking": [{"type": "text", "text": thought}]});
                    deltas.push(json!({"content": [thought]}));
                }
                Thoughts::Nowhere | Thoughts::Blocks(_) => {}
            }
        }
        let said = step.text.as_deref().or(step.refusal.as_deref().filter(|_| !self.refuses_in_a_field()));
        deltas.extend(said.into_iter().flat_map(|said| cuts.text(said)).map(|piece| json!({"content": piece})));
        let refusal = step.refusal.as_deref().filter(|_| self.refuses_in_a_field());
        let refusal = refusal.into_iter().flat_map(|refusal| cuts.text(refusal));
        deltas.extend(refusal.map(|piece| json!({"refusal": piece})));
        let calls = 0..step.calls.len();
        let calls = calls.map(|at| self.call_deltas(self.call(step, number, at), at, cuts)).collect();
        deltas.extend(in_order(calls, step.fragments));
        let reason = finish_reason(step);
        let chunk = |choices: Value| {
            json!({
                "id": format!("chatcmpl-{number}"), "object": "chat.completion.chunk", "created": 1_790_000_000,
                "model": "m", "choices": choices,
            })
        };
        let choice = |delta: Value, reason: Value| {
            chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]))
        };
        let early = match self.reasons {
            Reasons::AtTheEnd => Value::Null,
            Reasons::InEveryChunk => json!(reason),
        };
        let mut chunks: Vec<Value> = deltas.into_iter().map(|delta| choice(delta, early.clone())).collect();
        chunks.push(choice(json!({}), json!(reason)));
        let mut last = chunk(json!([]));
        last["usage"] = tokens(step);
        chunks.push(last);
        chunks
    }

    /// The parts in which a call comes in a stream: its beginning, and then its fragments.
    fn call_deltas(&self, mut call: Value, at: usize, cuts: &Cuts) -> Vec<Value> {
        if self.id.is_none() {
            // All at once, as Gemini does.
            return vec![json!({"tool_calls": [call]})];
        }
        call["index"] = json!(at);
        let (kind, input) = if call["type"] == "custom" { ("custom", "input") } else { ("function", "arguments") };
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let (name, payload) = (text(call[kind]["name"].take()), text(call[kind][input].take()));
        call[kind][input] = json!("");
        let mut names = cuts.text(&name).into_iter();
        call[kind]["name"] = json!(names.next().unwrap_or_default());
        let mut deltas = vec![json!({"tool_calls": [call]})];
        deltas.extend(names.map(|piece| json!({"tool_calls": [{"index": at, kind: {"name": piece}}]})));
        let pieces = cuts.text(&payload).into_iter();
        deltas.extend(pieces.map(|piece| json!({"tool_calls": [{"index": at, kind: {input: piece}}]})));
        deltas
    }
}

/// The deltas of all calls.
fn in_order(mut calls: Vec<Vec<Value>>, fragments: Fragments) -> Vec<Value> {
    match fragments {
        Fragments::CallByCall => calls.concat(),
        Fragments::InTurns => {
            calls.iter_mut().for_each(|deltas| deltas.reverse());
            let most = calls.iter().map(Vec::len).max().unwrap_or_default();
            (0..most).flat_map(|_| calls.iter_mut().filter_map(Vec::pop).collect::<Vec<_>>()).collect()
        }
    }
}

/// Why the chat API says that an answer ends.
fn finish_reason(step: &Step) -> &'static str {
    match step.ending {
        Ending::Length | Ending::Window => "length",
        Ending::Filtered => "content_filter",
        Ending::Said | Ending::StopString(_) | Ending::Paused if step.calls.is_empty() => "stop",
        Ending::Said | Ending::StopString(_) | Ending::Paused => "tool_calls",
    }
}

fn used(step: &Step) -> Usage {
    step.usage.unwrap_or(Usage { input: 9, output: 9, ..Usage::default() })
}

/// What the chat API counts.
fn tokens(step: &Step) -> Value {
    let Usage { input, cached_input, cache_write, output, reasoning } = used(step);
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": cached_input, "cache_write_tokens": cache_write},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    })
}

/// What the Messages API counts at the end of a stream; a message says more.
fn counts(step: &Step) -> Value {
    let Usage { input, cached_input, cache_write, output, reasoning } = used(step);
    json!({
        "input_tokens": input - cached_input - cache_write, "cache_creation_input_tokens": cache_write,
        "cache_read_input_tokens": cached_input, "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": reasoning}, "server_tool_use": null,
    })
}

fn message_counts(step: &Step) -> Value {
    let mut counts = counts(step);
    extend(&mut counts, &json!({"cache_creation": null, "inference_geo": null, "service_tier": null, "speed": null}));
    counts
}

fn blocks(step: &Step, number: usize) -> Vec<Value> {
    let thought = step.thought.as_ref();
    let thought = thought.map(|thought| match step.is_hidden {
        true => json!({"type": "redacted_thinking", "data": step.signature}),
        false => json!({"type": "thinking", "thinking": thought, "signature": step.signature}),
    });
    let redacted = step.redacted.as_ref().map(|data| json!({"type": "redacted_thinking", "data": data}));
    let text = step.text.as_ref().map(|text| json!({"type": "text", "text": text, "citations": null}));
    let calls = step.calls.iter().enumerate().map(|(at, call)| {
        let id = format!("toolu_{:09}", 10 * number + at);
        let caller = json!({"type": "direct"});
        json!({"type": "tool_use", "id": id, "name": call.name, "input": call.input(), "caller": caller})
    });
    thought.into_iter().chain(redacted).chain(text).chain(calls).collect()
}

fn stop(step: &Step) -> Value {
    let reason = match (step.ending, &step.refusal) {
        (_, Some(_)) | (Ending::Filtered, None) => "refusal",
        (Ending::Length, None) => "max_tokens",
        (Ending::Window, None) => "model_context_window_exceeded",
        (Ending::StopString(_), None) => "stop_sequence",
        (Ending::Paused, None) => "pause_turn",
        (Ending::Said, None) if step.calls.is_empty() => "end_turn",
        (Ending::Said, None) => "tool_use",
    };
    let string = if let Ending::StopString(string) = step.ending { json!(string) } else { Value::Null };
    let details = (reason == "refusal")
        .then(|| json!({"type": "refusal", "category": "cyber", "explanation": step.refusal.as_deref()}));
    json!({"stop_reason": reason, "stop_sequence": string, "stop_details": details, "container": null})
}

fn message(step: &Step, number: usize) -> Value {
    let mut message = json!({
        "id": format!("msg_{number}"), "type": "message", "role": "assistant", "model": "claude", "content": blocks(step, number),
        "diagnostics": null, "usage": message_counts(step),
    });
    extend(&mut message, &stop(step));
    message
}

fn message_events(step: &Step, number: usize, cuts: &Cuts) -> Vec<Value> {
    let before = used(step);
    let before = Usage { output: 1, reasoning: 0, ..before };
    let mut start = message(&Step { usage: Some(before), ..Step::default() }, number);
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
                match field {
                    // It comes as one piece.
                    "signature" => deltas.push(json!({"type": kind, name: text})),
                    _ => deltas.extend(cuts.text(&text).into_iter().map(|piece| json!({"type": kind, name: piece}))),
                }
            }
        }
        if let Some(input) = block.get("input").map(Value::to_string) {
            block["input"] = json!({});
            let pieces = cuts.text(&input).into_iter();
            deltas.extend(pieces.map(|piece| json!({"type": "input_json_delta", "partial_json": piece})));
        }
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        events.extend(
            deltas.into_iter().map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": stop(step), "usage": counts(step)}));
    events.push(json!({"type": "message_stop"}));
    events
}
