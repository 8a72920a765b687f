//! Who the client's user is, as the Messages API may know it: an opaque id.
//!
//! The API refuses an e-mail address, a phone number and what is long. Such an id goes up as its hash, which still tells users
//! apart.

use crate::upstream::dialect::dropped::Dropped;
use crate::upstream::dialect::user_hash;
use crate::wire::ask::content::Setting;
use crate::wire::json::{Json, text};

/// The longest id that the API takes, in bytes.
const MAX_BYTES: usize = 256;
/// The fewest digits of a phone number that is written in groups.
const MIN_GROUPED: usize = 7;
/// The fewest digits of a phone number that is written without a break.
const MIN_IN_A_ROW: usize = 10;
const MAX_DIGITS: usize = 15;

/// The id of the user whom a setting names, hashed and named if it is none for the API.
pub fn id<'x>(setting: &'x Setting<'_>, dropped: &mut Dropped) -> Json<'x> {
    let raw = setting.value.raw();
    match text(raw) {
        Some(user) if is_telling(&user) => {
            dropped.note(&setting.name);
            user_hash::write(&user)
        }
        Some(_) | None => Json::Borrowed(raw),
    }
}

/// Whether an id says who the user is, or is too long.
fn is_telling(user: &str) -> bool {
    user.len() > MAX_BYTES || user.contains('@') || is_phone_number(user)
}

fn is_phone_number(user: &str) -> bool {
    let digits = user.bytes().filter(u8::is_ascii_digit).count();
    let is_in_row = digits == user.len();
    let least = if is_in_row { MIN_IN_A_ROW } else { MIN_GROUPED };
    let is_in_number = |byte: u8| byte.is_ascii_digit() || b"+-(). ".contains(&byte);
    (least..=MAX_DIGITS).contains(&digits) && user.bytes().all(is_in_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_numbers_and_long_ids_tell_who_it_is() {
        for user in ["a@example.org", "+47 22 00 00 00", "(555) 010-0200", "5550100200", &"x".repeat(257)] {
            assert!(is_telling(user), "{user}");
        }
        for user in ["user-7", "123456", "b5e7a0c2-0001-4000-8000-000000000000", "2026-11-28-a", "", &"x".repeat(256)] {
            assert!(!is_telling(user), "{user}");
        }
    }
}
