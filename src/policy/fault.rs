//! What is wrong with a document, and where.
//!
//! A fault never repeats a value of the document, except a name that was looked up and not found: an operator may have
//! pasted a key into the wrong field, and faults are shown and logged.

use std::fmt;

/// Enough to go on with; it bounds the time and memory that a senseless document takes in every new sandbox.
pub(super) const MAX_LISTED: usize = 50;
/// How much of a name from the document is shown.
const MAX_SHOWN: usize = 64;
/// How many valid names a fault lists.
const MAX_VALID: usize = 50;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A JSON path such as `$.tiers[0].name`.
    pub path: String,
    pub message: String,
}

/// Everything that is wrong with one document; displayed with a line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub(super) fn note(&mut self, path: &Path, message: impl Into<String>) {
        match self.0.len() {
            count if count < MAX_LISTED => self.0.push(Fault { path: path.to_string(), message: message.into() }),
            MAX_LISTED => {
                let message = format!("more than {MAX_LISTED} faults; what comes after these is not told");
                self.0.push(Fault { path: Path::Root.to_string(), message });
            }
            _ => {}
        }
    }

    /// Whether nothing more is told, so that looking on in the document is of no use.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() > MAX_LISTED
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A place in the document, as a chain of borrowed steps: it costs nothing until a fault displays it.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub fn field(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Path::Root => formatter.write_str("$"),
            Path::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
            Path::Field(parent, name) if is_plain(name) => write!(formatter, "{parent}.{name}"),
            Path::Field(parent, name) => write!(formatter, "{parent}[{}]", quote(name)),
        }
    }
}

/// A name of the document as faults show it: quoted, escaped and bounded.
pub(super) fn quote(name: &str) -> String {
    match name.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{:?}", format!("{}…", &name[..end])),
        None => format!("{name:?}"),
    }
}

/// The names that would have been valid, for the end of a message.
pub(super) fn list_valid<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(MAX_VALID);
    let listed = names.take(MAX_VALID).collect::<Vec<_>>().join(", ");
    match (listed.is_empty(), more) {
        (true, _) => "none is defined".to_owned(),
        (false, 0) => format!("valid: {listed}"),
        (false, more) => format!("valid: {listed} and {more} more"),
    }
}

/// Whether a field name can follow a dot.
fn is_plain(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$';
    !name.is_empty()
        && name.len() <= MAX_SHOWN
        && name.bytes().all(allowed)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_quote_what_is_no_plain_name() {
        let cases = [
            ("tiers", "$.tiers"),
            ("$schema", "$.$schema"),
            ("gpt-6.2-sol", r#"$["gpt-6.2-sol"]"#),
            ("", r#"$[""]"#),
            ("0", r#"$["0"]"#),
            ("a\"\n", r#"$["a\"\n"]"#),
        ];
        for (name, expected) in cases {
            assert_eq!(Path::Root.field(name).to_string(), expected, "{name:?}");
        }
        let long = "ä".repeat(100);
        assert_eq!(Path::Root.field(&long).index(3).to_string(), format!("$[\"{}…\"][3]", "ä".repeat(64)));
    }

    #[test]
    fn faults_are_bounded() {
        let mut faults = Faults::default();
        for _ in 0..2 * MAX_LISTED {
            faults.note(&Path::Root.field("x"), "wrong");
        }
        assert_eq!(faults.0.len(), MAX_LISTED + 1);
        assert_eq!(faults.0.last().map(|fault| fault.path.as_str()), Some("$"));
    }
}
