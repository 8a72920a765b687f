//! The client's chat completion request: checked as far as the gateway needs it, otherwise left as it is.
//!
//! A [`ChatRequest`] borrows the body. Top-level fields stay raw, in order, so that a dialect can forward what it does
//! not own byte for byte; messages are looked into only for their roles and the kinds of their parts. Field names and
//! types are those of OpenAI's Chat Completions API.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::{Error, Kind};

/// One request for a chat completion.
#[derive(Debug)]
pub struct ChatRequest<'a> {
    /// Every top-level field, in the client's order, each once.
    pub fields: Vec<Field<'a>>,
    /// What the client named; empty if it named nothing.
    pub model: Cow<'a, str>,
    pub turns: Vec<Turn<'a>>,
    pub stream: bool,
    /// Whether the client asked for the usage chunk of a stream.
    pub include_usage: bool,
    pub features: Features,
}

#[derive(Clone, Debug)]
pub struct Field<'a> {
    pub name: Cow<'a, str>,
    pub value: &'a RawValue,
}

/// What a decision and the choice of a candidate need to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    pub has_tools: bool,
    /// `tool_choice` demands a call.
    pub forced_tools: bool,
    pub has_images: bool,
    /// `response_format` is a JSON schema.
    pub json_schema: bool,
    /// Estimated from bytes; see [`estimate_tokens`].
    pub input_tokens: u64,
    /// What the client allows for the answer, if it says so.
    pub max_output: Option<u64>,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Turn<'a> {
    pub role: Role,
    pub content: Content<'a>,
    pub raw: &'a RawValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    Function,
}

#[derive(Clone, Debug)]
pub enum Content<'a> {
    None,
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

/// One part of a message's content.
#[derive(Clone, Debug, Deserialize)]
pub struct Part<'a> {
    #[serde(borrow)]
    pub r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    pub text: Option<Cow<'a, str>>,
}

const ROLES: [(&str, Role); 6] = [
    ("system", Role::System),
    ("developer", Role::Developer),
    ("user", Role::User),
    ("assistant", Role::Assistant),
    ("tool", Role::Tool),
    ("function", Role::Function),
];

/// An image costs about this many tokens, whatever the length of its URL or its base64 (OpenAI's tiles, Anthropic's
/// width x height / 750 and Gemini's 258 a tile all stay near it).
const IMAGE_TOKENS: u64 = 1_500;

impl<'a> ChatRequest<'a> {
    /// Parses a body that is valid UTF-8 JSON.
    ///
    /// # Errors
    /// [`Kind::InvalidJson`] for what is no JSON object, [`Kind::InvalidRequest`] with `param` for a field.
    pub fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let place = error.valid_up_to();
            Error::new(Kind::InvalidJson, format!("The body is not valid UTF-8: see byte {place}."))
        })?;
        let fields = object_fields(text).map_err(|error| no_object(text, &error))?;
        check_fields(&fields)?;

        let get = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
        let turns = parse_turns(get("messages"))?;
        let stream = get("stream").is_some_and(|value| value.get() == "true");
        let tools = get("tools").or_else(|| get("functions"));
        let choice = get("tool_choice").or_else(|| get("function_call"));
        let features = Features {
            has_tools: tools.is_some_and(|value| value.get() != "null" && !is_empty_array(value)),
            forced_tools: choice.is_some_and(forces_a_call),
            has_images: turns.iter().any(Turn::has_image),
            json_schema: get("response_format").is_some_and(is_json_schema),
            input_tokens: estimate_tokens(&turns, tools),
            max_output: get("max_completion_tokens").or_else(|| get("max_tokens")).and_then(number),
        };
        let model = get("model").and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default();
        let include_usage = get("stream_options").is_some_and(includes_usage);
        Ok(Self { model, turns, stream, include_usage, features, fields })
    }

    /// The same request with the beginning of its answer, as another candidate gave it, for its last message: `turn` is
    /// the message of the assistant that holds `text`.
    pub fn with_begun<'b>(&'b self, text: &'b str, turn: &'b RawValue) -> ChatRequest<'b> {
        let last = Turn { role: Role::Assistant, content: Content::Text(text.into()), raw: turn };
        let mut turns: Vec<Turn<'b>> = self.turns.clone();
        turns.push(last);
        let fields = self.fields.clone();
        ChatRequest { fields, model: self.model.clone(), turns, ..*self }
    }

    pub fn field(&self, name: &str) -> Option<&'a RawValue> {
        self.fields.iter().find(|field| field.name == name).map(|field| field.value)
    }
}

impl Role {
    pub fn as_str(self) -> &'static str {
        ROLES.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }
}

impl Turn<'_> {
    fn has_image(&self) -> bool {
        matches!(&self.content, Content::Parts(parts) if parts.iter().any(|part| part.r#type == "image_url"))
    }

    /// The text of all parts, joined by spaces.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.content {
            Content::None => "".into(),
            Content::Text(text) => text.as_ref().into(),
            Content::Parts(parts) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part.text.as_deref()).collect();
                texts.join(" ").into()
            }
        }
    }
}

/// A rough count of the input's tokens: four bytes of text make one in English, and schemas are text too. An image counts
/// the same whatever its encoded length.
fn estimate_tokens(turns: &[Turn<'_>], tools: Option<&RawValue>) -> u64 {
    let of_turn = |turn: &Turn<'_>| match &turn.content {
        Content::Parts(parts) => parts
            .iter()
            .map(|part| match part.r#type.as_ref() {
                "image_url" => IMAGE_TOKENS,
                _ => part.text.as_deref().map_or(0, |text| text.len() as u64 / 4),
            })
            .sum(),
        Content::None | Content::Text(_) => turn.raw.get().len() as u64 / 4,
    };
    turns.iter().map(of_turn).sum::<u64>() + tools.map_or(0, |value| value.get().len() as u64 / 4)
}

/// The fields of a JSON object, in order, their values raw.
pub fn object_fields(json: &str) -> Result<Vec<Field<'_>>, serde_json::Error> {
    serde_json::from_str(json).map(|Fields(fields)| fields)
}

struct Fields<'a>(Vec<Field<'a>>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(name) = map.next_key::<BorrowedName<'de>>()? {
                    fields.push(Field { name: name.0, value: map.next_value()? });
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// A key, borrowed where it has no escapes.
#[derive(Deserialize, PartialEq)]
struct BorrowedName<'a>(#[serde(borrow)] Cow<'a, str>);

fn no_object(text: &str, error: &serde_json::Error) -> Error {
    if error.is_data() || text.trim_start().starts_with(|first| first != '{') && !error.is_syntax() && !error.is_eof() {
        return Error::new(Kind::InvalidJson, "The body must be a JSON object with a `messages` array.");
    }
    let (line, column) = (error.line(), error.column());
    Error::new(Kind::InvalidJson, format!("The body is not valid JSON: see line {line}, column {column}."))
}

/// The JSON types that a field may have.
#[derive(Clone, Copy)]
enum Type {
    Text,
    Boolean,
    Number,
    Whole,
    Array,
    Object,
    TextOrArray,
    TextOrObject,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Text => "a string",
            Type::Boolean => "true or false",
            Type::Number => "a number",
            Type::Whole => "a whole number of at least 0",
            Type::Array => "an array",
            Type::Object => "an object",
            Type::TextOrArray => "a string or an array",
            Type::TextOrObject => "a string or an object",
        }
    }

    fn accepts(self, value: &RawValue) -> bool {
        let first = value.get().as_bytes().first().copied().unwrap_or_default();
        match self {
            Type::Text => first == b'"',
            Type::Boolean => matches!(first, b't' | b'f'),
            Type::Number => first == b'-' || first.is_ascii_digit(),
            Type::Whole => number(value).is_some(),
            Type::Array => first == b'[',
            Type::Object => first == b'{',
            Type::TextOrArray => matches!(first, b'"' | b'['),
            Type::TextOrObject => matches!(first, b'"' | b'{'),
        }
    }
}

/// The types of the fields of OpenAI's request that the gateway reads or may change. All but `messages` may be null.
const TYPES: [(&str, Type); 25] = [
    ("model", Type::Text),
    ("messages", Type::Array),
    ("stream", Type::Boolean),
    ("stream_options", Type::Object),
    ("tools", Type::Array),
    ("tool_choice", Type::TextOrObject),
    ("functions", Type::Array),
    ("function_call", Type::TextOrObject),
    ("parallel_tool_calls", Type::Boolean),
    ("response_format", Type::Object),
    ("max_tokens", Type::Whole),
    ("max_completion_tokens", Type::Whole),
    ("n", Type::Whole),
    ("temperature", Type::Number),
    ("top_p", Type::Number),
    ("presence_penalty", Type::Number),
    ("frequency_penalty", Type::Number),
    ("logprobs", Type::Boolean),
    ("top_logprobs", Type::Whole),
    ("logit_bias", Type::Object),
    ("seed", Type::Number),
    ("stop", Type::TextOrArray),
    ("reasoning_effort", Type::Text),
    ("user", Type::Text),
    ("metadata", Type::Object),
];

fn check_fields(fields: &[Field<'_>]) -> Result<(), Error> {
    for (position, field) in fields.iter().enumerate() {
        if fields[..position].iter().any(|earlier| earlier.name == field.name) {
            let message = format!("The field `{}` stands twice in the body.", field.name);
            return Err(Error::new(Kind::InvalidRequest, message).with_param(field.name.as_ref()));
        }
        let Some((name, expected)) = TYPES.iter().find(|(name, _)| *name == field.name) else {
            continue;
        };
        if !expected.accepts(field.value) && (field.value.get() != "null" || *name == "messages") {
            let message = format!("`{name}` must be {}.", expected.name());
            return Err(Error::new(Kind::InvalidRequest, message).with_param(*name));
        }
    }
    Ok(())
}

fn parse_turns(messages: Option<&RawValue>) -> Result<Vec<Turn<'_>>, Error> {
    let missing = || {
        let message = "`messages` must be an array with at least one message.";
        Error::new(Kind::InvalidRequest, message).with_param("messages")
    };
    let raw: Vec<&RawValue> = serde_json::from_str(messages.ok_or_else(missing)?.get()).map_err(|_| missing())?;
    if raw.is_empty() {
        return Err(missing());
    }
    raw.into_iter().enumerate().map(|(index, raw)| parse_turn(index, raw)).collect()
}

fn parse_turn(index: usize, raw: &RawValue) -> Result<Turn<'_>, Error> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow, default)]
        role: Option<&'a RawValue>,
        #[serde(borrow, default)]
        content: Option<&'a RawValue>,
    }
    let invalid = |place: &str, message: String| {
        Error::new(Kind::InvalidRequest, message).with_param(format!("messages[{index}]{place}"))
    };
    if !Type::Object.accepts(raw) {
        return Err(invalid("", format!("`messages[{index}]` must be an object with `role` and `content`.")));
    }
    let message: Raw<'_> = serde_json::from_str(raw.get())
        .map_err(|error| invalid("", format!("`messages[{index}]` cannot be read: {}.", without_place(&error))))?;
    let role = message.role.and_then(|role| serde_json::from_str::<Cow<'_, str>>(role.get()).ok());
    let Some((_, role)) = ROLES.iter().find(|(name, _)| role.as_deref() == Some(*name)) else {
        let valid = ROLES.map(|(name, _)| name).join(", ");
        return Err(invalid(".role", format!("`messages[{index}].role` must be one of: {valid}.")));
    };
    let content = match message.content {
        None => Content::None,
        Some(content) => parse_content(content).ok_or_else(|| {
            let message =
                format!("`messages[{index}].content` must be a string, an array of parts with `type`, or null.");
            invalid(".content", message)
        })?,
    };
    Ok(Turn { role: *role, content, raw })
}

fn parse_content(content: &RawValue) -> Option<Content<'_>> {
    let text = content.get();
    match text.as_bytes().first()? {
        b'"' => borrowed_text(text).map(Content::Text),
        b'[' => serde_json::from_str(text).ok().map(Content::Parts),
        b'n' => Some(Content::None),
        _ => None,
    }
}

/// A JSON string, borrowed where it has no escapes (`Cow` alone would always copy).
fn borrowed_text(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<BorrowedName<'_>>(json).ok().map(|text| text.0)
}

/// serde's message names a line and column of a fragment, which would mislead.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn number(value: &RawValue) -> Option<u64> {
    value.get().parse().ok()
}

fn is_empty_array(value: &RawValue) -> bool {
    value.get().strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(']'))
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
    if !Type::Object.accepts(choice) {
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
        let error = ChatRequest::parse(body.as_bytes()).expect_err(body);
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
                Some("messages[0].content"),
            ),
            (r#"{"messages":[{"role":"user"}],"stream":"yes"}"#, Kind::InvalidRequest, Some("stream")),
            (r#"{"messages":[{"role":"user"}],"max_tokens":-1}"#, Kind::InvalidRequest, Some("max_tokens")),
            (r#"{"messages":[{"role":"user"}],"model":7}"#, Kind::InvalidRequest, Some("model")),
            (r#"{"model":"a","model":"b","messages":[{"role":"user"}]}"#, Kind::InvalidRequest, Some("model")),
        ] {
            assert_eq!(fault(body), (kind, param.map(str::to_owned)), "{body}");
        }
        assert_eq!(ChatRequest::parse(b"{\"a\":\"\xFF\"}").expect_err("bytes").kind, Kind::InvalidJson);
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
        let request = ChatRequest::parse(body.as_bytes()).expect("valid");
        assert_eq!(request.model, "gpt-4o");
        assert!(request.stream && request.include_usage);
        let expected = Features {
            has_tools: true,
            forced_tools: true,
            has_images: true,
            json_schema: true,
            input_tokens: request.features.input_tokens,
            max_output: Some(12),
        };
        assert_eq!(request.features, expected);
        assert!((IMAGE_TOKENS..IMAGE_TOKENS + 100).contains(&request.features.input_tokens));
        assert_eq!(request.turns[0].text(), "be \"brief\"");
        assert_eq!(request.turns[1].text(), "what is this");
        assert_eq!(request.field("unknown_field").map(RawValue::get), Some("[1]"));
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
            let request = ChatRequest::parse(body.as_bytes()).expect("valid");
            assert_eq!(request.features.forced_tools, forced, "{choice}");
        }
    }
}
