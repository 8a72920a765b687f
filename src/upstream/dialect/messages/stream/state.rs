//! What is known of a streamed answer, as plain values.

use super::{MessagesStream, OpenBlock};
use crate::upstream::dialect::EndOfAnswer;
use crate::upstream::dialect::messages::answer::Counts;
use crate::upstream::dialect::messages::calls::{InputReader, ReaderState};
use crate::wire::carried::carried;

/// What a [`MessagesStream`] knows beside its options.
#[derive(Debug)]
pub struct MessagesState {
    /// Its id, if it has one.
    begun: Option<Option<String>>,
    counts: Option<Counts>,
    open: Vec<OpenBlock<ReaderState>>,
    blocks: u64,
    has_calls: bool,
    has_cut_call: bool,
    finished: bool,
    end: EndOfAnswer,
}

carried!(MessagesState { begun, counts, open, blocks, has_calls, has_cut_call, finished, end });
carried!(OpenBlock<ReaderState> { index, kind, input, seen, reader, thought, state });

impl MessagesStream {
    pub fn into_state(self) -> MessagesState {
        let Self { created: _, calls: _, sealer: _, names: _, seen: _, is_withheld: _, .. } = self;
        let Self { begun, counts, open, blocks, has_calls, has_cut_call, finished, end, .. } = self;
        let open = open.into_iter().filter_map(|block| block.read_by(|reader| Some(reader.into_state()))).collect();
        MessagesState { begun, counts, open, blocks, has_calls, has_cut_call, finished, end }
    }

    /// A stream with the same options of which so much is known; nothing if they are others.
    pub fn go_on(self, state: MessagesState) -> Option<Self> {
        let MessagesState { begun, counts, open, blocks, has_calls, has_cut_call, finished, end } = state;
        let open = open.into_iter().map(|block| block.read_by(|state| InputReader::from_state(&self.calls, state)));
        let open = open.collect::<Option<Vec<_>>>()?;
        Some(Self { begun, counts, open, blocks, has_calls, has_cut_call, finished, end, ..self })
    }
}

impl<R> OpenBlock<R> {
    /// The same block with another reader, which `change` makes of the present one; nothing if it makes none.
    fn read_by<S>(self, change: impl FnOnce(R) -> Option<S>) -> Option<OpenBlock<S>> {
        let Self { index, kind, input, seen, reader, thought, state } = self;
        let reader = match reader {
            Some(reader) => Some(change(reader)?),
            None => None,
        };
        Some(OpenBlock { index, kind, input, seen, reader, thought, state })
    }
}
