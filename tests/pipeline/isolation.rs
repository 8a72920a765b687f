//! What a writer of the KV Store, or a provider, or a client can try to move a key or a prompt to another place: each fails.

use http::Method;
use serde_json::{Value, json};
use tiergate::policy::parse::parse;
use tiergate::upstream::keyring::{Layout, StoreUse};

use crate::fake::Event;
use crate::scenario::{CLASSIFIER, FIRST, SECOND, Scenario, answer, client, json_reply, policy, secret_of, verdict};

const EVIL: &str = "evil.example";

/// The Secret Store's one entry for all places, with what `more` adds.
fn places(more: Value) -> String {
    let mut places = json!({"hmac": {"2026": "no provider's key, but a root of our own"}});
    for host in [CLASSIFIER, FIRST, SECOND] {
        places[format!("https://{host}/v1")] = secret_of(host).into();
    }
    places.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    places.to_string()
}

/// The test policy with another row for the provider `name`.
fn with_row(name: &str, row: Value) -> Value {
    let mut policy = policy();
    policy["providers"][name].as_object_mut().unwrap().extend(row.as_object().unwrap().clone());
    policy
}

fn large(policy: Value) -> Scenario {
    Scenario::new().header("x-route-tier", "large").policy(policy)
}

/// Everything that was sent went to the second provider, with its own key.
fn assert_second_only(scenario: &Scenario, case: &str) {
    let sent = scenario.fake.sent.borrow();
    assert!(!sent.is_empty(), "{case}: the second provider should have served");
    for sent in sent.iter() {
        assert_eq!(sent.url, format!("https://{SECOND}/v1/chat/completions"), "{case}");
        assert_eq!(sent.headers["authorization"], format!("Bearer {}", secret_of(SECOND)), "{case}");
    }
    let prepared =
        scenario.fake.events.borrow().iter().any(|event| matches!(event, Event::BackendReady(host) if host != SECOND));
    assert!(!prepared, "{case}: not even a backend is made for another place");
}

#[test]
fn a_row_at_another_place_gets_neither_key_nor_prompt() {
    let elsewhere = [
        "https://evil.example/v1",
        "https://first.example:8443/v1",
        "https://first.example:80/v1",
        "https://first.example.evil.example/v1",
        "https://evil-first.example/v1",
        "https://evil.first.example/v1",
        "https://irst.example/v1",
        "https://first.exampl/v1",
        "https://example/v1",
        "https://xn--frst-1qa.example/v1",
        "https://10.0.0.1/v1",
        "https://127.0.0.1/v1",
        "https://0.0.0.0/v1",
        "https://169.254.169.254/v1",
        "https://[::1]/v1",
        "https://[::ffff:127.0.0.1]/v1",
        "https://localhost/v1",
        "https://localhost.evil.example/v1",
        // Names that the store's own entry or a static backend of the service may have.
        "https://tiergate/v1",
        "https://tiergate:8443/v1",
        "https://internal-admin/v1",
    ];
    // Of the places of one entry, only prefixes of whole segments count, and the entries of hosts do not.
    let outside = [
        "https://first.example",
        "https://first.example/v2",
        "https://first.example/v10",
        "https://first.example/V1",
        "https://first.example/x/v1",
        "https://first.example/v1.evil",
        "https://first.example/v1@evil.example",
        "https://listed-as-a-host.example/v1",
    ];
    let no_more: &[&str] = &[];
    for (layout, more) in [(None, no_more), (Some(places(json!({}))), &outside[..])] {
        for url in elsewhere.iter().chain(more) {
            for auth in ["bearer", "x-api-key", "api-key", "none"] {
                let case = format!("{url} {auth} {layout:?}");
                let row = json!({"base_url": url, "auth": auth});
                let mut scenario = large(with_row("first", row)).provider(SECOND, answer("hi"));
                if let Some(places) = &layout {
                    scenario = scenario.secret("tiergate", places).secret("listed-as-a-host.example", "key");
                }
                let scenario = scenario.run();
                let attempts = scenario.response_header("x-route-attempts");
                assert_eq!(attempts, "first/one:no_secret,second/two:200", "{case}: {}", scenario.text());
                assert_second_only(&scenario, &case);
            }
        }
    }
}

#[test]
fn a_key_on_this_machine_has_its_port_too() {
    let row = json!({"base_url": "http://127.0.0.1:8000/v1"});
    let without =
        large(with_row("first", row.clone())).secret("127.0.0.1", "for-port-443").provider(SECOND, answer("hi")).run();
    assert_eq!(without.response_header("x-route-attempts"), "first/one:no_secret,second/two:200");
    assert_second_only(&without, "a host's entry");

    let listed = |port| places(json!({format!("http://127.0.0.1:{port}"): "local-key"}));
    let other =
        large(with_row("first", row.clone())).secret("tiergate", &listed(8001)).provider(SECOND, answer("hi")).run();
    assert_second_only(&other, "another port");
    let own = large(with_row("first", row)).secret("tiergate", &listed(8000)).provider("127.0.0.1", answer("hi")).run();
    assert_eq!(own.fake.sent.borrow()[0].headers["authorization"], "Bearer local-key");
}

/// A path of a row's own is below its base URL, and as much a part of the place.
#[test]
fn a_path_of_the_row_is_part_of_the_place() {
    let listed = places(json!({"https://first.example/v1": null, "https://first.example/v1/eu": secret_of(FIRST)}));
    let run = |row: Value| {
        let mut policy = with_row("first", row);
        policy["models"]["one"]["id"] = json!("eu/x");
        large(policy).secret("tiergate", &listed).provider(FIRST, answer("hi")).provider(SECOND, answer("hi")).run()
    };
    for path in ["/us/chat", "/europe/chat", "/{model}/chat", "/eu{model}/chat"] {
        assert_second_only(&run(json!({"path": path})), path);
    }
    for row in [json!({"path": "/eu/chat"}), json!({"path": "/eu/{model}/chat", "query": {"api-version": "1"}})] {
        let scenario = run(row.clone());
        let sent = scenario.fake.sent.borrow();
        assert!(sent[0].url.starts_with("https://first.example/v1/eu/"), "{row}: {}", sent[0].url);
        assert_eq!(sent[0].headers["authorization"], format!("Bearer {}", secret_of(FIRST)));
    }
}

#[test]
fn a_policy_that_hides_where_it_leads_does_not_parse() {
    let first = |url: &str| json!({"base_url": url});
    let with_secret = |url: &str, secret: &str| json!({"base_url": url, "secret": secret});
    for row in [
        first("https://first.example@evil.example/v1"),
        first("https://user:password@first.example/v1"),
        first("https://first.example:443@evil.example/v1"),
        first("https://First.example/v1"),
        first("https://first.example./v1"),
        first("https://first..example/v1"),
        first("https://.first.example/v1"),
        first("https://first%2eexample/v1"),
        first("https://first.example%2f@evil.example/v1"),
        first("https://first.example\\@evil.example/v1"),
        first("https://first.example\\.evil.example/v1"),
        first("https://first.example\t.evil.example/v1"),
        first("https://first.example\r\nhost: evil.example/v1"),
        first("https://first.example /v1"),
        first("https://f\u{ef}rst.example/v1"),
        first("https://first\u{3002}example/v1"),
        first("https://first_example/v1"),
        first("https://first.example:/v1"),
        first("https://first.example:00443000/v1"),
        first("https://first.example/v1?host=evil.example"),
        first("https://first.example/v1#evil"),
        first("https://first.example/v1/../evil"),
        first("https://first.example/v1/./evil"),
        first("https://first.example/v1/%2e%2e/evil"),
        first("https://first.example/v1/..%2fevil"),
        first("https://first.example/v1/..;/evil"),
        first("https://first.example/v1\\..\\evil"),
        first("https://first.example/v1//evil"),
        first("https://first.example//evil.example/v1"),
        first("https:first.example/v1"),
        first("//first.example/v1"),
        first("HTTPS://first.example/v1"),
        first("http://first.example/v1"),
        first("http://localhost.evil.example/v1"),
        first("http://127.0.0.1.evil.example/v1"),
        first("http://127.1/v1"),
        first("http://0x7f000001/v1"),
        first("http://2130706433/v1"),
        first("http://0.0.0.0/v1"),
        first("http://[::ffff:127.0.0.1]/v1"),
        first("http://[fe80::1%25lo]/v1"),
        with_secret("https://evil.example/v1", "first.example"),
        with_secret("https://evil.example/v1", "first.example__eu"),
        with_secret("https://evil.example/v1", "tiergate"),
        with_secret("https://first.example/v1", "second.example"),
        with_secret("https://first.example/v1", "second.example__eu"),
        with_secret("https://first.example/v1", "first.example_"),
        with_secret("https://first.example/v1", "first.example_eu"),
        with_secret("https://first.example/v1", "first.example__"),
        with_secret("https://first.example/v1", "first.example.evil.example__eu"),
        with_secret("https://first.example/v1", "First.example"),
        with_secret("https://first.example:8443/v1", "first.example:8443"),
        json!({"auth": {"header": "host", "prefix": ""}}),
        json!({"auth": "Bearer"}),
        json!({"headers": {"host": "evil.example"}}),
        json!({"query": {"key": "value"}}),
    ] {
        let document = with_row("first", row.clone());
        assert!(parse(document.to_string().as_bytes()).is_err(), "{row}");
    }
}

#[test]
fn a_label_is_an_entry_of_its_own() {
    for (label, places) in [
        ("eu", None),
        ("x__y", None),
        ("_", None),
        ("eu", Some(places(json!({"https://first.example/v1": {"": secret_of(FIRST), "us": "us-key"}})))),
    ] {
        let row = json!({"secret": format!("{FIRST}__{label}")});
        let mut scenario = large(with_row("first", row)).provider(SECOND, answer("hi"));
        if let Some(places) = &places {
            scenario = scenario.secret("tiergate", places);
        }
        let scenario = scenario.run();
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:no_secret,second/two:200", "{label}");
        assert_second_only(&scenario, label);
    }
    let labelled = places(json!({"https://first.example/v1": {"x__y": "labelled-key"}}));
    for (entry, value) in [("first.example__x__y", "labelled-key"), ("tiergate", labelled.as_str())] {
        let row = json!({"secret": "first.example__x__y"});
        let scenario = large(with_row("first", row)).secret(entry, value).provider(FIRST, answer("hi")).run();
        assert_eq!(scenario.fake.sent.borrow()[0].headers["authorization"], "Bearer labelled-key", "{entry}");
    }
}

#[test]
fn a_marker_lets_prompts_through_and_no_key() {
    let none = || with_row("first", json!({"auth": "none"}));
    let open = |value: Value| places(json!({"https://first.example/v1": value}));
    for (entry, value) in [
        (FIRST, ""),
        (FIRST, "marker"),
        (FIRST, secret_of(FIRST).as_str()),
        ("tiergate", &open(Value::Null)),
        ("tiergate", &open(secret_of(FIRST).into())),
    ] {
        let scenario = large(none()).secret(entry, value).provider(FIRST, answer("hi")).run();
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:200", "{entry} {value}");
        let sent = scenario.fake.sent.borrow();
        let text = format!("{}{}", sent[0].url, String::from_utf8_lossy(&sent[0].body));
        let names = sent[0].headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        assert!(!text.contains("secret-of"), "{text}");
        for (name, value) in names {
            assert!(!String::from_utf8_lossy(value).contains("secret-of"), "{name} carries the key");
        }
        assert!(!sent[0].headers.contains_key("authorization"));
    }
    // A marker is no key, and what only a blank is, neither.
    for (entry, value) in [(FIRST, " \n"), ("tiergate", open(Value::Null).as_str())] {
        let scenario = large(policy()).secret(entry, value).provider(SECOND, answer("hi")).run();
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:no_secret,second/two:200", "{entry}");
        assert_second_only(&scenario, entry);
    }
}

#[test]
fn this_machine_needs_no_entry_if_it_takes_no_key() {
    for (host, url) in
        [("localhost", "http://localhost:11434/v1"), ("127.0.0.1", "http://127.0.0.1/v1"), ("::1", "http://[::1]:8000")]
    {
        let row = json!({"base_url": url, "auth": "none"});
        let scenario = large(with_row("first", row)).provider(host, answer("hi")).run();
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:200", "{url}");
        assert!(!scenario.fake.sent.borrow()[0].headers.contains_key("authorization"), "{url}");
        assert_eq!(*scenario.fake.secret_reads.borrow(), [""; 0], "{url}");
    }
}

#[test]
fn the_host_called_like_the_entry_never_gets_it() {
    // The sandbox took the store for one with an entry per host before the entry of all places came.
    let row = json!({"base_url": "https://tiergate/v1"});
    for auth in ["bearer", "none"] {
        let mut row = row.clone();
        row["auth"] = auth.into();
        let scenario =
            large(with_row("first", row)).secret("tiergate", &places(json!({}))).provider(SECOND, answer("hi"));
        scenario.memory.secret_store.set(StoreUse { reads: 0, layout: Some(Layout::Hosts) });
        let scenario = scenario.run();
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:no_secret,second/two:200");
        assert_second_only(&scenario, auth);
    }
}

#[test]
fn the_classifier_is_held_to_the_same() {
    for (layout, row) in [
        (None, json!({"base_url": "https://evil.example/v1", "auth": "none"})),
        (None, json!({"base_url": "https://evil.example/v1"})),
        (None, json!({"base_url": format!("https://{CLASSIFIER}:8443/v1"), "auth": "none"})),
        (None, json!({"base_url": "http://127.0.0.1:1/v1"})),
        (Some(places(json!({}))), json!({"base_url": format!("https://{CLASSIFIER}/v2"), "auth": "none"})),
        (Some(places(json!({}))), json!({"base_url": format!("https://{CLASSIFIER}/v2")})),
    ] {
        let mut scenario = Scenario::new().policy(with_row("classifier", row.clone())).provider(FIRST, answer("hi"));
        if let Some(places) = &layout {
            scenario = scenario.secret("tiergate", places);
        }
        let scenario = scenario.run();
        assert_eq!(scenario.response_header("x-route-reason"), "classifier_no_secret", "{row}");
        assert_eq!(scenario.asked(), [FIRST], "{row}");
    }
}

#[test]
fn redirects_are_not_followed() {
    for status in [300, 301, 302, 303, 305, 307, 308] {
        let redirect = || {
            json_reply(status, json!({"location": format!("https://{EVIL}/v1")}))
                .with_header("location", &format!("https://{EVIL}/v1/chat/completions"))
        };
        let scenario = large(policy()).provider(FIRST, redirect()).provider(SECOND, answer("hi")).run();
        assert_eq!(scenario.response_header("x-route-attempts"), format!("first/one:{status},second/two:200"));
        assert_eq!(scenario.asked(), [FIRST, SECOND]);
        let both = large(policy()).provider(FIRST, redirect()).provider(SECOND, redirect()).run();
        assert_eq!(both.status(), 502, "a redirect is never passed on: {status}");
        assert!(!both.text().contains(EVIL), "{}", both.text());

        let classified = Scenario::new().provider(CLASSIFIER, redirect()).provider(FIRST, answer("hi")).run();
        assert_eq!(classified.response_header("x-route-reason"), "classifier_error", "{status}");
        assert_eq!(classified.asked(), [CLASSIFIER, FIRST]);
    }
}

#[test]
fn a_client_cannot_say_where_its_prompt_goes() {
    let mut scenario = Scenario::new().provider(CLASSIFIER, verdict("large", 0.9)).provider(FIRST, answer("hi"));
    for name in ["host", "x-forwarded-host", "forwarded", "x-original-url", "x-host", "via", "fastly-ff", "location"] {
        scenario = scenario.header(name, EVIL);
    }
    let scenario = scenario.run();
    assert_eq!(scenario.asked(), [CLASSIFIER, FIRST]);
    for sent in scenario.fake.sent.borrow().iter() {
        assert!(!format!("{} {:?}", sent.url, sent.headers).contains(EVIL), "{} {:?}", sent.url, sent.headers);
    }
    for path in [
        "//evil.example/v1/chat/completions",
        "https://evil.example/v1/chat/completions",
        "/v1/../evil",
        "/v1/chat/completions/@evil.example",
    ] {
        let scenario = Scenario::new().path(Method::POST, path).run();
        assert_eq!((scenario.status(), scenario.asked().len()), (404, 0), "{path}");
    }
}

#[test]
fn a_faulty_entry_opens_nothing_and_is_told_without_a_word_of_it() {
    for (entry, told) in [
        ("sk-planted-key-0123456789", "not valid JSON at line 1"),
        (r#"{"https://first.example/v1": "sk-planted-key-0123456789",}"#, "not valid JSON at line 1"),
        (r#"{"sk-planted-key-0123456789": "https://first.example/v1"}"#, "entry 1 of the object"),
        (r#"{"https://first.example/v1": {"sk-planted-key-0123456789 ": null}}"#, "a label"),
        (r#"["https://first.example/v1"]"#, "not a JSON object"),
        ("", "not valid JSON"),
    ] {
        let inspected = Scenario::new().client(client(json!({"may_inspect": true}))).header("x-route-tier", "large");
        let scenario = inspected.secret("tiergate", entry).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (503, "no_secret"), "{entry}");
        assert_eq!(scenario.response_header("x-route-attempts"), "first/one:no_secret,second/two:no_secret");
        assert_eq!(scenario.asked(), [""; 0], "the entries of hosts are no way out");
        let fault = scenario.log()["secret_fault"].as_str().unwrap_or_default().to_owned();
        assert!(fault.contains(told), "{fault}");
        let out = format!("{}{}", scenario.text(), scenario.log());
        assert!(!out.contains("planted"), "{out}");

        let health = scenario.path(Method::GET, "/healthz").again_after(Default::default());
        assert_eq!(health.json()["secrets"], json!({"fault": fault}));
    }
    let health =
        |scenario: Scenario| scenario.client(client(json!({"may_inspect": true}))).path(Method::GET, "/healthz").run();
    assert_eq!(health(Scenario::new()).json()["secrets"], json!({"layout": "hosts"}));
    assert_eq!(health(Scenario::new().secret("tiergate", "{}")).json()["secrets"], json!({"layout": "places"}));
    let down = Scenario::new();
    down.fake.no_secret_store.set(true);
    assert_eq!(health(down).json()["secrets"], json!({"fault": "the Secret Store cannot be reached"}));
    assert_eq!(
        Scenario::new().path(Method::GET, "/healthz").run().json().get("secrets"),
        None,
        "for those who may inspect only"
    );
}
