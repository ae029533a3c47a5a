//! nginx on port 80, before a server in Rust.

use axum::Router;
use axum::routing::get;

use super::*;

pub(super) const NGINX: Needed = ("nginx", "nginx-light");

#[lonet::host]
async fn app(host: Host) -> Result<()> {
    let hello = |headers: axum::http::HeaderMap| async move {
        format!(
            "hello, {}\n",
            headers["x-real-ip"].to_str().unwrap_or_default()
        )
    };
    let app = Router::new().route("/hello", get(hello));
    axum::serve(host.listen(":8080").await?, app).await?;
    Ok(())
}

/// nginx in the foreground, with all of its files in a directory of the scenario.
fn nginx(scenario: &Scenario, host: &str) -> Result<Program> {
    let dir = scenario.data_dir(host);
    let at = dir.display();
    let user = match nix::unistd::getuid().is_root() {
        true => "user root;",
        false => "",
    };
    let config = format!(
        "{user}
        daemon off;
        worker_processes 2;
        pid {at}/pid;
        error_log stderr;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            client_body_temp_path {at}/body;
            proxy_temp_path {at}/proxy;
            fastcgi_temp_path {at}/fastcgi;
            uwsgi_temp_path {at}/uwsgi;
            scgi_temp_path {at}/scgi;
            server {{
                listen 80;
                listen [::]:80;
                location / {{
                    proxy_pass http://app:8080;
                    proxy_set_header X-Real-IP $remote_addr;
                }}
            }}
        }}"
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config)?;
    Ok(Program::new("nginx")
        .arg("-c")
        .arg(file)
        .arg("-p")
        .arg(&dir))
}

#[lonet::test]
async fn nginx_stands_before_an_axum_role(scenario: Scenario) -> Result<()> {
    if !are_here(&[NGINX, CURL]) {
        return Ok(());
    }
    scenario.names(&["app"])?;
    let web = scenario.spawn("web", nginx(&scenario, "web")?).await?;
    scenario.until("web:80 listen").await?;
    let status = [
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://web/hello",
    ];
    let curl = || Program::new("curl").args(status);
    assert_eq!(printed(&scenario, "c1", curl()).await?, "502");
    let app = scenario.spawn("app", app()).await?;
    app.until("app:8080 listen").await?;
    let hello = Program::new("curl").args(["-sS", "http://web/hello"]);
    let hello = printed(&scenario, "c2", hello).await?;
    assert!(hello.starts_with("hello, 198.18."), "{hello}");
    web.terminate().await?;
    assert!(web.await?.success());
    scenario
        .trace()
        .only_hosts(&["web", "app"])
        .assert_contains(
            "
        web:80 listen
        web:$1 accept c1:1
        web:$2 dial app:8080
        web:$2 fail app:8080 connection refused
        app:8080 listen
        web:$3 accept c2:1
        web:$4 dial app:8080
        app:$5 accept web:$4
        web:$4 connect app:$5
        ! terminate web
        web:80 close
        ",
        );
    Ok(())
}

/// A master and its workers are one host: they are killed, and come again, together.
#[lonet::test]
async fn nginx_is_killed_and_comes_again(scenario: Scenario) -> Result<()> {
    if !are_here(&[NGINX, CURL]) {
        return Ok(());
    }
    let _app = scenario.spawn("app", app()).await?;
    scenario.until("app:8080 listen").await?;
    let web = scenario.spawn("web", nginx(&scenario, "web")?).await?;
    scenario.until("web:80 listen").await?;
    let curl = || Program::new("curl").args(["-sS", "http://web/hello"]);
    printed(&scenario, "c1", curl()).await?;
    web.kill().await?;
    let refused = scenario.spawn("c2", curl()).await?;
    assert_eq!(refused.await?.code(), Some(7));
    let killed = scenario.until("! kill web").await?;
    web.restart().await?;
    scenario.until_after(&killed, "web:80 listen").await?;
    printed(&scenario, "c3", curl()).await?;
    Ok(())
}
