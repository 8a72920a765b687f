//! Content types, which of them are text, the schemes of addresses, and the length of a body.

use http::HeaderMap;

pub const JSON: &str = "application/json";
pub const OCTETS: &str = "application/octet-stream";
pub const EVENT_STREAM: &str = "text/event-stream";

/// Types of text beside `text/...`.
const TEXT_TYPES: [&str; 5] =
    ["application/json", "application/xml", "application/yaml", "application/x-yaml", "application/javascript"];

/// Whether files of a media type, in any case and with or without parameters, are text.
pub fn is_text_type(media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let is_any_text = media_type.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("text/"));
    is_any_text || TEXT_TYPES.iter().any(|known| known.eq_ignore_ascii_case(media_type))
}

/// What follows a scheme, such as `https:`, which may be in any case.
pub fn after_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let (start, rest) = url.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The length of the body, if the sender says it. Who has read that much need not wait for the end.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_text_are_known() {
        for (media_type, expected) in [
            ("text/plain", true),
            ("Text/CSV", true),
            ("text/html; charset=utf-8;base64", true),
            ("application/json", true),
            ("application/xml;base64", true),
            ("Application/X-YAML", true),
            ("application/yaml", true),
            ("application/javascript", true),
            ("application/zip", false),
            ("application/jsonl", false),
            ("text", false),
            ("", false),
        ] {
            assert_eq!(is_text_type(media_type), expected, "{media_type}");
        }
    }

    #[test]
    fn a_scheme_is_known_in_any_case() {
        for (url, expected) in [
            ("https://a.example/", Some("//a.example/")),
            ("HTTPS:", Some("")),
            ("http://a.example/", None),
            ("htt", None),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", None),
        ] {
            assert_eq!(after_scheme(url, "https:"), expected, "{url}");
        }
    }
}
