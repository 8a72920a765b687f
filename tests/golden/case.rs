//! Runs the cases of both dialects, as the pipeline does: by the policy, through `dialect`.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tiergate::door;
use tiergate::door::answer::AnswerOptions;
use tiergate::door::delivery::{self, Delivery};
use tiergate::policy::parse::parse;
use tiergate::policy::{AuthStyle, Candidate, Dialect, Effort, Entry, Policy};
use tiergate::secret::Secret;
use tiergate::upstream::address::Address;
use tiergate::upstream::dialect::{self, CannotEncode, DecodeOptions, Defect, EncodeOptions, Heard, Recipient, Stream};
use tiergate::upstream::error_words::{self, ProviderError};
use tiergate::upstream::sealer::Sealer;
use tiergate::wire::ask::Ask;
use tiergate::wire::door::Door;
use tiergate::wire::facts::AnswerFacts;
use tiergate::wire::json::object_fields;
use tiergate::wire::piece::{Alive, Piece, Said, Weight};
use tiergate::wire::sse::{Decoder, Event};
use tiergate::wire::usage::Usage;
use tiergate_simulator::description;

use crate::layout::{compact, lay_out, on_one_line};
use crate::properties::judge;

/// Below the package's folder, where cargo runs tests.
pub const FOLDERS: [(Dialect, &str, usize); 2] =
    [(Dialect::AnthropicMessages, "tests/golden/anthropic", 60), (Dialect::OpenaiChat, "tests/golden/openai", 30)];
const CREATED: Duration = Duration::from_secs(1_790_000_000);
/// What a client gets that is byte for byte what the provider sent.
const AS_IT_CAME: &str = "as it came";
/// The end marker, which no case shows.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// What a case says, in the order in which it says it, and what follows from it.
const GIVEN: [&str; 12] = [
    "shows",
    "door",
    "policy_model",
    "policy_provider",
    "show_reasoning",
    "effort",
    "secret",
    "begun",
    "request",
    "upstream_answer",
    "upstream_stream",
    "upstream_error",
];

/// The parts of a case, each as JSON.
pub struct Case {
    pub name: String,
    pub dialect: Dialect,
    parts: Vec<(String, String)>,
}

/// How answers are read from a provider, and written for a client.
pub struct Ways {
    pub reading: DecodeOptions,
    pub options: AnswerOptions,
}

impl Case {
    pub fn read(dialect: Dialect, path: &Path) -> Self {
        let text = fs::read_to_string(path).expect("a readable case");
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let fields = object_fields(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let parts = fields.iter().map(|field| (field.name.clone().into_owned(), compact(field.value.get())));
        Self { parts: parts.collect(), dialect, name }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|(known, _)| known == name).map(|(_, json)| json.as_str())
    }

    pub fn value(&self, name: &str) -> Value {
        self.get(name).map_or(Value::Null, |json| serde_json::from_str(json).expect("JSON"))
    }

    /// A policy with one model of the dialect, as it is by default and with what the case changes.
    pub fn policy(&self) -> Policy {
        let (mut model, mut provider) = match self.dialect {
            Dialect::AnthropicMessages => (
                json!({
                    "provider": "only", "id": "claude-fable-5", "context": 200_000, "max_output": 64_000,
                    "tools": true, "vision": true, "json_schema": true, "sampling": false,
                }),
                json!({"base_url": "https://api.anthropic.com", "auth": "x-api-key"}),
            ),
            Dialect::OpenaiChat | Dialect::OpenaiResponses => (
                json!({
                    "provider": "only", "id": "model-1", "context": 200_000, "max_output": 64_000,
                    "tools": true, "vision": true, "json_schema": true,
                }),
                json!({"base_url": "https://api.example.com/v1"}),
            ),
        };
        provider["dialect"] = self.dialect.as_str().into();
        provider["show_reasoning"] = (self.value("show_reasoning") == true).into();
        for (row, changes) in [(&mut model, "policy_model"), (&mut provider, "policy_provider")] {
            if let Value::Object(changes) = self.value(changes) {
                row.as_object_mut().expect("an object").extend(changes);
            }
        }
        let document = json!({
            "version": "1", "default_tier": "only",
            "tiers": [{
                "name": "only", "description": "Everything.", "candidates": [{"model": "model"}],
                "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
            }],
            "models": {"model": model},
            "providers": {"only": provider},
        });
        parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{}: {faults}", self.name))
    }

    pub fn candidate(&self, policy: &Policy) -> Candidate {
        let Entry::One(candidate) = &policy.tiers[0].candidates[0] else { panic!("one candidate") };
        let effort = self.value("effort");
        let effort = Effort::ALL.iter().copied().find(|known| Some(known.as_str()) == effort.as_str());
        Candidate { effort, ..candidate.clone() }
    }

    fn sealer(&self, policy: &Policy, candidate: &Candidate) -> Option<Rc<Sealer>> {
        Sealer::new(policy, candidate.model, &[self.root()?]).map(Rc::new)
    }

    fn body(&self) -> &[u8] {
        self.get("request").unwrap_or(r#"{"messages":[{"role":"user","content":"Hi"}]}"#).as_bytes()
    }

    /// The API in whose words the case's request is: the chat API's, unless it says otherwise.
    fn door(&self) -> Door {
        match self.get("door") {
            None => Door::Chat,
            Some(r#""messages""#) => Door::Messages,
            Some(door) => panic!("{}: {door} is no door", self.name),
        }
    }

    fn request(&self) -> Ask<'_> {
        let parsed = match self.door() {
            Door::Chat => door::chat::parse(self.body()),
            Door::Messages => door::messages::parse(self.body()),
        };
        parsed.unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
    }

    /// How the case's answers are read and written.
    pub fn ways(&self) -> Ways {
        let policy = self.policy();
        let candidate = self.candidate(&policy);
        let request = self.request();
        let sealer = self.sealer(&policy, &candidate);
        let reading = DecodeOptions::of(&Recipient::of(&policy, &candidate), &request, CREATED);
        let options = AnswerOptions::of(&request, policy.providers[0].show_reasoning);
        Ways { reading: DecodeOptions { sealer, ..reading }, options }
    }

    /// The events of its stream, as the provider sends them.
    pub fn events(&self) -> Option<Vec<String>> {
        let events: Vec<&RawValue> = serde_json::from_str(self.get("upstream_stream")?).expect("an array");
        Some(events.iter().map(|event| self.wire(event.get())).collect())
    }

    /// What the Messages API itself would say to the request, if there is such a model.
    fn judge(&self, policy: &Policy, upstream: &str) {
        if self.dialect == Dialect::AnthropicMessages {
            let upstream = serde_json::from_str(upstream).expect("JSON");
            assert_eq!(judge(&policy.models[0].id, &upstream), Ok(()), "{}: {upstream}", self.name);
        }
    }

    /// The secret that thoughts are sealed with, if any are.
    pub fn root(&self) -> Option<Secret<String>> {
        self.value("secret").as_str().map(|secret| Secret::new(secret.to_owned()))
    }

    /// What is expected of the case, by name.
    fn outcome(&self) -> Vec<(&'static str, String)> {
        let policy = self.policy();
        let request = self.request();
        let candidate = self.candidate(&policy);
        let sealer = self.sealer(&policy, &candidate);
        let begun = self.value("begun").as_str().map(Into::into);
        let options = EncodeOptions { counts_usage: true, begun, sealer, ..EncodeOptions::default() };
        let mut outcome = Vec::new();
        match dialect::encode_request(&policy, &candidate, &request, &options) {
            Ok(encoded) => {
                if self.get("request").is_some() {
                    let upstream = String::from_utf8(encoded.body).expect("UTF-8");
                    self.judge(&policy, &upstream);
                    outcome.push(("upstream_request", upstream));
                    outcome.push(("dropped", json!(encoded.dropped).to_string()));
                }
            }
            Err(CannotEncode::Unfit(error)) => {
                outcome.push(("error", String::from_utf8(error.body(self.door(), "")).expect("UTF-8")));
            }
            Err(CannotEncode::Unavailable(dialect)) => panic!("{}: {dialect} should be built", self.name),
        }
        let row = &policy.providers[0];
        if row.path.is_some() || !row.query.is_empty() {
            outcome.push(("address", json!(Address::of(&policy, candidate.model).url).to_string()));
        }
        if let AuthStyle::Header { name, prefix } = &row.auth
            && self.value("policy_provider").get("auth").is_some()
        {
            outcome.push(("key_header", json!(format!("{name}: {prefix}KEY")).to_string()));
        }
        let Ways { reading, options } = self.ways();
        if let Some(answer) = self.get("upstream_answer") {
            outcome.extend(self.answer(&reading, options, answer));
        }
        if let Some(events) = self.events() {
            let stream = || Passage {
                stream: Stream::new(&reading).expect("the dialect should be built"),
                delivery: Delivery::stream(options, None),
            };
            outcome.extend(self.stream(&events, stream()));
            self.split(&events.concat(), stream);
        }
        if let Some(error) = self.get("upstream_error") {
            outcome.push(("error_reads", error_reads(&error_words::parse(error.as_bytes())).to_string()));
        }
        outcome
    }

    fn answer(&self, reading: &DecodeOptions, options: AnswerOptions, upstream: &str) -> Vec<(&'static str, String)> {
        let came = dialect::mend_answer(reading, upstream.as_bytes().to_vec());
        match dialect::decode_answer(reading, &came) {
            Ok(pieces) => {
                let said = Said { dialect: self.dialect, pieces: &pieces, came: None };
                let reads = reads(&delivery::facts(&options, &said));
                let body = delivery::encode_answer(&options, &said, None).unwrap_or(came.clone());
                if body == upstream.as_bytes() {
                    return vec![("answer", json!(AS_IT_CAME).to_string()), ("reads", reads)];
                }
                let value = serde_json::from_slice(&body).expect("JSON");
                let faults = description::faults("CreateChatCompletionResponse", &value);
                assert!(faults.is_empty(), "{}: {faults:?}", self.name);
                vec![("answer", String::from_utf8(body).expect("UTF-8")), ("reads", reads)]
            }
            Err(Defect::Undecodable) => vec![("answer", json!("undecodable").to_string())],
            Err(Defect::Cut) => vec![("answer", json!("cut").to_string())],
            Err(Defect::Error(error)) => vec![("answer", json!({"error": error_reads(&error)}).to_string())],
        }
    }

    /// An event as the provider sends it; a string is a comment, or data that is no JSON.
    fn wire(&self, event: &str) -> String {
        let value: Value = serde_json::from_str(event).expect("JSON");
        match (&value, self.dialect) {
            (Value::String(comment), _) if comment.starts_with(':') => format!("{comment}\n\n"),
            (Value::String(data), _) => format!("data: {data}\n\n"),
            (_, Dialect::AnthropicMessages) => {
                format!("event: {}\ndata: {event}\n\n", value["type"].as_str().unwrap_or("message"))
            }
            (_, Dialect::OpenaiChat | Dialect::OpenaiResponses) => format!("data: {event}\n\n"),
        }
    }

    /// What each event means and what the client gets for it.
    fn stream(&self, events: &[String], mut stream: Passage) -> Vec<(&'static str, String)> {
        let mut steps = Vec::new();
        for event in events {
            let mut out = Vec::new();
            let mut decoder = Decoder::default();
            decoder.space().extend_from_slice(event.as_bytes());
            let whole = decoder.next_event().expect("a short event").expect("a whole event");
            let mut step = vec![stream.take(&whole, &mut out)];
            if out == event.as_bytes() {
                step.push(json!(AS_IT_CAME).to_string());
            } else {
                step.extend(self.sent(&out));
            }
            steps.push(format!("[{}]", step.join(",")));
        }
        let reads = reads(&stream.delivery.facts);
        vec![("stream", format!("[{}]", steps.join(","))), ("reads", reads)]
    }

    /// The events in `out`: chunks as they are, comments as strings.
    fn sent(&self, out: &[u8]) -> Vec<String> {
        let text = String::from_utf8(out.to_vec()).expect("UTF-8");
        let events = text.split_terminator("\n\n").map(|event| {
            assert!(!event.contains('\n'), "{}: one line for each event: {event}", self.name);
            let Some(data) = event.strip_prefix("data: ") else { return json!(event).to_string() };
            let value = serde_json::from_str(data).expect("JSON");
            let mut faults = description::faults("CreateChatCompletionStreamResponse", &value);
            // The description knows calls of custom tools in whole answers only; the API streams them in the same form.
            faults.retain(|fault| !fault.contains("\"custom\" is not one of \"function\""));
            assert!(faults.is_empty(), "{}: {faults:?}", self.name);
            data.to_owned()
        });
        events.collect()
    }

    /// The bytes that a client gets do not depend on how the stream was cut into reads.
    fn split(&self, wire: &str, stream: impl Fn() -> Passage) {
        let run = |parts: [&[u8]; 2]| {
            let (mut decoder, mut stream, mut out) = (Decoder::default(), stream(), Vec::new());
            for part in parts {
                decoder.space().extend_from_slice(part);
                while let Some(event) = decoder.next_event().expect("short events") {
                    stream.take(&event, &mut out);
                }
            }
            out
        };
        let whole = run([wire.as_bytes(), b""]);
        for at in 0..=wire.len() {
            let (head, tail) = wire.as_bytes().split_at(at);
            assert_eq!(run([head, tail]), whole, "{} split at {at}", self.name);
        }
    }

    fn check(&self, path: &Path) {
        let outcome = self.outcome();
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            let given = self.parts.iter().filter(|(name, _)| GIVEN.contains(&name.as_str()));
            let given = given.map(|(name, json)| (name.as_str(), json.as_str()));
            let position = |name: &str| match name {
                "upstream_request" | "dropped" | "error" | "address" | "key_header" => 1,
                "upstream_answer" | "upstream_stream" | "upstream_error" => 2,
                "answer" | "stream" | "reads" | "error_reads" => 3,
                _ => 0,
            };
            let mut parts: Vec<_> = given.chain(outcome.iter().map(|(name, json)| (*name, json.as_str()))).collect();
            parts.sort_by_key(|(name, _)| position(name));
            // Chunks stay on their lines, however long.
            let width = |name: &str| if name == "stream" { 420 } else { 116 };
            let parts: Vec<String> =
                parts.iter().map(|(name, json)| format!("  \"{name}\": {}", lay_out(json, 1, width(name)))).collect();
            fs::write(path, format!("{{\n{}\n}}\n", parts.join(",\n"))).expect("a writable case");
            return;
        }
        let expected = self.parts.iter().filter(|(name, _)| !GIVEN.contains(&name.as_str()));
        let expected: Vec<_> = expected.map(|(name, json)| (name.as_str(), on_one_line(json))).collect();
        let actual: Vec<_> = outcome.iter().map(|(name, json)| (*name, on_one_line(json))).collect();
        for (name, json) in &actual {
            let known = expected.iter().find(|(known, _)| known == name).map(|(_, json)| json.as_str());
            assert_eq!(known, Some(json.as_str()), "{}: {name}", self.name);
        }
        assert_eq!(expected.len(), actual.len(), "{}: nothing more is expected", self.name);
    }
}

fn reads(told: &AnswerFacts) -> String {
    let AnswerFacts { tally, model, finish_reasons, .. } = told;
    let of_input = |Usage { input, cached_input, cache_write, .. }| {
        format!(r#""input":{input},"cached_input":{cached_input},"cache_write":{cache_write}"#)
    };
    let of_all =
        |usage: Usage| format!(r#"{{{},"output":{},"reasoning":{}}}"#, of_input(usage), usage.output, usage.reasoning);
    let at_start = tally.usage_at_start.map(|usage| format!("{{{}}}", of_input(usage)));
    let usage = tally.usage.map(of_all).or(at_start);
    let usage = usage.unwrap_or_else(|| "null".to_owned());
    format!(r#"{{"model":{},"finish_reasons":{},"usage":{usage}}}"#, json!(model), json!(finish_reasons))
}

/// A stream from its provider to its client.
struct Passage {
    stream: Stream,
    delivery: Delivery,
}

impl Passage {
    /// Takes one event, appends what the client gets for it to `out`, and names what it means.
    fn take(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> String {
        let data = self.stream.data(event);
        let mut pieces = Vec::new();
        let name = match self.stream.take(&data, &mut pieces) {
            Ok(Heard::Pieces) => {
                let passed = self.stream.pass(&data);
                let said = Said { dialect: self.stream.dialect(), pieces: &pieces, came: passed.as_it_came() };
                match self.delivery.take(&said, out) {
                    _ if pieces == [Piece::Alive(Alive::Comment)] => "comment",
                    Weight::Answer => "piece",
                    Weight::Nothing if said.came.is_some() && out.is_empty() && self.is_passed(&pieces) => "unasked",
                    Weight::Nothing => "preamble",
                }
            }
            Ok(Heard::End) => {
                if self.stream.is_finished() {
                    self.delivery.end(out);
                    assert!(out.ends_with(DONE), "an end marker");
                    out.truncate(out.len() - DONE.len());
                }
                "end"
            }
            Ok(Heard::Foreign) => "foreign",
            Err(Defect::Undecodable) => "undecodable",
            Err(Defect::Cut) => "cut",
            Err(Defect::Error(error)) => return json!({"error": error_reads(&error)}).to_string(),
        };
        json!(name).to_string()
    }

    /// Whether the event would pass as it came if the client had asked for it.
    fn is_passed(&self, pieces: &[Piece<'_>]) -> bool {
        !self.delivery.rewrites(self.stream.dialect()) && !pieces.is_empty()
    }
}

fn error_reads(error: &ProviderError) -> Value {
    let mut reads = json!({"type": error.kind, "message": error.message});
    for (name, value) in [("code", &error.code), ("param", &error.param)] {
        if let Some(value) = value {
            reads[name] = value.as_str().into();
        }
    }
    reads
}

pub fn cases(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of cases");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    cases.sort();
    cases
}

#[test]
fn every_case_is_as_expected() {
    for (dialect, folder, least) in FOLDERS {
        let cases = cases(folder);
        assert!(cases.len() >= least, "{folder} should hold the cases, not only {}", cases.len());
        for path in cases {
            Case::read(dialect, &path).check(&path);
        }
    }
}
