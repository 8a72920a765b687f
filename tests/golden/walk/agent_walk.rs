//! A conversation of a client of the Messages API: the same providers, whole or streamed; what they thought comes back to them
//! as it was, and to nobody else.

use serde_json::{Value, json};
use tiergate::door::messages;
use tiergate::upstream::dialect::{self, EncodeOptions, Recipient, UnsealedState};
use tiergate::wire::ask::Api;
use tiergate::wire::call_tag::{Origin, is_tagged};
use tiergate::wire::door::Door;
use tiergate::wire::seal::{SealKind, is_token};
use tiergate_simulator::Dialect;

use super::agent::{self, Known};
use super::chat_states::{self, ChatState};
use super::dictionary::Dictionary;
use super::echo::Delivered;
use super::meaning::{HIDDEN, Meaning, is_of_the_api};
use super::script::{Exchange, MessagesClient, Script, Step};
use super::station::Station;
use super::{LIFETIME, Tagged, World, roots, untagged};

/// A conversation under way.
pub struct AgentWalk<'w> {
    world: &'w World,
    script: &'w Script,
    client: MessagesClient,
    pub messages: Vec<Value>,
    /// The last answer, as the client keeps it.
    pub answered: Value,
    pub thoughts: Vec<Thought>,
    /// What models of the chat API want back.
    states: Vec<ChatState>,
    pub tagged: Tagged,
    /// Whether the client that knows a model from elsewhere has not demanded it once. What that one thought then knows of nothing
    /// that was thought before, so that it is not to demand it again.
    is_free: bool,
}

/// What a model of the Messages API thought.
pub struct Thought {
    pub station: &'static str,
    /// Empty where it is not told.
    pub text: String,
    /// What the station gave with it, and what the client got.
    pub state: String,
    pub token: String,
    /// Of when the token is.
    pub era: usize,
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
        let (messages, thoughts, states) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            world,
            script,
            client,
            messages,
            answered: Value::Null,
            thoughts,
            states,
            tagged: Tagged::default(),
            is_free: false,
        }
    }

    /// Appends what is said before an answer.
    pub fn ask(&mut self, exchange: &Exchange) {
        self.messages.extend(agent::turns(exchange, &self.answered));
    }

    /// Appends an answer, as the client keeps it.
    pub fn keep(&mut self, answered: Value) {
        self.messages.push(answered.clone());
        self.answered = answered;
    }

    /// One request and its answer, the one of this number.
    pub fn step(&mut self, exchange: &Exchange, number: usize) {
        self.ask(exchange);
        let World { policy, .. } = self.world;
        let station = self.world.station(exchange.station);
        let sent = agent::request(self.script, exchange, &self.messages);
        self.tagged.era += usize::from(exchange.rotates);
        let roots = roots(self.tagged.era);
        let (body, maker) = untagged(messages::parse, &sent, &roots);
        assert_eq!(maker, self.maker(exchange), "who made the calls at the end of {sent}");
        let ask = messages::parse(&body).expect("a valid request");
        let candidate = self.world.candidate(station.name);
        let sealer = self.world.sealer(&candidate, Api::Messages, &roots);
        let tagger = self.world.tagger(&candidate, Door::Messages, &roots);
        self.is_free |= !exchange.is_pinned && self.client.unseals(station.name);
        let unsealed = self.unsealed(exchange);
        let options = EncodeOptions { sealer: sealer.clone(), unsealed, ..EncodeOptions::default() };
        let encoded = dialect::encode_request(policy, &candidate, &ask, &options);
        let encoded = encoded.unwrap_or_else(|error| panic!("{}: {error:?} for {sent}", station.name));
        let mut upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        check_blocks_of_the_api(station, &upstream, &sent);
        take_blocks_of_the_api(&mut upstream);
        self.check(exchange, &upstream, &sent);
        let dictionary = Dictionary::of(&self.script.tools, station.profile.dialect, &upstream);
        let step = station.take(&exchange.step, &upstream);
        let known = Step { calls: step.calls.iter().map(|call| dictionary.call(call)).collect(), ..step.clone() };
        let recipient = Recipient::of(policy, &candidate);
        let answered = Delivered { recipient, ask: &ask, sealer, tagger, wire: &exchange.wire };
        let answered = answered.echo(station, &known, number);
        let message = json!({"role": "assistant", "content": answered["content"]});
        let told = Meaning::of_messages(&json!({"messages": [message]}));
        let told = match station.profile.dialect {
            Dialect::OpenAiChat => told.with_thoughts(Vec::new()),
            Dialect::AnthropicMessages => told,
        };
        assert_eq!(
            told,
            Meaning::of_step(&said(station, &step)),
            "{} in {:?}: {answered}",
            station.name,
            exchange.wire
        );
        assert_eq!(answered["stop_reason"], stop_reason(station, &step), "{}: {answered}", station.name);
        let before = self.thoughts.len();
        if station.profile.dialect == Dialect::OpenAiChat {
            let era = self.tagged.era;
            self.states.extend(chat_states::of_answer(&answered).map(|state| state.of(station, &step, era)));
        }
        let mut foreign = [None, None];
        if let Some(state) = &step.signature {
            let (text, token) = told_thought(&answered["content"][0]).expect("a thought");
            assert!(
                is_token(token) && (step.is_hidden || *text == **step.thought.as_ref().expect("a thought")),
                "{answered}"
            );
            let kind = if step.is_hidden { SealKind::Redacted } else { SealKind::Signature };
            let thought = tiergate::upstream::sealer::Thought { kind, text };
            foreign = self.world.foreign_sealers(&candidate).map(|sealer| sealer.seal(thought, state));
            let [text, state, token] = [text, state, token].map(str::to_owned);
            self.thoughts.push(Thought { station: station.name, text, state, token, era: self.tagged.era });
        }
        // It stands in place of the token, as if it came from elsewhere.
        let state = step.signature.as_deref().filter(|_| unsealed == UnsealedState::Sent);
        let known = Known { station: station.name, thought: before, state, foreign };
        self.tagged.note(station.name, calls(&answered));
        self.keep(self.client.keep(&answered, &known));
    }

    /// Who made the calls whose results come last before an answer.
    fn maker(&self, exchange: &Exchange) -> Option<Origin> {
        let ids: Vec<&Value> = calls(&self.answered).filter(|_| exchange.begun.is_none()).collect();
        let maker = self.tagged.maker(ids.into_iter())?;
        Some(Origin::of_model(&self.world.policy, self.world.candidate(maker).model))
    }

    /// What becomes of what the client knows from elsewhere.
    fn unsealed(&self, exchange: &Exchange) -> UnsealedState {
        match !self.is_free && self.client.unseals(exchange.station) {
            true => UnsealedState::Sent,
            false => UnsealedState::LeftOut,
        }
    }

    /// Checks what goes up to the station of an exchange for what the client sent.
    fn check(&self, exchange: &Exchange, upstream: &Value, sent: &Value) {
        let station = self.world.station(exchange.station);
        let judged = station.judge(upstream);
        assert_eq!(judged, Ok(()), "{}: {upstream}\nfor {sent}", station.name);
        let up = upstream.to_string();
        let tokens =
            assistant_blocks(sent).filter_map(told_thought).map(|(_, token)| token).filter(|token| is_token(token));
        tokens.for_each(|token| assert!(!up.contains(token), "{}: a token went up: {upstream}", station.name));
        for id in answers(sent).flat_map(calls).filter_map(Value::as_str).filter(|id| is_tagged(id)) {
            assert!(!up.contains(id), "{}: a tag went up: {upstream}", station.name);
        }
        if station.profile.dialect == Dialect::OpenAiChat {
            let own = |state: &&ChatState| state.station == station.name && self.tagged.era < state.era + LIFETIME;
            let own: Vec<&ChatState> = self.states.iter().filter(own).collect();
            chat_states::check(&own, upstream, sent);
        }
        let dictionary = Dictionary::of(&self.script.tools, station.profile.dialect, upstream);
        let told = Meaning::of_messages(&as_heard(station, sent)).in_words_of(&dictionary);
        let went = match station.profile.dialect {
            Dialect::OpenAiChat => Meaning::of_chat(upstream["messages"].as_array().expect("messages")),
            Dialect::AnthropicMessages => Meaning::of_messages(upstream),
        };
        let thoughts = self.own_thoughts(exchange, upstream, sent);
        let texts = thoughts
            .iter()
            .map(|(thought, kind)| if *kind == "thinking" { &thought.text } else { HIDDEN }.to_owned())
            .collect();
        let told = told.with_thoughts(texts);
        assert_eq!(went.with_known_names(&dictionary), told, "{}: {upstream}\nfor {sent}", station.name);
        let states: Vec<&str> = assistant_blocks(upstream).filter_map(told_thought).map(|(_, state)| state).collect();
        let known: Vec<&str> = thoughts.iter().map(|(thought, _)| thought.state.as_str()).collect();
        assert_eq!(states, known, "{}", station.name);
    }

    /// The thoughts of the station's model that go up: those behind the last one that was changed, if
    /// something follows them and the model thinks. Each with the type of its block.
    fn own_thoughts<'s>(&self, exchange: &Exchange, upstream: &Value, sent: &'s Value) -> Vec<(&Thought, &'s str)> {
        let station = self.world.station(exchange.station);
        let mut own = Vec::new();
        if station.profile.dialect != Dialect::AnthropicMessages || !station.thinks(upstream) {
            return own;
        }
        for message in answers(sent) {
            let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
            let says_something = |block: &Value| match block["type"].as_str() {
                Some("text") => block["text"].as_str().is_some_and(|text| !text.trim().is_empty()),
                kind => !matches!(kind, Some("thinking" | "redacted_thinking")),
            };
            // No answer may end with a thought.
            let end = blocks.iter().rposition(says_something).unwrap_or_default();
            let kind = |block: &'s Value| block["type"].as_str().unwrap_or_default();
            for (position, block) in blocks.iter().enumerate().filter(|(_, block)| told_thought(block).is_some()) {
                match self.standing(exchange, block) {
                    Standing::Own(thought) if position < end => own.push((thought, kind(block))),
                    Standing::Own(_) | Standing::Foreign => {}
                    Standing::Altered => own.clear(),
                }
            }
        }
        own
    }

    fn standing(&self, exchange: &Exchange, block: &Value) -> Standing<'_> {
        let (text, token) = told_thought(block).expect("a thought");
        if token.is_empty() {
            return Standing::Foreign;
        }
        let of_the_station = || self.thoughts.iter().filter(|thought| thought.station == exchange.station);
        if !is_token(token) {
            let known = of_the_station().find(|thought| thought.state == token && thought.text == text);
            let known = known.filter(|_| self.unsealed(exchange) == UnsealedState::Sent);
            return known.map_or(Standing::Altered, Standing::Own);
        }
        let own = || of_the_station().filter(|thought| self.tagged.era < thought.era + LIFETIME);
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

/// The text and the state, or what stands for it, of a block that holds a thought.
pub fn told_thought(block: &Value) -> Option<(&str, &str)> {
    match block["type"].as_str()? {
        "thinking" => Some((block["thinking"].as_str()?, block["signature"].as_str()?)),
        "redacted_thinking" => Some(("", block["data"].as_str()?)),
        _ => None,
    }
}

/// The ids of an answer's calls.
fn calls(answer: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    let blocks = answer["content"].as_array().map_or(&[][..], Vec::as_slice).iter();
    blocks.filter(|block| block["type"] == "tool_use").map(|block| &block["id"])
}

/// Checks that blocks which only the API understands go to it as they are, and to nobody else.
fn check_blocks_of_the_api(station: &Station, upstream: &Value, sent: &Value) {
    let of_the_api = |body: &Value| -> Vec<Value> {
        let blocks = assistant_blocks(body).filter(|block| block["type"].as_str().is_some_and(is_of_the_api));
        blocks.cloned().collect()
    };
    let expected = match station.profile.dialect {
        Dialect::AnthropicMessages => of_the_api(sent),
        Dialect::OpenAiChat => Vec::new(),
    };
    assert_eq!(of_the_api(upstream), expected, "{}: {upstream}", station.name);
    assert!(!expected.is_empty() || !upstream.to_string().contains("srvtoolu_"), "{}: {upstream}", station.name);
}

/// The simulator does not know them.
fn take_blocks_of_the_api(upstream: &mut Value) {
    for message in upstream["messages"].as_array_mut().expect("messages") {
        if let Some(blocks) = message["content"].as_array_mut() {
            let count = blocks.len();
            blocks.retain(|block| !block["type"].as_str().is_some_and(is_of_the_api));
            if blocks.is_empty() && count > 0 {
                blocks.push(json!({"type": "text", "text": "(Nothing was said.)"}));
            }
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
