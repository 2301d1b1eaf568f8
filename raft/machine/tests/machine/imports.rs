//! A session made of an exported one: all of it, or nothing.

use std::collections::BTreeMap;

use snakepit_machine::{
    Answer, Body, ImportSession, ImportedVariable, Payload, ProgramRow, RejectionKind, RowsExt,
    SessionConfig, SessionRow, Value, VariableRow,
};

use crate::support::*;

const CONFIG: SessionConfig = SessionConfig {
    enable_caching: true,
    cache_ttl_ms: 7,
    enable_telemetry: false,
};

fn registered(name: &str, position: u64, value: i64) -> Payload {
    Payload::VariableRegistered {
        id: format!("var_{name}_{position}"),
        name: name.into(),
        type_name: "integer".into(),
        value: int(value),
        constraints_json: String::new(),
        metadata: BTreeMap::new(),
        version: 1,
        access_json: String::new(),
        past: past(0, 0),
    }
}

fn run(body: ImportSession) -> Did {
    Machine::default().run(T0, Body::ImportSession(body))
}

#[test]
fn an_import_is_a_session_with_all_that_it_holds() {
    let mut machine = Machine::default();
    let rich = ImportedVariable {
        constraints_json: r#"{"max":9}"#.into(),
        metadata: map(&[("k", "v")]),
        access_json: r#"{"write":{}}"#.into(),
        // As it was exported, not as the type holds it.
        value: Value::Float(5.0),
        ..exported(0, &[("b", "requires")])
    };
    let body = ImportSession {
        metadata: map(&[("m", "1")]),
        config: CONFIG,
        ..import(
            "s",
            vec![("a", rich), ("b", exported(2, &[]))],
            vec![("p", int(3))],
        )
    };
    let answer = Answer::SessionImported {
        variables: 2,
        programs: 1,
    };
    let did = machine.request(T0, "r", Body::ImportSession(body.clone()));
    assert_eq!(did.outcome, Ok(answer.clone()));
    let payloads = [
        Payload::SessionCreated {
            metadata: map(&[("m", "1")]),
            ttl_ms: TTL_MS,
            config: CONFIG,
            imported_from: "old".into(),
            subject: String::new(),
        },
        Payload::VariableRegistered {
            id: "var_a_2".into(),
            name: "a".into(),
            type_name: "integer".into(),
            value: int(5),
            constraints_json: r#"{"max":9}"#.into(),
            metadata: map(&[("k", "v")]),
            version: 1,
            access_json: r#"{"write":{}}"#.into(),
            past: past(0, 0),
        },
        registered("b", 3, 2),
        Payload::DependencyAdded {
            from: "a".into(),
            to: "b".into(),
            kind: "requires".into(),
        },
        Payload::ProgramPut {
            program_id: "p".into(),
            value: int(3),
            metadata: BTreeMap::new(),
            version: 1,
            ttl_ms: 0,
        },
    ];
    let events: Vec<_> = (1..)
        .zip(payloads)
        .map(|(number, payload)| {
            let mut made = event(
                (number, number, 1),
                "s",
                T0,
                Some(("r", answer.clone())),
                payload,
            );
            made.answer.take_if(|_| number != 5);
            made
        })
        .collect();
    assert_eq!(did.events, events);
    assert_eq!(
        machine.session("s"),
        SessionRow {
            metadata: map(&[("m", "1")]),
            config: CONFIG,
            imported_from: "old".into(),
            revision: 5,
            variables: 2,
            updates: 2,
            programs: 1,
            ..new_session("s", T0)
        }
    );
    let a = VariableRow {
        constraints_json: r#"{"max":9}"#.into(),
        metadata: map(&[("k", "v")]),
        access_json: r#"{"write":{}}"#.into(),
        depends_on: map(&[("b", "requires")]),
        ..new_variable("a", 2, T0, 5)
    };
    let b = VariableRow {
        dependents: map(&[("a", "requires")]),
        ..new_variable("b", 3, T0, 2)
    };
    assert_eq!(machine.variable("s", "a"), a);
    assert_eq!(machine.variable("s", "b"), b);
    let program = ProgramRow {
        id: "p".into(),
        value: int(3),
        metadata: BTreeMap::new(),
        version: 1,
        created_ms: T0,
        updated_ms: T0,
        ttl_ms: 0,
    };
    assert_eq!(
        machine.rows.program("s", "p").unwrap(),
        Some(program.into())
    );
    machine
        .request(T0 + 1, "r", Body::ImportSession(body))
        .only_answers(answer);
    machine.check_replay();
}

#[test]
fn the_session_must_be_new_or_past_its_deadline() {
    let body = || Body::ImportSession(import("s", vec![("a", exported(1, &[]))], vec![]));
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "old", 1).outcome.unwrap();
    machine.run(T0 + TTL_MS - 1, body()).only_refuses(
        RejectionKind::AlreadyExists,
        "session s exists; hint: import under another id, or delete it first",
    );
    machine.limits.sessions_max = 1;
    let end = T0 + TTL_MS;
    let did = machine.run(end, body());
    assert_eq!(
        did.payloads(),
        [
            &Payload::SessionExpired { deadline_ms: end },
            &Payload::SessionCreated {
                metadata: BTreeMap::new(),
                ttl_ms: TTL_MS,
                config: SessionConfig::default(),
                imported_from: "old".into(),
                subject: String::new(),
            },
            &registered("a", 5, 1),
        ]
    );
    let revisions: Vec<u64> = did.events.iter().map(|event| event.revision).collect();
    assert_eq!(revisions, [3, 1, 2]);
    assert_eq!(machine.rows.variable("s", "old").unwrap(), None);
    assert_eq!(machine.head().sessions, 1);
    let other = Body::ImportSession(import("t", vec![], vec![]));
    machine.run(end, other).only_refuses(
        RejectionKind::Exhausted,
        "there are 1 sessions, the limit sessions_max is 1; hint: delete sessions, shorten their ttl, or raise the limit",
    );
    machine.check_replay();
}

#[test]
fn one_bad_thing_refuses_all() {
    let with =
        |bad: ImportedVariable| import("s", vec![("a", exported(1, &[])), ("b", bad)], vec![]);
    let good = || exported(1, &[]);
    for (bad, message) in [
        (
            ImportedVariable {
                value: text("x"),
                ..good()
            },
            "variable b: must be an integer",
        ),
        (
            ImportedVariable {
                constraints_json: r#"{"max":0}"#.into(),
                ..good()
            },
            "variable b: value 1 is above maximum 0",
        ),
        (
            ImportedVariable {
                constraints_json: "[]".into(),
                ..good()
            },
            r#"variable b: Invalid constraints: not a JSON object; hint: send {} or {"min": 0}"#,
        ),
        (
            ImportedVariable {
                type_name: "int".into(),
                ..good()
            },
            "variable b: Unknown type: int; hint: use one of float, integer, string, boolean, choice, module, embedding, tensor, map, list, null, bytes",
        ),
        (
            exported(1, &[("a", "needs")]),
            r#"dependency_type is "needs"; hint: use one of derives, requires, relates"#,
        ),
        (
            exported(1, &[("c", "derives")]),
            "variable b depends on c, which the export does not hold; hint: export the session again",
        ),
    ] {
        run(with(bad)).only_refuses(RejectionKind::Invalid, message);
    }
    let denied = run(with(ImportedVariable {
        access_json: "[]".into(),
        ..good()
    }));
    let refused = denied.outcome.unwrap_err();
    assert_eq!(refused.kind, RejectionKind::Invalid);
    assert!(
        refused
            .message
            .starts_with("variable b: access_control_json is not a set of rules: ")
    );
    for (body, message) in [
        (
            import("", vec![], vec![]),
            "session_id is empty; hint: give 1 to 256 bytes",
        ),
        (
            import("s", vec![("", good())], vec![]),
            "name is empty; hint: give 1 to 256 bytes",
        ),
        (
            import("s", vec![], vec![("", int(1))]),
            "program_id is empty; hint: give 1 to 256 bytes",
        ),
        (
            ImportSession {
                imported_from: "o".repeat(257),
                ..import("s", vec![], vec![])
            },
            "imported_from has 257 bytes, the limit is 256; hint: shorten it",
        ),
        (
            ImportSession {
                ttl_ms: 999,
                ..import("s", vec![], vec![])
            },
            "the ttl is 999 ms, it must be 1000 to 31622400000 ms; hint: give another ttl_seconds, or 0 for the default",
        ),
    ] {
        run(body).only_refuses(RejectionKind::Invalid, message);
    }
    let empty = ImportSession {
        imported_from: String::new(),
        ..import("s", vec![], vec![])
    };
    assert_eq!(run(empty).events.len(), 1);
}

#[test]
fn cycles_are_refused() {
    for (edges, told) in [
        (&[("a", "a")][..], "a -> a"),
        (&[("a", "b"), ("b", "a")], "b -> a"),
        (&[("a", "b"), ("b", "c"), ("c", "b")], "c -> b"),
    ] {
        let mut variables: BTreeMap<&str, ImportedVariable> =
            ["a", "b", "c"].map(|name| (name, exported(1, &[]))).into();
        for (from, to) in edges {
            let from = variables.get_mut(from).unwrap();
            from.depends_on.insert((*to).into(), "relates".into());
        }
        run(import("s", variables.into_iter().collect(), vec![])).only_refuses(
            RejectionKind::Refused,
            &format!("the dependency would close a cycle: {told}; hint: remove one of these first"),
        );
    }
    // Many ways to one variable are no cycle, and a long way is none.
    let diamond = vec![
        (
            "a",
            exported(1, &[("b", "derives"), ("c", "derives"), ("d", "derives")]),
        ),
        ("b", exported(1, &[("c", "derives"), ("d", "derives")])),
        ("c", exported(1, &[("d", "derives")])),
        ("d", exported(1, &[])),
    ];
    assert_eq!(run(import("s", diamond, vec![])).events.len(), 11);
    let names: Vec<String> = (0..5_000).map(|number| format!("n{number:05}")).collect();
    let mut chain: Vec<(&str, ImportedVariable)> = names
        .windows(2)
        .map(|pair| (pair[0].as_str(), exported(1, &[(&pair[1], "derives")])))
        .collect();
    chain.push((&names[4_999], exported(1, &[])));
    assert_eq!(run(import("s", chain, vec![])).events.len(), 10_000);
}

#[test]
fn counts_and_sizes_are_exact() {
    let mut machine = Machine::default();
    machine.limits.variables_per_session_max = 3;
    machine.limits.programs_per_session_max = 1;
    machine.limits.dependencies_per_variable_max = 1;
    machine.limits.value_bytes_max = 2;
    machine.limits.metadata_bytes_max = 2;
    let good = || exported(1, &[]);
    let many = |count: usize| {
        ["a", "b", "c", "d"][..count]
            .iter()
            .map(|name| (*name, good()))
            .collect()
    };
    let over = |count: u64, what: &str, limit: &str, most: u64| {
        format!("the export has {count} {what}, the limit {limit} is {most}; hint: raise the limit")
    };
    let two = [("a", "derives"), ("b", "derives")];
    let on_both = vec![("a", good()), ("b", good()), ("c", exported(1, &two))];
    let on_one = vec![
        ("a", good()),
        ("b", exported(1, &two[..1])),
        ("c", exported(1, &two[..1])),
    ];
    let deep = "dependencies of one variable";
    for (body, message) in [
        (
            import("s", many(4), vec![]),
            over(4, "variables", "variables_per_session_max", 3),
        ),
        (
            import("s", vec![], vec![("p", int(1)), ("q", int(1))]),
            over(2, "programs", "programs_per_session_max", 1),
        ),
        (
            import("s", on_both, vec![]),
            over(2, deep, "dependencies_per_variable_max", 1),
        ),
        (
            import("s", on_one, vec![]),
            over(2, deep, "dependencies_per_variable_max", 1),
        ),
    ] {
        machine
            .run(T0, Body::ImportSession(body))
            .only_refuses(RejectionKind::Exhausted, &message);
    }
    let large = |name: &str| {
        format!(
            "the value of {name} has 3 bytes, the limit value_bytes_max is 2; hint: split it or raise the limit"
        )
    };
    let tags = "metadata has 3 bytes, the limit metadata_bytes_max is 2; hint: keep large things in variables";
    let wide = ImportedVariable {
        value: int(1 << 16),
        ..good()
    };
    let tagged = ImportedVariable {
        metadata: map(&[("k", "vv")]),
        ..good()
    };
    let mut tagged_program = import("s", vec![], vec![("p", int(1))]);
    tagged_program.programs.get_mut("p").unwrap().metadata = map(&[("k", "vv")]);
    for (body, message) in [
        (import("s", vec![("a", wide)], vec![]), large("a")),
        (import("s", vec![], vec![("p", int(1 << 16))]), large("p")),
        (
            import("s", vec![("a", tagged)], vec![]),
            format!("variable a: {tags}"),
        ),
        (tagged_program, tags.to_owned()),
    ] {
        machine
            .run(T0, Body::ImportSession(body))
            .only_refuses(RejectionKind::Invalid, &message);
    }
    let chain = vec![
        ("a", exported(1 << 8, &[("b", "derives")])),
        ("b", exported(1, &[("c", "derives")])),
        ("c", good()),
    ];
    let did = machine.run(
        T0,
        Body::ImportSession(import("s", chain, vec![("p", int(1))])),
    );
    let answer = Answer::SessionImported {
        variables: 3,
        programs: 1,
    };
    assert_eq!(did.outcome, Ok(answer));
}

#[test]
fn embeddings_are_measured_as_they_are_held() {
    let mut machine = Machine::default();
    machine.limits.value_bytes_max = 24;
    let with = |list: &str| {
        let variable = ImportedVariable {
            type_name: "embedding".into(),
            value: Value::List(list.into()),
            ..exported(0, &[])
        };
        Body::ImportSession(import("s", vec![("e", variable)], vec![]))
    };
    machine.run(T0, with("[1,2,3]")).only_refuses(
        RejectionKind::Invalid,
        "the value of e has 32 bytes, the limit value_bytes_max is 24; hint: split it or raise the limit",
    );
    machine.run(T0, with("[1,2]")).outcome.unwrap();
}
