//! Where a call of a tool runs: here, while a slot is free; else on the node with most free slots; else it
//! waits here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use snakepit_proto::bridge::{ExecuteToolRequest, ExecuteToolResponse, ToolChunk};
use snakepit_proto::peer;
use tonic::Status;
use tonic::metadata::MetadataMap;

use super::bridge::Answers;
use super::{Ask, Failure, Node, wire};
use crate::pool::{CallError, CallOutcome, ToolCall};

/// Longest name of a tool, in bytes.
const TOOL_BYTES_MAX: usize = 256;

/// A call that has been taken and not yet been sent anywhere.
#[derive(Clone, Debug)]
pub(super) struct Routed {
    request: ExecuteToolRequest,
    call_id: String,
    principal: String,
    request_id: String,
    /// None leaves it to the pool's `call_timeout_ms`.
    deadline: Option<Instant>,
    /// The node that took it.
    origin: u64,
}

impl Routed {
    /// Take a client's call. A session that it names must exist.
    pub(super) async fn take(
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
        Ok(Self {
            call_id: uuid::Uuid::now_v7().to_string(),
            principal: ask.origin.principal.name.clone(),
            request_id: ask.origin.request_id.clone(),
            deadline: deadline.map(|left| Instant::now() + left),
            origin: node.id(),
            request,
        })
    }

    /// A call that another node took.
    pub(super) fn from_peer(call: peer::RoutedCall) -> Result<Self, Failure> {
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
            deadline,
            origin: call.origin,
        })
    }

    fn for_peer(self) -> peer::RoutedCall {
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
            ..peer::RoutedCall::default()
        }
    }

    fn into_call(self) -> ToolCall {
        let idempotent = self
            .request
            .metadata
            .get("idempotent")
            .is_some_and(|text| text == "true");
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
        }
    }
}

/// `timeout_ms` in a call's metadata.
fn timeout_ms(request: &ExecuteToolRequest) -> Result<Option<Duration>, Failure> {
    let Some(text) = request.metadata.get("timeout_ms") else {
        return Ok(None);
    };
    match text.parse::<u64>() {
        Ok(ms) if ms > 0 => Ok(Some(Duration::from_millis(ms))),
        _ => Err(Failure::Invalid(format!(
            "metadata timeout_ms is {text:?}; hint: give a positive number of milliseconds"
        ))),
    }
}

impl Node {
    /// Another node that should run the call, where there is a better one than this.
    fn elsewhere(&self, tool: &str) -> Option<u64> {
        match self.pools.capacity_for(tool) {
            Some(here) if here.free > 0 => None,
            Some(_) => self.freest(tool, 1),
            None => self.freest(tool, 0),
        }
    }

    fn freest(&self, tool: &str, least: u32) -> Option<u64> {
        let loads = self.peers.loads(tool).into_iter();
        let best = loads.max_by_key(|load| load.free)?;
        (best.free >= least).then_some(best.node)
    }

    /// Run a call where there is room for it.
    pub(super) async fn route(
        self: &Arc<Self>,
        call: Routed,
    ) -> Result<ExecuteToolResponse, Failure> {
        match self.elsewhere(&call.request.tool_name) {
            Some(peer) => self
                .peers
                .execute(peer, call.for_peer())
                .await
                .map_err(Failure::Remote),
            None => self.run_here(call).await,
        }
    }

    /// Run a call on this node's workers.
    pub(super) async fn run_here(&self, call: Routed) -> Result<ExecuteToolResponse, Failure> {
        let (call_id, began) = (call.call_id.clone(), Instant::now());
        let outcome = self.pools.call(call.into_call()).await?;
        Ok(self.response(call_id, began, outcome))
    }

    fn response(
        &self,
        call_id: String,
        began: Instant,
        outcome: CallOutcome,
    ) -> ExecuteToolResponse {
        let mut metadata = outcome.metadata;
        metadata.insert(
            "execution_time".into(),
            (outcome.execution_time_us / 1_000).to_string(),
        );
        metadata.insert("total_time_ms".into(), wire::elapsed_ms(began).to_string());
        metadata.insert("tool_type".into(), "remote".into());
        ExecuteToolResponse {
            success: outcome.success,
            result: outcome.value,
            error_message: outcome
                .error
                .as_ref()
                .map(|error| error.message.clone())
                .unwrap_or_default(),
            metadata,
            execution_time_ms: i64::try_from(outcome.execution_time_us / 1_000).unwrap_or(i64::MAX),
            binary_result: outcome.binary_value,
            error: outcome.error,
            node_id: self.id(),
            worker_id: outcome.worker_id,
            call_id,
            ..ExecuteToolResponse::default()
        }
    }

    /// Run a streaming call where there is room for it.
    pub(super) async fn route_stream(
        self: &Arc<Self>,
        call: Routed,
    ) -> Result<Answers<ToolChunk>, Failure> {
        match self.elsewhere(&call.request.tool_name) {
            Some(peer) => {
                let chunks = self
                    .peers
                    .execute_stream(peer, call.for_peer())
                    .await
                    .map_err(Failure::Remote)?;
                Ok(Box::pin(chunks))
            }
            None => self.stream_here(call).await,
        }
    }

    /// Run a streaming call on this node's workers.
    pub(super) async fn stream_here(
        self: &Arc<Self>,
        call: Routed,
    ) -> Result<Answers<ToolChunk>, Failure> {
        let node = self.clone();
        let tool = call.request.tool_name.clone();
        let streams = self
            .pools
            .tools()
            .into_iter()
            .find(|spec| spec.name == tool)
            .is_none_or(|spec| spec.supports_streaming);
        if !streams {
            return Err(Failure::Remote(Status::unimplemented(format!(
                "Streaming execution is not enabled for tool {tool}. Enable streaming support on the adapter (supports_streaming: true) or use ExecuteTool instead."
            ))));
        }
        let chunks = self.pools.stream(call.into_call()).await?;
        Ok(Box::pin(chunks.map(move |chunk| {
            chunk.map_err(|error: CallError| node.status(error.into()))
        })))
    }
}
