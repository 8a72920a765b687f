//! The one exit of a request: whatever happened, it ends here with what it cost, its answer if that has not gone out, and its
//! log line.

use http::{HeaderMap, StatusCode};

use crate::door::answer_headers;
use crate::error::{Error, Kind};
use crate::platform::{Platform, ResponseHead};
use crate::record::estimate::{self, Basis};
use crate::record::{Billing, Record};
use crate::visit::{BrokenOff, Visit};
use crate::wire::facts::AnswerFacts;
use crate::wire::media;

/// How a request ended.
#[derive(Debug)]
pub struct Settled {
    /// What the answer that the client got told about itself, if a candidate's served.
    pub facts: Option<AnswerFacts>,
    pub ending: Ending,
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
    /// Another execution goes on, which settles the request.
    Elsewhere,
    ClientGone,
    /// An error that the client has not been told yet.
    Failed(Error),
}

impl Ending {
    /// Whether the answer was good as far as it was seen; of one that another execution goes on with, that one says it.
    pub fn is_good(&self) -> bool {
        match self {
            Ending::Answer(..) | Ending::Streamed | Ending::HandedOver => true,
            Ending::Elsewhere | Ending::ClientGone | Ending::Failed(_) => false,
        }
    }
}

impl Settled {
    /// An answer of the gateway's own.
    pub fn answer(status: StatusCode, body: Vec<u8>) -> Self {
        Self { facts: None, ending: Ending::Answer(status, body) }
    }

    /// A request that ends with an error.
    pub fn failed(error: Error) -> Self {
        Self { facts: None, ending: Ending::Failed(error) }
    }
}

/// Notes how the request ended and what it cost, answers if nothing has gone out, and writes the log line.
pub fn settle<P: Platform>(mut visit: Visit<'_, P>, settled: Settled) {
    let Settled { facts, ending } = settled;
    if matches!(ending, Ending::Elsewhere) {
        return visit.depart();
    }
    let is_cut = matches!(ending, Ending::ClientGone | Ending::Failed(_));
    note_costs(&mut visit, facts, is_cut);
    match ending {
        Ending::Answer(status, body) => return visit.answer(status, body),
        Ending::Streamed | Ending::Elsewhere => {}
        Ending::HandedOver => visit.note(|record| record.handed_off = true),
        Ending::ClientGone => visit.note(|record| record.client_closed = true),
        Ending::Failed(error) => match visit.break_off(&error) {
            BrokenOff::Told => visit.note(|record| record.failed(&error)),
            BrokenOff::ClientGone => visit.note(|record| record.client_closed = true),
            BrokenOff::Nothing => {
                visit.note(|record| record.failed(&error));
                let Record { door, id, .. } = visit.known();
                let (door, body) = (*door, error.body(*door, id));
                visit.add_headers(answer_headers::of_error(&error, door));
                return visit.answer(error.status(door), body);
            }
        },
    }
    visit.log();
}

/// What the answer told about itself, and what it cost; also what those attempts may have cost that did not serve, and one
/// whose answer was cut before its provider had counted it.
fn note_costs<P: Platform>(visit: &mut Visit<'_, P>, facts: Option<AnswerFacts>, is_cut: bool) {
    let now = visit.now();
    visit.note(|record| {
        if let Some(AnswerFacts { tally, model, finish_reasons, .. }) = facts {
            (record.tally, record.response_model, record.finish_reasons) = (tally, model, finish_reasons);
        }
        let (tally, input_tokens) = (record.tally, record.input_tokens);
        // One that has broken before has its own bill.
        if let Some(attempt) = record.end_serving(now, tally) {
            let price = attempt.price;
            let usage = match tally.usage {
                None if is_cut => {
                    attempt.billing = Billing::Possible;
                    None
                }
                None => {
                    record.cost_is_estimated = true;
                    estimate::served(&tally, input_tokens)
                }
                counted => counted,
            };
            record.cost = usage.zip(price).map(|(usage, price)| usage.cost(&price));
        }
        record.cost_is_estimated &= record.cost.is_some();
        let basis = Basis { served: tally.usage, input_tokens };
        for attempt in &mut record.attempts {
            attempt.estimate = estimate::cost(attempt, basis);
        }
    });
}

/// The record and the answer of a request that a panic ended before its client had a head.
pub fn after_panic(record: Record) -> (Record, ResponseHead, Vec<u8>) {
    let error = panicked();
    let body = error.body(record.door, &record.id);
    let (status, bytes_sent) = (error.status(record.door), body.len() as u64);
    let record = Record { status: status.as_u16(), bytes_sent, error: Some(error.kind.code().into()), ..record };
    let head = answer_headers::head(&record, status, media::JSON, HeaderMap::new());
    (record, head, body)
}

/// The record of a request that a panic ended after its client had a head.
pub fn after_late_panic(record: Record) -> Record {
    Record { error: Some(panicked().kind.code().into()), ..record }
}

fn panicked() -> Error {
    Error::new(Kind::Internal, "The gateway failed; the request id is in x-route-id.")
}
