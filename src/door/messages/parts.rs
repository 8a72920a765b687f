//! The blocks of a message that are parts of what is said: texts, images and documents.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::blocks::{Block, BlockType, block_type};
use super::holder::Holder;
use crate::door::marks;
use crate::door::members::Members;
use crate::wire::ask::Api;
use crate::wire::ask::items::{MediaSource, Part, PartKind};
use crate::wire::ask::place::{Located, Place, RequestFault};
use crate::wire::json::{JsonString, text, text_fault};

/// What stands before a summary, as the inside of a JSON string.
const SUMMARY: &str = "The conversation until here, in short:\\n\\n";

/// The blocks of a content, which is a string or an array; a string is one that is nothing but a text.
pub enum Blocks<'u, 'a> {
    Text { place: Place, text: JsonString<'a> },
    Several(Vec<Members<'u, 'a>>),
}

/// Opens a content; `holder` is what it is of, and `members` what it was taken out of.
///
/// # Errors
/// The place of what is no content.
pub fn open<'u, 'a>(
    content: &'a RawValue,
    holder: Holder,
    members: &Members<'u, 'a>,
) -> Result<Blocks<'u, 'a>, RequestFault> {
    if let Some(text) = JsonString::read(content) {
        return Ok(Blocks::Text { place: holder.content(), text });
    }
    let blocks = members.elements(content, |position| holder.block(position));
    let fault = || holder.content().fault("must be a string or an array of blocks with `type`");
    Ok(Blocks::Several(blocks.ok_or_else(fault)?))
}

/// The type of a block, taken out of it.
///
/// # Errors
/// Where there is none.
pub fn take_type(block: &mut Members<'_, '_>) -> Result<&'static BlockType, RequestFault> {
    let named = read_text(block.take("type"), block.place().leaf("type"))?;
    Ok(block_type(&named))
}

/// The text at a place where one must be.
///
/// # Errors
/// Where there is none.
pub fn read_text(value: Option<&RawValue>, place: Place) -> Result<Cow<'_, str>, RequestFault> {
    value.and_then(text).ok_or_else(|| place.fault(text_fault(value)))
}

/// The same, as it is written.
///
/// # Errors
/// Where there is none.
pub fn read_json_text<'a>(value: Option<&'a RawValue>, place: Place) -> Result<JsonString<'a>, RequestFault> {
    value.and_then(JsonString::read).ok_or_else(|| place.fault("must be a string"))
}

/// Appends all parts of a content.
///
/// # Errors
/// The place of what is no part.
pub fn push_all<'a>(
    content: &'a RawValue,
    holder: Holder,
    members: &Members<'_, 'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), RequestFault> {
    match open(content, holder, members)? {
        Blocks::Text { place, text } => parts.push(Part::text(place, text)),
        Blocks::Several(blocks) => {
            for mut block in blocks {
                let of = take_type(&mut block)?;
                push(block, of, parts)?;
            }
        }
    }
    Ok(())
}

/// Appends the parts that a block is.
///
/// # Errors
/// The place of what is no such block, or none that belongs there.
pub fn push<'a>(
    mut block: Members<'_, 'a>,
    of: &'static BlockType,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), RequestFault> {
    let place = block.place();
    let cache = marks::take(&mut block);
    let before = parts.len();
    let mut push = |kind| parts.push(Part { place, word: of.name, cache: None, kind });
    match of.of {
        Block::Text => push(PartKind::Text(read_json_text(block.take("text"), place.leaf("text"))?)),
        Block::Image => push(PartKind::Image { source: media(&mut block)?, detail: None }),
        Block::Document => push_document(&mut block, parts)?,
        Block::ToolReference => {
            let leaf = "tool_name";
            let name = read_text(block.take(leaf), place.leaf(leaf))?;
            push(PartKind::Text(JsonString::encode(&format!("The tool `{name}` can be called now."))));
        }
        Block::Compaction => {
            if let Some(summary) = take_summary(block) {
                push(PartKind::Text(summary));
            }
        }
        Block::Opaque => {
            push(PartKind::Opaque { api: Api::Messages, raw: block.raw() });
            block.pass_all();
        }
        Block::ToolUse
        | Block::ToolResult
        | Block::Thinking
        | Block::RedactedThinking
        | Block::ToolAddition
        | Block::ToolRemoval => {
            block.pass_all();
            return Err(place.leaf("type").fault(format!("is `{}`, which does not belong here", of.name)));
        }
    }
    // A mark of a block is one of its end.
    if let (Some(mark), Some(last)) = (cache, parts[before..].last_mut()) {
        last.cache.get_or_insert(mark);
    }
    Ok(())
}

/// The summary in a block that stands for all that came before it, in words; nothing of one that failed, which stands for nothing.
pub fn take_summary(mut block: Members<'_, '_>) -> Option<JsonString<'static>> {
    let summary = block.take_text("content").filter(|summary| !summary.is_blank());
    if summary.is_none() {
        block.pass_all();
    }
    summary.map(|summary| JsonString::join(&format!("{SUMMARY}{}", summary.inside())))
}

/// What a document, or an image, is.
enum Source<'a> {
    Media(MediaSource<'a>),
    /// It is this text.
    Text(JsonString<'a>),
    /// It is what is said here.
    Content(&'a RawValue),
}

fn take_source<'a>(block: &mut Members<'_, 'a>) -> Result<Source<'a>, RequestFault> {
    let place = block.place();
    let source = block.take("source").and_then(|source| block.inner(source, "source"));
    let mut source = source.ok_or_else(|| place.leaf("source").fault("must be an object with `type`"))?;
    let kind = read_text(source.take("type"), place.leaf("source.type"))?;
    let mut located = |name, leaf| {
        let value = read_text(source.take(name), place.leaf(leaf))?;
        Ok::<_, RequestFault>(Located { leaf, value })
    };
    Ok(match kind.as_ref() {
        "base64" => {
            let media_type = located("media_type", "source.media_type")?.value;
            Source::Media(MediaSource::Data { media_type, data: located("data", "source.data")? })
        }
        "url" => Source::Media(MediaSource::Url(located("url", "source.url")?)),
        "file" => {
            let leaf = "source.file_id";
            let value = read_json_text(source.take("file_id"), place.leaf(leaf))?;
            Source::Media(MediaSource::Id(Located { leaf, value }))
        }
        "text" => {
            source.pass("media_type");
            Source::Text(read_json_text(source.take("data"), place.leaf("source.data"))?)
        }
        "content" => {
            let leaf = "source.content";
            Source::Content(source.take("content").ok_or_else(|| place.leaf(leaf).fault("is missing"))?)
        }
        _ => return Err(place.leaf("source.type").fault("must be `base64`, `url`, `file`, `text` or `content`")),
    })
}

fn media<'a>(block: &mut Members<'_, 'a>) -> Result<MediaSource<'a>, RequestFault> {
    match take_source(block)? {
        Source::Media(source) => Ok(source),
        Source::Text(_) | Source::Content(_) => {
            Err(block.place().leaf("source.type").fault("must be `base64`, `url` or `file`"))
        }
    }
}

/// Appends a document: a file, or what it says where it is no more than that, so that every model can read it.
fn push_document<'a>(block: &mut Members<'_, 'a>, parts: &mut Vec<Part<'a>>) -> Result<(), RequestFault> {
    let place = block.place();
    let source = take_source(block)?;
    let part = |kind| Part { place, word: "document", cache: None, kind };
    if let Source::Media(source) = source {
        parts.push(part(PartKind::File { source, name: block.take_text("title") }));
        return Ok(());
    }
    let about = ["title", "context"].map(|name| block.take_text(name)).into_iter().flatten();
    let about: Vec<String> = about.filter(|text| !text.is_blank()).map(|text| text.inside().to_owned()).collect();
    if !about.is_empty() {
        parts.push(part(PartKind::Text(JsonString::join(&format!("Document: {}", about.join("\\n"))))));
    }
    match source {
        Source::Text(text) => parts.push(part(PartKind::Text(text))),
        Source::Content(content) => push_all(content, Holder::Block(place.leaf("source")), block, parts)?,
        Source::Media(_) => {}
    }
    Ok(())
}
