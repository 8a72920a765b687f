//! One request under way: the platform that serves it, what its sandbox remembers, what is known of it so far, and the only
//! way to its client.
//!
//! Steps return what they learned, and it is noted here. Nothing is read back from the record but to make the answer's headers
//! and the log line. An answer is either one whole body or a stream, whose head goes out with its first bytes; what stands in
//! the head is what was known by then.

pub mod settle;

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::admit::look_ups::{Found, Refused};
use crate::admit::memory::Memory;
use crate::door::answer_headers;
use crate::error::Error;
use crate::platform::{ClientGone, Platform, ResponseHead};
use crate::record::{AttemptEnd, AttemptRecord, Billing, Reason, Record, Word, line};
use crate::secret::Secret;
use crate::upstream::keyring::Keyring;
use crate::wire::carried::carried;
use crate::wire::media;
use crate::wire::usage::Tally;

/// How often a client that waits hears that somebody is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client may take nothing of its answer before it counts as gone.
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// How long a client may take nothing at the end of its request's time, at least.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// One request under way.
pub struct Visit<'a, P: Platform> {
    pub platform: &'a P,
    pub keyring: &'a Keyring<'a, P>,
    pub memory: &'a Memory,
    record: Record,
    /// The headers that the answer carries whatever it is.
    headers: HeaderMap,
    sent: SendState<P>,
    /// When the client gets a comment, on [`Platform::elapsed`]'s clock, while it is kept waiting.
    comment_due: Option<Duration>,
    /// What is to be done once the client has its answer.
    afterwards: Vec<Afterwards<'a, P>>,
    /// What the client gets behind its stream, from where the execution before this one has left it: nothing if it is whole, else
    /// the error, should the way between break.
    postscript: Option<P::Downstream>,
    /// What the executions before this one have used of the request's time, and of CPU time in milliseconds.
    before: Duration,
    vcpu_ms_before: u64,
}

/// How often, and how far apart, is written to a client that may have left.
const PROBES: u32 = 10;
const PROBE_GAP: Duration = Duration::from_millis(100);
/// How long what was written has to leave before an answer is broken off, in each execution on the way: the host closes at once,
/// with what it has not sent yet, and flushing is not waited for.
pub const ABORT_DELAY: Duration = Duration::from_millis(200);
/// No longer than is left at the end of an execution.
const MAX_ABORT_DELAY: Duration = Duration::from_secs(1);

/// What a visit takes along to another execution.
pub struct VisitState {
    record: Record,
    /// The headers that a whole answer carries.
    headers: HeaderMap,
    /// How long ago the request was received.
    age: Duration,
    /// The CPU time that the request has used, in milliseconds.
    vcpu_ms: u64,
    /// When the client gets a comment, from now, while it is kept waiting.
    comment_in: Option<Duration>,
}

carried!(VisitState { record, headers, age, vcpu_ms, comment_in });

/// What is to be done once the client has its answer.
pub type Afterwards<'a, P> = Box<dyn FnOnce(&P) + 'a>;

/// How much of a streamed answer has gone out.
enum SendState<P: Platform> {
    /// Nothing, not even the head.
    Nothing,
    /// The head, and perhaps more.
    Open(P::Downstream),
    /// Its end, or the client has left.
    Over,
}

/// What came of breaking a stream off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenOff {
    /// There was no stream: an error is an answer like any other.
    Nothing,
    /// The client has been told the error.
    Told,
    ClientGone,
}

impl<'a, P: Platform> Visit<'a, P> {
    pub fn new(keyring: &'a Keyring<'a, P>, memory: &'a Memory, record: Record) -> Self {
        Self {
            platform: keyring.platform(),
            keyring,
            memory,
            record,
            headers: HeaderMap::new(),
            sent: SendState::Nothing,
            comment_due: None,
            afterwards: Vec::new(),
            postscript: None,
            before: Duration::ZERO,
            vcpu_ms_before: 0,
        }
    }

    /// Notes what a step learned.
    pub fn note(&mut self, add: impl FnOnce(&mut Record)) {
        add(&mut self.record);
    }

    pub fn note_reasons(&mut self, reasons: impl IntoIterator<Item = Reason>) {
        reasons.into_iter().for_each(|reason| self.record.reason(reason));
    }

    /// Notes who is asking and by which policy.
    pub fn note_found<B>(&mut self, found: &Found<'_, B>) {
        let record = &mut self.record;
        record.timings.policy = Some(found.policy_known);
        record.timings.auth = Some(found.client_known);
        if let Ok(in_force) = found.policy.in_force() {
            record.policy = Some(in_force.label.to_string());
            if found.policy.fault().is_some() {
                record.reason(Reason::PolicyStale);
            }
        }
        if found.client.is_stale {
            record.reason(Reason::ClientStale);
        }
        record.refusal = found.client.refusal.map(|refusal| refusal.as_str().into());
        match &found.client.refused {
            Some(Refused::Client(id)) => record.client = Some(id.clone()),
            Some(Refused::Claimed(id)) => record.claimed_client = Some(id.clone()),
            None => {}
        }
        if let Ok(client) = &found.client.client {
            record.client = Some(client.id.clone());
            record.tags.clone_from(&client.tags);
        }
    }

    /// Notes an attempt that has ended and does not serve.
    pub fn note_attempt(&mut self, attempt: AttemptRecord) {
        if !attempt.end.is_answer() {
            self.memory.forget_index();
        }
        self.record.attempts.push(attempt);
    }

    /// Notes the attempt whose answer the client gets from here on, as far as it has come.
    pub fn note_serving(&mut self, attempt: AttemptRecord) {
        self.record.serves(attempt);
    }

    /// The attempt that serves has broken after it had begun: how, what an error meant that it ended with, and what it had used.
    pub fn note_broken(&mut self, end: AttemptEnd, meaning: Option<Word>, tally: Tally) {
        self.memory.forget_index();
        let now = self.now();
        if let Some(attempt) = self.record.end_serving(now, tally) {
            attempt.end = end;
            attempt.meaning = meaning;
            attempt.billing = Billing::Possible;
        }
    }

    /// Notes a key that a request is sent with, which the log must not show.
    pub fn note_key(&mut self, key: &Secret<String>) {
        self.record.keys.add(key);
    }

    /// Adds a header that the answer carries whatever it is, unless its head has gone out.
    pub fn add_headers(&mut self, headers: HeaderMap) {
        self.headers.extend(headers);
    }

    /// The record as far as it is known, for an answer that is about it.
    pub fn known(&self) -> &Record {
        &self.record
    }

    /// Leaves something to be done once the client has its answer.
    pub fn leave(&mut self, work: impl FnOnce(&P) + 'a) {
        self.afterwards.push(Box::new(work));
    }

    /// What was left to be done, once.
    pub fn take_afterwards(&mut self) -> Vec<Afterwards<'a, P>> {
        std::mem::take(&mut self.afterwards)
    }

    /// From now on the client gets a comment as often as somebody between might take the connection for dead.
    pub fn keep_alive(&mut self) {
        self.keep_alive_at(self.platform.elapsed() + KEEP_ALIVE);
    }

    /// As [`Visit::keep_alive`], but the first comment comes at `first`, on [`Platform::elapsed`]'s clock.
    pub fn keep_alive_at(&mut self, first: Duration) {
        self.comment_due = Some(first);
    }

    /// The client gets its answer.
    pub fn stop_keep_alive(&mut self) {
        self.comment_due = None;
    }

    /// When [`Visit::send_comment`] is due, on [`Platform::elapsed`]'s clock; nothing if never.
    pub fn comment_due(&self) -> Option<Duration> {
        self.comment_due
    }

    /// Sends a comment as [`Visit::write`] does.
    pub fn send_comment(&mut self, until: Duration) -> Result<(), ClientGone> {
        self.comment_due = self.comment_due.map(|due| due + KEEP_ALIVE);
        self.write(self.record.door.keep_alive(), until)
    }

    /// Sends bytes of a streamed answer, after the head if that has not gone out. `until` is when the request's time is over.
    pub fn write(&mut self, bytes: &[u8], until: Duration) -> Result<(), ClientGone> {
        let platform = self.platform;
        self.send(bytes, || until.saturating_sub(platform.elapsed()).clamp(LAST_PATIENCE, READER_PATIENCE))
    }

    /// Ends a streamed answer as a whole one.
    pub fn finish(&mut self) -> Result<(), ClientGone> {
        self.begin();
        let open = self.take_open()?;
        self.finish_postscript();
        self.platform.finish(open)
    }

    fn finish_postscript(&mut self) {
        if let Some(postscript) = self.postscript.take() {
            // Whoever does not get it is told as if the answer were not whole.
            let _ = self.platform.finish(postscript);
        }
    }

    /// Leaves the rest of a streamed answer to the platform: `read` has been read, `body` goes on from there.
    pub fn hand_over(&mut self, read: &[u8], body: P::Body) -> Result<(), ClientGone> {
        self.send(read, || LAST_PATIENCE)?;
        let open = self.take_open()?;
        self.finish_postscript();
        self.platform.hand_over(open, body)
    }

    /// Leaves the rest of a streamed answer to another execution: it sends `answer`, and `behind` it what it publishes under `end`.
    pub fn hand_on(&mut self, answer: P::Body, behind: P::Body, end: &str) {
        let platform = self.platform;
        let own = self.postscript.take().map(|postscript| (postscript, platform.follow(end)));
        // That a client has left is what the other execution finds.
        let _ = self.send(b"", || LAST_PATIENCE).and_then(|()| {
            let mut open = self.take_open()?;
            platform.append(&mut open, answer)?;
            platform.hand_over(open, behind)
        });
        if let Some((postscript, Some(behind))) = own {
            let _ = platform.hand_over(postscript, behind);
        }
    }

    /// Tells the client of a stream that its answer is not whole: one error event, then an aborted transfer.
    pub fn break_off(&mut self, error: &Error) -> BrokenOff {
        if matches!(self.sent, SendState::Nothing) {
            return BrokenOff::Nothing;
        }
        let event = error.event(self.record.door, &self.record.id);
        let open = self.send(&event, || LAST_PATIENCE).and_then(|()| self.take_open());
        // What is written on a way that has broken further off is lost without a word. Then the client gets what is behind it.
        let postscript = self.postscript.take().and_then(|mut postscript| {
            self.platform.write(&mut postscript, &event, || LAST_PATIENCE).ok().map(|()| postscript)
        });
        let ways: Vec<P::Downstream> = open.into_iter().chain(postscript).collect();
        if ways.is_empty() {
            return BrokenOff::ClientGone;
        }
        let now = self.now();
        self.record.timings.total.get_or_insert(now);
        // Executions on the way break off at once, with what they have not sent.
        self.platform.sleep((ABORT_DELAY * (1 + self.record.continued)).min(MAX_ABORT_DELAY));
        ways.into_iter().for_each(|way| self.platform.abort(way));
        BrokenOff::Told
    }

    /// Writes the log line and sends a whole answer, in this order: a client that has left ends the sandbox at the send.
    pub fn answer(mut self, status: StatusCode, body: Vec<u8>) {
        let now = self.now();
        self.record.status = status.as_u16();
        self.record.bytes_sent = body.len() as u64;
        self.record.timings.first_byte = Some(now);
        self.record.timings.total = Some(now);
        let headers = std::mem::take(&mut self.headers);
        let head = answer_headers::head(&self.record, status, media::JSON, headers);
        let platform = self.platform;
        self.log();
        platform.respond(head, body);
    }

    /// Writes the log line.
    pub fn log(mut self) {
        let now = self.now();
        self.record.timings.total.get_or_insert(now);
        self.record.secret_fault = self.keyring.fault();
        let vcpu_ms = self.vcpu_ms();
        self.record.hide_keys();
        self.platform.log(&line::line(&self.record, self.platform.unix_time(), vcpu_ms));
        self.depart();
    }

    /// Another execution writes the log line, or this one has.
    pub fn depart(self) {
        self.memory.vcpu_ms.set(self.platform.vcpu_ms());
    }

    /// What another execution needs to go on with this request.
    pub fn state(&self) -> VisitState {
        VisitState {
            record: self.record.clone(),
            headers: self.headers.clone(),
            age: self.now(),
            vcpu_ms: self.vcpu_ms(),
            comment_in: self.comment_due.map(|due| due.saturating_sub(self.platform.elapsed())),
        }
    }

    /// Goes on with a request that another execution has come so far with.
    pub fn resume(&mut self, state: VisitState) {
        let VisitState { mut record, headers, age, vcpu_ms, comment_in } = state;
        record.continued += 1;
        // Which of them a request was sent with nobody here knows.
        self.keyring.secrets().iter().for_each(|key| record.keys.add(key));
        if matches!(self.sent, SendState::Open(_)) {
            record.status = StatusCode::OK.as_u16();
            record.timings.first_byte.get_or_insert(age);
        }
        self.comment_due = comment_in.map(|wait| self.platform.elapsed() + wait);
        (self.record, self.headers, self.before, self.vcpu_ms_before) = (record, headers, age, vcpu_ms);
    }

    /// Begins to answer the execution that hands a stream on: its client has a head, or gets it now.
    pub fn take_over(&mut self, headers: HeaderMap, postscript: Option<P::Downstream>) {
        self.postscript = postscript;
        self.sent = SendState::Open(self.platform.start_response(ResponseHead { status: StatusCode::OK, headers }));
    }

    /// Whether the way to the client of a stream is gone. Only a write shows that, and not the first one.
    pub fn has_lost_client(&mut self) -> bool {
        let is_open = matches!(self.sent, SendState::Open(_));
        is_open
            && (0..PROBES).any(|_| {
                self.platform.sleep(PROBE_GAP);
                self.send(self.record.door.keep_alive(), || LAST_PATIENCE).is_err()
            })
    }

    /// Leaves the whole answer to another execution.
    pub fn leave_answer(&mut self, pending: P::Pending) {
        self.sent = SendState::Over;
        self.platform.leave_answer(pending);
    }

    /// How long ago the request was received.
    pub fn now(&self) -> Duration {
        self.before + self.platform.elapsed()
    }

    /// The CPU time that the request has used, in milliseconds: since the sandbox's last log line, and in other executions.
    fn vcpu_ms(&self) -> u64 {
        self.vcpu_ms_before + self.platform.vcpu_ms().saturating_sub(self.memory.vcpu_ms.get())
    }

    /// Sends the head of a streamed answer, once.
    fn begin(&mut self) {
        if matches!(self.sent, SendState::Nothing) {
            self.record.status = StatusCode::OK.as_u16();
            let headers = std::mem::take(&mut self.headers);
            let head = answer_headers::head(&self.record, StatusCode::OK, media::EVENT_STREAM, headers);
            self.record.timings.first_byte = Some(self.now());
            self.sent = SendState::Open(self.platform.start_response(head));
        }
    }

    /// The stream under way, to be ended.
    fn take_open(&mut self) -> Result<P::Downstream, ClientGone> {
        match std::mem::replace(&mut self.sent, SendState::Over) {
            SendState::Open(downstream) => Ok(downstream),
            SendState::Nothing | SendState::Over => Err(ClientGone),
        }
    }

    fn send(&mut self, bytes: &[u8], patience: impl Fn() -> Duration) -> Result<(), ClientGone> {
        self.begin();
        let SendState::Open(downstream) = &mut self.sent else { return Err(ClientGone) };
        if bytes.is_empty() {
            return Ok(());
        }
        self.platform.write(downstream, bytes, patience)?;
        self.record.bytes_sent += bytes.len() as u64;
        Ok(())
    }
}
