//! Values that must never be printed.

use std::fmt;

/// A value whose `Debug` is a mask, and whose bytes are overwritten when it goes. [`Secret::expose`] is called by `edge`, by
/// header building and by the keyring only.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Wipe>(T);

/// A value whose bytes can be overwritten.
pub trait Wipe {
    fn wipe(&mut self);
}

impl Wipe for String {
    fn wipe(&mut self) {
        let mut bytes = std::mem::take(self).into_bytes();
        bytes.fill(0);
        // Otherwise the compiler may leave out what nobody reads.
        std::hint::black_box(&bytes);
    }
}

impl<T: Wipe> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl<T: Wipe> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Wipe> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

/// How many bytes in a row of a secret count as a part of it.
const WINDOW: usize = 6;
/// What keys of well-known services begin with.
const KEY_PREFIXES: [&str; 8] = ["sk-", "sk_", "tg_", "gsk_", "xai-", "AIza", "key-", "Bearer"];
const MASK: &str = "[masked]";

/// `text` with every word masked that holds a part of `secret` or looks like a key, cut to `limit` bytes.
///
/// Providers print the key they refused, often with its middle starred out, so a whole match would not be enough.
pub fn mask(text: &str, secret: Option<&Secret<String>>, limit: usize) -> String {
    let mut masked = String::with_capacity(text.len().min(limit));
    for piece in text.split_inclusive(is_separator) {
        let word = piece.trim_end_matches(is_separator);
        let hidden = looks_like_key(word) || secret.is_some_and(|secret| shares_window(word, secret.expose()));
        if hidden {
            masked.push_str(MASK);
            masked.push_str(&piece[word.len()..]);
        } else {
            masked.push_str(piece);
        }
        if masked.len() > limit {
            masked.truncate(masked.floor_char_boundary(limit));
            masked.push('…');
            break;
        }
    }
    masked
}

fn is_separator(character: char) -> bool {
    character.is_whitespace() || "\"'`,;()<>=:/?&[]{}".contains(character)
}

fn looks_like_key(word: &str) -> bool {
    word.len() >= 12 && KEY_PREFIXES.iter().any(|prefix| word.starts_with(prefix))
}

fn shares_window(word: &str, secret: &str) -> bool {
    let size = WINDOW.min(secret.len());
    size > 0 && secret.as_bytes().windows(size).any(|part| word.as_bytes().windows(size).any(|seen| seen == part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_a_mask() {
        assert_eq!(format!("{:?}", Secret::new("sk-very-secret".to_owned())), "[secret]");
    }

    #[test]
    fn every_word_with_a_part_of_the_key_is_masked() {
        let secret = Secret::new("abcdefgh1234567890".to_owned());
        for (text, expected) in [
            ("Incorrect API key provided: abcdef**7890.", "Incorrect API key provided: [masked]"),
            ("key=abcdefgh1234567890&x", "key=[masked]&x"),
            ("/v1/models/tg_app_0123456789", "/v1/models/[masked]"),
            ("nothing of it here", "nothing of it here"),
            ("another sk-proj-000000000000 key", "another [masked] key"),
            ("'xx4567890yy', then text", "'[masked]', then text"),
        ] {
            assert_eq!(mask(text, Some(&secret), 200), expected, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(mask(&"ä ".repeat(100), None, 7), "ä ä …");
    }
}
