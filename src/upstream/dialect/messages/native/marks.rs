//! Where the prompt of a client that marks nothing itself is marked to be cached.
//!
//! The API marks the end of a conversation by itself where the request says so at its top, so no message changes from turn to
//! turn. The end of the system prompt, or of the tools where there is none, is marked for other conversations that begin so.

use memchr::memmem;
use serde_json::value::RawValue;

use super::patch::Patch;
use crate::policy::Model;
use crate::upstream::dialect::messages::cache;
use crate::wire::ask::Ask;
use crate::wire::ask::turns::Role;
use crate::wire::containers::{elements, members};
use crate::wire::json::{Field, is_text};

/// The field at the top of a request, and the member of blocks and tools.
pub const FIELD: &str = "cache_control";
/// A mark of the gateway's own.
pub const OWN: &str = r#"{"type":"ephemeral"}"#;

/// What is marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The field at whose end a mark stands, if any.
    pub end_of: Option<&'static str>,
    /// Whether the end of the conversation is marked.
    pub conversation: bool,
}

/// What is to be marked of a request.
pub fn find(ask: &Ask<'_>, model: &Model) -> Marks {
    let is_marked = |field: &Field<'_>| {
        field.name == FIELD || memmem::find(field.value.get().as_bytes(), b"\"cache_control\"").is_some()
    };
    let tokens = ask.features.input_tokens;
    let user_turns = ask.turns.iter().filter(|turn| turn.role == Role::User).count();
    let may_return = ask.features.has_tools || user_turns > 1;
    if tokens < model.prompt_cache_min || !cache::pays(model, tokens, || may_return) || ask.fields.iter().any(is_marked)
    {
        return Marks::default();
    }
    let end_of = ["system", "tools"].into_iter().find(|name| ask.field(name).is_some_and(can_end));
    Marks { end_of, conversation: ask.turns.iter().any(|turn| turn.role == Role::Assistant) }
}

/// Whether a field has an end that can be marked.
fn can_end(value: &RawValue) -> bool {
    match is_text(value) {
        true => value.get().len() > 2,
        false => elements(value)
            .and_then(|items| items.last().copied())
            .and_then(members)
            .is_some_and(|fields| !fields.is_empty()),
    }
}

/// The field with a mark at its end.
pub fn marked(value: &RawValue) -> String {
    if is_text(value) {
        return format!(r#"[{{"type":"text","text":{},"cache_control":{OWN}}}]"#, value.get());
    }
    let mut patch = Patch::new(value.get());
    let last = elements(value).and_then(|items| items.last().copied());
    if let Some(open) = last.and_then(|last| Some((last, last.get().strip_suffix('}')?))) {
        let (last, open) = open;
        patch.replace(last, format!(r#"{open},"cache_control":{OWN}}}"#));
    }
    patch.finish().into_owned()
}
