//! The inputs of an answer's calls, and whether one was cut off although its choice says that it has finished.
//!
//! Only the arguments of functions can be judged, since the input of a custom tool is any text. Nothing is judged where two calls
//! may stand in one place.

use crate::upstream::dialect::DecodeOptions;
use crate::wire::call::CallKind;
use crate::wire::carried::carried;
use crate::wire::input_seen::InputSeen;
use crate::wire::piece::{AnswerItem, At, Finish, FinishReason, Piece};

/// Calls whose inputs are looked at.
const MAX_KNOWN: usize = 1_024;

/// The inputs of the calls of one answer.
#[derive(Debug)]
pub struct CallInputs {
    calls: Vec<CallInput>,
    /// The choices whose last reason to finish lets a call end anywhere, a bit for each.
    may_be_cut: u128,
    /// Whether the client gave strings that end an answer wherever they stand.
    has_stop_strings: bool,
}

carried!(CallInputs { calls, may_be_cut, has_stop_strings });

#[derive(Debug)]
struct CallInput {
    at: At,
    kind: CallKind,
    seen: InputSeen,
    is_judged: bool,
}

carried!(CallInput { at, kind, seen, is_judged });

impl CallInputs {
    pub fn new(options: &DecodeOptions) -> Self {
        Self { calls: Vec::new(), may_be_cut: 0, has_stop_strings: options.has_stop_strings }
    }

    /// Takes the next piece of the answer. A reason to finish that comes within a call becomes a stop string's, where there may be one.
    pub fn take(&mut self, piece: &mut Piece<'_>) {
        match piece {
            Piece::Begin { at, item: AnswerItem::Call(call) } => self.begin(*at, call.kind),
            Piece::Input { at, fragment } => {
                if let Some(call) = self.calls.iter_mut().find(|call| call.at == *at) {
                    call.seen.take(fragment);
                }
            }
            Piece::Finish { choice, finish } => self.finish(*choice, finish),
            Piece::Begin { item: AnswerItem::Text | AnswerItem::Reasoning, .. }
            | Piece::Start(_)
            | Piece::Text { .. }
            | Piece::Refusal { .. }
            | Piece::Reasoning { .. }
            | Piece::Sealed { .. }
            | Piece::End { .. }
            | Piece::Usage { .. }
            | Piece::Alive(_)
            | Piece::Opaque(_) => {}
        }
    }

    /// The choices with a call that is cut off and may not be, a bit for each.
    pub fn cut(&self) -> u128 {
        self.open() & !self.may_be_cut
    }

    /// The choices with a call whose input is not closed, a bit for each.
    fn open(&self) -> u128 {
        let open = self.calls.iter().filter(|call| call.is_judged && call.seen.is_open());
        open.fold(0, |open, call| open | bit(call.at.choice))
    }

    /// A call begins, or is named again. Some providers count no calls, so that one may begin where another has ended.
    fn begin(&mut self, at: At, kind: CallKind) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.at == at) {
            call.is_judged &= call.kind == kind;
            if call.seen.is_closed() {
                call.seen = InputSeen::default();
            }
        } else if self.calls.len() < MAX_KNOWN {
            let is_judged = kind != CallKind::Custom;
            self.calls.push(CallInput { at, kind, seen: InputSeen::default(), is_judged });
        }
    }

    fn finish(&mut self, choice: u64, finish: &mut Finish<'_>) {
        let may_be_of_a_string = self.has_stop_strings && finish.reason == FinishReason::Stop;
        if may_be_of_a_string && self.open() & bit(choice) != 0 {
            finish.reason = FinishReason::StopString;
        }
        if may_be_of_a_string || finish.reason.may_cut() {
            self.may_be_cut |= bit(choice);
        } else {
            self.may_be_cut &= !bit(choice);
        }
    }
}

/// What stands for a choice; nothing for one of too high a number.
pub fn bit(choice: u64) -> u128 {
    u32::try_from(choice).ok().and_then(|place| 1_u128.checked_shl(place)).unwrap_or_default()
}
