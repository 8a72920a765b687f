//! The state of a model's reasoning in messages of this dialect, as a sealed token holds it for a client of another API.
//!
//! What an answer's message has beside texts and calls, and its provider wants back in later requests, differs from provider to
//! provider; the row says which fields it takes back. A token holds these as one JSON object, under their own names.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::upstream::dialect::Recipient;
use crate::upstream::sealer::{Opened, Sealer, Thought};
use crate::wire::ask::Api;
use crate::wire::ask::items::Reasoning;
use crate::wire::carried::carried;
use crate::wire::joined::write_member;
use crate::wire::json::{fields_named, may_hold, quoted, text};
use crate::wire::piece::ReasoningForm;
use crate::wire::walk::inside;

/// In a token, which call it belongs to, and what stands there.
const CALL_ID: &str = "call_id";
const CALL_EXTRA: &str = "call_extra_content";
/// In place of a thought that stands beside the token.
const TOLD: &str = "true";

/// A field with state of the reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateField {
    /// What the model thought (DeepSeek).
    ReasoningContent,
    /// The same under another name.
    Reasoning,
    /// Texts and ciphers of whichever model a router asked (OpenRouter).
    Details,
    /// The signature of a text (Gemini).
    Extra,
    /// The signature of a call (Gemini).
    CallExtra,
}

carried!(StateField = ReasoningContent | Reasoning | Details | Extra | CallExtra);

impl StateField {
    const ALL: [Self; 5] = [Self::ReasoningContent, Self::Reasoning, Self::Details, Self::Extra, Self::CallExtra];

    /// The API's name for it, in a message or in a call.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReasoningContent => "reasoning_content",
            Self::Reasoning => "reasoning",
            Self::Details => "reasoning_details",
            Self::Extra | Self::CallExtra => "extra_content",
        }
    }

    fn is_taken_by(self, recipient: &Recipient<'_>) -> bool {
        let provider = recipient.provider;
        match self {
            Self::ReasoningContent | Self::Reasoning | Self::Details | Self::Extra => {
                provider.message_fields.allow(self.name()) && !recipient.lacks(&format!("messages.{}", self.name()))
            }
            Self::CallExtra => provider.tool_fields.allow(self.name()),
        }
    }
}

impl From<ReasoningForm> for StateField {
    fn from(form: ReasoningForm) -> Self {
        match form {
            ReasoningForm::Text | ReasoningForm::Summary => Self::ReasoningContent,
            ReasoningForm::Alias => Self::Reasoning,
        }
    }
}

/// What of a provider's answers is kept for its later requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateFields {
    taken: Vec<StateField>,
    /// Whether the client sees what is thought.
    pub are_thoughts_shown: bool,
}

carried!(StateFields { taken, are_thoughts_shown });

impl StateFields {
    /// What `recipient` takes back from a client of `api`; a client of the same API has the fields themselves.
    pub fn of(recipient: &Recipient<'_>, api: Api) -> Self {
        match api {
            Api::Chat | Api::Gateway => Self::default(),
            Api::Messages => Self {
                taken: StateField::ALL.into_iter().filter(|field| field.is_taken_by(recipient)).collect(),
                are_thoughts_shown: recipient.provider.show_reasoning,
            },
        }
    }

    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    pub fn take(&self, field: StateField) -> bool {
        self.taken.contains(&field)
    }
}

/// Whether an `extra_content` holds a signature.
pub fn is_signature(extra: &RawValue) -> bool {
    may_hold(extra.get().as_bytes(), "\"thought_signature\"")
}

/// The state that belongs to a call.
#[derive(Clone, Debug)]
pub struct CallState<'x> {
    /// As its provider names it; nothing if it does not.
    pub id: Option<Cow<'x, str>>,
    pub extra: &'x RawValue,
}

/// What a token is to hold.
#[derive(Default)]
pub struct StateWriter {
    json: Vec<u8>,
}

impl StateWriter {
    /// The value of a field, as JSON.
    pub fn put(&mut self, field: StateField, value: &str) {
        self.member(field.name(), value);
    }

    /// The thought that stands beside the token.
    pub fn put_told(&mut self, field: StateField) {
        self.member(field.name(), TOLD);
    }

    pub fn put_call(&mut self, call: &CallState<'_>) {
        if let Some(id) = &call.id {
            self.member(CALL_ID, &quoted(id));
        }
        self.member(CALL_EXTRA, call.extra.get());
    }

    /// The state; nothing if nothing was put.
    pub fn finish(mut self) -> Option<String> {
        if self.json.is_empty() {
            return None;
        }
        self.json.push(b'}');
        String::from_utf8(self.json).ok()
    }

    fn member(&mut self, name: &str, value: &str) {
        self.json.push(if self.json.is_empty() { b'{' } else { b',' });
        write_member(name, value, &mut self.json);
    }
}

/// What was in a token.
#[derive(Clone, Debug, Default)]
pub struct State<'x> {
    /// The insides of JSON strings.
    pub reasoning_content: Option<&'x str>,
    pub reasoning: Option<&'x str>,
    pub details: Option<&'x RawValue>,
    pub extra: Option<&'x RawValue>,
    pub call: Option<CallState<'x>>,
}

impl<'x> State<'x> {
    /// Whether there is none of a message.
    pub fn is_empty(&self) -> bool {
        let Self { reasoning_content, reasoning, details, extra, call: _ } = self;
        reasoning_content.is_none() && reasoning.is_none() && details.is_none() && extra.is_none()
    }

    /// Opens the token of a thought; nothing if it is not of this origin, or not as it was told.
    pub fn open(sealer: Option<&Sealer>, reasoning: &'x Reasoning<'x>) -> Option<Self> {
        let (sealer, sealed) = (sealer?, reasoning.sealed.as_ref()?);
        let thought = sealed.text.decode()?;
        let json = match sealer.open(Thought { kind: sealed.kind, text: &thought }, &sealed.token) {
            Opened::State(json) => json,
            Opened::Foreign | Opened::Altered => return None,
        };
        let names = [
            StateField::ReasoningContent.name(),
            StateField::Reasoning.name(),
            StateField::Details.name(),
            StateField::Extra.name(),
            CALL_ID,
            CALL_EXTRA,
        ];
        let [content, alias, details, extra, call_id, call_extra] = fields_named(json, &names).ok()?;
        let thought = |value: &'x RawValue| match value.get() {
            TOLD => sealed.text.inside(),
            hidden => inside(hidden),
        };
        let call = call_extra.map(|extra| CallState { id: call_id.and_then(text), extra });
        Some(Self { reasoning_content: content.map(thought), reasoning: alias.map(thought), details, extra, call })
    }
}
