//! A lockstep: everything is held, and one event after the other is let go that the test expects.
//!
//! Owns which event an expectation is met by, and when it never will be. What is held is known to
//! `holds`.

use std::time::{Duration, Instant};

use lonet::trace::{Event, Verb};
use tokio::sync::oneshot;

use super::{Came, Hold};
use crate::collector::analyst::Analyst;
use crate::collector::query::NeverFires;
use crate::trace::Pattern;

/// What a lockstep expects.
pub(super) struct Expecting {
    hold: u32,
    text: String,
    pattern: Pattern,
    /// It was let go, and its event is about to be recorded.
    passing: Option<(usize, Event)>,
    since: Instant,
    /// How long it waits while nothing happens.
    quiet: Duration,
    pub(super) reply: oneshot::Sender<Result<Event, NeverFires>>,
}

impl Expecting {
    pub(super) fn given_up_at(&self, news: Option<Instant>) -> Instant {
        news.map_or(self.since, |news| news.max(self.since)) + self.quiet
    }
}

/// Whether both are the same thing happening at the same place. Which port an accepted connection gets
/// is known only then.
fn is_same(held: &Event, event: &Event) -> bool {
    let own = held.verb() == Verb::Accept || held.addr() == event.addr();
    held.verb() == event.verb() && held.host() == event.host() && held.peer() == event.peer() && own
}

impl Analyst {
    /// The hold of everything, if it stands.
    pub(super) fn lockstep(&self) -> Option<&Hold> {
        let mut stand = self.holds.all.values().filter(|hold| hold.stands);
        stand.find(|hold| hold.holding.at.is_none())
    }

    /// An event was recorded while everything is held.
    pub(super) fn note_expected(&mut self, at: usize, event: &Event) {
        if self.lockstep().is_none() {
            return;
        }
        let holds = &mut self.holds;
        if let Some(expecting) = &holds.expecting
            && let Some((process, passing)) = &expecting.passing
            && *process == at
            && is_same(passing, event)
        {
            if let Some(expecting) = holds.expecting.take() {
                let _ = expecting.reply.send(Ok(event.clone()));
            }
            return;
        }
        // A dial is recorded before it is held.
        if event.verb() != Verb::Dial || at == 0 {
            holds.loose.push_back(event.clone());
            self.look_for_expected();
        }
    }

    /// Lets the expected event happen, if it is held; or returns it, if it has happened.
    pub(super) fn look_for_expected(&mut self) {
        let holds = &mut self.holds;
        let Some(expecting) = holds
            .expecting
            .take_if(|expecting| expecting.passing.is_none())
        else {
            return;
        };
        let matches = |event: &Event| expecting.pattern.matches(event);
        if let Some(at) = holds.loose.iter().position(matches)
            && let Some(event) = holds.loose.remove(at)
        {
            let _ = expecting.reply.send(Ok(event));
            return;
        }
        let mut comings = holds.comings.iter();
        let found = comings.find(|(of, came)| {
            let is_held = came.holds.contains(&expecting.hold) && !holds.passes.contains(of);
            // What another one holds, too, has to wait for that.
            let stands = |hold: &u32| holds.all.get(hold).is_some_and(|hold| hold.stands);
            let mut others = came.holds.iter().filter(|hold| **hold != expecting.hold);
            is_held && !others.any(stands) && matches(&came.event)
        });
        let Some((&(at, op), came)) = found else {
            holds.expecting = Some(expecting);
            return;
        };
        holds.passes.insert((at, op));
        let event = came.event.clone();
        match came.is_recorded || came.leaves_no_record {
            true => drop(expecting.reply.send(Ok(event))),
            false => {
                holds.expecting = Some(Expecting {
                    passing: Some((at, event)),
                    ..expecting
                });
            }
        }
        self.order_one(at);
    }

    /// Lets just that event happen; answered with it.
    pub(in crate::collector::analyst) fn expect(
        &mut self,
        hold: u32,
        (text, pattern): (String, Pattern),
        quiet: Duration,
        reply: oneshot::Sender<Result<Event, NeverFires>>,
    ) {
        if let Some(failure) = self.undelivered() {
            let _ = reply.send(Err(NeverFires::Failed(failure)));
            return;
        }
        self.holds.expecting = Some(Expecting {
            hold,
            text,
            pattern,
            passing: None,
            since: Instant::now(),
            quiet,
            reply,
        });
        self.look_for_expected();
    }

    /// "held: `α:10 listen`".
    fn held_in_words(&self, hold: u32) -> String {
        let others = |came: &Came| {
            let others = came.holds.iter().filter(|other| **other != hold);
            let others = others.filter_map(|other| self.holds.all.get(other));
            let lines: Vec<String> = others
                .map(|other| format!("`{}`", other.holding.line))
                .collect();
            match lines.is_empty() {
                true => String::new(),
                false => format!(" (also by {})", lines.join(" and ")),
            }
        };
        let held = self.came_to(hold).into_iter();
        let held: Vec<String> = held
            .map(|came| format!("`{}`{}", came.event, others(came)))
            .collect();
        match held.is_empty() {
            true => "nothing is held".to_owned(),
            false => format!("held: {}", held.join(", ")),
        }
    }

    /// What is expected does not come: nothing at all has happened for long enough.
    pub(super) fn give_up_expecting(&mut self) {
        let news = self.holds.news;
        let is_late = |expecting: &mut Expecting| expecting.given_up_at(news) <= Instant::now();
        if let Some(expecting) = self.holds.expecting.take_if(is_late) {
            let why = format!(
                "`{}` did not come: nothing has happened for {:.1} s, and {}",
                expecting.text,
                expecting.quiet.as_secs_f64(),
                self.held_in_words(expecting.hold)
            );
            let _ = expecting.reply.send(Err(NeverFires::Quiet(why)));
        }
    }

    /// The call that has no answer yet, and what is held instead.
    pub(super) fn expect_asked(&self) -> Option<String> {
        let expecting = self.holds.expecting.as_ref()?;
        let held = self.held_in_words(expecting.hold);
        let asked = format!("expect `{}` ({held})", expecting.text);
        (!expecting.reply.is_closed()).then_some(asked)
    }
}
