//! Tools and how they may be used.
//!
//! Functions, also the legacy ones, become tools with an `input_schema`. A choice that demands a call becomes the API's own
//! where the model can be forced. Where it cannot, the fall-back is `auto` with only the tool that was asked for and a
//! sentence in the system prompt: then a call is likely, not certain.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::parts::invalid;
use super::schema;
use super::wire::{Tool, ToolChoice};
use crate::error::Error;
use crate::policy::Model;
use crate::upstream::dialect::dropped::Dropped;
use crate::wire::ask::Ask;
use crate::wire::json::{Field, object_fields};
use crate::wire::json::{Json, given, is_text, text};

/// What `input_schema` says where the client says nothing.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

pub const MAX_NAME_BYTES: usize = 128;

#[derive(Debug, Default)]
pub struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<ToolChoice<'a>>,
    /// For the end of the system prompt.
    pub hint: Option<String>,
    /// Whether the API itself is told to force a call.
    pub forced: bool,
}

type Names<'a> = BTreeSet<Cow<'a, str>>;

/// What the client demands.
enum Demand<'a> {
    Nothing,
    Auto,
    None,
    Any,
    Tool(Cow<'a, str>),
}

/// The request's tools; `called` are the tools of the conversation's calls.
///
/// # Errors
/// A 400 for tools that are no functions, and for a choice of what is no tool.
pub fn translate<'a>(
    request: &Ask<'a>,
    model: &Model,
    called: &Names<'a>,
    dropped: &mut Dropped,
) -> Result<Tools<'a>, Error> {
    let is_legacy = request.legacy_calls;
    let (field, choice, ignored) = match is_legacy {
        true => ("functions", "function_call", ["tools", "tool_choice"]),
        false => ("tools", "tool_choice", ["functions", "function_call"]),
    };
    for name in ignored {
        if given(request.field(name)).is_some_and(|value| value.get() != "[]") {
            dropped.note(name);
        }
    }
    let raw: Vec<&'a RawValue> = match given(request.field(field)) {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| invalid(field, "must be an array"))?,
        None => Vec::new(),
    };
    let mut builder = Builder { model, dropped, budget: schema::Budget::default() };
    let build = |(index, raw)| match is_legacy {
        true => builder.build(raw, &format!("functions[{index}]")),
        false => builder.build_tool(raw, index),
    };
    let mut tools = raw.into_iter().enumerate().map(build).collect::<Result<Vec<_>, _>>()?;
    let (demand, allowed) = match given(request.field(choice)) {
        Some(raw) => read_choice(raw, choice)?,
        None => (Demand::Nothing, None),
    };
    if tools.is_empty() {
        if !matches!(demand, Demand::Nothing | Demand::Auto | Demand::None) {
            return Err(invalid(choice, "demands a call, but there are no tools"));
        }
        return Ok(only_called(called));
    }
    let mut names = Names::new();
    if let Some(index) = tools.iter().position(|tool| !names.insert(tool.name.clone())) {
        return Err(invalid(&format!("{field}[{index}]"), "has the name of another tool"));
    }
    if let Some(allowed) = allowed {
        tools.retain(|tool| allowed.contains(&tool.name));
        if tools.is_empty() {
            return Err(invalid("tool_choice.allowed_tools.tools", "names none of the tools"));
        }
    }
    if let Demand::Tool(name) = &demand
        && !tools.iter().any(|tool| tool.name == *name)
    {
        return Err(invalid(choice, "names a function that is not among the tools"));
    }
    // A legacy answer has room for one call only.
    let one_call = is_legacy || request.field("parallel_tool_calls").is_some_and(|value| value.get() == "false");
    let tools = choose(tools, demand, one_call, model);
    if tools.hint.is_some() {
        dropped.note(choice);
    }
    Ok(tools)
}

/// Whether a tool may have this name.
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_plain)
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
        Demand::Any => {
            let hint = "You must answer with a call of one of your tools, whatever the request is.".to_owned();
            (Some(auto), Some(hint))
        }
        Demand::Tool(name) => {
            tools.retain(|tool| tool.name == name);
            let hint = format!("You must answer with a call of your tool `{name}`, whatever the request is.");
            (Some(auto), Some(hint))
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
struct Builder<'m, 'd> {
    model: &'m Model,
    dropped: &'d mut Dropped,
    budget: schema::Budget,
}

impl Builder<'_, '_> {
    fn build_tool<'a>(&mut self, raw: &'a RawValue, index: usize) -> Result<Tool<'a>, Error> {
        let place = format!("tools[{index}]");
        let fields = object_fields(raw.get()).map_err(|_| invalid(&place, "must be an object"))?;
        let get = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
        if given(get("type")).is_some_and(|kind| kind.get() != "\"function\"") {
            let message = "must be `function`: the serving model's API has no custom tools";
            return Err(invalid(&format!("{place}.type"), message));
        }
        let place = format!("{place}.function");
        let function = get("function").ok_or_else(|| invalid(&place, "is missing"))?;
        self.build(function, &place)
    }

    fn build<'a>(&mut self, function: &'a RawValue, place: &str) -> Result<Tool<'a>, Error> {
        let fields = object_fields(function.get()).map_err(|_| invalid(place, "must be an object"))?;
        let get = |name: &str| given(fields.iter().find(|field| field.name == name).map(|field| field.value));
        let name = get("name").and_then(text).filter(|name| is_name(name));
        let expected = "must be a string of 1 to 128 characters from [a-zA-Z0-9_-]";
        let name = name.ok_or_else(|| invalid(&format!("{place}.name"), expected))?;
        let mut strict = get("strict").is_some_and(|strict| strict.get() == "true");
        let mut input_schema = match get("parameters") {
            Some(parameters) => input_schema(parameters, &format!("{place}.parameters"))?,
            None => no_parameters(),
        };
        if strict {
            let sanitised = schema::sanitise(input_schema.get(), None, &mut self.budget);
            match sanitised.filter(|_| self.model.json_schema) {
                Some(sanitised) => {
                    if sanitised.weakened {
                        self.dropped.note("tools.strict");
                    }
                    input_schema = Json::Owned(sanitised.schema);
                }
                None => {
                    self.dropped.note("tools.strict");
                    strict = false;
                }
            }
        }
        let description = get("description").filter(|description| is_text(description));
        Ok(Tool { name, description, input_schema, strict, cache_control: None })
    }
}

fn no_parameters() -> Json<'static> {
    Json::parse(NO_PARAMETERS.to_owned()).expect("a constant should be JSON")
}

/// The schema of a function's parameters, which must say that they are an object.
fn input_schema<'a>(parameters: &'a RawValue, place: &str) -> Result<Json<'a>, Error> {
    let fields = object_fields(parameters.get()).map_err(|_| invalid(place, "must be an object"))?;
    match fields.iter().find(|Field { name, .. }| name == "type").map(|field| field.value.get()) {
        Some(r#""object""#) => return Ok(Json::Borrowed(parameters)),
        Some(_) => return Err(invalid(&format!("{place}.type"), "must be `object`")),
        None => {}
    }
    if fields.is_empty() {
        return Ok(no_parameters());
    }
    let rest = parameters.get().strip_prefix('{').unwrap_or_default();
    let typed = Json::parse(format!(r#"{{"type":"object",{rest}"#));
    typed.ok_or_else(|| invalid(place, "must be an object"))
}

/// What the client demands, and to which tools it narrows its demand.
fn read_choice<'a>(raw: &'a RawValue, field: &str) -> Result<(Demand<'a>, Option<Names<'a>>), Error> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        name: Cow<'a, str>,
    }
    #[derive(Deserialize)]
    struct Allowed<'a> {
        #[serde(borrow)]
        mode: Cow<'a, str>,
        #[serde(borrow)]
        tools: Vec<AllowedTool<'a>>,
    }
    #[derive(Deserialize)]
    struct AllowedTool<'a> {
        #[serde(borrow)]
        function: Named<'a>,
    }
    let wrong = |place: &str| invalid(place, "is no choice that the serving model's API knows");
    if is_text(raw) {
        let demand = match raw.get() {
            r#""auto""# => Demand::Auto,
            r#""none""# => Demand::None,
            r#""required""# if field == "tool_choice" => Demand::Any,
            _ => return Err(wrong(field)),
        };
        return Ok((demand, None));
    }
    let fields = object_fields(raw.get()).map_err(|_| wrong(field))?;
    let get = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
    if field == "function_call" {
        let named: Named<'a> = serde_json::from_str(raw.get()).map_err(|_| wrong("function_call.name"))?;
        return Ok((Demand::Tool(named.name), None));
    }
    match (get("type").map(RawValue::get), get("function"), get("allowed_tools")) {
        (Some(r#""function""#), Some(function), _) => {
            let named: Named<'a> =
                serde_json::from_str(function.get()).map_err(|_| wrong("tool_choice.function.name"))?;
            Ok((Demand::Tool(named.name), None))
        }
        (Some(r#""allowed_tools""#), _, Some(allowed)) => {
            let allowed: Allowed<'a> =
                serde_json::from_str(allowed.get()).map_err(|_| wrong("tool_choice.allowed_tools"))?;
            let demand = match allowed.mode.as_ref() {
                "auto" => Demand::Auto,
                "required" => Demand::Any,
                _ => return Err(wrong("tool_choice.allowed_tools.mode")),
            };
            Ok((demand, Some(allowed.tools.into_iter().map(|tool| tool.function.name).collect())))
        }
        (_, _, _) => Err(wrong("tool_choice.type")),
    }
}
