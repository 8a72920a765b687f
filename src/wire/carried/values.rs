//! How the values are carried that others are made of.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Carried, carried};
use crate::policy::{Dialect, HealthSettings, LongPrice, PlatformLimits, Price};
use crate::wire::json::JsonString;

impl Carried for bool {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: Value) -> Option<Self> {
        json.as_bool()
    }
}

impl Carried for u64 {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(json: Value) -> Option<Self> {
        json.as_u64()
    }
}

/// Numbers that a `u64` can hold.
macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Carried for $type {
            fn to_json(&self) -> Value {
                (*self).into()
            }

            fn from_json(json: Value) -> Option<Self> {
                json.as_u64()?.try_into().ok()
            }
        }
    )+};
}
numbers!(u16, u32, usize);

impl Carried for u128 {
    fn to_json(&self) -> Value {
        self.to_string().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        json.as_str()?.parse().ok()
    }
}

/// By its bits: digits may stand for a neighbour of the number.
impl Carried for f64 {
    fn to_json(&self) -> Value {
        self.to_bits().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        json.as_u64().map(f64::from_bits)
    }
}

impl Carried for String {
    fn to_json(&self) -> Value {
        self.as_str().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        if let Value::String(text) = json { Some(text) } else { None }
    }
}

impl Carried for Cow<'static, str> {
    fn to_json(&self) -> Value {
        self.as_ref().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        String::from_json(json).map(Cow::Owned)
    }
}

/// A value in an array of its own, since what is there may be nothing, too.
impl<T: Carried> Carried for Option<T> {
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, |value| Value::Array(vec![value.to_json()]))
    }

    fn from_json(json: Value) -> Option<Self> {
        match json {
            Value::Null => Some(None),
            value => T::from_json(only(value)?).map(Some),
        }
    }
}

fn array<T: Carried>(items: &[T]) -> Value {
    let mut array = Vec::with_capacity(items.len());
    for item in items {
        array.push(item.to_json());
    }
    Value::Array(array)
}

/// The only item of an array.
#[inline(never)]
fn only(json: Value) -> Option<Value> {
    let [item] = <[Value; 1]>::try_from(items(json)?).ok()?;
    Some(item)
}

/// The items of an array.
#[inline(never)]
fn items(json: Value) -> Option<Vec<Value>> {
    if let Value::Array(items) = json { Some(items) } else { None }
}

impl<T: Carried> Carried for Vec<T> {
    fn to_json(&self) -> Value {
        array(self)
    }

    fn from_json(json: Value) -> Option<Self> {
        let mut read = Vec::new();
        for item in items(json)? {
            read.push(T::from_json(item)?);
        }
        Some(read)
    }
}

impl<T: Carried, const N: usize> Carried for [T; N] {
    fn to_json(&self) -> Value {
        array(self)
    }

    fn from_json(json: Value) -> Option<Self> {
        Vec::from_json(json)?.try_into().ok()
    }
}

/// Of any bytes, each as the character of its number. What is nearly all ASCII, as what goes to a client is, stays as long as it
/// was.
impl Carried for Vec<u8> {
    fn to_json(&self) -> Value {
        self.iter().copied().map(char::from).collect::<String>().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        json.as_str()?.chars().map(|character| character.try_into().ok()).collect()
    }
}

/// As its members one behind the other, each name before its value.
impl<K: Carried + Ord, V: Carried> Carried for BTreeMap<K, V> {
    fn to_json(&self) -> Value {
        let mut members = Vec::with_capacity(2 * self.len());
        for (name, value) in self {
            members.push(name.to_json());
            members.push(value.to_json());
        }
        Value::Array(members)
    }

    fn from_json(json: Value) -> Option<Self> {
        let mut items = items(json)?.into_iter();
        let mut map = Self::new();
        while let Some(name) = items.next() {
            map.insert(K::from_json(name)?, V::from_json(items.next()?)?);
        }
        Some(map)
    }
}

impl Carried for BTreeSet<String> {
    fn to_json(&self) -> Value {
        self.iter().map(String::as_str).collect()
    }

    fn from_json(json: Value) -> Option<Self> {
        Vec::from_json(json).map(Self::from_iter)
    }
}

impl<T: Carried> Carried for Box<T> {
    fn to_json(&self) -> Value {
        T::to_json(self)
    }

    fn from_json(json: Value) -> Option<Self> {
        T::from_json(json).map(Box::new)
    }
}

impl<T: Carried> Carried for Rc<T> {
    fn to_json(&self) -> Value {
        T::to_json(self)
    }

    fn from_json(json: Value) -> Option<Self> {
        T::from_json(json).map(Rc::new)
    }
}

impl Carried for Duration {
    fn to_json(&self) -> Value {
        [self.as_secs(), self.subsec_nanos().into()].to_json()
    }

    fn from_json(json: Value) -> Option<Self> {
        let [seconds, nanoseconds] = <[u64; 2]>::from_json(json)?;
        Some(Duration::new(seconds, nanoseconds.try_into().ok()?))
    }
}

impl Carried for StatusCode {
    fn to_json(&self) -> Value {
        self.as_u16().to_json()
    }

    fn from_json(json: Value) -> Option<Self> {
        StatusCode::from_u16(u16::from_json(json)?).ok()
    }
}

/// As the text that it is: half of a surrogate pair stands in no other text, and what others nested as deep as readers go may
/// stand in nothing.
impl Carried for Box<RawValue> {
    fn to_json(&self) -> Value {
        self.get().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        RawValue::from_string(String::from_json(json)?).ok()
    }
}

impl Carried for JsonString<'static> {
    fn to_json(&self) -> Value {
        self.get().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        JsonString::parse(String::from_json(json)?)
    }
}

impl Carried for Value {
    fn to_json(&self) -> Value {
        self.to_string().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        serde_json::from_str(json.as_str()?).ok()
    }
}

impl Carried for Map<String, Value> {
    fn to_json(&self) -> Value {
        Value::Object(self.clone()).to_json()
    }

    fn from_json(json: Value) -> Option<Self> {
        if let Value::Object(members) = Value::from_json(json)? { Some(members) } else { None }
    }
}

impl Carried for Dialect {
    fn to_json(&self) -> Value {
        self.as_str().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        let name = json.as_str()?;
        Self::ALL.iter().copied().find(|dialect| dialect.as_str() == name)
    }
}

carried!(Price { input, cached_input, cache_write, output, long });
carried!(LongPrice { above_tokens, input, cached_input, cache_write, output });
/// Names and values in turns. What is no text is left out: the gateway writes none.
impl Carried for HeaderMap {
    fn to_json(&self) -> Value {
        let texts = self.iter().filter_map(|(name, value)| Some([name.as_str(), value.to_str().ok()?]));
        texts.flatten().map(Value::from).collect::<Vec<_>>().into()
    }

    fn from_json(json: Value) -> Option<Self> {
        let texts = Vec::<String>::from_json(json)?;
        let pair = |pair: &[String]| match pair {
            [name, value] => Some((name.parse::<HeaderName>().ok()?, value.parse().ok()?)),
            _ => None,
        };
        texts.chunks(2).map(pair).collect()
    }
}

carried!(PlatformLimits { cpu_ms, wall, sends, events, max_hops });
carried!(HealthSettings { failures, cooldown, max_cooldown, auth_cooldown, hedge_share });
