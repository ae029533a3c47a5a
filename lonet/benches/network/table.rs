//! The rows that are printed, and the unit in which a slow machine is compared with a fast one.
//!
//! A ratio of one run says more than microseconds; where a budget is a time, it was set on a
//! machine on which a cycle of raw tokio TCP took 18.4 µs, and is counted in such cycles.

use std::io::{Write, stdout};

/// The cycle of raw TCP on the machine that the budgets' times are from.
const REFERENCE_CYCLE: f64 = 18.4;

/// Which rows are wanted: those whose name contains one of the program's arguments.
pub(crate) fn is_wanted(name: &str) -> bool {
    let mut words = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .peekable();
    words.peek().is_none() || words.any(|word| name.contains(&word))
}

pub(crate) fn heading(columns: [&str; 4]) {
    let [a, b, c, d] = columns;
    println!("{:<44} {a:>10} {b:>10} {c:>10} {d:>7}  budget", "");
}

/// One line of the table. `-` where there is nothing to say.
pub(crate) fn line(name: &str, figures: [Option<f64>; 3], ratio: f64, unit: &str, budget: &str) {
    let shown = figures.map(|figure| figure.map_or("-".to_owned(), |f| format!("{f:.2}")));
    let [a, b, c] = shown;
    println!("{name:<44} {a:>10} {b:>10} {c:>10} {ratio:>6.2}x  {budget:<8} {unit}");
    let _ = stdout().flush();
}

/// A time in µs whose budget is a time too: both as so many cycles of raw TCP.
pub(crate) fn time(name: &str, micros: f64, cycle: f64, budget: f64) {
    println!(
        "{name:<44} {micros:>10.1} µs = {:>8.2} raw cycles, budget {:.2} ({budget} µs where a cycle takes {REFERENCE_CYCLE})",
        micros / cycle,
        budget / REFERENCE_CYCLE,
    );
    let _ = stdout().flush();
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
