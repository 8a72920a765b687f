//! The conversation of a client that speaks this API itself.
//!
//! Every message stays as it came, but for the states of thoughts ([`super::thoughts`]), for turns that the model's row says it
//! does not take, and for what providers of other dialects answer and the API refuses: blank texts, answers that end with a
//! thought, ids and names of calls ([`super::calls`]). What becomes of a message follows from what stands before it, and from no later one but one: a thought that was
//! changed takes those before it along, since of a chain of thoughts only the beginning may be missing.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::value::RawValue;

use super::calls::{Calls, Change, may_hold_calls};
use super::patch::Patch;
use super::reasoning::OUTPUT_CONFIG;
use super::thoughts::{self, Fate, States, may_hold_thoughts};
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ObjectEdit, OpenedObject};
use crate::upstream::dialect::user_turns::CONTINUE;
use crate::wire::containers::{elements, members, members_named};
use crate::wire::json::{field, has_escaped_letters, is_blank, is_text, quoted, text};

/// The name under which what is left out of a conversation is told.
const FIELD: &str = "messages";
/// The name under which thoughts are.
const THOUGHTS: &str = "messages.thinking";
/// Stands in an answer of which nothing is left, since none may be empty.
const NOTHING: &str = r#"[{"type":"text","text":"(Nothing was said.)"}]"#;

/// A conversation that has been read as far as it may have to change.
pub struct History<'x> {
    raw: &'x str,
    messages: Vec<Message<'x>>,
    /// Thoughts that stand before this place do not go up.
    chain: Place,
    terms: Terms,
}

/// What a model takes in a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Whether the system may speak between the others.
    pub system_turns: bool,
    /// Whether it goes on with an answer that was begun.
    pub begun_answers: bool,
    /// Whether a message may say how much the model is to think from there on.
    pub efforts: bool,
}

/// A message, and a block in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    message: usize,
    block: usize,
}

struct Message<'x> {
    raw: &'x RawValue,
    role: Role,
    content: Option<&'x RawValue>,
    has_effort: bool,
    /// Of an answer.
    blocks: Vec<Block<'x>>,
    /// What changes in its content.
    changes: Vec<Change<'x>>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Assistant,
    System,
    Other,
}

struct Block<'x> {
    raw: &'x RawValue,
    /// Nothing if it is no thought.
    thought: Option<Fate<'x>>,
    /// Whether it is a text that says nothing.
    is_blank: bool,
}

/// How a conversation is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thoughts {
    /// With what was thought before.
    Sent,
    LeftOut,
}

impl<'x> History<'x> {
    pub fn read(raw: &'x RawValue, terms: Terms, states: States<'_>) -> Self {
        let mut history = Self { raw: raw.get(), messages: Vec::new(), chain: Place::default(), terms };
        let mut calls = Calls::default();
        for (number, raw) in elements(raw).unwrap_or_default().into_iter().enumerate() {
            let mut message = Message::read(raw, states);
            message.changes = match (message.role, message.content) {
                (Role::Assistant, _) => calls.read_answer(message.blocks.iter().map(|block| block.raw), number),
                (Role::Other, Some(content)) => calls.read_results(content),
                (Role::Other, None) | (Role::System, _) => Vec::new(),
            };
            let altered = message.blocks.iter().rposition(|block| matches!(block.thought, Some(Fate::Altered)));
            if let Some(block) = altered {
                history.chain = Place { message: number, block };
            }
            history.messages.push(message);
        }
        history
    }

    /// Whether the last message answers calls, and the answer with these calls does not begin with a thought.
    pub fn is_in_thoughtless_loop(&self) -> bool {
        let first = |message: &Message<'x>| message.content.and_then(elements)?.first().copied();
        let last = self.messages.iter().rfind(|message| message.role != Role::System);
        let answers = last.filter(|last| last.role == Role::Other).and_then(first);
        let calling = self.messages.iter().enumerate().rfind(|(_, message)| message.role == Role::Assistant);
        answers.is_some_and(|block| type_of(block).as_deref() == Some("tool_result"))
            && calling.is_some_and(|(number, message)| {
                let mut kept = (0..message.blocks.len()).filter(|block| self.keeps(number, *block, Thoughts::Sent));
                kept.next().and_then(|block| message.blocks.get(block)).is_none_or(|block| block.thought.is_none())
            })
    }

    /// Whether the client has begun an answer.
    pub fn ends_with_a_begun_answer(&self) -> bool {
        self.messages.last().is_some_and(Message::is_begun_answer)
    }

    fn keeps(&self, message: usize, block: usize, thoughts: Thoughts) -> bool {
        let Some(read) = self.messages.get(message).and_then(|of| of.blocks.get(block)) else { return true };
        match &read.thought {
            None => !read.is_blank,
            Some(Fate::Kept | Fate::Opened { .. }) => {
                thoughts == Thoughts::Sent
                    && Place { message, block } >= self.chain
                    && !self.ends_an_answer(message, block)
            }
            Some(Fate::Foreign | Fate::Altered) => false,
        }
    }

    /// Whether nothing but thoughts follows a block in the model's turn, and then somebody else speaks.
    fn ends_an_answer(&self, message: usize, block: usize) -> bool {
        let says_something = |block: &Block<'x>| block.thought.is_none() && !block.is_blank;
        let behind = |of: &Message<'x>| of.blocks.get(block + 1..).is_some_and(|rest| rest.iter().any(says_something));
        let is_followed = self.messages.get(message + 1).is_some_and(|next| next.role != Role::Assistant);
        is_followed && !self.messages.get(message).is_some_and(behind)
    }

    /// The conversation, and behind it what an answer has begun; as it came, if nothing changes.
    pub fn write(&self, thoughts: Thoughts, begun: Option<&str>, dropped: &mut Dropped) -> Cow<'x, str> {
        let mut patch = Patch::new(self.raw);
        for (number, message) in self.messages.iter().enumerate() {
            for Change { value, becomes } in &message.changes {
                patch.replace(value, becomes.clone());
            }
            match message.role {
                Role::Assistant => {
                    if self.write_blocks(number, thoughts, &mut patch) {
                        dropped.note(THOUGHTS);
                    }
                    if self.was_asked_to_continue(number, thoughts) {
                        patch.append(Some(message.raw), &continuing());
                    }
                }
                Role::System | Role::Other => self.write_terms(message, &mut patch, dropped),
            }
        }
        let last = self.messages.last();
        let behind = match begun {
            Some(text) => {
                Some(format!(r#"{{"role":"assistant","content":[{{"type":"text","text":{}}}]}}"#, quoted(text)))
            }
            None if !self.terms.begun_answers && self.ends_with_a_begun_answer() => {
                dropped.note(FIELD);
                Some(continuing())
            }
            None => None,
        };
        if let Some(message) = behind {
            patch.append(last.map(|last| last.raw), &message);
        }
        patch.finish()
    }

    /// Whether the model was asked to continue behind an answer, when it thought what follows: that is good only behind the same.
    fn was_asked_to_continue(&self, number: usize, thoughts: Thoughts) -> bool {
        let is_begun = self.messages.get(number).is_some_and(Message::is_begun_answer);
        let Some(next) = self.messages.get(number + 1).filter(|_| is_begun && !self.terms.begun_answers) else {
            return false;
        };
        let first = (0..next.blocks.len()).find(|block| self.keeps(number + 1, *block, thoughts));
        first.and_then(|block| next.blocks.get(block)).is_some_and(|block| block.thought.is_some())
    }

    /// A message of somebody else than the model, as far as the model takes it.
    fn write_terms(&self, message: &Message<'x>, patch: &mut Patch<'x>, dropped: &mut Dropped) {
        let becomes_the_users = message.role == Role::System && !self.terms.system_turns;
        let loses_effort = message.has_effort && (!self.terms.efforts || becomes_the_users);
        if !becomes_the_users && !loses_effort {
            return;
        }
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(message.raw) else { return };
        for field in &fields {
            match field.name.as_ref() {
                "role" if becomes_the_users => edit.put(field, Cow::Owned("\"user\"".to_owned())),
                OUTPUT_CONFIG if loses_effort => edit.lose(field, format_args!("{FIELD}.{OUTPUT_CONFIG}"), dropped),
                _ => edit.put(field, field.value.get().into()),
            }
        }
        if becomes_the_users {
            dropped.note(FIELD);
        }
        patch.replace(message.raw, edit.finish().into_owned());
    }

    /// An answer with those of its thoughts that go up. Says whether any does not.
    fn write_blocks(&self, number: usize, thoughts: Thoughts, patch: &mut Patch<'x>) -> bool {
        let Some(message) = self.messages.get(number) else { return false };
        let keeps = |block| self.keeps(number, block, thoughts);
        let kept = (0..message.blocks.len()).filter(|block| keeps(*block)).count();
        if let (0, Some(content), false) = (kept, message.content, message.blocks.is_empty()) {
            patch.replace(content, NOTHING.to_owned());
            return true;
        }
        let raw: Vec<&RawValue> = message.blocks.iter().map(|block| block.raw).collect();
        patch.retain(&raw, keeps);
        for (position, block) in message.blocks.iter().enumerate() {
            if let Some(Fate::Opened { token, state }) = &block.thought
                && keeps(position)
            {
                patch.replace(token, state.clone());
            }
        }
        kept < message.blocks.len()
    }
}

impl<'x> Message<'x> {
    fn read(raw: &'x RawValue, states: States<'_>) -> Self {
        let fields = members(raw).unwrap_or_default();
        let role = match field(&fields, "role").and_then(text).as_deref() {
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) | None => Role::Other,
        };
        let content = field(&fields, "content");
        let blocks = match role {
            Role::Assistant => content.and_then(elements).unwrap_or_default(),
            Role::System | Role::Other => Vec::new(),
        };
        let blocks = blocks.into_iter().map(|raw| Block::read(raw, states));
        let has_effort = field(&fields, OUTPUT_CONFIG).is_some();
        Self { raw, role, content, has_effort, blocks: blocks.collect(), changes: Vec::new() }
    }

    /// Whether it is an answer that ends with words, which the model is to take up. One that ends with a call of the provider's own is
    /// not: it is sent back so that the provider goes on with that.
    fn is_begun_answer(&self) -> bool {
        let ends_with_words = |content: &RawValue| {
            let last = elements(content).and_then(|blocks| blocks.last().copied());
            is_text(content) || last.and_then(type_of).is_some_and(|kind| kind == "text")
        };
        self.role == Role::Assistant && self.content.is_some_and(ends_with_words)
    }
}

impl<'x> Block<'x> {
    fn read(raw: &'x RawValue, states: States<'_>) -> Self {
        let fields = members(raw).unwrap_or_default();
        let is_text = field(&fields, "type").and_then(text).is_some_and(|kind| kind == "text");
        let is_blank = is_text && field(&fields, "text").is_some_and(is_blank);
        Self { raw, thought: thoughts::fate(&fields, states), is_blank }
    }
}

/// The turn of the user behind an answer that the model cannot take up.
fn continuing() -> String {
    format!(r#"{{"role":"user","content":{}}}"#, quoted(CONTINUE))
}

fn type_of(block: &RawValue) -> Option<Cow<'_, str>> {
    members_named(block, &["type"])?[0].and_then(text)
}

/// Whether a conversation may have to change, whatever comes behind it. Quick, for most of them.
pub fn may_change(json: &str, terms: Terms) -> bool {
    let may_hold = |word: &[u8]| memmem::find(json.as_bytes(), word).is_some() || has_escaped_letters(json.as_bytes());
    may_hold_thoughts(json)
        || may_hold_calls(json)
        || may_hold_blanks(json)
        || !terms.system_turns && may_hold(b"\"system\"")
        || !terms.efforts && may_hold(OUTPUT_CONFIG.as_bytes())
}

/// Whether a conversation may hold texts that say nothing.
fn may_hold_blanks(json: &str) -> bool {
    let mut names = memmem::find_iter(json.as_bytes(), "\"text\"").map(|at| at + "\"text\"".len());
    names.any(|behind| {
        let value = json.get(behind..).unwrap_or_default().trim_start().strip_prefix(':').map(str::trim_start);
        let inside = value.and_then(|value| value.strip_prefix('"'));
        // White space stands there as it is, or escaped.
        inside.is_some_and(|inside| {
            inside.starts_with(|first: char| matches!(first, '"' | '\\') || first.is_whitespace())
        })
    })
}
