//! A node that was away for longer than the log reaches back gets a snapshot.

use snakepit_raft::RaftOptions;

use crate::cluster::*;

fn short_log() -> RaftOptions {
    RaftOptions {
        snapshot_entries: 40,
        log_entries_kept: 5,
        ..options()
    }
}

/// Letters that no compression makes small, other ones for each seed.
fn noise(seed: u64, bytes: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + u8::try_from(state % 90).unwrap())
    };
    (0..bytes).map(|_| letter()).collect()
}

/// Write until the leader's log no longer holds what a node that was killed now lacks.
async fn leave_behind(cluster: &Cluster, away: u64, value_bytes: usize) {
    let leader = cluster.leader().await;
    assert_ne!(leader, away);
    let lacks = cluster.group(leader).status().last_log.unwrap();
    for number in 0..60 {
        let body = register_text(&format!("n{number}"), noise(number, value_bytes));
        cluster.done(leader, body).await;
    }
    cluster.group(leader).take_snapshot().await.unwrap();
    let group = cluster.group(leader);
    eventually("the log is purged", || {
        group.status().purged.is_some_and(|purged| purged > lacks)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_gets_a_snapshot_and_goes_on() {
    let mut cluster = Cluster::form(short_log()).await;
    let away = cluster.follower().await;
    cluster.kill(away);
    leave_behind(&cluster, away, 100).await;
    cluster.start(away).await;
    cluster.agree().await;
    // What it lacked could come in no other way. Raft tells of a snapshot a moment after it has applied it.
    eventually("the snapshot is known", || {
        cluster.group(away).status().snapshot.is_some()
    })
    .await;

    // History came with it: from the first event on, not only the rows.
    let leader = cluster.leader().await;
    let all = |id: u64| cluster.store(id).events(1, usize::MAX, usize::MAX).unwrap();
    assert_eq!(all(leader), all(away));

    // It takes part: its vote is needed for the next write.
    let other = IDS.into_iter().find(|id| *id != away).unwrap();
    cluster.kill(other);
    cluster.done(away, set("v")).await;
    cluster.start(other).await;
    cluster.agree().await;

    // And what it was given is on its disk.
    cluster.kill(away);
    cluster.start(away).await;
    cluster.agree().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_broke_off_goes_on_where_it_was() {
    let mut cluster = Cluster::form(short_log()).await;
    let away = cluster.follower().await;
    cluster.kill(away);
    leave_behind(&cluster, away, 64 << 10).await;
    let proxy = cluster.proxy(away);
    let before = proxy.bytes_in();
    let half = 2 << 20;
    proxy.break_after(half);
    cluster.start(away).await;
    cluster.agree().await;
    assert!(
        proxy.has_broken(),
        "the snapshot was smaller than this test needs"
    );
    // 60 values of 64 KiB, each in a row and in an event. A transfer from the start would bring in at least
    // all of them and the half that came before.
    let came = proxy.bytes_in() - before;
    let whole = 2 * 60 * (64 << 10);
    assert!(
        came < whole + half,
        "{came} bytes came in for a snapshot of about {whole}"
    );
}
