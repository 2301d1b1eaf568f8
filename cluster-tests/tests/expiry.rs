//! A session ends at its deadline, on all nodes, once.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use snakepit_client::{Client, Consistency, Registration, Session};
use snakepit_cluster_tests::{Cluster, Spec, audit, eventually};
use snakepit_machine::Payload;

/// All nodes of a cluster on one machine have the same clock as the test.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

async fn prepare(client: &Client, ttl: Duration) {
    assert!(
        client
            .create_session("s", Some(ttl), BTreeMap::new())
            .await
            .unwrap()
            .value
    );
    let x = Registration {
        name: "x".into(),
        type_name: "integer".into(),
        value: json!(0),
        ..Default::default()
    };
    client.register_variable("s", x).await.unwrap();
}

/// The session as a list has it: looking at lists does not extend a life.
async fn listed(client: &Client) -> Option<Session> {
    client
        .list_sessions(0, "")
        .await
        .unwrap()
        .value
        .items
        .into_iter()
        .find(|session| session.id == "s")
}

#[tokio::test]
async fn it_is_gone_on_every_node_right_after_its_deadline() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    prepare(&cluster.client(), Duration::from_secs(2)).await;
    let nodes: Vec<_> = cluster.ids().into_iter().map(|id| cluster.at(id)).collect();
    let deadline = loop {
        // The last use is in the log before anybody looks: no touch is under way that could move the deadline.
        let found = listed(&nodes[0]).await.expect("it lives");
        tokio::time::sleep(Duration::from_millis(300)).await;
        if listed(&nodes[0])
            .await
            .is_none_or(|again| again.expires_ms == found.expires_ms)
        {
            break found.expires_ms;
        }
    };
    while now_ms() < deadline {
        for node in &nodes {
            let alive = listed(node).await.is_some();
            assert!(
                alive || now_ms() >= deadline,
                "it is gone before its deadline"
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (id, node) in cluster.ids().into_iter().zip(&nodes) {
        for consistency in [
            Consistency::Linearizable,
            Consistency::Lease,
            Consistency::Stale,
        ] {
            let node = node.clone().with_consistency(consistency);
            let kind = node.get_session("s").await.map_err(|error| error.kind());
            assert_eq!(
                kind.map(|found| found.value),
                Err("not_found"),
                "node {id}, {consistency:?}"
            );
            let kind = node
                .get_variable("s", "x")
                .await
                .map_err(|error| error.kind());
            assert_eq!(
                kind.map(|found| found.value),
                Err("not_found"),
                "node {id}, {consistency:?}"
            );
        }
        assert_eq!(
            node.set_variable("s", "x", &json!(1), None)
                .await
                .unwrap_err()
                .kind(),
            "not_found"
        );
        assert!(!node.heartbeat("s").await.unwrap().value);
        assert!(listed(node).await.is_none());
    }
    eventually("the expiry is in the log", || async {
        match cluster
            .statuses()
            .await?
            .iter()
            .map(|status| status.sessions)
            .max()
        {
            Some(0) => Ok(()),
            other => Err(format!("{other:?} sessions")),
        }
    })
    .await;
    let events = cluster.verify().await;
    let expired: Vec<_> = events
        .iter()
        .filter_map(|event| match event.payload {
            Payload::SessionExpired { deadline_ms } => Some((deadline_ms, event.time_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(expired.len(), 1, "{expired:?}");
    assert_eq!(expired[0].0, deadline);
    assert!(expired[0].1 >= deadline, "{expired:?}");
}

#[tokio::test]
async fn use_extends_it() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let client = cluster.client();
    prepare(&client, Duration::from_secs(10)).await;
    let mut deadline = listed(&client).await.expect("it lives").expires_ms;
    for use_it in ["heartbeat", "read", "write"] {
        deadline = eventually(use_it, || async {
            match use_it {
                "heartbeat" => assert!(client.heartbeat("s").await.unwrap().value),
                "read" => assert_eq!(
                    client.get_variable("s", "x").await.unwrap().value.value,
                    json!(0)
                ),
                _ => drop(
                    client
                        .set_variable("s", "x", &json!(0), None)
                        .await
                        .unwrap(),
                ),
            }
            let now = listed(&client).await.expect("it lives").expires_ms;
            if now > deadline { Ok(now) } else { Err(now) }
        })
        .await;
    }
    cluster.verify().await;
}

#[tokio::test]
async fn a_new_one_of_the_same_name_is_empty() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let client = cluster.client();
    prepare(&client, Duration::from_secs(1)).await;
    eventually("it is gone", || async {
        match listed(&client).await {
            None => Ok(()),
            some => Err(some),
        }
    })
    .await;
    assert!(
        client
            .create_session("s", None, BTreeMap::new())
            .await
            .unwrap()
            .value
    );
    let session = client.get_session("s").await.unwrap().value;
    assert_eq!((session.variables, session.revision), (0, 1));
    let events = audit::session_events(&cluster.at(1), "s").await;
    let expired = events
        .iter()
        .filter(|event| matches!(event.payload, Payload::SessionExpired { .. }));
    assert_eq!(expired.count(), 1);
    cluster.verify().await;
}

#[tokio::test]
async fn it_expires_while_the_cluster_is_down() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    prepare(&cluster.client(), Duration::from_secs(1)).await;
    let all = cluster.ids();
    cluster.kill(&all);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    cluster.restart(&all).await;
    for id in all {
        assert_eq!(
            cluster.at(id).get_session("s").await.unwrap_err().kind(),
            "not_found"
        );
    }
    cluster.verify().await;
}
