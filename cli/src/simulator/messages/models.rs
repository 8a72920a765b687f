//! The traits of Claude models that decide what a request may ask for, as the documentation of the Messages API has them
//! as of November 2026. What it leaves open is read carefully: refused.

use crate::simulator::profile::{Model, Sampling, Tools};

/// What only the Messages dialect asks of a model. The default refuses nothing and does not think.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claude {
    pub max_output: usize,
    pub thinking: Thinking,
    /// Thinking comes as text unless the request says otherwise; else it is empty unless the request asks for it.
    pub shows_thinking: bool,
    pub forced_tools: ForcedTools,
    pub sampling: ClaudeSampling,
    /// An assistant message at the end is gone on with.
    pub prefill: bool,
    /// Messages may have the role `system`.
    pub system_turns: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// Only if asked for, in whatever way.
    Any,
    /// Neither `disabled` nor a budget is taken.
    Always,
    /// As `Always`; `between_tools` is taken too.
    AlwaysOrBetweenTools,
    /// On unless disabled, which at these efforts it may be; no budget.
    Default {
        disabled_at: &'static [&'static str],
    },
    /// Off unless `adaptive`; no budget.
    Adaptive,
    AdaptiveOrBudget,
    Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForcedTools {
    Taken,
    NotWithBudget,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaudeSampling {
    Taken,
    /// `temperature` or `top_p`, not both.
    One,
    /// Only values that change nothing.
    Defaults,
}

pub const DEFAULT: Claude = Claude {
    max_output: usize::MAX,
    thinking: Thinking::Any,
    shows_thinking: true,
    forced_tools: ForcedTools::Taken,
    sampling: ClaudeSampling::Taken,
    prefill: true,
    system_turns: true,
};

const UP_TO_HIGH: &[&str] = &["low", "medium", "high"];
const WITHOUT_XHIGH: &[&str] = &["low", "medium", "high", "max"];
const ALL: &[&str] = &["low", "medium", "high", "xhigh", "max"];

/// Models of version 5 and later.
const FIVE: Claude = Claude {
    max_output: 128_000,
    thinking: Thinking::Always,
    shows_thinking: false,
    forced_tools: ForcedTools::Taken,
    sampling: ClaudeSampling::Defaults,
    prefill: false,
    system_turns: true,
};
/// Versions 4.7 and 4.8.
const FOUR_EIGHT: Claude = Claude { thinking: Thinking::Adaptive, ..FIVE };
const FOUR_SIX: Claude = Claude {
    thinking: Thinking::AdaptiveOrBudget,
    shows_thinking: true,
    forced_tools: ForcedTools::NotWithBudget,
    sampling: ClaudeSampling::One,
    system_turns: false,
    ..FIVE
};
const FOUR_FIVE: Claude = Claude {
    max_output: 64_000,
    thinking: Thinking::Budget,
    sampling: ClaudeSampling::Taken,
    prefill: true,
    ..FOUR_SIX
};

const REFUSES_FORCING: Claude = Claude { forced_tools: ForcedTools::Refused, ..FIVE };

pub fn models() -> Vec<Model> {
    let model = |id: &str, context_tokens, efforts, claude| Model {
        id: id.to_owned(),
        context_tokens,
        efforts,
        tools: Tools::Always,
        sampling: Sampling::Free,
        claude,
    };
    let large = |id, claude| model(id, 1_000_000, ALL, claude);
    let between_tools = Claude { thinking: Thinking::AlwaysOrBetweenTools, ..REFUSES_FORCING };
    let up_to_high = Claude { thinking: Thinking::Default { disabled_at: UP_TO_HIGH }, ..FIVE };
    let any_effort = Claude { thinking: Thinking::Default { disabled_at: ALL }, system_turns: false, ..FIVE };
    vec![
        large("claude-opus-5-5", REFUSES_FORCING),
        large("claude-sonnet-5-5", between_tools),
        model("claude-haiku-5-5", 200_000, ALL, up_to_high),
        large("claude-fable-5-2", REFUSES_FORCING),
        large("claude-fable-5-1", REFUSES_FORCING),
        large("claude-fable-5", FIVE),
        large("claude-opus-5", up_to_high),
        large("claude-sonnet-5", any_effort),
        large("claude-opus-4-8", FOUR_EIGHT),
        large("claude-opus-4-7", Claude { system_turns: false, ..FOUR_EIGHT }),
        model("claude-opus-4-6", 1_000_000, WITHOUT_XHIGH, FOUR_SIX),
        model("claude-sonnet-4-6", 1_000_000, WITHOUT_XHIGH, FOUR_SIX),
        model("claude-opus-4-5", 200_000, UP_TO_HIGH, FOUR_FIVE),
        model("claude-sonnet-4-5", 200_000, &[], FOUR_FIVE),
        model("claude-haiku-4-5", 200_000, &[], FOUR_FIVE),
    ]
}
