//! A request as far as it matters for deciding, and the choice that is made for it: a tier and its candidates.

use std::rc::Rc;
use std::time::Duration;

use crate::admit::auth::Client;
use crate::admit::look_ups::Gathered;
use crate::decide::plan::{self, Length, Plan, Wish};
use crate::decide::{ClassifierUse, Decision, Question};
use crate::door::headers::RouteHeaders;
use crate::error::Error;
use crate::mask::keys::without_known_shapes;
use crate::platform::Platform;
use crate::policy::Policy;
use crate::policy::rules::{self, Bounds, Facts};
use crate::pop::index::Index;
use crate::record::Reason;
use crate::visit::Visit;
use crate::wire::ask::Ask;
use crate::wire::call_tag::Origin;

/// The longest name of a requested model that is logged, in bytes.
const MAX_LOGGED_MODEL_BYTES: usize = 128;

/// What is known of a request before it is decided.
pub struct Case<'a> {
    pub policy: &'a Rc<Policy>,
    pub client: &'a Client,
    /// Until when any candidate, or the classifier, has a state in this POP.
    pub index: Index,
    pub headers: &'a RouteHeaders,
    pub ask: &'a Ask<'a>,
    /// What the policy's rules and the client's rights allow.
    pub bounds: Bounds,
    /// Which model made the calls whose results the request brings, if that is known.
    maker: Option<Origin>,
    /// When deciding began, on [`Platform::elapsed`]'s clock.
    started: Duration,
    length: Length,
}

/// A decided tier and the plan that follows from it.
pub struct Chosen {
    pub decision: Decision,
    pub plan: Plan,
}

impl<'a> Case<'a> {
    pub fn new<P: Platform>(platform: &P, gathered: &'a Gathered, headers: &'a RouteHeaders, ask: &'a Ask<'a>) -> Self {
        let started = platform.elapsed();
        let Gathered { policy, client, index, maker, .. } = gathered;
        let policy = &policy.policy;
        let asks_country = policy.rules.iter().any(|rule| rule.when.asks_country());
        let country = asks_country.then(|| platform.country()).flatten();
        let facts = Facts {
            client: &client.id,
            country: country.as_deref(),
            has_tools: ask.features.has_tools,
            has_media: ask.features.has_media,
            client_tiers: client.tiers.as_deref(),
        };
        let bounds = rules::bounds(policy, &facts);
        let maker = *maker;
        Self { policy, client, index: *index, headers, ask, bounds, maker, started, length: Length::Fits }
    }

    /// The same request, of which only the tokens are to be counted: however many there are.
    pub fn of_any_length(self) -> Self {
        Self { length: Length::Any, ..self }
    }

    /// Notes what the client asked for.
    pub fn note<P: Platform>(&self, visit: &mut Visit<'_, P>) {
        let bare = |text: &String| without_known_shapes(text, text.len());
        visit.note(|record| {
            record.requested_model = Some(without_known_shapes(&self.ask.model, MAX_LOGGED_MODEL_BYTES));
            record.stream = self.ask.stream;
            record.input_tokens = Some(self.ask.features.input_tokens);
            record.rules.clone_from(&self.bounds.rules);
            for (name, value) in &self.headers.tags {
                // The operator's tag of the same name wins.
                record.tags.entry(bare(name)).or_insert_with(|| bare(value));
            }
        });
        visit.note_reasons(self.headers.affinity.is_some().then_some(Reason::AffinityInvalid));
    }

    /// Decides the tier, and plans its candidates. `meanwhile` gets the default tier while the classifier is thinking.
    ///
    /// # Errors
    /// Those of [`super::decide`] and of [`plan::plan`].
    pub fn choose<P: Platform>(
        &self,
        visit: &mut Visit<'_, P>,
        classifier: ClassifierUse,
        meanwhile: &dyn Fn(&Decision),
    ) -> Result<Chosen, Error> {
        let decision = super::decide(&Question { case: self, classifier, meanwhile }, visit)?;
        let took = visit.platform.elapsed() - self.started;
        visit.note(|record| record.timings.decide = Some(took));
        let plan = self.plan(&decision)?;
        visit.note(|record| {
            record.tier = Some(self.policy.tier(plan.tier).name.clone());
            record.source = Some(decision.source);
            record.confidence = decision.confidence;
        });
        visit.note_reasons(decision.reasons.iter().chain(&plan.reasons).copied());
        Ok(Chosen { decision, plan })
    }

    /// The plan that follows from a decision; the same one each time.
    ///
    /// # Errors
    /// Those of [`plan::plan`].
    pub fn plan(&self, decision: &Decision) -> Result<Plan, Error> {
        let (maker, length) = (self.maker, self.length);
        let wish = Wish { client: &self.client.id, ask: self.ask, maker, bounds: &self.bounds, length };
        plan::plan(self.policy, decision, &wish)
    }
}
