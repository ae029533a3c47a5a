//! Why the event of a schedule was not reached: what comes nearest to it.
//!
//! Pure. Owns which event that is, and the words.

use super::schedule::Point;
use crate::trace::happened::process::Process;
use crate::trace::write::text::split_words;
use crate::trace::{Event, Pattern};

/// What happened of a point by that time instead.
pub(super) fn why(point: &Point, records: &[Process], until: u64) -> String {
    let host = &point.host;
    let events: Vec<Event> = (0..)
        .zip(records)
        .flat_map(|(process, of)| of.records.iter().map(move |record| (process, record)))
        .filter(|(_, record)| record.t <= until)
        .filter_map(|(process, record)| Event::of_record(process, record))
        .filter(|event| event.host() == host && !event.verb().is_interference())
        .collect();
    if events.is_empty() {
        return format!("nothing happened on {host}");
    }
    let Ok(pattern) = Pattern::parse(&point.pattern) else {
        return format!("`{}` matches nothing", point.pattern);
    };
    let matching = events.iter().filter(|event| pattern.matches(event));
    match matching.count() {
        0 => {
            let nearest = nearest(&point.pattern, &events);
            let nearest = nearest.map_or_else(String::new, |near| format!("; nearest: `{near}`"));
            format!(
                "`{}` did not happen{nearest}",
                Point {
                    nth: 1,
                    ..point.clone()
                }
            )
        }
        1 => format!(
            "`{}` happened once",
            Point {
                nth: 1,
                ..point.clone()
            }
        ),
        times => format!(
            "`{}` happened {times} times",
            Point {
                nth: 1,
                ..point.clone()
            }
        ),
    }
}

/// The first of the events that shares the most words with the pattern, at the same places. Those
/// with the same verb come before all others.
fn nearest<'a>(pattern: &str, events: &'a [Event]) -> Option<&'a Event> {
    let wanted = split_words(pattern);
    let likeness = |event: &Event| {
        let words = event.words();
        let same = wanted.iter().zip(&words);
        let same = same.filter(|(wanted, word)| wanted == word || *wanted == "_");
        (words.get(1) == wanted.get(1), same.count())
    };
    // The last of several maxima is what `max_by_key` gives.
    events.iter().rev().max_by_key(|event| likeness(event))
}
