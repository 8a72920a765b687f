//! Reads the tree into raw types, noting every fault on the way.
//!
//! `object!` declares a raw type once; its reader, its list of valid fields and (with feature `schema`) its JSON Schema all
//! come from that one declaration, so they cannot drift apart.

use std::collections::BTreeSet;

use super::fault::{Faults, MAX_LISTED, Path, list_valid};
use super::json::Node;

/// A type that can be read from a node.
pub trait Read: Sized {
    /// What a valid value is, to follow the word "expected".
    fn expected() -> String;
    /// The value, or `None` after at least one fault was noted.
    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self>;
}

/// A field of a raw type. A faulty one is told from an absent one so that one fault does not lead to another.
#[derive(Debug)]
pub enum Presence<T> {
    Absent,
    Faulty,
    Given(T),
}

impl<T> Presence<T> {
    pub fn given(self) -> Option<T> {
        match self {
            Presence::Given(value) => Some(value),
            Presence::Absent | Presence::Faulty => None,
        }
    }

    pub fn as_given(&self) -> Option<&T> {
        match self {
            Presence::Given(value) => Some(value),
            Presence::Absent | Presence::Faulty => None,
        }
    }

    /// `Some(None)` where the field is absent, `None` where it is faulty.
    pub fn optional(self) -> Option<Option<T>> {
        match self {
            Presence::Given(value) => Some(Some(value)),
            Presence::Absent => Some(None),
            Presence::Faulty => None,
        }
    }

    fn new(value: Option<T>) -> Self {
        match value {
            Some(value) => Presence::Given(value),
            None => Presence::Faulty,
        }
    }
}

/// An array with at least `MIN` items; a faulty item keeps its place as `None`.
#[derive(Debug)]
pub struct List<T, const MIN: usize>(pub Vec<Option<T>>);

impl<T: Read, const MIN: usize> Read for List<T, MIN> {
    fn expected() -> String {
        let kind = if MIN == 0 { "an array" } else { "a non-empty array" };
        format!("{kind} (each item {})", T::expected())
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Node::List(items) = node else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        if items.len() < MIN {
            faults.note(path, format!("empty; expected {}", Self::expected()));
            return None;
        }
        // Nothing is reserved: what a short item becomes may be a hundred times as long.
        let mut read = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if faults.is_full() {
                return None;
            }
            read.push(T::read(item, &path.index(index), faults));
        }
        Some(List(read))
    }
}

/// An object whose keys the operator chooses; a faulty value keeps its place as `None`. Repeated keys count once.
#[derive(Debug)]
pub struct Map<K, V>(pub Vec<(String, Option<V>)>, pub std::marker::PhantomData<K>);

impl<K: Read, V: Read> Read for Map<K, V> {
    fn expected() -> String {
        format!("a non-empty object whose keys are each {}", K::expected())
    }

    fn read(node: &Node, path: &Path, faults: &mut Faults) -> Option<Self> {
        let Node::Object(entries) = node else {
            faults.note(path, wrong_type::<Self>(node));
            return None;
        };
        if entries.is_empty() {
            faults.note(path, format!("empty; expected {}", Self::expected()));
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut read = Vec::new();
        for (key, value) in entries {
            if faults.is_full() {
                return None;
            }
            let path = path.field(key);
            if !seen.insert(key) {
                faults.note(&path, DUPLICATE);
                continue;
            }
            K::read(&Node::from(&**key), &path, faults);
            read.push((key.to_string(), V::read(value, &path, faults)));
        }
        Some(Map(read, std::marker::PhantomData))
    }
}

const DUPLICATE: &str = "duplicate key; valid: each key once";

/// The message for a value of another type than `T` takes.
pub fn wrong_type<T: Read>(node: &Node) -> String {
    format!("expected {}, found {}", T::expected(), node.kind())
}

/// The fields of one object, sorted out once for all types, so that each type's own reader stays small.
pub struct Fields<'a> {
    path: &'a Path<'a>,
    faults: &'a mut Faults,
    slots: Vec<(&'static str, Slot<'a>)>,
    /// Behind the slot that was asked for last: a reader asks in their order.
    next: usize,
}

#[derive(Clone, Copy)]
enum Slot<'a> {
    Absent,
    /// Absent, but an unknown field that was noted looks like a slip in writing this one.
    Misspelt,
    Found(&'a Node<'a>),
}

/// The fields that an object may have, and how many it must have at least.
#[derive(Clone, Copy)]
pub struct ObjectForm {
    pub names: &'static [&'static str],
    pub minimum: usize,
}

impl<'a> Fields<'a> {
    /// Notes unknown and repeated fields. `None` if the node is no object, or has fewer than `minimum` fields.
    pub fn open(node: &'a Node<'a>, form: ObjectForm, path: &'a Path<'a>, faults: &'a mut Faults) -> Option<Self> {
        let ObjectForm { names, minimum } = form;
        let Node::Object(entries) = node else {
            faults.note(path, format!("expected an object, found {}", node.kind()));
            return None;
        };
        if entries.len() < minimum {
            faults.note(path, format!("empty; {}", list_valid(names.iter().copied())));
            return None;
        }
        let mut slots = names.iter().map(|name| (*name, Slot::Absent)).collect::<Vec<_>>();
        let (mut unknown, mut next) = (BTreeSet::new(), 0);
        for (key, value) in entries {
            // With so many that are unknown, what is missing is not told either.
            if faults.is_full() || unknown.len() > MAX_LISTED {
                break;
            }
            match positions(next, slots.len()).find(|at| slots[*at].0 == key) {
                Some(at) if matches!(slots[at].1, Slot::Absent) => {
                    slots[at].1 = Slot::Found(value);
                    next = at + 1;
                }
                Some(_) => faults.note(&path.field(key), DUPLICATE),
                None => {
                    unknown.insert(&**key);
                }
            }
        }
        for key in unknown {
            let misspelt = slots.iter_mut().find(|(name, slot)| matches!(slot, Slot::Absent) && is_near(name, key));
            let hint = match misspelt {
                Some((name, slot)) => {
                    *slot = Slot::Misspelt;
                    format!(" (did you mean {name}?)")
                }
                None => String::new(),
            };
            faults.note(&path.field(key), format!("unknown field{hint}; {}", list_valid(names.iter().copied())));
        }
        Some(Fields { path, faults, slots, next: 0 })
    }

    pub fn required<T: Read>(&mut self, name: &'static str) -> Presence<T> {
        match self.slot(name) {
            Slot::Found(node) => self.read(name, node),
            Slot::Misspelt => Presence::Faulty,
            Slot::Absent => {
                self.faults.note(&self.path.field(name), format!("missing; expected {}", T::expected()));
                Presence::Faulty
            }
        }
    }

    pub fn optional<T: Read>(&mut self, name: &'static str) -> Presence<T> {
        match self.slot(name) {
            Slot::Found(node) => self.read(name, node),
            Slot::Misspelt => Presence::Faulty,
            Slot::Absent => Presence::Absent,
        }
    }

    /// An absent field reads as though `default` stood there.
    pub fn or_default<T: Read>(&mut self, name: &'static str, default: Node) -> Presence<T> {
        match self.slot(name) {
            Slot::Found(node) => self.read(name, node),
            Slot::Misspelt => Presence::Faulty,
            Slot::Absent => self.read(name, &default),
        }
    }

    fn slot(&mut self, name: &str) -> Slot<'a> {
        let Some(at) = positions(self.next, self.slots.len()).find(|at| self.slots[*at].0 == name) else {
            return Slot::Absent;
        };
        self.next = at + 1;
        self.slots[at].1
    }

    fn read<T: Read>(&mut self, name: &'static str, node: &Node) -> Presence<T> {
        Presence::new(T::read(node, &self.path.field(name), self.faults))
    }
}

/// The positions of so many slots, those from `first` on before the others: what is looked for mostly stands next.
fn positions(first: usize, count: usize) -> impl Iterator<Item = usize> {
    (first..count).chain(0..first)
}

/// Whether `written` is at most two edits from `name`, and less than half of it.
fn is_near(name: &str, written: &str) -> bool {
    if name.len().abs_diff(written.len()) > 2 {
        return false;
    }
    let mut row = (0..=written.len()).collect::<Vec<_>>();
    for (i, a) in name.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in written.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[written.len()] <= 2 && 2 * row[written.len()] < name.len()
}

/// Declares raw objects: `required` fields must be given, `optional` ones may be left out, and an optional one with
/// `= default` reads as that default. `(min 1)` after the name refuses an empty object.
macro_rules! object {
    ($(
        $(#[doc = $about:literal])*
        $object:ident $(($($minimum:tt)*))? {
            $($(#[doc = $text:literal])* $kind:ident $field:ident $(as $key:literal)? : $type:ty $(= $default:expr)?,)*
        }
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Debug)]
        pub struct $object {
            $($(#[doc = $text])* pub $field: $crate::policy::read::Presence<$type>,)*
        }

        impl $crate::policy::read::Read for $object {
            fn expected() -> String {
                "an object".to_owned()
            }

            fn read(
                node: &$crate::policy::json::Node,
                path: &$crate::policy::fault::Path,
                faults: &mut $crate::policy::fault::Faults,
            ) -> Option<Self> {
                const NAMES: &[&str] = &[$(object!(@key $field $($key)?)),*];
                const MINIMUM: usize = object!(@minimum $($($minimum)*)?);
                let mut fields = $crate::policy::read::Fields::open(node, $crate::policy::read::ObjectForm { names: NAMES, minimum: MINIMUM }, path, faults)?;
                Some(Self {
                    $($field: object!(@read fields $kind (object!(@key $field $($key)?)) $($default)?),)*
                })
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $object {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($object).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let properties = [$($crate::policy::schema::Property {
                    name: object!(@key $field $($key)?),
                    description: concat!($($text),*),
                    required: object!(@required $kind),
                    default: object!(@default $($default)?),
                    schema: generator.subschema_for::<$type>(),
                }),*];
                let minimum = object!(@minimum $($($minimum)*)?);
                $crate::policy::schema::describe_object(concat!($($about),*), minimum, properties)
            }
        }
    )*};
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@minimum) => { 0 };
    (@minimum min $minimum:literal) => { $minimum };
    (@read $fields:ident required ($key:expr)) => { $fields.required($key) };
    (@read $fields:ident optional ($key:expr)) => { $fields.optional($key) };
    (@read $fields:ident optional ($key:expr) $default:expr) => {
        $fields.or_default($key, $crate::policy::json::Node::from($default))
    };
    (@required required) => { true };
    (@required optional) => { false };
    (@default) => { None };
    (@default $default:expr) => { Some($crate::policy::json::Node::from($default)) };
}
pub(super) use object;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses() {
        let cases = [
            ("description", "desciption", true),
            ("model", "modle", true),
            ("tiers", "tier", true),
            ("id", "ie", false),
            ("name", "note", false),
            ("effort", "max_output", false),
            ("auth", "", false),
        ];
        for (name, written, expected) in cases {
            assert_eq!(is_near(name, written), expected, "{written} for {name}");
        }
    }
}
