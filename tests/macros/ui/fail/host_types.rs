//! Types that a role's arguments and result can't have.

use lonet::Host;
use lonet_harness::Role;

#[lonet::host]
async fn text(_: Host, to: &str) {
    drop(to);
}

#[lonet::host]
async fn nested(_: Host, to: Vec<Option<(u8, &'static str)>>) {
    drop(to);
}

#[lonet::host]
async fn some_trait(_: Host, to: impl Into<String>) {
    drop(to);
}

#[lonet::host]
async fn function(_: Host, then: fn()) {
    then();
}

#[lonet::host]
async fn returns_reference(_: Host) -> &'static str {
    "α"
}

#[lonet::host]
async fn returns_reference_in_result(_: Host) -> Result<&'static str, String> {
    Ok("α")
}

#[lonet::host]
async fn returns_trait(_: Host) -> impl Clone {}

fn main() {
    let _: Role<()> = text("α:10");
    let _ = returns_reference();
}
