//! The functions that make faults, and the shapes of partitions that Jepsen's tests use.

use std::time::Duration;

use super::{Ends, Fault, What};

/// No bytes pass between `a` and `b`, in either direction, and no dial completes. Nothing is lost:
/// everything arrives, in order, when the partition heals.
///
/// The trace line is `! partition a b`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let leader_alone = fault::partition("n1", "_");
/// let two_sides = fault::partition(["n1", "n2"], ["n3", "n4", "n5"]);
/// ```
pub fn partition(a: impl Ends, b: impl Ends) -> Fault {
    Fault::new(What::Partition, a, b)
}

/// `to` receives nothing that `from` sends; the other direction is untouched. No dial completes in
/// either direction. Real TCP would stall the other direction, too, once the sender's window is full,
/// because no acknowledgement arrives.
///
/// The trace line is `! cut from to`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let no_answers = fault::cut("server", "client");
/// ```
pub fn cut(from: impl Ends, to: impl Ends) -> Fault {
    Fault::new(What::Cut, from, to)
}

/// Everything that `from` sends arrives at `to` later by `delay`, in order. A dial takes the delays
/// of both directions. Legal are 1 µs to 24 hours; fractions of a microsecond are cut off.
///
/// The trace line is `! delay from to 5000us`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// use std::time::Duration;
///
/// let far_away = fault::delay("a", "b", Duration::from_millis(5));
/// ```
pub fn delay(from: impl Ends, to: impl Ends, delay: Duration) -> Fault {
    Fault::new(What::Delay(delay), from, to)
}

/// Every write of `from` to `to`, and every read there, moves at most `bytes` bytes, and at least
/// one. Programs that expect a whole message from one read fail.
///
/// The trace line is `! slice from to 3`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let byte_by_byte = fault::slice("client", "server", 1);
/// ```
pub fn slice(from: impl Ends, to: impl Ends, bytes: usize) -> Fault {
    Fault::new(What::Slice(bytes), from, to)
}

/// `bytes` bytes of each connection arrive at `to`, then EOF; with [`Fault::reset`], a reset. The
/// writer sees the same as when its peer closes. A connection that has reached the limit stays ended
/// when the fault ends.
///
/// The trace line is `! limit from to 100`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let half_a_message = fault::limit("client", "server", 5);
/// ```
pub fn limit(from: impl Ends, to: impl Ends, bytes: usize) -> Fault {
    Fault::new(What::Limit(bytes), from, to)
}

/// Resets the connections that exist between `a` and `b`. Each end reads what had arrived, then
/// `ConnectionReset` once, then EOF. New connections are not affected.
///
/// Each connection has a trace line, for instance `! reset a:1 b:1`. Without such a connection,
/// `inject` fails; with [`Fault::at`], the test fails at its end.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// // The server applies the request, and its answer is lost.
/// let lost_answer = fault::reset("s", "c").at("s mark applied _");
/// ```
pub fn reset(a: impl Ends, b: impl Ends) -> Fault {
    Fault::new(What::Reset, a, b)
}

/// Dials from `from` to `to` are refused at once. Open connections, and dials that wait to be
/// accepted, are not affected.
///
/// The trace line is `! refuse from to`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let full = fault::refuse("_", "server");
/// ```
pub fn refuse(from: impl Ends, to: impl Ends) -> Fault {
    Fault::new(What::Refuse, from, to)
}

/// The host loses power: its process is killed, and its peers see neither an EOF nor a reset. When
/// the host is restarted, a peer that writes to an old connection gets an error; one that only reads
/// never learns of it.
///
/// The trace line is `! vanish host`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let power_loss = fault::vanish("primary").at("primary mark written _");
/// ```
pub fn vanish(host: impl Ends) -> Fault {
    Fault::new(What::Vanish, host, "_")
}

/// Kills the process that plays the host, as [`Node::kill`](crate::Node::kill) does. At an event
/// ([`Fault::at`]), nothing happens in the process after that event.
///
/// The trace line is `! kill host`.
///
/// # Examples
///
/// See [`Fault::at`].
pub fn kill(host: impl Ends) -> Fault {
    Fault::new(What::Kill, host, "_")
}

/// Stops the process that plays the host, as [`Node::pause`](crate::Node::pause) does. Ends with
/// [`Injected::heal`](super::Injected::heal) or [`Node::resume`](crate::Node::resume).
///
/// The trace line is `! pause host`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let stalls = fault::pause("leader").at("leader mark elected _");
/// ```
pub fn pause(host: impl Ends) -> Fault {
    Fault::new(What::Pause, host, "_")
}

/// One host alone: `partition(host, "_")`.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let alone = fault::isolate("n1");
/// ```
pub fn isolate(host: impl Ends) -> Fault {
    partition(host, "_")
}

/// The hosts in two halves that can't reach each other, in the order given. The second half is the
/// larger one of an odd number.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let minority_and_majority = fault::halves(["n1", "n2", "n3", "n4", "n5"]);
/// ```
pub fn halves(hosts: impl Ends) -> Fault {
    let mut first = hosts.ends();
    let second = first.split_off(first.len() / 2);
    partition(first, second)
}

/// Two halves that can't reach each other, and one host between them that reaches both: the middle
/// one in the order given.
///
/// # Examples
///
/// ```
/// # use lonet_harness::fault;
/// let around_n3 = fault::bridge(["n1", "n2", "n3", "n4", "n5"]);
/// ```
pub fn bridge(hosts: impl Ends) -> Fault {
    let mut first = hosts.ends();
    let mut second = first.split_off(first.len() / 2);
    // It is in neither.
    if !second.is_empty() {
        second.remove(0);
    }
    partition(first, second)
}

/// Every host receives from a majority of the hosts, and no two from the same majority: the hosts form
/// a ring, and each receives from those nearest to it. Returns one fault for each pair of hosts that is
/// to be separated: a [`partition`], or a [`cut`] where one of them receives from the other.
///
/// # Examples
///
/// ```
/// # use lonet_harness::{Result, Scenario};
/// # use lonet_harness::fault;
/// # async fn test(scenario: Scenario) -> Result<()> {
/// let mut ring = Vec::new();
/// for fault in fault::majorities_ring(["n1", "n2", "n3", "n4", "n5"]) {
///     ring.push(scenario.inject(fault).await?);
/// }
/// # Ok(()) }
/// ```
pub fn majorities_ring(hosts: impl Ends) -> Vec<Fault> {
    let hosts = hosts.ends();
    let count = hosts.len();
    let majority = count / 2 + 1;
    // The host at the middle of each stretch of so many hears that stretch.
    let hears = |own: usize, other: usize| {
        let first = (own + count - majority / 2) % count;
        (other + count - first) % count < majority
    };
    let mut faults = Vec::new();
    for a in 0..count {
        for b in a + 1..count {
            let (one, other) = (hosts[a].as_str(), hosts[b].as_str());
            faults.extend(match (hears(a, b), hears(b, a)) {
                (true, true) => None,
                (false, false) => Some(partition(one, other)),
                (false, true) => Some(cut(other, one)),
                (true, false) => Some(cut(one, other)),
            });
        }
    }
    faults
}
