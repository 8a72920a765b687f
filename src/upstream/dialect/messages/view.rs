//! What is known of one property of the objects that fit a schema ([`super::outline`]), or of all that are not listed.

use std::borrow::Cow;

/// The schema that every value fits.
pub const ANYTHING: &str = "{}";
/// The schema that none does.
pub const NOTHING: &str = "false";
/// What may be repeated in each alternative, or for each property, in bytes.
pub const MAX_REPEATED_BYTES: usize = 200;
/// How many schemas of properties that are not listed are told apart, and may bind one that another schema lists.
pub const MAX_OTHERS: usize = 8;

/// Schemas that hold together.
pub type Together<'a> = Vec<&'a str>;

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
    pub is_described: bool,
    /// When it was found.
    pub place: usize,
}

impl<'a> View<'a> {
    /// A property that always has a schema, and was found as the one of this number.
    pub fn described(schema: &'a str, place: usize) -> Self {
        Self { always: vec![schema], is_described: schema != NOTHING, place, ..Self::default() }
    }

    pub fn mentioned() -> Self {
        Self { is_mentioned: true, ..Self::default() }
    }

    pub fn is_bound(&self) -> bool {
        !self.always.is_empty() || !self.choices.is_empty()
    }

    /// Takes in what else holds.
    pub fn and(&mut self, other: &Self) {
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

    /// Takes in what holds of it as one of the `others` of a schema that does not list it. Where there are to be none, the schema
    /// around both is one that hardly anything fits, and what it was to be is still the best that is known.
    pub fn bind(&mut self, others: &Others<'a>) {
        let choice = match others.bound() {
            Some(choice) if self.always.len() + self.choices.len() < MAX_OTHERS => choice,
            Some(_) | None => return,
        };
        self.and(&match choice {
            [together] => Self { always: together.clone(), ..Self::default() },
            several => Self { choices: vec![several.to_vec()], ..Self::default() },
        });
    }

    /// Takes in that one of these holds, if that is known, or may hold.
    pub fn choose(&mut self, alternatives: Vec<Together<'a>>, is_bound: bool) {
        let is_free = alternatives.iter().any(|together| together.iter().all(|schema| is_free(schema)));
        match is_bound && !is_free {
            true if alternatives.is_empty() => self.always.push(NOTHING),
            true => self.choices.push(alternatives),
            false => self.hints = alternatives,
        }
    }

    /// Of which one holds, if it is bound, or that may hold.
    pub fn alternatives(&self) -> Vec<Together<'a>> {
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
    pub fn weight(&self) -> usize {
        let of = |alternatives: &Vec<Together<'a>>| alternatives.iter().map(Vec::len).sum::<usize>();
        self.always.len() + self.choices.iter().map(of).sum::<usize>() + of(&self.hints)
    }

    /// How many bytes of schemas that is, at most, wherever they stand.
    pub fn bytes(&self) -> usize {
        let of = |together: &Together<'a>| together.iter().map(|schema| schema.len()).sum::<usize>();
        let choices = self.choices.iter().flatten().chain(&self.hints);
        of(&self.always) + choices.map(of).sum::<usize>()
    }

    /// Whether nothing fits.
    pub fn is_forbidden(&self) -> bool {
        self.always.contains(&NOTHING)
    }

    /// The schema that says it.
    pub fn written(&self) -> Cow<'a, str> {
        if self.is_forbidden() {
            return NOTHING.into();
        }
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
pub fn is_free(schema: &str) -> bool {
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
pub struct Others<'a> {
    /// Whether one of the alternatives holds; without any, there are no others.
    pub is_bound: bool,
    pub alternatives: Vec<Together<'a>>,
}

impl<'a> Others<'a> {
    pub const NONE: Self = Self { is_bound: true, alternatives: Vec::new() };

    pub fn of(schema: &'a str) -> Self {
        Self { is_bound: true, alternatives: vec![vec![schema]] }
    }

    /// They are spoken of, and may be anything.
    pub fn free() -> Self {
        Self { is_bound: false, alternatives: vec![vec![ANYTHING]] }
    }

    /// Of which one holds, if there are any to hold.
    pub fn bound(&self) -> Option<&[Together<'a>]> {
        Some(&self.alternatives[..]).filter(|alternatives| self.is_bound && !alternatives.is_empty())
    }

    /// What holds of them if this holds and `other`.
    pub fn and(&mut self, other: &Self) {
        if !self.is_bound && (other.is_bound || self.alternatives.is_empty()) {
            *self = other.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_not_repeated_in_each_alternative() {
        for (bytes, is_repeated) in [(MAX_REPEATED_BYTES, true), (MAX_REPEATED_BYTES + 1, false)] {
            let (around, words) = (r#"{"title":""}"#.len(), "x");
            let always = format!(r#"{{"title":"{}"}}"#, words.repeat(bytes - around));
            let always = View { always: vec![&always], ..View::default() };
            let choice = View { choices: vec![vec![vec!["1"], vec!["2"]]], ..View::default() };
            let mut both = always.clone();
            both.and(&choice);
            let expected = match is_repeated {
                true => vec![vec![always.always[0], "1"], vec![always.always[0], "2"]],
                false => vec![always.always.clone()],
            };
            assert_eq!(both.alternatives(), expected, "{bytes}");
        }
    }
}
