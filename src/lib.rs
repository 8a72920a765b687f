//! tiergate: an LLM gateway that runs as one Fastly Compute service.
pub mod policy;
