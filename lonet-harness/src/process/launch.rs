//! How the test's process starts its supervisor, and what it asks it to start.
//!
//! Owns the supervisor's descriptors: a control socket for standard input, and nothing of the
//! test's own standard streams, so that nothing that is left can hold them open. What follows
//! from what it says is the collector's business.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Entrance;
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
    }
}

/// Any program. Of the command, program, arguments, changes of the environment and working
/// directory count.
pub(crate) fn program(place: &Place<'_>, command: &Command) -> Program {
    let clear = clears(&format!("{command:?}"));
    let mut env = match clear {
        true => Vec::new(),
        false => place.before.changes(),
    };
    env.extend(environment(place));
    // What the user says comes last, and holds.
    let changes = command.get_envs();
    env.extend(changes.map(|(name, value)| (Text::from(name), value.map(Text::from))));
    Program {
        program: Text::from(command.get_program()),
        is_role: false,
        arg0: None,
        args: command.get_args().map(Text::from).collect(),
        clear,
        env,
        dir: place.before.directory_for(command.get_current_dir()),
    }
}

/// Whether a command begins without an environment. The standard library tells of that only where
/// it shows the command as a shell's line, after the directory, if it has one.
fn clears(shown: &str) -> bool {
    let command = match shown.strip_prefix("cd \"") {
        None => shown,
        Some(rest) => {
            let mut escaped = false;
            let end = rest.find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            end.and_then(|end| rest[end + 1..].strip_prefix(" && "))
                .unwrap_or(rest)
        }
    };
    command.starts_with("env -i ")
}

/// What processes inherit from the supervisor: what the test's own process had when its scenario
/// began. What it has changed since, they are told.
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
    // A program may have another working directory.
    let temp = std::path::absolute(&temp).unwrap_or(temp);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_environment_is_known() {
        let check = |clears_it: bool, change: &dyn Fn(&mut Command)| {
            let mut command = Command::new("env -i prog");
            change(&mut command);
            let shown = format!("{command:?}");
            assert_eq!(clears(&shown), clears_it, "{shown}");
        };
        check(false, &|_| {});
        check(false, &|command| {
            command
                .current_dir("/α \" && env -i \\")
                .env("a", "b")
                .env_remove("c");
        });
        check(true, &|command| {
            command.env_clear();
        });
        check(true, &|command| {
            command
                .current_dir("/α \" && x\\")
                .env("a", "b")
                .env_clear()
                .env("c", "d");
        });
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
