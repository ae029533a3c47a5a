//! Which turns a test has: its body as it is, a sweep, a search, or a schedule.
//!
//! Owns what decides that: the attribute, `LONET_REPLAY` and `UPDATE_EXPECT`; and where in the source a
//! line stands that is not legal.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::schedule::{FaultLine, Schedule, Wrong};
use crate::error::{Error, ErrorKind};
use crate::run::attribute::{Literal, Spec};
use crate::trace::update::files;

/// The variable that names the file with the schedule to replay.
const REPLAY: &str = "LONET_REPLAY";

/// The turns of a test.
#[derive(Debug)]
pub(super) enum Plan {
    /// The body as it is, as often as the attribute says.
    Plain,
    /// Once for each point of a host.
    Sweep(FaultLine),
    /// Again and again, with events that race in other orders, for so long.
    Search(Duration),
    /// With a fault at one event, or with events in an order.
    Schedule(Schedule, From),
}

/// Where a schedule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Attribute,
    /// In the file that the variable names.
    Variable,
}

impl Plan {
    /// What the attribute and the environment say. An update runs the plain body, then learns from
    /// further turns.
    ///
    /// # Errors
    ///
    /// A line is not legal, or the file to replay can't be read.
    pub(super) fn of(spec: &Spec) -> Result<Plan, Error> {
        let sweep = spec.sweep.as_ref();
        let sweep = sweep.map(|of| FaultLine::parse(of.text).map_err(|wrong| at(of, &wrong)));
        let sweep = sweep.transpose()?;
        let schedule = spec.schedule.as_ref();
        let schedule = schedule.map(|of| Schedule::parse(of.text).map_err(|wrong| at(of, &wrong)));
        let schedule = schedule.transpose()?;
        if files::is_asked_for() {
            return Ok(Plan::Plain);
        }
        let replayed = std::env::var_os(REPLAY).filter(|file| !file.is_empty());
        if let Some(file) = replayed {
            return Ok(Plan::Schedule(replay(file.into())?, From::Variable));
        }
        Ok(match (sweep, spec.search, schedule) {
            (Some(sweep), _, _) => Plan::Sweep(sweep),
            (None, Some(time), _) => Plan::Search(time),
            (None, None, Some(schedule)) => Plan::Schedule(schedule, From::Attribute),
            (None, None, None) => Plan::Plain,
        })
    }
}

/// What is wrong, with its place in the source.
fn at(literal: &Literal, wrong: &Wrong) -> Error {
    let (line, column) = wrong.place(literal.text);
    let place = literal.place_of(line, column);
    Error::new(ErrorKind::Pattern, format!("{place}: {}", wrong.message))
}

/// The schedule of a file: its first line that is neither blank nor a comment.
fn replay(file: PathBuf) -> Result<Schedule, Error> {
    let file = file.display();
    let environment = |why: String| Error::new(ErrorKind::Environment, format!("{REPLAY}: {why}"));
    let text = fs::read_to_string(file.to_string())
        .map_err(|why| environment(format!("{file} can't be read: {why}")))?;
    let mut lines = text.lines().enumerate();
    let line = lines.find(|(_, line)| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    });
    let Some((above, line)) = line else {
        let why = format!(
            "{file} has no schedule: a line as in `kill p at p:1 send c:1 #2` or \
             `r:1 recv p:2 before b:1 recv p:1`"
        );
        return Err(environment(why));
    };
    Schedule::parse(line).map_err(|wrong| {
        let (_, column) = wrong.place(line);
        environment(format!("{file}:{}:{column}: {}", above + 1, wrong.message))
    })
}
