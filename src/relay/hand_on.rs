//! Hands an answer on to another execution: its state first, then, once that one has shown that it has taken it, a word to go on,
//! the rest of the provider's body, host to host, and the other's answer to the client.
//!
//! Nothing is given away before it is taken: where somebody answers otherwise, or not in time, the answer stays as it was. An
//! answer that the client gets whole has its head from the last execution, so whether one would take it is asked beforehand.

use std::rc::Rc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::attempt::answer_stream::{AnswerStream, Parts, StreamKeys, StreamState};
use crate::attempt::witness::Witness;
use crate::platform::{Clearance, Platform, Target, UpstreamRequest, UpstreamResponse, Wait};
use crate::policy::PlatformLimits;
use crate::relay::frame::{self, FrameKeys, NONCE_BYTES, Nonce};
use crate::relay::hop::PATH;
use crate::relay::passage::{Mode, Passage};
use crate::secret::Secret;
use crate::upstream::headers::CONTINUATION;
use crate::upstream::keyring::Continuation;
use crate::upstream::sealer::Sealer;
use crate::visit::{Visit, VisitState};
use crate::wire::call_tag::CallTags;
use crate::wire::carried::{self, carried};
use crate::wire::facts::AnswerFacts;
use crate::wire::mac::write_hex;
use crate::wire::media;
use crate::wire::transfer::Transfer;

/// The header in which whoever takes an answer shows that it has the key.
pub const PROOF: HeaderName = HeaderName::from_static(CONTINUATION);
/// What follows once an answer was taken, before the provider's bytes: without it nobody goes on.
pub const GO: &[u8] = b"\n";
/// How long it is waited for that a whole answer is refused.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(300);
/// How long it is waited for that an answer is taken.
const TAKING_TIMEOUT: Duration = Duration::from_millis(1_200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long the platform waits for the head of a whole answer that was taken: longer than any takes.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(2_400);
/// How long it waits between two reads of an answer: longer than any deadline between two pieces.
const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(300);

/// All that another execution needs to go on. Values only: neither policy nor client is asked again.
pub struct State {
    pub visit: VisitState,
    pub stream: StreamState,
    pub witness: Witness,
    pub terms: TermsState,
}

carried!(State { visit, stream, witness, terms });

/// What the answer keeps to from here on.
pub struct TermsState {
    pub first_piece: Duration,
    pub idle: Duration,
    /// How long nothing has come.
    pub silence: Duration,
    /// How long the answer may take from now.
    pub left: Duration,
    /// What the next execution may use, and how many may go on after it.
    pub limits: PlatformLimits,
    pub mode: Mode,
    pub is_patient: bool,
}

carried!(TermsState { first_piece, idle, silence, left, limits, mode, is_patient });

/// What came of handing an answer on.
pub enum HandedOn<P: Platform> {
    /// Another execution goes on, and sees to the client and to the log.
    Taken,
    /// Nobody took it; it goes on here as it was.
    Refused(Passage<P>),
    /// Nobody took it, and it cannot go on here either.
    Lost(AnswerFacts),
}

/// Hands on what is left of an answer.
pub fn hand_on<P: Platform>(
    visit: &mut Visit<'_, P>,
    passage: Passage<P>,
    witness: &Witness,
    continuation: &Continuation,
) -> HandedOn<P> {
    let (terms, silence, told) = (passage.terms, passage.silence, passage.answer.delivery.transfer());
    let facts = passage.answer.delivery.facts.clone();
    let Parts { state: stream, held, rest, body } = match passage.answer.into_parts() {
        Ok(parts) => parts,
        Err(answer) => return HandedOn::Refused(Passage::new(terms, answer)),
    };
    let state = State {
        visit: visit.state(),
        stream,
        witness: witness.clone(),
        terms: TermsState {
            first_piece: terms.first_piece,
            idle: terms.idle,
            silence,
            left: terms.total.saturating_sub(visit.platform.elapsed()),
            limits: terms.allowance.of_next(),
            mode: terms.mode,
            is_patient: terms.is_patient,
        },
    };
    let load = || Load { state: carried::write(&state), held: &held };
    let taken = Taker::find(visit.platform, continuation).and_then(|taker| match told {
        Transfer::Stream => taker.offer(load()),
        Transfer::Whole => {
            taker.ask(Load::NONE)?;
            let Sent { nonce, pending, upload } = taker.send(load())?;
            // Whoever takes it says nothing yet.
            let is_refused = visit.platform.wait_first(&[Wait::Response(&pending)], Some(REFUSAL_TIMEOUT)).is_some();
            // What stands behind it is the answer's own end.
            let _behind = if is_refused { None } else { taker.give(&nonce) }?;
            Some(Taken { nonce, answer: Next::Pending(pending), upload })
        }
    });
    let Some(Taken { nonce, answer, mut upload }) = taken else {
        let keys = stream_keys(&state.stream, &continuation.roots);
        let parts = Parts { state: state.stream, held, rest, body };
        return AnswerStream::from_parts(parts, keys)
            .map_or(HandedOn::Lost(facts), |answer| HandedOn::Refused(Passage::new(terms, Box::new(answer))));
    };
    let platform = visit.platform;
    let beginning = [GO, &rest].concat();
    // The answer is the other execution's by now, which tells of a way that breaks.
    let _ = platform.write(&mut upload, &beginning, || TAKING_TIMEOUT).and_then(|()| platform.hand_over(upload, body));
    match answer {
        Next::Pending(pending) => visit.leave_answer(pending),
        Next::Body { body, behind } => visit.hand_on(body, behind, &nonce_key(END, &nonce)),
    }
    HandedOn::Taken
}

/// The key in the POP's cache under which an execution tells the end of the answer that it took with this nonce.
pub const END: &str = "continuation-end/";
/// The office in the POP of the one of two executions that gives up an answer, so that the other one has it: whoever hands it on takes
/// it before the word to go on, whoever waits for the word where the way breaks before that.
pub const GIVEN_UP: &str = "continuation-given-up/";
/// How long it is known who has given up: longer than the word to go on is waited for.
const GIVEN_UP_AGE: Duration = Duration::from_secs(30);

/// Whether whoever asks is the one that gives up the answer with this nonce.
pub fn gives_up<P: Platform>(platform: &P, nonce: &Nonce) -> bool {
    platform.elect(&nonce_key(GIVEN_UP, nonce), GIVEN_UP_AGE)
}

/// What the execution publishes that has taken the answer with this nonce; nothing if that has another cache.
pub fn end_of<P: Platform>(platform: &P, nonce: &Nonce) -> Option<P::Body> {
    platform.follow(&nonce_key(END, nonce))
}

/// A key for what belongs to a nonce.
pub fn nonce_key(prefix: &str, nonce: &Nonce) -> String {
    let mut key = prefix.to_owned();
    write_hex(nonce, &mut key);
    key
}

/// What seals the thoughts, and tags the calls, of an answer that comes with such a state.
pub fn stream_keys(state: &StreamState, roots: &[Secret<String>]) -> StreamKeys {
    let sealer = state.sealer_origin().and_then(|origin| Sealer::of_origin(origin, roots)).map(Rc::new);
    let tagger = state.tagged_origin().and_then(|origin| CallTags::new(roots)?.tagger(origin));
    StreamKeys { sealer, tagger }
}

/// What goes to another execution before the rest of the provider's body.
struct Load<'l> {
    state: Vec<u8>,
    held: &'l [u8],
}

impl<'l> Load<'l> {
    /// An empty state only asks whether one would be taken.
    const NONE: Load<'static> = Load { state: Vec::new(), held: b"" };

    /// With a nonce behind it, an empty state gives up that answer, and asks for its end.
    fn giving_up(nonce: &'l Nonce) -> Self {
        Self { state: Vec::new(), held: nonce }
    }
}

/// One who may take an answer.
struct Taker<'t, P: Platform> {
    platform: &'t P,
    url: String,
    backend: P::Backend,
    keys: FrameKeys,
}

/// A request under way to one who may take an answer.
struct Sent<P: Platform> {
    nonce: Nonce,
    pending: P::Pending,
    upload: P::Downstream,
}

/// A request that was answered as one is by who has the key.
struct Asked<P: Platform> {
    nonce: Nonce,
    body: P::Body,
    upload: P::Downstream,
}

/// An answer that was taken: what the client gets from here on, and where the rest of the provider's body goes.
struct Taken<P: Platform> {
    nonce: Nonce,
    answer: Next<P>,
    upload: P::Downstream,
}

enum Next<P: Platform> {
    /// What follows behind what the client has, and what follows behind that.
    Body { body: P::Body, behind: P::Body },
    /// A whole answer with its head.
    Pending(P::Pending),
}

impl<'t, P: Platform> Taker<'t, P> {
    /// Nothing if nobody can be reached there.
    fn find(platform: &'t P, continuation: &Continuation) -> Option<Self> {
        let Continuation { url, roots } = continuation;
        let target = Target {
            url: url.clone(),
            clearance: if url.tls { Clearance::Listed } else { Clearance::Loopback },
            connect_timeout: CONNECT_TIMEOUT,
            first_byte_timeout: FIRST_BYTE_TIMEOUT,
            between_bytes_timeout: BETWEEN_BYTES_TIMEOUT,
            max_connections: 0,
            tcp_keepalive: None,
        };
        let backend = platform.backend(&target).ok()?;
        Some(Self { platform, url: format!("{url}{PATH}"), backend, keys: FrameKeys::new(roots) })
    }

    /// Sends a load, and waits until it is taken.
    fn offer(&self, load: Load<'_>) -> Option<Taken<P>> {
        let Asked { nonce, body, upload } = self.ask(load)?;
        let behind = self.give(&nonce)?;
        Some(Taken { nonce, answer: Next::Body { body, behind }, upload })
    }

    /// Gives up the answer with this nonce, and finds its end; nothing if it is not taken, or not any more.
    ///
    /// Two services have two caches, though they are in one POP. Then the other one is asked to see to it in its own.
    fn give(&self, nonce: &Nonce) -> Option<P::Body> {
        if let Some(end) = end_of(self.platform, nonce) {
            return gives_up(self.platform, nonce).then_some(end);
        }
        let Asked { body, upload, .. } = self.ask(Load::giving_up(nonce))?;
        // A request that breaks off would take its answer along.
        self.platform.finish(upload).ok()?;
        Some(body)
    }

    /// Sends a load, and waits until somebody shows that it has opened its head.
    fn ask(&self, load: Load<'_>) -> Option<Asked<P>> {
        let Sent { nonce, pending, upload } = self.send(load)?;
        self.platform.wait_first(&[Wait::Response(&pending)], Some(TAKING_TIMEOUT))?;
        let UpstreamResponse { status, headers, body } = self.platform.response(pending).ok()?;
        let is_taken = status == StatusCode::OK
            && headers.get(PROOF).is_some_and(|proof| self.keys.is_proof(&nonce, proof.as_bytes()));
        is_taken.then_some(Asked { nonce, body, upload })
    }

    fn send(&self, load: Load<'_>) -> Option<Sent<P>> {
        let Load { state, held } = load;
        let nonce = self.nonce();
        let head = self.keys.head(self.platform.unix_time(), nonce, frame::Load { state: &state, held })?;
        let mut headers = HeaderMap::with_capacity(1);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::OCTETS));
        let body = [&head[..], &state, held].concat();
        let request = UpstreamRequest { method: Method::POST, url: self.url.clone(), headers, body };
        let (pending, upload) = self.platform.open(&self.backend, request).ok()?;
        Some(Sent { nonce, pending, upload })
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = [0; NONCE_BYTES];
        for part in nonce.chunks_exact_mut(size_of::<u64>()) {
            part.copy_from_slice(&self.platform.random().to_be_bytes());
        }
        nonce
    }
}
