//! The client's chat completion request: checked as far as the gateway needs it, otherwise left as it is.
//!
//! Top-level fields stay raw, in order, so that a dialect can forward what it does not own byte for byte; messages are
//! looked into only for their roles and the kinds of their parts. Field names and types are those of OpenAI's Chat
//! Completions API. [`bounds`] says how much a body may hold.

pub mod answer;
mod chunk;
pub mod chunks;
pub mod completion;
mod content;
mod conversation;
pub mod gathered;
mod ids;
pub mod messages;
mod part_names;
mod parts;
mod read_content;
mod reasoning;
mod tools;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use messages::parse_turns;

use crate::door::body::{self, is_empty_array};
use crate::door::bounds;
use crate::door::estimate::Size;
use crate::door::media::holds_media;
use crate::error::{Error, Kind};
use crate::wire::ask::turns::{MediaSeen, Turn};
use crate::wire::ask::{Api, Ask, Features, Neutral};
use crate::wire::chat::{MAX_CHOICES, PUBLISHED};
use crate::wire::json::{field, given};

/// Parses a body that is valid UTF-8 JSON.
///
/// # Errors
/// [`Kind::InvalidJson`] for what is no JSON object, [`Kind::InvalidRequest`] with `param` for a field.
pub fn parse(bytes: &[u8]) -> Result<Ask<'_>, Error> {
    let fields = body::open(bytes, &bounds::CHAT, &PUBLISHED)?;
    let get = |name: &str| field(&fields, name);
    let turns = parse_turns(get("messages"))?;
    let stream = get("stream").is_some_and(|value| value.get() == "true");
    // A field that is null or empty hides none of the other name.
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| given(get(name)));
    let tools = ["tools", "functions"].map(|name| given(get(name)).filter(|value| !is_empty_array(value)));
    let choices = ["tool_choice", "function_call"].map(|name| given(get(name)));
    if given(get("n")).and_then(number).is_some_and(|choices| choices > MAX_CHOICES) {
        let message = format!("`n` must be at most {MAX_CHOICES}.");
        return Err(Error::new(Kind::InvalidRequest, message).with_param("n"));
    }
    let holds = |wanted: fn(MediaSeen) -> bool| turns.iter().any(|turn| wanted(turn.media));
    let schemas = tools.into_iter().chain([given(get("response_format"))]).flatten();
    let features = Features {
        has_tools: tools.iter().any(Option::is_some),
        forced_tools: choices.into_iter().flatten().any(forces_a_call),
        has_images: holds(|media| media.images),
        has_files: holds(|media| media.files),
        has_audio: holds(|media| media.audio || media.earlier_audio) || get("modalities").is_some_and(asks_for_audio),
        has_video: holds(|media| media.video),
        has_media: holds(MediaSeen::any) || get("prediction").is_some_and(|value| holds_media(value.get())),
        json_schema: get("response_format").is_some_and(is_json_schema),
        input_tokens: estimate_tokens(&turns, schemas),
        max_output: first(["max_completion_tokens", "max_tokens"]).and_then(number),
    };
    let model = body::model(&fields)?;
    let include_usage = get("stream_options").is_some_and(includes_usage);
    let [holds_tools, holds_functions] = tools.map(|tools| tools.is_some());
    let legacy_calls = holds_functions && !holds_tools;
    Ok(Ask {
        api: Api::Chat,
        fields,
        model,
        turns,
        stream,
        include_usage,
        legacy_calls,
        features,
        bytes: bytes.len(),
        neutral: Neutral::Read(content::read),
    })
}

/// A rough count of the input's tokens: schemas are text too.
fn estimate_tokens<'a>(turns: &[Turn<'_>], schemas: impl Iterator<Item = &'a RawValue>) -> u64 {
    let mut size = Size::default();
    schemas.for_each(|schema| size.add_json(schema.get()));
    turns.iter().map(|turn| turn.tokens).sum::<u64>() + size.tokens()
}

fn asks_for_audio(modalities: &RawValue) -> bool {
    let words: Vec<&RawValue> = serde_json::from_str(modalities.get()).unwrap_or_default();
    words.iter().any(|word| word.get() == r#""audio""#)
}

fn number(value: &RawValue) -> Option<u64> {
    value.get().parse().ok()
}

/// `required`, a named function or tool, and an `allowed_tools` whose mode is `required`.
fn forces_a_call(choice: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Choice<'a> {
        #[serde(borrow, default)]
        r#type: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        allowed_tools: Option<Allowed<'a>>,
    }
    #[derive(Deserialize)]
    struct Allowed<'a> {
        #[serde(borrow, default)]
        mode: Option<Cow<'a, str>>,
    }
    if !choice.get().starts_with('{') {
        return choice.get() == "\"required\"";
    }
    match serde_json::from_str::<Choice<'_>>(choice.get()) {
        Ok(choice) if choice.r#type.as_deref() == Some("allowed_tools") => {
            choice.allowed_tools.and_then(|allowed| allowed.mode).as_deref() == Some("required")
        }
        Ok(_) => true,
        Err(_) => false,
    }
}

fn is_json_schema(format: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(borrow, default)]
        r#type: Option<Cow<'a, str>>,
    }
    serde_json::from_str::<Format<'_>>(format.get()).is_ok_and(|format| format.r#type.as_deref() == Some("json_schema"))
}

fn includes_usage(options: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Options {
        #[serde(default)]
        include_usage: Option<bool>,
    }
    serde_json::from_str::<Options>(options.get()).is_ok_and(|options| options.include_usage == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &str) -> (Kind, Option<String>) {
        let error = parse(body.as_bytes()).expect_err(body);
        (error.kind, error.param)
    }

    #[test]
    fn bad_bodies_name_the_place() {
        for (body, kind, param) in [
            ("", Kind::InvalidJson, None),
            ("{", Kind::InvalidJson, None),
            ("[]", Kind::InvalidJson, None),
            ("\"text\"", Kind::InvalidJson, None),
            ("{} x", Kind::InvalidJson, None),
            ("{}", Kind::InvalidRequest, Some("messages")),
            (r#"{"messages":null}"#, Kind::InvalidRequest, Some("messages")),
            (r#"{"messages":[]}"#, Kind::InvalidRequest, Some("messages")),
            (r#"{"messages":"hi"}"#, Kind::InvalidRequest, Some("messages")),
            (r#"{"messages":[1]}"#, Kind::InvalidRequest, Some("messages[0]")),
            (r#"{"messages":[{"content":"x"}]}"#, Kind::InvalidRequest, Some("messages[0].role")),
            (r#"{"messages":[{"role":"robot"}]}"#, Kind::InvalidRequest, Some("messages[0].role")),
            (r#"{"messages":[{"role":7}]}"#, Kind::InvalidRequest, Some("messages[0].role")),
            (
                r#"{"messages":[{"role":"user","content":"x"},{"role":"user","content":7}]}"#,
                Kind::InvalidRequest,
                Some("messages[1].content"),
            ),
            (
                r#"{"messages":[{"role":"user","content":[{"text":"no type"}]}]}"#,
                Kind::InvalidRequest,
                Some("messages[0].content[0].type"),
            ),
            (r#"{"messages":[{"role":"user"}],"stream":"yes"}"#, Kind::InvalidRequest, Some("stream")),
            (r#"{"messages":[{"role":"user"}],"max_tokens":-1}"#, Kind::InvalidRequest, Some("max_tokens")),
            (r#"{"messages":[{"role":"user"}],"model":7}"#, Kind::InvalidRequest, Some("model")),
            (r#"{"model":"a","model":"b","messages":[{"role":"user"}]}"#, Kind::InvalidRequest, Some("model")),
            (r#"{"model":"a","\u006dodel":"b","messages":[{"role":"user"}]}"#, Kind::InvalidRequest, Some("model")),
            (r#"{"messages":[{"role":"user"}],"Stream":true}"#, Kind::InvalidRequest, Some("Stream")),
            (r#"{"messages":[{"role":"user"}],"n":129}"#, Kind::InvalidRequest, Some("n")),
            (r#"{"messages":[{"role":"user"}],"zebra":1,"apple":2,"zebra":3}"#, Kind::InvalidRequest, Some("zebra")),
        ] {
            assert_eq!(fault(body), (kind, param.map(str::to_owned)), "{body}");
        }
        assert_eq!(parse(b"{\"a\":\"\xFF\"}").expect_err("bytes").kind, Kind::InvalidJson);
    }

    #[test]
    fn features_are_seen() {
        let body = r#"{
            "model": "gpt-4o", "stream": true, "stream_options": {"include_usage": true}, "unknown_field": [1],
            "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required",
            "response_format": {"type": "json_schema", "json_schema": {}}, "max_tokens": 12, "seed": null,
            "messages": [
                {"role": "system", "content": "be \"brief\""},
                {"role": "user", "content": [{"type": "text", "text": "what is"}, {"type": "image_url", "image_url": {"url": "data:"}},
                    {"type": "text", "text": "this"}]}
            ]
        }"#;
        let request = parse(body.as_bytes()).expect("valid");
        assert_eq!(request.model, "gpt-4o");
        assert!(request.stream && request.include_usage);
        let expected = Features {
            has_tools: true,
            forced_tools: true,
            has_images: true,
            has_files: false,
            has_audio: false,
            has_video: false,
            has_media: true,
            json_schema: true,
            input_tokens: request.features.input_tokens,
            max_output: Some(12),
        };
        assert_eq!(request.features, expected);
        assert!((1_500..1_600).contains(&request.features.input_tokens));
        let texts = |turn: usize| request.turns[turn].texts().collect::<Vec<_>>();
        assert_eq!(texts(0), [r#""be \"brief\"""#]);
        assert_eq!(texts(1), [r#""what is""#, r#""this""#]);
        assert_eq!(request.field("unknown_field").map(RawValue::get), Some("[1]"));
    }

    #[test]
    fn null_and_empty_fields_hide_no_others() {
        let features = |fields: &str| {
            let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],{fields}}}"#);
            let features = parse(body.as_bytes()).expect("valid").features;
            (features.has_tools, features.forced_tools, features.max_output)
        };
        for (fields, expected) in [
            (r#""tools":null,"functions":[{"name":"f"}]"#, (true, false, None)),
            (r#""tools":[ ],"functions":[{"name":"f"}]"#, (true, false, None)),
            (r#""tools":[{}],"functions":[]"#, (true, false, None)),
            (r#""tools":null,"functions":null"#, (false, false, None)),
            (r#""tool_choice":null,"function_call":{"name":"f"}"#, (false, true, None)),
            (r#""tool_choice":"auto","function_call":{"name":"f"}"#, (false, true, None)),
            (r#""max_completion_tokens":null,"max_tokens":50"#, (false, false, Some(50))),
            (r#""max_completion_tokens":7,"max_tokens":50"#, (false, false, Some(7))),
        ] {
            assert_eq!(features(fields), expected, "{fields}");
        }
    }

    #[test]
    fn forced_tool_calls_are_told_from_free_ones() {
        for (choice, forced) in [
            (r#""auto""#, false),
            (r#""none""#, false),
            (r#""required""#, true),
            (r#"{"type":"function","function":{"name":"f"}}"#, true),
            (r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}"#, false),
            (r#"{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[]}}"#, true),
        ] {
            let body = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],"tool_choice":{choice}}}"#);
            let request = parse(body.as_bytes()).expect("valid");
            assert_eq!(request.features.forced_tools, forced, "{choice}");
        }
    }
}
