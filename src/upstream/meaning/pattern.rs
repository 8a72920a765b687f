//! When a provider's name or words are met: lower-cased, with room for what stands between, and never inside quotes.

use memchr::memmem;

/// How much of a message is looked at, in bytes: what it is about stands at its beginning.
const MAX_TEXT_BYTES: usize = 2_048;
/// The most that a `*` in a phrase stands for, in bytes.
const MAX_GAP: usize = 80;
/// What stands for all that is quoted.
const QUOTED: char = '"';

/// A code, type or reason as it is compared: letters and digits, lower-cased.
pub fn name(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Whether a name is `known`, in which a `*` at either end stands for anything.
pub fn is_name(name: &str, known: &str) -> bool {
    match (known.strip_prefix('*'), known.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end),
        (_, Some(start)) => name.starts_with(start),
        (None, None) => name == known,
    }
}

/// A message as it is compared: lower-cased, with single spaces, and a sign in place of what it quotes, since that may be the
/// client's own text.
pub fn text(message: &str) -> String {
    let message = message[..message.floor_char_boundary(MAX_TEXT_BYTES)].replace('’', "'");
    let mut text = String::with_capacity(message.len());
    let mut open: Vec<char> = Vec::new();
    let mut before = ' ';
    let mut letters = message.chars().peekable();
    while let Some(letter) = letters.next() {
        let after = letters.peek().copied().unwrap_or(' ');
        let quote = match letter {
            '"' | '`' | '\'' => Some(letter),
            '“' | '”' => Some('”'),
            _ => None,
        };
        match quote {
            Some(quote) if open.contains(&quote) && !after.is_alphanumeric() => {
                while open.pop().is_some_and(|inner| inner != quote) {}
            }
            // An apostrophe stands behind a letter.
            Some(quote) if quote != '\'' || !before.is_alphanumeric() => {
                if open.is_empty() {
                    text.push(QUOTED);
                }
                open.push(quote);
            }
            Some(_) | None if !open.is_empty() => {}
            Some(_) | None if letter.is_whitespace() => {
                if !text.ends_with(' ') {
                    text.push(' ');
                }
            }
            Some(_) | None => text.extend(letter.to_lowercase()),
        }
        before = letter;
    }
    text
}

/// The part of a `text` that stands before all that it quotes.
pub fn before_quotation(text: &str) -> &str {
    text.find(QUOTED).map_or(text, |at| &text[..at])
}

/// Whether `phrase` begins at a word of `text`. In it `?` stands for one word or none, `*` for a few; `^` before it means
/// that the text begins with it.
pub fn is_in(text: &str, phrase: &str) -> bool {
    let literal = |phrase: &str| phrase.find(['?', '*']).unwrap_or(phrase.len());
    if let Some(phrase) = phrase.strip_prefix('^') {
        let (first, rest) = phrase.split_at(literal(phrase));
        return text.trim_start().strip_prefix(first).is_some_and(|behind| follows(behind, rest));
    }
    let (first, rest) = phrase.split_at(literal(phrase));
    memmem::find_iter(text.as_bytes(), first).any(|at| {
        let begins = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '_');
        begins && follows(&text[at + first.len()..], rest)
    })
}

/// Whether the rest of a phrase, which is nothing or begins with a `?` or `*`, follows at the beginning of `text`.
fn follows(text: &str, phrase: &str) -> bool {
    let Some((wildcard, rest)) = phrase.split_at_checked(1) else { return true };
    let (literal, beyond) = rest.split_at(rest.find(['?', '*']).unwrap_or(rest.len()));
    let reach = match wildcard {
        "?" => text.find(' ').unwrap_or(text.len()),
        _ => MAX_GAP,
    };
    let places = memmem::find_iter(text.as_bytes(), literal).take_while(|at| *at <= reach);
    let mut places = places.map(|at| &text[at + literal.len()..]);
    places.any(|behind| follows(behind, beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_not_read() {
        for (message, expected) in [
            ("The model `m-1` is gone", "the model \" is gone"),
            ("This model's  limit\nisn’t known", "this model's limit isn't known"),
            ("Bad value: 'it's low' here", "bad value: \" here"),
            (r#"Bad: "he said "low" to me", ok"#, r#"bad: ", ok"#),
            (r#"Bad: "a 'b" c"#, r#"bad: " c"#),
            ("Bad: “über low” now", "bad: \" now"),
            ("Bad: \"cut off somewh", "bad: \""),
            ("", ""),
        ] {
            assert_eq!(text(message), expected, "{message}");
        }
    }

    #[test]
    fn phrases_begin_at_words_and_have_room() {
        for (text, phrase, expected) in [
            ("the model x-1 does not exist", "model ? does not exist", true),
            ("the model of tool x does not exist", "model ? does not exist", false),
            ("the model \" does not exist", "model ? does not exist", true),
            ("user_location is not supported", "location is not supported", false),
            ("your location is not supported", "location is not supported", true),
            ("count (120) exceeds the maximum", "count * exceeds the maximum", true),
            ("count exceeds the maximum", "count * exceeds the maximum", false),
            ("count exceeds the maximum", "count *exceeds the maximum", true),
            ("request not allowed", "^request not allowed", true),
            ("a request not allowed", "^request not allowed", false),
            ("", "x", false),
        ] {
            assert_eq!(is_in(text, phrase), expected, "{text} / {phrase}");
        }
        let far = format!("count {} exceeds", "x ".repeat(60));
        assert!(!is_in(&far, "count *exceeds"));
    }

    #[test]
    fn names_are_compared_without_their_style() {
        assert_eq!(name("Insufficient-Quota_1"), "insufficientquota1");
        for (known, expected) in [("modelnotfound", true), ("model*", true), ("*found", true), ("model", false)] {
            assert_eq!(is_name("modelnotfound", known), expected, "{known}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(message in "\\PC{0,80}", quoted in "[\"'`“” a-z]{0,40}") {
            for message in [message, quoted] {
                let text = text(&message);
                is_in(&text, "a *b ?c");
            }
        }
    }
}
