//! One request's view of the Secret Store: where its prompts may go, and with which key.
//!
//! Either the entry `tiergate` names every place ([`Places`]), or each host has an entry of its own, which is good for
//! https on port 443 of that host. If the entry `tiergate` exists, it alone decides. What neither names gets nothing;
//! http to loopback needs no entry. Whoever writes the policy cannot write the Secret Store.
//!
//! The platform allows few reads and may count them over the sandbox's life. So nothing is read twice in a request, the
//! sandbox remembers how many reads it has spent and whether the entry `tiergate` exists, and keys end with the request.

pub mod places;

use std::cell::RefCell;
use std::collections::HashSet;

use crate::platform::{Clearance, Platform, RESOURCE, StoreError};
use crate::policy::{AuthStyle, BaseUrl, Policy, Provider};
use crate::secret::Secret;
use crate::upstream::keyring::places::{Key, Places, is_same_host};

/// How many reads of the Secret Store the platform allows.
pub const MAX_READS: u32 = 5;

/// How the Secret Store is laid out; no secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One entry for each host.
    Hosts,
    /// The entry `tiergate` for all places.
    Places,
}

impl Layout {
    pub fn as_str(self) -> &'static str {
        match self {
            Layout::Hosts => "hosts",
            Layout::Places => "places",
        }
    }
}

/// What a sandbox remembers of the Secret Store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreUse {
    /// Over the sandbox's life.
    pub reads: u32,
    /// Nothing until it has been looked at.
    pub layout: Option<Layout>,
}

impl StoreUse {
    /// Whether the sandbox can take another request, whatever that one needs, without passing the platform's limit.
    pub fn has_room(&self, policy: Option<&Policy>) -> bool {
        let hosts = || policy.map_or(MAX_READS, most_hosts);
        let need = match self.layout {
            Some(Layout::Places) => 1,
            Some(Layout::Hosts) => hosts(),
            None => MAX_READS.min(1 + hosts()),
        };
        self.reads + need <= MAX_READS
    }
}

/// How many entries a request may need with one for each host; no more than can be read are counted.
fn most_hosts(policy: &Policy) -> u32 {
    let mut entries = HashSet::new();
    for provider in policy.providers.iter().filter(|provider| !needs_no_entry(provider)) {
        entries.insert(provider.secret.as_str());
        if entries.len() >= MAX_READS as usize {
            return MAX_READS;
        }
    }
    entries.len() as u32
}

/// Whether a provider is on this machine and takes no key.
fn needs_no_entry(provider: &Provider) -> bool {
    // Only loopback hosts have URLs without TLS.
    !provider.base_url.tls && provider.auth == AuthStyle::None
}

/// What lets a request go to a provider.
#[derive(Clone, Debug)]
pub struct Permit {
    /// The provider's key, if it takes one.
    pub secret: Option<Secret<String>>,
    pub clearance: Clearance,
}

/// Where another execution goes on with an answer.
#[derive(Clone, Debug)]
pub struct Continuation {
    pub url: BaseUrl,
    pub roots: Vec<Secret<String>>,
}

/// Why nothing may go to a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSecret {
    /// The Secret Store lacks the host's entry.
    Missing,
    /// The entry `tiergate` does not name the provider's URL with its label.
    Unlisted,
    /// The entry is a marker, and the provider needs a key.
    Marker,
    /// A host's entry is not for this scheme and port.
    OtherPort,
    /// Its host is the gateway's own, where other executions go on with long answers.
    Continuation,
    /// The entry `tiergate` cannot be understood.
    Faulty,
    StoreUnreachable,
    /// All reads have been spent.
    Limit,
}

impl NoSecret {
    /// For people, clients too: it names no entry.
    pub fn describe(self) -> &'static str {
        match self {
            NoSecret::Missing => "the Secret Store has no entry for it",
            NoSecret::Unlisted => "the Secret Store's list of places does not have its URL",
            NoSecret::Marker => "the Secret Store has no key for it, only a marker",
            NoSecret::OtherPort => "its entry in the Secret Store is for https on port 443 only",
            NoSecret::Continuation => "its host is where the gateway itself goes on with long answers",
            NoSecret::Faulty => "the Secret Store's list of places has a fault, which /healthz tells",
            NoSecret::StoreUnreachable => "the Secret Store cannot be reached",
            NoSecret::Limit => "the Secret Store has been read as often as the platform allows",
        }
    }
}

/// One request's keys.
pub struct Keyring<'a, P: Platform> {
    platform: &'a P,
    state: RefCell<State>,
}

struct State {
    used: StoreUse,
    /// The entry `tiergate`, once it was read; an inner nothing means that there is none.
    places: Option<Result<Option<Places>, NoSecret>>,
    fault: Option<String>,
    /// The entries of hosts that were read.
    hosts: Vec<(String, Result<Key, NoSecret>)>,
}

impl<'a, P: Platform> Keyring<'a, P> {
    /// An empty one, in a sandbox that has used the Secret Store like this.
    pub fn new(platform: &'a P, used: StoreUse) -> Self {
        Self { platform, state: RefCell::new(State { used, places: None, fault: None, hosts: Vec::new() }) }
    }

    pub fn platform(&self) -> &'a P {
        self.platform
    }

    /// What lets a request for `path` below its base URL go to `provider`.
    ///
    /// # Errors
    /// Nothing may be sent to it, not even without a key.
    pub fn permit(&self, provider: &Provider, path: &str) -> Result<Permit, NoSecret> {
        if needs_no_entry(provider) && !self.state.borrow().is_continuation(&provider.base_url) {
            return Ok(Permit { secret: None, clearance: Clearance::Loopback });
        }
        let mut state = self.state.borrow_mut();
        let layout = state.read_places(self.platform)?;
        if state.is_continuation(&provider.base_url) {
            return Err(NoSecret::Continuation);
        }
        let found = match (layout, &state.places) {
            (Layout::Places, Some(Ok(Some(places)))) => {
                let label = provider.base_url.secret_label(&provider.secret);
                places.find(&provider.base_url, path, label).ok_or(NoSecret::Unlisted)?.cloned()
            }
            (Layout::Places, _) => return Err(NoSecret::Faulty),
            (Layout::Hosts, _) => state.host_entry(self.platform, provider)?,
        };
        let secret = match (&provider.auth, found) {
            (AuthStyle::None, _) => None,
            (AuthStyle::Header { .. }, Some(secret)) => Some(secret),
            (AuthStyle::Header { .. }, None) => return Err(NoSecret::Marker),
        };
        Ok(Permit { secret, clearance: Clearance::Listed })
    }

    /// The secrets that keys of the gateway's own are derived from, for what `permit` lets through: the roots in the entry
    /// `tiergate`, the newest first, else the provider's key.
    pub fn roots(&self, permit: &Permit) -> Vec<Secret<String>> {
        let state = self.state.borrow();
        match &state.places {
            Some(Ok(Some(places))) if !places.roots().is_empty() => places.roots().to_vec(),
            Some(_) | None => permit.secret.iter().cloned().collect(),
        }
    }

    /// The secrets that keys for what is no provider's are derived from: the roots in the entry `tiergate`, the newest first.
    pub fn token_roots(&self) -> Vec<Secret<String>> {
        let mut state = self.state.borrow_mut();
        let is_read = state.read_places(self.platform).is_ok();
        match &state.places {
            Some(Ok(Some(places))) if is_read => places.roots().to_vec(),
            Some(_) | None => Vec::new(),
        }
    }

    /// Where another execution goes on with long answers, and the secrets by which the two know each other, the newest first;
    /// nothing where the entry `tiergate` does not say it.
    pub fn continuation(&self) -> Option<Continuation> {
        let mut state = self.state.borrow_mut();
        state.read_places(self.platform).ok()?;
        let Some(Ok(Some(places))) = &state.places else { return None };
        Some(Continuation { url: places.continuation()?.clone(), roots: places.roots().to_vec() })
    }

    /// Looks at the layout, for a report.
    ///
    /// # Errors
    /// What is wrong with it; no part of an entry's value.
    pub fn inspect(&self) -> Result<Layout, String> {
        let mut state = self.state.borrow_mut();
        match state.read_places(self.platform) {
            Ok(layout) => Ok(layout),
            Err(why) => Err(state.fault.clone().unwrap_or_else(|| why.describe().to_owned())),
        }
    }

    /// What is wrong with the entry `tiergate`, if this request has read it.
    pub fn fault(&self) -> Option<String> {
        self.state.borrow().fault.clone()
    }

    /// All keys that this request has read, whether it used them or not.
    pub fn secrets(&self) -> Vec<Secret<String>> {
        let state = self.state.borrow();
        let places = state.places.iter().flatten().flatten().flat_map(Places::keys);
        let hosts = state.hosts.iter().filter_map(|(_, key)| key.as_ref().ok()?.as_ref());
        places.chain(hosts).cloned().collect()
    }

    /// What the sandbox remembers.
    pub fn used(&self) -> StoreUse {
        self.state.borrow().used
    }
}

impl State {
    /// Reads the entry `tiergate` unless it has been read, or is known not to exist.
    fn read_places<P: Platform>(&mut self, platform: &P) -> Result<Layout, NoSecret> {
        if self.places.is_none() && self.used.layout != Some(Layout::Hosts) {
            let found = self.read(platform, RESOURCE);
            if found == Err(NoSecret::Limit) {
                return Err(NoSecret::Limit);
            }
            self.places = Some(found.and_then(|text| text.map(|text| self.parse_places(&text)).transpose()));
        }
        // A store that cannot be reached says nothing of its layout.
        let layout = match &self.places {
            Some(Err(NoSecret::StoreUnreachable)) => return Err(NoSecret::StoreUnreachable),
            Some(Ok(Some(_)) | Err(_)) => Layout::Places,
            Some(Ok(None)) | None => Layout::Hosts,
        };
        self.used.layout = Some(layout);
        match &self.places {
            Some(Err(why)) => Err(*why),
            Some(Ok(_)) | None => Ok(layout),
        }
    }

    /// Whether long answers are sent to this host, as far as that has been read.
    fn is_continuation(&self, url: &BaseUrl) -> bool {
        let Some(Ok(Some(places))) = &self.places else { return false };
        places.continuation().is_some_and(|own| is_same_host(own, url))
    }

    fn parse_places(&mut self, text: &Secret<String>) -> Result<Places, NoSecret> {
        Places::parse(text.expose()).map_err(|fault| {
            self.fault = Some(format!("the Secret Store's entry `{RESOURCE}`: {fault}"));
            NoSecret::Faulty
        })
    }

    /// The key in the entry of the provider's host, or nothing if it is a marker.
    fn host_entry<P: Platform>(&mut self, platform: &P, provider: &Provider) -> Result<Key, NoSecret> {
        let (url, entry) = (&provider.base_url, provider.secret.as_str());
        if !url.tls || url.port != 443 {
            return Err(NoSecret::OtherPort);
        }
        if entry == RESOURCE {
            // A host of that name would get all keys at once.
            return Err(NoSecret::Missing);
        }
        if let Some((_, known)) = self.hosts.iter().find(|(name, _)| name == entry) {
            return known.clone();
        }
        let key = match self.read(platform, entry) {
            Ok(Some(key)) if key.expose().trim().is_empty() => Ok(None),
            Ok(Some(key)) => Ok(Some(key)),
            Ok(None) => Err(NoSecret::Missing),
            Err(why) => Err(why),
        };
        if key != Err(NoSecret::Limit) {
            self.hosts.push((entry.to_owned(), key.clone()));
        }
        key
    }

    fn read<P: Platform>(&mut self, platform: &P, entry: &str) -> Result<Option<Secret<String>>, NoSecret> {
        if self.used.reads >= MAX_READS {
            return Err(NoSecret::Limit);
        }
        self.used.reads += 1;
        platform.secret(entry).map_err(|StoreError| NoSecret::StoreUnreachable)
    }
}
