//! The bridge protocol. One file per call; this file is the table.

mod add_dependency;
mod cleanup_session;
mod delete_variable;
mod execute_elixir_tool;
mod execute_streaming_tool;
mod execute_tool;
mod get_exposed_elixir_tools;
mod get_session;
mod get_variable;
mod get_variable_history;
mod get_variables;
mod heartbeat;
pub(super) mod initialize_session;
mod list_variables;
mod ping;
mod register_tools;
mod register_variable;
mod rollback_variable;
mod set_variable;
pub(super) mod set_variables;
mod start_optimization;
mod stop_optimization;
mod stream_telemetry;
mod watch_variables;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures_util::Stream;
use snakepit_proto::bridge::{self as pb, bridge_service_server};
use snakepit_proto::headers;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use super::correlation::{self, CallsTool};
use super::{Ask, Failure, Node, looks};
use crate::telemetry::RequestSpan;
use crate::telemetry::trace::keys;

/// Serves [`bridge_service_server::BridgeService`], to clients and to workers alike.
#[derive(Clone, Debug)]
pub struct Bridge(pub Arc<Node>);

/// An answer that comes in parts.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Bridge {
    /// Answer a request, see [`Self::serve`].
    async fn answer<M, T, F>(
        &self,
        name: &'static str,
        request: Request<M>,
        call: impl FnOnce(Arc<Node>, Ask, M) -> F,
    ) -> Result<Response<T>, Status>
    where
        F: Future<Output = Result<Response<T>, Failure>>,
    {
        self.serve(name, request, |_, _, _| Ok(()), call).await
    }

    /// Read a request's metadata, prepare it, answer it, and turn a failure into its status: counted, within a
    /// span, and with the request's correlation id on the answer.
    async fn serve<M, T, F>(
        &self,
        name: &'static str,
        request: Request<M>,
        prepare: impl FnOnce(&mut Ask, &mut M, &RequestSpan) -> Result<(), Failure>,
        call: impl FnOnce(Arc<Node>, Ask, M) -> F,
    ) -> Result<Response<T>, Status>
    where
        F: Future<Output = Result<Response<T>, Failure>>,
    {
        let began = Instant::now();
        let (metadata, _, mut message) = request.into_parts();
        let span = RequestSpan::serve(name, &metadata);
        let mut correlation_id = String::new();
        let asked = self.0.ask(&metadata).and_then(|mut ask| {
            ask.name = name;
            if span.is_on() {
                ask.traceparent = span.traceparent();
            }
            let prepared = prepare(&mut ask, &mut message, &span);
            correlation_id.clone_from(&ask.correlation_id);
            prepared.map(|()| ask)
        });
        if asked.is_err() && correlation_id.is_empty() {
            correlation_id = correlation::of_headers(&metadata).unwrap_or_default();
        }
        let answered = match asked {
            Ok(ask) => span.run(call(self.0.clone(), ask, message)).await,
            Err(failure) => Err(failure),
        };
        let mut answered = answered.map_err(|failure| self.0.status(failure));
        if let Some(echo) = correlation::header(&correlation_id) {
            span.set(keys::CORRELATION_ID, || correlation_id);
            match &mut answered {
                Ok(response) => response.metadata_mut(),
                Err(status) => status.metadata_mut(),
            }
            .insert(headers::CORRELATION_ID, echo);
        }
        let code = answered.as_ref().map_or_else(Status::code, |_| Code::Ok);
        looks::count(name, began, code);
        span.end(code);
        answered
    }

    /// As [`Self::answer`], for calls of tools, which have their own deadlines and always a correlation id.
    async fn answer_call<M, T, F>(
        &self,
        name: &'static str,
        request: Request<M>,
        call: impl FnOnce(Arc<Node>, Ask, MetadataMap, M) -> F,
    ) -> Result<Response<T>, Status>
    where
        M: CallsTool,
        F: Future<Output = Result<Response<T>, Failure>>,
    {
        let metadata = request.metadata().clone();
        let prepare = |ask: &mut Ask, message: &mut M, span: &RequestSpan| {
            span.set(keys::TOOL, || message.tool().to_owned());
            span.set(keys::SESSION_ID, || message.session_id().to_owned());
            ask.correlation_id = correlation::of_call(message, &ask.correlation_id)?;
            Ok(())
        };
        self.serve(name, request, prepare, |node, ask, message| {
            call(node, ask, metadata, message)
        })
        .await
    }
}

#[tonic::async_trait]
impl bridge_service_server::BridgeService for Bridge {
    async fn ping(
        &self,
        request: Request<pb::PingRequest>,
    ) -> Result<Response<pb::PingResponse>, Status> {
        self.answer("Ping", request, ping::answer).await
    }

    async fn initialize_session(
        &self,
        request: Request<pb::InitializeSessionRequest>,
    ) -> Result<Response<pb::InitializeSessionResponse>, Status> {
        self.answer("InitializeSession", request, initialize_session::answer)
            .await
    }

    async fn cleanup_session(
        &self,
        request: Request<pb::CleanupSessionRequest>,
    ) -> Result<Response<pb::CleanupSessionResponse>, Status> {
        self.answer("CleanupSession", request, cleanup_session::answer)
            .await
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Result<Response<pb::GetSessionResponse>, Status> {
        self.answer("GetSession", request, get_session::answer)
            .await
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatResponse>, Status> {
        self.answer("Heartbeat", request, heartbeat::answer).await
    }

    async fn get_variable(
        &self,
        request: Request<pb::GetVariableRequest>,
    ) -> Result<Response<pb::GetVariableResponse>, Status> {
        self.answer("GetVariable", request, get_variable::answer)
            .await
    }

    async fn set_variable(
        &self,
        request: Request<pb::SetVariableRequest>,
    ) -> Result<Response<pb::SetVariableResponse>, Status> {
        self.answer("SetVariable", request, set_variable::answer)
            .await
    }

    async fn get_variables(
        &self,
        request: Request<pb::BatchGetVariablesRequest>,
    ) -> Result<Response<pb::BatchGetVariablesResponse>, Status> {
        self.answer("GetVariables", request, get_variables::answer)
            .await
    }

    async fn set_variables(
        &self,
        request: Request<pb::BatchSetVariablesRequest>,
    ) -> Result<Response<pb::BatchSetVariablesResponse>, Status> {
        self.answer("SetVariables", request, set_variables::answer)
            .await
    }

    async fn register_variable(
        &self,
        request: Request<pb::RegisterVariableRequest>,
    ) -> Result<Response<pb::RegisterVariableResponse>, Status> {
        self.answer("RegisterVariable", request, register_variable::answer)
            .await
    }

    async fn list_variables(
        &self,
        request: Request<pb::ListVariablesRequest>,
    ) -> Result<Response<pb::ListVariablesResponse>, Status> {
        self.answer("ListVariables", request, list_variables::answer)
            .await
    }

    async fn delete_variable(
        &self,
        request: Request<pb::DeleteVariableRequest>,
    ) -> Result<Response<pb::DeleteVariableResponse>, Status> {
        self.answer("DeleteVariable", request, delete_variable::answer)
            .await
    }

    async fn execute_tool(
        &self,
        request: Request<pb::ExecuteToolRequest>,
    ) -> Result<Response<pb::ExecuteToolResponse>, Status> {
        self.answer_call("ExecuteTool", request, execute_tool::answer)
            .await
    }

    type ExecuteStreamingToolStream = Answers<pb::ToolChunk>;

    async fn execute_streaming_tool(
        &self,
        request: Request<pb::ExecuteToolRequest>,
    ) -> Result<Response<Self::ExecuteStreamingToolStream>, Status> {
        self.answer_call(
            "ExecuteStreamingTool",
            request,
            execute_streaming_tool::answer,
        )
        .await
    }

    async fn register_tools(
        &self,
        request: Request<pb::RegisterToolsRequest>,
    ) -> Result<Response<pb::RegisterToolsResponse>, Status> {
        self.answer("RegisterTools", request, register_tools::answer)
            .await
    }

    async fn get_exposed_elixir_tools(
        &self,
        request: Request<pb::GetExposedElixirToolsRequest>,
    ) -> Result<Response<pb::GetExposedElixirToolsResponse>, Status> {
        self.answer(
            "GetExposedElixirTools",
            request,
            get_exposed_elixir_tools::answer,
        )
        .await
    }

    async fn execute_elixir_tool(
        &self,
        request: Request<pb::ExecuteElixirToolRequest>,
    ) -> Result<Response<pb::ExecuteElixirToolResponse>, Status> {
        self.answer_call("ExecuteElixirTool", request, execute_elixir_tool::answer)
            .await
    }

    type WatchVariablesStream = Answers<pb::VariableUpdate>;

    async fn watch_variables(
        &self,
        request: Request<pb::WatchVariablesRequest>,
    ) -> Result<Response<Self::WatchVariablesStream>, Status> {
        self.answer("WatchVariables", request, watch_variables::answer)
            .await
    }

    async fn add_dependency(
        &self,
        request: Request<pb::AddDependencyRequest>,
    ) -> Result<Response<pb::AddDependencyResponse>, Status> {
        self.answer("AddDependency", request, add_dependency::answer)
            .await
    }

    async fn start_optimization(
        &self,
        request: Request<pb::StartOptimizationRequest>,
    ) -> Result<Response<pb::StartOptimizationResponse>, Status> {
        self.answer("StartOptimization", request, start_optimization::answer)
            .await
    }

    async fn stop_optimization(
        &self,
        request: Request<pb::StopOptimizationRequest>,
    ) -> Result<Response<pb::StopOptimizationResponse>, Status> {
        self.answer("StopOptimization", request, stop_optimization::answer)
            .await
    }

    async fn get_variable_history(
        &self,
        request: Request<pb::GetVariableHistoryRequest>,
    ) -> Result<Response<pb::GetVariableHistoryResponse>, Status> {
        self.answer("GetVariableHistory", request, get_variable_history::answer)
            .await
    }

    async fn rollback_variable(
        &self,
        request: Request<pb::RollbackVariableRequest>,
    ) -> Result<Response<pb::RollbackVariableResponse>, Status> {
        self.answer("RollbackVariable", request, rollback_variable::answer)
            .await
    }

    type StreamTelemetryStream = Answers<pb::TelemetryEvent>;

    async fn stream_telemetry(
        &self,
        request: Request<Streaming<pb::TelemetryControl>>,
    ) -> Result<Response<Self::StreamTelemetryStream>, Status> {
        self.answer("StreamTelemetry", request, stream_telemetry::answer)
            .await
    }
}

/// The kept answer is to another kind of request: the id of this one has been used before.
pub(super) fn misfit() -> Failure {
    let message = "the request id has named another kind of request; \
                   hint: give each request an id of its own";
    Failure::Invalid(message.to_owned())
}
