//! Sealed sessions: nothing that they hold is anywhere in plain text, and nothing of it can be read once their subject
//! is erased.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value as Json, json};
use snakepit_client::{
    CallRequest, Client, Moment, NewSession, PutProgram, Registration, Rollback, SetMany,
    WatchQuery,
};
use snakepit_cluster_tests::tools::{call, definition, done, in_pool, in_session};
use snakepit_cluster_tests::{Cluster, Spec, eventually, programs};

const SEALED: &str = "sealed:ada-1";
/// What nobody may find. Short and of few letters, so that compression leaves it as it is.
const SECRET: &str = "Zq7XvPl2";
/// What must be found: the control.
const PLAIN: &str = "Yw3KdRt9";

fn log(cluster: &Cluster, line: &[&str]) -> Json {
    let output = Command::new(programs::snakepit())
        .args(line)
        .args(["-o", "json"])
        .env(
            "SNAKEPIT_ENDPOINTS",
            cluster.endpoint(cluster.up()[0]).authority(),
        )
        .output()
        .unwrap();
    assert!(output.status.success(), "{line:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or(Json::Null)
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// The files of a node that hold some bytes.
fn holding(dir: &Path, wanted: &[u8]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files(dir, &mut all);
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    };
    all.into_iter().filter(holds).collect()
}

/// All that the log and the rows of a node say, opened.
async fn all_bytes(client: &Client) -> Vec<u8> {
    let mut all = Vec::new();
    let mut events = client.read_events(Default::default());
    while let Some(event) = events.next().await {
        all.extend_from_slice(&event.unwrap().event);
    }
    let mut rows = client.read_rows().await.unwrap();
    while let Some(row) = rows.next().await {
        all.extend_from_slice(&row.unwrap().value);
    }
    all
}

fn says(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

async fn open(cluster: &Cluster, id: &str, subject: &str) {
    let session = NewSession {
        subject: subject.into(),
        ..NewSession::default()
    };
    cluster.client().open_session(id, session).await.unwrap();
}

fn secret(number: u64) -> String {
    format!("{SECRET}-{number}")
}

async fn fill(client: &Client, session: &str, told: &str) {
    let values = [
        ("s", "string", json!(format!("{told}-0"))),
        ("m", "map", json!({ "k": format!("{told}-0") })),
        ("l", "list", json!([format!("{told}-0")])),
        ("i", "integer", json!(7)),
    ];
    for (name, type_name, value) in values {
        let registration = Registration {
            name: name.into(),
            type_name: type_name.into(),
            value,
            ..Registration::default()
        };
        client
            .register_variable(session, registration)
            .await
            .unwrap();
    }
    for number in 1..150 {
        let value = json!(format!("{told}-{number}"));
        client
            .set_variable(session, "s", &value, None)
            .await
            .unwrap();
    }
    let many = SetMany {
        values: [
            ("s".to_owned(), json!(format!("{told}-150"))),
            ("m".to_owned(), json!({ "k": format!("{told}-150") })),
        ]
        .into(),
        atomic: true,
        ..SetMany::default()
    };
    client.set_variables(session, many).await.unwrap();
    let program = PutProgram {
        value: json!({ "code": told }),
        ..PutProgram::default()
    };
    client.put_program(session, "p", program).await.unwrap();
}

/// Everything reads as in any other session.
async fn check_readable(cluster: &Cluster, id: u64) {
    let client = cluster.at(id);
    let value = |name: &'static str| {
        let client = client.clone();
        async move { client.get_variable(SEALED, name).await.unwrap().value.value }
    };
    assert_eq!(value("s").await, json!(secret(150)));
    assert_eq!(value("m").await, json!({ "k": secret(150) }));
    assert_eq!(value("i").await, json!(7));
    let listed = client
        .list_variables(SEALED, "", 0, "")
        .await
        .unwrap()
        .value;
    assert_eq!(listed.items.len(), 4);
    let history = client
        .variable_history(SEALED, "s", 3, None)
        .await
        .unwrap()
        .value;
    assert_eq!(history.entries[1].value, json!(secret(149)));
    let program = client.get_program(SEALED, "p").await.unwrap().value;
    assert_eq!(program.value, json!({ "code": SECRET }));
    let copy = client.export_session(SEALED).await.unwrap().value;
    assert_eq!((copy.variables.len(), copy.subject.as_str()), (4, "ada"));
    client
        .export_session_at(SEALED, Moment::Position(100))
        .await
        .unwrap();
}

fn echo(value: &str, key: &str) -> CallRequest {
    let echo = call("echo", json!({ "value": value }));
    CallRequest {
        idempotency_key: key.into(),
        ..in_pool(in_session(echo, SEALED), "full")
    }
}

#[tokio::test]
async fn what_a_subject_held_is_gone_with_its_key() {
    let spec = Spec::nodes(3)
        .set("raft.snapshot_entries", 100)
        .set("raft.log_entries_kept", 10);
    let mut cluster = Cluster::start(spec).await;
    let settings = json!({ "journal": "full" });
    cluster
        .put_pool("full", &definition("busy", 1, settings), &cluster.ids())
        .await;
    open(&cluster, SEALED, "ada").await;
    open(&cluster, "plain", "").await;
    let client = cluster.client();
    let mut watch = client.watch_variables(WatchQuery {
        session: SEALED.into(),
        after_position: 1,
        ..WatchQuery::default()
    });
    fill(&client, SEALED, SECRET).await;
    fill(&client, "plain", PLAIN).await;
    for id in cluster.ids() {
        check_readable(&cluster, id).await;
    }
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!(first.variable.value, json!(secret(0)));

    // Calls of a full journal, a repeated one included.
    for _ in 0..2 {
        let answer = done(&client, echo(&secret(1_000), "once")).await;
        assert_eq!(answer.outcome.unwrap(), json!(secret(1_000)));
    }
    let other = client
        .call_tool(echo(&secret(1_001), "once"))
        .await
        .unwrap_err();
    assert_eq!(other.kind(), "invalid", "{other}");
    // A copy is sealed too, and cannot be made a plain one by mistake.
    let copy = client.export_session(SEALED).await.unwrap().value;
    client
        .import_session("sealed:ada-2", copy.clone())
        .await
        .unwrap();
    let refused = client.import_session("copy", copy).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("would hold its values in plain text"),
        "{refused}"
    );
    let back = Rollback {
        target_version: 1,
        ..Rollback::default()
    };
    let rolled = client
        .rollback_variable("sealed:ada-2", "m", back)
        .await
        .unwrap()
        .value;
    assert_eq!(rolled.value, json!({ "k": secret(150) }));
    // What does not fit is refused without a word of it in the log.
    let unfit = json!(format!("{SECRET}-unfit"));
    let refused = client
        .set_variable(SEALED, "i", &unfit, None)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), "invalid", "{refused}");

    // Into files of all kinds: snapshots, segments, exports.
    log(&cluster, &["log", "archive", "--through", "150"]);
    let dir = tempfile::tempdir().unwrap();
    let export = dir.path().join("events.jsonl");
    log(
        &cluster,
        &["log", "export", "--out", export.to_str().unwrap()],
    );
    eventually("all nodes have made a snapshot", || async {
        let statuses = cluster.statuses().await?;
        let made = statuses.iter().all(|status| status.snapshot_index > 0);
        made.then_some(()).ok_or_else(|| format!("{statuses:?}"))
    })
    .await;

    let keys = cluster.node_ref(1).data().join("keys");
    let mut held = Vec::new();
    files(&keys, &mut held);
    assert_eq!(held.len(), 1, "{held:?}");
    let key = std::fs::read(&held[0]).unwrap();
    for id in cluster.ids() {
        let data = cluster.node_ref(id).data();
        eventually("a node has the key", || async {
            let found = holding(&data.join("keys"), &key);
            (found.len() == 1).then_some(()).ok_or("it has not")
        })
        .await;
        assert_eq!(holding(&data, SECRET.as_bytes()), Vec::<PathBuf>::new());
        assert_ne!(holding(&data, PLAIN.as_bytes()), Vec::<PathBuf>::new());
        let all = all_bytes(&cluster.at(id)).await;
        assert!(!says(&all, SECRET), "node {id}");
        assert!(says(&all, PLAIN), "node {id}");
    }
    assert!(holding(dir.path(), SECRET.as_bytes()).is_empty());
    let before = client.checkpoint(0).await.unwrap();

    // One node is down while the key is destroyed.
    let sleeper = cluster.follower().await;
    cluster.kill(&[sleeper]);
    let client = cluster.client_from(cluster.leader().await, Default::default());
    let erased = client.erase_subject("ada").await.unwrap();
    assert!(erased.erased);
    assert_eq!(erased.pending_nodes, [sleeper]);
    cluster.restart(&[sleeper]).await;
    for id in cluster.ids() {
        let data = cluster.node_ref(id).data();
        eventually("the key is gone", || async {
            let found = holding(&data, &key);
            found
                .is_empty()
                .then_some(())
                .ok_or_else(|| format!("{found:?}"))
        })
        .await;
        assert!(holding(&data, SECRET.as_bytes()).is_empty());
        for session in [SEALED, "sealed:ada-2"] {
            let refused = cluster.at(id).get_variable(session, "s").await.unwrap_err();
            assert!(
                refused.to_string().contains("subject ada were erased"),
                "{refused}"
            );
        }
    }
    let client = cluster.client();
    assert!(!client.erase_subject("ada").await.unwrap().erased);
    for refused in [
        client
            .set_variable(SEALED, "i", &json!(1), None)
            .await
            .err(),
        client.export_session(SEALED).await.err(),
        client
            .export_session_at(SEALED, Moment::Position(100))
            .await
            .err(),
        client.variable_history(SEALED, "s", 1, None).await.err(),
        client.call_tool(echo("x", "new")).await.err(),
    ] {
        let refused = refused.unwrap();
        assert_eq!(refused.kind(), "refused", "{refused}");
    }
    // Its sessions can still be ended, and others go on.
    client.delete_session(SEALED).await.unwrap();
    client
        .set_variable("plain", "i", &json!(8), None)
        .await
        .unwrap();
    open(&cluster, "sealed:bob", "bob").await;
    fill(&client, "sealed:bob", SECRET).await;
    let subjects = client.list_subjects().await.unwrap();
    let told: Vec<_> = subjects
        .iter()
        .map(|subject| (subject.name.as_str(), subject.erased_ms > 0))
        .collect();
    assert_eq!(told, [("ada", true), ("bob", false)]);

    // Every proof still verifies.
    log(&cluster, &["log", "verify"]);
    let again = client.checkpoint(before.size).await.unwrap();
    assert_eq!(again.root, before.root);
    client.prove_inclusion(3, 0).await.unwrap();
    cluster.verify().await;
}

#[tokio::test]
async fn names_and_subjects_go_together() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let client = cluster.client();
    let refused = |id: &'static str, subject: &'static str| {
        let client = client.clone();
        async move {
            let session = NewSession {
                subject: subject.into(),
                ..NewSession::default()
            };
            client
                .open_session(id, session)
                .await
                .unwrap_err()
                .to_string()
        }
    };
    let told = refused("s", "ada").await;
    assert!(
        told.contains("must begin with sealed:; hint: name it sealed:s"),
        "{told}"
    );
    let told = refused("sealed:s", "").await;
    assert!(
        told.contains("are of sealed sessions; hint: name a subject"),
        "{told}"
    );
    assert!(client.list_subjects().await.unwrap().is_empty());
    let missing = client.erase_subject("nobody").await.unwrap_err();
    assert_eq!(missing.kind(), "not_found", "{missing}");
    // A key that most nodes cannot keep is not used.
    let mut cluster = cluster;
    let leader = cluster.leader().await;
    for id in cluster.others(leader) {
        cluster.kill(&[id]);
    }
    let session = NewSession {
        subject: "eve".into(),
        ..NewSession::default()
    };
    let client = cluster.at(leader).with_timeout(Duration::from_secs(3));
    let error = client
        .open_session("sealed:eve", session)
        .await
        .unwrap_err();
    let kinds = ["unavailable", "unknown"];
    assert!(kinds.contains(&error.kind()), "{error}");
}
