//! What a whole scenario costs: two processes that play ping-pong, and a hundred in a ring; also how
//! the ring's cost grows.
//!
//! And 50 MB of bytes that a role takes and gives back, of which the budget is one without
//! optimisation: `--profile dev bytes`.
//!
//! Prints the figures beside their budgets, in milliseconds and in cycles of raw tokio TCP that are
//! measured in the same run, so that machines can be compared; and the processor time of a run,
//! which is what remains true on a machine that is busy. Takes names of rows. Decides nothing.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use lonet::Host;
use lonet_harness::{Node, Result, Scenario, run, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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

#[lonet::host]
async fn returns(_host: Host) {}

#[lonet::host]
async fn gives_back(_host: Host, bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

async fn bytes(scenario: Scenario) -> Result<()> {
    let node = scenario
        .spawn("α", gives_back(vec![0xa5; 50_000_000]))
        .await?;
    assert_eq!(node.join().await?.len(), 50_000_000);
    Ok(())
}

async fn one_role(scenario: Scenario) -> Result<()> {
    Ok(scenario.spawn("α", returns()).await?.join().await?)
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
    let nodes: Vec<Result<Node<()>, lonet_harness::Error>> = spawning.join_all().await;
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

/// p50 of a cycle of raw tokio TCP on a current-thread runtime: dial, the server accepts and closes,
/// the client reads EOF and closes. The unit of every figure here: it is as slow as the machine.
fn raw_cycle() -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("it is free");
        let addr = listener.local_addr().expect("it is bound");
        let serving = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        let mut times = Vec::new();
        for _ in 0..3000 {
            let began = Instant::now();
            let mut conn = TcpStream::connect(addr).await.expect("it listens");
            assert_eq!(conn.read(&mut [0; 8]).await.expect("it closes"), 0);
            drop(conn);
            times.push(began.elapsed());
        }
        serving.abort();
        times.sort();
        times[times.len() / 2]
    })
}

/// What one row costs, beside raw cycles measured right before and after it. `budget` is in
/// milliseconds, on the machine whose raw cycle takes [`REFERENCE`].
fn row(what: &str, runs: u32, budget: Option<f64>, once: impl Fn()) {
    let before = raw_cycle();
    let (times, processor) = times(runs, once);
    let cycle = (before + raw_cycle()) / 2;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let in_cycles = |time: Duration| time.as_secs_f64() / cycle.as_secs_f64();
    let median = times[times.len() / 2];
    let budget = budget.map_or_else(String::new, |budget| {
        let cycles = Duration::from_secs_f64(budget / 1e3).as_secs_f64() / REFERENCE.as_secs_f64();
        format!("   budget {budget} ms = {cycles:.0} raw cycles")
    });
    println!(
        "{what:<28} median {:>7.1} ms, least {:>7.1}, most {:>7.1}, processor {:>7.1};  raw cycle \
         {:>5.1} µs: median {:>6.0} raw cycles, processor {:>6.0}{budget}",
        ms(median),
        ms(times[0]),
        ms(times[times.len() - 1]),
        ms(processor),
        ms(cycle) * 1e3,
        in_cycles(median),
        in_cycles(processor),
    );
}

/// The raw cycle on the machine on which the budgets were set.
const REFERENCE: Duration = Duration::from_nanos(18_400);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| {
        let mut named = wanted.iter().filter(|arg| !arg.starts_with('-')).peekable();
        named.peek().is_none() || named.any(|arg| name.contains(arg.as_str()))
    };
    let play = |what: &str, runs, budget, once: &dyn Fn()| {
        if is_wanted(what) {
            row(what, runs, budget, once);
        }
    };
    play("a test without processes", 100, None, &|| {
        run("alone", async |_: lonet::SubNetwork| {}).expect("it passes");
    });
    play("a scenario without roles", 100, None, &|| {
        run("empty", async |_: Scenario| {}).expect("it passes");
    });
    play("one role that returns", 100, None, &|| {
        run("one", one_role).expect("it passes");
    });
    play("ping-pong of two processes", 100, Some(8.0), &|| {
        run("ping_pong", ping_pong).expect("it passes");
    });
    play("50 MB of bytes, both ways", 5, Some(2000.0), &|| {
        run("bytes", bytes).expect("it passes");
    });
    for hosts in [10, 30, 100] {
        let budget = (hosts == 100).then_some(400.0);
        play(&format!("ring of {hosts} processes"), 10, budget, &|| {
            run("ring", |scenario| ring(scenario, hosts)).expect("it passes");
        });
    }
}
