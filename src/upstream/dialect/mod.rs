//! Wire formats of providers: requests are encoded, whole answers and streams decoded into pieces; also what every format
//! needs: addresses, keys, headers.
//!
//! A provider is a row of the policy; nothing here knows one by name. A dialect is a folder and an arm in each match below;
//! a candidate of one that is not built is passed over (`dialect_unavailable`).

pub mod chat;
mod custom_tools;
mod dropped;
mod edit;
pub mod head;
mod in_words;
pub mod messages;
mod object_writer;
mod stand_ins;
pub mod state;
pub mod tool_names;
mod user_hash;
mod user_turns;

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;

use crate::error::Error;
use crate::platform::{FIRST_BYTE_TIMEOUT, Target};
use crate::policy::{Candidate, Dialect, Effort, Model, ModelId, Policy, Provider, Thinking};
use crate::upstream::delay;
use crate::upstream::dialect::chat::{CallForms, Mender, Mends, StateFields, StateKeeper};
use crate::upstream::dialect::messages::PassedEvent;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::upstream::error_words;
use crate::upstream::error_words::ProviderError;
use crate::upstream::keyring::Permit;
use crate::upstream::sealer::Sealer;
use crate::wire::ask::{Api, Ask};
use crate::wire::json::{BYTE_ORDER_MARK, says_nothing};
use crate::wire::piece::{Alive, Piece};
use crate::wire::sse::Event;
use crate::wire::transfer::Transfer;

/// The schema of a function's parameters where the client gives none.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// A request in a provider's terms.
#[derive(Debug, PartialEq)]
pub struct Encoded {
    pub body: Vec<u8>,
    /// Fields that were left out, or weakened, because the model does not take them.
    pub dropped: Vec<String>,
    /// White space at the end of what an answer began that the provider is not shown, since it would refuse it.
    pub hidden: String,
}

/// A 2xx body that is no answer.
#[derive(Debug, PartialEq)]
pub enum Defect {
    /// The body holds an error, as some providers send with status 200.
    Error(ProviderError),
    Undecodable,
    /// The answer ends within a call, and says that it is whole.
    Cut,
}

/// What one event of a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Pieces of an answer, perhaps none.
    Pieces,
    /// The end marker.
    End,
    /// No JSON object, or none that belongs to an answer; SDKs would stumble over it, so it goes no further.
    Foreign,
}

/// How surely a stream that has its reasons to finish has ended. Some servers give one in every chunk, so that the first says
/// nothing, and neither does silence after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndOfAnswer {
    /// Whether the last reason to finish came apart from what it ends.
    pub stood_alone: bool,
    /// Whether the answer has gone on after a reason to finish.
    pub went_on: bool,
}

impl EndOfAnswer {
    /// A reason to finish came, in an event that says more or in one of its own.
    pub fn note_finish(&mut self, says_more: bool) {
        self.stood_alone = !says_more;
    }

    /// A part of the answer came, perhaps behind a reason to finish.
    pub fn note_content(&mut self, had_finished: bool) {
        self.went_on |= had_finished;
    }
}

/// How a request is to be put besides what the client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Whether a stream should tell its usage at its end.
    pub counts_usage: bool,
    /// In which form the answer is to come; without it in the one that the client wants.
    pub transfer: Option<Transfer>,
    /// The text of an answer that another candidate began and this one should go on with; without effect for a model that
    /// cannot.
    pub begun: Option<Rc<str>>,
    /// What opens the state of reasoning that the model gave earlier; without it no token goes up.
    pub sealer: Option<Rc<Sealer>>,
    /// What becomes of state that came from elsewhere, in a request that came in the words of the provider's own API.
    pub unsealed: UnsealedState,
}

/// What becomes of state of reasoning that is none of the gateway's tokens, so that nobody knows whose it is. Where nothing is
/// ever sealed, it goes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnsealedState {
    #[default]
    LeftOut,
    /// The client asks for this very model, so it will know.
    Sent,
}

impl EncodeOptions {
    /// Whether the answer to `request` is to come as a stream.
    pub fn asks_for_a_stream(&self, request: &Ask<'_>) -> bool {
        self.transfer.unwrap_or_else(|| request.transfer()) == Transfer::Stream
    }
}

/// Whom a request is written for: a candidate, with its rows of the policy.
#[derive(Clone, Copy)]
pub struct Recipient<'a> {
    pub candidate: &'a Candidate,
    pub model: &'a Model,
    pub provider: &'a Provider,
}

impl<'a> Recipient<'a> {
    pub fn of(policy: &'a Policy, candidate: &'a Candidate) -> Self {
        Self { candidate, model: policy.model(candidate.model), provider: policy.provider_of(candidate.model) }
    }
}

/// The path below a provider's base URL that takes requests of a dialect.
pub fn own_path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => chat::PATH,
        Dialect::AnthropicMessages => messages::PATH,
        Dialect::OpenaiResponses => "/responses",
    }
}

/// Why there is no request for a candidate.
#[derive(Debug, PartialEq)]
pub enum CannotEncode {
    /// The dialect is not built.
    Unavailable(Dialect),
    /// The dialect has no words for what is asked; what a client is told that nobody else can serve.
    Unfit(Box<Error>),
}

/// The request in the terms of the candidate's dialect.
pub fn encode_request(
    policy: &Policy,
    candidate: &Candidate,
    request: &Ask<'_>,
    options: &EncodeOptions,
) -> Result<Encoded, CannotEncode> {
    let unfit = |error| CannotEncode::Unfit(Box::new(error));
    match policy.provider_of(candidate.model).dialect {
        Dialect::OpenaiChat => chat::encode_request(policy, candidate, request, options).map_err(unfit),
        Dialect::AnthropicMessages => messages::encode_request(policy, candidate, request, options).map_err(unfit),
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
        (Dialect::AnthropicMessages, Thinking::Always | Thinking::BetweenTools) => listed.or(Some(Effort::Low)),
        (Dialect::AnthropicMessages, Thinking::None | Thinking::Optional | Thinking::Adaptive | Thinking::Budget) => {
            Some(Effort::None)
        }
        (Dialect::OpenaiChat | Dialect::OpenaiResponses, _) => listed,
    }
}

/// Whether a model thinks in a form that only it can read, or wants back what it thought, and a client of `api` does not get
/// that as it comes.
pub fn seals_thoughts(recipient: &Recipient<'_>, api: Api) -> bool {
    match recipient.provider.dialect {
        Dialect::AnthropicMessages => recipient.model.thinking != Thinking::None,
        Dialect::OpenaiChat => !StateFields::of(recipient, api).is_empty(),
        Dialect::OpenaiResponses => false,
    }
}

/// How answers of a provider are to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeOptions {
    pub dialect: Dialect,
    /// Seconds since 1970, for answers that do not say when they were made.
    pub created: u64,
    /// How many choices were asked for.
    pub choices: u32,
    /// Whether the client gave strings that end an answer wherever they stand.
    pub has_stop_strings: bool,
    pub mends: Mends,
    pub calls: messages::Reading,
    pub names: ToolNames,
    /// What becomes of the calls of a provider of the client's own API.
    pub forms: CallForms,
    /// What is kept for later requests of a provider of the chat API for a client of another one.
    pub states: StateFields,
    /// What seals the state of the model's reasoning; without it none is told. Its keys are carried nowhere.
    pub sealer: Option<Rc<Sealer>>,
}

impl DecodeOptions {
    /// How to read the answers of `recipient` to `request` that are made at `now`, the time since 1970.
    pub fn of(recipient: &Recipient<'_>, request: &Ask<'_>, now: Duration) -> Self {
        let provider = recipient.provider;
        match (request.api, provider.dialect) {
            // Tools have the client's own names and schemas there.
            (Api::Messages, dialect @ Dialect::AnthropicMessages) => return Self::plain(dialect, now.as_secs()),
            (Api::Chat | Api::Messages | Api::Gateway, _) => {}
        }
        Self {
            dialect: provider.dialect,
            created: now.as_secs(),
            choices: request.choices(),
            has_stop_strings: has_stop_strings(request),
            mends: Mends::of(&provider.quirks),
            calls: match provider.dialect {
                Dialect::AnthropicMessages => messages::Reading::of(request),
                Dialect::OpenaiChat | Dialect::OpenaiResponses => messages::Reading::default(),
            },
            names: ToolNames::of(request, provider.dialect),
            forms: match provider.dialect {
                Dialect::OpenaiChat => CallForms::of(recipient, request),
                Dialect::AnthropicMessages | Dialect::OpenaiResponses => CallForms::default(),
            },
            states: match provider.dialect {
                Dialect::OpenaiChat => StateFields::of(recipient, request.api),
                Dialect::AnthropicMessages | Dialect::OpenaiResponses => StateFields::default(),
            },
            sealer: None,
        }
    }

    /// How to read answers of a dialect to which nothing needs to be mended; `created` is Unix time.
    pub fn plain(dialect: Dialect, created: u64) -> Self {
        Self {
            dialect,
            created,
            choices: 1,
            has_stop_strings: false,
            mends: Mends::default(),
            calls: messages::Reading::default(),
            names: ToolNames::none(dialect),
            forms: CallForms::default(),
            states: StateFields::default(),
            sealer: None,
        }
    }
}

/// Whether a request in the words of any API has strings that end its answer.
fn has_stop_strings(request: &Ask<'_>) -> bool {
    let given = ["stop", "stop_sequences"].into_iter().filter_map(|name| request.field(name));
    given.into_iter().any(|strings| !says_nothing(strings))
}

/// The body of a whole answer, without a byte order mark, and put right where the provider's row says so, or a tool has
/// another name or form there.
pub fn mend_answer(options: &DecodeOptions, mut body: Vec<u8>) -> Vec<u8> {
    if body.starts_with(BYTE_ORDER_MARK) {
        body.drain(..BYTE_ORDER_MARK.len());
    }
    match options.dialect {
        Dialect::OpenaiChat => chat::mend_answer(options, &body).unwrap_or(body),
        Dialect::AnthropicMessages | Dialect::OpenaiResponses => body,
    }
}

/// The body of a whole answer as a client of the same API gets it, with tokens in place of states; nothing where it is as it came.
pub fn pass_answer(options: &DecodeOptions, body: &[u8]) -> Option<Vec<u8>> {
    match (options.dialect, &options.sealer) {
        (Dialect::AnthropicMessages, Some(sealer)) => messages::seal_answer(sealer, body),
        (Dialect::AnthropicMessages, None) | (Dialect::OpenaiChat | Dialect::OpenaiResponses, _) => None,
    }
}

/// The pieces of a whole answer.
pub fn decode_answer<'a>(options: &DecodeOptions, body: &'a [u8]) -> Result<Vec<Piece<'a>>, Defect> {
    let mut pieces = Vec::new();
    match options.dialect {
        Dialect::OpenaiChat => {
            chat::decode_answer(body, options, &mut pieces)?;
            if let Some(mut keeper) = StateKeeper::new(options) {
                keeper.take(&mut pieces);
            }
        }
        Dialect::AnthropicMessages => messages::decode_answer(body, options, &mut pieces)?,
        Dialect::OpenaiResponses => return Err(Defect::Undecodable),
    }
    Ok(pieces)
}

/// How long a provider asks to be left alone, in its error answer; `now` is the time since 1970.
pub fn asked_delay(headers: &HeaderMap, error: &ProviderError, now: Duration) -> Option<Duration> {
    delay::asked(headers, error.retry_delay, now).or_else(|| messages::reset_delay(headers, now))
}

/// Decodes a streamed answer in any dialect.
#[derive(Debug)]
pub enum Stream {
    OpenaiChat { stream: chat::ChatStream, mender: Option<Box<Mender>>, keeper: Option<Box<StateKeeper>> },
    AnthropicMessages(Box<messages::MessagesStream>),
}

/// The data of an event, put right where the provider's row says so.
#[derive(Debug)]
pub struct EventData<'a> {
    /// Nothing of a comment.
    data: Option<Cow<'a, [u8]>>,
    /// The event as it came, if it is as its dialect has it and nothing else: data, in the Messages API under a name.
    whole: Option<&'a [u8]>,
    is_named_error: bool,
    /// What was held back until the end marker came, in its place.
    is_end: bool,
}

impl Stream {
    /// Nothing if the dialect cannot be read.
    pub fn new(options: &DecodeOptions) -> Option<Self> {
        match options.dialect {
            Dialect::OpenaiChat => {
                let mender = Mender::new(options.mends, &options.names, &options.forms).map(Box::new);
                let keeper = StateKeeper::new(options).map(Box::new);
                Some(Self::OpenaiChat { stream: chat::ChatStream::new(options), mender, keeper })
            }
            Dialect::AnthropicMessages => {
                Some(Self::AnthropicMessages(Box::new(messages::MessagesStream::new(options))))
            }
            Dialect::OpenaiResponses => None,
        }
    }

    pub fn dialect(&self) -> Dialect {
        match self {
            Self::OpenaiChat { .. } => Dialect::OpenaiChat,
            Self::AnthropicMessages(_) => Dialect::AnthropicMessages,
        }
    }

    /// The data of an event, which [`Stream::take`] takes next.
    pub fn data<'a>(&mut self, event: &Event<'a>) -> EventData<'a> {
        let is_named_error = event.is_named_error();
        let is_plain = match self {
            Self::OpenaiChat { .. } => event.is_bare(),
            Self::AnthropicMessages(_) => event.is_named_data(),
        };
        let (mut data, mut whole) = (event.data(), is_plain.then_some(event.raw));
        if let Some(unmarked) = data.as_deref().and_then(|data| data.strip_prefix(BYTE_ORDER_MARK)) {
            // No reader of events drops it here, and no reader of JSON has to.
            (data, whole) = (Some(unmarked.to_vec().into()), None);
        }
        let mender = match self {
            Self::OpenaiChat { mender: Some(mender), .. } if !is_named_error => mender,
            Self::OpenaiChat { .. } | Self::AnthropicMessages(_) => {
                return EventData { data, whole, is_named_error, is_end: false };
            }
        };
        match data.as_deref().and_then(|data| mender.mend(data)) {
            Some(mended) => {
                let is_end = data.is_some_and(|data| chat::is_end(&data));
                EventData { data: Some(mended.into()), whole: None, is_named_error, is_end }
            }
            None => EventData { data, whole, is_named_error, is_end: false },
        }
    }

    /// What is held back of a stream that has ended, as an event of its own, which [`Stream::take`] takes next.
    pub fn rest(&mut self) -> Option<EventData<'static>> {
        let Self::OpenaiChat { mender: Some(mender), .. } = self else { return None };
        let data = Some(mender.rest()?.into());
        Some(EventData { data, whole: None, is_named_error: false, is_end: false })
    }

    /// Takes in one event and appends its pieces to `pieces`. What a provider writes beside data (comments, names, ids) goes
    /// no further than that somebody is there.
    pub fn take<'a>(&mut self, event: &'a EventData<'_>, pieces: &mut Vec<Piece<'a>>) -> Result<Heard, Defect> {
        let Some(data) = event.data.as_deref() else {
            pieces.push(Piece::Alive(Alive::Comment));
            return Ok(Heard::Pieces);
        };
        if event.is_named_error {
            return Err(Defect::Error(error_words::parse_event(data)));
        }
        // Data that begins as JSON is checked where it is read.
        if !data.trim_ascii_start().starts_with(b"{") && std::str::from_utf8(data).is_err() {
            return Err(Defect::Undecodable);
        }
        match self {
            Self::OpenaiChat { stream, keeper, .. } => {
                if event.is_end {
                    stream.note_end();
                }
                let heard = stream.take(data, pieces)?;
                keeper.iter_mut().for_each(|keeper| keeper.take(pieces));
                Ok(heard)
            }
            Self::AnthropicMessages(stream) => stream.take(data, pieces),
        }
    }

    /// Whether every choice has its finish_reason, also one that is held back.
    pub fn is_finished(&self) -> bool {
        match self {
            Self::OpenaiChat { stream, mender, .. } => {
                stream.is_finished(mender.iter().flat_map(|mender| mender.kept_reasons()))
            }
            Self::AnthropicMessages(stream) => stream.is_finished(),
        }
    }

    /// How surely what was said last is the end, if every choice has finished.
    pub fn end(&self) -> EndOfAnswer {
        match self {
            Self::OpenaiChat { stream, mender: None, .. } => stream.end(),
            Self::OpenaiChat { stream, mender: Some(mender), .. } => {
                let end = stream.end();
                // One that is held back came with a part of a call.
                let stood_alone = end.stood_alone && mender.kept_reasons().next().is_none();
                EndOfAnswer { stood_alone, went_on: end.went_on || mender.went_on() }
            }
            Self::AnthropicMessages(stream) => stream.end(),
        }
    }

    /// The event that was taken last, as a client of the same dialect may get it.
    pub fn pass<'e>(&mut self, event: &'e EventData<'_>) -> PassedEvent<'e> {
        let data = event.data.as_deref();
        match self {
            Self::OpenaiChat { .. } => PassedEvent::as_came(event.whole, data),
            Self::AnthropicMessages(stream) if stream.is_withheld() => PassedEvent::as_came(None, None),
            Self::AnthropicMessages(stream) => PassedEvent::new(event.whole, data, stream.take_seen()),
        }
    }

    /// Whether what the provider sends is rewritten, so that no one else can pass it on.
    pub fn is_mended(&self) -> bool {
        match self {
            Self::OpenaiChat { mender, .. } => mender.is_some(),
            Self::AnthropicMessages(stream) => stream.seals(),
        }
    }
}

impl EventData<'_> {
    /// Whether nothing follows, though the event is no end marker.
    pub fn is_end(&self) -> bool {
        self.is_end
    }

    /// The same, of an event that lacks the line which ends it.
    pub fn without_end(self) -> Self {
        Self { whole: None, ..self }
    }
}

/// Where a request goes that `permit` lets go there.
pub fn target(
    provider: &Provider,
    permit: &Permit,
    connect_timeout: Duration,
    between_bytes_timeout: Duration,
) -> Target {
    Target {
        url: provider.base_url.clone(),
        clearance: permit.clearance,
        connect_timeout,
        first_byte_timeout: FIRST_BYTE_TIMEOUT,
        between_bytes_timeout,
        max_connections: provider.max_connections,
        tcp_keepalive: provider.tcp_keepalive,
    }
}
