//! One conversation, as data: what is offered and asked, who answers what, and how that travels.

use std::fmt;

use serde_json::{Value, json};
use tiergate::wire::usage::Usage;

/// A conversation, before anybody took part in it.
#[derive(Clone, Debug)]
pub struct Script {
    pub client: Client,
    pub tools: Vec<Tool>,
    pub opening: Vec<Spoken>,
    pub exchanges: Vec<Exchange>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Chat(ChatClient),
    Messages(MessagesClient),
    /// An application that keeps the conversation itself, in the chat API before the exchange of this number, and then in the
    /// Messages API; or the other way round.
    MovesToMessages(usize),
    MovesToChat(usize),
}

/// What a client of the Messages API makes of an answer before it sends it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagesClient {
    /// Anthropic's SDKs: the blocks as they came.
    Echoes,
    /// Claude Code, and frameworks: without blank texts, and without thoughts that have no state.
    Cleans,
    DropsThoughts,
    /// Changes thoughts, the first one in the way of this number and each later one in the next way.
    Tampers(usize),
    /// Changes one letter of each token and of each id of a call, at a place that follows from this number, or has another gateway's
    /// token in its stead.
    Forges(usize),
    /// Knows what the model of this station thought as the provider itself has it, from elsewhere.
    Unseals(&'static str),
    /// Has tools of the provider's own, and blocks that nobody here knows, in each answer.
    Searches,
}

/// What a client of the chat API makes of an answer before it sends it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatClient {
    /// OpenAI's SDK, `model_dump()`: all fields that it knows, also those that are null.
    WithNulls,
    /// The same without what is null.
    WithoutNulls,
    /// An agent that keeps what was said and called.
    DropsReasoning,
    /// An agent that keeps `reasoning_details` beside that.
    KeepsDetails,
    /// One that keeps `reasoning_details`, and changes one letter of each token and id, at a place that follows from this number.
    Forges(usize),
    /// A framework with its own messages, whose contents are lists, and which joins those of one speaker.
    Merges,
}

/// A tool that the client offers.
#[derive(Clone, PartialEq)]
pub struct Tool {
    pub name: String,
    pub kind: ToolKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ToolKind {
    /// With `parameters`, each property of which has a description of its own.
    Function { parameters: Value, strict: Option<bool> },
    /// Takes any text.
    Custom,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Who answers.
    pub station: &'static str,
    /// Whether the gateway's roots are rotated before it.
    pub rotates: bool,
    /// Whether the client demands this very model, where it knows what that one thought ([`MessagesClient::Unseals`]).
    pub is_pinned: bool,
    pub effort: Option<&'static str>,
    /// What the calls of the last answer brought, in the order of the calls.
    pub results: Vec<Content>,
    /// The call whose result comes first.
    pub first_result: usize,
    /// What is said behind the results.
    pub spoken: Vec<Spoken>,
    /// The beginning of the answer, which the client wrote.
    pub begun: Option<String>,
    pub step: Step,
    pub wire: Wire,
}

#[derive(Clone, Debug)]
pub struct Spoken {
    pub speaker: Speaker,
    pub content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    User,
    /// A user with a name.
    Ada,
    System,
    Developer,
}

#[derive(Clone, Debug)]
pub enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Clone, Debug)]
pub enum Part {
    Text(String),
    Image(usize),
    /// One of [`FILES`].
    File(usize),
}

/// What one answer says.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub thought: Option<String>,
    /// Whether the Messages API tells what was thought.
    pub is_hidden: bool,
    /// What the Messages API gives with its thought.
    pub signature: Option<String>,
    pub text: Option<String>,
    pub calls: Vec<Call>,
    pub refusal: Option<String>,
    pub ids: Ids,
    /// What stands for a thought of which no word may be told, in the Messages API.
    pub redacted: Option<String>,
    pub ending: Ending,
    pub fragments: Fragments,
    pub usage: Option<Usage>,
}

/// Why an answer ends; an API that has no word for it says the nearest one.
#[allow(dead_code, reason = "the others are drawn by the table of crossings, tests/pipeline/crossings")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// All is said, or results are waited for.
    #[default]
    Said,
    Length,
    Window,
    StopString(&'static str),
    Paused,
    Filtered,
}

/// In which order the fragments of calls come in a stream of the chat API.
#[allow(dead_code, reason = "the others are drawn by the table of crossings, tests/pipeline/crossings")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragments {
    #[default]
    CallByCall,
    /// One of each call at a time.
    InTurns,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    #[default]
    Unique,
    /// Every answer of the provider counts its calls anew.
    OfTheAnswer,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: String,
    pub kind: CallKind,
    /// The arguments of a function, the input of a custom tool.
    pub payload: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Function,
    Custom,
}

/// How an answer travels.
#[derive(Clone, Debug)]
pub struct Wire {
    pub form: Form,
    pub cuts: Cuts,
    pub spelling: Spelling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Whole,
    Streamed,
}

/// The lengths, over and over, of the pieces that texts come in, in characters, and streams, in bytes.
#[derive(Clone, Debug)]
pub struct Cuts(pub Vec<usize>);

/// How a provider writes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Utf8,
    /// With `\u` escapes for what is not ASCII.
    Ascii,
}

/// Files, as clients give them, and what they say: those that are texts as they are, others as they came.
pub const FILES: [(&str, &str); 3] = [
    ("data:text/plain;base64,U29tZSBub3Rlcy4=", "Some notes."),
    ("data:application/pdf;base64,JVBERi0xLjc=", "data:application/pdf;base64,JVBERi0xLjc="),
    ("data:application/json;base64,eyJhIjoxfQ==", "{\"a\":1}"),
];

/// Without its parameters, which are known by its name.
impl fmt::Debug for Tool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ToolKind::Function { strict, .. } => write!(out, "{:?} (strict: {strict:?})", self.name),
            ToolKind::Custom => write!(out, "{:?} (custom)", self.name),
        }
    }
}

impl Form {
    pub fn other(self) -> Self {
        match self {
            Self::Whole => Self::Streamed,
            Self::Streamed => Self::Whole,
        }
    }
}

impl Cuts {
    pub fn text<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        for length in self.0.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let end = rest.char_indices().nth(*length).map_or(rest.len(), |(at, _)| at);
            let (piece, more) = rest.split_at(end);
            pieces.push(piece);
            rest = more;
        }
        pieces
    }

    pub fn bytes<'b>(&self, bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let (mut pieces, mut rest) = (Vec::new(), bytes);
        for length in self.0.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            // A stream of single bytes shows no more than one of few.
            let (piece, more) = rest.split_at((7 * length).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces
    }
}

impl Spelling {
    pub fn write(self, json: &Value) -> String {
        let json = json.to_string();
        match self {
            Self::Utf8 => json,
            Self::Ascii => {
                let mut units = [0; 2];
                let escaped = |c: char| -> String {
                    match c.is_ascii() {
                        true => c.to_string(),
                        false => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
                    }
                };
                json.chars().map(escaped).collect()
            }
        }
    }
}

impl Content {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Parts(parts) => parts.iter().map(Part::json).collect(),
        }
    }
}

impl Part {
    fn json(&self) -> Value {
        match self {
            Self::Text(text) => json!({"type": "text", "text": text}),
            Self::Image(number) => {
                let url = format!("data:image/png;base64,{number:04}");
                json!({"type": "image_url", "image_url": {"url": url, "detail": "auto"}})
            }
            Self::File(at) => json!({"type": "file", "file": {"filename": "a file", "file_data": FILES[*at].0}}),
        }
    }
}

impl Spoken {
    pub fn user(text: impl Into<String>) -> Self {
        Self { speaker: Speaker::User, content: Content::text(text) }
    }

    pub fn message(&self) -> Value {
        let content = self.content.json();
        match self.speaker {
            Speaker::User => json!({"role": "user", "content": content}),
            Speaker::Ada => json!({"role": "user", "name": "ada", "content": content}),
            Speaker::System => json!({"role": "system", "content": content}),
            Speaker::Developer => json!({"role": "developer", "name": "operator", "content": content}),
        }
    }
}

impl Call {
    pub fn function(name: &str, arguments: impl Into<String>) -> Self {
        Self { name: name.to_owned(), kind: CallKind::Function, payload: arguments.into() }
    }

    /// What was given with it: JSON for a function, where none is an empty object, and a text for a custom tool.
    pub fn input(&self) -> Value {
        match self.kind {
            CallKind::Custom => json!(self.payload),
            CallKind::Function if self.payload.trim().is_empty() => json!({}),
            CallKind::Function => serde_json::from_str(&self.payload).expect("JSON"),
        }
    }
}

impl Tool {
    /// The tool with fields that many do not know, at every depth.
    pub fn json(&self) -> Value {
        let mark = json!({"type": "ephemeral"});
        match &self.kind {
            ToolKind::Custom => {
                json!({"type": "custom", "custom": {"name": self.name, "description": "Any text."}, "cache_control": mark})
            }
            ToolKind::Function { parameters, strict } => {
                let mut function = json!({"name": self.name, "parameters": parameters, "x": 1});
                if let Some(strict) = strict {
                    function["strict"] = json!(strict);
                }
                json!({"type": "function", "function": function, "cache_control": mark})
            }
        }
    }
}
