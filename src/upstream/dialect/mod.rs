//! Wire formats of providers, and what every one of them needs: addresses, keys, headers.
//!
//! A provider is a row of the policy; nothing here knows one by name. A dialect is a module and an arm in each match below;
//! a candidate of one that is not built is passed over (`dialect_unavailable`).

pub mod chat;
mod dropped;
pub mod messages;

use std::rc::Rc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use serde_json::value::RawValue;

use crate::error::Error;
use crate::mask::keys::cut;
use crate::platform::Target;
use crate::policy::{AuthStyle, Candidate, Dialect, Effort, ModelId, Policy, Provider, Thinking};
use crate::record::Usage;
use crate::secret::Secret;
use crate::upstream::delay;
use crate::upstream::dialect::chat::Mends;
use crate::upstream::error_words;
use crate::upstream::error_words::ProviderError;
use crate::upstream::keyring::Permit;
use crate::wire::ask::Ask;
use crate::wire::media;
use crate::wire::sse::{self, Event};

/// A request body in a provider's terms.
#[derive(Debug, PartialEq)]
pub struct Encoded {
    pub body: Vec<u8>,
    /// Fields that were left out, or weakened, because the model does not take them.
    pub dropped: Vec<String>,
}

/// What an answer tells about itself, for the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerFacts {
    pub usage: Option<Usage>,
    /// As the provider names it, cut to [`MAX_MODEL_BYTES`].
    pub model: Option<String>,
    /// [`MAX_REASONS`] at most, each cut to [`MAX_REASON_BYTES`].
    pub finish_reasons: Vec<String>,
}

const MAX_MODEL_BYTES: usize = 128;
const MAX_REASONS: usize = 16;
const MAX_REASON_BYTES: usize = 64;

impl AnswerFacts {
    fn note_model(&mut self, model: &str) {
        self.model = Some(cut(model, MAX_MODEL_BYTES).to_owned());
    }

    fn note_finish_reason(&mut self, reason: &str) {
        if self.finish_reasons.len() < MAX_REASONS {
            self.finish_reasons.push(cut(reason, MAX_REASON_BYTES).to_owned());
        }
    }
}

/// A whole answer, as far as the gateway reads it.
#[derive(Debug, PartialEq)]
pub struct Whole {
    pub told: AnswerFacts,
    /// The first choice's text.
    pub content: Option<String>,
}

/// A 2xx body that is no answer.
#[derive(Debug, PartialEq)]
pub enum Defect {
    /// The body holds an error, as some providers send with status 200.
    Error(ProviderError),
    Undecodable,
}

/// Whether a choice has finished with this: some servers send an empty reason, or the word null, in every chunk.
pub fn is_reason(finish_reason: &str) -> bool {
    !matches!(finish_reason.trim(), "" | "null")
}

/// What one event of a stream means.
#[derive(Debug, PartialEq)]
pub enum Meaning {
    Comment,
    /// Nothing of an answer yet: a role, an empty choice.
    Preamble,
    /// A piece of an answer.
    Piece,
    /// The usage chunk, which the client did not ask for.
    Unasked,
    /// The end marker.
    End,
    Error(ProviderError),
    /// No JSON object, or none that belongs to an answer; SDKs would stumble over it, so it goes no further.
    Foreign,
    /// A JSON object that does not parse: it may have carried text.
    Undecodable,
}

/// How a request is to be put besides what the client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether a stream should tell its usage at its end.
    pub counts_usage: bool,
    /// The text of an answer that another candidate began and this one should go on with; without effect for a model that
    /// cannot.
    pub begun: Option<Rc<str>>,
}

/// Why there is no request for a candidate.
#[derive(Debug, PartialEq)]
pub enum CannotEncode {
    /// The dialect is not built.
    Unavailable(Dialect),
    /// The dialect has no words for what is asked; what a client is told that nobody else can serve.
    Unfit(Box<Error>),
}

/// The request in the terms of the candidate's dialect, and the path below the provider's base URL that takes it.
pub fn encode_request(
    policy: &Policy,
    candidate: &Candidate,
    request: &Ask<'_>,
    asking: &EncodeOptions,
) -> Result<(&'static str, Encoded), CannotEncode> {
    let unfit = |error| CannotEncode::Unfit(Box::new(error));
    match policy.provider_of(candidate.model).dialect {
        Dialect::OpenaiChat => {
            chat::encode_request(policy, candidate, request, asking).map(|encoded| (chat::PATH, encoded)).map_err(unfit)
        }
        Dialect::AnthropicMessages => {
            let encoded = messages::encode_request(policy, candidate, request, asking);
            encoded.map(|encoded| (messages::PATH, encoded)).map_err(unfit)
        }
        dialect @ Dialect::OpenaiResponses => Err(CannotEncode::Unavailable(dialect)),
    }
}

/// The least effort that a model can be asked for; `none` only if it then answers at once. Nothing where nobody knows its
/// words for efforts.
pub fn least_effort(policy: &Policy, model: ModelId) -> Option<Effort> {
    let row = policy.model(model);
    let listed = row.efforts.as_ref().and_then(|efforts| {
        let is_listed = |effort: &Effort| efforts.iter().any(|(known, _)| known == effort);
        Effort::ALL.iter().copied().find(is_listed)
    });
    match (policy.provider_of(model).dialect, row.thinking) {
        (Dialect::AnthropicMessages, Thinking::Always) => listed.or(Some(Effort::Low)),
        (Dialect::AnthropicMessages, Thinking::None | Thinking::Optional | Thinking::Adaptive | Thinking::Budget) => {
            Some(Effort::None)
        }
        (Dialect::OpenaiChat | Dialect::OpenaiResponses, _) => listed,
    }
}

/// What asks for JSON where an API, or a model, cannot be told.
fn in_words(schema: Option<&RawValue>) -> String {
    let only = "Answer with one JSON object and nothing else: no words around it, no code fence.";
    match schema {
        Some(schema) => format!("{only} It must follow this JSON Schema: {schema}"),
        None => only.to_owned(),
    }
}

/// How answers of a provider are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    pub dialect: Dialect,
    /// Seconds since 1970, for dialects whose answers do not say when they were made.
    pub created: u64,
    /// Whether the client sees the thinking that a dialect translates.
    pub show_reasoning: bool,
    pub mends: Mends,
}

impl DecodeOptions {
    /// How to read the answers of `provider` that are made at `now`, the time since 1970.
    pub fn of(provider: &Provider, now: Duration) -> Self {
        Self {
            dialect: provider.dialect,
            created: now.as_secs(),
            show_reasoning: provider.show_reasoning,
            mends: Mends::of(&provider.quirks),
        }
    }
}

/// A whole answer: what the client gets, and what the gateway reads of it.
pub fn decode_answer(reading: DecodeOptions, request: &Ask<'_>, body: Vec<u8>) -> Result<(Vec<u8>, Whole), Defect> {
    match reading.dialect {
        Dialect::OpenaiChat => {
            let body = if reading.mends.any() { reading.mends.answer(body) } else { body };
            chat::decode_answer(&body).map(|whole| (body, whole))
        }
        Dialect::AnthropicMessages => messages::decode_answer(&body, request, reading.created, reading.show_reasoning),
        Dialect::OpenaiResponses => Err(Defect::Undecodable),
    }
}

/// How long a provider asks to be left alone, in its error answer; `now` is the time since 1970.
pub fn asked_delay(headers: &HeaderMap, error: &ProviderError, now: Duration) -> Option<Duration> {
    delay::asked(headers, error.retry_delay, now).or_else(|| messages::reset_delay(headers, now))
}

/// A streamed answer in any dialect.
#[derive(Debug)]
pub enum Stream {
    OpenaiChat(chat::Stream),
    AnthropicMessages(Box<messages::Stream>),
}

impl Stream {
    /// A stream that answers `request`; nothing if the dialect cannot be read.
    pub fn new(reading: DecodeOptions, request: &Ask<'_>) -> Option<Self> {
        match reading.dialect {
            Dialect::OpenaiChat => Some(Self::OpenaiChat(chat::Stream::new(request, reading.mends))),
            Dialect::AnthropicMessages => {
                let stream = messages::Stream::new(request, reading.created, reading.show_reasoning);
                Some(Self::AnthropicMessages(Box::new(stream)))
            }
            Dialect::OpenaiResponses => None,
        }
    }

    /// Takes in one event and appends what the client gets for it to `out`: the data as it came, in the client's own dialect.
    /// What a provider writes beside data (comments, names, ids) goes no further; a comment of ours stands for it.
    pub fn take(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Meaning {
        let Some(data) = event.data() else {
            out.extend_from_slice(sse::COMMENT);
            return Meaning::Comment;
        };
        if event.is_named_error() {
            return Meaning::Error(error_words::parse_event(&data));
        }
        match self {
            Self::OpenaiChat(stream) => stream.take(event, &data, out),
            Self::AnthropicMessages(stream) => stream.take(&data, out),
        }
    }

    /// Whether every choice has its finish_reason.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::OpenaiChat(stream) => stream.is_finished(),
            Self::AnthropicMessages(stream) => stream.is_finished(),
        }
    }

    /// Whether the client gets other bytes than the provider sends, so that no one else can pass them on.
    pub fn is_translated(&self) -> bool {
        match self {
            Self::OpenaiChat(stream) => stream.is_mended(),
            Self::AnthropicMessages(_) => true,
        }
    }

    pub fn told(&self) -> &AnswerFacts {
        match self {
            Self::OpenaiChat(stream) => &stream.told,
            Self::AnthropicMessages(stream) => &stream.told,
        }
    }
}

/// Where a request goes that `permit` lets go there.
pub fn target(
    provider: &Provider,
    permit: &Permit,
    connect_timeout: Duration,
    between_bytes_timeout: Duration,
) -> Target {
    Target { url: provider.base_url.clone(), place: permit.place, connect_timeout, between_bytes_timeout }
}

/// All headers of a request to `provider` but those that are forwarded from the client.
pub fn request_headers(provider: &Provider, secret: Option<&Secret<String>>, accept: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::JSON));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tiergate/", env!("CARGO_PKG_VERSION"))));
    let own = match provider.dialect {
        Dialect::AnthropicMessages => messages::HEADERS,
        Dialect::OpenaiChat | Dialect::OpenaiResponses => &[],
    };
    for (name, value) in own {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some((name, value)) = secret.and_then(|secret| credential(provider.auth, secret)) {
        headers.insert(name, value);
    }
    headers
}

fn credential(auth: AuthStyle, secret: &Secret<String>) -> Option<(HeaderName, HeaderValue)> {
    let key = secret.expose().trim();
    let (name, value) = match auth {
        AuthStyle::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
        AuthStyle::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        AuthStyle::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
        AuthStyle::None => return None,
    };
    // A key with characters that no header can carry is sent as none; the provider's 401 then tells the operator.
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}
