//! A request that a panic ends is still answered and logged: the hook does both before the sandbox dies.
//!
//! In Wasm a panic aborts the instance, so nothing after it runs but the hook. What it prints is fixed text: a panic's
//! message could hold part of a prompt.

use std::cell::RefCell;
use std::time::{Duration, Instant, SystemTime};

use fastly::Body;

use crate::edge::compute;
use crate::record::Record;
use crate::record::line;
use crate::visit::{ABORT_DELAY, settle};

struct Current {
    record: Record,
    received: Instant,
    answered: bool,
    logged: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// Notes that a request has come, of which nothing but the id is known yet.
pub fn note_started(id: &str, received: Instant) {
    let record = Record { id: id.to_owned(), ..Record::default() };
    CURRENT.with_borrow_mut(|current| *current = Some(Current { record, received, answered: false, logged: false }));
}

/// Notes what is known of the request that is being served.
pub fn note_received(record: Record) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(current) = current {
            current.record = record;
        }
    });
}

/// Notes that the client has been sent a head.
pub fn note_answered() {
    CURRENT.with_borrow_mut(|current| {
        if let Some(current) = current {
            current.answered = true;
        }
    });
}

/// Notes that the request has its log line.
pub fn note_logged() {
    CURRENT.with_borrow_mut(|current| {
        if let Some(current) = current {
            current.logged = true;
        }
    });
}

pub fn set_hook() {
    std::panic::set_hook(Box::new(|_| {
        let current = CURRENT.try_with(|current| current.try_borrow_mut().ok().and_then(|mut current| current.take()));
        // Whatever panicked before a request was noted, somebody waits for an answer.
        let unknown = || Current {
            record: Record { id: super::request_id(), ..Record::default() },
            received: Instant::now(),
            answered: false,
            logged: false,
        };
        let Current { mut record, received, answered, logged } = current.ok().flatten().unwrap_or_else(unknown);
        record.timings.total = Some(received.elapsed());
        let (record, answer) = match answered {
            true => (settle::after_late_panic(record), None),
            false => {
                let (record, head, body) = settle::after_panic(record);
                (record, Some((head, body)))
            }
        };
        if !logged {
            let now: Duration = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            compute::Sandbox::default().log(&line::line(&record, now, 0));
        }
        match answer {
            Some((head, body)) => compute::response(&head).send_to_client(Body::from(body).into_handle()),
            // The answer under way is aborted with the sandbox.
            None => std::thread::sleep(ABORT_DELAY),
        }
    }));
}
