//! [`Program`]: a program to spawn as a host, as a test describes it.
//!
//! Owns the description alone: `process::launch` prepares it, and the supervisor finds and starts
//! the program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// A program with its arguments. [`Scenario::spawn`](crate::Scenario::spawn) runs it as a host, in a
/// process of its own, and [`Node::join`](crate::Node::join) returns its exit status.
///
/// Any program will do, unchanged: lonet *carries* it, which means that its TCP goes through the
/// scenario's network. Inside it, each host has its name and ports are the program's own:
/// `db:6379`. `localhost` is its own host, and nothing else can be reached. Its events stand in the
/// trace, and faults act on it. `docs/programs.md` in the repository says what works, what does
/// not, and what the machine must allow.
///
/// The methods are those of [`std::process::Command`], but they take and return `self`. As there, a
/// name without a slash is searched for in `PATH`, and the program inherits the test's environment
/// and working directory. Its standard input is empty; [`Node::log`](crate::Node::log) returns its
/// output.
///
/// The program does not get the test's `LONET_*` and `*_proxy` variables, and
/// [`spawn`](crate::Scenario::spawn) returns once it has started: wait for `db:6379 listen`. For a
/// program that joins the network by itself, call [`joins`](Program::joins).
///
/// The host is up before the program starts, and ends with the process that was started: what that
/// has left running is killed. So keep a server in the foreground (nginx: `daemon off`, redis:
/// `--daemonize no`). Such a program must be a 64-bit executable, or a script of one, that can be read
/// and gains no privileges (set-uid, file capabilities). It can't be a container runtime, which would
/// start its programs outside of the scenario.
///
/// No exit status of a program fails the test.
///
/// # Examples
///
/// ```
/// # use lonet_harness::{Result, Scenario};
/// # #[lonet::main]
/// # async fn main(scenario: Scenario) -> Result<()> {
/// use lonet_harness::Program;
///
/// let program = Program::new("sh").args(["-c", "echo I am $NAME; exit 3"]).env("NAME", "α");
/// let node = scenario.spawn("α", program).await?;
/// node.until("α exit 3").await?;
/// assert_eq!(node.log(), "I am α\n");
/// assert_eq!(node.await?.code(), Some(3));
/// # Ok(()) }
/// ```
#[must_use = "a program does nothing until a scenario spawns it"]
#[derive(Clone, Debug)]
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    clear: bool,
    env: BTreeMap<OsString, Option<OsString>>,
    dir: Option<PathBuf>,
    joins: bool,
}

impl Program {
    /// The program with this name or path, without arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::Program;
    /// let from_path = Program::new("redis-server");
    /// let from_here = Program::new("./target/debug/server");
    /// # let _ = (from_path, from_here);
    /// ```
    pub fn new(program: impl AsRef<OsStr>) -> Program {
        Program {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            clear: false,
            env: BTreeMap::new(),
            dir: None,
            joins: false,
        }
    }

    /// Adds an argument.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::Program;
    /// let program = Program::new("redis-server").arg("--port").arg("6379");
    /// # let _ = program;
    /// ```
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::Program;
    /// let program = Program::new("redis-server").args(["--port", "6379"]);
    /// # let _ = program;
    /// ```
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Program {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        self.args.extend(args);
        self
    }

    /// Sets an environment variable.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::Program;
    /// let program = Program::new("server").env("RUST_LOG", "debug");
    /// # let _ = program;
    /// ```
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Program {
        let (name, value) = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.env.insert(name, Some(value));
        self
    }

    /// Removes an environment variable.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::Program;
    /// let program = Program::new("server").env_remove("RUST_LOG");
    /// # let _ = program;
    /// ```
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Program {
        self.env.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Removes all environment variables, including those set so far. A program that
    /// [joins](Program::joins) still gets its `LONET_*` variables.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::Program;
    /// let program = Program::new("/usr/bin/env").env_clear().env("ONLY", "this");
    /// # let _ = program;
    /// ```
    pub fn env_clear(mut self) -> Program {
        self.env.clear();
        self.clear = true;
        self
    }

    /// Sets the working directory. A relative path is relative to the test's working directory.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// use lonet_harness::Program;
    ///
    /// let program = Program::new("touch").arg("here").current_dir(scenario.data_dir("α"));
    /// assert!(scenario.spawn("α", program).await?.await?.success());
    /// assert!(scenario.data_dir("α").join("here").exists());
    /// # Ok(()) }
    /// ```
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Program {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Declares that the program joins the network by itself, with `lonet::from_env` or the Python
    /// package.
    ///
    /// The program gets the variables `LONET_NETWORK`, `LONET_HOST` and `TMPDIR`, and
    /// [`spawn`](crate::Scenario::spawn) returns when its host is up. Its sockets are its own: lonet
    /// does not carry it. It may also start another program that joins in its place.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// use lonet_harness::Program;
    ///
    /// let server = Program::new("python3").arg("server.py").joins();
    /// let node = scenario.spawn("α", server).await?; // α is up
    /// # Ok(()) }
    /// ```
    pub fn joins(mut self) -> Program {
        self.joins = true;
        self
    }

    pub(crate) fn program(&self) -> &OsStr {
        &self.program
    }

    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.args
    }

    /// Whether it starts with an empty environment.
    pub(crate) fn clears(&self) -> bool {
        self.clear
    }

    /// Changes of its environment; `None` removes a variable.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&OsStr, Option<&OsStr>)> {
        let changes = self.env.iter();
        changes.map(|(name, value)| (&**name, value.as_deref()))
    }

    pub(crate) fn directory(&self) -> Option<&Path> {
        self.dir.as_deref()
    }

    /// Whether its host comes up by what it does itself.
    pub(crate) fn is_to_join(&self) -> bool {
        self.joins
    }
}
