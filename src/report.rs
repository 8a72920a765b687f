//! The answers that are about the gateway itself: models, decision, health.

use std::borrow::Cow;

use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use crate::admit::auth::Client;
use crate::admit::look_ups::Found;
use crate::decide::case::Chosen;
use crate::decide::pin;
use crate::decide::rung::{AGENT_PREFIX, tier_of_model};
use crate::door::cors;
use crate::door::page::{Cut, Page};
use crate::door::route::Route;
use crate::error::{Error, Kind};
use crate::platform::Platform;
use crate::policy::warnings::warnings;
use crate::policy::{Model, Policy, rules};
use crate::pop::breaker;
use crate::pop::health::{self, Inspected, Standing};
use crate::record::{ModelNames, Record};
use crate::upstream::keyring::Layout;
use crate::visit::Visit;
use crate::visit::settle::Settled;
use crate::wire::door::Door;

/// What is asked about the gateway.
pub struct Asked<'a> {
    pub route: Route,
    pub query: Option<&'a str>,
    pub client_headers: &'a HeaderMap,
}

/// The answer of an endpoint that is about the gateway itself; a preflight has an empty one.
///
/// # Errors
/// [`Kind::PolicyUnavailable`], and for models the client's refusal, [`Kind::UnknownModel`], and [`Kind::InvalidRequest`] for a
/// page that there cannot be.
pub fn answer<P: Platform>(
    visit: &mut Visit<'_, P>,
    found: Found<'_, P::Body>,
    asked: &Asked<'_>,
) -> Result<Settled, Error> {
    let Asked { route, query, client_headers } = asked;
    if let Route::Health = route {
        let inspector = found.client.client.as_ref().is_ok_and(|client| client.may_inspect);
        let secrets = inspector.then(|| visit.keyring.inspect());
        let (status, mut value) = health(&found, secrets.as_ref());
        if inspector {
            add_providers(visit.platform, &found, &mut value);
        }
        let body = to_bytes(&value);
        return Ok(Settled::answer(status, body));
    }
    if let Route::Hello = route {
        return Ok(Settled::answer(StatusCode::OK, b"{}".to_vec()));
    }
    let policy = &found.policy.in_force()?.policy;
    if let Route::Preflight = route {
        visit.add_headers(cors::of_preflight(policy, client_headers));
        return Ok(Settled::answer(StatusCode::NO_CONTENT, Vec::new()));
    }
    let client = found.client.client?;
    let body = match route {
        Route::Model(name) => model(policy, &client, name)?,
        _ => models(policy, &client, visit.known().door, &Page::parse(*query)?)?,
    };
    Ok(Settled::answer(StatusCode::OK, body))
}

/// A model as the SDKs of OpenAI and of Anthropic read it.
#[derive(Serialize)]
struct ModelObject<'a> {
    id: Cow<'a, str>,
    object: &'static str,
    /// Seconds since 1970; a policy does not know it.
    created: u64,
    owned_by: &'a str,
    r#type: &'static str,
    display_name: Cow<'a, str>,
    created_at: &'static str,
    lifecycle: &'static str,
}

impl<'a> ModelObject<'a> {
    fn new(id: impl Into<Cow<'a, str>>, owned_by: &'a str) -> Self {
        let id = id.into();
        Self {
            display_name: id.clone(),
            id,
            object: MODEL,
            created: 0,
            owned_by,
            r#type: MODEL,
            created_at: "1970-01-01T00:00:00Z",
            lifecycle: "active",
        }
    }
}

/// What both families call one.
const MODEL: &str = "model";

/// The model that is listed for requests that the gateway decides; any other name that is none of the policy's does the same.
const AUTO: &str = "auto";
/// What Claude Code looks for in a name.
const AGENT_WORD: &str = "claude";
/// Whose the models are that the policy defines as tiers.
const OWNER: &str = "tiergate";

/// `GET /v1/models`: [`AUTO`], the tiers that this client may use and, if it may pin, the policy's models, in one list for the
/// SDKs of both families. Claude Code passes over names without `claude` in them, so it finds the same behind that word.
///
/// # Errors
/// [`Kind::InvalidRequest`] for a page that begins, or ends, at a model that is not listed.
fn models(policy: &Policy, client: &Client, door: Door, page: &Page) -> Result<Vec<u8>, Error> {
    let mut models = visible(policy, client);
    let names: Vec<(String, &str)> = models
        .iter()
        .filter(|model| model.owned_by == OWNER && (model.id == AUTO || door == Door::Messages))
        .filter(|model| !model.id.to_ascii_lowercase().contains(AGENT_WORD))
        .map(|model| (format!("{AGENT_PREFIX}{}", model.id), model.owned_by))
        .collect();
    models.extend(names.into_iter().map(|(id, owner)| ModelObject::new(id, owner)));
    let Cut { entries, has_more } = page.cut(models, |model| &model.id)?;
    let id = |model: Option<&ModelObject<'_>>| model.map(|model| model.id.clone().into_owned());
    let (first, last) = (id(entries.first()), id(entries.last()));
    Ok(to_bytes(&json!({"object": "list", "data": entries, "has_more": has_more, "first_id": first, "last_id": last})))
}

/// `GET /v1/models/{name}`: what the list says of it, behind the prefix for agents if it was asked for so.
///
/// # Errors
/// [`Kind::UnknownModel`], also for one that this client may not use.
fn model(policy: &Policy, client: &Client, name: &str) -> Result<Vec<u8>, Error> {
    let visible = visible(policy, client);
    let tier = || tier_of_model(policy, name).map(|id| policy.tier(id).name.as_str());
    let by_name = |name: &str| visible.iter().find(|model| model.id == name);
    let behind_prefix = || by_name(name.strip_prefix(AGENT_PREFIX).filter(|name| *name == AUTO)?);
    match by_name(name).or_else(|| by_name(tier()?)).or_else(behind_prefix) {
        Some(model) if name.eq_ignore_ascii_case(&model.id) => Ok(to_bytes(model)),
        Some(model) => Ok(to_bytes(&ModelObject::new(format!("{AGENT_PREFIX}{}", model.id), model.owned_by))),
        None => {
            let valid: Vec<&str> = visible.iter().map(|model| model.id.as_ref()).collect();
            let message = format!("There is no such model for this key; valid: {}.", valid.join(", "));
            Err(Error::new(Kind::UnknownModel, message).with_param("model"))
        }
    }
}

fn visible<'a>(policy: &'a Policy, client: &Client) -> Vec<ModelObject<'a>> {
    let tiers = policy.tiers.iter().filter(|tier| client.tiers.as_ref().is_none_or(|names| names.contains(&tier.name)));
    let rights = rules::rights(policy, client.tiers.as_deref());
    let models = pin::pinnable(policy, &rights).filter(|_| client.may_pin);
    let mut visible: Vec<_> = tiers
        .map(|tier| ModelObject::new(tier.name.as_str(), OWNER))
        .chain(models.map(|model| ModelObject::new(model.name.as_str(), &policy.provider(model.provider).name)))
        .collect();
    // A policy may have given the name to something of its own.
    if !visible.is_empty() && visible.iter().all(|model| model.id != AUTO) {
        visible.insert(0, ModelObject::new(AUTO, OWNER));
    }
    visible
}

/// `POST /v1/messages/count_tokens`.
pub fn token_count(tokens: u64) -> Vec<u8> {
    to_bytes(&json!({"input_tokens": tokens}))
}

/// `POST /v1/route`: the decision and the plan.
pub fn decision(policy: &Policy, chosen: &Chosen, record: &Record) -> Vec<u8> {
    let Chosen { decision, plan } = chosen;
    let candidates: Vec<Value> = plan
        .candidates
        .iter()
        .map(|candidate| {
            let model = policy.model(candidate.model);
            let effort = candidate.effort.map(|effort| effort.as_str());
            json!({"provider": policy.provider(model.provider).name, "model": model.name, "effort": effort})
        })
        .collect();
    let reasons: Vec<&str> = record.reasons.iter().map(|reason| reason.as_str()).collect();
    to_bytes(&json!({
        "object": "route",
        "id": record.id,
        "tier": policy.tier(plan.tier).name,
        "decided_tier": policy.tier(decision.tier).name,
        "source": decision.source.as_str(),
        "reason": reasons,
        "rules": record.rules,
        "confidence": decision.confidence,
        "candidates": candidates,
        "policy": record.policy,
    }))
}

/// `GET /healthz`; what is wrong with the policy and the Secret Store only for a client that may inspect, for which `secrets`
/// is given. Without a policy nobody can be served, so that is a 503, which takes the service
/// out of a load balancer.
fn health<B>(found: &Found<'_, B>, secrets: Option<&Result<Layout, String>>) -> (StatusCode, Value) {
    let known = &found.policy;
    let in_force = known.in_force().ok();
    let (status, word, origin) = match (in_force, known.fault()) {
        (Some(_), None) => (StatusCode::OK, "ok", "store"),
        (Some(_), Some(_)) => (StatusCode::OK, "ok", "last_good"),
        (None, _) => (StatusCode::SERVICE_UNAVAILABLE, "no_policy", "none"),
    };
    let mut value = json!({"status": word, "policy": in_force.map(|in_force| &*in_force.label)});
    if let Some(secrets) = secrets {
        let faults: Vec<&str> = known.fault().unwrap_or_default().lines().collect();
        value["policy_origin"] = origin.into();
        value["policy_faults"] = faults.into();
        value["secrets"] = match secrets {
            Ok(layout) => json!({"layout": layout.as_str()}),
            Err(fault) => json!({"fault": fault}),
        };
        let warnings = in_force.map(|in_force| warnings(&in_force.policy)).unwrap_or_default();
        value["policy_warnings"] = warnings.iter().map(ToString::to_string).collect();
    }
    (status, value)
}

/// Adds what this POP knows of the providers: which candidates of the policy cool down, which others have failed, and the
/// classifier's breaker.
fn add_providers<P: Platform>(platform: &P, found: &Found<'_, P::Body>, value: &mut Value) {
    let in_force = found.policy.in_force().ok();
    let models = in_force.map(|in_force| &in_force.policy.models[..]).unwrap_or_default();
    let provider = |model: &Model| in_force.map(|in_force| &in_force.policy.provider(model.provider).name);
    let names: Vec<String> = models
        .iter()
        .filter_map(|model| {
            Some(ModelNames { provider: provider(model)?.clone(), model: model.name.clone() }.to_string())
        })
        .collect();
    let states = health::look_up(platform, found.index, &names);
    let now = platform.unix_time();
    let (mut cooling, mut failing) = (Vec::new(), Vec::new());
    for (name, Inspected { failures, standing, left, is_probed }) in
        names.iter().zip(states).filter_map(|(name, found)| Some((name, found.inspect(now)?)))
    {
        let is_due = standing == Standing::ProbeDue;
        match standing {
            Standing::Cooling => cooling.push(json!({
                "candidate": name, "failures": failures, "probing": is_probed,
                "cooling_s": left.as_secs_f64().ceil() as u64,
            })),
            Standing::Healthy | Standing::ProbeDue => {
                failing.push(json!({"candidate": name, "failures": failures, "probe_due": is_due}));
            }
        }
    }
    value["cooling"] = cooling.into();
    value["failing"] = failing.into();
    value["classifier"] = if breaker::is_open(platform, found.index) { "open" } else { "closed" }.into();
}

fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a report should serialise")
}
