//! The parts of one message's content, as blocks: text, images, PDF files.
//!
//! Empty and blank text is left out, since the Messages API refuses it. Audio and files by id cannot be carried.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{Block, Source};
use crate::error::{Error, Kind};
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::json::{Json, given, is_blank, is_null, is_text, text};

/// Whose message the parts stand in, which decides what may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt_cache_breakpoint: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ImageUrl<'a> {
    #[serde(borrow, default)]
    url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    file_data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    file_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    filename: Option<&'a RawValue>,
}

/// Appends the blocks of `content`, a string, an array of parts or null, to `blocks`. `place` is its JSON path.
pub fn push_content<'a>(
    content: &'a RawValue,
    speaker: Speaker,
    place: &str,
    (blocks, dropped): (&mut Vec<Block<'a>>, &mut Dropped),
) -> Result<(), Error> {
    if is_text(content) {
        push_text(content, blocks);
        return Ok(());
    }
    if is_null(content) {
        return Ok(());
    }
    let parts: Vec<Part<'a>> = serde_json::from_str(content.get())
        .map_err(|_| invalid(place, "must be a string, an array of parts with `type`, or null"))?;
    for (index, part) in parts.into_iter().enumerate() {
        let place = || format!("{place}[{index}]");
        if given(part.prompt_cache_breakpoint).is_some() {
            dropped.note("prompt_cache_breakpoint");
        }
        match (part.r#type.as_ref(), speaker) {
            ("text", _) => push_text(required_text(part.text, &place(), "text")?, blocks),
            ("refusal", Speaker::Assistant) => {
                push_text(required_text(part.refusal, &place(), "refusal")?, blocks);
            }
            ("image_url", Speaker::User | Speaker::Tool) => {
                let image = given(part.image_url).ok_or_else(|| missing(&place(), "image_url"))?;
                blocks.push(image_block(image, &place(), dropped)?);
            }
            ("file", Speaker::User | Speaker::Tool) => {
                let file = given(part.file).ok_or_else(|| missing(&place(), "file"))?;
                blocks.push(file_block(file, &place())?);
            }
            (kind, _) => {
                let message = format!("is `{}`, which the serving model's API cannot carry here", shown(kind));
                return Err(invalid(&format!("{}.type", place()), &message));
            }
        }
    }
    Ok(())
}

/// Appends a text block, unless the text is blank.
pub fn push_text<'a>(raw: &'a RawValue, blocks: &mut Vec<Block<'a>>) {
    if !is_blank(raw) {
        blocks.push(Block::text(Json::Borrowed(raw)));
    }
}

fn image_block<'a>(image: &'a RawValue, place: &str, dropped: &mut Dropped) -> Result<Block<'a>, Error> {
    // Some clients send the URL without the object around it.
    let url = if is_text(image) {
        Some(image)
    } else {
        let place = format!("{place}.image_url");
        let image: ImageUrl<'a> =
            serde_json::from_str(image.get()).map_err(|_| invalid(&place, "must be an object with `url`"))?;
        if given(image.detail).is_some_and(|detail| detail.get() != "\"auto\"") {
            dropped.note("image_url.detail");
        }
        image.url
    };
    let place = format!("{place}.image_url.url");
    let url = url.and_then(text).ok_or_else(|| invalid(&place, "must be a string"))?;
    if has_scheme(&url, "https:") {
        return Ok(Block::Image { source: Source::Url { url }, cache_control: None });
    }
    let expected = "must be an https URL, or a base64 data URI of a JPEG, PNG, GIF or WebP image";
    let (media_type, data) = data_uri(url).ok_or_else(|| invalid(&place, expected))?;
    let media_type = match media_type.as_str() {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => return Err(invalid(&place, expected)),
    };
    Ok(Block::Image { source: Source::Base64 { media_type, data }, cache_control: None })
}

fn file_block<'a>(file: &'a RawValue, place: &str) -> Result<Block<'a>, Error> {
    let place = format!("{place}.file");
    let file: File<'a> =
        serde_json::from_str(file.get()).map_err(|_| invalid(&place, "must be an object with `file_data`"))?;
    if given(file.file_id).is_some() {
        let message = "names a file that only its own provider has; send `file_data`";
        return Err(invalid(&format!("{place}.file_id"), message));
    }
    let place = format!("{place}.file_data");
    let data = file.file_data.and_then(text).ok_or_else(|| invalid(&place, "must be a string"))?;
    // What a PDF's `%PDF-` is in base64, for clients that send no data URI.
    let data = if data.starts_with("JVBERi0") {
        data
    } else {
        let file = data_uri(data).filter(|(media_type, _)| media_type == "application/pdf");
        file.ok_or_else(|| invalid(&place, "must be a base64 data URI of a PDF"))?.1
    };
    let source = Source::Base64 { media_type: "application/pdf", data };
    let title = given(file.filename).filter(|name| is_text(name) && !is_blank(name));
    Ok(Block::Document { source, title, cache_control: None })
}

/// Media type, in lower case and without parameters, and data of `data:TYPE;base64,DATA`.
fn data_uri(url: Cow<'_, str>) -> Option<(String, Cow<'_, str>)> {
    if !has_scheme(&url, "data:") {
        return None;
    }
    let comma = memchr::memchr(b',', url.as_bytes())?;
    let head = url["data:".len()..comma].to_ascii_lowercase();
    let media_type = head.strip_suffix(";base64")?.split(';').next()?.trim().to_owned();
    let data = match url {
        Cow::Borrowed(url) => Cow::Borrowed(&url[comma + 1..]),
        Cow::Owned(mut url) => Cow::Owned(url.split_off(comma + 1)),
    };
    (!data.is_empty()).then_some((media_type, data))
}

fn has_scheme(url: &str, scheme: &str) -> bool {
    url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

fn required_text<'a>(raw: Option<&'a RawValue>, place: &str, field: &str) -> Result<&'a RawValue, Error> {
    raw.filter(|raw| is_text(raw)).ok_or_else(|| invalid(&format!("{place}.{field}"), "must be a string"))
}

fn missing(place: &str, field: &str) -> Error {
    invalid(&format!("{place}.{field}"), "is missing")
}

/// A 400 that says what is wrong at `place`.
pub fn invalid(place: &str, message: &str) -> Error {
    Error::new(Kind::InvalidRequest, format!("`{place}` {message}.")).with_param(place)
}

/// A client's word in a message, bounded.
fn shown(word: &str) -> &str {
    let end = word.char_indices().nth(40).map_or(word.len(), |(at, _)| at);
    &word[..end]
}
