//! From the phases of all rounds to the figures of the report: medians over rounds, and ratios within a round.

use serde::Serialize;

use super::load::Load;
use super::phase::Phase;
use super::rows::Kind;

/// One row at one number of connections. Times are medians over rounds; ratios and differences are medians of those within
/// a round, so that a drift of the machine is in both sides.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub row: String,
    pub kind: Kind,
    pub connections: u32,
    pub requests: u64,
    pub errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Largest minus smallest p50 of a round, as a part of the median; of events for streams.
    pub spread: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_null_proxy: Option<Ratios>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<EventFigures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decide: Option<DecideFigures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestFigures>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratios {
    pub requests_per_second: f64,
    pub p50: f64,
    pub p99: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct EventFigures {
    pub count: u64,
    pub first_p50_ms: f64,
    pub first_p99_ms: f64,
    /// From sending to receipt.
    pub delay_p50_ms: f64,
    pub delay_p99_ms: f64,
    /// What is more than the null proxy's delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added_p99_ms: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct DecideFigures {
    pub count: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Per request, over all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct GuestFigures {
    pub requests: u64,
    /// By the guest's own clock, as logged.
    pub logged_vcpu_ms: f64,
    /// By the runtime's threads.
    pub cpu_ms: f64,
    /// Missing if no sandbox has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_sandbox: Option<f64>,
}

/// What a row did, and the row that it is compared with, each in the order of rounds.
pub struct Rounds<'a> {
    pub own: &'a [Phase],
    pub baseline: Option<&'a [Phase]>,
}

pub fn figures(row: &str, kind: Kind, connections: u32, rounds: &Rounds<'_>) -> Figures {
    let Rounds { own: phases, baseline } = *rounds;
    let loads = || phases.iter().map(|phase| &phase.load);
    let p50s: Vec<f64> = match kind {
        Kind::Whole => loads().map(|load| load.p50_ms).collect(),
        Kind::Stream => loads().map(|load| delay_ms(load, 0.5)).collect(),
    };
    let ratio = |of: &dyn Fn(&Load) -> f64| paired(phases, baseline, |own, null| of(own) / of(null));
    let to_null_proxy =
        match (ratio(&|load| load.requests_per_second), ratio(&|load| load.p50_ms), ratio(&|load| load.p99_ms)) {
            (Some(requests_per_second), Some(p50), Some(p99)) => Some(Ratios { requests_per_second, p50, p99 }),
            _ => None,
        };
    let astray = |phase: &Phase| phase.guest.as_ref().map_or(0, |(lines, _)| lines.astray);
    let first_astray = || {
        let lines = phases.iter().filter_map(|phase| phase.guest.as_ref());
        lines.filter_map(|(lines, _)| lines.first_astray.clone()).next()
    };
    Figures {
        row: row.to_owned(),
        kind,
        connections,
        requests: loads().map(|load| load.requests).sum(),
        errors: phases.iter().map(|phase| phase.load.errors + astray(phase)).sum(),
        first_error: loads().find_map(|load| load.first_error.clone()).or_else(first_astray),
        requests_per_second: median(loads().map(|load| load.requests_per_second)),
        p50_ms: median(loads().map(|load| load.p50_ms)),
        p99_ms: median(loads().map(|load| load.p99_ms)),
        spread: spread(&p50s),
        to_null_proxy,
        events: (kind == Kind::Stream).then(|| EventFigures {
            count: loads().map(|load| load.events.delay.len()).sum(),
            first_p50_ms: median(loads().map(|load| first_ms(load, 0.5))),
            first_p99_ms: median(loads().map(|load| first_ms(load, 0.99))),
            delay_p50_ms: median(loads().map(|load| delay_ms(load, 0.5))),
            delay_p99_ms: median(loads().map(|load| delay_ms(load, 0.99))),
            added_p50_ms: paired(phases, baseline, |own, null| delay_ms(own, 0.5) - delay_ms(null, 0.5)),
            added_p99_ms: paired(phases, baseline, |own, null| delay_ms(own, 0.99) - delay_ms(null, 0.99)),
        }),
        decide: decide(phases),
        guest: guest(phases),
    }
}

fn decide(phases: &[Phase]) -> Option<DecideFigures> {
    let lines = phases.iter().filter_map(|phase| phase.guest.as_ref());
    let mut times: Vec<f64> = lines.flat_map(|(lines, _)| lines.decide_ms.iter().copied()).collect();
    times.sort_by(f64::total_cmp);
    let rank = |quantile: f64| times.get((times.len() as f64 * quantile) as usize).copied();
    Some(DecideFigures { count: times.len(), p50_ms: rank(0.5)?, p99_ms: rank(0.99)? })
}

fn guest(phases: &[Phase]) -> Option<GuestFigures> {
    let guests: Vec<_> = phases.iter().filter_map(|phase| phase.guest.as_ref()).collect();
    let requests: u64 = guests.iter().map(|(lines, _)| lines.count).sum();
    let per_request = |sum: f64| sum / requests as f64;
    let sandboxes: u64 = guests.iter().map(|(_, used)| used.sandboxes).sum();
    (requests > 0).then(|| GuestFigures {
        requests,
        logged_vcpu_ms: per_request(guests.iter().map(|(lines, _)| lines.vcpu_ms as f64).sum()),
        cpu_ms: per_request(guests.iter().map(|(_, used)| used.cpu.as_secs_f64() * 1e3).sum()),
        requests_per_sandbox: (sandboxes > 0).then(|| requests as f64 / sandboxes as f64),
    })
}

/// The median of what each round makes of the row's phase and the null proxy's.
fn paired(phases: &[Phase], baseline: Option<&[Phase]>, of: impl Fn(&Load, &Load) -> f64) -> Option<f64> {
    let pairs = phases.iter().zip(baseline?);
    Some(median(pairs.map(|(own, null)| of(&own.load, &null.load))))
}

fn first_ms(load: &Load, quantile: f64) -> f64 {
    load.events.first.value_at_quantile(quantile) as f64 / 1e6
}

fn delay_ms(load: &Load, quantile: f64) -> f64 {
    load.events.delay.value_at_quantile(quantile) as f64 / 1e6
}

/// Not a number for no values.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        None => f64::NAN,
        Some(&upper) if values.len() % 2 == 1 => upper,
        Some(&upper) => (values[middle - 1] + upper) / 2.0,
    }
}

fn spread(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    (largest - smallest) / median(values.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hdrhistogram::Histogram;

    use super::*;
    use crate::bench::lines::Lines;
    use crate::bench::load::Events;
    use crate::bench::meter::Sums;

    fn phase(p50_ms: f64, delay_ns: u64) -> Phase {
        let mut delay = Histogram::new(3).expect("three digits should be possible");
        delay.record(delay_ns).expect("it should grow");
        let lines = Lines { count: 10, vcpu_ms: 4, decide_ms: vec![p50_ms], ..Lines::default() };
        let used = Sums { cpu: Duration::from_millis(6), sandboxes: 2 };
        Phase {
            load: Load {
                requests: 10,
                errors: 0,
                first_error: None,
                requests_per_second: 1e3 / p50_ms,
                p50_ms,
                p99_ms: 2.0 * p50_ms,
                events: Events { first: delay.clone(), delay },
            },
            guest: Some((lines, used)),
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine is half as fast in the last round, which concerns both rows.
        let own = [phase(1.2, 1000), phase(1.2, 1000), phase(2.4, 1000)];
        let null = [phase(1.0, 400), phase(1.0, 400), phase(2.0, 400)];
        let figures = figures("bypass", Kind::Stream, 1, &Rounds { own: &own, baseline: Some(&null) });
        let ratios = figures.to_null_proxy.expect("there is a baseline");
        assert!((ratios.p50 - 1.2).abs() < 1e-9, "{ratios:?}");
        assert!((ratios.requests_per_second - 1.0 / 1.2).abs() < 1e-9, "{ratios:?}");
        let added = figures.events.and_then(|events| events.added_p50_ms);
        assert!((added.expect("streams have events") - 0.0006).abs() < 1e-5, "{added:?}");
        assert_eq!((figures.p50_ms, figures.requests), (1.2, 30));
        let guest = figures.guest.expect("there are lines");
        assert_eq!((guest.logged_vcpu_ms, guest.cpu_ms), (0.4, 0.6));
        assert_eq!((guest.requests, guest.requests_per_sandbox), (30, Some(5.0)));
        assert_eq!(figures.decide.map(|decide| (decide.count, decide.p50_ms)), Some((3, 1.2)));
    }

    #[test]
    fn medians_and_spreads() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median(std::iter::empty()).is_nan());
        assert_eq!(spread(&[1.0, 2.0, 3.0]), 1.0);
    }
}
