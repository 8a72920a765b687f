//! Reads the script language. Every error names the column and says what would have been valid.

use super::fault::{ErrorBody, Fault};
use super::step::{Script, Step, Times};
use super::token::{ScriptError, Word};
use super::words::{Effect, WORDS};

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
        if let Some(times) = times(word)? {
            if index + 1 < words.len() {
                return Err(word.error(format!("`{}` must be the last word of its step", word.name)));
            }
            step.times = times;
            continue;
        }
        match effect(word)? {
            Effect::Plain(set) => set(&mut step, word)?,
            Effect::Fault(fault) => {
                word.no_value()?;
                set_fault(&mut step, fault.clone(), word)?;
            }
            Effect::Counted(fault) => set_fault(&mut step, fault(word.count()?), word)?,
            Effect::Status => status = Some((word, word.status()?)),
            Effect::Body(read, _) => {
                let given = read(word)?;
                if let Some((other, _)) = body {
                    return Err(word.error(format!("a step has one body, and `{}` is one already", other.name)));
                }
                body = Some((word, given));
            }
        }
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

fn effect(word: &Word) -> Result<&'static Effect, ScriptError> {
    let entry = WORDS.iter().find(|entry| entry.name() == word.name);
    entry.map(|entry| &entry.effect).ok_or_else(|| {
        let valid: Vec<&str> = WORDS.iter().map(|entry| entry.form).collect();
        word.error(format!(
            "unknown word `{}`; valid words are {}, and xN or * at the end of a step",
            word.name,
            valid.join(", ")
        ))
    })
}

fn times(word: &Word) -> Result<Option<Times>, ScriptError> {
    if word.name == "*" && word.value.is_none() {
        return Ok(Some(Times::Forever));
    }
    let Some(digits) = word.name.strip_prefix('x').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) else {
        return Ok(None);
    };
    match digits.parse() {
        Ok(count) if count > 0 && word.value.is_none() => Ok(Some(Times::Count(count))),
        _ => Err(word.error("a step is repeated with xN, N being at least 1, or with *".to_owned())),
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
