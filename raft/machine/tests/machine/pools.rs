//! Pools of the cluster.

use snakepit_machine::{
    Answer, Body, HeadRow, Payload, PoolRow, PutPool, RejectionKind, Row, RowKey, Rows, RowsExt,
};

use crate::support::*;

const SMALL: &str = r#"{"size":1}"#;
const LARGE: &str = r#"{"size":9}"#;

fn put_at(name: &str, definition_json: &str, expected_version: u64) -> Body {
    Body::PutPool(PutPool {
        name: name.into(),
        definition_json: definition_json.into(),
        expected_version,
        create_only: false,
    })
}

fn put_new(name: &str, definition_json: &str) -> Body {
    Body::PutPool(PutPool {
        name: name.into(),
        definition_json: definition_json.into(),
        expected_version: 0,
        create_only: true,
    })
}

fn payload(name: &str, definition_json: &str, version: u64) -> Payload {
    Payload::PoolPut {
        name: name.into(),
        definition_json: definition_json.into(),
        version,
    }
}

fn row(name: &str, definition_json: &str, version: u64, times_ms: (u64, u64)) -> PoolRow {
    PoolRow {
        name: name.into(),
        definition_json: definition_json.into(),
        version,
        created_ms: times_ms.0,
        updated_ms: times_ms.1,
    }
}

fn pool_row(row: PoolRow) -> (RowKey, Option<Row>) {
    (RowKey::Pool(row.name.clone()), Some(Row::Pool(row)))
}

/// After so many events, all of pools.
fn head_row(position: u64, time_ms: u64, pools: u64) -> (RowKey, Option<Row>) {
    let row = HeadRow {
        position,
        time_ms,
        revision: position,
        pools,
        pools_position: position,
        ..HeadRow::default()
    };
    (RowKey::Head, Some(Row::Head(row)))
}

#[test]
fn a_pool_is_defined_changed_and_removed() {
    let mut machine = Machine::default();
    let did = machine.run(T0, put_pool("p", SMALL));
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::PoolPut { version: 1 }),
            events: vec![event((1, 1, 1), "", T0, None, payload("p", SMALL, 1))],
            changes: changed(vec![
                head_row(1, T0, 1),
                pool_row(row("p", SMALL, 1, (T0, T0))),
            ]),
        }
    );
    let did = machine.run(T0 + 5, put_pool("p", LARGE));
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::PoolPut { version: 2 }),
            events: vec![event((2, 2, 2), "", T0 + 5, None, payload("p", LARGE, 2))],
            changes: changed(vec![
                head_row(2, T0 + 5, 1),
                pool_row(row("p", LARGE, 2, (T0, T0 + 5))),
            ]),
        }
    );
    let did = machine.run(T0 + 6, remove_pool("p"));
    let removed = Payload::PoolRemoved {
        name: "p".into(),
        version: 2,
    };
    assert_eq!(
        did,
        Did {
            outcome: Ok(Answer::Done { existed: true }),
            events: vec![event((3, 3, 3), "", T0 + 6, None, removed)],
            changes: changed(vec![
                head_row(3, T0 + 6, 0),
                (RowKey::Pool("p".into()), None),
            ]),
        }
    );
    machine
        .run(T0 + 7, remove_pool("p"))
        .only_answers(Answer::Done { existed: false });
    // Whoever comes after it begins anew.
    let did = machine.run(T0 + 8, put_pool("p", SMALL));
    assert_eq!(did.outcome, Ok(Answer::PoolPut { version: 1 }));
    machine.check_replay();
}

#[test]
fn the_same_definition_is_no_change() {
    let mut machine = Machine::default();
    for definition in [SMALL, LARGE] {
        machine.run(T0, put_pool("p", definition)).outcome.unwrap();
    }
    for body in [put_pool("p", LARGE), put_at("p", LARGE, 2)] {
        machine
            .run(T0, body)
            .only_answers(Answer::PoolPut { version: 2 });
    }
}

#[test]
fn an_expected_version_must_hold() {
    let mut machine = Machine::default();
    machine.run(T0, put_at("p", SMALL, 1)).only_refuses(
        RejectionKind::Conflict,
        "pool p is at version 0, not 1; hint: read it again and retry",
    );
    machine.run(T0, put_pool("p", SMALL)).outcome.unwrap();
    let did = machine.run(T0, put_at("p", LARGE, 1));
    assert_eq!(did.outcome, Ok(Answer::PoolPut { version: 2 }));
    // Also where the definition is there already.
    for definition in [SMALL, LARGE] {
        machine.run(T0, put_at("p", definition, 1)).only_refuses(
            RejectionKind::Conflict,
            "pool p is at version 2, not 1; hint: read it again and retry",
        );
    }
}

#[test]
fn a_pool_can_be_only_created() {
    let mut machine = Machine::default();
    let did = machine.run(T0, put_new("p", SMALL));
    assert_eq!(did.outcome, Ok(Answer::PoolPut { version: 1 }));
    for definition in [SMALL, LARGE] {
        machine.run(T0, put_new("p", definition)).only_refuses(
            RejectionKind::AlreadyExists,
            "pool p exists, at version 1; hint: give another name, or change it",
        );
    }
}

#[test]
fn names_definitions_and_counts_are_exact() {
    let mut machine = Machine::default();
    machine.limits.pool_bytes_max = 10;
    machine.limits.pools_max = 3;
    let longest = "n".repeat(64);
    for name in ["A-b_9", "-", &longest] {
        machine.run(T0, put_pool(name, SMALL)).outcome.unwrap();
    }
    let longer = "n".repeat(65);
    for name in ["", "a.b", "a b", "é", "a/b", "a\n", &longer] {
        machine.run(T0, put_pool(name, SMALL)).only_refuses(
            RejectionKind::Invalid,
            &format!("{name:?} is no name of a pool; hint: use 1 to 64 of A-Z a-z 0-9 _ -"),
        );
    }
    machine.run(T0, put_pool("-", "")).only_refuses(
        RejectionKind::Invalid,
        "the definition of pool - is empty; hint: give a JSON object of its settings",
    );
    machine.run(T0, put_pool("-", "01234567890")).only_refuses(
        RejectionKind::Invalid,
        "the definition of pool - has 11 bytes, the limit pool_bytes_max is 10; hint: shorten it or raise the limit",
    );
    machine.run(T0, put_pool("fourth", SMALL)).only_refuses(
        RejectionKind::Exhausted,
        "there are 3 pools, the limit pools_max is 3; hint: remove pools or raise the limit",
    );
    // What is there can still be changed, and one that goes makes room.
    machine.run(T0, put_pool("-", LARGE)).outcome.unwrap();
    machine.run(T0, remove_pool("-")).outcome.unwrap();
    machine.run(T0, put_pool("fourth", SMALL)).outcome.unwrap();
    assert_eq!(machine.head().pools, 3);
}

#[test]
fn a_repeated_request_takes_effect_once() {
    let mut machine = Machine::default();
    let first = Answer::PoolPut { version: 1 };
    let did = machine.request(T0, "r", put_pool("p", SMALL));
    assert_eq!(did.outcome, Ok(first.clone()));
    machine.run(T0, put_pool("p", LARGE)).outcome.unwrap();
    machine
        .request(T0, "r", put_pool("p", SMALL))
        .only_answers(first);
    let kept = RowKey::Request(String::new(), 0, "0:r".into());
    assert!(machine.rows.get(&kept).unwrap().is_some());
    machine.request(T0, "q", remove_pool("p")).outcome.unwrap();
    machine
        .request(T0, "q", remove_pool("p"))
        .only_answers(Answer::Done { existed: true });
    machine.check_replay();
}

#[test]
fn other_events_leave_the_position_of_pools() {
    let mut machine = Machine::default();
    machine.run(T0, put_pool("p", SMALL)).outcome.unwrap();
    machine.run(T0, create("s", TTL_MS)).outcome.unwrap();
    machine
        .run(T0, put_program("", "p", int(1), TTL_MS))
        .outcome
        .unwrap();
    let head = machine.head();
    assert_eq!((head.pools_position, head.position), (1, 3));
    machine.run(T0, delete("s")).outcome.unwrap();
    let held = machine.rows.pool("p").unwrap();
    assert_eq!(held, Some(row("p", SMALL, 1, (T0, T0))));
    assert_eq!(machine.rows.pool("none").unwrap(), None);
}
