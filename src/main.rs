//! The service's entry point: Wasm only.

#[cfg(target_arch = "wasm32")]
fn main() {
    tiergate::edge::serve(tiergate::edge::Reuse::Many);
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("tiergate-edge runs on Fastly Compute. To run it on this machine: cargo dev");
    std::process::exit(2);
}
