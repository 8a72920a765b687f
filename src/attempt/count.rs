//! How many tokens a prompt of the Messages API has: asked of a provider that counts them, else estimated.

use std::time::Duration;

use http::Method;

use crate::attempt::Job;
use crate::platform::{Platform, UpstreamRequest, Wait};
use crate::policy::{Candidate, Dialect};
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

/// The tokens of the prompt for the first candidate whose provider counts them; nothing if none does, in time.
pub fn count<P: Platform>(visit: &mut Visit<'_, P>, job: &Job<'_, P>, candidates: &[Candidate]) -> Option<u64> {
    let counts = |candidate: &&Candidate| {
        let provider = job.policy.provider_of(candidate.model);
        // A row with a path of its own is for one endpoint.
        provider.dialect == Dialect::AnthropicMessages && provider.path.is_none()
    };
    let candidate = candidates.iter().find(counts)?;
    let recipient = Recipient::of(job.policy, candidate);
    let provider = recipient.provider;
    let Address { path, url } = Address::at(provider, COUNT_PATH.to_owned());
    let permit = job.keyring.permit(provider, &path).ok()?;
    let options = EncodeOptions { sealer: job.sealer(candidate, &permit), ..job.options() };
    let Encoded { body, dropped, .. } = messages::encode_count(&recipient, job.ask, &options);
    let target = dialect::target(provider, &permit, job.tier.deadlines.connect, CUT_AFTER);
    let backend = job.platform.backend(&target).ok()?;
    let headers = job.request_headers(provider, permit.secret.as_ref(), media::JSON);
    if let Some(secret) = &permit.secret {
        visit.note_key(secret);
    }
    visit.note(|record| record.dropped = dropped);
    let until = job.platform.elapsed() + PATIENCE;
    let left = || Some(until.saturating_sub(job.platform.elapsed()));
    let request = UpstreamRequest { method: Method::POST, url, headers, body };
    let pending = job.platform.send(&backend, request).ok()?;
    job.platform.wait_first(&[Wait::Response(&pending)], left())?;
    let response = job.platform.response(pending).ok().filter(|response| response.status.is_success())?;
    let mut body = response.body;
    let mut bytes = Vec::new();
    while bytes.len() < MAX_BYTES {
        job.platform.wait_first(&[Wait::Body(&body)], left())?;
        if job.platform.read(&mut body, &mut bytes, MAX_BYTES).ok()? == 0 {
            break;
        }
    }
    messages::read_count(&bytes)
}
