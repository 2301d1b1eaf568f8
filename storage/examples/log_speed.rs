//! How fast the log is as evidence, on one node and without Raft:
//! `cargo run --release -p snakepit-storage --example log_speed [events] [dir]`. Values of 256 bytes.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use snakepit_machine::{
    Body, Command, CreateSession, Limits, Origin, Proposal, RegisterVariable, SetVariable,
    SetVariables, Value,
};
use snakepit_storage::codec::stored_event::{GENESIS, chain};
use snakepit_storage::replay::in_threads;
use snakepit_storage::tree::{Frontier, leaf_hash};
use snakepit_storage::{ApplyEntry, ApplyPayload, EntryId, StateStorage, StateStore, StoredEvent};

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const VALUE_BYTES: usize = 256;
/// Variables of each session.
const VARIABLES: u64 = 10;
/// Events of each session.
const SESSION_EVENTS: u64 = 10_000;
/// Events in one apply.
const APPLY_EVENTS: usize = 256;
/// Positions at which a session is looked at.
const LOOKS: u64 = 200;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())
        .map_err(io::Error::other)?;
    let dir = arguments.next().unwrap_or_else(|| "log_speed.data".into());
    let dir = Path::new(&dir);
    let state = StateStore::open(dir)?;
    if state.head().position < count {
        let took = fill(&state, count)?;
        told("apply", count, took);
    }
    let count = state.head().position;
    let took = timed(|| read(&state, |_| Ok(())))?;
    told("read", count, took);
    verify(&state, count)?;
    let mut events = Vec::new();
    read(&state, |event| {
        if events.len() < 200_000 {
            events.push(event);
        }
        Ok(())
    })?;
    hashing(&events);
    looks(&state, count)?;
    disk(&state, dir, count)
}

fn timed(run: impl FnOnce() -> io::Result<()>) -> io::Result<Duration> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed())
}

fn told(what: &str, count: u64, took: Duration) {
    let rate = count as f64 / took.as_secs_f64();
    println!("{what}: {count} events in {took:.2?}, {rate:.0}/s");
}

/// Fill the store; the time that applying took, without making the commands.
fn fill(state: &StateStore, count: u64) -> io::Result<Duration> {
    let mut index = state.head().applied.map_or(0, |id| id.index + 1);
    let mut number = state.head().position;
    let mut took = Duration::ZERO;
    while number < count {
        let mut commands = Vec::with_capacity(APPLY_EVENTS);
        while commands.len() < APPLY_EVENTS && number < count {
            let (session, place) = (number / SESSION_EVENTS, number % SESSION_EVENTS);
            commands.push(command(session, place, number));
            number += 1;
        }
        let proposal = Proposal {
            time_ms: 1_700_000_000_000 + index,
            limits: Limits::default(),
            commands,
        };
        let began = Instant::now();
        state.apply(vec![ApplyEntry {
            id: EntryId { term: 1, index },
            payload: ApplyPayload::Proposal(proposal),
        }])?;
        took += began.elapsed();
        index += 1;
    }
    Ok(took)
}

fn command(session: u64, place: u64, number: u64) -> Command {
    let session_id = format!("session-{session}");
    let name = format!("v{}", place % VARIABLES);
    // Of random digits, so that compression finds in it what it finds in such values.
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes());
    let mut bytes = [0; VALUE_BYTES / 2];
    hasher.finalize_xof().fill(&mut bytes);
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let body = match place {
        0 => Body::CreateSession(CreateSession {
            session_id,
            metadata: Default::default(),
            ttl_ms: 3_600_000,
            config: Default::default(),
            subject: String::new(),
        }),
        1..=VARIABLES => Body::RegisterVariable(RegisterVariable {
            session_id,
            name,
            type_name: "string".into(),
            value: Value::String(text),
            constraints_json: String::new(),
            metadata: Default::default(),
            access_json: String::new(),
        }),
        _ => Body::SetVariables(SetVariables {
            session_id,
            atomic: true,
            updates: vec![SetVariable {
                identifier: name,
                value: Ok(Value::String(text)),
                expected_version: 0,
            }],
            metadata: Default::default(),
        }),
    };
    Command {
        origin: Origin {
            request_id: format!("request-{number}"),
            ..Origin::default()
        },
        body,
    }
}

fn read(state: &StateStore, mut told: impl FnMut(StoredEvent) -> io::Result<()>) -> io::Result<()> {
    let end = state.head().position;
    let mut next = 1;
    while next <= end {
        for event in state.events(next, 4_096, 8 << 20)? {
            next = event.position + 1;
            told(event)?;
        }
    }
    Ok(())
}

/// What `snakepit log verify` does, apart from its messages: all events are read, checked and folded, which is
/// the replay, and the rows that come out are those that are stored.
fn verify(state: &StateStore, count: u64) -> io::Result<()> {
    let mut replaying = Duration::ZERO;
    let took = timed(|| {
        let began = Instant::now();
        let (give, take) = mpsc::sync_channel(16);
        let replay = thread::spawn(move || in_threads(|| take.recv().ok(), &[]));
        let mut batch = Vec::new();
        read(state, |event| {
            batch.push(event);
            if batch.len() == 256 {
                give.send(std::mem::take(&mut batch))
                    .map_err(io::Error::other)?;
            }
            Ok(())
        })?;
        give.send(batch).map_err(io::Error::other)?;
        drop(give);
        let replayed = replay.join().map_err(|_| io::Error::other("a panic"))?;
        let replay = replayed.end.map_err(io::Error::other)?;
        replaying = began.elapsed();
        let digest = replay.rows_digest().map_err(io::Error::other)?;
        assert_eq!(digest, state.rows_digest()?);
        assert_eq!(replay.tree_root(), state.tree_head().1);
        // To give a million answers back one by one takes time that is nobody's.
        std::mem::forget(replay);
        Ok(())
    })?;
    told("replay", count, replaying);
    told("verify", count, took);
    Ok(())
}

/// What chain and tree cost for each event.
fn hashing(events: &[StoredEvent]) {
    let bytes: usize = events.iter().map(|event| event.bytes.len()).sum();
    println!("an event has {} bytes", bytes / events.len().max(1));
    let count = events.len() as u64;
    let began = Instant::now();
    let mut hash = GENESIS;
    let mut tree = Frontier::default();
    for event in events {
        hash = chain(&hash, &event.bytes);
        tree.push(leaf_hash(&event.bytes), |_, _| {});
    }
    black_box((hash, tree.root()));
    told("chain and tree", count, began.elapsed());
}

fn looks(state: &StateStore, count: u64) -> io::Result<()> {
    let session = format!("session-{}", count / SESSION_EVENTS / 2);
    let first = count / SESSION_EVENTS / 2 * SESSION_EVENTS;
    let mut took = Vec::new();
    for look in 0..LOOKS {
        let position = first + 1 + look * 7_919 % SESSION_EVENTS;
        let began = Instant::now();
        black_box(state.session_at(&session, position)?);
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100];
    println!(
        "state of a session of {SESSION_EVENTS} events: median {:.2?}, p99 {:.2?}, most {:.2?}",
        at(50),
        at(99),
        at(100)
    );
    Ok(())
}

fn disk(state: &StateStore, dir: &Path, count: u64) -> io::Result<()> {
    state.compact()?;
    let mut bytes = 0;
    let mut folders = vec![dir.join("state")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            match metadata.is_dir() {
                true => folders.push(entry.path()),
                false => bytes += metadata.len(),
            }
        }
    }
    let each = bytes as f64 / count as f64;
    println!(
        "on disk after compaction: {each:.0} bytes for each write of {VALUE_BYTES}, {:.2} times",
        each / VALUE_BYTES as f64
    );
    Ok(())
}
