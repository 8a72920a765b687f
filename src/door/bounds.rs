//! How much a request may hold: counted in one pass over the body, before anything of it is parsed.
//!
//! The pass knows only strings and brackets, so it takes any bytes; what is no JSON is left to the parser. Each bound is far
//! above what applications send and keeps every later step short.

use crate::error::{Error, Kind};
use crate::wire::json::{MAX_DEPTH, decoded};
use crate::wire::walk::string_end;

/// How many of one kind a request may have, and the words that say so.
struct Bound {
    most: usize,
    whose: &'static str,
    what: &'static str,
}

const FIELDS: Bound = Bound { most: 512, whose: "The body has", what: "fields" };
const MESSAGES: Bound = Bound { most: 10_000, whose: "`messages` has", what: "messages" };
/// The parts of all messages together, and the calls of tools in them.
const PARTS: Bound = Bound { most: 20_000, whose: "The messages have", what: "parts and calls of tools" };
const TOOLS: Bound = Bound { most: 1_024, whose: "The request has", what: "tools" };
/// The most JSON values in tools and in the form of the answer together.
const MAX_SCHEMA_NODES: usize = 50_000;
/// The JSON values in the whole body.
const NODES: Bound = Bound { most: 200_000, whose: "The body has", what: "JSON values" };
/// The longest name of a top-level field, in bytes as it is written.
const MAX_NAME_BYTES: usize = 1_024;

/// Which fields of an API's requests have bounds of their own.
pub struct Bounded {
    /// The fields that hold tools.
    tools: &'static [&'static str],
    /// The field that holds the form of the answer.
    format: &'static str,
    /// How deep in the body the lists of parts are.
    parts: &'static [usize],
    /// What of a request holds schemas.
    schemas: &'static str,
}

/// Those of OpenAI's Chat Completions.
pub const CHAT: Bounded = Bounded {
    tools: &["tools", "functions"],
    format: "response_format",
    parts: &[4],
    schemas: "JSON values in `tools`, `functions` and `response_format` together",
};
/// Those of Anthropic's Messages, whose results hold parts of their own.
pub const MESSAGES_API: Bounded = Bounded {
    tools: &["tools"],
    format: "output_config",
    parts: &[4, 6],
    schemas: "JSON values in `tools` and `output_config` together",
};

/// The top-level field that is being read, as far as it has bounds of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Messages,
    Tools(&'static str),
    Format(&'static str),
    Other,
}

struct Counts {
    bounded: &'static Bounded,
    fields: usize,
    messages: usize,
    parts: usize,
    tools: usize,
    schema_nodes: usize,
    nodes: usize,
}

/// Checks the bounds of a request's body, whose API has these fields.
///
/// # Errors
/// [`Kind::InvalidRequest`] that names the bound.
pub fn check(body: &str, bounded: &'static Bounded) -> Result<(), Error> {
    let bytes = body.as_bytes();
    let mut counts = Counts::new(bounded);
    let mut field = Field::Other;
    // The brackets that are open, and whether nothing stands behind the last one yet.
    let mut open: Vec<u8> = Vec::with_capacity(MAX_DEPTH);
    let mut has_just_opened = false;
    let mut names_field = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (depth, in_array) = (open.len(), open.last() == Some(&b'['));
        if has_just_opened && !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b'}' | b']') {
            has_just_opened = false;
            counts.element(field, depth, in_array)?;
        }
        match byte {
            b'"' => {
                let end = string_end(bytes, at);
                if names_field && end - at > MAX_NAME_BYTES {
                    return Err(exceeded(
                        format!("A field's name has more than {MAX_NAME_BYTES} bytes."),
                        None::<&str>,
                    ));
                }
                if names_field {
                    field = bounded.top_level(body.get(at..end).unwrap_or_default());
                    names_field = false;
                }
                at = end;
                continue;
            }
            b'{' | b'[' => {
                if depth == MAX_DEPTH {
                    let message = format!("The body is nested more than {MAX_DEPTH} levels deep.");
                    return Err(exceeded(message, field.place()));
                }
                open.push(byte);
                has_just_opened = true;
                names_field = depth == 0;
            }
            b'}' | b']' => {
                open.pop();
                has_just_opened = false;
            }
            b',' => {
                names_field = depth == 1;
                counts.element(if names_field { Field::Other } else { field }, depth, in_array)?;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

impl Field {
    fn place(self) -> Option<&'static str> {
        match self {
            Field::Messages => Some("messages"),
            Field::Tools(name) => Some(name),
            Field::Format(name) => Some(name),
            Field::Other => None,
        }
    }
}

impl Bounded {
    /// The field of this name, which is written as JSON.
    fn top_level(&self, name: &str) -> Field {
        // A long name is none of these, and need not be decoded.
        let Some(name) = decoded(name.get(..128).unwrap_or(name)) else { return Field::Other };
        match self.tools.iter().find(|known| **known == name) {
            Some(tools) => Field::Tools(tools),
            None if name == self.format => Field::Format(self.format),
            None if name == "messages" => Field::Messages,
            None => Field::Other,
        }
    }
}

impl Counts {
    fn new(bounded: &'static Bounded) -> Self {
        Self { bounded, fields: 0, messages: 0, parts: 0, tools: 0, schema_nodes: 0, nodes: 0 }
    }

    /// Counts an element of a container at `depth`.
    fn element(&mut self, field: Field, depth: usize, in_array: bool) -> Result<(), Error> {
        self.nodes += 1;
        NODES.check(self.nodes, || field.place().map(str::to_owned))?;
        match (field, depth, in_array) {
            (_, 1, false) => {
                self.fields += 1;
                FIELDS.check(self.fields, || None)
            }
            (Field::Messages, 2, true) => {
                self.messages += 1;
                MESSAGES.check(self.messages, || Some("messages".to_owned()))
            }
            (Field::Messages, depth, true) if self.bounded.parts.contains(&depth) => {
                self.parts += 1;
                PARTS.check(self.parts, || Some(format!("messages[{}]", self.messages.saturating_sub(1))))
            }
            (Field::Tools(name), depth, in_array) => {
                if (depth, in_array) == (2, true) {
                    self.tools += 1;
                    TOOLS.check(self.tools, || Some(name.to_owned()))?;
                }
                self.schema_node(name)
            }
            (Field::Format(name), _, _) => self.schema_node(name),
            (Field::Messages | Field::Other, _, _) => Ok(()),
        }
    }

    fn schema_node(&mut self, place: &str) -> Result<(), Error> {
        self.schema_nodes += 1;
        let bound = Bound { most: MAX_SCHEMA_NODES, whose: "The request has", what: self.bounded.schemas };
        bound.check(self.schema_nodes, || Some(place.to_owned()))
    }
}

impl Bound {
    /// `place` says where too many are.
    fn check(&self, count: usize, place: impl FnOnce() -> Option<String>) -> Result<(), Error> {
        let Bound { most, whose, what } = self;
        if count <= *most {
            return Ok(());
        }
        Err(exceeded(format!("{whose} more than {most} {what}."), place()))
    }
}

fn exceeded(message: String, place: Option<impl Into<String>>) -> Error {
    let error = Error::new(Kind::InvalidRequest, message);
    match place {
        Some(place) => error.with_param(place),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the check says of a body: the number that the message names, and the place.
    fn bound_of(body: &str, bounded: &'static Bounded) -> Option<(String, Option<String>)> {
        let error = check(body, bounded).err()?;
        assert_eq!(error.kind, Kind::InvalidRequest);
        let number = error.message.split(' ').find(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        Some((number.expect("the message should name the bound").to_owned(), error.param))
    }

    fn bound(body: &str) -> Option<(String, Option<String>)> {
        bound_of(body, &CHAT)
    }

    fn list(item: &str, count: usize) -> String {
        vec![item; count].join(",")
    }

    #[test]
    fn each_bound_is_the_last_that_passes() {
        let fields = |count: usize| {
            format!("{{{}}}", (0..count).map(|at| format!(r#""f{at}":{{"a":[1,2]}}"#)).collect::<Vec<_>>().join(" , "))
        };
        let messages = |count| format!(r#"{{"model":"a,b","messages" : [ {} ]}}"#, list(r#"{"content":"[,]"}"#, count));
        let parts = |count: usize| {
            let message = |count| format!(r#"{{"role":"user","content":[{}]}}"#, list(r#"{"text":"a"}"#, count));
            format!(r#"{{"\u006dessages":[{},{}]}}"#, message(count / 2), message(count - count / 2))
        };
        let calls = |count| format!(r#"{{"messages":[{{"tool_calls":[{}]}}]}}"#, list("{}", count));
        let tools = |count| format!(r#"{{"tools":[{}],"functions":[{}]}}"#, list("{}", 1_000), list("{}", count));
        // One for the object, its member and the array each.
        let schema = |count| format!(r#"{{"tools":[{{"a":1}}],"response_format":{{"enum":[{}]}}}}"#, list("1", count));
        let nodes = |count| format!(r#"{{"metadata":[{}]}}"#, list("[]", count));
        let deep = |name: &str, count: usize| format!(r#"{{"{name}":{}{}}}"#, "[".repeat(count), "]".repeat(count));
        type Case<'a> = (&'a str, &'a dyn Fn(usize) -> String, usize, &'a str, Option<&'a str>);
        let cases: [Case<'_>; 9] = [
            ("fields", &fields, 512, "512", None),
            ("messages", &messages, 10_000, "10000", Some("messages")),
            ("parts", &parts, 20_000, "20000", Some("messages[1]")),
            ("calls", &calls, 20_000, "20000", Some("messages[0]")),
            ("tools", &tools, 24, "1024", Some("functions")),
            ("schema", &schema, 49_997, "50000", Some("response_format")),
            ("nodes", &nodes, 199_999, "200000", None),
            ("depth of anything", &|count| deep("metadata", count), 127, "128", None),
            ("depth of messages", &|count| deep("messages", count), 127, "128", Some("messages")),
        ];
        for (name, body, most, number, param) in cases {
            assert_eq!(bound(&body(most)), None, "{name}");
            let expected = Some((number.to_owned(), param.map(str::to_owned)));
            assert_eq!(bound(&body(most + 1)), expected, "{name}");
        }
    }

    #[test]
    fn the_messages_api_has_parts_in_results_and_another_form() {
        let results = |count| format!(r#"{{"messages":[{{"content":[{{"content":[{}]}}]}}]}}"#, list("{}", count));
        let schema = |count| format!(r#"{{"output_config":{{"enum":[{}]}}}}"#, list("1", count));
        for (name, body, most, param) in [
            ("results", results as fn(usize) -> String, 19_999, "messages[0]"),
            ("schema", schema, 49_999, "output_config"),
        ] {
            assert_eq!(bound_of(&body(most), &MESSAGES_API), None, "{name}");
            let found = bound_of(&body(most + 1), &MESSAGES_API).and_then(|(_, place)| place);
            assert_eq!(found.as_deref(), Some(param), "{name}");
        }
    }

    #[test]
    fn brackets_in_strings_count_nothing() {
        let text = r#"\"[{,"#.repeat(200);
        assert_eq!(bound(&format!(r#"{{"{text}":"{text}","messages":["{text}"]}}"#)), None);
    }

    #[test]
    fn what_is_no_json_is_left_to_the_parser() {
        for body in ["", "]]]]", "}{", "\"", "{\"", "[[", ",,,,", "{\"a\"", "nul"] {
            assert_eq!(bound(body), None, "{body}");
        }
    }
}
