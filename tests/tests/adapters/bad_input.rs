//! What a client is told whose URI, host or server is not what it takes it for: what was wrong,
//! and what is legal.

use axum::http::Uri;
use expect_test::{Expect, expect};
use lonet::adapters::{Connector, uri};
use lonet::{Host, pipenet};
use tonic::transport::Endpoint;

use super::{chain, channel, fetch, http_client};

async fn hosts() -> (Host, Host) {
    let network = pipenet::network("x");
    (
        network.new_host("α").await.unwrap(),
        network.new_host("β").await.unwrap(),
    )
}

/// Client and channel are told the same.
async fn check(from: Host, to: &'static str, expected: Expect) {
    let uri = Uri::from_static(to);
    let http = fetch(&http_client(from.clone()), uri.clone()).await;
    let http = chain(&http.unwrap_err());
    let grpc = chain(&channel(from, uri).await.unwrap_err());
    let (of_hyper, of_tonic) = ("client error (Connect)\n", "transport error\n");
    let told = http.strip_prefix(of_hyper).unwrap();
    // Each dial takes a port for its time.
    assert_eq!(grpc.strip_prefix(of_tonic), Some(told));
    expected.assert_eq(told);
}

#[tokio::test]
async fn uris_that_name_no_address() {
    let (_alpha, beta) = hosts().await;
    check(beta.clone(), "http://db-1/", expect!["the URI http://db-1/ has no port, and lonet has no default port; legal is http://host:port/path, which lonet::adapters::uri makes for any host name"]).await;
    check(beta.clone(), "http://db-1:/", expect!["the URI http://db-1:/ has no port, and lonet has no default port; legal is http://host:port/path, which lonet::adapters::uri makes for any host name"]).await;
    check(beta.clone(), "http://[::1]/", expect!["the URI http://[::1]/ has no port, and lonet has no default port; legal is http://host:port/path, which lonet::adapters::uri makes for any host name"]).await;
    check(beta.clone(), "http://db-1:010/", expect!["the URI http://db-1:010/ has an illegal port (ports are 0 to 65535, in decimal digits, no leading zero); legal is http://host:port/path, which lonet::adapters::uri makes for any host name"]).await;
    check(beta.clone(), "http://db-1:65536/", expect!["the URI http://db-1:65536/ has an illegal port (ports are 0 to 65535, in decimal digits, no leading zero); legal is http://host:port/path, which lonet::adapters::uri makes for any host name"]).await;
    check(beta.clone(), "http://:10/", expect!["the URI http://:10/ has no host; legal is http://host:port/path, which lonet::adapters::uri makes for any host name"]).await;
    check(beta.clone(), "https://db-1:10/", expect!["the URI https://db-1:10/ asks for TLS, which this connector does not do: use http, or Connector::any_scheme on a network that encrypts (lonet::Tls) or below a connector that encrypts"]).await;
    check(beta, "ftp://db-1:10/", expect!["the URI ftp://db-1:10/ has a scheme other than http; legal is http://host:port/path, which lonet::adapters::uri makes for any host name"]).await;
}

/// Addresses that are none of lonet's, or of nobody there.
#[tokio::test]
async fn addresses_of_others() {
    let (_alpha, beta) = hosts().await;
    check(
        beta.clone(),
        "http://127.0.0.1:80/",
        expect![[r#"
        dial pipex β:1->127.0.0.1:80: no such host
        no such host"#]],
    )
    .await;
    check(beta.clone(), "http://[::1]:80/", expect![[r#"
        dial pipex β:1->"[::1]:80": invalid address: "[::1]:80" has an illegal host name (invalid name: "[::1]" holds '['; legal are 1 to 64 letters, marks and digits of any script and _ - .); an address is host:port, as in α:10
        invalid address: "[::1]:80" has an illegal host name (invalid name: "[::1]" holds '['; legal are 1 to 64 letters, marks and digits of any script and _ - .); an address is host:port, as in α:10"#]]).await;
    check(
        beta.clone(),
        "http://xn--mxa:10/",
        expect![[r#"
        dial pipex β:1->α:10: connection refused
        connection refused"#]],
    )
    .await;
    check(
        beta.clone(),
        "http://xn--kxa:10/",
        expect![[r#"
        dial pipex β:1->ί:10: no such host
        no such host"#]],
    )
    .await;
    check(beta, "http://a~b:10/", expect![[r#"
        dial pipex β:1->"a~b:10": invalid address: "a~b:10" has an illegal host name (invalid name: "a~b" holds '~'; legal are 1 to 64 letters, marks and digits of any script and _ - .); an address is host:port, as in α:10
        invalid address: "a~b:10" has an illegal host name (invalid name: "a~b" holds '~'; legal are 1 to 64 letters, marks and digits of any script and _ - .); an address is host:port, as in α:10"#]]).await;
}

#[tokio::test]
async fn hosts_that_are_closed() {
    let (alpha, beta) = hosts().await;
    alpha.close().await.unwrap();
    check(
        beta.clone(),
        "http://xn--mxa:10/",
        expect![[r#"
        dial pipex β:1->α:10: connection refused
        connection refused"#]],
    )
    .await;
    beta.close().await.unwrap();
    check(
        beta,
        "http://xn--mxa:10/",
        expect![[r#"
        dial pipex β:1->α:10: host is down
        host is down"#]],
    )
    .await;
}

/// As connectors below one that encrypts are asked, whose concern the scheme is.
#[tokio::test]
async fn any_scheme_must_be_requested() {
    let (_alpha, beta) = hosts().await;
    let error = Endpoint::from_static("https://xn--mxa:10/")
        .connect_with_connector(Connector::new(beta).any_scheme())
        .await
        .unwrap_err();
    expect![[r#"
        transport error
        dial pipex β:1->α:10: connection refused
        connection refused"#]]
    .assert_eq(&chain(&error));
}

/// What `uri` makes no URI of.
#[test]
fn addresses_and_paths_that_no_uri_holds() {
    let check = |addr: &str, path: &str, expected: Expect| {
        expected.assert_eq(&uri(addr, path).unwrap_err().to_string());
    };
    check(
        "α",
        "/",
        expect![[r#""α" has no port; to make a URI of it, an address is host:port, as in α:10"#]],
    );
    check(
        ":10",
        "/",
        expect![[r#"":10" has no host; to make a URI of it, an address is host:port, as in α:10"#]],
    );
    check(
        "α:ten",
        "/",
        expect![[
            r#""α:ten" has an illegal port; to make a URI of it, an address is host:port, as in α:10"#
        ]],
    );
    check(
        "a b:10",
        "/",
        expect![[
            r#""a b:10" has a host that can't stand in a URI; to make a URI of it, an address is host:port, as in α:10"#
        ]],
    );
    check(
        "::1:10",
        "/",
        expect![[
            r#""::1:10" has a host that can't stand in a URI; to make a URI of it, an address is host:port, as in α:10"#
        ]],
    );
    check(
        "a@b:10",
        "/",
        expect![[
            r#""a@b:10" has a host that can't stand in a URI; to make a URI of it, an address is host:port, as in α:10"#
        ]],
    );
    check(
        "α:10",
        "keys",
        expect![[
            r#""keys" is not the path of a URI (it does not begin with /); a path is written as in /keys?limit=3, with other characters percent-encoded"#
        ]],
    );
    check(
        "α:10",
        "/a b",
        expect![[
            r#""/a b" is not the path of a URI (invalid uri character); a path is written as in /keys?limit=3, with other characters percent-encoded"#
        ]],
    );
}
