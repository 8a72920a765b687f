//! The first matching rule of the policy that names a tier.

use crate::decide::{Decision, Question, Step};
use crate::error::Error;
use crate::platform::Platform;
use crate::record::DecisionSource;
use crate::visit::Visit;

pub fn decide<P: Platform>(question: &Question<'_>, _: &mut Visit<'_, P>) -> Result<Step, Error> {
    Ok(match &question.case.bounds.tier {
        Some((tier, _)) => Step::Decided(Decision::of(*tier, DecisionSource::Rule)),
        None => Step::Pass(None),
    })
}
