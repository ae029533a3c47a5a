//! What a search says of races: one that matters, one that does not, and what is none.

use super::run;

/// What the victim said, without how many runs it took: on a busy machine a hold is given up now and
/// then, and tried again.
#[track_caller]
fn says(victim: &str, passes: bool) -> String {
    let ran = run(&format!("races::{victim}"));
    ran.says(passes, &[]);
    let lines = ran.said.split_inclusive('\n');
    let uncounted = lines.map(|line| match line.rsplit_once("; ") {
        Some((coverage, runs)) if runs.contains(" runs, ") => format!("{coverage}\n"),
        _ => line.to_owned(),
    });
    uncounted.collect()
}

#[test]
fn the_message_of_an_order_that_fails() {
    let said = says("first_written_is_stored_first", false);
    let message = "
victims::races::first_written_is_stored_first failed: with `s:2 recv d:1 before s:1 recv c:1`: it panicked: stored first: 2

`s:1 recv c:1` before `s:2 recv d:1`: passes 3 of 3
`s:2 recv d:1` before `s:1 recv c:1`: fails 3 of 3: it panicked: stored first: 2
the last event before both: `c:1 send s:1`
1 racing pair, 1 both ways
to order them, let `d:1 send s:2` happen only after `s:1 recv c:1`
to keep this order: schedule = \"s:2 recv d:1 before s:1 recv c:1\"

  victims::races::first_written_is_stored_first failed: it panicked: stored first: 2
";
    assert!(said.contains(message), "{said}");
}

#[test]
fn a_search_that_finds_nothing_says_what_it_saw() {
    assert_eq!(
        says("either_is_stored_first", true),
        "victims::races::either_is_stored_first: search: 1 racing pair, 1 both ways\n\
         this pair was seen in both orders at least once\n"
    );
}

/// The server itself orders its reads: once an accept is reversed, nothing is left to be tried.
#[test]
fn a_server_that_serves_in_turn_has_a_race_of_accepts() {
    assert_eq!(
        says("serves_in_turn", true),
        "victims::races::serves_in_turn: search: 2 racing pairs, 2 both ways\n\
         each of these pairs was seen in both orders at least once\n"
    );
}

#[test]
fn what_a_channel_orders_is_not_counted_as_tried() {
    let said = says("reads_one_after_the_other", true);
    // On a busy machine other things may go on for too long to tell.
    let why = [
        "ordered by something lonet can't see",
        "given up after the longest hold",
    ];
    let expected = why.map(|why| {
        format!(
            "victims::races::reads_one_after_the_other: search: 1 racing pair, 1 {why}\n\
             {why}: `s:2 recv d:1 before s:1 recv c:1`\n"
        )
    });
    assert!(expected.contains(&said), "{said}");
}

#[test]
fn a_body_that_fails_by_itself_is_not_searched() {
    let said = says("fails_by_itself", false);
    let first = "\nvictims::races::fails_by_itself failed: as ever\n";
    assert!(said.starts_with(first), "{said}");
    let last = "\nthis was baseline 1 of 3 of the search: the body fails without any hold, so no order \
                was tried\n";
    assert!(said.contains(last), "{said}");
}
