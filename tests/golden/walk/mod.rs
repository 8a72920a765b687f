//! Conversations of an agent, walked through the providers that docs/policy.md has rows for, in their own dialects: one
//! answers after the other, whole or streamed, its answer goes to the client and comes back as clients echo it, and the next
//! one's simulator refuses nothing, and nothing of meaning is lost: not what a model thought that takes it back, either.
//!
//! The client speaks the chat API (here, and `echo`) or the Messages API (`agent_walk`, `agent` and `gathered`); of the latter it
//! also changes, cuts and forges what stands for thoughts, and the ids of calls. Or it moves from one API to the other (`moves`).
//!
//! What models of the chat API want back of an agent is in `chat_states`.
//! `fixed` has conversations that are written down, `fuzz` draws them.

mod agent;
mod agent_walk;
mod answer;
mod chat_states;
mod dictionary;
mod echo;
mod fixed;
mod forms;
mod fuzz;
mod gathered;
mod meaning;
mod moves;
mod script;
pub mod station;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};
use tiergate::door::call_tags::FoundTags;
use tiergate::door::chat;
use tiergate::error::Error;
use tiergate::policy::{Candidate, Entry, Policy};
use tiergate::secret::Secret;
use tiergate::upstream::dialect::{self, EncodeOptions, Recipient};
use tiergate::upstream::sealer::Sealer;
use tiergate::wire::ask::{Api, Ask};
use tiergate::wire::call_tag::{CallTagger, CallTags, Origin, is_tagged};
use tiergate::wire::door::Door;
use tiergate_simulator::Dialect;

use agent_walk::AgentWalk;
use dictionary::Dictionary;
use echo::Delivered;
use meaning::{Meaning, beside_calls, held, is_instruction, says_something, thought_of, tokens};
use script::{ChatClient, Client, Exchange, Form, Script, Speaker, Spoken, Step};
use station::{Station, policy, stations};

/// Everybody who may answer.
struct World {
    stations: Vec<Station>,
    policy: Policy,
}

/// A conversation of a client of the chat API under way.
struct Walk<'w> {
    world: &'w World,
    script: &'w Script,
    client: ChatClient,
    messages: Vec<Value>,
    /// The last answer.
    answered: Value,
    /// What was thought, by the token that stands for it.
    thoughts: BTreeMap<String, Thought>,
    tagged: Tagged,
}

#[derive(Clone)]
struct Thought {
    station: &'static str,
    text: String,
    /// What the station gave with it.
    state: String,
    era: usize,
}

type Parse = fn(&[u8]) -> Result<Ask<'_>, Error>;

/// How often roots are rotated before what was made with one is too old.
const LIFETIME: usize = 2;

/// The roots of an era: its own, and the one before.
fn roots(era: usize) -> Vec<Secret<String>> {
    let eras = (0..=era).rev().take(LIFETIME);
    eras.map(|era| Secret::new(format!("a-root-of-enough-characters-{era}"))).collect()
}

/// The calls that clients have the tags of: who made them, and when.
#[derive(Clone, Default)]
struct Tagged {
    era: usize,
    calls: BTreeMap<String, (&'static str, usize)>,
}

impl Tagged {
    /// Notes the ids of an answer, as the client gets them.
    fn note<'v>(&mut self, station: &'static str, ids: impl Iterator<Item = &'v Value>) {
        let ids = ids.filter_map(Value::as_str).filter(|id| is_tagged(id));
        self.calls.extend(ids.map(|id| (id.to_owned(), (station, self.era))));
    }

    /// Who made the last of these calls that one knows of.
    fn maker<'v>(&self, ids: impl DoubleEndedIterator<Item = &'v Value>) -> Option<&'static str> {
        let known = |id: &Value| self.calls.get(id.as_str()?).filter(|(_, era)| self.era < era + LIFETIME);
        ids.rev().find_map(known).map(|(station, _)| *station)
    }
}

impl World {
    fn new() -> Self {
        let stations = stations();
        let policy = policy(&stations);
        Self { stations, policy }
    }

    fn station(&self, name: &str) -> &Station {
        self.stations.iter().find(|station| station.name == name).expect("a station")
    }

    fn candidate(&self, name: &str) -> Candidate {
        let id = self.policy.model_named(&format!("{name}-model")).expect("a model");
        let fits = |entry: &&Entry| matches!(entry, Entry::One(candidate) if candidate.model == id);
        let Some(Entry::One(candidate)) = self.policy.tiers[0].candidates.iter().find(fits) else { panic!("{name}") };
        candidate.clone()
    }

    /// What seals the thoughts of a candidate whose own do not pass as they come.
    fn sealer(&self, candidate: &Candidate, api: Api, roots: &[Secret<String>]) -> Option<Rc<Sealer>> {
        let seals = dialect::seals_thoughts(&Recipient::of(&self.policy, candidate), api);
        seals.then(|| Sealer::new(&self.policy, candidate.model, roots))?.map(Rc::new)
    }

    /// What seals thoughts as another gateway would, and as this one would for another model.
    fn foreign_sealers(&self, candidate: &Candidate) -> [Sealer; 2] {
        let (provider, model) = (self.policy.provider_of(candidate.model), self.policy.model(candidate.model));
        let sealer = |model: &str, root: &str| {
            let origin = [provider.dialect.as_str(), &provider.name, model];
            Sealer::of_origin(origin, &[Secret::new(root.to_owned())]).expect("a root")
        };
        [sealer(&model.id, "a-root-of-another-gateway"), sealer("another", roots(0)[0].expose())]
    }

    /// What tags the calls of a candidate that speaks another API than the client.
    fn tagger(&self, candidate: &Candidate, door: Door, roots: &[Secret<String>]) -> Option<Rc<CallTagger>> {
        let is_translated = self.policy.provider_of(candidate.model).dialect != door.dialect();
        let keys = CallTags::new(roots).filter(|_| is_translated)?;
        keys.tagger(Origin::of_model(&self.policy, candidate.model))
    }

    /// Has the conversation of a script, and panics at what is refused or lost.
    fn walk(&self, script: &Script) {
        let exchanges = script.exchanges.iter().enumerate();
        match script.client {
            Client::Chat(client) => {
                let mut walk = Walk::new(self, script, client);
                exchanges.for_each(|(number, exchange)| {
                    walk.ask(exchange);
                    walk.answer(exchange, number);
                });
            }
            Client::Messages(client) => {
                let mut walk = AgentWalk::new(self, script, client);
                exchanges.for_each(|(number, exchange)| walk.step(exchange, number));
            }
            Client::MovesToMessages(at) => moves::to_messages(self, script, at),
            Client::MovesToChat(at) => moves::to_chat(self, script, at),
        }
    }
}

/// A body without the tags of calls, and whose calls are answered at its end.
fn untagged(parse: Parse, body: &Value, roots: &[Secret<String>]) -> (Vec<u8>, Option<Origin>) {
    let mut body = body.to_string().into_bytes();
    let found = FoundTags::of(&parse(&body).expect("a valid request"), &body, || CallTags::new(roots));
    let Some(found) = found else { return (body, None) };
    found.take_off(&mut body);
    (body, found.maker)
}

impl<'w> Walk<'w> {
    fn new(world: &'w World, script: &'w Script, client: ChatClient) -> Self {
        let messages = script.opening.iter().map(Spoken::message).collect();
        Self {
            world,
            script,
            client,
            messages,
            answered: Value::Null,
            thoughts: BTreeMap::new(),
            tagged: Tagged::default(),
        }
    }

    /// Appends an answer, as the client keeps it.
    fn keep(&mut self, answered: Value) {
        self.messages.push(answered.clone());
        self.answered = answered;
    }

    /// Appends what is said before an answer.
    fn ask(&mut self, exchange: &Exchange) {
        let calls = self.answered["tool_calls"].as_array().cloned().unwrap_or_default();
        let mut results: Vec<Value> = calls
            .iter()
            .zip(exchange.results.iter().cycle())
            .map(|(call, content)| json!({"role": "tool", "tool_call_id": call["id"], "content": content.json()}))
            .collect();
        assert_eq!(results.len(), calls.len(), "each call should have its result");
        let first = exchange.first_result % results.len().max(1);
        results.rotate_left(first);
        self.messages.extend(results);
        self.messages.extend(exchange.spoken.iter().map(Spoken::message));
        let begun = exchange.begun.iter();
        self.messages.extend(begun.map(|text| json!({"role": "assistant", "content": text})));
    }

    /// Asks a station, and appends its answer.
    fn answer(&mut self, exchange: &Exchange, number: usize) {
        let World { policy, .. } = self.world;
        let station = self.world.station(exchange.station);
        let sent = self.client.send(&self.messages);
        self.tagged.era += usize::from(exchange.rotates);
        let roots = roots(self.tagged.era);
        let (body, maker) = untagged(chat::parse, &request(self.script, exchange, &sent), &roots);
        assert_eq!(maker, self.maker(exchange), "who made the calls at the end of {}", json!(sent));
        let ask = chat::parse(&body).expect("a valid request");
        let candidate = self.world.candidate(station.name);
        let sealer = self.world.sealer(&candidate, Api::Chat, &roots);
        let tagger = self.world.tagger(&candidate, Door::Chat, &roots);
        let options = EncodeOptions { sealer: sealer.clone(), ..EncodeOptions::default() };
        let encoded = dialect::encode_request(policy, &candidate, &ask, &options);
        let encoded = encoded.unwrap_or_else(|error| panic!("{}: {error:?} for {}", station.name, json!(sent)));
        let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        let dictionary = Dictionary::of(&self.script.tools, station.profile.dialect, &upstream);
        self.check(station, &upstream, &sent);
        let step = station.take(&exchange.step, &upstream);
        let known = Step { calls: step.calls.iter().map(|call| dictionary.call(call)).collect(), ..step.clone() };
        let recipient = Recipient::of(policy, &candidate);
        let answered = Delivered { recipient, ask: &ask, sealer, tagger, wire: &exchange.wire };
        let answered = answered.echo(station, &known, number);
        let told = Meaning::of_chat(std::slice::from_ref(&answered));
        assert_eq!(told, Meaning::of_step(&step), "{} in the form {:?}: {answered}", station.name, exchange.wire);
        for (token, text) in tokens(&answered).zip(thought_of(&step)) {
            let state = step.signature.clone().expect("a state");
            let thought = Thought { station: station.name, text, state, era: self.tagged.era };
            self.thoughts.insert(token.to_owned(), thought);
        }
        self.tagged.note(station.name, calls(&answered));
        self.keep(self.client.keep(&answered));
    }

    /// Who made the calls whose results come last before an answer.
    fn maker(&self, exchange: &Exchange) -> Option<Origin> {
        let says_more = |spoken: &Spoken| matches!(spoken.speaker, Speaker::User | Speaker::Ada);
        let comes_last = exchange.begun.is_none() && !exchange.spoken.iter().any(says_more);
        let ids: Vec<&Value> = calls(&self.answered).filter(|_| comes_last).collect();
        let maker = self.tagged.maker(ids.into_iter())?;
        Some(Origin::of_model(&self.world.policy, self.world.candidate(maker).model))
    }

    /// Checks what goes up to a station for the messages that the client sent.
    fn check(&self, station: &Station, upstream: &Value, messages: &[Value]) {
        let judged = station.judge(upstream);
        let history = json!(messages);
        for id in messages.iter().flat_map(calls).filter_map(Value::as_str).filter(|id| is_tagged(id)) {
            assert!(!upstream.to_string().contains(id), "{}: a tag went up: {upstream}", station.name);
        }
        assert_eq!(judged, Ok(()), "{}: {upstream}\nfor {history}", station.name);
        let dictionary = Dictionary::of(&self.script.tools, station.profile.dialect, upstream);
        let (told, sent) = match station.profile.dialect {
            Dialect::OpenAiChat => {
                let sent = upstream["messages"].as_array().expect("messages");
                self.check_state(station, sent, messages);
                (Meaning::of_chat(messages).with_thoughts(Vec::new()), Meaning::of_chat(sent))
            }
            Dialect::AnthropicMessages => {
                let own = self.own_thoughts(station, upstream, messages);
                let told = Meaning::of_chat(messages).with_thoughts(own).with_sorted_instructions();
                (told, Meaning::of_messages(upstream).with_sorted_instructions())
            }
        };
        let (told, sent) = (told.in_words_of(&dictionary), sent.with_known_names(&dictionary));
        assert_eq!(sent, told, "{}: {upstream}\nfor {history}", station.name);
    }

    /// The thoughts of the station's model that the client sent, which go up if it thinks, if an answer follows them, and if
    /// no instruction that came later had to be moved before them.
    fn own_thoughts(&self, station: &Station, upstream: &Value, messages: &[Value]) -> Vec<String> {
        let (mut own, mut waiting) = (Vec::new(), Vec::new());
        let speaks = |message: &&Value| says_something(message) && !is_instruction(message);
        for (at, message) in messages.iter().enumerate() {
            let (before, behind) = (messages[..at].iter().rfind(speaks), messages[at + 1..].iter().find(speaks));
            let is_said = says_something(message);
            if message["role"] == "assistant" {
                for token in tokens(message).filter(|token| self.is_altered(station, token)) {
                    // Of a chain only the beginning may be missing.
                    waiting.clear();
                    own.clear();
                    assert!(!self.thoughts.contains_key(token));
                }
                let thoughts = tokens(message).filter_map(|token| self.thoughts.get(token));
                waiting.extend(
                    thoughts
                        .filter(|thought| thought.station == station.name && self.tagged.era < thought.era + LIFETIME),
                );
                if is_said {
                    own.append(&mut waiting);
                }
            } else if let (true, true, Some(before)) = (is_said, is_instruction(message), before) {
                let stands_well =
                    before["role"] != "assistant" && behind.is_none_or(|next| next["role"] == "assistant");
                if station.has_system_turns() && stands_well {
                    waiting.clear();
                } else if station.binds_thoughts() {
                    waiting.clear();
                    own.clear();
                }
            } else if is_said && !is_instruction(message) {
                waiting.clear();
            }
        }
        own.retain(|_| station.thinks(upstream));
        own.iter().map(|thought| thought.text.clone()).collect()
    }

    /// Whether a token is none that the station's model was given, and has the name of a key for those.
    fn is_altered(&self, station: &Station, token: &str) -> bool {
        let key = |token: &str| token.split('_').nth(1).map(str::to_owned);
        let is_known = |thought: &Thought| thought.station == station.name && self.tagged.era < thought.era + LIFETIME;
        let mut own = self.thoughts.iter().filter(|(_, thought)| is_known(thought));
        !self.thoughts.contains_key(token) && own.any(|(known, _)| key(known) == key(token))
    }

    /// Checks that what only some providers take goes to those whose rows have it, as it was.
    fn check_state(&self, station: &Station, sent: &[Value], messages: &[Value]) {
        let provider = self.world.policy.provider_of(self.world.candidate(station.name).model);
        for field in ["reasoning_content", "reasoning", "reasoning_details"] {
            let told = if provider.message_fields.allow(field) { held(messages, field) } else { Vec::new() };
            assert_eq!(held(sent, field), told, "{}: {field}", station.name);
        }
        let (told, sent) = (beside_calls(messages, "extra_content"), beside_calls(sent, "extra_content"));
        if provider.tool_fields.allow("extra_content") {
            // Those of others may have what Google documents for them.
            let kept: BTreeMap<_, _> = sent.into_iter().filter(|(at, _)| told.contains_key(at)).collect();
            assert_eq!(kept, told, "{}", station.name);
        } else {
            assert!(sent.is_empty(), "{}: {sent:?}", station.name);
        }
    }
}

/// The ids of a message's calls.
fn calls(message: &Value) -> impl Iterator<Item = &Value> {
    message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["id"])
}

/// The client's request, with fields that many do not know, at every depth.
fn request(script: &Script, exchange: &Exchange, messages: &[Value]) -> Value {
    let tools: Vec<Value> = script.tools.iter().map(script::Tool::json).collect();
    let mut request = json!({
        "messages": messages, "tools": tools, "tool_choice": "auto", "store": true, "metadata": {"a": "b"}, "seed": 7,
        "user": null, "presence_penalty": 0.5, "max_completion_tokens": 4000, "top_k": 3,
        "response_format": {"type": "text", "x": 1}, "reasoning_effort": exchange.effort,
    });
    if exchange.wire.form == Form::Streamed {
        request["stream"] = json!(true);
        request["stream_options"] = json!({"include_usage": true, "x": 1});
    }
    request
}
