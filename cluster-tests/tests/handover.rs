//! Nodes that are asked to stop, one by one or all at once, under load.

use snakepit_cluster_tests::history::Told;
use snakepit_cluster_tests::{Cluster, Load, Spec};

const SOME: u64 = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_before_it_stops() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    load.progress(SOME).await;
    let leader = cluster.leader().await;
    let status = cluster.node(leader).stop();
    assert!(status.success(), "{status}");
    assert!(
        cluster
            .node_ref(leader)
            .log()
            .contains("leadership was handed over")
    );
    load.progress(SOME).await;
    cluster.restart(&[leader]).await;
    load.progress(SOME).await;
    load.end_and_check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_restarted_in_turn() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    for id in cluster.ids() {
        load.progress(SOME).await;
        assert!(cluster.node(id).stop().success());
        cluster.restart(&[id]).await;
    }
    load.progress(SOME).await;
    let history = load.end_and_check(&cluster).await;
    // Whoever asks elsewhere in time notices nothing: each request was repeated until it was answered.
    let failed = history
        .iter()
        .filter(|one| matches!(one.told, Told::NotDone(_) | Told::Maybe(_)));
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_stop_at_once() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    load.progress(SOME).await;
    let all = cluster.ids();
    for id in &all {
        let pid = cluster.node(*id).pid();
        snakepit_cluster_tests::processes::signal(pid, rustix::process::Signal::TERM);
    }
    for id in &all {
        // A second signal would end it at once: wait only.
        cluster.node(*id).join();
    }
    cluster.restart(&all).await;
    load.progress(SOME).await;
    load.end_and_check(&cluster).await;
}
