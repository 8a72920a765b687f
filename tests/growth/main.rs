//! What a request costs grows as the request does: counted in allocations and in bytes that are allocated, by an allocator of
//! this test's own, where time would depend on the machine.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]
#![allow(clippy::panic, reason = "a test that cannot go on stops there")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tiergate::door::chat;
use tiergate::policy::parse::parse;
use tiergate::policy::{Candidate, Policy};
use tiergate::upstream::dialect::{self, DecodeOptions, EncodeOptions};

/// What this thread has allocated.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    allocations: usize,
    bytes: usize,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { allocations: 0, bytes: 0 }) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note(bytes: usize) {
    let Count { allocations, bytes: before } = COUNT.get();
    COUNT.set(Count { allocations: allocations + 1, bytes: before + bytes });
}

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What may come with a request of any size, allocations and bytes.
const CONSTANT: Count = Count { allocations: 200, bytes: 64 * 1024 };

/// How often a large body may be copied on its way to a provider, in all.
const COPIES: usize = 3;

/// Who is asked.
struct Recipient {
    name: &'static str,
    dialect: &'static str,
    provider: Value,
}

fn recipients() -> Vec<Recipient> {
    let mended = json!({
        "quirks": ["no_developer_role", "short_tool_ids", "thought_signatures", "no_user_after_tool", "no_message_name"],
        "unsupported_fields": ["messages.refusal", "seed", "functions", "tools.custom", "tool_choice.allowed_tools"],
    });
    vec![
        Recipient { name: "passed", dialect: "openai-chat", provider: json!({}) },
        Recipient { name: "mended", dialect: "openai-chat", provider: mended },
        Recipient { name: "translated", dialect: "anthropic-messages", provider: json!({}) },
    ]
}

impl Recipient {
    fn policy(&self) -> Policy {
        let mut provider = json!({"base_url": "https://api.example.com", "dialect": self.dialect});
        provider.as_object_mut().expect("an object").extend(self.provider.as_object().expect("an object").clone());
        let document = json!({
            "version": "1", "default_tier": "only",
            "tiers": [{
                "name": "only", "description": "Everything.", "candidates": [{"model": "model"}],
                "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
            }],
            "models": {"model": {
                "provider": "only", "id": "m", "context": 10_000_000, "max_output": 5_000,
                "tools": true, "vision": true, "json_schema": true, "prompt_cache_min": 1_024,
            }},
            "providers": {"only": provider},
        });
        parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// What it costs to read a request, to put it to the provider and to know how its answer is read.
    fn cost(&self, policy: &Policy, body: &str) -> Count {
        let model = policy.model_named("model").expect("a model");
        let candidate = Candidate { model, effort: None };
        let before = COUNT.get();
        let ask = chat::parse(body.as_bytes()).expect("a valid request");
        let encoded = dialect::encode_request(policy, &candidate, &ask, &EncodeOptions::default());
        black_box(encoded.unwrap_or_else(|error| panic!("{}: {error:?}", self.name)));
        black_box(DecodeOptions::of(&dialect::Recipient::of(policy, &candidate), &ask, Duration::ZERO));
        let after = COUNT.get();
        Count { allocations: after.allocations - before.allocations, bytes: after.bytes - before.bytes }
    }
}

fn user(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

fn tool(number: usize) -> Value {
    let parameters = json!({"type": "object", "required": ["$path"], "additionalProperties": false, "properties": {
        "$path": {"type": "string"}, "from": {"type": ["integer", "null"], "minimum": 1},
    }});
    json!({"type": "function", "function": {"name": format!("tool_{number}"), "parameters": parameters, "strict": true, "x": 1},
        "cache_control": {"type": "ephemeral"}})
}

/// Two calls and their results, with what other providers leave behind.
fn step(number: usize) -> Vec<Value> {
    let id = |at: usize| format!("toolu_{number}_{at}_{}", "x".repeat(40));
    let call = |at: usize| {
        let function = json!({"name": format!("made.up_{number}"), "arguments": "{\"$path\":\"a\"}"});
        json!({"id": id(at), "type": "function", "function": function, "index": at})
    };
    let result =
        |at: usize| json!({"role": "tool", "tool_call_id": id(at), "content": [{"type": "text", "text": "result"}]});
    let calls =
        json!({"role": "assistant", "content": "Step", "reasoning_content": "hm", "tool_calls": [call(0), call(1)]});
    vec![calls, result(0), result(1)]
}

fn with_schema(parameters: Value) -> Value {
    let function = json!({"name": "tool", "parameters": parameters, "strict": true});
    json!({"messages": [user(json!("Hi"))], "tools": [{"type": "function", "function": function}]})
}

/// What a schema may have many of, where each could be compared with all others.
const WIDE: [(&str, Build); 15] = [
    ("branches of a property each", |count| {
        let branches =
            (0..count).map(|at| json!({"properties": {format!("p{at}"): {}}, "required": [format!("p{at}")]}));
        with_schema(json!({"allOf": branches.collect::<Vec<_>>()}))
    }),
    ("schemas of one property", |count| {
        let branches = (0..count).map(|at| json!({"properties": {"kind": {"const": at}}}));
        with_schema(json!({"oneOf": branches.collect::<Vec<_>>()}))
    }),
    ("definitions that are referred to", |count| {
        let definitions = (0..count).map(|at| (format!("d{at}"), json!({"required": ["a"]})));
        let branches = (0..count).map(|at| json!({"$ref": format!("#/$defs/d{at}")}));
        with_schema(json!({"$defs": definitions.collect::<Map<_, _>>(), "anyOf": branches.collect::<Vec<_>>()}))
    }),
    ("references to what requires much", |count| {
        let names: Vec<String> = (0..count).map(|at| format!("p{at}")).collect();
        let branches = vec![json!({"$ref": "#/$defs/A"}); count];
        with_schema(json!({"$defs": {"A": {"required": names}}, "allOf": branches}))
    }),
    ("members of a schema in a sum of one", |count| {
        let members = (0..count).map(|at| (format!("x{at}"), json!(1)));
        let inner = json!({"allOf": [members.collect::<Map<_, _>>()]});
        with_schema(json!({"type": "object", "properties": {"a": inner}, "required": ["a"]}))
    }),
    ("properties", |count| {
        let properties = (0..count).map(|at| (format!("p{at}"), json!({"type": "string"})));
        with_schema(json!({"type": "object", "properties": properties.collect::<Map<_, _>>()}))
    }),
    ("references of several steps", |count| {
        let definitions = (0..count).map(|at| (format!("d{at}"), json!({"items": [{"required": ["a"]}]})));
        let branches = (0..count).map(|at| json!({"$ref": format!("#/$defs/d{at}/items/0")}));
        with_schema(json!({"$defs": definitions.collect::<Map<_, _>>(), "anyOf": branches.collect::<Vec<_>>()}))
    }),
    ("references through many long names", |count| {
        let end: Map<String, Value> = (0..count).map(|at| (format!("x{at}"), json!({"required": ["a"]}))).collect();
        let name = "a".repeat(20);
        let definitions = (0..40).fold(Value::from(end), |inner, _| json!({name.clone(): inner}));
        let path = vec![name; 40].join("/");
        let branches = (0..count).map(|at| json!({"$ref": format!("#/$defs/{path}/x{at}")}));
        with_schema(json!({"$defs": definitions, "allOf": branches.collect::<Vec<_>>()}))
    }),
    ("branches that share a long property", |count| {
        let long = json!({"properties": {"a": {"description": "x".repeat(20 * count)}}});
        let branches = (0..count).map(|at| json!({"$ref": "#/$defs/A", "properties": {"a": {"const": at}}}));
        with_schema(json!({"$defs": {"A": long}, "anyOf": branches.collect::<Vec<_>>()}))
    }),
    ("references beside a long URL", |count| {
        let properties = (0..count).map(|at| (format!("p{at}"), json!({"$ref": "y"})));
        let url = format!("https://a/{}", "b/".repeat(10 * count));
        with_schema(json!({"$id": url, "properties": properties.collect::<Map<_, _>>()}))
    }),
    ("references that lead nowhere", |count| {
        let properties = (0..count).map(|at| (format!("p{at}"), json!({"$ref": format!("#/$defs/d{at}")})));
        with_schema(json!({"properties": properties.collect::<Map<_, _>>()}))
    }),
    ("references into the root", |count| {
        let properties = (0..count).map(|at| (format!("p{at}"), json!({"$ref": format!("#/anyOf/{at}")})));
        let branches = vec![json!({"required": ["a"]}); count];
        with_schema(json!({"properties": properties.collect::<Map<_, _>>(), "anyOf": branches}))
    }),
    ("members that are null", |count| {
        let properties =
            (0..count).map(|at| (format!("p{at}"), json!({"enum": null, "type": "string", "title": null})));
        with_schema(json!({"properties": properties.collect::<Map<_, _>>()}))
    }),
    ("odd names in earlier calls", |count| {
        let names: Map<String, Value> = (0..count).map(|at| (format!("$p{at}"), json!({}))).collect();
        let mut request = with_schema(json!({"properties": names}));
        let function = json!({"name": "tool", "arguments": Value::from(names).to_string()});
        let call = json!([{"id": "a", "type": "function", "function": function}]);
        let turns = json!([user(json!("Hi")), {"role": "assistant", "tool_calls": call},
            {"role": "tool", "tool_call_id": "a", "content": ""}]);
        request["messages"] = turns;
        request
    }),
    ("properties of odd names", |count| {
        let names: Vec<String> = (0..count).map(|at| format!("$p{at}{}", "\u{e9}".repeat(20))).collect();
        let properties = names.iter().map(|name| (name.clone(), json!({"type": "string"})));
        with_schema(json!({"type": "object", "properties": properties.collect::<Map<_, _>>(), "required": names}))
    }),
];

/// A request with so much of one thing.
type Build = fn(usize) -> Value;

const THINGS: [(&str, usize, Build); 7] = [
    ("tools", 100, |count| json!({"messages": [user(json!("Hi"))], "tools": (0..count).map(tool).collect::<Vec<_>>()})),
    ("allowed tools", 100, |count| {
        let names = (0..count).map(|at| json!({"type": "function", "function": {"name": format!("tool_{at}")}}));
        let allowed = json!({"mode": "auto", "tools": names.collect::<Vec<_>>()});
        json!({"messages": [user(json!("Hi"))], "tools": (0..count).map(tool).collect::<Vec<_>>(),
            "tool_choice": {"type": "allowed_tools", "allowed_tools": allowed}})
    }),
    ("references within references", 12, |count| {
        let all = |name: &str| json!({"allOf": vec![json!({"$ref": format!("#/$defs/{name}")}); count]});
        let mut parameters = all("A");
        parameters["$defs"] = json!({"A": all("B"), "B": all("C"), "C": all("D"), "D": {"properties": {"a": {}}}});
        with_schema(parameters)
    }),
    ("messages of an agent", 500, |count| {
        let messages: Vec<Value> = [user(json!("Hi"))].into_iter().chain((0..count / 3).flat_map(step)).collect();
        json!({"messages": messages, "tools": [tool(0)]})
    }),
    ("parts", 500, |count| {
        let part = json!({"type": "text", "text": "word", "cache_control": {"type": "ephemeral"}});
        json!({"messages": [user(json!(vec![part; count]))]})
    }),
    ("instructions between turns", 500, |count| {
        let pair = |_| [json!({"role": "developer", "content": "Be brief.", "name": "a"}), user(json!("Hi"))];
        json!({"messages": (0..count / 2).flat_map(pair).collect::<Vec<_>>()})
    }),
    ("megabytes of base64", 5, |count| {
        let url = format!("data:image/png;base64,{}", "iVBORw0KGgoAAAANSUhEUgAA".repeat(count * 1_000_000 / 24));
        json!({"messages": [{"role": "developer", "content": "Look."}, user(json!([
            {"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}},
        ]))]})
    }),
];

#[test]
fn twice_as_much_costs_at_most_twice_as_much() {
    for recipient in recipients() {
        let policy = recipient.policy();
        for (thing, count, build) in THINGS {
            let bodies = [count, 2 * count].map(|count| build(count).to_string());
            let [once, twice] = [0, 1].map(|at| recipient.cost(&policy, &bodies[at]));
            let name = format!("{} {thing} {}: {once:?}, twice as many: {twice:?}", recipient.name, count);
            assert!(twice.allocations <= 2 * once.allocations + CONSTANT.allocations, "{name}");
            assert!(twice.bytes <= 2 * once.bytes + CONSTANT.bytes, "{name}");
            if thing == "megabytes of base64" {
                assert!(twice.bytes <= COPIES * bodies[1].len() + CONSTANT.bytes, "{name}");
            }
        }
    }
}

/// What compares each with all others allocates nothing for it: only a benchmark would show that.
#[test]
fn schemas_cost_no_more_than_they_are_wide() {
    let recipients = recipients();
    let translated = recipients.last().expect("a recipient");
    let policy = translated.policy();
    for (thing, build) in WIDE {
        let [once, twice] = [500, 1_000].map(|count| translated.cost(&policy, &build(count).to_string()));
        let name = format!("{thing}: {once:?}, twice as many: {twice:?}");
        assert!(twice.allocations <= 2 * once.allocations + CONSTANT.allocations, "{name}");
        assert!(twice.bytes <= 2 * once.bytes + CONSTANT.bytes, "{name}");
    }
}
