//! A call that was taken, and has not yet been sent anywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snakepit_machine::{ID_BYTES_MAX, POOL_NAME_BYTES_MAX};
use snakepit_proto::bridge::ExecuteToolRequest;
use snakepit_proto::{headers, peer};
use tonic::metadata::MetadataMap;

use crate::pool::{Reads, ToolCall};
use crate::services::{Ask, Failure, Node};
use crate::telemetry::trace::{RequestSpan, SpanKind, TRACEPARENT, TRACESTATE, TraceContext, keys};

/// Longest name of a tool, in bytes.
const TOOL_BYTES_MAX: usize = 256;
/// Keys of a call's metadata.
const TIMEOUT_MS: &str = "timeout_ms";
const IDEMPOTENT: &str = "idempotent";
const POOL: &str = "pool";
const CORRELATION_ID: &str = "correlation_id";
const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// A call that has been taken and not yet been sent anywhere.
#[derive(Clone, Debug)]
pub(in super::super) struct Routed {
    pub(super) request: ExecuteToolRequest,
    pub(super) call_id: String,
    pub(super) principal: String,
    pub(super) request_id: String,
    pub(super) correlation_id: String,
    pub(super) trace: TraceContext,
    /// None leaves it to the pool's `call_timeout_ms`.
    pub(super) deadline: Option<Instant>,
    /// The node that took it.
    pub(super) origin: u64,
    /// The pool that must run it; empty: any.
    pub(super) pool: String,
    /// The worker wanted; empty: any.
    pub(super) worker: String,
    /// Another node seems to have a free worker: sent back where it would wait.
    pub(super) or_back: bool,
    /// Given back while it waits, once another node seems to have a free worker.
    pub(super) movable: bool,
    /// A repeated call with it gets the recorded result; empty: none.
    pub(super) idempotency_key: String,
    /// Where what it reads is noted; none where nobody journals that.
    pub(super) reads: Option<Arc<Reads>>,
}

impl Routed {
    /// Take a client's call. A session that it names must exist.
    pub(in super::super) async fn take(
        node: &Node,
        ask: &Ask,
        metadata: &MetadataMap,
        request: ExecuteToolRequest,
    ) -> Result<Self, Failure> {
        let name = &request.tool_name;
        if name.is_empty() || name.len() > TOOL_BYTES_MAX {
            return Err(Failure::Invalid(format!(
                "tool_name has {} bytes; hint: give 1 to {TOOL_BYTES_MAX}",
                name.len()
            )));
        }
        if !request.session_id.is_empty() {
            node.read_rows(ask, &request.session_id, |_, _, _| Ok(()))
                .await?;
        }
        let named = Node::named_deadline(metadata)?;
        let deadline = match (timeout_ms(&request)?, named) {
            (Some(own), Some(named)) => Some(own.min(named)),
            (own, named) => own.or(named),
        };
        let told = |header: &'static str, key: &'static str| told(metadata, &request, header, key);
        let idempotency_key = told(headers::IDEMPOTENCY_KEY, IDEMPOTENCY_KEY)?;
        let pool = request.metadata.get(POOL).cloned().unwrap_or_default();
        if pool.len() > POOL_NAME_BYTES_MAX {
            return Err(Failure::Invalid(format!(
                "metadata pool has {} bytes; hint: a pool's name has {POOL_NAME_BYTES_MAX} at most",
                pool.len()
            )));
        }
        let mut call = Self {
            call_id: uuid::Uuid::now_v7().to_string(),
            principal: ask.origin.principal.name.clone(),
            request_id: ask.origin.request_id.clone(),
            trace: ask.trace.clone(),
            correlation_id: ask.correlation_id.clone(),
            deadline: deadline.map(|left| Instant::now() + left),
            origin: node.id(),
            pool,
            worker: String::new(),
            or_back: false,
            movable: false,
            idempotency_key,
            reads: None,
            request,
        };
        if call.correlation_id.is_empty() {
            call.correlation_id.clone_from(&call.call_id);
        }
        call.request
            .metadata
            .insert(CORRELATION_ID.into(), call.correlation_id.clone());
        Ok(call)
    }

    /// A call that another node took.
    pub(in super::super) fn from_peer(call: peer::RoutedCall) -> Result<Self, Failure> {
        let request = call
            .request
            .ok_or_else(|| Failure::Invalid("the routed call has no request".into()))?;
        let deadline = (call.deadline_ms > 0)
            .then(|| Instant::now() + Duration::from_millis(call.deadline_ms));
        Ok(Self {
            request,
            call_id: call.call_id,
            principal: call.principal,
            request_id: call.request_id,
            correlation_id: call.correlation_id,
            trace: TraceContext {
                parent: call.traceparent,
                state: call.tracestate,
            },
            deadline,
            origin: call.origin,
            pool: call.pool,
            worker: call.worker,
            or_back: call.or_back,
            movable: call.movable,
            // The node that took the call sees to that.
            idempotency_key: String::new(),
            reads: call.note_reads.then(Arc::default),
        })
    }

    pub(super) fn for_peer(self) -> peer::RoutedCall {
        let left = |deadline: Instant| {
            deadline
                .saturating_duration_since(Instant::now())
                .as_millis()
                .max(1)
        };
        peer::RoutedCall {
            deadline_ms: self.deadline.map_or(0, |deadline| {
                u64::try_from(left(deadline)).unwrap_or(u64::MAX)
            }),
            request: Some(self.request),
            call_id: self.call_id,
            principal: self.principal,
            origin: self.origin,
            request_id: self.request_id,
            correlation_id: self.correlation_id,
            traceparent: self.trace.parent,
            tracestate: self.trace.state,
            pool: self.pool,
            worker: self.worker,
            or_back: self.or_back,
            movable: self.movable,
            note_reads: self.reads.is_some(),
        }
    }

    /// The span of the call at this node's workers, where traces are on.
    pub(super) fn span(&self, name: &'static str) -> RequestSpan {
        let span = RequestSpan::start(name, SpanKind::Internal, &self.trace);
        span.set(keys::TOOL, || self.tool().to_owned());
        span.set(keys::CALL_ID, || self.call_id.clone());
        span.set(keys::SESSION_ID, || self.session().to_owned());
        span.set(keys::CORRELATION_ID, || self.correlation_id.clone());
        span
    }

    /// For this node's workers, who are told what their work is part of.
    pub(super) fn into_call(mut self, span: &RequestSpan) -> ToolCall {
        let idempotent = self.says_idempotent();
        let trace = if span.is_on() {
            span.below()
        } else {
            self.trace
        };
        if !trace.parent.is_empty() {
            let metadata = &mut self.request.metadata;
            metadata.insert(TRACEPARENT.into(), trace.parent);
            metadata.remove(TRACESTATE);
            if !trace.state.is_empty() {
                metadata.insert(TRACESTATE.into(), trace.state);
            }
        }
        ToolCall {
            call_id: self.call_id,
            session_id: self.request.session_id,
            tool: self.request.tool_name,
            parameters: self.request.parameters,
            binary_parameters: self.request.binary_parameters,
            metadata: self.request.metadata,
            deadline: self.deadline,
            principal: self.principal,
            idempotent,
            pool: self.pool,
            worker: self.worker,
            or_back: self.or_back,
            movable: self.movable,
            reads: self.reads,
        }
    }

    pub(super) fn tool(&self) -> &str {
        &self.request.tool_name
    }

    pub(super) fn session(&self) -> &str {
        &self.request.session_id
    }

    /// Whether the caller says that it may run twice.
    pub(super) fn says_idempotent(&self) -> bool {
        self.request
            .metadata
            .get(IDEMPOTENT)
            .is_some_and(|text| text == "true")
    }

    /// Whether there is time left for a pause.
    pub(super) fn has_time_for(&self, pause: Duration) -> bool {
        self.deadline
            .is_none_or(|deadline| deadline > Instant::now() + pause)
    }
}

/// What a header, or else the call's metadata, says.
fn told(
    metadata: &MetadataMap,
    request: &ExecuteToolRequest,
    name: &'static str,
    key: &'static str,
) -> Result<String, Failure> {
    let text = match header(metadata, name)? {
        Some(text) => text,
        None => request.metadata.get(key).cloned().unwrap_or_default(),
    };
    if text.len() > ID_BYTES_MAX {
        return Err(Failure::Invalid(format!(
            "{key} has {} bytes, the limit is {ID_BYTES_MAX}; hint: shorten it",
            text.len()
        )));
    }
    Ok(text)
}

fn header(metadata: &MetadataMap, name: &'static str) -> Result<Option<String>, Failure> {
    let value = metadata.get(name).map(|value| value.to_str());
    let value = value
        .transpose()
        .map_err(|_| Failure::Invalid(format!("{name} is not printable ASCII; hint: encode it")))?;
    Ok(value.map(ToOwned::to_owned))
}

/// `timeout_ms` in a call's metadata.
fn timeout_ms(request: &ExecuteToolRequest) -> Result<Option<Duration>, Failure> {
    let Some(text) = request.metadata.get(TIMEOUT_MS) else {
        return Ok(None);
    };
    match text.parse::<u64>() {
        Ok(ms) if ms > 0 => Ok(Some(Duration::from_millis(ms))),
        _ => Err(Failure::Invalid(format!(
            "metadata timeout_ms is {text:?}; hint: give a positive number of milliseconds"
        ))),
    }
}
