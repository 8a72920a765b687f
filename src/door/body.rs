//! The body of a request for an answer, opened: bounded, UTF-8, one JSON object, its top-level fields with the names and
//! types that the API publishes. What the fields say is the matter of the API's own folder.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::bounds::{self, Bounded};
use super::fields::{Published, check_fields};
use crate::error::{Error, Kind};
use crate::wire::ask::place::Place;
use crate::wire::json::{Field, field, given, object_fields, text as text_of, text_fault};

/// The longest name of a model, as it is written.
const MAX_MODEL_BYTES: usize = 4_096;

/// The top-level fields of a body, raw, in the client's order.
///
/// # Errors
/// [`Kind::InvalidJson`] for what is no JSON object, [`Kind::InvalidRequest`] for too much of something, and for a field that
/// stands twice, has another case than the API's or another type.
pub fn open<'a>(body: &'a [u8], bounded: &'static Bounded, published: &Published) -> Result<Vec<Field<'a>>, Error> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let place = error.valid_up_to();
        Error::new(Kind::InvalidJson, format!("The body is not valid UTF-8: see byte {place}."))
    })?;
    // A byte order mark, which some write before a text, is no part of it (RFC 8259, section 8.1).
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    bounds::check(text, bounded)?;
    let fields = object_fields(text).map_err(|error| no_object(text, &error))?;
    if fields.iter().any(|field| field.name.contains(char::REPLACEMENT_CHARACTER)) {
        let message = "A field's name holds half of a surrogate pair, or U+FFFD, which stand for no character.";
        return Err(Error::new(Kind::InvalidJson, message));
    }
    check_fields(&fields, published)?;
    if field(&fields, "model").is_some_and(|value| value.get().len() > MAX_MODEL_BYTES) {
        let message = format!("`model` must have at most {MAX_MODEL_BYTES} bytes.");
        return Err(Error::new(Kind::InvalidRequest, message).with_param("model"));
    }
    Ok(fields)
}

/// The name of the model; empty if there is none.
///
/// # Errors
/// [`Kind::InvalidRequest`] for what is no text.
pub fn model<'a>(fields: &[Field<'a>]) -> Result<Cow<'a, str>, Error> {
    match given(field(fields, "model")) {
        None => Ok(Cow::Borrowed("")),
        Some(model) => text_of(model).ok_or_else(|| Place::field("model").fault(text_fault(Some(model))).into()),
    }
}

/// Whether a value is an array with nothing in it.
pub fn is_empty_array(value: &RawValue) -> bool {
    value.get().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(']'))
}

fn no_object(text: &str, error: &serde_json::Error) -> Error {
    if error.is_data() || text.trim_start().starts_with(|first| first != '{') && !error.is_syntax() && !error.is_eof() {
        return Error::new(Kind::InvalidJson, "The body must be a JSON object with a `messages` array.");
    }
    let (line, column) = (error.line(), error.column());
    Error::new(Kind::InvalidJson, format!("The body is not valid JSON: see line {line}, column {column}."))
}
