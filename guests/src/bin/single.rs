//! The gateway with one request per sandbox, since every promise must hold without reuse too.

#[cfg(target_arch = "wasm32")]
fn main() {
    tiergate::edge::serve(tiergate::edge::Reuse::One);
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
