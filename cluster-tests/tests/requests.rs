//! A repeated request takes effect once, wherever and whenever it is repeated.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;
use snakepit_cluster_tests::{Cluster, Spec, audit, raw};
use snakepit_machine::Payload;
use snakepit_proto::bridge::*;
use snakepit_proto::headers;
use tonic::Code;

/// A session with a variable `x`.
async fn prepare(cluster: &Cluster) {
    let client = cluster.client();
    client
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let x = snakepit_client::Registration {
        name: "x".into(),
        type_name: "integer".into(),
        value: json!(0),
        ..Default::default()
    };
    client.register_variable("s", x).await.unwrap();
}

fn set(value: i64) -> SetVariableRequest {
    SetVariableRequest {
        session_id: "s".into(),
        variable_identifier: "x".into(),
        value: Some(raw::integer(value)),
        ..Default::default()
    }
}

/// Set `x` through a node, with a request id: its new version.
async fn set_at(cluster: &Cluster, id: u64, value: i64, request_id: &str) -> i32 {
    let done = cluster
        .bridge(id)
        .await
        .set_variable(raw::named(set(value), request_id))
        .await;
    done.unwrap_or_else(|status| panic!("node {id}: {status:?}"))
        .into_inner()
        .new_version
}

/// Events of the session that this request made.
async fn events_of(cluster: &Cluster, request_id: &str) -> usize {
    let events = cluster.verify().await;
    events
        .iter()
        .filter(|event| event.cause.request_id == request_id)
        .count()
}

#[tokio::test]
async fn on_other_nodes() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    prepare(&cluster).await;
    assert_eq!(set_at(&cluster, 1, 10, "one").await, 2);
    assert_eq!(set_at(&cluster, 2, 11, "two").await, 3);
    for id in cluster.ids() {
        assert_eq!(
            set_at(&cluster, id, 10, "one").await,
            2,
            "the first answer, not a new one"
        );
        assert_eq!(set_at(&cluster, id, 11, "two").await, 3);
    }
    // All at once.
    let ids = cluster.ids().into_iter().cycle().take(12);
    let versions = join_all(ids.map(|id| set_at(&cluster, id, 12, "three"))).await;
    assert!(versions.iter().all(|version| *version == 4), "{versions:?}");
    let x = cluster.client().get_variable("s", "x").await.unwrap().value;
    assert_eq!((x.version, x.value), (4, json!(12)));
    assert_eq!(events_of(&cluster, "three").await, 1);
}

#[tokio::test]
async fn every_kind_of_change() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let mut nodes = Vec::new();
    for id in cluster.ids() {
        nodes.push(cluster.bridge(id).await);
    }
    let session_id = || "s".to_owned();
    for node in &mut nodes {
        let create = InitializeSessionRequest {
            session_id: session_id(),
            ..Default::default()
        };
        assert!(
            node.initialize_session(raw::named(create, "create"))
                .await
                .unwrap()
                .into_inner()
                .created
        );
    }
    for node in &mut nodes {
        let register = RegisterVariableRequest {
            session_id: session_id(),
            name: "x".into(),
            r#type: "integer".into(),
            initial_value: Some(raw::integer(1)),
            ..Default::default()
        };
        let registered = node
            .register_variable(raw::named(register, "register"))
            .await
            .unwrap();
        assert_eq!(registered.into_inner().version, 1);
    }
    for node in &mut nodes {
        let update = BatchSetVariablesRequest {
            session_id: session_id(),
            updates: BTreeMap::from([("x".into(), raw::integer(2)), ("y".into(), raw::integer(2))]),
            ..Default::default()
        };
        let done = node
            .set_variables(raw::named(update, "batch"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(done.new_versions, BTreeMap::from([("x".into(), 2)]));
        assert!(done.errors["y"].contains("not found"), "{:?}", done.errors);
    }
    for node in &mut nodes {
        let swap = SetVariableRequest {
            expected_version: 2,
            ..set(3)
        };
        assert_eq!(
            node.set_variable(raw::named(swap, "swap"))
                .await
                .unwrap()
                .into_inner()
                .new_version,
            3
        );
    }
    for node in &mut nodes {
        let delete = DeleteVariableRequest {
            session_id: session_id(),
            variable_identifier: "x".into(),
        };
        assert!(
            node.delete_variable(raw::named(delete, "delete"))
                .await
                .unwrap()
                .into_inner()
                .success
        );
    }
    for node in &mut nodes {
        let cleanup = CleanupSessionRequest {
            session_id: session_id(),
            force: false,
        };
        let done = node
            .cleanup_session(raw::named(cleanup, "cleanup"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(done.resources_cleaned, 1);
    }
    let events = cluster.verify().await;
    assert_eq!(events.len(), 6, "{events:#?}");
}

#[tokio::test]
async fn across_a_change_of_the_leader() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    prepare(&cluster).await;
    let first = cluster.leader().await;
    assert_eq!(set_at(&cluster, first, 10, "one").await, 2);
    cluster.kill(&[first]);
    cluster.leader().await;
    for id in cluster.up() {
        assert_eq!(set_at(&cluster, id, 10, "one").await, 2);
    }
    cluster.restart(&[first]).await;
    assert_eq!(set_at(&cluster, first, 10, "one").await, 2);
    assert_eq!(events_of(&cluster, "one").await, 1);
}

#[tokio::test]
async fn across_a_restart_of_all() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    prepare(&cluster).await;
    assert_eq!(set_at(&cluster, 2, 10, "one").await, 2);
    let all = cluster.ids();
    cluster.kill(&all);
    cluster.restart(&all).await;
    for id in all {
        assert_eq!(set_at(&cluster, id, 10, "one").await, 2);
    }
    assert_eq!(events_of(&cluster, "one").await, 1);
}

#[tokio::test]
async fn an_id_that_named_another_kind_of_request_is_refused() {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    prepare(&cluster).await;
    assert_eq!(set_at(&cluster, 1, 10, "one").await, 2);
    let before = cluster.agree().await;
    let delete = DeleteVariableRequest {
        session_id: "s".into(),
        variable_identifier: "x".into(),
    };
    let refused = cluster
        .bridge(1)
        .await
        .delete_variable(raw::named(delete, "one"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    assert_eq!(raw::said(&refused, headers::DONE), "no");
    assert!(
        refused.message().contains("request id"),
        "{}",
        refused.message()
    );
    assert_eq!(cluster.agree().await.chain_head, before.chain_head);
}

#[tokio::test]
async fn without_an_id_each_is_another_request() {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    prepare(&cluster).await;
    let mut node = cluster.bridge(1).await;
    for version in 2..5 {
        assert_eq!(
            node.set_variable(set(1))
                .await
                .unwrap()
                .into_inner()
                .new_version,
            version
        );
    }
    let events = audit::session_events(&cluster.at(1), "s").await;
    let sets = events
        .iter()
        .filter(|event| matches!(event.payload, Payload::VariableSet { .. }));
    assert_eq!(sets.count(), 3);
}
