//! The state machine, as openraft wants it, over a [`StateStorage`].

mod pending;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use snakepit_storage::{SnapshotRef, StateStorage};
use tokio::sync::{Mutex, watch};

use self::pending::Pending;
use crate::applied::{AppliedIndex, Demand};
use crate::convert;
use crate::types::{Applied, LogId, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};

/// Bytes of entries up to which they are applied on the thread that has them, if nothing has to be waited for: some
/// hundred small commands at most, which take a millisecond or two. To change the thread twice costs more than
/// applying a few.
const APPLY_AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// Bytes of entries up to which they gather while nobody waits for them: who does all the same waits for some tens of
/// milliseconds.
const GATHER_BYTES_MAX: usize = 512 << 10;

/// Counts them by way.
const APPLIES: &str = "snakepit_state_applies_total";

/// A state machine; cheap to clone. It tells the last applied index to whoever waits for it. Entries that nobody
/// waits for gather for a while: to apply several at once costs little more than to apply one, and on a follower
/// each would take the processor from what the leader waits for.
#[derive(Debug)]
pub struct State<S> {
    shared: Arc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    store: Arc<S>,
    applied: watch::Sender<u64>,
    demand: Arc<Demand>,
    lag_max: Duration,
    /// Held while entries are applied.
    pending: Mutex<Pending>,
    /// Why entries could not be applied while raft was not looking.
    failure: OnceLock<String>,
}

impl<S> Clone for State<S> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<S: StateStorage> State<S> {
    /// Over this store. Entries are applied so much later than they are committed at most, where nobody waits for
    /// them.
    pub fn new(store: Arc<S>, lag_max: Duration) -> io::Result<Self> {
        let applied = store.applied()?.last.map_or(0, |id| id.index);
        Ok(Self {
            shared: Arc::new(Shared {
                store,
                applied: watch::Sender::new(applied),
                demand: Arc::default(),
                lag_max,
                pending: Mutex::default(),
                failure: OnceLock::new(),
            }),
        })
    }

    /// The last applied index, as it grows.
    pub fn applied_index(&self) -> AppliedIndex {
        AppliedIndex::new(self.shared.applied.subscribe(), self.shared.demand.clone())
    }

    /// Why entries could not be applied, where it was not told to raft.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.shared.failure.get().map(String::as_str)
    }

    /// Apply what has gathered.
    pub(crate) async fn settle(&self) -> io::Result<()> {
        let mut pending = self.shared.pending.lock().await;
        self.apply_pending(&mut pending).await
    }

    /// Run what may block on a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let store = self.shared.store.clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .map_err(io::Error::other)?
    }

    async fn apply_pending(&self, pending: &mut Pending) -> io::Result<()> {
        if let Some(failure) = self.failure() {
            return Err(io::Error::other(failure.to_owned()));
        }
        let batch = pending.take()?;
        let Some(last) = batch.entries.last().map(|entry| entry.id.index) else {
            return Ok(());
        };
        let mut outcomes = None;
        if batch.bytes <= APPLY_AT_ONCE_BYTES_MAX {
            outcomes = self.shared.store.try_apply(&batch.entries)?;
        }
        let outcomes = match outcomes {
            Some(outcomes) => {
                metrics::counter!(APPLIES, "way" => "at_once").increment(1);
                outcomes
            }
            None => {
                metrics::counter!(APPLIES, "way" => "waiting").increment(1);
                let entries = batch.entries;
                self.blocking(move |store| store.apply(entries)).await?
            }
        };
        self.shared.applied.send_replace(last);
        for (responder, outcomes) in batch.responders.into_iter().zip(outcomes) {
            if let Some(responder) = responder {
                responder.send(Applied(outcomes));
            }
        }
        Ok(())
    }

    fn may_wait(&self, pending: &Pending) -> bool {
        !self.shared.lag_max.is_zero()
            && !pending.is_full()
            && pending.bytes <= GATHER_BYTES_MAX
            && !pending.is_waited_for
            && !self.shared.demand.is_open()
            && self.failure().is_none()
    }

    /// Have what has gathered applied when somebody waits for it, or it has waited long enough.
    fn apply_later(&self) {
        let state = self.clone();
        tokio::spawn(async move {
            let Shared {
                demand, lag_max, ..
            } = &*state.shared;
            let _ = tokio::time::timeout(*lag_max, demand.until_open()).await;
            let mut pending = state.shared.pending.lock().await;
            pending.is_timed = false;
            if let Err(error) = state.apply_pending(&mut pending).await {
                let _ = state.shared.failure.set(error.to_string());
            }
        });
    }
}

impl<S: StateStorage> RaftStateMachine<TypeConfig> for State<S> {
    type SnapshotData = SnapshotRef;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.settle().await?;
        let state = self.shared.store.applied()?;
        Ok((
            state.last.map(convert::log_id),
            convert::stored_membership(&state),
        ))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + Send,
    {
        while let Some(first) = entries.next().await {
            let mut pending = self.shared.pending.lock().await;
            pending.push(first?);
            while !pending.is_full() {
                match entries.next().now_or_never() {
                    Some(Some(next)) => pending.push(next?),
                    Some(None) | None => break,
                }
            }
            if !self.may_wait(&pending) {
                self.apply_pending(&mut pending).await?;
            } else if !std::mem::replace(&mut pending.is_timed, true) {
                self.apply_later();
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: SnapshotRef,
    ) -> io::Result<()> {
        let wanted = meta.last_log_id.as_ref().map(convert::entry_id);
        if snapshot.state.last != wanted {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot's manifest covers another entry than was announced",
            ));
        }
        self.settle().await?;
        self.blocking(move |store| store.install_snapshot(&snapshot.path))
            .await?;
        self.shared
            .applied
            .send_replace(wanted.map_or(0, |id| id.index));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.shared.store.current_snapshot()?.map(snapshot))
    }
}

impl<S: StateStorage> RaftSnapshotBuilder<TypeConfig> for State<S> {
    type SnapshotData = SnapshotRef;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        self.settle().await?;
        self.blocking(StateStorage::build_snapshot)
            .await
            .map(snapshot)
    }
}

fn snapshot(reference: SnapshotRef) -> Snapshot {
    Snapshot {
        meta: convert::snapshot_meta(&reference.state),
        snapshot: reference,
    }
}
