//! The body of a client's request: read within bounds of size and time.
//!
//! Until the client is known at most [`EARLY_BYTES`] are taken in, beside the look-ups; what is larger waits at the client.
//! The rest is read for a client that may use the gateway, up to the policy's limit and to a deadline, however slowly it
//! trickles in.

use std::time::Duration;

use crate::error::{Error, Kind};
use crate::platform::{Platform, Wait};
use crate::wire::coding::{Coding, DecodeFailure, decode};

/// What is read of a body before its client is known.
pub const EARLY_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 64 * 1024;

/// A body that arrives.
pub struct Upload<'a, B> {
    source: &'a mut B,
    /// Its length, if the client says it.
    announced: Option<u64>,
    bytes: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Arriving,
    Ended,
    /// It broke off.
    Broken,
}

impl<'a, B> Upload<'a, B> {
    pub fn new(source: &'a mut B, announced: Option<u64>) -> Self {
        let capacity = announced.unwrap_or_default().min(EARLY_BYTES as u64) as usize;
        Self { source, announced, bytes: Vec::with_capacity(capacity), state: State::Arriving }
    }

    /// What there is to wait for before the client is known; nothing if no more of it is wanted then.
    pub fn early_wait<P: Platform<Body = B>>(&self) -> Option<Wait<'_, P>> {
        let is_wanted = self.state == State::Arriving && self.bytes.len() < EARLY_BYTES;
        is_wanted.then_some(Wait::Body(self.source))
    }

    /// Takes what has arrived, as far as it is wanted before the client is known. A body that breaks off is told by
    /// [`Upload::whole`] alone, since only a client that may use the gateway is told anything.
    pub fn read_early<P: Platform<Body = B>>(&mut self, platform: &P) {
        self.read(platform, EARLY_BYTES.saturating_sub(self.bytes.len()));
    }

    /// Takes at most `limit` bytes of what has arrived.
    fn read<P: Platform<Body = B>>(&mut self, platform: &P, limit: usize) {
        let missing = self.missing().and_then(|missing| usize::try_from(missing).ok());
        let limit = limit.min(missing.unwrap_or(limit)).max(1);
        // By a quarter at a time, where doubling would hold twice what was sent.
        if self.bytes.capacity() - self.bytes.len() < limit {
            self.bytes.reserve_exact(limit.max(self.bytes.len() / 4));
        }
        let read = platform.read(self.source, &mut self.bytes, limit);
        // The local runtime swallows the error of a body that breaks off while it is waited for.
        self.state = match (read, self.missing()) {
            (Err(_), _) => State::Broken,
            (Ok(_), Some(0)) | (Ok(0), None) => State::Ended,
            (Ok(0), Some(_)) => State::Broken,
            (Ok(_), _) => State::Arriving,
        };
    }

    /// The whole body: at most `limit` bytes, all of them there by `until` on [`Platform::elapsed`]'s clock.
    ///
    /// # Errors
    /// [`Kind::BodyTooLarge`], [`Kind::BodyIncomplete`], [`Kind::BodyTimeout`].
    pub fn whole<P: Platform<Body = B>>(
        mut self,
        platform: &P,
        limit: usize,
        until: Duration,
    ) -> Result<Vec<u8>, Error> {
        self.check_size(limit)?;
        match self.missing() {
            Some(0) => self.state = State::Ended,
            // What is announced is below the limit, or it would not have come here.
            Some(missing) => self.bytes.reserve_exact(usize::try_from(missing).unwrap_or_default()),
            None => {}
        }
        while self.state == State::Arriving {
            let left = until.saturating_sub(platform.elapsed());
            if left.is_zero() || platform.wait_first(&[Wait::Body(self.source)], Some(left)).is_none() {
                let message = "The request body did not arrive within the time that this request has.";
                return Err(Error::new(Kind::BodyTimeout, message));
            }
            self.read(platform, READ_BYTES);
            self.check_size(limit)?;
        }
        match self.state {
            State::Broken => Err(Error::new(Kind::BodyIncomplete, "The request body broke off.")),
            State::Arriving | State::Ended => Ok(self.bytes),
        }
    }

    /// How much of the announced length has not come.
    fn missing(&self) -> Option<u64> {
        self.announced.map(|length| length.saturating_sub(self.bytes.len() as u64))
    }

    fn check_size(&self, limit: usize) -> Result<(), Error> {
        if self.bytes.len() > limit || self.announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large(limit));
        }
        Ok(())
    }
}

/// What a body of this coding decodes to: at most `limit` bytes, however few were sent.
///
/// # Errors
/// [`Kind::BodyTooLarge`], and [`Kind::InvalidJson`] for what is not what its coding says.
pub fn decoded(body: Vec<u8>, coding: Option<Coding>, limit: usize) -> Result<Vec<u8>, Error> {
    let Some(coding) = coding else { return Ok(body) };
    decode(coding, body, limit).map_err(|failure| match failure {
        DecodeFailure::TooLarge => too_large(limit),
        DecodeFailure::Corrupt => {
            let message =
                "The request body is not what its content-encoding says: it is damaged, or a part of it is missing.";
            Error::new(Kind::InvalidJson, message)
        }
    })
}

fn too_large(limit: usize) -> Error {
    let message = format!("The request body is larger than the {limit} bytes that this gateway accepts.");
    Error::new(Kind::BodyTooLarge, message)
}
