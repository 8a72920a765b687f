//! Reads the script language. Every error names the column and says what would have been valid.

use std::time::Duration;

use super::fault::{ErrorBody, Fault};
use super::step::{Script, Step, Times};
use super::words::WORDS;

/// Lists beyond this are a mistyped number, and building one would take the memory of the machine.
const MAX_COUNT: usize = 256 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Counted in characters from 1.
    pub column: usize,
    pub problem: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fault script, column {}: {}", self.column, self.problem)
    }
}

impl std::error::Error for ScriptError {}

struct Word {
    column: usize,
    name: String,
    value: Option<String>,
}

pub(super) fn parse(text: &str) -> Result<Script, ScriptError> {
    let mut steps: Vec<Step> = Vec::new();
    let mut endless: Option<usize> = None;
    for (column, words) in split(text)? {
        if let Some(star) = endless {
            let problem = "the step before repeats for ever and has no `if`, so this one is never reached".to_owned();
            return Err(ScriptError { column: column.max(star), problem });
        }
        let step = parse_step(&words)?;
        if step.times == Times::Forever && step.only_if.is_none() {
            endless = Some(column);
        }
        steps.push(step);
    }
    Ok(Script { steps })
}

/// The steps as words, each with the column it starts at. Only the last step may be empty.
fn split(text: &str) -> Result<Vec<(usize, Vec<Word>)>, ScriptError> {
    let mut steps = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut chars = text.chars().zip(1usize..).peekable();
    while let Some(&(c, column)) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
        } else if c == ';' {
            chars.next();
            let Some(first) = words.first() else {
                return Err(ScriptError {
                    column,
                    problem: "an empty step; write `ok` for a normal answer".to_owned(),
                });
            };
            steps.push((first.column, std::mem::take(&mut words)));
        } else {
            let mut name = String::new();
            while let Some((c, _)) = chars.next_if(|(c, _)| !c.is_whitespace() && *c != ';' && *c != '=') {
                name.push(c);
            }
            let value = match chars.next_if(|(c, _)| *c == '=') {
                Some(_) => Some(read_value(&mut chars, column)?),
                None => None,
            };
            words.push(Word { column, name, value });
        }
    }
    if let Some(first) = words.first() {
        steps.push((first.column, words));
    }
    Ok(steps)
}

fn read_value(
    chars: &mut std::iter::Peekable<impl Iterator<Item = (char, usize)>>,
    word_column: usize,
) -> Result<String, ScriptError> {
    let mut value = String::new();
    if chars.next_if(|(c, _)| *c == '"').is_none() {
        while let Some((c, _)) = chars.next_if(|(c, _)| !c.is_whitespace() && *c != ';') {
            value.push(c);
        }
        return Ok(value);
    }
    loop {
        let unclosed = || ScriptError { column: word_column, problem: "the quoted value is not closed".to_owned() };
        let (c, _) = chars.next().ok_or_else(unclosed)?;
        match c {
            '"' => return Ok(value),
            '\\' => {
                let (escaped, column) = chars.next().ok_or_else(unclosed)?;
                value.push(match escaped {
                    '"' | '\\' => escaped,
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => {
                        let problem = format!("unknown escape `\\{other}`; valid are \\\" \\\\ \\n \\r \\t");
                        return Err(ScriptError { column, problem });
                    }
                });
            }
            other => value.push(other),
        }
    }
}

fn parse_step(words: &[Word]) -> Result<Step, ScriptError> {
    let mut step = Step::default();
    let mut status: Option<(&Word, u16)> = None;
    let mut body: Option<(&Word, ErrorBody)> = None;
    for (index, word) in words.iter().enumerate() {
        let again = words[..index].iter().any(|earlier| earlier.name == word.name);
        if again && word.name != "header" {
            return Err(word.error(format!("`{}` stands twice in one step", word.name)));
        }
        if let Some(times) = word.times()? {
            if index + 1 < words.len() {
                return Err(word.error(format!("`{}` must be the last word of its step", word.name)));
            }
            step.times = times;
            continue;
        }
        if let Some(given) = word.body()? {
            if let Some((other, _)) = body {
                return Err(word.error(format!("a step has one body, and `{}` is one already", other.name)));
            }
            body = Some((word, given));
            continue;
        }
        let fault = match word.name.as_str() {
            "close" => word.no_value().map(|()| Fault::Close)?,
            "reset" => word.no_value().map(|()| Fault::Reset)?,
            "hang" => word.no_value().map(|()| Fault::Hang)?,
            "empty" => word.no_value().map(|()| Fault::Empty)?,
            "garbage" => word.no_value().map(|()| Fault::Garbage)?,
            "error-200" => word.no_value().map(|()| Fault::ErrorInside)?,
            "no-done" => word.no_value().map(|()| Fault::NoDone)?,
            "no-finish" => word.no_value().map(|()| Fault::NoFinish)?,
            "cut" => Fault::Cut(word.count()?),
            "stall" => Fault::Stall(word.count()?),
            "truncate" => Fault::Truncate(word.count()?),
            "bad-event" => Fault::BadEvent(word.count()?),
            "text-event" => Fault::TextEvent(word.count()?),
            "noise" => Fault::Noise(word.count()?),
            "leak-event" => Fault::LeakEvent(word.count()?),
            "line" => Fault::Line(word.count()?),
            "error-event" => Fault::ErrorEvent(word.count()?),
            "huge" => Fault::Huge(word.count()?),
            "status" => {
                status = Some((word, word.status()?));
                continue;
            }
            _ => {
                set_plain_word(&mut step, word)?;
                continue;
            }
        };
        set_fault(&mut step, fault, word)?;
    }
    if let Some(word) = body.as_ref().map(|(word, _)| *word).or(status.as_ref().map(|(word, _)| *word)) {
        let status = status.map(|(_, status)| status);
        let body = body.map_or(ErrorBody::Envelope, |(_, body)| body);
        set_fault(&mut step, Fault::Error { status, body }, word)?;
    }
    Ok(step)
}

fn set_fault(step: &mut Step, fault: Fault, word: &Word) -> Result<(), ScriptError> {
    if let Some(other) = &step.fault {
        return Err(word.error(format!("a step has one fault, and `{other}` is one already")));
    }
    step.fault = Some(fault);
    Ok(())
}

/// The words that are no fault: conditions, waits, headers and what the answer says.
fn set_plain_word(step: &mut Step, word: &Word) -> Result<(), ScriptError> {
    match word.name.as_str() {
        "ok" => word.no_value()?,
        "if" => step.only_if = Some(word.text()?),
        "delay" => step.delay = Some(word.duration()?),
        "first" => step.first = Some(word.duration()?),
        "gap" => step.gap = Some(word.duration()?),
        "retry-after" => step.retry_after = Some(word.text()?),
        "header" => {
            let text = word.text()?;
            let Some((name, value)) = text.split_once(':') else {
                return Err(word.error("`header` takes \"NAME: VALUE\"".to_owned()));
            };
            step.headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        "type" => step.content_type = Some(word.text()?),
        "chunk" => step.shape.chunk = Some(word.positive()?),
        "call" => step.shape.call = Some(word.text()?),
        "arguments" => step.shape.arguments = Some(word.text()?),
        "finish" => step.shape.finish = Some(word.text()?),
        "refusal" => {
            word.no_value()?;
            step.shape.refusal = true;
        }
        "text" => step.shape.text = Some(word.text()?),
        "bytes" => step.shape.bytes = Some(word.count()?),
        "events" => step.shape.events = Some(word.count()?),
        "tier" => step.shape.tier = Some(word.text()?),
        "confidence" => step.shape.confidence = Some(word.number()?),
        "nonsense" => {
            word.no_value()?;
            step.shape.nonsense = true;
        }
        unknown => {
            let valid: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
            let problem = format!(
                "unknown word `{unknown}`; valid words are {}, and xN or * at the end of a step",
                valid.join(", ")
            );
            return Err(word.error(problem));
        }
    }
    Ok(())
}

impl Word {
    fn error(&self, problem: String) -> ScriptError {
        ScriptError { column: self.column, problem }
    }

    fn times(&self) -> Result<Option<Times>, ScriptError> {
        if self.name == "*" && self.value.is_none() {
            return Ok(Some(Times::Forever));
        }
        let Some(digits) = self.name.strip_prefix('x').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        else {
            return Ok(None);
        };
        match digits.parse() {
            Ok(count) if count > 0 && self.value.is_none() => Ok(Some(Times::Count(count))),
            _ => Err(self.error("a step is repeated with xN, N being at least 1, or with *".to_owned())),
        }
    }

    /// The error body that the word names, if it names one.
    fn body(&self) -> Result<Option<ErrorBody>, ScriptError> {
        if let Some((_, named, _)) = ErrorBody::NAMED.iter().find(|(name, _, _)| *name == self.name) {
            return self.no_value().map(|()| Some(named.clone()));
        }
        Ok(match self.name.as_str() {
            "body" => Some(ErrorBody::Text(self.text()?)),
            "retry-delay" => Some(ErrorBody::RetryDelay(self.text()?)),
            "rate-limit" => Some(ErrorBody::RateLimit(self.duration()?)),
            _ => None,
        })
    }

    fn no_value(&self) -> Result<(), ScriptError> {
        match &self.value {
            None => Ok(()),
            Some(_) => Err(self.error(format!("`{}` takes no value", self.name))),
        }
    }

    fn text(&self) -> Result<String, ScriptError> {
        self.value.clone().ok_or_else(|| self.error(format!("`{0}` needs a value: {0}=...", self.name)))
    }

    fn count(&self) -> Result<usize, ScriptError> {
        match self.text()?.parse() {
            Ok(count) if count <= MAX_COUNT => Ok(count),
            _ => Err(self.error(format!("`{}` takes a whole number from 0 to {MAX_COUNT}", self.name))),
        }
    }

    fn positive(&self) -> Result<usize, ScriptError> {
        match self.count()? {
            0 => Err(self.error(format!("`{}` takes a number from 1", self.name))),
            count => Ok(count),
        }
    }

    fn status(&self) -> Result<u16, ScriptError> {
        match self.text()?.parse() {
            Ok(status @ 200..=599) => Ok(status),
            _ => Err(self.error("`status` takes a code from 200 to 599".to_owned())),
        }
    }

    fn number(&self) -> Result<f64, ScriptError> {
        match self.text()?.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.error(format!("`{}` takes a number such as 0.5", self.name))),
        }
    }

    fn duration(&self) -> Result<Duration, ScriptError> {
        let text = self.text()?;
        let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(millis), _) => millis.parse().ok().map(Duration::from_millis),
            (None, Some(seconds)) => seconds.parse().ok().map(Duration::from_secs),
            (None, None) => None,
        };
        parsed.ok_or_else(|| self.error(format!("`{}` takes a duration such as 250ms or 2s", self.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_place_and_what_is_valid() {
        let cases = [
            ("statsu=503", 1, "unknown word `statsu`; valid words are ok"),
            ("ok; ok; delya=1s", 9, "unknown word `delya`"),
            ("ok delay", 4, "`delay` needs a value"),
            ("delay=1", 1, "takes a duration such as 250ms"),
            ("delay=1.5s", 1, "takes a duration"),
            ("status=99", 1, "a code from 200 to 599"),
            ("cut=many", 1, "takes a whole number"),
            ("huge=99999999999", 1, "takes a whole number"),
            ("confidence=NaN", 1, "takes a number"),
            ("text=a chunk=0", 8, "takes a number from 1"),
            ("retry-delay", 1, "`retry-delay` needs a value"),
            ("quota retry-delay=1s", 7, "a step has one body, and `quota`"),
            ("rate-limit=1 ok", 1, "takes a duration"),
            ("close=1", 1, "`close` takes no value"),
            ("close reset", 7, "a step has one fault, and `close`"),
            ("quota close", 1, "a step has one fault, and `close`"),
            ("quota html", 7, "a step has one body, and `quota`"),
            ("delay=1s delay=2s", 10, "`delay` stands twice"),
            ("ok x0", 4, "N being at least 1"),
            ("x2 ok", 1, "must be the last word"),
            ("ok;; ok", 4, "an empty step"),
            ("ok *; ok", 7, "never reached"),
            ("text=\"abc", 1, "is not closed"),
            ("text=\"a\\qb\"", 9, "unknown escape `\\q`"),
            ("header=abc", 1, "takes \"NAME: VALUE\""),
        ];
        for (text, column, problem) in cases {
            let error = parse(text).expect_err(text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.problem.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn words_may_span_lines_and_end_with_a_separator() {
        let script = parse("status=503\n  retry-after=2 x2;\nok;\n").unwrap();
        assert_eq!(script.to_string(), "status=503 retry-after=2 x2; ok");
    }
}
