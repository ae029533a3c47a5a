//! A scenario's life: its network and its collector, from the first to the last.
//!
//! Owns the directory, the threads, and the order in which they begin and end. What the test does
//! meanwhile is `scenario`'s.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lonet::__private::NetworkDir;
use lonet::trace::{SOCKET_NAME, Tracing};
use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::collector::query::{Effect, End, Query, Report};
use crate::collector::{Analyst, Door, Reader};
use crate::deadline::{self, GRACE};
use crate::error::{Error, ErrorKind};
use crate::process::launch::Entrance;
use crate::process::limits;
use crate::process::wire::CONTROL_SOCKET;
use crate::report::artifacts;
use crate::scenario::{Inner, Scenario};

/// A scenario that runs.
pub(crate) struct Session {
    scenario: Scenario,
    directory: NetworkDir,
    reader: JoinHandle<()>,
    analyst: JoinHandle<()>,
}

impl Session {
    /// A fresh network, with its collector.
    pub(crate) fn start(
        test: &str,
        entrance: Entrance,
        starts_processes: bool,
    ) -> Result<Session, Error> {
        limits::raise_descriptors();
        let directory = NetworkDir::random()
            .map_err(|cause| Error::new(ErrorKind::Network, cause.to_string()))?;
        let path = directory.path().to_owned();
        let doors = vec![
            (Door::Trace, bind(&directory, SOCKET_NAME)?),
            (Door::Control, bind(&directory, CONTROL_SOCKET)?),
        ];
        let (reader, mailbox, heard) = Reader::new(doors)?;
        let reader = std::thread::Builder::new()
            .name("lonet-reader".into())
            .spawn(move || reader.run())?;
        // The first to connect, so that its events are those of process 0.
        let tracing = Tracing::asked_elsewhere(&path)?
            .ok_or_else(|| io::Error::other("the trace socket is there and can't be reached"))?;
        let analyst = Analyst::new(mailbox.clone(), tracing.reporter.clone(), &path);
        let analyst = std::thread::Builder::new()
            .name("lonet-analyst".into())
            .spawn(move || analyst.run(&heard, starts_processes))?;
        let name = directory.name().to_owned();
        let inner = Inner::new(
            path,
            name,
            mailbox,
            tracing,
            artifacts::place(test),
            entrance,
        );
        let scenario = Scenario {
            inner: Arc::new(inner),
        };
        Ok(Session {
            scenario,
            directory,
            reader,
            analyst,
        })
    }

    /// A handle.
    pub(crate) fn scenario(&self) -> Scenario {
        self.scenario.clone()
    }

    /// Stops what still runs, and ends everything. What there is to say of all.
    pub(crate) fn end(self) -> Report {
        let Session {
            scenario,
            directory,
            reader,
            analyst,
        } = self;
        let inner = &scenario.inner;
        stop_leftovers(inner);
        let report = inner.report();
        inner.mailbox.end();
        // Neither thread panics but by our own mistake, which has been shown then.
        let _ = reader.join();
        let _ = analyst.join();
        let keep = std::env::var_os("LONET_KEEP").is_some_and(|keep| keep == "1");
        if keep {
            let path = directory.path().display().to_string();
            match directory.keep() {
                Ok(()) => eprintln!("the network's directory is kept: {path}"),
                Err(error) => eprintln!("the network's directory is not kept: {error}"),
            }
        }
        report.unwrap_or_else(|_| Report::default())
    }
}

/// Binds a socket in a directory whose path may be longer than a socket's address can hold, and may
/// lead elsewhere by now.
fn bind(directory: &NetworkDir, name: &str) -> io::Result<UnixListener> {
    UnixListener::bind(directory.reach().join(name))
}

/// Asks what still runs to finish, and kills what does not.
fn stop_leftovers(inner: &Inner) {
    let Ok(report) = inner.report() else { return };
    let running: Vec<u64> = report
        .nodes
        .iter()
        .filter(|n| n.ended.is_none())
        .map(|n| n.process)
        .collect();
    if running.is_empty() {
        return;
    }
    let grace = deadline::scaled(GRACE).unwrap_or(GRACE);
    for &process in &running {
        inner.mailbox.ask(Query::Terminate { process });
    }
    let left = wait(inner, &running, grace);
    for &process in &left {
        let (reply, _) = oneshot::channel();
        let signal = Signal::SIGKILL as i32;
        inner.mailbox.ask(Query::Signal {
            process,
            signal,
            until: Effect::Killed,
            reply,
        });
    }
    // Should that not do, the supervisor's end will.
    wait(inner, &left, Duration::from_secs(5));
}

/// Waits for the end of processes; those that have not ended by then.
fn wait(inner: &Inner, processes: &[u64], patience: Duration) -> Vec<u64> {
    let until = Instant::now() + patience;
    let mut ends: Vec<(u64, std::sync::mpsc::Receiver<End>)> = Vec::new();
    for &process in processes {
        let (reply, end) = std::sync::mpsc::channel();
        inner.mailbox.ask(Query::Ended { process, reply });
        ends.push((process, end));
    }
    let still = |end: &std::sync::mpsc::Receiver<End>| {
        end.recv_timeout(until.saturating_duration_since(Instant::now()))
            .is_err()
    };
    ends.into_iter()
        .filter(|(_, end)| still(end))
        .map(|(process, _)| process)
        .collect()
}
