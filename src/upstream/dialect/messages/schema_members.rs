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
    /// The arrays that stand for something else, by what stands before each, and the edits in it.
    pub arrays: [Option<(Range<usize>, Range<usize>)>; FORMER.len()],
}

impl Members {
    /// The edits of this range have been taken out.
    pub fn moved_up(&mut self, taken: &Range<usize>) {
        let later = self.arrays.iter_mut().flatten().filter(|(_, edits)| edits.start >= taken.end);
        later.for_each(|(_, edits)| *edits = edits.start - taken.len()..edits.end - taken.len());
    }

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

/// The name of a member, or a value that may be one.
pub struct Name<'a> {
    /// Where the member begins, with the comma before it.
    pub before: usize,
    pub range: Range<usize>,
    pub written: &'a str,
}
