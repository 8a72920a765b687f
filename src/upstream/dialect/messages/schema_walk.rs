//! A walk through a schema of a tool, which finds what must change of it ([`super::schema_form`]).

use std::ops::Range;

use super::keywords::{FORMER, Keyword, TYPES};
use super::pointers::{self, Changes};
use super::property_names::{is_odd, key};
use crate::wire::json::{MAX_DEPTH, decoded, quoted};
use crate::wire::walk::Walk;

/// Where a schema is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The steps to it, the last one first.
    steps: Vec<String>,
    message: &'static str,
}

impl Fault {
    fn new(message: &'static str) -> Self {
        Self { steps: Vec::new(), message }
    }

    fn below(mut self, name: &str) -> Self {
        self.steps.push(format!(".{name}"));
        self
    }

    fn at(mut self, position: usize) -> Self {
        self.steps.push(format!("[{position}]"));
        self
    }

    /// Where it is, below the schema.
    pub fn path(&self) -> String {
        self.steps.iter().rev().map(String::as_str).collect()
    }

    pub fn message(&self) -> &'static str {
        self.message
    }
}

/// What stands in the place of a part of the schema.
pub struct Edit {
    pub range: Range<usize>,
    pub text: String,
}

#[derive(Clone, Copy)]
struct Level {
    depth: usize,
    subject: Subject,
}

/// What a schema describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Value,
    NameOfProperty,
}

impl Level {
    fn below(self, subject: Subject) -> Self {
        Self { depth: self.depth + 1, subject }
    }
}

/// What becomes of a member of a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    LeftOut,
    /// It is kept under another name, and so is a word beside it ([`FORMER`]).
    Renamed,
    /// It is left out, and a word beside it has another name.
    Merged,
}

/// What has been seen of an object or an array.
#[derive(Default)]
struct Members {
    has_kept: bool,
    has_title: bool,
    /// Which of [`FORMER`] mean what they once did, and where the words beside them stand.
    former: [bool; FORMER.len()],
    others: [Option<Range<usize>>; FORMER.len()],
}

impl Members {
    fn note_former(&mut self, word: &str, fate: Fate, range: &Range<usize>) {
        for (at, former) in FORMER.iter().enumerate() {
            if word == former.word {
                self.former[at] = matches!(fate, Fate::Renamed | Fate::Merged);
            } else if word == former.other && fate == Fate::Kept {
                self.others[at] = Some(range.clone());
            }
        }
    }
}

/// Goes through a schema.
pub struct Walker<'a, 'c> {
    walk: Walk<'a>,
    changes: Changes<'c>,
    pub edits: Vec<Edit>,
    /// The names of properties that the API may not take, as they are written.
    pub odd_names: Vec<&'a str>,
    /// Whether something refers to a part of the root that merging changes.
    pub leads_into_root: bool,
}

impl<'a, 'c> Walker<'a, 'c> {
    pub fn new(schema: &'a str, changes: Changes<'c>) -> Self {
        let (walk, edits, odd_names) = (Walk::new(schema), Vec::new(), Vec::new());
        Self { walk, changes, edits, odd_names, leads_into_root: false }
    }

    /// The whole schema.
    pub fn root(&mut self) -> Result<(), Fault> {
        self.schema(Level { depth: 0, subject: Subject::Value })
    }

    /// A schema, wherever one must stand.
    fn schema(&mut self, level: Level) -> Result<(), Fault> {
        match self.walk.peek() {
            Some(b'{') => self.object(level).map(|_| ()),
            Some(b't' | b'f') => {
                self.walk.value();
                Ok(())
            }
            Some(_) if self.says_nothing() => {
                let range = self.pass_value();
                self.replace(range, "{}".to_owned());
                Ok(())
            }
            Some(_) | None => Err(Fault::new("must be a JSON Schema: an object, `true` or `false`")),
        }
    }

    /// A schema that is an object.
    fn object(&mut self, level: Level) -> Result<Members, Fault> {
        if level.depth > MAX_DEPTH {
            return Err(Fault::new("is nested too deep"));
        }
        let mut members = Members::default();
        self.walk.pass(b'{');
        while let Some(Name { before, range, written }) = self.name() {
            let word = decoded(written).unwrap_or_default();
            let keyword = Keyword::of(&word);
            let fate = self.member(keyword, level).map_err(|fault| fault.below(&word))?;
            match fate {
                Fate::Kept | Fate::Renamed => {
                    members.has_kept = true;
                    members.has_title |= word == "title";
                }
                Fate::LeftOut | Fate::Merged => self.leave_out(&members, before, range.start),
            }
            if keyword.may_be_former() {
                members.note_former(&word, fate, &range);
            }
            if fate == Fate::Renamed {
                self.replace(range, quoted("prefixItems"));
            }
        }
        for (at, former) in FORMER.iter().enumerate() {
            if let Some(range) = members.others[at].take().filter(|_| members.former[at]) {
                self.replace(range, quoted(former.today));
            }
        }
        Ok(members)
    }

    fn member(&mut self, keyword: Keyword, level: Level) -> Result<Fate, Fault> {
        let is_null = self.walk.peek() == Some(b'n');
        if is_null && keyword != Keyword::Any {
            self.walk.value();
            return Ok(Fate::LeftOut);
        }
        let inner = level.below(level.subject);
        match keyword {
            Keyword::Properties => self.named(level.below(Subject::Value), Self::property),
            Keyword::Definitions => self.named(inner, |walker, _, level| walker.schema(level)),
            Keyword::Dependencies => self.named(inner, Self::dependency),
            Keyword::Schema => self.schema(inner).map(|()| Fate::Kept),
            Keyword::NameSchema => self.schema(level.below(Subject::NameOfProperty)).map(|()| Fate::Kept),
            Keyword::Items if self.is_empty_array() => {
                self.walk.value();
                Ok(Fate::Merged)
            }
            Keyword::Items if self.walk.peek() == Some(b'[') => {
                self.each("", |walker| walker.schema(inner))?;
                Ok(Fate::Renamed)
            }
            Keyword::Items => self.schema(inner).map(|()| Fate::Kept),
            Keyword::Schemas if self.is_empty_array() => {
                self.walk.value();
                Ok(Fate::LeftOut)
            }
            Keyword::Schemas => self.each("must be an array of JSON Schemas", |walker| walker.schema(inner)),
            Keyword::Names => self.each("must be an array of names", Self::name_in_list),
            Keyword::Types => self.types(),
            Keyword::Values if level.subject == Subject::NameOfProperty => self.each("must be an array", |walker| {
                walker.value_that_names();
                Ok(())
            }),
            Keyword::Any if level.subject == Subject::NameOfProperty => {
                self.value_that_names();
                Ok(Fate::Kept)
            }
            Keyword::Reference => self.reference(),
            Keyword::ExclusiveLimit if matches!(self.walk.peek(), Some(b't' | b'f')) => {
                let is_exclusive = self.walk.value() == "true";
                Ok(if is_exclusive { Fate::Merged } else { Fate::LeftOut })
            }
            Keyword::Values => self.simple("must be an array", |json| json.starts_with('[')),
            Keyword::Text => self.simple("must be a string", |json| json.starts_with('"')),
            Keyword::Flag => self.simple("must be `true` or `false`", |json| matches!(json, "true" | "false")),
            Keyword::Count => self.simple("must be a whole number that is not negative", is_count),
            Keyword::Number | Keyword::ExclusiveLimit => self.simple("must be a number", is_number),
            Keyword::Any => self.simple("", |_| true),
        }
    }

    /// A value that is not looked into.
    fn simple(&mut self, problem: &'static str, is_right: fn(&str) -> bool) -> Result<Fate, Fault> {
        match is_right(self.walk.value()) {
            true => Ok(Fate::Kept),
            false => Err(Fault::new(problem)),
        }
    }

    /// An object whose members are named by the client. `visit` is given the name as it is written, and where.
    fn named(
        &mut self,
        level: Level,
        visit: fn(&mut Self, &Name<'a>, Level) -> Result<(), Fault>,
    ) -> Result<Fate, Fault> {
        if self.is_empty_array() {
            self.walk.value();
            return Ok(Fate::LeftOut);
        }
        if !self.walk.pass(b'{') {
            return Err(Fault::new("must be an object"));
        }
        while let Some(name) = self.name() {
            self.walk.peek();
            visit(self, &name, level).map_err(|fault| fault.below(&key(name.written)))?;
        }
        Ok(Fate::Kept)
    }

    /// A property, which has the client's name as its title where another stands for that.
    fn property(&mut self, name: &Name<'a>, level: Level) -> Result<(), Fault> {
        let is_renamed = self.rename(name);
        if is_odd(name.written.trim_matches('"')) {
            self.odd_names.push(name.written);
        }
        let start = self.walk.position();
        if self.walk.peek() != Some(b'{') {
            return self.schema(level);
        }
        let members = self.object(level)?;
        if let Some(title) = decoded(name.written).filter(|_| is_renamed && !members.has_title) {
            let comma = if members.has_kept { "," } else { "" };
            self.replace(start + 1..start + 1, format!(r#""title":{}{comma}"#, quoted(&title)));
        }
        Ok(())
    }

    fn dependency(&mut self, name: &Name<'a>, level: Level) -> Result<(), Fault> {
        self.rename(name);
        match self.walk.peek() {
            Some(b'[') => self.each("", Self::name_in_list).map(|_| ()),
            Some(_) | None => self.schema(level),
        }
    }

    /// Writes what stands for a name, and says whether something does.
    fn rename(&mut self, name: &Name<'_>) -> bool {
        let stand_in = self.changes.names.and_then(|names| names.written(&key(name.written)));
        if let Some(stand_in) = stand_in {
            self.replace(name.range.clone(), quoted(stand_in));
        }
        stand_in.is_some()
    }

    /// An array, each element of which `visit` passes.
    fn each(
        &mut self,
        problem: &'static str,
        mut visit: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<Fate, Fault> {
        if !self.walk.pass(b'[') {
            return Err(Fault::new(problem));
        }
        let mut position = 0;
        while self.walk.element() {
            visit(self).map_err(|fault| fault.at(position))?;
            position += 1;
        }
        Ok(Fate::Kept)
    }

    fn name_in_list(&mut self) -> Result<(), Fault> {
        match self.walk.peek() {
            Some(b'"') => {
                self.value_that_names();
                Ok(())
            }
            Some(_) | None => Err(Fault::new("must be a string")),
        }
    }

    /// A value that is the name of a property if it is a string.
    fn value_that_names(&mut self) {
        self.walk.peek();
        let start = self.walk.position();
        let written = self.walk.value();
        if written.starts_with('"') {
            self.rename(&Name { before: start, range: start..self.walk.position(), written });
        }
    }

    fn types(&mut self) -> Result<Fate, Fault> {
        const PROBLEM: &str = "must be a type that JSON Schema has, or an array of such";
        if self.is_empty_array() {
            self.walk.value();
            return Ok(Fate::LeftOut);
        }
        if self.walk.peek() != Some(b'[') {
            return self.simple(PROBLEM, |json| TYPES.contains(&json));
        }
        self.each(PROBLEM, |walker| {
            // YAML has a null for what is to be the word.
            if walker.walk.peek() == Some(b'n') {
                let range = walker.pass_value();
                walker.replace(range, quoted("null"));
                return Ok(());
            }
            walker.simple(PROBLEM, |json| TYPES.contains(&json)).map(|_| ())
        })
    }

    fn reference(&mut self) -> Result<Fate, Fault> {
        let range = self.pass_value();
        let written = self.walk.since(range.start);
        if !written.starts_with('"') {
            return Err(Fault::new("must be a string"));
        }
        if let Some(reference) = decoded(written) {
            self.leads_into_root |= pointers::leads_into_root(&reference);
            if let Some(followed) = pointers::followed(&reference, self.changes) {
                self.replace(range, quoted(&followed));
            }
        }
        Ok(Fate::Kept)
    }

    /// Goes up to the value of an object's next member. Nothing, and past the object, at its end.
    fn name(&mut self) -> Option<Name<'a>> {
        let before = self.walk.position();
        self.walk.pass(b',');
        if self.walk.peek() != Some(b'"') {
            self.walk.pass(b'}');
            return None;
        }
        let start = self.walk.position();
        let written = self.walk.value();
        let range = start..self.walk.position();
        self.walk.pass(b':');
        Some(Name { before, range, written })
    }

    /// Leaves out a member that has just been passed, with the comma between it and one that is kept.
    fn leave_out(&mut self, members: &Members, before: usize, start: usize) {
        let start = if members.has_kept { before } else { start };
        if !members.has_kept {
            self.walk.pass(b',');
        }
        self.replace(start..self.walk.position(), String::new());
    }

    fn replace(&mut self, range: Range<usize>, text: String) {
        self.edits.push(Edit { range, text });
    }

    fn pass_value(&mut self) -> Range<usize> {
        self.walk.peek();
        let start = self.walk.position();
        self.walk.value();
        start..self.walk.position()
    }

    fn says_nothing(&mut self) -> bool {
        self.walk.peek() == Some(b'n') || self.is_empty_array()
    }

    fn is_empty_array(&self) -> bool {
        let mut ahead = self.walk.clone();
        ahead.pass(b'[') && ahead.peek() == Some(b']')
    }
}

/// The name of a member.
struct Name<'a> {
    /// Where the member begins, with the comma before it.
    before: usize,
    range: Range<usize>,
    written: &'a str,
}

fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

fn is_count(json: &str) -> bool {
    is_number(json) && json.parse::<f64>().is_ok_and(|number| number >= 0.0 && number.fract() == 0.0)
}
