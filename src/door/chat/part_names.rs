//! The types of parts as clients call them, and what is to be said of those that the Chat Completions API does not have.

use crate::door::fields::same_but_for_case;
use crate::wire::part_types::PART_TYPES;

/// What other APIs call the parts of this one.
const FOREIGN_TYPES: [(&str, &str); 11] = [
    ("input_text", "text"),
    ("output_text", "text"),
    ("input_image", "image_url"),
    ("image", "image_url"),
    ("input_file", "file"),
    ("document", "file"),
    ("document_url", "file"),
    ("audio", "input_audio"),
    ("audio_url", "input_audio"),
    ("input_video", "video_url"),
    ("video", "video_url"),
];

/// Whether a name is a known type in another case, which a provider's parser may take for that.
pub fn is_other_case(name: &str) -> bool {
    PART_TYPES.iter().any(|known| known.name != name && same_but_for_case(known.name, name))
}

/// What is to be said of a part whose type is none of this API.
pub fn valid_types(name: &str) -> String {
    let valid: Vec<&str> = PART_TYPES.iter().filter(|known| known.is_published).map(|known| known.name).collect();
    let hint = FOREIGN_TYPES.iter().find(|(foreign, _)| *foreign == name);
    let hint = hint.map_or(String::new(), |(foreign, known)| format!(" (`{foreign}` is `{known}` here)"));
    format!("must be one of: {}{hint}", valid.join(", "))
}
