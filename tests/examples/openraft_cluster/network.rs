//! openraft's network over lonet: the one part of a store on openraft that knows how bytes travel.
//! Over TCP it would be the same but for the type of the connection.

use std::fmt;

use lonet::Host;
use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Unreachable,
};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{RaftNetwork, RaftNetworkFactory};
use openraft_memstore::TypeConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::address;
use crate::client::Call;
use crate::lines::Lines;

/// What may come over a connection to a member.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<u64>),
    Snapshot(InstallSnapshotRequest<TypeConfig>),
    Client(Call),
}

/// What openraft asks for connections.
pub(crate) struct Network(pub(crate) Host);

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, _node: &()) -> Peer {
        Peer {
            host: self.0.clone(),
            target,
            lines: None,
        }
    }
}

/// Another member, and the connection to it, once there is one.
pub(crate) struct Peer {
    host: Host,
    target: u64,
    lines: Option<Lines>,
}

impl Peer {
    /// openraft drops this future when it takes too long. So the connection is taken out, and put
    /// back when the answer is there: one on which an answer is still due is of no further use.
    async fn call<T, E>(&mut self, request: &Request) -> Result<T, RPCError<u64, (), E>>
    where
        T: DeserializeOwned,
        E: std::error::Error + DeserializeOwned,
    {
        let mut lines = match self.lines.take() {
            Some(lines) => lines,
            None => Lines::dial(&self.host, &address(self.target))
                .await
                .map_err(|error| Unreachable::new(&Failed(error.to_string())))?,
        };
        let answer: Result<T, E> = lines
            .ask(request)
            .await
            .map_err(|error| NetworkError::new(&Failed(error.to_string())))?;
        self.lines = Some(lines);
        answer.map_err(|error| RemoteError::new(self.target, error).into())
    }
}

impl RaftNetwork<TypeConfig> for Peer {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, (), RaftError<u64>>> {
        self.call(&Request::Append(request)).await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, (), RaftError<u64>>> {
        self.call(&Request::Vote(request)).await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RPCError<u64, (), RaftError<u64, InstallSnapshotError>>>
    {
        self.call(&Request::Snapshot(request)).await
    }
}

/// A failure as openraft takes them: it must be an error by itself.
#[derive(Debug)]
struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}
