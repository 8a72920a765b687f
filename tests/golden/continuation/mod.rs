//! A stream that is taken apart somewhere, written down, and put together again in another execution: its client gets the same
//! bytes, and the same is known of it at its end.

pub mod fuzz;

use std::rc::Rc;

use http::HeaderMap;
use serde_json::json;
use tiergate::attempt::answer_stream::{AnswerStream, Opening, Parts, StreamKeys, StreamState};
use tiergate::door::answer::{AnswerOptions, CallShape};
use tiergate::door::delivery::Delivery;
use tiergate::door::repair::Repair;
use tiergate::platform::ReadError;
use tiergate::policy::Dialect;
use tiergate::secret::Secret;
use tiergate::upstream::coding::PlainBody;
use tiergate::upstream::dialect::DecodeOptions;
use tiergate::upstream::sealer::Sealer;
use tiergate::upstream::stream::{Break, Progress, ProviderStream};
use tiergate::wire::call_tag::{CallTagger, CallTags, Origin};
use tiergate::wire::carried;
use tiergate::wire::door::Door;
use tiergate::wire::facts::AnswerFacts;

use crate::bodies::{Bodies, Body};
use crate::case::{Case, FOLDERS, Ways, cases};

/// A stream and its way to its client.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub wire: Vec<u8>,
    pub end: End,
    pub decode: DecodeOptions,
    pub encode: AnswerOptions,
    pub repair: Option<Repair>,
    /// What the keys of its sealer are made of.
    pub root: Option<Secret<String>>,
}

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Clean,
    /// Where its length says.
    AtItsLength,
    /// Before that.
    Short,
    Broken,
}

/// What is known of a stream once it has been read.
#[derive(Debug, PartialEq)]
struct Outcome {
    client: String,
    end: Result<Progress, Break>,
    facts: AnswerFacts,
    opening: Opening,
    ignored: u32,
    sealed_bytes: usize,
    is_alive: bool,
    has_differed: bool,
    is_rewritten: bool,
}

/// Whether what the client gets goes out as it comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    Nothing,
    All,
}

impl Source {
    fn of(case: &Case, door: Door) -> Option<Self> {
        let (wire, Ways { reading: decode, options }) = (case.events()?, case.ways());
        let (name, wire) = (format!("{} for {}", case.name, door.as_str()), wire.concat().into_bytes());
        let encode = AnswerOptions { door, ..options };
        Some(Self { name, wire, end: End::Clean, decode, encode, repair: None, root: case.root() })
    }

    fn named(&self, what: &str) -> Self {
        Self { name: format!("{}, {what}", self.name), ..self.clone() }
    }

    fn open(&self, body: Body) -> Box<AnswerStream<Bodies>> {
        let length = match self.end {
            End::Clean | End::Broken => None,
            End::AtItsLength => Some(self.wire.len()),
            End::Short => Some(self.wire.len() + 1),
        };
        let headers = length.map(|length| (http::header::CONTENT_LENGTH, length.into()));
        let body = PlainBody::new(body, &HeaderMap::from_iter(headers)).unwrap_or_else(|_| panic!("no coding"));
        let provider = ProviderStream::new(body, self.decode.clone(), None).expect("a dialect that is built");
        let is_translated = self.decode.dialect != self.encode.door.dialect();
        let origin = is_translated.then(|| Origin::of(["d", "p", "m"]));
        let delivery = Delivery::stream(self.encode, self.repair.clone()).tagged(self.tagger(origin));
        Box::new(AnswerStream::new(provider, delivery))
    }

    /// What tags calls of an origin, with a root of its own where the source has none.
    fn tagger(&self, origin: Option<Origin>) -> Option<Rc<CallTagger>> {
        let root = self.root.clone().unwrap_or_else(|| Secret::new("a-root-for-tags-of-enough-characters".to_owned()));
        CallTags::new(&[root])?.tagger(origin?)
    }

    /// The wire in these parts, as it comes.
    fn body(&self, places: &[usize]) -> Body {
        let mut body = Body::new();
        let mut from = 0;
        for to in places.iter().copied().chain([self.wire.len()]) {
            // Nothing would be the end.
            if from < to {
                body.push_back(Ok(self.wire[from..to].to_vec()));
            }
            from = to;
        }
        if self.end == End::Broken {
            body.push_back(Err(ReadError));
        }
        body
    }

    /// Reads the stream with a pause at each place, where `pause` may do something to it.
    fn read(
        &self,
        places: &[usize],
        holding: Holding,
        mut pause: impl FnMut(&mut Box<AnswerStream<Bodies>>),
    ) -> Outcome {
        let mut answer = self.open(self.body(places));
        let mut places = places.iter().copied().filter(|place| (1..=self.wire.len()).contains(place)).peekable();
        let mut client = Vec::new();
        let mut is_alive = false;
        let end = loop {
            let read = answer.read(&Bodies);
            if holding == Holding::Nothing {
                client.append(&mut answer.held);
            }
            match read {
                Ok(Progress::Ended) | Err(_) => break read,
                Ok(_) => {}
            }
            while places.next_if(|place| *place as u64 <= answer.provider.bytes).is_some() {
                pause(&mut answer);
            }
            is_alive |= answer.provider.take_alive();
        };
        client.append(&mut answer.held);
        is_alive |= answer.provider.take_alive();
        Outcome {
            client: String::from_utf8(client).expect("text"),
            end,
            opening: answer.opening(),
            ignored: answer.provider.ignored,
            sealed_bytes: answer.delivery.sealed_bytes,
            is_alive,
            has_differed: answer.delivery.has_differed(),
            is_rewritten: answer.is_rewritten(),
            facts: std::mem::take(&mut answer.delivery.facts),
        }
    }

    /// The stream in another execution, which has read `ahead` of its rest when it has read the state.
    fn carry(&self, answer: Box<AnswerStream<Bodies>>, ahead: usize) -> Box<AnswerStream<Bodies>> {
        let (bytes, is_given) = (answer.provider.bytes, answer.provider.is_pending());
        let Ok(Parts { state, held, mut rest, mut body }) = answer.into_parts() else { panic!("{}", self.name) };
        // What has not been read here has not been counted.
        let unread = if is_given { 0 } else { rest.len() as u64 };
        let written = carried::write(&state);
        let origin = state.sealer_origin();
        assert_eq!(origin.is_some(), self.decode.sealer.is_some(), "{}", self.name);
        let sealer = origin.zip(self.root.clone()).and_then(|(origin, root)| Sealer::of_origin(origin, &[root]));
        let tagger = self.tagger(state.tagged_origin());
        assert_eq!(tagger.is_some(), self.decode.dialect != self.encode.door.dialect(), "{}", self.name);
        let keys = StreamKeys { sealer: sealer.map(Rc::new), tagger };
        let state: StreamState = carried::read(&written).unwrap_or_else(|| panic!("{}", self.name));
        // The rest and what follows it come as one.
        if let Some(next) = body.pop_front_if(|next| next.is_ok()) {
            rest.extend(next.expect("bytes"));
        }
        let next = rest.split_off(ahead.min(rest.len()));
        if !next.is_empty() {
            body.push_front(Ok(next));
        }
        let parts = Parts { state, held, rest, body };
        let again = AnswerStream::from_parts(parts, keys).unwrap_or_else(|| panic!("{}", self.name));
        assert_eq!(again.provider.bytes + unread, bytes, "{}: what is read again is counted again", self.name);
        Box::new(again)
    }

    /// Whether the stream is the same with a continuation at each of these places.
    pub fn check(&self, places: &[usize], holding: Holding) {
        let expected = self.read(places, holding, |_| {});
        let mut ahead = places.iter().sum::<usize>() % 7;
        let continued = self.read(places, holding, |answer| {
            let taken = std::mem::replace(answer, self.open(Body::new()));
            *answer = self.carry(taken, ahead);
            ahead = (ahead * 5 + 1) % 97;
        });
        assert_eq!(continued, expected, "{} at {places:?}", self.name);
    }
}

const DOORS: [Door; 2] = [Door::Chat, Door::Messages];

/// The streams of all cases, for clients of each API.
fn sources() -> Vec<Source> {
    let folders =
        FOLDERS.iter().flat_map(|(dialect, folder, _)| cases(folder).into_iter().map(|path| (*dialect, path)));
    let cases = folders.map(|(dialect, path)| Case::read(dialect, &path));
    let sources: Vec<Source> = cases.flat_map(|case| DOORS.map(|door| Source::of(&case, door))).flatten().collect();
    assert!(sources.len() > 120, "the streams of the cases should be found: {}", sources.len());
    sources
}

/// What a client has of a source that broke off at its middle, for one that takes its place.
fn broken_in_the_middle(source: &Source) -> Repair {
    let source = Source { repair: Some(Repair::default()), end: End::Broken, ..source.clone() };
    let middle = Source { wire: source.wire[..source.wire.len() / 2].to_vec(), ..source };
    let mut answer = middle.open(middle.body(&[]));
    while let Ok(Progress::Preamble | Progress::Begun) = answer.read(&Bodies) {}
    answer.delivery.repair().unwrap_or_default()
}

/// The ways in which a stream may come, and be joined with one that broke.
fn variants(source: &Source) -> Vec<Source> {
    let cut = |source: Source, at: usize, end: End| Source { wire: source.wire[..at].to_vec(), end, ..source };
    let with = |source: Source, change: &dyn Fn(&mut Repair)| {
        let mut repair = broken_in_the_middle(&source);
        change(&mut repair);
        Source { repair: Some(repair), ..source }
    };
    let length = source.wire.len();
    let text = String::from_utf8(source.wire.clone()).expect("text");
    vec![
        Source { repair: Some(Repair::default()), ..source.named("that could be repaired") },
        with(source.named("that is a replay"), &Repair::replay),
        with(source.named("that goes on after another"), &Repair::go_on),
        with(source.named("that goes on after white space"), &|repair| {
            repair.go_on();
            repair.hides(" \n");
        }),
        Source { end: End::AtItsLength, ..source.named("with its length") },
        Source { end: End::Short, ..source.named("that is shorter than its length") },
        Source { end: End::Broken, ..source.named("that breaks at its end") },
        cut(source.named("that ends early"), length * 2 / 3, End::Clean),
        cut(source.named("that ends before its end"), length * 9 / 10, End::Clean),
        cut(source.named("that breaks"), length * 3 / 4, End::Broken),
        Source { wire: text.replace('\n', "\r\n").into(), ..source.named("with CRLF") },
        Source { wire: format!("\u{feff}{}", text.replace('\n', "\r")).into(), ..source.named("with a mark, and CR") },
        Source { wire: text.replace("\n\n", "\n\n\u{feff}").into(), ..source.named("with marks between") },
        Source {
            wire: format!("\n \n{}", text.replace("data: {", "data: \u{feff}{")).into(),
            ..source.named("with blanks")
        },
    ]
}

/// So many bytes apart, a few of a stream's places; each stream has others.
fn places(source: &Source, apart: usize) -> impl Iterator<Item = usize> {
    (1 + source.name.len() % apart..source.wire.len()).step_by(apart)
}

#[test]
fn every_stream_goes_on_at_every_place() {
    for source in sources() {
        let all: Vec<usize> = (1..source.wire.len()).collect();
        source.check(&all, Holding::Nothing);
        for place in places(&source, 29) {
            source.check(&[place], Holding::Nothing);
        }
        for place in places(&source, 97) {
            source.check(&[place, place + (source.wire.len() - place) / 3], Holding::All);
        }
    }
}

#[test]
fn streams_go_on_however_they_come() {
    for source in sources() {
        for variant in variants(&source) {
            variant.check(&places(&variant, 31).collect::<Vec<_>>(), Holding::All);
            for place in places(&variant, 109) {
                variant.check(&[place], Holding::Nothing);
            }
        }
    }
}

#[test]
fn streams_that_end_behind_any_event_go_on_to_that_end() {
    for source in sources() {
        for end in memchr::memmem::find_iter(&source.wire, "\n\n").map(|at| at + 2) {
            for (what, how) in [("that ends there", End::Clean), ("that breaks there", End::Broken)] {
                let cut = Source { wire: source.wire[..end].to_vec(), end: how, ..source.named(what) };
                cut.check(&[end], Holding::Nothing);
            }
        }
    }
}

#[test]
fn a_whole_answer_in_place_of_a_stream_goes_on_at_every_place() {
    for (dialect, body) in [
        (
            Dialect::OpenaiChat,
            json!({"id": "a", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "gr\u{f6}\u{df}e"}}]}),
        ),
        (
            Dialect::AnthropicMessages,
            json!({"id": "a", "model": "m", "type": "message", "stop_reason": "end_turn",
            "content": [{"type": "text", "text": "gr\u{f6}\u{df}e"}]}),
        ),
        (Dialect::OpenaiChat, json!({"error": {"message": "no"}})),
    ] {
        let source = Source {
            name: body.to_string(),
            wire: format!("\u{feff}\n{body}").into(),
            end: End::Clean,
            decode: DecodeOptions::plain(dialect, 7),
            encode: AnswerOptions {
                door: Door::Chat,
                includes_usage: true,
                calls: CallShape::ToolCalls,
                shows_reasoning: true,
            },
            repair: None,
            root: None,
        };
        for door in DOORS {
            let source = Source { encode: AnswerOptions { door, ..source.encode }, ..source.clone() };
            for place in 1..source.wire.len() {
                source.check(&[place], Holding::Nothing);
            }
        }
    }
}

#[test]
fn an_answer_that_goes_on_after_white_space_goes_on_at_every_place() {
    let texts = [" ", "\\n", "", "\\n\u{2003}", " w", "ord"];
    let chunk = |text: &&str| format!(r#"data: {{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
    let block = |text: &&str| {
        let delta = format!(r#"{{"type":"text_delta","text":"{text}"}}"#);
        format!(r#"data: {{"type":"content_block_delta","index":0,"delta":{delta}}}"#)
    };
    let start = r#"data: {"type":"message_start","message":{"id":"m","model":"m"}}"#.to_owned();
    let streams = [
        (Dialect::OpenaiChat, texts.iter().map(chunk).collect::<Vec<_>>()),
        (Dialect::AnthropicMessages, [start].into_iter().chain(texts.iter().map(block)).collect()),
    ];
    for ((dialect, events), hidden) in
        streams.iter().flat_map(|stream| [" ", " \n", "\n \n\n"].map(|text| (stream, text)))
    {
        let mut repair = Repair::default();
        repair.go_on();
        repair.hides(hidden);
        let source = Source {
            name: format!("{dialect} after {hidden:?}"),
            wire: (events.join("\n\n") + "\n\n").into(),
            end: End::Broken,
            decode: DecodeOptions::plain(*dialect, 7),
            encode: AnswerOptions {
                door: Door::Chat,
                includes_usage: true,
                calls: CallShape::ToolCalls,
                shows_reasoning: true,
            },
            repair: Some(repair),
            root: None,
        };
        for door in DOORS {
            let source = Source { encode: AnswerOptions { door, ..source.encode }, ..source.clone() };
            for place in 1..source.wire.len() {
                source.check(&[place], Holding::Nothing);
            }
        }
    }
}

#[test]
fn a_body_with_a_coding_is_given_back() {
    let coded = HeaderMap::from_iter([(http::header::CONTENT_ENCODING, http::HeaderValue::from_static("gzip"))]);
    let body = PlainBody::new(Body::new(), &coded).unwrap_or_else(|_| panic!("a coding that is known"));
    let options = DecodeOptions::plain(Dialect::OpenaiChat, 7);
    let provider = ProviderStream::<Bodies>::new(body, options, None).expect("a dialect that is built");
    let encode =
        AnswerOptions { door: Door::Chat, includes_usage: false, calls: CallShape::ToolCalls, shows_reasoning: false };
    assert!(Box::new(AnswerStream::new(provider, Delivery::stream(encode, None))).into_parts().is_err());
}

#[test]
fn an_answer_that_nobody_takes_over_is_as_it_was() {
    for source in sources() {
        let source = Source { repair: Some(Repair::default()), ..source };
        let middle = source.wire.len() / 2;
        let expected = source.read(&[middle], Holding::Nothing, |_| {});
        let outcome = source.read(&[middle], Holding::Nothing, |answer| {
            let texts = |answer: &AnswerStream<Bodies>| answer.delivery.repair().map(|repair| repair.text().to_owned());
            let known = texts(answer);
            let taken = std::mem::replace(answer, source.open(Body::new()));
            let parts = taken.into_parts().unwrap_or_else(|_| panic!("{}", source.name));
            let again =
                AnswerStream::from_parts(parts, StreamKeys::default()).unwrap_or_else(|| panic!("{}", source.name));
            assert_eq!(texts(&again), known, "{}: it can be repaired as before", source.name);
            *answer = source.carry(Box::new(again), middle % 5);
            assert!(answer.delivery.repair().is_none(), "{}: elsewhere it is not repaired", source.name);
        });
        assert_eq!(outcome, expected, "{}", source.name);
    }
}

#[test]
fn what_was_read_and_not_told_is_handed_over_from_elsewhere_too() {
    let source = &sources()[0];
    for place in places(source, 3) {
        let body = |answer: Box<AnswerStream<Bodies>>| {
            let (mut rest, body) = answer.provider.into_rest();
            rest.extend(body.into_iter().flat_map(|bytes| bytes.expect("no break")));
            rest
        };
        let half = || {
            let mut answer = source.open(source.body(&[place]));
            answer.read(&Bodies).expect("a part of a stream");
            answer
        };
        let expected = body(half());
        assert_eq!(body(source.carry(half(), place % 5)), expected, "{place}");
        let twice = source.carry(source.carry(half(), place % 5), place % 3);
        assert_eq!(body(twice), expected, "{place}");
    }
}

#[test]
fn what_another_build_wrote_is_no_state() {
    let source = &sources()[0];
    let mut answer = source.open(source.body(&[source.wire.len() / 2]));
    answer.read(&Bodies).expect("half a stream");
    let Ok(Parts { state, .. }) = answer.into_parts() else { panic!("no coding") };
    let written = String::from_utf8(carried::write(&state)).expect("text");
    assert!(carried::read::<StreamState>(written.as_bytes()).is_some());
    for (name, other) in [
        ("a part that is missing", written.replace(r#""went_on":false"#, "").replace(",}", "}").replace("{,", "{")),
        ("a part more", written.replace(r#""went_on""#, r#""new":1,"went_on""#)),
        ("another name", written.replace("went_on", "goes_on")),
        ("another type", written.replace(r#""went_on":false"#, r#""went_on":0"#)),
        ("another variant", written.replace(r#"["Begun"]"#, r#"["Over"]"#)),
        ("a variant with more", written.replace(r#"["Begun"]"#, r#"["Begun",1]"#)),
        ("something behind it", format!("{written}x")),
        ("not all", written[..written.len() - 1].to_owned()),
        ("nothing", String::new()),
    ] {
        assert_ne!(other, written, "{name}");
        assert!(carried::read::<StreamState>(other.as_bytes()).is_none(), "{name}: {other}");
    }
}
