//! Length-prefixed frames: read to the byte, through a BufReader, and out of a BytesMut.

use bytes::{Buf, BytesMut};
use lonet::{Host, Stream};
use lonet_harness::{Result, Scenario, expect_file};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::play;

/// The prefix is written for itself, as with `write_u8`.
async fn send(to: &mut (impl AsyncWrite + Unpin), frame: &str) -> Result<()> {
    to.write_u8(u8::try_from(frame.len())?).await?;
    to.write_all(frame.as_bytes()).await?;
    to.flush().await?;
    Ok(())
}

async fn receive(from: &mut (impl AsyncRead + Unpin)) -> Result<String> {
    let mut frame = vec![0; usize::from(from.read_u8().await?)];
    from.read_exact(&mut frame).await?;
    Ok(String::from_utf8(frame)?)
}

/// Sends a burst with marks in it, then answers three requests, each twice.
async fn serves(host: &Host, conn: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<()> {
    for frame in ["welcome", "news"] {
        send(conn, frame).await?;
        host.mark(format!("sent {frame}"));
    }
    for _ in 0..3 {
        let frame = receive(conn).await?;
        host.mark(format!("got {frame}"));
        for answer in ["first", "second"] {
            send(conn, answer).await?;
            host.mark(format!("sent {answer} of {frame}"));
        }
    }
    Ok(())
}

async fn asks(host: &Host, conn: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<()> {
    for _ in 0..2 {
        let frame = receive(conn).await?;
        host.mark(format!("heard {frame}"));
    }
    for request in ["one", "two", "three"] {
        send(conn, request).await?;
        host.mark(format!("asked {request}"));
        for _ in 0..2 {
            let frame = receive(conn).await?;
            host.mark(format!("heard {frame} of {request}"));
        }
    }
    Ok(())
}

#[lonet::host]
async fn server(host: Host, buffered: bool) -> Result<()> {
    let mut conn = host.listen(":10").await?.accept().await?;
    match buffered {
        true => serves(&host, &mut BufReader::new(conn)).await,
        false => serves(&host, &mut conn).await,
    }
}

#[lonet::host]
async fn client(host: Host, buffered: bool) -> Result<()> {
    let mut conn = host.dial("s:10").await?;
    match buffered {
        true => asks(&host, &mut BufReader::new(conn)).await,
        false => asks(&host, &mut conn).await,
    }
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn unbuffered(scenario: Scenario) -> Result<()> {
    play(&scenario, server(false), vec![client(false)]).await?;
    scenario.assert_trace(expect_file!["texts/unbuffered.trace"]);
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn frames_through_a_buf_reader(scenario: Scenario) -> Result<()> {
    play(&scenario, server(true), vec![client(true)]).await?;
    scenario.assert_trace(expect_file!["texts/frames_through_a_buf_reader.trace"]);
    Ok(())
}

/// A stream and what of it was not decoded yet, as a codec has it.
struct Framed {
    conn: Stream,
    rest: BytesMut,
}

impl Framed {
    async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(&len) = self.rest.first()
                && self.rest.len() > usize::from(len)
            {
                self.rest.advance(1);
                let frame = self.rest.split_to(usize::from(len));
                return Ok(Some(String::from_utf8(frame.to_vec())?));
            }
            if self.conn.read_buf(&mut self.rest).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[lonet::host]
async fn decodes(host: Host) -> Result<()> {
    let conn = host.dial("s:10").await?;
    let rest = BytesMut::new();
    let mut framed = Framed { conn, rest };
    for request in ["one", "two", "three"] {
        send(&mut framed.conn, request).await?;
        host.mark(format!("asked {request}"));
    }
    while let Some(frame) = framed.next().await? {
        host.mark(format!("heard {frame}"));
    }
    Ok(())
}

/// Numbers its answers, so that each has a line of its own.
#[lonet::host]
async fn numbers(host: Host) -> Result<()> {
    let conn = host.listen(":10").await?.accept().await?;
    let rest = BytesMut::new();
    let mut framed = Framed { conn, rest };
    for number in 0..3 {
        let frame = framed.next().await?.unwrap();
        host.mark(format!("got {frame}"));
        for half in ["a", "b"] {
            send(&mut framed.conn, &format!("{number}{half}")).await?;
            host.mark(format!("sent {number}{half}"));
        }
    }
    Ok(())
}

#[lonet::test]
#[ignore = "a program of a trial"]
async fn through_bytes_mut(scenario: Scenario) -> Result<()> {
    play(&scenario, numbers(), vec![decodes()]).await?;
    scenario.assert_trace(expect_file!["texts/through_bytes_mut.trace"]);
    Ok(())
}
