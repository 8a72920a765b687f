//! What a look at a content finds: texts, results, what is no text, and how much there is.

use super::blocks::{Block, block_type, other_case};
use super::holder::Holder;
use super::turns::{MAX_MEMBERS, check_case};
use crate::door::estimate::Size;
use crate::door::media::{MAX_WORD_BYTES, Payload};
use crate::wire::ask::place::{Place, RequestFault};
use crate::wire::ask::turns::{CallSide, MediaSeen, TaggedCall};
use crate::wire::json::{Json, decoded, is_blank};
use crate::wire::part_types::Media;
use crate::wire::walk::{Counted, Walk, inside};

/// What is said of what is no content.
pub const NO_CONTENT: &str = "must be a string or an array of blocks with `type`";

/// What is found.
pub struct Seen<'a> {
    pub texts: Vec<&'a str>,
    /// The texts of results.
    pub result_texts: Vec<&'a str>,
    pub has_results: bool,
    /// Whether there is anything but results.
    pub has_others: bool,
    /// Whether it holds a summary in place of all that came before it.
    pub has_summary: bool,
    pub media: MediaSeen,
    /// The calls whose ids have the form of tagged ones.
    pub tagged: Vec<TaggedCall<'a>>,
    pub size: Size,
}

/// The members of a block that say what it is and holds.
#[derive(Default)]
struct Found<'a> {
    kind: Option<&'a str>,
    text: Option<Counted<'a>>,
    source: Option<&'a str>,
    content: Option<&'a str>,
    /// The id of a call, where it is made and where its result stands.
    id: Option<&'a str>,
    result_of: Option<&'a str>,
    /// What else a model reads of it.
    size: Size,
}

impl<'a> Seen<'a> {
    /// Goes past a content.
    ///
    /// # Errors
    /// The place of what is no content, or no block.
    pub fn read(walk: &mut Walk<'a>, holder: Holder) -> Result<Self, RequestFault> {
        let mut seen = Self {
            texts: Vec::new(),
            result_texts: Vec::new(),
            has_results: false,
            has_others: false,
            has_summary: false,
            media: MediaSeen::default(),
            tagged: Vec::new(),
            size: Size::of_message(),
        };
        seen.content(walk, holder)?;
        Ok(seen)
    }

    fn content(&mut self, walk: &mut Walk<'a>, holder: Holder) -> Result<(), RequestFault> {
        match walk.peek() {
            Some(b'"') => {
                self.has_others = true;
                self.push_text(walk.text());
                Ok(())
            }
            Some(b'[') => {
                walk.pass(b'[');
                let mut position = 0;
                while walk.element() {
                    self.block(walk, holder.block(position))?;
                    position += 1;
                }
                Ok(())
            }
            _ => Err(holder.content().fault(NO_CONTENT)),
        }
    }

    fn push_text(&mut self, text: Counted<'a>) {
        self.size.add_text(text.text_bytes);
        self.texts.push(text.json);
    }

    fn block(&mut self, walk: &mut Walk<'a>, place: Place) -> Result<(), RequestFault> {
        walk.peek();
        let start = walk.position();
        let found = Found::read(walk, place)?;
        let named = found.kind.filter(|kind| kind.len() <= MAX_WORD_BYTES).and_then(decoded);
        let named = named.ok_or_else(|| place.leaf("type").fault("must be a string"))?;
        if let Some(known) = other_case(&named) {
            return Err(place.leaf("type").fault(format!("is no type of a block; valid: `{known}`")));
        }
        let block = block_type(&named).of;
        self.has_others |= block != Block::ToolResult;
        match block {
            Block::Text => {
                let text = found.text.filter(|text| text.json.starts_with('"'));
                self.push_text(text.ok_or_else(|| place.leaf("text").fault("must be a string"))?);
            }
            Block::Image => {
                self.media.images = true;
                self.size.add_media(Media::Image, &payload(found.source));
            }
            Block::Document => self.document(&found, place)?,
            Block::ToolResult => {
                self.has_results = true;
                self.note_call(found.result_of, CallSide::Answered);
                self.result(&found, place)?;
            }
            Block::ToolUse => {
                self.note_call(found.id, CallSide::Made);
                self.size.add(found.size);
            }
            Block::Thinking | Block::ToolReference => self.size.add(found.size),
            Block::Compaction => {
                let summary = found.content.filter(|content| is_said(content));
                self.has_summary |= summary.is_some();
                summary.into_iter().for_each(|summary| self.size.add_json(summary));
            }
            // Of a sealed thought nobody knows how long it is.
            Block::RedactedThinking | Block::ToolRemoval => {}
            Block::ToolAddition | Block::Opaque => self.size.add_json(walk.since(start)),
        }
        Ok(())
    }

    fn note_call(&mut self, id: Option<&'a str>, side: CallSide) {
        self.tagged.extend(id.and_then(|id| TaggedCall::read(id, side)));
    }

    fn document(&mut self, found: &Found<'a>, place: Place) -> Result<(), RequestFault> {
        self.size.add(found.size);
        let Some(source) = found.source else { return Ok(()) };
        let Source { kind, data, content } = Source::read(source);
        match kind.as_deref() {
            Some("text") => self.size.add_text(data.map_or(0, str::len)),
            Some("content") => {
                let Some(content) = content else { return Ok(()) };
                let inner = Seen::read(&mut Walk::new(content), Holder::Block(place))?;
                self.media.images |= inner.media.images;
                self.size.add(inner.size);
            }
            Some(_) | None => {
                self.media.files = true;
                self.size.add_media(Media::File, &payload(found.source));
            }
        }
        Ok(())
    }

    fn result(&mut self, found: &Found<'a>, place: Place) -> Result<(), RequestFault> {
        self.size.add(found.size);
        let Some(content) = found.content.filter(|content| *content != "null") else { return Ok(()) };
        let inner = Seen::read(&mut Walk::new(content), Holder::Block(place))?;
        if inner.has_results {
            return Err(place.nested("content").fault("holds a `tool_result`, which stands in a message only"));
        }
        self.result_texts.extend(inner.texts);
        self.media.images |= inner.media.images;
        self.media.files |= inner.media.files;
        self.size.add(inner.size);
        Ok(())
    }
}

impl<'a> Found<'a> {
    fn read(walk: &mut Walk<'a>, place: Place) -> Result<Self, RequestFault> {
        if !walk.pass(b'{') {
            return Err(place.fault("must be an object with `type`"));
        }
        let (mut found, mut members) = (Self::default(), 0);
        while let Some(name) = walk.member() {
            members += 1;
            if members > MAX_MEMBERS {
                return Err(place.fault(format!("has more than {MAX_MEMBERS} fields")));
            }
            match name.as_ref() {
                "type" if found.kind.is_none() => found.kind = Some(walk.value()),
                "text" if found.text.is_none() => found.text = Some(walk.text()),
                "source" if found.source.is_none() => found.source = Some(walk.value()),
                "content" if found.content.is_none() => found.content = Some(walk.value()),
                "id" => found.id = Some(walk.value()),
                "tool_use_id" => found.result_of = Some(walk.value()),
                "type" => return Err(place.leaf("type").fault("stands twice")),
                "text" => return Err(place.leaf("text").fault("stands twice")),
                "source" => return Err(place.leaf("source").fault("stands twice")),
                "content" => return Err(place.leaf("content").fault("stands twice")),
                "thinking" | "input" | "name" | "title" | "context" | "tool_name" => {
                    found.size.add_json(walk.value());
                }
                name => {
                    check_case(&["type", "text", "source", "content"], name, place, "a block")?;
                    walk.value();
                }
            }
        }
        Ok(found)
    }
}

/// What the source of an image or a document holds.
#[derive(Default)]
struct Source<'a> {
    kind: Option<String>,
    /// A text, as it is written.
    data: Option<&'a str>,
    content: Option<&'a str>,
}

impl<'a> Source<'a> {
    fn read(source: &'a str) -> Self {
        let (mut walk, mut read) = (Walk::new(source), Self::default());
        if !walk.pass(b'{') {
            return read;
        }
        while let Some(name) = walk.member() {
            let value = walk.value();
            match name.as_ref() {
                "type" if value.len() <= MAX_WORD_BYTES => read.kind = decoded(value).map(String::from),
                "data" => read.data = Some(inside(value)),
                "content" => read.content = Some(value),
                _ => {}
            }
        }
        read
    }
}

/// The bytes of a source, if they are here.
fn payload(source: Option<&str>) -> Payload<'_> {
    let Source { kind, data, .. } = source.map(Source::read).unwrap_or_default();
    let data = data.filter(|_| kind.as_deref() == Some("base64"));
    Payload { data, ..Payload::default() }
}

/// Whether a valid JSON value is a text that says something.
fn is_said(json: &str) -> bool {
    json.starts_with('"') && Json::borrow(json).is_some_and(|text| !is_blank(text.raw()))
}
