//! Setting variables, one or many.

use std::collections::BTreeMap;

use snakepit_machine::{
    Answer, Body, Limits, Payload, Rejection, RejectionKind, SessionRow, SetVariable, SetVariables,
    Value, VariableRow,
};

use crate::support::*;

/// A session with integers a = 1 (at most 100) and b = 2.
fn machine() -> Machine {
    let mut machine = Machine::with_session("s");
    let Body::RegisterVariable(mut a) = register("s", "a", "integer", int(1)) else {
        unreachable!()
    };
    a.constraints_json = r#"{"max":100}"#.into();
    a.metadata = map(&[("old", "1"), ("both", "old")]);
    machine.run(T0, Body::RegisterVariable(a)).outcome.unwrap();
    machine.register(T0, "s", "b", 2).outcome.unwrap();
    machine
}

fn answer(versions: &[(&str, u64)], refused: &[(&str, RejectionKind, &str)]) -> Answer {
    Answer::VariablesSet {
        versions: versions
            .iter()
            .map(|(id, version)| ((*id).to_owned(), *version))
            .collect(),
        refused: refused
            .iter()
            .map(|(id, kind, message)| ((*id).to_owned(), Rejection::new(*kind, *message)))
            .collect(),
    }
}

/// Of a second version.
fn payload(id: &str, name: &str, value: i64, first: u64) -> Payload {
    Payload::VariableSet {
        id: id.into(),
        name: name.into(),
        value: int(value),
        metadata: map(&[]),
        version: 2,
        past: past(first, 0),
        type_name: "integer".into(),
        access_json: String::new(),
    }
}

const ABOVE: (RejectionKind, &str) = (RejectionKind::Invalid, "value 101 is above maximum 100");

#[test]
fn setting_one_merges_the_metadata() {
    let mut machine = machine();
    let body = Body::SetVariables(SetVariables {
        session_id: "s".into(),
        atomic: false,
        updates: vec![update("a", Value::Float(7.0))],
        metadata: map(&[("both", "new"), ("new", "1")]),
    });
    let did = machine.run(T0 + 5, body);
    let row = VariableRow {
        value: int(7),
        constraints_json: r#"{"max":100}"#.into(),
        metadata: map(&[("old", "1"), ("both", "new"), ("new", "1")]),
        version: 2,
        updated_ms: T0 + 5,
        chain: vec![4],
        ..new_variable("a", 2, T0, 1)
    };
    let payload = Payload::VariableSet {
        id: "var_a_2".into(),
        name: "a".into(),
        value: int(7),
        metadata: map(&[("both", "new"), ("new", "1")]),
        version: 2,
        past: past(2, 0),
        type_name: "integer".into(),
        access_json: String::new(),
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(answer(&[("a", 2)], &[])),
            events: vec![event((4, 4, 4), "s", T0 + 5, None, payload)],
            changes: changed(vec![
                head(4, T0 + 5, 1),
                session_row(SessionRow {
                    revision: 4,
                    variables: 2,
                    updates: 3,
                    ..new_session("s", T0)
                }),
                variable_row("s", row),
            ]),
        }
    );
}

#[test]
fn a_batch_makes_one_event_for_each_and_moves_the_deadline_once() {
    let mut machine = machine();
    let time = T0 + TTL_MS / 10;
    let did = machine.run(
        time,
        set(
            "s",
            true,
            vec![update("var_b_3", int(20)), update("a", int(10))],
        ),
    );
    assert_eq!(did.outcome, Ok(answer(&[("var_b_3", 2), ("a", 2)], &[])));
    assert_eq!(
        did.events,
        [
            event((4, 4, 4), "s", time, None, payload("var_b_3", "b", 20, 3)),
            event((5, 5, 4), "s", time, None, payload("var_a_2", "a", 10, 2)),
        ]
    );
    let [a, b] = ["a", "b"].map(|name| machine.variable("s", name));
    assert_eq!((&a.chain[..], &b.chain[..]), (&[5][..], &[4][..]));
    assert_eq!(
        did.changes,
        changed(vec![
            head(5, time, 1),
            session_row(SessionRow {
                revision: 5,
                variables: 2,
                updates: 4,
                touched_ms: time,
                ..new_session("s", T0)
            }),
            variable_row("s", a),
            variable_row("s", b),
            no_deadline(T0 + TTL_MS, "s"),
            deadline(time + TTL_MS, "s"),
        ])
    );
}

#[test]
fn an_atomic_batch_with_a_bad_one_changes_nothing_and_names_all_that_are_bad() {
    let mut machine = machine();
    let updates = vec![
        update("b", int(3)),
        update("a", int(101)),
        update("c", int(1)),
    ];
    machine
        .run(T0, set("s", true, updates))
        .only_answers(answer(
            &[],
            &[
                ("a", ABOVE.0, ABOVE.1),
                ("c", RejectionKind::NotFound, "Variable not found: c"),
            ],
        ));
}

#[test]
fn a_batch_that_is_not_atomic_applies_the_good_ones() {
    let mut machine = machine();
    let updates = vec![
        update("a", int(101)),
        update("c", int(1)),
        update("b", int(3)),
    ];
    let did = machine.run(T0, set("s", false, updates));
    assert_eq!(
        did.outcome,
        Ok(answer(
            &[("b", 2)],
            &[
                ("a", ABOVE.0, ABOVE.1),
                ("c", RejectionKind::NotFound, "Variable not found: c")
            ],
        ))
    );
    assert_eq!(
        did.events,
        [event(
            (4, 4, 4),
            "s",
            T0,
            None,
            payload("var_b_3", "b", 3, 3)
        )]
    );
    assert_eq!(machine.variable("s", "a").version, 1);
}

#[test]
fn a_batch_with_nothing_good_or_nothing_at_all_changes_nothing() {
    for atomic in [true, false] {
        let mut machine = machine();
        machine
            .run(
                T0 + TTL_MS / 2,
                set("s", atomic, vec![update("a", int(101))]),
            )
            .only_answers(answer(&[], &[("a", ABOVE.0, ABOVE.1)]));
        machine
            .run(T0 + TTL_MS / 2, set("s", atomic, vec![]))
            .only_answers(answer(&[], &[]));
    }
}

#[test]
fn a_variable_named_twice_in_a_batch_is_refused() {
    let twice = "the batch sets variable a twice; hint: name it once, by id or by name";
    let updates = || {
        vec![
            update("a", int(5)),
            update("var_a_2", int(6)),
            update("b", int(3)),
        ]
    };

    machine()
        .run(T0, set("s", true, updates()))
        .only_answers(answer(&[], &[("var_a_2", RejectionKind::Invalid, twice)]));

    let mut machine = machine();
    let did = machine.run(T0, set("s", false, updates()));
    assert_eq!(
        did.outcome,
        Ok(answer(
            &[("a", 2), ("b", 2)],
            &[("var_a_2", RejectionKind::Invalid, twice)]
        ))
    );
    assert_eq!(
        did.payloads(),
        [
            &payload("var_a_2", "a", 5, 2),
            &payload("var_b_3", "b", 3, 3)
        ]
    );
}

#[test]
fn an_expected_version_must_hold() {
    let mut machine = machine();
    machine
        .run(T0, set("s", true, vec![update_at("a", int(2), 1)]))
        .outcome
        .unwrap();
    for (stale, atomic) in [(1, true), (1, false), (3, true), (u64::MAX, false)] {
        let message =
            format!("variable a is at version 2, not {stale}; hint: read it again and retry");
        machine
            .run(T0, set("s", atomic, vec![update_at("a", int(9), stale)]))
            .only_answers(answer(&[], &[("a", RejectionKind::Conflict, &message)]));
    }
    let did = machine.run(T0, set("s", true, vec![update_at("var_a_2", int(3), 2)]));
    assert_eq!(did.outcome, Ok(answer(&[("var_a_2", 3)], &[])));
    // 0 takes any.
    let did = machine.run(T0, set("s", true, vec![update_at("a", int(4), 0)]));
    assert_eq!(did.outcome, Ok(answer(&[("a", 4)], &[])));
}

#[test]
fn a_value_that_could_not_be_read_is_refused_with_its_reason() {
    let mut machine = machine();
    let broken = SetVariable {
        identifier: "a".into(),
        value: Err("not a number".into()),
        expected_version: 0,
    };
    let did = machine.run(T0, set("s", false, vec![broken, update("b", int(3))]));
    assert_eq!(
        did.outcome,
        Ok(answer(
            &[("b", 2)],
            &[("a", RejectionKind::Invalid, "not a number")]
        ))
    );
}

#[test]
fn a_batch_has_so_many_variables_and_no_more() {
    let mut machine = machine();
    machine.limits.batch_variables_max = 2;
    let updates = |count: usize| vec![update("x", int(1)); count];
    assert!(machine.run(T0, set("s", false, updates(2))).outcome.is_ok());
    machine.run(T0, set("s", false, updates(3))).only_refuses(
        RejectionKind::Invalid,
        "the batch sets 3 variables, the limit batch_variables_max is 2; hint: send several batches",
    );
}

#[test]
fn sizes_are_exact_and_merged_metadata_counts() {
    let limits = Limits {
        value_bytes_max: 10,
        metadata_bytes_max: 20,
        ..Limits::default()
    };
    let mut machine = Machine::limited(limits);
    machine.run(T0, create("s", TTL_MS)).outcome.unwrap();
    machine
        .run(T0, register("s", "t", "string", text("")))
        .outcome
        .unwrap();
    let one = |value: &str, metadata: BTreeMap<String, String>| {
        Body::SetVariables(SetVariables {
            session_id: "s".into(),
            atomic: false,
            updates: vec![update("t", text(value))],
            metadata,
        })
    };
    let did = machine.run(T0, one(&"x".repeat(10), map(&[("a", "123456789")])));
    assert_eq!(did.outcome, Ok(answer(&[("t", 2)], &[])));
    machine.run(T0, one(&"x".repeat(11), map(&[]))).only_answers(answer(
        &[],
        &[(
            "t",
            RejectionKind::Invalid,
            "the value of t has 11 bytes, the limit value_bytes_max is 10; hint: split it or raise the limit",
        )],
    ));
    machine.run(T0, one("", map(&[("b", "1234567890")]))).only_answers(answer(
        &[],
        &[(
            "t",
            RejectionKind::Invalid,
            "metadata has 21 bytes, the limit metadata_bytes_max is 20; hint: keep large things in variables",
        )],
    ));
    let did = machine.run(T0, one("", map(&[("b", "123456789")])));
    assert_eq!(did.outcome, Ok(answer(&[("t", 3)], &[])));
    let did = machine.run(T0, one("", map(&[("b", "987654321")])));
    assert_eq!(
        did.outcome,
        Ok(answer(&[("t", 4)], &[])),
        "what is replaced does not count"
    );
}
