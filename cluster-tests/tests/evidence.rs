//! The log as evidence: proofs, exports that others can check, the past of sessions, and who wrote what.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use rand::Rng as _;
use serde_json::{Value as Json, json};
use snakepit_client::{ClientOptions, EventFilter, EventQuery, Moment, Registration};
use snakepit_cluster_tests::{Cluster, Spec, audit, programs, seed};
use snakepit_machine::{Payload, Row, RowKey, RowsExt as _};
use snakepit_proto::values;
use snakepit_storage::Replay;
use snakepit_storage::tree::{verify_consistency, verify_inclusion};

const NAMES: [&str; 3] = ["x", "y", "z"];

/// What was written: of which variable and version, by whom, which value.
type Written = BTreeMap<(String, u64), (String, i64)>;

fn command(cluster: &Cluster, line: &[&str]) -> Output {
    let endpoints: Vec<_> = cluster
        .up()
        .into_iter()
        .map(|id| cluster.endpoint(id).authority().to_owned())
        .collect();
    Command::new(programs::snakepit())
        .args(line)
        .args(["-o", "json"])
        .env("SNAKEPIT_ENDPOINTS", endpoints.join(","))
        .output()
        .unwrap()
}

/// Run `snakepit`, which must succeed: what it prints.
fn done(cluster: &Cluster, line: &[&str]) -> Json {
    let output = command(cluster, line);
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{line:?}: {out}\n{err}");
    serde_json::from_str(&out).unwrap_or(Json::Null)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A cluster whose nodes sign, and the folder of the key.
async fn signing() -> (Cluster, tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("cluster.key");
    let made = Command::new(programs::snakepit())
        .args([
            "log",
            "keygen",
            text(&key),
            "--name",
            "snakepit/tested",
            "-o",
            "json",
        ])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let made: Json = serde_json::from_slice(&made.stdout).unwrap();
    let public = made["key"].as_str().unwrap().to_owned();
    let spec = Spec::nodes(3).set("audit.signing_key", json!(text(&key)));
    (Cluster::start(spec).await, dir, public)
}

/// Write at random, by four principals, through all nodes; the leader is killed on the way.
async fn write(cluster: &mut Cluster, count: usize) -> Written {
    let mut random = seed::random(seed::take(), 0);
    let options = |who: &str| ClientOptions {
        principal: who.to_owned(),
        ..Default::default()
    };
    let who = ["ada", "bob", "eve", "kim"];
    let mut clients: Vec<_> = who
        .iter()
        .zip([1, 2, 3, 1])
        .map(|(name, node)| cluster.client_from(node, options(name)))
        .collect();
    let first = &clients[0];
    first
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let mut written = Written::new();
    for name in NAMES {
        let registration = Registration {
            name: name.into(),
            type_name: "integer".into(),
            value: json!(0),
            ..Registration::default()
        };
        first.register_variable("s", registration).await.unwrap();
        written.insert((name.into(), 1), ("ada".into(), 0));
    }
    for number in 0..count {
        if number == count / 2 {
            let leader = cluster.leader().await;
            cluster.kill(&[leader]);
            let alive = cluster.follower().await;
            for (client, name) in clients.iter_mut().zip(who) {
                *client = cluster.client_from(alive, options(name));
            }
        }
        let by = random.random_range(0..who.len());
        let name = NAMES[random.random_range(0..NAMES.len())];
        let value = random.random_range(0..1_000_i64);
        let answer = clients[by]
            .set_variable("s", name, &json!(value), None)
            .await;
        let version = answer.unwrap().value;
        written.insert((name.into(), version), (who[by].into(), value));
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_sign_one_tree_and_what_they_prove_holds() {
    let (mut cluster, dir, public) = signing().await;
    write(&mut cluster, 60).await;
    let up = cluster.up();
    let down: Vec<_> = cluster
        .ids()
        .into_iter()
        .filter(|id| !up.contains(id))
        .collect();
    cluster.restart(&down).await;
    let size = cluster.agree().await.position;
    let mut notes = Vec::new();
    for id in cluster.ids() {
        let head = cluster.at(id).checkpoint(size).await.unwrap();
        assert_eq!((head.size, &head.key), (size, &public));
        notes.push(head.note);
    }
    assert!(notes.iter().all(|note| *note == notes[0]), "{notes:#?}");

    let client = cluster.client();
    let hash = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap();
    for position in [1, 2, size / 2, size] {
        let found = client.prove_inclusion(position, size).await.unwrap();
        let proof: Vec<_> = found.proof.iter().map(|bytes| hash(bytes)).collect();
        let (leaf, root) = (hash(&found.leaf), hash(&found.root));
        verify_inclusion(position - 1, &leaf, size, &proof, &root).unwrap();
    }
    for old in [1, 7, size / 2, size] {
        let found = client.prove_consistency(old, size).await.unwrap();
        let proof: Vec<_> = found.proof.iter().map(|bytes| hash(bytes)).collect();
        let (from, to) = (hash(&found.old_root), hash(&found.new_root));
        verify_consistency(old, &from, size, &to, &proof).unwrap();
    }
    let beyond = client.prove_inclusion(size + 1, 0).await.unwrap_err();
    assert!(beyond.to_string().contains("hint: "), "{beyond}");
    let beyond = client.checkpoint(size + 1).await.unwrap_err();
    assert!(
        beyond.to_string().contains("hint: ask for sizes"),
        "{beyond}"
    );
    done(&cluster, &["log", "prove", "3"]);
    done(&cluster, &["log", "prove", "--old", "5"]);

    // An old checkpoint is what the logs are held against.
    let note = dir.path().join("note");
    done(
        &cluster,
        &["log", "checkpoint", "--size", "40", "--out", text(&note)],
    );
    let line = [
        "log",
        "verify",
        "--checkpoint",
        text(&note),
        "--key",
        &public,
    ];
    let verdicts = done(&cluster, &line);
    assert_eq!(verdicts.as_array().unwrap().len(), 3, "{verdicts:#}");
    let forged = std::fs::read_to_string(&note)
        .unwrap()
        .replace("\n40\n", "\n41\n");
    std::fs::write(&note, forged).unwrap();
    let refused = command(&cluster, &line);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("forged"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_are_checked_by_who_shares_no_code_with_the_nodes() {
    let (mut cluster, dir, public) = signing().await;
    write(&mut cluster, 60).await;
    let verifies = |file: &Path| {
        let output = Command::new(programs::python())
            .args(["-m", "snakepit.verify", text(file), "--key", &public])
            .output()
            .unwrap();
        (output.status.success(), format!("{output:?}"))
    };
    for (name, more) in [
        ("all.jsonl", [].as_slice()),
        ("part.jsonl", ["--from", "20", "--to", "50"].as_slice()),
        ("events.json", ["--form", "cloudevents"].as_slice()),
    ] {
        let file = dir.path().join(name);
        let line = [&["log", "export", "--out", text(&file)], more].concat();
        let told = done(&cluster, &line);
        assert_eq!(told["signed"], true, "{told:#}");
        let (sound, said) = verifies(&file);
        assert!(sound, "{said}");

        // An export that was broken off goes on, and ends as it would have.
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert!(!verifies(&file).0);
        done(&cluster, &line);
        assert_eq!(std::fs::read(&file).unwrap(), whole);
        assert!(verifies(&file).0);

        let mut forged = String::from_utf8(whole).unwrap();
        forged = forged.replacen("\"ada\"", "\"eve\"", 1);
        std::fs::write(&file, forged).unwrap();
        assert!(!verifies(&file).0);
    }
    let filtered = command(
        &cluster,
        &[
            "log",
            "export",
            "--out",
            text(&dir.path().join("f")),
            "--session",
            "s",
        ],
    );
    assert_eq!(filtered.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_what_the_log_says_it_was() {
    let (mut cluster, _dir, _) = signing().await;
    let written = write(&mut cluster, 600).await;
    let client = cluster.client();
    let position = client.status().await.unwrap().position;

    // At random positions, a session's past is what folding the log up to there gives.
    let mut random = seed::random(seed::take(), 0);
    let mut events = client.read_events(EventQuery::default());
    let mut replay = Replay::new();
    let mut picked: Vec<u64> = (0..60).map(|_| random.random_range(5..=position)).collect();
    picked.sort_unstable();
    for at in picked {
        while replay.position() < at {
            use futures_util::StreamExt as _;
            let stored = events.next().await.unwrap().unwrap();
            let hash = stored.hash.as_ref().try_into().unwrap();
            let event = snakepit_storage::StoredEvent {
                position: stored.position,
                bytes: stored.event.into(),
                hash,
            };
            replay.feed(&event).unwrap();
        }
        let export = client
            .export_session_at("s", Moment::Position(at))
            .await
            .unwrap()
            .value;
        let session = replay.rows().session("s").unwrap().unwrap();
        assert_eq!(export.revision, session.revision);
        let held: BTreeMap<_, _> = export
            .variables
            .into_iter()
            .map(|variable| {
                let value = values::decode(&variable.value.unwrap(), &[]).unwrap();
                (variable.name, (variable.version as u64, value))
            })
            .collect();
        let folded: BTreeMap<_, _> = replay
            .rows()
            .iter()
            .filter_map(|(key, row)| match (key, row) {
                (RowKey::Variable(_, name), Row::Variable(row)) => {
                    Some((name.clone(), (row.version, row.value.clone())))
                }
                _ => None,
            })
            .collect();
        assert_eq!(held, folded, "at {at}");
    }

    // Every version is blamed on who wrote it.
    for name in NAMES {
        let blamed = done(&cluster, &["var", "blame", name, "--session", "s"]);
        let mut told = Written::new();
        for line in blamed.as_array().unwrap() {
            let version = line["version"].as_u64().unwrap();
            let who = line["principal"]["name"].as_str().unwrap().to_owned();
            told.insert(
                (name.into(), version),
                (who, line["value"].as_i64().unwrap()),
            );
        }
        let own: Written = written
            .iter()
            .filter(|((of, _), _)| of == name)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(told, own);
    }
    let last = done(&cluster, &["log", "blame", "s"]);
    assert_eq!(last.as_array().unwrap().len(), NAMES.len());

    // Filters find what they say, and no more.
    let of_eve = EventFilter {
        events: vec!["VariableSet".into()],
        variable: "y".into(),
        principal: "eve".into(),
        ..Default::default()
    };
    let query = EventQuery {
        filter: of_eve,
        ..Default::default()
    };
    let found = audit::events(&client, query).await;
    let own = written
        .iter()
        .filter(|((name, _), (who, _))| name == "y" && who == "eve");
    assert_eq!(found.len(), own.count());
    assert!(found.iter().all(|event| event.principal.name == "eve"
        && matches!(&event.payload, Payload::VariableSet { name, .. } if name == "y")));
    let unknown = command(&cluster, &["log", "replay", "--event", "VariableWritten"]);
    assert_eq!(unknown.status.code(), Some(2));

    // A fork is a session of its own that names its origin, also where that has ended.
    let then = position / 2;
    let (of, at) = (Moment::Position(then), then.to_string());
    let past = client.export_session_at("s", of).await.unwrap().value;
    client.delete_session("s").await.unwrap();
    done(
        &cluster,
        &["session", "fork", "s", "--at", &at, "--as", "fork"],
    );
    let fork = client.export_session("fork").await.unwrap().value;
    let values = |export: snakepit_client::SessionExport| {
        let each = export.variables.into_iter().map(|it| (it.name, it.value));
        each.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(values(fork), values(past));
    let (replay, _) = audit::fold(&client, client.status().await.unwrap().position).await;
    let row = replay.rows().session("fork").unwrap().unwrap();
    assert!(row.imported_from.starts_with("s@"), "{}", row.imported_from);
    let differing = done(
        &cluster,
        &[
            "log",
            "diff",
            &at,
            &(position).to_string(),
            "--session",
            "s",
        ],
    );
    assert!(!differing.as_array().unwrap().is_empty());
    let state = done(&cluster, &["log", "state", "--at", &at]);
    assert_eq!(state.as_array().unwrap().len(), NAMES.len());
}
