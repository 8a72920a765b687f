//! What a client gets while its answer is held back: after a while a head, and then comments, so that nobody between takes
//! the connection for dead.

use std::time::Duration;

use http::HeaderMap;

use crate::attempt::Meanwhile;
use crate::door::answer_headers;
use crate::platform::{ClientGone, Platform};
use crate::record::Record;
use crate::relay::{KEEP_ALIVE, READER_PATIENCE};
use crate::wire::sse::COMMENT;

/// A client that waits.
pub struct Waiting<'a, P: Platform> {
    platform: &'a P,
    /// Headers that the answer carries whatever it is.
    extra: &'a HeaderMap,
    downstream: Option<P::Downstream>,
    due: Duration,
    bytes_sent: u64,
}

impl<'a, P: Platform> Waiting<'a, P> {
    pub fn new(platform: &'a P, extra: &'a HeaderMap) -> Self {
        Self { platform, extra, downstream: None, due: platform.elapsed() + KEEP_ALIVE, bytes_sent: 0 }
    }

    /// The answer, if its head has been sent, and how many bytes of it.
    pub fn into_parts(self) -> (Option<P::Downstream>, u64) {
        (self.downstream, self.bytes_sent)
    }
}

impl<P: Platform> Meanwhile for Waiting<'_, P> {
    fn due(&self) -> Option<Duration> {
        Some(self.due)
    }

    fn tick(&mut self, record: &mut Record) -> Result<(), ClientGone> {
        self.due += KEEP_ALIVE;
        self.bytes_sent += COMMENT.len() as u64;
        let platform = self.platform;
        let head = || platform.start_response(answer_headers::stream_head(platform.elapsed(), record, self.extra));
        platform.write(self.downstream.get_or_insert_with(head), COMMENT, READER_PATIENCE)
    }
}
