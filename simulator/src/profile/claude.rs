//! The traits of Claude models that decide what a request may ask for, as the documentation of the Messages API has them
//! as of November 2026. What it leaves open is read carefully: refused.

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
    /// What it thought is good only behind the conversation that it thought about.
    pub binds_thinking: bool,
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

impl Claude {
    /// Refuses nothing, and does not think.
    pub const DEFAULT: Self = Self {
        max_output: usize::MAX,
        thinking: Thinking::Any,
        shows_thinking: true,
        forced_tools: ForcedTools::Taken,
        sampling: ClaudeSampling::Taken,
        prefill: true,
        system_turns: true,
        binds_thinking: false,
    };
}
