//! The journal of tool calls.

use snakepit_machine::{
    Answer, Body, CALL_EXTRA_BYTES_MAX, CALL_OUTCOMES, CALL_READS_MAX, CHUNKS_PER_BATCH_MAX,
    CallChunks, CallEnd, CallReads, CallRecord, CallStart, HeadRow, Payload, RECORDED_CALLS_MAX,
    RECORDED_READS_MAX, RejectionKind, Row, RowKey, SessionRow,
};

use crate::support::*;

fn started(position: u64) -> Answer {
    Answer::CallStarted {
        call_id: "c".into(),
        node: 3,
        position,
    }
}

fn ended(position: u64) -> Answer {
    Answer::CallEnded {
        outcome: "ok".into(),
        result: b"result".to_vec(),
        position,
    }
}

fn put(position: u64) -> Answer {
    Answer::CallChunksPut {
        position,
        first: 3,
        count: 2,
    }
}

fn start_payload() -> Payload {
    Payload::CallStarted {
        of_session: "s".into(),
        call_id: "c".into(),
        pool: "p".into(),
        tool: "train".into(),
        tool_version: "1.2".into(),
        idempotency_key: "key".into(),
        arguments: b"arguments".to_vec(),
        arguments_digest: vec![1; 32],
        deadline_ms: 30_000,
        attempt: 1,
    }
}

fn end_payload() -> Payload {
    Payload::CallEnded {
        of_session: "s".into(),
        call_id: "c".into(),
        pool: "p".into(),
        tool: "train".into(),
        worker: "w".into(),
        node: 2,
        outcome: "ok".into(),
        error_type: String::new(),
        result: b"result".to_vec(),
        result_digest: vec![2; 32],
        duration_us: 70_000,
        queued_us: 300,
        chunks: 5,
        attempts: 1,
        idempotency_key: "key".into(),
        reads: call_reads(2),
    }
}

fn chunks_payload() -> Payload {
    Payload::CallChunksPut {
        of_session: "s".into(),
        call_id: "c".into(),
        batch: 1,
        first: 3,
        chunks: vec![b"three".to_vec(), Vec::new()],
    }
}

/// The commands of a call's life, what they answer from a position on, and their events.
fn life(session_id: &str, position: u64) -> [(Body, Answer, Payload); 3] {
    [
        (
            Body::StartCall(call_start(session_id, "c")),
            started(position),
            start_payload(),
        ),
        (
            Body::PutChunks(call_chunks(session_id, "c")),
            put(position + 1),
            chunks_payload(),
        ),
        (
            Body::EndCall(call_end(session_id, "c")),
            ended(position + 2),
            end_payload(),
        ),
    ]
}

#[test]
fn a_call_of_a_session_only_goes_into_its_log() {
    let mut machine = Machine::with_session("s");
    for (number, (body, answer, payload)) in (2..).zip(life("s", 2)) {
        let did = machine.run(T0 + 5, body);
        assert_eq!(
            did,
            Did {
                outcome: Ok(answer),
                events: vec![event((number, number, number), "s", T0 + 5, None, payload)],
                changes: changed(vec![
                    head(number, T0 + 5, 1),
                    session_row(SessionRow {
                        revision: number,
                        ..new_session("s", T0)
                    }),
                ]),
            }
        );
    }
    machine.check_replay();
}

#[test]
fn a_call_of_no_session_touches_none() {
    let mut machine = Machine::default();
    for (number, (body, answer, payload)) in (1..).zip(life("", 1)) {
        let did = machine.run(T0, body);
        let row = HeadRow {
            position: number,
            time_ms: T0,
            revision: number,
            ..HeadRow::default()
        };
        assert_eq!(
            did,
            Did {
                outcome: Ok(answer),
                events: vec![event((number, number, number), "", T0, None, payload)],
                changes: changed(vec![(RowKey::Head, Some(Row::Head(row)))]),
            }
        );
    }
    machine.check_replay();
}

#[test]
fn calls_that_ended_are_one_event_of_no_session() {
    let mut machine = Machine::with_session("s");
    let calls = vec![call_record("c"), call_record("d")];
    let did = machine.run(T0 + 5, record(calls.clone()));
    let row = HeadRow {
        position: 2,
        time_ms: T0 + 5,
        sessions: 1,
        revision: 1,
        ..HeadRow::default()
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::Done { existed: true }),
            events: vec![event(
                (2, 1, 2),
                "",
                T0 + 5,
                None,
                Payload::CallsRecorded { calls }
            )],
            changes: changed(vec![(RowKey::Head, Some(Row::Head(row)))]),
        }
    );
    machine
        .run(T0 + 5, record(vec![]))
        .only_answers(Answer::Done { existed: true });
    machine.check_replay();
}

#[test]
fn a_repeated_call_gets_the_first_answer() {
    for session_id in ["s", ""] {
        let mut machine = Machine::with_session("s");
        for (number, (body, answer, _)) in life(session_id, 2).into_iter().enumerate() {
            let request_id = format!("r{number}");
            let did = machine.request(T0, &request_id, body.clone());
            assert_eq!(did.outcome, Ok(answer.clone()));
            assert_eq!(did.events[0].answer, Some(answer.clone()));
            machine
                .request(T0 + 1, &request_id, body)
                .only_answers(answer);
        }
        // Whoever comes second, from another node and with another call, learns of the first.
        let mut late = command("r0", Body::StartCall(call_start(session_id, "other")));
        late.origin.node = 9;
        machine.step(T0 + 2, &late).only_answers(started(2));
        let mut other = call_end(session_id, "other");
        other.outcome = "lost".into();
        machine
            .request(T0 + 2, "r2", Body::EndCall(other))
            .only_answers(ended(4));
        machine
            .request(T0, "r", record(vec![call_record("c")]))
            .outcome
            .unwrap();
        machine
            .request(T0, "r", record(vec![call_record("d")]))
            .only_answers(Answer::Done { existed: true });
        machine.check_replay();
    }
}

#[test]
fn a_call_is_a_use_of_its_session() {
    let mut machine = Machine::with_session("s");
    let later = T0 + TTL_MS / 2;
    machine
        .run(later, Body::StartCall(call_start("s", "c")))
        .outcome
        .unwrap();
    assert_eq!(machine.session("s").touched_ms, later);
    // What is of no session extends none, whatever it names.
    machine
        .run(T0 + TTL_MS, Body::EndCall(call_end("", "c")))
        .outcome
        .unwrap();
    assert_eq!(machine.session("s").touched_ms, later);
    machine.check_replay();
}

#[test]
fn a_session_that_is_gone_has_no_calls() {
    for (body, _, _) in life("t", 2) {
        Machine::with_session("s")
            .run(T0, body)
            .only_refuses(RejectionKind::NotFound, "Session not found: t");
    }
    for (body, _, _) in life("s", 2) {
        Machine::with_session("s")
            .run(T0 + TTL_MS, body)
            .only_refuses(RejectionKind::NotFound, "Session not found: s");
    }
}

#[test]
fn names_are_bounded() {
    let longest = || "n".repeat(256);
    let longer = || "n".repeat(257);
    let mut machine = Machine::default();
    let full = Body::StartCall(CallStart {
        of_session: longest(),
        pool: longest(),
        tool: longest(),
        tool_version: longest(),
        idempotency_key: longest(),
        ..call_start("", &longest())
    });
    machine.run(T0, full).outcome.unwrap();
    let record_of = |call: CallRecord| record(vec![call_record("good"), call]);
    for (field, body) in [
        ("call_id", Body::StartCall(call_start("", ""))),
        ("call_id", Body::EndCall(call_end("", ""))),
        ("call_id", Body::PutChunks(call_chunks("", ""))),
        ("call_id", record_of(call_record(""))),
        (
            "tool",
            Body::StartCall(CallStart {
                tool: String::new(),
                ..call_start("", "c")
            }),
        ),
        (
            "tool",
            Body::EndCall(CallEnd {
                tool: String::new(),
                ..call_end("", "c")
            }),
        ),
        (
            "tool",
            record_of(CallRecord {
                tool: String::new(),
                ..call_record("c")
            }),
        ),
    ] {
        let message = format!("{field} is empty; hint: give 1 to 256 bytes");
        machine
            .run(T0, body)
            .only_refuses(RejectionKind::Invalid, &message);
    }
    for (field, body) in [
        ("call_id", Body::StartCall(call_start("", &longer()))),
        (
            "tool",
            Body::StartCall(CallStart {
                tool: longer(),
                ..call_start("", "c")
            }),
        ),
        (
            "of_session",
            Body::StartCall(CallStart {
                of_session: longer(),
                ..call_start("", "c")
            }),
        ),
        (
            "pool",
            Body::StartCall(CallStart {
                pool: longer(),
                ..call_start("", "c")
            }),
        ),
        (
            "tool_version",
            Body::StartCall(CallStart {
                tool_version: longer(),
                ..call_start("", "c")
            }),
        ),
        (
            "idempotency_key",
            Body::StartCall(CallStart {
                idempotency_key: longer(),
                ..call_start("", "c")
            }),
        ),
        (
            "worker",
            Body::EndCall(CallEnd {
                worker: longer(),
                ..call_end("", "c")
            }),
        ),
        (
            "of_session",
            Body::PutChunks(CallChunks {
                of_session: longer(),
                ..call_chunks("", "c")
            }),
        ),
        (
            "session_id",
            record_of(CallRecord {
                session_id: longer(),
                ..call_record("c")
            }),
        ),
        (
            "principal",
            record_of(CallRecord {
                principal: longer(),
                ..call_record("c")
            }),
        ),
        (
            "request_id",
            record_of(CallRecord {
                request_id: longer(),
                ..call_record("c")
            }),
        ),
    ] {
        let message = format!("{field} has 257 bytes, the limit is 256; hint: shorten it");
        machine
            .run(T0, body)
            .only_refuses(RejectionKind::Invalid, &message);
    }
}

#[test]
fn reads_are_bounded() {
    let of = |reads: CallReads| CallRecord {
        reads,
        ..call_record("c")
    };
    let mut machine = Machine::default();
    let most = call_reads(CALL_READS_MAX as u64);
    let end = |reads: CallReads| {
        Body::EndCall(CallEnd {
            reads,
            ..call_end("", "c")
        })
    };
    machine.run(T0, end(most.clone())).outcome.unwrap();
    let full = RECORDED_READS_MAX / CALL_READS_MAX;
    let calls = vec![of(most.clone()); full];
    machine.run(T0, record(calls.clone())).outcome.unwrap();
    let more = [calls, vec![of(call_reads(1))]].concat();
    machine.run(T0, record(more)).only_refuses(
        RejectionKind::Invalid,
        "the record has 8193 reads, the limit is 8192; hint: record fewer calls at once",
    );
    let beyond = call_reads(CALL_READS_MAX as u64 + 1);
    for body in [end(beyond.clone()), record(vec![of(beyond)])] {
        machine.run(T0, body).only_refuses(
            RejectionKind::Invalid,
            "the call has 257 reads, the limit is 256; hint: count what is left out",
        );
    }
    let mut unnamed = call_reads(1);
    unnamed.noted[0].name.clear();
    for body in [end(unnamed.clone()), record(vec![of(unnamed)])] {
        machine.run(T0, body).only_refuses(
            RejectionKind::Invalid,
            "reads.name is empty; hint: give 1 to 256 bytes",
        );
    }
}

#[test]
fn a_call_ends_in_one_of_six_ways() {
    let mut machine = Machine::default();
    for outcome in CALL_OUTCOMES {
        let body = CallEnd {
            outcome: outcome.into(),
            error_type: "e".repeat(1_024),
            ..call_end("", "c")
        };
        machine.run(T0, Body::EndCall(body)).outcome.unwrap();
    }
    let odd = || "done".to_owned();
    let bodies = [
        Body::EndCall(CallEnd {
            outcome: odd(),
            ..call_end("", "c")
        }),
        record(vec![CallRecord {
            outcome: odd(),
            ..call_record("c")
        }]),
    ];
    for body in bodies {
        machine.run(T0, body).only_refuses(
            RejectionKind::Invalid,
            "\"done\" is no outcome of a call; hint: use one of ok, raised, lost, cancelled, deadline, refused",
        );
    }
    let body = CallEnd {
        error_type: "e".repeat(1_025),
        ..call_end("", "c")
    };
    machine.run(T0, Body::EndCall(body)).only_refuses(
        RejectionKind::Invalid,
        "error_type has 1025 bytes, the limit is 1024; hint: shorten it",
    );
}

#[test]
fn digests_have_32_bytes_or_none() {
    let mut machine = Machine::default();
    let start = |bytes| {
        Body::StartCall(CallStart {
            arguments_digest: vec![0; bytes],
            ..call_start("", "c")
        })
    };
    machine.run(T0, start(0)).outcome.unwrap();
    for bytes in [31, 33] {
        let end = CallEnd {
            result_digest: vec![0; bytes],
            ..call_end("", "c")
        };
        let recorded = CallRecord {
            result_digest: vec![0; bytes],
            ..call_record("c")
        };
        for (field, body) in [
            ("arguments_digest", start(bytes)),
            ("result_digest", Body::EndCall(end)),
            ("result_digest", record(vec![recorded])),
        ] {
            let message = format!("{field} has {bytes} bytes; hint: give 32 or none");
            machine
                .run(T0, body)
                .only_refuses(RejectionKind::Invalid, &message);
        }
    }
}

#[test]
fn sizes_and_counts_are_exact() {
    let mut machine = Machine::default();
    machine.limits.value_bytes_max = 4;
    let most = usize::try_from(CALL_EXTRA_BYTES_MAX).unwrap() + 4;
    let of = |bytes: usize| {
        let start = CallStart {
            arguments: vec![0; bytes],
            ..call_start("", "c")
        };
        let end = CallEnd {
            result: vec![0; bytes],
            ..call_end("", "c")
        };
        let chunks = CallChunks {
            chunks: vec![vec![0; bytes - 3], vec![0; 3]],
            ..call_chunks("", "c")
        };
        [
            ("arguments", Body::StartCall(start)),
            ("result", Body::EndCall(end)),
            ("the batch of chunks", Body::PutChunks(chunks)),
        ]
    };
    for (_, body) in of(most) {
        machine.run(T0, body).outcome.unwrap();
    }
    for (what, body) in of(most + 1) {
        machine.run(T0, body).only_refuses(
            RejectionKind::Invalid,
            &format!("{what} has 65541 bytes, the limit is 65540, which is value_bytes_max and 65536; hint: send less, or raise the limit"),
        );
    }
    let chunks = |count| {
        Body::PutChunks(CallChunks {
            chunks: vec![Vec::new(); count],
            ..call_chunks("", "c")
        })
    };
    machine
        .run(T0, chunks(CHUNKS_PER_BATCH_MAX))
        .outcome
        .unwrap();
    for count in [0, CHUNKS_PER_BATCH_MAX + 1] {
        machine.run(T0, chunks(count)).only_refuses(
            RejectionKind::Invalid,
            &format!("the batch has {count} chunks; hint: put 1 to 1024 at once"),
        );
    }
    let calls = |count| record(vec![call_record("c"); count]);
    machine.run(T0, calls(RECORDED_CALLS_MAX)).outcome.unwrap();
    machine.run(T0, calls(RECORDED_CALLS_MAX + 1)).only_refuses(
        RejectionKind::Invalid,
        "the record has 1025 calls, the limit is 1024; hint: record fewer at once",
    );
}
