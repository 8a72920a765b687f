//! The seam between an answer that broke and the one that goes on after it, where the latter's provider was not shown the
//! white space at the end of the former: what of it is said again is said once.

use crate::wire::carried::carried;

/// How much of a continuation's leading white space its client has already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seam {
    /// White space at the end of what was delivered that the provider was not shown.
    unseen: String,
    /// White space with which the continuation begins, as far as it has come.
    came: String,
}

carried!(Seam { unseen, came });

impl Seam {
    /// Nothing if the provider was shown all.
    pub fn new(unseen: &str) -> Option<Self> {
        (!unseen.is_empty()).then(|| Seam { unseen: unseen.to_owned(), came: String::new() })
    }

    /// Takes the next part of the continuation, and gives what is new to the client once that is known: after the first
    /// letter, or after as much white space as the client may have already. Then the seam is behind.
    pub fn take(&mut self, text: &str) -> Option<String> {
        let letter = text.find(|character: char| !character.is_whitespace()).unwrap_or(text.len());
        let (white_space, rest) = text.split_at(letter);
        self.came.push_str(white_space);
        if rest.is_empty() && self.came.len() < self.unseen.len() {
            return None;
        }
        let known = self.overlap();
        Some(self.came[known..].to_owned() + rest)
    }

    /// The most bytes with which what was delivered ends and the continuation begins.
    fn overlap(&self) -> usize {
        let beginnings = self.came.char_indices().map(|(at, character)| at + character.len_utf8());
        beginnings.rev().find(|end| self.unseen.ends_with(&self.came[..*end])).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client gets of a continuation in these parts.
    fn told(unseen: &str, parts: &[&str]) -> String {
        let mut seam = Seam::new(unseen);
        let mut told = String::new();
        for part in parts {
            match &mut seam {
                None => told += part,
                Some(waiting) => {
                    if let Some(new) = waiting.take(part) {
                        told += &new;
                        seam = None;
                    }
                }
            }
        }
        told
    }

    #[test]
    fn white_space_is_said_once_however_it_comes() {
        for (unseen, continuation, expected) in [
            ("", " world", " world"),
            (" ", "world", "world"),
            (" ", " world", "world"),
            (" ", "  world", " world"),
            (" ", "\nworld", "\nworld"),
            ("\n\n", "\nworld", "world"),
            ("\n\n", "\n\n\nworld", "\nworld"),
            (" \n", "\n\nworld", "\nworld"),
            (" \n", " \nworld", "world"),
            ("\u{a0}\u{2003}", "\u{2003}w\u{f6}rld", "w\u{f6}rld"),
            ("\u{2003}", " world", " world"),
        ] {
            let places: Vec<usize> =
                (0..=continuation.len()).filter(|place| continuation.is_char_boundary(*place)).collect();
            for first in &places {
                for second in places.iter().filter(|second| first <= second) {
                    let parts = [&continuation[..*first], &continuation[*first..*second], &continuation[*second..]];
                    assert_eq!(told(unseen, &parts), expected, "{unseen:?} {parts:?}");
                }
            }
        }
    }

    #[test]
    fn white_space_that_nothing_follows_is_kept_back() {
        assert_eq!(told("\n\n", &["\n"]), "");
        assert_eq!(told("\n", &["\n"]), "", "as much as the client has");
    }
}
