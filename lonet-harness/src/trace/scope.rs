//! Which events an assertion looks at: by verb and by host.
//!
//! Pure. Owns the default view. The view does not change the causal past.

use std::collections::BTreeSet;

use lonet::trace::{InView, Verb};

use crate::trace::intern::labels::Head;
use crate::trace::intern::symbols::Symbols;

/// A selection of events by verb and host.
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
    pub(crate) fn shows(&self, head: &Head, names: &Symbols) -> bool {
        let of_host = |hosts: &BTreeSet<String>| hosts.contains(names.text(head.host));
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
