//! Tools, and the demand for a call, as a provider and its model take them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::below::{Pruner, leaf};
use super::edit::{Edit, Item, Opened, list};
use super::request::pruned;
use super::{custom_form, older_form};
use crate::error::{Error, Kind};
use crate::policy::Quirk;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::tool_names::{ToolNames, name_of};
use crate::upstream::dialect::{NO_PARAMETERS, Recipient, in_words};
use crate::wire::json::{self, Field, fields_named, given, says_nothing};

/// The kinds of tools in the published API, with the fields of what each holds under its own name.
const TOOLS: [(&str, &[&str]); 2] =
    [("function", &["name", "description", "parameters", "strict"]), ("custom", &["name", "description", "format"])];

/// A choice that demands nothing, as JSON.
const AUTO: &str = r#""auto""#;
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
    /// Whether `tools` and `choice` stand for functions, and a choice, of the older form.
    pub are_older: bool,
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
/// A 400 with `param` for a demand that becomes a sentence, or less tools, and names none of them.
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
    let narrowed = Narrowed::of(recipient, &asked, names)?;
    let only = narrowed.as_ref().and_then(|narrowed| narrowed.only.as_ref());
    let mut editor = Editor { recipient, only, names, dropped };
    let tools = asked.tools.and_then(|tools| editor.tools(tools));
    let are_older = tools.is_none() && asked.functions.is_some() && !recipient.takes_functions();
    let functions = asked.functions.filter(|_| are_older || recipient.takes_functions());
    let functions =
        functions.and_then(
            |functions| if are_older { editor.functions_as_tools(functions) } else { editor.functions(functions) },
        );
    let mut choose = |name, choice: Option<&'x RawValue>, is_possible: bool| -> Option<Cow<'x, str>> {
        let choice = choice?;
        if !is_possible {
            // A choice that demands nothing says nothing without tools.
            if !matches!(choice.get(), r#""auto""# | r#""none""#) {
                dropped.note(name);
            }
            return None;
        }
        if let Some(narrowed) = narrowed.as_ref().filter(|narrowed| narrowed.field == name) {
            match &narrowed.hint {
                Some(_) => dropped.note(name),
                None => name_strangers(recipient, choice, dropped),
            }
            return Some(Cow::Borrowed(narrowed.word));
        }
        let known = pruned(recipient, name, choice, dropped);
        let known = with_names(known, choice, names);
        Some(if recipient.takes_custom_tools() { known } else { custom_form::choice(known) })
    };
    let choice = choose(CHOICE, asked.choice, tools.is_some());
    let function_call = choose(FUNCTION_CALL, asked.function_call, functions.is_some());
    let mut adapted = match are_older {
        true => {
            Tools { tools: functions, choice: function_call.map(older_form::choice), are_older, ..Tools::default() }
        }
        false => Tools { tools, functions, choice, function_call, ..Tools::default() },
    };
    adapted.hint = narrowed.and_then(|narrowed| narrowed.hint).filter(|_| adapted.has_any());
    Ok(adapted)
}

/// Names what is unknown in a choice of some of the tools, of which a word goes up.
fn name_strangers(recipient: &Recipient<'_>, choice: &RawValue, dropped: &mut Dropped) {
    for field in json::object_fields(choice.get()).unwrap_or_default() {
        match field.name.as_ref() {
            "type" => {}
            "allowed_tools" => drop(pruned(recipient, "tool_choice.allowed_tools", field.value, dropped)),
            _ if says_nothing(field.value) => {}
            name => dropped.note(&format!("{CHOICE}.{name}")),
        }
    }
}

/// A choice that becomes a weaker one beside less tools, since the model takes no demand for a call, or the provider no choice
/// of some of the tools.
struct Narrowed<'x> {
    /// The field that the client chose by.
    field: &'static str,
    /// The only tools that may then be called.
    only: Option<BTreeSet<Cow<'x, str>>>,
    /// What is chosen instead, as JSON.
    word: &'static str,
    /// What asks for a call in words, if one is demanded.
    hint: Option<String>,
}

impl<'x> Narrowed<'x> {
    /// Nothing where the recipient takes the choice.
    fn of(recipient: &Recipient<'_>, asked: &Asked<'x>, names: &ToolNames) -> Result<Option<Self>, Error> {
        let fields = [(CHOICE, asked.choice), (FUNCTION_CALL, asked.function_call)];
        let given = fields.into_iter().find_map(|(field, choice)| Some((field, choice?)));
        let Some((field, choice)) = given else { return Ok(None) };
        let softened = if recipient.model.forced_tools { None } else { Self::softened(field, choice, names) };
        let narrowed = softened.or_else(|| {
            let allowed = AllowedTools::of(choice).filter(|_| !recipient.takes_allowed_tools())?;
            let word = if allowed.must_call { r#""required""# } else { AUTO };
            Some(Self { field, only: Some(allowed.names), word, hint: None })
        });
        let fields = [asked.tools, asked.functions].into_iter().flatten();
        let tools = fields.filter_map(|field| serde_json::from_str(field.get()).ok());
        let mut known = tools.flat_map(|tools: Vec<&RawValue>| tools).filter_map(name_of).peekable();
        if let Some(only) = narrowed.as_ref().and_then(|narrowed| narrowed.only.as_ref())
            && known.peek().is_some()
            && !known.any(|name| only.contains(&name))
        {
            let message = format!("`{field}` names none of the tools.");
            return Err(Error::new(Kind::InvalidRequest, message).with_param(field));
        }
        Ok(narrowed)
    }

    /// A demand for a call in words; nothing if none is demanded.
    fn softened(field: &'static str, choice: &'x RawValue, names: &ToolNames) -> Option<Self> {
        let (only, hint) = match json::text(choice) {
            Some(word) => (word == "required" || word == "any").then(|| (None, in_words::any_call()))?,
            None => match name_of(choice) {
                Some(name) => {
                    let hint = in_words::call_of(&names.write(Cow::Borrowed(&name)));
                    (Some(BTreeSet::from([name])), hint)
                }
                None => {
                    let allowed = AllowedTools::of(choice).filter(|allowed| allowed.must_call)?;
                    (Some(allowed.names), in_words::any_call())
                }
            },
        };
        Some(Self { field, only, word: AUTO, hint: Some(hint) })
    }
}

/// Some of the tools, as a client chooses them.
struct AllowedTools<'x> {
    must_call: bool,
    names: BTreeSet<Cow<'x, str>>,
}

impl<'x> AllowedTools<'x> {
    /// Nothing if the choice is another one.
    fn of(choice: &'x RawValue) -> Option<Self> {
        let [allowed] = fields_named(choice.get(), &["allowed_tools"]).ok()?;
        let [mode, tools] = fields_named(allowed?.get(), &["mode", "tools"]).ok()?;
        let tools: Vec<&RawValue> = serde_json::from_str(tools?.get()).ok()?;
        let must_call = mode?.get() == r#""required""#;
        Some(Self { must_call, names: tools.into_iter().filter_map(name_of).collect() })
    }
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
        list(functions, |item| Ok(self.function(&item))).unwrap_or_default()
    }

    /// The same as tools.
    fn functions_as_tools<'x>(&mut self, functions: &'x RawValue) -> Option<Cow<'x, str>> {
        let mut tool = |item: &Item<'x>| {
            let function = self.function(item)?;
            let function = self.with_parameters(&function).unwrap_or(function.into_owned());
            Some(Cow::Owned(older_form::tool(&function)))
        };
        list(functions, |item| Ok(tool(&item))).unwrap_or_default()
    }

    fn function<'x>(&mut self, item: &Item<'x>) -> Option<Cow<'x, str>> {
        let known = self.may_go_up(item).then(|| pruned(self.recipient, "functions", item.raw, self.dropped));
        known.map(|known| with_names(known, item.raw, self.names))
    }

    /// A function with parameters, where it has none and the provider demands them.
    fn with_parameters(&self, function: &str) -> Option<String> {
        let Opened { fields, mut edit } = Edit::open(function).filter(|_| self.recipient.has(Quirk::ToolParameters))?;
        if given(json::field(&fields, "parameters")).is_some() {
            return None;
        }
        fields.iter().for_each(|field| edit.keep(field));
        edit.add("parameters", NO_PARAMETERS.to_owned());
        Some(edit.finish().into_owned())
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
        let becomes_function = kind == custom_form::KIND && !self.recipient.takes_custom_tools();
        for field in &fields {
            match field.name.as_ref() {
                "type" if becomes_function => edit.put(field, Cow::Owned(r#""function""#.to_owned())),
                "type" => edit.keep(field),
                name if name == kind && becomes_function => {
                    edit.put_as("function", custom_form::function(self.recipient, field, self.names, self.dropped));
                }
                name if name == kind => {
                    let described = self.described(field, inside);
                    let parameters = if kind == custom_form::KIND { None } else { self.with_parameters(&described) };
                    edit.put(field, parameters.map_or(described, Cow::Owned));
                }
                name if more.allow(name) => edit.keep(field),
                name => edit.lose(field, format_args!("tools.{name}"), self.dropped),
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
                edit.lose(field, format_args!("{path}"), self.dropped);
            }
        }
        edit.finish()
    }
}
