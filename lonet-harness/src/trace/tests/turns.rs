//! The text that holds of several runs.

use expect_test::{Expect, expect};
use lonet::trace::Verb;
use proptest::prelude::*;

use super::oracle::marks;
use super::world::{TEST, World};
use super::{Trace, ping_pong};
use crate::trace::expected::grammar::Expectation;
use crate::trace::write::turns::{Differ, Seen, agreed};

fn learned(old: &str, runs: &[Trace]) -> Result<Option<String>, Differ> {
    let seen: Vec<Seen<'_>> = runs.iter().map(|run| Seen::of(&run.cut)).collect();
    agreed(&Expectation::parse(old).unwrap(), &seen)
}

#[track_caller]
fn learns(old: &str, runs: &[Trace], text: Expect) {
    let new = learned(old, runs).unwrap().expect("the old text stays");
    text.assert_eq(&new);
    for run in runs {
        run.assert(&new);
    }
    assert_eq!(learned(&new, runs), Ok(None), "{new}");
}

/// α marks these one after the other.
fn in_sequence(texts: &[&str]) -> Trace {
    let mut w = World::new();
    let a = w.spawn("α");
    for text in texts {
        w.mark(a, text);
    }
    w.join(a);
    w.trace()
}

#[test]
fn lines_on_a_common_cycle_become_a_block() {
    let runs = [
        in_sequence(&["one", "bytes", "command", "end"]),
        in_sequence(&["one", "command", "bytes", "end"]),
    ];
    learns(
        "",
        &runs,
        expect![[r#"
            α   mark one
            | α mark bytes
            | α mark command
            α   mark end
        "#]],
    );
    // One run alone shows one order.
    learns(
        "",
        &runs[..1],
        expect![[r#"
        α mark one
        α mark bytes
        α mark command
        α mark end
    "#]],
    );
    // What holds of all stays, to the byte.
    let old = "α mark _\n|   α mark $x\n| α  mark $y\n\n\nα mark end";
    assert_eq!(learned(old, &runs), Ok(None));
}

#[test]
fn blocks_beside_each_other_and_comments() {
    let runs = [
        in_sequence(&["a", "b", "c", "d", "e"]),
        in_sequence(&["b", "a", "d", "c", "e"]),
    ];
    learns(
        "# of all\n\n# of a\nα mark a\n# of gone\nα mark gone\n# of d\n\nα mark d\n# of e\nα mark e\n# last",
        &runs,
        expect![[r#"
            # of all

            # of a
            | α mark a
            | α mark b

            | α mark c
            # of gone
            # of d
            | α mark d
            # of e
            α   mark e
            # last
        "#]],
    );
}

#[test]
fn a_text_of_comments_alone_stands_above_what_is_new() {
    learns(
        "\n    # why\n\n    # and how\n  ",
        &[in_sequence(&["a"])],
        expect![[r#"
        # why

        # and how
        α mark a
    "#]],
    );
}

/// Three orders, of which no two contradict each other: only all of them together do.
#[test]
fn orders_are_taken_together() {
    let runs = [["x", "y", "z"], ["y", "z", "x"], ["z", "x", "y"]];
    let all = runs.map(|texts| in_sequence(&texts));
    learns(
        "",
        &all,
        expect![[r#"
        | α mark x
        | α mark y
        | α mark z
    "#]],
    );
}

#[test]
fn an_old_block_stays_where_another_line_changes() {
    let run = [in_sequence(&["a", "b", "c"])];
    learns(
        "| α mark b\n| α mark a\nα mark d",
        &run,
        expect![[r#"
            | α mark a
            | α mark b
            α   mark c
        "#]],
    );
}

/// What an update wrote is what its runs taught: another one that sees the other order adds to it.
#[test]
fn an_old_text_in_another_order_is_one_more_run() {
    let run = |texts: &[&str]| [in_sequence(texts)];
    learns(
        "# of all\nα mark one\n# of x\nα mark x\nα mark y\nα mark end",
        &run(&["one", "y", "x", "end"]),
        expect![[r#"
            # of all
            α   mark one
            | α mark y
            # of x
            | α mark x
            α   mark end
        "#]],
    );
    // All that stands between the two in one of the orders is in the block, and nothing else.
    learns(
        "α mark x\nα mark y\nα mark z\nα mark end",
        &run(&["y", "z", "x", "end"]),
        expect![[r#"
            | α mark y
            | α mark z
            | α mark x
            α   mark end
        "#]],
    );
    // What stands between them and is in no order with either stays outside.
    learns(
        "α mark x\nβ mark hears\nα mark y",
        &{
            let mut w = World::new();
            let (a, b) = (w.spawn("α"), w.spawn("β"));
            w.mark(a, "y");
            w.mark(a, "x");
            w.mark(b, "hears");
            w.join(a);
            w.join(b);
            [w.trace()]
        },
        expect![[r#"
            | α mark y
            | α mark x
            β   mark hears
        "#]],
    );
    // A block grows.
    learns(
        "| α mark x\n| α mark y\nα mark z",
        &run(&["z", "x", "y"]),
        expect![[r#"
            | α mark z
            | α mark x
            | α mark y
        "#]],
    );
    // Variables and equal lines.
    learns(
        "α mark n=$n\nα mark same\nα mark x\nα mark same",
        &run(&["n=7", "same", "same", "x"]),
        expect![[r#"
            α   mark n=$n
            α   mark same
            | α mark same
            | α mark x
        "#]],
    );
    // Other lines: it tells of another program.
    learns(
        "α mark x\nα mark y",
        &run(&["y", "x", "z"]),
        expect![[r#"
            α mark y
            α mark x
            α mark z
        "#]],
    );
}

/// No run can have taught what no block forgives: such a text is replaced.
#[test]
fn an_old_text_that_no_run_taught_is_none() {
    let trace = ping_pong();
    let lines = super::oracle::plain(&trace);
    for (one, other) in [(2, 3), (3, 4), (0, 2)] {
        let mut old = lines.clone();
        old.swap(one, other);
        let new = learned(&old.join("\n"), &[ping_pong()]).unwrap().unwrap();
        assert!(!new.contains('|'), "{new}");
        trace.assert(&new);
    }
}

#[test]
fn what_a_view_hides_orders_all_the_same() {
    let run = |first: &str, second: &str| {
        let mut w = World::new();
        let (a, b) = (w.spawn("α"), w.spawn("β"));
        let other = w.task(a);
        let one = w.mark(a, first);
        w.until(b, one);
        let heard = w.mark(b, "hidden");
        w.until(other, heard);
        w.mark(other, second);
        w.join(a);
        w.join(b);
        w.trace().only_hosts(&["α"])
    };
    learns(
        "",
        &[run("x", "y"), run("y", "x")],
        expect![[r#"
        | α mark x
        | α mark y
    "#]],
    );
}

#[test]
fn equal_lines_match_events_by_the_clock() {
    let runs = [
        in_sequence(&["same", "x", "same"]),
        in_sequence(&["same", "same", "x"]),
    ];
    learns(
        "",
        &runs,
        expect![[r#"
        α   mark same
        | α mark x
        | α mark same
    "#]],
    );
    let runs = [
        in_sequence(&["n=1", "x", "n=2"]),
        in_sequence(&["n=3", "n=4", "x"]),
    ];
    learns(
        "α mark n=$a\nα mark x\nα mark n=$b",
        &runs,
        expect![[r#"
        α   mark n=$a
        | α mark x
        | α mark n=$b
    "#]],
    );
}

#[test]
fn other_events_agree_on_no_text() {
    let runs = [
        in_sequence(&["x"]),
        in_sequence(&["x"]),
        in_sequence(&["y"]),
    ];
    let differ = learned("", &runs).unwrap_err();
    assert_eq!(
        differ,
        Differ::Events {
            run: 2,
            text: "α mark x\n".to_owned(),
        }
    );
}

#[test]
fn a_connection_that_contradicts_itself_agrees_on_no_text() {
    // Whoever closes first, the other one reads the end.
    let run = |server_first: bool| {
        let mut w = World::new();
        let alpha = w.spawn("α");
        let listener = w.listen(alpha, 10);
        let beta = w.spawn("β");
        let dial = w.dial(beta, "α:10");
        let server = w.accept(alpha, listener, dial);
        let client = w.connect(beta, dial);
        let ends = [(alpha, server), (beta, client)];
        let [(first, one), (second, two)] = match server_first {
            true => ends,
            false => [ends[1], ends[0]],
        };
        w.close(first, one);
        w.read(second, two, 0);
        w.close(second, two);
        w.join(alpha);
        w.join(beta);
        w.trace()
    };
    let differ = learned("", &[run(true), run(true), run(false)]).unwrap_err();
    let Differ::Connection { lines, runs } = differ else {
        panic!("{differ:?}");
    };
    let (mut lines, mut runs) = ([lines.0, lines.1], [runs.0, runs.1]);
    lines.sort();
    runs.sort_unstable();
    assert_eq!(lines, ["α:1 close β:1", "β:1 close α:1"]);
    assert_eq!(runs, [0, 2]);
    // One that does not stays as it is.
    assert!(learned("", &[ping_pong(), ping_pong()]).unwrap().is_some());
}

proptest! {
    #![proptest_config(super::cases(if cfg!(debug_assertions) { 200 } else { 2000 }))]

    /// Runs of which each has the same events in an order of its own.
    #[test]
    fn a_text_holds_of_all_runs(
        orders in prop::collection::vec(Just((0u8..6).collect::<Vec<_>>()).prop_shuffle(), 1..4),
        waits in prop::collection::vec(0u8..9, 6),
    ) {
        let run = |order: &Vec<u8>| {
            let steps = order.iter().map(|&n| (n, n / 4, waits[n as usize]));
            marks(&steps.collect::<Vec<_>>())
        };
        let runs: Vec<Trace> = orders.iter().map(run).collect();
        let text = learned("", &runs).unwrap().unwrap();
        for run in &runs {
            run.assert(&text);
        }
        prop_assert_eq!(learned(&text, &runs), Ok(None));
        // Updates that see one run each widen blocks until no run changes anything: a text with so
        // many lines can't change more often.
        let (mut text, mut changes) = (String::new(), 0);
        for run in runs.iter().cycle().take(runs.len() * 7) {
            if let Some(new) = learned(&text, std::slice::from_ref(run)).unwrap() {
                text = new;
                changes += 1;
            }
        }
        prop_assert!(changes <= 6, "{}", text);
        for run in &runs {
            run.assert(&text);
        }
        // Nothing is in a block that one run alone orders, and no other contradicts.
        if runs.len() == 1 {
            prop_assert!(!text.contains('|'), "{}", text);
        }
    }
}

/// The `_` of a fault is what the event says, and a wildcard where the text is read again.
#[test]
fn faults_are_learned_as_they_were_given() {
    let run = |fault_first: bool| {
        let mut w = World::new();
        let a = w.spawn("α");
        let driver = w.task(TEST);
        // It had withheld what α waited for, or is set off by what α does.
        match fault_first {
            true => {
                let fault = w.fault(driver, Verb::Partition, "α", "_");
                w.until(a, fault);
                w.mark(a, "here");
            }
            false => {
                let mark = w.mark(a, "here");
                w.until(driver, mark);
                w.fault(driver, Verb::Partition, "α", "_");
            }
        }
        for to in ["β", "_"] {
            w.fault(driver, Verb::Heal, "α", to);
        }
        w.mark(a, "end");
        let last = w.fault(driver, Verb::Cut, "_", "α");
        w.until(TEST, last);
        w.join(a);
        w.trace()
    };
    learns(
        "",
        &[run(true), run(false)],
        expect![[r#"
        | ! partition α _
        | α mark      here
        !   heal      α β
        !   heal      α _
        α   mark      end
        !   cut       _ α
    "#]],
    );
}
