//! Read barriers, shared: one is confirmed at a time, and all who came while it was on its way share the
//! next one.

use std::time::Duration;

use openraft::ReadPolicy;
use snakepit_proto::peer::{ReadIndexRequest, Vouch};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::ReadError;
use crate::applied::AppliedIndex;
use crate::clock::wall_clock_ms;
use crate::forward::{Forwarder, ReadIndexes};
use crate::leadership::Leadership;
use crate::promised::Promised;
use crate::types::Raft;

/// Readers that wait for a barrier at most.
const READERS_MAX: usize = 65_536;
/// Wait before a barrier that found no leader is tried again, unless leadership changes first.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// It sees every write that was acknowledged before it began.
    #[default]
    Linearizable,
    /// As linearizable as the leader's lease: clocks of the nodes must run at nearly the same speed.
    Lease,
    /// What this node has, however old.
    Stale,
}

/// From where on a read may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// Log index that this node has applied.
    pub index: u64,
    /// The clock by which sessions expire, milliseconds since 1970.
    pub time_ms: u64,
}

type Reply = oneshot::Sender<Result<(u64, u64), ReadError>>;

/// Hands out barriers; cheap to clone.
#[derive(Clone)]
pub(crate) struct Reads {
    parts: ReadParts,
    quorum: mpsc::Sender<Reply>,
    lease: mpsc::Sender<Reply>,
    here: (mpsc::Sender<Reply>, mpsc::Sender<Reply>),
}

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reads")
            .field("leadership", &self.parts.leadership)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
pub(crate) struct ReadParts {
    pub(crate) raft: Raft,
    pub(crate) leadership: Leadership,
    pub(crate) promised: Promised,
    pub(crate) forwarder: Forwarder,
    pub(crate) applied: AppliedIndex,
    pub(crate) rpc_timeout: Duration,
    pub(crate) stop: CancellationToken,
}

impl Reads {
    pub(crate) fn start(parts: ReadParts) -> Self {
        let run = |lease: bool, here: bool| {
            let (sender, receiver) = mpsc::channel(READERS_MAX);
            tokio::spawn(share(parts.clone(), receiver, lease, here));
            sender
        };
        Self {
            quorum: run(false, false),
            lease: run(true, false),
            here: (run(false, true), run(true, true)),
            parts,
        }
    }

    /// Have the leader confirm from where on a read may be answered; see [`Reads::applied`].
    pub(crate) async fn confirmed(&self, consistency: Consistency) -> Result<Barrier, ReadError> {
        let ask = match consistency {
            Consistency::Stale => {
                return Ok(Barrier {
                    index: self.parts.applied.get(),
                    time_ms: wall_clock_ms(),
                });
            }
            Consistency::Linearizable => &self.quorum,
            Consistency::Lease => &self.lease,
        };
        let (index, time_ms) = wait(ask).await?;
        Ok(Barrier { index, time_ms })
    }

    /// Wait until this node has applied what a confirmed read must see.
    pub(crate) async fn applied(
        &self,
        consistency: Consistency,
        barrier: Barrier,
    ) -> Result<Barrier, ReadError> {
        let mut applied = self.parts.applied.clone();
        let ask_again = || async { Some(self.confirmed(consistency).await.ok()?.index) };
        let reached = applied.reach_confirmed(barrier.index, ask_again).await;
        let index = reached.map_err(|_| ReadError::Stopping)?;
        Ok(Barrier { index, ..barrier })
    }

    /// Confirm, for another node, that this one leads: the index and the clock.
    pub(crate) async fn confirm_here(
        &self,
        lease: bool,
        vouch: Option<Vouch>,
    ) -> Result<(u64, u64), ReadError> {
        if let (false, Some(vouch)) = (lease, vouch)
            && let Some(confirmed) = vouched(&self.parts, &vouch).await
        {
            return Ok(confirmed);
        }
        wait(if lease { &self.here.1 } else { &self.here.0 }).await
    }
}

async fn wait(ask: &mpsc::Sender<Reply>) -> Result<(u64, u64), ReadError> {
    let (reply, answer) = oneshot::channel();
    ask.send(reply).await.map_err(|_| ReadError::Stopping)?;
    answer.await.map_err(|_| ReadError::Stopping)?
}

/// One barrier after another, each for all who wait when it begins.
async fn share(mut parts: ReadParts, mut asked: mpsc::Receiver<Reply>, lease: bool, here: bool) {
    let stop = parts.stop.clone();
    let mut elsewhere = (!here).then(|| ReadIndexes::new(parts.forwarder.clone()));
    while let Some(Some(first)) = stop.run_until_cancelled(asked.recv()).await {
        let mut waiting = vec![first];
        let result = loop {
            while let Ok(next) = asked.try_recv() {
                waiting.push(next);
            }
            let result = confirm(&parts, elsewhere.as_mut(), lease).await;
            waiting.retain(|reply| !reply.is_closed());
            if result.is_ok() || here || waiting.is_empty() || stop.is_cancelled() {
                break result;
            }
            tokio::select! {
                () = parts.leadership.changed() => {}
                () = tokio::time::sleep(RETRY_AFTER) => {}
                () = stop.cancelled() => {}
            }
        };
        metrics::histogram!("snakepit_raft_readers_per_barrier").record(waiting.len() as f64);
        for reply in waiting {
            let _ = reply.send(result.clone());
        }
    }
}

/// The index and the clock of the leader: this node, or one that is asked if others may be.
async fn confirm(
    parts: &ReadParts,
    elsewhere: Option<&mut ReadIndexes>,
    lease: bool,
) -> Result<(u64, u64), ReadError> {
    match (parts.leadership.leader(), elsewhere) {
        (Some(leader), _) if leader == parts.leadership.local() => {
            let time_ms = wall_clock_ms();
            let policy = if lease {
                ReadPolicy::LeaseRead
            } else {
                ReadPolicy::ReadIndex
            };
            match parts.raft.get_read_linearizer(policy).await {
                Ok(linearizer) => Ok((linearizer.read_log_id().index(), time_ms)),
                Err(_) => Err(ReadError::NoLeader { leader: None }),
            }
        }
        (Some(leader), Some(elsewhere)) => match parts.leadership.address_of(leader) {
            Some(address) => {
                let vouch = Vouch {
                    node_id: parts.leadership.local(),
                    term: parts.promised.term(),
                };
                let request = ReadIndexRequest {
                    lease,
                    vouch: Some(vouch),
                };
                let (peer, timeout) = (&address.peer, parts.rpc_timeout);
                elsewhere.ask(leader, peer, request, timeout).await
            }
            None => Err(ReadError::NoLeader {
                leader: Some(leader),
            }),
        },
        (leader, _) => Err(ReadError::NoLeader { leader }),
    }
}

/// The index and the clock where the node that asks and this one are a quorum (see [`crate::promised`]); `None` where others
/// must be asked. What counts here is that the leader says so itself, in which term: openraft does at once while it has its
/// lease, and nothing relies on that.
async fn vouched(parts: &ReadParts, vouch: &Vouch) -> Option<(u64, u64)> {
    let pair = [vouch.node_id, parts.leadership.local()];
    if !parts.leadership.are_quorum(pair) {
        return None;
    }
    let time_ms = wall_clock_ms();
    let word = parts.raft.get_read_linearizer(ReadPolicy::LeaseRead).await;
    let word = word.ok()?;
    let leads_in_term = **word.read_log_id().committed_leader_id();
    (vouch.term <= leads_in_term).then(|| (word.read_log_id().index(), time_ms))
}
