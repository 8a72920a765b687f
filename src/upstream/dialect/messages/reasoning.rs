//! OpenAI's `reasoning_effort` in the words of a model of the Messages API: effort, thinking, or both.
//!
//! What a model takes is its row in the policy ([`crate::policy::Thinking`]). Thinking within a budget demands that the
//! blocks of earlier thinking come back in a loop of tool calls, and forbids a forced call and a prefill; where they do not come
//! back the model does not think. Where it does not think, the API takes no such blocks either.

use super::wire::{BlockBinding, Display, Thinking};
use crate::policy::{self, Effort, Header, Model};
use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::ask::content::{AskedEffort, Content};
use crate::wire::json::text;

/// The smallest budget that the API takes.
pub const MIN_BUDGET_TOKENS: u64 = 1024;

/// What the policy calls an effort, for one that it demands.
const POLICY_NAME: &str = "reasoning_effort";

/// How a request asks for thinking.
#[derive(Debug, Default)]
pub struct Thought<'a> {
    pub thinking: Option<Thinking>,
    pub effort: Option<&'a str>,
    /// Whether what was thought earlier may go up.
    pub takes_thoughts: bool,
}

/// What else decides about thinking.
pub struct Circumstances {
    pub max_tokens: u64,
    pub forced_call: bool,
    /// Whether the results of calls go up before which there is no thought.
    pub in_thoughtless_loop: bool,
    pub has_prefill: bool,
    pub has_tools: bool,
    /// Whether earlier thoughts come back.
    pub has_thoughts: bool,
    /// Whether clients see the thinking.
    pub shown: bool,
}

/// The beta of the API that knows [`BlockBinding`], without its date.
const BINDING_BETA: &str = "thinking-binding-controls-";

/// What a model is to think, in the words of the API.
pub fn translate<'p>(
    content: &Content<'_>,
    recipient: &Recipient<'p>,
    circumstances: &Circumstances,
    dropped: &mut Dropped,
) -> Thought<'p> {
    let mut thought = ask(content, recipient, circumstances, dropped);
    thought.takes_thoughts = match (recipient.model.thinking, thought.thinking) {
        (policy::Thinking::None, _) | (_, Some(Thinking::Disabled)) => false,
        (policy::Thinking::Always | policy::Thinking::BetweenTools | policy::Thinking::Optional, _) => true,
        (policy::Thinking::Adaptive | policy::Thinking::Budget, thinking) => thinking.is_some(),
    };
    if circumstances.has_thoughts && thought.takes_thoughts && takes_binding(recipient) {
        // A client may have changed its tools, or what was said before, and is not refused for that.
        let block_binding = Some(BlockBinding::DropBlock);
        thought.thinking = Some(match thought.thinking {
            Some(Thinking::Enabled { budget_tokens, .. }) => Thinking::Enabled { budget_tokens, block_binding },
            Some(Thinking::Adaptive { display, .. }) => Thinking::Adaptive { display, block_binding },
            Some(Thinking::Disabled) | None => Thinking::Adaptive { display: None, block_binding },
        });
    }
    thought
}

/// Whether the API can be asked to pass over thoughts that do not belong to the conversation as it is now: the provider's row asks
/// for the beta that lets them be passed over, and excludes no such field.
pub fn takes_binding(recipient: &Recipient<'_>) -> bool {
    let is_named = |row: &Header| row.name.eq_ignore_ascii_case("anthropic-beta") && row.value.contains(BINDING_BETA);
    recipient.provider.headers.iter().any(is_named) && !recipient.lacks("thinking.block_binding")
}

fn ask<'p>(
    content: &Content<'_>,
    recipient: &Recipient<'p>,
    circumstances: &Circumstances,
    dropped: &mut Dropped,
) -> Thought<'p> {
    let Recipient { candidate, model, .. } = *recipient;
    let asked = content.last_effort();
    // The policy may demand what the client does not name.
    let name = asked.map_or(POLICY_NAME, |asked| asked.name);
    let demanded = model.tools_effort.filter(|_| circumstances.has_tools).or(candidate.effort);
    let effort = demanded.or_else(|| asked_effort(asked?, dropped));
    let display = (circumstances.shown && model.thinking_display).then_some(Display::Summarized);
    let summarized = display.map(|display| Thinking::Adaptive { display: Some(display), block_binding: None });
    let mut word = |effort| {
        let word = word(model, effort);
        if word.is_none() {
            dropped.note(name);
        }
        word
    };
    match (model.thinking, effort) {
        (policy::Thinking::None | policy::Thinking::Adaptive | policy::Thinking::Budget, None | Some(Effort::None)) => {
            Thought::default()
        }
        (policy::Thinking::None, Some(_)) => {
            dropped.note(name);
            Thought::default()
        }
        (policy::Thinking::Always | policy::Thinking::BetweenTools | policy::Thinking::Optional, None) => {
            Thought { thinking: summarized, ..Thought::default() }
        }
        (policy::Thinking::Always | policy::Thinking::BetweenTools, Some(Effort::None)) => {
            // It cannot but think, so the least of it is the nearest.
            let effort = if model.efforts.is_some() { word(Effort::None) } else { Some("low") };
            dropped.note(name);
            Thought { thinking: summarized, effort, ..Thought::default() }
        }
        (policy::Thinking::Optional, Some(Effort::None)) => {
            Thought { thinking: Some(Thinking::Disabled), ..Thought::default() }
        }
        (policy::Thinking::Always | policy::Thinking::BetweenTools | policy::Thinking::Optional, Some(effort)) => {
            Thought { thinking: summarized, effort: word(effort), ..Thought::default() }
        }
        (policy::Thinking::Adaptive, Some(effort)) => Thought {
            thinking: Some(Thinking::Adaptive { display, block_binding: None }),
            effort: word(effort),
            ..Thought::default()
        },
        (policy::Thinking::Budget, Some(effort)) => {
            let budget_tokens = budget(effort).min(circumstances.max_tokens / 2);
            let Circumstances { forced_call, in_thoughtless_loop, has_prefill, .. } = *circumstances;
            if forced_call || in_thoughtless_loop || has_prefill || budget_tokens < MIN_BUDGET_TOKENS {
                dropped.note(name);
                return Thought::default();
            }
            Thought { thinking: Some(Thinking::Enabled { budget_tokens, block_binding: None }), ..Thought::default() }
        }
    }
}

/// The client's effort, if it is a known one.
fn asked_effort(asked: AskedEffort<'_>, dropped: &mut Dropped) -> Option<Effort> {
    let word = text(asked.value)?;
    let effort = Effort::ALL.iter().copied().find(|effort| effort.as_str() == word);
    if effort.is_none() {
        dropped.note(asked.name);
    }
    effort
}

/// The provider's word for an effort other than none, if it has one.
pub fn word(model: &Model, effort: Effort) -> Option<&str> {
    if let Some(efforts) = &model.efforts {
        return efforts.iter().find(|(known, _)| *known == effort).map(|(_, word)| word.as_str());
    }
    match effort {
        Effort::None => None,
        Effort::Minimal | Effort::Low => Some("low"),
        Effort::Medium | Effort::High | Effort::Xhigh | Effort::Max => Some(effort.as_str()),
    }
}

pub fn budget(effort: Effort) -> u64 {
    let doublings = match effort {
        Effort::None | Effort::Minimal => 0,
        Effort::Low => 1,
        Effort::Medium => 2,
        Effort::High => 3,
        Effort::Xhigh => 4,
        Effort::Max => 5,
    };
    MIN_BUDGET_TOKENS << doublings
}
