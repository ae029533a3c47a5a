//! A trace as a Mermaid sequence diagram, for pull requests and documents.
//!
//! Pure. Owns Mermaid's syntax and escaping.

use lonet::trace::{Event, Verb};

use super::sequence::{hosts, reaches, short, stretch};
use crate::trace::Trace;

impl Trace {
    /// The trace as a Mermaid sequence diagram, for a pull request or a page of documentation.
    pub fn mermaid(&self) -> String {
        diagram(self)
    }
}

/// The diagram's source, without the code fence.
pub(crate) fn diagram(trace: &Trace) -> String {
    let events = trace.events();
    let hosts = hosts(events);
    let id = |host: &str| {
        let index = hosts.iter().position(|known| *known == host);
        format!("h{}", index.unwrap_or(0))
    };
    let mut text = "sequenceDiagram\n".to_owned();
    for host in &hosts {
        text.push_str(&format!(
            "    participant {} as {}\n",
            id(host),
            escaped(host)
        ));
    }
    for event in events {
        text.push_str(&format!("    {}\n", line(trace, event, id, &hosts)));
    }
    text
}

fn line(trace: &Trace, event: &Event, id: impl Fn(&str) -> String, hosts: &[&str]) -> String {
    let from = id(event.host());
    let reached = reaches(&trace.cut, event);
    let says = escaped(&short(event, reached.is_some()));
    match (
        event.verb(),
        reached.or(event.peer().map(lonet::Addr::host)),
    ) {
        (Verb::Dial, Some(peer)) => format!("{from}->>{}: {says}", id(peer)),
        (Verb::Accept, Some(peer)) => format!("{from}-->>{}: {says}", id(peer)),
        (_, Some(peer)) if reached.is_some() => format!("{from}-){}: {says}", id(peer)),
        (Verb::Fail, Some(peer)) => format!("{from}-x{}: {says}", id(peer)),
        (verb, _) if verb.is_interference() => {
            let columns = stretch(event, hosts).unwrap_or(0..=hosts.len().saturating_sub(1));
            match (columns.start(), columns.end()) {
                (one, other) if one == other => format!("Note over h{one}: {says}"),
                (one, other) => format!("Note over h{one},h{other}: {says}"),
            }
        }
        _ => format!("Note over {from}: {says}"),
    }
}

/// Mermaid's own signs as entity codes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '#' | ';' | '<' | '>' | '"' | '&' | '{' | '}' | '%' => {
                escaped.push_str(&format!("#{};", c as u32));
            }
            c if c.is_control() => escaped.push('·'),
            c => escaped.push(c),
        }
    }
    escaped
}
