//! The classifier's reply, read tolerantly: a schema is asked for, but what comes back decides nothing it should not.
//!
//! Accepted are the last JSON object in the text that names a tier, whatever prose and braces stand around it, and a tier's
//! bare name. Anything else, a cut-off reply and an unknown tier are no decision.

use serde::Deserialize;
use serde_json::Value;

use crate::policy::{Policy, TierId};

/// The longest object that is read, so that no text costs more than [`MAX_BRACES`] times this.
const MAX_OBJECT_BYTES: usize = 4 * 1024;
/// How many of the braces that may begin the object are tried, from the last.
const MAX_BRACES: usize = 256;

/// A usable reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reply {
    pub tier: TierId,
    /// 0 to 1; nothing if the reply was a bare name.
    pub confidence: Option<f64>,
}

/// Reads the reply's text.
pub fn parse(policy: &Policy, text: &str) -> Option<Reply> {
    let braces: Vec<usize> = memchr::memrchr_iter(b'{', text.as_bytes()).take(MAX_BRACES).collect();
    let (mut last, mut behind) = (None, 0);
    for start in braces.into_iter().rev() {
        // What stands within an object that names a tier is a part of it.
        if start >= behind
            && let Some((reply, length)) = object(policy, &text[start..])
        {
            last = Some(reply);
            behind = start + length;
        }
    }
    last.or_else(|| Some(Reply { tier: tier_named(policy, text)?, confidence: None }))
}

/// The reply that `text` begins with, and its length.
fn object(policy: &Policy, text: &str) -> Option<(Reply, usize)> {
    #[derive(Deserialize)]
    struct Fields {
        tier: String,
        #[serde(default)]
        confidence: Value,
    }
    let text = &text[..text.floor_char_boundary(MAX_OBJECT_BYTES)];
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Fields>();
    let fields = values.next()?.ok()?;
    let tier = tier_named(policy, &fields.tier)?;
    Some((Reply { tier, confidence: confidence(&fields.confidence) }, values.byte_offset()))
}

fn tier_named(policy: &Policy, text: &str) -> Option<TierId> {
    let name = text.trim_matches(|character: char| character.is_whitespace() || "\"'`.*".contains(character));
    policy.tier_ids().find(|id| policy.tier(*id).name.eq_ignore_ascii_case(name))
}

fn confidence(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (0.0..=1.0).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::default_policy;

    #[test]
    fn replies_are_read_tolerantly_but_never_believed() {
        let policy = default_policy();
        for (text, expected) in [
            (r#"{"tier":"fast","confidence":0.9}"#, Some(("fast", Some(0.9)))),
            ("```json\n{\"tier\": \"quality\", \"confidence\": \"0.7\"}\n```", Some(("quality", Some(0.7)))),
            ("Sure: {\"confidence\":1,\"tier\":\"Balanced\"} as asked", Some(("balanced", Some(1.0)))),
            (" \"reasoning\". ", Some(("reasoning", None))),
            (r#"{"tier":"fast","confidence":7}"#, Some(("fast", None))),
            (r#"{"tier":"turbo","confidence":1}"#, None),
            (r#"{"confidence":1}"#, None),
            ("fast or balanced", None),
            ("I will not answer", None),
            ("}{", None),
            ("", None),
            // Braces in prose, before and after.
            (r#"The set {1, 2} suggests {"tier":"fast","confidence":0.8} {as asked}."#, Some(("fast", Some(0.8)))),
            (r#"{ "#, None),
            (r#"{{{"tier":"fast"}}}"#, Some(("fast", None))),
            (
                "In `fn f() { g() }` there is {little} to do.\n\n{\"tier\":\"balanced\",\"confidence\":0.9}\n",
                Some(("balanced", Some(0.9))),
            ),
            // The last that names a tier, not one within it, and none that is named before.
            (r#"{"tier":"reasoning"}, no: {"tier":"fast","confidence":0.6}"#, Some(("fast", Some(0.6)))),
            (r#"{"tier":"fast","confidence":0.6,"instead":{"tier":"reasoning"}}"#, Some(("fast", Some(0.6)))),
            (r#"{"tier":"fast"} is better than {"tier":"turbo"}"#, Some(("fast", None))),
            (r#"{"answer":{"tier":"fast","confidence":0.7}}"#, Some(("fast", Some(0.7)))),
            (r#"{"tier":"fast","confidence":0.7"#, None),
            (r#"{"why":"a \"{\" opens","tier":"quality","confidence":0.7}"#, Some(("quality", Some(0.7)))),
        ] {
            let reply = parse(&policy, text).map(|reply| (policy.tier(reply.tier).name.clone(), reply.confidence));
            assert_eq!(reply, expected.map(|(tier, confidence)| (tier.to_owned(), confidence)), "{text}");
        }
    }

    /// Texts of the largest size whose every brace could begin an object.
    #[test]
    fn hostile_texts_cost_little() {
        let policy = default_policy();
        const BYTES: usize = 64 * 1024;
        let nested = "{\"a\":".repeat(BYTES / 5);
        let quoted = "{\":".repeat(BYTES / 3);
        let padded = format!("{{\"a\":\"{}\",", "x".repeat(200)).repeat(BYTES / 209);
        for hostile in ["{".repeat(BYTES), nested, quoted, padded] {
            assert_eq!(parse(&policy, &hostile), None);
            let reply = parse(&policy, &format!("{hostile} {{\"tier\":\"fast\",\"confidence\":0.9}}"));
            assert_eq!(reply.and_then(|reply| reply.confidence), Some(0.9));
        }
    }
}
