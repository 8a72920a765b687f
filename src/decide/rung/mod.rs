//! The rungs, one a file; `decide` has their order.

pub mod classifier;
pub mod header;
pub mod model;
pub mod rule;

use crate::error::{Error, Kind};
use crate::mask::keys::without_known_shapes;
use crate::policy::{Policy, TierId};

/// The longest part of a client's own word that an error quotes, in bytes.
const MAX_QUOTED_BYTES: usize = 64;

/// What stands before a tier's name for agents that take only names with `claude` in them.
pub const AGENT_PREFIX: &str = "claude-";

/// The tier that a client's `model` names: by its name, else by the same name in another case, since that is nothing else, or
/// behind [`AGENT_PREFIX`].
pub fn tier_of_model(policy: &Policy, name: &str) -> Option<TierId> {
    let named = |name: &str| {
        let in_any_case = || policy.tier_ids().find(|id| policy.tier(*id).name.as_str().eq_ignore_ascii_case(name));
        policy.tier_named(name).or_else(in_any_case)
    };
    named(name).or_else(|| named(name.strip_prefix(AGENT_PREFIX)?))
}

/// The error for a header that names what is not there.
pub fn unknown(header: &str, name: &str, valid: &str) -> Error {
    let name = without_known_shapes(name, MAX_QUOTED_BYTES);
    Error::new(Kind::InvalidHeader, format!("The header {header} names `{name}`; valid for this key here: {valid}."))
}
