//! The headers of a client that speaks this API itself, as far as they are the API's: its version, the betas that the client wants, and
//! whatever else begins with the API's name.

use http::header::{Entry, HeaderMap, HeaderName, HeaderValue};

/// What the names of the API's own headers begin with.
const BEGINNING: &str = "anthropic-";
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The longest version that is one, in bytes.
const MAX_VERSION_BYTES: usize = 64;

/// Adds them to what the provider's row, and the gateway itself, say. The client's version comes in place of theirs, its betas come
/// to theirs, each once; of every other header the row's is the one that counts.
pub fn forward_headers(client: &HeaderMap, headers: &mut HeaderMap) {
    if let Some(version) = version(client) {
        headers.insert(VERSION, version);
    }
    if let Some(betas) = betas(headers, client) {
        headers.insert(BETA, betas);
    }
    let mut new: Vec<&HeaderName> = client.keys().filter(|name| name.as_str().starts_with(BEGINNING)).collect();
    new.retain(|name| **name != BETA && **name != VERSION && !headers.contains_key(*name));
    for name in new {
        for value in client.get_all(name) {
            match headers.entry(name) {
                Entry::Occupied(mut known) => known.append(value.clone()),
                Entry::Vacant(place) => {
                    place.insert(value.clone());
                }
            }
        }
    }
}

/// The version that the client wants; nothing if it names several, or none that is one.
fn version(client: &HeaderMap) -> Option<HeaderValue> {
    let mut values = client.get_all(VERSION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let bytes = value.as_bytes();
    ((1..=MAX_VERSION_BYTES).contains(&bytes.len()) && bytes.iter().all(is_plain)).then(|| value.clone())
}

/// The row's betas and then the client's; nothing if the client adds none.
fn betas(headers: &HeaderMap, client: &HeaderMap) -> Option<HeaderValue> {
    let mut betas: Vec<&str> = named(headers);
    let known = betas.len();
    for beta in named(client) {
        if !betas.contains(&beta) {
            betas.push(beta);
        }
    }
    let joined = (betas.len() > known).then(|| betas.join(","))?;
    HeaderValue::from_str(&joined).ok()
}

/// The names of betas in a head, without those that are none.
fn named(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(BETA).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut head = HeaderMap::new();
        for (name, value) in pairs {
            head.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        head
    }

    #[test]
    fn versions_and_betas_of_client_and_row_are_joined_and_nothing_else_of_the_client_passes() {
        let own = ("anthropic-version", "2023-06-01");
        let row = head(&[own, ("anthropic-beta", "a-1, b-1"), ("x-api-key", "key"), ("anthropic-workspace", "row")]);
        for (client, expected) in [
            (vec![], vec![own, ("anthropic-beta", "a-1, b-1")]),
            (
                vec![("anthropic-version", "2026-10-21")],
                vec![("anthropic-version", "2026-10-21"), ("anthropic-beta", "a-1, b-1")],
            ),
            (vec![("anthropic-version", "1"), ("anthropic-version", "2")], vec![own, ("anthropic-beta", "a-1, b-1")]),
            (vec![("anthropic-version", "2026 10")], vec![own, ("anthropic-beta", "a-1, b-1")]),
            (vec![("anthropic-version", "")], vec![own, ("anthropic-beta", "a-1, b-1")]),
            (vec![("anthropic-beta", "b-1,c-1 , c-1,,d-1")], vec![own, ("anthropic-beta", "a-1,b-1,c-1,d-1")]),
            (
                vec![("anthropic-beta", "c-1"), ("anthropic-beta", "d-1")],
                vec![own, ("anthropic-beta", "a-1,b-1,c-1,d-1")],
            ),
            (vec![("anthropic-beta", "a-1")], vec![own, ("anthropic-beta", "a-1, b-1")]),
            (vec![("anthropic-beta", "\u{e4}, c d")], vec![own, ("anthropic-beta", "a-1, b-1")]),
            (
                vec![
                    ("anthropic-client", "x;\u{e4}"),
                    ("anthropic-workspace", "client"),
                    ("x-api-key", "other"),
                    ("cookie", "a"),
                ],
                vec![own, ("anthropic-beta", "a-1, b-1"), ("anthropic-client", "x;\u{e4}")],
            ),
        ] {
            let mut headers = row.clone();
            forward_headers(&head(&client), &mut headers);
            let mut expected = head(&expected);
            expected.extend(head(&[("x-api-key", "key"), ("anthropic-workspace", "row")]));
            assert_eq!(headers, expected, "{client:?}");
        }
    }

    #[test]
    fn what_comes_several_times_passes_so() {
        let mut headers = HeaderMap::new();
        forward_headers(&head(&[("anthropic-x", "1"), ("anthropic-x", "2")]), &mut headers);
        assert_eq!(headers, head(&[("anthropic-x", "1"), ("anthropic-x", "2")]));
    }
}
