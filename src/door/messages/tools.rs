//! The tools of a request and how they may be used, in the neutral form.

use std::borrow::Cow;
use std::cell::RefCell;

use serde_json::value::RawValue;

use crate::door::marks;
use crate::door::members::Members;
use crate::wire::ask::Ask;
use crate::wire::ask::content::{Choice, Demand, Setting, SettingKind, Tool, ToolKind, ToolName};
use crate::wire::ask::place::{Located, Place, RequestFault};
use crate::wire::ask::unread::Unread;
use crate::wire::call::CallKind;
use crate::wire::containers::elements;
use crate::wire::json::{Json, given, text, text_fault};

const NO_PARALLEL_CALLS: &str = "disable_parallel_tool_use";

/// What a request says of tools.
pub struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<Choice<'a>>,
    /// That an answer may hold one call only, if the client says so.
    pub parallel_calls: Option<Setting<'a>>,
}

/// The tools, and the choice among them.
///
/// # Errors
/// What is no tool.
pub fn read<'a>(ask: &Ask<'a>, unread: &RefCell<Unread<'a>>) -> Result<Tools<'a>, RequestFault> {
    let field = "tools";
    let raw = match given(ask.field(field)) {
        Some(raw) => elements(raw).ok_or_else(|| Place::field(field).fault("must be an array"))?,
        None => Vec::new(),
    };
    let tools = raw.into_iter().enumerate().map(|(position, raw)| {
        let place = Place::element(field, position);
        let members = Members::open(raw, place, unread).ok_or_else(|| place.fault("must be an object"))?;
        read_tool(members)
    });
    let tools: Vec<Tool<'a>> = tools.collect::<Result<_, _>>()?;
    let place = Place::field("tool_choice");
    let (mut choice, mut parallel_calls) = (None, None);
    if let Some(raw) = given(ask.field("tool_choice")) {
        let mut members = Members::open(raw, place, unread).ok_or_else(|| place.fault("must be an object"))?;
        if members.take_flag(NO_PARALLEL_CALLS) == Some(true) {
            let (name, value) = (place.path_to(NO_PARALLEL_CALLS).into(), Json::Borrowed(RawValue::FALSE));
            parallel_calls = Some(Setting { name, kind: SettingKind::ParallelCalls, value });
        }
        choice = Some(Choice { place, demand: demand(members, &tools) });
    }
    Ok(Tools { tools, choice, parallel_calls })
}

/// One tool, whose members are open.
///
/// # Errors
/// The place of what is no name.
pub fn read_tool<'a>(mut tool: Members<'_, 'a>) -> Result<Tool<'a>, RequestFault> {
    let (place, raw) = (tool.place(), tool.raw());
    let kind = tool.take("type");
    let is_custom = kind.is_none_or(|kind| kind.get() == r#""custom""#);
    let name = match tool.take("name") {
        Some(name) => text(name).ok_or_else(|| place.leaf("name").fault(text_fault(Some(name))))?,
        None if is_custom => return Err(place.leaf("name").fault(text_fault(None))),
        None => Cow::Borrowed(""),
    };
    let cache = marks::take(&mut tool);
    let is_deferred = tool.take_flag("defer_loading").unwrap_or(false);
    let description = tool.take_text("description");
    let kind = if is_custom {
        let parameters = tool.take("input_schema").map(|value| Located { leaf: "input_schema", value });
        let strict = tool.take_flag("strict");
        // How its input streams, and that the model itself calls it, says nothing to a model.
        tool.pass("eager_input_streaming");
        tool.take_if("allowed_callers", |callers| {
            elements(callers).is_some_and(|callers| callers.iter().any(|caller| caller.get() == r#""direct""#))
        });
        ToolKind::Function { parameters, strict }
    } else {
        tool.pass_all();
        ToolKind::Hosted
    };
    let name = Located { leaf: "name", value: name };
    Ok(Tool { place, kind, name, namespace: None, description, is_deferred, cache, raw })
}

/// What the client demands.
fn demand<'a>(mut choice: Members<'_, 'a>, tools: &[Tool<'a>]) -> Demand<'a> {
    let raw = choice.raw();
    match choice.take("type").map(RawValue::get) {
        Some(r#""auto""#) => Demand::Auto,
        Some(r#""none""#) => Demand::None,
        Some(r#""any""#) => Demand::Any,
        Some(r#""tool""#) => {
            let name = choice.take("name").and_then(text);
            let is_hosted = |name: &str| {
                let mut named = tools.iter().filter(|tool| tool.name.value == name);
                named.any(|tool| matches!(tool.kind, ToolKind::Hosted))
            };
            match name {
                // Nobody else has such a tool.
                Some(name) if !is_hosted(&name) => Demand::Tool(ToolName { kind: CallKind::Function, name }),
                Some(_) | None => Demand::Other(raw),
            }
        }
        Some(_) | None => Demand::Other(raw),
    }
}
