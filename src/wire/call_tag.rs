//! The tag on the id of a call that says which model made it, so that a later request finds back to that model.
//!
//! Every client of every API sends the id of a call back, with the call and with its result, and nothing else that it gets. A
//! tag is the end of the id: `_tg1`, the name of its key, the origin (dialect, provider, model) and a MAC (HMAC-SHA-256, its
//! first 48 bits) over origin and id. Its key is made of a root, a secret of the operator's, and good for nothing else. What a
//! tag names is only preferred, never permitted, so that a short MAC is enough. The same call has the same tag for ever.

use std::rc::Rc;

use memchr::memmem;
use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::policy::{ModelId, Policy};
use crate::secret::Secret;
use crate::wire::carried::Carried;
use crate::wire::mac::{MAC_BYTES, authenticate};

/// What every tag begins with.
const MARK: &str = "_tg1";
/// The longest id that has a tag, in bytes, and with it: no API takes longer ones.
const MAX_TAGGED_BYTES: usize = 64;
/// The name of a key, an origin and a MAC, in letters of six bits.
const NAME_LETTERS: usize = 1;
const ORIGIN_LETTERS: usize = 5;
const MAC_LETTERS: usize = 8;
/// How many bytes at the end of an id are its tag.
pub const TAG_BYTES: usize = MARK.len() + NAME_LETTERS + ORIGIN_LETTERS + MAC_LETTERS;

/// What keys of tags are derived for, so that they are good for nothing else.
const KEY_LABEL: &[u8] = b"tiergate call tag key 1";
const NAME_LABEL: &[u8] = b"tiergate call tag key name 1";
const ORIGIN_LABEL: &[u8] = b"tiergate call tag origin 1";

/// The letters that the ids of all APIs may have.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Which model of which provider something comes from, in so few letters that an id has room for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin([u8; ORIGIN_LETTERS]);

/// The keys of the tags that this gateway makes and knows.
#[derive(Debug)]
pub struct CallTags {
    /// The first tags; all are known.
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    secret: Secret<[u8; MAC_BYTES]>,
    name: [u8; NAME_LETTERS],
}

/// What tags the ids of calls that one model makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallTagger {
    key: Key,
    origin: Origin,
}

impl Origin {
    /// What comes from a model of the policy.
    pub fn of_model(policy: &Policy, model: ModelId) -> Self {
        let (provider, model) = (policy.provider_of(model), policy.model(model));
        Self::of([provider.dialect.as_str(), &provider.name, &model.id])
    }

    /// What comes from this dialect, provider and model.
    pub fn of(origin: [&str; 3]) -> Self {
        Self(letters(&authenticate(ORIGIN_LABEL, &origin.map(str::as_bytes))))
    }
}

impl Carried for Origin {
    fn to_json(&self) -> Value {
        self.0.iter().map(|letter| char::from(*letter)).collect::<String>().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        Some(Self(String::from_json(json)?.as_bytes().try_into().ok()?))
    }
}

impl CallTags {
    /// The keys of these roots, the newest first; nothing without a root.
    pub fn new(roots: &[Secret<String>]) -> Option<Self> {
        let keys: Vec<Key> = roots.iter().map(Key::derive).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// What tags calls of an origin.
    pub fn tagger(&self, origin: Origin) -> Option<Rc<CallTagger>> {
        Some(Rc::new(CallTagger { key: self.keys.first()?.clone(), origin }))
    }

    /// Whose call has this id; nothing where no good tag says that.
    pub fn origin(&self, tagged: &str) -> Option<Origin> {
        let (id, tag) = split(tagged)?;
        let (name, rest) = tag.split_first_chunk()?;
        let (origin, mac) = rest.split_first_chunk()?;
        let origin = Origin(*origin);
        let is_good = |key: &Key| key.name == *name && key.has_made(mac, origin, id);
        self.keys.iter().any(is_good).then_some(origin)
    }
}

impl CallTagger {
    /// Whose calls it tags.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The id with its tag; nothing where it would be longer than every API takes it, or has other letters than those.
    pub fn tag(&self, id: &str) -> Option<String> {
        let is_plain = id.bytes().all(|byte| LETTERS.contains(&byte));
        if id.is_empty() || !is_plain || id.len() + TAG_BYTES > MAX_TAGGED_BYTES {
            return None;
        }
        let Self { key, origin } = self;
        let mac = key.mac(*origin, id);
        let tag = key.name.iter().chain(&origin.0).chain(&mac).map(|letter| char::from(*letter));
        let mut tagged = String::with_capacity(id.len() + TAG_BYTES);
        tagged.push_str(id);
        tagged.push_str(MARK);
        tagged.extend(tag);
        Some(tagged)
    }
}

impl Key {
    fn derive(root: &Secret<String>) -> Self {
        let secret = authenticate(root.expose().as_bytes(), &[KEY_LABEL]);
        let name = letters(&authenticate(&secret, &[NAME_LABEL]));
        Self { secret: Secret::new(secret), name }
    }

    fn mac(&self, origin: Origin, id: &str) -> [u8; MAC_LETTERS] {
        letters(&authenticate(self.secret.expose(), &[&origin.0, id.as_bytes()]))
    }

    fn has_made(&self, mac: &[u8], origin: Origin, id: &str) -> bool {
        self.mac(origin, id).ct_eq(mac).into()
    }
}

/// Whether an id has the form of one with a tag, be it a good one or not.
pub fn is_tagged(id: &str) -> bool {
    split(id).is_some()
}

/// Whether JSON may hold an id that has a tag. Quick, for JSON that is read only if it does.
pub fn may_hold_tags(json: &str) -> bool {
    memmem::find(json.as_bytes(), MARK.as_bytes()).is_some()
}

/// An id, and what follows the mark behind it.
fn split(tagged: &str) -> Option<(&str, &[u8])> {
    let length = tagged.len().checked_sub(TAG_BYTES).filter(|length| *length > 0)?;
    let (id, tag) = tagged.split_at_checked(length)?;
    let tag = tag.strip_prefix(MARK)?.as_bytes();
    let has_form = tagged.len() <= MAX_TAGGED_BYTES && tag.iter().all(|byte| LETTERS.contains(byte));
    has_form.then_some((id, tag))
}

/// The first bits of a digest, at most 60 of them.
fn letters<const N: usize>(digest: &[u8; MAC_BYTES]) -> [u8; N] {
    let bits = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    std::array::from_fn(|at| LETTERS[(bits >> (58 - 6 * at)) as usize % LETTERS.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "a-root-of-enough-characters";
    const ID: &str = "call_0123456789";

    fn tags(roots: &[&str]) -> CallTags {
        let roots: Vec<Secret<String>> = roots.iter().map(|root| Secret::new((*root).to_owned())).collect();
        CallTags::new(&roots).expect("a root")
    }

    fn origin() -> Origin {
        Origin::of(["openai-chat", "openai", "gpt"])
    }

    fn tagged(roots: &[&str], id: &str) -> Option<String> {
        tags(roots).tagger(origin()).expect("a key").tag(id)
    }

    #[test]
    fn a_tag_says_who_made_the_call() {
        let tag = tagged(&[ROOT], ID).expect("a tag");
        assert_eq!(tagged(&[ROOT], ID).as_ref(), Some(&tag), "the same call has the same tag");
        assert!(tag.starts_with(ID) && tag.len() == ID.len() + TAG_BYTES && is_tagged(&tag), "{tag}");
        assert!(tag.bytes().all(|byte| LETTERS.contains(&byte)), "{tag}");
        assert_eq!(tags(&[ROOT]).origin(&tag), Some(origin()));
        for other in [
            ["anthropic-messages", "openai", "gpt"],
            ["openai-chat", "azure", "gpt"],
            ["openai-chat", "openai", "gpt-2"],
        ] {
            assert_ne!(Origin::of(other), origin(), "{other:?}");
        }
        let twice = tagged(&[ROOT], &tag).expect("a tag behind a tag");
        assert!(twice.starts_with(&tag) && tags(&[ROOT]).origin(&twice).is_some(), "a gateway behind a gateway");
    }

    #[test]
    fn no_changed_tag_is_good() {
        let (known, tag) = (tags(&[ROOT]), tagged(&[ROOT], ID).expect("a tag"));
        for end in 0..tag.len() {
            assert_eq!(known.origin(&tag[..end]), None, "cut at {end}");
        }
        for at in 0..tag.len() {
            for bit in 0..7 {
                let mut bytes = tag.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let changed = String::from_utf8(bytes).expect("ASCII");
                assert_eq!(known.origin(&changed), None, "{changed}");
            }
        }
        for other in ["", MARK, "call_1", "äöü_tg1äöüäöüäöü", &format!("{ID}{MARK}{}", "A".repeat(14))] {
            assert_eq!(known.origin(other), None, "{other}");
        }
        assert_eq!(
            known.origin(&format!("{ID}{}", &tagged(&[ROOT], "call_1").expect("a tag")[6..])),
            None,
            "another call's"
        );
    }

    #[test]
    fn a_new_root_tags_and_the_old_one_is_known() {
        let (old, new, later) = (ROOT, "a-newer-root-of-enough-characters", "the-newest-root-of-enough-characters");
        let tag = tagged(&[old], ID).expect("a tag");
        assert!(tags(&[new, old]).origin(&tag).is_some());
        assert_ne!(tagged(&[new, old], ID), Some(tag.clone()));
        assert_eq!(tags(&[later, new]).origin(&tag), None, "two rotations later");
        assert!(CallTags::new(&[]).is_none());
    }

    #[test]
    fn only_ids_that_every_api_takes_with_it_have_a_tag() {
        for (length, has_tag) in [(0, false), (1, true), (46, true), (47, false), (64, false)] {
            let tag = tagged(&[ROOT], &"a".repeat(length));
            assert_eq!(tag.is_some(), has_tag, "{length}");
            assert!(tag.is_none_or(|tag| tag.len() <= MAX_TAGGED_BYTES));
        }
        for id in ["a.b", "a b", "ä", "call/1"] {
            assert_eq!(tagged(&[ROOT], id), None, "{id}");
        }
    }

    #[test]
    fn no_key_is_printed() {
        let tagger = tags(&[ROOT]).tagger(origin());
        let mut key = String::new();
        crate::wire::mac::write_hex(tags(&[ROOT]).keys[0].secret.expose(), &mut key);
        let printed = format!("{tagger:?}");
        assert!(printed.contains("[secret]") && !printed.contains(&key) && !printed.contains(ROOT), "{printed}");
    }

    #[test]
    fn an_origin_is_carried() {
        assert_eq!(Origin::from_json(origin().to_json()), Some(origin()));
        assert_eq!(Origin::from_json("abc".into()), None);
    }
}
