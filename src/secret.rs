//! Values that must never be printed.

use std::fmt;

/// A value whose `Debug` is a mask. [`Secret::expose`] is called by `edge`, by header building, and by `keys`, which looks
/// for keys in what is logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_a_mask() {
        assert_eq!(format!("{:?}", Secret::new("sk-very-secret")), "[secret]");
    }
}
