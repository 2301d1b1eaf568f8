//! What follows a request through a node: its correlation id, its events, its labels.

use std::collections::BTreeMap;
use std::time::Duration;

use snakepit_cluster_tests::raw::{integer, said, with};
use snakepit_cluster_tests::{Cluster, Spec};
use snakepit_proto::bridge::telemetry_control::Control;
use snakepit_proto::bridge::*;
use snakepit_proto::headers;
use snakepit_proto::session::sessions_client::SessionsClient;
use snakepit_proto::session::{GetProgramRequest, ListProgramsRequest};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response};

fn id_of<T>(answer: &Response<T>) -> Option<&str> {
    let value = answer.metadata().get(headers::CORRELATION_ID)?;
    value.to_str().ok()
}

fn adding(metadata: &[(&str, &str)]) -> ExecuteToolRequest {
    let metadata = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    ExecuteToolRequest {
        tool_name: "add".into(),
        parameters: BTreeMap::from([("a".into(), integer(1)), ("b".into(), integer(2))]),
        metadata: metadata.collect(),
        ..ExecuteToolRequest::default()
    }
}

#[tokio::test]
async fn answers_and_errors_carry_the_correlation_id() {
    let cluster = Cluster::start(Spec::nodes(1).workers(1)).await;
    let mut node = cluster.bridge(1).await;
    let header = [(headers::CORRELATION_ID, "c 1")];

    let answer = node.ping(PingRequest::default()).await.unwrap();
    assert_eq!(id_of(&answer), None);
    let answer = node.ping(with(PingRequest::default(), &header)).await;
    assert_eq!(id_of(&answer.unwrap()), Some("c 1"));
    let missing = GetSessionRequest {
        session_id: "none".into(),
    };
    let refused = node.get_session(with(missing, &header)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(said(&refused, headers::CORRELATION_ID), "c 1");
    let long = "x".repeat(257);
    let long = [(headers::CORRELATION_ID, long.as_str())];
    let refused = node.ping(with(PingRequest::default(), &long)).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);

    // What sessions can do beyond the bridge answers in the same way.
    let mut sessions = SessionsClient::new(cluster.channel(1).await);
    let list = ListProgramsRequest::default();
    let answer = sessions.list_programs(with(list.clone(), &header)).await;
    assert_eq!(id_of(&answer.unwrap()), Some("c 1"));
    assert_eq!(id_of(&sessions.list_programs(list).await.unwrap()), None);
    let missing = GetProgramRequest {
        program_id: "none".into(),
        ..GetProgramRequest::default()
    };
    let refused = sessions.get_program(with(missing, &header)).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(said(&refused, headers::CORRELATION_ID), "c 1");

    let answer = node.execute_tool(adding(&[])).await.unwrap();
    assert_eq!(id_of(&answer).map(str::len), Some(36), "{answer:?}");
    let own = adding(&[("correlation_id", "c-2")]);
    let answer = node.execute_tool(with(own, &header)).await.unwrap();
    assert_eq!(id_of(&answer), Some("c-2"));
    let answer = node.execute_tool(with(adding(&[]), &header)).await;
    assert_eq!(id_of(&answer.unwrap()), Some("c 1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_obeys_and_ends_with_the_node() {
    let mut cluster = Cluster::start(Spec::nodes(1)).await;
    let mut node = cluster.bridge(1).await;
    let (controls, sent) = tokio::sync::mpsc::channel(4);
    let answer = node.stream_telemetry(ReceiverStream::new(sent)).await;
    let mut events = answer.unwrap().into_inner();
    let sampling = TelemetrySamplingUpdate {
        sampling_rate: 2.0,
        event_patterns: Vec::new(),
    };
    let control = Some(Control::Sampling(sampling));
    controls.send(TelemetryControl { control }).await.unwrap();
    let refused = loop {
        if let Err(status) = events.message().await {
            break status;
        }
    };
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("sampling_rate is 2; hint: "));

    let (_controls, sent) = tokio::sync::mpsc::channel(4);
    let answer = node.stream_telemetry(ReceiverStream::new(sent)).await;
    let mut events = answer.unwrap().into_inner();
    let ended = tokio::spawn(async move { while let Ok(Some(_)) = events.message().await {} });
    cluster.node(1).stop();
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    ended.expect("the stream ends").unwrap();
}
