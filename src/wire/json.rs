//! JSON that is passed on as it came, and the little that must be known of it.

use std::borrow::Cow;

use memchr::memmem;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::halves;
use super::walk::{StringSeen, inside, string_end};

/// The deepest nesting of what a client sends, and of JSON in a text of it.
pub const MAX_DEPTH: usize = 128;

/// U+FEFF in UTF-8, which some write before a text.
pub const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One member of an object, its value raw.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    pub name: Cow<'a, str>,
    pub value: &'a RawValue,
}

/// The fields of a JSON object, in order, their values raw.
pub fn object_fields(json: &str) -> Result<Vec<Field<'_>>, serde_json::Error> {
    serde_json::from_str(json).map(|Fields(fields)| fields)
}

/// The value of the field of this name; of one that comes twice the last, as every reader of JSON takes it.
pub fn field<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a RawValue> {
    fields.iter().rfind(|field| field.name == name).map(|field| field.value)
}

/// `text` as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string should serialise")
}

struct Fields<'a>(Vec<Field<'a>>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some(name) = map.next_key::<&'de RawValue>()? {
                    fields.push(Field { name: readable(name.get()), value: map.next_value()? });
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// The values of the fields of these names; of a name that comes twice the last, as every reader of JSON takes it. A null is
/// nothing.
pub fn fields_named<'a, const N: usize>(
    json: &'a str,
    names: &[&str; N],
) -> Result<[Option<&'a RawValue>; N], serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let values = FieldsNamed { names }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(values)
}

/// As [`fields_named`], of each of an array's objects, all read in one pass.
pub fn items_named<'a, const N: usize>(
    json: &'a str,
    names: &[&str; N],
) -> Result<Vec<[Option<&'a RawValue>; N]>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let items = deserializer.deserialize_seq(ItemsNamed { names })?;
    deserializer.end()?;
    Ok(items)
}

struct ItemsNamed<'n, const N: usize> {
    names: &'n [&'n str; N],
}

impl<'de, const N: usize> Visitor<'de> for ItemsNamed<'_, N> {
    type Value = Vec<[Option<&'de RawValue>; N]>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(FieldsNamed { names: self.names })? {
            items.push(item);
        }
        Ok(items)
    }
}

struct FieldsNamed<'n, const N: usize> {
    names: &'n [&'n str; N],
}

impl<'de, const N: usize> DeserializeSeed<'de> for FieldsNamed<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for FieldsNamed<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(Borrowing(name)) = map.next_key::<Borrowing<'de>>()? {
            match self.names.iter().position(|known| *known == name) {
                Some(position) => values[position] = map.next_value()?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

/// A text, borrowed where it has no escapes (`Cow` alone would always copy).
#[derive(Deserialize)]
pub struct Borrowing<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The text of a JSON string, borrowed where it has no escapes; nothing for a value of another type.
pub fn decoded(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', inside.as_bytes()) {
        None => Some(inside.into()),
        Some(_) => serde_json::from_str::<Borrowing<'_>>(json).ok().map(|text| text.0),
    }
}

/// The text of a JSON string, with U+FFFD for half a surrogate pair.
pub fn readable(json: &str) -> Cow<'_, str> {
    let mended = || decoded(&halves::mended(json)).map(Cow::into_owned);
    decoded(json).unwrap_or_else(|| mended().unwrap_or_default().into())
}

/// A JSON value that goes to a provider as it is.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Json<'a> {
    Borrowed(&'a RawValue),
    Owned(Box<RawValue>),
}

impl Json<'_> {
    /// `text` as a JSON string.
    pub fn text(text: &str) -> Json<'static> {
        Json::Owned(serde_json::value::to_raw_value(text).expect("a string should serialise"))
    }

    /// `json` if it is valid JSON.
    pub fn parse(json: String) -> Option<Json<'static>> {
        RawValue::from_string(json).ok().map(Json::Owned)
    }

    /// `json`, without the white space around it, if it is valid JSON.
    pub fn borrow(json: &str) -> Option<Json<'_>> {
        serde_json::from_str(json).ok().map(Json::Borrowed)
    }

    pub fn raw(&self) -> &RawValue {
        match self {
            Json::Borrowed(raw) => raw,
            Json::Owned(raw) => raw,
        }
    }

    pub fn get(&self) -> &str {
        self.raw().get()
    }
}

/// A JSON string with its quotes, as it came: it passes from JSON to JSON without being decoded.
#[derive(Clone, Debug)]
pub struct JsonString<'a>(Json<'a>);

impl<'a> JsonString<'a> {
    /// `text` as a JSON string.
    pub fn encode(text: &str) -> JsonString<'static> {
        JsonString(Json::text(text))
    }

    /// The text whose inside, with its escapes, is `inside`: texts that passed as they came, one behind the other.
    pub fn join(inside: &str) -> JsonString<'static> {
        JsonString(
            Json::parse(format!("\"{inside}\"")).expect("the insides of JSON strings should be the inside of one"),
        )
    }

    /// `json` if it is a JSON string.
    pub fn parse(json: String) -> Option<JsonString<'static>> {
        Json::parse(json).filter(|json| is_text(json.raw())).map(JsonString)
    }

    /// The empty text.
    pub fn empty() -> JsonString<'static> {
        JsonString(Json::borrow("\"\"").expect("two quotes should be JSON"))
    }

    /// A value, if it is a string.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        is_text(raw).then_some(JsonString(Json::Borrowed(raw)))
    }

    /// A value, if it is a string that says something.
    pub fn read_some(raw: Option<&'a RawValue>) -> Option<Self> {
        raw.and_then(Self::read).filter(|text| !text.is_empty())
    }

    pub fn raw(&self) -> &RawValue {
        self.0.raw()
    }

    /// The JSON, with its quotes.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// The same, of its own.
    pub fn into_owned(self) -> JsonString<'static> {
        JsonString(match self.0 {
            Json::Borrowed(raw) => Json::Owned(raw.to_owned()),
            Json::Owned(raw) => Json::Owned(raw),
        })
    }

    /// What stands between the quotes, with its escapes.
    pub fn inside(&self) -> &str {
        inside(self.get())
    }

    pub fn is_empty(&self) -> bool {
        self.get().len() == 2
    }

    /// Whether it holds nothing but white space.
    pub fn is_blank(&self) -> bool {
        is_blank(self.raw())
    }

    /// How many bytes the text has, without decoding it; of half a surrogate pair, two.
    pub fn text_bytes(&self) -> usize {
        StringSeen::at(self.get().as_bytes(), 0).text_bytes
    }

    /// The text, borrowed where it has no escapes; nothing if it is none, as with half of a surrogate pair.
    pub fn decode(&self) -> Option<Cow<'_, str>> {
        text(self.raw())
    }
}

impl<'a> From<JsonString<'a>> for Json<'a> {
    fn from(text: JsonString<'a>) -> Self {
        text.0
    }
}

impl PartialEq for JsonString<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for JsonString<'_> {}

/// The text of a JSON string, borrowed where it has no escapes; nothing for a value of another type.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    decoded(raw.get())
}

/// What is wrong with a value that [`text`] cannot read.
pub fn text_fault(raw: Option<&RawValue>) -> &'static str {
    match raw.is_some_and(is_text) {
        true => "holds half of a surrogate pair (a `\\ud83d` without its other half), which stands for no character",
        false => "must be a string",
    }
}

/// Whether a value is a string, without looking at all of it.
pub fn is_text(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

pub fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// The value, unless it is null.
pub fn given(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| !is_null(raw))
}

/// A whole number that is not negative, however it is written: `5`, `5.0` and `"5"` are the same. Nothing for any other value.
pub fn whole(raw: &RawValue) -> Option<u64> {
    /// Above it a number with a fraction, or an exponent, is not exact.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    let text = raw.get().trim_matches('"').trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let number: f64 = text.parse().ok()?;
    ((0.0..=MAX_EXACT).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

/// Whether a value says nothing: null, false, an empty text, array or object.
pub fn says_nothing(raw: &RawValue) -> bool {
    let json = raw.get();
    let between = |open, close| json.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
    matches!(json, "null" | "false" | "\"\"")
        || between('[', ']').or_else(|| between('{', '}')).is_some_and(|inside| inside.trim().is_empty())
}

/// Whether JSON may hold the string `quoted`, which stands in its quotation marks: as it is, or with letters in escapes. Quick,
/// for JSON that is read only if it does.
pub fn may_hold(json: &[u8], quoted: &str) -> bool {
    memmem::find(json, quoted.as_bytes()).is_some() || has_escaped_letters(json)
}

/// Whether JSON may hold letters in escapes, which stand for the same ones as they are.
pub fn has_escaped_letters(json: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', json).any(|at| json[at..].starts_with(br"\u00"))
}

/// JSON without the byte order mark that some put before it; readers may pass over one (RFC 8259, section 8.1).
pub fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json)
}

/// Whether a JSON string holds nothing but white space.
pub fn is_blank(raw: &RawValue) -> bool {
    let inside = raw.get().trim_matches('"').trim_start();
    // An escape may stand for white space, so only then the text itself is needed.
    match inside.as_bytes().first() {
        None => true,
        Some(b'\\') => text(raw).is_some_and(|text| text.trim().is_empty()),
        Some(_) => false,
    }
}

/// Whether `json` is nested deeper than [`MAX_DEPTH`].
pub fn is_too_deep(json: &str) -> bool {
    let bytes = json.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' if depth == MAX_DEPTH => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_told_from_other_values_and_decoded_only_when_asked() {
        for (json, text) in
            [(r#""a b""#, Some("a b")), (r#""a\u00e4\n""#, Some("aä\n")), (r#""""#, Some("")), (r#""\ud83d""#, None)]
        {
            let raw: &RawValue = serde_json::from_str(json).expect("JSON");
            let string = JsonString::read(raw).expect("a string");
            assert_eq!((string.get(), string.decode().as_deref()), (json, text));
            assert_eq!(JsonString::read_some(Some(raw)).is_none(), json == "\"\"");
            let bytes = text.map_or(2, str::len);
            assert_eq!(string.text_bytes(), bytes, "{json}");
        }
        for json in ["7", "null", "[\"a\"]"] {
            assert_eq!(JsonString::read(serde_json::from_str(json).expect("JSON")), None);
        }
        assert_eq!(JsonString::encode("a\"b").inside(), "a\\\"b");
        assert_eq!(JsonString::empty(), JsonString::encode(""));
    }

    #[test]
    fn the_bytes_of_a_text_are_counted_without_decoding_it() {
        for text in ["", "plain", "\"quoted\"\n", "\\\\u0041", "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}", "\u{1f600}!"] {
            let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            for json in [serde_json::to_string(text).expect("JSON"), format!("\"{escaped}\"")] {
                let string = JsonString(Json::parse(json.clone()).expect("JSON"));
                assert_eq!((string.decode().as_deref(), string.text_bytes()), (Some(text), text.len()), "{json}");
            }
        }
    }

    #[test]
    fn a_count_is_read_however_it_is_written() {
        for (json, count) in [
            ("0", Some(0)),
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("5e2", Some(500)),
            ("-0", Some(0)),
            (r#""5""#, Some(5)),
            (r#"" 5 ""#, Some(5)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("1e300", None),
            ("-35", None),
            ("5.5", None),
            (r#""""#, None),
            (r#""five""#, None),
            (r#""inf""#, None),
            (r#""NaN""#, None),
            ("null", None),
            ("true", None),
            ("[5]", None),
            (r#"{"n":5}"#, None),
        ] {
            assert_eq!(whole(serde_json::from_str(json).expect("JSON")), count, "{json}");
        }
    }

    #[test]
    fn a_value_that_says_nothing_is_told_from_others() {
        for json in ["null", "false", "\"\"", "[]", "[ ]", "{}", "{\n}"] {
            assert!(says_nothing(serde_json::from_str(json).expect("JSON")), "{json}");
        }
        for json in ["0", "true", "\" \"", "[null]", "{\"a\":null}", "\"[]\""] {
            assert!(!says_nothing(serde_json::from_str(json).expect("JSON")), "{json}");
        }
    }

    #[test]
    fn of_a_field_that_comes_twice_the_last_counts() {
        let read = |json| {
            let fields = fields_named(json, &["a", "b"]).ok()?;
            Some(fields.map(|value| value.map_or("-", RawValue::get)).join(" "))
        };
        for (json, expected) in [
            (r#"{"a":1,"c":{"a":2},"a":3}"#, Some("3 -")),
            (r#"{"a":1,"b":[ 2 ],"a":null}"#, Some("- [ 2 ]")),
            (r#"{"\u0061":"\ud83d"}"#, Some(r#""\ud83d" -"#)),
            ("{}", Some("- -")),
            ("[]", None),
            ("{} x", None),
            (r#"{"a":1"#, None),
        ] {
            assert_eq!(read(json).as_deref(), expected, "{json}");
        }
        let fields = object_fields(r#"{"a":1,"b":2,"a":null}"#).expect("an object");
        assert_eq!(
            ["a", "b", "c"].map(|name| field(&fields, name).map(RawValue::get)),
            [Some("null"), Some("2"), None]
        );
    }

    #[test]
    fn a_text_is_as_deep_as_a_body_may_be() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!is_too_deep(&nested(MAX_DEPTH)) && is_too_deep(&nested(MAX_DEPTH + 1)));
        assert!(!is_too_deep(&format!("[\"{}\"]", "[".repeat(500))));
    }
}
