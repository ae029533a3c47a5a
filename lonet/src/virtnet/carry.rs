//! How a dial reaches who listens there, by each engine.
//!
//! Owns what an engine and the hosts of this process have to do with each other in a dial. Its port
//! and its end are `dial`'s.

use super::engine::Engine;
use super::io::{Io, Knock};
use super::net::Net;
use crate::addr::Addr;
use crate::call::Call;
use crate::error::Cause;
use crate::loopback::Answered;

/// A dial that was answered.
pub(super) struct Carried {
    pub(super) io: Io,
    /// The accepting end.
    pub(super) peer: Addr,
    /// The connection's key, if the network is traced.
    pub(super) key: Option<String>,
}

impl Net {
    /// Carries a dial to where its address is served, and waits for the answer.
    pub(super) async fn carry(&self, call: &Call<'_>) -> Result<Carried, Cause> {
        let host = call.dst.host();
        match &self.engine {
            Engine::Loopback(loopback) => {
                // Of a host that was served here, we know whether it still is.
                let known = loopback.known(host, || self.has(host));
                let Answered { stream, peer, key } = loopback.carry(call, known).await?;
                Ok(Carried {
                    io: Io::Tcp(stream),
                    peer,
                    key,
                })
            }
            Engine::Pipes(pipes) => {
                let (caller, answered) = pipes.dials(call.src, host)?;
                let key = call.linked(|| caller.key());
                if self.knock(call.dst, Knock::Pipe(caller)).is_err() {
                    return Err(Cause::ConnectionRefused);
                }
                // A listener that goes without an answer refuses.
                let (end, peer) = answered.await.unwrap_or(Err(Cause::ConnectionRefused))?;
                Ok(Carried {
                    io: Io::Pipe(end),
                    peer,
                    key,
                })
            }
        }
    }
}
