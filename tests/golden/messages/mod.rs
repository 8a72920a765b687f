//! The answers of all cases for a client of the Messages API: every stream is one that such clients read, however it was cut, and
//! says what a whole answer says.

mod calls;
mod joined;
mod states;
mod tables;
mod valid;

use proptest::prelude::*;
use serde_json::Value;
use tiergate::door::answer::AnswerOptions;
use tiergate::door::delivery::Delivery;
use tiergate::policy::Dialect;
use tiergate::upstream::dialect::DecodeOptions;
use tiergate::wire::door::Door;
use tiergate::wire::piece::{AsItCame, Said};

use crate::case::{Case, FOLDERS, Ways, cases};
use crate::continuation::Source;
use crate::continuation::fuzz::any_source;
use crate::gathered::read;

/// The id of a message that its provider has not named when it begins.
const UNNAMED: &str = "msg_1790000000";

/// What becomes of the bytes of a provider of the client's own API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    AsItCame,
    /// They are written anew, as where a stream takes the place of another.
    Rewritten,
}

impl Passing {
    fn of<'s>(self, said: &Said<'s>) -> Said<'s> {
        let came: Option<AsItCame<'s>> = said.came.filter(|_| self == Passing::AsItCame);
        Said { came, ..*said }
    }
}

/// What a client gets of a stream in these parts; nothing if that does not become whole.
fn deliver(
    Ways { reading, options }: &Ways,
    mut delivery: Delivery,
    parts: &[&[u8]],
    passing: Passing,
) -> Option<String> {
    assert_eq!(options.door, Door::Messages);
    let mut out = Vec::new();
    let is_whole = read(reading, parts, |said| {
        delivery.take(&passing.of(said), &mut out);
    });
    delivery.end(&mut out);
    is_whole.then(|| String::from_utf8(out).expect("UTF-8"))
}

/// The ways of a case for a client of the Messages API.
fn ways(case: &Case, shows_reasoning: bool) -> Ways {
    let Ways { reading, options } = case.ways();
    Ways { reading, options: AnswerOptions { door: Door::Messages, shows_reasoning, ..options } }
}

/// Every stream of a case that becomes whole.
fn each_stream(mut check: impl FnMut(&Case, &Ways, &str)) {
    let mut whole_streams = 0;
    for (dialect, folder, _) in FOLDERS {
        for path in cases(folder) {
            let case = Case::read(dialect, &path);
            let Some(events) = case.events() else { continue };
            let wire = events.concat();
            for shows_reasoning in [false, true] {
                let ways = ways(&case, shows_reasoning);
                if deliver(&ways, Delivery::whole(ways.options), &[wire.as_bytes()], Passing::Rewritten).is_some() {
                    whole_streams += 1;
                    check(&case, &ways, &wire);
                }
            }
        }
    }
    assert!(whole_streams > 80, "most cases' streams should become whole: {whole_streams}");
}

#[test]
fn every_case_is_a_valid_stream_and_says_what_the_whole_answer_says() {
    each_stream(|case, ways, wire| {
        let (name, rewritten) = (&case.name, Passing::Rewritten);
        let stream = |parts: &[&[u8]]| deliver(ways, Delivery::stream(ways.options, None), parts, rewritten);
        let whole = |parts: &[&[u8]]| deliver(ways, Delivery::whole(ways.options), parts, rewritten);
        let (streamed, body) = (stream(&[wire.as_bytes()]).expect("a stream"), whole(&[wire.as_bytes()]).expect("one"));
        // What is hidden is cut as what is shown.
        let places = if ways.options.shows_reasoning { 0..=wire.len() } else { 0..=0 };
        for at in places {
            let (head, tail) = wire.as_bytes().split_at(at);
            assert_eq!(stream(&[head, tail]).as_ref(), Some(&streamed), "{name} split at {at}");
            assert_eq!(whole(&[head, tail]).as_ref(), Some(&body), "{name} split at {at}");
        }
        let read = valid::message(&streamed).unwrap_or_else(|fault| panic!("{name}: {fault}\n{streamed}"));
        let mut gathered: Value = serde_json::from_str(&body).expect("JSON");
        valid::check_whole(&gathered).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        if read["id"] == UNNAMED {
            // Some name an answer late, or never.
            gathered["id"] = UNNAMED.into();
        }
        assert_eq!(read, gathered, "{name}");
    });
}

#[test]
fn what_a_provider_of_the_same_api_sends_goes_out_as_it_came() {
    each_stream(|case, ways, wire| {
        // Of a state the client gets a token.
        if case.dialect != Dialect::AnthropicMessages || ways.reading.sealer.is_some() {
            return;
        }
        let delivery = Delivery::stream(ways.options, None);
        assert!(!delivery.rewrites(case.dialect));
        // What becomes of the states in it is shown in `native`.
        let reading = DecodeOptions { sealer: None, ..ways.reading.clone() };
        let ways = Ways { reading, options: ways.options };
        let passed = deliver(&ways, delivery, &[wire.as_bytes()], Passing::AsItCame).expect("a stream");
        let is_known = |event: &str| event.starts_with("event: ") && !event.starts_with("event: message\n");
        let events =
            |text: &str| text.split("\n\n").filter(|event| is_known(event)).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(events(&passed), events(wire), "{}", case.name);
    });
}

/// What a client of any stream gets is valid, and what it says at its end is what a whole answer says.
fn check_any(source: &Source) -> Result<(), String> {
    let options = AnswerOptions { door: Door::Messages, ..source.encode };
    let ways = Ways { reading: source.decode.clone(), options };
    let wire = String::from_utf8_lossy(&source.wire);
    let (mut delivery, mut out) = (Delivery::stream(options, None), Vec::new());
    read(&ways.reading, &[wire.as_bytes()], |said| {
        delivery.take(&Passing::Rewritten.of(said), &mut out);
    });
    valid::is_valid_so_far(&String::from_utf8(out).expect("UTF-8"))?;
    let get = |delivery| deliver(&ways, delivery, &[wire.as_bytes()], Passing::Rewritten);
    let (Some(streamed), Some(body)) = (get(Delivery::stream(options, None)), get(Delivery::whole(options))) else {
        return Ok(());
    };
    let read = valid::message(&streamed)?;
    let whole: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
    valid::check_whole(&whole)?;
    if read == whole { Ok(()) } else { Err(format!("{read}\n{whole}")) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn streams_of_any_events_are_valid_and_say_what_the_whole_answer_says((source, _) in any_source()) {
        prop_assert_eq!(check_any(&source), Ok(()), "{}", String::from_utf8_lossy(&source.wire));
    }
}
