//! Arguments and results of roles that serde can't carry.

use lonet::Host;
use lonet_harness::Result;
use serde::Serialize;

struct Nothing;

#[derive(Serialize)]
struct OneWay;

#[lonet::host]
async fn argument(_: Host, nothing: Nothing) {
    drop(nothing);
}

#[lonet::host]
async fn argument_one_way(_: Host, values: Vec<OneWay>) {
    drop(values);
}

#[lonet::host]
async fn result(_: Host) -> Nothing {
    Nothing
}

#[lonet::host]
async fn result_one_way(_: Host) -> Result<OneWay> {
    Ok(OneWay)
}

#[lonet::host]
async fn error(_: Host) -> Result<(), Nothing> {
    Err(Nothing)
}

fn main() {}
