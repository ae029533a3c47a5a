//! axum, hyper and tonic over lonet networks, the crates themselves: between processes in
//! `processes`, over every network in `networks`, what ends a server in `closing`, and what a
//! client is told that can't be served in `bad_input`.
//!
//! Which URI names which host is tested where it is decided, in `lonet::adapters`.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod bad_input;
mod closing;
mod networks;
mod processes;

use std::error::Error;

use axum::http::Uri;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lonet::adapters::{Connector, Ends};
use lonet::{AnyNetwork, Networker};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// hyper-util's client, as anyone has it, but for its connector.
type HttpClient<N> = Client<Connector<N>, String>;

fn http_client<N: Networker>(net: N) -> HttpClient<N> {
    Client::builder(TokioExecutor::new()).build(Connector::new(net))
}

/// What is there, and the two addresses of the connection it came by.
async fn fetch<N: Networker>(
    client: &HttpClient<N>,
    uri: Uri,
) -> Result<(String, Ends), hyper_util::client::legacy::Error> {
    let response = client.get(uri).await?;
    let ends = response.extensions().get::<Ends>().unwrap().clone();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Ok((String::from_utf8(body.to_vec()).unwrap(), ends))
}

async fn channel(net: impl Networker, uri: Uri) -> Result<Channel, tonic::transport::Error> {
    let connector = Connector::new(AnyNetwork::new(net));
    Endpoint::from(uri).connect_with_connector(connector).await
}

/// The health of that service; `""` is the whole server.
async fn health(channel: Channel, service: &str) -> Result<String, tonic::Status> {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    let answer = HealthClient::new(channel).check(request).await?;
    Ok(answer.get_ref().status().as_str_name().to_owned())
}

/// An error with all its sources, a line each; what says the same as what it wraps counts once.
fn chain(error: &dyn Error) -> String {
    let mut lines = vec![error.to_string()];
    let mut source = error.source();
    while let Some(error) = source {
        lines.push(error.to_string());
        source = error.source();
    }
    lines.dedup();
    lines.join("\n")
}
