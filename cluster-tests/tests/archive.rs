//! Retention: old events leave the stores of all nodes, and nobody who reads notices.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use serde_json::{Value as Json, json};
use snakepit_client::{EventQuery, Moment, Registration};
use snakepit_cluster_tests::{Cluster, Spec, audit, eventually, programs};
use snakepit_storage::StateStore;

fn snakepit(cluster: &Cluster, line: &[&str]) -> Output {
    Command::new(programs::snakepit())
        .args(line)
        .args(["-o", "json"])
        .env(
            "SNAKEPIT_ENDPOINTS",
            cluster.endpoint(cluster.up()[0]).authority(),
        )
        .output()
        .unwrap()
}

fn done(cluster: &Cluster, line: &[&str]) -> Json {
    let output = snakepit(cluster, line);
    assert!(output.status.success(), "{line:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn write(cluster: &Cluster, session: &str, count: i64) {
    let client = cluster.client();
    client
        .create_session(session, None, BTreeMap::new())
        .await
        .unwrap();
    let registration = Registration {
        name: "x".into(),
        type_name: "integer".into(),
        value: json!(0),
        ..Registration::default()
    };
    client
        .register_variable(session, registration)
        .await
        .unwrap();
    for value in 0..count {
        client
            .set_variable(session, "x", &json!(value), None)
            .await
            .unwrap();
    }
}

/// Wait until all nodes that are up have all segments in files only.
async fn moved(cluster: &Cluster, count: usize) {
    eventually("all nodes have moved their events", || async {
        for id in cluster.up() {
            let listed = cluster.at(id).segments().await;
            let (node, segments) = listed.map_err(|error| error.to_string())?;
            assert_eq!(node, id);
            let whole = segments.iter().all(|segment| segment.standing == "moved");
            if segments.len() != count || !whole {
                return Err(format!("node {id}: {segments:?}"));
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn events_move_and_everything_reads_on() {
    let spec = Spec::nodes(3)
        .set("raft.snapshot_entries", 200)
        .set("raft.log_entries_kept", 20);
    let mut cluster = Cluster::start(spec).await;
    write(&cluster, "s", 300).await;
    let before = audit::events(&cluster.client(), EventQuery::default()).await;
    let checkpoint = cluster.client().checkpoint(250).await.unwrap();
    let client = cluster.client();
    let past = client
        .export_session_at("s", Moment::Position(100))
        .await
        .unwrap();

    let made = done(&cluster, &["log", "archive", "--through", "200"]);
    assert_eq!(
        (&made[0]["first"], &made[0]["last"]),
        (&json!(1), &json!(200))
    );
    moved(&cluster, 1).await;
    assert_eq!(
        done(&cluster, &["log", "archive", "--through", "150"]),
        json!([])
    );
    let refused = snakepit(&cluster, &["log", "archive", "--through", "100000"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("cannot be archived, the log has"), "{told}");

    let after = audit::events(&client, EventQuery::default()).await;
    assert_eq!(after[..before.len()], before);
    let again = client.checkpoint(250).await.unwrap();
    assert_eq!(
        (again.root, again.peaks),
        (checkpoint.root, checkpoint.peaks)
    );
    client.prove_inclusion(7, 0).await.unwrap();
    let then = client
        .export_session_at("s", Moment::Position(100))
        .await
        .unwrap();
    assert_eq!(then.value, past.value);
    done(&cluster, &["log", "verify"]);
    let blamed = done(&cluster, &["var", "blame", "x", "--session", "s"]);
    assert_eq!(blamed.as_array().unwrap().len(), 301);

    // What one node sleeps through comes to it by snapshot, which has none of the archived events: it gets their
    // segment from another node.
    let sleeper = cluster.follower().await;
    let last = cluster.status(sleeper).await.last_log_index;
    cluster.kill(&[sleeper]);
    done(&cluster, &["log", "archive", "--through", "300"]);
    moved(&cluster, 2).await;
    write(&cluster, "t", 300).await;
    let leader = cluster.leader().await;
    eventually("the log is purged", || async {
        let purged = cluster.try_status(leader).await?.purged_index;
        (purged > last)
            .then_some(())
            .ok_or_else(|| purged.to_string())
    })
    .await;
    cluster.restart(&[sleeper]).await;
    moved(&cluster, 2).await;
    let segment = cluster.node_ref(sleeper).data().join("archive");
    assert_eq!(std::fs::read_dir(&segment).unwrap().count(), 2);
    let read = audit::events(&cluster.at(sleeper), EventQuery::default()).await;
    assert_eq!(read[..before.len()], before);
    // And so where its archive is lost.
    cluster.kill(&[sleeper]);
    std::fs::remove_dir_all(&segment).unwrap();
    cluster.restart(&[sleeper]).await;
    moved(&cluster, 2).await;
    let read = audit::events(&cluster.at(sleeper), EventQuery::default()).await;
    assert_eq!(read[..before.len()], before);
    cluster.verify().await;

    // On the directory of a stopped node too; none of its archived events is left in its store.
    let id = cluster.leader().await;
    let data = cluster.node_ref(id).data();
    cluster.node(id).stop();
    let folder = data.to_str().unwrap().to_owned();
    done(&cluster, &["log", "verify", "--dir", &folder]);
    let replayed = snakepit(&cluster, &["log", "replay", "--dir", &folder, "--to", "10"]);
    assert!(replayed.status.success(), "{replayed:?}");
    let state = StateStore::open_read_only(&data).unwrap();
    assert_eq!(state.archived().unwrap(), 300);
    let read = snakepit_proto::events::decode(&state.event(5).unwrap().bytes).unwrap();
    assert_eq!(read, before[4]);
}
