//! A node whose data has changed under it finds out, takes itself out of service, and heals from the others.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::json;
use snakepit_client::{Moment, Registration};
use snakepit_cluster_tests::{Cluster, Spec, eventually, programs};

fn spec() -> Spec {
    Spec::nodes(3)
        .set("audit.compare_interval_ms", 100)
        .set("raft.snapshot_entries", 200)
        .set("raft.log_entries_kept", 50)
}

/// What `storage/examples/tamper.rs` does, to a node that is stopped.
fn tamper(cluster: &Cluster, id: u64, how: &[&str]) {
    let done = Command::new(programs::example("tamper"))
        .arg(cluster.node_ref(id).data())
        .args(how)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

async fn write(cluster: &Cluster, from: u64, values: std::ops::Range<i64>) {
    let client = cluster.client_from(from, Default::default());
    for value in values {
        client
            .set_variable("s", "x", &json!(value), None)
            .await
            .unwrap();
    }
}

async fn filled() -> Cluster {
    let cluster = Cluster::start(spec()).await;
    let client = cluster.client();
    client
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    for name in ["x", "a"] {
        let registration = Registration {
            name: name.into(),
            type_name: "integer".into(),
            value: json!(0),
            ..Registration::default()
        };
        client.register_variable("s", registration).await.unwrap();
    }
    write(&cluster, 1, 0..300).await;
    cluster
}

/// Wait until a node has said that it is wrong, and is healed.
async fn healed(cluster: &Cluster, id: u64, why: &str) {
    eventually("the node has healed", || async {
        let log = cluster.node_ref(id).log();
        let told = |text: &str| {
            log.contains(text)
                .then_some(())
                .ok_or_else(|| format!("nothing of {text:?}"))
        };
        told("this node takes itself out of service")?;
        told(why)?;
        told("the state of this node is another's now")
    })
    .await;
}

#[tokio::test]
async fn an_event_that_was_changed_is_found_and_healed() {
    let mut cluster = filled().await;
    let id = cluster.follower().await;
    let pid = cluster.node(id).pid();
    cluster.node(id).stop();
    tamper(&cluster, id, &["event", "150"]);
    cluster.restart(&[id]).await;
    assert_ne!(cluster.node(id).pid(), pid);
    let pid = cluster.node(id).pid();
    healed(&cluster, id, "event 150 is not the one that was logged").await;
    cluster.wait_ready().await;
    assert_eq!(
        cluster.node(id).pid(),
        pid,
        "it begins anew in its own process"
    );
    write(&cluster, id, 1_000..1_010).await;
    cluster.verify().await;
    // And after another start, which does not heal once more.
    cluster.kill(&[id]);
    cluster.restart(&[id]).await;
    cluster.verify().await;
    let log = cluster.node_ref(id).log();
    assert_eq!(
        log.matches("the state of this node is another's now")
            .count(),
        1
    );
}

#[tokio::test]
async fn a_leader_whose_rows_went_another_way_gives_way_and_heals() {
    let mut cluster = filled().await;
    let id = cluster.leader().await;
    cluster.node(id).stop();
    // Its variable a is gone: what others log, it refuses.
    tamper(&cluster, id, &["variable"]);
    cluster.restart(&[id]).await;
    let other = *cluster.others(id).first().unwrap();
    let client = cluster.client_from(other, Default::default());
    client
        .set_variable("s", "a", &json!(5), None)
        .await
        .unwrap();
    write(&cluster, other, 500..510).await;
    healed(&cluster, id, "its log differs from that of nodes").await;
    cluster.wait_ready().await;
    write(&cluster, id, 1_000..1_010).await;
    cluster.verify().await;
    let value = cluster
        .at(id)
        .get_variable("s", "a")
        .await
        .unwrap()
        .value
        .value;
    assert_eq!(value, json!(5));
}

#[tokio::test]
async fn a_segment_that_was_changed_is_replaced() {
    let mut cluster = filled().await;
    let made = cluster
        .client()
        .archive_events(Moment::Position(200))
        .await
        .unwrap();
    assert_eq!(made.len(), 1);
    let id = cluster.follower().await;
    let moved = || async {
        let (_, segments) = cluster.at(id).segments().await.map_err(|e| e.to_string())?;
        let moved = segments.iter().find(|segment| segment.standing == "moved");
        moved.cloned().ok_or_else(|| format!("{segments:?}"))
    };
    let segment = eventually("its events are moved", moved).await;
    let whole = std::fs::read(&segment.file).unwrap();
    cluster.kill(&[id]);
    let mut changed = whole.clone();
    changed[100] ^= 1;
    std::fs::write(&segment.file, changed).unwrap();
    cluster.restart(&[id]).await;
    eventually("another node's file is in its place", || async {
        (std::fs::read(&segment.file).ok().as_ref() == Some(&whole))
            .then_some(())
            .ok_or("it is not")
    })
    .await;
    let log = cluster.node_ref(id).log();
    assert!(log.contains("a damaged segment was set aside"));
    assert!(!log.contains("takes itself out of service"));
    cluster.verify().await;
}
