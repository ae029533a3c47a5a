//! Processes that the harness did not start, and programs that are none of ours, and what they may
//! send to a trace socket: what makes no sense fails the test with the process's name, and the
//! others' trace is kept.

use std::path::PathBuf;

use std::io::Write;
use std::os::unix::net::UnixStream;

use lonet::Host;
use lonet_harness::{Program, Result, Scenario};

const HELLO: &str = r#"{"hello":{"version":1,"nonce":1}}"#;
const UP: &str = r#"{"ev":{"n":1,"t":1,"k":1,"e":{"up":{"h":"ζ"}}}}"#;
/// As of a process that ends while it writes.
const HALF: &str = r#"{"ev":{"n":4,"t":4,"k":1,"e":{"mark""#;

fn lines(lines: &[&str]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [line, "\n"])
        .collect::<String>()
        .into_bytes()
}

fn socket(scenario: &Scenario) -> PathBuf {
    let name = scenario.network().trim_start_matches("lonet");
    let base = std::env::temp_dir().join("lonet");
    base.join(name).join("trace.sock")
}

fn reporter(scenario: &Scenario) -> Result<UnixStream> {
    Ok(UnixStream::connect(socket(scenario))?)
}

/// A host whose trace must not suffer, beside what is known already.
async fn kept_beside(scenario: &Scenario, known: &str) -> Result<()> {
    let host = scenario.host("α").await?;
    host.mark("kept");
    scenario.until("α mark kept").await?;
    scenario.assert_trace(format!("{known}\nα mark kept").as_str());
    Ok(())
}

async fn kept(scenario: &Scenario) -> Result<()> {
    kept_beside(scenario, "").await
}

/// A reporter of this test's own that says this and hangs up.
async fn reported(scenario: &Scenario, bytes: &[u8]) -> Result<()> {
    reporter(scenario)?.write_all(bytes)?;
    kept(scenario).await
}

/// A program in another language that plays δ: `code` says this with `say()`, after `up`.
fn program(said: &[u8], code: &str) -> Program {
    let up = UP.replace('ζ', "δ");
    let said = [&lines(&[HELLO, &up]), said].concat();
    speaks(&said, code).joins()
}

fn speaks(said: &[u8], code: &str) -> Program {
    let prologue = "import os, signal, socket, sys, time\n\
        s = socket.socket(socket.AF_UNIX)\n\
        path = os.environ['TMPDIR'] + '/lonet/' + os.environ['LONET_NETWORK'] + '/trace.sock'\n\
        s.connect(path)\n\
        say = lambda: s.sendall(sys.argv[1].encode())\n";
    let said = String::from_utf8_lossy(said);
    Program::new("python3").args(["-c", &[prologue, code].concat(), &said])
}

#[lonet::test]
#[should_panic(
    expected = "sent a line to the trace socket that does not follow the trace protocol"
)]
async fn garbage_is_reported(scenario: Scenario) -> Result<()> {
    reported(&scenario, &lines(&[HELLO, "220 smtp ready"])).await
}

/// Whoever waits is told at once: what they wait for may be what is lost.
#[lonet::test]
#[should_panic(
    expected = "sent a line to the trace socket that does not follow the trace protocol"
)]
async fn a_pending_until_fails_on_garbage(scenario: Scenario) -> Result<()> {
    let mut stream = reporter(&scenario)?;
    stream.write_all(&lines(&[HELLO, UP]))?;
    scenario.until("ζ up").await?;
    let waits = scenario.until("ζ mark never");
    let breaks = async { stream.write_all(b"220 smtp ready\n") };
    let (waited, broke) = tokio::join!(waits, breaks);
    broke?;
    let error = waited.unwrap_err().to_string();
    let later = scenario.until("ζ mark never").await.unwrap_err();
    assert_eq!(later.to_string(), error);
    Err(error.into())
}

#[lonet::test]
#[should_panic(expected = "did not send `hello` first")]
async fn no_hello(scenario: Scenario) -> Result<()> {
    reported(&scenario, &lines(&[UP])).await
}

/// What only the carrier of a scenario may say, and of a program.
#[lonet::test]
#[should_panic(
    expected = "says in its `hello` that it carries a process (`carries`), and does not"
)]
async fn another_reporter_carries_nothing(scenario: Scenario) -> Result<()> {
    reported(
        &scenario,
        b"{\"hello\":{\"version\":1,\"nonce\":1,\"carries\":1}}\n",
    )
    .await
}

/// Also of a program that is there: its own reporter, or the carrier's pid, gives it away.
#[lonet::test]
#[should_panic(
    expected = "says in its `hello` that it carries a process (`carries`), and does not"
)]
async fn a_programs_reporter_is_the_carriers(scenario: Scenario) -> Result<()> {
    let sleeps = Program::new("sleep").arg("1000");
    let _beta = scenario.spawn("β", sleeps).await?;
    reported(
        &scenario,
        b"{\"hello\":{\"version\":1,\"nonce\":1,\"carries\":1}}\n",
    )
    .await
}

#[lonet::test]
#[should_panic(expected = "uses version 7 of the trace protocol")]
async fn another_version(scenario: Scenario) -> Result<()> {
    reported(&scenario, b"{\"hello\":{\"version\":7,\"nonce\":1}}\n").await
}

// A line has at most 1 MiB.

/// The mark that is said in a line of so many bytes, its end included.
fn padded(length: usize) -> String {
    format!("{}{MARK}\n", " ".repeat(length - MARK.len() - 1))
}

#[lonet::test]
async fn a_line_of_1_mib_is_read(scenario: Scenario) -> Result<()> {
    let said = [lines(&[HELLO, UP]), padded(1 << 20).into()].concat();
    reporter(&scenario)?.write_all(&said)?;
    scenario.until("ζ mark said").await?;
    kept_beside(&scenario, "ζ mark said").await
}

#[lonet::test]
#[should_panic(expected = "(ζ) sent a line longer than 1 MiB to the trace socket: xxxxx")]
async fn a_longer_line_is_named(scenario: Scenario) -> Result<()> {
    let long = "x".repeat(1 << 20);
    reported(&scenario, &lines(&[HELLO, UP, &long])).await
}

/// Though it has no end; what waits hears of it at once.
#[lonet::test]
#[should_panic(expected = "(ζ) sent a line longer than 1 MiB to the trace socket: yyyyy")]
async fn a_line_without_end_is_named(scenario: Scenario) -> Result<()> {
    let mut stream = reporter(&scenario)?;
    stream.write_all(&lines(&[HELLO, UP]))?;
    scenario.until("ζ up").await?;
    stream.write_all("y".repeat((1 << 20) + 1).as_bytes())?;
    Err(scenario.until("ζ mark said").await.unwrap_err().into())
}

// Half a line.

/// The name says which process it was, and what it said before is part of the trace.
#[lonet::test]
#[should_panic(
    expected = "(ζ) disconnected in the middle of a line to the trace socket; what it sent \
                           before is kept: {\"ev\":{\"n\":4,"
)]
async fn half_a_line_is_named(scenario: Scenario) -> Result<()> {
    let said = [lines(&[HELLO, UP, MARK]), HALF.into()].concat();
    reporter(&scenario)?.write_all(&said)?;
    scenario.until("ζ mark said").await?;
    kept_beside(&scenario, "ζ mark said").await
}

#[lonet::test]
#[should_panic(expected = "(δ) exited in the middle of a line")]
async fn a_program_that_ends_with_half_a_line_is_named(scenario: Scenario) -> Result<()> {
    let delta = program(HALF.as_bytes(), "say(); os._exit(0)");
    let delta = scenario.spawn("δ", delta).await?;
    assert!(delta.join().await?.success());
    kept(&scenario).await
}

/// It may be anywhere when it is killed: half a line is then neither its fault nor an event.
#[lonet::test]
async fn a_killed_program_may_leave_half_a_line(scenario: Scenario) -> Result<()> {
    let mark = r#"{"ev":{"n":2,"t":1,"k":1,"e":{"mark":{"h":"δ","x":"writes"}}}}"#;
    let said = [lines(&[mark]), HALF.into()].concat();
    let delta = scenario
        .spawn("δ", program(&said, "say(); time.sleep(1000)"))
        .await?;
    delta.until("δ mark writes").await?;
    delta.kill().await?;
    kept_beside(&scenario, "δ mark writes\n! kill δ").await
}

#[lonet::test]
async fn a_program_asked_to_finish_may_leave_half_a_line(scenario: Scenario) -> Result<()> {
    let mark = r#"{"ev":{"n":2,"t":1,"k":1,"e":{"mark":{"h":"δ","x":"writes"}}}}"#;
    let said = [lines(&[mark]), HALF.into()].concat();
    let end = "signal.signal(15, lambda *_: os._exit(0)); say(); time.sleep(1000)";
    let delta = scenario.spawn("δ", program(&said, end)).await?;
    delta.until("δ mark writes").await?;
    delta.terminate().await?;
    kept_beside(&scenario, "δ mark writes\n! terminate δ").await
}

/// Python closes its sockets before it exits.
#[lonet::test]
async fn a_program_asked_to_finish_may_hang_up(scenario: Scenario) -> Result<()> {
    let mark = r#"{"ev":{"n":2,"t":1,"k":1,"e":{"mark":{"h":"δ","x":"writes"}}}}"#;
    let said = [lines(&[mark]), HALF.into()].concat();
    let end = "signal.signal(15, lambda *_: s.close() or done.append(1))\n\
        done = []\n\
        say()\n\
        while not done: signal.sigtimedwait([], 0.01)\n\
        signal.sigtimedwait([], 0.1)";
    let delta = scenario.spawn("δ", program(&said, end)).await?;
    delta.until("δ mark writes").await?;
    delta.terminate().await?;
    kept_beside(&scenario, "δ mark writes\n! terminate δ").await
}

/// A child of a program dies with it.
#[lonet::test]
async fn a_killed_programs_child_may_leave_half_a_line(scenario: Scenario) -> Result<()> {
    let hello = r#"{"hello":{"version":1,"nonce":1,"host":"δ"}}"#;
    let mark = r#"{"ev":{"n":2,"t":1,"k":1,"e":{"mark":{"h":"δ","x":"writes"}}}}"#;
    let up = UP.replace('ζ', "δ");
    let said = [lines(&[hello, &up, mark]), HALF.into()].concat();
    let code = "say(); time.sleep(1000)";
    let child = format!("import os\nif os.fork(): os.wait()\nelse:\n exec({code:?})");
    let delta = scenario.spawn("δ", speaks(&said, &child).joins()).await?;
    scenario.until("δ mark writes").await?;
    delta.kill().await?;
    kept_beside(&scenario, "δ mark writes\n! kill δ").await
}

/// How it died, `join` has told: once is enough.
#[lonet::test]
async fn a_program_that_is_killed_has_failed_already(scenario: Scenario) -> Result<()> {
    let delta = program(HALF.as_bytes(), "say(); os.kill(os.getpid(), 9)");
    let status = scenario.spawn("δ", delta).await?.join().await?;
    assert!(!status.success());
    kept(&scenario).await
}

/// What dies leaves what it was about to say; what hangs up and lives on has no such excuse, whatever
/// becomes of it later.
#[lonet::test]
#[should_panic(
    expected = "(δ) disconnected in the middle of a line to the trace socket; what it sent \
                           before is kept: {\"ev\":{\"n\":4,"
)]
async fn a_second_connection_has_no_excuse(scenario: Scenario) -> Result<()> {
    let up = UP.replace('ζ', "δ");
    let mark = r#"{"ev":{"n":2,"t":1,"k":1,"e":{"mark":{"h":"δ","x":"lives"}}}}"#;
    let code = "first = s\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.connect(path)\n\
        say()\n\
        s.close()\n\
        s = first\n\
        sys.argv[1] = sys.argv[2]\n\
        say()\n\
        time.sleep(1000)";
    let program = speaks(&[lines(&[HELLO]), HALF.into()].concat(), code)
        .arg(String::from_utf8(lines(&[HELLO, &up, mark]))?)
        .joins();
    let delta = scenario.spawn("δ", program).await?;
    let lives = delta.until("δ mark lives").await;
    delta.kill().await?;
    lives?;
    Ok(())
}

#[lonet::host]
async fn hangs_up(host: Host, socket: PathBuf) -> Result<()> {
    let said = [lines(&[HELLO]), HALF.into()].concat();
    UnixStream::connect(socket)?.write_all(&said)?;
    host.mark("lives");
    std::future::pending().await
}

#[lonet::test]
#[should_panic(expected = "(δ) disconnected in the middle of a line")]
async fn a_roles_second_connection_has_no_excuse(scenario: Scenario) -> Result<()> {
    let delta = scenario.spawn("δ", hangs_up(socket(&scenario))).await?;
    let lives = delta.until("δ mark lives").await;
    delta.kill().await?;
    lives?;
    Ok(())
}

/// On whichever of its connections.
#[lonet::test]
async fn a_killed_program_may_leave_two_halves(scenario: Scenario) -> Result<()> {
    let mark = r#"{"ev":{"n":2,"t":1,"k":1,"e":{"mark":{"h":"δ","x":"writes"}}}}"#;
    let up = UP.replace('ζ', "δ");
    let said = [lines(&[HELLO, &up, mark]), HALF.into()].concat();
    let code = "first = s\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.connect(path)\n\
        first.sendall(sys.argv[1].splitlines()[0].encode() + b'\\n{')\n\
        say()\n\
        time.sleep(1000)";
    let delta = scenario.spawn("δ", speaks(&said, code).joins()).await?;
    delta.until("δ mark writes").await?;
    delta.kill().await?;
    kept_beside(&scenario, "δ mark writes\n! kill δ").await
}

// Whole lines that can't be true.

const LISTEN: &str = r#"{"ev":{"n":2,"t":2,"k":1,"e":{"listen":{"a":"ζ:10","s":1}}}}"#;
const MARK: &str = r#"{"ev":{"n":3,"t":3,"k":1,"e":{"mark":{"h":"ζ","x":"said"}}}}"#;

/// Numbers order events, not the order of lines.
#[lonet::test]
async fn lines_in_any_order_are_one_trace(scenario: Scenario) -> Result<()> {
    let mut stream = reporter(&scenario)?;
    stream.write_all(&lines(&[HELLO, MARK, LISTEN, UP]))?;
    scenario.until("ζ mark said").await?;
    scenario.assert_trace("ζ:10 listen\nζ mark said");
    assert!(scenario.check_trace("ζ mark said\nζ:10 listen").is_err());
    // One that vanishes between two lines was killed, perhaps: its trace ends there.
    drop(stream);
    kept_beside(&scenario, "ζ:10 listen\nζ mark said").await
}

#[lonet::test]
#[should_panic(expected = "(ζ) gave a record a number that another one has")]
async fn a_number_given_twice_is_named(scenario: Scenario) -> Result<()> {
    let again = MARK.replace("said", "said again");
    reported(&scenario, &lines(&[HELLO, UP, LISTEN, MARK, &again])).await
}

#[lonet::test]
#[should_panic(expected = "(ζ) refers to the accept of a listener that it has not reported")]
async fn an_accept_before_its_listen_is_named(scenario: Scenario) -> Result<()> {
    let accept =
        r#"{"ev":{"n":2,"t":2,"k":1,"e":{"accept":{"a":"ζ:1","p":"η:1","l":1,"s":2,"c":"k#1"}}}}"#;
    let listen = LISTEN.replace("\"n\":2", "\"n\":3");
    reported(&scenario, &lines(&[HELLO, UP, accept, &listen])).await
}

#[lonet::test]
#[should_panic(expected = "(ζ) refers to a read from a socket that it has not reported")]
async fn a_read_from_nowhere_is_named(scenario: Scenario) -> Result<()> {
    let mark = MARK.replace("\"k\":1", "\"k\":1,\"r\":[[7,1,4]]");
    reported(&scenario, &lines(&[HELLO, UP, &mark])).await
}

/// A name with blanks would make a line of the trace that nobody can read.
#[lonet::test]
#[should_panic(expected = "reported an illegal host: invalid name: \"a b/../\"")]
async fn an_illegal_name_is_reported(scenario: Scenario) -> Result<()> {
    let mark = MARK.replace('ζ', "a b/../");
    reported(&scenario, &lines(&[HELLO, UP, &mark])).await
}

#[lonet::test]
#[should_panic(expected = "(ζ) sent a record with the number 0")]
async fn the_number_0_is_named(scenario: Scenario) -> Result<()> {
    let mark = MARK.replace("\"n\":3", "\"n\":0");
    reported(&scenario, &lines(&[HELLO, UP, &mark])).await
}

#[lonet::test]
#[should_panic(expected = "(ζ) sent `hello` twice")]
async fn a_second_hello_is_named(scenario: Scenario) -> Result<()> {
    reported(&scenario, &lines(&[HELLO, UP, HELLO])).await
}

/// What the scenario did, only the test's own process knows.
#[lonet::test]
#[should_panic(expected = "(ζ) sent a `kill` record, which only the test itself does")]
async fn a_forged_kill_is_named(scenario: Scenario) -> Result<()> {
    let kill = r#"{"ev":{"n":4,"t":4,"k":1,"e":{"kill":{"h":"η","i":1}}}}"#;
    reported(&scenario, &lines(&[HELLO, UP, kill])).await
}

#[lonet::test]
#[should_panic(expected = "(ζ) sent a `fault` record, which only the test itself does")]
async fn a_forged_fault_is_named(scenario: Scenario) -> Result<()> {
    let cut = r#"{"ev":{"n":4,"t":4,"k":1,"e":{"fault":{"v":"cut","h":"η","x":"_"}}}}"#;
    reported(&scenario, &lines(&[HELLO, UP, cut])).await
}

/// Its verb is not what makes a fault.
#[lonet::test]
#[should_panic(expected = "(ζ) sent a `fault` record, which only the test itself does")]
async fn a_mark_forged_as_a_fault_is_named(scenario: Scenario) -> Result<()> {
    let mark = r#"{"ev":{"n":4,"t":4,"k":1,"e":{"fault":{"v":"mark","h":"η","x":"said"}}}}"#;
    reported(&scenario, &lines(&[HELLO, UP, mark])).await
}

#[lonet::test]
#[should_panic(expected = "(ζ) sent a `reset` record, which only the test itself does")]
async fn a_forged_reset_is_named(scenario: Scenario) -> Result<()> {
    let reset = r#"{"ev":{"n":4,"t":4,"k":1,"e":{"reset":{"a":"ζ:1","p":"η:1"}}}}"#;
    reported(&scenario, &lines(&[HELLO, UP, reset])).await
}

#[lonet::test]
#[should_panic(expected = "(ζ) sent a `here` record, which only the test itself does")]
async fn a_forged_look_is_named(scenario: Scenario) -> Result<()> {
    let here = r#"{"ev":{"n":4,"t":4,"k":1,"e":{"here":{}}}}"#;
    reported(&scenario, &lines(&[HELLO, UP, here])).await
}

/// Two processes, each of which has learned of what the other did later.
#[lonet::test]
#[should_panic(expected = "(ζ) reported contradicts itself: 2 causes form a cycle")]
async fn causes_in_a_circle_are_named(scenario: Scenario) -> Result<()> {
    let mut streams = Vec::new();
    for (own, other) in [(1, 2), (2, 1)] {
        let mark = MARK.replace("\"k\":1", &format!("\"k\":1,\"l\":[[{other},3]]"));
        let mark = mark.replace("said", &format!("said {own}"));
        let host = if own == 1 { "η" } else { "ζ" };
        let mut stream = reporter(&scenario)?;
        stream.write_all(&lines(&[HELLO, &UP.replace('ζ', host), &mark]))?;
        streams.push(stream);
        scenario.until(&format!("ζ mark said {own}")).await?;
    }
    kept(&scenario).await
}

#[lonet::host]
async fn player(host: Host) -> Result<()> {
    host.mark("plays");
    lonet_harness::until("α mark kept").await?;
    Ok(())
}

#[lonet::test]
#[should_panic(expected = "both say they are host ζ; what both report is kept")]
async fn two_processes_that_claim_one_host_are_named(scenario: Scenario) -> Result<()> {
    let zeta = scenario.spawn("ζ", player()).await?;
    let began = scenario.until("ζ mark plays").await?;
    let mut stream = reporter(&scenario)?;
    // While the other is.
    let up = UP.replace("\"t\":1", &format!("\"t\":{}", began.time_ns()));
    stream.write_all(&lines(&[HELLO, &up, MARK]))?;
    scenario.until("ζ mark said").await?;
    scenario.assert_trace("ζ mark plays\nζ mark said");
    let host = scenario.host("α").await?;
    host.mark("kept");
    zeta.join().await?;
    Ok(())
}
