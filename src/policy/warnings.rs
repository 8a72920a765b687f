//! What is allowed in a policy and yet seldom meant.
//!
//! A warning changes nothing; `/healthz` shows it to those who may inspect, and `tiergate dev` when it starts.

use super::country::UNKNOWN;
use super::fault::{Fault, Path, quote};
use super::{Auth, Effect, Policy, VIDEO_PART};

/// The warnings about a policy, each at its place.
pub fn warnings(policy: &Policy) -> Vec<Fault> {
    let root = &Path::Root;
    let mut warnings = Vec::new();
    let mut warn = |path: String, message: &str| warnings.push(Fault { path, message: message.to_owned() });
    match (policy.auth, &policy.anonymous) {
        (Auth::Optional, None) => {
            let message = "requests without a key may use every tier; an `anonymous` block says which ones they may";
            warn(root.field("auth").to_string(), message);
        }
        (Auth::Required, Some(_)) => {
            warn(root.field("anonymous").to_string(), "without effect, since every request needs a key");
        }
        (Auth::Optional, Some(_)) | (Auth::Required, None) => {}
    }
    for provider in policy.providers.iter().filter(|provider| provider.extra_fields.allow_any()) {
        let message = "clients may send fields that name other models and providers, which no rule sees";
        warn(root.field("providers").field(&provider.name).field("extra_fields").to_string(), message);
    }
    for model in policy.models.iter().filter(|model| model.video) {
        let provider = policy.provider(model.provider);
        if !provider.part_fields.allow(VIDEO_PART) {
            let message = format!(
                "without effect, since the part_fields of provider {} have no {}",
                quote(&provider.name),
                quote(VIDEO_PART)
            );
            warn(root.field("models").field(&model.name).field("video").to_string(), &message);
        }
    }
    for (index, rule) in policy.rules.iter().enumerate() {
        let Effect { min_tier, max_tier, providers, tier: _ } = &rule.then;
        let bounds = min_tier.is_some() || max_tier.is_some() || providers.is_some();
        let misses = rule.when.country.as_ref().is_some_and(|codes| !codes.iter().any(|code| code == UNKNOWN));
        if bounds && misses {
            let message = format!(
                "the bound of rule {} does not hold where the country is not known; add \"unknown\", or say it by `not_country`",
                quote(&rule.name)
            );
            warn(root.field("rules").index(index).field("when").field("country").to_string(), &message);
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::extra::ANY;
    use super::super::{Anonymous, Condition, Rule, TierId};
    use super::*;
    use crate::policy::default_policy;

    fn places(policy: &Policy) -> Vec<String> {
        warnings(policy).into_iter().map(|warning| warning.path).collect()
    }

    #[test]
    fn each_warning_names_its_place() {
        let policy = default_policy();
        assert_eq!(places(&policy), Vec::<String>::new(), "the shipped policy is meant as it is");
        let open = Policy { auth: Auth::Optional, ..policy.clone() };
        assert_eq!(places(&open), ["$.auth"]);
        let anonymous = Some(Anonymous { tiers: None });
        assert!(places(&Policy { anonymous: anonymous.clone(), ..open }).is_empty());
        assert_eq!(places(&Policy { anonymous, ..policy.clone() }), ["$.anonymous"]);

        let mut any = policy.clone();
        any.providers[0].extra_fields.0.push(ANY.to_owned());
        assert_eq!(places(&any), [format!("$.providers.{}.extra_fields", any.providers[0].name)]);

        let mut film = policy.clone();
        film.models[0].video = true;
        let place = Path::Root.field("models").field(&film.models[0].name).field("video").to_string();
        assert_eq!(places(&film), [place]);
        let provider = film.models[0].provider;
        film.providers[provider.0].part_fields.0.push(VIDEO_PART.to_owned());
        assert_eq!(places(&film), Vec::<String>::new());

        let rule = |codes: &[&str], then: Effect| {
            let country = Some(codes.iter().map(|code| (*code).to_owned()).collect());
            Rule { name: "r".to_owned(), when: Condition { country, ..Condition::default() }, then }
        };
        let bound = || Effect { max_tier: Some(TierId(0)), ..Effect::default() };
        let rules = vec![
            rule(&["DE", UNKNOWN], bound()),
            rule(&["DE"], Effect { tier: Some(TierId(0)), ..Effect::default() }),
            rule(&["DE"], bound()),
        ];
        assert_eq!(places(&Policy { rules, ..policy }), ["$.rules[2].when.country"]);
    }
}
