//! The runs of letters and digits that words are made of, and how much they look like pieces of a key.

/// Runs that would not pass for words otherwise: names of the published APIs and of what they speak of.
const KNOWN: [&str; 46] = [
    "GenerateContentRequest",
    "ChatCompletionRequest",
    "additionalProperties",
    "unevaluatedProperties",
    "dependentSchemas",
    "functionDeclarations",
    "functionCallingConfig",
    "responseJsonSchema",
    "ResourceExhausted",
    "RequestValidationError",
    "UnprocessableEntityError",
    "ServiceUnavailableError",
    "ContextWindowExceededError",
    "ContextLengthExceededError",
    "allOf",
    "anyOf",
    "oneOf",
    "topK",
    "topP",
    "base64",
    "base64url",
    "utf8",
    "UTF8",
    "sha256",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "fp8",
    "fp16",
    "bf16",
    "mp3",
    "mp4",
    "m4a",
    "pcm16",
    "g711",
    "cl100k",
    "o200k",
    "v1",
    "v1beta",
    "v1beta1",
    "ISO8601",
    "RFC3339",
    "IPv4",
];

/// What may follow a number.
const UNITS: [&str; 14] = ["ms", "px", "kB", "KB", "MB", "GB", "KiB", "MiB", "GiB", "st", "nd", "rd", "th", "tokens"];

/// Letters and digits that stand together.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    text: &'a str,
    chars: usize,
    digits: usize,
    capitals: usize,
    /// How often a capital follows a small letter.
    rises: usize,
}

impl Run<'_> {
    pub fn chars(&self) -> usize {
        self.chars
    }

    pub fn digits(&self) -> usize {
        self.digits
    }

    pub fn is_known(&self) -> bool {
        KNOWN.contains(&self.text)
    }

    /// Whether the order of its small and capital letters is that of no word and no name: `aBcDe`, not `getWeather`.
    pub fn is_irregular(&self) -> bool {
        let allowed = match self.chars {
            0..=5 => 0,
            6..=9 => 1,
            10..=13 => self.chars / 4,
            _ => self.chars / 5,
        };
        self.digits == 0 && self.rises > allowed && !self.is_known()
    }

    /// Letters and digits, and no number.
    pub fn is_mixed(&self) -> bool {
        self.digits > 0 && !self.is_number() && !self.is_known()
    }

    /// Whether it may well be a piece of a key, if others stand beside it: what is neither a word nor a number.
    pub fn is_odd(&self) -> bool {
        if self.digits > 0 || self.is_known() {
            return self.is_mixed();
        }
        match self.chars {
            1 => !matches!(self.text, "a" | "A" | "I"),
            2..=9 => !self.is_small() && self.capitals < self.chars && !self.is_camel_case(),
            _ => self.is_irregular(),
        }
    }

    /// Whether it stays visible beside a part of a key: a word in small letters, but for the first one, or a
    /// number.
    pub fn is_plain(&self) -> bool {
        self.is_known() || self.is_number() || (self.digits == 0 && self.is_small() && self.chars > 1)
    }

    fn is_small(&self) -> bool {
        self.capitals == 0 || (self.capitals == 1 && self.text.starts_with(char::is_uppercase))
    }

    /// Words of three letters or more without spaces between them.
    fn is_camel_case(&self) -> bool {
        let mut letters = 3;
        self.text.chars().all(|character| {
            let begins = character.is_uppercase();
            let follows = letters >= 3 || letters == 0;
            letters = if begins { 1 } else { letters + 1 };
            !begins || follows
        }) && letters >= 3
    }

    /// Digits, also with a unit, or as a size such as `1024x768`.
    fn is_number(&self) -> bool {
        let number = self.text.trim_start_matches(|first: char| first.is_ascii_digit());
        let is_size = |rest: &str| rest.len() <= 5 && rest.bytes().all(|byte| byte.is_ascii_digit());
        number.len() < self.text.len()
            && (number.is_empty()
                || UNITS.contains(&number)
                || (number.strip_prefix('x').is_some_and(is_size) && !self.text.starts_with('0')))
    }
}

/// The runs of a word.
pub struct Runs<'a> {
    rest: &'a str,
    /// Whether it holds characters that stand for others, or for nothing: full-width digits, zero-width joiners.
    pub has_strange: bool,
}

impl<'a> Runs<'a> {
    pub fn new(word: &'a str) -> Self {
        Self { rest: word, has_strange: false }
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    fn next(&mut self) -> Option<Run<'a>> {
        let (mut run, mut begin) = (None, 0);
        let mut was_small = false;
        for (at, character) in self.rest.char_indices() {
            let class = Class::of(character);
            self.has_strange |= class == Class::Strange;
            if matches!(class, Class::Letter | Class::Digit) {
                let run = run.get_or_insert(Run { text: "", chars: 0, digits: 0, capitals: 0, rises: 0 });
                begin = if run.chars == 0 { at } else { begin };
                run.chars += 1;
                run.digits += usize::from(class == Class::Digit);
                run.capitals += usize::from(character.is_uppercase());
                run.rises += usize::from(was_small && character.is_uppercase());
                was_small = character.is_lowercase();
            } else if let Some(run) = run {
                let (before, rest) = self.rest.split_at(at);
                self.rest = rest;
                return Some(Run { text: &before[begin..], ..run });
            }
        }
        let text = &self.rest[begin..];
        self.rest = "";
        run.map(|run| Run { text, ..run })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    /// Ends a run; so does a letter of a script that is written without spaces.
    Other,
    Strange,
}

impl Class {
    fn of(character: char) -> Self {
        match character {
            '0'..='9' => Class::Digit,
            'a'..='z' | 'A'..='Z' => Class::Letter,
            ' '..='~' => Class::Other,
            // Signs that are not seen, marks that vary others, and tags.
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' => Class::Strange,
            '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' => Class::Strange,
            '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' => Class::Strange,
            '\u{FFF0}'..='\u{FFFD}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{10FFFF}' => Class::Strange,
            '\u{E000}'..='\u{F8FF}' => Class::Strange,
            // Letters and digits in other clothes.
            '\u{2070}'..='\u{209F}' | '\u{2100}'..='\u{214F}' | '\u{2150}'..='\u{218F}' => Class::Strange,
            '\u{2460}'..='\u{24FF}' | '\u{1D400}'..='\u{1D7FF}' | '\u{1F100}'..='\u{1F1FF}' => Class::Strange,
            '\u{FF10}'..='\u{FF19}' | '\u{FF21}'..='\u{FF3A}' | '\u{FF41}'..='\u{FF5A}' => Class::Strange,
            '\u{300}'..='\u{36F}' => Class::Letter,
            _ if character.is_control() || character.is_numeric() => Class::Strange,
            '\u{1100}'.. => Class::Other,
            _ if character.is_alphabetic() => Class::Letter,
            _ => Class::Other,
        }
    }
}

/// Looks at runs one after the other, whatever stands between them, for a key that was cut into pieces.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Odd runs with at most two short words between each and the next odd run or number.
    odd: usize,
    odd_chars: usize,
    words_since: usize,
    /// Odd runs and numbers without a word between them.
    row: Row,
    /// Odd runs and numbers of three characters at most, without a word between them.
    short: Row,
    /// Runs of any kind of three characters at most, and of two.
    threes: Row,
    twos: Row,
    /// Numbers and odd runs with at most one short word between each and the next.
    dense: Row,
    is_long_enough: bool,
}

/// Runs one after the other.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    runs: usize,
    chars: usize,
    odd: usize,
    numbers: usize,
}

impl Row {
    /// A run that does not belong to the row ends it.
    fn add(&mut self, run: &Run<'_>, belongs: bool) {
        if belongs {
            self.extend(run);
        } else {
            *self = Row::default();
        }
    }

    fn extend(&mut self, run: &Run<'_>) {
        self.runs += 1;
        self.chars += run.chars;
        self.odd += usize::from(run.is_odd());
        self.numbers += usize::from(run.is_number());
    }
}

impl Chain {
    /// Words of a key in pieces that are no odd runs by chance are as short as the others.
    const MAX_WORD_CHARS: usize = 8;
    const MAX_WORDS: usize = 2;

    pub fn add(&mut self, run: &Run<'_>) {
        let is_word = !run.is_odd() && !run.is_number();
        self.row.add(run, !is_word);
        self.short.add(run, !is_word && run.chars <= 3);
        self.threes.add(run, run.chars <= 3);
        self.twos.add(run, run.chars <= 2);
        if !is_word {
            self.dense.extend(run);
        } else if self.words_since > 0 || run.chars > 5 {
            self.dense = Row::default();
        }
        if is_word {
            self.words_since += 1;
            if self.words_since > Self::MAX_WORDS || run.chars > Self::MAX_WORD_CHARS {
                (self.odd, self.odd_chars) = (0, 0);
            }
        } else {
            self.words_since = 0;
        }
        if run.is_odd() {
            self.odd += 1;
            self.odd_chars += run.chars;
        }
        self.is_long_enough |= (self.odd >= 4 && self.odd_chars >= 10)
            || (self.row.runs >= 4 && self.row.chars >= 12 && self.row.odd >= 1)
            || (self.row.runs >= 3 && self.row.chars >= 12 && self.row.odd >= 2)
            || self.short.runs >= 12
            || (self.dense.runs >= 6 && self.dense.chars >= 12 && self.dense.runs > self.row.runs)
            || (self.threes.runs >= 10 && self.threes.odd >= 2)
            || (self.twos.runs >= 8 && self.twos.odd + self.twos.numbers >= 1);
    }

    pub fn is_a_key_in_pieces(&self) -> bool {
        self.is_long_enough
    }
}
