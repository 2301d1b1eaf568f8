//! Nodes die, and what was on its way is answered as what it is: done, not done, or unknown; never done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use snakepit_raft::{Consistency, ProposeError, RaftOptions, ReadError};
use tokio::time::Instant;

use crate::cluster::*;

/// A leader keeps its place for seconds without hearing from anyone: what a test does meanwhile is done under
/// that leader.
fn patient() -> RaftOptions {
    RaftOptions {
        election_timeout_min_ms: 2_500,
        election_timeout_max_ms: 3_500,
        ..options()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_waits_for_a_leader_and_then_succeeds() {
    let mut cluster = Cluster::form(options()).await;
    let leader = cluster.leader().await;
    let [stays, away] = others(leader);
    cluster.kill(away);
    cluster.kill(leader);
    let group = cluster.group(stays);
    let soon = || Instant::now() + Duration::from_millis(200);
    // One that is on its way when its time is over is unknown; the others come back as not done.
    let patience = deadline();
    loop {
        match group
            .propose(named("", set("v")), soon())
            .await
            .unwrap_err()
        {
            ProposeError::NoLeader { .. } => break,
            refused => assert!(
                refused.maybe_done() && Instant::now() < patience,
                "{refused:?}"
            ),
        }
    }
    let refused = group
        .barrier(Consistency::Linearizable, soon())
        .await
        .unwrap_err();
    assert!(matches!(refused, ReadError::NoLeader { .. }), "{refused:?}");
    assert!(group.barrier(Consistency::Stale, soon()).await.is_ok());

    let write = tokio::spawn({
        let group = group.clone();
        async move { group.propose(named("", set("v")), deadline()).await }
    });
    let read = tokio::spawn({
        let group = group.clone();
        async move { group.barrier(Consistency::Linearizable, deadline()).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!write.is_finished() && !read.is_finished());
    cluster.start(away).await;
    write.await.unwrap().unwrap().outcome.unwrap();
    read.await.unwrap().unwrap();
    assert_eq!(
        cluster.version(away, "v").await,
        2,
        "what was given up was not done"
    );
    cluster.start(leader).await;
    cluster.agree().await;
}

fn others(leader: u64) -> [u64; 2] {
    let mut others = IDS.into_iter().filter(|id| *id != leader);
    [others.next().unwrap(), others.next().unwrap()]
}

/// Two writes reach a leader that cannot commit them, and then dies with them on its disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_leader_dies_is_unknown_unless_it_has_a_name() {
    let mut cluster = Cluster::form(patient()).await;
    cluster.done(1, register("unnamed")).await;
    cluster.done(1, register("named")).await;
    let leader = cluster.leader().await;
    let [asks, away] = others(leader);
    let before = cluster.group(leader).status().last_log.unwrap();
    let group = cluster.group(asks);
    // From now on nobody hears the leader, but it is heard.
    cluster.proxy(asks).lead_to(None);
    cluster.kill(away);
    let propose = |request_id: &'static str, name: &'static str| {
        let group = group.clone();
        tokio::spawn(async move {
            group
                .propose(named(request_id, set(name)), deadline())
                .await
        })
    };
    let unnamed = propose("", "unnamed");
    let on_its_way = cluster.group(leader);
    eventually("the first write is in the leader's log", || {
        on_its_way.status().last_log.unwrap() > before
    })
    .await;
    let with_name = propose("r", "named");
    eventually("both writes are in the leader's log", || {
        on_its_way.status().last_log.unwrap() > before + 1
    })
    .await;
    drop(on_its_way);
    assert!(!unnamed.is_finished() && !with_name.is_finished());
    cluster.kill(leader);

    let answer = unnamed.await.unwrap();
    assert!(answer.as_ref().unwrap_err().maybe_done(), "{answer:?}");
    assert!(!with_name.is_finished(), "it is tried again");

    // The old leader's log is the longest: of these two only it can win, and its entries commit. The retried
    // write then finds that it was done.
    drop(group);
    cluster.kill(asks);
    let answer = with_name.await.unwrap();
    assert!(answer.unwrap_err().maybe_done(), "the node died under it");
    cluster.start(asks).await;
    let again = cluster.group(asks);
    let retried =
        tokio::spawn(async move { again.propose(named("r", set("named")), deadline()).await });
    cluster.start(leader).await;
    assert!(retried.await.unwrap().unwrap().outcome.is_ok());
    cluster.start(away).await;
    assert_eq!(cluster.version(asks, "named").await, 2, "once");
    assert_eq!(cluster.version(asks, "unnamed").await, 2, "once");
    cluster.agree().await;
}

/// The same, but the node that asks stays up, and tries again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_write_is_tried_again_by_its_node_and_takes_effect_once() {
    let mut cluster = Cluster::form(patient()).await;
    let leader = cluster.leader().await;
    let [asks, away] = others(leader);
    let before = cluster.group(leader).status().last_log.unwrap();
    let group = cluster.group(asks);
    let address = cluster.proxy(asks);
    let behind = address.behind();
    address.lead_to(None);
    cluster.kill(away);
    let write = tokio::spawn({
        let group = group.clone();
        async move { group.propose(named("r", set("v")), deadline()).await }
    });
    let on_its_way = cluster.group(leader);
    eventually("the write is in the leader's log", || {
        on_its_way.status().last_log.unwrap() > before
    })
    .await;
    drop(on_its_way);
    cluster.kill(leader);
    address.lead_to(behind);
    cluster.start(leader).await;
    assert!(write.await.unwrap().unwrap().outcome.is_ok());
    cluster.start(away).await;
    assert_eq!(cluster.version(asks, "v").await, 2, "once");
    cluster.agree().await;
}

/// Writers without request ids on all nodes, while leaders stop, are killed and hand over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_done_twice() {
    let mut cluster = Cluster::form(options()).await;
    cluster.done(1, register("named")).await;
    let (done, unknown, named_done) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    for round in 0..4 {
        let leader = cluster.leader().await;
        let over = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for writer in 0..12 {
            let group = cluster.group(IDS[writer % 3]);
            let (done, unknown, named_done) = (done.clone(), unknown.clone(), named_done.clone());
            let over = over.clone();
            writers.push(tokio::spawn(async move {
                let mut number = 0;
                while !over.load(Ordering::SeqCst) {
                    number += 1;
                    let has_name = writer >= 6;
                    let request_id = if has_name {
                        format!("{round}/{writer}/{number}")
                    } else {
                        String::new()
                    };
                    let name = if has_name { "named" } else { "v" };
                    match group
                        .propose(named(&request_id, set(name)), deadline())
                        .await
                    {
                        Ok(proposed) => {
                            proposed.outcome.unwrap();
                            if has_name { &named_done } else { &done }
                                .fetch_add(1, Ordering::SeqCst);
                        }
                        // Its node has gone: whoever asked with a name would ask elsewhere. Here it stays
                        // unknown, and is counted apart.
                        Err(ProposeError::Stopping) => return,
                        Err(error) if error.maybe_done() => {
                            if has_name {
                                return;
                            }
                            unknown.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        if round % 2 == 0 {
            cluster.stop(leader).await;
        } else {
            let _ = cluster.group(leader).transfer_leader(None).await;
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        over.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
        if round % 2 == 0 {
            cluster.start(leader).await;
        }
    }
    cluster.agree().await;
    let effects = cluster.version(1, "v").await - 1;
    let (done, unknown) = (done.load(Ordering::SeqCst), unknown.load(Ordering::SeqCst));
    assert!(effects >= done, "{done} were done, {effects} are there");
    assert!(
        effects <= done + unknown,
        "{done} were done, {unknown} may be, but {effects} are there"
    );
    let effects = cluster.version(1, "named").await - 1;
    let named_done = named_done.load(Ordering::SeqCst);
    // Each round six writers may each leave one unknown behind.
    assert!(
        effects >= named_done && effects <= named_done + 24,
        "{named_done} of {effects}"
    );
}
