//! The one model that a client demands: whether it may, and which tier's deadlines hold then.

use crate::decide::Question;
use crate::decide::case::Case;
use crate::decide::rung::unknown;
use crate::error::{Error, Kind};
use crate::policy::rules::Bounds;
use crate::policy::{Entry, Model, ModelId, Policy, Tier, TierId};

/// The model that the client pins: by header, where it must be allowed, or by the request's model, where a name that it
/// may not pin is routed like any other.
///
/// # Errors
/// [`Kind::InvalidHeader`] for a model that is not there, [`Kind::PinNotAllowed`].
pub fn find(question: &Question<'_>) -> Result<Option<ModelId>, Error> {
    let Case { policy, client, headers, ask, bounds, .. } = question.case;
    let model = match &headers.model {
        // Whoever may pin nothing learns no names, not even which of them there are.
        Some(_) if !client.may_pin => {
            return Err(Error::new(Kind::PinNotAllowed, "This key may not pin models, by x-route-model or otherwise."));
        }
        Some(name) => policy.model_named(name).ok_or_else(|| unknown_model(policy, bounds, name))?,
        None => match policy.model_named(&ask.model).filter(|_| client.may_pin) {
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
    tier_of(policy, bounds, model).map(|_| Some(model))
}

/// The cheapest allowed tier that lists `model`. A model that no tier lists runs under the default tier's deadlines, if
/// the client is bounded to no tiers.
pub fn tier_of(policy: &Policy, bounds: &Bounds, model: ModelId) -> Result<TierId, Error> {
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
    let is_pinnable =
        |id: &ModelId| bounds.allows_provider(policy.model(*id).provider) && tier_of(policy, bounds, *id).is_ok();
    policy.model_ids().filter(is_pinnable).map(|id| policy.model(id))
}

fn unknown_model(policy: &Policy, bounds: &Bounds, name: &str) -> Error {
    let valid: Vec<&str> = pinnable(policy, bounds).map(|model| model.name.as_str()).collect();
    unknown("x-route-model", name, &if valid.is_empty() { "none".to_owned() } else { valid.join(", ") })
}
