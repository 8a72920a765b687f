//! What a walk through a schema ([`super::schema_walk`]) notes of the members of an object: what becomes of each, and which are said
//! as earlier drafts say them.

use std::ops::Range;

use super::keywords::FORMER;

/// What becomes of a member of a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Kept,
    LeftOut,
    /// It means what it did in an earlier draft ([`FORMER`]).
    Former,
    /// So it does, and is left out.
    Merged,
    /// It is kept under another name.
    Renamed(&'static str),
}

/// What has been seen of an object.
#[derive(Default)]
pub struct Members {
    pub has_kept: bool,
    pub has_title: bool,
    /// Where each word of [`FORMER`] stands, whether it stands for another one, and whether that stands there already.
    pub words: [Option<Range<usize>>; FORMER.len()],
    pub is_former: [bool; FORMER.len()],
    pub has_other: [bool; FORMER.len()],
    /// The array of `items`, and the edits in it.
    pub items: Option<(Range<usize>, Range<usize>)>,
}

impl Members {
    pub fn note(&mut self, word: &str, fate: Fate, range: &Range<usize>) {
        for (at, former) in FORMER.iter().enumerate() {
            if word == former.word && matches!(fate, Fate::Kept | Fate::Former) {
                self.words[at] = Some(range.clone());
            }
            self.is_former[at] |= word == former.beside && matches!(fate, Fate::Former | Fate::Merged);
            self.has_other[at] |= word == former.instead && fate == Fate::Kept;
        }
    }
}
