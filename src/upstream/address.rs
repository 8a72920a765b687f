//! Where requests to a provider go: its row's path, or the dialect's own, below its base URL, and its row's query.

use crate::policy::{ModelId, Policy, Provider};
use crate::upstream::dialect;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Below the base URL, without the query.
    pub path: String,
    /// All of it.
    pub url: String,
}

impl Address {
    /// Where requests for a model go.
    pub fn of(policy: &Policy, model: ModelId) -> Self {
        let (provider, model) = (policy.provider_of(model), policy.model(model));
        let path = match &provider.path {
            Some(template) => template.expand(&model.id),
            None => dialect::own_path(provider.dialect).to_owned(),
        };
        Self::at(provider, path)
    }

    /// Another path below a provider's base URL.
    pub fn at(provider: &Provider, path: String) -> Self {
        let mark = if provider.query.is_empty() { "" } else { "?" };
        let url = format!("{}{path}{mark}{}", provider.base_url, provider.query);
        Self { path, url }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::parse::parse;

    #[test]
    fn a_request_goes_where_its_providers_row_says() {
        let azure = r#""dialect": "openai-chat", "path": "/openai/deployments/{model}/chat/completions",
            "query": {"api-version": "2026-10-01-preview", "a_b": "é&"}"#;
        for (row, url) in [
            (r#""dialect": "openai-chat""#, "https://llm.example/v1/chat/completions"),
            (r#""dialect": "anthropic-messages""#, "https://llm.example/v1/v1/messages"),
            (r#""dialect": "anthropic-messages", "path": "/messages""#, "https://llm.example/v1/messages"),
            (
                azure,
                "https://llm.example/v1/openai/deployments/my%2Fgpt-6%3A0/chat/completions\
                 ?api-version=2026-10-01-preview&a_b=%C3%A9%26",
            ),
        ] {
            let document = format!(
                r#"{{"version": "1", "default_tier": "t",
                "tiers": [{{"name": "t", "description": "d", "candidates": [{{"model": "m"}}],
                    "deadlines": {{"first_token_ms": 1, "idle_ms": 1, "total_ms": 1}}}}],
                "models": {{"m": {{"provider": "p", "id": "my/gpt-6:0", "context": 1, "max_output": 1}}}},
                "providers": {{"p": {{"base_url": "https://llm.example/v1", {row}}}}}}}"#
            );
            let policy = parse(document.as_bytes()).expect("a valid policy");
            let model = policy.model_named("m").expect("a model");
            assert_eq!(Address::of(&policy, model).url, url);
        }
    }
}
