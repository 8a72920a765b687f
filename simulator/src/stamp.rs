//! The time of sending inside streamed events, for measuring how long an event takes through a gateway.

use std::sync::LazyLock;
use std::time::Instant;

use axum::body::Bytes;

/// Where this stands in a streamed event, the event is sent with [`now_ns`] in its place. Whole answers keep it.
pub const SENT_AT: &str = "<sent-at-ns>";

/// Nanoseconds on a clock that everything in this process shares.
pub fn now_ns() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The frame as it is to be sent now.
pub fn stamp(frame: Bytes) -> Bytes {
    let mark = SENT_AT.as_bytes();
    let Some(start) = frame.windows(mark.len()).position(|part| part == mark) else {
        return frame;
    };
    let now = now_ns().to_string();
    [&frame[..start], now.as_bytes(), &frame[start + mark.len()..]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_carries_the_time_of_sending() {
        let before = now_ns();
        let frame = stamp(Bytes::from(format!("data: {SENT_AT} \n\n")));
        let text = std::str::from_utf8(&frame).expect("the frame should be text");
        let number = text.strip_prefix("data: ").and_then(|rest| rest.strip_suffix(" \n\n"));
        let sent: u64 = number.expect(text).parse().expect(text);
        assert!((before..=now_ns()).contains(&sent), "{text}");

        let plain = Bytes::from_static(b"data: x\n\n");
        assert_eq!(stamp(plain.clone()), plain);
    }
}
