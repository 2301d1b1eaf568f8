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

use futures_util::Stream;
use snakepit_proto::bridge::{self as pb, bridge_service_server};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::correlation::{self, CallsTool};
use super::{Ask, Failure, Node};
use crate::telemetry::RequestSpan;
use crate::telemetry::trace::keys;

const SERVICE: &str = bridge_service_server::SERVICE_NAME;

/// Serves [`bridge_service_server::BridgeService`], to clients and to workers alike.
#[derive(Clone, Debug)]
pub struct Bridge(pub Arc<Node>);

/// An answer that comes in parts.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Bridge {
    /// Answer a request, see [`Node::serve`].
    async fn answer<M, T, F>(
        &self,
        name: &'static str,
        request: Request<M>,
        call: impl FnOnce(Arc<Node>, Ask, M) -> F,
    ) -> Result<Response<T>, Status>
    where
        F: Future<Output = Result<Response<T>, Failure>>,
    {
        let nothing = |_: &mut Ask, _: &mut M, _: &RequestSpan| Ok(());
        self.0.serve(SERVICE, name, request, nothing, call).await
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
        let answer = |node, ask, message| call(node, ask, metadata, message);
        self.0.serve(SERVICE, name, request, prepare, answer).await
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
