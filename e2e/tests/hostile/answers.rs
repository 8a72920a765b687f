//! No broken answer looks whole, and no good one is lost: answers with faults, judged by the oracle.

use crate::client::{Ended, Got, Sending, send};
use crate::documented::DOCUMENTED;
use crate::garble::{Garbled, garbled};
use crate::oracle;
use crate::provider::mark;
use crate::random::{Random, cases};
use crate::reply::{Dialect, End};
use crate::report::Report;
use crate::requests;
use crate::world::{AT_ONCE, GRACE, LANES, STAGE, Stage, TOTAL, all, tier};

struct Case {
    dialect: Dialect,
    streams: bool,
    garbled: Garbled,
}

#[test]
fn no_broken_answer_looks_whole() {
    STAGE.run("answers", async |stage, report| {
        let cases = cases(1_000, 25_000);
        for some in cases.chunks(500) {
            let (drawn, answers): (Vec<_>, Vec<_>) =
                all(some, AT_ONCE, async |case| ask(stage, case).await).await.into_iter().unzip();
            let log = stage.world.check(&answers, report).await;
            for (drawn, (case, got)) in drawn.iter().zip(&answers) {
                if log.is_handed_off(got) {
                    report.count("handed over", 1);
                } else if drawn.streams {
                    judge_stream(*case, drawn, got, report);
                } else {
                    judge_whole(*case, drawn, got, report);
                }
            }
        }
        stage.world.is_well(0, report).await;
    });
}

async fn ask(stage: &Stage, case: u64) -> (Case, (u64, Got)) {
    let mut random = Random::new("answers", case);
    let dialect = *random.pick(&[Dialect::Chat, Dialect::Messages]);
    let streams = !random.once_in(4);
    let garbled = garbled(dialect, streams, &mut random);
    let kind = *random.pick(&["plain", "plain", "plain", "hold"]);
    let tier = tier(kind, dialect, random.below(LANES));
    let reply = garbled.reply.clone();
    stage.provider.plan(case, move |_| reply.clone());
    let request = requests::chat(&tier, streams, &format!("{}please", mark(case)));
    let got = send(stage.world.addr(), &Sending::new(request, TOTAL + GRACE * 2)).await;
    stage.provider.forget(case);
    (Case { dialect, streams, garbled }, (case, got))
}

fn judge_stream(case: u64, drawn: &Case, got: &Got, report: &Report) {
    let Garbled { reply, body, is_good, name, .. } = &drawn.garbled;
    let text = got.text();
    let told = || format!("{:?}: {name}: sent {:?}, got {text:?}", drawn.dialect, String::from_utf8_lossy(body));
    if got.status != Some(200) {
        if *is_good && !is_late(got) {
            report.finding("a good answer was not passed on", case, told());
        }
        report.count("refused", 1);
        return;
    }
    let is_done = text.trim_end().ends_with("data: [DONE]");
    if is_done != (got.end == Ended::Whole) {
        report.finding(
            "the end marker and the end of the transfer disagree",
            case,
            format!("{:?}: {}", got.end, told()),
        );
    }
    check_error_event(case, &text, report);
    let verdict = oracle::stream(drawn.dialect, body);
    let heard = oracle::client_text(&text, true);
    if !is_done {
        if *is_good && !text.contains("stream_time_limit") {
            report.finding("a good answer was broken off", case, told());
        }
        let is_beginning =
            heard.iter().all(|(index, text)| verdict.text.get(index).is_some_and(|all| all.starts_with(text)));
        if !is_beginning {
            report.finding("a broken answer says something else", case, told());
        }
        report.count("broken off", 1);
        return;
    }
    if !verdict.is_whole {
        report.finding(format!("a broken answer looks whole ({})", verdict.why), case, told());
    } else if heard != verdict.text && reply.end == End::Close {
        // A reset may take bytes with it that were sent before.
        report.finding("a whole answer says something else", case, format!("{heard:?}: {}", told()));
    }
    report.count("whole", 1);
}

fn judge_whole(case: u64, drawn: &Case, got: &Got, report: &Report) {
    let Garbled { body, is_cut, is_good, name, .. } = &drawn.garbled;
    let text = got.text();
    let told = || format!("{:?}: {name}: sent {:?}, got {text:?}", drawn.dialect, String::from_utf8_lossy(body));
    if got.status != Some(200) {
        if *is_good && !is_late(got) {
            report.finding("a good answer was not passed on", case, told());
        }
        report.count("refused", 1);
        return;
    }
    // The local runtime hides that a body broke off which was waited for; what counts is that all of it came.
    let is_cut = *is_cut && text.as_bytes() != body;
    let verdict = oracle::whole(drawn.dialect, body, is_cut);
    if !verdict.is_whole || got.end != Ended::Whole {
        report.finding("a broken body looks whole", case, told());
    } else if oracle::client_text(&text, false) != verdict.text {
        report.finding("a whole body says something else", case, told());
    }
    report.count("whole", 1);
}

/// Whether a deadline struck, as on a busy machine it may for a good answer too.
fn is_late(got: &Got) -> bool {
    got.status == Some(504)
}

/// Every error that a stream tells is a documented one of the gateway's own.
pub fn check_error_event(case: u64, text: &str, report: &Report) {
    for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(data) else { continue };
        if !value["error"].is_null() && !DOCUMENTED.has_code(value["error"]["code"].as_str().unwrap_or_default()) {
            report.finding("an undocumented error in a stream", case, data);
        }
    }
}
