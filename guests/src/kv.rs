//! What the command line asks of the `kv-store` guest, and what that answers.
//!
//! Both directions carry one JSON line and, after its newline, the bytes of a value: the JSON needs no escaping of
//! the value, and keys need none of a header's or URL's.

use serde::{Deserialize, Serialize};

/// The KV Store that the gateway reads.
pub const STORE: &str = "tiergate";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Get { key: String },
    Put { key: String, options: PutOptions },
    Delete { key: String },
    List(ListOptions),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutOptions {
    pub mode: PutMode,
    pub metadata: Option<String>,
    pub ttl_s: Option<u64>,
    /// The generation that the present value must have.
    pub if_generation: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PutMode {
    #[default]
    Overwrite,
    /// Only if there is no such key yet.
    Add,
    Append,
    Prepend,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListOptions {
    pub prefix: Option<String>,
    pub cursor: Option<String>,
    pub limit: Option<u32>,
}

/// What the store says of a value, without the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueInfo {
    pub metadata: Option<String>,
    pub generation: u64,
}

/// One page of keys in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPage {
    pub keys: Vec<String>,
    /// Where the next page begins; absent on the last one.
    pub next_cursor: Option<String>,
}

/// Puts a JSON line before a value.
pub fn encode_message(line: &impl Serialize, value: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut message = serde_json::to_vec(line)?;
    message.push(b'\n');
    message.extend_from_slice(value);
    Ok(message)
}

/// The JSON line and the value after it.
pub fn decode_message<T: for<'a> Deserialize<'a>>(message: &[u8]) -> serde_json::Result<(T, &[u8])> {
    let end = message.iter().position(|&byte| byte == b'\n').unwrap_or(message.len());
    let value = message.get(end + 1..).unwrap_or_default();
    Ok((serde_json::from_slice(&message[..end])?, value))
}
