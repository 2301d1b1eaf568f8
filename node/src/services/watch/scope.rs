//! Which variables a watch is about, and what its owner may see of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use snakepit_machine::Origin;
use snakepit_machine::access::{self, Action, Actor};

use super::change::VariableChange;

/// The variables of a watch.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Ids and names as the caller gave them; empty: all of the session.
    pub(super) identifiers: BTreeSet<String>,
    /// Who watches.
    pub(super) origin: Arc<Origin>,
}

impl Scope {
    /// Whether the owner is told of a change.
    pub(super) fn covers(&self, change: &VariableChange) -> bool {
        let named = self.identifiers.is_empty()
            || self.identifiers.contains(&change.name)
            || self.identifiers.contains(&change.id);
        let actor = Actor {
            principal: &self.origin.principal.name,
            tool: &self.origin.tool,
        };
        let lets_in =
            |rules: &String| access::check(rules, &change.name, Action::Watch, actor).is_ok();
        named && change.rules.iter().all(lets_in)
    }
}
