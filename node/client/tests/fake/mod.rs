//! Nodes that answer from a script.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use snakepit_client::Endpoint;
use snakepit_proto::bridge::bridge_service_server::{BridgeService, BridgeServiceServer};
use snakepit_proto::bridge::*;
use snakepit_proto::headers;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming};

/// What one watch gives.
pub type Script = Vec<Result<VariableUpdate, Status>>;

/// What one streaming call gives.
pub type Chunks = Vec<Result<ToolChunk, Status>>;

/// What a node does with a request.
#[derive(Clone, Debug)]
pub enum Act {
    Answer,
    Fail(Code, &'static [(&'static str, &'static str)]),
    FailNaming(Code, String),
    Hang,
}

#[derive(Clone, Default)]
pub struct Fake {
    script: Arc<Mutex<VecDeque<Act>>>,
    /// Request ids and principals, in the order they came.
    pub seen: Arc<Mutex<Vec<(String, String)>>>,
    /// What each watch gives, one after the other; then there is silence.
    pub streams: Arc<Mutex<VecDeque<Script>>>,
    /// What each streaming call gives before it ends.
    pub calls: Arc<Mutex<VecDeque<Chunks>>>,
    /// What was called as a stream.
    pub called: Arc<Mutex<Vec<ExecuteToolRequest>>>,
    /// What was asked to be watched.
    pub watched: Arc<Mutex<Vec<WatchVariablesRequest>>>,
}

impl Fake {
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> (Self, Endpoint) {
        let fake = Self::default();
        fake.script.lock().unwrap().extend(acts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(BridgeServiceServer::new(fake.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(server);
        (fake, endpoint)
    }

    async fn act<Q, A: Default>(
        &self,
        request: Request<Q>,
        answer: A,
    ) -> Result<Response<A>, Status> {
        let said = |name: &str| {
            let value = request
                .metadata()
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.unwrap_or("").to_owned()
        };
        let seen = (said(headers::REQUEST_ID), said(headers::PRINCIPAL));
        self.seen.lock().unwrap().push(seen);
        let act = self
            .script
            .lock()
            .unwrap()
            .pop_front()
            .unwrap_or(Act::Answer);
        match act {
            Act::Answer => {
                let mut response = Response::new(answer);
                response
                    .metadata_mut()
                    .insert(headers::INDEX, "42".parse().unwrap());
                Ok(response)
            }
            Act::Fail(code, metadata) => {
                let mut status = Status::new(code, "scripted");
                for (name, value) in metadata {
                    status.metadata_mut().insert(*name, value.parse().unwrap());
                }
                Err(status)
            }
            Act::FailNaming(code, leader) => {
                let mut status = Status::new(code, "scripted");
                status
                    .metadata_mut()
                    .insert(headers::LEADER, leader.parse().unwrap());
                Err(status)
            }
            Act::Hang => std::future::pending().await,
        }
    }

    pub fn ids(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|(id, _)| id.clone())
            .collect()
    }
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

macro_rules! unscripted {
    ($($name:ident: $request:ty => $answer:ty;)*) => {$(
        fn $name<'a, 'b>(
            &'a self,
            _: Request<$request>,
        ) -> std::pin::Pin<
            Box<dyn Future<Output = Result<Response<$answer>, Status>> + Send + 'b>,
        >
        where
            'a: 'b,
            Self: 'b,
        {
            Box::pin(async { Err(Status::unimplemented("not in the script")) })
        }
    )*};
}

#[tonic::async_trait]
impl BridgeService for Fake {
    type ExecuteStreamingToolStream = Stream<ToolChunk>;
    type WatchVariablesStream = Stream<VariableUpdate>;
    type StreamTelemetryStream = Stream<TelemetryEvent>;

    async fn initialize_session(
        &self,
        request: Request<InitializeSessionRequest>,
    ) -> Result<Response<InitializeSessionResponse>, Status> {
        let answer = InitializeSessionResponse {
            success: true,
            created: true,
            ..Default::default()
        };
        self.act(request, answer).await
    }

    async fn cleanup_session(
        &self,
        request: Request<CleanupSessionRequest>,
    ) -> Result<Response<CleanupSessionResponse>, Status> {
        self.act(
            request,
            CleanupSessionResponse {
                success: true,
                resources_cleaned: 1,
            },
        )
        .await
    }

    async fn get_session(
        &self,
        request: Request<GetSessionRequest>,
    ) -> Result<Response<GetSessionResponse>, Status> {
        self.act(request, GetSessionResponse::default()).await
    }

    async fn set_variable(
        &self,
        request: Request<SetVariableRequest>,
    ) -> Result<Response<SetVariableResponse>, Status> {
        let answer = SetVariableResponse {
            success: true,
            new_version: 7,
            ..Default::default()
        };
        self.act(request, answer).await
    }

    async fn execute_tool(
        &self,
        request: Request<ExecuteToolRequest>,
    ) -> Result<Response<ExecuteToolResponse>, Status> {
        self.act(
            request,
            ExecuteToolResponse {
                success: true,
                ..Default::default()
            },
        )
        .await
    }

    async fn watch_variables(
        &self,
        request: Request<WatchVariablesRequest>,
    ) -> Result<Response<Stream<VariableUpdate>>, Status> {
        self.watched.lock().unwrap().push(request.into_inner());
        let updates = self.streams.lock().unwrap().pop_front();
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        let Some(updates) = updates else {
            tokio::spawn(async move { sender.closed().await });
            return Ok(Response::new(ReceiverStream::new(receiver)));
        };
        for update in updates {
            sender.try_send(update).unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn execute_streaming_tool(
        &self,
        request: Request<ExecuteToolRequest>,
    ) -> Result<Response<Stream<ToolChunk>>, Status> {
        self.called.lock().unwrap().push(request.into_inner());
        let chunks = self.calls.lock().unwrap().pop_front();
        let Some(chunks) = chunks else {
            return Err(Status::failed_precondition("its journal is not full"));
        };
        let (sender, receiver) = tokio::sync::mpsc::channel(64);
        for chunk in chunks {
            sender.try_send(chunk).unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    unscripted! {
        ping: PingRequest => PingResponse;
        heartbeat: HeartbeatRequest => HeartbeatResponse;
        get_variable: GetVariableRequest => GetVariableResponse;
        get_variables: BatchGetVariablesRequest => BatchGetVariablesResponse;
        set_variables: BatchSetVariablesRequest => BatchSetVariablesResponse;
        register_variable: RegisterVariableRequest => RegisterVariableResponse;
        list_variables: ListVariablesRequest => ListVariablesResponse;
        delete_variable: DeleteVariableRequest => DeleteVariableResponse;
        register_tools: RegisterToolsRequest => RegisterToolsResponse;
        get_exposed_elixir_tools: GetExposedElixirToolsRequest => GetExposedElixirToolsResponse;
        execute_elixir_tool: ExecuteElixirToolRequest => ExecuteElixirToolResponse;
        add_dependency: AddDependencyRequest => AddDependencyResponse;
        start_optimization: StartOptimizationRequest => StartOptimizationResponse;
        stop_optimization: StopOptimizationRequest => StopOptimizationResponse;
        get_variable_history: GetVariableHistoryRequest => GetVariableHistoryResponse;
        rollback_variable: RollbackVariableRequest => RollbackVariableResponse;
        stream_telemetry: Streaming<TelemetryControl> => Stream<TelemetryEvent>;
    }
}
