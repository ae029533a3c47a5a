//! Arguments that `#[lonet::test]` does not take.
#![allow(unused_imports)]

use lonet_harness::Scenario;

#[lonet::test(timout = "30s")]
async fn unknown(_: Scenario) {}

#[lonet::test(start_paused = true)]
async fn paused(_: Scenario) {}

#[lonet::test(flavor = "multi_thread")]
async fn flavor(_: Scenario) {}

#[lonet::test(repeat = 2, timeout = "1s", repeat = 3)]
async fn twice(_: Scenario) {}

#[lonet::test(timeout = 30)]
async fn timeout_of_a_number(_: Scenario) {}

#[lonet::test(timeout = "30")]
async fn timeout_without_a_unit(_: Scenario) {}

#[lonet::test(timeout = "0s")]
async fn timeout_of_nothing(_: Scenario) {}

#[lonet::test(timeout)]
async fn no_value(_: Scenario) {}

#[lonet::test(worker_threads(2))]
async fn parentheses(_: Scenario) {}

#[lonet::test(worker_threads = "2")]
async fn threads_of_a_string(_: Scenario) {}

#[lonet::test(worker_threads = 0)]
async fn no_threads(_: Scenario) {}

#[lonet::test(repeat = -1)]
async fn repeat_less_than_never(_: Scenario) {}

#[lonet::test(trace = concat!("α:1", " listen"))]
async fn trace_of_an_expression(_: Scenario) {}

#[lonet::test(trace = "α:1 listen", trace_file = "a.trace")]
async fn two_traces(_: Scenario) {}

#[lonet::test(trace_file = "")]
async fn no_file(_: Scenario) {}

#[lonet::test(crate = "not a path")]
async fn no_path(_: Scenario) {}

#[lonet::test(crate = lonet_harness)]
async fn no_string(_: Scenario) {}

#[lonet::test("30s")]
async fn no_name(_: Scenario) {}

#[lonet::test(timeout = "30s" repeat = 2)]
async fn no_comma(_: Scenario) {}

#[lonet::test(timeout = )]
async fn nothing_behind(_: Scenario) {}

#[lonet::test(sweep = "kill p", repeat = 2)]
async fn swept_and_repeated(_: Scenario) {}

#[lonet::test(schedule = "kill p at up", sweep = "kill p")]
async fn scheduled_and_swept(_: Scenario) {}

#[lonet::test(sweep = concat!("kill", " p"))]
async fn sweep_of_an_expression(_: Scenario) {}

#[lonet::test(schedule)]
async fn schedule_of_nothing(_: Scenario) {}

#[lonet::test(search = "0s")]
async fn searched_for_no_time(_: Scenario) {}

#[lonet::test(search = 10)]
async fn searched_for_a_number(_: Scenario) {}

#[lonet::test(search)]
async fn searched_for_nothing(_: Scenario) {}

#[lonet::test(search = "10s", sweep = "kill p")]
async fn searched_and_swept(_: Scenario) {}

#[lonet::test(repeat = 2, search = "10s")]
async fn repeated_and_searched(_: Scenario) {}

#[lonet::test(search = "10s", schedule = "kill p at up")]
async fn searched_and_scheduled(_: Scenario) {}

#[lonet::test(schedule = 2)]
async fn schedule_of_a_number(_: Scenario) {}

#[lonet::test(lockstep = "10s")]
async fn in_lockstep(_: Scenario) {}

fn main() {}
