//! Which ports raced: against every schedule, and against one that compares everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use lonet::trace::{EventId, Record, What};
use proptest::prelude::*;

use super::ports::updated;
use super::simulation::{Allowed, numbers, simulate};
use super::{Trace, cases};
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;
use crate::trace::happened::racing_ports::Races;
use crate::trace::happened::relation::Why;

/// What a task does: a dial takes a port, a fail frees that of the dial with that number.
type Did = (u64, Result<u16, (u64, u16)>);

fn records(did: impl Iterator<Item = Did>) -> Graph {
    let addr = |text: String| text.parse().unwrap();
    let record = |(n, (k, did)): (u64, Did)| Record {
        n,
        t: n,
        task: Some(k),
        unordered: false,
        reads: Vec::new(),
        learned: Vec::new(),
        reads_beside: Vec::new(),
        learned_beside: Vec::new(),
        fires: Vec::new(),
        reads_pending: Vec::new(),
        what: match did {
            Ok(port) => What::Dial {
                addr: addr(format!("α:{port}")),
                peer: addr("β:10".to_owned()),
            },
            Err((d, port)) => What::Fail {
                addr: addr(format!("α:{port}")),
                peer: addr("β:10".to_owned()),
                dial: d,
                text: "cancelled".to_owned(),
            },
        },
    };
    Graph::build(vec![Process {
        pid: 1,
        node: None,
        records: (1..).zip(did).map(record).collect(),
    }])
}

fn raced(graph: Graph, most_steps: Option<usize>) -> usize {
    let trace = Trace::whole(Arc::new(graph));
    let (graph, scope) = (&trace.cut.graph, trace.cut.scope());
    let races = match most_steps {
        Some(most) => Races::find_within(graph, scope, most),
        None => Races::find(graph, scope),
    };
    let dials = (0..graph.len() as u32).filter(|&node| races.is_raced(node));
    dials.count()
}

/// In one run two raced ports have the same number, one after the other. The old text takes them
/// for one.
#[test]
fn equal_numbers_by_chance_are_not_one_port() {
    let run = |did: &[Did]| Trace::whole(Arc::new(records(did.iter().copied())));
    let equal = run(&[
        (1, Ok(1)),
        (1, Err((1, 1))),
        (1, Ok(1)),
        (2, Ok(2)),
        (2, Err((4, 2))),
    ]);
    let others = run(&[
        (2, Ok(1)),
        (1, Ok(2)),
        (2, Err((1, 1))),
        (1, Err((2, 2))),
        (1, Ok(1)),
    ]);
    let old = "
        α:$a dial β:10
        α:$b dial β:10
        α:$a fail β:10 cancelled
        α:$a dial β:10
        α:$b fail β:10 cancelled
    ";
    equal.assert(old);
    assert!(others.check(old).is_err());
    assert_eq!(updated(&equal, old), None);
    let new = updated(&others, old).unwrap();
    for trace in [&equal, &others] {
        trace.assert(&new);
        assert_eq!(updated(trace, &new), None);
    }
}

/// However many there are.
#[test]
fn of_many_allocations_those_race_that_do() {
    let many = 6_000;
    // One after the other.
    let chain =
        |from: u64| (0..many).flat_map(move |turn| [(1, Ok(1)), (1, Err((from + 2 * turn, 1)))]);
    assert_eq!(raced(records(chain(1)), None), 0);
    // The same, and one of another task that keeps the port above them.
    let other = std::iter::once((2, Ok(2)));
    assert_eq!(
        raced(records(other.chain(chain(2))), None),
        many as usize + 1
    );
    // All are kept, while another task, which began before, gives its own back: what those above
    // it got depends on when.
    let other = (1..=5).map(|port| (2, Ok(port)));
    let freed = (1..=5).map(|port| (2, Err((u64::from(port), port))));
    let kept = (6..6 + many as u16).map(|port| (1, Ok(port)));
    let all = other.chain(kept).chain(freed);
    assert_eq!(raced(records(all), None), many as usize + 5);
}

/// What would take too long to find out counts as raced: that makes a variable of a port too many,
/// and no test fail.
#[test]
fn what_is_not_found_out_counts_as_raced() {
    // The first is freed by another task.
    let kept = (2..500).map(|port| (1, Ok(port)));
    let run = || {
        let low = [(1, Ok(1))].into_iter();
        let freed = [(2, Err((1, 1)))].into_iter();
        records(low.chain(kept.clone()).chain(freed))
    };
    assert_eq!(raced(run(), None), 498);
    assert_eq!(raced(run(), Some(0)), 499);
}

/// What a task of a host does with its ports.
#[derive(Clone, Copy, Debug)]
enum Use {
    Take,
    /// Frees the earliest that it has.
    Free,
    /// Waits for what that task has done by its so many-th step.
    Wait(usize, usize),
}

fn a_use() -> impl Strategy<Value = Use> {
    prop_oneof![
        3 => Just(Use::Take),
        2 => Just(Use::Free),
        2 => (0usize..3, 1usize..6).prop_map(|(task, steps)| Use::Wait(task, steps)),
    ]
}

/// By task and step of each allocation: its port, and whether that is said to have raced.
type Given = BTreeMap<(usize, usize), (u16, bool)>;

/// One host, in a schedule that the seed chooses.
fn uses(program: &[Vec<Use>], seed: u64) -> Given {
    let mut records: Vec<Record> = Vec::new();
    let mut done = vec![0; program.len()];
    let mut held: Vec<Vec<(u64, u16)>> = vec![Vec::new(); program.len()];
    let mut after: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    let mut learned: Vec<Vec<EventId>> = vec![Vec::new(); program.len()];
    let mut given = BTreeMap::new();
    for number in numbers(seed, 4_000) {
        if (0..program.len()).all(|task| done[task] == program[task].len()) {
            break;
        }
        let task = number as usize % program.len();
        let step = done[task];
        let n = records.len() as u64 + 1;
        let port = |port: u16| format!("α:{port}").parse().unwrap();
        let p: lonet::Addr = "β:10".parse().unwrap();
        let e = match program[task].get(step) {
            None => continue,
            // Of an earlier task, so that nobody waits in a circle.
            Some(&Use::Wait(on, steps)) if on < task => {
                let steps = steps.min(program[on].len());
                if done[on] < steps {
                    continue;
                }
                let event = (1..=steps).rev().find_map(|step| after.get(&(on, step)));
                learned[task].extend(event.map(|&n| EventId::from((0, n))));
                None
            }
            Some(Use::Wait(..)) => None,
            Some(Use::Take) => {
                let taken = |free: &u16| held.iter().flatten().any(|(_, port)| port == free);
                let free = (1..).find(|free| !taken(free)).unwrap();
                held[task].push((n, free));
                given.insert((task, step), (free, n));
                Some(What::Dial {
                    addr: port(free),
                    peer: p,
                })
            }
            Some(Use::Free) => (!held[task].is_empty()).then(|| {
                let (d, freed) = held[task].remove(0);
                let x = "cancelled".to_owned();
                let a = port(freed);
                What::Fail {
                    addr: a,
                    peer: p,
                    dial: d,
                    text: x,
                }
            }),
        };
        done[task] += 1;
        if let Some(e) = e {
            records.push(Record {
                n,
                t: n,
                task: Some(task as u64),
                unordered: false,
                reads: Vec::new(),
                learned: std::mem::take(&mut learned[task]),
                reads_beside: Vec::new(),
                learned_beside: Vec::new(),
                fires: Vec::new(),
                reads_pending: Vec::new(),
                what: e,
            });
            after.insert((task, done[task]), n);
        }
    }
    let trace = Trace::whole(Arc::new(Graph::build(vec![Process {
        pid: 1,
        node: None,
        records,
    }])));
    let races = Races::find(&trace.cut.graph, trace.cut.scope());
    let raced = |n| races.is_raced(trace.cut.graph.node((0, n).into()).unwrap());
    let given = given.into_iter();
    given
        .map(|(at, (port, n))| (at, (port, raced(n))))
        .collect()
}

proptest! {
    #![proptest_config(cases(if cfg!(debug_assertions) { 300 } else { 10_000 }))]

    /// What has another number in another schedule raced, and every schedule says the same of it.
    #[test]
    fn what_may_differ_raced(
        program in prop::collection::vec(prop::collection::vec(a_use(), 1..7), 1..4),
        seeds in [any::<u64>(); 8],
    ) {
        let runs = seeds.map(|seed| uses(&program, seed));
        for run in &runs {
            for (at, (port, raced)) in run {
                let (known, said) = runs[0][at];
                prop_assert_eq!(*raced, said, "{:?}", at);
                prop_assert!(*raced || *port == known, "{:?}: {} and {}", at, port, known);
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(if cfg!(debug_assertions) { 200 } else { 2000 }))]

    /// Against one that compares everything with everything.
    #[test]
    fn those_race_that_are_concurrent(steps in prop::collection::vec(any::<u32>(), 0..200)) {
        let world = simulate(&steps, Allowed { untraced: true, unique: true });
        let trace = Trace::whole(Arc::new(world.graph()));
        let graph = &trace.cut.graph;
        let races = Races::find(graph, trace.cut.scope());
        let cautious = Races::find_within(graph, trace.cut.scope(), 0);
        for process in 0..graph.processes.len() {
            let mut any_raced = false;
            let nodes = graph.firsts[process]..graph.firsts[process + 1];
            let does = |node: u32| match &graph.record(node).unwrap().1.what {
                What::Dial { addr: a, .. } | What::Accept { addr: a, .. } | What::Listen { addr: a, auto: true, .. } => {
                    Some((a.port(), true))
                }
                What::Listen { addr: a, .. } | What::Close { addr: a, .. } | What::Fail { addr: a, .. } => {
                    Some((a.port(), false))
                }
                _ => None,
            };
            for node in nodes.clone() {
                let Some((port, true)) = does(node) else {
                    continue;
                };
                let concurrent = |&other: &u32| {
                    let ordered = |a, b| graph.reaches_by(a, b, |why| why != Why::Port);
                    other != node && !ordered(node, other) && !ordered(other, node)
                };
                let matters = |other: u32| does(other).is_some_and(|(of, any)| any || of <= port);
                let direct = nodes.clone().filter(concurrent).any(matters);
                let raced = races.is_raced(node);
                any_raced |= direct;
                prop_assert!(raced || !direct, "{}", trace);
                // Others inherit it.
                prop_assert!(any_raced || !raced, "{}", trace);
                prop_assert!(!raced || cautious.is_raced(node));
            }
        }
    }
}
