//! The rules of one member of the replicated log: whom it votes for, what it stores, what is
//! committed. They are Raft's, cut down to what three members need.
//!
//! Pure: owns no connection, no file, no clock. What a time-out decides in Raft is decided by the
//! end of a connection here, which is `member`'s business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a member must not forget, though its process be killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The latest term in which it voted, led or followed. It does one of these in a term, once.
    pub(crate) term: u64,
    /// What it has stored. The first entry has index 1.
    pub(crate) log: Vec<Entry>,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The term of the leader that took it in.
    pub(crate) term: u64,
    /// What a client wrote. Nothing, if the entry is the first of a new leader, or a read: that is
    /// an entry as well, since only a majority can tell whether who answers it still leads.
    pub(crate) text: Option<String>,
}

/// A place in a log: the term of the entry there, and its index. Of two logs the one that ends at
/// the later place is the longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) term: u64,
    pub(crate) index: usize,
}

/// A request to be voted for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Candidacy {
    pub(crate) name: String,
    pub(crate) term: u64,
    /// Where its log ends.
    pub(crate) end: Place,
}

/// What a leader wants stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Append {
    /// The leader's term.
    pub(crate) term: u64,
    /// The place before the entry's.
    pub(crate) after: Place,
    pub(crate) entry: Entry,
}

/// What a member says to a candidate or a leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It votes for the candidate.
    Granted,
    /// It has the entry, and all before it.
    Stored,
    /// It lacks the entry before that one.
    Missing,
    /// It does not vote for the candidate, or has seen a later term than the leader's.
    Refused { term: u64 },
}

/// The link to the leader, or to the candidate that was voted for: its connections are numbered.
pub(crate) type Link = u64;

/// What a member is at the moment.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// It knows of no leader.
    Alone,
    Following(Link),
    Leading {
        /// Up to which index each of the others has the log.
        stored: BTreeMap<String, usize>,
        /// Up to which index a majority has it.
        committed: usize,
    },
}

/// One member.
#[derive(Debug)]
pub(crate) struct Rules {
    name: String,
    others: Vec<String>,
    kept: Kept,
    part: Part,
}

impl Rules {
    pub(crate) fn new(name: &str, others: &[String], kept: Kept) -> Rules {
        Rules {
            name: name.to_owned(),
            others: others.to_owned(),
            kept,
            part: Part::Alone,
        }
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.part == Part::Alone
    }

    pub(crate) fn leads(&self) -> bool {
        matches!(self.part, Part::Leading { .. })
    }

    pub(crate) fn leads_in(&self, term: u64) -> bool {
        self.leads() && self.kept.term == term
    }

    /// How many of the others must agree: with itself, they are more than half.
    pub(crate) fn needed(&self) -> usize {
        self.others.len().div_ceil(2)
    }

    fn place(&self, index: usize) -> Option<Place> {
        let term = match index.checked_sub(1) {
            None => 0,
            Some(before) => self.kept.log.get(before)?.term,
        };
        Some(Place { term, index })
    }

    fn end(&self) -> Place {
        let end = self.place(self.kept.log.len());
        end.expect("the last entry is there, and so is the place before the first")
    }

    /// What it asks the others if it knows of no leader.
    pub(crate) fn candidacy(&self) -> Option<Candidacy> {
        self.is_alone().then(|| Candidacy {
            name: self.name.clone(),
            term: self.kept.term + 1,
            end: self.end(),
        })
    }

    /// Another asks for its vote. It is given to a longer log than one's own (of equal ones, to the
    /// first name), and once a term.
    pub(crate) fn vote(&mut self, candidate: &Candidacy, link: Link) -> Answer {
        let first_name = candidate.end == self.end() && candidate.name < self.name;
        let is_ahead = candidate.end > self.end() || first_name;
        if self.is_alone() && is_ahead && candidate.term > self.kept.term {
            self.kept.term = candidate.term;
            self.part = Part::Following(link);
            return Answer::Granted;
        }
        Answer::Refused {
            term: self.kept.term,
        }
    }

    /// Enough of the others voted for it: it leads, unless something has changed since it asked.
    /// Its own vote goes to itself now, and not before.
    pub(crate) fn lead(&mut self, candidacy: &Candidacy) -> bool {
        if self.candidacy().as_ref() != Some(candidacy) {
            return false;
        }
        self.kept.term = candidacy.term;
        self.part = Part::Leading {
            stored: self.others.iter().map(|name| (name.clone(), 0)).collect(),
            committed: 0,
        };
        // Entries of former terms are committed with this one: by itself, that a majority has one
        // of those does not mean that no other leader can replace it.
        self.enter(None);
        true
    }

    /// A leader takes in an entry: its index.
    pub(crate) fn enter(&mut self, text: Option<String>) -> Option<usize> {
        if !self.leads() {
            return None;
        }
        let term = self.kept.term;
        self.kept.log.push(Entry { term, text });
        Some(self.kept.log.len())
    }

    /// How a leader tells of an entry, once it is there.
    pub(crate) fn entry(&self, index: usize) -> Option<Append> {
        if !self.leads() {
            return None;
        }
        Some(Append {
            term: self.kept.term,
            after: self.place(index.checked_sub(1)?)?,
            entry: self.kept.log.get(index - 1)?.clone(),
        })
    }

    /// A leader wants an entry stored.
    pub(crate) fn append(&mut self, append: Append, link: Link) -> Answer {
        if append.term < self.kept.term {
            return Answer::Refused {
                term: self.kept.term,
            };
        }
        self.kept.term = append.term;
        self.part = Part::Following(link);
        let before = append.after.index;
        if self.place(before) != Some(append.after) {
            return Answer::Missing;
        }
        let known = self.kept.log.get(before);
        if known.map(|entry| entry.term) != Some(append.entry.term) {
            // What contradicts the leader was never committed.
            self.kept.log.truncate(before);
            self.kept.log.push(append.entry);
        }
        Answer::Stored
    }

    /// Another has the log up to there: up to where that means a new part of it is committed.
    pub(crate) fn stored(&mut self, name: &str, term: u64, index: usize) -> Option<usize> {
        let length = self.kept.log.len();
        let needed = self.needed();
        let Part::Leading { stored, committed } = &mut self.part else {
            return None;
        };
        if term != self.kept.term {
            return None;
        }
        let known = stored.entry(name.to_owned()).or_default();
        *known = index.max(*known);
        let mut reach: Vec<usize> = stored.values().copied().chain([length]).collect();
        reach.sort_unstable();
        let majority = reach[reach.len() - 1 - needed];
        let is_of_this_term = majority > 0 && self.kept.log[majority - 1].term == term;
        if majority <= *committed || !is_of_this_term {
            return None;
        }
        *committed = majority;
        Some(majority)
    }

    /// Another has seen a later term.
    pub(crate) fn saw(&mut self, term: u64) {
        if term > self.kept.term {
            self.kept.term = term;
            self.part = Part::Alone;
        }
    }

    /// A connection has ended: whether it was the one to the leader.
    pub(crate) fn lost(&mut self, link: Link) -> bool {
        let was_followed = self.part == Part::Following(link);
        if was_followed {
            self.part = Part::Alone;
        }
        was_followed
    }

    /// What the clients wrote, up to an index.
    pub(crate) fn texts(&self, index: usize) -> Vec<String> {
        let entries = self.kept.log.iter().take(index);
        entries.filter_map(|entry| entry.text.clone()).collect()
    }
}
