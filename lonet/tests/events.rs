//! What a traced network reports, and in which order: a collector in miniature listens at
//! `trace.sock` and keeps the records.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, whatever the error"
)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use lonet::__private::NetworkDir;
use lonet::trace::{Event, Line, Record, Tracing, What};
use lonet::{Result, SubNetwork};
use nix::sys::socket::{Backlog, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Collector {
    /// Keeps the network's directory until the test is over.
    dir: NetworkDir,
    lines: mpsc::Receiver<Vec<Record>>,
}

impl Collector {
    fn new() -> Collector {
        let dir = NetworkDir::random().unwrap();
        let socket = UnixListener::bind(dir.path().join("trace.sock")).unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let (stream, _) = socket.accept().unwrap();
            let records = BufReader::new(stream).lines().filter_map(|line| {
                match serde_json::from_str(&line.unwrap()).unwrap() {
                    Line::Ev(record) => Some(record),
                    _ => None,
                }
            });
            let _ = sender.send(records.collect());
        });
        Collector { dir, lines }
    }

    /// All records, by number, once the network is closed and nobody has a handle of it.
    fn records(self) -> Vec<Record> {
        let mut records = self.lines.recv().unwrap();
        records.sort_by_key(|record| record.n);
        records
    }
}

/// What a run on a traced network reports.
async fn traced(run: impl AsyncFnOnce(SubNetwork) -> Result<()>) -> Vec<Record> {
    let collector = Collector::new();
    let net = lonet::join(collector.dir.name()).await.unwrap();
    run(net).await.unwrap();
    collector.records()
}

/// Of a collector that takes nobody any more, a join tells; it does not wait for ever.
#[test]
fn a_collector_whose_queue_is_full() {
    let dir = NetworkDir::random().unwrap();
    let path = dir.path().join("trace.sock");
    let socket = UnixListener::bind(&path).unwrap();
    listen(&socket, Backlog::new(0).unwrap()).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let joined = runtime.block_on(async {
        // A join of another network is none of its business.
        let (full, other) = tokio::join!(lonet::join(dir.name()), lonet::join(""));
        drop(other.unwrap());
        full
    });
    let error = joined.unwrap_err().to_string();
    let told = format!("{} has accepted no connection for 2 s", path.display());
    assert!(error.contains(&told), "{error}");
}

fn events(records: &[Record]) -> Vec<String> {
    let events = records
        .iter()
        .filter_map(|record| Event::of_record(1, record));
    events.map(|event| event.to_string()).collect()
}

#[tokio::test]
async fn ping_pong() {
    let records = traced(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let client = tokio::spawn(async move {
            let mut conn = beta.dial("α:10").await.unwrap();
            conn.write_all(b"ping").await.unwrap();
            let mut answer = String::new();
            conn.read_to_string(&mut answer).await.unwrap();
            drop(conn);
            beta.mark("got   it");
        });
        let mut conn = listener.accept().await?;
        conn.read_exact(&mut [0; 4]).await.unwrap();
        conn.write_all(b"pong").await.unwrap();
        drop(conn);
        client.await.unwrap();
        Ok(())
    })
    .await;
    assert_eq!(
        events(&records),
        [
            "α up",
            "β up",
            "α:10 listen",
            "β:1 dial α:10",
            "α:1 accept β:1",
            "β:1 connect α:1",
            "α:1 close β:1",
            "β:1 close α:1",
            "β mark got it",
            "α:10 close",
            "α down",
            "β down",
        ]
    );
    let number_of = |wanted: &str| {
        let found = records
            .iter()
            .find(|r| Event::of_record(1, r).is_some_and(|event| event.to_string() == wanted));
        found.unwrap().n
    };
    // The three of one connection name each other.
    let mut keys = Vec::new();
    for record in &records {
        match &record.what {
            What::Link { dial: d, key: c } => {
                assert_eq!(*d, number_of("β:1 dial α:10"));
                keys.push(c);
            }
            What::Accept {
                key: c,
                listener: l,
                ..
            } => {
                assert_eq!(*l, 1);
                keys.push(c);
            }
            What::Connect {
                dial: d, key: c, ..
            } => {
                assert_eq!(*d, number_of("β:1 dial α:10"));
                keys.push(c);
            }
            What::Close {
                peer: Some(_),
                written: w,
                ..
            } => assert_eq!(*w, 4),
            _ => {}
        }
    }
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(keys[0].ends_with("#1"), "{keys:?}");
    // The client's close says that it read four bytes and the end.
    let close = &records[records.len() - 5];
    assert_eq!(close.n, number_of("β:1 close α:1"));
    assert_eq!(close.reads.last().map(|r| (r.certain, r.all)), Some((5, 4)));
}

#[tokio::test]
async fn dials_that_end_without_a_connection() {
    let records = traced(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let _ = beta.dial("α:10").await;
        let _ = beta.dial("nonsense").await;
        let _ = beta.dial("γ:10").await;
        let listener = alpha.listen(":10").await?;
        let mut dial = Box::pin(beta.dial("α:10"));
        std::future::poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx).is_pending())).await;
        drop(dial);
        let mut dial = Box::pin(beta.dial("α:10"));
        std::future::poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx).is_pending())).await;
        beta.close().await?;
        let _ = dial.await;
        listener.close().await?;
        Ok(())
    })
    .await;
    assert_eq!(
        events(&records),
        [
            "α up",
            "β up",
            "β:1 dial α:10",
            "β:1 fail α:10 connection refused",
            "β:1 dial γ:10",
            "β:1 fail γ:10 no such host",
            "α:10 listen",
            "β:1 dial α:10",
            "β:1 fail α:10 cancelled",
            "β:1 dial α:10",
            "β:1 fail α:10 host is down",
            "β down",
            "α:10 close",
            "α down",
        ]
    );
}

#[tokio::test]
async fn a_hosts_close_belongs_to_no_task() {
    let records = traced(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let (accepted, dialed) = tokio::try_join!(listener.accept(), beta.dial("α:10"))?;
        alpha.close().await?;
        drop((accepted, listener));
        drop(dialed);
        Ok(())
    })
    .await;
    let tasks = records.iter().filter_map(|record| {
        let event = Event::of_record(1, record)?;
        Some((event.to_string(), record.task.is_some(), record.unordered))
    });
    // The dial begins while the accept is pending, and the accept ends while the dial is: the
    // connect ends alone. Nobody has used the stream, so that its drop has no place.
    assert_eq!(
        tasks.skip(3).collect::<Vec<_>>(),
        [
            ("β:1 dial α:10".to_owned(), true, true),
            ("α:1 accept β:1".to_owned(), true, true),
            ("β:1 connect α:1".to_owned(), true, false),
            ("α:1 close β:1".to_owned(), false, false),
            ("α:10 close".to_owned(), false, false),
            ("α down".to_owned(), false, false),
            ("β:1 close α:1".to_owned(), true, true),
            ("β down".to_owned(), false, false),
        ]
    );
}

#[tokio::test]
async fn half_a_close_is_an_event() {
    let records = traced(async |net| {
        let (alpha, beta) = (net.new_host("α").await?, net.new_host("β").await?);
        let listener = alpha.listen(":10").await?;
        let (mut accepted, mut dialed) = tokio::try_join!(listener.accept(), beta.dial("α:10"))?;
        dialed.write_all(b"xy").await.unwrap();
        dialed.shutdown().await.unwrap();
        dialed.shutdown().await.unwrap();
        accepted.read_to_end(&mut Vec::new()).await.unwrap();
        let (_read, write) = accepted.into_split();
        drop(write);
        drop(dialed);
        Ok(())
    })
    .await;
    let events = events(&records);
    let shutdowns: Vec<&String> = events.iter().filter(|e| e.contains("shutdown")).collect();
    assert_eq!(shutdowns, ["β:1 shutdown α:1", "α:1 shutdown β:1"]);
    let written = records.iter().find_map(|record| match record.what {
        What::Shutdown { written: w, .. } => Some(w),
        _ => None,
    });
    assert_eq!(written, Some(2));
}

#[tokio::test]
async fn the_blanks_of_a_mark_are_folded() {
    let records = traced(async |net| {
        net.new_host("α").await?.mark(" a \t b\n\u{a0}c ");
        Ok(())
    })
    .await;
    let marked = records.iter().find_map(|record| match &record.what {
        What::Mark { text: x, .. } => Some(x.as_str()),
        _ => None,
    });
    assert_eq!(marked, Some("a b c"));
}

#[tokio::test]
async fn asking_a_closing_collector_is_an_error() {
    let dir = NetworkDir::random().unwrap();
    let socket = UnixListener::bind(dir.path().join("trace.sock")).unwrap();
    let collector = std::thread::spawn(move || {
        let (stream, _) = socket.accept().unwrap();
        // The hello, and what is asked.
        BufReader::new(stream).lines().take(2).for_each(drop);
    });
    let tracing = Tracing::of(dir.path()).unwrap().unwrap();
    let asking = tracing.socket.ask("α mark x", None);
    let asked = tokio::time::timeout(Duration::from_secs(20), asking).await;
    let error = asked.expect("it waits for ever").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    collector.join().unwrap();
}

/// A socket's address holds 108 bytes, a path any number.
#[test]
fn a_collector_is_reached_by_a_long_path() {
    let network = NetworkDir::random().unwrap();
    let dir = network.path().join("x".repeat(120));
    std::fs::create_dir(&dir).unwrap();
    let open = File::open(&dir).unwrap();
    let short = format!("/proc/self/fd/{}/trace.sock", open.as_raw_fd());
    let _socket = UnixListener::bind(short).unwrap();
    assert!(Tracing::of(&dir).unwrap().is_some());
}
