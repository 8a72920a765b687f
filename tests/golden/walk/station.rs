//! The providers of the walk, and the rows that docs/policy.md offers for them.

use std::fs;

use serde_json::{Value, json};
use tiergate::policy::Policy;
use tiergate::policy::parse::parse;
use tiergate_simulator::{Dialect, Model, Profile, Quirk, judge_chat_request, judge_messages_request};

/// A model of a provider of the walk, with what its answers leave in a history.
pub struct Station {
    pub name: &'static str,
    /// Its provider's row.
    provider: &'static str,
    pub profile: Profile,
    /// What its own row says beside what all say.
    model: Value,
    /// What stands beside an answer's content.
    pub echoes: Value,
    /// What stands beside a call.
    pub call_echoes: Value,
    /// What the ids of its calls begin with, before nine digits; nothing where it gives none.
    pub id: Option<&'static str>,
    pub thoughts: Thoughts,
    pub reasons: Reasons,
}

/// Which chunks of a stream of the chat API say why the answer ends.
#[derive(Clone, Copy)]
pub enum Reasons {
    AtTheEnd,
    /// As several servers do.
    InEveryChunk,
}

/// Where an answer says what the model thought.
#[derive(Clone, Copy)]
pub enum Thoughts {
    Nowhere,
    Field(&'static str),
    /// In the content, before the text.
    Parts,
    Blocks(When),
}

/// When a model of the Messages API thinks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    IfAsked,
}

impl Station {
    /// Whether its model thinks about a request.
    pub fn thinks(&self, upstream: &Value) -> bool {
        match self.thoughts {
            Thoughts::Nowhere => false,
            Thoughts::Field(_) | Thoughts::Parts | Thoughts::Blocks(When::Always) => true,
            Thoughts::Blocks(When::IfAsked) => upstream["thinking"]["type"] == "enabled",
        }
    }

    /// Whether the provider takes a request; if not, its words.
    pub fn judge(&self, upstream: &Value) -> Result<(), String> {
        match self.profile.dialect {
            Dialect::OpenAiChat => judge_chat_request(&self.profile, upstream),
            Dialect::AnthropicMessages => judge_messages_request(&self.profile, "2023-06-01", upstream),
        }
    }

    /// Whether the provider takes parts of a kind.
    pub fn takes_part(&self, kind: &str) -> bool {
        let is_known = self.profile.known.parts.is_none_or(|known| known.contains(&kind));
        is_known && !(kind == "image_url" && self.profile.has(Quirk::NoImages))
    }

    /// Whether instructions may stand between the other messages, of the Messages API.
    pub fn has_system_turns(&self) -> bool {
        self.model["system_turns"] == true
    }

    /// Whether what its model thought is good only behind the conversation that it thought about.
    pub fn binds_thoughts(&self) -> bool {
        matches!(self.thoughts, Thoughts::Blocks(When::Always))
    }
}

/// What is checked of the chat providers is the history, so any model of theirs goes.
fn station(name: &'static str, profile: Profile) -> Station {
    let models = Vec::<Model>::new();
    let profile = match profile.dialect {
        Dialect::OpenAiChat => Profile { models, ..profile },
        Dialect::AnthropicMessages => profile,
    };
    let (echoes, call_echoes, model) = (json!({}), json!({}), json!({}));
    let (id, thoughts) = (Some("call_"), Thoughts::Nowhere);
    let reasons = Reasons::AtTheEnd;
    Station { name, provider: name, profile, model, echoes, call_echoes, id, thoughts, reasons }
}

fn claude(name: &'static str, when: When, model: Value) -> Station {
    let station = station(name, Profile::anthropic());
    Station { provider: "anthropic", thoughts: Thoughts::Blocks(when), model, ..station }
}

pub fn stations() -> Vec<Station> {
    let nulls = || json!({"refusal": null, "annotations": []});
    let detail = json!({"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]});
    let signed = json!({"extra_content": {"google": {"thought_signature": "EjQKMg=="}}});
    let content = |station: Station| Station { thoughts: Thoughts::Field("reasoning_content"), ..station };
    let alias = |station: Station| Station { thoughts: Thoughts::Field("reasoning"), ..station };
    let prefills = |prefill: &str| json!({"prefill": prefill});
    let always = json!({"id": "claude-opus-5-5", "sampling": false, "forced_tools": false, "thinking": "always",
        "thinking_display": true});
    let turns = json!({"id": "claude-fable-5-2", "sampling": false, "forced_tools": false, "thinking": "always",
        "thinking_display": true, "system_turns": true});
    let budget = json!({"id": "claude-sonnet-4-5", "thinking": "budget", "prefill": "message"});
    let mistral = station("mistral", Profile::mistral());
    vec![
        claude("anthropic", When::Always, always),
        claude("anthropic-turns", When::Always, turns),
        claude("anthropic-budget", When::IfAsked, budget),
        Station { echoes: nulls(), ..station("openai", Profile::openai()) },
        Station { call_echoes: signed, id: None, ..station("google", Profile::google()) },
        Station { echoes: json!({"name": "mercury"}), ..station("inception", Profile::inception()) },
        Station {
            echoes: json!({"prefix": false}),
            id: Some(""),
            thoughts: Thoughts::Parts,
            model: prefills("prefix"),
            ..mistral
        },
        alias(station("groq", Profile::groq())),
        content(Station { model: prefills("prefix"), ..station("deepseek", Profile::deepseek()) }),
        content(station("xai", Profile::xai())),
        alias(Station { reasons: Reasons::InEveryChunk, ..station("together", Profile::together()) }),
        content(station("fireworks", Profile::fireworks())),
        alias(station("cerebras", Profile::cerebras())),
        Station { echoes: nulls(), reasons: Reasons::InEveryChunk, ..station("azure", Profile::azure()) },
        alias(Station { echoes: detail, ..station("openrouter", Profile::openrouter()) }),
        content(Station {
            id: Some("chatcmpl-tool-0123456789abcdef01234"),
            model: prefills("message"),
            reasons: Reasons::InEveryChunk,
            ..station("vllm", Profile::vllm())
        }),
        alias(Station { model: prefills("message"), ..station("ollama", Profile::ollama()) }),
    ]
}

/// The rows that docs/policy.md offers, and Anthropic's, with the models of the stations.
pub fn policy(stations: &[Station]) -> Policy {
    let text = fs::read_to_string("docs/policy.md").expect("docs/policy.md");
    let rows = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut rows = rows.filter_map(|json| serde_json::from_str::<Value>(&json.replace("RESOURCE", "resource")).ok());
    let mut rows = rows.find(|rows| rows.get("mistral").is_some()).expect("rows of providers");
    rows["anthropic"] = json!({
        "base_url": "https://api.anthropic.com", "dialect": "anthropic-messages", "auth": "x-api-key", "show_reasoning": true,
    });
    // Some of which have a field that takes it back.
    for shown in ["cerebras", "deepseek", "groq", "mistral", "ollama"] {
        rows[shown]["show_reasoning"] = json!(true);
    }
    let models: serde_json::Map<String, Value> = stations
        .iter()
        .map(|Station { name, provider, model: own, .. }| {
            let mut model = json!({"provider": provider, "id": "m", "context": 1_000_000, "max_output": 5_000, "tools": true,
                "vision": true, "json_schema": true, "files": true});
            let own = own.as_object().expect("an object").clone();
            model.as_object_mut().expect("an object").extend(own);
            (format!("{name}-model"), model)
        })
        .collect();
    let candidates: Vec<Value> = models.keys().map(|name| json!({"model": name})).collect();
    let document = json!({
        "version": "1", "default_tier": "only",
        "tiers": [{
            "name": "only", "description": "Everything.", "candidates": candidates,
            "deadlines": {"first_token_ms": 100, "idle_ms": 100, "total_ms": 600},
        }],
        "models": models,
        "providers": rows,
    });
    parse(document.to_string().as_bytes()).unwrap_or_else(|faults| panic!("{faults}"))
}
