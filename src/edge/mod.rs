//! The Wasm shell: takes requests from Fastly Compute and hands them to the pipeline. The only place that knows Fastly.
//!
//! A sandbox serves several requests, as long as it stays far from the platform's limits ([`crate::platform::allowance`]).

#![expect(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the platform's side of the seam"
)]

mod compute;
mod handles;
mod panic;

use std::time::{Duration, Instant};

use fastly::Request;
use fastly::http::serve::{HandlerResult, Serve};

use crate::admit::memory::Memory;
use crate::door::route;
use crate::edge::compute::{Compute, Sandbox};
use crate::edge::handles::RawBody;
use crate::pipeline;
use crate::platform::Received;
use crate::record::Record;

/// A sandbox older than this takes no further request, so that the next one still has time for a long stream.
const MAX_LIFETIME: Duration = Duration::from_secs(5);
const MAX_MEMORY_MIB: u32 = 48;

/// How many requests a sandbox serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// As many as the limits allow.
    Many,
    One,
}

/// Serves requests until the sandbox should end.
pub fn serve(reuse: Reuse) {
    run(reuse, |platform, memory, received| pipeline::handle(platform, memory, received));
}

/// As [`serve`], with another pipeline: for tests of what the shell does when one panics.
pub fn run(reuse: Reuse, mut handle: impl FnMut(&Compute<'_>, &Memory, Received<RawBody>)) {
    set_up();
    let started = Instant::now();
    let sandbox = Sandbox::default();
    let memory = Memory::default();
    let serve = match reuse {
        Reuse::Many => Serve::new(),
        Reuse::One => Serve::new().with_max_requests(1),
    };
    serve.with_max_lifetime(MAX_LIFETIME).with_max_memory(MAX_MEMORY_MIB).with_timeout(MAX_LIFETIME).run(
        |mut request: Request| {
            let now = Instant::now();
            let id = request_id();
            panic::note_started(&id, now);
            let received = receive(&mut request, id, now.duration_since(started));
            let platform = Compute { received: now, request: &request, sandbox: &sandbox };
            panic::note_received(Record::received(&received));
            handle(&platform, &memory, received);
            if memory.has_room(sandbox.sends.get(), started.elapsed()) { Next::Continue } else { Next::Stop }
        },
    );
}

/// Sees to it that a panic is answered and logged.
pub fn set_up() {
    panic::set_hook();
}

/// Whether the sandbox takes another request; the answer has been sent either way.
enum Next {
    Continue,
    Stop,
}

/// The sandbox has done enough.
struct Enough;

impl HandlerResult for Next {
    type Error = Enough;

    fn send(self) -> Result<(), Enough> {
        match self {
            Next::Continue => Ok(()),
            Next::Stop => Err(Enough),
        }
    }
}

fn receive(request: &mut Request, id: String, sandbox_age: Duration) -> Received<RawBody> {
    let head = request.as_handles().0;
    let (url, headers) = (handles::url(head), handles::request_headers(head));
    let (path, query) = route::target(&url);
    Received {
        id,
        method: request.get_method().clone(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers,
        body: RawBody::from(request.take_body().into_handle()),
        pop: fastly::compute_runtime::pop().to_owned(),
        sandbox_age,
    }
}

/// 128 random bits.
fn request_id() -> String {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).expect("the platform should have randomness");
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bits.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn random() -> u64 {
    getrandom::u64().expect("the platform should have randomness")
}
