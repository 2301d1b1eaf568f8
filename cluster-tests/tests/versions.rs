//! All versions of a variable: none missing, each as it was written, over rollbacks and the death of a leader.

use std::collections::BTreeMap;

use snakepit_cluster_tests::calls::{
    Calls, anywhere, create, get, history, register, roll_back, set,
};
use snakepit_cluster_tests::raw::{any, refused, with};
use snakepit_cluster_tests::{Cluster, Spec, seed};
use snakepit_proto::bridge::*;
use snakepit_proto::headers::{PRINCIPAL, REQUEST_ID};
use tonic::Code;

const WRITERS: usize = 25;
const WRITES: usize = 80;
const VERSIONS: usize = 1 + WRITERS * WRITES;

/// What a driver asked for, by request id.
#[derive(Clone, Debug, PartialEq)]
enum Asked {
    Set(i64),
    Registered(i64),
    RolledBack(i32),
}

/// One driver's own record, and the highest version that it knows.
type Record = BTreeMap<String, Asked>;

fn principal(request_id: &str) -> String {
    format!("driver-{}", request_id.split('-').next().unwrap())
}

/// Write so many times, each through another node.
async fn write(nodes: Vec<Calls>, writer: usize, mut random: rand::rngs::StdRng) -> Record {
    use rand::Rng as _;
    let (mut record, mut known) = (Record::new(), 1);
    for number in 0..WRITES {
        let request_id = format!("{writer}-{number}");
        let value = i64::try_from(writer * 1_000_000 + number).unwrap();
        let metadata = BTreeMap::from([("number".to_owned(), request_id.clone())]);
        let who = principal(&request_id);
        let said = [(REQUEST_ID, request_id.as_str()), (PRINCIPAL, who.as_str())];
        let asked = match random.random_range(0..12) {
            0 => Asked::RolledBack(random.random_range(1..=known)),
            1 => Asked::Registered(value),
            _ => Asked::Set(value),
        };
        let (asked_now, nodes) = (&asked, &nodes);
        let version = anywhere(nodes, writer + number, |mut node| {
            let (said, metadata) = (&said, metadata.clone());
            async move {
                match *asked_now {
                    Asked::Set(value) => {
                        let message = SetVariableRequest {
                            metadata,
                            ..set("s", "x", value)
                        };
                        let told = node.bridge.set_variable(with(message, said)).await?;
                        Ok(told.map(|told| told.new_version))
                    }
                    Asked::Registered(value) => {
                        let message = RegisterVariableRequest {
                            metadata,
                            ..register("s", "x", "integer", &value.to_string())
                        };
                        let told = node.bridge.register_variable(with(message, said)).await?;
                        Ok(told.map(|told| told.version))
                    }
                    Asked::RolledBack(version) => {
                        let message = RollbackVariableRequest {
                            metadata,
                            ..roll_back("s", "x", version)
                        };
                        let told = node.bridge.rollback_variable(with(message, said)).await?;
                        Ok(told.map(|told| told.variable.unwrap().version))
                    }
                }
            }
        })
        .await;
        let version = version
            .unwrap_or_else(|status| panic!("{request_id}: {status:?}"))
            .into_inner();
        assert!(
            version > known,
            "{request_id}: version {version} after {known}"
        );
        known = version;
        record.insert(request_id, asked);
    }
    record
}

/// The whole history through one node, in pages of that size, the newest first.
async fn whole_history(node: &Calls, page: i32) -> Vec<VariableHistoryEntry> {
    let (mut entries, mut before) = (Vec::new(), 0);
    loop {
        let told = node
            .bridge
            .clone()
            .get_variable_history(history("s", "x", page, before))
            .await;
        let told = told.unwrap().into_inner();
        assert!(told.entries.len() <= usize::try_from(page).unwrap());
        entries.extend(told.entries);
        before = told.next_before_version;
        if before == 0 {
            return entries;
        }
    }
}

fn number(value: Option<&prost_types::Any>) -> i64 {
    serde_json::from_slice(&value.unwrap().value).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_versions_are_as_they_were_written() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    nodes[0]
        .bridge
        .clone()
        .initialize_session(create("s"))
        .await
        .unwrap();
    let first = nodes[0]
        .bridge
        .clone()
        .register_variable(register("s", "x", "integer", "-1"))
        .await;
    let id = first.unwrap().into_inner().variable_id;
    let seed = seed::take();
    let drivers = (0..WRITERS).map(|writer| {
        let random = seed::random(seed, u64::try_from(writer).unwrap());
        tokio::spawn(write(nodes.clone(), writer, random))
    });
    let drivers: Vec<_> = drivers.collect();
    snakepit_cluster_tests::eventually("a third is written", || async {
        match cluster.at(1).get_variable("s", "x").await {
            Ok(told) if told.value.version as usize > VERSIONS / 3 => Ok(()),
            told => Err(format!("{told:?}")),
        }
    })
    .await;
    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    cluster.restart(&[leader]).await;
    let mut record = Record::new();
    for driver in drivers {
        record.append(&mut driver.await.unwrap());
    }
    assert_eq!(record.len(), WRITERS * WRITES);

    let entries = whole_history(&nodes[0], 1_000).await;
    assert_eq!(entries.len(), VERSIONS, "seed {seed}");
    let by_version: BTreeMap<i32, &VariableHistoryEntry> =
        entries.iter().map(|entry| (entry.version, entry)).collect();
    let mut written = Record::new();
    for (place, entry) in entries.iter().enumerate() {
        let version = i32::try_from(VERSIONS - place).unwrap();
        assert_eq!(
            entry.version, version,
            "versions are dense, the newest first"
        );
        let cause = entry.cause.as_ref().unwrap();
        let value = number(entry.value.as_ref());
        if version == 1 {
            assert_eq!((value, entry.update_type.as_str()), (-1, "registered"));
            continue;
        }
        let asked = match entry.update_type.as_str() {
            "value_change" => Asked::Set(value),
            "registered" => Asked::Registered(value),
            "rollback" => {
                assert!(entry.rolled_back_to < version);
                assert_eq!(
                    value,
                    number(by_version[&entry.rolled_back_to].value.as_ref()),
                    "{entry:?}"
                );
                Asked::RolledBack(entry.rolled_back_to)
            }
            other => panic!("{other}: {entry:?}"),
        };
        assert_eq!(entry.changed_by, principal(&cause.request_id), "{entry:?}");
        assert_eq!(cause.principal, entry.changed_by);
        assert!(
            (1..=3).contains(&cause.node) && !cause.principal_verified,
            "{entry:?}"
        );
        assert_eq!(
            entry.metadata,
            BTreeMap::from([("number".into(), cause.request_id.clone())])
        );
        assert!(entry.timestamp.is_some() && entry.binary_value.is_empty());
        assert_eq!(
            written.insert(cause.request_id.clone(), asked),
            None,
            "twice: {entry:?}"
        );
    }
    assert_eq!(written, record, "seed {seed}");
    assert!(entries.is_sorted_by(|newer, older| newer.position > older.position));
    for (node, page) in nodes.iter().zip([100, 333, 1]) {
        if page == 1 {
            // Page by page of one: from the middle, one way down.
            let told = node
                .bridge
                .clone()
                .get_variable_history(history("s", "x", 1, 1_000))
                .await;
            let told = told.unwrap().into_inner();
            assert_eq!(
                (told.entries, told.next_before_version),
                (vec![by_version[&999].clone()], 999)
            );
            let told = node
                .bridge
                .clone()
                .get_variable_history(history("s", &id, 5, 2))
                .await;
            let told = told.unwrap().into_inner();
            assert_eq!(
                (told.entries, told.next_before_version),
                (vec![by_version[&1].clone()], 0)
            );
            continue;
        }
        assert!(
            whole_history(node, page).await == entries,
            "node {}",
            node.node
        );
    }

    // And back, through each node, to versions near and far.
    let mut newest = i32::try_from(VERSIONS).unwrap();
    for (step, target) in [1, 2, newest, newest / 2, 1_024, newest - 1]
        .into_iter()
        .enumerate()
    {
        let (to, from) = (&nodes[step % 3], &nodes[(step + 1) % 3]);
        let told = to
            .bridge
            .clone()
            .rollback_variable(roll_back("s", "x", target))
            .await;
        let told = told.unwrap().into_inner().variable.unwrap();
        newest += 1;
        let value = number(by_version[&target].value.as_ref());
        assert_eq!(
            (told.version, number(told.value.as_ref()), &told.id),
            (newest, value, &id)
        );
        let read = from
            .bridge
            .clone()
            .get_variable(get("s", "x"))
            .await
            .unwrap();
        let read = read.into_inner().variable.unwrap();
        assert_eq!((read.version, number(read.value.as_ref())), (newest, value));
    }
    for (target, why) in [
        (0, "versions begin at 1"),
        (-1, "versions begin at 1"),
        (newest + 1, "has versions 1 to"),
    ] {
        let told = nodes[1]
            .bridge
            .clone()
            .rollback_variable(roll_back("s", "x", target))
            .await;
        refused(told, Code::InvalidArgument, why);
    }
    let expecting = RollbackVariableRequest {
        expected_version: 1,
        ..roll_back("s", "x", 1)
    };
    refused(
        nodes[2].bridge.clone().rollback_variable(expecting).await,
        Code::Aborted,
        "not 1",
    );
    // Today's constraints hold for yesterday's values.
    let narrow = RegisterVariableRequest {
        constraints_json: r#"{"min": 0}"#.into(),
        ..register("s", "x", "integer", "5")
    };
    nodes[0]
        .bridge
        .clone()
        .register_variable(narrow)
        .await
        .unwrap();
    let told = nodes[1]
        .bridge
        .clone()
        .rollback_variable(roll_back("s", "x", 1))
        .await;
    refused(told, Code::InvalidArgument, "value -1 is below minimum 0");
    for (asked, code, why) in [
        (
            history("s", "x", 1_001, 0),
            Code::InvalidArgument,
            "limit is 1001",
        ),
        (
            history("s", "x", -1, 0),
            Code::InvalidArgument,
            "limit is -1",
        ),
        (
            history("s", "x", 1, -1),
            Code::InvalidArgument,
            "before_version is -1",
        ),
        (
            history("s", "y", 1, 0),
            Code::NotFound,
            "Variable not found: y",
        ),
        (
            history("t", "x", 1, 0),
            Code::NotFound,
            "Session not found: t",
        ),
    ] {
        refused(
            nodes[2].bridge.clone().get_variable_history(asked).await,
            code,
            why,
        );
    }
    cluster.verify().await;
}

#[tokio::test]
async fn versions_of_arrays_and_bytes_come_back_bit_for_bit() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    nodes[0]
        .bridge
        .clone()
        .initialize_session(create("s"))
        .await
        .unwrap();
    let about = r#"{"binary_format":"raw","dtype":"float32","shape":[1],"type":"tensor"}"#;
    let tensor = |bits: u32| RegisterVariableRequest {
        initial_value: Some(any("tensor.binary", about)),
        initial_binary_value: bits.to_le_bytes().to_vec().into(),
        ..register("s", "x", "tensor", "")
    };
    let bits = [0xffa0_1234, 0x7f80_0001, 0x8000_0000];
    for (node, bits) in nodes.iter().zip(bits) {
        node.bridge
            .clone()
            .register_variable(tensor(bits))
            .await
            .unwrap();
    }
    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    let raw = [(snakepit_proto::headers::ARRAYS, "raw")];
    for version in 1..=3 {
        let told = anywhere(
            &nodes,
            usize::try_from(version).unwrap(),
            |mut node| async move {
                node.bridge
                    .rollback_variable(with(roll_back("s", "x", version), &raw))
                    .await
            },
        );
        let told = told.await.unwrap().into_inner().variable.unwrap();
        let wanted = bits[usize::try_from(version).unwrap() - 1].to_le_bytes();
        assert_eq!(told.binary_value, wanted.to_vec());
        // The answer of a repeated try names what is there by then, which is the same.
        assert_eq!(told.version, 3 + version);
    }
    cluster.restart(&[leader]).await;
    for node in &nodes {
        let told = node
            .bridge
            .clone()
            .get_variable_history(with(history("s", "x", 10, 0), &raw))
            .await;
        let told = told.unwrap().into_inner();
        let payloads: Vec<_> = told
            .entries
            .iter()
            .map(|entry| entry.binary_value.to_vec())
            .collect();
        let wanted: Vec<_> = bits
            .iter()
            .chain(&bits)
            .rev()
            .map(|bits| bits.to_le_bytes().to_vec())
            .collect();
        assert_eq!(payloads, wanted);
    }
    cluster.verify().await;
}
