//! Goes on with an answer that another execution hands on (`hand_on`).
//!
//! Whoever sends anything else than the gateway itself gets what any unknown path gets, and nothing is done for it: little is
//! read before the head shows who sent it, each head is good once, and what follows must be what it announces.

use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};

use crate::attempt::answer_stream::{AnswerStream, Parts};
use crate::platform::allowance::Allowance;
use crate::platform::{ClientGone, Platform, Wait};
use crate::relay::frame::{Announced, FrameKeys, HEAD_BYTES, Nonce, VALIDITY};
use crate::relay::hand_on::{self, END, GIVEN_UP, GO, PROOF, State, TermsState, end_of, gives_up, nonce_key};
use crate::relay::passage::{End, Interruption, Passage, Terms};
use crate::relay::{conclude, note_broken};
use crate::secret::Secret;
use crate::upstream::keyring::Continuation;
use crate::upstream::stream::Break;
use crate::visit::Visit;
use crate::visit::settle::{Ending, Settled};
use crate::wire::carried;
use crate::wire::transfer::Transfer;

/// The path at which answers are taken.
pub const PATH: &str = "/.tiergate/continuation";
/// How long the head and the state may take to come.
const STATE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of a stream is found once it has been begun: until the execution before this one looks for it.
const END_AGE: Duration = Duration::from_secs(10);
/// The most that one read brings, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Nothing that the gateway has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign;

/// What another execution has sent.
struct Load {
    /// Nothing where it only asks whether one would be taken.
    state: Option<State>,
    held: Vec<u8>,
    roots: Vec<Secret<String>>,
    /// What shows that it was taken.
    proof: HeaderMap,
    nonce: Nonce,
}

/// Takes what the body brings and goes on with it to its end.
///
/// # Errors
/// [`Foreign`]; then nothing was done.
pub fn serve<P: Platform>(
    visit: &mut Visit<'_, P>,
    mut body: P::Body,
    sandbox_age: Duration,
) -> Result<Settled, Foreign> {
    let Load { state, held, roots, proof, nonce } = take(visit, &mut body)?;
    let Some(State { visit: before, stream, witness, terms }) = state else {
        let end = match &held[..] {
            [] => None,
            given => Some(end_of_given(visit.platform, given)?),
        };
        visit.take_over(proof, None);
        // Whoever asked has gone if it does not hear this.
        let _ = match end {
            Some(end) => visit.hand_over(b"", end),
            None => visit.finish(),
        };
        return Ok(Settled { facts: None, ending: Ending::Elsewhere });
    };
    let end = visit.platform.publish(&nonce_key(END, &nonce), END_AGE).ok_or(Foreign)?;
    match stream.told() {
        Transfer::Stream => visit.take_over(proof, Some(end)),
        // It has an end of its own. That this one is there shows that the answer was taken.
        Transfer::Whole => visit.platform.finish(end).map_err(|ClientGone| Foreign)?,
    }
    let platform = visit.platform;
    let mut reader = Reader { platform, body: &mut body, until: platform.elapsed() + STATE_TIMEOUT };
    let is_cut = reader.read(GO.len()).is_err();
    if is_cut && has_kept(platform, &nonce) {
        // The other execution has not waited for this one, and sees to the answer itself.
        return Ok(Settled { facts: None, ending: Ending::Elsewhere });
    }
    let keys = hand_on::stream_keys(&stream, &roots);
    let parts = Parts { state: stream, held, rest: Vec::new(), body };
    let mut answer = AnswerStream::from_parts(parts, keys).ok_or(Foreign)?;
    // What sends the body now is no backend, which would end it if it fell silent.
    answer.provider.cut_after = None;
    let (told, had_begun) = (answer.delivery.transfer(), answer.provider.has_begun());
    visit.resume(before);
    let TermsState { first_piece, idle, silence, left, limits, mode, is_patient } = terms;
    let allowance = Allowance::new(&limits, sandbox_age);
    let mut passage =
        Passage::new(Terms { first_piece, idle, total: left, allowance, mode, is_patient }, Box::new(answer));
    passage.silence = silence;
    if passage.is_waited_for() && visit.comment_due().is_none() {
        visit.keep_alive();
    }
    let passed = match is_cut {
        // The answer is this execution's, but what came behind the state is lost, and the way with it.
        true => Err(Interruption::ClientGone),
        false => passage.pass_on(visit),
    };
    let broke_off = passage.answer.provider.broke_off;
    let (result, is_gone) = match passed {
        Err(Interruption::ClientGone) => (Err(Interruption::Broken(Break::Cut)), true),
        // What was written last may have got lost without a word.
        Ok(End::Whole) if broke_off && told == Transfer::Stream && visit.has_lost_client() => {
            (Err(Interruption::Broken(Break::Cut)), true)
        }
        other => (other, false),
    };
    if !had_begun && passage.answer.provider.has_begun() {
        witness.has_begun(visit.platform);
    }
    if let Err(Interruption::Broken(broken)) = &result {
        // Between two executions both directions are one connection. A client that leaves takes both along, and so does a provider
        // that breaks off where the platform passes that on, whichever shows first. Then nothing is known of either.
        let is_lost = is_gone
            || match told {
                Transfer::Whole => broke_off,
                // A body that breaks off may look like one that ends.
                Transfer::Stream => (broke_off || matches!(broken, Break::Cut)) && visit.has_lost_client(),
            };
        if is_lost {
            visit.note(|record| record.client_closed = told == Transfer::Stream);
        }
        note_broken(visit, (!is_lost).then_some(&witness), broken, &passage);
        if is_lost {
            witness.says_nothing(visit.platform);
        }
    }
    let (facts, ending) = conclude(visit, passage, result, &witness);
    if ending.is_good() {
        visit.leave(move |platform| witness.was_whole(platform));
    }
    Ok(Settled { facts: Some(facts), ending })
}

/// Gives up, for who asks from another cache, the answer that was taken with this nonce, and finds its end.
fn end_of_given<P: Platform>(platform: &P, nonce: &[u8]) -> Result<P::Body, Foreign> {
    let nonce: &Nonce = nonce.try_into().map_err(|_| Foreign)?;
    let end = end_of(platform, nonce).ok_or(Foreign)?;
    gives_up(platform, nonce).then_some(end).ok_or(Foreign)
}

/// Whether the execution that has sent the answer with this nonce has kept it, and cannot give it up any more. Where nothing is
/// known of it, it has.
fn has_kept<P: Platform>(platform: &P, nonce: &Nonce) -> bool {
    gives_up(platform, nonce) || platform.follow(&nonce_key(GIVEN_UP, nonce)).is_none()
}

/// Reads what comes before the provider's bytes.
fn take<P: Platform>(visit: &Visit<'_, P>, body: &mut P::Body) -> Result<Load, Foreign> {
    let platform = visit.platform;
    let mut reader = Reader { platform, body, until: platform.elapsed() + STATE_TIMEOUT };
    let head = reader.read(HEAD_BYTES)?;
    let head = head.first_chunk().ok_or(Foreign)?;
    let Continuation { roots, .. } = visit.keyring.continuation().ok_or(Foreign)?;
    let keys = FrameKeys::new(&roots);
    let (announced, key) = keys.open(head, platform.unix_time()).ok_or(Foreign)?;
    let Announced { nonce, state, held, .. } = announced;
    // A head is too old, or too new, by the time that its nonce is forgotten.
    if !platform.elect(&nonce_key("continuation/", &nonce), VALIDITY * 3) {
        return Err(Foreign);
    }
    let (state, held) = (reader.read(state)?, reader.read(held)?);
    if !announced.is(&state) {
        return Err(Foreign);
    }
    let state = match &state[..] {
        [] => None,
        state => Some(carried::read(state).ok_or(Foreign)?),
    };
    let proof: HeaderValue = key.proof(&nonce).parse().map_err(|_| Foreign)?;
    Ok(Load { state, held, roots, proof: HeaderMap::from_iter([(PROOF, proof)]), nonce })
}

/// Reads so many bytes of a body, and not one more: what follows is the provider's.
struct Reader<'r, P: Platform> {
    platform: &'r P,
    body: &'r mut P::Body,
    /// On [`Platform::elapsed`]'s clock.
    until: Duration,
}

impl<P: Platform> Reader<'_, P> {
    fn read(&mut self, length: usize) -> Result<Vec<u8>, Foreign> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let left = self.until.saturating_sub(self.platform.elapsed());
            if left.is_zero() || self.platform.wait_first(&[Wait::Body(self.body)], Some(left)).is_none() {
                return Err(Foreign);
            }
            let limit = READ_BYTES.min(length - bytes.len());
            match self.platform.read(self.body, &mut bytes, limit) {
                Ok(read) if read > 0 => {}
                Ok(_) | Err(_) => return Err(Foreign),
            }
        }
        Ok(bytes)
    }
}
