//! The ordinary life of a group.

use std::time::Duration;

use snakepit_machine::Answer;
use snakepit_raft::{Consistency, ProposeError, RaftOptions, Role};
use snakepit_storage::StateStore;

use crate::cluster::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_begin_the_group_and_each_takes_writes_and_reads() {
    let cluster = Cluster::prepare(options()).await;
    let members = cluster.members();
    let begun = cluster.bootstrap().await;
    assert!(begun.contains(&true), "one of them at least has begun it");
    assert!(
        !cluster.group(1).bootstrap(members.clone()).await.unwrap(),
        "not a second time"
    );

    cluster.done(1, create("s")).await;
    let mut last = 0;
    for id in IDS {
        let name = format!("of{id}");
        cluster.done(id, register(&name)).await;
        let proposed = cluster.propose(id, named("", set(&name))).await.unwrap();
        assert!(proposed.index > last, "indexes grow");
        last = proposed.index;
        // Every other node sees it at once, behind a barrier.
        for reader in IDS {
            for consistency in [Consistency::Linearizable, Consistency::Lease] {
                let barrier = cluster
                    .group(reader)
                    .barrier(consistency, deadline())
                    .await
                    .unwrap();
                assert!(barrier.index >= proposed.index);
                assert!(cluster.store(reader).head().applied.unwrap().index >= barrier.index);
            }
            assert_eq!(cluster.version(reader, &name).await, 2);
        }
    }
    let leader = cluster.leader().await;
    for id in IDS {
        let status = cluster.group(id).status();
        assert_eq!(
            status.role,
            if id == leader {
                Role::Leader
            } else {
                Role::Follower
            }
        );
        assert_eq!(
            status
                .members
                .iter()
                .map(|member| member.id)
                .collect::<Vec<_>>(),
            IDS
        );
        assert!(
            status
                .members
                .iter()
                .all(|member| member.voter && member.address == members[&member.id])
        );
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writes_from_all_nodes_share_entries_and_each_gets_its_own_answer() {
    let cluster = Cluster::form(options()).await;
    let before = cluster.group(1).status().last_log.unwrap();
    let writes = (0..600).map(|number| {
        let group = cluster.group(IDS[number % 3]);
        async move {
            let name = format!("n{number}");
            let proposed = group
                .propose(named("", register(&name)), deadline())
                .await
                .unwrap();
            match proposed.outcome {
                Ok(Answer::VariableRegistered { id, version: 1 }) => {
                    assert!(id.starts_with(&format!("var_{name}_")), "{id} for {name}");
                }
                other => panic!("{other:?}"),
            }
        }
    });
    futures_util::future::join_all(writes).await;
    let entries = cluster
        .group(cluster.leader().await)
        .status()
        .last_log
        .unwrap()
        - before;
    assert!(entries < 300, "600 writes took {entries} entries");
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_too_large_takes_no_other_with_it() {
    let mut options = options();
    options.message_bytes_max = 2 << 20;
    let cluster = Cluster::form(options).await;
    for id in IDS {
        let large = cluster.propose(id, named("", register_text("large", "x".repeat(3 << 20))));
        let small = (0..40).map(|number| cluster.done(id, register(&format!("s{number}"))));
        let (large, _) =
            futures_util::future::join(large, futures_util::future::join_all(small)).await;
        let error = large.unwrap_err();
        assert!(!error.maybe_done(), "{error:?}");
    }
    // The group goes on.
    cluster.done(1, set("v")).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_and_the_group_goes_on() {
    let mut cluster = Cluster::form(options()).await;
    for round in 0..2 {
        let leader = cluster.leader().await;
        let stopped = cluster.group(leader);
        cluster.stop(leader).await;
        let refused = stopped
            .propose(named("", set("v")), deadline())
            .await
            .unwrap_err();
        assert_eq!(refused, ProposeError::Stopping);
        drop(stopped);
        // Who has not heard of the new leader yet sends to the old one, and cannot know what came of it.
        cluster.leader().await;
        for id in cluster.running() {
            cluster.done(id, set("v")).await;
        }
        cluster.start(leader).await;
        assert_eq!(cluster.version(leader, "v").await, 3 + 2 * round);
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_goes_where_it_is_sent() {
    let cluster = Cluster::form(options()).await;
    let follower = cluster.follower().await;
    let leader = cluster.leader().await;
    assert_eq!(
        cluster.group(follower).transfer_leader(None).await,
        None,
        "it does not lead"
    );
    let taken = cluster.group(leader).transfer_leader(Some(follower)).await;
    assert_eq!(taken, Some(follower));
    for id in IDS {
        cluster.done(id, set("v")).await;
    }
    assert_eq!(cluster.version(leader, "v").await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_come_back_from_their_disks_with_the_same_bytes() {
    let mut cluster = Cluster::form(options()).await;
    for id in IDS {
        cluster.done(id, set("v")).await;
    }
    cluster.agree().await;
    let before = cluster.store(1).head();
    for id in IDS {
        cluster.kill(id);
    }
    for id in IDS {
        cluster.start(id).await;
    }
    let members = cluster.members();
    assert!(
        !cluster.group(2).bootstrap(members).await.unwrap(),
        "the group is known from disk"
    );
    cluster.agree().await;
    let after = cluster.store(1).head();
    assert_eq!(
        (after.position, after.chain_head),
        (before.position, before.chain_head)
    );
    cluster.done(3, set("v")).await;
    assert_eq!(cluster.version(1, "v").await, 5);
    cluster.agree().await;
}

/// Index of the last applied entry; 0 where there is none.
fn applied(store: &StateStore) -> u64 {
    store.head().applied.map_or(0, |id| id.index)
}

/// What nobody waits for may be applied late; whoever waits for it gets it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_what_gathers() {
    let cluster = Cluster::form(RaftOptions {
        apply_lag_max: Duration::from_secs(3_600),
        ..options()
    })
    .await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let applied = |id: u64| applied(&cluster.store(id));

    let written = cluster.propose(leader, named("", set("v"))).await.unwrap();
    assert!(applied(leader) >= written.index, "its client waited for it");
    assert!(applied(follower) < written.index, "nobody waited for it");
    for id in IDS {
        assert_eq!(cluster.version(id, "v").await, 2);
    }

    // A write that went through the follower is waited for there by its index alone.
    let written = cluster
        .propose(follower, named("", set("v")))
        .await
        .unwrap();
    let _following = cluster.group(follower).applied_index().follow();
    let mut seen = cluster.group(follower).applied_index();
    let another = cluster.propose(leader, named("", set("v"))).await.unwrap();
    seen.reach(written.index).await.unwrap();
    seen.reach(another.index).await.unwrap();
    // As long as somebody follows, he sees all that comes.
    for _ in 0..3 {
        let written = cluster.propose(leader, named("", set("v"))).await.unwrap();
        eventually("the follower has applied it", || {
            applied(follower) >= written.index
        })
        .await;
    }
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_leaves_nothing_unapplied() {
    let mut cluster = Cluster::form(RaftOptions {
        apply_lag_max: Duration::from_secs(3_600),
        ..options()
    })
    .await;
    let follower = cluster.follower().await;
    let written = cluster
        .propose(follower, named("", set("v")))
        .await
        .unwrap();
    cluster
        .propose(follower, named("", set("v")))
        .await
        .unwrap();
    // By the next one the follower is told that the one before is committed, which the leader and the third node may have
    // agreed on before.
    let told = || cluster.group(follower).status().committed >= Some(written.index);
    eventually("the follower is told", told).await;
    let store = cluster.store(follower);
    assert!(applied(&store) < written.index);
    cluster.stop(follower).await;
    assert!(applied(&store) >= written.index);
}
