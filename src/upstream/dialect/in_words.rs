//! What asks in words for what an API, or a model, cannot be told otherwise.

use crate::wire::ask::content::FormatKind;

/// What asks for an answer of this form.
pub fn answer_form(format: &FormatKind<'_>) -> String {
    let only = "Answer with one JSON object and nothing else: no words around it, no code fence.";
    let FormatKind::Schema { name, description, schema, strict: _ } = format else { return only.to_owned() };
    let mut words = only.to_owned();
    for (before, said) in [("Its name is", name), ("Its description is", description)] {
        if let Some(said) = said.as_ref().filter(|said| !said.is_blank()) {
            words.push_str(&format!(" {before} {}.", said.get()));
        }
    }
    if let Some(schema) = schema {
        words.push_str(&format!(" It must follow this JSON Schema: {}", schema.get()));
    }
    words
}

/// What demands a call of any tool.
pub fn any_call() -> String {
    "You must answer with a call of one of your tools, whatever the request is.".to_owned()
}

/// What demands a call of the tool that the model knows by `name`.
pub fn call_of(name: &str) -> String {
    format!("You must answer with a call of your tool `{name}`, whatever the request is.")
}
