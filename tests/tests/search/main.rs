//! Searches: the same body with the races of its processes in both orders.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod program;
mod victims;

use std::fs;
use std::process::Command;

use lonet_tests::tmp::Tmp;

/// Runs that victim: whether it passed, and what the harness said, without how many runs it took: on a
/// busy machine a hold is given up now and then, and tried again.
fn run(victim: &str) -> (bool, String) {
    run_at(victim, &Tmp::new().unwrap(), &[])
}

/// The same, with that place for its artifacts and these variables.
fn run_at(victim: &str, place: &Tmp, variables: &[(&str, &str)]) -> (bool, String) {
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
    let said = String::from_utf8(output.stderr).unwrap();
    let uncounted = said
        .split_inclusive('\n')
        .map(|line| match line.rsplit_once("; ") {
            Some((coverage, runs)) if runs.contains(" runs, ") => format!("{coverage}\n"),
            _ => line.to_owned(),
        });
    (output.status.success(), uncounted.collect())
}

#[track_caller]
fn says((passed, said): (bool, String), expected: bool, text: &str) {
    assert_eq!(passed, expected, "{said}");
    assert!(said.contains(text), "{text:?} is not in:\n{said}");
}

#[test]
fn a_search_finds_the_order_that_fails() {
    let place = Tmp::new().unwrap();
    let ran = run_at("first_written_is_stored_first", &place, &[]);
    let message = "
victims::first_written_is_stored_first failed: with `s:2 recv d:1 before s:1 recv c:1`: it panicked: stored first: 2

`s:1 recv c:1` before `s:2 recv d:1`: passes 3 of 3
`s:2 recv d:1` before `s:1 recv c:1`: fails 3 of 3: it panicked: stored first: 2
the last event before both: `c:1 send s:1`
1 racing pair, 1 both ways
to order them, let `d:1 send s:2` happen only after `s:1 recv c:1`
to keep this order: schedule = \"s:2 recv d:1 before s:1 recv c:1\"

  victims::first_written_is_stored_first failed: it panicked: stored first: 2
";
    says(ran, false, message);

    let schedule = place
        .path()
        .join("search/victims__first_written_is_stored_first/schedule");
    let line = "s:2 recv d:1 before s:1 recv c:1\n";
    assert_eq!(fs::read_to_string(&schedule).unwrap(), line);
    let replay = [("LONET_REPLAY", schedule.to_str().unwrap())];
    let ran = run_at("either_is_stored_first", &place, &replay);
    says(ran, true, "");
    let ran = run_at("first_written_is_stored_first", &place, &replay);
    says(ran, false, "failed: it panicked: stored first: 2\n");
}

#[test]
fn a_search_that_finds_nothing_says_what_it_saw() {
    says(
        run("either_is_stored_first"),
        true,
        "victims::either_is_stored_first: search: 1 racing pair, 1 both ways\n\
         this pair was seen in both orders at least once\n",
    );
    says(
        run("waits_for_the_answer"),
        true,
        "victims::waits_for_the_answer: search: no racing pairs\n",
    );
}

/// The server itself orders its reads: once an accept is reversed, nothing is left to be tried.
#[test]
fn a_server_that_serves_in_turn_has_a_race_of_accepts() {
    says(
        run("serves_in_turn"),
        true,
        "victims::serves_in_turn: search: 2 racing pairs, 2 both ways\n\
         each of these pairs was seen in both orders at least once\n",
    );
}

#[test]
fn what_a_channel_orders_is_not_counted_as_tried() {
    let (passed, said) = run("reads_one_after_the_other");
    assert!(passed, "{said}");
    // On a busy machine other things may go on for too long to tell.
    let why = [
        "ordered by something lonet can't see",
        "given up after the longest hold",
    ];
    let expected = why.map(|why| {
        format!(
            "victims::reads_one_after_the_other: search: 1 racing pair, 1 {why}\n\
             {why}: `s:2 recv d:1 before s:1 recv c:1`\n"
        )
    });
    assert!(expected.contains(&said), "{said}");
}

#[test]
fn a_body_that_fails_by_itself_is_not_searched() {
    let (passed, said) = run("fails_by_itself");
    assert!(!passed);
    assert!(
        said.starts_with("\nvictims::fails_by_itself failed: as ever\n"),
        "{said}"
    );
    let last = "\nthis was baseline 1 of 3 of the search: the body fails without any hold, so no order \
                was tried\n";
    assert!(said.contains(last), "{said}");
}

#[test]
fn baselines_that_differ_are_told() {
    let (passed, said) = run("marks_something_else_each_time");
    assert!(passed, "{said}");
    let found = "search: 1 racing pair, 1 both ways\n\
                 this pair was seen in both orders at least once\n\
                 the baselines differ: `t mark run ";
    assert!(said.contains(found), "{said}");
}
