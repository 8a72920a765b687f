//! Server-sent events, as providers send them: bytes in, whole events out.
//!
//! Follows WHATWG HTML §9.2: lines end in LF, CRLF or a lone CR; an empty line ends an event; the values of `data` lines
//! are joined by LF; lines that begin with a colon are comments. It never splits a character, since it works on bytes and
//! hands out whole lines only. One event may be [`MAX_EVENT_BYTES`] long at most.

use super::json::BYTE_ORDER_MARK;

/// The longest event that is accepted, with its line ends: as much as of a whole answer, since an image comes as one event.
/// What is read, what is to be sent and a vector that grows hold it at most four times, of a guest's 128 MiB.
pub const MAX_EVENT_BYTES: usize = 16 << 20;
/// The most that a decoder keeps allocated for events that are short again, in bytes.
const MAX_KEPT_BYTES: usize = 256 << 10;

/// Keeps a connection open; every client ignores it.
pub const COMMENT: &[u8] = b": keep-alive\n\n";
/// The event that the Messages API has for the same.
pub const PING: &[u8] = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";

/// One event, borrowed from the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Exactly what was received, the ending empty line included.
    pub raw: &'a [u8],
    /// How many lines of it are data; see [`Event::data`].
    lines: usize,
    /// How many are not: comments, names, ids.
    others: usize,
}

/// An event that grew past [`MAX_EVENT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {MAX_EVENT_BYTES} bytes")]
pub struct TooLong;

/// Splits a stream into events.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the event under way begins.
    start: usize,
    /// How far `buffer` has been looked at.
    scanned: usize,
    /// `data` lines seen in the event under way.
    data_lines: usize,
    other_lines: usize,
    line_start: usize,
    began: bool,
    ended: bool,
}

impl Decoder {
    /// A decoder that goes on behind the beginning of a stream, where no byte order mark may stand any more.
    pub fn behind_beginning() -> Self {
        Self { began: true, ..Self::default() }
    }

    /// Whether the beginning of the stream has come, with the byte order mark that it may have.
    pub fn is_behind_beginning(&self) -> bool {
        self.began
    }

    /// Where the next read is to be appended; whole events that were taken are forgotten first.
    pub fn space(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.line_start -= self.start;
            self.start = 0;
            if self.buffer.capacity() > MAX_KEPT_BYTES && self.buffer.len() < MAX_KEPT_BYTES {
                self.buffer.shrink_to(MAX_KEPT_BYTES);
            }
        }
        &mut self.buffer
    }

    /// What has come and is no part of an event that was taken.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The same, for who takes it all.
    pub fn into_unread(mut self) -> Vec<u8> {
        self.buffer.split_off(self.start)
    }

    /// Notes that no more bytes come, so that a CR that came last has ended its line.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next whole event, if its end has arrived.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, TooLong> {
        if !self.begin() {
            return Ok(None);
        }
        while let Some(offset) = memchr::memchr2(b'\n', b'\r', &self.buffer[self.scanned..]) {
            let end = self.scanned + offset;
            let after = match (self.buffer[end], self.buffer.get(end + 1)) {
                (b'\r', Some(b'\n')) => end + 2,
                // Whether a LF belongs to this CR shows with the next byte, or with the end.
                (b'\r', None) if !self.ended => break,
                _ => end + 1,
            };
            let line = &self.buffer[self.line_start..end];
            self.scanned = after;
            if line.is_empty() {
                let event_start = self.start;
                let lines = std::mem::take(&mut self.data_lines);
                let others = std::mem::take(&mut self.other_lines);
                self.start = after;
                self.line_start = after;
                return Ok(Some(Event { raw: &self.buffer[event_start..after], lines, others }));
            }
            if is_data(line) {
                self.data_lines += 1;
            } else {
                self.other_lines += 1;
            }
            self.line_start = after;
        }
        if self.buffer.len() - self.start > MAX_EVENT_BYTES {
            return Err(TooLong);
        }
        // What is left has no line end but perhaps a final CR.
        self.scanned = self.buffer.len() - usize::from(self.buffer.ends_with(b"\r"));
        Ok(None)
    }

    /// What arrived after the last whole event. The specification discards it; a final event whose empty line was lost
    /// with the connection is still worth a look.
    pub fn remainder(&self) -> Event<'_> {
        let last_line = self.buffer[self.line_start..].trim_ascii_end();
        let is_data = is_data(last_line);
        Event {
            raw: &self.buffer[self.start..],
            lines: self.data_lines + usize::from(is_data),
            others: self.other_lines + usize::from(!is_data && !last_line.is_empty()),
        }
    }

    /// Drops one leading byte order mark; false while it cannot be told yet whether there is one.
    fn begin(&mut self) -> bool {
        const MARK: &[u8] = BYTE_ORDER_MARK;
        if !self.began {
            if self.buffer.len() < MARK.len() && MARK.starts_with(&self.buffer) {
                return false;
            }
            self.began = true;
            if self.buffer.starts_with(MARK) {
                self.buffer.drain(..MARK.len());
            }
        }
        true
    }
}

impl<'a> Event<'a> {
    /// The event's data, or nothing for a comment or an event without data. Copies only when it has several lines.
    pub fn data(&self) -> Option<std::borrow::Cow<'a, [u8]>> {
        // What most events are: one line of data and nothing else.
        if let (1, 0, Some(value)) = (self.lines, self.others, self.raw.strip_prefix(b"data:")) {
            let end = memchr::memchr2(b'\n', b'\r', value).unwrap_or(value.len());
            let value = &value[..end];
            return Some(value.strip_prefix(b" ").unwrap_or(value).into());
        }
        let mut values =
            self.raw.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| is_data(line)).map(|line| {
                line.strip_prefix(b"data:").map_or(&b""[..], |value| value.strip_prefix(b" ").unwrap_or(value))
            });
        let first = values.next()?;
        if self.lines <= 1 {
            return Some(first.into());
        }
        let mut joined = first.to_vec();
        for value in values {
            joined.push(b'\n');
            joined.extend_from_slice(value);
        }
        Some(joined.into())
    }
}

impl Event<'_> {
    /// Whether it is data and nothing else.
    pub fn is_bare(&self) -> bool {
        self.others == 0
    }

    /// Whether it is data under a name and nothing else, the name first.
    pub fn is_named_data(&self) -> bool {
        self.others == 1 && self.raw.starts_with(b"event:")
    }

    /// Whether its name says that it is an error, whatever its data is.
    pub fn is_named_error(&self) -> bool {
        let says_so = |line: &[u8]| {
            let name = line.strip_prefix(b"event:").unwrap_or_default().to_ascii_lowercase();
            ["error", "exception", "fail"].iter().any(|word| memchr::memmem::find(&name, word.as_bytes()).is_some())
        };
        !self.is_bare() && self.raw.split(|byte| matches!(byte, b'\n' | b'\r')).any(says_so)
    }

    /// Appends an event with `data` and nothing else to `out`.
    pub fn write(data: &[u8], out: &mut Vec<u8>) {
        for line in data.split(|byte| *byte == b'\n') {
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.push(b'\n');
    }
}

/// What bytes are the beginning of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// Too little to tell.
    Unknown,
    /// A stream of events: a field of one, or a comment.
    Events,
    /// JSON.
    Json,
    /// Anything else.
    Other,
}

/// What `bytes` are the beginning of, by what they are: content types are often wrong, or missing.
pub fn beginning(bytes: &[u8]) -> Beginning {
    const FIELDS: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];
    if bytes.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(bytes) {
        return Beginning::Unknown;
    }
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
    match text.first() {
        None => Beginning::Unknown,
        Some(b':') => Beginning::Events,
        Some(b'{' | b'[' | b'"') => Beginning::Json,
        Some(_) => {
            let name = text.split(|byte| matches!(byte, b':' | b'\n' | b'\r')).next().unwrap_or_default();
            match name.len() == text.len() {
                true if FIELDS.iter().any(|field| field.starts_with(name)) => Beginning::Unknown,
                false if FIELDS.contains(&name) => Beginning::Events,
                _ => Beginning::Other,
            }
        }
    }
}

fn is_data(line: &[u8]) -> bool {
    line.starts_with(b"data:") || line == b"data"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events of `parts`, as their data, and the data of what remains.
    fn decode(parts: &[&[u8]]) -> (Vec<Option<String>>, Option<String>) {
        let text = |data: Option<std::borrow::Cow<'_, [u8]>>| data.map(|data| String::from_utf8(data.into()).unwrap());
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        for part in parts {
            decoder.space().extend_from_slice(part);
            while let Some(event) = decoder.next_event().unwrap() {
                events.push(text(event.data()));
            }
        }
        (events, text(decoder.remainder().data()))
    }

    /// A stream, the data of its events, and the data of what remains.
    type Case = (&'static str, &'static [Option<&'static str>], Option<&'static str>);

    #[test]
    fn events_come_out_the_same_at_every_split() {
        let cases: [Case; 10] = [
            ("data: a\n\ndata: b\n\n", &[Some("a"), Some("b")], None),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &[Some("a"), Some("b")], None),
            ("data: a\r\rdata: b\r\rx", &[Some("a"), Some("b")], None),
            (": ping\n\ndata:no space\n\n", &[None, Some("no space")], None),
            ("event: x\nid: 1\ndata: one\ndata: two\n\n", &[Some("one\ntwo")], None),
            ("data\n\n", &[Some("")], None),
            ("data: ä€𝄞\u{2028}\n\n", &[Some("ä€𝄞\u{2028}")], None),
            ("\u{FEFF}data: marked\n\n", &[Some("marked")], None),
            ("data: whole\n\ndata: [DONE]", &[Some("whole")], Some("[DONE]")),
            ("database: no\ndatum\n\n", &[None], None),
        ];
        for (stream, events, remainder) in cases {
            let expected =
                (events.iter().map(|event| event.map(str::to_owned)).collect::<Vec<_>>(), remainder.map(str::to_owned));
            let bytes = stream.as_bytes();
            for at in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(at);
                assert_eq!(decode(&[head, tail]), expected, "{stream:?} split at {at}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode(&single), expected, "{stream:?} byte by byte");
        }
    }

    #[test]
    fn what_is_not_data_is_known() {
        for (stream, is_bare, is_named_error) in [
            ("data: a\ndata: b\n\n", true, false),
            ("data: event: error\n\n", true, false),
            (": c\ndata: a\n\n", false, false),
            ("event: message\r\ndata: a\r\n\r\n", false, false),
            ("data: a\revent:error\r\rx", false, true),
            ("id: 1\nevent: InternalException\n\n", false, true),
        ] {
            let mut decoder = Decoder::default();
            decoder.space().extend_from_slice(stream.as_bytes());
            let event = decoder.next_event().unwrap().expect("an event");
            assert_eq!((event.is_bare(), event.is_named_error()), (is_bare, is_named_error), "{stream:?}");
        }
        let mut decoder = Decoder::default();
        decoder.space().extend_from_slice(b": c\ndata: a");
        assert_eq!(decoder.next_event(), Ok(None));
        assert!(!decoder.remainder().is_bare(), "what came before the last line counts too");
    }

    #[test]
    fn a_stream_is_known_by_its_first_bytes() {
        for (bytes, expected) in [
            ("data: x", Beginning::Events),
            ("\r\n\ndata:x", Beginning::Events),
            ("\u{FEFF}event: x", Beginning::Events),
            (": hello", Beginning::Events),
            ("id:1", Beginning::Events),
            ("retry: 1", Beginning::Events),
            ("data\n\n", Beginning::Events),
            ("{\"error\"", Beginning::Json),
            ("\u{FEFF} [", Beginning::Json),
            ("\"no such model\"", Beginning::Json),
            ("<html>", Beginning::Other),
            ("database: no", Beginning::Other),
            ("Internal error: no", Beginning::Other),
            ("datum", Beginning::Other),
        ] {
            assert_eq!(beginning(bytes.as_bytes()), expected, "{bytes:?}");
            // Fewer bytes say the same, or nothing yet.
            for at in 0..bytes.len() {
                let early = beginning(&bytes.as_bytes()[..at]);
                assert!(early == Beginning::Unknown || early == expected, "{bytes:?} cut at {at}: {early:?}");
            }
        }
    }

    #[test]
    fn a_long_event_leaves_no_large_buffer_behind() {
        let mut decoder = Decoder::default();
        decoder.space().extend_from_slice(format!("data: {}\n\n", "x".repeat(1_500_000)).as_bytes());
        assert_eq!(decoder.next_event().map(|event| event.map(|event| event.raw.len())), Ok(Some(1_500_008)));
        assert!(decoder.space().capacity() <= 2 * MAX_KEPT_BYTES);
    }

    #[test]
    fn an_event_that_is_written_is_read_again() {
        let mut written = Vec::new();
        Event::write(b"{\n}", &mut written);
        assert_eq!(decode(&[&written]), (vec![Some("{\n}".to_owned())], None));
    }

    #[test]
    fn raw_parts_join_to_the_input() {
        let stream = b"data: a\n\n: c\r\n\r\ndata: b\n\nrest";
        let mut decoder = Decoder::default();
        decoder.space().extend_from_slice(stream);
        let mut joined = Vec::new();
        while let Some(event) = decoder.next_event().unwrap() {
            joined.extend_from_slice(event.raw);
        }
        joined.extend_from_slice(decoder.remainder().raw);
        assert_eq!(joined, stream);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut decoder = Decoder::default();
        decoder.space().extend_from_slice(b"data: ");
        let mut fed = 6;
        while fed <= MAX_EVENT_BYTES {
            assert_eq!(decoder.next_event(), Ok(None));
            decoder.space().extend_from_slice(&[b'x'; 65536]);
            fed += 65536;
        }
        assert_eq!(decoder.next_event(), Err(TooLong));
    }
}
