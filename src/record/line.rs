//! The log line: one JSON object per request, the same shape for every outcome.
//!
//! Names with a dot are those of OpenTelemetry's GenAI, HTTP and error conventions where one exists; the others are ours
//! (docs/log.md describes each). Fields without a value are left out. No prompt, no answer and no key ever enters.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::record::Record;
use crate::wire::usage::{Tally, Usage};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 2;

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    time: String,
    id: &'a str,
    #[serde(rename = "http.request.method")]
    method: &'a str,
    #[serde(rename = "url.path")]
    path: &'a str,
    door: &'static str,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_client: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reason: Vec<&'a str>,
    #[serde(skip_serializing_if = "slice_is_empty")]
    rules: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classifier: Option<ClassifierLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptLine<'a>>,
    #[serde(skip_serializing_if = "slice_is_empty")]
    cooling: &'a [String],
    #[serde(rename = "gen_ai.operation.name", skip_serializing_if = "Option::is_none")]
    operation: Option<&'a str>,
    #[serde(rename = "gen_ai.provider.name", skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    /// The policy's model that served.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(rename = "gen_ai.request.model", skip_serializing_if = "Option::is_none")]
    request_model: Option<&'a str>,
    #[serde(rename = "gen_ai.response.model", skip_serializing_if = "Option::is_none")]
    response_model: Option<&'a str>,
    #[serde(rename = "gen_ai.response.finish_reasons", skip_serializing_if = "slice_is_empty")]
    finish_reasons: &'a [String],
    #[serde(flatten)]
    usage: Option<UsageLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "is_false")]
    cost_estimated: bool,
    stream: bool,
    #[serde(skip_serializing_if = "slice_is_empty")]
    dropped: &'a [String],
    duration_ms: DurationLine,
    bytes: BytesLine,
    #[serde(skip_serializing_if = "is_false")]
    client_closed: bool,
    #[serde(skip_serializing_if = "is_false")]
    handed_off: bool,
    #[serde(skip_serializing_if = "is_zero")]
    resumed: u32,
    #[serde(skip_serializing_if = "is_zero")]
    continued: u32,
    #[serde(skip_serializing_if = "is_zero")]
    ignored_events: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_fault: Option<&'a str>,
    pop: &'a str,
    /// CPU time of the guest since its sandbox's last log line.
    vcpu_ms: u64,
}

#[derive(Serialize)]
struct ClassifierLine<'a> {
    provider: &'a str,
    model: &'a str,
    duration_ms: f64,
    #[serde(flatten)]
    usage: Option<UsageLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<f64>,
}

#[derive(Serialize)]
struct AttemptLine<'a> {
    provider: &'a str,
    model: &'a str,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    head_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_piece_ms: Option<f64>,
    duration_ms: f64,
    #[serde(skip_serializing_if = "is_false")]
    hedge: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing_entry: Option<&'a str>,
}

#[derive(Serialize)]
struct UsageLine {
    #[serde(rename = "gen_ai.usage.input_tokens")]
    input: u64,
    #[serde(rename = "gen_ai.usage.output_tokens", skip_serializing_if = "Option::is_none")]
    output: Option<u64>,
    #[serde(rename = "gen_ai.usage.cache_read.input_tokens")]
    cached_input: u64,
    #[serde(rename = "gen_ai.usage.cache_creation.input_tokens")]
    cache_write: u64,
    #[serde(rename = "gen_ai.usage.reasoning.output_tokens", skip_serializing_if = "Option::is_none")]
    reasoning: Option<u64>,
}

#[derive(Serialize)]
struct DurationLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    decide: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<f64>,
    total: f64,
}

#[derive(Serialize)]
struct BytesLine {
    received: u64,
    sent: u64,
}

/// The line for `record`, without a line end. `now` is the time since 1970.
pub fn line(record: &Record, now: Duration, vcpu_ms: u64) -> String {
    let line = Line {
        v: VERSION,
        time: humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + now).to_string(),
        id: &record.id,
        method: &record.method,
        path: &record.path,
        door: record.door.as_str(),
        status: record.status,
        error: record.error.as_deref(),
        client: record.client.as_deref(),
        refusal: record.refusal.as_deref(),
        claimed_client: record.claimed_client.as_deref(),
        tags: &record.tags,
        policy: record.policy.as_deref(),
        tier: record.tier.as_deref(),
        source: record.source.map(|source| source.as_str()),
        reason: record.reasons.iter().map(|reason| reason.as_str()).collect(),
        rules: &record.rules,
        confidence: record.confidence,
        classifier: record.classifier.as_ref().map(|classifier| ClassifierLine {
            provider: &classifier.names.provider,
            model: &classifier.names.model,
            duration_ms: milliseconds(classifier.duration),
            usage: classifier.usage.map(usage_line),
            cost_usd: classifier.cost,
        }),
        attempts: record
            .attempts
            .iter()
            .map(|attempt| AttemptLine {
                provider: &attempt.names.provider,
                model: &attempt.names.model,
                outcome: attempt.end.to_string(),
                head_ms: attempt.head.map(milliseconds),
                first_piece_ms: attempt.first_piece.map(milliseconds),
                duration_ms: milliseconds(attempt.duration),
                hedge: attempt.hedge,
                estimate_usd: attempt.estimate,
                meaning: attempt.meaning.as_deref(),
                request_id: attempt.request_id.as_deref(),
                missing_entry: attempt.missing_entry.as_deref(),
            })
            .collect(),
        cooling: &record.cooling,
        operation: record.requested_model.is_some().then_some("chat"),
        provider: record.served.as_ref().map(|served| served.provider.as_str()),
        model: record.served.as_ref().map(|served| served.model.as_str()),
        request_model: record.requested_model.as_deref(),
        response_model: record.response_model.as_deref(),
        finish_reasons: &record.finish_reasons,
        usage: known_usage(&record.tally),
        cost_usd: record.cost,
        cost_estimated: record.cost_is_estimated,
        stream: record.stream,
        dropped: &record.dropped,
        duration_ms: DurationLine {
            decide: record.timings.decide.map(milliseconds),
            first_byte: record.timings.first_byte.map(milliseconds),
            total: milliseconds(record.timings.total.unwrap_or_default()),
        },
        bytes: BytesLine { received: record.bytes_received, sent: record.bytes_sent },
        client_closed: record.client_closed,
        handed_off: record.handed_off,
        resumed: record.resumed,
        continued: record.continued,
        ignored_events: record.ignored_events,
        secret_fault: record.secret_fault.as_deref(),
        pop: &record.pop,
        vcpu_ms,
    };
    serde_json::to_string(&line).expect("a log line should serialise")
}

/// What an answer's provider counted; of one that counted only when it began, the input alone.
fn known_usage(tally: &Tally) -> Option<UsageLine> {
    let of_input = |usage| UsageLine { output: None, reasoning: None, ..usage_line(usage) };
    tally.usage.map(usage_line).or(tally.usage_at_start.map(of_input))
}

fn usage_line(usage: Usage) -> UsageLine {
    let Usage { input, cached_input, cache_write, output, reasoning } = usage;
    UsageLine { input, output: Some(output), cached_input, cache_write, reasoning: Some(reasoning) }
}

/// With three decimals, which is what the clock is good for.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

fn slice_is_empty(slice: &&[String]) -> bool {
    slice.is_empty()
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timings;

    #[test]
    fn a_line_is_one_flat_object() {
        let record = Record {
            id: "id1".into(),
            method: "POST".into(),
            path: "/v1/chat/completions".into(),
            status: 200,
            requested_model: Some("gpt-4o\n".into()),
            tally: Tally {
                usage: Some(Usage { input: 10, cached_input: 2, cache_write: 4, output: 3, reasoning: 1 }),
                ..Tally::default()
            },
            timings: Timings { total: Some(Duration::from_micros(1500)), ..Timings::default() },
            ..Record::default()
        };
        let line = line(&record, Duration::from_millis(1_790_000_000_123), 4);
        assert!(!line.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let expected = serde_json::json!({
            "v": 2, "time": "2026-09-21T14:13:20.123Z", "id": "id1", "http.request.method": "POST",
            "url.path": "/v1/chat/completions", "door": "chat", "http.response.status_code": 200, "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o\n", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 3,
            "gen_ai.usage.cache_read.input_tokens": 2, "gen_ai.usage.cache_creation.input_tokens": 4,
            "gen_ai.usage.reasoning.output_tokens": 1, "stream": false,
            "duration_ms": {"total": 1.5}, "bytes": {"received": 0, "sent": 0}, "pop": "", "vcpu_ms": 4,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn output_that_was_not_counted_is_unknown() {
        let usage_at_start = Some(Usage { input: 10, cached_input: 2, cache_write: 4, output: 1, reasoning: 0 });
        let record = Record { tally: Tally { usage_at_start, ..Tally::default() }, ..Record::default() };
        let value: serde_json::Value = serde_json::from_str(&line(&record, Duration::ZERO, 0)).expect("JSON");
        assert_eq!(value["gen_ai.usage.input_tokens"], 10);
        let keys = value.as_object().expect("an object").keys();
        assert!(!keys.clone().any(|key| key.contains("output_tokens")), "{value}");
    }
}
