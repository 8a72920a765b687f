//! Tools and how they may be used.
//!
//! Functions, also the legacy ones, become tools with an `input_schema`, whose root is plain and whose properties have names that
//! the API takes. A custom tool becomes a function with one text ([`custom_tools`]). A choice that demands a call becomes the API's own
//! where the model can be forced. Where it cannot, the fall-back is `auto` with only the tool that was asked for and a
//! sentence in the system prompt: then a call is likely, not certain.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::calls::Reading;
use super::keywords::is_object;
use super::parts::invalid;
use super::pointers::Changes;
use super::schema::Costs;
use super::wire::{Tool, ToolChoice};
use super::{cache, roots, schema_form, strict};
use crate::error::Error;
use crate::policy::Model;
use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::upstream::dialect::{NO_PARAMETERS, custom_tools, in_words};
use crate::wire::ask::content::{self, Choice, Content, Grammar, SettingKind, ToolKind};
use crate::wire::ask::items::qualified;
use crate::wire::ask::place::{Located, Place};
use crate::wire::containers::{members, members_named};
use crate::wire::json::{Json, JsonString, field, text};

#[derive(Debug, Default)]
pub struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<ToolChoice<'a>>,
    /// For the end of the system prompt.
    pub hint: Option<String>,
    /// Whether the API itself is told to force a call.
    pub forced: bool,
}

/// What `x-route-dropped` says of a schema that allows more than the client's.
const PARAMETERS: &str = "tools.parameters";

pub type Names<'a> = BTreeSet<Cow<'a, str>>;

/// What the client demands.
enum Demand<'a> {
    Nothing,
    Auto,
    None,
    Any,
    Tool(Cow<'a, str>),
}

/// The only tools that may be called, and where the client says so.
struct Allowed<'x> {
    names: Names<'x>,
    place: Place,
}

/// What else decides about tools.
pub struct Circumstances<'c, 'x> {
    /// The tools of the conversation's calls.
    pub called: &'c Names<'x>,
    pub reading: &'c Reading,
    pub names: &'c ToolNames,
    /// What the schema of the answer's form costs.
    pub costs: Costs,
}

/// The request's tools.
///
/// # Errors
/// A 400 for tools that the API cannot have, and for a choice of what is no tool.
pub fn translate<'x>(
    content: &'x Content<'x>,
    model: &Model,
    circumstances: &Circumstances<'_, 'x>,
    dropped: &mut Dropped,
) -> Result<Tools<'x>, Error> {
    let Circumstances { called, reading, names: known, costs } = *circumstances;
    let mut builder = Builder { reading, names: known, dropped };
    let (mut tools, mut names) = (Vec::new(), Names::new());
    for tool in content.all_tools() {
        let Some(built) = builder.build(tool)? else { continue };
        if !names.insert(built.name.clone()) {
            return Err(tool.place.fault("has the name of another tool").into());
        }
        tools.push(built);
    }
    let (demand, allowed) = match &content.choice {
        Some(choice) => read_choice(content, choice, known, dropped)?,
        None => (Demand::Nothing, None),
    };
    let place = content.choice.as_ref().map_or(Place::field("tool_choice"), |choice| choice.place);
    if tools.is_empty() {
        if !matches!(demand, Demand::Nothing | Demand::Auto | Demand::None) {
            if content.all_tools().next().is_none() {
                return Err(place.fault("demands a call, but there are no tools").into());
            }
            // There were tools, which only other providers run.
            dropped.note(&place.to_string());
        }
        return Ok(only_called(called));
    }
    if let Some(allowed) = allowed {
        tools.retain(|tool| allowed.names.contains(tool.name.as_ref()));
        if tools.is_empty() {
            return Err(allowed.place.fault("names none of the tools").into());
        }
    }
    if let Demand::Tool(name) = &demand
        && !tools.iter().any(|tool| tool.name == *name)
    {
        return Err(place.fault("names a function that is not among the tools").into());
    }
    let parallel = content.setting(SettingKind::ParallelCalls);
    let one_call = parallel.is_some_and(|setting| setting.value.get() == "false");
    let mut tools = choose(tools, demand, one_call, model);
    strict::settle(&mut tools.tools, model, costs, dropped);
    if tools.hint.is_some() {
        dropped.note(&place.to_string());
    }
    Ok(tools)
}

fn choose<'a>(
    mut tools: Vec<Tool<'a>>,
    demand: Demand<'a>,
    disable_parallel_tool_use: bool,
    model: &Model,
) -> Tools<'a> {
    let auto = ToolChoice::Auto { disable_parallel_tool_use };
    let (choice, hint) = match demand {
        Demand::Nothing if !disable_parallel_tool_use => (None, None),
        Demand::Nothing | Demand::Auto => (Some(auto), None),
        Demand::None => (Some(ToolChoice::None), None),
        Demand::Any if model.forced_tools => (Some(ToolChoice::Any { disable_parallel_tool_use }), None),
        Demand::Tool(name) if model.forced_tools => (Some(ToolChoice::Tool { name, disable_parallel_tool_use }), None),
        Demand::Any => (Some(auto), Some(in_words::any_call())),
        Demand::Tool(name) => {
            tools.retain(|tool| tool.name == name);
            (Some(auto), Some(in_words::call_of(&name)))
        }
    };
    let forced = matches!(choice, Some(ToolChoice::Any { .. } | ToolChoice::Tool { .. }));
    Tools { tools, choice, hint, forced }
}

/// A conversation with calls in it needs their tools, also where no further call is wanted.
fn only_called<'a>(called: &Names<'a>) -> Tools<'a> {
    let tool = |name: &Cow<'a, str>| Tool {
        name: name.clone(),
        description: None,
        input_schema: no_parameters(),
        strict: false,
        cache_control: None,
    };
    let choice = (!called.is_empty()).then_some(ToolChoice::None);
    Tools { tools: called.iter().map(tool).collect(), choice, ..Tools::default() }
}

/// Makes the tools of one request.
struct Builder<'r, 'd> {
    reading: &'r Reading,
    names: &'r ToolNames,
    dropped: &'d mut Dropped,
}

impl Builder<'_, '_> {
    /// Nothing if only another provider runs this tool.
    fn build<'x>(&mut self, tool: &'x content::Tool<'x>) -> Result<Option<Tool<'x>>, Error> {
        let place = tool.place;
        let name = self.names.write(qualified(tool.namespace.as_deref(), &tool.name.value));
        if name.is_empty() && !matches!(tool.kind, ToolKind::Hosted) {
            return Err(place.leaf(tool.name.leaf).fault("must be a string that is not empty").into());
        }
        let cache_control = tool.cache.map(cache::control);
        let description = tool.description.as_ref().map(|text| Json::Borrowed(text.raw()));
        match &tool.kind {
            ToolKind::Function { parameters, strict } => {
                let input_schema = match parameters {
                    Some(Located { leaf, value }) => self.input_schema(value, place, leaf)?,
                    None => no_parameters(),
                };
                Ok(Some(Tool { name, description, input_schema, strict: *strict == Some(true), cache_control }))
            }
            ToolKind::Custom { grammar } => {
                let description = match grammar {
                    Some(grammar) => {
                        self.dropped.note("tools.format");
                        Some(with_grammar(tool.description.as_ref(), grammar))
                    }
                    None => description,
                };
                let input_schema =
                    Json::parse(custom_tools::INPUT_SCHEMA.to_owned()).expect("a constant should be JSON");
                Ok(Some(Tool { name, description, input_schema, strict: false, cache_control }))
            }
            ToolKind::Hosted => {
                self.dropped.note("tools");
                Ok(None)
            }
        }
    }

    /// The schema of a function's parameters, which must say that they are an object.
    fn input_schema<'x>(
        &mut self,
        parameters: &'x RawValue,
        place: Place,
        leaf: &'static str,
    ) -> Result<Json<'x>, Error> {
        let place = place.leaf(leaf);
        let parameters = self.in_form(parameters);
        let must_be_object = || Error::from(place.fault("must be an object"));
        let fields = members(parameters.raw()).ok_or_else(must_be_object)?;
        let kind = field(&fields, "type");
        if kind.is_some_and(|kind| !is_object(kind)) {
            return Err(invalid(&format!("{place}.type"), "must be `object`"));
        }
        if roots::is_joined(&fields) {
            self.dropped.note(PARAMETERS);
            Json::parse(roots::merged(parameters.get(), &fields)).ok_or_else(must_be_object)
        } else if kind.is_some_and(|kind| kind.get() == r#""object""#) {
            Ok(parameters)
        } else if fields.is_empty() {
            Ok(no_parameters())
        } else {
            Json::parse(roots::of_objects(&fields)).ok_or_else(must_be_object)
        }
    }

    /// A schema in the form that the API takes, whatever its root is.
    fn in_form<'x>(&mut self, schema: &'x RawValue) -> Json<'x> {
        let changes = Changes { names: self.reading.names.as_deref(), moved: None };
        let written = match self.reading.rewrites_schemas {
            true => schema_form::rewritten(schema.get(), changes),
            false => None,
        };
        if written.as_ref().is_some_and(|written| written.is_weaker) {
            self.dropped.note(PARAMETERS);
        }
        written.and_then(|written| Json::parse(written.schema)).unwrap_or(Json::Borrowed(schema))
    }
}

/// The description of a custom tool whose input has a grammar, which the API cannot keep.
fn with_grammar(description: Option<&JsonString<'_>>, grammar: &Grammar<'_>) -> Json<'static> {
    let text = |text: &JsonString<'_>| text.decode().map(Cow::into_owned).unwrap_or_default();
    let own = description.map(text).unwrap_or_default();
    let (syntax, definition) = (text(&grammar.syntax), text(&grammar.definition));
    Json::text(&custom_tools::describe_with_grammar(&own, &syntax, &definition))
}

fn no_parameters() -> Json<'static> {
    Json::parse(NO_PARAMETERS.to_owned()).expect("a constant should be JSON")
}

/// What the client demands, and to which tools it narrows its demand.
fn read_choice<'x>(
    content: &'x Content<'x>,
    choice: &'x Choice<'x>,
    known: &ToolNames,
    dropped: &mut Dropped,
) -> Result<(Demand<'x>, Option<Allowed<'x>>), Error> {
    let unknown = |place: Place| Err(place.fault("is no choice that the serving model's API knows").into());
    let demand = match &choice.demand {
        content::Demand::Auto => Demand::Auto,
        content::Demand::None => Demand::None,
        content::Demand::Any => Demand::Any,
        content::Demand::Tool(tool) => Demand::Tool(known.write(Cow::Borrowed(tool.name.as_ref()))),
        content::Demand::Allowed { must_call, tools } => {
            let demand = if *must_call { Demand::Any } else { Demand::Auto };
            let names = tools.value.iter().map(|tool| known.write(Cow::Borrowed(tool.name.as_ref()))).collect();
            return Ok((demand, Some(Allowed { names, place: choice.place.leaf(tools.leaf) })));
        }
        // No other tool was to be called.
        content::Demand::Other(raw) if is_of_hosted(content, raw) => {
            dropped.note("tool_choice");
            Demand::None
        }
        content::Demand::Other(_) => return unknown(choice.place),
    };
    Ok((demand, None))
}

/// Whether a choice is of one of the tools that only another provider runs.
fn is_of_hosted(content: &Content<'_>, choice: &RawValue) -> bool {
    let hosted = |tool: &&content::Tool<'_>| matches!(tool.kind, ToolKind::Hosted);
    let chosen = kind_of(choice);
    chosen.is_some() && content.all_tools().filter(hosted).any(|tool| kind_of(tool.raw) == chosen)
}

fn kind_of(tool: &RawValue) -> Option<Cow<'_, str>> {
    let [kind] = members_named(tool, &["type"])?;
    kind.and_then(text)
}
