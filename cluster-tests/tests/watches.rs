//! Who watches sees every change once, in order, from any node, and goes on where a watch ended.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use snakepit_cluster_tests::calls::{
    Calls, anywhere, clean_up, create, delete, depend, get, register, release, roll_back, rule,
    set, start, stop,
};
use snakepit_cluster_tests::raw::{any, index, refused, said, with};
use snakepit_cluster_tests::{Cluster, Spec, eventually};
use snakepit_proto::bridge::*;
use snakepit_proto::headers::{ERROR_KIND, PRINCIPAL, REQUEST_ID};
use tonic::{Code, Status, Streaming};

const PATIENCE: Duration = Duration::from_secs(25);

fn watch(session: &str, names: &[&str]) -> WatchVariablesRequest {
    WatchVariablesRequest {
        session_id: session.into(),
        variable_identifiers: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Default::default()
    }
}

async fn open_as(
    node: &Calls,
    who: &str,
    asked: WatchVariablesRequest,
) -> Streaming<VariableUpdate> {
    let told = node
        .bridge
        .clone()
        .watch_variables(with(asked, &[(PRINCIPAL, who)]))
        .await;
    told.unwrap_or_else(|status| panic!("node {}: {status:?}", node.node))
        .into_inner()
}

/// What comes next: an update, or how it ended.
async fn next(updates: &mut Streaming<VariableUpdate>) -> Result<VariableUpdate, Status> {
    let told = tokio::time::timeout(PATIENCE, updates.message())
        .await
        .expect("an update comes");
    told.map(|update| update.expect("a watch does not end without a word"))
}

fn number(update: &VariableUpdate) -> i64 {
    let value = update
        .variable
        .as_ref()
        .and_then(|variable| variable.value.as_ref());
    serde_json::from_slice(&value.expect("it has a value").value).unwrap()
}

/// What a test tells of an update.
fn brief(update: &VariableUpdate) -> (String, String, i32) {
    let variable = update.variable.as_ref().unwrap();
    (
        update.update_type.clone(),
        variable.name.clone(),
        variable.version,
    )
}

/// The value of each version of each variable.
type Record = BTreeMap<(String, i32), i64>;

/// Writers at work, and what they know: the value of each version.
struct Writers {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    record: Arc<Mutex<Record>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Writers {
    fn begin(nodes: &[Calls], names: &'static [&'static str]) -> Self {
        let (stop, done) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let record: Arc<Mutex<Record>> = Arc::default();
        let tasks = (0..6_usize).map(|writer| {
            let (nodes, stop, done, record) =
                (nodes.to_vec(), stop.clone(), done.clone(), record.clone());
            tokio::spawn(async move {
                for count in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let name = names[(writer + count) % names.len()];
                    let value = i64::try_from(writer * 1_000_000 + count).unwrap();
                    let request_id = format!("{writer}-{count}");
                    let told = anywhere(&nodes, writer, |mut node| {
                        let message = with(set("s", name, value), &[(REQUEST_ID, &request_id)]);
                        async move { node.bridge.set_variable(message).await }
                    });
                    let version = told.await.unwrap().into_inner().new_version;
                    let before = record
                        .lock()
                        .unwrap()
                        .insert((name.to_owned(), version), value);
                    assert_eq!(before, None, "version {version} of {name} was given twice");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let tasks = tasks.collect();
        Self {
            stop,
            done,
            record,
            tasks,
        }
    }

    /// Wait until so many writes are done.
    async fn progress(&self, writes: u64) {
        let wanted = self.done.load(Ordering::Relaxed) + writes;
        eventually("writes are done", || async {
            let done = self.done.load(Ordering::Relaxed);
            if done >= wanted {
                Ok(())
            } else {
                Err(format!("{done} of {wanted}"))
            }
        })
        .await;
    }

    async fn end(self) -> Record {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        Arc::try_unwrap(self.record).unwrap().into_inner().unwrap()
    }
}

/// How a watcher goes on when its watch has ended.
#[derive(Clone, Copy, PartialEq)]
enum Resume {
    Position,
    Index,
}

/// Watch until `x` has the value `last`, beginning at one node and going on at the next: every update, in the order in
/// which they came.
async fn follow(
    nodes: Vec<Calls>,
    first: usize,
    how: Resume,
    names: &[&str],
    last: i64,
) -> Vec<VariableUpdate> {
    let initial = WatchVariablesRequest {
        include_initial_values: true,
        ..watch("s", names)
    };
    let mut updates = open_as(&nodes[first], "", initial).await;
    let mut seen: Vec<VariableUpdate> = Vec::new();
    let mut turn = first;
    loop {
        match next(&mut updates).await {
            Ok(update) => {
                let ends = update.update_type != "initial_value"
                    && brief(&update).1 == "x"
                    && number(&update) == last;
                seen.push(update);
                if ends {
                    return seen;
                }
            }
            Err(status) => {
                assert!(
                    matches!(
                        status.code(),
                        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
                    ),
                    "{status:?}"
                );
                turn += 1;
                let asked = match how {
                    Resume::Position => {
                        let position = seen.last().expect("the initial values came").position;
                        WatchVariablesRequest {
                            after_position: position,
                            ..watch("s", names)
                        }
                    }
                    Resume::Index => {
                        // Read again, and go on from there: what comes then begins at the read or before it.
                        let read = anywhere(&nodes, turn, |mut node| async move {
                            node.bridge.get_variable(get("s", "x")).await
                        });
                        let read = read.await.unwrap();
                        let (at, x) = (index(&read), read.into_inner().variable.unwrap());
                        seen.clear();
                        seen.push(VariableUpdate {
                            update_type: "initial_value".into(),
                            variable_id: x.id.clone(),
                            variable: Some(x),
                            ..Default::default()
                        });
                        WatchVariablesRequest {
                            after_index: at,
                            ..watch("s", &["x"])
                        }
                    }
                };
                let told = anywhere(&nodes, turn, |mut node| {
                    let asked = asked.clone();
                    async move { node.bridge.watch_variables(asked).await }
                });
                updates = told.await.unwrap().into_inner();
            }
        }
    }
}

/// Versions without gap or repeat, positions that grow, values as they were written.
fn check(seen: &[VariableUpdate], how: Resume, record: &Record) -> usize {
    let mut versions: BTreeMap<String, i32> = BTreeMap::new();
    let (mut position, mut changes) = (0, 0);
    for update in seen {
        let (kind, name, version) = brief(update);
        if let Some(value) = record.get(&(name.clone(), version)) {
            assert_eq!(number(update), *value, "{update:?}");
        } else {
            assert!(version == 1, "nobody wrote {update:?}");
        }
        let before = versions.insert(name, version);
        if kind == "initial_value" {
            assert_eq!(before, None, "{update:?}");
            position = position.max(update.position);
            continue;
        }
        assert!(
            update.position > position && update.raft_index > 0,
            "{update:?} after {position}"
        );
        position = update.position;
        changes += 1;
        match before {
            // A read may be newer than the index that it names; the watch gives all behind that.
            Some(before) if how == Resume::Index && version <= before => {}
            Some(before) => assert_eq!(version, before + 1, "a gap or a repeat before {update:?}"),
            None => assert_eq!((kind.as_str(), version), ("registered", 1), "{update:?}"),
        }
    }
    changes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_comes_once_also_when_the_watched_node_dies() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    nodes[0]
        .bridge
        .clone()
        .initialize_session(create("s"))
        .await
        .unwrap();
    for name in ["x", "y", "z"] {
        nodes[0]
            .bridge
            .clone()
            .register_variable(register("s", name, "integer", "0"))
            .await
            .unwrap();
    }
    let writers = Writers::begin(&nodes, &["x", "y", "z"]);
    writers.progress(100).await;
    const LAST: i64 = -7;
    let mut watchers = Vec::new();
    for first in 0..3 {
        for (how, names) in [
            (Resume::Position, &[][..]),
            (Resume::Position, &["x", "z"]),
            (Resume::Index, &["x"]),
        ] {
            let nodes = nodes.clone();
            watchers.push((
                how,
                names,
                tokio::spawn(async move { follow(nodes, first, how, names, LAST).await }),
            ));
        }
    }
    writers.progress(200).await;
    // A later registration, which those see who watch the session.
    nodes[1]
        .bridge
        .clone()
        .register_variable(register("s", "later", "integer", "1"))
        .await
        .unwrap();
    for dies in [cluster.leader().await, cluster.follower().await] {
        cluster.kill(&[dies]);
        writers.progress(150).await;
        cluster.restart(&[dies]).await;
        writers.progress(150).await;
    }
    let mut record = writers.end().await;
    let told = nodes[2]
        .bridge
        .clone()
        .set_variable(set("s", "x", LAST))
        .await
        .unwrap();
    record.insert(("x".into(), told.into_inner().new_version), LAST);
    assert!(record.len() > 500, "{}", record.len());
    let newest = |name: &str| {
        record
            .keys()
            .filter(|key| key.0 == name)
            .map(|key| key.1)
            .max()
            .unwrap()
    };
    for (how, names, watcher) in watchers {
        let seen = watcher.await.unwrap();
        let changes = check(&seen, how, &record);
        let last = |name: &str| {
            seen.iter()
                .rev()
                .map(brief)
                .find(|each| each.1 == name)
                .map(|each| each.2)
        };
        assert_eq!(last("x"), Some(newest("x")));
        let watched =
            |name: &str| how == Resume::Position && (names.is_empty() || names.contains(&name));
        for name in ["y", "z"] {
            assert_eq!(
                last(name),
                watched(name).then(|| newest(name)),
                "{names:?} {name}"
            );
        }
        assert_eq!(last("later").is_some(), names.is_empty());
        assert!(changes > 0);
        println!("{changes} changes of {names:?}");
    }
    cluster.verify().await;
}

#[tokio::test]
async fn a_slow_watcher_is_told_where_to_go_on() {
    let cluster = Cluster::start(Spec::nodes(3).set("limits.watch_updates_max", 16)).await;
    let nodes = cluster.all_calls();
    nodes[0]
        .bridge
        .clone()
        .initialize_session(create("s"))
        .await
        .unwrap();
    nodes[0]
        .bridge
        .clone()
        .register_variable(register("s", "x", "string", "\"\""))
        .await
        .unwrap();
    let mut slow = Vec::new();
    for node in &nodes {
        slow.push(open_as(node, "", watch("s", &["x"])).await);
    }
    let large = "v".repeat(200_000);
    const WRITES: i32 = 100;
    for number in 0..WRITES {
        let message = SetVariableRequest {
            value: Some(any("string", format!("\"{number} {large}\""))),
            ..set("s", "x", 0)
        };
        nodes[0].bridge.clone().set_variable(message).await.unwrap();
    }
    for (node, mut updates) in nodes.iter().zip(slow) {
        let (mut version, mut ended) = (1, 0);
        while version <= WRITES {
            match next(&mut updates).await {
                Ok(update) => {
                    version += 1;
                    assert_eq!(brief(&update), ("value_change".into(), "x".into(), version));
                }
                Err(status) => {
                    assert_eq!(
                        (status.code(), said(&status, ERROR_KIND)),
                        (Code::Aborted, "fell_behind"),
                        "{status:?}"
                    );
                    let message = status.message();
                    let position = message
                        .rsplit_once("after_position=")
                        .expect("it names a position")
                        .1;
                    let after_position = position.parse().expect("it is a number");
                    // Another node goes on as well.
                    let other = &nodes[usize::try_from(node.node).unwrap() % 3];
                    updates = open_as(
                        other,
                        "",
                        WatchVariablesRequest {
                            after_position,
                            ..watch("s", &["x"])
                        },
                    )
                    .await;
                    ended += 1;
                }
            }
        }
        assert!(ended > 0, "node {}: nobody was slow", node.node);
    }
    cluster.verify().await;
}

/// One change of each kind of `x`.
async fn one_of_each(nodes: &[Calls]) {
    let node = |number: usize| nodes[number % 3].clone();
    let alice = [(PRINCIPAL, "alice")];
    node(0)
        .bridge
        .register_variable(register("s", "x", "integer", "1"))
        .await
        .unwrap();
    node(1)
        .bridge
        .set_variable(with(set("s", "x", 2), &alice))
        .await
        .unwrap();
    node(2)
        .bridge
        .rollback_variable(roll_back("s", "x", 1))
        .await
        .unwrap();
    node(0)
        .bridge
        .register_variable(register("s", "x", "integer", "4"))
        .await
        .unwrap();
    node(1)
        .bridge
        .add_dependency(depend("s", "x", "base", "derives"))
        .await
        .unwrap();
    node(2)
        .sessions
        .remove_dependency(release("s", "x", "base"))
        .await
        .unwrap();
    let lock = node(0)
        .bridge
        .start_optimization(with(start("s", "x", "opt"), &alice))
        .await
        .unwrap();
    let lock = lock.into_inner().optimization_id;
    // A renewal changes nothing that a watcher sees.
    node(1)
        .bridge
        .start_optimization(with(start("s", "x", "opt"), &alice))
        .await
        .unwrap();
    node(1)
        .bridge
        .stop_optimization(stop("s", "x", &lock))
        .await
        .unwrap();
    node(2)
        .sessions
        .set_access(rule(
            "s",
            "x",
            r#"{"write": {}, "watch": {"principals": ["a*"]}}"#,
        ))
        .await
        .unwrap();
    node(0)
        .sessions
        .set_access(rule("s", "x", ""))
        .await
        .unwrap_err();
    node(0)
        .bridge
        .register_variable(register("s", "end", "integer", "0"))
        .await
        .unwrap();
}

#[tokio::test]
async fn kinds_of_change_and_who_may_see_them() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    for session in ["s", "short"] {
        let config = (session == "short").then(|| SessionConfig {
            ttl_seconds: 2,
            ..Default::default()
        });
        nodes[0]
            .bridge
            .clone()
            .initialize_session(InitializeSessionRequest {
                config,
                ..create(session)
            })
            .await
            .unwrap();
        nodes[0]
            .bridge
            .clone()
            .register_variable(register(session, "base", "integer", "0"))
            .await
            .unwrap();
    }
    let secret = RegisterVariableRequest {
        access_control_json: r#"{"read": {"principals": ["alice"]}}"#.into(),
        ..register("s", "secret", "integer", "0")
    };
    nodes[1]
        .bridge
        .clone()
        .register_variable(secret)
        .await
        .unwrap();
    let mut all = Vec::new();
    for node in &nodes {
        let mut opened = Vec::new();
        for who in ["alice", "bob"] {
            let asked = WatchVariablesRequest {
                include_initial_values: true,
                ..watch("s", &[])
            };
            opened.push(open_as(node, who, asked).await);
        }
        opened.push(open_as(node, "", watch("short", &[])).await);
        all.push(opened);
        let asked = with(watch("s", &["secret"]), &[(PRINCIPAL, "bob")]);
        refused(
            node.bridge.clone().watch_variables(asked).await,
            Code::PermissionDenied,
            "secret",
        );
        refused(
            node.bridge
                .clone()
                .watch_variables(watch("s", &["none"]))
                .await,
            Code::NotFound,
            "Variable not found: none",
        );
        refused(
            node.bridge
                .clone()
                .watch_variables(watch("none", &[]))
                .await,
            Code::NotFound,
            "Session not found: none",
        );
        let future = WatchVariablesRequest {
            after_position: 1 << 40,
            ..watch("s", &[])
        };
        refused(
            node.bridge.clone().watch_variables(future).await,
            Code::InvalidArgument,
            "after_position",
        );
    }
    nodes[2]
        .bridge
        .clone()
        .set_variable(set("s", "secret", 1))
        .await
        .unwrap();
    one_of_each(&nodes).await;

    let kinds = [
        ("initial_value", "base", 1),
        ("initial_value", "secret", 1),
        ("value_change", "secret", 2),
        ("registered", "x", 1),
        ("value_change", "x", 2),
        ("rollback", "x", 3),
        ("constraint_change", "x", 4),
        ("dependency_change", "x", 4),
        ("dependency_change", "x", 4),
        ("optimization_started", "x", 4),
        ("optimization_stopped", "x", 4),
        ("access_change", "x", 4),
        ("registered", "end", 1),
    ];
    let kinds = kinds.map(|(kind, name, version)| (kind.to_owned(), name.to_owned(), version));
    let mut positions = Vec::new();
    for opened in &mut all {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|last| brief(last).1 != "end") {
            seen.push(next(&mut opened[0]).await.unwrap());
        }
        assert_eq!(seen.iter().map(brief).collect::<Vec<_>>(), kinds);
        let set = &seen[4];
        let cause = set.cause.as_ref().unwrap();
        assert_eq!(
            (cause.principal.as_str(), cause.node, number(set)),
            ("alice", 2, 2)
        );
        assert_eq!(
            (
                number(&seen[5]),
                seen[5].update_metadata["rolled_back_to"].as_str()
            ),
            (1, "1")
        );
        positions.push(
            seen.iter()
                .map(|update| (update.position, update.raft_index))
                .collect::<Vec<_>>(),
        );
        // The other sees nothing of what he may not watch. What was said of x before its rules came, he may have seen.
        let mut names = Vec::new();
        while names.last().is_none_or(|last| last != "end") {
            let update = next(&mut opened[1]).await.unwrap();
            assert_ne!(update.update_type, "access_change", "{update:?}");
            names.push(brief(&update).1);
        }
        assert!(
            names.first().unwrap() == "base" && !names.contains(&"secret".to_owned()),
            "{names:?}"
        );
    }
    assert!(
        positions[0][2..] == positions[1][2..] && positions[1][2..] == positions[2][2..],
        "{positions:?}"
    );

    // All watches end with their session, wherever they are and however it ends.
    let who = [(PRINCIPAL, "alice")];
    nodes[0]
        .bridge
        .clone()
        .cleanup_session(with(clean_up("s", false), &who))
        .await
        .unwrap();
    for opened in &mut all {
        for (updates, session) in opened.iter_mut().zip(["s", "s", "short"]) {
            let ended = next(updates).await.unwrap_err();
            assert_eq!(ended.code(), Code::NotFound, "{ended:?}");
            assert!(
                ended
                    .message()
                    .contains(&format!("Session not found: {session}")),
                "{ended:?}"
            );
        }
    }
    cluster.verify().await;
}

/// The values of a variable that only some may see stay theirs when it is deleted.
#[tokio::test]
async fn a_deleted_variables_past_stays_with_those_who_might_watch_it() {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    let mut node = cluster.calls(1);
    node.bridge.initialize_session(create("s")).await.unwrap();
    let secret = RegisterVariableRequest {
        access_control_json: r#"{"read": {"principals": ["alice"]}}"#.into(),
        ..register("s", "secret", "integer", "4711")
    };
    node.bridge.register_variable(secret).await.unwrap();
    node.bridge
        .set_variable(set("s", "secret", 4712))
        .await
        .unwrap();
    node.bridge
        .delete_variable(delete("s", "secret"))
        .await
        .unwrap();
    node.bridge
        .register_variable(register("s", "end", "integer", "0"))
        .await
        .unwrap();
    let asked = WatchVariablesRequest {
        after_position: 1,
        ..watch("s", &[])
    };
    let mut updates = open_as(&node, "bob", asked).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| brief(last).1 != "end") {
        seen.push(next(&mut updates).await.unwrap());
    }
    let values: Vec<_> = seen
        .iter()
        .filter(|update| brief(update).1 == "secret")
        .map(brief)
        .collect();
    assert!(values.is_empty(), "bob sees {seen:#?}");
}

/// What happened to a variable that is gone, or that is another one by now, is told as it was.
#[tokio::test]
async fn a_deleted_variables_past_has_its_own_type() {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    let mut node = cluster.calls(1);
    node.bridge.initialize_session(create("s")).await.unwrap();
    node.bridge
        .register_variable(register("s", "gone", "integer", "1"))
        .await
        .unwrap();
    node.bridge
        .delete_variable(delete("s", "gone"))
        .await
        .unwrap();
    node.bridge
        .register_variable(register("s", "again", "integer", "1"))
        .await
        .unwrap();
    node.bridge
        .delete_variable(delete("s", "again"))
        .await
        .unwrap();
    node.bridge
        .register_variable(register("s", "again", "string", "\"1\""))
        .await
        .unwrap();
    let mut updates = open_as(
        &node,
        "",
        WatchVariablesRequest {
            after_position: 1,
            ..watch("s", &[])
        },
    )
    .await;
    for (name, type_name) in [
        ("gone", "integer"),
        ("gone", ""),
        ("again", "integer"),
        ("again", ""),
        ("again", "string"),
    ] {
        let update = next(&mut updates).await.unwrap();
        let variable = update.variable.unwrap();
        assert_eq!(variable.name, name);
        if type_name.is_empty() {
            assert_eq!(update.update_type, "deleted");
            continue;
        }
        assert_eq!(
            variable.value.unwrap().type_url,
            any(type_name, "").type_url,
            "{name}"
        );
        assert_eq!(variable.r#type, type_name, "{name}");
    }
}
