//! The faults of the script language; how each is written is in `words`. What they look like on the wire is the business of
//! `delivery`, where the transfer is concerned, and of the dialect, where a body is.

use std::time::Duration;

use super::trouble::Trouble;

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
    /// What the provider says of this trouble, with the status that it uses.
    Trouble(Trouble),
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
