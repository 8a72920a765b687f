//! The translators that the gateway is compared with.

mod bridge;
mod canonical;
mod itself;
mod protocol;
mod switchyard;

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;

use crate::case::Case;
use crate::outcome::{Outcome, Translated};

/// A translator that is not the gateway's, or does something else with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// `llm-bridge-core` from the Rust registry.
    Bridge,
    /// `llm-dialect` from the Rust registry.
    Dialect,
    /// The gateway's own whole answers, as streams.
    Itself,
    /// `llm-protocol` from npm.
    Protocol,
    /// `switchyard-translation` from the Rust registry.
    Switchyard,
}

impl Oracle {
    pub const ALL: [Self; 5] = [Self::Bridge, Self::Dialect, Self::Itself, Self::Protocol, Self::Switchyard];

    /// The name of its package.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "llm-bridge-core",
            Self::Dialect => "llm-dialect",
            Self::Itself => "tiergate",
            Self::Protocol => "llm-protocol",
            Self::Switchyard => "switchyard-translation",
        }
    }

    /// What it makes of each case, in their order.
    pub fn translate(self, cases: &[Case]) -> Vec<Outcome> {
        let translator = match self {
            Self::Bridge => bridge::TRANSLATOR,
            Self::Dialect => canonical::TRANSLATOR,
            Self::Itself => return cases.iter().map(itself::translate).collect(),
            Self::Protocol => return protocol::translate(cases),
            Self::Switchyard => switchyard::TRANSLATOR,
        };
        cases.iter().map(|case| translator.translate(case)).collect()
    }
}

/// A translator that is called in this process.
struct Translator {
    request: fn(&Value) -> Translated,
    answer: fn(&Value) -> Translated,
    stream: fn(&Case) -> Translated,
}

impl Translator {
    fn translate(&self, case: &Case) -> Outcome {
        Outcome {
            request: case.request.as_ref().map(|request| caught(|| (self.request)(request))),
            answer: case.answer.as_ref().map(|answer| caught(|| (self.answer)(answer))),
            stream: case.stream.as_ref().map(|_| caught(|| (self.stream)(case))),
        }
    }
}

/// Another's panic is an outcome as well.
fn caught(translate: impl FnOnce() -> Translated) -> Translated {
    catch_unwind(AssertUnwindSafe(translate)).unwrap_or_else(|_| Err("panicked".to_owned()))
}
