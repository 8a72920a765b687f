//! The providers' side: where requests go and with which key, the dialects, and the streams that come back.

pub mod address;
pub mod coding;
pub mod delay;
pub mod dialect;
pub mod error_words;
pub mod headers;
pub mod keyring;
pub mod meaning;
pub mod sealer;
pub mod stream;
