//! URLs of schemas, which may be relative to the one of the schema around them (RFC 3986, section 5).

/// What the URL of a schema is relative to that stands in none.
pub const TOP: &str = "schema:///";
/// The longest URL that others may be relative to, in bytes: each of them is as long. Browsers and servers take no longer ones.
const MAX_BASE_BYTES: usize = 2_048;

/// A URL as it may be written where it is relative to the whole schema's.
pub fn written(url: &str) -> &str {
    url.strip_prefix(TOP).map_or(url, |path| &url[url.len() - path.len() - 1..])
}

/// A URL without a fragment, as what it is beside `base`, which is absolute; beside one that is too long, as it stands.
pub fn joined(base: &str, url: &str) -> String {
    let is_absolute = url.split(['/', '?']).next().is_some_and(|first| first.contains(':'));
    let path_start = base.find("://").map_or(0, |at| at + 3 + base[at + 3..].find('/').unwrap_or(base.len() - at - 3));
    // A name (`urn:a:b`) has no parts that another one could share.
    let is_name = path_start == 0 && base.contains(':');
    if url.is_empty() || is_absolute || is_name || url.starts_with("//") || base.len() > MAX_BASE_BYTES {
        return if url.is_empty() { base } else { url }.to_owned();
    }
    let (host, path) = base.split_at(path_start);
    let folder = if url.starts_with('/') { "" } else { path.rfind('/').map_or("", |end| &path[..=end]) };
    let slash = if folder.is_empty() && !host.is_empty() && !url.starts_with('/') { "/" } else { "" };
    let whole = format!("{slash}{folder}{url}");
    let mut steps = Vec::new();
    for step in whole.split('/') {
        match step {
            "." => {}
            // There is nothing above the top.
            ".." => steps.truncate(steps.len().saturating_sub(1).max(1)),
            step => steps.push(step),
        }
    }
    format!("{host}{}", steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_relative_to_the_one_around_it() {
        for (base, url, expected) in [
            (TOP, "a", "schema:///a"),
            (TOP, "../a", "schema:///a"),
            (TOP, "https://x.y/a", "https://x.y/a"),
            ("https://x.y/s/t.json", "a.json", "https://x.y/s/a.json"),
            ("https://x.y/s/t.json", "./a.json", "https://x.y/s/a.json"),
            ("https://x.y/s/t.json", "../a.json", "https://x.y/a.json"),
            ("https://x.y/s/t.json", "/a.json", "https://x.y/a.json"),
            ("https://x.y/s/t.json", "urn:a:b", "urn:a:b"),
            ("https://x.y/s/t.json", "", "https://x.y/s/t.json"),
            ("https://x.y", "a", "https://x.y/a"),
            ("https://x.y/s/t.json", "../../../a/../b", "https://x.y/b"),
            ("https://x.y/s/", "a", "https://x.y/s/a"),
            ("urn:a:b", "c", "c"),
        ] {
            assert_eq!(joined(base, url), expected, "{base} {url}");
        }
        let long = format!("https://x.y/{}", "s/".repeat(MAX_BASE_BYTES / 2));
        assert_eq!(joined(&long, "a"), "a");
    }

    #[test]
    fn what_is_relative_to_nothing_is_written_without_a_scheme() {
        for (url, expected) in [("schema:///a/b", "/a/b"), ("https://x.y/a", "https://x.y/a"), ("urn:a:b", "urn:a:b")] {
            assert_eq!(written(url), expected);
        }
    }
}
