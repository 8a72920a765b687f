//! What an answer used, in tokens, and what that costs.

use crate::policy::{Price, Rates};
use crate::wire::carried::carried;

/// Tokens, as OpenAI counts them: `input` includes `cached_input` and `cache_write`, `output` includes `reasoning`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input: u64,
    /// Tokens of the input that were read from the provider's cache.
    pub cached_input: u64,
    /// Tokens of the input that were put into the provider's cache.
    pub cache_write: u64,
    pub output: u64,
    pub reasoning: u64,
}

carried!(Usage { input, cached_input, cache_write, output, reasoning });

/// What is known of what an answer used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// What its provider counted.
    pub usage: Option<Usage>,
    /// What its provider counted when it began: the input. What stands there as output is none yet.
    pub usage_at_start: Option<Usage>,
    /// How many bytes of text came: the answer's, its reasoning's, and that of its calls.
    pub text_bytes: u64,
}

carried!(Tally { usage, usage_at_start, text_bytes });

/// About how many bytes of text one token stands for.
const BYTES_PER_TOKEN: u64 = 4;

impl Tally {
    /// Whether anything of an answer is known to have been made.
    pub fn is_empty(&self) -> bool {
        *self == Tally::default()
    }

    /// About how many tokens have come; nothing if no text has.
    pub fn output_estimate(&self) -> Option<u64> {
        (self.text_bytes > 0).then(|| self.text_bytes.div_ceil(BYTES_PER_TOKEN))
    }
}

impl Usage {
    /// What the tokens cost at `price`, in US dollars.
    pub fn cost(&self, price: &Price) -> f64 {
        let Rates { input, cached_input, cache_write, output } = price.rates(self.input);
        let cached = self.cached_input.min(self.input);
        let written = self.cache_write.min(self.input - cached);
        let tokens_per_unit = 1e6;
        ((self.input - cached - written) as f64 * input
            + cached as f64 * cached_input
            + written as f64 * cache_write
            + self.output as f64 * output)
            / tokens_per_unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::policy::LongPrice;

    const PRICE: Price = Price { input: 2.0, cached_input: 0.5, cache_write: 2.5, output: 10.0, long: None };

    #[test]
    fn cached_input_has_its_own_price() {
        let usage =
            Usage { input: 1_000_000, cached_input: 400_000, output: 100_000, reasoning: 50_000, ..Usage::default() };
        assert!((usage.cost(&PRICE) - (1.2 + 0.2 + 1.0)).abs() < 1e-12);
        let written = Usage { cache_write: 200_000, ..usage };
        assert!((written.cost(&PRICE) - (0.8 + 0.2 + 0.5 + 1.0)).abs() < 1e-12);
    }

    #[test]
    fn caching_is_repaid_if_two_prompts_cost_less_with_it() {
        let long = LongPrice { above_tokens: 1_000, input: 2.0, cached_input: 2.0, cache_write: 2.0, output: 20.0 };
        let price = |cached_input, cache_write| Price { cached_input, cache_write, long: Some(long), ..PRICE };
        for (cached_input, cache_write, expected) in
            [(0.2, 2.5, true), (0.2, 2.0, true), (2.0, 2.0, false), (1.5, 2.5, false), (0.2, 4.0, false)]
        {
            let rates = |tokens| price(cached_input, cache_write).rates(tokens);
            assert_eq!(rates(1_000).repay_caching(), expected, "{cached_input} {cache_write}");
            assert!(!rates(1_001).repay_caching(), "by the prices of a long prompt");
        }
    }

    #[test]
    fn a_long_prompt_has_prices_of_its_own() {
        let long = LongPrice { above_tokens: 1_000, input: 4.0, cached_input: 1.0, cache_write: 5.0, output: 20.0 };
        let price = Price { long: Some(long), ..PRICE };
        let usage = |input| Usage { input, output: 100, ..Usage::default() };
        assert!((usage(1_000).cost(&price) - 0.003).abs() < 1e-12);
        assert!((usage(1_001).cost(&price) - 0.006_004).abs() < 1e-12);
    }
}
