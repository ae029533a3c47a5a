//! Canonical texts and updates: what is kept of the old text, which ports become variables.

use expect_test::{Expect, expect};

use super::world::{End, T, TEST, World};
use super::{Trace, ping_pong};
use crate::trace::Expectation;
use crate::trace::write::text;

#[track_caller]
fn update(trace: &Trace, old: &str, new: Expect) {
    let parsed = Expectation::parse(old).unwrap();
    let text = text::updated(&trace.cut.graph, trace.cut.scope(), &parsed);
    new.assert_eq(text.as_deref().unwrap_or("(as it is)"));
    if let Some(text) = text {
        trace.assert(&text);
        let parsed = Expectation::parse(&text).unwrap();
        let again = text::updated(&trace.cut.graph, trace.cut.scope(), &parsed);
        assert_eq!(again, None, "an update wants another");
    }
}

#[test]
fn what_holds_stays_as_it_is() {
    let old = "# as one likes it\n  α:10 listen\n_ dial _\nα:1 accept β:1\n β:1 connect α:1\n\nα:1 close β:1\nβ:1 close α:1\nα:10 close\n";
    update(&ping_pong(), old, expect!["(as it is)"]);
}

#[test]
fn comments_and_legal_orders_stay() {
    update(
        &ping_pong(),
        "
            # the server is up first

            α:10 listen
            # then the client
            β:1 dial α:10
            β:1 connect α:1
            β mark gone

            # the client is done first
            β:1 close α:1
            α:10 close
            # the end
        ",
        expect![[r#"
            # the server is up first

            α:10 listen
            # then the client
            β:1  dial    α:10
            α:1  accept  β:1
            β:1  connect α:1
            α:1  close   β:1

            # the client is done first
            β:1  close   α:1
            α:10 close
            # the end
        "#]],
    );
}

#[test]
fn wildcards_and_variables_stay() {
    update(
        &ping_pong(),
        "α:10 listen\n$c:1 dial _\nα:$p accept $c:1\nα:$p close $c:1",
        expect![[r#"
            α:10 listen
            $c:1 dial    _
            α:$p accept  $c:1
            β:1  connect α:1
            α:$p close   $c:1
            α:10 close
            β:1  close   α:1
        "#]],
    );
}

/// A server and two clients; `first` says whose dial is accepted first, and `reused` whether the
/// first connection is closed before the second is accepted.
fn two_clients(first: usize, reused: bool) -> Trace {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let listener = w.listen(alpha, 10);
    let listening = w.latest(alpha);
    w.until(TEST, listening);
    let clients = [w.spawn("β"), w.spawn("γ")];
    let dials = clients.map(|client| w.dial(client, "α:10"));
    let mut ends: Vec<(T, End, End)> = Vec::new();
    for index in [first, 1 - first] {
        let server = w.accept(alpha, listener, dials[index]);
        let handler = w.task(alpha);
        let client = w.connect(clients[index], dials[index]);
        ends.push((clients[index], server, client));
        if reused {
            w.close(handler, server);
        }
    }
    for (task, server, client) in ends {
        if !reused {
            let handler = w.task(alpha);
            w.close(handler, server);
        }
        w.read(task, client, 0);
        w.close(task, client);
    }
    for task in clients {
        w.join(task);
    }
    w.join(alpha);
    w.trace()
}

#[test]
fn raced_ports_become_variables() {
    update(
        &two_clients(0, false),
        "",
        expect![[r#"
            α:10 listen
            β:1  dial    α:10
            γ:1  dial    α:10
            α:$a accept  β:1
            β:1  connect α:$a
            α:$b accept  γ:1
            γ:1  connect α:$b
            α:$a close   β:1
            β:1  close   α:$a
            α:$b close   γ:1
            γ:1  close   α:$b
        "#]],
    );
}

/// Update on one run, then never fail nor want another update.
#[test]
fn an_update_holds_in_every_run() {
    let runs = || [(0, false), (1, false), (0, true), (1, true)].map(|(f, r)| two_clients(f, r));
    let empty = Expectation::parse("").unwrap();
    for (index, of) in runs().iter().enumerate() {
        let text = text::updated(&of.cut.graph, of.cut.scope(), &empty).unwrap();
        let parsed = Expectation::parse(&text).unwrap();
        for (other, run) in runs().iter().enumerate() {
            let held = run.check(&text);
            assert!(
                held.is_ok(),
                "run {index}'s text in run {other}:\n{text}\n{run}"
            );
            let again = text::updated(&run.cut.graph, run.cut.scope(), &parsed);
            assert_eq!(again, None, "run {index}'s text in run {other}");
        }
    }
}

/// What is new is written as it happened, also where it says the same.
#[test]
fn a_text_tells_what_happened_by_the_clock() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let other = w.task(alpha);
    w.mark(other, "z");
    w.mark(alpha, "b");
    w.mark(other, "a");
    w.mark(alpha, "z");
    w.join(alpha);
    let text = "α mark z\nα mark b\nα mark a\nα mark z\n";
    assert_eq!(w.trace().to_string(), text);
}

/// Two messages came in one read: they are written as if they had come apart.
#[test]
fn coalesced_reads_are_written_as_if_they_had_come_apart() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen(alpha, 10);
    let dial = w.dial(beta, "α:10");
    let server = w.accept(alpha, listener, dial);
    let client = w.connect(beta, dial);
    w.write(alpha, server, 7);
    let serving = w.mark(alpha, "serving");
    w.write(alpha, server, 5);
    w.read(beta, client, 12);
    let heard = w.mark(beta, "heard");
    w.join(alpha);
    w.join(beta);
    let trace = w.trace();
    let event = |id| {
        trace
            .cut
            .graph
            .event(trace.cut.graph.node(id).unwrap())
            .unwrap()
    };
    assert!(trace.happens_before(&event(serving), &event(heard)));
    assert!(!trace.concurrent(&event(serving), &event(heard)));
    let marks = trace.only_verbs(&[lonet::trace::Verb::Mark]);
    assert_eq!(marks.to_string(), "α mark serving\nβ mark heard\n");
    // In another run the second message came later, and nobody waited for it.
    marks.assert("β mark heard\nα mark serving\n");
}

/// A new line comes by the clock, once its causes stand above; lines that stay keep their order.
#[test]
fn a_new_line_waits_for_its_causes() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    w.mark(alpha, "c");
    w.mark(beta, "early");
    w.mark(alpha, "n");
    w.mark(beta, "x");
    w.join(alpha);
    w.join(beta);
    let old = "
        # what it is about
        β mark early
        # of x
        β mark x
        # of c
        α mark c
        # the end
    ";
    update(
        &w.trace(),
        old,
        expect![[r#"
            # what it is about
            β mark early
            # of x
            β mark x
            # of c
            α mark c
            α mark n
            # the end
        "#]],
    );
    update(
        &w.trace(),
        "# the text\n\n# of x\nβ mark x\nα mark n",
        expect![[r#"
            # the text

            # of x
            α mark c
            β mark early
            β mark x
            α mark n
        "#]],
    );
}

/// The last dial comes after all that could race with it, but its port is one that raced.
#[test]
fn a_reused_raced_port_becomes_a_variable() {
    let run = |first: usize| {
        let mut w = World::new();
        let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
        let listener = w.listen(alpha, 10);
        let tasks = [w.task(beta), w.task(beta)];
        let mut dials = Vec::new();
        for index in [first, 1 - first] {
            dials.push(w.dial(tasks[index], ["α:20", "α:10"][index]));
        }
        let (failing, connecting) = (dials[first], dials[1 - first]);
        w.fail(tasks[0], failing, "connection refused");
        w.accept(alpha, listener, connecting);
        w.connect(tasks[1], connecting);
        let connected = w.latest(beta);
        w.until(tasks[0], connected);
        w.dial(tasks[0], "α:30");
        w.join(beta);
        w.join(alpha);
        w.trace().only_hosts(&["β"]).to_string()
    };
    assert!(run(0).contains("β:$c dial    α:30"), "{}", run(0));
}

/// The second dial follows the first, but its port depends on whether that was free again.
#[test]
fn a_port_that_races_with_a_close_becomes_a_variable() {
    let run = |reused: bool| {
        let mut w = World::new();
        let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
        let listener = w.listen(alpha, 10);
        let closer = w.task(beta);
        let dial = w.dial(beta, "α:10");
        w.accept(alpha, listener, dial);
        let end = w.connect(beta, dial);
        if reused {
            w.close(closer, end);
        }
        let dial = w.dial(beta, "α:10");
        w.accept(alpha, listener, dial);
        w.connect(beta, dial);
        if !reused {
            w.close(closer, end);
        }
        w.join(beta);
        w.join(alpha);
        w.trace().only_hosts(&["β"]).to_string()
    };
    expect![[r#"
        β:1  dial    α:10
        β:1  connect α:1
        β:$a dial    α:10
        β:$a connect α:2
        β:1  close   α:1
    "#]]
    .assert_eq(&run(false));
    assert!(run(true).contains("β:$a dial"), "{}", run(true));
}

#[test]
fn raced_literals_that_hold_by_luck_are_left_alone() {
    let text = two_clients(0, false).to_string();
    let lucky = text.replace("$a", "1").replace("$b", "2");
    update(&two_clients(0, false), &lucky, expect!["(as it is)"]);
}

#[test]
fn a_new_first_event_stays_next_to_the_old_one() {
    update(
        &ping_pong(),
        "
            β:1 dial α:10
            α:1 accept β:1
            β:1 connect α:1

            α:1 close β:1
            β:1 close α:1
            α:10 close
        ",
        expect![[r#"
            α:10 listen
            β:1  dial    α:10
            α:1  accept  β:1
            β:1  connect α:1

            α:1  close   β:1
            β:1  close   α:1
            α:10 close
        "#]],
    );
}
