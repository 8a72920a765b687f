//! A probe that lost its race: it goes on to its own end after the client has its answer, so that a candidate which is slower
//! than another, but works, is found to work.

use crate::attempt::exchange::Exchange;
use crate::attempt::witness::Witness;
use crate::platform::Platform;
use crate::platform::allowance::Allowance;
use crate::pop::health::Stage;

/// Follows a probe to its end, or to that of `allowance`, and lets `witness` tell of it. One that has not begun in
/// its own time has failed if nothing at all has come; of others nothing is known then, nor where the allowance ends before.
pub fn follow<P: Platform>(platform: &P, mut exchange: Exchange<P>, witness: &Witness, allowance: &Allowance) {
    exchange.complete();
    loop {
        let until = exchange.ends_at().or(exchange.late_at()).unwrap_or(allowance.ends).min(allowance.ends);
        let left = until.saturating_sub(platform.elapsed());
        let Some(wait) = exchange.wait() else { return };
        // What came while the client got its answer is there, however late it is now.
        if !exchange.is_pending() && platform.wait_first(&[wait], Some(left)).is_none() {
            let now = platform.elapsed();
            if now < until {
                continue;
            }
            if exchange.is_silent() && exchange.late_at().is_some_and(|late| late <= now) {
                witness.was_late(platform);
            }
            return;
        }
        let stage = if exchange.has_begun() { Stage::AfterBegin } else { Stage::BeforeBegin };
        match exchange.advance(platform) {
            Some(Ok(_)) => return witness.was_whole(platform),
            Some(Err(outcome)) => return witness.failed(platform, &outcome, stage),
            // What can be seen of it was good.
            None if !allowance.is_cpu_spent(platform) => {}
            None if exchange.has_begun() => return witness.was_whole(platform),
            None => return,
        }
    }
}
