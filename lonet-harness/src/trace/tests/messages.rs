//! What a failed expectation says: what is wrong and why, one case a way to fail, and one whole page.

use expect_test::{Expect, expect};

use super::world::{TEST, World};
use super::{Trace, ping_pong};

/// The page of an expectation that must not hold.
#[track_caller]
fn page_of(trace: &Trace, text: &str) -> String {
    trace.check(text).expect_err("it holds").to_string()
}

/// The whole page.
#[track_caller]
fn check_page(trace: &Trace, text: &str, page: Expect) {
    page.assert_eq(&page_of(trace, text));
}

/// What is wrong, and why: what stands above the difference, and the hints.
#[track_caller]
fn check(trace: &Trace, text: &str, cause: Expect) {
    let page = page_of(trace, text);
    let (above, rest) = page
        .split_once("\n\nthe nearest order")
        .unwrap_or((&page, ""));
    let hints = rest.split("\n\n").filter(|part| part.starts_with("hint: "));
    let parts: Vec<&str> = std::iter::once(above).chain(hints).collect();
    cause.assert_eq(&format!("{}\n", parts.join("\n\n")));
}

#[test]
fn an_effect_above_its_cause() {
    check(
        &ping_pong(),
        "
        α:10 listen
        β:1  dial    α:10
        β:1  connect α:1
        α:1  accept  β:1
        α:1  close   β:1
        α:10 close
        β:1  close   α:1
        ",
        expect![[r#"
            trace mismatch at line 4: `β:1 connect α:1` can't happen above line 5
            happened instead: α:1 accept β:1

            `β:1 connect α:1` stands above `α:1 accept β:1`, which happens before it:
                α:1 accept β:1
                → β:1 connect α:1    (the same connection: dial, accept, connect)
        "#]],
    );
}

#[test]
fn an_event_is_missing() {
    check(
        &ping_pong(),
        "
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        β    mark    done
        α:1  close   β:1
        α:10 close
        β:1  close   α:1
        ",
        expect![[r#"
            trace mismatch at line 6: `β mark done` did not happen
            happened instead: α:1 close β:1
        "#]],
    );
}

#[test]
fn an_extra_event() {
    check(
        &ping_pong(),
        "
        α:10 listen
        β:1  dial    α:10
        β:1  connect α:1
        α:1  close   β:1
        α:10 close
        β:1  close   α:1
        ",
        expect![[r#"
            trace mismatch at line 4: `β:1 connect α:1` can't happen here
            happened instead: α:1 accept β:1

            `α:1 accept β:1` happens before `β:1 connect α:1`, and no line matches it:
                α:1 accept β:1
                → β:1 connect α:1    (the same connection: dial, accept, connect)
        "#]],
    );
}

#[test]
fn extra_events_are_reported() {
    check(
        &ping_pong(),
        "
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        α:1  close   β:1
        ",
        expect![[r#"
            the expected trace ends, but more happened
            happened instead, in any order:
                α:10 close
                β:1 close α:1
        "#]],
    );
}

#[test]
fn a_dial_refused_because_nothing_ordered_it() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let beta = w.spawn("β");
    let dial = w.dial(beta, "α:10");
    w.fail(beta, dial, "connection refused");
    let _listener = w.listen(alpha, 10);
    w.join(beta);
    w.kill(alpha);
    check_page(
        &w.trace(),
        "
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        ",
        expect![[r##"
            trace mismatch at line 4: `α:1 accept β:1` did not happen
            happened instead: β:1 fail α:10 connection refused

            the nearest order that could happen (- expected, + happened):
                  α:10 listen
                  β:1  dial    α:10
                - α:1  accept  β:1
                - β:1  connect α:1
                + β:1  fail    α:10 connection refused
                + !    kill    α

            hint: `β:1 fail α:10 connection refused`: `α:10 listen` happened, but nothing orders it before the dial; wait for it before the dial: scenario.until("α:10 listen").await?

            to let UPDATE_EXPECT=1 rewrite the expectation, put it into expect![[r#"…"#]] or expect_file![…]
        "##]],
    );
}

/// A port that was used twice is not two ports that raced.
#[test]
fn one_port_twice_is_not_a_race() {
    let mut w = World::new();
    let (alpha, beta) = (w.spawn("α"), w.spawn("β"));
    let listener = w.listen(alpha, 10);
    for _ in 0..2 {
        let dial = w.dial(beta, "α:10");
        w.accept(alpha, listener, dial);
        let end = w.connect(beta, dial);
        w.close(beta, end);
    }
    w.join(beta);
    let expected =
        "β:1 dial α:10\nβ:1 connect _\nβ:1 close _\nβ:2 dial α:10\nβ:2 connect _\nβ:2 close _";
    let mismatch = w.trace().only_hosts(&["β"]).check(expected).unwrap_err();
    assert!(!mismatch.to_string().contains("raced"), "{mismatch}");
}

#[test]
fn ports_swapped_by_a_race() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let listener = w.listen(alpha, 10);
    let listening = w.latest(alpha);
    w.until(TEST, listening);
    let (beta, gamma) = (w.spawn("β"), w.spawn("γ"));
    let (b, g) = (w.dial(beta, "α:10"), w.dial(gamma, "α:10"));
    w.accept(alpha, listener, g);
    w.accept(alpha, listener, b);
    w.connect(beta, b);
    w.connect(gamma, g);
    w.join(beta);
    w.join(gamma);
    check(
        &w.trace(),
        "
        α:10 listen
        β:1  dial    α:10
        γ:1  dial    α:10
        α:1  accept  β:1
        α:2  accept  γ:1
        β:1  connect α:1
        γ:1  connect α:2
        ",
        expect![[r#"
            trace mismatch at line 5: `α:1 accept β:1` did not happen
            happened instead, in any order:
                α:1 accept γ:1
                α:2 accept β:1

            hint: same order, ports swapped (α:1 ↔ α:2): these two raced; bind them (`$p`) or order them with `until`
        "#]],
    );
}

#[test]
fn a_wrong_cause_text() {
    let mut w = World::new();
    let beta = w.spawn("β");
    let dial = w.dial(beta, "α:10");
    w.fail(beta, dial, "no such host");
    w.join(beta);
    check(
        &w.trace(),
        "β:1 dial α:10\nβ:1 fail α:10 connection refused",
        expect![[r#"
            trace mismatch at line 2: `β:1 fail α:10 connection refused` did not happen
            happened instead: β:1 fail α:10 no such host

            hint: `β:1 fail α:10 no such host` happened: only the text differs
        "#]],
    );
}

#[test]
fn concurrent_with_the_assertion() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let one = w.mark(alpha, "one");
    w.until(TEST, one);
    w.mark(alpha, "two");
    check(
        &w.trace(),
        "α mark one\nα mark two",
        expect![[r#"
            trace mismatch at line 2: `α mark two` happened, but concurrent with the assertion
            nothing more happened

            hint: `α mark two` happened concurrently with the assertion, which sees only what happens before it; wait for it with scenario.until("α mark two").await?, or end α first with its node's join(), terminate() or kill()
        "#]],
    );
}

#[test]
fn a_role_that_died_half_way() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    w.mark(alpha, "one");
    let exit = w.exit(alpha, "101");
    w.until(TEST, exit);
    check(
        &w.trace(),
        "α mark one\nα mark two",
        expect![[r#"
            trace mismatch at line 2: `α mark two` did not happen
            nothing more happened

            hint: α's process ended with status 101
        "#]],
    );
}

#[test]
fn outside_the_view() {
    check(
        &ping_pong(),
        "α up",
        expect![[r#"
            trace mismatch at line 1: `α up` happened, but outside this view
            happened instead: α:10 listen

            hint: `α up` happened, but this view leaves it out; trace().with_lifecycle() includes it
        "#]],
    );
}

#[test]
fn a_variable_that_stands_for_something_else() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    w.mark(alpha, "term=1");
    w.mark(alpha, "term=2");
    w.join(alpha);
    check(
        &w.trace(),
        "α mark term=$t\nα mark term=$t",
        expect![[r#"
            trace mismatch at line 2: `α mark term=$t` happened only once, matched by a line above
            happened instead: α mark term=2

            hint: `α mark term=2` matches, but `$t` is already bound to 1
        "#]],
    );
}

#[test]
fn contains_names_the_line_of_the_effect() {
    let expected = "α:10 listen\nα:1 close β:1\nα:1 accept β:1";
    let mismatch = ping_pong().check_contains(expected).unwrap_err();
    let page = mismatch.to_string();
    let head: Vec<&str> = page.lines().take(8).collect();
    expect![[r#"
        trace mismatch at line 3: `α:1 accept β:1` can't happen below line 2
        `α:1 accept β:1` happens before `α:1 close β:1`, which a line above matches:
            α:1 accept β:1
            → α:1 close β:1    (the same socket)

        what happened (concurrent events stand in some order):
                 α                 β
                 │                 │"#]]
    .assert_eq(&head.join("\n"));
}

/// So many marks, of which the first few lines tell.
fn many_marks(marks: usize) -> Trace {
    let mut w = World::new();
    let alpha = w.spawn("α");
    for mark in 0..marks {
        w.mark(alpha, &format!("m{mark}"));
    }
    w.join(alpha);
    w.trace()
}

#[test]
fn a_difference_leaves_out_what_is_far_from_it() {
    let marks: Vec<usize> = (0..10).filter(|&mark| mark != 5).collect();
    let told: Vec<String> = marks.iter().map(|mark| format!("α mark m{mark}")).collect();
    let page = page_of(&many_marks(10), &told.join("\n"));
    let mut parts = page.split("\n\n");
    let difference = parts.find(|part| part.starts_with("the nearest order"));
    expect![[r#"
        the nearest order that could happen (- expected, + happened):
              …
              α mark m2
              α mark m3
              α mark m4
            + α mark m5
              α mark m6
              α mark m7
              α mark m8
              …"#]]
    .assert_eq(difference.expect("something differs"));
}

#[test]
fn a_page_is_bounded_however_much_happened() {
    let page = many_marks(400).check("α mark m0\nα mark m1").unwrap_err();
    let page = page.to_string();
    assert!(page.lines().count() < 300, "{page}");
    assert!(
        page.contains("… and 300 more lines, of which 300 differ"),
        "{page}"
    );
}

#[test]
fn a_cut_line_says_how_much_is_missing() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    w.mark(alpha, &"x".repeat(50_000));
    w.join(alpha);
    let page = w.trace().check("").unwrap_err().to_string();
    assert!(page.len() < 10_000, "{} bytes", page.len());
    assert!(page.contains(" more characters)"), "{page}");
}

#[test]
fn a_diagram_quotes_what_would_move_the_cursor() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    w.mark(alpha, "\u{1b}[31mred");
    w.join(alpha);
    let page = w.trace().check("").unwrap_err().to_string();
    assert!(!page.contains('\u{1b}'), "{page}");
}

#[test]
fn a_hint_is_rust_code() {
    let mut w = World::new();
    let alpha = w.spawn("α");
    let one = w.mark(alpha, "one");
    w.until(TEST, one);
    w.mark(alpha, "$x");
    let page = w.trace().check("α mark one\nα mark \"$x\"").unwrap_err();
    let page = page.to_string();
    let code = r#"scenario.until("α mark \"$x\"").await?"#;
    assert!(page.contains(code), "{page}");
}
