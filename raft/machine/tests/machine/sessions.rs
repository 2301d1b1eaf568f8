//! Create, delete, touch, expire.

use snakepit_machine::{
    Answer, Body, CreateSession, ID_BYTES_MAX, Limits, Payload, RejectionKind, RowsExt,
    SessionConfig, SessionRow,
};

use crate::support::*;

const CONFIG: SessionConfig = SessionConfig {
    enable_caching: true,
    cache_ttl_ms: 5,
    enable_telemetry: true,
};

fn created(ttl_ms: u64) -> Payload {
    Payload::SessionCreated {
        metadata: map(&[]),
        ttl_ms,
        config: SessionConfig::default(),
        imported_from: String::new(),
        subject: String::new(),
    }
}

#[test]
fn a_new_session_is_one_event_and_three_rows() {
    let mut machine = Machine::default();
    let body = Body::CreateSession(CreateSession {
        session_id: "s".into(),
        metadata: map(&[("k", "v")]),
        ttl_ms: TTL_MS,
        config: CONFIG,
        subject: String::new(),
    });
    let did = machine.run(T0, body);
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::SessionCreated { created: true }),
            events: vec![event(
                (1, 1, 1),
                "s",
                T0,
                None,
                Payload::SessionCreated {
                    metadata: map(&[("k", "v")]),
                    ttl_ms: TTL_MS,
                    config: CONFIG,
                    imported_from: String::new(),
                    subject: String::new(),
                },
            )],
            changes: changed(vec![
                head(1, T0, 1),
                session_row(SessionRow {
                    metadata: map(&[("k", "v")]),
                    config: CONFIG,
                    ..new_session("s", T0)
                }),
                deadline(T0 + TTL_MS, "s"),
            ]),
        }
    );
}

#[test]
fn creating_a_living_session_changes_nothing() {
    let mut machine = Machine::with_session("s");
    let did = machine.run(T0 + TTL_MS - 1, create("s", 2 * TTL_MS));
    did.only_answers(Answer::SessionCreated { created: false });
    assert_eq!(machine.session("s"), new_session("s", T0));
}

#[test]
fn creating_an_expired_session_ends_the_old_one_first() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1);
    let time = T0 + TTL_MS;
    let did = machine.run(time, create("s", TTL_MS));
    let mut changes = changed(vec![
        head(4, time, 1),
        session_row(new_session("s", time)),
        no_deadline(T0 + TTL_MS, "s"),
        deadline(time + TTL_MS, "s"),
    ]);
    changes.cleared = cleared("s");
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::SessionCreated { created: true }),
            events: vec![
                event(
                    (3, 3, 3),
                    "s",
                    time,
                    None,
                    Payload::SessionExpired {
                        deadline_ms: T0 + TTL_MS
                    }
                ),
                event((4, 1, 3), "s", time, None, created(TTL_MS)),
            ],
            changes,
        }
    );
    assert_eq!(machine.rows.variable("s", "v").unwrap(), None);
}

#[test]
fn the_quota_is_checked_after_the_session_was_looked_up() {
    let mut machine = Machine::default();
    machine.limits.sessions_max = 2;
    machine.run(T0, create("a", TTL_MS)).outcome.unwrap();
    machine.run(T0, create("b", 2 * TTL_MS)).outcome.unwrap();
    machine
        .run(T0, create("a", TTL_MS))
        .only_answers(Answer::SessionCreated { created: false });
    machine.run(T0, create("c", TTL_MS)).only_refuses(
        RejectionKind::Exhausted,
        "there are 2 sessions, the limit sessions_max is 2; hint: delete sessions, shorten their ttl, or \
         raise the limit",
    );
    // An expired one makes room for itself, and only for itself.
    let time = T0 + TTL_MS;
    machine.run(time, create("c", TTL_MS)).outcome.unwrap_err();
    let did = machine.run(time, create("a", TTL_MS));
    assert_eq!(did.outcome, Ok(Answer::SessionCreated { created: true }));
    assert_eq!(
        did.payloads(),
        [
            &Payload::SessionExpired { deadline_ms: time },
            &created(TTL_MS)
        ]
    );
    assert_eq!(machine.head().sessions, 2);
}

#[test]
fn a_quota_that_was_lowered_refuses_and_leaves_the_expired_session_to_the_sweep() {
    let mut machine = Machine::default();
    for id in ["a", "b", "c"] {
        machine.run(T0, create(id, TTL_MS)).outcome.unwrap();
    }
    machine.limits.sessions_max = 2;
    machine.run(T0 + TTL_MS, create("a", TTL_MS)).only_refuses(
        RejectionKind::Exhausted,
        "there are 2 sessions, the limit sessions_max is 2; hint: delete sessions, shorten their ttl, or \
         raise the limit",
    );
    assert_eq!(machine.head().sessions, 3);
}

#[test]
fn the_ttl_has_a_least_and_a_most() {
    let limits = Limits::default();
    let (least, most) = (limits.ttl_min_ms, limits.ttl_max_ms);
    for ttl in [0, least - 1, most + 1, u64::MAX] {
        Machine::default().run(T0, create("s", ttl)).only_refuses(
            RejectionKind::Invalid,
            &format!(
                "the ttl is {ttl} ms, it must be {least} to {most} ms; hint: give another \
                 ttl_seconds, or 0 for the default"
            ),
        );
    }
    for ttl in [least, most] {
        let mut machine = Machine::default();
        machine.run(T0, create("s", ttl)).outcome.unwrap();
        assert_eq!(machine.session("s").deadline_ms(), T0 + ttl);
    }
}

#[test]
fn ids_have_1_to_256_bytes() {
    Machine::default().run(T0, create("", TTL_MS)).only_refuses(
        RejectionKind::Invalid,
        "session_id is empty; hint: give 1 to 256 bytes",
    );
    Machine::default()
        .run(T0, create(&"x".repeat(257), TTL_MS))
        .only_refuses(
            RejectionKind::Invalid,
            "session_id has 257 bytes, the limit is 256; hint: shorten it",
        );
    // Bytes, not characters.
    Machine::default()
        .run(T0, create(&"é".repeat(129), TTL_MS))
        .only_refuses(
            RejectionKind::Invalid,
            "session_id has 258 bytes, the limit is 256; hint: shorten it",
        );
    let longest = "é".repeat(ID_BYTES_MAX / 2);
    Machine::default()
        .run(T0, create(&longest, TTL_MS))
        .outcome
        .unwrap();
    Machine::default()
        .run(T0, create("s", TTL_MS))
        .outcome
        .unwrap();
}

#[test]
fn the_origin_s_texts_have_256_bytes_at_most() {
    let mut long = command(&"r".repeat(257), create("s", TTL_MS));
    Machine::default().step(T0, &long).only_refuses(
        RejectionKind::Invalid,
        "the request id has 257 bytes, the limit is 256; hint: shorten it",
    );
    long.origin.request_id.truncate(256);
    long.origin.principal.name = "p".repeat(257);
    Machine::default().step(T0, &long).only_refuses(
        RejectionKind::Invalid,
        "the principal has 257 bytes, the limit is 256; hint: shorten it",
    );
    long.origin.principal.name.truncate(256);
    long.origin.optimization_id = "o".repeat(257);
    Machine::default().step(T0, &long).only_refuses(
        RejectionKind::Invalid,
        "the optimization id has 257 bytes, the limit is 256; hint: shorten it",
    );
    long.origin.optimization_id.truncate(256);
    Machine::default().step(T0, &long).outcome.unwrap();
}

#[test]
fn a_session_s_metadata_has_an_exact_limit() {
    let with = |bytes: usize| {
        let metadata = map(&[("key", &"x".repeat(bytes - 3))]);
        Body::CreateSession(CreateSession {
            session_id: "s".into(),
            metadata,
            ttl_ms: TTL_MS,
            config: SessionConfig::default(),
            subject: String::new(),
        })
    };
    let most = usize::try_from(Limits::default().metadata_bytes_max).unwrap();
    Machine::default().run(T0, with(most)).outcome.unwrap();
    Machine::default().run(T0, with(most + 1)).only_refuses(
        RejectionKind::Invalid,
        "metadata has 65537 bytes, the limit metadata_bytes_max is 65536; hint: keep large things in variables",
    );
}

#[test]
fn a_deleted_session_leaves_nothing() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1);
    machine.register(T0, "s", "w", 1);
    let did = machine.run(T0 + 5, delete("s"));
    let mut changes = changed(vec![
        head(4, T0 + 5, 0),
        (session_key("s"), None),
        no_deadline(T0 + TTL_MS, "s"),
    ]);
    changes.cleared = cleared("s");
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::SessionDeleted {
                existed: true,
                resources: 2
            }),
            events: vec![event((4, 4, 4), "s", T0 + 5, None, Payload::SessionDeleted)],
            changes,
        }
    );
    assert_eq!(machine.keys(), [snakepit_machine::RowKey::Head]);
}

#[test]
fn deleting_a_session_that_is_not_there_changes_nothing() {
    let gone = Answer::SessionDeleted {
        existed: false,
        resources: 0,
    };
    Machine::default()
        .run(T0, delete("s"))
        .only_answers(gone.clone());
    Machine::with_session("s")
        .run(T0 + TTL_MS, delete("s"))
        .only_answers(gone);
}

#[test]
fn a_session_is_alive_until_its_deadline_and_gone_at_it() {
    let last = T0 + TTL_MS - 1;
    let none = Answer::SessionDeleted {
        existed: false,
        resources: 0,
    };
    Machine::with_session("s")
        .run(last, expire("s"))
        .only_answers(none.clone());
    Machine::default().run(last, expire("s")).only_answers(none);

    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1);
    let did = machine.run(last + 1, expire("s"));
    let mut changes = changed(vec![
        head(3, last + 1, 0),
        (session_key("s"), None),
        no_deadline(last + 1, "s"),
    ]);
    changes.cleared = cleared("s");
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::SessionDeleted {
                existed: true,
                resources: 1
            }),
            events: vec![event(
                (3, 3, 3),
                "s",
                last + 1,
                None,
                Payload::SessionExpired {
                    deadline_ms: last + 1
                },
            )],
            changes,
        }
    );
}

#[test]
fn a_session_that_is_past_its_deadline_is_gone_for_every_command() {
    let commands = [
        register("s", "v", "integer", int(1)),
        set("s", false, vec![update("v", int(1))]),
        set("s", true, vec![]),
        delete_variable("s", "v"),
        rollback("s", "var_v_2", 1, int(1)),
        set_access("s", "v", ""),
        depend("s", "v", "v", "relates"),
        undepend("s", "v", "v"),
        start("s", "v", "o", 1_000),
        stop("s", "v", "", true),
        put_program("s", "p", int(1), 0),
        delete_program("s", "p"),
        register_tools("s", "w", &[]),
    ];
    for body in commands {
        let mut machine = Machine::with_session("s");
        machine.register(T0, "s", "v", 1);
        let refusal = "Session not found: s";
        machine
            .run(T0 + TTL_MS, body.clone())
            .only_refuses(RejectionKind::NotFound, refusal);
        Machine::default()
            .run(T0, body)
            .only_refuses(RejectionKind::NotFound, refusal);
    }
    let invalid = Answer::SessionTouched { valid: false };
    Machine::with_session("s")
        .run(T0 + TTL_MS, touch("s"))
        .only_answers(invalid.clone());
    Machine::default().run(T0, touch("s")).only_answers(invalid);
}

#[test]
fn a_touch_is_recorded_once_a_tenth_of_the_ttl_has_gone_by() {
    let mut machine = Machine::with_session("s");
    let valid = Answer::SessionTouched { valid: true };
    machine
        .run(T0 + TTL_MS / 10 - 1, touch("s"))
        .only_answers(valid.clone());

    let time = T0 + TTL_MS / 10;
    let did = machine.run(time, touch("s"));
    assert_eq!(
        did,
        Did {
            outcome: Ok(valid.clone()),
            events: vec![event((2, 2, 3), "s", time, None, Payload::SessionTouched)],
            changes: changed(vec![
                head(2, time, 1),
                session_row(SessionRow {
                    touched_ms: time,
                    revision: 2,
                    ..new_session("s", T0)
                }),
                no_deadline(T0 + TTL_MS, "s"),
                deadline(time + TTL_MS, "s"),
            ]),
        }
    );
    machine.run(time, touch("s")).only_answers(valid.clone());
    machine
        .run(time + TTL_MS / 10 - 1, touch("s"))
        .only_answers(valid);
}

#[test]
fn a_touch_in_the_last_moment_saves_the_session() {
    let mut machine = Machine::with_session("s");
    let did = machine.run(T0 + TTL_MS - 1, touch("s"));
    assert_eq!(did.payloads(), [&Payload::SessionTouched]);
    assert_eq!(machine.session("s").deadline_ms(), T0 + 2 * TTL_MS - 1);
    let none = Answer::SessionDeleted {
        existed: false,
        resources: 0,
    };
    machine.run(T0 + TTL_MS, expire("s")).only_answers(none);
}

#[test]
fn an_earlier_clock_than_the_last_event_s_takes_that_event_s_time() {
    let mut machine = Machine::with_session("s");
    machine
        .run(T0 + TTL_MS / 2, create("other", TTL_MS))
        .outcome
        .unwrap();
    let did = machine.run(1, create("third", TTL_MS));
    assert_eq!(did.events[0].time_ms, T0 + TTL_MS / 2);
    assert_eq!(
        machine.session("third"),
        new_session("third", T0 + TTL_MS / 2)
    );

    // Nor does a session come back to life: the last event was made at its deadline.
    machine
        .run(T0 + TTL_MS, create("fourth", TTL_MS))
        .outcome
        .unwrap();
    machine
        .run(T0, touch("s"))
        .only_answers(Answer::SessionTouched { valid: false });
    assert_eq!(
        machine.run(T0, expire("s")).payloads(),
        [&Payload::SessionExpired {
            deadline_ms: T0 + TTL_MS
        }]
    );
}

#[test]
fn what_goes_with_a_session_is_counted() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1);
    machine.register(T0, "s", "w", 1);
    machine
        .run(T0, put_program("s", "p", int(1), 0))
        .outcome
        .unwrap();
    let tools = register_tools("s", "worker", &[("a", b"1"), ("b", b"2"), ("c", b"3")]);
    machine.run(T0, tools).outcome.unwrap();
    let row = SessionRow {
        revision: 5,
        variables: 2,
        updates: 2,
        programs: 1,
        tools: 3,
        ..new_session("s", T0)
    };
    assert_eq!(machine.session("s"), row);
    let mut expired = machine.clone();
    let all = Answer::SessionDeleted {
        existed: true,
        resources: 6,
    };
    let ends = expired.run(T0 + TTL_MS, expire("s"));
    assert_eq!(ends.outcome, Ok(all.clone()));
    assert_eq!(machine.run(T0, delete("s")).outcome, Ok(all));
    for machine in [machine, expired] {
        assert_eq!(machine.keys(), [snakepit_machine::RowKey::Head]);
        machine.check_replay();
    }
}
