//! Message authentication for what the gateway itself makes: tokens of reasoning, and answers that another execution goes on with.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// The length of a MAC, in bytes.
pub const MAC_BYTES: usize = 32;
const BLOCK_BYTES: usize = 64;

/// HMAC-SHA-256 of these parts, each behind its length.
pub fn authenticate(key: &[u8], parts: &[&[u8]]) -> [u8; MAC_BYTES] {
    let mut hmac = Hmac::new(key);
    for part in parts {
        hmac.update(&(part.len() as u64).to_be_bytes());
        hmac.update(part);
    }
    hmac.finish()
}

/// Appends bytes as hexadecimal digits.
pub fn write_hex(bytes: &[u8], text: &mut String) {
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a text should take more text");
    }
}

/// HMAC-SHA-256 (RFC 2104).
struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        match block.get_mut(..key.len()) {
            Some(beginning) => beginning.copy_from_slice(key),
            None => block[..MAC_BYTES].copy_from_slice(&Sha256::digest(key)),
        }
        let padded = |pad: u8| Sha256::new_with_prefix(block.map(|byte| byte ^ pad));
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
    }

    fn finish(mut self) -> [u8; MAC_BYTES] {
        self.outer.update(self.inner.finalize());
        self.outer.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, cases 1, 2, 6 and 7: short keys, and such as are longer than a block.
    #[test]
    fn the_mac_is_that_of_the_standard() {
        let cases: [(&[u8], &[u8], &str); 4] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to \
                  be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (key, data, expected) in cases {
            let mut hmac = Hmac::new(key);
            hmac.update(data);
            let mut digits = String::new();
            write_hex(&hmac.finish(), &mut digits);
            assert_eq!(digits, expected);
        }
    }
}
