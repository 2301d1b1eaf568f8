//! Ends sessions whose deadline has passed. The leader proposes it; reads and commands treat such a
//! session as gone from its deadline on, so that the time of this sweep does not matter to anyone.

use std::sync::Arc;
use std::time::Duration;

use snakepit_machine::{Body, Command, ExpireSession, Origin};
use snakepit_storage::StateStore;
use tokio_util::sync::CancellationToken;

use crate::clock::wall_clock_ms;
use crate::intake::Intake;
use crate::leadership::Leadership;

/// Time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_millis(200);
/// Sessions that one sweep ends at most.
const SWEEP_SESSIONS_MAX: usize = 512;

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
        let due = tokio::task::spawn_blocking(move || {
            reader.due_sessions(wall_clock_ms(), SWEEP_SESSIONS_MAX)
        })
        .await;
        let sessions = match due {
            Ok(Ok(sessions)) if !sessions.is_empty() => sessions,
            Ok(Err(error)) => {
                tracing::error!(%error, "deadlines cannot be read");
                continue;
            }
            _ => continue,
        };
        let bytes = sessions
            .iter()
            .map(|(_, session_id)| session_id.len() + 64)
            .sum();
        let commands = sessions
            .into_iter()
            .map(|(_, session_id)| Command {
                origin: Origin {
                    node: leadership.local(),
                    ..Origin::default()
                },
                body: Body::ExpireSession(ExpireSession { session_id }),
            })
            .collect();
        if let Ok((done, _)) = intake.take(commands, bytes, true) {
            // The next sweep finds what this one could not end.
            let _ = stop.run_until_cancelled(done).await;
        }
    }
}
