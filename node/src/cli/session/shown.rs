//! How sessions look.

use serde_json::{Value as Json, json};
use snakepit_client::Session;

use super::super::output::time;

/// A session for programs.
pub(super) fn as_json(session: &Session) -> Json {
    json!({
        "id": session.id,
        "metadata": session.metadata,
        "created": time(session.created_ms),
        "expires": time(session.expires_ms),
        "ttl_s": session.ttl_s,
        "variables": session.variables,
        "locks": session.locks,
        "programs": session.programs,
        "tools": session.tools,
        "updates": session.updates,
        "revision": session.revision,
        "cache_s": session.cache.map(|age| age.as_secs()),
        "telemetry": session.telemetry,
        "subject": session.subject,
    })
}
