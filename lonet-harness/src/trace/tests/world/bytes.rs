//! What a simulated connection does with bytes: writing, reading, and the end of both.

use super::*;

impl Task {
    fn has_read(&mut self, read: ReadCredit) {
        self.knowledge += 1;
        let reads = match self.unordered {
            true => &mut self.reads_beside,
            false => &mut self.reads,
        };
        reads.insert(read.socket, read);
    }
}

impl World {
    pub(in crate::trace::tests) fn write(&mut self, task: T, end: End, bytes: u64) {
        let knowledge = self.tasks.entry(task).or_default().knowledge;
        let state = &self.ends[end.0];
        if state.noted != Some((task, knowledge)) {
            let (s, w) = (state.s, state.written);
            let mut more = state.created.clone();
            more.extend(state.writing.iter().copied());
            let id = self.record(
                Some(task),
                What::Note {
                    socket: s,
                    written: w,
                },
                &more,
            );
            // As the reporter has it: what the task knew before the note is what it has noted.
            self.ends[end.0].noted = Some((task, knowledge));
            self.ends[end.0].writing = self.with(id);
        }
        let known = self.ends[end.0].writing.clone();
        let state = &mut self.ends[end.0];
        state.written += bytes;
        state.segments.push((state.written, known));
    }

    /// How much there is to read.
    pub(in crate::trace::tests) fn readable(&self, end: End) -> u64 {
        let state = &self.ends[end.0];
        state
            .peer
            .map_or(0, |peer| self.ends[peer].written - state.read)
    }

    pub(in crate::trace::tests) fn at_eof(&self, end: End) -> bool {
        let peer = self.ends[end.0].peer;
        self.readable(end) == 0 && peer.is_some_and(|peer| self.ends[peer].fin.is_some())
    }

    /// Reads so many bytes at once; none is EOF.
    pub(in crate::trace::tests) fn read(&mut self, task: T, end: End, bytes: u64) {
        self.settle(task, end);
        let peer = self.ends[end.0].peer.unwrap();
        let state = &mut self.ends[end.0];
        let before = state.read;
        state.read += bytes;
        let (s, all) = (state.s, state.read);
        state.unsettled = (bytes > 1).then_some(task);
        let mut learned = state.created.clone();
        let peer = &self.ends[peer];
        let mut from = 0;
        for (to, known) in &peer.segments {
            if from < all && (*to > before) {
                learned.extend(known.iter().copied());
            }
            from = *to;
        }
        if bytes == 0 {
            learned.extend(peer.fin.iter().flatten().copied());
        }
        self.ends[end.0].reading.extend(learned.iter().copied());
        let task = self.tasks.entry(task).or_default();
        task.all.extend(learned.iter().copied());
        if !task.unordered {
            task.known.extend(learned);
        }
        let certain = before + 1;
        task.has_read(ReadCredit {
            socket: s,
            certain,
            all,
        });
    }

    /// Writes so many bytes, in a process that records data.
    pub(in crate::trace::tests) fn send(&mut self, task: T, end: End, bytes: u64) {
        let state = &self.ends[end.0];
        let what = What::Send {
            addr: state.addr.clone(),
            peer: state.to.clone(),
            socket: state.s,
            written: state.written,
            bytes,
        };
        let mut more = state.created.clone();
        more.extend(state.writing.iter().copied());
        let id = self.record(Some(task), what, &more);
        let knowledge = self.tasks.entry(task).or_default().knowledge;
        self.ends[end.0].noted = Some((task, knowledge));
        self.ends[end.0].writing = self.with(id);
        self.write(task, end, bytes);
    }

    /// Reads so many bytes at once, in a process that records data.
    pub(in crate::trace::tests) fn receive(&mut self, task: T, end: End, bytes: u64) -> EventId {
        self.read(task, end, bytes);
        let state = &self.ends[end.0];
        let what = What::Recv {
            addr: state.addr.clone(),
            peer: state.to.clone(),
            socket: state.s,
            bytes,
        };
        let more = state.reading.clone();
        self.record(Some(task), what, &more)
    }

    /// The task comes back to read: what it read before is certain.
    pub(in crate::trace::tests) fn settle(&mut self, task: T, end: End) {
        let state = &mut self.ends[end.0];
        if state.unsettled == Some(task) {
            state.unsettled = None;
            let (s, all) = (state.s, state.read);
            let certain = all;
            let task = self.tasks.entry(task).or_default();
            task.has_read(ReadCredit {
                socket: s,
                certain,
                all,
            });
        }
    }

    pub(in crate::trace::tests) fn shutdown(&mut self, task: T, end: End) {
        let state = &mut self.ends[end.0];
        state.shut = true;
        let (a, p, s, w) = (state.addr.clone(), state.to.clone(), state.s, state.written);
        let mut more = state.created.clone();
        more.extend(state.writing.iter().copied());
        let id = self.record(
            Some(task),
            What::Shutdown {
                addr: a,
                peer: p,
                socket: s,
                written: w,
            },
            &more,
        );
        self.ends[end.0].writing = self.with(id);
        self.ends[end.0].fin = Some(self.with(id));
    }

    pub(in crate::trace::tests) fn close(&mut self, task: T, end: End) {
        self.close_by(Some(task), end);
    }

    /// With no task: lonet itself closes.
    pub(in crate::trace::tests) fn close_by(&mut self, task: Option<T>, end: End) {
        let state = &mut self.ends[end.0];
        state.open = false;
        let (a, s, w) = (state.addr.clone(), state.s, state.written);
        let (process, port) = (state.process, a.port());
        let mut more = state.created.clone();
        more.extend(state.writing.iter().copied());
        more.extend(state.reading.iter().copied());
        let what = What::Close {
            addr: a,
            peer: Some(state.to.clone()),
            socket: s,
            written: w,
        };
        let id = self.record_in(process, task, what, &more);
        let known = self.with(id);
        let fin = &mut self.ends[end.0].fin;
        if fin.is_none() {
            *fin = Some(known);
        }
        self.free(process, port, id);
    }
}
