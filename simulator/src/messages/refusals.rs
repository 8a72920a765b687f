//! What the Messages API refuses: first the form, by `request.schema.json`, then what depends on the version of the API,
//! on the model, or on several fields at once. The turns of the conversation are judged by `turns`.

use std::sync::LazyLock;

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonschema::Validator;
use serde_json::Value;

use super::request::{MessagesRequest, NEWEST_VERSION};
use super::schemas::StrictSchemas;
use super::{cache, schemas, signature, turns};
use crate::profile::{ClaudeSampling, ForcedTools, Model, Thinking};
use crate::reply::Refusal;

const MAX_USER_CHARS: usize = 256;
const VERSIONS: &[&str] = &["2023-06-01", NEWEST_VERSION];

static FORM: LazyLock<Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("request.schema.json")).expect("the schema should be JSON");
    jsonschema::validator_for(&schema).expect("the schema should compile")
});

/// The version of the API that the request is written for.
pub fn version(headers: &HeaderMap) -> Result<&str, Refusal> {
    let given = headers.get("anthropic-version").and_then(|value| value.to_str().ok());
    let given = given.ok_or_else(|| Refusal::invalid("anthropic-version: header is required"))?;
    match VERSIONS.contains(&given) {
        true => Ok(given),
        false => Err(Refusal::invalid(format!("anthropic-version: \"{given}\" is not a valid version"))),
    }
}

pub fn check_form(body: &Value) -> Result<(), Refusal> {
    let Some(error) = FORM.iter_errors(body).next() else {
        return Ok(());
    };
    let place = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
    if let Some(text) = error.instance().as_str().filter(|text| place.ends_with(".text") && text.trim().is_empty()) {
        let problem = if text.is_empty() { "be non-empty" } else { "contain non-whitespace text" };
        return Err(Refusal::invalid(format!("{place}: text content blocks must {problem}")));
    }
    // The value itself may be as long as the whole request.
    let problem: String = error.to_string().chars().rev().take(300).collect();
    let problem: String = problem.chars().rev().collect();
    Err(Refusal::invalid(if place.is_empty() { problem } else { format!("{place}: {problem}") }))
}

/// Judges a request whose form is right. An organisation reads what its own models thought.
pub fn check(organisation: &str, model: &Model, request: &MessagesRequest<'_>, version: &str) -> Result<(), Refusal> {
    check_sampling(model, request, version)?;
    check_thinking(model, request)?;
    check_effort(model, request)?;
    check_user(request)?;
    check_tools(model, request)?;
    check_sources(request)?;
    turns::check(model, request, version)?;
    signature::check(organisation, model, request)?;
    check_strict_schemas(request)?;
    cache::check_lifetimes(request)?;
    let breakpoints = cache::breakpoints(request);
    if breakpoints > cache::MAX_BREAKPOINTS {
        return Err(Refusal::invalid(format!(
            "A maximum of {} blocks with cache_control may be provided. Found {breakpoints}.",
            cache::MAX_BREAKPOINTS
        )));
    }
    Ok(())
}

/// Neither the answer nor the prompt is longer than the model takes.
pub fn check_length(model: &Model, request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let (asked, most) = (request.max_tokens(), model.claude.max_output);
    if asked > most {
        let message = format!("max_tokens: {asked} > {most}, which is the most output tokens that {} has", model.id);
        return Err(Refusal::invalid(message));
    }
    let prompt = cache::prompt_tokens(request);
    if prompt > model.context_tokens {
        let message = format!("prompt is too long: {prompt} tokens > {} maximum", model.context_tokens);
        return Err(Refusal::invalid(message));
    }
    Ok(())
}

fn check_sampling(model: &Model, request: &MessagesRequest<'_>, version: &str) -> Result<(), Refusal> {
    let given: Vec<&str> =
        ["temperature", "top_p", "top_k"].into_iter().filter(|name| request.field(name).is_some()).collect();
    let Some(first) = given.first() else {
        return Ok(());
    };
    if version == NEWEST_VERSION {
        return Err(Refusal::invalid(format!("{first}: sampling parameters are not supported in {version}")));
    }
    let changes = |name: &str| request.field(name).is_some_and(|value| value.as_f64() != Some(1.0));
    match model.claude.sampling {
        ClaudeSampling::Defaults => {
            if let Some(name) = given.iter().find(|name| **name == "top_k" || changes(name)) {
                return Err(Refusal::invalid(format!("{name}: `{}` takes only its default", model.id)));
            }
        }
        ClaudeSampling::One => {
            if given.contains(&"temperature") && given.contains(&"top_p") {
                let message = format!("`temperature` and `top_p` cannot both be specified for `{}`", model.id);
                return Err(Refusal::invalid(message));
            }
        }
        ClaudeSampling::Taken => {}
    }
    if request.thinks(model) && (changes("temperature") || given.contains(&"top_k")) {
        return Err(Refusal::invalid(
            "temperature: may only be set to 1, and `top_k` not at all, while thinking is on",
        ));
    }
    Ok(())
}

fn check_thinking(model: &Model, request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let Some(kind) = request.thinking() else {
        return Ok(());
    };
    let effort = request.effort().unwrap_or("medium");
    let taken = match model.claude.thinking {
        Thinking::Any => true,
        Thinking::Always => kind == "adaptive",
        Thinking::AlwaysOrBetweenTools => matches!(kind, "adaptive" | "between_tools"),
        Thinking::Default { disabled_at } => {
            kind == "adaptive" || (kind == "disabled" && disabled_at.contains(&effort))
        }
        Thinking::Adaptive => matches!(kind, "adaptive" | "disabled"),
        Thinking::AdaptiveOrBudget => matches!(kind, "adaptive" | "enabled" | "disabled"),
        Thinking::Budget => matches!(kind, "enabled" | "disabled"),
    };
    if !taken {
        let message = format!("thinking.type: \"{kind}\" is not supported by `{}` at effort {effort}", model.id);
        return Err(Refusal::invalid(message));
    }
    let budget = request.field("thinking").and_then(|thinking| thinking["budget_tokens"].as_u64());
    let most = u64::try_from(request.max_tokens()).unwrap_or(u64::MAX);
    if budget.is_some_and(|budget| budget >= most) {
        return Err(Refusal::invalid("max_tokens: must be greater than `thinking.budget_tokens`"));
    }
    Ok(())
}

fn check_effort(model: &Model, request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let is_plain = model.claude.thinking == Thinking::Any;
    match request.effort() {
        Some(effort) if !is_plain && !model.efforts.contains(&effort) => Err(Refusal::invalid(format!(
            "output_config.effort: \"{effort}\" is not supported by `{}`; it takes {:?}",
            model.id, model.efforts
        ))),
        _ => Ok(()),
    }
}

fn check_tools(model: &Model, request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let tools = request.tools();
    for (index, tool) in tools.iter().enumerate() {
        if tools[..index].iter().any(|other| other["name"] == tool["name"]) {
            return Err(Refusal::invalid("tools: Tool names must be unique."));
        }
        let place = format!("tools.{index}.input_schema");
        schemas::check_input(&tool["input_schema"], &place)?;
    }
    let Some(choice) = request.field("tool_choice") else {
        return Ok(());
    };
    if tools.is_empty() {
        return Err(Refusal::invalid("tool_choice: may only be specified while providing `tools`"));
    }
    let name = &choice["name"];
    if choice["type"] == "tool" && !tools.iter().any(|tool| tool["name"] == *name) {
        return Err(Refusal::invalid(format!("tool_choice.name: there is no tool {name} in `tools`")));
    }
    let is_forced = choice["type"] == "any" || choice["type"] == "tool";
    let refused = match model.claude.forced_tools {
        ForcedTools::Taken => false,
        ForcedTools::NotWithBudget => request.thinking() == Some("enabled"),
        ForcedTools::Refused => true,
    };
    if is_forced && refused {
        let message =
            format!("tool_choice.type: {} is not supported by `{}` while it thinks", choice["type"], model.id);
        return Err(Refusal::invalid(message));
    }
    Ok(())
}

/// The schemas that an answer or a call must fit, one by one and together.
fn check_strict_schemas(request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let mut taken = StrictSchemas::default();
    if let Some(schema) = request.output_schema() {
        taken.take(schema, "output_config.format.schema")?;
    }
    let strict = request.tools().iter().enumerate().filter(|(_, tool)| tool["strict"] == true);
    for (index, tool) in strict {
        taken.take_tool(&tool["input_schema"], &format!("tools.{index}.input_schema"))?;
    }
    taken.check()
}

/// The id of a user may not say who that is.
fn check_user(request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    let Some(user) = request.field("metadata").and_then(|metadata| metadata["user_id"].as_str()) else {
        return Ok(());
    };
    let refuse = |problem: &str| Err(Refusal::invalid(format!("metadata.user_id: {problem}")));
    if user.chars().count() > MAX_USER_CHARS {
        return refuse("String should have at most 256 characters");
    }
    if user.contains('@') {
        return refuse("user_id appears to contain an email address");
    }
    let digits = user.chars().filter(char::is_ascii_digit).count();
    let is_in_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | '.' | ' ');
    let is_spaced = user.contains(|c: char| !c.is_ascii_digit());
    if (7..=15).contains(&digits) && user.chars().all(is_in_number) && (is_spaced || digits >= 10) {
        return refuse("user_id appears to contain a phone number");
    }
    Ok(())
}

/// What images and documents carry must be base64.
fn check_sources(request: &MessagesRequest<'_>) -> Result<(), Refusal> {
    for turn in request.turns() {
        for (message, nth, block) in &turn.blocks {
            let inner = block["content"].as_array().into_iter().flatten();
            for block in std::iter::once(block.as_ref()).chain(inner) {
                let source = &block["source"];
                let data = source["data"].as_str().filter(|_| source["type"] == "base64");
                if data.is_some_and(|data| STANDARD.decode(data).is_err()) {
                    let place = format!("messages.{message}.content.{nth}.source.data");
                    return Err(Refusal::invalid(format!("{place}: the data is not valid base64")));
                }
            }
        }
    }
    Ok(())
}
