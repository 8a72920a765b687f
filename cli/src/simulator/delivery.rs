//! Plays a reply over HTTP: at once, or with the waits and breaks that a script asks for.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;

use super::journal::Presence;
use super::reply::{Event, Piece, Reply, ReplyBody};
use super::script::{Fault, Step};
use super::{server, stamp};

/// Where a played answer breaks off, counted in content events or, for a whole answer, in bytes.
#[derive(Clone)]
enum Break {
    Cut(usize),
    Stall(usize),
    Error(usize, Bytes),
}

pub fn play(reply: Reply, step: &Step, mut presence: Presence) -> Response {
    let Reply { status, content_type, headers, body } = reply;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let into = response.headers_mut();
    into.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(value) = step.retry_after.as_ref().and_then(|value| value.parse().ok()) {
        into.insert(RETRY_AFTER, value);
    }
    for (name, value) in headers.iter().chain(&step.headers) {
        // Names and values that HTTP cannot carry are left out; a script may hold any text.
        if let (Ok(name), Ok(value)) = (name.parse::<axum::http::HeaderName>(), value.parse()) {
            into.insert(name, value);
        }
    }
    *response.body_mut() = match (body, &step.fault) {
        (_, Some(Fault::Empty)) => {
            presence.served();
            Body::empty()
        }
        (ReplyBody::Whole(bytes), fault) => {
            into.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            let ending = match fault {
                Some(Fault::Cut(count)) => Some(Break::Cut(*count)),
                Some(Fault::Stall(count)) => Some(Break::Stall(*count)),
                _ => None,
            };
            if ending.is_none() && step.first.is_none() {
                presence.served();
                Body::from(bytes)
            } else {
                play_whole(bytes, step.first, ending, presence)
            }
        }
        (ReplyBody::Events { mut events, error }, fault) => {
            let ending = match fault {
                Some(Fault::Cut(count)) => Some(Break::Cut(*count)),
                Some(Fault::Stall(count)) => Some(Break::Stall(*count)),
                Some(Fault::ErrorEvent(count)) => Some(Break::Error(*count, error)),
                _ => None,
            };
            events.retain(|event| match fault {
                Some(Fault::NoDone) => event.piece != Piece::End,
                Some(Fault::NoFinish) => event.piece != Piece::Closing,
                _ => true,
            });
            let waits = Waits { first: step.first, gap: step.gap };
            Playing { events: events.into_iter().peekable(), waits, ending, played: 0, content: 0, presence }
                .into_body()
        }
    };
    response
}

fn play_whole(bytes: Bytes, first: Option<Duration>, ending: Option<Break>, presence: Presence) -> Body {
    // States: the wait and what is sent, then how it ends.
    let start = Some((Some(bytes), presence));
    Body::from_stream(stream::unfold(start, move |state| {
        let ending = ending.clone();
        async move {
            let (bytes, mut presence) = state?;
            if let Some(bytes) = bytes {
                wait(first).await;
                let (part, ended) = match &ending {
                    Some(Break::Cut(count) | Break::Stall(count)) => (bytes.slice(..bytes.len().min(*count)), false),
                    _ => (bytes, true),
                };
                if ended {
                    presence.served();
                }
                return Some((Ok(part), (!ended).then_some((None, presence))));
            }
            if let Some(Break::Stall(_)) = ending {
                return std::future::pending().await;
            }
            presence.served();
            // The server writes out what it has when it finds nothing more to do; only then may the break come.
            tokio::task::yield_now().await;
            Some((Err(server::broken()), None))
        }
    }))
}

struct Waits {
    first: Option<Duration>,
    gap: Option<Duration>,
}

struct Playing {
    events: std::iter::Peekable<std::vec::IntoIter<Event>>,
    waits: Waits,
    ending: Option<Break>,
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
        let piece = self.events.peek().map(|event| event.piece);
        // An answer with fewer content events than the break asks for breaks before its finish.
        let due = |count: usize| self.content >= count || piece != Some(Piece::Content);
        if piece != Some(Piece::Opening) {
            match &self.ending {
                Some(Break::Cut(count)) if due(*count) => {
                    tokio::task::yield_now().await;
                    return Some(Err(server::broken()));
                }
                Some(Break::Stall(count)) if due(*count) => return std::future::pending().await,
                Some(Break::Error(count, frame)) if due(*count) => {
                    let frame = frame.clone();
                    self.ending = None;
                    self.events = Vec::new().into_iter().peekable();
                    return Some(Ok(frame));
                }
                _ => {}
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

async fn wait(duration: Option<Duration>) {
    // Even the shortest sleep lasts until the timer's next millisecond.
    if let Some(duration) = duration.filter(|duration| !duration.is_zero()) {
        tokio::time::sleep(duration).await;
    }
}
