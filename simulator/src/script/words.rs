//! The words of the script language, as errors and `docs/simulators.md` list them.

/// The words of the language, with the form of their value and what they do.
pub const WORDS: &[(&str, &str)] = &[
    ("ok", "a normal answer"),
    ("if=TEXT", "only for requests whose body contains TEXT; others pass by and leave the step for later"),
    ("delay=DURATION", "wait before the head"),
    ("first=DURATION", "send the head and the role chunk at once, then wait before the first piece of the answer"),
    ("gap=DURATION", "wait between the events of a stream"),
    ("status=CODE", "answer with this status and the provider's error body for it"),
    ("retry-after=VALUE", "add a retry-after header"),
    ("header=\"NAME: VALUE\"", "add a response header; may stand several times"),
    ("type=TEXT", "this content-type instead of the right one"),
    (
        "body=TEXT",
        "the body as given, with status 200 unless `status` says otherwise; `<key>` in it is the request's key",
    ),
    ("quota", "429 insufficient_quota"),
    ("html", "502 with an HTML page"),
    ("array", "503 with the error inside a JSON array"),
    ("flat", "400 with the fields of the error at the top, as older vLLM sends them"),
    ("list-message", "400 whose message is a list"),
    ("context-length", "400 context_length_exceeded"),
    ("content-policy", "400 content_policy_violation"),
    ("leak-key", "401 whose message repeats the whole key of the request"),
    ("retry-delay=TEXT", "429 in Google's form, with TEXT (`17s`) as the `retryDelay` of its `RetryInfo`"),
    ("rate-limit=DURATION", "429 whose rate-limit headers say that no request is left for so long"),
    ("close", "close the connection without a byte"),
    ("reset", "reset the connection without a byte"),
    ("hang", "never answer"),
    ("empty", "200 with an empty body"),
    ("garbage", "200 with a body, or an event, that is not JSON"),
    ("error-200", "200 with an error body"),
    ("cut=N", "drop the connection after N content events, or after N bytes of a whole answer"),
    ("stall=N", "send nothing more after N content events, or after N bytes of a whole answer"),
    ("truncate=N", "end the transfer in order after N content events, or after N bytes of a whole answer"),
    ("bad-event=N", "after N content events one that is broken off in mid-JSON, then the rest; half of a whole answer"),
    ("text-event=N", "after N content events one whose data is no JSON, then the rest; a whole answer is as usual"),
    ("noise=N", "after N content events a comment and, where events have names, one of an unknown name; then the rest"),
    (
        "line=N",
        "after the first content event a line of N bytes that never ends; a whole answer of N bytes without end",
    ),
    ("leak-event=N", "as `error-event`, with the request's key in the message"),
    ("error-event=N", "after N content events an error event, then the end; a whole answer is an error"),
    ("no-done", "a stream without its end marker"),
    ("no-finish", "a stream with its end marker but no finish_reason"),
    ("huge=N", "a text of N bytes, in a stream as one event"),
    ("events=N", "a stream of N content events"),
    ("bytes=N", "an answer text of N bytes"),
    ("text=TEXT", "exactly this answer text"),
    ("chunk=N", "the text, and the arguments of tool calls, in pieces of N bytes"),
    ("call=NAME", "a call of the tool NAME, after the text if `text`, `bytes` or `events` gives one"),
    ("arguments=TEXT", "exactly these arguments in every tool call"),
    ("refusal", "the model refuses to answer, after the text if `text`, `bytes` or `events` gives one"),
    ("finish=TEXT", "this finish_reason or stop_reason"),
    ("tier=NAME", "the classifier's tier"),
    ("confidence=NUMBER", "the classifier's confidence"),
    ("nonsense", "prose where JSON was asked for"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Script;

    #[test]
    fn every_documented_word_is_understood() {
        for (form, _) in WORDS {
            let example = match form.strip_suffix("=N") {
                Some(name) => format!("{name}=3"),
                None => form.replace("DURATION", "5ms").replace("CODE", "500").replace("NUMBER", "0.5"),
            };
            example.parse::<Script>().unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }

    #[test]
    fn the_documentation_lists_every_word() {
        let page = include_str!("../../../docs/simulators.md");
        for (form, meaning) in WORDS {
            let row = format!("| `{form}` | {meaning} |");
            assert!(page.contains(&row), "docs/simulators.md lacks the row {row}");
        }
    }
}
