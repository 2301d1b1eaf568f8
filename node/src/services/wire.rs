//! Rows as messages of the bridge.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use prost_types::Any;
use snakepit_machine::access::{self, Action, Actor};
use snakepit_machine::{
    Event, Lock, Origin, ProgramRow, Rejection, SessionRow, Value, VariableRow,
};
use snakepit_proto::values::Arrays;
use snakepit_proto::{bridge, headers, session, times, values};
use tonic::Response;

use super::Failure;
use super::seal::{Opener, program_place, variable_place};

/// How rows are shown, and to whom.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// When, milliseconds since 1970: whether a lock still holds.
    pub now_ms: u64,
    /// How embeddings and tensors go out.
    pub arrays: Arrays,
    /// Who looks, and through what.
    pub origin: Arc<Origin>,
    /// Opens what is sealed.
    pub opener: Opener,
}

impl Look {
    /// Whether rules let the one who looks act on a variable.
    pub fn check(&self, action: Action, row: &VariableRow) -> Result<(), Rejection> {
        let actor = Actor {
            principal: &self.origin.principal.name,
            tool: &self.origin.tool,
        };
        access::check(&row.access_json, &row.name, action, actor)
    }
}

/// A value of a session's variable as clients see it, and the payload beside it.
pub(super) fn value(
    session_id: &str,
    name: &str,
    value: &Value,
    type_name: &str,
    look: &Look,
) -> Result<(Any, Vec<u8>), Failure> {
    let place = || variable_place(session_id, name);
    shown(value, type_name, look.arrays, &look.opener, place)
}

fn shown(
    value: &Value,
    type_name: &str,
    arrays: Arrays,
    opener: &Opener,
    place: impl Fn() -> Vec<u8>,
) -> Result<(Any, Vec<u8>), Failure> {
    match value {
        Value::Sealed(_) => {
            let value = opener.open(&place(), value)?;
            Ok(values::encode(&value, type_name, arrays))
        }
        plain => Ok(values::encode(plain, type_name, arrays)),
    }
}

/// A session's variable as clients see it.
pub(super) fn variable(
    session_id: &str,
    row: VariableRow,
    look: &Look,
) -> Result<bridge::Variable, Failure> {
    let optimization_status = row.lock_at(look.now_ms).map(optimization_status);
    let (value, binary_value) = value(session_id, &row.name, &row.value, &row.type_name, look)?;
    Ok(bridge::Variable {
        value: Some(value),
        binary_value: binary_value.into(),
        source: source(&row.metadata, row.by_tool).into(),
        last_updated_at: Some(times::timestamp(row.updated_ms)),
        version: version(row.version),
        created_at: Some(times::timestamp(row.created_ms)),
        optimization_status,
        dependencies: dependencies(row.depends_on),
        dependents: dependencies(row.dependents),
        access_control_json: row.access_json,
        id: row.id,
        name: row.name,
        r#type: row.type_name,
        constraints_json: row.constraints_json,
        metadata: row.metadata,
    })
}

/// A variable without what `include_metadata` asks for.
pub(super) fn bare_variable(
    session_id: &str,
    row: VariableRow,
    look: &Look,
) -> Result<bridge::Variable, Failure> {
    let (value, binary_value) = value(session_id, &row.name, &row.value, &row.type_name, look)?;
    Ok(bridge::Variable {
        value: Some(value),
        binary_value: binary_value.into(),
        version: version(row.version),
        id: row.id,
        name: row.name,
        r#type: row.type_name,
        ..bridge::Variable::default()
    })
}

/// Where a value came from, in Snakepit's terms: what the metadata says, else whether a tool wrote it.
pub(super) fn source(
    metadata: &BTreeMap<String, String>,
    by_tool: bool,
) -> bridge::variable::Source {
    let python = match metadata.get("source") {
        Some(source) => source.eq_ignore_ascii_case("python"),
        None => by_tool,
    };
    if python {
        bridge::variable::Source::Python
    } else {
        bridge::variable::Source::Elixir
    }
}

fn optimization_status(lock: &Lock) -> bridge::OptimizationStatus {
    bridge::OptimizationStatus {
        optimizing: true,
        optimizer_id: lock.optimizer_id.clone(),
        started_at: Some(times::timestamp(lock.started_ms)),
        expires_at: Some(times::timestamp(lock.expires_ms())),
        optimizer_config: lock.config.clone(),
    }
}

/// Kinds by name, as clients see them.
pub(super) fn dependencies(kinds: BTreeMap<String, String>) -> Vec<bridge::Dependency> {
    kinds
        .into_iter()
        .map(|(variable, kind)| bridge::Dependency { variable, kind })
        .collect()
}

/// Who changed something, and through what.
pub(super) fn cause(event: &Event) -> bridge::ChangeCause {
    bridge::ChangeCause {
        principal: event.principal.name.clone(),
        principal_verified: event.principal.verified,
        request_id: event.cause.request_id.clone(),
        call_id: event.cause.call_id.clone(),
        tool: event.cause.tool.clone(),
        worker: event.cause.worker.clone(),
        node: event.cause.node,
    }
}

/// A session as clients see it.
pub(super) fn session(row: SessionRow) -> bridge::GetSessionResponse {
    let count = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    bridge::GetSessionResponse {
        created_at: Some(times::timestamp(row.created_ms)),
        expires_at: Some(times::timestamp(row.deadline_ms())),
        ttl_seconds: seconds(row.ttl_ms),
        variable_count: count(row.variables),
        tool_count: count(row.tools),
        revision: row.revision,
        config: Some(config(&row)),
        update_count: i64::try_from(row.updates).unwrap_or(i64::MAX),
        program_count: count(row.programs),
        lock_count: count(row.locked.len() as u64),
        subject: row.subject,
        session_id: row.id,
        metadata: row.metadata,
    }
}

/// How a session is served, as clients see it.
pub(super) fn config(row: &SessionRow) -> bridge::SessionConfig {
    bridge::SessionConfig {
        enable_caching: row.config.enable_caching,
        cache_ttl_seconds: i32::try_from(row.config.cache_ttl_ms / 1_000).unwrap_or(i32::MAX),
        enable_telemetry: row.config.enable_telemetry,
        ttl_seconds: seconds(row.ttl_ms),
    }
}

/// A session's program as clients see it, or a global one where the session id is empty.
pub(super) fn program(
    session_id: &str,
    mut row: ProgramRow,
    arrays: Arrays,
    opener: &Opener,
) -> Result<session::Program, Failure> {
    row.value = opener
        .open(&program_place(session_id, &row.id), &row.value)?
        .into_owned();
    let (value, binary_value) = values::encode(&row.value, row.value.type_name(), arrays);
    Ok(session::Program {
        expires_at: (row.ttl_ms > 0).then(|| times::timestamp(row.deadline_ms())),
        value: Some(value),
        binary_value: binary_value.into(),
        version: version(row.version),
        created_at: Some(times::timestamp(row.created_ms)),
        updated_at: Some(times::timestamp(row.updated_ms)),
        program_id: row.id,
        metadata: row.metadata,
    })
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1_000).unwrap_or(i64::MAX)
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
