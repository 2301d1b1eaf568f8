//! Any node serves everything.

use std::collections::BTreeMap;

use serde_json::json;
use snakepit_client::{Consistency, Registration, SetMany};
use snakepit_cluster_tests::{Cluster, Spec, raw};
use snakepit_proto::bridge::*;
use snakepit_proto::headers;
use tonic::Code;

fn number(name: &str, value: i64) -> Registration {
    let type_name = "integer".into();
    Registration {
        name: name.into(),
        type_name,
        value: json!(value),
        ..Registration::default()
    }
}

#[tokio::test]
async fn any_node_takes_reads_and_writes() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    for id in cluster.ids() {
        let (own, session) = (cluster.at(id), format!("of-{id}"));
        assert!(
            own.create_session(&session, None, BTreeMap::new())
                .await
                .unwrap()
                .value
        );
        own.register_variable(&session, number("a", 1))
            .await
            .unwrap();
        own.register_variable(&session, number("b", 1))
            .await
            .unwrap();
        assert_eq!(
            own.set_variable(&session, "a", &json!(2), Some(1))
                .await
                .unwrap()
                .value,
            2
        );
        let both = BTreeMap::from([("a".to_owned(), json!(3)), ("b".to_owned(), json!(3))]);
        let many = SetMany {
            values: both,
            atomic: true,
            ..SetMany::default()
        };
        let assigned = own.set_variables(&session, many).await.unwrap().value;
        assert_eq!(
            assigned.versions,
            BTreeMap::from([("a".into(), 3), ("b".into(), 2)])
        );
        own.delete_variable(&session, "b").await.unwrap();
        // Every other node has seen all of it by now.
        for other in cluster.ids() {
            let other = cluster.at(other);
            let a = other.get_variable(&session, "a").await.unwrap().value;
            assert_eq!((a.version, a.value), (3, json!(3)));
            assert_eq!(
                other.get_variable(&session, "b").await.unwrap_err().kind(),
                "not_found"
            );
            assert_eq!(other.get_session(&session).await.unwrap().variables, 1);
            let listed = other
                .list_variables(&session, "*", 10, "")
                .await
                .unwrap()
                .value;
            assert_eq!(listed.items.len(), 1);
            assert!(
                !other
                    .create_session(&session, None, BTreeMap::new())
                    .await
                    .unwrap()
                    .value
            );
        }
        assert_eq!(
            cluster
                .at(1)
                .list_sessions(0, "")
                .await
                .unwrap()
                .items
                .len(),
            1
        );
        assert!(own.delete_session(&session).await.unwrap().value);
        assert_eq!(
            cluster
                .at(1)
                .get_session(&session)
                .await
                .unwrap_err()
                .kind(),
            "not_found"
        );
    }
    cluster.verify().await;
}

#[tokio::test]
async fn a_follower_sees_a_write_right_after_it() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let leader = cluster.leader().await;
    let writer = cluster.at(leader);
    writer
        .create_session("s", None, BTreeMap::new())
        .await
        .unwrap();
    writer.register_variable("s", number("x", 0)).await.unwrap();
    let readers: Vec<_> = cluster
        .others(leader)
        .into_iter()
        .map(|id| cluster.at(id))
        .collect();
    for turn in 1..=100 {
        writer
            .set_variable("s", "x", &json!(turn), None)
            .await
            .unwrap();
        for reader in &readers {
            assert_eq!(
                reader.get_variable("s", "x").await.unwrap().value.value,
                json!(turn)
            );
        }
        // And the other way round.
        readers[0]
            .set_variable("s", "x", &json!(-turn), None)
            .await
            .unwrap();
        assert_eq!(
            writer.get_variable("s", "x").await.unwrap().value.value,
            json!(-turn)
        );
        let lease = readers[1].clone().with_consistency(Consistency::Lease);
        assert_eq!(
            lease.get_variable("s", "x").await.unwrap().value.value,
            json!(-turn)
        );
    }
}

#[tokio::test]
async fn answers_name_the_index_at_which_they_are_true() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let mut last = 0;
    let mut grows = |index: u64, strictly: bool| {
        assert!(
            index > last || (index == last && !strictly),
            "{index} after {last}"
        );
        last = index;
    };
    let session_id = || "s".to_owned();
    for (turn, id) in cluster.ids().into_iter().cycle().take(6).enumerate() {
        let mut node = cluster.bridge(id).await;
        let create = InitializeSessionRequest {
            session_id: session_id(),
            ..Default::default()
        };
        grows(
            raw::index(&node.initialize_session(create).await.unwrap()),
            true,
        );
        let register = RegisterVariableRequest {
            session_id: session_id(),
            name: "x".into(),
            r#type: "integer".into(),
            initial_value: Some(raw::integer(1)),
            ..Default::default()
        };
        grows(
            raw::index(&node.register_variable(register).await.unwrap()),
            true,
        );
        let set = SetVariableRequest {
            session_id: session_id(),
            variable_identifier: "x".into(),
            value: Some(raw::integer(turn as i64)),
            ..Default::default()
        };
        grows(raw::index(&node.set_variable(set).await.unwrap()), true);
        let get = GetVariableRequest {
            session_id: session_id(),
            variable_identifier: "x".into(),
            ..Default::default()
        };
        grows(raw::index(&node.get_variable(get).await.unwrap()), false);
        let list = ListVariablesRequest {
            session_id: session_id(),
            ..Default::default()
        };
        grows(raw::index(&node.list_variables(list).await.unwrap()), false);
        let get = GetSessionRequest {
            session_id: session_id(),
        };
        grows(raw::index(&node.get_session(get).await.unwrap()), false);
    }
}

#[tokio::test]
async fn an_unknown_consistency_is_refused() {
    let cluster = Cluster::start(Spec::nodes(1)).await;
    let mut node = cluster.bridge(1).await;
    let request = GetSessionRequest {
        session_id: "s".into(),
    };
    let refused = node
        .get_session(raw::with(request, &[(headers::CONSISTENCY, "fresh")]))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    for word in [
        "x-snakepit-consistency",
        "fresh",
        "linearizable, lease or stale",
    ] {
        assert!(refused.message().contains(word), "{}", refused.message());
    }
}
