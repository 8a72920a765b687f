//! The conversation's items as messages of the Chat Completions API.
//!
//! What the model said and called in one go is one message. That a result may have room for text only is `history`'s matter.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::wire::{self, Custom, File, Function, ImageUrl, Message, ToolCall};
use crate::error::Error;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::ask::content::Content;
use crate::wire::ask::items::{Call, CallResult, Item, ItemKind, MediaSource, Part, PartKind, qualified};
use crate::wire::ask::place::{Located, Place};
use crate::wire::call::CallKind;
use crate::wire::json::{Json, JsonString};

/// Stands before what a call failed with, since the API has no mark for it.
const FAILED: &str = "The call failed: ";

/// All messages; `hint` joins the instructions before the conversation.
///
/// # Errors
/// A 400 for a part that the API cannot carry.
pub fn build<'x>(
    content: &'x Content<'x>,
    hint: Option<&str>,
    dropped: &mut Dropped,
) -> Result<Vec<Message<'x>>, Error> {
    let mut builder = Builder { list: content.list, messages: Vec::new(), dropped };
    for item in &content.items {
        builder.push(item)?;
    }
    let mut messages = builder.messages;
    if let Some(hint) = hint {
        let leading = messages.iter().take_while(|message| matches!(message, Message::System { .. })).count();
        let content = wire::Content::Text(Json::text(hint));
        messages.insert(leading, Message::System { content, name: None });
    }
    Ok(messages)
}

struct Builder<'x, 'd> {
    list: &'static str,
    messages: Vec<Message<'x>>,
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
                let content = content(self.parts(parts)?);
                self.messages.push(Message::System { content, name });
            }
            ItemKind::User(parts) => {
                let content = content(self.parts(parts)?);
                self.messages.push(Message::User { content, name });
            }
            ItemKind::Text { parts, .. } => {
                let parts = self.parts(parts)?;
                self.push_text(parts, name);
            }
            ItemKind::Call(call) => self.push_call(call),
            ItemKind::Result(result) => self.push_result(result)?,
            // What others thought means nothing here; tools and settings are gathered from all items.
            ItemKind::Reasoning(_) | ItemKind::ToolsAdded(_) | ItemKind::ToolsRemoved(_) | ItemKind::Config { .. } => {}
            ItemKind::Opaque { .. } => self.dropped.note(self.list),
        }
        Ok(())
    }

    fn push_text(&mut self, parts: Vec<wire::Part<'x>>, name: Option<&'x RawValue>) {
        let content = (!parts.is_empty()).then(|| content(parts));
        self.messages.push(Message::Assistant { content, name, tool_calls: Vec::new() });
    }

    fn push_call(&mut self, call: &'x Call<'x>) {
        let name = qualified(call.namespace.as_deref(), &call.name);
        let (id, payload) = (call.id.as_ref(), call.payload.value.as_ref());
        let call = match call.kind {
            CallKind::Function | CallKind::Legacy => {
                let arguments = if payload.trim().is_empty() { "{}" } else { payload };
                ToolCall::Function { id, function: Function { name, arguments } }
            }
            CallKind::Custom => ToolCall::Custom { id, custom: Custom { name, input: payload } },
        };
        match self.messages.last_mut() {
            Some(Message::Assistant { tool_calls, .. }) => tool_calls.push(call),
            Some(_) | None => {
                self.messages.push(Message::Assistant { content: None, name: None, tool_calls: vec![call] });
            }
        }
    }

    fn push_result(&mut self, result: &'x CallResult<'x>) -> Result<(), Error> {
        let mut parts = self.parts(&result.parts)?;
        if result.is_error {
            parts.insert(0, wire::Part::Text { text: Json::text(FAILED) });
        }
        self.messages.push(Message::Tool { tool_call_id: &result.id.value, content: content(parts) });
        Ok(())
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

/// Nothing but a text is a string, as every provider takes it.
fn content(mut parts: Vec<wire::Part<'_>>) -> wire::Content<'_> {
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
        PartKind::Text(text) => Ok(wire::Part::Text { text: Json::Borrowed(text.raw()) }),
        PartKind::Refusal(text) => Ok(wire::Part::Refusal { refusal: Json::Borrowed(text.raw()) }),
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
        PartKind::Thoughts(_) | PartKind::Opaque { .. } => {
            let message = format!("is `{}`, which the serving model's API cannot carry here", part.word);
            Err(place.leaf("type").fault(message).into())
        }
    }
}

fn address<'x>(source: &'x MediaSource<'x>, place: Place) -> Result<Cow<'x, str>, Error> {
    match source {
        MediaSource::Url(url) => Ok(Cow::Borrowed(&url.value)),
        MediaSource::Data { media_type, data } => Ok(format!("data:{media_type};base64,{}", data.value).into()),
        MediaSource::Id(id) => Err(place.leaf(id.leaf).fault("names what only its own provider has").into()),
    }
}
