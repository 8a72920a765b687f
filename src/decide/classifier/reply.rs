//! The classifier's reply, read tolerantly: a schema is asked for, but what comes back decides nothing it should not.
//!
//! Accepted are the object asked for, the object inside prose or a code fence, and a tier's bare name. Anything else, a
//! cut-off reply and an unknown tier are no decision.

use serde::Deserialize;
use serde_json::Value;

use crate::policy::{Policy, TierId};

/// A usable reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reply {
    pub tier: TierId,
    /// 0 to 1; nothing if the reply was a bare name.
    pub confidence: Option<f64>,
}

/// Reads the reply's text.
pub fn parse(policy: &Policy, text: &str) -> Option<Reply> {
    #[derive(Deserialize)]
    struct Fields {
        tier: String,
        #[serde(default)]
        confidence: Value,
    }
    let object = text.find('{').zip(text.rfind('}')).and_then(|(start, end)| text.get(start..=end));
    match object.and_then(|object| serde_json::from_str::<Fields>(object).ok()) {
        Some(fields) => {
            let tier = tier_named(policy, &fields.tier)?;
            Some(Reply { tier, confidence: confidence(&fields.confidence) })
        }
        None => Some(Reply { tier: tier_named(policy, text)?, confidence: None }),
    }
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
        ] {
            let reply = parse(&policy, text).map(|reply| (policy.tier(reply.tier).name.clone(), reply.confidence));
            assert_eq!(reply, expected.map(|(tier, confidence)| (tier.to_owned(), confidence)), "{text}");
        }
    }
}
