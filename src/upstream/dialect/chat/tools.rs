//! Tools, and the demand for a call, as a provider and its model take them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::below::{Pruner, leaf};
use super::edit::{Edit, Item, Opened, list};
use super::request::pruned;
use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::tool_names::{ToolNames, name_of};
use crate::wire::json::{self, Field, fields_named, given, says_nothing};

/// The kinds of tools in the published API, with the fields of what each holds under its own name.
const TOOLS: [(&str, &[&str]); 2] =
    [("function", &["name", "description", "parameters", "strict"]), ("custom", &["name", "description", "format"])];

/// What a client sends about tools.
#[derive(Clone, Copy)]
pub struct Asked<'x> {
    pub tools: Option<&'x RawValue>,
    pub choice: Option<&'x RawValue>,
    /// The older form of a choice.
    pub function_call: Option<&'x RawValue>,
}

/// What goes up.
#[derive(Default)]
pub struct Tools<'x> {
    pub tools: Option<Cow<'x, str>>,
    pub choice: Option<Cow<'x, str>>,
    pub function_call: Option<Cow<'x, str>>,
    /// What asks for a call in words, where the model takes no demand for one.
    pub hint: Option<String>,
}

/// The tools and the choice for a recipient, with the tools' names as its API takes them.
pub fn adapt<'x>(recipient: &Recipient<'_>, asked: Asked<'x>, names: &ToolNames, dropped: &mut Dropped) -> Tools<'x> {
    let (choice, function_call) = (given(asked.choice), given(asked.function_call));
    let softened = Softened::of(recipient, choice.or(function_call), names, dropped);
    let only = softened.as_ref().and_then(|softened| softened.only.as_ref());
    let mut editor = Editor { recipient, only, names, dropped };
    let tools = given(asked.tools).and_then(|tools| editor.tools(tools));
    let Some(softened) = softened else {
        // A choice that demands nothing says nothing without tools, and is refused.
        let choice = choice.filter(|choice| tools.is_some() || !matches!(choice.get(), r#""auto""# | r#""none""#));
        return Tools {
            tools,
            choice: choice.map(|choice| {
                let known = pruned(recipient, "tool_choice", choice, dropped);
                with_names(known, choice, names)
            }),
            function_call: function_call.map(|call| {
                let known = pruned(recipient, "function_call", call, dropped);
                with_names(known, call, names)
            }),
            hint: None,
        };
    };
    let auto = |_| Cow::Borrowed(r#""auto""#);
    Tools { choice: choice.map(auto), function_call: function_call.map(auto), tools, hint: Some(softened.hint) }
}

/// A demand for a call that becomes a sentence, since the model takes none.
struct Softened<'x> {
    /// The only tools that it may then have.
    only: Option<BTreeSet<Cow<'x, str>>>,
    hint: String,
}

impl<'x> Softened<'x> {
    /// Nothing where the model takes the choice, or it demands nothing.
    fn of(
        recipient: &Recipient<'_>,
        choice: Option<&'x RawValue>,
        names: &ToolNames,
        dropped: &mut Dropped,
    ) -> Option<Self> {
        let choice = choice.filter(|_| !recipient.model.forced_tools)?;
        let any = || "You must answer with a call of one of your tools, whatever the request is.".to_owned();
        let softened = match json::text(choice) {
            Some(word) => (word == "required" || word == "any").then(|| Self { only: None, hint: any() }),
            None => match name_of(choice) {
                Some(name) => {
                    let known = names.write(Cow::Borrowed(&name));
                    let hint = format!("You must answer with a call of your tool `{known}`, whatever the request is.");
                    Some(Self { only: Some(BTreeSet::from([name])), hint })
                }
                None => required_of(choice).map(|names| Self { only: Some(names), hint: any() }),
            },
        };
        if softened.is_some() {
            dropped.note("tool_choice");
        }
        softened
    }
}

/// The names of the tools one of which a choice demands.
fn required_of(choice: &RawValue) -> Option<BTreeSet<Cow<'_, str>>> {
    let [allowed] = fields_named(choice.get(), &["allowed_tools"]).ok()?;
    let [mode, tools] = fields_named(allowed?.get(), &["mode", "tools"]).ok()?;
    if mode?.get() != r#""required""# {
        return None;
    }
    let tools: Vec<&RawValue> = serde_json::from_str(tools?.get()).ok()?;
    Some(tools.into_iter().filter_map(name_of).collect())
}

/// A choice of tools, a function of the older form, or a call, with the names of tools as the API takes them; of a list, each item.
pub fn renamed<'x>(raw: &'x RawValue, names: &ToolNames) -> Cow<'x, str> {
    if raw.get().starts_with('[') {
        let items = list(raw, |item| Ok(Some(renamed(item.raw, names))));
        return items.ok().flatten().unwrap_or(Cow::Borrowed(raw.get()));
    }
    let Some(Opened { fields, mut edit }) = Edit::open(raw.get()) else { return Cow::Borrowed(raw.get()) };
    for field in &fields {
        let value = match field.name.as_ref() {
            "name" => renamed_name(field.value, names),
            "function" | "custom" | "allowed_tools" | "tools" => renamed(field.value, names),
            _ => Cow::Borrowed(field.value.get()),
        };
        edit.put(field, value);
    }
    edit.finish()
}

/// What is left of a choice, or of functions of the older form, with the names of tools as the API takes them.
pub fn with_names<'x>(left: Cow<'x, str>, came: &'x RawValue, names: &ToolNames) -> Cow<'x, str> {
    let Cow::Owned(json) = left else { return renamed(came, names) };
    match RawValue::from_string(json) {
        Ok(json) => Cow::Owned(renamed(&json, names).into_owned()),
        Err(_) => renamed(came, names),
    }
}

/// A name as the API takes it, as JSON.
pub fn renamed_name<'x>(raw: &'x RawValue, names: &ToolNames) -> Cow<'x, str> {
    let Some(name) = json::text(raw) else { return Cow::Borrowed(raw.get()) };
    let known = names.write(Cow::Borrowed(&name));
    if known == name { Cow::Borrowed(raw.get()) } else { Cow::Owned(json::quoted(&known)) }
}

struct Editor<'a, 'd> {
    recipient: &'a Recipient<'a>,
    /// The names of the tools that may go up.
    only: Option<&'a BTreeSet<Cow<'a, str>>>,
    names: &'a ToolNames,
    dropped: &'d mut Dropped,
}

impl Editor<'_, '_> {
    /// Nothing if there is no tool.
    fn tools<'x>(&mut self, tools: &'x RawValue) -> Option<Cow<'x, str>> {
        list(tools, |item| Ok(self.tool(&item))).unwrap_or_default()
    }

    fn tool<'x>(&mut self, item: &Item<'x>) -> Option<Cow<'x, str>> {
        let raw = item.raw.get();
        let more = &self.recipient.provider.tool_fields;
        let Some(Opened { fields, mut edit }) = Edit::open(raw) else { return Some(Cow::Borrowed(raw)) };
        let kind = json::field(&fields, "type").and_then(json::text);
        let kind = kind.unwrap_or("function".into());
        if self.only.is_some_and(|only| name_of(item.raw).is_none_or(|name| !only.contains(&name))) {
            return None;
        }
        let Some((kind, inside)) = TOOLS.into_iter().find(|(known, _)| *known == kind) else {
            if more.allow(&kind) {
                return Some(Cow::Borrowed(raw));
            }
            self.dropped.note("tools");
            return None;
        };
        for field in &fields {
            match field.name.as_ref() {
                "type" => edit.keep(field),
                name if name == kind => edit.put(field, self.described(field, inside)),
                name if more.allow(name) => edit.keep(field),
                name => {
                    if !says_nothing(field.value) {
                        self.dropped.note(&format!("tools.{name}"));
                    }
                    edit.leave();
                }
            }
        }
        Some(edit.finish())
    }

    /// What describes a tool, with fields that the recipient knows.
    fn described<'x>(&mut self, holder: &Field<'x>, known: &[&str]) -> Cow<'x, str> {
        let raw = holder.value.get();
        let Some(Opened { fields, mut edit }) = Edit::open(raw) else { return Cow::Borrowed(raw) };
        for field in &fields {
            let name = field.name.as_ref();
            let is_published = known.contains(&name);
            // The row calls the API's own fields so, whichever kind of tool has them.
            let path = if is_published { format!("tools.{name}") } else { format!("tools.{}.{name}", holder.name) };
            let is_known = is_published && !self.recipient.lacks(&path);
            let more = &self.recipient.provider.tool_fields;
            if name == "name" {
                edit.put(field, renamed_name(field.value, self.names));
            } else if is_known && name == "format" {
                let is_added = |path: &str| more.allow(leaf(path));
                let mut pruner = Pruner { recipient: self.recipient, is_added: &is_added, dropped: self.dropped };
                edit.put(field, pruner.prune("tools.custom.format", field.value));
            } else if is_known || more.allow(name) {
                edit.keep(field);
            } else {
                if !says_nothing(field.value) {
                    self.dropped.note(&path);
                }
                edit.leave();
            }
        }
        edit.finish()
    }
}
