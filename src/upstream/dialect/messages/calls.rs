//! How the calls of an answer are to be read: which tools are custom ones, that the API knows as functions, and whether names
//! of properties are escaped.
//!
//! It follows from the request alone, for a request and for its answer alike.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::property_names::{self, PropertyNames, Renamer};
use crate::upstream::dialect::custom_tools::{CustomNames, TextReader};
use crate::wire::ask::content::{Content, ToolKind};
use crate::wire::ask::items::qualified;
use crate::wire::ask::{Api, Ask};
use crate::wire::call::CallKind;
use crate::wire::json::JsonString;

/// How the calls of an answer are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The names of properties, if any go up in another form.
    pub names: Option<Rc<PropertyNames>>,
    custom: CustomNames,
}

impl Reading {
    /// How calls are read in the answer to `request`.
    pub fn of(request: &Ask<'_>) -> Self {
        let may_matter = match request.api {
            // Most requests have no such tools, and their content is not read again.
            Api::Chat => ["tools", "functions"].into_iter().filter_map(|name| request.field(name)).any(matters),
            Api::Gateway => request.features.has_tools,
        };
        if !may_matter {
            return Self::default();
        }
        request.content().map(|content| Self::of_content(&content)).unwrap_or_default()
    }

    pub fn of_content(content: &Content<'_>) -> Self {
        let tools = content.all_tools().filter(|tool| !matches!(tool.kind, ToolKind::Hosted));
        let names = PropertyNames::of(tools.map(|tool| tool.raw.get())).map(Rc::new);
        let custom = content.all_tools().filter(|tool| matches!(tool.kind, ToolKind::Custom { .. }));
        let custom: BTreeSet<String> =
            custom.map(|tool| qualified(tool.namespace.as_deref(), &tool.name.value).into_owned()).collect();
        Self { names, custom: CustomNames::new(custom) }
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
                self.names.clone().map(|names| InputReader::Names(Renamer::restoring(names)))
            }
        }
    }
}

fn matters(tools: &RawValue) -> bool {
    memchr::memmem::find(tools.get().as_bytes(), b"\"custom\"").is_some() || property_names::are_odd(tools.get())
}

/// Reads the input of a call out of its fragments.
#[derive(Debug)]
pub enum InputReader {
    Custom(TextReader),
    Names(Renamer),
}

impl InputReader {
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
