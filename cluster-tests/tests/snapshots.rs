//! A node that slept while the others purged their logs comes back by snapshot.

use std::collections::BTreeMap;

use serde_json::json;
use snakepit_client::Registration;
use snakepit_cluster_tests::{Cluster, Spec, eventually};

/// Snapshots come often, and nothing stays behind them.
fn spec() -> Spec {
    Spec::nodes(3)
        .set("raft.snapshot_entries", 100)
        .set("raft.log_entries_kept", 0)
}

/// Write, one entry each, until the leader has purged everything up to an index.
async fn write_until_purged(cluster: &Cluster, index: u64) {
    let client = cluster.client_from(cluster.leader().await, Default::default());
    let session = format!("beyond-{index}");
    client
        .create_session(&session, None, BTreeMap::new())
        .await
        .unwrap();
    let x = Registration {
        name: "x".into(),
        type_name: "integer".into(),
        value: json!(0),
        ..Default::default()
    };
    client.register_variable(&session, x).await.unwrap();
    for value in 1.. {
        client
            .set_variable(&session, "x", &json!(value), None)
            .await
            .unwrap();
        if value % 25 == 0 && cluster.status(cluster.leader().await).await.purged_index > index {
            return;
        }
        assert!(
            value < 5_000,
            "nothing is purged: {:?}",
            cluster.statuses().await
        );
    }
}

/// Wait until a node has what it missed, and require that it got it by snapshot.
async fn came_back_by_snapshot(cluster: &Cluster, id: u64, last: u64) {
    let status = eventually("the node has caught up", || async {
        let status = cluster.try_status(id).await?;
        let leader = cluster.try_status(cluster.leader().await).await?;
        if status.applied_index >= leader.applied_index {
            Ok(status)
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    // What it lacked was in nobody's log any more.
    assert!(status.snapshot_index > last, "{status:?}");
    assert!(status.purged_index > last, "{status:?}");
    cluster.verify().await;
}

#[tokio::test]
async fn after_it_was_down() {
    let mut cluster = Cluster::start(spec()).await;
    write_until_purged(&cluster, 0).await;
    let sleeper = cluster.follower().await;
    let last = cluster.status(sleeper).await.last_log_index;
    cluster.kill(&[sleeper]);
    write_until_purged(&cluster, last).await;
    cluster.node(sleeper).start();
    came_back_by_snapshot(&cluster, sleeper, last).await;
    // And it goes on from there, also after another restart, and as a leader.
    write_until_purged(&cluster, last + 100).await;
    cluster.kill(&[sleeper]);
    cluster.restart(&[sleeper]).await;
    cluster.verify().await;
    cluster
        .at(cluster.leader().await)
        .transfer_leader(sleeper)
        .await
        .unwrap();
    assert_eq!(cluster.leader().await, sleeper);
    cluster
        .at(sleeper)
        .create_session("after", None, BTreeMap::new())
        .await
        .unwrap();
    cluster.verify().await;
}

#[tokio::test]
async fn after_it_was_paused() {
    let mut cluster = Cluster::start(spec()).await;
    let sleeper = cluster.follower().await;
    let last = cluster.status(sleeper).await.last_log_index;
    cluster.node(sleeper).pause();
    write_until_purged(&cluster, last).await;
    cluster.node(sleeper).resume();
    came_back_by_snapshot(&cluster, sleeper, last).await;
}

#[tokio::test]
async fn events_outlive_the_log_on_all_nodes() {
    let mut cluster = Cluster::start(spec()).await;
    write_until_purged(&cluster, 50).await;
    let all = cluster.ids();
    cluster.kill(&all);
    cluster.restart(&all).await;
    let events = cluster.verify().await;
    assert_eq!(events.first().map(|event| event.position), Some(1));
    let index = cluster.at(1).take_snapshot().await.unwrap();
    assert!(cluster.status(1).await.snapshot_index >= index);
    cluster.verify().await;
}
