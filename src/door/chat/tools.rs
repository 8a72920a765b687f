//! The tools of a chat completion request and how they may be used, in the neutral form; the older functions too.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::ask::Ask;
use crate::wire::ask::content::{Choice, Demand, Grammar, Tool, ToolKind, ToolName};
use crate::wire::ask::place::{Located, Place, RequestFault};
use crate::wire::call::CallKind;
use crate::wire::json::{Field, JsonString, given, object_fields, text, text_fault};

/// What a request says of tools.
pub struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<Choice<'a>>,
}

/// The tools, and the choice among them.
///
/// # Errors
/// What is no tool.
pub fn read<'a>(ask: &Ask<'a>) -> Result<Tools<'a>, RequestFault> {
    let (field, choice) = match ask.legacy_calls {
        true => ("functions", "function_call"),
        false => ("tools", "tool_choice"),
    };
    let raw: Vec<&'a RawValue> = match given(ask.field(field)) {
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| Place::field(field).fault("must be an array"))?,
        None => Vec::new(),
    };
    let build = |(position, raw)| {
        let place = Place::element(field, position);
        match ask.legacy_calls {
            true => function(raw, raw, place, &LEGACY),
            false => tool(raw, place),
        }
    };
    let tools = raw.into_iter().enumerate().map(build).collect::<Result<_, _>>()?;
    let choice = given(ask.field(choice)).map(|raw| match ask.legacy_calls {
        true => legacy_choice(raw),
        false => tool_choice(raw),
    });
    Ok(Tools { tools, choice })
}

/// Where the members of a function stand below its tool.
struct Leaves {
    function: &'static str,
    name: &'static str,
    parameters: &'static str,
}

const CURRENT: Leaves = Leaves { function: "function", name: "function.name", parameters: "function.parameters" };
const LEGACY: Leaves = Leaves { function: "", name: "name", parameters: "parameters" };

fn get<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a RawValue> {
    given(fields.iter().find(|field| field.name == name).map(|field| field.value))
}

fn tool<'a>(raw: &'a RawValue, place: Place) -> Result<Tool<'a>, RequestFault> {
    let fields = object_fields(raw.get()).map_err(|_| place.fault("must be an object"))?;
    match get(&fields, "type").map(RawValue::get) {
        None | Some(r#""function""#) => {
            let call = fields.iter().find(|field| field.name == "function").map(|field| field.value);
            let call = call.ok_or_else(|| place.leaf("function").fault("is missing"))?;
            function(call, raw, place, &CURRENT)
        }
        Some(r#""custom""#) => {
            let members =
                get(&fields, "custom").and_then(|custom| object_fields(custom.get()).ok()).unwrap_or_default();
            let kind = ToolKind::Custom { grammar: get(&members, "format").and_then(grammar) };
            described(&members, Tool { kind, ..bare(raw, place, "custom.name") })
        }
        Some(_) => Ok(bare(raw, place, "type")),
    }
}

fn grammar(format: &RawValue) -> Option<Grammar<'_>> {
    let fields = object_fields(format.get()).ok()?;
    let members = object_fields(get(&fields, "grammar")?.get()).ok()?;
    let text = |name| get(&members, name).and_then(JsonString::read);
    Some(Grammar { syntax: text("syntax")?, definition: text("definition")? })
}

fn function<'a>(
    function: &'a RawValue,
    raw: &'a RawValue,
    place: Place,
    leaves: &Leaves,
) -> Result<Tool<'a>, RequestFault> {
    let members = object_fields(function.get()).map_err(|_| place.leaf(leaves.function).fault("must be an object"))?;
    let parameters = get(&members, "parameters").map(|value| Located { leaf: leaves.parameters, value });
    let strict = get(&members, "strict").map(|strict| strict.get() == "true");
    let kind = ToolKind::Function { parameters, strict };
    described(&members, Tool { kind, ..bare(raw, place, leaves.name) })
}

fn bare<'a>(raw: &'a RawValue, place: Place, leaf: &'static str) -> Tool<'a> {
    Tool {
        place,
        kind: ToolKind::Hosted,
        name: Located { leaf, value: Cow::Borrowed("") },
        namespace: None,
        description: None,
        is_deferred: false,
        cache: None,
        raw,
    }
}

fn described<'a>(members: &[Field<'a>], tool: Tool<'a>) -> Result<Tool<'a>, RequestFault> {
    let value = match get(members, "name") {
        None => Cow::Borrowed(""),
        Some(name) => text(name).ok_or_else(|| tool.place.leaf(tool.name.leaf).fault(text_fault(Some(name))))?,
    };
    let name = Located { value, ..tool.name };
    Ok(Tool { name, description: get(members, "description").and_then(JsonString::read), ..tool })
}

fn legacy_choice(raw: &RawValue) -> Choice<'_> {
    let place = Place::field("function_call");
    match raw.get() {
        r#""auto""# => Choice { place, demand: Demand::Auto },
        r#""none""# => Choice { place, demand: Demand::None },
        json if json.starts_with('{') => match serde_json::from_str::<Named<'_>>(json) {
            Ok(Named { name }) => Choice { place, demand: Demand::Tool(ToolName { kind: CallKind::Function, name }) },
            Err(_) => Choice { place: place.leaf("name"), demand: Demand::Other(raw) },
        },
        _ => Choice { place, demand: Demand::Other(raw) },
    }
}

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
    #[serde(borrow, default)]
    function: Option<Named<'a>>,
    #[serde(borrow, default)]
    custom: Option<Named<'a>>,
}

impl<'a> AllowedTool<'a> {
    fn name(self) -> Option<ToolName<'a>> {
        let function = self.function.map(|named| (CallKind::Function, named.name));
        let (kind, name) = function.or_else(|| self.custom.map(|named| (CallKind::Custom, named.name)))?;
        Some(ToolName { kind, name })
    }
}

fn named(kind: CallKind, value: &RawValue) -> Result<Demand<'_>, serde_json::Error> {
    serde_json::from_str(value.get()).map(|Named { name }| Demand::Tool(ToolName { kind, name }))
}

fn tool_choice(raw: &RawValue) -> Choice<'_> {
    let place = Place::field("tool_choice");
    match demand(raw) {
        Ok(demand) => Choice { place, demand },
        Err(leaf) => Choice { place: place.leaf(leaf), demand: Demand::Other(raw) },
    }
}

/// What the client demands; the member at fault if that is nothing known.
fn demand(raw: &RawValue) -> Result<Demand<'_>, &'static str> {
    match raw.get() {
        r#""auto""# => return Ok(Demand::Auto),
        r#""none""# => return Ok(Demand::None),
        r#""required""# => return Ok(Demand::Any),
        _ => {}
    }
    let fields = object_fields(raw.get()).map_err(|_| "")?;
    let member = |name: &str| fields.iter().find(|field| field.name == name).map(|field| field.value);
    match (member("type").map(RawValue::get), member("function"), member("custom"), member("allowed_tools")) {
        (Some(r#""function""#), Some(function), _, _) => {
            named(CallKind::Function, function).map_err(|_| "function.name")
        }
        (Some(r#""custom""#), _, Some(custom), _) => named(CallKind::Custom, custom).map_err(|_| "custom.name"),
        (Some(r#""allowed_tools""#), _, _, Some(allowed)) => {
            let allowed: Allowed<'_> = serde_json::from_str(allowed.get()).map_err(|_| "allowed_tools")?;
            let must_call = match allowed.mode.as_ref() {
                "auto" => false,
                "required" => true,
                _ => return Err("allowed_tools.mode"),
            };
            let tools: Option<Vec<_>> = allowed.tools.into_iter().map(AllowedTool::name).collect();
            let tools = Located { leaf: "allowed_tools.tools", value: tools.ok_or("allowed_tools")? };
            Ok(Demand::Allowed { must_call, tools })
        }
        (_, _, _, _) => Err("type"),
    }
}
