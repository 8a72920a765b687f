//! The conversation's items as messages of the Chat Completions API.
//!
//! What the model said and called in one go is one message. That a result may have room for text only is `history`'s matter.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::open_calls::OpenCalls;
use super::returned_states::{Origin, ReturnedStates};
use super::states::State;
use super::wire::{self, Custom, File, Function, ImageUrl, Message, MessageState, ToolCall};
use crate::error::Error;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::sealer::Sealer;
use crate::wire::ask::Api;
use crate::wire::ask::content::Content;
use crate::wire::ask::items::{Call, CallResult, Item, ItemKind, MediaSource, Part, PartKind, Reasoning, qualified};
use crate::wire::ask::place::{Located, Place};
use crate::wire::call::CallKind;
use crate::wire::halves::without_halves;
use crate::wire::json::{Json, JsonString};
use crate::wire::seal::SealKind;
use crate::wire::walk::inside;

/// Stands before what a call failed with, since the API has no mark for it.
const FAILED: &str = "The call failed: ";

/// What stands between the texts of blocks that become one text, as it is written in JSON; the blocks of an answer that
/// nothing else parts follow one another without anything.
const BETWEEN_BLOCKS: &str = "\\n\\n";

/// How messages are written.
pub struct Setting<'h> {
    /// In whose words they came.
    pub api: Api,
    /// Joins the instructions before the conversation.
    pub hint: Option<&'h str>,
    /// Opens the tokens that are the model's own.
    pub sealer: Option<&'h Sealer>,
}

/// All messages. Several texts of one message are one, where they did not come in this API's words: not every provider of it
/// takes a list where a text would do.
///
/// # Errors
/// A 400 for a part that the API cannot carry, and for calls and results that do not match.
pub fn build<'x>(
    content: &'x Content<'x>,
    setting: Setting<'_>,
    dropped: &mut Dropped,
) -> Result<Vec<Message<'x>>, Error> {
    let Setting { api, hint, sealer } = setting;
    let joins = match api {
        Api::Messages => true,
        Api::Chat | Api::Gateway => false,
    };
    let mut builder = Builder {
        joins,
        sealer,
        messages: Vec::new(),
        answer: None,
        calls: OpenCalls::default(),
        returned: ReturnedStates::default(),
        dropped,
    };
    for item in &content.items {
        builder.push(item)?;
    }
    builder.calls.check_answered()?;
    builder.returned.end(builder.dropped);
    let mut messages = builder.messages;
    if let Some(hint) = hint {
        let leading = messages.iter().take_while(|message| matches!(message, Message::System { .. })).count();
        let content = wire::Content::Text(Json::text(hint));
        messages.insert(leading, Message::System { content, name: None });
    }
    Ok(messages)
}

struct Builder<'x, 'd> {
    /// Whether several texts of a message become one.
    joins: bool,
    sealer: Option<&'d Sealer>,
    messages: Vec<Message<'x>>,
    /// Where the client's message stands that the last message of the assistant was begun for.
    answer: Option<usize>,
    calls: OpenCalls<'x>,
    /// What came in tokens and is in no message yet.
    returned: ReturnedStates<'x>,
    dropped: &'d mut Dropped,
}

impl<'x> Builder<'x, '_> {
    fn push(&mut self, item: &'x Item<'x>) -> Result<(), Error> {
        if let Some(mark) = item.cache {
            self.dropped.note(&mark.path());
        }
        let name = item.name.as_ref().map(JsonString::raw);
        match &item.kind {
            ItemKind::Instruction { parts, .. } => {
                check_texts(parts)?;
                let content = {
                    let parts = self.parts(parts)?;
                    self.content(parts, BETWEEN_BLOCKS)
                };
                self.messages.push(Message::System { content, name });
            }
            ItemKind::User(parts) => {
                let content = {
                    let parts = self.parts(parts)?;
                    self.content(parts, BETWEEN_BLOCKS)
                };
                self.messages.push(Message::User { content, name });
            }
            ItemKind::Text { parts, .. } => {
                self.check_answered_before()?;
                let parts = self.parts(parts)?;
                self.push_text(parts, name, item.place);
            }
            ItemKind::Call(call) => self.push_call(call, item.place)?,
            ItemKind::Result(result) => self.push_result(result, item.place)?,
            ItemKind::Reasoning(reasoning) => self.push_state(reasoning, item.place),
            // Tools and settings are gathered from all items.
            ItemKind::ToolsAdded(_) | ItemKind::ToolsRemoved(_) | ItemKind::Config { .. } => {}
            ItemKind::Opaque { word, .. } => self.dropped.note(&item.place.path_to(word)),
        }
        Ok(())
    }

    fn push_text(&mut self, parts: Vec<wire::Part<'x>>, name: Option<&'x RawValue>, place: Place) {
        let answer = Some(place.position());
        // Behind calls only their results may stand.
        let goes_on = self.answer == answer || !self.calls.is_empty();
        if let (Some(Message::Assistant { content, .. }), true) = (self.messages.last_mut(), goes_on) {
            // The model went on after a call, or a thought; what it called may stand behind all of it.
            let all = content.take().map_or_else(Vec::new, wire::Content::into_parts).into_iter().chain(parts);
            let all: Vec<_> = all.collect();
            *content = (!all.is_empty()).then(|| joined(all, self.joins.then_some(BETWEEN_BLOCKS)));
            self.return_states_of_message(place.position());
            return;
        }
        let content = (!parts.is_empty()).then(|| self.content(parts, ""));
        let state = MessageState::default();
        self.messages.push(Message::Assistant { content, name, tool_calls: Vec::new(), state });
        self.answer = answer;
        self.return_states_of_message(place.position());
    }

    /// What the model thought goes up again if it is its own; what others thought means nothing here.
    fn push_state(&mut self, reasoning: &'x Reasoning<'x>, place: Place) {
        let path = place.path_to(thought_name(reasoning));
        let Some(state) = State::open(self.sealer, reasoning) else { return self.dropped.note(&path) };
        self.returned.push(state, Origin { answer: place.position(), path }, self.dropped);
        if self.answer == Some(place.position()) {
            self.return_states_of_message(place.position());
            self.return_states_of_calls(place.position());
        }
    }

    /// Gives the last message, which is of this answer, the states that belong to it.
    fn return_states_of_message(&mut self, answer: usize) {
        if let Some(Message::Assistant { state, .. }) = self.messages.last_mut() {
            self.returned.join_message(answer, state);
        }
    }

    /// Gives the calls of the last message, which is of this answer, the states that came behind them. A call that comes behind
    /// its state takes it itself.
    fn return_states_of_calls(&mut self, answer: usize) {
        let Some(Message::Assistant { tool_calls, .. }) = self.messages.last_mut() else { return };
        for call in tool_calls {
            if !self.returned.has_any_of_calls() {
                return;
            }
            if let ToolCall::Function { id, extra_content: extra @ None, .. } = call {
                *extra = self.returned.take_behind_call(answer, id);
            }
        }
    }

    /// Whoever speaks behind another than the model leaves no call open.
    fn check_answered_before(&self) -> Result<(), Error> {
        match self.messages.last() {
            Some(Message::Assistant { .. }) | None => Ok(()),
            Some(_) => Ok(self.calls.check_answered()?),
        }
    }

    fn push_call(&mut self, call: &'x Call<'x>, place: Place) -> Result<(), Error> {
        self.check_answered_before()?;
        let name = qualified(call.namespace.as_deref(), &call.name);
        let (id, payload) = (call.id.as_ref(), call.payload.value.as_ref());
        let answer = place.position();
        let extra_content = self.returned.take_of_call(answer, id);
        let call = match call.kind {
            CallKind::Function | CallKind::Legacy => {
                let arguments = if payload.trim().is_empty() { "{}" } else { payload };
                ToolCall::Function { id, function: Function { name, arguments }, extra_content }
            }
            CallKind::Custom => ToolCall::Custom { id, custom: Custom { name, input: payload } },
        };
        match self.messages.last_mut() {
            Some(Message::Assistant { tool_calls, .. }) => tool_calls.push(call),
            Some(_) | None => {
                let state = MessageState::default();
                self.messages.push(Message::Assistant { content: None, name: None, tool_calls: vec![call], state });
                self.answer = Some(answer);
            }
        }
        self.calls.begin(id, place, self.messages.len());
        self.return_states_of_message(answer);
        Ok(())
    }

    fn push_result(&mut self, result: &'x CallResult<'x>, place: Place) -> Result<(), Error> {
        let at = self.calls.end(&result.id.value, place.leaf(result.id.leaf))?;
        let mut parts = self.parts(&result.parts)?;
        if result.is_error {
            match parts.first_mut() {
                Some(wire::Part::Text { text }) => {
                    *text = JsonString::join(&format!("{FAILED}{}", inside(text.get()))).into();
                }
                Some(_) | None => parts.insert(0, wire::Part::Text { text: Json::text(FAILED.trim_end()) }),
            }
        }
        let content = self.content(parts, BETWEEN_BLOCKS);
        if at < self.messages.len() {
            self.dropped.note("messages");
        }
        self.messages.insert(at, Message::Tool { tool_call_id: &result.id.value, content });
        Ok(())
    }

    fn content(&self, parts: Vec<wire::Part<'x>>, between: &str) -> wire::Content<'x> {
        joined(parts, self.joins.then_some(between))
    }

    fn parts(&mut self, parts: &'x [Part<'x>]) -> Result<Vec<wire::Part<'x>>, Error> {
        let marks = parts.iter().filter_map(|part| part.cache);
        marks.for_each(|mark| self.dropped.note(&mark.path()));
        let mut written = Vec::with_capacity(parts.len());
        for part in parts {
            match part.kind {
                PartKind::Thoughts(name) => self.dropped.note(name),
                _ => written.push(write_part(part)?),
            }
        }
        Ok(written)
    }
}

/// Instructions hold texts only.
fn check_texts(parts: &[Part<'_>]) -> Result<(), Error> {
    let other = parts.iter().find(|part| match part.kind {
        PartKind::Image { .. } | PartKind::File { .. } | PartKind::Audio(_) | PartKind::EarlierAudio(_) => true,
        PartKind::Text(_)
        | PartKind::Refusal(_)
        | PartKind::Json(_)
        | PartKind::Thoughts(_)
        | PartKind::Opaque { .. } => false,
    });
    match other {
        Some(part) => Err(cannot_carry(part)),
        None => Ok(()),
    }
}

fn cannot_carry(part: &Part<'_>) -> Error {
    let message = format!("is `{}`, which the serving model's API cannot carry here", part.word);
    part.place.leaf("type").fault(message).into()
}

/// What the client calls a thought.
fn thought_name(reasoning: &Reasoning<'_>) -> &'static str {
    match reasoning.sealed.as_ref().map(|sealed| sealed.kind) {
        Some(SealKind::Signature) | None => "thinking",
        Some(SealKind::Redacted) => "redacted_thinking",
    }
}

/// Nothing but a text is a string, as every provider takes it; so are several with `between` them, if that is given.
fn joined<'x>(mut parts: Vec<wire::Part<'x>>, between: Option<&str>) -> wire::Content<'x> {
    let texts: Option<Vec<&str>> = parts.iter().map(wire::Part::inside).collect();
    if let (Some(texts), Some(between), 2..) = (texts, between, parts.len()) {
        return wire::Content::Text(JsonString::join(&texts.join(between)).into());
    }
    match (parts.pop(), parts.is_empty()) {
        (Some(wire::Part::Text { text }), true) => wire::Content::Text(text),
        (None, _) => wire::Content::Text(Json::text("")),
        (Some(last), _) => {
            parts.push(last);
            wire::Content::Parts(parts)
        }
    }
}

fn write_part<'x>(part: &'x Part<'x>) -> Result<wire::Part<'x>, Error> {
    let place = part.place;
    match &part.kind {
        PartKind::Text(text) => Ok(wire::Part::Text { text: without_halves(Json::Borrowed(text.raw())) }),
        PartKind::Refusal(text) => Ok(wire::Part::Refusal { refusal: without_halves(Json::Borrowed(text.raw())) }),
        PartKind::Image { source, detail } => {
            let detail = detail.as_ref().map(|detail| detail.value);
            Ok(wire::Part::ImageUrl { image_url: ImageUrl { url: address(source, place)?, detail } })
        }
        PartKind::File { source, name } => {
            let file_data = match source {
                MediaSource::Url(Located { leaf, value }) if !value.starts_with("data:") => {
                    return Err(place
                        .leaf(leaf)
                        .fault("must be the file itself, as base64, for the serving model")
                        .into());
                }
                MediaSource::Url(_) | MediaSource::Data { .. } | MediaSource::Id(_) => address(source, place)?,
            };
            Ok(wire::Part::File { file: File { file_data, filename: name.as_ref().map(JsonString::raw) } })
        }
        PartKind::Audio(input_audio) => Ok(wire::Part::InputAudio { input_audio }),
        PartKind::Json(json) => Ok(wire::Part::Text { text: Json::text(json.get()) }),
        PartKind::EarlierAudio(_) => Err(place.fault("refers to audio that only its own provider has").into()),
        PartKind::Thoughts(_) | PartKind::Opaque { .. } => Err(cannot_carry(part)),
    }
}

fn address<'x>(source: &'x MediaSource<'x>, place: Place) -> Result<Cow<'x, str>, Error> {
    match source {
        MediaSource::Url(url) => Ok(Cow::Borrowed(&url.value)),
        MediaSource::Data { media_type, data } => Ok(format!("data:{media_type};base64,{}", data.value).into()),
        MediaSource::Id(id) => Err(place.leaf(id.leaf).fault("names what only its own provider has").into()),
    }
}
