//! The raw document becomes the validated policy: references become indices, and what no single field can tell is checked.
//!
//! Every function returns `None` only after a fault was noted, by itself or by the reader, and looks at all its parts
//! before it gives up, so that nothing is left unreported.

use super::country::Country;
use super::fault::{Faults, Path, quote};
use super::path_template::PathTemplate;
use super::provider::{FieldLists, build_provider};
use super::raw;
use super::read::{List, Presence};
use super::scalar::{ClientId, Integer};
use super::scope::Scope;
use super::{
    Anonymous, Breaker, Candidate, Classifier, Condition, Deadlines, Dialect, Effect, Effort, Entry, HealthSettings,
    Limits, LongPrice, Model, ModelId, PlatformLimits, Policy, Price, PromptCache, ProviderId, Rule, StreamMode, Tier,
    TierId, Weighted,
};

/// The limit on an answer where neither client nor policy names one: room for thinking, and short enough to end in time.
const DEFAULT_MAX_TOKENS: u64 = 16_384;
/// The shortest prompt that any model of the Messages API caches; a mark on a shorter one costs nothing.
const DEFAULT_PROMPT_CACHE_MIN: u64 = 1_024;

pub fn build_policy(raw: raw::Policy, scope: &Scope, faults: &mut Faults) -> Option<Policy> {
    let root = &Path::Root;
    let dialects = model_dialects(&raw, scope);
    let misplaced = ids_out_of_place(&raw, scope);

    let default_tier = tier_id(raw.default_tier, scope, &root.field("default_tier"), faults);
    let health = raw.health.given().and_then(|raw| build_health(raw, &root.field("health"), faults));
    let classifier = match raw.classifier.optional() {
        Some(Some(raw)) => {
            let path = root.field("classifier");
            if let Some(fault) = classifier_fault(&raw, &dialects, scope) {
                faults.note(&path.field("model"), fault);
            }
            build_classifier(raw, scope, &path, faults).map(Some)
        }
        Some(None) => Some(None),
        None => None,
    };
    let anonymous = match raw.anonymous.optional() {
        Some(Some(raw)) => build_anonymous(raw, scope, &root.field("anonymous"), faults).map(Some),
        Some(None) => Some(None),
        None => None,
    };
    let tiers = each(raw.tiers, &root.field("tiers"), faults, |(position, raw), path, faults| {
        if let Some(fault) = tier_name_fault(&raw, position, scope) {
            faults.note(&path.field("name"), fault);
        }
        if let Some(fault) = handoff_fault(&raw, &dialects, scope) {
            faults.note(&path.field("stream"), fault);
        }
        build_tier(raw, scope, path, faults)
    });
    let models_path = root.field("models");
    let models = raw.models.given().and_then(|models| {
        let built = models.0.into_iter().enumerate().map(|(position, (name, raw))| {
            if faults.is_full() {
                return None;
            }
            let path = models_path.field(&name);
            if misplaced.contains(&position) {
                let valid = "valid: of [A-Za-z0-9._~:@=+,-], and / between parts that are not only dots";
                faults.note(&path.field("id"), format!("not an id for the path of its provider; {valid}"));
            }
            if scope.tiers.position(&name).is_some() {
                faults.note(&path, "also the name of a tier; valid: any name that no tier has");
            }
            build_model(Row { name: name.clone(), raw: raw? }, scope, &path, faults)
        });
        all(built)
    });
    let providers_path = root.field("providers");
    let providers = raw.providers.given().and_then(|providers| {
        let built = providers.0.into_iter().map(|(name, raw)| {
            if faults.is_full() {
                return None;
            }
            let path = providers_path.field(&name);
            build_provider(Row { name: name.clone(), raw: raw? }, &path, faults)
        });
        all(built)
    });
    let rules =
        each(raw.rules, &root.field("rules"), faults, |(_, raw), path, faults| build_rule(raw, scope, path, faults));

    Some(Policy {
        version: raw.version.given()?.into(),
        default_tier: default_tier?,
        ttl: raw.policy_ttl_s.given()?.seconds(),
        limits: Limits { body_bytes: raw.limits.given()?.body_bytes.given()?.0 as usize },
        platform: raw.platform.given().and_then(build_platform)?,
        health: health?,
        auth: raw.auth.given()?,
        anonymous: anonymous?,
        cors_origins: all(raw.cors_origins.given()?.0.into_iter().map(|origin| Some(origin?.0)))?,
        classifier: classifier?,
        tiers: tiers?,
        models: models?,
        providers: providers?,
        rules: rules?,
    })
}

fn build_anonymous(raw: raw::Anonymous, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<Anonymous> {
    let tiers = match raw.tiers {
        Presence::Absent => None,
        tiers => Some(each(tiers, &path.field("tiers"), faults, |(_, name), path, faults| {
            scope.tiers.find(&name, path, faults).map(|_| name)
        })?),
    };
    Some(Anonymous { tiers })
}

fn build_platform(raw: raw::Platform) -> Option<PlatformLimits> {
    Some(PlatformLimits {
        cpu_ms: raw.cpu_ms.given()?.0,
        wall: raw.wall_s.given()?.seconds(),
        sends: raw.sends.given()?.small(),
        events: raw.events.optional()?.map(Integer::small),
        max_hops: raw.max_hops.given()?.small(),
    })
}

fn build_health(raw: raw::Health, path: &Path, faults: &mut Faults) -> Option<HealthSettings> {
    if let (Some(first), Some(most)) = (raw.cooldown_s.as_given(), raw.max_cooldown_s.as_given())
        && most.0 < first.0
    {
        faults.note(&path.field("max_cooldown_s"), format!("less than cooldown_s; valid: at least {}", first.0));
    }
    Some(HealthSettings {
        cooldown: raw.cooldown_s.given()?.seconds(),
        max_cooldown: raw.max_cooldown_s.given()?.seconds(),
        failures: raw.failures.given()?.small(),
        auth_cooldown: raw.auth_cooldown_s.given()?.seconds(),
        hedge_share: raw.hedge_share.given()?.0,
    })
}

/// What is wrong with the classifier's model: nobody could put the question to it.
fn classifier_fault(raw: &raw::Classifier, dialects: &[Option<Dialect>], scope: &Scope) -> Option<String> {
    let name = raw.model.as_given()?;
    match dialects.get(scope.models.position(name)?).copied().flatten()? {
        Dialect::OpenaiChat | Dialect::AnthropicMessages => None,
        dialect @ Dialect::OpenaiResponses => {
            Some(format!("{} speaks {dialect}, which is not built; valid: a model of another dialect", quote(name)))
        }
    }
}

fn build_classifier(raw: raw::Classifier, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<Classifier> {
    let model = model_id(raw.model, scope, &path.field("model"), faults);
    let breaker = raw.breaker.given()?;
    Some(Classifier {
        model: model?,
        timeout: raw.timeout_ms.given()?.millis(),
        min_confidence: raw.min_confidence.given()?.0,
        excerpt_bytes: raw.excerpt_bytes.given()?.0 as usize,
        breaker: Breaker { failures: breaker.failures.given()?.small(), open: breaker.open_s.given()?.seconds() },
    })
}

/// What is wrong with the name of the tier at `position`.
fn tier_name_fault(raw: &raw::Tier, position: usize, scope: &Scope) -> Option<String> {
    let first = scope.tiers.position(raw.name.as_given()?.as_ref())?;
    (first != position).then(|| format!("already the name of tiers[{first}]; valid: a name of its own"))
}

/// The dialect of each model by position, where no fault hides it.
fn model_dialects(raw: &raw::Policy, scope: &Scope) -> Vec<Option<Dialect>> {
    let (Some(models), Some(providers)) = (raw.models.as_given(), raw.providers.as_given()) else {
        return Vec::new();
    };
    let dialect = |model: &raw::Model| {
        let position = scope.providers.position(model.provider.as_given()?)?;
        let (_, provider) = providers.0.get(position)?;
        provider.as_ref()?.dialect.as_given().copied()
    };
    models.0.iter().map(|(_, model)| dialect(model.as_ref()?)).collect()
}

/// The positions of models whose id cannot stand in the path that their provider's row has.
fn ids_out_of_place(raw: &raw::Policy, scope: &Scope) -> Vec<usize> {
    let (Some(models), Some(providers)) = (raw.models.as_given(), raw.providers.as_given()) else {
        return Vec::new();
    };
    let is_out_of_place = |model: &raw::Model| {
        let (_, provider) = providers.0.get(scope.providers.position(model.provider.as_given()?)?)?;
        let path = provider.as_ref()?.path.as_given()?;
        Some(path.has_model() && !PathTemplate::takes(model.id.as_given()?.as_ref()))
    };
    let models = models.0.iter().enumerate();
    let misplaced = models.filter(|(_, (_, model))| model.as_ref().and_then(is_out_of_place) == Some(true));
    misplaced.map(|(position, _)| position).collect()
}

/// What is wrong with handing streams over: they go to the host as they come, so nothing could translate them.
fn handoff_fault(raw: &raw::Tier, dialects: &[Option<Dialect>], scope: &Scope) -> Option<String> {
    if !matches!(raw.stream, Presence::Given(StreamMode::Handoff)) {
        return None;
    }
    let candidates = raw.candidates.as_given()?;
    let mut names = candidates.0.iter().flatten().flat_map(|entry| {
        let members = entry.split.as_given().into_iter().flat_map(|split| split.0.iter().flatten());
        entry.model.as_given().into_iter().chain(members.filter_map(|member| member.model.as_given()))
    });
    let (name, dialect) = names.find_map(|name| Some((name, other_dialect(name, dialects, scope)?)))?;
    let reason = format!("handoff needs openai-chat, but candidate {} is {dialect}", quote(name));
    Some(format!("{reason}; valid: guarded, hold"))
}

/// The dialect of a model that speaks another one than chat clients do.
fn other_dialect(name: &str, dialects: &[Option<Dialect>], scope: &Scope) -> Option<Dialect> {
    match dialects.get(scope.models.position(name)?).copied().flatten()? {
        Dialect::OpenaiChat => None,
        dialect @ (Dialect::AnthropicMessages | Dialect::OpenaiResponses) => Some(dialect),
    }
}

fn build_tier(raw: raw::Tier, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<Tier> {
    let candidates = each(raw.candidates, &path.field("candidates"), faults, |(_, raw), path, faults| {
        build_entry(raw, scope, path, faults)
    });
    let deadlines = raw.deadlines.given().and_then(|raw| build_deadlines(raw, &path.field("deadlines"), faults));
    Some(Tier {
        name: raw.name.given()?.into(),
        description: raw.description.given()?.0,
        candidates: candidates?,
        deadlines: deadlines?,
        retries: raw.retries.given()?.small(),
        hedge_after: raw.hedge_after_ms.optional()?.map(|delay| delay.millis()),
        stream: raw.stream.given()?,
        whole: raw.whole.given()?,
        wait: raw.wait_ms.given()?.millis(),
        early_head: Some(raw.early_head_ms.given()?.millis()).filter(|after| !after.is_zero()),
        on_refusal: raw.on_refusal.given()?,
        resume: raw.resume.given()?,
    })
}

fn build_entry(raw: raw::Entry, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<Entry> {
    // A faulty field has been noted already, so only what is certain is said here.
    match (&raw.model, &raw.split, &raw.effort) {
        (Presence::Absent, Presence::Absent, _) => {
            faults.note(path, "neither model nor split; valid: exactly one of them");
        }
        (Presence::Given(_), Presence::Given(_), _) => {
            faults.note(path, "both model and split; valid: exactly one of them");
        }
        (Presence::Absent, _, Presence::Given(_)) => {
            faults.note(&path.field("effort"), "not beside split; valid: in each member of the split");
        }
        (_, _, _) => {}
    }
    let members = match raw.split {
        Presence::Absent => None,
        split => Some(each(split, &path.field("split"), faults, |(_, raw), path, faults| {
            let model = model_id(raw.model, scope, &path.field("model"), faults);
            let candidate = build_candidate(model, raw.effort);
            Some(Weighted { candidate: candidate?, weight: raw.weight.given()?.small() })
        })),
    };
    let model = model_id(raw.model, scope, &path.field("model"), faults);
    match members {
        Some(members) => Some(Entry::Split(members?)),
        None => Some(Entry::One(build_candidate(model, raw.effort)?)),
    }
}

fn build_candidate(model: Option<ModelId>, effort: Presence<Effort>) -> Option<Candidate> {
    Some(Candidate { model: model?, effort: effort.optional()? })
}

fn build_deadlines(raw: raw::Deadlines, path: &Path, faults: &mut Faults) -> Option<Deadlines> {
    let total = raw.total_ms.as_given().copied();
    if let Some(total) = total {
        let parts =
            [("first_token_ms", &raw.first_token_ms), ("response_ms", &raw.response_ms), ("idle_ms", &raw.idle_ms)];
        for (name, part) in parts {
            if part.as_given().is_some_and(|part| part.0 > total.0) {
                faults.note(&path.field(name), format!("longer than total_ms; valid: at most {}", total.0));
            }
        }
    }
    let total = total?.millis();
    Some(Deadlines {
        // Its default must not make a tier with a short total invalid, so the shorter of the two holds.
        connect: raw.connect_ms.given()?.millis().min(total),
        first_token: raw.first_token_ms.given()?.millis(),
        response: raw.response_ms.optional()?.map_or(total / 2, |response| response.millis()),
        idle: raw.idle_ms.given()?.millis(),
        total,
    })
}

/// A raw row of the policy, and what the policy calls it.
pub struct Row<T> {
    pub name: String,
    pub raw: T,
}

fn build_model(row: Row<raw::Model>, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<Model> {
    let Row { name, raw } = row;
    let provider = match raw.provider.given() {
        Some(name) => scope.providers.find(&name, &path.field("provider"), faults).map(ProviderId),
        None => None,
    };
    if let (Some(context), Some(output)) = (raw.context.as_given(), raw.max_output.as_given())
        && output.0 > context.0
    {
        faults.note(&path.field("max_output"), format!("more than context; valid: at most {}", context.0));
    }
    if let (Some(most), Some(default)) = (raw.max_output.as_given(), raw.default_max_tokens.as_given())
        && default.0 > most.0
    {
        faults.note(&path.field("default_max_tokens"), format!("more than max_output; valid: at most {}", most.0));
    }
    let fields = FieldLists::build(raw.unsupported_fields, raw.extra_fields, path, faults);
    let efforts = match raw.efforts.optional()? {
        Some(efforts) => Some(all(efforts.0.into_iter().map(|(name, word)| {
            let effort = Effort::ALL.iter().copied().find(|effort| effort.as_str() == name)?;
            Some((effort, String::from(word?)))
        }))?),
        None => None,
    };
    let max_output = raw.max_output.given()?.0;
    let prompt_cache_min = raw.prompt_cache_min.optional()?;
    // Who says from which length on says that it is to be done.
    let unsaid = if prompt_cache_min.is_some() { PromptCache::Always } else { PromptCache::Auto };
    let prompt_cache = raw.prompt_cache.optional()?.unwrap_or(unsaid);
    let price = match raw.price.optional()? {
        Some(raw) => Some(build_price(raw)?),
        None => None,
    };
    Some(Model {
        name,
        provider: provider?,
        id: raw.id.given()?.into(),
        context: raw.context.given()?.0,
        max_output,
        tools: raw.tools.given()?,
        tools_effort: raw.tools_effort.optional()?,
        forced_tools: raw.forced_tools.given()?,
        vision: raw.vision.given()?,
        files: raw.files.given()?,
        audio: raw.audio.given()?,
        video: raw.video.given()?,
        json_schema: raw.json_schema.given()?,
        sampling: raw.sampling.given()?,
        sampling_exclusive: raw.sampling_exclusive.given()?,
        efforts,
        thinking: raw.thinking.given()?,
        thinking_display: raw.thinking_display.given()?,
        default_max_tokens: raw
            .default_max_tokens
            .optional()?
            .map_or(DEFAULT_MAX_TOKENS.min(max_output), |tokens| tokens.0),
        prefill: raw.prefill.optional()?,
        system_turns: raw.system_turns.given()?,
        prompt_cache,
        prompt_cache_min: prompt_cache_min.map_or(DEFAULT_PROMPT_CACHE_MIN, |tokens| tokens.0),
        unsupported_fields: fields.unsupported?,
        extra_fields: fields.extra?,
        price,
    })
}

fn build_price(raw: raw::Price) -> Option<Price> {
    let input = raw.input.given()?.0;
    let long = match raw.long.optional()? {
        Some(raw) => Some(build_long_price(raw)?),
        None => None,
    };
    Some(Price {
        input,
        cached_input: raw.cached_input.optional()?.map_or(input, |price| price.0),
        cache_write: raw.cache_write.optional()?.map_or(input, |price| price.0),
        output: raw.output.given()?.0,
        long,
    })
}

fn build_long_price(raw: raw::LongPrice) -> Option<LongPrice> {
    let input = raw.input.given()?.0;
    Some(LongPrice {
        above_tokens: raw.above_tokens.given()?.0,
        input,
        cached_input: raw.cached_input.optional()?.map_or(input, |price| price.0),
        cache_write: raw.cache_write.optional()?.map_or(input, |price| price.0),
        output: raw.output.given()?.0,
    })
}

fn build_rule(raw: raw::Rule, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<Rule> {
    let then = raw.then.given().and_then(|raw| build_effect(raw, scope, &path.field("then"), faults));
    Some(Rule { name: raw.name.given()?.0, when: build_condition(raw.when.given()?)?, then: then? })
}

fn build_condition(raw: raw::Condition) -> Option<Condition> {
    let client = raw.client.optional()?;
    let country = raw.country.optional()?;
    let not_country = raw.not_country.optional()?;
    let ids = |list: List<ClientId, 1>| all(list.0.into_iter().map(|id| id.map(String::from)));
    let codes = |list: List<Country, 1>| all(list.0.into_iter().map(|code| code.map(String::from)));
    Some(Condition {
        client: client.map_or(Some(None), |list| ids(list).map(Some))?,
        country: country.map_or(Some(None), |list| codes(list).map(Some))?,
        not_country: not_country.map_or(Some(None), |list| codes(list).map(Some))?,
        has_tools: raw.has_tools.optional()?,
        has_images: raw.has_images.optional()?,
    })
}

fn build_effect(raw: raw::Effect, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<Effect> {
    let mut tier = |field: Presence<String>, name| match field.optional() {
        Some(Some(tier)) => scope.tiers.find(&tier, &path.field(name), faults).map(|position| Some(TierId(position))),
        Some(None) => Some(None),
        None => None,
    };
    let (decided, min_tier, max_tier) =
        (tier(raw.tier, "tier"), tier(raw.min_tier, "min_tier"), tier(raw.max_tier, "max_tier"));
    let providers = match raw.providers {
        Presence::Absent => Some(None),
        providers => each(providers, &path.field("providers"), faults, |(_, name), path, faults| {
            scope.providers.find(&name, path, faults).map(ProviderId)
        })
        .map(Some),
    };
    Some(Effect { tier: decided?, min_tier: min_tier?, max_tier: max_tier?, providers: providers? })
}

fn tier_id(name: Presence<String>, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<TierId> {
    scope.tiers.find(&name.given()?, path, faults).map(TierId)
}

fn model_id(name: Presence<String>, scope: &Scope, path: &Path, faults: &mut Faults) -> Option<ModelId> {
    scope.models.find(&name.given()?, path, faults).map(ModelId)
}

/// Builds every item, the ones after a faulty one too.
pub fn each<T, U, const MIN: usize>(
    list: Presence<List<T, MIN>>,
    path: &Path,
    faults: &mut Faults,
    mut build: impl FnMut((usize, T), &Path, &mut Faults) -> Option<U>,
) -> Option<Vec<U>> {
    let items = list.given()?.0.into_iter().enumerate();
    all(items.map(|(index, item)| {
        if faults.is_full() {
            return None;
        }
        build((index, item?), &path.index(index), faults)
    }))
}

/// All values, or `None` if one is missing; runs the iterator to its end either way.
pub fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    values.collect::<Vec<_>>().into_iter().collect()
}
