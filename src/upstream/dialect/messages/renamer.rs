//! Names of properties in JSON that comes in fragments, rewritten as they come.

use std::rc::Rc;

use super::property_names::{MAX_BYTES, PropertyNames, key};
use crate::wire::carried::carried;

/// The longest beginning of what may stand for a name, with its quote and each character as an escape (`\u005f`).
const MAX_HELD_BYTES: usize = 1 + 6 * MAX_BYTES;

/// Rewrites the names of members in JSON that comes in fragments, split anywhere.
#[derive(Debug)]
pub struct Renamer {
    names: Rc<PropertyNames>,
    direction: Direction,
    /// What is open, outermost first: whether it is an object.
    open: Vec<bool>,
    /// Whether a string that begins now is a name.
    expects_name: bool,
    place: TextPlace,
    /// A name that is not yet whole, with its first quote.
    held: String,
}

/// How far a [`Renamer`] has read.
#[derive(Debug)]
pub struct RenamerState {
    open: Vec<bool>,
    expects_name: bool,
    place: TextPlace,
    held: String,
}

carried!(RenamerState { open, expects_name, place, held });

/// Who is to read the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The provider, which is given what stands for them.
    Up,
    /// The client, which gets its own.
    Down,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TextPlace {
    Outside,
    Name { is_escaped: bool },
    Text { is_escaped: bool },
}

carried!(TextPlace = Outside | Name { is_escaped } | Text { is_escaped });

impl Renamer {
    pub fn new(names: Rc<PropertyNames>, direction: Direction) -> Self {
        let (open, held) = (Vec::new(), String::new());
        Self { names, direction, open, expects_name: false, place: TextPlace::Outside, held }
    }

    pub fn into_state(self) -> RenamerState {
        let Self { names: _, direction: _, open, expects_name, place, held } = self;
        RenamerState { open, expects_name, place, held }
    }

    /// The same names in the same direction, of JSON that has been read so far.
    pub fn go_on(self, state: RenamerState) -> Self {
        let RenamerState { open, expects_name, place, held } = state;
        Self { names: self.names, direction: self.direction, open, expects_name, place, held }
    }

    /// Takes in a fragment; what can be told of it by now.
    pub fn take(&mut self, fragment: &str) -> String {
        let mut out = String::with_capacity(fragment.len());
        for character in fragment.chars() {
            match self.place {
                TextPlace::Outside => self.take_outside(character, &mut out),
                TextPlace::Text { is_escaped } => {
                    out.push(character);
                    self.place = match (is_escaped, character) {
                        (false, '"') => TextPlace::Outside,
                        (false, '\\') => TextPlace::Text { is_escaped: true },
                        (_, _) => TextPlace::Text { is_escaped: false },
                    };
                }
                TextPlace::Name { is_escaped } => {
                    self.held.push(character);
                    self.place = match (is_escaped, character) {
                        (false, '"') => {
                            self.end_name(&mut out);
                            TextPlace::Outside
                        }
                        (false, '\\') => TextPlace::Name { is_escaped: true },
                        // No name is as long that another one stands for.
                        (_, _) if self.direction == Direction::Down && self.held.len() > MAX_HELD_BYTES => {
                            out.push_str(&std::mem::take(&mut self.held));
                            self.expects_name = false;
                            TextPlace::Text { is_escaped: false }
                        }
                        (_, _) => TextPlace::Name { is_escaped: false },
                    };
                }
            }
        }
        out
    }

    /// What is held back of a name that never became whole.
    pub fn end(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    fn take_outside(&mut self, character: char, out: &mut String) {
        match character {
            '"' if self.expects_name => {
                self.held.push('"');
                self.place = TextPlace::Name { is_escaped: false };
                return;
            }
            '"' => self.place = TextPlace::Text { is_escaped: false },
            '{' | '[' => {
                self.open.push(character == '{');
                self.expects_name = character == '{';
            }
            '}' | ']' => {
                self.open.pop();
                self.expects_name = false;
            }
            ',' => self.expects_name = self.open.last() == Some(&true),
            ':' => self.expects_name = false,
            _ => {}
        }
        out.push(character);
    }

    fn end_name(&mut self, out: &mut String) {
        let held = std::mem::take(&mut self.held);
        let key = key(&held);
        let renamed = match self.direction {
            Direction::Up => self.names.written(&key),
            Direction::Down => self.names.restored(&key),
        };
        match renamed {
            Some(name) => {
                out.push('"');
                out.push_str(name);
                out.push('"');
            }
            None => out.push_str(&held),
        }
        self.expects_name = false;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names() -> Rc<PropertyNames> {
        let odd = ["\"$top\"", "\"b c\"", r#""\ud83d""#];
        PropertyNames::of(&odd, &BTreeSet::new()).expect("odd names").into()
    }

    /// What a renamer makes of JSON, however it is split.
    fn check(direction: Direction, json: &str) -> String {
        let mut whole = Renamer::new(names(), direction);
        let whole = whole.take(json) + &whole.end();
        for first in (0..=json.len()).filter(|at| json.is_char_boundary(*at)) {
            for second in (first..=json.len()).filter(|at| json.is_char_boundary(*at)) {
                let mut renamer = Renamer::new(names(), direction);
                let parts = [&json[..first], &json[first..second], &json[second..]];
                let read: String = parts.into_iter().map(|part| renamer.take(part)).collect();
                assert_eq!(read + &renamer.end(), whole, "{parts:?}");
            }
        }
        whole
    }

    #[test]
    fn names_that_stand_for_others_come_back_at_every_split_and_nothing_else() {
        let [top, b_c, half] = ["$top", "b c", r"\ud83d"].map(|key| names().written(key).expect("a name").to_owned());
        for (upstream, clients) in [
            (
                format!(r#"{{"{top}":5, "a":["{top}",{{"{b_c}":{{"d":"\"{top}\":{{"}}}}]}}"#),
                format!(r#"{{"$top":5, "a":["{top}",{{"b c":{{"d":"\"{top}\":{{"}}}}]}}"#),
            ),
            (format!(r#"{{"{half}" : "{{\"{top}\":1}}"}}"#), format!(r#"{{"\ud83d" : "{{\"{top}\":1}}"}}"#)),
            (
                r#"{"Start_x0020_Date":1,"_x24_top":2,"größe":3}"#.to_owned(),
                r#"{"Start_x0020_Date":1,"_x24_top":2,"größe":3}"#.to_owned(),
            ),
        ] {
            assert_eq!(check(Direction::Down, &upstream), clients);
            assert_eq!(check(Direction::Up, &clients), upstream);
        }
        let escaped = top.replacen('_', r"\u005f", 1);
        assert_eq!(check(Direction::Down, &format!(r#"{{"{escaped}":1}}"#)), r#"{"$top":1}"#);
    }

    #[test]
    fn a_name_that_is_longer_than_any_is_told_as_it_comes() {
        let mut renamer = Renamer::new(names(), Direction::Down);
        let long = "x".repeat(MAX_HELD_BYTES);
        assert_eq!(renamer.take(r#"{""#), "{");
        assert_eq!(renamer.take(&long), format!("\"{long}"));
        assert_eq!(renamer.take("yz"), "yz", "nothing is held any more");
        let top = names().written("$top").expect("a name").to_owned();
        assert_eq!(renamer.take(&format!(r#"":"{top}","{top}":1}}"#)), format!(r#"":"{top}","$top":1}}"#));
        let escapes: String = top.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        assert_eq!(check(Direction::Down, &format!(r#"{{"{escapes}":1}}"#)), r#"{"$top":1}"#);
    }

    #[test]
    fn a_name_that_is_cut_off_is_told_as_it_came() {
        let top = names().written("$top").expect("a name").to_owned();
        let cut = format!(r#"{{"{top}"#);
        assert_eq!(check(Direction::Down, &cut), cut);
    }
}
