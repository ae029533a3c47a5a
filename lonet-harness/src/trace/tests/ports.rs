//! Ports that race: one program in any schedule, and one text that holds of all its runs.

use std::collections::BTreeMap;

use expect_test::expect;
use lonet::trace::EventId;
use proptest::prelude::*;

use super::simulation::numbers;
use super::world::{Dial, End, Listener, T, TEST, World};
use super::{Trace, cases};
use crate::trace::expected::grammar::Expectation;
use crate::trace::write::text;

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

pub(super) fn updated(trace: &Trace, old: &str) -> Option<String> {
    let parsed = Expectation::parse(old).unwrap();
    text::updated(&trace.cut.graph, trace.cut.scope(), &parsed)
}

proptest! {
    #![proptest_config(cases(if cfg!(debug_assertions) { 150 } else { 3000 }))]

    /// Update on one run, then no run fails or wants another update.
    #[test]
    fn an_update_holds_of_every_schedule(program in a_program(), seeds in [any::<u64>(); 3]) {
        let runs = seeds.map(|seed| run(&program, seed));
        for one in &runs {
            let text = one.to_string();
            for other in &runs {
                let held = other.check(&text);
                prop_assert!(held.is_ok(), "{}\nin\n{}", text, other);
                prop_assert_eq!(updated(other, &text), None, "{}\nin\n{}", text, other);
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
        β:1  accept  α:$b
        α:$b connect β:1
        γ:1  dial    α:$a
        α:$c accept  γ:1
        γ:1  connect α:$c
        α:$a close
        γ:2  dial    α:$a
        γ:2  fail    α:$a connection refused
    "#]]
    .assert_eq(&text);
    let other = a_listener_and_a_dial(false);
    other.assert(&text);
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
fn a_requested_low_port_races_with_automatic_ports() {
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
        α:10 listen
        α:1  listen
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
        β:1 dial    α:1
        α:2 accept  β:1
        β:1 connect α:2
        α:1 close
        α:2 close   β:1
    "#]]
    .assert_eq(&w.trace().to_string());
}
