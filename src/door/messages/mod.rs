//! The client's request to Anthropic's Messages API: checked as far as the gateway needs it, otherwise left as it is.
//!
//! Top-level fields stay raw, in order, so that the dialect of the same API forwards them byte for byte; another dialect reads
//! the neutral content, which is made when it is wanted. Field names and types are those of Anthropic's API.
//! [`bounds`] says how much a body may hold.

pub mod answer;
mod attribution;
mod blocks;
mod content;
mod conversation;
mod fields;
mod holder;
mod parts;
mod seen;
mod tools;
mod turns;

use serde_json::value::RawValue;

use turns::parse_turns;

use crate::door::body::{self, is_empty_array};
use crate::door::bounds;
use crate::door::estimate::Size;
use crate::error::{Error, Kind};
use crate::wire::ask::turns::MediaSeen;
use crate::wire::ask::{Api, Ask, Features, Neutral};
use crate::wire::containers::members_named;
use crate::wire::json::{field, given, text};

/// Parses a body that is valid UTF-8 JSON.
///
/// # Errors
/// [`Kind::InvalidJson`] for what is no JSON object, [`Kind::InvalidRequest`] with `param` for a field,
/// [`Kind::HeldConversation`] for a conversation that a server would have to hold.
pub fn parse(bytes: &[u8]) -> Result<Ask<'_>, Error> {
    let fields = body::open(bytes, &bounds::MESSAGES_API, &fields::PUBLISHED)?;
    let get = |name: &str| given(field(&fields, name));
    if get("thread").is_some() {
        let message = "`thread` is not supported: this gateway holds no conversation, and its candidates share none.";
        return Err(Error::new(Kind::HeldConversation, message).with_param("thread"));
    }
    let turns = parse_turns(get("system"), get("messages"))?;
    let tools = get("tools").filter(|tools| !is_empty_array(tools));
    let config = get("output_config");
    let format = config.and_then(|config| members_named(config, &["format"])?[0]).or(get("output_format"));
    let holds = |wanted: fn(MediaSeen) -> bool| turns.iter().any(|turn| wanted(turn.media));
    let mut size = Size::default();
    tools.into_iter().chain(format).for_each(|schema| size.add_json(schema.get()));
    let features = Features {
        has_tools: tools.is_some(),
        forced_tools: get("tool_choice").and_then(kind).is_some_and(|kind| kind == "any" || kind == "tool"),
        has_images: holds(|media| media.images),
        has_files: holds(|media| media.files),
        has_audio: false,
        has_video: false,
        has_media: holds(MediaSeen::any),
        json_schema: format.and_then(kind).is_some_and(|kind| kind == "json_schema"),
        input_tokens: turns.iter().map(|turn| turn.tokens).sum::<u64>() + size.tokens(),
        max_output: get("max_tokens").and_then(|value| value.get().parse().ok()),
    };
    let stream = get("stream").is_some_and(|value| value.get() == "true");
    let model = body::model(&fields)?;
    Ok(Ask {
        api: Api::Messages,
        fields,
        model,
        turns,
        stream,
        // Every stream of this API tells it.
        include_usage: true,
        legacy_calls: false,
        features,
        bytes: bytes.len(),
        neutral: Neutral::Read(content::read),
    })
}

/// What an object calls its type.
fn kind(object: &RawValue) -> Option<String> {
    let [kind] = members_named(object, &["type"])?;
    kind.and_then(text).map(String::from)
}

#[cfg(test)]
mod tests;
