//! What stands for the id of a user that an API does not take: its hash, which still tells users apart.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::wire::json::Json;

/// The hash of an id, in 64 hexadecimal digits.
pub fn write(user: &str) -> Json<'static> {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(user.as_bytes()) {
        write!(hex, "{byte:02x}").expect("a string should take what is written");
    }
    Json::text(&hex)
}
