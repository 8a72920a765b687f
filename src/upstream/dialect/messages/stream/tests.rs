use super::*;
use crate::policy::Dialect;
use crate::secret::Secret;
use crate::wire::piece::Finish;

/// The pieces of a stream, each as `check` sees it.
fn decode(events: &[&str]) -> String {
    let secret = Secret::new("a-root-of-enough-characters".to_owned());
    let sealer = Sealer::of_origin(["anthropic-messages", "p", "m"], &[secret]).map(Rc::new);
    let options = DecodeOptions { sealer, ..DecodeOptions::plain(Dialect::AnthropicMessages, 7) };
    let mut stream = MessagesStream::new(&options);
    let mut shown = Vec::new();
    for event in events {
        let mut pieces = Vec::new();
        stream.take(event.as_bytes(), &mut pieces).unwrap_or_else(|defect| panic!("{event}: {defect:?}"));
        shown.extend(pieces.iter().map(show));
    }
    shown.join(" ")
}

fn show(piece: &Piece<'_>) -> String {
    match piece {
        Piece::Start(Start { id, model, created, usage: _ }) => {
            let text =
                |text: &Option<JsonString<'_>>| text.as_ref().map_or("-".to_owned(), |text| text.inside().to_owned());
            format!("start({},{},{created})", text(id), text(model))
        }
        Piece::Begin { at, item } => match item {
            AnswerItem::Text => format!("{}:text", at.item),
            AnswerItem::Reasoning => format!("{}:reasoning", at.item),
            AnswerItem::Call(call) => format!("{}:call({:?})", at.item, call.kind),
        },
        Piece::Text { at, text } | Piece::Refusal { at, text } | Piece::Reasoning { at, text, .. } => {
            format!("{}={}", at.item, text.inside())
        }
        Piece::Sealed { at, sealed: Sealed { kind, text, token } } => {
            let state = token.rsplit('_').next().unwrap_or_default();
            format!("{}:{kind:?}({},{state})", at.item, text.inside())
        }
        Piece::Input { at, fragment } => format!("{}+{}", at.item, fragment.inside()),
        Piece::End { at, end } => format!("{}:{end:?}", at.item),
        Piece::Finish { finish: Finish { reason, word, stop_string, .. }, .. } => {
            format!("{reason:?}({},{:?})", word.inside(), stop_string.as_ref().map(JsonString::inside))
        }
        Piece::Usage { usage, .. } => format!("usage({:?})", usage.map(|usage| usage.output)),
        Piece::Alive(alive) => format!("{alive:?}"),
        Piece::Opaque(opaque) => opaque.name.clone().into_owned(),
    }
}

#[test]
fn blocks_are_items_with_ends_and_sealed_states() {
    let start = r#"{"type":"message_start","message":{"id":"m1","model":"m","usage":{"output_tokens":1}}}"#;
    let delta = |delta: &str| format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#);
    let begin = |block: &str| format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#);
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let finish = |reason: &str| {
        format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":"END"}},"usage":{{"output_tokens":9}}}}"#
        )
    };
    for (events, expected) in [
        (
            vec![
                begin(r#"{"type":"thinking","thinking":""}"#),
                delta(r#"{"type":"thinking_delta","thinking":"hm\n"}"#),
                delta(r#"{"type":"thinking_delta","thinking":"so"}"#),
                delta(r#"{"type":"signature_delta","signature":"c2ln"}"#),
                stop.to_owned(),
                begin(r#"{"type":"redacted_thinking","data":"eA=="}"#),
                stop.to_owned(),
                finish("pause_turn"),
            ],
            "0:reasoning Thinking 0=hm\\n 0=so 0:Signature(hm\\nso,c2ln) 0:Complete 0:reasoning \
             0:Redacted(,eA==) 0:Complete usage(Some(9)) Paused(pause_turn,Some(\"END\"))",
        ),
        (
            vec![
                r#"{"type":"ping"}"#.to_owned(),
                begin(r#"{"type":"text","text":""}"#),
                delta(r#"{"type":"text_delta","text":"Hi"}"#),
                finish("stop_sequence"),
            ],
            "Ping 0:text 0=Hi usage(Some(9)) 0:Complete StopString(stop_sequence,Some(\"END\"))",
        ),
        (
            vec![
                begin(r#"{"type":"thinking","thinking":"","signature":""}"#),
                delta(r#"{"type":"signature_delta","signature":"c2ln"}"#),
                finish("max_tokens"),
            ],
            "0:reasoning Thinking usage(Some(9)) 0:Cut Length(max_tokens,Some(\"END\"))",
        ),
        (
            vec![begin(r#"{"type":"thinking","thinking":"","signature":"c2ln"}"#), stop.to_owned(), finish("x")],
            "0:reasoning Thinking 0:Signature(,c2ln) 0:Complete usage(Some(9)) Other(x,Some(\"END\"))",
        ),
        (
            vec![begin(r#"{"type":"tool_use","id":"t","name":"f","input":{}}"#), finish("max_tokens")],
            "0:call(Function) usage(Some(9)) 0:Cut Length(max_tokens,Some(\"END\"))",
        ),
        (
            vec![begin(r#"{"type":"tool_use","id":"t","name":"f","input":{"a":1}}"#), finish("tool_use")],
            "0:call(Function) usage(Some(9)) 0+{\\\"a\\\":1} 0:Complete Calls(tool_use,Some(\"END\"))",
        ),
    ] {
        let events: Vec<&str> = std::iter::once(start).chain(events.iter().map(String::as_str)).collect();
        assert_eq!(decode(&events), format!("start(m1,m,7) {expected}"));
    }
}
