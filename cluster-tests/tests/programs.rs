//! Programs of a session and of the cluster, on every node.

use std::collections::BTreeMap;

use snakepit_cluster_tests::calls::{Calls, clean_up, create, drop_program, put};
use snakepit_cluster_tests::raw::{any, refused};
use snakepit_cluster_tests::{Cluster, Spec, eventually};
use snakepit_machine::Payload;
use snakepit_proto::bridge::InitializeSessionRequest;
use snakepit_proto::session::*;
use tonic::{Code, Status};

async fn read(node: &Calls, session: &str, program: &str) -> Result<Program, Status> {
    let asked = GetProgramRequest {
        session_id: session.into(),
        program_id: program.into(),
    };
    let told = node.sessions.clone().get_program(asked).await?;
    Ok(told.into_inner().program.unwrap())
}

async fn list(node: &Calls, session: &str, pattern: &str, page_size: i32) -> Vec<String> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let asked = ListProgramsRequest {
            session_id: session.into(),
            pattern: pattern.into(),
            page_size,
            page_token,
        };
        let told = node
            .sessions
            .clone()
            .list_programs(asked)
            .await
            .unwrap()
            .into_inner();
        assert!(page_size == 0 || told.programs.len() <= usize::try_from(page_size).unwrap());
        found.extend(told.programs.into_iter().map(|program| program.program_id));
        page_token = told.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

#[tokio::test]
async fn programs_of_sessions_and_of_the_cluster() {
    let mut cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    let node = |number: usize| nodes[number % 3].clone();
    node(0)
        .bridge
        .initialize_session(create("s"))
        .await
        .unwrap();
    for (version, text) in (1..).zip(["one", "two", "three", "four"]) {
        for session in ["s", ""] {
            let metadata = BTreeMap::from([(format!("k{version}"), text.to_owned())]);
            let asked = PutProgramRequest {
                metadata: metadata.clone(),
                expected_version: version - 1,
                ..put(session, "p", text)
            };
            let told = node(usize::try_from(version).unwrap())
                .sessions
                .put_program(asked)
                .await;
            assert_eq!(told.unwrap().into_inner().version, version);
            for node in &nodes {
                let program = read(node, session, "p").await.unwrap();
                assert_eq!((program.version, &program.metadata), (version, &metadata));
                assert_eq!(program.value, Some(any("string", format!("\"{text}\""))));
                assert_eq!(program.expires_at.is_some(), session.is_empty());
            }
        }
    }
    let stale = PutProgramRequest {
        expected_version: 3,
        ..put("s", "p", "x")
    };
    refused(
        node(1).sessions.put_program(stale).await,
        Code::Aborted,
        "at version 4, not 3",
    );
    let limited = PutProgramRequest {
        ttl_seconds: 5,
        ..put("s", "p", "x")
    };
    refused(
        node(2).sessions.put_program(limited).await,
        Code::InvalidArgument,
        "ttl_seconds is for global programs",
    );
    let bytes = PutProgramRequest {
        value: Some(any("bytes", "")),
        binary_value: vec![0, 255].into(),
        ..put("s", "bytes", "")
    };
    node(0).sessions.put_program(bytes).await.unwrap();
    assert_eq!(
        read(&nodes[1], "s", "bytes").await.unwrap().binary_value,
        vec![0, 255]
    );
    for number in 0..25_usize {
        node(number)
            .sessions
            .put_program(put("s", &format!("n{number:02}"), "x"))
            .await
            .unwrap();
    }
    for node in &nodes {
        let all = list(node, "s", "", 7).await;
        assert_eq!(all.len(), 27);
        assert!(all.is_sorted(), "{all:?}");
        assert_eq!(
            list(node, "s", "n0?", 3).await,
            (0..10)
                .map(|number| format!("n{number:02}"))
                .collect::<Vec<_>>()
        );
        assert_eq!(list(node, "", "", 0).await, ["p"]);
    }
    let leader = cluster.leader().await;
    cluster.kill(&[leader]);
    cluster.restart(&[leader]).await;
    assert!(
        node(1)
            .sessions
            .delete_program(drop_program("", "p"))
            .await
            .unwrap()
            .into_inner()
            .existed
    );
    assert!(
        !node(2)
            .sessions
            .delete_program(drop_program("", "p"))
            .await
            .unwrap()
            .into_inner()
            .existed
    );
    // What begins anew begins at 1.
    assert_eq!(
        node(0)
            .sessions
            .put_program(put("", "p", "x"))
            .await
            .unwrap()
            .into_inner()
            .version,
        1
    );
    node(2)
        .bridge
        .cleanup_session(clean_up("s", false))
        .await
        .unwrap();
    for node in &nodes {
        refused(
            read(node, "s", "p").await,
            Code::NotFound,
            "Session not found: s",
        );
        refused(
            read(node, "", "q").await,
            Code::NotFound,
            "Program not found: q",
        );
    }
    node(0)
        .bridge
        .initialize_session(create("s"))
        .await
        .unwrap();
    assert_eq!(list(&nodes[1], "s", "", 0).await, Vec::<String>::new());
    cluster.verify().await;
}

#[tokio::test]
async fn they_end_on_every_node_after_their_last_change() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    for (node, program) in nodes.iter().zip(["short", "renewed", "long"]) {
        let ttl_seconds = if program == "long" { 600 } else { 1 };
        let asked = PutProgramRequest {
            ttl_seconds,
            ..put("", program, "x")
        };
        node.sessions.clone().put_program(asked).await.unwrap();
    }
    let asked = PutProgramRequest {
        ttl_seconds: 600,
        ..put("", "renewed", "y")
    };
    let renewed = nodes[0]
        .sessions
        .clone()
        .put_program(asked)
        .await
        .unwrap()
        .into_inner()
        .version;
    eventually("it is gone", || async {
        match read(&nodes[0], "", "short").await {
            Ok(program) => Err(program),
            Err(status) => {
                refused(
                    Err::<(), _>(status),
                    Code::NotFound,
                    "Program not found: short",
                );
                Ok(())
            }
        }
    })
    .await;
    for node in &nodes {
        refused(
            read(node, "", "short").await,
            Code::NotFound,
            "Program not found: short",
        );
        assert_eq!(list(node, "", "", 0).await, ["long", "renewed"]);
        assert_eq!(read(node, "", "renewed").await.unwrap().version, renewed);
    }
    // A new one of its name begins at 1, whether the old one's end is in the log yet or not.
    let told = nodes[1]
        .sessions
        .clone()
        .put_program(put("", "short", "z"))
        .await
        .unwrap();
    assert_eq!(told.into_inner().version, 1);
    let ends: Vec<_> = cluster
        .verify()
        .await
        .into_iter()
        .filter_map(|event| match event.payload {
            Payload::ProgramExpired {
                program_id,
                deadline_ms,
            } => Some((program_id, event.time_ms >= deadline_ms)),
            _ => None,
        })
        .collect();
    assert!(ends.contains(&("short".into(), true)), "{ends:?}");
    assert!(ends.iter().all(|(_, due)| *due), "{ends:?}");
    // Sessions and programs do not hinder each other.
    let asked = InitializeSessionRequest {
        session_id: "short".into(),
        ..Default::default()
    };
    assert!(
        nodes[2]
            .bridge
            .clone()
            .initialize_session(asked)
            .await
            .unwrap()
            .into_inner()
            .created
    );
}
