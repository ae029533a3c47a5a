//! `Trace`: events with their order, as a test sees them.
//!
//! Owns the public queries and assertions. The modules beside this one answer them; `report` writes
//! the text of a failure.

use std::borrow::Cow;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use lonet::trace::{Event, EventId, InView, Verb};

use crate::error::{Error, ErrorKind};
use crate::trace::check::decide::Mode;
use crate::trace::cut::Cut;
use crate::trace::expected::pattern::Pattern;
use crate::trace::explain::diagnosis::{Advice, Mismatch};
use crate::trace::explain::in_order::in_order;
use crate::trace::explain::together::never_together;
use crate::trace::happened::graph::Graph;
use crate::trace::scope::{View, verbs_in};
use crate::trace::update::learning::Learning;
use crate::trace::update::source::{Expected, Source};
use crate::trace::write::text;
use crate::trace::write::turns::{self, Seen};

/// Events of a scenario and their happens-before order: the causal past of the task that called
/// [`Scenario::trace`](crate::Scenario::trace).
///
/// The default view contains `listen`, `dial`, `accept`, `connect`, `fail`, `close`, `mark`, and
/// what the scenario did except `spawn`.
///
/// Cheap to clone. `Display` writes the trace as an expected trace that it matches.
#[derive(Clone)]
pub struct Trace {
    pub(crate) cut: Cut,
    /// How a mismatch is told, if more is known than the trace.
    teller: Option<Teller>,
    /// Where an update takes note of it, if more turns of the test follow.
    learning: Option<Arc<Learning>>,
}

/// Words a mismatch.
pub(crate) type Teller =
    Arc<dyn Fn(&Mismatch) -> String + Send + Sync + UnwindSafe + RefUnwindSafe>;

impl Trace {
    /// The causal past of a record, without the record itself; empty if the record is not there.
    pub(crate) fn past(graph: Arc<Graph>, at: EventId) -> Trace {
        Trace::of(Cut::past(graph, at))
    }

    /// Everything that was reported.
    pub(crate) fn whole(graph: Arc<Graph>) -> Trace {
        Trace::of(Cut::whole(graph))
    }

    pub(crate) fn of(cut: Cut) -> Trace {
        Trace {
            cut,
            teller: None,
            learning: None,
        }
    }

    pub(crate) fn told_by(mut self, teller: Teller) -> Trace {
        self.teller = Some(teller);
        self
    }

    pub(crate) fn learned_by(mut self, learning: Option<Arc<Learning>>) -> Trace {
        self.learning = learning;
        self
    }

    fn tell(&self, mismatch: &Mismatch) -> String {
        match &self.teller {
            Some(tell) => tell(mismatch),
            None => mismatch.to_string(),
        }
    }

    pub(crate) fn with_view(mut self, change: impl FnOnce(&mut View)) -> Trace {
        self.cut = self.cut.with_view(change);
        self
    }

    /// The events of the view, ordered by time; causes come before effects.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("ready");
    /// let trace = scenario.trace();
    /// assert_eq!(trace.events()[0].to_string(), "α mark ready");
    /// # Ok(()) }
    /// ```
    pub fn events(&self) -> &[Event] {
        self.cut.events()
    }

    /// Whether `a` happened before `b` in this run: a chain of causes leads from `a` to `b`.
    ///
    /// Another run may order the two differently, for example if a read gets its bytes in two
    /// pieces, or a task waits for two things at once. An expected trace demands only the order that
    /// holds in every run.
    ///
    /// An event does not happen before itself. Returns false for an event that was reported after
    /// this trace was taken. For events of another scenario the result is unspecified.
    ///
    /// # Examples
    ///
    /// See [`Scenario::trace`](crate::Scenario::trace).
    pub fn happens_before(&self, a: &Event, b: &Event) -> bool {
        match (self.cut.graph.node(a.id()), self.cut.graph.node(b.id())) {
            (Some(a), Some(b)) => self.cut.graph.reaches_in_run(a, b),
            _ => false,
        }
    }

    /// Whether two different events are concurrent in this run: neither happened before the other.
    ///
    /// Returns false for an event that was reported after this trace was taken. For events of
    /// another scenario the result is unspecified.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    /// tokio::spawn(async move { alpha.mark("one") });
    /// tokio::spawn(async move { beta.mark("two") });
    /// scenario.until("α mark one").await?;
    /// scenario.until("β mark two").await?;
    /// let trace = scenario.trace();
    /// assert!(trace.concurrent(&trace.events()[0], &trace.events()[1]));
    /// # Ok(()) }
    /// ```
    pub fn concurrent(&self, a: &Event, b: &Event) -> bool {
        match (self.cut.graph.node(a.id()), self.cut.graph.node(b.id())) {
            (Some(a), Some(b)) => {
                let ordered = |a, b| self.cut.graph.reaches_in_run(a, b);
                a != b && !ordered(a, b) && !ordered(b, a)
            }
            _ => false,
        }
    }

    /// Keeps only events with these verbs.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// let _listener = alpha.listen(":10").await?;
    /// alpha.mark("ready");
    /// let marks = scenario.trace().only_verbs(&[lonet_harness::Verb::Mark]);
    /// marks.assert("α mark ready");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn only_verbs(self, verbs: &[Verb]) -> Trace {
        self.with_view(|view| view.verbs = verbs.iter().copied().collect())
    }

    /// Keeps only events of these hosts. A fault between hosts is kept if it names one of them, or all
    /// others (`_`).
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("one");
    /// scenario.host("β").await?.mark("two");
    /// scenario.trace().only_hosts(&["β"]).assert("β mark two");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn only_hosts(self, hosts: &[&str]) -> Trace {
        self.with_view(|view| view.hosts = Some(hosts.iter().map(|&h| h.to_owned()).collect()))
    }

    /// Adds `spawn`, `up`, `down` and `exit` events to the view.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let _alpha = scenario.host("α").await?;
    /// scenario.trace().with_lifecycle().assert("α up");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_lifecycle(self) -> Trace {
        self.with_view(|view| view.verbs.extend(verbs_in(InView::Lifecycle)))
    }

    /// Adds `shutdown`, `send` and `recv` events to the view. The trace has `send` and `recv` events
    /// only if the scenario [records them](crate::Scenario::record_data).
    ///
    /// # Examples
    ///
    /// See [`Scenario::record_data`](crate::Scenario::record_data).
    #[must_use]
    pub fn with_data(self) -> Trace {
        self.with_view(|view| view.verbs.extend(verbs_in(InView::Data)))
    }

    /// The number of events in the view that match `pattern`, one line of an expected trace.
    ///
    /// # Errors
    ///
    /// An error of kind [`Pattern`](crate::ErrorKind::Pattern) if the pattern is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// alpha.mark("entry 1");
    /// alpha.mark("entry 2");
    /// assert_eq!(scenario.trace().count("α mark entry _")?, 2);
    /// # Ok(()) }
    /// ```
    pub fn count(&self, pattern: &str) -> Result<usize, Error> {
        Ok(self.find_all(pattern)?.len())
    }

    /// The first event of the view, by time, that matches `pattern`, one line of an expected trace.
    ///
    /// # Errors
    ///
    /// An error of kind [`Pattern`](crate::ErrorKind::Pattern) if the pattern is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("leader term=3");
    /// let trace = scenario.trace();
    /// let leader = trace.find("_ mark leader _")?.expect("one leads");
    /// assert_eq!(leader.host(), "α");
    /// # Ok(()) }
    /// ```
    pub fn find(&self, pattern: &str) -> Result<Option<&Event>, Error> {
        let pattern = wanted(pattern)?;
        Ok(self.events().iter().find(|event| pattern.matches(event)))
    }

    /// The events of the view that match `pattern`, one line of an expected trace, ordered by time.
    ///
    /// # Errors
    ///
    /// An error of kind [`Pattern`](crate::ErrorKind::Pattern) if the pattern is invalid.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// alpha.mark("term 1");
    /// alpha.mark("term 2");
    /// let trace = scenario.trace();
    /// let texts: Vec<&str> = trace.find_all("α mark term _")?.iter().map(|e| e.text()).collect();
    /// assert_eq!(texts, ["term 1", "term 2"]);
    /// # Ok(()) }
    /// ```
    pub fn find_all(&self, pattern: &str) -> Result<Vec<&Event>, Error> {
        let pattern = wanted(pattern)?;
        let events = self.events().iter();
        Ok(events.filter(|event| pattern.matches(event)).collect())
    }

    /// Asserts that the events of the view match the expected trace: each event has one line, and no
    /// effect stands above its cause. With `UPDATE_EXPECT=1`, an `expect![[…]]` or
    /// `expect_file![…]` that does not match is rewritten instead.
    ///
    /// # Panics
    ///
    /// If they don't match; the message explains the mismatch.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("ready");
    /// scenario.trace().assert("α mark ready");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn assert(&self, expected: impl Expected) {
        if let Err(mismatch) = self.check(expected) {
            panic!("{}", self.tell(&mismatch));
        }
    }

    /// Checks that the events of the view match the expected trace; rewrites it as
    /// [`assert`](Trace::assert) does.
    ///
    /// # Errors
    ///
    /// The mismatch.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("ready");
    /// assert!(scenario.trace().check("α mark ready\n α mark done").is_err());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn check(&self, expected: impl Expected) -> Result<(), Mismatch> {
        let place = Location::caller();
        let checked = self.check_source(&expected.source());
        checked.map_err(|mismatch| mismatch.at(place))
    }

    pub(crate) fn check_source(&self, source: &Source<'_>) -> Result<(), Mismatch> {
        if source.updates() {
            return self.update(source);
        }
        let text = self.text_of(source)?;
        self.cut.check_text(&text, source.advice())
    }

    /// The first run that asks a place settles what it says; it must hold of the others as it is.
    /// Within a test whose body runs several times, the last turn does.
    fn update(&self, source: &Source<'_>) -> Result<(), Mismatch> {
        let advice = || Advice::Part(source.place());
        if let Some(settled) = source.settled() {
            return self.cut.check_text(&settled, advice());
        }
        let old = self.cut.parsed(&self.text_of(source)?)?;
        if let Some(learning) = &self.learning {
            learning.note(source, old, self.cut.clone());
            return Ok(());
        }
        let new = turns::agreed(&old, &[Seen::of(&self.cut)])
            .map_err(|_| Mismatch::unusable(&self.cut, "no text of it holds of it".to_owned()))?;
        let settled = source
            .settle(&old.source, new.as_deref())
            .map_err(|why| Mismatch::unusable(&self.cut, why))?;
        match settled {
            Some(settled) => self.cut.check_text(&settled, advice()),
            None => Ok(()),
        }
    }

    fn text_of<'s>(&self, source: &'s Source<'_>) -> Result<Cow<'s, str>, Mismatch> {
        source
            .text()
            .map_err(|why| Mismatch::unusable(&self.cut, why))
    }

    /// Asserts that the lines match some of the events of the view, in an order that causality
    /// allows.
    ///
    /// # Panics
    ///
    /// If they don't match; the message explains the mismatch.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// alpha.mark("one");
    /// alpha.mark("two");
    /// scenario.trace().assert_contains("α mark two");
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn assert_contains(&self, expected: impl Expected) {
        if let Err(mismatch) = self.check_contains(expected) {
            panic!("{}", self.tell(&mismatch));
        }
    }

    /// Checks that the lines match some of the events of the view. Never rewrites them.
    ///
    /// # Errors
    ///
    /// The mismatch.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("ready");
    /// assert!(scenario.trace().check_contains("α mark done").is_err());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn check_contains(&self, expected: impl Expected) -> Result<(), Mismatch> {
        let place = Location::caller();
        let source = expected.source();
        let text = source.text_as_it_is();
        let text = text.map_err(|why| Mismatch::unusable(&self.cut, why));
        let parsed = text.and_then(|text| self.cut.parsed(&text));
        let checked = parsed.and_then(|parsed| self.cut.check_parsed(&parsed, Mode::Some));
        checked.map_err(|mismatch| mismatch.at(place))
    }

    /// Asserts that these events happened in this order.
    ///
    /// [`assert`](Trace::assert) accepts concurrent events in any order. This demands the order, even
    /// if no cause that lonet sees orders the events.
    ///
    /// # Panics
    ///
    /// If they did not; the message says which.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    /// alpha.mark("stored x=1");
    /// beta.mark("acknowledged x=1");
    /// scenario.trace().assert_order(
    ///     "α mark stored x=1
    ///      β mark acknowledged x=1",
    /// );
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn assert_order(&self, lines: &str) {
        if let Err(mismatch) = self.check_order(lines) {
            panic!("{}", self.tell(&mismatch));
        }
    }

    /// Checks that these events happened in this order.
    ///
    /// Each line must match exactly one event of the causal past, whatever the view. Each event must
    /// have happened after the event of the line above: by causality or, if the two are concurrent
    /// (lonet sees no channels and mutexes), by the clock, which all processes share.
    ///
    /// # Errors
    ///
    /// A line matches no event or several, or two events happened in the other order.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let alpha = scenario.host("α").await?;
    /// alpha.mark("one");
    /// alpha.mark("two");
    /// assert!(scenario.trace().check_order("α mark two\n α mark one").is_err());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn check_order(&self, lines: &str) -> Result<(), Mismatch> {
        let place = Location::caller();
        let checked = self.cut.parsed(lines).and_then(|parsed| {
            let plain = parsed.without_blocks("an order");
            plain.map_err(|error| Mismatch::syntax(&self.cut, error))?;
            in_order(&self.cut, &parsed)
        });
        checked.map_err(|mismatch| mismatch.at(place))
    }

    /// Asserts that two kinds of interval never overlap, in any order that this run allows.
    ///
    /// Each kind is two patterns: of what begins it, and of what ends it (see `check_never_together`).
    ///
    /// # Panics
    ///
    /// If two intervals could overlap, even if they did not in this run, or if a pattern is invalid.
    ///
    /// # Examples
    ///
    /// β leads only after it has waited for α's end:
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    /// alpha.mark("leader 1");
    /// alpha.mark("follows 1");
    /// scenario.until("α mark follows 1").await?;
    /// beta.mark("leader 2");
    /// scenario.trace().never_together(
    ///     ("α mark leader _", "α mark follows _"),
    ///     ("β mark leader _", "β mark follows _"),
    /// );
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn never_together(&self, one: (&str, &str), other: (&str, &str)) {
        if let Err(mismatch) = self.check_never_together(one, other) {
            panic!("{}", self.tell(&mismatch));
        }
    }

    /// Checks that two kinds of interval never overlap, in any order that this run allows.
    ///
    /// An interval lasts from an event that matches the first pattern to the next event that matches
    /// the second, by the clock; if none follows, it does not end. If the host of the second pattern
    /// is `_`, the end is an event of the host that began the interval. A variable stands for the
    /// same in all four patterns, and two host variables are two hosts.
    ///
    /// Two intervals could overlap unless one's end happens before the other's start in every run.
    /// It looks at all events of the causal past, whatever the view.
    ///
    /// # Errors
    ///
    /// Two intervals could overlap, or a pattern is invalid.
    ///
    /// # Examples
    ///
    /// Two leaders of one term, on any two hosts:
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let (alpha, beta) = (scenario.host("α").await?, scenario.host("β").await?);
    /// alpha.mark("leader term=1");
    /// alpha.mark("follows term=1");
    /// // lonet does not see what orders two tasks.
    /// tokio::spawn(async move { beta.mark("leader term=1") }).await?;
    /// scenario.until("β mark leader _").await?;
    /// let checked = scenario.trace().check_never_together(
    ///     ("$a mark leader term=$t", "$a mark follows _"),
    ///     ("$b mark leader term=$t", "$b mark follows _"),
    /// );
    /// assert!(checked.is_err());
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn check_never_together(
        &self,
        one: (&str, &str),
        other: (&str, &str),
    ) -> Result<(), Mismatch> {
        let place = Location::caller();
        never_together(&self.cut, one, other).map_err(|mismatch| mismatch.at(place))
    }

    /// What the processes reported that makes no sense. Of a test's own trace, it fails the test.
    pub fn problems(&self) -> &[String] {
        self.cut.graph.problems()
    }
}

/// The pattern of a query.
fn wanted(pattern: &str) -> Result<Pattern, Error> {
    Pattern::parse(pattern)
        .map_err(|error| Error::new(ErrorKind::Pattern, error.of_pattern(pattern)))
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::text(&self.cut.graph, self.cut.scope()))
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Trace {{")?;
        for line in self.to_string().lines() {
            writeln!(f, "    {line}")?;
        }
        f.write_str("}")
    }
}
