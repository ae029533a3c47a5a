//! A search: the body runs again and again, each time with two racing events in the other order.
//!
//! Owns what one run of it is, and what becomes of a search that failed. Which orders are tried is
//! `explore`'s business, and which of them an update tries is `reversals`'s. The words are
//! `report::search`'s; the turn holds an event until another has happened.

mod explore;
mod reversals;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Stderr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::progress::Progress;
use super::schedule::{Before, Point};
use super::turn::{self, Seen, Turn};
use super::{Failed, TestArgument};
use crate::collector::hold::{Kept, Patience};
use crate::error::ErrorKind;
use crate::outcome::BodyError;
use crate::process::Entrance;
use crate::report::artifacts;
use crate::run::attribute::Spec;
use crate::trace::racing::{Arrival, Forced, Racing};
use explore::{Fails, Run, Runs};

pub(super) use reversals::Reversals;

/// The longest hold: a longer one may make a time-out of the program pass, which is another test.
const LONGEST_HOLD: Duration = Duration::from_millis(250);

/// Plays it.
///
/// # Errors
///
/// The body fails as it is, or in another order of its races.
pub(super) fn play<A, F, Fut>(
    spec: &Spec,
    entrance: Entrance,
    budget: Duration,
    body: &F,
) -> Result<(), Failed>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<(), BodyError>>,
{
    let test = spec.test_name();
    let place = artifacts::place(test);
    let mut play = |orders: &[Before], quiet, artifacts| {
        let turn = Turn {
            orders,
            patience: Patience {
                quiet,
                most: LONGEST_HOLD,
            },
            records_data: true,
            artifacts,
            ..Turn::plain(spec, place.clone())
        };
        turn::play::<A, F, Fut>(spec, entrance, &turn, body)
    };
    let mut turns = Turns {
        play: &mut play,
        place: &place,
        runs: 0,
        began: Instant::now(),
        progress: Progress::on_stderr(),
        failed: None,
    };
    let searched = explore::search(&mut turns, budget);
    turns.progress.end();
    let baseline = turns.failed.take();
    match searched {
        Ok(searched) if !searched.failed() => {
            eprint!("{}", searched.summary(test));
            Ok(())
        }
        Ok(searched) => {
            // For `LONET_REPLAY`. The line stands in the page, too.
            let _ = fs::create_dir_all(&place)
                .and_then(|()| fs::write(place.join("schedule"), searched.schedules()));
            let headline = searched.headline();
            Err(Failed {
                page: searched.page(test),
                why: headline.clone(),
                kind: ErrorKind::Failed,
                payload: Box::new(headline),
                panicked: false,
            })
        }
        Err(fails) => {
            let mut failed = baseline.expect("the baseline that failed was the last run");
            failed.page = fails.page;
            Err(failed)
        }
    }
}

/// Plays one turn: with these orders, that patience, and its artifacts there.
type Play<'a> = dyn FnMut(&[Before], Duration, PathBuf) -> (Result<(), Failed>, Option<Seen>) + 'a;

/// What a turn shows that was to run in these orders: what became of each, and what raced.
pub(super) fn shown(orders: &[Before], seen: Seen) -> (Vec<Kept>, Racing) {
    let forced: Vec<Forced> = orders.iter().map(forced).collect();
    let racing = Racing::find(seen.records, seen.ended_at, &forced);
    let kept = seen.orders.into_iter().zip(&racing.seen);
    let kept = kept.map(|(kept, &both)| of_both(kept, both));
    (kept.collect(), racing)
}

/// What an order shows. It is also kept if the event that was to wait never came: that shows nothing. An
/// event that was held has come, though the body may have ended before it happened.
fn of_both(kept: Kept, both_happened: bool) -> Kept {
    match kept {
        Kept::Yes { held_for } if held_for.is_zero() && !both_happened => Kept::NeverCame,
        kept => kept,
    }
}

fn forced(order: &Before) -> Forced {
    let arrival = |of: &Point| Arrival {
        host: of.host.clone(),
        line: of.pattern.clone(),
        nth: of.nth,
    };
    (arrival(&order.first), arrival(&order.then))
}

/// The turns of a test.
struct Turns<'a> {
    play: &'a mut Play<'a>,
    place: &'a PathBuf,
    runs: usize,
    began: Instant,
    progress: Progress<Stderr>,
    /// The latest failure.
    failed: Option<Failed>,
}

impl Runs for Turns<'_> {
    fn run(&mut self, orders: &[Before], patience: Duration) -> Run {
        self.runs += 1;
        // Each has a place of its own, or the next would overwrite it; a baseline that passes clears
        // away what earlier searches left.
        let artifacts = match orders {
            [] => self.place.clone(),
            _ => self.place.join(format!("run-{}", self.runs)),
        };
        let (ended, seen) = (self.play)(orders, patience, artifacts);
        let (orders, racing) = shown(orders, seen.unwrap_or_default());
        Run {
            ended: ended.map_err(|failed| {
                let fails = Fails {
                    why: failed.why.clone(),
                    page: failed.page.clone(),
                };
                self.failed = Some(failed);
                fails
            }),
            orders,
            racing,
        }
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    fn progress(&mut self, line: &str) {
        self.progress.show(line);
    }
}
