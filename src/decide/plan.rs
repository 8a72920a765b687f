//! Which candidates may answer, in which order.
//!
//! Candidates that cannot carry the request, or that a rule forbids, are dropped before anything is ranked. If that
//! empties the decided tier, the next more capable tier serves, else the nearest below, and a reason says why. Of those that are left
//! the one comes first that made the calls whose results the request brings: history, prompt cache and reasoning belong to it.

use std::cell::LazyCell;

use crate::decide::{Decision, conversation};
use crate::error::{Error, Incapacity, Kind};
use crate::policy::rules::Bounds;
use crate::policy::{Candidate, Entry, Model, ModelId, Policy, TierId, VIDEO_PART, Weighted};
use crate::record::Reason;
use crate::wire::ask::Ask;
use crate::wire::call_tag::Origin;

/// The candidates of one tier, best first; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The tier that serves, which may not be the one decided.
    pub tier: TierId,
    pub candidates: Vec<Candidate>,
    /// Whether the first one is that only because it made the calls whose results the request brings.
    pub keeps_maker: bool,
    pub reasons: Vec<Reason>,
}

/// Who asks for what, within which bounds.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub client: &'a str,
    pub ask: &'a Ask<'a>,
    /// Which model made the calls whose results the request brings, if that is known.
    pub maker: Option<Origin>,
    pub bounds: &'a Bounds,
    pub length: Length,
}

/// Whether a candidate's context has to hold the request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Fits,
    Any,
}

/// Makes the plan.
///
/// # Errors
/// [`Kind::NoCapableCandidate`] that names what no candidate can carry, [`Kind::NoAllowedCandidate`] if rules forbid
/// those that could.
pub fn plan(policy: &Policy, decision: &Decision, wish: &Wish<'_>) -> Result<Plan, Error> {
    let Wish { client, ask, maker, bounds, length: _ } = *wish;
    let features = &ask.features;
    let conversation = LazyCell::new(|| conversation::number(client, ask));
    let mut reasons = Vec::new();
    if let Some(model) = decision.pinned {
        return match misfit(policy, policy.model(model), wish) {
            None => {
                let candidates = vec![Candidate { model, effort: None }];
                Ok(Plan { tier: decision.tier, candidates, keeps_maker: false, reasons })
            }
            Some(reason) => Err(incapable(&[reason], ask, [policy.model(model)])),
        };
    }
    let tiers = || tiers_to_try(policy, decision.tier).filter(|tier| bounds.allows(*tier));
    for tier in tiers() {
        let entries = &policy.tier(tier).candidates;
        let fits = |candidate: &Candidate| {
            let model = policy.model(candidate.model);
            match misfit(policy, model, wish) {
                Some(reason) => Err(reason),
                None if bounds.allows_provider(model.provider) => Ok(()),
                None => Err(Reason::ProviderNotAllowed),
            }
        };
        let mut candidates = Vec::new();
        for entry in entries {
            let draw = |members: &[&Weighted]| conversation::draw(policy, members, *conversation);
            candidates.extend(fitting(entry, &draw, &fits, &mut reasons));
        }
        let (strong, weak): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|candidate| !features.forced_tools || policy.model(candidate.model).forced_tools);
        if strong.is_empty() && !weak.is_empty() {
            reasons.push(Reason::ForcedToolsWeaker);
        }
        let mut candidates = if strong.is_empty() { weak } else { strong };
        if !candidates.is_empty() {
            // Candidates that were dropped from the tier that serves are of no interest.
            if tier == decision.tier {
                reasons.retain(|reason| *reason == Reason::ForcedToolsWeaker);
            }
            let keeps_maker = maker.is_some_and(|maker| lead(policy, &mut candidates, maker));
            return Ok(Plan { tier, candidates, keeps_maker, reasons });
        }
    }
    let models = tiers().flat_map(|tier| policy.tier(tier).candidates.iter().flat_map(models));
    Err(incapable(&reasons, ask, models.map(|model| policy.model(model))))
}

/// Puts the first candidate that `maker` names before all others, and says whether that changed their order.
fn lead(policy: &Policy, candidates: &mut [Candidate], maker: Origin) -> bool {
    let place = candidates.iter().position(|candidate| Origin::of_model(policy, candidate.model) == maker);
    let Some(before) = place.and_then(|place| candidates.get_mut(..=place)) else { return false };
    before.rotate_right(1);
    before.len() > 1
}

/// The decided tier, the more capable ones, then the nearest below.
fn tiers_to_try(policy: &Policy, decided: TierId) -> impl Iterator<Item = TierId> {
    let above = policy.tier_ids().filter(move |tier| *tier >= decided);
    let below = policy.tier_ids().rev().filter(move |tier| *tier < decided);
    above.chain(below)
}

/// The models of an entry.
fn models(entry: &Entry) -> impl Iterator<Item = ModelId> {
    let (one, members) = match entry {
        Entry::One(candidate) => (Some(candidate), &[][..]),
        Entry::Split(members) => (None, &members[..]),
    };
    one.into_iter().chain(members.iter().map(|member| &member.candidate)).map(|candidate| candidate.model)
}

/// The entry's candidates that fit: of a split the drawn one first, then its siblings.
fn fitting(
    entry: &Entry,
    draw: &dyn Fn(&[&Weighted]) -> Option<usize>,
    fits: &impl Fn(&Candidate) -> Result<(), Reason>,
    reasons: &mut Vec<Reason>,
) -> Vec<Candidate> {
    let mut check = |candidate: &Candidate| match fits(candidate) {
        Ok(()) => true,
        Err(reason) => {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
            false
        }
    };
    match entry {
        Entry::One(candidate) => Some(candidate.clone()).filter(|candidate| check(candidate)).into_iter().collect(),
        Entry::Split(members) => {
            let mut members: Vec<&Weighted> = members.iter().filter(|member| check(&member.candidate)).collect();
            if let Some(drawn) = draw(&members) {
                members[..=drawn].rotate_right(1);
            }
            members.into_iter().map(|member| member.candidate.clone()).collect()
        }
    }
}

/// Why `model` cannot carry the request.
fn misfit(policy: &Policy, model: &Model, wish: &Wish<'_>) -> Option<Reason> {
    let ask = wish.ask;
    let features = &ask.features;
    let takes_part = |name: &str| policy.provider(model.provider).part_fields.allow(name);
    let takes_video = model.video && takes_part(VIDEO_PART);
    let output = features.max_output.unwrap_or_default().min(model.max_output);
    let length = features.input_tokens.saturating_add(output);
    [
        (ask.odd_parts().any(|part| !takes_part(&part.name)), Reason::NeedsPart),
        (features.has_tools && !model.tools, Reason::NeedsTools),
        (features.has_images && !model.vision, Reason::NeedsVision),
        (features.has_files && !model.files, Reason::NeedsFiles),
        (features.has_audio && !model.audio, Reason::NeedsAudio),
        (features.has_video && !takes_video, Reason::NeedsVideo),
        (features.json_schema && !model.json_schema, Reason::NeedsJsonSchema),
        (length > model.context && wish.length == Length::Fits, Reason::ContextTooLong),
    ]
    .into_iter()
    .find_map(|(is_missing, reason)| is_missing.then_some(reason))
}

/// The error of a request that none of these models can carry.
fn incapable<'p>(reasons: &[Reason], ask: &Ask<'_>, models: impl IntoIterator<Item = &'p Model>) -> Error {
    // A part that nobody takes is a mistake of the client's.
    let only_for_parts = !reasons.is_empty() && reasons.iter().all(|reason| *reason == Reason::NeedsPart);
    if let Some(part) = ask.odd_parts().next().filter(|_| only_for_parts) {
        return part.fault.clone().into();
    }
    let names: Vec<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
    if reasons.iter().all(|reason| *reason == Reason::ProviderNotAllowed) {
        let message = "The policy's rules leave no candidate for this request.";
        return Error::new(Kind::NoAllowedCandidate, message);
    }
    let incapacity = match reasons {
        [Reason::ContextTooLong] => Incapacity::Context,
        [Reason::NeedsVision] => Incapacity::Images,
        [Reason::NeedsFiles] => Incapacity::Files,
        [Reason::NeedsJsonSchema] => Incapacity::Schema,
        _ => Incapacity::Other,
    };
    let message = match incapacity {
        Incapacity::Context => too_long(ask, models),
        Incapacity::Images | Incapacity::Files | Incapacity::Schema | Incapacity::Other => {
            format!("No candidate can carry this request ({}).", names.join(", "))
        }
    };
    Error::new(Kind::NoCapableCandidate(incapacity), message)
}

/// By how much a conversation is too long for the largest of these models, in the words in which Anthropic's API says it, since
/// agents read the numbers.
fn too_long<'p>(ask: &Ask<'_>, models: impl IntoIterator<Item = &'p Model>) -> String {
    let input = ask.features.input_tokens;
    let largest = models.into_iter().max_by_key(|model| model.context);
    let context = largest.map_or(0, |model| model.context);
    let output = largest.map_or(0, |model| ask.features.max_output.unwrap_or_default().min(model.max_output));
    match input > context {
        true => format!("prompt is too long: {input} tokens > {context} maximum"),
        false => format!("input length and `max_tokens` exceed context limit: {input} + {output} > {context}"),
    }
}
