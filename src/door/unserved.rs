//! Paths that clients ask for and that nothing is served at: whose they are, and what to use in their place.

/// What is served, in words for whoever asked for something else.
const SERVED: &str = "valid: POST /v1/chat/completions, POST /v1/messages, POST /v1/messages/count_tokens, POST /v1/route, GET /v1/models, GET /healthz";

/// Paths whose callers are told the same.
struct Group {
    /// What to do in place of asking there.
    instead: &'static str,
    /// Paths below `/v1`, without what comes behind them, and what they are; the first that fits counts.
    paths: &'static [(&'static str, &'static str)],
}

const GROUPS: [Group; 7] = [
    Group {
        instead: "leave out one of them",
        paths: &[("/v1", "The base URL holds `/v1` and the path begins with it: `/v1` stands twice")],
    },
    Group {
        instead: "use POST /v1/chat/completions",
        paths: &[
            ("/responses", "The Responses API is not served"),
            ("/complete", "Anthropic's older Completions API is not served"),
            ("/completions", "OpenAI's older Completions API is not served"),
            ("/chat/completions", "No completion is stored"),
            ("/chat", "Chat completions have a longer path"),
            ("/assistants", "The Assistants API is not served"),
            ("/threads", "The Assistants API is not served"),
            ("/conversations", "The Conversations API is not served"),
            ("/realtime", "The Realtime API is not served"),
            ("/v1beta", "This is Gemini's API, which is not served"),
            ("/api/chat", "This is Ollama's API, which is not served"),
            ("/api/generate", "This is Ollama's API, which is not served"),
        ],
    },
    Group {
        instead: "it routes chat completions; ask the provider itself",
        paths: &[
            ("/embeddings", "Embeddings are not served by this gateway"),
            ("/moderations", "Moderations are not served by this gateway"),
            ("/images", "Images are not made by this gateway"),
            ("/audio", "Speech is not served by this gateway"),
            ("/videos", "Videos are not made by this gateway"),
            ("/rerank", "Reranking is not served by this gateway"),
            ("/files", "Files are not stored by this gateway"),
            ("/uploads", "Files are not stored by this gateway"),
            ("/vector_stores", "Files are not stored by this gateway"),
            ("/containers", "Containers are not served by this gateway"),
            ("/batches", "Batches are not served by this gateway"),
            ("/fine_tuning", "Fine-tuning is not served by this gateway"),
            ("/evals", "Evals are not served by this gateway"),
            ("/organization", "This is not served by this gateway"),
            ("/api/embed", "This is Ollama's API, which is not served"),
        ],
    },
    Group {
        instead: "point an OpenAI SDK, not an Azure one, at this gateway",
        paths: &[("/openai", "This is Azure's path, which is not served")],
    },
    Group { instead: "use POST /v1/messages", paths: &[("/messages", "Batches of messages are not served")] },
    Group {
        instead: "let it end in `/v1` alone",
        paths: &[("/api/v1", "The base URL has a path that this gateway has not")],
    },
    Group {
        instead: "use GET /v1/models",
        paths: &[
            ("/api/tags", "This is Ollama's API, which is not served"),
            ("/api/show", "This is Ollama's API, which is not served"),
        ],
    },
];

/// What to say of a path, without the `/v1` before it, at which nothing is served.
pub fn explain(below: &str) -> String {
    let fits = |known: &str| {
        below.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '.']))
    };
    if matches!(below, "" | "/" | "/v1") {
        return format!("This is the gateway's base URL, with nothing behind it ({SERVED}).");
    }
    let known = GROUPS.iter().flat_map(|group| group.paths.iter().map(|(path, what)| (path, what, group.instead)));
    match known.into_iter().find(|(path, ..)| fits(path)) {
        Some((_, what, instead)) => format!("{what}; {instead} ({SERVED})."),
        None => format!("There is nothing at this path; {SERVED}."),
    }
}
