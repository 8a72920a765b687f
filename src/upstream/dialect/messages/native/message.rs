//! The messages of a client that speaks this API itself, each opened once: what they say, as far as it decides what becomes of them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::calls::{Calls, Change};
use super::reasoning::OUTPUT_CONFIG;
use super::thoughts::{self, Fate, States};
use crate::wire::containers::{elements, members, members_named};
use crate::wire::json::{Field, field, is_blank, is_text, text};

pub struct Message<'x> {
    pub raw: &'x RawValue,
    pub role: Role,
    pub content: Option<&'x RawValue>,
    pub has_effort: bool,
    /// Whether it is the system's, and stands where the API takes none: not behind the user, or before the user.
    pub is_misplaced: bool,
    /// Of an answer.
    pub blocks: Vec<Block<'x>>,
    /// What changes in its content, but for thoughts.
    pub changes: Vec<Change<'x>>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Assistant,
    System,
    Other,
}

pub struct Block<'x> {
    pub raw: &'x RawValue,
    /// Nothing if it is no thought.
    pub thought: Option<Fate<'x>>,
    /// Whether it is a text that says nothing.
    pub is_blank: bool,
}

/// All messages of a conversation.
pub fn read<'x>(conversation: &'x RawValue, states: States<'_>) -> Vec<Message<'x>> {
    let mut calls = Calls::default();
    let list = elements(conversation).unwrap_or_default().into_iter().enumerate();
    let mut messages: Vec<Message<'x>> =
        list.map(|(number, raw)| Message::read(raw, number, &mut calls, states)).collect();
    find_misplaced(&mut messages);
    messages
}

impl<'x> Message<'x> {
    /// Opens the message of this number, behind which `calls` are those up to it.
    fn read(raw: &'x RawValue, number: usize, calls: &mut Calls<'x>, states: States<'_>) -> Self {
        let fields = members(raw).unwrap_or_default();
        let role = match field(&fields, "role").and_then(text).as_deref() {
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) | None => Role::Other,
        };
        let (content, has_effort) = (field(&fields, "content"), field(&fields, OUTPUT_CONFIG).is_some());
        let (mut blocks, mut changes) = (Vec::new(), Vec::new());
        match (role, content) {
            (Role::Assistant, _) => {
                calls.begin_answer(number);
                for (position, raw) in content.and_then(elements).unwrap_or_default().into_iter().enumerate() {
                    let fields = members(raw).unwrap_or_default();
                    calls.read_block(&fields, position, &mut changes);
                    blocks.push(Block::read(raw, &fields, states));
                }
            }
            (Role::Other, Some(content)) => changes = calls.read_results(content),
            (Role::Other, None) | (Role::System, _) => {}
        }
        Self { raw, role, content, has_effort, is_misplaced: false, blocks, changes }
    }

    /// Whether it is an answer that ends with words, which the model is to take up. One that ends with a call of the provider's own is
    /// not: it is sent back so that the provider goes on with that.
    pub fn is_begun_answer(&self) -> bool {
        let ends_with_words = |content: &RawValue| {
            let last = elements(content).and_then(|blocks| blocks.last().copied());
            is_text(content) || last.and_then(type_of).is_some_and(|kind| kind == "text")
        };
        self.role == Role::Assistant && self.content.is_some_and(ends_with_words)
    }

    /// Whether its content holds nothing, as that of an answer may in which nothing was said.
    pub fn is_empty(&self) -> bool {
        self.content.is_some_and(|content| match is_text(content) {
            true => is_blank(content),
            false => elements(content).is_some_and(|blocks| blocks.is_empty()),
        })
    }
}

impl<'x> Block<'x> {
    fn read(raw: &'x RawValue, fields: &[Field<'x>], states: States<'_>) -> Self {
        let is_text = field(fields, "type").and_then(text).is_some_and(|kind| kind == "text");
        let is_blank = is_text && field(fields, "text").is_some_and(is_blank);
        Self { raw, thought: thoughts::fate(fields, states), is_blank }
    }
}

/// Marks the messages of the system that do not stand behind the user's, and before an answer or the end.
fn find_misplaced(messages: &mut [Message<'_>]) {
    let mut before = None;
    let mut turns = messages.chunk_by_mut(|message, next| message.role == next.role).peekable();
    while let Some(turn) = turns.next() {
        let role = turn.first().map(|message| message.role);
        let next = turns.peek().and_then(|next| next.first()).map(|message| message.role);
        let is_well_placed = before == Some(Role::Other) && matches!(next, None | Some(Role::Assistant));
        if role == Some(Role::System) {
            turn.iter_mut().for_each(|message| message.is_misplaced = !is_well_placed);
        }
        before = role;
    }
}

/// What a block calls its type.
pub fn type_of(block: &RawValue) -> Option<Cow<'_, str>> {
    members_named(block, &["type"])?[0].and_then(text)
}
