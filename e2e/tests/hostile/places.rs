//! Where and how a hostile provider prints the key that it was given: every place outside answer content, every coding.

use serde_json::{Value, json};

use crate::random::Random;
use crate::reply::{self, Dialect, LAST_CHUNK, Reply, Said};

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Plain,
    /// Parted by spaces or dashes.
    Parted,
    OtherCase,
    Base64,
    Base64Url,
    Hex,
    Percent,
    DecimalEntities,
    HexEntities,
    Escapes,
    Reversed,
    /// The halves apart.
    Halves,
    /// The middle starred out.
    Starred,
}

pub const CODINGS: &[Coding] = &[
    Coding::Plain,
    Coding::Parted,
    Coding::OtherCase,
    Coding::Base64,
    Coding::Base64Url,
    Coding::Hex,
    Coding::Percent,
    Coding::DecimalEntities,
    Coding::HexEntities,
    Coding::Escapes,
    Coding::Reversed,
    Coding::Halves,
    Coding::Starred,
];

/// Codings that say nothing of a key but by its characters' classes: two keys of one form look alike in them.
pub const ALIKE: &[Coding] = &[
    Coding::Plain,
    Coding::Parted,
    Coding::Percent,
    Coding::DecimalEntities,
    Coding::Escapes,
    Coding::Reversed,
    Coding::Halves,
    Coding::Starred,
];

/// `key` in a coding.
pub fn code(key: &str, coding: Coding, random: &mut Random) -> String {
    let each = |form: &dyn Fn(u8) -> String| key.bytes().map(form).collect::<String>();
    let middle = key.len() / 2;
    match coding {
        Coding::Plain => key.to_owned(),
        Coding::Parted => {
            let size = 4 + random.below(2);
            let parts: Vec<&str> =
                key.as_bytes().chunks(size).filter_map(|part| std::str::from_utf8(part).ok()).collect();
            parts.join(*random.pick(&[" ", "-", "_", ".", " - "]))
        }
        Coding::OtherCase if random.once_in(2) => key.to_ascii_uppercase(),
        Coding::OtherCase => key.to_ascii_lowercase(),
        Coding::Base64 => base64(&format!("{}{key}", &"xyz"[..random.below(3)]), "+/"),
        Coding::Base64Url => base64(&format!("{}{key}", &"xyz"[..random.below(3)]), "-_"),
        Coding::Hex => each(&|byte| format!("{byte:02x}")),
        Coding::Percent => each(&|byte| format!("%{byte:02X}")),
        Coding::DecimalEntities => each(&|byte| format!("&#{byte};")),
        Coding::HexEntities => each(&|byte| format!("&#x{byte:x};")),
        Coding::Escapes => each(&|byte| format!("\\u{byte:04x}")),
        Coding::Reversed => key.chars().rev().collect(),
        Coding::Halves => format!("{} and then {}", &key[..middle], &key[middle..]),
        Coding::Starred => format!("{}**********{}", &key[..8], &key[key.len() - 4..]),
    }
}

fn base64(text: &str, last: &str) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(last.chars()).collect();
    let sextet = |group: u32, at: u32| alphabet[(group >> (18 - 6 * at) & 63) as usize];
    text.as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let group = (0..3).fold(0, |group, at| group << 8 | u32::from(chunk.get(at).copied().unwrap_or_default()));
            (0..=chunk.len() as u32).map(move |at| (group, at)).collect::<Vec<_>>()
        })
        .map(|(group, at)| sextet(group, at))
        .collect()
}

/// A sentence with the key in it.
pub fn sentence(coded: &str, random: &mut Random) -> String {
    match random.below(9) {
        0 => coded.to_owned(),
        1 => format!("The value '{coded}' is not valid."),
        2 => format!("Incorrect API key provided: {coded}. You can find your key in the console."),
        3 => format!("Unknown model at https://x.test/v1?key={coded}&alt=sse"),
        4 => format!("authorization: Bearer {coded}"),
        5 => format!("This model's maximum context length is 10 tokens; you sent {coded} tokens"),
        6 => format!("({coded})"),
        7 => format!("name:{coded};path=/{coded}/x"),
        _ => format!("no such field {coded} in schema, expected one of [a, b]"),
    }
}

/// A place of an error body.
const ERROR_PLACES: usize = 22;

/// An error body with `text` somewhere.
fn error_body(place: usize, text: &str, status: u16) -> (&'static str, Vec<u8>) {
    let json = |value: Value| ("application/json", value.to_string().into_bytes());
    let error = |more: Value| {
        let mut error =
            json!({"message": "It is refused.", "type": "invalid_request_error", "param": null, "code": null});
        for (name, value) in more.as_object().into_iter().flatten() {
            error[name] = value.clone();
        }
        json!({"error": error})
    };
    match place {
        0 => json(error(json!({"message": text}))),
        1 => json(error(json!({"code": text}))),
        2 => json(error(json!({"type": text}))),
        3 => json(error(json!({"param": text}))),
        4 => json(error(json!({"status": text, "details": [{"@type": text, "reason": text, "retryDelay": text}]}))),
        5 => json(error(
            json!({"metadata": {"raw": json!({"error": {"message": text}}).to_string(), "provider_name": text}}),
        )),
        6 => json(json!([{"error": {"code": status, "message": text, "status": text}}])),
        7 => json(json!(text)),
        8 => json(json!({"error": text, "code": text})),
        9 => ("text/html", format!("<html><title>{text}</title><body><h1>400</h1>{text}</body></html>").into_bytes()),
        10 => ("text/plain", text.as_bytes().to_vec()),
        11 => json(json!({"message": text, "code": text, "type": text, "param": text})),
        12 => json(json!({"detail": text})),
        13 => json(json!({"detail": [{"loc": ["body", text], "msg": text, "type": text}]})),
        14 => json(json!({"errors": [{"message": text}, text], "message": text})),
        15 => json(json!({"errors": {"a": [text]}})),
        16 => json(json!({"type": "error", "error": {"type": text, "message": text}, "request_id": text})),
        17 => json(json!({"error": {text: text, "message": {"inner": text}, "code": [text]}})),
        18 => json(error(json!({"code": "context_length_exceeded", "message": text, "param": text}))),
        19 => json(error(json!({"code": "content_policy_violation", "message": text, "innererror": {"code": text}}))),
        20 => json(json!({"object": "error", "message": text, "type": text, "code": status})),
        _ => json(json!({"error": {"error": {"message": text, "code": text}}, "message": text})),
    }
}

/// Statuses of errors; a reason phrase may follow.
const STATUSES: [u16; 16] = [400, 400, 400, 401, 402, 403, 404, 408, 413, 422, 429, 429, 500, 503, 529, 302];

/// Names of headers that a provider may send.
const HEADERS: [&str; 22] = [
    "x-request-id",
    "request-id",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-anything",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-tokens-reset",
    "anthropic-ratelimit-anything",
    "retry-after",
    "retry-after-ms",
    "set-cookie",
    "location",
    "server-timing",
    "server",
    "x-should-retry",
    "openai-organization",
    "x-anything",
    "x-route-id",
    "x-route-model",
    "www-authenticate",
    "access-control-expose-headers",
];

/// A key that is printed, and how it may be coded.
pub struct Printed<'a> {
    pub key: &'a str,
    pub codings: &'a [Coding],
}

/// A reply that prints the key in some place, and the place's name.
pub fn leak(printed: &Printed<'_>, dialect: Dialect, streams: bool, random: &mut Random) -> (String, Reply) {
    let coding = *random.pick(printed.codings);
    let coded = code(printed.key, coding, random);
    let text = sentence(&coded, random);
    let (place, reply) = match random.below(if streams { 10 } else { 6 }) {
        0..=2 => refusal(&text, random),
        3 => in_headers(&coded, dialect, streams, random),
        4 => answer_names(&coded, dialect, streams, random),
        5 => {
            let place = random.below(ERROR_PLACES);
            let (content_type, body) = error_body(place, &text, 400);
            (format!("a whole error {place} in a 200"), Reply::whole("200 OK", &[], content_type, &body))
        }
        _ => in_stream(&text, dialect, random),
    };
    (format!("{coding:?} in {place}"), reply)
}

fn refusal(text: &str, random: &mut Random) -> (String, Reply) {
    let (status, place) = (*random.pick(&STATUSES), random.below(ERROR_PLACES));
    let (content_type, body) = error_body(place, text, status);
    if random.once_in(12) {
        let phrase: String = text.chars().filter(|character| !character.is_control()).collect();
        let lines = [format!("location: https://x.test/{}", phrase.replace(' ', "-"))];
        return (
            format!("the reason phrase of a {status}"),
            Reply::whole(&format!("{status} {phrase}"), &lines, content_type, b"{}"),
        );
    }
    (format!("error body {place} of a {status}"), Reply::whole(&format!("{status} No"), &[], content_type, &body))
}

fn in_headers(coded: &str, dialect: Dialect, streams: bool, random: &mut Random) -> (String, Reply) {
    let coded: String = coded.chars().filter(|character| !character.is_control()).collect();
    let names: Vec<&str> = (0..=random.below(3)).map(|_| *random.pick(&HEADERS)).collect();
    let forms = [coded.clone(), format!("10;w={coded}"), format!("req_{coded}")];
    let lines: Vec<String> = names.iter().map(|name| format!("{name}: {}", random.pick(&forms))).collect();
    let said = Said::new("All is well.").in_dialect(dialect);
    let reply = match random.below(3) {
        0 => {
            let status = *random.pick(&STATUSES);
            Reply::json(&format!("{status} No"), &lines, &json!({"error": {"message": "It is refused."}}))
        }
        _ if streams => {
            let mut events = reply::events(dialect, &said);
            events.push(reply::done(dialect).to_owned());
            Reply::stream(&lines, &events, format!("0\r\nx-trailer: {coded}\r\n\r\n").as_bytes())
        }
        _ => Reply::json("200 OK", &lines, &reply::whole(dialect, &said)),
    };
    (format!("the headers {names:?}"), reply)
}

/// Names and counts of an answer: the client has them from the provider itself, the log must not.
fn answer_names(coded: &str, dialect: Dialect, streams: bool, random: &mut Random) -> (String, Reply) {
    let mut said = Said::new("All is well.").in_dialect(dialect);
    let place = match random.below(5) {
        0 => {
            said.model = format!("model-{coded}");
            "model"
        }
        1 => {
            said.reason = coded.to_owned();
            "finish_reason"
        }
        2 => {
            said.id = coded.to_owned();
            "id"
        }
        3 => "usage",
        _ => "fields that nobody knows",
    };
    let more = match place {
        "usage" => json!({"usage": {"prompt_tokens": coded, "input_tokens": coded, coded: 1}}),
        "fields that nobody knows" => json!({"system_fingerprint": coded, "service_tier": coded, "x_any": [coded]}),
        _ => json!({}),
    };
    let add = |value: &mut Value| {
        for (name, added) in more.as_object().into_iter().flatten() {
            value[name] = added.clone();
        }
    };
    let reply = if streams {
        let events: Vec<String> = reply::events(dialect, &said)
            .into_iter()
            .map(|event| match event.split_once("data: ") {
                Some((before, data)) => {
                    let mut value: Value = serde_json::from_str(data).unwrap_or_default();
                    add(&mut value);
                    format!("{before}data: {value}\n\n")
                }
                None => event,
            })
            .chain([reply::done(dialect).to_owned()])
            .collect();
        Reply::stream(&[], &events, LAST_CHUNK)
    } else {
        let mut body = reply::whole(dialect, &said);
        add(&mut body);
        Reply::json("200 OK", &[], &body)
    };
    (format!("the answer's {place}"), reply)
}

/// What is no answer within a stream: lines beside the data, and errors in every form, at the beginning or later.
fn in_stream(text: &str, dialect: Dialect, random: &mut Random) -> (String, Reply) {
    let said = Said::new("All is really well.").in_dialect(dialect);
    let mut events = reply::events(dialect, &said);
    events.push(reply::done(dialect).to_owned());
    let line: String = text.chars().filter(|character| !character.is_control()).collect();
    let place = random.below(ERROR_PLACES);
    let (_, body) = error_body(place, text, 400);
    let body = String::from_utf8_lossy(&body).into_owned();
    let (what, event) = match random.below(12) {
        0 => ("a comment".to_owned(), format!(": {line}\n\n")),
        1 => ("a comment beside data".to_owned(), format!(":{line}\n")),
        2 => ("an id line".to_owned(), format!("id: {line}\n")),
        3 => ("an event line".to_owned(), format!("event: {line}\n")),
        4 => ("a retry line".to_owned(), format!("retry: {line}\n")),
        5 => ("an unknown line".to_owned(), format!("{line}\n")),
        6 => ("an event without data".to_owned(), format!("event: {line}\nid: {line}\n\n")),
        7 => ("data that is plain text".to_owned(), format!("data: {line}\n\n")),
        8 => ("an error of two data lines".to_owned(), format!("data: {{\"message\":\ndata: {}}}\n\n", json!(line))),
        9 => (format!("error {place} as `event: error`"), format!("event: error\ndata: {body}\n\n")),
        _ => (format!("error {place} as data"), format!("data: {body}\n\n")),
    };
    let at = random.below(events.len());
    events.insert(at, event);
    let tail = if random.once_in(3) { &b""[..] } else { LAST_CHUNK };
    (format!("{what} at event {at}"), Reply::stream(&[], &events, tail))
}
