//! Joins a stream that broke with the one that takes its place, so that the client sees one answer.
//!
//! Stands between pieces and the door's encoder, and knows answers of a single choice. What was delivered is remembered by
//! channel; a replay is swallowed while it says the same and passed on from there; a continuation is passed on at once. Calls
//! are never joined: they are held back until their choice has finished, so that a stream which breaks inside one has
//! delivered nothing of it.

use std::borrow::Cow;

use crate::door::channel::{CHANNELS, Channel, Differs, channel_of, with_text};
use crate::door::encoder::{Encoder, Resumption};
use crate::door::seam::Seam;
use crate::wire::carried::carried;
use crate::wire::json::JsonString;
use crate::wire::piece::{Alive, Piece, Said};

/// The most bytes of text, or of calls, that are kept; a stream with more cannot be repaired.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// What a client has been given of one answer.
#[derive(Clone, Debug)]
pub struct Repair {
    /// How far the client has the answer, where another stream takes its place, or calls are held back.
    resumption: Option<Resumption>,
    channels: [Channel; CHANNELS],
    /// What the client gets once the choice has finished: all since its first call.
    held: Vec<u8>,
    /// Whether a call has begun, so that the client gets no more before the choice has finished.
    holds: bool,
    /// Whether a stream takes the place of another.
    resumed: bool,
    /// Where a stream goes on after a text of which its provider was not shown the end, until that is behind.
    seam: Option<Seam>,
    /// Whether all that was delivered can be compared with what another stream says.
    repairable: bool,
}

// Where the answer goes on elsewhere it is not repaired again.
carried!(Repair { channels, held, holds, resumed, seam } without { repairable, resumption });

/// What an event says that was not delivered before.
struct News<'s> {
    /// The new pieces; they are collected only for a stream that takes the place of another, since else all are new.
    pieces: Vec<Piece<'s>>,
    /// Whether there is a text among it.
    says_new: bool,
}

impl Default for Repair {
    fn default() -> Self {
        Self {
            resumption: None,
            channels: Default::default(),
            held: Vec::new(),
            holds: false,
            resumed: false,
            seam: None,
            repairable: true,
        }
    }
}

impl Repair {
    /// Whether another stream could take the place of this one.
    pub fn is_repairable(&self) -> bool {
        self.repairable
    }

    /// Whether the client gets exactly what comes in.
    pub fn is_transparent(&self) -> bool {
        !self.resumed && self.held.is_empty()
    }

    /// Whether a stream takes the place of another.
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// How far the client has the answer, if that is known.
    pub fn resumption(&self) -> Option<&Resumption> {
        self.resumption.as_ref()
    }

    /// The same, where the stream that `encoder` writes has broken.
    pub fn broken(&self, encoder: &Encoder) -> Self {
        let known = self.resumption.clone().filter(|_| self.holds);
        Self { resumption: known.or_else(|| Some(encoder.resumption())), ..self.clone() }
    }

    /// The answer's text as far as it was delivered.
    pub fn text(&self) -> &str {
        &self.channels[0].delivered
    }

    /// The stream broke, and one that begins anew takes its place.
    pub fn replay(&mut self) {
        self.restart();
        self.channels.iter_mut().for_each(|channel| channel.replayed = 0);
    }

    /// The stream broke, and one that goes on after [`Repair::text`] takes its place.
    pub fn go_on(&mut self) {
        self.restart();
        self.channels.iter_mut().for_each(|channel| channel.replayed = channel.delivered.len());
    }

    /// The provider of the stream that goes on was not shown this white space at the end of [`Repair::text`], and may well
    /// begin with it.
    pub fn hides(&mut self, white_space: &str) {
        self.seam = Seam::new(white_space);
    }

    fn restart(&mut self) {
        self.seam = None;
        self.held.clear();
        self.holds = false;
        self.resumed = true;
    }

    /// Takes what one event says, and appends what the client gets for it to `out`.
    pub fn pass(&mut self, said: &Said<'_>, encoder: &mut Encoder, out: &mut Vec<u8>) -> Result<(), Differs> {
        if said.pieces.iter().all(|piece| piece.choice().is_none()) {
            // What is no piece of the answer may be one of what goes out as it came.
            let is_held = self.holds && !said.pieces.iter().any(overtakes) && self.held.len() <= MAX_KEPT_BYTES;
            encoder.encode(said, if is_held { &mut self.held } else { out });
            return Ok(());
        }
        let has_text = said.pieces.iter().any(|piece| channel_of(piece).is_some());
        // What stands beside a text is compared by that.
        let is_unknown = |piece: &Piece<'_>| matches!(piece, Piece::Opaque(opaque) if opaque.is_answer && !has_text);
        if said.pieces.iter().any(|piece| is_incomparable(piece) || is_unknown(piece)) {
            self.repairable = false;
            out.append(&mut self.held);
            encoder.encode(said, out);
            return Ok(());
        }
        // A reason to finish that comes with a text may come with every text.
        let finishes = !has_text && said.pieces.iter().any(|piece| matches!(piece, Piece::Finish { .. }));
        let calls = said.pieces.iter().any(Piece::is_of_a_call);
        let holds = self.holds || calls;
        let bytes = said.came.map_or(0, |came| came.data.len());
        let is_held = holds && !finishes && self.held.len() + bytes <= MAX_KEPT_BYTES;
        let News { pieces, says_new } = self.compare(said, encoder, is_held)?;
        let says_something = says_new || calls || finishes;
        if says_something && self.channels.iter().any(Channel::is_behind) {
            return Err(Differs);
        }
        if is_held && !self.holds {
            self.resumption = Some(encoder.resumption());
        }
        self.holds = holds;
        if holds && !is_held {
            // The choice has finished, or its calls are too long to be held.
            out.append(&mut self.held);
            self.repairable = false;
        }
        let out = if is_held { &mut self.held } else { out };
        if !self.resumed {
            encoder.encode(said, out);
            return Ok(());
        }
        let is_new =
            |piece: &Piece<'_>| says_something || piece.choice().is_none() || matches!(piece, Piece::Finish { .. });
        let pieces: Vec<Piece<'_>> = pieces.into_iter().filter(is_new).collect();
        encoder.encode(&Said { pieces: &pieces, came: None, ..*said }, out);
        Ok(())
    }

    /// The answer is whole: appends what was held back of it to `out`, unless a replay has not said all that was delivered.
    pub fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Differs> {
        if self.channels.iter().any(Channel::is_behind) {
            return Err(Differs);
        }
        out.append(&mut self.held);
        Ok(())
    }

    /// What an event says that was not delivered before. What is not to be held counts as delivered.
    fn compare<'s>(&mut self, said: &Said<'s>, encoder: &Encoder, is_held: bool) -> Result<News<'s>, Differs> {
        let mut news = News { pieces: Vec::new(), says_new: false };
        for piece in said.pieces {
            if self.resumed && matches!(piece, Piece::Sealed { .. }) {
                // It is of another model than what the client has, or comes a second time.
                continue;
            }
            let channel = channel_of(piece).filter(|_| encoder.options().shows(said.dialect, piece));
            let Some((channel, text)) = channel.and_then(|(channel, text)| Some((channel, text.decode()?))) else {
                if self.resumed {
                    news.pieces.push(piece.clone());
                }
                continue;
            };
            let is_at_seam = matches!(piece, Piece::Text { .. }) && self.seam.is_some();
            let text = match self.seam.as_mut().filter(|_| is_at_seam) {
                None => text,
                Some(seam) => {
                    let Some(new) = seam.take(&text) else { continue };
                    self.seam = None;
                    Cow::Owned(new)
                }
            };
            let channel = &mut self.channels[channel];
            let known = channel.take(&text)?;
            news.says_new |= known < text.len();
            if self.resumed && known == 0 && !is_at_seam {
                news.pieces.push(piece.clone());
            } else if self.resumed && known < text.len() {
                news.pieces.push(with_text(piece, JsonString::encode(&text[known..])));
            }
            if !is_held && known < text.len() {
                channel.delivered.push_str(&text[known..]);
                channel.replayed = channel.delivered.len();
                self.repairable &= channel.delivered.len() <= MAX_KEPT_BYTES;
            }
        }
        Ok(news)
    }
}

/// Whether a piece goes out at once, though calls are held back: it belongs to no place in the answer.
fn overtakes(piece: &Piece<'_>) -> bool {
    match piece {
        Piece::Start(_) | Piece::Usage { .. } | Piece::Alive(Alive::Ping | Alive::Comment) | Piece::Opaque(_) => true,
        Piece::Alive(Alive::Thinking)
        | Piece::Begin { .. }
        | Piece::Text { .. }
        | Piece::Refusal { .. }
        | Piece::Reasoning { .. }
        | Piece::Sealed { .. }
        | Piece::Input { .. }
        | Piece::End { .. }
        | Piece::Finish { .. } => false,
    }
}

/// Whether a piece cannot be compared with what another stream says: one of another choice, or half a character.
fn is_incomparable(piece: &Piece<'_>) -> bool {
    // Only with escapes it may be half a character.
    let is_half = channel_of(piece).is_some_and(|(_, text)| text.get().contains('\\') && text.decode().is_none());
    is_half || piece.choice().is_some_and(|choice| choice > 0)
}

#[cfg(test)]
mod tests;
