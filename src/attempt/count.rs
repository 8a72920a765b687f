//! How many tokens a prompt of the Messages API has: asked of a provider that counts them, else estimated.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::attempt::Job;
use crate::attempt::client_error;
use crate::attempt::exchange::refusal;
use crate::attempt::outcome::{ClientError, Outcome, judge};
use crate::error::{Error, RejectedAs};
use crate::platform::{Platform, UpstreamRequest, UpstreamResponse, Wait};
use crate::policy::{Candidate, Dialect};
use crate::record::{AttemptEnd, AttemptRecord, ModelNames};
use crate::upstream::address::Address;
use crate::upstream::dialect::messages::{self, COUNT_PATH};
use crate::upstream::dialect::{self, EncodeOptions, Encoded, Recipient};
use crate::visit::Visit;
use crate::wire::media;

/// How long a provider may take to count, in all: clients ask for many counts at a time, and an estimate is better than to wait.
const PATIENCE: Duration = Duration::from_secs(3);
const CUT_AFTER: Duration = Duration::from_secs(15);
/// The longest answer that is read, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// A count, and what the provider did not take of the request.
struct Count {
    tokens: u64,
    dropped: Vec<String>,
    /// From sending to the head of the answer.
    took: Duration,
}

/// The tokens of the prompt for the first candidate whose provider counts them; nothing if none does, in time.
///
/// # Errors
/// The provider's own reason why the request is none, where no other provider could take the request itself.
pub fn count<P: Platform>(
    visit: &mut Visit<'_, P>,
    job: &Job<'_, P>,
    candidates: &[Candidate],
) -> Result<Option<u64>, Error> {
    let counts = |candidate: &&Candidate| {
        let provider = job.policy.provider_of(candidate.model);
        // A row with a path of its own is for one endpoint.
        provider.dialect == Dialect::AnthropicMessages && provider.path.is_none()
    };
    let Some(candidate) = candidates.iter().find(counts) else { return Ok(None) };
    let provider = job.policy.model(candidate.model).provider;
    let is_alone = candidates.iter().all(|other| job.policy.model(other.model).provider == provider);
    let started = job.platform.elapsed();
    let asked = ask(visit, job, candidate);
    let attempt = AttemptRecord::new(job.policy, candidate.model, started);
    let duration = job.platform.elapsed() - started;
    match asked {
        Ok(Count { tokens, dropped, took }) => {
            let end = AttemptEnd::Status(StatusCode::OK);
            visit.note_attempt(AttemptRecord { end, duration, head: Some(took), ..attempt });
            visit.note(|record| {
                record.served = Some(ModelNames::of(job.policy, candidate.model));
                record.dropped = dropped;
                record.timings.upstream = Some(took);
            });
            Ok(Some(tokens))
        }
        Err(outcome) => {
            let meaning = outcome.meaning().map(|meaning| meaning.as_str().into());
            visit.note_attempt(AttemptRecord { end: outcome.end(), duration, meaning, ..attempt });
            match judge(&outcome, job.tier.on_refusal).client_error {
                ClientError::Refused { how: RejectedAs::BadRequest | RejectedAs::Unprocessable, .. } if is_alone => {
                    Err(client_error::of(job.policy, job.ask.door(), &job.failure_of(candidate, outcome)))
                }
                // How long a prompt is, is asked most of all where it is too long.
                ClientError::Refused { .. } | ClientError::Failed(..) | ClientError::Own(_) => Ok(None),
            }
        }
    }
}

fn ask<P: Platform>(visit: &mut Visit<'_, P>, job: &Job<'_, P>, candidate: &Candidate) -> Result<Count, Outcome> {
    let recipient = Recipient::of(job.policy, candidate);
    let provider = recipient.provider;
    let Address { path, url } = Address::at(provider, COUNT_PATH.to_owned());
    let permit = job.keyring.permit(provider, &path).map_err(Outcome::NoSecret)?;
    let (sealer, unsealed) = (job.sealer(candidate, &permit), job.unsealed(candidate));
    let options = EncodeOptions { sealer, unsealed, ..job.options() };
    let Encoded { body, dropped, .. } = messages::encode_count(&recipient, job.ask, &options);
    let target = dialect::target(provider, &permit, job.tier.deadlines.connect, CUT_AFTER);
    let backend = job.platform.backend(&target).map_err(Outcome::Send)?;
    let headers = job.request_headers(provider, permit.secret.as_ref(), media::JSON);
    if let Some(secret) = &permit.secret {
        visit.note_key(secret);
    }
    let started = job.platform.elapsed();
    let left = || Some((started + PATIENCE).saturating_sub(job.platform.elapsed()));
    let request = UpstreamRequest { method: Method::POST, url, headers, body };
    let pending = job.platform.send(&backend, request).map_err(Outcome::Send)?;
    job.platform.wait_first(&[Wait::Response(&pending)], left()).ok_or(Outcome::Timeout)?;
    let UpstreamResponse { status, headers, mut body } = job.platform.response(pending).map_err(Outcome::Send)?;
    let took = job.platform.elapsed() - started;
    let mut bytes = Vec::new();
    while bytes.len() < MAX_BYTES {
        job.platform.wait_first(&[Wait::Body(&body)], left()).ok_or(Outcome::Timeout)?;
        if job.platform.read(&mut body, &mut bytes, MAX_BYTES).map_err(|_| Outcome::Broken)? == 0 {
            break;
        }
    }
    if media::content_length(&headers).is_some_and(|length| length > bytes.len() as u64) && bytes.len() < MAX_BYTES {
        return Err(Outcome::Broken);
    }
    if !status.is_success() {
        return Err(refusal(job.platform, &UpstreamResponse { status, headers, body: () }, &bytes));
    }
    let tokens = messages::read_count(&bytes).ok_or(Outcome::Undecodable)?;
    Ok(Count { tokens, dropped, took })
}
