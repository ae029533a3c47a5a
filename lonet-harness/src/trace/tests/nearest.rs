//! The difference to the nearest legal order: it shows what is wrong, and nothing else.

use std::sync::Arc;

use proptest::prelude::*;

use super::simulation::{Allowed, simulate};
use super::world::{TEST, World};
use crate::trace::explain::nearest::Difference;
use crate::trace::{Event, Trace};

/// The changed lines, each with its sign, and whether everything else stands as it was told.
fn changes(trace: &Trace, told: &[String]) -> Vec<String> {
    let mismatch = trace.check(told.join("\n")).expect_err("it holds");
    let diff = &mismatch.parts().diff;
    let mut changed = Vec::new();
    let mut old = Vec::new();
    for line in diff {
        match line {
            Difference::Same(words) => old.push(words.join(" ")),
            Difference::Expected(words) => {
                old.push(words.join(" "));
                changed.push(format!("- {}", words.join(" ")));
            }
            Difference::Happened(words) => changed.push(format!("+ {}", words.join(" "))),
        }
    }
    assert_eq!(old, told, "what was expected stands in its order");
    changed
}

/// What is left of the expectation, with what is added, is an order that could happen.
fn amended(trace: &Trace, told: &[String]) -> String {
    let mismatch = trace.check(told.join("\n")).expect_err("it holds");
    let lines = mismatch.parts().diff.iter().filter_map(|line| match line {
        Difference::Same(words) | Difference::Happened(words) => Some(words.join(" ")),
        Difference::Expected(_) => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn lines(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

fn execution(numbers: &[u32], unique: bool) -> Trace {
    let untraced = numbers.first().is_some_and(|number| number % 2 == 0);
    let mut world = simulate(numbers, Allowed { untraced, unique });
    world.until(TEST, (1, 1).into());
    Trace::whole(Arc::new(world.graph()))
}

/// A server that answers so many clients, each in a task of its own; ports are used again.
fn answers(clients: usize) -> Trace {
    let mut w = World::new();
    let server = w.spawn("α");
    let listener = w.listen(server, 10);
    let listening = w.latest(server);
    w.until(TEST, listening);
    let tasks: Vec<_> = (0..clients).map(|i| w.spawn(&format!("c{i}"))).collect();
    let dials: Vec<_> = tasks.iter().map(|&task| w.dial(task, "α:10")).collect();
    let mut open = std::collections::VecDeque::new();
    for index in 0..=clients {
        if index < clients {
            let end = w.accept(server, listener, dials[index]);
            let client = w.connect(tasks[index], dials[index]);
            open.push_back((tasks[index], client, w.task(server), end));
        } else {
            w.close_listener(server, listener);
        }
        // One is still being served when the next one comes.
        while open.len() > usize::from(index < clients) {
            let Some((task, client, handler, end)) = open.pop_front() else {
                break;
            };
            w.write(task, client, 4);
            w.read(handler, end, 4);
            w.write(handler, end, 4);
            w.close(handler, end);
            w.read(task, client, 4);
            w.read(task, client, 0);
            w.mark(task, "pong");
            w.close(task, client);
        }
    }
    for task in tasks {
        w.join(task);
    }
    w.join(server);
    w.trace()
}

/// The reuse of a port does not move a line that leaves the port open.
#[test]
fn reused_ports_move_no_line() {
    let trace = answers(6);
    let each = |lines: [&'static str; 3]| {
        (0..6).flat_map(move |i| lines.map(|line| line.replace('#', &i.to_string())))
    };
    let mut told = vec!["α:10 listen".to_owned()];
    told.extend((0..6).map(|i| format!("c{i}:1 dial α:10")));
    let opened = each(["α:$p# accept c#:1", "c#:1 connect α:$p#", ""]);
    told.extend(opened.filter(|line| !line.is_empty()));
    told.push("α:10 close".to_owned());
    told.extend(each([
        "α:$p# close c#:1",
        "c# mark pong",
        "c#:1 close α:$p#",
    ]));
    trace.assert(told.join("\n"));
    for index in 0..told.len() {
        let mut dropped = told.clone();
        let line = dropped.remove(index);
        let changed = changes(&trace, &dropped);
        assert_eq!(changed.len(), 1, "{changed:?} for {line}");
    }
    let mut other = told.clone();
    let place = other
        .iter()
        .position(|line| line == "c0 mark pong")
        .unwrap();
    other[place] = "c0 mark pang".to_owned();
    assert_eq!(
        changes(&trace, &other),
        ["- c0 mark pang", "+ c0 mark pong"]
    );
}

/// The lines of all events, with variables for ports that raced or as it was.
fn told(trace: &Trace, variables: bool) -> Vec<String> {
    match variables {
        true => lines(&trace.to_string()),
        false => trace.events().iter().map(Event::to_string).collect(),
    }
}

/// Without that line, the difference adds it. Which of several that would do a line tells of is a
/// guess beyond the first that fails: then all that is known is that the difference mends it.
fn check_dropped(
    trace: &Trace,
    mut told: Vec<String>,
    dropped: usize,
    tells_apart: bool,
    names_ports: bool,
) -> Result<(), TestCaseError> {
    let line = told.remove(dropped);
    let changed = changes(trace, &told);
    if tells_apart {
        let told = told.join("\n");
        prop_assert_eq!(
            changed,
            [format!("+ {line}")],
            "for {:?} of\n{}",
            line,
            told
        );
    }
    if names_ports {
        let amended = amended(trace, &told);
        prop_assert!(trace.check(&amended).is_ok(), "{}", amended);
    }
    Ok(())
}

/// A port that is given again makes two dials equal that are in no order: the line of the one may
/// tell of the other, which could happen earlier.
#[test]
fn an_equal_event_takes_no_line() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let other = w.task(alpha);
    w.mark(alpha, "first");
    let dial = w.dial(alpha, "β:10");
    w.fail(alpha, dial, "connection refused");
    w.dial(other, "β:10");
    w.join(alpha);
    let told = [
        "α:1 dial β:10",
        "α:1 fail β:10 connection refused",
        "α:1 dial β:10",
    ];
    let told = told.map(str::to_owned);
    assert_eq!(changes(&w.trace(), &told), ["+ α mark first"]);
}

/// Executions in which the difference was longer than it had to be, as the property below found
/// them, with the line that was dropped.
#[test]
fn dropped_lines_that_once_moved_others() {
    let found: [(&[u32], &str); 2] = [
        (
            &[
                2_247_761_257,
                1_817_291_011,
                3_121_159_514,
                3_918_850_656,
                1_317_383_643,
                1_901_928_430,
                632_256_505,
                2_656_453_944,
                2_716_255_584,
                40_466_811,
                2,
                0,
                0,
                0,
                0,
                44_738_351,
                24_426_431,
                24_815,
                0,
                0,
            ],
            "α mark m1",
        ),
        (
            &[
                9_393_648,
                1_286_756_642,
                129_074,
                981_235_153,
                39_195,
                74_881_819,
                570_978_979,
                260_599_800,
                2_567_875_971,
                1_451_040_718,
                3_639_772_275,
                1_841_150_258,
                2_523_990_194,
                2_873_362_898,
                2_485_340_234,
                3_044_984_022,
                1_955_858_850,
                868_256_858,
                288_249_307,
                843_392_406,
                3_414_249_747,
                2_638_126_482,
                1_243_874_330,
                1_881_912_043,
                249_370_867,
                195_179_491,
                3_593_399_022,
                565_460_985,
                1_685_885_202,
            ],
            "α mark m1",
        ),
    ];
    for (numbers, line) in found {
        let trace = execution(numbers, true);
        let told = told(&trace, false);
        let dropped = told.iter().position(|told| told == line).unwrap();
        check_dropped(&trace, told, dropped, true, true).unwrap();
    }
}

proptest! {
    #![proptest_config(super::cases(if cfg!(debug_assertions) { 150 } else { 2000 }))]

    #[test]
    fn a_dropped_line_is_the_one_that_is_added(
        numbers in prop::collection::vec(any::<u32>(), 20..120),
        unique in any::<bool>(),
        variables in any::<bool>(),
        at in any::<prop::sample::Index>(),
    ) {
        let trace = execution(&numbers, unique);
        let told = told(&trace, variables);
        prop_assume!(!told.is_empty());
        let dropped = at.index(told.len());
        check_dropped(&trace, told, dropped, unique && !variables, !variables)?;
    }

    #[test]
    fn an_added_line_is_the_one_that_is_struck(
        numbers in prop::collection::vec(any::<u32>(), 20..120),
        unique in any::<bool>(),
        variables in any::<bool>(),
        bogus in any::<bool>(),
        of in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let trace = execution(&numbers, unique);
        let mut told = told(&trace, variables);
        prop_assume!(!told.is_empty());
        let added = match bogus {
            true => "α mark never".to_owned(),
            false => told[of.index(told.len())].clone(),
        };
        told.insert(at.index(told.len() + 1), added.clone());
        let changed = changes(&trace, &told);
        if unique && !variables {
            prop_assert_eq!(changed.len(), 1, "{:?} of\n{}", changed, told.join("\n"));
            prop_assert_eq!(&changed[0], &format!("- {added}"));
        }
    }
}

/// What a slip kept from its place takes it, once what happened instead of the slip stands there.
#[test]
fn no_line_is_struck_and_written_in_one_place() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let other = w.task(beta);
    for (task, peer) in [(alpha, "α:10"), (beta, "β:10"), (beta, "β:10")] {
        let dial = w.dial(task, peer);
        w.fail(task, dial, "connection refused");
    }
    w.mark(other, "x");
    w.join(alpha);
    w.join(beta);
    let expected = [
        "α:7 dial α:70",
        "α:1 fail α:10 connection refused",
        "β:1 dial β:10",
        "β:1 fail β:10 connection refused",
        "β mark x",
        "β:7 dial β:70",
        "β:1 fail β:10 connection refused",
    ]
    .map(str::to_owned);
    assert_eq!(
        changes(&w.trace(), &expected),
        [
            "- α:7 dial α:70",
            "+ α:1 dial α:10",
            "- β:7 dial β:70",
            "+ β:1 dial β:10",
        ]
    );
}
