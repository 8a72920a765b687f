//! What the `translate` guest measures, as it tells the benchmark: a JSON array of [`Row`]s.

use serde::{Deserialize, Serialize};

/// A loop over one kind of work, timed inside the guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is done.
    pub work: String,
    /// What is counted: `request`, `answer` or `event`.
    pub unit: String,
    pub count: u64,
    /// For one of them.
    pub micros: f64,
}
