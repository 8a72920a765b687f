//! The faults of the script language and how each is written. What they look like on the wire is the business of
//! `delivery`, where the transfer is concerned, and of the dialect, where a body is.

use std::fmt;
use std::time::Duration;

use super::quote::{duration, value};

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    Close,
    Reset,
    Hang,
    Empty,
    Garbage,
    /// An error body under status 200.
    ErrorInside,
    Huge(usize),
    Cut(usize),
    Stall(usize),
    /// The transfer ends in order, the answer does not.
    Truncate(usize),
    ErrorEvent(usize),
    /// An error event that repeats the key of the request.
    LeakEvent(usize),
    /// An event that begins as a JSON object and does not parse.
    BadEvent(usize),
    /// An event that is no JSON at all.
    TextEvent(usize),
    /// What clients pass over.
    Noise(usize),
    /// A line of so many bytes that does not end.
    Line(usize),
    NoDone,
    NoFinish,
    /// An error answer; without a status the body's usual one holds.
    Error {
        status: Option<u16>,
        body: ErrorBody,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorBody {
    /// The provider's own envelope for the status.
    Envelope,
    /// Where it says [`KEY`], the key of the request stands.
    Text(String),
    Quota,
    Html,
    Array,
    Flat,
    ListMessage,
    ContextLength,
    ContentPolicy,
    /// Repeats the key of the request in full.
    LeakKey,
    /// Google's error with its `RetryInfo`.
    RetryDelay(String),
    /// Says in the provider's rate-limit headers that no request is left for so long.
    RateLimit(Duration),
}

/// Stands for the key of the request in a scripted body.
pub const KEY: &str = "<key>";

impl ErrorBody {
    /// The words that name a ready body, with the status each has when the step gives none.
    pub const NAMED: &[(&str, ErrorBody, u16)] = &[
        ("quota", ErrorBody::Quota, 429),
        ("html", ErrorBody::Html, 502),
        ("array", ErrorBody::Array, 503),
        ("flat", ErrorBody::Flat, 400),
        ("list-message", ErrorBody::ListMessage, 400),
        ("context-length", ErrorBody::ContextLength, 400),
        ("content-policy", ErrorBody::ContentPolicy, 400),
        ("leak-key", ErrorBody::LeakKey, 401),
    ];

    pub fn usual_status(&self) -> u16 {
        match self {
            ErrorBody::RetryDelay(_) | ErrorBody::RateLimit(_) => 429,
            other => Self::NAMED.iter().find(|(_, body, _)| body == other).map_or(200, |(_, _, status)| *status),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Close => f.write_str("close"),
            Fault::Reset => f.write_str("reset"),
            Fault::Hang => f.write_str("hang"),
            Fault::Empty => f.write_str("empty"),
            Fault::Garbage => f.write_str("garbage"),
            Fault::ErrorInside => f.write_str("error-200"),
            Fault::Huge(count) => write!(f, "huge={count}"),
            Fault::Cut(count) => write!(f, "cut={count}"),
            Fault::Stall(count) => write!(f, "stall={count}"),
            Fault::Truncate(count) => write!(f, "truncate={count}"),
            Fault::ErrorEvent(count) => write!(f, "error-event={count}"),
            Fault::LeakEvent(count) => write!(f, "leak-event={count}"),
            Fault::BadEvent(count) => write!(f, "bad-event={count}"),
            Fault::TextEvent(count) => write!(f, "text-event={count}"),
            Fault::Noise(count) => write!(f, "noise={count}"),
            Fault::Line(count) => write!(f, "line={count}"),
            Fault::NoDone => f.write_str("no-done"),
            Fault::NoFinish => f.write_str("no-finish"),
            Fault::Error { status, body } => {
                let status = status.map(|status| format!("status={status}"));
                let words: Vec<String> = status.into_iter().chain(body_word(body)).collect();
                f.write_str(&words.join(" "))
            }
        }
    }
}

fn body_word(body: &ErrorBody) -> Option<String> {
    match body {
        ErrorBody::Envelope => None,
        ErrorBody::Text(text) => Some(format!("body={}", value(text))),
        ErrorBody::RetryDelay(text) => Some(format!("retry-delay={}", value(text))),
        ErrorBody::RateLimit(wait) => Some(format!("rate-limit={}", duration(*wait))),
        named => ErrorBody::NAMED.iter().find(|(_, body, _)| body == named).map(|(name, _, _)| (*name).to_owned()),
    }
}
