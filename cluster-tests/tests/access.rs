//! Rules of variables, for each action and on each node.

use std::collections::BTreeMap;

use snakepit_cluster_tests::calls::{
    Calls, Change, create, delete, depend, get, history, register, release, roll_back, rule, set,
    set_all, start, stop,
};
use snakepit_cluster_tests::raw::{refused, with};
use snakepit_cluster_tests::{Cluster, Spec};
use snakepit_proto::bridge::*;
use snakepit_proto::headers::PRINCIPAL;
use snakepit_proto::session::ExportSessionRequest;
use tonic::Code;

const RULES: &str = r#"{"read": {"principals": ["alice", "read*"]}, "write": {"principals": ["alice", "writer"]}, "watch": {"principals": ["alice", "watch?"]}}"#;

/// What a caller may do with `x`: read, write, watch.
async fn may(node: &Calls, who: &str) -> (bool, bool, bool) {
    let said = [(PRINCIPAL, who)];
    let mut bridge = node.bridge.clone();
    let codes = |what: &str, told: Vec<Code>| {
        let first = told[0];
        assert!(
            told.iter().all(|code| *code == first),
            "node {}, {who}, {what}: {told:?}",
            node.node
        );
        assert!(
            matches!(first, Code::Ok | Code::PermissionDenied),
            "node {}, {who}, {what}: {first:?}",
            node.node
        );
        first == Code::Ok
    };
    fn code<T>(told: Result<T, tonic::Status>) -> Code {
        told.map_or_else(|status| status.code(), |_| Code::Ok)
    }
    let all = BatchGetVariablesRequest {
        session_id: "s".into(),
        variable_identifiers: vec!["y".into(), "x".into()],
        ..Default::default()
    };
    let export = ExportSessionRequest {
        session_id: "s".into(),
        ..Default::default()
    };
    let reads = vec![
        code(bridge.get_variable(with(get("s", "x"), &said)).await),
        code(bridge.get_variables(with(all, &said)).await),
        code(
            bridge
                .get_variable_history(with(history("s", "x", 1, 0), &said))
                .await,
        ),
        code(
            node.sessions
                .clone()
                .export_session(with(export, &said))
                .await,
        ),
    ];
    let read = codes("read", reads);
    let list = ListVariablesRequest {
        session_id: "s".into(),
        ..Default::default()
    };
    let listed = bridge
        .list_variables(with(list, &said))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        listed.variables.iter().any(|each| each.name == "x"),
        read,
        "{who}"
    );
    let found = bridge
        .initialize_session(with(create("s"), &said))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.initial_variables.contains_key("x"), read, "{who}");

    let writes: [Change; 10] = [
        set("s", "x", 1).into(),
        register("s", "x", "integer", "2").into(),
        roll_back("s", "x", 1).into(),
        depend("s", "x", "y", "").into(),
        release("s", "x", "y").into(),
        start("s", "x", "opt").into(),
        stop("s", "x", "").into(),
        rule("s", "x", RULES).into(),
        rule("s", "x", RULES).into(),
        delete("s", "x").into(),
    ];
    let mut told = Vec::new();
    for change in writes {
        told.push(code(change.ask(node, &said).await));
    }
    let write = codes("write", told);
    if write {
        // It is gone: make it again.
        prepare(node).await;
    } else {
        let told = bridge
            .set_variables(with(set_all("s", &[("x", 9), ("y", 9)], false), &said))
            .await
            .unwrap()
            .into_inner();
        assert!(
            told.errors["x"].contains("may not write variable x"),
            "{told:?}"
        );
        assert!(told.new_versions.contains_key("y"), "{told:?}");
        let told = bridge
            .set_variables(with(set_all("s", &[("x", 9), ("y", 9)], true), &said))
            .await
            .unwrap()
            .into_inner();
        assert!(told.new_versions.is_empty(), "{told:?}");
    }
    let watch = WatchVariablesRequest {
        session_id: "s".into(),
        variable_identifiers: vec!["x".into()],
        ..Default::default()
    };
    let watch = codes(
        "watch",
        vec![code(bridge.watch_variables(with(watch, &said)).await)],
    );
    (read, write, watch)
}

async fn prepare(node: &Calls) {
    let mut bridge = node.bridge.clone();
    let x = RegisterVariableRequest {
        access_control_json: RULES.into(),
        ..register("s", "x", "integer", "0")
    };
    bridge.register_variable(x).await.unwrap();
}

#[tokio::test]
async fn each_action_asks_its_rule_on_each_node() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
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
        .register_variable(register("s", "y", "integer", "0"))
        .await
        .unwrap();
    prepare(&nodes[0]).await;
    let allowed = BTreeMap::from([
        ("alice", (true, true, true)),
        ("reader", (true, false, false)),
        ("watch1", (false, false, true)),
        ("watch12", (false, false, false)),
        ("bob", (false, false, false)),
    ]);
    for node in &nodes {
        for (who, allowed) in &allowed {
            assert_eq!(may(node, who).await, *allowed, "node {}, {who}", node.node);
        }
    }
    // To write is not to read.
    assert_eq!(may(&nodes[1], "writer").await, (false, true, false));
    for (rules, why) in [
        ("[]", "no object"),
        ("{\"raed\": {}}", "raed"),
        ("{", "not a set of rules"),
    ] {
        let said = with(rule("s", "x", rules), &[(PRINCIPAL, "alice")]);
        refused(
            nodes[2].sessions.clone().set_access(said).await,
            Code::InvalidArgument,
            why,
        );
    }
    // New rules are everybody's at once; without rules everybody may.
    let said = with(
        rule("s", "x", r#"{"write": {"principals": ["carol"]}}"#),
        &[(PRINCIPAL, "alice")],
    );
    nodes[0].sessions.clone().set_access(said).await.unwrap();
    for node in &nodes {
        let told = node
            .bridge
            .clone()
            .set_variable(with(set("s", "x", 1), &[(PRINCIPAL, "alice")]))
            .await;
        refused(told, Code::PermissionDenied, "may not write variable x");
        node.bridge
            .clone()
            .get_variable(get("s", "x"))
            .await
            .unwrap();
    }
    let said = with(rule("s", "x", ""), &[(PRINCIPAL, "carol")]);
    nodes[1].sessions.clone().set_access(said).await.unwrap();
    nodes[2]
        .bridge
        .clone()
        .set_variable(set("s", "x", 2))
        .await
        .unwrap();
    cluster.verify().await;
}
