//! The calls of the last answer that wait for their results: the API wants each answered, by messages right behind the answer.

use std::collections::BTreeMap;

use crate::wire::ask::place::{Place, RequestFault};

#[derive(Default)]
pub struct OpenCalls<'x> {
    /// How many calls of an id are open, of each that is.
    ids: BTreeMap<&'x str, usize>,
    /// Where the latest of them stands.
    place: Option<Place>,
    /// The message before which the next result goes.
    end: usize,
}

impl<'x> OpenCalls<'x> {
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// A call has come, in the last of so many messages.
    pub fn begin(&mut self, id: &'x str, place: Place, messages: usize) {
        *self.ids.entry(id).or_default() += 1;
        self.place = Some(place.list());
        self.end = messages;
    }

    /// Where the result of a call goes, behind the others of its answer, whatever came between.
    ///
    /// # Errors
    /// The place of a result that answers no call of the last answer.
    pub fn end(&mut self, id: &str, place: Place) -> Result<usize, RequestFault> {
        match self.ids.get_mut(id) {
            Some(open) if *open > 1 => *open -= 1,
            Some(_) => {
                self.ids.remove(id);
            }
            None => return Err(place.fault("answers no call of the message before it")),
        }
        let at = self.end;
        self.end += 1;
        Ok(at)
    }

    /// # Errors
    /// The place of calls without results.
    pub fn check_answered(&self) -> Result<(), RequestFault> {
        match self.place {
            Some(place) if !self.ids.is_empty() => {
                Err(place.fault("must each be answered by a `tool_result` in the message that follows"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
