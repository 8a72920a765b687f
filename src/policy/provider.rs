//! A provider's row becomes a validated one.

use super::build::{Row, all, each};
use super::extra::ExtraField;
use super::fault::{Faults, Path};
use super::key_header::header_fault;
use super::path_template::percent_encoded;
use super::raw;
use super::read::{List, Presence};
use super::scalar::FieldName;
use super::{Dialect, Header, Names, Provider, TcpKeepalive};

/// Fields that are the gateway's own, or mean something that leaving them out would change.
pub const OWNED_FIELDS: [&str; 5] = ["messages", "model", "stream", "tool_choice", "tools"];

/// Fields of the Messages API, beside those, that what the client, the model's row or the gateway says decides, or that need a
/// server which holds a conversation.
const DECIDED_IN_MESSAGES: [&str; 7] =
    ["cache_control", "max_tokens", "output_config", "output_format", "system", "thinking", "thread"];

/// Whether no row adds a field to requests of the Messages API, in whatever case a provider might read it.
pub fn is_decided_in_messages(name: &str) -> bool {
    OWNED_FIELDS.iter().chain(&DECIDED_IN_MESSAGES).any(|decided| decided.eq_ignore_ascii_case(name))
}

/// What a row takes from the fields of the published API, and what it adds.
pub struct FieldLists {
    pub unsupported: Option<Vec<String>>,
    pub extra: Option<Names>,
}

impl FieldLists {
    pub fn build(
        unsupported: Presence<List<FieldName, 0>>,
        extra: Presence<List<ExtraField, 0>>,
        path: &Path,
        faults: &mut Faults,
    ) -> Self {
        let unsupported = each(unsupported, &path.field("unsupported_fields"), faults, |(_, name), path, faults| {
            let name = String::from(name);
            if OWNED_FIELDS.contains(&name.as_str()) {
                let valid = OWNED_FIELDS.join(", ");
                faults.note(path, format!("no request can do without it; valid: any field but {valid}"));
            }
            Some(name)
        });
        let refused: Vec<&str> = unsupported.iter().flatten().map(String::as_str).collect();
        let extra = each(extra, &path.field("extra_fields"), faults, |(_, name), path, faults| {
            let name = String::from(name);
            if refused.contains(&name.as_str()) {
                faults.note(path, "also among unsupported_fields; valid: in one of them");
            }
            Some(name)
        });
        Self { extra: extra.map(Names), unsupported }
    }
}

pub fn build_provider(row: Row<raw::Provider>, path: &Path, faults: &mut Faults) -> Option<Provider> {
    let Row { name, raw } = row;
    if let (Some(url), Some(secret)) = (raw.base_url.as_given(), raw.secret.as_given())
        && !url.owns_secret(secret.as_ref())
    {
        // What stands there is not repeated: it may be the key itself.
        let valid = format!("valid: {host}, {host}__LABEL", host = url.host);
        faults.note(&path.field("secret"), format!("not a secret of the host of base_url; {valid}"));
    }
    if let Presence::Given(Dialect::AnthropicMessages) = &raw.dialect {
        note_additions(&raw, path, faults);
    }
    let auth = raw.auth.as_given();
    for (name, _) in raw.headers.as_given().into_iter().flat_map(|headers| &headers.0) {
        if let Some(fault) = header_fault(name, auth) {
            faults.note(&path.field("headers").field(name), fault);
        }
    }
    let lists = FieldLists::build(raw.unsupported_fields, raw.extra_fields, path, faults);
    let names = |list: Presence<List<ExtraField, 0>>| {
        all(list.given()?.0.into_iter().map(|name| name.map(String::from))).map(Names)
    };
    let fields = match raw.fields.optional()? {
        Some(fields) => Some(all(fields.0.into_iter().map(|name| name.map(String::from)))?),
        None => None,
    };
    let headers = match raw.headers.optional()? {
        Some(headers) => all(headers.0.into_iter().map(|(name, value)| {
            let value = String::from(value?);
            Some(Header { name, value })
        }))?,
        None => Vec::new(),
    };
    let query = match raw.query.optional()? {
        Some(query) => all(query
            .0
            .into_iter()
            .map(|(name, value)| Some(format!("{}={}", percent_encoded(&name), percent_encoded(&value?.0)))))?,
        None => Vec::new(),
    };
    let tcp_keepalive = match raw.tcp_keepalive.optional()? {
        Some(raw) => Some(build_keepalive(raw)?),
        None => None,
    };
    let body = raw.body.optional()?.map_or_else(Vec::new, |body| body.0);
    let base_url = raw.base_url.given()?;
    let secret = raw.secret.optional()?.map_or_else(|| base_url.host.clone(), String::from);
    Some(Provider {
        name,
        base_url,
        dialect: raw.dialect.given()?,
        auth: raw.auth.given()?.build()?,
        secret,
        path: raw.path.optional()?,
        query: query.join("&"),
        max_connections: raw.max_connections.given()?.small(),
        tcp_keepalive,
        headers,
        body,
        show_reasoning: raw.show_reasoning.given()?,
        quirks: all(raw.quirks.given()?.0.into_iter())?,
        fields,
        unsupported_fields: lists.unsupported?,
        extra_fields: lists.extra?,
        message_fields: names(raw.message_fields)?,
        part_fields: names(raw.part_fields)?,
        tool_fields: names(raw.tool_fields)?,
    })
}

/// Notes what a provider of the Messages API may not add to requests.
fn note_additions(raw: &raw::Provider, path: &Path, faults: &mut Faults) {
    let refused: Vec<&str> = OWNED_FIELDS.into_iter().chain(DECIDED_IN_MESSAGES).collect();
    let fault = format!("what client, model and gateway decide; valid: any field but {}", refused.join(", "));
    let extra = raw.extra_fields.as_given().into_iter().flat_map(|list| list.0.iter().enumerate());
    for (index, name) in extra {
        if name.as_ref().is_some_and(|name| is_decided_in_messages(name.as_ref())) {
            faults.note(&path.field("extra_fields").index(index), &*fault);
        }
    }
    let defaults = raw.body.as_given().into_iter().flat_map(|body| &body.0);
    for default in defaults.filter(|default| is_decided_in_messages(&default.name)) {
        faults.note(&path.field("body").field(&default.name), &*fault);
    }
    for (name, list) in
        [("message_fields", &raw.message_fields), ("part_fields", &raw.part_fields), ("tool_fields", &raw.tool_fields)]
    {
        if list.as_given().is_some_and(|list| !list.0.is_empty()) {
            faults.note(&path.field(name), "only of a provider whose dialect is openai-chat; valid: []");
        }
    }
}

fn build_keepalive(raw: raw::TcpKeepalive) -> Option<TcpKeepalive> {
    Some(TcpKeepalive {
        time_s: raw.time_s.given()?.small(),
        interval_s: raw.interval_s.optional()?.map(|seconds| seconds.small()),
        probes: raw.probes.optional()?.map(|probes| probes.small()),
    })
}
