//! `x-route-tier`: the client names the tier.

use crate::decide::case::Case;
use crate::decide::rung::unknown;
use crate::decide::{Decision, Question, Step, pin};
use crate::error::{Error, Kind};
use crate::platform::Platform;
use crate::policy::Policy;
use crate::policy::rules::Bounds;
use crate::record::DecisionSource;
use crate::visit::Visit;

pub fn decide<P: Platform>(question: &Question<'_>, _: &mut Visit<'_, P>) -> Result<Step, Error> {
    let Case { policy, headers, bounds, .. } = question.case;
    // Without a tier the next rung looks at the pin.
    let Some(name) = &headers.tier else { return Ok(Step::Pass(None)) };
    let pinned = pin::find(question)?;
    let allowed = || allowed_tiers(policy, bounds);
    let tier = policy.tier_named(name).ok_or_else(|| unknown("x-route-tier", name, &allowed()))?;
    if !bounds.allows(tier) {
        let allowed = allowed();
        let message = format!("This key may not use the tier `{name}` here. It may use: {allowed}.");
        return Err(Error::new(Kind::TierNotAllowed, message));
    }
    Ok(Step::Decided(Decision { pinned, ..Decision::of(tier, DecisionSource::Header) }))
}

fn allowed_tiers(policy: &Policy, bounds: &Bounds) -> String {
    let names: Vec<&str> =
        policy.tier_ids().filter(|id| bounds.allows(*id)).map(|id| policy.tier(id).name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
