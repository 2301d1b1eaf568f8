//! Coalesces commands into entries, without a timer: while entries are on their way, commands gather. The
//! leader proposes them; any other node forwards them to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use openraft::error::{ClientWriteError, RaftError};
use snakepit_machine::{Outcome, Proposal};
use snakepit_storage::StateStorage;
use snakepit_storage::codec::payload::{self, EntryPayload};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::ProposeError;
use crate::clock::wall_clock_ms;
use crate::forward::Forwarder;
use crate::leadership::Leadership;
use crate::options::RaftOptions;
use crate::queue::{Group, GroupResult};
use crate::state::State;
use crate::types::{EncodedProposal, TypeConfig};

/// Wait before commands that found no leader are tried again, unless leadership changes first.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// What a message to another node holds beside the bytes of its entries; a guess on the high side.
const MESSAGE_OVERHEAD_BYTES: usize = 256 << 10;

/// One entry's worth of commands, and how it went.
struct Attempt {
    groups: Vec<Group>,
    result: Result<(u64, Vec<Outcome>), Failure>,
}

/// Why an entry got no answer.
enum Failure {
    /// Definitely not done; worth another try.
    NotDone,
    /// Maybe done.
    Unknown(String),
    /// Definitely not done, and never will be.
    Final(ProposeError),
}

pub(crate) struct Proposer<S: StateStorage> {
    pub(crate) raft: openraft::Raft<TypeConfig, State<S>>,
    pub(crate) options: Arc<RaftOptions>,
    pub(crate) leadership: Leadership,
    pub(crate) forwarder: Forwarder,
    pub(crate) queue: mpsc::Receiver<Group>,
    pub(crate) stop: CancellationToken,
}

impl<S: StateStorage> Proposer<S> {
    /// Runs until it is stopped; then what waits is answered as not done, what is on its way as unknown.
    pub(crate) async fn run(mut self) {
        let mut flying: FuturesUnordered<BoxFuture<'static, Attempt>> = FuturesUnordered::new();
        let mut again: VecDeque<Group> = VecDeque::new();
        let mut pause: Option<tokio::time::Instant> = None;
        loop {
            if pause.is_none()
                && !again.is_empty()
                && flying.len() < self.options.proposals_in_flight_max
            {
                let groups = self.gather(&mut again, None);
                self.launch(groups, &mut flying, &mut again, &mut pause);
                continue;
            }
            let room = again.is_empty() && flying.len() < self.options.proposals_in_flight_max;
            tokio::select! {
                () = self.stop.cancelled() => break,
                Some(attempt) = flying.next(), if !flying.is_empty() => {
                    settle(attempt, &mut again, &mut pause);
                }
                first = self.queue.recv(), if room => {
                    let Some(first) = first else { break };
                    let groups = self.gather(&mut again, Some(first));
                    self.launch(groups, &mut flying, &mut again, &mut pause);
                }
                () = self.leadership.changed(), if pause.is_some() => pause = None,
                () = tokio::time::sleep_until(pause.unwrap_or_else(tokio::time::Instant::now)), if pause.is_some() => {
                    pause = None;
                }
            }
        }
        self.queue.close();
        // Each is answered when it is dropped: not done, or unknown where an earlier try left a doubt.
        drop(again);
        while let Ok(group) = self.queue.try_recv() {
            group.answer(Err(ProposeError::Stopping));
        }
    }

    /// As many groups as fit one entry: those that wait for another try first. A large one travels alone, so
    /// that no other is refused with it.
    fn gather(&mut self, again: &mut VecDeque<Group>, first: Option<Group>) -> Vec<Group> {
        let (commands_max, bytes_max) = (
            self.options.proposal_commands_max,
            self.options.proposal_bytes_max,
        );
        let (mut commands, mut bytes) = (0, 0);
        let mut groups: Vec<Group> = Vec::new();
        let mut first = first;
        while groups.is_empty() || (commands < commands_max && bytes < bytes_max) {
            let next = first
                .take()
                .or_else(|| again.pop_front())
                .or_else(|| self.queue.try_recv().ok());
            let Some(group) = next else { break };
            if group.bytes > bytes_max && !groups.is_empty() {
                again.push_front(group);
                break;
            }
            commands += group.commands.len();
            bytes += group.bytes;
            groups.push(group);
        }
        groups
    }

    fn launch(
        &self,
        groups: Vec<Group>,
        flying: &mut FuturesUnordered<BoxFuture<'static, Attempt>>,
        again: &mut VecDeque<Group>,
        pause: &mut Option<tokio::time::Instant>,
    ) {
        let groups: Vec<Group> = groups
            .into_iter()
            .filter(|group| !group.is_abandoned())
            .collect();
        if groups.is_empty() {
            return;
        }
        match self.leadership.leader() {
            Some(leader) if leader == self.leadership.local() => {
                let sent = send_off(groups);
                flying.push(Box::pin(propose(
                    self.raft.clone(),
                    self.options.clone(),
                    sent,
                )));
            }
            leader => {
                let (mine, foreign): (Vec<_>, Vec<_>) =
                    groups.into_iter().partition(|group| !group.forwarded);
                for group in foreign {
                    group.answer(Err(ProposeError::NoLeader { leader }));
                }
                match leader.and_then(|leader| Some((leader, self.leadership.address_of(leader)?)))
                {
                    Some((leader, address)) if !mine.is_empty() => {
                        flying.push(Box::pin(forward(
                            self.forwarder.clone(),
                            self.options.clone(),
                            leader,
                            address.peer,
                            mine,
                        )));
                    }
                    _ => {
                        again.extend(mine);
                        *pause = Some(tokio::time::Instant::now() + RETRY_AFTER);
                    }
                }
            }
        }
    }
}

/// Those groups that nobody has given up.
fn send_off(groups: Vec<Group>) -> Vec<Group> {
    groups
        .into_iter()
        .filter(|group| group.stage.send())
        .collect()
}

/// Answer the groups of an attempt, or put them up for another.
fn settle(attempt: Attempt, again: &mut VecDeque<Group>, pause: &mut Option<tokio::time::Instant>) {
    match attempt.result {
        Ok((index, outcomes)) => {
            let mut outcomes = outcomes.into_iter();
            for group in attempt.groups {
                let own: Vec<_> = outcomes.by_ref().take(group.commands.len()).collect();
                let complete = own.len() == group.commands.len();
                let lost = || ProposeError::Unknown("the entry's outcomes are incomplete".into());
                group.answer(if complete {
                    Ok((index, own))
                } else {
                    Err(lost())
                });
            }
        }
        Err(failure) => {
            *pause = Some(tokio::time::Instant::now() + RETRY_AFTER);
            for group in attempt.groups {
                match &failure {
                    Failure::NotDone if !group.forwarded => {
                        group.stage.come_back();
                        again.push_back(group);
                    }
                    Failure::NotDone => group.answer(Err(ProposeError::NoLeader { leader: None })),
                    Failure::Unknown(_) if group.repeatable() && !group.forwarded => {
                        group.stage.doubt();
                        again.push_back(group);
                    }
                    Failure::Unknown(reason) => {
                        group.answer(Err(ProposeError::Unknown(reason.clone())))
                    }
                    Failure::Final(error) if group.stage.is_in_doubt() => {
                        group.answer(Err(ProposeError::Unknown(error.to_string())));
                    }
                    Failure::Final(error) => group.answer(Err(error.clone())),
                }
            }
        }
    }
}

async fn propose<S: StateStorage>(
    raft: openraft::Raft<TypeConfig, State<S>>,
    options: Arc<RaftOptions>,
    mut groups: Vec<Group>,
) -> Attempt {
    let lengths: Vec<usize> = groups.iter().map(|group| group.commands.len()).collect();
    let commands = groups
        .iter_mut()
        .flat_map(|group| std::mem::take(&mut group.commands))
        .collect();
    let proposal = Proposal {
        time_ms: wall_clock_ms(),
        limits: options.limits,
        commands,
    };
    metrics::histogram!("snakepit_raft_proposal_commands").record(proposal.commands.len() as f64);
    let content = EntryPayload::Proposal(proposal);
    let encoded = payload::encode(&content);
    give_back(&mut groups, content, &lengths);
    let result = match encoded {
        Ok(bytes) if bytes.len() > entry_bytes_max(&options) => {
            Err(Failure::Final(too_large(bytes.len(), &options)))
        }
        Ok(bytes) => raft
            .client_write(EncodedProposal(bytes))
            .await
            .map_err(failure_of),
        Err(error) => Err(Failure::Final(ProposeError::TooLarge(error.to_string()))),
    };
    let result = result.map(|response| (response.log_id.index(), response.data.0));
    Attempt { groups, result }
}

/// Return the commands to their groups, for another try.
fn give_back(groups: &mut [Group], content: EntryPayload, lengths: &[usize]) {
    let EntryPayload::Proposal(proposal) = content else {
        return;
    };
    let mut commands = proposal.commands.into_iter();
    for (group, length) in groups.iter_mut().zip(lengths) {
        group.commands = commands.by_ref().take(*length).collect();
    }
}

fn failure_of(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Failure {
    match error {
        RaftError::APIError(
            ClientWriteError::ForwardToLeader(_) | ClientWriteError::PreconditionFailed(_),
        ) => Failure::NotDone,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            Failure::Final(ProposeError::TooLarge(error.to_string()))
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => {
            Failure::Unknown("the leader changed while the write was on its way".into())
        }
        RaftError::Fatal(fatal) => Failure::Unknown(format!("raft has stopped: {fatal}")),
    }
}

/// Largest entry: an append to a follower may hold others before it, and must still fit a message. One that
/// did not would stop the group.
fn entry_bytes_max(options: &RaftOptions) -> usize {
    let beside = options
        .append_bytes_max
        .saturating_add(MESSAGE_OVERHEAD_BYTES);
    options
        .message_bytes_max
        .saturating_sub(beside)
        .max(options.message_bytes_max / 2)
}

fn too_large(bytes: usize, options: &RaftOptions) -> ProposeError {
    ProposeError::TooLarge(format!(
        "the write has {bytes} bytes, {} is the most that message_bytes_max allows; hint: send less at once",
        entry_bytes_max(options)
    ))
}

async fn forward(
    forwarder: Forwarder,
    options: Arc<RaftOptions>,
    leader: u64,
    address: String,
    groups: Vec<Group>,
) -> Attempt {
    // A message that is refused would break the stream, and with it all that others wait for on it.
    let bytes = groups.iter().map(|group| group.bytes).sum();
    if bytes > entry_bytes_max(&options) {
        return Attempt {
            groups,
            result: Err(Failure::Final(too_large(bytes, &options))),
        };
    }
    // Nothing counts as sent while the leader cannot be reached.
    if !forwarder.reach(leader, &address).await {
        return Attempt {
            groups,
            result: Err(Failure::NotDone),
        };
    }
    let groups = send_off(groups);
    if groups.is_empty() {
        return Attempt {
            groups,
            result: Err(Failure::NotDone),
        };
    }
    let commands = groups
        .iter()
        .flat_map(|group| &group.commands)
        .collect::<Vec<_>>();
    let result: Result<GroupResult, ProposeError> =
        forwarder.propose(leader, &address, &commands).await;
    let result = match result {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(ProposeError::Unknown(reason))) => Err(Failure::Unknown(reason)),
        Ok(Err(ProposeError::NoLeader { .. } | ProposeError::Stopping)) => Err(Failure::NotDone),
        Ok(Err(error)) | Err(error) => Err(Failure::Final(error)),
    };
    Attempt { groups, result }
}
