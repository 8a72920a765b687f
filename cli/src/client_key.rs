//! Client keys of the gateway and the KV entries that make them valid.
//!
//! A key is `tg_<id>_<random>`; the entry `client/<id>` holds only its hash, so whoever reads the store learns no key.

use rand::distr::{Alphanumeric, SampleString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// 40 characters of 62 are 238 bits; the gateway asks for 32 characters at least.
const RANDOM_LENGTH: usize = 40;

/// A key, which is shown once and stored nowhere.
pub struct ClientKey {
    id: String,
    text: String,
}

impl ClientKey {
    /// `id` is of lower-case letters, digits and hyphens, 1 to 64 of them.
    pub fn generate(id: &str) -> Self {
        Self::with_random_part(id, &Alphanumeric.sample_string(&mut rand::rng(), RANDOM_LENGTH))
    }

    /// The key with a random part of the caller's, for tests that look for it.
    pub fn with_random_part(id: &str, random: &str) -> Self {
        Self { id: id.to_owned(), text: format!("tg_{id}_{random}") }
    }

    /// The key itself, for its owner.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The KV key of its client's entry.
    pub fn entry_key(&self) -> String {
        format!("client/{}", self.id)
    }

    /// What the entry's `keys` list holds for this key.
    pub fn entry(&self) -> Value {
        let hash: String = Sha256::digest(&self.text).iter().map(|byte| format!("{byte:02x}")).collect();
        json!({ "sha256": hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_form_that_the_gateway_checks_and_differ() {
        let key = ClientKey::generate("dev");
        let random = key.expose().strip_prefix("tg_dev_").expect("the key should begin with its id");
        assert_eq!(random.len(), RANDOM_LENGTH);
        assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{random}");
        assert_ne!(key.expose(), ClientKey::generate("dev").expose());
        assert_eq!(key.entry_key(), "client/dev");
    }

    #[test]
    fn the_entry_holds_the_hash_of_the_whole_key() {
        let key = ClientKey { id: "a".to_owned(), text: "abc".to_owned() };
        let published_example = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(key.entry(), json!({ "sha256": published_example }));
    }
}
