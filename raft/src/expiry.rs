//! Ends sessions and global programs whose deadline has passed. The leader proposes it; reads and commands
//! treat them as gone from their deadline on, so that the time of this sweep does not matter to anyone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use snakepit_machine::{Body, Command, ExpireProgram, ExpireSession, Origin};
use snakepit_storage::StateStore;
use tokio_util::sync::CancellationToken;

use crate::clock::wall_clock_ms;
use crate::intake::Intake;
use crate::leadership::Leadership;

/// Time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_millis(200);
/// Sessions, and programs, that one sweep ends at most.
const SWEEP_MAX: usize = 512;
/// Size of a command that ends one, in bytes: about its id's.
const COMMAND_BYTES: usize = 128;

pub(crate) async fn sweep(
    store: Arc<StateStore>,
    leadership: Leadership,
    intake: Intake,
    stop: CancellationToken,
) {
    while stop
        .run_until_cancelled(tokio::time::sleep(SWEEP_EVERY))
        .await
        .is_some()
    {
        if leadership.leader() != Some(leadership.local()) {
            continue;
        }
        let reader = store.clone();
        let due = tokio::task::spawn_blocking(move || due(&reader, wall_clock_ms())).await;
        let bodies = match due {
            Ok(Ok(bodies)) if !bodies.is_empty() => bodies,
            Ok(Err(error)) => {
                tracing::error!(%error, "deadlines cannot be read");
                continue;
            }
            _ => continue,
        };
        let bytes = bodies.len() * COMMAND_BYTES;
        let commands = bodies
            .into_iter()
            .map(|body| Command {
                origin: Origin {
                    node: leadership.local(),
                    ..Origin::default()
                },
                body,
            })
            .collect();
        if let Ok((done, _)) = intake.take(commands, bytes, true) {
            // The next sweep finds what this one could not end.
            let _ = stop.run_until_cancelled(done).await;
        }
    }
}

fn due(store: &StateStore, now_ms: u64) -> io::Result<Vec<Body>> {
    let sessions = store.due_sessions(now_ms, SWEEP_MAX)?.into_iter();
    let programs = store.due_programs(now_ms, SWEEP_MAX)?.into_iter();
    Ok(sessions
        .map(|(_, session_id)| Body::ExpireSession(ExpireSession { session_id }))
        .chain(programs.map(|(_, program_id)| Body::ExpireProgram(ExpireProgram { program_id })))
        .collect())
}
