//! Marks of clients that a provider's cache should keep the prompt up to there: OpenAI's `prompt_cache_breakpoint`, and
//! `cache_control`, which many clients know from other APIs.

use serde_json::value::RawValue;

use crate::door::members::Members;
use crate::wire::ask::items::{CacheLifetime, CacheMark};
use crate::wire::containers::members;
use crate::wire::json::says_nothing;

const NAMES: [&str; 2] = ["cache_control", "prompt_cache_breakpoint"];

/// The mark on a message, part, call or tool, taken out of its members. What it says that no API means is unread.
pub fn take(members: &mut Members<'_, '_>) -> Option<CacheMark> {
    NAMES.into_iter().find_map(|name| {
        let Marked { lifetime, is_all } = read(members.take_if(name, |value| read(value).is_some())?)?;
        if !is_all {
            members.note(name);
        }
        Some(CacheMark { place: members.place(), name, lifetime })
    })
}

/// What a mark says.
struct Marked {
    lifetime: Option<CacheLifetime>,
    /// Whether it says nothing else.
    is_all: bool,
}

/// Nothing for a value that is no mark.
fn read(mark: &RawValue) -> Option<Marked> {
    let mut marked = Marked { lifetime: None, is_all: true };
    if mark.get() == "true" {
        return Some(marked);
    }
    for field in members(mark)? {
        match (field.name.as_ref(), field.value.get()) {
            ("type", r#""ephemeral""#) | ("mode", r#""explicit""#) => {}
            ("ttl", r#""5m""#) => marked.lifetime = Some(CacheLifetime::FiveMinutes),
            ("ttl", r#""1h""#) => marked.lifetime = Some(CacheLifetime::Hour),
            _ if says_nothing(field.value) => {}
            ("type" | "mode", _) => return None,
            _ => marked.is_all = false,
        }
    }
    Some(marked)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::wire::ask::place::Place;
    use crate::wire::containers::found_valid;

    #[test]
    fn marks_are_read_and_what_is_none_stays_unread() {
        let hour = Some(Some(CacheLifetime::Hour));
        for (mark, lifetime, unread) in [
            (r#"{"type":"ephemeral"}"#, Some(None), false),
            (r#"{"type":"ephemeral","ttl":"1h"}"#, hour, false),
            (r#"{"type":"ephemeral","ttl":"30m"}"#, Some(None), true),
            (r#"{"type":"ephemeral","scope":"global"}"#, Some(None), true),
            (r#"{"type":"ephemeral","scope":null}"#, Some(None), false),
            (r#"{"mode":"explicit"}"#, Some(None), false),
            ("{}", Some(None), false),
            ("true", Some(None), false),
            ("false", None, false),
            ("null", None, false),
            (r#"{"type":"persistent"}"#, None, true),
            (r#""ephemeral""#, None, true),
        ] {
            for name in NAMES {
                let (json, left) = (format!(r#"{{"{name}":{mark}}}"#), RefCell::default());
                let taken = Members::open(found_valid(&json), Place::field("tools"), &left)
                    .and_then(|mut members| take(&mut members));
                assert_eq!(taken.map(|mark| mark.lifetime), lifetime, "{mark}");
                assert_eq!(left.into_inner().paths().next().is_some(), unread, "{mark}");
            }
        }
    }
}
