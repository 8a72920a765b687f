//! The conversation's items as the Messages API's `system` and `messages`.
//!
//! Instructions move to `system`; what one speaker says is one turn; the results of tool calls come first in the user turn
//! that follows the calls, and answer all of them; the first turn is the user's. Ids that the API would refuse (characters,
//! repetitions, none at all, as other providers make them) are replaced on both sides alike.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::cache;
use super::calls::Reading;
use super::parts::{Speaker, mark_last, push_parts};
use super::property_names::PropertyNames;
use super::renamer::{Direction, Renamer};
use super::thoughts::{self, Read};
use super::wire::{Block, Message, Role};
use crate::error::Error;
use crate::policy::{Model, Thinking};
use crate::upstream::dialect::custom_tools;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::upstream::dialect::user_turns::{CONTINUE, LastTurn, OPENING};
use crate::upstream::sealer::Sealer;
use crate::wire::ask::items::{CacheMark, Call, CallResult, Item, ItemKind, Level, Part, Reasoning, qualified};
use crate::wire::ask::place::Place;
use crate::wire::call::CallKind;
use crate::wire::halves::without_halves;
use crate::wire::json::{Json, MAX_DEPTH, is_too_deep};

#[derive(Debug, Default)]
pub struct Turns<'a> {
    pub system: Vec<Block<'a>>,
    pub messages: Vec<Message<'a>>,
    /// The tools that are called.
    pub called: BTreeSet<Cow<'a, str>>,
    /// Whether the last turn answers tool calls before which there is no thought.
    pub in_thoughtless_loop: bool,
    /// Whether the last turn is the beginning of the answer.
    pub has_prefill: bool,
}

/// What a conversation is translated for.
#[derive(Clone, Copy)]
pub struct Setting<'s> {
    /// The field that the conversation stands in.
    pub list: &'static str,
    pub model: &'s Model,
    /// What opens the thoughts of earlier answers.
    pub sealer: Option<&'s Sealer>,
    pub reading: &'s Reading,
    pub names: &'s ToolNames,
}

/// All items of a conversation.
///
/// # Errors
/// A 400 for a part that cannot be carried, and for calls and results that do not match.
pub fn translate<'x>(
    setting: Setting<'_>,
    items: impl Iterator<Item = &'x Item<'x>>,
    dropped: &mut Dropped,
) -> Result<Turns<'x>, Error> {
    let mut builder = Builder {
        setting,
        turns: Turns::default(),
        calls: Calls::default(),
        results: Vec::new(),
        thoughts: Vec::new(),
        chain: Chain::default(),
        dropped,
    };
    for item in items {
        builder.push(item)?;
    }
    builder.finish()
}

struct Builder<'x, 'd> {
    setting: Setting<'d>,
    turns: Turns<'x>,
    calls: Calls<'x>,
    /// What stands before the rest of the last turn: results of calls, which may come after words.
    results: Vec<Block<'x>>,
    /// What was thought before something that is yet to come: an answer of nothing but thoughts is none.
    thoughts: Vec<Block<'x>>,
    chain: Chain,
    dropped: &'d mut Dropped,
}

/// Where the last chain of thoughts begins: behind so many turns, of the last one so many blocks.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    turns: usize,
    blocks: usize,
}

/// Ids of tool calls.
#[derive(Default)]
struct Calls<'a> {
    used: BTreeSet<Cow<'a, str>>,
    /// Calls without results: the ids that went up, by the ids that the client uses.
    pending: BTreeMap<&'a str, VecDeque<Cow<'a, str>>>,
    /// Where the latest calls stand.
    place: Option<Place>,
}

impl<'a> Calls<'a> {
    /// The id that goes up for a call that the client calls `id`.
    fn begin(&mut self, id: &'a str, place: Place) -> Cow<'a, str> {
        let is_valid = |id: &str| {
            !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        };
        let mut given = Cow::Borrowed(id);
        if !is_valid(id) || self.used.contains(id) {
            given = format!("call_{}_{}", place.position(), place.inner_position()).into();
            while self.used.contains(&given) {
                given.to_mut().push('_');
            }
        }
        self.used.insert(given.clone());
        self.pending.entry(id).or_default().push_back(given.clone());
        self.place = Some(place.list());
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

impl<'x> Builder<'x, '_> {
    fn push(&mut self, item: &'x Item<'x>) -> Result<(), Error> {
        // An id is its own provider's alone.
        let Item { place, id: _, name, cache: mark, kind } = item;
        let (list, mark) = (self.setting.list, *mark);
        if name.is_some() {
            self.dropped.note(&place.path_to("name"));
        }
        match kind {
            ItemKind::Instruction { level, parts } => {
                let blocks = self.blocks(parts, Speaker::System, mark)?;
                self.push_instruction(*level, blocks);
                Ok(())
            }
            ItemKind::User(parts) => {
                let blocks = self.blocks(parts, Speaker::User, mark)?;
                self.append(Role::User, blocks);
                Ok(())
            }
            ItemKind::Text { parts, .. } => {
                let blocks = self.blocks(parts, Speaker::Assistant, mark)?;
                self.check_answered_before()?;
                self.append(Role::Assistant, blocks);
                Ok(())
            }
            ItemKind::Call(call) => self.push_call(call, *place, mark),
            ItemKind::Result(result) => self.push_result(result, *place, mark),
            ItemKind::Reasoning(reasoning) => {
                self.push_reasoning(reasoning);
                Ok(())
            }
            // Tools and settings are gathered from all items.
            ItemKind::ToolsAdded(_) | ItemKind::ToolsRemoved(_) | ItemKind::Config { .. } => Ok(()),
            ItemKind::Opaque { .. } => {
                self.dropped.note(list);
                Ok(())
            }
        }
    }

    /// A thought goes up again if it is the model's own. One that was changed breaks the chain of those before it, of which
    /// only the beginning may be missing.
    fn push_reasoning(&mut self, reasoning: &'x Reasoning<'x>) {
        match thoughts::read(self.setting.sealer, reasoning) {
            Read::Block(block) => self.thoughts.push(block),
            Read::Foreign => self.dropped.note(thoughts::FIELD),
            Read::Altered => {
                self.dropped.note(thoughts::FIELD);
                self.break_chain();
            }
        }
    }

    fn push_instruction(&mut self, level: Level, mut blocks: Vec<Block<'x>>) {
        if blocks.is_empty() {
            return;
        }
        let last = self.turns.messages.last().map(|turn| turn.role);
        let may_stay = self.setting.model.system_turns
            && self.calls.pending.is_empty()
            && matches!(last, Some(Role::User | Role::System));
        if level == Level::Top || last.is_none() {
            self.turns.system.append(&mut blocks);
        } else if may_stay {
            self.append(Role::System, blocks);
        } else {
            self.move_to_the_top(blocks);
        }
    }

    /// Instructions that may not stand where they are go to the others. What was thought before did not know them, and models
    /// that always think refuse it then.
    fn move_to_the_top(&mut self, blocks: Vec<Block<'x>>) {
        self.turns.system.extend(blocks);
        self.dropped.note(self.setting.list);
        let thinks_unasked = match self.setting.model.thinking {
            Thinking::Always | Thinking::BetweenTools | Thinking::Optional => true,
            Thinking::None | Thinking::Adaptive | Thinking::Budget => false,
        };
        if thinks_unasked {
            self.break_chain();
        }
    }

    /// What was thought so far does not go up.
    fn break_chain(&mut self) {
        if !self.thoughts.is_empty() {
            self.dropped.note(thoughts::FIELD);
            self.thoughts.clear();
        }
        let blocks = self.turns.messages.last().map_or(0, |turn| turn.content.len());
        self.chain = Chain { turns: self.turns.messages.len(), blocks };
    }

    fn push_call(&mut self, call: &'x Call<'x>, place: Place, mark: Option<CacheMark>) -> Result<(), Error> {
        self.check_answered_before()?;
        let name = self.setting.names.write(qualified(call.namespace.as_deref(), &call.name));
        let input = match call.kind {
            CallKind::Custom => custom_input(call),
            CallKind::Function | CallKind::Legacy => input(call, place)?,
        };
        let input = match &self.setting.reading.names {
            Some(names) if call.kind != CallKind::Custom => renamed(input, names),
            Some(_) | None => input,
        };
        let input = without_halves(input);
        let id = self.calls.begin(&call.id, place);
        self.turns.called.insert(name.clone());
        let cache_control = mark.map(cache::control);
        self.append(Role::Assistant, vec![Block::ToolUse { id, name, input, cache_control }]);
        Ok(())
    }

    fn push_result(&mut self, result: &'x CallResult<'x>, place: Place, mark: Option<CacheMark>) -> Result<(), Error> {
        let Some(tool_use_id) = self.calls.end(&result.id.value) else {
            let message = "answers no call of the message before it";
            return Err(place.leaf(result.id.leaf).fault(message).into());
        };
        let mut content = self.blocks(&result.parts, Speaker::Tool, None)?;
        // A mark inside of a result is one of the whole of it.
        let inside = content.iter_mut().filter_map(|block| block.cache_control()?.take()).last();
        let cache_control = mark.map(cache::control).or(inside);
        self.begin(Role::User);
        let is_error = result.is_error;
        self.results.push(Block::ToolResult { tool_use_id, content, is_error, cache_control });
        Ok(())
    }

    /// The blocks of one item; `mark` is that of its end.
    fn blocks(
        &mut self,
        parts: &'x [Part<'x>],
        speaker: Speaker,
        mark: Option<CacheMark>,
    ) -> Result<Vec<Block<'x>>, Error> {
        let mut blocks = Vec::with_capacity(parts.len());
        push_parts(parts, speaker, &mut blocks, self.dropped)?;
        if let Some(mark) = mark {
            mark_last(&mut blocks, mark, self.dropped);
        }
        Ok(blocks)
    }

    /// Adds blocks to the turn under way, or to a new one if another speaks.
    fn append(&mut self, role: Role, mut blocks: Vec<Block<'x>>) {
        if blocks.is_empty() {
            return;
        }
        if role == Role::Assistant {
            self.continue_before_thoughts();
        }
        self.begin(role);
        let mut thoughts = std::mem::take(&mut self.thoughts);
        if let Some(turn) = self.turns.messages.last_mut() {
            match role {
                Role::Assistant => turn.content.append(&mut thoughts),
                Role::User | Role::System if !thoughts.is_empty() => self.dropped.note(thoughts::FIELD),
                Role::User | Role::System => {}
            }
            turn.content.append(&mut blocks);
        }
    }

    /// What was thought behind an answer that the model could not take up was thought behind the user's turn that stood there
    /// then, and is refused without it.
    fn continue_before_thoughts(&mut self) {
        let last = self.turns.messages.last().map(|turn| turn.role);
        let could_go_on = self.setting.model.prefill.is_some();
        if self.thoughts.is_empty() || could_go_on || last != Some(Role::Assistant) {
            return;
        }
        self.dropped.note(self.setting.list);
        self.turns.messages.push(Message { role: Role::User, content: vec![Block::note(CONTINUE)] });
    }

    /// Makes the last turn one of `role`.
    fn begin(&mut self, role: Role) {
        if role == Role::User {
            self.move_system_turn();
        }
        let last = self.turns.messages.last().map(|turn| turn.role);
        if last == Some(role) {
            return;
        }
        if last.is_none() && role != Role::User {
            let content = vec![Block::note(OPENING)];
            self.turns.messages.push(Message { role: Role::User, content });
            self.dropped.note(self.setting.list);
        }
        self.put_results_first();
        self.turns.messages.push(Message { role, content: Vec::new() });
    }

    /// A system message that another of the user's follows stands where the API does not take it.
    fn move_system_turn(&mut self) {
        if let Some(turn) = self.turns.messages.pop_if(|turn| turn.role == Role::System) {
            self.move_to_the_top(turn.content);
        }
    }

    /// Ends the last turn. Results are put into it all at once, since each would move everything behind it.
    fn put_results_first(&mut self) {
        let results = std::mem::take(&mut self.results);
        if let (false, Some(turn)) = (results.is_empty(), self.turns.messages.last_mut()) {
            let words = std::mem::replace(&mut turn.content, results);
            turn.content.extend(words);
        }
    }

    /// Whoever speaks after the user's turn leaves no call of the last one open.
    fn check_answered_before(&self) -> Result<(), Error> {
        match self.turns.messages.last() {
            Some(turn) if turn.role == Role::User => self.check_answered(),
            Some(_) | None => Ok(()),
        }
    }

    fn check_answered(&self) -> Result<(), Error> {
        match self.calls.place {
            Some(place) if !self.calls.pending.is_empty() => {
                let message = "must each be answered by a message of role `tool` that follows";
                Err(place.fault(message).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Leaves out the thoughts before the last chain, all at once.
    fn remove_broken_chains(&mut self) {
        let Chain { turns, blocks } = self.chain;
        for (number, turn) in self.turns.messages.iter_mut().take(turns).enumerate() {
            let broken = if number + 1 == turns { blocks } else { usize::MAX };
            let (mut position, all) = (0, turn.content.len());
            turn.content.retain(|block| {
                position += 1;
                position > broken || !block.is_thought()
            });
            if turn.content.len() < all {
                self.dropped.note(thoughts::FIELD);
            }
        }
    }

    fn finish(mut self) -> Result<Turns<'x>, Error> {
        self.check_answered()?;
        self.remove_broken_chains();
        let can_go_on = self.setting.model.prefill.is_some();
        let last = match self.turns.messages.last_mut() {
            None => LastTurn::Nothing,
            Some(last) if last.role == Role::Assistant => {
                if can_go_on {
                    trim_end(last);
                    self.turns.has_prefill = true;
                }
                LastTurn::Answer { can_go_on }
            }
            Some(_) => LastTurn::Open,
        };
        if let Some(words) = last.missing() {
            self.dropped.note(self.setting.list);
            self.append(Role::User, vec![Block::note(words)]);
        }
        self.put_results_first();
        let last = self.turns.messages.iter().rfind(|turn| turn.role != Role::System);
        let first = last.filter(|turn| turn.role == Role::User).and_then(|turn| turn.content.first());
        let in_tool_loop = matches!(first, Some(Block::ToolResult { .. }));
        let calling = self.turns.messages.iter().rfind(|turn| turn.role == Role::Assistant);
        let thought_first = calling.and_then(|turn| turn.content.first()).is_some_and(Block::is_thought);
        self.turns.in_thoughtless_loop = in_tool_loop && !thought_first;
        Ok(self.turns)
    }
}

impl Turns<'_> {
    /// Leaves out what was thought, and says whether there was any. No turn is empty then, since none is nothing but thoughts.
    pub fn remove_thoughts(&mut self) -> bool {
        let mut removed = 0;
        for turn in &mut self.messages {
            let before = turn.content.len();
            turn.content.retain(|block| !block.is_thought());
            removed += before - turn.content.len();
        }
        removed > 0
    }
}

/// The input of a call, whose arguments are a JSON object in a text.
fn input<'x>(call: &'x Call<'x>, place: Place) -> Result<Json<'x>, Error> {
    let place = place.leaf(call.payload.leaf);
    let arguments = call.payload.value.as_ref();
    if is_too_deep(arguments) {
        return Err(place.fault(format!("must not be nested more than {MAX_DEPTH} levels deep")).into());
    }
    // Some models call what takes nothing so.
    let arguments = if matches!(arguments.trim(), "" | "null") { "{}" } else { arguments };
    let input = Json::borrow(arguments).filter(|input| input.get().starts_with('{'));
    input.ok_or_else(|| place.fault("must be a JSON object, in a string").into())
}

/// The input of a custom tool's call, which is any text.
fn custom_input(call: &Call<'_>) -> Json<'static> {
    Json::parse(custom_tools::write_input(&call.payload.value)).expect("an object of a string should be JSON")
}

/// An input with the names of its properties as the schemas of this request have them.
fn renamed<'x>(input: Json<'x>, names: &Rc<PropertyNames>) -> Json<'x> {
    let written = Renamer::new(Rc::clone(names), Direction::Up).take(input.get());
    Json::parse(written).unwrap_or(input)
}

/// The beginning of an answer may not end in white space.
fn trim_end(turn: &mut Message<'_>) {
    let Some(Block::Text { text: last, .. }) = turn.content.last_mut() else { return };
    let decoded: String = serde_json::from_str(last.get()).unwrap_or_default();
    if decoded.trim_end().len() < decoded.len() {
        *last = Json::text(decoded.trim_end());
    }
}
