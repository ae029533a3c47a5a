//! One member of the replicated log, as a process runs it: its connections, and the file that
//! outlives it.
//!
//! Decides nothing: that is `rules`' business. It has no clock either. A member is taken for dead
//! when its connection ends, so one that merely hangs is waited for; real systems need time-outs
//! for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use lonet::{Host, OwnedReadHalf, OwnedWriteHalf};
use lonet_harness::Result;
use tokio::io::BufReader;

use crate::rules::{Answer, Append, Candidacy, Link, Rules};
use crate::wire::{Lines, Reply, Request, ask, lines, receive, send};

/// Where every member listens.
const PORT: u16 = 10;

/// When a client is told that what it wrote will never be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Acknowledges {
    /// Once a majority has stored it.
    Committed,
    /// Before anyone else has: what a test of faults must find.
    #[allow(dead_code, reason = "only a test is that hasty")]
    AtOnce,
}

pub(crate) struct Member {
    host: Host,
    others: Vec<String>,
    file: PathBuf,
    acknowledges: Acknowledges,
    state: Mutex<State>,
    /// Held while it asks for votes: one request at a time.
    standing: tokio::sync::Mutex<()>,
}

struct State {
    rules: Rules,
    /// Whom it replicates to, while it leads.
    followers: BTreeMap<String, Follower>,
    /// Clients that wait for the entry at that index.
    clients: BTreeMap<usize, Lines>,
}

/// Another member, which receives one entry at a time.
struct Follower {
    to: Arc<tokio::sync::Mutex<OwnedWriteHalf>>,
    /// The entry that it receives next, or that is on its way.
    index: usize,
    has_been_told: bool,
}

impl State {
    /// Whom to tell of what next, if anyone.
    fn untold(&mut self) -> Option<(Arc<tokio::sync::Mutex<OwnedWriteHalf>>, Append)> {
        let State {
            rules, followers, ..
        } = self;
        let mut idle = followers.values_mut().filter(|f| !f.has_been_told);
        idle.find_map(|follower| {
            let append = rules.entry(follower.index)?;
            follower.has_been_told = true;
            Some((follower.to.clone(), append))
        })
    }
}

impl Member {
    /// Plays one member, for ever.
    pub(crate) async fn run(
        host: Host,
        others: Vec<String>,
        file: PathBuf,
        acknowledges: Acknowledges,
    ) -> Result<()> {
        let kept = match fs::read(&file) {
            Ok(json) => serde_json::from_slice(&json)?,
            Err(_) => Default::default(),
        };
        let listener = host.listen(&format!(":{PORT}")).await?;
        let member = Arc::new(Member {
            state: Mutex::new(State {
                rules: Rules::new(host.name(), &others, kept),
                followers: BTreeMap::new(),
                clients: BTreeMap::new(),
            }),
            host,
            others,
            file,
            acknowledges,
            standing: tokio::sync::Mutex::default(),
        });
        // If there is a leader, that is how it learns that one more is there.
        let starting = member.clone();
        tokio::spawn(async move { starting.stand().await });
        for link in 0.. {
            let accepted = lines(listener.accept().await?);
            tokio::spawn(member.clone().serve(accepted, link));
        }
        Ok(())
    }

    /// Looks at the state or changes it. What must not be forgotten is on disk before anyone can be
    /// told of it.
    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.rules.kept().clone();
        let done = act(&mut state);
        if *state.rules.kept() != before {
            let aside = self.file.with_extension("new");
            let json = serde_json::to_vec(state.rules.kept());
            json.map_err(Into::into)
                .and_then(|json| fs::write(&aside, json))
                .and_then(|()| fs::rename(&aside, &self.file))
                .expect("a member that can't keep what it says must not say it");
        }
        if !state.rules.leads() {
            state.followers.clear();
            // They see their connections end, and do not know what became of their entries.
            state.clients.clear();
        }
        done
    }

    fn rules<T>(&self, act: impl FnOnce(&mut Rules) -> T) -> T {
        self.state(|state| act(&mut state.rules))
    }

    /// Serves one connection that was accepted.
    async fn serve(self: Arc<Self>, mut lines: Lines, link: Link) {
        while let Ok(request) = receive(&mut lines).await {
            let mut asked = None;
            let answer = match request {
                Request::Write(text) => return self.enter(Some(text), lines).await,
                Request::Read => return self.enter(None, lines).await,
                Request::Append(append) => self.rules(|rules| rules.append(append, link)),
                Request::Vote(candidate) => {
                    let answer = self.rules(|rules| rules.vote(&candidate, link));
                    asked = Some(candidate);
                    answer
                }
            };
            if send(&mut lines, &answer).await.is_err() {
                break;
            }
            if let Some(candidate) = asked {
                self.consider(&candidate).await;
            }
        }
        if self.rules(|rules| rules.lost(link)) {
            self.stand().await;
        }
    }

    /// Another asked for votes. If this one leads, it now knows that the other is there; if nobody
    /// leads, it was refused because this one is ahead.
    async fn consider(self: &Arc<Self>, candidate: &Candidacy) {
        if self.rules(|rules| rules.leads()) {
            self.attach(&candidate.name).await;
        } else {
            self.stand().await;
        }
    }

    /// Asks the others for their votes, unless somebody leads. One after the other, so one that
    /// hangs holds it up; one that is dead does not.
    async fn stand(self: &Arc<Self>) {
        let _one_at_a_time = self.standing.lock().await;
        let Some(candidacy) = self.rules(|rules| rules.candidacy()) else {
            return;
        };
        let request = Request::Vote(candidacy.clone());
        let mut voters = BTreeMap::new();
        for other in &self.others {
            let Ok(mut lines) = self.dial(other).await else {
                continue;
            };
            match ask(&mut lines, &request).await {
                Ok(Answer::Granted) => {
                    voters.insert(other, lines);
                }
                Ok(Answer::Refused { term }) => self.rules(|rules| rules.saw(term)),
                Ok(_) | Err(_) => {}
            }
        }
        let is_majority = voters.len() >= self.rules(|rules| rules.needed());
        if !is_majority || !self.rules(|rules| rules.lead(&candidacy)) {
            // The connections end, by which those who voted for it know.
            return;
        }
        self.host.mark(format!("leader term={}", candidacy.term));
        for other in &self.others {
            match voters.remove(other) {
                Some(lines) => self.follow_up(other, lines).await,
                None => self.attach(other).await,
            };
        }
    }

    async fn dial(&self, other: &str) -> Result<Lines> {
        Ok(lines(self.host.dial(&format!("{other}:{PORT}")).await?))
    }

    /// Replicates to another from now on, if it is there, and unless that has begun. Boxed, since
    /// it comes back here when that has ended.
    fn attach<'a>(
        self: &'a Arc<Self>,
        other: &'a str,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if self.state(|state| !state.followers.contains_key(other))
                && let Ok(lines) = self.dial(other).await
            {
                self.follow_up(other, lines).await;
            }
        })
    }

    /// Replicates to another over that connection. It begins with the last entry, by which the
    /// other knows who leads.
    async fn follow_up(self: &Arc<Self>, other: &str, lines: Lines) {
        // Nothing is lost with the buffer: the other says nothing unasked.
        let (from, to) = lines.into_inner().into_split();
        let term = self.state(|state| {
            if !state.rules.leads() || state.followers.contains_key(other) {
                return None;
            }
            let follower = Follower {
                to: Arc::new(tokio::sync::Mutex::new(to)),
                index: state.rules.kept().log.len(),
                has_been_told: false,
            };
            state.followers.insert(other.to_owned(), follower);
            Some(state.rules.kept().term)
        });
        if let Some(term) = term {
            self.host.mark(format!("follower {other}"));
            self.tell().await;
            tokio::spawn(self.clone().listen(other.to_owned(), from, term));
        }
    }

    /// Tells everyone of the next entry who has answered the last one. Whoever brings something to
    /// tell calls this.
    async fn tell(&self) {
        while let Some((to, append)) = self.state(State::untold) {
            // One that is gone gives no answer, and its `listen` ends.
            let _ = send(&mut *to.lock().await, &Request::Append(append)).await;
        }
    }

    /// Hears what a follower answers, for as long as it is there.
    async fn listen(self: Arc<Self>, other: String, from: OwnedReadHalf, term: u64) {
        let mut from = BufReader::new(from);
        while let Ok(answer) = receive(&mut from).await {
            match answer {
                Answer::Stored => self.stored(&other, term).await,
                Answer::Missing => self.answered(&other, term, |index| index - 1),
                Answer::Refused { term } => self.rules(|rules| rules.saw(term)),
                Answer::Granted => break,
            }
            self.tell().await;
        }
        let gone = self.state(|state| match state.rules.leads_in(term) {
            true => state.followers.remove(&other),
            false => None,
        });
        if gone.is_some() {
            // It may be back, and have asked for votes before its end was seen here.
            self.attach(&other).await;
        }
    }

    /// A follower has answered: which entry it receives next, given the last one.
    fn answered(&self, other: &str, term: u64, next: impl FnOnce(usize) -> usize) {
        self.state(|state| {
            let follower = state.followers.get_mut(other);
            if let Some(follower) = follower.filter(|_| state.rules.leads_in(term)) {
                follower.index = next(follower.index);
                follower.has_been_told = false;
            }
        });
    }

    /// A follower has the entry that it received: whatever waits for what is committed by that is
    /// answered.
    async fn stored(&self, other: &str, term: u64) {
        let committed = self.state(|state| {
            let index = state.followers.get(other)?.index;
            let committed = state.rules.stored(other, term, index)?;
            self.host.mark(format!("committed index={committed}"));
            let later = state.clients.split_off(&(committed + 1));
            let clients = std::mem::replace(&mut state.clients, later);
            let replies = clients.into_iter().map(|(index, lines)| {
                let is_write = state.rules.kept().log[index - 1].text.is_some();
                let reply = match is_write {
                    true => Reply::Acknowledged { index },
                    false => Reply::Log(state.rules.texts(index)),
                };
                (lines, reply)
            });
            Some(replies.collect::<Vec<_>>())
        });
        self.answered(other, term, |index| index + 1);
        for (mut client, reply) in committed.into_iter().flatten() {
            // A client that has gone away needs no answer.
            let _ = send(&mut client, &reply).await;
        }
    }

    /// Takes in an entry for a client, who is answered when it is committed.
    async fn enter(&self, text: Option<String>, client: Lines) {
        let hastily = text.is_some() && self.acknowledges == Acknowledges::AtOnce;
        let reply = self.state(|state| match state.rules.enter(text) {
            Some(index) if hastily => Some((Reply::Acknowledged { index }, client)),
            Some(index) => {
                state.clients.insert(index, client);
                None
            }
            None => Some((Reply::NotTheLeader, client)),
        });
        if let Some((reply, mut client)) = reply {
            let _ = send(&mut client, &reply).await;
        }
        self.tell().await;
    }
}
