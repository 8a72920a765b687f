//! The gateway's shell around a pipeline that panics: before its answer, or in the middle of a stream (`/stream`).

#[cfg(target_arch = "wasm32")]
#[expect(clippy::panic, reason = "this guest is there to panic")]
fn main() {
    use std::time::Duration;

    use tiergate::edge::{Reuse, run};
    use tiergate::platform::{Platform, ResponseHead};

    run(Reuse::Many, |platform, _, received| {
        if received.path == "/stream" {
            let head = ResponseHead { status: http::StatusCode::OK, headers: http::HeaderMap::new() };
            let mut downstream = platform.start_response(head);
            platform
                .write(&mut downstream, b": begun\n\n", || Duration::from_secs(1))
                .expect("the client should be there");
        }
        panic!("a prompt that must not be printed");
    });
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
