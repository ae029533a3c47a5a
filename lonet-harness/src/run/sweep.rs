//! A sweep: the body runs once without a fault, then once for each point of a host at which a fault
//! could act.
//!
//! Owns which points those are, how often a point is tried, and what the sweep comes to. The words are
//! `report::sweep`'s; one turn is `turn`'s business, a fault's line `schedule`'s.
//!
//! What the others see of a fault depends on which events of its host came before it, however
//! concurrent the rest is: so the points are as many as the host's events, and not as the orders in
//! which they could have happened. Example: p listens, accepts c, sends, and closes. The points are
//! right after `p up`, then `p:10 listen`, `p:1 accept c:1`, `p:1 send c:1 _` and the closes.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use super::progress::Progress;
use super::schedule::{FaultLine, Point};
use super::turn::{self, Seen, Turn};
use super::{Failed, TestArgument};
use crate::error::{Error, ErrorKind};
use crate::outcome::BodyError;
use crate::process::Entrance;
use crate::report::artifacts;
use crate::report::sweep::{self as words, Failure, Swept};
use crate::run::attribute::Spec;
use crate::trace::cut::Cut;
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;
use crate::trace::happened::racing_ports::Races;
use crate::trace::naming;
use crate::trace::scope::verbs_in;
use crate::trace::{Event, Pattern, Verb};
use lonet::trace::InView;

/// How often a point is tried that a run does not reach.
const TRIES: usize = 3;

/// Plays it.
///
/// # Errors
///
/// The baseline fails, a point fails, or no point is reached.
pub(super) fn play<A, F, Fut>(
    spec: &Spec,
    entrance: Entrance,
    fault: &FaultLine,
    body: &F,
) -> Result<(), Failed>
where
    A: TestArgument,
    F: Fn(A) -> Fut,
    Fut: Future<Output = Result<(), BodyError>>,
{
    let test = spec.test_name();
    let place = artifacts::place(test);
    let baseline = Turn {
        records_data: true,
        ..Turn::plain(spec, place.clone())
    };
    let (ended, seen) = turn::play::<A, F, Fut>(spec, entrance, &baseline, body);
    ended.map_err(|mut failed| {
        failed
            .page
            .push_str(&words::of_baseline(&fault.to_string()));
        failed
    })?;
    let points = seen.map_or_else(Vec::new, |seen| points(fault, &seen));
    if points.is_empty() {
        let why = words::no_points(&fault.to_string(), fault.host());
        return Err(Failed::early(test, &Error::new(ErrorKind::Failed, why)));
    }

    let mut progress = Progress::on_stderr();
    let mut swept = Swept::new(fault.to_string(), points.len());
    for (index, point) in points.iter().enumerate() {
        progress.show(&words::progress(index + 1, points.len()));
        let schedule = fault.at(point);
        let turn = Turn {
            schedule: Some(&schedule),
            records_data: true,
            trace: None,
            must_act: false,
            // Each has a place of its own, or the next would overwrite it.
            artifacts: place.join(format!("point-{}", index + 1)),
            ..Turn::plain(spec, place.clone())
        };
        let (mut ended, mut reached) = (Ok(()), false);
        for _ in 0..TRIES {
            let seen;
            (ended, seen) = turn::play::<A, F, Fut>(spec, entrance, &turn, body);
            reached = seen.is_some_and(|seen| seen.reached);
            // One that fails although nothing was done to it has something to say, too.
            if reached || ended.is_err() {
                break;
            }
        }
        match ended {
            Err(failed) => {
                // For `LONET_REPLAY`. The line stands in the page, too.
                let _ = fs::write(turn.artifacts.join("schedule"), format!("{schedule}\n"));
                swept.fails(Failure {
                    point: words::before(&point.to_string()),
                    schedule: schedule.to_string(),
                    reached,
                    why: failed.why,
                    page: failed.page,
                });
            }
            Ok(()) if reached => swept.passes(),
            Ok(()) => swept.is_not_reached(words::before(&point.to_string())),
        }
    }
    progress.end();
    match swept.failed() {
        false => {
            eprint!("{}", swept.summary(test));
            Ok(())
        }
        true => {
            let headline = swept.headline();
            Err(Failed {
                page: swept.page(test),
                why: headline.clone(),
                kind: ErrorKind::Failed,
                payload: Box::new(headline),
                panicked: false,
            })
        }
    }
}

/// Where the fault can act, in the order of the host's events: right after it is up, then at each of
/// them, up to the end of the body.
fn points(fault: &FaultLine, seen: &Seen) -> Vec<Point> {
    of_host(
        fault.host(),
        fault.kind.acts_on_process(),
        &seen.records,
        seen.ended_at,
    )
}

/// The points of a host. A process of the same host that comes later counts its events anew: a point
/// of it that has the line of an earlier one is that point.
fn of_host(host: &str, spawned: bool, records: &[Process], until: u64) -> Vec<Point> {
    let cut = Cut::whole(Arc::new(Graph::build(records.to_vec())));
    let graph = &cut.graph;
    let races = Races::find(graph, cut.scope());
    let mut verbs: BTreeSet<Verb> = verbs_in(InView::Default).collect();
    verbs.retain(|verb| !verb.is_interference());
    verbs.extend([Verb::Up, Verb::Shutdown, Verb::Send]);
    // By process and number: what it reported, as it did.
    let mut events: Vec<(u32, u64, u32, Event)> = (0..graph.len() as u32)
        .filter_map(|node| {
            let (process, record) = graph.record(node)?;
            let event = graph.event(node)?;
            let is_its = event.host() == host && verbs.contains(&event.verb());
            let counts = is_its && record.t <= until && !(spawned && process == 0);
            counts.then_some((process, record.n, node, event))
        })
        .collect();
    events.sort_by_key(|&(process, n, _, _)| (process, n));

    let mut points: Vec<Point> = Vec::new();
    for (process, _, node, event) in &events {
        let raced = (races.subject(graph, *node), races.peer(graph, *node));
        let line = naming::line(event, (raced.0.is_some(), raced.1.is_some()));
        let Ok(pattern) = Pattern::parse(&line) else {
            continue;
        };
        let records = records.get(*process as usize);
        let records = records.map_or(&[][..], |process| &process.records);
        let point = Point {
            host: host.to_owned(),
            nth: naming::nth(event, records, &pattern),
            pattern: line,
        };
        if !points.contains(&point) {
            points.push(point);
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use lonet::trace::{Record, What};

    use super::*;

    /// A process that does this, a nanosecond apart, from that time on.
    fn process(from: u64, whats: Vec<What>) -> Process {
        let records = (1..).zip(whats).map(|(n, what)| Record {
            n,
            t: from + n,
            task: Some(1),
            unordered: false,
            reads: Vec::new(),
            learned: Vec::new(),
            reads_pending: Vec::new(),
            reads_beside: Vec::new(),
            learned_beside: Vec::new(),
            fires: Vec::new(),
            what,
        });
        Process {
            pid: 1,
            node: Some(1),
            records: records.collect(),
        }
    }

    fn up() -> What {
        What::Up { host: "p".into() }
    }

    fn mark(host: &str, text: &str) -> What {
        What::Mark {
            host: host.into(),
            text: text.into(),
        }
    }

    fn send(peer: &str, written: u64, bytes: u64) -> What {
        What::Send {
            addr: "p:1".parse().unwrap(),
            peer: peer.parse().unwrap(),
            socket: 1,
            written,
            bytes,
        }
    }

    fn lines(host: &str, spawned: bool, records: &[Process], until: u64) -> Vec<String> {
        let points = of_host(host, spawned, records, until);
        points.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn points_are_counted_as_the_process_counts() {
        let own = process(
            0,
            vec![
                up(),
                mark("q", "of another host"),
                mark("p", "a"),
                send("c:1", 0, 5),
                // This attempt sent nothing, so it makes no point; but the process has counted it.
                send("c:1", 5, 7),
                send("c:1", 5, 6),
                mark("p", "a"),
                send("d:1", 11, 7),
                mark("p", "#2"),
            ],
        );
        let test = process(0, vec![mark("p", "by the test itself")]);
        let records = [test, own];
        let all = [
            "up",
            "p mark a",
            "p:1 send c:1",
            "p:1 send c:1 #3",
            "p mark a #2",
            "p:1 send d:1",
            "p mark \"#2\"",
        ];
        assert_eq!(lines("p", true, &records, 100), all);
        // What came after the body's end makes no point.
        assert_eq!(lines("p", true, &records, 3), all[..2]);
        let with_own = lines("p", false, &records, 100);
        assert_eq!(with_own[0], "p mark by the test itself");
        assert!(lines("r", true, &records, 100).is_empty());
    }

    #[test]
    fn a_later_process_has_only_the_points_that_the_first_has_not() {
        let first = process(0, vec![up(), mark("p", "a"), mark("p", "b")]);
        let second = process(
            10,
            vec![up(), mark("p", "a"), mark("p", "a"), mark("p", "c")],
        );
        let records = [process(0, vec![]), first, second];
        assert_eq!(
            lines("p", true, &records, 100),
            ["up", "p mark a", "p mark b", "p mark a #2", "p mark c"]
        );
    }
}
