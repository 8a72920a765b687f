//! What the provider refuses, judged from the profile's data.

use serde_json::Value;

use super::request::ChatRequest;
use super::{forms, history};
use crate::profile::{Model, Profile, Quirk, Sampling, Tools};
use crate::reply::Refusal;

pub fn check(profile: &Profile, model: &Model, request: &ChatRequest<'_>, body_bytes: usize) -> Result<(), Refusal> {
    history::check(profile, request)?;
    check_fields(profile, request)?;
    forms::check(profile, request)?;
    check_schemas(request)?;
    check_effort(model, request)?;
    check_tools(model, request)?;
    check_sampling(model, request)?;
    if body_bytes / 4 > model.context_tokens {
        let message = format!(
            "the prompt has about {} tokens, and `{}` takes {}",
            body_bytes / 4,
            model.id,
            model.context_tokens
        );
        return Err(Refusal::invalid(message).with_code("context_length_exceeded").with_param("messages"));
    }
    Ok(())
}

/// Whether the model reasons about this request: a model that can does, unless told not to.
pub fn reasons(model: &Model, request: &ChatRequest<'_>) -> bool {
    let effort = request.field("reasoning_effort").and_then(Value::as_str);
    !model.efforts.is_empty() && !matches!(effort, Some("none" | "instant"))
}

/// The note on an answer for which a field was replaced rather than refused.
pub fn warning(model: &Model, request: &ChatRequest<'_>) -> Option<String> {
    let Sampling::TemperatureWithin(low, high) = model.sampling else {
        return None;
    };
    let given = request.field("temperature").and_then(Value::as_f64)?;
    let outside = !(low..=high).contains(&given);
    outside.then(|| format!("temperature {given} is outside of {low} to {high} and was replaced by the default"))
}

fn check_fields(profile: &Profile, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    if let Some(name) = profile.refused_fields.iter().find(|name| request.field(name).is_some()) {
        return Err(unsupported(name, "this provider does not know it"));
    }
    let known = |name: &str| profile.known.request.is_none_or(|known| known.contains(&name));
    if let Some(name) = request.0.keys().find(|name| !known(name)) {
        return Err(unsupported(name, "extra inputs are not permitted"));
    }
    if profile.has(Quirk::NoEmptyLists) && request.field("tools").is_some_and(|tools| tools == &serde_json::json!([])) {
        return Err(Refusal::invalid("[] is too short: `tools`").with_code("empty_array").with_param("tools"));
    }
    check_tool_fields(profile, request)?;
    check_objects(profile, request)?;
    if profile.has(Quirk::StopArrayOnly) && request.field("stop").is_some_and(|stop| !stop.is_array()) {
        return Err(Refusal::invalid("`stop` must be a list of strings").with_param("stop"));
    }
    if request.stops().len() > 4 {
        return Err(Refusal::invalid("`stop` may have four entries at most").with_param("stop"));
    }
    let without_stream = request.field("stream_options").is_some() && !request.streams();
    if without_stream && profile.has(Quirk::StreamOptionsOnlyWithStream) {
        return Err(Refusal::invalid("`stream_options` needs `stream: true`").with_param("stream_options"));
    }
    Ok(())
}

fn check_tool_fields(profile: &Profile, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    for (index, tool) in request.tools().iter().enumerate() {
        let param = |part: &str| format!("tools[{index}].{part}");
        let function = &tool["function"];
        if let Some(known) = profile.known.functions {
            let inside = history::unknown(function, known).map(|name| format!("function.{name}"));
            let top = history::unknown(tool, &["type", "function", "custom"]).map(str::to_owned);
            if let Some(name) = top.or(inside) {
                return Err(history::unknown_parameter(&param(&name)));
            }
        }
    }
    check_names(profile, request)
}

/// The names of tools, wherever they stand.
fn check_names(profile: &Profile, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    if !profile.has(Quirk::PlainNames) {
        return Ok(());
    }
    let null = Value::Null;
    let field = |name: &str| request.field(name).unwrap_or(&null);
    let items = |list: &str, value: &Value| -> Vec<(String, Value)> {
        let items = value.as_array().into_iter().flatten().enumerate();
        items.map(|(at, item)| (format!("{list}[{at}]"), item.clone())).collect()
    };
    let choice = field("tool_choice");
    let mut named = items("tools", field("tools"));
    named.extend(items("functions", field("functions")));
    named.extend(items("tool_choice.allowed_tools.tools", &choice["allowed_tools"]["tools"]));
    named.extend([("tool_choice".to_owned(), choice.clone())]);
    named.extend([("function_call".to_owned(), field("function_call").clone())]);
    for (at, message) in request.messages().iter().enumerate() {
        let place = format!("messages[{at}]");
        named.extend(items(&format!("{place}.tool_calls"), &message["tool_calls"]));
        named.extend([(format!("{place}.function_call"), message["function_call"].clone())]);
        if message["role"] == "function" {
            named.extend([(place, message.clone())]);
        }
    }
    for (place, holder) in named {
        let names = [
            ("function.name", &holder["function"]["name"]),
            ("custom.name", &holder["custom"]["name"]),
            ("name", &holder["name"]),
        ];
        for (leaf, name) in names {
            if name.as_str().is_some_and(|name| !history::is_plain(name)) {
                let refusal = Refusal::invalid("a name must match ^[a-zA-Z0-9_-]{1,64}$").with_code("invalid_value");
                return Err(refusal.with_param(format!("{place}.{leaf}")));
            }
        }
    }
    Ok(())
}

/// Fields that are not known, at the depths that have no list of their own.
fn check_objects(profile: &Profile, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    for object in profile.known.objects {
        let mut names = object.path.split('.');
        let first = names.next().unwrap_or_default();
        let names: Vec<&str> = names.collect();
        if let Some(param) = request.field(first).and_then(|value| unknown_below(value, &names, object.fields)) {
            return Err(history::unknown_parameter(&format!("{first}{param}")));
        }
    }
    Ok(())
}

/// The place, below `value`, of a field that none of the objects at the end of `names` may have.
fn unknown_below(value: &Value, names: &[&str], fields: &[&str]) -> Option<String> {
    if let Some(items) = value.as_array() {
        let below = |(at, item)| unknown_below(item, names, fields).map(|below| format!("[{at}]{below}"));
        return items.iter().enumerate().find_map(below);
    }
    match names {
        [] => history::unknown(value, fields).map(|name| format!(".{name}")),
        [name, names @ ..] => unknown_below(value.get(name)?, names, fields).map(|below| format!(".{name}{below}")),
    }
}

/// A schema that is none is refused before the model sees it.
fn check_schemas(request: &ChatRequest<'_>) -> Result<(), Refusal> {
    let format = request.field("response_format").map(|format| &format["json_schema"]["schema"]);
    let tools = request.tools().iter().map(|tool| &tool["function"]["parameters"]);
    let places =
        format.map(|schema| ("response_format", schema)).into_iter().chain(tools.map(|schema| ("tools", schema)));
    for (param, schema) in places.filter(|(_, schema)| !schema.is_null()) {
        if let Err(error) = jsonschema::meta::validate(schema) {
            return Err(Refusal::invalid(format!("Invalid schema in `{param}`: {error}")).with_param(param));
        }
    }
    Ok(())
}

fn check_effort(model: &Model, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    let Some(effort) = request.field("reasoning_effort") else {
        return Ok(());
    };
    if model.efforts.is_empty() || effort.as_str().is_some_and(|effort| model.efforts.contains(&effort)) {
        return Ok(());
    }
    let message =
        format!("`reasoning_effort` {effort} is not supported by `{}`; it takes {:?}", model.id, model.efforts);
    Err(Refusal::invalid(message).with_code("unsupported_value").with_param("reasoning_effort"))
}

fn check_tools(model: &Model, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    if request.tools().is_empty() && request.field("functions").is_none() {
        return Ok(());
    }
    match model.tools {
        Tools::Always => Ok(()),
        Tools::WithoutReasoning if !reasons(model, request) => Ok(()),
        Tools::WithoutReasoning => {
            let message = format!("`{}` takes function tools here only with `reasoning_effort` \"none\"", model.id);
            Err(Refusal::invalid(message).with_param("reasoning_effort"))
        }
        Tools::Never => {
            Err(Refusal::invalid(format!("`{}` takes no function tools here", model.id)).with_param("tools"))
        }
    }
}

fn check_sampling(model: &Model, request: &ChatRequest<'_>) -> Result<(), Refusal> {
    if model.sampling != Sampling::WithoutReasoning {
        return Ok(());
    }
    if request.field("max_tokens").is_some() {
        return Err(unsupported("max_tokens", "use `max_completion_tokens`"));
    }
    if !reasons(model, request) {
        return Ok(());
    }
    let defaults = [("temperature", 1.0), ("top_p", 1.0), ("presence_penalty", 0.0), ("frequency_penalty", 0.0)];
    for (name, default) in defaults {
        if request.field(name).is_some_and(|value| value.as_f64() != Some(default)) {
            return Err(unsupported(name, "only its default is supported while the model reasons"));
        }
    }
    for name in ["logprobs", "top_logprobs", "logit_bias", "stop"] {
        if request.field(name).is_some_and(|value| *value != false) {
            return Err(unsupported(name, "it is not supported while the model reasons"));
        }
    }
    Ok(())
}

fn unsupported(name: &str, reason: &str) -> Refusal {
    Refusal::invalid(format!("the field `{name}` is not supported: {reason}"))
        .with_code("unsupported_parameter")
        .with_param(name.to_owned())
}
