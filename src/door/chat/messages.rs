//! The messages of a request, looked into as far as a decision needs it: roles, the kinds of their parts, their size.
//!
//! Content stays the JSON that the client sent; `conversation` reads it into neutral items, where another dialect needs them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::ids;
use super::part_names::{is_other_case, valid_types};
use super::read_content::{ReadContent, ReadPart, Type};
use crate::door::estimate::Size;
use crate::door::fields::{same_but_for_case, shown};
use crate::door::media::{MAX_WORD_BYTES, Payload, holds_media, media_field, says_something};
use crate::error::{Error, Kind};
use crate::wire::ask::place::Place;
use crate::wire::ask::turns::{CallSide, Form, MediaSeen, OddPart, Role, TaggedCall, Turn};
use crate::wire::chat::{MESSAGE_FIELDS, fields_at};
use crate::wire::json::decoded;
use crate::wire::part_types::{Holds, Media, part_type};
use crate::wire::walk::Walk;

/// More fields than any message or part has.
const MAX_MEMBERS: usize = 64;
/// More types of parts than anybody adds to those of the API.
const MAX_ODD_TYPES: usize = 16;

/// Reads the messages, which are valid JSON.
///
/// # Errors
/// [`Kind::InvalidRequest`] with the place of what is no message.
pub fn parse_turns(messages: Option<&RawValue>) -> Result<Vec<Turn<'_>>, Error> {
    let mut walk = Walk::new(messages.map_or("", RawValue::get));
    let mut turns = Vec::new();
    if walk.pass(b'[') {
        while walk.element() {
            turns.push(Reader { walk: &mut walk, index: turns.len() }.turn()?);
        }
    }
    if turns.is_empty() {
        let message = "`messages` must be an array with at least one message.";
        return Err(Error::new(Kind::InvalidRequest, message).with_param("messages"));
    }
    Ok(turns)
}

/// Reads one message.
struct Reader<'w, 'a> {
    walk: &'w mut Walk<'a>,
    index: usize,
}

impl<'a> Reader<'_, 'a> {
    fn invalid(&self, place: &str, message: &str) -> Error {
        let place = format!("messages[{}]{place}", self.index);
        Error::new(Kind::InvalidRequest, format!("`{place}` {message}.")).with_param(place)
    }

    fn turn(mut self) -> Result<Turn<'a>, Error> {
        self.walk.peek();
        let start = self.walk.position();
        if !self.walk.pass(b'{') {
            return Err(self.invalid("", "must be an object with `role` and `content`"));
        }
        let (mut role, mut content) = (None, None);
        let (mut seen, mut size) = (MediaSeen::default(), Size::of_message());
        let (mut members, mut tagged) = (0, Vec::new());
        while let Some(name) = self.walk.member() {
            members += 1;
            if members > MAX_MEMBERS {
                return Err(self.invalid("", &format!("has more than {MAX_MEMBERS} fields")));
            }
            match name.as_ref() {
                "role" if role.is_none() => role = Some(self.walk.value()),
                "content" if content.is_none() => content = Some(self.content()?),
                "role" | "content" => return Err(self.invalid(&format!(".{name}"), "stands twice")),
                name => {
                    if let Some(known) = MESSAGE_FIELDS.into_iter().find(|known| same_but_for_case(known, name))
                        && known != name
                    {
                        let message = format!("is no field of a message; valid: `{known}`");
                        return Err(self.invalid(&format!(".{}", shown(name)), &message));
                    }
                    let value = self.walk.value();
                    match name {
                        "tool_calls" => ids::read_tagged(value, &mut tagged),
                        "tool_call_id" => tagged.extend(TaggedCall::read(value, CallSide::Answered)),
                        _ => {}
                    }
                    match media_field(name).filter(|_| says_something(value)) {
                        // It names an earlier answer of the provider's own.
                        Some("audio") if name == "audio" => {
                            seen.earlier_audio = true;
                            seen.other |= holds_media(value);
                        }
                        Some(_) => {
                            seen.other = true;
                            size.add_media(Media::Image, &Payload::default());
                        }
                        None => {
                            seen.other |= holds_media(value);
                            size.add_json(value);
                        }
                    }
                }
            }
        }
        let role = role.filter(|role| role.len() <= MAX_WORD_BYTES).and_then(decoded);
        let Some(role) = role.as_deref().and_then(Role::named) else {
            let valid = Role::names().join(", ");
            return Err(self.invalid(".role", &format!("must be one of: {valid}")));
        };
        let content = content.unwrap_or(ReadContent::None);
        let parts = content.parts();
        let thought = parts.iter().enumerate().find_map(|(at, part)| match part.of {
            Type::Known(known) if known.holds == Holds::Thoughts => Some((at, known.name)),
            Type::Known(_) | Type::Odd(_) => None,
        });
        if let (Some((at, name)), true) = (thought, role != Role::Assistant) {
            return Err(self.invalid(&format!(".content[{at}].type"), &valid_types(name)));
        }
        let odd_parts = self.odd_parts(parts)?;
        let has = |wanted: Media| parts.iter().any(|part| part.holds() == Some(Holds::Media(wanted)));
        let media = MediaSeen {
            images: has(Media::Image),
            files: has(Media::File),
            audio: has(Media::Audio),
            video: has(Media::Video),
            // What an odd part holds may be anything.
            other: seen.other || !odd_parts.is_empty(),
            ..seen
        };
        content.add_to(&mut size);
        let raw = self.walk.since(start);
        let form = if members == 2 { content.form() } else { Form::Other };
        Ok(Turn { role, texts: content.texts(), form, media, odd_parts, tagged, tokens: size.tokens(), raw })
    }

    /// The first part of each odd type.
    fn odd_parts(&self, parts: &[ReadPart<'a>]) -> Result<Vec<OddPart<'a>>, Error> {
        let mut odd: Vec<OddPart<'a>> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let Type::Odd(name) = &part.of else { continue };
            if odd.iter().any(|known| known.name == *name) {
                continue;
            }
            if odd.len() == MAX_ODD_TYPES {
                return Err(self.invalid(".content", &format!("has parts of more than {MAX_ODD_TYPES} unknown types")));
            }
            let place = Place::element("messages", self.index).member_element("content", at).leaf("type");
            odd.push(OddPart { name: name.clone(), fault: place.fault(valid_types(name)) });
        }
        Ok(odd)
    }

    fn content(&mut self) -> Result<ReadContent<'a>, Error> {
        match self.walk.peek() {
            Some(b'"') => Ok(ReadContent::Text(self.walk.text())),
            Some(b'n') => {
                self.walk.value();
                Ok(ReadContent::None)
            }
            Some(b'[') => {
                self.walk.pass(b'[');
                let mut parts = Vec::new();
                while self.walk.element() {
                    parts.push(self.part(parts.len())?);
                }
                Ok(ReadContent::Parts(parts))
            }
            _ => Err(self.invalid(".content", "must be a string, an array of parts with `type`, or null")),
        }
    }

    fn part(&mut self, at: usize) -> Result<ReadPart<'a>, Error> {
        let place = |name: &str| format!(".content[{at}]{name}");
        self.walk.peek();
        let start = self.walk.position();
        if !self.walk.pass(b'{') {
            return Err(self.invalid(&place(""), "must be an object with `type`"));
        }
        let (mut kind, mut text, mut media) = (None, None, None::<Cow<'a, str>>);
        let mut own: Vec<(&'static str, Payload<'a>)> = Vec::new();
        let (mut members, mut said, mut nested) = (0, None, None::<Cow<'a, str>>);
        while let Some(name) = self.walk.member() {
            members += 1;
            if members > MAX_MEMBERS {
                return Err(self.invalid(&place(""), &format!("has more than {MAX_MEMBERS} fields")));
            }
            match name.as_ref() {
                "type" if kind.is_none() => kind = Some(self.walk.value()),
                "text" if text.is_none() => {
                    let value = self.walk.text();
                    if !value.json.starts_with(['"', 'n']) {
                        return Err(self.invalid(&place(".text"), "must be a string"));
                    }
                    text = Some(value);
                }
                "type" | "text" => return Err(self.invalid(&place(&format!(".{name}")), "stands twice")),
                name if ["type", "text"].into_iter().any(|known| same_but_for_case(known, name)) => {
                    let message = format!("is no field of a part; valid: `{}`", name.to_lowercase());
                    return Err(self.invalid(&place(&format!(".{}", shown(name))), &message));
                }
                _ => match media_field(&name) {
                    Some(known) => {
                        let fields = part_type(&name).and_then(|known| fields_at(known.path)).unwrap_or_default();
                        let payload = Payload::read(self.walk, fields);
                        if !says_something(payload.raw) {
                            continue;
                        }
                        if known == name && own.iter().all(|(other, _)| *other != known) {
                            own.push((known, payload));
                        } else {
                            media = Some(name);
                        }
                    }
                    None => {
                        let value = self.walk.value();
                        if matches!(name.as_ref(), "refusal" | "thinking" | "reasoning") && says_something(value) {
                            said = Some(value);
                        }
                        if nested.is_none() && holds_media(value) {
                            nested = Some(name);
                        }
                    }
                },
            }
        }
        let named = kind.filter(|kind| kind.len() <= MAX_WORD_BYTES).and_then(decoded);
        let known = named.as_deref().and_then(part_type);
        let Some(named) = named.filter(|name| known.is_some() || !is_other_case(name)) else {
            return Err(self.invalid(&place(".type"), &valid_types("")));
        };
        // A part that nobody here knows may hold anything: who takes it knows what.
        let other = own.iter().map(|(name, _)| *name).find(|name| *name != named);
        let other = other.or(media.as_deref()).or(nested.as_deref()).filter(|_| known.is_some());
        if let Some(name) = other {
            let message = format!("does not belong into a part of the type `{}`", shown(&named));
            return Err(self.invalid(&place(&format!(".{}", shown(name))), &message));
        }
        let text = text.filter(|text| text.json.starts_with('"'));
        let payload = own.first().map(|(_, payload)| *payload).unwrap_or_default();
        let said = said.or(text.map(|text| text.json)).unwrap_or_default();
        let Some(known) = known else {
            return Ok(ReadPart {
                of: Type::Odd(named),
                text,
                said: self.walk.since(start),
                payload,
                form: Form::Other,
            });
        };
        let form = match known.holds {
            Holds::Text if text.is_some() && members == 2 => Form::Texts,
            Holds::Media(_) if known.is_published && payload.is_published && members == 2 => Form::Parts,
            _ => Form::Other,
        };
        let text = text.filter(|_| known.holds != Holds::Thoughts);
        Ok(ReadPart { of: Type::Known(known), text, said, payload, form })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;
    use serde_json::{Value, json};

    use super::*;

    fn turns(messages: &Value) -> Result<Vec<(bool, bool)>, Option<String>> {
        let raw = to_raw_value(messages).expect("JSON");
        let turns = parse_turns(Some(&raw)).map_err(|error| error.param)?;
        let walked: Vec<&str> = turns.iter().map(|turn| turn.raw).collect();
        assert_eq!(format!("[{}]", walked.join(",")), raw.get());
        Ok(turns.iter().map(|turn| (turn.media.images, turn.media.any())).collect())
    }

    #[test]
    fn what_everybody_takes_is_told_from_the_rest() {
        use Form::{Other, Parts, Texts};
        let form = |message: &str| {
            let raw = RawValue::from_string(format!("[{message}]")).expect("JSON");
            parse_turns(Some(&raw)).map_or(Other, |turns| turns[0].form)
        };
        for (expected, content) in [
            (Texts, r#""Hi""#),
            (Texts, r#" [ {"type" : "text", "te\u0078t":"Hi \"]}"} ]"#),
            (Parts, r#"[{"text":"Hi","type":"text"},{"type":"image_url","image_url":{"url":"x","detail":"low"}}]"#),
            (Other, r#"[{"text":"Hi","type":"text"},{"type":"image_url","image_url":{"url":"x","detail":null}}]"#),
            (Parts, r#"[{"type":"file","file":{"file_id":"f"}},{"type":"input_audio","input_audio":{"data":"A"}}]"#),
            (Other, "null"),
            (Other, "[]"),
            (Other, r#"[{"type":"text"}]"#),
            (Other, r#"[{"type":"text","text":null}]"#),
            (Other, r#"[{"type":"text","text":"Hi","text":"Ho"}]"#),
            (Other, r#"[{"type":"text","text":"Hi","cache_control":{}}]"#),
            (Other, r#"[{"type":"text","text":"Hi"},{"type":"refusal","refusal":"No"}]"#),
            (Other, r#"[{"type":"image_url"}]"#),
            (Other, r#"[{"type":"image_url","image_url":"x"}]"#),
            (Other, r#"[{"type":"image_url","image_url":{"url":"x","format":"png"}}]"#),
            (Other, r#"[{"type":"image_url","image_url":{"url":"x"},"index":0}]"#),
            (Other, r#"[{"type":"video_url","video_url":{"url":"x"}}]"#),
        ] {
            assert_eq!(form(&format!(r#"{{"role":"user","content":{content}}}"#)), expected, "{content}");
        }
        for message in [r#"{"role":"user","content":"Hi","name":"ada"}"#, r#"{"role":"user"}"#] {
            assert_eq!(form(message), Other, "{message}");
        }
    }

    #[test]
    fn media_are_seen_in_other_spellings_and_deeper() {
        let user = |more: Value| {
            let mut message = json!({"role": "user", "content": "x"});
            message.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            turns(&json!([message]))
        };
        for more in [
            json!({"imageUrl": "https://a.example/"}),
            json!({"image_urls": ["https://a.example/"]}),
            json!({"INLINE-DATA": "aGk="}),
            json!({"\u{212A}eep": {"ſource": "x"}}),
            json!({"parts": [{"text": "x"}, {"inlineData": {"data": "aGk="}}]}),
            json!({"contents": [[[{"fileData": "x"}]]]}),
        ] {
            assert_eq!(user(more.clone()), Ok(vec![(false, true)]), "{more}");
        }
        for (more, place) in [
            (json!({"text": [{"type": "image_url", "image_url": {"url": "x"}}]}), "text"),
            (json!({"text": {"image_url": "x"}}), "text"),
            (json!({"content": [{"image_url": {"url": "x"}}]}), "content"),
            (json!({"parts": [{"inline_data": {"data": "x"}}]}), "parts"),
            (json!({"imageUrl": "x"}), "imageUrl"),
        ] {
            let mut part = json!({"type": "text", "text": "x"});
            part.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            let found = turns(&json!([{"role": "user", "content": [part]}]));
            assert_eq!(found, Err(Some(format!("messages[0].content[0].{place}"))), "{more}");
        }
        let thinking =
            json!([{"role": "assistant", "content": [{"type": "thinking", "thinking": [{"image_url": "x"}]}]}]);
        assert_eq!(turns(&thinking), Err(Some("messages[0].content[0].thinking".to_owned())));
        assert_eq!(user(json!({"meta": {"text": "image_url", "a": ["source"]}})), Ok(vec![(false, false)]));
    }

    #[test]
    fn messages_and_parts_have_few_fields() {
        let fields = |count: usize| -> Value {
            (0..count).map(|at| (format!("ſ{at}"), json!(1))).collect::<serde_json::Map<_, _>>().into()
        };
        let message = |count: usize| {
            let mut message = fields(count);
            message["role"] = json!("user");
            message["content"] = json!("x");
            turns(&json!([message]))
        };
        assert!(message(MAX_MEMBERS - 2).is_ok());
        assert_eq!(message(MAX_MEMBERS - 1), Err(Some("messages[0]".to_owned())));
        let mut part = fields(MAX_MEMBERS - 1);
        part["type"] = json!("text");
        part["text"] = json!("x");
        let found = turns(&json!([{"role": "user", "content": [part]}]));
        assert_eq!(found, Err(Some("messages[0].content[0]".to_owned())));
    }

    #[test]
    fn media_are_seen_wherever_they_stand() {
        let user = |part: Value| json!([{"role": "user", "content": [{"type": "text", "text": "x"}, part]}]);
        let tool = |part: Value| json!([{"role": "tool", "tool_call_id": "a", "content": [part]}]);
        let image = json!({"type": "image_url", "image_url": {"url": "https://a.example/"}});
        for (name, messages, expected) in [
            ("text", user(json!({"type": "text", "text": "image_url"})), (false, false)),
            ("image", user(image.clone()), (true, true)),
            ("image of a tool", tool(image), (true, true)),
            ("audio", user(json!({"type": "input_audio", "input_audio": {"data": "a"}})), (false, true)),
            ("file", user(json!({"file": {"file_id": "a"}, "type": "file"})), (false, true)),
            ("video", user(json!({"type": "video_url", "video_url": {"url": "a"}})), (false, true)),
            (
                "nothing said",
                user(json!({"type": "text", "text": "x", "image_url": null, "files": []})),
                (false, false),
            ),
            ("in a message", json!([{"role": "user", "content": "x", "images": ["AA=="]}]), (false, true)),
            ("case of that", json!([{"role": "user", "content": "x", "Images": ["AA=="]}]), (false, true)),
            ("earlier audio", json!([{"role": "assistant", "audio": {"id": "a"}}]), (false, false)),
        ] {
            assert_eq!(turns(&messages), Ok(vec![expected]), "{name}");
        }
    }

    #[test]
    fn nothing_hides_in_a_part() {
        for (part, field) in [
            (json!({"type": "text", "text": "x", "image_url": {"url": "a"}}), "image_url"),
            (json!({"image_url": "a", "type": "text", "text": "x"}), "image_url"),
            (json!({"type": "text", "text": "x", "Image_URL": "a"}), "Image_URL"),
            (json!({"type": "text", "text": "x", "file": {"file_id": "a"}}), "file"),
            (json!({"type": "text", "text": "x", "input_audio": {}, "image": "a"}), "image"),
            (json!({"type": "text", "text": "x", "\u{17f}ource": "a"}), "\u{17f}ource"),
            (json!({"type": "refusal", "refusal": "x", "video_url": {"url": "a"}}), "video_url"),
            (json!({"type": "file", "file": {"file_id": "a"}, "image_url": "b"}), "image_url"),
            (json!({"type": "text", "Text": "x"}), "Text"),
            (json!({"type": "text", "Type": "image_url"}), "Type"),
            (json!({"type": "image", "Type": "text", "source": {}}), "Type"),
            (json!({"type": "IMAGE_URL", "image_url": {"url": "a"}}), "type"),
            (json!({"type": "thinking", "thinking": []}), "type"),
            (json!({"type": 7}), "type"),
            (json!({"text": "x"}), "type"),
        ] {
            let messages = json!([{"role": "user", "content": "x"}, {"role": "user", "content": [part]}]);
            assert_eq!(turns(&messages), Err(Some(format!("messages[1].content[0].{field}"))), "{part}");
        }
        let twice = |part: &str| {
            let raw = format!(r#"[{{"role":"user","content":[{part}]}}]"#);
            let raw = RawValue::from_string(raw).expect("JSON");
            parse_turns(Some(&raw)).expect_err(part).param
        };
        let place = |field: &str| Some(format!("messages[0].content[0].{field}"));
        assert_eq!(twice(r#"{"type":"text","type":"image_url"}"#), place("type"));
        assert_eq!(twice(r#"{"type":"text","\u0074ype":"image_url"}"#), place("type"));
        assert_eq!(twice(r#"{"type":"text","text":"a","text":"b"}"#), place("text"));
        assert_eq!(twice(r#"{"type":"text","\u0069mage_url":"a"}"#), place("image_url"));
        assert_eq!(twice(r#"{"type":"file","file":{"file_id":"a"},"file":{"file_id":"b"}}"#), place("file"));
        let echoed = json!([{"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text"}]}]}]);
        assert_eq!(turns(&echoed), Ok(vec![(false, false)]));
    }

    #[test]
    fn parts_of_unknown_types_are_told_once_each_and_may_hold_anything() {
        let odd = |parts: Value| {
            let raw = to_raw_value(&json!([{"role": "user", "content": "x"}, {"role": "user", "content": parts}]));
            let raw = raw.expect("JSON");
            let turn = parse_turns(Some(&raw)).map_err(|error| error.param)?.remove(1);
            Ok((turn.odd_parts.into_iter().map(|part| part.fault.place).collect::<Vec<_>>(), turn.media.other))
        };
        let part = |name: &str| json!({"type": name, "content": [{"image_url": "x"}]});
        let text = json!({"type": "text", "text": "x"});
        let place = |at: usize| format!("messages[1].content[{at}].type");
        assert_eq!(odd(json!([text])), Ok((vec![], false)));
        assert_eq!(odd(json!([text, part("a"), part("b"), part("a")])), Ok((vec![place(1), place(2)], true)));
        let fault = |part: Value| {
            let raw = to_raw_value(&json!([{"role": "user", "content": [part]}])).expect("JSON");
            let turn = parse_turns(Some(&raw)).expect("a message").remove(0);
            turn.odd_parts.into_iter().map(|part| part.fault.message).collect::<String>()
        };
        for (part, hint) in [
            (json!({"type": "input_image", "image_url": "a"}), "(`input_image` is `image_url` here)"),
            (json!({"type": "input_file", "file": "a", "text": "b"}), "(`input_file` is `file` here)"),
            (json!({"type": "image", "source": {"data": "a"}}), "(`image` is `image_url` here)"),
            (json!({"type": "a", "video_url": {"url": "a"}}), "refusal"),
        ] {
            let message = fault(part.clone());
            assert!(message.ends_with(hint), "{part}: {message}");
        }
        let several = |count: usize| odd((0..count).map(|at| part(&format!("a{at}"))).collect());
        assert!(several(MAX_ODD_TYPES).is_ok());
        assert_eq!(several(MAX_ODD_TYPES + 1), Err(Some("messages[1].content".to_owned())));
    }

    #[test]
    fn a_message_says_each_thing_once() {
        for (message, field) in [
            (r#"{"role":"user","content":"a","content":[{"type":"image_url"}]}"#, ".content"),
            (r#"{"role":"user","role":"system","content":"a"}"#, ".role"),
            (r#"{"role":"user","content":"a","Content":[{"type":"image_url"}]}"#, ".Content"),
            (r#"{"role":"user","content":"a","CONTENT":"b"}"#, ".CONTENT"),
            (r#"{"role":"user","content":"a","Tool_calls":[]}"#, ".Tool_calls"),
            (r#"{"role":"user","content":7}"#, ".content"),
            (r#"{"role":"user","content":["a"]}"#, ".content[0]"),
            ("7", ""),
        ] {
            let raw = RawValue::from_string(format!("[{message}]")).expect("JSON");
            let error = parse_turns(Some(&raw)).expect_err(message);
            assert_eq!(error.param, Some(format!("messages[0]{field}")), "{message}");
        }
    }
}
