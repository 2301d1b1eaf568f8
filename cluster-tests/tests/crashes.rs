//! SIGKILL, under load. Nothing acknowledged is lost, nothing takes effect twice, no read goes back.

use std::time::Duration;

use rand::Rng as _;
use rand::seq::IndexedRandom as _;
use snakepit_cluster_tests::{Cluster, Load, Spec, seed};

/// Writes acknowledged before and after each fault.
const SOME: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    load.progress(SOME).await;
    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    load.progress(SOME).await;
    assert_ne!(cluster.leader().await, leader);
    cluster.restart(&[leader]).await;
    load.progress(SOME).await;
    load.end_and_check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_killed() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    load.progress(SOME).await;
    let follower = cluster.follower().await;
    cluster.kill(&[follower]);
    load.progress(SOME).await;
    cluster.restart(&[follower]).await;
    load.progress(SOME).await;
    load.end_and_check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_are_killed() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    load.progress(SOME).await;
    let survivor = cluster.follower().await;
    let killed = cluster.others(survivor);
    cluster.kill(&killed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    cluster.restart(&killed).await;
    load.progress(SOME).await;
    load.end_and_check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_killed() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    load.progress(SOME).await;
    let all = cluster.ids();
    cluster.kill(&all);
    cluster.restart(&all).await;
    load.progress(SOME).await;
    load.end_and_check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_killed_at_random() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    let mut random = seed::random(load.seed(), u64::MAX);
    for round in 0..4 {
        load.progress(random.random_range(1..SOME)).await;
        let count = random.random_range(1..=3);
        let killed: Vec<u64> = cluster
            .ids()
            .choose_multiple(&mut random, count)
            .copied()
            .collect();
        println!("round {round}: kill {killed:?}");
        cluster.kill(&killed);
        tokio::time::sleep(Duration::from_millis(random.random_range(0..800))).await;
        cluster.restart(&killed).await;
    }
    load.progress(SOME).await;
    load.end_and_check(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_paused_and_comes_back_with_old_ideas() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let load = Load::begin(&cluster).await;
    load.progress(SOME).await;
    let leader = cluster.leader().await;
    cluster.node(leader).pause();
    assert_ne!(cluster.leader().await, leader);
    load.progress(SOME).await;
    cluster.node(leader).resume();
    load.progress(SOME).await;
    cluster.wait_ready().await;
    load.end_and_check(&cluster).await;
}
