//! Where requests go: models by any spelling of their names, paths that are not served, and browsers.

use http::Method;
use serde_json::{Value, json};

use crate::scenario::{CLASSIFIER, FIRST, Scenario, answer, client, policy, verdict};

const ORIGIN: &str = "https://app.example";

fn get(path: &str) -> Scenario {
    Scenario::new().client(client(json!({"may_pin": true}))).path(Method::GET, path)
}

#[test]
fn models_are_listed_with_the_names_that_work() {
    let ids = |entry: Value| {
        let list = Scenario::new().client(client(entry)).path(Method::GET, "/v1/models").run().json();
        let ids = list["data"].as_array().expect("a list").iter().map(|model| model["id"].clone()).collect::<Vec<_>>();
        Value::from(ids)
    };
    assert_eq!(ids(json!({})), json!(["auto", "small", "large", "claude-auto"]));
    assert_eq!(ids(json!({"tiers": ["small"]})), json!(["auto", "small", "claude-auto"]));
    assert_eq!(
        ids(json!({"may_pin": true})),
        json!(["auto", "small", "large", "judge", "one", "plain", "two", "claude-auto"])
    );
}

#[test]
fn a_model_is_found_by_any_spelling_of_its_name() {
    let mut named = policy();
    named["models"]["vendor/Model-1.5"] = named["models"]["one"].clone();
    for (path, id) in [
        ("/v1/models/vendor/Model-1.5", Some("vendor/Model-1.5")),
        ("/v1/models/vendor%2FModel%2d1%2E5", Some("vendor/Model-1.5")),
        ("/models/one/", Some("one")),
        ("/v1/models/%6Fne", Some("one")),
        ("/v1/models/auto", Some("auto")),
        ("/v1/models/SMALL", Some("small")),
        ("/v1/models/claude-auto", Some("claude-auto")),
        ("/v1/models/claude-small", Some("claude-small")),
        ("/v1/models/claude-SMALL", Some("claude-small")),
        ("/v1/models/claude-one", None),
        ("/v1/models/ONE", None),
        ("/v1/models/on%", None),
        ("/v1/models/one%FF", None),
        ("/v1/models/%25one", None),
    ] {
        let scenario = get(path).policy(named.clone()).run();
        match id {
            Some(id) => assert_eq!((scenario.status(), &scenario.json()["id"]), (200, &json!(id)), "{path}"),
            None => assert_eq!((scenario.status(), scenario.error_code()), (404, "model_not_found".into()), "{path}"),
        }
    }
}

#[test]
fn a_tier_is_known_in_any_case_and_auto_is_routed() {
    for (model, source, tier) in [
        ("small", "model", "small"),
        ("Small", "model", "small"),
        ("SMALL", "model", "small"),
        ("auto", "classifier", "small"),
        ("Auto", "classifier", "small"),
        ("smaller", "classifier", "small"),
    ] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
        let scenario =
            Scenario::new().ask(body).provider(CLASSIFIER, verdict("small", 0.9)).provider(FIRST, answer("hi")).run();
        assert_eq!(scenario.status(), 200, "{}", scenario.text());
        assert_eq!(scenario.response_header("x-route-source"), source, "{model}");
        assert_eq!(scenario.response_header("x-route-tier"), tier, "{model}");
    }
}

#[test]
fn a_path_that_is_not_served_says_what_to_use() {
    for (path, words) in [
        ("/v1/responses", "Responses API is not served; use POST /v1/chat/completions"),
        ("/v1/responses/resp_1/input_items", "Responses API is not served"),
        ("/v1/completions", "older Completions API is not served; use POST /v1/chat/completions"),
        ("/v1/embeddings", "Embeddings are not served"),
        ("/v1/audio/speech", "ask the provider itself"),
        ("/v1/files", "ask the provider itself"),
        ("/v1/assistants", "Assistants API is not served; use POST /v1/chat/completions"),
        ("/v1/chat/completions/chatcmpl-1", "No completion is stored"),
        ("/v1/v1/chat/completions", "`/v1` stands twice"),
        ("/v1/v1/models", "`/v1` stands twice"),
        ("/api/chat", "Ollama"),
        ("/v1beta/models/gemini:generateContent", "Gemini"),
        ("/openai/deployments/gpt/chat/completions", "Azure"),
        ("/v1", "base URL"),
        ("/", "base URL"),
        ("/nowhere", "There is nothing at this path"),
        ("/v1/responsesx", "There is nothing at this path"),
    ] {
        let scenario = Scenario::new().path(Method::POST, path).run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (404, "unknown_path"), "{path}");
        let message = scenario.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert!(message.contains(words), "{path}: {message}");
        assert!(message.contains("POST /v1/chat/completions"), "{path}: {message}");
    }
}

#[test]
fn a_misspelt_routing_header_is_refused() {
    for name in ["x-route-teir", "x-route-", "x-route-provider", "x-route-id"] {
        let scenario = Scenario::new().header(name, "fast").run();
        assert_eq!((scenario.status(), scenario.error_code().as_str()), (400, "invalid_header"), "{name}");
        let message = scenario.text();
        assert!(message.contains(&format!("`{name}`")) && message.contains("x-route-tier, "), "{message}");
        assert!(scenario.asked().is_empty());
    }
    let answers = Scenario::new().header("x-route-provider", "first").run().text();
    assert!(answers.contains("answers"), "{answers}");
    let other = Scenario::new().header("x-router", "a").header("x-route-tier", "small").provider(FIRST, answer("hi"));
    assert_eq!(other.run().status(), 200);
}

#[test]
fn browsers_may_send_what_sdks_send() {
    let asked = "authorization,content-type,user-agent,x-stainless-os,x-stainless-new-one,openai-beta,http-referer,x-title,\
                 anthropic-version,anthropic-dangerous-direct-browser-access,api-key,idempotency-key,x-route-tier";
    let preflight = |origin: &str, path: &str| {
        Scenario::new()
            .without_header("authorization")
            .path(Method::OPTIONS, path)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", &format!("{asked},x-evil,x-stainless-\"no"))
            .run()
    };
    for path in ["/v1/chat/completions", "/v1/embeddings", "/nowhere"] {
        let scenario = preflight(ORIGIN, path);
        assert_eq!(scenario.status(), 204, "{path}");
        let allowed = scenario.response_header("access-control-allow-headers");
        let allowed: Vec<&str> = allowed.split(", ").collect();
        let missing: Vec<&str> = asked.split(',').filter(|name| !allowed.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(!allowed.iter().any(|name| name.contains("evil") || name.contains('"')), "{allowed:?}");
        assert_eq!(preflight("https://evil.example", path).response_header("access-control-allow-headers"), "");
    }
}

#[test]
fn a_browser_can_read_that_there_is_nothing() {
    for (method, path, status) in [
        (Method::POST, "/v1/responses", 404),
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/v1/chat/completions", 405),
        (Method::DELETE, "/v1/models", 405),
    ] {
        let from = |origin: &str| Scenario::new().path(method.clone(), path).header("origin", origin).run();
        let scenario = from(ORIGIN);
        assert_eq!(scenario.status(), status, "{path}");
        assert_eq!(scenario.response_header("access-control-allow-origin"), ORIGIN, "{path}");
        assert_eq!(from("https://evil.example").response_header("access-control-allow-origin"), "", "{path}");
        let keyless = Scenario::new().without_header("authorization").path(method, path).header("origin", ORIGIN).run();
        assert_eq!(keyless.status(), status, "nothing is known by a key that is not needed");
        assert!(keyless.log().get("refusal").is_none_or(Value::is_null), "{}", keyless.log());
    }
    let nobody = Scenario::new().path(Method::GET, "/nowhere").run();
    assert_eq!(nobody.fake.secret_reads.borrow().len(), 0);
    assert_eq!(nobody.response_header("x-route-policy"), "", "no store is asked for what is nowhere");
}
