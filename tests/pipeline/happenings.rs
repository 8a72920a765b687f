//! What happens at the seam of the fake platform: what providers do, what was sent, what the client received.

use std::time::Duration;

use http::HeaderMap;
use tiergate::platform::{ReadError, ResponseHead, SendError};

/// Something that happened at the seam, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    KvStarted(String),
    KvWritten(String),
    CacheStarted(String),
    CacheStored(String),
    /// So many bytes of a body.
    BodyRead(usize),
    BackendReady(String),
    Sent(String),
    HeadSent,
    HandedOver,
    /// The client's answer is another execution's from here on.
    HandedOn,
    Written,
    Logged,
}

/// What a provider does with one request.
#[derive(Clone)]
pub enum Reply {
    Answer {
        delay: Duration,
        status: u16,
        headers: Vec<(&'static str, String)>,
        chunks: Vec<Chunk>,
    },
    Fails(SendError),
    FailsAfter(Duration, SendError),
    Never,
    /// Another execution of the gateway takes an answer, if it can.
    Takes,
}

/// A part of a body and how long after the one before it comes.
#[derive(Clone)]
pub struct Chunk {
    pub delay: Duration,
    pub bytes: Result<Vec<u8>, ReadError>,
}

/// A request that a provider received.
#[derive(Clone)]
pub struct Sent {
    pub host: String,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub at: Duration,
}

/// What the client received.
#[derive(Default)]
pub struct Answer {
    pub head: Option<ResponseHead>,
    pub body: Vec<u8>,
    /// Cleanly, rather than by an abort.
    pub finished: bool,
    pub writes: usize,
    /// Whether another execution goes on with it.
    pub goes_on: bool,
}

/// A value of the cache that can be followed while it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    pub bytes: Vec<u8>,
    pub end: Option<PublishedEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedEnd {
    Finished,
    Aborted,
    /// It ends as another one does.
    LeftToAnother,
}
