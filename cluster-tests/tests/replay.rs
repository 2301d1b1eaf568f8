//! Changes of every kind at random, with the death of a leader among them: the log gives the rows of all nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use snakepit_cluster_tests::calls::{
    Calls, Change, anywhere, clean_up, create, delete, depend, drop_program, offer, put, register,
    release, roll_back, rule, set, set_all, start, stop,
};
use snakepit_cluster_tests::{Cluster, Spec, seed};
use snakepit_proto::bridge::*;
use snakepit_proto::headers::{OPTIMIZATION_ID, PRINCIPAL, REQUEST_ID};
use snakepit_proto::session::*;
use tonic::Code;

const DRIVERS: u64 = 8;
const CHANGES: usize = 200;
const SESSIONS: [&str; 3] = ["s0", "s1", "s2"];
/// Where copies go.
const COPIES: [&str; 5] = ["s0", "s1", "c0", "c1", "c2"];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const PRINCIPALS: [&str; 3] = ["alice", "bob", ""];

fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from.choose(random).unwrap()
}

/// Some change; many of them are refused, which must change nothing.
async fn some(random: &mut StdRng, nodes: &[Calls]) -> Change {
    let session = pick(random, &SESSIONS);
    let (name, other) = (pick(random, &NAMES), pick(random, &NAMES));
    let number = random.random_range(-50..50);
    let program = pick(random, &["p", "q"]);
    let scope = if random.random_bool(0.3) { "" } else { session };
    match random.random_range(0..100) {
        0..6 => create(session).into(),
        6 => clean_up(session, random.random()).into(),
        7..10 => HeartbeatRequest {
            session_id: session.into(),
            ..Default::default()
        }
        .into(),
        10..22 => {
            let constraints = pick(random, &["", r#"{"max": 20}"#]);
            RegisterVariableRequest {
                constraints_json: constraints.into(),
                ..register(session, name, "integer", &number.to_string())
            }
            .into()
        }
        22..35 => set(session, name, number).into(),
        35..45 => set_all(session, &[(name, number), (other, number)], random.random()).into(),
        45..49 => delete(session, name).into(),
        49..57 => roll_back(session, name, random.random_range(1..5)).into(),
        57..64 => depend(
            session,
            name,
            other,
            pick(random, &["", "requires", "relates"]),
        )
        .into(),
        64..68 => release(session, name, other).into(),
        68..74 => StartOptimizationRequest {
            lease_ms: 1_000,
            ..start(session, name, pick(random, &["o1", "o2"]))
        }
        .into(),
        74..79 => StopOptimizationRequest {
            force: random.random(),
            ..stop(session, name, "")
        }
        .into(),
        79..83 => offer(session, pick(random, &["w1", "w2"]), &[name, program]).into(),
        83..86 => rule(
            session,
            name,
            pick(random, &["", "", r#"{"write": {"principals": ["alice"]}}"#]),
        )
        .into(),
        86..92 => {
            let ttl_seconds = if scope.is_empty() { 1 } else { 0 };
            PutProgramRequest {
                ttl_seconds,
                ..put(scope, program, &number.to_string())
            }
            .into()
        }
        92..96 => drop_program(scope, program).into(),
        _ => {
            // A copy of what is there now, where something is.
            let asked = ExportSessionRequest {
                session_id: session.into(),
                ..Default::default()
            };
            let told = nodes[random.random_range(0..3)]
                .sessions
                .clone()
                .export_session(asked)
                .await;
            let export = told.ok().map(tonic::Response::into_inner);
            ImportSessionRequest {
                session_id: pick(random, &COPIES).into(),
                export,
                subject: String::new(),
            }
            .into()
        }
    }
}

/// How often each kind was taken, and refused.
type Count = BTreeMap<&'static str, (usize, usize)>;

async fn drive(nodes: Vec<Calls>, driver: u64, mut random: StdRng) -> Count {
    let mut count = Count::new();
    for number in 0..CHANGES {
        let change = some(&mut random, &nodes).await;
        let who = pick(&mut random, &PRINCIPALS);
        let id = format!("{driver}-{number}");
        let lock = format!("opt_a_{}", random.random_range(0..500));
        let said = [
            (REQUEST_ID, id.as_str()),
            (PRINCIPAL, who),
            (OPTIMIZATION_ID, lock.as_str()),
        ];
        let first = random.random_range(0..3);
        let told = anywhere(&nodes, first, |node| {
            let (change, said) = (&change, &said);
            async move { change.ask(&node, said).await }
        })
        .await;
        let entry = count.entry(change.name()).or_default();
        match told {
            Ok(_) => entry.0 += 1,
            Err(status) => {
                let known = [
                    Code::NotFound,
                    Code::InvalidArgument,
                    Code::FailedPrecondition,
                    Code::PermissionDenied,
                    Code::AlreadyExists,
                    Code::Aborted,
                ];
                assert!(known.contains(&status.code()), "{change:?}: {status:?}");
                entry.1 += 1;
            }
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_every_kind_are_in_the_log() {
    let seed = seed::take();
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    let drivers = (0..DRIVERS)
        .map(|driver| tokio::spawn(drive(nodes.clone(), driver, seed::random(seed, driver))));
    let drivers: Vec<_> = drivers.collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    cluster.restart(&[leader]).await;
    let mut count = Count::new();
    for driver in drivers {
        for (name, (taken, refused)) in driver
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"))
        {
            let entry = count.entry(name).or_default();
            *entry = (entry.0 + taken, entry.1 + refused);
        }
    }
    println!("taken and refused: {count:?}");
    for name in Change::ALL {
        assert!(
            count.get(name).is_some_and(|(taken, _)| *taken > 0),
            "seed {seed}: {name} was never taken"
        );
    }
    let events = cluster.verify().await;
    println!("{} events", events.len());
    // And again, out of what is on disk.
    let all = cluster.ids();
    cluster.kill(&all);
    cluster.restart(&all).await;
    assert!(cluster.verify().await.len() >= events.len());
}
