//! Which tier a request gets: the ladder's rungs that need no call to anyone.
//!
//! The order is that of design.md §6: `x-route-tier`, a model that names a tier or is pinned, a rule, then the classifier
//! (which `pipeline` asks when [`without_asking`] has no decision), then the default. Rules and the client's rights bound
//! every rung: what a client may not demand is a 403, everything else is moved to the nearest tier that is allowed.

pub mod classifier;
pub mod plan;

use crate::admit::auth::Client;
use crate::decide::classifier::Reply;
use crate::door::headers::RouteHeaders;
use crate::error::{Error, Kind};
use crate::mask::keys::without_known_shapes;
use crate::policy::rules::Bounds;
use crate::policy::{Entry, Model, ModelId, Policy, Tier, TierId};
use crate::record::{Reason, Source};
use crate::wire::ask::Ask;

/// A tier, and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub tier: TierId,
    pub source: Source,
    /// The only model that may answer.
    pub pinned: Option<ModelId>,
    pub confidence: Option<f64>,
    pub reasons: Vec<Reason>,
}

/// The decision, where header, model or rule make it.
///
/// # Errors
/// [`Kind::InvalidHeader`] for an unknown tier or model, [`Kind::TierNotAllowed`] and [`Kind::PinNotAllowed`] for what the
/// client may not demand, [`Kind::NoAllowedCandidate`] if it may use no tier at all.
pub fn without_asking(
    policy: &Policy,
    client: &Client,
    headers: &RouteHeaders,
    request: &Ask<'_>,
    bounds: &Bounds,
) -> Result<Option<Decision>, Error> {
    // Whoever may use no tier is told so before anybody is asked.
    bounded(bounds, decision(policy.default_tier, Source::Default))?;
    let pinned = pinned(policy, client, headers, request, bounds)?;
    if let Some(name) = &headers.tier {
        let tier = policy.tier_named(name).ok_or_else(|| unknown_tier(policy, bounds, name))?;
        if !bounds.allows(tier) {
            let allowed = allowed_tiers(policy, bounds);
            let message = format!("This key may not use the tier `{name}` here. It may use: {allowed}.");
            return Err(Error::new(Kind::TierNotAllowed, message));
        }
        return Ok(Some(Decision { pinned, ..decision(tier, Source::Header) }));
    }
    if let Some(model) = pinned {
        let tier = tier_of_pin(policy, bounds, model)?;
        return Ok(Some(Decision { pinned, ..decision(tier, Source::Model) }));
    }
    if let Some(tier) = policy.tier_named(&request.model) {
        return bounded(bounds, decision(tier, Source::Model)).map(Some);
    }
    match &bounds.tier {
        Some((tier, _)) => bounded(bounds, decision(*tier, Source::Rule)).map(Some),
        None => Ok(None),
    }
}

/// What the classifier's reply decides.
pub fn classified(policy: &Policy, bounds: &Bounds, reply: &Reply, min_confidence: f64) -> Result<Decision, Error> {
    if reply.confidence.is_some_and(|confidence| confidence < min_confidence) {
        let unsure = by_default(policy, bounds, Reason::LowConfidence)?;
        return Ok(Decision { confidence: reply.confidence, ..unsure });
    }
    let tier = bounded(bounds, decision(reply.tier, Source::Classifier))?;
    Ok(Decision { confidence: reply.confidence, ..tier })
}

/// The default tier, because of `reason`.
pub fn by_default(policy: &Policy, bounds: &Bounds, reason: Reason) -> Result<Decision, Error> {
    let mut decision = bounded(bounds, decision(policy.default_tier, Source::Default))?;
    decision.reasons.insert(0, reason);
    Ok(decision)
}

fn decision(tier: TierId, source: Source) -> Decision {
    Decision { tier, source, pinned: None, confidence: None, reasons: Vec::new() }
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

/// The model that the client pins: by header, where it must be allowed, or by the request's model, where a name that it
/// may not pin is routed like any other.
fn pinned(
    policy: &Policy,
    client: &Client,
    headers: &RouteHeaders,
    request: &Ask<'_>,
    bounds: &Bounds,
) -> Result<Option<ModelId>, Error> {
    let model = match &headers.model {
        // Whoever may pin nothing learns no names, not even which of them there are.
        Some(_) if !client.may_pin => {
            return Err(Error::new(Kind::PinNotAllowed, "This key may not pin models, by x-route-model or otherwise."));
        }
        Some(name) => policy.model_named(name).ok_or_else(|| unknown_model(policy, bounds, name))?,
        None => match policy.model_named(&request.model).filter(|_| client.may_pin) {
            Some(model) => model,
            None => return Ok(None),
        },
    };
    if !bounds.allows_provider(policy.model(model).provider) {
        let name = &policy.model(model).name;
        let message =
            format!("This key may not pin the model `{name}` here: a rule of the policy excludes its provider.");
        return Err(Error::new(Kind::PinNotAllowed, message));
    }
    tier_of_pin(policy, bounds, model).map(|_| Some(model))
}

/// The cheapest allowed tier that lists `model`. A model that no tier lists runs under the default tier's deadlines, if
/// the client is bounded to no tiers.
fn tier_of_pin(policy: &Policy, bounds: &Bounds, model: ModelId) -> Result<TierId, Error> {
    let mut listing = policy.tier_ids().filter(|id| lists(policy.tier(*id), model)).peekable();
    let tier = match listing.peek() {
        Some(_) => listing.find(|id| bounds.allows(*id)),
        None => policy.tier_ids().all(|id| bounds.allows(id)).then_some(policy.default_tier),
    };
    tier.ok_or_else(|| {
        let Model { name, .. } = policy.model(model);
        let message = format!("This key may not pin the model `{name}` here: none of its tiers is allowed.");
        Error::new(Kind::PinNotAllowed, message)
    })
}

fn lists(tier: &Tier, model: ModelId) -> bool {
    tier.candidates.iter().any(|entry| match entry {
        Entry::One(candidate) => candidate.model == model,
        Entry::Split(members) => members.iter().any(|member| member.candidate.model == model),
    })
}

/// The models that a client who may pin can pin within `bounds`.
pub fn pinnable<'a>(policy: &'a Policy, bounds: &Bounds) -> impl Iterator<Item = &'a Model> {
    policy.models.iter().filter(move |model| {
        let is_allowed = |id| tier_of_pin(policy, bounds, id).is_ok();
        bounds.allows_provider(model.provider) && policy.model_named(&model.name).is_some_and(is_allowed)
    })
}

fn unknown_tier(policy: &Policy, bounds: &Bounds, name: &str) -> Error {
    unknown("x-route-tier", name, &allowed_tiers(policy, bounds))
}

fn unknown_model(policy: &Policy, bounds: &Bounds, name: &str) -> Error {
    let valid: Vec<&str> = pinnable(policy, bounds).map(|model| model.name.as_str()).collect();
    unknown("x-route-model", name, &if valid.is_empty() { "none".to_owned() } else { valid.join(", ") })
}

fn unknown(header: &str, name: &str, valid: &str) -> Error {
    // The name is the client's own text, so it is bounded before it is quoted.
    let name = without_known_shapes(name, 64);
    Error::new(Kind::InvalidHeader, format!("The header {header} names `{name}`; valid for this key here: {valid}."))
}

fn allowed_tiers(policy: &Policy, bounds: &Bounds) -> String {
    let names: Vec<&str> =
        policy.tier_ids().filter(|id| bounds.allows(*id)).map(|id| policy.tier(id).name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
