//! Chance that is the same in every run: a seed, and from it one stream of numbers per test and case.

use std::env;

/// The seed of the run, `TIERGATE_HOSTILE_SEED` or a fixed one.
pub fn seed() -> u64 {
    let given = env::var("TIERGATE_HOSTILE_SEED").ok();
    given.map_or(20_261_127, |text| text.parse().expect("TIERGATE_HOSTILE_SEED should be a whole number"))
}

/// The cases of a test: all of the short or the long form, a share of the short one, or the one that is asked for.
pub fn cases(short: u64, long: u64) -> Vec<u64> {
    if let Ok(only) = env::var("TIERGATE_HOSTILE_CASE") {
        return vec![only.parse().expect("TIERGATE_HOSTILE_CASE should be a whole number")];
    }
    let count = match env::var("TIERGATE_HOSTILE") {
        Ok(form) if form == "long" => long,
        Ok(factor) => {
            let factor: f64 = factor.parse().expect("TIERGATE_HOSTILE should be `long` or a number");
            (short as f64 * factor).ceil() as u64
        }
        Err(_) => short,
    };
    (0..count).collect()
}

/// A stream of random numbers (SplitMix64).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// The stream of one case of one test.
    pub fn new(test: &str, case: u64) -> Self {
        let mut state = seed();
        for byte in test.bytes() {
            state = Self(state ^ u64::from(byte)).next();
        }
        Self(state ^ case.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several, which must not be none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
