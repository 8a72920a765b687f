//! What one execution writes down for the next one of the same build to go on with: plain values, as JSON.
//!
//! Every part has its name, none may be missing and none be more, so that what another build wrote is refused and not misread.
//! [`carried!`] makes the two directions of a type from one list of its parts, which the compiler holds against the type. That is
//! less than half of the code that serde's derives make, and all code lengthens the start of a sandbox.

mod values;

use serde_json::{Map, Value};

/// A value that goes from one execution to the next.
pub trait Carried: Sized {
    fn to_json(&self) -> Value;

    /// Nothing if it was not written by this build.
    fn from_json(json: Value) -> Option<Self>;
}

/// What is to be carried, as bytes.
pub fn write(carried: &impl Carried) -> Vec<u8> {
    serde_json::to_vec(&carried.to_json()).expect("JSON should serialise")
}

/// What was carried in these bytes; nothing if this build did not write them.
pub fn read<T: Carried>(bytes: &[u8]) -> Option<T> {
    T::from_json(serde_json::from_slice(bytes).ok()?)
}

/// The parts of a struct by their names.
#[derive(Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    pub fn of(json: Value) -> Option<Self> {
        if let Value::Object(fields) = json { Some(Self(fields)) } else { None }
    }

    pub fn put(&mut self, name: &str, part: &impl Carried) {
        self.insert(name, part.to_json());
    }

    /// The part of this name.
    #[inline(never)]
    pub fn take<T: Carried>(&mut self, name: &str) -> Option<T> {
        T::from_json(self.remove(name)?)
    }

    // Apart from the above, of which there is one for each type.
    #[inline(never)]
    fn insert(&mut self, name: &str, part: Value) {
        self.0.insert(name.to_owned(), part);
    }

    #[inline(never)]
    fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}

/// One of an enum's variants, with the parts that it has.
pub struct Variant {
    pub name: String,
    parts: std::vec::IntoIter<Value>,
}

impl Variant {
    #[inline(never)]
    pub fn of(json: Value) -> Option<Self> {
        let Value::Array(parts) = json else { return None };
        let mut parts = parts.into_iter();
        let Some(Value::String(name)) = parts.next() else { return None };
        Some(Self { name, parts })
    }

    /// The variant of this name with these parts.
    #[inline(never)]
    pub fn write(name: &str, mut parts: Vec<Value>) -> Value {
        parts.insert(0, name.into());
        Value::Array(parts)
    }

    /// Its next part.
    pub fn take<T: Carried>(&mut self) -> Option<T> {
        T::from_json(self.parts.next()?)
    }

    /// Whether no part is left.
    pub fn is_empty(&self) -> bool {
        self.parts.len() == 0
    }
}

/// Has a type carried: a struct, as `Type { part, other } without { third }`, where what is left out begins anew with its default;
/// or an enum, as `Type = One | Two(part) | Three { part }`.
macro_rules! carried {
    ($type:ty = $($variant:ident $(($($part:ident),+))? $({ $($field:ident),+ })?)|+) => {
        impl $crate::wire::carried::Carried for $type {
            #[inline(never)]
            fn to_json(&self) -> serde_json::Value {
                let (name, parts) = match self {
                    $(Self::$variant $(($($part),+))? $({ $($field),+ })? => (
                        stringify!($variant),
                        vec![
                            $($($crate::wire::carried::Carried::to_json($part)),+)?
                            $($($crate::wire::carried::Carried::to_json($field)),+)?
                        ],
                    ),)+
                };
                $crate::wire::carried::Variant::write(name, parts)
            }

            #[inline(never)]
            #[allow(unused_mut, reason = "no variant may hold anything")]
            fn from_json(json: serde_json::Value) -> Option<Self> {
                let mut variant = $crate::wire::carried::Variant::of(json)?;
                let carried = match variant.name.as_str() {
                    $(stringify!($variant) => Self::$variant
                        $(($({
                            let $part = variant.take()?;
                            $part
                        }),+))?
                        $({ $($field: variant.take()?),+ })?,)+
                    _ => return None,
                };
                variant.is_empty().then_some(carried)
            }
        }
    };
    ($type:ty { $($field:ident),+ $(,)? } $(without { $($left:ident),+ $(,)? })?) => {
        impl $crate::wire::carried::Carried for $type {
            #[inline(never)]
            fn to_json(&self) -> serde_json::Value {
                let Self { $($field,)+ $($($left: _,)+)? } = self;
                let mut fields = $crate::wire::carried::Fields::default();
                $(fields.put(stringify!($field), $field);)+
                fields.into_json()
            }

            #[inline(never)]
            fn from_json(json: serde_json::Value) -> Option<Self> {
                let mut fields = $crate::wire::carried::Fields::of(json)?;
                // All at once, so that what has been read is dropped in one place.
                match ($(fields.take(stringify!($field)),)+ fields.is_empty()) {
                    ($(Some($field),)+ true) => Some(Self { $($field,)+ $($($left: Default::default(),)+)? }),
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use carried;

#[cfg(test)]
mod tests;
