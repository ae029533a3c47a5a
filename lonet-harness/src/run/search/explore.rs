//! Which orders of a program's races are tried, and what that shows.
//!
//! Owns the search, over anything that can be run in given orders. Owns no words and reads no clock.
//!
//! Three runs as they come show which pairs of arrivals race. Each pair is then reversed alone: the
//! earlier arrival is held until the later one has happened. What races only then is reversed, too, on
//! top of that. Example: a write and a read race for a server. The read first: the server asks another
//! one, whose answer races with the write. So that pair is tried with the read first.
//!
//! What was given up is tried once more at the end, if there is time: a process that starts slowly looks
//! like one that waits for ever.
//!
//! A run that fails is repeated: one failure may be chance. Then one order after the other is left out
//! that is not needed to make it fail, and the pair is put back into its first order, in which it should
//! pass.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::collector::hold::Kept;
use crate::report::search::{Came, Failure, Searched, Tried, progress};
use crate::run::schedule::{Before, Point};
use crate::trace::racing::{Arrival, Pair, Racing};

/// How often the body runs as it is, and how often in an order that fails.
pub(super) const TIMES: usize = 3;

/// A hold is given up after a time in which nothing else has happened: so many times the longest such
/// time of the baseline, within these limits.
const PATIENCE: u32 = 10;
const LEAST_PATIENCE: Duration = Duration::from_millis(20);
const MOST_PATIENCE: Duration = Duration::from_millis(200);

/// What runs.
pub(super) trait Runs {
    /// Runs it once in these orders. A hold is given up if nothing else has happened for that long.
    fn run(&mut self, orders: &[Before], patience: Duration) -> Run;

    /// For how long the search has run.
    fn elapsed(&self) -> Duration;

    /// What a terminal is to show.
    fn progress(&mut self, line: &str);
}

/// What one run did.
pub(super) struct Run {
    pub(super) ended: Result<(), Fails>,
    /// What became of each order.
    pub(super) orders: Vec<Kept>,
    pub(super) racing: Racing,
}

/// Why a run failed.
#[derive(Clone)]
pub(super) struct Fails {
    pub(super) why: String,
    pub(super) page: String,
}

/// Searches, until nothing is new or the time is over.
///
/// # Errors
///
/// The body fails without any hold.
pub(super) fn search(runs: &mut impl Runs, budget: Duration) -> Result<Searched, Fails> {
    let mut search = Search {
        runs,
        patience: LEAST_PATIENCE,
        known: BTreeSet::new(),
        todo: VecDeque::new(),
        found: Searched::default(),
    };
    search.baselines()?;
    search.show_progress();
    while search.runs.elapsed() < budget {
        let Some(task) = search.todo.pop_front() else {
            break;
        };
        search.reverse(task);
        search.show_progress();
    }
    search.found.took = search.runs.elapsed();
    Ok(search.found)
}

/// The lines of a pair, in either order.
pub(super) type Lines = (String, String);

/// A pair that is to be reversed.
struct Task {
    /// On top of these.
    orders: Vec<Before>,
    pair: Pair,
    /// Where it stands among all.
    index: usize,
    /// Whether it was given up before.
    again: bool,
}

struct Search<'a, R> {
    runs: &'a mut R,
    patience: Duration,
    known: BTreeSet<Lines>,
    todo: VecDeque<Task>,
    found: Searched,
}

impl<R: Runs> Search<'_, R> {
    fn run(&mut self, orders: &[Before]) -> Run {
        self.found.runs += 1;
        self.runs.run(orders, self.patience)
    }

    fn show_progress(&mut self) {
        let line = progress(&self.found);
        self.runs.progress(&line);
    }

    /// Runs the body as it is, and notes what races there.
    fn baselines(&mut self) -> Result<(), Fails> {
        let mut baselines: Vec<Racing> = Vec::new();
        for number in 1..=TIMES {
            let run = self.run(&[]);
            run.ended.map_err(|fails| Fails {
                page: fails.page + &crate::report::search::of_baseline(number, TIMES),
                ..fails
            })?;
            baselines.push(run.racing);
        }
        let longest = baselines.iter().map(|racing| racing.longest_gap).max();
        self.patience = patience(longest.unwrap_or_default());
        self.found.differ = differing(&baselines);
        for racing in &baselines {
            self.found
                .alike
                .extend(racing.alike.iter().map(|line| shown(line)));
            self.found.left_out = self.found.left_out.max(racing.left_out);
            self.known.extend(racing.pairs.iter().map(lines));
        }
        let [first, others @ ..] = &baselines[..] else {
            return Ok(());
        };
        let mut steady = BTreeSet::new();
        for pair in &first.pairs {
            let is_it = |other: &&Pair| events(other) == events(pair);
            let others: Vec<&Pair> = others
                .iter()
                .filter_map(|racing| racing.pairs.iter().find(is_it))
                .collect();
            if others.len() + 1 < TIMES {
                continue;
            }
            steady.insert(lines(pair));
            let index = self.note(&[], pair);
            match others.iter().any(|other| other.earlier != pair.earlier) {
                true => self.found.tried[index].came = Came::BothWays,
                false => self.todo.push_back(Task {
                    orders: Vec::new(),
                    pair: pair.clone(),
                    index,
                    again: false,
                }),
            }
        }
        self.found.unsteady = self.known.difference(&steady).count();
        Ok(())
    }

    /// Adds a pair to what there is to be tried.
    fn note(&mut self, orders: &[Before], pair: &Pair) -> usize {
        let mut orders = orders.to_vec();
        orders.push(reversed(pair));
        self.found.tried.push(Tried {
            orders: orders.iter().map(Before::to_string).collect(),
            // Until it is tried.
            came: Came::TimeOver,
        });
        self.found.tried.len() - 1
    }

    fn reverse(&mut self, task: Task) {
        let mut orders = task.orders.clone();
        orders.push(reversed(&task.pair));
        let mut run = self.run(&orders);
        let never_came = |run: &Run| matches!(run.orders.last(), None | Some(Kept::NeverCame));
        for _ in 1..TIMES {
            // One that fails has something to say, too.
            if run.ended.is_ok() && never_came(&run) {
                run = self.run(&orders);
            }
        }
        let kept = run.orders.last().copied().unwrap_or(Kept::NeverCame);
        self.found.tried[task.index].came = match kept {
            Kept::Yes { .. } => Came::BothWays,
            Kept::GivenUp { quiet: true, .. } => Came::Unseen,
            Kept::GivenUp { quiet: false, .. } => Came::HeldTooLong,
            Kept::NeverCame => Came::NotReached,
        };
        match run.ended {
            Err(fails) => self.fails(&task, orders, fails, &run.orders),
            Ok(()) if matches!(kept, Kept::Yes { .. }) => {
                for pair in &run.racing.pairs {
                    if self.known.insert(lines(pair)) {
                        let index = self.note(&orders, pair);
                        self.todo.push_back(Task {
                            orders: orders.clone(),
                            pair: pair.clone(),
                            index,
                            again: false,
                        });
                    }
                }
            }
            Ok(()) if matches!(kept, Kept::GivenUp { .. }) && !task.again => {
                self.todo.push_back(Task {
                    again: true,
                    ..task
                });
            }
            Ok(()) => {}
        }
    }

    /// Finds out what there is to say about a run that failed.
    fn fails(&mut self, task: &Task, mut orders: Vec<Before>, mut fails: Fails, kept: &[Kept]) {
        let failures = &mut self.found.failures;
        if let Some(same) = failures.iter_mut().find(|failure| failure.why == fails.why) {
            same.others
                .push(orders.iter().map(Before::to_string).collect());
            return;
        }
        let failed = self.failures(&orders);
        if failed.len() == TIMES {
            self.leave_out(&mut orders, &mut fails);
        }
        let main = reversed(&task.pair);
        let at = orders.iter().position(|order| *order == main);
        let at = at.unwrap_or(orders.len() - 1);
        let mut other = orders.clone();
        let Before { first, then } = other[at].clone();
        other[at] = Before {
            first: then,
            then: first,
        };
        let passes = TIMES - self.failures(&other).len();
        let is_main = orders[at] == main;
        let longest = kept.iter().map(|kept| kept.held_for()).max();
        self.found.failures.push(Failure {
            orders: orders.iter().map(Before::to_string).collect(),
            first: orders[at].first.to_string(),
            then: orders[at].then.to_string(),
            came: self.found.tried[task.index].came,
            fails: failed.len(),
            passes,
            times: TIMES,
            held_for: longest.unwrap_or_default(),
            common: task.pair.common.as_deref().filter(|_| is_main).map(shown),
            cause: task.pair.cause.as_deref().filter(|_| is_main).map(shown),
            why: fails.why,
            page: fails.page,
            others: Vec::new(),
        });
    }

    /// The failures among a few runs in these orders.
    fn failures(&mut self, orders: &[Before]) -> Vec<Fails> {
        let ended = (0..TIMES).filter_map(|_| self.run(orders).ended.err());
        ended.collect()
    }

    /// Leaves out one order after the other without which it fails all the same, each time.
    fn leave_out(&mut self, orders: &mut Vec<Before>, fails: &mut Fails) {
        let mut at = 0;
        // The baseline has shown that it passes with none.
        while orders.len() > 1 && at < orders.len() {
            let mut fewer = orders.clone();
            fewer.remove(at);
            let mut failures = self.failures(&fewer);
            match failures.len() == TIMES {
                true => {
                    *orders = fewer;
                    *fails = failures.remove(0);
                }
                false => at += 1,
            }
        }
    }
}

/// For how long nothing may happen while an event is held, given the longest such time without a hold.
pub(super) fn patience(longest: Duration) -> Duration {
    (longest * PATIENCE).clamp(LEAST_PATIENCE, MOST_PATIENCE)
}

/// The order in which the later one of a pair comes first.
pub(super) fn reversed(pair: &Pair) -> Before {
    Before {
        first: point(&pair.later),
        then: point(&pair.earlier),
    }
}

fn point(arrival: &Arrival) -> Point {
    Point {
        host: arrival.host.clone(),
        pattern: arrival.line.clone(),
        nth: arrival.nth,
    }
}

/// A line as a schedule has it.
fn shown(line: &str) -> String {
    let point = Point {
        host: String::new(),
        pattern: line.to_owned(),
        nth: 1,
    };
    point.to_string()
}

/// What identifies a pair from run to run, whichever comes first.
fn events(pair: &Pair) -> [&Arrival; 2] {
    let mut events = [&pair.earlier, &pair.later];
    events.sort();
    events
}

pub(super) fn lines(pair: &Pair) -> Lines {
    let [one, other] = events(pair).map(|arrival| arrival.line.clone());
    match one < other {
        true => (one, other),
        false => (other, one),
    }
}

/// The lines that not all baselines have equally often.
fn differing(baselines: &[Racing]) -> Vec<String> {
    let all: BTreeSet<&String> = baselines.iter().flat_map(|racing| &racing.lines).collect();
    let times = |racing: &Racing, line: &String| {
        let from = racing.lines.partition_point(|known| known < line);
        racing.lines.partition_point(|known| known <= line) - from
    };
    let differs = |line: &&String| {
        let mut times = baselines.iter().map(|racing| times(racing, line));
        let first = times.next();
        times.any(|times| Some(times) != first)
    };
    all.into_iter().filter(differs).cloned().collect()
}
