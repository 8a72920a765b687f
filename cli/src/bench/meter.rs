//! What guests cost, seen from the runtime: the CPU time of their threads while they run, sandboxes, heap.
//!
//! The guest's own clock counts whole milliseconds per sandbox and is read before the answer is sent, so it misses a part.
//! The runtime polls a sandbox inside a tracing span, start and end included; this takes the CPU time between entering and
//! leaving it. Each gateway has threads of its own, by which the time is its own.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::time::{ClockId, clock_gettime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber, dispatcher};

/// The runtime's module and its name of the span around a sandbox. A span with the same name stands around the few
/// microseconds in which the runtime finishes an answer; they count as the guest's.
const RUNTIME: &str = "viceroy_lib::execute";
const SANDBOX: &str = "request";

thread_local! {
    static METER: RefCell<Option<Arc<Meter>>> = const { RefCell::new(None) };
    /// The thread's CPU time when it began to run a guest.
    static ENTERED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// One gateway's guests.
#[derive(Default)]
pub struct Meter {
    cpu_ns: AtomicU64,
    sandboxes: AtomicU64,
    /// In tenths of a MiB, as exact as the runtime says it.
    largest_heap: AtomicU64,
}

/// The sums up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    pub cpu: Duration,
    /// Those that have ended.
    pub sandboxes: u64,
}

impl Meter {
    pub fn sums(&self) -> Sums {
        Sums {
            cpu: Duration::from_nanos(self.cpu_ns.load(Ordering::Relaxed)),
            sandboxes: self.sandboxes.load(Ordering::Relaxed),
        }
    }

    /// The largest heap that a sandbox had at its end.
    pub fn heap_mib(&self) -> Option<f64> {
        let tenths = self.largest_heap.load(Ordering::Relaxed);
        (tenths > 0).then(|| tenths as f64 / 10.0)
    }
}

/// Counts for `meter` what guests do on this thread.
pub fn attach(meter: &Arc<Meter>) {
    METER.set(Some(Arc::clone(meter)));
}

/// Watches the runtime, once for the whole process.
pub fn install() -> Result<()> {
    // A second call finds the first one's watch; anybody else's subscriber is in the way.
    if tracing::subscriber::set_global_default(Watch).is_err()
        && !dispatcher::get_default(|current| current.is::<Watch>())
    {
        bail!("something else in this process listens to the runtime's tracing");
    }
    Ok(())
}

struct Watch;

impl Subscriber for Watch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == RUNTIME && (metadata.is_event() || metadata.name() == SANDBOX)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // Spans need not be told apart, since a thread is in one at a time.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut end = End(None);
        event.record(&mut end);
        METER.with_borrow(|meter| {
            if let (Some(meter), Some(tenths)) = (meter, end.0) {
                meter.sandboxes.fetch_add(1, Ordering::Relaxed);
                meter.largest_heap.fetch_max(tenths, Ordering::Relaxed);
            }
        });
    }

    fn enter(&self, _: &Id) {
        ENTERED.set(thread_cpu());
    }

    fn exit(&self, _: &Id) {
        let ran = thread_cpu().saturating_sub(ENTERED.get());
        METER.with_borrow(|meter| {
            if let Some(meter) = meter {
                let ran = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
                meter.cpu_ns.fetch_add(ran, Ordering::Relaxed);
            }
        });
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The heap in tenths of a MiB, if the message is the one at the end of a sandbox.
struct End(Option<u64>);

impl Visit for End {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = self.0.or_else(|| parse_heap(&format!("{value:?}")));
        }
    }
}

fn parse_heap(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once(" completed using ")?;
    let mut words = rest.split(' ');
    let number: f64 = words.next()?.parse().ok()?;
    let in_mib = match words.next()? {
        "KiB" => number / 1024.0,
        "MiB" => number,
        _ => return None,
    };
    Some((in_mib * 10.0).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_read_from_the_runtimes_message() {
        for (message, tenths) in [
            ("request completed using 1.4 MiB of WebAssembly heap", Some(14)),
            ("guest completed using 512.0 KiB of WebAssembly heap", Some(5)),
            ("request completed in 3ms", None),
            ("handling request GET /", None),
        ] {
            assert_eq!(parse_heap(message), tenths, "{message}");
        }
    }
}
