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
            "not updated: what is expected at {place} is shared by runs that differ; give each its own\n\n\
             {mismatch}\n\
             it is checked several times in turn {turn} of the body, and one text has to hold each time; it \
             stays as it was\n"
        ),
        Unlearned::Events {
            place,
            turn,
            is_shared: false,
            mismatch,
        } => format!(
            "not updated: in turn {turn} of the body, something else happened than in the turns before\n\n\
             {mismatch}\n\
             what is expected at {place} stays as it was: one text can't tell of runs that differ. \
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
             what is expected at {place} stays as it was: both are events of one connection, whose order no \
             block forgives. Bind what differs (`$x`, `_`), leave it out with a view (`only_verbs`, \
             `only_hosts`), or order it with `until`.\n"
        ),
        Unlearned::Rewritten(file) => format!(
            "not updated: {file} was rewritten while the body ran, by an `expect!` of another assertion or by \
             hand; run the test again: that `expect!` is up to date then, and the body can run several times\n"
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
        "it was turn {turn} of the body, which an update runs again to learn what differs from run to run; \
         nothing was rewritten"
    )
}
