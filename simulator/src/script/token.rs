//! A word of a script as it stands there, and the values that a word may take.

use std::time::Duration;

/// Lists beyond this are a mistyped number, and building one would take the memory of the machine.
pub const MAX_COUNT: usize = 256 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Counted in characters from 1.
    pub column: usize,
    pub problem: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fault script, column {}: {}", self.column, self.problem)
    }
}

impl std::error::Error for ScriptError {}

/// A word of a script, with its value if it has one.
pub struct Word {
    pub column: usize,
    pub name: String,
    pub value: Option<String>,
}

impl Word {
    pub fn error(&self, problem: String) -> ScriptError {
        ScriptError { column: self.column, problem }
    }

    pub fn no_value(&self) -> Result<(), ScriptError> {
        match &self.value {
            None => Ok(()),
            Some(_) => Err(self.error(format!("`{}` takes no value", self.name))),
        }
    }

    pub fn text(&self) -> Result<String, ScriptError> {
        self.value.clone().ok_or_else(|| self.error(format!("`{0}` needs a value: {0}=...", self.name)))
    }

    pub fn count(&self) -> Result<usize, ScriptError> {
        match self.text()?.parse() {
            Ok(count) if count <= MAX_COUNT => Ok(count),
            _ => Err(self.error(format!("`{}` takes a whole number from 0 to {MAX_COUNT}", self.name))),
        }
    }

    pub fn positive(&self) -> Result<usize, ScriptError> {
        match self.count()? {
            0 => Err(self.error(format!("`{}` takes a number from 1", self.name))),
            count => Ok(count),
        }
    }

    pub fn status(&self) -> Result<u16, ScriptError> {
        match self.text()?.parse() {
            Ok(status @ 200..=599) => Ok(status),
            _ => Err(self.error("`status` takes a code from 200 to 599".to_owned())),
        }
    }

    pub fn number(&self) -> Result<f64, ScriptError> {
        match self.text()?.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.error(format!("`{}` takes a number such as 0.5", self.name))),
        }
    }

    pub fn duration(&self) -> Result<Duration, ScriptError> {
        let text = self.text()?;
        let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(millis), _) => millis.parse().ok().map(Duration::from_millis),
            (None, Some(seconds)) => seconds.parse().ok().map(Duration::from_secs),
            (None, None) => None,
        };
        parsed.ok_or_else(|| self.error(format!("`{}` takes a duration such as 250ms or 2s", self.name)))
    }
}
