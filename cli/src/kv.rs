//! The KV Store of a running gateway, to be read and changed while it serves.
//!
//! The runtime lets only guests at its stores, so each operation runs the `kv-store` guest once, in this process, on
//! the same stores. That guest is built and compiled at the first use.

use std::net::Ipv4Addr;
use std::sync::Arc;

use hyper14::{Body, Request, StatusCode, body};
use serde::Deserialize;
use tiergate_guests::kv::{KeyPage, ListOptions, Operation, PutOptions, ValueInfo, decode_message, encode_message};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use viceroy_lib::ExecuteCtx;
use viceroy_lib::config::ObjectStores;

use crate::engine::{Parts, compile};
use crate::wasm::{self, Guest};

/// Shares one store with the gateway and with every clone.
#[derive(Clone)]
pub struct KvHandle {
    shared: Arc<Shared>,
}

struct Shared {
    stores: ObjectStores,
    guest: OnceCell<Arc<ExecuteCtx>>,
}

/// A value and what the store says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvValue {
    pub value: Vec<u8>,
    pub info: ValueInfo,
}

#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// The store refuses the operation; the status is that of Fastly's API.
    #[error("the KV Store answers {status}: {reason}")]
    Refused { status: u16, reason: String },
    #[error("the local runtime failed: {0}")]
    Runtime(anyhow::Error),
}

impl KvHandle {
    pub(crate) fn new(stores: ObjectStores) -> Self {
        Self { shared: Arc::new(Shared { stores, guest: OnceCell::new() }) }
    }

    pub async fn put(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), KvError> {
        self.put_with(key, value, PutOptions::default()).await
    }

    pub async fn put_with(&self, key: &str, value: impl AsRef<[u8]>, options: PutOptions) -> Result<(), KvError> {
        self.run(&Operation::Put { key: key.to_owned(), options }, value.as_ref()).await.map(drop)
    }

    /// Nothing if there is no such key.
    pub async fn get(&self, key: &str) -> Result<Option<KvValue>, KvError> {
        let message = match self.run(&Operation::Get { key: key.to_owned() }, b"").await {
            Err(KvError::Refused { status: 404, .. }) => return Ok(None),
            answered => answered?,
        };
        let (info, value) = decode(&message)?;
        Ok(Some(KvValue { value: value.to_vec(), info }))
    }

    /// False if there was no such key.
    pub async fn delete(&self, key: &str) -> Result<bool, KvError> {
        match self.run(&Operation::Delete { key: key.to_owned() }, b"").await {
            Err(KvError::Refused { status: 404, .. }) => Ok(false),
            answered => answered.map(|_| true),
        }
    }

    pub async fn list(&self, options: ListOptions) -> Result<KeyPage, KvError> {
        let message = self.run(&Operation::List(options), b"").await?;
        decode(&message).map(|(page, _)| page)
    }

    async fn guest(&self) -> Result<Arc<ExecuteCtx>, KvError> {
        let load = || async {
            let stores = self.shared.stores.clone();
            spawn_blocking(move || {
                let path = wasm::guest(Guest::KvStore)?;
                compile(&path, Parts { stores, ..Parts::default() })
            })
            .await?
        };
        self.shared.guest.get_or_try_init(load).await.cloned().map_err(KvError::Runtime)
    }

    async fn run(&self, operation: &Operation, value: &[u8]) -> Result<Vec<u8>, KvError> {
        let guest = self.guest().await?;
        let message = encode_message(operation, value).map_err(runtime)?;
        let request = Request::post("http://kv-store.localhost/").body(Body::from(message)).map_err(runtime)?;
        let nowhere = (Ipv4Addr::LOCALHOST, 0).into();
        let (response, trap) = guest.handle_request(request, nowhere, nowhere).await.map_err(runtime)?;
        if let Some(trap) = trap {
            return Err(runtime(trap));
        }
        let status = response.status();
        let body = body::to_bytes(response.into_body()).await.map_err(runtime)?;
        if status == StatusCode::OK {
            Ok(body.to_vec())
        } else {
            Err(KvError::Refused { status: status.as_u16(), reason: String::from_utf8_lossy(&body).into_owned() })
        }
    }
}

fn decode<T: for<'a> Deserialize<'a>>(message: &[u8]) -> Result<(T, &[u8]), KvError> {
    decode_message(message).map_err(runtime)
}

fn runtime(error: impl Into<anyhow::Error>) -> KvError {
    KvError::Runtime(error.into())
}
