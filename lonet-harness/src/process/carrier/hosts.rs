//! All hosts that the carrier carries, on a thread of their own.
//!
//! Owns that thread and its runtime. The carrier's main thread, which starts and reaps programs,
//! speaks to it through [`Hosts`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use lonet_seccomp::Listener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use super::carried::{Carried, Shared};
use super::closed::{Closed, News};
use super::names::Names;
use super::place::Place;
use super::port::Rings;

/// The hosts, as the main thread has them.
pub(super) struct Hosts {
    orders: UnboundedSender<Order>,
}

enum Order {
    Join {
        process: u64,
        network: String,
        host: String,
        names: Vec<String>,
        joined: mpsc::Sender<Result<(), String>>,
    },
    Serve {
        process: u64,
        listener: Listener,
    },
    Abandon {
        process: u64,
        then: Box<dyn FnOnce() + Send>,
    },
    End {
        process: u64,
        then: Box<dyn FnOnce() + Send>,
    },
}

impl Hosts {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Also those of what it needs of the system: addresses, and the word of what is closed.
    pub(super) fn start() -> io::Result<Hosts> {
        let (orders, ordered) = unbounded_channel();
        let (ready, is_ready) = mpsc::channel();
        thread::Builder::new()
            .name("lonet-carrier".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                match runtime {
                    Ok(runtime) => LocalSet::new().block_on(&runtime, run(ordered, ready)),
                    Err(error) => drop(ready.send(Err(error))),
                }
            })?;
        let started = is_ready.recv().unwrap_or_else(|_| Err(gone()));
        started.map(|()| Hosts { orders })
    }

    /// Joins the network as a host, for the process of that number; returns once it is up. `names` are
    /// all hosts that the scenario has named so far.
    ///
    /// # Errors
    ///
    /// Why it can't be.
    pub(super) fn join(
        &self,
        process: u64,
        network: &str,
        host: &str,
        names: Vec<String>,
    ) -> Result<(), String> {
        let (joined, is_joined) = mpsc::channel();
        self.order(Order::Join {
            process,
            network: network.to_owned(),
            host: host.to_owned(),
            names,
            joined,
        });
        is_joined.recv().unwrap_or_else(|_| Err(gone().to_string()))
    }

    /// Serves the calls of a program that is about to begin.
    pub(super) fn serve(&self, process: u64, listener: Listener) {
        self.order(Order::Serve { process, listener });
    }

    /// A program could not be started: its host closes. Once it has, it says so on the hosts' thread.
    pub(super) fn abandon(&self, process: u64, then: impl FnOnce() + Send + 'static) {
        let then = Box::new(then);
        self.order(Order::Abandon { process, then });
    }

    /// A program has ended, and so have all that came of it, or are about to. Once what they sent is
    /// carried on and the host is closed, it says so on the hosts' thread.
    pub(super) fn end(&self, process: u64, then: impl FnOnce() + Send + 'static) {
        let then = Box::new(then);
        self.order(Order::End { process, then });
    }

    fn order(&self, order: Order) {
        // Without that thread, nothing is served: the process ends, which is seen.
        let _ = self.orders.send(order);
    }
}

fn gone() -> io::Error {
    io::Error::other("the carrier's thread has ended")
}

/// What the thread does.
async fn run(mut ordered: UnboundedReceiver<Order>, ready: mpsc::Sender<io::Result<()>>) {
    let begun = Place::claim().and_then(|place| Ok((place, Closed::subscribe()?)));
    let (place, closed) = match begun {
        Ok(begun) => begun,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _ = ready.send(Ok(()));
    tokio::task::spawn_local(place.clone().serve());
    let shared = Rc::new(Shared {
        place,
        names: Rc::new(Names::new()),
        rings: Rc::new(Rings::default()),
        hosts: Default::default(),
    });
    let hosts: Rc<RefCell<BTreeMap<u64, Rc<Carried>>>> = Rc::default();
    loop {
        tokio::select! {
            biased;
            news = closed.news() => match news {
                Ok(News::Closed(cookies)) => for cookie in cookies {
                    hosts.borrow().values().for_each(|host| host.closed(cookie));
                },
                Ok(News::Lost) => for host in hosts.borrow().values() {
                    host.look_at_all();
                },
                Err(error) => panic!("the kernel tells no more which sockets are closed: {error}"),
            },
            order = ordered.recv() => match order {
                None => return,
                Some(Order::Join { process, network, host, names, joined }) => {
                    shared.hosts.borrow_mut().extend(names);
                    let host = Carried::join(shared.clone(), process, &network, &host).await;
                    let host = host.map(|host| drop(hosts.borrow_mut().insert(process, host)));
                    let _ = joined.send(host);
                }
                Some(Order::Serve { process, listener }) => {
                    let host = hosts.borrow().get(&process).cloned();
                    if let Some(host) = host {
                        tokio::task::spawn_local(host.serve(listener));
                    }
                }
                Some(Order::Abandon { process, then }) => {
                    let host = hosts.borrow_mut().remove(&process);
                    tokio::task::spawn_local(async move {
                        if let Some(host) = host {
                            host.close().await;
                        }
                        then();
                    });
                }
                Some(Order::End { process, then }) => {
                    let (host, hosts) = (hosts.borrow().get(&process).cloned(), hosts.clone());
                    tokio::task::spawn_local(async move {
                        if let Some(host) = host {
                            host.end().await;
                            hosts.borrow_mut().remove(&process);
                        }
                        then();
                    });
                }
            },
        }
    }
}
