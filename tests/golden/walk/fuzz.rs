//! Conversations that are drawn: who answers, what is said, called and brought, how that travels, what the client makes of it.
//!
//! The cases are the same in every run; `WALK_CASES` in the environment has more of them tried, and `WALK_SEED` others. A
//! failure is shrunk, and told as the script that [`World::walk`] takes, for a test in `fixed`.

use std::env;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngSeed, TestError, TestRunner};
use serde_json::{Value, json};

use super::World;
use super::script::{
    Call, CallKind, ChatClient, Client, Content, Cuts, Exchange, FILES, Form, Ids, MessagesClient, Part, Script,
    Speaker, Spelling, Spoken, Step, Tool, ToolKind, Wire,
};
use super::station::Station;

/// How many conversations each test draws.
const CASES: u32 = 200;

/// What only some providers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matter {
    Words,
    Images,
    ImagesAndFiles,
    /// Tools that take any text.
    CustomTools,
}

const TEXTS: [&str; 10] = [
    "Hm.",
    "Error: there is no such file.",
    "Zwölf \"große\" \\ Boxkämpfer \u{1F600}\u{1F469}\u{200D}\u{1F4BB}, 天気.",
    "One line\nand\tthe next\r\n\r\nand \u{2028} more",
    "A part.\n\nAnother part.",
    "data: [DONE]\n\ndata: {\"choices\":[]}",
    "{\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\"}]}",
    "\\u0041\\n \u{0} \u{7f} \u{fffd}",
    "<|im_end|> null [] reasoning_content tgs1_ skip_thought_signature_validator",
    "A long text that goes on. A long text that goes on. A long text that goes on. A long text that goes on, and ends.",
];

/// Tools with arguments that models give them.
fn catalogue(matter: Matter) -> Vec<(Tool, Vec<&'static str>)> {
    let function = |name: &str, properties: Value| {
        let required: Vec<&String> = properties.as_object().expect("an object").keys().collect();
        let parameters = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        });
        Tool { name: name.to_owned(), kind: ToolKind::Function { parameters, strict: None } }
    };
    let at = || json!({"at": {"type": "integer", "description": "where"}});
    let (prefix, long) = ("mcp__a_server__tools_of_one_server_have_a_long_beginning_in_common", "long.".repeat(30));
    let at_samples = vec!["{\"at\":1}", " { \"at\" : -2e1 } ", "{}", ""];
    let mut all = vec![
        (function("look", at()), at_samples.clone()),
        (
            function(
                "files.look/at",
                json!({"at": {"type": "integer", "description": "where"}, "$top": {"type": "integer", "description": "how many"}}),
            ),
            vec!["{\"at\":1,\"$top\":2}", "{\"$top\":3}", "{\"\\u0024top\":4,\"at\":5}"],
        ),
        (function("files_look_at", json!({})), vec!["{}", "", " {\n} "]),
        (
            function(
                "größe messen",
                json!({
                    "filter[name]": {"type": "string", "description": "which"},
                    "nested": {"type": "object", "description": "inside", "required": ["a b", "ö"], "additionalProperties": false,
                        "properties": {"a b": {"type": "string", "description": "first"}, "ö": {"type": "boolean", "description": "second"}}},
                    "x.y": {"type": ["string", "null"], "description": "dotted"},
                    "a_very_long_name_of_a_property_that_goes_on_and_on_behind_the_sixty_fourth": {"type": "string", "description": "long"},
                }),
            ),
            vec![
                "{\"filter[name]\":\"\\u00fc \\\"x\\\" \\ud83d\\ude00\",\"nested\":{\"a b\":\"$top\",\"ö\":true},\"x.y\":null}",
                "{\"nested\":{},\"a_very_long_name_of_a_property_that_goes_on_and_on_behind_the_sixty_fourth\":\"\"}",
                "{\"x.y\":\"{\\\"filter[name]\\\":1}\"}",
            ],
        ),
        (function(&format!("{prefix}_first"), at()), at_samples.clone()),
        (function(&format!("{prefix}_second"), at()), at_samples.clone()),
        (function(&long, at()), at_samples),
    ];
    if matter == Matter::CustomTools {
        let custom = |name: &str| Tool { name: name.to_owned(), kind: ToolKind::Custom };
        all.push((custom("patch"), vec!["*** Begin\n+ \"ä\" \u{1F600}\\", "", "{\"input\":1}"]));
        all.push((custom("odd.patch"), vec!["x", "null"]));
    }
    all
}

fn text() -> impl Strategy<Value = String> {
    select(TEXTS.as_slice()).prop_map(str::to_owned)
}

/// One that may also say nothing.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![8 => text(), 1 => Just(String::new()), 1 => Just(" \n".to_owned())]
}

fn content(matter: Matter) -> impl Strategy<Value = Content> {
    let part = match matter {
        Matter::Words | Matter::CustomTools => any_text().prop_map(Part::Text).boxed(),
        Matter::Images => prop_oneof![any_text().prop_map(Part::Text), (0..9_usize).prop_map(Part::Image)].boxed(),
        Matter::ImagesAndFiles => prop_oneof![
            any_text().prop_map(Part::Text),
            (0..9_usize).prop_map(Part::Image),
            (0..FILES.len()).prop_map(Part::File),
        ]
        .boxed(),
    };
    prop_oneof![any_text().prop_map(Content::Text), prop::collection::vec(part, 1..4).prop_map(Content::Parts)]
}

fn spoken(matter: Matter) -> impl Strategy<Value = Spoken> {
    let user = prop_oneof![3 => Just(Speaker::User), 1 => Just(Speaker::Ada)];
    let above = prop_oneof![Just(Speaker::System), Just(Speaker::Developer)];
    prop_oneof![
        3 => (user, content(matter)).prop_map(|(speaker, content)| Spoken { speaker, content }),
        1 => (above, any_text()).prop_map(|(speaker, text)| Spoken { speaker, content: Content::Text(text) }),
    ]
}

/// A call before it is known which tools there are.
#[derive(Clone, Debug)]
struct RawCall {
    /// Nothing for a name that the model made up.
    tool: Option<usize>,
    sample: usize,
}

/// An exchange before it is known what came before it.
#[derive(Clone, Debug)]
struct RawExchange {
    exchange: Exchange,
    calls: Vec<RawCall>,
}

fn step() -> impl Strategy<Value = (Step, Vec<RawCall>)> {
    let call = (prop::option::weighted(0.9, 0..16_usize), 0..8_usize);
    let calls = prop::collection::vec(call.prop_map(|(tool, sample)| RawCall { tool, sample }), 0..=4);
    let ids = prop_oneof![3 => Just(Ids::Unique), 1 => Just(Ids::OfTheAnswer)];
    let said = prop_oneof![
        6 => (prop::option::of(any_text()), calls),
        1 => Just((None, Vec::new())),
    ];
    let thought = (prop::option::of(text()), prop::bool::weighted(0.2));
    (thought, said, prop::option::weighted(0.1, text()), ids).prop_map(
        |((thought, is_hidden), (text, calls), refusal, ids)| {
            let step = Step { thought, is_hidden, ids, ..Step::default() };
            match refusal {
                Some(_) => (Step { refusal, ..step }, Vec::new()),
                None => (Step { text, ..step }, calls),
            }
        },
    )
}

fn wire() -> impl Strategy<Value = Wire> {
    let form = prop_oneof![Just(Form::Whole), Just(Form::Streamed)];
    let spelling = prop_oneof![Just(Spelling::Utf8), Just(Spelling::Ascii)];
    let cuts = prop::collection::vec(1..24_usize, 1..4);
    (form, cuts, spelling).prop_map(|(form, cuts, spelling)| Wire { form, cuts: Cuts(cuts), spelling })
}

/// An exchange with one of the stations of these names.
fn exchange(matter: Matter, stations: Vec<&'static str>) -> impl Strategy<Value = RawExchange> {
    let effort = prop::option::of(select(["low", "high", "none"].as_slice()));
    let results = (prop::collection::vec(content(matter), 1..4), 0..4_usize);
    let begun = prop::option::weighted(0.1, text());
    let rights = (prop::bool::weighted(0.15), any::<bool>());
    (select(stations), rights, effort, results, prop::collection::vec(spoken(matter), 0..3), begun, step(), wire())
        .prop_map(
            |(station, (rotates, is_pinned), effort, (results, first_result), spoken, begun, (step, calls), wire)| {
                RawExchange {
                    exchange: Exchange {
                        station,
                        rotates,
                        is_pinned,
                        effort,
                        results,
                        first_result,
                        spoken,
                        begun,
                        step,
                        wire,
                    },
                    calls,
                }
            },
        )
}

/// The API that the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Api {
    Chat,
    Messages,
    /// First the one, then the other.
    Both,
}

impl Api {
    fn client(self) -> BoxedStrategy<Client> {
        use MessagesClient::{Cleans, DropsThoughts, Echoes, Forges, Searches, Tampers, Unseals};
        match self {
            Self::Chat => {
                let clients = vec![
                    ChatClient::WithNulls,
                    ChatClient::WithoutNulls,
                    ChatClient::DropsReasoning,
                    ChatClient::KeepsDetails,
                    ChatClient::Merges,
                ];
                let forges = (0..1_000_usize).prop_map(|seed| Client::Chat(ChatClient::Forges(seed)));
                prop_oneof![5 => select(clients).prop_map(Client::Chat), 1 => forges].boxed()
            }
            Self::Both => {
                let at = 1..5_usize;
                prop_oneof![at.clone().prop_map(Client::MovesToMessages), at.prop_map(Client::MovesToChat)].boxed()
            }
            Self::Messages => {
                let tampers = (0..16_usize).prop_map(Tampers);
                let forges = (0..1_000_usize).prop_map(Forges);
                let unseals = select(["anthropic", "anthropic-turns", "anthropic-budget"].as_slice()).prop_map(Unseals);
                let client = prop_oneof![
                    2 => Just(Echoes), 1 => Just(Cleans), 1 => Just(DropsThoughts), 2 => tampers, 2 => forges, 1 => unseals,
                    1 => Just(Searches),
                ];
                client.prop_map(Client::Messages).boxed()
            }
        }
    }

    /// Whether its clients may have a tool.
    fn takes(self, tool: &Tool) -> bool {
        let is_plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        match (self, &tool.kind) {
            (Self::Chat, _) => true,
            (Self::Messages | Self::Both, ToolKind::Custom) => false,
            (Self::Messages | Self::Both, ToolKind::Function { parameters, .. }) => {
                let names = parameters["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
                tool.name.len() <= 128 && std::iter::once(tool.name.as_str()).chain(names).all(is_plain)
            }
        }
    }
}

fn script(api: Api, matter: Matter, stations: &[Station]) -> impl Strategy<Value = Script> {
    let fits = |station: &&Station| match matter {
        Matter::Words => true,
        Matter::Images => station.takes_part("image_url"),
        Matter::ImagesAndFiles => station.takes_part("image_url") && station.takes_part("file"),
        Matter::CustomTools => true,
    };
    // Who moves changes what stands before a thought, which some are bound to.
    let fits = |station: &&Station| fits(station) && (api != Api::Both || !station.binds_thoughts());
    let names: Vec<&'static str> = stations.iter().filter(fits).map(|station| station.name).collect();
    let catalogue: Vec<_> = catalogue(matter).into_iter().filter(|(tool, _)| api.takes(tool)).collect();
    let offered = prop::collection::vec((any::<bool>(), prop::option::of(any::<bool>())), catalogue.len());
    let opening = prop::collection::vec((select([Speaker::System, Speaker::Developer].as_slice()), any_text()), 0..3);
    let exchanges = prop::collection::vec(exchange(matter, names), 1..8);
    (api.client(), offered, opening, exchanges).prop_map(move |(client, offered, opening, exchanges)| {
        let offered = catalogue.iter().zip(offered).filter(|(_, (is_offered, _))| *is_offered);
        let mut tools: Vec<(Tool, Vec<&str>)> = offered
            .map(|((tool, samples), (_, strictness))| {
                let mut tool = tool.clone();
                if let ToolKind::Function { strict, .. } = &mut tool.kind {
                    *strict = strictness;
                }
                (tool, samples.clone())
            })
            .collect();
        if tools.is_empty() {
            tools.push(catalogue[0].clone());
        }
        let opening = opening.into_iter().map(|(speaker, text)| Spoken { speaker, content: Content::Text(text) });
        let exchanges = assemble(&tools, exchanges);
        let tools = tools.into_iter().map(|(tool, _)| tool).collect();
        Script { client, tools, opening: opening.collect(), exchanges }
    })
}

/// Gives calls their tools, and has somebody speak before each answer.
fn assemble(tools: &[(Tool, Vec<&str>)], raw: Vec<RawExchange>) -> Vec<Exchange> {
    let call = |raw: &RawCall| match raw.tool.map(|at| &tools[at % tools.len()]) {
        Some((tool, samples)) => {
            let kind = match tool.kind {
                ToolKind::Function { .. } => CallKind::Function,
                ToolKind::Custom => CallKind::Custom,
            };
            Call { name: tool.name.clone(), kind, payload: samples[raw.sample % samples.len()].to_owned() }
        }
        None => Call::function("default_api.gone:3", "{\"at\":1}"),
    };
    let mut exchanges: Vec<Exchange> = Vec::with_capacity(raw.len());
    for RawExchange { mut exchange, calls } in raw {
        exchange.step.calls = calls.iter().map(call).collect();
        let brings_results = exchanges.last().is_some_and(|last| !last.step.calls.is_empty());
        let says_something =
            exchange.spoken.iter().any(|spoken| matches!(spoken.speaker, Speaker::User | Speaker::Ada));
        let is_first = exchanges.is_empty();
        if is_first || !(brings_results || says_something) {
            exchange.spoken.push(Spoken::user("Go on."));
        }
        exchanges.push(exchange);
    }
    exchanges
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|number| number.parse().expect("a number"))
}

fn walk_any(api: Api, matter: Matter) {
    let world = World::new();
    let cases = number("WALK_CASES").map_or(CASES, |cases| u32::try_from(cases).expect("a number of cases"));
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(number("WALK_SEED").unwrap_or(11)),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    let mut runner = TestRunner::new(config);
    let ran = runner.run(&script(api, matter, &world.stations), |script| {
        world.walk(&script);
        Ok(())
    });
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(why, script)) => panic!("{why}\nin {script:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn conversations_of_words_and_calls_go_anywhere() {
    walk_any(Api::Chat, Matter::Words);
}

#[test]
fn conversations_with_images_go_to_every_model_that_sees() {
    walk_any(Api::Chat, Matter::Images);
}

#[test]
fn conversations_with_files_go_to_every_model_that_reads_them() {
    walk_any(Api::Chat, Matter::ImagesAndFiles);
}

#[test]
fn conversations_with_custom_tools_go_to_every_model_that_has_them() {
    walk_any(Api::Chat, Matter::CustomTools);
}

#[test]
fn conversations_of_agents_go_anywhere() {
    walk_any(Api::Messages, Matter::Words);
}

#[test]
fn conversations_of_agents_with_images_go_to_every_model_that_sees() {
    walk_any(Api::Messages, Matter::Images);
}

#[test]
fn conversations_of_agents_with_files_go_to_every_model_that_reads_them() {
    walk_any(Api::Messages, Matter::ImagesAndFiles);
}

#[test]
fn conversations_that_move_from_one_api_to_the_other_go_anywhere() {
    walk_any(Api::Both, Matter::Words);
}
