//! Custom tools, the choice of one and its calls as those of functions, for providers that have no custom tools.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::request::pruned;
use super::tools::renamed_name;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ObjectEdit, OpenedObject};
use crate::upstream::dialect::tool_names::ToolNames;
use crate::upstream::dialect::{Recipient, custom_tools};
use crate::wire::containers::{elements, found_valid, members_named};
use crate::wire::json::{self, Field, given, may_hold};

/// The kind of tools whose input is any text.
pub const KIND: &str = "custom";

/// The function that stands for what `holder` describes, a custom tool.
pub fn function<'x>(
    recipient: &Recipient<'_>,
    holder: &Field<'x>,
    names: &ToolNames,
    dropped: &mut Dropped,
) -> Cow<'x, str> {
    let raw = holder.value;
    let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(raw) else { return Cow::Borrowed(raw.get()) };
    let grammar = given(json::field(&fields, "format")).and_then(Grammar::of);
    for field in &fields {
        match field.name.as_ref() {
            "name" => edit.put(field, renamed_name(field.value, names)),
            "description" => match &grammar {
                Some(_) => edit.leave(),
                None => edit.keep(field),
            },
            "format" => {
                // What is no format's is named by itself.
                pruned(recipient, "tools.custom.format", field.value, dropped);
                match is_any_text(field.value) {
                    true => edit.leave(),
                    false => edit.lose(field, format_args!("tools.format"), dropped),
                }
            }
            name => edit.lose(field, format_args!("tools.custom.{name}"), dropped),
        }
    }
    if let Some(grammar) = grammar {
        let own = json::field(&fields, "description").and_then(json::text).unwrap_or_default();
        edit.add("description", json::quoted(&grammar.describe(&own)));
    }
    edit.add("parameters", custom_tools::INPUT_SCHEMA.to_owned());
    edit.finish()
}

/// A choice with functions in place of custom tools.
pub fn choice(choice: Cow<'_, str>) -> Cow<'_, str> {
    let changed = with_functions(found_valid(&choice)).filter(|_| may_hold(choice.as_bytes(), "\"custom\""));
    changed.map_or(choice, Cow::Owned)
}

fn with_functions(choice: &RawValue) -> Option<String> {
    if let Some(items) = elements(choice) {
        let items = items.into_iter().map(|item| with_functions(item).unwrap_or(item.get().to_owned()));
        return Some(format!("[{}]", items.collect::<Vec<_>>().join(",")));
    }
    let OpenedObject { fields, mut edit } = ObjectEdit::open(choice)?;
    for field in &fields {
        match (field.name.as_ref(), field.value.get()) {
            ("type", r#""custom""#) => edit.put_as("type", r#""function""#),
            (KIND, tool) => edit.put_as("function", tool),
            ("allowed_tools" | "tools", tools) => {
                edit.put(field, with_functions(field.value).map_or(Cow::Borrowed(tools), Cow::Owned));
            }
            _ => edit.keep(field),
        }
    }
    Some(edit.finish().into_owned())
}

/// The input of a custom tool's call as the arguments of a function's, as JSON.
pub fn arguments(input: &RawValue) -> String {
    let text = json::text(input).unwrap_or(Cow::Borrowed(input.get()));
    json::quoted(&custom_tools::write_input(&text))
}

/// What the input of a custom tool must look like.
struct Grammar<'x> {
    syntax: Cow<'x, str>,
    definition: Cow<'x, str>,
}

impl<'x> Grammar<'x> {
    /// Nothing if the format of a custom tool has none.
    fn of(format: &'x RawValue) -> Option<Self> {
        let [grammar] = members_named(format, &["grammar"])?;
        let [syntax, definition] = members_named(grammar?, &["syntax", "definition"])?;
        Some(Self { syntax: json::text(syntax?)?, definition: json::text(definition?)? })
    }

    fn describe(&self, description: &str) -> String {
        custom_tools::describe_with_grammar(description, &self.syntax, &self.definition)
    }
}

fn is_any_text(format: &RawValue) -> bool {
    let kind = members_named(format, &["type"]).and_then(|[kind]| kind);
    kind.is_some_and(|kind| kind.get() == r#""text""#)
}
