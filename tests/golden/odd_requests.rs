//! Requests of the Messages API as nobody means them, for every provider of the walk.

use serde_json::Value;
use tiergate::door::messages::parse;
use tiergate::policy::{Candidate, Entry, Policy};
use tiergate::upstream::dialect::{self, CannotEncode, EncodeOptions};
use tiergate::wire::ask::Ask;
use tiergate_simulator::Dialect;

use crate::walk::station::{Station, policy, stations};

const HI: &str = r#"{"role":"user","content":"Hi"}"#;

fn odd() -> Vec<(&'static str, String)> {
    let of =
        |messages: &str, more: &str| format!(r#"{{"model":"auto","max_tokens":100,"messages":[{messages}]{more}}}"#);
    let blocks = |role: &str, blocks: &str| format!(r#"{{"role":"{role}","content":[{blocks}]}}"#);
    let call = |id: &str, name: &str| format!(r#"{{"type":"tool_use","id":"{id}","name":"{name}","input":{{}}}}"#);
    let result =
        |id: &str, content: &str| format!(r#"{{"type":"tool_result","tool_use_id":"{id}","content":{content}}}"#);
    let tool = r#"{"name":"f","input_schema":{"type":"object","properties":{}}}"#;
    let web = r#"{"type":"web_search_20260209","name":"web_search"}"#;
    let tools = |tools: &str| format!(r#","tools":[{tools}]"#);
    let f = tools(tool);
    let text = r#"{"type":"text","text":"t"}"#;
    let many: Vec<String> = (0..1000).map(|n| tool.replace("\"f\"", &format!("\"f{n}\""))).collect();
    let marked = r#"{"type":"text","text":"t","cache_control":{"type":"ephemeral","ttl":"1h"}}"#;
    let pair = |content: &str| {
        format!("{HI},{},{}", blocks("assistant", &call("a", "f")), blocks("user", &result("a", content)))
    };
    let png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let image = format!(r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{png}"}}}}"#);
    vec![
        (
            "duplicate fields",
            of(HI, r#","max_tokens":7,"temperature":0.5,"temperature":0.7,"system":"a","system":"b""#),
        ),
        ("duplicate members of a message", of(r#"{"role":"user","role":"assistant","content":"a","content":"b"}"#, "")),
        (
            "duplicate members of a block",
            of(&blocks("user", r#"{"type":"text","type":"image","text":"a","text":"b"}"#), ""),
        ),
        (
            "duplicate members of a call",
            of(
                &format!(
                    r#"{HI},{},{}"#,
                    blocks(
                        "assistant",
                        r#"{"type":"tool_use","id":"a","id":"b","name":"f","name":"g","input":{},"input":{"x":1}}"#
                    ),
                    blocks("user", &result("b", "\"r\""))
                ),
                &f,
            ),
        ),
        (
            "duplicate members of a schema",
            of(
                HI,
                &tools(
                    r#"{"name":"f","input_schema":{"type":"object","type":"object","properties":{},"properties":{"a":{}}}}"#,
                ),
            ),
        ),
        ("unknown block of the user", of(&blocks("user", &format!(r#"{text},{{"type":"hologram","x":1}}"#)), "")),
        ("unknown block of the system", of(HI, r#","system":[{"type":"hologram"},{"type":"text","text":"s"}]"#)),
        (
            "unknown block of the assistant",
            of(&format!("{HI},{},{HI}", blocks("assistant", r#"{"type":"hologram"},{"type":"text","text":"t"}"#)), ""),
        ),
        (
            "nothing but an unknown block of the assistant",
            of(&format!("{HI},{},{HI}", blocks("assistant", r#"{"type":"hologram"}"#)), ""),
        ),
        ("unknown block in a result", of(&pair(r#"[{"type":"hologram"}]"#), &f)),
        (
            "unknown block in a system message",
            of(&format!("{HI},{}", blocks("system", r#"{"type":"hologram"},{"type":"text","text":"s"}"#)), ""),
        ),
        (
            "results before calls",
            of(
                &format!(
                    "{HI},{},{},{HI}",
                    blocks("user", &result("a", "\"r\"")),
                    blocks("assistant", &call("a", "f"))
                ),
                &f,
            ),
        ),
        ("results without calls", of(&format!("{HI},{}", blocks("user", &result("z", "\"r\""))), &f)),
        ("calls without results", of(&format!("{HI},{},{HI}", blocks("assistant", &call("a", "f"))), &f)),
        ("calls at the end", of(&format!("{HI},{}", blocks("assistant", &call("a", "f"))), &f)),
        (
            "one of two results",
            of(
                &format!(
                    "{HI},{},{}",
                    blocks("assistant", &format!("{},{}", call("a", "f"), call("b", "f"))),
                    blocks("user", &result("a", "\"r\""))
                ),
                &f,
            ),
        ),
        (
            "a result twice",
            of(
                &format!(
                    "{HI},{},{}",
                    blocks("assistant", &call("a", "f")),
                    blocks("user", &format!("{},{}", result("a", "\"r\""), result("a", "\"q\"")))
                ),
                &f,
            ),
        ),
        (
            "text before results",
            of(
                &format!(
                    "{HI},{},{}",
                    blocks("assistant", &call("a", "f")),
                    blocks("user", &format!("{text},{}", result("a", "\"r\"")))
                ),
                &f,
            ),
        ),
        (
            "results in two messages",
            of(
                &format!(
                    "{HI},{},{},{}",
                    blocks("assistant", &format!("{},{}", call("a", "f"), call("b", "f"))),
                    blocks("user", &format!("{},{text}", result("a", "\"r\""))),
                    blocks("user", &result("b", "\"r\""))
                ),
                &f,
            ),
        ),
        (
            "a system message between calls and results",
            of(
                &format!(
                    r#"{HI},{},{{"role":"system","content":"s"}},{}"#,
                    blocks("assistant", &call("a", "f")),
                    blocks("user", &result("a", "\"r\""))
                ),
                &f,
            ),
        ),
        (
            "two system prompts",
            of(
                &format!(r#"{{"role":"system","content":"one"}},{{"role":"system","content":"two"}},{HI}"#),
                r#","system":"zero""#,
            ),
        ),
        (
            "system blocks that say nothing",
            of(HI, r#","system":[{"type":"text","text":""},{"type":"text","text":" "}]"#),
        ),
        ("an empty system", of(HI, r#","system":[]"#)),
        ("nothing but a system message", of(r#"{"role":"system","content":"s"}"#, "")),
        ("empty content of the user", of(r#"{"role":"user","content":[]}"#, "")),
        (
            "empty content of the user between",
            of(&format!(r#"{HI},{},{{"role":"user","content":[]}}"#, blocks("assistant", text)), ""),
        ),
        (
            "empty texts",
            of(&format!(r#"{HI},{{"role":"assistant","content":""}},{{"role":"user","content":"  "}}"#), ""),
        ),
        (
            "empty content of the assistant between",
            of(&format!(r#"{HI},{{"role":"assistant","content":[]}},{HI}"#), ""),
        ),
        ("empty result", of(&pair("[]"), &f)),
        ("blank result", of(&pair(r#"" ""#), &f)),
        (
            "a result without content",
            of(
                &format!(
                    "{HI},{},{}",
                    blocks("assistant", &call("a", "f")),
                    blocks("user", r#"{"type":"tool_result","tool_use_id":"a","is_error":true}"#)
                ),
                &f,
            ),
        ),
        ("null result", of(&pair("null"), &f)),
        ("blank texts in a result", of(&pair(r#"[{"type":"text","text":" "},{"type":"text","text":"r"}]"#), &f)),
        ("a result of images", of(&pair(&format!("[{image},{image}]")), &f)),
        ("a result of a tool reference", of(&pair(r#"[{"type":"tool_reference","tool_name":"f"}]"#), &f)),
        ("a result in a result", of(&pair(&format!("[{}]", result("b", "\"x\""))), &f)),
        ("no messages", of("", "")),
        ("a thousand tools", of(HI, &tools(&many.join(",")))),
        ("tools of one name", of(HI, &tools(&format!("{tool},{tool}")))),
        ("a tool without a name", of(HI, &tools(r#"{"input_schema":{"type":"object"}}"#))),
        ("an empty name", of(HI, &tools(r#"{"name":"","input_schema":{"type":"object"}}"#))),
        ("a name of anything", of(HI, &tools(r#"{"name":"a b/ä","input_schema":{"type":"object"}}"#))),
        ("a tool without a schema", of(HI, &tools(r#"{"name":"f"}"#))),
        ("a schema that is none", of(HI, &tools(r#"{"name":"f","input_schema":"x"}"#))),
        ("a schema of another type", of(HI, &tools(r#"{"name":"f","input_schema":{"type":"string"}}"#))),
        ("a schema without a type", of(HI, &tools(r#"{"name":"f","input_schema":{}}"#))),
        ("a schema of null", of(HI, &tools(r#"{"name":"f","input_schema":null}"#))),
        ("no tools, a demand", of(HI, r#","tool_choice":{"type":"any"}"#)),
        ("empty tools, auto", of(HI, r#","tools":[],"tool_choice":{"type":"auto"}"#)),
        ("a choice of an absent tool", of(HI, &format!(r#"{f},"tool_choice":{{"type":"tool","name":"gone"}}"#))),
        ("a choice without a name", of(HI, &format!(r#"{f},"tool_choice":{{"type":"tool"}}"#))),
        ("an unknown choice", of(HI, &format!(r#"{f},"tool_choice":{{"type":"often"}}"#))),
        (
            "a choice of one call without tools",
            of(HI, r#","tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#),
        ),
        ("a server tool", of(HI, &tools(web))),
        (
            "a server tool that is forced",
            of(
                HI,
                &format!(r#"{},"tool_choice":{{"type":"tool","name":"web_search"}}"#, tools(&format!("{web},{tool}"))),
            ),
        ),
        ("only server tools, any", of(HI, &format!(r#"{},"tool_choice":{{"type":"any"}}"#, tools(web)))),
        (
            "a server tool and none",
            of(HI, &format!(r#"{},"tool_choice":{{"type":"none"}}"#, tools(&format!("{web},{tool}")))),
        ),
        (
            "calls of server tools",
            of(
                &format!(
                    "{HI},{},{HI}",
                    blocks(
                        "assistant",
                        r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}},{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]},{"type":"text","text":"t"}"#
                    )
                ),
                &tools(web),
            ),
        ),
        (
            "marks everywhere",
            of(
                &format!(
                    "{},{},{}",
                    blocks("user", &[marked; 4].join(",")),
                    blocks("assistant", marked),
                    blocks("user", marked)
                ),
                &format!(
                    r#","system":[{marked}],"tools":[{}],"cache_control":{{"type":"ephemeral"}}"#,
                    tool.replace("\"name\"", r#""cache_control":{"type":"ephemeral"},"name""#)
                ),
            ),
        ),
        (
            "marks that are none",
            of(
                &blocks(
                    "user",
                    r#"{"type":"text","text":"t","cache_control":null},{"type":"text","text":"t","cache_control":"x"},{"type":"text","text":"t","cache_control":{"type":"forever","ttl":"9d"}}"#,
                ),
                "",
            ),
        ),
        (
            "a document with citations",
            of(
                &blocks(
                    "user",
                    r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"citations":{"enabled":true},"title":"T","context":"C"}"#,
                ),
                "",
            ),
        ),
        (
            "a document of parts",
            of(
                &blocks(
                    "user",
                    r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"x"}]}}"#,
                ),
                "",
            ),
        ),
        (
            "a PDF at an address",
            of(&blocks("user", r#"{"type":"document","source":{"type":"url","url":"https://a.example/b.pdf"}}"#), ""),
        ),
        (
            "an image by its id",
            of(&blocks("user", r#"{"type":"image","source":{"type":"file","file_id":"file_1"}}"#), ""),
        ),
        ("an image of the assistant", of(&format!("{HI},{},{HI}", blocks("assistant", &image)), "")),
        ("an image of the system", of(&format!("{HI},{}", blocks("system", &image)), "")),
        ("an image of no type", of(&blocks("user", r#"{"type":"image","source":{"type":"base64","data":"x"}}"#), "")),
        (
            "an image at http",
            of(&blocks("user", r#"{"type":"image","source":{"type":"url","url":"http://a.example/b.png"}}"#), ""),
        ),
        (
            "a search result",
            of(
                &blocks(
                    "user",
                    r#"{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"x"}]}"#,
                ),
                "",
            ),
        ),
        (
            "servers and containers",
            of(
                HI,
                r#","mcp_servers":[{"type":"url","url":"https://m.example","name":"m"}],"container":"c","fallbacks":[{"model":"x"}],"speed":"fast""#,
            ),
        ),
        ("a prefill", of(&format!(r#"{HI},{{"role":"assistant","content":"So "}}"#), "")),
        (
            "a prefill with a schema",
            of(
                &format!(r#"{HI},{{"role":"assistant","content":"So"}}"#),
                r#","output_config":{"format":{"type":"json_schema","schema":{"type":"object","properties":{},"additionalProperties":false}}}"#,
            ),
        ),
        (
            "a prefill that is forced",
            of(
                &format!(r#"{HI},{{"role":"assistant","content":"So"}}"#),
                &format!(r#"{f},"tool_choice":{{"type":"any"}}"#),
            ),
        ),
        ("stop sequences of white space", of(HI, r#","stop_sequences":["\n\n"," ","","x"]"#)),
        ("only blank stop sequences", of(HI, r#","stop_sequences":["\n"]"#)),
        ("many stop sequences", of(HI, r#","stop_sequences":["a","b","c","d","e","f"]"#)),
        ("no stop sequences", of(HI, r#","stop_sequences":[]"#)),
        ("an assistant first", of(&format!(r#"{{"role":"assistant","content":"Ha"}},{HI}"#), "")),
        ("a temperature above one", of(HI, r#","temperature":1.5"#)),
        ("no tokens", of(HI, "").replace("\"max_tokens\":100", "\"max_tokens\":0")),
        ("odd metadata", of(HI, r#","metadata":{"user_id":null,"x":1}"#)),
        ("a mail as the user", of(HI, r#","metadata":{"user_id":"a@b.example"}"#)),
        ("a long user", of(HI, &format!(r#","metadata":{{"user_id":"{}"}}"#, "x".repeat(300)))),
        ("a result of the assistant", of(&format!("{HI},{},{HI}", blocks("assistant", &result("a", "\"x\""))), "")),
        ("a call of the user", of(&blocks("user", &call("a", "f")), &f)),
        (
            "odd ids",
            of(
                &format!(
                    "{HI},{},{}",
                    blocks("assistant", &format!("{},{}", call("a.b", "f"), call("a.b", "f"))),
                    blocks("user", &format!("{},{}", result("a.b", "\"r\""), result("a.b", "\"q\"")))
                ),
                &f,
            ),
        ),
        (
            "a long id",
            of(
                &format!(
                    "{HI},{},{}",
                    blocks("assistant", &call(&"i".repeat(90), "f")),
                    blocks("user", &result(&"i".repeat(90), "\"r\""))
                ),
                &f,
            ),
        ),
        ("calls without tools", of(&pair("\"r\""), "")),
        ("calls, and no call any more", of(&pair("\"r\""), &format!(r#"{f},"tool_choice":{{"type":"none"}}"#))),
        (
            "an input that is none",
            of(
                &format!(
                    r#"{HI},{},{}"#,
                    blocks("assistant", r#"{"type":"tool_use","id":"a","name":"f","input":"x"}"#),
                    blocks("user", &result("a", "\"r\""))
                ),
                &f,
            ),
        ),
        (
            "thoughts of nobody",
            of(
                &format!("{HI},{},{HI}", blocks("assistant", r#"{"type":"thinking","thinking":"x","signature":""}"#)),
                "",
            ),
        ),
        ("enabled without a budget", of(HI, r#","thinking":{"type":"enabled"}"#)),
        ("a budget above the limit", of(HI, r#","thinking":{"type":"enabled","budget_tokens":5000}"#)),
        ("an effort of nobody", of(HI, r#","output_config":{"effort":"gigantic"}"#)),
        (
            "a schema for the answer of another type",
            of(
                HI,
                r#","output_config":{"format":{"type":"json_schema","schema":{"type":"array","items":{"type":"string"}}}}"#,
            ),
        ),
        ("a demand of a form nobody knows", of(HI, r#","output_config":{"format":{"type":"xml"}}"#)),
        (
            "tools that come",
            of(
                &format!(
                    "{HI},{}",
                    blocks(
                        "system",
                        &format!(
                            r#"{{"type":"tool_addition","tool":{{"type":"tool_definition","definition":{}}}}}"#,
                            tool.replace("\"f\"", "\"g\"")
                        )
                    )
                ),
                &f,
            ),
        ),
        (
            "a tool that goes",
            of(
                &format!(
                    "{HI},{}",
                    blocks("system", r#"{"type":"tool_removal","tool":{"type":"tool_reference","name":"f"}}"#)
                ),
                &f,
            ),
        ),
        ("top_k of zero", of(HI, r#","top_k":0,"temperature":0.1"#)),
        (
            "null fields",
            of(
                HI,
                r#","system":null,"tools":null,"tool_choice":null,"thinking":null,"temperature":null,"metadata":null,"stop_sequences":null,"output_config":null"#,
            ),
        ),
    ]
}

/// What stands between the client and a provider.
fn sent(policy: &Policy, station: &Station, ask: &Ask<'_>) -> Option<Value> {
    let named = |candidate: &&Candidate| policy.model(candidate.model).name == format!("{}-model", station.name);
    let mut candidates = policy.tiers[0].candidates.iter().filter_map(|entry| match entry {
        Entry::One(candidate) => Some(candidate),
        Entry::Split(_) => None,
    });
    let candidate = candidates.find(named).expect("a candidate");
    match dialect::encode_request(policy, candidate, ask, &EncodeOptions::default()) {
        Ok(encoded) => {
            let json = serde_json::from_slice(&encoded.body);
            Some(json.unwrap_or_else(|error| panic!("{}: {error}", station.name)))
        }
        Err(CannotEncode::Unfit(_)) => None,
        Err(CannotEncode::Unavailable(dialect)) => panic!("{dialect} should be built"),
    }
}

/// A provider of another API is sent nothing that it refuses, and one of the same API refuses what it is sent only where it would
/// refuse what the client wrote.
#[test]
fn what_nobody_means_is_refused_here_or_taken() {
    let stations = stations();
    let policy = policy(&stations);
    let mut taken = 0;
    for (name, body) in odd() {
        let Ok(ask) = parse(body.as_bytes()) else { continue };
        for station in &stations {
            // What a model's own row says, and these have none.
            let is_of_the_row = body.contains(r#""image""#) && !station.takes_part("image_url")
                || body.contains("stop_sequences") && station.name == "xai";
            let Some(upstream) = sent(&policy, station, &ask).filter(|_| !is_of_the_row) else { continue };
            let judged = station.judge(&upstream);
            let own = || {
                let mut own: Value = serde_json::from_str(&body).expect("JSON");
                own["model"] = upstream["model"].clone();
                station.judge(&own)
            };
            let is_own = station.profile.dialect == Dialect::AnthropicMessages && judged.is_err() && own().is_err();
            assert!(judged.is_ok() || is_own, "{name}, {}: {judged:?}: {upstream}", station.name);
            taken += usize::from(judged.is_ok());
        }
    }
    assert!(taken > 800, "only {taken}");
}
