//! One member: an openraft node with openraft's own in-memory store, served over lonet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lonet::{Host, Stream};
use lonet_harness::Result;
use openraft::storage::Adaptor;
use openraft::{Config, Raft, ServerState};
use openraft_memstore::{MemStore, TypeConfig};

use crate::client::{Call, Reply, Wish};
use crate::lines::Lines;
use crate::network::{Network, Request};
use crate::{MEMBERS, PORT};

#[derive(Clone)]
struct Member {
    host: Host,
    id: u64,
    raft: Raft<TypeConfig>,
    store: Arc<MemStore>,
}

/// Plays the member with that number, for ever. The one that founds the cluster tells openraft who
/// belongs to it, once the others are there.
pub(crate) async fn run(host: Host, id: u64, founds: bool) -> Result<()> {
    let config = Config {
        heartbeat_interval: 100,
        election_timeout_min: 500,
        election_timeout_max: 1000,
        ..Config::default()
    };
    let store = MemStore::new_async().await;
    let (log, machine) = Adaptor::new(store.clone());
    let network = Network(host.clone());
    let raft = Raft::new(id, Arc::new(config.validate()?), network, log, machine).await?;
    let listener = host.listen(&format!(":{PORT}")).await?;
    tokio::spawn(announce(host.clone(), id, raft.clone()));
    tokio::spawn(show(host.clone(), raft.clone(), store.clone()));
    if founds {
        raft.initialize((1..=MEMBERS.len() as u64).collect::<BTreeSet<_>>())
            .await?;
    }
    let member = Member {
        host,
        id,
        raft,
        store,
    };
    loop {
        let stream = listener.accept().await?;
        tokio::spawn(member.clone().serve(stream));
    }
}

/// Marks when this member comes to lead.
async fn announce(host: Host, id: u64, raft: Raft<TypeConfig>) {
    let mut metrics = raft.metrics();
    let mut latest = 0;
    loop {
        let leads = metrics.wait_for(|now| {
            let leads = now.state == ServerState::Leader && now.current_leader == Some(id);
            leads && now.current_term > latest
        });
        match leads.await {
            Ok(now) => latest = now.current_term,
            // openraft has stopped.
            Err(_) => return,
        }
        host.mark(format!("leader term={latest}"));
    }
}

/// Marks what the member's store holds, whenever the member has applied something that changes it.
async fn show(host: Host, raft: Raft<TypeConfig>, store: Arc<MemStore>) {
    let mut metrics = raft.metrics();
    let mut applied = None;
    let mut held = BTreeMap::new();
    loop {
        match metrics.wait_for(|now| now.last_applied > applied).await {
            Ok(now) => applied = now.last_applied,
            // openraft has stopped.
            Err(_) => return,
        }
        let holds = store.get_state_machine().await.client_status;
        let holds: BTreeMap<String, String> = holds.into_iter().collect();
        for (key, value) in &holds {
            if held.get(key) != Some(value) {
                host.mark(format!("holds {key}={value}"));
            }
        }
        held = holds;
    }
}

impl Member {
    /// Serves one connection, of another member or of a client.
    async fn serve(self, stream: Stream) {
        let mut lines = Lines::over(stream);
        while let Ok(request) = lines.receive().await {
            let sent = match request {
                Request::Append(request) => {
                    lines.send(&self.raft.append_entries(request).await).await
                }
                Request::Vote(request) => lines.send(&self.raft.vote(request).await).await,
                Request::Snapshot(request) => {
                    lines.send(&self.raft.install_snapshot(request).await).await
                }
                Request::Client(call) => match self.client(call).await {
                    Some(reply) => lines.send(&reply).await,
                    None => return,
                },
            };
            if sent.is_err() {
                return;
            }
        }
    }

    /// What becomes of a client's wish, as soon as there is a leader. Nothing if openraft has
    /// stopped.
    async fn client(&self, call: Call) -> Option<Reply> {
        let mut metrics = self.raft.metrics();
        loop {
            let leader = metrics
                .wait_for(|now| now.current_leader.is_some() && now.current_leader != call.gone)
                .await
                .ok()?
                .current_leader?;
            if leader != self.id {
                return Some(Reply::Ask(leader));
            }
            // It may have ceased to lead meanwhile, or not reach a majority for the moment.
            match call.wish.clone() {
                Wish::Set(request) => {
                    let set = format!("{}={}", request.client, request.status);
                    if let Ok(done) = self.raft.client_write(request).await {
                        self.host.mark(format!("applied {set}"));
                        return Some(Reply::Done(done.data.0));
                    }
                }
                Wish::Get(key) => {
                    if self.raft.ensure_linearizable().await.is_ok() {
                        let machine = self.store.get_state_machine().await;
                        return Some(Reply::Done(machine.client_status.get(&key).cloned()));
                    }
                }
            }
        }
    }
}
