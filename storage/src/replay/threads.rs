//! A replay in two threads: one checks chain and tree, the other decodes and folds what was found good.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use super::{Check, Replay, ReplayError, ReplayedRows};
use crate::state_store::StoredEvent;
use crate::tree::Hash;

/// Batches of events that may wait to be folded.
const WAITING: usize = 8;

/// What a chain is at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The position.
    pub position: u64,
    /// Hash of the event there.
    pub chain_head: [u8; 32],
    /// Root of the tree of the events up to there.
    pub root: Hash,
}

/// What came of a replay.
#[derive(Debug)]
pub struct Replayed {
    /// The chain at the positions that were asked for, as far as events were checked.
    pub checked: Vec<Checked>,
    /// The replay after the last event, or what is wrong with the first that is.
    pub end: Result<Replay, ReplayError>,
}

/// Replay events that come in batches, in order from the first, until there are no more or one is wrong. `at`
/// asks for the chain at some positions. Blocks: this thread checks, another folds.
pub fn in_threads(mut next: impl FnMut() -> Option<Vec<StoredEvent>>, at: &[u64]) -> Replayed {
    let mut check = Check::default();
    let mut checked = Vec::new();
    let (found, folded) = thread::scope(|scope| {
        let (give, take) = mpsc::sync_channel(WAITING);
        let folding = scope.spawn(move || fold(take));
        let found = check_all(&mut next, at, &mut check, &mut checked, give);
        let folded = folding.join().unwrap_or_else(|panic| {
            std::panic::resume_unwind(panic);
        });
        (found, folded)
    });
    // An event that does not fold was checked, so that it is before one whose check fails.
    let end = folded.and_then(|rows| found.map(|()| Replay { check, rows }));
    Replayed { checked, end }
}

fn check_all(
    next: &mut impl FnMut() -> Option<Vec<StoredEvent>>,
    at: &[u64],
    check: &mut Check,
    checked: &mut Vec<Checked>,
    give: SyncSender<Vec<StoredEvent>>,
) -> Result<(), ReplayError> {
    while let Some(mut batch) = next() {
        let mut found = Ok(());
        let mut sound = 0;
        for stored in &batch {
            found = check.feed(stored);
            if found.is_err() {
                break;
            }
            sound += 1;
            if at.contains(&stored.position) {
                checked.push(Checked {
                    position: stored.position,
                    chain_head: check.chain_head(),
                    root: check.tree_root(),
                });
            }
        }
        batch.truncate(sound);
        // Where nobody takes them, an event before these did not fold.
        if give.send(batch).is_err() {
            return Ok(());
        }
        found?;
    }
    Ok(())
}

fn fold(take: Receiver<Vec<StoredEvent>>) -> Result<ReplayedRows, ReplayError> {
    let mut rows = ReplayedRows::default();
    for stored in take.into_iter().flatten() {
        rows.feed(&stored)?;
    }
    Ok(rows)
}
