//! A walk through a schema of a tool, which finds what must change of it ([`super::schema_form`]).

use std::collections::BTreeSet;
use std::ops::Range;

use super::keywords::{DRAFT, FORMER, Keyword, TYPES, is_anchor, is_count, is_number};
use super::pointers::Changes;
use super::property_names::{self, is_odd, key};
use super::references::References;
use super::schema_members::{Fate, Members, Name};
use crate::wire::json::{decoded, quoted};
use crate::wire::walk::{Walk, inside};

/// What stands in the place of a part of the schema.
pub struct Edit {
    pub range: Range<usize>,
    pub text: String,
}

/// Where a schema stands, and what it describes.
#[derive(Clone, Copy)]
struct Level {
    subject: Subject,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Value,
    NameOfProperty,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Root,
    Inside,
    /// It stands also in the definition that holds the root as it was.
    Copied,
}

/// Goes through a schema.
pub struct Walker<'a, 'c> {
    schema: &'a str,
    walk: Walk<'a>,
    changes: Changes<'c>,
    pub references: References<'a, 'c>,
    pub edits: Vec<Edit>,
    /// The names of properties that the API may not take, as they are written.
    pub odd_names: Vec<&'a str>,
    /// Whether something is left out that said something.
    pub is_weaker: bool,
}

impl<'a, 'c> Walker<'a, 'c> {
    pub fn new(schema: &'a str, changes: Changes<'c>) -> Self {
        let (walk, references) = (Walk::new(schema), References::new(schema, changes));
        Self { schema, walk, changes, references, edits: Vec::new(), odd_names: Vec::new(), is_weaker: false }
    }

    /// The whole schema. What is none at all stays as it is.
    pub fn root(&mut self) {
        if self.walk.peek() == Some(b'{') || self.says_nothing() {
            self.schema(Level { subject: Subject::Value, standing: Standing::Root });
        }
    }

    /// The schema with its edits.
    pub fn written(mut self) -> String {
        // What stands before a part is often known only behind it.
        self.edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        let mut written = String::with_capacity(self.schema.len() + self.schema.len() / 4);
        let mut at = 0;
        for Edit { range, text } in self.edits {
            written.push_str(self.schema.get(at..range.start).unwrap_or_default());
            written.push_str(&text);
            at = range.end;
        }
        written.push_str(self.schema.get(at..).unwrap_or_default());
        written
    }

    /// A schema, wherever one must stand: any value is allowed where there is none.
    fn schema(&mut self, level: Level) {
        match self.walk.peek() {
            Some(b'{') => {
                self.object(level);
            }
            Some(b't' | b'f') => {
                self.walk.value();
            }
            Some(_) | None => self.put("{}"),
        }
    }

    /// A schema that is an object.
    fn object(&mut self, level: Level) -> Members {
        let mut members = Members::default();
        self.walk.pass(b'{');
        while let Some(Name { before, range, written }) = self.name() {
            let word = decoded(written).unwrap_or_default();
            let keyword = Keyword::of(&word);
            let (ahead, edits) = (self.walk.clone(), self.edits.len());
            let fate = self.member(keyword, &word, level).unwrap_or_else(|| {
                self.walk = ahead;
                self.walk.value();
                self.edits.truncate(edits);
                self.is_weaker = true;
                Fate::LeftOut
            });
            if let (Fate::Former, Some(at)) = (fate, FORMER.iter().position(|former| former.word == word)) {
                members.arrays[at] = Some((range.end..self.walk.position(), edits..self.edits.len()));
            }
            if keyword.has_changed() {
                members.note(&word, fate, &range);
            }
            match fate {
                Fate::LeftOut | Fate::Merged => self.leave_out(members.has_kept, before, range.start),
                Fate::Kept | Fate::Former | Fate::Renamed(_) => {
                    members.has_kept = true;
                    members.has_title |= word == "title";
                }
            }
            if let Fate::Renamed(word) = fate {
                self.replace(range, quoted(word));
            }
        }
        self.say_as_today(&mut members);
        members
    }

    /// Gives words of earlier drafts the names that they have today.
    fn say_as_today(&mut self, members: &mut Members) {
        for (at, former) in FORMER.iter().enumerate() {
            let word = members.words[at].take().filter(|_| members.is_former[at]);
            match (word, members.has_other[at]) {
                (Some(range), false) => self.replace(range, quoted(former.today)),
                // An array of `items` is none of today's, and says nothing beside `prefixItems`; nor do two of `anyOf`.
                (Some(_), true) if matches!(former.word, "items" | "oneOf") => {
                    if let Some((array, edits)) = members.arrays[at].take() {
                        self.edits.drain(edits.clone());
                        members.moved_up(&edits);
                        self.replace(array, if former.word == "items" { ":{}" } else { ":[{}]" }.to_owned());
                        self.is_weaker = true;
                    }
                }
                (Some(_) | None, _) => {}
            }
        }
    }

    /// A member of a schema; nothing if its value is of another kind than the word demands.
    fn member(&mut self, keyword: Keyword, word: &str, level: Level) -> Option<Fate> {
        let first = self.walk.peek();
        if first == Some(b'n') && keyword != Keyword::Any {
            self.walk.value();
            return Some(Fate::LeftOut);
        }
        let standing = match level.standing {
            Standing::Root if word == "properties" && self.changes.moved.is_some() => Standing::Copied,
            Standing::Root => Standing::Inside,
            standing => standing,
        };
        let inner = Level { standing, ..level };
        let value = Level { subject: Subject::Value, standing };
        match keyword {
            Keyword::Properties => self.named(value, Self::property),
            Keyword::Definitions => self.named(inner, |walker, _, level| walker.schema(level)),
            Keyword::Dependencies => {
                let fate = self.named(inner, Self::dependency)?;
                Some(if word == "dependencies" && fate == Fate::Kept { Fate::Former } else { fate })
            }
            Keyword::NamesByName => self.named(inner, Self::demanded_names),
            Keyword::Items if self.is_empty_array() => {
                self.walk.value();
                Some(Fate::Merged)
            }
            Keyword::Items if first == Some(b'[') => self.schemas(inner).map(|_| Fate::Former),
            Keyword::Schema | Keyword::Items | Keyword::NameSchema | Keyword::Condition => {
                matches!(first, Some(b'{' | b't' | b'f')).then_some(())?;
                let (edits, was_weaker) = (self.edits.len(), std::mem::take(&mut self.is_weaker));
                match keyword {
                    Keyword::NameSchema => self.schema(Level { subject: Subject::NameOfProperty, ..inner }),
                    _ => self.schema(inner),
                }
                let is_lost = keyword == Keyword::Condition && self.is_weaker;
                self.is_weaker |= was_weaker;
                if is_lost {
                    self.edits.truncate(edits);
                }
                Some(if is_lost { Fate::LeftOut } else { Fate::Kept })
            }
            Keyword::Schemas if self.is_empty_array() => {
                self.walk.value();
                Some(Fate::LeftOut)
            }
            Keyword::Schemas if word == "oneOf" => {
                let was_weaker = std::mem::take(&mut self.is_weaker);
                self.walk.pass(b'[').then_some(())?;
                while self.walk.element() {
                    self.is_weaker |= self.says_nothing();
                    self.schema(inner);
                }
                let is_weaker = self.is_weaker;
                self.is_weaker |= was_weaker;
                Some(if is_weaker { Fate::Former } else { Fate::Kept })
            }
            Keyword::Schemas => self.schemas(inner),
            Keyword::Names => self.names(),
            Keyword::Types => self.types(),
            Keyword::Choices if self.is_empty_array() => None,
            Keyword::Values | Keyword::Choices if level.subject == Subject::NameOfProperty => {
                self.walk.pass(b'[').then_some(())?;
                while self.walk.element() {
                    self.value_that_names();
                }
                Some(Fate::Kept)
            }
            Keyword::Any if level.subject == Subject::NameOfProperty => {
                self.value_that_names();
                Some(Fate::Kept)
            }
            Keyword::Reference => self.follow(References::written),
            Keyword::DynamicReference => self.follow(References::written_dynamic),
            Keyword::Discriminator => {
                self.discriminator();
                Some(Fate::Kept)
            }
            Keyword::Anchor | Keyword::Url if standing == Standing::Copied => {
                self.walk.value();
                Some(Fate::LeftOut)
            }
            Keyword::Anchor => {
                let fate = self.simple(|json| json.starts_with('"') && is_anchor(inside(json)))?;
                Some(if self.is_named_in_vain() { Fate::LeftOut } else { fate })
            }
            Keyword::Url => self.url(level.standing),
            Keyword::Draft => {
                let is_of_today = self.walk.value().contains(DRAFT);
                Some(if is_of_today { Fate::Kept } else { Fate::LeftOut })
            }
            Keyword::Vocabulary => {
                self.walk.value();
                Some(Fate::LeftOut)
            }
            Keyword::ExclusiveLimit if matches!(first, Some(b't' | b'f')) => {
                let is_exclusive = self.walk.value() == "true";
                Some(if is_exclusive { Fate::Merged } else { Fate::LeftOut })
            }
            Keyword::Values | Keyword::Choices => self.simple(|json| json.starts_with('[')),
            Keyword::Text => self.simple(|json| json.starts_with('"')),
            Keyword::Flag => self.simple(|json| matches!(json, "true" | "false")),
            Keyword::Count => self.simple(is_count),
            Keyword::PositiveNumber => self.simple(|json| json.parse::<f64>().is_ok_and(|number| number > 0.0)),
            Keyword::Number | Keyword::ExclusiveLimit => self.simple(is_number),
            Keyword::Any => self.simple(|_| true),
        }
    }

    /// A value that is not looked into.
    fn simple(&mut self, is_right: fn(&str) -> bool) -> Option<Fate> {
        is_right(self.walk.value()).then_some(Fate::Kept)
    }

    /// An object whose members are named by the client.
    fn named(&mut self, level: Level, visit: fn(&mut Self, &Name<'a>, Level)) -> Option<Fate> {
        if self.is_empty_array() {
            self.walk.value();
            return Some(Fate::LeftOut);
        }
        self.walk.pass(b'{').then_some(())?;
        while let Some(name) = self.name() {
            self.walk.peek();
            visit(self, &name, level);
        }
        Some(Fate::Kept)
    }

    /// A property, which has the client's name as its title where another stands for that.
    fn property(&mut self, name: &Name<'a>, level: Level) {
        let is_renamed = self.rename(name);
        if is_odd(inside(name.written)) {
            self.odd_names.push(name.written);
        }
        let start = self.walk.position();
        if self.walk.peek() != Some(b'{') {
            return self.schema(level);
        }
        let members = self.object(level);
        if let Some(title) = decoded(name.written).filter(|_| is_renamed && !members.has_title) {
            let comma = if members.has_kept { "," } else { "" };
            self.replace(start + 1..start + 1, format!(r#""title":{}{comma}"#, quoted(&title)));
        }
    }

    /// What a property demands of the object that it stands in: a schema, as which names of others are said.
    fn dependency(&mut self, name: &Name<'a>, level: Level) {
        self.rename(name);
        if self.walk.peek() != Some(b'[') {
            return self.schema(level);
        }
        let start = self.walk.position();
        self.replace(start..start, r#"{"required":"#.to_owned());
        self.names();
        let end = self.walk.position();
        self.replace(end..end, "}".to_owned());
    }

    fn demanded_names(&mut self, name: &Name<'a>, _level: Level) {
        self.rename(name);
        if self.names().is_none() {
            self.put("[]");
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

    /// An array of schemas.
    fn schemas(&mut self, level: Level) -> Option<Fate> {
        self.walk.pass(b'[').then_some(())?;
        while self.walk.element() {
            self.schema(level);
        }
        Some(Fate::Kept)
    }

    /// An array of names of properties.
    fn names(&mut self) -> Option<Fate> {
        self.distinct(|json| json.starts_with('"'))?;
        Some(Fate::Kept)
    }

    fn types(&mut self) -> Option<Fate> {
        if self.is_empty_array() {
            self.walk.value();
            return Some(Fate::LeftOut);
        }
        if self.walk.peek() != Some(b'[') {
            return self.simple(|json| TYPES.contains(&json));
        }
        let start = self.walk.position();
        let count = self.distinct(|json| json == "null" || TYPES.contains(&json))?;
        // A word that is none may allow anything: the others alone would allow less.
        let is_known = property_names::texts(self.walk.since(start)).all(|word| TYPES.contains(&word));
        (count > 0 && is_known).then_some(Fate::Kept)
    }

    /// An array of words, each of which counts once; what else it holds is left out. How many are kept.
    fn distinct(&mut self, is_right: fn(&str) -> bool) -> Option<usize> {
        self.walk.pass(b'[').then_some(())?;
        let mut seen = BTreeSet::new();
        loop {
            let before = self.walk.position();
            if !self.walk.element() {
                return Some(seen.len());
            }
            let Name { range, written, .. } = self.pass_value();
            let is_right = is_right(written);
            let has_kept = !seen.is_empty();
            if !is_right || !seen.insert(key(written)) {
                self.is_weaker |= !is_right;
                self.leave_out(has_kept, before, range.start);
            } else if written == "null" {
                // YAML has a null for what is to be the word.
                self.replace(range, quoted("null"));
            } else {
                self.rename(&Name { before, range, written });
            }
        }
    }

    /// A value that is the name of a property if it is a string.
    fn value_that_names(&mut self) {
        let value = self.pass_value();
        if value.written.starts_with('"') {
            self.rename(&value);
        }
    }

    /// Which property tells by its value what the rest of an object is, as OpenAPI says it: its name (version 2), or an object
    /// with that and what each value leads to.
    fn discriminator(&mut self) {
        if !self.walk.pass(b'{') {
            return self.value_that_names();
        }
        while let Some(name) = self.name() {
            match decoded(name.written).as_deref() {
                Some("propertyName") => self.value_that_names(),
                Some("mapping") => self.mapping(),
                Some(_) | None => {
                    self.walk.value();
                }
            }
        }
    }

    /// What each value of such a property leads to: a reference, or the name of a schema.
    fn mapping(&mut self) {
        if !self.walk.pass(b'{') {
            self.walk.value();
            return;
        }
        // The name of a schema looks like a URL.
        let is_url = |value: &str| value.contains(['#', '/', '.']);
        while self.walk.name().is_some() {
            self.follow(|references, value, position| {
                references.written(value, position).filter(|written| is_url(value) || written.starts_with('#'))
            });
        }
    }

    /// Leads a reference to where its target is now. Nothing if it leads nowhere.
    fn follow(&mut self, written: impl Fn(&mut References<'a, 'c>, &str, usize) -> Option<String>) -> Option<Fate> {
        let value = self.pass_value();
        let reference = decoded(value.written)?;
        let followed = written(&mut self.references, &reference, value.range.start)?;
        if followed != reference {
            self.replace(value.range, quoted(&followed));
        }
        Some(Fate::Kept)
    }

    /// Whether what has just been passed names a part of the schema that is referred to otherwise.
    fn is_named_in_vain(&mut self) -> bool {
        self.references.are_by_pointers(self.walk.position())
    }

    /// The URL of a schema, which in draft 6 may also be an anchor. One inside of the schema is none that anything refers to any
    /// more: references go by pointers.
    fn url(&mut self, standing: Standing) -> Option<Fate> {
        let Name { range, written, .. } = self.pass_value();
        let url = inside(written);
        match url.strip_prefix('#') {
            Some(anchor) if is_anchor(anchor) && self.is_named_in_vain() => Some(Fate::LeftOut),
            Some(anchor) if is_anchor(anchor) => {
                self.replace(range.start + 1..range.start + 2, String::new());
                Some(Fate::Renamed("$anchor"))
            }
            Some(_) => None,
            None if !written.starts_with('"') || url.trim_end_matches('#').contains('#') => None,
            None => Some(if standing == Standing::Root { Fate::Kept } else { Fate::LeftOut }),
        }
    }

    /// Goes up to the value of an object's next member. Nothing, and past the object, at its end.
    fn name(&mut self) -> Option<Name<'a>> {
        let before = self.walk.position();
        self.walk.pass(b',');
        self.walk.peek();
        let start = self.walk.position();
        let written = self.walk.name()?;
        Some(Name { before, range: start..start + written.len(), written })
    }

    /// Leaves out what has just been passed and begins at `start`, with the comma between it and what is kept.
    fn leave_out(&mut self, has_kept: bool, before: usize, start: usize) {
        let start = if has_kept { before } else { start };
        if !has_kept {
            self.walk.pass(b',');
        }
        self.replace(start..self.walk.position(), String::new());
    }

    fn replace(&mut self, range: Range<usize>, text: String) {
        self.edits.push(Edit { range, text });
    }

    /// Goes past a value, and puts another one in its place.
    fn put(&mut self, json: &str) {
        self.is_weaker |= !self.says_nothing();
        let range = self.pass_value().range;
        self.replace(range, json.to_owned());
    }

    fn pass_value(&mut self) -> Name<'a> {
        self.walk.peek();
        let start = self.walk.position();
        let written = self.walk.value();
        Name { before: start, range: start..self.walk.position(), written }
    }

    fn says_nothing(&mut self) -> bool {
        self.walk.peek() == Some(b'n') || self.is_empty_array()
    }

    fn is_empty_array(&self) -> bool {
        let mut ahead = self.walk.clone();
        ahead.pass(b'[') && ahead.peek() == Some(b']')
    }
}
