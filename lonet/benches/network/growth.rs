//! How costs grow with what is there already: connections of a host, hosts of a network.

use crate::cycles::{beside_open, runtime, time};
use crate::ends::{Acceptor, Dialer, Net};
use crate::table::{self, median};

const ROUNDS: usize = 5;

pub(crate) fn rows() {
    if table::is_wanted("open connections") {
        // Not beside raw TCP, which runs out of ports in TIME_WAIT on the way.
        let counts = [10, 100, 1000, 10_000];
        grow("cycle, open connections", "≤ 1.1", counts, |open| {
            beside_open(Net::Lonet, open)
        });
    }
    if table::is_wanted("hosts") {
        grow("cycle, hosts on the network", "", [1, 100, 1000], |count| {
            with_hosts(count).1
        });
        let (firsts, ratios) = (0..ROUNDS)
            .map(|_| with_hosts(1000))
            .map(|(first, later)| (first, first / later))
            .unzip();
        let figures = [None, None, Some(median(firsts))];
        let name = "first cycle with each of 1000 hosts";
        table::line(name, figures, median(ratios), "µs", "");
    }
}

/// Measures at each size, in turns, and prints each beside the first.
fn grow<const N: usize>(
    name: &str,
    budget: &str,
    sizes: [usize; N],
    measure: impl Fn(usize) -> f64,
) {
    let rounds: Vec<[f64; N]> = (0..ROUNDS).map(|_| sizes.map(&measure)).collect();
    for (i, size) in sizes.into_iter().enumerate() {
        let figure = median(rounds.iter().map(|round| round[i]).collect());
        let ratio = median(rounds.iter().map(|round| round[i] / round[0]).collect());
        let budget = if i + 1 == N { budget } else { "" };
        let name = format!("{name}: {size}");
        table::line(&name, [None, None, Some(figure)], ratio, "µs", budget);
    }
}

/// p50 of the first cycle to each of so many hosts, which has to be looked up; and of a cycle to each
/// in turn from then on.
fn with_hosts(count: usize) -> (f64, f64) {
    const CYCLES: usize = 2000;
    runtime(0).block_on(async {
        let net = lonet::join("").await.unwrap();
        let beta = net.new_host("β").await.unwrap();
        let mut dialers = Vec::new();
        for n in 0..count {
            let host = net.new_host(&format!("h{n}")).await.unwrap();
            let listener = host.listen(":60000").await.unwrap();
            dialers.push(Dialer::Lonet(beta.clone(), listener.addr().to_string()));
            tokio::spawn(Acceptor::Lonet(listener).serve_cycles());
        }
        let mut first = Vec::new();
        for dialer in &dialers {
            first.push(time(dialer).await);
        }
        let mut later = Vec::new();
        for dialer in dialers.iter().cycle().take(CYCLES) {
            later.push(time(dialer).await);
        }
        (median(first), median(later))
    })
}
