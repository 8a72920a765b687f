//! Clients that can be pointed at the gateway, and the lines that do so.

use clap::ValueEnum;

/// A client for which lines to copy are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Anthropic's coding agent
    ClaudeCode,
    /// Anthropic's SDK for Python
    Anthropic,
    /// OpenAI's SDK for Python
    Python,
    /// OpenAI's SDK for Node
    Node,
    /// The coding agent `OpenCode`
    Opencode,
}

/// The address and the key that a client gets.
#[derive(Clone, Copy)]
pub struct Entrance<'a> {
    /// The gateway's base URL, without a slash at the end.
    pub gateway: &'a str,
    pub key: &'a str,
}

impl Client {
    /// Every client, by its name on the command line.
    pub fn by_name() -> impl Iterator<Item = (String, Self)> {
        let name = |client: &Self| client.to_possible_value().map(|value| value.get_name().to_owned());
        Self::value_variants().iter().filter_map(move |client| Some((name(client)?, *client)))
    }

    /// What stands above its lines: what it is, and what must have been installed.
    pub fn heading(self) -> &'static str {
        match self {
            Client::ClaudeCode => "Claude Code, after `npm install -g @anthropic-ai/claude-code`",
            Client::Anthropic => "Anthropic's Python SDK, after `pip install anthropic`",
            Client::Python => "Python SDK, after `pip install openai`",
            Client::Node => "Node SDK, after `npm install openai`",
            Client::Opencode => "OpenCode, after `npm install -g opencode-ai`",
        }
    }

    /// Its lines, for a shell.
    pub fn lines(self, entrance: Entrance<'_>) -> String {
        let Entrance { gateway, key } = entrance;
        let openai = format!("OPENAI_BASE_URL={gateway}/v1 OPENAI_API_KEY={key}");
        let call = |messages: &str| format!("model='auto', messages={messages}");
        let hello = "[{'role': 'user', 'content': 'Hello'}]";
        match self {
            Client::ClaudeCode => format!(
                "ANTHROPIC_BASE_URL={gateway} ANTHROPIC_AUTH_TOKEN={key} ANTHROPIC_MODEL=auto \
                 ANTHROPIC_DEFAULT_HAIKU_MODEL=claude-fast claude -p 'Hello'"
            ),
            Client::Anthropic => format!(
                "ANTHROPIC_BASE_URL={gateway} ANTHROPIC_API_KEY={key} python3 -c \"import anthropic; \
                 print(anthropic.Anthropic().messages.create(max_tokens=1000, {}).content[0].text)\"",
                call(hello)
            ),
            Client::Python => format!(
                "{openai} python3 -c \"from openai import OpenAI; print(OpenAI().chat.completions.create({})\
                 .choices[0].message.content)\"",
                call(hello)
            ),
            Client::Node => format!(
                "{openai} node --input-type=module -e \"import OpenAI from 'openai'; const answer = await new OpenAI()\
                 .chat.completions.create({{ model: 'auto', messages: [{{ role: 'user', content: 'Hello' }}] }}); \
                 console.log(answer.choices[0].message.content)\""
            ),
            Client::Opencode => format!(
                "OPENCODE_CONFIG_CONTENT='{{\"model\": \"tiergate/auto\", \"provider\": {{\"tiergate\": {{\
                 \"npm\": \"@ai-sdk/openai-compatible\", \"options\": {{\"baseURL\": \"{gateway}/v1\", \"apiKey\": \"{key}\"}}, \
                 \"models\": {{\"auto\": {{}}}}}}}}}}' opencode run 'Hello'"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_gets_the_address_and_the_key() {
        for (_, client) in Client::by_name() {
            let lines = client.lines(Entrance { gateway: "http://127.0.0.1:1", key: "tg_a_b" });
            assert!(lines.contains("http://127.0.0.1:1") && lines.contains("tg_a_b"), "{lines}");
            assert_eq!(lines.lines().count(), 1, "{lines}");
        }
    }
}
