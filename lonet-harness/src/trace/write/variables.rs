//! What the variables of an old text stand for, beyond the numbers of one run: which allocation, if
//! the port that it took raced. By chance two have the same number, and in the next run not.
//!
//! Pure. Owns that distinction; which ports raced is `racing_ports`' business.

use crate::trace::expected::grammar::{Port, Shape};
use crate::trace::happened::racing_ports::Raced;

/// By variable: the raced allocation that it stands for, or that its port did not race. `None`
/// where it has stood for no port yet.
pub(crate) struct Meanings(Vec<Option<Option<u32>>>);

impl Meanings {
    pub(crate) fn new(variables: usize) -> Meanings {
        Meanings(vec![None; variables])
    }

    /// Whether the variables of a line may stand for these ports.
    pub(crate) fn allow(&self, shape: &Shape, raced: Raced) -> bool {
        let known = |(variable, means): &(u32, Option<u32>)| {
            self.0[*variable as usize].is_none_or(|known| known == *means)
        };
        match ports(shape, raced) {
            [Some(one), Some(two)] if one.0 == two.0 && one.1 != two.1 => false,
            ports => ports.iter().flatten().all(known),
        }
    }

    /// From now on they do.
    pub(crate) fn learn(&mut self, shape: &Shape, raced: Raced) {
        for (variable, means) in ports(shape, raced).into_iter().flatten() {
            self.0[variable as usize].get_or_insert(means);
        }
    }
}

/// The variables that stand for ports, each with the allocation.
fn ports(shape: &Shape, (subject, peer): Raced) -> [Option<(u32, Option<u32>)>; 2] {
    let variable = |port: Option<Port>, raced| match port {
        Some(Port::Variable(variable)) => Some((variable, raced)),
        _ => None,
    };
    let peer_port = shape.peer.map(|(_, port)| port);
    [variable(shape.port, subject), variable(peer_port, peer)]
}
