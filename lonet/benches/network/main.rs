//! What the network costs beside raw tokio TCP: `cargo bench -p lonet --bench network [words…]`,
//! of which the words choose rows.
//!
//! Prints, for each row, the medians of rounds in turns and their ratio; rounds drift by a quarter
//! on a busy machine, so only the ratio says something. The floor is raw TCP that does what no
//! lonet dial can do without: a line each way. A program, not a test: it fails nothing.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that can't be made has nothing to say"
)]

mod costs;
mod cycles;
mod ends;
mod established;
mod growth;
mod table;

fn main() {
    // The other processes of a measurement are this program.
    if cycles::serve_if_told() || costs::join_if_told() || costs::measure_memory_if_told() {
        return;
    }
    let cycle = cycles::rows();
    established::rows();
    growth::rows();
    costs::rows(cycle);
}
