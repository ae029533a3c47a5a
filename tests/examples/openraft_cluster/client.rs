//! A client of the store: finds the leader, and outlives it.
//!
//! It never sleeps: a member that is asked answers once it knows of a leader. A member that is cut off
//! never answers; after a time, the client asks another one, with the same serial number, so that
//! what was applied and not acknowledged is not applied again.

use std::time::Duration;

use lonet::Host;
use lonet_harness::Result;
use openraft_memstore::ClientRequest;
use serde::{Deserialize, Serialize};

use crate::lines::Lines;
use crate::network::Request;
use crate::{MEMBERS, address};

/// After that time without an answer, the client asks another member. An election takes less.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a client asks of a member.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) wish: Wish,
    /// A leader that the client knows to be gone, whatever the member believes.
    pub(crate) gone: Option<u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Wish {
    Set(ClientRequest),
    Get(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// What was there before it was set, or what is there.
    Done(Option<String>),
    /// That one leads.
    Ask(u64),
}

pub(crate) struct Client {
    host: Host,
    serial: u64,
    /// Who led when it last asked.
    leader: u64,
}

impl Client {
    pub(crate) fn new(host: Host) -> Client {
        Client {
            host,
            serial: 0,
            leader: 1,
        }
    }

    pub(crate) async fn set(&mut self, key: &str, value: &str) -> Result<()> {
        self.serial += 1;
        let request = ClientRequest {
            client: key.to_owned(),
            serial: self.serial,
            status: value.to_owned(),
        };
        self.call(Wish::Set(request)).await?;
        let leader = self.leader();
        self.host.mark(format!("wrote {key}={value} at={leader}"));
        Ok(())
    }

    pub(crate) async fn get(&mut self, key: &str) -> Result<Option<String>> {
        let value = self.call(Wish::Get(key.to_owned())).await?;
        let (shown, leader) = (value.as_deref().unwrap_or_default(), self.leader());
        self.host.mark(format!("read {key}={shown} at={leader}"));
        Ok(value)
    }

    /// The host that answered the last request.
    pub(crate) fn leader(&self) -> &'static str {
        MEMBERS[self.leader as usize - 1]
    }

    async fn call(&mut self, wish: Wish) -> Result<Option<String>> {
        let mut gone = None;
        loop {
            let call = Call {
                wish: wish.clone(),
                gone,
            };
            match self.ask(call).await {
                Ok(Reply::Done(value)) => return Ok(value),
                Ok(Reply::Ask(leader)) => self.leader = leader,
                Err(_) => {
                    gone = Some(self.leader);
                    self.leader = self.leader % MEMBERS.len() as u64 + 1;
                }
            }
        }
    }

    async fn ask(&self, call: Call) -> Result<Reply> {
        let asking = async {
            let mut lines = Lines::dial(&self.host, &address(self.leader)).await?;
            lines.ask(&Request::Client(call)).await
        };
        tokio::time::timeout(PATIENCE, asking).await?
    }
}
