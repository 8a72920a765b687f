//! The one exit of a request: whatever happened, it ends here with what it cost, its answer if that has not gone out, and its
//! log line.

use std::rc::Rc;

use http::{HeaderMap, StatusCode};

use crate::door::answer_headers;
use crate::error::{Error, Kind};
use crate::platform::{Platform, ResponseHead};
use crate::policy::{ModelId, Policy};
use crate::record::estimate::{self, Basis};
use crate::record::{Billing, Record};
use crate::visit::{BrokenOff, Visit};
use crate::wire::facts::AnswerFacts;
use crate::wire::media;

/// How a request ended.
#[derive(Debug)]
pub struct Settled {
    pub served: Option<Served>,
    pub ending: Ending,
}

/// Whose answer the client got, and what that told about itself.
#[derive(Debug)]
pub struct Served {
    pub policy: Rc<Policy>,
    pub model: ModelId,
    pub facts: AnswerFacts,
}

/// What the client got, or is still to get.
#[derive(Debug)]
pub enum Ending {
    /// An answer that is still to be sent, as JSON.
    Answer(StatusCode, Vec<u8>),
    /// A stream that went out whole.
    Streamed,
    /// A stream whose rest was left to the platform; how it ends is not known.
    HandedOver,
    ClientGone,
    /// An error that the client has not been told yet.
    Failed(Error),
}

impl Settled {
    /// An answer of the gateway's own.
    pub fn answer(status: StatusCode, body: Vec<u8>) -> Self {
        Self { served: None, ending: Ending::Answer(status, body) }
    }

    /// A request that ends with an error.
    pub fn failed(error: Error) -> Self {
        Self { served: None, ending: Ending::Failed(error) }
    }
}

/// Notes how the request ended and what it cost, answers if nothing has gone out, and writes the log line.
pub fn settle<P: Platform>(mut visit: Visit<'_, P>, settled: Settled) {
    let is_cut = matches!(settled.ending, Ending::ClientGone | Ending::Failed(_));
    note_costs(&mut visit, settled.served, is_cut);
    match settled.ending {
        Ending::Answer(status, body) => return visit.answer(status, body),
        Ending::Streamed => {}
        Ending::HandedOver => visit.note(|record| record.handed_off = true),
        Ending::ClientGone => visit.note(|record| record.client_closed = true),
        Ending::Failed(error) => match visit.break_off(&error) {
            BrokenOff::Told => visit.note(|record| record.failed(&error)),
            BrokenOff::ClientGone => visit.note(|record| record.client_closed = true),
            BrokenOff::Nothing => {
                visit.note(|record| record.failed(&error));
                visit.add_headers(answer_headers::of_error(&error));
                return visit.answer(error.kind.status(), error.body());
            }
        },
    }
    visit.log();
}

/// What the answer told about itself, and what it cost; also what those attempts may have cost that did not serve, and one
/// whose answer was cut before its provider had counted it.
fn note_costs<P: Platform>(visit: &mut Visit<'_, P>, served: Option<Served>, is_cut: bool) {
    let now = visit.platform.elapsed();
    visit.note(|record| {
        if let Some(Served { policy, model, facts }) = served {
            let AnswerFacts { tally, model: response_model, finish_reasons, .. } = facts;
            let price = policy.model(model).price;
            record.cost = tally.usage.zip(price).map(|(usage, price)| usage.cost(&price));
            (record.tally, record.response_model, record.finish_reasons) = (tally, response_model, finish_reasons);
        }
        let tally = record.tally;
        match record.end_serving(now, tally) {
            Some(attempt) if is_cut && tally.usage.is_none() => attempt.billing = Billing::Possible,
            Some(_) => {}
            // It has broken before, so that what was counted is its own bill.
            None => record.cost = None,
        }
        let basis = Basis { served: tally.usage, input_tokens: record.input_tokens };
        for attempt in &mut record.attempts {
            attempt.estimate = estimate::cost(attempt, basis);
        }
    });
}

/// The record and the answer of a request that a panic ended before its client had a head.
pub fn after_panic(record: Record) -> (Record, ResponseHead, Vec<u8>) {
    let error = panicked();
    let body = error.body();
    let (status, bytes_sent) = (error.kind.status().as_u16(), body.len() as u64);
    let record = Record { status, bytes_sent, error: Some(error.kind.code().into()), ..record };
    let head = answer_headers::head(&record, error.kind.status(), media::JSON, HeaderMap::new());
    (record, head, body)
}

/// The record of a request that a panic ended after its client had a head.
pub fn after_late_panic(record: Record) -> Record {
    Record { error: Some(panicked().kind.code().into()), ..record }
}

fn panicked() -> Error {
    Error::new(Kind::Internal, "The gateway failed; the request id is in x-route-id.")
}
