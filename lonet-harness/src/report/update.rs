//! Why an update wrote nothing.
//!
//! Pure. Owns the words. What the difference is, `mismatch` shows.

use crate::trace::update::learning::Unlearned;

/// The page.
pub(crate) fn page(why: &Unlearned, turns: usize) -> String {
    match why {
        Unlearned::Events {
            place,
            turn,
            is_shared: true,
            mismatch,
        } => format!(
            "not updated: the expectation at {place} is shared by runs that differ; give each its own\n\n\
             {mismatch}\n\
             turn {turn} of the body checks it several times, and one text must hold each time; it is \
             unchanged\n"
        ),
        Unlearned::Events {
            place,
            turn,
            is_shared: false,
            mismatch,
        } => format!(
            "not updated: turn {turn} of the body differs from the turns before it\n\n\
             {mismatch}\n\
             the expectation at {place} is unchanged: one text can't match runs that differ. \
             Bind what differs (`$x`, `_`), leave it out with a view (`only_verbs`, `only_hosts`), or order \
             it with `until`.\n"
        ),
        Unlearned::Connection {
            place,
            lines: (one, two),
            turns: (first, second),
        } => format!(
            "not updated: `{one}` stands above `{two}` in turn {first} of the body and below it in turn \
             {second}\n\n\
             the expectation at {place} is unchanged: both are events of one connection, and a block can't \
             leave their order open. Bind what differs (`$x`, `_`), leave it out with a view (`only_verbs`, \
             `only_hosts`), or order it with `until`.\n"
        ),
        Unlearned::Rewritten(file) => format!(
            "not updated: {file} was rewritten while the body ran, by an `expect!` of another assertion or by \
             hand; run the test again\n"
        ),
        Unlearned::Settled(mismatch) => format!("not updated\n\n{mismatch}"),
        Unlearned::Unwritten(why) => {
            let played = match turns {
                1 => "1 turn".to_owned(),
                turns => format!("{turns} turns"),
            };
            format!("not updated, after {played}: {why}\n")
        }
    }
}

/// Which turn failed.
pub(crate) fn turn(turn: usize) -> String {
    format!(
        "this was turn {turn}: an update runs the body several times to learn what differs between runs; \
         nothing was rewritten"
    )
}

/// How a turn differs from the first one.
pub(crate) fn late(seed: u64) -> String {
    format!(
        "from the second turn on, all that arrives is late by a random time of up to 3 ms; \
         LONET_UPDATE_SEED={seed} repeats these times"
    )
}

/// How a turn differs from the first one in which a race was to be reversed.
pub(crate) fn reversed(schedule: &str, kept: bool) -> String {
    match kept {
        true => format!(
            "in this turn, two arrivals that race came in the other order; to repeat it: \
             schedule = {schedule:?}"
        ),
        false => format!(
            "in this turn, an arrival was to be held for another one, but the order did not come about: \
             schedule = {schedule:?}"
        ),
    }
}
