//! How programs look.

use serde_json::{Value as Json, json};
use snakepit_client::Program;

use super::super::output::time;

/// A program for programs.
pub(super) fn as_json(program: &Program) -> Json {
    let expires = (program.expires_ms > 0).then(|| time(program.expires_ms));
    json!({
        "id": program.id,
        "value": program.value,
        "version": program.version,
        "metadata": program.metadata,
        "created": time(program.created_ms),
        "updated": time(program.updated_ms),
        "expires": expires,
    })
}
