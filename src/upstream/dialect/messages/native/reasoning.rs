//! Thinking and effort of a client that speaks this API itself: as the client asks for them, but for what the policy demands and
//! for what the model's row says it does not take.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::history::Thoughts;
use crate::policy::{self, Effort};
use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ObjectEdit, OpenedObject};
use crate::upstream::dialect::messages::reasoning::{MIN_BUDGET_TOKENS, budget, word};
use crate::wire::ask::Ask;
use crate::wire::containers::{found_valid, members_named};
use crate::wire::json::{field, is_null, quoted, text, whole};

/// How the client asks for thinking.
pub const THINKING: &str = "thinking";
/// Where it says how much, and what form the answer is to have.
pub const OUTPUT_CONFIG: &str = "output_config";

/// Whether the client's efforts do not reach the model: it takes none, or the policy demands another.
pub fn replaces_efforts(ask: &Ask<'_>, recipient: &Recipient<'_>) -> bool {
    demanded(ask, recipient).is_some() || takes_none(recipient)
}

/// The effort that the policy demands.
fn demanded(ask: &Ask<'_>, recipient: &Recipient<'_>) -> Option<Effort> {
    recipient.model.tools_effort.filter(|_| ask.features.has_tools).or(recipient.candidate.effort)
}

/// Whether the model has no words for efforts.
fn takes_none(recipient: &Recipient<'_>) -> bool {
    let model = recipient.model;
    model.efforts.is_none() && matches!(model.thinking, policy::Thinking::None | policy::Thinking::Budget)
}
const EFFORT: &str = "output_config.effort";
const FORMAT: &str = "output_config.format";
/// Where `thinking` says what becomes of thoughts that do not belong to the conversation as it is now.
const BINDING: &str = "block_binding";
/// They are passed over.
const DROP_BLOCK: &str = r#"{"prefix_mismatch_behavior":"drop_block"}"#;
/// The thinking of a model that thinks by itself.
const BY_ITSELF: &str = r#"{"type":"adaptive"}"#;

/// What goes up for a field.
#[derive(Debug, PartialEq)]
pub enum Sent<'x> {
    /// What the client gave, if anything.
    AsItCame,
    Nothing,
    Value(Cow<'x, str>),
}

impl Sent<'_> {
    /// What goes up in place of the client's.
    pub fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::AsItCame | Self::Nothing => None,
            Self::Value(value) => Some(Cow::Borrowed(value)),
        }
    }
}

/// What goes up for the client's thinking and effort.
pub struct Reasoning<'x> {
    pub thinking: Sent<'x>,
    pub output_config: Sent<'x>,
    pub thoughts: Thoughts,
    /// Whether the model thinks though the client does not ask for it.
    pub thinks_unasked: bool,
}

/// What else decides about thinking.
#[derive(Clone, Copy)]
pub struct Circumstances {
    /// The limit on the answer.
    pub max_tokens: u64,
    /// Whether the limit is less than the client's.
    pub is_clamped: bool,
    /// Whether the client demands a call.
    pub forced_call: bool,
    /// Whether the answer has begun.
    pub has_begun: bool,
    /// Whether the results of calls go up before which there is no thought.
    pub in_thoughtless_loop: bool,
}

/// How a model is asked to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Unasked,
    Disabled,
    Adaptive,
    Enabled,
    /// Only between calls of tools.
    BetweenTools,
    /// In a way that nobody here knows.
    Other,
}

/// The client's `thinking`.
struct Asked<'x> {
    mode: Mode,
    budget: Option<u64>,
    display: Option<&'x RawValue>,
}

impl<'x> Asked<'x> {
    fn of(ask: &Ask<'x>) -> Self {
        let names = ["type", "budget_tokens", "display"];
        let [kind, budget, display] =
            ask.field(THINKING).and_then(|thinking| members_named(thinking, &names)).unwrap_or_default();
        let mode = match kind.and_then(text).as_deref() {
            None => Mode::Unasked,
            Some("disabled") => Mode::Disabled,
            Some("adaptive") => Mode::Adaptive,
            Some("enabled") => Mode::Enabled,
            Some("between_tools") => Mode::BetweenTools,
            Some(_) => Mode::Other,
        };
        Self { mode, budget: budget.and_then(whole), display }
    }

    /// The same in another mode.
    fn in_mode(&self, mode: Mode, budget: u64) -> Sent<'x> {
        let display = self.display.map_or_else(String::new, |display| format!(r#","display":{}"#, display.get()));
        match mode {
            Mode::Unasked | Mode::Other => Sent::Nothing,
            Mode::BetweenTools => Sent::Value(r#"{"type":"between_tools"}"#.into()),
            Mode::Disabled => Sent::Value(r#"{"type":"disabled"}"#.into()),
            Mode::Adaptive => Sent::Value(format!(r#"{{"type":"adaptive"{display}}}"#).into()),
            Mode::Enabled => Sent::Value(format!(r#"{{"type":"enabled","budget_tokens":{budget}{display}}}"#).into()),
        }
    }
}

/// Decides about thinking and effort.
pub fn settle<'x>(
    ask: &Ask<'x>,
    recipient: &Recipient<'_>,
    circumstances: &Circumstances,
    dropped: &mut Dropped,
) -> Reasoning<'x> {
    let demanded = demanded(ask, recipient);
    let asked = Asked::of(ask);
    let thinks = recipient.model.thinking;
    let wished = match (demanded, asked.mode) {
        (None, mode) => mode,
        (Some(Effort::None), _) => Mode::Disabled,
        (Some(_), Mode::Unasked | Mode::Disabled) => match thinks {
            policy::Thinking::Adaptive | policy::Thinking::Budget => Mode::Adaptive,
            policy::Thinking::None
            | policy::Thinking::Always
            | policy::Thinking::BetweenTools
            | policy::Thinking::Optional => Mode::Unasked,
        },
        (Some(_), mode @ (Mode::Adaptive | Mode::Enabled | Mode::BetweenTools | Mode::Other)) => mode,
    };
    let mode = mode(thinks, wished, demanded);
    let effort = effort_of(ask, recipient, demanded, dropped);
    let tokens = budget_tokens(&asked, demanded.or(effort.asked), circumstances);
    let is_impossible = mode == Mode::Enabled && (circumstances.forbid_a_budget(asked.mode) || tokens.is_none());
    let mode = if is_impossible { Mode::Unasked } else { mode };
    let tokens = tokens.unwrap_or_default();
    let keeps_budget = mode != Mode::Enabled || demanded.is_none() && asked.budget == Some(tokens);
    let thinking = match mode == asked.mode && keeps_budget {
        true => Sent::AsItCame,
        false => asked.in_mode(mode, tokens),
    };
    let was_lost = matches!(
        (asked.mode, mode),
        (Mode::Enabled | Mode::Adaptive | Mode::BetweenTools, Mode::Unasked | Mode::Disabled)
    );
    let is_refused = asked.mode == Mode::Disabled && mode == Mode::Unasked && demanded.is_none();
    // More is thought than the client asks for, or not as it asks for it.
    let is_weaker = matches!(
        (asked.mode, mode),
        (Mode::Enabled, Mode::Adaptive) | (Mode::BetweenTools, Mode::Adaptive | Mode::Enabled)
    );
    if was_lost || is_refused || is_weaker {
        dropped.note(THINKING);
    }
    let thoughts = match (thinks, mode) {
        (policy::Thinking::None, _) => Thoughts::LeftOut,
        // The API refuses a thought in the last answer of a model that is not to think on.
        (policy::Thinking::Adaptive | policy::Thinking::Budget, Mode::Unasked)
        | (policy::Thinking::Adaptive | policy::Thinking::Budget | policy::Thinking::Optional, Mode::Disabled) => {
            Thoughts::LeftOut
        }
        _ => Thoughts::Sent,
    };
    let thinks = |mode| matches!(mode, Mode::Adaptive | Mode::Enabled | Mode::BetweenTools);
    let thinks_unasked = thinks(mode) && !thinks(asked.mode);
    let output_config = output_config(ask, effort.sent, circumstances, dropped);
    Reasoning { thinking, output_config, thoughts, thinks_unasked }
}

/// A client may have changed its tools, or what was said before, and is not refused for that: this thinking, such that thoughts
/// about another conversation are passed over. What the client itself says of that stays, and so does what nobody here knows.
pub fn bound(thinking: Option<Cow<'_, str>>) -> Cow<'_, str> {
    let thinking = thinking.filter(|thinking| thinking != "null").unwrap_or(Cow::Borrowed(BY_ITSELF));
    let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(found_valid(&thinking)) else { return thinking };
    let is_known = matches!(field(&fields, "type").and_then(text).as_deref(), Some("adaptive" | "enabled"));
    if !is_known || field(&fields, BINDING).is_some_and(|own| !is_null(own)) {
        return thinking;
    }
    for field in &fields {
        edit.put(field, field.value.get().into());
    }
    edit.add(BINDING, DROP_BLOCK.to_owned());
    Cow::Owned(edit.finish().into_owned())
}

/// The mode in which a model thinks that is wished to think so.
fn mode(thinks: policy::Thinking, wished: Mode, demanded: Option<Effort>) -> Mode {
    match (thinks, wished) {
        (policy::Thinking::None, Mode::Adaptive | Mode::Enabled | Mode::BetweenTools) => Mode::Unasked,
        (policy::Thinking::Always | policy::Thinking::BetweenTools, Mode::Disabled) => Mode::Unasked,
        (policy::Thinking::BetweenTools, Mode::BetweenTools) => Mode::BetweenTools,
        (
            policy::Thinking::Always
            | policy::Thinking::BetweenTools
            | policy::Thinking::Optional
            | policy::Thinking::Adaptive,
            Mode::Enabled | Mode::BetweenTools,
        ) => Mode::Adaptive,
        (policy::Thinking::Budget, Mode::Adaptive | Mode::BetweenTools) => Mode::Enabled,
        // These do not think unless they are asked to.
        (policy::Thinking::None | policy::Thinking::Adaptive | policy::Thinking::Budget, Mode::Disabled)
            if demanded.is_some() =>
        {
            Mode::Unasked
        }
        (_, mode) => mode,
    }
}

impl Circumstances {
    /// Whether a model cannot think within a budget, which the client asks for in this mode. A client cannot know whose calls
    /// came without a thought; whether it demands a call is its own affair, and what it puts so the provider's to judge.
    fn forbid_a_budget(&self, asked: Mode) -> bool {
        self.has_begun || self.forced_call && asked != Mode::Enabled || self.in_thoughtless_loop
    }
}

/// How many tokens a model may think for that thinks within a budget; nothing if there are too few.
fn budget_tokens(asked: &Asked<'_>, effort: Option<Effort>, circumstances: &Circumstances) -> Option<u64> {
    let most = circumstances.max_tokens / 2;
    let tokens = match (asked.mode, asked.budget) {
        (Mode::Enabled, Some(tokens)) if circumstances.is_clamped && tokens >= circumstances.max_tokens => most,
        // What the client gives is the provider's to judge.
        (Mode::Enabled, Some(tokens)) => return Some(tokens),
        _ => budget(effort.unwrap_or(Effort::High)).min(most),
    };
    (tokens >= MIN_BUDGET_TOKENS).then_some(tokens)
}

/// What becomes of the effort.
struct EffortSent {
    /// What the client asks for, if that is an effort.
    asked: Option<Effort>,
    sent: Word,
}

/// The word that goes up for an effort.
#[derive(PartialEq)]
enum Word {
    AsItCame,
    Nothing,
    Other(String),
}

fn effort_of(ask: &Ask<'_>, recipient: &Recipient<'_>, demanded: Option<Effort>, dropped: &mut Dropped) -> EffortSent {
    let model = recipient.model;
    let given = ask.field(OUTPUT_CONFIG).and_then(|config| members_named(config, &["effort"])?[0]);
    let given = given.and_then(text);
    let asked = Effort::ALL.iter().copied().find(|effort| Some(effort.as_str()) == given.as_deref());
    let is_theirs = |word: &str| model.efforts.iter().flatten().any(|(_, theirs)| theirs == word);
    let word = |effort| match (model.thinking, effort) {
        (policy::Thinking::Always | policy::Thinking::BetweenTools, Effort::None) if model.efforts.is_none() => {
            Some("low")
        }
        (_, Effort::None) if model.efforts.is_none() => None,
        (_, effort) => word(model, effort),
    };
    let sent = match (demanded.or(asked), given.as_deref()) {
        // Its effort is its budget, or nothing.
        _ if takes_none(recipient) => given.as_ref().map_or(Word::AsItCame, |_| Word::Nothing),
        (_, Some(given)) if demanded.is_none() && (model.efforts.is_none() || is_theirs(given)) => Word::AsItCame,
        (None, None) => Word::AsItCame,
        (Some(effort), given) => match word(effort) {
            Some(word) if Some(word) == given => Word::AsItCame,
            Some(word) => Word::Other(word.to_owned()),
            None => given.map_or(Word::AsItCame, |_| Word::Nothing),
        },
        (None, Some(_)) => Word::Nothing,
    };
    let is_asked = demanded.is_none() || demanded == asked;
    let is_budget = model.thinking == policy::Thinking::Budget && demanded.is_none();
    if given.is_some() && (!is_asked || sent == Word::Nothing && !is_budget) {
        dropped.note(EFFORT);
    }
    EffortSent { asked, sent }
}

fn output_config<'x>(ask: &Ask<'x>, effort: Word, circumstances: &Circumstances, dropped: &mut Dropped) -> Sent<'x> {
    let Some(config) = ask.field(OUTPUT_CONFIG) else {
        return match effort {
            Word::Other(word) => Sent::Value(format!(r#"{{"effort":{}}}"#, quoted(&word)).into()),
            Word::AsItCame | Word::Nothing => Sent::AsItCame,
        };
    };
    let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(config) else { return Sent::AsItCame };
    let mut kept = 0;
    for field in &fields {
        match (field.name.as_ref(), &effort) {
            ("effort", Word::Nothing) => edit.leave(),
            ("effort", Word::Other(word)) => {
                kept += 1;
                edit.put(field, quoted(word).into());
            }
            // The API keeps no form where it goes on with an answer.
            ("format", _) if circumstances.has_begun => edit.lose(field, format_args!("{FORMAT}"), dropped),
            _ => {
                kept += 1;
                edit.put(field, field.value.get().into());
            }
        }
    }
    if let Word::Other(word) = effort
        && !fields.iter().any(|field| field.name == "effort")
    {
        kept += 1;
        edit.add("effort", quoted(&word));
    }
    match edit.finish() {
        Cow::Borrowed(_) => Sent::AsItCame,
        Cow::Owned(_) if kept == 0 => Sent::Nothing,
        changed @ Cow::Owned(_) => Sent::Value(changed),
    }
}
