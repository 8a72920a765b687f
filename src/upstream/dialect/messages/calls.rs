//! How the calls of an answer are to be read: which tools are custom ones, that the API knows as functions, and for which
//! names of properties others stand.
//!
//! It follows from the request alone, for a request and for its answer alike.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::property_names::{self, PropertyNames};
use super::renamer::{Direction, Renamer, RenamerState};
use super::schema_form;
use crate::upstream::dialect::custom_tools::{CustomNames, TextReader};
use crate::wire::ask::content::{Content, ToolKind};
use crate::wire::ask::items::{ItemKind, qualified};
use crate::wire::ask::{Api, Ask};
use crate::wire::call::CallKind;
use crate::wire::carried::carried;
use crate::wire::json::{JsonString, may_hold};

/// How the calls of an answer are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The names of properties, if any go up in another form.
    pub names: Option<Rc<PropertyNames>>,
    /// Whether the schema of a tool goes up in another form, or in none.
    pub rewrites_schemas: bool,
    /// The names of custom tools, if there are any.
    custom: CustomNames,
}

carried!(Reading { names, rewrites_schemas, custom });

impl Reading {
    /// How calls are read in the answer to `request`.
    pub fn of(request: &Ask<'_>) -> Self {
        let may_matter = match request.api {
            // Most requests have no such tools, and their content is not read again.
            Api::Chat => ["tools", "functions"].into_iter().filter_map(|name| request.field(name)).any(matters),
            Api::Messages | Api::Gateway => request.features.has_tools,
        };
        if !may_matter {
            return Self::default();
        }
        request.content().map(|content| Self::of_content(&content)).unwrap_or_default()
    }

    pub fn of_content(content: &Content<'_>) -> Self {
        let (mut odd, mut rewrites_schemas) = (Vec::new(), false);
        for tool in content.all_tools() {
            let ToolKind::Function { parameters: Some(parameters), .. } = &tool.kind else { continue };
            let look = schema_form::look(parameters.value.get());
            odd.extend(look.odd_names);
            rewrites_schemas |= look.is_rewritten;
        }
        let names = match odd.is_empty() {
            true => None,
            false => PropertyNames::of(&odd, &taken(content)).map(Rc::new),
        };
        rewrites_schemas |= names.is_some();
        let custom = content.all_tools().filter(|tool| matches!(tool.kind, ToolKind::Custom { .. }));
        let custom: BTreeSet<String> =
            custom.map(|tool| qualified(tool.namespace.as_deref(), &tool.name.value).into_owned()).collect();
        Self { names, rewrites_schemas, custom: CustomNames::new(custom) }
    }

    /// Which kind of call one of the function `name` is.
    pub fn kind(&self, name: &JsonString<'_>) -> CallKind {
        match !self.custom.is_empty() && name.decode().is_some_and(|name| self.custom.contains(&name)) {
            true => CallKind::Custom,
            false => CallKind::Function,
        }
    }

    /// What reads the input of a call, if it is not to be told as it comes.
    pub fn reader(&self, kind: CallKind) -> Option<InputReader> {
        match kind {
            CallKind::Custom => Some(InputReader::Custom(TextReader::default())),
            CallKind::Function | CallKind::Legacy => {
                self.names.clone().map(|names| InputReader::Names(Renamer::new(names, Direction::Down)))
            }
        }
    }
}

fn matters(tools: &RawValue) -> bool {
    may_hold(tools.get().as_bytes(), "\"custom\"") || property_names::may_be_odd(tools.get())
}

/// What may stand for no name of a property: whatever the tools say, and the names in the inputs of earlier calls.
fn taken<'c>(content: &'c Content<'_>) -> BTreeSet<Cow<'c, str>> {
    let inputs = content.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Call(call) if call.kind != CallKind::Custom => Some(call.payload.value.as_ref()),
        _ => None,
    });
    let of_tools = content.all_tools().flat_map(|tool| property_names::texts(tool.raw.get()));
    of_tools.chain(inputs.flat_map(property_names::member_names)).map(property_names::key).collect()
}

/// Reads the input of a call out of its fragments.
#[derive(Debug)]
pub enum InputReader {
    Custom(TextReader),
    Names(Renamer),
}

/// How far an [`InputReader`] has read.
#[derive(Debug)]
pub enum ReaderState {
    Custom(TextReader),
    Names(RenamerState),
}

carried!(ReaderState = Custom(reader) | Names(renamer));

impl InputReader {
    pub fn into_state(self) -> ReaderState {
        match self {
            InputReader::Custom(reader) => ReaderState::Custom(reader),
            InputReader::Names(renamer) => ReaderState::Names(renamer.into_state()),
        }
    }

    /// Goes on from `state`, of a call that is read so; nothing if it is read otherwise.
    pub fn from_state(reading: &Reading, state: ReaderState) -> Option<Self> {
        match state {
            ReaderState::Custom(reader) => Some(InputReader::Custom(reader)),
            ReaderState::Names(state) => {
                let names = reading.names.clone()?;
                Some(InputReader::Names(Renamer::new(names, Direction::Down).go_on(state)))
            }
        }
    }

    /// What a fragment says, perhaps nothing yet.
    pub fn take(&mut self, fragment: &str) -> String {
        match self {
            InputReader::Custom(reader) => reader.take(fragment),
            InputReader::Names(renamer) => renamer.take(fragment),
        }
    }

    /// What was held back until nothing more came.
    pub fn end(&mut self) -> String {
        match self {
            InputReader::Custom(reader) => reader.end(),
            InputReader::Names(renamer) => renamer.end(),
        }
    }
}
