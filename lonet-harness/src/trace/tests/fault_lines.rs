//! How the lines of faults are written, parsed and matched, and what views and updates do with them.

use expect_test::expect;
use lonet::trace::Verb;
use proptest::prelude::*;

use super::faults::{Connected, connected, whole};
use super::world::{TEST, World};
use crate::trace::{Pattern, Trace};

/// One of each, with all ways to name ends.
fn of_each() -> Trace {
    let Connected {
        mut w,
        alpha,
        beta,
        server,
        ..
    } = connected();
    for (verb, from, text) in [
        (Verb::Partition, "α,β", "_"),
        (Verb::Partition, "γ:1", "δ"),
        (Verb::Cut, "α", "β"),
        (Verb::Delay, "α", "β 5000us"),
        (Verb::Slice, "β", "α:10,γ 3"),
        (Verb::Limit, "_", "β 100"),
        (Verb::Refuse, "β", "α"),
        (Verb::Heal, "α,β", "_"),
    ] {
        w.fault(TEST, verb, from, text);
    }
    w.reset(TEST, server);
    w.vanish(alpha);
    whole(&mut w, &[beta])
}

#[test]
fn each_fault_is_a_line_of_the_default_view() {
    let trace = of_each();
    expect![[r#"
        α:10 listen
        β:1  dial      α:10
        α:1  accept    β:1
        β:1  connect   α:1
        !    partition α,β _
        !    partition γ:1 δ
        !    cut       α β
        !    delay     α β 5000us
        !    slice     β α:10,γ 3
        !    limit     _ β 100
        !    refuse    β α
        !    heal      α,β _
        !    reset     α:1 β:1
        !    vanish    α
    "#]]
    .assert_eq(&trace.to_string());
    trace.assert(trace.to_string());
    for event in trace.events() {
        let line = event.to_string();
        assert!(Pattern::parse(&line).unwrap().matches(event), "{line}");
    }
}

#[test]
fn a_view_of_some_hosts_keeps_the_faults_that_name_one() {
    let shown = |hosts: &[&str]| {
        let trace = of_each().only_hosts(hosts);
        let lines = trace.events().iter().map(ToString::to_string);
        lines
            .filter(|line| line.starts_with('!'))
            .collect::<Vec<_>>()
            .join("\n")
    };
    expect![[r#"
        ! partition α,β _
        ! partition γ:1 δ
        ! slice β α:10,γ 3
        ! limit _ β 100
        ! heal α,β _"#]]
    .assert_eq(&shown(&["γ"]));
    expect![[r#"
        ! partition α,β _
        ! limit _ β 100
        ! heal α,β _"#]]
    .assert_eq(&shown(&["none"]));
    expect![[r#"
        ! partition α,β _
        ! cut α β
        ! delay α β 5000us
        ! slice β α:10,γ 3
        ! limit _ β 100
        ! refuse β α
        ! heal α,β _
        ! reset α:1 β:1"#]]
    .assert_eq(&shown(&["β"]));
}

/// Whether the text holds of a mark of α and that fault, and its line matches that fault.
#[track_caller]
fn holds(expected: &str, verb: Verb, (from, text): (&str, &str), is_right: bool) {
    let mut w = World::new();
    let alpha = w.spawn("α");
    w.mark(alpha, "leader");
    w.fault(TEST, verb, from, text);
    let trace = whole(&mut w, &[alpha]);
    let found = trace.check(expected);
    assert_eq!(found.is_ok(), is_right, "{expected}\n{trace}");
    let line = expected.lines().find(|line| line.starts_with('!')).unwrap();
    let event = trace
        .events()
        .iter()
        .find(|event| event.verb() == verb)
        .unwrap();
    if !expected.contains('$') {
        let pattern = Pattern::parse(line).unwrap();
        assert_eq!(pattern.matches(event), is_right, "{line} of {event}");
    }
}

#[test]
fn what_the_ends_of_a_line_match() {
    use Verb::{Delay, Heal, Partition, Slice};
    for (line, verb, ends, is_right) in [
        ("! partition α _", Partition, ("α", "_"), true),
        ("! partition   α   β", Partition, ("α", "β"), true),
        ("! partition β α", Partition, ("α", "β"), false),
        ("! partition _ _", Partition, ("α,β:1", "_"), true),
        ("! partition α β", Partition, ("α", "_"), false),
        ("! partition α,β:1 _", Partition, ("α,β:1", "_"), true),
        ("! partition α,β:2 _", Partition, ("α,β:1", "_"), false),
        ("! partition α,β _", Partition, ("α,β:1", "_"), false),
        ("! partition α _", Partition, ("α,β:1", "_"), false),
        ("! partition _,β:_ _", Partition, ("α,β:1", "_"), true),
        ("! partition α:_ _", Partition, ("α", "_"), false),
        ("! heal α _", Heal, ("α", "_"), true),
        ("! delay α β 5000us", Delay, ("α", "β 5000us"), true),
        ("! delay α β 500us", Delay, ("α", "β 5000us"), false),
        ("! delay α β _", Delay, ("α", "β 5000us"), true),
        ("! slice α β 3", Slice, ("α", "β 3"), true),
        ("! slice α _ _", Slice, ("α", "β 3"), true),
        // A variable is one host, the same everywhere.
        ("! partition $leader _", Partition, ("α", "_"), true),
        ("! partition $leader _", Partition, ("β", "_"), false),
        ("! partition $leader _", Partition, ("_", "β"), false),
        ("! partition $leader _", Partition, ("α,β", "_"), false),
        ("! partition $leader _", Partition, ("α:1", "_"), false),
        (
            "! partition $leader:$p $other",
            Partition,
            ("α:1", "β"),
            true,
        ),
        (
            "! partition $leader,$other _",
            Partition,
            ("α,β", "_"),
            true,
        ),
        (
            "! partition $leader,$other _",
            Partition,
            ("α,α", "_"),
            false,
        ),
        (
            "! partition $other,$leader _",
            Partition,
            ("α,β", "_"),
            false,
        ),
        ("! delay $leader β $d", Delay, ("α", "β 5000us"), true),
        ("! delay $leader β $leader", Delay, ("α", "β 5000us"), false),
    ] {
        holds(
            &format!("$leader mark leader\n{line}"),
            verb,
            ends,
            is_right,
        );
    }
    // All others are not a host.
    holds(
        "α mark leader\n! partition $x β",
        Verb::Partition,
        ("_", "β"),
        false,
    );
    // One that nothing else names is found, too.
    holds(
        "α mark leader\n! partition $x,$y $z",
        Verb::Partition,
        ("β,γ", "δ"),
        true,
    );
    holds(
        "α mark leader\n! partition $x,$y $x",
        Verb::Partition,
        ("β,γ", "δ"),
        false,
    );
}

/// Where the search is given up, each variable alone is tried with all hosts: with those, too, that only
/// a fault names.
#[test]
fn a_host_that_only_a_fault_names_is_tried() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    for _ in 0..3 {
        w.mark(alpha, "x");
    }
    w.fault(TEST, Verb::Partition, "γ", "_");
    let trace = whole(&mut w, &[alpha]);
    let text = "_ mark x\n_ mark x\n_ mark x\n! partition $g _";
    let parsed = crate::trace::Expectation::parse(text).unwrap();
    let (graph, scope) = (&trace.cut.graph, trace.cut.scope());
    assert_eq!(
        crate::trace::check::alone::most_lines(graph, scope, &parsed),
        4
    );
}

#[test]
fn a_wildcard_of_an_old_text_stays_and_new_lines_are_written_as_given() {
    let Connected {
        mut w, alpha, beta, ..
    } = connected();
    w.fault(TEST, Verb::Partition, "α", "_");
    w.mark(beta, "new");
    w.fault(TEST, Verb::Heal, "α", "_");
    let trace = whole(&mut w, &[alpha, beta]);
    let old = "α:10 listen\n# The leader is alone.\n! partition $leader _\n";
    let old = crate::trace::Expectation::parse(old).unwrap();
    let (graph, scope) = (&trace.cut.graph, trace.cut.scope());
    let new = crate::trace::write::text::updated(graph, scope, &old).unwrap();
    expect![[r#"
        α:10 listen
        β:1  dial      α:10
        α:1  accept    β:1
        β:1  connect   α:1
        # The leader is alone.
        !    partition $leader _
        β    mark      new
        !    heal      α _
    "#]]
    .assert_eq(&new);
    trace.assert(new);
}

/// What the test did is not brought in by the end of a process.
#[test]
fn a_concurrent_fault_is_awaited() {
    let Connected {
        mut w,
        alpha,
        beta,
        server,
        ..
    } = connected();
    let driver = w.task(TEST);
    w.fault(driver, Verb::Partition, "α", "_");
    w.reset(driver, server);
    let trace = whole(&mut w, &[alpha, beta]).only_verbs(&[Verb::Partition, Verb::Reset]);
    for line in ["! partition α _", "! reset α:1 β:1"] {
        let message = trace.check(line).unwrap_err().to_string();
        assert!(
            message.contains(&format!(
                "`{line}` happened concurrently with the assertion, which sees only what happens \
                 before it; wait for it with scenario.until(\"{line}\").await?\n"
            )),
            "{message}"
        );
    }
}

/// Two dials race for β's ports, and the connection of one is reset.
#[test]
fn the_raced_ports_of_a_reset_are_variables() {
    let mut texts = Vec::new();
    for first in [true, false] {
        let mut w = World::new();
        let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
        let other = w.task(beta);
        let tasks = if first { [beta, other] } else { [other, beta] };
        let listener = w.listen(alpha, 10);
        let dials = tasks.map(|task| (task, w.dial(task, "α:10")));
        let mut ends = Vec::new();
        for (task, dial) in dials {
            let end = w.accept(alpha, listener, dial);
            w.connect(task, dial);
            ends.push((task, end));
        }
        let (_, end) = ends.into_iter().find(|(task, _)| *task == beta).unwrap();
        w.reset(TEST, end);
        w.mark(beta, "done");
        let trace = whole(&mut w, &[alpha, beta]);
        texts.push((trace.to_string(), trace));
    }
    let (text, _) = &texts[0];
    expect![[r#"
        α:10 listen
        β:$a dial    α:10
        β:$b dial    α:10
        α:$c accept  β:$a
        β:$a connect α:$c
        α:$d accept  β:$b
        β:$b connect α:$d
        !    reset   α:$c β:$a
        β    mark    done
    "#]]
    .assert_eq(text);
    for (text, _) in &texts {
        for (_, trace) in &texts {
            trace.assert(text.clone());
        }
    }
}

/// Of several connections that had the same addresses one after the other, a reset is of the latest.
#[test]
fn a_reset_is_of_the_latest_connection_with_its_addresses() {
    let Connected {
        mut w,
        alpha,
        beta,
        server,
        client,
    } = connected();
    w.close(beta, client);
    w.read(alpha, server, 0);
    w.close(alpha, server);
    // From here on β's tasks race.
    let (one, two) = (w.task(beta), w.task(beta));
    let listener = w.listen(alpha, 11);
    let dials = [one, two].map(|task| (task, w.dial(task, "α:11")));
    let ends = dials.map(|(task, dial)| {
        let end = w.accept(alpha, listener, dial);
        w.connect(task, dial);
        end
    });
    w.reset(TEST, ends[0]);
    let trace = whole(&mut w, &[alpha, beta]);
    let text = trace.to_string();
    expect![[r#"
        α:10 listen
        β:$a dial    α:10
        α:1  accept  β:$a
        β:$a connect α:1
        β:$a close   α:1
        α:1  close   β:$a
        α:11 listen
        β:$b dial    α:11
        β:$c dial    α:11
        α:$d accept  β:$b
        β:$b connect α:$d
        α:$e accept  β:$c
        β:$c connect α:$e
        !    reset   α:$d β:$b
    "#]]
    .assert_eq(&text);
    trace.assert(text);
}

fn an_end() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        "[a-z]{1,3}",
        Just("α".to_owned()),
        Just("東京-1.x".to_owned())
    ];
    (host, prop::option::of(1u16..)).prop_map(|(host, port)| match port {
        None => host,
        Some(port) => format!("{host}:{port}"),
    })
}

fn a_side() -> impl Strategy<Value = String> {
    let several = prop::collection::vec(an_end(), 1..4);
    prop_oneof![
        several.prop_map(|ends| ends.join(",")),
        Just("_".to_owned())
    ]
}

proptest! {
    #![proptest_config(super::cases(300))]

    #[test]
    fn any_fault_prints_as_a_line_that_matches_it(
        faults in prop::collection::vec((0usize..7, a_side(), a_side(), any::<u64>()), 1..5),
    ) {
        use Verb::{Cut, Delay, Heal, Limit, Partition, Refuse, Slice};
        let mut w = World::new();
        for (which, from, to, number) in faults {
            let verb = [Partition, Cut, Delay, Slice, Limit, Refuse, Heal][which];
            let text = match verb {
                Delay => format!("{to} {number}us"),
                Slice | Limit => format!("{to} {number}"),
                _ => to,
            };
            w.fault(TEST, verb, &from, &text);
        }
        let trace = w.trace();
        for event in trace.events() {
            let line = event.to_string();
            let pattern = Pattern::parse(&line);
            prop_assert!(pattern.is_ok(), "{}: {:?}", line, pattern);
            prop_assert!(pattern.unwrap().matches(event), "{}", line);
        }
        let text = trace.to_string();
        prop_assert!(trace.check(&text).is_ok(), "{}", text);
    }
}
