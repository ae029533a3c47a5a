//! Which events an assertion looks at: by verb and by host.
//!
//! Pure. Owns the default view. The causal past is not a matter of the view.

use std::collections::BTreeSet;

use lonet::trace::Verb;

use crate::trace::intern::labels::Head;
use crate::trace::intern::symbols::Symbols;

/// A choice of events by what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) verbs: BTreeSet<Verb>,
    /// `None`: all.
    pub(crate) hosts: Option<BTreeSet<String>>,
}

impl Default for View {
    fn default() -> View {
        use Verb::{Accept, Close, Connect, Dial, Fail, Listen, Mark};
        let shown = |verb: &&Verb| {
            let interferes = verb.is_interference() && **verb != Verb::Spawn;
            interferes || matches!(verb, Listen | Dial | Accept | Connect | Fail | Close | Mark)
        };
        View {
            verbs: Verb::ALL.iter().filter(shown).copied().collect(),
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
        match verb {
            Verb::Up | Verb::Down | Verb::Exit | Verb::Spawn => ".with_lifecycle()",
            Verb::Shutdown | Verb::Send | Verb::Recv => ".with_data()",
            _ => ".only_verbs(&[…])",
        }
    }
}
