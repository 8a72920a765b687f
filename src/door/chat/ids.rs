//! Ids of calls, as clients of the chat API get them and send them back.

use std::borrow::Cow;

use crate::wire::ask::turns::{CallSide, TaggedCall};
use crate::wire::call_tag::{CallTagger, may_hold_tags};
use crate::wire::json::JsonString;
use crate::wire::walk::Walk;

/// The id of a call, as JSON, as the client is told it: with its tag, where it gets one.
pub fn told<'i>(id: &'i JsonString<'_>, tagger: Option<&CallTagger>) -> Cow<'i, str> {
    match tagger.and_then(|tagger| tagger.tag(id.inside())) {
        Some(tagged) => format!("\"{tagged}\"").into(),
        None => id.get().into(),
    }
}

/// Finds, among the calls of a message, those whose ids have the form of tagged ones.
pub fn read_tagged<'a>(calls: &'a str, tagged: &mut Vec<TaggedCall<'a>>) {
    let mut walk = Walk::new(calls);
    if !may_hold_tags(calls) || !walk.pass(b'[') {
        return;
    }
    while walk.element() {
        if !walk.pass(b'{') {
            walk.value();
            continue;
        }
        while let Some(name) = walk.member() {
            let value = walk.value();
            if name == "id" {
                tagged.extend(TaggedCall::read(value, CallSide::Made));
            }
        }
    }
}
