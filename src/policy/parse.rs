//! Bytes to a validated policy, or to all the faults at once.
//!
//! Three passes over one tree: the names that are defined, the raw document, the validated values. The names come first
//! and from the bare tree, so that a definition with a fault still counts as known to those who refer to it.

use super::Policy;
use super::build::build_policy;
use super::fault::{Faults, Path};
use super::json::Node;
use super::raw;
use super::read::Read;
use super::scope::Scope;

/// Far above any real policy (each model takes about 300 bytes); it bounds the time and memory that parsing takes in every new
/// sandbox, of a good document and of one that is none.
pub const MAX_DOCUMENT_BYTES: usize = 512 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The policy that a document holds.
///
/// # Errors
/// What is wrong with it, up to 50 faults; then the rest of the document is not looked at.
pub fn parse(bytes: &[u8]) -> Result<Policy, Faults> {
    let mut faults = Faults::default();
    if bytes.len() > MAX_DOCUMENT_BYTES {
        faults
            .note(&Path::Root, format!("longer than {MAX_DOCUMENT_BYTES} bytes; valid: at most {MAX_DOCUMENT_BYTES}"));
        return Err(faults);
    }
    // Some editors put one before a text (RFC 8259, §8.1, lets a parser ignore it).
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let root: Node = match serde_json::from_slice(bytes) {
        Ok(root) => root,
        Err(error) => {
            faults.note(&Path::Root, format!("not valid JSON: {error}"));
            return Err(faults);
        }
    };
    let raw = raw::Policy::read(&root, &Path::Root, &mut faults);
    let policy = raw.and_then(|raw| build_policy(raw, &Scope::new(&root), &mut faults));
    match policy {
        Some(policy) if faults.0.is_empty() => Ok(policy),
        Some(_) | None => {
            debug_assert!(!faults.0.is_empty(), "a policy that cannot be built should have a fault");
            Err(faults)
        }
    }
}
