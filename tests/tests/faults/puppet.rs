//! A process that does what the test tells it to, and says what came of it.
//!
//! The orders come over a connection to the test's host `test`, which no fault here names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lonet::{Host, Listener, OwnedReadHalf, OwnedWriteHalf};
use lonet_harness::{Node, Result, Scenario};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Mutex, oneshot};

/// So long the test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Its connection; each half works on its own.
#[derive(Clone, Default)]
struct Conn {
    read: Arc<Mutex<Option<OwnedReadHalf>>>,
    write: Arc<Mutex<Option<OwnedWriteHalf>>>,
}

impl Conn {
    async fn is(&self, stream: lonet::Stream) {
        let (read, write) = stream.into_split();
        *self.read.lock().await = Some(read);
        *self.write.lock().await = Some(write);
    }

    /// What an operation comes to. A failure is its kind.
    async fn does(
        self,
        host: Host,
        listener: Option<Arc<Listener>>,
        order: String,
    ) -> Result<String, String> {
        let (word, rest) = order.split_once(' ').unwrap_or((&order, ""));
        let failed = |error: std::io::Error| format!("{:?}", error.kind());
        match word {
            "dial" => {
                let dialed = host
                    .dial(rest)
                    .await
                    .map_err(|error| format!("{:?}", error.kind()))?;
                let local = dialed.local_addr().to_string();
                self.is(dialed).await;
                Ok(local)
            }
            "accept" => {
                let accepted = listener.unwrap().accept().await;
                let accepted = accepted.map_err(|error| format!("{:?}", error.kind()))?;
                let peer = accepted.peer_addr().to_string();
                self.is(accepted).await;
                Ok(peer)
            }
            "port" => {
                let listener = host.listen("").await.unwrap();
                Ok(listener.local_addr().port().to_string())
            }
            "read" => {
                let mut bytes = [0; 64];
                let mut half = self.read.lock().await;
                match half
                    .as_mut()
                    .unwrap()
                    .read(&mut bytes)
                    .await
                    .map_err(failed)?
                {
                    0 => Ok("end".to_owned()),
                    read => Ok(String::from_utf8_lossy(&bytes[..read]).into_owned()),
                }
            }
            "arrived" => {
                let mut bytes = vec![0; rest.parse().unwrap()];
                let mut half = self.read.lock().await;
                let half = half.as_mut().unwrap();
                while half.peek(&mut bytes).await.map_err(failed)? < bytes.len() {
                    tokio::task::yield_now().await;
                }
                Ok("arrived".to_owned())
            }
            "drain" => {
                let mut bytes = vec![0; rest.parse().unwrap()];
                let mut half = self.read.lock().await;
                half.as_mut()
                    .unwrap()
                    .read_exact(&mut bytes)
                    .await
                    .map_err(failed)?;
                Ok("drained".to_owned())
            }
            "write" => {
                let mut half = self.write.lock().await;
                let written = half.as_mut().unwrap().write(rest.as_bytes()).await;
                Ok(format!("wrote {}", written.map_err(failed)?))
            }
            "try" => {
                let half = self.write.lock().await;
                let written = half.as_ref().unwrap().try_write(rest.as_bytes());
                Ok(format!("wrote {}", written.map_err(failed)?))
            }
            // Writes so many bytes.
            "fill" => {
                let bytes = vec![0; rest.parse().unwrap()];
                let mut half = self.write.lock().await;
                half.as_mut()
                    .unwrap()
                    .write_all(&bytes)
                    .await
                    .map_err(failed)?;
                Ok("filled".to_owned())
            }
            // Writes until that fails.
            "fail" => {
                let mut half = self.write.lock().await;
                loop {
                    half.as_mut().unwrap().write(b"x").await.map_err(failed)?;
                    tokio::task::yield_now().await;
                }
            }
            "shutdown" => {
                let mut half = self.write.lock().await;
                half.as_mut().unwrap().shutdown().await.map_err(failed)?;
                Ok("shut down".to_owned())
            }
            "close" => {
                drop((
                    self.read.lock().await.take(),
                    self.write.lock().await.take(),
                ));
                Ok("closed".to_owned())
            }
            "nothing" => Ok("nothing".to_owned()),
            other => unreachable!("{other}"),
        }
    }
}

/// Carries out orders, each on its own: `3 read` is answered by `3 end`.
#[lonet::host]
pub async fn obeys(host: Host) -> Result<()> {
    let (orders, answers) = host.dial("test:1").await?.into_split();
    let answers = Arc::new(Mutex::new(answers));
    let mut orders = BufReader::new(orders).lines();
    let conn = Conn::default();
    let mut listener = None;
    let mut dialing: Option<tokio::task::AbortHandle> = None;
    while let Some(line) = orders.next_line().await? {
        let (number, order) = line.split_once(' ').unwrap();
        let (number, order) = (number.to_owned(), order.to_owned());
        let done = match order.as_str() {
            "listen" => {
                listener = Some(Arc::new(host.listen(":10").await?));
                Some("listens")
            }
            "hang up" => {
                dialing.take().unwrap().abort();
                Some("hung up")
            }
            _ => None,
        };
        let doing = conn
            .clone()
            .does(host.clone(), listener.clone(), order.clone());
        let answers = answers.clone();
        let task = tokio::spawn(async move {
            let done = match done {
                Some(done) => done.to_owned(),
                None => doing.await.unwrap_or_else(|failure| failure),
            };
            let line = format!("{number} {done}\n");
            // The test may have ended.
            let _ = answers.lock().await.write_all(line.as_bytes()).await;
        });
        if order.starts_with("dial ") {
            dialing = Some(task.abort_handle());
        }
    }
    Ok(())
}

type Answers = Arc<std::sync::Mutex<BTreeMap<u32, oneshot::Sender<String>>>>;

/// The test's end of such a process.
pub(crate) struct Puppet {
    pub(crate) node: Node<()>,
    orders: OwnedWriteHalf,
    answers: Answers,
    next: u32,
}

/// What an order that was given will come to.
pub(crate) struct Answer(oneshot::Receiver<String>);

impl Answer {
    pub(crate) async fn is(self, expected: &str) {
        assert_eq!(self.get().await, expected);
    }

    pub(crate) async fn get(self) -> String {
        let answer = tokio::time::timeout(PATIENCE, self.0).await;
        answer.expect("it hangs").unwrap()
    }
}

/// The test's end of all of them.
pub(crate) struct Stage {
    scenario: Scenario,
    listener: Listener,
}

impl Stage {
    pub(crate) async fn new(scenario: &Scenario) -> Result<Stage> {
        let listener = scenario.host("test").await?.listen(":1").await?;
        let scenario = scenario.clone();
        Ok(Stage { scenario, listener })
    }

    pub(crate) async fn puppet(&self, name: &str) -> Result<Puppet> {
        let node = self.scenario.spawn(name, obeys()).await?;
        self.enter(node).await
    }

    /// The process was killed: it plays again.
    pub(crate) async fn again(&self, puppet: Puppet) -> Result<Puppet> {
        puppet.node.restart().await?;
        self.enter(puppet.node).await
    }

    async fn enter(&self, node: Node<()>) -> Result<Puppet> {
        let (read, orders) = self.listener.accept().await?.into_split();
        let answers = Answers::default();
        tokio::spawn({
            let answers = answers.clone();
            async move {
                let mut lines = BufReader::new(read).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    let (number, answer) = line.split_once(' ').unwrap();
                    let waits = answers.lock().unwrap().remove(&number.parse().unwrap());
                    // An answer that nobody waits for any more.
                    let _ = waits.unwrap().send(answer.to_owned());
                }
            }
        });
        Ok(Puppet {
            node,
            orders,
            answers,
            next: 0,
        })
    }

    /// a has dialed b, which listens at its port 10.
    pub(crate) async fn connected(&self) -> Result<(Puppet, Puppet)> {
        let (mut a, mut b) = (self.puppet("a").await?, self.puppet("b").await?);
        b.does("listen", "listens").await;
        let accepted = b.begins("accept").await;
        a.does("dial b:10", "a:2").await;
        accepted.is("a:2").await;
        Ok((a, b))
    }
}

impl Puppet {
    pub(crate) async fn begins(&mut self, order: &str) -> Answer {
        self.next += 1;
        let (sender, receiver) = oneshot::channel();
        self.answers.lock().unwrap().insert(self.next, sender);
        let line = format!("{} {order}\n", self.next);
        self.orders.write_all(line.as_bytes()).await.unwrap();
        Answer(receiver)
    }

    #[track_caller]
    pub(crate) fn does(&mut self, order: &str, outcome: &str) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let seen = self.begins(order).await.get().await;
            assert_eq!(seen, outcome, "{order}, at {at}");
        }
    }

    /// What the process was told before was begun, and is not done.
    pub(crate) async fn pends(&mut self, answer: &mut Answer) {
        for _ in 0..20 {
            self.does("nothing", "nothing").await;
            assert_eq!(answer.0.try_recv(), Err(TryRecvError::Empty));
        }
    }
}
