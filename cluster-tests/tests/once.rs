//! Every call that changes something, repeated with its id: the first answer, and no second effect.

use std::collections::{BTreeMap, BTreeSet};

use snakepit_cluster_tests::calls::{
    Calls, Change, clean_up, create, delete, depend, drop_program, offer, put, register, release,
    roll_back, rule, set, set_all, start, stop,
};
use snakepit_cluster_tests::raw::named;
use snakepit_cluster_tests::{Cluster, Spec};
use snakepit_proto::bridge::HeartbeatRequest;
use snakepit_proto::headers::REQUEST_ID;
use snakepit_proto::session::{ExportSessionRequest, ImportSessionRequest};

/// Ask for a change under the id of its number: the answer.
async fn ask(node: &Calls, number: usize, change: &Change, when: &str) -> String {
    let id = format!("request-{number}");
    let told = change.ask(node, &[(REQUEST_ID, &id)]).await;
    told.unwrap_or_else(|status| panic!("node {}, {when}, {change:?}: {status:?}", node.node))
        .into_inner()
}

/// Ask again for each of them: the first answers must come.
async fn ask_again(nodes: &[Calls], changes: &[Change], answers: &[String], when: &str) {
    for node in nodes {
        for (number, (change, first)) in changes.iter().zip(answers).enumerate() {
            let again = ask(node, number, change, when).await;
            assert_eq!(again, *first, "node {}, {when}: {change:?}", node.node);
        }
    }
}

#[tokio::test]
async fn each_kind_of_change_over_a_dead_leader_and_a_restart_of_all() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    for session in ["given", "ending"] {
        nodes[0]
            .bridge
            .clone()
            .initialize_session(create(session))
            .await
            .unwrap();
    }
    nodes[0]
        .bridge
        .clone()
        .register_variable(register("given", "x", "map", r#"{"a":1}"#))
        .await
        .unwrap();
    let export = ExportSessionRequest {
        session_id: "given".into(),
        ..Default::default()
    };
    let export = nodes[0]
        .sessions
        .clone()
        .export_session(export)
        .await
        .unwrap()
        .into_inner();
    // None changes what another one answers.
    let mut changes: Vec<Change> = vec![clean_up("ending", true).into()];
    for name in [
        "set", "batch", "back", "from", "to", "locked", "free", "ruled", "doomed",
    ] {
        changes.push(register("s", name, "integer", "1").into());
    }
    changes.extend([
        set("s", "set", 2).into(),
        set_all("s", &[("batch", 2), ("none", 2)], false).into(),
        set("s", "back", 2).into(),
        roll_back("s", "back", 1).into(),
        depend("s", "from", "to", "requires").into(),
        depend("s", "from", "set", "").into(),
        release("s", "from", "set").into(),
        start("s", "locked", "opt").into(),
        start("s", "free", "opt").into(),
        stop("s", "free", "").into(),
        rule("s", "ruled", r#"{"read": {}}"#).into(),
        delete("s", "doomed").into(),
        offer("s", "w", &["tool-a", "tool-b"]).into(),
        put("s", "p", "text").into(),
        put("", "p", "text").into(),
        put("s", "q", "text").into(),
        drop_program("s", "q").into(),
        drop_program("", "none").into(),
        ImportSessionRequest {
            session_id: "copy".into(),
            export: Some(export),
            subject: String::new(),
        }
        .into(),
    ]);
    let kinds: BTreeSet<&str> = changes
        .iter()
        .map(Change::name)
        .chain(["InitializeSession", "Heartbeat"])
        .collect();
    assert_eq!(kinds, Change::ALL.iter().copied().collect());

    // What a new session offers is told as it is now; whether it was made is the answer.
    let made = async |nodes: &[Calls]| {
        for node in nodes {
            let told = node
                .bridge
                .clone()
                .initialize_session(named(create("s"), "made"))
                .await;
            assert!(told.unwrap().into_inner().created, "node {}", node.node);
        }
    };
    made(&nodes[..1]).await;
    let mut answers = Vec::new();
    for (number, change) in changes.iter().enumerate() {
        answers.push(ask(&nodes[0], number, change, "first").await);
    }
    let events = cluster.agree().await.position;
    ask_again(&nodes, &changes, &answers, "at once").await;
    made(&nodes).await;
    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    cluster.leader().await;
    let up: Vec<_> = cluster
        .up()
        .into_iter()
        .map(|id| cluster.calls(id))
        .collect();
    ask_again(&up, &changes, &answers, "without the leader").await;
    made(&up).await;
    cluster.restart(&[leader]).await;
    let all = cluster.ids();
    cluster.kill(&all);
    cluster.restart(&all).await;
    ask_again(
        &cluster.all_calls(),
        &changes,
        &answers,
        "after a restart of all",
    )
    .await;
    made(&cluster.all_calls()).await;
    assert_eq!(cluster.agree().await.position, events, "no event is new");
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for event in cluster.verify().await {
        if !event.cause.request_id.is_empty() {
            *count.entry(event.cause.request_id.clone()).or_default() += 1;
        }
    }
    for (number, change) in changes.iter().enumerate() {
        let wanted = match change {
            Change::ImportSession(_) => 2,
            Change::DeleteProgram(program) if program.session_id.is_empty() => 0,
            _ => 1,
        };
        assert_eq!(
            count
                .get(&format!("request-{number}"))
                .copied()
                .unwrap_or(0),
            wanted,
            "{change:?}"
        );
    }
    // A heartbeat is no change that could be done twice.
    let beat = HeartbeatRequest {
        session_id: "s".into(),
        ..Default::default()
    };
    for node in cluster.all_calls() {
        assert!(
            node.bridge
                .clone()
                .heartbeat(named(beat.clone(), "beat"))
                .await
                .unwrap()
                .into_inner()
                .session_valid
        );
    }
}

/// One request, something that happens then, and the request again.
async fn first_answer_outlives(before: &[Change], request: Change, then: &[Change]) {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    let node = cluster.calls(1);
    node.bridge
        .clone()
        .initialize_session(create("s"))
        .await
        .unwrap();
    for value in 1..=2 {
        node.bridge
            .clone()
            .register_variable(register("s", "x", "integer", &value.to_string()))
            .await
            .unwrap();
    }
    for change in before {
        change.ask(&node, &[]).await.unwrap();
    }
    let first = ask(&node, 0, &request, "first").await;
    for change in then {
        change.ask(&node, &[]).await.unwrap();
    }
    ask_again(&[node], &[request], &[first], "later").await;
}

#[tokio::test]
async fn a_rollback_answers_the_same_after_another_write() {
    first_answer_outlives(
        &[],
        roll_back("s", "x", 1).into(),
        &[set("s", "x", 7).into()],
    )
    .await;
}

#[tokio::test]
async fn a_rollback_answers_the_same_after_a_deletion() {
    first_answer_outlives(
        &[],
        roll_back("s", "x", 1).into(),
        &[delete("s", "x").into()],
    )
    .await;
}

#[tokio::test]
async fn the_end_of_an_optimization_answers_the_same_after_another_write() {
    first_answer_outlives(
        &[start("s", "x", "opt").into()],
        stop("s", "x", "").into(),
        &[set("s", "x", 7).into()],
    )
    .await;
}
