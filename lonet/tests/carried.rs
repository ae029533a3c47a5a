//! Several subnetworks of one network in one process, each for another process of the scenario: a
//! collector in miniature keeps what each reports, and orders faults of one alone.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use lonet::__private::NetworkDir;
use lonet::trace::{
    Does, Ends, Event, Hello, Line, NAMES_NAME, ORDERS_NAME, Order, Place, Record, Rule,
    SOCKET_NAME, Standing, What,
};
use lonet::{Cause, Host, Stream, SubNetwork, carried};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What has come so far, by the number that each reporter carries; 0 carries none.
#[derive(Default)]
struct Came {
    lines: Mutex<BTreeMap<u64, Vec<Line>>>,
    changed: Condvar,
}

struct Collector {
    /// Keeps the network's directory until the test is over.
    dir: NetworkDir,
    came: Arc<Came>,
    orders: Arc<Mutex<BTreeMap<u64, UnixStream>>>,
}

fn give(mut to: &UnixStream, standing: Standing) {
    let order = serde_json::to_string(&Order::Network(Arc::new(standing))).unwrap();
    writeln!(to, "{order}").unwrap();
}

impl Collector {
    fn new() -> Collector {
        let dir = NetworkDir::random().unwrap();
        fs::write(dir.path().join(ORDERS_NAME), "").unwrap();
        let socket = UnixListener::bind(dir.path().join(SOCKET_NAME)).unwrap();
        let came = Arc::<Came>::default();
        let orders = Arc::<Mutex<BTreeMap<u64, UnixStream>>>::default();
        let (into, streams) = (came.clone(), orders.clone());
        std::thread::spawn(move || {
            for stream in socket.incoming() {
                let stream = stream.unwrap();
                let (into, streams) = (into.clone(), streams.clone());
                std::thread::spawn(move || {
                    let mut number = 0;
                    for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                        let line = serde_json::from_str(&line.unwrap()).unwrap();
                        if let Line::Hello(Hello { carries, gates, .. }) = &line {
                            assert!(gates);
                            number = carries.unwrap_or(0);
                            let seq = 1;
                            give(
                                &stream,
                                Standing {
                                    seq,
                                    ..Standing::default()
                                },
                            );
                            let stream = stream.try_clone().unwrap();
                            streams.lock().unwrap().insert(number, stream);
                        }
                        let mut lines = into.lines.lock().unwrap();
                        lines.entry(number).or_default().push(line);
                        into.changed.notify_all();
                    }
                });
            }
        });
        Collector { dir, came, orders }
    }

    /// What that reporter has written, once `is_all` of it is there.
    fn lines(&self, carries: u64, is_all: impl Fn(&[Line]) -> bool) -> Vec<Line> {
        let lines = self.came.lines.lock().unwrap();
        let waits = |lines: &mut BTreeMap<u64, Vec<Line>>| {
            !lines.get(&carries).is_some_and(|lines| is_all(lines))
        };
        let patience = Duration::from_secs(20);
        let (lines, waited) = self
            .came
            .changed
            .wait_timeout_while(lines, patience, waits)
            .unwrap();
        assert!(!waited.timed_out(), "{:?}", *lines);
        lines[&carries].clone()
    }

    /// Its records until its host is down, by number.
    fn records(&self, carries: u64) -> Vec<Record> {
        let is_down = |line: &Line| matches!(line, Line::Ev(record) if matches!(record.what, What::Down { .. }));
        let lines = self.lines(carries, |lines| lines.iter().any(is_down));
        let records = lines.into_iter().filter_map(|line| match line {
            Line::Ev(record) => Some(record),
            _ => None,
        });
        let mut records: Vec<_> = records.collect();
        records.sort_by_key(|record| record.n);
        records
    }

    /// Orders something of one reporter, and waits until it obeys.
    fn orders(&self, carries: u64, standing: Standing) {
        let seq = standing.seq;
        give(&self.orders.lock().unwrap()[&carries], standing);
        let obeys = |line: &Line| matches!(line, Line::Obeyed(obeyed) if obeyed.seq == seq);
        self.lines(carries, |lines| lines.iter().any(obeys));
    }

    async fn joined(&self, process: u64, host: &str) -> (SubNetwork, Host) {
        let net = carried::join(self.dir.name(), process).await.unwrap();
        let host = net.new_host(host).await.unwrap();
        (net, host)
    }
}

fn events(records: &[Record]) -> Vec<String> {
    let events = records
        .iter()
        .filter_map(|record| Event::of_record(1, record));
    events.map(|event| event.to_string()).collect()
}

fn key(records: &[Record]) -> String {
    let mut keys = records.iter().filter_map(|record| match &record.what {
        What::Accept { key, .. } | What::Connect { key, .. } => Some(key.clone()),
        _ => None,
    });
    keys.next().unwrap()
}

async fn soon<T>(operation: impl Future<Output = T>) -> T {
    let operation = tokio::time::timeout(Duration::from_secs(20), operation);
    operation.await.expect("it hangs")
}

/// Each has its own numbers from 1, its own hello, and its own end of the connection.
#[tokio::test]
async fn two_carried_hosts_report_apart_and_dial_each_other() {
    let collector = Collector::new();
    // The process's own, which says that it carries nothing.
    let own = lonet::join(collector.dir.name()).await.unwrap();
    let (one, alpha) = collector.joined(1, "α").await;
    let (two, beta) = collector.joined(2, "β").await;
    let listener = carried::listen(&alpha, 10, false).await.unwrap();
    let dialing = {
        let beta = beta.clone();
        tokio::spawn(async move { beta.dial("α:10").await })
    };
    soon(std::future::poll_fn(|cx| {
        carried::poll_dialed(&listener, cx)
    }))
    .await
    .unwrap();
    let mut accepted = carried::try_accept(&listener).unwrap().unwrap();
    let mut dialed = soon(dialing).await.unwrap().unwrap();
    let sent = vec![7; 3_000_000];
    let (written, read) = soon(async {
        let mut read = vec![0; sent.len()];
        let both = tokio::join!(dialed.write_all(&sent), accepted.read_exact(&mut read));
        both.1.unwrap();
        (both.0, read)
    })
    .await;
    written.unwrap();
    assert!(read == sent);
    carried::reset(accepted);
    let error = soon(dialed.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    drop(dialed);
    assert_eq!(carried::hosts(&two).await.unwrap(), ["α", "β"]);
    one.close().await.unwrap();
    let refused = soon(beta.dial("α:10")).await.unwrap_err();
    assert_eq!(refused.cause(), &Cause::ConnectionRefused);
    two.close().await.unwrap();

    let (first, second) = (collector.records(1), collector.records(2));
    assert_eq!(
        events(&first),
        [
            "α up",
            "α:10 listen",
            "α:1 accept β:1",
            "α:1 close β:1",
            "α:10 close",
            "α down"
        ]
    );
    assert_eq!(
        events(&second),
        [
            "β up",
            "β:1 dial α:10",
            "β:1 connect α:1",
            "β:1 close α:1",
            "β:1 dial α:10",
            "β:1 fail α:10 connection refused",
            "β down",
        ]
    );
    assert_eq!((first[0].n, second[0].n), (1, 1));
    assert_eq!(key(&first), key(&second));
    let hello = |carries| match &collector.lines(carries, |lines| !lines.is_empty())[0] {
        Line::Hello(hello) => hello.clone(),
        other => panic!("{other:?}"),
    };
    let carries: Vec<_> = (0..3).map(|carries| hello(carries).carries).collect();
    assert_eq!(carries, [None, Some(1), Some(2)]);
    assert_ne!(hello(1).nonce, hello(2).nonce);
    drop(own);
}

async fn connected(alpha: &Host, beta: &Host) -> (Stream, Stream) {
    let listener = alpha.listen(":10").await.unwrap();
    let addr = listener.addr().to_string();
    let both = soon(async { tokio::join!(listener.accept(), beta.dial(&addr)) }).await;
    (both.0.unwrap(), both.1.unwrap())
}

/// Between what one process carries, there is no TCP; to all others, there is.
#[tokio::test]
async fn only_carried_hosts_are_joined_in_memory() {
    let collector = Collector::new();
    let own = lonet::join(collector.dir.name()).await.unwrap();
    let role = own.new_host("γ").await.unwrap();
    let (_one, alpha) = collector.joined(1, "α").await;
    let (_two, beta) = collector.joined(2, "β").await;
    for (acceptor, dialer, in_memory) in [
        (&alpha, &beta, true),
        (&beta, &alpha, true),
        (&alpha, &alpha, true),
        (&alpha, &role, false),
        (&role, &alpha, false),
        (&role, &role, false),
    ] {
        let (mut accepted, mut dialed) = connected(acceptor, dialer).await;
        let ends = [&accepted, &dialed].map(|end| end.socket().is_none());
        assert_eq!(ends, [in_memory; 2], "{dialed:?}");
        dialed.write_all(b"ping").await.unwrap();
        soon(accepted.read_exact(&mut [0; 4])).await.unwrap();
        carried::reset(accepted);
        let error = soon(dialed.read(&mut [0])).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    // A name that never was is one for all.
    let unknown = soon(alpha.dial("δ:10")).await.unwrap_err();
    assert_eq!(unknown.cause(), &Cause::NoSuchHost);
    assert_eq!(
        soon(alpha.dial("β:0")).await.unwrap_err().cause(),
        &Cause::ConnectionRefused
    );
}

/// Each end obeys the orders of its own process, as if there were TCP between them.
#[tokio::test]
async fn a_partition_between_carried_hosts_withholds() {
    let collector = Collector::new();
    let (_one, alpha) = collector.joined(1, "α").await;
    let (_two, beta) = collector.joined(2, "β").await;
    let (mut accepted, mut dialed) = connected(&alpha, &beta).await;
    dialed.write_all(b"before").await.unwrap();
    let host = |name: &str| {
        Ends::These(vec![Place {
            host: name.to_owned(),
            port: None,
        }])
    };
    let partition = Rule {
        fault: 1,
        event: None,
        from: host("β"),
        to: host("α"),
        does: Does::Withhold,
        window: None,
    };
    let rules = vec![partition];
    for process in [1, 2] {
        let rules = rules.clone();
        collector.orders(
            process,
            Standing {
                seq: 2,
                rules,
                ..Standing::default()
            },
        );
    }
    dialed.write_all(b"after").await.unwrap();
    drop(dialed);
    let mut read = [0; 16];
    assert_eq!(soon(accepted.read(&mut read)).await.unwrap(), 6);
    let mut rest = Vec::new();
    {
        let mut reading = Box::pin(accepted.read_to_end(&mut rest));
        for _ in 0..100 {
            tokio::task::yield_now().await;
            let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(reading.as_mut().poll(cx)));
            assert!(poll.await.is_pending());
        }
        for process in [1, 2] {
            collector.orders(
                process,
                Standing {
                    seq: 3,
                    ..Standing::default()
                },
            );
        }
        soon(reading).await.unwrap();
    }
    assert_eq!(rest, b"after");
}

/// A process from which nothing may leave refuses nobody, either.
#[tokio::test]
async fn a_refusal_waits_until_it_may_leave() {
    let collector = Collector::new();
    let (_one, _alpha) = collector.joined(1, "α").await;
    let (_two, beta) = collector.joined(2, "β").await;
    let (seq, shut) = (2, true);
    collector.orders(
        1,
        Standing {
            seq,
            shut,
            ..Standing::default()
        },
    );
    let mut dialing = Box::pin(beta.dial("α:10"));
    for _ in 0..100 {
        tokio::task::yield_now().await;
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(dialing.as_mut().poll(cx)));
        assert!(poll.await.is_pending());
    }
    collector.orders(
        1,
        Standing {
            seq: 3,
            ..Standing::default()
        },
    );
    let refused = soon(dialing).await.unwrap_err();
    assert_eq!(refused.cause(), &Cause::ConnectionRefused);
}

/// What keeps one back leaves the other alone, though one process carries both.
#[tokio::test]
async fn orders_of_one_carried_host_do_not_hold_the_other() {
    let collector = Collector::new();
    let (_one, alpha) = collector.joined(1, "α").await;
    let (_two, beta) = collector.joined(2, "β").await;
    let (at_alpha, at_beta) = (
        alpha.listen(":10").await.unwrap(),
        beta.listen(":10").await.unwrap(),
    );
    let (seq, shut) = (2, true);
    collector.orders(
        1,
        Standing {
            seq,
            shut,
            ..Standing::default()
        },
    );
    // β is free.
    let (accepted, dialed) = soon(async { tokio::join!(at_beta.accept(), beta.dial(":10")) }).await;
    drop((accepted.unwrap(), dialed.unwrap()));
    // What goes to α waits there.
    let dialing = tokio::spawn(async move { beta.dial("α:10").await });
    let seq = 3;
    let mut announced = Box::pin(std::future::poll_fn(|cx| {
        carried::poll_dialed(&at_alpha, cx)
    }));
    for _ in 0..100 {
        tokio::task::yield_now().await;
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(announced.as_mut().poll(cx)));
        assert!(poll.await.is_pending());
    }
    collector.orders(
        1,
        Standing {
            seq,
            ..Standing::default()
        },
    );
    soon(announced).await.unwrap();
    let accepted = carried::try_accept(&at_alpha).unwrap().unwrap();
    assert_eq!(
        soon(dialing).await.unwrap().unwrap().peer_addr(),
        accepted.local_addr()
    );
}

/// As a process that is spawned again: the host is elsewhere then.
#[tokio::test]
async fn a_carried_host_comes_back() {
    let collector = Collector::new();
    let (_one, alpha) = collector.joined(1, "α").await;
    for process in 2..4 {
        let (two, beta) = collector.joined(process, "β").await;
        let listener = beta.listen(":10").await.unwrap();
        let (accepted, dialed) =
            soon(async { tokio::join!(listener.accept(), alpha.dial("β:10")) }).await;
        let mut dialed = dialed.unwrap();
        let accepted = accepted.unwrap();
        two.close().await.unwrap();
        assert_eq!(soon(dialed.read(&mut [0])).await.unwrap(), 0);
        drop(accepted);
        let refused = soon(alpha.dial("β:10")).await.unwrap_err();
        assert_eq!(refused.cause(), &Cause::ConnectionRefused);
    }
}

#[tokio::test]
async fn a_reserved_name_is_refused_until_its_host_is_up() {
    let collector = Collector::new();
    let (_one, alpha) = collector.joined(1, "α").await;
    let cause = async |addr: &str| soon(alpha.dial(addr)).await.unwrap_err().cause().clone();
    assert_eq!(cause("β:10").await, Cause::NoSuchHost);
    fs::write(collector.dir.path().join(NAMES_NAME), "n1\nβ\n").unwrap();
    for (addr, expected) in [
        ("β:10", Cause::ConnectionRefused),
        ("n1:10", Cause::ConnectionRefused),
        ("n:10", Cause::NoSuchHost),
        ("n11:10", Cause::NoSuchHost),
    ] {
        assert_eq!(cause(addr).await, expected, "{addr}");
    }
    // A role's network knows them, too.
    let other = lonet::join(collector.dir.name()).await.unwrap();
    let gamma = other.new_host("γ").await.unwrap();
    let refused = soon(gamma.dial("β:10")).await.unwrap_err();
    assert_eq!(refused.cause(), &Cause::ConnectionRefused);
    let (_two, beta) = collector.joined(2, "β").await;
    let listener = beta.listen(":10").await.unwrap();
    let (accepted, dialed) =
        soon(async { tokio::join!(listener.accept(), alpha.dial("β:10")) }).await;
    drop((accepted.unwrap(), dialed.unwrap()));
}

#[tokio::test]
async fn a_carried_process_needs_the_name_of_its_network() {
    let error = carried::join("", 1).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::InvalidName(_)), "{error}");
}
