//! Sessions: what they are told to cache, and how they are found again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use snakepit_cluster_tests::calls::{Calls, anywhere, create, get, register, set};
use snakepit_cluster_tests::raw::{refused, with};
use snakepit_cluster_tests::{Cluster, Spec, eventually};
use snakepit_proto::bridge::*;
use snakepit_proto::cluster::ListSessionsRequest;
use snakepit_proto::headers::CONSISTENCY;
use tonic::Code;

const CACHE_TTL: Duration = Duration::from_secs(1);

async fn read(node: &Calls) -> (i32, bool) {
    let told = node
        .bridge
        .clone()
        .get_variable(get("s", "x"))
        .await
        .unwrap()
        .into_inner();
    (told.variable.unwrap().version, told.from_cache)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_reads_are_no_older_than_the_session_lets_them_be() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    let config = |enable_caching, cache_ttl_seconds| {
        Some(SessionConfig {
            enable_caching,
            cache_ttl_seconds,
            ..Default::default()
        })
    };
    let asked = InitializeSessionRequest {
        config: config(true, 1),
        ..create("s")
    };
    nodes[0]
        .bridge
        .clone()
        .initialize_session(asked)
        .await
        .unwrap();
    let asked = InitializeSessionRequest {
        config: config(true, -1),
        ..create("t")
    };
    refused(
        nodes[1].bridge.clone().initialize_session(asked).await,
        Code::InvalidArgument,
        "cache_ttl_seconds is -1",
    );
    nodes[0]
        .bridge
        .clone()
        .register_variable(register("s", "x", "integer", "0"))
        .await
        .unwrap();
    nodes[0]
        .bridge
        .clone()
        .initialize_session(create("plain"))
        .await
        .unwrap();
    nodes[0]
        .bridge
        .clone()
        .register_variable(register("plain", "x", "integer", "0"))
        .await
        .unwrap();
    for node in &nodes {
        eventually("it is read from the cache", || async {
            match read(node).await {
                (_, true) => Ok(()),
                other => Err(other),
            }
        })
        .await;
        let mut bridge = node.bridge.clone();
        let bypass = GetVariableRequest {
            bypass_cache: true,
            ..get("s", "x")
        };
        assert!(
            !bridge
                .get_variable(bypass)
                .await
                .unwrap()
                .into_inner()
                .from_cache
        );
        for consistency in ["linearizable", "lease", "stale"] {
            let asked = with(get("s", "x"), &[(CONSISTENCY, consistency)]);
            assert!(
                !bridge
                    .get_variable(asked)
                    .await
                    .unwrap()
                    .into_inner()
                    .from_cache,
                "{consistency}"
            );
        }
        assert!(
            !bridge
                .get_variable(get("plain", "x"))
                .await
                .unwrap()
                .into_inner()
                .from_cache
        );
    }

    // Writes with the moment at which each was acknowledged, and reads with the moment at which each began.
    let follower = cluster.follower().await;
    let writers: Vec<_> = cluster
        .others(follower)
        .into_iter()
        .map(|id| cluster.calls(id))
        .collect();
    let reader = cluster.calls(follower);
    let mut written = vec![(Instant::now(), 1)];
    let mut cached = 0;
    for round in 0..6_i64 {
        for value in 0..20 {
            let told = anywhere(&writers, 0, |mut node| async move {
                node.bridge.set_variable(set("s", "x", value)).await
            });
            written.push((Instant::now(), told.await.unwrap().into_inner().new_version));
            let began = Instant::now();
            let (version, from_cache) = read(&reader).await;
            let owed = written
                .iter()
                .filter(|(at, _)| began.duration_since(*at) > CACHE_TTL || !from_cache);
            let owed = owed.map(|(_, version)| *version).max().unwrap_or(0);
            assert!(
                version >= owed,
                "version {version} from the cache ({from_cache}) where {owed} was due"
            );
            cached += usize::from(from_cache);
        }
        if round % 2 == 0 {
            // A node that hung for longer than that has much to learn first.
            cluster.node(follower).pause();
            for value in 0..5 {
                let told = anywhere(&writers, 0, |mut node| async move {
                    node.bridge.set_variable(set("s", "x", value)).await
                });
                written.push((Instant::now(), told.await.unwrap().into_inner().new_version));
            }
            tokio::time::sleep(CACHE_TTL + Duration::from_millis(200)).await;
            cluster.node(follower).resume();
        }
    }
    assert!(cached > 0, "nothing was read from the cache");

    // Without a majority the cache ends with its time; nothing old is given after that.
    let others = cluster.others(follower);
    for id in &others {
        cluster.node(*id).pause();
    }
    tokio::time::sleep(CACHE_TTL + Duration::from_millis(200)).await;
    let asked = with(get("s", "x"), &[("grpc-timeout", "1S")]);
    let told = reader.bridge.clone().get_variable(asked).await;
    assert!(told.is_err(), "{told:?}");
    for id in &others {
        cluster.node(*id).resume();
    }
    cluster.leader().await;
    cluster.verify().await;
}

async fn list(node: &Calls, mut asked: ListSessionsRequest) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let told = node
            .cluster
            .clone()
            .list_sessions(asked.clone())
            .await
            .unwrap()
            .into_inner();
        found.extend(told.sessions.into_iter().map(|session| session.session_id));
        if told.next_page_token.is_empty() {
            return found;
        }
        asked.page_token = told.next_page_token;
    }
}

#[tokio::test]
async fn sessions_are_found_by_what_is_known_of_them() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    let mut created_ms = Vec::new();
    for number in 0..12_usize {
        let metadata = BTreeMap::from([
            (
                "team".to_owned(),
                ["red", "blue", "green"][number % 3].to_owned(),
            ),
            ("even".to_owned(), (number % 2 == 0).to_string()),
        ]);
        let session = format!("s{number:02}");
        let asked = InitializeSessionRequest {
            metadata,
            ..create(&session)
        };
        let mut bridge = nodes[number % 3].bridge.clone();
        bridge.initialize_session(asked).await.unwrap();
        let told = bridge
            .get_session(GetSessionRequest {
                session_id: session,
            })
            .await
            .unwrap()
            .into_inner();
        let at = told.created_at.unwrap();
        created_ms
            .push(u64::try_from(at.seconds * 1_000 + i64::from(at.nanos) / 1_000_000).unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let names = |numbers: &[usize]| {
        numbers
            .iter()
            .map(|number| format!("s{number:02}"))
            .collect::<Vec<_>>()
    };
    let all: Vec<usize> = (0..12).collect();
    let metadata = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    for node in &nodes {
        for page_size in [0, 1, 5] {
            let any = || ListSessionsRequest {
                page_size,
                ..Default::default()
            };
            for (asked, wanted) in [
                (any(), &all[..]),
                (
                    ListSessionsRequest {
                        pattern: "s1?".into(),
                        ..any()
                    },
                    &[10, 11],
                ),
                (
                    ListSessionsRequest {
                        pattern: "*3".into(),
                        ..any()
                    },
                    &[3],
                ),
                (
                    ListSessionsRequest {
                        pattern: "1".into(),
                        ..any()
                    },
                    &[],
                ),
                (
                    ListSessionsRequest {
                        metadata: metadata(&[("team", "blue")]),
                        ..any()
                    },
                    &[1, 4, 7, 10],
                ),
                (
                    ListSessionsRequest {
                        metadata: metadata(&[("team", "blue"), ("even", "true")]),
                        ..any()
                    },
                    &[4, 10],
                ),
                (
                    ListSessionsRequest {
                        metadata: metadata(&[("none", "")]),
                        ..any()
                    },
                    &[],
                ),
                (
                    ListSessionsRequest {
                        created_after_ms: created_ms[9],
                        ..any()
                    },
                    &[9, 10, 11],
                ),
                (
                    ListSessionsRequest {
                        created_before_ms: created_ms[2],
                        ..any()
                    },
                    &[0, 1],
                ),
                (
                    ListSessionsRequest {
                        created_after_ms: created_ms[2],
                        created_before_ms: created_ms[4],
                        pattern: "s0*".into(),
                        ..any()
                    },
                    &[2, 3],
                ),
                (
                    ListSessionsRequest {
                        idle_ms_min: 3_600_000,
                        ..any()
                    },
                    &[],
                ),
            ] {
                assert_eq!(
                    list(node, asked.clone()).await,
                    names(wanted),
                    "node {}: {asked:?}",
                    node.node
                );
            }
        }
    }
    eventually("they are idle", || async {
        let found = list(
            &nodes[1],
            ListSessionsRequest {
                idle_ms_min: 200,
                ..Default::default()
            },
        )
        .await;
        if found.len() == 12 {
            Ok(())
        } else {
            Err(found)
        }
    })
    .await;
}
