//! Ids of messages and of calls, as clients of the Messages API and the API itself take them.
//!
//! An id that came in a form that the API takes stays. What stands for another one follows from it, so that no two have the same;
//! the client names its results by what it got, so that nothing has to be translated back but a tag, which stands behind the id
//! (`wire::call_tag`).

use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::wire::call::is_common_id;
use crate::wire::call_tag::CallTagger;
use crate::wire::carried::carried;
use crate::wire::json::decoded;
use crate::wire::mac::write_hex;

/// What the API's own ids begin with.
const MESSAGE: &str = "msg_";
const CALL: &str = "toolu_";
/// How many bytes of a hash stand for an id.
const HASH_BYTES: usize = 12;

/// The id of a message; `id` is its provider's, as JSON.
pub fn message_id(id: Option<&str>, created: u64) -> String {
    match id.and_then(decoded).filter(|id| !id.is_empty()) {
        None => format!("{MESSAGE}{created}"),
        Some(id) if is_common_id(&id) && id.starts_with(MESSAGE) => id.into_owned(),
        Some(id) if is_common_id(&id) => format!("{MESSAGE}{id}"),
        Some(id) => hashed(MESSAGE, &[&id]),
    }
}

/// What ids of calls are made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallIds {
    /// What stands for a call that its provider has not named follows from this and from its place.
    pub seed: String,
    /// What says in an id whose call it is; made anew where the answer goes on elsewhere.
    pub tagger: Option<Rc<CallTagger>>,
}

carried!(CallIds { seed } without { tagger });

impl CallIds {
    /// The id of a call; `id` is its provider's. Results find their calls by their ids, so that no two may have one that
    /// `is_taken`.
    pub fn make(&self, id: Option<&str>, place: u64, is_taken: impl Fn(&str) -> bool) -> String {
        let id = self.tagged(call_id(id, &self.seed, place));
        if is_taken(&id) { self.tagged(call_id(None, &self.seed, place)) } else { id }
    }

    fn tagged(&self, id: String) -> String {
        self.tagger.as_ref().and_then(|tagger| tagger.tag(&id)).unwrap_or(id)
    }
}

fn call_id(id: Option<&str>, seed: &str, place: u64) -> String {
    match id.filter(|id| !id.is_empty()) {
        Some(id) if is_common_id(id) => id.to_owned(),
        Some(id) => hashed(CALL, &[id]),
        None => hashed(CALL, &[seed, "\n", &place.to_string()]),
    }
}

fn hashed(prefix: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part.as_bytes()));
    let mut id = prefix.to_owned();
    write_hex(&hash.finalize()[..HASH_BYTES], &mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::call::MAX_ID_BYTES;

    #[test]
    fn messages_have_ids_of_the_api() {
        for (id, expected) in [
            (Some(r#""msg_01""#), "msg_01"),
            (Some(r#""chatcmpl-7""#), "msg_chatcmpl-7"),
            (Some(r#""""#), "msg_9"),
            (None, "msg_9"),
            (Some("7"), "msg_9"),
        ] {
            assert_eq!(message_id(id, 9), expected, "{id:?}");
        }
        assert!(is_common_id(&message_id(Some(r#""a b\n""#), 9)));
    }

    #[test]
    fn calls_keep_their_ids_and_no_two_get_the_same() {
        let long = "x".repeat(MAX_ID_BYTES + 1);
        for id in ["toolu_1", "call_-A9", "0"] {
            assert_eq!(call_id(Some(id), "s", 0), id);
        }
        let made = [(Some("a.b"), 0), (Some("a b"), 0), (Some("ä"), 0), (Some(&long[..]), 0), (Some(""), 0), (None, 1)];
        let ids: Vec<String> = made.iter().map(|(id, place)| call_id(*id, "s", *place)).collect();
        for (position, id) in ids.iter().enumerate() {
            assert!(is_common_id(id) && id.starts_with(CALL), "{id}");
            assert!(!ids[..position].contains(id), "{id} comes twice");
        }
        assert_eq!(call_id(Some("a.b"), "another", 3), ids[0], "an id that came means the same everywhere");
        assert_ne!(call_id(None, "another", 1), ids[5], "one that did not is its answer's own");
    }
}
