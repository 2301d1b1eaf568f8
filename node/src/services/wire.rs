//! Rows as messages of the bridge.

use std::collections::BTreeMap;
use std::time::Instant;

use snakepit_machine::{SessionRow, VariableRow};
use snakepit_proto::{bridge, headers, times, values};
use tonic::Response;

/// A variable as clients see it.
pub(super) fn variable(row: VariableRow) -> bridge::Variable {
    let python = row
        .metadata
        .get("source")
        .is_some_and(|source| source.eq_ignore_ascii_case("python"));
    let source = if python {
        bridge::variable::Source::Python
    } else {
        bridge::variable::Source::Elixir
    };
    bridge::Variable {
        value: Some(values::encode(&row.value)),
        id: row.id,
        name: row.name,
        r#type: row.type_name,
        constraints_json: row.constraints_json,
        metadata: row.metadata,
        source: source.into(),
        last_updated_at: Some(times::timestamp(row.updated_ms)),
        version: version(row.version),
        created_at: Some(times::timestamp(row.created_ms)),
        ..bridge::Variable::default()
    }
}

/// A session as clients see it.
pub(super) fn session(row: SessionRow) -> bridge::GetSessionResponse {
    bridge::GetSessionResponse {
        created_at: Some(times::timestamp(row.created_ms)),
        expires_at: Some(times::timestamp(row.deadline_ms())),
        ttl_seconds: i64::try_from(row.ttl_ms / 1_000).unwrap_or(i64::MAX),
        variable_count: i32::try_from(row.variables).unwrap_or(i32::MAX),
        tool_count: 0,
        revision: row.revision,
        session_id: row.id,
        metadata: row.metadata,
    }
}

/// A version on the wire, where it has 31 bits.
pub(super) fn version(version: u64) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

/// Versions on the wire.
pub(super) fn versions(versions: BTreeMap<String, u64>) -> BTreeMap<String, i32> {
    versions
        .into_iter()
        .map(|(identifier, held)| (identifier, version(held)))
        .collect()
}

/// An answer, with the log index at which it is true.
pub(super) fn at_index<T>(index: u64, message: T) -> Response<T> {
    let mut response = Response::new(message);
    response.metadata_mut().insert(headers::INDEX, index.into());
    response
}

/// Milliseconds since a moment.
pub(super) fn elapsed_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
