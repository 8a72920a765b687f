//! What an attempt that did not serve may have cost all the same: one rule for all of them.
//!
//! What the provider counted counts. Where it counted nothing, the input is what the answer that served counted, or is
//! estimated from the request; the output is estimated from the text that came, or is what served has. What none of these
//! tells is unknown, and unknown output costs nothing here, so such an estimate is a lower bound.

use crate::record::{AttemptRecord, Billing};
use crate::wire::usage::{Tally, Usage};

/// What is known of the request beside an attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Basis {
    /// What the answer that served used.
    pub served: Option<Usage>,
    /// The length of the request, estimated from its bytes.
    pub input_tokens: Option<u64>,
}

/// What `attempt` may have used that is in no other bill; nothing if it is free, served, or nothing is known.
pub fn used(attempt: &AttemptRecord, basis: Basis) -> Option<Usage> {
    match attempt.billing {
        Billing::Free | Billing::Served => return None,
        Billing::Possible => {}
    }
    let tally = &attempt.tally;
    if tally.usage.is_some() {
        return tally.usage;
    }
    let input = tally.usage_at_start.or(basis.served).or(of_request(basis.input_tokens))?;
    let output = tally.output_estimate().or(basis.served.map(|served| served.output));
    Some(Usage { output: output.unwrap_or_default(), reasoning: 0, ..input })
}

/// What an answer that served has used as far as its bytes tell, where nobody counted it; of the output, what was seen of it.
pub fn served(tally: &Tally, input_tokens: Option<u64>) -> Option<Usage> {
    let input = tally.usage_at_start.or(of_request(input_tokens))?;
    Some(Usage { output: tally.output_estimate().unwrap_or_default(), reasoning: 0, ..input })
}

fn of_request(input_tokens: Option<u64>) -> Option<Usage> {
    input_tokens.map(|input| Usage { input, ..Usage::default() })
}

/// US dollars that `attempt` may have cost beside the answer that served.
pub fn cost(attempt: &AttemptRecord, basis: Basis) -> Option<f64> {
    Some(used(attempt, basis)?.cost(&attempt.price?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::{ModelId, parse};

    #[test]
    fn what_is_known_counts_before_what_is_estimated() {
        let policy =
            parse::parse(include_bytes!("../../policy/default.json")).expect("the shipped policy should parse");
        let usage = |input, output| Usage { input, output, ..Usage::default() };
        let served = Some(usage(100, 50));
        let bytes = |text_bytes| Tally { text_bytes, ..Tally::default() };
        let start = |text_bytes| Tally { usage_at_start: Some(usage(90, 1)), ..bytes(text_bytes) };
        let counted = Tally { usage: Some(usage(91, 7)), ..start(400) };
        let possible = Billing::Possible;
        for (name, billing, tally, served, input_tokens, expected) in [
            ("free", Billing::Free, counted, served, Some(80), None),
            ("served", Billing::Served, counted, served, Some(80), None),
            ("counted", possible, counted, served, Some(80), Some((91, 7))),
            ("begun, with text", possible, start(400), served, Some(80), Some((90, 100))),
            ("begun, without text", possible, start(0), served, Some(80), Some((90, 50))),
            ("begun, and nobody served", possible, start(0), None, Some(80), Some((90, 0))),
            ("text, and another served", possible, bytes(41), served, Some(80), Some((100, 11))),
            ("nothing, and another served", possible, bytes(0), served, Some(80), Some((100, 50))),
            ("text, and nobody served", possible, bytes(400), None, Some(80), Some((80, 100))),
            ("nothing, and nobody served", possible, bytes(0), None, Some(80), Some((80, 0))),
            ("nothing known", possible, bytes(400), None, None, None),
        ] {
            let attempt = AttemptRecord { billing, tally, ..AttemptRecord::new(&policy, ModelId(0), Duration::ZERO) };
            let basis = Basis { served, input_tokens };
            let used = used(&attempt, basis);
            assert_eq!(used.map(|used| (used.input, used.output)), expected, "{name}");
            assert_eq!(used.map(|used| used.reasoning).unwrap_or_default(), 0, "{name}");
            assert_eq!(cost(&attempt, basis).is_some(), expected.is_some(), "{name}");
            assert_eq!(cost(&AttemptRecord { price: None, ..attempt }, basis), None, "{name}: without a price");
        }
    }
}
