//! What a conversation asks a model to do with its tools: tools that the user mentions, or moves that the user spells out.
//!
//! `call Write with {"file_path": "a", "content": "b"} and Glob with {"pattern": "*"}, then call Read with {"file_path": "a"},
//! then say "done"` is three moves, one an answer; `and` makes calls in one. How far a conversation has come stands in the
//! conversation, so any model can go on where another stopped.

use std::fmt;

use serde_json::Value;

use crate::said::{Call, Said};

/// What agents add to a user's words is no task.
const REMINDER: (&str, &str) = ("<system-reminder>", "</system-reminder>");

/// So Claude Code asks for a summary of a conversation that grew too long.
const NO_CALLS: &str = "do not call any tools";

/// Longer messages, in bytes, ask for no tool by its name.
const MOST_ASKING: usize = 4096;

/// One message of a conversation; instructions are left out.
pub enum Told {
    /// A user's words.
    User(String),
    /// Results of tools, whatever else stands beside them.
    Results,
    Answer {
        calls: usize,
    },
}

/// The moves that a user spelled out.
#[derive(Debug, PartialEq)]
struct Plan {
    moves: Vec<Vec<Spelled>>,
    /// What is said behind the last of them.
    last_words: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Spelled {
    name: String,
    /// As it is written.
    arguments: String,
}

/// What is said next in the task under way: its next move, or where the user's last words forbid calls, as those do that ask
/// for a summary, what is left of it. Nothing where no task is under way, or where a tool of the next move is not there.
pub fn next(history: &[Told], last_words: &str, has_tool: impl Fn(&str) -> bool) -> Option<Said> {
    let left = left(history);
    if forbids_calls(&last_words.to_lowercase()) {
        let left = left.map_or_else(|| "nothing".to_owned(), |plan| plan.to_string());
        return Some(Said::text(&format!("What is left to do: {left}.")));
    }
    let Plan { moves, last_words } = left?;
    match moves.first() {
        Some(calls) if calls.iter().all(|call| has_tool(&call.name)) => {
            Some(Said::calls(calls.iter().map(|call| Call::new(&call.name, &call.arguments)).collect()))
        }
        Some(_) => None,
        None => last_words.as_deref().map(Said::text),
    }
}

/// Whether the user said something that nothing has been said or done about.
pub fn is_asked(history: &[Told]) -> bool {
    matches!(history.last(), Some(Told::User(_)))
}

/// What is left of the task under way.
fn left(history: &[Told]) -> Option<Plan> {
    let (mut plan, behind) = task(history)?;
    let mut made = 0;
    for told in behind {
        match told {
            // An answer without a call is the end of a task.
            Told::Answer { calls: 0 } => return None,
            Told::Answer { calls } => made += calls,
            Told::User(_) | Told::Results => {}
        }
    }
    for calls in &mut plan.moves {
        let of_these = made.min(calls.len());
        calls.drain(..of_these);
        made -= of_these;
    }
    plan.moves.retain(|calls| !calls.is_empty());
    Some(plan)
}

/// The user's last words that are not about a result, if they spell out moves, and what came behind them.
fn task(history: &[Told]) -> Option<(Plan, &[Told])> {
    let at = (0..history.len()).rev().find(|&at| {
        let is_answered = at.checked_sub(1).is_some_and(|before| matches!(history[before], Told::Results));
        !is_answered && matches!(&history[at], Told::User(_))
    })?;
    let Told::User(words) = &history[at] else { return None };
    Some((Plan::find(words)?, &history[at + 1..]))
}

impl Plan {
    fn find(text: &str) -> Option<Self> {
        let starts = text.match_indices("call ").filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric));
        starts.filter_map(|(at, _)| Self::read(&text[at..])).next()
    }

    fn read(text: &str) -> Option<Self> {
        let mut plan = Self { moves: vec![Vec::new()], last_words: None };
        let mut rest = word(text, "call")?;
        loop {
            let (call, behind) = read_call(rest)?;
            plan.moves.last_mut()?.push(call);
            if let Some(behind) = word(behind, "and") {
                rest = behind;
                continue;
            }
            let Some(behind) = word(behind, "then") else { return Some(plan) };
            if let Some(behind) = word(behind, "call") {
                plan.moves.push(Vec::new());
                rest = behind;
                continue;
            }
            plan.last_words = word(behind, "say").and_then(|behind| read_json(behind)?.0.as_str().map(str::to_owned));
            return Some(plan);
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = |calls: &Vec<Spelled>| {
            let calls: Vec<String> =
                calls.iter().map(|call| format!("{} with {}", call.name, call.arguments)).collect();
            format!("call {}", calls.join(" and "))
        };
        let said = self.last_words.iter().map(|words| format!("say {}", Value::from(words.as_str())));
        let steps: Vec<String> = self.moves.iter().map(calls).chain(said).collect();
        out.write_str(&steps.join(", then "))
    }
}

/// `NAME with {...}`, and what stands behind it.
fn read_call(text: &str) -> Option<(Spelled, &str)> {
    let (name, behind) = text.trim_start().split_once(char::is_whitespace)?;
    let behind = word(behind, "with")?.trim_start();
    let (value, rest) = read_json(behind)?;
    let arguments = &behind[..behind.len() - rest.len()];
    value.is_object().then(|| (Spelled { name: name.to_owned(), arguments: arguments.to_owned() }, rest))
}

fn read_json(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

/// What stands behind this word, if the text begins with it.
fn word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    text.strip_prefix(word).filter(|rest| rest.starts_with(char::is_whitespace))
}

/// A user's words without what an agent added to them.
pub fn without_reminders(text: &str) -> String {
    let (opening, closing) = REMINDER;
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(opening) {
        kept.push_str(before);
        rest = behind.split_once(closing).map_or("", |(_, behind)| behind);
    }
    kept.push_str(rest);
    kept.trim().to_owned()
}

/// Whether a message, in small letters, wants a text whatever tools there are.
fn forbids_calls(message: &str) -> bool {
    message.contains(NO_CALLS)
}

/// Whether a message, in small letters, names a tool: `get_weather` or `get weather`. A long one describes its tools rather
/// than asks for them.
pub fn mentions(message: &str, name: &str) -> bool {
    if message.len() > MOST_ASKING || forbids_calls(message) {
        return false;
    }
    let name = name.to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let stands = |name: &str| {
        message
            .match_indices(name)
            .any(|(at, _)| !message[..at].ends_with(is_word) && !message[at + name.len()..].starts_with(is_word))
    };
    !name.is_empty() && (stands(&name) || stands(&name.replace('_', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"Please call Write with {"a": "}, then"} and Glob with {}, then call Read with {"b": [1]}, then say "all \"done\"". Thanks!"#;

    fn user(words: &str) -> Told {
        Told::User(words.to_owned())
    }

    /// What is said, as a row of names with arguments, or as text.
    fn said(history: &[Told]) -> Option<String> {
        let said = next(history, "", |name| name != "Missing")?;
        let calls = said.calls.iter().map(|call| format!("{}{}", call.name, call.arguments()));
        Some(calls.chain(said.pieces.iter().cloned()).collect())
    }

    #[test]
    fn moves_are_made_in_their_order() {
        let calls = |calls| Told::Answer { calls };
        let cases: [(&str, Vec<Told>, Option<&str>); 10] = [
            ("the first", vec![user(PLAN)], Some(r#"Write{"a": "}, then"}Glob{}"#)),
            ("one of two was called", vec![user(PLAN), calls(1), Told::Results], Some("Glob{}")),
            ("the second", vec![user(PLAN), calls(2), Told::Results], Some(r#"Read{"b": [1]}"#)),
            (
                "words beside results are no task",
                vec![user(PLAN), calls(2), Told::Results, user("an image")],
                Some(r#"Read{"b": [1]}"#),
            ),
            ("the last", vec![user(PLAN), calls(2), Told::Results, calls(1), Told::Results], Some("all \"done\"")),
            ("nothing is left", vec![user(PLAN), calls(3), Told::Results, calls(0)], None),
            ("another task", vec![user(PLAN), calls(2), Told::Results, calls(0), user("And now?")], None),
            ("again", vec![user(PLAN), calls(3), calls(0), user(PLAN)], Some(r#"Write{"a": "}, then"}Glob{}"#)),
            ("a tool is missing", vec![user("call Missing with {}")], None),
            ("a tool is missing later", vec![user("call Read with {}, then call Missing with {}")], Some("Read{}")),
        ];
        for (name, history, expected) in cases {
            assert_eq!(said(&history).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_summary_tells_what_is_left_to_do() {
        let words = "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools. What have you done?";
        let summary = |history: &[Told]| next(history, words, |_| true).expect("an answer").pieces.concat();
        let left = r#"What is left to do: call Glob with {}, then call Read with {"b": [1]}, then say "all \"done\""."#;
        let made = [user(PLAN), Told::Answer { calls: 1 }, Told::Results];
        assert_eq!(summary(&made), left);
        assert_eq!(said(&[user(&summary(&made))]).as_deref(), Some("Glob{}"), "it is a task for who reads it");
        assert_eq!(summary(&[user("Hello")]), "What is left to do: nothing.");
        assert!(!mentions(&words.replace("What", "read").to_lowercase(), "Read"));
    }

    #[test]
    fn what_is_not_spelled_out_is_no_plan() {
        for text in ["", "call me", "call Read", "call Read with", "call Read with [1]", "recall Read with {}", "call "]
        {
            assert_eq!(Plan::find(text), None, "{text}");
        }
        let bare = Plan::find("Do call me, or call Read with {}. Then say nothing").expect("a plan");
        assert_eq!((bare.moves.len(), bare.last_words), (1, None));
    }

    #[test]
    fn reminders_are_no_words_of_the_user() {
        for (text, expected) in [
            ("a <system-reminder>b</system-reminder> c", "a  c"),
            ("<system-reminder>b</system-reminder>\n", ""),
            ("a <system-reminder>never closed", "a"),
            ("plain", "plain"),
        ] {
            assert_eq!(without_reminders(text), expected, "{text}");
        }
    }

    #[test]
    fn a_mention_is_a_whole_word() {
        for (message, name, expected) in [
            ("what does get_weather say?", "get_weather", true),
            ("get weather, twice", "get_weather", true),
            ("i have it already", "Read", false),
            ("read it", "Read", true),
            ("get_weather_now", "get_weather", false),
            ("anything", "", false),
        ] {
            assert_eq!(mentions(message, name), expected, "{message} {name}");
        }
        assert!(!mentions(&"read ".repeat(1000), "Read"), "a description");
    }
}
