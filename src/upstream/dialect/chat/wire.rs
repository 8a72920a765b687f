//! Messages, tools and the form of the answer as OpenAI's Chat Completions API has them, to be written.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::wire::ask::turns::Role;
use crate::wire::json::Json;
use crate::wire::walk::inside;

#[derive(Debug, Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Message<'x> {
    System {
        content: Content<'x>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'x RawValue>,
    },
    User {
        content: Content<'x>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'x RawValue>,
    },
    Assistant {
        content: Option<Content<'x>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'x RawValue>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall<'x>>,
        #[serde(flatten)]
        state: MessageState<'x>,
    },
    Tool {
        tool_call_id: &'x str,
        content: Content<'x>,
    },
}

/// The state of the reasoning that led to a message, as its own provider gave it.
#[derive(Debug, Default, Serialize)]
pub struct MessageState<'x> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<Json<'x>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Json<'x>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_details: Option<Json<'x>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<&'x RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Content<'x> {
    Text(Json<'x>),
    Parts(Vec<Part<'x>>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part<'x> {
    Text { text: Json<'x> },
    Refusal { refusal: Json<'x> },
    ImageUrl { image_url: ImageUrl<'x> },
    File { file: File<'x> },
    InputAudio { input_audio: &'x RawValue },
}

#[derive(Debug, Serialize)]
pub struct ImageUrl<'x> {
    pub url: Cow<'x, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'x RawValue>,
}

#[derive(Debug, Serialize)]
pub struct File<'x> {
    pub file_data: Cow<'x, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<&'x RawValue>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolCall<'x> {
    Function {
        id: &'x str,
        function: Function<'x>,
        /// The state of the reasoning that led to it, as its own provider gave it.
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_content: Option<&'x RawValue>,
    },
    Custom {
        id: &'x str,
        custom: Custom<'x>,
    },
}

#[derive(Debug, Serialize)]
pub struct Function<'x> {
    pub name: Cow<'x, str>,
    pub arguments: &'x str,
}

#[derive(Debug, Serialize)]
pub struct Custom<'x> {
    pub name: Cow<'x, str>,
    pub input: &'x str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Tool<'x> {
    Function { function: FunctionTool<'x> },
    Custom { custom: CustomTool<'x> },
}

#[derive(Debug, Serialize)]
pub struct FunctionTool<'x> {
    pub name: Cow<'x, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'x RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Json<'x>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

#[derive(Debug, Serialize)]
pub struct CustomTool<'x> {
    pub name: Cow<'x, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'x RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<CustomFormat<'x>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CustomFormat<'x> {
    Grammar { grammar: Grammar<'x> },
}

#[derive(Debug, Serialize)]
pub struct Grammar<'x> {
    pub definition: &'x RawValue,
    pub syntax: &'x RawValue,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ToolChoice<'x> {
    Word(&'static str),
    Tool(ToolName<'x>),
    Allowed { r#type: &'static str, allowed_tools: Allowed<'x> },
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToolName<'x> {
    Function { function: Name<'x> },
    Custom { custom: Name<'x> },
}

#[derive(Debug, Serialize)]
pub struct Name<'x> {
    pub name: &'x str,
}

#[derive(Debug, Serialize)]
pub struct Allowed<'x> {
    pub mode: &'static str,
    pub tools: Vec<ToolName<'x>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ResponseFormat<'x> {
    JsonObject,
    JsonSchema { json_schema: JsonSchema<'x> },
}

#[derive(Debug, Serialize)]
pub struct JsonSchema<'x> {
    pub name: Json<'x>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<&'x RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<&'x RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
}

impl<'x> Content<'x> {
    pub fn into_parts(self) -> Vec<Part<'x>> {
        match self {
            Content::Text(text) => vec![Part::Text { text }],
            Content::Parts(parts) => parts,
        }
    }
}

impl Part<'_> {
    /// What stands between the quotes of a text, with its escapes; nothing of another part.
    pub fn inside(&self) -> Option<&str> {
        match self {
            Part::Text { text } => Some(inside(text.get())),
            Part::Refusal { .. } | Part::ImageUrl { .. } | Part::File { .. } | Part::InputAudio { .. } => None,
        }
    }
}

impl Message<'_> {
    pub fn role(&self) -> Role {
        match self {
            Message::System { .. } => Role::System,
            Message::User { .. } => Role::User,
            Message::Assistant { .. } => Role::Assistant,
            Message::Tool { .. } => Role::Tool,
        }
    }
}
