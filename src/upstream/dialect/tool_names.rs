//! Names of tools that an API does not take, as names that it takes, and back.
//!
//! APIs take letters, digits, `_` and `-`, and so many of them; clients name tools otherwise too, such as `server.tool`. What stands
//! for such a name follows from the name, so it is the same in every request: its beginning, and a part of its hash. Which name
//! one stands for is known from the request, whose tools are known before the answer comes.

use std::borrow::Cow;
use std::rc::Rc;

use memchr::memmem;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::policy::Dialect;
use crate::upstream::dialect::{chat, messages};
use crate::wire::ask::items::qualified;
use crate::wire::ask::{Api, Ask};
use crate::wire::json::{JsonString, fields_named, given, text};
use crate::wire::walk::string_end;

/// How many digits of a name's hash stand behind its beginning.
const HASH_DIGITS: usize = 10;

/// The names of a request's tools, as an API takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolNames {
    /// The longest name that the API takes, in bytes.
    limit: usize,
    /// Those that it does not take as they are.
    renamed: Option<Rc<[Renamed]>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Renamed {
    name: String,
    stand_in: String,
}

impl ToolNames {
    /// The names of the tools of `request`, as providers of `dialect` take them.
    pub fn of(request: &Ask<'_>, dialect: Dialect) -> Self {
        let limit = limit(dialect);
        match request.api {
            Api::Chat => Self::of_fields([request.field("tools"), request.field("functions")], dialect),
            Api::Gateway if !request.features.has_tools => Self { limit, renamed: None },
            Api::Gateway => match request.content() {
                Ok(content) => {
                    let names = content.all_tools().map(|tool| qualified(tool.namespace.as_deref(), &tool.name.value));
                    Self::new(&names.collect::<Vec<_>>(), limit)
                }
                Err(_) => Self { limit, renamed: None },
            },
        }
    }

    /// The same of the fields of a chat request that hold tools.
    pub fn of_fields(fields: [Option<&RawValue>; 2], dialect: Dialect) -> Self {
        let limit = limit(dialect);
        let fields = fields.map(given);
        // Most requests have none, and their tools are not read again.
        if !fields.into_iter().flatten().any(|tools| may_hold_an_odd_name(tools.get(), limit)) {
            return Self { limit, renamed: None };
        }
        let tools = fields.into_iter().flatten().filter_map(|field| serde_json::from_str(field.get()).ok());
        let names: Vec<_> = tools.flat_map(|tools: Vec<&RawValue>| tools).filter_map(name_of).collect();
        Self::new(&names, limit)
    }

    /// No tools, of an API of `dialect`.
    pub fn none(dialect: Dialect) -> Self {
        Self { limit: limit(dialect), renamed: None }
    }

    fn new(names: &[Cow<'_, str>], limit: usize) -> Self {
        let mut renamed: Vec<Renamed> = Vec::new();
        for name in names.iter().filter(|name| is_odd(name, limit)) {
            if renamed.iter().any(|known| known.name == *name) {
                continue;
            }
            let is_taken = |stand_in: &str| {
                names.iter().any(|name| name == stand_in) || renamed.iter().any(|known| known.stand_in == stand_in)
            };
            let mut round = 0;
            let stand_in = loop {
                let stand_in = stand_in(name, limit, round);
                if !is_taken(&stand_in) {
                    break stand_in;
                }
                round += 1;
            };
            renamed.push(Renamed { name: name.to_string(), stand_in });
        }
        Self { limit, renamed: (!renamed.is_empty()).then(|| renamed.into()) }
    }

    /// Whether any of the tools has another name there.
    pub fn differ(&self) -> bool {
        self.renamed.is_some()
    }

    /// A name, of a tool or of none, as the API takes it.
    pub fn write<'n>(&self, name: Cow<'n, str>) -> Cow<'n, str> {
        if !is_odd(&name, self.limit) {
            return name;
        }
        match self.all().find(|known| known.name == name) {
            Some(known) => known.stand_in.clone().into(),
            None => stand_in(&name, self.limit, 0).into(),
        }
    }

    /// The name that stands for `name` there; nothing if it stands for itself.
    pub fn restored(&self, name: &str) -> Option<&str> {
        self.all().find(|known| known.stand_in == name).map(|known| known.name.as_str())
    }

    /// The name of a call as the client knows it.
    pub fn restore<'a>(&self, name: JsonString<'a>) -> JsonString<'a> {
        if !self.differ() {
            return name;
        }
        let known = name.decode().and_then(|name| self.restored(&name).map(JsonString::encode));
        known.unwrap_or(name)
    }

    /// Whether one of them begins with `beginning`, and does not end there.
    pub fn go_on_after(&self, beginning: &str) -> bool {
        self.all().any(|known| known.stand_in.len() > beginning.len() && known.stand_in.starts_with(beginning))
    }

    /// Whether one of them begins with `beginning`, or is it.
    pub fn begin_with(&self, beginning: &str) -> bool {
        self.all().any(|known| known.stand_in.starts_with(beginning))
    }

    /// Whether one of them stands anywhere in `data`.
    pub fn are_in(&self, data: &[u8]) -> bool {
        self.all().any(|known| memmem::find(data, known.stand_in.as_bytes()).is_some())
    }

    fn all(&self) -> impl Iterator<Item = &Renamed> {
        self.renamed.iter().flat_map(|renamed| renamed.iter())
    }
}

/// The name in a tool, or in a choice of one; the older form has it at the top.
pub fn name_of(json: &RawValue) -> Option<Cow<'_, str>> {
    let [function, custom, name] = fields_named(json.get(), &["function", "custom", "name"]).ok()?;
    let inside = |tool: &RawValue| {
        fields_named(tool.get(), &["name"]).ok().and_then(|[name]| name.and_then(text).map(Cow::into_owned))
    };
    match function.or(custom) {
        Some(tool) => inside(tool).map(Cow::Owned),
        None => name.and_then(text),
    }
}

/// The longest name that APIs of a dialect take, in bytes.
fn limit(dialect: Dialect) -> usize {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => chat::MAX_NAME_BYTES,
        Dialect::AnthropicMessages => messages::MAX_NAME_BYTES,
    }
}

/// Whether an API takes no such name. Nothing can stand for the empty one, which is no name.
fn is_odd(name: &str, limit: usize) -> bool {
    name.len() > limit || !name.bytes().all(is_plain)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn stand_in(name: &str, limit: usize, round: u32) -> String {
    let plain = |c: char| if c.is_ascii() && is_plain(c as u8) { c } else { '_' };
    let mut stand_in: String = name.chars().take(limit - HASH_DIGITS - 1).map(plain).collect();
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    if round > 0 {
        hash.update(round.to_be_bytes());
    }
    stand_in.push('_');
    for byte in hash.finalize().iter().take(HASH_DIGITS / 2) {
        stand_in.push_str(&format!("{byte:02x}"));
    }
    stand_in
}

/// Whether any member called `name` in JSON is a text that is no plain name, at whatever depth. The JSON must be valid.
fn may_hold_an_odd_name(json: &str, limit: usize) -> bool {
    const MEMBER: &[u8] = br#""name""#;
    let bytes = json.as_bytes();
    memmem::find_iter(bytes, MEMBER).any(|at| {
        let rest = bytes[at + MEMBER.len()..].trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start).filter(|value| value.starts_with(b"\""));
        value.is_some_and(|value| {
            let inside = value.get(1..string_end(value, 0).saturating_sub(1)).unwrap_or_default();
            inside.len() > limit || !inside.iter().copied().all(is_plain)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str], limit: usize) -> ToolNames {
        ToolNames::new(&names.iter().map(|name| Cow::Borrowed(*name)).collect::<Vec<_>>(), limit)
    }

    #[test]
    fn every_name_goes_up_in_a_form_that_apis_take_and_comes_back() {
        let long = "x".repeat(65);
        let all = ["weather", "mcp.server/get", "mcp_server.get", "größe", "天気", "a b", "$", long.as_str()];
        let names = names(&all, 64);
        let mut seen = Vec::new();
        for name in all {
            let written = names.write(name.into()).into_owned();
            assert!(!is_odd(&written, 64) && !written.is_empty(), "{name}: {written}");
            assert!(!seen.contains(&written), "{name}: {written}");
            assert_eq!(names.restored(&written).unwrap_or(&written), name);
            seen.push(written);
        }
        assert_eq!(names.write("weather".into()), "weather");
        assert_eq!(names.write("mcp.server/get".into()), "mcp_server_get_6e3cc2d1ad");
        assert_eq!(names.write(long.as_str().into()).len(), 64);
        assert_eq!(names.restored("weather"), None);
        assert_eq!(names.write("".into()), "", "the empty name is none");
        assert_eq!(
            names.write("gone.tool".into()),
            ToolNames::new(&["gone.tool".into()], 64).write("gone.tool".into())
        );
    }

    #[test]
    fn no_two_tools_have_one_name() {
        let first = stand_in("a.b", 64, 0);
        let names = names(&["a.b", &first, "a.b"], 64);
        let written = names.write("a.b".into());
        assert_eq!(written, stand_in("a.b", 64, 1));
        assert_eq!(names.write(first.as_str().into()), first);
        assert_eq!((names.restored(&first), names.restored(&written)), (None, Some("a.b")));
    }

    #[test]
    fn tools_are_read_only_where_a_name_may_be_odd() {
        for (json, expected) in [
            (r#"[{"function":{"name":"a"}}]"#, false),
            (r#"[{"function":{"name" : "a.b"}}]"#, true),
            (r#"[{"function":{"name":"a\u002eb"}}]"#, true),
            (r#"[{"function":{"name":"abcdefghi"}}]"#, true),
            (r#"[{"function":{"name":"a","parameters":{"properties":{"name":{"type":"string"}}}}}]"#, false),
            (r#"[{"name"#, false),
        ] {
            assert_eq!(may_hold_an_odd_name(json, 8), expected, "{json}");
        }
    }
}
