//! The turns of a test whose expectations are rewritten: one run shows one order, and the program may
//! do things in another one in the next.
//!
//! Owns how often the body runs, which turns reverse a race, and what makes an update fail. What a turn
//! teaches is `trace::update::learning`'s business, which races there are `search`'s; the words are
//! `report::update`'s.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::result::Result;
use std::sync::Arc;

use super::Failed;
use super::schedule::{Before, Schedule};
use super::search::{Reversals, are_kept, forced};
use super::turn::Seen;
use crate::collector::hold::Patience;
use crate::error::{Error, ErrorKind};
use crate::process::Entrance;
use crate::report;
use crate::run::attribute::Spec;
use crate::trace::racing::Racing;
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
    /// The races, if the test has a search.
    reversals: Option<Reversals>,
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
            reversals: spec.search.map(|_| Reversals::default()),
            source: spec.place.file,
        }))
    }

    pub(super) fn learning(&self) -> &Arc<Learning> {
        &self.learning
    }

    /// Whether it reverses the races of its turns, for which all of them record what is sent: as the
    /// runs of a search do, so that they have the same events.
    pub(super) fn reverses(&self) -> bool {
        self.reversals.is_some()
    }

    /// Learns from a turn that ran in these orders. Whether it taught anything.
    pub(super) fn end_turn(
        &mut self,
        test: &str,
        turn: usize,
        orders: &[Before],
        seen: Option<Seen>,
    ) -> Result<bool, Failed> {
        if let (Some(reversals), Some(seen)) = (&mut self.reversals, seen) {
            let forced: Vec<_> = orders.iter().map(forced).collect();
            let racing = Racing::find(seen.records, seen.ended_at, &forced);
            reversals.note(orders, &seen.orders, &racing);
        }
        let taught = self.learning.end_turn();
        taught.map_err(|why| failed(test, &why, turn))
    }

    /// Plays further turns until enough in a row taught nothing and each race was reversed, and writes
    /// what was learned.
    pub(super) fn finish(
        &mut self,
        test: &str,
        played: usize,
        play: impl Fn(&[Before], Patience) -> (Result<(), Failed>, Option<Seen>),
    ) -> Result<(), Failed> {
        let (mut quiet, mut turn) = (0, played);
        while self.learning.is_news() && self.goes_on(quiet) && turn < MOST_TURNS {
            self.can_go_on().map_err(|why| failed(test, &why, turn))?;
            turn += 1;
            let (orders, patience) = self.orders(turn);
            let (ended, seen) = play(&orders, patience);
            let kept = seen.as_ref().is_some_and(|seen| are_kept(&seen.orders));
            let taught = ended.and_then(|()| self.end_turn(test, turn, &orders, seen));
            let taught = taught.map_err(|mut failed| {
                let why = match orders.is_empty() {
                    true => report::update::late(self.learning.seed()),
                    false => report::update::reversed(&Schedule::Orders(orders).to_string(), kept),
                };
                let turn = report::update::turn(turn);
                let _ = writeln!(failed.page, "{turn}\n{why}");
                failed
            })?;
            quiet = if taught { 0 } else { quiet + 1 };
        }
        self.learning
            .write()
            .map_err(|why| failed(test, &why, turn))
    }

    /// Whether there is more to learn, after so many turns in a row that taught nothing.
    fn goes_on(&self, quiet: usize) -> bool {
        let left = self.reversals.as_ref().map_or(0, Reversals::left);
        quiet < self.turns || (left > 0 && self.turns > 0)
    }

    /// In which orders the turn of that number runs. Every other turn is left to random times, unless
    /// each is needed for a race.
    fn orders(&mut self, turn: usize) -> (Vec<Before>, Patience) {
        let Some(reversals) = &mut self.reversals else {
            return Default::default();
        };
        let reverses = turn.is_multiple_of(2) || reversals.left() > MOST_TURNS - turn;
        let orders = reverses.then(|| reversals.take()).flatten();
        (orders.unwrap_or_default(), reversals.patience())
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
    use std::sync::Arc;

    use super::{Update, turns};
    use crate::run::search::Reversals;
    use crate::trace::racing::{Arrival, Pair, Racing};
    use crate::trace::update::learning::Learning;

    /// Of a test with a search, one turn of which has shown so many pairs.
    fn update(pairs: usize) -> Update {
        let arrival = |line: String| Arrival {
            host: "s".to_owned(),
            line,
            nth: 1,
        };
        let pair = |number| Pair {
            earlier: arrival(format!("s:1 recv a:{number} _")),
            later: arrival(format!("s:2 recv b:{number} _")),
            common: None,
            cause: None,
        };
        let mut reversals = Reversals::default();
        let racing = Racing {
            pairs: (1..=pairs).map(pair).collect(),
            ..Racing::default()
        };
        reversals.note(&[], &[], &racing);
        Update {
            learning: Arc::new(Learning::new(0)),
            turns: 20,
            reversals: Some(reversals),
            source: "",
        }
    }

    /// Which of the turns from the second one on reverse a race.
    fn reversing(update: &mut Update) -> Vec<usize> {
        let reverses = |turn: &usize| !update.orders(*turn).0.is_empty();
        (2..=super::MOST_TURNS).filter(reverses).collect()
    }

    #[test]
    fn every_other_turn_reverses_a_race() {
        assert_eq!(reversing(&mut update(3)), [2, 4, 6]);
        assert!(reversing(&mut update(0)).is_empty());
        let mut without = update(3);
        without.reversals = None;
        assert!(reversing(&mut without).is_empty());
    }

    #[test]
    fn many_races_take_all_turns_that_they_need() {
        let mut seventy = update(70);
        let turns = reversing(&mut seventy);
        assert_eq!(turns.len(), 70);
        assert_eq!(turns[..3], [2, 4, 6]);
        assert_eq!(reversing(&mut update(150)).len(), 99);
    }

    #[test]
    fn an_update_ends_once_each_race_was_reversed() {
        let mut one = update(1);
        assert!(one.goes_on(20));
        one.orders(2);
        assert!(one.goes_on(19) && !one.goes_on(20));
        let mut none_further = update(1);
        none_further.turns = 0;
        assert!(!none_further.goes_on(0));
    }

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
