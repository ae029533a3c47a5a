//! Messages over a lonet connection, a line of JSON each. Owns nothing of what they mean.

use lonet::{Host, Stream};
use lonet_harness::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

pub(crate) struct Lines(BufReader<Stream>);

impl Lines {
    pub(crate) fn over(stream: Stream) -> Lines {
        Lines(BufReader::new(stream))
    }

    pub(crate) async fn dial(host: &Host, addr: &str) -> Result<Lines> {
        Ok(Lines::over(host.dial(addr).await?))
    }

    pub(crate) async fn send(&mut self, message: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(message)?;
        line.push('\n');
        Ok(self.0.write_all(line.as_bytes()).await?)
    }

    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err("the other end hung up".into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// A request, and what comes back.
    pub(crate) async fn ask<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<T> {
        self.send(request).await?;
        self.receive().await
    }
}
