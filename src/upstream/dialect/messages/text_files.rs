//! The texts in files that are text, which the Messages API takes as text, not as base64.

/// The text in base64, with or without padding, of either alphabet and in lines; nothing if it is none in UTF-8.
pub fn decode(base64: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(base64.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for digit in base64.trim_end_matches(['=', '\r', '\n']).bytes() {
        let six = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\r' | b'\n' => continue,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    // A digit of six bits alone is the half of a byte.
    (count < 6).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_out_of_base64() {
        for (base64, expected) in [
            ("", Some("")),
            ("aGk=", Some("hi")),
            ("aGk", Some("hi")),
            ("aGkh", Some("hi!")),
            ("aGVs\r\nbG8=\n", Some("hello")),
            ("w6k_w6k-", Some("\u{e9}?\u{e9}>")),
            ("a", None),
            ("_w==", None),
            ("a b", None),
        ] {
            assert_eq!(decode(base64).as_deref(), expected, "{base64}");
        }
    }
}
