//! What a whole scenario costs: two processes that play ping-pong, and a hundred in a ring; also how
//! the ring's cost grows.
//!
//! Prints the figures beside their budgets, and the processor time of a run, which is what remains
//! true on a machine that is busy. Decides nothing.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use lonet::Host;
use lonet_harness::{Node, Result, Scenario, run, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let mut conn = host.listen(":10").await?.accept().await?;
    let mut buf = [0; 4];
    conn.read_exact(&mut buf).await?;
    conn.write_all(b"pong").await?;
    Ok(())
}

#[lonet::host]
async fn client(host: Host, to: String) -> Result<String> {
    let mut conn = host.dial(&to).await?;
    conn.write_all(b"ping").await?;
    let mut answer = String::new();
    conn.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn ping_pong(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", server()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", client("α:10".into())).await?;
    assert_eq!(beta.join().await?, "pong");
    alpha.join().await?;
    scenario.assert_trace(
        "
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        α:10 close
        β:1  connect α:1
        α:1  close   β:1
        β:1  close   α:1
        ",
    );
    Ok(())
}

/// The dial takes port 1 at its first poll, so that the accepting end has 2.
#[lonet::host]
async fn member(host: Host, next: String) -> Result<()> {
    let listener = host.listen(":10").await?;
    until(&format!("{next} listen")).await?;
    let (dialed, accepted) = tokio::join!(host.dial(&next), listener.accept());
    let _ends = (dialed?, accepted?);
    Ok(())
}

async fn ring(scenario: Scenario, hosts: usize) -> Result<()> {
    let mut spawning = tokio::task::JoinSet::new();
    for i in 0..hosts {
        let (scenario, next) = (scenario.clone(), (i + 1) % hosts);
        let role = member(format!("h{next}:10"));
        spawning.spawn(async move { scenario.spawn(&format!("h{i}"), role).await });
    }
    let nodes: Vec<Result<Node<()>>> = spawning.join_all().await;
    for node in nodes {
        node?.join().await?;
    }
    scenario.assert_trace(expected(hosts).as_str());
    Ok(())
}

fn expected(hosts: usize) -> String {
    let mut text = String::new();
    let mut all = |line: &dyn Fn(usize, usize) -> String| {
        for i in 0..hosts {
            let _ = writeln!(text, "{}", line(i, (i + 1) % hosts));
        }
    };
    all(&|i, _| format!("h{i}:10 listen"));
    all(&|i, next| format!("h{i}:1 dial h{next}:10"));
    all(&|i, next| format!("h{next}:2 accept h{i}:1"));
    all(&|i, next| format!("h{i}:1 connect h{next}:2"));
    all(&|i, next| format!("h{i}:1 close h{next}:2"));
    all(&|i, next| format!("h{next}:2 close h{i}:1"));
    all(&|i, _| format!("h{i}:10 close"));
    text
}

/// The processor time of this process and of all that it has waited for: through the supervisor
/// that is every process of its scenarios.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    // The name, in parentheses, may hold anything. Then, from the 14th field: user, system, and
    // both of the children, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split(' ');
    let ticks: u64 = fields
        .skip(12)
        .take(4)
        .filter_map(|n| n.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// The times of so many runs, sorted; and the processor time of one.
fn times(runs: u32, once: impl Fn()) -> (Vec<Duration>, Duration) {
    once();
    let before = processor_time();
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let began = Instant::now();
            once();
            began.elapsed()
        })
        .collect();
    times.sort();
    (times, (processor_time() - before) / runs)
}

fn tell(what: &str, budget: &str, (times, processor): &(Vec<Duration>, Duration)) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{what:<26} median {:>7.1} ms, least {:>7.1}, most {:>7.1}, processor {:>7.1}   {budget}",
        ms(times[times.len() / 2]),
        ms(times[0]),
        ms(times[times.len() - 1]),
        ms(*processor)
    );
}

fn main() {
    let times_of_two = times(100, || run("ping_pong", ping_pong).expect("it passes"));
    tell("ping-pong of two processes", "budget 8 ms", &times_of_two);
    for hosts in [10, 30, 100] {
        let budget = if hosts == 100 { "budget 400 ms" } else { "" };
        let body = |scenario| ring(scenario, hosts);
        let times = times(10, || run("ring", body).expect("it passes"));
        tell(&format!("ring of {hosts} processes"), budget, &times);
    }
}
