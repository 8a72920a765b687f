//! Which tier a request gets: a ladder of rungs, asked in order until one decides.
//!
//! A rung decides, passes with a reason, or refuses. Rules and the client's rights bound every rung's result: what a client may
//! not demand is a 403, everything else is moved to the nearest tier that is allowed. Where all pass the policy's default tier
//! serves, so that nothing that goes wrong on the way, such as a classifier that does not answer, fails a request.

pub mod case;
pub mod classifier;
mod conversation;
pub mod pin;
pub mod plan;
pub mod rung;

use crate::decide::case::Case;
use crate::error::{Error, Kind};
use crate::platform::Platform;
use crate::policy::rules::Bounds;
use crate::policy::{ModelId, Policy, TierId};
use crate::record::{DecisionSource, Reason};
use crate::visit::Visit;

/// A tier, and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub tier: TierId,
    pub source: DecisionSource,
    /// The only model that may answer.
    pub pinned: Option<ModelId>,
    /// How sure the classifier is, 0 to 1; nothing if it did not decide or does not say.
    pub confidence: Option<f64>,
    pub reasons: Vec<Reason>,
}

/// What the rungs are asked.
pub struct Question<'a> {
    pub case: &'a Case<'a>,
    pub classifier: ClassifierUse,
    /// What is done with a first guess while the classifier is thinking.
    pub meanwhile: &'a dyn Fn(&Decision),
}

/// Whether the classifier may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassifierUse {
    Asked,
    Skipped,
}

/// What a rung says.
#[derive(Debug)]
pub enum Step {
    Decided(Decision),
    /// The next rung is asked. The reason, if there is one, is told with the decision.
    Pass(Option<Passed>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    pub reason: Reason,
    /// How sure a classifier was that was not sure enough.
    pub confidence: Option<f64>,
}

impl Passed {
    /// A rung passes for this reason.
    pub fn because(reason: Reason) -> Step {
        Step::Pass(Some(Passed { reason, confidence: None }))
    }
}

/// A way to decide.
///
/// # Errors
/// What the client may not demand, and what it names that is not there.
pub type Rung<P> = fn(&Question<'_>, &mut Visit<'_, P>) -> Result<Step, Error>;

/// The rungs in the order in which they are asked; below the last is the default. The places of affinity, signals and a
/// decision cache are before the classifier.
fn ladder<P: Platform>() -> [Rung<P>; 4] {
    [rung::header::decide, rung::model::decide, rung::rule::decide, rung::classifier::decide]
}

/// The decision of the first rung that makes one.
///
/// # Errors
/// [`Kind::InvalidHeader`] for an unknown tier or model, [`Kind::TierNotAllowed`] and [`Kind::PinNotAllowed`] for what the
/// client may not demand, [`Kind::NoAllowedCandidate`] if it may use no tier at all.
pub fn decide<P: Platform>(question: &Question<'_>, visit: &mut Visit<'_, P>) -> Result<Decision, Error> {
    // Whoever may use no tier is told so before anybody is asked.
    let default = by_default(question.case.policy, &question.case.bounds)?;
    let mut passed = Vec::new();
    for rung in ladder() {
        match rung(question, visit)? {
            Step::Decided(decision) => return Ok(with_passed(bounded(&question.case.bounds, decision)?, &passed)),
            Step::Pass(why) => passed.extend(why),
        }
    }
    Ok(with_passed(default, &passed))
}

/// The default tier, as far as the bounds allow it.
///
/// # Errors
/// [`Kind::NoAllowedCandidate`] if they allow none.
pub fn by_default(policy: &Policy, bounds: &Bounds) -> Result<Decision, Error> {
    bounded(bounds, Decision::of(policy.default_tier, DecisionSource::Default))
}

impl Decision {
    /// A tier from a source, and nothing more.
    pub fn of(tier: TierId, source: DecisionSource) -> Self {
        Decision { tier, source, pinned: None, confidence: None, reasons: Vec::new() }
    }
}

/// The decision with the reasons why earlier rungs made none.
fn with_passed(decision: Decision, passed: &[Passed]) -> Decision {
    let reasons = passed.iter().map(|passed| passed.reason).chain(decision.reasons.iter().copied()).collect();
    let confidence = decision.confidence.or_else(|| passed.iter().find_map(|passed| passed.confidence));
    Decision { reasons, confidence, ..decision }
}

/// `decision`, moved into the bounds if it lies outside.
fn bounded(bounds: &Bounds, decision: Decision) -> Result<Decision, Error> {
    let Some(tier) = bounds.clamp(decision.tier) else {
        let message = "This key may use no tier here: its own tiers and the policy's rules exclude each other.";
        return Err(Error::new(Kind::NoAllowedCandidate, message));
    };
    let moved = (tier != decision.tier).then_some(Reason::TierBounded);
    Ok(Decision { tier, reasons: decision.reasons.into_iter().chain(moved).collect(), ..decision })
}
