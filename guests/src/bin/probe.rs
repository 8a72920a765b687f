//! Shows what the embedded runtime gives to a guest: stores, backends, the client's country, logging, standard error.
//!
//! The first segment of the path says what to show and the second names it.

#[cfg(target_arch = "wasm32")]
fn main() {
    guest::answer();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("This is a guest of the local runtime; only that runtime's tests run it.");
    std::process::exit(1);
}

#[cfg(target_arch = "wasm32")]
mod guest {
    use std::io::Write;

    use fastly::http::StatusCode;
    use fastly::kv_store::{KVStore, KVStoreError};
    use fastly::log::Endpoint;
    use fastly::secret_store::SecretStore;
    use fastly::{Request, Response};
    use tiergate_guests::kv::STORE;

    pub fn answer() {
        let request = Request::from_client();
        let path = request.get_path().to_owned();
        let (what, name) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
        let response = match what {
            "healthz" => Response::from_status(StatusCode::OK),
            "kv" => kv(name),
            "secret" => secret(name),
            "backend" => backend(name),
            "country" => country(&request),
            "log" => log(name),
            "stderr" => {
                eprintln!("{name}");
                Response::from_status(StatusCode::OK)
            }
            _ => Response::from_status(StatusCode::NOT_FOUND),
        };
        response.send_to_client();
    }

    fn kv(key: &str) -> Response {
        let found = KVStore::open(STORE)
            .and_then(|store| store.ok_or_else(|| KVStoreError::StoreNotFound(STORE.to_owned()))?.lookup(key));
        match found {
            Ok(mut found) => Response::from_body(found.take_body_bytes()),
            Err(KVStoreError::ItemNotFound) => Response::from_status(StatusCode::NOT_FOUND),
            Err(error) => unavailable(&error),
        }
    }

    /// Echoes a secret, which a probe of made-up values may do.
    fn secret(entry: &str) -> Response {
        match SecretStore::open(STORE) {
            Ok(store) => match store.get(entry) {
                Some(secret) => Response::from_body(secret.plaintext().to_vec()),
                None => Response::from_status(StatusCode::NOT_FOUND),
            },
            Err(error) => unavailable(&error),
        }
    }

    fn backend(host: &str) -> Response {
        match Request::get(format!("http://{host}/hello")).with_pass(true).send(host) {
            Ok(response) => Response::from_body(response.into_body_bytes()),
            Err(error) => Response::from_status(StatusCode::BAD_GATEWAY).with_body(error.to_string()),
        }
    }

    fn country(request: &Request) -> Response {
        let geo = request.get_client_ip_addr().and_then(fastly::geo::geo_lookup);
        Response::from_body(geo.map(|geo| geo.country_code().to_owned()).unwrap_or_default())
    }

    fn log(line: &str) -> Response {
        let written = Endpoint::try_from_name(STORE).map(|mut endpoint| writeln!(endpoint, "{line}"));
        match written {
            Ok(Ok(())) => Response::from_status(StatusCode::OK),
            failed => Response::from_status(StatusCode::INTERNAL_SERVER_ERROR).with_body(format!("{failed:?}")),
        }
    }

    fn unavailable(error: &dyn std::fmt::Display) -> Response {
        Response::from_status(StatusCode::SERVICE_UNAVAILABLE).with_body(error.to_string())
    }
}
