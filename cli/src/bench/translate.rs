//! `--scenario translate`: what the translation between dialects costs, without any of the work around it.
//!
//! The `translate` guest times it inside Wasm; one of its answers is a round.

use anyhow::{Context, Result, ensure};
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Style};
use tiergate_guests::translation::Row;
use tokio::task::spawn_blocking;

use super::figures::median;
use super::options::BenchOptions;
use crate::gateway::{Gateway, GatewayOptions};
use crate::wasm::{self, Guest};

/// Every row, its figure the median of the rounds.
pub async fn measure(options: &BenchOptions, report: impl Fn(&str) + Send + 'static) -> Result<Vec<Row>> {
    let wasm = spawn_blocking(move || wasm::build(&[Guest::Translate], &mut |line| report(line))).await??;
    let gateway = Gateway::start(GatewayOptions::new(&wasm[0])).await?;
    let mut rounds: Vec<Vec<Row>> = Vec::new();
    for _ in 0..options.rounds.get() {
        let response = reqwest::get(gateway.url()).await.context("the guest does not answer")?;
        let rows = response.error_for_status()?.json().await.context("the guest answers something else")?;
        rounds.push(rows);
    }
    let first = rounds.first().context("there is a round at least")?;
    ensure!(rounds.iter().all(|rows| rows.len() == first.len()), "the rounds have different rows");
    let rows = first.iter().enumerate().map(|(index, row)| Row {
        micros: median(rounds.iter().map(|rows| rows[index].micros)),
        count: rounds.iter().map(|rows| rows[index].count).sum(),
        ..row.clone()
    });
    Ok(rows.collect())
}

pub fn render(rows: &[Row]) -> String {
    let mut table = Builder::new();
    table.push_record(["translation", "µs", "per", "measured"]);
    for row in rows {
        table.push_record([row.work.clone(), format!("{:.2}", row.micros), row.unit.clone(), row.count.to_string()]);
    }
    let mut table = table.build();
    table.with(Style::markdown()).modify(Columns::one(1), Alignment::right());
    table.modify(Columns::one(3), Alignment::right());
    format!("Translation alone, in Wasm, by the guest's clock\n{table}\n")
}
