//! What is on the port: all calls of the bridge, health, reflection, HTTP.

use snakepit_cluster_tests::{Cluster, Spec};
use snakepit_proto::bridge::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

const BRIDGE: &str = "snakepit.bridge.BridgeService";

macro_rules! call_all {
    ($node:ident: $($name:literal => $call:ident($request:expr)),* $(,)?) => {
        vec![$(($name, $node.$call($request).await.err())),*]
    };
}

#[tokio::test]
async fn all_calls_of_the_bridge_exist() {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    let mut node = cluster.bridge(1).await;
    let answers: Vec<(&str, Option<Status>)> = call_all!(node:
        "Ping" => ping(PingRequest::default()),
        "InitializeSession" => initialize_session(InitializeSessionRequest::default()),
        "CleanupSession" => cleanup_session(CleanupSessionRequest::default()),
        "GetSession" => get_session(GetSessionRequest::default()),
        "Heartbeat" => heartbeat(HeartbeatRequest::default()),
        "GetVariable" => get_variable(GetVariableRequest::default()),
        "SetVariable" => set_variable(SetVariableRequest::default()),
        "GetVariables" => get_variables(BatchGetVariablesRequest::default()),
        "SetVariables" => set_variables(BatchSetVariablesRequest::default()),
        "RegisterVariable" => register_variable(RegisterVariableRequest::default()),
        "ListVariables" => list_variables(ListVariablesRequest::default()),
        "DeleteVariable" => delete_variable(DeleteVariableRequest::default()),
        "ExecuteTool" => execute_tool(ExecuteToolRequest::default()),
        "ExecuteStreamingTool" => execute_streaming_tool(ExecuteToolRequest::default()),
        "RegisterTools" => register_tools(RegisterToolsRequest::default()),
        "GetExposedElixirTools" => get_exposed_elixir_tools(GetExposedElixirToolsRequest::default()),
        "ExecuteElixirTool" => execute_elixir_tool(ExecuteElixirToolRequest::default()),
        "WatchVariables" => watch_variables(WatchVariablesRequest::default()),
        "AddDependency" => add_dependency(AddDependencyRequest::default()),
        "StartOptimization" => start_optimization(StartOptimizationRequest::default()),
        "StopOptimization" => stop_optimization(StopOptimizationRequest::default()),
        "GetVariableHistory" => get_variable_history(GetVariableHistoryRequest::default()),
        "RollbackVariable" => rollback_variable(RollbackVariableRequest::default()),
        "StreamTelemetry" => stream_telemetry(tokio_stream::iter([TelemetryControl::default()])),
    );
    for (name, failure) in &answers {
        if let Some(status) = failure {
            assert!(
                !matches!(
                    status.code(),
                    Code::Unknown | Code::Internal | Code::Unimplemented
                ),
                "{name}: {status:?}"
            );
            // What tonic says of calls that it has never heard of is empty.
            assert!(!status.message().is_empty(), "{name}: {status:?}");
        }
    }
    let described = methods_described(&cluster).await;
    let called: Vec<_> = answers.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        described, called,
        "the schema has the calls that this test makes"
    );
}

/// The bridge's calls by reflection, in the order of the schema.
async fn methods_described(cluster: &Cluster) -> Vec<String> {
    use prost::Message as _;
    let asked = MessageRequest::FileContainingSymbol(BRIDGE.into());
    let Some(MessageResponse::FileDescriptorResponse(files)) =
        reflect(cluster, asked).await.message_response
    else {
        panic!("reflection has no file for {BRIDGE}");
    };
    let files = files.file_descriptor_proto.iter();
    let files =
        files.map(|bytes| prost_types::FileDescriptorProto::decode(bytes.as_ref()).unwrap());
    let services = files.flat_map(|file| file.service);
    let bridge = services.filter(|service| service.name() == "BridgeService");
    bridge
        .flat_map(|service| service.method)
        .map(|method| method.name().to_owned())
        .collect()
}

async fn reflect(cluster: &Cluster, message: MessageRequest) -> ServerReflectionResponse {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(message),
    };
    let mut reflection = ServerReflectionClient::new(cluster.channel(1).await);
    let answers = reflection
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap();
    answers
        .into_inner()
        .message()
        .await
        .unwrap()
        .expect("an answer")
}

#[tokio::test]
async fn health_reflection_and_http_are_served() {
    let mut cluster = Cluster::start(Spec::nodes(1)).await;
    let mut health = HealthClient::new(cluster.channel(1).await);
    for service in ["", BRIDGE] {
        let answer = health
            .check(HealthCheckRequest {
                service: service.into(),
            })
            .await
            .unwrap();
        assert_eq!(
            answer.into_inner().status(),
            ServingStatus::Serving,
            "{service:?}"
        );
    }
    let Some(MessageResponse::ListServicesResponse(listed)) =
        reflect(&cluster, MessageRequest::ListServices(String::new()))
            .await
            .message_response
    else {
        panic!("reflection lists no services");
    };
    let names: Vec<_> = listed
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for name in [
        BRIDGE,
        "snakepit.cluster.v1.Cluster",
        "snakepit.cluster.v1.Audit",
    ] {
        assert!(
            names.iter().any(|known| known == name),
            "{name} is not in {names:?}"
        );
    }
    for (path, expected) in [
        ("/livez", "ok"),
        ("/readyz", "ok"),
        ("/metrics", "snakepit_"),
    ] {
        let (code, body) = http(&cluster, path).await;
        assert_eq!(code, "200", "{path}: {body}");
        assert!(body.contains(expected), "{path}: {body}");
    }
    assert_eq!(http(&cluster, "/nothing").await.0, "404");
    assert!(cluster.node(1).stop().success());
}

async fn http(cluster: &Cluster, path: &str) -> (String, String) {
    let address = &cluster.node_ref(1).addresses.http;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let code = answer.split(' ').nth(1).unwrap_or("").to_owned();
    (code, answer)
}
