//! What runs before a role is a plain function.

#[lonet::before_role]
async fn waits() {}

#[lonet::before_role]
fn takes(host: &str) {
    let _ = host;
}

#[lonet::before_role]
fn generic<T>() {}

#[lonet::before_role]
fn returns() -> u32 {
    0
}

#[lonet::before_role(twice = true)]
fn argument() {}

#[lonet::before_role]
struct NotAFunction;

fn main() {}
