//! Who may answer a read without asking further: a leader to whom a quorum's other half speaks itself.

use std::time::Duration;

use snakepit_proto::peer::forward_client::ForwardClient;
use snakepit_proto::peer::read_index_response::Result as Answer;
use snakepit_proto::peer::{ReadIndexRequest, Vouch};
use snakepit_raft::{Consistency, RaftOptions};
use tonic::transport::Endpoint;

use crate::cluster::*;

/// A leader keeps its lease for longer than any of this takes.
fn very_patient() -> RaftOptions {
    RaftOptions {
        election_timeout_min_ms: 10_000,
        election_timeout_max_ms: 11_000,
        ..options()
    }
}

/// What a leader says to a node that asks for a read index; `None` where it says nothing.
async fn ask(address: String, vouch: Option<(u64, u64)>) -> Option<Answer> {
    let channel = Endpoint::from_shared(address).unwrap().connect_lazy();
    let mut client = ForwardClient::new(channel);
    let request = ReadIndexRequest {
        lease: false,
        vouch: vouch.map(|(node_id, term)| Vouch { node_id, term }),
    };
    let answer = async {
        let asked = client.read_index(tokio_stream::once(request)).await;
        asked.unwrap().into_inner().message().await.unwrap()
    };
    let answer = tokio::time::timeout(Duration::from_millis(300), answer).await;
    answer.ok()??.result
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_can_ask_nobody_answers_who_vouches_for_it() {
    let cluster = Cluster::form(very_patient()).await;
    // What nobody can be told of any more is applied everywhere.
    cluster.agree().await;
    let leader = cluster.leader().await;
    let mut others = IDS.into_iter().filter(|id| *id != leader);
    let (follower, other) = (others.next().unwrap(), others.next().unwrap());
    let status = cluster.group(leader).status();
    let term = status.term;
    // Nobody can be reached but the leader.
    for id in [follower, other] {
        cluster.proxy(id).lead_to(None);
    }

    let barrier = cluster
        .group(follower)
        .barrier(Consistency::Linearizable, deadline())
        .await
        .unwrap();
    assert!(Some(barrier.index) >= status.committed);

    let address = format!("http://{}", cluster.proxy(leader).address);
    let confirmed = |answer| match answer {
        Some(Answer::Barrier(barrier)) => Some(barrier.index) >= status.committed,
        _ => false,
    };
    assert!(confirmed(
        ask(address.clone(), Some((follower, term))).await
    ));
    assert!(
        confirmed(ask(address.clone(), Some((other, term - 1))).await),
        "it has not voted in this term either"
    );
    let doubtful = [
        (None, "nobody vouches"),
        (Some((follower, term + 1)), "it may have voted for another"),
        (Some((leader, term)), "one node is no quorum"),
        (Some((4, term)), "it has no vote"),
    ];
    for (vouch, why) in doubtful {
        assert!(!confirmed(ask(address.clone(), vouch).await), "{why}");
    }
    assert!(
        confirmed(ask(address, Some((follower, term))).await),
        "it was not the lease that was over"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_on_all_nodes_see_what_each_new_leader_does() {
    let cluster = Cluster::form(options()).await;
    for round in 2..12 {
        let leader = cluster.leader().await;
        let follower = cluster.follower().await;
        let taken = cluster.group(leader).transfer_leader(Some(follower)).await;
        assert_eq!(taken, Some(follower));
        cluster.done(follower, set("v")).await;
        for id in IDS {
            assert_eq!(cluster.version(id, "v").await, round, "node {id}");
        }
    }
}
