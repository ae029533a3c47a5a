//! Which events an assertion looks at: by verb and by host, and of which part of all there is.
//!
//! Pure. Owns the default view. The view does not change the causal past.

use std::collections::BTreeSet;

use lonet::trace::{InView, Verb};

use crate::trace::ends;
use crate::trace::intern::labels::Label;
use crate::trace::intern::symbols::Symbols;

/// Which nodes an assertion looks at, and which of them are events of its view.
#[derive(Debug)]
pub(crate) struct Scope {
    /// By node: in the causal past of the assertion.
    pub(crate) members: Vec<bool>,
    /// By node: an event of the view.
    pub(crate) shown: Vec<bool>,
    /// The events of the view, causes before effects.
    pub(crate) events: Vec<u32>,
}

/// A choice of events by what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) verbs: BTreeSet<Verb>,
    /// `None`: all.
    pub(crate) hosts: Option<BTreeSet<String>>,
}

impl Default for View {
    fn default() -> View {
        View {
            verbs: verbs_in(InView::Default).collect(),
            hosts: None,
        }
    }
}

impl View {
    pub(crate) fn shows(&self, label: Label<'_>, names: &Symbols) -> bool {
        let head = label.head;
        let of_host = |hosts: &BTreeSet<String>| {
            let has = |host: &str| hosts.contains(host);
            match head.verb {
                // What the scenario does to several hosts is an event of each.
                Verb::Reset => label.hosts(names).any(has),
                verb if verb.names_ends() => {
                    ends::names_all_others(label.text) || label.hosts(names).any(has)
                }
                _ => has(names.text(head.host)),
            }
        };
        self.verbs.contains(&head.verb) && self.hosts.as_ref().is_none_or(of_host)
    }

    /// What a user writes to have this verb shown, if there is a shorter way than naming verbs.
    pub(crate) fn method_for(verb: Verb) -> &'static str {
        match verb.rules().view {
            InView::Lifecycle => ".with_lifecycle()",
            InView::Data => ".with_data()",
            InView::Default => ".only_verbs(&[…])",
        }
    }
}

/// The verbs that a trace shows by default, or with one of its methods.
pub(crate) fn verbs_in(view: InView) -> impl Iterator<Item = Verb> {
    let verbs = Verb::ALL.iter().copied();
    verbs.filter(move |verb| verb.rules().view == view)
}
