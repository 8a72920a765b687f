//! The gateway's shell where a panic comes before any request is known.

#[cfg(target_arch = "wasm32")]
#[expect(clippy::panic, reason = "this guest is there to panic")]
fn main() {
    tiergate::edge::set_up();
    panic!("a prompt that must not be printed");
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
