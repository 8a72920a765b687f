//! JSON of which a few places become others, and all else stays byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

/// A text, and what becomes of it.
pub struct Patch<'x> {
    raw: &'x str,
    /// They do not overlap.
    edits: Vec<Edit>,
}

struct Edit {
    place: Range<usize>,
    text: String,
}

impl<'x> Patch<'x> {
    pub fn new(raw: &'x str) -> Self {
        Self { raw, edits: Vec::new() }
    }

    /// A value in the text becomes another one.
    pub fn replace(&mut self, value: &RawValue, text: String) {
        let place = place_in(self.raw, value);
        self.edits.push(Edit { place, text });
    }

    /// Leaves out of an array in the text, which has these elements, all that `keeps` does not keep; at least one is kept.
    pub fn retain(&mut self, elements: &[&RawValue], keeps: impl Fn(usize) -> bool) {
        let Some(first_kept) = (0..elements.len()).find(|position| keeps(*position)) else { return };
        if let (Some(first), Some(kept)) = (elements.first().filter(|_| first_kept > 0), elements.get(first_kept)) {
            self.remove(place_in(self.raw, first).start..place_in(self.raw, kept).start);
        }
        for (position, pair) in elements.windows(2).enumerate() {
            if let [before, element] = pair
                && position + 1 > first_kept
                && !keeps(position + 1)
            {
                self.remove(place_in(self.raw, before).end..place_in(self.raw, element).end);
            }
        }
    }

    /// Puts an element behind the last one of an array that is the text.
    pub fn append(&mut self, last: Option<&RawValue>, element: &str) {
        let (at, comma) = match last {
            Some(last) => (place_in(self.raw, last).end, ","),
            None => (self.raw.find('[').map_or(self.raw.len(), |at| at + 1), ""),
        };
        // What is put at one place stands in the order in which it came.
        self.edits.push(Edit { place: at..at, text: format!("{comma}{element}") });
    }

    fn remove(&mut self, place: Range<usize>) {
        self.edits.push(Edit { place, text: String::new() });
    }

    /// The text: as it came, if nothing changed.
    pub fn finish(mut self) -> Cow<'x, str> {
        if self.edits.is_empty() {
            return Cow::Borrowed(self.raw);
        }
        self.edits.sort_by_key(|edit| edit.place.start);
        let added: usize = self.edits.iter().map(|edit| edit.text.len()).sum();
        let mut text = String::with_capacity(self.raw.len() + added);
        let mut copied = 0;
        for Edit { place, text: new } in &self.edits {
            text.push_str(self.raw.get(copied..place.start).unwrap_or_default());
            text.push_str(new);
            copied = place.end;
        }
        text.push_str(self.raw.get(copied..).unwrap_or_default());
        Cow::Owned(text)
    }
}

/// Where a part of a text stands in it.
pub fn place_in(text: &str, part: &RawValue) -> Range<usize> {
    let part = part.get();
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len());
    start..text.len().min(start + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::containers::elements;
    use crate::wire::json::Json;

    #[test]
    fn what_is_left_out_of_an_array_leaves_the_rest_as_it_was() {
        let raw = "[ 0 , 1,\n2 ,3 ]";
        for (kept, expected) in [
            (vec![0, 1, 2, 3], raw),
            (vec![1, 2, 3], "[ 1,\n2 ,3 ]"),
            (vec![0, 2, 3], "[ 0,\n2 ,3 ]"),
            (vec![0, 1, 2], "[ 0 , 1,\n2 ]"),
            (vec![0], "[ 0 ]"),
            (vec![3], "[ 3 ]"),
            (vec![0, 3], "[ 0 ,3 ]"),
            (vec![1, 3], "[ 1 ,3 ]"),
        ] {
            let json = Json::borrow(raw).expect("JSON");
            let items = elements(json.raw()).expect("an array");
            let mut patch = Patch::new(json.get());
            patch.retain(&items, |position| kept.contains(&position));
            assert_eq!(patch.finish(), expected, "{kept:?}");
        }
    }

    #[test]
    fn values_are_replaced_and_appended_in_their_places() {
        let json = Json::borrow("[ \"a\", \"b\" ]").expect("JSON");
        let items = elements(json.raw()).expect("an array");
        let mut patch = Patch::new(json.get());
        patch.append(items.last().copied(), "3");
        patch.replace(items[0], "1".to_owned());
        patch.append(items.last().copied(), "4");
        assert_eq!(patch.finish(), "[ 1, \"b\",3,4 ]");
        let mut patch = Patch::new("[ ]");
        patch.append(None, "1");
        assert_eq!(patch.finish(), "[1 ]");
    }
}
