//! Signatures that a role can't have.

use lonet::Host;
use lonet_harness::{Role, Scenario};

#[lonet::host]
fn not_async(_: Host) {}

#[lonet::host]
const async fn constant(_: Host) {}

#[lonet::host]
async unsafe fn not_safe(_: Host) {}

#[lonet::host]
async extern "C" fn foreign(_: Host) {}

#[lonet::host]
async fn generic<T>(_: Host, value: T) -> T {
    value
}

#[lonet::host]
async fn lifetime<'a>(_: Host, value: std::borrow::Cow<'a, str>) {
    drop(value);
}

#[lonet::host]
async fn no_argument() {}

#[lonet::host]
async fn no_host(to: String) -> String {
    to
}

#[lonet::host]
async fn scenario(_: Scenario) {}

#[lonet::host]
async fn borrowed_host(_: &Host) {}

struct Suite;

impl Suite {
    #[lonet::host]
    async fn method(self, _: Host) {}
}

#[lonet::host]
struct NoFunction;

#[lonet::host]
async fn no_body(_: Host);

fn main() {
    let _: Role<()> = no_argument();
    let _: Role<String> = no_host("α:10".to_string());
    let _: Role<u8> = generic(3);
    let _: Role<()> = not_async();
}
