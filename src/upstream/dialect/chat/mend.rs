//! Answers of providers that deviate so far that OpenAI's SDKs stumble, put right. Only for providers whose policy row says so,
//! since what is put right has to be written anew.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call_forms::{CallForms, FormsOfStream, KnownCall};
use super::call_names::{self, CallNames, KeptBack};
use super::thinking_parts;
use crate::policy::Quirk;
use crate::upstream::dialect::DecodeOptions;
use crate::upstream::dialect::tool_names::ToolNames;
use crate::wire::carried::carried;
use crate::wire::halves;
use crate::wire::input_seen::InputSeen;
use crate::wire::json::may_hold;

/// How many characters of an answer's id the ids of its calls begin with; an id may have 40 characters in all.
const ORIGIN_CHARS: usize = 24;

/// What is to be put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mends {
    /// Tool calls may lack index and id, and their answer ends with `stop` (Gemini's compatibility layer).
    tool_calls: bool,
    /// `model_length` is `length`, `error` is an error (Mistral).
    finish_reasons: bool,
    /// Content may be an array of thoughts and texts (Mistral).
    thinking_parts: bool,
}

carried!(Mends { tool_calls, finish_reasons, thinking_parts });

/// A whole answer, put right, with its calls as the client knows them; nothing if it may pass as it came.
pub fn mend_answer(options: &DecodeOptions, body: &[u8]) -> Option<Vec<u8>> {
    let DecodeOptions { mends, names, forms, .. } = options;
    let holds = |text: &str| may_hold(body, text);
    let names = Some(names).filter(|names| names.differ() && holds("\"name\""));
    let forms = Some(forms).filter(|forms| forms.differ() && holds("\"tool_calls\""));
    if !mends.any() && names.is_none() && forms.is_none() {
        return None;
    }
    let mut answer: Value = halves::value(body)?;
    // Names first, since forms depend on them.
    let mut is_changed = names.is_some_and(|names| call_names::restore_answer(names, &mut answer));
    is_changed |= mends.any() && mends.rewrite(&mut answer, "message", &mut Calls::default());
    is_changed |= forms.is_some_and(|forms| forms.restore_answer(&mut answer));
    if is_changed { serde_json::to_vec(&answer).ok() } else { None }
}

/// The most choices that are put right, and the most calls of each; what a provider sends beyond that stays as it is.
const MAX_KNOWN: usize = 1_024;

/// Puts a stream right, event by event.
#[derive(Debug)]
pub struct Mender {
    mends: Mends,
    calls: Calls,
    names: Option<CallNames>,
    forms: Option<FormsOfStream>,
}

impl Mender {
    /// Nothing if there is nothing to put right.
    pub fn new(mends: Mends, names: &ToolNames, forms: &CallForms) -> Option<Self> {
        let holds_names = names.differ() || !forms.custom.is_empty();
        let names = holds_names.then(|| CallNames::new(names.clone(), forms.custom.clone()));
        let forms = forms.differ().then(|| FormsOfStream::new(forms.clone()));
        (mends.any() || names.is_some() || forms.is_some()).then(|| Self {
            mends,
            calls: Calls::default(),
            names,
            forms,
        })
    }

    /// The data of one event, put right; nothing if it may pass as it came.
    pub fn mend(&mut self, data: &[u8]) -> Option<Vec<u8>> {
        // Names first, since mending tells calls apart by them.
        let named = self.names.as_mut().and_then(|names| names.chunk(data));
        self.mend_named(data, named)
    }

    /// The choices whose reason to finish is held back.
    pub fn kept_reasons(&self) -> impl Iterator<Item = u64> {
        self.names.iter().flat_map(CallNames::kept_reasons)
    }

    /// Whether a choice has gone on after a reason to finish that was held back.
    pub fn went_on(&self) -> bool {
        self.names.as_ref().is_some_and(CallNames::went_on)
    }

    /// What is held back of a stream that has ended, in an event of its own; nothing if nothing is.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = self.names.as_mut()?.rest()?;
        self.mend_named(&rest, None).or(Some(rest))
    }

    /// The same of an event whose names are put right, which is `named` if that changed it.
    fn mend_named(&mut self, data: &[u8], named: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let mended = match self.mends.any() {
            true => self.mends.chunk(named.as_deref().unwrap_or(data), &mut self.calls).or(named),
            false => named,
        };
        let formed = self.forms.as_mut().and_then(|forms| forms.chunk(mended.as_deref().unwrap_or(data)));
        formed.or(mended)
    }
}

/// What a [`Mender`] knows beside its options.
#[derive(Debug)]
pub struct MenderState {
    calls: Calls,
    names: Option<KeptBack>,
    forms: Option<Vec<KnownCall>>,
}

carried!(MenderState { calls, names, forms });

impl Mender {
    pub fn into_state(self) -> MenderState {
        let Self { mends: _, calls, names, forms } = self;
        MenderState { calls, names: names.map(CallNames::into_state), forms: forms.map(FormsOfStream::into_state) }
    }

    /// Goes on from `state`, of a mender with the same options; nothing if these are others.
    pub fn from_state(options: &DecodeOptions, state: MenderState) -> Option<Self> {
        let MenderState { calls, names, forms } = state;
        let mender = Self::new(options.mends, &options.names, &options.forms)?;
        let names = match (mender.names, names) {
            (Some(fresh), Some(kept)) => Some(fresh.go_on(kept)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        let forms = match (mender.forms, forms) {
            (Some(fresh), Some(calls)) => Some(fresh.go_on(calls)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        Some(Self { mends: mender.mends, calls, names, forms })
    }
}

/// What is known of the calls of a stream, by choice.
#[derive(Debug, Default)]
struct Calls {
    choices: BTreeMap<u64, Known>,
    any: bool,
}

carried!(Calls { choices, any });

/// The calls of a choice.
#[derive(Debug, Default)]
struct Known {
    count: usize,
    /// The place of each, by its id.
    ordinals: BTreeMap<String, usize>,
    /// The place of the last one that came with an index.
    places: BTreeMap<usize, usize>,
    /// What is known of the input of each.
    inputs: Vec<Input>,
}

carried!(Known { count, ordinals, places, inputs });

/// A call's name, and its input as far as it came.
#[derive(Debug, Default)]
struct Input {
    name: String,
    seen: InputSeen,
}

carried!(Input { name, seen });

impl Known {
    /// Whether a part with a name, but no id, begins another call than the one that its index has: with another name, or with
    /// further input where the input is whole.
    fn begins_another(&self, index: Option<usize>, name: &str, fragment: &str) -> bool {
        let place = index.and_then(|index| self.places.get(&index));
        let input = place.and_then(|place| self.inputs.get(*place));
        input.is_some_and(|input| input.name != name || (input.seen.is_closed() && !fragment.is_empty()))
    }
}

impl Mends {
    pub fn of(quirks: &[Quirk]) -> Self {
        Self {
            tool_calls: quirks.contains(&Quirk::ToolDeltaWithoutIndex),
            finish_reasons: quirks.contains(&Quirk::FinishReasons),
            thinking_parts: quirks.contains(&Quirk::ThinkingParts),
        }
    }

    /// Whether the provider's answers are mended at all.
    pub fn any(self) -> bool {
        self != Self::default()
    }

    /// One chunk of a stream, put right; nothing if it may pass as it came, as most chunks of text do.
    fn chunk(self, data: &[u8], calls: &mut Calls) -> Option<Vec<u8>> {
        let holds = |text: &str| may_hold(data, text);
        let calls_a_tool = self.tool_calls && (calls.any || holds("\"tool_calls\""));
        let ends_its_own_way = self.finish_reasons && (holds("\"model_length\"") || holds("\"error\""));
        // Within a text the quotation marks would be escaped.
        let may_think = self.thinking_parts && (holds("\"thinking\"") || holds("\"text\""));
        if !calls_a_tool && !ends_its_own_way && !may_think && holds("\"delta\"") {
            return None;
        }
        let mut chunk: Value = halves::value(data)?;
        if !self.rewrite(&mut chunk, "delta", calls) {
            return None;
        }
        serde_json::to_vec(&chunk).ok()
    }

    /// Puts the choices of an answer, or of a chunk, right; says whether there are any.
    fn rewrite(self, value: &mut Value, holder: &str, calls: &mut Calls) -> bool {
        let origin = origin(value);
        let mut failed = false;
        let Some(choices) = value.get_mut("choices").and_then(Value::as_array_mut) else { return false };
        for choice in choices {
            let Some(choice) = choice.as_object_mut() else { continue };
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or_default();
            if calls.choices.len() >= MAX_KNOWN && !calls.choices.contains_key(&index) {
                continue;
            }
            let known = calls.choices.entry(index).or_default();
            if holder == "delta" && choice.get(holder).is_none_or(Value::is_null) {
                choice.insert(holder.to_owned(), json!({}));
            }
            if let (true, Some(message)) = (self.thinking_parts, choice.get_mut(holder).and_then(Value::as_object_mut))
            {
                thinking_parts::flatten(message);
            }
            let parts = choice.get_mut(holder).and_then(|holder| holder.get_mut("tool_calls"));
            if let (true, Some(Value::Array(parts))) = (self.tool_calls, parts) {
                parts.iter_mut().for_each(|part| number(part, holder, &origin, known));
                calls.any |= known.count > 0;
            }
            let reason = choice.get("finish_reason").and_then(Value::as_str);
            failed |= self.finish_reasons && reason == Some("error");
            let right = match reason {
                Some("stop") if self.tool_calls && known.count > 0 => Some("tool_calls"),
                Some("model_length") if self.finish_reasons => Some("length"),
                _ => None,
            };
            if let Some(right) = right {
                choice.insert("finish_reason".to_owned(), right.into());
            }
        }
        if failed {
            value["error"] = json!({"type": "server_error", "message": "The answer ended with the reason `error`."});
        }
        true
    }
}

/// What tells the ids of one answer's calls from those of another, since a conversation holds the calls of many: the end of
/// the answer's own id, in characters that every provider takes.
fn origin(answer: &Value) -> String {
    let id = answer.get("id").and_then(Value::as_str).unwrap_or_default();
    let characters: Vec<char> = id.chars().filter(char::is_ascii_alphanumeric).collect();
    characters[characters.len().saturating_sub(ORIGIN_CHARS)..].iter().collect()
}

/// Gives a call its index and id. A part with a name and an id of its own begins a call, whatever its index (Gemini has sent
/// parallel calls with index 0 each, also without ids); without an index so does a part with a name, and any other belongs
/// to the last call.
fn number(part: &mut Value, holder: &str, origin: &str, known: &mut Known) {
    let Some(call) = part.as_object_mut() else { return };
    let id = call.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let inside = |name: &str| call.get("function").and_then(|function| function.get(name)).and_then(Value::as_str);
    let name = inside("name").filter(|name| !name.is_empty()).map(str::to_owned);
    let fragment = inside("arguments").unwrap_or_default().to_owned();
    let index = call.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
    let given = index.map(|index| known.places.get(&index).copied().unwrap_or(index));
    let same = id.as_ref().and_then(|id| known.ordinals.get(id).copied());
    let begins_another = id.is_none() && name.as_ref().is_some_and(|name| known.begins_another(index, name, &fragment));
    let ordinal = match same.or(given) {
        _ if begins_another => known.count,
        Some(ordinal) if same.is_some() || id.is_none() => ordinal.min(known.count),
        _ if name.is_some() || known.count == 0 => known.count,
        given => given.unwrap_or(known.count - 1).min(known.count),
    };
    if ordinal == known.count && known.count >= MAX_KNOWN {
        return;
    }
    if ordinal == known.count {
        let id = id.unwrap_or_else(|| match origin {
            "" => format!("call_{ordinal}"),
            origin => format!("call_{origin}_{ordinal}"),
        });
        call.insert("id".to_owned(), json!(id));
        if call.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
            call.insert("type".to_owned(), json!("function"));
        }
        known.ordinals.entry(id).or_insert(ordinal);
        known.inputs.push(Input { name: name.unwrap_or_default(), seen: InputSeen::default() });
        if let Some(index) = index {
            known.places.insert(index, ordinal);
        }
        known.count += 1;
    } else {
        // SDKs join what comes twice to what was sent, and an empty type is none.
        call.remove("id");
        call.remove("type");
        if let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) {
            function.remove("name");
        }
    }
    if let Some(input) = known.inputs.get_mut(ordinal) {
        input.seen.take_text(&fragment);
    }
    if holder == "delta" {
        call.insert("index".to_owned(), json!(ordinal));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::policy::Dialect;
    use crate::upstream::dialect::custom_tools::CustomNames;

    /// A call in an answer of a provider, with names and reasons whose letters stand in escapes.
    const ESCAPED: &str = r#"{"id":"i","choices":[{"index":0,"HOLDER":{"too\u006c_calls":[{"index":0,"id":"c","type":"function",
        "function":{"n\u0061me":"NAME","arguments":"{\"input\":\"x\"}"}}]},"finish_reason":"m\u006fdel_length"}]}"#;

    #[test]
    fn letters_in_escapes_are_the_same_letters() {
        let odd = RawValue::from_string(r#"[{"function":{"n\u0061me":"a.b"}}]"#.to_owned()).expect("JSON");
        let names = ToolNames::of_fields([Some(&odd), None], Dialect::OpenaiChat);
        let written = names.write("a.b".into()).into_owned();
        let mut forms = CallForms::default();
        forms.custom = CustomNames::new(["run".to_owned()].into());
        let mends = Mends { tool_calls: true, finish_reasons: true, thinking_parts: false };
        for (name, expected) in [(&*written, json!("a.b")), ("run", Value::Null)] {
            let answer = ESCAPED.replace("HOLDER", "message").replace("NAME", name);
            let options = DecodeOptions {
                mends,
                names: names.clone(),
                forms: forms.clone(),
                ..DecodeOptions::plain(Dialect::OpenaiChat, 7)
            };
            let answer: Value =
                serde_json::from_slice(&mend_answer(&options, answer.as_bytes()).expect("mended")).expect("JSON");
            let choice = &answer["choices"][0];
            let call = &choice["message"]["tool_calls"][0];
            assert_eq!((&call["function"]["name"], &choice["finish_reason"]), (&expected, &json!("length")));
            assert_eq!(call["custom"].is_null(), name != "run", "{answer}");

            let chunk = ESCAPED.replace("HOLDER", "delta").replace("NAME", name);
            let mut mender = Mender::new(mends, &names, &forms).expect("a mender");
            let mut told = vec![mender.mend(chunk.as_bytes()).expect("mended")];
            told.extend(mender.rest());
            let told: Vec<Value> = told.iter().map(|told| serde_json::from_slice(told).expect("JSON")).collect();
            let call = &told[0]["choices"][0]["delta"]["tool_calls"][0];
            assert_eq!(call["function"]["name"], expected, "{told:?}");
            assert_eq!(call["custom"].is_null(), name != "run", "{told:?}");
            assert_eq!(told.last().expect("a chunk")["choices"][0]["finish_reason"], "length");
        }
    }

    #[test]
    fn a_call_keeps_its_id_whatever_letters_of_its_first_part_are_escaped() {
        let mends = Mends { tool_calls: true, ..Mends::default() };
        let mut calls = Calls::default();
        let chunks = [r"too\u006c_calls", "tool_calls"].map(|name| {
            format!(r#"{{"id":"i","choices":[{{"index":0,"delta":{{"{name}":[{{"id":"c","function":{{"name":"f","arguments":""}}}}]}}}}]}}"#)
        });
        let ids = chunks.map(|chunk| {
            let mended = mends.chunk(chunk.as_bytes(), &mut calls).expect("mended");
            let mended: Value = serde_json::from_slice(&mended).expect("JSON");
            mended["choices"][0]["delta"]["tool_calls"][0]["id"].clone()
        });
        assert_eq!(ids, [json!("c"), Value::Null]);
    }

    #[test]
    fn what_is_kept_of_a_stream_is_bounded() {
        let mends = Mends { tool_calls: true, ..Mends::default() };
        let mut calls = Calls::default();
        for at in 0..3 * MAX_KNOWN {
            let call = json!({"id": format!("c{at}"), "function": {"name": "f", "arguments": ""}});
            let choices = json!([{"index": 0, "delta": {"tool_calls": [call]}}, {"index": at + 1, "delta": {}}]);
            let chunk = json!({"id": "a", "choices": choices}).to_string();
            let mended: Value =
                serde_json::from_slice(&mends.chunk(chunk.as_bytes(), &mut calls).expect("mended")).expect("JSON");
            let index = &mended["choices"][0]["delta"]["tool_calls"][0]["index"];
            assert_eq!(index.as_u64(), (at < MAX_KNOWN).then_some(at as u64));
        }
        assert_eq!(calls.choices.len(), MAX_KNOWN);
        assert_eq!(calls.choices[&0].ordinals.len(), MAX_KNOWN);
    }
}
