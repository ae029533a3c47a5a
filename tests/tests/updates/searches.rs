//! Updates of tests that have a search: further turns reverse the races that turns show.
//!
//! Owns the updates and the replays. The programs are `victims`.

use std::fs;
use std::process::Output;

use super::copy::Copy;

const RARE: &str = "s:2 recv b:1 before s:1 recv a:1";

fn written(copy: &Copy, victim: &str) -> String {
    copy.read(&format!("tests/tests/updates/new/{victim}.trace"))
}

/// Runs it in the order that is rare.
fn replay(copy: &Copy, victim: &str) -> Output {
    let file = copy.0.join("rare");
    fs::write(&file, RARE).unwrap();
    let mut command = copy.command(victim, false);
    command.env("LONET_REPLAY", file).output().unwrap()
}

#[test]
fn an_update_with_a_search_learns_the_rare_order() {
    let copy = Copy::new("searched");
    copy.update("searched");
    let text = written(&copy, "searched");
    assert!(text.starts_with("| s mark has "), "{text}");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["| s mark has a", "| s mark has b"]);
    // It holds in either order, and then there is nothing more to learn.
    let output = replay(&copy, "searched");
    assert!(output.status.success(), "{output:?}");
    copy.update("searched");
    assert_eq!(written(&copy, "searched"), text);

    copy.update("not_searched");
    let text = written(&copy, "not_searched");
    assert_eq!(text, "s mark has a\ns mark has b\n");
    let output = replay(&copy, "not_searched");
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{page}");
    assert!(page.contains("s mark has b"), "{page}");
}

#[test]
fn a_turn_that_fails_in_a_reversed_order_says_how_to_replay_it() {
    let copy = Copy::new("fails-reversed");
    let page = copy.fails("fails_in_the_rare_order");
    for said in [
        "b overtook a",
        "this was turn 2: ",
        "nothing was rewritten",
        &format!(
            "in this turn, two arrivals that race came in the other order; to repeat it: schedule = \"{RARE}\"\n"
        ),
    ] {
        assert!(page.contains(said), "{said:?} in\n{page}");
    }
    assert!(!page.contains("LONET_UPDATE_SEED"), "{page}");
    let file = "tests/tests/updates/new/fails_in_the_rare_order.trace";
    assert!(!copy.0.join(file).exists());
    assert!(!replay(&copy, "fails_in_the_rare_order").status.success());
}

/// Each race is reversed once, also if fewer turns in a row are to teach nothing; the other turns are as
/// without a search, and a test without races has only those.
#[test]
fn the_number_of_turns_with_a_search() {
    let copy = Copy::new("turns-searched");
    let counts = copy.0.join("counts");
    for (victim, given, played) in [
        ("searched", "0", 1),
        ("searched", "1", 3),
        ("searched", "3", 5),
        ("searched_without_races", "3", 4),
    ] {
        let file = format!("tests/tests/updates/new/{victim}.trace");
        let _ = fs::remove_file(copy.0.join(&file));
        let _ = fs::remove_file(&counts);
        let mut command = copy.command(victim, true);
        command.env("LONET_TESTS_COUNT", &counts);
        let output = command.env("LONET_UPDATE_TURNS", given).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let counted = fs::read(&counts).map_or(0, |counts| counts.len());
        assert_eq!(counted, played, "{victim} {given}");
    }
    // A search records what is sent; so does its update, or the text would not hold of the search.
    let text = written(&copy, "searched_without_races");
    assert_eq!(text, "c:1 send e:1 1\ne:1 send c:1 1\n");
    let output = copy.run("searched_without_races", false);
    assert!(output.status.success(), "{output:?}");
}
