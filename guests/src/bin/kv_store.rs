//! Carries out one operation on the KV Store: the embedded runtime lets only guests at its stores.
//!
//! The request's and the response's body are as `tiergate_guests::kv` says; a refusal is a status and its reason.

#[cfg(target_arch = "wasm32")]
fn main() {
    guest::answer();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("This is a guest of the local runtime; `tiergate dev` builds and runs it.");
    std::process::exit(1);
}

#[cfg(target_arch = "wasm32")]
mod guest {
    use std::time::Duration;

    use fastly::http::StatusCode;
    use fastly::kv_store::{InsertMode, KVStore, KVStoreError};
    use fastly::{Request, Response};
    use tiergate_guests::kv::{
        KeyPage, ListOptions, Operation, PutMode, PutOptions, STORE, ValueInfo, decode_message, encode_message,
    };

    pub fn answer() {
        let message = Request::from_client().into_body_bytes();
        let response = match decode_message(&message) {
            Ok((operation, value)) => carry_out(operation, value).unwrap_or_else(|error| refusal(&error)),
            Err(error) => Response::from_status(StatusCode::BAD_REQUEST).with_body(error.to_string()),
        };
        response.send_to_client();
    }

    fn carry_out(operation: Operation, value: &[u8]) -> Result<Response, KVStoreError> {
        let store = KVStore::open(STORE)?.ok_or_else(|| KVStoreError::StoreNotFound(STORE.to_owned()))?;
        match operation {
            Operation::Get { key } => get(&store, &key),
            Operation::Put { key, options } => {
                put(&store, &key, options, value).map(|()| Response::from_status(StatusCode::OK))
            }
            Operation::Delete { key } => store.delete(&key).map(|()| Response::from_status(StatusCode::OK)),
            Operation::List(options) => list(&store, options),
        }
    }

    fn get(store: &KVStore, key: &str) -> Result<Response, KVStoreError> {
        let mut found = store.lookup(key)?;
        let info = ValueInfo {
            metadata: found.metadata().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            generation: found.current_generation(),
        };
        Ok(message(&info, &found.take_body_bytes()))
    }

    fn put(store: &KVStore, key: &str, options: PutOptions, value: &[u8]) -> Result<(), KVStoreError> {
        let mut insert = store.build_insert().mode(match options.mode {
            PutMode::Overwrite => InsertMode::Overwrite,
            PutMode::Add => InsertMode::Add,
            PutMode::Append => InsertMode::Append,
            PutMode::Prepend => InsertMode::Prepend,
        });
        if let Some(metadata) = &options.metadata {
            insert = insert.metadata(metadata);
        }
        if let Some(seconds) = options.ttl_s {
            insert = insert.time_to_live(Duration::from_secs(seconds));
        }
        if let Some(generation) = options.if_generation {
            insert = insert.if_generation_match(generation);
        }
        insert.execute(key, value)
    }

    fn list(store: &KVStore, options: ListOptions) -> Result<Response, KVStoreError> {
        let mut list = store.build_list();
        if let Some(prefix) = &options.prefix {
            list = list.prefix(prefix);
        }
        if let Some(cursor) = &options.cursor {
            list = list.cursor(cursor);
        }
        if let Some(limit) = options.limit {
            list = list.limit(limit);
        }
        let page = list.execute()?;
        let next_cursor = page.next_cursor();
        Ok(message(&KeyPage { keys: page.into_keys(), next_cursor }, b""))
    }

    fn message(line: &impl serde::Serialize, value: &[u8]) -> Response {
        match encode_message(line, value) {
            Ok(bytes) => Response::from_body(bytes),
            Err(error) => Response::from_status(StatusCode::INTERNAL_SERVER_ERROR).with_body(error.to_string()),
        }
    }

    fn refusal(error: &KVStoreError) -> Response {
        let status = match error {
            KVStoreError::ItemNotFound | KVStoreError::StoreNotFound(_) => StatusCode::NOT_FOUND,
            KVStoreError::InvalidKey | KVStoreError::InvalidStoreOptions | KVStoreError::ItemBadRequest => {
                StatusCode::BAD_REQUEST
            }
            KVStoreError::ItemPreconditionFailed => StatusCode::PRECONDITION_FAILED,
            KVStoreError::ItemPayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            KVStoreError::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Response::from_status(status).with_body(error.to_string())
    }
}
