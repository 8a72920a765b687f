//! The client's request to Anthropic's Messages API: checked as far as the gateway needs it, otherwise left as it is.
//!
//! Top-level fields stay raw, in order, so that the dialect of the same API forwards them byte for byte; another dialect reads
//! the neutral content, which is made when it is wanted.

pub mod answer;

use std::borrow::Cow;

use crate::error::{Error, Kind};
use crate::wire::ask::content::Content;
use crate::wire::ask::place::{Place, RequestFault};
use crate::wire::ask::{Api, Ask, Features, Neutral};
use crate::wire::json::{field, given, object_fields, text as text_of, text_fault};

/// Parses a body that is valid UTF-8 JSON.
///
/// # Errors
/// [`Kind::InvalidJson`] for what is no JSON object, [`Kind::InvalidRequest`] with `param` for a field.
pub fn parse(body: &[u8]) -> Result<Ask<'_>, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::new(Kind::InvalidJson, "The body is not valid UTF-8."))?;
    let fields = object_fields(text).map_err(|_| Error::new(Kind::InvalidJson, "The body must be a JSON object."))?;
    let model = match given(field(&fields, "model")) {
        None => Cow::Borrowed(""),
        Some(model) => text_of(model).ok_or_else(|| Place::field("model").fault(text_fault(Some(model))))?,
    };
    let stream = field(&fields, "stream").is_some_and(|value| value.get() == "true");
    Ok(Ask {
        api: Api::Messages,
        fields,
        model,
        turns: Vec::new(),
        stream,
        include_usage: true,
        legacy_calls: false,
        features: Features::default(),
        bytes: body.len(),
        neutral: Neutral::Read(read),
    })
}

fn read<'x>(_ask: &'x Ask<'x>) -> Result<Content<'x>, RequestFault> {
    Err(Place::field("messages").fault("cannot be read yet"))
}
