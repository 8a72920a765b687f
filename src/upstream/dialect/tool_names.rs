//! Names of tools that an API does not take, as names that it takes, and back.
//!
//! APIs take letters, digits, `_` and `-`, and so many of them; clients name tools otherwise too, such as `server.tool`. For such
//! a name another stands ([`super::stand_ins`]). Which name one stands for is known from the request, whose tools are known before
//! the answer comes.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use memchr::memmem;
use serde_json::value::RawValue;

use crate::policy::Dialect;
use crate::upstream::dialect::stand_ins::{Form, StandIns};
use crate::upstream::dialect::{chat, messages};
use crate::wire::ask::items::qualified;
use crate::wire::ask::{Api, Ask};
use crate::wire::carried::carried;
use crate::wire::containers::{elements, members_named};
use crate::wire::json::{JsonString, given, has_escaped_letters, text};
use crate::wire::walk::string_end;

/// What names of tools may hold beside letters and digits.
const MARKS: &[u8] = b"_-";

/// The names of a request's tools, as an API takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolNames {
    /// The dialect of the API.
    dialect: Dialect,
    /// Those that it does not take as they are.
    renamed: Option<Rc<StandIns>>,
}

carried!(ToolNames { dialect, renamed });

impl ToolNames {
    /// The names of the tools of `request`, as providers of `dialect` take them.
    pub fn of(request: &Ask<'_>, dialect: Dialect) -> Self {
        match request.api {
            Api::Chat => Self::of_fields([request.field("tools"), request.field("functions")], dialect),
            Api::Messages | Api::Gateway if !request.features.has_tools => Self::none(dialect),
            Api::Messages | Api::Gateway => match request.content() {
                Ok(content) => {
                    let names = content.all_tools().map(|tool| qualified(tool.namespace.as_deref(), &tool.name.value));
                    Self::new(&names.collect::<Vec<_>>(), dialect)
                }
                Err(_) => Self::none(dialect),
            },
        }
    }

    /// The same of the fields of a chat request that hold tools.
    pub fn of_fields(fields: [Option<&RawValue>; 2], dialect: Dialect) -> Self {
        let form = form(dialect);
        let fields = fields.map(given);
        // Most requests have none, and their tools are not read again.
        if !fields.into_iter().flatten().any(|tools| may_hold_an_odd_name(tools.get(), form)) {
            return Self::none(dialect);
        }
        let tools = fields.into_iter().flatten().filter_map(elements);
        let names: Vec<_> = tools.flatten().filter_map(name_of).collect();
        Self::new(&names, dialect)
    }

    /// No tools, of an API of `dialect`.
    pub fn none(dialect: Dialect) -> Self {
        Self { dialect, renamed: None }
    }

    fn new(names: &[Cow<'_, str>], dialect: Dialect) -> Self {
        let form = form(dialect);
        let taken: BTreeSet<&str> = names.iter().map(Cow::as_ref).collect();
        let mut renamed = StandIns::default();
        for name in names.iter().filter(|name| !form.takes(name.as_bytes())) {
            renamed.add(name, form, |stand_in| taken.contains(stand_in));
        }
        Self { dialect, renamed: (!renamed.is_empty()).then(|| renamed.into()) }
    }

    /// Whether any of the tools has another name there.
    pub fn differ(&self) -> bool {
        self.renamed.is_some()
    }

    /// A name, of a tool or of none, as the API takes it.
    pub fn write<'n>(&self, name: Cow<'n, str>) -> Cow<'n, str> {
        let form = form(self.dialect);
        if form.takes(name.as_bytes()) {
            return name;
        }
        let known = self.renamed.as_ref().and_then(|renamed| renamed.written(&name));
        known.map_or_else(|| form.stand_in(&name, 0), str::to_owned).into()
    }

    /// The name that `name` stands for there; nothing if it stands for itself.
    pub fn restored(&self, name: &str) -> Option<&str> {
        self.renamed.as_ref()?.restored(name)
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
        self.renamed.as_ref().is_some_and(|renamed| renamed.go_on_after(beginning))
    }

    /// Whether one of them begins with `beginning`, or is it.
    pub fn begin_with(&self, beginning: &str) -> bool {
        self.restored(beginning).is_some() || self.go_on_after(beginning)
    }
}

/// The name in a tool, or in a choice of one; the older form has it at the top.
pub fn name_of(json: &RawValue) -> Option<Cow<'_, str>> {
    let [function, custom, name] = members_named(json, &["function", "custom", "name"])?;
    let inside =
        |tool: &RawValue| members_named(tool, &["name"]).and_then(|[name]| name.and_then(text).map(Cow::into_owned));
    match function.or(custom) {
        Some(tool) => inside(tool).map(Cow::Owned),
        None => name.and_then(text),
    }
}

/// The names that APIs of a dialect take. Nothing can stand for the empty one, which is no name.
fn form(dialect: Dialect) -> Form {
    let limit = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => chat::MAX_NAME_BYTES,
        Dialect::AnthropicMessages => messages::MAX_NAME_BYTES,
    };
    Form { limit, marks: MARKS }
}

/// Whether any member called `name` in JSON is a text that is no plain name, at whatever depth, or may be one whose letters are
/// in escapes. The JSON must be valid.
fn may_hold_an_odd_name(json: &str, form: Form) -> bool {
    const MEMBER: &str = "\"name\"";
    let bytes = json.as_bytes();
    let mut members = memmem::find_iter(bytes, MEMBER);
    has_escaped_letters(bytes)
        || members.any(|at| {
            let rest = bytes[at + MEMBER.len()..].trim_ascii_start();
            let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start).filter(|value| value.starts_with(b"\""));
            value.is_some_and(|value| {
                let inside = value.get(1..string_end(value, 0).saturating_sub(1)).unwrap_or_default();
                !form.takes(inside)
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Form = Form { limit: 64, marks: MARKS };

    fn names(names: &[&str]) -> ToolNames {
        ToolNames::new(&names.iter().map(|name| Cow::Borrowed(*name)).collect::<Vec<_>>(), Dialect::OpenaiChat)
    }

    #[test]
    fn every_name_goes_up_in_a_form_that_apis_take_and_comes_back() {
        let long = "x".repeat(65);
        let all = ["weather", "mcp.server/get", "mcp_server.get", "größe", "天気", "a b", "$", long.as_str()];
        let names = names(&all);
        let mut seen = Vec::new();
        for name in all {
            let written = names.write(name.into()).into_owned();
            assert!(FORM.takes(written.as_bytes()) && !written.is_empty(), "{name}: {written}");
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
            ToolNames::new(&["gone.tool".into()], Dialect::OpenaiChat).write("gone.tool".into())
        );
    }

    #[test]
    fn no_two_tools_have_one_name() {
        let first = FORM.stand_in("a.b", 0);
        let names = names(&["a.b", &first, "a.b"]);
        let written = names.write("a.b".into());
        assert_eq!(written, FORM.stand_in("a.b", 1));
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
            assert_eq!(may_hold_an_odd_name(json, Form { limit: 8, marks: MARKS }), expected, "{json}");
        }
    }
}
