//! How simulated connections come about: listening, dialing, accepting, and the ports of each.

use super::*;

impl World {
    pub(in crate::trace::tests) fn listen(&mut self, task: T, port: u16) -> Listener {
        assert!(self.processes[task.0].ports.insert(port));
        self.listen_at(task, port, false)
    }

    /// At the lowest free port.
    pub(in crate::trace::tests) fn listen_any(&mut self, task: T) -> Listener {
        let port = self.lowest(task.0);
        self.listen_at(task, port, true)
    }

    fn listen_at(&mut self, task: T, port: u16, auto: bool) -> Listener {
        let T(process, _) = task;
        let a = addr(&self.processes[process].host, port);
        let s = self.socket(process);
        // Of an automatic port another would have done.
        let freed = match auto {
            true => Known::new(),
            false => self.freed(process, port),
        };
        let what = What::Listen {
            addr: a.clone(),
            socket: s,
            auto,
        };
        let id = self.record(Some(task), what, &freed);
        self.listeners.push(ListenerState {
            process,
            s,
            addr: a,
            known: self.with(id),
            open: true,
        });
        Listener(self.listeners.len() - 1)
    }

    pub(in crate::trace::tests) fn address(&self, listener: Listener) -> String {
        self.listeners[listener.0].addr.to_string()
    }

    pub(in crate::trace::tests) fn close_listener(&mut self, task: T, listener: Listener) {
        self.close_listener_by(Some(task), listener);
    }

    /// With no task: lonet itself closes.
    pub(in crate::trace::tests) fn close_listener_by(
        &mut self,
        task: Option<T>,
        listener: Listener,
    ) {
        let state = &mut self.listeners[listener.0];
        state.open = false;
        let (a, s, known, process) = (
            state.addr.clone(),
            state.s,
            state.known.clone(),
            state.process,
        );
        let port = a.port();
        let what = What::Close {
            addr: a,
            peer: None,
            socket: s,
            written: 0,
        };
        let id = self.record_in(process, task, what, &known);
        self.free(process, port, id);
    }

    pub(in crate::trace::tests) fn dial(&mut self, task: T, to: &str) -> Dial {
        let T(process, _) = task;
        let port = self.lowest(process);
        let a = addr(&self.processes[process].host, port);
        let p: Addr = to.parse().unwrap();
        let what = What::Dial {
            addr: a.clone(),
            peer: p.clone(),
        };
        let id = self.record(Some(task), what, &Known::new());
        let key = format!("c{}", self.dials.len());
        self.record(
            Some(task),
            What::Link {
                dial: id.n,
                key: key.clone(),
            },
            &Known::new(),
        );
        self.dials.push(DialState {
            process,
            addr: a,
            to: p,
            n: id.n,
            key,
            known: self.with(id),
            accepted: None,
            done: false,
        });
        Dial(self.dials.len() - 1)
    }

    pub(in crate::trace::tests) fn fail(&mut self, task: T, dial: Dial, cause: &str) {
        let state = &mut self.dials[dial.0];
        state.done = true;
        let what = What::Fail {
            addr: state.addr.clone(),
            peer: state.to.clone(),
            dial: state.n,
            text: cause.to_owned(),
        };
        let (known, process, port) = (state.known.clone(), state.process, state.addr.port());
        let id = self.record(Some(task), what, &known);
        self.free(process, port, id);
    }

    pub(in crate::trace::tests) fn accept(
        &mut self,
        task: T,
        listener: Listener,
        dial: Dial,
    ) -> End {
        let T(process, _) = task;
        let port = self.lowest(process);
        let a = addr(&self.processes[process].host, port);
        let s = self.socket(process);
        let mut more = self.listeners[listener.0].known.clone();
        more.extend(self.dials[dial.0].known.iter().copied());
        let p = self.dials[dial.0].addr.clone();
        let what = What::Accept {
            addr: a.clone(),
            peer: p.clone(),
            listener: self.listeners[listener.0].s,
            socket: s,
            key: self.dials[dial.0].key.clone(),
        };
        let id = self.record(Some(task), what, &more);
        let end = self.end(process, s, a, p, id);
        self.dials[dial.0].accepted = Some(end.0);
        end
    }

    pub(in crate::trace::tests) fn connect(&mut self, task: T, dial: Dial) -> End {
        let T(process, _) = task;
        let state = &mut self.dials[dial.0];
        state.done = true;
        let accepted = state.accepted.unwrap();
        let (a, p, d) = (
            state.addr.clone(),
            self.ends[accepted].addr.clone(),
            state.n,
        );
        let c = state.key.clone();
        let mut more = state.known.clone();
        more.extend(self.ends[accepted].created.iter().copied());
        let s = self.socket(process);
        let what = What::Connect {
            addr: a.clone(),
            peer: p.clone(),
            dial: d,
            socket: s,
            key: c,
        };
        let id = self.record(Some(task), what, &more);
        let end = self.end(process, s, a, p, id);
        self.ends[end.0].peer = Some(accepted);
        self.ends[accepted].peer = Some(end.0);
        end
    }

    fn end(&mut self, process: usize, s: u64, addr: Addr, to: Addr, created: EventId) -> End {
        self.ends.push(EndState {
            process,
            s,
            addr,
            to,
            created: self.with(created),
            peer: None,
            written: 0,
            segments: Vec::new(),
            writing: Known::new(),
            reading: Known::new(),
            noted: None,
            read: 0,
            unsettled: None,
            fin: None,
            open: true,
            shut: false,
        });
        End(self.ends.len() - 1)
    }

    fn socket(&mut self, process: usize) -> u64 {
        self.processes[process].sockets += 1;
        self.processes[process].sockets
    }

    fn lowest(&mut self, process: usize) -> u16 {
        let ports = &mut self.processes[process].ports;
        let port = (1..).find(|port| !ports.contains(port)).unwrap();
        ports.insert(port);
        port
    }

    fn freed(&self, process: usize, port: u16) -> Known {
        let freed = self.processes[process].freed.get(&port);
        freed.cloned().unwrap_or_default()
    }
}
