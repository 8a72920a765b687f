//! Who is asking: the client's key, checked against its KV entry.
//!
//! A key is `tg_<id>_<random>`; its form is checked before any look-up. The KV entry `client/<id>` holds SHA-256 hashes
//! of whole keys, so whoever reads the store learns no key. Every failure has the same 401, so that nothing tells a wrong
//! key from an unknown client; the log has the reason.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, Kind};
use crate::policy::Policy;

/// The id under which requests without a key run where the policy allows them.
pub const ANONYMOUS: &str = "anonymous";

const PREFIX: &str = "tg_";
const ID_LENGTH: std::ops::RangeInclusive<usize> = 1..=64;
const RANDOM_LENGTH: std::ops::RangeInclusive<usize> = 32..=256;

/// What a request presents as its key.
#[derive(Debug)]
pub enum Presented {
    Nothing,
    /// Not of the form that any key of this gateway has.
    Malformed,
    Key(PresentedKey),
}

/// A key of the right form, not yet checked.
#[derive(Debug)]
pub struct PresentedKey {
    pub id: String,
    digest: [u8; 32],
}

/// A client, as its KV entry describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    pub id: String,
    pub name: String,
    digests: Vec<[u8; 32]>,
    /// Tiers it may use; all where none are named.
    pub tiers: Option<Vec<String>>,
    pub may_pin: bool,
    /// Whether `/healthz` shows it policy errors and the state of candidates.
    pub may_inspect: bool,
    /// Copied to its log lines.
    pub tags: BTreeMap<String, String>,
    disabled: bool,
    /// Since 1970-01-01 UTC.
    expires: Option<Duration>,
}

/// Why a key was refused; for the log only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoKey,
    MalformedKey,
    UnknownClient,
    InvalidEntry,
    WrongKey,
    Disabled,
    Expired,
}

impl Refusal {
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::NoKey => "no_key",
            Refusal::MalformedKey => "malformed_key",
            Refusal::UnknownClient => "unknown_client",
            Refusal::InvalidEntry => "invalid_client_entry",
            Refusal::WrongKey => "wrong_key",
            Refusal::Disabled => "disabled",
            Refusal::Expired => "expired",
        }
    }

    /// Whether the key was found to be its client's, and is refused for another reason.
    pub fn is_of_right_key(self) -> bool {
        match self {
            Refusal::Disabled | Refusal::Expired => true,
            Refusal::NoKey
            | Refusal::MalformedKey
            | Refusal::UnknownClient
            | Refusal::InvalidEntry
            | Refusal::WrongKey => false,
        }
    }

    /// The one answer to all of them.
    pub fn error(self) -> Error {
        let message = "The API key is missing or not valid. Send a key of this gateway (tg_...) as `Authorization: Bearer` \
                       or `x-api-key`.";
        Error::new(Kind::InvalidKey, message)
    }
}

/// The key that `headers` carry: `Authorization: Bearer`, else `x-api-key`. Agents send both, and one of them may hold a key of
/// another place, so one that is a key of ours counts.
pub fn presented(headers: &HeaderMap) -> Presented {
    if headers.get_all(http::header::AUTHORIZATION).iter().count() > 1 {
        return Presented::Malformed;
    }
    let bearer = headers.get(http::header::AUTHORIZATION).map(|value| match value.to_str() {
        Ok(value) => match value.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => key.trim(),
            _ => "",
        },
        Err(_) => "",
    });
    let own = headers.get("x-api-key").map(|value| value.to_str().unwrap_or_default().trim());
    let is_nothing = bearer.is_none() && own.is_none();
    match [bearer, own].into_iter().flatten().find_map(parse_key) {
        None if is_nothing => Presented::Nothing,
        None => Presented::Malformed,
        Some(key) => Presented::Key(key),
    }
}

fn parse_key(key: &str) -> Option<PresentedKey> {
    let (id, random) = key.strip_prefix(PREFIX)?.split_once('_')?;
    let id_is_valid =
        ID_LENGTH.contains(&id.len()) && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let random_is_valid =
        RANDOM_LENGTH.contains(&random.len()) && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (id_is_valid && random_is_valid).then(|| PresentedKey { id: id.to_owned(), digest: Sha256::digest(key).into() })
}

/// The KV key of a client's entry.
pub fn entry_key(id: &str) -> String {
    format!("client/{id}")
}

impl Client {
    /// Reads a KV entry.
    ///
    /// # Errors
    /// Says what is wrong with the entry; it names no key, since entries hold none.
    pub fn parse(id: &str, entry: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct KeyEntry {
            name: String,
            keys: Vec<Key>,
            #[serde(default)]
            tiers: Option<Vec<String>>,
            #[serde(default)]
            may_pin: bool,
            #[serde(default)]
            may_inspect: bool,
            #[serde(default)]
            tags: BTreeMap<String, String>,
            #[serde(default)]
            disabled: bool,
            #[serde(default)]
            expires: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Key {
            sha256: String,
        }
        let entry: KeyEntry = serde_json::from_slice(entry).map_err(|error| error.to_string())?;
        let digests = entry.keys.iter().map(|key| parse_digest(&key.sha256)).collect::<Result<_, _>>()?;
        let expires = entry.expires.as_deref().map(parse_time).transpose()?;
        Ok(Self {
            id: id.to_owned(),
            name: entry.name,
            digests,
            tiers: entry.tiers,
            may_pin: entry.may_pin,
            may_inspect: entry.may_inspect,
            tags: entry.tags,
            disabled: entry.disabled,
            expires,
        })
    }

    /// The client of requests without a key: it may use the tiers that the policy says and pin nothing.
    pub fn anonymous(policy: &Policy) -> Self {
        Self {
            id: ANONYMOUS.to_owned(),
            name: ANONYMOUS.to_owned(),
            digests: Vec::new(),
            tiers: policy.anonymous.as_ref().and_then(|anonymous| anonymous.tiers.clone()),
            may_pin: false,
            may_inspect: false,
            tags: BTreeMap::new(),
            disabled: false,
            expires: None,
        }
    }

    /// Whether `key` is one of this client's and may be used at `now` (since 1970).
    pub fn check(&self, key: &PresentedKey, now: Duration) -> Result<(), Refusal> {
        // Every digest is compared, whichever matches, so that time tells nothing.
        let known =
            self.digests.iter().fold(subtle::Choice::from(0), |known, digest| known | digest.ct_eq(&key.digest));
        if !bool::from(known) {
            return Err(Refusal::WrongKey);
        }
        if self.disabled {
            return Err(Refusal::Disabled);
        }
        if self.expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::Expired);
        }
        Ok(())
    }
}

fn parse_digest(hex: &str) -> Result<[u8; 32], String> {
    let invalid = || "`keys[].sha256` must be 64 hexadecimal digits".to_owned();
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return Err(invalid());
    }
    for (byte, digits) in digest.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| invalid())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| invalid())?;
    }
    Ok(digest)
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_rfc3339(text)
        .map_err(|_| "`expires` must be a time in UTC such as 2027-01-31T00:00:00Z".to_owned())?;
    time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| "`expires` is before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANDOM: &str = "0123456789abcdefghijABCDEFGHIJ01";

    fn key(text: &str) -> Option<PresentedKey> {
        parse_key(text)
    }

    fn entry(more: &str) -> String {
        let digest = Sha256::digest(format!("tg_app_{RANDOM}"));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!(r#"{{"name":"App","keys":[{{"sha256":"{}"}},{{"sha256":"{hex}"}}]{more}}}"#, "0".repeat(64))
    }

    #[test]
    fn only_well_formed_keys_are_looked_up() {
        assert_eq!(key(&format!("tg_my-app-2_{RANDOM}")).map(|key| key.id), Some("my-app-2".to_owned()));
        for bad in [
            "",
            "sk-something",
            "tg_app",
            "tg_app_short",
            "tg__0123456789abcdefghijABCDEFGHIJ01",
            "tg_App_0123456789abcdefghijABCDEFGHIJ01",
            "tg_../x_0123456789abcdefghijABCDEFGHIJ01",
            "tg_app_0123456789abcdefghijABCDEFGHIJ0_",
            "TG_app_0123456789abcdefghijABCDEFGHIJ01",
        ] {
            assert!(key(bad).is_none(), "{bad}");
        }
        assert!(key(&format!("tg_{}_{RANDOM}", "a".repeat(65))).is_none());
        assert!(key(&format!("tg_a_{}", "a".repeat(257))).is_none());
    }

    #[test]
    fn keys_come_from_either_header() {
        let headers = |name: &'static str, value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            headers
        };
        let whole = format!("tg_app_{RANDOM}");
        let both = |bearer: &str, own: &str| {
            let mut both = headers("authorization", format!("Bearer {bearer}"));
            both.extend(headers("x-api-key", own.to_owned()));
            both
        };
        for (headers, expected) in [
            (both("sk-ant-oat01-abcdef", &whole), "key"),
            (both(&whole, "sk-ant-api03-abcdef"), "key"),
            (both("sk-ant-oat01-abcdef", "sk-ant-api03-abcdef"), "malformed"),
            (headers("authorization", format!("Bearer {whole}")), "key"),
            (headers("authorization", format!("bearer  {whole} ")), "key"),
            (headers("x-api-key", whole.clone()), "key"),
            (headers("authorization", format!("Basic {whole}")), "malformed"),
            (headers("authorization", whole), "malformed"),
            (HeaderMap::new(), "nothing"),
        ] {
            let found = match presented(&headers) {
                Presented::Nothing => "nothing",
                Presented::Malformed => "malformed",
                Presented::Key(_) => "key",
            };
            assert_eq!(found, expected, "{headers:?}");
        }
    }

    #[test]
    fn a_key_is_good_until_its_client_is_not() {
        let right = key(&format!("tg_app_{RANDOM}")).unwrap();
        let wrong = key(&format!("tg_app_{RANDOM}x")).unwrap();
        let at = |seconds| Duration::from_secs(seconds);
        for (more, key, expected) in [
            ("", &right, Ok(())),
            ("", &wrong, Err(Refusal::WrongKey)),
            (r#","disabled":true"#, &right, Err(Refusal::Disabled)),
            (r#","expires":"2026-01-01T00:00:00Z""#, &right, Err(Refusal::Expired)),
            (r#","expires":"2030-01-01T00:00:00Z""#, &right, Ok(())),
        ] {
            let client = Client::parse("app", entry(more).as_bytes()).expect("valid entry");
            assert_eq!(client.check(key, at(1_790_000_000)), expected, "{more}");
        }
    }

    #[test]
    fn every_refusal_is_documented() {
        let after = |refusal| match refusal {
            Refusal::NoKey => Some(Refusal::MalformedKey),
            Refusal::MalformedKey => Some(Refusal::UnknownClient),
            Refusal::UnknownClient => Some(Refusal::InvalidEntry),
            Refusal::InvalidEntry => Some(Refusal::WrongKey),
            Refusal::WrongKey => Some(Refusal::Disabled),
            Refusal::Disabled => Some(Refusal::Expired),
            Refusal::Expired => None,
        };
        let documented = include_str!("../../docs/log.md").lines().filter_map(|line| {
            let (value, _) = line.strip_prefix("| `")?.split_once('`')?;
            Some(value)
        });
        let documented: Vec<&str> = documented.collect();
        for refusal in std::iter::successors(Some(Refusal::NoKey), |refusal| after(*refusal)) {
            assert!(documented.contains(&refusal.as_str()), "docs/log.md should have a row for {refusal:?}");
        }
    }

    #[test]
    fn bad_entries_say_what_is_wrong() {
        for (entry, expected) in [
            ("{", "EOF"),
            (r#"{"name":"x"}"#, "keys"),
            (r#"{"name":"x","keys":[{"sha256":"zz"}]}"#, "64 hexadecimal"),
            (r#"{"name":"x","keys":[],"expires":"soon"}"#, "2027-01-31"),
            (r#"{"name":"x","keys":[],"admin":true}"#, "admin"),
        ] {
            let error = Client::parse("x", entry.as_bytes()).expect_err(entry);
            assert!(error.contains(expected), "{entry}: {error}");
        }
    }
}
