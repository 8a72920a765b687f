//! A request as a dialect gets it, and the reply that it makes and `delivery` plays: a head and a whole body or events.

use std::borrow::Cow;

use axum::body::Bytes;

use crate::journal::Recorded;
use crate::profile::Profile;
use crate::script::Step;

/// One request and all that its reply depends on.
pub struct Asked<'a> {
    pub profile: &'a Profile,
    pub request: &'a Recorded,
    /// The number of the call, from 1.
    pub call: u64,
    pub step: &'a Step,
}

impl Asked<'_> {
    pub fn request_id(&self) -> String {
        format!("req_{}_{:08}", self.profile.name, self.call)
    }
}

pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: ReplyBody,
}

impl Reply {
    /// A whole body of JSON with the provider's headers.
    pub fn json(profile: &Profile, status: u16, body: Bytes) -> Self {
        let headers = profile.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { status, content_type: "application/json", headers, body: ReplyBody::Whole(body) }
    }
}

pub enum ReplyBody {
    Whole(Bytes),
    Events {
        events: Vec<Event>,
        /// The event for a failure in mid-stream.
        error: Bytes,
        /// What the dialect allows between events and clients pass over.
        noise: Bytes,
    },
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
    /// Text, thinking, or part of a tool call.
    Content,
    /// Comes between contents and says nothing: bounds of blocks, pings.
    Frame,
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
