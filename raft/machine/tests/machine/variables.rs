//! Register and delete; names and ids.

use snakepit_machine::{
    Answer, Body, Limits, Payload, RegisterVariable, RejectionKind, Row, RowKey, RowsExt,
    SessionRow, Value, VariableRow,
};

use crate::support::*;

fn document(constraints_json: &str, metadata: &[(&str, &str)], value: Value) -> RegisterVariable {
    RegisterVariable {
        session_id: "s".into(),
        name: "v".into(),
        type_name: "integer".into(),
        value,
        constraints_json: constraints_json.into(),
        metadata: map(metadata),
        access_json: String::new(),
    }
}

#[test]
fn a_new_variable_is_one_event_and_its_row() {
    let mut machine = Machine::with_session("s");
    let body = document(r#"{"max":9}"#, &[("k", "v")], Value::Float(4.0));
    let did = machine.run(T0 + 5, Body::RegisterVariable(body));
    let row = VariableRow {
        constraints_json: r#"{"max":9}"#.into(),
        metadata: map(&[("k", "v")]),
        ..new_variable("v", 2, T0 + 5, 4)
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::VariableRegistered {
                id: "var_v_2".into(),
                version: 1
            }),
            events: vec![event(
                (2, 2, 2),
                "s",
                T0 + 5,
                None,
                Payload::VariableRegistered {
                    id: "var_v_2".into(),
                    name: "v".into(),
                    type_name: "integer".into(),
                    value: int(4),
                    constraints_json: r#"{"max":9}"#.into(),
                    metadata: map(&[("k", "v")]),
                    version: 1,
                    access_json: String::new(),
                    past: past(0, 0),
                },
            )],
            changes: changed(vec![
                head(2, T0 + 5, 1),
                session_row(SessionRow {
                    revision: 2,
                    variables: 1,
                    updates: 1,
                    ..new_session("s", T0)
                }),
                variable_row("s", row),
            ]),
        }
    );
}

#[test]
fn registering_again_replaces_all_but_the_id_and_the_birthday() {
    let mut machine = Machine::with_session("s");
    let first = document(r#"{"max":9}"#, &[("a", "1")], int(4));
    machine
        .run(T0, Body::RegisterVariable(first))
        .outcome
        .unwrap();
    let again = document(r#"{"min":10}"#, &[("b", "2")], int(40));
    let time = T0 + TTL_MS / 10;
    let did = machine.run(time, Body::RegisterVariable(again));
    let row = VariableRow {
        value: int(40),
        constraints_json: r#"{"min":10}"#.into(),
        metadata: map(&[("b", "2")]),
        version: 2,
        updated_ms: time,
        chain: vec![3],
        ..new_variable("v", 2, T0, 4)
    };
    assert_eq!(
        did.outcome,
        Ok(Answer::VariableRegistered {
            id: "var_v_2".into(),
            version: 2
        })
    );
    assert_eq!(
        did.payloads(),
        [&Payload::VariableRegistered {
            id: "var_v_2".into(),
            name: "v".into(),
            type_name: "integer".into(),
            value: int(40),
            constraints_json: r#"{"min":10}"#.into(),
            metadata: map(&[("b", "2")]),
            version: 2,
            access_json: String::new(),
            past: past(2, 0),
        }]
    );
    // A tenth of the ttl has gone by: the write is a use, and moves the deadline.
    assert_eq!(
        did.changes,
        changed(vec![
            head(3, time, 1),
            session_row(SessionRow {
                revision: 3,
                variables: 1,
                updates: 2,
                touched_ms: time,
                ..new_session("s", T0)
            }),
            variable_row("s", row),
            no_deadline(T0 + TTL_MS, "s"),
            deadline(time + TTL_MS, "s"),
        ])
    );
}

#[test]
fn registering_with_another_type_is_refused() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1);
    machine.run(T0, register("s", "v", "float", int(1))).only_refuses(
        RejectionKind::AlreadyExists,
        "variable v exists with type integer, not float; hint: delete it first, or choose another name",
    );
}

#[test]
fn an_id_is_never_given_again() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1);
    let row = machine.variable("s", "var_v_2");
    let did = machine.run(T0 + 1, delete_variable("s", "var_v_2"));
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::VariableDeleted),
            events: vec![event(
                (3, 3, 3),
                "s",
                T0 + 1,
                None,
                Payload::VariableDeleted {
                    id: row.id,
                    name: "v".into(),
                    version: 1,
                    type_name: "integer".into(),
                    access_json: String::new(),
                },
            )],
            changes: changed(vec![
                head(3, T0 + 1, 1),
                session_row(SessionRow {
                    revision: 3,
                    updates: 1,
                    ..new_session("s", T0)
                }),
                (RowKey::Variable("s".into(), "v".into()), None),
            ]),
        }
    );
    let did = machine.register(T0 + 2, "s", "v", 1);
    assert_eq!(
        did.outcome,
        Ok(Answer::VariableRegistered {
            id: "var_v_4".into(),
            version: 1
        })
    );
    assert_eq!(machine.variable("s", "v").created_ms, T0 + 2);
    assert_eq!(machine.rows.variable("s", "var_v_2").unwrap(), None);
    machine
        .run(T0, delete_variable("s", "var_v_2"))
        .only_refuses(RejectionKind::NotFound, "Variable not found: var_v_2");
}

#[test]
fn an_id_wins_over_a_name() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "x", 1);
    machine.register(T0, "s", "y", 1);
    // A variable whose name is the id of x, and one whose name only looks like an id.
    machine.register(T0, "s", "var_x_2", 10);
    machine.register(T0, "s", "var_x_9", 11);
    assert_eq!(machine.variable("s", "var_x_2").name, "x");
    assert_eq!(machine.variable("s", "var_x_9").name, "var_x_9");
    assert_eq!(machine.variable("s", "var_var_x_2_4").name, "var_x_2");

    machine
        .run(T0, set("s", true, vec![update("var_x_2", int(5))]))
        .outcome
        .unwrap();
    assert_eq!(machine.variable("s", "x").value, int(5));
    machine
        .run(T0, delete_variable("s", "var_x_2"))
        .outcome
        .unwrap();
    assert_eq!(machine.rows.variable_named("s", "x").unwrap(), None);
    // Now that x is gone, the identifier is the other one's name.
    assert_eq!(machine.variable("s", "var_x_2").value, int(10));
}

#[test]
fn names_with_underscores_and_odd_ids_are_found() {
    let mut machine = Machine::with_session("s");
    for name in ["a_b", "a_1", "_", "", "é ü", "var_", "var__1"] {
        let did = machine.register(T0, "s", name, 1);
        if name.is_empty() {
            did.only_refuses(
                RejectionKind::Invalid,
                "name is empty; hint: give 1 to 256 bytes",
            );
            continue;
        }
        let id = format!("var_{name}_{}", machine.head().position);
        assert_eq!(
            did.outcome,
            Ok(Answer::VariableRegistered {
                id: id.clone(),
                version: 1
            })
        );
        assert_eq!(machine.variable("s", &id).name, name);
        assert_eq!(machine.variable("s", name).id, id);
    }
    for unknown in ["var_a_b_", "var_a_b_x", "var_a_b_02", "a", "VAR_a_b_2"] {
        assert_eq!(
            machine.rows.variable("s", unknown).unwrap(),
            None,
            "{unknown}"
        );
    }
}

#[test]
fn names_have_1_to_256_bytes() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", &"n".repeat(257), 1).only_refuses(
        RejectionKind::Invalid,
        "name has 257 bytes, the limit is 256; hint: shorten it",
    );
    let longest = "n".repeat(256);
    machine.register(T0, "s", &longest, 1).outcome.unwrap();
    let id = machine.variable("s", &longest).id;
    assert_eq!(machine.variable("s", &id).name, longest);
}

#[test]
fn bad_values_and_types_are_refused_in_snakepit_s_words() {
    let mut machine = Machine::with_session("s");
    let refused = [
        (
            Body::RegisterVariable(document(r#"{"max":3}"#, &[], int(4))),
            "value 4 is above maximum 3",
        ),
        (
            Body::RegisterVariable(document("", &[], Value::Float(1.5))),
            "must be a whole number, got 1.5",
        ),
        (
            Body::RegisterVariable(document("", &[], text("x"))),
            "must be an integer",
        ),
        (
            Body::RegisterVariable(document("[]", &[], int(4))),
            r#"Invalid constraints: not a JSON object; hint: send {} or {"min": 0}"#,
        ),
    ];
    for (body, message) in refused {
        machine
            .run(T0, body)
            .only_refuses(RejectionKind::Invalid, message);
    }
    let did = machine.run(T0, register("s", "v", "Integer", int(1)));
    assert!(
        did.outcome
            .unwrap_err()
            .message
            .starts_with("Unknown type: Integer")
    );
}

#[test]
fn a_session_holds_so_many_variables_and_no_more() {
    let mut machine = Machine::with_session("s");
    machine.limits.variables_per_session_max = 2;
    machine.register(T0, "s", "a", 1).outcome.unwrap();
    machine.register(T0, "s", "b", 1).outcome.unwrap();
    machine.register(T0, "s", "c", 1).only_refuses(
        RejectionKind::Exhausted,
        "session s holds 2 variables, the limit variables_per_session_max is 2; hint: delete variables or \
         raise the limit",
    );
    machine.register(T0, "s", "a", 2).outcome.unwrap();
    machine.run(T0, delete_variable("s", "a")).outcome.unwrap();
    machine.register(T0, "s", "c", 1).outcome.unwrap();
    assert_eq!(machine.session("s").variables, 2);
}

#[test]
fn sizes_are_exact() {
    let defaults = Limits::default();
    let size = |bytes: u64| usize::try_from(bytes).unwrap();
    let (value, metadata, constraints) = (
        size(defaults.value_bytes_max),
        size(defaults.metadata_bytes_max),
        size(defaults.constraints_bytes_max),
    );
    let body = |value: usize, metadata: usize, constraints: usize| {
        Body::RegisterVariable(RegisterVariable {
            session_id: "s".into(),
            name: "v".into(),
            type_name: "string".into(),
            value: text(&"x".repeat(value)),
            constraints_json: format!("{{{}}}", " ".repeat(constraints - 2)),
            metadata: map(&[("k", &"x".repeat(metadata - 1))]),
            access_json: String::new(),
        })
    };
    let mut machine = Machine::with_session("s");
    machine
        .run(T0, body(value, metadata, constraints))
        .outcome
        .unwrap();
    let mut machine = Machine::with_session("s");
    machine.run(T0, body(value + 1, metadata, constraints)).only_refuses(
        RejectionKind::Invalid,
        "the value of v has 4194305 bytes, the limit value_bytes_max is 4194304; hint: split it or raise the limit",
    );
    machine.run(T0, body(value, metadata + 1, constraints)).only_refuses(
        RejectionKind::Invalid,
        "metadata has 65537 bytes, the limit metadata_bytes_max is 65536; hint: keep large things in variables",
    );
    machine.run(T0, body(value, metadata, constraints + 1)).only_refuses(
        RejectionKind::Invalid,
        "constraints_json has 65537 bytes, the limit constraints_bytes_max is 65536; hint: shorten it",
    );
}

#[test]
fn a_deleted_variable_s_session_is_used() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1);
    let time = T0 + TTL_MS / 10;
    machine
        .run(time, delete_variable("s", "v"))
        .outcome
        .unwrap();
    assert_eq!(machine.session("s").touched_ms, time);
    let deadlines: Vec<_> = machine
        .rows
        .iter()
        .filter(|(_, row)| matches!(row, Row::Deadline))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(deadlines, [&RowKey::Deadline(time + TTL_MS, "s".into())]);
}

#[test]
fn a_value_is_measured_as_it_was_sent_and_as_it_is_held() {
    let mut machine = Machine::with_session("s");
    machine.limits.value_bytes_max = 32;
    let list = |text: &str| Value::List(text.into());
    // Three numbers of 8 bytes and a length.
    machine
        .run(T0, register("s", "e", "embedding", list("[1,2,3]")))
        .outcome
        .unwrap();
    let too_many = "the value of e has 40 bytes, the limit value_bytes_max is 32; hint: split it or raise the limit";
    machine
        .run(T0, register("s", "e", "embedding", list("[1,2,3,4]")))
        .only_refuses(RejectionKind::Invalid, too_many);
    let did = machine.run(T0, set("s", false, vec![update("e", list("[1,2,3,4]"))]));
    let Ok(Answer::VariablesSet { refused, .. }) = did.outcome else {
        panic!("{did:?}")
    };
    assert_eq!(refused["e"].message, too_many);
    machine
        .run(T0, register("s", "e", "embedding", list(&format!("[1{}]", " ".repeat(30)))))
        .only_refuses(
            RejectionKind::Invalid,
            "the value of e has 33 bytes, the limit value_bytes_max is 32; hint: split it or raise the limit",
        );
}
