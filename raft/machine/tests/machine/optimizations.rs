//! Locks of optimizers: who holds them, how long, and what they keep others from.

use std::collections::{BTreeMap, BTreeSet};

use snakepit_machine::{
    Answer, Body, Event, LEASE_MAX_MS, LEASE_MIN_MS, Lock, Payload, Rejection, RejectionKind,
    SessionRow, StartOptimization, VariableRow,
};

use crate::support::*;

const LEASE_MS: u64 = 2_000;
/// The first lock of these tests.
const LOCK: &str = "opt_v_4";
const HELD: &str = "variable_locked_for_optimization: v is held by optimizer o; hint: wait until it stops, or carry its optimization id";

/// A session with v = 1 and w = 1; an optimizer of bob's holds v from T0 on.
fn machine() -> Machine {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1).outcome.unwrap();
    machine.register(T0, "s", "w", 1).outcome.unwrap();
    let did = machine.by("bob", "", T0, start("s", "v", "o", LEASE_MS));
    assert_eq!(did.outcome, Ok(started(LOCK, T0)));
    machine
}

fn started(optimization_id: &str, time_ms: u64) -> Answer {
    Answer::OptimizationStarted {
        optimization_id: optimization_id.into(),
        expires_ms: time_ms + LEASE_MS,
    }
}

fn lock(started_ms: u64, renewed_ms: u64) -> Lock {
    Lock {
        optimization_id: LOCK.into(),
        optimizer_id: "o".into(),
        principal: "bob".into(),
        config: BTreeMap::new(),
        started_ms,
        renewed_ms,
        lease_ms: LEASE_MS,
    }
}

fn session(revision: u64, updates: u64, locked: &[&str]) -> SessionRow {
    SessionRow {
        revision,
        variables: 2,
        updates,
        locked: locked.iter().map(|name| (*name).to_owned()).collect(),
        ..new_session("s", T0)
    }
}

/// As an event of bob's, through no tool.
fn of_bob(event: Event) -> Event {
    let origin = from("bob", "", touch("s")).origin;
    Event {
        principal: origin.principal,
        cause: snakepit_machine::Cause::default(),
        ..event
    }
}

fn set_v(value: i64) -> Body {
    set("s", true, vec![update("v", int(value))])
}

fn set_answer(version: u64) -> Answer {
    Answer::VariablesSet {
        versions: BTreeMap::from([("v".to_owned(), version)]),
        refused: BTreeMap::new(),
    }
}

fn locked_out() -> Answer {
    Answer::VariablesSet {
        versions: BTreeMap::new(),
        refused: BTreeMap::from([("v".to_owned(), Rejection::new(RejectionKind::Refused, HELD))]),
    }
}

fn stopped(forced: bool) -> Payload {
    Payload::OptimizationStopped {
        id: "var_v_2".into(),
        name: "v".into(),
        optimization_id: LOCK.into(),
        forced,
    }
}

#[test]
fn a_lock_is_one_event_and_is_noted_on_the_variable_and_the_session() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1).outcome.unwrap();
    machine.register(T0, "s", "w", 1).outcome.unwrap();
    let body = Body::StartOptimization(StartOptimization {
        session_id: "s".into(),
        identifier: "var_v_2".into(),
        optimizer_id: "o".into(),
        config: map(&[("k", "v")]),
        lease_ms: LEASE_MS,
    });
    let did = machine.by("bob", "", T0 + 5, body);
    let payload = Payload::OptimizationStarted {
        id: "var_v_2".into(),
        name: "v".into(),
        optimization_id: LOCK.into(),
        optimizer_id: "o".into(),
        config: map(&[("k", "v")]),
        lease_ms: LEASE_MS,
        renewed: false,
    };
    let row = VariableRow {
        lock: Some(Lock {
            config: map(&[("k", "v")]),
            ..lock(T0 + 5, T0 + 5)
        }),
        ..new_variable("v", 2, T0, 1)
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(started(LOCK, T0 + 5)),
            events: vec![of_bob(event((4, 4, 4), "s", T0 + 5, None, payload))],
            changes: changed(vec![
                head(4, T0 + 5, 1),
                session_row(session(4, 2, &["v"])),
                variable_row("s", row),
            ]),
        }
    );
    machine.check_replay();
}

#[test]
fn only_requests_that_carry_the_id_write() {
    let writes = || {
        [
            register("s", "v", "integer", int(2)),
            rollback("s", "var_v_2", 1, int(1)),
            delete_variable("s", "v"),
        ]
    };
    // Its principal alone is not enough for a write, nor is another id.
    for (who, id) in [("eve", ""), ("bob", ""), ("bob", "opt_v_5"), ("eve", "opt")] {
        for body in writes() {
            machine()
                .by(who, id, T0 + LEASE_MS - 1, body)
                .only_refuses(RejectionKind::Refused, HELD);
        }
        machine()
            .by(who, id, T0 + LEASE_MS - 1, set_v(2))
            .only_answers(locked_out());
    }
    for body in writes() {
        let did = machine().by("eve", LOCK, T0 + LEASE_MS - 1, body);
        assert_eq!(did.events.len(), 1);
    }
    let did = machine().by("eve", LOCK, T0 + LEASE_MS - 1, set_v(2));
    assert_eq!(did.outcome, Ok(set_answer(2)));
    // What is no value is not locked.
    for body in [
        set_access("s", "v", "{}"),
        depend("s", "v", "w", "derives"),
        set("s", true, vec![update("w", int(2))]),
    ] {
        assert_eq!(machine().by("eve", "", T0, body).events.len(), 1);
    }
}

#[test]
fn batches_with_a_locked_variable_are_refused_or_go_without_it() {
    let both = || vec![update("w", int(2)), update("v", int(2))];
    machine()
        .by("eve", "", T0, set("s", true, both()))
        .only_answers(locked_out());
    let mut machine = machine();
    let did = machine.by("eve", "", T0, set("s", false, both()));
    let Ok(Answer::VariablesSet { versions, refused }) = &did.outcome else {
        panic!("{did:?}")
    };
    assert_eq!(*versions, BTreeMap::from([("w".to_owned(), 2)]));
    assert_eq!(refused["v"].message, HELD);
    assert_eq!(did.events.len(), 1);
    let did = machine.by("bob", LOCK, T0, set("s", true, both()));
    assert_eq!(did.events.len(), 2);
}

#[test]
fn a_lease_ends_exactly() {
    let end = T0 + LEASE_MS;
    machine()
        .by("eve", "", end - 1, set_v(2))
        .only_answers(locked_out());
    let mut machine = machine();
    let did = machine.by("eve", "", end, set_v(2));
    assert_eq!(did.outcome, Ok(set_answer(2)));
    // The first write after it takes the lock away.
    let row = VariableRow {
        version: 2,
        value: int(2),
        updated_ms: end,
        by_tool: false,
        chain: vec![5],
        ..new_variable("v", 2, T0, 1)
    };
    assert_eq!(
        did.changes,
        changed(vec![
            head(5, end, 1),
            session_row(SessionRow {
                touched_ms: end,
                ..session(5, 3, &[])
            }),
            variable_row("s", row),
            no_deadline(T0 + TTL_MS, "s"),
            deadline(end + TTL_MS, "s"),
        ])
    );
    machine.check_replay();
}

#[test]
fn its_owner_s_writes_renew_the_lease() {
    let mut machine = machine();
    let last = T0 + LEASE_MS - 1;
    machine.by("bob", LOCK, last, set_v(2)).outcome.unwrap();
    assert_eq!(machine.variable("s", "v").lock, Some(lock(T0, last)));
    // Renewed from then on: to the last moment once more.
    let end = last + LEASE_MS;
    machine
        .by("eve", "", end - 1, set_v(3))
        .only_answers(locked_out());
    let again = [
        register("s", "v", "integer", int(3)),
        rollback("s", "var_v_2", 1, int(1)),
    ];
    for (number, body) in (1..).zip(again) {
        let time = last + number;
        machine.by("eve", LOCK, time, body).outcome.unwrap();
        assert_eq!(machine.variable("s", "v").lock, Some(lock(T0, time)));
    }
    // What does not write the variable renews nothing.
    machine
        .by(
            "bob",
            LOCK,
            last + 3,
            set("s", true, vec![update("w", int(2))]),
        )
        .outcome
        .unwrap();
    machine
        .by("bob", LOCK, last + 3, set_access("s", "v", "{}"))
        .outcome
        .unwrap();
    assert_eq!(machine.variable("s", "v").lock, Some(lock(T0, last + 2)));
    // Too late the id is worth nothing, and does no harm.
    let late = last + 2 + LEASE_MS;
    let did = machine.by("bob", LOCK, late, set_v(5));
    assert_eq!(did.outcome, Ok(set_answer(5)));
    assert_eq!(machine.variable("s", "v").lock, None);
    assert_eq!(machine.session("s").locked, BTreeSet::new());
    machine.check_replay();
}

#[test]
fn starting_again_renews_or_is_refused() {
    let held = "variable_locked_for_optimization: v is held by optimizer o; hint: wait until it stops, or stop it with force";
    let at = T0 + 500;
    for (who, id, optimizer) in [
        ("eve", "", "o"),
        ("bob", "", "other"),
        ("bob", "opt_v_5", "o"),
        ("eve", LOCK, "other"),
    ] {
        machine()
            .by(who, id, at, start("s", "v", optimizer, LEASE_MS))
            .only_refuses(RejectionKind::Refused, held);
    }
    let mut machine = machine();
    let body = StartOptimization {
        session_id: "s".into(),
        identifier: "v".into(),
        optimizer_id: "o".into(),
        config: map(&[("k", "2")]),
        lease_ms: LEASE_MS,
    };
    let did = machine.by("bob", "", at, Body::StartOptimization(body));
    assert_eq!(did.outcome, Ok(started(LOCK, at)));
    assert_eq!(
        did.payloads(),
        [&Payload::OptimizationStarted {
            id: "var_v_2".into(),
            name: "v".into(),
            optimization_id: LOCK.into(),
            optimizer_id: "o".into(),
            config: map(&[("k", "2")]),
            lease_ms: LEASE_MS,
            renewed: true,
        }]
    );
    let renewed = Lock {
        config: map(&[("k", "2")]),
        ..lock(T0, at)
    };
    assert_eq!(machine.variable("s", "v").lock, Some(renewed));
    // Once it has ended it is another lock, of whomever.
    let end = at + LEASE_MS;
    let did = machine.by("eve", "", end, start("s", "v", "o", LEASE_MS));
    assert_eq!(did.outcome, Ok(started("opt_v_6", end)));
    assert_eq!(
        machine.variable("s", "v").lock,
        Some(Lock {
            optimization_id: "opt_v_6".into(),
            principal: "eve".into(),
            ..lock(end, end)
        })
    );
    assert_eq!(
        machine.session("s").locked,
        BTreeSet::from(["v".to_owned()])
    );
    machine.check_replay();
}

#[test]
fn an_optimization_is_stopped_by_its_id_its_principal_or_by_force() {
    let held = "variable_locked_for_optimization: v is held by optimizer o, not by the one who asks; hint: give its optimization id, or use force";
    // Who asks, the id on the request, the id in the command.
    for (who, carried, id) in [
        ("eve", "", ""),
        ("bob", "", "opt_v_5"),
        ("bob", "opt_v_5", ""),
        ("eve", LOCK, "opt_v_5"),
    ] {
        machine()
            .by(who, carried, T0, stop("s", "v", id, false))
            .only_refuses(RejectionKind::Refused, held);
        let did = machine().by(who, carried, T0, stop("s", "v", id, true));
        assert_eq!(did.payloads(), [&stopped(true)]);
    }
    for (who, carried, id, force) in [
        ("bob", "", "", false),
        ("eve", LOCK, "", false),
        ("eve", "", LOCK, false),
        ("bob", "", "", true),
    ] {
        let mut machine = machine();
        let did = machine.by(who, carried, T0 + 5, stop("s", "var_v_2", id, force));
        assert_eq!(
            did.outcome,
            Ok(Answer::OptimizationStopped {
                existed: true,
                position: 2
            })
        );
        assert_eq!(did.payloads(), [&stopped(false)]);
        assert_eq!(
            did.changes,
            changed(vec![
                head(5, T0 + 5, 1),
                session_row(session(5, 2, &[])),
                variable_row("s", new_variable("v", 2, T0, 1)),
            ])
        );
        machine
            .by(who, carried, T0 + 5, stop("s", "v", id, force))
            .only_answers(Answer::OptimizationStopped {
                existed: false,
                position: 2,
            });
        machine.check_replay();
    }
    // At its end there is nothing to stop.
    machine()
        .by("eve", "", T0 + LEASE_MS, stop("s", "v", "", false))
        .only_answers(Answer::OptimizationStopped {
            existed: false,
            position: 2,
        });
}

#[test]
fn leases_and_names_have_their_limits() {
    let mut machine = Machine::with_session("s");
    machine.register(T0, "s", "v", 1).outcome.unwrap();
    for lease in [0, LEASE_MIN_MS - 1, LEASE_MAX_MS + 1, u64::MAX] {
        machine.run(T0, start("s", "v", "o", lease)).only_refuses(
            RejectionKind::Invalid,
            &format!("lease_ms is {lease}, it must be 1000 to 86400000; hint: give another, or 0 for the default"),
        );
    }
    machine.run(T0, start("s", "v", "", LEASE_MS)).only_refuses(
        RejectionKind::Invalid,
        "optimizer_id is empty; hint: give 1 to 256 bytes",
    );
    machine
        .run(T0, start("s", "v", &"o".repeat(257), LEASE_MS))
        .only_refuses(
            RejectionKind::Invalid,
            "optimizer_id has 257 bytes, the limit is 256; hint: shorten it",
        );
    machine
        .run(T0, start("s", "x", "o", LEASE_MS))
        .only_refuses(RejectionKind::NotFound, "Variable not found: x");
    machine
        .run(T0, stop("s", "x", "", true))
        .only_refuses(RejectionKind::NotFound, "Variable not found: x");
    machine.limits.metadata_bytes_max = 4;
    let config = |value: &str| {
        Body::StartOptimization(StartOptimization {
            session_id: "s".into(),
            identifier: "v".into(),
            optimizer_id: "o".into(),
            config: map(&[("k", value)]),
            lease_ms: LEASE_MIN_MS,
        })
    };
    machine.run(T0, config("1234")).only_refuses(
        RejectionKind::Invalid,
        "metadata has 5 bytes, the limit metadata_bytes_max is 4; hint: keep large things in variables",
    );
    machine.run(T0, config("123")).outcome.unwrap();
    machine
        .run(T0, start("s", "v", "o", LEASE_MAX_MS))
        .outcome
        .unwrap();
}

#[test]
fn a_session_whose_variables_are_held_is_deleted_by_their_owner_or_by_force() {
    let held =
        "variable v of session s is held by optimizer o; hint: stop the optimization, or use force";
    for (who, carried) in [("eve", ""), ("bob", "opt_v_5")] {
        machine()
            .by(who, carried, T0 + LEASE_MS - 1, delete("s"))
            .only_refuses(RejectionKind::Refused, held);
    }
    for (who, carried, time, body) in [
        ("bob", "", T0, delete("s")),
        ("eve", LOCK, T0, delete("s")),
        ("eve", "", T0, force_delete("s")),
        ("eve", "", T0 + LEASE_MS, delete("s")),
        ("eve", "", T0 + TTL_MS, expire("s")),
    ] {
        let mut machine = machine();
        let did = machine.by(who, carried, time, body);
        let answer = Answer::SessionDeleted {
            existed: true,
            resources: 2,
        };
        assert_eq!(did.outcome, Ok(answer));
        assert_eq!(machine.keys(), [snakepit_machine::RowKey::Head]);
    }
}

#[test]
fn a_deleted_variable_s_lock_is_gone() {
    let mut machine = machine();
    machine
        .by("bob", LOCK, T0, delete_variable("s", "v"))
        .outcome
        .unwrap();
    assert_eq!(machine.session("s").locked, BTreeSet::new());
    machine.register(T0, "s", "v", 1).outcome.unwrap();
    assert_eq!(machine.variable("s", "v"), new_variable("v", 6, T0, 1));
    machine.check_replay();
}
