//! Tools, and the demand for a call, as a provider and its model take them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::below::{Pruner, leaf};
use super::request::pruned;
use super::{custom_form, older_form};
use crate::error::{Error, Kind};
use crate::policy::Quirk;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::edit::{ListItem, ObjectEdit, OpenedObject, list};
use crate::upstream::dialect::tool_names::{ToolNames, name_of};
use crate::upstream::dialect::{NO_PARAMETERS, Recipient, in_words};
use crate::wire::containers::{elements, found_valid, members, members_named};
use crate::wire::json::{self, Field, given, says_nothing};

/// The kinds of tools in the published API, with the fields of what each holds under its own name.
const TOOLS: [(&str, &[&str]); 2] =
    [("function", &["name", "description", "parameters", "strict"]), ("custom", &["name", "description", "format"])];

/// The choices that demand nothing, and no call, as JSON.
const AUTO: &str = r#""auto""#;
const NONE: &str = r#""none""#;
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
    let newer = Offer { field: CHOICE, list: given(asked.tools), choice: given(asked.choice) };
    let older = Offer { field: FUNCTION_CALL, list: given(asked.functions), choice: given(asked.function_call) };
    let mut editor = Editor { recipient, only: None, lost: Vec::new(), names, dropped };
    let tools = editor.offer(&newer, Editor::tool)?;
    let are_older = tools.list.is_none() && older.list.is_some() && !recipient.takes_functions();
    let functions = match are_older {
        true => editor.offer(&older, Editor::function_as_tool)?,
        false => {
            let list = older.list.filter(|_| recipient.takes_functions());
            editor.offer(&Offer { list, ..older }, Editor::function)?
        }
    };
    let hint = tools.hint.or(functions.hint);
    Ok(match are_older {
        true => Tools {
            tools: functions.list,
            choice: functions.choice.map(older_form::choice),
            hint,
            are_older,
            ..Tools::default()
        },
        false => Tools {
            tools: tools.list,
            functions: functions.list,
            choice: tools.choice,
            function_call: functions.choice,
            hint,
            are_older,
        },
    })
}

/// A list of tools, and the choice among them, in one of the two forms.
struct Offer<'x> {
    /// The field that the client chooses by.
    field: &'static str,
    list: Option<&'x RawValue>,
    choice: Option<&'x RawValue>,
}

/// What goes up of an offer.
struct Adapted<'x> {
    list: Option<Cow<'x, str>>,
    choice: Option<Cow<'x, str>>,
    /// What asks for a call in words.
    hint: Option<String>,
}

/// Names what is unknown in a choice of tools for which a word goes up.
fn name_strangers(recipient: &Recipient<'_>, choice: &RawValue, dropped: &mut Dropped) {
    for field in members(choice).unwrap_or_default() {
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
    /// The only tools that may then be called.
    only: Option<BTreeSet<Key<'x>>>,
    /// What is chosen instead, as JSON.
    word: &'static str,
    /// What asks for a call in words, if one is demanded.
    hint: Option<String>,
}

impl<'x> Narrowed<'x> {
    /// Nothing where the recipient takes the choice.
    fn of(recipient: &Recipient<'_>, offer: &Offer<'x>, names: &ToolNames) -> Result<Option<Self>, Error> {
        let (Some(list), Some(choice)) = (offer.list, offer.choice) else { return Ok(None) };
        let softened = if recipient.model.forced_tools { None } else { Self::softened(choice, names) };
        let narrowed = softened.or_else(|| {
            let allowed = AllowedTools::of(choice).filter(|_| !recipient.takes_allowed_tools())?;
            let word = if allowed.must_call { r#""required""# } else { AUTO };
            Some(Self { only: Some(allowed.keys), word, hint: None })
        });
        if let Some(only) = narrowed.as_ref().and_then(|narrowed| narrowed.only.as_ref()) {
            let mut known = elements(list).into_iter().flatten().filter_map(Key::of).peekable();
            if known.peek().is_some() && !known.any(|key| only.contains(&key)) {
                let message = format!("`{}` names none of the tools.", offer.field);
                return Err(Error::new(Kind::InvalidRequest, message).with_param(offer.field));
            }
        }
        Ok(narrowed)
    }

    /// A demand for a call in words; nothing if none is demanded.
    fn softened(choice: &'x RawValue, names: &ToolNames) -> Option<Self> {
        let (only, hint) = match json::text(choice) {
            Some(word) => (word == "required" || word == "any").then(|| (None, in_words::any_call()))?,
            None => match (AllowedTools::of(choice), Key::of(choice)) {
                (Some(allowed), _) if allowed.must_call => (Some(allowed.keys), in_words::any_call()),
                (None, Some(key)) => {
                    let hint = match &key {
                        Key::Named(name) => in_words::call_of(&names.write(Cow::Borrowed(name))),
                        Key::Hosted(_) => in_words::any_call(),
                    };
                    (Some(BTreeSet::from([key])), hint)
                }
                (Some(_) | None, _) => return None,
            },
        };
        Some(Self { only, word: AUTO, hint: Some(hint) })
    }
}

/// What tells a tool from the others of its list, there and in a choice.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'x> {
    /// The name of a function or a custom tool.
    Named(Cow<'x, str>),
    /// The kind of a tool that the provider runs.
    Hosted(Cow<'x, str>),
}

impl<'x> Key<'x> {
    /// Nothing of what is neither.
    fn of(json: &'x RawValue) -> Option<Self> {
        let [kind] = members_named(json, &["type"])?;
        match kind.and_then(json::text) {
            Some(kind) if kind == "allowed_tools" => None,
            Some(kind) if TOOLS.into_iter().all(|(known, _)| known != kind) => Some(Self::Hosted(kind)),
            Some(_) | None => name_of(json).map(Self::Named),
        }
    }
}

/// Some of the tools, as a client chooses them.
struct AllowedTools<'x> {
    must_call: bool,
    keys: BTreeSet<Key<'x>>,
}

impl<'x> AllowedTools<'x> {
    /// Nothing if the choice is another one.
    fn of(choice: &'x RawValue) -> Option<Self> {
        let [allowed] = members_named(choice, &["allowed_tools"])?;
        let [mode, tools] = members_named(allowed?, &["mode", "tools"])?;
        let tools = elements(tools?)?;
        let must_call = mode?.get() == r#""required""#;
        Some(Self { must_call, keys: tools.into_iter().filter_map(Key::of).collect() })
    }
}

/// A name as the API takes it, as JSON.
pub fn renamed_name<'x>(raw: &'x RawValue, names: &ToolNames) -> Cow<'x, str> {
    let Some(name) = json::text(raw) else { return Cow::Borrowed(raw.get()) };
    let known = names.write(Cow::Borrowed(&name));
    if known == name { Cow::Borrowed(raw.get()) } else { Cow::Owned(json::quoted(&known)) }
}

/// Adapts one offer after the other.
struct Editor<'a, 'x, 'd> {
    recipient: &'a Recipient<'a>,
    /// The tools of the present offer that may go up.
    only: Option<BTreeSet<Key<'x>>>,
    /// The kinds of tools that other providers run, which did not go up.
    lost: Vec<Cow<'x, str>>,
    names: &'a ToolNames,
    dropped: &'d mut Dropped,
}

impl<'x> Editor<'_, 'x, '_> {
    /// An offer whose tools go through `edit`; without a list if no tool is left.
    fn offer(
        &mut self,
        offer: &Offer<'x>,
        edit: impl Fn(&mut Self, &ListItem<'x>) -> Option<Cow<'x, str>>,
    ) -> Result<Adapted<'x>, Error> {
        let mut narrowed = Narrowed::of(self.recipient, offer, self.names)?;
        self.only = narrowed.as_mut().and_then(|narrowed| narrowed.only.take());
        let items = offer.list.map(|items| list(items, |item| Ok(edit(self, &item))));
        let items = items.and_then(Result::unwrap_or_default);
        let choice = offer.choice.and_then(|choice| {
            if items.is_some() {
                return Some(self.choice(offer.field, choice, narrowed.as_ref()));
            }
            // A choice that demands nothing says nothing without tools.
            if ![AUTO, NONE].contains(&choice.get()) {
                self.dropped.note(offer.field);
            }
            None
        });
        let hint = narrowed.and_then(|narrowed| narrowed.hint).filter(|_| items.is_some());
        Ok(Adapted { list: items, choice, hint })
    }

    fn choice(&mut self, field: &str, choice: &'x RawValue, narrowed: Option<&Narrowed<'x>>) -> Cow<'x, str> {
        let (keys, place) = match AllowedTools::of(choice) {
            Some(allowed) => (allowed.keys, "tool_choice.allowed_tools.tools"),
            None => (Key::of(choice).into_iter().collect(), field),
        };
        let lost = keys.iter().filter(|key| self.is_lost(key)).count();
        if lost > 0 {
            self.dropped.note(place);
        }
        if let Some(narrowed) = narrowed {
            match &narrowed.hint {
                Some(_) => self.dropped.note(field),
                None => name_strangers(self.recipient, choice, self.dropped),
            }
            return Cow::Borrowed(narrowed.word);
        }
        if lost > 0 && lost == keys.len() {
            // No other tool was to be called.
            name_strangers(self.recipient, choice, self.dropped);
            return Cow::Borrowed(NONE);
        }
        let known = pruned(self.recipient, field, choice, self.dropped);
        let known = self.with_names(known, choice);
        if self.recipient.takes_custom_tools() { known } else { custom_form::choice(known) }
    }

    fn is_lost(&self, key: &Key<'_>) -> bool {
        matches!(key, Key::Hosted(kind) if self.lost.contains(kind))
    }

    /// A choice of tools, or a function of the older form, with the names of tools as the API takes them; of a list, each item
    /// that did not get lost.
    fn renamed<'y>(&self, raw: &'y RawValue) -> Cow<'y, str> {
        if raw.get().starts_with('[') {
            let stays = |item: &RawValue| Key::of(item).is_none_or(|key| !self.is_lost(&key));
            let items = list(raw, |item| Ok(stays(item.raw).then(|| self.renamed(item.raw))));
            return items.ok().flatten().unwrap_or(Cow::Borrowed(raw.get()));
        }
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(raw) else {
            return Cow::Borrowed(raw.get());
        };
        for field in &fields {
            let value = match field.name.as_ref() {
                "name" => renamed_name(field.value, self.names),
                "function" | "custom" | "allowed_tools" | "tools" => self.renamed(field.value),
                _ => Cow::Borrowed(field.value.get()),
            };
            edit.put(field, value);
        }
        edit.finish()
    }

    /// What is left of a choice, or of a function of the older form, with the names of tools as the API takes them.
    fn with_names(&self, left: Cow<'x, str>, came: &'x RawValue) -> Cow<'x, str> {
        let Cow::Owned(json) = left else { return self.renamed(came) };
        match RawValue::from_string(json) {
            Ok(json) => Cow::Owned(self.renamed(&json).into_owned()),
            Err(_) => self.renamed(came),
        }
    }

    fn function(&mut self, item: &ListItem<'x>) -> Option<Cow<'x, str>> {
        if !self.may_go_up(item) {
            return None;
        }
        let known = pruned(self.recipient, "functions", item.raw, self.dropped);
        Some(self.with_names(known, item.raw))
    }

    /// A function of the older form as a tool.
    fn function_as_tool(&mut self, item: &ListItem<'x>) -> Option<Cow<'x, str>> {
        let function = self.function(item)?;
        let function = self.with_parameters(&function).unwrap_or(function.into_owned());
        Some(Cow::Owned(older_form::tool(&function)))
    }

    /// A function with parameters, where it has none and the provider demands them.
    fn with_parameters(&self, function: &str) -> Option<String> {
        let OpenedObject { fields, mut edit } =
            ObjectEdit::open(found_valid(function)).filter(|_| self.recipient.has(Quirk::ToolParameters))?;
        if given(json::field(&fields, "parameters")).is_some() {
            return None;
        }
        fields.iter().for_each(|field| edit.keep(field));
        edit.add("parameters", NO_PARAMETERS.to_owned());
        Some(edit.finish().into_owned())
    }

    fn may_go_up(&self, item: &ListItem<'x>) -> bool {
        self.only.as_ref().is_none_or(|only| Key::of(item.raw).is_some_and(|key| only.contains(&key)))
    }

    fn tool(&mut self, item: &ListItem<'x>) -> Option<Cow<'x, str>> {
        let raw = item.raw.get();
        let more = &self.recipient.provider.tool_fields;
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(item.raw) else {
            return Some(Cow::Borrowed(raw));
        };
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
            self.lost.push(kind);
            return None;
        };
        let becomes_function = kind == custom_form::KIND && !self.recipient.takes_custom_tools();
        for field in &fields {
            match field.name.as_ref() {
                _ if json::is_null(field.value) => edit.leave(),
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
    fn described(&mut self, holder: &Field<'x>, known: &[&str]) -> Cow<'x, str> {
        let raw = holder.value;
        let Some(OpenedObject { fields, mut edit }) = ObjectEdit::open(raw) else {
            return Cow::Borrowed(raw.get());
        };
        for field in &fields {
            let name = field.name.as_ref();
            let is_published = known.contains(&name);
            // The row calls the API's own fields so, whichever kind of tool has them.
            let path = if is_published { format!("tools.{name}") } else { format!("tools.{}.{name}", holder.name) };
            let is_known = is_published && !self.recipient.lacks(&path);
            let more = &self.recipient.provider.tool_fields;
            if json::is_null(field.value) {
                edit.leave();
            } else if name == "name" {
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
