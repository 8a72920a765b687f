//! A conversation of a client of the Messages API: the same providers, whole or streamed; what they thought comes back to them
//! as it was, and to nobody else.

use serde_json::{Value, json};
use tiergate::door::messages;
use tiergate::upstream::dialect::{self, EncodeOptions, Recipient};
use tiergate::wire::seal::is_token;
use tiergate_simulator::Dialect;

use super::World;
use super::agent;
use super::dictionary::Dictionary;
use super::echo::Delivered;
use super::meaning::Meaning;
use super::script::{Exchange, MessagesClient, Script, Step};
use super::station::Station;

/// A conversation under way.
pub struct AgentWalk<'w> {
    world: &'w World,
    script: &'w Script,
    client: MessagesClient,
    messages: Vec<Value>,
    /// The last answer, as the client keeps it.
    answered: Value,
    thoughts: Vec<Thought>,
}

/// What a model of the Messages API thought.
struct Thought {
    station: &'static str,
    text: String,
    /// What the station gave with it, and what the client got.
    state: String,
    token: String,
}

/// What the history has of a thought, for a station.
enum Standing<'t> {
    Own(&'t Thought),
    Foreign,
    /// It may be the station's, and is not as it was.
    Altered,
}

impl<'w> AgentWalk<'w> {
    pub fn new(world: &'w World, script: &'w Script, client: MessagesClient) -> Self {
        let (messages, thoughts) = (Vec::new(), Vec::new());
        Self { world, script, client, messages, answered: Value::Null, thoughts }
    }

    /// One request and its answer, the one of this number.
    pub fn step(&mut self, exchange: &Exchange, number: usize) {
        self.messages.extend(agent::turns(exchange, &self.answered));
        let World { policy, .. } = self.world;
        let station = self.world.station(exchange.station);
        let sent = agent::request(self.script, exchange, &self.messages);
        let body = sent.to_string();
        let ask = messages::parse(body.as_bytes()).expect("a valid request");
        let candidate = self.world.candidate(station.name);
        let sealer = self.world.sealer(&candidate);
        let options = EncodeOptions { sealer: sealer.clone(), ..EncodeOptions::default() };
        let encoded = dialect::encode_request(policy, &candidate, &ask, &options);
        let encoded = encoded.unwrap_or_else(|error| panic!("{}: {error:?} for {body}", station.name));
        let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        self.check(station, &upstream, &sent);
        let dictionary = Dictionary::of(&self.script.tools, station.profile.dialect, &upstream);
        let step = station.take(&exchange.step, &upstream);
        let known = Step { calls: step.calls.iter().map(|call| dictionary.call(call)).collect(), ..step.clone() };
        let recipient = Recipient::of(policy, &candidate);
        let answered = Delivered { recipient, ask: &ask, sealer, wire: &exchange.wire }.echo(station, &known, number);
        let message = json!({"role": "assistant", "content": answered["content"]});
        let told = Meaning::of_messages(&json!({"messages": [message]}));
        assert_eq!(
            told,
            Meaning::of_step(&said(station, &step)),
            "{} in {:?}: {answered}",
            station.name,
            exchange.wire
        );
        assert_eq!(answered["stop_reason"], stop_reason(station, &step), "{}: {answered}", station.name);
        let before = self.thoughts.len();
        if let (Some(text), Some(state)) = (&step.thought, &step.signature) {
            let token = answered["content"][0]["signature"].as_str().filter(|token| is_token(token));
            let [text, state, token] = [text, state, token.expect("a token")].map(str::to_owned);
            self.thoughts.push(Thought { station: station.name, text, state, token });
        }
        self.answered = self.client.keep(&answered, before);
        self.messages.push(self.answered.clone());
    }

    /// Checks what goes up to a station for what the client sent.
    fn check(&self, station: &Station, upstream: &Value, sent: &Value) {
        let judged = station.judge(upstream);
        assert_eq!(judged, Ok(()), "{}: {upstream}\nfor {sent}", station.name);
        let up = upstream.to_string();
        let tokens =
            assistant_blocks(sent).filter_map(|block| block["signature"].as_str()).filter(|token| is_token(token));
        tokens.for_each(|token| assert!(!up.contains(token), "{}: a token went up: {upstream}", station.name));
        let dictionary = Dictionary::of(&self.script.tools, station.profile.dialect, upstream);
        let told = Meaning::of_messages(&as_heard(station, sent)).in_words_of(&dictionary);
        let went = match station.profile.dialect {
            Dialect::OpenAiChat => Meaning::of_chat(upstream["messages"].as_array().expect("messages")),
            Dialect::AnthropicMessages => Meaning::of_messages(upstream),
        };
        let thoughts = self.own_thoughts(station, upstream, sent);
        let texts = thoughts.iter().map(|thought| thought.text.clone()).collect();
        let told = told.with_thoughts(texts);
        assert_eq!(went.with_known_names(&dictionary), told, "{}: {upstream}\nfor {sent}", station.name);
        let states: Vec<&Value> = assistant_blocks(upstream)
            .filter(|block| block["type"] == "thinking")
            .map(|block| &block["signature"])
            .collect();
        let known: Vec<&String> = thoughts.iter().map(|thought| &thought.state).collect();
        assert_eq!(states, known, "{}", station.name);
    }

    /// The thoughts of the station's model that go up: those behind the last one that was changed, if
    /// something follows them and the model thinks.
    fn own_thoughts(&self, station: &Station, upstream: &Value, sent: &Value) -> Vec<&Thought> {
        let mut own = Vec::new();
        if station.profile.dialect != Dialect::AnthropicMessages || !station.thinks(upstream) {
            return own;
        }
        for message in answers(sent) {
            let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
            let says_something = |block: &Value| match block["type"].as_str() {
                Some("text") => block["text"].as_str().is_some_and(|text| !text.trim().is_empty()),
                kind => kind != Some("thinking"),
            };
            // No answer may end with a thought.
            let end = blocks.iter().rposition(says_something).unwrap_or_default();
            for (position, block) in blocks.iter().enumerate().filter(|(_, block)| block["type"] == "thinking") {
                match self.standing(station, block) {
                    Standing::Own(thought) if position < end => own.push(thought),
                    Standing::Own(_) | Standing::Foreign => {}
                    Standing::Altered => own.clear(),
                }
            }
        }
        own
    }

    fn standing(&self, station: &Station, block: &Value) -> Standing<'_> {
        let [token, text] = ["signature", "thinking"].map(|name| block[name].as_str().expect("a text"));
        if token.is_empty() {
            return Standing::Foreign;
        }
        if !is_token(token) {
            return Standing::Altered;
        }
        let own = || self.thoughts.iter().filter(|thought| thought.station == station.name);
        if let Some(thought) = own().find(|thought| thought.token == token && thought.text == text) {
            return Standing::Own(thought);
        }
        let key = |token: &str| token.split('_').nth(1).map(str::to_owned);
        match own().any(|thought| key(&thought.token) == key(token)) {
            true => Standing::Altered,
            false => Standing::Foreign,
        }
    }
}

fn answers(body: &Value) -> impl Iterator<Item = &Value> {
    body["messages"].as_array().expect("messages").iter().filter(|message| message["role"] == "assistant")
}

fn assistant_blocks(body: &Value) -> impl Iterator<Item = &Value> {
    answers(body).flat_map(|message| message["content"].as_array().into_iter().flatten())
}

/// What a station is to hear of a request: not which client asks, and from the user what it cannot be told by the system.
fn as_heard(station: &Station, sent: &Value) -> Value {
    let mut heard = sent.clone();
    match station.profile.dialect {
        Dialect::OpenAiChat => {
            heard["system"].as_array_mut().expect("blocks").remove(0);
        }
        Dialect::AnthropicMessages if !station.has_system_turns() => {
            let messages = heard["messages"].as_array_mut().expect("messages").iter_mut();
            messages.filter(|message| message["role"] == "system").for_each(|message| message["role"] = json!("user"));
        }
        Dialect::AnthropicMessages => {}
    }
    heard
}

/// A step as the content of its message tells it: the API itself says why it refuses beside that.
fn said(station: &Station, step: &Step) -> Step {
    match station.profile.dialect {
        Dialect::OpenAiChat => step.clone(),
        Dialect::AnthropicMessages => Step { refusal: None, ..step.clone() },
    }
}

fn stop_reason(station: &Station, step: &Step) -> &'static str {
    let says_so = station.profile.dialect == Dialect::AnthropicMessages || station.refuses_in_a_field();
    match step {
        Step { refusal: Some(_), .. } if says_so => "refusal",
        Step { calls, .. } if !calls.is_empty() => "tool_use",
        Step { .. } => "end_turn",
    }
}
