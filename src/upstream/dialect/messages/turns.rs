//! The client's messages as the Messages API's `system` and `messages`.
//!
//! System and developer messages move to `system`; turns of one speaker are merged; the results of tool calls come first
//! in the user turn that follows the calls, and answer all of them; the first turn is the user's. Ids that the API would
//! refuse (characters, repetitions, none at all, as other providers make them) are replaced on both sides alike.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::value::RawValue;

use super::parts::{Speaker, invalid, push_content, push_text};
use super::tools;
use super::wire::{Block, Message, Role};
use crate::error::Error;
use crate::policy::Model;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::ask::Ask;
use crate::wire::ask::turns::Turn;
use crate::wire::json::{Field, object_fields};
use crate::wire::json::{Json, given, is_text, text};
use crate::wire::json::{MAX_DEPTH, is_too_deep};

/// The user's turn before an answer that has none.
const OPENING: &str = "Begin.";
/// The user's turn after an answer that the model may not take up.
const CONTINUE: &str = "Continue.";

/// Fields of messages that other APIs answer with, and clients send back, without meaning for a model.
const ECHOED: [&str; 3] = ["annotations", "logprobs", "id"];

#[derive(Debug, Default)]
pub struct Turns<'a> {
    pub system: Vec<Block<'a>>,
    pub messages: Vec<Message<'a>>,
    /// The tools that are called.
    pub called: BTreeSet<Cow<'a, str>>,
    /// Whether the last turn answers tool calls.
    pub in_tool_loop: bool,
    /// Whether the last turn is the beginning of the answer.
    pub has_prefill: bool,
}

/// All messages of `request`.
///
/// # Errors
/// A 400 for a part that cannot be carried, and for calls and results that do not match.
pub fn translate<'a>(request: &Ask<'a>, model: &Model, dropped: &mut Dropped) -> Result<Turns<'a>, Error> {
    let mut builder = Builder { turns: Turns::default(), calls: Calls::default(), results: Vec::new(), dropped };
    for (index, turn) in request.turns.iter().enumerate() {
        builder.push(index, turn, model)?;
    }
    builder.finish(model)
}

struct Builder<'a, 'd> {
    turns: Turns<'a>,
    calls: Calls<'a>,
    /// What stands before the rest of the last turn: results of calls, which may come after words.
    results: Vec<Block<'a>>,
    dropped: &'d mut Dropped,
}

/// Ids of tool calls.
#[derive(Default)]
struct Calls<'a> {
    used: BTreeSet<Cow<'a, str>>,
    /// Calls without results: the ids that went up, by the ids that the client uses.
    pending: BTreeMap<Cow<'a, str>, VecDeque<Cow<'a, str>>>,
    /// The message with the latest calls.
    turn: usize,
}

impl<'a> Calls<'a> {
    /// The id that goes up for a call that the client calls `id`.
    fn begin(&mut self, id: Cow<'a, str>, turn: usize, position: usize) -> Cow<'a, str> {
        let is_valid = |id: &str| {
            !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        let mut given = id.clone();
        if !is_valid(&id) || self.used.contains(&id) {
            given = format!("call_{turn}_{position}").into();
            while self.used.contains(&given) {
                given.to_mut().push('_');
            }
        }
        self.used.insert(given.clone());
        self.pending.entry(id).or_default().push_back(given.clone());
        self.turn = turn;
        given
    }

    /// The id that went up for the call whose result has come.
    fn end(&mut self, id: &str) -> Option<Cow<'a, str>> {
        let waiting = self.pending.get_mut(id)?;
        let given = waiting.pop_front();
        if waiting.is_empty() {
            self.pending.remove(id);
        }
        given
    }
}

/// The fields of a message that mean something here.
#[derive(Default)]
struct Fields<'a> {
    content: Option<&'a RawValue>,
    refusal: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    tool_calls: Option<&'a RawValue>,
    function_call: Option<&'a RawValue>,
    tool_call_id: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn read(turn: &Turn<'a>, index: usize, dropped: &mut Dropped) -> Result<Self, Error> {
        let mut fields = Fields::default();
        for Field { name, value } in object_fields(turn.raw).unwrap_or_default() {
            if given(Some(value)).is_none() {
                continue;
            }
            match name.as_ref() {
                "role" => {}
                "content" => fields.content = Some(value),
                "refusal" => fields.refusal = Some(value),
                "name" => fields.name = Some(value),
                "tool_calls" => fields.tool_calls = Some(value),
                "function_call" => fields.function_call = Some(value),
                "tool_call_id" => fields.tool_call_id = Some(value),
                "audio" => {
                    let message = "refers to audio that only its own provider has";
                    return Err(invalid(&format!("messages[{index}].audio"), message));
                }
                name if ECHOED.contains(&name) => {}
                name => dropped.note(&format!("messages.{name}")),
            }
        }
        Ok(fields)
    }
}

impl<'a> Builder<'a, '_> {
    fn push(&mut self, index: usize, turn: &Turn<'a>, model: &Model) -> Result<(), Error> {
        use crate::wire::ask::turns::Role as From;
        let fields = Fields::read(turn, index, self.dropped)?;
        if fields.name.is_some() && turn.role != From::Function {
            self.dropped.note("messages.name");
        }
        match turn.role {
            From::System | From::Developer => self.push_system(index, &fields, model),
            From::User => {
                let mut blocks = Vec::new();
                self.content(&fields, Speaker::User, index, &mut blocks)?;
                self.append(Role::User, blocks);
                Ok(())
            }
            From::Assistant => self.push_assistant(index, &fields),
            From::Tool => {
                let id = fields.tool_call_id.and_then(text);
                let place = format!("messages[{index}].tool_call_id");
                let id = id.ok_or_else(|| invalid(&place, "must be a string"))?;
                self.push_result(&id, &place, index, &fields)
            }
            From::Function => {
                let place = format!("messages[{index}].name");
                let name = fields.name.and_then(text).ok_or_else(|| invalid(&place, "must be a string"))?;
                self.push_result(&function_id(&name), &place, index, &fields)
            }
        }
    }

    fn push_system(&mut self, index: usize, fields: &Fields<'a>, model: &Model) -> Result<(), Error> {
        let mut blocks = Vec::new();
        self.content(fields, Speaker::System, index, &mut blocks)?;
        if blocks.is_empty() {
            return Ok(());
        }
        if self.turns.messages.is_empty() {
            self.turns.system.append(&mut blocks);
        } else if model.system_turns && self.calls.pending.is_empty() {
            self.append(Role::System, blocks);
        } else {
            self.turns.system.append(&mut blocks);
            self.dropped.note("messages");
        }
        Ok(())
    }

    fn push_assistant(&mut self, index: usize, fields: &Fields<'a>) -> Result<(), Error> {
        let mut blocks = Vec::new();
        self.content(fields, Speaker::Assistant, index, &mut blocks)?;
        if let Some(refusal) = fields.refusal {
            if !is_text(refusal) {
                return Err(invalid(&format!("messages[{index}].refusal"), "must be a string"));
            }
            push_text(refusal, &mut blocks);
        }
        if self.turns.messages.last().is_some_and(|turn| turn.role == Role::User) {
            self.check_answered()?;
        }
        if let Some(tool_calls) = fields.tool_calls {
            self.tool_calls(tool_calls, index, &mut blocks)?;
        }
        if let Some(call) = fields.function_call {
            let (name, input) = function(call, &format!("messages[{index}].function_call"))?;
            let id = self.calls.begin(function_id(&name).into(), index, 0);
            self.call(id, name, input, &mut blocks);
        }
        self.append(Role::Assistant, blocks);
        Ok(())
    }

    fn tool_calls(&mut self, raw: &'a RawValue, index: usize, blocks: &mut Vec<Block<'a>>) -> Result<(), Error> {
        let place = format!("messages[{index}].tool_calls");
        let calls: Vec<&'a RawValue> =
            serde_json::from_str(raw.get()).map_err(|_| invalid(&place, "must be an array"))?;
        for (position, raw) in calls.into_iter().enumerate() {
            let place = format!("{place}[{position}]");
            let fields = object_fields(raw.get()).map_err(|_| invalid(&place, "must be an object"))?;
            let get = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
            if given(get("type")).is_some_and(|kind| kind.get() != "\"function\"") {
                let message = "must be `function`: calls of custom tools cannot be carried to the serving model";
                return Err(invalid(&format!("{place}.type"), message));
            }
            let id = given(get("id")).map_or(Some(Cow::Borrowed("")), text);
            let id = id.ok_or_else(|| invalid(&format!("{place}.id"), "must be a string"))?;
            let place = format!("{place}.function");
            let call = get("function").ok_or_else(|| invalid(&place, "is missing"))?;
            let (name, input) = function(call, &place)?;
            let id = self.calls.begin(id, index, position);
            self.call(id, name, input, blocks);
        }
        Ok(())
    }

    fn call(&mut self, id: Cow<'a, str>, name: Cow<'a, str>, input: Json<'a>, blocks: &mut Vec<Block<'a>>) {
        self.turns.called.insert(name.clone());
        blocks.push(Block::ToolUse { id, name, input, cache_control: None });
    }

    fn push_result(&mut self, id: &str, place: &str, index: usize, fields: &Fields<'a>) -> Result<(), Error> {
        let Some(tool_use_id) = self.calls.end(id) else {
            return Err(invalid(place, "answers no call of the message before it"));
        };
        let mut content = Vec::new();
        self.content(fields, Speaker::Tool, index, &mut content)?;
        self.begin(Role::User);
        self.results.push(Block::ToolResult { tool_use_id, content, cache_control: None });
        Ok(())
    }

    fn content(
        &mut self,
        fields: &Fields<'a>,
        speaker: Speaker,
        index: usize,
        blocks: &mut Vec<Block<'a>>,
    ) -> Result<(), Error> {
        match fields.content {
            Some(content) => {
                push_content(content, speaker, &format!("messages[{index}].content"), (blocks, self.dropped))
            }
            None => Ok(()),
        }
    }

    /// Adds blocks to the turn under way, or to a new one if another speaks.
    fn append(&mut self, role: Role, mut blocks: Vec<Block<'a>>) {
        if blocks.is_empty() {
            return;
        }
        self.begin(role);
        if let Some(turn) = self.turns.messages.last_mut() {
            turn.content.append(&mut blocks);
        }
    }

    /// Makes the last turn one of `role`.
    fn begin(&mut self, role: Role) {
        let last = self.turns.messages.last().map(|turn| turn.role);
        if last == Some(role) {
            return;
        }
        if last.is_none() && role != Role::User {
            let content = vec![Block::note(OPENING)];
            self.turns.messages.push(Message { role: Role::User, content });
            self.dropped.note("messages");
        }
        self.put_results_first();
        self.turns.messages.push(Message { role, content: Vec::new() });
    }

    /// Ends the last turn. Results are put into it all at once, since each would move everything behind it.
    fn put_results_first(&mut self) {
        let results = std::mem::take(&mut self.results);
        if let (false, Some(turn)) = (results.is_empty(), self.turns.messages.last_mut()) {
            let words = std::mem::replace(&mut turn.content, results);
            turn.content.extend(words);
        }
    }

    fn check_answered(&self) -> Result<(), Error> {
        if self.calls.pending.is_empty() {
            return Ok(());
        }
        let place = format!("messages[{}].tool_calls", self.calls.turn);
        Err(invalid(&place, "must each be answered by a message of role `tool` that follows"))
    }

    fn finish(mut self, model: &Model) -> Result<Turns<'a>, Error> {
        self.check_answered()?;
        match self.turns.messages.last_mut() {
            None => {
                self.dropped.note("messages");
                self.append(Role::User, vec![Block::note(OPENING)]);
            }
            Some(last) if last.role == Role::Assistant && model.prefill.is_some() => {
                trim_end(last);
                self.turns.has_prefill = true;
            }
            Some(last) if last.role == Role::Assistant => {
                self.dropped.note("messages");
                self.append(Role::User, vec![Block::note(CONTINUE)]);
            }
            Some(_) => {}
        }
        self.turns.in_tool_loop = !self.results.is_empty();
        self.put_results_first();
        Ok(self.turns)
    }
}

/// What stands for the id that calls of legacy functions lack; no id of the API looks like it.
fn function_id(name: &str) -> String {
    format!("function {name}")
}

/// Name and input of a call, whose arguments are a JSON object in a string.
fn function<'a>(call: &'a RawValue, place: &str) -> Result<(Cow<'a, str>, Json<'a>), Error> {
    let fields = object_fields(call.get()).map_err(|_| invalid(place, "must be an object"))?;
    let get = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
    let name = get("name").and_then(text).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| invalid(&format!("{place}.name"), "must be a string that is not empty"))?;
    let name = plain_name(name);
    let place = format!("{place}.arguments");
    let arguments = given(get("arguments")).map_or(Some(Cow::Borrowed("")), text);
    let arguments = arguments.ok_or_else(|| invalid(&place, "must be a string"))?;
    if is_too_deep(&arguments) {
        return Err(invalid(&place, &format!("must not be nested more than {MAX_DEPTH} levels deep")));
    }
    let arguments = if arguments.trim().is_empty() { "{}".to_owned() } else { arguments.into_owned() };
    let input = Json::parse(arguments).filter(|input| input.get().starts_with('{'));
    input.map(|input| (name, input)).ok_or_else(|| invalid(&place, "must be a JSON object, in a string"))
}

/// The name of a function, which a model may have made up, in the characters that the API takes.
fn plain_name(name: Cow<'_, str>) -> Cow<'_, str> {
    if tools::is_name(&name) {
        return name;
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().take(tools::MAX_NAME_BYTES).map(plain).collect::<String>().into()
}

/// The beginning of an answer may not end in white space.
fn trim_end(turn: &mut Message<'_>) {
    let Some(Block::Text { text: last, .. }) = turn.content.last_mut() else { return };
    let decoded: String = serde_json::from_str(last.get()).unwrap_or_default();
    if decoded.trim_end().len() < decoded.len() {
        *last = Json::text(decoded.trim_end());
    }
}
