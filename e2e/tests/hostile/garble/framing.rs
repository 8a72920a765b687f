//! How a body's bytes go over the wire: well framed, cut, or with a frame that lies.

use crate::random::Random;
use crate::reply::{self, LAST_CHUNK, Reply, chunk, head};

/// The reply, the body that a reader gets, whether the transfer breaks off, and what is done.
pub type Framed = (Reply, Vec<u8>, bool, String);

fn reply_of(parts: Vec<Vec<u8>>, resets: bool) -> Reply {
    Reply { parts, end: if resets { reply::End::Reset } else { reply::End::Close } }
}

pub fn frame_stream(body: Vec<u8>, random: &mut Random) -> Framed {
    let mut parts = vec![head("200 OK", "text/event-stream", &[], "transfer-encoding: chunked")];
    let mut chunks = Vec::new();
    let mut rest = body.as_slice();
    while !rest.is_empty() {
        let size = if random.once_in(3) { 1 + random.below(7) } else { 1 + random.below(400) };
        let (part, after) = rest.split_at(size.min(rest.len()));
        chunks.push(part);
        rest = after;
    }
    match random.below(8) {
        0 => {
            let keep = random.below(chunks.len() + 1);
            let resets = random.once_in(3);
            parts.extend(chunks[..keep].iter().map(|part| chunk(part)));
            (reply_of(parts, resets), chunks[..keep].concat(), true, format!("cut after chunk {keep}"))
        }
        1 => {
            parts.extend(chunks.iter().map(|part| chunk(part)));
            (reply_of(parts, false), body, true, "no last chunk".to_owned())
        }
        2 => {
            let keep = random.below(chunks.len() + 1);
            parts.extend(chunks[..keep].iter().map(|part| chunk(part)));
            let bad =
                *random.pick(&[&b"zz\r\nabc\r\n"[..], b"ffffffffffffffffff\r\n", b"-1\r\n", b"5\r\nab", b"\r\n\r\n"]);
            parts.push(bad.to_vec());
            (reply_of(parts, false), chunks[..keep].concat(), true, format!("chunk {keep} is garbage"))
        }
        3 => {
            let length = body.len() + 1 + random.below(100);
            parts[0] = head("200 OK", "text/event-stream", &[], &format!("content-length: {length}"));
            parts.push(body.clone());
            (reply_of(parts, false), body, true, "content-length is too large".to_owned())
        }
        4 => {
            parts[0] = head("200 OK", "text/event-stream", &[], "x-framing: none");
            parts.push(body.clone());
            (reply_of(parts, false), body, false, "the connection's end ends it".to_owned())
        }
        _ => {
            parts.extend(chunks.iter().map(|part| chunk(part)));
            parts.push(LAST_CHUNK.to_vec());
            (reply_of(parts, false), body, false, "well framed".to_owned())
        }
    }
}

pub fn frame_whole(body: Vec<u8>, random: &mut Random) -> Framed {
    let framed = |framing: &str, sent: &[u8]| vec![head("200 OK", "application/json", &[], framing), sent.to_vec()];
    match random.below(8) {
        0 => {
            let keep = random.below(body.len() + 1);
            let parts = framed(&format!("content-length: {}", body.len() + 1), &body[..keep]);
            (reply_of(parts, random.once_in(3)), body[..keep].to_vec(), true, format!("cut at {keep}"))
        }
        1 => {
            let length = random.below(body.len() + 1);
            let parts = framed(&format!("content-length: {length}"), &body);
            (reply_of(parts, false), body[..length].to_vec(), false, format!("content-length is only {length}"))
        }
        2 => {
            let keep = random.below(body.len() + 1);
            let parts = framed("transfer-encoding: chunked", &chunk(&body[..keep]));
            (reply_of(parts, false), body[..keep].to_vec(), true, format!("chunked and cut at {keep}"))
        }
        3 => {
            let sent = [chunk(&body).as_slice(), LAST_CHUNK].concat();
            (reply_of(framed("transfer-encoding: chunked", &sent), false), body, false, "chunked".to_owned())
        }
        4 => {
            (reply_of(framed("x-framing: none", &body), false), body, false, "the connection's end ends it".to_owned())
        }
        _ => {
            let parts = framed(&format!("content-length: {}", body.len()), &body);
            (reply_of(parts, false), body, false, "well framed".to_owned())
        }
    }
}
