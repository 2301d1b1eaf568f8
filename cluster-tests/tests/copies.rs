//! A session as it is, and a new one of it: all of it, or nothing.

use std::collections::BTreeMap;

use snakepit_cluster_tests::calls::{Calls, create, depend, get, put, register, rule, set, start};
use snakepit_cluster_tests::raw::{any, refused, with};
use snakepit_cluster_tests::{Cluster, Spec};
use snakepit_proto::bridge::*;
use snakepit_proto::headers::{ARRAYS, PRINCIPAL};
use snakepit_proto::session::*;
use tonic::Code;

const SAID: [(&str, &str); 2] = [(ARRAYS, "raw"), (PRINCIPAL, "alice")];

async fn export(node: &Calls, session: &str) -> SessionExport {
    let asked = ExportSessionRequest {
        session_id: session.into(),
        ..Default::default()
    };
    node.sessions
        .clone()
        .export_session(with(asked, &SAID))
        .await
        .unwrap()
        .into_inner()
}

/// What a copy has in common with what it is a copy of.
fn common(mut export: SessionExport) -> SessionExport {
    export.session_id.clear();
    (export.created_at, export.revision) = (None, 0);
    for variable in &mut export.variables {
        variable.id.clear();
        variable.version = 1;
        (variable.created_at, variable.last_updated_at) = (None, None);
    }
    for program in &mut export.programs {
        program.version = 1;
        (program.created_at, program.updated_at) = (None, None);
    }
    export
}

async fn prepare(nodes: &[Calls]) {
    let node = |number: usize| nodes[number % 3].clone();
    let config = SessionConfig {
        ttl_seconds: 777,
        enable_caching: true,
        cache_ttl_seconds: 3,
        enable_telemetry: false,
    };
    let asked = InitializeSessionRequest {
        metadata: BTreeMap::from([("team".into(), "é".into())]),
        config: Some(config),
        ..create("s")
    };
    node(0).bridge.initialize_session(asked).await.unwrap();
    for (number, (type_name, json)) in [
        ("float", "\"NaN\""),
        ("integer", "123456789012345678901234567890"),
        ("string", "\"\\u0000\""),
        ("boolean", "true"),
        ("choice", "\"a\""),
        ("module", "\"M\""),
        ("embedding", "[1.5]"),
        ("tensor", r#"{"shape": [1, 2], "data": [1, 2]}"#),
        ("map", r#"{"z": 1.10, "a": {"__snakepit_float__": "NaN"}}"#),
        ("list", "[1,  2]"),
        ("null", "null"),
        ("bytes", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = RegisterVariableRequest {
            initial_binary_value: if type_name == "bytes" {
                vec![0, 255].into()
            } else {
                Default::default()
            },
            metadata: BTreeMap::from([("source".into(), "python".into())]),
            ..register("s", type_name, type_name, json)
        };
        node(number).bridge.register_variable(asked).await.unwrap();
    }
    for (number, dtype) in ["float16", "float32", "int8", "uint64"]
        .into_iter()
        .enumerate()
    {
        let about = format!(
            "{{\"type\":\"tensor\",\"dtype\":\"{dtype}\",\"shape\":[8],\"binary_format\":\"raw\"}}"
        );
        let bytes = match dtype {
            "float16" => 16,
            "float32" => 32,
            "int8" => 8,
            _ => 64,
        };
        let asked = RegisterVariableRequest {
            initial_value: Some(any("tensor.binary", about)),
            // NaNs among them.
            initial_binary_value: vec![0xff; bytes].into(),
            constraints_json: r#"{"shape": [8], "mine": 1}"#.into(),
            ..register("s", dtype, "tensor", "")
        };
        node(number).bridge.register_variable(asked).await.unwrap();
    }
    node(0)
        .bridge
        .set_variable(set("s", "integer", 5))
        .await
        .unwrap();
    for (from, to, kind) in [
        ("map", "list", "derives"),
        ("list", "null", "requires"),
        ("map", "null", "relates"),
    ] {
        node(1)
            .bridge
            .add_dependency(depend("s", from, to, kind))
            .await
            .unwrap();
    }
    let rules = r#"{"read": {"principals": ["alice"]}, "write": {"tools": ["t"]}}"#;
    node(2)
        .sessions
        .set_access(rule("s", "float", rules))
        .await
        .unwrap();
    // A lock is no part of a copy.
    node(0)
        .bridge
        .start_optimization(start("s", "integer", "opt"))
        .await
        .unwrap();
    for (number, program) in ["p", "q"].into_iter().enumerate() {
        let metadata = BTreeMap::from([("k".into(), program.into())]);
        node(number)
            .sessions
            .put_program(PutProgramRequest {
                metadata,
                ..put("s", program, "text")
            })
            .await
            .unwrap();
    }
    node(2)
        .sessions
        .put_program(put("s", "q", "newer"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_copy_is_equal_and_made_in_one_piece() {
    let cluster = Cluster::start(Spec::nodes(3)).await;
    let nodes = cluster.all_calls();
    prepare(&nodes).await;
    let original = export(&nodes[1], "s").await;
    assert_eq!(
        (
            original.format,
            original.variables.len(),
            original.programs.len()
        ),
        (1, 16, 2)
    );
    assert!(
        original
            .variables
            .is_sorted_by_key(|variable| &variable.name)
    );
    for node in &nodes {
        assert_eq!(export(node, "s").await, original);
    }
    for (step, copy) in ["copy-1", "copy-2", "copy-3"].into_iter().enumerate() {
        let (to, from) = (&nodes[step], &nodes[(step + 1) % 3]);
        let asked = ImportSessionRequest {
            session_id: copy.into(),
            export: Some(original.clone()),
            subject: String::new(),
        };
        let told = to
            .sessions
            .clone()
            .import_session(asked)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (told.session_id.as_str(), told.variables, told.programs),
            (copy, 16, 2)
        );
        let made = export(from, copy).await;
        assert!(
            made.variables
                .iter()
                .all(|variable| variable.version == 1 && !variable.id.is_empty())
        );
        assert_eq!(common(made), common(original.clone()));
        // The rules hold, the lock does not.
        let told = from.bridge.clone().get_variable(get(copy, "float")).await;
        refused(told, Code::PermissionDenied, "float");
        from.bridge
            .clone()
            .set_variable(set(copy, "integer", 6))
            .await
            .unwrap();
    }
    let told = nodes[0]
        .sessions
        .clone()
        .export_session(ExportSessionRequest {
            session_id: "s".into(),
            ..Default::default()
        })
        .await;
    refused(told, Code::PermissionDenied, "may not read variable float");

    // What is wrong somewhere is not begun anywhere.
    let before = cluster.agree().await;
    let broken = |spoil: &dyn Fn(&mut SessionExport)| {
        let mut export = original.clone();
        spoil(&mut export);
        ImportSessionRequest {
            session_id: "broken".into(),
            export: Some(export),
            subject: String::new(),
        }
    };
    let on = |variable: &str, kind: &str| Dependency {
        variable: variable.into(),
        kind: kind.into(),
    };
    let at = |export: &mut SessionExport, name: &str| {
        export
            .variables
            .iter()
            .position(|each| each.name == name)
            .unwrap()
    };
    let spoilt: [(ImportSessionRequest, Code, &str); 11] = [
        (
            ImportSessionRequest {
                session_id: "s".into(),
                export: Some(original.clone()),
                subject: String::new(),
            },
            Code::AlreadyExists,
            "session s exists",
        ),
        (
            ImportSessionRequest {
                session_id: String::new(),
                export: Some(original.clone()),
                subject: String::new(),
            },
            Code::AlreadyExists,
            "session s exists",
        ),
        (
            ImportSessionRequest {
                session_id: "broken".into(),
                export: None,
                subject: String::new(),
            },
            Code::InvalidArgument,
            "no export",
        ),
        (
            broken(&|export| export.format = 2),
            Code::InvalidArgument,
            "format 2",
        ),
        (
            broken(&|export| export.variables.last_mut().unwrap().binary_value = vec![1].into()),
            Code::InvalidArgument,
            "data size",
        ),
        (
            broken(&|export| export.variables.push(export.variables[0].clone())),
            Code::InvalidArgument,
            "twice",
        ),
        (
            broken(&|export| export.programs.push(export.programs[0].clone())),
            Code::InvalidArgument,
            "twice",
        ),
        (
            broken(&|export| {
                let place = at(export, "null");
                export.variables[place].dependencies = vec![on("map", "derives")];
            }),
            Code::FailedPrecondition,
            "cycle",
        ),
        (
            broken(&|export| {
                let place = at(export, "null");
                export.variables[place].dependencies = vec![on("none", "derives")];
            }),
            Code::InvalidArgument,
            "none",
        ),
        (
            broken(&|export| {
                let place = at(export, "integer");
                export.variables[place].constraints_json = r#"{"min": 6}"#.into();
            }),
            Code::InvalidArgument,
            "below minimum 6",
        ),
        (
            broken(&|export| {
                let place = at(export, "float");
                export.variables[place].access_control_json = "[]".into();
            }),
            Code::InvalidArgument,
            "access_control_json",
        ),
    ];
    for (step, (asked, code, why)) in spoilt.into_iter().enumerate() {
        refused(
            nodes[step % 3].sessions.clone().import_session(asked).await,
            code,
            why,
        );
    }
    assert_eq!(cluster.agree().await.chain_head, before.chain_head);
    for node in &nodes {
        let told = node
            .bridge
            .clone()
            .get_session(GetSessionRequest {
                session_id: "broken".into(),
            })
            .await;
        refused(told, Code::NotFound, "Session not found: broken");
    }
    cluster.verify().await;
}
