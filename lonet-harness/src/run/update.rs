//! The turns of a test whose expectations are rewritten: one run shows one order, and the program may
//! do things in another one in the next.
//!
//! Owns how often the body runs, and what makes an update fail. What a turn teaches is
//! `trace::update::learning`'s business, the words are `report::update`'s.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::result::Result;
use std::sync::Arc;

use super::Failed;
use crate::error::{Error, ErrorKind};
use crate::process::Entrance;
use crate::report;
use crate::run::attribute::Spec;
use crate::trace::update::files;
use crate::trace::update::learning::{Learning, Unlearned};

/// The variable that says after how many turns in a row that taught nothing the text is written.
const TURNS: &str = "LONET_UPDATE_TURNS";

/// The variable that repeats the random times of an update that failed.
const SEED: &str = "LONET_UPDATE_SEED";

/// The default number of turns.
const TURNS_BY_DEFAULT: usize = 20;

/// The maximum number of turns.
const MOST_TURNS: usize = 100;

/// An update of the expectations of one test.
pub(super) struct Update {
    learning: Arc<Learning>,
    turns: usize,
    /// The test's source, as the compiler names it.
    source: &'static str,
}

impl Update {
    /// One for a test, if it is asked for. What is not a test is written after its one run.
    ///
    /// # Errors
    ///
    /// The variable is not a number.
    pub(super) fn of(spec: &Spec, entrance: Entrance) -> Result<Option<Update>, Error> {
        let is_test = matches!(entrance, Entrance::Libtest(_));
        if !is_test || !files::is_asked_for() {
            return Ok(None);
        }
        let turns = match std::env::var_os(TURNS) {
            None => TURNS_BY_DEFAULT,
            Some(value) => turns(&value.to_string_lossy())?,
        };
        Ok(Some(Update {
            learning: Arc::new(Learning::new(seed()?)),
            turns,
            source: spec.place.file,
        }))
    }

    pub(super) fn learning(&self) -> &Arc<Learning> {
        &self.learning
    }

    /// Learns from a turn. Whether it taught anything.
    pub(super) fn end_turn(&self, test: &str, turn: usize) -> Result<bool, Failed> {
        let taught = self.learning.end_turn();
        taught.map_err(|why| failed(test, &why, turn))
    }

    /// Plays further turns until enough in a row taught nothing, and writes what was learned.
    pub(super) fn finish(
        &self,
        test: &str,
        played: usize,
        play: impl Fn() -> Result<(), Failed>,
    ) -> Result<(), Failed> {
        let (mut quiet, mut turn) = (0, played);
        while self.learning.is_news() && quiet < self.turns && turn < MOST_TURNS {
            self.can_go_on().map_err(|why| failed(test, &why, turn))?;
            turn += 1;
            let taught = play().and_then(|()| self.end_turn(test, turn));
            let taught = taught.map_err(|mut failed| {
                let seed = self.learning.seed();
                let _ = writeln!(failed.page, "{}", report::update::turn(turn, seed));
                failed
            })?;
            quiet = if taught { 0 } else { quiet + 1 };
        }
        self.learning
            .write()
            .map_err(|why| failed(test, &why, turn))
    }

    /// Whether another turn does no harm, and its lessons could be written.
    fn can_go_on(&self) -> Result<(), Unlearned> {
        self.learning.could_write()?;
        match files::is_as_compiled(self.source) {
            true => Ok(()),
            false => Err(Unlearned::Rewritten(self.source.to_owned())),
        }
    }
}

/// The seed of the random times by which arrivals are late in further turns.
fn seed() -> Result<u64, Error> {
    match std::env::var_os(SEED) {
        // Different in each update: together they learn more.
        None => Ok(u64::from(RandomState::new().hash_one(0) as u32)),
        Some(value) => {
            let value = value.to_string_lossy();
            value.trim().parse().map_err(|_| {
                let why =
                    format!("{SEED} must be a number, as an update shows it; it is {value:?}");
                Error::new(ErrorKind::Environment, why)
            })
        }
    }
}

fn turns(value: &str) -> Result<usize, Error> {
    value.trim().parse().map_err(|_| {
        let why = format!(
            "{TURNS} must be the number of consecutive runs without anything new that end an update, \
             for instance {TURNS_BY_DEFAULT}; it is {value:?}"
        );
        Error::new(ErrorKind::Environment, why)
    })
}

fn failed(test: &str, why: &Unlearned, turns: usize) -> Failed {
    let page = report::update::page(why, turns);
    let headline = page.lines().next().unwrap_or_default().to_owned();
    Failed {
        page: format!("\n{test} failed: {page}"),
        why: headline.clone(),
        kind: ErrorKind::Failed,
        payload: Box::new(headline),
        panicked: false,
    }
}

#[cfg(test)]
mod tests {
    use super::turns;

    #[test]
    fn a_number_of_turns() {
        assert_eq!(turns(" 5 ").unwrap(), 5);
        assert_eq!(turns("0").unwrap(), 0);
        for wrong in ["", "-1", "many", "1.5"] {
            let error = turns(wrong).unwrap_err().to_string();
            assert!(error.contains("LONET_UPDATE_TURNS") && error.contains(&format!("{wrong:?}")));
        }
    }
}
