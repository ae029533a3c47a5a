//! How the test's process starts its supervisor, and what it asks it to start.
//!
//! Owns the supervisor's descriptors: a control socket for standard input, and nothing of the
//! test's own standard streams, so that nothing that is left can hold them open. What follows
//! from what it says is the collector's business.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::supervisor::itself;
use super::ticket::{self, Ticket};
use super::wire::{Program, Text};
use crate::deadline;

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
}

/// Where a role's process can begin other than before `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// In the test of that name, as libtest knows it.
    Libtest(&'static str),
    /// At the beginning of `main`, which does nothing before.
    Main,
    /// Nowhere: `main` is the user's, and may do anything before it comes to the scenario.
    None,
}

impl Entrance {
    /// Whether a role is to come in there. What writes profiles is there only in `main`; and
    /// whoever needs C++ constructors that the linker has put behind ours says so.
    fn is_wanted(self) -> bool {
        let asked = std::env::var_os(ticket::IN_MAIN).is_some_and(|value| value == "1");
        let profiled = std::env::var_os("LLVM_PROFILE_FILE").is_some();
        (asked || profiled) && self != Entrance::None
    }
}

/// This binary, as a node that will show that ticket in that directory.
pub(crate) fn node(place: &Place<'_>, nonce: u64, directory: &Path, entrance: Entrance) -> Program {
    let in_main = entrance.is_wanted();
    let ticket = Ticket::Node {
        nonce,
        directory: directory.to_owned(),
        in_main,
    };
    let args = match entrance {
        Entrance::Libtest(test) if in_main => {
            let flags = ["--include-ignored", "--nocapture", "--test-threads=1"];
            let args = ["--exact", test].into_iter().chain(flags);
            args.map(text).collect()
        }
        _ => Vec::new(),
    };
    let mut env = environment(place);
    env.push((
        text(ticket::VARIABLE),
        Some(Text::from(&*ticket.to_value())),
    ));
    Program {
        program: text("/proc/self/exe"),
        arg0: std::env::args_os().next().map(|name| Text::from(&*name)),
        args,
        env,
        dir: None,
    }
}

/// Any program. Of the command, program, arguments, changes of the environment and working
/// directory count.
pub(crate) fn program(place: &Place<'_>, command: &Command) -> Program {
    let mut env = environment(place);
    // What the user says comes last, and holds.
    let changes = command.get_envs();
    env.extend(changes.map(|(name, value)| (Text::from(name), value.map(Text::from))));
    Program {
        program: Text::from(command.get_program()),
        arg0: None,
        args: command.get_args().map(Text::from).collect(),
        env,
        dir: command
            .get_current_dir()
            .map(|dir| Text::from(dir.as_os_str())),
    }
}

/// The same program, which stops before it begins.
pub(crate) fn stopped_at_start(mut program: Program) -> Program {
    let shell = ["-c", r#"kill -STOP $$; exec "$0" "$@""#].map(text);
    let told = std::mem::replace(&mut program.program, text("/bin/sh"));
    program.args = shell
        .into_iter()
        .chain([told])
        .chain(program.args)
        .collect();
    program
}

fn environment(place: &Place<'_>) -> Vec<(Text, Option<Text>)> {
    let temp: PathBuf = std::env::temp_dir();
    let mut env = vec![
        (text("LONET_NETWORK"), Some(text(place.network))),
        (text("LONET_HOST"), Some(text(place.host))),
        (text("TMPDIR"), Some(Text::from(temp.as_os_str()))),
    ];
    // In a PID namespace every scenario has the same pids.
    if let Some(Ok(profile)) = std::env::var_os("LLVM_PROFILE_FILE").map(|p| p.into_string()) {
        let unique = format!("%p-{}-{}", place.network, place.process);
        env.push((
            text("LLVM_PROFILE_FILE"),
            Some(text(&profile.replace("%p", &unique))),
        ));
    }
    env
}

fn text(text: &str) -> Text {
    Text::from(OsStr::new(text))
}
