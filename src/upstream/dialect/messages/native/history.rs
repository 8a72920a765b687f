//! The conversation of a client that speaks this API itself.
//!
//! Every message stays as it came, but for the states of thoughts ([`super::thoughts`]), for turns that the model's row says it
//! does not take, and for what providers of other dialects answer and the API refuses: blank texts, answers that end with a
//! thought, ids and names of calls ([`super::calls`]), a system that speaks before the user. What becomes of a message follows from what stands before it, and from no later one but two: a thought that was
//! changed takes those before it along, since of a chain of thoughts only the beginning may be missing, and what the user says makes the system's words before it the user's.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::value::RawValue;

use super::calls::{Change, may_hold_calls};
use super::message::{self, Block, Message, Role, type_of};
use super::patch::Patch;
use super::reasoning::OUTPUT_CONFIG;
use super::thoughts::{Fate, States, may_hold_thoughts};
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ObjectEdit, OpenedObject, list};
use crate::upstream::dialect::user_turns::CONTINUE;
use crate::wire::containers::elements;
use crate::wire::json::{has_escaped_letters, quoted};

/// The name under which what is left out of a conversation is told.
const FIELD: &str = "messages";
/// The name under which thoughts are.
const THOUGHTS: &str = "messages.thinking";
/// Stands in an answer, or a message of the system's, of which nothing is left, since none may be empty.
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

/// What comes to a conversation.
#[derive(Clone, Copy, Default)]
pub struct Added<'s> {
    /// What the user says behind all else that is no answer.
    pub hint: Option<&'s str>,
    /// What an answer begins with.
    pub begun: Option<&'s str>,
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
        let messages = message::read(raw, states);
        let altered = messages.iter().enumerate().rev().find_map(|(message, read)| {
            let block = read.blocks.iter().rposition(|block| matches!(block.thought, Some(Fate::Altered)))?;
            Some(Place { message, block })
        });
        Self { raw: raw.get(), messages, chain: altered.unwrap_or_default(), terms }
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

    /// Whether anything goes up that was thought.
    pub fn has_thoughts(&self, thoughts: Thoughts) -> bool {
        self.messages.iter().enumerate().any(|(number, message)| {
            let mut blocks = message.blocks.iter().enumerate();
            blocks.any(|(block, read)| read.thought.is_some() && self.keeps(number, block, thoughts))
        })
    }

    /// Whether nothing but thoughts follows a block in the model's turn, and then somebody else speaks.
    fn ends_an_answer(&self, message: usize, block: usize) -> bool {
        let says_something = |block: &Block<'x>| block.thought.is_none() && !block.is_blank;
        let behind = |of: &Message<'x>| of.blocks.get(block + 1..).is_some_and(|rest| rest.iter().any(says_something));
        let is_followed = self.messages.get(message + 1).is_some_and(|next| next.role != Role::Assistant);
        is_followed && !self.messages.get(message).is_some_and(behind)
    }

    /// The conversation with what comes to it; as it came, if nothing changes.
    pub fn write(&self, thoughts: Thoughts, added: Added<'_>, dropped: &mut Dropped) -> Cow<'x, str> {
        let mut patch = Patch::new(self.raw);
        // The user may speak behind the user, but not behind the system.
        let of_user = self.messages.iter().rposition(|message| self.role(message) == Role::Other);
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
                        patch.append(Some(message.raw), &of_the_user(CONTINUE));
                    }
                }
                Role::System | Role::Other => self.write_terms(message, &mut patch, dropped),
            }
            if let Some(hint) = added.hint.filter(|_| of_user == Some(number)) {
                patch.append(Some(message.raw), &of_the_user(hint));
            }
        }
        let last = self.messages.last();
        let behind = match added.begun {
            Some(text) => {
                Some(format!(r#"{{"role":"assistant","content":[{{"type":"text","text":{}}}]}}"#, quoted(text)))
            }
            None if !self.terms.begun_answers && self.ends_with_a_begun_answer() => {
                dropped.note(FIELD);
                Some(of_the_user(CONTINUE))
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
        // Calls of the API's own tools may stand before what it thought.
        let mut blocks = next.blocks.iter().enumerate();
        blocks.any(|(place, block)| block.thought.is_some() && self.keeps(number + 1, place, thoughts))
    }

    /// Who speaks in what goes up.
    fn role(&self, message: &Message<'x>) -> Role {
        match message.role {
            Role::System if message.is_misplaced || !self.terms.system_turns => Role::Other,
            role @ (Role::Assistant | Role::System | Role::Other) => role,
        }
    }

    /// A message of somebody else than the model, as far as the model takes it.
    fn write_terms(&self, message: &Message<'x>, patch: &mut Patch<'x>, dropped: &mut Dropped) {
        let becomes_the_users = message.role != self.role(message);
        let loses_effort = message.has_effort && (!self.terms.efforts || becomes_the_users);
        if !becomes_the_users && !loses_effort {
            return;
        }
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(message.raw) else { return };
        for field in &fields {
            match field.name.as_ref() {
                "role" if becomes_the_users => edit.put(field, Cow::Owned("\"user\"".to_owned())),
                OUTPUT_CONFIG if loses_effort => edit.lose(field, format_args!("{FIELD}.{OUTPUT_CONFIG}"), dropped),
                "content" if becomes_the_users => edit.put(field, without_tool_changes(field.value, dropped)),
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
        let is_followed = number + 1 < self.messages.len();
        let says_nothing = !message.blocks.is_empty() || is_followed && message.is_empty();
        if let (0, Some(content), true) = (kept, message.content, says_nothing) {
            patch.replace(content, NOTHING.to_owned());
            return message.blocks.iter().any(|block| block.thought.is_some());
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
        message.blocks.iter().enumerate().any(|(position, block)| block.thought.is_some() && !keeps(position))
    }
}

/// A content without the tools that come and go in it, of which only the system may speak.
fn without_tool_changes<'x>(content: &'x RawValue, dropped: &mut Dropped) -> Cow<'x, str> {
    let kept = list(content, |block| {
        let kind = type_of(block.raw).filter(|kind| matches!(kind.as_ref(), "tool_addition" | "tool_removal"));
        Ok(match kind {
            Some(kind) => {
                dropped.note(&format!("{FIELD}.content.{kind}"));
                None
            }
            None => Some(Cow::Borrowed(block.raw.get())),
        })
    });
    kept.ok().flatten().unwrap_or(Cow::Borrowed(NOTHING))
}

/// A message of the user's that the gateway adds.
fn of_the_user(words: &str) -> String {
    format!(r#"{{"role":"user","content":{}}}"#, quoted(words))
}

/// Whether a conversation may have to change, whatever comes behind it. Quick, for most of them.
pub fn may_change(json: &str, terms: Terms) -> bool {
    let may_hold = |word: &[u8]| memmem::find(json.as_bytes(), word).is_some() || has_escaped_letters(json.as_bytes());
    may_hold_thoughts(json)
        || may_hold_calls(json)
        || may_hold_blanks(json)
        || may_hold(b"\"system\"")
        || !terms.efforts && may_hold(OUTPUT_CONFIG.as_bytes())
}

/// Whether a conversation may hold texts, or contents, that say nothing.
fn may_hold_blanks(json: &str) -> bool {
    ["\"text\"", "\"content\""].into_iter().any(|name| {
        memmem::find_iter(json.as_bytes(), name).any(|at| {
            let behind = json.get(at + name.len()..).unwrap_or_default().trim_start();
            let mut value = behind.strip_prefix(':').unwrap_or_default().trim_start().chars();
            let (first, second) = (value.next(), value.next());
            // White space stands in a text as it is, or escaped.
            let may_be_blank = |inside: char| matches!(inside, '"' | '\\') || inside.is_whitespace();
            match first {
                Some('"') => second.is_some_and(may_be_blank),
                Some('[') => second.is_some_and(|inside| inside == ']' || inside.is_whitespace()),
                Some(_) | None => false,
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::dialect::UnsealedState;
    use crate::wire::json::Json;

    const TERMS: Terms = Terms { system_turns: true, begun_answers: false, efforts: true };
    const USER: &str = r#"{"role":"user","content":"u"}"#;
    const THOUGHT: &str = r#"{"type":"thinking","thinking":"hm","signature":"EqQB"}"#;
    const TEXT: &str = r#"{"type":"text","text":"t"}"#;

    fn answer(blocks: &[&str]) -> String {
        format!(r#"{{"role":"assistant","content":[{}]}}"#, blocks.join(","))
    }

    fn call(id: &str, name: &str) -> String {
        format!(r#"{{"type":"tool_use","id":"{id}","name":"{name}","input":{{ }}}}"#)
    }

    fn results(ids: &[&str]) -> String {
        let results: Vec<String> =
            ids.iter().map(|id| format!(r#"{{"type":"tool_result","tool_use_id":"{id}","content":"r"}}"#)).collect();
        format!(r#"{{"role":"user","content":[{}]}}"#, results.join(","))
    }

    /// Checks what goes up of a conversation that begins with the user.
    fn check(name: &str, messages: &[&str], expected: &[&str]) {
        let conversation = |messages: &[&str]| format!("[{USER}, {}]", messages.join(" , "));
        let (raw, expected) = (conversation(messages), conversation(expected));
        let json = Json::borrow(&raw).expect("JSON");
        let states = States { sealer: None, unsealed: UnsealedState::LeftOut };
        let sent =
            History::read(json.raw(), TERMS, states).write(Thoughts::Sent, Added::default(), &mut Dropped::default());
        assert_eq!(sent, expected, "{name}");
        assert!(sent == raw || may_change(&raw, TERMS), "{name}: is looked into");
        let json = Json::borrow(&sent).expect("JSON");
        let again =
            History::read(json.raw(), TERMS, states).write(Thoughts::Sent, Added::default(), &mut Dropped::default());
        assert_eq!(again, sent, "{name}: is as the API takes it");
    }

    #[test]
    fn answers_without_words_keep_their_place() {
        let nothing = format!(r#"{{"role":"assistant","content":{NOTHING}}}"#);
        let string = r#"{"role":"assistant","content":" \n"}"#;
        let blank = |text: &str| format!(r#"{{"type":"text","text":"{text}"}}"#);
        for (name, came) in [
            ("no text", answer(&[&blank("")])),
            ("white space", answer(&[&blank(r" \n"), &blank(r"\u0020\t")])),
            ("no block", answer(&[])),
            ("a string", string.to_owned()),
            ("a thought", answer(&[THOUGHT])),
            ("a thought and white space", answer(&[THOUGHT, &blank(" ")])),
        ] {
            check(name, &[&came, USER], &[&nothing, USER]);
        }
        let called = call("a", "f");
        check(
            "white space before a call",
            &[&answer(&[THOUGHT, &blank(r"\n\n"), &called]), &results(&["a"])],
            &[&answer(&[THOUGHT, &called]), &results(&["a"])],
        );
        check(
            "a thought behind words",
            &[&answer(&[THOUGHT, TEXT, THOUGHT]), USER],
            &[&answer(&[THOUGHT, TEXT]), USER],
        );
        let in_two = [answer(&[THOUGHT]), answer(&[TEXT])];
        check("an answer in two messages", &[&in_two[0], &in_two[1], USER], &[&in_two[0], &in_two[1], USER]);
    }

    #[test]
    fn calls_have_ids_and_names_that_the_api_takes_and_results_follow_them() {
        let two = [answer(&[&call("a", "f"), &call("b", "f")]), results(&["b", "a"])];
        check("as they should be", &[&two[0], &two[1]], &[&two[0], &two[1]]);
        let again = [answer(&[TEXT, &call("a", "f"), &call("c", "f")]), results(&["c", "a"])];
        let changed = [answer(&[TEXT, &call("call_3_1", "f"), &call("c", "f")]), results(&["c", "call_3_1"])];
        check(
            "an id that comes again",
            &[&two[0], &two[1], &again[0], &again[1], USER],
            &[&two[0], &two[1], &changed[0], &changed[1], USER],
        );
        check(
            "an id that comes twice",
            &[&answer(&[&call("a", "f"), &call("a", "f")]), &results(&["a", "a"])],
            &[&answer(&[&call("a", "f"), &call("call_1_1", "f")]), &results(&["a", "call_1_1"])],
        );
        check(
            "an odd id, and results in two messages",
            &[
                &answer(&[&call("a.b", "f"), &call("functions.f:1", "f")]),
                &results(&["functions.f:1"]),
                &results(&["a.b"]),
            ],
            &[
                &answer(&[&call("call_1_0", "f"), &call("call_1_1", "f")]),
                &results(&["call_1_1"]),
                &results(&["call_1_0"]),
            ],
        );
        check(
            "a name that a model made up",
            &[&answer(&[&call("a", "default_api.gone:3")]), &results(&["a"])],
            &[&answer(&[&call("a", "default_api_gone_3_957c29ab0e")]), &results(&["a"])],
        );
    }

    #[test]
    fn inputs_are_objects() {
        let given = |input: &str| answer(&[&call("a", "f").replace("{ }", input)]);
        for (came, expected) in [
            (r#"{"b": 1}"#, r#"{"b": 1}"#),
            ("null", "{}"),
            ("[1]", r#"{"__unparsedToolInput":{"raw":"[1]","len":3}}"#),
            (r#""x""#, r#"{"__unparsedToolInput":{"raw":"\"x\"","len":3}}"#),
        ] {
            check(came, &[&given(came), &results(&["a"])], &[&given(expected), &results(&["a"])]);
        }
    }

    #[test]
    fn the_system_speaks_only_behind_the_user_and_before_an_answer_or_the_end() {
        let (system, as_user) = (r#"{"role":"system","content":"s"}"#, r#"{"role":"user","content":"s"}"#);
        let said = answer(&[TEXT]);
        for (name, came, expected) in [
            ("at the end", vec![system, system], vec![system, system]),
            ("before an answer", vec![system, &said, USER], vec![system, &said, USER]),
            ("before the user", vec![system, USER], vec![as_user, USER]),
            ("behind an answer", vec![&said, system, system, USER], vec![&said, as_user, as_user, USER]),
            ("behind an answer, at the end", vec![&said, system], vec![&said, as_user]),
        ] {
            check(name, &came, &expected);
        }
    }

    #[test]
    fn what_was_thought_behind_the_gateways_turn_stays_behind_it() {
        let (begun, thought, said) = (answer(&[TEXT]), answer(&[THOUGHT, TEXT]), answer(&[TEXT]));
        let asked = format!("{begun},{}", of_the_user(CONTINUE));
        check("a thought", &[&begun, &thought, USER], &[&asked, &thought, USER]);
        check("no thought", &[&begun, &said, USER], &[&begun, &said, USER]);
    }
}
