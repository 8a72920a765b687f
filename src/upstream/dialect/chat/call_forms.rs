//! The calls in what a provider answers, in the form that the client knows: of custom tools that went up as functions as calls
//! of custom tools, and where the client sent functions of the older form, the first call as its one `function_call`.
//!
//! Only for requests whose tools went up in another form; what has calls is then written anew.

use std::collections::BTreeSet;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::upstream::dialect::Recipient;
use crate::upstream::dialect::custom_tools::{CustomNames, TextReader};
use crate::upstream::dialect::tool_names::name_of;
use crate::wire::ask::{Api, Ask};
use crate::wire::carried::carried;
use crate::wire::containers::{elements, members_named};
use crate::wire::halves;
use crate::wire::json::{given, may_hold};
use crate::wire::piece::is_reason;

/// The most calls of a stream that are put into another form.
const MAX_KNOWN: usize = 1_024;

/// Which forms the calls of an answer have for the client and not for the provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallForms {
    /// Custom tools that went up as functions.
    pub custom: CustomNames,
    /// The client knows `function_call` only.
    is_older: bool,
}

carried!(CallForms { custom, is_older });

impl CallForms {
    /// The forms in the answer of `recipient` to `request`.
    pub fn of(recipient: &Recipient<'_>, request: &Ask<'_>) -> Self {
        if request.api != Api::Chat {
            return Self::default();
        }
        let tools = given(request.field("tools"))
            .filter(|tools| !recipient.takes_custom_tools() && may_hold(tools.get().as_bytes(), "\"custom\""));
        let custom = tools.map_or_else(CustomNames::default, custom_names);
        Self { custom, is_older: request.legacy_calls && !recipient.takes_functions() }
    }

    /// Whether any call has another form.
    pub fn differ(&self) -> bool {
        self.is_older || !self.custom.is_empty()
    }

    /// Puts the calls of a whole answer into the client's form; says whether any has changed.
    pub fn restore_answer(&self, answer: &mut Value) -> bool {
        let mut is_changed = false;
        for choice in answer.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
            if self.is_older {
                is_changed |= restore_reason(choice);
            }
            let Some(message) = choice.get_mut("message").and_then(Value::as_object_mut) else { continue };
            if self.is_older {
                let calls = message.get_mut(TOOL_CALLS).and_then(Value::as_array_mut).map(std::mem::take);
                if let Some(calls) = calls {
                    is_changed = true;
                    message.remove(TOOL_CALLS);
                    let first = calls.into_iter().next().and_then(|mut call| call.get_mut("function").map(Value::take));
                    message.extend(first.map(|call| (FUNCTION_CALL.to_owned(), call)));
                }
                continue;
            }
            for call in message.get_mut(TOOL_CALLS).and_then(Value::as_array_mut).into_iter().flatten() {
                let is_custom = call_name(call).is_some_and(|name| self.custom.contains(name));
                if let Some(call) = call.as_object_mut().filter(|_| is_custom) {
                    is_changed = true;
                    let mut reader = TextReader::default();
                    write_custom(call, |arguments| reader.take(arguments) + &reader.end());
                }
            }
        }
        is_changed
    }
}

/// Where the newer form has its calls, and its reason to finish with some.
const TOOL_CALLS: &str = "tool_calls";
/// Where the older form has its one call, and its reason to finish with it.
const FUNCTION_CALL: &str = "function_call";

/// The names of the custom tools among `tools`.
fn custom_names(tools: &RawValue) -> CustomNames {
    let is_custom = |tool: &&RawValue| matches!(members_named(tool, &["custom"]), Some([Some(_)]));
    let names = elements(tools).into_iter().flatten().filter(is_custom).filter_map(name_of);
    CustomNames::new(names.map(|name| name.into_owned()).collect::<BTreeSet<_>>())
}

fn call_name(call: &Value) -> Option<&str> {
    call.get("function")?.get("name")?.as_str().filter(|name| !name.is_empty())
}

/// The older form has its own reason for calls; says whether it is this choice's.
fn restore_reason(choice: &mut Value) -> bool {
    match choice.get_mut("finish_reason") {
        Some(reason) if reason == TOOL_CALLS => {
            *reason = FUNCTION_CALL.into();
            true
        }
        Some(_) | None => false,
    }
}

/// A call, or a part of one, as that of a custom tool, whose text `read` reads out of its arguments.
fn write_custom(call: &mut Map<String, Value>, mut read: impl FnMut(&str) -> String) {
    if call.contains_key("type") {
        call.insert("type".to_owned(), "custom".into());
    }
    let Some(Value::Object(mut custom)) = call.remove("function") else { return };
    if let Some(arguments) = custom.remove("arguments") {
        // Some send an object where the API has a text.
        let arguments = arguments.as_str().map_or_else(|| arguments.to_string(), str::to_owned);
        custom.insert("input".to_owned(), read(&arguments).into());
    }
    call.insert("custom".to_owned(), custom.into());
}

/// Puts the calls of a stream into the client's form, event by event. The names of tools must be those of the client, and whole,
/// and reasons to finish the last ones (`call_names`).
#[derive(Debug)]
pub struct FormsOfStream {
    forms: CallForms,
    /// What is known of each call, in the order in which they began.
    calls: Vec<KnownCall>,
}

/// What is known of a call of a stream.
#[derive(Debug)]
pub struct KnownCall {
    choice: u64,
    index: Option<u64>,
    id: String,
    name: String,
    /// What reads the text of a custom tool's input.
    reader: Option<TextReader>,
}

carried!(KnownCall { choice, index, id, name, reader });

impl FormsOfStream {
    pub fn new(forms: CallForms) -> Self {
        Self { forms, calls: Vec::new() }
    }

    pub fn into_state(self) -> Vec<KnownCall> {
        let Self { forms: _, calls } = self;
        calls
    }

    /// The same forms, of a stream that has had these calls.
    pub fn go_on(self, calls: Vec<KnownCall>) -> Self {
        Self { forms: self.forms, calls }
    }

    /// The data of an event with its calls in the client's form; nothing if it may pass as it came.
    pub fn chunk(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        if self.calls.is_empty() && !may_hold(data, "\"tool_calls\"") {
            return None;
        }
        let mut chunk: Value = halves::value(data)?;
        let mut is_changed = false;
        for (position, choice) in chunk.get_mut("choices")?.as_array_mut()?.iter_mut().enumerate() {
            let number = choice.get("index").and_then(Value::as_u64).unwrap_or(position as u64);
            let is_last = choice.get("finish_reason").and_then(Value::as_str).is_some_and(is_reason);
            is_changed |= self.forms.is_older && restore_reason(choice);
            let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) else { continue };
            let parts = delta.get_mut(TOOL_CALLS).and_then(Value::as_array_mut).map(std::mem::take);
            let came = parts.is_some();
            let parts = parts.into_iter().flatten().filter_map(|part| self.part(number, part));
            let mut told: Vec<Value> = parts.collect();
            if is_last {
                told.extend(self.rest(number));
            }
            if came {
                delta.remove(TOOL_CALLS);
            }
            is_changed |= came || !told.is_empty();
            match self.forms.is_older {
                _ if told.is_empty() => {}
                true => _ = delta.insert(FUNCTION_CALL.to_owned(), joined(told)),
                false => _ = delta.insert(TOOL_CALLS.to_owned(), told.into()),
            }
        }
        is_changed.then(|| serde_json::to_vec(&chunk).ok())?
    }

    /// A part of a call in the client's form; nothing of a call for which that has no room.
    fn part(&mut self, choice: u64, mut part: Value) -> Option<Value> {
        let at = self.known(choice, &part);
        let Some(place) = at else { return Some(part).filter(|_| !self.forms.is_older) };
        let is_first = self.calls.iter().position(|call| call.choice == choice) == Some(place);
        let call = &mut self.calls[place];
        let name = call_name(&part).unwrap_or_default().to_owned();
        // Some providers name a call with every part of it.
        let is_repeated = name == call.name;
        if !is_repeated {
            call.name.push_str(&name);
        }
        if self.forms.is_older {
            let mut function = part.get_mut("function").filter(|_| is_first).map(Value::take)?;
            if let Some(function) = function.as_object_mut().filter(|_| is_repeated) {
                function.remove("name");
            }
            return Some(function);
        }
        if call.reader.is_none() && self.forms.custom.contains(&call.name) {
            call.reader = Some(TextReader::default());
        }
        if let (Some(reader), Some(part)) = (&mut call.reader, part.as_object_mut()) {
            write_custom(part, |arguments| reader.take(arguments));
        }
        Some(part)
    }

    /// The place of the call that a part belongs to, which may begin with it. A part without an index goes on with the last one,
    /// unless it has another id.
    fn known(&mut self, choice: u64, part: &Value) -> Option<usize> {
        let index = part.get("index").and_then(Value::as_u64);
        let id = part.get("id").and_then(Value::as_str).unwrap_or_default();
        let goes_on = |call: &KnownCall| {
            let is_same = id.is_empty() || call.id.is_empty() || id == call.id;
            call.choice == choice && is_same && (index.is_none() || index == call.index)
        };
        if let Some(place) = self.calls.iter().rposition(goes_on) {
            return Some(place);
        }
        if self.calls.len() >= MAX_KNOWN {
            return None;
        }
        let (id, name) = (id.to_owned(), String::new());
        self.calls.push(KnownCall { choice, index, id, name, reader: None });
        Some(self.calls.len() - 1)
    }

    /// What is held back of the inputs of a choice that has finished.
    fn rest(&mut self, choice: u64) -> Vec<Value> {
        let over = self.calls.iter_mut().filter(|call| call.choice == choice);
        let rest = over.filter_map(|call| {
            let text = call.reader.as_mut()?.end();
            (!text.is_empty()).then(|| json!({"index": call.index.unwrap_or_default(), "custom": {"input": text}}))
        });
        rest.collect()
    }
}

/// Parts of one call that came together, as one.
fn joined(parts: Vec<Value>) -> Value {
    let mut whole = Map::new();
    for (name, value) in
        parts.into_iter().filter_map(|part| if let Value::Object(part) = part { Some(part) } else { None }).flatten()
    {
        match (whole.get_mut(&name), value) {
            (Some(Value::String(known)), Value::String(more)) => known.push_str(&more),
            (_, value) => {
                whole.insert(name, value);
            }
        }
    }
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Dialect;
    use crate::upstream::dialect::chat::{Mender, Mends};
    use crate::upstream::dialect::tool_names::ToolNames;

    fn custom() -> CallForms {
        let custom = CustomNames::new(BTreeSet::from(["run".to_owned()]));
        CallForms { custom, is_older: false }
    }

    fn older() -> CallForms {
        CallForms { custom: CustomNames::default(), is_older: true }
    }

    fn event(parts: &Value, reason: &Value) -> Value {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": parts}, "finish_reason": reason}]})
    }

    /// What a client is told in the deltas of these events, joined by field.
    fn told(forms: CallForms, events: &[Value]) -> (Vec<Value>, Vec<String>) {
        let mut stream =
            Mender::new(Mends::default(), &ToolNames::none(Dialect::OpenaiChat), &forms).expect("a mender");
        let (mut deltas, mut reasons) = (Vec::new(), Vec::new());
        let mut events: Vec<Vec<u8>> = events.iter().map(|event| event.to_string().into_bytes()).collect();
        events.iter_mut().for_each(|data| *data = stream.mend(data).unwrap_or_else(|| data.clone()));
        events.extend(stream.rest());
        for data in events {
            let event: Value = serde_json::from_slice(&data).expect("JSON");
            deltas.push(event["choices"][0]["delta"].clone());
            reasons.extend(event["choices"][0]["finish_reason"].as_str().map(str::to_owned));
        }
        (deltas, reasons)
    }

    #[test]
    fn the_input_of_a_custom_tool_is_a_text_at_every_split() {
        let arguments = r#"{"input":"a\"b\u00e9"}"#;
        for cut in 0..=arguments.len() {
            for with_reason in [json!("tool_calls"), Value::Null] {
                let opening =
                    json!([{"index": 0, "id": "c", "type": "function", "function": {"name": "run", "arguments": ""}}]);
                let part = |text: &str| json!([{"index": 0, "function": {"arguments": text}}]);
                let events = [
                    event(&opening, &with_reason),
                    event(&part(&arguments[..cut]), &with_reason),
                    event(&part(&arguments[cut..]), &with_reason),
                    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
                ];
                let (deltas, _) = told(custom(), &events);
                let first = &deltas[0]["tool_calls"][0];
                assert_eq!((&first["type"], &first["custom"]["name"]), (&json!("custom"), &json!("run")));
                let inputs =
                    deltas.iter().map(|delta| delta["tool_calls"][0]["custom"]["input"].as_str().unwrap_or_default());
                assert_eq!(inputs.collect::<String>(), "a\"b\u{e9}", "{cut}");
            }
        }
    }

    #[test]
    fn what_was_held_back_of_an_input_is_told_at_the_end() {
        let opening = json!([{"index": 0, "id": "c", "function": {"name": "run", "arguments": "{\"inp"}}]);
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]});
        let (deltas, _) = told(custom(), &[event(&opening, &Value::Null), end]);
        assert_eq!(deltas[1], json!({"tool_calls": [{"index": 0, "custom": {"input": "{\"inp"}}]}));
    }

    #[test]
    fn an_input_that_is_no_text_yet_where_the_reason_comes_is_told_with_the_reason() {
        for (arguments, text) in
            [(r#"{"oth"#, r#"{"oth"#), ("{", "{"), (r#"{"input":"a"#, "a"), (r#"{"input":"\ud83d"#, "\u{fffd}")]
        {
            let call = json!([{"index": 0, "id": "c", "function": {"name": "run", "arguments": arguments}}]);
            let (deltas, reasons) = told(custom(), &[event(&call, &json!("length"))]);
            let inputs = deltas.iter().filter_map(|delta| delta["tool_calls"][0]["custom"]["input"].as_str());
            assert_eq!(inputs.collect::<String>(), text, "{arguments}");
            assert_eq!(reasons, ["length"]);
        }
    }

    #[test]
    fn the_older_form_has_the_first_call_only() {
        let call = |index: u64, id: &str, name: &str, arguments: &str| json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]});
        let null = Value::Null;
        for events in [
            vec![
                event(&json!([call(0, "a", "f", ""), call(1, "b", "g", "{}")]), &null),
                event(&json!([call(0, "", "", "{}")]), &null),
            ],
            // Every part has its name, or all comes at once.
            vec![event(&json!([call(0, "a", "f", "")]), &null), event(&json!([call(0, "a", "f", "{}")]), &null)],
            vec![event(&json!([call(0, "a", "f", "{}"), call(0, "b", "g", "{}")]), &null)],
            vec![event(&json!([call(0, "a", "f", "{"), call(0, "a", "", "}")]), &null)],
            vec![event(&json!([{"id": "a", "function": {"name": "f", "arguments": "{}"}}]), &null)],
        ] {
            let events: Vec<Value> = events.into_iter().chain([end.clone()]).collect();
            let (deltas, reasons) = told(older(), &events);
            let field = |name: &str| -> String {
                deltas.iter().filter_map(|delta| delta[FUNCTION_CALL][name].as_str()).collect()
            };
            assert_eq!((field("name"), field("arguments")), ("f".to_owned(), "{}".to_owned()), "{events:?}");
            assert!(deltas.iter().all(|delta| delta.get("tool_calls").is_none()), "{deltas:?}");
            assert_eq!(reasons, [FUNCTION_CALL]);
        }
    }

    #[test]
    fn what_has_no_calls_passes_as_it_came() {
        for forms in [custom(), older()] {
            for body in [r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#, r#""tool_calls""#, "[]"]
            {
                let mut answer: Value = serde_json::from_str(body).expect("JSON");
                assert!(!forms.restore_answer(&mut answer), "{body}");
                assert_eq!(FormsOfStream::new(forms.clone()).chunk(body.as_bytes()), None, "{body}");
            }
        }
        let mut plain = json!({"choices": [{"message": {"tool_calls": [{"function": {"name": "run"}}]}}]});
        assert!(!CallForms::default().restore_answer(&mut plain));
    }
}
