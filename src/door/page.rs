//! Which part of a list a query asks for, in the words of Anthropic's API.

use crate::door::route::percent_decoded;
use crate::error::{Error, Kind};

/// The most entries that may be asked for at a time.
const MAX_LIMIT: usize = 1_000;

/// A part of a list; without a limit all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    limit: Option<usize>,
    /// The entry that stands before the part.
    after: Option<String>,
    /// The entry that stands behind it.
    before: Option<String>,
}

/// The entries of a page, and whether more follow in the direction in which is read.
#[derive(Debug, PartialEq, Eq)]
pub struct Cut<T> {
    pub entries: Vec<T>,
    pub has_more: bool,
}

impl Page {
    /// Reads a query, of which everything else is passed over.
    ///
    /// # Errors
    /// [`Kind::InvalidRequest`] for a `limit` that is none.
    pub fn parse(query: Option<&str>) -> Result<Self, Error> {
        let mut page = Self::default();
        for (name, value) in query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    let message = format!("`limit` must be a whole number from 1 to {MAX_LIMIT}.");
                    page.limit =
                        Some(limit.ok_or_else(|| Error::new(Kind::InvalidRequest, message).with_param("limit"))?);
                }
                "after_id" => page.after = Some(percent_decoded(value)),
                "before_id" => page.before = Some(percent_decoded(value)),
                _ => {}
            }
        }
        Ok(page)
    }

    /// The part of a list whose entries are named by `id`.
    ///
    /// # Errors
    /// [`Kind::InvalidRequest`] for an entry that is not there.
    pub fn cut<T>(&self, mut entries: Vec<T>, id: impl Fn(&T) -> &str) -> Result<Cut<T>, Error> {
        let position = |entries: &[T], name: &'static str, wanted: &str| {
            let message = format!("`{name}` is no id of this list.");
            let fault = || Error::new(Kind::InvalidRequest, message).with_param(name);
            entries.iter().position(|entry| id(entry) == wanted).ok_or_else(fault)
        };
        if let Some(before) = &self.before {
            entries.truncate(position(&entries, "before_id", before)?);
        }
        if let Some(after) = &self.after {
            entries.drain(..=position(&entries, "after_id", after)?);
        }
        let limit = self.limit.unwrap_or(entries.len());
        let has_more = entries.len() > limit;
        if self.before.is_some() && self.after.is_none() {
            entries.drain(..entries.len().saturating_sub(limit));
        } else {
            entries.truncate(limit);
        }
        Ok(Cut { entries, has_more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_page_by_page_in_both_directions() {
        for (query, expected) in [
            (None, Some(("abc/de", false))),
            (Some(""), Some(("abc/de", false))),
            (Some("limit=1000"), Some(("abc/de", false))),
            (Some("limit=2"), Some(("ab", true))),
            (Some("x=1&limit=2&after_id=b"), Some(("c/de", false))),
            (Some("limit=1&after_id=b"), Some(("c/d", true))),
            (Some("limit=2&after_id=c%2Fd"), Some(("e", false))),
            (Some("after_id=e"), Some(("", false))),
            (Some("limit=2&before_id=e"), Some(("bc/d", true))),
            (Some("limit=2&before_id=c%2fd"), Some(("ab", false))),
            (Some("before_id=a"), Some(("", false))),
            (Some("after_id=a&before_id=e"), Some(("bc/d", false))),
            (Some("after_id=a&before_id=e&limit=1"), Some(("b", true))),
            (Some("limit=0"), None),
            (Some("limit=1001"), None),
            (Some("limit=-1"), None),
            (Some("limit=two"), None),
            (Some("limit="), None),
            (Some("after_id=x"), None),
            (Some("before_id="), None),
        ] {
            let cut = Page::parse(query).and_then(|page| page.cut(vec!["a", "b", "c/d", "e"], |entry| entry));
            let cut = cut.map(|Cut { entries, has_more }| (entries.concat(), has_more)).ok();
            assert_eq!(cut.as_ref().map(|(entries, more)| (entries.as_str(), *more)), expected, "{query:?}");
        }
    }
}
