//! Cases that are made up from a number: conversations, answers, and the same answers as streams.

use serde_json::{Value, json};

use crate::case::Case;

/// The case of a number, always the same one.
pub fn case(number: u64) -> Case {
    let mut draw = Draw { state: number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D };
    let request = request(&mut draw);
    let answer = answer(&mut draw);
    let stream = stream(&mut draw, &answer);
    // So that a rule can tell the reasons apart.
    let reason = answer["stop_reason"].as_str().unwrap_or_default().to_owned();
    Case {
        name: format!("made/{number:03}-{reason}"),
        request: Some(request),
        answer: Some(answer),
        stream: Some(stream),
    }
}

/// Numbers that follow from one another.
struct Draw {
    state: u64,
}

impl Draw {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.state >> 33).expect("31 bits") % end
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn text(&mut self) -> String {
        const WORDS: [&str; 9] =
            ["weather", "Ångström", "naïve", "two\nlines", "\"quoted\"", "back\\slash", "日本", "🙂", "a  b"];
        let count = 1 + self.below(4);
        (0..count).map(|_| self.one_of(&WORDS)).collect::<Vec<_>>().join(" ")
    }

    fn arguments(&mut self) -> Value {
        match self.below(4) {
            0 => json!({}),
            1 => json!({"city": self.text()}),
            2 => json!({"city": self.text(), "days": self.below(9), "exact": self.happens(50)}),
            _ => json!({"filter": {"tags": [self.text(), self.text()], "none": null}, "ratio": 0.5}),
        }
    }
}

const TOOLS: [&str; 3] = ["get_weather", "search-web", "read_file"];
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mP8/x8AAwMCAO+/l2QAAAAASUVORK5CYII=";

fn request(draw: &mut Draw) -> Value {
    let mut messages = Vec::new();
    if draw.happens(60) {
        let role = draw.one_of(&["system", "developer"]);
        messages.push(json!({"role": role, "content": draw.text()}));
    }
    let with_tools = draw.happens(60);
    let rounds = 1 + draw.below(3);
    for round in 0..rounds {
        messages.push(json!({"role": "user", "content": user_content(draw)}));
        if with_tools && draw.happens(60) {
            step(draw, round, &mut messages);
        }
        if round + 1 < rounds {
            messages.push(assistant(draw));
        }
    }
    let mut request = json!({"model": "claude-fable-5", "messages": messages});
    if with_tools {
        request["tools"] = TOOLS.iter().map(|name| tool(draw, name)).collect();
        match draw.below(8) {
            0 => request["tool_choice"] = "required".into(),
            1 => request["tool_choice"] = "none".into(),
            2 => request["tool_choice"] = json!({"type": "function", "function": {"name": "read_file"}}),
            3 => request["parallel_tool_calls"] = false.into(),
            _ => {}
        }
    }
    settings(draw, &mut request);
    request
}

/// What the assistant said, whole or in parts, with what its provider added.
fn assistant(draw: &mut Draw) -> Value {
    let content = match draw.below(4) {
        0 => json!([{"type": "text", "text": draw.text()}, {"type": "text", "text": draw.text()}]),
        _ => draw.text().into(),
    };
    let mut message = json!({"role": "assistant", "content": content});
    match draw.below(6) {
        0 => message["name"] = "agent".into(),
        1 => message["refusal"] = Value::Null,
        2 => message["reasoning_content"] = draw.text().into(),
        _ => {}
    }
    message
}

fn user_content(draw: &mut Draw) -> Value {
    if draw.happens(60) {
        return draw.text().into();
    }
    let parts = (0..=draw.below(3)).map(|_| match draw.below(3) {
        0 => json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}}),
        1 => json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}),
        _ => json!({"type": "text", "text": draw.text()}),
    });
    parts.collect()
}

/// Calls, one or several at once, and their results in some order.
fn step(draw: &mut Draw, round: usize, messages: &mut Vec<Value>) {
    let count = 1 + draw.below(3);
    let id = |at: usize| format!("call_{round}_{at}");
    let calls: Vec<Value> = (0..count)
        .map(|at| {
            let arguments = draw.arguments().to_string();
            json!({"id": id(at), "type": "function",
                   "function": {"name": draw.one_of(&TOOLS), "arguments": arguments}})
        })
        .collect();
    let content = if draw.happens(40) { draw.text().into() } else { Value::Null };
    messages.push(json!({"role": "assistant", "content": content, "tool_calls": calls}));
    let first = draw.below(count);
    for at in (0..count).map(|at| (first + at) % count) {
        let content = match draw.below(5) {
            0 => json!([{"type": "text", "text": draw.text()}]),
            1 => "".into(),
            _ => draw.text().into(),
        };
        messages.push(json!({"role": "tool", "tool_call_id": id(at), "content": content}));
    }
}

fn tool(draw: &mut Draw, name: &str) -> Value {
    let property = match draw.below(6) {
        0 => json!({"type": "string", "enum": ["a", "b"], "description": draw.text()}),
        1 => json!({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 4}),
        2 => json!({"anyOf": [{"type": "string"}, {"type": "null"}], "default": null}),
        3 => json!({"type": "object", "properties": {"x": {"type": "number"}}, "additionalProperties": true}),
        4 => json!({"type": ["string", "null"], "format": "date-time", "pattern": "^2"}),
        _ => json!({"type": "string"}),
    };
    let parameters = json!({"type": "object", "properties": {"city": property}, "required": ["city"]});
    let mut function = json!({"name": name, "parameters": parameters});
    if draw.happens(80) {
        function["description"] = draw.text().into();
    }
    json!({"type": "function", "function": function})
}

fn settings(draw: &mut Draw, request: &mut Value) {
    let all: [(&str, Value); 11] = [
        ("max_tokens", (100 + draw.below(900)).into()),
        ("max_completion_tokens", (100 + draw.below(900)).into()),
        ("temperature", json!(0.5)),
        ("stop", json!(["END", "STOP"])),
        ("stop", "END".into()),
        ("user", "user-123".into()),
        ("stream", true.into()),
        ("top_p", json!(0.9)),
        ("reasoning_effort", "high".into()),
        ("seed", 7.into()),
        (
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "plan", "strict": true, "schema": {
                "type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}},
                "required": ["a", "b"], "additionalProperties": false,
            }}}),
        ),
    ];
    for (name, value) in all {
        if draw.happens(15) {
            request[name] = value;
        }
    }
}

fn answer(draw: &mut Draw) -> Value {
    let mut content = Vec::new();
    if draw.happens(30) {
        content.push(json!({"type": "thinking", "thinking": draw.text(), "signature": "c2lnbmF0dXJl"}));
    }
    if draw.happens(10) {
        content.push(json!({"type": "redacted_thinking", "data": "eA=="}));
    }
    if draw.happens(75) {
        content.push(json!({"type": "text", "text": draw.text()}));
    }
    let calls = if draw.happens(50) { 1 + draw.below(3) } else { 0 };
    for at in 0..calls {
        content.push(json!({"type": "tool_use", "id": format!("toolu_{at}"), "name": draw.one_of(&TOOLS),
                            "input": draw.arguments()}));
    }
    let reason = match (calls, draw.below(12)) {
        (_, 0) => "max_tokens",
        (_, 2) => "model_context_window_exceeded",
        (0, 3) => "pause_turn",
        (0, 4) => "refusal",
        (0, 1) => "stop_sequence",
        (0, _) => "end_turn",
        _ => "tool_use",
    };
    let mut usage = json!({"input_tokens": 1 + draw.below(500), "output_tokens": 1 + draw.below(500)});
    if draw.happens(50) {
        usage["cache_read_input_tokens"] = draw.below(3000).into();
        usage["cache_creation_input_tokens"] = draw.below(3000).into();
    }
    json!({
        "id": "msg_01", "type": "message", "role": "assistant", "model": "claude-fable-5-20261001", "content": content,
        "stop_reason": reason, "stop_sequence": if reason == "stop_sequence" { "END".into() } else { Value::Null },
        "usage": usage,
    })
}

/// The answer as a stream, with its texts and arguments in fragments.
fn stream(draw: &mut Draw, answer: &Value) -> Vec<Value> {
    let mut head = answer.clone();
    head["content"] = json!([]);
    head["stop_reason"] = Value::Null;
    head["stop_sequence"] = Value::Null;
    head["usage"]["output_tokens"] = 1.into();
    let mut events = vec![json!({"type": "message_start", "message": head})];
    for (index, block) in answer["content"].as_array().into_iter().flatten().enumerate() {
        let (start, deltas) = block_in_fragments(draw, block);
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        if draw.happens(20) {
            events.push(json!({"type": "ping"}));
        }
        let deltas = deltas.into_iter();
        events.extend(deltas.map(|delta| json!({"type": "content_block_delta", "index": index, "delta": delta})));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({
        "type": "message_delta",
        "delta": {"stop_reason": answer["stop_reason"], "stop_sequence": answer["stop_sequence"]},
        "usage": {"output_tokens": answer["usage"]["output_tokens"]},
    }));
    events.push(json!({"type": "message_stop"}));
    events
}

fn block_in_fragments(draw: &mut Draw, block: &Value) -> (Value, Vec<Value>) {
    let mut start = block.clone();
    let text = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
    match block["type"].as_str().unwrap_or_default() {
        "thinking" => {
            start["thinking"] = "".into();
            start["signature"] = "".into();
            let thoughts = fragments(draw, &text("thinking"));
            let mut deltas: Vec<_> =
                thoughts.iter().map(|part| json!({"type": "thinking_delta", "thinking": part})).collect();
            deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            (start, deltas)
        }
        "tool_use" => {
            start["input"] = json!({});
            let parts = fragments(draw, &block["input"].to_string());
            (start, parts.iter().map(|part| json!({"type": "input_json_delta", "partial_json": part})).collect())
        }
        "redacted_thinking" => (start, Vec::new()),
        _ => {
            start["text"] = "".into();
            let parts = fragments(draw, &text("text"));
            (start, parts.iter().map(|part| json!({"type": "text_delta", "text": part})).collect())
        }
    }
}

fn fragments(draw: &mut Draw, text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut rest = letters.as_slice();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, tail) = rest.split_at((1 + draw.below(9)).min(rest.len()));
        parts.push(part.iter().collect());
        rest = tail;
    }
    parts
}
