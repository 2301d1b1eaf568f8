//! How sessions are served: asked with nearly every request, and the same for as long as a session lives.

use std::io;
use std::sync::Mutex;

use foldhash::HashMap;
use snakepit_machine::{Changes, RowPrefix, RowsExt as _, SessionConfig};

use super::StateStore;
use crate::sync::lock;

/// Sessions that are known at most; then all are forgotten, and looked up again.
const SESSIONS_MAX: usize = 16_384;

/// What was looked up.
#[derive(Debug, Default)]
pub(super) struct SessionConfigs {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    configs: HashMap<String, SessionConfig>,
    /// One more each time that a session has ended: what was read before may be of it.
    ended: u64,
}

impl SessionConfigs {
    /// Forget sessions that have ended. Who wants to know reads the changed rows by now.
    pub(super) fn forget_ended(&self, changes: &Changes) {
        let ended = changes.cleared.iter().filter_map(|prefix| match prefix {
            RowPrefix::Variables(session_id) => Some(session_id),
            _ => None,
        });
        let mut ended = ended.peekable();
        if ended.peek().is_none() {
            return;
        }
        let mut known = lock(&self.known);
        known.ended += 1;
        for session_id in ended {
            known.configs.remove(session_id);
        }
    }

    /// Forget all, as other rows are read by now.
    pub(super) fn forget_all(&self) {
        let mut known = lock(&self.known);
        known.ended += 1;
        known.configs.clear();
    }

    fn get(&self, session_id: &str) -> Result<SessionConfig, u64> {
        let known = lock(&self.known);
        known.configs.get(session_id).copied().ok_or(known.ended)
    }

    /// `ended` is what [`Self::get`] said before the row was read.
    fn keep(&self, session_id: &str, config: SessionConfig, ended: u64) {
        let mut known = lock(&self.known);
        if known.ended != ended {
            return;
        }
        if known.configs.len() >= SESSIONS_MAX {
            known.configs.clear();
        }
        known.configs.insert(session_id.to_owned(), config);
    }
}

impl StateStore {
    /// How a session is served; `None` where there is none, or where its row is not in memory.
    pub fn session_config(&self, session_id: &str) -> io::Result<Option<SessionConfig>> {
        let ended = match self.shared.configs.get(session_id) {
            Ok(config) => return Ok(Some(config)),
            Err(ended) => ended,
        };
        let rows = self.cached_rows();
        let config = match rows.session(session_id) {
            Err(_) if rows.missed() => None,
            found => found
                .map_err(io::Error::other)?
                .map(|session| session.config),
        };
        if let Some(config) = config {
            self.shared.configs.keep(session_id, config, ended);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use snakepit_machine::{
        Body, Command, CreateSession, DeleteSession, Limits, Origin, Proposal, TouchSession,
    };

    use super::*;
    use crate::traits::{ApplyEntry, ApplyPayload, EntryId};

    fn create(enable_telemetry: bool) -> Body {
        Body::CreateSession(CreateSession {
            session_id: "s".into(),
            metadata: Default::default(),
            ttl_ms: 3_600_000,
            config: SessionConfig {
                enable_telemetry,
                ..SessionConfig::default()
            },
            subject: String::new(),
        })
    }

    fn delete() -> Body {
        Body::DeleteSession(DeleteSession {
            session_id: "s".into(),
            force: false,
        })
    }

    fn apply(state: &StateStore, bodies: impl IntoIterator<Item = Body>) {
        let index = state.published().applied.last.map_or(0, |id| id.index) + 1;
        let commands = bodies.into_iter().map(|body| Command {
            origin: Origin::default(),
            body,
        });
        let payload = ApplyPayload::Proposal(Proposal {
            time_ms: 1_000 * index,
            limits: Limits::default(),
            commands: commands.collect(),
        });
        let id = EntryId { term: 1, index };
        let outcomes = state.apply_waiting(&[ApplyEntry { id, payload }]).unwrap();
        assert!(outcomes[0].iter().all(Result::is_ok), "{outcomes:?}");
    }

    fn telemetry(state: &StateStore) -> Option<bool> {
        let config = state.session_config("s").unwrap();
        config.map(|config| config.enable_telemetry)
    }

    #[test]
    fn a_session_that_has_ended_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateStore::open(dir.path()).unwrap();
        assert_eq!(telemetry(&state), None);
        apply(&state, [create(true)]);
        assert_eq!(telemetry(&state), Some(true));
        let touch = TouchSession {
            session_id: "s".into(),
        };
        apply(&state, [Body::TouchSession(touch)]);
        assert!(state.shared.configs.get("s").is_ok(), "still known");

        apply(&state, [delete()]);
        assert_eq!(telemetry(&state), None);
        apply(&state, [create(false)]);
        assert_eq!(telemetry(&state), Some(false));
        // Begun anew within one write.
        apply(&state, [delete(), create(true)]);
        assert_eq!(telemetry(&state), Some(true));
    }

    #[test]
    fn what_was_read_before_a_session_ended_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateStore::open(dir.path()).unwrap();
        apply(&state, [create(true)]);
        let configs = &state.shared.configs;
        let ended = configs.get("s").unwrap_err();
        let read = state.rows().session("s").unwrap().unwrap().config;
        apply(&state, [delete(), create(false)]);
        configs.keep("s", read, ended);
        assert_eq!(telemetry(&state), Some(false));
    }
}
