//! Reads new events once and hands them to all watches of their sessions. It runs while there are any.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::change::{self, Change};
use crate::config::LimitSettings;
use crate::services::{Failure, Node};

/// Events read at once, and bytes of them.
const READ_EVENTS: usize = 1_024;
const READ_BYTES: usize = 4 << 20;

/// Hands out what changes.
#[derive(Debug)]
pub(in crate::services) struct Hub {
    inner: Mutex<Inner>,
    open: Arc<AtomicUsize>,
    open_max: usize,
    updates_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    feeds: HashMap<String, broadcast::Sender<Arc<Change>>>,
    /// Position of the last event that was handed out; the feeds give all behind it.
    position: u64,
    running: bool,
}

/// What one watch gets: all changes of its session behind a position, and maybe some before it.
pub(super) struct Subscription {
    pub(super) changes: broadcast::Receiver<Arc<Change>>,
    pub(super) behind: u64,
    _place: Place,
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hub {
    pub(in crate::services) fn new(limits: &LimitSettings) -> Self {
        Self {
            inner: Mutex::default(),
            open: Arc::default(),
            open_max: limits.watches_max,
            updates_max: limits.watch_updates_max,
        }
    }

    /// Watches that are served.
    pub(in crate::services) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> Result<Place, Failure> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.open_max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Failure::Exhausted(format!(
                "{} watches are served at once, the limit watches_max; hint: watch on another node, or raise the limit",
                self.open_max
            )));
        }
        Ok(Place(self.open.clone()))
    }

    /// Follow a session.
    pub(super) fn subscribe(node: &Arc<Node>, session_id: &str) -> Result<Subscription, Failure> {
        let hub = &node.watches;
        let place = hub.place()?;
        let mut inner = hub.inner();
        if !inner.running {
            inner.running = true;
            inner.position = node.state.head().position;
            tokio::spawn(hand_out(node.clone()));
        }
        let feed = inner
            .feeds
            .entry(session_id.to_owned())
            .or_insert_with(|| broadcast::channel(hub.updates_max).0);
        let changes = feed.subscribe();
        // Events that are being read now were read before the feed was there: up to the head as it is after
        // that, the log has them, and what comes twice is dropped.
        let behind = inner.position.max(node.state.head().position);
        Ok(Subscription {
            changes,
            behind,
            _place: place,
        })
    }
}

/// Until nobody watches.
async fn hand_out(node: Arc<Node>) {
    let mut applied = node.group.applied_index();
    let _following = applied.follow();
    loop {
        if let Err(failure) = catch_up(&node).await {
            // Watches end where their feed does, and say so.
            tracing::error!(?failure, "watches cannot be served");
            let mut inner = node.watches.inner();
            inner.feeds.clear();
            inner.running = false;
            return;
        }
        {
            let mut inner = node.watches.inner();
            inner.feeds.retain(|_, feed| feed.receiver_count() > 0);
            if inner.feeds.is_empty() {
                inner.running = false;
                return;
            }
        }
        if applied.changed().await.is_err() {
            node.watches.inner().feeds.clear();
            return;
        }
    }
}

/// Hand out what has happened.
async fn catch_up(node: &Arc<Node>) -> Result<(), Failure> {
    loop {
        let end = node.state.head().position;
        let from = node.watches.inner().position + 1;
        if from > end {
            return Ok(());
        }
        let reader = node.clone();
        let changes = node
            .blocking(move |state| {
                let stored = state.events(from, READ_EVENTS, READ_BYTES)?;
                let last = stored.last().map_or(end, |event| event.position);
                let mut changes = Vec::new();
                for event in &stored {
                    let watched =
                        |session_id: &str| reader.watches.inner().feeds.contains_key(session_id);
                    changes.extend(change::read(state, event, watched)?);
                }
                Ok::<_, io::Error>((last, changes))
            })
            .await?;
        let (last, changes) = changes;
        let mut inner = node.watches.inner();
        for (session_id, change) in changes {
            let ended = matches!(change, Change::Ended(_));
            if let Some(feed) = inner.feeds.get(&session_id) {
                let _ = feed.send(Arc::new(change));
            }
            if ended {
                inner.feeds.remove(&session_id);
            }
        }
        inner.position = last;
    }
}
