//! What an implementation of the network provides: names known to others, and its end.
//!
//! Owns the choice between loopback TCP and pipes in memory. The same choice for a dial is in
//! `carry`, for one connection in `io`: every difference is a match in these three files. Decides
//! nothing about ports or closing.

use std::sync::Arc;

use crate::error::Cause;
use crate::loopback::{Loopback, blocking};
use crate::pipes::Pipes;

/// What carries a network.
#[derive(Clone)]
pub(crate) enum Engine {
    /// Kernel TCP, shared with other processes.
    Loopback(Arc<Loopback>),
    /// Memory of this process.
    Pipes(Arc<Pipes>),
}

/// A host's name, known to the whole network; given up on drop unless kept.
pub(crate) struct Announced {
    engine: Engine,
    name: Option<Arc<str>>,
}

impl Announced {
    /// The name stays until it is withdrawn.
    pub(crate) fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.engine.withdraw_now(&name);
        }
    }
}

impl Engine {
    /// Makes a host's name known to the whole network, if no living host has it.
    pub(crate) async fn announce(&self, name: Arc<str>) -> Result<Announced, Cause> {
        let engine = self.clone();
        match self {
            Engine::Loopback(loopback) => {
                let loopback = loopback.clone();
                // The guard is made where the name is: if the caller is gone, it is withdrawn.
                blocking(move || {
                    loopback.announce(&name)?;
                    Ok(Announced {
                        engine,
                        name: Some(name),
                    })
                })
                .await?
            }
            Engine::Pipes(pipes) => {
                pipes.announce(&name)?;
                Ok(Announced {
                    engine,
                    name: Some(name),
                })
            }
        }
    }

    /// The names of all hosts that were ever announced, in order.
    pub(crate) async fn names(&self) -> Result<Vec<String>, Cause> {
        match self {
            Engine::Loopback(loopback) => {
                let loopback = loopback.clone();
                blocking(move || loopback.names()).await?
            }
            Engine::Pipes(pipes) => Ok(pipes.all_names()),
        }
    }

    /// Makes a name free for others: now, or as soon as that is possible without waiting here.
    pub(crate) fn withdraw_now(&self, name: &str) {
        match self {
            Engine::Loopback(loopback) => loopback.withdraw_now(name),
            Engine::Pipes(pipes) => pipes.withdraw(name),
        }
    }

    /// Makes a name free for others. Happens even if the future is dropped.
    pub(crate) async fn withdraw(&self, name: &str) -> Result<(), Cause> {
        match self {
            Engine::Loopback(loopback) => {
                // From now on this subnetwork can have it again.
                loopback.give_back(name);
                let loopback = loopback.clone();
                blocking(move || loopback.withdraw()).await
            }
            Engine::Pipes(pipes) => {
                pipes.withdraw(name);
                Ok(())
            }
        }
    }

    /// From now on no dial is let in. Does not wait.
    pub(crate) fn shut(&self) {
        match self {
            Engine::Loopback(loopback) => loopback.shut(),
            Engine::Pipes(_) => {}
        }
    }

    /// Forgets what other processes know of this subnetwork: now, or as soon as that is possible
    /// without waiting here.
    pub(crate) fn leave_now(&self) {
        match self {
            Engine::Loopback(loopback) => loopback.leave_now(),
            Engine::Pipes(_) => {}
        }
    }

    /// The same, and waits until it is done. Happens even if the future is dropped.
    pub(crate) async fn leave(&self) -> Result<(), Cause> {
        match self {
            Engine::Loopback(loopback) => {
                let loopback = loopback.clone();
                blocking(move || loopback.leave()).await
            }
            Engine::Pipes(_) => Ok(()),
        }
    }
}
