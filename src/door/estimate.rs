//! About how many tokens a request has, by what it says: four bytes of text make one in English, and what is no text counts
//! as what it is. How a client writes its JSON, with escapes or indented, does not matter.
//!
//! Only the bounds of a model's context are kept by it, so what cannot be known is counted low: a request that is refused here
//! is served nowhere.

use crate::door::media::Payload;
use crate::wire::part_types::Media;
use crate::wire::walk::said_bytes;

const BYTES_OF_TOKEN: u64 = 4;
/// What the borders of a message cost.
const MESSAGE_TOKENS: u64 = 4;
/// An image costs about this many tokens, whatever the length of its URL or its base64 (OpenAI's tiles, Anthropic's
/// width x height / 750 and Gemini's 258 a tile all stay near it). So does a page of a document.
const IMAGE_TOKENS: u64 = 1_500;
/// An image that is only to be looked at roughly.
const ROUGH_IMAGE_TOKENS: u64 = 100;
/// How many bytes of a document that is no text make a token: a page of 100 KB is one of text and a picture.
const DOCUMENT_BYTES_OF_TOKEN: u64 = 100;
/// How many bytes of a recording make a token: a second of speech is 8 to 32 KB, and 10 to 32 tokens.
const RECORDING_BYTES_OF_TOKEN: u64 = 1_000;

/// What is counted of a message, or of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    text_bytes: u64,
    media_tokens: u64,
}

impl Size {
    /// The size of a message that says nothing.
    pub fn of_message() -> Self {
        Self { text_bytes: 0, media_tokens: MESSAGE_TOKENS }
    }

    /// Adds what was counted apart.
    pub fn add(&mut self, other: Self) {
        self.text_bytes += other.text_bytes;
        self.media_tokens += other.media_tokens;
    }

    /// Adds a text of so many bytes.
    pub fn add_text(&mut self, bytes: usize) {
        self.text_bytes += bytes as u64;
    }

    /// Adds any JSON, such as a schema.
    pub fn add_json(&mut self, json: &str) {
        self.text_bytes += said_bytes(json);
    }

    /// Adds what a field of this kind holds.
    pub fn add_media(&mut self, kind: Media, payload: &Payload<'_>) {
        // Of base64; an address says nothing of how much is there.
        let bytes = payload.data.map_or(0, |data| data.len() as u64 / 4 * 3);
        match kind {
            Media::Image if payload.is_rough => self.media_tokens += ROUGH_IMAGE_TOKENS,
            Media::Image => self.media_tokens += IMAGE_TOKENS,
            Media::File if payload.is_text => self.text_bytes += bytes,
            Media::File => self.media_tokens += (bytes / DOCUMENT_BYTES_OF_TOKEN).max(IMAGE_TOKENS),
            Media::Audio => self.media_tokens += bytes / RECORDING_BYTES_OF_TOKEN,
            Media::Video => self.media_tokens += (bytes / RECORDING_BYTES_OF_TOKEN).max(IMAGE_TOKENS),
        }
    }

    pub fn tokens(self) -> u64 {
        self.text_bytes / BYTES_OF_TOKEN + self.media_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::walk::Walk;

    fn media(kind: Media, value: &str) -> u64 {
        let mut size = Size::default();
        size.add_media(kind, &Payload::read(&mut Walk::new(value), &[]));
        size.tokens()
    }

    #[test]
    fn what_is_no_text_counts_as_what_it_is() {
        let data = "A".repeat(4_000_000);
        for (name, kind, value, expected) in [
            ("an address", Media::Image, r#"{"url":"https://a.example/"}"#.to_owned(), 1_500),
            ("an image", Media::Image, format!(r#"{{"url":"data:image/png;base64,{data}"}}"#), 1_500),
            ("a rough image", Media::Image, format!(r#"{{"detail":"low","url":"data:image/png;base64,{data}"}}"#), 100),
            ("a bare address", Media::Image, r#""https://a.example/""#.to_owned(), 1_500),
            ("a file by its id", Media::File, r#"{"file_id":"file-1"}"#.to_owned(), 1_500),
            ("a document", Media::File, format!(r#"{{"file_data":"data:application/pdf;base64,{data}"}}"#), 30_000),
            ("a bare document", Media::File, format!(r#"{{"file_data":"{data}"}}"#), 30_000),
            ("a small document", Media::File, r#"{"file_data":"JVBERi0="}"#.to_owned(), 1_500),
            ("a text", Media::File, format!(r#"{{"file_data":"data:text/csv;base64,{data}"}}"#), 750_000),
            ("a text of XML", Media::File, format!(r#"{{"file_data":"data:application/xml;base64,{data}"}}"#), 750_000),
            ("YAML", Media::File, format!(r#"{{"file_data":"DATA:Application/X-YAML;base64,{data}"}}"#), 750_000),
            ("no text", Media::File, format!(r#"{{"file_data":"data:application/jsonl;base64,{data}"}}"#), 30_000),
            ("an address in capitals", Media::File, r#"{"url":"HTTPS://a.example/"}"#.to_owned(), 1_500),
            ("a recording", Media::Audio, format!(r#"{{"data":"{data}","format":"mp3"}}"#), 3_000),
            ("a film", Media::Video, format!(r#"{{"url":"data:video/mp4;base64,{data}"}}"#), 3_000),
            ("a film elsewhere", Media::Video, r#"{"url":"https://a.example/"}"#.to_owned(), 1_500),
            ("nothing", Media::File, "7".to_owned(), 1_500),
        ] {
            assert_eq!(media(kind, &value), expected, "{name}");
        }
    }

    #[test]
    fn the_form_of_json_does_not_count() {
        let tokens = |json: &str| {
            let mut size = Size::default();
            size.add_json(json);
            size.tokens()
        };
        assert_eq!(tokens(r#"{"a":["\u4e2d\u4e2d"],"b":true}"#), tokens("{ \"a\" : [\n\t\"中中\" ], \"b\": true }"));
        assert_eq!(tokens(r#"{"a":"\"\\\n"}"#), 2);
        assert_eq!(tokens("\"open"), 1);
    }
}
