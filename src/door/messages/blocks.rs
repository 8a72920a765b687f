//! The types of blocks that a message of the Messages API may hold, and what each of them is here.

use crate::door::fields::same_but_for_case;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    Text,
    Image,
    Document,
    ToolUse,
    ToolResult,
    Thinking,
    RedactedThinking,
    ToolReference,
    ToolAddition,
    ToolRemoval,
    /// A summary in place of all that came before it.
    Compaction,
    /// What only the API itself, or one of its tools, understands.
    Opaque,
}

/// A type of blocks.
#[derive(Debug, PartialEq, Eq)]
pub struct BlockType {
    pub name: &'static str,
    pub of: Block,
}

/// All types that the API publishes.
const BLOCK_TYPES: [BlockType; 25] = [
    known("text", Block::Text),
    known("image", Block::Image),
    known("document", Block::Document),
    known("tool_use", Block::ToolUse),
    known("tool_result", Block::ToolResult),
    known("thinking", Block::Thinking),
    known("redacted_thinking", Block::RedactedThinking),
    known("tool_reference", Block::ToolReference),
    known("tool_addition", Block::ToolAddition),
    known("tool_removal", Block::ToolRemoval),
    known("search_result", Block::Opaque),
    known("server_tool_use", Block::Opaque),
    known("web_search_tool_result", Block::Opaque),
    known("web_fetch_tool_result", Block::Opaque),
    known("code_execution_tool_result", Block::Opaque),
    known("bash_code_execution_tool_result", Block::Opaque),
    known("text_editor_code_execution_tool_result", Block::Opaque),
    known("tool_search_tool_result", Block::Opaque),
    known("advisor_tool_result", Block::Opaque),
    known("mcp_tool_use", Block::Opaque),
    known("mcp_tool_result", Block::Opaque),
    known("mcp_tool_listing", Block::Opaque),
    known("container_upload", Block::Opaque),
    known("browser_state", Block::Opaque),
    known("compaction", Block::Compaction),
];

/// One that nobody here knows goes to the API itself.
const OTHER: BlockType = known("other", Block::Opaque);

const fn known(name: &'static str, of: Block) -> BlockType {
    BlockType { name, of }
}

/// The type of this name.
pub fn block_type(name: &str) -> &'static BlockType {
    BLOCK_TYPES.iter().find(|known| known.name == name).unwrap_or(&OTHER)
}

/// The type that a name is in another case, which a provider's parser may take for that.
pub fn other_case(name: &str) -> Option<&'static str> {
    let names = BLOCK_TYPES.iter().map(|known| known.name);
    names.into_iter().find(|known| *known != name && same_but_for_case(known, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_found_by_its_name() {
        for known in &BLOCK_TYPES {
            assert_eq!(block_type(known.name), known);
            assert_eq!(other_case(known.name), None);
            assert_eq!(other_case(&known.name.to_uppercase()), Some(known.name));
        }
        assert_eq!(block_type("hologram"), &OTHER);
    }
}
