//! The system prompt and the messages of a request as items of the neutral form, for dialects of other APIs. What deciding
//! needs of them is read by `turns`, always.
//!
//! A turn of the user is its results, matched to their calls by their ids, and then the rest; one of the assistant is its
//! blocks in their order.

use std::borrow::Cow;
use std::cell::RefCell;

use serde_json::value::RawValue;

use super::attribution::is_attribution;
use super::blocks::{Block, BlockType};
use super::content;
use super::holder::Holder;
use super::parts::{self, Blocks, read_text, take_type};
use super::tools::read_tool;
use crate::door::marks;
use crate::door::members::Members;
use crate::wire::ask::items::{Binding, Call, CallResult, Item, ItemKind, Level, Part, PartKind, Reasoning};
use crate::wire::ask::place::{Located, Place, RequestFault};
use crate::wire::ask::unread::Unread;
use crate::wire::ask::{Api, Ask};
use crate::wire::call::{CallKind, input_object};
use crate::wire::containers::{elements, members_named};
use crate::wire::json::{JsonString, given, text};
use crate::wire::seal::{SealKind, Sealed, is_token};

/// The system prompt and all messages.
///
/// # Errors
/// What is no message or block, or does not belong where it stands.
pub fn read<'a>(ask: &Ask<'a>, unread: &RefCell<Unread<'a>>) -> Result<Vec<Item<'a>>, RequestFault> {
    let messages = given(ask.field("messages")).and_then(elements).unwrap_or_default();
    let mut reader = Reader { unread, items: Vec::with_capacity(messages.len() + 1), kept: 0 };
    if let Some(system) = given(ask.field("system")) {
        reader.push_system(system)?;
    }
    for (position, message) in messages.into_iter().enumerate() {
        reader.push_message(message, Place::element("messages", position))?;
    }
    if !reader.items.iter().any(says_something) {
        return Err(Place::field("messages").fault("says nothing that another API could be told"));
    }
    Ok(reader.items)
}

/// Whether somebody speaks in an item.
fn says_something(item: &Item<'_>) -> bool {
    match item.kind {
        ItemKind::Instruction { .. }
        | ItemKind::User(_)
        | ItemKind::Text { .. }
        | ItemKind::Call(_)
        | ItemKind::Result(_) => true,
        ItemKind::Reasoning(_)
        | ItemKind::ToolsAdded(_)
        | ItemKind::ToolsRemoved(_)
        | ItemKind::Config { .. }
        | ItemKind::Opaque { .. } => false,
    }
}

struct Reader<'u, 'a> {
    unread: &'u RefCell<Unread<'a>>,
    items: Vec<Item<'a>>,
    /// How many of them, at the beginning, stay whatever a summary stands for.
    kept: usize,
}

impl<'u, 'a> Reader<'u, 'a> {
    fn push_system(&mut self, system: &'a RawValue) -> Result<(), RequestFault> {
        let place = Place::field("system");
        let mut system_parts = Vec::new();
        match JsonString::read(system) {
            Some(text) => system_parts.push(Part::text(place, text)),
            None => {
                let blocks = elements(system).unwrap_or_default().into_iter().enumerate();
                for (position, block) in blocks {
                    let place = Holder::Body.block(position);
                    let block = Members::open(block, place, self.unread);
                    let mut block = block.ok_or_else(|| place.fault("must be an object with `type`"))?;
                    let of = take_type(&mut block)?;
                    parts::push(block, of, &mut system_parts)?;
                }
            }
        }
        system_parts.retain(|part| match &part.kind {
            PartKind::Text(text) => !text.is_empty() && !is_attribution(text.get(), part.place.position()),
            _ => true,
        });
        if !system_parts.is_empty() {
            let kind = ItemKind::Instruction { level: Level::Top, parts: system_parts };
            self.items.push(Item::new(place, kind));
        }
        Ok(())
    }

    fn push_message(&mut self, message: &'a RawValue, place: Place) -> Result<(), RequestFault> {
        let message = Members::open(message, place, self.unread);
        let mut message = message.ok_or_else(|| place.fault("must be an object with `role` and `content`"))?;
        let role = read_text(message.take("role"), place.member("role"))?;
        self.push_config(&mut message)?;
        let holder = Holder::Message(place);
        let content = message.take("content").ok_or_else(|| holder.content().fault("is missing"))?;
        let blocks = parts::open(content, holder, &message)?;
        match role.as_ref() {
            "assistant" => self.push_answer(blocks, place),
            "system" => {
                let said = self.push_said(blocks, Speaker::System)?;
                if !said.is_empty() {
                    let kind = ItemKind::Instruction { level: Level::Mid, parts: said };
                    self.items.push(Item::new(place, kind));
                }
                Ok(())
            }
            _ => {
                let before = self.items.len();
                let said = self.push_said(blocks, Speaker::User)?;
                if !said.is_empty() || self.items.len() == before {
                    self.items.push(Item::new(place, ItemKind::User(said)));
                }
                Ok(())
            }
        }
    }

    /// What a message sets from here on.
    fn push_config(&mut self, message: &mut Members<'_, 'a>) -> Result<(), RequestFault> {
        let place = message.place();
        let Some(mut config) = message.take_members("output_config", "output_config") else { return Ok(()) };
        let effort = config.take_text("effort");
        let format = content::format(&mut config, "output_config.format")?;
        self.items.push(Item::new(place, ItemKind::Config { effort, format }));
        Ok(())
    }

    /// Appends the results, and the tools that come and go; gives what else is said.
    fn push_said(&mut self, blocks: Blocks<'_, 'a>, speaker: Speaker) -> Result<Vec<Part<'a>>, RequestFault> {
        let blocks = match blocks {
            Blocks::Text { place, text } => return Ok(vec![Part::text(place, text)]),
            Blocks::Several(blocks) => blocks,
        };
        let mut said = Vec::with_capacity(blocks.len());
        for mut block in blocks {
            let of = take_type(&mut block)?;
            match (of.of, speaker) {
                (Block::ToolResult, Speaker::User) => self.push_result(block)?,
                (Block::ToolAddition, _) => self.push_addition(block)?,
                (Block::ToolRemoval, _) => self.push_removal(block)?,
                (Block::Compaction, Speaker::User) => {
                    let place = block.place();
                    if let Some(summary) = parts::take_summary(block) {
                        self.forget();
                        said = vec![Part::text(place, summary)];
                    }
                }
                (_, _) => parts::push(block, of, &mut said)?,
            }
        }
        Ok(said)
    }

    fn push_result(&mut self, mut block: Members<'_, 'a>) -> Result<(), RequestFault> {
        let place = block.place();
        let leaf = "tool_use_id";
        let id = Located { leaf, value: read_text(block.take(leaf), place.leaf(leaf))? };
        let is_error = block.take_flag("is_error").unwrap_or(false);
        let cache = marks::take(&mut block);
        let mut parts = Vec::new();
        if let Some(content) = block.take("content") {
            parts::push_all(content, Holder::Block(place), &block, &mut parts)?;
        }
        let result = CallResult { kind: CallKind::Function, id, parts, is_error };
        self.items.push(Item { cache, ..Item::new(place, ItemKind::Result(result)) });
        Ok(())
    }

    fn push_addition(&mut self, mut block: Members<'_, 'a>) -> Result<(), RequestFault> {
        let place = block.place();
        marks::take(&mut block).into_iter().for_each(|_| block.note("cache_control"));
        let Some(mut change) = block.take_members("tool", "tool") else { return Ok(()) };
        match change.take("type").and_then(text).as_deref() {
            Some("tool_definition") => {
                let tool = change.take("definition").and_then(|definition| change.inner(definition, "tool.definition"));
                let tool = tool.ok_or_else(|| place.leaf("tool.definition").fault("must be an object"))?;
                self.items.push(Item::new(place, ItemKind::ToolsAdded(vec![read_tool(tool)?])));
            }
            // It is among the tools, and counts from the beginning, if it had not been taken away.
            Some("tool_reference") => {
                let name = read_text(change.take("name"), place.leaf("tool.name"))?;
                for item in &mut self.items {
                    if let ItemKind::ToolsRemoved(names) = &mut item.kind {
                        names.retain(|known| *known != name);
                    }
                }
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn push_removal(&mut self, mut block: Members<'_, 'a>) -> Result<(), RequestFault> {
        let place = block.place();
        marks::take(&mut block).into_iter().for_each(|_| block.note("cache_control"));
        let Some(mut change) = block.take_members("tool", "tool") else { return Ok(()) };
        if change.take_if("type", |kind| kind.get() == r#""tool_reference""#).is_some() {
            let name = read_text(change.take("name"), place.leaf("tool.name"))?;
            self.items.push(Item::new(place, ItemKind::ToolsRemoved(vec![name])));
        }
        Ok(())
    }

    /// Appends what the model said, thought and called.
    fn push_answer(&mut self, blocks: Blocks<'_, 'a>, place: Place) -> Result<(), RequestFault> {
        let mut before = self.items.len();
        match blocks {
            Blocks::Text { place: at, text } => self.push_text(place, vec![Part::text(at, text)]),
            Blocks::Several(blocks) => {
                for mut block in blocks {
                    let of = take_type(&mut block)?;
                    if of.of == Block::Compaction {
                        let at = block.place();
                        if let Some(summary) = parts::take_summary(block) {
                            self.forget();
                            self.items.push(Item::new(at, ItemKind::User(vec![Part::text(at, summary)])));
                            before = self.items.len();
                        }
                    } else {
                        self.push_block(block, of, before)?;
                    }
                }
            }
        }
        if self.items.len() == before {
            self.push_text(place, Vec::new());
        }
        Ok(())
    }

    /// A summary stands for all that was said until here, as it does for the API itself. How the model is to behave, and with
    /// which tools, stays.
    fn forget(&mut self) {
        let said = self.items.split_off(self.kept);
        self.items.extend(said.into_iter().filter(|item| match item.kind {
            ItemKind::Instruction { .. }
            | ItemKind::ToolsAdded(_)
            | ItemKind::ToolsRemoved(_)
            | ItemKind::Config { .. } => true,
            ItemKind::User(_)
            | ItemKind::Text { .. }
            | ItemKind::Call(_)
            | ItemKind::Result(_)
            | ItemKind::Reasoning(_)
            | ItemKind::Opaque { .. } => false,
        }));
        self.kept = self.items.len();
    }

    fn push_text(&mut self, place: Place, parts: Vec<Part<'a>>) {
        self.items.push(Item::new(place, ItemKind::Text { phase: None, parts }));
    }

    /// Appends a block of an answer whose first item is at `first`.
    fn push_block(
        &mut self,
        mut block: Members<'_, 'a>,
        of: &'static BlockType,
        first: usize,
    ) -> Result<(), RequestFault> {
        let place = block.place();
        match of.of {
            Block::Text => {
                let mut said = Vec::new();
                parts::push(block, of, &mut said)?;
                match self.items[first..].last_mut().map(|item| &mut item.kind) {
                    Some(ItemKind::Text { parts, .. }) => parts.append(&mut said),
                    Some(_) | None => self.push_text(place, said),
                }
            }
            Block::Thinking => self.push_thought(block, SealKind::Signature),
            Block::RedactedThinking => self.push_thought(block, SealKind::Redacted),
            Block::ToolUse => {
                let cache = marks::take(&mut block);
                let call = read_call(&mut block)?;
                self.items.push(Item { cache, ..Item::new(place, ItemKind::Call(call)) });
            }
            Block::Image
            | Block::Document
            | Block::ToolReference
            | Block::ToolAddition
            | Block::ToolRemoval
            | Block::Compaction
            | Block::Opaque => {
                let (word, raw) = (of.name, block.raw());
                block.pass_all();
                self.items.push(Item::new(place, ItemKind::Opaque { api: Api::Messages, word, raw }));
            }
            Block::ToolResult => {
                block.pass_all();
                return Err(place.leaf("type").fault("is `tool_result`, which stands in a message of the user only"));
            }
        }
        Ok(())
    }

    /// Appends a thought, if its state is one of the gateway's tokens; nobody else can read another.
    fn push_thought(&mut self, mut block: Members<'_, 'a>, kind: SealKind) {
        let (name, text_name, state_name) = match kind {
            SealKind::Signature => ("thinking", "thinking", "signature"),
            SealKind::Redacted => ("redacted_thinking", "", "data"),
        };
        let place = block.place();
        let token = block.take(state_name).and_then(text).filter(|token| is_token(token));
        let thought = block.take_text(text_name).unwrap_or(JsonString::empty());
        match token {
            Some(token) => {
                let sealed = Some(Sealed { kind, text: thought, token });
                let reasoning = Reasoning { summary: Vec::new(), text: Vec::new(), sealed, bound_to: Binding::Turn };
                self.items.push(Item::new(place, ItemKind::Reasoning(reasoning)));
            }
            None => block.note(name),
        }
        block.pass_all();
    }
}

/// Who speaks, of those that do not answer.
#[derive(Clone, Copy)]
enum Speaker {
    System,
    User,
}

fn read_call<'a>(block: &mut Members<'_, 'a>) -> Result<Call<'a>, RequestFault> {
    let place = block.place();
    let mut some_text = |name: &'static str| {
        let value = read_text(block.take(name), place.leaf(name))?;
        match value.is_empty() {
            true => Err(place.leaf(name).fault("must be a string that is not empty")),
            false => Ok(value),
        }
    };
    let (id, name) = (some_text("id")?, some_text("name")?);
    let leaf = "input";
    let value = match block.take(leaf).map(RawValue::get) {
        None => Cow::Borrowed("{}"),
        Some(input) if input.starts_with('{') => Cow::Borrowed(input),
        // A stream brings what the model gave, and its client sends that back.
        Some(input) => input_object(&JsonString::encode(input)).into(),
    };
    let payload = Located { leaf, value };
    let caller = block.take("caller").filter(|caller| !is_direct(caller));
    Ok(Call { kind: CallKind::Function, id, name, namespace: None, payload, caller })
}

/// Whether the model itself made a call.
fn is_direct(caller: &RawValue) -> bool {
    let kind = members_named(caller, &["type"]).and_then(|[kind]| kind);
    kind.is_some_and(|kind| kind.get() == r#""direct""#)
}
