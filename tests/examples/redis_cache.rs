//! A cache in front of redis: the cache is a role in Rust, redis the real program. The cache is cut
//! off from redis when it has its first value, serves that one as stale, and catches up once the
//! partition has healed. Then redis is killed, and the cache says so.
//!
//! Run it with `cargo run --example redis_cache`. It needs redis-server and redis-cli.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use lonet::{Host, Stream};
use lonet_harness::{Program, Result, Scenario, fault, terminate_requested};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// How long the cache waits for redis.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection to redis. Of its protocol, RESP, it speaks what `GET` needs.
struct Redis(BufReader<Stream>);

impl Redis {
    async fn connect(host: &Host, store: &str) -> io::Result<Redis> {
        Ok(Redis(BufReader::new(host.dial(store).await?)))
    }

    /// The value of a key, which is one line.
    async fn get(&mut self, key: &str) -> io::Result<Option<String>> {
        let command = format!("*2\r\n$3\r\nGET\r\n${}\r\n{key}\r\n", key.len());
        self.0.get_mut().write_all(command.as_bytes()).await?;
        match self.line().await?.strip_prefix('$') {
            Some("-1") => Ok(None),
            Some(_) => self.line().await.map(Some),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}

/// What the cache knows.
struct Cache {
    host: Host,
    store: String,
    redis: Option<Redis>,
    values: BTreeMap<String, String>,
}

impl Cache {
    /// The value of a key, and how fresh it is.
    async fn get(&mut self, key: &str) -> String {
        let asked = tokio::time::timeout(PATIENCE, self.ask(key)).await;
        let why = match asked {
            Ok(Ok(Some(value))) => {
                self.values.insert(key.to_owned(), value.clone());
                self.host.mark(format_args!("fresh {key} {value}"));
                return format!("{value}, fresh");
            }
            Ok(Ok(None)) => return "none, fresh".to_owned(),
            Ok(Err(_)) => "redis is down",
            Err(_) => "redis is silent",
        };
        let value = self.values.get(key).map_or("none", String::as_str);
        self.host.mark(format_args!("stale {key} {value}"));
        format!("{value}, stale: {why}")
    }

    async fn ask(&mut self, key: &str) -> io::Result<Option<String>> {
        // A connection that still owes an answer is not used again.
        let mut redis = match self.redis.take() {
            Some(redis) => redis,
            None => Redis::connect(&self.host, &self.store).await?,
        };
        let value = redis.get(key).await?;
        self.redis = Some(redis);
        Ok(value)
    }
}

/// Answers a key, on a line, with its value, until it is to finish.
#[lonet::host]
async fn cache(host: Host, store: String) -> Result<()> {
    let listener = host.listen(":80").await?;
    let mut cache = Cache {
        host,
        store,
        redis: None,
        values: BTreeMap::new(),
    };
    loop {
        let client = tokio::select! {
            client = listener.accept() => client?,
            () = terminate_requested() => return Ok(()),
        };
        let mut client = BufReader::new(client);
        let mut key = String::new();
        client.read_line(&mut key).await?;
        let answer = cache.get(key.trim_end()).await;
        client.write_all(answer.as_bytes()).await?;
    }
}

/// Asks the cache for the greeting.
#[lonet::host]
async fn client(host: Host, cache: String) -> Result<String> {
    let mut cache = host.dial(&cache).await?;
    cache.write_all(b"greeting\n").await?;
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut cache, &mut answer).await?;
    Ok(answer)
}

/// Sets the greeting in redis, by its own client.
async fn set(scenario: &Scenario, greeting: &str) -> Result<()> {
    let cli = Program::new("redis-cli").args(["-h", "db", "SET", "greeting", greeting]);
    let status = scenario.spawn("admin", cli).await?.join().await?;
    assert!(status.success());
    Ok(())
}

/// What a client gets.
async fn get(scenario: &Scenario) -> Result<String> {
    let client = scenario.spawn("client", client("app:80".into())).await?;
    let answer = client.join().await?;
    println!("the client gets: {answer}");
    Ok(answer)
}

#[lonet::main]
async fn main(scenario: Scenario) -> Result<()> {
    for program in ["redis-server", "redis-cli"] {
        let found = std::process::Command::new(program)
            .arg("--version")
            .output();
        if found.is_err() {
            let package = "Debian's packages are redis-server and redis-tools";
            return Err(format!("this example needs {program}: {package}").into());
        }
    }
    scenario.keep_artifacts();
    let partition = fault::partition("app", "db").at("app mark fresh greeting hello");
    let partition = scenario.inject(partition).await?;

    let redis = Program::new("redis-server").args(["--port", "6379", "--save", ""]);
    let redis = redis.args(["--protected-mode", "no", "--daemonize", "no"]);
    let db = scenario.spawn("db", redis).await?;
    scenario.until("db:6379 listen").await?;
    let app = scenario.spawn("app", cache("db:6379".into())).await?;
    scenario.until("app:80 listen").await?;

    set(&scenario, "hello").await?;
    assert_eq!(get(&scenario).await?, "hello, fresh");
    partition.fired().await?;
    set(&scenario, "welcome").await?; // only the cache is cut off
    assert_eq!(get(&scenario).await?, "hello, stale: redis is silent");
    partition.heal().await?;
    assert_eq!(get(&scenario).await?, "welcome, fresh");
    db.kill().await?;
    assert_eq!(get(&scenario).await?, "welcome, stale: redis is down");
    app.terminate().await?;

    scenario.trace().assert_contains(
        "
        db:6379 listen
        app mark fresh greeting hello
        ! partition app db
        app mark stale greeting hello
        ! heal app db
        app mark fresh greeting welcome
        ! kill db
        app mark stale greeting welcome
        ",
    );

    let trace = scenario.trace();
    println!("\nThe trace:\n\n{trace}");
    let report = scenario.artifacts_dir().join("report.html");
    println!("The same as diagrams, for a browser: {}", report.display());
    Ok(())
}
