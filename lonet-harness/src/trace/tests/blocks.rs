//! Blocks: what they forgive, what not, and how they are written.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::oracle::{Everything, Line, a_line, holds, marks, plain, rejected};
use super::simulation::{Allowed, numbers, simulate};
use super::world::{TEST, World};
use super::{Trace, ping_pong};
use crate::trace::expected::grammar::Expectation;
use crate::trace::{Event, Mode, Pattern, Verb, check_syntax};

/// The text, and the block of each line, where so marked.
fn text(lines: &[Line], in_block: &[bool]) -> (String, Vec<Option<usize>>) {
    let mut text = String::new();
    let mut blocks = Vec::new();
    for (index, (host, word)) in lines.iter().enumerate() {
        let above = index.checked_sub(1).and_then(|above| blocks[above]);
        let block = in_block[index].then(|| above.unwrap_or(index));
        let bar = if block.is_some() { "| " } else { "" };
        text.push_str(&format!("{bar}{host} mark {word}\n"));
        blocks.push(block);
    }
    (text, blocks)
}

fn check(trace: &Trace, lines: &[Line], in_block: &[bool]) -> Result<(), TestCaseError> {
    let (text, blocks) = text(lines, in_block);
    let parsed = Expectation::parse(&text).unwrap();
    for mode in [Mode::All, Mode::Some] {
        let truth = Everything {
            trace,
            events: trace.events(),
            lines,
            blocks: &blocks,
            mode,
        };
        let found = trace.cut.check_parsed(&parsed, mode).is_ok();
        prop_assert_eq!(found, truth.holds(), "{:?}\n{}\nof\n{}", mode, text, trace);
    }
    Ok(())
}

proptest! {
    #![proptest_config(super::cases(if cfg!(debug_assertions) { 400 } else { 4000 }))]

    #[test]
    fn any_lines_in_blocks(
        steps in prop::collection::vec((0u8..4, 0u8..2, 0u8..9), 0..6),
        lines in prop::collection::vec(a_line(), 0..6),
        in_block in prop::collection::vec(any::<bool>(), 6),
    ) {
        check(&marks(&steps), &lines, &in_block)?;
    }

    /// Lines made from the events, so that they often hold.
    #[test]
    fn likely_lines_in_blocks(
        steps in prop::collection::vec((0u8..4, 0u8..2, 0u8..9), 1..6),
        opened in prop::collection::vec((0u8..5, 0u8..5), 6),
        in_block in prop::collection::vec(prop::bool::weighted(0.7), 6),
        order in Just((0usize..6).collect::<Vec<_>>()).prop_shuffle(),
        near in any::<bool>(),
    ) {
        let trace = marks(&steps);
        let mut lines: Vec<Line> = Vec::new();
        for (event, (host, word)) in trace.events().iter().zip(opened) {
            lines.push((
                [event.host(), event.host(), event.host(), "_", "$h"][host as usize].to_owned(),
                [event.text(), event.text(), event.text(), "_", "$v"][word as usize].to_owned(),
            ));
        }
        let shuffled: Vec<Line> = order.iter().filter_map(|&at| lines.get(at).cloned()).collect();
        let lines = match near {
            true => {
                let (one, two) = (order[0] % lines.len(), order[1] % lines.len());
                lines.swap(one, two);
                lines
            }
            false => shuffled,
        };
        check(&trace, &lines, &in_block)?;
    }
}

/// What an event's connection is known by within a few lines: the dialing end's address.
fn connection(events: &[Event], event: &Event) -> Option<String> {
    let accepts = events.iter().filter(|other| other.verb() == Verb::Accept);
    let mut ends = accepts.filter_map(|accept| Some((accept.addr()?, accept.peer()?)));
    let (addr, peer) = (event.addr()?, event.peer()?);
    match event.verb() {
        Verb::Dial | Verb::Fail | Verb::Connect => Some(addr.to_string()),
        Verb::Accept => Some(peer.to_string()),
        Verb::Close => {
            let accepted = ends.any(|ends| ends == (addr, peer));
            Some(if accepted { peer } else { addr }.to_string())
        }
        _ => None,
    }
}

/// Whether a block may not forgive the order of two events of which the first happens before the
/// second; and whether it certainly does not.
fn kept(events: &[Event], above: &Event, below: &Event) -> (bool, bool) {
    let listens = above.verb() == Verb::Listen && below.verb() == Verb::Accept;
    let same = connection(events, above).is_some()
        && connection(events, above) == connection(events, below);
    let chain = [Verb::Dial, Verb::Accept, Verb::Connect];
    let step = chain.contains(&above.verb()) && chain.contains(&below.verb());
    let end = chain.contains(&above.verb())
        && below.verb() == Verb::Close
        && above.addr() == below.addr();
    (listens || same, same && (step || end))
}

/// Whether the first happens before the second in every run.
fn certain(trace: &Trace, above: &Event, below: &Event) -> bool {
    trace.cut.graph.happens_before(above.id(), below.id())
}

#[test]
fn mutations_against_blocks() {
    let (mut accepted, mut outside, mut inside) = (0, 0, 0);
    for seed in 0..60 {
        let allowed = Allowed {
            untraced: seed % 2 == 0,
            unique: true,
        };
        let mut world = simulate(&numbers(seed + 500, 120), allowed);
        world.until(TEST, (1, 1).into());
        let trace = Trace::whole(std::sync::Arc::new(world.graph()));
        let (events, lines) = (trace.events(), plain(&trace));
        let unique = |line: &str| lines.iter().filter(|other| other.as_str() == line).count() == 1;
        for (turn, start) in (0..lines.len().saturating_sub(4)).step_by(3).enumerate() {
            let block = start..start + 2 + turn % 3;
            let mut text = lines.clone();
            for line in &mut text[block.clone()] {
                line.insert_str(0, "| ");
            }
            assert!(holds(&trace, &text), "{}\nof\n{trace}", text.join("\n"));
            for (a, b) in block.clone().zip(block.clone().skip(1)) {
                let mut swapped = text.clone();
                swapped.swap(a, b);
                let ordered = certain(&trace, &events[a], &events[b]);
                if !unique(&lines[a]) || !unique(&lines[b]) {
                    continue;
                }
                let (may_keep, keeps) = kept(events, &events[a], &events[b]);
                if !ordered || !may_keep {
                    let shown = swapped.join("\n");
                    assert!(holds(&trace, &swapped), "{a} {b}:\n{shown}\nof\n{trace}");
                    accepted += usize::from(ordered);
                } else if keeps {
                    rejected(&trace, &swapped, "a connection's chain reversed in a block");
                    inside += 1;
                }
            }
            // The line below the block stands above it.
            let below = block.end;
            let after = block
                .clone()
                .any(|line| certain(&trace, &events[line], &events[below]));
            let mut moved = text.clone();
            let line = moved.remove(below);
            moved.insert(block.start, line);
            let all_unique = lines[block.start..=below].iter().all(|line| unique(line));
            if after && all_unique {
                rejected(&trace, &moved, "an effect of a block above it");
                outside += 1;
            } else if !after {
                assert!(holds(&trace, &moved), "{}\nof\n{trace}", moved.join("\n"));
            }
        }
    }
    assert!(
        accepted > 100 && outside > 100 && inside > 20,
        "{accepted} accepted, {outside} outside, {inside} inside"
    );
}

#[track_caller]
fn all(trace: &Trace, text: &str, holds: bool) {
    let found = trace.check(text);
    assert_eq!(
        found.is_ok(),
        holds,
        "{text}\n{}",
        found.err().map_or(String::new(), |m| m.to_string())
    );
}

/// α marks one, β hears of it and marks two, α hears of that and marks three.
fn one_two_three() -> Trace {
    let mut w = World::new();
    let (a, b) = (w.spawn("α"), w.spawn("β"));
    let one = w.mark(a, "one");
    w.until(b, one);
    let two = w.mark(b, "two");
    w.until(a, two);
    w.mark(a, "three");
    w.join(a);
    w.join(b);
    w.trace()
}

#[test]
fn a_block_forgives_the_order_of_its_lines_alone() {
    let trace = one_two_three();
    all(&trace, "| β mark two\n| α mark one\nα mark three", true);
    all(&trace, "| α mark three\n| β mark two\n| α mark one", true);
    all(&trace, "α mark one\n| α mark three\n| β mark two", true);
    // A line outside comes between.
    all(&trace, "| α mark one\n| α mark three\nβ mark two", false);
    all(&trace, "β mark two\n| α mark one\n| α mark three", false);
    all(&trace, "| α mark three\n| β mark two\nα mark one", false);
    // A comment does not end a block, a blank line does.
    all(
        &trace,
        "| β mark two\n# why\n| α mark one\nα mark three",
        true,
    );
    all(&trace, "| β mark two\n\n| α mark one\nα mark three", false);
    // What the view hides orders as ever.
    let hidden = trace.only_hosts(&["α"]);
    all(&hidden, "α mark three\nα mark one", false);
    all(&hidden, "| α mark three\n| α mark one", true);
}

#[test]
fn a_block_keeps_a_connection_and_its_listener() {
    let trace = ping_pong();
    let lines = plain(&trace);
    let blocked = |order: &[usize]| {
        let lines = order.iter().map(|&index| format!("| {}", lines[index]));
        lines.collect::<Vec<_>>().join("\n")
    };
    all(&trace, &blocked(&[0, 1, 2, 3, 4, 5, 6]), true);
    // The listener's close is in no order with the connection's.
    all(&trace, &blocked(&[0, 1, 2, 5, 3, 4, 6]), true);
    all(&trace, &blocked(&[1, 0, 2, 3, 4, 5, 6]), true);
    for (a, what) in [
        (1, "dial, accept"),
        (2, "accept, connect"),
        (3, "connect, close"),
    ] {
        let mut order = [0, 1, 2, 3, 4, 5, 6];
        order.swap(a, a + 1);
        assert!(trace.check(blocked(&order)).is_err(), "{what}");
    }
    // The listener below its accept, and the end of one side above the other's that it read.
    all(&trace, &blocked(&[1, 2, 0, 3, 4, 5, 6]), false);
    all(&trace, &blocked(&[0, 1, 2, 3, 6, 5, 4]), false);
    for (text, holds) in [
        ("| β:1 connect _\n| α:10 listen", true),
        ("| β:1 connect _\n| α:1 accept _", false),
        ("| β:1 close α:1\n| α:1 close β:1", false),
        ("| α:1 accept _\n| α:10 listen", false),
        ("| α:10 close\n| α:10 listen\n", true),
        ("α:10 close\nα:10 listen\n", false),
        ("| α:10 close\n| α:10 listen\nα:1 accept _", false),
    ] {
        let found = trace.check_contains(text);
        assert_eq!(found.is_ok(), holds, "{text}");
    }
}

#[track_caller]
fn wrong(text: &str, message: Expect) {
    let error = check_syntax(text).expect_err("it parses");
    message.assert_eq(&error.to_string());
}

#[test]
fn the_grammar_of_blocks() {
    check_syntax("| α mark x\n  |\tα:10 listen\n# c\n| β mark y\n\n| β mark z").unwrap();
    wrong(
        "α mark x\n  |",
        expect![[
            r#"line 2, column 4: `|` begins a line of a block: the line of an event follows it, as in `| α mark ready`"#
        ]],
    );
    wrong(
        "|α mark x",
        expect![[
            r#"line 1, column 1: invalid name: "|α" holds '|'; legal are 1 to 64 letters, marks and digits of any script and _ - .; legal is also `_` (any host) or a variable, as in $leader"#
        ]],
    );
    wrong(
        "| α:10 lisen",
        expect![
            "line 1, column 8: `lisen` is not a verb; legal after the address `α:10`: listen, dial, accept, connect, fail, close, shutdown, send, recv"
        ],
    );
    let error = Pattern::parse("| α mark x").unwrap_err();
    expect!["line 1, column 1: a pattern has no blocks; a line that begins with `| ` can stand in assert_trace and assert_contains"].assert_eq(&error.to_string());
}

#[track_caller]
fn says(trace: &Trace, text: &str, hint: &str, is_said: bool) {
    let page = trace.check(text).unwrap_err().to_string();
    assert_eq!(page.contains(hint), is_said, "{hint:?} in\n{page}");
}

#[test]
fn an_order_that_a_block_would_forgive_is_offered_one() {
    let mut w = World::new();
    let a = w.spawn("α");
    for text in ["bytes", "command", "command", "end"] {
        w.mark(a, text);
    }
    w.join(a);
    let trace = w.trace();
    says(
        &trace,
        "α mark command\nα mark bytes\nα mark command\nα mark end",
        "α did `bytes` before `command` in this run; if both orders are right, put `| ` before both",
        true,
    );
    says(
        &trace,
        "# why\nα mark command\nα mark command\nα mark bytes\nα mark end",
        "if both orders are right, put `| ` before lines 2 to 4",
        true,
    );
    // A block that is there grows.
    says(
        &trace,
        "| α mark command\n| α mark bytes\nα mark end\nα mark command",
        "α did `command` before `end` in this run; if both orders are right, put `| ` before both",
        true,
    );
    let offer = "put `| ` before";
    // It isn't the only trouble.
    says(
        &trace,
        "α mark command\nα mark bytes\nα mark command\nα mark stop",
        offer,
        false,
    );
    says(&trace, "α mark command\nα mark bytes", offer, false);
    // No block forgives it.
    let lines = plain(&ping_pong());
    let mut swapped = lines;
    swapped.swap(1, 2);
    says(&ping_pong(), &swapped.join("\n"), offer, false);
    let between = one_two_three();
    says(
        &between,
        "α mark three\nα mark one\nβ mark two",
        "α did `one` before `three` in this run; if both orders are right, put `| ` before lines 1 to 3",
        true,
    );
}

/// In the difference, lines of a block stand as they are written.
#[test]
fn the_difference_shows_blocks() {
    let trace = one_two_three();
    let page = trace
        .check("| β mark two\n| α mark one\nα mark four")
        .unwrap_err()
        .to_string();
    for line in [
        "      | β mark two\n",
        "      | α mark one\n",
        "    - α   mark four\n",
        "    + α   mark three\n",
    ] {
        assert!(page.contains(line), "{line:?} in\n{page}");
    }
    let page = trace
        .check("| α mark three\n| α mark one\nβ mark two")
        .unwrap_err()
        .to_string();
    assert!(
        page.contains("line 1: `α mark three` can't happen above line 3"),
        "{page}"
    );
    assert!(
        page.contains("`α mark three` stands above `β mark two`, which happens before it"),
        "{page}"
    );
}

/// Which events were taken above a block matters to it, not only how many of which kind.
#[test]
fn a_search_for_some_tells_blocks_apart() {
    let trace = marks(&[(3, 0, 0), (0, 0, 1), (0, 1, 1), (2, 0, 3), (2, 0, 9)]);
    trace.assert_contains("β mark x\n_ mark _\n| _ mark _\n| β mark x\n| α mark x");
}
