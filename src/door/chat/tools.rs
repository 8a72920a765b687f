//! The tools of a chat completion request and how they may be used, in the neutral form; the older functions too.

use std::borrow::Cow;
use std::cell::RefCell;

use serde_json::value::RawValue;

use crate::door::marks;
use crate::door::members::Members;
use crate::wire::ask::Ask;
use crate::wire::ask::content::{Choice, Demand, Grammar, Tool, ToolKind, ToolName};
use crate::wire::ask::place::{Located, Place, RequestFault};
use crate::wire::ask::unread::Unread;
use crate::wire::call::CallKind;
use crate::wire::containers::elements;
use crate::wire::json::{given, text, text_fault};

/// What a request says of tools.
pub struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<Choice<'a>>,
}

/// The tools, and the choice among them.
///
/// # Errors
/// What is no tool.
pub fn read<'a>(ask: &Ask<'a>, unread: &RefCell<Unread<'a>>) -> Result<Tools<'a>, RequestFault> {
    let (field, choice) = match ask.legacy_calls {
        true => ("functions", "function_call"),
        false => ("tools", "tool_choice"),
    };
    let raw: Vec<&'a RawValue> = match given(ask.field(field)) {
        Some(raw) => elements(raw).ok_or_else(|| Place::field(field).fault("must be an array"))?,
        None => Vec::new(),
    };
    let build = |(position, raw): (usize, &'a RawValue)| {
        let place = Place::element(field, position);
        let members = Members::open(raw, place, unread).ok_or_else(|| place.fault("must be an object"))?;
        match ask.legacy_calls {
            true => function(members, bare(raw, place, LEGACY.name), &LEGACY),
            false => tool(members, raw),
        }
    };
    let tools = raw.into_iter().enumerate().map(build).collect::<Result<_, _>>()?;
    let choice = given(ask.field(choice)).map(|raw| {
        let place = Place::field(choice);
        let demand = match ask.legacy_calls {
            true => legacy_demand(raw, place, unread),
            false => demand(raw, place, unread),
        };
        match demand {
            Ok(demand) => Choice { place, demand },
            Err(leaf) => Choice { place: place.leaf(leaf), demand: Demand::Other(raw) },
        }
    });
    Ok(Tools { tools, choice })
}

/// Where the members of a function stand below its tool.
struct Leaves {
    name: &'static str,
    parameters: &'static str,
}

const CURRENT: Leaves = Leaves { name: "function.name", parameters: "function.parameters" };
const LEGACY: Leaves = Leaves { name: "name", parameters: "parameters" };

fn tool<'a>(mut tool: Members<'_, 'a>, raw: &'a RawValue) -> Result<Tool<'a>, RequestFault> {
    let place = tool.place();
    match tool.take("type").map(RawValue::get) {
        None | Some(r#""function""#) => {
            let raw_function = tool.take("function").ok_or_else(|| place.leaf("function").fault("is missing"))?;
            let inside = tool.inner(raw_function, "function");
            let inside = inside.ok_or_else(|| place.leaf("function").fault("must be an object"))?;
            let cache = marks::take(&mut tool);
            function(inside, Tool { cache, ..bare(raw, place, CURRENT.name) }, &CURRENT)
        }
        Some(r#""custom""#) => {
            let cache = marks::take(&mut tool);
            let tool_of = |kind| Tool { kind, cache, ..bare(raw, place, "custom.name") };
            match tool.take_members("custom", "custom") {
                Some(mut custom) => {
                    let grammar = grammar(&mut custom);
                    described(&mut custom, tool_of(ToolKind::Custom { grammar }))
                }
                None => Ok(tool_of(ToolKind::Custom { grammar: None })),
            }
        }
        Some(_) => {
            tool.pass_all();
            Ok(bare(raw, place, "type"))
        }
    }
}

/// The grammar of a custom tool's input; without one it may be any text.
fn grammar<'a>(custom: &mut Members<'_, 'a>) -> Option<Grammar<'a>> {
    let mut format = custom.take_members("format", "custom.format")?;
    format.take_if("type", |kind| matches!(kind.get(), r#""text""# | r#""grammar""#));
    let mut grammar = format.take_members("grammar", "custom.format.grammar")?;
    let (syntax, definition) = (grammar.take_text("syntax"), grammar.take_text("definition"));
    if syntax.is_none() || definition.is_none() {
        format.note("grammar");
    }
    Some(Grammar { syntax: syntax?, definition: definition? })
}

fn function<'a>(mut function: Members<'_, 'a>, tool: Tool<'a>, leaves: &Leaves) -> Result<Tool<'a>, RequestFault> {
    let parameters = function.take("parameters").map(|value| Located { leaf: leaves.parameters, value });
    let strict = function.take_flag("strict");
    described(&mut function, Tool { kind: ToolKind::Function { parameters, strict }, ..tool })
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

/// The tool with what all kinds have. Some clients put the mark beside the name.
fn described<'a>(members: &mut Members<'_, 'a>, tool: Tool<'a>) -> Result<Tool<'a>, RequestFault> {
    let value = match members.take("name") {
        None => Cow::Borrowed(""),
        Some(name) => text(name).ok_or_else(|| tool.place.leaf(tool.name.leaf).fault(text_fault(Some(name))))?,
    };
    let name = Located { value, ..tool.name };
    let cache = tool.cache.or_else(|| marks::take(members));
    Ok(Tool { name, description: members.take_text("description"), cache, ..tool })
}

/// What the client demands in the older form; the member at fault if that is nothing known.
fn legacy_demand<'a>(
    raw: &'a RawValue,
    place: Place,
    unread: &RefCell<Unread<'a>>,
) -> Result<Demand<'a>, &'static str> {
    match raw.get() {
        r#""auto""# => Ok(Demand::Auto),
        r#""none""# => Ok(Demand::None),
        _ => {
            let mut choice = Members::open(raw, place, unread).ok_or("")?;
            named(CallKind::Function, &mut choice).map(Demand::Tool).ok_or("name")
        }
    }
}

/// What the client demands; the member at fault if that is nothing known.
fn demand<'a>(raw: &'a RawValue, place: Place, unread: &RefCell<Unread<'a>>) -> Result<Demand<'a>, &'static str> {
    match raw.get() {
        r#""auto""# => return Ok(Demand::Auto),
        r#""none""# => return Ok(Demand::None),
        r#""required""# => return Ok(Demand::Any),
        _ => {}
    }
    let mut choice = Members::open(raw, place, unread).ok_or("")?;
    match choice.take("type").map(RawValue::get) {
        Some(r#""function""#) => {
            let mut function = choice.take_members("function", "function").ok_or("function")?;
            named(CallKind::Function, &mut function).map(Demand::Tool).ok_or("function.name")
        }
        Some(r#""custom""#) => {
            let mut custom = choice.take_members("custom", "custom").ok_or("custom")?;
            named(CallKind::Custom, &mut custom).map(Demand::Tool).ok_or("custom.name")
        }
        Some(r#""allowed_tools""#) => {
            allowed(choice.take_members("allowed_tools", "allowed_tools").ok_or("allowed_tools")?)
        }
        Some(_) | None => Err("type"),
    }
}

fn allowed<'a>(mut allowed: Members<'_, 'a>) -> Result<Demand<'a>, &'static str> {
    let must_call = match allowed.take("mode").map(RawValue::get) {
        Some(r#""auto""#) => false,
        Some(r#""required""#) => true,
        Some(_) | None => return Err("allowed_tools.mode"),
    };
    let leaf = "allowed_tools.tools";
    let tools = allowed.take("tools").ok_or(leaf)?;
    let tools = allowed.elements(tools, |_| allowed.place().leaf(leaf)).ok_or(leaf)?;
    let (hosted, tools): (Vec<_>, Vec<_>) = tools.into_iter().partition(is_hosted);
    if !hosted.is_empty() {
        allowed.note("tools");
        hosted.into_iter().for_each(|mut tool| tool.pass("type"));
        if tools.is_empty() {
            return Ok(Demand::None);
        }
    }
    let tools: Option<Vec<_>> = tools.into_iter().map(allowed_tool).collect();
    Ok(Demand::Allowed { must_call, tools: Located { leaf, value: tools.ok_or(leaf)? } })
}

/// Whether a choice is of a tool that a provider runs itself, whose name the neutral form does not hold.
fn is_hosted(tool: &Members<'_, '_>) -> bool {
    tool.peek("type").is_some_and(|kind| text(kind).is_some_and(|kind| kind != "function" && kind != "custom"))
}

fn allowed_tool<'a>(mut tool: Members<'_, 'a>) -> Option<ToolName<'a>> {
    tool.pass("type");
    if let Some(mut function) = tool.take_members("function", "allowed_tools.tools.function") {
        return named(CallKind::Function, &mut function);
    }
    named(CallKind::Custom, &mut tool.take_members("custom", "allowed_tools.tools.custom")?)
}

/// The tool that members name.
fn named<'a>(kind: CallKind, members: &mut Members<'_, 'a>) -> Option<ToolName<'a>> {
    Some(ToolName { kind, name: members.take("name").and_then(text)? })
}
