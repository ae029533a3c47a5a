//! `Trace`: events with their order, as a test sees them.
//!
//! Owns the public questions and assertions. How they are answered is the business of the modules
//! below this one, of which none knows it: they look at its `Cut`. How a failure reads is that of
//! `report`.

use std::borrow::Cow;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use lonet::trace::{Event, EventId, InView, Verb};

use crate::error::{Error, ErrorKind};
use crate::trace::check::decide::Mode;
use crate::trace::cut::Cut;
use crate::trace::expected::pattern::Pattern;
use crate::trace::explain::diagnosis::{Advice, Mismatch};
use crate::trace::explain::in_order::in_order;
use crate::trace::happened::graph::Graph;
use crate::trace::scope::{View, verbs_in};
use crate::trace::update::learning::Learning;
use crate::trace::update::source::{Expected, Source};
use crate::trace::write::text;
use crate::trace::write::turns::{self, Seen};

/// Events of a scenario with their happens-before order: the causal past of whoever asked for it,
/// in the default view (listen, dial, accept, connect, fail, close, mark, and what the scenario
/// did, `spawn` apart).
///
/// Cheap to clone. Its `Display` is its text, as it happened: an expectation that holds of it.
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
    /// The causal past of a record, without itself. Of a record that is not there: nothing.
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

    /// The events of the view as they happened: by the clock, causes before effects.
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

    /// Whether `a` happened before `b` in this run: there is a chain of causes from one to the other.
    /// In another run there may be none, where a read got its bytes in two pieces, or a task waited
    /// for two things at once; an expected trace demands only what holds in every run. An event does
    /// not happen before itself. False of an event that this trace knows nothing of: one reported later. Of
    /// another scenario's events there is no telling.
    pub fn happens_before(&self, a: &Event, b: &Event) -> bool {
        match (self.cut.graph.node(a.id()), self.cut.graph.node(b.id())) {
            (Some(a), Some(b)) => self.cut.graph.reaches_in_run(a, b),
            _ => false,
        }
    }

    /// Whether neither happened before the other in this run, and they are not the same event. False, too, of an
    /// event that this trace knows nothing of: one reported later. Of another scenario's events
    /// there is no telling.
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

    /// Only events with these verbs.
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

    /// Only events of these hosts.
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

    /// With `spawn`, `up`, `down` and `exit`, too.
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

    /// With `shutdown`, `send` and `recv`, too. Sent and received data is only in the trace if the
    /// scenario [records it](crate::Scenario::record_data).
    #[must_use]
    pub fn with_data(self) -> Trace {
        self.with_view(|view| view.verbs.extend(verbs_in(InView::Data)))
    }

    /// How many events of the view match a line of an expected trace.
    ///
    /// # Errors
    ///
    /// Of kind [`Pattern`](crate::ErrorKind::Pattern): the pattern is not such a line.
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

    /// The first event of the view, as they happened, that matches a line of an expected trace.
    ///
    /// # Errors
    ///
    /// Of kind [`Pattern`](crate::ErrorKind::Pattern): the pattern is not such a line.
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

    /// The events of the view, as they happened, that match a line of an expected trace.
    ///
    /// # Errors
    ///
    /// Of kind [`Pattern`](crate::ErrorKind::Pattern): the pattern is not such a line.
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

    /// Asserts that the expectation holds of the events of the view: each has its line, and no
    /// effect stands above its cause. With `UPDATE_EXPECT=1`, an `expect![[…]]` or
    /// `expect_file![…]` that doesn't hold is rewritten instead.
    ///
    /// # Panics
    ///
    /// When it doesn't hold, with the page that says why.
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

    /// Whether the expectation holds of the events of the view; rewrites it as
    /// [`assert`](Trace::assert) does.
    ///
    /// # Errors
    ///
    /// Why it doesn't.
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
    pub fn check(&self, expected: impl Expected) -> Result<(), Mismatch> {
        self.check_source(&expected.source())
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

    /// Asserts that the lines hold of some of the events of the view.
    ///
    /// # Panics
    ///
    /// When they don't, with the page that says why.
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

    /// Whether the lines hold of some of the events of the view. Nothing is ever rewritten.
    ///
    /// # Errors
    ///
    /// Why they don't.
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
    pub fn check_contains(&self, expected: impl Expected) -> Result<(), Mismatch> {
        let source = expected.source();
        let text = source.text_as_it_is();
        let text = text.map_err(|why| Mismatch::unusable(&self.cut, why))?;
        self.cut.check_parsed(&self.cut.parsed(&text)?, Mode::Some)
    }

    /// Asserts that these events happened in this order. An expected trace only rejects what can't
    /// be; this demands an order, also where nothing that lonet sees makes it.
    ///
    /// # Panics
    ///
    /// When they didn't, with the page that says why.
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

    /// Whether these events happened in this order: each line matches exactly one event of the past,
    /// in all views, and each happened after that of the line above, by this run's causes or, where
    /// there are none (a channel, a mutex, another task), by the clock that all processes share.
    ///
    /// # Errors
    ///
    /// Which line matches no event or several, and which; or which two happened the other way round.
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
    pub fn check_order(&self, lines: &str) -> Result<(), Mismatch> {
        let parsed = self.cut.parsed(lines)?;
        parsed
            .without_blocks("an order")
            .map_err(|error| Mismatch::syntax(&self.cut, error))?;
        in_order(&self.cut, &parsed)
    }

    /// What the processes reported that makes no sense. Of a test's own trace, it fails the test.
    pub fn problems(&self) -> &[String] {
        self.cut.graph.problems()
    }
}

/// What a question is about.
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
