//! The state machine, as openraft wants it, over a [`StateStorage`].

use std::io;
use std::sync::Arc;

use futures_util::{FutureExt, Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use snakepit_storage::codec::payload;
use snakepit_storage::{ApplyEntry, ApplyPayload, SnapshotRef, StateStorage};
use tokio::sync::watch;

use crate::convert;
use crate::types::{Applied, LogId, Payload, Snapshot, SnapshotMeta, StoredMembership, TypeConfig};

/// Entries that one write applies at most.
const APPLY_ENTRIES_MAX: usize = 256;
/// Bytes of entries after which one write takes no more.
const APPLY_BYTES_MAX: usize = 8 << 20;

/// Bytes of entries up to which they are applied on the thread that has them, if nothing has to be waited for: some
/// hundred small commands at most, which take a millisecond or two. To change the thread twice costs more than
/// applying a few.
const APPLY_AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// Counts them by way.
const APPLIES: &str = "snakepit_state_applies_total";

/// A state machine; cheap to clone. It tells the last applied index to whoever waits for it.
#[derive(Debug)]
pub struct State<S> {
    store: Arc<S>,
    applied: watch::Sender<u64>,
}

impl<S> Clone for State<S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            applied: self.applied.clone(),
        }
    }
}

impl<S: StateStorage> State<S> {
    /// Over this store.
    pub fn new(store: Arc<S>) -> io::Result<Self> {
        let applied = store.applied()?.last.map_or(0, |id| id.index);
        Ok(Self {
            store,
            applied: watch::Sender::new(applied),
        })
    }

    /// The last applied index, as it grows.
    pub fn applied_index(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Run what may block on a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .map_err(io::Error::other)?
    }

    async fn apply_batch(&self, batch: Batch) -> io::Result<()> {
        let Some(last) = batch.entries.last().map(|entry| entry.id.index) else {
            return Ok(());
        };
        let mut outcomes = None;
        if batch.bytes <= APPLY_AT_ONCE_BYTES_MAX {
            outcomes = self.store.try_apply(&batch.entries)?;
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
        self.applied.send_replace(last);
        for (responder, outcomes) in batch.responders.into_iter().zip(outcomes) {
            if let Some(responder) = responder {
                responder.send(Applied(outcomes));
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Batch {
    entries: Vec<ApplyEntry>,
    responders: Vec<Option<ApplyResponder<TypeConfig>>>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, (entry, responder): EntryResponder<TypeConfig>) -> io::Result<()> {
        let content = match entry.payload {
            Payload::Blank => ApplyPayload::Blank,
            Payload::Normal(proposal) => {
                self.bytes += proposal.0.len();
                payload::decode(&proposal.0)?.into()
            }
            Payload::Membership(membership) => {
                ApplyPayload::Membership(convert::membership_record(&membership))
            }
        };
        self.entries.push(ApplyEntry {
            id: convert::entry_id(&entry.log_id),
            payload: content,
        });
        self.responders.push(responder);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= APPLY_ENTRIES_MAX || self.bytes >= APPLY_BYTES_MAX
    }
}

impl<S: StateStorage> RaftStateMachine<TypeConfig> for State<S> {
    type SnapshotData = SnapshotRef;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let state = self.store.applied()?;
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
            let mut batch = Batch::default();
            batch.push(first?)?;
            while !batch.is_full() {
                match entries.next().now_or_never() {
                    Some(Some(next)) => batch.push(next?)?,
                    Some(None) | None => break,
                }
            }
            self.apply_batch(batch).await?;
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
        self.blocking(move |store| store.install_snapshot(&snapshot.path))
            .await?;
        self.applied.send_replace(wanted.map_or(0, |id| id.index));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        Ok(self.store.current_snapshot()?.map(snapshot))
    }
}

impl<S: StateStorage> RaftSnapshotBuilder<TypeConfig> for State<S> {
    type SnapshotData = SnapshotRef;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
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
