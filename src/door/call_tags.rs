//! The tags on ids of calls that come back: each is taken off, with the call and with its result, before anything else reads the
//! id, and those of the last calls say which model made them.
//!
//! Only a tag whose MAC holds is believed, but whatever has the form is taken off: what a provider has seen of a conversation
//! must stay the same when a root goes, since its state may be bound to that. Nothing is looked at but the ids of calls and
//! results themselves: what only looks like one in a text, or in the input of a call, stays as it is.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::wire::ask::Ask;
use crate::wire::ask::turns::{CallSide, Role, Turn};
use crate::wire::call_tag::{CallTags, Origin, TAG_BYTES};

/// So many calls at the end of an answer are asked who made them, until one says it: they are mostly one model's.
const MAX_ASKED: usize = 64;

/// The tags of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundTags {
    /// Where they stand in the body, in their order.
    places: Vec<Range<usize>>,
    /// Which model made the last call of which the last turn brings a result, if that is what the last turn does.
    pub maker: Option<Origin>,
}

impl FoundTags {
    /// The tags of a request that was read in `body`; nothing if there are none. `keys` is asked only where one is to be believed.
    pub fn of(ask: &Ask<'_>, body: &[u8], keys: impl FnOnce() -> Option<CallTags>) -> Option<Self> {
        let calls = ask.turns.iter().flat_map(|turn| &turn.tagged);
        let mut places: Vec<_> = calls.filter_map(|call| place(body, call.id)).collect();
        if places.is_empty() {
            return None;
        }
        places.sort_unstable_by_key(|place| place.start);
        let answered = last_answered(&ask.turns);
        let keys = if answered.is_empty() { None } else { keys() };
        let maker = keys.and_then(|keys| answered.iter().find_map(|id| keys.origin(id)));
        Some(Self { places, maker })
    }

    /// Takes them off in the body in which they were found.
    pub fn take_off(&self, body: &mut Vec<u8>) {
        let mut kept = self.places.first().map_or(body.len(), |first| first.start);
        for (at, place) in self.places.iter().enumerate() {
            let next = self.places.get(at + 1).map_or(body.len(), |next| next.start);
            body.copy_within(place.end..next, kept);
            kept += next - place.end;
        }
        body.truncate(kept);
    }
}

/// Where the tag of an id stands in the body that the id is a part of.
fn place(body: &[u8], id: &str) -> Option<Range<usize>> {
    let start = (id.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    let end = start.checked_add(id.len())?;
    (body.get(start..end)? == id.as_bytes()).then(|| end - TAG_BYTES..end)
}

/// The ids of the calls of which the last turn, or several that follow each other, brings results, the last one first. Instructions
/// between them say nothing of that.
fn last_answered<'t>(turns: &'t [Turn<'_>]) -> Vec<&'t str> {
    let mut turns = turns.iter().rev().filter(|turn| !turn.role.is_instruction()).peekable();
    let brings_results = |turn: &&Turn<'_>| turn.role.is_of_results() || ids(turn, CallSide::Answered).next().is_some();
    let mut answered = BTreeSet::new();
    while let Some(turn) = turns.next_if(brings_results) {
        answered.extend(ids(turn, CallSide::Answered));
    }
    if answered.is_empty() {
        return Vec::new();
    }
    let made = turns.take_while(|turn| turn.role == Role::Assistant).flat_map(|turn| ids(turn, CallSide::Made).rev());
    made.filter(|id| answered.contains(id)).take(MAX_ASKED).collect()
}

fn ids<'t>(turn: &'t Turn<'_>, side: CallSide) -> impl DoubleEndedIterator<Item = &'t str> {
    turn.tagged.iter().filter(move |call| call.side == side).map(|call| call.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::{chat, messages};
    use crate::error::Error;
    use crate::secret::Secret;

    type Parse = fn(&[u8]) -> Result<Ask<'_>, Error>;

    const A: [&str; 3] = ["openai-chat", "a", "m"];
    const B: [&str; 3] = ["anthropic-messages", "b", "m"];

    fn keys() -> Option<CallTags> {
        CallTags::new(&[Secret::new("a-root-of-enough-characters".to_owned())])
    }

    /// What is found in a body whose tagged ids stand there as `{a:call_1}`, and what the body is without tags.
    fn untagged(parse: Parse, template: &str) -> (Option<FoundTags>, String) {
        let mut body = template.to_owned();
        for (name, origin) in [("a", A), ("b", B)] {
            let tagger = keys().and_then(|keys| keys.tagger(Origin::of(origin))).expect("a key");
            while let Some((before, rest)) = body.split_once(&format!("{{{name}:")) {
                let (id, after) = rest.split_once('}').expect("an end");
                body = format!("{before}{}{after}", tagger.tag(id).expect("a tag"));
            }
        }
        let mut bytes = body.into_bytes();
        let found = FoundTags::of(&parse(&bytes).expect("a request"), &bytes, keys);
        if let Some(found) = &found {
            found.take_off(&mut bytes);
            assert_eq!(FoundTags::of(&parse(&bytes).expect("a request"), &bytes, keys), None, "no tag is left");
        }
        (found, String::from_utf8(bytes).expect("UTF-8"))
    }

    fn bare(template: &str) -> String {
        template.replace("{a:", "").replace("{b:", "").replace("_1}", "_1").replace("_2}", "_2")
    }

    fn check(parse: Parse, template: &str, maker: Option<[&str; 3]>) {
        let (found, body) = untagged(parse, template);
        assert_eq!(body, bare(template));
        assert_eq!(found.map(|found| found.maker), Some(maker.map(Origin::of)), "{template}");
    }

    #[test]
    fn tags_of_messages_are_taken_off_calls_and_results() {
        let call = |id: &str| format!(r#"{{"id" : "{id}","type":"tool_use","name":"look","input":{{}}}}"#);
        let result = |id: &str| {
            format!(r#"{{"type":"tool_result","content":[{{"type":"text","text":"x"}}],"tool_use_id":"{id}"}}"#)
        };
        let body = |turns: &[(&str, &[String])]| {
            let turn =
                |(role, blocks): &(&str, &[String])| format!(r#"{{"role":"{role}","content":[{}]}}"#, blocks.join(","));
            let turns: Vec<String> = turns.iter().map(turn).collect();
            format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"Hi"}},{}]}}"#, turns.join(","))
        };
        let text = || r#"{"type":"text","text":"Go on."}"#.to_owned();
        let (one, two) = ("{a:call_1}", "{b:call_2}");
        let made: &[String] = &[call(one), call(two)];
        let brought: &[String] = &[result(two), result(one)];
        let said: &[String] = &[text()];
        for (turns, maker) in [
            (&[("assistant", made), ("user", brought)][..], Some(B)),
            (&[("assistant", made), ("user", &brought[1..])], Some(A)),
            (&[("assistant", made), ("user", brought), ("system", said)], Some(B)),
            (&[("assistant", made), ("user", &[result(one), text()])], Some(A)),
            (&[("assistant", made), ("user", brought), ("user", said)], None),
            (&[("assistant", made), ("user", brought), ("assistant", said)], None),
            (&[("assistant", made), ("user", brought), ("assistant", said), ("user", said)], None),
            (&[("assistant", made), ("user", &[result("call_3")])], None),
            (
                &[
                    ("assistant", &made[..1]),
                    ("user", &brought[1..]),
                    ("assistant", &made[1..]),
                    ("user", &brought[..1]),
                ],
                Some(B),
            ),
            // A result without its call says nothing of who made it.
            (&[("assistant", said), ("user", brought)], None),
        ] {
            check(messages::parse, &body(turns), maker);
        }
    }

    #[test]
    fn tags_of_chats_are_taken_off_calls_and_results() {
        let body = |turns: &str| format!(r#"{{"messages":[{{"role":"user","content":"Hi"}},{turns}]}}"#);
        let calls = r#"{"role":"assistant","content":null,"tool_calls":[
            {"id":"{a:call_1}","type":"function","function":{"name":"look","arguments":"{}"}},
            {"type":"function","function":{"name":"look","arguments":"{}"}, "id":"{a:call_2}" }]}"#;
        let results = r#"{"role":"tool","tool_call_id":"{a:call_2}","content":"x"},{"tool_call_id":"{a:call_1}","role":"tool","content":"x"}"#;
        for (turns, maker) in [
            (format!("{calls},{results}"), Some(A)),
            (format!(r#"{calls},{results},{{"role":"developer","content":"Be brief."}}"#), Some(A)),
            (format!(r#"{calls},{results},{{"role":"user","content":"Go on."}}"#), None),
            (calls.to_owned(), None),
        ] {
            check(chat::parse, &body(&turns), maker);
        }
    }

    /// What has a tag and is no id of a call stays, and so does an id with another end.
    #[test]
    fn nothing_else_changes() {
        for content in [
            r#"[{"type":"text","text":"{a:call_1}"}]"#,
            r#"[{"type":"tool_use","id":"call_9","name":"look","input":{"id":"{a:call_1}","tool_use_id":"{a:call_1}"}}]"#,
            r#"[{"type":"server_tool_use","id":"{a:srvtoolu_1}","name":"web_search","input":{}}]"#,
            r#"[{"type":"tool_use","id":"{a:call_1}x","name":"look","input":{}}]"#,
            r#"[{"type":"tool_use","id":"call_1_tg2ABCDEFGHIJKLMN","name":"look","input":{}}]"#,
            r#"[{"type":"tool_use","id":"call_1_tg1ABCDEFGHIJKLM.","name":"look","input":{}}]"#,
        ] {
            let template = format!(r#"{{"max_tokens":9,"messages":[{{"role":"assistant","content":{content}}}]}}"#);
            assert_eq!(untagged(messages::parse, &template).0, None, "{template}");
        }
        let plain = br#"{"messages":[{"role":"user","content":"Hi"}]}"#;
        assert_eq!(FoundTags::of(&chat::parse(plain).expect("a request"), plain, || panic!("no key is needed")), None);
    }
}
