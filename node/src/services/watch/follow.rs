//! One watch: what it is about, where it begins, and what it sends.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use snakepit_machine::access::Action;
use snakepit_machine::{Rejection, RowsExt, VariableRow};
use snakepit_proto::bridge::{VariableUpdate, WatchVariablesRequest};
use snakepit_proto::values::Arrays;
use snakepit_proto::{events, times};
use snakepit_storage::{StateStore, StateView};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tonic::Status;

use super::change::{self, Change};
use super::hub::{Hub, Subscription};
use super::scope::Scope;
use crate::services::wire::{self, Look};
use crate::services::{Ask, Failure, Node};

/// Updates that wait for the connection; more wait in the feed.
const AHEAD: usize = 16;
/// Variables that one watch names at most.
const IDENTIFIERS_MAX: usize = 10_000;
/// Rows read at once.
const READ_ROWS: usize = 256;
/// Events read at once, and bytes of them.
const READ_EVENTS: usize = 256;
const READ_BYTES: usize = 4 << 20;
/// Time between two looks whether this node still hears a leader.
const LOOK_EVERY: Duration = Duration::from_secs(1);

type Updates = mpsc::Sender<Result<VariableUpdate, Status>>;

/// Where a watch begins.
struct Begin {
    updates: Vec<VariableUpdate>,
    position: u64,
}

/// Begin to watch; the log index of the moment at which the watch begins is the answer's.
pub(in crate::services) async fn watch(
    node: Arc<Node>,
    ask: Ask,
    request: WatchVariablesRequest,
) -> Result<(u64, mpsc::Receiver<Result<VariableUpdate, Status>>), Failure> {
    if request.variable_identifiers.len() > IDENTIFIERS_MAX {
        return Err(Failure::Invalid(format!(
            "the watch names {} variables, the limit is {IDENTIFIERS_MAX}; hint: name none to watch the session",
            request.variable_identifiers.len()
        )));
    }
    let session_id = request.session_id.clone();
    // First followed, then read: nothing happens between the two unseen.
    let subscription = Hub::subscribe(&node, &session_id)?;
    let scope = Scope {
        identifiers: BTreeSet::from_iter(request.variable_identifiers.iter().cloned()),
        origin: ask.origin.clone(),
    };
    let (sid, arrays) = (session_id.clone(), ask.arrays);
    let read = node.read_session(&ask, &session_id, move |state, _, look| {
        let begin = if request.after_position == 0 && request.after_index == 0 {
            let initial = request.include_initial_values;
            state.with_view(|view| begin(view, &sid, &scope, initial, look))?
        } else {
            Begin {
                updates: Vec::new(),
                position: resume(state, &request)?,
            }
        };
        Ok((scope, begin))
    });
    let (index, (scope, begin)) = read.await?;
    let (updates, outgoing) = mpsc::channel(AHEAD);
    let watch = Watch {
        node,
        session_id,
        scope,
        arrays,
        position: begin.position,
        updates,
    };
    tokio::spawn(watch.run(begin.updates, subscription));
    Ok((index, outgoing))
}

/// The variables as they are, and where that is. Names must be known, and the caller allowed to watch them.
fn begin(
    view: &StateView<'_>,
    session_id: &str,
    scope: &Scope,
    initial: bool,
    look: &Look,
) -> Result<Begin, Failure> {
    let (position, _) = view.chain_head()?;
    let mut updates = Vec::new();
    if scope.identifiers.is_empty() {
        if initial {
            updates = all(view, session_id, position, look)?;
        }
        return Ok(Begin { updates, position });
    }
    let mut names = BTreeSet::new();
    for identifier in &scope.identifiers {
        let row = view
            .variable(session_id, identifier)?
            .ok_or_else(|| Rejection::no_variable(identifier))?;
        look.check(Action::Watch, &row)?;
        if names.insert(row.name.clone()) && initial {
            let row = Arc::unwrap_or_clone(row);
            updates.push(initial_value(session_id, row, position, look)?);
        }
    }
    Ok(Begin { updates, position })
}

/// All variables of a session that may be watched.
fn all(
    view: &StateView<'_>,
    session_id: &str,
    position: u64,
    look: &Look,
) -> Result<Vec<VariableUpdate>, Failure> {
    let mut updates = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let rows = view.list_variables(session_id, after.as_deref(), READ_ROWS)?;
        let last = rows.len() < READ_ROWS;
        after = rows.last().map(|row| row.name.clone());
        let seen = rows
            .into_iter()
            .filter(|row| look.check(Action::Watch, row).is_ok());
        for row in seen {
            updates.push(initial_value(session_id, row, position, look)?);
        }
        if last {
            return Ok(updates);
        }
    }
}

fn initial_value(
    session_id: &str,
    row: VariableRow,
    position: u64,
    look: &Look,
) -> Result<VariableUpdate, Failure> {
    let source = wire::source(&row.metadata, row.by_tool);
    let timestamp = Some(times::timestamp(row.updated_ms));
    let variable = wire::variable(session_id, row, look)?;
    Ok(VariableUpdate {
        variable_id: variable.id.clone(),
        update_source: source.as_str_name().to_lowercase(),
        update_metadata: variable.metadata.clone(),
        timestamp,
        update_type: "initial_value".to_owned(),
        position,
        dependents: variable.dependents.clone(),
        variable: Some(variable),
        ..VariableUpdate::default()
    })
}

/// Position behind which a watch goes on.
fn resume(state: &StateStore, request: &WatchVariablesRequest) -> Result<u64, Failure> {
    let end = state.head().position;
    if request.after_position > end {
        return Err(Failure::Invalid(format!(
            "after_position is {}, the log ends at {end}; hint: give a position that an update of this cluster had",
            request.after_position
        )));
    }
    if request.after_position > 0 {
        return Ok(request.after_position);
    }
    // The last event of an entry at or before the index.
    let (mut low, mut high) = (0, end);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let stored = state.event(middle)?;
        let event = events::decode(&stored.bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if event.raft_index <= request.after_index {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(low)
}

struct Watch {
    node: Arc<Node>,
    session_id: String,
    scope: Scope,
    arrays: Arrays,
    /// Of the last event that was looked at.
    position: u64,
    updates: Updates,
}

/// Why a watch ends.
enum End {
    /// Its owner has gone.
    Gone,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Watch {
    async fn run(mut self, initial: Vec<VariableUpdate>, subscription: Subscription) {
        let ended = self.follow(initial, subscription).await;
        if let Err(End::Failed(failure)) = ended {
            let status = self.node.status(failure);
            let _ = self.updates.send(Err(status)).await;
        }
    }

    async fn follow(
        &mut self,
        initial: Vec<VariableUpdate>,
        mut subscription: Subscription,
    ) -> Result<(), End> {
        for update in initial {
            self.send(update).await?;
        }
        self.catch_up(subscription.behind).await?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let change = tokio::select! {
                () = self.updates.closed() => return Err(End::Gone),
                _ = look.tick() => {
                    if self.node.leader_confirmed() {
                        continue;
                    }
                    return Err(End::Failed(Failure::Unavailable(format!(
                        "this node hears no leader, so that changes may pass it by; hint: watch on another node with after_position={}",
                        self.position
                    ))));
                }
                change = subscription.changes.recv() => change,
            };
            match change {
                Ok(change) => self.take(&change).await?,
                Err(RecvError::Lagged(missed)) => {
                    return Err(End::Failed(Failure::FellBehind(format!(
                        "the watcher fell behind: {missed} changes came faster than it took them; hint: watch again with after_position={}",
                        self.position
                    ))));
                }
                Err(RecvError::Closed) => {
                    return Err(End::Failed(Failure::Unavailable(format!(
                        "this node stops serving watches; hint: watch on another node with after_position={}",
                        self.position
                    ))));
                }
            }
        }
    }

    /// Send what the log holds up to a position.
    async fn catch_up(&mut self, end: u64) -> Result<(), End> {
        while self.position < end {
            let (session_id, from) = (self.session_id.clone(), self.position + 1);
            let read = self.node.blocking(move |state| {
                let stored = state.session_events(&session_id, from, READ_EVENTS, READ_BYTES)?;
                let last = stored.last().map(|event| event.position);
                let mut changes = Vec::new();
                for event in stored.iter().filter(|event| event.position <= end) {
                    changes.extend(change::read(state, event, |_| true)?);
                }
                Ok((last, changes))
            });
            let (last, changes) = read.await?;
            for (_, change) in changes {
                self.take(&change).await?;
            }
            self.position = last.map_or(end, |last| last.min(end)).max(self.position);
        }
        Ok(())
    }

    async fn take(&mut self, change: &Change) -> Result<(), End> {
        if change.position() <= self.position {
            return Ok(());
        }
        match change {
            Change::Ended(_) => Err(Rejection::no_session(&self.session_id).into()),
            Change::Variable(changed) => {
                if self.scope.covers(changed) {
                    let update = changed.update(self.arrays, &self.node.opener())?;
                    self.send(update).await?;
                }
                self.position = change.position();
                Ok(())
            }
        }
    }

    async fn send(&self, update: VariableUpdate) -> Result<(), End> {
        self.updates.send(Ok(update)).await.map_err(|_| End::Gone)
    }
}
