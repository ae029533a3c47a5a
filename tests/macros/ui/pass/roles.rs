//! Roles of all kinds, in a crate that forbids more than most.
#![forbid(unsafe_code)]
#![deny(
    warnings,
    unused,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    unused_results
)]

use std::collections::BTreeMap;

use lonet::Host;
use lonet_harness::{Result, Role};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Config {
    peers: BTreeMap<String, u16>,
}

/// A type named as this file's only role for hosts.
type Node = Host;

/// The module's own error.
#[derive(Debug)]
struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("lost")
    }
}

impl std::error::Error for Lost {}

#[lonet::host]
async fn nothing(_: Host) {}

/// A documented one.
#[lonet::host(worker_threads = 2)]
async fn patterns(
    mut host: Node,
    (a, mut b): (u8, u8),
    _: Config,
    mut to: String,
) -> Result<String> {
    host = host.clone();
    let _ = host;
    b += 1;
    to += &format!("{a}{b}");
    Ok(to)
}

#[lonet::host]
async fn forever(host: Host) -> ! {
    let _ = host;
    std::future::pending().await
}

#[lonet::host]
async fn plain(_: Host, plain: Config) -> Option<u16> {
    plain.peers.into_values().next()
}

#[lonet::host]
async fn of_io(_: Host) -> std::io::Result<()> {
    Ok(())
}

#[lonet::host]
async fn own_error(_: Host, argument_1: u8, host: u8) -> std::result::Result<u8, Lost> {
    if host == 0 { Err(Lost) } else { Ok(argument_1) }
}

#[lonet::host]
async fn text_error(_: Host) -> std::result::Result<(), &'static str> {
    Err("no")
}

#[lonet::host]
#[allow(unused_variables)]
async fn r#loop(_: Host, r#type: u8) {}

#[cfg(any())]
#[lonet::host]
async fn not_there(_: NoSuchType) {}

#[lonet::host]
#[cfg(any())]
async fn not_there_either(_: NoSuchType) {}

#[lonet::host]
#[cfg(unix)]
async fn there(_: Host) {}

/// Names that generated code might have taken are still the module's.
const LONET_ENTRY: u8 = 1;

#[lonet::host]
async fn outer_names(_: Host, arguments: u8, json: u8) -> u8 {
    LONET_ENTRY + arguments + json
}

// Nor do they get in the way of roles that are called like them.
#[lonet::host]
async fn host(host: Host, json: u8) -> u8 {
    let _ = host;
    json
}

#[lonet::host]
async fn json(_: Host, arguments: u8) -> u8 {
    arguments
}

#[lonet::host]
async fn arguments(_: Host, arguments: u8, argument_0: u8) -> u8 {
    arguments + argument_0
}

mod inner {
    use lonet::Host;

    #[lonet::host]
    pub(crate) async fn visible(_: Host) -> u8 {
        1
    }
}

macro_rules! role {
    ($name:ident, $ty:ty, $threads:literal) => {
        #[lonet::host(worker_threads = $threads)]
        async fn $name(_: Host, value: $ty) -> $ty {
            value
        }
    };
}

role!(from_a_macro, Vec<u8>, 2);

fn main() {
    #[lonet::host]
    async fn in_a_function(_: Host) -> u8 {
        1
    }

    let config = || Config {
        peers: BTreeMap::new(),
    };
    let _: Role<()> = nothing();
    let _: Role<String> = patterns((1, 2), config(), String::new());
    let _: Role<()> = forever();
    let _: Role<Option<u16>> = plain(config());
    let _: Role<()> = of_io();
    let _: Role<u8> = own_error(1, 2);
    let _: Role<()> = text_error();
    let _: Role<()> = r#loop(1);
    let _: Role<()> = there();
    let _: Role<u8> = outer_names(1, 2);
    let _: [Role<u8>; 3] = [host(1), json(1), arguments(1, 2)];
    let _: Role<u8> = inner::visible();
    let _: Role<u8> = in_a_function();
    let _: Role<Vec<u8>> = from_a_macro(vec![]);
}
