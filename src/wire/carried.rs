//! What one execution writes down for the next one of the same build to go on with: plain values, as JSON.
//!
//! Every part has its name, none may be missing and none be more, so that what another build wrote is refused and not misread.
//! [`carried!`] makes the two directions of a type from one list of its parts, which the compiler holds against the type. It
//! makes a sixth of the code that serde's derives make, and the sandbox's start waits for all code.

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
pub struct Fields(Map<String, Value>);

impl Fields {
    pub fn new() -> Self {
        Self(Map::new())
    }

    pub fn of(json: Value) -> Option<Self> {
        if let Value::Object(fields) = json { Some(Self(fields)) } else { None }
    }

    #[inline(never)]
    pub fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    #[inline(never)]
    pub fn take(&mut self, name: &str) -> Option<Value> {
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
    pub parts: std::vec::IntoIter<Value>,
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
    pub fn write(name: &str, parts: Vec<Value>) -> Value {
        let mut variant = vec![Value::from(name)];
        variant.extend(parts);
        Value::Array(variant)
    }
}

/// Has a type carried: a struct with the parts that it lists, `without` some that the next execution begins with their default;
/// or an enum with its variants, each with what it holds.
macro_rules! carried {
    (enum $type:ty {
        $($variant:ident $(($($part:ident),+))? $({ $($field:ident),+ })?),+ $(,)?
    }) => {
        impl $crate::wire::carried::Carried for $type {
            #[inline(never)]
            fn to_json(&self) -> serde_json::Value {
                match self {
                    $(Self::$variant $(($($part),+))? $({ $($field),+ })? => {
                        let parts = vec![
                            $($($crate::wire::carried::Carried::to_json($part)),+)?
                            $($($crate::wire::carried::Carried::to_json($field)),+)?
                        ];
                        $crate::wire::carried::Variant::write(stringify!($variant), parts)
                    })+
                }
            }

            #[inline(never)]
            #[allow(unused_mut, reason = "no variant may hold anything")]
            fn from_json(json: serde_json::Value) -> Option<Self> {
                let mut variant = $crate::wire::carried::Variant::of(json)?;
                let carried = match variant.name.as_str() {
                    $(stringify!($variant) => Self::$variant
                        $(($({
                            let $part = $crate::wire::carried::Carried::from_json(variant.parts.next()?)?;
                            $part
                        }),+))?
                        $({ $($field: $crate::wire::carried::Carried::from_json(variant.parts.next()?)?),+ })?,)+
                    _ => return None,
                };
                (variant.parts.len() == 0).then_some(carried)
            }
        }
    };
    ($type:ty { $($field:ident),+ $(,)? } $(without { $($left:ident),+ $(,)? })?) => {
        impl $crate::wire::carried::Carried for $type {
            #[inline(never)]
            fn to_json(&self) -> serde_json::Value {
                let Self { $($field,)+ $($($left: _,)+)? } = self;
                let mut fields = $crate::wire::carried::Fields::new();
                $(fields.put(stringify!($field), $crate::wire::carried::Carried::to_json($field));)+
                fields.into_json()
            }

            #[inline(never)]
            fn from_json(json: serde_json::Value) -> Option<Self> {
                let mut fields = $crate::wire::carried::Fields::of(json)?;
                let carried = Self {
                    $($field: $crate::wire::carried::Carried::from_json(fields.take(stringify!($field))?)?,)+
                    $($($left: Default::default(),)+)?
                };
                fields.is_empty().then_some(carried)
            }
        }
    };
}
pub(crate) use carried;
