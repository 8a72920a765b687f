//! The token without which the stand-in for the KV API does nothing.
//!
//! It is another one in each run, so that a line which was copied from one gateway's terminal cannot change another
//! gateway that happens to have the same port.

use anyhow::{Result, ensure};
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};

/// 32 characters of 62 are 190 bits.
const RANDOM_LENGTH: usize = 32;
/// What somebody chooses must not be guessed, as `local` would be.
const SHORTEST: usize = 16;

/// What `Fastly-Key` must say.
pub struct KvToken {
    text: String,
}

impl KvToken {
    /// A new token for one run.
    pub fn generate() -> Self {
        Self { text: Alphanumeric.sample_string(&mut rand::rng(), RANDOM_LENGTH) }
    }

    /// A token that somebody chose. The error does not show it.
    pub fn chosen(text: String) -> Result<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(is_plain && text.len() >= SHORTEST, "a token has {SHORTEST} or more ASCII characters and no spaces");
        Ok(Self { text })
    }

    /// The token itself, for its owner.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Takes no longer for a guess that begins well: what is compared are hashes.
    pub fn is(&self, guess: &[u8]) -> bool {
        Sha256::digest(guess) == Sha256::digest(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_a_token_of_its_own() {
        let (token, other) = (KvToken::generate(), KvToken::generate());
        assert_eq!(token.expose().len(), RANDOM_LENGTH);
        assert!(token.is(token.expose().as_bytes()));
        for guess in [other.expose(), "", "local", &token.expose()[1..]] {
            assert!(!token.is(guess.as_bytes()), "{guess}");
        }
    }

    #[test]
    fn a_chosen_token_is_long_and_plain_and_is_not_shown() {
        assert!(KvToken::chosen("0123456789abcdef".to_owned()).is_ok_and(|token| token.is(b"0123456789abcdef")));
        for refused in ["", "local", "0123456789abcde", "0123456789 abcdef", "0123456789abcdéf"] {
            let error = KvToken::chosen(refused.to_owned()).err().expect("it should be refused").to_string();
            assert!(refused.is_empty() || !error.contains(refused), "{error}");
        }
    }
}
