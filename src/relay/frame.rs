//! What goes before an answer that another execution goes on with: a head that shows who sent it, and its state.
//!
//! The head has a fixed length and comes first, so that little is read from whom nobody knows: a name, the time, a nonce, the
//! lengths of what follows and the digest of the state, and a MAC (HMAC-SHA-256) over all that. Behind it stand the state, what is held back
//! of the answer, and then the provider's bytes as they come. Whoever takes it shows in return that it has the key.

use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;
use crate::wire::mac::{MAC_BYTES, authenticate, write_hex};

/// What keys and proofs are derived for, so that they are good for nothing else.
const KEY_LABEL: &[u8] = b"tiergate continuation key 1";
const PROOF_LABEL: &[u8] = b"tiergate continuation taken 1";
/// What every head begins with.
const NAME: &[u8; 24] = b"tiergate continuation 1\n";
/// How old a head may be, or how far ahead of this machine's clock.
pub const VALIDITY: Duration = Duration::from_secs(10);
/// The longest state, in bytes: to write, digest and read a longer one would take more CPU time than is kept for that.
const MAX_STATE_BYTES: usize = 2 << 20;
/// The most that may be held back of an answer, in bytes. It is told the client as it is, like the provider's bytes behind it.
const MAX_HELD_BYTES: usize = 20 << 20;

pub const NONCE_BYTES: usize = 16;
/// The length of a head, in bytes.
pub const HEAD_BYTES: usize = NAME.len() + 8 + NONCE_BYTES + 4 + 4 + DIGEST_BYTES + MAC_BYTES;
const DIGEST_BYTES: usize = 32;

pub type Nonce = [u8; NONCE_BYTES];

/// What follows a head.
#[derive(Clone, Copy, Debug)]
pub struct Load<'l> {
    pub state: &'l [u8],
    /// What is held back of the answer.
    pub held: &'l [u8],
}

/// What a head announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    pub nonce: Nonce,
    /// The length of the state, in bytes.
    pub state: usize,
    /// The length of what is held back of the answer, in bytes.
    pub held: usize,
    digest: [u8; DIGEST_BYTES],
}

/// The keys of heads: the first makes them, all open.
pub struct FrameKeys(Vec<Secret<[u8; MAC_BYTES]>>);

/// The key that a head was made with.
pub struct OpenedBy<'k>(&'k Secret<[u8; MAC_BYTES]>);

impl FrameKeys {
    pub fn new(roots: &[Secret<String>]) -> Self {
        let derive = |root: &Secret<String>| Secret::new(authenticate(root.expose().as_bytes(), &[KEY_LABEL]));
        Self(roots.iter().map(derive).collect())
    }

    /// The head before `load`, made at `now` since 1970; nothing if that is too long, or there is no key.
    pub fn head(&self, now: Duration, nonce: Nonce, load: Load<'_>) -> Option<[u8; HEAD_BYTES]> {
        let Load { state, held } = load;
        let key = self.0.first().filter(|_| is_short(state.len(), held.len()))?;
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).ok().map(u32::to_be_bytes);
        let (state_length, held_length) = (length(state)?, length(held)?);
        let time = u64::try_from(now.as_millis()).ok()?.to_be_bytes();
        let digest = digest(state);
        let mut head = [0; HEAD_BYTES];
        let mut rest = &mut head[..];
        let mut put = |part: &[u8]| {
            let (place, behind) = std::mem::take(&mut rest).split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        };
        for part in [&NAME[..], &time, &nonce, &state_length, &held_length, &digest] {
            put(part);
        }
        let (said, mac) = head.split_at_mut(HEAD_BYTES - MAC_BYTES);
        mac.copy_from_slice(&authenticate(key.expose(), &[said]));
        Some(head)
    }

    /// What a head announces that one of the keys made a short time before `now`, the time since 1970.
    pub fn open(&self, head: &[u8; HEAD_BYTES], now: Duration) -> Option<(Announced, OpenedBy<'_>)> {
        let (said, mac) = head.split_at(HEAD_BYTES - MAC_BYTES);
        let made = |key: &&Secret<[u8; MAC_BYTES]>| bool::from(authenticate(key.expose(), &[said]).ct_eq(mac));
        let key = self.0.iter().find(made)?;
        let rest = said.strip_prefix(NAME)?;
        let (time, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (state, rest) = rest.split_first_chunk()?;
        let (held, rest) = rest.split_first_chunk()?;
        let (digest, _) = rest.split_first_chunk()?;
        let length = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes) as usize;
        let (state, held) = (length(state), length(held));
        let is_fresh = Duration::from_millis(u64::from_be_bytes(*time)).abs_diff(now) <= VALIDITY;
        (is_fresh && is_short(state, held))
            .then_some((Announced { nonce: *nonce, state, held, digest: *digest }, OpenedBy(key)))
    }

    /// Whether `proof` is that of somebody who has one of the keys and has taken what this nonce was sent with.
    pub fn is_proof(&self, nonce: &Nonce, proof: &[u8]) -> bool {
        self.0.iter().any(|key| OpenedBy(key).proof(nonce).as_bytes().ct_eq(proof).into())
    }
}

impl OpenedBy<'_> {
    /// What shows that the head with this nonce was opened, in hexadecimal digits.
    pub fn proof(&self, nonce: &Nonce) -> String {
        let mut digits = String::with_capacity(2 * MAC_BYTES);
        write_hex(&authenticate(self.0.expose(), &[PROOF_LABEL, nonce]), &mut digits);
        digits
    }
}

impl Announced {
    /// Whether this is the state that was announced.
    pub fn is(&self, state: &[u8]) -> bool {
        self.digest == digest(state)
    }
}

/// Whether so much may follow a head.
fn is_short(state: usize, held: usize) -> bool {
    state <= MAX_STATE_BYTES && held <= MAX_HELD_BYTES
}

fn digest(state: &[u8]) -> [u8; DIGEST_BYTES] {
    Sha256::digest(state).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1_790_000_000_123);
    const NONCE: Nonce = [7; NONCE_BYTES];

    fn load<'l>(state: &'l [u8], held: &'l [u8]) -> Load<'l> {
        Load { state, held }
    }

    fn keys(roots: &[&str]) -> FrameKeys {
        let roots: Vec<_> = roots.iter().map(|root| Secret::new((*root).to_owned())).collect();
        FrameKeys::new(&roots)
    }

    #[test]
    fn a_head_opens_for_its_own_keys_and_for_a_short_time() {
        let own = keys(&["a", "b"]);
        let head = own.head(NOW, NONCE, load(b"state", b"held back")).expect("a head");
        for (name, roots, seconds, expected) in [
            ("at once", &["a", "b"][..], 0, true),
            ("the key is an old one by now", &["c", "a"], 0, true),
            ("late", &["a"], 10, true),
            ("too late", &["a"], 11, false),
            ("another key", &["b"], 0, false),
            ("no key", &[], 0, false),
        ] {
            let (keys, now) = (keys(roots), NOW + Duration::from_secs(seconds));
            let opened = keys.open(&head, now);
            assert_eq!(opened.is_some(), expected, "{name}");
            let Some((announced, key)) = opened else { continue };
            assert_eq!((announced.nonce, announced.state, announced.held), (NONCE, 5, 9), "{name}");
            assert!(announced.is(b"state"), "{name}");
            assert!(own.is_proof(&NONCE, key.proof(&NONCE).as_bytes()), "{name}");
        }
        assert!(own.open(&head, NOW - Duration::from_secs(11)).is_none(), "from too far ahead");
    }

    #[test]
    fn what_was_changed_does_not_open() {
        let keys = keys(&["a"]);
        let head = keys.head(NOW, NONCE, load(b"state", b"")).expect("a head");
        for at in 0..HEAD_BYTES {
            let mut changed = head;
            changed[at] ^= 1;
            assert!(keys.open(&changed, NOW).is_none(), "byte {at}");
        }
        let (announced, _) = keys.open(&head, NOW).expect("the head as it was");
        for state in [&b"stat"[..], b"State", b"", b"statex"] {
            assert!(!announced.is(state), "{state:?}");
        }
    }

    #[test]
    fn a_proof_is_one_of_a_nonce_and_a_key() {
        let own = keys(&["a"]);
        let proof = OpenedBy(&own.0[0]).proof(&NONCE);
        assert!(own.is_proof(&NONCE, proof.as_bytes()));
        assert!(!own.is_proof(&[8; NONCE_BYTES], proof.as_bytes()));
        assert!(!keys(&["b"]).is_proof(&NONCE, proof.as_bytes()));
        for other in ["", "0", &proof[1..], &proof.to_uppercase()] {
            assert!(!own.is_proof(&NONCE, other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn nothing_is_sent_that_is_too_long_or_without_a_key() {
        let (long, held) = (vec![0; MAX_STATE_BYTES + 1], vec![0; MAX_HELD_BYTES + 1]);
        let head = |state, held| keys(&["a"]).head(NOW, NONCE, load(state, held));
        assert!(head(&long[1..], &held[1..]).is_some());
        assert!(head(&long, b"").is_none());
        assert!(head(b"", &held).is_none());
        assert!(keys(&[]).head(NOW, NONCE, load(b"", b"")).is_none());
    }
}
