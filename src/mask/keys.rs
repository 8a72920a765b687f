//! Finds the keys of a request in texts for the log: by comparison, in every coding that they are copied in by mistake.
//!
//! Nothing that is decided here may reach a client: whether a text holds a part of a key would tell it the key, guess by
//! guess ([`crate::mask::words`] is for clients). A text in which anything of a key is found is hidden as a whole.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;

use crate::mask::words::{MIN_KEY_BYTES, looks_like_key};
use crate::secret::{Secret, Wipe};

/// What stands for a text in which a key was found.
pub const MASK: &str = "[masked]";

/// How many letters and digits in a row of a key, or of its Base64, are a part of it.
const WINDOW: usize = 6;
/// How many digits in a row of a key's hexadecimal and decimal forms are a part of it: there a character is two or three
/// digits.
const DIGITS_WINDOW: usize = 12;
/// How often a text may be encoded over again.
const MAX_ROUNDS: usize = 3;

/// The keys that a request's attempts were sent with.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    known: Vec<Secret<String>>,
    /// Made with each key, since then a provider has just been asked, and nobody waits for the gateway.
    forms: Option<Forms>,
}

/// All forms of some keys, in which texts are looked up; `Debug` shows none of them.
#[derive(Clone)]
pub struct Forms {
    plain: Index,
    digits: Index,
}

impl Keys {
    pub fn add(&mut self, key: &Secret<String>) {
        if !self.known.contains(key) {
            self.known.push(key.clone());
            self.forms.get_or_insert_with(Forms::none).add(key);
        }
    }

    /// Nothing if there is no key.
    pub fn forms(self) -> Option<Forms> {
        self.forms
    }
}

impl fmt::Debug for Forms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

/// Two digits a byte.
fn in_hexadecimal(key: &[u8]) -> Vec<u8> {
    let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
    key.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Each byte as a number without zeros before it.
fn in_decimal(key: &[u8]) -> Vec<u8> {
    let mut digits = Vec::with_capacity(3 * key.len());
    for byte in key {
        for (least, unit) in [(100, 100), (10, 10), (0, 1)] {
            digits.extend((*byte >= least).then_some(b'0' + byte / unit % 10));
        }
    }
    digits
}

impl Forms {
    fn none() -> Self {
        Self { plain: Index::new(WINDOW), digits: Index::new(DIGITS_WINDOW) }
    }

    fn add(&mut self, key: &Secret<String>) {
        let Forms { plain, digits } = self;
        let key = key.expose().trim().as_bytes();
        plain.add(&folded(key));
        plain.add(&folded(&key.iter().rev().copied().collect::<Vec<_>>()));
        for offset in 0..3 {
            plain.add(&folded(&base64_inside(key, offset)));
        }
        digits.add(&in_hexadecimal(key));
        digits.add(&in_decimal(key));
    }

    /// Whether `text` holds a part of a key in any form.
    pub fn are_in(&self, text: &str) -> bool {
        let mut text = Cow::Borrowed(text.as_bytes());
        for _ in 0..MAX_ROUNDS {
            let folded = folded(&text);
            if self.plain.is_in(&folded) || self.digits.is_in(&folded) {
                return true;
            }
            match decoded(&text) {
                Some(decoded) => text = decoded.into(),
                None => return false,
            }
        }
        let folded = folded(&text);
        self.plain.is_in(&folded) || self.digits.is_in(&folded)
    }

    /// Hides `text` if it holds a part of a key.
    pub fn hide(&self, text: &mut String) {
        if self.are_in(text) {
            MASK.clone_into(text);
        }
    }
}

/// Some texts, and a filter that says fast which of their windows are not in another one.
#[derive(Clone)]
struct Index {
    text: Vec<u8>,
    /// Texts that are shorter than a window.
    short: Vec<Vec<u8>>,
    window: usize,
    /// A bit for each hash of a window's beginning.
    filter: Vec<u64>,
}

impl Index {
    const FILTER_BITS: u32 = 14;

    fn new(window: usize) -> Self {
        Self { text: Vec::new(), short: Vec::new(), window, filter: vec![0; 1 << (Self::FILTER_BITS - 6)] }
    }

    fn add(&mut self, text: &[u8]) {
        if text.len() < self.window {
            self.short.extend((!text.is_empty()).then(|| text.to_vec()));
        }
        for window in text.windows(self.window) {
            let (word, bit) = Self::place(window);
            self.filter[word] |= bit;
        }
        // No window of a folded text holds it.
        self.text.push(b'|');
        self.text.extend_from_slice(text);
    }

    fn is_in(&self, text: &[u8]) -> bool {
        let holds = |window: &[u8]| {
            let (word, bit) = Self::place(window);
            self.filter[word] & bit != 0 && memmem::find(&self.text, window).is_some()
        };
        text.windows(self.window).any(holds) || self.short.iter().any(|short| memmem::find(text, short).is_some())
    }

    fn place(window: &[u8]) -> (usize, u64) {
        let begin = window.iter().take(WINDOW).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let hash = begin.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - Self::FILTER_BITS);
        ((hash >> 6) as usize, 1 << (hash & 63))
    }
}

/// A key's forms live as long as the key.
impl Drop for Index {
    fn drop(&mut self) {
        self.text.wipe();
        self.short.iter_mut().for_each(Wipe::wipe);
    }
}

/// The letters and digits of a text in one case, so that neither case nor what stands between them counts.
fn folded(text: &[u8]) -> Vec<u8> {
    text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// What is in the Base64 of any text that holds `key` after `offset` bytes and a multiple of three.
fn base64_inside(key: &[u8], offset: usize) -> Vec<u8> {
    let bytes: Vec<u8> = std::iter::repeat_n(0, offset).chain(key.iter().copied()).collect();
    let bits = bytes.len() * 8;
    let sextet = |at: usize| {
        let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or_default());
        let pair = byte(at * 6 / 8) << 8 | byte(at * 6 / 8 + 1);
        BASE64[usize::from(pair >> (10 - at * 6 % 8) & 63)]
    };
    ((offset * 8).div_ceil(6)..bits / 6).map(sextet).collect()
}

/// `text` with the codes of characters replaced by the characters: `%73`, `&#115;`, `&#x73;`, `\u0073`, `\x73`, `0x73`; nothing
/// if it holds none.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let (mut copied, mut at) = (0, 0);
    while at < text.len() {
        let found = code(&text[at..]);
        if let Some((byte, length)) = found {
            let out = out.get_or_insert_default();
            out.extend_from_slice(&text[copied..at]);
            out.push(byte);
            copied = at + length;
        }
        at += found.map_or(1, |(_, length)| length);
    }
    let mut out = out?;
    out.extend_from_slice(&text[copied..]);
    Some(out)
}

/// The character whose code `text` begins with, and the code's length.
fn code(text: &[u8]) -> Option<(u8, usize)> {
    let (begin, radix, digits) = match text {
        [b'%', ..] => (1, 16, 2..=2),
        [b'&', b'#', b'x' | b'X', ..] => (3, 16, 1..=6),
        [b'&', b'#', ..] => (2, 10, 1..=7),
        [b'&', ..] => {
            let length = text.iter().skip(1).take(8).take_while(|byte| byte.is_ascii_alphabetic()).count();
            // Which character it is does not matter: those that have names are no letters.
            return (text.get(1 + length) == Some(&b';') && length > 1).then_some((b' ', length + 2));
        }
        [b'\\', b'u' | b'U', b'{', ..] => (3, 16, 1..=6),
        [b'\\', b'u', ..] => (2, 16, 4..=4),
        [b'\\', b'U', ..] => (2, 16, 8..=8),
        [b'\\' | b'0', b'x', ..] => (2, 16, 2..=2),
        [b'\\', b'0'..=b'7', ..] => (1, 8, 3..=3),
        _ => return None,
    };
    let rest = &text[begin..];
    let length = rest.iter().take(*digits.end()).take_while(|byte| char::from(**byte).is_digit(radix)).count();
    if length < *digits.start() {
        return None;
    }
    let value = u32::from_str_radix(std::str::from_utf8(&rest[..length]).ok()?, radix).ok()?;
    let closing = usize::from(matches!(rest.get(length), Some(b';' | b'}')));
    // Full-width forms of what a key is made of are read as that.
    let value = if (0xFF01..=0xFF5E).contains(&value) { value - 0xFEE0 } else { value };
    Some((u8::try_from(value).unwrap_or(b' '), begin + length + closing))
}

/// `text` cut to `limit` bytes, at a character.
pub fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// `text` cut to `limit` bytes, with every word masked that looks like a key of a well-known service, or that a bearer
/// brings: for what clients wrote themselves, where nothing is compared.
pub fn without_known_shapes(text: &str, limit: usize) -> String {
    let kept = cut(text, limit);
    let was_cut = kept.len() < text.len();
    let mut masked = String::with_capacity(kept.len() + "…".len());
    let mut after_bearer = false;
    let mut rest = kept;
    while !rest.is_empty() {
        let (word, tail) = rest.split_at(rest.find(is_separator).unwrap_or(rest.len()));
        let (separators, tail) = tail.split_at(tail.find(|next| !is_separator(next)).unwrap_or(tail.len()));
        rest = tail;
        let is_at_cut = was_cut && tail.is_empty() && separators.is_empty();
        let is_hidden =
            !word.is_empty() && (after_bearer || looks_like_key(word, if is_at_cut { 0 } else { MIN_KEY_BYTES }));
        masked.push_str(if is_hidden { MASK } else { word });
        masked.push_str(separators);
        after_bearer = word.eq_ignore_ascii_case("bearer");
    }
    if was_cut {
        masked.push('…');
    }
    masked
}

fn is_separator(character: char) -> bool {
    character.is_whitespace() || "\"'`,;()<>=:/?&[]{}".contains(character)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn base64(bytes: &[u8]) -> String {
        let padding = ["", "==", "="][bytes.len() % 3];
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(3), 0);
        let mut text = String::from_utf8(base64_inside(&padded, 0)).expect("ASCII");
        text.truncate(text.len() - padding.len());
        text + padding
    }

    const KEYS: [&str; 4] = [
        "abcdefgh1234567890",
        "sk-proj-/=:&?,+Zz9_x8",
        "0f9a4c27be31d8650e7fa2943bc1d586",
        "q+R7/x2Lk9vB4/Zt8+Yw1mNc5Df6Gh3Jp0Sa/We+Tu=",
    ];

    fn forms(keys: &[&str]) -> Forms {
        let mut all = Keys::default();
        keys.iter().for_each(|key| all.add(&Secret::new((*key).to_owned())));
        all.forms().expect("keys")
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn every_copy_of_a_key_is_found() {
        let each = |key: &str, form: fn(u8) -> String| key.bytes().map(form).collect::<String>();
        for key in KEYS {
            let forms = forms(&[key]);
            let in_base64 = |before: &str| base64(format!("{before}{key} and more").as_bytes());
            let groups = |size: usize, between: &str| {
                let groups: Vec<_> = key.as_bytes().chunks(size).map(String::from_utf8_lossy).collect();
                groups.join(between)
            };
            let copies = [
                key.to_owned(),
                key.to_uppercase(),
                key[..17].to_owned(),
                in_base64(""),
                in_base64("1"),
                in_base64("12"),
                in_base64("12").replace('+', "-").replace('/', "_"),
                each(key, |byte| format!("{byte:02X}")),
                each(key, |byte| format!("{byte:02x}:")),
                each(key, |byte| format!("%{byte:02x}")),
                each(key, |byte| format!("%25{byte:02x}")),
                each(key, |byte| format!("&#{byte};")),
                each(key, |byte| format!("&#x{byte:x};")),
                each(key, |byte| format!("\\u{byte:04x}")),
                each(key, |byte| format!("\\\\x{byte:02x}")),
                each(key, |byte| format!("0x{byte:02x}, ")),
                each(key, |byte| format!("{byte}, ")),
                key.replace('&', "&amp;").replace('/', "&sol;"),
                groups(5, " "),
                groups(4, "-"),
                groups(1, "\u{200b}"),
            ];
            for copy in copies {
                for text in [copy.clone(), format!("abc{copy}def"), format!("model {copy}, or so")] {
                    assert!(forms.are_in(&text), "{key} in {text}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_found_in_other_texts() {
        let forms = forms(&KEYS);
        for text in [
            "",
            "gpt-6.2-sol",
            "req_011CabcD",
            "stop",
            "/v1/chat/completions",
            "5f8e7d6c5b4a39281706f5e4d3c2b1a0",
            "%zz &#; 0xg \\u12",
        ] {
            assert!(!forms.are_in(text), "{text}");
        }
        assert!(Keys::default().forms().is_none());
    }

    #[test]
    fn short_keys_are_compared_as_a_whole() {
        let forms = forms(&["a1-b2"]);
        assert!(forms.are_in("xA1b2y") && !forms.are_in("a1c2"));
    }

    #[test]
    fn what_looks_like_a_key_is_masked_where_nothing_is_known() {
        for (text, expected) in [
            ("/v1/models/tg_app_0123456789", "/v1/models/[masked]"),
            ("nothing of it here", "nothing of it here"),
            ("another sk-proj-000000000000 key", "another [masked] key"),
            ("v1.sk-proj-000000000000", "[masked]"),
            ("Bearer abc123", "Bearer [masked]"),
            ("task-0000000000000", "task-0000000000000"),
            ("'AIzaSyD-9tSrke72Po', then text", "'[masked]', then text"),
        ] {
            assert_eq!(without_known_shapes(text, 200), expected, "{text}");
        }
        assert_eq!(without_known_shapes("ä ä ä", 4), "ä …");
        assert_eq!(without_known_shapes("a sk-proj-000000000000", 8), "a [masked]…", "half a key at the cut");
    }
}
