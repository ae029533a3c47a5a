//! What a test holds: which operations have come to it, and when they go on.
//!
//! Owns the state of each hold from `hold` to its end; `lockstep`, which of all that is held goes on next.
//! The holds are part of the orders to each process (`faults`); a process says what comes to them, and
//! what goes on.

mod lockstep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use lonet::trace::{
    Coming, Event, EventId, Hold as Order, InView, Parts, Subject, Text, Verb, now,
};
use tokio::sync::oneshot;

use self::lockstep::Expecting;
use super::faults::Next;
use super::{Analyst, Failure, index};
use crate::collector::fault::At;
use crate::collector::hold::{Holding, Kept, Outcome};
use crate::collector::node::Node;
use crate::collector::query::NeverFires;

/// See the module.
#[derive(Default)]
pub(super) struct Holds {
    all: BTreeMap<u32, Hold>,
    /// What is held, by process and its number there.
    comings: BTreeMap<(usize, u64), Came>,
    /// What may go on though it is held.
    passes: BTreeSet<(usize, u64)>,
    expecting: Option<Expecting>,
    /// What has happened while everything is held, and no `expect` has returned.
    loose: VecDeque<Event>,
    /// When the last event was recorded, or came to a hold.
    news: Option<Instant>,
}

struct Hold {
    holding: Holding,
    stands: bool,
    /// What has come to it first.
    reached: Option<Event>,
    on_reached: Vec<oneshot::Sender<Result<Event, NeverFires>>>,
    /// How often the event that ends it has happened.
    seen: u64,
    since: Option<Instant>,
    kept: Kept,
}

/// An operation that is held.
struct Came {
    event: Event,
    holds: Vec<u32>,
    /// Its event was recorded before.
    is_recorded: bool,
    /// No record will follow: an EOF or a reset has arrived.
    leaves_no_record: bool,
}

impl Hold {
    /// Why nothing will have come to it.
    fn nothing_came(&self) -> NeverFires {
        let line = &self.holding.line;
        NeverFires::Quiet(match &self.holding.until {
            Some(first) => format!("`{line}` held nothing: `{}` has happened", first.text),
            None => format!("`{line}` held nothing, and is over"),
        })
    }

    fn holds_for(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// When it is given up, if nothing happens until then; and whether for that reason. A process that
    /// is starting is about to do something.
    fn given_up_at(&self, news: Option<Instant>, is_starting: bool) -> Option<(Instant, bool)> {
        let (patience, since) = (self.holding.patience?, self.since?);
        let quiet = news.map_or(since, |news| news.max(since)) + patience.quiet;
        let most = since + patience.most;
        self.stands.then_some(match quiet < most && !is_starting {
            true => (quiet, true),
            false => (most, false),
        })
    }
}

impl Analyst {
    /// What a process is ordered to hold.
    pub(super) fn holds_of(&self, at: usize) -> Vec<Order> {
        if at == 0 {
            return Vec::new();
        }
        let stand = self.holds.all.values().filter(|hold| hold.stands);
        let order = |hold: &Hold| Order {
            hold: hold.holding.number,
            event: hold.holding.at.as_ref().map(|at| at.shape.clone()),
            nth: hold.holding.at.as_ref().map_or(0, |at| at.nth),
        };
        stand.map(order).collect()
    }

    /// Whether a hold ends with what is sent or received.
    pub(super) fn holds_ask_for_data(&self) -> bool {
        let holds = self.holds.all.values();
        let mut untils = holds.filter_map(|hold| hold.holding.until.as_ref());
        untils.any(|until| until.shape.verb.rules().view == InView::Data)
    }

    /// The held operations of a process that may go on.
    pub(super) fn passes_of(&self, at: usize) -> Vec<u64> {
        let passes = self.holds.passes.range((at, 0)..=(at, u64::MAX));
        passes.map(|&(_, op)| op).collect()
    }

    /// From now on these events are held; answered once all processes obey.
    pub(super) fn hold(&mut self, holding: Holding, reply: oneshot::Sender<Result<(), String>>) {
        if let Err(why) = self.check_hold(&holding) {
            let _ = reply.send(Err(why));
            return;
        }
        if holding.at.is_none() {
            self.holds.loose.clear();
        }
        let hold = Hold {
            stands: true,
            reached: None,
            on_reached: Vec::new(),
            seen: 0,
            since: None,
            kept: Kept::NeverCame,
            holding,
        };
        self.holds.all.insert(hold.holding.number, hold);
        let seq = self.order_all();
        self.then(seq, Next::Held(reply));
        self.progress();
    }

    fn check_hold(&self, holding: &Holding) -> Result<(), String> {
        if self.is_over() {
            return Err("the scenario is over".to_owned());
        }
        let line = &holding.line;
        let Some(at) = &holding.at else {
            if self.lockstep().is_some() {
                return Err("a lockstep stands, which holds everything: drop it first".to_owned());
            }
            return self.check_obeys(line, |_| true);
        };
        self.check_playable(line, &at.shape.host)?;
        self.check_obeys(line, |host| host == at.shape.host)?;
        let goes_on_a_stream = matches!(at.shape.verb, Verb::Send | Verb::Shutdown | Verb::Recv);
        self.check_followed(line, |own, other| {
            goes_on_a_stream
                && at.shape.is(&Parts {
                    verb: at.shape.verb,
                    subject: Subject::Address(own),
                    peer: Some(other),
                    text: Text::Nothing,
                })
        })
    }

    /// The line of a hold that stands and concerns a host.
    pub(super) fn hold_of(&self, host: &str) -> Option<&str> {
        let mut stand = self.holds.all.values().filter(|hold| hold.stands);
        let concerns = |hold: &&Hold| {
            let at = hold.holding.at.as_ref();
            at.is_none_or(|at| at.shape.host == host)
        };
        stand.find(concerns).map(|hold| hold.holding.line.as_str())
    }

    /// Something has come to an event that is held.
    pub(super) fn hear_comes(&mut self, at: usize, coming: Coming) {
        let Coming {
            op,
            holds,
            verb,
            addr,
            peer,
            n,
            bytes,
        } = coming;
        let parts = Parts {
            verb,
            subject: Subject::Address(&addr),
            peer: peer.as_ref(),
            text: match verb {
                Verb::Send | Verb::Recv => Text::Bytes(bytes.unwrap_or(0)),
                _ => Text::Nothing,
            },
        };
        let process = index(at);
        let id = EventId::from((process, n.unwrap_or(0)));
        let event = Event::of_parts(id, now(), &parts);
        for hold in &holds {
            let Some(hold) = self.holds.all.get_mut(hold) else {
                continue;
            };
            hold.since.get_or_insert_with(Instant::now);
            if hold.reached.is_none() {
                hold.reached = Some(event.clone());
                for reply in hold.on_reached.drain(..) {
                    let _ = reply.send(Ok(event.clone()));
                }
            }
        }
        let came = Came {
            event,
            holds,
            is_recorded: n.is_some(),
            leaves_no_record: verb == Verb::Recv && bytes == Some(0),
        };
        self.holds.comings.insert((at, op), came);
        self.holds.news = Some(Instant::now());
        self.look_for_expected();
    }

    /// What was held goes on, or was given up.
    pub(super) fn hear_goes(&mut self, at: usize, op: u64) {
        self.holds.comings.remove(&(at, op));
        self.holds.passes.remove(&(at, op));
    }

    /// A process is gone, and with it what it held.
    pub(super) fn hold_gone(&mut self, at: usize) {
        self.holds.comings.retain(|&(of, _), _| of != at);
        self.holds.passes.retain(|&(of, _)| of != at);
    }

    /// An event was recorded: what waits for it goes on.
    pub(super) fn note_event(&mut self, at: usize, event: &Event) {
        let holds = &mut self.holds;
        if holds.all.is_empty() {
            return;
        }
        holds.news = Some(Instant::now());
        let mut ended = Vec::new();
        for (number, hold) in &mut holds.all {
            let Some(first) = hold.holding.until.as_ref().filter(|_| hold.stands) else {
                continue;
            };
            if first.pattern.matches(event) {
                hold.seen += 1;
                if hold.seen >= first.nth {
                    hold.kept = Kept::Yes {
                        held_for: hold.holds_for(),
                    };
                    ended.push(*number);
                }
            }
        }
        for number in ended {
            self.let_go_on(number, None);
        }
        self.note_expected(at, event);
    }

    /// Answered when something has come to that hold.
    pub(super) fn hold_reached(
        &mut self,
        hold: u32,
        reply: oneshot::Sender<Result<Event, NeverFires>>,
    ) {
        let failure = self.undelivered();
        let answer = match (self.holds.all.get_mut(&hold), failure) {
            (None, _) => Err(NeverFires::Over),
            (Some(hold), failure) => match (&hold.reached, failure) {
                (Some(event), _) => Ok(event.clone()),
                (None, Some(failure)) => Err(NeverFires::Failed(failure)),
                (None, None) if !hold.stands => Err(hold.nothing_came()),
                (None, None) => return hold.on_reached.push(reply),
            },
        };
        let _ = reply.send(answer);
    }

    /// What that hold holds now, in the order in which it came.
    pub(super) fn held_now(&self, hold: u32) -> Vec<Event> {
        let held = self.came_to(hold).into_iter();
        held.map(|came| came.event.clone()).collect()
    }

    fn came_to(&self, hold: u32) -> Vec<&Came> {
        let comings = self.holds.comings.iter();
        let held = comings
            .filter(|(of, came)| came.holds.contains(&hold) && !self.holds.passes.contains(of));
        let mut held: Vec<&Came> = held.map(|(_, came)| came).collect();
        held.sort_by_key(|came| came.event.time_ns());
        held
    }

    /// A hold ends; answered once all processes obey.
    pub(super) fn let_go_on(&mut self, number: u32, reply: Option<oneshot::Sender<()>>) {
        let Some(hold) = self.holds.all.get_mut(&number) else {
            return;
        };
        let stood = std::mem::replace(&mut hold.stands, false);
        let nothing_came = hold.nothing_came();
        for waits in hold.on_reached.drain(..) {
            let _ = waits.send(Err(nothing_came.clone()));
        }
        // What became of an order is asked at the end.
        if hold.holding.until.is_none() {
            self.holds.all.remove(&number);
        }
        if stood {
            let seq = self.order_all();
            if let Some(reply) = reply {
                self.then(seq, Next::Reply(reply));
            }
            self.progress();
        }
    }

    /// All holds end with the test.
    pub(super) fn end_holds(&mut self) {
        for hold in self.holds.all.values_mut() {
            hold.stands = false;
        }
        self.holds.expecting = None;
    }

    /// What became of each order, by number. One that still holds something now has not been kept.
    pub(super) fn outcomes(&self) -> BTreeMap<u32, Outcome> {
        let all = self.holds.all.iter();
        let outcome = |(&number, hold): (&u32, &Hold)| {
            let until = hold.holding.until.as_ref()?;
            let kept = match (hold.kept, hold.since) {
                (Kept::NeverCame, Some(_)) => Kept::GivenUp {
                    quiet: false,
                    held_for: hold.holds_for(),
                },
                (kept, _) => kept,
            };
            let came = |at: &At| {
                let events = self.events.iter();
                let matching = events.filter(|event| at.pattern.matches(event));
                matching.count() as u64
            };
            let ends = [Some(until), hold.holding.at.as_ref()];
            let mut missing = ends.into_iter().flatten();
            let missing = match kept {
                Kept::Yes { .. } => None,
                _ => missing.find(|at| came(at) < at.nth),
            };
            let missing = missing.map(|at| self.never(at, 0));
            Some((number, Outcome { kept, missing }))
        };
        all.filter_map(outcome).collect()
    }

    /// When the next hold is to be given up.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        let is_starting = self.is_starting();
        let holds = self.holds.all.values();
        let ends = holds.filter_map(|hold| hold.given_up_at(self.holds.news, is_starting));
        let expecting = self.holds.expecting.as_ref();
        let expects = expecting.map(|expecting| expecting.given_up_at(self.holds.news));
        ends.map(|(at, _)| at).chain(expects).min()
    }

    fn is_starting(&self) -> bool {
        self.nodes.values().any(Node::is_starting)
    }

    /// Gives up the holds that have waited long enough.
    pub(super) fn give_up_holds(&mut self) {
        let (news, is_starting) = (self.holds.news, self.is_starting());
        let mut given_up = Vec::new();
        for (number, hold) in &mut self.holds.all {
            if let Some((at, quiet)) = hold.given_up_at(news, is_starting)
                && at <= Instant::now()
            {
                hold.kept = Kept::GivenUp {
                    quiet,
                    held_for: hold.holds_for(),
                };
                given_up.push(*number);
            }
        }
        for number in given_up {
            self.let_go_on(number, None);
        }
        self.give_up_expecting();
    }

    /// A node has failed: what is waited for may never come.
    pub(super) fn fail_holds(&mut self, failure: &Failure) {
        let failed = || Err(NeverFires::Failed(failure.clone()));
        for hold in self.holds.all.values_mut() {
            for reply in hold.on_reached.drain(..) {
                let _ = reply.send(failed());
            }
        }
        if let Some(expecting) = self.holds.expecting.take() {
            let _ = expecting.reply.send(failed());
        }
    }

    /// What is asked about holds, and has no answer yet.
    pub(super) fn hold_asks(&self) -> Vec<String> {
        let holds = self.holds.all.values();
        let waits = |hold: &&Hold| hold.on_reached.iter().any(|reply| !reply.is_closed());
        let mut asks: Vec<String> = holds
            .filter(waits)
            .map(|hold| format!("reached `{}`", hold.holding.line))
            .collect();
        asks.extend(self.expect_asked());
        asks
    }

    /// What a process is kept from by holds, for the page of a hang.
    pub(super) fn held_in(&self, at: usize) -> Vec<String> {
        let comings = self.holds.comings.range((at, 0)..=(at, u64::MAX));
        let held = comings.map(|(_, came)| {
            let age = now().saturating_sub(came.event.time_ns()) as f64 / 1e9;
            let lines = came.holds.iter().filter_map(|hold| {
                let hold = self.holds.all.get(hold)?;
                Some(format!("`{}`", hold.holding.line))
            });
            let lines: Vec<String> = lines.collect();
            format!(
                "`{}`: held by {} for {age:.1} s",
                came.event,
                lines.join(" and ")
            )
        });
        held.collect()
    }
}
