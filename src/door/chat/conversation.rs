//! The messages of a chat completion request as items of the neutral form, for dialects of other APIs. What deciding needs of
//! them is read by `messages`, always.
//!
//! A message of the assistant is its text, always, and then its calls; the calls of legacy functions have no ids, so the name
//! stands for one.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reasoning;
use crate::wire::ask::Api;
use crate::wire::ask::items::{
    CacheMark, Call, CallResult, Item, ItemKind, Level, MediaSource, Part, PartKind, Reasoning,
};
use crate::wire::ask::place::{Located, Place, RequestFault};
use crate::wire::ask::turns::{Role, Turn};
use crate::wire::call::CallKind;
use crate::wire::json::{JsonString, given, is_null, is_text, object_fields, text, text_fault};

/// Fields of messages that other APIs answer with, and clients send back, without meaning for a model.
const ECHOED: [&str; 3] = ["annotations", "logprobs", "id"];

/// What a PDF's `%PDF-` is in base64, for clients that send no data URI.
const PDF_START: &str = "JVBERi0";

/// All messages.
///
/// # Errors
/// What is no message, part or call.
pub fn read<'a>(turns: &[Turn<'a>]) -> Result<Vec<Item<'a>>, RequestFault> {
    let mut items = Vec::with_capacity(turns.len());
    for (position, turn) in turns.iter().enumerate() {
        let message = Message::read(turn, Place::element("messages", position));
        message.push_items(turn.role, &mut items)?;
    }
    Ok(items)
}

/// The fields of a message that mean something.
struct Message<'a> {
    place: Place,
    content: Option<&'a RawValue>,
    refusal: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    audio: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
    function_call: Option<&'a RawValue>,
    tool_call_id: Option<&'a RawValue>,
    thoughts: Vec<Reasoning<'a>>,
    unread: Vec<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    fn read(turn: &Turn<'a>, place: Place) -> Self {
        let mut message = Message {
            place,
            content: None,
            refusal: None,
            name: None,
            audio: None,
            tool_calls: None,
            function_call: None,
            tool_call_id: None,
            thoughts: Vec::new(),
            unread: Vec::new(),
        };
        for field in object_fields(turn.raw).unwrap_or_default() {
            let value = Some(field.value);
            if is_null(field.value) {
                continue;
            }
            match field.name.as_ref() {
                "role" => {}
                "content" => message.content = value,
                "refusal" => message.refusal = value,
                "name" => message.name = value,
                "audio" => message.audio = value,
                "tool_calls" => message.tool_calls = value,
                "function_call" => message.function_call = value,
                "tool_call_id" => message.tool_call_id = value,
                reasoning::FIELD if turn.role == Role::Assistant => {
                    message.thoughts = reasoning::read(field.value);
                    if message.thoughts.is_empty() {
                        message.unread.push(field.name);
                    }
                }
                name if ECHOED.contains(&name) => {}
                _ => message.unread.push(field.name),
            }
        }
        if !message.thoughts.is_empty() {
            message.unread.retain(|name| !reasoning::COPIES.contains(&name.as_ref()));
        }
        message
    }

    fn push_items(mut self, role: Role, items: &mut Vec<Item<'a>>) -> Result<(), RequestFault> {
        let mut parts = Vec::new();
        if let Some(raw) = self.audio {
            let kind = PartKind::EarlierAudio(raw);
            parts.push(Part { place: self.place.member("audio"), word: "audio", cache: None, kind });
        }
        if let Some(content) = self.content {
            push_parts(content, self.place, &mut parts)?;
        }
        let kind = match role {
            Role::System | Role::Developer => {
                // The one before it says it for all before that.
                let follows_the_top = items
                    .last()
                    .is_none_or(|item| matches!(item.kind, ItemKind::Instruction { level: Level::Top, .. }));
                let level = if follows_the_top { Level::Top } else { Level::Mid };
                ItemKind::Instruction { level, parts }
            }
            Role::User => ItemKind::User(parts),
            Role::Assistant => {
                if let Some(refusal) = self.refusal {
                    let place = self.place.member("refusal");
                    let text = JsonString::read(refusal).ok_or_else(|| place.fault("must be a string"))?;
                    parts.push(Part { place, word: "refusal", cache: None, kind: PartKind::Refusal(text) });
                }
                ItemKind::Text { phase: None, parts }
            }
            Role::Tool => self.result(parts)?,
            Role::Function => self.legacy_result(parts)?,
        };
        let thoughts = std::mem::take(&mut self.thoughts).into_iter();
        items.extend(thoughts.map(|thought| Item::new(self.place, ItemKind::Reasoning(thought))));
        let given_name = self.name.filter(|name| role != Role::Function && !is_null(name));
        let name = given_name.and_then(JsonString::read);
        let mut unread = std::mem::take(&mut self.unread);
        if given_name.is_some() && name.is_none() {
            unread.push("name".into());
        }
        items.push(Item { name, unread, ..Item::new(self.place, kind) });
        if role == Role::Assistant {
            self.push_calls(items)?;
        }
        Ok(())
    }

    fn result(&self, parts: Vec<Part<'a>>) -> Result<ItemKind<'a>, RequestFault> {
        let leaf = "tool_call_id";
        let value = read_text(self.tool_call_id, self.place.leaf(leaf))?;
        let id = Located { leaf, value };
        Ok(ItemKind::Result(CallResult { kind: CallKind::Function, id, parts, is_error: false }))
    }

    fn legacy_result(&self, parts: Vec<Part<'a>>) -> Result<ItemKind<'a>, RequestFault> {
        let leaf = "name";
        let name = read_text(self.name, self.place.leaf(leaf))?;
        let id = Located { leaf, value: function_id(&name).into() };
        Ok(ItemKind::Result(CallResult { kind: CallKind::Legacy, id, parts, is_error: false }))
    }

    fn push_calls(&self, items: &mut Vec<Item<'a>>) -> Result<(), RequestFault> {
        if let Some(raw) = self.tool_calls {
            let list = self.place.member("tool_calls");
            let calls: Vec<&'a RawValue> =
                serde_json::from_str(raw.get()).map_err(|_| list.fault("must be an array"))?;
            for (position, raw) in calls.into_iter().enumerate() {
                let place = self.place.member_element("tool_calls", position);
                items.push(Item::new(place, ItemKind::Call(call(raw, place)?)));
            }
        }
        if let Some(raw) = self.function_call {
            let place = self.place.member("function_call");
            let (name, payload) = function(raw, place, &LEGACY)?;
            let id = function_id(&name).into();
            let call = Call { kind: CallKind::Legacy, id, name, namespace: None, payload, caller: None };
            items.push(Item::new(place, ItemKind::Call(call)));
        }
        Ok(())
    }
}

/// The text at a place where one must be.
fn read_text(value: Option<&RawValue>, place: Place) -> Result<Cow<'_, str>, RequestFault> {
    value.and_then(text).ok_or_else(|| place.fault(text_fault(value)))
}

/// What stands for the id that calls of legacy functions lack; no id of the API looks like it.
fn function_id(name: &str) -> String {
    format!("function {name}")
}

fn call<'a>(raw: &'a RawValue, place: Place) -> Result<Call<'a>, RequestFault> {
    let fields = object_fields(raw.get()).map_err(|_| place.fault("must be an object"))?;
    let get = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
    let is_custom = given(get("type")).is_some_and(|kind| kind.get() == r#""custom""#);
    let id = given(get("id")).map_or(Ok("".into()), |id| read_text(Some(id), place.leaf("id")))?;
    let leaves = if is_custom { &CUSTOM } else { &FUNCTION };
    let member = get(leaves.holder).ok_or_else(|| place.leaf(leaves.holder).fault("is missing"))?;
    let (name, payload) = function(member, place, leaves)?;
    let kind = if is_custom { CallKind::Custom } else { CallKind::Function };
    Ok(Call { kind, id, name, namespace: None, payload, caller: None })
}

/// Where the members of a call stand below it.
struct Leaves {
    holder: &'static str,
    name: &'static str,
    payload: &'static str,
    payload_name: &'static str,
}

const FUNCTION: Leaves =
    Leaves { holder: "function", name: "function.name", payload: "function.arguments", payload_name: "arguments" };
const CUSTOM: Leaves = Leaves { holder: "custom", name: "custom.name", payload: "custom.input", payload_name: "input" };
const LEGACY: Leaves = Leaves { holder: "", name: "name", payload: "arguments", payload_name: "arguments" };

type NameAndPayload<'a> = (Cow<'a, str>, Located<Cow<'a, str>>);

fn function<'a>(call: &'a RawValue, place: Place, leaves: &Leaves) -> Result<NameAndPayload<'a>, RequestFault> {
    let fields = object_fields(call.get()).map_err(|_| place.leaf(leaves.holder).fault("must be an object"))?;
    let get = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
    let name = read_text(get("name"), place.leaf(leaves.name))?;
    if name.is_empty() {
        return Err(place.leaf(leaves.name).fault("must be a string that is not empty"));
    }
    let payload = given(get(leaves.payload_name));
    let value = payload.map_or(Ok("".into()), |payload| read_text(Some(payload), place.leaf(leaves.payload)))?;
    Ok((name, Located { leaf: leaves.payload, value }))
}

#[derive(Deserialize)]
struct PartFields<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file: Option<&'a RawValue>,
    #[serde(borrow, default)]
    input_audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    video_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt_cache_breakpoint: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ClientImage<'a> {
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ClientFile<'a> {
    #[serde(borrow, default)]
    file_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    filename: Option<&'a RawValue>,
}

/// Appends the parts of a message's content, a string, an array of parts or null.
fn push_parts<'a>(content: &'a RawValue, message: Place, parts: &mut Vec<Part<'a>>) -> Result<(), RequestFault> {
    let place = message.member("content");
    if let Some(text) = JsonString::read(content) {
        parts.push(Part::text(place, text));
        return Ok(());
    }
    let fields: Vec<PartFields<'a>> = serde_json::from_str(content.get())
        .map_err(|_| place.fault("must be a string, an array of parts with `type`, or null"))?;
    parts.reserve(fields.len());
    for (position, fields) in fields.into_iter().enumerate() {
        parts.push(part(&fields, message.member_element("content", position))?);
    }
    Ok(())
}

fn part<'a>(fields: &PartFields<'a>, place: Place) -> Result<Part<'a>, RequestFault> {
    let missing = |leaf| place.leaf(leaf).fault("is missing");
    let text = |value: Option<&'a RawValue>, leaf| {
        value.and_then(JsonString::read).ok_or_else(|| place.leaf(leaf).fault("must be a string"))
    };
    let (word, kind) = match fields.r#type.as_ref() {
        "text" => ("text", PartKind::Text(text(fields.text, "text")?)),
        "refusal" => ("refusal", PartKind::Refusal(text(fields.refusal, "refusal")?)),
        "image_url" => ("image_url", image(given(fields.image_url).ok_or_else(|| missing("image_url"))?, place)?),
        "file" => ("file", file(given(fields.file).ok_or_else(|| missing("file"))?, place)?),
        "input_audio" => {
            let audio = given(fields.input_audio).ok_or_else(|| missing("input_audio"))?;
            ("input_audio", PartKind::Audio(audio))
        }
        // Only providers of this API have it.
        "video_url" => {
            let raw = given(fields.video_url).ok_or_else(|| missing("video_url"))?;
            ("video_url", PartKind::Opaque { api: Api::Chat, raw })
        }
        "thinking" => {
            let raw = given(fields.thinking).ok_or_else(|| missing("thinking"))?;
            ("thinking", PartKind::Opaque { api: Api::Chat, raw })
        }
        _ => return Err(place.leaf("type").fault("is no type of a part")),
    };
    let name = "prompt_cache_breakpoint";
    let cache = given(fields.prompt_cache_breakpoint).map(|value| CacheMark { name, value });
    Ok(Part { place, word, cache, kind })
}

fn image<'a>(image: &'a RawValue, place: Place) -> Result<PartKind<'a>, RequestFault> {
    // Some clients send the URL without the object around it.
    let fields = match is_text(image) {
        true => ClientImage { url: Some(image), detail: None },
        false => serde_json::from_str(image.get())
            .map_err(|_| place.leaf("image_url").fault("must be an object with `url`"))?,
    };
    let leaf = "image_url.url";
    let value = read_text(fields.url, place.leaf(leaf))?;
    let detail = given(fields.detail).filter(|detail| detail.get() != r#""auto""#);
    let detail = detail.map(|value| Located { leaf: "image_url.detail", value });
    Ok(PartKind::Image { source: MediaSource::Url(Located { leaf, value }), detail })
}

fn file<'a>(file: &'a RawValue, place: Place) -> Result<PartKind<'a>, RequestFault> {
    let file: ClientFile<'a> =
        serde_json::from_str(file.get()).map_err(|_| place.leaf("file").fault("must be an object with `file_data`"))?;
    let name = given(file.filename).and_then(JsonString::read);
    if let Some(id) = given(file.file_id) {
        let leaf = "file.file_id";
        let value = JsonString::read(id).ok_or_else(|| place.leaf(leaf).fault("must be a string"))?;
        return Ok(PartKind::File { source: MediaSource::Id(Located { leaf, value }), name });
    }
    let leaf = "file.file_data";
    let value = read_text(file.file_data, place.leaf(leaf))?;
    let source = match value.starts_with(PDF_START) {
        true => MediaSource::Data { media_type: "application/pdf".into(), data: Located { leaf, value } },
        false => MediaSource::Url(Located { leaf, value }),
    };
    Ok(PartKind::File { source, name })
}
