//! What is known of the objects that fit a schema: their properties, and which of them they cannot do without.
//!
//! Outlines are joined as schemas are, so that no object is refused that fits the whole. A choice binds a property if each of its
//! branches does, each to a schema of its own. Where some describe it and others do not speak of it, what is described is a hint,
//! which counts where nothing else is known. A branch that speaks of it and says less, by requiring it, by a pattern, or by what
//! it says of all other properties, adds just that to what may hold. Of schemas that hold together each binds the properties that
//! it does not list to what it says of all others.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::view::{ANYTHING, MAX_OTHERS, MAX_REPEATED_BYTES, NOTHING, Others, Together, View, is_free};
use crate::wire::json::quoted;

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

    /// Takes in what a schema says of the properties that it does not list: by patterns, and of all others, which also those are
    /// that it only mentions.
    pub fn describe_others(&mut self, has_patterns: bool, additional: Option<&'a str>) {
        self.is_open |= has_patterns || additional.is_some_and(|additional| additional != "false");
        self.others = match additional {
            _ if has_patterns => Others::free(),
            Some("false") => Others::NONE,
            // It may be repeated for each property that others list.
            Some(schema) if schema.len() > MAX_REPEATED_BYTES => Others::of(ANYTHING),
            Some(schema) if !is_free(schema) => Others::of(schema),
            Some(_) | None => Others::default(),
        };
        let mentioned = self.properties.values_mut().filter(|view| !view.is_bound());
        mentioned.for_each(|view| view.bind(&self.others));
    }

    /// Takes in what else holds.
    pub fn and(&mut self, other: &Self) {
        if other.others.bound().is_some() {
            let unlisted = self.properties.iter_mut().filter(|(name, _)| !other.properties.contains_key(*name));
            unlisted.for_each(|(_, view)| view.bind(&other.others));
        }
        for (name, view) in &other.properties {
            match self.properties.get_mut(name) {
                Some(known) => known.and(view),
                None => {
                    let mut view = view.clone();
                    view.bind(&self.others);
                    self.properties.insert(name.clone(), view);
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

    /// How many bytes are repeated where it is taken in by `outline`, of which it may bind each property.
    pub fn repeated_bytes(&self, outline: &Self) -> usize {
        let bytes: usize = self.others.bound().into_iter().flatten().flatten().map(|schema| schema.len()).sum();
        outline.properties.len() * bytes
    }

    /// The schemas of all properties that are described or forbidden, as JSON, in the order of their finding. Those that `room`
    /// bytes do not hold may be anything: what many branches share stands in each of them, and is as often written.
    pub fn properties(&self, mut room: usize) -> String {
        let mut described: Vec<_> =
            self.properties.iter().filter(|(_, view)| view.is_described || view.is_forbidden()).collect();
        described.sort_by_key(|(_, view)| view.place);
        let written = |view: &View<'a>| match room.checked_sub(view.bytes()) {
            Some(left) => {
                room = left;
                view.written()
            }
            None => ANYTHING.into(),
        };
        let views: Vec<Cow<'a, str>> = described.iter().map(|(_, view)| *view).map(written).collect();
        let names = described.iter().map(|(name, _)| quoted(name));
        let members: Vec<String> = names.zip(views).map(|(name, view)| format!("{name}:{view}")).collect();
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
        if !alternative.contains(&NOTHING) && self.known.insert(alternative.clone()) {
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
            let mut view = View::default();
            view.place = gathered.place.unwrap_or_default();
            view.is_described = gathered.place.is_some() && !gathered.alternatives.is_empty();
            view.choose(gathered.alternatives, is_bound);
            view
        };
        views.into_iter().map(|(name, gathered)| (name, of(gathered))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::dialect::messages::own_words;
    use crate::wire::json::object_fields;

    /// What schemas say that hold together, or of which one holds.
    fn joined<'a>(joint: &str, schemas: &[&'a str]) -> Outline<'a> {
        let mut found = 0;
        let own = schemas.iter().map(|schema| {
            let fields = object_fields(schema).expect("an object");
            own_words::outline(&fields, &mut found)
        });
        let outlines: Vec<Outline<'a>> = own.collect();
        if joint == "anyOf" {
            return Outline::any(outlines.iter());
        }
        let mut all = Outline::default();
        outlines.iter().for_each(|outline| all.and(outline));
        all
    }

    const A: &str = r#"{"properties":{"a":{"const":1}}}"#;
    const B: &str = r#"{"properties":{"b":{"const":2}}}"#;
    const REQUIRED: &str = r#"{"required":["a"]}"#;
    const OTHERS: &str = r#"{"additionalProperties":{"minimum":3}}"#;
    const CLOSED: &str = r#"{"properties":{"b":{}},"additionalProperties":false}"#;
    const PATTERN: &str = r#"{"patternProperties":{"^a":{"const":4}},"additionalProperties":{"const":5}}"#;
    const FORBIDDEN: &str = r#"{"properties":{"a":false}}"#;
    const NO_OBJECT: &str = r#"{"type":"string","properties":{"a":{"const":6}}}"#;

    #[test]
    fn outlines_are_joined_as_schemas_are() {
        for (joint, schemas, expected) in [
            ("anyOf", &[A, B][..], r#"{"a":{"const":1},"b":{"const":2}} "#),
            ("allOf", &[A, B], r#"{"a":{"const":1},"b":{"const":2}} "#),
            ("anyOf", &[B, A, A], r#"{"b":{"const":2},"a":{"const":1}} "#),
            ("anyOf", &[A, REQUIRED], r#"{"a":{"anyOf":[{"const":1},{}]}} "#),
            ("allOf", &[A, REQUIRED], r#"{"a":{"const":1}} ["a"]"#),
            ("anyOf", &[REQUIRED, REQUIRED], r#"{} ["a"]"#),
            ("anyOf", &[A, OTHERS], r#"{"a":{"anyOf":[{"const":1},{"minimum":3}]}} "#),
            ("allOf", &[A, OTHERS], r#"{"a":{"allOf":[{"const":1},{"minimum":3}]}} "#),
            ("allOf", &[OTHERS, A], r#"{"a":{"allOf":[{"const":1},{"minimum":3}]}} "#),
            ("anyOf", &[A, CLOSED], r#"{"a":{"const":1},"b":{}} "#),
            ("allOf", &[A, CLOSED], r#"{"a":{"const":1},"b":{}} "#),
            ("anyOf", &[A, PATTERN], r#"{"a":{"anyOf":[{"const":1},{}]}} "#),
            ("allOf", &[A, PATTERN], r#"{"a":{"const":1}} "#),
            ("anyOf", &[A, FORBIDDEN], r#"{"a":{"const":1}} "#),
            ("allOf", &[A, FORBIDDEN], r#"{"a":false} "#),
            ("anyOf", &[FORBIDDEN, FORBIDDEN], r#"{"a":false} "#),
            ("anyOf", &[FORBIDDEN, CLOSED], r#"{"a":false,"b":{}} "#),
            ("anyOf", &[FORBIDDEN, B], r#"{"b":{"const":2}} "#),
            ("anyOf", &[NO_OBJECT, A, REQUIRED], r#"{"a":{"anyOf":[{"const":1},{}]}} "#),
            ("anyOf", &[NO_OBJECT, r#"{"required":["b"]}"#], r#"{} ["b"]"#),
            ("allOf", &[NO_OBJECT, REQUIRED], "{} "),
        ] {
            let outline = joined(joint, schemas);
            let written = format!("{} {}", outline.properties(usize::MAX), outline.required().unwrap_or_default());
            assert_eq!(written, expected, "{joint} of {schemas:?}");
        }
    }

    #[test]
    fn what_is_long_is_not_said_of_each_property_that_others_list() {
        for (bytes, bound) in [(MAX_REPEATED_BYTES, true), (MAX_REPEATED_BYTES + 1, false)] {
            let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(bytes - r#"{"title":""}"#.len()));
            let others = format!(r#"{{"additionalProperties":{long}}}"#);
            let a = r#"{"properties":{"a":{"const":1}}}"#;
            let also = if bound { long.as_str() } else { ANYTHING };
            let of_choice = format!(r#"{{"a":{{"anyOf":[{{"const":1}},{also}]}}}}"#);
            assert_eq!(joined("anyOf", &[a, &others]).properties(usize::MAX), of_choice, "{bytes}");
            let of_sum = format!(r#"{{"a":{{"allOf":[{{"const":1}},{long}]}}}}"#);
            let of_sum = if bound { of_sum } else { r#"{"a":{"const":1}}"#.to_owned() };
            assert_eq!(joined("allOf", &[a, &others]).properties(usize::MAX), of_sum, "{bytes}");
        }
    }

    #[test]
    fn only_so_many_schemas_of_others_are_told_apart() {
        let others: Vec<String> =
            (0..=MAX_OTHERS).map(|at| format!(r#"{{"additionalProperties":{{"minimum":{at}}}}}"#)).collect();
        let schemas: Vec<&str> = [A].into_iter().chain(others.iter().map(String::as_str)).collect();
        let first = |count: usize| {
            let minimums: Vec<String> = (0..count).map(|at| format!(r#",{{"minimum":{at}}}"#)).collect();
            minimums.concat()
        };
        for (joint, count, expected) in [
            ("anyOf", MAX_OTHERS, first(MAX_OTHERS)),
            ("anyOf", MAX_OTHERS + 1, ",{}".to_owned()),
            ("allOf", MAX_OTHERS - 1, first(MAX_OTHERS - 1)),
            ("allOf", MAX_OTHERS + 1, first(MAX_OTHERS - 1)),
        ] {
            let expected = format!(r#"{{"a":{{"{joint}":[{{"const":1}}{expected}]}}}}"#);
            assert_eq!(joined(joint, &schemas[..=count]).properties(usize::MAX), expected, "{joint} of {count}");
        }
    }
}
