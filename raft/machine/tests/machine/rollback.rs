//! Going back to an earlier version.

use std::collections::BTreeMap;

use snakepit_machine::{
    Answer, Body, Payload, RejectionKind, RollbackVariable, SessionRow, VariableRow,
};

use crate::support::*;

/// A session with v = 1, 2, 3 (at most 5): versions 1 to 3 at positions 2 to 4.
fn machine() -> Machine {
    let mut machine = Machine::with_session("s");
    let Body::RegisterVariable(mut body) = register("s", "v", "integer", int(1)) else {
        unreachable!()
    };
    body.constraints_json = r#"{"max":5}"#.into();
    body.metadata = map(&[("old", "1"), ("both", "old")]);
    machine
        .run(T0, Body::RegisterVariable(body))
        .outcome
        .unwrap();
    for value in [2, 3] {
        machine
            .run(T0, set("s", true, vec![update("v", int(value))]))
            .outcome
            .unwrap();
    }
    machine
}

fn answer(version: u64) -> Answer {
    Answer::VariableRolledBack {
        version,
        position: version + 1,
    }
}

#[test]
fn a_rollback_is_a_new_version() {
    let mut machine = machine();
    let body = RollbackVariable {
        session_id: "s".into(),
        id: "var_v_2".into(),
        target_version: 1,
        value: int(1),
        expected_version: 3,
        metadata: map(&[("both", "new"), ("new", "1")]),
    };
    let did = machine.request(T0 + 5, "r", Body::RollbackVariable(body.clone()));
    let row = VariableRow {
        constraints_json: r#"{"max":5}"#.into(),
        metadata: map(&[("old", "1"), ("both", "new"), ("new", "1")]),
        version: 4,
        updated_ms: T0 + 5,
        chain: vec![5],
        ..new_variable("v", 2, T0, 1)
    };
    let payload = Payload::VariableRolledBack {
        id: "var_v_2".into(),
        name: "v".into(),
        value: int(1),
        metadata: map(&[("both", "new"), ("new", "1")]),
        version: 4,
        target_version: 1,
        past: past(4, 0),
        type_name: "integer".into(),
        access_json: String::new(),
    };
    assert_eq!(did.outcome, Ok(answer(4)));
    let request = Some(("r", answer(4)));
    assert_eq!(
        did.events,
        [event((5, 5, 5), "s", T0 + 5, request, payload)]
    );
    let session = machine.session("s");
    assert_eq!(session.answers.count, 1);
    assert_eq!(
        did.changes,
        changed(vec![
            head(5, T0 + 5, 1),
            session_row(SessionRow {
                revision: 5,
                variables: 1,
                updates: 4,
                answers: session.answers,
                ..new_session("s", T0)
            }),
            variable_row("s", row),
            (
                snakepit_machine::RowKey::Request("s".into(), 0, "r".into()),
                Some(snakepit_machine::Row::Request(answer(4))),
            ),
        ])
    );
    // Again, the expected version does not hold any more; the answer does.
    machine
        .request(T0 + 6, "r", Body::RollbackVariable(body))
        .only_answers(answer(4));
    machine.check_replay();
}

#[test]
fn only_versions_that_were_are_gone_back_to() {
    for target in [0, 4, u64::MAX] {
        machine()
            .run(T0, rollback("s", "var_v_2", target, int(1)))
            .only_refuses(
                RejectionKind::Invalid,
                &format!("variable v has versions 1 to 3, not {target}; hint: look at its history"),
            );
    }
    // The newest is a version like any other.
    let did = machine().run(T0, rollback("s", "var_v_2", 3, int(3)));
    assert_eq!(did.outcome, Ok(answer(4)));
}

#[test]
fn today_s_constraints_decide() {
    let mut machine = machine();
    machine
        .run(T0, rollback("s", "var_v_2", 1, int(6)))
        .only_refuses(RejectionKind::Invalid, "value 6 is above maximum 5");
    machine
        .run(T0, rollback("s", "var_v_2", 1, text("x")))
        .only_refuses(RejectionKind::Invalid, "must be an integer");
    machine.limits.value_bytes_max = 0;
    machine
        .run(T0, rollback("s", "var_v_2", 1, int(1)))
        .only_refuses(
            RejectionKind::Invalid,
            "the value of v has 1 bytes, the limit value_bytes_max is 0; hint: split it or raise the limit",
        );
}

#[test]
fn the_expected_version_must_hold() {
    let mut machine = machine();
    let at = |expected_version| {
        Body::RollbackVariable(RollbackVariable {
            session_id: "s".into(),
            id: "var_v_2".into(),
            target_version: 1,
            value: int(1),
            expected_version,
            metadata: BTreeMap::new(),
        })
    };
    for stale in [2, 4] {
        machine.run(T0, at(stale)).only_refuses(
            RejectionKind::Conflict,
            &format!("variable v is at version 3, not {stale}; hint: read it again and retry"),
        );
    }
    assert_eq!(machine.run(T0, at(0)).outcome, Ok(answer(4)));
}

#[test]
fn the_id_is_an_id_and_no_name() {
    let mut machine = machine();
    machine
        .run(T0, rollback("s", "v", 1, int(1)))
        .only_refuses(RejectionKind::NotFound, "Variable not found: v");
    // Once v is gone its id may be a name; but the versions were those of v.
    machine.register(T0, "s", "var_v_2", 7).outcome.unwrap();
    machine.run(T0, delete_variable("s", "v")).outcome.unwrap();
    assert_eq!(machine.variable("s", "var_v_2").value, int(7));
    machine
        .run(T0, rollback("s", "var_v_2", 1, int(1)))
        .only_refuses(RejectionKind::NotFound, "Variable not found: var_v_2");
    machine
        .run(T0, rollback("t", "var_v_2", 1, int(1)))
        .only_refuses(RejectionKind::NotFound, "Session not found: t");
}

#[test]
fn metadata_together_has_its_limit() {
    let mut machine = machine();
    // "old1bothold" are 11 bytes.
    machine.limits.metadata_bytes_max = 20;
    let with = |value: &str| {
        Body::RollbackVariable(RollbackVariable {
            session_id: "s".into(),
            id: "var_v_2".into(),
            target_version: 1,
            value: int(1),
            expected_version: 0,
            metadata: map(&[("k", value)]),
        })
    };
    for (value, bytes) in [("123456789", 21), ("12345678901234567890", 21)] {
        machine.run(T0, with(value)).only_refuses(
            RejectionKind::Invalid,
            &format!("metadata has {bytes} bytes, the limit metadata_bytes_max is 20; hint: keep large things in variables"),
        );
    }
    assert_eq!(machine.run(T0, with("12345678")).outcome, Ok(answer(4)));
}
