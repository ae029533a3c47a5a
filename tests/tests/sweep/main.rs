//! Sweeps and schedules: the same body for every point at which a fault could act, and for one of them
//! alone. The program under test keeps one value on a primary, p, and on its backup, b.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::fs;
use std::process::Command;

use lonet::{Host, Stream};
use lonet_harness::{ErrorKind, Node, Result, Scenario};
use lonet_tests::tmp::Tmp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Stores what the primary sends, until that is gone; what it has stored.
#[lonet::host]
async fn backup(host: Host) -> Result<Vec<u8>> {
    let mut primary = host.listen(":20").await?.accept().await?;
    let mut stored = Vec::new();
    while let Ok(value) = primary.read_u8().await {
        stored.push(value);
        host.mark(format!("stored {value}"));
        // A primary that is gone needs no answer.
        let _ = primary.write_u8(value).await;
    }
    Ok(stored)
}

/// Takes one value of a client, and acknowledges it once the backup has it; or `early`, before.
#[lonet::host]
async fn primary(host: Host, early: bool) -> Result<()> {
    let mut backup = host.dial("b:20").await?;
    let mut client = host.listen(":10").await?.accept().await?;
    let value = client.read_u8().await?;
    if early {
        acknowledge(&host, &mut client).await?;
    }
    backup.write_u8(value).await?;
    backup.read_u8().await?;
    if !early {
        acknowledge(&host, &mut client).await?;
    }
    Ok(())
}

async fn acknowledge(host: &Host, client: &mut Stream) -> Result<()> {
    client.write_u8(1).await?;
    host.mark("acknowledged");
    Ok(())
}

/// Sends a value; whether it was acknowledged.
#[lonet::host]
async fn client(host: Host) -> bool {
    let asks = async {
        let mut primary = host.dial("p:10").await?;
        primary.write_u8(7).await?;
        Ok::<_, lonet_harness::Error>(primary.read_u8().await?)
    };
    asks.await.is_ok()
}

/// What is acknowledged is stored twice.
async fn acknowledged_is_stored(scenario: Scenario, early: bool) -> Result<()> {
    let backup = scenario.spawn("b", backup()).await?;
    backup.until("b:20 listen").await?;
    let primary = scenario.spawn("p", primary(early)).await?;
    // One that is killed before it listens never does.
    tokio::select! {
        listens = scenario.until("p:10 listen") => listens?,
        killed = scenario.until("! kill p") => killed?,
    };
    let acknowledged = scenario.spawn("c", client()).await?.join().await?;
    ended(&scenario, primary).await?;
    match acknowledged {
        true => assert_eq!(backup.join().await?, [7], "an acknowledged value is lost"),
        false => assert!(
            scenario.swept().is_some(),
            "not acknowledged, with nothing in the way"
        ),
    }
    Ok(())
}

/// A swept body says what it tolerates.
async fn ended(scenario: &Scenario, node: Node<()>) -> Result<()> {
    match node.join().await {
        Err(error) if error.kind() == ErrorKind::Killed && scenario.swept().is_some() => Ok(()),
        ended => Ok(ended?),
    }
}

/// Every point passes.
#[lonet::test(sweep = "kill p", timeout = "10s")]
async fn late_acknowledgements_survive_every_kill(scenario: Scenario) -> Result<()> {
    acknowledged_is_stored(scenario, false).await
}

/// Marks two things, or only one.
#[lonet::host]
async fn marks(host: Host, both: bool) {
    host.mark("one");
    if both {
        host.mark("two");
    }
}

mod victims {
    use super::*;

    #[lonet::test(sweep = "kill p")]
    #[ignore = "is run by another test"]
    async fn late(scenario: Scenario) -> Result<()> {
        acknowledged_is_stored(scenario, false).await
    }

    #[lonet::test(sweep = "kill p")]
    #[ignore = "fails"]
    async fn early(scenario: Scenario) -> Result<()> {
        if let Some(event) = scenario.swept() {
            println!("swept: {event}");
        }
        acknowledged_is_stored(scenario, true).await
    }

    #[lonet::test(schedule = "kill p at p mark acknowledged")]
    #[ignore = "fails"]
    async fn early_at_one_point(scenario: Scenario) -> Result<()> {
        println!("swept: {}", scenario.swept().unwrap());
        acknowledged_is_stored(scenario, true).await
    }

    #[lonet::test(schedule = "kill p at p:1 send b:1")]
    #[ignore = "is run by another test"]
    async fn late_at_one_point(scenario: Scenario) -> Result<()> {
        acknowledged_is_stored(scenario, false).await
    }

    #[lonet::test(schedule = "kill p at p:1 send b:1 #2")]
    #[ignore = "fails"]
    async fn happens_once(scenario: Scenario) -> Result<()> {
        acknowledged_is_stored(scenario, false).await
    }

    #[lonet::test(schedule = "kill p at p:3 listen")]
    #[ignore = "fails"]
    async fn does_not_happen(scenario: Scenario) -> Result<()> {
        acknowledged_is_stored(scenario, false).await
    }

    #[lonet::test(schedule = "kill q at up")]
    #[ignore = "fails"]
    async fn has_no_such_host(scenario: Scenario) -> Result<()> {
        acknowledged_is_stored(scenario, false).await
    }

    #[lonet::test(sweep = "kill q")]
    #[ignore = "fails"]
    async fn sweeps_no_such_host(scenario: Scenario) -> Result<()> {
        acknowledged_is_stored(scenario, false).await
    }

    #[lonet::test(sweep = "kill p")]
    #[ignore = "fails"]
    async fn fails_without_a_fault(scenario: Scenario) -> Result<()> {
        scenario.spawn("p", marks(true)).await?.join().await?;
        println!("a run");
        Err("as ever".into())
    }

    #[lonet::test(sweep = "kill p")]
    #[ignore = "is run by another test"]
    async fn marks_less_when_swept(scenario: Scenario) -> Result<()> {
        println!("a run");
        let node = scenario
            .spawn("p", marks(scenario.swept().is_none()))
            .await?;
        ended(&scenario, node).await
    }

    #[lonet::test(sweep = "kill p")]
    #[ignore = "fails"]
    async fn does_nothing_when_swept(scenario: Scenario) -> Result<()> {
        if scenario.swept().is_none() {
            scenario.spawn("p", marks(true)).await?.join().await?;
        }
        Ok(())
    }

    #[lonet::test(sweep = "kill p")]
    #[ignore = "fails"]
    async fn fails_when_swept(scenario: Scenario) -> Result<()> {
        if scenario.swept().is_some() {
            return Err("in any case".into());
        }
        Ok(scenario.spawn("p", marks(true)).await?.join().await?)
    }

    #[lonet::test(sweep = "kill p", trace = "p mark one\np mark two")]
    #[ignore = "is run by another test"]
    async fn has_a_trace_without_a_fault(scenario: Scenario) -> Result<()> {
        let node = scenario.spawn("p", marks(true)).await?;
        ended(&scenario, node).await
    }

    #[lonet::test(sweep = "kill p", trace = "p mark one\np mark three")]
    #[ignore = "fails"]
    async fn has_another_trace(scenario: Scenario) -> Result<()> {
        let node = scenario.spawn("p", marks(true)).await?;
        ended(&scenario, node).await
    }

    #[lonet::test(sweep = "kill p", timeout = "1s")]
    #[ignore = "is run by another test"]
    async fn has_a_deadline_for_each_point(scenario: Scenario) -> Result<()> {
        let node = scenario.spawn("p", marks(true)).await?;
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        ended(&scenario, node).await
    }

    #[lonet::test(sweep = "kill p q")]
    #[ignore = "fails"]
    async fn sweeps_what_is_illegal(_: Scenario) {}

    #[lonet::test(schedule = "kill p at p sings")]
    #[ignore = "fails"]
    async fn schedules_what_is_illegal(_: Scenario) {}

    #[lonet::test]
    #[ignore = "is run by another test"]
    async fn plain(scenario: Scenario) -> Result<()> {
        acknowledged_is_stored(scenario, true).await
    }
}

/// Runs that victim.
fn run(victim: &str) -> Ran {
    run_at(victim, &Tmp::new().unwrap(), &[])
}

/// The same, with that place for its artifacts and these variables.
fn run_at(victim: &str, place: &Tmp, variables: &[(&str, &str)]) -> Ran {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            &*format!("victims::{victim}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .envs(variables.iter().copied())
        .env("LONET_ARTIFACTS", place.path())
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        passed: output.status.success(),
        printed: text(output.stdout),
        said: text(output.stderr),
    }
}

struct Ran {
    passed: bool,
    /// What its bodies printed.
    printed: String,
    /// What the harness printed.
    said: String,
}

impl Ran {
    #[track_caller]
    fn says(&self, passed: bool, texts: &[&str]) {
        assert_eq!(self.passed, passed, "{}", self.said);
        for text in texts {
            assert!(
                self.said.contains(text),
                "{text:?} is not in:\n{}",
                self.said
            );
        }
    }

    fn runs(&self) -> usize {
        self.printed.matches("a run\n").count()
    }
}

#[test]
fn a_sweep_that_passes_says_how_many_points() {
    // Up, dial, connect, listen, accept, the listener's close, send, send, mark, and two closes.
    run("late").says(
        true,
        &["victims::late: kill p: 11 of 11 points, all pass\n"],
    );
}

#[test]
fn a_sweep_names_the_points_that_fail() {
    let place = Tmp::new().unwrap();
    let ran = run_at("early", &place, &[]);
    ran.says(
        false,
        &[
            "\nvictims::early failed: kill p: 11 of 11 points; 2 fail: \
             before `p mark acknowledged`, before `p:1 send b:1`\n\n\
             before `p mark acknowledged`: it panicked: assertion `left == right` failed: an \
             acknowledged value is lost\n  \
             this point alone: schedule = \"kill p at p mark acknowledged\"\n  \
             victims::early failed: it panicked",
            "\n\nbefore `p:1 send b:1`: it panicked: assertion `left == right` failed: an \
             acknowledged value is lost\n  \
             this point alone: schedule = \"kill p at p:1 send b:1\"\n",
        ],
    );
    // The page of the first, the headline of the other.
    assert_eq!(ran.said.matches("what each process does:").count(), 1);
    // Each body knew its point, the baseline none.
    let swept: Vec<&str> = ran
        .printed
        .lines()
        .filter_map(|line| line.split_once("swept: "))
        .map(|(_, event)| event)
        .collect();
    assert_eq!(
        swept,
        [
            "p up",
            "p:1 dial b:20",
            "p:1 connect b:1",
            "p:10 listen",
            "p:2 accept c:1",
            "p:10 close",
            "p:2 send c:1",
            "p mark acknowledged",
            "p:1 send b:1",
            "p:2 close c:1",
            "p:1 close b:1",
        ]
    );
    // Those that failed have their artifacts, and a schedule that fails again, beside each other.
    let artifacts = place.path().join("sweep/victims__early");
    let mut kept: Vec<_> = fs::read_dir(&artifacts)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["point-8", "point-9"]);
    let schedule = artifacts.join("point-9/schedule");
    assert_eq!(
        fs::read_to_string(&schedule).unwrap(),
        "kill p at p:1 send b:1\n"
    );
    for victim in ["early", "plain"] {
        let replayed = run_at(
            victim,
            &Tmp::new().unwrap(),
            &[("LONET_REPLAY", schedule.to_str().unwrap())],
        );
        replayed.says(
            false,
            &[&format!("\nvictims::{victim} failed: it panicked: ")],
        );
        assert!(!replayed.said.contains("points"), "{}", replayed.said);
    }
}

#[test]
fn a_schedule_replays_one_point() {
    let ran = run("early_at_one_point");
    ran.says(
        false,
        &[
            "victims::early_at_one_point failed: it panicked: ",
            "! kill p",
        ],
    );
    assert_eq!(
        ran.printed.matches("swept: p mark acknowledged\n").count(),
        1
    );
    run("late_at_one_point").says(true, &[]);
}

#[test]
fn an_unreached_schedule_fails_and_names_the_nearest_event() {
    run("happens_once").says(
        false,
        &[
            "failed: `! kill p` was armed, and never triggered: `p:1 send b:1 _` matched 1 event; \
             it waited for number 2",
        ],
    );
    run("does_not_happen").says(
        false,
        &[
            "failed: `! kill p` was armed, and never triggered: `p:3 listen` matched 0 events; \
             nearest: `p:10 listen`",
        ],
    );
    run("has_no_such_host").says(
        false,
        &["`q up` matched 0 events; there was no host q (nearest: b)\n"],
    );
}

#[test]
fn a_failing_baseline_is_said_to_be_one() {
    let ran = run("fails_without_a_fault");
    ran.says(
        false,
        &[
            "victims::fails_without_a_fault failed: as ever\n",
            "this was the baseline of the sweep `kill p`: the body fails without a fault",
        ],
    );
    assert_eq!(ran.runs(), 1);
    run("sweeps_no_such_host").says(false, &["the sweep `kill q` has no points: no process"]);
}

#[test]
fn a_point_that_is_not_reached_is_tried_three_times_and_neither_passes_nor_fails() {
    let ran = run("marks_less_when_swept");
    ran.says(
        true,
        &["kill p: 2 of 3 points, all pass\n\
             not reached, neither passed nor failed: before `p mark two`\n"],
    );
    assert_eq!(ran.runs(), 1 + 1 + 1 + 3);
    run("does_nothing_when_swept").says(
        false,
        &["failed: kill p: 0 of 3 points reached: nothing was tried\nnot reached"],
    );
    run("fails_when_swept").says(
        false,
        &[
            "failed: kill p: 3 of 3 points; 3 fail: right after `up`, before `p mark one`, before `p mark two`\n",
            "the fault had not acted: the body fails without it",
        ],
    );
}

#[test]
fn only_the_baseline_has_the_trace_of_the_attribute() {
    run("has_a_trace_without_a_fault").says(true, &["kill p: 3 of 3 points, all pass"]);
    run("has_another_trace").says(
        false,
        &[
            "trace mismatch",
            "this was the baseline of the sweep `kill p`",
        ],
    );
}

#[test]
fn each_point_has_the_whole_deadline() {
    run("has_a_deadline_for_each_point").says(true, &["3 of 3 points, all pass"]);
}

#[test]
fn an_update_runs_the_plain_body() {
    for victim in ["early", "early_at_one_point"] {
        // The second one's body expects to be swept.
        let ran = run_at(victim, &Tmp::new().unwrap(), &[("UPDATE_EXPECT", "1")]);
        assert_eq!(ran.passed, victim == "early", "{}", ran.said);
        assert!(!ran.printed.contains("swept: "), "{}", ran.printed);
    }
}

#[test]
fn an_illegal_line_is_refused_at_its_place_before_anything_runs() {
    let here = |text: &str, column: usize| {
        let source = include_str!("sweep.rs");
        let line = source.lines().position(|line| line.contains(text)).unwrap() + 1;
        format!("failed: tests/tests/sweep.rs:{line}:{column}: ")
    };
    run("sweeps_what_is_illegal").says(
        false,
        &[
            &here("(sweep = \"kill p q\")", 35),
            "`q` is too much after `kill p`; legal are `kill p`",
        ],
    );
    run("schedules_what_is_illegal").says(
        false,
        &[
            &here("(schedule = \"kill p at p sings\")", 43),
            "`sings` is not a verb; legal after the host `p`: ",
        ],
    );
}

#[test]
fn an_illegal_replay_names_the_file() {
    let place = Tmp::new().unwrap();
    let file = place.path().join("schedule");
    let name = file.to_str().unwrap();
    let fails = |text: Option<&str>, says: &str| {
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let ran = run_at("plain", &place, &[("LONET_REPLAY", name)]);
        ran.says(false, &[&format!("failed: LONET_REPLAY: {name}{says}")]);
    };
    fails(None, " can't be read: No such file");
    fails(
        Some("# nothing\n\n"),
        " has no schedule: a line as in `kill p at",
    );
    fails(
        Some("# of a sweep\n\nkill p at\n"),
        ":3:10: the event is missing",
    );
}
