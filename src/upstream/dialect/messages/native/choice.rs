//! The choice of tools of a client that speaks this API itself, for models that cannot be forced to call one.
//!
//! Such a model is left the choice, and asked in words. These stand in a message of the user's at the end of the conversation, so
//! that all before it is the same as in requests without a demand: a provider's cache knows it again.

use serde_json::value::RawValue;

use crate::policy::{Model, Thinking};
use crate::upstream::dialect::in_words;
use crate::wire::ask::Ask;
use crate::wire::containers::members_named;
use crate::wire::json::text;

pub const FIELD: &str = "tool_choice";

/// Whether the client demands a call.
pub fn is_forced(ask: &Ask<'_>) -> bool {
    ask.field(FIELD).is_some_and(is_forcing)
}

/// What goes up for a choice that the model cannot be told; nothing for one that it can.
pub fn unforced(choice: &RawValue, model: &Model) -> Option<String> {
    if model.forced_tools || !is_forcing(choice) {
        return None;
    }
    Some(match members_named(choice, &["disable_parallel_tool_use"]) {
        Some([Some(parallel)]) => format!(r#"{{"type":"auto","disable_parallel_tool_use":{}}}"#, parallel.get()),
        Some([None]) | None => r#"{"type":"auto"}"#.to_owned(),
    })
}

/// What asks in words for a call that the model cannot be forced to; nothing for one that thinks, whose thoughts would be bound to
/// a message that is in no later request.
pub fn hint(ask: &Ask<'_>, model: &Model) -> Option<String> {
    let is_asked = model.thinking == Thinking::None && !model.forced_tools;
    let choice = ask.field(FIELD).filter(|choice| is_asked && is_forcing(choice))?;
    let [name] = members_named(choice, &["name"])?;
    Some(name.and_then(text).map_or_else(in_words::any_call, |name| in_words::call_of(&name)))
}

fn is_forcing(choice: &RawValue) -> bool {
    let kind = members_named(choice, &["type"]).and_then(|[kind]| text(kind?));
    matches!(kind.as_deref(), Some("any" | "tool"))
}
