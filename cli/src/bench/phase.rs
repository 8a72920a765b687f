//! One row at one number of connections in one round: the load, and what guest and runtime say of it.

use anyhow::Result;

use super::lines::{self, Lines};
use super::load::{self, Load};
use super::meter::Sums;
use super::rig::Service;
use super::rows::Row;

#[derive(Clone, Debug)]
pub struct Phase {
    pub load: Load,
    /// For guests: their log lines, and what they have used.
    pub guest: Option<(Lines, Sums)>,
}

/// Sends the row's request to `service` `requests` times, on `connections` at once.
pub async fn measure(service: &mut Service, row: &Row, connections: u32, requests: u64) -> Result<Phase> {
    lines::drain(&mut service.lines);
    let before = service.meter.sums();
    let load = load::run(&row.shot, connections, requests).await?;
    let lines = lines::collect(&mut service.lines, load.requests, row.source).await;
    let after = service.meter.sums();
    let used = Sums { cpu: after.cpu.saturating_sub(before.cpu), sandboxes: after.sandboxes - before.sandboxes };
    Ok(Phase { load, guest: Some((lines, used)) })
}
