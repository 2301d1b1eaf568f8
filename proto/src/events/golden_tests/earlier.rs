//! What the files of earlier builds say, with today's schema.

use stored::event::Payload;
use stored::value::Kind;

use crate::stored;

/// A log, and the names of its files without build and position.
type Log = Vec<(&'static str, stored::Event)>;

fn event(position: u64, payload: Payload) -> stored::Event {
    stored::Event {
        position,
        session_id: "s".into(),
        revision: position,
        raft_index: position + 1,
        raft_term: 1,
        time_ms: 1_700_000_000_000 + position,
        principal: Some(stored::Principal {
            name: "ada".into(),
            verified: false,
        }),
        cause: Some(stored::Cause {
            request_id: format!("r-{position}"),
            node: 1,
            ..Default::default()
        }),
        answer: None,
        payload: Some(payload),
    }
}

fn answered(position: u64, payload: Payload, answer: stored::answer::Kind) -> stored::Event {
    stored::Event {
        answer: Some(stored::Answer { kind: Some(answer) }),
        ..event(position, payload)
    }
}

fn float(number: f64) -> Option<stored::Value> {
    Some(stored::Value {
        kind: Some(Kind::FloatValue(number)),
    })
}

fn registered(past: Option<stored::Past>, name: &str) -> Payload {
    Payload::VariableRegistered(stored::VariableRegistered {
        id: format!("var_{name}_1"),
        name: name.into(),
        r#type: "float".into(),
        value: float(1.5),
        constraints_json: "{}".into(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        version: 1,
        access_json: String::new(),
        past,
    })
}

fn set(past: Option<stored::Past>, version: u64, value: f64) -> Payload {
    Payload::VariableSet(stored::VariableSet {
        id: "var_x_1".into(),
        name: "x".into(),
        value: float(value),
        version,
        past,
        ..Default::default()
    })
}

fn deleted() -> Payload {
    Payload::VariableDeleted(stored::VariableDeleted {
        id: "var_y_1".into(),
        name: "y".into(),
        version: 1,
        ..Default::default()
    })
}

pub(super) fn logs() -> [(&'static str, Log); 3] {
    [
        ("first", first()),
        ("bridge", bridge()),
        ("journal", journal()),
    ]
}

/// Before configuration and origin of sessions, access rules, earlier versions and most kinds.
fn first() -> Log {
    use stored::answer::Kind as Answered;
    let created = Payload::SessionCreated(stored::SessionCreated {
        metadata: [("a".to_owned(), "b".to_owned())].into(),
        ttl_ms: 3_600_000,
        ..Default::default()
    });
    let answer = stored::SessionCreatedAnswer { created: true };
    vec![
        (
            "SessionCreated",
            answered(1, created, Answered::SessionCreated(answer)),
        ),
        ("VariableRegistered", event(2, registered(None, "x"))),
        ("VariableRegistered", event(3, registered(None, "y"))),
        ("VariableSet", event(4, set(None, 2, 2.5))),
        ("VariableDeleted", event(5, deleted())),
        (
            "SessionTouched",
            event(6, Payload::SessionTouched(stored::SessionTouched {})),
        ),
    ]
}

/// Before each write had the variable's type and rules, and answers to rollbacks and optimizations positions.
fn bridge() -> Log {
    use stored::answer::Kind as Answered;
    let past = |previous, skip| Some(stored::Past { previous, skip });
    let created = Payload::SessionCreated(stored::SessionCreated {
        ttl_ms: 3_600_000,
        enable_caching: true,
        cache_ttl_ms: 60_000,
        enable_telemetry: true,
        ..Default::default()
    });
    let rolled_back = Payload::VariableRolledBack(stored::VariableRolledBack {
        id: "var_x_1".into(),
        name: "x".into(),
        value: float(2.5),
        version: 4,
        target_version: 2,
        past: past(4, 0),
        ..Default::default()
    });
    let versions = stored::VariablesSetAnswer {
        versions: [("x".to_owned(), 4)].into(),
        ..Default::default()
    };
    let stopped = Payload::OptimizationStopped(stored::OptimizationStopped {
        id: "var_x_1".into(),
        name: "x".into(),
        optimization_id: "opt_x_1".into(),
        forced: false,
    });
    let done = stored::DoneAnswer { existed: true };
    vec![
        ("SessionCreated", event(1, created)),
        ("VariableRegistered", event(2, registered(past(0, 0), "x"))),
        ("VariableSet", event(3, set(past(2, 0), 2, 2.5))),
        ("VariableSet", event(4, set(past(3, 3), 3, 3.5))),
        (
            "VariableRolledBack",
            answered(5, rolled_back, Answered::VariablesSet(versions)),
        ),
        (
            "OptimizationStopped",
            answered(6, stopped, Answered::Done(done)),
        ),
        ("VariableRegistered", event(7, registered(past(0, 0), "y"))),
        ("VariableDeleted", event(8, deleted())),
    ]
}

/// Before sessions had subjects, and the journal what calls had read.
fn journal() -> Log {
    let created = Payload::SessionCreated(stored::SessionCreated {
        ttl_ms: 3_600_000,
        ..Default::default()
    });
    let ended = Payload::CallEnded(stored::CallEnded {
        of_session: "s".into(),
        call_id: "c".into(),
        outcome: "ok".into(),
        attempts: 1,
        ..Default::default()
    });
    let record = stored::CallRecord {
        call_id: "d".into(),
        outcome: "ok".into(),
        ..Default::default()
    };
    let recorded = Payload::CallsRecorded(stored::CallsRecorded {
        calls: vec![record],
    });
    vec![
        ("SessionCreated", event(1, created)),
        ("VariableRegistered", event(2, registered(None, "x"))),
        (
            "VariableSet",
            event(
                3,
                set(
                    Some(stored::Past {
                        previous: 2,
                        skip: 0,
                    }),
                    2,
                    2.5,
                ),
            ),
        ),
        ("CallEnded", event(4, ended)),
        ("CallsRecorded", event(5, recorded)),
    ]
}
