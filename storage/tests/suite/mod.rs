//! One suite for each trait, run against every implementation; and what tests are made of.

#![allow(dead_code)]

pub mod log;
pub mod state;

use std::io;
use std::sync::mpsc::sync_channel;

use bytes::Bytes;
use snakepit_machine::{
    BindWorker, Body, CallStart, Command, CreateSession, DeleteSession, DeleteVariable,
    ExpireSession, Limits, Origin, Proposal, PutPool, RegisterVariable, RemovePool, SetVariable,
    SetVariables, TouchSession, Value,
};
use snakepit_storage::codec::payload::{self, EntryPayload};
use snakepit_storage::{ApplyEntry, ApplyPayload, EntryId, Flushed, LogEntry};

/// Call a queued write and wait until it is on disk.
pub fn wait(queue: impl FnOnce(Flushed) -> io::Result<()>) {
    let (done, flushed) = sync_channel(1);
    queue(Box::new(move |result| done.send(result).unwrap())).unwrap();
    flushed.recv().unwrap().unwrap();
}

pub fn id(term: u64, index: u64) -> EntryId {
    EntryId { term, index }
}

/// An entry whose payload is a real one of about that many bytes.
pub fn entry_of(term: u64, index: u64, bytes: usize) -> LogEntry {
    let command = command("", set("s", "v", Value::String("x".repeat(bytes)), 0));
    let proposal = Proposal {
        time_ms: index,
        limits: Limits::default(),
        commands: vec![command],
    };
    LogEntry {
        id: id(term, index),
        payload: payload::encode(&EntryPayload::Proposal(proposal)).unwrap(),
    }
}

pub fn entry(term: u64, index: u64) -> LogEntry {
    entry_of(term, index, 3)
}

pub fn blank() -> Bytes {
    payload::encode(&EntryPayload::Blank).unwrap()
}

pub fn command(request_id: &str, body: Body) -> Command {
    Command {
        origin: Origin {
            request_id: request_id.into(),
            ..Origin::default()
        },
        body,
    }
}

pub fn create(session: &str, ttl_ms: u64) -> Body {
    Body::CreateSession(CreateSession {
        session_id: session.into(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        ttl_ms,
        config: Default::default(),
        subject: String::new(),
    })
}

pub fn delete(session: &str) -> Body {
    Body::DeleteSession(DeleteSession {
        session_id: session.into(),
        force: false,
    })
}

pub fn touch(session: &str) -> Body {
    Body::TouchSession(TouchSession {
        session_id: session.into(),
    })
}

pub fn expire(session: &str) -> Body {
    Body::ExpireSession(ExpireSession {
        session_id: session.into(),
    })
}

pub fn register(session: &str, name: &str, value: Value) -> Body {
    Body::RegisterVariable(RegisterVariable {
        session_id: session.into(),
        name: name.into(),
        type_name: value.type_name().into(),
        value,
        constraints_json: String::new(),
        metadata: Default::default(),
        access_json: String::new(),
    })
}

pub fn set(session: &str, name: &str, value: Value, expected_version: u64) -> Body {
    Body::SetVariables(SetVariables {
        session_id: session.into(),
        atomic: true,
        updates: vec![SetVariable {
            identifier: name.into(),
            value: Ok(value),
            expected_version,
        }],
        metadata: Default::default(),
    })
}

pub fn delete_variable(session: &str, name: &str) -> Body {
    Body::DeleteVariable(DeleteVariable {
        session_id: session.into(),
        identifier: name.into(),
    })
}

pub fn put_pool(name: &str, definition_json: &str) -> Body {
    Body::PutPool(PutPool {
        name: name.into(),
        definition_json: definition_json.into(),
        expected_version: 0,
        create_only: false,
    })
}

pub fn remove_pool(name: &str) -> Body {
    Body::RemovePool(RemovePool { name: name.into() })
}

pub fn bind(session: &str, pool: &str, worker: &str) -> Body {
    Body::BindWorker(BindWorker {
        session_id: session.into(),
        pool: pool.into(),
        node: 1,
        worker: worker.into(),
        replaces: String::new(),
    })
}

pub fn start_call(session: &str, call_id: &str) -> Body {
    Body::StartCall(CallStart {
        session_id: session.into(),
        of_session: session.into(),
        call_id: call_id.into(),
        tool: "tool".into(),
        ..CallStart::default()
    })
}

/// A committed entry with commands.
pub fn apply(index: u64, time_ms: u64, commands: Vec<Command>) -> ApplyEntry {
    let proposal = Proposal {
        time_ms,
        limits: Limits::default(),
        commands,
    };
    ApplyEntry {
        id: id(1, index),
        payload: ApplyPayload::Proposal(proposal),
    }
}

/// A state with two sessions, three variables, an ended session and kept answers; entries 0 to 5.
pub fn history() -> Vec<ApplyEntry> {
    vec![
        ApplyEntry {
            id: id(1, 0),
            payload: ApplyPayload::Membership(members(&[1, 2, 3])),
        },
        ApplyEntry {
            id: id(1, 1),
            payload: ApplyPayload::Blank,
        },
        apply(
            2,
            1_000,
            vec![
                command("r1", create("a", 60_000)),
                command("", create("b", 5_000)),
            ],
        ),
        apply(
            3,
            1_001,
            vec![
                command("r2", register("a", "x", Value::Integer(7.into()))),
                command("r3", register("a", "y", Value::Float(f64::NAN))),
                command("", register("b", "z", Value::String("text".into()))),
            ],
        ),
        apply(
            4,
            1_002,
            vec![
                command("r4", set("a", "x", Value::Integer(8.into()), 1)),
                command("r5", set("a", "x", Value::Integer(9.into()), 1)),
                command("r1", create("a", 60_000)),
            ],
        ),
        apply(
            5,
            1_003,
            vec![
                command("", create("c", 9_000)),
                command("", register("c", "w", Value::Boolean(true))),
                command("r6", delete("c")),
                command("", create("c", 8_000)),
            ],
        ),
    ]
}

pub fn members(ids: &[u64]) -> snakepit_storage::MembershipRecord {
    let mut record = snakepit_storage::MembershipRecord::default();
    record.configs.push(ids.iter().copied().collect());
    for id in ids {
        let address = snakepit_storage::NodeAddress {
            client: format!("127.0.0.1:{}", 7000 + id),
            peer: format!("127.0.0.1:{}", 7100 + id),
            http: format!("127.0.0.1:{}", 7200 + id),
        };
        record.nodes.insert(*id, address);
    }
    record
}
