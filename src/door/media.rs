//! Where a request holds what is no text, however its fields are spelled.

use crate::door::fields::lower;
use crate::wire::json::decoded;
use crate::wire::media::{after_scheme, is_text_type};
use crate::wire::walk::{Walk, inside, string_end};

/// The longest role, type or name, as it is written, that is decoded.
pub const MAX_WORD_BYTES: usize = 256;

/// Fields under which some API or other takes what is no text, whatever their case and with or without underscores.
const MEDIA_FIELDS: [&str; 25] = [
    "attachments",
    "audio",
    "audio_url",
    "document",
    "document_url",
    "documents",
    "file",
    "file_data",
    "file_url",
    "files",
    "image",
    "image_data",
    "image_url",
    "image_urls",
    "images",
    "inline_data",
    "input_audio",
    "input_file",
    "input_image",
    "media",
    "media_url",
    "source",
    "video",
    "video_url",
    "videos",
];

/// The field that `name` is, in any case and with or without underscores.
pub fn media_field(name: &str) -> Option<&'static str> {
    let is_written = |character: &char| !matches!(character, '_' | '-');
    let letters = name.chars().filter(is_written).map(lower);
    let first = u8::try_from(letters.clone().next()?).ok()?;
    let mut same_start = MEDIA_FIELDS.into_iter().filter(|known| known.as_bytes().first() == Some(&first));
    same_start.find(|known| letters.clone().eq(known.chars().filter(is_written)))
}

/// Whether an object or array has, at any depth, a field that holds what is no text.
pub fn holds_media(json: &str) -> bool {
    if !json.starts_with(['{', '[']) {
        return false;
    }
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'"')) {
        let (start, end) = (at + found, string_end(bytes, at + found));
        let rest = json.get(end..).unwrap_or_default();
        let is_name = rest.trim_start().starts_with(':') && end - start <= MAX_WORD_BYTES;
        if is_name && json.get(start..end).and_then(decoded).is_some_and(|name| media_field(&name).is_some()) {
            return true;
        }
        at = end;
    }
    false
}

/// Whether a value is more than nothing.
pub fn says_something(value: &str) -> bool {
    !matches!(value, "null" | "[]" | "{}" | "\"\"")
}

/// What is known of something that is no text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payload<'a> {
    /// The value of its field, a string or an object.
    pub raw: &'a str,
    /// What holds it, if it is here.
    pub data: Option<&'a str>,
    pub is_text: bool,
    /// Whether it is only to be looked at roughly.
    pub is_rough: bool,
    /// Whether it is an object that has nothing but the published fields.
    pub is_published: bool,
}

impl<'a> Payload<'a> {
    /// Goes past the field of a part, which has these `fields` in the published API.
    pub fn read(walk: &mut Walk<'a>, fields: &[&str]) -> Self {
        let mut payload = Self::default();
        walk.peek();
        let start = walk.position();
        if walk.pass(b'{') {
            payload.is_published = true;
            while let Some(name) = walk.member() {
                let value = walk.value();
                payload.is_published &= fields.contains(&name.as_ref()) && value != "null";
                match name.as_ref() {
                    "data" | "file_data" | "url" => payload.take(value),
                    "detail" => payload.is_rough = value == r#""low""#,
                    _ => {}
                }
            }
        } else {
            let value = walk.value();
            if value.starts_with('"') {
                payload.take(value);
            }
        }
        Self { raw: walk.since(start), ..payload }
    }

    fn take(&mut self, json: &'a str) {
        let inside = inside(json);
        if ["http:", "https:"].into_iter().any(|scheme| after_scheme(inside, scheme).is_some()) {
            return;
        }
        let (head, data) = match after_scheme(inside, "data:").and_then(|rest| rest.split_once(',')) {
            Some((head, data)) => (head, data),
            None => ("", inside),
        };
        self.is_text = is_text_type(head);
        self.data = Some(data);
    }
}
