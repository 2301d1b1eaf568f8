//! Programs of sessions, and of the cluster.

use std::collections::BTreeMap;

use snakepit_machine::{
    Answer, Body, HeadRow, Payload, ProgramRow, PutProgram, RejectionKind, Row, RowKey, RowsExt,
    SessionRow, Value,
};

use crate::support::*;

fn row(version: u64, created_ms: u64, updated_ms: u64, value: i64, ttl_ms: u64) -> ProgramRow {
    ProgramRow {
        id: "p".into(),
        value: int(value),
        metadata: BTreeMap::new(),
        version,
        created_ms,
        updated_ms,
        ttl_ms,
    }
}

fn payload(version: u64, value: i64, ttl_ms: u64) -> Payload {
    Payload::ProgramPut {
        program_id: "p".into(),
        value: int(value),
        metadata: BTreeMap::new(),
        version,
        ttl_ms,
    }
}

/// The cluster's row without sessions.
fn head_of(position: u64, time_ms: u64, programs: u64) -> (RowKey, Option<Row>) {
    let row = HeadRow {
        position,
        time_ms,
        revision: position,
        programs,
        ..HeadRow::default()
    };
    (RowKey::Head, Some(Row::Head(row)))
}

fn ends_at(time_ms: u64) -> (RowKey, Option<Row>) {
    let key = RowKey::ProgramDeadline(time_ms, "p".into());
    (key, Some(Row::Deadline))
}

fn ends_not_at(time_ms: u64) -> (RowKey, Option<Row>) {
    (ends_at(time_ms).0, None)
}

fn put_at(session_id: &str, expected_version: u64, ttl_ms: u64) -> Body {
    Body::PutProgram(PutProgram {
        session_id: session_id.into(),
        program_id: "p".into(),
        value: int(9),
        metadata: BTreeMap::new(),
        expected_version,
        ttl_ms,
    })
}

#[test]
fn a_session_s_program_is_one_event_and_its_row() {
    let mut machine = Machine::with_session("s");
    let Body::PutProgram(mut body) = put_program("s", "p", Value::Map("{}".into()), 0) else {
        unreachable!()
    };
    body.metadata = map(&[("k", "v")]);
    let did = machine.run(T0 + 5, Body::PutProgram(body));
    let first = ProgramRow {
        value: Value::Map("{}".into()),
        metadata: map(&[("k", "v")]),
        ..row(1, T0 + 5, T0 + 5, 0, 0)
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::ProgramPut { version: 1 }),
            events: vec![event(
                (2, 2, 2),
                "s",
                T0 + 5,
                None,
                Payload::ProgramPut {
                    program_id: "p".into(),
                    value: Value::Map("{}".into()),
                    metadata: map(&[("k", "v")]),
                    version: 1,
                    ttl_ms: 0,
                },
            )],
            changes: changed(vec![
                head(2, T0 + 5, 1),
                session_row(SessionRow {
                    revision: 2,
                    programs: 1,
                    ..new_session("s", T0)
                }),
                program_row("s", first),
            ]),
        }
    );
    // A new content replaces the metadata and keeps the birthday.
    let did = machine.run(T0 + 6, put_program("s", "p", int(2), 0));
    assert_eq!(did.outcome, Ok(Answer::ProgramPut { version: 2 }));
    assert_eq!(did.payloads(), [&payload(2, 2, 0)]);
    assert_eq!(
        did.changes,
        changed(vec![
            head(3, T0 + 6, 1),
            session_row(SessionRow {
                revision: 3,
                programs: 1,
                ..new_session("s", T0)
            }),
            program_row("s", row(2, T0 + 5, T0 + 6, 2, 0)),
        ])
    );
    let did = machine.run(T0 + 7, delete_program("s", "p"));
    assert_eq!(did.outcome, Ok(Answer::Done { existed: true }));
    let gone = Payload::ProgramDeleted {
        program_id: "p".into(),
        version: 2,
    };
    assert_eq!(did.payloads(), [&gone]);
    assert_eq!(
        did.changes,
        changed(vec![
            head(4, T0 + 7, 1),
            session_row(SessionRow {
                revision: 4,
                ..new_session("s", T0)
            }),
            (RowKey::Program("s".into(), "p".into()), None),
        ])
    );
    machine
        .run(T0 + 8, delete_program("s", "p"))
        .only_answers(Answer::Done { existed: false });
    let did = machine.run(T0 + 8, put_program("s", "p", int(2), 0));
    assert_eq!(did.outcome, Ok(Answer::ProgramPut { version: 1 }));
    machine.check_replay();
}

#[test]
fn a_global_program_has_a_deadline_that_each_change_moves() {
    let mut machine = Machine::default();
    let did = machine.run(T0, put_program("", "p", int(1), 2_000));
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::ProgramPut { version: 1 }),
            events: vec![event((1, 1, 1), "", T0, None, payload(1, 1, 2_000))],
            changes: changed(vec![
                head_of(1, T0, 1),
                program_row("", row(1, T0, T0, 1, 2_000)),
                ends_at(T0 + 2_000),
            ]),
        }
    );
    let did = machine.run(T0 + 1_999, put_program("", "p", int(2), 3_000));
    assert_eq!(
        did.changes,
        changed(vec![
            head_of(2, T0 + 1_999, 1),
            program_row("", row(2, T0, T0 + 1_999, 2, 3_000)),
            ends_not_at(T0 + 2_000),
            ends_at(T0 + 4_999),
        ])
    );
    let did = machine.run(T0 + 2_000, delete_program("", "p"));
    assert_eq!(
        did.changes,
        changed(vec![
            head_of(3, T0 + 2_000, 0),
            (RowKey::Program(String::new(), "p".into()), None),
            ends_not_at(T0 + 4_999),
        ])
    );
    assert_eq!(machine.keys(), [RowKey::Head]);
    machine.check_replay();
}

#[test]
fn a_global_program_ends_at_its_deadline_and_not_before() {
    let none = Answer::Done { existed: false };
    let mut machine = Machine::default();
    machine
        .run(T0, put_program("", "p", int(1), 2_000))
        .outcome
        .unwrap();
    machine
        .run(T0 + 1_999, expire_program("p"))
        .only_answers(none.clone());
    machine
        .run(T0 + 2_000, expire_program("q"))
        .only_answers(none.clone());
    // Gone, though nobody has swept it.
    machine
        .run(T0 + 2_000, delete_program("", "p"))
        .only_answers(none);
    let expired = Payload::ProgramExpired {
        program_id: "p".into(),
        deadline_ms: T0 + 2_000,
    };
    let mut again = machine.clone();
    let did = machine.run(T0 + 2_000, expire_program("p"));
    assert_eq!(did.outcome, Ok(Answer::Done { existed: true }));
    assert_eq!(did.payloads(), [&expired]);
    assert_eq!(
        did.changes,
        changed(vec![
            head_of(2, T0 + 2_000, 0),
            (RowKey::Program(String::new(), "p".into()), None),
            ends_not_at(T0 + 2_000),
        ])
    );
    machine.check_replay();
    // A new one of that id begins at version 1, also with the last place taken.
    again.limits.global_programs_max = 1;
    let did = again.run(T0 + 2_000, put_program("", "p", int(2), 1_000));
    assert_eq!(did.payloads(), [&expired, &payload(1, 2, 1_000)]);
    assert_eq!(
        did.changes,
        changed(vec![
            head_of(3, T0 + 2_000, 1),
            program_row("", row(1, T0 + 2_000, T0 + 2_000, 2, 1_000)),
            ends_not_at(T0 + 2_000),
            ends_at(T0 + 3_000),
        ])
    );
    again.check_replay();
}

#[test]
fn the_expected_version_must_hold() {
    for (session, ttl) in [("s", 0), ("", 2_000)] {
        let mut machine = Machine::with_session("s");
        let conflict = |version: u64, expected: u64| {
            format!(
                "program p is at version {version}, not {expected}; hint: read it again and retry"
            )
        };
        machine
            .run(T0, put_at(session, 1, ttl))
            .only_refuses(RejectionKind::Conflict, &conflict(0, 1));
        machine.run(T0, put_at(session, 0, ttl)).outcome.unwrap();
        machine
            .run(T0, put_at(session, 2, ttl))
            .only_refuses(RejectionKind::Conflict, &conflict(1, 2));
        let did = machine.run(T0, put_at(session, 1, ttl));
        assert_eq!(did.outcome, Ok(Answer::ProgramPut { version: 2 }));
        if session.is_empty() {
            machine
                .run(T0 + ttl, put_at(session, 2, ttl))
                .only_refuses(RejectionKind::Conflict, &conflict(0, 2));
        }
    }
}

#[test]
fn lives_are_for_global_programs() {
    let mut machine = Machine::with_session("s");
    machine.run(T0, put_program("s", "p", int(1), 1)).only_refuses(
        RejectionKind::Invalid,
        "ttl_seconds is for global programs; hint: a session's programs live as long as it does",
    );
    let (least, most) = (machine.limits.ttl_min_ms, machine.limits.ttl_max_ms);
    for ttl in [0, least - 1, most + 1] {
        machine.run(T0, put_program("", "p", int(1), ttl)).only_refuses(
            RejectionKind::Invalid,
            &format!("the ttl is {ttl} ms, it must be {least} to {most} ms; hint: give another ttl_seconds, or 0 for the default"),
        );
    }
    for ttl in [least, most] {
        machine
            .run(T0, put_program("", "p", int(1), ttl))
            .outcome
            .unwrap();
    }
}

#[test]
fn counts_and_sizes_are_exact() {
    let mut machine = Machine::with_session("s");
    machine.limits.programs_per_session_max = 1;
    machine.limits.global_programs_max = 2;
    machine.limits.value_bytes_max = 4;
    machine.limits.metadata_bytes_max = 4;
    for (session, most, limit, ttl) in [
        ("s", 1, "programs_per_session_max", 0),
        ("", 2, "global_programs_max", 2_000),
    ] {
        for number in 0..most {
            machine
                .run(T0, put_program(session, &format!("p{number}"), int(1), ttl))
                .outcome
                .unwrap();
        }
        machine.run(T0, put_program(session, "q", int(1), ttl)).only_refuses(
            RejectionKind::Exhausted,
            &format!("there are {most} programs, the limit {limit} is {most}; hint: delete programs or raise the limit"),
        );
        machine
            .run(T0, put_program(session, "p0", text("1234"), ttl))
            .outcome
            .unwrap();
        machine.run(T0, put_program(session, "p0", text("12345"), ttl)).only_refuses(
            RejectionKind::Invalid,
            "the value of p0 has 5 bytes, the limit value_bytes_max is 4; hint: split it or raise the limit",
        );
        let Body::PutProgram(mut body) = put_program(session, "p0", int(1), ttl) else {
            unreachable!()
        };
        body.metadata = map(&[("k", "1234")]);
        machine.run(T0, Body::PutProgram(body)).only_refuses(
            RejectionKind::Invalid,
            "metadata has 5 bytes, the limit metadata_bytes_max is 4; hint: keep large things in variables",
        );
        machine
            .run(T0, put_program(session, "", int(1), ttl))
            .only_refuses(
                RejectionKind::Invalid,
                "program_id is empty; hint: give 1 to 256 bytes",
            );
        machine
            .run(T0, put_program(session, &"p".repeat(257), int(1), ttl))
            .only_refuses(
                RejectionKind::Invalid,
                "program_id has 257 bytes, the limit is 256; hint: shorten it",
            );
    }
}

#[test]
fn sessions_and_the_cluster_have_programs_of_their_own() {
    let mut machine = Machine::with_session("s");
    machine
        .run(T0, put_program("s", "p", int(1), 0))
        .outcome
        .unwrap();
    machine
        .run(T0, put_program("", "p", int(2), 60_000))
        .outcome
        .unwrap();
    assert_eq!(
        machine.rows.program("s", "p").unwrap().unwrap().value,
        int(1)
    );
    assert_eq!(
        machine.rows.program("", "p").unwrap().unwrap().value,
        int(2)
    );
    // A session's program never ends by itself, and a global one outlives all sessions.
    machine
        .run(T0 + TTL_MS - 1, expire_program("p"))
        .only_answers(Answer::Done { existed: false });
    machine.run(T0 + 1, delete("s")).outcome.unwrap();
    assert_eq!(machine.rows.program("s", "p").unwrap(), None);
    assert_eq!(machine.head().programs, 1);
    assert_eq!(machine.head().revision, 1);
    machine.check_replay();
}
