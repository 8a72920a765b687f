//! How long a provider asks to be left alone, in whichever way it says so.
//!
//! Read are, first found first: `retry-after-ms` (OpenAI's SDKs), `retry-after` in seconds or as a date (RFC 9110 §10.2.3),
//! the error's body (Google's `retryDelay`, of google.rpc.RetryInfo, else its words: "try again in 7.66s"), and the reset times of the rate limits that are used
//! up (`x-ratelimit-reset-requests`, `-tokens`: "1s", "6m0s", "12ms").

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// Nobody means more than this; it also keeps sums of times far from overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How much of a message is searched for a delay, in bytes.
const MAX_WORDS_BYTES: usize = 2_048;

/// The delay that an error answer asks for; a date that has passed is none at all. `in_body` is what its body asks for, `now`
/// the time since 1970.
pub fn asked(headers: &HeaderMap, in_body: Option<Duration>, now: Duration) -> Option<Duration> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let delay = header("retry-after-ms")
        .and_then(|value| seconds(value, 1e-3))
        .or_else(|| header("retry-after").and_then(|value| seconds(value, 1.0).or_else(|| until(value, now))))
        .or(in_body)
        .or_else(|| {
            ["requests", "tokens"]
                .into_iter()
                .filter(|limit| header(&format!("x-ratelimit-remaining-{limit}")) == Some("0"))
                .filter_map(|limit| parse(header(&format!("x-ratelimit-reset-{limit}"))?))
                .max()
        });
    delay.map(|delay| delay.min(LONGEST))
}

/// A duration as Go and protobuf write it: "1s", "6m0s", "12ms", "17.49s"; nothing if it is none.
pub fn parse(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let unit_end = tail.find(|character: char| character.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.saturating_add(seconds(number, scale)?);
        rest = tail;
    }
    (!text.is_empty()).then_some(total.min(LONGEST))
}

/// The delay that a message asks for: "Please try again in 1m2.5s" (OpenAI, Groq), "Please retry after 26 seconds" (Azure).
pub fn in_words(text: &str) -> Option<Duration> {
    const ASKS: [&str; 5] = ["try again in ", "try again after ", "retry in ", "retry after ", "please wait "];
    let text = text[..text.floor_char_boundary(MAX_WORDS_BYTES)].to_ascii_lowercase();
    let rest = ASKS.iter().find_map(|asks| Some(&text[text.find(asks)? + asks.len()..]))?;
    let mut words = rest.split_whitespace().map(|word| word.trim_end_matches(['.', ',', ';', '!', ')']));
    let first = words.next()?;
    let scale = match words.next() {
        _ if first.ends_with(|last: char| last.is_ascii_alphabetic()) => return parse(first),
        Some("second" | "seconds" | "sec" | "secs" | "s") => 1.0,
        Some("minute" | "minutes" | "min" | "mins" | "m") => 60.0,
        Some("hour" | "hours" | "h") => 3600.0,
        Some("millisecond" | "milliseconds" | "ms") => 1e-3,
        _ => return None,
    };
    seconds(first, scale)
}

/// A plain number of units, each `scale` seconds long.
fn seconds(number: &str, scale: f64) -> Option<Duration> {
    let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = number.parse().ok().filter(|_| plain)?;
    Some(Duration::try_from_secs_f64(value * scale).map_or(LONGEST, |delay| delay.min(LONGEST)))
}

fn until(date: &str, now: Duration) -> Option<Duration> {
    let date = httpdate::parse_http_date(date).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-22 12:00:00 UTC.
    const NOW: Duration = Duration::from_secs(1_795_348_800);

    fn check(headers: &[(&'static str, &str)], in_body: Option<Duration>) -> Option<Duration> {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value")));
        asked(&headers.collect(), in_body, NOW)
    }

    #[test]
    fn every_way_to_say_it_is_understood() {
        let used_up = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "12"),
            ("x-ratelimit-reset-tokens", "9h"),
        ];
        let ms = Duration::from_millis;
        for (headers, in_body, expected) in [
            (&[("retry-after", "7")][..], None, Some(ms(7_000))),
            (&[("retry-after", " 0.5 ")], None, Some(ms(500))),
            (&[("retry-after-ms", "250"), ("retry-after", "7")], None, Some(ms(250))),
            (&[("retry-after", "Sun, 22 Nov 2026 12:00:30 GMT")], None, Some(ms(30_000))),
            (&[("retry-after", "Sun, 22 Nov 2026 11:00:00 GMT")], None, Some(Duration::ZERO)),
            (&[("retry-after", "99999999999999999999")], None, Some(LONGEST)),
            (&[("retry-after", "-7")], None, None),
            (&[("retry-after", "soon")], Some(ms(17_500)), Some(ms(17_500))),
            (&used_up, None, Some(ms(360_000))),
            (&used_up[2..], None, None),
            (&[], None, None),
        ] {
            assert_eq!(check(headers, in_body), expected, "{headers:?}");
        }
    }

    #[test]
    fn durations_of_every_unit() {
        for (text, expected) in [
            ("1h2m3.5s", Some(3_723_500)),
            ("12ms", Some(12)),
            ("900us", Some(0)),
            ("0s", Some(0)),
            ("", None),
            ("5", None),
            ("s", None),
            ("1 s", None),
            ("1d", None),
            ("1.2.3s", None),
        ] {
            assert_eq!(parse(text).map(|delay| delay.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn delays_in_words_are_read() {
        for (text, expected) in [
            ("Rate limit reached. Limit 6000, Used 5900. Please try again in 7.66s. Visit x", Some(7_660)),
            ("Please try again in 1m2.5s.", Some(62_500)),
            ("Please try again in 120ms. Need more tokens?", Some(120)),
            ("Please retry after 26 seconds.", Some(26_000)),
            ("Please wait 30 seconds before retrying.", Some(30_000)),
            ("please try again in 2 minutes", Some(120_000)),
            ("You exceeded your quota.\nPlease retry in 30.529s.", Some(30_529)),
            ("Please try again in a few minutes.", None),
            ("Please try again in 5", None),
            ("Please wait before retrying.", None),
            ("Please try again later.", None),
            ("try again in ", None),
        ] {
            assert_eq!(in_words(text).map(|delay| delay.as_millis()), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_asks_for_more_than_a_day(text in "\\PC{0,40}", number in any::<f64>()) {
            for text in [text, number.to_string(), format!("{number}s")] {
                prop_assert!(parse(&text).is_none_or(|delay| delay <= LONGEST));
                let asks = format!("retry in {text}");
                prop_assert!(in_words(&asks).is_none_or(|delay| delay <= LONGEST));
                if let Ok(value) = text.parse::<http::HeaderValue>() {
                    for name in ["retry-after", "retry-after-ms"] {
                        let headers = [(HeaderName::from_static(name), value.clone())].into_iter().collect();
                        prop_assert!(asked(&headers, None, NOW).is_none_or(|delay| delay <= LONGEST));
                    }
                }
            }
        }

        #[test]
        fn whole_milliseconds_come_back(milliseconds in 0_u64..86_400_000) {
            let delay = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&format!("{milliseconds}ms")), Some(delay));
        }
    }
}
