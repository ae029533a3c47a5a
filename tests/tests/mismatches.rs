//! What a failed expectation says, of real scenarios: what is wrong and why, one case a way to
//! fail, and one whole page. Nothing in a page depends on timing, so nothing is redacted here; logs
//! and places are `failing.rs`'s.

use expect_test::{Expect, expect};
use lonet::Host;
use lonet_harness::{Mismatch, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut conn = listener.accept().await?;
    conn.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

#[lonet::host]
async fn client(host: Host, to: String) -> Result<()> {
    match host.dial(&to).await {
        Ok(_conn) => host.mark("connected"),
        Err(_) => host.mark("gave up"),
    }
    Ok(())
}

/// Two tasks dial at once: which of them gets which port is a race.
#[lonet::host]
async fn racer(host: Host) -> Result<()> {
    let other = host.clone();
    let task = tokio::spawn(async move { other.dial("α:11").await.is_ok() });
    let first = host.dial("α:10").await.is_ok();
    assert!(!task.await? && !first);
    Ok(())
}

/// Connects, says so, and waits to be killed.
#[lonet::host]
async fn victim(host: Host) -> Result<()> {
    let _conn = host.dial("α:10").await?;
    host.mark("half way");
    std::future::pending().await
}

/// Leads once, and hands over: before its end, if it is hasty.
#[lonet::host]
async fn leader(host: Host, is_hasty: bool) -> Result<()> {
    let mut conn = host.dial("β:10").await?;
    host.mark("leader 1");
    if is_hasty {
        conn.write_all(b".").await?;
    }
    host.mark("follows 1");
    if !is_hasty {
        conn.write_all(b".").await?;
    }
    Ok(())
}

/// Leads once the other has handed over.
#[lonet::host]
async fn next_leader(host: Host) -> Result<()> {
    let mut conn = host.listen(":10").await?.accept().await?;
    conn.read_u8().await?;
    host.mark("leader 2");
    host.mark("follows 2");
    Ok(())
}

/// Gives up a read, and goes on.
#[lonet::host]
async fn impatient(host: Host) -> Result<()> {
    let mut conn = host.dial("α:10").await?;
    let read = conn.read_u8();
    let answer = tokio::time::timeout(std::time::Duration::from_millis(1), read).await;
    host.mark(if answer.is_err() { "gave up" } else { "read" });
    host.mark("goes on");
    std::future::pending().await
}

/// Server and client, each to its end.
async fn hello(scenario: &Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", server()).await?;
    scenario.until("α:10 listen").await?;
    scenario
        .spawn("β", client("α:10".into()))
        .await?
        .join()
        .await?;
    Ok(alpha.join().await?)
}

/// The page of an expectation that must not hold.
#[track_caller]
fn page_of(scenario: &Scenario, expected: &str) -> String {
    let mismatch = scenario.check_trace(expected);
    mismatch.expect_err("this must not hold").to_string()
}

/// The whole page.
#[track_caller]
fn check_page(scenario: &Scenario, expected: &str, page: Expect) {
    page.assert_eq(&page_of(scenario, expected));
}

/// What is wrong, and why: what stands above the difference, and the hints.
#[track_caller]
fn check(scenario: &Scenario, expected: &str, cause: Expect) {
    let page = page_of(scenario, expected);
    let (above, rest) = page
        .split_once("\n\nthe nearest order")
        .unwrap_or((&page, ""));
    let hints = rest.split("\n\n").filter(|part| part.starts_with("hint: "));
    let parts: Vec<&str> = std::iter::once(above).chain(hints).collect();
    cause.assert_eq(&format!("{}\n", parts.join("\n\n")));
}

#[lonet::test]
async fn an_event_is_missing(scenario: Scenario) -> Result<()> {
    hello(&scenario).await?;
    let expected = "
        α:10 listen
        β:1 dial α:10
        α:1 accept β:1
        β:1 connect α:1
        α mark welcome
        β mark connected
        β:1 close α:1
        α:1 close β:1
        α:10 close
    ";
    check(
        &scenario,
        expected,
        expect![[r#"
            trace mismatch at line 6: `α mark welcome` did not happen
            happened instead, in any order:
                β mark connected
                β:1 close α:1
        "#]],
    );
    Ok(())
}

#[lonet::test]
async fn an_event_has_no_line(scenario: Scenario) -> Result<()> {
    hello(&scenario).await?;
    let expected = "
        α:10 listen
        β:1 dial α:10
        α:1 accept β:1
        β:1 connect α:1
        β:1 close α:1
        α:1 close β:1
        α:10 close
    ";
    check(
        &scenario,
        expected,
        expect![[r#"
            the expected trace ends, but more happened
            happened instead: β mark connected
        "#]],
    );
    Ok(())
}

#[lonet::test]
async fn an_effect_stands_above_its_cause(scenario: Scenario) -> Result<()> {
    hello(&scenario).await?;
    let expected = "
        α:10 listen
        β:1 dial α:10
        α:1 accept β:1
        β:1 connect α:1
        α:1 close β:1
        β mark connected
        β:1 close α:1
        α:10 close
    ";
    check_page(
        &scenario,
        expected,
        expect![[r##"
            trace mismatch at line 6: `α:1 close β:1` can't happen above line 8
            happened instead, in any order:
                β mark connected
                β:1 close α:1

            `α:1 close β:1` stands above `β:1 close α:1`, which happens before it:
                β:1 close α:1
                → α:1 close β:1    (it had read the end of the stream)

            the nearest order that could happen (- expected, + happened):
                  …
                  β:1  dial    α:10
                  α:1  accept  β:1
                  β:1  connect α:1
                - α:1  close   β:1
                  β    mark    connected
                  β:1  close   α:1
                + α:1  close   β:1
                  α:10 close

            what happened (concurrent events stand in some order):
                … after 2 earlier events
                      α                 β
                      │                 │
                      │─ :1 accept :1 ─▶│
                      │          :1 connect α:1
                      │            [connected]
                      │◀─ :1 close :1 ──│
                :1 close β:1            │
                  :10 close             │

            to let UPDATE_EXPECT=1 rewrite the expectation, put it into expect![[r#"…"#]] or expect_file![…]
        "##]],
    );
    Ok(())
}

#[lonet::test]
async fn a_dial_came_before_its_listener(scenario: Scenario) -> Result<()> {
    // α is there, and nothing says that it listens before β dials.
    let _alpha = scenario.host("α").await?;
    scenario
        .spawn("β", client("α:10".into()))
        .await?
        .join()
        .await?;
    let expected = "
        α:10 listen
        β:1 dial α:10
        α:1 accept β:1
        β:1 connect α:1
    ";
    check(
        &scenario,
        expected,
        expect![[r#"
            trace mismatch at line 2: `α:10 listen` did not happen
            happened instead: β:1 dial α:10

            hint: `β:1 fail α:10 connection refused`: nothing in this trace listened at α:10; if something should, wait for it before the dial: scenario.until("α:10 listen").await?
        "#]],
    );
    Ok(())
}

#[lonet::test]
async fn ports_were_swapped_by_a_race(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.host("α").await?;
    scenario.spawn("β", racer()).await?.join().await?;
    // On its one thread, the role's own dial comes first.
    let expected = "
        β:2 dial α:10
        β:2 fail α:10 connection refused
        β:1 dial α:11
        β:1 fail α:11 connection refused
    ";
    check(
        &scenario,
        expected,
        expect![[r#"
            trace mismatch at line 2: `β:2 dial α:10` did not happen
            happened instead, in any order:
                β:1 dial α:10
                β:2 dial α:11

            hint: same order, ports swapped (β:1 ↔ β:2): these two raced; bind them (`$p`) or order them with `until`

            hint: `β:1 fail α:10 connection refused`: nothing in this trace listened at α:10; if something should, wait for it before the dial: scenario.until("α:10 listen").await?
        "#]],
    );
    Ok(())
}

#[lonet::test]
async fn another_cause_than_expected(scenario: Scenario) -> Result<()> {
    scenario
        .spawn("β", client("nobody:10".into()))
        .await?
        .join()
        .await?;
    let expected = "
        β:1 dial nobody:10
        β:1 fail nobody:10 connection refused
        β mark gave up
    ";
    check(
        &scenario,
        expected,
        expect![[r#"
            trace mismatch at line 3: `β:1 fail nobody:10 connection refused` did not happen
            happened instead: β:1 fail nobody:10 no such host

            hint: `β:1 fail nobody:10 no such host` happened: only the text differs
        "#]],
    );
    Ok(())
}

#[lonet::test]
async fn a_role_died_half_way(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", server()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", victim()).await?;
    beta.until("β mark half way").await?;
    beta.kill().await?;
    alpha.join().await?;
    let expected = "
        α:10 listen
        β:1 dial α:10
        α:1 accept β:1
        β:1 connect α:1
        β mark half way
        β mark all the way
        β:1 close α:1
        α:1 close β:1
        α:10 close
    ";
    check(
        &scenario,
        expected,
        expect![[r#"
            trace mismatch at line 7: `β mark all the way` did not happen
            happened instead: ! kill β
        "#]],
    );
    Ok(())
}

/// What cost the order is named, since nothing else on the page shows it.
#[lonet::test]
async fn a_read_that_was_given_up_is_named(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", server()).await?;
    scenario.until("α:10 listen").await?;
    let _beta = scenario.spawn("β", impatient()).await?;
    scenario.until("β mark goes on").await?;
    let hint = "hint: `β mark gave up` happened concurrently with the assertion, which sees only what \
                happens before it; wait for it with scenario.until(\"β mark gave up\").await?, or end β \
                first with its node's join(), terminate() or kill(); β:1's read from α:1 was given up \
                before that, or is still pending: until the next read from α:1, what its task does \
                stands in no order\n";
    let trace = scenario.trace().only_verbs(&[lonet_harness::Verb::Mark]);
    let page = trace.check("β mark gave up\nβ mark goes on").unwrap_err();
    assert!(page.to_string().contains(hint), "{page}");
    let page = trace.check_order("β mark gave up").unwrap_err();
    assert!(page.to_string().contains(hint), "{page}");
    Ok(())
}

/// One run of two leaders, of which the second waits for a byte of the first.
async fn hand_over(scenario: &Scenario, is_hasty: bool) -> Result<Result<(), Mismatch>> {
    let beta = scenario.spawn("β", next_leader()).await?;
    scenario.until("β:10 listen").await?;
    let alpha = scenario.spawn("α", leader(is_hasty)).await?;
    alpha.join().await?;
    beta.join().await?;
    Ok(scenario.trace().check_never_together(
        ("α mark leader _", "α mark follows _"),
        ("β mark leader _", "β mark follows _"),
    ))
}

#[lonet::test]
async fn a_message_between_keeps_two_leaders_apart(scenario: Scenario) -> Result<()> {
    Ok(hand_over(&scenario, false).await??)
}

/// The clock decides whether they did overlap, so the page is one of two.
#[lonet::test]
async fn two_leaders_that_nothing_keeps_apart_are_found(scenario: Scenario) -> Result<()> {
    let page = hand_over(&scenario, true).await?.unwrap_err().to_string();
    for says in [
        "overlap: `α mark leader 1` and `β mark leader 2`\n",
        "    from `α mark leader 1` to `α mark follows 1`\n",
        "    from `β mark leader 2` to `β mark follows 2`\n",
        ", by the clock",
        "nothing orders `α mark follows 1` before `β mark leader 2`",
    ] {
        assert!(page.contains(says), "{says:?} is not in\n{page}");
    }
    Ok(())
}

#[lonet::test]
async fn a_mistyped_address_is_asked_about(scenario: Scenario) -> Result<()> {
    let counter = scenario.host("counter").await?;
    let _listener = counter.listen(":10").await?;
    let mut told = "counter:10 listen\n".to_owned();
    for (to, cause) in [
        ("conter:10", "no such host"),
        ("counter:11", "connection refused"),
    ] {
        assert!(counter.dial(to).await.is_err());
        let mismatch = scenario.check_trace(format!("{told}counter:1 dial counter:10"));
        let page = mismatch.unwrap_err().to_string();
        let fail = format!("counter:1 fail {to} {cause}");
        let asks = format!(
            "hint: `{fail}`: nothing in this trace listened at {to}; is `counter:10` meant?\n"
        );
        assert!(page.contains(&asks), "{page}");
        told += &format!("counter:1 dial {to}\n{fail}\n");
    }
    Ok(())
}
