//! What an established connection costs: both kinds live at once and are measured in turns of
//! milliseconds, because the two per cent that matter are less than a minute's drift.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cycles::runtime;
use crate::ends::{Net, Stream, ends, pair};
use crate::table::{self, median};

const TURNS: usize = 60;
const TRIPS: usize = 500;
const BURST: usize = 32 << 20;
const CHUNK: usize = 64 << 10;

pub(crate) fn rows() {
    for (workers, called) in [(0, "current-thread"), (2, "2 workers")] {
        let name = format!("1-byte round trip, {called}");
        if table::is_wanted(&name) {
            let [raw, lonet] = turns(workers, echo, |mut near| async move {
                let start = Instant::now();
                let mut byte = [0];
                for _ in 0..TRIPS {
                    near.write_all(&byte).await.unwrap();
                    near.read_exact(&mut byte).await.unwrap();
                }
                (
                    near,
                    start.elapsed().as_nanos() as f64 / 1000.0 / TRIPS as f64,
                )
            });
            print(&name, "µs", "≤ 1.02", raw, lonet);
        }
        let name = format!("64 KiB streaming, {called}");
        if table::is_wanted(&name) {
            let [raw, lonet] = turns(workers, swallow, |mut near| async move {
                let start = Instant::now();
                let chunk = vec![7; CHUNK];
                for _ in 0..BURST / CHUNK {
                    near.write_all(&chunk).await.unwrap();
                }
                // The other side says when it has read everything.
                near.read_exact(&mut [0]).await.unwrap();
                (near, BURST as f64 / start.elapsed().as_secs_f64() / 1e9)
            });
            print(&name, "GB/s", "≥ 0.98", raw, lonet);
        }
    }
}

fn print(name: &str, unit: &str, budget: &str, raw: Vec<f64>, lonet: Vec<f64>) {
    let ratios = raw.iter().zip(&lonet).map(|(raw, lonet)| lonet / raw);
    let ratio = median(ratios.collect());
    let figures = [Some(median(raw)), None, Some(median(lonet))];
    table::line(name, figures, ratio, unit, budget);
}

/// Measures on raw TCP and on lonet in turns, while `far` serves the other ends.
fn turns<F, M>(workers: usize, far: fn(Stream) -> F, near: impl Fn(Stream) -> M) -> [Vec<f64>; 2]
where
    F: Future<Output = ()> + Send + 'static,
    M: Future<Output = (Stream, f64)> + Send + 'static,
{
    runtime(workers).block_on(async {
        let mut serving = Vec::new();
        let mut nets = Vec::new();
        let mut streams = Vec::new();
        for net in [Net::Raw, Net::Lonet] {
            let (net, acceptor, dialer) = ends(net).await;
            let (accepted, dialed) = pair(&acceptor, &dialer).await;
            serving.push(tokio::spawn(far(accepted)));
            nets.push((net, acceptor));
            streams.push(Some(dialed));
        }
        let mut found: [Vec<f64>; 2] = Default::default();
        for turn in 0..TURNS {
            // Each goes first in turn.
            for which in [turn % 2, 1 - turn % 2] {
                let stream = streams[which].take().unwrap();
                let (stream, figure) = tokio::spawn(near(stream)).await.unwrap();
                streams[which] = Some(stream);
                found[which].push(figure);
            }
        }
        drop(streams);
        for served in serving {
            served.await.unwrap();
        }
        found
    })
}

async fn echo(mut far: Stream) {
    let mut byte = [0];
    while far.read(&mut byte).await.unwrap() > 0 {
        far.write_all(&byte).await.unwrap();
    }
}

async fn swallow(mut far: Stream) {
    let mut buf = vec![0; CHUNK];
    let mut all = 0;
    loop {
        match far.read(&mut buf).await.unwrap() {
            0 => return,
            bytes => all += bytes,
        }
        if all >= BURST {
            all -= BURST;
            far.write_all(&[1]).await.unwrap();
        }
    }
}
