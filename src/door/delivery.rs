//! What one client gets of one answer: pieces in, the client's bytes out, as a stream or at the end as one document.
//!
//! The only place where pieces meet the client's door. It notes the facts of the answer on the way, and keeps what a repair
//! needs where the tier asks for one.

use std::rc::Rc;

use crate::door::answer::AnswerOptions;
use crate::door::channel::Differs;
use crate::door::encoder::Encoder;
use crate::door::gathered::Gathered;
use crate::door::repair::Repair;
use crate::policy::Dialect;
use crate::wire::call_tag::{CallTagger, Origin};
use crate::wire::carried::carried;
use crate::wire::facts::AnswerFacts;
use crate::wire::piece::{Came, Piece, Said, Weight};
use crate::wire::transfer::Transfer;

/// A streamed answer on its way to a client.
#[derive(Debug)]
pub struct Delivery {
    options: AnswerOptions,
    form: Form,
    /// How long the state of the reasoning is that it has told so far.
    pub sealed_bytes: usize,
    /// What the answer has told so far.
    pub facts: AnswerFacts,
    /// Whose calls are tagged, if they are.
    origin: Option<Origin>,
}

carried!(Delivery { options, form, sealed_bytes, facts, origin });

/// In which form the client gets it.
#[derive(Debug)]
enum Form {
    Stream(Box<ClientStream>),
    /// Nothing goes out before its end.
    Whole(Gathered),
}

carried!(Form = Stream(stream) | Whole(gathered));

/// A stream for the client.
#[derive(Debug)]
struct ClientStream {
    encoder: Encoder,
    repair: Option<Repair>,
    differs: bool,
}

carried!(ClientStream { encoder, repair, differs });

impl Delivery {
    /// As a stream. With `repair` the answer can be joined with one that takes its place, or takes the place of the one that it
    /// remembers.
    pub fn stream(options: AnswerOptions, repair: Option<Repair>) -> Self {
        let encoder = match repair.as_ref().filter(|repair| repair.is_resumed()) {
            Some(repair) => Encoder::resumed(options, repair.resumption()),
            None => Encoder::new(options),
        };
        Self::of(options, Form::Stream(Box::new(ClientStream { encoder, repair, differs: false })))
    }

    /// As one document, once the answer is whole.
    pub fn whole(options: AnswerOptions) -> Self {
        Self::of(options, Form::Whole(Gathered::new(options.door)))
    }

    fn of(options: AnswerOptions, form: Form) -> Self {
        Self { options, form, sealed_bytes: 0, facts: AnswerFacts::default(), origin: None }
    }

    /// The same with its calls tagged, if there is a tagger. One that was carried here needs its tagger anew.
    pub fn tagged(mut self, tagger: Option<Rc<CallTagger>>) -> Self {
        let Some(tagger) = tagger else { return self };
        self.origin = Some(tagger.origin());
        match &mut self.form {
            Form::Stream(stream) => stream.encoder.set_tagger(Some(tagger)),
            Form::Whole(gathered) => gathered.set_tagger(Some(tagger)),
        }
        self
    }

    /// Whose calls are tagged, if they are.
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// Takes what one event says, appends what the client gets for it to `out`, and says whether it is any of an answer.
    pub fn take(&mut self, said: &Said<'_>, out: &mut Vec<u8>) -> Weight {
        let options = self.options;
        note(&mut self.facts, &options, said);
        let states = said.pieces.iter().filter_map(|piece| options.state(said.dialect, piece));
        self.sealed_bytes += states.map(|sealed| sealed.token.len() + sealed.text.get().len()).sum::<usize>();
        match &mut self.form {
            // A body that came in place of events is none of them.
            Form::Stream(stream) => {
                let came = said.came.filter(|came| came.kind == Came::Event);
                stream.take(&Said { came, ..*said }, out);
            }
            Form::Whole(gathered) => gathered.take(&options, said),
        }
        let shows = said.pieces.iter().any(|piece| options.shows(said.dialect, piece));
        if shows { Weight::Answer } else { Weight::Nothing }
    }

    /// The answer is whole; what the client gets for that is appended to `out`.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        match &mut self.form {
            Form::Stream(stream) => stream.end(out),
            Form::Whole(gathered) => std::mem::replace(gathered, Gathered::new(self.options.door)).write(out),
        }
    }

    /// In which form the client gets the answer.
    pub fn transfer(&self) -> Transfer {
        match self.form {
            Form::Stream(_) => Transfer::Stream,
            Form::Whole(_) => Transfer::Whole,
        }
    }

    /// Whether more of an answer has come than is gathered of one.
    pub fn is_too_large(&self) -> bool {
        match &self.form {
            Form::Stream(_) => false,
            Form::Whole(gathered) => gathered.is_too_large(),
        }
    }

    /// Whether the answer says something else than the one whose place it takes, so that the client cannot get its end.
    pub fn has_differed(&self) -> bool {
        match &self.form {
            Form::Stream(stream) => stream.differs,
            Form::Whole(_) => false,
        }
    }

    /// Whether the client gets other bytes than a provider of `dialect` sends.
    pub fn rewrites(&self, dialect: Dialect) -> bool {
        match &self.form {
            Form::Stream(stream) => stream.rewrites(dialect),
            Form::Whole(_) => true,
        }
    }

    /// What another stream needs to take the place of this one, if one can.
    pub fn repair(&self) -> Option<Repair> {
        match &self.form {
            Form::Stream(stream) => stream.repair(),
            Form::Whole(_) => None,
        }
    }
}

impl ClientStream {
    fn take(&mut self, said: &Said<'_>, out: &mut Vec<u8>) {
        match &mut self.repair {
            None => self.encoder.encode(said, out),
            Some(_) if self.differs => {}
            Some(repair) => self.differs = repair.pass(said, &mut self.encoder, out) == Err(Differs),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(repair) = &mut self.repair {
            self.differs |= repair.end(out) == Err(Differs);
        }
        if !self.differs {
            self.encoder.end(out);
        }
    }

    fn repair(&self) -> Option<Repair> {
        let repair = self.repair.as_ref().filter(|repair| repair.is_repairable() && self.encoder.is_resumable())?;
        Some(repair.broken(&self.encoder))
    }

    fn rewrites(&self, dialect: Dialect) -> bool {
        !self.encoder.passes(dialect) || self.repair.as_ref().is_some_and(|repair| !repair.is_transparent())
    }
}

/// The body of a whole answer for the client, with its calls tagged where there is a `tagger`; nothing if it is to get what came.
pub fn encode_answer(options: &AnswerOptions, said: &Said<'_>, tagger: Option<Rc<CallTagger>>) -> Option<Vec<u8>> {
    (!options.is_own(said.dialect)).then(|| {
        let (mut gathered, mut out) = (Gathered::new(options.door), Vec::new());
        gathered.set_tagger(tagger);
        gathered.take(options, said);
        gathered.write(&mut out);
        out
    })
}

/// The facts of a whole answer.
pub fn facts(options: &AnswerOptions, said: &Said<'_>) -> AnswerFacts {
    let mut facts = AnswerFacts::default();
    note(&mut facts, options, said);
    facts
}

fn note(facts: &mut AnswerFacts, options: &AnswerOptions, said: &Said<'_>) {
    for piece in said.pieces {
        if let Piece::Finish { choice, finish } = piece {
            facts.note_finish_reason(*choice, &options.finish_word(said.dialect, finish));
        } else {
            facts.note(piece);
        }
    }
}
