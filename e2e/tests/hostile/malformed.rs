//! No request kills: whatever bytes come, the answer is a documented one, there is a line for it, and the gateway lives.

mod bodies;
mod heads;

use std::time::Duration;

use serde_json::json;

use crate::client::{Sending, Step, send};
use crate::provider::mark;
use crate::random::{Random, cases};
use crate::reply::{Said, good};
use crate::requests::chat_with;
use crate::world::{AT_ONCE, GRACE, STAGE, Stage, TOTAL, all, client_key};

/// Of so many cases one is large and one is slow.
const RARELY: u64 = 125;
/// How long a client waits that wants to see a deadline missed.
const PATIENCE: Duration = Duration::from_secs(6);

#[test]
fn no_request_kills() {
    STAGE.run("malformed", async |stage, report| {
        let cases = cases(1_000, 20_000);
        for some in cases.chunks(500) {
            let answers = all(some, 8 * AT_ONCE, async |case| {
                let (name, sending) = draw(stage, case);
                let mut got = send(stage.world.addr(), &sending).await;
                stage.provider.forget(case);
                // The name stands before the answer, so that a finding tells it.
                got.raw.splice(0..0, format!("[{name}] ").into_bytes());
                (case, got)
            });
            let answers = answers.await;
            for (case, got) in answers.iter().filter(|(case, got)| must_time_out(*case) && got.status != Some(408)) {
                report.finding("a body that does not come is waited for", *case, format!("{:?}", got.status));
            }
            report.count(
                "answered by the guest",
                answers.iter().filter(|(_, got)| got.route_id().is_some()).count() as u64,
            );
            stage.world.check(&answers, report).await;
            stage.world.is_well(some[0], report).await;
        }
    });
}

fn draw(stage: &Stage, case: u64) -> (String, Sending) {
    let mut random = Random::new("malformed", case);
    match case % RARELY {
        7 => return bodies::large(case / RARELY, &mut random),
        8 => return slow(stage, case, &mut random),
        _ => {}
    }
    let (name, bytes) = match random.below(12) {
        0 => heads::request_line(&mut random),
        1 | 2 => heads::host(&mut random),
        3 => heads::headers(&mut random),
        4 => heads::framing(&mut random),
        5 => heads::routing(&mut random),
        6 => heads::credentials(&mut random),
        7 => bodies::broken_bytes(&mut random),
        8 => bodies::raw_json(&mut random),
        _ => bodies::broken_json(&mut random),
    };
    let mut sending = Sending::new(bytes, PATIENCE);
    sending.is_head = matches!(&sending.steps[0], Step::Bytes(bytes) if bytes.starts_with(b"HEAD "));
    match random.below(12) {
        0 => {
            let Step::Bytes(bytes) = &mut sending.steps[0] else { return (name, sending) };
            let at = random.below(bytes.len());
            let rest = bytes.split_off(at);
            sending.steps.extend([Step::Pause(Duration::from_millis(20)), Step::Bytes(rest)]);
        }
        1 => sending.steps.push(Step::Shut),
        2 => {
            let Step::Bytes(bytes) = &mut sending.steps[0] else { return (name, sending) };
            bytes.truncate(random.below(bytes.len()));
            sending.steps.push(Step::Shut);
        }
        3 => sending.leaves_after = Some(random.below(300)),
        _ => {}
    }
    (name, sending)
}

/// Whether a case is one of [`slow`]'s bodies that never end.
fn must_time_out(case: u64) -> bool {
    case % RARELY == 8 && case / RARELY % 4 < 2
}

/// Clients that take their time.
fn slow(stage: &Stage, case: u64, random: &mut Random) -> (String, Sending) {
    let whole = chat_with("plain-c1", false, "Hello", &json!({}));
    let (head, body) = whole.split_at(whole.len() - 20);
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        client_key()
    );
    let mut sending = Sending::new(Vec::new(), TOTAL + GRACE);
    let name = match case / RARELY % 4 {
        0 => {
            sending.steps = vec![Step::Bytes(format!("{chunked}5\r\n{{\"mod\r\n").into_bytes())];
            "a body whose end stays away"
        }
        1 => {
            sending.steps = vec![Step::Bytes(chunked.into_bytes())];
            for _ in 0..(TOTAL + GRACE).as_millis() / 250 {
                sending.steps.extend([Step::Bytes(b"1\r\n \r\n".to_vec()), Step::Pause(Duration::from_millis(250))]);
            }
            "a chunked body that trickles"
        }
        2 => {
            sending.steps = vec![Step::Bytes(head.to_vec())];
            for byte in body {
                sending.steps.extend([
                    Step::Pause(Duration::from_millis(10 + random.below(40) as u64)),
                    Step::Bytes(vec![*byte]),
                ]);
            }
            "a body whose end comes slowly"
        }
        _ => {
            // More than the sockets between take, so that somebody has to wait for the client.
            let said = Said::new(&"word ".repeat(8).repeat(1_000));
            stage.provider.plan(case, move |asked| good(asked.dialect, asked.streams, &said));
            let request = chat_with("plain-m1", true, &format!("{}please", mark(case)), &json!({}));
            sending.steps = vec![Step::Bytes(request)];
            sending.reads_after = TOTAL + GRACE;
            "a client that does not read"
        }
    };
    (name.to_owned(), sending)
}
