//! The log as evidence: proofs, exports that others can check, the past of sessions, and who wrote what.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;
use rand::rngs::StdRng;
use serde_json::{Value as Json, json};
use snakepit_client::{
    Client, ClientOptions, EventFilter, EventQuery, Moment, Registration, SetMany,
};
use snakepit_cluster_tests::{Cluster, Spec, audit, programs, seed};
use snakepit_machine::{Payload, Row, RowKey, RowsExt as _};
use snakepit_proto::values;
use snakepit_storage::tree::{verify_consistency, verify_inclusion};
use snakepit_storage::{Replay, StoredEvent};
use tokio::task::JoinSet;

/// Who writes.
const WHO: [&str; 4] = ["ada", "bob", "eve", "kim"];
/// Names of this many variables are written in one request.
const NAMES: usize = 40;

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

fn names() -> impl Iterator<Item = String> {
    (0..NAMES).map(|number| format!("v{number:02}"))
}

/// One of those who write: so many requests, each of which sets all variables at random.
async fn write_some(client: Client, who: &str, mut random: StdRng, requests: usize) -> Written {
    let mut written = Written::new();
    for _ in 0..requests {
        let values: BTreeMap<_, i64> = names()
            .map(|name| (name, random.random_range(0..1_000)))
            .collect();
        let each = values
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)));
        let many = SetMany {
            values: each.collect(),
            ..Default::default()
        };
        let answer = client.set_variables("s", many).await.unwrap().value;
        assert_eq!(answer.refused, BTreeMap::new());
        for (name, version) in answer.versions {
            let value = values[&name];
            let before = written.insert((name, version), (who.to_owned(), value));
            assert_eq!(before, None, "a version was given twice");
        }
    }
    written
}

/// Write so many events at least, by four principals at once, through all nodes; meanwhile `kills` times the
/// leader or another node is killed, and comes back.
async fn write(cluster: &mut Cluster, events: usize, kills: usize) -> Written {
    let seed = seed::take();
    let options = |who: &str| ClientOptions {
        principal: who.to_owned(),
        ..Default::default()
    };
    let first = cluster.client_from(1, options("ada"));
    first
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    let mut written = Written::new();
    for name in names() {
        let registration = Registration {
            name: name.clone(),
            type_name: "integer".into(),
            value: json!(0),
            ..Registration::default()
        };
        first.register_variable("s", registration).await.unwrap();
        written.insert((name, 1), ("ada".into(), 0));
    }
    let requests = events.div_ceil(NAMES * WHO.len());
    let mut writers = JoinSet::new();
    for (stream, (who, node)) in (1..).zip(WHO.into_iter().zip([1, 2, 3, 1])) {
        let client = cluster.client_from(node, options(who));
        let random = seed::random(seed, stream);
        writers.spawn(write_some(client, who, random, requests));
    }
    let mut random = seed::random(seed, 0);
    let goal = (NAMES + requests * NAMES * WHO.len()) as u64;
    for kill in 1..=kills as u64 {
        // Spread over the writes, and while they go on.
        let due = goal * kill / (kills as u64 + 1);
        while first
            .status()
            .await
            .is_ok_and(|status| status.position < due)
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let leader = cluster.leader().await;
        let killed = match random.random_bool(0.5) {
            true => leader,
            false => cluster.follower().await,
        };
        cluster.kill(&[killed]);
        tokio::time::sleep(Duration::from_millis(random.random_range(0..500))).await;
        cluster.restart(&[killed]).await;
    }
    while let Some(own) = writers.join_next().await {
        for (version, value) in own.unwrap() {
            let before = written.insert(version, value);
            assert_eq!(before, None, "a version was given twice");
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_sign_one_tree_and_what_they_prove_holds() {
    let (mut cluster, dir, public) = signing().await;
    write(&mut cluster, 480, 1).await;
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
    write(&mut cluster, 480, 1).await;
    // Both verifiers say the same. Parquet is left to the tests in Python, which have pyarrow.
    let verifies = |file: &Path| {
        let of_nodes = Command::new(programs::snakepit())
            .args(["log", "verify", text(file), "--key", &public])
            .output()
            .unwrap();
        let own = of_nodes.status.success();
        if file.extension().is_some_and(|ending| ending == "parquet") {
            return (own, format!("{of_nodes:?}"));
        }
        let python = Command::new(programs::python())
            .args(["-m", "snakepit.verify", text(file), "--key", &public])
            .output()
            .unwrap();
        assert_eq!(own, python.status.success(), "{of_nodes:?} {python:?}");
        (own, format!("{python:?}"))
    };
    for (name, more) in [
        ("all.jsonl", [].as_slice()),
        ("part.jsonl", ["--from", "20", "--to", "50"].as_slice()),
        ("events.json", ["--form", "cloudevents"].as_slice()),
        ("all.parquet", ["--form", "parquet"].as_slice()),
    ] {
        let file = dir.path().join(name);
        let line = [&["log", "export", "--out", text(&file)], more].concat();
        let told = done(&cluster, &line);
        assert_eq!(told["signed"], true, "{told:#}");
        let (sound, said) = verifies(&file);
        assert!(sound, "{said}");

        let whole = std::fs::read(&file).unwrap();
        if name.ends_with(".parquet") {
            let mut changed = whole;
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            std::fs::write(&file, changed).unwrap();
            assert!(!verifies(&file).0);
            continue;
        }

        // An export that was broken off goes on, and ends as it would have.
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

/// The events of an export.
fn exported(file: &Path) -> impl Iterator<Item = StoredEvent> {
    let lines = BufReader::new(std::fs::File::open(file).unwrap()).lines();
    lines.map(|line| {
        let line: Json = serde_json::from_str(&line.unwrap()).unwrap();
        let hash = line["hash"].as_str().unwrap();
        StoredEvent {
            position: line["position"].as_u64().unwrap(),
            bytes: STANDARD.decode(line["bytes"].as_str().unwrap()).unwrap(),
            hash: blake3::Hash::from_hex(hash).unwrap().into(),
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_what_the_log_says_it_was() {
    /// Of the workload, at least.
    const EVENTS: usize = 100_000;
    /// Nodes that are killed meanwhile.
    const KILLS: usize = 4;
    /// Moments that are looked at.
    const POSITIONS: usize = 1_000;

    let (mut cluster, dir, _) = signing().await;
    let written = write(&mut cluster, EVENTS, KILLS).await;
    let client = cluster.client();
    let position = cluster.agree().await.position;
    assert!(position >= EVENTS as u64);
    let file = dir.path().join("events.jsonl");
    done(&cluster, &["log", "export", "--out", text(&file)]);

    // At random positions, a session's past is what folding the exported events up to there gives.
    let mut random = seed::random(seed::take(), 0);
    let mut events = exported(&file);
    let mut replay = Replay::new();
    let begin = NAMES as u64;
    let mut picked: Vec<u64> = (0..POSITIONS)
        .map(|_| random.random_range(begin..=position))
        .collect();
    picked.sort_unstable();
    for at in picked {
        while replay.position() < at {
            replay.feed(&events.next().unwrap()).unwrap();
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
            .without_answers()
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
    let mut told = Written::new();
    for name in names() {
        let blamed = done(&cluster, &["var", "blame", &name, "--session", "s"]);
        for line in blamed.as_array().unwrap() {
            let version = line["version"].as_u64().unwrap();
            let who = line["principal"]["name"].as_str().unwrap().to_owned();
            let value = line["value"].as_i64().unwrap();
            told.insert((name.clone(), version), (who, value));
        }
    }
    let differs = |key: &&(String, u64)| told.get(*key) != written.get(*key);
    let wrong = told.keys().chain(written.keys()).find(differs);
    assert_eq!(
        wrong,
        None,
        "{:?} {:?}",
        wrong.map(|key| told.get(key)),
        wrong.map(|key| written.get(key))
    );
    let last = done(&cluster, &["log", "blame", "s"]);
    assert_eq!(last.as_array().unwrap().len(), NAMES);

    // Filters find what they say, and no more.
    let of_eve = EventFilter {
        events: vec!["VariableSet".into()],
        variable: "v01".into(),
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
        .filter(|((name, _), (who, _))| name == "v01" && who == "eve");
    assert_eq!(found.len(), own.count());
    assert!(found.iter().all(|event| event.principal.name == "eve"
        && matches!(&event.payload, Payload::VariableSet { name, .. } if name == "v01")));
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
    let (replay, _) = audit::fold(&client, cluster.agree().await.position).await;
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
    // Over all sessions too: the one that has ended, and its fork.
    let end = cluster.agree().await.position.to_string();
    let differing = done(&cluster, &["log", "diff", &position.to_string(), &end]);
    let told: Vec<_> = differing
        .as_array()
        .unwrap()
        .iter()
        .filter(|change| change["variable"].is_null())
        .map(|change| (change["session"].as_str(), change["change"].as_str()))
        .collect();
    let wanted = [(Some("fork"), Some("added")), (Some("s"), Some("removed"))];
    assert_eq!(told, wanted);
    assert_eq!(differing.as_array().unwrap().len(), 2 + 2 * NAMES);
    let state = done(&cluster, &["log", "state", "--at", &at]);
    assert_eq!(state.as_array().unwrap().len(), NAMES);
}
