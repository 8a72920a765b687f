//! A call in a stream whose name may go on, and which parts of calls are more of it.

use serde_json::Value;

/// What a call's name and input stand in, and what its input is called there.
pub const TOOLS: [(&str, &str); 2] = [("function", "arguments"), ("custom", "input")];

/// A call whose name may go on.
#[derive(Debug)]
pub struct Held {
    pub choice: u64,
    pub place: Place,
    pub call: Value,
    /// The event that brought its last part.
    pub event: u64,
    /// The reason to finish that came with that part.
    pub reason: Option<Value>,
}

/// Where a part of a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the older form, which has one call.
    Legacy,
    /// Among calls, under its number if it has one.
    Call(Option<u64>),
}

impl Held {
    /// Whether a part that stands there is more of this call. Some providers number no calls, or all alike, so one that says what
    /// a call begins with, id or type, and has a name that makes none with what came of this one, begins another; without a
    /// number so does one with another id.
    pub fn goes_on(&self, place: Place, part: &Value, is_begun: impl Fn(&str) -> bool) -> bool {
        let (more, own) = (tool_name(part), tool_name(&self.call));
        let is_one_name = || more.is_empty() || is_begun(&format!("{own}{more}"));
        let says = |name: &str| part.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        match (place, self.place) {
            (Place::Legacy, Place::Legacy) => true,
            (Place::Call(Some(index)), Place::Call(own)) => {
                Some(index) == own && (is_one_name() || !says("id") && !says("type"))
            }
            (Place::Call(None), Place::Call(_)) => {
                is_one_name() && (!says("id") || part.get("id") == self.call.get("id"))
            }
            (Place::Legacy, Place::Call(_)) | (Place::Call(_), Place::Legacy) => false,
        }
    }
}

/// The name in a part of a call; empty if there is none.
fn tool_name(call: &Value) -> &str {
    let name = |(tool, _): (&str, _)| call.get(tool).and_then(|tool| tool.get("name")).and_then(Value::as_str);
    TOOLS.into_iter().find_map(name).unwrap_or_default()
}
