//! How fast the Raft log is: `cargo run --release -p snakepit-storage --example log_flush [dir]`. One caller
//! that waits for each flush, then many that share flushes.

#![allow(clippy::print_stdout)]

use std::io;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use snakepit_machine::{Body, Command, Limits, Origin, Proposal, SetVariable, SetVariables, Value};
use snakepit_storage::codec::payload::{self, EntryPayload};
use snakepit_storage::{EntryId, LogEntry, LogStorage, RaftStore};

const PAYLOAD_BYTES: usize = 1_024;

fn main() -> io::Result<()> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "log_flush.data".into());
    let log = RaftStore::open(dir.as_ref())?;
    let value = Value::String("x".repeat(PAYLOAD_BYTES));
    let update = SetVariable {
        identifier: "v".into(),
        value: Ok(value),
        expected_version: 0,
    };
    let body = Body::SetVariables(SetVariables {
        session_id: "s".into(),
        atomic: true,
        updates: vec![update],
        metadata: Default::default(),
    });
    let commands = vec![Command {
        origin: Origin::default(),
        body,
    }];
    let proposal = Proposal {
        time_ms: 1,
        limits: Limits::default(),
        commands,
    };
    let payload = payload::encode(&EntryPayload::Proposal(proposal))?;
    let mut index = log.bounds()?.1.map_or(0, |last| last.index + 1);

    for in_flight in [1, 8, 64, 512] {
        let mut waits = Vec::new();
        let began = Instant::now();
        let mut pending = std::collections::VecDeque::new();
        while began.elapsed() < Duration::from_secs(2) {
            let (done, flushed) = sync_channel(1);
            let sent = Instant::now();
            let entry = LogEntry {
                id: EntryId { term: 1, index },
                payload: payload.clone(),
            };
            let tell = move |result: io::Result<()>| {
                let _ = done.send(result.map(|()| sent.elapsed()));
            };
            log.append(vec![entry], Box::new(tell))?;
            index += 1;
            pending.push_back(flushed);
            while pending.len() >= in_flight {
                let oldest = pending.pop_front().map(|flushed| flushed.recv());
                waits.push(
                    oldest
                        .into_iter()
                        .flatten()
                        .next()
                        .expect("the writer answers")?,
                );
            }
        }
        waits.sort();
        println!(
            "{in_flight:>4} in flight: {:>8.0} appends/s, p50 {:?}, p99 {:?}",
            waits.len() as f64 / began.elapsed().as_secs_f64(),
            waits[waits.len() / 2],
            waits[waits.len() * 99 / 100],
        );
    }
    Ok(())
}
