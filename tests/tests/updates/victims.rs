//! Tests whose expectations are rewritten, in a copy of this file.

use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::{Expect, ExpectFile, Position, expect, expect_file};
use lonet::trace::Verb;
use lonet::{Host, Stream};
use lonet_harness::{Result, Scenario, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

#[lonet::host]
async fn accepts_two(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    // Each is closed in a task of its own: in one task, who came first would be closed first.
    let first = tokio::spawn(drops(listener.accept().await?));
    let second = tokio::spawn(drops(listener.accept().await?));
    host.mark("served \"both\" #2");
    first.await?;
    second.await?;
    Ok(())
}

async fn drops(conn: Stream) {
    drop(conn);
}

#[lonet::host]
async fn dials(host: Host) -> Result<()> {
    drop(host.dial("α:10").await?);
    Ok(())
}

async fn two_clients(scenario: &Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", accepts_two()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", dials()).await?;
    let gamma = scenario.spawn("γ", dials()).await?;
    beta.join().await?;
    gamma.join().await?;
    Ok(alpha.join().await?)
}

#[lonet::test]
#[ignore = "its expectation is rewritten"]
async fn out_of_date(scenario: Scenario) -> Result<()> {
    two_clients(&scenario).await?;
    scenario.assert_trace(expect![[r#"
        # what a reader is told first
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1

        # no such host
        δ:1  dial    α:10
    "#]]);
    Ok(())
}

#[lonet::test]
#[ignore = "run as a copy, to be rewritten"]
async fn up_to_date(scenario: Scenario) -> Result<()> {
    two_clients(&scenario).await?;
    scenario.assert_trace(expect![[r##"
        # what a reader is told first
        α:10 listen
        β:1  dial    α:10
        α:$a accept  β:1
        α:$a close   β:1
        β:1  connect α:$a
        β:1  close   α:$a
        γ:1  dial    α:10
        α:$b accept  γ:1
        α:$b close   γ:1
        α    mark    served "\"both\"" "#2"
        α:10 close
        γ:1  connect α:$b
        γ:1  close   α:$b

        # no such host
    "##]]);
    Ok(())
}

/// Another run, held against a text that an update has written.
#[lonet::test]
#[ignore = "takes its expectation from a file"]
async fn obeys(scenario: Scenario) -> Result<()> {
    two_clients(&scenario).await?;
    let file = std::env::var_os("LONET_TESTS_TEXT").unwrap();
    scenario.assert_trace(std::fs::read_to_string(file).unwrap());
    Ok(())
}

#[lonet::test]
#[ignore = "its expectation is rewritten"]
async fn beside(scenario: Scenario) -> Result<()> {
    two_clients(&scenario).await?;
    scenario
        .trace()
        .only_verbs(&[Verb::Listen, Verb::Dial, Verb::Accept])
        .check(expect_file!["two_clients.trace"])?;
    Ok(())
}

const MEMBERS: [&str; 4] = ["β", "γ", "δ", "ε"];

/// Answers every client in a task of its own.
#[lonet::host(worker_threads = 2)]
async fn answers(host: Host, requests: usize) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut answering = tokio::task::JoinSet::new();
    for _ in 0..requests {
        let (mut conn, host) = (listener.accept().await?, host.clone());
        answering.spawn(async move {
            let mut who = [0; 3];
            conn.read_exact(&mut who).await?;
            host.mark(format!("answers {}", String::from_utf8_lossy(&who)));
            conn.write_all(b"yes").await
        });
    }
    while let Some(answered) = answering.join_next().await {
        answered??;
    }
    host.mark("has answered all");
    Ok(())
}

async fn ask(host: Host, turn: u32) -> Result<()> {
    let mut conn = host.dial("α:10").await?;
    let who = format!("{}{turn}", host.name());
    conn.write_all(who.as_bytes()).await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    host.mark(format!("{turn}: {answer}"));
    Ok(())
}

/// Asks twice at once, then dials the next of the ring while it is dialled by the one before.
#[lonet::host(worker_threads = 2)]
async fn asks(host: Host, next: String) -> Result<()> {
    let listener = host.listen(":20").await?;
    let mut asking = tokio::task::JoinSet::new();
    for turn in 1..=2 {
        asking.spawn(ask(host.clone(), turn));
    }
    while let Some(asked) = asking.join_next().await {
        asked??;
    }
    until(&format!("{next} listen")).await?;
    let before = tokio::spawn(async move { listener.accept().await.map(drop) });
    let _conn = host.dial(&next).await?;
    before.await??;
    Ok(())
}

#[lonet::test]
#[ignore = "its expectation is rewritten"]
async fn many(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", answers(2 * MEMBERS.len())).await?;
    scenario.until("α:10 listen").await?;
    let mut members = Vec::new();
    for (index, member) in MEMBERS.iter().enumerate() {
        let next = MEMBERS[(index + 1) % MEMBERS.len()];
        let role = asks(format!("{next}:20"));
        members.push(scenario.spawn(member, role).await?);
    }
    for member in members {
        member.join().await?;
    }
    alpha.join().await?;
    scenario.assert_trace(expect_file!["many.trace"]);
    Ok(())
}

async fn marks(scenario: &Scenario, texts: &[&str]) -> Result<()> {
    let alpha = scenario.host("α").await?;
    for text in texts {
        alpha.mark(text);
    }
    Ok(())
}

#[lonet::test(repeat = 3)]
#[ignore = "its expectation is rewritten"]
async fn thrice(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["one", "two"]).await?;
    for _ in 0..2 {
        scenario.assert_trace(expect![[""]]);
    }
    Ok(())
}

#[lonet::test]
#[ignore = "its expectation is rewritten"]
async fn of_two_runs(scenario: Scenario) -> Result<()> {
    for host in ["α", "β"] {
        scenario.host(host).await?.mark("ready");
        scenario.assert_trace(expect![[""]]);
    }
    Ok(())
}

#[lonet::test]
#[ignore = "its expectation is rewritten"]
async fn below(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["below"]).await?;
    scenario.assert_trace(expect![[""]]);
    Ok(())
}

#[lonet::test]
#[ignore = "its expectations are rewritten"]
async fn with_others(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["one", "two"]).await?;
    scenario.assert_trace(expect![[""]]);
    expect![["?"]].assert_eq("one\ntwo\n");
    Ok(())
}

#[lonet::test]
#[ignore = "its expectation is rewritten"]
async fn in_a_file(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["one", "two"]).await?;
    scenario.assert_trace(expect_file!["new/in_a_file.trace"]);
    Ok(())
}

#[lonet::test(trace_file = "new/of_the_attribute.trace", repeat = 2)]
#[ignore = "its expectation is rewritten"]
async fn of_the_attribute(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["one"]).await
}

/// How often this process has run a body.
static TURNS: AtomicUsize = AtomicUsize::new(0);

/// The number of this turn, from 0. The test that runs it gets each.
fn turn() -> usize {
    if let Some(counts) = std::env::var_os("LONET_TESTS_COUNT") {
        let mut counts = File::options()
            .append(true)
            .create(true)
            .open(counts)
            .unwrap();
        counts.write_all(b"1").unwrap();
    }
    TURNS.fetch_add(1, Ordering::Relaxed)
}

/// A race that lonet can't see: which of two comes first differs from turn to turn.
async fn races(scenario: &Scenario) -> Result<()> {
    let order = match turn() % 3 {
        1 => ["one", "command", "bytes", "end"],
        _ => ["one", "bytes", "command", "end"],
    };
    marks(scenario, &order).await
}

#[lonet::test]
#[ignore = "its expectation is rewritten"]
async fn raced(scenario: Scenario) -> Result<()> {
    races(&scenario).await?;
    scenario.assert_trace(expect![[r#"
        # of all
        α mark one
        # of the end
        α mark end
    "#]]);
    Ok(())
}

#[lonet::test(trace_file = "new/raced_in_a_file.trace")]
#[ignore = "its expectation is rewritten"]
async fn raced_in_a_file(scenario: Scenario) -> Result<()> {
    races(&scenario).await
}

/// A race that comes out otherwise in another process.
#[lonet::test(trace_file = "new/in_an_order.trace")]
#[ignore = "its expectation is rewritten"]
async fn in_an_order(scenario: Scenario) -> Result<()> {
    let order = std::env::var("LONET_TESTS_ORDER").unwrap();
    let order: Vec<&str> = order.split(' ').collect();
    marks(&scenario, &order).await
}

/// An attribute's trace and an empty `assert_contains` are never written.
#[lonet::test(trace = "α mark one\n| α mark bytes\n| α mark command\nα mark end")]
#[ignore = "its expectations are rewritten"]
async fn raced_twice(scenario: Scenario) -> Result<()> {
    races(&scenario).await?;
    scenario.trace().assert_contains(expect![[""]]);
    for _ in 0..2 {
        scenario.assert_trace(expect![[r#"
            α mark one
        "#]]);
    }
    Ok(())
}

#[lonet::test]
#[ignore = "its update fails"]
async fn differs(scenario: Scenario) -> Result<()> {
    let other = if turn() == 2 { "three" } else { "two" };
    marks(&scenario, &["one", other]).await?;
    scenario.assert_trace(expect![[""]]);
    Ok(())
}

#[lonet::test]
#[ignore = "its update fails"]
async fn fails_later(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["one"]).await?;
    scenario.assert_trace(expect![[""]]);
    match turn() {
        3 => Err("the fourth turn fails".into()),
        _ => Ok(()),
    }
}

#[lonet::test]
#[ignore = "its expectations are rewritten"]
async fn oddly_written(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["one", "two"]).await?;
    scenario.assert_trace(expect![[]]);
    #[rustfmt::skip]
    scenario.assert_trace(expect![[ // why
        r#"α mark one"# /* and no more */
    ]]);
    scenario.assert_trace(expect![[r#"
        # a header
    "#]]);
    Ok(())
}

/// Where the compiler says that the source is: in a documentation test, or remapped.
fn elsewhere() -> &'static str {
    std::env::var("LONET_TESTS_SOURCE").unwrap().leak()
}

#[lonet::test]
#[ignore = "its update is refused"]
async fn literal_elsewhere(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["one"]).await?;
    scenario.assert_trace(Expect {
        position: Position {
            file: elsewhere(),
            line: 1,
            column: 1,
        },
        data: "",
        indent: true,
    });
    Ok(())
}

#[lonet::test]
#[ignore = "its update is refused"]
async fn file_elsewhere(scenario: Scenario) -> Result<()> {
    marks(&scenario, &["one"]).await?;
    scenario.assert_trace(ExpectFile {
        path: "deeper/x.trace".into(),
        position: elsewhere(),
    });
    Ok(())
}

/// Marks who has sent, in the order in which a channel has them. lonet does not see the channel.
#[lonet::host]
async fn collects(host: Host) -> Result<String> {
    let listener = host.listen(":10").await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    for _ in 0..2 {
        let mut conn = listener.accept().await?;
        let tell = tell.clone();
        tokio::spawn(async move { tell.send(conn.read_u8().await) });
    }
    drop(tell);
    let mut all = String::new();
    while let Some(who) = told.recv().await {
        let who = char::from(who?);
        host.mark(format!("has {who}"));
        all.push(who);
    }
    Ok(all)
}

#[lonet::host]
async fn returns_bytes(host: Host) -> Result<()> {
    let mut conn = host.listen(":10").await?.accept().await?;
    while let Ok(byte) = conn.read_u8().await {
        conn.write_u8(byte).await?;
    }
    Ok(())
}

/// Sends, and lets the other one send after many messages: no random time makes this byte the later one.
#[lonet::host]
async fn sends_long_before(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    let mut echo = host.dial("e:10").await?;
    until("b:1 connect s:2").await?;
    conn.write_u8(b'a').await?;
    for _ in 0..20 {
        echo.write_u8(0).await?;
        echo.read_u8().await?;
    }
    host.mark("sent");
    Ok(())
}

#[lonet::host]
async fn sends_once_told(host: Host) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    until("a mark sent").await?;
    conn.write_u8(b'b').await?;
    Ok(())
}

/// Nothing orders the arrivals of `a` and `b`, but `b` is the later one in every run. Who was first?
async fn a_long_before_b(scenario: &Scenario) -> Result<String> {
    let echo = scenario.spawn("e", returns_bytes()).await?;
    let server = scenario.spawn("s", collects()).await?;
    scenario.until("e:10 listen").await?;
    scenario.until("s:10 listen").await?;
    let first = scenario.spawn("a", sends_long_before()).await?;
    scenario.until("a:1 connect s:1").await?;
    let second = scenario.spawn("b", sends_once_told()).await?;
    first.join().await?;
    second.join().await?;
    echo.join().await?;
    Ok(server.join().await?)
}

#[lonet::test(search = "10s")]
#[ignore = "its expectation is rewritten"]
async fn searched(scenario: Scenario) -> Result<()> {
    turn();
    a_long_before_b(&scenario).await?;
    let trace = scenario.trace().only_hosts(&["s"]);
    trace
        .only_verbs(&[Verb::Mark])
        .check(expect_file!["new/searched.trace"])?;
    Ok(())
}

#[lonet::test]
#[ignore = "its expectation is rewritten"]
async fn not_searched(scenario: Scenario) -> Result<()> {
    a_long_before_b(&scenario).await?;
    let trace = scenario.trace().only_hosts(&["s"]);
    trace
        .only_verbs(&[Verb::Mark])
        .check(expect_file!["new/not_searched.trace"])?;
    Ok(())
}

#[lonet::test(search = "10s")]
#[ignore = "its update fails"]
async fn fails_in_the_rare_order(scenario: Scenario) -> Result<()> {
    let order = a_long_before_b(&scenario).await?;
    scenario
        .trace()
        .only_verbs(&[Verb::Listen])
        .check(expect_file!["new/fails_in_the_rare_order.trace"])?;
    match &*order {
        "ab" => Ok(()),
        _ => Err("b overtook a".into()),
    }
}

/// What is asserted has lines of what is sent, which a run without a search would not record.
#[lonet::test(search = "10s")]
#[ignore = "its expectation is rewritten"]
async fn searched_without_races(scenario: Scenario) -> Result<()> {
    turn();
    let echo = scenario.spawn("e", returns_bytes()).await?;
    scenario.until("e:10 listen").await?;
    let mut conn = scenario.host("c").await?.dial("e:10").await?;
    conn.write_u8(1).await?;
    conn.read_u8().await?;
    drop(conn);
    echo.join().await?;
    let trace = scenario.trace().with_data();
    trace
        .only_verbs(&[Verb::Send])
        .check(expect_file!["new/searched_without_races.trace"])?;
    Ok(())
}
