//! Where something stands in a client's request, in the client's own terms, and what is wrong there.

use std::fmt;

/// A JSON path below the body, as `messages[3].content[1].text`. It is made without allocating, and written out only where
/// somebody is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    field: &'static str,
    position: Option<u32>,
    inner: &'static str,
    inner_position: Option<u32>,
    nested: &'static str,
    nested_position: Option<u32>,
    leaf: &'static str,
}

/// A value, and where it stands below the place of what holds it.
#[derive(Clone, Debug)]
pub struct Located<T> {
    pub leaf: &'static str,
    pub value: T,
}

/// What is wrong with a request: a 400 for the client, if it has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFault {
    pub place: String,
    /// What it must be, or is.
    pub message: String,
}

impl Place {
    /// A field of the body.
    pub fn field(field: &'static str) -> Self {
        Self { field, position: None, inner: "", inner_position: None, nested: "", nested_position: None, leaf: "" }
    }

    /// An element of a field of the body.
    pub fn element(field: &'static str, position: usize) -> Self {
        Self { position: stored(position), ..Self::field(field) }
    }

    /// A member of the element.
    pub fn member(self, inner: &'static str) -> Self {
        Self { inner, inner_position: None, ..self }
    }

    /// An element of a member of the element.
    pub fn member_element(self, inner: &'static str, position: usize) -> Self {
        Self { inner, inner_position: stored(position), ..self }
    }

    /// A member of what stands in a member of the element.
    pub fn nested(self, nested: &'static str) -> Self {
        Self { nested, nested_position: None, leaf: "", ..self }
    }

    /// An element of such a member.
    pub fn nested_element(self, nested: &'static str, position: usize) -> Self {
        Self { nested, nested_position: stored(position), leaf: "", ..self }
    }

    /// What stands at `leaf` below all that.
    pub fn leaf(self, leaf: &'static str) -> Self {
        Self { leaf, ..self }
    }

    /// The member that holds this one as one of several.
    pub fn list(self) -> Self {
        Self { inner_position: None, leaf: "", ..self }
    }

    /// Which element of the field it is in; 0 if in none.
    pub fn position(self) -> usize {
        self.position.unwrap_or_default() as usize
    }

    /// Which element of the member it is in; 0 if in none.
    pub fn inner_position(self) -> usize {
        self.inner_position.unwrap_or_default() as usize
    }

    /// Whether the other place differs in nothing but positions.
    pub fn is_like(self, other: Self) -> bool {
        self.names() == other.names()
    }

    /// The path of a member of what stands here, without positions: the name for what is left out, in whichever element.
    pub fn path_to(self, name: &str) -> String {
        self.names().into_iter().chain([name]).filter(|step| !step.is_empty()).collect::<Vec<_>>().join(".")
    }

    fn names(self) -> [&'static str; 4] {
        [self.field, self.inner, self.nested, self.leaf]
    }

    /// A fault at this place.
    pub fn fault(self, message: impl Into<String>) -> RequestFault {
        RequestFault { place: self.to_string(), message: message.into() }
    }
}

/// A position in the room that a place has for it: no list of a request is longer.
fn stored(position: usize) -> Option<u32> {
    u32::try_from(position).ok()
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let positions = [self.position, self.inner_position, self.nested_position, None];
        for (name, position) in self.names().into_iter().zip(positions).filter(|(name, _)| !name.is_empty()) {
            write!(formatter, "{separator}{name}")?;
            if let Some(position) = position {
                write!(formatter, "[{position}]")?;
            }
            separator = ".";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_paths() {
        let message = Place::element("messages", 3);
        for (place, expected) in [
            (Place::field("tool_choice"), "tool_choice"),
            (Place::field("tool_choice").leaf("function.name"), "tool_choice.function.name"),
            (message, "messages[3]"),
            (message.member("content"), "messages[3].content"),
            (message.member_element("content", 1).leaf("image_url.url"), "messages[3].content[1].image_url.url"),
            (message.member_element("tool_calls", 2).leaf("type").list(), "messages[3].tool_calls"),
            (
                message.member_element("content", 1).nested_element("content", 0).leaf("source.url"),
                "messages[3].content[1].content[0].source.url",
            ),
            (message.member_element("content", 1).leaf("x").nested("content"), "messages[3].content[1].content"),
        ] {
            assert_eq!(place.to_string(), expected);
        }
        let part = message.member_element("content", 1);
        assert_eq!(part.leaf("image_url").path_to("detail"), "messages.content.image_url.detail");
        assert!(part.is_like(Place::element("messages", 9).member_element("content", 0)));
        assert!(!part.is_like(part.leaf("image_url")));
    }
}
