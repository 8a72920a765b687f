//! Where a request holds what is no text, however its fields are spelled.

use super::fields::lower;
use crate::wire::json::decoded;
use crate::wire::walk::string_end;

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
    MEDIA_FIELDS.into_iter().find(|known| letters.clone().eq(known.chars().filter(is_written)))
}

/// Whether an object or array has, at any depth, a field that holds what is no text.
pub fn holds_media(json: &str) -> bool {
    if !json.starts_with(['{', '[']) {
        return false;
    }
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr(b'"', rest)) {
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
