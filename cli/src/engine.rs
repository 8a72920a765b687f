//! A guest in the embedded local runtime, compiled and with its part of the world, but not served yet.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use viceroy_lib::config::{Backend, Geolocation, ObjectStores, SecretStores, UnknownImportBehavior};
use viceroy_lib::{ExecuteCtx, ProfilingConfig, WasmFeatures};

use crate::log::{LogSink, LogWriter};

/// What a guest sees of the world.
#[derive(Default)]
pub struct Parts {
    pub backends: HashMap<String, Arc<Backend>>,
    pub secrets: SecretStores,
    pub stores: ObjectStores,
    pub geolocation: Geolocation,
    pub log: Option<LogSink>,
}

/// Compiles a guest to machine code; takes a second or so of CPU time.
pub fn compile(wasm: &Path, parts: Parts) -> Result<Arc<ExecuteCtx>> {
    let no_adapter = false;
    ExecuteCtx::build(
        wasm,
        ProfilingConfig::None,
        HashSet::new(),
        UnknownImportBehavior::LinkError,
        no_adapter,
        WasmFeatures::default(),
    )
    .and_then(|builder| {
        builder
            .with_backends(parts.backends)
            .with_secret_stores(parts.secrets)
            .with_object_stores(parts.stores)
            .with_geolocation(parts.geolocation)
            .with_capture_logs(Arc::new(Mutex::new(LogWriter::new(parts.log))))
            .with_log_stdout(true)
            .with_log_stderr(true)
            .finish()
    })
    .with_context(|| format!("cannot load {}", wasm.display()))
}
