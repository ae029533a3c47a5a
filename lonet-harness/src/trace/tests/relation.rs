//! The computed relation against the true one, on random executions; and reports that are wrong.

use std::collections::BTreeSet;

use lonet::trace::EventId;
use proptest::prelude::*;

use super::simulation::{Allowed, simulate};
use super::world::{TEST, World};
use crate::trace::happened::graph::Graph;

fn computed(graph: &Graph, of: EventId) -> BTreeSet<EventId> {
    let past = graph.past(graph.node(of).unwrap());
    let nodes = (0..graph.len() as u32).filter(|&node| past[node as usize]);
    nodes
        .map(|node| {
            let (process, record) = graph.record(node).unwrap();
            (process, record.n).into()
        })
        .collect()
}

fn told(world: &World, id: EventId) -> String {
    let record = &world.reported()[id.process as usize].records[id.n as usize - 1];
    format!("{id:?} {record:?}")
}

proptest! {
    #![proptest_config(super::cases(if cfg!(debug_assertions) { 300 } else { 3000 }))]

    #[test]
    fn nothing_is_ordered_that_is_not(numbers in prop::collection::vec(any::<u32>(), 0..150)) {
        let world = simulate(&numbers, Allowed { untraced: true, unique: true });
        let graph = world.graph();
        for (id, truth) in &world.truth {
            let computed = computed(&graph, *id);
            if let Some(invented) = computed.difference(truth).next() {
                prop_assert!(false, "{}\n is not a cause of\n{}", told(&world, *invented), told(&world, *id));
            }
        }
    }

    #[test]
    fn where_all_is_traced_all_is_ordered(numbers in prop::collection::vec(any::<u32>(), 0..150)) {
        let world = simulate(&numbers, Allowed { untraced: false, unique: true });
        let graph = world.graph();
        for (id, truth) in &world.truth {
            let computed = computed(&graph, *id);
            if let Some(invented) = computed.difference(truth).next() {
                prop_assert!(false, "{}\n is not a cause of\n{}", told(&world, *invented), told(&world, *id));
            }
            if let Some(missed) = truth.difference(&computed).next() {
                prop_assert!(false, "{}\n is a cause of\n{}", told(&world, *missed), told(&world, *id));
            }
        }
    }

    #[test]
    fn the_order_of_lines_does_not_matter(
        numbers in prop::collection::vec(any::<u32>(), 0..80),
        keys in prop::collection::vec(any::<u32>(), 400),
    ) {
        let world = simulate(&numbers, Allowed { untraced: true, unique: true });
        let graph = world.graph();
        let mut processes = world.reported();
        for process in &mut processes {
            let mut keyed: Vec<_> = process.records.drain(..).zip(keys.iter().cycle()).collect();
            keyed.sort_by_key(|(_, key)| **key);
            process.records = keyed.into_iter().map(|(record, _)| record).collect();
        }
        let shuffled = Graph::build(processes);
        prop_assert_eq!(&graph.order, &shuffled.order);
        prop_assert_eq!(graph.problems(), shuffled.problems());
    }

    /// Lost, doubled and mixed-up records: never a panic, a loop or an order without a topology.
    #[test]
    fn nonsense_is_survived(
        numbers in prop::collection::vec(any::<u32>(), 0..80),
        harm in prop::collection::vec((any::<u16>(), any::<u16>(), 0u8..6), 1..20),
    ) {
        let mut world = simulate(&numbers, Allowed { untraced: true, unique: false });
        let here = world.here();
        let mut processes = world.reported();
        for (a, b, kind) in harm {
            let (a, b) = (a as usize, b as usize);
            let p = a % processes.len();
            let records = &mut processes[p].records;
            if records.is_empty() {
                continue;
            }
            let (x, y) = (a % records.len(), b % records.len());
            match kind {
                0 => { records.remove(x); }
                1 => { let record = records[x].clone(); records.push(record); }
                2 => { let n = records[x].n; records[x].n = records[y].n; records[y].n = n; }
                3 => { let e = records[x].what.clone(); records[y].what = e; }
                4 => records[x].learned.push((b as u32 % 5, a as u64 % 40).into()),
                _ => records[x].reads.push((b as u64 % 6, a as u64 % 9, b as u64 % 9).into()),
            }
        }
        let graph = std::sync::Arc::new(Graph::build(processes));
        prop_assert_eq!(graph.order.len(), graph.label_of.len());
        for (index, &node) in graph.order.iter().enumerate() {
            for (cause, _) in graph.before(node) {
                prop_assert!(graph.order[..index].contains(&cause));
            }
        }
        for trace in [super::Trace::whole(graph.clone()), super::Trace::past(graph, here)] {
            trace.assert(trace.to_string());
            let _ = crate::report::sequence::diagram(&trace);
            let _ = crate::report::mermaid::diagram(&trace);
        }
    }
}

#[test]
fn a_cycle_is_reported_and_orders_nothing() {
    let mut w = World::new();
    let (a, b) = (w.foreign("α"), w.foreign("β"));
    w.mark(a, "one");
    w.mark(b, "two");
    let mut processes = w.reported();
    processes[1].records[0].learned.push((2, 1).into());
    processes[2].records[0].learned.push((1, 1).into());
    let graph = Graph::build(processes);
    assert_eq!(graph.problems().len(), 1, "{:?}", graph.problems());
    let trace = super::Trace::whole(std::sync::Arc::new(graph));
    trace.assert("β mark two\nα mark one");
    trace.assert("α mark one\nβ mark two");
}

#[test]
fn two_processes_that_claim_one_host_are_named() {
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("α"));
    w.mark(a, "one");
    w.mark(b, "two");
    w.mark(a, "three");
    let graph = Graph::build(w.reported());
    assert_eq!(
        graph.problems(),
        ["process 4001 and process 4002 both say they are host α; what both report is kept"]
    );
    let trace = super::Trace::whole(std::sync::Arc::new(graph));
    trace.assert("α mark one\nα mark two\nα mark three");
}

#[test]
fn only_the_first_byte_of_a_read_counts_until_polled() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen(alpha, 10);
    let dial = w.dial(beta, "α:10");
    let server = w.accept(alpha, listener, dial);
    let client = w.connect(beta, dial);
    let first = w.mark(beta, "first");
    w.write(beta, client, 2);
    let second = w.mark(beta, "second");
    w.write(beta, client, 2);
    w.read(alpha, server, 4);
    let read = w.mark(alpha, "read");
    w.settle(alpha, server);
    let settled = w.mark(alpha, "settled");
    let graph = w.graph();
    let node = |id| graph.node(id).unwrap();
    assert!(graph.reaches(node(first), node(read)));
    assert!(!graph.reaches(node(second), node(read)));
    assert!(graph.reaches(node(second), node(settled)));
}

/// A server that serves one client after the other: which comes first is chance, and what it does
/// for one has nothing to do with what it does for the next.
#[test]
fn an_accept_begins_a_strand() {
    let mut w = World::new();
    let (alpha, beta, gamma) = (w.spawn("α"), w.spawn("β"), w.spawn("γ"));
    let listener = w.listen(alpha, 10);
    let before = w.mark(alpha, "before");
    let (b, g) = (w.dial(beta, "α:10"), w.dial(gamma, "α:10"));
    w.mark(beta, "asks");
    let asks = w.latest(beta);
    let served = w.accept(alpha, listener, b);
    let first = w.latest(alpha);
    let client = w.connect(beta, b);
    w.write(beta, client, 1);
    w.read(alpha, served, 1);
    let serves = w.mark(alpha, "serves");
    w.read(alpha, served, 0);
    w.accept(alpha, listener, g);
    let second = w.latest(alpha);
    let after = w.mark(alpha, "after");
    let graph = w.graph();
    let node = |id| graph.node(id).unwrap();
    let certain = |a, b| graph.reaches(node(a), node(b));
    let in_run = |a, b| graph.reaches_in_run(node(a), node(b));
    assert!(certain(before, first) && certain(before, second));
    assert!(certain(first, serves) && certain(asks, serves) && certain(second, after));
    for (a, b) in [
        (first, second),
        (serves, second),
        (serves, after),
        (asks, after),
    ] {
        assert!(!certain(a, b) && in_run(a, b), "{a:?} {b:?}");
    }
}

/// What a task does while another of its operations is pending comes neither after what it did before nor
/// before what it does later, and what ends meanwhile orders nothing.
#[test]
fn what_is_beside_a_pending_operation_is_in_no_order() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen(alpha, 10);
    let dial = w.dial(beta, "α:10");
    let server = w.accept(alpha, listener, dial);
    let client = w.connect(beta, dial);
    let sends = w.mark(alpha, "sends");
    w.write(alpha, server, 1);
    let tells = w.mark(alpha, "tells");
    w.write(alpha, server, 1);
    let before = w.mark(beta, "before");
    w.read(beta, client, 1);
    w.unordered(beta, true);
    w.until(beta, tells);
    w.read(beta, client, 1);
    let beside = [w.mark(beta, "one"), w.mark(beta, "other")];
    w.unordered(beta, false);
    let after = [w.mark(beta, "after"), w.mark(beta, "later")];
    w.until(TEST, after[1]);
    let trace = w.trace();
    let graph = &trace.cut.graph;
    let node = |id| graph.node(id).unwrap();
    let certain = |a, b| graph.reaches(node(a), node(b));
    let in_run = |a, b| graph.reaches_in_run(node(a), node(b));
    // What was read before anything was pending stays in order.
    assert!(certain(before, after[0]) && certain(sends, after[0]) && certain(after[0], after[1]));
    for (a, b) in [
        (before, beside[0]),
        (sends, beside[0]),
        (tells, beside[0]),
        (beside[0], beside[1]),
        (beside[1], after[0]),
        (tells, after[0]),
        (tells, after[1]),
    ] {
        assert!(!certain(a, b) && in_run(a, b), "{a:?} {b:?}");
    }
}

/// The test's own look at its trace sees all that its task has done and learned, whatever was pending.
#[test]
fn a_look_sees_what_is_in_no_order() {
    let mut w = World::new();
    let (alpha, beta, gamma) = (w.spawn("α"), w.spawn("β"), w.spawn("γ"));
    let [one, two] = [w.mark(alpha, "one"), w.mark(beta, "two")];
    let three = w.mark(gamma, "three");
    w.until(TEST, one);
    w.unordered(TEST, true);
    w.until(TEST, two);
    let beside = w.exit(alpha, "0");
    w.until(TEST, beside);
    w.kill(beta);
    w.unordered(TEST, false);
    let graph = {
        let _ = w.trace();
        w.graph()
    };
    let look = graph.node(w.latest(TEST)).unwrap();
    let sees = |id| graph.reaches(graph.node(id).unwrap(), look);
    assert!(sees(one) && sees(two) && sees(beside));
    assert!(!sees(three));
    w.trace().assert("α mark one\nβ mark two\n! kill β");
    // The one before is seen by the next one, too.
    w.until(TEST, three);
    w.trace()
        .assert("α mark one\nβ mark two\n! kill β\nγ mark three");
}

/// Strands of one listener: each begins with what there was before the first accept, and what that accept
/// had learned; what was read between two accepts belongs to the strand before. The test sees all.
#[test]
fn a_strand_begins_with_what_was_before_the_first() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen(alpha, 10);
    let told = w.mark(beta, "told");
    let dials = [w.dial(beta, "α:10"), w.dial(beta, "α:10")];
    let before = w.mark(alpha, "before");
    w.until(alpha, told);
    let one = w.accept(alpha, listener, dials[0]);
    let served = w.mark(alpha, "served");
    let client = w.connect(beta, dials[0]);
    let asks = w.mark(beta, "asks");
    w.write(beta, client, 1);
    w.read(alpha, one, 1);
    w.accept(alpha, listener, dials[1]);
    let second = w.latest(alpha);
    let after = w.mark(alpha, "after");
    w.until(TEST, after);
    let graph = w.graph();
    let certain = |a, b| graph.reaches(graph.node(a).unwrap(), graph.node(b).unwrap());
    for strand in [second, after] {
        assert!(
            certain(before, strand) && certain(told, strand),
            "{strand:?}"
        );
        assert!(
            !certain(served, strand) && !certain(asks, strand),
            "{strand:?}"
        );
    }
}

/// The test's own process serves clients, too: its look comes after each strand.
#[test]
fn a_look_sees_all_strands() {
    let mut w = World::new();
    let beta = w.spawn("β");
    let listener = w.listen(TEST, 10);
    let addr = w.address(listener);
    for served in ["one", "two"] {
        let dial = w.dial(beta, &addr);
        w.accept(TEST, listener, dial);
        w.mark(TEST, served);
    }
    let trace = w.trace().only_verbs(&[crate::trace::Verb::Mark]);
    trace.assert("test mark one\ntest mark two");
    trace.assert("test mark two\ntest mark one");
}

/// What a task learns before it accepts belongs to the strand before, and to the look.
#[test]
fn a_look_sees_what_was_learned_before_an_accept() {
    let mut w = World::new();
    let (beta, gamma) = (w.spawn("β"), w.spawn("γ"));
    let listener = w.listen(TEST, 10);
    let dials = ["test:10", "test:10"].map(|to| w.dial(beta, to));
    w.accept(TEST, listener, dials[0]);
    let told = w.mark(gamma, "told");
    w.until(TEST, told);
    w.accept(TEST, listener, dials[1]);
    w.trace().assert_contains("γ mark told");
}

/// Bytes of a stream that several tasks write are whose they are by chance; its end is not.
#[test]
fn a_stream_that_tasks_share_orders_at_its_end() {
    let run = |shares: bool| {
        let mut w = World::new();
        let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
        let other = w.task(beta);
        let listener = w.listen(alpha, 10);
        let dial = w.dial(beta, "α:10");
        let server = w.accept(alpha, listener, dial);
        let client = w.connect(beta, dial);
        let says = w.mark(beta, "says");
        w.write(beta, client, 1);
        w.mark(other, "says, too");
        let too = w.latest(other);
        w.write(if shares { other } else { beta }, client, 1);
        w.read(alpha, server, 1);
        let hears = w.mark(alpha, "hears");
        w.close(beta, client);
        w.read(alpha, server, 1);
        w.read(alpha, server, 0);
        let ended = w.mark(alpha, "ended");
        let graph = w.graph();
        let node = |id| graph.node(id).unwrap();
        let certain = |a, b| graph.reaches(node(a), node(b));
        assert!(graph.reaches_in_run(node(says), node(hears)));
        assert!(certain(says, ended));
        (certain(says, hears), certain(too, ended))
    };
    assert_eq!(run(false), (true, false));
    assert_eq!(run(true), (false, true));
}

/// Writes of different tasks stand in no order by their stream, and a close by lonet itself in none with
/// what was read, as time has it.
#[test]
fn a_stream_does_not_order_the_tasks_that_use_it() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let other = w.task(beta);
    let listener = w.listen(alpha, 10);
    let dial = w.dial(beta, "α:10");
    let server = w.accept(alpha, listener, dial);
    let client = w.connect(beta, dial);
    let one = w.mark(beta, "one");
    w.write(beta, client, 1);
    w.write(other, client, 1);
    let two = w.mark(other, "two");
    // The other direction has one writer.
    let three = w.mark(alpha, "three");
    w.write(alpha, server, 1);
    w.read(beta, client, 1);
    w.mark(beta, "has read");
    w.close_by(None, client);
    let close = w.latest(beta);
    let graph = w.graph();
    let node = |id| graph.node(id).unwrap();
    assert!(!graph.reaches(node(one), node(two)) && graph.reaches_in_run(node(one), node(two)));
    assert!(!graph.reaches(node(three), node(close)));
}

/// Everything of a host, of whichever task, comes after it is up, and is over when it is down.
#[test]
fn all_events_of_a_host_lie_between_up_and_down() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let up = w.latest(alpha);
    let other = w.task(alpha);
    let marks = [w.mark(alpha, "one"), w.mark(other, "two")];
    w.down(alpha);
    let down = w.latest(alpha);
    let graph = w.graph();
    for mark in marks {
        assert!(graph.happens_before(up, mark) && graph.happens_before(mark, down));
    }
}

/// What its peers read was the end that its own death made.
#[test]
fn killing_a_dead_process_causes_nothing() {
    let caused = |status: &str| {
        let mut w = World::new();
        let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
        let listener = w.listen(alpha, 10);
        let dial = w.dial(beta, "α:10");
        let end = w.accept(alpha, listener, dial);
        w.connect(beta, dial);
        w.exit(beta, status);
        w.kill(beta);
        w.read(alpha, end, 0);
        w.mark(alpha, "read");
        w.join(alpha);
        let trace = w.trace();
        let [kill, read] = ["! kill β", "α mark read"].map(|line| trace.find(line).unwrap());
        trace.happens_before(kill.unwrap(), read.unwrap())
    };
    assert!(caused("signal 9"));
    assert!(!caused("signal 6"));
}

/// Its peers read the end that the first kill made.
#[test]
fn a_second_kill_causes_nothing() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen(alpha, 10);
    let dial = w.dial(beta, "α:10");
    let end = w.accept(alpha, listener, dial);
    w.connect(beta, dial);
    w.kill(beta);
    w.read(alpha, end, 0);
    let read = w.mark(alpha, "read");
    w.until(TEST, read);
    w.kill(beta);
    let trace = w.trace();
    trace.assert_contains("! kill β\nα mark read\n! kill β");
    assert!(
        trace
            .check_contains("! kill β\n! kill β\nα mark read")
            .is_err()
    );
}
