//! Signatures that are rare: contextual keywords, variadics, conditions.

use lonet::Host;

#[lonet::host]
async safe fn safe(_: Host) {}

#[lonet::host]
async fn variadic(_: Host, _: ...) {}

#[lonet::host]
async fn conditional(_: Host)
where
    String: Clone,
{
}

#[lonet::host]
async fn pointer(_: Host, to: *const u8) {
    let _ = to;
}

#[lonet::host]
async fn nested(_: Host, all: [(fn(), u8); 2]) {
    let _ = all;
}

#[lonet::host]
async fn returns_function(_: Host) -> Result<fn(), String> {
    Ok(main)
}

fn main() {}
