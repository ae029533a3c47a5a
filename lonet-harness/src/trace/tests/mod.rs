//! Tests of traces, by topic. `world` simulates executions for all of them.

mod blocks;
mod counting;
mod diagrams;
mod fault_lines;
mod faults;
mod hints;
mod holds;
mod in_order;
mod lines;
mod literals;
mod messages;
mod mutations;
mod nearest;
mod networks;
mod oracle;
mod ports;
mod raced;
mod racing;
mod records;
mod relation;
mod simulation;
mod speed;
mod together;
mod turns;
mod updates;
mod world;

use super::Trace;
use world::{TEST, World};

/// β dials α, asks and is answered.
fn ping_pong() -> Trace {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let listener = w.listen(alpha, 10);
    let listening = w.latest(alpha);
    w.until(TEST, listening);
    let beta = w.spawn("β");
    let dial = w.dial(beta, "α:10");
    let server = w.accept(alpha, listener, dial);
    let client = w.connect(beta, dial);
    w.write(beta, client, 4);
    w.read(alpha, server, 4);
    w.write(alpha, server, 4);
    w.close(alpha, server);
    w.close_listener(alpha, listener);
    w.read(beta, client, 4);
    w.read(beta, client, 0);
    w.close(beta, client);
    w.join(beta);
    w.join(alpha);
    w.trace()
}

/// So many random cases; a failing one is printed whole, and kept nowhere.
fn cases(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        failure_persistence: None,
        ..proptest::test_runner::Config::with_cases(cases)
    }
}
