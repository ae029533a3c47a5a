//! What a failing test shows: its page, word for word, and how its process ends.
//!
//! Each test runs an ignored test of this binary, which fails, as a process of its own.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod blocked;
mod bodies;
mod debugger;
mod holds;
mod length;
mod programs;

use std::process::{Command, Output};

use expect_test::{Expect, expect};
use lonet::Host;
use lonet_harness::{Program, Result, Scenario};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[lonet::host]
async fn listens(host: Host) -> Result<()> {
    println!("about to listen");
    let listener = host.listen(":10").await?;
    drop(listener.accept().await?);
    Ok(())
}

#[lonet::host]
async fn listens_only(host: Host) -> Result<()> {
    let _listener = host.listen(":10").await?;
    std::future::pending().await
}

#[lonet::host]
async fn reads_once_accepted(host: Host) -> Result<()> {
    // Kept to the end: nothing orders its close towards the other end's `connect`.
    let listener = host.listen(":10").await?;
    let mut conn = listener.accept().await?;
    conn.read_u8().await?;
    Ok(())
}

/// Sends three bytes of the four that are expected.
#[lonet::host]
async fn sends_too_little(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    let mut conn = listener.accept().await?;
    conn.write_all(b"abc").await?;
    host.mark("has sent");
    conn.read_u8().await?;
    Ok(())
}

#[lonet::host]
async fn expects_four(host: Host) -> Result<()> {
    let mut conn = host.dial("α:10").await?;
    conn.read_exact(&mut [0; 3]).await?;
    host.mark("has read");
    conn.read_u8().await?;
    Ok(())
}

#[lonet::host]
async fn dials(host: Host, to: String) -> Result<()> {
    let mut conn = host.dial(&to).await?;
    conn.read_u8().await?;
    Ok(())
}

#[lonet::host]
async fn loops(host: Host) {
    host.mark("loops");
    loop {
        std::hint::spin_loop();
    }
}

/// Where the role below says hello.
const HELLO: u32 = line!() + 4;

#[lonet::host]
async fn says_and_ends(host: Host) {
    host.mark("hello");
}

#[lonet::host]
async fn exits(_host: Host) {
    eprintln!("I give up");
    std::process::exit(3);
}

mod victims {
    use super::programs::program;
    use super::*;

    #[lonet::test(timeout = "4s")]
    #[ignore = "fails"]
    async fn accepts_nobody(scenario: Scenario) -> Result<()> {
        Ok(scenario.spawn("α", listens()).await?.join().await?)
    }

    #[lonet::test(timeout = "4s")]
    #[ignore = "fails"]
    async fn dials_who_accepts_nothing(scenario: Scenario) -> Result<()> {
        let _alpha = scenario.spawn("α", listens_only()).await?;
        scenario.until("α:10 listen").await?;
        let beta = scenario.spawn("β", dials("α:10".into())).await?;
        Ok(beta.join().await?)
    }

    #[lonet::test(timeout = "4s")]
    #[ignore = "fails"]
    async fn loops_and_is_paused(scenario: Scenario) -> Result<()> {
        let alpha = scenario.spawn("α", loops()).await?;
        scenario.until("α mark loops").await?;
        let beta = scenario.spawn("β", loops()).await?;
        scenario.until("β mark loops").await?;
        beta.pause().await?;
        Ok(alpha.join().await?)
    }

    #[lonet::test(timeout = "4s")]
    #[ignore = "fails"]
    async fn read_from_each_other(scenario: Scenario) -> Result<()> {
        let alpha = scenario.spawn("α", reads_once_accepted()).await?;
        scenario.until("α:10 listen").await?;
        let _beta = scenario.spawn("β", dials("α:10".into())).await?;
        Ok(alpha.join().await?)
    }

    #[lonet::test(timeout = "2s")]
    #[ignore = "fails"]
    async fn a_byte_is_missing(scenario: Scenario) -> Result<()> {
        let _alpha = scenario.spawn("α", sends_too_little()).await?;
        scenario.until("α:10 listen").await?;
        let beta = scenario.spawn("β", expects_four()).await?;
        Ok(beta.join().await?)
    }

    #[lonet::test(timeout = "6s")]
    #[ignore = "fails"]
    async fn programs_wait(scenario: Scenario) -> Result<()> {
        let _alpha = scenario.spawn("α", program("reads_once_accepted")).await?;
        scenario.until("α:10 listen").await?;
        let _beta = scenario.spawn("β", program("dials")).await?;
        // One that knows nothing of lonet, and one whose child joins.
        let sleeps = Program::new("sleep").arg("1000");
        let _gamma = scenario.spawn("γ", sleeps).await?;
        let shell = Program::new("sh")
            .args(["-c", r#""$0" "$@"; :"#])
            .arg(std::env::current_exe()?)
            .args(["programs::reads_once_accepted", "--exact", "--ignored"])
            .joins();
        let _delta = scenario.spawn("δ", shell).await?;
        scenario.until("δ:10 listen").await?;
        let tau = scenario.host("τ").await?;
        let _accepting = tokio::spawn(async move { tau.listen(":1").await?.accept().await });
        scenario.until("β mark never").await?;
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn nobody_is_there(scenario: Scenario) -> Result<()> {
        Ok(scenario
            .spawn("β", dials("α:10".into()))
            .await?
            .join()
            .await?)
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn exits_unasked(scenario: Scenario) -> Result<()> {
        let alpha = scenario.spawn("α", exits()).await?;
        alpha.until("α exit 3").await?;
        Ok(())
    }

    #[lonet::test(timeout = "1s")]
    #[ignore = "waits for a debugger"]
    async fn says_hello(scenario: Scenario) -> Result<()> {
        scenario.spawn("β", loops()).await?.kill().await?;
        scenario.spawn("α", says_and_ends()).await?.join().await?;
        let says = Program::new("sh").args(["-c", "echo $1; exit 0", "sh", "hello"]);
        let alpha = scenario.spawn("α", says).await?;
        alpha.until("α exit 0").await?;
        assert_eq!(alpha.log(), "hello\n");
        Ok(())
    }

    #[lonet::test(timeout = "2s")]
    #[ignore = "fails"]
    async fn blocks(scenario: Scenario) {
        let _alpha = scenario.spawn("α", listens()).await.unwrap();
        loop {
            std::thread::park();
        }
    }

    /// What it waits for, its node holds.
    #[lonet::test(timeout = "2s")]
    #[ignore = "fails"]
    async fn blocks_for_its_node(scenario: Scenario) -> Result<()> {
        let fifo = scenario.data_dir("α").join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU)?;
        let shell = Program::new("sh").args(["-c", "exec sleep 1000 > \"$0\""]);
        let _alpha = scenario.spawn("α", shell.arg(&fifo)).await?;
        std::fs::read(&fifo)?;
        println!("has come to itself");
        Ok(())
    }

    #[lonet::test(timeout = "10s", trace = "α:10 listen\n α:9 close")]
    #[ignore = "fails"]
    async fn asserts_what_did_not_happen(scenario: Scenario) -> Result<()> {
        let _alpha = scenario.spawn("α", listens_only()).await?;
        scenario.until("α:10 listen").await?;
        Ok(())
    }
}

fn command(victim: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([victim, "--exact", "--ignored"])
        .env("RUST_BACKTRACE", "0")
        // What a debugger sees is not part of a snapshot.
        .env("LONET_BACKTRACES", "0")
        .env_remove("LONET_TIMEOUT")
        .env_remove("LONET_DEBUG");
    command
}

fn run(victim: &str) -> Output {
    command(&format!("victims::{victim}")).output().unwrap()
}

/// Runs a victim that hangs, with a longer deadline each time, until it has come to where it hangs: on
/// a busy machine the first one may be too short.
fn run_until(victim: &str, hangs: impl Fn(&str) -> bool) -> Output {
    let mut command = command(&format!("victims::{victim}"));
    let mut run = |factor| command.env("LONET_TIMEOUT", factor).output().unwrap();
    let mut output = run("1");
    for factor in ["2", "4", "8"] {
        if hangs(&String::from_utf8_lossy(&output.stdout)) {
            break;
        }
        output = run(factor);
    }
    output
}

/// How many events a page shows as the last.
fn events(page: &str) -> usize {
    let last = page.split_once("the last events:\n");
    let lines = last.map_or("", |(_, last)| last).lines();
    lines.take_while(|line| !line.trim().is_empty()).count()
}

/// Times, pids and places differ from run to run; nothing else does.
fn redact(text: &str) -> String {
    let mut redacted = String::new();
    for line in text.lines() {
        let line = match line.split_once("are in ") {
            Some((before, _)) => format!("{before}are in …"),
            None => line.to_owned(),
        };
        let line = match line.split_once("artifacts: ") {
            Some((before, _)) => format!("{before}artifacts: …"),
            None => line,
        };
        let line = match line.split_once("tests/tests/failing/main.rs:") {
            Some((before, rest)) => {
                let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
                format!("{before}tests/tests/failing/main.rs:…{rest}")
            }
            None => line,
        };
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for at in 1..words.len() {
            if let Some(word) = words[at].strip_prefix("lonetr-") {
                let rest = word.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
                words[at] = format!("lonet…{rest}");
            }
            let number = words[at].trim_end_matches([')', ';', ',']);
            let is_number = !number.is_empty() && number.parse::<f64>().is_ok();
            let is_pid = words[at - 1].ends_with("pid");
            let is_time = words
                .get(at + 1)
                .is_some_and(|next| next.starts_with('s') && next.len() <= 2);
            if is_number && (is_pid || is_time) {
                words[at] = words[at].replace(number, "…");
            }
        }
        redacted.push_str(&words.join(" "));
        redacted.push('\n');
    }
    redacted
}

/// The page, as far as it is this test's: what libtest says around it is its own.
#[track_caller]
fn check(victim: &str, expected: Expect) {
    let hangs = |page: &str| page.contains("it did not end within");
    let wanted = expected.data().to_owned();
    let in_time = |page: &str| !hangs(page) || hangs(&wanted) && events(page) >= events(&wanted);
    let output = run_until(victim, in_time);
    assert_eq!(output.status.code(), Some(101));
    let text = String::from_utf8(output.stdout).unwrap();
    let begin = text
        .find(" failed: ")
        .map(|at| text[..at].rfind('\n').unwrap() + 1);
    let page = &text[begin.unwrap_or_else(|| panic!("no page in {text}"))..];
    let page = page.split("\n\nfailures:").next().unwrap();
    expected.assert_eq(&redact(page));
}

/// The nodes of a body that is blocked are stopped: that may be what it waits for.
#[test]
fn a_deadline_is_scaled() {
    let output = command("victims::blocks_for_its_node")
        .env("LONET_TIMEOUT", "0.5")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("did not end within 1.0 s"), "{text}");
}

#[test]
fn accept_that_no_one_dials() {
    check(
        "accepts_nobody",
        expect![[r#"
            victims::accepts_nobody failed: it did not end within … s
                at tests/tests/failing/main.rs:…

            what each process does:
              the test waits in join α for … s
              α (role `listens`, pid …) waits in accept α:10 for … s

            the last events:
              ! spawn α
              α up
              α:10 listen

            the log of α:
              α | about to listen

            trace and logs are in …
        "#]],
    );
}

#[test]
fn dial_that_no_one_accepts() {
    check(
        "dials_who_accepts_nothing",
        expect![[r#"
            victims::dials_who_accepts_nothing failed: it did not end within … s
                at tests/tests/failing/main.rs:…

            what each process does:
              the test waits in join β for … s
              α (role `listens_only`, pid …) runs, and waits for nothing on the network; no task accepts at α:10
              β (role `dials`, pid …) waits in dial β:1->α:10 for … s

            the last events:
              ! spawn α
              α up
              α:10 listen
              ! spawn β
              β up
              β:1 dial α:10

            trace and logs are in …
        "#]],
    );
}

#[test]
fn two_that_read_from_each_other() {
    check(
        "read_from_each_other",
        expect![[r#"
            victims::read_from_each_other failed: it did not end within … s
                at tests/tests/failing/main.rs:…

            what each process does:
              the test waits in join α for … s
              α (role `reads_once_accepted`, pid …) waits in read β:1->α:1 for … s
              β (role `dials`, pid …) waits in read α:1->β:1 for … s
              bytes on α:1->β:1: 0 sent, 0 received
              bytes on β:1->α:1: 0 sent, 0 received
            each waits for the next: α → β → α

            the last events:
              ! spawn α
              α up
              α:10 listen
              ! spawn β
              β up
              β:1 dial α:10
              α:1 accept β:1
              β:1 connect α:1

            trace and logs are in …
        "#]],
    );
}

/// Without data recorded.
#[test]
fn a_hang_says_how_many_bytes_its_connections_carried() {
    let both = |page: &str| {
        ["α mark has sent", "β mark has read"]
            .iter()
            .all(|mark| page.contains(mark))
    };
    let output = run_until("a_byte_is_missing", both);
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Vec<&str> = text
        .lines()
        .filter(|l| l.starts_with("  bytes on "))
        .collect();
    assert_eq!(
        said,
        [
            "  bytes on α:1->β:1: 3 sent, 0 received",
            "  bytes on β:1->α:1: 0 sent, 3 received",
        ]
    );
}

#[test]
fn a_role_that_loops_and_one_that_is_paused() {
    check(
        "loops_and_is_paused",
        expect![[r#"
            victims::loops_and_is_paused failed: it did not end within … s
                at tests/tests/failing/main.rs:…

            what each process does:
              the test waits in join α for … s
              α (role `loops`, pid …) runs, and waits for nothing on the network
              β (role `loops`, pid …) is paused

            the last events:
              ! spawn α
              α up
              α mark loops
              ! spawn β
              β up
              β mark loops
              ! pause β

            trace and logs are in …
        "#]],
    );
}

/// Programs that have lonet say what they wait for, as roles do; of others the kernel does.
#[test]
fn programs_that_wait() {
    let output = run("programs_wait");
    let text = redact(&String::from_utf8(output.stdout).unwrap());
    let does = text.split("what each process does:\n").nth(1).unwrap();
    let does = does.split("\n\n").next().unwrap();
    // The pid of the process below δ is in parentheses of its own, and the kernel's words are its.
    let (said, seen): (Vec<&str>, Vec<&str>) =
        does.lines().partition(|line| !line.contains(" it sleeps"));
    expect![[r#"
          the test waits in until `β mark never` for … s; accept τ:1 for … s
          α (program `/proc/self/exe`, pid …) waits in read β:1->α:1 for … s
          β (program `/proc/self/exe`, pid …) waits in read α:1->β:1 for … s
          a process started by δ (pid …) waits in accept δ:10 for … s
          bytes on α:1->β:1: 0 sent, 0 received
          bytes on β:1->α:1: 0 sent, 0 received
        each waits for the next: α → β → α"#]]
    .assert_eq(&said.join("\n"));
    assert!(
        seen[0].starts_with(
            "  γ (program `sleep`, pid …) runs, and waits for nothing on the network; it sleeps in \
             the system call "
        ),
        "{seen:?}"
    );
    assert!(
        seen[1].starts_with("  δ (program `sh`, pid …) runs; it sleeps"),
        "{seen:?}"
    );
}

#[test]
fn a_dial_to_a_host_that_is_not_there() {
    check(
        "nobody_is_there",
        expect![[r#"
            victims::nobody_is_there failed: β (role `dials`, tests/tests/failing/main.rs:…) returned an error: dial β:1->α:10: no such host (network lonet…)
                at tests/tests/failing/main.rs:…

            what each process does:
              β (role `dials`, pid …) exited with status 1

            the last events:
              ! spawn β
              β up
              β:1 dial α:10
              β:1 fail α:10 no such host
              β down
              β exit 1

            hint: `β:1 fail α:10 no such host`: no host `α` was ever on the network; spawn `α`, and wait for it before the dial: scenario.until("α:10 listen").await?

            trace and logs are in …
        "#]],
    );
}

#[test]
fn an_unexpected_exit() {
    check(
        "exits_unasked",
        expect![[r#"
            victims::exits_unasked failed: α (role `exits`, tests/tests/failing/main.rs:…) exited with status 3 before its role returned
                at tests/tests/failing/main.rs:…

            what each process does:
              α (role `exits`, pid …) exited with status 3

            the last events:
              ! spawn α
              α up
              α exit 3

            the log of α:
              α | I give up

            trace and logs are in …
        "#]],
    );
}

#[test]
fn a_trace_that_does_not_hold() {
    check(
        "asserts_what_did_not_happen",
        expect![[r#"
            victims::asserts_what_did_not_happen failed: trace mismatch at line 2: `α:9 close` did not happen
            nothing more happened

            the nearest order that could happen (- expected, + happened):
                  α:10 listen
                - α:9  close

            artifacts: …

            to let UPDATE_EXPECT=1 rewrite the expectation, move it into a file: `trace_file = "….trace"` instead of `trace = "…"`

        "#]],
    );
}
