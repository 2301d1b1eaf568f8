//! Entries that are committed and not applied yet.

use std::{fmt, io};

use openraft::storage::{ApplyResponder, EntryResponder};
use snakepit_storage::codec::payload;
use snakepit_storage::{ApplyEntry, ApplyPayload};

use crate::convert;
use crate::types::{Payload, TypeConfig};

/// Entries that one write applies at most.
const ENTRIES_MAX: usize = 256;
/// Bytes of entries after which one write takes no more.
const BYTES_MAX: usize = 8 << 20;

/// Entries in the order of the log.
#[derive(Default)]
pub(super) struct Pending {
    entries: Vec<EntryResponder<TypeConfig>>,
    pub(super) bytes: usize,
    /// Whether a client waits for one of them.
    pub(super) is_waited_for: bool,
    /// Whether a timer runs at whose end they are applied.
    pub(super) is_timed: bool,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("entries", &self.entries.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// Entries that are ready to be applied, and who waits for them.
pub(super) struct Batch {
    pub(super) entries: Vec<ApplyEntry>,
    pub(super) responders: Vec<Option<ApplyResponder<TypeConfig>>>,
    pub(super) bytes: usize,
}

impl Pending {
    pub(super) fn push(&mut self, entry: EntryResponder<TypeConfig>) {
        if let Payload::Normal(proposal) = &entry.0.payload {
            self.bytes += proposal.0.len();
        }
        self.is_waited_for |= entry.1.is_some();
        self.entries.push(entry);
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX || self.bytes >= BYTES_MAX
    }

    /// Take all, decoded.
    pub(super) fn take(&mut self) -> io::Result<Batch> {
        self.is_waited_for = false;
        let mut batch = Batch {
            entries: Vec::with_capacity(self.entries.len()),
            responders: Vec::with_capacity(self.entries.len()),
            bytes: std::mem::take(&mut self.bytes),
        };
        for (entry, responder) in self.entries.drain(..) {
            let payload = match entry.payload {
                Payload::Blank => ApplyPayload::Blank,
                Payload::Normal(proposal) => payload::decode(&proposal.0)?.into(),
                Payload::Membership(membership) => {
                    ApplyPayload::Membership(convert::membership_record(&membership))
                }
            };
            batch.entries.push(ApplyEntry {
                id: convert::entry_id(&entry.log_id),
                payload,
            });
            batch.responders.push(responder);
        }
        Ok(batch)
    }
}
