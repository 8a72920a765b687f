//! A provider that prints its key: nothing of it reaches the client or the log, and what the client gets does not depend on
//! which key it was, so that no request can be used to ask for it.

use serde_json::{Value, json};

use crate::fake::Reply;
use crate::scenario::{FIRST, SECOND, Scenario, answer, json_reply, policy, reply, stream};

/// Keys of the shapes that providers give out, and of one that no provider does.
const KEYS: [&str; 7] = [
    "sk-proj-Ab3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7bC9dE1fG3hI5",
    "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
    "4f9a0c27be31d8650e7fa2943bc1d586",
    "q+R7/x2Lk9vB4/Zt8+Yw1mNc5Df6Gh3Jp0Sa/We+Tu=",
    "0b7e19c4-52d8-4af3-9c61-e83f07a2d45b",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jk_s3GVQ-abC",
    "k9/aB3=xY7:q2&R8?w5,f1g2h3i4j5k6l7m8n9",
];

const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n";
const HEL: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Ways to print a key, of which a text is one.
fn codings() -> Vec<fn(&str) -> String> {
    fn each(key: &str, form: fn(u8) -> String) -> String {
        key.bytes().map(form).collect()
    }
    fn groups(key: &str, size: usize, between: &str) -> String {
        let groups: Vec<_> = key.as_bytes().chunks(size).map(String::from_utf8_lossy).collect();
        groups.join(between)
    }
    vec![
        str::to_owned,
        |key| key.to_uppercase(),
        |key| base64(key.as_bytes()),
        |key| base64(format!("x{key}").as_bytes()).replace('+', "-").replace('/', "_"),
        |key| each(key, |byte| format!("{byte:02x}")),
        |key| each(key, |byte| format!("{byte:02X}:")),
        |key| each(key, |byte| format!("%{byte:02x}")),
        |key| each(key, |byte| format!("&#{byte};")),
        |key| each(key, |byte| format!("\\u{byte:04x}")),
        |key| each(key, |byte| format!("\\x{byte:02x}")),
        |key| each(key, |byte| format!("{byte}, ")),
        |key| groups(key, 4, "-"),
        |key| groups(key, 5, " "),
        |key| groups(key, 1, " "),
        |key| groups(key, 1, "\u{200b}"),
        |key| [&key[..6], "*********", &key[key.len() - 4..]].concat(),
    ]
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let sextets = |group: &[u8]| {
        let value = group.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let characters = (0..=group.len()).map(|at| ALPHABET[(value >> (18 - 6 * at) & 63) as usize] as char);
        characters.chain("==".chars().take(3 - group.len())).collect::<String>()
    };
    bytes.chunks(3).map(sextets).collect()
}

/// The texts in which a provider prints its key.
fn texts(key: &str) -> Vec<String> {
    let mut texts: Vec<String> = codings()
        .into_iter()
        .flat_map(|coding| {
            let printed = coding(key);
            [
                format!("Value '{printed}' is not one of the above."),
                format!("Unknown field (value={printed}), see https://host/doc?v={printed}#x for more."),
                format!("Incorrect API key provided: {printed}. It was refused."),
            ]
        })
        .collect();
    texts.push(format!("The prompt is too long: 210000 tokens > 200000 maximum ({key})"));
    texts.push(format!("{} then {key}", "word ".repeat(300)));
    texts.push(format!("{key} {}", "word ".repeat(5_000)));
    texts
}

fn asking(stream: bool) -> Scenario {
    Scenario::new()
        .header("x-route-tier", "large")
        .ask(json!({"model": "x", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}))
}

fn in_messages_dialect(scenario: Scenario) -> Scenario {
    let mut policy = policy();
    policy["providers"]["first"]["dialect"] = json!("anthropic-messages");
    policy["providers"]["first"]["auth"] = json!("x-api-key");
    scenario.policy(policy)
}

fn in_a_header_of_its_own(scenario: Scenario) -> Scenario {
    let mut policy = policy();
    policy["providers"]["first"]["auth"] = json!({"header": "x-goog-api-key", "prefix": "Key "});
    scenario.policy(policy)
}

/// What a provider does that prints `text`, in every place where it can, as requests.
fn places(text: &str) -> Vec<Scenario> {
    let quoted = Value::from(text);
    let error = json!({"error": {"message": text, "type": "invalid_request_error", "param": null, "code": null}});
    // What a refusal is told is the first one's, and another provider is asked before.
    let refused = |scenario: Scenario, reply: Reply| scenario.provider(FIRST, reply.clone()).provider(SECOND, reply);
    let whole = |status: u16, body: Value| refused(asking(false), json_reply(status, body));
    let streamed = |parts: &[&str]| asking(true).provider(FIRST, stream(parts.to_vec()));
    let event = format!("data: {error}\n\n");
    let mut places = vec![
        whole(400, error.clone()),
        whole(422, error.clone()),
        whole(413, error.clone()),
        whole(400, json!({"error": {"message": "no", "param": text, "code": text, "type": text}})),
        whole(400, json!({"error": {"message": [text, {"at": text}]}})),
        whole(400, json!({"error": text})),
        whole(400, json!({"message": text, "code": text})),
        whole(400, json!({"detail": [{"msg": text, "input": text}]})),
        whole(400, json!({"errors": [text]})),
        whole(400, json!([{"error": {"code": 400, "message": text, "status": "INVALID_ARGUMENT"}}])),
        whole(400, json!({"error": {"message": text, "code": "content_policy_violation"}})),
        whole(400, json!({"error": {"message": text, "code": "context_length_exceeded"}})),
        whole(401, error.clone()).provider(SECOND, json_reply(401, error.clone())),
        whole(200, json!({"error": {"message": text, "code": 400}})),
        whole(200, json!({"message": text, "code": 400})),
        whole(200, json!({"choices": [], "error_code": 400, "error_msg": text})),
        refused(asking(false), reply(400, "text/html", vec![&format!("<html>{text}</html>")])),
        in_messages_dialect(whole(
            400,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": text}}),
        )),
        in_messages_dialect(whole(
            200,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": text}}),
        )),
        in_messages_dialect(whole(200, json!({"type": "invalid_request_error", "message": text}))),
        in_a_header_of_its_own(whole(400, error.clone())),
        in_a_header_of_its_own(whole(401, error.clone())).provider(SECOND, json_reply(401, error.clone())),
        streamed(&[&event]).provider(SECOND, stream(vec![ROLE, HEL, STOP, DONE])),
        refused(asking(true), stream(vec![&format!("data: {}\n\n", json!({"error": {"message": text, "code": 400}}))])),
        refused(asking(true), json_reply(200, json!({"error": {"message": text, "code": 422}}))),
        streamed(&[ROLE, HEL, &event]),
    ];
    let outside = [
        format!("event: error\ndata: {quoted}\n\n"),
        format!("event: error\ndata: {}\n\n", text.replace('\n', " ")),
        format!("data: {}\n\n", json!({"message": text, "code": "c"})),
        format!("data: {}\n\n", json!({"detail": text})),
        format!("data: {}\n\n", json!({"errors": [text]})),
        format!("data: {}\n\n", json!({"error_code": 7, "error_msg": text})),
        format!("data: {}\n\n", json!({"choices": [], "message": text})),
        format!("data: {}\n\n", json!({"choices": null, "exception": {"at": text}})),
    ];
    for event in &outside {
        places.push(streamed(&[ROLE, HEL, event]));
        places.push(streamed(&[event]).provider(SECOND, stream(vec![ROLE, HEL, STOP, DONE])));
    }
    let line = text.replace('\n', " ");
    let beside = [
        format!(": {line}\n\n"),
        format!("id: {line}\nretry: 7\n\n"),
        format!("event: {}\n{HEL}", line.to_lowercase().replace("err", "").replace("fail", "")),
        format!("id: {line}\n: {line}\n{HEL}"),
        format!("data: {line}\n\n"),
        format!("data: {}\n\n", json!({"debug": text})),
        format!("data: {}\n\n", json!({"choices": [], "note": text})),
    ];
    for event in &beside {
        places.push(streamed(&[event, ROLE, HEL, event, STOP, event, DONE]));
    }
    for name in [
        "x-request-id",
        "request-id",
        "x-ratelimit-limit-requests",
        "anthropic-ratelimit-tokens-reset",
        "x-ratelimit-x",
    ] {
        let value: String = text.chars().filter(|character| (' '..='~').contains(character)).take(1_000).collect();
        places.push(asking(false).provider(FIRST, answer("hi").with_header(name, &value)));
    }
    places
}

/// A request with everything that a client gets: head and body.
fn run(scenario: Scenario, key: &str) -> (Scenario, String) {
    scenario.fake.secrets.borrow_mut().insert(FIRST.to_owned(), key.to_owned());
    scenario.fake.secrets.borrow_mut().insert(SECOND.to_owned(), key.to_owned());
    let scenario = scenario.run();
    let told = {
        let answer = scenario.fake.answer.borrow();
        let mut headers: Vec<String> =
            answer.head.as_ref().expect("an answer").headers.iter().map(|header| format!("{header:?}")).collect();
        headers.sort();
        format!("{} {headers:?} {} {}", scenario.status(), answer.finished, String::from_utf8_lossy(&answer.body))
    };
    (scenario, told)
}

/// Whether eight letters and digits in a row are those of the key, whatever their case and what stands between them.
fn holds(text: &str, key: &str) -> bool {
    let bare = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let (text, key) = (bare(text), bare(key));
    key.as_bytes().windows(8).any(|part| memchr::memmem::find(text.as_bytes(), part).is_some())
}

/// Each text in one of `SHARE` places, each place with one of `SHARE` texts; the first place, a plain 400, with all.
const SHARE: usize = 11;

/// Everything that a provider with this key does, each with the text and the number of the place.
fn trials(key: &str) -> impl Iterator<Item = (String, usize, Scenario)> {
    texts(key).into_iter().enumerate().flat_map(|(number, text)| {
        let places = places(&text).into_iter().enumerate();
        let chosen = places.filter(move |(at, _)| *at == 0 || (at + number) % SHARE == 0);
        chosen.map(move |(at, place)| (text.clone(), at, place)).collect::<Vec<_>>()
    })
}

#[test]
fn what_the_client_gets_does_not_depend_on_the_key() {
    let expected: Vec<String> = trials(KEYS[0]).map(|(_, _, scenario)| run(scenario, KEYS[0]).1).collect();
    assert!(expected.len() > 250, "{}", expected.len());
    for key in &KEYS[1..] {
        for ((text, at, scenario), expected) in trials(key).zip(&expected) {
            assert_eq!(&run(scenario, key).1, expected, "{key}: place {at} of {text:?}");
        }
    }
}

#[test]
fn a_guess_is_told_like_any_other_word() {
    // Twenty characters of the key and as many others: what is hidden must be the same.
    let key = KEYS[0];
    for (right, wrong) in [(&key[..7], "sk-prox"), (&key[8..14], "Ab3dE9"), (&key[20..26], "x1lM3n")] {
        let text = |guess: &str| format!("[\"{guess}\",\"other\"] is not valid");
        let answer = |guess: &str| {
            places(&text(guess)).into_iter().map(|place| run(place, key).1.replace(guess, "GUESS")).collect::<Vec<_>>()
        };
        assert_eq!(answer(right), answer(wrong), "{right}");
    }
}

#[test]
fn no_key_reaches_client_or_log() {
    for key in KEYS {
        let base64 = base64(key.as_bytes());
        let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (text, at, scenario) in trials(key) {
            let (scenario, told) = run(scenario, key);
            let out = told + scenario.fake.log.borrow().last().expect("a line");
            for form in [key, &base64, &hex] {
                assert!(!holds(&out, form), "{form}: place {at} of {text:?}: {out}");
            }
        }
    }
}

#[test]
fn what_an_answer_says_of_itself_is_bounded_and_masked_in_the_log() {
    let key = KEYS[0];
    let choice =
        |index: usize, reason: &str| json!({"index": index, "message": {"content": "x"}, "finish_reason": reason});
    for coding in codings() {
        let printed = coding(key);
        if printed.contains("***") {
            continue;
        }
        let body = json!({"model": printed, "choices": [choice(0, &printed), choice(1, "stop")]});
        let (scenario, _) = run(asking(false).provider(FIRST, json_reply(200, body)), key);
        let log = scenario.log();
        assert_eq!(log["gen_ai.response.model"], "[masked]", "{printed}");
        assert_eq!(log["gen_ai.response.finish_reasons"], json!(["[masked]", "stop"]), "{printed}");
    }
    let choices: Vec<Value> = (0..20_000).map(|index| choice(index, &"r".repeat(100))).collect();
    let large = json_reply(200, json!({"model": "m".repeat(1_500_000), "choices": choices}));
    let line = run(asking(false).provider(FIRST, large), key).0.log();
    assert_eq!(line["gen_ai.response.model"].as_str().map(str::len), Some(128));
    let reasons = line["gen_ai.response.finish_reasons"].as_array().expect("a list");
    assert!(reasons.len() == 16 && reasons.iter().all(|reason| reason.as_str().is_some_and(|text| text.len() == 64)));

    let finish = |index: usize| {
        format!("data: {}\n\n", json!({"choices": [{"index": index, "delta": {}, "finish_reason": key}], "model": key}))
    };
    let events: Vec<String> = (0..50).map(finish).collect();
    let parts = [vec![ROLE, HEL], events.iter().map(String::as_str).collect(), vec![DONE]].concat();
    let line = run(asking(true).provider(FIRST, stream(parts)), key).0.log();
    assert_eq!(line["gen_ai.response.model"], "[masked]");
    assert_eq!(line["gen_ai.response.finish_reasons"], json!(vec!["[masked]"; 16]));
}

#[test]
fn what_a_client_wrote_is_masked_in_the_log() {
    let key = KEYS[3];
    let body = json!({"model": format!("provider/{key}"), "messages": [{"role": "user", "content": "x"}]});
    let tags = format!("{}=1, job={}, team=mine", &key[..12], &key[10..30]);
    for failing in [answer("hi"), json_reply(400, json!({"error": {"message": "no"}}))] {
        let asking = Scenario::new().header("x-route-tier", "large").header("x-route-tags", &tags).ask(body.clone());
        let (scenario, _) = run(asking.provider(FIRST, failing.clone()).provider(SECOND, failing), key);
        let log = scenario.log();
        assert_eq!(log["gen_ai.request.model"], "[masked]");
        assert_eq!(log["tags"], json!({"[masked]": "1", "job": "[masked]", "team": "search"}));
    }
}

#[test]
fn a_providers_name_for_the_request_is_in_the_log_and_ours_is_in_the_answer() {
    let refusal = json_reply(500, json!({"error": {"message": "busy"}}));
    let scenario = asking(false).provider(FIRST, refusal).provider(SECOND, answer("hi")).run();
    assert_eq!(scenario.response_header("x-request-id"), scenario.response_header("x-route-id"));
    let attempts = &scenario.log()["attempts"];
    assert_eq!(
        (&attempts[0]["request_id"], &attempts[1]["request_id"]),
        (&json!("upstream-request"), &json!("upstream-request"))
    );
    let key = KEYS[2];
    let (scenario, told) = run(asking(false).provider(FIRST, reply_with_id(key)), key);
    assert_eq!(scenario.log()["attempts"][0]["request_id"], "[masked]");
    assert!(!told.contains(key));
}

fn reply_with_id(id: &str) -> Reply {
    let headers = vec![("content-type", "application/json".to_owned()), ("x-request-id", id.to_owned())];
    match answer("hi") {
        Reply::Answer { delay, status, chunks, .. } => Reply::Answer { delay, status, headers, chunks },
        other => other,
    }
}

#[test]
fn a_harmless_first_chunk_does_not_break_a_stream() {
    let azure = "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":{}}]}\n\n";
    let ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let scenario = asking(true).provider(FIRST, stream(vec![azure, ping, ROLE, HEL, STOP, DONE])).run();
    assert_eq!(scenario.text(), [azure, ROLE, HEL, STOP, DONE].concat());
    assert!(scenario.fake.answer.borrow().finished);
    assert_eq!(scenario.log()["ignored_events"], 1);
}

#[test]
fn an_event_with_other_lines_comes_as_its_data() {
    let named = format!("id: 7\nevent: message\n{HEL}");
    let scenario = asking(true).provider(FIRST, stream(vec![ROLE, &named, ": 8\n\n", STOP, DONE])).run();
    assert_eq!(scenario.text(), [ROLE, HEL, ": keep-alive\n\n", STOP, DONE].concat());
}
