//! One node of three is left. It says so, in time, and does nothing that it could not undo.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use snakepit_client::Registration;
use snakepit_cluster_tests::{Cluster, Spec, raw};
use snakepit_proto::bridge::*;
use snakepit_proto::headers;
use tonic::{Code, Status};

/// Deadline of a request, in milliseconds. The nodes set it, not the requests: a request's own would be kept
/// by the client's clock as well, and on a busy machine that one may be faster.
const TIMEOUT_MS: u64 = 1_500;
/// What an answer may need beyond its deadline on a busy machine.
const GRACE: Duration = Duration::from_secs(10);

fn spec() -> Spec {
    Spec::nodes(3).set("limits.request_timeout_ms", TIMEOUT_MS)
}

async fn prepare(cluster: &Cluster) {
    let client = cluster.client();
    client
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let x = Registration {
        name: "x".into(),
        type_name: "integer".into(),
        value: json!(7),
        ..Default::default()
    };
    client.register_variable("s", x).await.unwrap();
    cluster.agree().await;
}

async fn read(
    cluster: &Cluster,
    id: u64,
    consistency: &'static str,
) -> Result<GetVariableResponse, Status> {
    let get = GetVariableRequest {
        session_id: "s".into(),
        variable_identifier: "x".into(),
        bypass_cache: false,
    };
    let asked = raw::with(get, &[(headers::CONSISTENCY, consistency)]);
    within_deadline(cluster.bridge(id).await.get_variable(asked)).await
}

async fn write(cluster: &Cluster, id: u64, value: i64) -> Result<SetVariableResponse, Status> {
    let set = SetVariableRequest {
        session_id: "s".into(),
        variable_identifier: "x".into(),
        value: Some(raw::integer(value)),
        ..Default::default()
    };
    within_deadline(cluster.bridge(id).await.set_variable(set)).await
}

async fn within_deadline<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    let began = Instant::now();
    let answer = answer.await;
    assert!(
        began.elapsed() < GRACE,
        "no answer in time: {:?}",
        began.elapsed()
    );
    answer.map(tonic::Response::into_inner)
}

fn refused<T: std::fmt::Debug>(what: &str, answer: Result<T, Status>) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{what}: {status:?}");
    assert_eq!(
        raw::said(&status, headers::DONE),
        "no",
        "{what}: {status:?}"
    );
    assert!(
        status.message().contains("hint: retry"),
        "{what}: {status:?}"
    );
}

#[tokio::test]
async fn a_follower_that_is_left_alone() {
    let mut cluster = Cluster::start(spec()).await;
    prepare(&cluster).await;
    let left = cluster.follower().await;
    let dead = cluster.others(left);
    cluster.kill(&dead);
    refused(
        "a linearizable read",
        read(&cluster, left, "linearizable").await,
    );
    refused("a lease read", read(&cluster, left, "lease").await);
    refused("a write", write(&cluster, left, 8).await);
    let stale = read(&cluster, left, "stale")
        .await
        .unwrap()
        .variable
        .unwrap();
    assert_eq!(stale.value.unwrap().value, b"7");
    // What was told not to be done is not done, now or later.
    cluster.restart(&dead).await;
    let x = cluster.client().get_variable("s", "x").await.unwrap().value;
    assert_eq!((x.version, x.value), (1, json!(7)));
    cluster.verify().await;
}

#[tokio::test]
async fn a_leader_that_is_left_alone() {
    let mut cluster = Cluster::start(spec()).await;
    prepare(&cluster).await;
    let left = cluster.leader().await;
    let dead = cluster.others(left);
    cluster.kill(&dead);
    // It may have taken the write into its log before it knew: then it must not say that it is not done.
    let first = write(&cluster, left, 8).await.unwrap_err();
    let done = raw::said(&first, headers::DONE).to_owned();
    match first.code() {
        Code::Unavailable => assert_eq!(done, "no", "{first:?}"),
        Code::Unknown | Code::DeadlineExceeded => assert_eq!(done, "maybe", "{first:?}"),
        _ => panic!("{first:?}"),
    }
    refused(
        "a linearizable read",
        read(&cluster, left, "linearizable").await,
    );
    let stale = read(&cluster, left, "stale")
        .await
        .unwrap()
        .variable
        .unwrap();
    assert_eq!(stale.value.unwrap().value, b"7");
    cluster.restart(&dead).await;
    let x = cluster.client().get_variable("s", "x").await.unwrap().value;
    let allowed = if done == "no" { vec![7] } else { vec![7, 8] };
    assert!(
        allowed.iter().any(|value| x.value == json!(value)),
        "{x:?} after {first:?}"
    );
    cluster.verify().await;
}

#[tokio::test]
async fn two_of_three_are_enough() {
    let mut cluster = Cluster::start(spec()).await;
    prepare(&cluster).await;
    let dead = cluster.leader().await;
    cluster.kill(&[dead]);
    cluster.leader().await;
    for id in cluster.up() {
        write(&cluster, id, 9).await.unwrap();
        read(&cluster, id, "linearizable").await.unwrap();
    }
    cluster.verify().await;
}
