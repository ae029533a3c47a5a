//! A trace as JSON lines: saved beside a failed test, loaded to be asked again.
//!
//! Pure. One line for the trace itself, then one a process followed by its records, each exactly
//! as `docs/trace-protocol.md` has it.

use std::collections::BTreeSet;
use std::sync::Arc;

use lonet::trace::{EventId, Record, Verb};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::trace::happened::graph::Graph;
use crate::trace::happened::process::Process;
use crate::trace::scope::View;
use crate::trace::trace::Trace;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Trace(Looked),
    Process(Start),
    Ev(Record),
}

/// From where the trace looks, and at what.
#[derive(Serialize, Deserialize)]
struct Looked {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<EventId>,
    verbs: BTreeSet<Verb>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hosts: Option<BTreeSet<String>>,
    /// How many records follow, so that a text that was cut off is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    records: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct Start {
    pid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<u64>,
}

const VERSION: u32 = 1;

/// What is wrong with a line. The parser was given that line alone, so that of the place it names
/// only the column means anything.
fn said(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    match text.strip_suffix(&format!(" at line {line} column {column}")) {
        Some(what) => format!("{what}, at column {column}"),
        None => text,
    }
}

/// What is wrong with a line, counted from 1.
fn wrong(line: usize, what: &str) -> Error {
    let message = format!("not a saved trace: line {line}: {what}");
    Error::new(ErrorKind::Trace, message)
}

impl Trace {
    /// The trace as JSON lines: everything that was reported, so that what the trace leaves out
    /// can be asked about, too.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// scenario.host("α").await?.mark("ready");
    /// let saved = scenario.trace().to_jsonl();
    /// let loaded = lonet_harness::Trace::from_jsonl(&saved)?;
    /// loaded.assert("α mark ready");
    /// # Ok(()) }
    /// ```
    pub fn to_jsonl(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &Line| {
            let json = serde_json::to_string(line).expect("records have no keys but strings");
            text.push_str(&json);
            text.push('\n');
        };
        line(&Line::Trace(Looked {
            version: VERSION,
            at: self.cut.at,
            verbs: self.cut.view.verbs.clone(),
            hosts: self.cut.view.hosts.clone(),
            records: Some(self.cut.graph.len()),
        }));
        for process in &self.cut.graph.processes {
            line(&Line::Process(Start {
                pid: process.pid,
                node: process.node,
            }));
            for record in &process.records {
                line(&Line::Ev(record.clone()));
            }
        }
        text
    }

    /// The trace that [`to_jsonl`](Trace::to_jsonl) made this text of.
    ///
    /// # Errors
    ///
    /// Of kind [`Trace`](ErrorKind::Trace): the first line that does not belong into such a text.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lonet_harness::{Result, Scenario};
    /// # #[lonet::main]
    /// # async fn main(scenario: Scenario) -> Result<()> {
    /// let error = lonet_harness::Trace::from_jsonl("no trace").unwrap_err();
    /// assert_eq!(error.kind(), lonet_harness::ErrorKind::Trace);
    /// # Ok(()) }
    /// ```
    pub fn from_jsonl(text: &str) -> Result<Trace, Error> {
        let mut looked: Option<(usize, Looked)> = None;
        let mut processes: Vec<Process> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |what: String| wrong(index + 1, &what);
            let parsed = serde_json::from_str(line).map_err(|error| wrong(said(&error)))?;
            match parsed {
                Line::Trace(trace) if trace.version != VERSION => {
                    let found = trace.version;
                    return Err(wrong(format!(
                        "version {found}; this program supports {VERSION}"
                    )));
                }
                Line::Trace(_) if looked.is_some() => {
                    return Err(wrong("a second saved trace begins here".to_owned()));
                }
                Line::Trace(trace) => looked = Some((index + 1, trace)),
                Line::Process(Start { pid, node }) => processes.push(Process {
                    pid,
                    node,
                    records: Vec::new(),
                }),
                Line::Ev(record) => match processes.last_mut() {
                    Some(process) => process.records.push(record),
                    None => return Err(wrong("a record before any process".to_owned())),
                },
            }
        }
        let (line, looked) =
            looked.ok_or_else(|| wrong(1, "the first line of a saved trace is missing"))?;
        let wrong = |what: String| wrong(line, &what);
        let known: usize = processes.iter().map(|process| process.records.len()).sum();
        if let Some(saved) = looked.records.filter(|&saved| saved != known) {
            return Err(wrong(format!(
                "{saved} records were saved, but {known} are here"
            )));
        }
        let graph = Arc::new(Graph::build(processes));
        let trace = match looked.at {
            Some(at) if graph.node(at).is_none() => {
                let (process, n) = at.into();
                return Err(wrong(format!(
                    "record [{process},{n}], from which the trace looks, is missing"
                )));
            }
            Some(at) => Trace::past(graph, at),
            None => Trace::whole(graph),
        };
        let Looked { verbs, hosts, .. } = looked;
        Ok(trace.with_view(|view| *view = View { verbs, hosts }))
    }
}
