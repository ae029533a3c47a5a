//! Signatures that a test can't have.
#![allow(unused_imports)]

use lonet_harness::Scenario;

#[lonet::test]
fn not_async(_: Scenario) {}

#[lonet::test]
const async fn constant(_: Scenario) {}

#[lonet::test]
async unsafe fn not_safe(_: Scenario) {}

#[lonet::test]
async extern "C" fn foreign(_: Scenario) {}

#[lonet::test]
async fn generic<T>(_: Scenario) {}

#[lonet::test]
async fn conditional(_: Scenario)
where
    String: Clone,
{
}

#[lonet::test]
async fn no_argument() {}

#[lonet::test]
async fn two_arguments(_: Scenario, times: u32) {}

#[lonet::test]
async fn some_trait(_: impl Clone) {}

struct Suite;

impl Suite {
    #[lonet::test]
    async fn method(&self, _: Scenario) {}
}

#[lonet::test]
#[test]
async fn test_twice(_: Scenario) {}

#[lonet::test]
#[tokio::test]
async fn of_tokio_too(_: Scenario) {}

#[lonet::test]
struct NoFunction;

fn main() {}
