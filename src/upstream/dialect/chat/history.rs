//! The messages of a conversation as a provider takes them, whoever made them before.
//!
//! A client sends back what it was told, and part of that only the provider that said it understands: reasoning, signatures,
//! long ids, fields that SDKs echo. Published fields pass, others as far as the provider's row says so; what is missing and
//! would be a refusal is put in its documented form. What says nothing (`null`, empty lists) is left out without a word.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::below::{Pruner, leaf};
use super::message_content::{SaidInMessage, has_calls, is_missing, is_signed};
use super::older_form::OlderCalls;
use super::short_ids::IdForm;
use super::{custom_form, tools};
use crate::error::Error;
use crate::policy::{Names, Prefill, Quirk};
use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ListItem, ObjectEdit, OpenedObject, list};
use crate::upstream::dialect::tool_names::ToolNames;
use crate::upstream::dialect::user_turns::LastTurn;
use crate::wire::ask::turns::{Form, Role, Turn};
use crate::wire::chat::MESSAGE_FIELDS;
use crate::wire::containers::{found_valid, members_named};
use crate::wire::json::{self, Field, says_nothing};
use crate::wire::seal::is_token;

/// The members of `extra_content` in which Google's own API, and Vertex, have the signature of a call.
const GOOGLE: &str = "google";
const VERTEX: &str = "vertex";
/// Stands between a tool's result and the user, where one may not follow the other.
const BETWEEN: &str = r#"{"role":"assistant","content":"I see."}"#;

/// A conversation for a provider.
pub struct History<'a> {
    pub recipient: Recipient<'a>,
    pub turns: &'a [Turn<'a>],
    pub names: &'a ToolNames,
    /// The beginning of the answer, for the last message.
    pub begun: Option<&'a str>,
    /// Joins the instructions before the conversation.
    pub hint: Option<&'a str>,
}

impl<'a> History<'a> {
    /// The JSON of each message; nothing if they stay as they are.
    ///
    /// # Errors
    /// A 400 with `param` for a part that the provider's API cannot carry.
    pub fn write(&self, dropped: &mut Dropped) -> Result<Option<Vec<Cow<'a, str>>>, Error> {
        let turns = self.turns;
        let mut messages = MessageList { list: Vec::with_capacity(turns.len() + 2), is_changed: false };
        let leading = turns.iter().take_while(|turn| turn.role.is_instruction()).count();
        let present = turns.iter().rposition(|turn| turn.role == Role::User);
        let mut hint = self.hint.map(|hint| format!(r#"{{"role":"system","content":{}}}"#, json::quoted(hint)));
        let mut aside = Aside {
            recipient: &self.recipient,
            behind_results: Vec::new(),
            older_calls: OlderCalls::default(),
            dropped,
        };
        let gathers_instructions = self.gathers_instructions();
        // What stands at the end in what goes up, if it is none of the gateway's messages.
        let end = match gathers_instructions {
            true => turns.iter().rposition(|turn| !turn.role.is_instruction()),
            false => turns.len().checked_sub(1),
        };
        let mut previous = None;
        for (position, turn) in turns.iter().enumerate() {
            if position == leading {
                let behind = turns.iter().enumerate().skip(leading);
                for (position, turn) in behind.filter(|(_, turn)| gathers_instructions && turn.role.is_instruction()) {
                    aside.dropped.note("messages");
                    let context = MessageContext { position, role: turn.role, signed_in: None, is_prefill: false };
                    messages.insert(self.message(turn, &context, &mut aside)?);
                }
                hint.take().into_iter().for_each(|hint| messages.insert(hint));
            }
            if gathers_instructions && position > leading && turn.role.is_instruction() {
                continue;
            }
            if previous.is_some_and(Role::is_of_results) && !turn.role.is_of_results() {
                self.end_results(Some(turn.role), &mut messages, &mut aside);
            }
            let signed_in = self.signed_in().filter(|_| present.is_none_or(|at| at < position));
            let is_prefill = self.begun.is_none()
                && Some(position) == end
                && turn.role == Role::Assistant
                && self.recipient.model.prefill == Some(Prefill::Prefix)
                && !has_calls(turn);
            let context = MessageContext { position, role: turn.role, signed_in, is_prefill };
            messages.push(self.message(turn, &context, &mut aside)?);
            previous = Some(turn.role);
        }
        self.end_results(None, &mut messages, &mut aside);
        hint.into_iter().for_each(|hint| messages.insert(hint));
        if let Some(words) = self.missing_turn(end) {
            aside.dropped.note("messages");
            messages.insert(format!(r#"{{"role":"user","content":{}}}"#, json::quoted(words)));
        }
        if let (Some(text), Some(prefill)) = (self.begun, self.recipient.model.prefill) {
            let flag = match prefill {
                Prefill::Message => "",
                Prefill::Prefix => r#","prefix":true"#,
            };
            messages.insert(format!(r#"{{"role":"assistant","content":{}{flag}}}"#, json::quoted(text)));
        }
        Ok(messages.is_changed.then_some(messages.list))
    }

    /// Where the provider has the signature of a call, if it wants one.
    fn signed_in(&self) -> Option<&'static str> {
        match (self.recipient.has(Quirk::VertexSignatures), self.recipient.has(Quirk::ThoughtSignatures)) {
            (true, _) => Some(VERTEX),
            (false, true) => Some(GOOGLE),
            (false, false) => None,
        }
    }

    /// What the user has to say at the end, where the provider wants that; `end` is the message that stands there.
    fn missing_turn(&self, end: Option<usize>) -> Option<&'static str> {
        if !self.recipient.has(Quirk::EndsWithUser) {
            return None;
        }
        let last = self.turns.iter().enumerate().rfind(|(_, turn)| !turn.role.is_instruction());
        let last_turn = match last {
            None => LastTurn::Nothing,
            Some((at, turn)) if turn.role == Role::Assistant && !has_calls(turn) => {
                LastTurn::Answer { can_go_on: self.recipient.model.prefill.is_some() && Some(at) == end }
            }
            Some(_) => LastTurn::Open,
        };
        last_turn.missing()
    }

    /// Whether all instructions are to stand with the first ones, so that they keep their order: the provider takes none behind
    /// an answer or a result, nor at the end.
    fn gathers_instructions(&self) -> bool {
        let is_late = |pair: &[Turn<'_>]| {
            let [before, turn] = [pair[0].role, pair[1].role];
            turn.is_instruction() && !before.is_instruction() && before != Role::User
        };
        let ends_with_one = || self.turns.last().is_some_and(|turn| turn.role.is_instruction());
        self.recipient.has(Quirk::NoUserAfterTool) && (ends_with_one() || self.turns.windows(2).any(is_late))
    }

    /// What results could not hold follows in a message of the user, and whoever speaks `next` behind it.
    fn end_results(&self, next: Option<Role>, messages: &mut MessageList<'a>, aside: &mut Aside<'a, '_>) {
        let parts = std::mem::take(&mut aside.behind_results);
        let user_follows = !parts.is_empty() || next == Some(Role::User);
        if user_follows && self.recipient.has(Quirk::NoUserAfterTool) {
            aside.dropped.note("messages");
            messages.insert(BETWEEN);
        }
        if !parts.is_empty() {
            messages.insert(format!(r#"{{"role":"user","content":[{}]}}"#, parts.join(",")));
        }
    }

    fn message(
        &self,
        turn: &Turn<'a>,
        context: &MessageContext,
        aside: &mut Aside<'a, '_>,
    ) -> Result<Cow<'a, str>, Error> {
        let raw = turn.raw;
        // Messages of the user are most of a request's bytes where it holds images or files; opening them level by level would
        // read these again and again.
        let is_plain = match context.role {
            Role::System => turn.form == Form::Texts,
            Role::User => turn.form >= Form::Parts,
            Role::Assistant => turn.form == Form::Texts && !context.is_prefill,
            Role::Developer | Role::Tool | Role::Function => false,
        };
        if !is_plain || self.recipient.lacks_below("messages.content.") {
            return self.opened(raw, context, aside);
        }
        Ok(Cow::Borrowed(raw))
    }

    fn opened(&self, raw: &'a str, context: &MessageContext, aside: &mut Aside<'a, '_>) -> Result<Cow<'a, str>, Error> {
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(found_valid(raw)) else {
            return Ok(Cow::Borrowed(raw));
        };
        let Recipient { provider, model, .. } = self.recipient;
        let takes_functions = self.recipient.takes_functions();
        let becomes_tool = context.role == Role::Function && !takes_functions;
        let (mut refusal, mut older_call) = (None, None);
        let mut said = SaidInMessage::default();
        for field in &fields {
            match field.name.as_ref() {
                "role" if becomes_tool => edit.put(field, Cow::Borrowed(r#""tool""#)),
                // Its call's id says it.
                "name" if becomes_tool => edit.leave(),
                "role" if context.role == Role::Developer && self.recipient.has(Quirk::NoDeveloperRole) => {
                    edit.put(field, Cow::Owned(r#""system""#.to_owned()));
                }
                "role" => edit.keep(field),
                // Only an answer may have no content.
                "content" if is_missing(field.value) && context.role != Role::Assistant => {
                    edit.put(field, r#""""#.to_owned().into());
                }
                "content" if is_missing(field.value) && !json::is_null(field.value) => {
                    edit.put(field, "null".to_owned().into());
                }
                "content" => {
                    let content = self.content(field.value, context, aside)?;
                    said.content = Some(content.clone());
                    edit.put(field, content);
                }
                "tool_call_id" => edit.put(field, self.id(field.value)),
                _ if says_nothing(field.value) => edit.leave(),
                "tool_calls" => match self.calls(field.value, context, aside)? {
                    Some(calls) => {
                        said.more = true;
                        edit.put(field, calls);
                    }
                    None => edit.leave(),
                },
                "function_call" if !takes_functions => {
                    said.more = true;
                    older_call = Some(field.value);
                    edit.leave();
                }
                "name" if self.recipient.has(Quirk::NoMessageName) && context.role != Role::Function => {
                    aside.dropped.note("messages.name");
                    edit.leave();
                }
                "refusal" if self.recipient.lacks("messages.refusal") => {
                    refusal = Some(field.value);
                    edit.leave();
                }
                "prefix" if model.prefill == Some(Prefill::Prefix) => edit.keep(field),
                name => {
                    let path = format!("messages.{name}");
                    let is_published = MESSAGE_FIELDS.contains(&name);
                    if self.recipient.lacks(&path) || !(is_published || provider.message_fields.allow(name)) {
                        aside.dropped.note(&path);
                        edit.leave();
                    } else if name == "reasoning_details" {
                        match without_tokens(field.value, aside.dropped)? {
                            Some(details) => edit.put(field, details),
                            None => edit.leave(),
                        }
                    } else {
                        said.more |= is_published && name != "name";
                        edit.put(field, self.member(field, context.role, aside));
                    }
                }
            }
        }
        match refusal.and_then(json::text) {
            Some(refusal) => edit.add("content", said.with(&refusal)),
            // It must say something, or the message is none: not every answer did, and not all of it may be left.
            None if context.role == Role::Assistant && said.is_nothing() => {
                edit.add("content", r#""""#.to_owned());
            }
            None => {}
        }
        if let Some(call) = older_call {
            edit.add_to_list("tool_calls", &self.older_call(call, context, aside));
        }
        if becomes_tool {
            let name = json::field(&fields, "name").and_then(json::text).unwrap_or_default();
            edit.add("tool_call_id", aside.older_calls.end(&name, context.position, self.id_form()));
        }
        let is_marked = json::field(&fields, "prefix").is_some_and(|prefix| !says_nothing(prefix));
        if context.is_prefill && !is_marked {
            edit.add("prefix", "true".to_owned());
        }
        Ok(edit.finish())
    }

    fn id(&self, value: &'a RawValue) -> Cow<'a, str> {
        self.id_form().shorten(value).map_or(Cow::Borrowed(value.get()), Cow::Owned)
    }

    fn id_form(&self) -> IdForm {
        if self.recipient.has(Quirk::ShortToolIds) { IdForm::Nine } else { IdForm::Forty }
    }

    /// The value of a published field of a message, or of one that the row adds.
    fn member(&self, field: &Field<'a>, role: Role, aside: &mut Aside<'a, '_>) -> Cow<'a, str> {
        match (field.name.as_ref(), role) {
            ("function_call", _) => self.called("messages.function_call", field.value, aside),
            ("name", role) if role.is_of_results() => tools::renamed_name(field.value, self.names),
            (name, _) => {
                let more = &self.recipient.provider.message_fields;
                aside.pruned(&format!("messages.{name}"), field.value, more)
            }
        }
    }

    /// A call of the older form as one of the newer.
    fn older_call(&self, value: &'a RawValue, context: &MessageContext, aside: &mut Aside<'a, '_>) -> String {
        let id = aside.older_calls.begin(value, context.position, self.id_form());
        let called = self.called("messages.function_call", value, aside);
        let signature = match context.signed_in {
            Some(maker) => format!(r#","extra_content":{}"#, unsigned(maker)),
            None => String::new(),
        };
        format!(r#"{{"id":{id},"type":"function","function":{called}{signature}}}"#)
    }

    /// What was called, of a function or a custom tool; `path` says where it stands.
    fn called(&self, path: &str, value: &'a RawValue, aside: &mut Aside<'a, '_>) -> Cow<'a, str> {
        let raw = value.get();
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(value) else { return Cow::Borrowed(raw) };
        let input = if leaf(path) == "custom" { "input" } else { "arguments" };
        for field in &fields {
            match field.name.as_ref() {
                "input" if input == "input" && !self.recipient.takes_custom_tools() => {
                    edit.put_as("arguments", custom_form::arguments(field.value));
                }
                "name" => edit.put(field, tools::renamed_name(field.value, self.names)),
                name if name == input && json::is_null(field.value) => {
                    let nothing = if name == "input" { r#""""# } else { r#""{}""# };
                    edit.put(field, nothing.to_owned().into());
                }
                name if name == input || self.recipient.provider.tool_fields.allow(name) => edit.keep(field),
                name => edit.lose(field, format_args!("{path}.{name}"), aside.dropped),
            }
        }
        edit.finish()
    }

    fn calls(
        &self,
        calls: &'a RawValue,
        context: &MessageContext,
        aside: &mut Aside<'a, '_>,
    ) -> Result<Option<Cow<'a, str>>, Error> {
        list(calls, |item| Ok(Some(self.call(&item, context, aside))))
    }

    fn call(&self, item: &ListItem<'a>, context: &MessageContext, aside: &mut Aside<'a, '_>) -> Cow<'a, str> {
        let known = &self.recipient.provider.tool_fields;
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(item.raw) else {
            return Cow::Borrowed(item.raw.get());
        };
        let becomes_function =
            !self.recipient.takes_custom_tools() && fields.iter().any(|field| field.name == "custom");
        // Of parallel calls only the first is signed.
        let lacking = context.signed_in.filter(|maker| item.position == 0 && !is_signed(&fields, maker));
        for field in &fields {
            match field.name.as_ref() {
                _ if json::is_null(field.value) => edit.leave(),
                "id" => edit.put(field, self.id(field.value)),
                "type" if becomes_function => edit.put(field, Cow::Owned(r#""function""#.to_owned())),
                "type" => edit.keep(field),
                name @ ("function" | "custom") => {
                    let called = self.called(&format!("messages.tool_calls.{name}"), field.value, aside);
                    match becomes_function && name == "custom" {
                        true => edit.put_as("function", called),
                        false => edit.put(field, called),
                    }
                }
                name if known.allow(name) => edit.keep(field),
                name => edit.lose(field, format_args!("messages.tool_calls.{name}"), aside.dropped),
            }
        }
        if let Some(maker) = lacking {
            if json::field(&fields, "extra_content").is_some_and(|other| !says_nothing(other)) {
                aside.dropped.note("messages.tool_calls.extra_content");
            }
            edit.add("extra_content", unsigned(maker));
        }
        edit.finish()
    }
}

/// The messages as they go up.
struct MessageList<'a> {
    list: Vec<Cow<'a, str>>,
    /// Whether any differs from what the client sent, or where it stood.
    is_changed: bool,
}

impl<'a> MessageList<'a> {
    /// The client's next message.
    fn push(&mut self, message: Cow<'a, str>) {
        self.is_changed |= matches!(message, Cow::Owned(_));
        self.list.push(message);
    }

    /// A message that did not stand here.
    fn insert(&mut self, message: impl Into<Cow<'a, str>>) {
        self.list.push(message.into());
        self.is_changed = true;
    }
}

/// What messages leave aside.
pub struct Aside<'a, 'd> {
    recipient: &'d Recipient<'a>,
    /// Parts of results that only a message of the user may hold.
    pub behind_results: Vec<Cow<'a, str>>,
    older_calls: OlderCalls,
    pub dropped: &'d mut Dropped,
}

impl<'a> Aside<'a, '_> {
    /// The value at `path` with what the recipient knows of it, `more` included.
    pub fn pruned(&mut self, path: &str, value: &'a RawValue, more: &Names) -> Cow<'a, str> {
        let is_added = |path: &str| more.allow(leaf(path));
        Pruner { recipient: self.recipient, is_added: &is_added, dropped: self.dropped }.prune(path, value)
    }
}

/// The state of reasoning that other providers of this dialect gave: what the gateway sealed is for no one else.
fn without_tokens<'x>(details: &'x RawValue, dropped: &mut Dropped) -> Result<Option<Cow<'x, str>>, Error> {
    let is_sealed = |entry: &RawValue| {
        let states = members_named(entry, &["signature", "data"]).unwrap_or_default();
        states.into_iter().flatten().filter_map(json::text).any(|state| is_token(&state))
    };
    list(details, |item| match is_sealed(item.raw) {
        true => {
            dropped.note("messages.reasoning_details");
            Ok(None)
        }
        false => Ok(Some(Cow::Borrowed(item.raw.get()))),
    })
}

/// What Google documents for calls that its models did not make.
fn unsigned(maker: &str) -> String {
    format!(r#"{{"{maker}":{{"thought_signature":"skip_thought_signature_validator"}}}}"#)
}

/// Where a message stands.
pub struct MessageContext {
    pub position: usize,
    pub role: Role,
    /// Where the thought signature of the first call stands, which must have one.
    signed_in: Option<&'static str>,
    /// It begins the answer, and must say so.
    is_prefill: bool,
}
