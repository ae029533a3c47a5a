//! Every process of a scenario: all that is started, signalled and ended is so in this folder.
//! A map of:
//!
//! - [`ticket`]: what the environment of a re-executed copy of this binary says it is for;
//! - [`hook`]: what runs before `main` in such a copy;
//! - [`supervisor`]: the process whose children all others are, and that ends them;
//! - [`carrier`]: the parent of programs that know nothing of lonet;
//! - [`children`]: starting and reaping, as both do it;
//! - [`mark`]: by which all that came of a carried program is found;
//! - [`program`]: the moment in which a copy of this binary becomes a program;
//! - [`not_started`]: why a program could not be started;
//! - [`carrier`]: the process that answers the system calls of carried programs;
//! - [`parent`]: a process's end with the supervisor, where there is no namespace;
//! - [`orphans`]: what is left when the supervisor has died;
//! - [`init`]: the first process of the scenario's PID namespace, where there is one;
//! - [`child`]: a role, in a process of its own;
//! - [`terminate`]: the request to finish, as the role itself sees it;
//! - [`limits`]: what the system allows a process, and the sentence that names it;
//! - [`launch`]: how the test's process starts the supervisor;
//! - [`wire`]: the messages between these;
//! - [`output`]: what a node printed, bounded;
//! - [`backtrace`]: where a process is, as a debugger sees it;
//! - [`kernel_state`]: what it does, as the kernel sees it;
//! - [`stat`]: what the kernel lists of a process;
//! - [`tree`]: the processes of a node, and how a signal reaches them all.
//!
//! How a role begins is said once, in [`Entrance`].
//!
//! Knows no trace: what a process reports of the network is the collector's business.

pub(crate) mod backtrace;
mod carrier;
pub(crate) mod child;
mod children;
mod hook;
mod init;
pub(crate) mod kernel_state;
pub(crate) mod launch;
pub(crate) mod limits;
mod mark;
mod not_started;
pub(crate) mod orphans;
pub(crate) mod output;
mod parent;
mod program;
mod stat;
mod supervisor;
pub(crate) mod terminate;
pub(crate) mod ticket;
mod tree;
pub(crate) mod wire;

/// How a role begins in a process of its own. This is all that sets the three ways apart:
///
/// | way | of the roles of | arguments | the ticket | who plays it |
/// |---|---|---|---|---|
/// | `BeforeMain` | any program | none | `node:` | the hook, at once |
/// | `Libtest` | a `#[lonet::test]` | run that test, and it alone | `main:` | `run_test`, first of all |
/// | `Main` | a `#[lonet::main]` | none | `main:` | `run_main`, first of all |
///
/// A program offers one of them; the first is taken unless another is offered and wanted. In the
/// latter two the hook shows the ticket, and leaves what it is to play for `main`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// `main` is the user's, and may do anything before it comes to the scenario.
    BeforeMain,
    /// In the test of that name, as libtest knows it.
    Libtest(&'static str),
    /// At the beginning of `main`, which does nothing before.
    Main,
}

impl Entrance {
    /// The way that roles take where this one is offered. What writes profiles is there only in
    /// `main`; and a program that needs C++ constructors which the linker has put behind ours says so.
    fn taken(self) -> Entrance {
        let asked = std::env::var_os(ticket::IN_MAIN).is_some_and(|value| value == "1");
        let profiled = std::env::var_os("LLVM_PROFILE_FILE").is_some();
        match asked || profiled {
            true => self,
            false => Entrance::BeforeMain,
        }
    }

    /// What the process is started with.
    fn arguments(self) -> Vec<&'static str> {
        match self {
            Entrance::BeforeMain | Entrance::Main => Vec::new(),
            Entrance::Libtest(test) => {
                let flags = ["--include-ignored", "--nocapture", "--test-threads=1"];
                ["--exact", test].into_iter().chain(flags).collect()
            }
        }
    }

    /// Whether the hook leaves the role for `main`, as its ticket says.
    fn is_in_main(self) -> bool {
        self != Entrance::BeforeMain
    }
}

#[cfg(test)]
mod tests {
    use super::Entrance;

    #[test]
    fn a_role_begins_in_three_ways() {
        let libtest = Entrance::Libtest("a::b");
        assert_eq!(Entrance::BeforeMain.arguments(), [""; 0]);
        assert_eq!(Entrance::Main.arguments(), [""; 0]);
        assert_eq!(
            libtest.arguments().join(" "),
            "--exact a::b --include-ignored --nocapture --test-threads=1"
        );
        assert!(!Entrance::BeforeMain.is_in_main());
        assert!(libtest.is_in_main() && Entrance::Main.is_in_main());
    }
}
