//! What is hidden of a text, and from whom: `words` from clients, by shape alone; `keys` from the log, by comparison.

pub mod keys;
pub mod words;
