//! What somebody who changes the store should know at once: whether the gateway can use what they wrote.
//!
//! Putting a broken document succeeds, here as on Fastly, and the gateway goes on with the last good one.

use tiergate::admit::auth::Client;
use tiergate::policy::parse::parse;
use tiergate::policy::warnings::warnings;

use crate::kv_api::KvWrite;

/// The key of the policy.
pub const POLICY: &str = "policy";
/// What the key of a client's entry begins with.
const CLIENT: &str = "client/";
/// The most faults of a document that are shown.
const MAX_FAULTS: usize = 10;

/// The key whose value tells what came of a write; nothing if nobody need look at it.
pub fn key_to_look_at(write: &KvWrite) -> Option<&str> {
    // A batch is written for the policy, or it says nothing new of it.
    let key = write.key.as_deref().unwrap_or(POLICY);
    (write.status.is_success() && (key == POLICY || key.starts_with(CLIENT))).then_some(key)
}

/// What a write that was refused is told of; nothing for one that was made.
pub fn describe_refusal(write: &KvWrite) -> Option<String> {
    let key = write.key.as_deref().map_or("a batch".to_owned(), |key| format!("`{key}`"));
    (!write.status.is_success()).then(|| format!("KV: a change of {key} was refused: {}", write.status))
}

/// What the gateway makes of a value that stands under `key` now.
pub fn describe(key: &str, value: Option<&[u8]>) -> String {
    match (key.strip_prefix(CLIENT), value) {
        (Some(id), None) => format!("client `{id}`: its entry is gone, and its key is refused"),
        (Some(id), Some(entry)) => match Client::parse(id, entry) {
            Ok(_) => format!("client `{id}`: its entry is good"),
            Err(fault) => format!("client `{id}`: its entry is not valid, and its key is refused: {fault}"),
        },
        (None, None) => "policy: it is gone; the last good one stays in force".to_owned(),
        (None, Some(document)) => describe_policy(document),
    }
}

fn describe_policy(document: &[u8]) -> String {
    match parse(document) {
        Ok(policy) => {
            let mut text = format!("policy: {} is good, and soon in force", policy.version);
            for warning in warnings(&policy) {
                text += &format!("\n  warning: {warning}");
            }
            text
        }
        Err(faults) => {
            let mut text = "policy: it is not valid, so the last good one stays in force:".to_owned();
            for fault in faults.0.iter().take(MAX_FAULTS) {
                text += &format!("\n  {fault}");
            }
            let more = faults.0.len().saturating_sub(MAX_FAULTS);
            if more > 0 {
                text += &format!("\n  and {more} more");
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn write(key: Option<&str>, status: StatusCode) -> KvWrite {
        KvWrite { key: key.map(str::to_owned), status }
    }

    #[test]
    fn what_was_written_is_looked_at() {
        for (key, looked_at) in [
            (Some("policy"), Some("policy")),
            (Some("client/app"), Some("client/app")),
            (Some("policy/last-good"), None),
            (Some("other"), None),
            (None, Some("policy")),
        ] {
            let made = write(key, StatusCode::OK);
            assert_eq!((key_to_look_at(&made), describe_refusal(&made)), (looked_at, None), "{key:?}");
            let refused = write(key, StatusCode::UNAUTHORIZED);
            assert_eq!(key_to_look_at(&refused), None, "{key:?}");
            let name = key.map_or("a batch".to_owned(), |key| format!("`{key}`"));
            let expected = format!("KV: a change of {name} was refused: 401 Unauthorized");
            assert_eq!(describe_refusal(&refused), Some(expected));
        }
    }

    #[test]
    fn faults_are_told_at_once() {
        let good = include_bytes!("../../../policy/default.json");
        let many: String = (0..20).map(|number| format!("\"wrong{number}\":1,")).collect();
        let many = format!("{{{many}\"version\":\"x\"}}");
        let entry = r#"{"name":"App","keys":[]}"#;
        for (key, value, expected) in [
            (POLICY, Some(&good[..]), "is good, and soon in force"),
            (POLICY, Some(&b"{"[..]), "policy: it is not valid, so the last good one stays in force:\n  "),
            (POLICY, Some(many.as_bytes()), "\n  and "),
            (POLICY, None, "policy: it is gone; the last good one stays in force"),
            ("client/app", Some(entry.as_bytes()), "client `app`: its entry is good"),
            ("client/app", Some(b"{}"), "client `app`: its entry is not valid, and its key is refused: missing field"),
            ("client/app", None, "client `app`: its entry is gone, and its key is refused"),
        ] {
            let text = describe(key, value);
            assert!(text.contains(expected), "{text}");
            assert!(text.lines().count() <= MAX_FAULTS + 2, "{text}");
        }
    }
}
