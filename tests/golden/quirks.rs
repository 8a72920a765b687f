//! The tables of providers' deviations name every quirk, and cases that show it.

use std::collections::HashMap;
use std::fs;

use serde_json::{Value, json};
use tiergate::policy::Quirk;
use tiergate::policy::parse::parse;

/// The cells of a table's row.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// The words between back-quotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// A policy whose providers are the rows that `docs/policy.md` offers.
#[test]
fn the_rows_that_are_offered_parse() {
    let text = fs::read_to_string("docs/policy.md").expect("docs/policy.md");
    let rows = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let rows = rows.map(|json| serde_json::from_str::<Value>(&json.replace("RESOURCE", "resource")).expect("JSON"));
    let rows = rows.into_iter().find(|rows| rows.get("mistral").is_some()).expect("rows of providers");
    let names: Vec<&String> = rows.as_object().expect("an object").keys().collect();
    let models = names.iter().map(|name| {
        let model = json!({"provider": name, "id": "model", "context": 1000, "max_output": 1000});
        (format!("{name}-model"), model)
    });
    let candidates: Vec<Value> = names.iter().map(|name| json!({"model": format!("{name}-model")})).collect();
    let document = json!({
        "version": "1", "default_tier": "only",
        "tiers": [{
            "name": "only", "description": "Everything.", "candidates": candidates,
            "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
        }],
        "models": models.collect::<serde_json::Map<_, _>>(),
        "providers": rows,
    });
    let policy = parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(policy.providers.len(), names.len());
}

#[test]
fn every_quirk_has_a_line_and_a_case() {
    let text = fs::read_to_string("docs/dialects.md").expect("docs/dialects.md");
    let (_, section) = text.split_once("## OpenAI-compatible providers").expect("the section");
    let rows: HashMap<&str, Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(cells)
        .filter_map(|cells| Some((*quoted(cells[0]).first()?, cells)))
        .collect();
    let policy = fs::read_to_string("docs/policy.md").expect("docs/policy.md");
    for quirk in Quirk::ALL {
        let name = quirk.as_str();
        let row = rows.get(name).unwrap_or_else(|| panic!("docs/dialects.md has no line for `{name}`"));
        assert!(policy.contains(&format!("| `{name}` |")), "docs/policy.md has no line for `{name}`");
        assert!(row.iter().all(|cell| !cell.is_empty()), "`{name}`: {row:?}");
        let cases = quoted(row.last().expect("a last cell"));
        assert!(!cases.is_empty(), "`{name}` has no case");
        for case in cases {
            let text = fs::read_to_string(format!("tests/golden/openai/{case}.json"));
            let text = text.unwrap_or_else(|error| panic!("`{name}`: {case}: {error}"));
            let case: Value = serde_json::from_str(&text).expect("JSON");
            let quirks = case["policy_provider"]["quirks"].as_array().expect("quirks");
            assert!(quirks.iter().any(|quirk| quirk == name), "`{name}` is not what {} shows", case["shows"]);
        }
    }
    for (name, row) in &rows {
        for case in row.last().map(|cell| quoted(cell)).unwrap_or_default() {
            let path = format!("tests/golden/openai/{case}.json");
            assert!(fs::exists(&path).expect("a readable folder"), "{name}: {path} is missing");
        }
    }
}
