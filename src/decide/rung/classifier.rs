//! The classifier as a rung: whether it may be asked (policy, rules, breaker), and what its reply decides. The call itself is
//! `decide::classifier`.

use crate::decide::case::Case;
use crate::decide::classifier::Classification;
use crate::decide::{ClassifierUse, Decision, Passed, Question, Step, by_default, classifier};
use crate::error::Error;
use crate::platform::Platform;
use crate::policy;
use crate::pop::breaker::{Allowance, BreakerState};
use crate::record::{ClassifierRecord, DecisionSource, ModelNames, Reason};
use crate::visit::Visit;

/// Asks the classifier, if it may be asked.
pub fn decide<P: Platform>(question: &Question<'_>, visit: &mut Visit<'_, P>) -> Result<Step, Error> {
    let Case { policy, bounds, .. } = question.case;
    let Some(classifier) = policy.classifier.as_ref().filter(|_| question.classifier == ClassifierUse::Asked) else {
        return Ok(Passed::because(Reason::ClassifierOff));
    };
    if !bounds.allows_provider(policy.model(classifier.model).provider) {
        return Ok(Passed::because(Reason::ClassifierNotAllowed));
    }
    match question.case.pop.breaker.permit(&classifier.breaker, visit.platform.unix_time()) {
        Allowance::Call => {}
        Allowance::Denied => return Ok(Passed::because(Reason::ClassifierBreakerOpen)),
        Allowance::Probe(meanwhile) => visit.update_pop(|pop, _| pop.breaker = meanwhile),
    }
    Ok(ask(question, classifier, visit))
}

fn ask<P: Platform>(question: &Question<'_>, classifier: &policy::Classifier, visit: &mut Visit<'_, P>) -> Step {
    let Case { policy, ask, pop, .. } = question.case;
    let sent = match classifier::start(visit.keyring, policy, classifier, ask) {
        // What the client gives in all is for deciding too.
        Ok(sent) => match question.case.headers.timeout {
            Some(end) => sent.ending_by(end),
            None => sent,
        },
        Err(why) => {
            if why.counts {
                note_failure(classifier, visit);
            }
            return Passed::because(why.reason);
        }
    };
    if let Ok(guess) = by_default(policy, &question.case.bounds) {
        (question.meanwhile)(&guess);
    }
    let Classification { reply, duration, usage } = classifier::finish(visit.platform, policy, sent);
    let price = policy.model(classifier.model).price;
    visit.note(|record| {
        record.classifier = Some(ClassifierRecord {
            names: ModelNames::of(policy, classifier.model),
            duration,
            usage,
            cost: usage.zip(price).map(|(usage, price)| usage.cost(&price)),
        });
    });
    if reply.is_err_and(|why| why.counts) {
        note_failure(classifier, visit);
    } else if pop.breaker != BreakerState::default() {
        visit.update_pop(|pop, _| pop.breaker = pop.breaker.succeeded());
    }
    match reply {
        Err(why) => Passed::because(why.reason),
        Ok(reply) if reply.confidence.is_some_and(|confidence| confidence < classifier.min_confidence) => {
            Step::Pass(Some(Passed { reason: Reason::LowConfidence, confidence: reply.confidence }))
        }
        Ok(reply) => Step::Decided(Decision {
            confidence: reply.confidence,
            ..Decision::of(reply.tier, DecisionSource::Classifier)
        }),
    }
}

fn note_failure<P: Platform>(classifier: &policy::Classifier, visit: &Visit<'_, P>) {
    visit.update_pop(|pop, now| pop.breaker = pop.breaker.failed(&classifier.breaker, now));
}
