//! The messages of a request, looked into as far as a decision needs it: roles, the types of their blocks, their size.
//!
//! Content stays the JSON that the client sent; `conversation` reads it into neutral items, where another dialect needs them.

use serde_json::value::RawValue;

use super::attribution::is_attribution;
use super::fields::MESSAGE_FIELDS;
use super::holder::Holder;
use super::seen::{NO_CONTENT, Seen};
use crate::door::fields::{same_but_for_case, shown};
use crate::door::media::MAX_WORD_BYTES;
use crate::error::{Error, Kind};
use crate::wire::ask::place::{Place, RequestFault};
use crate::wire::ask::turns::{Form, MediaSeen, Role, Texts, Turn};
use crate::wire::json::decoded;
use crate::wire::walk::Walk;

/// More fields than any message or block has.
pub const MAX_MEMBERS: usize = 64;

/// Reads the system prompt and the messages, which are valid JSON. The system prompt is the first turn, if it says anything.
///
/// # Errors
/// [`Kind::InvalidRequest`] with the place of what is no message.
pub fn parse_turns<'a>(system: Option<&'a RawValue>, messages: Option<&'a RawValue>) -> Result<Vec<Turn<'a>>, Error> {
    let mut turns: Vec<Turn<'_>> = system.map(read_system).transpose()?.flatten().into_iter().collect();
    let before = turns.len();
    let mut summarized = before;
    let mut walk = Walk::new(messages.map_or("", RawValue::get));
    if walk.pass(b'[') {
        while walk.element() {
            let place = Place::element("messages", turns.len() - before);
            let Message { turn, has_summary } = read_message(&mut walk, place)?;
            if has_summary {
                summarized = turns.len();
            }
            turns.push(turn);
        }
    }
    turns.iter_mut().take(summarized).skip(before).for_each(forget);
    if turns.len() == before {
        let message = "`messages` must be an array with at least one message.";
        return Err(Error::new(Kind::InvalidRequest, message).with_param("messages"));
    }
    Ok(turns)
}

/// A message, and whether it stands for all that came before it.
struct Message<'a> {
    turn: Turn<'a>,
    has_summary: bool,
}

/// No model reads what a summary stands for.
fn forget(turn: &mut Turn<'_>) {
    (turn.tokens, turn.media) = (0, MediaSeen::default());
}

fn read_system(system: &RawValue) -> Result<Option<Turn<'_>>, RequestFault> {
    let mut walk = Walk::new(system.get());
    let seen = Seen::read(&mut walk, Holder::Body)?;
    let raw = system.get();
    let texts = match seen.texts.split_first() {
        Some((first, rest)) if is_attribution(first, 0) => rest.to_vec(),
        Some(_) | None => seen.texts,
    };
    Ok((!texts.is_empty()).then(|| Turn {
        role: Role::System,
        texts: Texts::Several(texts),
        form: Form::Other,
        raw,
        media: seen.media,
        // What only the API knows its dialect of another API refuses itself.
        odd_parts: Vec::new(),
        tagged: Vec::new(),
        tokens: seen.size.tokens(),
    }))
}

fn read_message<'a>(walk: &mut Walk<'a>, place: Place) -> Result<Message<'a>, RequestFault> {
    walk.peek();
    let start = walk.position();
    if !walk.pass(b'{') {
        return Err(place.fault("must be an object with `role` and `content`"));
    }
    let (mut role, mut seen, mut members) = (None, None, 0);
    while let Some(name) = walk.member() {
        members += 1;
        if members > MAX_MEMBERS {
            return Err(place.fault(format!("has more than {MAX_MEMBERS} fields")));
        }
        match name.as_ref() {
            "role" if role.is_none() => role = Some(walk.value()),
            "content" if seen.is_none() => seen = Some(Seen::read(walk, Holder::Message(place))?),
            "role" => return Err(place.member("role").fault("stands twice")),
            "content" => return Err(place.member("content").fault("stands twice")),
            name => {
                check_case(&MESSAGE_FIELDS, name, place, "a message")?;
                walk.value();
            }
        }
    }
    let role = role.filter(|role| role.len() <= MAX_WORD_BYTES).and_then(decoded);
    let role = match role.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        Some(_) | None => return Err(place.member("role").fault("must be one of: user, assistant, system")),
    };
    let seen = seen.ok_or_else(|| place.member("content").fault(NO_CONTENT))?;
    // A turn of nothing but results is none in which the user says something.
    let is_of_results = role == Role::User && seen.has_results && !seen.has_others;
    let turn = Turn {
        role: if is_of_results { Role::Tool } else { role },
        texts: Texts::Several(if is_of_results { seen.result_texts } else { seen.texts }),
        form: Form::Other,
        raw: walk.since(start),
        media: seen.media,
        odd_parts: Vec::new(),
        tagged: seen.tagged,
        tokens: seen.size.tokens(),
    };
    // Instructions stand for nothing that was said.
    Ok(Message { turn, has_summary: seen.has_summary && role != Role::System })
}

/// Checks that a member is none of the known ones in another case, which a provider's parser may take for that.
///
/// # Errors
/// The place of one that is.
pub fn check_case(known: &[&str], name: &str, place: Place, whose: &str) -> Result<(), RequestFault> {
    match known.iter().find(|known| **known != name && same_but_for_case(known, name)) {
        Some(known) => {
            let fault = place.fault(format!("is no field of {whose}; valid: `{known}`"));
            Err(RequestFault { place: format!("{}.{}", fault.place, shown(name)), ..fault })
        }
        None => Ok(()),
    }
}
