//! Reads extend a session's life, at most once per tenth of it, and never hold up the answer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use snakepit_machine::{Body, Command, Origin, SessionRow, TouchSession};
use tokio::time::Instant;

use super::Node;

/// Touches on their way at most; a further read of those sessions tries again.
const TOUCHES_MAX: usize = 1_024;
/// Time after which a touch that finds no leader is dropped.
const TOUCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Sessions whose touch is on its way.
#[derive(Clone, Debug, Default)]
pub(super) struct Touches(Arc<Mutex<BTreeSet<String>>>);

impl Node {
    /// Record a use of the session, if enough of its life has gone by since the last.
    pub(super) fn touch_soon(&self, session: &SessionRow, now_ms: u64) {
        if !session.wants_touch(now_ms) {
            return;
        }
        let touches = self.touches.clone();
        {
            let mut flying = touches.0.lock().unwrap_or_else(PoisonError::into_inner);
            if flying.len() >= TOUCHES_MAX || !flying.insert(session.id.clone()) {
                return;
            }
        }
        let (group, session_id) = (self.group.clone(), session.id.clone());
        let origin = Origin {
            node: self.id(),
            ..Origin::default()
        };
        tokio::spawn(async move {
            let body = Body::TouchSession(TouchSession {
                session_id: session_id.clone(),
            });
            let done = group
                .propose(Command { origin, body }, Instant::now() + TOUCH_TIMEOUT)
                .await;
            match done {
                // Until this node's row says so, reads would have it touched again.
                Ok(done) => {
                    let mut applied = group.applied_index();
                    let _ = tokio::time::timeout(TOUCH_TIMEOUT, applied.reach(done.index)).await;
                }
                Err(error) => tracing::debug!(%error, session_id, "a touch was dropped"),
            }
            touches
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&session_id);
        });
    }
}
