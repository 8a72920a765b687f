//! All that a run of `tiergate bench` has shown, as `--json` prints it.

use serde::Serialize;

use super::figures::Figures;

/// All that a run has shown.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub version: &'static str,
    pub cores: usize,
    pub rounds: u32,
    /// How long or how many requests a row takes in a round.
    pub phase: String,
    /// Missing where the rows' names say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<usize>,
    pub events: u64,
    pub gap_ms: u64,
    pub guests: Vec<GuestReport>,
    pub rows: Vec<Figures>,
}

#[derive(Clone, Debug, Serialize)]
pub struct GuestReport {
    pub name: String,
    pub wasm_bytes: u64,
    /// Missing if no sandbox has ended yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_mib: Option<f64>,
}
