//! Searches and their schedules, end to end: a race is found, kept as a line, and gone once it is mended.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

// A register with a race, between two clients, a primary and a backup.
#[path = "../../examples/register/client.rs"]
mod client;
#[path = "../../examples/register/history.rs"]
mod history;
mod program;
mod races;
#[path = "../../examples/register/replica.rs"]
mod replica;
#[path = "../../examples/register/scene.rs"]
mod scene;
mod victims;

use std::fs;

use lonet_tests::tmp::Tmp;
use lonet_tests::victim::{self, Ran};

/// How often a schedule is replayed.
fn times(usually: usize) -> usize {
    match std::env::var_os("LONET_FULL") {
        Some(_) => 100,
        None => usually,
    }
}

/// Runs that victim.
fn run(victim: &str) -> Ran {
    victim::run(&format!("victims::{victim}"))
}

#[test]
fn a_read_that_overtakes_the_backup_is_found() {
    let place = Tmp::new().unwrap();
    victim::run_at("victims::searched::sent", &place, &[]).says(
        false,
        &[
            "with `b:2 recv r:1 before b:1 recv p:1`: not linearizable",
            "fails 3 of 3",
            "passes 3 of 3",
            "1 racing pair, 1 both ways",
            "schedule = \"b:2 recv r:1 before b:1 recv p:1\"",
        ],
    );
    // The file that it leaves replays it.
    let schedule = place.path().join("search/victims/searched/sent/schedule");
    let found = find(&place, "schedule").unwrap_or(schedule);
    assert_eq!(
        fs::read_to_string(&found).unwrap(),
        "b:2 recv r:1 before b:1 recv p:1\n"
    );
    let replay = [("LONET_REPLAY", found.to_str().unwrap())];
    victim::run_at("victims::plain::sent", &Tmp::new().unwrap(), &replay).says(
        false,
        &[
            "not linearizable",
            "it ran with the schedule that LONET_REPLAY names: b:2 recv r:1 before b:1 recv p:1",
        ],
    );
}

/// The file of that name, wherever it is.
fn find(place: &Tmp, name: &str) -> Option<std::path::PathBuf> {
    let mut todo = vec![place.path().to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).ok()?.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => todo.push(entry.path()),
                Ok(_) if entry.file_name() == name => return Some(entry.path()),
                _ => {}
            }
        }
    }
    None
}

#[test]
fn its_schedule_fails_each_time() {
    for _ in 0..times(10) {
        run("scheduled::sent").says(false, &["not linearizable"]);
    }
}

#[test]
fn with_the_wait_its_schedule_passes_each_time_and_shows_what_orders_it() {
    for _ in 0..times(3) {
        run("scheduled::stored").says(
            true,
            &[
                "the schedule has no race to try: `b:2 recv r:1 before b:1 recv p:1` can't be: `b:1 recv p:1",
            ],
        );
    }
}

#[test]
fn with_the_wait_a_search_finds_nothing() {
    run("searched::stored").says(true, &["search: no racing pairs"]);
}

/// Both events have their host in the program; one of them never happens.
#[test]
fn a_schedule_of_another_program_names_what_is_missing() {
    run("scheduled::another").says(
        false,
        &[
            "`b:7 recv r:1 before b:1 recv p:1`",
            "`b:7 recv r:1` matched 0 events",
            "nearest: `b:",
        ],
    );
}

/// What is said before the body starts.
#[test]
fn a_schedule_against_the_rules_of_a_connection_is_refused() {
    run("scheduled::backwards").says(
        false,
        &[
            "`r:1 connect b:2` can't come before `b:2 accept r:1`: of one connection, `accept` → \
             `connect` happen in this order",
        ],
    );
}

#[test]
fn a_body_that_differs_by_itself_is_searched_all_the_same() {
    run("searched::differs").says(true, &["the baselines differ: ", "`p mark at "]);
}
