//! A whole answer for a chat client: pieces in, a chat completion out. Texts pass from JSON to JSON.

use crate::door::chat::answer::{AnswerOptions, CallShape, ClientUsage, unknown_id};
use crate::door::chat::reasoning;
use crate::wire::call::CallKind;
use crate::wire::json::JsonString;
use crate::wire::piece::{AnswerCall, AnswerItem, At, Finish, FinishReason, Piece, Said, Start};

/// The body that the client gets.
pub fn encode_answer(options: &AnswerOptions, said: &Said<'_>) -> Vec<u8> {
    let start = said.pieces.iter().find_map(|piece| if let Piece::Start(start) = piece { Some(start) } else { None });
    let Start { id, model, created, .. } = start.cloned().unwrap_or_default();
    let id = id.map_or_else(|| unknown_id(created), |id| id.get().to_owned());
    let model = model.unwrap_or(JsonString::empty());
    let model = model.get();
    let head = format!(r#"{{"id":{id},"object":"chat.completion","created":{created},"model":{model},"choices":["#);
    let mut out = head.into_bytes();
    let mut is_first = true;
    for piece in said.pieces {
        let Piece::Finish { choice, finish } = piece else { continue };
        if !std::mem::replace(&mut is_first, false) {
            out.push(b',');
        }
        Choice { options, said, number: *choice, finish }.write(&mut out);
    }
    out.push(b']');
    let usage = |piece: &Piece<'_>| if let Piece::Usage { usage, .. } = piece { *usage } else { None };
    if let Some(usage) = said.pieces.iter().rev().find_map(usage) {
        out.extend_from_slice(br#","usage":"#);
        ClientUsage::write(usage, &mut out);
    }
    out.push(b'}');
    out
}

/// One choice, with what the answer says of it.
struct Choice<'c> {
    options: &'c AnswerOptions,
    said: &'c Said<'c>,
    number: u64,
    finish: &'c Finish<'c>,
}

impl<'c> Choice<'c> {
    fn write(&self, out: &mut Vec<u8>) {
        let calls = self.calls();
        out.extend_from_slice(
            format!(r#"{{"index":{},"message":{{"role":"assistant","content":"#, self.number).as_bytes(),
        );
        let text = self.joined(|piece| if let Piece::Text { text, .. } = piece { Some(text) } else { None });
        let refusal = self.refusal();
        // A client that reads the content of an answer without calls expects text, if only an empty one.
        let is_text = text.is_some() || (calls.is_empty() && refusal.is_none());
        let text = text.or(is_text.then(|| "\"\"".to_owned()));
        out.extend_from_slice(text.as_deref().unwrap_or("null").as_bytes());
        out.extend_from_slice(br#","refusal":"#);
        out.extend_from_slice(refusal.as_deref().unwrap_or("null").as_bytes());
        let shown = |piece: &&Piece<'_>| self.options.shows(self.said.dialect, piece);
        let reasoning = self.joined(|piece| {
            let shown = Some(piece).filter(shown)?;
            if let Piece::Reasoning { text, .. } = shown { Some(text) } else { None }
        });
        if let Some(reasoning) = reasoning.filter(|text| text != "\"\"") {
            out.extend_from_slice(br#","reasoning_content":"#);
            out.extend_from_slice(reasoning.as_bytes());
        }
        self.write_state(out);
        match (self.options.calls, &calls[..]) {
            (_, []) => {}
            (CallShape::ToolCalls, calls) => {
                out.extend_from_slice(br#","tool_calls":["#);
                for (position, (at, call)) in calls.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    self.write_call(*at, call, out);
                }
                out.push(b']');
            }
            (CallShape::FunctionCall, [(at, call), ..]) => {
                out.extend_from_slice(br#","function_call":"#);
                self.write_tool(*at, call, out);
            }
        }
        let word = JsonString::encode(&self.options.finish_word(self.said.dialect, self.finish));
        out.extend_from_slice(format!(r#"}},"logprobs":null,"finish_reason":{}}}"#, word.get()).as_bytes());
    }

    /// The state of the reasoning, if there is any.
    fn write_state(&self, out: &mut Vec<u8>) {
        let own = self.said.pieces.iter().filter(|piece| piece.choice() == Some(self.number));
        let mut index = 0;
        for sealed in own.filter_map(|piece| self.options.state(piece)) {
            match index {
                0 => out.extend_from_slice(format!(r#","{}":["#, reasoning::FIELD).as_bytes()),
                _ => out.push(b','),
            }
            reasoning::write(sealed, index, out);
            index += 1;
        }
        if index > 0 {
            out.push(b']');
        }
    }

    fn refusal(&self) -> Option<String> {
        let said = self.joined(|piece| if let Piece::Refusal { text, .. } = piece { Some(text) } else { None });
        let why = self.finish.explanation.as_ref().filter(|_| self.finish.reason == FinishReason::Filtered);
        said.or_else(|| why.map(|why| why.get().to_owned()))
    }

    fn calls(&self) -> Vec<(At, &'c AnswerCall<'c>)> {
        let calls = self.said.pieces.iter().filter_map(|piece| match piece {
            Piece::Begin { at, item: AnswerItem::Call(call) } if at.choice == self.number => Some((*at, call)),
            _ => None,
        });
        calls.collect()
    }

    fn write_call(&self, at: At, call: &AnswerCall<'_>, out: &mut Vec<u8>) {
        let kind = if call.kind == CallKind::Custom { "custom" } else { "function" };
        let id = call.id.as_ref().map_or("null", JsonString::get);
        out.extend_from_slice(format!(r#"{{"id":{id},"type":"{kind}","{kind}":"#).as_bytes());
        self.write_tool(at, call, out);
        out.push(b'}');
    }

    fn write_tool(&self, at: At, call: &AnswerCall<'_>, out: &mut Vec<u8>) {
        let input = if call.kind == CallKind::Custom { "input" } else { "arguments" };
        let name = call.name.as_ref().map_or("\"\"", JsonString::get);
        out.extend_from_slice(format!(r#"{{"name":{name},"{input}":"#).as_bytes());
        let fragments = self.joined(|piece| match piece {
            Piece::Input { at: of, fragment } if *of == at => Some(fragment),
            _ => None,
        });
        out.extend_from_slice(fragments.as_deref().unwrap_or("\"\"").as_bytes());
        out.push(b'}');
    }

    /// All texts that `find` finds in the choice's pieces as one, as JSON; nothing if there are none.
    fn joined(&self, find: impl Fn(&'c Piece<'c>) -> Option<&'c JsonString<'c>>) -> Option<String> {
        let own = self.said.pieces.iter().filter(|piece| piece.choice() == Some(self.number));
        let mut joined = None;
        for text in own.filter_map(find) {
            joined.get_or_insert_with(|| String::from("\"")).push_str(text.inside());
        }
        joined.map(|text| text + "\"")
    }
}
