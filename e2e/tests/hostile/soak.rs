//! Nothing wears out: half of all answers fail, clients leave at any time, and the process does not grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Ended, Got, Sending, send};
use crate::garble::{TEXT, garbled};
use crate::oracle;
use crate::places::{self, CODINGS, Printed};
use crate::provider::{Asked, mark};
use crate::random::{Random, cases};
use crate::reply::{Dialect, End, Reply, Said, good};
use crate::report::Report;
use crate::requests;
use crate::world::{GRACE, KINDS, LANES, STAGE, Stage, TOTAL, all, tier};

const CONNECTIONS: usize = 16;
const CASES: u64 = 800;
/// The long form goes on for so long.
const LONG: Duration = Duration::from_secs(180);
/// What the process may grow by, in MiB: the log lines of a round, and what the runtime keeps for its next sandboxes.
const MAX_GROWTH_MIB: u64 = 256;

#[test]
fn nothing_wears_out() {
    STAGE.run("soak", async |stage, report| {
        let started = Instant::now();
        let round = cases(CASES, CASES);
        let mut offset = 0;
        run(stage, &round, report).await;
        let before = resident_mib();
        loop {
            offset += CASES;
            let cases: Vec<u64> = round.iter().map(|case| case + offset).collect();
            run(stage, &cases, report).await;
            let is_long = std::env::var("TIERGATE_HOSTILE").is_ok_and(|form| form == "long");
            if !is_long || started.elapsed() > LONG {
                break;
            }
        }
        let after = resident_mib();
        report.count("MiB before", before);
        report.count("MiB after", after);
        if after > before + MAX_GROWTH_MIB {
            report.finding("the process grows", 0, format!("{before} MiB, then {after} MiB"));
        }
        stage.world.is_well(0, report).await;
    });
}

async fn run(stage: &Stage, cases: &[u64], report: &Report) {
    let (drawn, answers): (Vec<_>, Vec<_>) =
        all(cases, CONNECTIONS, async |case| ask(stage, case).await).await.into_iter().unzip();
    let log = stage.world.check(&answers, report).await;
    for (drawn, (case, got)) in drawn.iter().zip(&answers) {
        if !log.is_handed_off(got) {
            judge(*case, drawn, got, report);
        }
    }
}

/// What was asked for, and whether a provider gave it.
struct Drawn {
    streams: bool,
    one_was_whole: Arc<AtomicBool>,
}

async fn ask(stage: &Stage, case: u64) -> (Drawn, (u64, Got)) {
    let mut random = Random::new("soak", case);
    let streams = !random.once_in(3);
    let tier =
        tier(random.pick::<&str>(&KINDS), *random.pick(&[Dialect::Chat, Dialect::Messages]), random.below(LANES));
    let mut sending = Sending::new(requests::chat(&tier, streams, &format!("{}please", mark(case))), TOTAL + GRACE * 2);
    if random.once_in(6) {
        sending.leaves_after = Some(random.below(2_000));
    }
    let one_was_whole = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&one_was_whole);
    stage.provider.plan(case, move |asked| {
        let (reply, is_whole) = reply(case, asked);
        noted.fetch_or(is_whole, Ordering::Relaxed);
        reply
    });
    let got = send(stage.world.addr(), &sending).await;
    stage.provider.forget(case);
    (Drawn { streams, one_was_whole }, (case, got))
}

/// What a provider sends, and whether it may pass for a whole answer. Half of the replies are good.
fn reply(case: u64, asked: &Asked) -> (Reply, bool) {
    let mut random = Random::new("soak reply", case ^ (asked.before as u64) << 40);
    match random.below(8) {
        0..=3 => (good(asked.dialect, asked.streams, &Said::new(TEXT)), true),
        4 | 5 => {
            let garbled = garbled(asked.dialect, asked.streams, &mut random);
            let verdict = match asked.streams {
                true => oracle::stream(asked.dialect, &garbled.body),
                false => oracle::whole(asked.dialect, &garbled.body, garbled.is_cut),
            };
            (garbled.reply, verdict.is_whole)
        }
        // Where the key stands decides, which the test of keys looks at.
        6 => {
            let printed = Printed { key: &asked.key, codings: CODINGS };
            (places::leak(&printed, asked.dialect, asked.streams, &mut random).1, true)
        }
        _ => (Reply { parts: Vec::new(), end: if random.once_in(2) { End::Reset } else { End::Close } }, false),
    }
}

fn judge(case: u64, drawn: &Drawn, got: &Got, report: &Report) {
    let text = got.text();
    if got.status != Some(200) || got.end == Ended::Left {
        report.count(if got.end == Ended::Left { "clients that left" } else { "refused" }, 1);
        return;
    }
    let is_done = !drawn.streams || text.trim_end().ends_with("data: [DONE]");
    if is_done != (got.end == Ended::Whole) {
        report.finding("the end marker and the end of the transfer disagree", case, format!("{:?}: {text}", got.end));
    }
    if !is_done {
        report.count("broken off", 1);
        return;
    }
    report.count("whole", 1);
    if !drawn.one_was_whole.load(Ordering::Relaxed) {
        report.finding("an answer looks whole that no provider gave", case, &text);
    }
}

/// What the process holds in memory.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or_default() / 1024
}
