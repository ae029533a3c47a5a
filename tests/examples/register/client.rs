//! A client of the register. Marks each call before it asks, and each return after it was answered,
//! so that the operation takes place between the two marks.

use lonet::{Host, Stream};
use lonet_harness::Result;

use super::replica::Lines;

pub(crate) struct Client {
    host: Host,
    replica: Lines<Stream>,
}

impl Client {
    pub(crate) async fn of(host: Host, replica: &str) -> Result<Client> {
        let replica = Lines::over(host.dial(replica).await?);
        Ok(Client { host, replica })
    }

    pub(crate) async fn write(&mut self, value: u64) -> Result<()> {
        self.host.mark(format_args!("calls write {value}"));
        self.replica.send(&format!("write {value}")).await?;
        self.replica.answer().await?;
        self.host.mark("returns write");
        Ok(())
    }

    pub(crate) async fn read(&mut self) -> Result<u64> {
        self.host.mark("calls read");
        self.replica.send("read").await?;
        let value = self.replica.answer().await?.parse()?;
        self.host.mark(format_args!("returns read {value}"));
        Ok(value)
    }
}
