//! What the simulator of the Messages dialect refuses, rule by rule: each with a request that is right but for it.

use serde_json::{Value, json};
use tiergate_simulator::{Profile, judge_messages_request};

use crate::messages::{request, weather_tool};
use crate::{KEY, ask, start, url};

const OLD: &str = "2023-06-01";
const NEW: &str = "2026-10-21";

async fn check(model: &str, refused: &[(&str, Value)], taken: &[Value]) {
    let simulator = start(Profile::anthropic()).await;
    for (problem, more) in refused {
        let (status, answer) = ask(&simulator, &request(model, "hello", more)).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{model} {more}: {answer}");
        assert!(message.contains(problem), "{model} {more}: {message}");
        assert_eq!(answer["error"]["type"], "invalid_request_error", "{model} {more}");
    }
    for more in taken {
        let (status, answer) = ask(&simulator, &request(model, "hello", more)).await;
        assert_eq!(status, 200, "{model} {more}: {answer}");
    }
}

fn user(content: Value) -> Value {
    json!({"messages": [{"role": "user", "content": content}]})
}

fn image(media_type: &str, data: &str) -> Value {
    json!([{"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}])
}

#[tokio::test]
async fn the_form_of_every_field_is_checked() {
    let tool = |more: Value| {
        let mut tools = weather_tool();
        for (name, value) in more.as_object().unwrap() {
            tools[0][name] = value.clone();
        }
        json!({"tools": tools})
    };
    let refused = [
        ("max_tokens", json!({"max_tokens": "many"})),
        ("max_tokens", json!({"max_tokens": null})),
        ("'logit_bias'", json!({"logit_bias": {}})),
        ("'stream_options'", json!({"stream_options": {"include_usage": true}})),
        ("messages", json!({"messages": []})),
        ("messages.0.role", json!({"messages": [{"role": "tool", "content": "x"}]})),
        ("'name'", json!({"messages": [{"role": "user", "content": "x", "name": "n"}]})),
        (
            "messages.0.content.0.text: text content blocks must be non-empty",
            user(json!([{"type": "text", "text": ""}])),
        ),
        (
            "messages.0.content.0.text: text content blocks must contain non-whitespace text",
            user(json!([{"type": "text", "text": " \n"}])),
        ),
        ("messages.0.content.0.type", user(json!([{"type": "image_url", "image_url": {"url": "https://x"}}]))),
        ("non-empty content", user(json!(""))),
        ("non-empty content", user(json!([]))),
        ("media_type", user(image("image/tiff", "AAAA"))),
        ("not valid base64", user(image("image/png", "???"))),
        ("source.url", user(json!([{"type": "image", "source": {"type": "url", "url": "http://x/y.png"}}]))),
        ("'detail'", user(json!([{"type": "image", "source": {"type": "url", "url": "https://x"}, "detail": "low"}]))),
        ("stop_sequences.0", json!({"stop_sequences": ["\n"]})),
        ("stop_sequences", json!({"stop_sequences": "x"})),
        ("tools.0.name", tool(json!({"name": "get weather"}))),
        ("tools.0.input_schema", tool(json!({"input_schema": {"properties": {}}}))),
        ("JSON schema is invalid", tool(json!({"input_schema": {"type": "object", "properties": {"a": {"type": 5}}}}))),
        ("'parameters'", tool(json!({"parameters": {}}))),
        ("must be unique", json!({"tools": [weather_tool()[0], weather_tool()[0]]})),
        ("tool_choice", json!({"tool_choice": {"type": "auto"}})),
        ("tool_choice", json!({"tools": weather_tool(), "tool_choice": "auto"})),
        ("tool_choice.name", json!({"tools": weather_tool(), "tool_choice": {"type": "tool", "name": "other"}})),
        (
            "tool_choice",
            json!({"tools": weather_tool(), "tool_choice": {"type": "none", "disable_parallel_tool_use": true}}),
        ),
        ("output_config", json!({"output_config": {"effort": "minimal"}})),
        ("metadata", json!({"metadata": {"user": "x"}})),
        ("service_tier", json!({"service_tier": "priority"})),
        ("system.0.type", json!({"system": [{"type": "image", "text": "x"}]})),
        ("128000", json!({"max_tokens": 128_001})),
    ];
    let taken = [
        json!({"system": "x", "stop_sequences": ["END"], "metadata": {"user_id": "u"}, "service_tier": "auto"}),
        json!({"system": [{"type": "text", "text": "x"}], "container": null, "output_config": {"effort": null}}),
        user(image("image/webp", "AAAA")),
        user(
            json!([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}]),
        ),
        tool(json!({"type": "custom", "strict": false, "eager_input_streaming": null})),
        json!({"max_tokens": 128_000}),
    ];
    check("claude-opus-4-8", &refused, &taken).await;
    let simulator = start(Profile::anthropic()).await;
    let mut without = request("claude-opus-4-8", "x", &json!({}));
    without.as_object_mut().unwrap().remove("max_tokens");
    let (status, answer) = ask(&simulator, &without).await;
    assert!(status == 400 && answer.to_string().contains("max_tokens"), "{answer}");
    let (status, answer) = ask(&simulator, &request("claude-9", "x", &json!({}))).await;
    assert_eq!((status, &answer["error"]["type"]), (404, &json!("not_found_error")));
}

#[tokio::test]
async fn each_model_takes_the_thinking_that_it_takes() {
    let adaptive = json!({"thinking": {"type": "adaptive"}});
    let budget = json!({"thinking": {"type": "enabled", "budget_tokens": 2048}});
    let off = json!({"thinking": {"type": "disabled"}});
    let off_at = |effort: &str| json!({"thinking": {"type": "disabled"}, "output_config": {"effort": effort}});
    let between = json!({"thinking": {"type": "between_tools"}});
    let (enabled, disabled, tools) = ("\"enabled\" is not", "\"disabled\" is not", "\"between_tools\" is not");
    for model in ["claude-opus-5-5", "claude-fable-5-1", "claude-fable-5-2", "claude-fable-5"] {
        let refused = [(enabled, budget.clone()), (disabled, off.clone()), (tools, between.clone())];
        check(model, &refused, std::slice::from_ref(&adaptive)).await;
    }
    check("claude-sonnet-5-5", &[(enabled, budget.clone()), (disabled, off.clone())], &[adaptive.clone(), between])
        .await;
    for model in ["claude-haiku-5-5", "claude-opus-5"] {
        let refused = [(enabled, budget.clone()), (disabled, off_at("xhigh")), (disabled, off_at("max"))];
        check(model, &refused, &[adaptive.clone(), off.clone(), off_at("high")]).await;
    }
    check("claude-sonnet-5", &[(enabled, budget.clone())], &[off_at("max"), adaptive.clone()]).await;
    check("claude-opus-4-7", &[(enabled, budget.clone())], &[off.clone(), adaptive.clone()]).await;
    check("claude-opus-4-6", &[], &[off.clone(), adaptive.clone(), budget.clone()]).await;
    let small = json!({"thinking": {"type": "enabled", "budget_tokens": 1000}});
    let whole = json!({"thinking": {"type": "enabled", "budget_tokens": 4096}});
    let refused = [("\"adaptive\" is not", adaptive), ("1024", small), ("greater than", whole)];
    check("claude-sonnet-4-5", &refused, &[off, budget]).await;
}

#[tokio::test]
async fn forced_tools_efforts_and_prefill_depend_on_the_model() {
    let forced = |kind: Value| json!({"tools": weather_tool(), "tool_choice": kind});
    let (any, named) = (forced(json!({"type": "any"})), forced(json!({"type": "tool", "name": "get_weather"})));
    let mut with_budget = any.clone();
    with_budget["thinking"] = json!({"type": "enabled", "budget_tokens": 2048});
    let ended =
        |text: &str| json!({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": text}]});
    let effort = |effort: &str| json!({"output_config": {"effort": effort}});
    for model in ["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5-1", "claude-fable-5-2"] {
        let refused = [("tool_choice", any.clone()), ("tool_choice", named.clone()), ("prefill", ended("He"))];
        check(model, &refused, &[forced(json!({"type": "auto"})), effort("xhigh")]).await;
    }
    for model in ["claude-haiku-5-5", "claude-fable-5", "claude-opus-4-8"] {
        check(model, &[("prefill", ended("He"))], &[any.clone(), named.clone(), effort("max")]).await;
    }
    let refused = [("tool_choice", with_budget.clone()), ("prefill", ended("He")), ("effort", effort("xhigh"))];
    check("claude-sonnet-4-6", &refused, &[any.clone(), effort("max")]).await;
    let refused = [("tool_choice", with_budget), ("whitespace", ended("He ")), ("effort", effort("low"))];
    check("claude-haiku-4-5", &refused, &[any, ended("He")]).await;

    let simulator = start(Profile::anthropic()).await;
    simulator.script("text=\"Hello there\"").unwrap();
    let (_, answer) = ask(&simulator, &request("claude-haiku-4-5", "", &ended("Hello"))).await;
    assert_eq!(answer["content"][0]["text"], " there", "the answer goes on where the message ends");
}

#[tokio::test]
async fn sampling_depends_on_the_model_and_the_version() {
    let both = json!({"temperature": 0.5, "top_p": 0.5});
    let mut thinking = json!({"temperature": 0.5, "thinking": {"type": "enabled", "budget_tokens": 2048}});
    for model in ["claude-opus-5-5", "claude-haiku-5-5", "claude-opus-4-7"] {
        let refused = [
            ("temperature", json!({"temperature": 0.5})),
            ("top_p", json!({"top_p": 0.9})),
            ("top_k", json!({"top_k": 5})),
        ];
        check(model, &refused, &[json!({"temperature": 1}), json!({"top_p": 1.0})]).await;
    }
    check(
        "claude-opus-4-6",
        &[("cannot both", both.clone()), ("temperature", thinking.clone())],
        &[json!({"top_p": 0.5})],
    )
    .await;
    thinking["temperature"] = json!(1);
    check("claude-haiku-4-5", &[("temperature", json!({"temperature": 1.5}))], &[both, thinking]).await;

    let simulator = start(Profile::anthropic()).await;
    let document = json!([{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}]);
    let of_assistant = json!({"messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": document}, {"role": "user", "content": "b"},
    ]});
    let cited = user(json!([{"type": "text", "text": "x", "citations": []}]));
    for (version, more, status) in [
        (OLD, json!({"temperature": 0.5}), 200),
        (NEW, json!({"temperature": 0.5}), 400),
        (NEW, json!({"temperature": 1}), 400),
        (OLD, of_assistant.clone(), 200),
        (NEW, of_assistant, 400),
        (OLD, cited.clone(), 200),
        (NEW, cited, 400),
        ("2024-01-01", json!({}), 400),
        ("", json!({}), 400),
    ] {
        let post = reqwest::Client::new().post(url(&simulator, "/v1/messages")).header("x-api-key", KEY);
        let post = if version.is_empty() { post } else { post.header("anthropic-version", version) };
        let response = post.json(&request("claude-haiku-4-5", "x", &more)).send().await.unwrap();
        assert_eq!(response.status(), status, "{version} {more}: {}", response.text().await.unwrap());
    }
}

#[tokio::test]
async fn calls_and_results_belong_together() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "get_weather", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "rain"});
    let text = json!({"type": "text", "text": "and now?"});
    let turns = |assistant: Value, user: Value| {
        json!({"tools": weather_tool(), "messages": [
            {"role": "user", "content": "weather"}, {"role": "assistant", "content": assistant},
            {"role": "user", "content": user},
        ]})
    };
    let split = json!({"tools": weather_tool(), "messages": [
        {"role": "user", "content": "weather"}, {"role": "assistant", "content": [call("a"), call("b")]},
        {"role": "user", "content": [result("a")]}, {"role": "user", "content": [result("b"), text]},
    ]});
    let late = json!({"tools": weather_tool(), "messages": [
        {"role": "user", "content": "weather"}, {"role": "assistant", "content": [call("a")]},
        {"role": "user", "content": [result("a")]}, {"role": "assistant", "content": "so"},
        {"role": "user", "content": [result("a")]},
    ]});
    let refused = [
        (
            "without `tool_result` blocks immediately after: b",
            turns(json!([call("a"), call("b")]), json!([result("a")])),
        ),
        ("without `tool_result`", turns(json!([call("a")]), json!("what?"))),
        ("unexpected `tool_use_id`", turns(json!("no call"), json!([result("a")]))),
        ("unexpected `tool_use_id`", turns(json!([call("a")]), json!([result("a"), result("c")]))),
        ("unexpected `tool_use_id`", late),
        ("must come first", turns(json!([call("a")]), json!([text, result("a")]))),
        ("single result", turns(json!([call("a")]), json!([result("a"), result("a")]))),
        ("ids must be unique", turns(json!([call("a"), call("a")]), json!([result("a")]))),
        ("tool_use_id", turns(json!([call("a b")]), json!([result("a b")]))),
        (
            "first message",
            json!({"messages": [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}]}),
        ),
        (
            "without `tool_result`",
            json!({"tools": weather_tool(), "messages": [
                {"role": "user", "content": "x"}, {"role": "assistant", "content": [call("a")]},
            ]}),
        ),
    ];
    let refused = refused
        .map(|(problem, more)| (if problem == "tool_use_id" { "messages.1.content.0.id" } else { problem }, more));
    let taken = [
        turns(json!([call("a"), call("b")]), json!([result("b"), result("a"), text])),
        turns(json!([text, call("a")]), json!([result("a")])),
        split,
    ];
    check("claude-opus-4-8", &refused, &taken).await;

    let said = |roles: &[&str]| {
        let messages: Vec<Value> = roles.iter().map(|role| json!({"role": role, "content": "x"})).collect();
        json!({"messages": messages})
    };
    let system = said(&["user", "system", "assistant", "user"]);
    let misplaced = "must follow a user message";
    let refused = [
        (misplaced, said(&["user", "system", "user"])),
        (misplaced, said(&["user", "assistant", "system", "user"])),
        (misplaced, said(&["user", "assistant", "system"])),
    ];
    for model in ["claude-opus-4-8", "claude-opus-5", "claude-sonnet-5-5"] {
        check(model, &refused, &[system.clone(), said(&["user", "system"]), said(&["user", "system", "system"])]).await;
    }
    for model in ["claude-opus-4-7", "claude-sonnet-5", "claude-haiku-4-5"] {
        check(model, &[("role 'system'", system.clone())], &[]).await;
    }
}

#[tokio::test]
async fn schemas_and_breakpoints_have_their_limits() {
    let object = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let format = |schema: Value| json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let of_a = |schema: Value| format(object(json!({"a": schema}), json!(["a"])));
    let mut open = object(json!({}), json!([]));
    open.as_object_mut().unwrap().remove("additionalProperties");
    let many: Value =
        (0..25).map(|n| (format!("p{n}"), json!({"type": "string"}))).collect::<serde_json::Map<_, _>>().into();
    let mut recursive = object(json!({"next": {"$ref": "#"}}), json!([]));
    recursive["description"] = json!("a list");
    let mut strict = weather_tool();
    strict[0]["strict"] = json!(true);
    let marked = |count: usize| {
        let block = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
        json!({"system": vec![block; count]})
    };
    let mut with_request = marked(4);
    with_request["cache_control"] = json!({"type": "ephemeral"});
    let refused = [
        ("additionalProperties", format(open.clone())),
        ("additionalProperties", of_a(open)),
        ("`minimum`", of_a(json!({"type": "integer", "minimum": 1}))),
        ("`maxLength`", of_a(json!({"type": "string", "maxLength": 9}))),
        ("`pattern`", of_a(json!({"anyOf": [{"type": "string", "pattern": "(?=x)y"}, {"type": "null"}]}))),
        ("`pattern`", of_a(json!({"type": "string", "pattern": "\\bx"}))),
        ("`minItems`", of_a(json!({"type": "array", "items": {"type": "string"}, "minItems": 2}))),
        ("`enum`", of_a(json!({"enum": [{"a": 1}]}))),
        ("`enum`", of_a(json!({"const": [1]}))),
        ("recursive", format(recursive)),
        ("leads nowhere", of_a(json!({"$ref": "#/$defs/missing"}))),
        ("Too many optional parameters: 25", format(object(many.clone(), json!([])))),
        ("JSON schema is invalid", of_a(json!({"type": "text"}))),
        ("additionalProperties", json!({"tools": strict})),
        ("A maximum of 4 blocks", marked(5)),
        ("A maximum of 4 blocks", with_request),
    ];
    let mut named = of_a(json!({"$ref": "#/$defs/b"}));
    named["output_config"]["format"]["schema"]["$defs"] =
        json!({"b": object(json!({"pattern": {"type": "null"}}), json!([]))});
    let taken = [
        named,
        of_a(json!({"type": ["string", "null"], "enum": ["a", null]})),
        of_a(json!({"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "minItems": 1})),
        marked(4),
    ];
    check("claude-opus-4-8", &refused, &taken).await;
}

#[tokio::test]
async fn strict_schemas_have_limits_that_hold_for_all_of_them() {
    let tools = |count: usize, properties: &Value, required: &Value| {
        let tool = |at: usize| {
            let schema = json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
            json!({"name": format!("t{at}"), "strict": true, "input_schema": schema})
        };
        json!({"tools": (0..count).map(tool).collect::<Vec<_>>()})
    };
    let two = json!({"a": {"type": "string"}, "b": {"type": "string"}});
    let unions = json!({"a": {"type": ["string", "null"]}, "b": {"anyOf": [{"type": "string"}, {"type": "null"}]}});
    let (all, none) = (json!(["a", "b"]), json!([]));
    let mut with_format = tools(12, &two, &none);
    let schema = json!({"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": false});
    with_format["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
    let refused = [
        ("Too many strict tools: 21", tools(21, &two, &all)),
        ("Too many optional parameters: 26", tools(13, &two, &none)),
        ("Too many parameters with union types: 18", tools(9, &unions, &all)),
        ("Too many optional parameters: 25", with_format),
    ];
    let taken = [tools(20, &two, &all), tools(12, &two, &none), tools(8, &unions, &all)];
    check("claude-opus-4-8", &refused, &taken).await;
}

#[tokio::test]
async fn the_schema_of_any_tool_has_a_plain_root_and_plain_names() {
    let tool = |schema: Value| json!({"tools": [{"name": "find", "input_schema": schema}]});
    let with = |more: Value| {
        let mut schema = json!({"type": "object", "properties": {"id": {"type": "string"}}});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tool(schema)
    };
    let named = |name: &str| tool(json!({"type": "object", "properties": {name: {"type": "integer"}}}));
    let (root, name) = ("does not support oneOf, allOf, or anyOf at the top level", "Property keys should match");
    let inner = json!({"properties": {"a": {"type": "object", "properties": {"b c": {}}}}});
    let refused = [
        (root, with(json!({"anyOf": [{"required": ["id"]}]}))),
        (root, with(json!({"oneOf": [{"required": ["id"]}]}))),
        (root, with(json!({"allOf": [{"required": ["id"]}]}))),
        (name, named("$top")),
        (name, named("filter[name]")),
        (name, named(&"x".repeat(65))),
        (name, named("")),
        (name, with(inner)),
        (name, with(json!({"$defs": {"a b": {"properties": {"c d": {}}}}}))),
        (name, with(json!({"unevaluatedProperties": {"properties": {"c d": {}}}}))),
    ];
    let taken = [
        named("a.b-c_D9"),
        named(&"x".repeat(64)),
        with(json!({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}})),
        with(
            json!({"$defs": {"a b": {}}, "patternProperties": {"^a b": {}}, "required": ["a b"], "default": {"a b": 1}}),
        ),
    ];
    check("claude-opus-4-8", &refused, &taken).await;
}

#[tokio::test]
async fn the_schema_of_any_tool_is_one_of_the_newest_draft_and_refers_to_what_is_there() {
    let tool = |property: Value| {
        let schema = json!({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"a": property}, "$defs": {"A b": {"$anchor": "here"}}});
        json!({"tools": [{"name": "find", "input_schema": schema}]})
    };
    let refused = [
        json!({"properties": null}),
        json!({"properties": []}),
        json!({"required": null}),
        json!({"enum": null}),
        json!({"type": null}),
        json!({"anyOf": [null]}),
        json!({"items": [{}]}),
        json!({"minimum": 0, "exclusiveMinimum": true}),
        json!({"$ref": "#/$defs/B"}),
        json!({"items": {"$ref": "#/anyOf/0/properties/home"}}),
        json!({"$ref": "#there"}),
    ];
    let taken = [
        json!({"$ref": "#/$defs/A b"}),
        json!({"$ref": "#/%24defs/A%20b"}),
        json!({"$ref": "#here"}),
        json!({"items": {"$ref": "#"}}),
        json!({"default": null, "const": null, "enum": [null]}),
    ];
    let refused = refused.map(|property| ("JSON schema is invalid", tool(property)));
    check("claude-opus-4-8", &refused, &taken.map(tool)).await;
}

#[tokio::test]
async fn users_stay_unknown_and_prompts_are_kept_longest_first() {
    let user = |id: &str| json!({"metadata": {"user_id": id}});
    let mark = |ttl: &str| json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": ttl}});
    let refused = [
        ("email address", user("someone@example.org")),
        ("phone number", user("+47 22 00 00 00")),
        ("phone number", user("5550100200")),
        ("at most 256", user(&"x".repeat(257))),
        ("ttl='1h'", json!({"system": [mark("5m"), mark("1h")]})),
    ];
    let taken = [user("user-7"), user("123456"), user(&"x".repeat(256)), json!({"system": [mark("1h"), mark("5m")]})];
    check("claude-opus-4-8", &refused, &taken).await;
}

#[tokio::test]
async fn a_schema_does_not_go_with_the_beginning_of_an_answer() {
    let schema = json!({"type": "object", "properties": {}, "additionalProperties": false});
    let begun = json!({
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "{"}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    });
    check("claude-sonnet-4-5", &[("prefill", begun)], &[]).await;
}

#[tokio::test]
async fn json_asked_for_in_words_is_answered_as_json() {
    let simulator = start(Profile::anthropic()).await;
    let words = "Answer with one JSON object and nothing else: no words around it, no code fence.";
    let (_, answer) = ask(&simulator, &request("claude-opus-5-5", "hi", &json!({"system": words}))).await;
    let text = answer["content"].as_array().unwrap().iter().find_map(|block| block["text"].as_str()).unwrap();
    assert!(serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object()), "{answer}");
}

#[tokio::test]
async fn keys_lengths_and_paths_are_judged() {
    let simulator = start(Profile::anthropic().with_context_tokens(100)).await;
    let client = reqwest::Client::new();
    let body = request("claude-haiku-5-5", "hi", &json!({}));
    let post = || client.post(url(&simulator, "/v1/messages")).header("anthropic-version", OLD).json(&body);
    assert_eq!(post().header("x-api-key", KEY).send().await.unwrap().status(), 200);
    assert_eq!(post().bearer_auth(KEY).send().await.unwrap().status(), 200);
    let missing = post().send().await.unwrap();
    assert_eq!(missing.status(), 401);
    let wrong: Value =
        post().header("x-api-key", "sk-ant-0123456789abcdef").send().await.unwrap().json().await.unwrap();
    assert_eq!(wrong["error"]["type"], "authentication_error");
    let message = wrong["error"]["message"].as_str().unwrap();
    assert!(message.contains("sk-ant-0") && !message.contains("123456789"), "{message}");

    let (status, answer) = ask(&simulator, &request("claude-haiku-5-5", &"word ".repeat(200), &json!({}))).await;
    assert!(status == 400 && answer.to_string().contains("prompt is too long: "), "{answer}");
    let large = "x".repeat(33 * 1024 * 1024);
    let (status, answer) = ask(&simulator, &request("claude-haiku-5-5", &large, &json!({}))).await;
    assert_eq!((status, &answer["error"]["type"]), (413, &json!("request_too_large")));

    for (method, path, status) in
        [("GET", "/v1/models", 200), ("GET", "/v1/messages", 405), ("POST", "/v1/chat/completions", 404)]
    {
        let sent = client.request(method.parse().unwrap(), url(&simulator, path)).bearer_auth(KEY).json(&body);
        let response = sent.send().await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["data"][0]["type"] == "model", status == 200, "{answer}");
    }
}

#[test]
fn a_request_can_be_judged_without_a_simulator() {
    let body = request("claude-opus-5-5", "hi", &json!({"tools": weather_tool(), "tool_choice": {"type": "any"}}));
    let judge = |body: &Value| judge_messages_request(&Profile::anthropic(), OLD, body);
    assert!(judge(&body).is_err_and(|words| words.contains("tool_choice.type")));
    assert_eq!(judge(&request("claude-opus-5-5", "hi", &json!({}))), Ok(()));
    assert!(judge(&json!([])).is_err());
    let any = request("any model", "hi", &json!({"tools": weather_tool(), "tool_choice": {"type": "any"}}));
    assert_eq!(judge_messages_request(&Profile::generic_messages("any"), OLD, &any), Ok(()));
}
