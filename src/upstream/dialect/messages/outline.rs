//! What is known of the objects that fit a schema: their properties, and which of them they cannot do without.
//!
//! Outlines are joined as schemas are, so that no object is refused that fits the whole. A choice binds a property if each of its
//! branches does, each to a schema of its own. Where some describe it and others do not speak of it, what is described is a hint,
//! which counts where nothing else is known. A branch that speaks of it and says less, by requiring it, by a pattern, or by what
//! it says of all other properties, adds just that to what may hold.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::wire::json::quoted;

/// The schema that every value fits.
const ANYTHING: &str = "{}";
/// What may be repeated in each alternative, in bytes.
const MAX_REPEATED_BYTES: usize = 200;
/// How many schemas of properties that are not listed are told apart.
const MAX_OTHERS: usize = 8;

/// Schemas that hold together.
type Together<'a> = Vec<&'a str>;

/// What is known of a property.
#[derive(Clone, Debug, Default)]
pub struct View<'a> {
    always: Together<'a>,
    /// Of each list, one holds. No list allows anything.
    choices: Vec<Vec<Together<'a>>>,
    /// What holds where a branch describes the property; elsewhere nothing is known.
    hints: Vec<Together<'a>>,
    /// Whether it is spoken of, but perhaps not described.
    is_mentioned: bool,
    is_described: bool,
    /// When it was found.
    place: usize,
}

impl<'a> View<'a> {
    /// A property that always has a schema, and was found as the one of this number.
    pub fn described(schema: &'a str, place: usize) -> Self {
        Self { always: vec![schema], is_described: schema != "false", place, ..Self::default() }
    }

    fn mentioned() -> Self {
        Self { is_mentioned: true, ..Self::default() }
    }

    fn is_bound(&self) -> bool {
        !self.always.is_empty() || !self.choices.is_empty()
    }

    /// Takes in what else holds.
    fn and(&mut self, other: &Self) {
        for schema in &other.always {
            if !self.always.contains(schema) {
                self.always.push(schema);
            }
        }
        match self.always.iter().any(|schema| !is_free(schema)) {
            true => self.always.retain(|schema| !is_free(schema)),
            false => self.always.truncate(1),
        }
        let new = other.choices.iter().filter(|choice| !self.choices.contains(choice)).cloned();
        self.choices.extend(new.collect::<Vec<_>>());
        let new = other.hints.iter().filter(|hint| !self.hints.contains(hint)).cloned();
        self.hints.extend(new.collect::<Vec<_>>());
        self.place = match (self.is_described, other.is_described) {
            (true, true) => self.place.min(other.place),
            (true, false) => self.place,
            (false, _) => other.place,
        };
        self.is_mentioned |= other.is_mentioned;
        self.is_described |= other.is_described;
    }

    /// Of which one holds, if it is bound, or that may hold.
    fn alternatives(&self) -> Vec<Together<'a>> {
        if !self.is_bound() {
            let free = self.is_mentioned.then(|| vec![ANYTHING]);
            return self.hints.iter().cloned().chain(free).collect();
        }
        let always: Together<'a> = self.always.iter().copied().filter(|schema| !is_free(schema)).collect();
        match self.choices.first() {
            Some(choice) if always.is_empty() => choice.clone(),
            Some(choice)
                if always.iter().map(|schema| schema.len()).sum::<usize>() <= MAX_REPEATED_BYTES
                    && choice.iter().all(|together| together.len() == 1) =>
            {
                choice.iter().map(|together| [&always[..], together].concat()).collect()
            }
            Some(_) | None => vec![self.always.clone()],
        }
    }

    /// How many schemas it holds.
    fn weight(&self) -> usize {
        let of = |alternatives: &Vec<Together<'a>>| alternatives.iter().map(Vec::len).sum::<usize>();
        self.always.len() + self.choices.iter().map(of).sum::<usize>() + of(&self.hints)
    }

    /// The schema that says it.
    fn written(&self) -> Cow<'a, str> {
        if !self.is_bound() {
            return any_of(&self.hints);
        }
        // What always holds leaves nothing to choose where it is one of the choices.
        let is_open = |choice: &&Vec<Together<'a>>| {
            !choice.iter().any(|together| together.iter().all(|schema| self.always.contains(schema)))
        };
        let choices: Vec<Cow<'a, str>> = self.choices.iter().filter(is_open).map(|choice| any_of(choice)).collect();
        let is_alone = choices.is_empty();
        let always = self.always.iter().filter(|schema| is_alone || !is_free(schema));
        joined("allOf", always.map(|schema| Cow::Borrowed(*schema)).chain(choices).collect())
    }
}

/// Whether every value fits a schema.
fn is_free(schema: &str) -> bool {
    let inside = schema.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    schema == "true" || inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

fn any_of<'a>(alternatives: &[Together<'a>]) -> Cow<'a, str> {
    let together =
        |schemas: &Together<'a>| joined("allOf", schemas.iter().map(|schema| Cow::Borrowed(*schema)).collect());
    joined("anyOf", alternatives.iter().map(together).collect())
}

/// Schemas, of which there is at least one, as one.
fn joined<'a>(joint: &str, mut schemas: Vec<Cow<'a, str>>) -> Cow<'a, str> {
    match schemas.len() {
        1 => schemas.remove(0),
        _ => format!(r#"{{"{joint}":[{}]}}"#, schemas.join(",")).into(),
    }
}

/// What is known of the properties that an outline does not list.
#[derive(Clone, Debug, Default)]
struct Others<'a> {
    /// Whether one of the alternatives holds; without any, there are no others.
    is_bound: bool,
    alternatives: Vec<Together<'a>>,
}

impl<'a> Others<'a> {
    const NONE: Self = Self { is_bound: true, alternatives: Vec::new() };

    fn of(schema: &'a str) -> Self {
        Self { is_bound: true, alternatives: vec![vec![schema]] }
    }

    /// They are spoken of, and may be anything.
    fn free() -> Self {
        Self { is_bound: false, alternatives: vec![vec![ANYTHING]] }
    }

    /// What holds of them if this holds and `other`.
    fn and(&mut self, other: &Self) {
        if !self.is_bound && (other.is_bound || self.alternatives.is_empty()) {
            *self = other.clone();
        }
    }
}

/// What is known of the objects that fit a schema.
#[derive(Clone, Debug, Default)]
pub struct Outline<'a> {
    properties: BTreeMap<Cow<'a, str>, View<'a>>,
    others: Others<'a>,
    required: BTreeSet<Cow<'a, str>>,
    /// Whether no object fits.
    is_empty: bool,
    /// Whether more properties count as described than are listed.
    pub is_open: bool,
}

impl<'a> Outline<'a> {
    /// That of a schema which no object fits.
    pub fn empty() -> Self {
        Self { is_empty: true, ..Self::default() }
    }

    /// That of a schema in another document, which is taken to say nothing.
    pub fn elsewhere() -> Self {
        Self { is_open: true, ..Self::default() }
    }

    /// That of a schema which is not read, and may speak of anything.
    pub fn unread() -> Self {
        Self { others: Others::free(), is_open: true, ..Self::default() }
    }

    pub fn describe(&mut self, name: Cow<'a, str>, view: &View<'a>) {
        self.properties.entry(name).or_default().and(view);
    }

    pub fn require(&mut self, name: Cow<'a, str>) {
        self.mention(name.clone());
        self.required.insert(name);
    }

    pub fn mention(&mut self, name: Cow<'a, str>) {
        self.properties.entry(name).or_insert_with(View::mentioned);
    }

    /// Takes in what a schema says of the properties that it does not list: by patterns, and of all others.
    pub fn describe_others(&mut self, has_patterns: bool, additional: Option<&'a str>) {
        self.is_open |= has_patterns || additional.is_some_and(|additional| additional != "false");
        self.others = match additional {
            _ if has_patterns => Others::free(),
            Some("false") => Others::NONE,
            Some(schema) if !is_free(schema) => Others::of(schema),
            Some(_) | None => Others::default(),
        };
    }

    /// Takes in what else holds.
    pub fn and(&mut self, other: &Self) {
        for (name, view) in &other.properties {
            match self.properties.get_mut(name) {
                Some(known) => known.and(view),
                None => {
                    self.properties.insert(name.clone(), view.clone());
                }
            }
        }
        self.others.and(&other.others);
        self.required.extend(other.required.iter().cloned());
        self.is_empty |= other.is_empty;
        self.is_open |= other.is_open;
    }

    /// What is known where one of several holds.
    pub fn any<'o>(outlines: impl Iterator<Item = &'o Self> + Clone) -> Self
    where
        'a: 'o,
    {
        let is_empty = outlines.clone().all(|outline| outline.is_empty);
        // What no object fits is not chosen.
        let outlines = outlines.filter(|outline| is_empty || !outline.is_empty);
        let mut gathered = Gathered::default();
        outlines.clone().for_each(|outline| gathered.add(outline));
        let required = outlines.clone().map(|outline| outline.required.clone());
        let required = required.reduce(|common, other| common.intersection(&other).cloned().collect());
        Self {
            others: Others {
                is_bound: gathered.all.count == gathered.all.bound_others,
                alternatives: gathered.others.clone(),
            },
            required: required.unwrap_or_default(),
            is_empty,
            is_open: outlines.clone().any(|outline| outline.is_open),
            properties: gathered.properties(),
        }
    }

    /// How much it holds: its properties, which weigh more, and what is known of them.
    pub fn weight(&self) -> usize {
        const OF_PROPERTY: usize = 4;
        let known: usize = self.properties.values().map(View::weight).sum();
        OF_PROPERTY * self.properties.len() + known + self.others.alternatives.len()
    }

    /// The schemas of all properties that are described, as JSON, in the order of their finding.
    pub fn properties(&self) -> String {
        let mut described: Vec<_> = self.properties.iter().filter(|(_, view)| view.is_described).collect();
        described.sort_by_key(|(_, view)| view.place);
        let members: Vec<String> =
            described.iter().map(|(name, view)| format!("{}:{}", quoted(name), view.written())).collect();
        format!("{{{}}}", members.join(","))
    }

    /// The names that are required, as JSON, if there are any.
    pub fn required(&self) -> Option<String> {
        let required: Vec<String> = self.required.iter().map(|name| quoted(name)).collect();
        (!self.is_empty && !required.is_empty()).then(|| format!("[{}]", required.join(",")))
    }
}

/// What the branches of a choice say.
#[derive(Default)]
struct Gathered<'a> {
    views: BTreeMap<Cow<'a, str>, GatheredView<'a>>,
    others: Vec<Together<'a>>,
    all: Count,
}

/// How many branches there are, and what they say of properties that they do not list.
#[derive(Clone, Copy, Default)]
struct Count {
    count: usize,
    bound_others: usize,
    with_alternatives: usize,
}

impl Count {
    fn add(&mut self, others: &Others<'_>) {
        self.count += 1;
        self.bound_others += usize::from(others.is_bound);
        self.with_alternatives += usize::from(!others.alternatives.is_empty());
    }
}

#[derive(Default)]
struct GatheredView<'a> {
    alternatives: Vec<Together<'a>>,
    known: BTreeSet<Together<'a>>,
    /// The branches that list it.
    listing: Count,
    /// How many of them bind it.
    bound: usize,
    place: Option<usize>,
}

impl<'a> GatheredView<'a> {
    fn add(&mut self, alternative: &Together<'a>) {
        if !alternative.contains(&"false") && self.known.insert(alternative.clone()) {
            self.alternatives.push(alternative.clone());
        }
    }
}

impl<'a> Gathered<'a> {
    fn add(&mut self, outline: &Outline<'a>) {
        self.all.add(&outline.others);
        for alternative in &outline.others.alternatives {
            if !self.others.contains(alternative) {
                self.others.push(alternative.clone());
            }
        }
        if self.others.len() > MAX_OTHERS {
            self.others = vec![vec![ANYTHING]];
        }
        for (name, view) in &outline.properties {
            let gathered = self.views.entry(name.clone()).or_default();
            gathered.listing.add(&outline.others);
            gathered.bound += usize::from(view.is_bound());
            if view.is_described {
                gathered.place = Some(gathered.place.map_or(view.place, |place| place.min(view.place)));
            }
            view.alternatives().iter().for_each(|alternative| gathered.add(alternative));
        }
    }

    fn properties(self) -> BTreeMap<Cow<'a, str>, View<'a>> {
        let Self { views, others, all } = self;
        let of = |mut gathered: GatheredView<'a>| {
            let listing = gathered.listing;
            if all.with_alternatives > listing.with_alternatives {
                others.iter().for_each(|alternative| gathered.add(alternative));
            }
            let is_bound = gathered.bound + all.bound_others - listing.bound_others == all.count;
            let is_free = gathered.alternatives.iter().any(|together| together.iter().all(|schema| is_free(schema)));
            let mut view = View {
                is_described: gathered.place.is_some() && !gathered.alternatives.is_empty(),
                place: gathered.place.unwrap_or_default(),
                ..View::default()
            };
            match is_bound && !is_free && !gathered.alternatives.is_empty() {
                true => view.choices.push(gathered.alternatives),
                false => view.hints = gathered.alternatives,
            }
            view
        };
        views.into_iter().map(|(name, gathered)| (name, of(gathered))).collect()
    }
}
