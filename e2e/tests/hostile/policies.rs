//! No policy opens anything: documents with faults leave the last good one in force, and whatever they say, each key goes
//! to its own host and nothing goes to a host without one.
//!
//! The documents are put by the store's handle, which is what the local KV API calls; each request has a sandbox of its
//! own, so that it sees what was put before it.

use serde_json::{Value, json};
use tiergate::policy;
use tiergate_cli::kv::KvHandle;
use tiergate_cli::wasm::Guest;

use crate::client::{Got, Sending, send};
use crate::garble::{break_bytes, break_value};
use crate::planted::{CLASSIFIER, PLANTED, Set};
use crate::random::{Random, cases};
use crate::report::Report;
use crate::requests;
use crate::world::{self, GRACE, STAGE, TOTAL, TRAPS, World};

/// How often a request is sent before a document is said not to be in force.
const TRIES: usize = 400;

#[test]
fn no_policy_opens_anything() {
    STAGE.run("policies", async |stage, report| {
        let bases = bases();
        let first = bases[0].to_string();
        let world = World::start(&stage.provider, Guest::Single, Set::First, &first).await;
        let kv = world.gateway.kv();
        let (mut good, mut tiers) = valid(&first).expect("a good document");
        // What nobody has asked by was never in force, and cannot be the last good one.
        ask(&world, &good, &tiers, &mut Random::new("policies", 0)).await;
        let mut answers = Vec::new();
        for case in cases(200, 5_000) {
            let mut random = Random::new("policies", case);
            let (name, document) = draw(case, &bases, &mut random);
            let new = put(&kv, case, &document, report).await.then(|| valid(&document)).flatten();
            if let Some((label, names)) = &new {
                (good, tiers) = (label.clone(), names.clone());
                report.count("good documents", 1);
            }
            let got = ask(&world, &good, &tiers, &mut random).await;
            let (in_force, reasons) = (got.header("x-route-policy"), got.header("x-route-reason"));
            if !is_label(in_force, &good) {
                report.finding("another policy is in force", case, format!("{name}: `{in_force}` instead of `{good}`"));
            }
            if new.is_none() != reasons.contains("policy_stale") {
                report.finding("a reason that is wrong", case, format!("{name}: `{reasons}`, new {new:?}"));
            }
            for violation in stage.provider.violations() {
                report.finding("a key or a request where it does not belong", case, format!("{name}: {violation}"));
            }
            answers.push((case, got));
        }
        world.check(&answers, report).await;
        world.gateway.stop().await;
    });
}

/// The label of a document and the names of its tiers, if it is a valid one. Which documents are valid is the policy
/// tests' business.
fn valid(document: &str) -> Option<(String, Vec<String>)> {
    let policy = policy::parse::parse(document.as_bytes()).ok()?;
    Some((policy.version.clone(), policy.tiers.iter().map(|tier| tier.name.clone()).collect()))
}

/// The header may say more than the label, after an `@`.
fn is_label(header: &str, label: &str) -> bool {
    header.strip_prefix(label).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

/// False if the store itself refuses the value.
async fn put(kv: &KvHandle, case: u64, document: &str, report: &Report) -> bool {
    let result = kv.put("policy", document).await;
    if let Err(error) = &result {
        report.finding("the store refuses a document", case, error);
    }
    result.is_ok()
}

/// Asks until the policy with this label answers, or it does not come.
async fn ask(world: &World, label: &str, tiers: &[String], random: &mut Random) -> Got {
    let tier = if random.once_in(4) { "" } else { random.pick(tiers).as_str() };
    let request = requests::chat(tier, random.once_in(2), "Hello");
    let sending = Sending::new(request, TOTAL + GRACE * 2);
    let mut got = send(world.addr(), &sending).await;
    for _ in 0..TRIES {
        if is_label(got.header("x-route-policy"), label) {
            break;
        }
        got = send(world.addr(), &sending).await;
    }
    got
}

/// Good policies to begin with: the shipped one on the tests' hosts, and the tests' own.
fn bases() -> Vec<Value> {
    let shipped = include_str!("../../../policy/default.json");
    let mut shipped: Value = serde_json::from_str(shipped).expect("the shipped policy is JSON");
    let providers = shipped["providers"].as_object_mut().expect("providers");
    for (host, provider) in providers.values_mut().enumerate() {
        let path = if provider["dialect"] == "anthropic-messages" { "" } else { "/v1" };
        provider["base_url"] = json!(format!("https://{}{path}", PLANTED[host % CLASSIFIER].host));
        provider["secret"] = json!(PLANTED[host % CLASSIFIER].host);
    }
    let mut own = world::policy();
    own["tiers"].as_array_mut().expect("tiers").truncate(4);
    own["default_tier"] = own["tiers"][0]["name"].clone();
    own["policy_ttl_s"] = json!(1);
    shipped["policy_ttl_s"] = json!(1);
    vec![shipped, own]
}

/// A document and what is wrong with it, often nothing that a parser can see.
fn draw(case: u64, bases: &[Value], random: &mut Random) -> (String, String) {
    let mut document = random.pick(bases).clone();
    document["version"] = json!(format!("case.{case}"));
    let mut names = Vec::new();
    for _ in 0..random.below(3) {
        names.push(move_away(&mut document, random));
    }
    for _ in 0..random.below(2) {
        names.push(break_value(&mut document, random));
    }
    // How long a policy stands is no fault to look for here: every document would be waited for.
    if policy_ttl(&document) > 1 {
        document["policy_ttl_s"] = json!(1);
    }
    let text = document.to_string();
    let text = match random.below(20) {
        0 => {
            names.push("a field twice".to_owned());
            text.replacen("\"tiers\":", "\"tiers\":[],\"tiers\":", 1)
        }
        1 => {
            names.push("a very long note".to_owned());
            text.replacen('{', &format!("{{\"note\":\"{}\",", "n".repeat(1 << random.below(21))), 1)
        }
        2 => {
            names.push("many unknown fields".to_owned());
            let fields: String = (0..1 << random.below(13)).map(|number| format!("\"u{number}\":1,")).collect();
            text.replacen('{', &format!("{{{fields}"), 1)
        }
        3 => {
            let mut bytes = text.into_bytes();
            names.push(break_bytes(&mut bytes, random));
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => text,
    };
    (names.join(", "), text)
}

fn policy_ttl(document: &Value) -> u64 {
    document["policy_ttl_s"].as_u64().unwrap_or(2)
}

/// Points a provider elsewhere: to a trap, to another one's host, to another one's secret.
fn move_away(document: &mut Value, random: &mut Random) -> String {
    let Some(providers) = document["providers"].as_object_mut().filter(|providers| !providers.is_empty()) else {
        return "no providers".to_owned();
    };
    let names: Vec<String> = providers.keys().cloned().collect();
    let Some(provider) = providers.get_mut(random.pick(&names)).filter(|provider| provider.is_object()) else {
        return "no provider".to_owned();
    };
    let trap = *random.pick(&TRAPS);
    let own = PLANTED[random.below(CLASSIFIER)].host;
    let urls = [
        format!("https://{trap}"),
        format!("https://{trap}/v1"),
        format!("https://{own}@{trap}/v1"),
        format!("https://{trap}:443/v1"),
        format!("https://{trap}:8443/v1"),
        format!("https://{}/v1", trap.to_ascii_uppercase()),
        format!("https://{trap}./v1"),
        format!("https://{own}/v1"),
        "https://sk.test.trap.test/v1".to_owned(),
        format!("http://{own}/v1"),
        format!("https://{trap}/v1#{own}"),
        format!("https://{trap}\\@{own}/v1"),
    ];
    let secrets = [
        own.to_owned(),
        trap.to_owned(),
        format!("{own}__{trap}"),
        format!("{trap}__{own}"),
        String::new(),
        "policy".to_owned(),
    ];
    match random.below(6) {
        0 => provider["secret"] = json!(random.pick(&secrets)),
        1 => provider["auth"] = json!(random.pick(&["none", "bearer", "x-api-key", "api-key"])),
        2..=4 => {
            provider["base_url"] = json!(random.pick(&urls));
            provider["auth"] = json!("none");
            drop(provider.as_object_mut().map(|fields| fields.remove("secret")));
        }
        _ => provider["base_url"] = json!(random.pick(&urls)),
    }
    format!("a provider is {provider}")
}
