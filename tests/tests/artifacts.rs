//! What a test leaves on disk: also one that passes, if it wants to; also when what did not hold was
//! asserted of a view of the trace.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Command, Output};

use lonet::Host;
use lonet_harness::{Result, Scenario, Trace, Verb};
use lonet_tests::tmp::Tmp;

#[lonet::host]
async fn leads(host: Host) {
    println!("about to lead");
    host.mark("leader");
}

#[lonet::host]
async fn listens(host: Host) -> Result<()> {
    drop(host.listen(":10").await?);
    Ok(())
}

#[lonet::host]
async fn says_nothing(_host: Host) {}

/// Until it is killed.
#[lonet::host]
async fn accepts(host: Host) -> Result<()> {
    let listener = host.listen(":10").await?;
    println!("<accepts> & waits");
    drop(listener.accept().await?);
    Ok(())
}

mod victims {
    use super::*;

    #[lonet::test]
    #[ignore = "is run by another test"]
    async fn keeps(scenario: Scenario) -> Result<()> {
        scenario.keep_artifacts();
        scenario.spawn("α", leads()).await?.join().await?;
        scenario.spawn("β", leads()).await?.join().await?;
        Ok(scenario.spawn("α", leads()).await?.join().await?)
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn asserts_of_a_view(scenario: Scenario) -> Result<()> {
        scenario.spawn("α", leads()).await?.join().await?;
        scenario.spawn("β", listens()).await?.join().await?;
        let marks = scenario.trace().only_verbs(&[Verb::Mark]);
        marks.assert("α mark follower");
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn asserts_a_trace(scenario: Scenario) -> Result<()> {
        scenario.spawn("α", leads()).await?.join().await?;
        scenario.assert_trace("α mark follower");
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn asserts_an_order(scenario: Scenario) -> Result<()> {
        scenario.spawn("α", leads()).await?.join().await?;
        scenario.spawn("β", leads()).await?.join().await?;
        scenario.assert_order("β mark leader\nα mark leader");
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn asserts_that_it_contains(scenario: Scenario) -> Result<()> {
        scenario.spawn("α", leads()).await?.join().await?;
        scenario.trace().assert_contains("α mark follower");
        Ok(())
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn returns_what_does_not_hold(scenario: Scenario) -> Result<()> {
        scenario.spawn("α", leads()).await?.join().await?;
        Ok(scenario.check_trace("α mark follower")?)
    }

    #[lonet::test(timeout = "1s")]
    #[ignore = "fails"]
    async fn waits_for_what_has_ended(scenario: Scenario) -> Result<()> {
        scenario.spawn("α", listens()).await?.join().await?;
        scenario.until("α:10 listen").await?;
        Ok(())
    }

    /// Whoever runs it says whether it fails.
    #[lonet::test]
    #[ignore = "is run by another test"]
    async fn fails_on_demand(scenario: Scenario) -> Result<()> {
        scenario.spawn("α", leads()).await?.join().await?;
        match std::env::var_os("FAILS") {
            Some(_) => Err("as demanded".into()),
            None => Ok(()),
        }
    }

    #[lonet::test(timeout = "2s")]
    #[ignore = "fails"]
    async fn hangs_beside_a_silent_host(scenario: Scenario) -> Result<()> {
        scenario.spawn("γ", says_nothing()).await?.join().await?;
        let alpha = scenario.spawn("α", accepts()).await?;
        scenario.until("α:10 listen").await?;
        // Dropped with the body.
        let _listener = scenario.host("τ").await?.listen(":1").await?;
        Ok(alpha.join().await?)
    }

    #[lonet::test]
    #[ignore = "is run by another test"]
    async fn adds_and_passes(scenario: Scenario) -> Result<()> {
        Ok(fs::write(
            scenario.artifacts_dir().join("extra.txt"),
            "passed",
        )?)
    }

    #[lonet::test]
    #[ignore = "fails"]
    async fn adds_and_fails(scenario: Scenario) -> Result<()> {
        let place = scenario.artifacts_dir();
        assert!(!place.join("of_an_earlier_run").exists());
        fs::write(place.join("extra.txt"), "α said so")?;
        assert_eq!(scenario.artifacts_dir(), place);
        Err("fails".into())
    }

    #[lonet::test]
    #[ignore = "is run by another test"]
    async fn handles_what_does_not_hold(scenario: Scenario) -> Result<()> {
        scenario.keep_artifacts();
        scenario.spawn("α", leads()).await?.join().await?;
        let mismatch = scenario.check_trace("α mark follower").unwrap_err();
        assert_eq!(mismatch.line(), Some(1), "{mismatch}");
        let asserts = AssertUnwindSafe(|| scenario.assert_trace("α mark follower"));
        assert!(catch_unwind(asserts).is_err());
        Ok(())
    }
}

/// Runs that one; its artifacts are in the directory, at the path that is given back.
fn run(victim: &str, place: &Tmp) -> (Output, PathBuf) {
    run_with(victim, place, &[])
}

/// The same, with these variables.
fn run_with(victim: &str, place: &Tmp, variables: &[(&str, &str)]) -> (Output, PathBuf) {
    let name = format!("victims::{victim}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .env("LONET_ARTIFACTS", place.path())
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let artifacts = place
        .path()
        .join("artifacts")
        .join(name.replace("::", "__"));
    (output, artifacts)
}

#[test]
fn one_that_passes_leaves_them_if_it_wants_to() {
    let place = Tmp::new().unwrap();
    let (output, artifacts) = run("keeps", &place);
    assert!(output.status.success(), "{output:?}");
    let report = fs::read_to_string(artifacts.join("report.html")).unwrap();
    let passed = r#"<pre class="message passed">victims::keeps passed</pre>"#;
    assert!(report.contains(passed), "{report}");
    let titles: Vec<&str> = report
        .split("<summary>Log of ")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    let of_each = ["α, process 1 of 2", "β", "α, process 2 of 2"];
    assert_eq!(titles, of_each);
    assert!(artifacts.join("logs/α.log").exists());
}

/// With the network's directory, to look into after the test.
#[test]
fn a_network_is_kept_if_one_wants_to() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["victims::keeps", "--exact", "--ignored", "--nocapture"])
        .env("LONET_KEEP", "1")
        .env("LONET_ARTIFACTS", Tmp::new().unwrap().path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let kept = said.split_once("the network's directory is kept: ");
    let (_, kept) = kept.unwrap_or_else(|| panic!("{said}"));
    let kept = PathBuf::from(kept.lines().next().unwrap());
    assert!(kept.join("registry.db").exists(), "{kept:?}");
    fs::remove_dir_all(kept).unwrap();
    // What it printed came while it ran, with its host's name.
    assert!(
        said.lines().any(|line| line == "α | about to lead"),
        "{said}"
    );
}

#[test]
fn unwritable_artifacts_print_an_error_and_the_test_passes() {
    let place = Tmp::new().unwrap();
    fs::write(place.path().join("artifacts"), "a file").unwrap();
    let (output, _) = run("keeps", &place);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the artifacts can't be written to "),
        "{said}"
    );
}

#[test]
fn a_view_that_does_not_hold_has_the_whole_page() {
    let place = Tmp::new().unwrap();
    let (output, artifacts) = run("asserts_of_a_view", &place);
    assert_eq!(output.status.code(), Some(101));
    let page = String::from_utf8(output.stderr).unwrap();
    assert!(page.contains("α | about to lead"), "{page}");
    let report = fs::read_to_string(artifacts.join("report.html")).unwrap();
    assert!(report.contains("α mark follower"), "{report}");
    // It shows the view, and nothing else that happened.
    assert!(!report.contains("β:10 listen"), "{report}");
    let trace = fs::read_to_string(artifacts.join("trace.txt")).unwrap();
    assert!(trace.contains("β:10 listen"), "{trace}");
}

/// The page has the events, the logs and the place: the verdict tells none of them again.
#[test]
fn the_verdict_after_an_assertions_page_is_one_line() {
    for victim in [
        "asserts_of_a_view",
        "asserts_a_trace",
        "asserts_an_order",
        "asserts_that_it_contains",
    ] {
        let place = Tmp::new().unwrap();
        let (output, artifacts) = run(victim, &place);
        let printed = String::from_utf8(output.stderr).unwrap();
        let (page, verdict) = printed
            .split_once(&format!("\nvictims::{victim} failed: it panicked: "))
            .unwrap_or_else(|| panic!("{printed}"));
        assert_eq!(verdict.lines().count(), 1, "{printed}");
        assert!(page.contains(verdict.trim()), "{printed}");
        let place = format!("artifacts: {}\n", artifacts.display());
        assert_eq!(page.matches(&place).count(), 1, "{printed}");
    }
}

#[test]
fn the_trace_that_is_left_can_be_loaded_and_asked() {
    let place = Tmp::new().unwrap();
    let (_, artifacts) = run("asserts_of_a_view", &place);
    let saved = fs::read_to_string(artifacts.join("trace.jsonl")).unwrap();
    let trace = Trace::from_jsonl(&saved).unwrap().with_lifecycle();
    let text = fs::read_to_string(artifacts.join("trace.txt")).unwrap();
    assert_eq!(trace.to_string(), text);
    // Which process the scenario started as which is in it, too.
    let in_order = ["! spawn α", "α up", "α mark leader", "α exit 0"];
    let events = in_order.map(|line| trace.find(line).unwrap().expect(line));
    for pair in events.windows(2) {
        assert!(trace.happens_before(pair[0], pair[1]), "{pair:?}");
    }
}

#[test]
fn a_returned_mismatch_shows_the_whole_page() {
    let place = Tmp::new().unwrap();
    let (output, artifacts) = run("returns_what_does_not_hold", &place);
    assert_eq!(output.status.code(), Some(101));
    let page = String::from_utf8(output.stderr).unwrap();
    assert!(page.contains("α │ about to lead"), "{page}");
    assert!(
        page.contains(&format!("artifacts: {}", artifacts.display())),
        "{page}"
    );
    let report = fs::read_to_string(artifacts.join("report.html")).unwrap();
    assert!(report.contains("<h2>Expected</h2>"), "{report}");
    assert!(report.contains("◀ first difference"), "{report}");
}

#[test]
fn a_handled_mismatch_does_not_fail_the_test() {
    let place = Tmp::new().unwrap();
    let (output, artifacts) = run("handles_what_does_not_hold", &place);
    assert!(output.status.success(), "{output:?}");
    let report = fs::read_to_string(artifacts.join("report.html")).unwrap();
    assert!(!report.contains("<h2>Expected</h2>"), "{report}");
}

#[test]
fn a_missed_event_of_an_ended_process_is_named() {
    let place = Tmp::new().unwrap();
    let (output, _) = run("waits_for_what_has_ended", &place);
    assert_eq!(output.status.code(), Some(101));
    let page = String::from_utf8(output.stderr).unwrap();
    let said = "`α:10 listen` happened, but α has ended";
    assert!(page.contains(said), "{page}");
}

#[test]
fn artifacts_keep_added_files_and_drop_earlier_runs() {
    let place = Tmp::new().unwrap();
    let (output, artifacts) = run("adds_and_fails", &place);
    assert_eq!(output.status.code(), Some(101));
    fs::write(artifacts.join("of_an_earlier_run"), "").unwrap();
    let (output, artifacts) = run("adds_and_fails", &place);
    let page = String::from_utf8(output.stderr).unwrap();
    assert!(page.contains("adds_and_fails failed: fails"), "{page}");
    let added = fs::read_to_string(artifacts.join("extra.txt")).unwrap();
    assert_eq!(added, "α said so");
    assert!(artifacts.join("report.html").exists());

    let (_, artifacts) = run("adds_and_passes", &place);
    assert!(artifacts.join("extra.txt").exists());
}

/// A text of the page, as a browser shows it.
fn shown(html: &str) -> String {
    html.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&")
}

/// The whole verdict of a test, which stands in `verdict.txt` and on the page as it was printed.
#[track_caller]
fn check_verdict(victim: &str, variables: &[(&str, &str)], parts: &[&str]) {
    let place = Tmp::new().unwrap();
    let (output, artifacts) = run_with(victim, &place, variables);
    assert_eq!(output.status.code(), Some(101));
    let verdict = fs::read_to_string(artifacts.join("verdict.txt")).unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    // What libtest puts between a panic's message and the rest is its own.
    let headline = format!("victims::{victim} failed: ");
    let (told, rest) = verdict.split_once(&headline).unwrap();
    for part in [told.trim(), &format!("{headline}{}", rest.trim())] {
        assert!(printed.contains(part), "{part:?} is not in {printed}");
    }
    for part in parts {
        assert!(verdict.contains(part), "{part:?} is not in {verdict}");
    }
    let report = fs::read_to_string(artifacts.join("report.html")).unwrap();
    let (_, message) = report.split_once("<pre class=\"message\">").unwrap();
    let (message, _) = message.split_once("</pre>").unwrap();
    assert_eq!(shown(message), verdict.trim());
}

#[test]
fn a_hangs_whole_verdict_is_kept() {
    check_verdict(
        "hangs_beside_a_silent_host",
        &[("LONET_BACKTRACES", "0")],
        &[
            "it did not end within 2.0 s",
            "waits in accept α:10 for ",
            "the last events:\n",
            "  α:10 listen\n",
            "  α | <accepts> & waits\n",
            "trace and logs are in ",
        ],
    );
}

#[test]
fn a_mismatchs_whole_verdict_is_kept() {
    let parts = [
        "trace mismatch at line 1: `α mark follower` did not happen\n",
        "    - α mark follower\n    + α mark leader\n",
        "asserts_of_a_view failed: it panicked: trace mismatch at line 1",
    ];
    check_verdict("asserts_of_a_view", &[], &parts);
    let parts = [
        "failed: trace mismatch at line 1: `α mark follower` did not happen\n",
        "    α │ about to lead\n",
    ];
    check_verdict("returns_what_does_not_hold", &[], &parts);
}

#[test]
fn trace_and_page_mark_the_teardown_of_a_hang() {
    let place = Tmp::new().unwrap();
    let backtraces = [("LONET_BACKTRACES", "0")];
    let (_, artifacts) = run_with("hangs_beside_a_silent_host", &place, &backtraces);
    let trace = fs::read_to_string(artifacts.join("trace.txt")).unwrap();
    let marked = "# deadline: what follows is teardown\n";
    let (before, after) = trace
        .split_once(marked)
        .unwrap_or_else(|| panic!("{trace}"));
    let of = |part: &str, line: &str| {
        let mut lines = part.lines();
        lines.any(|one| one.split_whitespace().eq(line.split(' ')))
    };
    for (line, is_before) in [
        ("α:10 listen", true),
        ("τ:1 listen", true),
        ("τ:1 close", false),
    ] {
        let found = (of(before, line), of(after, line));
        assert_eq!(found, (is_before, !is_before), "{line}: {trace}");
    }
    // Its verdict is about the moment before.
    let verdict = fs::read_to_string(artifacts.join("verdict.txt")).unwrap();
    assert!(verdict.contains("  τ:1 listen\n"), "{verdict}");
    assert!(!verdict.contains("τ:1 close"), "{verdict}");
    let report = fs::read_to_string(artifacts.join("report.html")).unwrap();
    let explained = "The red line: deadline: what follows is teardown.";
    let line = "<g class=\"teardown\"><line ";
    assert!(
        report.contains(line) && report.contains(explained),
        "{report}"
    );
}

#[test]
fn a_host_without_events_has_its_column() {
    let place = Tmp::new().unwrap();
    let backtraces = [("LONET_BACKTRACES", "0")];
    let (_, artifacts) = run_with("hangs_beside_a_silent_host", &place, &backtraces);
    let report = fs::read_to_string(artifacts.join("report.html")).unwrap();
    let heads = report
        .lines()
        .filter(|line| line.starts_with("<text class=\"host\""));
    let hosts: Vec<&str> = heads
        .map(|line| line.split(['>', '<']).nth(2).unwrap())
        .collect();
    // In order of first appearance.
    assert_eq!(hosts, ["α", "τ", "γ"]);
    assert_eq!(report.matches("<line class=\"life\"").count(), 3);
}

#[test]
fn artifacts_of_a_failure_are_gone_after_a_pass() {
    let place = Tmp::new().unwrap();
    let (output, artifacts) = run_with("fails_on_demand", &place, &[("FAILS", "1")]);
    assert_eq!(output.status.code(), Some(101));
    assert!(artifacts.join("report.html").exists());
    // Nor does anything of one failure stay beside the next.
    fs::write(artifacts.join("of_an_earlier_run"), "").unwrap();
    run_with("fails_on_demand", &place, &[("FAILS", "1")]);
    assert!(artifacts.join("report.html").exists());
    assert!(!artifacts.join("of_an_earlier_run").exists());
    let (output, _) = run("fails_on_demand", &place);
    assert!(output.status.success(), "{output:?}");
    assert!(!artifacts.exists());
}
