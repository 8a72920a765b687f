//! The client's side: where requests are for, what their headers and bodies say, and what answers carry beside their body.

pub mod answer_headers;
pub mod chat;
pub mod cors;
pub mod headers;
pub mod route;
pub mod upload;
