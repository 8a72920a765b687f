//! The parts of one message's content, as blocks: text, images, files that are PDFs or text.
//!
//! Empty and blank text is left out, since the Messages API refuses it. Audio and files by id cannot be carried.

use std::borrow::Cow;

use super::wire::{self, Block};
use super::{base64, cache};
use crate::error::{Error, Kind};
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::ask::items::{CacheMark, MediaSource, Part, PartKind};
use crate::wire::ask::place::{Located, Place};
use crate::wire::halves::without_halves;
use crate::wire::json::{Json, JsonString};
use crate::wire::media::{after_scheme, is_text_type};

/// What images begin with, in base64: the types are their formats' own signatures.
const IMAGES: [(&str, &str); 4] =
    [("iVBORw0KGg", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];

/// Whose message the parts stand in, which decides what may stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

/// Appends the blocks of `parts` to `blocks`.
pub fn push_parts<'x>(
    parts: &'x [Part<'x>],
    speaker: Speaker,
    blocks: &mut Vec<Block<'x>>,
    dropped: &mut Dropped,
) -> Result<(), Error> {
    for part in parts {
        let before = blocks.len();
        let Part { place, word, cache, kind } = part;
        match (kind, speaker) {
            (PartKind::Text(text), _) | (PartKind::Refusal(text), Speaker::Assistant) => push_text(text, blocks),
            (PartKind::Image { source, detail }, Speaker::User | Speaker::Tool) => {
                if let Some(detail) = detail {
                    dropped.note(&place.path_to(detail.leaf));
                }
                blocks.push(Block::Image { source: image(source, *place)?, cache_control: None });
            }
            (PartKind::File { source, name }, Speaker::User | Speaker::Tool) => {
                let title = name.as_ref().filter(|name| !name.is_blank()).map(JsonString::raw);
                match file(source, *place)? {
                    Some(source) => blocks.push(Block::Document { source, title, cache_control: None }),
                    // A file of nothing but white space says as little as such a text.
                    None => dropped.note(&place.path_to(word)),
                }
            }
            (PartKind::Json(json), _) => blocks.push(Block::text(Json::text(json.get()))),
            (PartKind::Thoughts(name), _) => dropped.note(name),
            (PartKind::EarlierAudio(_), _) => {
                return Err(place.fault("refers to audio that only its own provider has").into());
            }
            (
                PartKind::Refusal(_)
                | PartKind::Image { .. }
                | PartKind::File { .. }
                | PartKind::Audio(_)
                | PartKind::Opaque { .. },
                _,
            ) => {
                let message = format!("is `{word}`, which the serving model's API cannot carry here");
                return Err(place.leaf("type").fault(message).into());
            }
        }
        if let Some(mark) = cache {
            mark_last(&mut blocks[before..], *mark, dropped);
        }
    }
    Ok(())
}

/// Puts a client's mark on the last of the blocks that it is for; it is named if there is none.
pub fn mark_last(blocks: &mut [Block<'_>], mark: CacheMark, dropped: &mut Dropped) {
    match blocks.last_mut().and_then(Block::cache_control) {
        Some(cache_control) => *cache_control = Some(cache::control(mark)),
        None => dropped.note(&mark.path()),
    }
}

/// Appends a text block, unless the text is blank.
fn push_text<'x>(text: &'x JsonString<'x>, blocks: &mut Vec<Block<'x>>) {
    if !text.is_blank() {
        blocks.push(Block::text(without_halves(Json::Borrowed(text.raw()))));
    }
}

fn image<'x>(source: &'x MediaSource<'x>, place: Place) -> Result<wire::Source<'x>, Error> {
    let refused = |leaf| {
        let expected = "must be an https URL, or a base64 data URI of a JPEG, PNG, GIF or WebP image";
        Error::from(place.leaf(leaf).fault(expected))
    };
    let (media_type, data, leaf) = match source {
        MediaSource::Url(Located { leaf, value }) => match https_url(value) {
            Some(url) => return Ok(wire::Source::Url { url }),
            None => {
                let (media_type, data) = data_uri(value).ok_or_else(|| refused(leaf))?;
                (media_type, data, leaf)
            }
        },
        MediaSource::Data { media_type, data } => (media_type.to_ascii_lowercase(), data.value.as_ref(), &data.leaf),
        MediaSource::Id(id) => {
            let message = "names an image that only its own provider has";
            return Err(place.leaf(id.leaf).fault(message).into());
        }
    };
    let declared = match media_type.as_str() {
        "image/jpeg" | "image/jpg" => "image/jpeg",
        "image/png" => "image/png",
        "image/gif" => "image/gif",
        "image/webp" => "image/webp",
        _ => return Err(refused(leaf)),
    };
    let data = base64::standard(data).ok_or_else(|| refused(leaf))?;
    // The API refuses an image that is not what it is said to be.
    let seen = IMAGES.into_iter().find(|(beginning, _)| data.starts_with(beginning));
    Ok(wire::Source::Base64 { media_type: seen.map_or(declared, |(_, media_type)| media_type), data })
}

fn file<'x>(source: &'x MediaSource<'x>, place: Place) -> Result<Option<wire::Source<'x>>, Error> {
    let refused = |leaf| Error::from(place.leaf(leaf).fault("must be a base64 data URI of a PDF or of a text"));
    let (media_type, data, leaf) = match source {
        MediaSource::Url(Located { leaf, value }) => match https_url(value) {
            Some(url) => return Ok(Some(wire::Source::Url { url })),
            None => {
                let (media_type, data) = data_uri(value).ok_or_else(|| refused(leaf))?;
                (media_type, data, leaf)
            }
        },
        MediaSource::Data { media_type, data } => (media_type.to_ascii_lowercase(), data.value.as_ref(), &data.leaf),
        MediaSource::Id(id) => {
            let message = "names a file that only its own provider has; send `file_data`";
            return Err(place.leaf(id.leaf).fault(message).into());
        }
    };
    if media_type == "application/pdf" {
        let data = base64::standard(data).ok_or_else(|| refused(leaf))?;
        return Ok(Some(wire::Source::Base64 { media_type: "application/pdf", data }));
    }
    if !is_text_type(&media_type) {
        return Err(refused(leaf));
    }
    if data.trim_ascii().is_empty() {
        return Ok(None);
    }
    let text = base64::standard(data).and_then(|data| String::from_utf8(base64::decode(&data)).ok());
    let message = "must be a text in UTF-8, in base64";
    let data = text.ok_or_else(|| Error::from(place.leaf(leaf).fault(message)))?;
    Ok((!data.trim().is_empty()).then_some(wire::Source::Text { media_type: "text/plain", data }))
}

/// Media type, in lower case and without parameters, and data of `data:TYPE;base64,DATA`.
fn data_uri(url: &str) -> Option<(String, &str)> {
    let inside = after_scheme(url, "data:")?;
    let comma = memchr::memchr(b',', inside.as_bytes())?;
    let head = inside[..comma].to_ascii_lowercase();
    let media_type = head.strip_suffix(";base64")?.split(';').next()?.trim().to_owned();
    Some((media_type, &inside[comma + 1..]))
}

/// An address with its scheme in lower case, as the API's pattern has it.
fn https_url(url: &str) -> Option<Cow<'_, str>> {
    let rest = after_scheme(url, "https://").filter(|rest| !rest.is_empty())?;
    Some(if url.starts_with("https") { url.into() } else { format!("https://{rest}").into() })
}

/// A 400 that says what is wrong at `place`.
pub fn invalid(place: &str, message: &str) -> Error {
    Error::new(Kind::InvalidRequest, format!("`{place}` {message}.")).with_param(place)
}
