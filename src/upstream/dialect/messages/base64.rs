//! Base64 of clients in the form that the Messages API takes: the standard alphabet with padding and nothing else (RFC 4648,
//! section 4).
//!
//! Encoders break lines (RFC 2045, section 6.8), leave the padding out, use the alphabet for URLs, or write the marks of a data
//! URI in percents, and all of these say the same bytes.

use std::borrow::Cow;

/// Base64 as the API takes it: as it came, which large data is read once to see; nothing if it is none, or empty.
pub fn standard(data: &str) -> Option<Cow<'_, str>> {
    let data = data.trim_ascii();
    let digits = digits(data);
    let (clean, rest) = data.split_at(digits);
    if !clean.is_empty() && rest == padding(digits)? && ends_cleanly(clean) {
        return Some(data.into());
    }
    rewritten(clean, rest).map(Cow::Owned)
}

/// The same for data of which `rest` has another form.
fn rewritten(clean: &str, mut rest: &str) -> Option<String> {
    let mut whole = String::with_capacity(clean.len() + rest.len() + 2);
    whole.push_str(clean);
    let mut is_over = false;
    while let Some(first) = rest.bytes().next() {
        let run = if is_over { 0 } else { digits(rest) };
        if run > 0 {
            whole.push_str(rest.get(..run)?);
            rest = rest.get(run..)?;
            continue;
        }
        let (mark, length) = if first == b'%' { (decoded(rest.get(1..3)?)?, 3) } else { (first, 1) };
        match mark {
            b'=' => is_over = true,
            mark if mark.is_ascii_whitespace() => {}
            b'-' | b'+' if !is_over => whole.push('+'),
            b'_' | b'/' if !is_over => whole.push('/'),
            _ => return None,
        }
        rest = rest.get(length..)?;
    }
    let padding = padding(whole.len()).filter(|_| !whole.is_empty())?;
    let last = whole.pop()?;
    whole.push(without_spare_bits(last, padding.len()));
    whole.push_str(padding);
    Some(whole)
}

/// How many digits of the standard alphabet a text begins with. Nearly all data has no others, so eight are looked at together.
fn digits(text: &str) -> usize {
    let (strides, _) = text.as_bytes().as_chunks::<8>();
    let read = 8 * strides.iter().take_while(|stride| are_digits(u64::from_le_bytes(**stride))).count();
    let rest = text.as_bytes().get(read..).unwrap_or_default();
    read + rest.iter().take_while(|byte| value(**byte).is_some()).count()
}

/// Whether eight bytes are digits.
fn are_digits(bytes: u64) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    const HIGH: u64 = 0x80 * EACH;
    // The highest bit of each byte that is one of these; none of them has that bit itself.
    let between = |bytes: u64, first: u8, last: u8| {
        let (reached, passed) = (u64::from(0x80 - first) * EACH, u64::from(0x7f - last) * EACH);
        (bytes + reached) & !(bytes + passed)
    };
    if bytes & HIGH != 0 {
        return false;
    }
    let small = bytes | (0x20 * EACH);
    let digits = between(small, b'a', b'z') | between(bytes, b'/', b'9') | between(bytes, b'+', b'+');
    digits & HIGH == HIGH
}

/// What stands behind so many digits; nothing if the last one would be the half of a byte.
fn padding(digits: usize) -> Option<&'static str> {
    match digits % 4 {
        0 => Some(""),
        2 => Some("=="),
        3 => Some("="),
        _ => None,
    }
}

/// Whether the last digit has no bits that belong to no byte.
fn ends_cleanly(digits: &str) -> bool {
    let padding = padding(digits.len()).unwrap_or_default();
    digits.chars().next_back().is_some_and(|last| without_spare_bits(last, padding.len()) == last)
}

/// The last digit without the bits that belong to no byte, two for each mark of padding.
fn without_spare_bits(digit: char, padding: usize) -> char {
    let spare = (1_u8 << (2 * padding)) - 1;
    value(digit as u8).and_then(|six| written(six & !spare)).unwrap_or(digit)
}

/// The bytes of base64 in the form that the API takes.
pub fn decode(standard: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(standard.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for six in standard.bytes().map_while(value) {
        bits = (bits << 6 | u32::from(six)) & 0xFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// What a digit stands for.
fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

/// The digit that stands for six bits.
fn written(six: u8) -> Option<char> {
    match six {
        0..26 => Some((b'A' + six).into()),
        26..52 => Some((b'a' + six - 26).into()),
        52..62 => Some((b'0' + six - 52).into()),
        62 => Some('+'),
        63 => Some('/'),
        _ => None,
    }
}

/// What two digits behind a percent sign stand for (RFC 3986, section 2.1).
fn decoded(code: &str) -> Option<u8> {
    code.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(code, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_told_from_all_other_bytes() {
        for at in 0..8 {
            for byte in 0..=u8::MAX {
                let mut bytes = *b"Az09+/aZ";
                bytes[at] = byte;
                assert_eq!(are_digits(u64::from_le_bytes(bytes)), value(byte).is_some(), "{byte} at {at}");
            }
        }
    }

    #[test]
    fn base64_of_every_encoder_goes_up_in_one_form() {
        let long = "abcd".repeat(100);
        let broken = format!("{}\r\n{}\n", &long[..76], &long[76..]);
        for (data, expected) in [
            ("aGk=", Some("aGk=")),
            ("aGkh", Some("aGkh")),
            (long.as_str(), Some(long.as_str())),
            (broken.as_str(), Some(long.as_str())),
            (" aGVs bG8=\n", Some("aGVsbG8=")),
            ("aGk", Some("aGk=")),
            ("aA", Some("aA==")),
            ("aGk==", Some("aGk=")),
            ("aGkh=", Some("aGkh")),
            ("aGk =", Some("aGk=")),
            ("w6k_w6k-", Some("w6k/w6k+")),
            ("w6k%2Fw6k%2b", Some("w6k/w6k+")),
            ("aGk%3D", Some("aGk=")),
            ("aA%3d%3D", Some("aA==")),
            ("aG%0D%0Ak%20=", Some("aGk=")),
            // Bits that belong to no byte.
            ("aGl=", Some("aGk=")),
            ("aH==", Some("aA==")),
            ("", None),
            ("=", None),
            (" ", None),
            ("a", None),
            ("aGkha", None),
            ("aG=k", None),
            ("aGk=aGk=", None),
            ("aGk.", None),
            ("aGk\u{e9}", None),
            ("aGk%", None),
            ("aGk%3", None),
            ("aGk%+3", None),
            ("aGk%61", None),
            ("aGk%\u{e9}", None),
        ] {
            assert_eq!(standard(data).as_deref(), expected, "{data}");
        }
        assert!(matches!(standard(&long), Some(Cow::Borrowed(_))), "nothing is written anew");
    }

    #[test]
    fn bytes_are_read_out_of_base64() {
        for (standard, expected) in
            [("", &b""[..]), ("aGk=", b"hi"), ("aGkh", b"hi!"), ("/w==", b"\xff"), ("+/A=", b"\xfb\xf0")]
        {
            assert_eq!(decode(standard), expected, "{standard}");
        }
    }
}
