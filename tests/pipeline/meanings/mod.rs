//! What an error means, whichever provider says it, in whichever words, and wherever it stands.

mod words;

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use tiergate::attempt::outcome::{Judgement, Outcome, Verdict, judge};
use tiergate::policy::OnRefusal;
use tiergate::pop::health::Cooling;
use tiergate::upstream::error_words;
use tiergate::upstream::meaning::{self, Meaning};

use crate::fake::Reply;
use crate::scenario::{FIRST, SECOND, Scenario, answer, policy, reply, stream};
use words::{BY_STATUS, CASES, Case, REFUSED};

const DIALECTS: [&str; 2] = ["openai-chat", "anthropic-messages"];

/// What follows from a meaning.
#[derive(Debug)]
struct Expected {
    verdict: Verdict,
    cooling: Cooling,
    /// The client's status and code if nobody else serves.
    told: (u16, &'static str),
}

fn expected(meaning: Meaning) -> Expected {
    use Verdict::{Elsewhere, GiveUp, Next, NextLarger, Retry};
    let (verdict, cooling, status, code) = match meaning {
        Meaning::Account => (Next, Cooling::Long, 503, "provider_quota"),
        Meaning::Key | Meaning::Region => (Next, Cooling::Long, 502, "provider_auth"),
        Meaning::Model => (Next, Cooling::Long, 502, "provider_not_found"),
        Meaning::ContextLength => (NextLarger, Cooling::None, 400, "context_length_exceeded"),
        Meaning::TooLarge => (Next, Cooling::None, 413, "request_too_large"),
        Meaning::HeadTooLarge => (Next, Cooling::None, 502, "provider_error"),
        Meaning::RateLimit => (Retry, Cooling::Failure, 429, "rate_limit_exceeded"),
        Meaning::AboveRate => (Next, Cooling::None, 429, "rate_limit_exceeded"),
        Meaning::ContentPolicy => (GiveUp, Cooling::None, 400, "content_policy_violation"),
        Meaning::Flagged => (Next, Cooling::None, 400, "content_policy_violation"),
        Meaning::Unaffordable => (Next, Cooling::None, 503, "provider_quota"),
        Meaning::ThisRequest => (Next, Cooling::None, 400, "provider_rejected"),
        Meaning::Refused => (Elsewhere, Cooling::Alive, 400, "provider_rejected"),
        Meaning::Overload | Meaning::Trouble => (Retry, Cooling::Failure, 502, "provider_error"),
        Meaning::Unknown => (Next, Cooling::Failure, 502, "provider_error"),
    };
    Expected { verdict, cooling, told: (status, code) }
}

/// The same error as a status, and within a 200 or an event.
fn outcomes(case: &Case) -> [Outcome; 2] {
    let error = Box::new(error_words::parse(case.body.as_bytes()));
    let status = StatusCode::from_u16(case.status).unwrap();
    [Outcome::Status { status, error: error.clone(), delay: None }, Outcome::ErrorInside(error)]
}

fn check_row(case: &Case, outcome: &Outcome) {
    let Judgement { verdict, cooling, .. } = judge(outcome, OnRefusal::End);
    let expected = expected(case.meaning);
    assert_eq!((verdict, cooling), (expected.verdict, expected.cooling), "{} {}: {outcome:?}", case.status, case.body);
}

#[test]
fn words_mean_the_same_wherever_they_stand() {
    for case in CASES {
        let error = error_words::parse(case.body.as_bytes());
        for status in [Some(case.status), None] {
            assert_eq!(meaning::find(status, &error), case.meaning, "{status:?}: {}", case.body);
        }
        outcomes(case).iter().for_each(|outcome| check_row(case, outcome));
    }
}

#[test]
fn a_status_says_what_words_do_not() {
    for case in BY_STATUS {
        let error = error_words::parse(case.body.as_bytes());
        assert_eq!(meaning::find(Some(case.status), &error), case.meaning, "{}: {}", case.status, case.body);
    }
}

#[test]
fn a_refused_request_is_not_taken_for_more() {
    for body in REFUSED {
        let error = error_words::parse(body.as_bytes());
        for status in [400, 422] {
            assert_eq!(meaning::find(Some(status), &error), Meaning::Refused, "{status}: {body}");
        }
        // Without a status an error is at most nobody's.
        let inside = meaning::find(None, &error);
        assert!(matches!(inside, Meaning::Refused | Meaning::Overload | Meaning::Trouble), "{inside:?}: {body}");
    }
}

#[test]
fn a_rate_limit_is_waited_for_as_long_as_its_words_ask() {
    for (status, body, millis) in [
        (
            429,
            r#"{"error":{"message":"Rate limit reached. Please try again in 7.66s.","code":"rate_limit_exceeded"}}"#,
            7_660,
        ),
        (
            413,
            r#"{"error":{"message":"Too large on tokens per minute. Try again in 1m2.5s","code":"rate_limit_exceeded"}}"#,
            62_500,
        ),
        (400, r#"{"error":{"message":"Please retry in 120ms","code":"rate_limit_exceeded"}}"#, 120),
        (429, r#"[{"error":{"code":429,"message":"x","details":[{"retryDelay":"17s"}]}}]"#, 17_000),
        (
            429,
            r#"{"error":{"message":"{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota, see billing details. Please retry in 14.2s.\",\"status\":\"RESOURCE_EXHAUSTED\"}}","code":429}}"#,
            14_200,
        ),
    ] {
        for outcome in outcomes(&Case { meaning: Meaning::RateLimit, status, body }) {
            let outcome = match outcome {
                Outcome::Status { status, error, .. } => {
                    let delay = error.retry_delay;
                    Outcome::Status { status, error, delay }
                }
                other => other,
            };
            let delay = Duration::from_millis(millis);
            let Judgement { verdict, cooling, .. } = judge(&outcome, OnRefusal::End);
            assert_eq!((verdict, cooling), (Verdict::Wait(delay), Cooling::Asked(delay)), "{outcome:?}");
        }
    }
}

/// Where an error stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Status,
    Inside,
    Event,
}

fn place(case: &Case, place: Place, dialect: &str) -> Reply {
    match place {
        Place::Status => reply(case.status, "application/json", vec![case.body]),
        Place::Inside => reply(200, "application/json", vec![case.body]),
        Place::Event => {
            let name = if dialect == "anthropic-messages" { "event: error\n" } else { "" };
            stream(vec![format!("{name}data: {}\n\n", case.body).as_str()])
        }
    }
}

/// Every place in which an error may stand before an answer begins, with whether the answer is to be streamed.
fn places() -> impl Iterator<Item = (Place, bool, &'static str)> {
    let places = [
        (Place::Status, false),
        (Place::Status, true),
        (Place::Inside, false),
        (Place::Inside, true),
        (Place::Event, true),
    ];
    places.into_iter().flat_map(|(place, streams)| DIALECTS.map(|dialect| (place, streams, dialect)))
}

/// The cases, with the places in which each may stand: a body that is a stream already is one as a status only.
fn trials() -> impl Iterator<Item = (&'static Case, Place, bool, &'static str)> {
    CASES.iter().flat_map(|case| {
        let is_stream = case.body.starts_with("data:");
        let places = places().filter(move |(at, ..)| !is_stream || *at == Place::Status);
        places.map(move |(at, streams, dialect)| (case, at, streams, dialect))
    })
}

fn gateway(tier: &str, dialect: &str, streams: bool) -> Scenario {
    let mut policy = policy();
    for provider in ["first", "second"] {
        policy["providers"][provider]["dialect"] = json!(dialect);
    }
    policy["tiers"][0]["candidates"] = json!([{"model": "one"}]);
    let ask = json!({"model": "x", "stream": streams, "messages": [{"role": "user", "content": "Hello"}]});
    Scenario::new().policy(policy).header("x-route-tier", tier).ask(ask)
}

fn served(dialect: &str, streams: bool) -> Reply {
    let message = json!({
        "id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 6, "output_tokens": 2},
    });
    match (dialect, streams) {
        ("openai-chat", false) => answer("hi"),
        ("openai-chat", true) => stream(vec![
            "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        ]),
        (_, false) => reply(200, "application/json", vec![message.to_string().as_str()]),
        (_, true) => {
            let mut start = message;
            (start["content"], start["stop_reason"]) = (json!([]), Value::Null);
            let events = [
                json!({"type": "message_start", "message": start}),
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}),
                json!({"type": "content_block_stop", "index": 0}),
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
                json!({"type": "message_stop"}),
            ];
            let text: String = events
                .iter()
                .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
                .collect();
            stream(vec![text.as_str()])
        }
    }
}

#[test]
fn the_only_candidates_error_is_told_in_the_clients_terms() {
    for (case, at, streams, dialect) in trials() {
        let (status, code) = expected(case.meaning).told;
        let scenario = gateway("small", dialect, streams).provider(FIRST, place(case, at, dialect)).run();
        let name = format!("{at:?} {dialect} {streams}: {}", case.body);
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (status, code), "{name}");
        let told = scenario.json()["error"]["message"].as_str().unwrap().to_owned();
        let is_operators = status >= 500;
        let affairs = ["credit", "balance", "billing", "afford", "organization", "api key", "invoices", "Arrearage"];
        assert!(!is_operators || !affairs.iter().any(|word| told.contains(word)), "{name}: {told}");
    }
}

#[test]
fn the_next_candidate_serves_unless_the_table_ends_it() {
    for (case, at, streams, dialect) in trials() {
        let name = format!("{at:?} {dialect} {streams}: {}", case.body);
        let failing = place(case, at, dialect);
        let scenario = gateway("large", dialect, streams).provider(FIRST, failing);
        let serves = |scenario: Scenario, host| scenario.provider(host, served(dialect, streams));
        let ends = matches!(expected(case.meaning).verdict, Verdict::GiveUp | Verdict::NextLarger);
        let scenario = if ends { scenario.run() } else { serves(scenario, SECOND).run() };
        assert_eq!(scenario.status() == 200, !ends, "{name}: {}", scenario.text());
        // The next request: only what no request can change takes the candidate from others.
        let cools = match expected(case.meaning).cooling {
            Cooling::Long => true,
            Cooling::None | Cooling::Alive => false,
            Cooling::Failure | Cooling::Asked(_) => continue,
        };
        let host = if cools { SECOND } else { FIRST };
        scenario.fake.sent.borrow_mut().clear();
        let scenario = serves(scenario, host).again_after(Duration::from_secs(1));
        assert_eq!((scenario.status(), scenario.asked()), (200, vec![host.to_owned()]), "{name}");
    }
}

#[test]
fn the_second_candidates_error_is_told_like_the_firsts() {
    for (case, at, streams, dialect) in trials() {
        let Expected { told, .. } = expected(case.meaning);
        let busy = reply(500, "application/json", vec![r#"{"error":{"message":"busy"}}"#]);
        let scenario =
            gateway("large", dialect, streams).provider(FIRST, busy).provider(SECOND, place(case, at, dialect)).run();
        let name = format!("{at:?} {dialect} {streams}: {}", case.body);
        assert_eq!((scenario.status(), scenario.error_code().as_str()), told, "{name}");
        let log = scenario.log();
        let last = log["attempts"].as_array().and_then(|attempts| attempts.last()).expect("an attempt");
        assert_eq!(last["meaning"], case.meaning.as_str(), "{name}");
        let named = format!("`{}`", case.meaning.as_str());
        assert!(include_str!("../../../docs/log.md").contains(&named), "docs/log.md should name {named}");
    }
}

#[test]
fn an_error_in_mid_stream_counts_for_its_candidate_as_anywhere_else() {
    for case in CASES.iter().filter(|case| !case.body.starts_with("data:")) {
        for dialect in DIALECTS {
            let cools = match expected(case.meaning).cooling {
                Cooling::Long => true,
                Cooling::None | Cooling::Alive => false,
                Cooling::Failure | Cooling::Asked(_) => continue,
            };
            let name = format!("{dialect}: {}", case.body);
            let scenario = gateway("large", dialect, true).provider(FIRST, broken_by(case, dialect)).run();
            assert_eq!(scenario.log()["error.type"], "stream_broken", "{name}");
            assert_eq!(scenario.log()["attempts"][0]["meaning"], case.meaning.as_str(), "{name}");
            let host = if cools { SECOND } else { FIRST };
            scenario.fake.sent.borrow_mut().clear();
            let scenario = scenario.provider(host, served(dialect, true)).again_after(Duration::from_secs(1));
            assert_eq!((scenario.status(), scenario.asked()), (200, vec![host.to_owned()]), "{name}");
        }
    }
}

/// A stream that says something, then the error.
fn broken_by(case: &Case, dialect: &str) -> Reply {
    let begun = match dialect {
        "openai-chat" => {
            vec![json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": null}]})]
        }
        _ => vec![
            json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 6, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}),
        ],
    };
    let begun: String = begun.iter().map(|event| format!("data: {event}\n\n")).collect();
    let name = if dialect == "anthropic-messages" { "event: error\n" } else { "" };
    stream(vec![begun.as_str(), format!("{name}data: {}\n\n", case.body).as_str()])
}
