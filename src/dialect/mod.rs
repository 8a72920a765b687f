//! Wire formats of providers, and what every one of them needs: addresses, keys, headers.
//!
//! A provider is a row of the policy; nothing here knows one by name. `openai_chat` is the only dialect so far; a
//! candidate of another is passed over (`dialect_unavailable`).

pub mod anthropic_messages;
pub mod openai_chat;
pub mod provider_error;

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::platform::{Platform, StoreError, Target};
use crate::policy::{AuthStyle, Provider};
use crate::record::Usage;
use crate::secret::Secret;

pub const JSON: &str = "application/json";
pub const EVENT_STREAM: &str = "text/event-stream";

/// A request body in a provider's terms.
#[derive(Debug, PartialEq)]
pub struct Encoded {
    pub body: Vec<u8>,
    /// Fields that were left out, or weakened, because the model does not take them.
    pub dropped: Vec<String>,
}

/// A whole answer, as far as the gateway reads it.
#[derive(Debug, PartialEq)]
pub struct Whole {
    pub usage: Option<Usage>,
    pub model: Option<String>,
    pub finish_reasons: Vec<String>,
    /// The first choice's text.
    pub content: Option<String>,
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSecret {
    Missing,
    StoreUnreachable,
}

/// The provider's key, or nothing for a provider that takes none.
pub fn secret<P: Platform>(platform: &P, provider: &Provider) -> Result<Option<Secret<String>>, NoSecret> {
    if provider.auth == AuthStyle::None {
        return Ok(None);
    }
    match platform.secret(&provider.secret) {
        Ok(Some(secret)) => Ok(Some(secret)),
        Ok(None) => Err(NoSecret::Missing),
        Err(StoreError) => Err(NoSecret::StoreUnreachable),
    }
}

pub fn target(provider: &Provider, connect_timeout: Duration, between_bytes_timeout: Duration) -> Target {
    Target { url: provider.base_url.clone(), connect_timeout, between_bytes_timeout }
}

/// All headers of a request to `provider` but those that are forwarded from the client.
pub fn request_headers(provider: &Provider, secret: Option<&Secret<String>>, accept: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tiergate/", env!("CARGO_PKG_VERSION"))));
    if let Some((name, value)) = secret.and_then(|secret| credential(provider.auth, secret)) {
        headers.insert(name, value);
    }
    headers
}

fn credential(auth: AuthStyle, secret: &Secret<String>) -> Option<(HeaderName, HeaderValue)> {
    let key = secret.expose().trim();
    let (name, value) = match auth {
        AuthStyle::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
        AuthStyle::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
        AuthStyle::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
        AuthStyle::None => return None,
    };
    // A key with characters that no header can carry is sent as none; the provider's 401 then tells the operator.
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}
