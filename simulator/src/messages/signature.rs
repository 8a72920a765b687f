//! Signatures of thinking blocks: by one a simulator knows a block that it gave, and that nobody changed it since.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub fn of(thinking: &str) -> String {
    let mut hasher = DefaultHasher::new();
    thinking.hash(&mut hasher);
    STANDARD.encode(format!("simulated thinking {:016x}", hasher.finish()))
}

/// Whether the block is one that a simulator gave.
pub fn fits(block: &Value) -> bool {
    block["thinking"].as_str().is_some_and(|thinking| block["signature"] == of(thinking))
}
