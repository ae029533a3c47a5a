//! A fault, as the analyst gets it.
//!
//! Owns what each fault orders the network to do, and its line. Pure. What a test says and what is
//! wrong with it is `scenario::fault`'s business, when a fault acts the analyst's.

use lonet::trace::{Does, Ends, Event, EventId, EventShape, Rule, Verb, What};

use crate::trace::Pattern;

/// A fault to be put into force, or to be set off by an event.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    /// No other fault of the scenario has it.
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) from: Side,
    pub(crate) to: Side,
    /// The size of both buffers of the sockets.
    pub(crate) window: Option<usize>,
    /// What sets it off; without it, it acts at once.
    pub(crate) at: Option<At>,
    /// What ends it.
    pub(crate) until: Option<Pattern>,
    /// Nothing fails if it never acts.
    pub(crate) may_not_fire: bool,
    /// Its event, if that has happened by now.
    pub(crate) event: Option<Event>,
    /// The process that a fault acts on which acts on one.
    pub(crate) process: Option<u64>,
}

/// The event that sets a fault off, that is held, or that ends a hold.
#[derive(Clone, Debug)]
pub(crate) struct At {
    /// As it was written.
    pub(crate) text: String,
    pub(crate) pattern: Pattern,
    pub(crate) shape: EventShape,
    pub(crate) nth: u64,
}

/// The ends on one side of a fault: as the network takes them, and as they were written.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) ends: Ends,
    pub(crate) text: String,
}

/// What a fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Partition,
    Cut,
    /// In microseconds.
    Delay(u64),
    Slice(u64),
    /// With a reset, or an EOF.
    Limit(u64, bool),
    Refuse,
    Reset,
    Vanish,
    Kill,
    Pause,
}

impl Side {
    /// The hosts that it names.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        let places: &[_] = match &self.ends {
            Ends::These(places) => places,
            Ends::Others => &[],
        };
        places.iter().map(|place| place.host.as_str())
    }
}

impl Kind {
    pub(crate) fn verb(self) -> Verb {
        match self {
            Kind::Partition => Verb::Partition,
            Kind::Cut => Verb::Cut,
            Kind::Delay(_) => Verb::Delay,
            Kind::Slice(_) => Verb::Slice,
            Kind::Limit(..) => Verb::Limit,
            Kind::Refuse => Verb::Refuse,
            Kind::Reset => Verb::Reset,
            Kind::Vanish => Verb::Vanish,
            Kind::Kill => Verb::Kill,
            Kind::Pause => Verb::Pause,
        }
    }

    /// Whether it acts on a process.
    pub(crate) fn is_of_process(self) -> bool {
        matches!(self, Kind::Vanish | Kind::Kill | Kind::Pause)
    }

    /// Whether it can end, other than with the scenario.
    pub(crate) fn heals(self) -> bool {
        !matches!(self, Kind::Reset | Kind::Vanish | Kind::Kill)
    }

    /// The words that follow its ends in its line.
    fn number(self) -> String {
        match self {
            Kind::Delay(micros) => format!(" {micros}us"),
            Kind::Slice(bytes) | Kind::Limit(bytes, _) => format!(" {bytes}"),
            _ => String::new(),
        }
    }
}

impl Injection {
    /// Its line.
    pub(crate) fn line(&self) -> String {
        let verb = self.kind.verb();
        match self.kind.is_of_process() {
            true => format!("! {verb} {}", self.from.text),
            false => format!("! {verb} {} {}", self.from.text, self.words()),
        }
    }

    fn words(&self) -> String {
        format!("{}{}", self.to.text, self.kind.number())
    }

    /// The event by which it begins. A reset has one a connection.
    pub(crate) fn begins(&self) -> What {
        let host = self.from.text.clone();
        let process = self.process.unwrap_or_default();
        match self.kind {
            Kind::Vanish => What::Vanish { host, process },
            Kind::Kill => What::Kill { host, process },
            Kind::Pause => What::Pause { host, process },
            kind => What::Fault {
                verb: kind.verb(),
                from: host,
                text: self.words(),
            },
        }
    }

    /// The event by which it ends.
    pub(crate) fn ends(&self) -> What {
        let host = self.from.text.clone();
        match self.kind {
            Kind::Pause => What::Resume {
                host,
                process: self.process.unwrap_or_default(),
            },
            _ => What::Fault {
                verb: Verb::Heal,
                from: host,
                text: self.to.text.clone(),
            },
        }
    }

    /// What the network is to do, once the fault has that event.
    pub(crate) fn rules(&self, event: Option<EventId>) -> Vec<Rule> {
        let (from, to) = (&self.from.ends, &self.to.ends);
        let rule = |from: &Ends, to: &Ends, does| Rule {
            fault: self.number,
            event,
            from: from.clone(),
            to: to.clone(),
            does,
            window: self.window,
        };
        let both = |does| vec![rule(from, to, does), rule(to, from, does)];
        let one = |does| vec![rule(from, to, does)];
        match self.kind {
            Kind::Partition => both(Does::Withhold),
            Kind::Reset => both(Does::Reset),
            Kind::Cut | Kind::Vanish => one(Does::Withhold),
            Kind::Delay(micros) => one(Does::Delay(micros)),
            Kind::Slice(bytes) => one(Does::Slice(bytes)),
            Kind::Limit(bytes, resets) => one(Does::Limit(bytes, resets)),
            Kind::Refuse => one(Does::Refuse),
            Kind::Kill | Kind::Pause => Vec::new(),
        }
    }

    /// Whether this host is among its ends.
    pub(crate) fn concerns(&self, host: &str) -> bool {
        let named = |ends: &Ends| match ends {
            Ends::These(places) => places.iter().any(|place| place.host == host),
            Ends::Others => false,
        };
        let others = |ends: &Ends| matches!(ends, Ends::Others);
        let (from, to) = (&self.from.ends, &self.to.ends);
        let outside = matches!(self.kind, Kind::Kill | Kind::Pause);
        named(from) || named(to) || (!outside && (others(from) || others(to)))
    }
}
