//! The request's model, or `x-route-model`: a model that is pinned, or the name of a tier. Any other name, as `auto`,
//! is no decision.

use crate::decide::case::Case;
use crate::decide::rung::tier_of_model;
use crate::decide::{Decision, Question, Step, pin};
use crate::error::Error;
use crate::platform::Platform;
use crate::record::DecisionSource;
use crate::visit::Visit;

pub fn decide<P: Platform>(question: &Question<'_>, _: &mut Visit<'_, P>) -> Result<Step, Error> {
    let Case { policy, ask, bounds, .. } = question.case;
    if let Some(model) = pin::find(question)? {
        let tier = pin::tier_of(policy, bounds, model)?;
        return Ok(Step::Decided(Decision { pinned: Some(model), ..Decision::of(tier, DecisionSource::Model) }));
    }
    Ok(match tier_of_model(policy, &ask.model) {
        Some(tier) => Step::Decided(Decision::of(tier, DecisionSource::Model)),
        None => Step::Pass(None),
    })
}
