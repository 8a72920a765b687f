//! The headers of a request to a provider: the gateway's own, those of its dialect and its row, its key, and what of the client's
//! says how a request in the words of the provider's own API is to be read.

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use crate::policy::{AuthStyle, Dialect, Provider};
use crate::secret::Secret;
use crate::upstream::dialect::messages;
use crate::wire::ask::{Api, Ask};
use crate::wire::media;

/// All headers of a request to `provider` but those that are forwarded from the client.
pub fn request_headers(provider: &Provider, secret: Option<&Secret<String>>, accept: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(7);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::JSON));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    // Without it a provider may choose any coding, and each event would have to be decompressed.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tiergate/", env!("CARGO_PKG_VERSION"))));
    let own = match provider.dialect {
        Dialect::AnthropicMessages => messages::HEADERS,
        Dialect::OpenaiChat | Dialect::OpenaiResponses => &[],
    };
    for (name, value) in own {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    for row in &provider.headers {
        // The policy's reader takes only names and values that are such.
        let header = HeaderName::from_bytes(row.name.as_bytes()).ok().zip(HeaderValue::from_str(&row.value).ok());
        if let Some((name, value)) = header {
            headers.insert(name, value);
        }
    }
    if let Some((name, value)) = secret.and_then(|secret| credential(&provider.auth, secret)) {
        headers.insert(name, value);
    }
    headers
}

/// Adds those of the client's headers that say how a request in the words of the provider's own API is to be read.
pub fn forward_headers(provider: &Provider, ask: &Ask<'_>, client: &HeaderMap, headers: &mut HeaderMap) {
    match (ask.api, provider.dialect) {
        (Api::Messages, Dialect::AnthropicMessages) => messages::forward_headers(client, headers),
        (Api::Chat | Api::Gateway, _) | (Api::Messages, Dialect::OpenaiChat | Dialect::OpenaiResponses) => {}
    }
}

fn credential(auth: &AuthStyle, secret: &Secret<String>) -> Option<(HeaderName, HeaderValue)> {
    let AuthStyle::Header { name, prefix } = auth else { return None };
    // A key with characters that no header can carry is sent as none; the provider's 401 then tells the operator.
    let mut value = HeaderValue::from_str(&format!("{prefix}{}", secret.expose().trim())).ok()?;
    value.set_sensitive(true);
    // The policy's reader takes only names that are such.
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Header, NamedAuth, default_policy};

    #[test]
    fn the_headers_of_a_row_stand_beside_the_key_and_never_in_its_place() {
        let mut provider = default_policy().providers.remove(0);
        let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
        provider.headers = vec![header("http-referer", "https://a.example"), header("authorization", "Bearer other")];
        let secret = Secret::new(" key\n".to_owned());
        let headers = request_headers(&provider, Some(&secret), media::JSON);
        assert_eq!(headers["http-referer"], "https://a.example");
        assert_eq!(headers["authorization"], "Bearer key");
        let auth = |name: &str, prefix: &str| AuthStyle::Header { name: name.to_owned(), prefix: prefix.to_owned() };
        for (auth, name, value) in [
            (NamedAuth::XApiKey.into(), "x-api-key", "key"),
            (NamedAuth::ApiKey.into(), "api-key", "key"),
            (auth("x-goog-api-key", ""), "x-goog-api-key", "key"),
            (auth("authorization", "Token token="), "authorization", "Token token=key"),
        ] {
            let provider = Provider { auth, headers: Vec::new(), ..provider.clone() };
            let headers = request_headers(&provider, Some(&secret), media::JSON);
            assert_eq!(headers[name], value);
            assert!(headers[name].is_sensitive(), "{name}");
            assert_eq!(headers.iter().filter(|(_, value)| value.is_sensitive()).count(), 1);
        }
    }
}
