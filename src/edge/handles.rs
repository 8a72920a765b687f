//! What the SDK's types cannot do: wait for several things at once, read a body as its bytes arrive, write to a client
//! without waiting for ever, take or send a URL without parsing it, and read a head without a page of memory for each header.
//!
//! The only unsafe code of the project. Every call passes pointers to live local values and checks the status; handles
//! are owned by one value each, which closes them when it is dropped.
#![expect(unsafe_code, reason = "see above")]

use std::time::Duration;

use fastly::handle::{BodyHandle, RequestHandle, ResponseHandle, StreamingBodyHandle};
use fastly_shared::FastlyStatus;
use fastly_sys::fastly_cache::{
    self, CacheGetBodyOptions, CacheGetBodyOptionsMask, CacheLookupOptions, CacheLookupOptionsMask, CacheLookupState,
    CacheWriteOptions, CacheWriteOptionsMask,
};
use fastly_sys::{fastly_async_io, fastly_http_body, fastly_http_req, fastly_http_resp};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::platform::{ClientGone, ReadError, StoreError};

/// The longest URL of a request that is looked at.
const MAX_URL_BYTES: usize = 128 * 1024;

/// The longest header that is looked at.
const MAX_HEADER_BYTES: usize = 128 * 1024;
/// Room for the headers of most heads, and for the names of them or the values of one.
const USUAL_HEADERS: usize = 24;
const USUAL_LIST_BYTES: usize = 1024;

/// A body that is read without a buffer of its own; dropping it closes the connection it comes from.
pub struct RawBody(u32);

impl From<BodyHandle> for RawBody {
    fn from(body: BodyHandle) -> Self {
        RawBody(body.into_u32())
    }
}

impl RawBody {
    pub fn handle(&self) -> u32 {
        self.0
    }

    /// Appends at most `limit` bytes, waiting until there is at least one; 0 is the end.
    pub fn read(&mut self, into: &mut Vec<u8>, limit: usize) -> Result<usize, ReadError> {
        into.reserve(limit);
        let mut read = 0;
        // SAFETY: the spare capacity holds at least `limit` bytes, of which the host writes `read` at most.
        let status = unsafe {
            fastly_http_body::read(self.0, into.spare_capacity_mut().as_mut_ptr().cast(), limit, &raw mut read)
        };
        status.result().map_err(|_| ReadError)?;
        // SAFETY: the host has written the first `read` bytes of the spare capacity.
        unsafe { into.set_len(into.len() + read.min(limit)) };
        Ok(read)
    }
}

impl Drop for RawBody {
    fn drop(&mut self) {
        // A handle that the host has closed by itself is no matter.
        // SAFETY: the handle is owned by this value and not used again.
        let _ = unsafe { fastly_http_body::close(self.0) };
    }
}

/// A Core Cache look-up that has been started. The SDK's own look-up waits at once.
pub struct CacheLookup(u32);

impl CacheLookup {
    pub fn start(key: &str) -> Result<Self, StoreError> {
        let options = CacheLookupOptions { request_headers: 0, service: std::ptr::null(), service_len: 0 };
        let mut handle = 0;
        // SAFETY: key and options live through the call; the mask says that no option is set.
        let status = unsafe {
            fastly_cache::lookup(
                key.as_ptr(),
                key.len(),
                CacheLookupOptionsMask::empty(),
                &raw const options,
                &raw mut handle,
            )
        };
        status.result().map(|()| CacheLookup(handle)).map_err(|_| StoreError)
    }

    pub fn handle(&self) -> u32 {
        self.0
    }

    /// The value, or nothing for a miss or one that is too old.
    pub fn finish(self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut body) = self.body()? else { return Ok(None) };
        let mut value = Vec::new();
        while body.read(&mut value, 16 * 1024).map_err(|_| StoreError)? > 0 {}
        Ok(Some(value))
    }

    /// The same as it comes, also while it is written.
    pub fn body(self) -> Result<Option<RawBody>, StoreError> {
        let mut state = CacheLookupState::empty();
        // SAFETY: the handle is open and `state` lives through the call.
        let status = unsafe { fastly_cache::get_state(self.0, &raw mut state) };
        status.result().map_err(|_| StoreError)?;
        if !state.contains(CacheLookupState::FOUND) || !state.contains(CacheLookupState::USABLE) {
            return Ok(None);
        }
        let options = CacheGetBodyOptions { from: 0, to: 0 };
        let mut body = 0;
        // SAFETY: as above; the mask says that no option is set.
        let status = unsafe {
            fastly_cache::get_body(self.0, CacheGetBodyOptionsMask::empty(), &raw const options, &raw mut body)
        };
        status.result().map_err(|_| StoreError)?;
        Ok(Some(RawBody(body)))
    }
}

impl Drop for CacheLookup {
    fn drop(&mut self) {
        // SAFETY: the handle is owned by this value and not used again.
        let _ = unsafe { fastly_cache::close(self.0) };
    }
}

/// An answer whose head has been sent, or a request. Dropping it unfinished breaks it off, which the other side sees. The SDK's
/// own type panics where that has left.
pub struct OpenAnswer(u32);

impl From<StreamingBodyHandle> for OpenAnswer {
    fn from(handle: StreamingBodyHandle) -> Self {
        OpenAnswer(handle.into_u32())
    }
}

impl OpenAnswer {
    /// Writes all of `bytes`, waiting as long as `patience` says at a time for a client that does not read.
    pub fn write(&mut self, mut bytes: &[u8], patience: impl Fn() -> Duration) -> Result<(), ClientGone> {
        while !bytes.is_empty() {
            if !self.is_ready() && select(&[self.0], Some(patience())).is_none() {
                return Err(ClientGone);
            }
            let mut written = 0;
            // SAFETY: the bytes live through the call, of which the host takes `written` at most.
            let status = unsafe {
                fastly_http_body::write(
                    self.0,
                    bytes.as_ptr(),
                    bytes.len(),
                    fastly_shared::BodyWriteEnd::Back,
                    &raw mut written,
                )
            };
            status.result().map_err(|_| ClientGone)?;
            bytes = bytes.get(written..).filter(|_| written > 0).ok_or(ClientGone)?;
        }
        Ok(())
    }

    /// Whether a write would be taken at once.
    fn is_ready(&self) -> bool {
        let mut ready = 0;
        // SAFETY: the call writes one number.
        let status = unsafe { fastly_async_io::is_ready(self.0, &raw mut ready) };
        // Writing to a handle that the host does not know gives the error.
        status.is_err() || ready != 0
    }

    /// Ends the answer cleanly.
    pub fn finish(self) -> Result<(), ClientGone> {
        let handle = std::mem::ManuallyDrop::new(self).0;
        // SAFETY: the handle is owned by this value and not used again.
        let status = unsafe { fastly_http_body::close(handle) };
        status.result().map_err(|_| ClientGone)
    }

    /// Leaves a part to the host: it sends `body` as it comes, and then what follows.
    pub fn append(&mut self, body: RawBody) -> Result<(), ClientGone> {
        let body = std::mem::ManuallyDrop::new(body).0;
        // SAFETY: both handles are owned; the host takes the body's, whose value is given up here.
        let status = unsafe { fastly_http_body::append(self.0, body) };
        status.result().map_err(|_| ClientGone)
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        // SAFETY: the handle is owned by this value and not used again.
        let _ = unsafe { fastly_http_body::abandon(self.0) };
    }
}

/// Begins a value of the Core Cache. The SDK's own type hides the handle.
pub fn publish(key: &str, max_age: Duration) -> Result<OpenAnswer, StoreError> {
    let options = CacheWriteOptions {
        max_age_ns: u64::try_from(max_age.as_nanos()).unwrap_or(u64::MAX),
        request_headers: 0,
        vary_rule_ptr: std::ptr::null(),
        vary_rule_len: 0,
        initial_age_ns: 0,
        stale_while_revalidate_ns: 0,
        surrogate_keys_ptr: std::ptr::null(),
        surrogate_keys_len: 0,
        length: 0,
        user_metadata_ptr: std::ptr::null(),
        user_metadata_len: 0,
        edge_max_age_ns: 0,
        service: std::ptr::null(),
        service_len: 0,
    };
    let mut body = 0;
    // SAFETY: key and options live through the call; the mask says that no option is set but the age.
    let status = unsafe {
        fastly_cache::insert(key.as_ptr(), key.len(), CacheWriteOptionsMask::empty(), &raw const options, &raw mut body)
    };
    status.result().map(|()| OpenAnswer(body)).map_err(|_| StoreError)
}

/// The URL of a client's request as the host gives it; empty if it is longer than any that is served. The SDK parses it,
/// and panics at hosts and targets that a client may well send.
pub fn url(request: &RequestHandle) -> String {
    let mut bytes: Vec<u8> = Vec::with_capacity(1024);
    loop {
        let mut length = 0;
        // SAFETY: the spare capacity holds as many bytes as is said, of which the host writes `length` at most.
        let status = unsafe {
            fastly_http_req::uri_get(request.as_u32(), bytes.as_mut_ptr(), bytes.capacity(), &raw mut length)
        };
        match status {
            FastlyStatus::OK => {
                // SAFETY: the host has written the first `length` bytes of the capacity.
                unsafe { bytes.set_len(length.min(bytes.capacity())) };
                return String::from_utf8_lossy(&bytes).into_owned();
            }
            FastlyStatus::BUFLEN if length > bytes.capacity() && length <= MAX_URL_BYTES => bytes.reserve(length),
            _ => return String::new(),
        }
    }
}

/// The headers of a client's request.
pub fn request_headers(request: &RequestHandle) -> HeaderMap {
    let handle = request.as_u32();
    let names = |into: Listing| {
        // SAFETY: the listing's pointers are those of live values, and its length is that of the buffer.
        unsafe {
            fastly_http_req::header_names_get(handle, into.buffer, into.length, into.cursor, into.next, into.written)
        }
    };
    let values = |name: &[u8], into: Listing| {
        let Listing { buffer, length, cursor, next, written } = into;
        let (name, name_length) = (name.as_ptr(), name.len());
        // SAFETY: as above; the name lives through the call.
        unsafe { fastly_http_req::header_values_get(handle, name, name_length, buffer, length, cursor, next, written) }
    };
    headers(names, values, |_| true)
}

/// The headers of a provider's answer that `is_read` names, in small letters.
pub fn response_headers(response: &ResponseHandle, is_read: fn(&str) -> bool) -> HeaderMap {
    let handle = response.as_u32();
    let names = |into: Listing| {
        // SAFETY: as for requests.
        unsafe {
            fastly_http_resp::header_names_get(handle, into.buffer, into.length, into.cursor, into.next, into.written)
        }
    };
    let values = |name: &[u8], into: Listing| {
        let Listing { buffer, length, cursor, next, written } = into;
        let (name, name_length) = (name.as_ptr(), name.len());
        // SAFETY: as for requests.
        unsafe { fastly_http_resp::header_values_get(handle, name, name_length, buffer, length, cursor, next, written) }
    };
    headers(names, values, is_read)
}

/// Where the host writes a part of a list: texts that each end with a zero byte.
#[derive(Clone, Copy)]
struct Listing {
    buffer: *mut u8,
    length: usize,
    /// Which text comes first.
    cursor: u32,
    /// Which text comes first in the next part; negative after the last part.
    next: *mut i64,
    /// How many bytes were written, or are needed at least.
    written: *mut usize,
}

/// Reads a head's headers by the two calls that list its names and the values of one; only those that `is_wanted` names.
fn headers(
    names: impl Fn(Listing) -> FastlyStatus,
    values: impl Fn(&[u8], Listing) -> FastlyStatus,
    is_wanted: impl Fn(&str) -> bool,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(USUAL_HEADERS);
    let mut buffer = Vec::with_capacity(USUAL_LIST_BYTES);
    list(&names, &mut Vec::with_capacity(USUAL_LIST_BYTES), |name| {
        let Some(parsed) = HeaderName::from_bytes(name).ok().filter(|parsed| is_wanted(parsed.as_str())) else {
            return;
        };
        list(
            |into| values(name, into),
            &mut buffer,
            |value| {
                // The host has taken it from a head, so that it can stand in one.
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(&parsed, value);
                }
            },
        );
    });
    headers
}

/// Hands every text of a list to `take`, as far as the host gives them.
fn list(part: impl Fn(Listing) -> FastlyStatus, buffer: &mut Vec<u8>, mut take: impl FnMut(&[u8])) {
    let mut cursor = 0;
    loop {
        let (mut next, mut written) = (-1, 0);
        buffer.clear();
        let (start, length) = (buffer.as_mut_ptr(), buffer.capacity());
        match part(Listing { buffer: start, length, cursor, next: &raw mut next, written: &raw mut written }) {
            FastlyStatus::OK => {
                // SAFETY: the host has written the first `written` bytes of the capacity.
                unsafe { buffer.set_len(written.min(length)) };
                buffer
                    .split_inclusive(|byte| *byte == 0)
                    .for_each(|text| take(text.strip_suffix(b"\0").unwrap_or(text)));
                match u32::try_from(next) {
                    Ok(next) if next > cursor => cursor = next,
                    Ok(_) | Err(_) => return,
                }
            }
            FastlyStatus::BUFLEN if written > length && written <= MAX_HEADER_BYTES => buffer.reserve(written),
            _ => return,
        }
    }
}

/// The host does not take the URL.
pub struct InvalidUrl;

/// Sets an absolute URL. The SDK takes a parsed one only, and parsing would take a good part of the guest's time.
pub fn set_url(request: &RequestHandle, url: &str) -> Result<(), InvalidUrl> {
    // SAFETY: the request is open and the URL lives through the call.
    let status = unsafe { fastly_http_req::uri_set(request.as_u32(), url.as_ptr(), url.len()) };
    status.result().map_err(|_| InvalidUrl)
}

/// The position of the first handle that is ready, or nothing if `at_most` passes before.
pub fn select(handles: &[u32], at_most: Option<Duration>) -> Option<usize> {
    // The host takes 0 for no timeout and answers `u32::MAX` when it has passed.
    let timeout = at_most.map_or(0, |at_most| u32::try_from(at_most.as_millis()).unwrap_or(u32::MAX).max(1));
    let mut ready = u32::MAX;
    // SAFETY: the handles live through the call, which writes one index.
    let status: FastlyStatus =
        unsafe { fastly_async_io::select(handles.as_ptr(), handles.len(), timeout, &raw mut ready) };
    match status.result() {
        Ok(()) if ready != u32::MAX => Some(ready as usize),
        Ok(()) => None,
        // A handle that the host does not know is as ready as it will ever be: using it gives the error.
        Err(_) => Some(0),
    }
}
