//! Which arrivals raced, and by which lines they are known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lonet::trace::What;
use proptest::prelude::*;

use super::cases;
use super::world::{End, Listener, T, TEST, World};
use crate::trace::cut::Cut;
use crate::trace::happened::racing_ports::Races;
use crate::trace::racing::{Arrival, Pair, Racing};
use crate::trace::{Verb, naming};

const ALL: u64 = u64::MAX;

fn racing(w: &World) -> Racing {
    Racing::find(w.reported(), ALL, &[])
}

/// The pairs as `line #n | line #n`, the earlier one first.
fn lines(racing: &Racing) -> Vec<String> {
    let named = |pair: &Pair| {
        let [earlier, later] = [&pair.earlier, &pair.later].map(|arrival| {
            let line = arrival.line.trim_end_matches(" _");
            format!("{line} #{}", arrival.nth)
        });
        format!("{earlier} | {later}")
    };
    racing.pairs.iter().map(named).collect()
}

/// s, which listens.
fn server(w: &mut World) -> (T, Listener) {
    let s = w.spawn("s");
    let listener = w.listen(s, 10);
    let listening = w.latest(s);
    w.until(TEST, listening);
    (s, listener)
}

/// A client of s, whose connection s accepts by that task; its end and that of s.
fn client(w: &mut World, host: &str, by: T, listener: Listener) -> (T, End, End) {
    let c = w.spawn(host);
    let dial = w.dial(c, "s:10");
    let server = w.accept(by, listener, dial);
    let client = w.connect(c, dial);
    (c, client, server)
}

#[test]
fn requests_of_two_clients_race() {
    let mut w = World::new();
    let (s, listener) = server(&mut w);
    let (c, from_c, at_s_of_c) = client(&mut w, "c", s, listener);
    let (d, from_d, at_s_of_d) = client(&mut w, "d", s, listener);
    let (one, two) = (w.task(s), w.task(s));
    for _ in 0..2 {
        w.write(c, from_c, 4);
        w.receive(one, at_s_of_c, 4);
        w.write(d, from_d, 4);
        w.receive(two, at_s_of_d, 4);
    }
    let found = racing(&w);
    // Of equal lines, the first pair in either order counts.
    assert_eq!(
        lines(&found),
        [
            "s:_ accept c:1 #1 | s:_ accept d:1 #1",
            "s:_ accept c:1 #1 | s:_ recv d:1 #1",
            "s:_ accept d:1 #1 | s:_ recv c:1 #1",
            "s:_ recv c:1 #1 | s:_ recv d:1 #1",
            "s:_ recv d:1 #1 | s:_ recv c:1 #2",
        ]
    );
    assert!(found.alike.is_empty());
    assert_eq!(found.left_out, 0);
    assert_eq!(found.longest_gap.as_nanos(), 1);
    assert_eq!(
        found.lines,
        [
            "c:1 connect s:_",
            "c:1 dial s:10",
            "d:1 connect s:_",
            "d:1 dial s:10",
            "s:10 listen",
            "s:_ accept c:1",
            "s:_ accept d:1",
        ]
    );
}

#[test]
fn a_pair_knows_what_came_before_and_what_it_comes_of() {
    let mut w = World::new();
    let (s, listener) = server(&mut w);
    w.mark(TEST, "begins");
    let (c, from_c, at_s_of_c) = client(&mut w, "c", s, listener);
    let (d, from_d, at_s_of_d) = client(&mut w, "d", s, listener);
    let begins = w.mark(c, "both");
    w.until(d, begins);
    let (one, two) = (w.task(s), w.task(s));
    w.send(c, from_c, 4);
    w.receive(one, at_s_of_c, 4);
    w.send(d, from_d, 4);
    w.receive(two, at_s_of_d, 4);
    let found = racing(&w);
    let pair = |line: &str| {
        let at = lines(&found).iter().position(|known| known == line);
        &found.pairs[at.expect(line)]
    };
    let accepts = pair("s:_ accept c:1 #1 | s:_ accept d:1 #1");
    assert_eq!(accepts.common.as_deref(), Some("! spawn c"));
    assert_eq!(accepts.cause.as_deref(), Some("d:1 dial s:10"));
    let reads = pair("s:_ recv c:1 #1 | s:_ recv d:1 #1");
    assert_eq!(reads.common.as_deref(), Some("c mark both"));
    assert_eq!(reads.cause.as_deref(), Some("d:1 send s:_ _"));
}

#[test]
fn what_a_message_orders_is_no_race() {
    let mut w = World::new();
    let (s, listener) = server(&mut w);
    let (c, from_c, at_s_of_c) = client(&mut w, "c", s, listener);
    let (one, two) = (w.task(s), w.task(s));
    w.write(c, from_c, 4);
    w.receive(one, at_s_of_c, 4);
    let stored = w.mark(one, "stored");
    // d learns of it before it dials.
    w.until(TEST, stored);
    let (d, from_d, at_s_of_d) = client(&mut w, "d", s, listener);
    w.write(d, from_d, 4);
    w.receive(two, at_s_of_d, 4);
    assert_eq!(lines(&racing(&w)), [] as [&str; 0]);
}

/// A server that serves one client after the other orders its reads by itself, although the strands of
/// its accepts are in no order.
#[test]
fn a_task_that_waits_for_one_read_alone_orders_it() {
    let run = |waits_for_more: bool| {
        let mut w = World::new();
        let (s, listener) = server(&mut w);
        let (c, from_c, at_s_of_c) = client(&mut w, "c", s, listener);
        w.write(c, from_c, 4);
        w.unordered(s, waits_for_more);
        w.receive(s, at_s_of_c, 4);
        w.unordered(s, false);
        let (d, from_d, at_s_of_d) = client(&mut w, "d", s, listener);
        w.write(d, from_d, 4);
        w.receive(s, at_s_of_d, 4);
        lines(&racing(&w))
    };
    let accepts = [
        "s:_ accept c:1 #1 | s:_ accept d:1 #1",
        "s:_ accept c:1 #1 | s:_ recv d:1 #1",
    ];
    let reads = [
        "s:_ recv c:1 #1 | s:_ accept d:1 #1",
        "s:_ recv c:1 #1 | s:_ recv d:1 #1",
    ];
    assert_eq!(run(true), [accepts, reads].concat());
    assert_eq!(run(false), accepts);
}

/// The server serves d first because c was held: what c sends, comes after all of that.
#[test]
fn what_a_forced_order_puts_in_order_is_no_race() {
    let arrival = |line: &str, nth| Arrival {
        host: line.split(':').next().unwrap().to_owned(),
        line: line.to_owned(),
        nth,
    };
    let mut w = World::new();
    let (s, listener) = server(&mut w);
    let (d, from_d, at_s_of_d) = client(&mut w, "d", s, listener);
    w.write(d, from_d, 4);
    w.receive(s, at_s_of_d, 4);
    let (c, from_c, at_s_of_c) = client(&mut w, "c", s, listener);
    w.write(c, from_c, 4);
    w.receive(s, at_s_of_c, 4);
    let accept = |of: &str| arrival(&format!("s:_ accept {of}:1"), 1);
    let find = |first, then| Racing::find(w.reported(), ALL, &[(first, then)]);
    let free = [
        "s:_ accept d:1 #1 | s:_ accept c:1 #1",
        "s:_ accept d:1 #1 | s:_ recv c:1 #1",
    ];
    let forced = find(accept("d"), accept("c"));
    assert_eq!((lines(&forced), forced.seen), (vec![], vec![true]));

    // What did not happen, or not in this order, orders nothing.
    let missing = arrival("s:_ recv d:1 _", 2);
    for (first, then) in [
        (accept("c"), accept("d")),
        (accept("d"), missing.clone()),
        (missing, accept("c")),
    ] {
        let found = find(first, then);
        assert_eq!(
            (lines(&found), found.seen),
            (free.map(str::to_owned).into(), vec![false])
        );
    }
    // A dial is recorded before it is held.
    let found = find(arrival("s:10 listen", 1), arrival("d:1 dial s:10", 1));
    assert_eq!(
        (lines(&found), found.seen),
        (free.map(str::to_owned).into(), vec![true])
    );
}

#[test]
fn a_dial_races_with_the_listen_of_its_address() {
    let run = |dials_first: bool| {
        let mut w = World::new();
        let (s, c) = (w.spawn("s"), w.spawn("c"));
        match dials_first {
            true => {
                let dial = w.dial(c, "s:10");
                w.fail(c, dial, "connection refused");
                w.listen(s, 10);
            }
            false => {
                w.listen(s, 10);
                w.dial(c, "s:10");
            }
        }
        // Another port is another matter.
        w.listen(s, 11);
        w.dial(c, "s:12");
        lines(&racing(&w))
    };
    assert_eq!(run(true), ["c:1 dial s:10 #1 | s:10 listen #1"]);
    assert_eq!(run(false), ["s:10 listen #1 | c:1 dial s:10 #1"]);
}

/// It is never held: of a pair, it can only be the later one.
#[test]
fn the_test_itself_is_never_held() {
    let run = |test_is_first: bool| {
        let mut w = World::new();
        let c = w.spawn("c");
        match test_is_first {
            true => {
                w.listen(TEST, 10);
                w.dial(c, "test:10");
            }
            false => {
                w.dial(c, "test:10");
                w.listen(TEST, 10);
            }
        }
        lines(&racing(&w))
    };
    assert_eq!(run(true), [] as [&str; 0]);
    assert_eq!(run(false), ["c:1 dial test:10 #1 | test:10 listen #1"]);
}

#[test]
fn what_came_after_the_body_does_not_count() {
    let mut w = World::new();
    let (s, c) = (w.spawn("s"), w.spawn("c"));
    w.listen(s, 10);
    let ended = w.reported()[s.0].records.last().unwrap().t;
    w.dial(c, "s:10");
    assert_eq!(racing(&w).pairs.len(), 1);
    let found = Racing::find(w.reported(), ended, &[]);
    assert_eq!(found.pairs, []);
    assert_eq!(found.lines, ["s:10 listen"]);
}

/// Of two connections that one host makes at the same time, the dialer's port says which it is.
#[test]
fn connections_of_one_host_are_told_apart_by_the_dialers_ports() {
    let mut w = World::new();
    let (s, listener) = server(&mut w);
    let c = w.spawn("c");
    let dials = [w.task(c), w.task(c)].map(|by| (by, w.dial(by, "s:10")));
    let ends = dials.map(|(by, dial)| {
        let server = w.accept(s, listener, dial);
        (by, w.connect(by, dial), server)
    });
    for (by, client, server) in ends {
        let reader = w.task(s);
        w.write(by, client, 4);
        w.receive(reader, server, 4);
    }
    let found = racing(&w);
    assert_eq!(
        lines(&found),
        [
            "s:_ accept c:1 #1 | s:_ accept c:2 #1",
            "s:_ accept c:1 #1 | s:_ recv c:2 #1",
            "s:_ accept c:2 #1 | s:_ recv c:1 #1",
            "s:_ recv c:1 #1 | s:_ recv c:2 #1",
        ]
    );
    assert_eq!(found.alike, BTreeSet::new());
}

/// A schedule has the line of a later process as that of the first one.
#[test]
fn equal_lines_are_counted_by_process() {
    let mut w = World::new();
    let (s, listener) = server(&mut w);
    let reader = w.task(s);
    let (c, from_c, at_s_of_c) = client(&mut w, "c", s, listener);
    w.write(c, from_c, 1);
    w.receive(reader, at_s_of_c, 1);
    w.write(c, from_c, 1);
    w.receive(reader, at_s_of_c, 1);
    let learned = w.mark(reader, "twice");
    w.until(TEST, learned);
    let (d, from_d, at_s_of_d) = client(&mut w, "d", s, listener);
    let other = w.task(s);
    w.write(c, from_c, 1);
    w.receive(reader, at_s_of_c, 1);
    w.write(d, from_d, 1);
    w.receive(other, at_s_of_d, 1);
    assert_eq!(
        lines(&racing(&w)),
        [
            "s:_ accept d:1 #1 | s:1 recv c:1 #3",
            "s:1 recv c:1 #3 | s:2 recv d:1 #1",
        ]
    );
}

/// So many connections that the table would be too large.
#[test]
fn what_is_left_out_is_counted() {
    let mut w = World::new();
    let (s, listener) = server(&mut w);
    for host in ["a", "b", "c"] {
        client(&mut w, host, s, listener);
    }
    let nodes = w.graph().label_of.len();
    // The listen, and two dials.
    let few = Racing::find_within(w.reported(), ALL, &[], 3 * nodes);
    let all = racing(&w);
    assert_eq!(all.left_out, 0);
    assert_eq!(few.left_out, 4);
    assert!(few.pairs.len() < all.pairs.len());
}

/// Three servers and their clients, who do what the numbers say.
fn execution(numbers: &[u32]) -> World {
    let mut w = World::new();
    let mut tasks: Vec<T> = ["s", "t", "u"].map(|host| w.spawn(host)).into();
    tasks.push(TEST);
    let mut listeners: Vec<(T, Listener, String)> = Vec::new();
    let mut ends: Vec<(T, End)> = Vec::new();
    for &number in numbers {
        let pick = |from: usize, of: u32| (number / of) as usize % from.max(1);
        let task = tasks[pick(tasks.len(), 10)];
        let of_process = |of: T, tasks: &[T]| {
            let own: Vec<T> = tasks
                .iter()
                .copied()
                .filter(|task| task.0 == of.0)
                .collect();
            own[(number / 1000) as usize % own.len()]
        };
        match number % 10 {
            0 => tasks.extend((tasks.len() < 10).then(|| w.task(task))),
            1 => {
                let listener = w.listen(task, 100 + listeners.len() as u16);
                let address = w.address(listener);
                listeners.push((task, listener, address));
            }
            2 | 3 if !listeners.is_empty() => {
                let (of, listener, address) = &listeners[pick(listeners.len(), 100)];
                let dial = w.dial(task, address);
                let by = of_process(*of, &tasks);
                ends.push((by, w.accept(by, *listener, dial)));
                ends.push((task, w.connect(task, dial)));
            }
            // Before there is a listener.
            4 => {
                let port = 100 + pick(4, 100);
                let dial = w.dial(task, &format!("s:{port}"));
                w.fail(task, dial, "connection refused");
            }
            5 if !ends.is_empty() => {
                let (of, end) = ends[pick(ends.len(), 10)];
                w.write(of_process(of, &tasks), end, 1);
            }
            6..=8 if !ends.is_empty() => {
                let (of, end) = ends[pick(ends.len(), 10)];
                if w.readable(end) > 0 {
                    w.receive(of_process(of, &tasks), end, 1);
                }
            }
            9 => {
                let is_pending = !w.is_unordered(task);
                w.unordered(task, is_pending);
            }
            _ => {}
        }
    }
    w
}

/// Where an arrival arrives: at which host, and by which socket or for which dial.
fn place(what: &What, n: u64) -> Option<(String, String)> {
    let at = |addr: &lonet::Addr, by: String| Some((addr.host().to_owned(), by));
    match what {
        What::Recv { addr, socket, .. } => at(addr, format!("socket {socket}")),
        What::Accept { addr, .. } => at(addr, format!("record {n}")),
        _ => None,
    }
}

proptest! {
    #![proptest_config(cases(if cfg!(debug_assertions) { 300 } else { 5000 }))]

    /// Against one that looks at every two events: no pair is ordered, and the lines of all that race
    /// are found.
    #[test]
    fn those_race_between_which_there_is_no_path(
        steps in prop::collection::vec(any::<u32>(), 0..120),
    ) {
        let w = execution(&steps);
        let found = racing(&w);
        let cut = Cut::whole(Arc::new(w.graph()));
        let graph = &cut.graph;
        let races = Races::find(graph, cut.scope());
        let line = |node: u32| {
            let event = graph.event(node).unwrap();
            // A dialer's port says which of its connections it is.
            let raced = |taken_by: Option<u32>| {
                let taken_by = taken_by.and_then(|node| graph.record(node));
                taken_by.is_some_and(|(_, record)| !matches!(record.what, What::Dial { .. }))
            };
            let (own, peer) = races.of_event(graph, node);
            let own = raced(own) || event.verb() == Verb::Accept;
            naming::line(&event, (own, raced(peer)))
        };
        let mut expected: BTreeMap<(String, String), BTreeSet<(u32, u32)>> = BTreeMap::new();
        let mut alike = BTreeSet::new();
        for &one in &graph.order {
            for &two in &graph.order {
                let (Some((process, first)), Some((of, then))) = (graph.record(one), graph.record(two))
                else {
                    continue;
                };
                let same_place = match (&first.what, &then.what) {
                    (What::Dial { peer: p, .. }, What::Listen { addr: a, .. })
                    | (What::Listen { addr: a, .. }, What::Dial { peer: p, .. }) => a == p,
                    (first_what, then_what) => {
                        let places = (place(first_what, first.n), place(then_what, then.n));
                        matches!(places, (Some(one), Some(two)) if one.0 == two.0 && one.1 != two.1)
                    }
                };
                if graph.place(one) >= graph.place(two) || !same_place || process == 0 {
                    continue;
                }
                if graph.reaches(one, two) || graph.reaches(two, one) {
                    continue;
                }
                let is_recv = matches!(first.what, What::Recv { .. });
                if is_recv && process == of && first.task == then.task && !first.unordered {
                    continue;
                }
                match line(one) == line(two) {
                    true => alike.extend([line(one), line(two)]),
                    false => {
                        let of_lines = expected.entry((line(one), line(two))).or_default();
                        of_lines.insert((one, two));
                    }
                }
            }
        }
        prop_assert_eq!(&found.alike, &alike);
        let mut lines = BTreeSet::new();
        for pair in &found.pairs {
            let [one, two] = [&pair.earlier, &pair.later].map(|arrival| {
                let pattern = crate::trace::Pattern::parse(&arrival.line).unwrap();
                let nodes = graph.order.iter().copied();
                let mut matching = nodes.filter(|&node| {
                    let event = graph.event(node);
                    event.is_some_and(|event| pattern.matches(&event))
                });
                let mut of_process: Vec<u32> = matching.by_ref().collect();
                of_process.sort_by_key(|&node| graph.record(node).unwrap().1.n);
                of_process[arrival.nth - 1]
            });
            let known = (pair.earlier.line.clone(), pair.later.line.clone());
            prop_assert!(expected[&known].contains(&(one, two)), "{:?}", pair);
            prop_assert!(lines.insert(known), "twice: {:?}", pair);
        }
        prop_assert_eq!(lines, expected.into_keys().collect());
    }
}
