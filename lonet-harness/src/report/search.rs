//! What a search came to: how many pairs of events were seen in both orders, and which order fails.
//!
//! Pure. Owns the words, and the data that they are made of. Which orders are tried, and how often, is
//! `run::search`'s to say; the page of one failure is `verdict`'s.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::words::seconds;

/// A failure whose hold took longer may come of that alone.
const LONG_HOLD: Duration = Duration::from_millis(200);

/// So many orders or lines are listed; the others are counted.
const MOST_LISTED: usize = 10;

/// What became of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    BothWays,
    /// Everything else had come to rest before the one that was to be first.
    Unseen,
    /// Other things went on happening for as long as an event may be held.
    HeldTooLong,
    NotReached,
    TimeOver,
}

/// A pair, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Tried {
    /// In which orders, the pair's own last: `r:1 recv p:2 before b:1 recv p:1`.
    pub(crate) orders: Vec<String>,
    pub(crate) came: Came,
}

/// An order that fails.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// All that is needed to make it fail.
    pub(crate) orders: Vec<String>,
    /// The events of the order that matters: `first` came before `then`.
    pub(crate) first: String,
    pub(crate) then: String,
    pub(crate) came: Came,
    /// How often it failed, and how often it passed with `then` before `first`.
    pub(crate) fails: usize,
    pub(crate) passes: usize,
    pub(crate) times: usize,
    /// The longest hold.
    pub(crate) held_for: Duration,
    /// The last event before both.
    pub(crate) common: Option<String>,
    /// What `first` comes of.
    pub(crate) cause: Option<String>,
    pub(crate) why: String,
    pub(crate) page: String,
    /// Other orders that fail in the same way.
    pub(crate) others: Vec<Vec<String>>,
}

/// What a search has come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Searched {
    pub(crate) tried: Vec<Tried>,
    pub(crate) runs: usize,
    pub(crate) took: Duration,
    pub(crate) failures: Vec<Failure>,
    /// Lines that some baselines have and others have not.
    pub(crate) differ: Vec<String>,
    /// So many pairs raced in some baselines only.
    pub(crate) unsteady: usize,
    /// Arrivals that have no line of their own.
    pub(crate) alike: BTreeSet<String>,
    /// So many connections were too many to be looked at.
    pub(crate) left_out: usize,
}

impl Searched {
    pub(crate) fn failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// The lines to replay what fails.
    pub(crate) fn schedules(&self) -> String {
        let lines = self.failures.iter().map(Failure::schedule);
        lines.map(|line| line + "\n").collect()
    }

    /// "with `r:1 recv p:2 before b:1 recv p:1`: x is lost; 1 other failure".
    pub(crate) fn headline(&self) -> String {
        let Some((first, others)) = self.failures.split_first() else {
            return format!("search: {}", self.coverage());
        };
        let mut text = format!("with {}: {}", quoted(&first.orders), first_line(&first.why));
        if !others.is_empty() {
            let _ = write!(text, "; {}", counted(others.len(), "other failure"));
        }
        text
    }

    /// "17 racing pairs, 14 both ways, 1 not reached; 61 runs, 1.4 s".
    fn coverage(&self) -> String {
        let mut text = counted(self.tried.len(), "racing pair");
        for (came, says) in [
            (Came::BothWays, "both ways"),
            (Came::Unseen, "ordered by something lonet can't see"),
            (Came::HeldTooLong, "given up after the longest hold"),
            (Came::NotReached, "not reached"),
            (Came::TimeOver, "not tried before the time was over"),
        ] {
            let pairs = self.number(came);
            if pairs > 0 {
                let _ = write!(text, ", {pairs} {says}");
            }
        }
        let (runs, took) = (counted(self.runs, "run"), seconds(self.took));
        let _ = write!(text, "; {runs}, {took} s");
        text
    }

    fn number(&self, came: Came) -> usize {
        self.tried.iter().filter(|pair| pair.came == came).count()
    }

    /// What a search that found nothing says.
    pub(crate) fn summary(&self, test: &str) -> String {
        let mut text = format!("{test}: {}\n", self.headline());
        let guarantee = match self.number(Came::BothWays) {
            0 => None,
            1 => Some("this pair was seen in both orders at least once".to_owned()),
            both if both == self.tried.len() => {
                Some("each of these pairs was seen in both orders at least once".to_owned())
            }
            both => Some(format!(
                "each of those {both} pairs was seen in both orders at least once"
            )),
        };
        text.extend(guarantee.map(|guarantee| guarantee + "\n"));
        self.say_untried(&mut text);
        text
    }

    /// The page of a search that found something.
    pub(crate) fn page(&self, test: &str) -> String {
        let mut page = format!("\n{test} failed: {}\n\n", self.headline());
        let coverage = self.coverage();
        for (index, failure) in self.failures.iter().enumerate() {
            match index {
                0 => failure.explain(&coverage, &mut page),
                _ => {
                    let orders = quoted(&failure.orders);
                    let _ = writeln!(page, "\n{orders}: {}", failure.how());
                    failure.say_others(&mut page);
                    failure.say_schedule(&mut page);
                }
            }
        }
        let mut rest = String::new();
        self.say_untried(&mut rest);
        if !rest.is_empty() {
            let _ = write!(page, "\n{rest}");
        }
        page
    }

    /// What the guarantee is not about.
    fn say_untried(&self, text: &mut String) {
        for (came, says) in [
            (Came::Unseen, "ordered by something lonet can't see"),
            (Came::HeldTooLong, "given up after the longest hold"),
            (Came::NotReached, "not reached"),
            (Came::TimeOver, "not tried before the time was over"),
        ] {
            let pairs = self.tried.iter().filter(|pair| pair.came == came);
            let pairs: Vec<String> = pairs.map(|pair| quoted(&pair.orders)).collect();
            if !pairs.is_empty() {
                let _ = writeln!(text, "{says}: {}", listed(&pairs));
            }
        }
        if self.unsteady > 0 {
            let pairs = counted(self.unsteady, "pair");
            let _ = writeln!(text, "not tried: {pairs} that raced in some baselines only");
        }
        if !self.alike.is_empty() {
            let lines: Vec<String> = self.alike.iter().map(|line| format!("`{line}`")).collect();
            let _ = writeln!(
                text,
                "not tried, since the next run can't tell them apart: {}",
                listed(&lines)
            );
        }
        if self.left_out > 0 {
            let connections = counted(self.left_out, "connection");
            let _ = writeln!(text, "not tried: {connections} beyond the maximum");
        }
        if !self.differ.is_empty() {
            let lines: Vec<String> = self.differ.iter().map(|line| format!("`{line}`")).collect();
            let _ = writeln!(text, "the baselines differ: {}", listed(&lines));
        }
    }
}

impl Failure {
    /// The line to keep.
    fn schedule(&self) -> String {
        self.orders.join("; ")
    }

    /// "fails 3 of 3: x is lost".
    fn how(&self) -> String {
        let Failure { fails, times, .. } = self;
        let mut text = format!("fails {fails} of {times}");
        match self.came {
            Came::Unseen | Came::HeldTooLong => {
                let _ = write!(
                    text,
                    ", though the order was given up after {} ms",
                    self.held_for.as_millis()
                );
            }
            Came::NotReached => text.push_str(", though no event was held"),
            Came::BothWays | Came::TimeOver => {}
        }
        if self.held_for > LONG_HOLD {
            text.push_str(", or a time-out");
        }
        let _ = write!(text, ": {}", first_line(&self.why));
        text
    }

    /// All there is to say, and the page of the run.
    fn explain(&self, coverage: &str, page: &mut String) {
        let Failure {
            first,
            then,
            passes,
            times,
            ..
        } = self;
        let _ = writeln!(
            page,
            "`{then}` before `{first}`: passes {passes} of {times}"
        );
        let _ = writeln!(page, "`{first}` before `{then}`: {}", self.how());
        let own = format!("{first} before {then}");
        let others = self.orders.iter().filter(|order| **order != own);
        let others: Vec<String> = others.cloned().collect();
        if !others.is_empty() {
            let _ = writeln!(page, "both times with {}", quoted(&others));
        }
        if self.held_for > LONG_HOLD {
            let held = self.held_for.as_millis();
            let _ = writeln!(
                page,
                "an event was held for {held} ms: it may fail because of that, not because of the order"
            );
        }
        if let Some(common) = &self.common {
            let _ = writeln!(page, "the last event before both: `{common}`");
        }
        self.say_others(page);
        let _ = writeln!(page, "{coverage}");
        let cause = self.cause.as_ref().unwrap_or(first);
        let _ = writeln!(
            page,
            "to order them, let `{cause}` happen only after `{then}`"
        );
        self.say_schedule(page);
        page.push('\n');
        for line in self.page.lines().skip_while(|line| line.is_empty()) {
            let _ = match line.is_empty() {
                true => writeln!(page),
                false => writeln!(page, "  {line}"),
            };
        }
    }

    fn say_others(&self, page: &mut String) {
        if !self.others.is_empty() {
            let others: Vec<String> = self.others.iter().map(|orders| quoted(orders)).collect();
            let _ = writeln!(page, "fail in the same way: {}", listed(&others));
        }
    }

    fn say_schedule(&self, page: &mut String) {
        let _ = writeln!(page, "to keep this order: schedule = {:?}", self.schedule());
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn counted(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Orders that are kept at the same time.
fn quoted(orders: &[String]) -> String {
    let orders: Vec<String> = orders.iter().map(|order| format!("`{order}`")).collect();
    orders.join(" and ")
}

fn listed(items: &[String]) -> String {
    let (shown, rest) = items.split_at(items.len().min(MOST_LISTED));
    let mut text = shown.join(", ");
    if !rest.is_empty() {
        let _ = write!(text, " and {} more", rest.len());
    }
    text
}

/// What a terminal shows meanwhile.
pub(crate) fn progress(so_far: &Searched) -> String {
    let runs = counted(so_far.runs, "run");
    let (both, pairs) = (so_far.number(Came::BothWays), so_far.tried.len());
    let pairs = match pairs {
        1 => "1 pair".to_owned(),
        _ => format!("{pairs} pairs"),
    };
    format!("search: {runs}, {both} of {pairs} both ways")
}

/// What follows the page of a body that fails before any event is held.
pub(crate) fn of_baseline(number: usize, of: usize) -> String {
    format!(
        "\nthis was baseline {number} of {of} of the search: the body fails without any hold, so no order was tried\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(came: Came) -> Tried {
        Tried {
            orders: vec!["b recv before a recv".to_owned()],
            came,
        }
    }

    fn searched(came: &[Came]) -> Searched {
        Searched {
            tried: came.iter().copied().map(tried).collect(),
            runs: 61,
            took: Duration::from_millis(1_437),
            ..Searched::default()
        }
    }

    fn overtakes() -> Failure {
        Failure {
            orders: vec!["r:1 recv p:2 before b:1 recv p:1".to_owned()],
            first: "r:1 recv p:2".to_owned(),
            then: "b:1 recv p:1".to_owned(),
            came: Came::BothWays,
            fails: 3,
            passes: 3,
            times: 3,
            held_for: Duration::from_millis(12),
            common: Some("p:1 recv c:1".to_owned()),
            cause: Some("p:2 send r:1".to_owned()),
            why: "x is lost\nwith more lines".to_owned(),
            page: "\nt failed: x is lost\n\nevents:\n  p up\n".to_owned(),
            others: Vec::new(),
        }
    }

    #[test]
    fn the_message_of_a_failure() {
        let mut came = vec![Came::BothWays; 14];
        came.extend([Came::Unseen, Came::Unseen, Came::NotReached]);
        let mut searched = searched(&came);
        searched.tried[14].orders = vec!["d recv before c recv".to_owned()];
        searched.failures = vec![overtakes()];
        assert!(searched.failed());
        assert_eq!(
            searched.page("t"),
            "
t failed: with `r:1 recv p:2 before b:1 recv p:1`: x is lost

`b:1 recv p:1` before `r:1 recv p:2`: passes 3 of 3
`r:1 recv p:2` before `b:1 recv p:1`: fails 3 of 3: x is lost
the last event before both: `p:1 recv c:1`
17 racing pairs, 14 both ways, 2 ordered by something lonet can't see, 1 not reached; 61 runs, 1.4 s
to order them, let `p:2 send r:1` happen only after `b:1 recv p:1`
to keep this order: schedule = \"r:1 recv p:2 before b:1 recv p:1\"

  t failed: x is lost

  events:
    p up

ordered by something lonet can't see: `d recv before c recv`, `b recv before a recv`
not reached: `b recv before a recv`
"
        );
        assert_eq!(searched.schedules(), "r:1 recv p:2 before b:1 recv p:1\n");
    }

    #[test]
    fn further_failures_have_a_headline_and_a_schedule() {
        let mut searched = searched(&[Came::BothWays]);
        let two = Failure {
            orders: ["x before y", "d before c"].map(str::to_owned).into(),
            first: "d".to_owned(),
            then: "c".to_owned(),
            common: None,
            cause: None,
            others: vec![vec!["f before e".to_owned()]],
            ..overtakes()
        };
        let flaky = Failure {
            fails: 1,
            why: "y is lost".to_owned(),
            ..two.clone()
        };
        searched.failures = vec![two, flaky];
        assert_eq!(
            searched.page("t"),
            "
t failed: with `x before y` and `d before c`: x is lost; 1 other failure

`c` before `d`: passes 3 of 3
`d` before `c`: fails 3 of 3: x is lost
both times with `x before y`
fail in the same way: `f before e`
1 racing pair, 1 both ways; 61 runs, 1.4 s
to order them, let `d` happen only after `c`
to keep this order: schedule = \"x before y; d before c\"

  t failed: x is lost

  events:
    p up

`x before y` and `d before c`: fails 1 of 3: y is lost
fail in the same way: `f before e`
to keep this order: schedule = \"x before y; d before c\"
"
        );
        let schedules = "x before y; d before c\nx before y; d before c\n";
        assert_eq!(searched.schedules(), schedules);
    }

    #[test]
    fn a_long_hold_may_be_a_time_out() {
        let how = |came, millis| {
            let held_for = Duration::from_millis(millis);
            let failure = Failure {
                came,
                held_for,
                ..overtakes()
            };
            let mut page = String::new();
            failure.explain("", &mut page);
            let said = page.contains(&format!("an event was held for {millis} ms: it may fail"));
            (failure.how(), said)
        };
        let is = |how: &str, said| (how.to_owned(), said);
        let plain = is("fails 3 of 3: x is lost", false);
        assert_eq!(how(Came::BothWays, 200), plain);
        let long = is("fails 3 of 3, or a time-out: x is lost", true);
        assert_eq!(how(Came::BothWays, 201), long);
        let given_up = "fails 3 of 3, though the order was given up after 40 ms: x is lost";
        assert_eq!(how(Came::Unseen, 40), is(given_up, false));
        let not_held = "fails 3 of 3, though no event was held: x is lost";
        assert_eq!(how(Came::NotReached, 0), is(not_held, false));
    }

    #[test]
    fn a_search_that_found_nothing_promises_no_more_than_it_saw() {
        assert_eq!(
            searched(&[]).summary("t"),
            "t: search: no racing pairs; 61 runs, 1.4 s\n"
        );
        assert_eq!(
            searched(&[Came::BothWays, Came::BothWays]).summary("t"),
            "t: search: 2 racing pairs, 2 both ways; 61 runs, 1.4 s\n\
             each of these pairs was seen in both orders at least once\n"
        );
        assert_eq!(
            searched(&[Came::NotReached]).summary("t"),
            "t: search: 1 racing pair, 1 not reached; 61 runs, 1.4 s\n\
             not reached: `b recv before a recv`\n"
        );
        let mut all = searched(&[
            Came::BothWays,
            Came::BothWays,
            Came::Unseen,
            Came::HeldTooLong,
            Came::TimeOver,
        ]);
        all.differ = (1..=12).map(|n| format!("p mark {n}")).collect();
        all.alike = ["s:_ accept c:1".to_owned()].into();
        (all.unsteady, all.left_out) = (2, 1);
        assert_eq!(
            all.summary("t"),
            "t: search: 5 racing pairs, 2 both ways, 1 ordered by something lonet can't see, \
             1 given up after the longest hold, 1 not tried before the time was over; 61 runs, 1.4 s\n\
             each of those 2 pairs was seen in both orders at least once\n\
             ordered by something lonet can't see: `b recv before a recv`\n\
             given up after the longest hold: `b recv before a recv`\n\
             not tried before the time was over: `b recv before a recv`\n\
             not tried: 2 pairs that raced in some baselines only\n\
             not tried, since the next run can't tell them apart: `s:_ accept c:1`\n\
             not tried: 1 connection beyond the maximum\n\
             the baselines differ: `p mark 1`, `p mark 2`, `p mark 3`, `p mark 4`, `p mark 5`, \
             `p mark 6`, `p mark 7`, `p mark 8`, `p mark 9`, `p mark 10` and 2 more\n"
        );
    }

    #[test]
    fn progress_says_how_far_it_is() {
        let mut so_far = searched(&[Came::BothWays, Came::BothWays, Came::TimeOver]);
        so_far.runs = 23;
        assert_eq!(progress(&so_far), "search: 23 runs, 2 of 3 pairs both ways");
        assert_eq!(
            progress(&searched(&[Came::TimeOver])),
            "search: 61 runs, 0 of 1 pair both ways"
        );
    }
}
