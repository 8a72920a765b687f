//! What the policy's rules and a client's rights allow for one request: bounds that hold for every rung, failover and hedge.
//!
//! Pure: the same policy and facts always give the same bounds.

use super::country::{self, UNKNOWN};
use super::{Condition, Policy, ProviderId, TierId};

/// What rules can ask about a request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The id of the client, `anonymous` for one without a key.
    pub client: &'a str,
    /// ISO 3166-1 alpha-2, upper case. What is no country, and what the platform does not know, is `unknown` to rules.
    pub country: Option<&'a str>,
    pub has_tools: bool,
    /// Images, files, audio or video.
    pub has_media: bool,
    /// The tiers that the client's key may use, all where `None`. Names that are no tier of the policy are ignored, since
    /// a key may outlive a tier.
    pub client_tiers: Option<&'a [String]>,
}

/// The result of all matching rules and the client's rights together.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Never above `max`.
    pub min: TierId,
    pub max: TierId,
    /// The tiers that the client's key may use, by position.
    pub allowed: Vec<bool>,
    /// The only providers that may see the request; all where `None`.
    pub providers: Option<Vec<ProviderId>>,
    /// The names of the rules that matched, in the policy's order.
    pub rules: Vec<String>,
    /// The tier that the first matching rule with one decides, and the rule's name. It may lie outside the bounds.
    pub tier: Option<(TierId, String)>,
}

/// The bounds of a client's rights alone.
pub fn rights(policy: &Policy, client_tiers: Option<&[String]>) -> Bounds {
    let allowed = policy.tiers.iter().map(|tier| client_tiers.is_none_or(|names| names.contains(&tier.name)));
    Bounds {
        min: TierId(0),
        max: TierId(policy.tiers.len().saturating_sub(1)),
        allowed: allowed.collect(),
        providers: None,
        rules: Vec::new(),
        tier: None,
    }
}

pub fn bounds(policy: &Policy, facts: &Facts) -> Bounds {
    let mut bounds = rights(policy, facts.client_tiers);
    for rule in policy.rules.iter().filter(|rule| rule.when.matches(facts)) {
        let then = &rule.then;
        bounds.rules.push(rule.name.clone());
        bounds.min = then.min_tier.map_or(bounds.min, |tier| tier.max(bounds.min));
        bounds.max = then.max_tier.map_or(bounds.max, |tier| tier.min(bounds.max));
        if let Some(only) = &then.providers {
            match &mut bounds.providers {
                Some(providers) => providers.retain(|provider| only.contains(provider)),
                none @ None => *none = Some(only.clone()),
            }
        }
        if bounds.tier.is_none() {
            bounds.tier = then.tier.map(|tier| (tier, rule.name.clone()));
        }
    }
    // A limit on cost or capability outranks a wish for more of it.
    bounds.min = bounds.min.min(bounds.max);
    bounds
}

impl Bounds {
    pub fn allows(&self, tier: TierId) -> bool {
        (self.min..=self.max).contains(&tier) && self.allowed.get(tier.0).copied().unwrap_or(false)
    }

    /// The nearest tier that is allowed: `tier` itself, else the next more capable one, else the nearest below it.
    pub fn clamp(&self, tier: TierId) -> Option<TierId> {
        let above = (tier.0..self.allowed.len()).map(TierId);
        let below = (0..tier.0).rev().map(TierId);
        above.chain(below).find(|tier| self.allows(*tier))
    }

    pub fn allows_provider(&self, provider: ProviderId) -> bool {
        self.providers.as_ref().is_none_or(|providers| providers.contains(&provider))
    }
}

impl Condition {
    /// Whether it depends on the country.
    pub fn asks_country(&self) -> bool {
        self.country.is_some() || self.not_country.is_some()
    }

    fn matches(&self, facts: &Facts) -> bool {
        let is_one_of = |list: &[String], value: &str| list.iter().any(|item| item == value);
        let country = facts.country.filter(|code| country::is_country(code)).unwrap_or(UNKNOWN);
        self.client.as_deref().is_none_or(|clients| is_one_of(clients, facts.client))
            && self.country.as_deref().is_none_or(|codes| is_one_of(codes, country))
            && self.not_country.as_deref().is_none_or(|codes| !is_one_of(codes, country))
            && self.has_tools.is_none_or(|expected| expected == facts.has_tools)
            && self.has_images.is_none_or(|expected| expected == facts.has_media)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Effect, Rule, default_policy};
    use super::*;

    const FAST: TierId = TierId(0);
    const BALANCED: TierId = TierId(1);
    const QUALITY: TierId = TierId(2);
    const REASONING: TierId = TierId(3);

    const FACTS: Facts =
        Facts { client: "app", country: Some("DE"), has_tools: false, has_media: false, client_tiers: None };

    fn policy(rules: &[(Condition, Effect)]) -> Policy {
        let named = |(index, (when, then)): (usize, &(Condition, Effect))| Rule {
            name: format!("rule {index}"),
            when: when.clone(),
            then: then.clone(),
        };
        Policy { rules: rules.iter().enumerate().map(named).collect(), ..default_policy() }
    }

    fn min(tier: TierId) -> Effect {
        Effect { min_tier: Some(tier), ..Effect::default() }
    }

    fn max(tier: TierId) -> Effect {
        Effect { max_tier: Some(tier), ..Effect::default() }
    }

    fn decide(tier: TierId) -> Effect {
        Effect { tier: Some(tier), ..Effect::default() }
    }

    fn only(providers: &[usize]) -> Effect {
        Effect { providers: Some(providers.iter().copied().map(ProviderId).collect()), ..Effect::default() }
    }

    #[test]
    fn conditions() {
        let all = Condition::default();
        let client = |id: &str| Condition { client: Some(vec!["x".to_owned(), id.to_owned()]), ..Condition::default() };
        let country = |code: &str| Condition { country: Some(vec![code.to_owned()]), ..Condition::default() };
        let outside = |code: &str| Condition { not_country: Some(vec![code.to_owned()]), ..Condition::default() };
        let tools = |flag| Condition { has_tools: Some(flag), ..Condition::default() };
        let images = |flag| Condition { has_images: Some(flag), ..Condition::default() };
        let cases = [
            ("no condition", all, FACTS, true),
            ("client", client("app"), FACTS, true),
            ("other client", client("app2"), FACTS, false),
            ("country", country("DE"), FACTS, true),
            ("other country", country("FR"), FACTS, false),
            ("unknown country", country("DE"), Facts { country: None, ..FACTS }, false),
            ("no country", country("DE"), Facts { country: Some("EU"), ..FACTS }, false),
            ("unknown is unknown", country("unknown"), Facts { country: None, ..FACTS }, true),
            ("no country is unknown", country("unknown"), Facts { country: Some("T1"), ..FACTS }, true),
            ("known is not unknown", country("unknown"), FACTS, false),
            ("inside", outside("DE"), FACTS, false),
            ("outside", outside("US"), FACTS, true),
            ("unknown is outside", outside("US"), Facts { country: None, ..FACTS }, true),
            ("unknown is kept out", outside("unknown"), Facts { country: None, ..FACTS }, false),
            ("both", Condition { not_country: Some(vec!["DE".to_owned()]), ..country("DE") }, FACTS, false),
            ("tools", tools(true), Facts { has_tools: true, ..FACTS }, true),
            ("no tools", tools(true), FACTS, false),
            ("wants no tools", tools(false), FACTS, true),
            ("images", images(true), Facts { has_media: true, ..FACTS }, true),
            ("no images", images(true), FACTS, false),
            ("one of two", Condition { has_tools: Some(true), ..client("app") }, FACTS, false),
        ];
        for (name, condition, facts, expected) in cases {
            assert_eq!(condition.matches(&facts), expected, "{name}");
        }
    }

    #[test]
    fn matching_rules_combine() {
        let any = Condition::default;
        let never = || Condition { has_tools: Some(true), ..Condition::default() };
        let providers = |ids: &[usize]| Some(ids.iter().copied().map(ProviderId).collect::<Vec<_>>());
        let cases = [
            ("none", vec![], (FAST, REASONING), None, None),
            ("not matching", vec![(never(), min(QUALITY))], (FAST, REASONING), None, None),
            ("highest min", vec![(any(), min(QUALITY)), (any(), min(BALANCED))], (QUALITY, REASONING), None, None),
            ("lowest max", vec![(any(), max(BALANCED)), (any(), max(QUALITY))], (FAST, BALANCED), None, None),
            ("max wins", vec![(any(), min(REASONING)), (any(), max(BALANCED))], (BALANCED, BALANCED), None, None),
            ("providers", vec![(any(), only(&[0, 1]))], (FAST, REASONING), providers(&[0, 1]), None),
            (
                "intersection",
                vec![(any(), only(&[0, 1])), (any(), only(&[1, 2]))],
                (FAST, REASONING),
                providers(&[1]),
                None,
            ),
            ("disjoint", vec![(any(), only(&[0])), (any(), only(&[1]))], (FAST, REASONING), providers(&[]), None),
            (
                "first tier",
                vec![(never(), decide(FAST)), (any(), decide(QUALITY)), (any(), decide(FAST))],
                (FAST, REASONING),
                None,
                Some((QUALITY, "rule 1".to_owned())),
            ),
        ];
        for (name, rules, (min, max), providers, tier) in cases {
            let matching = rules.iter().enumerate().filter(|(_, (condition, _))| condition.matches(&FACTS));
            let matching: Vec<String> = matching.map(|(position, _)| format!("rule {position}")).collect();
            let expected = Bounds { min, max, allowed: vec![true; 4], providers, rules: matching, tier };
            assert_eq!(bounds(&policy(&rules), &FACTS), expected, "{name}");
        }
    }

    #[test]
    fn clamping() {
        type Case<'a> = (&'a str, Option<&'a [&'a str]>, Vec<Effect>, [Option<TierId>; 4]);
        let cases: &[Case] = &[
            ("all", None, vec![], [Some(FAST), Some(BALANCED), Some(QUALITY), Some(REASONING)]),
            ("up", None, vec![min(QUALITY)], [Some(QUALITY), Some(QUALITY), Some(QUALITY), Some(REASONING)]),
            ("down", None, vec![max(BALANCED)], [Some(FAST), Some(BALANCED), Some(BALANCED), Some(BALANCED)]),
            (
                "rights: up first, else down",
                Some(&["fast", "quality", "gone"]),
                vec![],
                [Some(FAST), Some(QUALITY), Some(QUALITY), Some(QUALITY)],
            ),
            (
                "rights and bounds",
                Some(&["fast", "reasoning"]),
                vec![max(QUALITY)],
                [Some(FAST), Some(FAST), Some(FAST), Some(FAST)],
            ),
            ("nothing left", Some(&["reasoning"]), vec![max(QUALITY)], [None; 4]),
            ("no known tier", Some(&["gone"]), vec![], [None; 4]),
        ];
        for (name, tiers, effects, expected) in cases {
            let tiers = tiers.map(|names| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
            let rules = effects.iter().map(|effect| (Condition::default(), effect.clone())).collect::<Vec<_>>();
            let policy = policy(&rules);
            let bounds = bounds(&policy, &Facts { client_tiers: tiers.as_deref(), ..FACTS });
            let clamped = policy.tier_ids().map(|tier| bounds.clamp(tier)).collect::<Vec<_>>();
            assert_eq!(clamped, expected, "{name}");
            for tier in policy.tier_ids() {
                assert_eq!(bounds.allows(tier), bounds.clamp(tier) == Some(tier), "{name}: {tier:?}");
            }
        }
    }

    #[test]
    fn providers() {
        let free = bounds(&policy(&[]), &FACTS);
        let bound = bounds(&policy(&[(Condition::default(), only(&[1]))]), &FACTS);
        assert!(free.allows_provider(ProviderId(0)) && bound.allows_provider(ProviderId(1)));
        assert!(!bound.allows_provider(ProviderId(0)));
    }
}
