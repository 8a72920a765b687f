//! What answers are made of for a client of the Messages API, streamed or whole: the message around its blocks, why it stopped,
//! and what it used.

pub mod blocks;
mod call_input;
pub mod events;
pub mod extent;
pub mod gathered;
mod ids;
mod own_message;

use crate::door::messages::answer::extent::Extent;
use crate::policy::Dialect;
use crate::wire::carried::carried;
use crate::wire::json::{JsonString, quoted};
use crate::wire::piece::{Finish, FinishReason, Piece, Start};
use crate::wire::usage::Usage;

/// The dialect that a client of the Messages API speaks.
pub const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Anthropic's word for why a message stopped.
pub fn stop_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::Other => "end_turn",
        FinishReason::Calls => "tool_use",
        FinishReason::Length => "max_tokens",
        FinishReason::Window => "model_context_window_exceeded",
        FinishReason::Filtered => "refusal",
        FinishReason::StopString => "stop_sequence",
        FinishReason::Paused => "pause_turn",
    }
}

/// What a message says of the API's own servers, which no other provider has. The types of Anthropic's SDKs have each member,
/// so clients find it, if only as null.
const NO_MORE: &str = r#""container":null,"diagnostics":null"#;
const NO_DETAILS: &[u8] = br#","stop_details":null"#;
/// The same of its usage.
const NO_MORE_USAGE: &str = r#","cache_creation":null,"inference_geo":null,"service_tier":null,"speed":null}"#;

/// What is known of a message beside its blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Envelope {
    /// The provider's id, as JSON.
    id: Option<String>,
    /// As JSON.
    model: Option<String>,
    created: u64,
    usage_at_start: Option<Usage>,
    usage: Option<Usage>,
    finish: Option<HeldFinish>,
}

carried!(Envelope { id, model, created, usage_at_start, usage, finish });

/// Why the message stopped, as far as is known: of several reasons the last one holds.
#[derive(Clone, Debug, PartialEq)]
struct HeldFinish {
    dialect: Dialect,
    finish: Finish<'static>,
}

carried!(HeldFinish { dialect, finish });

impl Envelope {
    /// Takes what a piece of an answer in `dialect` says of it.
    pub fn note(&mut self, dialect: Dialect, piece: &Piece<'_>) {
        match piece {
            Piece::Start(start) => self.start(start),
            Piece::Usage { usage, .. } => self.usage = usage.or(self.usage),
            Piece::Finish { choice: 0, finish } => {
                self.finish = Some(HeldFinish { dialect, finish: finish.clone().into_owned() });
            }
            Piece::Finish { .. }
            | Piece::Begin { .. }
            | Piece::Text { .. }
            | Piece::Refusal { .. }
            | Piece::Reasoning { .. }
            | Piece::Sealed { .. }
            | Piece::Input { .. }
            | Piece::End { .. }
            | Piece::Alive(_)
            | Piece::Opaque(_) => {}
        }
    }

    fn start(&mut self, start: &Start<'_>) {
        let owned = |name: &Option<JsonString<'_>>| name.as_ref().map(|name| name.get().to_owned());
        self.id = self.id.take().or_else(|| owned(&start.id));
        self.model = self.model.take().or_else(|| owned(&start.model));
        // What is made before an answer has a name is at no time.
        self.created = if self.created == 0 { start.created } else { self.created };
        self.usage_at_start = start.usage.or(self.usage_at_start);
    }

    /// What ids of calls without one are made of: no other answer has the same.
    pub fn seed(&self) -> String {
        format!("{}{}", self.id.as_deref().unwrap_or_default(), self.created)
    }

    /// Appends the members with which a message begins, and its opening brace.
    fn write_head(&self, out: &mut Vec<u8>) {
        let id = ids::message_id(self.id.as_deref(), self.created);
        let model = self.model.as_deref().unwrap_or("\"\"");
        let head =
            format!(r#"{{"id":"{id}","type":"message","role":"assistant","model":{model},{NO_MORE},"content":["#);
        out.extend_from_slice(head.as_bytes());
    }

    /// Appends the members that say why the message stopped.
    fn write_stop(&self, extent: &Extent, out: &mut Vec<u8>) {
        let Some(HeldFinish { dialect, finish }) = &self.finish else {
            // Clients go on with what they have called only where the word says so.
            let reason = if extent.has_calls { FinishReason::Calls } else { FinishReason::Other };
            write_reason(&quoted(stop_word(reason)), "null", out);
            out.extend_from_slice(NO_DETAILS);
            return;
        };
        let reason = match finish.reason {
            FinishReason::Stop | FinishReason::Other | FinishReason::Filtered if extent.has_refused => {
                FinishReason::Filtered
            }
            // Some say that they have said all where they wait for results, and clients go by the word.
            FinishReason::Stop | FinishReason::Other if extent.has_calls => FinishReason::Calls,
            FinishReason::Calls if !extent.has_calls => FinishReason::Stop,
            reason => reason,
        };
        let own = (*dialect == DIALECT && reason == FinishReason::Other).then(|| finish.word.get().to_owned());
        let word = own.unwrap_or_else(|| quoted(stop_word(reason)));
        let stop_string = finish.stop_string.as_ref().filter(|_| reason == FinishReason::StopString);
        let stop_string = stop_string.map_or("null", JsonString::get);
        write_reason(&word, stop_string, out);
        if reason == FinishReason::Filtered {
            let why = finish.explanation.as_ref().map_or("null", JsonString::get);
            let details = format!(r#","stop_details":{{"type":"refusal","category":null,"explanation":{why}}}"#);
            out.extend_from_slice(details.as_bytes());
        } else {
            out.extend_from_slice(NO_DETAILS);
        }
    }

    /// What the message has used, as far as it is known; clients cannot do without it, so what nobody has counted is 0.
    fn usage(&self) -> Usage {
        self.usage.or(self.usage_at_start).unwrap_or_default()
    }
}

/// Appends the members that say why a message stopped, but for details; both values are JSON.
fn write_reason(word: &str, stop_string: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(r#""stop_reason":{word},"stop_sequence":{stop_string}"#).as_bytes());
}

/// Appends the `usage` of a message.
fn write_usage(usage: Usage, out: &mut Vec<u8>) {
    write_counts(usage, out);
    out.extend_from_slice(NO_MORE_USAGE.as_bytes());
}

/// Appends the `usage` with which a stream ends.
fn write_last_usage(usage: Usage, out: &mut Vec<u8>) {
    write_counts(usage, out);
    out.push(b'}');
}

/// Appends the beginning of Anthropic's `usage`, which counts what was read from the cache and put into it apart from the other
/// input.
fn write_counts(usage: Usage, out: &mut Vec<u8>) {
    let Usage { input, cached_input, cache_write, output, reasoning } = usage;
    let input = input.saturating_sub(cached_input).saturating_sub(cache_write);
    let counts = format!(
        r#"{{"input_tokens":{input},"cache_creation_input_tokens":{cache_write},"cache_read_input_tokens":{cached_input},"output_tokens":{output},"output_tokens_details":{{"thinking_tokens":{reasoning}}},"server_tool_use":null"#
    );
    out.extend_from_slice(counts.as_bytes());
}
