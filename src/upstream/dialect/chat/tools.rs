//! Tools, and the demand for a call, as a provider and its model take them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::below::{Pruner, leaf};
use super::edit::{Edit, Item, Opened, list};
use super::request::pruned;
use crate::error::{Error, Kind};
use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::tool_names::{ToolNames, name_of};
use crate::wire::json::{self, Field, fields_named, given, says_nothing};

/// The kinds of tools in the published API, with the fields of what each holds under its own name.
const TOOLS: [(&str, &[&str]); 2] =
    [("function", &["name", "description", "parameters", "strict"]), ("custom", &["name", "description", "format"])];

/// The fields that choose among tools, and among functions of the older form.
const CHOICE: &str = "tool_choice";
const FUNCTION_CALL: &str = "function_call";

/// What a client sends about tools.
#[derive(Clone, Copy)]
pub struct Asked<'x> {
    pub tools: Option<&'x RawValue>,
    /// The older form of tools, and of a choice.
    pub functions: Option<&'x RawValue>,
    pub choice: Option<&'x RawValue>,
    pub function_call: Option<&'x RawValue>,
}

/// What goes up: no choice without what there is to choose from.
#[derive(Default)]
pub struct Tools<'x> {
    pub tools: Option<Cow<'x, str>>,
    pub functions: Option<Cow<'x, str>>,
    pub choice: Option<Cow<'x, str>>,
    pub function_call: Option<Cow<'x, str>>,
    /// What asks for a call in words, where the model takes no demand for one.
    pub hint: Option<String>,
}

impl Tools<'_> {
    /// Whether any tool goes up, in whatever form.
    pub fn has_any(&self) -> bool {
        self.tools.is_some() || self.functions.is_some()
    }
}

/// The tools and the choice for a recipient, with the tools' names as its API takes them.
///
/// # Errors
/// A 400 with `param` for a demand that becomes a sentence and names none of the tools.
pub fn adapt<'x>(
    recipient: &Recipient<'_>,
    asked: Asked<'x>,
    names: &ToolNames,
    dropped: &mut Dropped,
) -> Result<Tools<'x>, Error> {
    let asked = Asked {
        tools: given(asked.tools),
        functions: given(asked.functions),
        choice: given(asked.choice),
        function_call: given(asked.function_call),
    };
    let softened = Softened::of(recipient, &asked, names)?;
    let only = softened.as_ref().and_then(|softened| softened.only.as_ref());
    let mut editor = Editor { recipient, only, names, dropped };
    let tools = asked.tools.and_then(|tools| editor.tools(tools));
    let functions = asked.functions.filter(|_| recipient.takes("functions"));
    let functions = functions.and_then(|functions| editor.functions(functions));
    let mut choose = |name, choice: Option<&'x RawValue>, is_possible: bool| -> Option<Cow<'x, str>> {
        let choice = choice?;
        if !is_possible {
            // A choice that demands nothing says nothing without tools.
            if !matches!(choice.get(), r#""auto""# | r#""none""#) {
                dropped.note(name);
            }
            return None;
        }
        if softened.as_ref().is_some_and(|softened| softened.field == name) {
            dropped.note(name);
            return Some(Cow::Borrowed(r#""auto""#));
        }
        let known = pruned(recipient, name, choice, dropped);
        Some(with_names(known, choice, names))
    };
    let choice = choose(CHOICE, asked.choice, tools.is_some());
    let function_call = choose(FUNCTION_CALL, asked.function_call, functions.is_some());
    let mut adapted = Tools { tools, functions, choice, function_call, hint: None };
    adapted.hint = softened.map(|softened| softened.hint).filter(|_| adapted.has_any());
    Ok(adapted)
}

/// A demand for a call that becomes a sentence, since the model takes none.
struct Softened<'x> {
    /// The field that demands it.
    field: &'static str,
    /// The only tools that it may then have.
    only: Option<BTreeSet<Cow<'x, str>>>,
    hint: String,
}

impl<'x> Softened<'x> {
    /// Nothing where the model takes the choice, or it demands nothing.
    fn of(recipient: &Recipient<'_>, asked: &Asked<'x>, names: &ToolNames) -> Result<Option<Self>, Error> {
        let fields = [(CHOICE, asked.choice), (FUNCTION_CALL, asked.function_call)];
        let given = fields.into_iter().find_map(|(field, choice)| Some((field, choice?)));
        let Some((field, choice)) = given.filter(|_| !recipient.model.forced_tools) else { return Ok(None) };
        let any = || "You must answer with a call of one of your tools, whatever the request is.".to_owned();
        let softened = match json::text(choice) {
            Some(word) => (word == "required" || word == "any").then(|| Self { field, only: None, hint: any() }),
            None => match name_of(choice) {
                Some(name) => {
                    let known = names.write(Cow::Borrowed(&name));
                    let hint = format!("You must answer with a call of your tool `{known}`, whatever the request is.");
                    Some(Self { field, only: Some(BTreeSet::from([name])), hint })
                }
                None => required_of(choice).map(|names| Self { field, only: Some(names), hint: any() }),
            },
        };
        let fields = [asked.tools, asked.functions].into_iter().flatten();
        let tools = fields.filter_map(|field| serde_json::from_str(field.get()).ok());
        let mut known = tools.flat_map(|tools: Vec<&RawValue>| tools).filter_map(name_of).peekable();
        if let Some(only) = softened.as_ref().and_then(|softened| softened.only.as_ref())
            && known.peek().is_some()
            && !known.any(|name| only.contains(&name))
        {
            let message = format!("`{field}` names none of the tools.");
            return Err(Error::new(Kind::InvalidRequest, message).with_param(field));
        }
        Ok(softened)
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
fn with_names<'x>(left: Cow<'x, str>, came: &'x RawValue, names: &ToolNames) -> Cow<'x, str> {
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

    /// The same of functions of the older form.
    fn functions<'x>(&mut self, functions: &'x RawValue) -> Option<Cow<'x, str>> {
        let mut function = |item: &Item<'x>| {
            let known = self.may_go_up(item).then(|| pruned(self.recipient, "functions", item.raw, self.dropped));
            known.map(|known| with_names(known, item.raw, self.names))
        };
        list(functions, |item| Ok(function(&item))).unwrap_or_default()
    }

    fn may_go_up(&self, item: &Item<'_>) -> bool {
        self.only.is_none_or(|only| name_of(item.raw).is_some_and(|name| only.contains(&name)))
    }

    fn tool<'x>(&mut self, item: &Item<'x>) -> Option<Cow<'x, str>> {
        let raw = item.raw.get();
        let more = &self.recipient.provider.tool_fields;
        let Some(Opened { fields, mut edit }) = Edit::open(raw) else { return Some(Cow::Borrowed(raw)) };
        let kind = json::field(&fields, "type").and_then(json::text);
        let kind = kind.unwrap_or("function".into());
        if !self.may_go_up(item) {
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
