//! Conversations that are written down: one of everything, through every pair of providers and many triples, and those that
//! once went wrong.

use serde_json::{Value, json};
use tiergate_simulator::Dialect;

use super::World;
use super::script::{
    Call, ChatClient, Client, Content, Cuts, Exchange, Form, Ids, MessagesClient, Part, Script, Speaker, Spelling,
    Spoken, Step, Tool, ToolKind, Wire,
};
use super::station::Station;

/// The name of a tool that most providers refuse.
pub const ODD_NAME: &str = "files.look/at";

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

const CHAT: Client = Client::Chat(ChatClient::WithNulls);

fn steps() -> Vec<(Input, Step)> {
    let call = |name: &str, at: usize| Call::function(name, format!("{{\"at\":{at}}}"));
    let looks = |at: usize| call("look", at);
    let said = |text: &str| Step { text: Some(text.to_owned()), ..Step::default() };
    let thought = || Some("Let me think.".to_owned());
    vec![
        (Input::User, Step { thought: thought(), calls: vec![looks(1), looks(2)], ..Step::default() }),
        (Input::Results, Step { thought: thought(), calls: vec![call("default_api.look:3", 3)], ..said("Step 1") }),
        (Input::Results, Step { thought: thought(), ..said("Answer 2") }),
        (Input::Named, Step { calls: vec![looks(4), looks(5)], ..said("Step 3") }),
        (Input::Results, Step { refusal: Some("Refusal 4".to_owned()), ..Step::default() }),
        (Input::User, Step { calls: vec![call(ODD_NAME, 6)], ..Step::default() }),
        (Input::ResultsAndUser, said("Answer 6")),
        (Input::User, said("Answer 7")),
    ]
}

fn parameters() -> Value {
    json!({"type": "object", "properties": {"at": {"type": "integer", "description": "where"}}})
}

fn tool(name: &str) -> Tool {
    Tool { name: name.to_owned(), kind: ToolKind::Function { parameters: parameters(), strict: None } }
}

fn wire(form: Form) -> Wire {
    Wire { form, cuts: Cuts(vec![5]), spelling: Spelling::Utf8 }
}

/// One exchange of a conversation that is written down.
fn exchange(station: &'static str, step: Step) -> Exchange {
    Exchange {
        station,
        rotates: false,
        is_pinned: false,
        effort: None,
        results: vec![Content::text("Found.")],
        first_result: 0,
        spoken: Vec::new(),
        begun: None,
        step,
        wire: wire(Form::Whole),
    }
}

/// The exchange of this number, with the user's words and the results of the calls.
fn numbered(input: &Input, number: usize, matter: Matter, exchange: Exchange) -> Exchange {
    let with_image = |text: String, at: usize| match matter {
        Matter::Words => Content::Parts(vec![Part::Text(text)]),
        Matter::WordsAndImages => Content::Parts(vec![Part::Text(text), Part::Image(at)]),
    };
    let results =
        vec![Content::text(format!("Result {number}.0")), with_image(format!("Result {number}.1"), 10 * number)];
    let user = Spoken::user(format!("Question {number}"));
    let named = Spoken { speaker: Speaker::Ada, content: with_image(format!("Question {number}"), number) };
    let spoken = match input {
        Input::User | Input::ResultsAndUser => vec![user],
        Input::Named => vec![named],
        Input::Results => Vec::new(),
    };
    Exchange { results, spoken, ..exchange }
}

/// One conversation in which the providers of `order` answer in turn, the first one in `first`, the next in the other form.
fn script(client: Client, order: &[&Station], matter: Matter, first: Form) -> Script {
    let exchanges = steps().into_iter().enumerate().map(|(number, (input, step))| {
        let form = if number % 2 == 0 { first } else { first.other() };
        let exchange = Exchange { wire: wire(form), ..exchange(order[number % order.len()].name, step) };
        numbered(&input, number, matter, exchange)
    });
    let opening = vec![Spoken { speaker: Speaker::Developer, content: Content::text("Be brief.") }];
    let tools = match client {
        Client::Chat(_) => vec![tool("look"), tool(ODD_NAME)],
        // The Messages API takes no odd names, so that this one is made up.
        Client::Messages(_) | Client::MovesToMessages(_) | Client::MovesToChat(_) => vec![tool("look")],
    };
    Script { client, tools, opening, exchanges: exchanges.collect() }
}

/// Every ordered pair, and triples in which every provider stands at every place, and every ordered pair in both.
fn walk_all(matter: Matter) {
    let world = World::new();
    let fits = |station: &&Station| matter == Matter::Words || station.takes_part("image_url");
    let stations: Vec<&Station> = world.stations.iter().filter(fits).collect();
    let count = stations.len();
    for first in 0..count {
        for step in 0..count {
            let [second, third] = [first + step, first + 2 * step].map(|at| stations[at % count]);
            for form in [Form::Whole, Form::Streamed] {
                world.walk(&script(CHAT, &[stations[first], second], matter, form));
                world.walk(&script(CHAT, &[stations[first], second, third], matter, form));
            }
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

/// Every provider beside each of those that speak the client's own API, behind it and before it.
#[test]
fn whoever_answered_an_agent_before_the_next_provider_takes_the_history() {
    let world = World::new();
    let own = world.stations.iter().filter(|station| station.profile.dialect == Dialect::AnthropicMessages);
    for own in own {
        for (number, other) in world.stations.iter().enumerate() {
            let form = if number % 2 == 0 { Form::Whole } else { Form::Streamed };
            for client in [MessagesClient::Echoes, MessagesClient::Cleans, MessagesClient::DropsThoughts] {
                let client = Client::Messages(client);
                world.walk(&script(client, &[own, other], Matter::Words, form));
                world.walk(&script(client, &[other, own], Matter::Words, form.other()));
                world.walk(&script(client, &[other, own, own], Matter::Words, form));
            }
        }
    }
}

#[test]
fn thoughts_that_an_agent_has_changed_or_cut_are_left_out() {
    let world = World::new();
    let [first, second] = ["anthropic", "anthropic-turns"].map(|name| world.station(name));
    for way in 0..20 {
        let client = Client::Messages(MessagesClient::Tampers(way));
        for order in [&[first][..], &[first, second], &[second, first, first]] {
            for form in [Form::Whole, Form::Streamed] {
                world.walk(&script(client, order, Matter::Words, form));
            }
        }
    }
}

fn instruction() -> Spoken {
    Spoken { speaker: Speaker::System, content: Content::text("Be polite.") }
}

/// What was once refused, or lost, most of it found by `fuzz`: what it shows, and the exchanges.
fn once_wrong() -> Vec<(&'static str, Vec<Exchange>)> {
    let looks = || Call::function("look", "{\"at\":1}");
    let thinks = || Step { thought: Some("Hm.".to_owned()), ..Step::default() };
    let calls = || Step { calls: vec![looks()], ..thinks() };
    let user = |exchange: Exchange| Exchange { spoken: vec![Spoken::user("Go on.")], ..exchange };
    let instructed = |exchange: Exchange| Exchange { spoken: vec![instruction()], ..exchange };
    let instructed_before =
        |exchange: Exchange| Exchange { spoken: vec![instruction(), Spoken::user("Go on.")], ..exchange };
    let streamed = |exchange: Exchange| Exchange { wire: wire(Form::Streamed), ..exchange };
    let begun = |exchange: Exchange| Exchange { begun: Some("So,".to_owned()), ..exchange };
    let last = |station| exchange(station, Step::default());
    let two = vec![Call::function("files_look_at", ""), Call::function("gone:3", "{\"at\":1}")];
    let said_and_thought = Step { text: Some("There.".to_owned()), ..thinks() };
    vec![
        (
            "an answer that said nothing goes back without its nulls",
            vec![user(exchange("groq", Step::default())), user(last("openai"))],
        ),
        (
            "what was thought before an instruction that is moved before it",
            vec![
                user(exchange("anthropic", calls())),
                instructed(exchange("anthropic", said_and_thought.clone())),
                user(last("anthropic")),
            ],
        ),
        (
            "the same where instructions may stand elsewhere, but not there",
            vec![
                user(exchange("anthropic-turns", said_and_thought.clone())),
                instructed_before(last("anthropic-turns")),
            ],
        ),
        (
            "what was thought behind an instruction that another of the user's turns follows later",
            vec![
                user(exchange("anthropic-turns", calls())),
                instructed(exchange("groq", Step::default())),
                user(last("anthropic-turns")),
            ],
        ),
        (
            "what was thought about an answer that the model could not take up",
            vec![
                begun(user(exchange("anthropic", calls()))),
                exchange("anthropic", said_and_thought),
                user(last("anthropic")),
            ],
        ),
        (
            "a call without a number whose name could go on, and another one behind it",
            vec![streamed(user(exchange("google", Step { calls: two, ..Step::default() }))), last("openai")],
        ),
    ]
}

/// The same of clients of the Messages API.
fn once_wrong_for_agents() -> Vec<(&'static str, Vec<Exchange>)> {
    let looks = || Call::function("look", "{\"at\":1}");
    let calls = || Step { calls: vec![looks()], ..Step::default() };
    let thinks = || Step { thought: Some("Hm.".to_owned()), ..calls() };
    let user = |exchange: Exchange| Exchange { spoken: vec![Spoken::user("Go on.")], ..exchange };
    let asked = |exchange: Exchange| Exchange { effort: Some("low"), ..exchange };
    let begun = |exchange: Exchange| Exchange { begun: Some("So,".to_owned()), ..exchange };
    let anew = || Step { ids: Ids::OfTheAnswer, ..calls() };
    let made_up = Step { calls: vec![Call::function("gone:3", "{\"at\":1}")], ..Step::default() };
    let blank = Step { text: Some(" \n".to_owned()), ..calls() };
    let last = |station| exchange(station, Step::default());
    vec![
        (
            "calls that every answer counts anew",
            vec![user(exchange("ollama", anew())), exchange("ollama", anew()), last("anthropic")],
        ),
        ("a call of no tool", vec![user(exchange("groq", made_up)), last("anthropic")]),
        ("a blank text before a call", vec![user(exchange("deepseek", blank)), last("anthropic")]),
        (
            "nothing but a thought",
            vec![user(exchange("anthropic", Step { calls: Vec::new(), ..thinks() })), user(last("anthropic"))],
        ),
        ("nothing at all", vec![user(last("anthropic")), user(last("anthropic"))]),
        (
            "what was thought behind an answer that the model could not take up",
            vec![begun(user(exchange("anthropic", thinks()))), last("anthropic")],
        ),
        ("a begun answer and a budget for thinking", vec![begun(user(asked(last("anthropic-budget"))))]),
        (
            "a budget for thinking behind a call without a thought",
            vec![user(exchange("google", calls())), asked(last("anthropic-budget"))],
        ),
        (
            "a call whose tag is too old, before a thought that is bound to it",
            vec![
                user(exchange("groq", calls())),
                Exchange { rotates: true, ..exchange("anthropic", thinks()) },
                Exchange { rotates: true, ..exchange("anthropic", thinks()) },
                last("anthropic"),
            ],
        ),
        (
            "a thought where thinking is asked for no longer",
            vec![user(asked(exchange("anthropic-budget", thinks()))), last("anthropic-budget")],
        ),
    ]
}

/// An agent that had an account of its own before, and demands the model that it had.
#[test]
fn what_is_known_from_elsewhere_goes_to_the_model_that_is_demanded_and_to_no_other() {
    let world = World::new();
    let call = || vec![Call::function("look", "{\"at\":1}")];
    let thinks =
        |is_hidden: bool| Step { thought: Some("Hm.".to_owned()), is_hidden, calls: call(), ..Step::default() };
    let station = "anthropic";
    let pinned = |exchange: Exchange| Exchange { is_pinned: true, ..exchange };
    for other in ["anthropic-turns", "anthropic-budget", "cerebras", "deepseek", "groq", "mistral", "openai", "google"]
    {
        for is_hidden in [false, true] {
            let first = Exchange { spoken: vec![Spoken::user("Look.")], ..exchange(station, thinks(is_hidden)) };
            let exchanges = vec![
                pinned(first),
                exchange(other, thinks(false)),
                pinned(exchange(station, thinks(is_hidden))),
                exchange(station, thinks(false)),
                exchange(station, Step::default()),
            ];
            let client = Client::Messages(MessagesClient::Unseals(station));
            world.walk(&Script { client, tools: vec![tool("look")], opening: vec![instruction()], exchanges });
        }
    }
}

#[test]
fn what_was_once_refused_of_agents_or_lost_is_neither() {
    let world = World::new();
    for (name, exchanges) in once_wrong_for_agents() {
        for client in [MessagesClient::Echoes, MessagesClient::Cleans, MessagesClient::Searches] {
            let (client, tools) = (Client::Messages(client), vec![tool("look")]);
            println!("{name}");
            world.walk(&Script { client, tools, opening: vec![instruction()], exchanges: exchanges.clone() });
        }
    }
}

#[test]
fn what_was_once_refused_or_lost_is_neither() {
    let world = World::new();
    for (name, exchanges) in once_wrong() {
        for client in [ChatClient::WithNulls, ChatClient::WithoutNulls, ChatClient::KeepsDetails] {
            let tools = vec![tool("look"), tool(ODD_NAME), tool("files_look_at")];
            let script = Script {
                client: Client::Chat(client),
                tools,
                opening: vec![instruction()],
                exchanges: exchanges.clone(),
            };
            println!("{name}");
            world.walk(&script);
        }
    }
}
