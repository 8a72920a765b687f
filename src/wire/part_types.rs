//! The types of parts that a content may have in the Chat Completions API, and in APIs in its form.
//!
//! One table for both sides, so that they cannot drift apart: the client's door reads parts by it, and a provider of the same
//! API gets none that is not published, unless its row lists it (`part_fields`).

use crate::policy::VIDEO_PART;

/// A type of parts. The field of the same name holds what the part is.
#[derive(Debug, PartialEq, Eq)]
pub struct PartType {
    pub name: &'static str,
    /// Its place in a request, without positions.
    pub path: &'static str,
    pub holds: Holds,
    /// Whether it is one of OpenAI's API, which every provider gets.
    pub is_published: bool,
}

/// What a part of a type holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    Text,
    Refusal,
    Media(Media),
    /// What a model thought, which another one does not need.
    Thoughts,
}

/// What is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Image,
    File,
    Audio,
    Video,
}

/// All types that the gateway knows.
pub const PART_TYPES: [PartType; 9] = [
    published("text", "messages.content.text", Holds::Text),
    published("image_url", "messages.content.image_url", Holds::Media(Media::Image)),
    published("input_audio", "messages.content.input_audio", Holds::Media(Media::Audio)),
    published("file", "messages.content.file", Holds::Media(Media::File)),
    published("refusal", "messages.content.refusal", Holds::Refusal),
    of_others(VIDEO_PART, "messages.content.video_url", Holds::Media(Media::Video)),
    // What reasoning models answer with, and clients send back: Mistral's, those of clients of the Messages API, and others'.
    of_others("thinking", "messages.content.thinking", Holds::Thoughts),
    of_others("redacted_thinking", "messages.content.redacted_thinking", Holds::Thoughts),
    of_others("reasoning", "messages.content.reasoning", Holds::Thoughts),
];

const fn published(name: &'static str, path: &'static str, holds: Holds) -> PartType {
    PartType { name, path, holds, is_published: true }
}

const fn of_others(name: &'static str, path: &'static str, holds: Holds) -> PartType {
    PartType { name, path, holds, is_published: false }
}

/// The type of this name.
pub fn part_type(name: &str) -> Option<&'static PartType> {
    PART_TYPES.iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_found_and_stands_where_its_path_says() {
        for known in &PART_TYPES {
            assert_eq!(part_type(known.name), Some(known));
            assert_eq!(known.path, format!("messages.content.{}", known.name));
        }
        assert_eq!(part_type("input_text"), None);
    }
}
