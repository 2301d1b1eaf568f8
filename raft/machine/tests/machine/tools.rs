//! Tools that are registered with a session.

use snakepit_machine::{
    Answer, Payload, RejectionKind, Row, RowKey, SessionRow, ToolRow, WORKER_ID_BYTES_MAX,
};

use crate::support::*;

fn done(existed: bool) -> Answer {
    Answer::Done { existed }
}

fn tool_row(name: &str, worker_id: &str, spec: &[u8]) -> (RowKey, Option<Row>) {
    let row = ToolRow {
        name: name.into(),
        worker_id: worker_id.into(),
        spec: spec.to_vec(),
    };
    (RowKey::Tool("s".into(), name.into()), Some(Row::Tool(row)))
}

fn payload(worker_id: &str, tools: &[(&str, &[u8])]) -> Payload {
    let snakepit_machine::Body::RegisterTools(body) = register_tools("s", worker_id, tools) else {
        unreachable!()
    };
    Payload::ToolsRegistered {
        worker_id: body.worker_id,
        tools: body.tools,
    }
}

#[test]
fn tools_are_one_event_and_a_row_each() {
    let mut machine = Machine::with_session("s");
    let tools: [(&str, &[u8]); 2] = [("a", b"1"), ("b.-_9", b"")];
    let did = machine.run(T0 + 5, register_tools("s", "w", &tools));
    assert_eq!(
        did,
        Did {
            outcome: Ok(done(false)),
            events: vec![event((2, 2, 2), "s", T0 + 5, None, payload("w", &tools))],
            changes: changed(vec![
                head(2, T0 + 5, 1),
                session_row(SessionRow {
                    revision: 2,
                    tools: 2,
                    ..new_session("s", T0)
                }),
                tool_row("a", "w", b"1"),
                tool_row("b.-_9", "w", b""),
            ]),
        }
    );
    machine.check_replay();
}

#[test]
fn the_same_tools_again_are_no_change_and_other_specs_are_one() {
    let mut machine = Machine::with_session("s");
    machine
        .run(T0, register_tools("s", "w", &[("a", b"1"), ("b", b"1")]))
        .outcome
        .unwrap();
    machine
        .run(T0, register_tools("s", "w", &[("b", b"1")]))
        .only_answers(done(true));
    machine
        .run(T0, register_tools("s", "w", &[]))
        .only_answers(done(true));
    let did = machine.run(T0, register_tools("s", "w", &[("b", b"2")]));
    assert_eq!(did.outcome, Ok(done(true)));
    assert_eq!(did.payloads(), [&payload("w", &[("b", b"2")])]);
    let did = machine.run(T0, register_tools("s", "w", &[("b", b"2"), ("c", b"1")]));
    assert_eq!(did.outcome, Ok(done(false)));
    assert_eq!(machine.session("s").tools, 3);
    machine.check_replay();
}

#[test]
fn another_worker_s_tool_is_a_duplicate_and_nothing_is_kept() {
    let mut machine = Machine::with_session("s");
    machine
        .run(T0, register_tools("s", "w", &[("b", b"1")]))
        .outcome
        .unwrap();
    machine
        .run(T0, register_tools("s", "x", &[("a", b"1"), ("b", b"1")]))
        .only_refuses(
            RejectionKind::AlreadyExists,
            "duplicate_tool: b is registered by worker w; hint: give it another name",
        );
    // In another session it is another tool.
    machine.run(T0, create("t", TTL_MS)).outcome.unwrap();
    let did = machine.run(T0, register_tools("t", "x", &[("b", b"1")]));
    assert_eq!(did.outcome, Ok(done(false)));
}

#[test]
fn names_follow_snakepit_s_rule() {
    let mut machine = Machine::with_session("s");
    let longest = "n".repeat(64);
    for name in ["a", "9", "A.b-c_d", "a..", &longest] {
        let did = machine.run(T0, register_tools("s", "w", &[(name, b"1")]));
        assert_eq!(did.outcome, Ok(done(false)), "{name}");
    }
    let longer = "n".repeat(65);
    for name in ["", "_a", ".a", "-a", "a b", "é", "a\n", &longer] {
        machine
            .run(T0, register_tools("s", "w", &[("good", b"1"), (name, b"1")]))
            .only_refuses(
                RejectionKind::Invalid,
                &format!(
                    "{name:?} is no name of a tool; hint: use 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
                ),
            );
    }
    assert_eq!(machine.session("s").tools, 5);
}

#[test]
fn sizes_and_counts_are_exact() {
    let mut machine = Machine::with_session("s");
    machine.limits.value_bytes_max = 3;
    machine.limits.tools_per_session_max = 2;
    machine
        .run(T0, register_tools("s", "w", &[("a", b"1234")]))
        .only_refuses(
            RejectionKind::Invalid,
            "tool a has 4 bytes, the limit value_bytes_max is 3; hint: shorten its description",
        );
    machine
        .run(T0, register_tools("s", "w", &[("a", b"123")]))
        .outcome
        .unwrap();
    machine
        .run(T0, register_tools("s", "w", &[("a", b"1"), ("b", b"1"), ("c", b"1")]))
        .only_refuses(
            RejectionKind::Exhausted,
            "session s would have 3 tools, the limit tools_per_session_max is 2; hint: register fewer or raise the limit",
        );
    machine
        .run(T0, register_tools("s", "w", &[("a", b"1"), ("b", b"1")]))
        .outcome
        .unwrap();
    // A full session still takes what it has.
    machine
        .run(T0, register_tools("s", "w", &[("a", b"2")]))
        .outcome
        .unwrap();
    let longest = "w".repeat(WORKER_ID_BYTES_MAX);
    machine
        .run(T0, register_tools("s", &longest, &[]))
        .only_answers(done(true));
    machine
        .run(T0, register_tools("s", &format!("{longest}w"), &[]))
        .only_refuses(
            RejectionKind::Invalid,
            "worker_id has 1025 bytes, the limit is 1024; hint: shorten it",
        );
}
