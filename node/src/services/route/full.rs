//! Calls that are journaled in full, and calls that have an idempotency key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use snakepit_machine::{Answer, Payload, RowsExt as _};
use snakepit_proto::bridge::ExecuteToolResponse;
use tonic::{Code, Status};

use super::Routed;
use super::journal::{Ended, Open, Pending, arguments_digest};
use crate::pool::{CallError, Journal};
use crate::services::status::LOST;
use crate::services::{Failure, Node};

/// Time between two looks at a call that another caller has under way.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How long a node that took a call may be silent before the call counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(2);
/// How often a call with a key is begun anew after it was lost.
const ROUNDS_MAX: u32 = 16;

impl Node {
    /// Run a call where there is room for it, with what its pool's journal asks for.
    pub(in super::super) async fn route(
        self: &Arc<Self>,
        mut call: Routed,
    ) -> Result<ExecuteToolResponse, Failure> {
        let journal = self.journal_of(&call);
        call.note_reads(journal);
        if !call.idempotency_key.is_empty() {
            return Box::pin(self.once(call, journal)).await;
        }
        match journal {
            Journal::Off => self.run_somewhere(&call).await,
            Journal::Outcome => {
                let pending = Pending::begin(self, &call);
                let answered = self.run_somewhere(&call).await;
                pending.end(&answered).await;
                answered
            }
            Journal::Full => {
                let (start, end) = (start_id(&call.call_id), end_id(&call.call_id));
                self.start_call(&call, &start, 1, true).await?;
                Box::pin(self.run_and_log(call, end)).await
            }
        }
    }

    /// Run a call whose beginning is logged, and log its end before it is answered; also where the caller goes
    /// away meanwhile.
    async fn run_and_log(
        self: &Arc<Self>,
        call: Routed,
        end: String,
    ) -> Result<ExecuteToolResponse, Failure> {
        let _open = Open::new(self, &call.call_id);
        let mut left = Left {
            node: self.clone(),
            call: Some((call, end)),
        };
        let (call, _) = left.call.as_ref().expect("it was just put there");
        let answered = self.run_somewhere(call).await;
        let (call, end) = left.call.take().expect("nobody has taken it");
        self.end_call(&call, &end, Ended::of(&answered), 0).await?;
        answered
    }

    /// Run a call with an idempotency key, unless it was run before: then give the recorded answer.
    async fn once(
        self: &Arc<Self>,
        mut call: Routed,
        journal: Journal,
    ) -> Result<ExecuteToolResponse, Failure> {
        let key = blake3::hash(call.idempotency_key.as_bytes()).to_hex();
        for round in 1..=ROUNDS_MAX {
            let start = format!("once:{key}:{round}");
            let end = format!("{start}:end");
            let full = journal == Journal::Full;
            let started = self.start_call(&call, &start, round, full).await?;
            let Answer::CallStarted {
                call_id,
                node,
                position,
            } = started
            else {
                return Err(crate::services::bridge::misfit());
            };
            if call_id == call.call_id {
                return self.run_and_log(call, end).await;
            }
            self.check_same(&call, position).await?;
            if let Some(answer) = self.await_other(&mut call, &end, node, &call_id).await? {
                return Ok(answer);
            }
        }
        Err(Failure::Unavailable(format!(
            "the call with this idempotency key was lost {ROUNDS_MAX} times; hint: see snakepit pool stats"
        )))
    }

    /// A key names one call: refuse other arguments.
    async fn check_same(&self, call: &Routed, position: u64) -> Result<(), Failure> {
        let ask = self.own_ask(&call.principal)?;
        let digest = self.logged_digest(&ask, call.session(), arguments_digest(call));
        let digest = digest.await?;
        // The call's beginning was answered by the leader; this node may not have it yet.
        self.barrier(&ask).await?;
        match self.payload_at(position).await? {
            Payload::CallStarted {
                arguments_digest: first,
                ..
            } if first == digest => Ok(()),
            _ => Err(Failure::Invalid(
                "the idempotency key has named a call with another tool or other arguments; hint: give each call a key of its own".into(),
            )),
        }
    }

    /// Wait for the end of a call that another caller has begun. None where it has to be begun anew.
    async fn await_other(
        &self,
        call: &mut Routed,
        end: &str,
        node: u64,
        call_id: &str,
    ) -> Result<Option<ExecuteToolResponse>, Failure> {
        let mut silence = self.silence_of(node, call);
        loop {
            // Asked first: what has ended between the two is found in the log.
            let open = self.is_open(call_id, &mut silence).await;
            match self.answer_in_log(call, end).await? {
                Some(Answer::CallEnded {
                    outcome, result, ..
                }) => match outcome.as_str() {
                    "ok" | "raised" if !result.is_empty() => {
                        let opened = self.opened(call, call_id, result).await?;
                        return recorded(&opened).map(Some);
                    }
                    "refused" => return Ok(None),
                    _ if self.may_repeat(call) => return Ok(None),
                    _ => return Err(lost(call_id, &outcome)),
                },
                Some(_) => return Err(crate::services::bridge::misfit()),
                None if open => {}
                None if self.may_repeat(call) => return Ok(None),
                None => return Err(lost(call_id, "lost")),
            }
            if !call.has_time_for(LOOK_EVERY) {
                return Err(CallError::DeadlineExceeded { maybe: true }.into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// How long a node may be silent that took a call: no time where the call can run elsewhere in its place.
    pub(super) fn silence_of(&self, node: u64, call: &Routed) -> Silence {
        let most = if self.may_repeat(call) {
            Duration::ZERO
        } else {
            SILENCE_MAX
        };
        Silence {
            node,
            since: None,
            most,
        }
    }

    /// Whether the node that took a call still has it, or may have.
    pub(super) async fn is_open(&self, call_id: &str, silence: &mut Silence) -> bool {
        if silence.node == self.id() {
            return self.calls.has(call_id) || self.pools.has_call(call_id);
        }
        let known = self.peers.has_call(silence.node, call_id).await;
        if known.is_some() {
            silence.since = None;
        }
        known.unwrap_or_else(|| {
            silence.since.get_or_insert_with(Instant::now).elapsed() < silence.most
        })
    }

    /// The answer that the log keeps to a request of a call's scope.
    pub(super) async fn answer_in_log(
        &self,
        call: &Routed,
        request_id: &str,
    ) -> Result<Option<Answer>, Failure> {
        let ask = self.own_ask(&call.principal)?;
        self.barrier(&ask).await?;
        let (session, request_id) = (call.session().to_owned(), request_id.to_owned());
        self.blocking(move |state| {
            let found = state.rows().answer_to(&session, &request_id);
            let found = match found {
                // Its session has ended before the call.
                Ok(None) if !session.is_empty() => state.rows().answer_to("", &request_id),
                found => found,
            };
            found.map_err(std::io::Error::other)
        })
        .await
    }

    /// What the event at a position says.
    pub(super) async fn payload_at(&self, position: u64) -> Result<Payload, Failure> {
        self.blocking(move |state| {
            let stored = state.event(position)?;
            let event = snakepit_proto::events::decode(&stored.bytes);
            Ok(event.map_err(std::io::Error::other)?.payload)
        })
        .await
    }
}

/// Whether a node that took a call answers, over several looks.
pub(super) struct Silence {
    node: u64,
    /// Since when it does not.
    since: Option<Instant>,
    most: Duration,
}

/// Logs a call as cancelled when its caller goes away.
struct Left {
    node: Arc<Node>,
    call: Option<(Routed, String)>,
}

impl Drop for Left {
    fn drop(&mut self) {
        if let Some((call, end)) = self.call.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let node = self.node.clone();
            runtime.spawn(async move {
                if let Err(failure) = node.end_call(&call, &end, Ended::cancelled(), 0).await {
                    tracing::warn!(
                        ?failure,
                        call_id = call.call_id,
                        "the end of a call is not in the log"
                    );
                }
            });
        }
    }
}

pub(super) fn start_id(call_id: &str) -> String {
    format!("call:{call_id}:start")
}

pub(super) fn end_id(call_id: &str) -> String {
    format!("call:{call_id}:end")
}

fn recorded(result: &[u8]) -> Result<ExecuteToolResponse, Failure> {
    let mut answer = ExecuteToolResponse::decode(result)
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
    answer.recorded = true;
    Ok(answer)
}

fn lost(call_id: &str, outcome: &str) -> Failure {
    let mut status = Status::new(
        Code::Unknown,
        format!(
            "call {call_id} with this idempotency key was begun and is {outcome}; it may be done; hint: look whether it is, and give another key to run it again"
        ),
    );
    crate::services::status::mark(&mut status, LOST, true);
    Failure::Remote(status)
}
