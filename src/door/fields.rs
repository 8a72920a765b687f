//! The names and types of a request's top-level fields, checked against what the API publishes.

use std::collections::BTreeSet;

use crate::error::{Error, Kind};
use crate::wire::field_type::FieldType;
use crate::wire::json::Field;

/// The fields that an API publishes, sorted by their names. All but `messages` may be null.
pub type Published = [(&'static str, FieldType)];

/// A name of a client's that a message may hold, in characters.
const MAX_SHOWN: usize = 64;

/// The field of the published API that `name` is in another case; a provider's parser may take the one for the other.
pub fn other_case(published: &Published, name: &str) -> Option<&'static str> {
    let names = published.iter().map(|(known, _)| *known);
    names.into_iter().find(|known| *known != name && same_but_for_case(known, name))
}

/// Whether two names are one to a parser that ignores case, as Go's does, which folds `ſ` and the Kelvin sign too; `known`
/// is in lower case.
pub fn same_but_for_case(known: &str, name: &str) -> bool {
    match name.is_ascii() {
        true => name.eq_ignore_ascii_case(known),
        false => name.chars().map(lower).eq(known.chars()),
    }
}

/// The lower case of a character that may stand in a name, also of the two beyond ASCII that fold to letters of it.
pub fn lower(character: char) -> char {
    match character {
        'ſ' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

/// Checks names and types of a request's fields.
///
/// # Errors
/// [`Kind::InvalidRequest`] for a field that stands twice, has another case than the API's, or another type.
pub fn check_fields(fields: &[Field<'_>], published: &Published) -> Result<(), Error> {
    let invalid = |name: &str, message: String| Error::new(Kind::InvalidRequest, message).with_param(name);
    let mut seen = BTreeSet::new();
    for field in fields {
        let name = field.name.as_ref();
        if !seen.insert(name) {
            let name = shown(name);
            return Err(invalid(name, format!("The field `{name}` stands twice in the body.")));
        }
        let Ok(at) = published.binary_search_by_key(&name, |(known, _)| known) else {
            if let Some(known) = other_case(published, name) {
                let name = shown(name);
                return Err(invalid(name, format!("There is no field `{name}`; valid: `{known}`.")));
            }
            continue;
        };
        let expected = published.get(at).map_or(FieldType::Any, |(_, expected)| *expected);
        if !expected.accepts(field.value) && (field.value.get() != "null" || name == "messages") {
            return Err(invalid(name, format!("`{name}` must be {}.", expected.words())));
        }
    }
    Ok(())
}

/// A client's word in a message, bounded.
pub fn shown(word: &str) -> &str {
    let end = word.char_indices().nth(MAX_SHOWN).map_or(word.len(), |(at, _)| at);
    &word[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::chat::{PUBLISHED, is_published};

    #[test]
    fn the_list_is_sorted_and_each_name_is_found() {
        assert!(PUBLISHED.is_sorted_by_key(|(name, _)| *name));
        assert!(PUBLISHED.iter().all(|(name, _)| is_published(name) && other_case(&PUBLISHED, name).is_none()));
        assert!(!is_published("models") && !is_published("Stream") && !is_published(""));
    }

    #[test]
    fn a_name_in_another_case_is_found() {
        for (name, expected) in [
            ("Stream", Some("stream")),
            ("STREAM", Some("stream")),
            ("\u{17f}tream", Some("stream")),
            ("max_to\u{212a}ens", Some("max_tokens")),
            ("Max_Tokens", Some("max_tokens")),
            ("streams", None),
            ("strëam", None),
            ("maxTokens", None),
            ("stream ", None),
        ] {
            assert_eq!(other_case(&PUBLISHED, name), expected, "{name}");
        }
    }
}
