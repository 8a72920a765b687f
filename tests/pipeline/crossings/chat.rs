//! What a client of the chat API reads in an answer, and what it relies on.

use serde_json::{Value, json};
use tiergate::wire::seal::is_token;
use tiergate::wire::usage::Usage;
use tiergate_simulator::description;

use super::told::{Called, Stop, Thought, Told};

const DONE: &str = "data: [DONE]\n\n";

/// An answer as far as it has come.
#[derive(Default)]
struct Reading {
    head: Option<[Value; 3]>,
    thoughts: String,
    details: Vec<Value>,
    text: String,
    refusal: Option<String>,
    calls: Vec<Value>,
    finish: Option<String>,
    usage: Option<Value>,
}

/// # Errors
/// Where it is no answer that every client reads.
pub fn read_whole(body: &str) -> Result<Told, String> {
    let completion: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    expect(
        description::faults("CreateChatCompletionResponse", &completion).is_empty(),
        "the description",
        &completion,
    )?;
    let [choice] = completion["choices"].as_array().map_or(&[][..], Vec::as_slice) else {
        return Err(format!("no choice, or several: {completion}"));
    };
    expect(choice["index"] == 0 && choice["message"]["role"] == "assistant", "no message", choice)?;
    let message = &choice["message"];
    expect(message["tool_calls"] != json!([]), "an empty list of calls", message)?;
    let mut reading = Reading { usage: completion.get("usage").cloned(), ..Reading::default() };
    reading.say(message)?;
    reading.calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
    reading.finish = choice["finish_reason"].as_str().map(str::to_owned);
    reading.told()
}

/// # Errors
/// Where it is no stream that every client reads.
pub fn read_stream(stream: &str) -> Result<Told, String> {
    read_events(stream.strip_suffix(DONE).ok_or("no end marker")?)?.told()
}

/// The error that ends a stream.
///
/// # Errors
/// Where none does, or what stands before it is no beginning of an answer.
pub fn read_broken(stream: &str) -> Result<Value, String> {
    let events = stream.strip_suffix("\n\n").ok_or("half an event")?;
    let (before, last) = events.rsplit_once("\n\n").ok_or("nothing before the error")?;
    let reading = read_events(&format!("{before}\n\n"))?;
    expect(reading.finish.is_none(), "a whole answer", &Value::Null)?;
    read_error(data(last)?)
}

/// # Errors
/// Where it is no error that every client reads.
pub fn read_error(body: &str) -> Result<Value, String> {
    let error: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let has = |name: &str| error["error"][name].is_string();
    expect(has("message") && has("type") && has("code") && error["error"].get("param").is_some(), "no error", &error)?;
    Ok(error)
}

fn expect(holds: bool, fault: &str, data: &Value) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{fault}: {data}")) }
}

fn data(event: &str) -> Result<&str, String> {
    let data = event.strip_prefix("data: ").filter(|data| !data.contains('\n'));
    data.ok_or_else(|| format!("no data: {event:?}"))
}

fn read_events(events: &str) -> Result<Reading, String> {
    let mut reading = Reading::default();
    for event in events.split_terminator("\n\n").filter(|event| !event.starts_with(':')) {
        let chunk = serde_json::from_str(data(event)?).map_err(|error| format!("{error}: {event}"))?;
        reading.take(&chunk).map_err(|fault| format!("{fault}: {chunk}"))?;
    }
    Ok(reading)
}

impl Reading {
    fn take(&mut self, chunk: &Value) -> Result<(), String> {
        let mut faults = description::faults("CreateChatCompletionStreamResponse", chunk);
        // The description knows calls of custom tools in whole answers only; the API streams them in the same form.
        faults.retain(|fault| !fault.contains("\"custom\" is not one of \"function\""));
        expect(faults.is_empty(), "the description", &json!(faults))?;
        let head = ["id", "created", "model"].map(|name| chunk[name].clone());
        let is_first = self.head.is_none();
        expect(self.head.get_or_insert_with(|| head.clone()) == &head, "another answer", chunk)?;
        expect(self.usage.is_none(), "behind the usage", chunk)?;
        let choice = match chunk["choices"].as_array().map_or(&[][..], Vec::as_slice) {
            [] => {
                expect(self.finish.is_some() && chunk["usage"].is_object(), "nothing", chunk)?;
                self.usage = Some(chunk["usage"].clone());
                return Ok(());
            }
            [choice] => choice,
            _ => return Err("several choices".to_owned()),
        };
        expect(choice["index"] == 0 && chunk["usage"].is_null(), "usage in the answer", chunk)?;
        expect(self.finish.is_none(), "behind the reason to finish", chunk)?;
        let delta = &choice["delta"];
        expect((delta["role"] == "assistant") == is_first, "the role, once", delta)?;
        expect(is_first || delta["role"].is_null(), "the role again", delta)?;
        self.say(delta)?;
        delta["tool_calls"].as_array().into_iter().flatten().try_for_each(|part| self.take_call(part))?;
        self.finish = choice["finish_reason"].as_str().map(str::to_owned);
        Ok(())
    }

    /// What is said in words, of a message or a delta.
    fn say(&mut self, message: &Value) -> Result<(), String> {
        self.text += message["content"].as_str().unwrap_or_default();
        self.thoughts += message["reasoning_content"].as_str().unwrap_or_default();
        if let Some(refusal) = message["refusal"].as_str() {
            self.refusal.get_or_insert_default().push_str(refusal);
        }
        for detail in message["reasoning_details"].as_array().into_iter().flatten() {
            expect(detail["index"] == self.details.len(), "a gap", detail)?;
            let token = detail["signature"].as_str().or(detail["data"].as_str());
            expect(token.is_some_and(is_token), "a state that is none of the gateway's", detail)?;
            self.details.push(detail.clone());
        }
        Ok(())
    }

    /// The first part of a call has all but its input; names of providers that split them come in parts.
    fn take_call(&mut self, part: &Value) -> Result<(), String> {
        let index = part["index"].as_u64().and_then(|index| usize::try_from(index).ok()).ok_or("no index")?;
        expect(index <= self.calls.len(), "a gap", part)?;
        let Some(call) = self.calls.get_mut(index) else {
            let kind = part["type"].as_str().ok_or("no type")?;
            let is_whole =
                part["id"].is_string() && part[kind]["name"].is_string() && part[kind][input(kind)].is_string();
            self.calls.push(part.clone());
            return expect(is_whole, "a call", part);
        };
        expect(part["id"].is_null() && part["type"].is_null(), "the call again", part)?;
        let kind = call["type"].as_str().unwrap_or_default().to_owned();
        for name in ["name", input(&kind)] {
            let [known, more] = [&call[&kind][name], &part[&kind][name]].map(|text| text.as_str().unwrap_or_default());
            call[&kind][name] = json!(format!("{known}{more}"));
        }
        Ok(())
    }

    fn told(self) -> Result<Told, String> {
        let thoughts = self.told_thoughts()?;
        let calls = self.calls.iter().map(called).collect::<Result<_, _>>()?;
        let mut ids: Vec<&str> = self.calls.iter().filter_map(|call| call["id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        expect(ids.len() == self.calls.len(), "ids of calls", &json!(self.calls))?;
        let stop = match self.finish.as_deref() {
            Some("stop") => Stop::Said,
            Some("tool_calls") => Stop::Calls,
            Some("length") => Stop::Length,
            Some("content_filter") => Stop::Refused,
            other => return Err(format!("no reason to finish: {other:?}")),
        };
        let usage = usage(&self.usage.ok_or("no usage")?)?;
        Ok(Told { thoughts, text: self.text, refusal: self.refusal, calls, stop, usage })
    }

    fn told_thoughts(&self) -> Result<Vec<Thought>, String> {
        let thought = |text: &str, has_state| Thought { text: text.to_owned(), has_state };
        if self.details.is_empty() {
            let shown = Some(&self.thoughts).filter(|text| !text.is_empty());
            return Ok(shown.map(|text| thought(text, false)).into_iter().collect());
        }
        let texts = self.details.iter().map(|detail| detail["text"].as_str().unwrap_or_default());
        expect(texts.clone().collect::<String>() == self.thoughts, "other thoughts", &json!(self.details))?;
        Ok(texts.map(|text| thought(text, true)).collect())
    }
}

fn input(kind: &str) -> &'static str {
    if kind == "custom" { "input" } else { "arguments" }
}

fn called(call: &Value) -> Result<Called, String> {
    let kind = call["type"].as_str().ok_or("no type")?;
    let (name, payload) = (call[kind]["name"].as_str(), call[kind][input(kind)].as_str());
    let (name, payload) = name.zip(payload).ok_or_else(|| format!("a call: {call}"))?;
    let input = match kind {
        "custom" => json!(payload),
        // Some models write nothing where there is nothing to say.
        _ if payload.is_empty() => json!({}),
        _ => serde_json::from_str(payload).map_err(|error| format!("{error}: {payload}"))?,
    };
    Ok(Called { name: name.to_owned(), input })
}

fn usage(usage: &Value) -> Result<Usage, String> {
    let of = |holder: &Value, name: &str| holder[name].as_u64().ok_or_else(|| format!("no {name}: {usage}"));
    let (input, output) = (&usage["prompt_tokens_details"], &usage["completion_tokens_details"]);
    let counted = Usage {
        input: of(usage, "prompt_tokens")?,
        cached_input: of(input, "cached_tokens")?,
        cache_write: of(input, "cache_write_tokens")?,
        output: of(usage, "completion_tokens")?,
        reasoning: of(output, "reasoning_tokens")?,
    };
    expect(of(usage, "total_tokens")? == counted.input + counted.output, "the sum", usage)?;
    Ok(counted)
}
