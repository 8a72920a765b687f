//! The block that Claude Code writes before its system prompt, which tells Anthropic which client asks. Anthropic itself takes
//! it out before a model reads it, so it says nothing to any other, and it differs from request to request.

use crate::wire::walk::inside;

const START: &str = "x-anthropic-billing-header:";

/// Whether a text, as JSON, is such a block; it is one only before all others.
pub fn is_attribution(text: &str, position: usize) -> bool {
    position == 0 && inside(text).starts_with(START)
}
