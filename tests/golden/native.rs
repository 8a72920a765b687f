//! Requests and answers of a client of the Messages API that a provider of the same API serves: byte for byte, but for what the
//! gateway owns and what the policy's rows say.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tiergate::door::messages::parse as parse_request;
use tiergate::policy::parse::parse;
use tiergate::policy::{Candidate, Effort, Policy};
use tiergate::secret::Secret;
use tiergate::upstream::dialect::messages::encode_count;
use tiergate::upstream::dialect::{self, DecodeOptions, EncodeOptions, Heard, Recipient, Stream};
use tiergate::upstream::sealer::{Sealer, Thought};
use tiergate::wire::ask::Ask;
use tiergate::wire::json::object_fields;
use tiergate::wire::piece::Piece;
use tiergate::wire::seal::SealKind;
use tiergate::wire::sse::Decoder;
use tiergate::wire::transfer::Transfer;
use tiergate_simulator::sign_thought;

use crate::properties::judge;

const ROOT: &str = "a-root-of-enough-characters";
const ID: &str = "claude-x";

/// A policy of one model, with what its rows say beside the least.
pub struct Rows {
    model: Value,
    provider: Value,
    effort: Option<Effort>,
}

impl Rows {
    fn new() -> Self {
        Self { model: json!({"system_turns": true}), provider: json!({}), effort: None }
    }

    pub fn of_model(model: Value) -> Self {
        let mut rows = Self::new();
        rows.model.as_object_mut().expect("an object").extend(model.as_object().expect("an object").clone());
        rows
    }

    pub fn of_provider(provider: Value) -> Self {
        Self { provider, ..Self::new() }
    }

    fn demanding(model: Value, effort: Effort) -> Self {
        Self { effort: Some(effort), ..Self::of_model(model) }
    }

    fn policy(&self) -> Policy {
        let mut model = json!({"provider": "only", "id": ID, "context": 200_000, "max_output": 64_000, "tools": true});
        let mut provider =
            json!({"base_url": "https://api.anthropic.com", "auth": "x-api-key", "dialect": "anthropic-messages"});
        for (row, more) in [(&mut model, &self.model), (&mut provider, &self.provider)] {
            row.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        }
        let document = json!({
            "version": "1", "default_tier": "only",
            "tiers": [{
                "name": "only", "description": "Everything.", "candidates": [{"model": "model"}],
                "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
            }],
            "models": {"model": model}, "providers": {"only": provider},
        });
        parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn candidate(&self, policy: &Policy) -> Candidate {
        Candidate { model: policy.model_named("model").expect("a model"), effort: self.effort }
    }

    /// What goes up, and what is left out.
    pub fn send(&self, body: &str, options: &EncodeOptions) -> Sent {
        let policy = self.policy();
        let ask = ask(body);
        let encoded = dialect::encode_request(&policy, &self.candidate(&policy), &ask, options).expect("a request");
        Sent { body: String::from_utf8(encoded.body).expect("UTF-8"), dropped: encoded.dropped.join(" ") }
    }

    fn sealer(&self) -> Rc<Sealer> {
        let policy = self.policy();
        let roots = [Secret::new(ROOT.to_owned())];
        Sealer::new(&policy, self.candidate(&policy).model, &roots).map(Rc::new).expect("a root")
    }
}

#[derive(Debug, PartialEq)]
pub struct Sent {
    pub body: String,
    pub dropped: String,
}

/// A client's request.
fn ask(body: &str) -> Ask<'_> {
    parse_request(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error:?}"))
}

#[test]
fn a_request_passes_byte_for_byte_but_for_the_model() {
    let body = r#"{"model":"auto","max_tokens":100, "system":[ {"type":"text","text":"x-anthropic-billing-header: cc_version=1;"},{"type":"text","text":"B\u00e4","cache_control":{"type":"ephemeral","ttl":"1h"}} ],
        "messages":[ {"role":"user","content":"Hi"} , {"role":"system","content":"Now.","output_config":{"effort":"low"}},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"EqQB"},{"type":"text","text":"Ha"}]},
        {"content":[{"type":"new_block","x":1.50}],"role":"user"}],"tools":[{"name":"a.b c","input_schema":{"type":"object", "minLength":1},"defer_loading":true}],"tool_choice":{"type":"auto"},
        "thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"max","task_budget":{"x":1}},"context_management":{"edits":[]},"metadata":{"user_id":"{\"a\":1}"},"never_heard_of":[ 1 ],"stream":true}"#;
    let mut expected = String::from("{");
    for field in object_fields(body).expect("an object") {
        let value = if field.name == "model" { "\"claude-x\"" } else { field.value.get() };
        expected += &format!("\"{}\":{value},", field.name);
    }
    expected.replace_range(expected.len() - 1.., "}");
    let sent = Rows::new().send(body, &EncodeOptions::default());
    assert_eq!(sent, Sent { body: expected, dropped: String::new() });
}

#[test]
fn what_the_gateway_owns_and_the_rows_exclude_changes_and_nothing_else() {
    const HI: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;
    let tools = r#""tools":[{"name":"f"}]"#;
    let budget = || json!({"thinking": "budget"});
    let think = |kind: &str| format!(r#"{{{HI},"max_tokens":9000,"thinking":{kind}}}"#);
    let effort = |effort: &str| format!(r#"{{{HI},"max_tokens":9000,"output_config":{{"effort":"{effort}"}}}}"#);
    let thought = |kind: &str| format!(r#"{{{HI},"max_tokens":9000,"thinking":{kind},"model":"claude-x"}}"#);
    let put = |config: &str| format!(r#"{{{HI},"max_tokens":9000,"output_config":{config},"model":"claude-x"}}"#);
    let least = || format!(r#"{{{HI},"max_tokens":9000,"model":"claude-x"}}"#);
    for (rows, body, expected, dropped) in [
        (Rows::new(), format!("{{{HI}}}"), format!(r#"{{{HI},"max_tokens":16384,"model":"claude-x"}}"#), ""),
        (
            Rows::new(),
            format!(r#"{{"max_tokens":99999,{HI}}}"#),
            format!(r#"{{"max_tokens":64000,{HI},"model":"claude-x"}}"#),
            "max_tokens",
        ),
        (
            Rows::of_provider(json!({"unsupported_fields": ["context_management", "tools.defer_loading"]})),
            format!(r#"{{"max_tokens":9,{HI},"context_management":{{}},"tools":[{{"name":"f","defer_loading":true}}, {{}}]}}"#),
            format!(r#"{{"max_tokens":9,{HI},"tools":[{{"name":"f"}},{{}}],"model":"claude-x"}}"#),
            "context_management tools.defer_loading",
        ),
        (
            Rows::of_provider(json!({"fields": ["top_k"]})),
            format!(r#"{{"max_tokens":9,{HI},"top_k":1,"top_p":0.5,"new":1,"system":"s"}}"#),
            format!(r#"{{"max_tokens":9,{HI},"top_k":1,"system":"s","model":"claude-x"}}"#),
            "top_p new",
        ),
        (
            Rows::of_model(json!({"sampling": false})),
            format!(r#"{{"max_tokens":9,{HI},"temperature":1.0,"top_k":3}}"#),
            format!(r#"{{"max_tokens":9,{HI},"model":"claude-x"}}"#),
            "top_k",
        ),
        (
            Rows::of_model(json!({"forced_tools": false, "thinking": "none"})),
            format!(r#"{{"max_tokens":9,{HI},{tools},"tool_choice":{{"type":"any","disable_parallel_tool_use":true}}}}"#),
            format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"Hi"}},{{"role":"user","content":"You must answer with a call of one of your tools, whatever the request is."}}],{tools},"tool_choice":{{"type":"auto","disable_parallel_tool_use":true}},"model":"claude-x"}}"#),
            "tool_choice",
        ),
        (Rows::of_model(json!({"thinking": "none"})), think(r#"{"type":"adaptive"}"#), least(), "thinking"),
        (Rows::of_model(json!({"thinking": "always"})), think(r#"{"type":"disabled"}"#), least(), "thinking"),
        (
            Rows::of_model(json!({"thinking": "optional"})),
            think(r#"{"type":"enabled","budget_tokens":2000,"display":"omitted"}"#),
            thought(r#"{"type":"adaptive","display":"omitted"}"#),
            "thinking",
        ),
        (
            Rows::of_model(budget()),
            think(r#"{"type":"adaptive","display":"omitted"}"#),
            thought(r#"{"type":"enabled","budget_tokens":4500,"display":"omitted"}"#),
            "",
        ),
        (
            Rows::of_model(budget()),
            think(r#"{"type": "enabled","budget_tokens":9500}"#),
            thought(r#"{"type": "enabled","budget_tokens":9500}"#),
            "",
        ),
        (Rows::of_model(json!({"thinking": "none"})), effort("high"), least(), "output_config.effort"),
        (Rows::of_model(budget()), effort("high"), least(), ""),
        (Rows::of_model(json!({"efforts": {"high": "top"}})), effort("high"), put(r#"{"effort":"top"}"#), ""),
        (Rows::of_model(json!({"efforts": {"high": "top"}})), effort("top"), put(r#"{"effort":"top"}"#), ""),
        (Rows::of_model(json!({"efforts": {"high": "top"}})), effort("low"), least(), "output_config.effort"),
        (Rows::demanding(json!({}), Effort::Low), effort("high"), put(r#"{"effort":"low"}"#), "output_config.effort"),
        (Rows::demanding(json!({}), Effort::Low), least(), put(r#"{"effort":"low"}"#).replace(r#""output_config":{"effort":"low"},"model":"claude-x""#, r#""model":"claude-x","output_config":{"effort":"low"}"#), ""),
        (
            Rows::demanding(json!({"thinking": "adaptive"}), Effort::Max),
            format!(r#"{{{HI},"max_tokens":9000,"temperature":0.5}}"#),
            format!(r#"{{{HI},"max_tokens":9000,"model":"claude-x","thinking":{{"type":"adaptive"}},"output_config":{{"effort":"max"}}}}"#),
            "temperature",
        ),
        (
            Rows::of_model(json!({"system_turns": false})),
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}, {"role":"system","content":"Now.","output_config":{}}]}"#.to_owned(),
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"}, {"role":"user","content":"Now."}],"model":"claude-x"}"#.to_owned(),
            "messages",
        ),
        (
            Rows::new(),
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ha"} ]}"#.to_owned(),
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ha"},{"role":"user","content":"Continue."} ],"model":"claude-x"}"#.to_owned(),
            "messages",
        ),
        (
            Rows::new(),
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"server_tool_use"}]}]}"#.to_owned(),
            r#"{"max_tokens":9,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"server_tool_use"}]}],"model":"claude-x"}"#.to_owned(),
            "",
        ),
        (
            Rows::of_model(json!({"prompt_cache": "always", "prompt_cache_min": 1, "unsupported_fields": ["tools.strict"]})),
            r#"{"max_tokens":9,"tools":[{"name":"f"}, {"name":"g","strict":true}],"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ha"},{"role":"user","content":"Go"}]}"#.to_owned(),
            r#"{"max_tokens":9,"tools":[{"name":"f"},{"name":"g","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ha"},{"role":"user","content":"Go"}],"model":"claude-x","cache_control":{"type":"ephemeral"}}"#.to_owned(),
            "tools.strict",
        ),
        (
            Rows::of_model(json!({"prompt_cache": "always", "prompt_cache_min": 1})),
            format!(r#"{{"max_tokens":9,"system":"S",{HI}}}"#),
            format!(r#"{{"max_tokens":9,"system":[{{"type":"text","text":"S","cache_control":{{"type":"ephemeral"}}}}],{HI},"model":"claude-x"}}"#),
            "",
        ),
        (
            Rows::of_model(json!({"prompt_cache": "always", "prompt_cache_min": 1})),
            format!(r#"{{"max_tokens":9,"system":"S","cache_control":{{"type":"ephemeral"}},{HI}}}"#),
            format!(r#"{{"max_tokens":9,"system":"S","cache_control":{{"type":"ephemeral"}},{HI},"model":"claude-x"}}"#),
            "",
        ),
    ] {
        let sent = rows.send(&body, &EncodeOptions::default());
        assert_eq!(sent, Sent { body: expected, dropped: dropped.to_owned() }, "{body}");
    }
}

#[test]
fn the_form_of_the_answer_is_the_gateways() {
    for (stream, wanted, expected) in [
        (r#","stream":true"#, Transfer::Stream, r#","stream":true,"model":"claude-x"}"#),
        (r#","stream":false"#, Transfer::Stream, r#","stream":true,"model":"claude-x"}"#),
        (r#","stream":true"#, Transfer::Whole, r#","stream":false,"model":"claude-x"}"#),
        ("", Transfer::Stream, r#","stream":true,"model":"claude-x"}"#),
        ("", Transfer::Whole, r#","model":"claude-x"}"#),
    ] {
        let body = format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"u"}}]{stream}}}"#);
        let options = EncodeOptions { transfer: Some(wanted), ..EncodeOptions::default() };
        let sent = Rows::new().send(&body, &options).body;
        assert!(sent.ends_with(expected), "{sent}");
    }
}

#[test]
fn an_answer_that_was_begun_goes_on() {
    let rows = Rows::of_model(json!({"prefill": "message", "thinking": "budget"}));
    let body = r#"{"max_tokens":9000,"messages":[ {"role":"user","content":"Hi"} ],"thinking":{"type":"enabled","budget_tokens":2000},"output_config":{"format":{"type":"json_schema"}}}"#;
    let begun = EncodeOptions { begun: Some("So \"far\" \n".into()), ..EncodeOptions::default() };
    let expected = r#"{"max_tokens":9000,"messages":[ {"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":"So \"far\""}]} ],"model":"claude-x"}"#;
    let sent = rows.send(body, &begun);
    assert_eq!(sent.body, expected);
    assert_eq!(sent.dropped, "thinking output_config.format");
    let policy = rows.policy();
    let encoded = dialect::encode_request(&policy, &rows.candidate(&policy), &ask(body), &begun).expect("a request");
    assert_eq!(encoded.hidden, " \n");
}

#[test]
fn a_count_is_asked_for_the_prompt_alone() {
    let body = r#"{"model":"auto","max_tokens":9,"stream":true,"system":"S","messages":[ {"role":"user","content":"u"} ],"metadata":{},"temperature":1,"stop_sequences":[],"tools":[],"new":1}"#;
    let rows = Rows::new();
    let policy = rows.policy();
    let candidate = rows.candidate(&policy);
    let counted = encode_count(&Recipient::of(&policy, &candidate), &ask(body), &EncodeOptions::default());
    let expected =
        r#"{"model":"claude-x","system":"S","messages":[ {"role":"user","content":"u"} ],"tools":[],"new":1}"#;
    assert_eq!(String::from_utf8(counted.body).expect("UTF-8"), expected);
    for (answer, expected) in [(r#"{"input_tokens":7}"#, Some(7)), ("{}", None), ("x", None)] {
        assert_eq!(dialect::messages::read_count(answer.as_bytes()), expected);
    }
}

/// A thought as a client keeps it.
fn kept(token: &str, text: &str) -> String {
    format!(r#"{{"type":"thinking","thinking":"{text}","signature":"{token}"}}"#)
}

#[test]
fn thoughts_go_up_to_their_origin_and_leave_no_empty_turn() {
    let rows = Rows::new();
    let sealer = rows.sealer();
    let token =
        |text: &str, state: &str| sealer.seal(Thought { kind: SealKind::Signature, text }, state).expect("a token");
    let (first, second) = (kept(&token("a", "s1"), "a"), kept(&token("b", "s2"), "b"));
    let altered = kept(&token("a", "s1"), "x");
    let foreign = kept("tgs1_0_0_x", "f");
    let (text, user) = (r#"{"type":"text","text":"t"}"#, r#"{"role":"user","content":"u"}"#);
    let nothing = r#"{"type":"text","text":"(Nothing was said.)"}"#;
    let options = EncodeOptions { sealer: Some(Rc::clone(&sealer)), ..EncodeOptions::default() };
    let (one, two) = (kept("s1", "a"), kept("s2", "b"));
    for (answers, expected, is_dropped) in [
        (
            vec![format!("{first}, {text}"), format!("{second},{text}")],
            vec![format!("{one}, {text}"), format!("{two},{text}")],
            false,
        ),
        (
            vec![format!("{first},{text}"), format!("{foreign} ,{text}")],
            vec![format!("{one},{text}"), text.to_owned()],
            true,
        ),
        (
            vec![format!("{first},{text}"), format!("{altered},{second},{text}")],
            vec![text.to_owned(), format!("{two},{text}")],
            true,
        ),
        (
            vec![format!("{first},{foreign},{text}"), format!("{foreign},{second}")],
            vec![format!("{one},{text}"), nothing.to_owned()],
            true,
        ),
        (vec![foreign.clone(), format!("{second},{text}")], vec![nothing.to_owned(), format!("{two},{text}")], true),
        (vec![format!("{},{text}", kept("EqQB", "raw"))], vec![text.to_owned()], true),
    ] {
        let body = |answers: &[String]| {
            let turns: Vec<String> =
                answers.iter().map(|answer| format!(r#"{user},{{"role":"assistant","content":[{answer}]}}"#)).collect();
            format!(r#"{{"max_tokens":9,"messages":[{},{user}],"model":"claude-x"}}"#, turns.join(","))
        };
        let sent = rows.send(&body(&answers), &options);
        assert!(!sent.body.contains("tgs1_"), "{}", sent.body);
        assert_eq!(sent.body, body(&expected), "{answers:?}");
        assert_eq!(sent.dropped, if is_dropped { "messages.thinking" } else { "" }, "{answers:?}");
    }
}

#[test]
fn the_beginning_of_a_conversation_is_the_same_in_every_turn_and_on_every_way() {
    let rows = Rows::of_model(json!({"prefill": "message", "system_turns": false}));
    let sealer = rows.sealer();
    let token = |text: &str| sealer.seal(Thought { kind: SealKind::Signature, text }, "c2ln").expect("a token");
    let mut messages: Vec<String> = Vec::new();
    let mut before: Option<String> = None;
    for turn in 0..6 {
        messages.push(format!(r#"{{"role":"user", "content":"q{turn}"}}"#));
        messages.push(r#"{"role":"system","content":"Now."}"#.to_owned());
        let body = format!(
            r#"{{"model":"auto","system":"S","tools":[ ],"messages":[ {} ],"max_tokens":9}}"#,
            messages.join(" , ")
        );
        for (begun, transfer) in
            [(None, Transfer::Stream), (None, Transfer::Whole), (Some("So".into()), Transfer::Stream)]
        {
            let options = EncodeOptions {
                sealer: Some(Rc::clone(&sealer)),
                begun,
                transfer: Some(transfer),
                ..EncodeOptions::default()
            };
            let sent = rows.send(&body, &options).body;
            assert!(before.as_deref().is_none_or(|before| sent.starts_with(before)), "{before:?}\n{sent}");
        }
        let sent =
            rows.send(&body, &EncodeOptions { sealer: Some(Rc::clone(&sealer)), ..EncodeOptions::default() }).body;
        before = sent.rsplit_once(" ],\"max_tokens\"").map(|(prefix, _)| prefix.to_owned());
        assert!(before.is_some(), "{sent}");
        let foreign = if turn % 2 == 0 { kept("tgs1_0_0_x", "f") + ", " } else { String::new() };
        messages.push(format!(
            r#"{{"role":"assistant","content":[ {foreign}{} , {{"type":"text","text":"a"}}]}}"#,
            kept(&token("hm"), "hm")
        ));
    }
}

/// The API refuses thoughts behind another conversation, unless its beta is asked to pass over them, and some models refuse all
/// while they are not to think.
#[test]
fn thoughts_do_not_make_a_request_fail_behind_a_changed_conversation_or_without_thinking() {
    let beta = || json!({"headers": {"anthropic-beta": "a-1,thinking-binding-controls-2026-08-01"}});
    let own = || json!({"headers": {"anthropic-beta": "a-1"}});
    let thinking = |kind: &str| format!(r#","thinking":{kind}"#);
    let drops = r#""block_binding":{"prefix_mismatch_behavior":"drop_block"}"#;
    let (adaptive, dropping) = (r#"{"type":"adaptive"}"#, format!(r#"{{"type":"adaptive",{drops}}}"#));
    let (budget, disabled) = (r#"{"type":"enabled","budget_tokens":2000"#, r#"{"type":"disabled"}"#);
    let erring = r#"{"type":"adaptive", "block_binding":{"prefix_mismatch_behavior":"error"}}"#;
    let (opus, haiku) = (("claude-opus-5-5", "always"), ("claude-haiku-5-5", "optional"));
    let (older, oldest) = (("claude-opus-4-8", "adaptive"), ("claude-sonnet-4-5", "budget"));
    let refusal = Some("bound to a different conversation");
    for (provider, (id, thinks), asked, expected, refused, dropped) in [
        (beta(), opus, String::new(), thinking(&dropping), None, ""),
        (beta(), opus, thinking("null"), thinking(&dropping), None, ""),
        (beta(), haiku, thinking(adaptive), thinking(&dropping), None, ""),
        (beta(), opus, thinking(disabled), thinking(&dropping), None, "thinking"),
        (beta(), opus, thinking(&format!("{budget}}}")), thinking(&dropping), None, "thinking"),
        (beta(), oldest, thinking(&format!("{budget}}}")), thinking(&format!("{budget},{drops}}}")), None, ""),
        (beta(), opus, thinking(erring), thinking(erring), refusal, ""),
        (own(), opus, String::new(), String::new(), refusal, ""),
        (beta(), haiku, thinking(disabled), thinking(disabled), None, "messages.thinking"),
        (beta(), older, thinking(disabled), thinking(disabled), None, "messages.thinking"),
        (beta(), oldest, thinking(disabled), thinking(disabled), None, "messages.thinking"),
        (beta(), older, String::new(), String::new(), None, "messages.thinking"),
    ] {
        let rows = Rows { provider, ..Rows::of_model(json!({"id": id, "thinking": thinks, "sampling": false})) };
        let user = json!({"role": "user", "content": "u"});
        let thought_about = json!({"model": id, "system": "Before.", "messages": [user]});
        let block = kept(&sign_thought(&thought_about, "hm").expect("a request"), "hm");
        let body = format!(
            r#"{{"model":"{id}","max_tokens":9000,"system":"Now.","messages":[{user},{{"role":"assistant","content":[{block},{{"type":"text","text":"a"}}]}},{user}]{asked}}}"#
        );
        let sent = rows.send(&body, &EncodeOptions::default());
        let value: Value = serde_json::from_str(&sent.body).expect("JSON");
        let verdict = judge(id, &value).err();
        assert_eq!(verdict.is_some(), refused.is_some(), "{id} {asked}: {verdict:?}");
        assert!(verdict.unwrap_or_default().contains(refused.unwrap_or_default()), "{id} {asked}");
        assert!(sent.body.ends_with(&format!("]{expected}}}")), "{id} {asked}: {}", sent.body);
        assert_eq!(sent.dropped, dropped, "{id} {asked}");
        assert_eq!(sent.body.contains("\"signature\""), dropped != "messages.thinking", "{id} {asked}");
    }
}

/// What a client of a stream gets for its events, however they are cut into reads.
fn passed(sealer: Option<&Rc<Sealer>>, parts: [&[u8]; 2]) -> Vec<u8> {
    let rows = Rows::new();
    let policy = rows.policy();
    let candidate = rows.candidate(&policy);
    let body = r#"{"messages":[{"role":"user","content":"u"}],"tools":[{"name":"a b"}]}"#;
    let options = DecodeOptions::of(&Recipient::of(&policy, &candidate), &ask(body), Duration::ZERO);
    let mut stream = Stream::new(&DecodeOptions { sealer: sealer.cloned(), ..options }).expect("a dialect");
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    for part in parts {
        decoder.space().extend_from_slice(part);
        while let Some(event) = decoder.next_event().expect("short events") {
            let data = stream.data(&event);
            let mut pieces: Vec<Piece<'_>> = Vec::new();
            match stream.take(&data, &mut pieces).expect("an event") {
                Heard::Pieces | Heard::End => {
                    let passed = stream.pass(&data);
                    out.extend_from_slice(passed.as_it_came().and_then(|came| came.whole).expect("a whole event"));
                }
                Heard::Foreign => panic!("an event"),
            }
        }
    }
    out
}

#[test]
fn events_pass_as_they_came_but_for_states_however_they_are_cut() {
    let events: String = [
        r#"{"type":"message_start","message":{"id":"m","type":"message","usage":{"input_tokens":3}}}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"h\u006d"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"eA=="}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type": "content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"a b","input":{}}}"#,
        r#"{"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"signature\":\"c2ln\"}"}}"#,
        r#"{"type":"content_block_stop","index":2}"#,
        r#"{"type":"never_heard_of","x":[1]}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ]
    .iter()
    .map(|data| {
        let value: Value = serde_json::from_str(data).expect("JSON");
        format!("event: {}\ndata: {data}\n\n", value["type"].as_str().expect("a type"))
    })
    .collect();
    let sealer = Rows::new().sealer();
    let token = |kind, text, state| sealer.seal(Thought { kind, text }, state).expect("a token");
    let expected = events.replacen("c2ln", &token(SealKind::Signature, "hm", "c2ln"), 1).replacen(
        "eA==",
        &token(SealKind::Redacted, "", "eA=="),
        1,
    );
    for at in 0..=events.len() {
        let (head, tail) = events.as_bytes().split_at(at);
        assert_eq!(String::from_utf8_lossy(&passed(Some(&sealer), [head, tail])), expected, "cut at {at}");
    }
    assert_eq!(String::from_utf8_lossy(&passed(None, [events.as_bytes(), b""])), events);
    let unnamed: String =
        events.lines().filter(|line| !line.starts_with("event:")).map(|line| format!("{line}\n")).collect();
    assert_eq!(
        String::from_utf8_lossy(&passed(None, [unnamed.as_bytes(), b""])),
        events,
        "names are put to unnamed events"
    );
}
