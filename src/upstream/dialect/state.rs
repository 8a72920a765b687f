//! A stream's decoder as plain values, so that another execution of the same build can go on with it.
//!
//! What follows from [`DecodeOptions`] is written down with those, once.

use crate::upstream::dialect::chat::{ChatStream, KeptState, Mender, MenderState};
use crate::upstream::dialect::messages::MessagesState;
use crate::upstream::dialect::{DecodeOptions, EndOfAnswer, Stream};
use crate::wire::carried::carried;

// What seals thoughts is no plain value.
carried!(DecodeOptions { dialect, created, choices, has_stop_strings, mends, calls, names, forms, states } without { sealer });
carried!(EndOfAnswer { stood_alone, went_on });

/// What a [`Stream`] knows beside its options.
#[derive(Debug)]
pub enum DecoderState {
    OpenaiChat { stream: ChatStream, mender: Option<Box<MenderState>>, kept: Option<Box<KeptState>> },
    AnthropicMessages(Box<MessagesState>),
}

carried!(DecoderState = OpenaiChat { stream, mender, kept } | AnthropicMessages(stream));

impl Stream {
    pub fn into_state(self) -> DecoderState {
        match self {
            Self::OpenaiChat { stream, mender, keeper } => {
                let mender = mender.map(|mender| Box::new(mender.into_state()));
                let kept = keeper.map(|keeper| Box::new(keeper.into_kept()));
                DecoderState::OpenaiChat { stream, mender, kept }
            }
            Self::AnthropicMessages(stream) => DecoderState::AnthropicMessages(Box::new(stream.into_state())),
        }
    }

    /// Goes on from `state`, of a stream with the same options; nothing if it is of one with others.
    pub fn from_state(options: &DecodeOptions, state: DecoderState) -> Option<Self> {
        match (Self::new(options)?, state) {
            (
                Self::OpenaiChat { stream: _, mender: fresh, keeper },
                DecoderState::OpenaiChat { stream, mender, kept },
            ) => {
                let mender = match (fresh, mender) {
                    (Some(_), Some(state)) => Some(Box::new(Mender::from_state(options, *state)?)),
                    (None, None) => None,
                    (Some(_), None) | (None, Some(_)) => return None,
                };
                // Without a secret, which may be gone, nothing is kept any more.
                let keeper = keeper.map(|keeper| match kept {
                    Some(kept) => Box::new(keeper.go_on(*kept)),
                    None => keeper,
                });
                Some(Self::OpenaiChat { stream, mender, keeper })
            }
            (Self::AnthropicMessages(fresh), DecoderState::AnthropicMessages(state)) => {
                Some(Self::AnthropicMessages(Box::new(fresh.go_on(*state)?)))
            }
            (Self::OpenaiChat { .. }, DecoderState::AnthropicMessages(_))
            | (Self::AnthropicMessages(_), DecoderState::OpenaiChat { .. }) => None,
        }
    }
}
