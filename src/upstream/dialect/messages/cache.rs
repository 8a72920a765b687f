//! Where a prompt is marked to be cached: ends of prefixes that the next request of an application repeats.
//!
//! The Messages API caches a prefix (tools, then system, then messages) up to each marked block, of which there may be
//! four. Tools and system prompt are stable, so their ends are marked; a conversation grows at its end, so once it has had
//! an answer the ends of its last two user turns are marked: one finds what the last request wrote, the other writes.
//!
//! Writing to the cache may cost more than plain input, so by itself the gateway marks only what is likely to come again, and
//! only where that pays ([`pays`]). A client that marks its prompt itself knows better: then its marks are all there are.

use super::wire::{Block, Body, CacheControl, Lifetime, Message, Role, Source, Tool};
use crate::policy::{Model, PromptCache};
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::ask::items::{CacheLifetime, CacheMark};
use crate::wire::json::Json;
use crate::wire::walk::said_bytes;

/// How many marks the API takes.
const MAX_MARKS: usize = 4;

/// A client's mark in the API's words.
pub fn control(mark: CacheMark) -> CacheControl {
    let ttl = mark.lifetime.map(|lifetime| match lifetime {
        CacheLifetime::FiveMinutes => Lifetime::FiveMinutes,
        CacheLifetime::Hour => Lifetime::Hour,
    });
    CacheControl::Ephemeral { ttl, mark: Some(mark) }
}

/// Keeps as many of the client's marks as the API takes, the last ones, and of those for an hour the ones that stand before all
/// others, as it demands. Says whether there are any.
pub fn keep_marks(body: &mut Body<'_>, dropped: &mut Dropped) -> bool {
    let tools = body.tools.iter_mut().map(|tool| &mut tool.cache_control);
    let messages = body.messages.iter_mut().flat_map(|message| &mut message.content);
    let blocks = body.system.iter_mut().chain(messages).filter_map(Block::cache_control);
    let mut marks: Vec<&mut Option<CacheControl>> = tools.chain(blocks).filter(|mark| mark.is_some()).collect();
    let superfluous = marks.len().saturating_sub(MAX_MARKS);
    for mark in marks.drain(..superfluous) {
        if let Some(CacheControl::Ephemeral { mark: Some(mark), .. }) = mark.take() {
            dropped.note(&mark.path());
        }
    }
    let mut is_short = false;
    for mark in &mut marks {
        let Some(CacheControl::Ephemeral { ttl, mark }) = mark else { continue };
        let is_long = *ttl == Some(Lifetime::Hour);
        if let (true, true, Some(mark)) = (is_long, is_short, mark) {
            *ttl = None;
            dropped.note(&mark.path());
        }
        is_short |= !is_long;
    }
    !marks.is_empty()
}

/// Whether the gateway is to mark a prompt of so many tokens: as the operator says, else if it is likely to come again and the
/// model's price says that the cache pays then.
pub fn pays(model: &Model, input_tokens: u64, may_return: impl FnOnce() -> bool) -> bool {
    match model.prompt_cache {
        PromptCache::Always => true,
        PromptCache::Never => false,
        PromptCache::Auto => model.price.is_some_and(|price| price.rates(input_tokens).repay_caching()) && may_return(),
    }
}

/// Whether a prompt is likely to come again: an agent's has tools, a conversation's more than one turn of the user.
pub fn may_return(body: &Body<'_>) -> bool {
    let turns = body.messages.iter().filter(|message| message.role == Role::User).count();
    !body.tools.is_empty() || turns > 1
}

/// Marks what is at least `min_tokens` long, counting from the beginning of the prompt.
pub fn mark(body: &mut Body<'_>, min_tokens: u64) {
    // Before the system prompt was lengthened by the gateway's own sentences, which depend on the request.
    let mut prefix = Prefix { missing: usize::try_from(min_tokens.saturating_mul(4)).unwrap_or(usize::MAX) };
    let described = |tool: &Tool<'_>| tool.description.as_ref().map_or(0, text_bytes);
    let of_tool = |tool: &Tool<'_>| text_bytes(&tool.input_schema) + 64 + described(tool);
    let is_long = prefix.extend(&body.tools, of_tool).is_some();
    if let Some(tool) = body.tools.last_mut().filter(|_| is_long) {
        tool.cache_control = Some(CacheControl::OWN);
    }
    let is_long = prefix.extend(&body.system, bytes).is_some();
    let of_system = body.system.last_mut().filter(|_| is_long).and_then(Block::cache_control);
    if let Some(cache_control) = of_system {
        *cache_control = Some(CacheControl::OWN);
    }
    if !body.messages.iter().any(|message| message.role == Role::Assistant) {
        return;
    }
    let of_message = |message: &Message<'_>| message.content.iter().map(bytes).sum();
    let Some(first_long) = prefix.extend(&body.messages, of_message) else { return };
    let long = body.messages.iter_mut().skip(first_long).rev().filter(|message| message.role == Role::User);
    let ends = long.filter_map(|message| message.content.last_mut().and_then(Block::cache_control));
    ends.take(2).for_each(|cache_control| *cache_control = Some(CacheControl::OWN));
}

/// The beginning of a prompt.
struct Prefix {
    /// How many bytes of text it still lacks.
    missing: usize,
}

impl Prefix {
    /// Adds what follows, and says which of it makes the prefix long enough; nothing behind that is counted.
    fn extend<T>(&mut self, following: &[T], bytes: impl Fn(&T) -> usize) -> Option<usize> {
        if self.missing == 0 {
            return Some(0);
        }
        following.iter().position(|part| {
            self.missing = self.missing.saturating_sub(bytes(part));
            self.missing == 0
        })
    }
}

/// About as many bytes of text as tokens stand for; an image counts as much whatever its encoding.
fn bytes(block: &Block<'_>) -> usize {
    const IMAGE_BYTES: usize = 6_000;
    match block {
        Block::Text { text, .. } => text_bytes(text),
        Block::Document { source: Source::Text { data, .. }, .. } => data.len(),
        Block::Image { .. } | Block::Document { .. } => IMAGE_BYTES,
        Block::Thinking { thinking, signature } => text_bytes(thinking) + text_bytes(signature),
        Block::RedactedThinking { data } => text_bytes(data),
        Block::ToolUse { name, input, .. } => name.len() + text_bytes(input),
        Block::ToolResult { content, .. } => content.iter().map(bytes).sum(),
    }
}

/// What JSON says, however it is written: escapes are no text.
fn text_bytes(json: &Json<'_>) -> usize {
    said_bytes(json.get()) as usize
}
