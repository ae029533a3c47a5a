//! `dial` of what is not an address.

async fn dials(host: lonet::Host) -> lonet::Result<()> {
    host.dial(std::net::SocketAddr::from(([127, 0, 0, 1], 80))).await?;
    Ok(())
}

fn main() {}
