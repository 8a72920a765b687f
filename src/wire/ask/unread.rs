//! What a client says and the neutral form has no word for: members that nobody read, so that no dialect can carry them.

use std::borrow::Cow;

use super::place::Place;

/// More than anybody is told of.
const MAX_MEMBERS: usize = 64;

/// Members that nobody read, in the order of their finding. One that stands in several elements of a list counts once, and
/// there are only so many.
#[derive(Clone, Debug, Default)]
pub struct Unread<'a>(Vec<Member<'a>>);

#[derive(Clone, Debug)]
struct Member<'a> {
    /// Where the object is that it is a member of.
    place: Place,
    name: Cow<'a, str>,
}

impl<'a> Unread<'a> {
    /// Notes a member of the object at `place`.
    pub fn note(&mut self, place: Place, name: Cow<'a, str>) {
        let is_known = |known: &Member<'_>| known.name == name && known.place.is_like(place);
        if self.0.len() < MAX_MEMBERS && !self.0.iter().any(is_known) {
            self.0.push(Member { place, name });
        }
    }

    /// The path of each, as [`Place::path_to`] has it.
    pub fn paths(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|member| member.place.path_to(&member.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_several_elements_counts_once_and_there_are_only_so_many() {
        let mut unread = Unread::default();
        for position in 0..3 {
            unread.note(Place::element("tools", position), "a".into());
            unread.note(Place::element("tools", position).leaf("function"), "a".into());
        }
        assert_eq!(unread.paths().collect::<Vec<_>>(), ["tools.a", "tools.function.a"]);
        (0..1_000).for_each(|number| unread.note(Place::field("tools"), number.to_string().into()));
        assert_eq!(unread.paths().count(), MAX_MEMBERS);
    }
}
