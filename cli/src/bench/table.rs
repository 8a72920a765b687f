//! The report for people: three tables and what must be known to read them.

use std::fmt::Write;

use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};

use super::figures::Figures;
use super::report::Report;
use super::rows::Kind;

/// Below this the guests' whole milliseconds say too little.
const ENOUGH_LINES: u64 = 3000;
/// Below this the median of the decide times says too little.
const ENOUGH_DECISIONS: usize = 500;

pub fn render(report: &Report) -> String {
    let of_kind = |kind| report.rows.iter().filter(move |figures| figures.kind == kind);
    let mut text = String::new();
    let mut section = |title: &str, table: Option<String>| {
        if let Some(table) = table {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{title}\n{table}\n");
        }
    };
    section(
        "Whole answers (x: against the null proxy)",
        table(
            &[
                "row",
                "connections",
                "requests/s",
                "x",
                "p50 ms",
                "x",
                "p99 ms",
                "x",
                "guest vCPU ms",
                "guest CPU ms",
                "decide p50 ms",
                "spread",
                "errors",
            ],
            of_kind(Kind::Whole).map(whole),
        ),
    );
    section(
        "Streams (event: from sending to receipt; +: more than the null proxy)",
        table(
            &[
                "row",
                "connections",
                "first event p50 ms",
                "p99 ms",
                "event p50 ms",
                "+",
                "event p99 ms",
                "+",
                "guest vCPU ms",
                "guest CPU ms",
                "spread",
                "errors",
            ],
            of_kind(Kind::Stream).map(stream),
        ),
    );
    let guests = report.guests.iter().map(|guest| {
        vec![guest.name.clone(), format!("{:.0}", guest.wasm_bytes as f64 / 1024.0), optional(guest.heap_mib, 1)]
    });
    section("Guests", table(&["guest", "Wasm KiB", "heap MiB"], guests));
    for note in notes(report) {
        let _ = writeln!(text, "{note}");
    }
    text
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Option<String> {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return None;
    }
    let mut builder = Builder::default();
    builder.push_record(head.iter().copied());
    for row in rows {
        builder.push_record(row);
    }
    let mut table = builder.build();
    table.with(Style::markdown()).modify(Columns::new(1..), Alignment::right());
    Some(table.to_string())
}

fn whole(figures: &Figures) -> Vec<String> {
    let ratios = figures.to_null_proxy;
    let guest = figures.guest.as_ref();
    vec![
        figures.row.clone(),
        figures.connections.to_string(),
        format!("{:.0}", figures.requests_per_second),
        optional(ratios.map(|ratios| ratios.requests_per_second), 2),
        format!("{:.3}", figures.p50_ms),
        optional(ratios.map(|ratios| ratios.p50), 2),
        format!("{:.3}", figures.p99_ms),
        optional(ratios.map(|ratios| ratios.p99), 2),
        optional(guest.map(|guest| guest.logged_vcpu_ms), 3),
        optional(guest.map(|guest| guest.cpu_ms), 3),
        optional(figures.decide.as_ref().map(|decide| decide.p50_ms), 3),
        percent(figures.spread),
        figures.errors.to_string(),
    ]
}

fn stream(figures: &Figures) -> Vec<String> {
    let events = figures.events.as_ref();
    let guest = figures.guest.as_ref();
    vec![
        figures.row.clone(),
        figures.connections.to_string(),
        optional(events.map(|events| events.first_p50_ms), 3),
        optional(events.map(|events| events.first_p99_ms), 3),
        optional(events.map(|events| events.delay_p50_ms), 3),
        optional(events.and_then(|events| events.added_p50_ms), 3),
        optional(events.map(|events| events.delay_p99_ms), 3),
        optional(events.and_then(|events| events.added_p99_ms), 3),
        optional(guest.map(|guest| guest.logged_vcpu_ms), 3),
        optional(guest.map(|guest| guest.cpu_ms), 3),
        percent(figures.spread),
        figures.errors.to_string(),
    ]
}

fn notes(report: &Report) -> Vec<String> {
    let sizes = report.body_bytes.map_or_else(String::new, |bytes| {
        let (events, gap_ms) = (report.events, report.gap_ms);
        format!("Requests of {bytes} bytes, streams of {events} events {gap_ms} ms apart. ")
    });
    let mut notes = vec![format!(
        "{} rounds of {}, {} cores shared by load, simulators and gateways; medians over rounds. {sizes}docs/benchmark.md \
         explains the columns.",
        report.rounds, report.phase, report.cores
    )];
    for figures in &report.rows {
        let row = format!("{} at {}", figures.row, figures.connections);
        if let Some(error) = &figures.first_error {
            notes.push(format!("{row}: {} errors, the first: {error}", figures.errors));
        }
        let lines = figures.guest.as_ref().map(|guest| guest.requests);
        if let Some(lines) =
            lines.filter(|&lines| figures.kind == Kind::Whole && figures.connections == 1 && lines < ENOUGH_LINES)
        {
            notes.push(format!("{row}: guest vCPU from {lines} requests only; {ENOUGH_LINES} are needed"));
        }
        let decisions = figures.decide.as_ref().map(|decide| decide.count);
        if let Some(count) = decisions.filter(|&count| figures.row == "classifier" && count < ENOUGH_DECISIONS) {
            notes.push(format!("{row}: decide from {count} requests only; {ENOUGH_DECISIONS} are needed"));
        }
    }
    notes
}

fn optional(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn percent(part: f64) -> String {
    format!("{:.0}%", part * 100.0)
}
