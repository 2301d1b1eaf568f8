//! What depends on what: the same on every node, never in a circle.

use snakepit_cluster_tests::calls::{Calls, create, delete, depend, get, register, release};
use snakepit_cluster_tests::raw::refused;
use snakepit_cluster_tests::{Cluster, Spec};
use tonic::Code;

type Names = Vec<(String, String)>;

/// What `name` depends on and what depends on it, as all nodes tell.
async fn look(nodes: &[Calls], name: &str) -> (Names, Names) {
    let mut told = Vec::new();
    for node in nodes {
        let variable = node
            .bridge
            .clone()
            .get_variable(get("s", name))
            .await
            .unwrap()
            .into_inner()
            .variable
            .unwrap();
        let names = |all: Vec<snakepit_proto::bridge::Dependency>| {
            all.into_iter()
                .map(|each| (each.variable, each.kind))
                .collect()
        };
        told.push((names(variable.dependencies), names(variable.dependents)));
    }
    assert!(told.iter().all(|each| *each == told[0]), "{name}: {told:?}");
    told.remove(0)
}

fn pairs(all: &[(&str, &str)]) -> Names {
    all.iter()
        .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
        .collect()
}

#[tokio::test]
async fn they_are_kept_checked_and_lifted() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    let node = |number: usize| nodes[number % 3].clone();
    node(0)
        .bridge
        .initialize_session(create("s"))
        .await
        .unwrap();
    for name in ["a", "b", "c", "d"] {
        node(0)
            .bridge
            .register_variable(register("s", name, "integer", "0"))
            .await
            .unwrap();
    }
    for (step, (from, to, kind)) in [
        ("a", "b", ""),
        ("b", "c", "requires"),
        ("a", "d", "relates"),
        ("c", "d", "derives"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(
            node(step)
                .bridge
                .add_dependency(depend("s", from, to, kind))
                .await
                .unwrap()
                .into_inner()
                .success
        );
    }
    assert_eq!(
        look(&nodes, "a").await,
        (pairs(&[("b", "derives"), ("d", "relates")]), vec![])
    );
    assert_eq!(
        look(&nodes, "d").await,
        (vec![], pairs(&[("a", "relates"), ("c", "derives")]))
    );
    // Adding it again with another kind changes the kind.
    node(1)
        .bridge
        .add_dependency(depend("s", "a", "b", "requires"))
        .await
        .unwrap();
    assert_eq!(
        look(&nodes, "b").await,
        (pairs(&[("c", "requires")]), pairs(&[("a", "requires")]))
    );
    let before = cluster.agree().await;
    for (step, (from, to, kind, code, why)) in [
        ("c", "a", "", Code::FailedPrecondition, "c -> a -> b -> c"),
        ("d", "a", "", Code::FailedPrecondition, "-> d"),
        ("a", "a", "", Code::FailedPrecondition, "a -> a"),
        (
            "a",
            "c",
            "needs",
            Code::InvalidArgument,
            "dependency_type is \"needs\"",
        ),
        ("a", "e", "", Code::NotFound, "Variable not found: e"),
        ("e", "a", "", Code::NotFound, "Variable not found: e"),
    ]
    .into_iter()
    .enumerate()
    {
        refused(
            node(step)
                .bridge
                .add_dependency(depend("s", from, to, kind))
                .await,
            code,
            why,
        );
    }
    for (step, (name, by)) in [("b", "a requires"), ("c", "b requires")]
        .into_iter()
        .enumerate()
    {
        refused(
            node(step).bridge.delete_variable(delete("s", name)).await,
            Code::FailedPrecondition,
            by,
        );
    }
    assert_eq!(
        cluster.agree().await.chain_head,
        before.chain_head,
        "nothing has changed"
    );

    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    cluster.restart(&[leader]).await;
    assert!(
        node(2)
            .sessions
            .remove_dependency(release("s", "a", "b"))
            .await
            .unwrap()
            .into_inner()
            .existed
    );
    assert!(
        !node(0)
            .sessions
            .remove_dependency(release("s", "a", "b"))
            .await
            .unwrap()
            .into_inner()
            .existed
    );
    // Now the other way round is no circle.
    node(1)
        .bridge
        .add_dependency(depend("s", "c", "a", ""))
        .await
        .unwrap();
    node(2)
        .bridge
        .delete_variable(delete("s", "b"))
        .await
        .unwrap();
    node(2)
        .bridge
        .delete_variable(delete("s", "d"))
        .await
        .unwrap();
    assert_eq!(
        look(&nodes, "a").await,
        (vec![], pairs(&[("c", "derives")]))
    );
    assert_eq!(
        look(&nodes, "c").await,
        (pairs(&[("a", "derives")]), vec![])
    );
    cluster.verify().await;
}
