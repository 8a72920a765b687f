//! The body of a provider's answer, without the coding that it may have.
//!
//! Providers are asked for none (`accept-encoding: identity`); some compress all the same, or something before them does. What
//! can be read is what `wire::coding` reads.

use crate::platform::{Platform, Wait};
use crate::wire::carried::carried;
use crate::wire::coding::{Corrupt, Inflater, UnknownCoding, coding};
use crate::wire::media;
use http::HeaderMap;

/// A body as it comes, decoded.
pub struct PlainBody<P: Platform> {
    body: P::Body,
    /// What somebody else has read already of what is to be read.
    given: Vec<u8>,
    inflater: Option<Box<Inflater>>,
    /// Its length as it is sent, if the sender says it. Who has read that much need not wait for the end.
    length: Option<u64>,
    received: u64,
    has_ended: bool,
}

/// How far a body has been read. One with a coding cannot be read on elsewhere.
#[derive(Debug)]
pub struct BodyState {
    length: Option<u64>,
    received: u64,
}

carried!(BodyState { length, received });

/// Why a body cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFailure {
    /// It ended early.
    Broken,
    /// It is not what its coding says.
    Corrupt,
}

impl<P: Platform> PlainBody<P> {
    /// The body that has these headers.
    pub fn new(body: P::Body, headers: &HeaderMap) -> Result<Self, UnknownCoding> {
        let inflater = coding(headers)?.map(|coding| Box::new(Inflater::new(coding)));
        let length = media::content_length(headers);
        Ok(Self { body, given: Vec::new(), inflater, length, received: 0, has_ended: length == Some(0) })
    }

    /// The body that goes on where `state` was taken, of which `given` has been read already.
    pub fn from_state(state: &BodyState, given: Vec<u8>, body: P::Body) -> Self {
        let BodyState { length, received } = *state;
        let has_ended = length == Some(received);
        Self { body, given, inflater: None, length, received, has_ended }
    }

    /// How far it has been read, but for the last `unread` bytes, which are to be read again.
    pub fn state(&self, unread: u64) -> BodyState {
        BodyState { length: self.length, received: self.received - unread }
    }

    /// Whether the next read waits for nothing, since more can be told of what has come.
    pub fn is_pending(&self) -> bool {
        !self.given.is_empty() || self.inflater.as_ref().is_some_and(|inflater| inflater.is_pending)
    }

    /// What the next read waits for, if for anything.
    pub fn wait(&self) -> Wait<'_, P> {
        Wait::Body(&self.body)
    }

    /// Whether there is nothing left to be read.
    pub fn is_over(&self) -> bool {
        self.has_ended && !self.is_pending()
    }

    /// Whether it is not what was sent.
    pub fn is_coded(&self) -> bool {
        self.inflater.is_some()
    }

    /// Appends what has come to `into`, of at most `limit` bytes as they were sent; waits if nothing has. It may add nothing
    /// although it is not over.
    pub fn read(&mut self, platform: &P, into: &mut Vec<u8>, limit: usize) -> Result<(), BodyFailure> {
        let Some(inflater) = &mut self.inflater else {
            let read = match self.given.len() {
                0 => platform.read(&mut self.body, into, limit).map_err(|_| BodyFailure::Broken)?,
                given => {
                    into.append(&mut self.given);
                    given
                }
            };
            return self.note(read);
        };
        let read = match inflater.is_pending {
            true => None,
            false => Some(platform.read(&mut self.body, &mut inflater.input, limit).map_err(|_| BodyFailure::Broken)?),
        };
        inflater.inflate(into).map_err(|Corrupt| BodyFailure::Corrupt)?;
        let is_open = !inflater.is_pending && !inflater.is_whole();
        if let Some(read) = read {
            self.note(read)?;
        }
        if self.has_ended && is_open { Err(BodyFailure::Broken) } else { Ok(()) }
    }

    /// What was sent and not read; what has been given of it is appended to `unread`.
    pub fn into_rest(mut self, unread: &mut Vec<u8>) -> P::Body {
        unread.append(&mut self.given);
        self.body
    }

    fn note(&mut self, read: usize) -> Result<(), BodyFailure> {
        self.received += read as u64;
        self.has_ended = read == 0 || self.length == Some(self.received);
        // The local runtime's wait swallows the error of a body that broke off, so its length is checked too.
        let is_short = read == 0 && self.length.is_some_and(|length| length != self.received);
        if is_short { Err(BodyFailure::Broken) } else { Ok(()) }
    }
}
