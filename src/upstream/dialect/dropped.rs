//! The names of what is left out of a request, or carried in a weaker form.

/// Each name once, in the order of their finding. Names come from clients and end in a header, so those that no API has
/// count as [`OTHER`], and there are only so many.
#[derive(Debug, Default)]
pub struct Dropped(pub Vec<String>);

const OTHER: &str = "other";
const MAX_NAMES: usize = 32;
const MAX_NAME_BYTES: usize = 64;

impl Dropped {
    pub fn note(&mut self, name: &str) {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        let is_name = name.len() <= MAX_NAME_BYTES && !name.is_empty() && name.bytes().all(is_plain);
        let name = if is_name && self.0.len() < MAX_NAMES { name } else { OTHER };
        if !self.0.iter().any(|known| known == name) {
            self.0.push(name.to_owned());
        }
    }
}
