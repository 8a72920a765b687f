//! A platform that has bodies to read, and nothing else.

use std::collections::VecDeque;
use std::time::Duration;

use tiergate::platform::{
    ClientGone, Platform, ReadError, ResponseHead, SendError, StoreError, Stored, Target, UpstreamRequest,
    UpstreamResponse, Wait, Write,
};
use tiergate::secret::Secret;

/// What is left of a body, as it will come.
pub type Body = VecDeque<Result<Vec<u8>, ReadError>>;

pub struct Bodies;

/// What nobody asks this platform for.
#[derive(Clone, Copy)]
pub enum Never {}

impl Platform for Bodies {
    type Pending = Never;
    type Body = Body;
    type KvLookup = Never;
    type CacheLookup = Never;
    type Backend = Never;
    type Downstream = Never;

    fn read(&self, body: &mut Body, into: &mut Vec<u8>, limit: usize) -> Result<usize, ReadError> {
        let Some(mut bytes) = body.pop_front().transpose()? else { return Ok(0) };
        if bytes.len() > limit {
            body.push_front(Ok(bytes.split_off(limit)));
        }
        into.extend_from_slice(&bytes);
        Ok(bytes.len())
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    fn unix_time(&self) -> Duration {
        Duration::ZERO
    }

    fn random(&self) -> u64 {
        0
    }

    fn vcpu_ms(&self) -> u64 {
        0
    }

    fn country(&self) -> Option<String> {
        None
    }

    fn start_kv(&self, _key: &str) -> Result<Never, StoreError> {
        Err(StoreError)
    }

    fn finish_kv(&self, lookup: Never) -> Result<Option<Stored>, StoreError> {
        match lookup {}
    }

    fn store_kv(&self, _key: &str, _write: Write<'_>) -> Result<(), StoreError> {
        Err(StoreError)
    }

    fn start_cache(&self, _key: &str) -> Result<Never, StoreError> {
        Err(StoreError)
    }

    fn finish_cache(&self, lookup: Never) -> Result<Option<Vec<u8>>, StoreError> {
        match lookup {}
    }

    fn store_cache(&self, _key: &str, _value: &[u8], _max_age: Duration) {}

    fn publish(&self, _key: &str, _max_age: Duration) -> Option<Never> {
        None
    }

    fn follow(&self, _key: &str) -> Option<Body> {
        None
    }

    fn elect(&self, _office: &str, _term: Duration) -> bool {
        false
    }

    fn secret(&self, _entry: &str) -> Result<Option<Secret<String>>, StoreError> {
        Err(StoreError)
    }

    fn backend(&self, _target: &Target) -> Result<Never, SendError> {
        Err(SendError::NoBackend)
    }

    fn keeps_timeouts(&self, backend: &Never) -> bool {
        match *backend {}
    }

    fn send(&self, backend: &Never, _request: UpstreamRequest) -> Result<Never, SendError> {
        match *backend {}
    }

    fn open(&self, backend: &Never, _request: UpstreamRequest) -> Result<(Never, Never), SendError> {
        match *backend {}
    }

    fn leave_answer(&self, pending: Never) {
        match pending {}
    }

    fn response(&self, pending: Never) -> Result<UpstreamResponse<Body>, SendError> {
        match pending {}
    }

    fn wait_first(&self, _waits: &[Wait<'_, Self>], _at_most: Option<Duration>) -> Option<usize> {
        None
    }

    fn sleep(&self, _duration: Duration) {}

    fn respond(&self, _head: ResponseHead, _body: Vec<u8>) {}

    fn start_response(&self, _head: ResponseHead) -> Never {
        unreachable!("this platform has no client")
    }

    fn write(&self, downstream: &mut Never, _bytes: &[u8], _patience: impl Fn() -> Duration) -> Result<(), ClientGone> {
        match *downstream {}
    }

    fn append(&self, downstream: &mut Never, _body: Body) -> Result<(), ClientGone> {
        match *downstream {}
    }

    fn finish(&self, downstream: Never) -> Result<(), ClientGone> {
        match downstream {}
    }

    fn hand_over(&self, downstream: Never, _body: Body) -> Result<(), ClientGone> {
        match downstream {}
    }

    fn abort(&self, downstream: Never) {
        match downstream {}
    }

    fn log(&self, _line: &str) {}
}
