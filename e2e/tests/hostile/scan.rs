//! Looks for eight characters in a row of any planted key, as they are and in every coding that a client could undo.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use crate::planted;

/// How many characters in a row of a key count as a part of it.
pub const WINDOW: usize = 8;
/// How often a text is unescaped again.
const DEPTH: usize = 2;
/// The longest run that is decoded; nothing that leaves the gateway has a longer one.
const MAX_RUN: usize = 1 << 16;

/// A part of a key that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The shape of the key.
    pub shape: &'static str,
    /// How it was written, `raw` as it is.
    pub coding: &'static str,
    pub part: String,
}

/// The parts of the keys, so that one pass over a text finds any of them.
struct Windows {
    /// By the first two bytes, whether any part begins so.
    begins: Vec<bool>,
    parts: HashMap<Vec<u8>, &'static str>,
}

impl Windows {
    fn new(change: impl Fn(&str) -> Vec<u8>) -> Self {
        let mut windows = Self { begins: vec![false; 1 << 16], parts: HashMap::new() };
        for (shape, key) in planted::all() {
            for part in change(key).windows(WINDOW) {
                windows.begins[start(part)] = true;
                windows.parts.insert(part.to_vec(), shape);
            }
        }
        windows
    }

    fn find(&self, text: &[u8], coding: &'static str, found: &mut BTreeSet<Found>) {
        // One part of a key in one coding says enough.
        let part = text
            .windows(WINDOW)
            .filter(|part| self.begins[start(part)])
            .find_map(|part| self.parts.get_key_value(part));
        if let Some((part, shape)) = part {
            found.insert(Found { shape, coding, part: String::from_utf8_lossy(part).into_owned() });
        }
    }
}

fn start(part: &[u8]) -> usize {
    usize::from(part[0]) << 8 | usize::from(part[1])
}

static RAW: LazyLock<Windows> = LazyLock::new(|| Windows::new(|key| key.as_bytes().to_vec()));
static SQUEEZED: LazyLock<Windows> = LazyLock::new(|| Windows::new(|key| squeeze(key.as_bytes())));
static REVERSED: LazyLock<Windows> = LazyLock::new(|| Windows::new(|key| key.bytes().rev().collect()));

/// What of the keys can be read from `text`; the plain finds come without those that repeat them in another coding.
pub fn scan(text: &[u8]) -> Vec<Found> {
    let mut found = BTreeSet::new();
    RAW.find(text, "raw", &mut found);
    if found.is_empty() {
        let mut text = text.to_vec();
        for depth in 0..=DEPTH {
            scan_decoded(&text, &mut found);
            let unescaped = unescape(&text);
            if !found.is_empty() || unescaped == text || depth == DEPTH {
                break;
            }
            text = unescaped;
            RAW.find(&text, "escaped", &mut found);
        }
    }
    found.into_iter().collect()
}

fn scan_decoded(text: &[u8], found: &mut BTreeSet<Found>) {
    REVERSED.find(text, "reversed", found);
    SQUEEZED.find(&squeeze(text), "other case or parted", found);
    for run in text.split(|byte| !is_base64(*byte)).filter(|run| run.len() > WINDOW && run.len() <= MAX_RUN) {
        for skipped in 0..4 {
            RAW.find(&from_base64(&run[skipped..]), "base64", found);
        }
    }
    for parted in [text.to_vec(), squeeze(text)] {
        for run in parted.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() >= 2 * WINDOW) {
            for skipped in 0..2 {
                RAW.find(&from_hex(&run[skipped..]), "hex", found);
            }
        }
    }
}

/// Letters and digits alone, in lower case.
fn squeeze(text: &[u8]) -> Vec<u8> {
    text.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// Decodes both alphabets, whatever the length.
fn from_base64(text: &[u8]) -> Vec<u8> {
    let (mut bits, mut held) = (0_u32, 0);
    let mut bytes = Vec::with_capacity(text.len());
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

fn from_hex(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    text.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Undoes `%XX`, `\uXXXX`, `\xXX`, a lone backslash, `&#DD;` and `&#xXX;`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let number = |digits: Option<&[u8]>, radix| {
            let digits = std::str::from_utf8(digits?).ok()?;
            u8::try_from(u32::from_str_radix(digits, radix).ok()?).ok()
        };
        let (byte, length) = match (first, after) {
            (b'%', _) => (number(after.get(..2), 16), 3),
            (b'\\', [b'u', digits @ ..]) => (number(digits.get(..4), 16), 6),
            (b'\\', [b'x', digits @ ..]) => (number(digits.get(..2), 16), 4),
            (b'\\', [next @ (b'/' | b'"' | b'\\'), ..]) => (Some(*next), 2),
            (b'&', [b'#', digits @ ..]) => {
                let end = digits.iter().take(8).position(|byte| *byte == b';');
                let inside = end.and_then(|end| digits.get(..end));
                let value = match inside {
                    Some([b'x' | b'X', hex @ ..]) => number(Some(hex), 16),
                    other => number(other, 10),
                };
                (value, end.unwrap_or_default() + 3)
            }
            _ => (None, 1),
        };
        bytes.push(byte.unwrap_or(*first));
        rest = &rest[if byte.is_some() { length } else { 1 }..];
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::{CODINGS, code};
    use crate::planted::{PLANTED, Set};
    use crate::random::Random;

    #[test]
    fn every_coding_of_every_key_is_found() {
        for planted in PLANTED.iter() {
            for set in [Set::First, Set::Second] {
                for coding in CODINGS {
                    for case in 0..20 {
                        let coded = code(planted.key(set), *coding, &mut Random::new("scan", case));
                        let text = format!("{{\"message\": \"It is {coded}, you know\"}}");
                        let found = scan(text.as_bytes());
                        assert!(!found.is_empty(), "{} {coding:?}: {text}", planted.shape);
                        assert!(found.iter().all(|found| found.shape == planted.shape), "{found:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_key_is_not_found() {
        let keys: Vec<String> = planted::all().map(|(_, key)| key.chars().take(WINDOW - 3).collect()).collect();
        for text in [
            keys.join(" | "),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 Q29tcGxldGlvbg== &#65;&amp; %41 \\u0041"
                .to_owned(),
            include_str!("../../../docs/headers.md").to_owned(),
            include_str!("../../../src/lib.rs").to_owned(),
        ] {
            assert_eq!(scan(text.as_bytes()), [], "{text}");
        }
    }
}
