//! No key can be read: not by a client, not in the log, not in the store, wherever a provider prints it.

use serde_json::{Value, json};

use crate::client::{Got, Sending, send};
use crate::places::{self, CODINGS, Printed};
use crate::provider::mark;
use crate::random::{Random, cases};
use crate::reply::{Dialect, Reply, Said, good};
use crate::report::Report;
use crate::requests;
use crate::scan::scan;
use crate::world::{AT_ONCE, GRACE, KINDS, LANES, STAGE, Stage, TOTAL, World, all, tier};

/// A request and what the provider prints for it, drawn for a case.
struct Case {
    request: Vec<u8>,
    streams: bool,
    name: String,
}

#[test]
fn no_key_can_be_read() {
    STAGE.run("keys", async |stage, report| {
        let cases = cases(600, 10_000);
        for some in cases.chunks(500) {
            let answers = all(some, AT_ONCE, async |case| (case, ask(stage, case).await)).await;
            let (names, answers): (Vec<_>, Vec<_>) =
                answers.into_iter().map(|(case, (drawn, got))| (drawn, (case, got))).unzip();
            let log = stage.world.check(&answers, report).await;
            for (drawn, (case, got)) in names.iter().zip(&answers) {
                if log.is_handed_off(got) {
                    report.count("handed over", 1);
                    continue;
                }
                let seen = seen(got, drawn.streams);
                for found in scan(seen.as_bytes()) {
                    let kind = format!("a key reaches the client ({})", found.coding);
                    report.finding(kind, *case, format!("{}: {found:?} in {:?} {seen}", drawn.name, got.status));
                }
            }
            scan_log(&log, &names, &answers, report);
        }
        scan_store(&stage.world, report).await;
        stage.world.is_well(0, report).await;
    });
}

async fn ask(stage: &Stage, case: u64) -> (Case, Got) {
    let drawn = draw(stage, case);
    let got = send(stage.world.addr(), &Sending::new(drawn.request.clone(), TOTAL + GRACE * 2)).await;
    stage.provider.forget(case);
    (drawn, got)
}

fn draw(stage: &Stage, case: u64) -> Case {
    let mut random = Random::new("keys", case);
    let streams = !random.once_in(3);
    let kind = *random.pick(&KINDS);
    // One in six lets the classifier decide, which prints its key too.
    let tier = if random.once_in(6) {
        String::new()
    } else {
        tier(kind, *random.pick(&[Dialect::Chat, Dialect::Messages]), random.below(LANES))
    };
    let more = if random.once_in(2) { json!({}) } else { json!({"stream_options": {"include_usage": true}}) };
    let request = requests::chat_with(&tier, streams, &format!("{}please", mark(case)), &more);
    let recovers = random.once_in(4);
    let place = random.clone();
    stage.provider.plan(case, move |asked| match asked.before {
        0 => places::leak(&printed(&asked.key), asked.dialect, asked.streams, &mut place.clone()).1,
        _ if recovers => good(asked.dialect, asked.streams, &Said::new("All is really well.")),
        before => {
            let mut random = Random::new("keys again", case ^ (before as u64) << 32);
            places::leak(&printed(&asked.key), asked.dialect, asked.streams, &mut random).1
        }
    });
    let dialect = if tier.contains("-m") { Dialect::Messages } else { Dialect::Chat };
    let named: (String, Reply) =
        places::leak(&printed("a-key-for-the-name"), dialect, streams && !tier.is_empty(), &mut random);
    Case { request, streams, name: format!("{} (first of `{tier}`)", named.0) }
}

fn printed(key: &str) -> Printed<'_> {
    Printed { key, codings: CODINGS }
}

/// All that the client saw but what it has from the provider's answer.
fn seen(got: &Got, streams: bool) -> String {
    let headers: String = got.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let text = format!("{headers}\n{}", not_of_the_answer(got, streams));
    // The request's id is random, so that it may look like a part of a key.
    got.route_id().map_or(text.clone(), |id| text.replace(id, ""))
}

/// What of a body is no answer of the provider's: what it says there to the client is the client's.
pub fn not_of_the_answer(got: &Got, streams: bool) -> String {
    let body = got.text();
    match got.status {
        Some(200) if streams && !got.body.starts_with(b"{") => {
            body.split('\n').filter(|line| !is_answer(line.trim_start_matches("data:"))).collect::<Vec<_>>().join("\n")
        }
        Some(200) if is_answer(&body) => String::new(),
        _ => body,
    }
}

/// Whether this is an answer, or a chunk of one, and no error.
fn is_answer(text: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return false };
    let choices = value["choices"].as_array();
    let has_error = !value["error"].is_null() || choices.into_iter().flatten().any(|choice| !choice["error"].is_null());
    choices.is_some() && !has_error
}

fn scan_log(log: &crate::world::Log, names: &[Case], answers: &[(u64, Got)], report: &Report) {
    for line in &log.lines {
        let value: Value = serde_json::from_str(&line.text).unwrap_or_default();
        let id = value["id"].as_str().unwrap_or_default();
        let text = if id.is_empty() { line.text.clone() } else { line.text.replace(id, "") };
        for found in scan(text.as_bytes()) {
            let of = answers.iter().position(|(_, got)| got.route_id() == Some(id));
            let (case, name) = of.map_or((0, ""), |at| (answers[at].0, names[at].name.as_str()));
            report.finding(
                format!("a key reaches the log ({})", found.coding),
                case,
                format!("{name}: {found:?}: {text}"),
            );
        }
    }
}

async fn scan_store(world: &World, report: &Report) {
    let kv = world.gateway.kv();
    let page = kv.list(Default::default()).await.expect("the store's keys");
    for key in page.keys {
        let value = kv.get(&key).await.expect("the store's value").map(|found| found.value).unwrap_or_default();
        for found in scan(&[key.as_bytes(), b" ", value.as_slice()].concat()) {
            report.finding("a key reaches the store", 0, format!("{key}: {found:?}"));
        }
        report.count("store entries", 1);
    }
}
