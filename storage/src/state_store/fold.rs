//! What applying entries does, apart from where it is written: the same for RocksDB and for memory.

use std::io;

use snakepit_machine::{Changes, LogPoint, Outcome, Overlay, Payload, Proposal, Rows, RowsError};

use crate::codec::meta::ChainMeta;
use crate::error::damaged;
use crate::traits::{AppliedState, ApplyEntry, ApplyPayload, EntryId};
use crate::tree::{Hash, Place};

/// An event that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewEvent {
    pub position: u64,
    pub session_id: String,
    pub revision: u64,
    pub hash: [u8; 32],
    pub bytes: Vec<u8>,
    /// The calls that it is of.
    pub calls: Vec<String>,
}

/// What entries did.
pub(crate) struct Folded {
    pub outcomes: Vec<Vec<Outcome>>,
    pub changes: Changes,
    pub events: Vec<NewEvent>,
    /// Nodes of the tree that are to be stored.
    pub nodes: Vec<(Place, Hash)>,
    pub applied: AppliedState,
    pub chain: ChainMeta,
}

/// Apply entries on top of rows, which are not changed.
///
/// # Errors
///
/// `InvalidInput` where an entry does not come after the last applied one, `InvalidData` where rows cannot be
/// read. Nothing of any entry is to be written then.
pub(crate) fn fold<R: Rows>(
    base: R,
    applied: AppliedState,
    chain: ChainMeta,
    entries: &[ApplyEntry],
) -> io::Result<Folded> {
    let mut fold = Fold {
        overlay: Overlay::new(base),
        chain,
        events: Vec::with_capacity(commands_in(entries)),
        nodes: Vec::new(),
    };
    let mut applied = applied;
    let mut outcomes = Vec::with_capacity(entries.len());
    for entry in entries {
        check_follows(applied.last, entry.id)?;
        outcomes.push(match &entry.payload {
            ApplyPayload::Blank => Vec::new(),
            ApplyPayload::Proposal(proposal) => fold.proposal(entry.id, proposal)?,
            ApplyPayload::Membership(membership) => {
                applied.membership = membership.clone();
                applied.membership_id = Some(entry.id);
                Vec::new()
            }
        });
        applied.last = Some(entry.id);
    }
    let Fold {
        overlay,
        chain,
        events,
        nodes,
    } = fold;
    Ok(Folded {
        outcomes,
        changes: overlay.into_changes(),
        events,
        nodes,
        applied,
        chain,
    })
}

/// Commands, which have about as many events.
fn commands_in(entries: &[ApplyEntry]) -> usize {
    let commands = entries.iter().map(|entry| match &entry.payload {
        ApplyPayload::Proposal(proposal) => proposal.commands.len(),
        ApplyPayload::Blank | ApplyPayload::Membership(_) => 0,
    });
    commands.sum()
}

/// Raft applies without gaps; that an entry comes twice or late is what can be seen here.
fn check_follows(last: Option<EntryId>, next: EntryId) -> io::Result<()> {
    match last {
        Some(last) if next.index <= last.index => {
            let message = format!(
                "entry {} is to be applied, but entry {} already is",
                next.index, last.index
            );
            Err(io::Error::new(io::ErrorKind::InvalidInput, message))
        }
        _ => Ok(()),
    }
}

struct Fold<R> {
    overlay: Overlay<R>,
    chain: ChainMeta,
    events: Vec<NewEvent>,
    nodes: Vec<(Place, Hash)>,
}

impl<R: Rows> Fold<R> {
    fn proposal(&mut self, id: EntryId, proposal: &Proposal) -> io::Result<Vec<Outcome>> {
        let point = LogPoint {
            index: id.index,
            term: id.term,
        };
        let mut outcomes = Vec::with_capacity(proposal.commands.len());
        for command in &proposal.commands {
            let stepped = snakepit_machine::step(
                &mut self.overlay,
                point,
                proposal.time_ms,
                &proposal.limits,
                command,
            )
            .map_err(unreadable)?;
            for event in stepped.events {
                self.event(event)?;
            }
            outcomes.push(stepped.outcome);
        }
        Ok(outcomes)
    }

    fn event(&mut self, event: snakepit_machine::Event) -> io::Result<()> {
        let position = self.chain.position + 1;
        if event.position != position {
            return Err(damaged(format_args!(
                "an event has position {}, the next one is {position}",
                event.position
            )));
        }
        let (session_id, revision) = (event.session_id.clone(), event.revision);
        let calls = calls_of(&event.payload);
        let bytes = snakepit_proto::events::encode(event);
        let nodes = &mut self.nodes;
        let hash = self.chain.next_hash(&bytes);
        self.chain.push(&bytes, hash, |place, hash| {
            if place.is_stored() {
                nodes.push((place, *hash));
            }
        });
        self.events.push(NewEvent {
            position,
            session_id,
            revision,
            hash,
            bytes,
            calls,
        });
        Ok(())
    }
}

/// The calls that an event of the journal is of.
fn calls_of(payload: &Payload) -> Vec<String> {
    match payload {
        Payload::CallStarted { call_id, .. }
        | Payload::CallEnded { call_id, .. }
        | Payload::CallChunksPut { call_id, .. } => vec![call_id.clone()],
        Payload::CallsRecorded { calls } => calls.iter().map(|call| call.call_id.clone()).collect(),
        _ => Vec::new(),
    }
}

pub(crate) fn unreadable(error: RowsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
