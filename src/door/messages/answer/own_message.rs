//! A message put together from the events of its own API, as Anthropic's SDKs do it: it has all that the same answer would have
//! without `stream`, each value as it came and in its place.
//!
//! Fields, blocks and deltas that nobody here knows are kept like those that are published. What the state of a thought is stands
//! in the events already as the client gets it.

use serde_json::value::RawValue;

use crate::door::messages::answer::ids;
use crate::wire::call::input_object;
use crate::wire::carried::carried;
use crate::wire::containers::{found_valid, members, members_named};
use crate::wire::joined::{JoinedFields, write_member};
use crate::wire::json::{Field, JsonString, field, fields_named, given, is_null, object_fields, text, whole};
use crate::wire::piece::is_reason;

/// About how many bytes a block takes that says nothing.
const BLOCK_BYTES: usize = 512;
/// How deep the counts of a usage are merged; what lies deeper is what it was last.
const COUNT_LEVELS: usize = 3;
/// What stands in a message whose provider left it out, since no client can do without.
const NEEDED: [(&str, &str); 6] = [
    ("type", r#""message""#),
    ("role", r#""assistant""#),
    ("model", r#""""#),
    ("content", "[]"),
    ("stop_reason", "null"),
    ("stop_sequence", "null"),
];
const NO_COUNTS: &str = r#"{"input_tokens":0,"output_tokens":0}"#;
/// More members than any object of the API has; what stands behind so many is left out.
const MAX_MEMBERS: usize = 1_000;
/// What no later event says of a message.
const FIXED: [&str; 4] = ["type", "role", "content", "usage"];
/// What belongs to one reason to stop.
const OF_A_STOP: [&str; 2] = ["stop_sequence", "stop_details"];

/// What has come of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnMessage {
    has_begun: bool,
    /// Its members, in the order in which they came first; of content and usage only the places.
    fields: JoinedFields,
    content: Vec<OwnBlock>,
    /// As JSON.
    usage: Option<String>,
    /// About how much is held.
    bytes: usize,
}

carried!(OwnMessage { has_begun, fields, content, usage, bytes });

/// What has come of one block.
#[derive(Clone, Debug, Default, PartialEq)]
struct OwnBlock {
    index: u64,
    fields: JoinedFields,
    /// The fragments of its input, as the inside of a JSON string.
    input: String,
}

carried!(OwnBlock { index, fields, input });

impl OwnMessage {
    /// About how much is held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the data of an event, which has been read before.
    pub fn take(&mut self, data: &[u8]) {
        let names = ["type", "index", "message", "content_block", "delta"];
        let Ok(json) = std::str::from_utf8(data) else { return };
        let Ok([Some(kind), index, message, block, delta]) = fields_named(json, &names) else { return };
        let index = index.and_then(whole);
        match (text(kind).as_deref(), message, block, delta) {
            (Some("message_start"), Some(message), ..) if !self.has_begun => self.begin(message),
            (Some("content_block_start"), _, Some(block), _) => self.begin_block(index, block),
            (Some("content_block_delta"), .., Some(delta)) => self.take_delta(index, delta),
            (Some("message_delta"), ..) => self.end(json),
            _ => {}
        }
    }

    fn begin(&mut self, message: &RawValue) {
        self.has_begun = true;
        for Field { name, value } in few_members(message) {
            match name.as_ref() {
                "content" => self.put(&name, found_valid("[]")),
                "usage" => {
                    self.count(value);
                    self.put(&name, found_valid("{}"));
                }
                name => self.put(name, value),
            }
        }
    }

    fn begin_block(&mut self, index: Option<u64>, block: &RawValue) {
        let mut begun = self.new_block(index);
        for Field { name, value } in few_members(block) {
            begun.fields.replace(&name, value);
        }
        // Some clients read no thought without one.
        if begun.fields.get("type") == Some(r#""thinking""#) && begun.fields.get("signature").is_none() {
            begun.fields.replace("signature", found_valid(r#""""#));
        }
        self.bytes += begun.bytes();
        self.content.push(begun);
    }

    /// A block without a number is the one of its place.
    fn new_block(&self, index: Option<u64>) -> OwnBlock {
        OwnBlock { index: index.unwrap_or(self.content.len() as u64), ..OwnBlock::default() }
    }

    fn take_delta(&mut self, index: Option<u64>, delta: &RawValue) {
        let parts = few_members(delta);
        let kind = field(&parts, "type").and_then(text).unwrap_or_default();
        let position = match index {
            Some(index) => self.content.iter().rposition(|block| block.index == index),
            None => self.content.len().checked_sub(1),
        };
        let mut unseen = None;
        let block = match position.and_then(|position| self.content.get_mut(position)) {
            Some(block) => block,
            // Nobody has seen it begin.
            None => unseen.insert(match kind.as_ref() {
                "text_delta" => self.new_block(index).of_type("text"),
                "thinking_delta" | "signature_delta" => self.new_block(index).of_type("thinking"),
                _ => return,
            }),
        };
        let before = if position.is_some() { block.bytes() } else { 0 };
        parts.iter().filter(|part| part.name != "type").for_each(|part| block.take(&kind, part));
        let after = block.bytes();
        self.bytes = self.bytes - before + after;
        self.content.extend(unseen);
    }

    /// Takes what stands beside the blocks, and in the event itself: of each member the last that is given holds.
    fn end(&mut self, event: &str) {
        for Field { name, value } in object_fields(event).unwrap_or_default().into_iter().take(MAX_MEMBERS) {
            match name.as_ref() {
                "usage" => self.count(value),
                "delta" => self.stop(value),
                name if FIXED.contains(&name) || name == "index" => {}
                name if is_null(value) && self.fields.get(name).is_some() => {}
                name => self.put(name, value),
            }
        }
    }

    fn stop(&mut self, delta: &RawValue) {
        let parts = few_members(delta);
        let has_reason = field(&parts, "stop_reason").and_then(text).is_some_and(|word| is_reason(&word));
        if has_reason {
            // Those of an earlier reason, which was none.
            let of_earlier = OF_A_STOP.iter().filter(|name| self.fields.get(name).is_some());
            of_earlier.copied().collect::<Vec<_>>().iter().for_each(|name| self.put(name, RawValue::NULL));
        }
        for Field { name, value } in &parts {
            let says_nothing = is_null(value) || (name == "stop_reason" && !has_reason);
            let is_known = self.fields.get(name).is_some();
            let is_passed = FIXED.contains(&name.as_ref()) || (says_nothing && is_known);
            if !is_passed {
                self.put(name, value);
            }
        }
    }

    fn put(&mut self, name: &str, value: &RawValue) {
        if !is_of_a_message(name) && !has_room(&self.fields, name) {
            return;
        }
        let before = self.fields.bytes();
        self.fields.replace(name, value);
        self.bytes = self.bytes - before + self.fields.bytes();
    }

    fn count(&mut self, usage: &RawValue) {
        if !usage.get().starts_with('{') {
            return;
        }
        let known = self.usage.take();
        let before = known.as_ref().map_or(0, String::len);
        let counted = match &known {
            Some(known) => merged(found_valid(known), usage, COUNT_LEVELS),
            None => usage.get().to_owned(),
        };
        self.bytes = self.bytes - before + counted.len();
        self.usage = Some(counted);
    }

    /// Appends the message to `out`; `created` stands for the id of one that has none.
    pub fn write(self, created: u64, out: &mut Vec<u8>) {
        let Self { mut fields, content, usage, .. } = self;
        let id = fields.get("id").filter(|id| id.starts_with('"') && id.len() > 2);
        if id.is_none() {
            fields.replace("id", found_valid(&format!("\"{}\"", ids::message_id(None, created))));
        }
        for (name, value) in NEEDED {
            if fields.get(name).is_none_or(|known| known == "null") {
                fields.replace(name, found_valid(value));
            }
        }
        let usage = usage.unwrap_or_else(|| NO_COUNTS.to_owned());
        let counts = members_named(found_valid(&usage), &["input_tokens", "output_tokens"]);
        let usage = match counts {
            Some([Some(_), Some(_)]) => usage,
            Some(_) | None => merged(found_valid(NO_COUNTS), found_valid(&usage), COUNT_LEVELS),
        };
        fields.replace("usage", found_valid(&usage));
        for (position, (name, value)) in fields.iter().enumerate() {
            out.push(if position == 0 { b'{' } else { b',' });
            if name == "content" {
                out.extend_from_slice(b"\"content\":[");
                for (position, block) in content.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    block.write(out);
                }
                out.push(b']');
            } else {
                write_member(name, value, out);
            }
        }
        out.push(b'}');
    }
}

impl OwnBlock {
    fn of_type(mut self, kind: &str) -> Self {
        let of_kind: &[(&str, &str)] = match kind {
            "text" => &[("type", r#""text""#), ("text", r#""""#)],
            _ => &[("type", r#""thinking""#), ("thinking", r#""""#), ("signature", r#""""#)],
        };
        of_kind.iter().for_each(|(name, value)| self.fields.replace(name, found_valid(value)));
        self
    }

    fn bytes(&self) -> usize {
        BLOCK_BYTES + self.fields.bytes() + self.input.len()
    }

    /// Takes a member of a delta: texts and lists go on, but those that come whole.
    fn take(&mut self, kind: &str, part: &Field<'_>) {
        let Field { name, value } = part;
        match (kind, name.as_ref()) {
            _ if is_null(value) && self.fields.get(name).is_some() => {}
            ("input_json_delta", "partial_json") => {
                self.input.push_str(JsonString::read(value).as_ref().map_or("", JsonString::inside));
            }
            ("citations_delta", "citation") => {
                self.fields.join("citations", found_valid(&format!("[{}]", value.get())));
            }
            _ if !has_room(&self.fields, name) => {}
            ("signature_delta" | "compaction_delta", name) => self.fields.replace(name, value),
            (_, name) => match JsonString::read(value) {
                Some(more) => self.fields.append_text(name, &more),
                None => self.fields.join(name, value),
            },
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let input = (!self.input.is_empty()).then(|| input_object(&JsonString::join(&self.input)));
        for (position, (name, value)) in self.fields.iter().enumerate() {
            out.push(if position == 0 { b'{' } else { b',' });
            write_member(name, input.as_deref().filter(|_| name == "input").unwrap_or(value), out);
        }
        match input.filter(|_| self.fields.get("input").is_none()) {
            Some(input) if self.fields.is_empty() => out.extend_from_slice(format!("{{\"input\":{input}").as_bytes()),
            Some(input) => out.extend_from_slice(format!(",\"input\":{input}").as_bytes()),
            None if self.fields.is_empty() => out.push(b'{'),
            None => {}
        }
        out.push(b'}');
    }
}

/// The members of an object, as many as one may have.
fn few_members(object: &RawValue) -> Vec<Field<'_>> {
    let fields = members(object).unwrap_or_default().into_iter().enumerate();
    fields
        .filter(|(position, field)| *position < MAX_MEMBERS || is_of_a_message(&field.name))
        .map(|(_, field)| field)
        .collect()
}

/// Whether each message has a member of this name, or may have it for its end.
fn is_of_a_message(name: &str) -> bool {
    matches!(name, "id" | "usage") || OF_A_STOP.contains(&name) || NEEDED.iter().any(|(known, _)| *known == name)
}

/// Whether there is room for a member of this name.
fn has_room(fields: &JoinedFields, name: &str) -> bool {
    fields.len() < MAX_MEMBERS || fields.get(name).is_some()
}

/// What has been counted so far: member by member what came later. Counts are cumulative, so of two the larger is the later one,
/// also where a provider repeats a count as 0.
fn merged(known: &RawValue, later: &RawValue, levels: usize) -> String {
    let objects = members(known).zip(members(later)).filter(|_| levels > 0);
    let objects = objects.filter(|(known, later)| known.len() + later.len() <= MAX_MEMBERS);
    let Some((known_members, later_members)) = objects else {
        let is_larger = |(known, later)| known > later;
        let is_known = given(Some(later)).is_none() || whole(known).zip(whole(later)).is_some_and(is_larger);
        return if is_known { known } else { later }.get().to_owned();
    };
    let mut fields = JoinedFields::default();
    known_members.iter().for_each(|Field { name, value }| fields.replace(name, value));
    for Field { name, value } in later_members {
        let of_both = fields.get(&name).map(|known| merged(found_valid(known), value, levels - 1));
        fields.replace(&name, of_both.as_deref().map_or(value, found_valid));
    }
    let mut out = vec![b'{'];
    fields.write(&mut out);
    out.push(b'}');
    String::from_utf8(out).expect("names and values should be texts")
}
