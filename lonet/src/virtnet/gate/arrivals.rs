//! What of the bytes that arrive at one end may be read, and when.
//!
//! The idea: a fault never touches a byte. It says how many of the bytes that lie in the socket may
//! be read by now. An example, with three bytes in the socket when a partition comes into force:
//! those three had arrived, so `left` is 3; a read takes two, `left` is 1; five more arrive, and the
//! next read still gets one; then reads wait, until the heal takes the fault's entry away.
//!
//! Pure: is told what lies in the socket and what time it is. Owns the arithmetic of overlapping
//! faults, and which events a read has to come after.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::addr::Addr;
use crate::trace::{Does, EventId, Standing};
use crate::virtnet::io::There;

/// What may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admits {
    /// So many bytes at most, and the end.
    UpTo(u64),
    /// Nothing, before the orders change.
    Withheld,
    /// Nothing before that moment, unless something arrives.
    Later(Instant),
    /// Nothing has arrived.
    Nothing,
    /// The end.
    End,
    /// That the connection was reset, once.
    Reset,
}

/// What the faults leave of an end's arrivals.
#[derive(Default)]
pub(super) struct Arrivals {
    /// The latest orders; `None`: it is new.
    seq: Option<u64>,
    /// What lay there when the gate was shut, if it is: all that comes until it is open again arrives
    /// under the faults that are ordered meanwhile.
    shut: Option<There>,
    faults: Vec<Fault>,
    /// What the next read comes after.
    owed: Vec<EventId>,
    /// The faults that have acted here, and have not been told yet.
    acted: Vec<u32>,
}

struct Fault {
    number: u32,
    event: Option<EventId>,
    does: Kind,
    /// Whether it has acted here.
    acted: bool,
}

enum Kind {
    /// So many may still be read; `None`: all had arrived, the end, too.
    Withhold {
        left: Option<u64>,
    },
    /// The same, and a write fails; then the end comes after what may be read.
    Gone {
        left: Option<u64>,
        said: bool,
    },
    Delay(Queue),
    Slice {
        bytes: u64,
        random: Random,
    },
    Limit {
        left: u64,
        reset: bool,
        said: bool,
    },
    /// As with `Withhold`, then a reset; without an event, it waits for that.
    Reset {
        left: u64,
        said: bool,
    },
}

/// Bytes that have arrived and may not be read yet.
struct Queue {
    most: Duration,
    /// For times that differ.
    random: Option<Random>,
    /// When how many more may be read.
    ready: VecDeque<(Instant, u64)>,
    end: Option<Instant>,
}

/// A small generator of numbers that look random (splitmix64).
#[derive(Clone, Copy)]
pub(in crate::virtnet) struct Random(pub(in crate::virtnet) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 1 to `most`.
    pub(in crate::virtnet) fn up_to(&mut self, most: u64) -> u64 {
        1 + self.next() % most.max(1)
    }
}

impl Queue {
    fn new(most: Duration, random: Option<Random>, there: There, now: Instant) -> Queue {
        let mut queue = Queue {
            most,
            random,
            ready: VecDeque::new(),
            end: there.ended.then_some(now),
        };
        if there.bytes > 0 {
            queue.ready.push_back((now, there.bytes));
        }
        queue
    }

    fn see(&mut self, there: There, now: Instant) {
        let seen: u64 = self.ready.iter().map(|(_, bytes)| bytes).sum();
        let news = there.bytes.saturating_sub(seen);
        if news == 0 && (!there.ended || self.end.is_some()) {
            return;
        }
        let delay = match &mut self.random {
            None => self.most,
            Some(random) => {
                let most = u64::try_from(self.most.as_micros()).unwrap_or(u64::MAX);
                Duration::from_micros(random.up_to(most))
            }
        };
        // A moment that the clock can't tell is never.
        let at = now.checked_add(delay).unwrap_or(now + FOR_EVER);
        let at = self.ready.back().map_or(at, |&(before, _)| at.max(before));
        if news > 0 {
            self.ready.push_back((at, news));
        }
        if there.ended && self.end.is_none() {
            self.end = Some(at);
        }
    }

    fn admits(&self, now: Instant) -> Admits {
        let due = self.ready.iter().take_while(|(at, _)| *at <= now);
        let bytes: u64 = due.map(|(_, bytes)| bytes).sum();
        match (bytes, self.ready.front(), self.end) {
            (1.., ..) => Admits::UpTo(bytes),
            (0, Some(&(at, _)), _) => Admits::Later(at),
            (0, None, Some(end)) if end > now => Admits::Later(end),
            (0, None, Some(_)) => Admits::UpTo(u64::MAX),
            (0, None, None) => Admits::Nothing,
        }
    }

    fn take(&mut self, mut bytes: u64) {
        while let Some((_, first)) = self.ready.front_mut() {
            let taken = bytes.min(*first);
            *first -= taken;
            bytes -= taken;
            if *first > 0 {
                return;
            }
            self.ready.pop_front();
        }
    }
}

/// Longer than any test.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Arrivals {
    /// Whether no fault concerns it.
    pub(super) fn is_free(&self) -> bool {
        self.faults.is_empty() && self.owed.is_empty()
    }

    /// The events that what is read now comes after.
    pub(super) fn take_owed(&mut self) -> Vec<EventId> {
        std::mem::take(&mut self.owed)
    }

    /// The faults that have acted since this was last asked.
    pub(super) fn take_acted(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.acted)
    }

    /// These orders hold for what goes from `peer` to `local`. The connections that a reset notes
    /// are added to `noted`. `false`: they are older than what holds.
    pub(super) fn order(
        &mut self,
        orders: &Standing,
        (peer, local): (&Addr, &Addr),
        there: There,
        now: Instant,
        noted: &mut Vec<(u32, Addr, Addr)>,
    ) -> bool {
        let is_new = self.seq.is_none();
        if self.seq.is_some_and(|seq| orders.seq < seq) {
            return false;
        }
        self.seq = Some(orders.seq);
        // A connection that began under these orders: what is there by now has arrived under them.
        let before = match is_new {
            true => There::default(),
            false => self.shut.unwrap_or(there),
        };
        self.shut = orders.shut.then_some(before);
        let left = (!before.ended).then_some(before.bytes);
        let rules = orders.rules.iter();
        let rules = rules.filter(|rule| rule.covers(peer, local));
        for rule in rules.clone() {
            let known = self.faults.iter_mut().find(|own| own.number == rule.fault);
            if let Some(known) = known {
                known.event = rule.event.or(known.event);
                if let (Does::Gone, Kind::Withhold { left }) = (rule.does, &known.does) {
                    let left = *left;
                    known.does = Kind::Gone { left, said: false };
                }
                if matches!(rule.does, Does::Reset) && rule.event.is_none() {
                    noted.push((rule.fault, local.clone(), peer.clone()));
                }
                continue;
            }
            let random =
                |seed| Random(seed ^ u64::from(rule.fault) ^ u64::from(local.port()) << 16);
            let does = match rule.does {
                Does::Withhold => Kind::Withhold { left },
                Does::Delay(us) => {
                    Kind::Delay(Queue::new(Duration::from_micros(us), None, before, now))
                }
                Does::Jitter(us, seed) => {
                    let most = Duration::from_micros(us);
                    Kind::Delay(Queue::new(most, Some(random(seed)), before, now))
                }
                Does::Slice(bytes) => Kind::Slice {
                    bytes,
                    random: random(0),
                },
                Does::Limit(bytes, reset) => Kind::Limit {
                    left: before.bytes.saturating_add(bytes),
                    reset,
                    said: false,
                },
                Does::Reset if rule.event.is_none() && !is_new => {
                    noted.push((rule.fault, local.clone(), peer.clone()));
                    // As in the kernel: whose end had arrived reads that, and writes fail by EPIPE.
                    let (left, said) = (before.bytes, before.ended);
                    Kind::Reset { left, said }
                }
                Does::Reset | Does::Gone | Does::Refuse => continue,
            };
            self.faults.push(Fault {
                number: rule.fault,
                event: rule.event,
                does,
                acted: false,
            });
        }
        let stands = |own: &Fault| {
            // What has cut a connection off is not undone.
            own.is_final() || rules.clone().any(|rule| rule.fault == own.number)
        };
        let (stand, healed): (Vec<_>, Vec<_>) = std::mem::take(&mut self.faults)
            .into_iter()
            .partition(stands);
        self.faults = stand;
        for mut fault in healed {
            if let Kind::Withhold { left: Some(left) } = fault.does
                && (there.bytes > left || there.ended)
            {
                self.owed.extend(fault.event);
                self.owed.extend(orders.end_of(fault.number));
                fault.acts(&mut self.acted);
            }
        }
        true
    }

    /// What may be read.
    pub(super) fn admits(&mut self, there: There, now: Instant) -> Admits {
        let mut admits = Admits::UpTo(u64::MAX);
        for fault in &mut self.faults {
            let one = match &mut fault.does {
                Kind::Withhold { left: None } | Kind::Gone { left: None, .. } => continue,
                Kind::Gone {
                    left: Some(0),
                    said: true,
                } => {
                    // A write has learned of it, and so has the connection.
                    self.owed.extend(fault.event);
                    Admits::End
                }
                Kind::Withhold { left: Some(left) }
                | Kind::Gone {
                    left: Some(left), ..
                } => match *left {
                    0 => Admits::Withheld,
                    left => Admits::UpTo(left),
                },
                Kind::Reset { left: 1.., .. } | Kind::Limit { left: 1.., .. }
                    if there.bytes == 0 && there.ended =>
                {
                    // It has ended before that.
                    continue;
                }
                Kind::Reset {
                    left: left @ 1.., ..
                } => Admits::UpTo(*left),
                Kind::Reset { .. } if fault.event.is_none() => Admits::Withheld,
                Kind::Reset { said: false, .. } => Admits::Reset,
                Kind::Reset { .. } => Admits::End,
                Kind::Limit {
                    left: left @ 1.., ..
                } => Admits::UpTo(*left),
                Kind::Limit {
                    reset: true,
                    said: false,
                    ..
                } => Admits::Reset,
                Kind::Limit { .. } => Admits::End,
                Kind::Delay(queue) => {
                    queue.see(there, now);
                    queue.admits(now)
                }
                Kind::Slice { bytes, random } => {
                    let most = random.up_to(*bytes);
                    if there.bytes > most {
                        if !fault.acted {
                            self.owed.extend(fault.event);
                        }
                        fault.acts(&mut self.acted);
                    }
                    Admits::UpTo(most)
                }
            };
            match one {
                Admits::Withheld if there.bytes > 0 || there.ended => {
                    fault.acts(&mut self.acted);
                }
                Admits::Later(_) | Admits::End | Admits::Reset => {
                    // A reset may have withheld something before it had its event.
                    let ends = !matches!(one, Admits::Later(_));
                    let is_owed = fault.event.is_some_and(|event| self.owed.contains(&event));
                    if !fault.acted || ends && !is_owed {
                        self.owed.extend(fault.event);
                    }
                    fault.acts(&mut self.acted);
                }
                _ => {}
            }
            admits = admits.and(one);
        }
        admits
    }

    /// A read returns the reset. A call that only asks whether there is something to read does not.
    pub(super) fn say_reset(&mut self) {
        for fault in &mut self.faults {
            if let Kind::Reset { said, .. } | Kind::Limit { said, .. } = &mut fault.does {
                *said = true;
            }
        }
    }

    /// So many bytes were read.
    pub(super) fn took(&mut self, bytes: u64) {
        for fault in &mut self.faults {
            match &mut fault.does {
                Kind::Withhold { left: Some(left) }
                | Kind::Gone {
                    left: Some(left), ..
                }
                | Kind::Reset { left, .. }
                | Kind::Limit { left, .. } => *left = left.saturating_sub(bytes),
                Kind::Delay(queue) => queue.take(bytes),
                Kind::Withhold { left: None }
                | Kind::Gone { left: None, .. }
                | Kind::Slice { .. } => {}
            }
        }
    }

    /// Whether arrivals are withheld, so that nothing may be learned of the other side.
    pub(super) fn is_withheld(&self) -> bool {
        self.withheld_by().is_some()
    }

    /// When an end that is there has arrived, if delays keep it for later.
    pub(super) fn end_comes(&mut self, there: There, now: Instant) -> Option<Instant> {
        let ends = self.faults.iter_mut().filter_map(|fault| {
            let Kind::Delay(queue) = &mut fault.does else {
                return None;
            };
            queue.see(there, now);
            let end = queue.end.filter(|end| *end > now)?;
            fault.acts(&mut self.acted);
            Some(end)
        });
        ends.max()
    }

    /// The fault that withholds arrivals.
    pub(super) fn withheld_by(&self) -> Option<u32> {
        let withholds = |fault: &&Fault| match fault.does {
            Kind::Withhold { left: Some(_) } => true,
            Kind::Reset { .. } => fault.event.is_none(),
            _ => false,
        };
        self.faults.iter().find(withholds).map(|fault| fault.number)
    }

    /// Why a write can't succeed, if a fault is the reason: `true` for a reset that no read or write
    /// has returned yet, `false` for a broken pipe.
    pub(super) fn refuses_write(&mut self) -> Option<bool> {
        for fault in &mut self.faults {
            let said = match &mut fault.does {
                Kind::Reset { said, .. } if fault.event.is_some() => said,
                Kind::Gone { said, .. } => said,
                Kind::Limit {
                    left: 0,
                    said,
                    reset,
                } => {
                    *said |= !*reset;
                    said
                }
                _ => continue,
            };
            let is_first = !std::mem::replace(said, true);
            self.owed.extend(fault.event);
            fault.acts(&mut self.acted);
            return Some(is_first);
        }
        None
    }

    /// A write found that the other side is gone, and may not say so.
    pub(super) fn withheld_write(&mut self) {
        for fault in &mut self.faults {
            if matches!(fault.does, Kind::Withhold { .. }) {
                fault.acts(&mut self.acted);
            }
        }
    }
}

impl Fault {
    fn acts(&mut self, acted: &mut Vec<u32>) {
        if !std::mem::replace(&mut self.acted, true) {
            acted.push(self.number);
        }
    }

    /// Whether it stays for as long as the connection does.
    fn is_final(&self) -> bool {
        match self.does {
            Kind::Reset { .. } => self.event.is_some(),
            Kind::Gone { .. } => true,
            Kind::Limit { left, .. } => left == 0,
            Kind::Withhold { .. } | Kind::Delay(_) | Kind::Slice { .. } => false,
        }
    }
}

impl Admits {
    /// What two faults admit together: the one that admits less.
    pub(super) fn and(self, other: Admits) -> Admits {
        use Admits::{End, Later, Nothing, Reset, UpTo, Withheld};
        match (self, other) {
            (UpTo(a), UpTo(b)) => UpTo(a.min(b)),
            (Withheld, _) | (_, Withheld) => Withheld,
            (Reset, _) | (_, Reset) => Reset,
            (End, _) | (_, End) => End,
            (Later(a), Later(b)) => Later(a.max(b)),
            (Later(at), _) | (_, Later(at)) => Later(at),
            (Nothing, _) | (_, Nothing) => Nothing,
        }
    }
}
