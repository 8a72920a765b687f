//! The classifier as a rung: whether it may be asked (policy, rules, breaker), and what its reply decides. The call itself is
//! `decide::classifier`.

use std::time::Duration;

use crate::decide::case::Case;
use crate::decide::classifier::Classification;
use crate::decide::{ClassifierUse, Decision, Passed, Question, Step, by_default, classifier};
use crate::error::Error;
use crate::platform::Platform;
use crate::policy;
use crate::pop::breaker::{self, Allowance};
use crate::pop::health::Found;
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
    match breaker::permit(visit.platform, question.case.index, classifier) {
        Allowance::Call(found) => Ok(ask(question, classifier, found, visit)),
        Allowance::Denied => Ok(Passed::because(Reason::ClassifierBreakerOpen)),
    }
}

/// Asks a classifier that may be asked, of which `found` is known.
fn ask<P: Platform>(
    question: &Question<'_>,
    classifier: &policy::Classifier,
    found: Found,
    visit: &mut Visit<'_, P>,
) -> Step {
    let Case { policy, ask, .. } = question.case;
    let began = visit.platform.unix_time();
    let sent = match classifier::start(visit.keyring, policy, classifier, ask) {
        // What the client gives in all is for deciding too.
        Ok(sent) => match question.case.headers.timeout {
            Some(end) => sent.ending_by(end),
            None => sent,
        },
        Err(why) => {
            if why.counts {
                note_failure(classifier, began, visit);
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
    match &reply {
        Err(why) if why.counts => note_failure(classifier, began, visit),
        // Whoever was not waited for has shown nothing.
        Err(why) if why.reason == Reason::ClassifierTimeout => {}
        Ok(_) | Err(_) => breaker::succeeded(visit.platform, found, began),
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

/// A call that began at `began`, since 1970, counts for the breaker.
fn note_failure<P: Platform>(classifier: &policy::Classifier, began: Duration, visit: &Visit<'_, P>) {
    breaker::failed(visit.platform, &classifier.breaker, began);
    visit.memory.forget_index();
}
