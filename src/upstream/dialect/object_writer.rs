//! A JSON object that is written field by field, and remembers which ones it has.

use crate::policy::DefaultField;
use crate::wire::json::quoted;

/// An object under way.
pub struct ObjectWriter {
    json: Vec<u8>,
    /// The names of the fields that are written.
    names: Vec<String>,
}

impl ObjectWriter {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut json = Vec::with_capacity(bytes);
        json.push(b'{');
        Self { json, names: Vec::with_capacity(16) }
    }

    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Begins a field, whose value is to be written behind this.
    pub fn name(&mut self, name: &str) -> &mut Vec<u8> {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        self.names.push(name.to_owned());
        self.json.extend_from_slice(quoted(name).as_bytes());
        self.json.push(b':');
        &mut self.json
    }

    /// Writes a field, whose value is JSON.
    pub fn field(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.name(name).extend_from_slice(value.as_ref());
    }

    /// Writes those of the fields that are not there yet.
    pub fn add_missing<'d>(&mut self, defaults: impl IntoIterator<Item = &'d DefaultField>) {
        for DefaultField { name, json } in defaults {
            if !self.has(name) {
                self.field(name, json);
            }
        }
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.json.push(b'}');
        self.json
    }
}
