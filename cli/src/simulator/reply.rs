//! A reply as a dialect makes it and `delivery` plays it: a head and a whole body or framed events.

use std::borrow::Cow;

use axum::body::Bytes;

pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: ReplyBody,
}

pub enum ReplyBody {
    Whole(Bytes),
    Events { events: Vec<Event>, error: Bytes },
}

/// One event with its frame, ready to be written.
pub struct Event {
    pub piece: Piece,
    pub frame: Bytes,
}

/// What an event is to a script that counts or leaves out events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Comes before anything is said: role chunks.
    Opening,
    /// Text or part of a tool call.
    Content,
    /// Carries the finish reason.
    Closing,
    Usage,
    /// The end marker.
    End,
}

/// Why a request is not answered, in the words of an OpenAI error.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: u16,
    pub code: Option<&'static str>,
    pub param: Option<Cow<'static, str>>,
    pub message: String,
}

impl Refusal {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { status: 400, code: None, param: None, message: message.into() }
    }

    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    pub fn with_param(self, param: impl Into<Cow<'static, str>>) -> Self {
        Self { param: Some(param.into()), ..self }
    }
}
