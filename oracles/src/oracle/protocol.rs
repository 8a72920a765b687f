//! `llm-protocol`: requests, answers and streams, in one run of Node for all cases.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::case::Case;
use crate::outcome::{Outcome, events};

/// What it makes of each case, in their order.
pub fn translate(cases: &[Case]) -> Vec<Outcome> {
    let lines: Vec<String> = cases.iter().map(line).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("npm/translate.mjs");
    let mut node = Command::new("node")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node 20 or later, and what `oracles/run` installs");
    let mut input = node.stdin.take().expect("a piped input");
    let writer = thread::spawn(move || lines.iter().try_for_each(|line| writeln!(input, "{line}")));
    let output = BufReader::new(node.stdout.take().expect("a piped output"));
    let outcomes = output.lines().map(|line| outcome(&line.expect("UTF-8"))).collect();
    writer.join().expect("a thread that ends").expect("Node should read all cases");
    assert!(node.wait().expect("an exit status").success(), "Node should end well");
    outcomes
}

fn line(case: &Case) -> String {
    json!({"request": case.request, "answer": case.answer, "stream": case.wire()}).to_string()
}

fn outcome(line: &str) -> Outcome {
    let made: Value = serde_json::from_str(line).expect("JSON");
    let take = |kind: &str| match (made[kind]["translated"].as_str(), made[kind]["refused"].as_str()) {
        (None, None) => None,
        (_, Some(refused)) => Some(Err(refused.to_owned())),
        (Some(translated), None) => Some(Ok(translated.to_owned())),
    };
    let body = |text: Result<String, String>| serde_json::from_str(&text?).map_err(|error| format!("no JSON: {error}"));
    Outcome {
        request: take("request").map(body),
        answer: take("answer").map(body),
        stream: take("stream").map(|text| events(&text?)),
    }
}
