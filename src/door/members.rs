//! The one way to read the objects of a request into the neutral form: each member that is read is taken out, and what is
//! left at the end is noted as unread. So nothing is lost in silence, whoever reads what.
//!
//! A member is taken by whoever can use its value; one of a type that nobody can use stays, and is unread too.

use std::borrow::Cow;
use std::cell::RefCell;

use serde_json::value::RawValue;

use crate::wire::ask::place::Place;
use crate::wire::ask::unread::Unread;
use crate::wire::containers::{elements, members};
use crate::wire::json::{Field, JsonString, field, given, says_nothing};

/// The members of an object that nobody has read yet. Null is not given.
pub struct Members<'u, 'a> {
    place: Place,
    raw: &'a RawValue,
    fields: Vec<Field<'a>>,
    unread: &'u RefCell<Unread<'a>>,
}

impl<'u, 'a> Members<'u, 'a> {
    /// Opens the object at `place`; nothing if `json` is none.
    pub fn open(json: &'a RawValue, place: Place, unread: &'u RefCell<Unread<'a>>) -> Option<Self> {
        Some(Self { place, raw: json, fields: members(json)?, unread })
    }

    pub fn place(&self) -> Place {
        self.place
    }

    /// The object as the client wrote it.
    pub fn raw(&self) -> &'a RawValue {
        self.raw
    }

    /// The member of this name; of one that comes twice the last, as every reader of JSON takes it.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let last = self.peek(name);
        self.pass(name);
        given(last)
    }

    /// What `read` makes of a member, if it can be used.
    pub fn take_as<T>(&mut self, name: &str, read: impl Fn(&'a RawValue) -> Option<T>) -> Option<T> {
        let value = read(self.peek(name)?)?;
        self.pass(name);
        Some(value)
    }

    /// A member whose value can be used.
    pub fn take_if(&mut self, name: &str, can_be_used: impl Fn(&RawValue) -> bool) -> Option<&'a RawValue> {
        self.take_as(name, |value| can_be_used(value).then_some(value))
    }

    /// A member that is a text.
    pub fn take_text(&mut self, name: &str) -> Option<JsonString<'a>> {
        self.take_as(name, JsonString::read)
    }

    /// A member that is true or false.
    pub fn take_flag(&mut self, name: &str) -> Option<bool> {
        self.take_if(name, |value| matches!(value.get(), "true" | "false")).map(|flag| flag.get() == "true")
    }

    /// A member that is an object, which stands at `leaf` below the place of what this one belongs to.
    pub fn take_members(&mut self, name: &str, leaf: &'static str) -> Option<Self> {
        let inner = self.inner(self.peek(name)?, leaf)?;
        self.pass(name);
        Some(inner)
    }

    /// What was taken, if it is an object, which stands at `leaf` below the place of what this one belongs to.
    pub fn inner(&self, value: &'a RawValue, leaf: &'static str) -> Option<Self> {
        self.at(value, self.place.leaf(leaf))
    }

    /// What was taken, if it is an object, which stands at `place`.
    pub fn at(&self, value: &'a RawValue, place: Place) -> Option<Self> {
        Self::open(value, place, self.unread)
    }

    /// The elements of what was taken, if it is an array of objects; `place` says where each stands.
    pub fn elements(&self, list: &'a RawValue, place: impl Fn(usize) -> Place) -> Option<Vec<Self>> {
        let elements = elements(list)?.into_iter().enumerate();
        elements.map(|(position, element)| self.at(element, place(position))).collect()
    }

    /// A member without meaning for a model.
    pub fn pass(&mut self, name: &str) {
        self.fields.retain(|field| field.name != name);
    }

    /// The object goes on as it is.
    pub fn pass_all(mut self) {
        self.fields.clear();
    }

    /// A member that was taken, but not all of it could be used.
    pub fn note(&self, name: &'static str) {
        self.unread.borrow_mut().note(self.place, Cow::Borrowed(name));
    }

    /// The member of this name, which stays.
    pub fn peek(&self, name: &str) -> Option<&'a RawValue> {
        field(&self.fields, name)
    }
}

impl Drop for Members<'_, '_> {
    fn drop(&mut self) {
        let mut unread = self.unread.borrow_mut();
        for field in self.fields.drain(..).filter(|field| !says_nothing(field.value)) {
            unread.note(self.place, field.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is unread when `read` is through with an object.
    fn left(json: &str, read: impl FnOnce(&mut Members<'_, '_>)) -> Vec<String> {
        let unread = RefCell::default();
        let json = serde_json::from_str(json).expect("JSON");
        read(&mut Members::open(json, Place::element("tools", 3), &unread).expect("an object"));
        unread.into_inner().paths().collect()
    }

    #[test]
    fn what_nobody_takes_is_unread_unless_it_says_nothing() {
        let json = r#"{"a":1,"b":{"c":2,"d":[]},"e":null,"f":"","g":"text"}"#;
        assert_eq!(left(json, |_| {}), ["tools.a", "tools.b", "tools.g"]);
        let inside = left(json, |members| {
            assert_eq!(members.take("a").map(RawValue::get), Some("1"));
            members.take_members("b", "b").expect("an object").pass("d");
            members.pass("g");
        });
        assert_eq!(inside, ["tools.b.c"]);
        let none: [String; 0] = [];
        assert_eq!(
            left(r#"{"a":1,"a":2}"#, |members| assert_eq!(members.take("a").map(RawValue::get), Some("2"))),
            none
        );
    }

    #[test]
    fn what_is_of_another_type_stays() {
        let json = r#"{"text":7,"word":"other","flag":"true","members":[1]}"#;
        let left = left(json, |members| {
            assert!(members.take_text("text").is_none());
            assert!(members.take_if("word", |word| word.get() == r#""known""#).is_none());
            assert!(members.take_flag("flag").is_none());
            assert!(members.take_members("members", "members").is_none());
        });
        assert_eq!(left, ["tools.text", "tools.word", "tools.flag", "tools.members"]);
    }
}
