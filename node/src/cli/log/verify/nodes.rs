//! The events of each node, folded again, must give what the node serves, and nodes
//! must agree.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde_json::json;
use snakepit_client::{Client, EventQuery};
use snakepit_storage::replay::{Replayed, in_threads};
use snakepit_storage::{Replay, StoredEvent};
use tokio::sync::mpsc;

use super::super::super::error::{CliError, FAILED, UNAVAILABLE};
use super::super::super::globals::Context;
use super::super::super::output::{Cell, Tone, hex, note, short_hash};
use super::super::source::{self, Events};
use crate::evidence::checkpoint::{Checkpoint, VerifyingKey};

/// Time for a node to show that it is there.
const PATIENCE: Duration = Duration::from_secs(3);

/// Events that are handed on at once.
const BATCH_EVENTS: usize = 256;
/// Batches that may wait to be replayed.
const BATCHES_WAITING: usize = 16;

/// The checkpoint that logs are held against, if there is one.
fn opened(path: Option<&Path>, key: Option<&VerifyingKey>) -> Result<Option<Checkpoint>, CliError> {
    let (path, key) = match (path, key) {
        (Some(path), Some(key)) => (path, key),
        (None, None) => return Ok(None),
        _ => {
            return Err(CliError::usage(
                "a key is of no use without what it has signed; hint: give --checkpoint FILE, or an export",
            ));
        }
    };
    let note = std::fs::read_to_string(path).map_err(CliError::file("read", path))?;
    let opened = Checkpoint::open(&note, key);
    opened.map(Some).map_err(|error| {
        CliError::failed(format!("{}: {error}", path.display()))
            .hint("take the checkpoint, and the key, from where you trust them")
    })
}

/// What a node serves, at one position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Served {
    position: u64,
    chain_head: Vec<u8>,
    /// Of the tree of all events.
    root: Vec<u8>,
    rows_digest: Vec<u8>,
    rows: u64,
}

/// A node whose log is verified.
struct Subject {
    name: String,
    served: Served,
    events: Events,
}

/// What came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Verdict {
    name: String,
    served: Served,
    /// Hash at the position that all nodes have.
    common_hash: Option<Vec<u8>>,
    /// What is wrong.
    fault: Option<String>,
    /// It did not answer: nothing is known about its log.
    unreached: bool,
}

pub(super) async fn run(
    context: &Context,
    dirs: &[PathBuf],
    checkpoint: Option<&Path>,
    key: Option<&VerifyingKey>,
) -> Result<(), CliError> {
    let checkpoint = opened(checkpoint, key)?;
    let found = if dirs.is_empty() {
        online(context).await?
    } else {
        offline(dirs)?
    };
    let subjects = found.iter().filter_map(|found| found.as_ref().ok());
    let common = subjects
        .map(|subject| subject.served.position)
        .min()
        .unwrap_or(0);
    let mut verdicts = Vec::new();
    for subject in found {
        verdicts.push(match subject {
            Ok(subject) => verify(subject, common, checkpoint.as_ref()).await,
            Err(verdict) => verdict,
        });
    }
    compare(&mut verdicts, common);
    print(context, &verdicts)?;
    let faulty = verdicts.iter().filter(|verdict| verdict.fault.is_some());
    let (unreached, failed): (Vec<_>, Vec<_>) = faulty.partition(|verdict| verdict.unreached);
    if !context.output.is_json() && !failed.is_empty() {
        note(&format!(
            "error: {} of {} logs did not pass",
            failed.len(),
            verdicts.len()
        ));
    }
    match (failed.is_empty(), unreached.is_empty()) {
        (true, true) => Ok(()),
        (false, _) => Err(CliError::said(FAILED)),
        (true, false) => Err(CliError::unavailable("not every node could be asked")
            .hint("verify it once it is back, or its directory with --dir")),
    }
}

/// Nodes that serve: those given, and those that they know where none is given.
async fn online(context: &Context) -> Result<Vec<Result<Subject, Verdict>>, CliError> {
    let client = context.client()?;
    let mut endpoints = client.endpoints();
    if !context.names_endpoints() {
        let members = client.status().await?.members;
        let members: Vec<_> = members
            .iter()
            .filter_map(|member| member.client_address.parse().ok())
            .collect();
        if !members.is_empty() {
            endpoints = members;
        }
    }
    let asked = endpoints.iter().map(|endpoint| async {
        let subject = async { ask(client.at(endpoint)?).await };
        subject.await.map_err(|error: CliError| Verdict {
            name: endpoint.to_string(),
            unreached: error.code == UNAVAILABLE,
            fault: Some(error.message),
            ..Default::default()
        })
    });
    let found = join_all(asked).await;
    if found.iter().all(Result::is_err) {
        return Err(CliError::unavailable("no node answers").hint(
            "give running nodes with --endpoints, or directories of stopped ones with --dir",
        ));
    }
    Ok(found)
}

async fn ask(client: Client) -> Result<Subject, CliError> {
    // A digest takes its time; whether anybody is there shows soon.
    let patience = client.options().timeout.min(PATIENCE);
    client.clone().with_timeout(patience).status().await?;
    let digest = client.digest(0).await?;
    let query = EventQuery {
        from: 1,
        limit: digest.position,
        ..Default::default()
    };
    let events = match digest.position {
        0 => Box::pin(futures_util::stream::empty()) as Events,
        _ => source::online(client.read_events(query)),
    };
    let head = client.checkpoint(digest.position).await?;
    let served = Served {
        position: digest.position,
        chain_head: digest.chain_head.to_vec(),
        root: head.root.to_vec(),
        rows_digest: digest.rows_digest.to_vec(),
        rows: digest.rows,
    };
    Ok(Subject {
        name: format!("{} ({})", digest.node_id, client.endpoint()),
        served,
        events,
    })
}

/// Directories of stopped nodes.
fn offline(dirs: &[PathBuf]) -> Result<Vec<Result<Subject, Verdict>>, CliError> {
    let mut subjects = Vec::new();
    for dir in dirs {
        for dir in source::data_dirs(dir)? {
            let state = source::open(&dir)?;
            let (_, root) = state.tree_head();
            let served = state.with_view(|view| {
                let (position, chain_head) = view.chain_head()?;
                let digest = view.rows_digest()?;
                Ok::<_, std::io::Error>(Served {
                    position,
                    chain_head: chain_head.to_vec(),
                    root: root.to_vec(),
                    rows_digest: digest.hash.to_vec(),
                    rows: digest.rows,
                })
            });
            let served = served.map_err(CliError::failed)?;
            let events = source::offline(state, EventQuery::default());
            subjects.push(Ok(Subject {
                name: dir.display().to_string(),
                served,
                events,
            }));
        }
    }
    Ok(subjects)
}

/// Replay a node's events and hold the result against what it serves.
async fn verify(subject: Subject, common: u64, checkpoint: Option<&Checkpoint>) -> Verdict {
    let Subject {
        name,
        served,
        events,
    } = subject;
    let mut common_hash = None;
    let fault = replay(&served, events, common, checkpoint, &mut common_hash)
        .await
        .err();
    Verdict {
        name,
        served,
        common_hash,
        fault,
        unreached: false,
    }
}

async fn replay(
    served: &Served,
    events: Events,
    common: u64,
    checkpoint: Option<&Checkpoint>,
    common_hash: &mut Option<Vec<u8>>,
) -> Result<(), String> {
    if let Some(checkpoint) = checkpoint.filter(|of| of.size > served.position) {
        return Err(format!(
            "the checkpoint is of {} events, the node has {}",
            checkpoint.size, served.position
        ));
    }
    let mut at = vec![common];
    at.extend(checkpoint.map(|of| of.size));
    let (replayed, read) = replay_all(events, at).await?;
    let checked = |position| {
        let mut all = replayed.checked.iter();
        all.find(|checked| checked.position == position)
    };
    *common_hash = checked(common).map(|checked| checked.chain_head.to_vec());
    if let Some(of) = checkpoint
        && let Some(checked) = checked(of.size)
        && checked.root != of.root
    {
        return Err(format!(
            "the first {} events are not those of the checkpoint: their root is {}, it says {}",
            of.size,
            hex(&checked.root),
            hex(&of.root)
        ));
    }
    let replay = replayed.end.map_err(|error| error.to_string())?;
    read?;
    compare_to_served(&replay, served)
}

/// Read on while what was read is replayed in other threads; what came of both.
async fn replay_all(
    events: Events,
    at: Vec<u64>,
) -> Result<(Replayed, Result<(), String>), String> {
    let (give, mut take) = mpsc::channel(BATCHES_WAITING);
    let replaying = tokio::task::spawn_blocking(move || in_threads(|| take.blocking_recv(), &at));
    let read = read_into(events, give).await;
    let replayed = replaying.await.map_err(|error| error.to_string())?;
    Ok((replayed, read))
}

async fn read_into(events: Events, give: mpsc::Sender<Vec<StoredEvent>>) -> Result<(), String> {
    let mut batches = events.ready_chunks(BATCH_EVENTS);
    while let Some(batch) = batches.next().await {
        let batch: Vec<_> = batch.into_iter().map(stored).collect::<Result<_, _>>()?;
        // What is wrong ends a replay before its log ends.
        if give.send(batch).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn stored(event: Result<snakepit_client::StoredEvent, CliError>) -> Result<StoredEvent, String> {
    let event = event.map_err(|error| error.message)?;
    let hash = event.hash.as_ref().try_into();
    Ok(StoredEvent {
        position: event.position,
        hash: hash.map_err(|_| format!("event {} has no whole hash", event.position))?,
        bytes: event.event.into(),
    })
}

fn compare_to_served(replay: &Replay, served: &Served) -> Result<(), String> {
    let (position, expected) = (replay.position(), served.position);
    if position != expected {
        return Err(format!(
            "the log ends at event {position}, the node is at event {expected}"
        ));
    }
    if replay.chain_head()[..] != served.chain_head {
        return Err("the chain head that is served is not that of the log".into());
    }
    if replay.tree_root()[..] != served.root {
        return Err("the tree that is served is not that of the log".into());
    }
    let digest = replay.rows_digest().map_err(|error| error.to_string())?;
    if digest.hash[..] != served.rows_digest || digest.rows != served.rows {
        return Err(format!(
            "the rows that are served are not those of the log: {} rows with digest {}, \
             the replay gives {} rows with digest {}",
            served.rows,
            short_hash(&served.rows_digest),
            digest.rows,
            short_hash(&digest.hash)
        ));
    }
    Ok(())
}

/// Nodes must have the same history up to the position that all of them have: a hash stands for all before
/// it.
fn compare(verdicts: &mut [Verdict], common: u64) {
    let first = verdicts
        .iter()
        .find_map(|v| Some((v.name.clone(), v.common_hash.clone()?)));
    let Some((reference, expected)) = first else {
        return;
    };
    for verdict in verdicts {
        if verdict
            .common_hash
            .as_ref()
            .is_some_and(|hash| *hash != expected)
        {
            let fault = format!("its history up to event {common} is not that of {reference}");
            verdict.fault.get_or_insert(fault);
        }
    }
}

fn print(context: &Context, verdicts: &[Verdict]) -> Result<(), CliError> {
    let rows = verdicts.iter().map(|verdict| {
        let hash = |hash: &[u8]| {
            if hash.is_empty() {
                Cell::none()
            } else {
                Cell::text(short_hash(hash))
            }
        };
        vec![
            Cell::text(&verdict.name),
            Cell::number(verdict.served.position),
            hash(&verdict.served.chain_head),
            hash(&verdict.served.root),
            Cell::number(verdict.served.rows),
            hash(&verdict.served.rows_digest),
            match &verdict.fault {
                None => Cell::toned("ok", Tone::Good),
                Some(fault) => Cell::toned(fault, Tone::Bad),
            },
        ]
    });
    let json: Vec<_> = verdicts
        .iter()
        .map(|verdict| {
            json!({
                "node": verdict.name,
                "events": verdict.served.position,
                "chain_head": hex(&verdict.served.chain_head),
                "root": hex(&verdict.served.root),
                "rows": verdict.served.rows,
                "rows_digest": hex(&verdict.served.rows_digest),
                "ok": verdict.fault.is_none(),
                "fault": verdict.fault,
            })
        })
        .collect();
    let headers = [
        "node",
        "events",
        "chain head",
        "root",
        "rows",
        "rows digest",
        "verdict",
    ];
    context.output.table(&headers, rows.collect(), &json)
}

#[cfg(test)]
mod tests {
    use snakepit_storage::codec::stored_event::chain;

    use super::*;

    /// A log of two events, and what a sound node serves of it.
    fn log() -> (Vec<snakepit_client::StoredEvent>, Served) {
        use snakepit_machine::{Event, Payload};
        let mut replay = Replay::new();
        let mut stored = Vec::new();
        for (position, payload) in [
            Payload::SessionCreated {
                metadata: Default::default(),
                ttl_ms: 1_000,
                config: Default::default(),
                imported_from: String::new(),
                subject: String::new(),
            },
            Payload::SessionTouched,
        ]
        .into_iter()
        .enumerate()
        {
            let position = position as u64 + 1;
            let event = Event {
                position,
                session_id: "s".into(),
                revision: position,
                raft_index: position,
                raft_term: 1,
                time_ms: 5,
                principal: Default::default(),
                cause: Default::default(),
                answer: None,
                payload,
            };
            let bytes = snakepit_proto::events::encode(event.clone());
            let hash = chain(&replay.chain_head(), &bytes);
            replay
                .feed(&StoredEvent {
                    position,
                    bytes: bytes.clone(),
                    hash,
                })
                .unwrap();
            stored.push(snakepit_client::StoredEvent {
                position,
                event: bytes.into(),
                hash: hash.to_vec().into(),
            });
        }
        let digest = replay.rows_digest().unwrap();
        let served = Served {
            position: 2,
            chain_head: replay.chain_head().to_vec(),
            root: replay.tree_root().to_vec(),
            rows_digest: digest.hash.to_vec(),
            rows: digest.rows,
        };
        (stored, served)
    }

    async fn verdict(events: Vec<snakepit_client::StoredEvent>, served: Served) -> Verdict {
        let events = Box::pin(futures_util::stream::iter(events.into_iter().map(Ok)));
        verify(
            Subject {
                name: "n".into(),
                served,
                events,
            },
            1,
            None,
        )
        .await
    }

    #[tokio::test]
    async fn sound_logs_pass() {
        let (events, served) = log();
        let passed = verdict(events.clone(), served).await;
        assert_eq!(passed.fault, None);
        assert_eq!(passed.common_hash, Some(events[0].hash.to_vec()));
    }

    #[tokio::test]
    async fn every_difference_is_found() {
        let (events, served) = log();
        let other_rows = Served {
            rows_digest: vec![0; 32],
            ..served.clone()
        };
        let fault = verdict(events.clone(), other_rows).await.fault.unwrap();
        assert!(fault.starts_with("the rows that are served"), "{fault}");
        let fault = verdict(events[..1].to_vec(), served.clone())
            .await
            .fault
            .unwrap();
        assert!(fault.starts_with("the log ends at event 1"), "{fault}");
        let fault = verdict(events[1..].to_vec(), served.clone())
            .await
            .fault
            .unwrap();
        assert!(fault.contains("event 1 is missing"), "{fault}");
        let mut damaged = events;
        damaged[1].hash = vec![0; 32].into();
        assert!(
            verdict(damaged, served)
                .await
                .fault
                .unwrap()
                .contains("damaged")
        );
    }

    #[test]
    fn nodes_that_differ_are_named() {
        let node = |name: &str, hash: u8| Verdict {
            name: name.into(),
            common_hash: Some(vec![hash]),
            ..Default::default()
        };
        let mut verdicts = [node("a", 1), node("b", 1), node("c", 2), Verdict::default()];
        compare(&mut verdicts, 9);
        let faults: Vec<_> = verdicts
            .iter()
            .map(|verdict| verdict.fault.as_deref())
            .collect();
        let fault = Some("its history up to event 9 is not that of a");
        assert_eq!(faults, [None, None, fault, None]);
    }
}
