//! When an exhausted rate limit of the Messages API is whole again.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;

/// The limits that the API counts, each with `-limit`, `-remaining` and `-reset`.
const LIMITS: [&str; 4] = ["requests", "tokens", "input-tokens", "output-tokens"];

/// How long until every limit with nothing remaining is reset, by `anthropic-ratelimit-*-reset` (RFC 3339); nothing if none
/// is exhausted, or says when it is reset. `now` is Unix time.
pub fn reset_delay(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let text = |limit: &str, what: &str| headers.get(format!("anthropic-ratelimit-{limit}-{what}"))?.to_str().ok();
    let exhausted = LIMITS.into_iter().filter(|limit| text(limit, "remaining").is_some_and(|left| left.trim() == "0"));
    let resets = exhausted.filter_map(|limit| {
        let time = humantime::parse_rfc3339_weak(text(limit, "reset")?.trim()).ok()?;
        Some(time.duration_since(UNIX_EPOCH).ok()?.saturating_sub(now))
    });
    resets.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exhausted_limits_count_and_the_last_of_them() {
        let now = Duration::from_secs(1_790_000_000); // 2026-09-21T14:13:20Z
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<u64>);
        let cases: [Case<'_>; 6] = [
            (&[], None),
            (&[("requests-remaining", "3"), ("requests-reset", "2026-09-21T14:14:20Z")], None),
            (&[("requests-remaining", "0"), ("requests-reset", "2026-09-21T14:14:20Z")], Some(60)),
            (
                &[
                    ("requests-remaining", "0"),
                    ("requests-reset", "2026-09-21T14:14:20Z"),
                    ("output-tokens-remaining", "0"),
                    ("output-tokens-reset", "2026-09-21T14:13:50Z"),
                    ("tokens-remaining", "7"),
                    ("tokens-reset", "2026-09-21T15:13:50Z"),
                ],
                Some(60),
            ),
            (&[("tokens-remaining", "0"), ("tokens-reset", "2026-09-21T14:00:00Z")], Some(0)),
            (&[("tokens-remaining", "0"), ("tokens-reset", "soon")], None),
        ];
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                let name: http::HeaderName = format!("anthropic-ratelimit-{name}").parse().expect("a name");
                headers.insert(name, value.parse().expect("a value"));
            }
            assert_eq!(reset_delay(&headers, now).map(|delay| delay.as_secs()), expected, "{given:?}");
        }
    }
}
