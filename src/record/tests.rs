//! A record that another execution goes on with.

use super::*;
use crate::policy::LongPrice;
use crate::record::line::line;
use crate::secret::Secret;
use crate::wire::carried;
use crate::wire::door::Door;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A record with a value in every field.
fn full() -> Record {
    let names = |name: &str| ModelNames { provider: format!("{name}-provider"), model: format!("{name}-model") };
    let usage = Usage { input: 9, cached_input: 2, cache_write: 1, output: 5, reasoning: 3 };
    let tally = Tally { usage: Some(usage), usage_at_start: Some(usage), text_bytes: 20 };
    let long = LongPrice { above_tokens: 7, input: 0.1, cached_input: 0.2, cache_write: 0.3, output: 0.1 + 0.2 };
    let attempt = |end: AttemptEnd| AttemptRecord {
        names: names("tried"),
        price: Some(Price { input: 0.1, cached_input: 0.2, cache_write: 0.3, output: 1.0 / 3.0, long: Some(long) }),
        end,
        started: MILLISECOND,
        duration: 2 * MILLISECOND,
        head: Some(3 * MILLISECOND),
        first_piece: Some(4 * MILLISECOND),
        hedge: true,
        meaning: Some("overloaded".into()),
        request_id: Some("req".to_owned()),
        missing_entry: Some("entry".to_owned()),
        billing: Billing::Possible,
        tally,
        estimate: Some(0.1 + 0.2),
    };
    let mut keys = Keys::default();
    keys.add(&Secret::new("a-key-that-goes-nowhere".to_owned()));
    Record {
        id: "id".to_owned(),
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        door: Door::Chat,
        pop: "AMS".to_owned(),
        client: Some("client".to_owned()),
        refusal: Some("expired".into()),
        claimed_client: Some("claimed".to_owned()),
        tags: BTreeMap::from([("team".to_owned(), "gr\u{f6}\u{df}e".to_owned())]),
        policy: Some("1-ab".to_owned()),
        requested_model: Some("gpt".to_owned()),
        stream: true,
        tier: Some("large".to_owned()),
        source: Some(DecisionSource::Classifier),
        reasons: vec![Reason::NeedsTools, Reason::PolicyStale],
        rules: vec!["rule".to_owned()],
        confidence: Some(2.0 / 3.0),
        classifier: Some(ClassifierRecord {
            names: names("classifier"),
            duration: 5 * MILLISECOND,
            usage: Some(usage),
            cost: Some(1e-9 / 3.0),
        }),
        input_tokens: Some(9),
        attempts: vec![
            attempt(AttemptEnd::Status(StatusCode::TOO_MANY_REQUESTS)),
            attempt(AttemptEnd::Failed("timeout".into())),
            attempt(AttemptEnd::Closed),
            attempt(AttemptEnd::Abandoned),
            attempt(AttemptEnd::Probing),
            AttemptRecord { billing: Billing::Served, ..attempt(AttemptEnd::Status(StatusCode::OK)) },
            AttemptRecord { billing: Billing::Free, price: None, ..attempt(AttemptEnd::Closed) },
        ],
        serving: Some(5),
        cooling: vec!["a/b".to_owned()],
        served: Some(names("served")),
        dropped: vec!["seed".to_owned()],
        timings: Timings {
            auth: Some(MILLISECOND),
            policy: Some(2 * MILLISECOND),
            decide: Some(3 * MILLISECOND),
            upstream: Some(4 * MILLISECOND),
            first_byte: Some(5 * MILLISECOND),
            total: Some(6 * MILLISECOND),
        },
        tally,
        finish_reasons: vec!["stop".to_owned()],
        response_model: Some("gpt-1".to_owned()),
        cost: Some(1.0 / 7.0),
        cost_is_estimated: true,
        bytes_received: 10,
        bytes_sent: 11,
        status: 200,
        error: Some("stream_broken".into()),
        client_closed: true,
        handed_off: true,
        resumed: 1,
        continued: 3,
        secret_fault: Some("fault".to_owned()),
        ignored_events: 2,
        keys,
    }
}

#[test]
fn a_record_is_carried_whole_but_for_its_keys() {
    for record in [full(), Record::default()] {
        let written = carried::write(&record);
        assert!(!String::from_utf8_lossy(&written).contains("nowhere"), "no key is carried");
        let read: Record = carried::read(&written).expect("a record");
        let now = Duration::from_secs(1_790_000_000);
        assert_eq!(line(&read, now, 4), line(&record, now, 4));
        let without_keys = Record { keys: Keys::default(), ..record };
        assert_eq!(format!("{read:?}"), format!("{without_keys:?}"));
    }
}
