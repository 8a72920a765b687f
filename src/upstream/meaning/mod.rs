//! What a provider's error means, whatever its status: found before any rule looks at the status.
//!
//! Looked at are, in this order: names (codes, types, reasons) that mean one thing, words of the message, the status with
//! the names that only repeat one. `rows` is the data, each row with its source; `pattern` says when words are met. A row
//! of words is believed with some statuses only, never where they are quoted, and not about the operator's affairs where
//! the error names a field of the request: taking a request's fault for the operator's would cool a candidate for everybody.

mod pattern;
mod rows;

use crate::upstream::error_words::ProviderError;
use rows::{NAMED_STATUSES, ROWS, Row};

/// How providers speak of a server that is not theirs: one that holds an image, or a file, that the request names by its URL.
/// Python's `requests` says "client error: … for url", vLLM "loading multimodal data", OpenAI "error while downloading".
const OF_ANOTHER_SERVER: [&str; 10] = [
    "client error: * for url",
    "server error: * for url",
    "for url:",
    "while downloading",
    "failed to download",
    "error loading",
    "failed to load",
    "while loading",
    "failed to fetch",
    "upstream status code",
];

/// What an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The operator's account: no money or quota left, a limit on spending, suspended.
    Account,
    /// The operator's key: wrong, expired, without the right.
    Key,
    /// The provider does not serve where the request comes from.
    Region,
    /// The model: unknown, retired, not this account's.
    Model,
    /// More tokens than the model takes.
    ContextLength,
    /// More bytes than the provider takes.
    TooLarge,
    /// Too much in the address or the headers, which is the client's doing.
    HeadTooLarge,
    RateLimit,
    /// This one request asks for more than the rate limit allows at all.
    AboveRate,
    /// The provider refuses what the text asks for.
    ContentPolicy,
    /// An intermediary's moderation, before the one provider that it would have asked, refuses the text.
    Flagged,
    /// This one request may cost more than the account has left; a smaller one may not.
    Unaffordable,
    /// No model behind the address takes what this one request asks for.
    ThisRequest,
    /// The provider does not take the request as it is.
    Refused,
    /// More to do than the provider can: it may work the next time.
    Overload,
    /// Out of order, or in conflict with something under way: it may work the next time.
    Trouble,
    /// A status that says no more than that this was no answer.
    Unknown,
}

impl Meaning {
    /// Whether the next request may well be served by the same candidate.
    pub fn is_about_this_request(self) -> bool {
        match self {
            Meaning::ContextLength
            | Meaning::TooLarge
            | Meaning::HeadTooLarge
            | Meaning::AboveRate
            | Meaning::ContentPolicy
            | Meaning::Flagged
            | Meaning::Unaffordable
            | Meaning::ThisRequest
            | Meaning::Refused => true,
            Meaning::Account
            | Meaning::Key
            | Meaning::Region
            | Meaning::Model
            | Meaning::RateLimit
            | Meaning::Overload
            | Meaning::Trouble
            | Meaning::Unknown => false,
        }
    }

    /// As it stands in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Meaning::Account => "account",
            Meaning::Key => "key",
            Meaning::Region => "region",
            Meaning::Model => "model",
            Meaning::ContextLength => "context_length",
            Meaning::TooLarge => "too_large",
            Meaning::HeadTooLarge => "head_too_large",
            Meaning::RateLimit => "rate_limit",
            Meaning::AboveRate => "above_rate",
            Meaning::ContentPolicy => "content_policy",
            Meaning::Flagged => "flagged",
            Meaning::Unaffordable => "unaffordable",
            Meaning::ThisRequest => "this_request",
            Meaning::Refused => "refused",
            Meaning::Overload => "overload",
            Meaning::Trouble => "trouble",
            Meaning::Unknown => "unknown",
        }
    }

    /// Whether it is the operator's to mend, so that words about a field of the request do not mean it.
    fn is_operators(self) -> bool {
        matches!(self, Meaning::Account | Meaning::Key | Meaning::Region | Meaning::Model | Meaning::RateLimit)
    }
}

/// What `error` means. `status` is the answer's; nothing for an error within a 200, or in a stream.
pub fn find(status: Option<u16>, error: &ProviderError) -> Meaning {
    let numeric = error.numeric_status();
    let status = match (status, numeric) {
        // Gateways pass the error of another service on under their own status.
        (Some(400), Some(401 | 402 | 429)) => numeric,
        (Some(status), _) => Some(status),
        (None, _) => numeric,
    };
    let error = Read::of(error);
    let named = ROWS.iter().find(|row| error.is_named(row));
    let row = named.or_else(|| ROWS.iter().find(|row| error.says(row, status)));
    let meaning = row.map_or_else(|| error.of_status(status), |row| row.meaning);
    match meaning {
        Meaning::RateLimit if error.is_above_rate(status) => Meaning::AboveRate,
        // A quota that comes back by itself (Gemini's free tier has the words of one that does not).
        Meaning::Account if named.is_none() && status == Some(429) && error.error.retry_delay.is_some() => {
            Meaning::RateLimit
        }
        other => other,
    }
}

/// An error, with its names and words as they are compared.
struct Read<'a> {
    error: &'a ProviderError,
    /// Its code, type and reasons, letters and digits only.
    names: Vec<String>,
    text: String,
}

impl<'a> Read<'a> {
    fn of(error: &'a ProviderError) -> Self {
        let names = [&error.code, &error.kind].into_iter().flatten().chain(error.reasons());
        let names = names.map(|name| pattern::name(name)).collect();
        Self { error, names, text: error.message.as_deref().map(pattern::text).unwrap_or_default() }
    }

    fn is_named(&self, row: &Row) -> bool {
        row.names().any(|known| self.names.iter().any(|name| pattern::is_name(name, known)))
            || (row.meaning == Meaning::Flagged && self.error.is_flagged())
    }

    fn says(&self, row: &Row, status: Option<u16>) -> bool {
        let may = status.is_none_or(|status| row.with.contains(&status));
        let text = self.believed(row.meaning, status);
        may && self.may_mean(row.meaning) && row.phrases().any(|phrase| pattern::is_in(text, phrase))
    }

    /// The part of the message that may say this. Of the operator's affairs nothing is believed that speaks of another server,
    /// from which the provider fetched what the request names, nor, where the request may be at fault, what stands behind a
    /// quotation: the client may have written its end. A model's name is quoted by providers themselves.
    fn believed(&self, meaning: Meaning, status: Option<u16>) -> &str {
        if !meaning.is_operators() {
            return &self.text;
        }
        if OF_ANOTHER_SERVER.iter().any(|phrase| pattern::is_in(&self.text, phrase)) {
            return "";
        }
        match status {
            Some(400 | 422) | None if meaning != Meaning::Model => pattern::before_quotation(&self.text),
            Some(_) | None => &self.text,
        }
    }

    /// Whether the field that the error names, if it names one, leaves room for this.
    fn may_mean(&self, meaning: Meaning) -> bool {
        const OF_THE_PROMPT: [&str; 6] = ["messages", "input", "prompt", "contents", "max_", "body"];
        match self.field() {
            None => true,
            Some(field) if meaning == Meaning::ContextLength => {
                OF_THE_PROMPT.iter().any(|prompt| field.starts_with(prompt))
            }
            Some(_) => !meaning.is_operators(),
        }
    }

    /// The field of the request that the error names, if it is not the model. What follows a path may be a name of the
    /// client's own, without quotes ("tools.0.any name: Extra inputs are not permitted").
    fn field(&self) -> Option<&str> {
        const FIELDS: [&str; 12] = [
            "body",
            "contents",
            "functions",
            "input",
            "messages",
            "metadata",
            "output_config",
            "response_format",
            "system",
            "thinking",
            "tool_choice",
            "tools",
        ];
        let begins_with =
            |field: &&str| self.text.strip_prefix(*field).is_some_and(|rest| rest.starts_with(['.', '[', ':']));
        let param = self.error.param.as_deref().filter(|field| !["", "null", "model"].contains(field));
        param.or_else(|| FIELDS.iter().copied().find(begins_with))
    }

    fn is_above_rate(&self, status: Option<u16>) -> bool {
        status == Some(413) || pattern::is_in(&self.text, "request too large for * on tokens per min")
    }

    /// What the status says, or the name of one, where nothing says more.
    fn of_status(&self, status: Option<u16>) -> Meaning {
        let named = NAMED_STATUSES.iter().find(|known| self.names.iter().any(|name| name == known.name));
        let named = named.map(|known| known.status);
        let status = match (status, named) {
            // A refused request, an answer, a body that is too large: what the name says is more.
            (None, _) => named,
            (Some(400 | 413 | 422), Some(401 | 402 | 403 | 429 | 529)) => named,
            (Some(403), Some(429)) => named,
            (status, _) => status,
        };
        match status {
            None => Meaning::Trouble,
            Some(401) => Meaning::Key,
            Some(402) => Meaning::Account,
            Some(403 | 404 | 410) if self.error.is_wordless() => Meaning::Unknown,
            Some(403 | 404 | 410) if self.field().is_some() => Meaning::ThisRequest,
            Some(403) => Meaning::Key,
            Some(404 | 410) => Meaning::Model,
            Some(413) => Meaning::TooLarge,
            Some(414 | 431) => Meaning::HeadTooLarge,
            Some(429) => Meaning::RateLimit,
            Some(400 | 422) => Meaning::Refused,
            Some(529) => Meaning::Overload,
            Some(408 | 409 | 425 | 500..=599) => Meaning::Trouble,
            Some(_) => Meaning::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::error_words;

    fn means(status: u16, message: &str, param: Option<&str>) -> Meaning {
        let body = serde_json::json!({"error": {"message": message, "param": param}});
        find(Some(status), &error_words::parse(body.to_string().as_bytes()))
    }

    /// What a phrase may look like in a message.
    fn example(phrase: &str) -> String {
        phrase.trim_start_matches('^').replace('?', "m-1").replace('*', "so many ").replace('"', "'x'")
    }

    #[test]
    fn every_phrase_is_met_with_each_of_its_statuses() {
        for row in ROWS {
            for (phrase, status) in
                row.phrases().flat_map(|phrase| row.with.iter().map(move |status| (phrase, *status)))
            {
                let found = means(status, &example(phrase), None);
                let is_narrower = row.meaning == Meaning::RateLimit && found == Meaning::AboveRate;
                assert!(found == row.meaning || is_narrower, "{status} {phrase}: {found:?}");
            }
            for name in row.names().map(|name| name.replace('*', "x")) {
                let error = error_words::parse(serde_json::json!({"error": {"code": name}}).to_string().as_bytes());
                assert_eq!(find(Some(400), &error), row.meaning, "{name}");
            }
        }
    }

    #[test]
    fn what_is_quoted_or_a_field_of_the_request_is_never_the_operators() {
        for phrase in ROWS.iter().filter(|row| row.meaning.is_operators()).flat_map(Row::phrases).map(example) {
            for message in [
                format!("Invalid value: '{phrase}'. Try another."),
                format!("Invalid value: `{phrase}`"),
                format!("Invalid value: \"{phrase}\", \"x\""),
                format!("Invalid value: \"one said \"{phrase}\" twice\""),
                format!("Invalid value: “{phrase}”"),
                // Of these the client has written the reason of a server, or the end of a quotation.
                format!("402 Client Error: {phrase} for url: https://elsewhere.example/x.png"),
                format!("Error while downloading file. Upstream status code: 402. {phrase}"),
                format!("An exception occurred while loading multimodal data: {phrase}"),
                format!("tools.0.custom.{phrase}: Extra inputs are not permitted"),
                format!("messages[1].x {phrase}: Extra inputs are not permitted"),
            ] {
                let found = means(400, &message, None);
                assert!(!found.is_operators(), "{found:?}: {message}");
            }
            // Providers quote the names of models before they say that these are gone.
            let message = format!("Invalid value: 'foo' {phrase} 'bar'.");
            let found = means(400, &message, None);
            assert!(!found.is_operators() || found == Meaning::Model, "{found:?}: {message}");
            let found = means(400, &phrase, Some("tools[0].function.name"));
            assert!(!found.is_operators(), "{found:?}: {phrase}");
        }
    }
}
