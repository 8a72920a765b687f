//! The policy's parser, seen from outside: what is refused, where, and with which words.
#![allow(clippy::panic, clippy::unreachable, clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod agreement;
mod documents;

use std::collections::BTreeSet;

use documents::{EXAMPLE, SHIPPED, SMALLEST, edit, edited, example, parse_value, paths, validator};
use serde_json::{Value, json};
use tiergate::policy::parse::{MAX_DOCUMENT_BYTES, parse};
use tiergate::policy::{Auth, Entry, NamedAuth, OnRefusal, PromptCache, Resume, StreamMode, Thinking, default_policy};

#[test]
fn good_documents_parse_and_validate() {
    let validator = validator();
    for (name, text) in [("example", EXAMPLE), ("shipped", SHIPPED), ("smallest", SMALLEST)] {
        if let Err(faults) = parse(text.as_bytes()) {
            panic!("{name}: {faults}");
        }
        let document = serde_json::from_str(text).expect("JSON");
        if let Err(error) = validator.validate(&document) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn the_row_of_gemini_is_the_same_wherever_it_stands() {
    let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let page = include_str!("../../docs/policy.md");
    let rows = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let rows = rows.map(value).find(|rows| rows["google"].is_object()).expect("rows of providers");
    for text in [SHIPPED, include_str!("../../clients/policy.json")] {
        assert_eq!(value(text)["providers"]["google"], rows["google"]);
    }
}

#[test]
fn the_shipped_policy_restricts_nothing() {
    let policy = default_policy();
    assert!(policy.rules.is_empty());
    assert_eq!(policy.auth, Auth::Required);
    assert!(policy.models.iter().all(|model| model.price.is_some()), "each model should have a price");
}

#[test]
fn the_example_means_what_it_says() {
    let policy = parse(EXAMPLE.as_bytes()).expect("the example should parse");
    let tier = policy.tier(policy.tier_named("balanced").expect("a tier"));
    let [Entry::Split(members), Entry::One(last)] = tier.candidates.as_slice() else { panic!("{:?}", tier.candidates) };
    let shares = members.iter().map(|member| (policy.model(member.candidate.model).name.as_str(), member.weight));
    assert_eq!(shares.collect::<Vec<_>>(), [("claude-sonnet-5-5", 90), ("gemini-3.8-flash", 10)]);
    assert_eq!(policy.provider_of(last.model).name, "openai");
    assert_eq!(tier.hedge_after.map(|delay| delay.as_millis()), Some(4000));
    assert_eq!(policy.rules[0].then.max_tier, policy.tier_named("balanced"));
    let google = policy.provider_of(policy.model_named("gemini-3.8-flash").expect("a model"));
    assert_eq!(google.secret, "generativelanguage.googleapis.com");
    assert_eq!(google.base_url.path, "/v1beta/openai");
    assert_eq!(
        google.quirks.iter().map(|quirk| quirk.as_str()).collect::<Vec<_>>(),
        ["tool_delta_without_index", "thought_signatures", "ends_with_user"]
    );
}

#[test]
fn what_is_absent_has_its_default() {
    let policy = parse(SMALLEST.as_bytes()).expect("the document should parse");
    let (tier, model, provider) = (&policy.tiers[0], &policy.models[0], &policy.providers[0]);
    assert_eq!((policy.ttl.as_secs(), policy.limits.body_bytes, policy.auth), (5, 10 << 20, Auth::Required));
    let health = &policy.health;
    let cooldowns = [health.cooldown, health.max_cooldown, health.auth_cooldown].map(|cooldown| cooldown.as_secs());
    assert_eq!((health.failures, cooldowns), (3, [5, 120, 300]));
    let waits = (tier.wait.as_millis(), tier.early_head.map(|after| after.as_millis()), tier.on_refusal);
    assert_eq!(waits, (0, Some(45_000), OnRefusal::End));
    assert!(policy.cors_origins.is_empty() && policy.classifier.is_none() && policy.rules.is_empty());
    assert_eq!((tier.retries, tier.hedge_after, tier.stream, tier.resume), (0, None, StreamMode::Guarded, Resume::Off));
    assert_eq!((tier.deadlines.connect.as_millis(), tier.deadlines.response.as_millis()), (600, 300));
    assert_eq!((model.tools, model.vision, model.json_schema, model.tools_effort), (false, false, false, None));
    assert_eq!((model.files, model.audio, model.video), (false, false, false));
    assert_eq!((model.forced_tools, model.sampling, model.sampling_exclusive), (true, true, false));
    assert_eq!((model.thinking, model.thinking_display, model.efforts.as_ref()), (Thinking::Always, false, None));
    assert_eq!((model.prefill, model.system_turns), (None, false));
    assert_eq!((model.prompt_cache, model.prompt_cache_min), (PromptCache::Auto, 1024));
    assert_eq!(model.default_max_tokens, 100, "never more than max_output");
    let price = model.price.expect("a price");
    assert_eq!((price.cached_input, price.cache_write, price.long), (2.0, 2.0, None));
    assert_eq!((&provider.auth, provider.secret.as_str()), (&NamedAuth::Bearer.into(), "llm.example"));
    assert_eq!((provider.path.as_ref(), provider.query.as_str()), (None, ""));
    assert_eq!((provider.max_connections, provider.tcp_keepalive), (0, None));
    assert!(!provider.show_reasoning);
    assert_eq!((provider.base_url.port, provider.base_url.path.as_str()), (8443, "/v1"));
}

#[test]
fn each_fault_is_reported_once_where_it_is_with_what_is_valid() {
    let validator = validator();
    let cases = include_str!("faults.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    for case in cases {
        let [pointer, value, path, text, refused_by] = case.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("{case} should have five columns");
        };
        let mut document = example();
        // Some cases change the tier that is the default, which would be a second fault.
        document["default_tier"] = json!("fast");
        let value: Option<Value> = (value != "-").then(|| serde_json::from_str(value).expect(case));
        edit(&mut document, pointer, value.as_ref());
        let result = parse_value(&document);
        assert_eq!(paths(&result), [path], "{case}: {result:?}");
        let message = result.expect_err("a document with a fault should be refused").to_string();
        assert!(message.contains(text), "{case}: {message}");
        let expected = match refused_by {
            "both" => false,
            "parser" => true,
            _ => panic!("{case} should end with both or parser"),
        };
        assert_eq!(validator.is_valid(&document), expected, "{case}: the schema's view");
        count += 1;
    }
    assert!(count > 70, "the table should be read to its end, not only {count} lines");
}

#[test]
fn ten_faults_are_ten_paths() {
    let document = r#"{
      "version": "bad version",
      "default_tier": "best",
      "policy_ttl_s": 10,
      "policy_ttl_s": 5,
      "colour": "blue",
      "classifier": { "model": "gone", "timeout_ms": 100, "min_confidence": "high", "excerpt_bytes": 100,
                      "breaker": { "failures": 3, "open_s": 30 } },
      "tiers": [
        { "name": "fast", "description": "Quick.", "candidates": [],
          "deadlines": { "first_token_ms": 100, "idle_ms": 100, "total_ms": 600 } },
        { "name": "Slow", "description": "Careful.", "candidates": [ { "model": "m" } ],
          "deadlines": { "first_token_ms": 100, "idle_ms": 100, "total_ms": 600 }, "stream": "handoff" }
      ],
      "models": { "m": { "provider": "p", "id": "m", "context": 1000 } },
      "providers": { "p": { "base_url": "https://a.example", "dialect": "openai-chat", "secret": "b.example" } },
      "rules": [ { "name": "r", "when": {}, "then": { "tier": "Slow", "providers": [ "p" ] } } ]
    }"#;
    let result = parse(document.as_bytes());
    let found = paths(&result).into_iter().collect::<BTreeSet<_>>();
    let expected = BTreeSet::from([
        "$.version",
        "$.default_tier",
        "$.policy_ttl_s",
        "$.colour",
        "$.classifier.model",
        "$.classifier.min_confidence",
        "$.tiers[0].candidates",
        "$.tiers[1].name",
        "$.models.m.max_output",
        "$.providers.p.secret",
    ]);
    assert_eq!(found, expected, "{result:?}");
    assert_eq!(paths(&result).len(), 10);
    let text = result.expect_err("ten faults").to_string();
    assert_eq!(text.lines().count(), 10);
    assert!(text.contains("$.classifier.model: unknown model \"gone\"; valid: m"), "{text}");
}

#[test]
fn repeated_keys_are_faults() {
    let cases = [
        (r#""version": "1","#, "$.version"),
        (r#""policy_ttl_s": 7, "policy_ttl_s": 8,"#, "$.policy_ttl_s"),
        (r#""limits": { "body_bytes": 1, "body_bytes": 1 },"#, "$.limits.body_bytes"),
        (r#""models": {},"#, "$.models"),
    ];
    let add = |text: &str, before: &str| SMALLEST.replacen(before, &format!("{text} {before}"), 1);
    for (text, path) in cases {
        let result = parse(add(text, "\"providers\": {").as_bytes());
        assert_eq!(paths(&result), [path], "{text}: {result:?}");
    }
    let provider = r#""p": { "base_url": "https://llm.example", "dialect": "openai-chat" },"#;
    assert_eq!(paths(&parse(add(provider, "\"p\": {").as_bytes())), ["$.providers.p"]);
}

#[test]
fn what_is_no_json_is_one_fault_at_the_root() {
    let deep = "[".repeat(100_000);
    let large = format!("{}{}", EXAMPLE, " ".repeat(MAX_DOCUMENT_BYTES));
    let cases: &[(&[u8], &str)] = &[
        (b"", "line 1 column 0"),
        (b"{\n  \"version\" 1 }", "line 2 column 13"),
        (b"{} x", "trailing characters"),
        (b"{\"version\": \"\xff\"}", "line 1"),
        (b"{\"version\": 1e999}", "number out of range"),
        (deep.as_bytes(), "recursion limit exceeded"),
        (large.as_bytes(), "at most 524288"),
        (b"[]", "expected an object, found an array"),
        (b"null", "expected an object, found null"),
        (b"\"policy\"", "expected an object, found a string"),
    ];
    for (bytes, text) in cases {
        let case = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).into_owned();
        let result = parse(bytes);
        assert_eq!(paths(&result), ["$"], "{case}");
        let message = result.expect_err("a fault").to_string();
        assert!(message.contains(text), "{case}: {message}");
    }
}

#[test]
fn a_key_goes_only_to_its_own_host() {
    let cases = [
        ("https://api.openai.com/v1", Some("api.openai.com"), None),
        ("https://api.openai.com:8443/v1", Some("api.openai.com__batch"), None),
        ("https://evil.example/v1", Some("api.openai.com"), Some("secret")),
        ("https://evil.example/v1", Some("api.openai.com__evil.example"), Some("secret")),
        ("https://api.openai.com.evil.example", Some("api.openai.com"), Some("secret")),
        ("https://api.openai.com", Some("API.openai.com"), Some("secret")),
        ("https://api.openai.com", Some("api.openai.com__"), Some("secret")),
        // The user part of a URL must not pass for its host.
        ("https://api.openai.com@evil.example", Some("api.openai.com"), Some("base_url")),
        // Without a secret the host names it, so a host must not look like another host's labelled secret.
        ("https://api.openai.com__evil", None, Some("base_url")),
        ("http://api.openai.com/v1", None, Some("base_url")),
        ("http://127.0.0.1:8080/v1", None, None),
    ];
    for (url, secret, field) in cases {
        let mut document = example();
        document["providers"]["openai"]["base_url"] = json!(url);
        edit(&mut document, "/providers/openai/secret", secret.map(|secret| json!(secret)).as_ref());
        let expected = field.map(|field| format!("$.providers.openai.{field}"));
        let result = parse_value(&document);
        assert_eq!(paths(&result), expected.iter().collect::<Vec<_>>(), "{url} with {secret:?}");
    }
}

#[test]
fn a_key_that_was_pasted_into_a_policy_is_not_repeated() {
    let key = "sk-proj-PastedByMistake";
    let fields = ["secret", "auth", "dialect", "base_url"].map(|field| format!("/providers/openai/{field}"));
    for pointer in fields.iter().map(String::as_str).chain(["/auth", "/tiers/0/name", "/rules/0/when/client/0"]) {
        for value in [json!(key), json!(format!("https://user:{key}@a.example")), json!(format!("Bearer {key}"))] {
            let Err(faults) = parse_value(&edited(pointer, Some(&value))) else {
                panic!("{pointer} should be refused")
            };
            let text = format!("{faults} {faults:?}");
            assert!(!text.contains(key), "{pointer}: {text}");
        }
    }
}

#[test]
fn a_byte_order_mark_is_no_fault() {
    let marked = |times: usize| [&b"\xef\xbb\xbf".repeat(times), SMALLEST.as_bytes()].concat();
    assert_eq!(parse(&marked(1)), parse(SMALLEST.as_bytes()));
    assert_eq!(paths(&parse(&marked(2))), ["$"], "only one stands in front of a text");
}

/// Documents as large as one may be that once cost a new sandbox too much: each is told with a bounded number of faults. Lists and
/// objects are of short items, since what an item is read into is far larger than what it is written as.
#[test]
fn a_senseless_document_costs_little_and_is_told_briefly() {
    let repeated = |item: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        for index in 0.. {
            let item = item(index);
            if text.len() + item.len() > MAX_DOCUMENT_BYTES - 2_000 {
                break;
            }
            text.push_str(if text.is_empty() { "" } else { "," });
            text.push_str(&item);
        }
        text
    };
    let into = |before: &str, text: &str| SMALLEST.replacen(before, &format!("{text}{before}"), 1);
    let field = |name: &str, list: String| {
        let mut document: Value = serde_json::from_str(SMALLEST).expect("JSON");
        document[name] = json!("here");
        document.to_string().replace("\"here\"", &list)
    };
    let cases = [
        ("unknown fields", into("\"providers\"", &(repeated(&|index| format!("\"f{index}\":0")) + ","))),
        ("near misses", into("\"providers\"", &(repeated(&|index| format!("\"tier{}\":0", index % 100)) + ","))),
        ("one field, again and again", into("\"providers\"", &(repeated(&|_| "\"rules\":[]".to_owned()) + ","))),
        ("tiers that are none", field("tiers", format!("[{}]", repeated(&|_| "0".to_owned())))),
        ("empty tiers", field("tiers", format!("[{}]", repeated(&|_| "{}".to_owned())))),
        ("models that are none", field("models", format!("{{{}}}", repeated(&|index| format!("\"{index}\":0"))))),
        ("one model, again and again", field("models", format!("{{{}}}", repeated(&|_| "\"\":0".to_owned())))),
        (
            "rules that name nothing",
            field(
                "rules",
                format!("[{}]", repeated(&|_| { r#"{"name":"r","when":{},"then":{"tier":"x"}}"#.to_owned() })),
            ),
        ),
        (
            "candidates that are none",
            field(
                "tiers",
                format!(
                    r#"[{{"name":"t","description":"x","candidates":[{}],"deadlines":{{"first_token_ms":1,"idle_ms":1,"total_ms":1}}}}]"#,
                    repeated(&|_| r#"{"model":"x"}"#.to_owned()),
                ),
            ),
        ),
    ];
    for (name, document) in cases {
        assert!(
            document.len() > MAX_DOCUMENT_BYTES - 4_000 && document.len() <= MAX_DOCUMENT_BYTES,
            "{name}: {}",
            document.len()
        );
        let Err(faults) = parse(document.as_bytes()) else { panic!("{name} should be refused") };
        assert_eq!(faults.0.len(), 51, "{name}: {}", faults.0.len());
        let last = faults.0.last().map(ToString::to_string);
        assert_eq!(last.as_deref(), Some("$: more than 50 faults; what comes after these is not told"), "{name}");
        assert!(faults.to_string().len() < 100_000, "{name}: {} bytes", faults.to_string().len());
    }
}

#[test]
fn no_part_of_a_document_is_taken_for_a_whole_one() {
    let end = EXAMPLE.trim_end().len();
    for length in 0..end {
        assert_eq!(paths(&parse(&EXAMPLE.as_bytes()[..length])), ["$"], "the first {length} bytes");
    }
}
