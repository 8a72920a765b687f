//! Plays a reply over HTTP: at once, or with the waits and breaks that a script asks for.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;

use crate::journal::Presence;
use crate::reply::{Event, Piece, Reply, ReplyBody};
use crate::script::{Fault, Step};
use crate::stamp;

/// The data of an event that no JSON reader takes, and that clients must pass over.
const TEXT_EVENT: Bytes = Bytes::from_static(b"data: hello, not JSON\n\n");

/// A line without an end is written in pieces of this many bytes.
const LINE_PIECE: usize = 64 * 1024;

/// What a script does to an answer once so many content events have been sent, or bytes where the answer is whole.
struct Turn {
    after: usize,
    what: What,
}

enum What {
    Cut,
    Stall,
    /// The end in order, but too early.
    End,
    /// This event, then the end.
    Error(Bytes),
    /// The next event loses its second half.
    Spoil,
    /// This in addition.
    Insert(Bytes),
    /// A line of so many bytes that never ends.
    Line(usize),
}

impl Turn {
    /// `error` and `noise` are for the faults that send them.
    fn of(fault: Option<&Fault>, error: Bytes, noise: Bytes) -> Option<Self> {
        let (after, what) = match fault? {
            Fault::Cut(after) => (*after, What::Cut),
            Fault::Stall(after) => (*after, What::Stall),
            Fault::Truncate(after) => (*after, What::End),
            Fault::ErrorEvent(after) | Fault::LeakEvent(after) => (*after, What::Error(error)),
            Fault::BadEvent(after) => (*after, What::Spoil),
            Fault::TextEvent(after) => (*after, What::Insert(TEXT_EVENT)),
            Fault::Noise(after) => (*after, What::Insert(noise)),
            Fault::Line(bytes) => (1, What::Line(*bytes)),
            Fault::Close
            | Fault::Reset
            | Fault::Hang
            | Fault::Empty
            | Fault::Garbage
            | Fault::ErrorInside
            | Fault::Huge(_)
            | Fault::NoDone
            | Fault::NoFinish
            | Fault::Error { .. } => return None,
        };
        Some(Self { after, what })
    }
}

pub fn play(reply: Reply, step: &Step, mut presence: Presence) -> Response {
    let Reply { status, content_type, headers, body } = reply;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let into = response.headers_mut();
    into.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    let scripted = [(CONTENT_TYPE, &step.content_type), (RETRY_AFTER, &step.retry_after)];
    for (name, value) in scripted {
        if let Some(value) = value.as_ref().and_then(|value| value.parse().ok()) {
            into.insert(name, value);
        }
    }
    for (name, value) in headers.iter().chain(&step.headers) {
        // Names and values that HTTP cannot carry are left out; a script may hold any text.
        if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), value.parse()) {
            into.insert(name, value);
        }
    }
    *response.body_mut() = match body {
        _ if step.fault == Some(Fault::Empty) => {
            presence.served();
            Body::empty()
        }
        ReplyBody::Whole(bytes) => {
            let turn = Turn::of(step.fault.as_ref(), Bytes::new(), Bytes::new());
            let bytes = match &turn {
                Some(Turn { after, what: What::End }) => bytes.slice(..bytes.len().min(*after)),
                Some(Turn { what: What::Spoil, .. }) => bytes.slice(..bytes.len() / 2),
                _ => bytes,
            };
            match turn {
                Some(Turn { what: What::Line(line), .. }) => play_line(line, step.first, presence),
                Some(Turn { after, what: What::Cut }) => {
                    into.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                    play_whole(bytes.slice(..bytes.len().min(after)), step.first, Rest::Cut, presence)
                }
                Some(Turn { after, what: What::Stall }) => {
                    into.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                    play_whole(bytes.slice(..bytes.len().min(after)), step.first, Rest::Stall, presence)
                }
                _ => {
                    into.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                    play_whole(bytes, step.first, Rest::None, presence)
                }
            }
        }
        ReplyBody::Events { mut events, error, noise } => {
            events.retain(|event| match step.fault {
                Some(Fault::NoDone) => event.piece != Piece::End,
                Some(Fault::NoFinish) => event.piece != Piece::Closing,
                _ => true,
            });
            let waits = Waits { first: step.first, gap: step.gap };
            let turn = Turn::of(step.fault.as_ref(), error, noise);
            let events = events.into_iter().peekable();
            Playing { events, waits, turn, line: None, played: 0, content: 0, presence }.into_body()
        }
    };
    response
}

/// What follows the part of a whole answer that is sent.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    None,
    Cut,
    Stall,
}

fn play_whole(bytes: Bytes, first: Option<Duration>, rest: Rest, mut presence: Presence) -> Body {
    if rest == Rest::None && first.is_none() {
        presence.served();
        return Body::from(bytes);
    }
    // States: the wait and what is sent, then how it ends.
    let start = Some((Some(bytes), presence));
    Body::from_stream(stream::unfold(start, move |state| async move {
        let (bytes, mut presence) = state?;
        if let Some(bytes) = bytes {
            wait(first).await;
            if rest == Rest::None {
                presence.served();
            }
            return Some((Ok(bytes), (rest != Rest::None).then_some((None, presence))));
        }
        if rest == Rest::Stall {
            return std::future::pending().await;
        }
        presence.served();
        // The server writes out what it has when it finds nothing more to do; only then may the break come.
        tokio::task::yield_now().await;
        Some((Err(broken()), None))
    }))
}

/// A body that begins as JSON and is as long as one wants.
fn play_line(bytes: usize, first: Option<Duration>, presence: Presence) -> Body {
    let start = (Line::new(b"{\"id\": \"", bytes), presence);
    Body::from_stream(stream::unfold(start, move |(mut line, mut presence)| async move {
        if line.is_new() {
            wait(first).await;
        }
        let piece = line.next();
        if piece.is_none() {
            presence.served();
        }
        Some((Ok::<_, io::Error>(piece?), (line, presence)))
    }))
}

/// What is left of a line that never ends.
struct Line {
    opening: Option<&'static [u8]>,
    left: usize,
}

impl Line {
    fn new(opening: &'static [u8], bytes: usize) -> Self {
        Self { opening: Some(opening), left: bytes }
    }

    fn is_new(&self) -> bool {
        self.opening.is_some()
    }

    fn next(&mut self) -> Option<Bytes> {
        const FILLING: &[u8] = &[b'x'; LINE_PIECE];
        let piece = self.opening.take().unwrap_or(FILLING);
        let piece = &piece[..piece.len().min(self.left)];
        self.left -= piece.len();
        (!piece.is_empty()).then_some(Bytes::from_static(piece))
    }
}

struct Waits {
    first: Option<Duration>,
    gap: Option<Duration>,
}

struct Playing {
    events: std::iter::Peekable<std::vec::IntoIter<Event>>,
    waits: Waits,
    turn: Option<Turn>,
    line: Option<Line>,
    played: usize,
    content: usize,
    presence: Presence,
}

impl Playing {
    fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(Some(self), |playing| async {
            let mut playing = playing?;
            let frame = playing.next().await;
            let last = !matches!(frame, Some(Ok(_)));
            if last {
                playing.presence.served();
            }
            frame.map(|frame| (frame, (!last).then_some(playing)))
        }))
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(line) = &mut self.line {
            return line.next().map(Ok);
        }
        let piece = self.events.peek().map(|event| event.piece);
        let is_due = |turn: &mut Turn| match piece {
            Some(Piece::Opening) => false,
            // Only what says something is worth spoiling.
            Some(Piece::Frame) => self.content >= turn.after && !matches!(turn.what, What::Spoil),
            Some(Piece::Content) => self.content >= turn.after,
            // An answer with fewer content events than the script counts takes its turn before its finish.
            Some(Piece::Closing | Piece::Usage | Piece::End) | None => true,
        };
        if let Some(turn) = self.turn.take_if(is_due) {
            match turn.what {
                What::Cut => {
                    tokio::task::yield_now().await;
                    return Some(Err(broken()));
                }
                What::Stall => return std::future::pending().await,
                What::End => return None,
                What::Error(frame) => {
                    self.events = Vec::new().into_iter().peekable();
                    return Some(Ok(frame));
                }
                What::Spoil => {
                    let spoilt = self.events.peek().map(|event| halve(&event.frame))?;
                    // A broken copy comes before a finish, instead of it, so that the finish is still there.
                    self.events.next_if(|event| event.piece == Piece::Content);
                    return Some(Ok(spoilt));
                }
                What::Insert(frame) => return Some(Ok(frame)),
                What::Line(bytes) => {
                    let line = self.line.insert(Line::new(b"data: {\"id\": \"", bytes));
                    return line.next().map(Ok);
                }
            }
        }
        let event = self.events.next()?;
        if event.piece == Piece::Content && self.content == 0 && self.waits.first.is_some() {
            wait(self.waits.first).await;
        } else if self.played > 0 {
            wait(self.waits.gap).await;
        }
        self.played += 1;
        self.content += usize::from(event.piece == Piece::Content);
        Some(Ok(stamp::stamp(event.frame)))
    }
}

/// The frame with half of its data.
fn halve(frame: &Bytes) -> Bytes {
    const DATA: &[u8] = b"data: ";
    let start = frame.windows(DATA.len()).position(|part| part == DATA).map_or(0, |at| at + DATA.len());
    // Not within a character: what is broken is the JSON, not the encoding.
    let mut end = start + (frame.len() - start) / 2;
    while end > start && frame[end] & 0b1100_0000 == 0b1000_0000 {
        end -= 1;
    }
    [&frame[..end], b"\n\n"].concat().into()
}

async fn wait(duration: Option<Duration>) {
    // Even the shortest sleep lasts until the timer's next millisecond.
    if let Some(duration) = duration.filter(|duration| !duration.is_zero()) {
        tokio::time::sleep(duration).await;
    }
}

/// The error that ends a connection in the middle of an answer.
fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the script cuts this answer")
}
