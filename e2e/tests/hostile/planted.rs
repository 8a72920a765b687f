//! The keys that are planted: six shapes, one host each, and a second set of the same forms.

use std::sync::LazyLock;

use crate::random::Random;

/// Which of the two sets of keys a gateway has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    First,
    Second,
}

/// A host and its key.
pub struct Planted {
    pub host: &'static str,
    pub shape: &'static str,
    first: String,
    second: String,
}

/// Hosts that serve, in the order of [`PLANTED`]; the classifier's is the last one.
pub const HOSTS: usize = 6;
pub const CLASSIFIER: usize = HOSTS;

/// All hosts with their keys.
pub static PLANTED: LazyLock<Vec<Planted>> = LazyLock::new(|| {
    let mut random = Random::new("planted", 0);
    let shapes: [(&str, &str, String); HOSTS + 1] = [
        ("sk.test", "sk", format!("sk-{}", "*".repeat(45))),
        ("google.test", "AIza", format!("AIza{}", "*".repeat(35))),
        ("hex.test", "hex", "x".repeat(32)),
        (
            "base64.test",
            "base64",
            format!("{}+{}/{}+{}=", "*".repeat(9), "*".repeat(10), "*".repeat(11), "*".repeat(11)),
        ),
        ("uuid.test", "uuid", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".to_owned()),
        ("jwt.test", "jwt", format!("eyJ{}.eyJ{}.{}", "*".repeat(33), "*".repeat(40), "*".repeat(43))),
        ("classifier.test", "classifier", format!("sk-proj-{}", "*".repeat(40))),
    ];
    let plant = |(host, shape, form): (&'static str, &'static str, String)| {
        let first: String = form.chars().enumerate().map(|(at, form)| drawn(form, at, &mut random)).collect();
        let second = first.chars().zip(form.chars()).map(|(drawn, form)| other(drawn, form, &mut random)).collect();
        Planted { host, shape, first, second }
    };
    shapes.into_iter().map(plant).collect()
});

impl Planted {
    /// The host's key in one of the two sets.
    pub fn key(&self, set: Set) -> &str {
        match set {
            Set::First => &self.first,
            Set::Second => &self.second,
        }
    }
}

/// Every key of both sets.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    PLANTED
        .iter()
        .flat_map(|planted| [(planted.shape, planted.first.as_str()), (planted.shape, planted.second.as_str())])
}

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &[u8] = b"0123456789";
const HEX_LETTERS: &[u8] = b"abcdef";

/// A character for a place of a form. Digits are few in a row, so that no number looks like a part of a key.
fn drawn(form: char, at: usize, random: &mut Random) -> char {
    let letters_only = at.is_multiple_of(3);
    let of: &[u8] = match (form, random.below(3)) {
        ('x', 0 | 1) if !letters_only => DIGITS,
        ('x', _) => HEX_LETTERS,
        ('*', 0) if !letters_only => DIGITS,
        ('*', 1) => UPPER,
        ('*', _) => LOWER,
        _ => return form,
    };
    char::from(*random.pick(of))
}

/// Another character of the same class, so that nothing but a comparison with the key tells the two keys apart.
fn other(drawn: char, form: char, random: &mut Random) -> char {
    let of = match drawn {
        _ if !matches!(form, 'x' | '*') => return drawn,
        '0'..='9' => DIGITS,
        'A'..='Z' => UPPER,
        _ if form == 'x' => HEX_LETTERS,
        _ => LOWER,
    };
    loop {
        let other = char::from(*random.pick(of));
        if other != drawn {
            return other;
        }
    }
}
