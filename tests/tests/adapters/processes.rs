//! A server and its clients, a process each, and the whole trace of it.

use axum::extract::ConnectInfo;
use axum::{Router, routing::get};
use lonet::adapters::{Connector, Ends, Incoming, uri};
use lonet::{Addr, Host};
use lonet_harness::{Result, Scenario, until};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use super::{fetch, health, http_client};

/// Greets every client by its address. Serves on the listener itself.
#[lonet::host]
async fn greeter(host: Host) -> Result<()> {
    let greeting = host.clone();
    let greet = |ConnectInfo(peer): ConnectInfo<Addr>| async move {
        greeting.mark(format!("greets {peer}"));
        format!("hello, {peer}")
    };
    let app = Router::new()
        .route("/", get(greet))
        .into_make_service_with_connect_info::<Addr>();
    axum::serve(host.listen(":10").await?, app).await?;
    Ok(())
}

/// Is greeted twice, over one connection.
#[lonet::host]
async fn greeted(host: Host, server: String) -> Result<(String, String)> {
    let client = http_client(host.clone());
    let (first, ends) = fetch(&client, uri(&server, "/")?).await?;
    host.mark(format!("by {}", ends.peer_addr()));
    let (second, again) = fetch(&client, uri(&server, "/")?).await?;
    assert_eq!(ends, again);
    Ok((first, second))
}

#[lonet::test]
async fn axum_greets_clients_of_hyper(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", greeter()).await?;
    scenario.until("α:10 listen").await?;
    for (name, me) in [("β", "β:1"), ("db-1", "db-1:1")] {
        let client = scenario.spawn(name, greeted("α:10".into())).await?;
        let greeting = format!("hello, {me}");
        assert_eq!(client.join().await?, (greeting.clone(), greeting));
        // The server has noticed that the client is gone, so that its port is free again.
        scenario.until(&format!("α:1 close {me}")).await?;
    }
    alpha.terminate().await?;
    scenario.assert_trace(
        "
        α:10   listen
        β:1    dial     α:10
        α:1    accept   β:1
        β:1    connect  α:1
        α      mark     greets β:1
        β      mark     by α:1
        α      mark     greets β:1
        β:1    close    α:1
        α:1    close    β:1
        db-1:1 dial     α:10
        α:1    accept   db-1:1
        db-1:1 connect  α:1
        α      mark     greets db-1:1
        db-1   mark     by α:1
        α      mark     greets db-1:1
        db-1:1 close    α:1
        α:1    close    db-1:1
        α:10   close
        !      terminate α
        ",
    );
    Ok(())
}

/// gRPC's own health service, which also tells that it was asked, and by whom. Ends with its
/// host.
#[lonet::host]
async fn healthy(host: Host) -> Result<()> {
    let (reporter, _) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("lonet", ServingStatus::NotServing)
        .await;
    let incoming = Incoming::new(host.listen(":10").await?);
    let asked = host.clone();
    let tell = move |request: Request<()>| -> Result<_, Status> {
        let ends = request.extensions().get::<Ends>();
        let ends = ends.ok_or_else(|| Status::internal("nobody asks"))?;
        asked.mark(format!("at {} by {}", ends.local_addr(), ends.peer_addr()));
        Ok(request)
    };
    let health =
        HealthServer::with_interceptor(HealthService::from_health_reporter(reporter), tell);
    let closing = async {
        until("τ mark end").await?;
        host.close().await?;
        Ok(())
    };
    let serving = async {
        let server = Server::builder().add_service(health);
        Ok(server.serve_with_incoming(incoming).await?)
    };
    tokio::try_join!(closing, serving).map(drop)
}

/// Asks the server how it is, and how a service of it is, over one connection.
#[lonet::host]
async fn asks(host: Host) -> Result<(String, String)> {
    let channel = Endpoint::from(uri("α:10", "/")?)
        .connect_with_connector(Connector::new(host))
        .await?;
    let server = health(channel.clone(), "").await?;
    let service = health(channel, "lonet").await?;
    Ok((server, service))
}

#[lonet::test]
async fn tonic_asks_tonic(scenario: Scenario) -> Result<()> {
    let alpha = scenario.spawn("α", healthy()).await?;
    scenario.until("α:10 listen").await?;
    let beta = scenario.spawn("β", asks()).await?;
    let answers = beta.join().await?;
    assert_eq!(answers, ("SERVING".into(), "NOT_SERVING".into()));
    scenario.until("α:1 close β:1").await?;
    scenario.host("τ").await?.mark("end");
    alpha.join().await?;
    scenario.assert_trace(
        "
        α:10 listen
        β:1  dial    α:10
        α:1  accept  β:1
        β:1  connect α:1
        α    mark    at α:1 by β:1
        α    mark    at α:1 by β:1
        β:1  close   α:1
        α:1  close   β:1
        τ    mark    end
        α:10 close
        ",
    );
    Ok(())
}
