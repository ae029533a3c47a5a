//! Canonical texts and updates: what is kept of the old text, which ports become variables.

use expect_test::{Expect, expect};

use super::world::{End, T, TEST, World};
use super::{Trace, ping_pong};
use crate::trace::Expectation;
use crate::trace::write::text;

#[track_caller]
fn update(trace: &Trace, old: &str, new: Expect) {
    let parsed = Expectation::parse(old).unwrap();
    let text = text::updated(&trace.graph, trace.scope(), &parsed);
    new.assert_eq(text.as_deref().unwrap_or("(as it is)"));
    if let Some(text) = text {
        trace.assert(&text);
        let parsed = Expectation::parse(&text).unwrap();
        let again = text::updated(&trace.graph, trace.scope(), &parsed);
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
            α:$a accept  β:1
            α:$a close   β:1
            β:1  connect α:$a
            β:1  close   α:$a
            γ:1  dial    α:10
            α:$b accept  γ:1
            α:$b close   γ:1
            γ:1  connect α:$b
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
        let text = text::updated(&of.graph, of.scope(), &empty).unwrap();
        let parsed = Expectation::parse(&text).unwrap();
        for (other, run) in runs().iter().enumerate() {
            let held = run.check(&text);
            assert!(
                held.is_ok(),
                "run {index}'s text in run {other}:\n{text}\n{run}"
            );
            let again = text::updated(&run.graph, run.scope(), &parsed);
            assert_eq!(again, None, "run {index}'s text in run {other}");
        }
    }
}

/// Nor on whether a raced port was free again for the next.
#[test]
fn the_text_does_not_depend_on_who_was_first() {
    let text = two_clients(0, false).to_string();
    for (first, reused) in [(1, false), (0, true), (1, true)] {
        assert_eq!(two_clients(first, reused).to_string(), text);
    }
}

/// Two tasks of one client dial at once; what follows tells them apart, not who was first.
#[test]
fn the_text_does_not_depend_on_which_task_was_first() {
    let run = |first: usize| {
        let mut w = World::new();
        let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
        let listener = w.listen(alpha, 10);
        let tasks = [w.task(beta), w.task(beta)];
        for index in [first, 1 - first] {
            let dial = w.dial(tasks[index], "α:10");
            w.accept(alpha, listener, dial);
            w.connect(tasks[index], dial);
        }
        w.mark(tasks[0], "one");
        w.mark(tasks[1], "two");
        w.join(beta);
        w.join(alpha);
        w.trace().to_string()
    };
    assert_eq!(run(0), run(1));
}

/// Two tasks say the same in another order: what is told of each is told of both, and only where it
/// stands tells them apart.
#[test]
fn the_text_does_not_depend_on_which_of_two_that_say_the_same_was_first() {
    let run = |texts: [[&str; 4]; 2]| {
        let mut w = World::new();
        let alpha = w.spawn("α");
        for texts in texts {
            let task = w.task(alpha);
            for text in texts {
                w.mark(task, text);
            }
        }
        w.join(alpha);
        w.trace().to_string()
    };
    let [a, b] = [["z", "d", "b", "c"], ["z", "d", "c", "b"]];
    assert_eq!(run([a, b]), run([b, a]));
}

/// The same where the choice shows: what each of them leads to stands above the other dial.
#[test]
fn the_text_does_not_depend_on_which_of_two_alike_was_first() {
    let run = |first: usize| {
        let mut w = World::new();
        let (alpha, gamma, beta) = (w.spawn("α"), w.spawn("γ"), w.spawn("β"));
        let listener = w.listen(gamma, 10);
        let (dialing, marking) = ([w.task(beta), w.task(beta)], [w.task(alpha), w.task(alpha)]);
        for index in [first, 1 - first] {
            let dial = w.dial(dialing[index], "γ:10");
            w.accept(gamma, listener, dial);
            w.connect(dialing[index], dial);
            let connected = w.latest(beta);
            w.until(marking[index], connected);
            w.mark(marking[index], ["one", "two"][index]);
        }
        for process in [alpha, beta, gamma] {
            w.join(process);
        }
        w.trace().to_string()
    };
    assert_eq!(run(0), run(1));
}

/// The last dial comes after all that could race with it, but its port is one that raced.
#[test]
fn a_port_that_is_a_raced_ones_again_becomes_a_variable() {
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
    assert_eq!(run(0), run(1));
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
        β:1  close   α:1
        β:$a dial    α:10
        β:$a connect α:2
    "#]]
    .assert_eq(&run(false));
    assert_eq!(run(true), run(false));
}

#[test]
fn raced_literals_that_hold_by_luck_are_replaced() {
    let text = two_clients(0, false).to_string();
    let lucky = text.replace("$a", "1").replace("$b", "2");
    update(
        &two_clients(0, false),
        &lucky,
        expect![[r#"
            α:10 listen
            β:1  dial    α:10
            α:$a accept  β:1
            α:$a close   β:1
            β:1  connect α:$a
            β:1  close   α:$a
            γ:1  dial    α:10
            α:$b accept  γ:1
            α:$b close   γ:1
            γ:1  connect α:$b
            γ:1  close   α:$b
        "#]],
    );
}

#[test]
fn a_new_first_event_is_not_parted_from_the_old_one() {
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
