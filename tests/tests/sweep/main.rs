//! Sweeps and schedules: the same body for every point at which a fault could act, and for one of them
//! alone.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod faults;
mod program;
mod victims;

use std::fs;

use lonet_tests::tmp::Tmp;
use lonet_tests::victim::{self, Ran};

/// Runs that victim.
fn run(victim: &str) -> Ran {
    run_at(victim, &Tmp::new().unwrap(), &[])
}

/// The same, with that place for its artifacts and these variables.
fn run_at(victim: &str, place: &Tmp, variables: &[(&str, &str)]) -> Ran {
    victim::run_at(&format!("victims::{victim}"), place, variables)
}

/// How often its body ran.
fn runs(ran: &Ran) -> usize {
    ran.printed.matches("a run\n").count()
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
    for victim in ["early", "plain", "searches"] {
        let replayed = run_at(
            victim,
            &Tmp::new().unwrap(),
            &[("LONET_REPLAY", schedule.to_str().unwrap())],
        );
        replayed.says(
            false,
            &[&format!("\nvictims::{victim} failed: it panicked: ")],
        );
        let end = "it ran with the schedule that LONET_REPLAY names: kill p at p:1 send b:1\n";
        assert!(replayed.said.ends_with(end), "{}", replayed.said);
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
    run("fails_and_does_not_reach_its_schedule").says(
        false,
        &[
            "failed: as ever\n",
            "\nalso: `! kill p` was armed, and never triggered: `p mark three` matched 0 events",
            "\nit ran with the schedule of the attribute: kill p at p mark three\n",
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
    assert_eq!(runs(&ran), 1);
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
    assert_eq!(runs(&ran), 1 + 1 + 1 + 3);
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
fn a_host_of_the_tests_process_is_cut_off_but_not_killed() {
    run("kills_the_tests_own_host").says(false, &["`! kill p` was armed, and never triggered"]);
    run("sweeps_the_tests_own_host").says(
        false,
        &["the sweep `kill p` has no points: no process that the body spawned played p"],
    );
    run("cuts_off_the_tests_own_host").says(true, &["partition p _: 2 of 2 points, all pass"]);
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
    for victim in ["early", "early_at_one_point", "searches"] {
        // The second one's body expects to be swept.
        let ran = run_at(victim, &Tmp::new().unwrap(), &[("UPDATE_EXPECT", "1")]);
        assert_eq!(ran.passed, victim != "early_at_one_point", "{}", ran.said);
        assert!(!ran.printed.contains("swept: "), "{}", ran.printed);
    }
}

#[test]
fn an_illegal_line_is_refused_at_its_place_before_anything_runs() {
    let here = |text: &str, column: usize| {
        let source = include_str!("victims.rs");
        let line = source.lines().position(|line| line.contains(text)).unwrap() + 1;
        format!("failed: tests/tests/sweep/victims.rs:{line}:{column}: ")
    };
    run("sweeps_what_is_illegal").says(
        false,
        &[
            &here("(sweep = \"kill p q\")", 31),
            "`q` is too much after `kill p`; legal are `kill p`",
        ],
    );
    run("schedules_what_is_illegal").says(
        false,
        &[
            &here("(schedule = \"kill p at p sings\")", 39),
            "`sings` is not a verb; legal after the host `p`: ",
        ],
    );
    run("orders_what_cannot_be_held").says(
        false,
        &[
            &here("(schedule = \"p up before p mark one\")", 39),
            "`mark` can't be held: code that marks does not wait, ",
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
    fails(
        Some("r:1 recv p:2 before b:1 recvs p:1\n"),
        ":1:25: `recvs` is not a verb; legal after the address `b:1`: ",
    );
}
