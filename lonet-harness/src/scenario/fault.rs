//! Faults: what a test does to the network and to its processes.
//!
//! A fault names hosts: present, future and restarted ones.
//! [`Scenario::inject`](crate::Scenario::inject) puts it into force, at once or at an exact event
//! ([`Fault::at`]), and returns an [`Injected`], which ends the fault when it is
//! [healed](Injected::heal) or dropped.
//!
//! ```
//! # use lonet_harness::{Result, Scenario};
//! use lonet_harness::fault;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[lonet::main]
//! # async fn main(scenario: Scenario) -> Result<()> {
//! let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
//! let listener = alpha.listen(":10").await?;
//! let (dialed, accepted) = tokio::join!(beta.dial("α:10"), listener.accept());
//! let (mut dialed, mut accepted) = (dialed?, accepted?);
//!
//! let partition = scenario.inject(fault::partition("α", "β")).await?;
//! dialed.write_all(b"late").await?; // into the kernel's buffers, as ever
//! partition.heal().await?;
//! let mut bytes = [0; 4];
//! accepted.read_exact(&mut bytes).await?;
//! assert_eq!(&bytes, b"late");
//! # Ok(()) }
//! ```
//!
//! # What each end sees
//!
//! | fault | while it is in force | when it ends |
//! |---|---|---|
//! | [`partition`] | Reads return what had arrived, then pend, even if the peer closes or dies. Writes fill the buffers, then pend. Dials pend. | Everything arrives in order; pending dials continue. |
//! | [`cut`] | The same, in one direction. No dial completes in either direction. | The same. |
//! | [`delay`] | Every byte, EOF and reset arrives later by this time, in order. A dial takes both directions' delays. | What is under way arrives at once. |
//! | [`slice`](slice()) | Every read and every write moves at most n bytes. | |
//! | [`limit`] | n bytes of a connection arrive, then EOF; with [`Fault::reset`], a reset. | Stays for connections that it has ended. |
//! | [`reset`] | Both ends: reads return what had arrived, then `ConnectionReset` once, then EOF; writes fail. | |
//! | [`refuse`] | Dials are refused at once. Connections stay. | |
//! | [`vanish`] | The host is killed, and its peers see neither an EOF nor a reset. | At `restart`: then writes of its peers fail. |
//! | [`kill`], [`pause`] | The same as [`Node::kill`](crate::Node::kill) and [`Node::pause`](crate::Node::pause). | At `restart`; at `resume`. |
//!
//! A stream never has a gap: bytes are late, or the connection is dead. To a program that uses TCP, a
//! lost, duplicated or reordered packet is a delay or a reset.
//!
//! # A fault must act
//!
//! A test fails at its end if one of its faults never withheld, delayed, cut short or refused anything,
//! or was never set off: it would have passed without the fault, too. [`Fault::may_not_fire`] turns
//! this off.

mod plan;
mod words;

pub use super::injected::Injected;
pub use words::{
    bridge, cut, delay, halves, isolate, kill, limit, majorities_ring, partition, pause, refuse,
    reset, slice, vanish,
};

use std::time::Duration;

/// A fault, to be injected by [`Scenario::inject`](crate::Scenario::inject). The functions of
/// [this module](self) make one.
#[derive(Clone, Debug)]
#[must_use = "a fault does nothing until it is passed to `Scenario::inject`"]
pub struct Fault {
    what: What,
    from: Vec<String>,
    to: Vec<String>,
    at: Option<String>,
    nth: Option<usize>,
    until: Option<String>,
    window: Option<usize>,
    resets: bool,
    may_not_fire: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Partition,
    Cut,
    Delay(Duration),
    Slice(usize),
    Limit(usize),
    Refuse,
    Reset,
    Vanish,
    Kill,
    Pause,
}

/// The ends on one side of a fault: a host (`"p"`), several (`["p", "q"]`), one end (`"p:1"`), or
/// `"_"`, which stands for all hosts that the other side does not name.
pub trait Ends: sealed::Ends {}

mod sealed {
    pub trait Ends {
        fn ends(self) -> Vec<String>;
    }
}

macro_rules! ends {
    ($([$($generic:tt)*] $type:ty => |$own:ident| $ends:expr;)*) => {$(
        impl<$($generic)*> Ends for $type {}
        impl<$($generic)*> sealed::Ends for $type {
            fn ends(self) -> Vec<String> {
                let $own = self;
                $ends
            }
        }
    )*};
}

fn owned<E: AsRef<str>>(ends: &[E]) -> Vec<String> {
    ends.iter().map(|end| end.as_ref().to_owned()).collect()
}

ends! {
    [] &str => |end| vec![end.to_owned()];
    [] String => |end| vec![end];
    [] &String => |end| vec![end.clone()];
    [E: AsRef<str>, const N: usize] [E; N] => |ends| owned(&ends);
    [E: AsRef<str>, const N: usize] &[E; N] => |ends| owned(ends);
    [E: AsRef<str>] &[E] => |ends| owned(ends);
    [E: AsRef<str>] Vec<E> => |ends| owned(&ends);
    [E: AsRef<str>] &Vec<E> => |ends| owned(ends);
}

impl Fault {
    fn new(what: What, from: impl Ends, to: impl Ends) -> Fault {
        Fault {
            what,
            from: from.ends(),
            to: to.ends(),
            at: None,
            nth: None,
            until: None,
            window: None,
            resets: false,
            may_not_fire: false,
        }
    }

    /// The fault begins at the next event that matches `pattern`, before any process can see that
    /// event's effect. [`inject`](crate::Scenario::inject) returns once the fault is armed.
    ///
    /// The event must be one of a host of the fault, given by name, for instance `"s:_ send c:_"`.
    /// A pattern with `send` or `recv` turns on the recording of data in that host's process. The
    /// n-th `send` is not the n-th message: TLS and HTTP/2 write more than messages. A mark is
    /// exact: `"s mark applied _"`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// use lonet_harness::{ErrorKind, fault};
    ///
    /// #[lonet::host]
    /// async fn counts(host: lonet::Host) {
    ///     for n in 1.. {
    ///         host.mark(&format!("counted {n}"));
    ///         tokio::task::yield_now().await;
    ///     }
    /// }
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let kill = fault::kill("α").at("α mark counted 3");
    /// let kill = scenario.inject(kill).await?;
    /// let node = scenario.spawn("α", counts()).await?;
    /// kill.fired().await?;
    /// assert_eq!(node.join().await.unwrap_err().kind(), ErrorKind::Killed);
    /// scenario.assert_trace(
    ///     "
    ///     α mark counted 1
    ///     α mark counted 2
    ///     α mark counted 3
    ///     ! kill α
    ///     ",
    /// );
    /// # Ok(()) }
    /// ```
    pub fn at(mut self, pattern: &str) -> Fault {
        self.at = Some(pattern.to_owned());
        self
    }

    /// The fault begins at the n-th event that matches [`at`](Fault::at), counted from 1 and from
    /// `inject` on, in each process that plays the host.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::fault;
    /// let second = fault::kill("α").at("α mark counted _").nth(2);
    /// ```
    pub fn nth(mut self, n: usize) -> Fault {
        self.nth = Some(n);
        self
    }

    /// The fault ends at the first event that matches `pattern` and happens while it is in force.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::fault;
    /// let gives_up = fault::partition("a", "_").until("a mark follower _");
    /// ```
    pub fn until(mut self, pattern: &str) -> Fault {
        self.until = Some(pattern.to_owned());
        self
    }

    /// Sets the size of the send and receive buffers of the connections that the fault acts on, so
    /// that a writer to an end that reads nothing soon waits. With default buffers it can write
    /// several megabytes first.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::fault;
    /// let narrow = fault::cut("a", "b").window(4096);
    /// ```
    pub fn window(mut self, bytes: usize) -> Fault {
        self.window = Some(bytes);
        self
    }

    /// A [`limit`] ends the connection with a reset instead of an EOF.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::fault;
    /// let torn = fault::limit("a", "b", 100).reset();
    /// ```
    pub fn reset(mut self) -> Fault {
        self.resets = true;
        self
    }

    /// The test does not fail if the fault never acts.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::fault;
    /// let perhaps = fault::partition("a", "b").may_not_fire();
    /// ```
    pub fn may_not_fire(mut self) -> Fault {
        self.may_not_fire = true;
        self
    }
}

#[cfg(test)]
mod tests;
