//! How a dial reaches its listener, by each engine.
//!
//! Owns what an engine and the hosts of this process have to do with each other in a dial. Its port
//! and its end are `dial`'s.

use std::sync::Arc;

use super::engine::Engine;
use super::io::{Io, Knock};
use super::net::Net;
use crate::addr::Addr;
use crate::call::Call;
use crate::error::Cause;
use crate::loopback::{Answered, Loopback};
use crate::pipes::{Awaited, Caller};

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
                if self.is_carried
                    && let Some(carried) = self.carry_beside(loopback, call).await?
                {
                    return Ok(carried);
                }
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
                Carried::by(answered, key).await
            }
        }
    }

    /// The same in memory, if the address is served by another subnetwork that this process carries.
    async fn carry_beside(
        &self,
        loopback: &Arc<Loopback>,
        call: &Call<'_>,
    ) -> Result<Option<Carried>, Cause> {
        let host = call.dst.host();
        let (net, at) = match self.beside_with(host) {
            Some(found) => found,
            None => {
                let at = loopback.look_up(host).await?;
                // It may have come meanwhile.
                match Net::beside(at) {
                    Some(net) => (net, at),
                    None => return Ok(None),
                }
            }
        };
        let (caller, answered) = Caller::between(call.src, loopback.osladdr(), at);
        let key = call.linked(|| caller.key());
        let (own, dst) = (Arc::downgrade(&net), call.dst.clone());
        // While nothing may leave that process, no refusal does.
        net.effect(move || {
            if let Some(net) = own.upgrade()
                && let Err(knock) = net.knock(&dst, Knock::Pipe(caller))
            {
                knock.refuse(&Cause::ConnectionRefused);
            }
        });
        // A dial that waits must not keep a subnetwork open.
        drop(net);
        Carried::by(answered, key).await.map(Some)
    }
}

impl Carried {
    /// In memory, once it is answered.
    async fn by(answered: Awaited, key: Option<String>) -> Result<Carried, Cause> {
        // A listener that goes without an answer refuses.
        let (end, peer) = answered.await.unwrap_or(Err(Cause::ConnectionRefused))?;
        Ok(Carried {
            io: Io::Pipe(end),
            peer,
            key,
        })
    }
}
