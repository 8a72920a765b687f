//! The fake platform keeps the times that Fastly keeps.

use std::collections::VecDeque;
use std::time::Duration;

use http::HeaderMap;
use tiergate::platform::{
    Clearance, FIRST_BYTE_TIMEOUT, Platform, ReadError, SendError, Target, UpstreamRequest, Wait,
};
use tiergate::policy::BaseUrl;

use crate::fake::{Chunk, Fake, Reply};

const SECOND: Duration = Duration::from_secs(1);

/// What comes of a request whose reply has these delays, read to its end: how, and when.
fn ask(fake: &Fake, reply: Reply) -> (Result<usize, SendError>, Duration) {
    let url = BaseUrl::parse("https://a.example").expect("a URL");
    let target = Target {
        url,
        clearance: Clearance::Listed,
        connect_timeout: SECOND,
        first_byte_timeout: FIRST_BYTE_TIMEOUT,
        between_bytes_timeout: 15 * SECOND,
        max_connections: 0,
        tcp_keepalive: None,
    };
    fake.providers.borrow_mut().insert("a.example".to_owned(), VecDeque::from([reply]));
    let request =
        UpstreamRequest { method: http::Method::POST, url: String::new(), headers: HeaderMap::new(), body: vec![] };
    let backend = fake.backend(&target).expect("a backend");
    let pending = fake.send(&backend, request).expect("a request");
    fake.wait_first(&[Wait::Response(&pending)], None);
    let read = fake.response(pending).map(|mut response| {
        let mut bytes = Vec::new();
        loop {
            fake.wait_first(&[Wait::Body(&response.body)], None);
            match fake.read(&mut response.body, &mut bytes, 100) {
                Ok(read) if read > 0 => {}
                Ok(_) | Err(ReadError) => return bytes.len(),
            }
        }
    });
    (read, fake.elapsed())
}

#[test]
fn the_platforms_timeouts_are_kept_for_backends_that_it_made() {
    let after = |head: u32, parts: &[u32]| Reply::Answer {
        delay: SECOND * head,
        status: 200,
        headers: Vec::new(),
        chunks: parts.iter().map(|delay| Chunk { delay: SECOND * *delay, bytes: Ok(b"x".to_vec()) }).collect(),
    };
    let late = Err(SendError::Timeout);
    for (name, reply, made, is_static) in [
        ("all in time", after(120, &[15, 15]), (Ok(2), 150), Some((Ok(2), 150))),
        ("a late head", after(121, &[]), (late, 120), Some((Ok(0), 121))),
        ("no head", Reply::Never, (late, 120), None),
        ("a late first part", after(1, &[16, 1]), (Ok(0), 16), Some((Ok(2), 18))),
        ("a late second part", after(1, &[5, 16]), (Ok(1), 21), Some((Ok(2), 22))),
    ] {
        let of = |(read, seconds): (Result<usize, SendError>, u32)| (read, SECOND * seconds);
        assert_eq!(ask(&Fake::default(), reply.clone()), of(made), "{name}");
        let Some(is_static) = is_static else { continue };
        let fake = Fake::default();
        fake.has_static_backends.set(true);
        assert_eq!(ask(&fake, reply), of(is_static), "{name}, of a static backend");
    }
}
