//! Seals the state of a model's reasoning into a token for a client, and opens it for the one origin that it came from.
//!
//! A token is `tgs1_`, the name of its key, a MAC (HMAC-SHA-256, the first half) and the state as it came. The key belongs to
//! one origin (dialect, provider, model) and one root, a secret of the operator's; its name says no more than which key it is.
//! The same state has the same token for ever, so that what a client sends twice is the same. A token hides nothing:
//! what it holds is its origin's own, mostly a cipher, and it only shows that the state and its text are as they were told.

use subtle::ConstantTimeEq;

use crate::policy::{ModelId, Policy};
use crate::secret::Secret;
use crate::wire::mac::{authenticate, write_hex};
use crate::wire::seal::{SealKind, TOKEN_PREFIX};

/// The shortest secret that a key is derived from, in bytes: a token must not help to guess it.
pub const MIN_ROOT_BYTES: usize = 20;
/// A thought with a longer text, or a longer state, is not sealed.
const MAX_SEALED_BYTES: usize = 1 << 20;

/// What keys for tokens are derived for, so that they are good for nothing else.
const KEY_LABEL: &[u8] = b"tiergate reasoning key 1";
const NAME_LABEL: &[u8] = b"tiergate reasoning key name 1";
const NAME_BYTES: usize = 8;
const MAC_BYTES: usize = 16;

/// The keys of one origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealer {
    /// Dialect, provider and model.
    origin: [String; 3],
    /// The first seals; all open.
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    secret: Secret<[u8; 32]>,
    /// In hexadecimal digits.
    name: String,
}

/// What is sealed, or was.
#[derive(Clone, Copy, Debug)]
pub struct Thought<'a> {
    pub kind: SealKind,
    /// Empty where it is hidden.
    pub text: &'a str,
}

/// What is in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened<'t> {
    State(&'t str),
    /// Nothing that this origin ever had.
    Foreign,
    /// State of this origin, but it or its text is not as it was.
    Altered,
}

impl Sealer {
    /// The keys for answers of a model; nothing without a root that is long enough.
    pub fn new(policy: &Policy, model: ModelId, roots: &[Secret<String>]) -> Option<Self> {
        let (provider, model) = (policy.provider_of(model), policy.model(model));
        Self::of_origin([provider.dialect.as_str(), &provider.name, &model.id], roots)
    }

    /// The keys for what comes from this dialect, provider and model.
    pub fn of_origin(origin: [&str; 3], roots: &[Secret<String>]) -> Option<Self> {
        let usable = roots.iter().filter(|root| root.expose().len() >= MIN_ROOT_BYTES);
        let keys: Vec<Key> = usable.map(|root| Key::derive(root, origin)).collect();
        (!keys.is_empty()).then(|| Self { origin: origin.map(str::to_owned), keys })
    }

    /// What its keys are for, so that the same root gives the same keys elsewhere.
    pub fn origin(&self) -> &[String; 3] {
        &self.origin
    }

    /// The token for a state; nothing if it is too long to be kept by a client.
    pub fn seal(&self, thought: Thought<'_>, state: &str) -> Option<String> {
        let key = self.keys.first().filter(|_| thought.text.len().max(state.len()) <= MAX_SEALED_BYTES)?;
        let mut token = String::with_capacity(TOKEN_PREFIX.len() + 2 * (NAME_BYTES + MAC_BYTES) + 2 + state.len());
        token.push_str(TOKEN_PREFIX);
        token.push_str(&key.name);
        token.push('_');
        write_hex(&key.mac(thought, state), &mut token);
        token.push('_');
        token.push_str(state);
        Some(token)
    }

    /// The state in a token that came with `thought`.
    pub fn open<'t>(&self, thought: Thought<'_>, token: &'t str) -> Opened<'t> {
        let mut parts = token.strip_prefix(TOKEN_PREFIX).into_iter().flat_map(|rest| rest.splitn(3, '_'));
        let Some(key) = parts.next().and_then(|name| self.keys.iter().find(|key| key.name == name)) else {
            return Opened::Foreign;
        };
        let (Some(mac), Some(state)) = (parts.next(), parts.next()) else { return Opened::Altered };
        let mut expected = String::with_capacity(2 * MAC_BYTES);
        write_hex(&key.mac(thought, state), &mut expected);
        match bool::from(expected.as_bytes().ct_eq(mac.as_bytes())) {
            true => Opened::State(state),
            false => Opened::Altered,
        }
    }
}

impl Key {
    fn derive(root: &Secret<String>, origin: [&str; 3]) -> Self {
        let [dialect, provider, model] = origin.map(str::as_bytes);
        let key = authenticate(root.expose().as_bytes(), &[KEY_LABEL, dialect, provider, model]);
        let mut name = String::with_capacity(2 * NAME_BYTES);
        write_hex(&authenticate(&key, &[NAME_LABEL])[..NAME_BYTES], &mut name);
        Self { secret: Secret::new(key), name }
    }

    fn mac(&self, thought: Thought<'_>, state: &str) -> [u8; MAC_BYTES] {
        let kind: &[u8] = match thought.kind {
            SealKind::Signature => b"signature",
            SealKind::Redacted => b"redacted",
        };
        let mac = authenticate(self.secret.expose(), &[kind, state.as_bytes(), thought.text.as_bytes()]);
        let mut half = [0; MAC_BYTES];
        half.copy_from_slice(&mac[..MAC_BYTES]);
        half
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "a-root-of-enough-characters";
    const ORIGIN: [&str; 3] = ["anthropic-messages", "anthropic", "claude"];
    const STATE: &str = "EqQB_c2ln+/==";

    fn sealer(origin: [&str; 3], roots: &[&str]) -> Option<Sealer> {
        let roots: Vec<Secret<String>> = roots.iter().map(|root| Secret::new((*root).to_owned())).collect();
        Sealer::of_origin(origin, &roots)
    }

    fn thought(text: &str) -> Thought<'_> {
        Thought { kind: SealKind::Signature, text }
    }

    #[test]
    fn a_token_opens_unchanged_for_its_own_origin_only() {
        let own = sealer(ORIGIN, &[ROOT]).expect("a root");
        let token = own.seal(thought("hm"), STATE).expect("a token");
        assert_eq!(own.seal(thought("hm"), STATE).as_ref(), Some(&token), "the same state has the same token");
        assert!(token.ends_with(STATE) && !token.contains("claude") && !token.contains(ROOT), "{token}");
        assert_eq!(own.open(thought("hm"), &token), Opened::State(STATE));
        for (origin, root) in [
            (["openai-chat", "anthropic", "claude"], ROOT),
            (["anthropic-messages", "bedrock", "claude"], ROOT),
            (["anthropic-messages", "anthropic", "claude-2"], ROOT),
            (["anthropic-messages", "anthropicc", "laude"], ROOT),
            (ORIGIN, "another-root-of-enough-characters"),
        ] {
            let other = sealer(origin, &[root]).expect("a root");
            assert_eq!(other.open(thought("hm"), &token), Opened::Foreign, "{origin:?}");
        }
    }

    #[test]
    fn no_changed_token_opens() {
        let own = sealer(ORIGIN, &[ROOT]).expect("a root");
        let token = own.seal(thought("hm"), STATE).expect("a token");
        let redacted = Thought { kind: SealKind::Redacted, text: "hm" };
        for (what, text) in [("hm ", "another text"), ("", "no text"), ("hn", "a letter")] {
            assert_eq!(own.open(thought(what), &token), Opened::Altered, "{text}");
        }
        assert_eq!(own.open(redacted, &token), Opened::Altered, "another kind");
        for end in 0..token.len() {
            assert!(!matches!(own.open(thought("hm"), &token[..end]), Opened::State(_)), "cut at {end}");
        }
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert!(!matches!(own.open(thought("hm"), &changed), Opened::State(_)), "changed at {at}");
        }
        for other in ["", "tgs1_", "tgs1__", "tgs1___", "EqQB"] {
            assert_eq!(own.open(thought("hm"), other), Opened::Foreign, "{other}");
        }
    }

    #[test]
    fn a_new_root_seals_and_the_old_one_opens() {
        let (old, new) = (ROOT, "a-newer-root-of-enough-characters");
        let token = sealer(ORIGIN, &[old]).expect("a root").seal(thought(""), STATE).expect("a token");
        let both = sealer(ORIGIN, &[new, old]).expect("roots");
        assert_eq!(both.open(thought(""), &token), Opened::State(STATE));
        assert_ne!(both.seal(thought(""), STATE), Some(token.clone()));
        assert_eq!(sealer(ORIGIN, &[new]).expect("a root").open(thought(""), &token), Opened::Foreign);
    }

    #[test]
    fn without_a_root_that_nobody_guesses_nothing_is_sealed() {
        assert_eq!(sealer(ORIGIN, &[]), None);
        assert_eq!(sealer(ORIGIN, &["local-key", ""]), None);
        let own = sealer(ORIGIN, &[ROOT]).expect("a root");
        let mut key = String::new();
        write_hex(own.keys[0].secret.expose(), &mut key);
        assert!(!format!("{own:?}").contains(&key), "{own:?}");
        assert_eq!(own.seal(thought(""), &"x".repeat(MAX_SEALED_BYTES + 1)), None);
    }
}
