//! What a provider's error may be about, as a script names it.

use super::token::{ScriptError, Word};

macro_rules! troubles {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Trouble {
            $($(#[$doc])* $variant,)*
        }

        impl Trouble {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

troubles! {
    /// The operator's account has no money or quota left.
    Account = "account",
    /// The operator's key is refused.
    Key = "key",
    /// The provider does not serve the place that the request comes from.
    Region = "region",
    /// The model is not known.
    Model = "model",
    /// The model has been withdrawn.
    Retired = "retired",
    /// The prompt is too long.
    Context = "context",
    /// Too many requests; the words ask for a delay.
    Rate = "rate",
    /// This one request asks for more than the rate allows at all.
    AboveRate = "above-rate",
    /// The text is against the provider's policy.
    Policy = "policy",
    /// An intermediary's moderation refuses the text.
    Flagged = "flagged",
    /// This one request may cost more than is left.
    Unaffordable = "unaffordable",
    /// No model behind an intermediary takes what the request asks for.
    NoEndpoint = "no-endpoint",
    /// The request is refused for a field of its own.
    Refused = "refused",
    /// Too busy.
    Overload = "overload",
}

impl Trouble {
    pub fn read(word: &Word) -> Result<Self, ScriptError> {
        let name = word.text()?;
        Self::ALL.iter().copied().find(|trouble| trouble.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|trouble| trouble.as_str()).collect();
            word.error(format!("`{}` takes one of {}", word.name, names.join(", ")))
        })
    }
}
