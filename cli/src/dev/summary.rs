//! One request's log line, as one short line for people.

use serde::Deserialize;

/// The fields of the log line that people want to see first.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "http.request.method")]
    method: String,
    #[serde(rename = "url.path")]
    path: String,
    #[serde(rename = "http.response.status_code")]
    status: u16,
    #[serde(rename = "error.type")]
    error: Option<String>,
    refusal: Option<String>,
    tier: Option<String>,
    source: Option<String>,
    #[serde(default)]
    reason: Vec<String>,
    #[serde(rename = "gen_ai.provider.name")]
    provider: Option<String>,
    model: Option<String>,
    #[serde(default)]
    attempts: Vec<Attempt>,
    #[serde(default)]
    handed_off: bool,
    #[serde(default)]
    client_closed: bool,
    secret_fault: Option<String>,
    duration_ms: Durations,
}

#[derive(Deserialize)]
struct Attempt {
    provider: String,
    model: String,
    outcome: String,
    missing_entry: Option<String>,
}

#[derive(Deserialize)]
struct Durations {
    decide: Option<f64>,
    total: f64,
}

/// Shows a line that cannot be read as it is.
pub fn summarize(json: &str) -> String {
    serde_json::from_str(json).map_or_else(|_| json.to_owned(), |line| describe(&line))
}

fn describe(line: &Line) -> String {
    let status = console::style(line.status);
    let status = if line.status < 400 { status.green() } else { status.red() };
    let mut text = format!("{status} {} {}", line.method, line.path);
    if let Some(tier) = &line.tier {
        text += &format!("  {tier}");
    }
    if let Some(source) = &line.source {
        text += &format!(" by {source}");
    }
    if !line.reason.is_empty() {
        text += &format!(" [{}]", line.reason.join(", "));
    }
    if let (Some(provider), Some(model)) = (&line.provider, &line.model) {
        text += &format!("  {provider}/{model}");
    }
    let in_vain: Vec<String> =
        line.attempts.iter().filter(|attempt| !attempt.served()).map(Attempt::describe).collect();
    if !in_vain.is_empty() {
        text += &format!("  tried {}", console::style(in_vain.join(", ")).yellow());
    }
    for failure in [&line.error, &line.refusal, &line.secret_fault].into_iter().flatten() {
        text += &format!("  {failure}");
    }
    for (is_so, note) in [(line.handed_off, "handed off"), (line.client_closed, "client left")] {
        if is_so {
            text += &format!("  {note}");
        }
    }
    text += &format!("  {:.0} ms", line.duration_ms.total);
    if let Some(decide) = line.duration_ms.decide {
        text += &format!(" (decided in {decide:.0})");
    }
    text
}

impl Attempt {
    /// Whether its answer, or the beginning of it, is what the client got.
    fn served(&self) -> bool {
        self.outcome.starts_with('2')
    }

    fn describe(&self) -> String {
        let Attempt { provider, model, outcome, missing_entry } = self;
        let entry = missing_entry.as_ref().map(|entry| format!(" (no entry {entry})")).unwrap_or_default();
        format!("{provider}/{model}:{outcome}{entry}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_short_line() {
        for (json, expected) in [
            (
                r#"{"v":2,"http.request.method":"POST","url.path":"/v1/chat/completions","http.response.status_code":200,
                "tier":"fast","source":"classifier","reason":["low_confidence"],"gen_ai.provider.name":"openai",
                "model":"gpt-6-luna","duration_ms":{"decide":12.4,"first_byte":30.1,"total":41.6}}"#,
                "200 POST /v1/chat/completions  fast by classifier [low_confidence]  openai/gpt-6-luna  42 ms (decided in 12)",
            ),
            (
                r#"{"http.request.method":"GET","url.path":"/v1/models","http.response.status_code":401,
                "error.type":"invalid_api_key","refusal":"no_key","duration_ms":{"total":0.3}}"#,
                "401 GET /v1/models  invalid_api_key  no_key  0 ms",
            ),
            (
                r#"{"http.request.method":"POST","url.path":"/v1/chat/completions","http.response.status_code":200,
                "tier":"fast","source":"header","reason":["policy_stale"],"gen_ai.provider.name":"c","model":"m",
                "attempts":[{"provider":"a","model":"m","outcome":"no_secret","missing_entry":"a.example"},
                {"provider":"b","model":"m","outcome":"timeout","duration_ms":9.0},
                {"provider":"c","model":"m","outcome":"200"}],"handed_off":true,"duration_ms":{"total":41.6}}"#,
                "200 POST /v1/chat/completions  fast by header [policy_stale]  c/m  \
                 tried a/m:no_secret (no entry a.example), b/m:timeout  handed off  42 ms",
            ),
            (
                r#"{"http.request.method":"POST","url.path":"/v1/chat/completions","http.response.status_code":502,
                "error.type":"provider_error","tier":"fast","source":"header","attempts":
                [{"provider":"a","model":"m","outcome":"503"},{"provider":"b","model":"m","outcome":"broken"}],
                "duration_ms":{"total":7}}"#,
                "502 POST /v1/chat/completions  fast by header  tried a/m:503, b/m:broken  provider_error  7 ms",
            ),
            (
                r#"{"http.request.method":"POST","url.path":"/v1/chat/completions","http.response.status_code":200,
                "tier":"fast","source":"header","gen_ai.provider.name":"a","model":"m","client_closed":true,
                "attempts":[{"provider":"a","model":"m","outcome":"200"}],"duration_ms":{"total":7}}"#,
                "200 POST /v1/chat/completions  fast by header  a/m  client left  7 ms",
            ),
            ("not JSON", "not JSON"),
        ] {
            assert_eq!(console::strip_ansi_codes(&summarize(json)), expected);
        }
    }
}
