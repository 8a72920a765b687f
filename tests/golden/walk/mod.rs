//! One conversation of an agent, walked through the providers that docs/policy.md has rows for, in their own dialects: each
//! answers in turn, whole or streamed, its answer goes to the client and comes back as an SDK echoes it, and the next one's
//! simulator refuses nothing, and nothing of meaning is lost: not what a model thought that takes it back, either.

mod answer;
mod echo;
mod forms;
mod meaning;
mod station;

use std::rc::Rc;

use serde_json::{Value, json};
use tiergate::door::chat;
use tiergate::policy::{Candidate, Entry, Policy};
use tiergate::secret::Secret;
use tiergate::upstream::dialect::{self, EncodeOptions, Recipient};
use tiergate::upstream::sealer::Sealer;
use tiergate_simulator::{Dialect, judge_chat_request, judge_messages_request};

use answer::Step;
use echo::{Delivered, Form};
use meaning::{Meaning, plain};
use station::{Station, policy, stations};

/// The name of a tool that most providers refuse.
const ODD_NAME: &str = "files.look/at";

/// What is said in the walk, but for images, which not every model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matter {
    Words,
    WordsAndImages,
}

/// What the user, or the tools, say before an answer.
enum Input {
    User,
    /// With a name, and an image where there are any.
    Named,
    /// The results of the last answer's calls.
    Results,
    ResultsAndUser,
}

fn script() -> Vec<(Input, Step)> {
    let call = |name: &str, at: usize| (name.to_owned(), format!("{{\"at\":{at}}}"));
    let looks = |at: usize| call("look", at);
    let said = |text: &str| Step { text: Some(text.to_owned()), ..Step::default() };
    vec![
        (Input::User, Step { thinks: true, calls: vec![looks(1), looks(2)], ..Step::default() }),
        (Input::Results, Step { thinks: true, calls: vec![call("default_api.look:3", 3)], ..said("Step 1") }),
        (Input::Results, Step { thinks: true, ..said("Answer 2") }),
        (Input::Named, Step { calls: vec![looks(4), looks(5)], ..said("Step 3") }),
        (Input::Results, Step { refusal: Some("Refusal 4".to_owned()), ..Step::default() }),
        (Input::User, Step { calls: vec![call(ODD_NAME, 6)], ..Step::default() }),
        (Input::ResultsAndUser, said("Answer 6")),
        (Input::User, said("Answer 7")),
    ]
}

fn image(number: usize) -> Value {
    json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{number:04}"), "detail": "auto"}})
}

/// The messages before the answer of this number.
fn input(input: &Input, number: usize, matter: Matter, answered: &Value) -> Vec<Value> {
    let with_image = |text: String, at: usize| match matter {
        Matter::Words => json!([{"type": "text", "text": text}]),
        Matter::WordsAndImages => json!([{"type": "text", "text": text}, image(at)]),
    };
    let user = || json!({"role": "user", "content": format!("Question {number}")});
    let results = || {
        let calls = answered["tool_calls"].as_array().into_iter().flatten().enumerate();
        calls.map(|(at, call)| {
            let text = format!("Result {number}.{at}");
            let content = if at == 0 { json!(text) } else { with_image(text, 10 * number + at) };
            json!({"role": "tool", "tool_call_id": call["id"], "content": content})
        })
    };
    match input {
        Input::User => vec![user()],
        Input::Named => {
            vec![json!({"role": "user", "name": "ada", "content": with_image(format!("Question {number}"), number)})]
        }
        Input::Results => results().collect(),
        Input::ResultsAndUser => results().chain([user()]).collect(),
    }
}

fn candidate(policy: &Policy, name: &str) -> Candidate {
    let id = policy.model_named(&format!("{name}-model")).expect("a model");
    let fits = |entry: &&Entry| matches!(entry, Entry::One(candidate) if candidate.model == id);
    let Some(Entry::One(candidate)) = policy.tiers[0].candidates.iter().find(fits) else { panic!("{name}") };
    candidate.clone()
}

/// What seals the thoughts of a candidate whose own do not pass as they come.
fn sealer(policy: &Policy, candidate: &Candidate) -> Option<Rc<Sealer>> {
    let root = Secret::new("a-root-of-enough-characters".to_owned());
    let seals = dialect::seals_thoughts(policy.provider_of(candidate.model).dialect);
    seals.then(|| Sealer::new(policy, candidate.model, &[root]))?.map(Rc::new)
}

/// The client's request, with fields that many do not know, at every depth.
fn request(messages: &[Value], form: Form) -> String {
    let parameters = json!({"type": "object", "properties": {"at": {"type": "integer"}}});
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": parameters, "x": 1},
            "cache_control": {"type": "ephemeral"}})
    };
    let mut request = json!({
        "messages": messages, "tools": [tool("look"), tool(ODD_NAME)], "tool_choice": "auto", "store": true, "metadata": {"a": "b"}, "seed": 7,
        "user": null, "presence_penalty": 0.5, "max_completion_tokens": 4000, "top_k": 3,
        "response_format": {"type": "text", "x": 1},
    });
    if form == Form::Streamed {
        request["stream"] = json!(true);
        request["stream_options"] = json!({"include_usage": true, "x": 1});
    }
    request.to_string()
}

/// The name under which a station has the tool with the odd one.
fn name_at(station: &Station, upstream: &Value) -> String {
    let tool = &upstream["tools"][1];
    let name = match station.profile.dialect {
        Dialect::OpenAiChat => &tool["function"]["name"],
        Dialect::AnthropicMessages => &tool["name"],
    };
    name.as_str().expect("two tools").to_owned()
}

/// Checks what goes up to a station.
fn check(station: &Station, upstream: &Value, messages: &[Value]) {
    let judged = match station.profile.dialect {
        Dialect::OpenAiChat => judge_chat_request(&station.profile, upstream),
        Dialect::AnthropicMessages => judge_messages_request(&station.profile, "2023-06-01", upstream),
    };
    let history = json!(messages);
    assert_eq!(judged, Ok(()), "{}: {upstream}\nfor {history}", station.name);
    let told = Meaning::of_chat(messages);
    let (sent, told) = match station.profile.dialect {
        Dialect::OpenAiChat => {
            let sent = Meaning::of_chat(upstream["messages"].as_array().expect("messages"));
            (sent, told.without_thoughts())
        }
        Dialect::AnthropicMessages => (Meaning::of_messages(upstream), told),
    };
    // A call has the name that its tool has there; one of what is no tool has any that the API takes.
    let odd = name_at(station, upstream);
    let sent = sent.with_names(|name| if name == odd { odd.clone() } else { plain(name) });
    let told = told.with_names(|name| if name == ODD_NAME { odd.clone() } else { plain(name) });
    assert_eq!(sent, told, "{}: {upstream}\nfor {history}", station.name);
}

/// One conversation in which the providers of `order` answer in turn, the first one in `first`, the next in the other form.
fn walk(policy: &Policy, order: &[&Station], matter: Matter, first: Form) {
    let mut messages = vec![json!({"role": "developer", "content": "Be brief.", "name": "operator"})];
    let mut answered = Value::Null;
    for (number, (said, step)) in script().iter().enumerate() {
        messages.extend(input(said, number, matter, &answered));
        let form = if number % 2 == 0 { first } else { first.other() };
        let station = order[number % order.len()];
        let body = request(&messages, form);
        let ask = chat::parse(body.as_bytes()).expect("a valid request");
        let candidate = candidate(policy, station.name);
        let sealer = sealer(policy, &candidate);
        let options = EncodeOptions { sealer: sealer.clone(), ..EncodeOptions::default() };
        let encoded = dialect::encode_request(policy, &candidate, &ask, &options);
        let encoded = encoded.unwrap_or_else(|error| panic!("{}: {error:?} for {body}", station.name));
        let upstream: Value = serde_json::from_slice(&encoded.body).expect("JSON");
        check(station, &upstream, &messages);
        let step = Step { signature: station.sign(step, &upstream), ..step.clone() };
        let odd = name_at(station, &upstream);
        let as_known = |(name, arguments): &(String, String)| {
            (if name == ODD_NAME { odd.clone() } else { name.clone() }, arguments.clone())
        };
        let known = Step { calls: step.calls.iter().map(as_known).collect(), ..step.clone() };
        answered = Delivered { recipient: Recipient::of(policy, &candidate), ask: &ask, sealer, form }
            .echo(station, &known, number);
        let told = Meaning::of_chat(std::slice::from_ref(&answered));
        assert_eq!(told, Meaning::of_step(&step), "{} in the form {form:?}: {answered}", station.name);
        messages.push(answered.clone());
    }
}

fn walk_in_both_forms(policy: &Policy, order: &[&Station], matter: Matter) {
    for first in [Form::Whole, Form::Streamed] {
        walk(policy, order, matter, first);
    }
}

/// Every ordered pair, and triples in which every provider stands at every place, and every ordered pair in both.
fn walk_all(matter: Matter) {
    let stations = stations();
    let policy = policy(&stations);
    let stations: Vec<&Station> =
        stations.iter().filter(|station| station.sees_images || matter == Matter::Words).collect();
    let count = stations.len();
    for first in 0..count {
        for step in 0..count {
            let [second, third] = [first + step, first + 2 * step].map(|at| stations[at % count]);
            walk_in_both_forms(&policy, &[stations[first], second], matter);
            walk_in_both_forms(&policy, &[stations[first], second, third], matter);
        }
    }
}

#[test]
fn whoever_answered_before_the_next_provider_takes_the_history() {
    walk_all(Matter::Words);
}

#[test]
fn images_of_users_and_of_results_reach_every_model_that_sees() {
    walk_all(Matter::WordsAndImages);
}
