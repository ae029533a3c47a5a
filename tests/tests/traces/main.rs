//! The rules of traces, each as a test that a user could have written from their description alone:
//! what holds, what doesn't, and what the message says then.
//!
//! What a trace with something wrong looks like in general is `assertions`' business.

mod certain;
mod data;
mod patterns;
mod ports;

use lonet::Host;
use lonet::trace::Verb;
use lonet_harness::{Result, Scenario, Trace};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Listens, says so, and serves one connection after the other until it is stopped.
#[lonet::host]
async fn echo(host: Host, connections: usize) -> Result<()> {
    let listener = host.listen(":10").await?;
    for _ in 0..connections {
        let mut conn = listener.accept().await?;
        let mut bytes = Vec::new();
        conn.read_to_end(&mut bytes).await?;
        conn.write_all(&bytes).await?;
    }
    Ok(())
}

/// Sends, ends its direction, and reads what comes back.
#[lonet::host]
async fn asks(host: Host, to: String) -> Result<String> {
    let mut conn = host.dial(&to).await?;
    conn.write_all(b"ping").await?;
    conn.shutdown().await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[lonet::host]
async fn marks(host: Host, texts: Vec<String>) {
    for text in texts {
        host.mark(text);
    }
}

/// Marks, and stays.
#[lonet::host]
async fn stays(host: Host, text: String) -> Result<()> {
    host.mark(text);
    std::future::pending().await
}

/// Dials, says what came of it, and reads to the end.
#[lonet::host]
async fn reads_to_the_end(host: Host, to: String) -> Result<()> {
    let mut conn = host.dial(&to).await?;
    let got = conn.read_to_end(&mut Vec::new()).await;
    host.mark(format!("end ok={}", got.is_ok()));
    Ok(())
}

/// Accepts one, and never lets go of it.
#[lonet::host]
async fn holds_one(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let _conn = listener.accept().await?;
    std::future::pending().await
}

#[track_caller]
fn refused(trace: &Trace, expected: &str) -> String {
    match trace.check(expected) {
        Ok(()) => panic!("should not hold:\n{expected}\nof:\n{trace}"),
        Err(mismatch) => mismatch.to_string(),
    }
}

#[track_caller]
fn names(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in:\n{message}");
    }
}

#[lonet::test]
async fn until_finds_what_was_and_what_will_be(scenario: Scenario) -> Result<()> {
    let texts = (1..=3).map(|n| format!("round n={n}")).collect();
    scenario.spawn("α", marks(texts)).await?.join().await?;
    let first = scenario.until("_ mark round n=_").await?;
    assert_eq!(first.to_string(), "α mark round n=1");
    assert_eq!(
        (first.host(), first.verb(), first.text()),
        ("α", Verb::Mark, "round n=1")
    );
    let second = scenario.until_after(&first, "_ mark round n=_").await?;
    assert_eq!(second.text(), "round n=2");
    // Neither it nor its past.
    let third = scenario.until_after(&second, "_ mark round n=_").await?;
    assert_eq!(third.text(), "round n=3");
    // `until` does not wait for itself; marks of the dead are found, their connections are not.
    let beta = scenario.spawn("β", stays("here".into())).await?;
    assert_eq!(beta.until("β mark here").await?.host(), "β");
    // Nothing will come of this: however long one waits, it is the same.
    let up = scenario.until("α up");
    let patience = std::time::Duration::from_millis(100);
    assert!(tokio::time::timeout(patience, up).await.is_err());
    let spawned = scenario.until("! spawn α").await?;
    assert!(scenario.trace().happens_before(&spawned, &first));
    let wrong = scenario.until("α:10 listens").await.unwrap_err();
    names(&wrong.to_string(), &["listens", "listen, dial"]);
    assert!(scenario.until("").await.is_err());
    assert!(scenario.until("α mark a\nα mark b").await.is_err());
    beta.kill().await?;
    scenario.until("! kill β").await?;
    Ok(())
}

#[lonet::test]
async fn an_until_brings_in_the_event_and_its_past_alone(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", stays("one".into())).await?;
    let beta = scenario.spawn("β", stays("two".into())).await?;
    // Spawning tells that the host is up, not what its role does.
    scenario.assert_trace("");
    scenario.until("β mark two").await?;
    scenario.assert_trace("β mark two");
    // What exists and isn't in the past is said to be concurrent, with what would bring it in.
    let page = refused(&scenario.trace(), "α mark one\nβ mark two");
    names(&page, &["concurrent", "until(\"α mark one\")", "terminate"]);
    scenario.until("α mark one").await?;
    scenario.assert_trace("α mark one\nβ mark two");
    scenario.assert_trace("β mark two\nα mark one");
    beta.terminate().await?;
    scenario.assert_trace("β mark two\nα mark one\n! terminate β");
    Ok(())
}

#[lonet::test]
async fn a_role_awaits(scenario: Scenario) -> Result<()> {
    #[lonet::host]
    async fn second(host: Host) -> Result<()> {
        lonet_harness::until("α mark first").await?;
        host.mark("second");
        Ok(())
    }

    let beta = scenario.spawn("β", second()).await?;
    let _alpha = scenario.spawn("α", stays("first".into())).await?;
    beta.join().await?;
    scenario.assert_trace("α mark first\nβ mark second");
    let page = refused(&scenario.trace(), "β mark second\nα mark first");
    names(
        &page,
        &["`β mark second` stands above `α mark first`, which happens before it"],
    );
    Ok(())
}

#[lonet::test]
async fn a_kill_comes_before_the_eof_it_makes(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", holds_one()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", reads_to_the_end("α:10".into())).await?;
    scenario.until("α:1 accept β:1").await?;
    scenario.until("β:1 connect α:1").await?;
    alpha.kill().await?;
    beta.join().await?;
    let order = "
        α:10 listen
        β:1 dial α:10
        α:1 accept β:1
        β:1 connect α:1
        ! kill α
        β mark end ok=_
        β:1 close α:1";
    scenario.assert_trace(order);
    let page = refused(
        &scenario.trace(),
        "α:10 listen
         β:1 dial α:10
         α:1 accept β:1
         β:1 connect α:1
         β mark end ok=_
         ! kill α
         β:1 close α:1",
    );
    names(&page, &["! kill α", "happens before"]);
    assert!(alpha.join().await.is_err());
    Ok(())
}

/// Accepts two, in one task, and then reads both to their ends.
#[lonet::host]
async fn accepts_two(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut first = listener.accept().await?;
    let mut second = listener.accept().await?;
    first.read_to_end(&mut Vec::new()).await?;
    second.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

#[lonet::host]
async fn dials_and_goes(host: Host, to: String) -> Result<()> {
    drop(host.dial(&to).await?);
    Ok(())
}

#[lonet::test]
async fn accepts_of_one_listener_in_either_order(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", accepts_two()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", dials_and_goes("α:10".into())).await?;
    let gamma = scenario.spawn("γ", dials_and_goes("α:10".into())).await?;
    beta.join().await?;
    gamma.join().await?;
    alpha.join().await?;
    let accepts = scenario.trace().only_verbs(&[Verb::Accept]);
    accepts.assert("α:$p accept β:1\nα:$q accept γ:1");
    accepts.assert("α:$q accept γ:1\nα:$p accept β:1");
    // Every close of the server comes after both accepts, whichever came first.
    let page = refused(
        &scenario.trace().only_verbs(&[Verb::Accept, Verb::Close]),
        "α:$p accept β:1
         α:$p close β:1
         α:$q accept γ:1
         α:$q close γ:1
         α:10 close
         β:1 close α:$p
         γ:1 close α:$q",
    );
    names(&page, &["happens before"]);
    Ok(())
}

/// Two branches of one task, each of which waits for its own.
#[lonet::host]
async fn branches(host: Host) -> Result<()> {
    let one = async {
        lonet_harness::until("β mark go").await?;
        host.mark("one");
        Result::Ok(())
    };
    let two = async {
        lonet_harness::until("γ mark go").await?;
        host.mark("two");
        Result::Ok(())
    };
    let (one, two) = tokio::join!(one, two);
    one.and(two)
}

#[lonet::test]
async fn branches_of_a_task_do_not_order_each_other(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", branches()).await?;
    let _beta = scenario.spawn("β", stays("go".into())).await?;
    let _gamma = scenario.spawn("γ", stays("go".into())).await?;
    alpha.join().await?;
    let trace = scenario.trace();
    let of_alpha = trace.only_hosts(&["α"]);
    of_alpha.assert("α mark one\nα mark two");
    of_alpha.assert("α mark two\nα mark one");
    Ok(())
}

/// Dials nobody who accepts, until it is told to give up.
#[lonet::host]
async fn gives_up(host: Host, to: String) -> Result<()> {
    tokio::select! {
        conn = host.dial(&to) => drop(conn?),
        told = lonet_harness::until("α mark enough") => drop(told?),
    }
    Ok(())
}

#[lonet::test]
async fn a_dial_that_is_cancelled_or_refused(scenario: Scenario) -> Result<()> {
    let alpha = scenario.host("α").await?;
    let listener = alpha.listen(":10").await?;
    let beta = scenario.spawn("β", gives_up("α:10".into())).await?;
    scenario.until("β:1 dial α:10").await?;
    alpha.mark("enough");
    beta.join().await?;
    scenario.assert_trace(
        "α:10 listen
         β:1 dial α:10
         α mark enough
         β:1 fail α:10 cancelled",
    );
    listener.close().await?;
    let refused = alpha.dial("α:10").await.unwrap_err();
    assert!(
        refused
            .to_string()
            .ends_with("α:1->α:10: connection refused")
    );
    scenario.assert_trace(
        "α:10 listen
         β:1 dial α:10
         α mark enough
         β:1 fail α:10 cancelled
         α:10 close
         α:1 dial α:10
         α:1 fail α:10 connection refused",
    );
    let page = self::refused(
        &scenario.trace(),
        "α:10 listen
         β:1 dial α:10
         α mark enough
         β:1 fail α:10 cancelled
         α:10 close
         α:1 dial α:10
         α:1 fail α:10 timed out",
    );
    names(&page, &["line 7", "connection refused"]);
    // A dial whose address does not parse is not an event.
    alpha.dial("α:010").await.unwrap_err();
    scenario
        .trace()
        .only_verbs(&[Verb::Dial])
        .assert("β:1 dial α:10\nα:1 dial α:10");
    Ok(())
}

#[lonet::test]
async fn a_dial_that_nothing_orders_after_the_listen(scenario: Scenario) -> Result<()> {
    let _alpha = scenario.spawn("α", stays("no listener yet".into())).await?;
    let beta = scenario.host("β").await?;
    beta.dial("α:10").await.unwrap_err();
    let page = refused(
        &scenario.trace(),
        "α:10 listen
         β:1 dial α:10
         α:1 accept β:1
         β:1 connect α:1",
    );
    names(
        &page,
        &["β:1 fail α:10 connection refused", "until(\"α:10 listen\")"],
    );
    Ok(())
}
