//! The benchmark measures all of its rows. How fast anything is does not matter here.

use anyhow::Result;
use clap::Parser;
use tiergate_cli::bench::{self, BenchOptions, Kind, Way};
use tiergate_cli::wasm::{self, Guest};
use tiergate_simulator::{Profile, SENT_AT, Simulator};

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    options: BenchOptions,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_has_figures() -> Result<()> {
    let answer = format!("{SENT_AT} ").repeat(4);
    let profile = Profile::openai().with_key("peer-key").with_constant_answer(&answer);
    let peer = Simulator::start(profile, "127.0.0.1:0".parse()?).await?;
    let target = format!("--target=peer=http://{}/v1", peer.addr());
    let CommandLine { options } = CommandLine::try_parse_from([
        "bench",
        "--requests=24",
        "--rounds=2",
        "--connections=1,3",
        "--events=4",
        "--gap-ms=1",
        "--target-header=peer:authorization=Bearer peer-key",
        &target,
    ])?;
    let report = bench::measure(&options).await?;

    let whole = ["upstream", "null-proxy", "bypass", "classifier", "peer"];
    let streams = ["upstream-stream", "null-proxy-stream", "bypass-stream", "peer-stream"];
    let expected: Vec<(&str, u32)> = whole.iter().chain(&streams).flat_map(|row| [(*row, 1), (*row, 3)]).collect();
    let rows: Vec<(&str, u32)> = report.rows.iter().map(|row| (row.row.as_str(), row.connections)).collect();
    assert_eq!(rows, expected);

    for figures in &report.rows {
        let name = format!("{} at {}: {figures:?}", figures.row, figures.connections);
        assert_eq!(figures.errors, 0, "{name}");
        let ratios = figures.to_null_proxy.expect(&name);
        let mut positive = vec![
            figures.requests_per_second,
            figures.p50_ms,
            figures.p99_ms,
            ratios.requests_per_second,
            ratios.p50,
            ratios.p99,
        ];
        match figures.kind {
            Kind::Whole => assert_eq!(figures.requests, 48, "{name}"),
            Kind::Stream => {
                let events = figures.events.as_ref().expect(&name);
                assert_eq!(events.count, 48, "{name}");
                positive.extend([events.first_p50_ms, events.first_p99_ms, events.delay_p50_ms, events.delay_p99_ms]);
                let added = [events.added_p50_ms.expect(&name), events.added_p99_ms.expect(&name)];
                assert!(added.iter().all(|added| added.is_finite()), "{name}");
            }
        }
        let is_guest = !figures.row.starts_with("upstream") && !figures.row.starts_with("peer");
        assert_eq!(figures.guest.is_some(), is_guest, "{name}");
        if let Some(guest) = &figures.guest {
            assert_eq!(guest.requests, figures.requests, "{name}");
            assert!(guest.logged_vcpu_ms >= 0.0, "{name}");
            positive.extend([guest.cpu_ms, guest.requests_per_sandbox.unwrap_or(1.0)]);
        }
        let decides = figures.row.starts_with("bypass") || figures.row == "classifier";
        assert_eq!(figures.decide.is_some(), decides, "{name}");
        if let Some(decide) = &figures.decide {
            assert_eq!(decide.count as u64, figures.requests, "{name}");
            positive.extend([decide.p50_ms, decide.p99_ms]);
        }
        assert!(positive.iter().all(|value| value.is_finite() && *value > 0.0), "{name}");
        assert!(figures.spread.is_finite(), "{name}");
    }
    for guest in &report.guests {
        assert!(guest.wasm_bytes > 0 && guest.heap_mib > Some(0.0), "{guest:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outage_has_figures() -> Result<()> {
    let CommandLine { options } = CommandLine::try_parse_from(["bench", "--scenario=outage", "--rounds=1"])?;
    let outages = bench::measure_outages(&options).await?;
    let failures: Vec<&str> = outages.iter().map(|outage| outage.failure).collect();
    assert_eq!(failures, ["503", "refused", "hang", "hang"]);
    for outage in &outages {
        assert!(outage.errors == 0 && outage.p50_ms > 0.0 && outage.first_added_ms.is_finite(), "{outage:?}");
    }
    assert!(outages[2].first_added_ms > 400.0, "a hang costs its deadline: {:?}", outages[2]);
    let herd = &outages[3];
    assert!(herd.connections == 50 && herd.asked.is_some_and(|asked| asked < 50.0), "nobody else asks: {herd:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_requests_have_figures_beside_another_build() -> Result<()> {
    let same = wasm::guest(Guest::Edge)?;
    let build = format!("--build=same={}", same.display());
    let words = ["bench", "--scenario=agent", "--requests=12", "--rounds=1", "--connections=1", "--events=4", &build];
    let CommandLine { options } = CommandLine::try_parse_from(words)?;
    let report = bench::measure(&options).await?;
    let rows: Vec<&str> = report.rows.iter().map(|row| row.row.as_str()).collect();
    let of_size = |size: &str| ["upstream", "null-proxy", "bypass", "same"].map(|row| format!("{row}-{size}"));
    assert_eq!(rows, [of_size("31kb"), of_size("400kb")].concat());
    for figures in &report.rows {
        assert!(figures.errors == 0 && figures.to_null_proxy.is_some() && figures.p50_ms > 0.0, "{figures:?}");
    }
    assert_eq!(report.guests.last().map(|guest| guest.name.as_str()), Some("same"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_relay_has_figures() -> Result<()> {
    let words = ["bench", "--scenario=relay", "--requests=1", "--rounds=1"];
    let CommandLine { options } = CommandLine::try_parse_from(words)?;
    let relays = bench::measure_relays(&options).await?;
    let ways: Vec<Way> = relays.iter().map(|relay| relay.way).collect();
    assert_eq!(ways, [Way::Loop, Way::Passed, Way::Mended, Way::Translated, Way::Messages]);
    for relay in &relays {
        assert!(relay.events == 250 && relay.cpu_us.is_finite() && relay.delay_p50_ms > 0.0, "{relay:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_translation_has_figures() -> Result<()> {
    let CommandLine { options } = CommandLine::try_parse_from(["bench", "--scenario=translate", "--rounds=1"])?;
    let rows = bench::measure_translation(&options).await?;
    let units: Vec<&str> = rows.iter().map(|row| row.unit.as_str()).collect();
    let translations = ["request", "answer", "event", "event", "event", "event", "event", "event"];
    let (documents, bodies) = (["document"; 3], ["request"; 16]);
    assert_eq!(units, [&translations[..], &documents, &bodies].concat());
    assert!(rows.iter().all(|row| row.count > 0 && row.micros.is_finite() && row.micros > 0.0), "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn wrong_options_say_what_is_right() -> Result<()> {
    let parse = |words: &[&str]| CommandLine::try_parse_from(["bench"].iter().chain(words));
    for (words, expected) in [
        (&["--target=peer"][..], "NAME=URL"),
        (&["--target-header=peer"], "NAME:HEADER=VALUE"),
        (&["--build=before.wasm"], "NAME=WASM"),
        (&["--connections=0"], "connections"),
        (&["--requests=5", "--seconds=5"], "cannot be used with"),
    ] {
        let error = parse(words).err().expect(expected).to_string();
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    let options = parse(&["--target-header=peer:x-key=1"])?.options;
    let error = bench::measure(&options).await.expect_err("there is no such target");
    assert!(error.to_string().contains("no --target"), "{error}");
    Ok(())
}
