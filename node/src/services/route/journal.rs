//! What the log keeps of calls, as their pool's `journal` says.
//!
//! `outcome`: a record for each call, gathered while the records before are on their way, without holding up
//! the answer. `full`: the arguments before the call begins, the result before it is answered.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use snakepit_machine::{
    Answer, Body, CallEnd, CallRecord, CallStart, RECORDED_CALLS_MAX, RECORDED_READS_MAX,
    RecordCalls, RejectionKind,
};
use snakepit_proto::bridge::ExecuteToolResponse;
use snakepit_proto::headers;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::Routed;
use crate::pool::{CallErrorKind, Journal, Reads};
use crate::services::seal::is_sealed;
use crate::services::{Failure, Node};

/// Records that wait to be logged.
const RECORDS_WAITING_MAX: usize = 8_192;
/// How long an answer waits for room among them, before its record is given up.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long records gather: an entry for many costs little more than one for a single record.
const GATHER: Duration = Duration::from_millis(50);
/// The pause before records are tried again that found no leader.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// How long records are tried when the node stops.
const LAST_TRY: Duration = Duration::from_secs(2);
/// What is kept of an error's type, in bytes.
const ERROR_TYPE_BYTES_MAX: usize = 256;

/// What waits to be logged, and the calls that this node took and has not ended.
#[derive(Debug)]
pub(in super::super) struct CallLog {
    records: mpsc::Sender<CallRecord>,
    waiting: Mutex<Option<mpsc::Receiver<CallRecord>>>,
    open: Mutex<HashSet<String>>,
}

impl Default for CallLog {
    fn default() -> Self {
        let (records, waiting) = mpsc::channel(RECORDS_WAITING_MAX);
        Self {
            records,
            waiting: Mutex::new(Some(waiting)),
            open: Mutex::default(),
        }
    }
}

impl CallLog {
    /// Whether this node took a call and has not ended it.
    pub(in super::super) fn has(&self, call_id: &str) -> bool {
        self.open().contains(call_id)
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a call ended, in the words of the log.
pub(super) struct Ended {
    pub(super) outcome: &'static str,
    pub(super) error_type: String,
    pub(super) worker: String,
    pub(super) node: u64,
    pub(super) duration_us: u64,
    pub(super) queued_us: u64,
    pub(super) attempts: u32,
    pub(super) result: Vec<u8>,
}

impl Ended {
    pub(super) fn of(answered: &Result<ExecuteToolResponse, Failure>) -> Self {
        match answered {
            Ok(answer) => Self {
                outcome: if answer.success { "ok" } else { "raised" },
                error_type: clip(answer.error.as_ref().map_or("", |error| &error.r#type)),
                worker: answer.worker_id.clone(),
                node: answer.node_id,
                duration_us: answer.execution_time_us,
                queued_us: answer.queued_us,
                attempts: answer.attempts,
                result: answer.encode_to_vec(),
            },
            Err(failure) => Self::failed(failure),
        }
    }

    /// Of a call that has no answer.
    pub(super) fn failed(failure: &Failure) -> Self {
        Self::without_answer(outcome(failure), failure)
    }

    fn without_answer(outcome: &'static str, failure: &Failure) -> Self {
        let error_type = match failure {
            Failure::Call(error) => format!("{:?}", error.kind()),
            Failure::Remote(status) => format!("{:?}", status.code()),
            _ => String::new(),
        };
        Self {
            outcome,
            error_type,
            worker: String::new(),
            node: 0,
            duration_us: 0,
            queued_us: 0,
            attempts: 0,
            result: Vec::new(),
        }
    }

    pub(super) fn cancelled() -> Self {
        Self::without_answer("cancelled", &Failure::Refused(String::new()))
    }
}

fn outcome(failure: &Failure) -> &'static str {
    match failure {
        Failure::Call(error) => match error.kind() {
            CallErrorKind::Unknown => "lost",
            CallErrorKind::Deadline => "deadline",
            CallErrorKind::Cancelled => "cancelled",
            CallErrorKind::Tool => "raised",
            _ => "refused",
        },
        Failure::Remote(status) => of_status(status),
        _ => "refused",
    }
}

/// What a status of another node, or of a stream, tells.
pub(super) fn of_status(status: &Status) -> &'static str {
    let maybe = status
        .metadata()
        .get(headers::DONE)
        .is_some_and(|done| done == "maybe");
    let tool = status
        .metadata()
        .get(headers::ERROR_KIND)
        .is_some_and(|kind| kind == "tool");
    match status.code() {
        _ if tool => "raised",
        Code::DeadlineExceeded => "deadline",
        Code::Cancelled => "cancelled",
        _ if maybe => "lost",
        _ => "refused",
    }
}

fn clip(text: &str) -> String {
    text[..text.floor_char_boundary(ERROR_TYPE_BYTES_MAX)].to_owned()
}

/// blake3 of a call's arguments: name by name, in order, each with its length.
pub(super) fn arguments_digest(call: &Routed) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(call.tool().as_bytes());
    for (name, value) in &call.request.parameters {
        part(name.as_bytes());
        part(value.type_url.as_bytes());
        part(&value.value);
    }
    for (name, payload) in &call.request.binary_parameters {
        part(name.as_bytes());
        part(payload);
    }
    hasher.finalize().as_bytes().to_vec()
}

/// blake3 of what a call returned: its type, its value, its payload, each with its length.
fn result_digest(answer: &ExecuteToolResponse) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    if let Some(value) = &answer.result {
        part(value.type_url.as_bytes());
        part(&value.value);
    }
    part(&answer.binary_result);
    hasher.finalize().as_bytes().to_vec()
}

/// A digest, unless it would tell something of what a sealed session holds.
fn unless_sealed(session_id: &str, digest: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    if is_sealed(session_id) {
        Vec::new()
    } else {
        digest()
    }
}

fn digest(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return Vec::new();
    }
    blake3::hash(bytes).as_bytes().to_vec()
}

fn wall_clock_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// How many of the first records one entry takes, by their number and by what their calls have read.
fn fitting(calls: &[CallRecord]) -> usize {
    let mut reads = 0;
    let fits = |call: &&CallRecord| {
        reads += call.reads.noted.len();
        reads <= RECORDED_READS_MAX
    };
    let most = calls.iter().take(RECORDED_CALLS_MAX);
    most.take_while(fits).count().max(1)
}

/// A call under way whose end is to be told, also where its caller goes away.
pub(super) struct Pending {
    node: Arc<Node>,
    call: Option<CallRecord>,
    reads: Option<Arc<Reads>>,
}

impl Pending {
    pub(super) fn begin(node: &Arc<Node>, call: &Routed) -> Self {
        let version = node.tool_version(call);
        Self {
            node: node.clone(),
            reads: call.reads(),
            call: Some(CallRecord {
                call_id: call.call_id.clone(),
                session_id: call.session().to_owned(),
                pool: call.pool.clone(),
                tool: call.tool().to_owned(),
                tool_version: version,
                principal: call.principal.clone(),
                request_id: call.request_id.clone(),
                arguments_digest: unless_sealed(call.session(), || arguments_digest(call)),
                started_ms: wall_clock_ms(),
                ..CallRecord::default()
            }),
        }
    }

    /// Log the end, as soon as there is time for it.
    pub(super) async fn end(mut self, answered: &Result<ExecuteToolResponse, Failure>) {
        let Some(mut record) = self.take() else {
            return;
        };
        match answered {
            Ok(answer) => {
                record.outcome = if answer.success { "ok" } else { "raised" }.to_owned();
                record.error_type = clip(answer.error.as_ref().map_or("", |error| &error.r#type));
                record.pool.clone_from(&answer.pool);
                record.worker.clone_from(&answer.worker_id);
                record.node = answer.node_id;
                record.duration_us = answer.execution_time_us;
                record.queued_us = answer.queued_us;
                record.result_digest = unless_sealed(&record.session_id, || result_digest(answer));
            }
            Err(failure) => {
                let ended = Ended::of(answered);
                record.outcome = outcome(failure).to_owned();
                record.error_type = ended.error_type;
            }
        }
        let records = &self.node.calls.records;
        let Err(mpsc::error::TrySendError::Full(record)) = records.try_send(record) else {
            return;
        };
        if tokio::time::timeout(PATIENCE, records.send(record))
            .await
            .is_err()
        {
            metrics::counter!("snakepit_journal_dropped_total").increment(1);
            tracing::error!("a call is not in the log: {RECORDS_WAITING_MAX} others wait to be");
        }
    }
}

impl Pending {
    /// Log that it failed, if there is room.
    pub(super) fn failed(self, failure: &Failure) {
        self.end_as(outcome(failure));
    }

    /// Log the end of what has no answer of its own, if there is room.
    pub(super) fn end_as(mut self, outcome: &'static str) {
        self.tell(outcome);
    }

    /// The record, with what the call has read.
    fn take(&mut self) -> Option<CallRecord> {
        let mut record = self.call.take()?;
        if let Some(reads) = &self.reads {
            record.reads = reads.told();
        }
        Some(record)
    }

    fn tell(&mut self, outcome: &'static str) {
        if let Some(mut record) = self.take() {
            record.outcome = outcome.into();
            if self.node.calls.records.try_send(record).is_err() {
                metrics::counter!("snakepit_journal_dropped_total").increment(1);
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.tell("cancelled");
    }
}

/// Marks a call as open while it is held.
pub(super) struct Open {
    node: Arc<Node>,
    call_id: String,
}

impl Open {
    pub(super) fn new(node: &Arc<Node>, call_id: &str) -> Self {
        node.calls.open().insert(call_id.to_owned());
        Self {
            node: node.clone(),
            call_id: call_id.to_owned(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.node.calls.open().remove(&self.call_id);
    }
}

impl Node {
    /// What the log keeps of a call.
    pub(super) fn journal_of(&self, call: &Routed) -> Journal {
        self.pools
            .settings_for(call.tool(), &call.pool)
            .map(|settings| settings.journal)
            .or_else(|| self.peers.journal(call.tool(), &call.pool))
            .unwrap_or_default()
    }

    fn tool_version(&self, call: &Routed) -> String {
        let (tool, pool) = (call.tool(), &call.pool);
        let version = self
            .pools
            .tool_version(tool, pool)
            .or_else(|| self.peers.tool_version(tool, pool));
        clip(&version.unwrap_or_default())
    }

    /// Log that a call is about to begin.
    pub(super) async fn start_call(
        &self,
        call: &Routed,
        request_id: &str,
        attempt: u32,
        with_arguments: bool,
    ) -> Result<Answer, Failure> {
        let left = call.deadline.map_or(Duration::ZERO, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        let start = CallStart {
            session_id: call.session().to_owned(),
            of_session: call.session().to_owned(),
            call_id: call.call_id.clone(),
            pool: call.pool.clone(),
            tool: call.tool().to_owned(),
            tool_version: self.tool_version(call),
            idempotency_key: call.idempotency_key.clone(),
            arguments: if with_arguments {
                call.request.encode_to_vec()
            } else {
                Vec::new()
            },
            arguments_digest: arguments_digest(call),
            deadline_ms: left.as_millis() as u64,
            attempt,
        };
        let body = Body::StartCall(start);
        self.propose_for(call, request_id, body).await
    }

    /// Log that a call has ended; with its result where that is kept.
    pub(super) async fn end_call(
        &self,
        call: &Routed,
        request_id: &str,
        ended: Ended,
        chunks: u64,
    ) -> Result<Answer, Failure> {
        let end = CallEnd {
            session_id: call.session().to_owned(),
            of_session: call.session().to_owned(),
            call_id: call.call_id.clone(),
            pool: call.pool.clone(),
            tool: call.tool().to_owned(),
            worker: ended.worker,
            node: ended.node,
            outcome: ended.outcome.to_owned(),
            error_type: ended.error_type,
            result_digest: digest(&ended.result),
            result: ended.result,
            duration_us: ended.duration_us,
            queued_us: ended.queued_us,
            chunks,
            attempts: ended.attempts,
            idempotency_key: call.idempotency_key.clone(),
            reads: call.told_reads(),
        };
        let body = Body::EndCall(end.clone());
        let logged = match self.propose_for(call, request_id, body).await {
            // Its session has ended meanwhile: what happened is logged all the same.
            Err(Failure::Rejected(rejection)) if rejection.kind == RejectionKind::NotFound => {
                let end = CallEnd {
                    session_id: String::new(),
                    ..end
                };
                self.propose_for(call, request_id, Body::EndCall(end)).await
            }
            // A result that is too large for the log is there by its digest.
            Err(Failure::Rejected(rejection))
                if rejection.kind == RejectionKind::Invalid && !end.result.is_empty() =>
            {
                let end = CallEnd {
                    result: Vec::new(),
                    ..end
                };
                self.propose_for(call, request_id, Body::EndCall(end)).await
            }
            other => other,
        };
        logged.map_err(|failure| self.unlogged(call, failure))
    }

    /// What a call's caller is told where the log did not take what it did: it may be done.
    pub(super) fn unlogged(&self, call: &Routed, failure: Failure) -> Failure {
        let reason = self.status(failure);
        let mut status = Status::unknown(format!(
            "what call {} did is not in the log: {}; it may be done; hint: look whether it is",
            call.call_id,
            reason.message()
        ));
        crate::services::status::mark(&mut status, "unknown", true);
        Failure::Remote(status)
    }

    /// Propose something on behalf of a call's caller.
    pub(super) async fn propose_for(
        &self,
        call: &Routed,
        request_id: &str,
        body: Body,
    ) -> Result<Answer, Failure> {
        let mut ask = self.own_ask(&call.principal)?;
        Arc::make_mut(&mut ask.origin).request_id = request_id.to_owned();
        Ok(self.propose(&ask, body).await?.1)
    }

    /// Log the records of calls, until `stop` and what waits then.
    pub async fn keep_call_log(self: Arc<Self>, stop: CancellationToken) {
        let waiting = self
            .calls
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut waiting) = waiting else { return };
        let mut gathered = Vec::new();
        loop {
            tokio::select! {
                _ = waiting.recv_many(&mut gathered, RECORDED_CALLS_MAX) => {}
                () = stop.cancelled() => break,
            }
            let more = async {
                tokio::time::sleep(GATHER).await;
                while gathered.len() < RECORDED_CALLS_MAX
                    && let Ok(record) = waiting.try_recv()
                {
                    gathered.push(record);
                }
            };
            let _ = stop.run_until_cancelled(more).await;
            self.record(&mut gathered, &stop).await;
        }
        waiting.close();
        let last = async {
            self.record(&mut gathered, &CancellationToken::new()).await;
            while waiting.recv_many(&mut gathered, RECORDED_CALLS_MAX).await > 0 {
                self.record(&mut gathered, &CancellationToken::new()).await;
            }
        };
        let _ = tokio::time::timeout(LAST_TRY, last).await;
    }

    async fn record(&self, gathered: &mut Vec<CallRecord>, stop: &CancellationToken) {
        while !gathered.is_empty() {
            let count = fitting(gathered);
            let rest = gathered.split_off(count);
            let calls = std::mem::replace(gathered, rest);
            if let Some(calls) = self.record_at_once(calls, stop).await {
                gathered.splice(..0, calls);
                return;
            }
        }
    }

    /// Log records in one entry; gives them back where `stop` came first.
    async fn record_at_once(
        &self,
        calls: Vec<CallRecord>,
        stop: &CancellationToken,
    ) -> Option<Vec<CallRecord>> {
        let request_id = format!("calls:{}", uuid::Uuid::now_v7());
        loop {
            let proposed = async {
                let mut ask = self.own_ask("")?;
                Arc::make_mut(&mut ask.origin)
                    .request_id
                    .clone_from(&request_id);
                let body = Body::RecordCalls(RecordCalls {
                    calls: calls.clone(),
                });
                self.propose(&ask, body).await
            };
            match proposed.await {
                Ok(_) => return None,
                Err(Failure::Rejected(rejection)) => {
                    tracing::error!(%rejection, "records of calls were refused");
                    return None;
                }
                Err(_) => {
                    let pause = tokio::time::sleep(RETRY_AFTER);
                    if stop.run_until_cancelled(pause).await.is_none() {
                        return Some(calls);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use snakepit_machine::{CallRead, CallReads};

    use super::*;

    #[test]
    fn records_are_put_into_entries_by_what_their_calls_have_read() {
        let call = |reads: usize| CallRecord {
            reads: CallReads {
                noted: vec![CallRead::default(); reads],
                left_out: 0,
            },
            ..CallRecord::default()
        };
        let half = RECORDED_READS_MAX / 2;
        assert_eq!(fitting(&[call(half), call(half), call(0), call(1)]), 3);
        assert_eq!(fitting(&[call(0), call(half)]), 2);
        assert_eq!(fitting(&[call(half + 1), call(half)]), 1);
        let many = vec![call(0); RECORDED_CALLS_MAX + 1];
        assert_eq!(fitting(&many), RECORDED_CALLS_MAX);
    }
}
