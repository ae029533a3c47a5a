//! Holding events: the order in which things reach the processes.
//!
//! Owns what may be held, the message for what may not, and the guards that let go. What is held when
//! is the collector's business.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use lonet::trace::{Event, EventShape, Verb};

use super::scenario::Scenario;
use crate::collector::fault::At;
use crate::collector::hold::{Holding, Patience};
use crate::collector::query::{NeverFires, Query};
use crate::deadline;
use crate::error::{Error, ErrorKind};
use crate::session::Inner;
use crate::trace::Pattern;
use crate::trace::expected::shape::{Unfit, event_shape, why_not_held, with_bytes};

/// How long nothing happens until it is clear that an expected event does not come: what is held does
/// not go on, so only timers and plain code can make something happen.
const QUIET: Duration = Duration::from_secs(2);

impl Scenario {
    /// Holds what comes to an event that matches `pattern`, before that event, until the [`Hold`] is
    /// released or dropped. When this returns, all processes obey.
    ///
    /// | pattern | held |
    /// |---|---|
    /// | `a:10 listen` | the call, before the port is open |
    /// | `a:_ dial b:10` | the request; the event is recorded before |
    /// | `b:_ accept a:_` | the dialer stays first in the queue; others may be accepted |
    /// | `a:_ connect b:_` | the answer |
    /// | `a:_ send b:_`, `a:_ shutdown b:_` | the write, before a byte leaves |
    /// | `b:_ recv a:_` | all that arrives: bytes, EOF, reset |
    ///
    /// What is held waits in its future; no thread is blocked, and a future that is dropped meanwhile
    /// has done nothing. Marks, drops and panics can't be held, and neither can the test's own process.
    /// The host must be one host by name; it may join later.
    ///
    /// # Errors
    ///
    /// The pattern is invalid, or names what can't be held ([`Pattern`](ErrorKind::Pattern)); the host's
    /// process does not obey, or is the test's own ([`Fault`](ErrorKind::Fault)).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing is held.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// #[lonet::host]
    /// async fn says_hello(host: lonet::Host) -> lonet_harness::Result<()> {
    ///     let listener = host.listen(":10").await?;
    ///     let mut stream = listener.accept().await?;
    ///     stream.write_all(b"hello").await?;
    ///     Ok(())
    /// }
    ///
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let greeting = scenario.hold("α:_ send β:_").await?;
    /// let alpha = scenario.spawn("α", says_hello()).await?;
    /// let beta = scenario.host("β").await?;
    /// scenario.until("α:10 listen").await?;
    /// let mut stream = beta.dial("α:10").await?;
    ///
    /// assert_eq!(greeting.reached().await?.to_string(), "α:1 send β:1 5");
    /// assert!(stream.try_read(&mut [0; 5]).is_err(), "nothing has left α");
    /// greeting.release().await?;
    /// let mut text = String::new();
    /// stream.read_to_string(&mut text).await?;
    /// assert_eq!(text, "hello");
    /// alpha.join().await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn hold(&self, pattern: &str) -> impl Future<Output = Result<Hold, Error>> {
        let place = Location::caller();
        let pattern = pattern.to_owned();
        async move {
            let hold = async {
                let at = holdable(&pattern, 0)?;
                let line = format!("hold {pattern}");
                self.held(line, Some(at), None, None).await.map(Hold)
            };
            self.inner.called(place, hold).await
        }
    }

    /// Holds what comes to an event that matches `then` until an event that matches `first` has
    /// happened. What can be held says [`hold`](Scenario::hold); `first` may be any event of one host.
    /// Only events from now on count.
    ///
    /// The trace does not say that the first happened before the other: that is this run's order, not
    /// the program's. [`Trace::assert_order`](crate::Trace::assert_order) sees it by the clock.
    ///
    /// If `first` can only happen after `then`, nothing goes on; the page that the test prints at its
    /// deadline names what is held.
    ///
    /// # Errors
    ///
    /// As [`hold`](Scenario::hold); and `first` comes after `then` in every run, such as the `connect` and
    /// the `accept` of one connection.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing is held.
    #[track_caller]
    pub fn order(&self, first: &str, then: &str) -> impl Future<Output = Result<Ordered, Error>> {
        let place = Location::caller();
        let (first, then) = (first.to_owned(), then.to_owned());
        async move {
            let ordered = self.ordered((&first, 1), (&then, 0), None);
            self.inner.called(place, ordered).await
        }
    }

    /// Holds everything that can be held, from now on: only what a call of [`Lockstep::expect`] names
    /// goes on. So a test decides the order of everything, step by step.
    ///
    /// # Errors
    ///
    /// The scenario is over.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing is held.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// #[lonet::host]
    /// async fn listens(host: lonet::Host) -> lonet::Result<()> {
    ///     let listener = host.listen(":10").await?;
    ///     drop(listener.accept().await?);
    ///     Ok(())
    /// }
    ///
    /// #[lonet::host]
    /// async fn dials(host: lonet::Host) -> lonet::Result<()> {
    ///     drop(host.dial("α:10").await?);
    ///     Ok(())
    /// }
    ///
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let mut lockstep = scenario.lockstep().await?;
    /// let alpha = scenario.spawn("α", listens()).await?;
    /// let beta = scenario.spawn("β", dials()).await?;
    /// lockstep.expect("α:10 listen").await?;
    /// lockstep.expect("β:1 dial α:10").await?;
    /// lockstep.expect("α:1 accept β:1").await?;
    /// lockstep.expect("β:1 connect α:1").await?;
    /// drop(lockstep);
    /// alpha.join().await?;
    /// beta.join().await?;
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn lockstep(&self) -> impl Future<Output = Result<Lockstep, Error>> {
        let place = Location::caller();
        async move {
            let held = self.held("lockstep".to_owned(), None, None, None);
            self.inner.called(place, held).await.map(Lockstep)
        }
    }

    /// The same as [`order`](Scenario::order), of the how-many-th match of each; 0 is every one.
    pub(crate) async fn ordered(
        &self,
        (first, nth): (&str, usize),
        (then, of): (&str, usize),
        patience: Option<Patience>,
    ) -> Result<Ordered, Error> {
        let at = holdable(then, of)?;
        let until = awaited(first, nth)?;
        if let Some(chain) = contradiction(&until.shape, &at.shape) {
            let message = format!("`{first}` can't come before `{then}`: {chain}");
            return Err(Error::new(ErrorKind::Pattern, message));
        }
        let line = format!("order {} before {}", until.text, at.text);
        let held = self.held(line, Some(at), Some(until), patience);
        held.await.map(Ordered)
    }

    async fn held(
        &self,
        line: String,
        at: Option<At>,
        until: Option<At>,
        patience: Option<Patience>,
    ) -> Result<Guard, Error> {
        let inner = &self.inner;
        let guard = Guard {
            inner: inner.clone(),
            hold: inner.next_fault(),
            line: line.clone(),
        };
        let holding = Box::new(Holding {
            number: guard.hold,
            line,
            at,
            until,
            patience,
        });
        let held = inner.ask(|reply| Query::Hold { holding, reply }).await?;
        held.map_err(|why| Error::new(ErrorKind::Fault, why))?;
        Ok(guard)
    }
}

/// The event that a pattern names; why there is none.
fn awaited(text: &str, nth: usize) -> Result<At, Error> {
    let refused = |why: String| Error::new(ErrorKind::Pattern, format!("`{text}`: {why}"));
    let (pattern, shape) = event_shape(text).map_err(|unfit| match unfit {
        Unfit::Syntax(error) => Error::new(ErrorKind::Pattern, error.of_pattern(text)),
        Unfit::Interference(verb) => refused(format!(
            "`! {verb}` is what the test itself does; legal is an event of a process"
        )),
        Unfit::NoHost => refused("its host must be one host by name".to_owned()),
        Unfit::Repeats(variable) => refused(format!(
            "${variable} stands twice, and who looks for the event compares no words; use `_`"
        )),
    })?;
    // Any number of bytes goes without saying.
    let is_data = matches!(shape.verb, Verb::Send | Verb::Recv);
    let said = text.strip_suffix(" _").filter(|_| is_data);
    Ok(At {
        text: said.unwrap_or(text).to_owned(),
        pattern,
        shape,
        nth: nth as u64,
    })
}

/// The same, of an event that can be held.
fn holdable(text: &str, nth: usize) -> Result<At, Error> {
    let mut awaited = awaited(text, nth)?;
    let verb = awaited.shape.verb;
    if let Some(why) = why_not_held(verb) {
        return Err(Error::new(ErrorKind::Pattern, format!("`{text}`: {why}")));
    }
    if matches!(verb, Verb::Send | Verb::Recv) {
        // How many bytes it moves is known only once it has happened.
        (awaited.shape.words, awaited.shape.more) = (Vec::new(), true);
    }
    Ok(awaited)
}

/// Why the first can't come before the other, in any run: by what a connection is.
fn contradiction(first: &EventShape, then: &EventShape) -> Option<String> {
    /// The dialer's host and port, the listener's host.
    fn connection(shape: &EventShape) -> Option<(&str, u16, &str, u8)> {
        let (host, port) = shape.peer.as_ref()?;
        let (own, other) = ((shape.host.as_str(), shape.port), (host.as_deref()?, *port));
        Some(match shape.verb {
            Verb::Dial => (own.0, own.1?, other.0, 0),
            Verb::Accept => (other.0, other.1?, own.0, 1),
            Verb::Connect => (own.0, own.1?, other.0, 2),
            _ => return None,
        })
    }
    let (late, early) = (connection(first)?, connection(then)?);
    let is_one = (late.0, late.1, late.2) == (early.0, early.1, early.2);
    let steps = ["dial", "accept", "connect"];
    (is_one && early.3 < late.3).then(|| {
        let chain = steps[usize::from(early.3)..=usize::from(late.3)].join("` → `");
        format!("of one connection, `{chain}` happen in this order")
    })
}

/// What stands behind every handle: when it is dropped, what it holds goes on.
struct Guard {
    inner: Arc<Inner>,
    hold: u32,
    line: String,
}

impl Guard {
    async fn reached(&self) -> Result<Event, Error> {
        let hold = self.hold;
        let event = self.inner.ask(|reply| Query::Reached { hold, reply });
        event.await?.map_err(never)
    }

    async fn release(self) -> Result<(), Error> {
        let hold = self.hold;
        self.inner
            .ask(|reply| Query::LetGo {
                hold,
                reply: Some(reply),
            })
            .await
    }
}

fn never(why: NeverFires) -> Error {
    match why {
        NeverFires::Failed(failure) => Error::from(failure),
        NeverFires::Quiet(why) => Error::new(ErrorKind::Fault, why),
        NeverFires::Nothing | NeverFires::Over => Error::over(),
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let hold = self.hold;
        self.inner.mailbox.ask(Query::LetGo { hold, reply: None });
    }
}

/// Events that are held, from [`Scenario::hold`]. Dropping it lets them happen.
#[must_use = "dropping it lets the events happen: bind it to a name, and `release` it"]
pub struct Hold(Guard);

impl Hold {
    /// Waits until something has come to such an event, and returns that event. It has not happened:
    /// it stands in no trace yet, except for a `dial`, whose request is held.
    ///
    /// # Errors
    ///
    /// A node has failed, and no `join` has returned that failure.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    #[track_caller]
    pub fn reached(&self) -> impl Future<Output = Result<Event, Error>> {
        self.0.inner.called(Location::caller(), self.0.reached())
    }

    /// Lets everything happen that is held, and returns once all processes know.
    ///
    /// # Errors
    ///
    /// The scenario is over.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the events happen all the same.
    #[track_caller]
    pub fn release(self) -> impl Future<Output = Result<(), Error>> {
        let place = Location::caller();
        async move {
            let inner = self.0.inner.clone();
            inner.called(place, self.0.release()).await
        }
    }
}

/// Two events that are ordered, from [`Scenario::order`]. Dropping it undoes that.
#[must_use = "dropping it undoes the order: bind it to a name"]
pub struct Ordered(Guard);

impl Ordered {
    /// Waits until the second event has been reached, and is or was held. It returns that event.
    ///
    /// # Errors
    ///
    /// A node has failed, and no `join` has returned that failure; the first event has happened, and
    /// nothing is held any more.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost.
    #[track_caller]
    pub fn reached(&self) -> impl Future<Output = Result<Event, Error>> {
        self.0.inner.called(Location::caller(), self.0.reached())
    }

    /// The number by which its outcome is asked for.
    pub(crate) fn number(&self) -> u32 {
        self.0.hold
    }
}

/// Everything is held, from [`Scenario::lockstep`]. Dropping it lets everything happen.
#[must_use = "dropping it lets everything happen: bind it to a name"]
pub struct Lockstep(Guard);

impl Lockstep {
    /// Waits until an event that matches `line` is about to happen, lets just that event happen, and
    /// returns it. What can't be held (a mark, a close) happens by itself; such an event is returned
    /// if no earlier call has returned it.
    ///
    /// # Errors
    ///
    /// It has not come, and nothing at all has happened for two seconds (scaled by `LONET_TIMEOUT`): the
    /// error ([`Fault`](ErrorKind::Fault)) names what is held instead, which stays held. The line is
    /// invalid ([`Pattern`](ErrorKind::Pattern)). A node has failed, and no `join` has returned that
    /// failure.
    ///
    /// # Cancel safety
    ///
    /// Not safe: the event may have been let go.
    #[track_caller]
    pub fn expect(&mut self, line: &str) -> impl Future<Output = Result<Event, Error>> {
        let place = Location::caller();
        let line = line.to_owned();
        async move {
            let Guard { inner, hold, .. } = &self.0;
            let expecting = async {
                let pattern = Pattern::parse(&with_bytes(&line))
                    .map_err(|error| Error::new(ErrorKind::Pattern, error.of_pattern(&line)))?;
                let (hold, pattern) = (*hold, Box::new(pattern));
                let quiet = deadline::scaled(QUIET)?;
                let event = inner.ask(|reply| Query::Expect {
                    hold,
                    text: line.clone(),
                    pattern,
                    quiet,
                    reply,
                });
                let event = event.await?.map_err(never)?;
                // An EOF that arrives has no record.
                if event.id().n > 0 {
                    inner.learn(event.id());
                }
                Ok(event)
            };
            inner.called(place, expecting).await
        }
    }

    /// The events that are held now, in the order in which they came. They have not happened.
    pub fn held(&self) -> Vec<Event> {
        let Guard { inner, hold, .. } = &self.0;
        let hold = *hold;
        let held = inner.ask_now(|reply| Query::HeldNow { hold, reply });
        held.unwrap_or_default()
    }
}

macro_rules! debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0.line).finish()
            }
        }
    )*};
}

debug!(Hold, Ordered, Lockstep);
