//! A variable that is optimized is its owner's, on every node, until the owner stops or is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use snakepit_cluster_tests::calls::{
    Calls, anywhere, clean_up, create, delete, get, register, roll_back, set, set_all, start, stop,
};
use snakepit_cluster_tests::raw::{refused, with};
use snakepit_cluster_tests::{Cluster, Spec, eventually};
use snakepit_machine::Payload;
use snakepit_proto::bridge::*;
use snakepit_proto::headers::{OPTIMIZATION_ID, PRINCIPAL};
use tonic::Code;

const LOCKED: &str = "variable_locked_for_optimization";
const ALICE: (&str, &str) = (PRINCIPAL, "alice");
const BOB: (&str, &str) = (PRINCIPAL, "bob");

async fn prepare(nodes: &[Calls]) {
    let mut bridge = nodes[0].bridge.clone();
    bridge.initialize_session(create("s")).await.unwrap();
    for name in ["x", "y"] {
        bridge
            .register_variable(register("s", name, "integer", "0"))
            .await
            .unwrap();
    }
}

/// Begin, as alice.
async fn begin(node: &Calls, lease_ms: i64) -> String {
    let asked = StartOptimizationRequest {
        lease_ms,
        ..start("s", "x", "opt")
    };
    let told = node
        .bridge
        .clone()
        .start_optimization(with(asked, &[ALICE]))
        .await
        .unwrap();
    told.into_inner().optimization_id
}

/// What everybody but its owner meets, on this node.
async fn locked_out(node: &Calls) {
    let mut bridge = node.bridge.clone();
    refused(
        bridge.set_variable(with(set("s", "x", 9), &[BOB])).await,
        Code::FailedPrecondition,
        LOCKED,
    );
    // To be the owner is not enough to write: the id must be there.
    refused(
        bridge.set_variable(with(set("s", "x", 9), &[ALICE])).await,
        Code::FailedPrecondition,
        LOCKED,
    );
    let wrong = [ALICE, (OPTIMIZATION_ID, "opt_x_999999")];
    refused(
        bridge.set_variable(with(set("s", "x", 9), &wrong)).await,
        Code::FailedPrecondition,
        LOCKED,
    );
    refused(
        bridge
            .register_variable(register("s", "x", "integer", "9"))
            .await,
        Code::FailedPrecondition,
        LOCKED,
    );
    refused(
        bridge.rollback_variable(roll_back("s", "x", 1)).await,
        Code::FailedPrecondition,
        LOCKED,
    );
    refused(
        bridge.delete_variable(delete("s", "x")).await,
        Code::FailedPrecondition,
        LOCKED,
    );
    let all = bridge
        .set_variables(set_all("s", &[("x", 9), ("y", 9)], true))
        .await
        .unwrap()
        .into_inner();
    assert!(
        !all.success && all.new_versions.is_empty() && all.errors["x"].contains(LOCKED),
        "{all:?}"
    );
    let some = bridge
        .set_variables(set_all("s", &[("x", 9), ("y", 9)], false))
        .await
        .unwrap()
        .into_inner();
    assert!(
        some.success && some.errors["x"].contains(LOCKED),
        "{some:?}"
    );
    assert_eq!(some.new_versions.keys().collect::<Vec<_>>(), ["y"]);
    for (who, optimizer) in [(BOB, "opt"), (ALICE, "other"), (BOB, "other")] {
        let told = bridge
            .start_optimization(with(start("s", "x", optimizer), &[who]))
            .await;
        refused(told, Code::FailedPrecondition, LOCKED);
    }
    for id in ["", "opt_x_999999"] {
        let told = bridge
            .stop_optimization(with(stop("s", "x", id), &[BOB]))
            .await;
        refused(told, Code::FailedPrecondition, LOCKED);
    }
    let told = bridge
        .cleanup_session(with(clean_up("s", false), &[BOB]))
        .await;
    refused(told, Code::FailedPrecondition, "held by optimizer opt");
    let x = bridge
        .get_variable(get("s", "x"))
        .await
        .unwrap()
        .into_inner()
        .variable
        .unwrap();
    let status = x.optimization_status.unwrap();
    assert_eq!(
        (status.optimizing, status.optimizer_id.as_str()),
        (true, "opt")
    );
    assert!(status.started_at.is_some() && status.expires_at.is_some());
    let session = GetSessionRequest {
        session_id: "s".into(),
    };
    assert_eq!(
        bridge
            .get_session(session)
            .await
            .unwrap()
            .into_inner()
            .lock_count,
        1
    );
}

#[tokio::test]
async fn only_the_owner_writes() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    prepare(&nodes).await;
    let id = begin(&nodes[0], 60_000).await;
    let own = [ALICE, (OPTIMIZATION_ID, id.as_str())];
    for (node, value) in nodes.iter().zip(1..) {
        locked_out(node).await;
        assert_eq!(begin(node, 60_000).await, id, "a renewal gives the same id");
        let told = node
            .bridge
            .clone()
            .set_variable(with(set("s", "x", value), &own))
            .await
            .unwrap();
        assert_eq!(i64::from(told.into_inner().new_version), 1 + value);
    }
    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    cluster.leader().await;
    for up in cluster.up() {
        locked_out(&cluster.calls(up)).await;
    }
    cluster.restart(&[leader]).await;
    let node = |number: usize| nodes[number].bridge.clone();
    locked_out(&nodes[usize::try_from(leader).unwrap() - 1]).await;
    let batch = with(set_all("s", &[("x", 10), ("y", 10)], true), &own);
    assert!(
        node(1)
            .set_variables(batch)
            .await
            .unwrap()
            .into_inner()
            .success
    );

    // By its owner's name; by its id; by force.
    let told = node(2)
        .stop_optimization(with(stop("s", "x", ""), &[ALICE]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (told.success, told.final_value.unwrap().value),
        (true, b"10".to_vec())
    );
    let told = node(0)
        .stop_optimization(with(stop("s", "x", ""), &[ALICE]))
        .await
        .unwrap()
        .into_inner();
    assert!(!told.success, "there is nothing to stop");
    node(1)
        .set_variable(with(set("s", "x", 11), &[BOB]))
        .await
        .unwrap();
    let again = begin(&nodes[1], 60_000).await;
    assert_ne!(again, id);
    // The id of the optimization before is worth nothing now.
    refused(
        node(2).set_variable(with(set("s", "x", 9), &own)).await,
        Code::FailedPrecondition,
        LOCKED,
    );
    assert!(
        node(2)
            .stop_optimization(with(stop("s", "x", &again), &[BOB]))
            .await
            .unwrap()
            .into_inner()
            .success
    );
    begin(&nodes[2], 60_000).await;
    let force = StopOptimizationRequest {
        force: true,
        ..stop("s", "x", "")
    };
    assert!(
        node(0)
            .stop_optimization(with(force, &[BOB]))
            .await
            .unwrap()
            .into_inner()
            .success
    );
    node(0).set_variable(set("s", "x", 12)).await.unwrap();

    for (lease_ms, why) in [
        (-1, "lease_ms is -1"),
        (999, "lease_ms is 999"),
        (i64::MAX, "lease_ms is"),
    ] {
        let asked = StartOptimizationRequest {
            lease_ms,
            ..start("s", "x", "opt")
        };
        refused(
            node(1).start_optimization(asked).await,
            Code::InvalidArgument,
            why,
        );
    }
    refused(
        node(1).start_optimization(start("s", "x", "")).await,
        Code::InvalidArgument,
        "optimizer_id is empty",
    );
    begin(&nodes[0], 60_000).await;
    refused(
        node(1)
            .cleanup_session(with(clean_up("s", false), &[BOB]))
            .await,
        Code::FailedPrecondition,
        "force",
    );
    let told = node(1)
        .cleanup_session(with(clean_up("s", true), &[BOB]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(told.resources_cleaned, 3);
    cluster.verify().await;
}

/// Others try all the time; the log tells when each of them was let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_ends_when_its_owner_is_gone_and_no_sooner() {
    const LEASE_MS: i64 = 2_000;
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    prepare(&nodes).await;
    begin(&nodes[0], LEASE_MS).await;
    let stop_trying = Arc::new(AtomicBool::new(false));
    let others: Vec<_> = (0..3)
        .map(|first| {
            let (nodes, stop) = (nodes.clone(), stop_trying.clone());
            tokio::spawn(async move {
                let mut taken = 0;
                while !stop.load(Ordering::Relaxed) {
                    let told = anywhere(&nodes, first, |mut node| async move {
                        node.bridge
                            .set_variable(with(set("s", "x", -1), &[BOB]))
                            .await
                    });
                    match told.await {
                        Ok(_) => taken += 1,
                        Err(status) => drop(refused(
                            Err::<(), _>(status),
                            Code::FailedPrecondition,
                            LOCKED,
                        )),
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                taken
            })
        })
        .collect();
    let leader = cluster.leader().await;
    for sign in 0..16 {
        // Where its lease was lost on a busy machine, it begins anew: others are let in between, as the log must tell.
        let told = anywhere(&nodes, sign, |mut node| async move {
            let asked = StartOptimizationRequest {
                lease_ms: LEASE_MS,
                ..start("s", "x", "opt")
            };
            node.bridge.start_optimization(with(asked, &[ALICE])).await
        });
        told.await.unwrap();
        if sign == 6 {
            cluster.kill(&[leader]);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let last = eventually("the others are let in", || async {
        let told = nodes[usize::try_from(leader).unwrap() % 3]
            .bridge
            .clone()
            .get_variable(get("s", "x"))
            .await;
        let x = told
            .map_err(|status| status.to_string())?
            .into_inner()
            .variable
            .unwrap();
        if x.optimization_status.is_none() && x.value.as_ref().unwrap().value == b"-1" {
            Ok(x)
        } else {
            Err(format!("{x:?}"))
        }
    });
    assert!(last.await.version > 1);
    stop_trying.store(true, Ordering::Relaxed);
    let mut taken = 0;
    for other in others {
        taken += other.await.unwrap();
    }
    assert!(taken > 0);
    cluster.restart(&[leader]).await;
    let (mut until, mut signs, mut written) = (0, 0, 0);
    for event in cluster.verify().await {
        match event.payload {
            Payload::OptimizationStarted {
                renewed, lease_ms, ..
            } => {
                assert_eq!(renewed, signs > 0 && event.time_ms < until, "{until}");
                (until, signs) = (event.time_ms + lease_ms, signs + 1);
            }
            Payload::VariableSet { .. } => {
                assert!(
                    event.time_ms >= until,
                    "{} is before {until}",
                    event.time_ms
                );
                written += 1;
            }
            _ => {}
        }
    }
    assert!(
        signs > 16 && written >= taken,
        "{signs} signs, {written} of {taken}"
    );
}

#[tokio::test]
async fn the_owners_writes_renew_the_lease() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    prepare(&nodes).await;
    let id = begin(&nodes[0], 60_000).await;
    let mut before = None;
    for (node, value) in nodes.iter().zip(1..) {
        let own = [ALICE, (OPTIMIZATION_ID, id.as_str())];
        node.bridge
            .clone()
            .set_variable(with(set("s", "x", value), &own))
            .await
            .unwrap();
        let x = node
            .bridge
            .clone()
            .get_variable(get("s", "x"))
            .await
            .unwrap()
            .into_inner()
            .variable
            .unwrap();
        let expires = x
            .optimization_status
            .unwrap()
            .expires_at
            .map(|at| (at.seconds, at.nanos));
        assert!(expires > before, "{expires:?} after {before:?}");
        before = expires;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
