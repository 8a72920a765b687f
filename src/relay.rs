//! Passes a stream on that has begun, and never ends a broken one as if it were whole.
//!
//! Guarded: what one read returned is written once, event by event boundary; only events that may matter are parsed.
//! `[DONE]` and a clean end are sent only when every choice has finished (design.md §7). Otherwise the client gets one
//! `data: {"error":...}` event and an aborted transfer, which every SDK reports.

use std::time::Duration;

use crate::dialect::openai_chat::{Meaning, Stream};
use crate::error::{Error, Kind};
use crate::platform::{ClientGone, Platform, Wait};
use crate::sse::Decoder;

const READ_BYTES: usize = 32 * 1024;
/// How long usage and the end marker are awaited after every choice has finished.
const AFTER_FINISH: Duration = Duration::from_secs(2);
const DONE: &[u8] = b"data: [DONE]\n\n";

/// A stream under way.
pub struct Relay<P: Platform> {
    pub upstream: P::Body,
    pub downstream: P::Downstream,
    pub decoder: Decoder,
    pub stream: Stream,
}

/// How a stream ended.
#[derive(Debug)]
pub struct Ended {
    pub result: Result<(), Failure>,
    pub bytes_sent: u64,
    /// What the stream told on its way.
    pub stream: Stream,
}

#[derive(Debug)]
pub enum Failure {
    ClientGone,
    Error(Error),
}

impl From<ClientGone> for Failure {
    fn from(_: ClientGone) -> Self {
        Failure::ClientGone
    }
}

/// Sends `held`, then all that follows, and ends the answer. `total` is when it must have ended, on
/// [`Platform::elapsed`]'s clock.
pub fn run<P: Platform>(platform: &P, mut relay: Relay<P>, held: &[u8], total: Duration) -> Ended {
    let mut bytes_sent = 0;
    let result = pass_on(platform, &mut relay, held, total, &mut bytes_sent);
    let result = match result {
        Ok(()) => platform.finish(relay.downstream).map_err(Failure::from),
        Err(Failure::Error(error)) => {
            let mut event = b"data: ".to_vec();
            event.extend_from_slice(&error.body());
            event.extend_from_slice(b"\n\n");
            match platform.write(&mut relay.downstream, &event) {
                Ok(()) => {
                    bytes_sent += event.len() as u64;
                    platform.abort(relay.downstream);
                    Err(Failure::Error(error))
                }
                Err(ClientGone) => Err(Failure::ClientGone),
            }
        }
        Err(Failure::ClientGone) => Err(Failure::ClientGone),
    };
    Ended { result, bytes_sent, stream: relay.stream }
}

fn pass_on<P: Platform>(
    platform: &P,
    relay: &mut Relay<P>,
    held: &[u8],
    total: Duration,
    bytes_sent: &mut u64,
) -> Result<(), Failure> {
    let mut out = held.to_vec();
    loop {
        let state = take_events(relay, &mut out);
        if !out.is_empty() {
            platform.write(&mut relay.downstream, &out)?;
            *bytes_sent += out.len() as u64;
            out.clear();
        }
        if state.map_err(Failure::Error)? == State::Ended {
            return Ok(());
        }
        if platform.elapsed() >= total {
            let message = "The answer took longer than the policy allows.";
            return Err(Failure::Error(Error::new(Kind::StreamTimeLimit, message)));
        }
        let is_late = relay.stream.is_finished()
            && platform.wait_first(&[Wait::Body(&relay.upstream)], Some(AFTER_FINISH)).is_none();
        let read = if is_late { Ok(0) } else { platform.read(&mut relay.upstream, relay.decoder.space(), READ_BYTES) };
        if !matches!(read, Ok(read) if read > 0) {
            return end_of_body(platform, relay, bytes_sent);
        }
    }
}

#[derive(PartialEq)]
enum State {
    Open,
    Ended,
}

/// Moves all whole events into `out`.
fn take_events<P: Platform>(relay: &mut Relay<P>, out: &mut Vec<u8>) -> Result<State, Error> {
    let broken = |message: &str| Error::new(Kind::StreamBroken, message);
    while let Some(event) =
        relay.decoder.next_event().map_err(|_| broken("The provider sent an event that is too long."))?
    {
        let Some(data) = event.data() else {
            out.extend_from_slice(event.raw);
            continue;
        };
        match relay.stream.skim(&data) {
            Meaning::Preamble | Meaning::Piece => out.extend_from_slice(event.raw),
            Meaning::Unasked | Meaning::Foreign => {}
            Meaning::End if relay.stream.is_whole() => {
                out.extend_from_slice(DONE);
                return Ok(State::Ended);
            }
            Meaning::End => return Err(broken("The provider ended the answer before it was whole.")),
            Meaning::Error(_) => return Err(broken("The provider reported an error in the middle of the answer.")),
            Meaning::Undecodable => return Err(broken("The provider sent a piece of the answer that cannot be read.")),
        }
    }
    Ok(State::Open)
}

/// The provider's body has ended, or broken off: whole if every choice has finished, also without an end marker.
fn end_of_body<P: Platform>(platform: &P, relay: &mut Relay<P>, bytes_sent: &mut u64) -> Result<(), Failure> {
    let mut out = Vec::new();
    let remainder = relay.decoder.remainder();
    if let Some(data) = remainder.data()
        && matches!(relay.stream.skim(&data), Meaning::Preamble | Meaning::Piece)
        && relay.stream.is_finished()
    {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&data);
        out.extend_from_slice(b"\n\n");
    }
    if !relay.stream.is_finished() {
        let message = "The provider's answer broke off before it was whole.";
        return Err(Failure::Error(Error::new(Kind::StreamBroken, message)));
    }
    out.extend_from_slice(DONE);
    platform.write(&mut relay.downstream, &out)?;
    *bytes_sent += out.len() as u64;
    Ok(())
}
