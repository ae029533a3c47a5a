//! Edges between processes: connections, payload, starting and ending, awaiting, and what processes
//! claim of one another.
//!
//! Pure. Owns how the ends of connections find each other. What one process reports by itself is
//! `within_process`' business.

use std::collections::{BTreeMap, BTreeSet};

use lonet::trace::{Record, Verb, What};

use crate::trace::happened::gathered::{Credit, End, Gathered};
use crate::trace::happened::process::{self, Process};
use crate::trace::happened::relation::{Edge, Why};
use crate::trace::intern::hash_index::NONE;
use crate::trace::intern::labels::Head;
use crate::trace::intern::symbols::Symbol;

/// The edges between processes.
pub(crate) struct Across<'a> {
    processes: &'a [Process],
    firsts: &'a [u32],
    gathered: &'a mut Gathered,
    /// The other end of each end.
    peer: Vec<Option<u32>>,
    /// What was written of each end: where that begins, by end, and one more; and byte and record.
    write_starts: Vec<u32>,
    writes: Vec<(u64, u32)>,
    /// The confirmed death of each process that the scenario killed.
    kills: BTreeMap<u32, u32>,
    /// The processes of hosts that vanished: where their streams end, says nothing of what they did.
    vanished: BTreeSet<u32>,
    /// By process: causes that stand after their effect.
    dropped: BTreeMap<usize, usize>,
}

/// Things by their connection's key, the latest first.
struct ByKey {
    latest: Vec<u32>,
    earlier: Vec<u32>,
}

impl ByKey {
    /// Of each thing, in sequence, the key, of which there are so many.
    fn new(keys: usize, of: impl Iterator<Item = Symbol>) -> ByKey {
        let mut latest = vec![NONE; keys];
        let earlier = of
            .zip(0..)
            .map(|(key, index)| std::mem::replace(&mut latest[key as usize], index))
            .collect();
        ByKey { latest, earlier }
    }

    fn of(&self, key: Symbol) -> impl Iterator<Item = usize> + '_ {
        let known = |index: u32| (index != NONE).then_some(index as usize);
        let first = known(self.latest[key as usize]);
        std::iter::successors(first, move |&index| known(self.earlier[index]))
    }
}

impl<'a> Across<'a> {
    pub(crate) fn new(
        processes: &'a [Process],
        firsts: &'a [u32],
        gathered: &'a mut Gathered,
    ) -> Across<'a> {
        Across {
            processes,
            firsts,
            gathered,
            peer: Vec::new(),
            write_starts: Vec::new(),
            writes: Vec::new(),
            kills: BTreeMap::new(),
            vanished: BTreeSet::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// Adds the edges.
    pub(crate) fn run(mut self) {
        self.connections();
        self.lifetimes();
        self.payload();
        self.awaited();
        self.claims();
        for (&process, &causes) in &self.dropped {
            let name = process::name(&self.processes[process]);
            let text =
                format!("{name} reported {causes} causes after their effects; lonet ignores them");
            self.gathered.problems.blame(vec![process], text);
        }
    }

    fn process_of(&self, node: u32) -> u32 {
        (self.firsts.partition_point(|&first| first <= node) - 1) as u32
    }

    fn record(&self, node: u32) -> &'a Record {
        let process = self.process_of(node) as usize;
        &self.processes[process].records[(node - self.firsts[process]) as usize]
    }

    fn what(&self, node: u32) -> &'a What {
        &self.record(node).what
    }

    /// An edge between two records, which may be of one process.
    fn edge(&mut self, from: u32, to: u32, why: Why) {
        if from >= to && self.process_of(from) == self.process_of(to) {
            *self
                .dropped
                .entry(self.process_of(to) as usize)
                .or_default() += 1;
            return;
        }
        self.gathered.loose.push(Edge { from, to, why });
    }

    /// Dial → accept → connect, and which ends belong together.
    fn connections(&mut self) {
        let ends = std::mem::take(&mut self.gathered.ends);
        let links = std::mem::take(&mut self.gathered.links);
        self.peer = vec![None; ends.len()];
        let keys = self.gathered.keys.len();
        let links_by_key = ByKey::new(keys, links.iter().map(|&(key, _)| key));
        let ends_by_key = ByKey::new(keys, ends.iter().map(|end| end.key));
        for (index, end) in ends.iter().enumerate().filter(|(_, end)| !end.is_dialer) {
            // Labels say all that is asked of these records, and are far smaller.
            let accept = self.head(end.created);
            let (a, p) = (accept.subject(), accept.peer());
            let mut dials = links_by_key.of(end.key).map(|link| links[link].1);
            let dial = dials.find(|&dial| {
                let dial = self.head(dial);
                dial.subject() == p && dial.peer_host == accept.host
            });
            match dial {
                Some(dial) => self.edge(dial, end.created, Why::Connection),
                None => self.accepted_from_nowhere(end),
            }
            let fits = |&dialer: &usize| {
                let connect = self.head(ends[dialer].created);
                ends[dialer].is_dialer
                    && connect.subject() == p
                    && connect.peer() == a
                    && self.peer[dialer].is_none()
            };
            if let Some(dialer) = ends_by_key.of(end.key).find(fits) {
                self.peer[index] = Some(dialer as u32);
                self.peer[dialer] = Some(index as u32);
                let connect = ends[dialer].created;
                self.edge(end.created, connect, Why::Connection);
            }
        }
        self.gathered.ends = ends;
    }

    /// The addresses of a record that reports an event.
    fn head(&self, node: u32) -> &Head {
        self.gathered
            .labels
            .head(self.gathered.label_of[node as usize])
    }

    fn accepted_from_nowhere(&mut self, end: &End) {
        let What::Accept {
            addr: a, peer: p, ..
        } = self.what(end.created)
        else {
            return;
        };
        let process = self.process_of(end.created) as usize;
        let name = process::name(&self.processes[process]);
        let key = self.gathered.keys.text(end.key);
        self.gathered.problems.note(format!(
            "{name} accepted {a} from {p} on {key}, which no dial has reported"
        ));
    }

    /// `spawn` → `up` → everything of a process → `exit`, `kill`, `vanish`.
    fn lifetimes(&mut self) {
        let mut by_number: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (index, process) in self.processes.iter().enumerate() {
            if let Some(node) = process.node {
                by_number.entry(node).or_default().push(index as u32);
            }
        }
        self.hosts_up_and_down();
        let mut starts: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut finishes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        let mut died_otherwise = BTreeSet::new();
        for &node in &self.gathered.lives {
            let what = self.what(node);
            let (i, ends) = match what {
                What::Spawn { process: i, .. } | What::Restart { process: i, .. } => (i, false),
                What::Exit {
                    process: i,
                    text: x,
                    ..
                } => {
                    if x != "signal 9" {
                        died_otherwise.insert(*i);
                    }
                    (i, true)
                }
                What::Kill { process: i, .. } | What::Vanish { process: i, .. } => (i, true),
                _ => continue,
            };
            for &of in by_number.get(i).map_or(&[][..], Vec::as_slice) {
                let list = if ends { &mut finishes } else { &mut starts };
                list.entry(of).or_default().push(node);
                match what {
                    What::Kill { .. } => {
                        // Its peers read the end that the first made.
                        self.kills.entry(of).or_insert(node);
                    }
                    What::Vanish { .. } => drop(self.vanished.insert(of)),
                    _ => {}
                }
            }
        }
        // A process that had ended before was not killed: its peers read the end of the stream before.
        let processes = self.processes;
        self.kills.retain(|&process, _| {
            let number = processes[process as usize].node;
            number.is_none_or(|number| !died_otherwise.contains(&number))
        });
        for (process, nodes) in starts {
            let begin = self.joint(process);
            for node in nodes {
                self.push(node, begin, Why::Process);
            }
            for record in self.records_of(process) {
                if !self.gathered.has_before[record as usize] {
                    self.push(begin, record, Why::Process);
                }
            }
        }
        for (process, nodes) in finishes {
            let end = self.joint(process);
            for record in self.records_of(process) {
                if !self.gathered.has_after[record as usize] {
                    self.push(record, end, Why::Process);
                }
            }
            for node in nodes {
                self.push(end, node, Why::Process);
            }
        }
    }

    fn records_of(&self, process: u32) -> std::ops::Range<u32> {
        self.firsts[process as usize]..self.firsts[process as usize + 1]
    }

    fn joint(&mut self, process: u32) -> u32 {
        self.gathered.joints.push(process);
        (self.gathered.has_before.len() + self.gathered.joints.len() - 1) as u32
    }

    fn push(&mut self, from: u32, to: u32, why: Why) {
        self.gathered.loose.push(Edge { from, to, why });
    }

    /// A host is up before anything happens there, and down after.
    fn hosts_up_and_down(&mut self) {
        let mut lives: BTreeMap<u32, BTreeMap<Symbol, Vec<(u32, u32)>>> = BTreeMap::new();
        for &node in &self.gathered.lives {
            let process = self.process_of(node);
            let hosts = lives.entry(process).or_default();
            match self.what(node) {
                What::Up { .. } => {
                    let host = self.head(node).host;
                    hosts.entry(host).or_default().push((node, NONE));
                }
                What::Down { .. } => {
                    let host = self.head(node).host;
                    if let Some((_, down)) = hosts.get_mut(&host).and_then(|of| of.last_mut()) {
                        *down = node.min(*down);
                    }
                }
                _ => {}
            }
        }
        for (process, hosts) in lives {
            self.lives_of(process, &hosts);
        }
    }

    /// What is between the first and the last of its host's records by other edges already needs
    /// none of its own.
    fn lives_of(&mut self, process: u32, hosts: &BTreeMap<Symbol, Vec<(u32, u32)>>) {
        let records = self.records_of(process);
        let first = records.start;
        let started = self.processes[process as usize].node.is_some();
        // Everything of a process that the scenario started is its one host's.
        let only = hosts
            .keys()
            .next()
            .copied()
            .filter(|_| started && hosts.len() == 1);
        let life = |node: u32| {
            let label = self.gathered.label_of[node as usize];
            let known = match label {
                NONE => None,
                _ => Some(self.gathered.labels.head(label)),
            };
            let of_test =
                known.is_some_and(|head| head.verb.is_interference() || head.verb == Verb::Exit);
            let host = only
                .or_else(|| known.map(|head| head.host))
                .filter(|_| !of_test)?;
            let lives = hosts.get(&host)?;
            let at = lives.partition_point(|&(up, _)| up <= node).max(1) - 1;
            Some((host, lives[at]))
        };
        let lives: Vec<Option<(Symbol, (u32, u32))>> = records.clone().map(life).collect();
        let mut edges = Vec::new();
        let mut has_after = vec![false; lives.len()];
        for node in records.clone() {
            let Some((host, (up, down))) = lives[(node - first) as usize] else {
                continue;
            };
            let mut has_before = false;
            for (cause, why) in self.gathered.direct.of(node) {
                let same = cause
                    .checked_sub(first)
                    .and_then(|at| *lives.get(at as usize)?);
                if why != Why::Port && same == Some((host, (up, down))) && node <= down {
                    has_after[(cause - first) as usize] = true;
                    has_before |= cause >= up;
                }
            }
            if node > up && !has_before {
                edges.push((up, node));
            }
        }
        for node in records {
            if let Some((_, (up, down))) = lives[(node - first) as usize]
                && node >= up
                && node < down
                && down != NONE
                && !has_after[(node - first) as usize]
            {
                edges.push((node, down));
            }
        }
        for (from, to) in edges {
            self.gathered.has_after[from as usize] = true;
            self.gathered.has_before[to as usize] = true;
            self.push(from, to, Why::Process);
        }
    }

    /// Puts what was written together by ends, each in the order in which it was.
    fn writes_by_end(&mut self) {
        let writes = std::mem::take(&mut self.gathered.writes);
        let mut starts = vec![0u32; self.gathered.ends.len() + 1];
        for write in &writes {
            starts[write.end as usize + 1] += 1;
        }
        for end in 1..starts.len() {
            starts[end] += starts[end - 1];
        }
        let mut next = starts.clone();
        self.writes = vec![(0, 0); writes.len()];
        for write in writes {
            let slot = &mut next[write.end as usize];
            self.writes[*slot as usize] = (write.from, write.node);
            *slot += 1;
        }
        self.write_starts = starts;
    }

    fn writes_of(&self, end: usize) -> &[(u64, u32)] {
        let (from, to) = (self.write_starts[end], self.write_starts[end + 1]);
        &self.writes[from as usize..to as usize]
    }

    /// What was written → what was read.
    fn payload(&mut self) {
        self.writes_by_end();
        let credits = std::mem::take(&mut self.gathered.credits);
        for credit in credits {
            let certain = self.cause(credit, credit.certain);
            let is_certain =
                |end: &End, why| credit.is_certain && (!end.is_shared || why != Why::Payload);
            match certain {
                Some((from, why)) if is_certain(self.peer_of(credit), why) => {
                    self.edge(from, credit.reader, why);
                }
                Some((from, _)) => self.gathered.in_run.push((credit.reader, from)),
                None => {}
            }
            if credit.all > credit.certain
                && let Some((from, _)) = self.cause(credit, credit.all)
            {
                self.gathered.in_run.push((credit.reader, from));
            }
        }
    }

    /// The end that was read from: there is one if there is a cause.
    fn peer_of(&self, credit: Credit) -> &End {
        let peer = self.peer[credit.end as usize].unwrap_or(credit.end);
        &self.gathered.ends[peer as usize]
    }

    /// The latest that the other end did before so many bytes of it could be read.
    fn cause(&self, credit: Credit, bytes: u64) -> Option<(u32, Why)> {
        let index = self.peer[credit.end as usize]? as usize;
        let peer = &self.gathered.ends[index];
        if !peer.opaque {
            if let Some((w, node)) = peer.shutdown
                && bytes > w
            {
                return Some((node, Why::Eof));
            }
            // A reset is read as the end of the stream, too, whatever was not read before it.
            if let Some((w, node)) = peer.close
                && (bytes > w || credit.eof)
            {
                return Some((node, Why::Eof));
            }
            if credit.eof
                && peer.shutdown.is_none()
                && let Some(&kill) = self.kills.get(&peer.process)
            {
                return Some((kill, Why::Killed));
            }
        }
        let bytes = match credit.eof && self.vanished.contains(&peer.process) {
            true => bytes - 1,
            false => bytes,
        };
        let writes = self.writes_of(index);
        let written = writes.partition_point(|&(from, _)| from < bytes);
        let (_, node) = *writes.get(written.checked_sub(1)?)?;
        Some((node, Why::Payload))
    }

    /// What a task waited for → what it did next.
    fn awaited(&mut self) {
        let learned = std::mem::take(&mut self.gathered.learned);
        for (event, to, is_certain) in learned {
            let from = self
                .processes
                .get(event.process as usize)
                .and_then(|process| {
                    let index = process.records.binary_search_by_key(&event.n, |r| r.n);
                    Some(self.firsts[event.process as usize] + index.ok()? as u32)
                });
            match from {
                Some(from) if is_certain => self.edge(from, to, Why::Awaited),
                Some(from) => self.gathered.in_run.push((to, from)),
                None => {
                    let process = self.process_of(to) as usize;
                    let name = process::name(&self.processes[process]);
                    let text = format!(
                        "{name} names event [{},{}] as a cause, but no process has reported it",
                        event.process, event.n
                    );
                    self.gathered.problems.blame(vec![process], text);
                }
            }
        }
    }

    /// Two processes that say they are the same host at the same time.
    fn claims(&mut self) {
        let mut claims: BTreeMap<&str, Vec<(usize, u64, u64)>> = BTreeMap::new();
        let lives = &self.gathered.lives;
        for (at, &node) in lives.iter().enumerate() {
            let What::Up { host: h } = self.what(node) else {
                continue;
            };
            let process = self.process_of(node);
            let later = lives[at + 1..].iter().copied();
            let down = later
                .take_while(|&later| self.process_of(later) == process)
                .find(|&later| matches!(self.what(later), What::Down { host: down } if down == h));
            let last = self.gathered.latest[process as usize];
            let until = down.map_or(last, |down| self.record(down).t);
            let claim = (process as usize, self.record(node).t, until);
            claims.entry(h).or_default().push(claim);
        }
        for (host, mut claims) in claims {
            claims.sort_by_key(|&(index, from, _)| (from, index));
            for pair in claims.windows(2) {
                let [(a, _, until), (b, from, _)] = pair else {
                    continue;
                };
                if a != b && from < until {
                    let text = format!(
                        "process {} and process {} both say they are host {host}; what both \
                         report is kept",
                        self.processes[*a].pid, self.processes[*b].pid
                    );
                    self.gathered.problems.blame(vec![*a, *b], text);
                }
            }
        }
    }
}
