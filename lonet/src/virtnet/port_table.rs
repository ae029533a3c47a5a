//! Which ports of a host are taken, by what, and which free one is the lowest.
//!
//! Pure. Owns the numbers; what occupies a port is the caller's.

use std::collections::{BTreeMap, BTreeSet};

/// Ports 1 to 65535 of one host. Taking the lowest free one costs O(log n).
pub(crate) struct PortTable<T> {
    taken: BTreeMap<u16, T>,
    /// Free ports below `fresh`.
    freed: BTreeSet<u16>,
    /// From here on, a port is free unless it is in `taken`. Past the last port: 65536.
    fresh: u32,
}

impl<T> PortTable<T> {
    pub(crate) fn new() -> PortTable<T> {
        PortTable {
            taken: BTreeMap::new(),
            freed: BTreeSet::new(),
            fresh: 1,
        }
    }

    /// The lowest free port, which stays free.
    pub(crate) fn lowest_free(&mut self) -> Option<u16> {
        if let Some(&port) = self.freed.first() {
            return Some(port);
        }
        // Each port is stepped over at most once: below `fresh` the set knows better.
        loop {
            let port = u16::try_from(self.fresh).ok()?;
            if !self.taken.contains_key(&port) {
                return Some(port);
            }
            self.fresh += 1;
        }
    }

    /// Takes that port. `false`: it is port 0, or taken.
    pub(crate) fn take(&mut self, port: u16, by: T) -> bool {
        if port == 0 || self.taken.contains_key(&port) {
            return false;
        }
        if u32::from(port) == self.fresh {
            self.fresh += 1;
        } else {
            self.freed.remove(&port);
        }
        self.taken.insert(port, by);
        true
    }

    /// What has taken the port.
    pub(crate) fn occupant(&self, port: u16) -> Option<&T> {
        self.taken.get(&port)
    }

    /// Puts something else in the place of what has taken the port. `false`: it is free.
    pub(crate) fn replace(&mut self, port: u16, by: T) -> bool {
        let Some(occupant) = self.taken.get_mut(&port) else {
            return false;
        };
        *occupant = by;
        true
    }

    /// Frees a port.
    pub(crate) fn free(&mut self, port: u16) -> Option<T> {
        let occupant = self.taken.remove(&port)?;
        if u32::from(port) < self.fresh {
            self.freed.insert(port);
        }
        Some(occupant)
    }

    /// Empties the table: what had taken the ports, from the lowest on.
    pub(crate) fn drain(&mut self) -> BTreeMap<u16, T> {
        self.freed.clear();
        self.fresh = 1;
        std::mem::take(&mut self.taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take_lowest<T>(table: &mut PortTable<T>, by: T) -> Option<u16> {
        let port = table.lowest_free()?;
        assert!(table.take(port, by));
        Some(port)
    }

    #[derive(Clone, Debug)]
    enum Step {
        TakeLowest,
        Take(u16),
        Free(u16),
        FreeNth(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::TakeLowest),
            2 => (0u16..40).prop_map(Step::Take),
            1 => any::<u16>().prop_map(Step::Take),
            2 => (0u16..40).prop_map(Step::Free),
            2 => any::<usize>().prop_map(Step::FreeNth),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_table(steps in prop::collection::vec(step(), 0..200)) {
            let mut table = PortTable::new();
            let mut naive: BTreeMap<u16, usize> = BTreeMap::new();
            for (i, step) in steps.into_iter().enumerate() {
                match step {
                    Step::TakeLowest => {
                        let lowest = (1..=u16::MAX).find(|port| !naive.contains_key(port));
                        prop_assert_eq!(take_lowest(&mut table, i), lowest);
                        naive.extend(lowest.map(|port| (port, i)));
                    }
                    Step::Take(port) => {
                        let legal = port != 0 && !naive.contains_key(&port);
                        prop_assert_eq!(table.take(port, i), legal);
                        if legal {
                            naive.insert(port, i);
                        }
                    }
                    Step::Free(port) => prop_assert_eq!(table.free(port), naive.remove(&port)),
                    Step::FreeNth(nth) => {
                        if let Some(&port) = naive.keys().nth(nth % naive.len().max(1)) {
                            prop_assert_eq!(table.free(port), naive.remove(&port));
                        }
                    }
                }
            }
            prop_assert_eq!(table.drain(), naive);
            prop_assert_eq!(table.lowest_free(), Some(1));
        }
    }

    #[test]
    fn gives_out_every_port_once_and_no_more() {
        let mut table = PortTable::new();
        for expected in 1..=u16::MAX {
            assert_eq!(take_lowest(&mut table, ()), Some(expected));
        }
        assert_eq!(take_lowest(&mut table, ()), None);
        table.free(700);
        assert_eq!(take_lowest(&mut table, ()), Some(700));
        assert_eq!(take_lowest(&mut table, ()), None);
        table.free(65535);
        assert_eq!(take_lowest(&mut table, ()), Some(65535));
    }
}
