//! Values that must never be printed.

use std::fmt;

/// A value whose `Debug` is a mask, and whose bytes are overwritten when it goes. [`Secret::expose`] is called by the
/// keyring, where a dialect's key becomes a header, by `mask::keys`, which looks for keys in what is logged, and by the sealer and
/// the tags of calls, which derive keys of their own.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Wipe>(T);

/// A value whose bytes can be overwritten.
pub trait Wipe {
    fn wipe(&mut self);
}

impl Wipe for String {
    fn wipe(&mut self) {
        std::mem::take(self).into_bytes().wipe();
    }
}

impl Wipe for Vec<u8> {
    fn wipe(&mut self) {
        self.fill(0);
        // Otherwise the compiler may leave out what nobody reads.
        std::hint::black_box(&self);
    }
}

impl<const N: usize> Wipe for [u8; N] {
    fn wipe(&mut self) {
        self.fill(0);
        // Otherwise the compiler may leave out what nobody reads.
        std::hint::black_box(&self);
    }
}

impl<T: Wipe> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl<T: Wipe> Secret<T> {
    pub fn new(value: T) -> Self {
        Self(value)
    }

    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Wipe> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_a_mask() {
        assert_eq!(format!("{:?}", Secret::new("sk-very-secret".to_owned())), "[secret]");
    }
}
