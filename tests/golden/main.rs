//! Translations between dialects, as files that people can read: `<dialect>/<what the case shows>.json`.
//!
//! A case has a client's `request` and what goes up for it (`upstream_request` and `dropped`, or `error`), and may have an
//! `upstream_answer` or `upstream_stream` and what the client gets for it, or an `upstream_error` and what is read in it.
//! `policy_model` and `policy_provider` change the rows of the policy; `door` says that the request is one to the Messages API. `UPDATE_EXPECT=1` rewrites what is expected; read the
//! difference before it is committed. What the gateway writes is also checked against OpenAI's published description;
//! what passes as it came is the provider's.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod bodies;
mod built;
mod case;
mod continuation;
mod gathered;
mod inverse;
mod joined_roots;
mod layout;
mod losses;
mod messages;
mod native;
mod native_rows;
mod odd_requests;
mod plain;
mod properties;
mod published;
mod quirks;
mod round_trip;
mod schema_urls;
mod thoughts;
mod tool_schemas;
mod walk;
