//! Failover, repeats and what is told of them, against nodes that answer from a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use snakepit_client::{CallRequest, Client, ClientError, ClientOptions, Endpoint, EventQuery};
use snakepit_proto::bridge::bridge_service_server::{BridgeService, BridgeServiceServer};
use snakepit_proto::bridge::*;
use snakepit_proto::headers;
use tokio::net::TcpListener;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming};

/// What a node does with a request.
#[derive(Clone, Debug)]
enum Act {
    Answer,
    Fail(Code, &'static [(&'static str, &'static str)]),
    FailNaming(Code, String),
    Hang,
}

#[derive(Clone, Default)]
struct Fake {
    script: Arc<Mutex<VecDeque<Act>>>,
    /// Request ids and principals, in the order they came.
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Fake {
    async fn start(acts: impl IntoIterator<Item = Act>) -> (Self, Endpoint) {
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

    fn ids(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|(id, _)| id.clone())
            .collect()
    }
}

fn client(endpoints: &[&Endpoint]) -> Client {
    let options = ClientOptions {
        principal: "tester".into(),
        timeout: Duration::from_secs(3),
        attempt_timeout: Duration::from_millis(300),
        ..Default::default()
    };
    Client::new(endpoints.iter().map(|&endpoint| endpoint.clone()), options).unwrap()
}

async fn closed_port() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string().parse().unwrap()
}

const MAYBE: &[(&str, &str)] = &[(headers::DONE, "maybe")];
const NO: &[(&str, &str)] = &[(headers::DONE, "no")];

#[tokio::test]
async fn writes_are_repeated_with_the_same_request_id() {
    let acts = [
        Act::Fail(Code::Unavailable, NO),
        Act::Fail(Code::Unknown, MAYBE),
        Act::Hang,
    ];
    let (fake, endpoint) = Fake::start(acts).await;
    let client = client(&[&endpoint]);
    let answer = client
        .set_variable("s", "x", &json!(1), Some(3))
        .await
        .unwrap();
    assert_eq!((answer.value, answer.index), (7, 42));
    let ids = fake.ids();
    assert_eq!(ids.len(), 4);
    assert!(
        !ids[0].is_empty() && ids.iter().all(|id| *id == ids[0]),
        "{ids:?}"
    );
    assert_eq!(fake.seen.lock().unwrap()[0].1, "tester");
    client
        .set_variable("s", "x", &json!(1), None)
        .await
        .unwrap();
    assert_ne!(fake.ids()[4], ids[0]);
}

#[tokio::test]
async fn a_dead_node_is_left_for_good() {
    let dead = closed_port().await;
    let (first, a) = Fake::start([]).await;
    let client = client(&[&dead, &a]);
    client
        .create_session("s", None, Default::default())
        .await
        .unwrap();
    assert_eq!(client.endpoint(), a);
    client.get_session("s").await.unwrap();
    let ids = first.ids();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[1], "", "reads carry no request id");
}

#[tokio::test]
async fn the_leader_that_is_named_is_followed() {
    let (leader, at) = Fake::start([]).await;
    let (_, follower) = Fake::start([Act::FailNaming(Code::Unavailable, at.to_string())]).await;
    let client = client(&[&follower]);
    client
        .create_session("s", None, Default::default())
        .await
        .unwrap();
    assert_eq!(leader.ids().len(), 1);
    assert_eq!(client.endpoint(), at);
}

#[tokio::test]
async fn what_is_refused_is_not_repeated() {
    let (fake, endpoint) = Fake::start([Act::Fail(Code::Aborted, NO)]).await;
    let error = client(&[&endpoint])
        .set_variable("s", "x", &json!(1), None)
        .await
        .unwrap_err();
    assert_eq!(error, ClientError::Conflict("scripted".into()));
    assert_eq!(fake.ids().len(), 1);
}

#[tokio::test]
async fn a_tool_call_that_may_have_begun_is_not_repeated() {
    let acts = [
        Act::Fail(Code::Unavailable, NO),
        Act::Fail(Code::Unavailable, MAYBE),
    ];
    let (fake, endpoint) = Fake::start(acts).await;
    let call = CallRequest {
        tool: "t".into(),
        ..Default::default()
    };
    let error = client(&[&endpoint]).call_tool(call).await.unwrap_err();
    assert!(matches!(error, ClientError::Unknown(_)) && error.maybe_done());
    assert_eq!(fake.ids().len(), 2);
}

#[tokio::test]
async fn the_budget_holds_and_the_end_says_whether_it_may_be_done() {
    let dead = closed_port().await;
    let client = client(&[&dead]).with_timeout(Duration::from_millis(400));
    let began = std::time::Instant::now();
    let error = client.delete_session("s").await.unwrap_err();
    assert!(matches!(error, ClientError::Unavailable(_)), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(2));

    let acts = std::iter::repeat_n(Act::Fail(Code::Unavailable, NO), 100);
    let acts = [Act::Fail(Code::Unknown, MAYBE)].into_iter().chain(acts);
    let (_fake, endpoint) = Fake::start(acts).await;
    let client = client_at(&client, &endpoint);
    let error = client.delete_session("s").await.unwrap_err();
    assert!(matches!(error, ClientError::Unknown(_)), "{error:?}");
}

fn client_at(client: &Client, endpoint: &Endpoint) -> Client {
    client.at(endpoint).unwrap()
}

#[tokio::test]
async fn a_service_that_is_not_there_is_told() {
    use futures_util::StreamExt as _;
    let (_fake, endpoint) = Fake::start([]).await;
    let mut events = client(&[&endpoint]).read_events(EventQuery::default());
    assert!(matches!(
        events.next().await,
        Some(Err(ClientError::Other(_)))
    ));
    assert!(events.next().await.is_none());
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

    unscripted! {
        ping: PingRequest => PingResponse;
        heartbeat: HeartbeatRequest => HeartbeatResponse;
        get_variable: GetVariableRequest => GetVariableResponse;
        get_variables: BatchGetVariablesRequest => BatchGetVariablesResponse;
        set_variables: BatchSetVariablesRequest => BatchSetVariablesResponse;
        register_variable: RegisterVariableRequest => RegisterVariableResponse;
        list_variables: ListVariablesRequest => ListVariablesResponse;
        delete_variable: DeleteVariableRequest => DeleteVariableResponse;
        execute_streaming_tool: ExecuteToolRequest => Stream<ToolChunk>;
        register_tools: RegisterToolsRequest => RegisterToolsResponse;
        get_exposed_elixir_tools: GetExposedElixirToolsRequest => GetExposedElixirToolsResponse;
        execute_elixir_tool: ExecuteElixirToolRequest => ExecuteElixirToolResponse;
        watch_variables: WatchVariablesRequest => Stream<VariableUpdate>;
        add_dependency: AddDependencyRequest => AddDependencyResponse;
        start_optimization: StartOptimizationRequest => StartOptimizationResponse;
        stop_optimization: StopOptimizationRequest => StopOptimizationResponse;
        get_variable_history: GetVariableHistoryRequest => GetVariableHistoryResponse;
        rollback_variable: RollbackVariableRequest => RollbackVariableResponse;
        stream_telemetry: Streaming<TelemetryControl> => Stream<TelemetryEvent>;
    }
}
