//! The guide's backup as a program of its own: a host of a test's network if a test started it, else
//! one on real TCP.

use lonet::{AnyNetwork, Tcp};
use lonet_tests::register;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let network = match std::env::var_os("LONET_HOST") {
        Some(_) => AnyNetwork::new(lonet::from_env().await?),
        None => AnyNetwork::new(Tcp),
    };
    let store = |value: &str| {
        println!("stored {value}");
        Ok(())
    };
    register::backup(&network, store).await
}
