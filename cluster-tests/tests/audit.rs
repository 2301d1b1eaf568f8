//! What an auditor reads: the same from every node, without gaps, and with the rows that are served.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::json;
use snakepit_client::{EventQuery, Registration};
use snakepit_cluster_tests::{Cluster, Load, Spec, audit, eventually, within};
use snakepit_machine::Payload;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_has_no_gaps_and_gives_the_rows_that_are_served() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    load.progress(200).await;
    load.end_and_check(&cluster).await;
    cluster.client().delete_session("load-b").await.unwrap();
    let agreed = cluster.agree().await;
    let events = cluster.verify().await;

    let mut revisions: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut position, mut time_ms, mut index) = (0, 0, 0);
    for event in &events {
        position += 1;
        assert_eq!(event.position, position);
        assert!(
            event.time_ms >= time_ms && event.raft_index >= index,
            "{event:?}"
        );
        (time_ms, index) = (event.time_ms, event.raft_index);
        let revision = revisions.entry(&event.session_id).or_default();
        *revision += 1;
        assert_eq!(event.revision, *revision, "{event:?}");
        let by_a_client = event.principal.name.starts_with("client-");
        let set = matches!(event.payload, Payload::VariableSet { .. });
        assert_eq!(by_a_client, set, "{event:?}");
        assert!((1..=3).contains(&event.cause.node), "{event:?}");
    }
    // One session's log is that session's part of the whole.
    let own: Vec<_> = events
        .iter()
        .filter(|event| event.session_id == "load-a")
        .cloned()
        .collect();
    for id in cluster.ids() {
        assert_eq!(audit::session_events(&cluster.at(id), "load-a").await, own);
        // And the rows are there, byte for byte, as many as the digest counted.
        let rows = cluster.at(id).read_rows().await.unwrap();
        let rows: Vec<_> = rows
            .map(|row| row.unwrap())
            .map(|row| (row.key, row.value))
            .collect()
            .await;
        assert_eq!(rows.len() as u64, agreed.rows);
        assert!(
            rows.is_sorted_by(|one, other| one.0 < other.0),
            "in canonical order"
        );
    }
}

#[tokio::test]
async fn who_follows_the_log_gets_what_comes_also_from_another_node() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let follower = cluster.follower().await;
    let reader = cluster.client_from(follower, Default::default());
    let mut events = reader.read_events(EventQuery {
        follow: true,
        ..EventQuery::default()
    });
    let client = cluster.client_from(cluster.leader().await, Default::default());
    client
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let x = Registration {
        name: "x".into(),
        type_name: "integer".into(),
        value: json!(0),
        ..Registration::default()
    };
    client.register_variable("s", x).await.unwrap();
    let mut position = 0;
    let mut next = async |patience: Duration| {
        let event = tokio::time::timeout(patience, events.next())
            .await
            .expect("an event comes");
        position += 1;
        assert_eq!(
            event.expect("the log does not end").unwrap().position,
            position
        );
    };
    let patience = Duration::from_secs(25);
    next(patience).await;
    next(patience).await;
    for value in 1..=5 {
        client
            .set_variable("s", "x", &json!(value), None)
            .await
            .unwrap();
        next(patience).await;
    }
    // The node that is read dies: reading goes on elsewhere, behind the last event.
    cluster.kill(&[follower]);
    let client = cluster.client_from(cluster.leader().await, Default::default());
    for value in 6..=10 {
        client
            .set_variable("s", "x", &json!(value), None)
            .await
            .unwrap();
        next(patience).await;
    }
}

#[tokio::test]
async fn a_digest_waits_for_its_index() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let index = cluster
        .client()
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap()
        .index;
    for id in cluster.ids() {
        let digest = cluster.at(id).digest(index).await.unwrap();
        assert!(
            digest.applied_index >= index && digest.position >= 1,
            "{digest:?}"
        );
    }
    // One that nobody has reached yet is told by the deadline, and harms nothing.
    let node = cluster.at(1).with_timeout(Duration::from_secs(1));
    assert!(node.digest(index + 1_000_000).await.is_err());
    within(Duration::from_secs(20), "it answers", || {
        cluster.try_status(1)
    })
    .await;
    let node = cluster.at(1);
    eventually("it answers", || node.get_session("s")).await;
}
