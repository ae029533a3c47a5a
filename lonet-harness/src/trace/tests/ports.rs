//! Ports that race: one program in any schedule, and one text that holds of all its runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use expect_test::expect;
use lonet::trace::{EventId, Record, What};
use proptest::prelude::*;

use super::simulation::{Allowed, numbers, simulate};
use super::world::{Dial, End, Listener, T, TEST, World};
use super::{Trace, cases};
use crate::trace::canonical;
use crate::trace::causality::{Graph, Process};
use crate::trace::grammar::Expectation;
use crate::trace::races::Races;
use crate::trace::relation::Why;

/// What a task of α does next. Where that is not possible, nothing.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Listens, wherever.
    Listen,
    /// Closes its listener.
    Unlisten,
    /// Dials β, which accepts in a task of its own.
    Dial,
    Close,
    /// Dials where nobody listens.
    Refused,
    /// A host that waited for its listener dials it; another task of α accepts.
    Visited,
    /// A host that waited for its listener to be closed dials it.
    Missed,
    /// Waits for what an earlier task has done by its so many-th step.
    Wait(usize, usize),
    Mark,
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Listen),
        1 => Just(Step::Unlisten),
        2 => Just(Step::Dial),
        1 => Just(Step::Close),
        1 => Just(Step::Refused),
        2 => Just(Step::Visited),
        1 => Just(Step::Missed),
        1 => (0usize..3, 1usize..4).prop_map(|(task, steps)| Step::Wait(task, steps)),
        1 => Just(Step::Mark),
    ]
}

type Program = Vec<Vec<Step>>;

fn a_program() -> impl Strategy<Value = Program> {
    prop::collection::vec(prop::collection::vec(a_step(), 1..5), 1..4)
}

/// A task of α in a run.
struct Running {
    task: T,
    done: usize,
    /// The dial that its step began.
    dial: Option<(T, Dial)>,
    listener: Option<(Listener, EventId)>,
    /// The address of the listener that it closed, and that close.
    closed: Option<(String, EventId)>,
    ends: Vec<End>,
    /// The record that its so many-th step made, if it made one.
    after: BTreeMap<usize, EventId>,
}

struct Run {
    world: World,
    alpha: T,
    beta: (T, Listener),
    tasks: Vec<Running>,
    /// By task and step: a host of its own.
    visitors: BTreeMap<(usize, usize), T>,
}

/// Runs it, in a schedule that the seed chooses.
fn run(program: &Program, seed: u64) -> Trace {
    let mut world = World::new();
    let beta = world.spawn("β");
    let listener = world.listen(beta, 10);
    let listening = world.latest(beta);
    world.until(TEST, listening);
    let alpha = world.spawn("α");
    let tasks = program.iter().map(|_| Running {
        task: world.task(alpha),
        done: 0,
        dial: None,
        listener: None,
        closed: None,
        ends: Vec::new(),
        after: BTreeMap::new(),
    });
    let tasks = tasks.collect();
    let mut visitors = BTreeMap::new();
    for (index, steps) in program.iter().enumerate() {
        for (step, what) in steps.iter().enumerate() {
            if matches!(what, Step::Visited | Step::Missed) {
                let name = format!("v{}", visitors.len());
                visitors.insert((index, step), world.spawn(&name));
            }
        }
    }
    let mut run = Run {
        world,
        alpha,
        beta: (beta, listener),
        tasks,
        visitors,
    };
    let mut numbers = numbers(seed, 10_000).into_iter();
    loop {
        let unfinished = |index: &usize| run.tasks[*index].done < program[*index].len();
        let unfinished: Vec<usize> = (0..program.len()).filter(unfinished).collect();
        if unfinished.is_empty() {
            break;
        }
        let number = numbers.next().unwrap() as usize;
        run.step(program, unfinished[number % unfinished.len()]);
    }
    let visitors: Vec<T> = run.visitors.values().copied().collect();
    for task in visitors.into_iter().chain([run.alpha, run.beta.0]) {
        run.world.join(task);
    }
    run.world.trace()
}

impl Run {
    /// Half a step of that task: between its halves others may do something.
    fn step(&mut self, program: &Program, index: usize) {
        let Run {
            world,
            alpha,
            beta,
            tasks,
            visitors,
        } = self;
        let done = tasks[index].done;
        let visitor = visitors.get(&(index, done)).copied();
        let awaited = match program[index][done] {
            // Of an earlier task, so that nobody waits in a circle.
            Step::Wait(task, steps) if task < index => {
                let steps = steps.min(program[task].len());
                if tasks[task].done < steps {
                    return;
                }
                tasks[task].after.get(&steps).copied()
            }
            _ => None,
        };
        let running = &mut tasks[index];
        let task = running.task;
        let before = world.latest(task);
        match program[index][done] {
            Step::Listen => {
                if running.listener.is_none() {
                    let listener = world.listen_any(task);
                    running.listener = Some((listener, world.latest(task)));
                }
            }
            Step::Unlisten => {
                if let Some((listener, _)) = running.listener.take() {
                    world.close_listener(task, listener);
                    running.closed = Some((world.address(listener), world.latest(task)));
                }
            }
            Step::Dial => match running.dial.take() {
                None => {
                    running.dial = Some((task, world.dial(task, "β:10")));
                    return;
                }
                Some((_, dial)) => {
                    let by = world.task(beta.0);
                    world.accept(by, beta.1, dial);
                    running.ends.push(world.connect(task, dial));
                }
            },
            Step::Close => {
                if let Some(end) = running.ends.pop() {
                    world.close(task, end);
                }
            }
            Step::Refused => match running.dial.take() {
                None => {
                    running.dial = Some((task, world.dial(task, "β:9")));
                    return;
                }
                Some((_, dial)) => world.fail(task, dial, "connection refused"),
            },
            Step::Visited => match (running.listener, running.dial.take()) {
                (Some((listener, listening)), None) => {
                    let visitor = visitor.unwrap();
                    world.until(visitor, listening);
                    let dial = world.dial(visitor, &world.address(listener));
                    running.dial = Some((visitor, dial));
                    return;
                }
                (Some((listener, _)), Some((visitor, dial))) => {
                    let by = world.task(*alpha);
                    world.accept(by, listener, dial);
                    world.connect(visitor, dial);
                }
                _ => {}
            },
            Step::Missed => match (&running.closed, running.dial.take()) {
                (Some((address, closed)), None) => {
                    let visitor = visitor.unwrap();
                    world.until(visitor, *closed);
                    running.dial = Some((visitor, world.dial(visitor, address)));
                    return;
                }
                (_, Some((visitor, dial))) => world.fail(visitor, dial, "connection refused"),
                _ => {}
            },
            Step::Wait(..) => {
                if let Some(event) = awaited {
                    world.until(task, event);
                }
            }
            Step::Mark => {
                world.mark(task, &format!("m{index}-{done}"));
            }
        }
        let running = &mut tasks[index];
        running.done += 1;
        let latest = world.latest(task);
        if latest != before {
            running.after.insert(running.done, latest);
        }
    }
}

fn updated(trace: &Trace, old: &str) -> Option<String> {
    let parsed = Expectation::parse(old).unwrap();
    canonical::updated(&trace.graph, trace.scope(), &parsed)
}

proptest! {
    #![proptest_config(cases(if cfg!(debug_assertions) { 150 } else { 3000 }))]

    /// Update on one run, then no run fails or wants another update.
    #[test]
    fn an_update_holds_of_every_schedule(program in a_program(), seeds in [any::<u64>(); 3]) {
        let runs = seeds.map(|seed| run(&program, seed));
        for one in &runs {
            let text = one.to_string();
            let literal: Vec<String> = one.events().iter().map(ToString::to_string).collect();
            for other in &runs {
                let held = other.check(&text);
                prop_assert!(held.is_ok(), "{}\nin\n{}", text, other);
                prop_assert_eq!(&other.to_string(), &text);
                prop_assert_eq!(updated(other, &text), None, "{}\nin\n{}", text, other);
                // An expectation from before, with the numbers of another run.
                let anew = updated(other, &literal.join("\n")).unwrap_or(literal.join("\n"));
                for run in &runs {
                    prop_assert!(run.check(&anew).is_ok(), "{}\nin\n{}", anew, run);
                }
            }
        }
    }
}

/// A listener and a dial of two tasks, either of which may come first.
fn a_listener_and_a_dial(listens_first: bool) -> Trace {
    let mut w = World::new();
    let beta = w.spawn("β");
    let acceptor = w.listen(beta, 10);
    let listening = w.latest(beta);
    w.until(TEST, listening);
    let alpha = w.spawn("α");
    let (one, two) = (w.task(alpha), w.task(alpha));
    let mut listener = listens_first.then(|| w.listen_any(one));
    let dial = w.dial(two, "β:10");
    let listener = *listener.get_or_insert_with(|| w.listen_any(one));
    let listening = w.latest(one);
    w.accept(beta, acceptor, dial);
    w.connect(two, dial);
    let gamma = w.spawn("γ");
    w.until(gamma, listening);
    let visit = w.dial(gamma, &w.address(listener));
    let by = w.task(alpha);
    w.accept(by, listener, visit);
    w.connect(gamma, visit);
    w.close_listener(one, listener);
    let late = w.dial(gamma, &w.address(listener));
    w.fail(gamma, late, "connection refused");
    for task in [gamma, alpha, beta] {
        w.join(task);
    }
    w.trace()
}

#[test]
fn the_port_of_a_listener_may_race() {
    let text = a_listener_and_a_dial(true).to_string();
    expect![[r#"
        β:10 listen
        α:$a listen
        α:$b dial    β:10
        α:$a close
        β:1  accept  α:$b
        α:$b connect β:1
        γ:1  dial    α:$a
        α:$c accept  γ:1
        γ:1  connect α:$c
        γ:2  dial    α:$a
        γ:2  fail    α:$a connection refused
    "#]]
    .assert_eq(&text);
    let other = a_listener_and_a_dial(false);
    other.assert(&text);
    assert_eq!(other.to_string(), text);
    assert_eq!(updated(&other, &text), None);
    // A text of before that the first run fits.
    let first = a_listener_and_a_dial(true);
    let literal: Vec<String> = first.events().iter().map(ToString::to_string).collect();
    let page = other.check(literal.join("\n")).unwrap_err().to_string();
    let hint = "same order, ports swapped (α:1 ↔ α:2): these two raced; bind them (`$p`)";
    assert!(page.contains(hint), "{page}");
}

/// A port that was asked for never is another, but what another one gets depends on it.
#[test]
fn who_asks_for_a_low_port_races_with_who_does_not() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let (one, two) = (w.task(alpha), w.task(alpha));
    w.listen(one, 1);
    w.listen(one, 10);
    w.listen_any(two);
    w.join(alpha);
    expect![[r#"
        α:1  listen
        α:10 listen
        α:$a listen
    "#]]
    .assert_eq(&w.trace().to_string());

    let mut w = World::new();
    let alpha = w.spawn("α");
    let (one, two) = (w.task(alpha), w.task(alpha));
    w.listen(one, 10);
    w.listen_any(two);
    w.join(alpha);
    expect![[r#"
        α:1  listen
        α:10 listen
    "#]]
    .assert_eq(&w.trace().to_string());
}

/// What a host's own close frees, nobody takes any more.
#[test]
fn a_hosts_close_races_with_nothing() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen_any(alpha);
    let dial = w.dial(beta, "α:1");
    let server = w.accept(alpha, listener, dial);
    w.connect(beta, dial);
    w.close_listener_by(None, listener);
    w.close_by(None, server);
    w.down(alpha);
    w.join(alpha);
    w.join(beta);
    expect![[r#"
        α:1 listen
        α:1 close
        β:1 dial    α:1
        α:2 accept  β:1
        α:2 close   β:1
        β:1 connect α:2
    "#]]
    .assert_eq(&w.trace().to_string());
}

/// What a task does: a dial takes a port, a fail frees that of the dial with that number.
type Did = (u64, Result<u16, (u64, u16)>);

fn records(did: impl Iterator<Item = Did>) -> Graph {
    let addr = |text: String| text.parse().unwrap();
    let record = |(n, (k, did)): (u64, Did)| Record {
        n,
        t: n,
        k: Some(k),
        u: false,
        r: Vec::new(),
        l: Vec::new(),
        e: match did {
            Ok(port) => What::Dial {
                a: addr(format!("α:{port}")),
                p: addr("β:10".to_owned()),
            },
            Err((d, port)) => What::Fail {
                a: addr(format!("α:{port}")),
                p: addr("β:10".to_owned()),
                d,
                x: "cancelled".to_owned(),
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
    let (graph, scope) = (&trace.graph, trace.scope());
    let races = match most_steps {
        Some(most) => Races::find_within(graph, scope, most),
        None => Races::find(graph, scope),
    };
    let dials = (0..graph.len() as u32).filter(|&node| races.is_raced(node));
    dials.count()
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
                Some(What::Dial { a: port(free), p })
            }
            Some(Use::Free) => (!held[task].is_empty()).then(|| {
                let (d, freed) = held[task].remove(0);
                let x = "cancelled".to_owned();
                let a = port(freed);
                What::Fail { a, p, d, x }
            }),
        };
        done[task] += 1;
        if let Some(e) = e {
            records.push(Record {
                n,
                t: n,
                k: Some(task as u64),
                u: false,
                r: Vec::new(),
                l: std::mem::take(&mut learned[task]),
                e,
            });
            after.insert((task, done[task]), n);
        }
    }
    let trace = Trace::whole(Arc::new(Graph::build(vec![Process {
        pid: 1,
        node: None,
        records,
    }])));
    let races = Races::find(&trace.graph, trace.scope());
    let raced = |n| races.is_raced(trace.graph.node((0, n).into()).unwrap());
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
        let graph = &trace.graph;
        let races = Races::find(graph, trace.scope());
        let cautious = Races::find_within(graph, trace.scope(), 0);
        for process in 0..graph.processes.len() {
            let mut any_raced = false;
            let nodes = graph.firsts[process]..graph.firsts[process + 1];
            let does = |node: u32| match &graph.record(node).unwrap().1.e {
                What::Dial { a, .. } | What::Accept { a, .. } | What::Listen { a, auto: true, .. } => {
                    Some((a.port(), true))
                }
                What::Listen { a, .. } | What::Close { a, .. } | What::Fail { a, .. } => {
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
