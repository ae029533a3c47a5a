//! How the test's process starts its supervisor, and what it asks it to start.
//!
//! Owns the supervisor's descriptors: a control socket for standard input, and nothing of the
//! test's own standard streams, so that nothing that is left can hold them open. What follows
//! from what it says is the collector's business.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::Entrance;
use super::children::itself;
use super::ticket::{self, Ticket};
use super::wire::{Carried, Program, Text};
use crate::deadline;
use crate::program::Program as Described;

/// Starts the supervisor. It ends, and with it all that it started, when the socket is closed.
pub(crate) fn supervisor() -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut supervisor = itself();
    if deadline::suspended() {
        // gdb does not see the threads of another PID namespace well.
        supervisor.env(super::supervisor::NAMESPACE, "0");
    }
    let child = supervisor
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .env(ticket::VARIABLE, Ticket::Supervisor.to_value())
        .spawn()?;
    Ok((child, ours))
}

/// What every process of a scenario finds in its environment.
pub(crate) struct Place<'a> {
    pub(crate) network: &'a str,
    pub(crate) host: &'a str,
    /// The number of the process in its scenario.
    pub(crate) process: u64,
    /// The names of hosts that a program can resolve.
    pub(crate) names: &'a [String],
    /// What the supervisor has inherited.
    pub(crate) before: &'a Inherited,
}

/// This binary, as a node that will show that ticket in that directory.
pub(crate) fn node(place: &Place<'_>, nonce: u64, directory: &Path, entrance: Entrance) -> Program {
    let taken = entrance.taken();
    let ticket = Ticket::Node {
        nonce,
        directory: directory.to_owned(),
        in_main: taken.is_in_main(),
    };
    let mut env = place.before.changes();
    env.extend(environment(place));
    env.push((
        text(ticket::VARIABLE),
        Some(Text::from(&*ticket.to_value())),
    ));
    Program {
        program: text("/proc/self/exe"),
        is_role: true,
        arg0: std::env::args_os().next().map(|name| Text::from(&*name)),
        args: taken.arguments().into_iter().map(text).collect(),
        clear: false,
        env,
        dir: place.before.directory_for(None),
        carried: None,
    }
}

/// Any program.
pub(crate) fn program(place: &Place<'_>, of: &Described) -> Program {
    let mut env = match of.clears() {
        true => Vec::new(),
        false => place.before.changes(),
    };
    if of.is_to_join() {
        env.extend(environment(place));
    } else {
        // A program that knows nothing of lonet must not take its variables for its own, and what
        // a proxy would fetch is not on the network.
        env.extend(place.before.withheld());
        env.extend(profile(place));
    }
    // What the user says comes last, and holds.
    let changes = of.changes();
    env.extend(changes.map(|(name, value)| (Text::from(name), value.map(Text::from))));
    Program {
        program: Text::from(of.program()),
        is_role: false,
        arg0: None,
        args: of
            .arguments()
            .iter()
            .map(|arg| Text::from(&**arg))
            .collect(),
        clear: of.clears(),
        env,
        dir: place.before.directory_for(of.directory()),
        carried: (!of.is_to_join()).then(|| {
            Box::new(Carried {
                process: place.process,
                network: place.network.to_owned(),
                host: place.host.to_owned(),
                names: place.names.to_vec(),
                descriptors: None,
            })
        }),
    }
}

/// What processes inherit from the supervisor: what the test's own process had when its scenario
/// began. Later changes are sent to them.
pub(crate) struct Inherited {
    env: BTreeMap<OsString, OsString>,
    directory: Option<PathBuf>,
}

impl Inherited {
    /// As it is now.
    pub(crate) fn now() -> Inherited {
        Inherited {
            env: std::env::vars_os().collect(),
            directory: std::env::current_dir().ok(),
        }
    }

    /// The variables that are another's by now.
    fn changes(&self) -> Vec<(Text, Option<Text>)> {
        let Inherited { env: now, .. } = Inherited::now();
        let gone = self.env.keys().filter(|name| !now.contains_key(*name));
        let gone = gone.map(|name| (Text::from(&**name), None));
        let new = now
            .iter()
            .filter(|(name, value)| self.env.get(*name) != Some(*value));
        let new = new.map(|(name, value)| (Text::from(&**name), Some(Text::from(&**value))));
        gone.chain(new).collect()
    }

    /// The variables, then and now, that only a program that joins may see: removed.
    fn withheld(&self) -> Vec<(Text, Option<Text>)> {
        let Inherited { env: now, .. } = Inherited::now();
        let names: BTreeSet<&OsString> = self.env.keys().chain(now.keys()).collect();
        let withheld = names.into_iter().filter(|name| is_withheld(name));
        withheld.map(|name| (Text::from(&**name), None)).collect()
    }

    /// Where a process begins that is to begin there, seen from the test's process.
    fn directory_for(&self, wanted: Option<&Path>) -> Option<Text> {
        let now = std::env::current_dir().ok();
        let moved = now.filter(|now| self.directory.as_ref() != Some(now));
        let directory = match (moved, wanted) {
            (None, None) => return None,
            (None, Some(wanted)) => wanted.to_owned(),
            (Some(moved), None) => moved,
            (Some(moved), Some(wanted)) => moved.join(wanted),
        };
        Some(Text::from(directory.as_os_str()))
    }
}

/// `LONET_HOST`, `http_proxy`, `NO_PROXY` and the like.
fn is_withheld(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b"LONET_") || name.to_ascii_lowercase().ends_with(b"_proxy")
}

/// The same program, which stops before it begins.
pub(crate) fn stopped_at_start(mut program: Program) -> Program {
    let shell = ["-c", r#"kill -STOP $$; exec "$0" "$@""#].map(text);
    let original = std::mem::replace(&mut program.program, text("/bin/sh"));
    program.args = shell
        .into_iter()
        .chain([original])
        .chain(program.args)
        .collect();
    program
}

fn environment(place: &Place<'_>) -> Vec<(Text, Option<Text>)> {
    let temp: PathBuf = std::env::temp_dir();
    // A program may have another working directory.
    let temp = std::path::absolute(&temp).unwrap_or(temp);
    let mut env = vec![
        (text("LONET_NETWORK"), Some(text(place.network))),
        (text("LONET_HOST"), Some(text(place.host))),
        (text("TMPDIR"), Some(Text::from(temp.as_os_str()))),
    ];
    env.extend(profile(place));
    env
}

/// Where its profile is to be written: in a PID namespace every scenario has the same pids.
fn profile(place: &Place<'_>) -> Option<(Text, Option<Text>)> {
    const VARIABLE: &str = "LLVM_PROFILE_FILE";
    let profile = std::env::var_os(VARIABLE)?.into_string().ok()?;
    let unique = format!("%p-{}-{}", place.network, place.process);
    let profile = profile.replace("%p", &unique);
    Some((text(VARIABLE), Some(text(&profile))))
}

fn text(text: &str) -> Text {
    Text::from(OsStr::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_lonet_and_of_proxies_are_withheld() {
        let withheld = |name: &str| is_withheld(OsStr::new(name));
        for name in [
            "LONET_HOST",
            "LONET_TIMEOUT",
            "http_proxy",
            "ALL_PROXY",
            "No_Proxy",
        ] {
            assert!(withheld(name), "{name}");
        }
        for name in [
            "LONETTE",
            "MY_LONET_HOST",
            "proxy",
            "proxy_pass",
            "HTTP_PROXY_PORT",
        ] {
            assert!(!withheld(name), "{name}");
        }
    }

    #[test]
    fn what_has_changed_is_told() {
        let mut before = Inherited::now();
        assert_eq!(before.changes(), []);
        assert_eq!(before.directory_for(None), None);
        before.env.insert("lonet-gone".into(), "1".into());
        let (name, value) = before.env.pop_first().expect("an environment");
        let gone = (text("lonet-gone"), None);
        let new = (Text::from(&*name), Some(Text::from(&*value)));
        assert_eq!(before.changes(), [gone, new]);

        let here = before
            .directory
            .replace("/no/such".into())
            .expect("a directory");
        let seen = |wanted| before.directory_for(wanted).map(OsString::from);
        assert_eq!(seen(None), Some(here.clone().into()));
        assert_eq!(seen(Some(Path::new("a"))), Some(here.join("a").into()));
        assert_eq!(seen(Some(Path::new("/a"))), Some("/a".into()));
    }
}
