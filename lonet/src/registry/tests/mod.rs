//! Tests of the registry: what others leave behind, what they race for, what they wrote.

mod directories;
mod exposed;
mod hosts;
mod originals;

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{NetworkDir, Registry, random};
use crate::error::Cause;

/// A directory for temporary files of one test, removed when it is dropped.
struct Tmp(PathBuf);

impl Tmp {
    fn new() -> Tmp {
        let path = std::env::temp_dir().join(format!("lonet-test-{}", random::word()));
        fs::create_dir(&path).unwrap();
        Tmp(path)
    }

    fn base(&self) -> PathBuf {
        self.0.join("lonet")
    }

    fn dir(&self, name: &str) -> Arc<NetworkDir> {
        Arc::new(NetworkDir::open_in(&self.0, name).unwrap())
    }

    /// A subnetwork that has its OS address to itself.
    fn join(&self, name: &str) -> Member {
        Member::of(self.dir(name))
    }
}

impl Drop for Tmp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A registry with the listener whose address it bears.
struct Member {
    registry: Registry,
    osladdr: SocketAddrV4,
    _listener: TcpListener,
}

impl Member {
    fn of(dir: Arc<NetworkDir>) -> Member {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let osladdr = listening(&listener);
        Member {
            registry: Registry::open(dir, osladdr).unwrap(),
            osladdr,
            _listener: listener,
        }
    }

    fn announce(&self, host: &str) -> Result<(), Cause> {
        self.registry.announce(host)
    }

    fn withdraw(&self, host: &str) {
        self.registry.give_back(host);
        self.registry.withdraw();
    }
}

fn listening(listener: &TcpListener) -> SocketAddrV4 {
    match listener.local_addr().unwrap() {
        std::net::SocketAddr::V4(addr) => addr,
        std::net::SocketAddr::V6(addr) => panic!("{addr}"),
    }
}

/// An address where nobody listens, nor will: nobody else asks for a port of that IP address.
fn nobody() -> SocketAddrV4 {
    static CALLS: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, high, low, CALLS.fetch_add(1, Ordering::Relaxed));
    listening(&TcpListener::bind((ip, 0)).unwrap())
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
