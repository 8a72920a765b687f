//! The floor of the benchmark: the smallest service that sends every request to one backend and its answer back.
//!
//! It reuses sandboxes, relays event streams event by event and leaves whole answers to the host. Per request it logs the
//! CPU time since its sandbox's last line, counted as the gateway counts it, so that the two can be compared.

#[cfg(target_arch = "wasm32")]
fn main() {
    guest::serve();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("This is a guest of the local runtime; `tiergate bench` builds and runs it.");
    std::process::exit(2);
}

#[cfg(target_arch = "wasm32")]
mod guest {
    use std::io::{self, Read, Write};

    use fastly::compute_runtime::elapsed_vcpu_ms;
    use fastly::http::StatusCode;
    use fastly::http::header::CONTENT_TYPE;
    use fastly::http::serve::Serve;
    use fastly::log::Endpoint;
    use fastly::{Request, Response};

    const BACKEND: &str = "upstream";
    const LOG: &str = "tiergate";
    const READ_BYTES: usize = 32 * 1024;

    pub fn serve() {
        let mut log = Endpoint::from_name(LOG);
        let mut logged_ms = 0;
        let mut write_line = || {
            let elapsed_ms = elapsed_vcpu_ms().unwrap_or_default();
            // Every write is a line of its own. One that fails shows in the benchmark as a line too few.
            let _ = log.write(format!("{{\"vcpu_ms\":{}}}", elapsed_ms - logged_ms).as_bytes());
            logged_ms = elapsed_ms;
        };
        Serve::new().run(|request: Request| {
            let response = request
                .with_pass(true)
                .send(BACKEND)
                .unwrap_or_else(|_| Response::from_status(StatusCode::BAD_GATEWAY));
            let is_stream =
                response.get_header_str(CONTENT_TYPE).is_some_and(|value| value.starts_with("text/event-stream"));
            if is_stream {
                // A client that has left, or a broken stream, ends the relay; the client sees that it is not whole.
                let _ = relay(response);
                write_line();
            } else {
                write_line();
                response.send_to_client();
            }
        });
    }

    fn relay(mut response: Response) -> io::Result<()> {
        let mut upstream = response.take_body().into_handle();
        let mut downstream = response.stream_to_client();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = upstream.read(&mut buffer)?;
            if read == 0 {
                return downstream.finish();
            }
            downstream.write_all(&buffer[..read])?;
            downstream.flush()?;
        }
    }
}
