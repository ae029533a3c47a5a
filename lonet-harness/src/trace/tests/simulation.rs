//! Random executions: steps that a list of numbers chooses, whatever is possible at the time.

use super::world::{Dial, End, Listener, T, TEST, World};

/// What may be in an execution.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// Steps after which the reporter can't know everything: reads of several bytes at once,
    /// streams that tasks share, tasks with several operations pending, closes by lonet itself.
    pub(super) untraced: bool,
    /// The texts of marks are all different.
    pub(super) unique: bool,
}

/// Numbers from a seed, for executions that need no shrinking.
pub(super) fn numbers(seed: u64, count: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as u32
        })
        .collect()
}

/// Runs the steps that the numbers choose.
pub(super) fn simulate(numbers: &[u32], allowed: Allowed) -> World {
    let mut simulation = Simulation {
        world: World::new(),
        allowed,
        tasks: Vec::new(),
        listeners: Vec::new(),
        dials: Vec::new(),
        ends: Vec::new(),
        hosts: 0,
        marks: 0,
    };
    simulation.spawn();
    for &number in numbers {
        simulation.step(number);
    }
    simulation.world
}

struct Simulation {
    world: World,
    allowed: Allowed,
    tasks: Vec<T>,
    listeners: Vec<(T, Listener, String)>,
    /// Dialing task, dial, listener, accepted.
    dials: Vec<(T, Dial, usize, bool)>,
    ends: Vec<(T, End)>,
    hosts: usize,
    marks: usize,
}

/// One of them, and what is left of the number.
fn pick<X: Copy>(from: &[X], number: &mut u32) -> Option<X> {
    let chosen = from.get(*number as usize % from.len().max(1)).copied();
    *number /= from.len().max(1) as u32;
    chosen
}

impl Simulation {
    fn alive(&self) -> Vec<T> {
        let tasks = self.tasks.iter().copied();
        tasks.filter(|&task| !self.world.is_dead(task)).collect()
    }

    fn open(&self, of: Option<T>) -> Vec<(T, End)> {
        let mine = |task: T| of.is_none_or(|of| of.0 == task.0);
        let ends = self.ends.iter().copied();
        ends.filter(|&(task, end)| mine(task) && self.world.end_is_open(end))
            .collect()
    }

    /// Any task of the same process; where all is to be traced, the same: what tasks share orders
    /// little.
    fn sibling(&self, of: T, number: &mut u32) -> T {
        if !self.allowed.untraced {
            return of;
        }
        let tasks = self.tasks.iter().copied();
        let siblings: Vec<T> = tasks.filter(|task| task.0 == of.0).collect();
        pick(&siblings, number).unwrap_or(of)
    }

    fn spawn(&mut self) {
        if self.hosts < 4 {
            let host = ["α", "β", "γ", "δ"][self.hosts];
            self.hosts += 1;
            let task = self.world.spawn(host);
            self.tasks.push(task);
        }
    }

    fn mark(&mut self, task: T) {
        self.marks += 1;
        let text = match self.allowed.unique {
            true => format!("m{}", self.marks),
            false => ["x", "y"][self.marks % 2].to_owned(),
        };
        self.world.mark(task, &text);
    }

    fn step(&mut self, mut number: u32) {
        let number = &mut number;
        let kind = *number % 24;
        *number /= 24;
        let Some(task) = pick(&self.alive(), number) else {
            return;
        };
        match kind {
            0 => self.spawn(),
            1 => {
                let fresh = self.world.task(task);
                self.tasks.push(fresh);
            }
            2 => {
                let port = 1000 + self.listeners.len() as u16;
                let listener = match (*number).is_multiple_of(3) {
                    true => self.world.listen_any(task),
                    false => self.world.listen(task, port),
                };
                let addr = self.world.address(listener);
                self.listeners.push((task, listener, addr));
            }
            3..=5 => {
                let listeners: Vec<usize> = (0..self.listeners.len()).collect();
                if let Some(index) = pick(&listeners, number) {
                    let dial = self.world.dial(task, &self.listeners[index].2.clone());
                    self.dials.push((task, dial, index, false));
                }
            }
            6..=8 => self.accept(number),
            9..=11 => {
                let accepted = |index: &usize| {
                    let (task, _, _, accepted) = self.dials[*index];
                    accepted && !self.world.is_dead(task)
                };
                let dials: Vec<usize> = (0..self.dials.len()).filter(accepted).collect();
                if let Some(index) = pick(&dials, number) {
                    let (task, dial, _, _) = self.dials.remove(index);
                    let by = self.sibling(task, number);
                    let end = self.world.connect(by, dial);
                    self.ends.push((by, end));
                }
            }
            12..=13 => {
                if let Some((of, end)) = pick(&self.open(None), number)
                    && self.world.may_write(end)
                {
                    let by = self.sibling(of, number);
                    let most = if self.allowed.untraced { 3 } else { 1 };
                    self.world.write(by, end, 1 + u64::from(*number % most));
                }
            }
            14..=16 => self.read(number),
            17 => {
                if let Some((of, end)) = pick(&self.open(None), number)
                    && self.world.may_write(end)
                {
                    let by = self.sibling(of, number);
                    self.world.shutdown(by, end);
                }
            }
            18 => {
                if let Some((of, end)) = pick(&self.open(None), number) {
                    let by = self.sibling(of, number);
                    let nobody = self.allowed.untraced && (*number).is_multiple_of(3);
                    self.world.close_by((!nobody).then_some(by), end);
                }
            }
            19..=20 => self.mark(task),
            21 => {
                let of = pick(&self.alive(), number).unwrap_or(task);
                let event = self.world.latest(of);
                let by = if (*number).is_multiple_of(3) {
                    TEST
                } else {
                    task
                };
                if of.0 != by.0 {
                    self.world.until(by, event);
                }
            }
            22 => self.rarely(task, number),
            _ => {
                if self.allowed.untraced && (*number).is_multiple_of(4) {
                    let is_pending = !self.world.is_unordered(task);
                    self.world.unordered(task, is_pending);
                } else {
                    self.mark(task);
                }
            }
        }
    }

    fn accept(&mut self, number: &mut u32) {
        let waiting = |index: &usize| {
            let (_, _, listener, accepted) = self.dials[*index];
            let (owner, listener, _) = self.listeners[listener];
            !accepted && self.world.listener_is_open(listener) && !self.world.is_dead(owner)
        };
        let dials: Vec<usize> = (0..self.dials.len()).filter(waiting).collect();
        if let Some(index) = pick(&dials, number) {
            let (_, dial, listener, _) = self.dials[index];
            let (owner, listener, _) = self.listeners[listener];
            let by = self.sibling(owner, number);
            let end = self.world.accept(by, listener, dial);
            self.dials[index].3 = true;
            self.ends.push((by, end));
            if !self.allowed.untraced {
                self.mark(by);
            }
        }
    }

    fn read(&mut self, number: &mut u32) {
        let Some((of, end)) = pick(&self.open(None), number) else {
            return;
        };
        let by = self.sibling(of, number);
        let readable = self.world.readable(end);
        if readable > 0 {
            let bytes = match self.allowed.untraced {
                true => 1 + u64::from(*number) % readable,
                false => 1,
            };
            self.world.read(by, end, bytes);
        } else if self.world.at_eof(end) {
            self.world.read(by, end, 0);
        } else {
            return;
        }
        if !self.allowed.untraced {
            self.mark(by);
        }
    }

    fn rarely(&mut self, task: T, number: &mut u32) {
        match *number % 5 {
            0 => {
                self.world.kill(task);
            }
            1 => {
                let open = |index: &usize| {
                    let (owner, listener, _) = self.listeners[*index];
                    self.world.listener_is_open(listener) && !self.world.is_dead(owner)
                };
                let listeners: Vec<usize> = (0..self.listeners.len()).filter(open).collect();
                if let Some(index) = pick(&listeners, number) {
                    let (owner, listener, _) = self.listeners[index];
                    self.world.close_listener(owner, listener);
                }
            }
            2 => {
                let waits = |index: &usize| {
                    let (task, _, _, accepted) = self.dials[*index];
                    !accepted && !self.world.is_dead(task)
                };
                let dials: Vec<usize> = (0..self.dials.len()).filter(waits).collect();
                if let Some(index) = pick(&dials, number) {
                    let (task, dial, _, _) = self.dials.remove(index);
                    self.world.fail(task, dial, "connection refused");
                }
            }
            _ => self.mark(task),
        }
    }
}
