//! Where a prompt is marked to be cached: ends of prefixes that the next request of an application repeats.
//!
//! The Messages API caches a prefix (tools, then system, then messages) up to each marked block, of which there may be
//! four. Tools and system prompt are stable, so their ends are marked; a conversation grows at its end, so once it has had
//! an answer the ends of its last two user turns are marked: one finds what the last request wrote, the other writes.

use super::wire::{Block, Body, CacheControl, Role};
use crate::wire::json::Json;

/// Marks what is at least `min_tokens` long, counting from the beginning of the prompt.
pub fn mark(body: &mut Body<'_>, min_tokens: u64) {
    // Before the system prompt was lengthened by the gateway's own sentences, which depend on the request.
    let of_tools: usize = body.tools.iter().map(|tool| tool.input_schema.get().len() + 64).sum();
    let described: usize = body.tools.iter().filter_map(|tool| tool.description).map(|text| text.get().len()).sum();
    let tools = of_tools + described;
    let system = tools + bytes(&body.system);
    let is_long = |bytes: usize| bytes as u64 / 4 >= min_tokens;
    if let Some(tool) = body.tools.last_mut().filter(|_| is_long(tools)) {
        tool.cache_control = Some(CacheControl::Ephemeral);
    }
    if let Some(block) = body.system.last_mut().filter(|_| is_long(system)) {
        *block.cache_control() = Some(CacheControl::Ephemeral);
    }
    if !body.messages.iter().any(|message| message.role == Role::Assistant) {
        return;
    }
    let mut end = system + body.messages.iter().map(|message| bytes(&message.content)).sum::<usize>();
    let mut marked = 0;
    for message in body.messages.iter_mut().rev() {
        let length = bytes(&message.content);
        if message.role == Role::User
            && marked < 2
            && is_long(end)
            && let Some(block) = message.content.last_mut()
        {
            *block.cache_control() = Some(CacheControl::Ephemeral);
            marked += 1;
        }
        end -= length;
    }
}

/// About as many bytes of text as tokens stand for; an image counts as much whatever its encoding.
fn bytes(blocks: &[Block<'_>]) -> usize {
    const IMAGE_BYTES: usize = 6_000;
    let of_block = |block: &Block<'_>| match block {
        Block::Text { text, .. } => text_bytes(text),
        Block::Image { .. } | Block::Document { .. } => IMAGE_BYTES,
        Block::ToolUse { name, input, .. } => name.len() + input.get().len(),
        Block::ToolResult { content, .. } => bytes(content),
    };
    blocks.iter().map(of_block).sum()
}

fn text_bytes(text: &Json<'_>) -> usize {
    text.get().len()
}
