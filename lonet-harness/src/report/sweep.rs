//! What a sweep came to: how many points passed, which fail, and the line that replays each.
//!
//! Pure. Owns the words. What a point is, and when it fails, is `run::sweep`'s to say; the page of one
//! failure is `verdict`'s.

use std::fmt::Write as _;

/// One point that fails.
pub(crate) struct Failure {
    /// Where the fault acted: "before `p:1 send c:1`".
    pub(crate) point: String,
    pub(crate) schedule: String,
    /// Whether it failed after the fault was set off.
    pub(crate) reached: bool,
    pub(crate) why: String,
    pub(crate) page: String,
}

/// What a sweep has come to so far.
pub(crate) struct Swept {
    fault: String,
    points: usize,
    passed: usize,
    failures: Vec<Failure>,
    not_reached: Vec<String>,
}

impl Swept {
    pub(crate) fn new(fault: String, points: usize) -> Swept {
        Swept {
            fault,
            points,
            passed: 0,
            failures: Vec::new(),
            not_reached: Vec::new(),
        }
    }

    pub(crate) fn passes(&mut self) {
        self.passed += 1;
    }

    /// Only the first one's page is shown.
    pub(crate) fn fails(&mut self, mut failure: Failure) {
        if !self.failures.is_empty() {
            failure.page.clear();
        }
        self.failures.push(failure);
    }

    pub(crate) fn is_not_reached(&mut self, point: String) {
        self.not_reached.push(point);
    }

    /// Whether the test fails: a sweep that reached nothing has tried nothing.
    pub(crate) fn failed(&self) -> bool {
        !self.failures.is_empty() || self.passed == 0
    }

    /// "kill p: 23 of 23 points; 2 fail: before `p:1 send c:1`, …".
    pub(crate) fn headline(&self) -> String {
        let Swept { fault, points, .. } = self;
        let reached = points - self.not_reached.len();
        let mut text = format!("{fault}: {reached} of {}", counted(*points, "point"));
        match self.failures.len() {
            0 if reached == 0 => text.push_str(" reached: nothing was tried"),
            0 => text.push_str(", all pass"),
            1 => text.push_str("; 1 fails: "),
            fail => {
                let _ = write!(text, "; {fail} fail: ");
            }
        }
        let fail: Vec<&str> = self.failures.iter().map(|f| f.point.as_str()).collect();
        text.push_str(&fail.join(", "));
        text
    }

    /// What a sweep that passed says.
    pub(crate) fn summary(&self, test: &str) -> String {
        let mut text = format!("{test}: {}\n", self.headline());
        self.say_not_reached(&mut text);
        text
    }

    /// The page of a sweep that failed.
    pub(crate) fn page(&self, test: &str) -> String {
        let mut page = format!("\n{test} failed: {}\n", self.headline());
        self.say_not_reached(&mut page);
        for failure in &self.failures {
            let Failure {
                point,
                schedule,
                reached,
                why,
                page: whole,
            } = failure;
            let first = why.lines().next().unwrap_or_default();
            let _ = writeln!(page, "\n{point}: {first}");
            if !reached {
                let _ = writeln!(page, "  the fault had not acted: the body fails without it");
            }
            let _ = writeln!(page, "  this point alone: schedule = {schedule:?}");
            for line in whole.lines().skip_while(|line| line.is_empty()) {
                let _ = match line.is_empty() {
                    true => writeln!(page),
                    false => writeln!(page, "  {line}"),
                };
            }
        }
        page
    }

    fn say_not_reached(&self, text: &mut String) {
        if !self.not_reached.is_empty() {
            let points = self.not_reached.join(", ");
            let _ = writeln!(text, "not reached, neither passed nor failed: {points}");
        }
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Where a fault acts, given the event as a schedule has it.
pub(crate) fn before(event: &str) -> String {
    match event {
        "up" => "right after `up`".to_owned(),
        event => format!("before `{event}`"),
    }
}

/// What a terminal shows meanwhile.
pub(crate) fn progress(point: usize, all: usize) -> String {
    format!("sweep: {point} of {}", counted(all, "point"))
}

/// What follows the page of a body that fails before anything is swept.
pub(crate) fn of_baseline(fault: &str) -> String {
    format!(
        "\nthis was the baseline of the sweep `{fault}`: the body fails without a fault, so nothing was swept\n"
    )
}

/// Why there is nothing to sweep.
pub(crate) fn no_points(fault: &str, host: &str) -> String {
    format!(
        "the sweep `{fault}` has no points: no process that the body spawned played {host} in the baseline"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(point: &str, page: &str) -> Failure {
        Failure {
            point: before(point),
            schedule: format!("kill p at {point}"),
            reached: true,
            why: format!("{point} is lost\nwith more lines"),
            page: page.to_owned(),
        }
    }

    #[test]
    fn the_first_failure_is_shown_whole_and_the_others_by_their_headline() {
        let mut swept = Swept::new("kill p".into(), 4);
        swept.passes();
        swept.fails(failure("up", "\nt failed: lost\n\nevents:\n  p up\n"));
        swept.fails(failure("p mark a #2", "another page\n"));
        swept.is_not_reached(before("p mark b"));
        assert!(swept.failed());
        assert_eq!(
            swept.page("t"),
            "
t failed: kill p: 3 of 4 points; 2 fail: right after `up`, before `p mark a #2`
not reached, neither passed nor failed: before `p mark b`

right after `up`: up is lost
  this point alone: schedule = \"kill p at up\"
  t failed: lost

  events:
    p up

before `p mark a #2`: p mark a #2 is lost
  this point alone: schedule = \"kill p at p mark a #2\"
"
        );
    }

    #[test]
    fn a_sweep_passes_if_some_point_did_and_none_failed() {
        let mut swept = Swept::new("kill p".into(), 2);
        swept.is_not_reached(before("up"));
        assert!(swept.failed());
        swept.passes();
        assert!(!swept.failed());
        assert_eq!(
            swept.summary("t"),
            "t: kill p: 1 of 2 points, all pass\n\
             not reached, neither passed nor failed: right after `up`\n"
        );
        let mut none = Swept::new("kill p".into(), 1);
        none.is_not_reached(before("up"));
        assert_eq!(
            none.headline(),
            "kill p: 0 of 1 point reached: nothing was tried"
        );
        assert!(none.failed());
    }
}
