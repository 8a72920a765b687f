//! The providers of the walk, and the rows that docs/policy.md offers for them.

use std::fs;

use serde_json::{Value, json};
use tiergate::policy::Policy;
use tiergate::policy::parse::parse;
use tiergate_simulator::{Dialect, Model, Profile};

/// A provider of the walk, with what its answers leave in a history.
pub struct Station {
    pub name: &'static str,
    pub profile: Profile,
    pub sees_images: bool,
    /// What stands beside an answer's content.
    pub echoes: Value,
    /// What stands beside a call.
    pub call_echoes: Value,
    /// What the ids of its calls begin with, before nine digits; nothing where it gives none.
    pub id: Option<&'static str>,
    /// The field that holds its thoughts; nothing where they are parts of the content, or blocks.
    pub thoughts: Option<&'static str>,
}

/// What is checked of the chat providers is the history, so any model of theirs goes.
fn station(name: &'static str, profile: Profile) -> Station {
    let models = Vec::<Model>::new();
    let profile = match profile.dialect {
        Dialect::OpenAiChat => Profile { models, ..profile },
        Dialect::AnthropicMessages => profile,
    };
    let (echoes, call_echoes) = (json!({}), json!({}));
    Station { name, profile, sees_images: true, echoes, call_echoes, id: Some("call_"), thoughts: None }
}

pub fn stations() -> Vec<Station> {
    let nulls = || json!({"refusal": null, "annotations": []});
    let detail = json!({"reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}]});
    let signed = json!({"extra_content": {"google": {"thought_signature": "EjQKMg=="}}});
    let (content, alias) = (Some("reasoning_content"), Some("reasoning"));
    let blind = |station: Station| Station { sees_images: false, ..station };
    vec![
        station("anthropic", Profile::anthropic()),
        Station { echoes: nulls(), ..station("openai", Profile::openai()) },
        Station { call_echoes: signed, id: None, ..station("google", Profile::google()) },
        blind(Station { echoes: json!({"name": "mercury"}), ..station("inception", Profile::inception()) }),
        Station { echoes: json!({"prefix": false}), id: Some(""), ..station("mistral", Profile::mistral()) },
        Station { thoughts: alias, ..station("groq", Profile::groq()) },
        blind(Station { thoughts: content, ..station("deepseek", Profile::deepseek()) }),
        Station { thoughts: content, ..station("xai", Profile::xai()) },
        Station { thoughts: alias, ..station("together", Profile::together()) },
        Station { thoughts: content, ..station("fireworks", Profile::fireworks()) },
        blind(Station { thoughts: alias, ..station("cerebras", Profile::cerebras()) }),
        Station { echoes: nulls(), ..station("azure", Profile::azure()) },
        Station { echoes: detail, thoughts: alias, ..station("openrouter", Profile::openrouter()) },
        Station {
            id: Some("chatcmpl-tool-0123456789abcdef01234"),
            thoughts: content,
            ..station("vllm", Profile::vllm())
        },
        Station { thoughts: alias, ..station("ollama", Profile::ollama()) },
    ]
}

/// The rows that docs/policy.md offers, and Anthropic's, each with one model.
pub fn policy(stations: &[Station]) -> Policy {
    let text = fs::read_to_string("docs/policy.md").expect("docs/policy.md");
    let rows = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut rows = rows.filter_map(|json| serde_json::from_str::<Value>(&json.replace("RESOURCE", "resource")).ok());
    let mut rows = rows.find(|rows| rows.get("mistral").is_some()).expect("rows of providers");
    rows["anthropic"] = json!({
        "base_url": "https://api.anthropic.com", "dialect": "anthropic-messages", "auth": "x-api-key", "show_reasoning": true,
    });
    let models: serde_json::Map<String, Value> = stations
        .iter()
        .map(|Station { name, profile, .. }| {
            let id = profile.models.first().map_or("m", |model| &model.id);
            let mut model = json!({"provider": name, "id": id, "context": 1_000_000, "max_output": 5_000, "tools": true,
                "vision": true, "json_schema": true});
            if profile.dialect == Dialect::AnthropicMessages {
                model["sampling"] = json!(false);
                model["forced_tools"] = json!(false);
                model["thinking"] = json!("always");
                model["thinking_display"] = json!(true);
            }
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
