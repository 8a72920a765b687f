//! Times the core's translation between dialects and the parsing of policies, many times each, and answers with the rows as
//! JSON.

#[cfg(target_arch = "wasm32")]
fn main() {
    guest::answer();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("This is a guest of the local runtime; `tiergate bench --scenario translate` builds and runs it.");
    std::process::exit(1);
}

#[cfg(target_arch = "wasm32")]
mod guest {
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use fastly::{Request, Response};
    use serde_json::{Value, json};
    use tiergate::door::answer::AnswerOptions;
    use tiergate::door::delivery::{self, Delivery};
    use tiergate::door::{chat, messages};
    use tiergate::error::Error;
    use tiergate::policy::parse::parse;
    use tiergate::policy::{Candidate, Policy};
    use tiergate::upstream::dialect::{self, DecodeOptions, EncodeOptions, Heard, Recipient, Stream};
    use tiergate::wire::ask::Ask;
    use tiergate::wire::piece::{Said, recycle};
    use tiergate::wire::sse::Decoder;
    use tiergate_guests::agent;
    use tiergate_guests::translation::Row;

    const MESSAGES_MODEL: &str = "claude-sonnet-5-5";
    const PASSED_MODEL: &str = "gpt-6-luna";
    const MENDED_MODEL: &str = "gemini-3.8-flash";
    const TURNS: usize = 20;
    const TOOLS: usize = 5;
    /// Of a stream, those that carry text or arguments.
    const DELTAS: usize = 400;
    /// How often a request or an answer is translated.
    const TIMES: u64 = 500;
    /// How often a stream is, and a policy parsed.
    const STREAMS: u64 = 20;
    const SHIPPED: &[u8] = include_bytes!("../../../policy/default.json");
    /// Of a policy that nobody meant, as many as fit.
    const UNKNOWN_FIELDS: usize = 47_000;
    /// Of a policy that is nearly as large as one may be.
    const POLICY_BYTES: usize = 500_000;

    /// How often an agent's body is.
    const AGENT_TIMES: u64 = 100;

    /// How often a large body is.
    const LARGE_TIMES: u64 = 10;
    const LARGE_BYTES: usize = 10_000_000;
    /// Gives nearly as many parts as a request may have.
    const WORDS: usize = 100;

    fn image() -> String {
        let data = "iVBORw0KGgoAAAANSUhEUgAA".repeat(9_000_000 / 24);
        format!(
            r#"{{"model":"auto","messages":[{{"role":"user","content":[{{"type":"text","text":"What is this?"}},
                {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
        )
    }

    /// About `LARGE_BYTES` in parts with `words` each.
    fn parts(words: usize) -> String {
        let part = format!(r#"{{"type":"text","text":"{}"}}"#, "word ".repeat(words));
        let parts = vec![part.as_str(); LARGE_BYTES / (part.len() + 1)].join(",");
        format!(r#"{{"model":"auto","messages":[{{"role":"user","content":[{parts}]}}]}}"#)
    }

    fn keys() -> String {
        let fields: String = (0..130_000).map(|at| format!(r#","k{at}":{at}"#)).collect();
        format!(r#"{{"messages":[{{"role":"user","content":"Hi"}}]{fields}}}"#)
    }

    pub fn answer() {
        drop(Request::from_client());
        let policy = parse(SHIPPED).expect("the shipped policy should parse");
        let conversation = conversation().to_string();
        let request = chat::parse(conversation.as_bytes()).expect("the conversation should be a request");
        let candidate = Candidate { model: model(&policy, MESSAGES_MODEL), effort: None };
        let asking = EncodeOptions { counts_usage: true, ..EncodeOptions::default() };
        let encode = || {
            let request = chat::parse(black_box(conversation.as_bytes())).expect("it parsed before");
            let encoded = dialect::encode_request(&policy, &candidate, &request, &asking);
            black_box(encoded.expect("the Messages API should have words for all of it"));
        };
        let parsed_row = |parse: Parse, name: &str, what: &str, body: &str, times: u64| {
            let candidate = Candidate { model: model(&policy, name), effort: None };
            let work = || {
                let request = parse(black_box(body.as_bytes())).expect("it should be a request");
                black_box(
                    dialect::encode_request(&policy, &candidate, &request, &asking).expect("it should be carried"),
                );
            };
            row(what, "request", times, timed(times, work))
        };
        let request_row =
            |name: &str, what: &str, body: &str, times: u64| parsed_row(chat::parse, name, what, body, times);
        let refused = |what: &str, body: &str| {
            let work = || assert!(chat::parse(black_box(body.as_bytes())).is_err());
            row(what, "request", LARGE_TIMES, timed(LARGE_TIMES, work))
        };
        let body = whole_answer().to_string().into_bytes();
        let of_model = |name: &str| decoding(&policy, name, &request);
        let (reading, options) = (of_model(MESSAGES_MODEL), AnswerOptions::of(&request, false));
        let decode = || {
            let body = black_box(body.clone());
            let pieces = dialect::decode_answer(&reading, &body).expect("it should be an answer");
            let said = Said { dialect: reading.dialect, pieces: &pieces, came: None };
            black_box((delivery::facts(&options, &said), delivery::encode_answer(&options, &said, None)));
        };
        let own_conversation = agent::messages_request(1_000).to_string();
        let own = messages::parse(own_conversation.as_bytes()).expect("the conversation should be a request");
        let (own_reading, own_chat_reading) =
            (decoding(&policy, MESSAGES_MODEL, &own), decoding(&policy, PASSED_MODEL, &own));
        let mut rows = vec![
            row("a conversation of 20 turns with 5 tools, to the Messages API", "request", TIMES, timed(TIMES, encode)),
            row("a whole answer of the Messages API, text and a call", "answer", TIMES, timed(TIMES, decode)),
            stream("Messages API, text", &reading, &request, &messages_stream(Piece::Text)),
            stream("Messages API, arguments of a call", &reading, &request, &messages_stream(Piece::Call)),
            stream("openai-chat, text, passed", &of_model(PASSED_MODEL), &request, &chat_stream()),
            stream("openai-chat, text, mended", &of_model(MENDED_MODEL), &request, &chat_stream()),
            stream("Messages API, text, passed to its own client", &own_reading, &own, &messages_stream(Piece::Text)),
            stream("openai-chat, text, to a client of the Messages API", &own_chat_reading, &own, &chat_stream()),
            document("the shipped policy, parsed", SHIPPED),
            document("a policy of 517 KB with 47,000 unknown fields, refused", faulty_policy().as_bytes()),
            document("a policy of 500 KB, full of models, parsed", large_policy().as_bytes()),
        ];
        // One body at a time: together they would be more than a sandbox holds.
        for (what, body) in [("an image of 9 MB", image as fn() -> String), ("10 MB in 19,000 parts", || parts(WORDS))]
        {
            let body = body();
            rows.push(request_row(PASSED_MODEL, &format!("{what}, to openai-chat"), &body, LARGE_TIMES));
            rows.push(request_row(MESSAGES_MODEL, &format!("{what}, to the Messages API"), &body, LARGE_TIMES));
        }
        for kilobytes in agent::KILOBYTES {
            let body = agent::request(kilobytes * 1_000).to_string();
            let what = format!("an agent's {kilobytes} KB with {} tools", agent::TOOLS);
            rows.push(request_row(PASSED_MODEL, &format!("{what}, to openai-chat"), &body, AGENT_TIMES));
            rows.push(request_row(MENDED_MODEL, &format!("{what}, to openai-chat, mended"), &body, AGENT_TIMES));
            rows.push(request_row(MESSAGES_MODEL, &format!("{what}, to the Messages API"), &body, AGENT_TIMES));
            let body = agent::messages_request(kilobytes * 1_000).to_string();
            let row = |name: &str, way: &str| {
                parsed_row(
                    messages::parse,
                    name,
                    &format!("{what}, from the Messages API to {way}"),
                    &body,
                    AGENT_TIMES,
                )
            };
            rows.extend([row(MESSAGES_MODEL, "itself"), row(PASSED_MODEL, "openai-chat")]);
        }
        rows.push(refused("10 MB in parts of one word, refused", &parts(1)));
        rows.push(refused("130,000 different fields, refused", &keys()));
        let body = serde_json::to_vec(&rows).expect("rows should serialise");
        Response::from_body(body).send_to_client();
    }

    type Parse = for<'x> fn(&'x [u8]) -> Result<Ask<'x>, Error>;

    #[derive(Clone, Copy)]
    enum Piece {
        Text,
        Call,
    }

    fn row(work: &str, unit: &str, count: u64, time: Duration) -> Row {
        let micros = time.as_secs_f64() * 1e6 / count as f64;
        Row { work: work.to_owned(), unit: unit.to_owned(), count, micros }
    }

    /// The time of `times` calls, after a tenth as many that warm up.
    fn timed(times: u64, mut work: impl FnMut()) -> Duration {
        (0..times.div_ceil(10)).for_each(|_| work());
        let start = Instant::now();
        (0..times).for_each(|_| work());
        start.elapsed()
    }

    /// A stream, one event a read, found in its bytes and taken.
    fn stream(work: &str, reading: &DecodeOptions, request: &Ask<'_>, events: &[String]) -> Row {
        let options = AnswerOptions::of(request, false);
        let time = timed(STREAMS, || {
            let mut stream = Stream::new(reading).expect("the dialect should be built");
            let (mut decoder, mut delivery) = (Decoder::default(), Delivery::stream(options, None));
            let (mut pieces, mut out) = (Vec::new(), Vec::new());
            for event in events {
                decoder.space().extend_from_slice(black_box(event.as_bytes()));
                while let Some(event) = decoder.next_event().expect("events should be short") {
                    let data = stream.data(&event);
                    let mut said = recycle(std::mem::take(&mut pieces));
                    let heard = black_box(stream.take(&data, &mut said));
                    if heard == Ok(Heard::Pieces) {
                        let passed = stream.pass(&data);
                        let came = passed.as_it_came();
                        delivery.take(&Said { dialect: stream.dialect(), pieces: &said, came }, &mut out);
                    }
                    pieces = recycle(said);
                }
                black_box(&out);
                out.clear();
            }
            assert!(stream.is_finished(), "the stream should be a whole answer");
        });
        row(work, "event", STREAMS * events.len() as u64, time)
    }

    fn document(work: &str, document: &[u8]) -> Row {
        row(work, "document", STREAMS, timed(STREAMS, || drop(black_box(parse(black_box(document))))))
    }

    fn faulty_policy() -> String {
        let fields: Vec<String> = (0..UNKNOWN_FIELDS).map(|field| format!("\"f{field:05}\":0")).collect();
        format!("{{{}}}", fields.join(","))
    }

    fn large_policy() -> String {
        let mut policy: Value = serde_json::from_slice(SHIPPED).expect("the shipped policy should be JSON");
        let model = policy["models"][PASSED_MODEL].clone();
        let bytes_each = r#""model-1000":,"#.len() + model.to_string().len();
        for number in 0..POLICY_BYTES / bytes_each {
            policy["models"][format!("model-{number}")] = model.clone();
        }
        let policy = policy.to_string();
        parse(policy.as_bytes()).expect("it should be no larger than a policy may be");
        policy
    }

    fn model(policy: &Policy, name: &str) -> tiergate::policy::ModelId {
        policy.model_named(name).expect("the shipped policy should have the model")
    }

    fn decoding(policy: &Policy, name: &str, request: &Ask<'_>) -> DecodeOptions {
        let candidate = Candidate { model: model(policy, name), effort: None };
        DecodeOptions::of(&Recipient::of(policy, &candidate), request, Duration::from_secs(1_790_000_000))
    }

    /// Turns of a user, and of an assistant that calls a tool every other time.
    fn conversation() -> Value {
        let words = "Please look at the weather of the last week and tell me what has changed since then. ".repeat(3);
        let mut messages = vec![json!({"role": "system", "content": "You are a patient assistant. ".repeat(20)})];
        for turn in 0..TURNS / 4 {
            let id = format!("call_{turn}");
            messages.push(json!({"role": "user", "content": words}));
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "tool_1", "arguments": "{\"city\":\"Rome\",\"days\":7}"}},
            ]}));
            messages.push(json!({"role": "tool", "tool_call_id": id, "content": words}));
            messages.push(json!({"role": "assistant", "content": words}));
        }
        messages.push(json!({"role": "user", "content": words}));
        let tools: Vec<Value> = (0..TOOLS)
            .map(|tool| {
                json!({"type": "function", "function": {
                    "name": format!("tool_{tool}"),
                    "description": "Looks up what the weather was in a city, day by day.",
                    "parameters": {"type": "object", "required": ["city"], "properties": {
                        "city": {"type": "string", "description": "Its name."},
                        "days": {"type": "integer", "minimum": 1, "maximum": 30},
                        "units": {"type": "string", "enum": ["metric", "imperial"]},
                    }},
                }})
            })
            .collect();
        json!({"model": "auto", "messages": messages, "tools": tools, "stream": true, "max_completion_tokens": 2000})
    }

    fn whole_answer() -> Value {
        json!({
            "id": "msg_01", "type": "message", "role": "assistant", "model": MESSAGES_MODEL,
            "content": [
                {"type": "text", "text": "It was warmer than in the week before. ".repeat(50)},
                {"type": "tool_use", "id": "toolu_1", "name": "tool_1", "input": {"city": "Rome", "days": 7}},
            ],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 2000, "output_tokens": 500},
        })
    }

    fn messages_stream(piece: Piece) -> Vec<String> {
        let (block, delta) = match piece {
            Piece::Text => (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": " warmer"})),
            Piece::Call => (
                json!({"type": "tool_use", "id": "toolu_1", "name": "tool_1", "input": {}}),
                json!({"type": "input_json_delta", "partial_json": "\"city\": \"Ro"}),
            ),
        };
        let start = json!({"type": "message_start", "message": {
            "id": "msg_01", "type": "message", "role": "assistant", "model": MESSAGES_MODEL, "content": [],
            "stop_reason": null, "usage": {"input_tokens": 2000, "output_tokens": 1},
        }});
        let mut events = vec![start, json!({"type": "content_block_start", "index": 0, "content_block": block})];
        let delta = json!({"type": "content_block_delta", "index": 0, "delta": delta});
        events.extend(std::iter::repeat_n(delta, DELTAS));
        events.push(json!({"type": "content_block_stop", "index": 0}));
        let reason = json!({"stop_reason": "end_turn", "stop_sequence": null});
        events.push(json!({"type": "message_delta", "delta": reason, "usage": {"output_tokens": DELTAS}}));
        events.push(json!({"type": "message_stop"}));
        let wire = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
        events.into_iter().map(wire).collect()
    }

    fn chat_stream() -> Vec<String> {
        let chunk = |delta: Value, reason: Value| {
            let chunk = json!({
                "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": PASSED_MODEL,
                "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}],
            });
            format!("data: {chunk}\n\n")
        };
        let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null)];
        events.extend(std::iter::repeat_n(chunk(json!({"content": " warmer"}), Value::Null), DELTAS));
        events.push(chunk(json!({}), json!("stop")));
        events.push("data: [DONE]\n\n".to_owned());
        events
    }
}
