use super::*;
use crate::policy::Dialect;
use crate::wire::call::CallKind;
use crate::wire::json::JsonString;
use crate::wire::piece::{AnswerItem, At, FinishReason, ReasoningForm};

fn options() -> DecodeOptions {
    DecodeOptions::plain(Dialect::OpenaiChat, 7)
}

fn take(data: &str) -> Result<Vec<Piece<'_>>, Defect> {
    let mut pieces = Vec::new();
    ChatStream::new(&options()).take(data.as_bytes(), &mut pieces).map(|_| pieces)
}

#[test]
fn fields_are_read_in_any_order() {
    let data = r#"{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{}","name":"f"},"id":"c","index":4}],
        "content":"a\u00e4","reasoning":"r"},"finish_reason":"stop","index":2}],"created":3,"id":"x"}"#;
    let pieces = take(data).expect("an answer");
    assert!(matches!(&pieces[0], Piece::Start(start) if start.created == 3 && start.model.is_none()));
    let at = At { choice: 2, item: 4 };
    assert!(matches!(&pieces[1], Piece::Reasoning { form: ReasoningForm::Alias, .. }));
    assert!(matches!(&pieces[2], Piece::Text { at, text } if at.choice == 2 && text.get() == r#""a\u00e4""#));
    assert!(
        matches!(&pieces[3], Piece::Begin { at: of, item: AnswerItem::Call(call) } if *of == at && call.kind == CallKind::Function)
    );
    assert_eq!(pieces[4], Piece::Input { at, fragment: JsonString::encode("{}") });
    assert!(matches!(&pieces[5], Piece::Finish { choice: 2, finish } if finish.reason == FinishReason::Stop));
    assert_eq!(pieces.len(), 6);
}

#[test]
fn what_a_reason_means_is_known_by_every_word_for_it() {
    let chunk =
        |word: &str| format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"a"}},"finish_reason":"{word}"}}]}}"#);
    for (word, expected) in [
        ("stop", FinishReason::Stop),
        ("eos", FinishReason::Stop),
        ("tool_use", FinishReason::Calls),
        ("MAX_TOKENS", FinishReason::Length),
        ("model_length", FinishReason::Length),
        ("content_filter: SAFETY", FinishReason::Filtered),
        ("SAFETY", FinishReason::Filtered),
        ("new_word", FinishReason::Other),
    ] {
        let data = chunk(word);
        let pieces = take(&data).expect("an answer");
        let reason = pieces.iter().find_map(|piece| match piece {
            Piece::Finish { finish, .. } => Some(finish.reason),
            _ => None,
        });
        assert_eq!(reason, Some(expected), "{word}");
    }
    for word in ["error", "insufficient_system_resource", "abort", "MALFORMED_FUNCTION_CALL"] {
        assert_eq!(take(&chunk(word)).err(), Some(Defect::Error(ProviderError::default())), "{word}");
        let body = chunk(word).replace("delta", "message");
        let mut pieces = Vec::new();
        let read = decode_answer(body.as_bytes(), &options(), &mut pieces);
        assert_eq!(read, Err(Defect::Error(ProviderError::default())), "{word}");
    }
}

#[test]
fn a_call_in_both_forms_is_one() {
    let data = r#"{"choices":[{"index":0,"delta":{"function_call":{"name":"f","arguments":"{}"},
        "tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    assert_eq!(said(&take(data).expect("an answer")), "call=f input={}");
}

#[test]
fn a_whole_answer_of_nothing_is_none() {
    for message in [r#"{"role":"assistant","content":null}"#, r#"{"role":"assistant","content":"","tool_calls":[]}"#] {
        let body = format!(r#"{{"choices":[{{"index":0,"message":{message},"finish_reason":null}}]}}"#);
        let mut pieces = Vec::new();
        assert_eq!(decode_answer(body.as_bytes(), &options(), &mut pieces), Err(Defect::Undecodable), "{message}");
    }
}

/// The pieces that an answer is made of, each as a word and its text.
fn said(pieces: &[Piece<'_>]) -> String {
    let shown = pieces.iter().filter_map(|piece| match piece {
        Piece::Text { at, text } => Some(format!("{}={}", at.choice, text.inside())),
        Piece::Reasoning { text, .. } => Some(format!("thinks={}", text.inside())),
        Piece::Input { fragment, .. } => Some(format!("input={}", fragment.inside())),
        Piece::Begin { item: AnswerItem::Call(call), .. } => {
            Some(format!("call={}", call.name.as_ref().map_or("", JsonString::inside)))
        }
        Piece::Finish { choice, finish } => Some(format!("{choice}:{}", finish.word.inside())),
        Piece::Opaque(opaque) if opaque.is_answer => Some(format!("{}?", opaque.name)),
        _ => None,
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_field_of_a_delta_that_says_something_is_a_piece_of_the_answer() {
    for (delta, expected) in [
        (r#"{"content":[{"type":"thinking"}]}"#, "content?"),
        (r#"{"content":[{"type":"image_url"},{"type":"text","text":"a"}]}"#, "content?"),
        (r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":""}]}"#, "0=a"),
        (r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#, "thinks=hm"),
        (r#"{"content":[{"type":"thinking","thinking":"hm"},{"type":"text","text":"a"}]}"#, "thinks=hm 0=a"),
        (r#"{"content":[{"type":"thinking","thinking":[],"closed":true}]}"#, ""),
        (r#"{"tool_calls":["x"]}"#, "tool_calls?"),
        (r#"{"function_call":7}"#, "function_call?"),
        (r#"{"audio":{"data":"eA=="}}"#, "audio?"),
        (r#"{"role":"assistant","content":"","images":[{"url":"x"}]}"#, "images?"),
        (r#"{"reasoning_details":[{"type":"x"}]}"#, "reasoning_details?"),
        (r#"{"annotations":[1]}"#, "annotations?"),
        (r#"{"never_heard_of":1,"never_heard_of":"x"}"#, "never_heard_of?"),
        (r#"{"never_heard_of":1,"never_heard_of":null}"#, ""),
        (r#"{"annotations":null,"content":"","tool_calls":[],"images":[ ],"audio":{},"role":"assistant"}"#, ""),
        (r#"{"role":7}"#, ""),
        ("[]", ""),
    ] {
        let data = format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#);
        assert_eq!(said(&take(&data).expect(delta)), expected, "{delta}");
    }
}

#[test]
fn choices_that_a_provider_does_not_make_are_not_waited_for_once_it_says_that_it_is_done() {
    let options = DecodeOptions { choices: 2, ..options() };
    let one = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    let half = r#"{"choices":[{"index":1,"delta":{"content":"b"}}]}"#;
    for (events, expected) in [(&[one][..], true), (&[one, half], false), (&[], false)] {
        let mut stream = ChatStream::new(&options);
        for event in events {
            stream.take(event.as_bytes(), &mut Vec::new()).expect("an event");
        }
        assert!(!stream.is_finished(std::iter::empty()), "the second choice may still come: {events:?}");
        assert_eq!(stream.take(b"[DONE]", &mut Vec::new()), Ok(Heard::End));
        assert_eq!(stream.is_finished(std::iter::empty()), expected, "{events:?}");
    }
}

#[test]
fn what_is_no_delta_cannot_be_read() {
    for data in [
        r#"{"choices":[{"delta":7}]}"#,
        r#"{"choices":[{"delta":[7]}]}"#,
        r#"{"choices":["text"]}"#,
        r#"{"choices":{}}"#,
        r#"{"choices":[]} x"#,
        r#"{"choices":["#,
    ] {
        assert_eq!(take(data), Err(Defect::Undecodable), "{data}");
    }
    for data in [&b"{\"choices\":[{\"delta\":{\"content\":\"\xFF\"}}]}"[..], b"{\"\xC3\":1}"] {
        let mut pieces = Vec::new();
        assert_eq!(decode_answer(data, &options(), &mut pieces), Err(Defect::Undecodable));
    }
}

/// Also read from an object in place of the delta, as a whole answer has it.
#[test]
fn what_comes_twice_is_what_it_was_last() {
    for (choice, expected) in [
        (r#"{"delta":{"content":"a","content":"b"}}"#, "0=b"),
        (r#"{"delta":{"reasoning_content":"h","content":"a","reasoning_content":null}}"#, "0=a"),
        (r#"{"delta":{"content":"a"},"delta":{"content":"b"}}"#, "0=b"),
        (r#"{"delta":{"content":"a"},"message":{"content":"b"}}"#, "0=a"),
        (r#"{"message":{"content":"b"},"delta":{"content":"a"}}"#, "0=a"),
        (r#"{"message":{"content":"b"},"delta":null}"#, "0=b"),
        (r#"{"delta":{"content":"a"},"message":null}"#, "0=a"),
        (r#"{"delta":{"content":"a"},"finish_reason":"stop","finish_reason":null}"#, "0=a"),
        (r#"{"index":1,"delta":{"content":"a"},"index":2}"#, "2=a"),
        (
            r#"{"delta":{"tool_calls":[{"index":3,"index":0,"id":"c","function":{"name":"f","name":"g","arguments":"1","arguments":"2"}}]}}"#,
            "call=g input=2",
        ),
    ] {
        for data in [
            format!(r#"{{"choices":[{choice}]}}"#),
            format!(r#"{{"choices":[{{"delta":{{"content":"x"}}}}],"choices":[{choice}]}}"#),
        ] {
            assert_eq!(said(&take(&data).expect(&data)), expected, "{data}");
        }
    }
}

#[test]
fn what_is_not_needed_and_cannot_be_read_is_absent() {
    for (choice, expected) in [
        (r#"{"index":"0","delta":{"content":"a"}}"#, "0=a"),
        (r#"{"index":"2","delta":{"content":"a"}}"#, "2=a"),
        (r#"{"index":0.0,"delta":{"content":"a"}}"#, "0=a"),
        (r#"{"index":-1,"delta":{"content":"a"}}"#, "0=a"),
        (r#"{"index":{},"delta":{"content":"a"}},{"delta":{"content":"b"}}"#, "0=a 1=b"),
        (r#"{"delta":{"content":"\ud83d"}}"#, "0=\\ud83d"),
        (r#"{"delta":{"content":"a"},"finish_reason":""}"#, "0=a"),
        (r#"{"delta":{"content":"a"},"finish_reason":"null"}"#, "0=a"),
        (r#"{"delta":{"content":"a"},"finish_reason":" \n"}"#, "0=a"),
        (r#"{"delta":{"content":"a"},"finish_reason":false}"#, "0=a"),
        (r#"{"delta":{"content":"a"},"finish_reason":7}"#, "0=a"),
        (r#"{"delta":{"content":"a"},"finish_reason":{}}"#, "0=a"),
        (r#"{"delta":{"content":"a"},"finish_reason":"stop"}"#, "0=a 0:stop"),
        (r#"{"delta":{"content":"a"},"error":{}}"#, "0=a"),
        (
            r#"{"delta":{"tool_calls":[{"index":"1","id":7,"function":{"name":"f","arguments":"{}"}}]}}"#,
            "call=f input={}",
        ),
    ] {
        let around = r#""id":7,"model":7,"created":"x","object":7,"error":"","usage":"many""#;
        for data in [format!(r#"{{{around},"choices":[{choice}]}}"#), format!(r#"{{"choices":[{choice}],{around}}}"#)] {
            let pieces = take(&data).expect(&data);
            assert!(matches!(&pieces[0], Piece::Start(start) if start.id.is_none() && start.created == 7));
            assert_eq!(said(&pieces), expected, "{data}");
            let body = data.replace("\"delta\"", "\"message\"");
            let mut whole = Vec::new();
            decode_answer(body.as_bytes(), &options(), &mut whole).expect(&body);
            assert_eq!(said(&whole), expected, "{body}");
        }
    }
}

#[test]
fn an_error_that_says_nothing_is_none_beside_choices() {
    const ROLE: &str = r#"{"delta":{"role":"assistant","content":""}}"#;
    for error in [r#""""#, "{}", "[]", "false", "0", "null"] {
        for data in [
            format!(r#"{{"choices":[{ROLE}],"error":{error}}}"#),
            format!(r#"{{"choices":[{{"delta":{{"role":"assistant","content":""}},"error":{error}}}]}}"#),
            format!(r#"{{"choices":[],"usage":{{"prompt_tokens":9,"completion_tokens":2}},"error":{error}}}"#),
        ] {
            assert_eq!(said(&take(&data).expect(&data)), "", "{data}");
        }
    }
    for data in [r#"{"error":""}"#, r#"{"choices":null,"error":{"message":"busy"}}"#] {
        assert!(matches!(take(data), Err(Defect::Error(_))), "{data}");
    }
}

#[test]
fn usage_is_what_can_be_counted() {
    let read = |usage: &str| {
        let raw: &RawValue = serde_json::from_str(usage).expect("JSON");
        read_usage(raw).map(|usage| {
            let Usage { input, cached_input, output, reasoning, .. } = usage;
            [input, cached_input, output, reasoning]
        })
    };
    for (usage, expected) in [
        (r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}"#, Some([9, 0, 2, 0])),
        (r#"{"prompt_tokens":5.0,"completion_tokens":"2"}"#, Some([5, 0, 2, 0])),
        (r#"{"prompt_tokens":1,"prompt_tokens":9,"completion_tokens":2}"#, Some([9, 0, 2, 0])),
        // Reasoning beside the completion.
        (
            r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":111,"completion_tokens_details":{"reasoning_tokens":100}}"#,
            Some([9, 0, 102, 100]),
        ),
        (r#"{"prompt_tokens":9,"total_tokens":11}"#, Some([9, 0, 2, 0])),
        (r#"{"prompt_tokens":9,"completion_tokens":2,"total_tokens":0}"#, Some([9, 0, 2, 0])),
        (r#"{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":4}"#, Some([9, 4, 2, 0])),
        (r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_cache_hit_tokens":3}"#, Some([9, 3, 2, 0])),
        (
            r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":7,"completion_tokens_details":[]}"#,
            Some([9, 0, 2, 0]),
        ),
        (
            r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":-1}}"#,
            Some([9, 0, 2, 0]),
        ),
        // Unknown is not 0.
        (r#"{"prompt_tokens":1151,"completion_tokens":-35,"total_tokens":1116}"#, None),
        (r#"{"prompt_tokens":9,"completion_tokens":18446744073709551616}"#, None),
        (r#"{"prompt_tokens":{},"completion_tokens":2}"#, None),
        ("{}", None),
        ("7", None),
        (r#""""#, None),
    ] {
        assert_eq!(read(usage), expected, "{usage}");
    }
    let data = r#"{"choices":[{"delta":{},"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":2}}],"usage":null}"#;
    let pieces = take(data).expect("an answer");
    let is_told = |piece: &Piece<'_>| matches!(piece, Piece::Usage { usage, stands_alone: false, .. } if usage.is_some_and(|usage| usage.output == 2));
    assert!(pieces.iter().any(is_told), "usage in a choice");
}

#[test]
fn what_follows_a_reason_to_finish_shows_that_it_was_none() {
    const TEXT: &str = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
    const BOTH: &str = r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#;
    const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    const IMAGE: &str = r#"{"choices":[{"delta":{"images":[1]}}]}"#;
    const ABOUT: &str = r#"{"choices":[{"delta":{"annotations":[1]}}]}"#;
    const EMPTY: &str = r#"{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":""}]}"#;
    let settled = |stood_alone, went_on| Some(EndOfAnswer { stood_alone, went_on });
    for (events, expected) in [
        (vec![TEXT, EMPTY], None),
        (vec![TEXT, STOP], settled(true, false)),
        (vec![TEXT, STOP, STOP, EMPTY, ABOUT], settled(true, false)),
        (vec![BOTH], settled(false, false)),
        (vec![BOTH, TEXT], None),
        (vec![BOTH, IMAGE], None),
        (vec![BOTH, BOTH], settled(false, true)),
        (vec![BOTH, BOTH, STOP], settled(true, true)),
    ] {
        let mut stream = ChatStream::new(&options());
        for event in &events {
            stream.take(event.as_bytes(), &mut Vec::new()).expect("a chunk");
        }
        assert_eq!(stream.is_finished(std::iter::empty()).then(|| stream.end()), expected, "{events:?}");
    }
}
