//! Joins a stream that broke with the one that takes its place, so that the client sees one answer.
//!
//! Works on the client's side of the relay, on OpenAI chunks of a single choice, whatever dialect they came from. What was
//! delivered is remembered; a replay is swallowed while it says the same and passed on from there; a continuation is passed
//! on at once. Tool calls are never spliced: they are held back until their choice has finished, so that a stream which
//! breaks inside one has delivered nothing of it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::upstream::dialect::is_reason;
use crate::wire::sse::Decoder;

/// More text, or longer tool calls, than this are not kept, and then the stream cannot be repaired.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// The channels of a delta that carry text.
const CHANNELS: [&str; 4] = ["content", "refusal", "reasoning_content", "reasoning"];

/// What a client has been given of one answer.
#[derive(Debug)]
pub struct Splice {
    decoder: Decoder,
    /// The first stream's, which all later chunks carry too.
    id: Option<String>,
    created: Option<u64>,
    channels: [Channel; CHANNELS.len()],
    /// Events since the first piece of a tool call.
    held: Vec<u8>,
    holds: bool,
    /// Whether a stream has taken the place of another.
    resumed: bool,
    repairable: bool,
}

#[derive(Debug, Default)]
struct Channel {
    delivered: String,
    /// How much of it a replay has said again.
    replayed: usize,
}

/// A replay says something else than what was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differs;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    created: Option<u64>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow, default)]
    audio: Option<&'a RawValue>,
}

impl Default for Splice {
    fn default() -> Self {
        Self {
            decoder: Decoder::default(),
            id: None,
            created: None,
            channels: Default::default(),
            held: Vec::new(),
            holds: false,
            resumed: false,
            repairable: true,
        }
    }
}

impl Splice {
    /// Whether another stream could take the place of this one.
    pub fn is_repairable(&self) -> bool {
        self.repairable
    }

    /// Whether the client gets exactly what comes in.
    pub fn is_transparent(&self) -> bool {
        !self.resumed && self.held.is_empty()
    }

    /// The answer's text as far as it was delivered.
    pub fn text(&self) -> &str {
        &self.channels[0].delivered
    }

    /// The stream broke, and one that begins anew takes its place.
    pub fn replay(&mut self) {
        self.restart();
        self.channels.iter_mut().for_each(|channel| channel.replayed = 0);
    }

    /// The stream broke, and one that goes on after [`Splice::text`] takes its place.
    pub fn go_on(&mut self) {
        self.restart();
        self.channels.iter_mut().for_each(|channel| channel.replayed = channel.delivered.len());
    }

    fn restart(&mut self) {
        self.decoder = Decoder::default();
        self.held.clear();
        self.holds = false;
        self.resumed = true;
    }

    /// Takes whole events and appends what the client gets for them to `out`.
    pub fn pass(&mut self, events: &[u8], out: &mut Vec<u8>) -> Result<(), Differs> {
        let mut decoder = std::mem::take(&mut self.decoder);
        decoder.space().extend_from_slice(events);
        // Events are bounded where they come in, so none is too long here.
        while let Ok(Some(event)) = decoder.next_event() {
            match event.data() {
                Some(data) if data.starts_with(b"{") => self.pass_chunk(event.raw, &data, out)?,
                Some(_) | None => out.extend_from_slice(event.raw),
            }
        }
        self.decoder = decoder;
        Ok(())
    }

    fn pass_chunk(&mut self, raw: &[u8], data: &[u8], out: &mut Vec<u8>) -> Result<(), Differs> {
        let Ok(chunk) = serde_json::from_slice::<Chunk<'_>>(data) else {
            // What cannot be read here cannot be compared later.
            self.repairable = false;
            out.extend_from_slice(raw);
            return Ok(());
        };
        self.id = self.id.take().or_else(|| chunk.id.map(Cow::into_owned));
        self.created = self.created.or(chunk.created);
        let choice = match chunk.choices.as_deref() {
            Some([choice]) if choice.index.unwrap_or_default() == 0 => choice,
            Some([]) | None => {
                self.put(raw, data, None, out);
                return Ok(());
            }
            Some(_) => {
                self.repairable = false;
                out.extend_from_slice(raw);
                return Ok(());
            }
        };
        let Some(delta) = &choice.delta else {
            self.put(raw, data, None, out);
            return Ok(());
        };
        self.repairable &= delta.audio.is_none();
        let calls = [delta.tool_calls, delta.function_call].into_iter().flatten();
        let calls = calls.filter(|value| !matches!(value.get(), "null" | "[]")).count() > 0;
        let finishes = choice.finish_reason.as_deref().is_some_and(is_reason);
        let new = self.compare(delta)?;
        if (calls || finishes) && self.channels.iter().any(|channel| channel.replayed < channel.delivered.len()) {
            return Err(Differs);
        }
        self.holds |= calls;
        if self.holds && !finishes && self.held.len() + raw.len() <= MAX_KEPT_BYTES {
            let mut held = std::mem::take(&mut self.held);
            self.put(raw, data, None, &mut held);
            self.held = held;
            return Ok(());
        }
        if self.holds {
            // The choice has finished, or its calls are too long to be held.
            out.append(&mut self.held);
            self.repairable = false;
        }
        let says_nothing = new.iter().all(|text| text.as_deref().is_none_or(str::is_empty));
        if self.resumed && says_nothing && !calls && !finishes {
            return Ok(());
        }
        for (channel, text) in self.channels.iter_mut().zip(&new) {
            channel.delivered.push_str(text.as_deref().unwrap_or_default());
            channel.replayed = channel.delivered.len();
            self.repairable &= channel.delivered.len() <= MAX_KEPT_BYTES;
        }
        self.put(raw, data, Some(&new), out);
        Ok(())
    }

    /// The delta's texts without what was delivered before.
    fn compare(&mut self, delta: &Delta<'_>) -> Result<[Option<String>; CHANNELS.len()], Differs> {
        let texts = [&delta.content, &delta.refusal, &delta.reasoning_content, &delta.reasoning];
        let mut new = [const { None }; CHANNELS.len()];
        for (position, text) in texts.into_iter().enumerate() {
            let Some(text) = text.as_deref() else { continue };
            let channel = &mut self.channels[position];
            let expected = &channel.delivered[channel.replayed..];
            let rest = match (text.strip_prefix(expected), expected.starts_with(text)) {
                (Some(rest), _) => {
                    channel.replayed = channel.delivered.len();
                    rest
                }
                (None, true) => {
                    channel.replayed += text.len();
                    ""
                }
                (None, false) => return Err(Differs),
            };
            new[position] = Some(rest.to_owned());
        }
        let is_behind = |channel: &Channel| channel.replayed < channel.delivered.len();
        let says_new = new.iter().any(|text| text.as_deref().is_some_and(|text| !text.is_empty()));
        if says_new && self.channels.iter().any(is_behind) {
            return Err(Differs);
        }
        Ok(new)
    }

    /// Appends a chunk: as it came, or with the first stream's identity and the texts in `new`.
    fn put(&self, raw: &[u8], data: &[u8], new: Option<&[Option<String>]>, out: &mut Vec<u8>) {
        let rewritten = self.resumed.then(|| serde_json::from_slice::<Value>(data).ok()).flatten();
        let Some(mut chunk) = rewritten else {
            out.extend_from_slice(raw);
            return;
        };
        if let Some(id) = &self.id {
            chunk["id"] = id.as_str().into();
        }
        if let Some(created) = self.created {
            chunk["created"] = created.into();
        }
        if let Some(delta) = chunk.pointer_mut("/choices/0/delta").and_then(Value::as_object_mut) {
            // The role was sent before; SDKs would join a second one to the first.
            delta.remove("role");
            for (name, text) in CHANNELS.iter().zip(new.unwrap_or_default()) {
                if let Some(text) = text {
                    delta.insert((*name).to_owned(), text.as_str().into());
                }
            }
        }
        out.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn chunk(id: &str, delta: Value, finish: Option<&str>) -> String {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"id": id, "created": 7, "choices": [choice]}))
    }

    fn text(id: &str, content: &str) -> String {
        chunk(id, json!({"content": content}), None)
    }

    fn role(id: &str) -> String {
        chunk(id, json!({"role": "assistant", "content": ""}), None)
    }

    fn call(id: &str, arguments: &str) -> String {
        let call = json!([{"index": 0, "id": "call", "function": {"name": "f", "arguments": arguments}}]);
        chunk(id, json!({"tool_calls": call}), None)
    }

    fn pass(splice: &mut Splice, events: &[String]) -> Result<String, Differs> {
        let mut out = Vec::new();
        for event in events {
            splice.pass(event.as_bytes(), &mut out)?;
        }
        Ok(String::from_utf8(out).expect("text"))
    }

    /// All content that a client of these events has.
    fn content(events: &str) -> String {
        let data = events.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        let chunks = data.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
        chunks.map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn a_stream_that_does_not_break_is_left_alone() {
        let events = [role("a"), text("a", "Hel"), ": ping\n\n".to_owned(), text("a", "lo")];
        let mut splice = Splice::default();
        assert_eq!(pass(&mut splice, &events).as_deref(), Ok(events.concat().as_str()));
        assert_eq!((splice.text(), splice.is_transparent()), ("Hello", true));
    }

    #[test]
    fn a_replay_is_swallowed_as_far_as_it_was_delivered() {
        let mut splice = Splice::default();
        let before = pass(&mut splice, &[role("a"), text("a", "Hello wo")]).expect("no replay");
        splice.replay();
        let events = [role("b"), text("b", "Hel"), text("b", "lo "), text("b", "world"), text("b", "!")];
        let after = pass(&mut splice, &events).expect("the same text");
        assert_eq!(content(&(before + &after)), "Hello world!");
        assert!(!after.contains("\"b\"") && !after.contains("role"), "one identity, one role: {after}");
        let end = pass(&mut splice, &[chunk("b", json!({}), Some("stop"))]).expect("an end");
        assert!(end.contains("\"stop\""), "{end}");
    }

    #[test]
    fn the_first_difference_ends_it() {
        for events in [
            vec![text("b", "Help")],
            vec![text("b", "Hel"), chunk("b", json!({}), Some("stop"))],
            vec![text("b", "Hel"), call("b", "{}")],
            vec![chunk("b", json!({"reasoning_content": "hm"}), None)],
        ] {
            let mut splice = Splice::default();
            pass(&mut splice, &[role("a"), text("a", "Hello")]).expect("no replay");
            splice.replay();
            assert_eq!(pass(&mut splice, &events), Err(Differs), "{events:?}");
        }
    }

    #[test]
    fn a_continuation_goes_on() {
        let mut splice = Splice::default();
        let before = pass(&mut splice, &[role("a"), text("a", "Hello ")]).expect("no replay");
        splice.go_on();
        let after = pass(&mut splice, &[role("b"), text("b", "world")]).expect("new text");
        assert_eq!(content(&(before + &after)), "Hello world");
    }

    #[test]
    fn nothing_of_an_unfinished_tool_call_is_delivered() {
        let mut splice = Splice::default();
        let before = pass(&mut splice, &[role("a"), text("a", "Look:"), call("a", "{\"x\":")]).expect("no replay");
        assert!(!before.contains("tool_calls") && !splice.is_transparent());
        splice.replay();
        let events = [role("b"), text("b", "Look:"), call("b", "{}"), chunk("b", json!({}), Some("tool_calls"))];
        let after = pass(&mut splice, &events).expect("the same text");
        assert_eq!(after.matches("tool_calls").count(), 2, "the call and the reason: {after}");
        assert!(!splice.is_repairable(), "a delivered call is not spliced");
    }

    #[test]
    fn several_choices_are_not_repaired() {
        let mut splice = Splice::default();
        let other = text("a", "x").replace("\"index\":0", "\"index\":1");
        assert_eq!(pass(&mut splice, std::slice::from_ref(&other)), Ok(other));
        assert!(!splice.is_repairable());
    }

    fn cuts(text: &str, at: &[usize]) -> Vec<String> {
        let mut cuts: Vec<usize> = at.iter().map(|at| at % (text.len() + 1)).chain([0, text.len()]).collect();
        cuts.sort_unstable();
        cuts.windows(2).map(|pair| text[pair[0]..pair[1]].to_owned()).collect()
    }

    proptest! {
        #[test]
        fn a_replay_in_any_pieces_gives_the_whole_text(
            whole in "[a-c ]{1,60}", broken_at in 0_usize..60, first in proptest::collection::vec(0_usize..60, 0..6),
            second in proptest::collection::vec(0_usize..60, 0..6),
        ) {
            let delivered = &whole[..broken_at % (whole.len() + 1)];
            let events = |id: &str, text_: &str, at: &[usize]| {
                cuts(text_, at).iter().map(|piece| text(id, piece)).collect::<Vec<_>>()
            };
            let mut splice = Splice::default();
            let before = pass(&mut splice, &events("a", delivered, &first)).expect("no replay");
            splice.replay();
            let after = pass(&mut splice, &events("b", &whole, &second)).expect("the same text");
            prop_assert_eq!(content(&(before + &after)), whole);
        }
    }
}
