//! The prompt cache: which part of a prompt was seen before, and how many tokens that is.
//!
//! A prompt is a row of blocks: tools, system, messages. A block with `cache_control` ends a prefix that is kept; a later
//! prompt reads the longest kept prefix that ends at or shortly before one of its own breakpoints. Nothing kept expires.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::request::{MessagesRequest, blocks_of, is_deferred};
use crate::reply::Refusal;

pub const MAX_BREAKPOINTS: usize = 4;
/// Shorter prefixes are not kept.
const LEAST_TOKENS: usize = 1024;
/// How many blocks before a breakpoint a kept prefix may end and still be found.
const LOOK_BACK: usize = 20;
/// When so many prefixes are kept, all are forgotten, so that a long run does not grow.
const MOST_KEPT: usize = 100_000;
const IMAGE_TOKENS: usize = 1_500;

#[derive(Default)]
pub struct PromptCache {
    kept: Mutex<HashSet<u64>>,
}

/// How the tokens of one prompt are billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptUsage {
    pub plain: usize,
    pub read: usize,
    pub written_5m: usize,
    pub written_1h: usize,
}

/// The prefix of a prompt up to one block.
struct Prefix {
    hash: u64,
    tokens: usize,
    /// The time to live that a breakpoint at this block asks for.
    breakpoint: Option<String>,
}

impl PromptCache {
    /// Bills a prompt and keeps the prefixes that it marks.
    pub fn bill(&self, request: &MessagesRequest<'_>) -> PromptUsage {
        let prefixes = prefixes(request);
        let all = prefixes.last().map_or(0, |prefix| prefix.tokens);
        let marked = || prefixes.iter().enumerate().filter(|(_, p)| p.breakpoint.is_some() && p.tokens >= LEAST_TOKENS);
        let mut kept = self.kept.lock().expect("no holder of this lock should panic");
        let found = |last: usize| {
            let candidates = &prefixes[last.saturating_sub(LOOK_BACK)..=last];
            candidates.iter().filter(|prefix| kept.contains(&prefix.hash)).map(|prefix| prefix.tokens).max()
        };
        let read = marked().filter_map(|(at, _)| found(at)).max().unwrap_or(0);
        let (mut usage, mut upto) = (PromptUsage { read, ..PromptUsage::default() }, read);
        for (_, prefix) in marked().filter(|(_, prefix)| prefix.tokens > read) {
            let written = prefix.tokens - upto;
            match prefix.breakpoint.as_deref() {
                Some("1h") => usage.written_1h += written,
                _ => usage.written_5m += written,
            }
            upto = prefix.tokens;
        }
        if kept.len() > MOST_KEPT {
            kept.clear();
        }
        kept.extend(marked().map(|(_, prefix)| prefix.hash));
        usage.plain = all - upto;
        usage
    }
}

/// The number of blocks that carry `cache_control`; the field of the whole request counts as one.
pub fn breakpoints(request: &MessagesRequest<'_>) -> usize {
    let inner = blocks(request).into_iter().map(|block| {
        let results = block["block"]["content"].as_array().into_iter().flatten();
        results.filter(|result| result["cache_control"].is_object()).count()
            + usize::from(block["block"]["cache_control"].is_object())
    });
    inner.sum::<usize>() + usize::from(request.field("cache_control").is_some())
}

/// What is kept for an hour stands before what is kept for five minutes.
pub fn check_lifetimes(request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let mut is_short = false;
    for block in blocks(request) {
        let control = &block["block"]["cache_control"];
        let is_long = control["ttl"] == "1h";
        if is_long && is_short {
            return Err(Refusal::invalid(
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block; blocks are processed in \
                 the order `tools`, `system`, `messages`",
            ));
        }
        is_short |= control.is_object() && !is_long;
    }
    Ok(())
}

pub fn prompt_tokens(request: &MessagesRequest<'_>) -> usize {
    read(request).iter().map(tokens).sum()
}

/// The blocks without tools that are deferred, whose definitions are read only where a reference to them stands.
fn read(request: &MessagesRequest<'_>) -> Vec<Value> {
    let mut blocks = blocks(request);
    blocks.retain(|block| !is_deferred(&block["block"]));
    blocks
}

/// Each block with where it stands, in the order in which the model reads them.
fn blocks(request: &MessagesRequest<'_>) -> Vec<Value> {
    let tools = request.tools().iter().map(|tool| json!({"at": "tools", "block": tool}));
    let system = request.field("system").map(blocks_of).unwrap_or_default();
    let system = system.into_iter().map(|block| json!({"at": "system", "block": block}));
    let messages = request.messages().iter().flat_map(|message| {
        let blocks = blocks_of(&message["content"]).into_iter();
        blocks.map(|block| json!({"at": message["role"], "block": block}))
    });
    tools.chain(system).chain(messages).collect()
}

fn prefixes(request: &MessagesRequest<'_>) -> Vec<Prefix> {
    let mut hasher = DefaultHasher::new();
    request.model().hash(&mut hasher);
    let mut all = 0;
    let mut prefixes: Vec<Prefix> = Vec::new();
    for mut block in read(request) {
        let control = block["block"].as_object_mut().and_then(|fields| fields.remove("cache_control"));
        all += tokens(&block);
        block.to_string().hash(&mut hasher);
        prefixes.push(Prefix {
            hash: hasher.finish(),
            tokens: all,
            breakpoint: control.as_ref().and_then(time_to_live),
        });
    }
    if let (Some(last), Some(control)) = (prefixes.last_mut(), request.field("cache_control")) {
        last.breakpoint = time_to_live(control);
    }
    prefixes
}

fn time_to_live(control: &Value) -> Option<String> {
    control.is_object().then(|| control["ttl"].as_str().unwrap_or("5m").to_owned())
}

/// Four bytes a token; pictures and files count by what they show, not by how they are encoded.
fn tokens(block: &Value) -> usize {
    let source = &block["block"]["source"];
    let data = source["data"].as_str().filter(|_| source["type"] == "base64").map_or(0, str::len);
    let bytes = block["block"].to_string().len() - data;
    let seen = match block["block"]["type"].as_str() {
        Some("image") => IMAGE_TOKENS,
        _ => data / 40,
    };
    bytes.div_ceil(4) + seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill(cache: &PromptCache, request: &Value) -> PromptUsage {
        cache.bill(&MessagesRequest(request.as_object().expect("a request should be an object")))
    }

    fn marked(text: &str, ttl: Option<&str>) -> Value {
        let mut control = json!({"type": "ephemeral"});
        if let Some(ttl) = ttl {
            control["ttl"] = json!(ttl);
        }
        json!({"type": "text", "text": text, "cache_control": control})
    }

    #[test]
    fn a_prefix_is_written_once_and_read_from_then_on() {
        let cache = PromptCache::default();
        let long = "word ".repeat(2000);
        let ask = |question: &str| json!({"model": "m", "system": [marked(&long, None)], "messages": [{"role": "user", "content": question}]});
        let first = bill(&cache, &ask("one"));
        assert!(first.read == 0 && first.written_5m > 2000 && first.plain > 0, "{first:?}");
        let second = bill(&cache, &ask("another question"));
        assert_eq!((second.read, second.written_5m), (first.written_5m, 0));
        let mut other = ask("one");
        other["model"] = json!("n");
        assert_eq!(bill(&cache, &other).read, 0, "a model has a cache of its own");
    }

    #[test]
    fn a_conversation_that_grows_reads_what_it_wrote() {
        let cache = PromptCache::default();
        let turn = |n: usize| json!({"role": "user", "content": [marked(&format!("{n} {}", "word ".repeat(1200)), Some("1h"))]});
        let first = bill(&cache, &json!({"model": "m", "messages": [turn(1)]}));
        let second = bill(&cache, &json!({"model": "m", "messages": [turn(1), turn(2)]}));
        assert!(first.written_1h > 1000 && first.plain == 0, "{first:?}");
        assert_eq!(second.read, first.written_1h);
        assert_eq!(second.written_1h, first.written_1h);
    }

    #[test]
    fn short_and_unmarked_prompts_are_not_kept() {
        let cache = PromptCache::default();
        let long = json!({"model": "m", "messages": [{"role": "user", "content": "word ".repeat(2000)}]});
        let short =
            json!({"model": "m", "system": [marked("short", None)], "messages": [{"role": "user", "content": "x"}]});
        for request in [&long, &long, &short, &short] {
            let usage = bill(&cache, request);
            assert_eq!(usage, PromptUsage { plain: usage.plain, ..PromptUsage::default() });
        }
        let mut whole = long.clone();
        whole["cache_control"] = json!({"type": "ephemeral"});
        assert!(bill(&cache, &whole).written_5m > 2000, "the field of the request marks its last block");
        assert!(bill(&cache, &whole).read > 2000);
    }
}
