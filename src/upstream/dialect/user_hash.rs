//! What stands for the id of a user that an API does not take: its hash, which still tells users apart.

use sha2::{Digest, Sha256};

use crate::wire::json::Json;
use crate::wire::mac::write_hex;

/// The hash of an id, in 64 hexadecimal digits.
pub fn write(user: &str) -> Json<'static> {
    let mut hex = String::with_capacity(64);
    write_hex(&Sha256::digest(user.as_bytes()), &mut hex);
    Json::text(&hex)
}
