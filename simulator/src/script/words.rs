//! The words of the script language: the one table of how each is written, what it does, and what errors and
//! `docs/simulators.md` say of it.

use std::fmt;

use super::fault::{ErrorBody, Fault};
use super::quote::{duration, value};
use super::step::Step;
use super::token::{ScriptError, Word};
use super::trouble::Trouble;

/// A word of the language.
pub struct Entry {
    /// Its name and, after `=`, the form of its value.
    pub form: &'static str,
    pub meaning: &'static str,
    pub(super) effect: Effect,
}

/// What a word does.
pub(super) enum Effect {
    /// A condition, a wait, a header, or what the answer says.
    Plain(fn(&mut Step, &Word) -> Result<(), ScriptError>),
    Fault(Fault),
    /// A fault that happens after so many events or bytes, or is so long.
    Counted(fn(usize) -> Fault),
    Status,
    /// The body of an error, and the status that it has if the step gives none.
    Body(fn(&Word) -> Result<ErrorBody, ScriptError>, u16),
}

impl Entry {
    pub fn name(&self) -> &'static str {
        self.form.split('=').next().unwrap_or_default()
    }
}

pub const WORDS: &[Entry] = &[
    Entry { form: "ok", meaning: "a normal answer", effect: Effect::Plain(|_, word| word.no_value()) },
    Entry {
        form: "if=TEXT",
        meaning: "only for requests whose body contains TEXT; others pass by and leave the step for later",
        effect: Effect::Plain(|step, word| word.text().map(|text| step.only_if = Some(text))),
    },
    Entry {
        form: "delay=DURATION",
        meaning: "wait before the head",
        effect: Effect::Plain(|step, word| word.duration().map(|wait| step.delay = Some(wait))),
    },
    Entry {
        form: "first=DURATION",
        meaning: "send the head and the role chunk at once, then wait before the first piece of the answer",
        effect: Effect::Plain(|step, word| word.duration().map(|wait| step.first = Some(wait))),
    },
    Entry {
        form: "gap=DURATION",
        meaning: "wait between the events of a stream",
        effect: Effect::Plain(|step, word| word.duration().map(|wait| step.gap = Some(wait))),
    },
    Entry {
        form: "status=CODE",
        meaning: "answer with this status and the provider's error body for it",
        effect: Effect::Status,
    },
    Entry {
        form: "retry-after=VALUE",
        meaning: "add a retry-after header",
        effect: Effect::Plain(|step, word| word.text().map(|text| step.retry_after = Some(text))),
    },
    Entry {
        form: "header=\"NAME: VALUE\"",
        meaning: "add a response header; may stand several times",
        effect: Effect::Plain(add_header),
    },
    Entry {
        form: "type=TEXT",
        meaning: "this content-type instead of the right one",
        effect: Effect::Plain(|step, word| word.text().map(|text| step.content_type = Some(text))),
    },
    Entry {
        form: "body=TEXT",
        meaning: "the body as given, with status 200 unless `status` says otherwise; `<key>` in it is the request's key",
        effect: Effect::Body(|word| word.text().map(ErrorBody::Text), 200),
    },
    Entry {
        form: "error=TROUBLE",
        meaning: "the provider's own error, with its own status, for one of the troubles below",
        effect: Effect::Body(|word| Trouble::read(word).map(ErrorBody::Trouble), 400),
    },
    Entry {
        form: "quota",
        meaning: "429 insufficient_quota",
        effect: Effect::Body(|word| word.no_value().map(|()| ErrorBody::Quota), 429),
    },
    Entry {
        form: "html",
        meaning: "502 with an HTML page",
        effect: Effect::Body(|word| word.no_value().map(|()| ErrorBody::Html), 502),
    },
    Entry {
        form: "array",
        meaning: "503 with the error inside a JSON array",
        effect: Effect::Body(|word| word.no_value().map(|()| ErrorBody::Array), 503),
    },
    Entry {
        form: "flat",
        meaning: "400 with the fields of the error at the top, as older vLLM sends them",
        effect: Effect::Body(|word| word.no_value().map(|()| ErrorBody::Flat), 400),
    },
    Entry {
        form: "list-message",
        meaning: "400 whose message is a list",
        effect: Effect::Body(|word| word.no_value().map(|()| ErrorBody::ListMessage), 400),
    },
    Entry {
        form: "context-length",
        meaning: "400 context_length_exceeded",
        effect: Effect::Body(|word| word.no_value().map(|()| ErrorBody::ContextLength), 400),
    },
    Entry {
        form: "content-policy",
        meaning: "400 content_policy_violation",
        effect: Effect::Body(|word| word.no_value().map(|()| ErrorBody::ContentPolicy), 400),
    },
    Entry {
        form: "leak-key",
        meaning: "401 whose message repeats the whole key of the request",
        effect: Effect::Body(|word| word.no_value().map(|()| ErrorBody::LeakKey), 401),
    },
    Entry {
        form: "retry-delay=TEXT",
        meaning: "429 in Google's form, with TEXT (`17s`) as the `retryDelay` of its `RetryInfo`",
        effect: Effect::Body(|word| word.text().map(ErrorBody::RetryDelay), 429),
    },
    Entry {
        form: "rate-limit=DURATION",
        meaning: "429 whose rate-limit headers say that no request is left for so long",
        effect: Effect::Body(|word| word.duration().map(ErrorBody::RateLimit), 429),
    },
    Entry { form: "close", meaning: "close the connection without a byte", effect: Effect::Fault(Fault::Close) },
    Entry { form: "reset", meaning: "reset the connection without a byte", effect: Effect::Fault(Fault::Reset) },
    Entry { form: "hang", meaning: "never answer", effect: Effect::Fault(Fault::Hang) },
    Entry { form: "empty", meaning: "200 with an empty body", effect: Effect::Fault(Fault::Empty) },
    Entry {
        form: "garbage",
        meaning: "200 with a body, or an event, that is not JSON",
        effect: Effect::Fault(Fault::Garbage),
    },
    Entry { form: "error-200", meaning: "200 with an error body", effect: Effect::Fault(Fault::ErrorInside) },
    Entry {
        form: "cut=N",
        meaning: "drop the connection after N content events, or after N bytes of a whole answer",
        effect: Effect::Counted(Fault::Cut),
    },
    Entry {
        form: "stall=N",
        meaning: "send nothing more after N content events, or after N bytes of a whole answer",
        effect: Effect::Counted(Fault::Stall),
    },
    Entry {
        form: "truncate=N",
        meaning: "end the transfer in order after N content events, or after N bytes of a whole answer",
        effect: Effect::Counted(Fault::Truncate),
    },
    Entry {
        form: "bad-event=N",
        meaning: "after N content events one that is broken off in mid-JSON, then the rest; half of a whole answer",
        effect: Effect::Counted(Fault::BadEvent),
    },
    Entry {
        form: "text-event=N",
        meaning: "after N content events one whose data is no JSON, then the rest; a whole answer is as usual",
        effect: Effect::Counted(Fault::TextEvent),
    },
    Entry {
        form: "noise=N",
        meaning: "after N content events a comment and, where events have names, one of an unknown name; then the rest",
        effect: Effect::Counted(Fault::Noise),
    },
    Entry {
        form: "line=N",
        meaning: "after the first content event a line of N bytes that never ends; a whole answer of N bytes without end",
        effect: Effect::Counted(Fault::Line),
    },
    Entry {
        form: "leak-event=N",
        meaning: "as `error-event`, with the request's key in the message",
        effect: Effect::Counted(Fault::LeakEvent),
    },
    Entry {
        form: "error-event=N",
        meaning: "after N content events an error event, then the end; a whole answer is an error",
        effect: Effect::Counted(Fault::ErrorEvent),
    },
    Entry { form: "no-done", meaning: "a stream without its end marker", effect: Effect::Fault(Fault::NoDone) },
    Entry {
        form: "no-finish",
        meaning: "a stream with its end marker but no finish_reason",
        effect: Effect::Fault(Fault::NoFinish),
    },
    Entry {
        form: "huge=N",
        meaning: "a text of N bytes, in a stream as one event",
        effect: Effect::Counted(Fault::Huge),
    },
    Entry {
        form: "events=N",
        meaning: "a stream of N content events",
        effect: Effect::Plain(|step, word| word.count().map(|count| step.shape.events = Some(count))),
    },
    Entry {
        form: "bytes=N",
        meaning: "an answer text of N bytes",
        effect: Effect::Plain(|step, word| word.count().map(|count| step.shape.bytes = Some(count))),
    },
    Entry {
        form: "text=TEXT",
        meaning: "exactly this answer text",
        effect: Effect::Plain(|step, word| word.text().map(|text| step.shape.text = Some(text))),
    },
    Entry {
        form: "chunk=N",
        meaning: "the text, and the arguments of tool calls, in pieces of N bytes",
        effect: Effect::Plain(|step, word| word.positive().map(|count| step.shape.chunk = Some(count))),
    },
    Entry {
        form: "call=NAME",
        meaning: "a call of the tool NAME, after the text if `text`, `bytes` or `events` gives one",
        effect: Effect::Plain(|step, word| word.text().map(|text| step.shape.call = Some(text))),
    },
    Entry {
        form: "arguments=TEXT",
        meaning: "exactly these arguments in every tool call",
        effect: Effect::Plain(|step, word| word.text().map(|text| step.shape.arguments = Some(text))),
    },
    Entry {
        form: "refusal",
        meaning: "the model refuses to answer, after the text if `text`, `bytes` or `events` gives one",
        effect: Effect::Plain(|step, word| word.no_value().map(|()| step.shape.refusal = true)),
    },
    Entry {
        form: "redacted",
        meaning: "what a model of the Messages API thinks comes as `redacted_thinking`",
        effect: Effect::Plain(|step, word| word.no_value().map(|()| step.shape.redacted = true)),
    },
    Entry {
        form: "refuse-beta=NAME",
        meaning: "a request of the Messages API whose `anthropic-beta` has NAME is a 400 that says so",
        effect: Effect::Plain(|step, word| word.text().map(|beta| step.refused_beta = Some(beta))),
    },
    Entry {
        form: "finish=TEXT",
        meaning: "this finish_reason or stop_reason",
        effect: Effect::Plain(|step, word| word.text().map(|text| step.shape.finish = Some(text))),
    },
    Entry {
        form: "tier=NAME",
        meaning: "the classifier's tier",
        effect: Effect::Plain(|step, word| word.text().map(|text| step.shape.tier = Some(text))),
    },
    Entry {
        form: "confidence=NUMBER",
        meaning: "the classifier's confidence",
        effect: Effect::Plain(|step, word| word.number().map(|number| step.shape.confidence = Some(number))),
    },
    Entry {
        form: "nonsense",
        meaning: "prose where JSON was asked for",
        effect: Effect::Plain(|step, word| word.no_value().map(|()| step.shape.nonsense = true)),
    },
];

fn add_header(step: &mut Step, word: &Word) -> Result<(), ScriptError> {
    let text = word.text()?;
    let Some((name, value)) = text.split_once(':') else {
        return Err(word.error("`header` takes \"NAME: VALUE\"".to_owned()));
    };
    step.headers.push((name.trim().to_owned(), value.trim().to_owned()));
    Ok(())
}

impl Fault {
    /// After how many events or bytes it happens, or how long it is.
    fn count(&self) -> Option<usize> {
        match self {
            Fault::Huge(count)
            | Fault::Cut(count)
            | Fault::Stall(count)
            | Fault::Truncate(count)
            | Fault::ErrorEvent(count)
            | Fault::LeakEvent(count)
            | Fault::BadEvent(count)
            | Fault::TextEvent(count)
            | Fault::Noise(count)
            | Fault::Line(count) => Some(*count),
            Fault::Close
            | Fault::Reset
            | Fault::Hang
            | Fault::Empty
            | Fault::Garbage
            | Fault::ErrorInside
            | Fault::NoDone
            | Fault::NoFinish
            | Fault::Error { .. } => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Fault::Error { status, body } = self {
            let status = status.map(|status| format!("status={status}"));
            let words: Vec<String> = status.into_iter().chain(body.word()).collect();
            return f.write_str(&words.join(" "));
        }
        let count = self.count();
        let entry = WORDS.iter().find(|entry| match &entry.effect {
            Effect::Fault(fault) => fault == self,
            Effect::Counted(fault) => count.is_some_and(|count| fault(count) == *self),
            Effect::Plain(_) | Effect::Status | Effect::Body(..) => false,
        });
        let name = entry.map_or("", Entry::name);
        match count {
            Some(count) => write!(f, "{name}={count}"),
            None => f.write_str(name),
        }
    }
}

impl ErrorBody {
    /// The status that it has if a step gives none.
    pub fn usual_status(&self) -> u16 {
        self.entry().map_or(200, |(_, status)| status)
    }

    /// How it is written; nothing for the envelope, which every error has otherwise.
    fn word(&self) -> Option<String> {
        let (entry, _) = self.entry()?;
        let name = entry.name();
        Some(match self {
            ErrorBody::Text(text) | ErrorBody::RetryDelay(text) => format!("{name}={}", value(text)),
            ErrorBody::RateLimit(wait) => format!("{name}={}", duration(*wait)),
            ErrorBody::Trouble(trouble) => format!("{name}={}", trouble.as_str()),
            _ => name.to_owned(),
        })
    }

    /// The word that gives a body of this kind, and its status.
    fn entry(&self) -> Option<(&'static Entry, u16)> {
        let example = |name: &str| Word { column: 0, name: name.to_owned(), value: self.value() };
        WORDS.iter().find_map(|entry| match entry.effect {
            Effect::Body(read, status) if read(&example(entry.name())).is_ok_and(|body| body == *self) => {
                Some((entry, status))
            }
            _ => None,
        })
    }

    fn value(&self) -> Option<String> {
        match self {
            ErrorBody::Text(text) | ErrorBody::RetryDelay(text) => Some(text.clone()),
            ErrorBody::RateLimit(wait) => Some(duration(*wait)),
            ErrorBody::Trouble(trouble) => Some(trouble.as_str().to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Script;

    #[test]
    fn every_documented_word_is_understood() {
        for Entry { form, .. } in WORDS {
            let example = match form.strip_suffix("=N") {
                Some(name) => format!("{name}=3"),
                None => form
                    .replace("DURATION", "5ms")
                    .replace("CODE", "500")
                    .replace("NUMBER", "0.5")
                    .replace("TROUBLE", "key"),
            };
            example.parse::<Script>().unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }

    #[test]
    fn the_documentation_lists_every_word() {
        let page = include_str!("../../../docs/simulators.md");
        for Entry { form, meaning, .. } in WORDS {
            let row = format!("| `{form}` | {meaning} |");
            assert!(page.contains(&row), "docs/simulators.md lacks the row {row}");
        }
        for trouble in Trouble::ALL {
            assert!(page.contains(&format!("`{}`", trouble.as_str())), "docs/simulators.md lacks {trouble:?}");
        }
    }
}
