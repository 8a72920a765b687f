//! What a client may read of a provider's words, judged by their shape alone.
//!
//! No key is known here. Were a word hidden because it shares something with the key, a client could let a provider repeat
//! guesses and read the key from what is hidden. So a key is hidden since it looks like one, and so are many things that
//! look alike (ids of calls, digests); what is left are words, numbers, paths of fields and names of models.
//!
//! A word is what stands between white space and quotes; a run is what stands in it between other characters. Reckoned with
//! is a provider that repeats a key in any coding, not one that hides it on purpose: that one has the key anyway.

mod run;

use crate::mask::words::run::{Chain, Runs};

/// A longer text is cut before it is looked at.
pub const MAX_TEXT_BYTES: usize = 16 * 1024;
const MASK: &str = "[masked]";

/// A mixed run of so many characters, or several that have as many together, is no word.
const MAX_ODD_CHARS: usize = 8;
/// Nor is any run of so many.
const MAX_RUN_CHARS: usize = 20;
/// A number with more digits is hidden beside a part of a key.
const MAX_PLAIN_DIGITS: usize = 6;
/// Letters in an order of cases that no word has.
const MAX_IRREGULAR_CHARS: usize = 10;

/// What a text that is about keys speaks of, letters only. Not "token": context errors speak of those.
const CREDENTIALS: [&str; 8] =
    ["apikey", "authoris", "authoriz", "authentic", "bearer", "credential", "secretkey", "accesskey"];

/// What keys of well-known services begin with.
const PREFIXES: [&str; 15] = [
    "sk-", "sk_", "pk_", "rk_", "tg_", "gsk_", "xai-", "AIza", "AKIA", "ghp_", "hf_", "pplx-", "csk-", "nvapi-", "eyJ",
];
/// Shorter words are none of theirs.
pub const MIN_KEY_BYTES: usize = 12;

/// Whether a key of a well-known service begins in `word` and goes on for `min_bytes`.
pub fn looks_like_key(word: &str, min_bytes: usize) -> bool {
    let bytes = word.as_bytes();
    // Looked at byte by byte, since nearly every text of a request is shorter than what a searcher costs to make.
    let begins = |at: usize| at.checked_sub(1).is_none_or(|before| !bytes[before].is_ascii_alphanumeric());
    let starts = 0..(bytes.len() + 1).saturating_sub(min_bytes);
    starts.filter(|at| begins(*at)).any(|at| PREFIXES.iter().any(|prefix| bytes[at..].starts_with(prefix.as_bytes())))
}

/// What is to become of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Shown,
    /// Shown unless a part of a key stands beside it.
    Doubtful,
    /// Neither letters nor digits.
    Blank,
    Hidden,
}

/// `text` with every word masked that could be a part of a key, cut to about `limit` bytes. `is_named` says which words are
/// names that everybody may read. Nothing if the text speaks of keys, or if words in a row look like a key in pieces.
pub fn shown(text: &str, is_named: impl Fn(&str) -> bool, limit: usize) -> Option<String> {
    let was_cut = text.len() > MAX_TEXT_BYTES;
    let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    if speaks_of_credentials(text) {
        return None;
    }
    let mut words = Vec::new();
    let mut chain = Chain::default();
    let mut rest = text;
    while !rest.is_empty() {
        let at = rest.find(|character| !is_separator(character)).unwrap_or(rest.len());
        let (separator, tail) = rest.split_at(at);
        let (word, tail) = tail.split_at(tail.find(is_separator).unwrap_or(tail.len()));
        rest = tail;
        let bare = word.trim_matches(is_edge);
        let verdict = match is_named(bare) || is_time(bare) {
            true => Verdict::Shown,
            // What stands at the cut may be half a key.
            false if was_cut && tail.is_empty() => Verdict::Hidden,
            false => verdict(word, &mut chain),
        };
        if chain.is_a_key_in_pieces() {
            return None;
        }
        words.push((separator, word, verdict));
    }
    spread(words.iter_mut().map(|(_, _, verdict)| verdict));
    spread(words.iter_mut().rev().map(|(_, _, verdict)| verdict));
    hide_between(&mut words);
    Some(join(&words, limit))
}

/// What is doubtful is hidden after what is hidden: a key on several lines.
fn spread<'a>(verdicts: impl Iterator<Item = &'a mut Verdict>) {
    let mut is_near = false;
    for verdict in verdicts {
        match verdict {
            Verdict::Hidden => is_near = true,
            Verdict::Doubtful if is_near => *verdict = Verdict::Hidden,
            Verdict::Blank => {}
            Verdict::Shown | Verdict::Doubtful => is_near = false,
        }
    }
}

/// Hides a lone word between two that are hidden: a piece that looks like a word by chance.
fn hide_between(words: &mut [(&str, &str, Verdict)]) {
    // How many words were shown since the last that was hidden, and where.
    let (mut shown, mut place) = (usize::MAX, 0);
    for at in 0..words.len() {
        match words[at].2 {
            Verdict::Hidden => {
                if shown == 1 {
                    words[place].2 = Verdict::Hidden;
                }
                shown = 0;
            }
            Verdict::Blank => {}
            Verdict::Shown | Verdict::Doubtful => (shown, place) = (shown.saturating_add(1), at),
        }
    }
}

/// Masks that nothing but separators part are one, so that their number does not tell how long a key is.
fn join(words: &[(&str, &str, Verdict)], limit: usize) -> String {
    let mut text = String::with_capacity(limit + MASK.len());
    let mut last_mask = None;
    for (separator, word, verdict) in words {
        if *verdict == Verdict::Hidden {
            match last_mask {
                Some(end) => text.truncate(end),
                None => {
                    text.push_str(separator);
                    text.push_str(MASK);
                    last_mask = Some(text.len());
                }
            }
            continue;
        }
        if *verdict != Verdict::Blank {
            last_mask = None;
        }
        // What follows a mask may yet become a part of it.
        if text.len() > limit && last_mask.is_none() {
            break;
        }
        text.push_str(separator);
        text.push_str(word);
    }
    if text.len() > limit {
        let is_at_mask = text.ends_with(MASK) && text.len() <= limit + MASK.len();
        if !is_at_mask {
            text.truncate(text.floor_char_boundary(limit));
        }
        text.push('…');
    }
    text
}

fn is_separator(character: char) -> bool {
    character.is_whitespace() || matches!(character, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’' | '«' | '»')
}

fn is_edge(character: char) -> bool {
    ".,;:!?()[]{}<>*".contains(character)
}

fn speaks_of_credentials(text: &str) -> bool {
    let letters: Vec<u8> =
        text.bytes().filter(u8::is_ascii_alphabetic).map(|letter| letter.to_ascii_lowercase()).collect();
    CREDENTIALS.iter().any(|word| memchr::memmem::find(&letters, word.as_bytes()).is_some())
}

/// Whether a word could be a part of a key; what is not hidden of it is counted in `chain`.
fn verdict(word: &str, chain: &mut Chain) -> Verdict {
    let (mut here, mut beyond) = (Chain::default(), chain.clone());
    let (mut odd_chars, mut digits) = (0, 0);
    let mut verdict = Verdict::Blank;
    let mut runs = Runs::new(word);
    for run in runs.by_ref() {
        let is_long = run.chars() >= MAX_RUN_CHARS || (run.is_irregular() && run.chars() >= MAX_IRREGULAR_CHARS);
        if is_long && !run.is_known() {
            return Verdict::Hidden;
        }
        if run.is_mixed() || run.is_irregular() {
            odd_chars += run.chars();
        }
        here.add(&run);
        beyond.add(&run);
        digits += run.digits();
        verdict = match verdict {
            Verdict::Blank | Verdict::Shown if run.is_plain() && digits <= MAX_PLAIN_DIGITS => Verdict::Shown,
            Verdict::Blank | Verdict::Shown | Verdict::Doubtful | Verdict::Hidden => Verdict::Doubtful,
        };
    }
    let is_coded = escapes(word) >= 2 || runs.has_strange || is_starred(word) || looks_like_key(word, MIN_KEY_BYTES);
    if is_coded || odd_chars >= MAX_ODD_CHARS || here.is_a_key_in_pieces() {
        return Verdict::Hidden;
    }
    *chain = beyond;
    // A key that breaks off shortly after its prefix.
    if verdict == Verdict::Shown && looks_like_key(word, 0) { Verdict::Doubtful } else { verdict }
}

/// How many characters of `word` are written as codes: `%73`, `&#115;`, `\u0073`, `\x73`, `\163`.
fn escapes(word: &str) -> usize {
    let bytes = word.as_bytes();
    let hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    memchr::memchr3_iter(b'%', b'&', b'\\', bytes)
        .filter(|at| match (bytes[*at], bytes.get(at + 1)) {
            (b'%', _) => hex(at + 1) && hex(at + 2),
            (b'&', Some(b'#')) => digit(at + 2) || hex(at + 3),
            (b'\\', Some(b'u' | b'U' | b'x')) => hex(at + 2) || hex(at + 3),
            (b'\\', _) => digit(at + 1) && digit(at + 2),
            _ => false,
        })
        .count()
}

/// Whether the middle of a word is starred out, as providers do with keys.
fn is_starred(word: &str) -> bool {
    let mut stars = 0;
    let mut after_run = false;
    let mut dots_after_run = 0;
    for character in word.chars() {
        stars = if matches!(character, '*' | '•' | '●' | '█' | '∗') { stars + 1 } else { 0 };
        if stars >= 3 {
            return true;
        }
        match character {
            '.' if after_run => dots_after_run += 1,
            '…' if after_run => dots_after_run += 3,
            _ if character.is_alphanumeric() => {
                if dots_after_run >= 3 {
                    return true;
                }
                (after_run, dots_after_run) = (true, 0);
            }
            _ => (after_run, dots_after_run) = (false, 0),
        }
    }
    false
}

/// A date, a time, or both: `2026-11-22T12:00:00Z`.
fn is_time(word: &str) -> bool {
    word.len() <= 35
        && word.starts_with(|first: char| first.is_ascii_digit())
        && word.bytes().filter(u8::is_ascii_digit).count() >= 6
        && word.bytes().filter(u8::is_ascii_alphabetic).count() <= 2
        && humantime::parse_rfc3339_weak(word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1_000;

    fn is_model(word: &str) -> bool {
        ["gpt-6.2-sol", "claude-sonnet-5-5", "gemini-3.8-flash", "qwen3-235b-a22b"].contains(&word)
    }

    fn show(text: &str) -> String {
        shown(text, is_model, LIMIT).unwrap_or_else(|| "(withheld)".to_owned())
    }

    /// Keys of every shape that providers give out.
    const KEYS: [&str; 8] = [
        "sk-proj-Ab3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5zA7bC9dE1fG3hI5",
        "AIzaSyD-9tSrke72PouQMnMX-a7eZSW0jkFMBWY",
        "4f9a0c27be31d8650e7fa2943bc1d586",
        "q+R7/x2Lk9vB4/Zt8+Yw1mNc5Df6Gh3Jp0Sa/We+Tu=",
        "12345678-9abc-4def-8123-456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jk_s3GVQ-abC",
        "gsk_x7Yt2Qp9Lm4Vn6Bc8Zd1Wf3Gh5Jk",
        "k9/aB3=xY7:q2&R8?w5,f1g2h3i4j5k6l7m8n9",
    ];

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn every(text: &str, form: impl Fn(u8) -> String) -> String {
        text.bytes().map(form).collect()
    }

    fn grouped(text: &str, size: usize, between: &str) -> String {
        let groups: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        groups.iter().map(|group| String::from_utf8_lossy(group).into_owned()).collect::<Vec<_>>().join(between)
    }

    /// Eight characters of the key in a row, whatever stands between them.
    fn holds(text: &str, key: &str) -> bool {
        let bare = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let (text, key) = (bare(text), bare(key));
        key.as_bytes().windows(8).any(|part| memchr::memmem::find(text.as_bytes(), part).is_some())
    }

    #[test]
    fn useful_words_stay_readable() {
        for text in [
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130123 tokens (129900 in the messages, 223 in the functions).",
            "prompt is too long: 210000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 198000 + 8192 > 200000, decrease input length or `max_tokens`",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "Invalid schema for function 'get_weather': In context=('properties', 'location'), 'additionalProperties' is required to be supplied and to be false.",
            "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level",
            "Invalid 'messages[3].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length 64 instead.",
            "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'.",
            "The model `gpt-6.2-sol` does not support image inputs; try gemini-3.8-flash or claude-sonnet-5-5.",
            "The model qwen3-235b-a22b is not available in your region.",
            "claude-haiku-4-5-20251001 does not support assistant message prefill. The conversation must end with a user message.",
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for claude-sonnet-5-5",
            "messages.1.content.0.image.source.base64: invalid base64 data",
            "messages.0.content.1.image.source.base64.data: At least one of the image dimensions exceed max allowed size: 8000 pixels",
            "Invalid JSON payload received. Unknown name \"store\": Cannot find field.",
            "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[a].items: missing field.",
            "[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required', 'input': {'model': 'x'}}]",
            "Rate limit reached: Limit 30000, Used 29500, Requested 1200. Please try again in 1.4s.",
            "The response was filtered due to the prompt triggering content management policy.",
            "Your request was rejected at 2026-11-22T12:00:00Z, image of 1024x1024 px, 20 MB; see https://platform.openai.com/docs/guides/error-codes.",
            "输入长度超过模型最大上下文长度,请减少输入。",
            "Le modèle n’accepte pas d’images; größer als 128000 Zeichen.",
            "1 validation error for ChatCompletionRequest: stop.0 Input should be a valid string [type=string_type, input_value=5, input_type=int]",
            "",
        ] {
            assert_eq!(show(text), text);
        }
    }

    #[test]
    fn only_the_word_that_looks_like_a_key_is_hidden() {
        for (text, expected) in [
            (
                "messages.3.content.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_01A09q90qw90lq917835lq9. Each must",
                "messages.3.content.1: `tool_use` ids were found without `tool_result` blocks immediately after: [masked] Each must",
            ),
            ("bad value 'sk-proj-Ab3dE5fG7hI9' in x", "bad value '[masked]' in x"),
            ("see https://host/v1?key=q7w8e9r0t1&x=1 for more", "see [masked] for more"),
            ("a8b7c6d5 c4b3a2f1 e0d9c8b7 twice", "[masked] twice"),
        ] {
            assert_eq!(show(text), expected);
        }
    }

    #[test]
    fn no_key_passes_in_any_coding() {
        for key in KEYS {
            let base64 = crate::mask::keys::tests::base64(key.as_bytes());
            let forms = [
                key.to_owned(),
                key.to_uppercase(),
                key.chars().rev().collect(),
                base64.clone(),
                base64.replace('+', "-").replace('/', "_"),
                hex(key),
                hex(key).to_uppercase(),
                every(key, |byte| format!("%{byte:02x}")),
                every(key, |byte| format!("&#{byte};")),
                every(key, |byte| format!("&#x{byte:x};")),
                every(key, |byte| format!("\\u{byte:04x}")),
                every(key, |byte| format!("\\x{byte:02x}")),
                every(key, |byte| format!("{byte},")),
                every(key, |byte| format!("{byte:02x} ")),
                every(key, |byte| format!("0x{byte:02x}, ")),
                every(key, |byte| format!("{} ", byte as char)),
                every(key, |byte| format!("{}\u{200b}", byte as char)),
                every(key, |byte| match byte {
                    b'!'..=b'~' => char::from_u32(0xFF01 + u32::from(byte - b'!')).unwrap_or('x').to_string(),
                    _ => String::new(),
                }),
                grouped(key, 2, " "),
                grouped(key, 3, "-"),
                grouped(key, 4, " "),
                grouped(key, 4, ":"),
                grouped(key, 5, " "),
                grouped(key, 5, "\n"),
                grouped(key, 6, "', '"),
                grouped(key, 7, "."),
                grouped(key, 16, "\r\n"),
                format!("{}***{}", &key[..6], &key[key.len() - 6..]),
                format!("{}...{}", &key[..5], &key[key.len() - 5..]),
            ];
            for form in forms {
                for text in
                    [format!("Bad value {form} in field"), format!("x={form}&y"), format!("{{\"a\":\"{form}\"}}")]
                {
                    let told = show(&text);
                    let raw: String = form.chars().filter(|character| !character.is_whitespace()).collect();
                    assert!(!holds(&told, key) && !holds(&told, &raw), "{key} as {text:?} is told as {told:?}");
                }
            }
        }
    }

    #[test]
    fn texts_about_keys_are_withheld() {
        for text in [
            "Incorrect API key provided: sk-ab*****wxyz. You can find your api-key there.",
            "bad api_key",
            "API_KEY_INVALID",
            "You are not authorized to do that",
            "Authorization header is missing",
            "expected Bearer",
            "Invalid credentials",
            "Authentication failed",
        ] {
            assert_eq!(shown(text, is_model, LIMIT), None, "{text}");
        }
    }

    #[test]
    fn long_texts_are_bounded_and_half_a_key_does_not_show_at_the_cut() {
        assert_eq!(shown(&"äb ".repeat(100), is_model, 6).as_deref(), Some("äb ä…"));
        let key = KEYS[2];
        for at in 0..40 {
            // The first eight digits of the key are letters and digits, what is left of it at the cut may be neither.
            let text = format!("{}\n{}", " ".repeat(MAX_TEXT_BYTES - at), key);
            let told = show(&text);
            assert!(!holds(&told, &key[..4]) && told.trim_matches([' ', '\n']).len() <= MASK.len(), "{at}: {told:?}");
        }
        for word in ["x".repeat(15 << 20), "ab1-".repeat(4 << 20), "%73".repeat(5 << 20)] {
            assert_eq!(show(&word), MASK);
        }
        assert!(show(&"word ".repeat(1 << 20)).len() <= LIMIT + "…".len());
    }
}
