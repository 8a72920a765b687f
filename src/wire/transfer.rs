//! In which form an answer travels, from its provider or to its client; the two need not be the same.

/// How an answer comes, or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// As one JSON document.
    Whole,
    /// As a stream of events, piece by piece.
    Stream,
}
