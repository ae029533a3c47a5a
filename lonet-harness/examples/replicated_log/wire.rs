//! What goes over a connection: requests one way, replies the other, a line of JSON each.
//!
//! Owns the lines, and what a client does with them. What they mean is `rules`' business.

use lonet::{Host, Stream};
use lonet_harness::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use crate::rules::{Append, Candidacy};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Of a member to another.
    Vote(Candidacy),
    /// Of the leader to another.
    Append(Append),
    /// Of a client. It has a connection of its own, and the reply ends that.
    Write(String),
    Read,
}

/// To a client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// What it wrote will never be lost.
    Acknowledged {
        index: usize,
    },
    Log(Vec<String>),
    NotTheLeader,
}

/// A connection that carries lines.
pub(crate) type Lines = BufReader<Stream>;

pub(crate) fn lines(stream: Stream) -> Lines {
    BufReader::new(stream)
}

pub(crate) async fn send(
    to: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> Result<()> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    Ok(to.write_all(line.as_bytes()).await?)
}

pub(crate) async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
) -> Result<T> {
    let mut line = String::new();
    if from.read_line(&mut line).await? == 0 {
        return Err("the other end hung up".into());
    }
    Ok(serde_json::from_str(&line)?)
}

/// One request, and its answer.
pub(crate) async fn ask<T: DeserializeOwned>(lines: &mut Lines, request: &Request) -> Result<T> {
    send(lines, request).await?;
    receive(lines).await
}

/// Writes an entry to the log, and returns its index once a majority has stored it.
pub(crate) async fn write(client: &Host, leader: &str, text: &str) -> Result<usize> {
    match call(client, leader, &Request::Write(text.to_owned())).await? {
        Reply::Acknowledged { index } => {
            client.mark(format!("acknowledged index={index}"));
            Ok(index)
        }
        other => Err(format!("{leader} answered a write with {other:?}").into()),
    }
}

/// All that clients wrote.
pub(crate) async fn read(client: &Host, leader: &str) -> Result<Vec<String>> {
    match call(client, leader, &Request::Read).await? {
        Reply::Log(texts) => {
            client.mark(format!("read {}", texts.join(" ")));
            Ok(texts)
        }
        other => Err(format!("{leader} answered a read with {other:?}").into()),
    }
}

async fn call(client: &Host, leader: &str, request: &Request) -> Result<Reply> {
    ask(&mut lines(client.dial(leader).await?), request).await
}
