//! The parts of a message's content, as parts of the neutral form.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::door::marks;
use crate::door::members::Members;
use crate::wire::ask::Api;
use crate::wire::ask::items::{MediaSource, Part, PartKind};
use crate::wire::ask::place::{Located, Place, RequestFault};
use crate::wire::json::{JsonString, is_text, text, text_fault};
use crate::wire::part_types::{Holds, Media, PartType, part_type};

/// What a PDF's `%PDF-` is in base64, for clients that send no data URI.
const PDF_START: &str = "JVBERi0";

/// Appends the parts of a message's content, a string, an array of parts or null.
pub fn push_parts<'a>(
    content: &'a RawValue,
    message: &Members<'_, 'a>,
    parts: &mut Vec<Part<'a>>,
) -> Result<(), RequestFault> {
    let place = message.place().member("content");
    if let Some(text) = JsonString::read(content) {
        parts.push(Part::text(place, text));
        return Ok(());
    }
    let elements = message.elements(content, |position| message.place().member_element("content", position));
    let elements = elements.ok_or_else(|| place.fault("must be a string, an array of parts with `type`, or null"))?;
    parts.reserve(elements.len());
    for element in elements {
        parts.push(part(element)?);
    }
    Ok(())
}

/// The text at a place where one must be.
pub fn read_text(value: Option<&RawValue>, place: Place) -> Result<Cow<'_, str>, RequestFault> {
    value.and_then(text).ok_or_else(|| place.fault(text_fault(value)))
}

fn part<'a>(mut part: Members<'_, 'a>) -> Result<Part<'a>, RequestFault> {
    let place = part.place();
    let text = |value: Option<&'a RawValue>, leaf| {
        value.and_then(JsonString::read).ok_or_else(|| place.leaf(leaf).fault("must be a string"))
    };
    let given = |value: Option<&'a RawValue>, leaf| value.ok_or_else(|| place.leaf(leaf).fault("is missing"));
    let named = read_text(part.take("type"), place.leaf("type"))?;
    let Some(&PartType { name, path, holds, .. }) = part_type(&named) else {
        return Err(place.leaf("type").fault("is no type of a part"));
    };
    let own = part.take(name);
    let kind = match holds {
        Holds::Text => PartKind::Text(text(own, name)?),
        Holds::Refusal => PartKind::Refusal(text(own, name)?),
        Holds::Media(Media::Image) => image(given(own, name)?, &part)?,
        Holds::Media(Media::File) => file(given(own, name)?, &part)?,
        Holds::Media(Media::Audio) => PartKind::Audio(given(own, name)?),
        // Only providers of this API have it.
        Holds::Media(Media::Video) => PartKind::Opaque { api: Api::Chat, raw: given(own, name)? },
        Holds::Thoughts => PartKind::Thoughts(path),
    };
    let cache = marks::take(&mut part);
    if holds == Holds::Thoughts {
        // They are left out as a whole, with signature and data.
        part.pass_all();
    }
    Ok(Part { place, word: name, cache, kind })
}

fn image<'a>(image: &'a RawValue, part: &Members<'_, 'a>) -> Result<PartKind<'a>, RequestFault> {
    let place = part.place();
    let (url, detail) = if is_text(image) {
        // Some clients send the URL without the object around it.
        (Some(image), None)
    } else {
        let expected = "must be an object with `url`";
        let mut image = part.inner(image, "image_url").ok_or_else(|| place.leaf("image_url").fault(expected))?;
        (image.take("url"), image.take("detail"))
    };
    let leaf = "image_url.url";
    let value = read_text(url, place.leaf(leaf))?;
    let detail = detail.filter(|detail| detail.get() != r#""auto""#);
    let detail = detail.map(|value| Located { leaf: "image_url.detail", value });
    Ok(PartKind::Image { source: MediaSource::Url(Located { leaf, value }), detail })
}

fn file<'a>(file: &'a RawValue, part: &Members<'_, 'a>) -> Result<PartKind<'a>, RequestFault> {
    let place = part.place();
    let expected = "must be an object with `file_data`";
    let mut file = part.inner(file, "file").ok_or_else(|| place.leaf("file").fault(expected))?;
    let name = file.take_text("filename");
    let data = file.take("file_data");
    // Where the bytes are here as well, nobody needs the id.
    if let Some(id) = if data.is_none() { file.take("file_id") } else { None } {
        let leaf = "file.file_id";
        let value = JsonString::read(id).ok_or_else(|| place.leaf(leaf).fault("must be a string"))?;
        return Ok(PartKind::File { source: MediaSource::Id(Located { leaf, value }), name });
    }
    let leaf = "file.file_data";
    let value = read_text(data, place.leaf(leaf))?;
    let source = match value.starts_with(PDF_START) {
        true => MediaSource::Data { media_type: "application/pdf".into(), data: Located { leaf, value } },
        false => MediaSource::Url(Located { leaf, value }),
    };
    Ok(PartKind::File { source, name })
}
