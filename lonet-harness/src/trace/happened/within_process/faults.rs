//! What a fault takes from the socket rule: the end of a connection that a reset or a limit has cut
//! off says nothing of the other side.
//!
//! Pure. Owns which ends are cut off, as far as their process has learned of the fault.

use lonet::trace::{ReadCredit, Record, Verb};

use super::Gathering;
use crate::trace::ends;
use crate::trace::happened::gathered::Gathered;
use crate::trace::intern::symbols::Symbol;

impl Gathering<'_, '_> {
    /// What has learned of a fault that ends connections may find that they have ended. Were it the
    /// other side after all, an order is missing.
    pub(super) fn cut_by_faults(&mut self, record: &Record) {
        for event in record.learned.iter().chain(&record.learned_beside) {
            let Some(&fault) = self.into.cuts.get(event) else {
                continue;
            };
            let head = *self.into.labels.head(self.into.label_of[fault as usize]);
            if head.verb == Verb::Limit {
                self.limits.push(fault);
                continue;
            }
            let (one, other) = (head.subject(), head.peer());
            for end in self.first_end..self.into.ends.len() as u32 {
                let own = self.addresses(end);
                self.socket_of(end).is_reset |= own == (one, other) || own == (other, one);
            }
        }
    }

    /// The addresses of an end and of the other.
    fn addresses(&self, end: u32) -> ((Symbol, u32), (Symbol, u32)) {
        let created = self.into.ends[end as usize].created;
        let head = self.into.labels.head(self.into.label_of[created as usize]);
        (head.subject(), head.peer())
    }

    /// Whether the end of what this end reads may be the doing of a fault.
    fn is_cut(&mut self, end: u32) -> bool {
        let (own, peer) = self.addresses(end);
        let Gathered {
            labels,
            label_of,
            hosts,
            ..
        } = &*self.into;
        let is_limited = self.limits.iter().any(|&limit| {
            let limit = labels.label(label_of[limit as usize]);
            let at = |(host, port): (Symbol, u32)| (hosts.text(host), port);
            ends::covers(limit.text, at(peer), at(own))
        });
        is_limited || self.socket_of(end).is_reset
    }

    /// What of a read the other side has written; and whether it was read to the end.
    pub(super) fn of_peer(&mut self, end: u32, read: &ReadCredit) -> (u64, bool) {
        match read.certain > read.all {
            true if self.is_cut(end) => (read.all, false),
            eof => (read.certain, eof),
        }
    }
}
