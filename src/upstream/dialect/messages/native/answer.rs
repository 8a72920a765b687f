//! Answers for a client that speaks this API itself: as they came, but for the state of thoughts, in whose place the gateway's
//! token goes down, and for the names of events, by which the API's SDKs read them and which not every provider writes.

use std::borrow::Cow;
use std::ops::Range;

use super::patch::Patch;
use super::thoughts::StatePlace;
use crate::upstream::sealer::{Sealer, Thought};
use crate::wire::containers::{elements, members};
use crate::wire::json::{fields_named, quoted, text};
use crate::wire::piece::{AsItCame, Came};

/// A state in the data of an event, and what goes down in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateSeen {
    /// Where it stands, in its quotation marks.
    pub place: Range<usize>,
    /// Empty where it cannot be sealed.
    pub token: String,
}

/// An event as a client of the same API may get it.
#[derive(Debug)]
pub struct PassedEvent<'e> {
    whole: Option<Cow<'e, [u8]>>,
    data: Option<Cow<'e, [u8]>>,
}

impl<'e> PassedEvent<'e> {
    /// As it came.
    pub fn as_came(whole: Option<&'e [u8]>, data: Option<&'e [u8]>) -> Self {
        Self { whole: whole.map(Cow::Borrowed), data: data.map(Cow::Borrowed) }
    }

    /// An event of this API, under the name that its data has; `whole` is all of it, if it is complete and has nothing but a
    /// name and data.
    pub fn new(whole: Option<&'e [u8]>, data: Option<&'e [u8]>, seen: Option<StateSeen>) -> Self {
        let Some(data) = data else { return Self { whole: None, data: None } };
        let whole = whole.filter(|whole| is_named_by(whole, data));
        let Some(StateSeen { place, token }) = seen else {
            let whole = whole.map(Cow::Borrowed).or_else(|| written(data).map(Cow::Owned));
            return Self { whole, data: Some(Cow::Borrowed(data)) };
        };
        let token = quoted(&token);
        let sealed = spliced(data, place, token.as_bytes());
        let whole = written(&sealed).map(Cow::Owned);
        Self { whole, data: Some(Cow::Owned(sealed)) }
    }

    /// What goes with its pieces; nothing for a comment.
    pub fn as_it_came(&self) -> Option<AsItCame<'_>> {
        let data = self.data.as_deref()?;
        Some(AsItCame { kind: Came::Event, whole: self.whole.as_deref(), data })
    }
}

fn spliced(bytes: &[u8], place: Range<usize>, new: &[u8]) -> Vec<u8> {
    let (head, tail) = (bytes.get(..place.start).unwrap_or_default(), bytes.get(place.end..).unwrap_or_default());
    [head, new, tail].concat()
}

/// Whether an event has the name that its data says.
fn is_named_by(whole: &[u8], data: &[u8]) -> bool {
    let end = whole.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(whole.len());
    let Some(name) = whole.get(..end).and_then(|line| line.strip_prefix(b"event:")) else { return false };
    let name = name.trim_ascii();
    let stands_first = data.strip_prefix(br#"{"type":""#).and_then(|rest| rest.strip_prefix(name));
    stands_first.is_some_and(|rest| rest.starts_with(b"\""))
        || type_of(data).is_some_and(|kind| kind.as_bytes() == name)
}

/// An event with this data, under its name; nothing if the data says none.
fn written(data: &[u8]) -> Option<Vec<u8>> {
    let kind = type_of(data).filter(|kind| !kind.is_empty() && !kind.contains(['\n', '\r']))?;
    let mut event = Vec::with_capacity(data.len() + kind.len() + 24);
    event.extend_from_slice(b"event: ");
    event.extend_from_slice(kind.as_bytes());
    for line in data.split(|byte| *byte == b'\n') {
        event.extend_from_slice(b"\ndata: ");
        event.extend_from_slice(line);
    }
    event.extend_from_slice(b"\n\n");
    Some(event)
}

fn type_of(data: &[u8]) -> Option<Cow<'_, str>> {
    let [kind] = fields_named(std::str::from_utf8(data).ok()?, &["type"]).ok()?;
    text(kind?)
}

/// A whole answer with tokens in place of the states in it; nothing if it has none.
pub fn seal_answer(sealer: &Sealer, body: &[u8]) -> Option<Vec<u8>> {
    let json = std::str::from_utf8(body).ok()?;
    let [content] = fields_named(json, &["content"]).ok()?;
    let mut patch = Patch::new(json);
    for block in elements(content?)? {
        let fields = members(block).unwrap_or_default();
        let Some(place) = StatePlace::find(&fields) else { continue };
        let Some(state) = place.state.filter(|state| !matches!(state.get(), "null" | "\"\"")) else { continue };
        let told = place.text();
        let token = told.decode().zip(text(state)).and_then(|(told, state)| {
            let thought = Thought { kind: place.kind, text: &told };
            sealer.seal(thought, &state)
        });
        patch.replace(state, quoted(&token.unwrap_or_default()));
    }
    match patch.finish() {
        Cow::Borrowed(_) => None,
        Cow::Owned(sealed) => Some(sealed.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_passes_under_the_name_that_its_data_says() {
        const PING: &str = r#"{"type":"ping"}"#;
        let named = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
        for (whole, data, expected) in [
            (Some(named), PING, Some(named)),
            (
                Some("event:ping\r\ndata:{\"type\":\"ping\"}\r\n\r\n"),
                PING,
                Some("event:ping\r\ndata:{\"type\":\"ping\"}\r\n\r\n"),
            ),
            (
                Some("event: ping\ndata: { \"type\": \"ping\" }\n\n"),
                "{ \"type\": \"ping\" }",
                Some("event: ping\ndata: { \"type\": \"ping\" }\n\n"),
            ),
            (Some("event: message\ndata: {\"type\":\"ping\"}\n\n"), PING, Some(named)),
            (Some("event: pin\ndata: {\"type\":\"ping\"}\n\n"), PING, Some(named)),
            (Some("data: {\"type\":\"ping\"}\n\n"), PING, Some(named)),
            (None, PING, Some(named)),
            (None, "{\"type\":\n\"ping\"}", Some("event: ping\ndata: {\"type\":\ndata: \"ping\"}\n\n")),
            (None, "{}", None),
            (Some("event: x\ndata: {}\n\n"), "{}", None),
            (None, r#"{"type":"a\nb"}"#, None),
        ] {
            let passed = PassedEvent::new(whole.map(str::as_bytes), Some(data.as_bytes()), None);
            let came = passed.as_it_came().expect("data");
            assert_eq!(
                came.whole.map(|whole| String::from_utf8_lossy(whole).into_owned()).as_deref(),
                expected,
                "{whole:?}"
            );
            assert_eq!(came.data, data.as_bytes());
        }
        assert!(PassedEvent::new(None, None, None).as_it_came().is_none());
    }

    #[test]
    fn only_the_state_changes_in_an_event() {
        let data =
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}, "x":1}"#;
        let at = data.find("\"c2ln\"").expect("a state");
        let whole = format!("event: content_block_delta\ndata: {data}\n\n");
        let seen = StateSeen { place: at..at + 6, token: "tgs1_a".to_owned() };
        let passed = PassedEvent::new(Some(whole.as_bytes()), Some(data.as_bytes()), Some(seen));
        let came = passed.as_it_came().expect("data");
        assert_eq!(came.data, data.replace("c2ln", "tgs1_a").as_bytes());
        assert_eq!(came.whole, Some(whole.replace("c2ln", "tgs1_a").as_bytes()));
    }

    #[test]
    fn only_states_change_in_a_whole_answer() {
        let sealer =
            Sealer::of_origin(["d", "p", "m"], &[crate::secret::Secret::new("a-root-of-enough-characters".to_owned())]);
        let sealer = sealer.expect("a root");
        let token = |kind, text, state| sealer.seal(Thought { kind, text }, state).expect("a token");
        use crate::wire::seal::SealKind;
        let body = r#"{ "id":"m", "content" : [{"type":"thinking","thinking":"h\u006d","signature":"c2ln"} ,
            {"type":"redacted_thinking","data":"eA=="},{"type":"thinking","thinking":"","signature":""},
            {"type":"text","text":"signature","signature":"c2ln"}],"signature":"x"}"#;
        let expected = body.replacen("c2ln", &token(SealKind::Signature, "hm", "c2ln"), 1).replacen(
            "eA==",
            &token(SealKind::Redacted, "", "eA=="),
            1,
        );
        assert_eq!(
            seal_answer(&sealer, body.as_bytes()).map(|sealed| String::from_utf8(sealed).expect("UTF-8")),
            Some(expected)
        );
        for without in [r#"{"content":[{"type":"text","text":"a"}]}"#, "{}", "x", r#"{"content":"a"}"#] {
            assert_eq!(seal_answer(&sealer, without.as_bytes()), None, "{without}");
        }
    }
}
