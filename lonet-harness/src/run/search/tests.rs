//! The search, over programs that are simulated: events that happen in a given order unless one is
//! held.

use std::time::Duration;

use super::explore::{Fails, Run, Runs, search};
use super::{Reversals, of_both};
use crate::collector::hold::Kept;
use crate::report::search::{Came, Searched};
use crate::run::schedule::Before;
use crate::trace::racing::{Arrival, Pair, Racing};

/// Which events happened so far.
type Done<'a> = &'a [&'static str];

/// A program of one host, s. Its events are arrivals from hosts of one letter.
struct Program {
    /// In the order in which they happen unless one is held.
    events: Vec<&'static str>,
    /// Whether an event can happen yet.
    can: fn(Done<'_>, &str) -> bool,
    /// Whether nothing that lonet sees orders two events.
    race: fn(Done<'_>, &str, &str) -> bool,
    /// Why the so-many-th run fails.
    fails: fn(Done<'_>, usize) -> Option<&'static str>,
    /// Changes the events of the so-many-th run.
    varies: fn(&mut Vec<&'static str>, usize),
    /// Whether other things go on happening while an event is held.
    is_busy: bool,
    held_for: Duration,
    longest_gap: Duration,
    /// All that was run: the orders, and the patience.
    ran: Vec<(Vec<String>, Duration)>,
    shown: Vec<String>,
}

fn program(events: &[&'static str]) -> Program {
    Program {
        events: events.to_vec(),
        can: |_, _| true,
        race: |_, _, _| true,
        fails: |_, _| None,
        varies: |_, _| {},
        is_busy: false,
        held_for: Duration::from_millis(5),
        longest_gap: Duration::ZERO,
        ran: Vec::new(),
        shown: Vec::new(),
    }
}

/// Whether the first has happened before the second.
fn is_before(done: Done<'_>, first: &str, then: &str) -> bool {
    let place = |of| done.iter().position(|&event| event == of);
    matches!((place(first), place(then)), (Some(first), Some(then)) if first < then)
}

fn arrival(event: &str) -> Arrival {
    Arrival {
        host: "s".to_owned(),
        line: format!("s:_ recv {event}:1 _"),
        nth: 1,
    }
}

impl Runs for Program {
    fn run(&mut self, orders: &[Before], patience: Duration) -> Run {
        self.ran
            .push((orders.iter().map(letters).collect(), patience));
        let number = self.ran.len();
        let mut todo = self.events.clone();
        (self.varies)(&mut todo, number);
        let mut done: Vec<&'static str> = Vec::new();
        let mut kept = vec![Kept::NeverCame; orders.len()];
        let is =
            |point: &crate::run::schedule::Point, event: &str| point.pattern == arrival(event).line;
        loop {
            let can: Vec<&str> = todo
                .iter()
                .copied()
                .filter(|e| (self.can)(&done, e))
                .collect();
            let holds = |event: &str, index: usize| {
                let Before { first, then } = &orders[index];
                let has_come = done.iter().any(|done| is(first, done));
                is(then, event) && !has_come && kept[index] == Kept::NeverCame
            };
            let is_held = |event: &str| (0..orders.len()).any(|index| holds(event, index));
            if let Some(&event) = can.iter().find(|event| !is_held(event)) {
                for (index, order) in orders.iter().enumerate() {
                    if is(&order.then, event) && kept[index] == Kept::NeverCame {
                        let held_for = self.held_for;
                        kept[index] = Kept::Yes { held_for };
                    }
                }
                done.push(event);
                todo.retain(|&other| other != event);
            } else if let Some(index) =
                (0..orders.len()).find(|&index| can.iter().any(|event| holds(event, index)))
            {
                kept[index] = Kept::GivenUp {
                    quiet: !self.is_busy,
                    held_for: self.held_for,
                };
            } else {
                break;
            }
        }
        let mut pairs = Vec::new();
        for (at, one) in done.iter().enumerate() {
            for other in &done[at + 1..] {
                if (self.race)(&done, one, other) {
                    pairs.push(Pair {
                        earlier: arrival(one),
                        later: arrival(other),
                        common: Some("! spawn s".to_owned()),
                        cause: Some(format!("{other}:1 send s:_ _")),
                    });
                }
            }
        }
        let mut lines: Vec<String> = done.iter().map(|event| format!("s mark {event}")).collect();
        lines.sort();
        Run {
            ended: match (self.fails)(&done, number) {
                None => Ok(()),
                Some(why) => Err(Fails {
                    why: why.to_owned(),
                    page: format!("\nt failed: {why} in {}\n", done.join(" ")),
                }),
            },
            orders: kept,
            racing: Racing {
                pairs,
                lines,
                longest_gap: self.longest_gap,
                ..Racing::default()
            },
        }
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(100) * self.ran.len() as u32
    }

    fn progress(&mut self, line: &str) {
        self.shown.push(line.to_owned());
    }
}

/// An order by the letters of its events.
fn letters(order: &Before) -> String {
    let letter = |pattern: &str| pattern["s:_ recv ".len()..][..1].to_owned();
    format!(
        "{}<{}",
        letter(&order.first.pattern),
        letter(&order.then.pattern)
    )
}

fn found(program: &mut Program) -> Searched {
    search(program, Duration::MAX)
        .map_err(|fails| fails.page)
        .unwrap()
}

/// What was run, by letters; the baselines as nothing.
fn ran(program: &Program) -> Vec<String> {
    program
        .ran
        .iter()
        .map(|(orders, _)| orders.join(" "))
        .collect()
}

fn came(searched: &Searched) -> Vec<Came> {
    searched.tried.iter().map(|pair| pair.came).collect()
}

#[test]
fn a_race_whose_other_order_fails_is_found() {
    let mut p = program(&["a", "b"]);
    p.fails = |done, _| is_before(done, "b", "a").then_some("x is lost");
    let searched = found(&mut p);
    // The baselines, the reversal, that again, and the order of the baseline.
    assert_eq!(
        ran(&p),
        ["", "", "", "b<a", "b<a", "b<a", "b<a", "a<b", "a<b", "a<b"]
    );
    assert_eq!(
        searched.page("t"),
        "
t failed: with `s:_ recv b:1 before s:_ recv a:1`: x is lost

`s:_ recv a:1` before `s:_ recv b:1`: passes 3 of 3
`s:_ recv b:1` before `s:_ recv a:1`: fails 3 of 3: x is lost
the last event before both: `! spawn s`
1 racing pair, 1 both ways; 10 runs, 1.0 s
to order them, let `b:1 send s:_` happen only after `s:_ recv a:1`
to keep this order: schedule = \"s:_ recv b:1 before s:_ recv a:1\"

  t failed: x is lost in b a
"
    );
}

#[test]
fn nothing_is_found_where_every_order_passes() {
    let mut p = program(&["a", "b", "c"]);
    let searched = found(&mut p);
    assert_eq!(ran(&p), ["", "", "", "b<a", "c<a", "c<b"]);
    assert_eq!(
        searched.summary("t"),
        "t: search: 3 racing pairs, 3 both ways; 6 runs, 0.6 s\n\
         each of these pairs was seen in both orders at least once\n"
    );
    assert_eq!(
        p.shown,
        [
            "search: 3 runs, 0 of 3 pairs both ways",
            "search: 4 runs, 1 of 3 pairs both ways",
            "search: 5 runs, 2 of 3 pairs both ways",
            "search: 6 runs, 3 of 3 pairs both ways",
        ]
    );
}

/// c happens only where b was first, and then races with d.
fn only_after_a_reversal() -> Program {
    let mut p = program(&["a", "b", "d", "c"]);
    p.can = |done, event| event != "c" || is_before(done, "b", "a");
    p.race = |_, one, other| {
        matches!(
            (one, other),
            ("a", "b") | ("d", "c") | ("b", "a") | ("c", "d")
        )
    };
    p
}

#[test]
fn what_races_only_after_a_reversal_is_tried_on_top_of_it() {
    let mut p = only_after_a_reversal();
    let searched = found(&mut p);
    assert_eq!(ran(&p), ["", "", "", "b<a", "b<a c<d"]);
    assert_eq!(came(&searched), [Came::BothWays, Came::BothWays]);

    // Both are needed: without the first there is no c.
    let mut p = only_after_a_reversal();
    p.fails = |done, _| is_before(done, "c", "d").then_some("x is lost");
    let searched = found(&mut p);
    let tries = ["c<d", "b<a"];
    assert_eq!(
        ran(&p)[8..],
        [[tries[0]; 3], [tries[1]; 3], ["b<a d<c"; 3]].concat()
    );
    let page = searched.page("t");
    let said = "
`s:_ recv d:1` before `s:_ recv c:1`: passes 3 of 3
`s:_ recv c:1` before `s:_ recv d:1`: fails 3 of 3: x is lost
both times with `s:_ recv b:1 before s:_ recv a:1`
";
    assert!(page.contains(said), "{page}");
    let kept = "schedule = \"s:_ recv b:1 before s:_ recv a:1; s:_ recv c:1 before s:_ recv d:1\"";
    assert!(page.contains(kept), "{page}");
}

#[test]
fn an_order_that_is_not_needed_is_left_out() {
    // As before, but c always happens; what orders it after d is not true.
    let mut p = only_after_a_reversal();
    p.can = |_, _| true;
    p.race = |done, one, other| match (one, other) {
        ("a", "b") | ("b", "a") => true,
        ("d", "c") | ("c", "d") => is_before(done, "b", "a"),
        _ => false,
    };
    p.fails = |done, _| is_before(done, "c", "d").then_some("x is lost");
    let searched = found(&mut p);
    assert_eq!(ran(&p)[8..], [["c<d"; 3], ["d<c"; 3]].concat());
    assert_eq!(
        searched.failures[0].orders,
        ["s:_ recv c:1 before s:_ recv d:1"]
    );
    // The page is that of a run without it.
    assert_eq!(
        searched.failures[0].page,
        "\nt failed: x is lost in a b c d\n"
    );
}

/// Neither is left out for a run that failed by chance, nor kept for one that passed.
#[test]
fn an_order_is_left_out_only_if_it_fails_each_time_without_it() {
    let mut p = only_after_a_reversal();
    p.fails = |done, number| {
        let by_chance = number == 9 || number == 13;
        (is_before(done, "c", "d") || by_chance).then_some("x is lost")
    };
    let searched = found(&mut p);
    assert_eq!(searched.failures[0].orders.len(), 2);
}

#[test]
fn what_something_else_orders_is_not_counted_as_tried() {
    let mut p = program(&["a", "b"]);
    // A channel, a file.
    p.can = |done, event| event == "a" || done.contains(&"a");
    let searched = found(&mut p);
    assert_eq!(
        searched.summary("t"),
        "t: search: 1 racing pair, 1 ordered by something lonet can't see; 5 runs, 0.5 s\n\
         ordered by something lonet can't see: `s:_ recv b:1 before s:_ recv a:1`\n"
    );
    // Heartbeats go on: nobody knows.
    p.is_busy = true;
    assert_eq!(came(&found(&mut p)), [Came::HeldTooLong]);
}

/// A process that started slowly: for a while, nothing happened.
#[test]
fn what_was_given_up_is_tried_once_more_if_there_is_time() {
    let mut slow = program(&["a", "b", "c"]);
    slow.varies = |events, number| {
        if number == 4 {
            events.retain(|&event| event != "b");
        }
    };
    slow.race = |_, one, other| one != "b" || other != "c";
    let searched = found(&mut slow);
    assert_eq!(ran(&slow), ["", "", "", "b<a", "c<a", "b<a"]);
    assert_eq!(came(&searched), [Came::BothWays, Came::BothWays]);

    slow.ran.clear();
    let searched = search(&mut slow, Duration::from_millis(450));
    let searched = searched.map_err(|fails| fails.page).unwrap();
    assert_eq!(came(&searched), [Came::Unseen, Came::BothWays]);
}

/// A hold alone may make a test fail.
#[test]
fn a_failure_without_its_order_says_so() {
    let mut p = program(&["a", "b"]);
    p.can = |done, event| event == "a" || done.contains(&"a");
    p.held_for = Duration::from_millis(240);
    p.fails = |_, number| (number > 3 && number < 8).then_some("too late");
    let searched = found(&mut p);
    let page = searched.page("t");
    let said = "
`s:_ recv b:1` before `s:_ recv a:1`: fails 3 of 3, though the order was given up after 240 ms, or a time-out: too late
an event was held for 240 ms: it may fail because of that, not because of the order
";
    assert!(page.contains(said), "{page}");
    assert!(
        page.contains("1 racing pair, 1 ordered by something lonet can't see;"),
        "{page}"
    );
}

#[test]
fn what_is_not_reached_is_tried_again() {
    // The held one does not happen in further runs.
    let mut p = program(&["a", "b"]);
    p.varies = |events, number| {
        if number > 3 {
            events.retain(|&event| event != "a");
        }
    };
    assert_eq!(came(&found(&mut p)), [Came::NotReached]);
    assert_eq!(ran(&p), ["", "", "", "b<a", "b<a", "b<a"]);
    // But in the second of them.
    let mut p = program(&["a", "b"]);
    p.varies = |events, number| {
        if number == 4 {
            events.retain(|&event| event != "a");
        }
    };
    assert_eq!(came(&found(&mut p)), [Came::BothWays]);
    assert_eq!(ran(&p), ["", "", "", "b<a", "b<a"]);
}

#[test]
fn baselines_that_differ_are_told_and_the_rest_is_searched() {
    let mut p = program(&["a", "b", "c"]);
    p.varies = |events, number| {
        if number == 2 {
            events.retain(|&event| event != "c");
        }
    };
    let searched = found(&mut p);
    assert_eq!(ran(&p), ["", "", "", "b<a"]);
    assert_eq!(
        searched.summary("t"),
        "t: search: 1 racing pair, 1 both ways; 4 runs, 0.4 s\n\
         this pair was seen in both orders at least once\n\
         not tried: 2 pairs that raced in some baselines only\n\
         the baselines differ: `s mark c`\n"
    );
}

#[test]
fn a_pair_that_baselines_show_in_both_orders_needs_no_run() {
    let mut p = program(&["a", "b"]);
    p.varies = |events, number| {
        if number == 2 {
            events.reverse();
        }
    };
    assert_eq!(came(&found(&mut p)), [Came::BothWays]);
    assert_eq!(ran(&p), ["", "", ""]);
}

#[test]
fn a_baseline_that_fails_ends_the_search() {
    let mut p = program(&["a", "b"]);
    p.fails = |_, number| (number == 2).then_some("x is lost");
    let fails = search(&mut p, Duration::MAX).map(|_| ()).unwrap_err();
    assert_eq!(
        fails.page,
        "
t failed: x is lost in a b

this was baseline 2 of 3 of the search: the body fails without any hold, so no order was tried
"
    );
    assert_eq!(ran(&p), ["", ""]);
}

#[test]
fn what_there_was_no_time_for_is_told() {
    let mut p = program(&["a", "b", "c"]);
    let searched = search(&mut p, Duration::from_millis(450))
        .map_err(|fails| fails.page)
        .unwrap();
    assert_eq!(ran(&p), ["", "", "", "b<a", "c<a"]);
    assert_eq!(
        searched.summary("t"),
        "t: search: 3 racing pairs, 2 both ways, 1 not tried before the time was over; 5 runs, 0.5 s\n\
         each of those 2 pairs was seen in both orders at least once\n\
         not tried before the time was over: `s:_ recv c:1 before s:_ recv b:1`\n"
    );
}

/// What was found is looked into, though the time is over.
#[test]
fn a_failure_is_repeated_whatever_the_time() {
    let mut p = program(&["a", "b"]);
    p.fails = |done, number| (is_before(done, "b", "a") && number < 6).then_some("x is lost");
    let searched = search(&mut p, Duration::from_millis(350))
        .map_err(|fails| fails.page)
        .unwrap();
    let page = searched.page("t");
    assert!(
        page.contains("`s:_ recv a:1`: fails 1 of 3: x is lost\n"),
        "{page}"
    );
}

#[test]
fn orders_that_fail_in_the_same_way_are_one_failure() {
    let mut p = program(&["a", "b", "c"]);
    p.fails = |done, _| match (is_before(done, "b", "a"), is_before(done, "c", "b")) {
        (true, _) => Some("x is lost"),
        (_, true) => Some("y is lost"),
        _ => None,
    };
    let searched = found(&mut p);
    let why: Vec<&str> = searched
        .failures
        .iter()
        .map(|failure| failure.why.as_str())
        .collect();
    assert_eq!(why, ["x is lost", "y is lost"]);
    // While a is held until c, b comes too.
    let others = &searched.failures[0].others;
    assert_eq!(*others, [["s:_ recv c:1 before s:_ recv a:1"]]);
    assert_eq!(
        searched.failures[1].orders,
        ["s:_ recv c:1 before s:_ recv b:1"]
    );
}

#[test]
fn patience_is_ten_times_the_longest_gap_within_limits() {
    for (gap, patience) in [(0, 20), (3, 30), (50, 200)] {
        let mut p = program(&["a", "b"]);
        p.longest_gap = Duration::from_millis(gap);
        found(&mut p);
        let all = p.ran.iter().map(|&(_, patience)| patience.as_millis());
        assert_eq!(all.collect::<Vec<_>>()[3..], [patience], "{gap}");
    }
}

#[test]
fn a_held_event_has_come_though_the_body_ended_before_it_happened() {
    let yes = |millis| Kept::Yes {
        held_for: Duration::from_millis(millis),
    };
    assert_eq!(of_both(yes(3), false), yes(3));
    assert_eq!(of_both(yes(3), true), yes(3));
    assert_eq!(of_both(yes(0), true), yes(0));
    // It never came, or came too late to be held, and did not happen.
    assert_eq!(of_both(yes(0), false), Kept::NeverCame);
    assert_eq!(of_both(Kept::NeverCame, false), Kept::NeverCame);
}

/// What raced, the earlier one first, with the longest gap.
fn racing(pairs: &[(&str, &str)], longest_gap: Duration) -> Racing {
    let pair = |&(earlier, later): &(&str, &str)| Pair {
        earlier: arrival(earlier),
        later: arrival(later),
        common: None,
        cause: None,
    };
    Racing {
        pairs: pairs.iter().map(pair).collect(),
        longest_gap,
        ..Racing::default()
    }
}

fn taken(reversals: &mut Reversals) -> Vec<String> {
    let orders = reversals.take().unwrap_or_default();
    orders.iter().map(letters).collect()
}

#[test]
fn each_race_of_some_turns_is_reversed_once() {
    let none = Duration::ZERO;
    let mut reversals = Reversals::default();
    reversals.note(&[], &[], &racing(&[("a", "b"), ("a", "c")], none));
    reversals.note(&[], &[], &racing(&[("b", "a"), ("b", "d")], none));
    assert_eq!(reversals.left(), 3);
    assert_eq!(taken(&mut reversals), ["b<a"]);
    assert_eq!(taken(&mut reversals), ["c<a"]);
    assert_eq!(taken(&mut reversals), ["d<b"]);
    assert_eq!(reversals.take(), None);
}

#[test]
fn what_races_in_a_kept_order_is_reversed_on_top_of_it() {
    let held_for = Duration::from_millis(1);
    for (kept, then) in [
        (Kept::Yes { held_for }, &["b<a", "d<c"][..]),
        (
            Kept::GivenUp {
                quiet: true,
                held_for,
            },
            &["d<c"],
        ),
        (Kept::NeverCame, &["d<c"]),
    ] {
        let mut reversals = Reversals::default();
        let gap = Duration::from_millis(3);
        reversals.note(&[], &[], &racing(&[("a", "b")], gap));
        let orders = reversals.take().unwrap();
        // What was held makes a gap of its own.
        reversals.note(&orders, &[kept], &racing(&[("c", "d")], 100 * gap));
        assert_eq!(taken(&mut reversals), then);
        let patience = reversals.patience();
        assert_eq!(patience.quiet, Duration::from_millis(30));
        assert_eq!(patience.most, Duration::from_millis(250));
    }
}
