//! What an answer says: a text, tool calls, and why it ends. Nothing here knows a wire form or how a request looks.

use crate::script::{Fault, Shape, Step};

/// Arguments are streamed in pieces of about this many bytes, so that a stream can break within them.
const ARGUMENT_PIECE: usize = 12;

/// What a model says that will not answer.
pub const REFUSAL: &str = "I cannot help with that.";

#[derive(Clone, Debug)]
pub struct Said {
    /// The text as it is streamed, piece by piece; empty when only tools are called.
    pub pieces: Vec<String>,
    pub calls: Vec<Call>,
    pub ending: Ending,
}

#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    /// The JSON text as it is streamed.
    pub pieces: Vec<String>,
}

/// Why the answer ends where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    Whole,
    /// This stop sequence came.
    Stopped(String),
    Limit,
    Calls,
    Refused,
    /// In the provider's own word.
    Named(String),
}

impl Said {
    pub fn text(text: &str) -> Self {
        Self { pieces: words(text), calls: Vec::new(), ending: Ending::Whole }
    }

    pub fn calls(calls: Vec<Call>) -> Self {
        Self { pieces: Vec::new(), calls, ending: Ending::Calls }
    }

    /// The length of all that is said.
    pub fn bytes(&self) -> usize {
        let calls = self.calls.iter().flat_map(|call| &call.pieces);
        let names: usize = self.calls.iter().map(|call| call.name.len()).sum();
        self.pieces.iter().chain(calls).map(String::len).sum::<usize>() + names
    }
}

impl Call {
    pub fn new(name: &str, arguments: &str) -> Self {
        Self { name: name.to_owned(), pieces: pieces_of(arguments, ARGUMENT_PIECE) }
    }

    pub fn arguments(&self) -> String {
        self.pieces.concat()
    }
}

/// The text that the script dictates; `usual` fills what it leaves open. Of a text that goes on after `prefill`, the rest.
pub fn dictated(step: &Step, usual: &str, prefill: Option<&str>) -> Said {
    let shape = &step.shape;
    if let Some(Fault::Huge(bytes)) = step.fault {
        return Said { pieces: vec!["x".repeat(bytes)], ..Said::text("") };
    }
    if shape.nonsense {
        return Said::text("Hm, hard to say: that looks like a matter of taste to me.");
    }
    let text = match (&shape.text, shape.bytes, shape.events) {
        (Some(text), _, _) => text.clone(),
        (None, Some(bytes), _) => "lorem ipsum ".chars().cycle().take(bytes).collect(),
        (None, None, Some(events)) => (1..=events).map(|number| format!("piece{number} ")).collect(),
        (None, None, None) if shape.call.is_some() || shape.refusal => String::new(),
        (None, None, None) => usual.to_owned(),
    };
    let text = prefill.and_then(|prefill| text.strip_prefix(prefill)).unwrap_or(&text);
    match shape.events {
        Some(events) => Said { pieces: equal_pieces(text, events), ..Said::text("") },
        None => Said::text(text),
    }
}

/// Adds the call and the ending that the script dictates, sets arguments, and cuts all into the pieces it asks for.
/// `usual_arguments` are those of a call whose arguments are left open.
pub fn reshape(said: Said, shape: &Shape, usual_arguments: impl Fn(&str) -> String) -> Said {
    let Said { pieces, mut calls, mut ending } = said;
    if let Some(name) = &shape.call {
        calls = vec![Call::new(name, &usual_arguments(name))];
        ending = Ending::Calls;
    }
    if shape.refusal {
        ending = Ending::Refused;
    }
    if let Some(word) = &shape.finish {
        ending = Ending::Named(word.clone());
    }
    if let Some(arguments) = &shape.arguments {
        calls = calls.iter().map(|call| Call::new(&call.name, arguments)).collect();
    }
    let Some(chunk) = shape.chunk else {
        return Said { pieces, calls, ending };
    };
    for call in &mut calls {
        call.pieces = pieces_of(&call.arguments(), chunk);
    }
    Said { pieces: pieces_of(&pieces.concat(), chunk), calls, ending }
}

/// Applies stop sequences, and the token limit at four bytes a token, which arguments count for as well.
pub fn limit(mut said: Said, stops: &[&str], max_tokens: Option<usize>) -> Said {
    let text = said.pieces.concat();
    let stops = stops.iter().filter(|stop| !stop.is_empty());
    let found = stops.filter_map(|stop| text.find(stop).map(|at| (at, *stop))).min();
    let most = max_tokens.map_or(usize::MAX, |tokens| tokens.saturating_mul(4));
    if let Some((at, stop)) = found.filter(|(at, _)| *at <= most) {
        truncate(&mut said.pieces, at);
        said.calls.clear();
        said.ending = Ending::Stopped(stop.to_owned());
        return said;
    }
    let mut left = most;
    for pieces in std::iter::once(&mut said.pieces).chain(said.calls.iter_mut().map(|call| &mut call.pieces)) {
        let bytes = pieces.iter().map(String::len).sum();
        if left < bytes {
            truncate(pieces, left);
            said.ending = Ending::Limit;
        }
        left = left.saturating_sub(bytes);
    }
    if said.ending == Ending::Limit {
        said.calls.retain(|call| !call.pieces.is_empty());
    }
    said
}

/// Keeps `bytes` of the text, or somewhat fewer where a character would be split.
fn truncate(pieces: &mut Vec<String>, bytes: usize) {
    let mut left = bytes;
    pieces.retain_mut(|piece| {
        let all = piece.len();
        piece.truncate(piece.floor_char_boundary(left));
        // Nothing may follow a piece that lost its end.
        left = if piece.len() < all { 0 } else { left - all };
        !piece.is_empty()
    });
}

fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

/// Pieces of `bytes` bytes, or a little more where a character would be split.
fn pieces_of(text: &str, bytes: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(bytes.max(1).min(rest.len())));
        pieces.push(piece.to_owned());
        rest = after;
    }
    pieces
}

/// Exactly `count` pieces, as equal as characters allow; the last ones are empty if there are too few characters.
fn equal_pieces(text: &str, count: usize) -> Vec<String> {
    let mut rest = text;
    (0..count)
        .map(|index| {
            let left = count - index;
            let end = if left == 1 { rest.len() } else { rest.ceil_char_boundary(rest.len().div_ceil(left)) };
            let (piece, after) = rest.split_at(end);
            rest = after;
            piece.to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_pieces_keep_the_text_and_the_count() {
        for (text, count) in [("abcdefg", 3), ("äöü", 2), ("ab", 5), ("", 2), ("word", 1)] {
            let pieces = equal_pieces(text, count);
            assert_eq!(pieces.len(), count, "{text}");
            assert_eq!(pieces.concat(), text, "{text}");
        }
    }

    #[test]
    fn pieces_of_a_size_keep_the_text() {
        for (text, bytes, expected) in [("abcde", 2, 3), ("äöü", 1, 3), ("äöü", 3, 2), ("", 4, 0), ("ab", 9, 1)] {
            let pieces = pieces_of(text, bytes);
            assert_eq!((pieces.len(), pieces.concat().as_str()), (expected, text), "{text} {bytes}");
        }
    }

    #[test]
    fn limits_cut_text_first_then_arguments() {
        let said = || Said { calls: vec![Call::new("f", "{\"city\": \"Rome\"}")], ..Said::text("äb cd ") };
        let cases = [
            ("nothing", &[][..], None, "äb cd ", "{\"city\": \"Rome\"}", Ending::Whole),
            ("a stop", &["d", "cd"], None, "äb ", "", Ending::Stopped("cd".to_owned())),
            ("within the text", &[], Some(1), "äb ", "", Ending::Limit),
            ("within the arguments", &["zz"], Some(3), "äb cd ", "{\"cit", Ending::Limit),
            ("a limit before the stop", &["d"], Some(1), "äb ", "", Ending::Limit),
        ];
        for (name, stops, tokens, text, arguments, ending) in cases {
            let limited = limit(said(), stops, tokens);
            let call = limited.calls.first().map(Call::arguments).unwrap_or_default();
            assert_eq!((limited.pieces.concat().as_str(), call.as_str()), (text, arguments), "{name}");
            assert_eq!(limited.ending, ending, "{name}");
        }
    }
}
