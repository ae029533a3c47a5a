//! A key-value service of axum on α, with clients of hyper on β and γ: three processes, and all of
//! it the stack one already has. lonet is where it listens and what it dials with.
//!
//! Run it with `cargo run --example http_kv`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{Method, Request, StatusCode};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lonet::Host;
use lonet::adapters::{Connector, uri};
use lonet_harness::{Result, Scenario, until};

// The service, as it would run anywhere: it knows of axum, and of no network.

type Store = State<Arc<Mutex<BTreeMap<String, String>>>>;

fn service() -> Router {
    Router::new()
        .route("/{key}", get(read).put(write))
        .with_state(Arc::default())
}

async fn read(State(store): Store, Path(key): Path<String>) -> Result<String, StatusCode> {
    let store = store.lock().expect("no handler panics");
    store.get(&key).cloned().ok_or(StatusCode::NOT_FOUND)
}

async fn write(State(store): Store, Path(key): Path<String>, value: String) -> StatusCode {
    let mut store = store.lock().expect("no handler panics");
    match store.insert(key, value) {
        None => StatusCode::CREATED,
        Some(_) => StatusCode::NO_CONTENT,
    }
}

/// A client of the service: one of hyper, which keeps its connection open between requests.
struct Keys {
    client: Client<Connector<Host>, String>,
    server: String,
}

impl Keys {
    fn of(host: &Host, server: String) -> Keys {
        // All that is lonet's about it.
        let connector = Connector::new(host.clone());
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Keys { client, server }
    }

    async fn ask(&self, method: Method, key: &str, value: &str) -> Result<(StatusCode, String)> {
        let request = Request::builder()
            .method(method)
            .uri(uri(&self.server, &format!("/{key}"))?)
            .body(value.to_owned())?;
        let response = self.client.request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec())?))
    }
}

// The roles: each plays one host, in a process of its own.

/// Serves until somebody ends it.
#[lonet::host]
async fn server(host: Host) -> Result<()> {
    let listener = host.listen(":80").await?;
    axum::serve(listener, service()).await?;
    Ok(())
}

/// Writes two keys.
#[lonet::host]
async fn writer(host: Host, server: String) -> Result<()> {
    let keys = Keys::of(&host, server);
    for (key, value) in [("greeting", "hello"), ("answer", "42")] {
        let (status, _) = keys.ask(Method::PUT, key, value).await?;
        assert_eq!(status, StatusCode::CREATED);
    }
    // A mark is an event of one's own, for which others can wait.
    host.mark("written");
    Ok(())
}

/// Reads what was written, and what was not. Returns what it read.
#[lonet::host]
async fn reader(host: Host, server: String) -> Result<String> {
    let keys = Keys::of(&host, server);
    until("β mark written").await?; // no sleeps, ever
    let (status, value) = keys.ask(Method::GET, "greeting", "").await?;
    assert_eq!(status, StatusCode::OK);
    let (status, _) = keys.ask(Method::GET, "farewell", "").await?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    Ok(value)
}

#[lonet::main]
async fn main(scenario: Scenario) -> Result<()> {
    scenario.keep_artifacts();
    let alpha = scenario.spawn("α", server()).await?;
    scenario.until("α:80 listen").await?;
    let beta = scenario.spawn("β", writer("α:80".into())).await?;
    let gamma = scenario.spawn("γ", reader("α:80".into())).await?;
    beta.join().await?;
    println!("γ read {:?}\n", gamma.join().await?);

    // A server has no end of its own. Before it gets one, it has noticed that its clients left.
    scenario.until("α:_ close β:1").await?;
    scenario.until("α:_ close γ:1").await?;
    alpha.terminate().await?;

    // Four requests and two connections, since hyper keeps them. γ dials once there is something
    // to read. By then β may have hung up or not: if so, its port on α is free, and γ gets it; so
    // `$p` is whichever. The lines of what is concurrent, as β's hanging up and γ's dialing are,
    // may stand in any order.
    scenario.assert_trace(
        "
        α:80 listen
        β:1  dial    α:80
        α:1  accept  β:1
        β:1  connect α:1
        β:1  close   α:1
        α:1  close   β:1
        β    mark    written
        γ:1  dial    α:80
        α:$p accept  γ:1
        γ:1  connect α:$p
        γ:1  close   α:$p
        α:$p close   γ:1
        α:80 close
        !    terminate α
        ",
    );

    let trace = scenario.trace();
    println!("The trace, as asserted:\n\n{trace}");
    println!("The same as a sequence diagram:\n\n{}", trace.diagram());
    let report = scenario.artifacts_dir().join("report.html");
    println!("The same for a browser: {}", report.display());
    Ok(())
}
