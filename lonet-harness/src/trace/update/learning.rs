//! What an update learns of a test's expectations, turn by turn, before anything is written.
//!
//! Owns, for one test, which texts were asked for and what each turn made of them. Which text holds of
//! all turns is `write::turns`' business; how often the body runs, the run's; writing, `source`'s.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::trace::Mismatch;
use crate::trace::cut::Cut;
use crate::trace::expected::grammar::Expectation;
use crate::trace::explain::diagnosis::Advice;
use crate::trace::update::source::Source;
use crate::trace::write::turns::{self, Differ, Seen};

/// The expectations of one test whose body runs several times.
pub(crate) struct Learning {
    state: Mutex<State>,
    /// From which the random times of the further turns come.
    seed: u64,
}

#[derive(Default)]
struct State {
    turn: usize,
    /// By place, as a message names it.
    places: BTreeMap<String, Place>,
}

/// One `expect![[…]]` or file.
struct Place {
    source: Source<'static>,
    old: Expectation,
    /// What holds of all that was seen.
    text: Expectation,
    /// What it was asked of, and in which turn.
    seen: Vec<(usize, Cut)>,
    /// How many of those `text` is known to hold of.
    learned: usize,
}

/// Why nothing is written.
#[derive(Debug)]
pub(crate) enum Unlearned {
    /// Something else happened in this turn than in those before, or earlier in this turn.
    Events {
        place: String,
        turn: usize,
        is_shared: bool,
        mismatch: Box<Mismatch>,
    },
    /// Lines of one connection contradict each other.
    Connection {
        place: String,
        lines: (String, String),
        turns: (usize, usize),
    },
    /// This source has changed since it was compiled.
    Rewritten(String),
    /// What another run of the same place has settled does not hold here.
    Settled(Box<Mismatch>),
    /// It can't be written.
    Unwritten(String),
}

impl Learning {
    /// Of nothing yet; the further turns are perturbed from this seed.
    pub(crate) fn new(seed: u64) -> Learning {
        Learning {
            state: Mutex::default(),
            seed,
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// From which number the arrivals of the turn that begins are late, by random times. The first
    /// turn is the program as it is.
    pub(crate) fn perturbs(&self) -> Option<u64> {
        let turn = self.state().turn as u64;
        (turn > 0).then(|| self.seed.wrapping_add(turn))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a text was asked of.
    pub(crate) fn note(&self, source: &Source<'_>, old: Expectation, cut: Cut) {
        let mut state = self.state();
        let turn = state.turn;
        let place = state.places.entry(source.place()).or_insert_with(|| Place {
            source: source.kept(),
            text: old.clone(),
            old,
            seen: Vec::new(),
            learned: 0,
        });
        place.seen.push((turn, cut));
    }

    /// Ends a turn. Whether it taught anything.
    ///
    /// # Errors
    ///
    /// No text holds of this turn and those before.
    pub(crate) fn end_turn(&self) -> Result<bool, Unlearned> {
        let mut state = self.state();
        state.turn += 1;
        let mut taught = false;
        for (name, place) in &mut state.places {
            taught |= place.learn(name)?;
        }
        Ok(taught)
    }

    /// Whether something is to be written.
    pub(crate) fn is_news(&self) -> bool {
        self.state().places.values().any(Place::is_news)
    }

    /// Whether what was learned could be written now, as far as one can tell.
    ///
    /// # Errors
    ///
    /// It can't.
    pub(crate) fn could_write(&self) -> Result<(), Unlearned> {
        let state = self.state();
        let mut news = state.places.values().filter(|place| place.is_news());
        news.try_for_each(|place| place.source.could_settle(&place.text.source))
            .map_err(Unlearned::Unwritten)
    }

    /// Writes what was learned.
    ///
    /// # Errors
    ///
    /// It can't be written, or another run has written something else there that does not hold here.
    pub(crate) fn write(&self) -> Result<(), Unlearned> {
        // One that can't be written is found out before any is.
        self.could_write()?;
        let state = self.state();
        for place in state.places.values() {
            let new = place.is_news().then_some(&*place.text.source);
            let settled = place.source.settle(&place.old.source, new);
            let Some(settled) = settled.map_err(Unlearned::Unwritten)? else {
                continue;
            };
            for (_, cut) in &place.seen {
                cut.check_text(&settled, Advice::Part(place.source.place()))
                    .map_err(|mismatch| Unlearned::Settled(Box::new(mismatch)))?;
            }
        }
        Ok(())
    }
}

impl Place {
    fn is_news(&self) -> bool {
        self.text.source != self.old.source
    }

    /// Brings the text up to date with what was seen since it last was.
    fn learn(&mut self, name: &str) -> Result<bool, Unlearned> {
        let seen: Vec<Seen<'_>> = self.seen.iter().map(|(_, cut)| Seen::of(cut)).collect();
        let fresh = &seen[self.learned..];
        self.learned = seen.len();
        if fresh.iter().all(|seen| turns::stays(seen, &self.text)) {
            return Ok(false);
        }
        let turn = |run: usize| self.seen[run].0 + 1;
        match turns::agreed(&self.old, &seen) {
            Ok(Some(text)) => {
                let text = Expectation::parse(&text).expect("what is written is a text");
                let taught = text.source != self.text.source;
                self.text = text;
                Ok(taught)
            }
            Ok(None) => Ok(false),
            Err(Differ::Events { run, text }) => {
                let cut = &self.seen[run].1;
                let mismatch = match cut.check_as_it_is(&text) {
                    Err(mismatch) => mismatch,
                    Ok(()) => Mismatch::unusable(cut, "several assignments are possible".into()),
                };
                let same_turn = |(other, _): &&(usize, Cut)| *other == self.seen[run].0;
                Err(Unlearned::Events {
                    place: name.to_owned(),
                    turn: turn(run),
                    is_shared: self.seen[..run].iter().any(|seen| same_turn(&seen)),
                    mismatch: Box::new(mismatch),
                })
            }
            Err(Differ::Connection { lines, runs }) => Err(Unlearned::Connection {
                place: name.to_owned(),
                lines,
                turns: (turn(runs.0), turn(runs.1)),
            }),
        }
    }
}
