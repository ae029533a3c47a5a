//! Every edit against an order that holds in every run is rejected, and no other is: strands, shared
//! streams, and blocks of both. The truth is the simulation's own; blocks of random lines are `blocks`'
//! matter.

use super::Trace;
use super::oracle::{holds, plain, rejected};
use super::simulation::{Allowed, numbers, simulate};
use super::world::World;

/// How far a line is moved up at most.
const FAR: usize = 4;

/// A line moved above another one, which is above it.
fn moved(lines: &[String], from: usize, to: usize) -> Vec<String> {
    let mut moved = lines.to_vec();
    let line = moved.remove(from);
    moved.insert(to, line);
    moved
}

#[test]
fn mutations_against_strands() {
    let (mut refused, mut accepted, mut across) = (0, 0, 0);
    for seed in 0..12 {
        let allowed = Allowed {
            untraced: false,
            unique: true,
        };
        let world = simulate(&numbers(seed + 900, 120), allowed);
        let trace = Trace::whole(std::sync::Arc::new(world.graph()));
        let (events, lines) = (trace.events(), plain(&trace));
        let unique = |line: &String| lines.iter().filter(|other| *other == line).count() == 1;
        let truly = |a: usize, b: usize| world.truth[&events[b].id()].contains(&events[a].id());
        for below in 0..lines.len() {
            for above in below.saturating_sub(FAR)..below {
                if !lines[above..=below].iter().all(unique) {
                    continue;
                }
                let text = moved(&lines, below, above);
                if (above..below).any(|line| truly(line, below)) {
                    rejected(&trace, &text, "an effect above its cause");
                    refused += 1;
                } else {
                    assert!(holds(&trace, &text), "{}\nof\n{trace}", text.join("\n"));
                    let in_run = trace.happens_before(&events[above], &events[below]);
                    accepted += 1;
                    across += usize::from(in_run);
                }
            }
        }
    }
    // `across`: one strand after the other in this run, by chance.
    assert!(
        refused > 100 && accepted > 100 && across > 10,
        "{refused} refused, {accepted} accepted, {across} of them across strands"
    );
}

/// One task serves two racing clients, one after the other.
fn two_served() -> Trace {
    let mut w = World::new();
    let (server, one, two) = (w.spawn("s"), w.spawn("a"), w.spawn("b"));
    let listener = w.listen(server, 10);
    for client in [one, two] {
        let dial = w.dial(client, "s:10");
        let theirs = w.accept(server, listener, dial);
        let ours = w.connect(client, dial);
        w.mark(client, "asks");
        w.write(client, ours, 1);
        w.read(server, theirs, 1);
        w.mark(server, "serves");
        w.close(server, theirs);
        w.read(client, ours, 0);
        w.close(client, ours);
    }
    w.close_listener(server, listener);
    for task in [one, two, server] {
        w.join(task);
    }
    w.trace()
}

const ONE: [&str; 7] = [
    "a:1 dial s:10",
    "s:$p accept a:1",
    "a:1 connect s:$p",
    "a mark asks",
    "s mark serves",
    "s:$p close a:1",
    "a:1 close s:$p",
];
const TWO: [&str; 7] = [
    "b:1 dial s:10",
    "s:$q accept b:1",
    "b:1 connect s:$q",
    "b mark asks",
    "s mark serves",
    "s:$q close b:1",
    "b:1 close s:$q",
];

fn served(parts: [&[&str]; 2], bar: &str) -> String {
    let lines = parts.concat();
    let lines = lines.iter().map(|line| format!("{bar}{line}\n"));
    format!("s:10 listen\n{}\ns:10 close", lines.collect::<String>())
}

#[test]
fn clients_of_one_task_keep_their_chains_in_either_order() {
    let trace = two_served();
    for bar in ["", "| "] {
        trace.assert(served([&ONE, &TWO], bar));
        trace.assert(served([&TWO, &ONE], bar));
        for strand in [ONE, TWO] {
            let other = if strand == ONE { &TWO } else { &ONE };
            // What belongs to the connection; a mark is in its order outside of a block alone.
            for at in 0..6 {
                let mut swapped = strand;
                swapped.swap(at, at + 1);
                let marks = [strand[at], strand[at + 1]].join(" ").contains(" mark ");
                let expected = served([&swapped, other], bar);
                let holds = trace.check(&expected).is_ok();
                assert_eq!(holds, !bar.is_empty() && marks, "{expected}");
            }
        }
    }
    // The listener is above its accepts, and below the block is below.
    let blocked = served([&ONE, &TWO], "| ");
    let closed = blocked
        .replace("\ns:10 close", "")
        .replace("s:10 listen", "s:10 close");
    for wrong in [
        blocked.replacen("s:10 listen\n", "", 1) + "\ns:10 listen",
        closed + "\ns:10 listen",
    ] {
        assert!(trace.check(&wrong).is_err(), "{wrong}");
    }
}

/// Two tasks write one stream, and the last to let go of it drops it: whose bytes come first is chance,
/// and so is who closes it.
#[test]
fn mutations_against_a_shared_stream() {
    let run = |is_shared: bool| {
        let mut w = World::new();
        let (server, client) = (w.spawn("s"), w.spawn("c"));
        let other = w.task(client);
        let listener = w.listen(server, 10);
        let dial = w.dial(client, "s:10");
        let theirs = w.accept(server, listener, dial);
        let ours = w.connect(client, dial);
        w.mark(client, "one");
        w.write(client, ours, 1);
        w.mark(other, "two");
        w.write(if is_shared { other } else { client }, ours, 1);
        w.read(server, theirs, 1);
        w.mark(server, "hears");
        w.mark(client, "leaves");
        w.unordered(client, is_shared);
        w.close(client, ours);
        w.unordered(client, false);
        w.mark(client, "later");
        w.read(server, theirs, 1);
        w.read(server, theirs, 0);
        w.mark(server, "ended");
        w.close(server, theirs);
        for task in [client, server] {
            w.join(task);
        }
        w.trace()
    };
    let lines = [
        "s:10 listen",
        "c:1 dial s:10",
        "s:1 accept c:1",
        "c:1 connect s:1",
        "c mark one",
        "c mark two",
        "s mark hears",
        "c mark leaves",
        "c:1 close s:1",
        "c mark later",
        "s mark ended",
        "s:1 close c:1",
    ];
    let lines = lines.map(str::to_owned);
    let place = |line: &str| lines.iter().position(|other| other == line).unwrap();
    // In order for certain whether tasks share the stream or not, and only if they don't.
    let always = [
        ("c:1 connect s:1", "c mark one"),
        ("c mark one", "c mark leaves"),
        ("c mark leaves", "c mark later"),
        ("c:1 connect s:1", "c:1 close s:1"),
        ("c:1 close s:1", "s mark ended"),
        ("c mark one", "s mark ended"),
        ("s mark hears", "s mark ended"),
        ("s mark ended", "s:1 close c:1"),
    ];
    let alone = [
        ("c mark one", "s mark hears"),
        ("c mark leaves", "c:1 close s:1"),
        ("c:1 close s:1", "c mark later"),
    ];
    for is_shared in [false, true] {
        let trace = run(is_shared);
        trace.assert(lines.join("\n"));
        for (cause, effect) in always {
            let text = moved(&lines, place(effect), place(cause));
            assert!(!holds(&trace, &text), "{effect} above {cause}");
        }
        for (cause, effect) in alone {
            let text = moved(&lines, place(effect), place(cause));
            assert_eq!(holds(&trace, &text), is_shared, "{effect} above {cause}");
        }
        // The other task's mark is in no order with what was heard.
        trace.assert_contains("s mark hears\nc mark two");
    }
}
