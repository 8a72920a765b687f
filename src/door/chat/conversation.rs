//! The messages of a chat completion request as items of the neutral form, for dialects of other APIs. What deciding needs of
//! them is read by `messages`, always.
//!
//! A message of the assistant is its text, always, and then its calls; the calls of legacy functions have no ids, so the name
//! stands for one.

use std::borrow::Cow;
use std::cell::RefCell;

use super::parts::{push_parts, read_text};
use super::reasoning;
use crate::door::marks;
use crate::door::members::Members;
use crate::wire::ask::items::{Call, CallResult, Item, ItemKind, Level, Part, PartKind};
use crate::wire::ask::place::{Located, Place, RequestFault};
use crate::wire::ask::turns::{Form, Role, Texts, Turn};
use crate::wire::ask::unread::Unread;
use crate::wire::call::CallKind;
use crate::wire::containers::found_valid;
use crate::wire::json::JsonString;

/// Fields of messages that other APIs answer with, and clients send back, without meaning for a model.
const ECHOED: [&str; 3] = ["annotations", "logprobs", "id"];

/// All messages.
///
/// # Errors
/// What is no message, part or call.
pub fn read<'a>(turns: &[Turn<'a>], unread: &RefCell<Unread<'a>>) -> Result<Vec<Item<'a>>, RequestFault> {
    let mut items = Vec::with_capacity(turns.len());
    for (position, turn) in turns.iter().enumerate() {
        let place = Place::element("messages", position);
        if let Some(kind) = texts(turn, place, &items) {
            items.push(Item::new(place, kind));
            continue;
        }
        let message =
            Members::open(found_valid(turn.raw), place, unread).ok_or_else(|| place.fault("must be an object"))?;
        push_items(message, turn.role, &mut items)?;
    }
    Ok(items)
}

/// What a turn says that has nothing but texts, which have been found already: most turns, and most of what long ones hold.
fn texts<'a>(turn: &Turn<'a>, place: Place, before: &[Item<'a>]) -> Option<ItemKind<'a>> {
    if turn.form != Form::Texts {
        return None;
    }
    let part = |place: Place, text: &'a str| Some(Part::text(place, JsonString::read(found_valid(text))?));
    let parts: Option<Vec<Part<'a>>> = match &turn.texts {
        Texts::None => return None,
        Texts::One(text) => part(place.member("content"), text).map(|part| vec![part]),
        Texts::Several(texts) => {
            let places = (0..).map(|position| place.member_element("content", position));
            texts.iter().zip(places).map(|(text, place)| part(place, text)).collect()
        }
    };
    match turn.role {
        Role::System | Role::Developer => Some(instruction(parts?, before)),
        Role::User => Some(ItemKind::User(parts?)),
        Role::Assistant => Some(ItemKind::Text { phase: None, parts: parts? }),
        Role::Tool | Role::Function => None,
    }
}

fn instruction<'a>(parts: Vec<Part<'a>>, before: &[Item<'a>]) -> ItemKind<'a> {
    // The one before it says it for all before that.
    let follows_the_top =
        before.last().is_none_or(|item| matches!(item.kind, ItemKind::Instruction { level: Level::Top, .. }));
    let level = if follows_the_top { Level::Top } else { Level::Mid };
    ItemKind::Instruction { level, parts }
}

/// Appends the items of one message. What its role has no use for stays unread.
fn push_items<'a>(mut message: Members<'_, 'a>, role: Role, items: &mut Vec<Item<'a>>) -> Result<(), RequestFault> {
    let (place, first) = (message.place(), items.len());
    message.pass("role");
    ECHOED.into_iter().for_each(|name| message.pass(name));
    let mut parts = Vec::new();
    if let Some(raw) = message.take("audio") {
        let kind = PartKind::EarlierAudio(raw);
        parts.push(Part { place: place.member("audio"), word: "audio", cache: None, kind });
    }
    if let Some(content) = message.take("content") {
        push_parts(content, &message, &mut parts)?;
    }
    let kind = match role {
        Role::System | Role::Developer => instruction(parts, items),
        Role::User => ItemKind::User(parts),
        Role::Assistant => {
            if let Some(refusal) = message.take("refusal") {
                let place = place.member("refusal");
                let text = JsonString::read(refusal).ok_or_else(|| place.fault("must be a string"))?;
                parts.push(Part { place, word: "refusal", cache: None, kind: PartKind::Refusal(text) });
            }
            ItemKind::Text { phase: None, parts }
        }
        Role::Tool => {
            let leaf = "tool_call_id";
            let value = read_text(message.take(leaf), place.leaf(leaf))?;
            let id = Located { leaf, value };
            ItemKind::Result(CallResult { kind: CallKind::Function, id, parts, is_error: false })
        }
        Role::Function => {
            let leaf = "name";
            let name = read_text(message.take(leaf), place.leaf(leaf))?;
            let id = Located { leaf, value: function_id(&name).into() };
            ItemKind::Result(CallResult { kind: CallKind::Legacy, id, parts, is_error: false })
        }
    };
    if role == Role::Assistant {
        push_thoughts(&mut message, items);
    }
    items.push(Item { name: message.take_text("name"), ..Item::new(place, kind) });
    if role == Role::Assistant {
        push_calls(&mut message, items)?;
    }
    // A mark of the message is one of its end.
    if let (Some(mark), Some(last)) = (marks::take(&mut message), items[first..].last_mut()) {
        last.cache.get_or_insert(mark);
    }
    Ok(())
}

/// Appends what was thought before a message was said. Without a token of the gateway's it stays unread.
fn push_thoughts<'a>(message: &mut Members<'_, 'a>, items: &mut Vec<Item<'a>>) {
    let Some(details) = message.take_as(reasoning::FIELD, reasoning::read) else { return };
    if !details.is_whole {
        message.note(reasoning::FIELD);
    }
    reasoning::COPIES.into_iter().for_each(|name| message.pass(name));
    let place = message.place();
    items.extend(details.thoughts.into_iter().map(|thought| Item::new(place, ItemKind::Reasoning(thought))));
}

fn push_calls<'a>(message: &mut Members<'_, 'a>, items: &mut Vec<Item<'a>>) -> Result<(), RequestFault> {
    let place = message.place();
    if let Some(list) = message.take("tool_calls") {
        let calls = message.elements(list, |position| place.member_element("tool_calls", position));
        for call in calls.ok_or_else(|| place.member("tool_calls").fault("must be an array of objects"))? {
            items.push(read_call(call)?);
        }
    }
    if let Some(raw) = message.take("function_call") {
        let place = place.member("function_call");
        let call = message.at(raw, place).ok_or_else(|| place.fault("must be an object"))?;
        let Function { name, payload } = function(call, &LEGACY)?;
        let id = function_id(&name).into();
        let call = Call { kind: CallKind::Legacy, id, name, namespace: None, payload, caller: None };
        items.push(Item::new(place, ItemKind::Call(call)));
    }
    Ok(())
}

/// What stands for the id that calls of legacy functions lack; no id of the API looks like it.
fn function_id(name: &str) -> String {
    format!("function {name}")
}

fn read_call<'a>(mut call: Members<'_, 'a>) -> Result<Item<'a>, RequestFault> {
    let place = call.place();
    let kind = call.take_if("type", |kind| matches!(kind.get(), r#""function""# | r#""custom""#));
    let is_custom = kind.is_some_and(|kind| kind.get() == r#""custom""#);
    let id = call.take("id").map_or(Ok("".into()), |id| read_text(Some(id), place.leaf("id")))?;
    let leaves = if is_custom { &CUSTOM } else { &FUNCTION };
    let member = call.take(leaves.holder).ok_or_else(|| place.leaf(leaves.holder).fault("is missing"))?;
    let member =
        call.inner(member, leaves.holder).ok_or_else(|| place.leaf(leaves.holder).fault("must be an object"))?;
    let Function { name, payload } = function(member, leaves)?;
    let kind = if is_custom { CallKind::Custom } else { CallKind::Function };
    let cache = marks::take(&mut call);
    let call = Call { kind, id, name, namespace: None, payload, caller: None };
    Ok(Item { cache, ..Item::new(place, ItemKind::Call(call)) })
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

/// What a call calls, and with what.
struct Function<'a> {
    name: Cow<'a, str>,
    payload: Located<Cow<'a, str>>,
}

fn function<'a>(mut call: Members<'_, 'a>, leaves: &Leaves) -> Result<Function<'a>, RequestFault> {
    let place = call.place();
    let name = read_text(call.take("name"), place.leaf(leaves.name))?;
    if name.is_empty() {
        return Err(place.leaf(leaves.name).fault("must be a string that is not empty"));
    }
    let payload = call.take(leaves.payload_name);
    let value = payload.map_or(Ok("".into()), |payload| read_text(Some(payload), place.leaf(leaves.payload)))?;
    Ok(Function { name, payload: Located { leaf: leaves.payload, value } })
}
